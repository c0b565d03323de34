// What events are called and what they tell; how a record of the native side becomes one.

import { errnoError, ZmqError } from "./errors.ts";
import { MonitorEventType, ProtocolCode, Reason } from "./ffi/abi.generated.ts";
import type { MonitorEvent } from "./ffi/records.ts";

/** Why a connection ended, an attempt failed, or a listener could not accept. */
export type EventReason = Exclude<keyof typeof Reason, "none">;

/** What a peer did wrong in its handshake: libzmq's protocol errors, by zeromq.js's names. */
export type ProtocolErrorCode = (typeof protocolCodes)[keyof typeof protocolCodes];

/** Every event has these, as far as they are known. */
interface Told {
  /** The endpoint it happened to: as bound, or as given to connect. Empty for `end`. */
  address: string;
  /** When: milliseconds since 1970, with a fraction. */
  time: number;
  /** Why, for those that tell of a failure or an end; `local`: because of a call on our side. */
  reason?: EventReason;
  /** Which connection; numbers are not used again soon. */
  connection?: number;
  /** Our end of the connection, such as `tcp://10.0.0.1:41234`; of a listener, where it listens. */
  local?: string;
  /** The other end, or the address that was tried. Of a proxy, if the connection is through one. */
  remote?: string;
  /** The same as `remote`. */
  peer?: string;
  /** The process at the other end of an ipc connection, and its user. */
  credentials?: { pid: number; uid: number };
  /** Who the peer is, as `authenticate` or a ZAP handler has said; from its `handshake` on. */
  userId?: string;
  /** How many events before this one were lost, because they were not read in time. */
  missed?: number;
}

/** What some tell besides. */
interface Details {
  accept: unknown;
  "accept:error": { error: ZmqError };
  bind: unknown;
  /** The error that `bind` rejects with. */
  "bind:error": { error: ZmqError };
  /** A listener was closed, or an attempt to connect has failed. */
  close: unknown;
  /** A listener was closed, but its path could not be removed. */
  "close:error": { error: ZmqError };
  connect: unknown;
  /** An attempt to connect has begun. */
  "connect:delay": unknown;
  /** The next attempt is due in `interval` milliseconds. */
  "connect:retry": { interval: number };
  /** There will be no further attempt. */
  "connect:stop": unknown;
  disconnect: unknown;
  handshake: unknown;
  "handshake:error:protocol": { error: ZmqError & { readonly code: ProtocolErrorCode } };
  /** Refused by authentication, with the status of ZAP where it is known. */
  "handshake:error:auth": {
    error: ZmqError & { status: 300 | 400 | 500 | undefined };
    /** Why our side has refused the peer. */
    rejection?: string;
  };
  "handshake:error:other": { error: ZmqError };
  /** The socket is closed. */
  end: unknown;
}

/** zeromq.js's names of events; none of them is "error", which would throw in an emitter. */
export type EventType = keyof Details;

/** The events of one type, or of some: `EventOfType<"connect:retry">` has an `interval`. */
export type EventOfType<E extends EventType = EventType> = {
  [T in E]: { type: T } & Told & Details[T];
}[E];

/**
 * One event; `type` tells which fields it has.
 *
 * ```ts
 * if (event.type === "connect:retry") console.log(event.interval);
 * ```
 */
export type Event = EventOfType;

const types: Record<number, EventType> = {
  [MonitorEventType.listening]: "bind",
  [MonitorEventType.accepted]: "accept",
  [MonitorEventType.accept_failed]: "accept:error",
  [MonitorEventType.connect_delayed]: "connect:delay",
  [MonitorEventType.connected]: "connect",
  [MonitorEventType.connect_retried]: "connect:retry",
  [MonitorEventType.connect_stopped]: "connect:stop",
  [MonitorEventType.connect_failed]: "close",
  [MonitorEventType.handshake_succeeded]: "handshake",
  [MonitorEventType.handshake_failed_protocol]: "handshake:error:protocol",
  [MonitorEventType.handshake_failed_auth]: "handshake:error:auth",
  [MonitorEventType.handshake_failed_other]: "handshake:error:other",
  [MonitorEventType.disconnected]: "disconnect",
  [MonitorEventType.closed]: "close",
  [MonitorEventType.close_failed]: "close:error",
};

const reasons = new Map(
  Object.entries(Reason).map(([name, value]) => [value as number, name as EventReason]),
);

const protocolCodes = {
  [ProtocolCode.zmtp_unspecified]: "ERR_ZMTP_UNSPECIFIED",
  [ProtocolCode.unexpected_command]: "ERR_ZMTP_UNEXPECTED_COMMAND",
  [ProtocolCode.invalid_sequence]: "ERR_ZMTP_INVALID_SEQUENCE",
  [ProtocolCode.key_exchange]: "ERR_ZMTP_KEY_EXCHANGE",
  [ProtocolCode.malformed_command]: "ERR_ZMTP_MALFORMED_COMMAND_UNSPECIFIED",
  [ProtocolCode.malformed_message]: "ERR_ZMTP_MALFORMED_COMMAND_MESSAGE",
  [ProtocolCode.malformed_hello]: "ERR_ZMTP_MALFORMED_COMMAND_HELLO",
  [ProtocolCode.malformed_initiate]: "ERR_ZMTP_MALFORMED_COMMAND_INITIATE",
  [ProtocolCode.malformed_error]: "ERR_ZMTP_MALFORMED_COMMAND_ERROR",
  [ProtocolCode.malformed_ready]: "ERR_ZMTP_MALFORMED_COMMAND_READY",
  [ProtocolCode.malformed_welcome]: "ERR_ZMTP_MALFORMED_COMMAND_WELCOME",
  [ProtocolCode.invalid_metadata]: "ERR_ZMTP_INVALID_METADATA",
  [ProtocolCode.cryptographic]: "ERR_ZMTP_CRYPTOGRAPHIC",
  [ProtocolCode.mechanism_mismatch]: "ERR_ZMTP_MECHANISM_MISMATCH",
  [ProtocolCode.zap_unspecified]: "ERR_ZAP_UNSPECIFIED",
  [ProtocolCode.zap_malformed_reply]: "ERR_ZAP_MALFORMED_REPLY",
  [ProtocolCode.zap_bad_request_id]: "ERR_ZAP_BAD_REQUEST_ID",
  [ProtocolCode.zap_bad_version]: "ERR_ZAP_BAD_VERSION",
  [ProtocolCode.zap_invalid_status]: "ERR_ZAP_INVALID_STATUS_CODE",
  [ProtocolCode.zap_invalid_metadata]: "ERR_ZAP_INVALID_METADATA",
  [ProtocolCode.websocket_unspecified]: "ERR_WS_UNSPECIFIED",
} as const;

/** In zeromq.js's words. */
const statuses: Record<number, string> = {
  300: "Temporary error",
  400: "Authentication failure",
  500: "Internal error",
};

const EPROTO = 71;
const EACCES = 13;

/** What libzmq has for a handshake that ended without a fault in it; others are EPROTO. */
const errnos: Partial<Record<EventReason, number>> = {
  handshake_timeout: 11,
  authentication_unavailable: EACCES,
  out_of_memory: 12,
  peer_refused: 16,
  peer_closed: 32,
  frame_too_large: 90,
  duplicate_routing_id: 98,
  connection_reset: 104,
  connection_timed_out: 110,
};

/** `address` is the endpoint's text, "" where it is not known any more. */
export function toEvent(native: MonitorEvent, address: string): Event {
  const type = types[native.type] as EventType;
  const event: Told & { type: EventType } = { type, address, time: native.timeUs / 1000 };
  const reason = native.reason === Reason.none ? undefined : reasons.get(native.reason);
  if (reason !== undefined) event.reason = reason;
  if (native.connection !== 0) event.connection = native.connection;
  addEnds(event, native);
  if (native.pid !== 0) event.credentials = { pid: native.pid, uid: native.uid };
  if (native.missed !== 0) event.missed = native.missed;
  return Object.assign(event, details(event, native.value)) as Event;
}

/** A name in the process has no addresses: it is the end of whoever bound it. */
function addEnds(event: Told, native: MonitorEvent): void {
  const inproc = event.address.startsWith("inproc://") ? event.address : "";
  const connects = native.connection === native.endpoint;
  const local = native.local || (connects ? "" : inproc);
  const remote = native.remote || (connects ? inproc : "");
  if (local !== "") event.local = local;
  if (remote === "") return;
  event.remote = remote;
  event.peer = remote;
}

function acceptError(errno: number, reason: EventReason, endpoint: string): ZmqError {
  if (reason !== "too_many_connections") {
    const short = reason === "descriptors_exhausted";
    const advice = short ? "Raise the limit of descriptors (ulimit -n): until one is free nobody gets in." : undefined;
    return errnoError(errno, { endpoint, advice });
  }
  const text = "The listener has as many connections as it may have";
  const advice = "Others wait until one ends, or raise its connectionsMax.";
  return errnoError(errno, { endpoint, text, advice });
}

function details(event: Told & { type: EventType }, value: number): object {
  const { type, reason = "io_error", address } = event;
  switch (type) {
    case "connect:retry":
      return { interval: value };
    case "accept:error":
      return { error: acceptError(value, reason, address) };
    case "close:error": {
      const advice = "Its path was removed by somebody else, or is to be removed by hand.";
      return { error: errnoError(value, { endpoint: address, advice }) };
    }
    case "handshake:error:protocol": {
      const code = protocolCodes[value as keyof typeof protocolCodes] ?? "ERR_ZMTP_UNSPECIFIED";
      const kind = code.startsWith("ERR_ZAP") ? "ZAP" : "ZMTP";
      return { error: failure(event, `${kind} protocol error (${reason})`, code, EPROTO) };
    }
    case "handshake:error:auth": {
      const text = statuses[value];
      const error = failure(event, text ?? "Refused by the peer", "EACCES", EACCES);
      return { error: Object.assign(error, { status: text === undefined ? undefined : value }) };
    }
    case "handshake:error:other": {
      const advice = "The connection ended before both sides had agreed.";
      const text = `Handshake failed (${reason})`;
      const endpoint = event.remote ?? address;
      return { error: errnoError(errnos[reason] ?? EPROTO, { endpoint, text, advice }) };
    }
    default:
      return {};
  }
}

function failure(event: Told, text: string, code: string, errno: number): ZmqError {
  const endpoint = event.remote ?? event.address;
  return new ZmqError(`${text}: ${endpoint}`, code, errno, { endpoint });
}
