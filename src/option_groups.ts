// The options as users see them, in the groups that socket types share: names, meaning, defaults.
// option_table.ts says the rest of each; docs/options.md is made of both. Names and defaults are
// zeromq.js's unless the text says why not. options.ts has what each type puts together.

import type { Context } from "./socket_context.ts";
import type { AuthenticateOption } from "./verdict.ts";

/**
 * Options of every socket: keys of the constructor's argument, and properties of the socket. A
 * wrong type or an unknown key is a TypeError, a number out of range a ZmqError with EINVAL. "Now":
 * takes effect at once. "Next": with the next bind or connect, so set it before.
 *
 * ```ts
 * const push = new Push({ linger: 1000, sendHighWaterMark: 10_000 });
 * push.linger = 0;
 * ```
 */
export interface SocketOptions {
  /**
   * Milliseconds that queued messages have to leave after close and at the exit of the process; 0
   * drops them, -1 waits for ever. Default 30,000 (libzmq: -1, which has hung many a deployment).
   * Now. ZMQ_LINGER
   */
  linger?: number;
  /**
   * Milliseconds until a lost connection is tried again: each pause is random, between half of them
   * and twice as many, so that clients do not come back all at once; -1 never. Default 100. Now.
   * ZMQ_RECONNECT_IVL
   */
  reconnectInterval?: number;
  /**
   * Milliseconds up to which the interval doubles; 0: it does not grow. Default 0. Now.
   * ZMQ_RECONNECT_IVL_MAX
   */
  reconnectMaxInterval?: number;
  /**
   * When not to connect again: the connection was refused, its handshake failed, or `disconnect` was
   * called while messages still had to leave. Then the event connect:stop comes. Default none. Now.
   * ZMQ_RECONNECT_STOP
   */
  reconnectStop?: readonly ("connectionRefused" | "handshakeFailed" | "afterDisconnect")[];
  /** Connections that wait to be accepted. Default 100. Next. ZMQ_BACKLOG, listen(2) */
  backlog?: number;
  /**
   * Connections that one listener has at a time; others wait in the backlog until one ends; 0 no limit.
   * When they are so many, an accept:error event tells (reason too_many_connections). Default 65,536.
   * Next. Not in libzmq
   */
  connectionsMax?: number;
  /** Milliseconds for connect(2); 0 the kernel's limit. Default 0. Next. ZMQ_CONNECT_TIMEOUT */
  connectTimeout?: number;
  /** 1 on, 0 off, -1 as the kernel is set. Default -1. Next. ZMQ_TCP_KEEPALIVE, SO_KEEPALIVE */
  tcpKeepalive?: number;
  /**
   * Probes without an answer that end a connection, 1 to 127; -1 as the kernel is set. Default -1.
   * Next. ZMQ_TCP_KEEPALIVE_CNT, tcp(7)
   */
  tcpKeepaliveCount?: number;
  /**
   * Seconds of silence before the first probe, 1 to 32,767; -1 as the kernel is set. Default -1.
   * Next. ZMQ_TCP_KEEPALIVE_IDLE, tcp(7)
   */
  tcpKeepaliveIdle?: number;
  /**
   * Seconds between probes, 1 to 32,767; -1 as the kernel is set. Default -1. Next.
   * ZMQ_TCP_KEEPALIVE_INTVL, tcp(7)
   */
  tcpKeepaliveInterval?: number;
  /**
   * Milliseconds that sent bytes may go unacknowledged; 0 as the kernel is set. Default 0. Next.
   * ZMQ_TCP_MAXRT, TCP_USER_TIMEOUT
   */
  tcpMaxRetransmitTimeout?: number;
  /** Type-of-service octet of IP packets, 0 to 255. Default 0. Next. ZMQ_TOS, IP_TOS */
  typeOfService?: number;
  /**
   * Priority of packets within this machine, 0 to 6, above with CAP_NET_ADMIN; 0 as the kernel is
   * set. Default 0. Next. ZMQ_PRIORITY, SO_PRIORITY
   */
  priority?: number;
  /**
   * Microseconds the kernel may spin for a packet, for latency; more than net.core.busy_read needs
   * CAP_NET_ADMIN; 0 as the kernel is set. Default 0. Next. ZMQ_BUSY_POLL, SO_BUSY_POLL
   */
  busyPoll?: number;
  /**
   * The interface that tcp connections have to use, such as "eth0": bind and connect reach nothing
   * else, whatever the routes say; null any. Default null. Next. ZMQ_BINDTODEVICE, SO_BINDTODEVICE
   */
  interface?: string | null;
  /**
   * A descriptor that the next bind listens on instead of making its own: a stream socket that is
   * bound, as from systemd; -1 none. It belongs to this socket from then on and is closed with it,
   * and the option is -1 again, since a descriptor has one owner (libzmq leaves it set). The path of
   * an ipc socket stays. Default -1. Next. ZMQ_USE_FD
   */
  useFd?: number;
  /**
   * A SOCKS5 proxy that tcp connections go through, "host:port", an IPv6 address in brackets; null
   * none. Host names to connect to are sent to the proxy as they are. Default null. Next.
   * ZMQ_SOCKS_PROXY, RFC 1928
   */
  socksProxy?: string | null;
  /**
   * The name this socket has at the proxy, up to 255 bytes; null, or an empty one, for no
   * authentication. Default null. Next. ZMQ_SOCKS_USERNAME, RFC 1929
   */
  socksUsername?: string | null;
  /** Its password, up to 255 bytes; null is an empty one. Default null. Next. ZMQ_SOCKS_PASSWORD */
  socksPassword?: string | null;
  /** Queue only for peers that are connected now. Default false. Next. ZMQ_IMMEDIATE */
  immediate?: boolean;
  /** Use IPv6 addresses too: literals, names and "*". Default false. Next. ZMQ_IPV6 */
  ipv6?: boolean;
  /**
   * What a second send or receive gets while one waits: "error" EBUSY, as in zeromq.js; "queue" its
   * turn after the first. Default "error". Now. Not in libzmq.
   */
  concurrency?: "error" | "queue";
  /**
   * The context the socket belongs to, for good: its limits, its defaults, its inproc names. Default
   * the one context that all have in common. Source: zmq_ctx_new(3).
   */
  context?: Context;
}

/** Options of sockets that send. */
export interface SendingOptions {
  /** Bytes; -1 as the kernel is set. Default -1. Next. ZMQ_SNDBUF, SO_SNDBUF */
  sendBufferSize?: number;
  /** Messages queued per peer until send has to wait; 0 no limit. Default 1000. Now. ZMQ_SNDHWM */
  sendHighWaterMark?: number;
  /**
   * Bytes queued per peer until send has to wait, framing included, whatever the number of messages; 0
   * no limit. A message that is larger still goes when nothing else is queued. Default 0. Now. Not in
   * libzmq.
   */
  sendHighWaterMarkBytes?: number;
  /**
   * Milliseconds a send waits for room before EAGAIN; 0 not at all, -1 for ever. Default -1. Now.
   * ZMQ_SNDTIMEO
   */
  sendTimeout?: number;
}

/** Options of sockets that receive. */
export interface ReceivingOptions {
  /** Bytes; -1 as the kernel is set. Default -1. Next. ZMQ_RCVBUF, SO_RCVBUF */
  receiveBufferSize?: number;
  /** Messages queued per peer until it has to wait; 0 no limit. Default 1000. Now. ZMQ_RCVHWM */
  receiveHighWaterMark?: number;
  /**
   * Bytes queued per peer until it has to wait, framing included, whatever the number of messages; 0
   * no limit. A message that is larger still comes when nothing else is queued. Default 0. Now. Not
   * in libzmq.
   */
  receiveHighWaterMarkBytes?: number;
  /**
   * Milliseconds a receive waits before EAGAIN; 0 not at all, -1 for ever. Default -1. Now.
   * ZMQ_RCVTIMEO
   */
  receiveTimeout?: number;
  /**
   * Give every received part memory of its own. Otherwise parts of 512 bytes and more may share a
   * chunk of 64 KiB, which stays as long as one of them is kept. Default false. Now. Not in libzmq.
   */
  detached?: boolean;
}

/** Option of sockets that a Router can tell from each other. */
export interface RoutingIdOptions {
  /**
   * The name of this socket for a Router at the other end: 1 to 255 bytes, the first of them not 0
   * (those are Router's own), a string in UTF-8; null for none. Default null. Next.
   * ZMQ_ROUTING_ID, RFC 28
   */
  routingId?: string | Uint8Array | null;
}

/**
 * Options that say who a socket is and whom it lets in, see docs/security.md. New values count for
 * connections that are made from then on, also at endpoints that are there ("New"); connections that
 * are there go on. Of PLAIN and CURVE, client and server, a socket has one part: that of `plainServer`,
 * `plainUsername`, `curveServer` or `curveServerKey`. More than one of them, or one that something is
 * missing for, is an EINVAL of the next bind or connect; until then the one before stays in force.
 * Connections within the process (inproc) have no mechanism and are not asked about.
 */
export interface SecurityOptions {
  /**
   * Demand a user name and a password of each peer; who decides about them is `authenticate`, or a ZAP
   * handler, and without either nobody comes in. They are sent in clear: for links that are trusted.
   * Not together with `plainUsername`, `curveServer` or `curveServerKey`. Default false. New.
   * ZMQ_PLAIN_SERVER, RFC 24
   */
  plainServer?: boolean;
  /**
   * The user name this socket gives to a server of PLAIN, 1 to 255 bytes; null: it is no client of
   * PLAIN. Not together with `plainServer`, `curveServer` or `curveServerKey`. Default null.
   * New. ZMQ_PLAIN_USERNAME, RFC 24
   */
  plainUsername?: string | null;
  /**
   * Its password, up to 255 bytes; null is an empty one. Is not shown when the socket is printed.
   * Default null. New. ZMQ_PLAIN_PASSWORD, RFC 24
   */
  plainPassword?: string | null;
  /**
   * Encrypt as the server's side of CURVE; needs `curveSecretKey`. Whoever has the public key that
   * belongs to it may come in, unless `authenticate` or a ZAP handler decides otherwise. Not together
   * with `plainServer`, `plainUsername` or `curveServerKey`. Default false. New. ZMQ_CURVE_SERVER, RFC 26
   */
  curveServer?: boolean;
  /**
   * The socket's own public key: 40 characters of Z85, or 32 bytes; null: the one that belongs to the
   * secret key. Default null. New. ZMQ_CURVE_PUBLICKEY, RFC 26
   */
  curvePublicKey?: string | Uint8Array | null;
  /**
   * The socket's own secret key: 40 characters of Z85, or 32 bytes; null for none, with which a client
   * makes up a pair. Is not shown when the socket is printed. Default null. New. ZMQ_CURVE_SECRETKEY,
   * RFC 26
   */
  curveSecretKey?: string | Uint8Array | null;
  /**
   * The server's public key, which makes this socket a client of CURVE: 40 characters of Z85, or 32
   * bytes; null: it is none. Not together with `plainServer`, `plainUsername` or `curveServer`. Default
   * null. New. ZMQ_CURVE_SERVERKEY, RFC 26
   */
  curveServerKey?: string | Uint8Array | null;
  /**
   * What a ZAP handler, or `authenticate`, is told of what peers want to get into, up to 255 bytes;
   * with one the handler is asked about peers of NULL, too. Null for none. Default null. New.
   * ZMQ_ZAP_DOMAIN, RFC 27
   */
  zapDomain?: string | null;
  /**
   * Whether peers are refused where there is a `zapDomain` and no handler. With false CURVE and NULL
   * let everybody in then, as libzmq does unless told otherwise; PLAIN never does. Default true. New.
   * ZMQ_ZAP_ENFORCE_DOMAIN
   */
  zapEnforceDomain?: boolean;
  /**
   * Decides about each peer before it is let in, see `AuthenticationRequest`; then no ZAP handler
   * is asked. A function that may be async, or an `Authenticator`; what throws or answers nothing
   * refuses. Clients of PLAIN and CURVE do not ask: they know their server. Null for none. Default
   * null. New. Not in libzmq
   */
  authenticate?: AuthenticateOption | null;
  /**
   * Milliseconds for one decision; who has none by then is refused with status 500, or by a ZAP
   * handler that says nothing with reason authentication_unavailable. Default 5,000. Now. Not in libzmq
   */
  authenticateTimeout?: number;
  /**
   * Decisions under way at a time; more peers wait for their turn, as many as `handshakesMax` lets in.
   * Default 100. Now. Not in libzmq
   */
  authenticateMax?: number;
}

/** Options of sockets that speak ZMTP, which is all but Stream. */
export interface ProtocolOptions extends SecurityOptions {
  /**
   * Milliseconds between two PINGs on each network connection; 0 none. Default 0. Next.
   * ZMQ_HEARTBEAT_IVL, RFC 37
   */
  heartbeatInterval?: number;
  /**
   * Milliseconds after a PING in which a byte has to come, or the connection ends; not while we do
   * not read. -1 as the interval, 0 no limit. Default -1. Now. ZMQ_HEARTBEAT_TIMEOUT
   */
  heartbeatTimeout?: number;
  /**
   * Milliseconds after which a peer may end a connection that nothing comes on, told to it by each
   * PING in tenths of a second, at most 65,500; 0 none. Default 0. Now. ZMQ_HEARTBEAT_TTL
   */
  heartbeatTimeToLive?: number;
  /**
   * After a handshake that would fail again (another type, version or mechanism, or the peer said so):
   * fail drops what is queued, and sends fail with EHOSTUNREACH when no other peer is left; keep goes
   * on queueing for nobody, as libzmq; retry connects again. Default fail. Now. Not in libzmq
   */
  permanentFailure?: "fail" | "keep" | "retry";
  /** Milliseconds for a handshake; 0 no limit. Default 30,000. Next. ZMQ_HANDSHAKE_IVL */
  handshakeInterval?: number;
  /**
   * Accepted connections whose handshake is not done; when there are more, the oldest that is silent
   * ends (reason too_many_handshakes), so that strangers that say nothing keep nobody out; 0 no limit.
   * Default 1000. Now. Not in libzmq
   */
  handshakesMax?: number;
  /**
   * Parts of a received message; a peer that sends more is cut off (reason message_too_many_parts); 0 no
   * limit. Default 65,536. Next. Not in libzmq
   */
  messagePartsMax?: number;
  /**
   * Bytes of a received message in all its parts; a peer that sends more is cut off (reason
   * message_too_large); 0 no limit. Default 2,147,483,647. Next. Not in libzmq
   */
  messageBytesMax?: number;
  /**
   * Bytes of a received part; a peer that sends more is cut off; -1 no limit. Default -1. Next.
   * ZMQ_MAXMSGSIZE
   */
  maxMessageSize?: number;
  /**
   * Further properties that each handshake tells the peer: names begin with "X-" and have letters,
   * digits and "-_.+" after it, 2 KiB in all; null none. Default null. Next. ZMQ_METADATA, RFC 37
   */
  metadata?: Readonly<Record<string, string>> | null;
}

/** Option of sockets that can do with the newest message. */
export interface ConflateOptions {
  /**
   * Keep the newest message of each queue only, whatever its topic; it must have one part. High-water
   * marks do not count then. Default false. Next. ZMQ_CONFLATE
   */
  conflate?: boolean;
}

/** Option of sockets that say hello to a Router. */
export interface ProbeOptions {
  /**
   * Send an empty message on each new connection, so that a Router at the other end knows of this
   * socket. Default false. Now. ZMQ_PROBE_ROUTER
   */
  probeRouter?: boolean;
}

/** Option of sockets that do not wait for a peer that is slow. */
export interface OverflowOptions {
  /**
   * What gives way when a peer's queue is full: "dropNewest" the message that is sent, "dropOldest"
   * the oldest ones of which nothing has gone yet, "disconnect" the peer, whose connection ends with
   * the reason `slow_peer` and what was queued for it. All of it is counted. Without effect with
   * `noDrop` or `mandatory`, which wait. Default dropNewest. Now. Not in libzmq, which drops the
   * newest.
   */
  sendHighWaterMarkPolicy?: "dropNewest" | "dropOldest" | "disconnect";
}

/** Options of sockets that publish. */
export interface PublishingOptions extends OverflowOptions {
  /**
   * Make send wait, for `sendTimeout`, when a subscriber has no room, instead of dropping the message
   * for that one: the slowest sets the pace of all. Default false. Now. ZMQ_XPUB_NODROP
   */
  noDrop?: boolean;
  /**
   * Topics that one subscriber may have; more of them are refused and counted, 0 no limit. Default
   * 100,000. Now. Not in libzmq.
   */
  subscriptionsMax?: number;
  /**
   * Bytes of all topics that one subscriber may have; more of them are refused and counted, 0 no
   * limit. Default 16,777,216. Now. Not in libzmq.
   */
  subscriptionBytesMax?: number;
}

/** Option of sockets that match topics. */
export interface MatchingOptions {
  /**
   * Send, or take, what matches no subscription instead of what matches one: for publisher and
   * subscriber alike. Default false. Now. ZMQ_INVERT_MATCHING
   */
  invertMatching?: boolean;
}

/** Option of sockets that read or write subscriptions as messages. */
export interface SubscriptionMessageOptions {
  /**
   * Take only the first part of a message for a subscription, not every part that looks like one.
   * Default false. Now. ZMQ_ONLY_FIRST_SUBSCRIBE
   */
  onlyFirstSubscribe?: boolean;
}

/** Option of sockets that greet each new peer. */
export interface HelloOptions {
  /**
   * What each new connection is sent first; null nothing. Default null. Now. ZMQ_HELLO_MSG
   */
  helloMessage?: string | Uint8Array | null;
}

/** Option of sockets that may lose a connection that they made. */
export interface HiccupOptions {
  /**
   * What is received, as if the peer had sent it, when a connection that this socket made is lost;
   * null nothing. Default null. Now. ZMQ_HICCUP_MSG
   */
  hiccupMessage?: string | Uint8Array | null;
}

/** Option of sockets that know their peers. */
export interface GoodbyeOptions {
  /**
   * What is received, as if the peer had sent it, when one that had connected to us has gone; null
   * nothing. Default null. Now. ZMQ_DISCONNECT_MSG
   */
  disconnectMessage?: string | Uint8Array | null;
}
