// Every error of this library that is not a plain TypeError: one class, one table of codes. The
// beginning of each text is what zeromq.js programs match on; what to do about it follows.

import { errnoName, node } from "./node.ts";

/** Linux error numbers, and those libzmq defines itself (`ZMQ_HAUSNUMERO` and up). */
const numbers = {
  EACCES: 13,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  EAFNOSUPPORT: 97,
  EAGAIN: 11,
  EBADF: 9,
  EBUSY: 16,
  ECONNREFUSED: 111,
  EFSM: 156384763,
  EHOSTUNREACH: 113,
  EINVAL: 22,
  EIO: 5,
  ELOOP: 40,
  EMFILE: 24,
  EMSGSIZE: 90,
  EMTHREAD: 156384766,
  ENAMETOOLONG: 36,
  ENETUNREACH: 101,
  ENFILE: 23,
  ENOBUFS: 105,
  ENOCOMPATPROTO: 156384764,
  ENODEV: 19,
  ENOENT: 2,
  ENOMEM: 12,
  ENOSYS: 38,
  ENOTDIR: 20,
  ENOTSUP: 95,
  EPERM: 1,
  EPROTO: 71,
  EPROTONOSUPPORT: 93,
  EROFS: 30,
  ETERM: 156384765,
} as const;

/** The codes an error of this library can have. */
export type ErrorCode = keyof typeof numbers;

/** [how the message begins, what to do about it] */
const texts: Record<ErrorCode, readonly [text: string, advice: string]> = {
  EACCES: [
    "Permission denied",
    "Ports below 1024 need CAP_NET_BIND_SERVICE, ipc sockets write access to their directory.",
  ],
  EADDRINUSE: [
    "Address already in use",
    "Another socket is bound to it: close that one, or choose another address.",
  ],
  EADDRNOTAVAIL: [
    "Address not available",
    "No interface of this machine has it: bind to one of its own addresses, or to tcp://*:port.",
  ],
  EAFNOSUPPORT: [
    "Address family not supported",
    "For IPv6 addresses set the socket option ipv6 to true first.",
  ],
  EAGAIN: [
    "Operation was not possible or timed out",
    "Try again, or give it more time with the timeout of the call or of the socket.",
  ],
  EBADF: ["Socket is closed", "Create a new socket; a closed one cannot be used again."],
  EBUSY: ["Socket is busy", "Await the operation before this one, then try again."],
  ECONNREFUSED: ["Connection refused", "Nobody listens there: check that the peer is bound."],
  EFSM: [
    "Operation cannot be accomplished in current state",
    "Request: send, then receive. Reply: receive, then send.",
  ],
  EHOSTUNREACH: ["Host unreachable", "Check the name or address of the peer, and the network."],
  EINVAL: ["Invalid argument", "Check the value that was passed."],
  EIO: ["Input/output error", "The cause is in the system log, if anywhere."],
  ELOOP: ["Too many levels of symbolic links", "Use a path without a loop of links."],
  EMFILE: [
    "Too many open file descriptors",
    "Close sockets that are no longer needed, or raise the limit (ulimit -n).",
  ],
  EMSGSIZE: ["Message too long", "Split it into smaller messages or parts."],
  EMTHREAD: ["No thread available", "Create the sockets on fewer threads."],
  ENAMETOOLONG: ["File name too long", "Use a shorter path or name."],
  ENETUNREACH: ["Network is unreachable", "Check the address of the peer, and the routes to it."],
  ENFILE: ["Too many open files in system", "Close some, or raise fs.file-max."],
  ENOBUFS: ["No buffer space available", "Send less at once, or close idle connections."],
  ENOCOMPATPROTO: [
    "The protocol is not compatible with the socket type",
    "Use a transport that this socket type supports.",
  ],
  ENODEV: ["No such device", "Check the name of the interface (ip address) or of the host."],
  // The same code stands for a missing file and for an endpoint that was never bound or connected.
  ENOENT: [
    "No such endpoint",
    "Pass the endpoint exactly as it was bound or connected; after a wildcard, lastEndpoint.",
  ],
  ENOMEM: ["Cannot allocate memory", "Close sockets, or lower the high-water marks."],
  ENOSYS: [
    "Function not implemented",
    "The kernel does not have it, or a seccomp profile hides it.",
  ],
  ENOTDIR: ["Not a directory", "Every part of the path but the last must be a directory."],
  ENOTSUP: ["Operation not supported", "This socket type cannot do it."],
  EPERM: ["Operation not permitted", "Check the permissions of this process."],
  EPROTO: ["Protocol error", "The peer does not speak ZMTP 3: check what listens there."],
  EPROTONOSUPPORT: ["Protocol not supported", "Use tcp://, ipc:// or inproc://."],
  EROFS: ["Read-only file system", "Put the ipc socket on a file system that can be written."],
  ETERM: ["Context was terminated", "Create a new context and sockets."],
};

/** What is known about one failure beyond its code. */
export interface ErrorDetail {
  /** The endpoint it is about, as the caller wrote it. */
  endpoint?: string | undefined;
  /** What to do about it, in sentences; without it the advice that fits the code in general. */
  advice?: string | undefined;
  /** Replaces the text the message begins with, where one code has several (EBUSY, ENOENT). */
  text?: string | undefined;
  /** The error behind this one. */
  cause?: unknown;
}

/**
 * A failed operation on a socket. Branch on `code`; there are no subclasses. A wait that was
 * aborted rejects with the reason of its signal instead, a value of the wrong type with TypeError.
 *
 * ```ts
 * try {
 *   const [reply] = await socket.receive({ timeout: 500 });
 * } catch (error) {
 *   if (!(error instanceof ZmqError && error.code === "EAGAIN")) throw error;
 *   // no reply within half a second
 * }
 * ```
 */
export class ZmqError extends Error {
  /** Symbolic name, such as "EADDRINUSE". See {@link ErrorCode}. */
  readonly code: string;
  /** Positive number of the error: Linux's, or libzmq's own for EFSM, ETERM and their like. */
  readonly errno: number;
  /** The endpoint it happened at, if there is one; zeromq.js's name for `endpoint`. */
  declare readonly address?: string;
  /** The endpoint it happened at, if there is one. */
  declare readonly endpoint?: string;

  static {
    // On the prototype, as for the built-in errors: not one more line in every printed error.
    const name = { value: "ZmqError", writable: true, configurable: true };
    Object.defineProperty(this.prototype, "name", name);
  }

  constructor(message: string, code: string, errno: number, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.code = code;
    this.errno = errno;
    if (detail.endpoint === undefined) return;
    this.address = detail.endpoint;
    this.endpoint = detail.endpoint;
  }
}

/**
 * The error for a code, with a message of three parts: what, where, and what to do about it.
 *
 * ```ts
 * throw zmqError("EADDRINUSE", { endpoint: "tcp://127.0.0.1:5555" });
 * // Address already in use: tcp://127.0.0.1:5555. Choose another port, or bind to …
 * ```
 */
export function zmqError(code: ErrorCode, detail: ErrorDetail = {}): ZmqError {
  const [text, advice] = texts[code];
  const what = detail.text ?? text;
  const where = detail.endpoint === undefined ? "" : `: ${detail.endpoint}`;
  const todo = detail.advice ?? adviceFor(code, detail.endpoint) ?? advice;
  const error = new ZmqError(`${what}${where}. ${todo}`, code, numbers[code], detail);
  // The stack starts at whoever asked for the error.
  Error.captureStackTrace(error, zmqError);
  return error;
}

/** Advice that names the very thing to write, where the endpoint allows it. */
function adviceFor(code: ErrorCode, endpoint: string | undefined): string | undefined {
  if (endpoint === undefined) return undefined;
  const host = /^(tcp:\/\/.+):\d+$/.exec(endpoint)?.[1];
  if (code === "EADDRINUSE" && host !== undefined) {
    return `Choose another port, or bind to ${host}:* and read lastEndpoint.`;
  }
  if (code === "EADDRINUSE" && endpoint.startsWith("ipc://")) {
    return "Choose another path, or bind to ipc://* and read lastEndpoint.";
  }
  return undefined;
}

/**
 * The error for the error number of a system call (of either sign), whether it is in our table or
 * not. From the kernel ENOENT is about a file, so the advice is another one than for unbind.
 */
export function errnoError(errno: number, detail: ErrorDetail = {}): ZmqError {
  const positive = Math.abs(errno);
  const code = codeOf(positive);
  if (code !== undefined) {
    const advice = detail.advice ?? missingDirectory(code, detail.endpoint);
    const error = zmqError(code, { ...detail, advice });
    Error.captureStackTrace(error, errnoError);
    return error;
  }
  const name = systemName(positive);
  const where = detail.endpoint === undefined ? "" : `: ${detail.endpoint}`;
  const todo = detail.advice === undefined ? "" : ` ${detail.advice}`;
  const message = `${detail.text ?? `System error ${positive}`} (${name})${where}.${todo}`;
  return new ZmqError(message, name, positive, detail);
}

/** What a connect failed with. */
export function connectError(errno: number, endpoint: string): ZmqError {
  const error = errnoError(errno, { endpoint });
  if (error.code !== "EADDRINUSE") return error;
  // No address is looked at yet.
  const advice = "Another connection of this socket has it: disconnect that one, or choose another.";
  return zmqError("EADDRINUSE", { endpoint, text: "Routing id already in use", advice });
}

const codes = new Map<number, ErrorCode>(
  Object.entries(numbers).map(([code, number]) => [number, code as ErrorCode]),
);

/** The code of a positive error number; undefined for one that is not in the table. */
export function codeOf(errno: number): ErrorCode | undefined {
  return codes.get(errno);
}

function missingDirectory(code: ErrorCode, endpoint = ""): string | undefined {
  const path = /^ipc:\/\/([^@*].*)$/s.exec(endpoint)?.[1];
  if (code !== "ENOENT" || path === undefined) return undefined;
  return `The directory ${node.path.dirname(path)} does not exist: create it first.`;
}

function systemName(errno: number): string {
  return errnoName(errno) ?? `E${errno}`;
}

/** EBUSY in the words of zeromq.js for what the socket is doing. */
export function busyError(activity: "writing" | "reading" | "binding" | "proxying"): ZmqError {
  if (activity === "proxying") {
    return zmqError("EBUSY", {
      text: "Socket is used by a proxy",
      advice: "It is the proxy's until `proxy.terminate()`, which closes it.",
    });
  }
  if (activity === "binding") {
    return zmqError("EBUSY", {
      text: "Socket is blocked by a bind or unbind operation",
      advice: "Await the bind or unbind before this call.",
    });
  }
  const call = activity === "writing" ? "send" : "receive";
  return zmqError("EBUSY", {
    text: `Socket is busy ${activity}`,
    advice: `Await the ${call} before this one, or set the socket option concurrency to "queue".`,
  });
}
