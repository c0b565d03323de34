// The options of sockets as their users see them: names, types, meaning. option_table.ts says the rest
// of each; docs/options.md is made of both. Names and defaults are zeromq.js's unless the text says
// why not.

import type { Context } from "./socket_context.ts";

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
   * Milliseconds until a lost connection is tried again, plus a random share of them; -1 never.
   * Default 100. Now. ZMQ_RECONNECT_IVL
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

/** Options of sockets that speak ZMTP, which is all but Stream. */
export interface ProtocolOptions {
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

/** Options of sockets that publish. */
export interface PublishingOptions {
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

/** What a Pair can be set to. */
export interface PairOptions
  extends SocketOptions, ProtocolOptions, SendingOptions, ReceivingOptions {}

/** What a Publisher can be set to. */
export interface PublisherOptions
  extends
    SocketOptions,
    ProtocolOptions,
    SendingOptions,
    PublishingOptions,
    MatchingOptions,
    ConflateOptions {}

/** What a Subscriber can be set to. Its `linger` is 0: nothing that it sends is worth a wait. */
export interface SubscriberOptions
  extends SocketOptions, ProtocolOptions, ReceivingOptions, MatchingOptions, ConflateOptions {}

/** What an XPublisher can be set to. */
export interface XPublisherOptions
  extends
    SocketOptions,
    ProtocolOptions,
    SendingOptions,
    ReceivingOptions,
    PublishingOptions,
    MatchingOptions,
    SubscriptionMessageOptions {
  /**
   * Which requests are received: null the first subscription to a topic and its last cancel,
   * "allSubs" every subscription, "allSubsUnsubs" every cancel too. Default null. Now.
   * ZMQ_XPUB_VERBOSE, ZMQ_XPUB_VERBOSER
   */
  verbosity?: "allSubs" | "allSubsUnsubs" | null;
  /**
   * Requests have no effect by themselves: `subscribe` and `unsubscribe` decide, for the peer whose
   * request was received last. With "lastValue" the message that is sent after a request goes to that
   * peer alone. Default false. Now. ZMQ_XPUB_MANUAL, ZMQ_XPUB_MANUAL_LAST_VALUE
   */
  manual?: boolean | "lastValue";
  /**
   * What each new subscriber is sent first, if it is subscribed to that; null none. Default null.
   * Now. ZMQ_XPUB_WELCOME_MSG
   */
  welcomeMessage?: string | Uint8Array | null;
}

/** What an XSubscriber can be set to. Its `linger` is 0. */
export interface XSubscriberOptions
  extends
    SocketOptions,
    ProtocolOptions,
    SendingOptions,
    ReceivingOptions,
    SubscriptionMessageOptions {
  /**
   * Send every cancel, not only the last one of a topic. Default false. Now.
   * ZMQ_XSUB_VERBOSE_UNSUBSCRIBE
   */
  verboseUnsubscribe?: boolean;
}

/** What a Push can be set to. */
export interface PushOptions
  extends SocketOptions, ProtocolOptions, SendingOptions, ConflateOptions {}

/** What a Pull can be set to. */
export interface PullOptions
  extends SocketOptions, ProtocolOptions, ReceivingOptions, ConflateOptions {}

/** What a Request can be set to. */
export interface RequestOptions
  extends
    SocketOptions,
    ProtocolOptions,
    SendingOptions,
    ReceivingOptions,
    RoutingIdOptions,
    ProbeOptions {
  /** Number the requests and drop replies to earlier ones. Default false. Now. ZMQ_REQ_CORRELATE */
  correlate?: boolean;
  /**
   * Allow a new request before the reply to the last, which is then given up; best together with
   * `correlate`. Default false. Now. ZMQ_REQ_RELAXED
   */
  relaxed?: boolean;
}

/** What a Reply can be set to. */
export interface ReplyOptions
  extends SocketOptions, ProtocolOptions, SendingOptions, ReceivingOptions, RoutingIdOptions {}

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

/** What a Dealer can be set to. */
export interface DealerOptions
  extends
    SocketOptions,
    ProtocolOptions,
    SendingOptions,
    ReceivingOptions,
    RoutingIdOptions,
    ProbeOptions,
    HelloOptions,
    HiccupOptions,
    ConflateOptions {}

/** What a Router can be set to. */
export interface RouterOptions
  extends
    SocketOptions,
    ProtocolOptions,
    SendingOptions,
    ReceivingOptions,
    RoutingIdOptions,
    ProbeOptions,
    HelloOptions,
    GoodbyeOptions {
  /**
   * A message for an id that nobody has is EHOSTUNREACH, and send waits for room, instead of dropping
   * the message in either case. Default false. Now. ZMQ_ROUTER_MANDATORY
   */
  mandatory?: boolean;
  /**
   * A new peer takes over an id that another one has, instead of being turned away. Default false.
   * Now. ZMQ_ROUTER_HANDOVER
   */
  handover?: boolean;
  /**
   * Receive [id, empty] when a peer comes ("connect"), goes ("disconnect"), or both ("all"); null
   * neither. Default null. Now. ZMQ_ROUTER_NOTIFY
   */
  notifyPeers?: "connect" | "disconnect" | "all" | null;
}

/** What a Stream can be set to. */
export interface StreamOptions extends SocketOptions, SendingOptions, ReceivingOptions {
  /** Receive [id, empty] when a connection begins and ends. Default true. Now. ZMQ_STREAM_NOTIFY */
  notify?: boolean;
}

/** What a Server can be set to. */
export interface ServerOptions
  extends
    SocketOptions,
    ProtocolOptions,
    SendingOptions,
    ReceivingOptions,
    HelloOptions,
    GoodbyeOptions {}

/** What a Peer can be set to. */
export interface PeerOptions extends ServerOptions, HiccupOptions {}

/** What a Client can be set to. */
export interface ClientOptions
  extends
    SocketOptions,
    ProtocolOptions,
    SendingOptions,
    ReceivingOptions,
    HelloOptions,
    HiccupOptions {}

/** What a Radio can be set to; its topics are the groups. */
export interface RadioOptions
  extends SocketOptions, ProtocolOptions, SendingOptions, PublishingOptions {}

/** What a Dish can be set to. */
export interface DishOptions extends SocketOptions, ProtocolOptions, ReceivingOptions {}

/** What a Gather can be set to. */
export interface GatherOptions extends PullOptions {}

/** What a Scatter can be set to. */
export interface ScatterOptions extends PushOptions {}

/** What a Channel can be set to. */
export interface ChannelOptions extends PairOptions {}

/** The options of each class. */
export interface OptionsOf {
  Pair: PairOptions;
  Publisher: PublisherOptions;
  Subscriber: SubscriberOptions;
  Request: RequestOptions;
  Reply: ReplyOptions;
  Dealer: DealerOptions;
  Router: RouterOptions;
  Pull: PullOptions;
  Push: PushOptions;
  XPublisher: XPublisherOptions;
  XSubscriber: XSubscriberOptions;
  Stream: StreamOptions;
  Server: ServerOptions;
  Client: ClientOptions;
  Radio: RadioOptions;
  Dish: DishOptions;
  Gather: GatherOptions;
  Scatter: ScatterOptions;
  Peer: PeerOptions;
  Channel: ChannelOptions;
}

export type SocketTypeName = keyof OptionsOf;

type Everything = { [Name in SocketTypeName]: (options: OptionsOf[Name]) => void };
type Intersection<Functions> = Functions[keyof Functions] extends (options: infer Options) => void
  ? Options
  : never;

/** Options as the properties of a socket. */
export type Properties<Options> = Required<Omit<Options, "context">>;

/** Every option there is, with a value. */
export type AllOptions = Properties<Intersection<Everything>>;

export type OptionName = keyof AllOptions;

export type OptionNameOf<Type extends SocketTypeName> = keyof Properties<OptionsOf[Type]> &
  OptionName;
