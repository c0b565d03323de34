// The table of options: values, units, ranges, defaults, sockets, effect, the name in libzmq and the
// field of the native record. Whatever is asked of an option is asked here.

import type { AllOptions, OptionName, OptionNameOf, SocketTypeName } from "./options.ts";

export type Kind =
  | { type: "integer"; min: number; max: number; unit: string; except?: number }
  | { type: "boolean" }
  /** A routing id is no part of a message, and Router's own begin with 0. */
  | { type: "bytes"; min: number; max: number; first?: "not 0" }
  | { type: "text"; max: number; check?: (text: string) => string | undefined }
  /** Of CURVE: Z85, or 32 bytes. */
  | { type: "key" }
  | { type: "authenticate" }
  /** The native value is the index. */
  | { type: "choice"; choices: readonly (string | boolean | null)[] }
  /** The native value has the bit of each index. */
  | { type: "set"; choices: readonly string[] }
  | { type: "properties"; max: number };

/** "next connection": also at an endpoint that is there. */
export type Effect = "now" | "next connection" | "next bind or connect";

export interface Spec<Value> {
  /** What may be assigned. */
  kind: Kind;
  default: Value;
  /** The libzmq option; null for those of our own. */
  zmq: string | null;
  sockets: readonly SocketTypeName[];
  /** When a new value counts. */
  effect: Effect;
  /**
   * Field of the native record or name of a byte string (zig/options.zig); null for what TypeScript
   * alone looks at.
   */
  field: string | null;
}

const row = <Value>(
  kind: Kind, value: Value, zmq: string | null, sockets: readonly SocketTypeName[],
  effect: Effect, field: string | null,
): Spec<Value> => ({ kind, default: value, zmq: zmq && `ZMQ_${zmq}`, sockets, effect, field });

/** libzmq's options are C ints, and so is the longest delay of setTimeout. */
const int = 2 ** 31 - 1;
const range = (min: number, max = int, unit = "") => ({ type: "integer", min, max, unit }) as const;
export const ms = (min: number) => range(min, int, "ms");
const bytes = range(-1, int, "bytes");
const messages = range(0, int, "messages");
/** setsockopt(2) refuses 0 for these; the kernel's own limits are the maxima. */
const probe = (max: number, unit: string) => ({ ...range(-1, max, unit), except: 0 });
const bool = { type: "boolean" } as const;
const choice = (...choices: (string | boolean | null)[]) => ({ type: "choice", choices }) as const;
const set = (...choices: string[]) => ({ type: "set", choices }) as const;
const text = (max: number) => ({ type: "text", max }) as const;
/** IFNAMSIZ counts the NUL; what a name cannot have is what ip(8) refuses. */
const device = { type: "text", max: 15, check: interfaceAdvice } as const;
const proxy = { type: "text", max: 261, check: proxyAdvice } as const;
const id = { type: "bytes", min: 1, max: 255, first: "not 0" } as const;
const username = { type: "text", max: 255, check: emptyAdvice } as const;
const key = { type: "key" } as const;
const authenticate = { type: "authenticate" } as const;
/** Every peer may get one, so it must not be what fills the memory. */
const part = { type: "bytes", min: 0, max: 1024 * 1024 } as const;
/** A READY command with them goes out with every connection. */
const properties = { type: "properties", max: 2048 } as const;

const now = "now";
const fresh = "next connection";
const next = "next bind or connect";

/** In the order of libzmq's numbers. */
export const socketTypes: readonly SocketTypeName[] = [
  "Pair", "Publisher", "Subscriber", "Request", "Reply", "Dealer", "Router", "Pull", "Push",
  "XPublisher", "XSubscriber", "Stream", "Server", "Client", "Radio", "Dish", "Gather", "Scatter",
  "Peer", "Channel",
];
const but = (...others: SocketTypeName[]) => socketTypes.filter((type) => !others.includes(type));

const all = socketTypes;
const zmtp = but("Stream");
const sending = but("Subscriber", "Pull", "Dish", "Gather");
const receiving = but("Publisher", "Push", "Radio", "Scatter");
const named = ["Request", "Reply", "Dealer", "Router"] as const;
const probing = ["Request", "Dealer", "Router"] as const;
const newest = [
  "Publisher", "Subscriber", "Dealer", "Pull", "Push", "Gather", "Scatter",
] as const;
const publishing = ["Publisher", "XPublisher", "Radio"] as const;
const dropping = [...publishing, "Router"] as const;
const greeting = ["Dealer", "Router", "Server", "Client", "Peer"] as const;
const parting = ["Router", "Server", "Peer"] as const;
const redialling = ["Dealer", "Client", "Peer"] as const;
const matching = ["Publisher", "Subscriber", "XPublisher"] as const;
const raw = ["XPublisher", "XSubscriber"] as const;

/** Everything about every option. */
export const optionTable: { readonly [Name in OptionName]: Readonly<Spec<AllOptions[Name]>> } = {
  linger: row(ms(-1), 30_000, "LINGER", all, now, "linger_ms"),
  reconnectInterval: row(ms(-1), 100, "RECONNECT_IVL", all, now, "reconnect_interval_ms"),
  reconnectMaxInterval: row(ms(0), 0, "RECONNECT_IVL_MAX", all, now, "reconnect_interval_max_ms"),
  reconnectStop: row(
    set("connectionRefused", "handshakeFailed", "afterDisconnect"), [], "RECONNECT_STOP", all, now,
    "reconnect_stop",
  ),
  permanentFailure:
    row(choice("fail", "keep", "retry"), "fail", null, zmtp, now, "permanent_failure"),
  backlog: row(range(0), 100, "BACKLOG", all, next, "backlog"),
  connectionsMax: row(range(0), 65_536, null, all, next, "connections_max"),
  handshakesMax: row(range(0), 1000, null, zmtp, now, "handshakes_max"),
  handshakeInterval: row(ms(0), 30_000, "HANDSHAKE_IVL", zmtp, next, "handshake_interval_ms"),
  heartbeatInterval: row(ms(0), 0, "HEARTBEAT_IVL", zmtp, next, "heartbeat_interval_ms"),
  heartbeatTimeout: row(ms(-1), -1, "HEARTBEAT_TIMEOUT", zmtp, now, "heartbeat_timeout_ms"),
  heartbeatTimeToLive:
    row(range(0, 6_553_599, "ms"), 0, "HEARTBEAT_TTL", zmtp, now, "heartbeat_ttl_ms"),
  connectTimeout: row(ms(0), 0, "CONNECT_TIMEOUT", all, next, "connect_timeout_ms"),
  messagePartsMax: row(range(0), 65_536, null, zmtp, next, "message_parts_max"),
  messageBytesMax: row(range(0, int, "bytes"), int, null, zmtp, next, "whole_message_bytes_max"),
  maxMessageSize: row(bytes, -1, "MAXMSGSIZE", zmtp, next, "message_bytes_max"),
  tcpKeepalive: row(range(-1, 1), -1, "TCP_KEEPALIVE", all, next, "tcp_keepalive"),
  tcpKeepaliveCount:
    row(probe(127, "probes"), -1, "TCP_KEEPALIVE_CNT", all, next, "tcp_keepalive_count"),
  tcpKeepaliveIdle:
    row(probe(32_767, "s"), -1, "TCP_KEEPALIVE_IDLE", all, next, "tcp_keepalive_idle_s"),
  tcpKeepaliveInterval:
    row(probe(32_767, "s"), -1, "TCP_KEEPALIVE_INTVL", all, next, "tcp_keepalive_interval_s"),
  tcpMaxRetransmitTimeout: row(ms(0), 0, "TCP_MAXRT", all, next, "tcp_max_retransmit_ms"),
  typeOfService: row(range(0, 255), 0, "TOS", all, next, "type_of_service"),
  priority: row(range(0), 0, "PRIORITY", all, next, "priority"),
  busyPoll: row(range(0), 0, "BUSY_POLL", all, next, "busy_poll_us"),
  interface: row(device, null, "BINDTODEVICE", all, next, "device"),
  useFd: row(range(-1), -1, "USE_FD", all, next, "use_fd"),
  socksProxy: row(proxy, null, "SOCKS_PROXY", all, next, null),
  socksUsername: row(text(255), null, "SOCKS_USERNAME", all, next, null),
  socksPassword: row(text(255), null, "SOCKS_PASSWORD", all, next, null),
  plainServer: row(bool, false, "PLAIN_SERVER", zmtp, fresh, null),
  plainUsername: row(username, null, "PLAIN_USERNAME", zmtp, fresh, null),
  plainPassword: row(text(255), null, "PLAIN_PASSWORD", zmtp, fresh, null),
  curveServer: row(bool, false, "CURVE_SERVER", zmtp, fresh, null),
  curvePublicKey: row(key, null, "CURVE_PUBLICKEY", zmtp, fresh, null),
  curveSecretKey: row(key, null, "CURVE_SECRETKEY", zmtp, fresh, null),
  curveServerKey: row(key, null, "CURVE_SERVERKEY", zmtp, fresh, null),
  zapDomain: row(text(255), null, "ZAP_DOMAIN", zmtp, fresh, null),
  zapEnforceDomain: row(bool, true, "ZAP_ENFORCE_DOMAIN", zmtp, fresh, null),
  authenticate: row(authenticate, null, null, zmtp, fresh, null),
  authenticateTimeout: row(ms(1), 5000, null, zmtp, now, null),
  authenticateMax: row(range(1), 100, null, zmtp, now, null),
  immediate: row(bool, false, "IMMEDIATE", all, next, "immediate"),
  ipv6: row(bool, false, "IPV6", all, next, "ipv6"),
  concurrency: row(choice("error", "queue"), "error", null, all, now, null),
  sendBufferSize: row(bytes, -1, "SNDBUF", sending, next, "send_buffer_bytes"),
  sendHighWaterMark: row(messages, 1000, "SNDHWM", sending, now, "send_high_water_mark"),
  sendHighWaterMarkBytes:
    row(range(0, int, "bytes"), 0, null, sending, now, "send_high_water_mark_bytes"),
  sendHighWaterMarkPolicy: row(
    choice("dropNewest", "dropOldest", "disconnect"), "dropNewest", null, dropping, now,
    "send_high_water_mark_policy",
  ),
  sendTimeout: row(ms(-1), -1, "SNDTIMEO", sending, now, null),
  receiveBufferSize: row(bytes, -1, "RCVBUF", receiving, next, "receive_buffer_bytes"),
  receiveHighWaterMark: row(messages, 1000, "RCVHWM", receiving, now, "receive_high_water_mark"),
  receiveHighWaterMarkBytes:
    row(range(0, int, "bytes"), 0, null, receiving, now, "receive_high_water_mark_bytes"),
  receiveTimeout: row(ms(-1), -1, "RCVTIMEO", receiving, now, null),
  detached: row(bool, false, null, receiving, now, null),
  metadata: row(properties, null, "METADATA", zmtp, next, "metadata"),
  routingId: row(id, null, "ROUTING_ID", named, next, "routing_id"),
  probeRouter: row(bool, false, "PROBE_ROUTER", probing, now, "probe_router"),
  conflate: row(bool, false, "CONFLATE", newest, next, "conflate"),
  correlate: row(bool, false, "REQ_CORRELATE", ["Request"], now, "request_correlate"),
  relaxed: row(bool, false, "REQ_RELAXED", ["Request"], now, "request_relaxed"),
  mandatory: row(bool, false, "ROUTER_MANDATORY", ["Router"], now, "router_mandatory"),
  handover: row(bool, false, "ROUTER_HANDOVER", ["Router"], now, "router_handover"),
  notifyPeers: row(
    choice(null, "connect", "disconnect", "all"), null, "ROUTER_NOTIFY", ["Router"], now,
    "router_notify",
  ),
  helloMessage: row(part, null, "HELLO_MSG", greeting, now, "hello_message"),
  disconnectMessage: row(part, null, "DISCONNECT_MSG", parting, now, "disconnect_message"),
  hiccupMessage: row(part, null, "HICCUP_MSG", redialling, now, "hiccup_message"),
  notify: row(bool, true, "STREAM_NOTIFY", ["Stream"], now, "stream_notify"),
  noDrop: row(bool, false, "XPUB_NODROP", publishing, now, "publisher_no_drop"),
  verbosity: row(
    choice(null, "allSubs", "allSubsUnsubs"), null, "XPUB_VERBOSE, ZMQ_XPUB_VERBOSER",
    ["XPublisher"], now, "publisher_verbosity",
  ),
  manual: row(
    choice(false, true, "lastValue"), false, "XPUB_MANUAL, ZMQ_XPUB_MANUAL_LAST_VALUE",
    ["XPublisher"], now, "publisher_manual",
  ),
  welcomeMessage:
    row(part, null, "XPUB_WELCOME_MSG", ["XPublisher"], now, "welcome_message"),
  invertMatching: row(bool, false, "INVERT_MATCHING", matching, now, "invert_matching"),
  onlyFirstSubscribe: row(bool, false, "ONLY_FIRST_SUBSCRIBE", raw, now, "only_first_subscribe"),
  verboseUnsubscribe: row(
    bool, false, "XSUB_VERBOSE_UNSUBSCRIBE", ["XSubscriber"], now,
    "subscriber_verbose_unsubscribe",
  ),
  subscriptionsMax: row(range(0), 100_000, null, publishing, now, "subscriptions_max"),
  subscriptionBytesMax:
    row(range(0, int, "bytes"), 2 ** 24, null, publishing, now, "subscription_bytes_max"),
};

const names = Object.keys(optionTable) as OptionName[];

/** Nothing that is printed shows these: no inspection, no error. */
export const secretOptions: ReadonlySet<string> = new Set<OptionName>([
  "plainPassword", "curveSecretKey", "socksPassword",
]);

/** The value of every option that has not been set. */
export const optionDefaults = Object.freeze(
  Object.fromEntries(names.map((name) => [name, optionTable[name].default])),
) as Readonly<AllOptions>;

/** Where a class has another default, as in libzmq: nothing these send is worth a wait at the end. */
export const otherDefaults: Partial<Record<SocketTypeName, Partial<AllOptions>>> = {
  Subscriber: { linger: 0 },
  XSubscriber: { linger: 0 },
  Dish: { linger: 0 },
};

/** The defaults of one class. */
export function defaultsOf(type: SocketTypeName): AllOptions {
  const own = optionNames(type) as OptionName[];
  const common = Object.fromEntries(own.map((name) => [name, optionTable[name].default]));
  return { ...(common as AllOptions), ...otherDefaults[type] };
}

/** The options of one class, in the order of the table. */
export function optionNames<Type extends SocketTypeName>(type: Type): OptionNameOf<Type>[] {
  const own = names.filter((name) => optionTable[name].sockets.includes(type));
  return own as OptionNameOf<Type>[];
}

function emptyAdvice(text: string): string | undefined {
  return text === "" ? "has 1 to 255 bytes, or is null for none" : undefined;
}

function interfaceAdvice(name: string): string | undefined {
  if (name !== "" && name !== "." && name !== ".." && !/[/:\s\0]/.test(name)) return undefined;
  return `is the name of an interface such as "eth0", or null for any, not ${JSON.stringify(name)}`;
}

function proxyAdvice(proxy: string): string | undefined {
  const [, host, port] = /^(\[[^[\]]+\]|[^:[\]\s]+):(\d{1,5})$/.exec(proxy) ?? [];
  const number = Number(port);
  if (host !== undefined && host !== "*" && number > 0 && number < 65536) return undefined;
  return `is host:port such as "proxy.example:1080" or "[::1]:1080", not ${JSON.stringify(proxy)}`;
}
