// The options of sockets: one table says everything about each of them, and what is assigned is
// checked against it before it goes into the native record. Names and defaults are zeromq.js's
// unless the table says why not.

import { zmqError } from "./errors.ts";

// ---- Types ------------------------------------------------------------------------------------

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
  /** Connections that wait to be accepted. Default 100. Next. ZMQ_BACKLOG, listen(2) */
  backlog?: number;
  /** Milliseconds for a handshake; 0 no limit. Default 30,000. Next. ZMQ_HANDSHAKE_IVL */
  handshakeInterval?: number;
  /** Milliseconds for connect(2); 0 the kernel's limit. Default 0. Next. ZMQ_CONNECT_TIMEOUT */
  connectTimeout?: number;
  /**
   * Bytes of a received part; a peer that sends more is cut off; -1 no limit. Default -1. Next.
   * ZMQ_MAXMSGSIZE
   */
  maxMessageSize?: number;
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
  /** Queue only for peers that are connected now. Default false. Next. ZMQ_IMMEDIATE */
  immediate?: boolean;
  /** Use IPv6 addresses too: literals, names and "*". Default false. Next. ZMQ_IPV6 */
  ipv6?: boolean;
  /**
   * What a second send or receive gets while one waits: "error" EBUSY, as in zeromq.js; "queue" its
   * turn after the first. Default "error". Now. Not in libzmq.
   */
  concurrency?: "error" | "queue";
}

/** Options of sockets that send. */
export interface SendingOptions {
  /** Bytes; -1 as the kernel is set. Default -1. Next. ZMQ_SNDBUF, SO_SNDBUF */
  sendBufferSize?: number;
  /** Messages queued per peer until send has to wait; 0 no limit. Default 1000. Next. ZMQ_SNDHWM */
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
  /** Messages queued per peer until it has to wait; 0 no limit. Default 1000. Next. ZMQ_RCVHWM */
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

/** What a Push can be set to. */
export interface PushOptions extends SocketOptions, SendingOptions {}

/** What a Pull can be set to. */
export interface PullOptions extends SocketOptions, ReceivingOptions {}

/** What a Request can be set to. */
export interface RequestOptions
  extends SocketOptions, SendingOptions, ReceivingOptions, RoutingIdOptions {
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
  extends SocketOptions, SendingOptions, ReceivingOptions, RoutingIdOptions {}

/** The options of each class. */
export interface OptionsOf {
  Push: PushOptions;
  Pull: PullOptions;
  Request: RequestOptions;
  Reply: ReplyOptions;
}

export type SocketTypeName = keyof OptionsOf;

/** Every option there is, with a value. */
export type AllOptions = Required<PushOptions & PullOptions & RequestOptions & ReplyOptions>;

export type OptionName = keyof AllOptions;

// ---- The table --------------------------------------------------------------------------------

type Kind =
  | { type: "integer"; min: number; max: number; unit: string; except?: number }
  | { type: "boolean" }
  | { type: "bytes"; min: number; max: number }
  | { type: "choice"; choices: readonly string[] };

interface Spec<Value> {
  /** What may be assigned. */
  kind: Kind;
  default: Value;
  /** The libzmq option; null for those of our own. */
  zmq: string | null;
  sockets: readonly SocketTypeName[];
  /** When a new value counts. */
  effect: "now" | "next bind or connect";
  /** Field of the native record (zig/options.zig); null for what TypeScript alone looks at. */
  field: string | null;
}

const row = <Value>(
  kind: Kind, value: Value, zmq: string | null, sockets: readonly SocketTypeName[],
  effect: "now" | "next bind or connect", field: string | null,
): Spec<Value> => ({ kind, default: value, zmq: zmq && `ZMQ_${zmq}`, sockets, effect, field });

/** libzmq's options are C ints, and so is the longest delay of setTimeout. */
const int = 2 ** 31 - 1;
const range = (min: number, max = int, unit = "") => ({ type: "integer", min, max, unit }) as const;
const ms = (min: number) => range(min, int, "ms");
const bytes = range(-1, int, "bytes");
const messages = range(0, int, "messages");
/** setsockopt(2) refuses 0 for these; the kernel's own limits are the maxima. */
const probe = (max: number, unit: string) => ({ ...range(-1, max, unit), except: 0 });
const bool = { type: "boolean" } as const;
const errorOrQueue = { type: "choice", choices: ["error", "queue"] } as const;
const id = { type: "bytes", min: 1, max: 255 } as const;

const now = "now";
const next = "next bind or connect";
const all = ["Push", "Pull", "Request", "Reply"] as const;
const sending = ["Push", "Request", "Reply"] as const;
const receiving = ["Pull", "Request", "Reply"] as const;
const both = ["Request", "Reply"] as const;

/** Everything about every option: whatever is asked of one is asked here. */
export const optionTable: { readonly [Name in OptionName]: Readonly<Spec<AllOptions[Name]>> } = {
  linger: row(ms(-1), 30_000, "LINGER", all, now, "linger_ms"),
  reconnectInterval: row(ms(-1), 100, "RECONNECT_IVL", all, now, "reconnect_interval_ms"),
  reconnectMaxInterval: row(ms(0), 0, "RECONNECT_IVL_MAX", all, now, "reconnect_interval_max_ms"),
  backlog: row(range(0), 100, "BACKLOG", all, next, "backlog"),
  handshakeInterval: row(ms(0), 30_000, "HANDSHAKE_IVL", all, next, "handshake_interval_ms"),
  connectTimeout: row(ms(0), 0, "CONNECT_TIMEOUT", all, next, "connect_timeout_ms"),
  maxMessageSize: row(bytes, -1, "MAXMSGSIZE", all, next, "message_bytes_max"),
  tcpKeepalive: row(range(-1, 1), -1, "TCP_KEEPALIVE", all, next, "tcp_keepalive"),
  tcpKeepaliveCount:
    row(probe(127, "probes"), -1, "TCP_KEEPALIVE_CNT", all, next, "tcp_keepalive_count"),
  tcpKeepaliveIdle:
    row(probe(32_767, "s"), -1, "TCP_KEEPALIVE_IDLE", all, next, "tcp_keepalive_idle_s"),
  tcpKeepaliveInterval:
    row(probe(32_767, "s"), -1, "TCP_KEEPALIVE_INTVL", all, next, "tcp_keepalive_interval_s"),
  tcpMaxRetransmitTimeout: row(ms(0), 0, "TCP_MAXRT", all, next, "tcp_max_retransmit_ms"),
  typeOfService: row(range(0, 255), 0, "TOS", all, next, "type_of_service"),
  immediate: row(bool, false, "IMMEDIATE", all, next, "immediate"),
  ipv6: row(bool, false, "IPV6", all, next, "ipv6"),
  concurrency: row(errorOrQueue, "error", null, all, now, null),
  sendBufferSize: row(bytes, -1, "SNDBUF", sending, next, "send_buffer_bytes"),
  sendHighWaterMark: row(messages, 1000, "SNDHWM", sending, next, "send_high_water_mark"),
  sendTimeout: row(ms(-1), -1, "SNDTIMEO", sending, now, null),
  receiveBufferSize: row(bytes, -1, "RCVBUF", receiving, next, "receive_buffer_bytes"),
  receiveHighWaterMark: row(messages, 1000, "RCVHWM", receiving, next, "receive_high_water_mark"),
  receiveTimeout: row(ms(-1), -1, "RCVTIMEO", receiving, now, null),
  detached: row(bool, false, null, receiving, now, null),
  routingId: row(id, null, "ROUTING_ID", both, next, "routing_id"),
  correlate: row(bool, false, "REQ_CORRELATE", ["Request"], now, "request_correlate"),
  relaxed: row(bool, false, "REQ_RELAXED", ["Request"], now, "request_relaxed"),
};

const names = Object.keys(optionTable) as OptionName[];

/** The value of every option that has not been set. */
export const optionDefaults = Object.freeze(
  Object.fromEntries(names.map((name) => [name, optionTable[name].default])),
) as Readonly<AllOptions>;

/** The options of one class, in the order of the table. */
export function optionNames<Type extends SocketTypeName>(type: Type): (keyof OptionsOf[Type])[] {
  const own = names.filter((name) => optionTable[name].sockets.includes(type));
  return own as (keyof OptionsOf[Type])[];
}

const readOnly =
  /^(type|lastEndpoint|securityMechanism|threadSafe|closed|context|events|readable|writable)$/;

/** Options of zeromq.js that nothing here would act on yet: to accept them would be a lie. */
const notYet = new RegExp(
  "^((curve|gssapi|heartbeat|multicast|plain|vmci|zap)[A-Z].*|affinity|conflate|handover" +
    "|interface|invertMatching|loopbackFastPath|mandatory|manual|noDrop|notify|probeRouter|rate" +
    "|recoveryInterval|socksProxy|tcpAcceptFilter|verbosity|welcomeMessage)$",
);

// ---- Checking ---------------------------------------------------------------------------------

/** A value that may be written: into a number, as bytes (none for null), or kept here (local). */
export type ValidOption =
  | { name: OptionName; kind: "number"; field: string; value: number }
  | { name: OptionName; kind: "bytes"; field: "routing_id"; bytes: Uint8Array }
  | { name: OptionName; kind: "local"; field: null; value: number | boolean | string };

/**
 * Checks one value for one option. TypeError: the class has no such option, or not of this type;
 * ZmqError EINVAL: out of range. A number is never rounded or cut off.
 *
 * ```ts
 * validateOption("Push", "linger", 0); // { name: "linger", kind: "number", field: "linger_ms", … }
 * ```
 */
export function validateOption(type: SocketTypeName, name: string, value: unknown): ValidOption {
  const known = Object.hasOwn(optionTable, name) ? (name as OptionName) : undefined;
  if (known === undefined || !optionTable[known].sockets.includes(type)) {
    throw unknownOption(type, name, known);
  }
  const { kind, field }: Spec<unknown> = optionTable[known];
  const label = `${type} option ${name}`;
  if (kind.type === "bytes") {
    const bytes = checkBytes(label, value, kind);
    return { name: known, kind: "bytes", field: "routing_id", bytes };
  }
  const checked = checkScalar(label, value, kind);
  if (field === null) return { name: known, kind: "local", field, value: checked };
  return { name: known, kind: "number", field, value: Number(checked) };
}

/**
 * Checks the argument of a constructor, key by key; a key whose value is undefined counts as
 * absent. Throws before the first of them is written.
 */
export function validateOptions(type: SocketTypeName, options: unknown): ValidOption[] {
  if (options === undefined) return [];
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    const what = show(options);
    throw new TypeError(`${type} options are an object such as { linger: 0 }, not ${what}`);
  }
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return given.map(([name, value]) => validateOption(type, name, value));
}

/** The `timeout` of a call: milliseconds, 0 not to wait, -1 for ever. */
export function validateTimeout(value: unknown): number {
  return checkInteger("timeout", value, ms(-1));
}

type Range = Extract<Kind, { type: "integer" }>;

type Scalar = Exclude<Kind, { type: "bytes" }>;

function checkScalar(label: string, value: unknown, kind: Scalar): number | boolean | string {
  if (kind.type === "integer") return checkInteger(label, value, kind);
  if (kind.type === "boolean") {
    if (typeof value === "boolean") return value;
    throw new TypeError(`${label} must be true or false, not ${show(value)}`);
  }
  if (typeof value === "string" && kind.choices.includes(value)) return value;
  const allowed = kind.choices.map((choice) => `"${choice}"`).join(" or ");
  throw new TypeError(`${label} must be ${allowed}, not ${show(value)}`);
}

function checkInteger(label: string, value: unknown, { min, max, unit, except }: Range): number {
  const integer = typeof value === "number" && Number.isInteger(value);
  if (integer && value >= min && value <= max && value !== except) return value + 0; // no -0
  const but = except === undefined ? "" : ` except ${except}`;
  const wanted = `an integer from ${min} to ${max}${but}${unit && ` (${unit})`}`;
  const advice = `${label} must be ${wanted}, not ${show(value)}`;
  if (typeof value !== "number") throw new TypeError(advice);
  throw zmqError("EINVAL", { advice: `${advice}.` });
}

function checkBytes(label: string, value: unknown, { min, max }: { min: number; max: number }) {
  if (value === null) return new Uint8Array(0);
  if (typeof value !== "string" && !(value instanceof Uint8Array)) {
    throw new TypeError(`${label} must be a string, a Uint8Array or null, not ${show(value)}`);
  }
  // A copy: the caller's buffer may change before it is used.
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : new Uint8Array(value);
  const { length } = bytes;
  if (length >= min && length <= max && bytes[0] !== 0) return bytes;
  const advice = `${label} must have ${min} to ${max} bytes, the first not 0 (null: none)`;
  throw zmqError("EINVAL", { advice: `${advice}: it has ${length}.` });
}

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 40));
  if (value === null || typeof value === "number" || typeof value === "boolean") return `${value}`;
  return Array.isArray(value) ? "an array" : typeof value;
}

function unknownOption(type: SocketTypeName, name: string, known?: OptionName): TypeError {
  if (readOnly.test(name)) return new TypeError(`${type} property ${name} is read-only`);
  if (notYet.test(name)) {
    return new TypeError(`${type} option ${name} is not supported in this version`);
  }
  const own: string[] = optionNames(type);
  const list = `Options of ${type}: ${own.join(", ")}`;
  if (known !== undefined) {
    const others = optionTable[known].sockets.join(", ");
    return new TypeError(`${type} has no option ${name} (${others} only). ${list}`);
  }
  const near = nearest(name, own);
  const hint = near && ` Did you mean ${near}?`;
  return new TypeError(`${type} has no option ${name}.${hint} ${list}`);
}

/** The option that was probably meant: misspelt, or called by its name in libzmq. */
function nearest(name: string, own: readonly string[]): string {
  const plain = (text: string) => text.toLowerCase().replace(/^zmq_/, "").replaceAll("_", "");
  const asked = plain(name);
  let best = "";
  let bestDistance = Math.max(2, Math.floor(asked.length / 3)) + 1;
  for (const option of own) {
    const texts = [option, optionTable[option as OptionName].zmq ?? option];
    const distance = Math.min(...texts.map((text) => editDistance(asked, plain(text))));
    if (distance >= bestDistance) continue;
    best = option;
    bestDistance = distance;
  }
  return best;
}

/** Levenshtein, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(replace, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
    }
  }
  return row[b.length] ?? 0;
}
