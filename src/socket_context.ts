// A context as users know it: a group of sockets with limits, defaults and inproc names of its own.
// All contexts of a thread share its native one, which has no settings.

import { inspect } from "node:util";
import { threadId } from "node:worker_threads";
import { zmqError } from "./errors.ts";
import { checkInteger } from "./option_check.ts";
import type { AllOptions } from "./options.ts";

/** What a context can be set to. Defaults are those of libzmq. */
export interface ContextOptions {
  /** Sockets that may be open in it at a time. Default 1023. ZMQ_MAX_SOCKETS */
  maxSockets?: number;
  /**
   * `maxMessageSize` of new sockets, bytes; -1 no limit. Default -1. ZMQ_MAX_MSGSZ (which libzmq
   * stores and does not enforce)
   */
  maxMessageSize?: number;
  /** `ipv6` of new sockets. Default false. ZMQ_IPV6 */
  ipv6?: boolean;
  /** False: `linger` of new sockets is 0. Default true. ZMQ_BLOCKY */
  blocky?: boolean;
}

/** What carries a thread's sockets. */
export interface Backend {
  /** `epoll` where io_uring is missing or forbidden. */
  name: "io_uring" | "epoll";
  /** What calls Bun's event loop: the ring's eventfd, Linux AIO, or a thread that only does that. */
  wake: "eventfd" | "aio" | "thread";
  /** Why it is not io_uring. */
  reason: string | undefined;
}

const SOCKETS_MAX = 65_535;

const socketCount = { type: "integer", min: 1, max: SOCKETS_MAX, unit: "sockets" } as const;
const bytes = { type: "integer", min: -1, max: 2 ** 31 - 1, unit: "bytes" } as const;

type Check = (name: string, value: unknown) => unknown;

const checks: Record<keyof ContextOptions, Check> = {
  maxSockets: (name, value) => checkInteger(name, value, socketCount),
  maxMessageSize: (name, value) => checkInteger(name, value, bytes),
  ipv6: checkBoolean,
  blocky: checkBoolean,
};

function checkBoolean(name: string, value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw new TypeError(`${name} must be true or false, not ${typeof value}`);
}

let made = 0;
let readBackend: () => Backend;

/** @internal From the native side, which is above this file. */
export function provideBackend(read: () => Backend): void {
  readBackend = read;
}

const open = Symbol("monocoque.open");
const values = Symbol("monocoque.values");

/**
 * A group of sockets: how many there may be, what they start with, and the inproc names they share.
 * The common one is {@link context}, whose inproc names are the same in all Workers; those of another
 * context are known to its own sockets only. Source: zmq_ctx_new(3), zmq_ctx_set(3).
 *
 * ```ts
 * const quiet = new Context({ blocky: false });
 * await using push = new Push({ context: quiet }); // linger: 0
 * ```
 */
export class Context {
  /** @internal Sockets that are open. */
  [open] = 0;
  /** @internal */
  readonly [values]: Required<ContextOptions> = {
    maxSockets: 1023,
    maxMessageSize: -1,
    ipv6: false,
    blocky: true,
  };
  /** @internal What inproc names begin with; no name that is written has a NUL. */
  readonly inprocNamespace: string;

  constructor(options: ContextOptions = {}) {
    if (typeof options !== "object" || options === null) {
      throw new TypeError("Context options are an object such as { ipv6: true }");
    }
    this.inprocNamespace = made === 0 ? "" : `${threadId}.${made}\0`;
    made += 1;
    for (const [name, value] of Object.entries(options)) {
      if (value === undefined) continue;
      const set = Object.hasOwn(checks, name);
      if (!set) throw new TypeError(`Context has no option ${name}. ${optionsAre(name)}`);
      this[name as "ipv6"] = value as boolean;
    }
  }

  /** Threads that move the messages of its sockets: none but the one that uses them. ZMQ_IO_THREADS */
  get ioThreads(): number {
    return 0;
  }

  /**
   * What carries the sockets of this thread: io_uring, or epoll, and why. MONOCOQUE_BACKEND=epoll
   * or =io_uring in the environment decides it.
   */
  get backend(): Backend {
    return readBackend();
  }

  /** What `maxSockets` can be at most: 65,535. ZMQ_SOCKET_LIMIT */
  get maxSocketsLimit(): number {
    return SOCKETS_MAX;
  }

  /** @internal What it is set to. */
  [inspect.custom](_depth: number, options: object): string {
    return `Context ${inspect(this[values], options)}`;
  }
}

export interface Context extends Required<ContextOptions> {}

for (const name of Object.keys(checks) as (keyof ContextOptions)[]) {
  Object.defineProperty(Context.prototype, name, {
    configurable: true,
    enumerable: true,
    get(this: Context) {
      return this[values][name];
    },
    set(this: Context, value: unknown) {
      const all = this[values] as Record<string, unknown>;
      all[name] = checks[name](`Context option ${name}`, value);
    },
  });
}

function optionsAre(name: string): string {
  const list = `Options of Context: ${Object.keys(checks).join(", ")}`;
  if (!/^(ioThreads|thread\w+)$/.test(name)) return list;
  return `Sockets are served by the thread that uses them: there are no I/O threads. ${list}`;
}

/** The context of sockets that are not given another. */
export const context = new Context();

/** The context that a socket's options name. */
export function contextOf(type: string, given: unknown): Context {
  if (given === undefined) return context;
  if (given instanceof Context) return given;
  throw new TypeError(`${type} option context must be a Context`);
}

/** A socket is about to be made. */
export function enter(owner: Context): void {
  const { maxSockets } = owner[values];
  if (owner[open] >= maxSockets) {
    const advice = `Its context has ${maxSockets} sockets (maxSockets): close some, or raise it.`;
    throw zmqError("EMFILE", { advice });
  }
  owner[open] += 1;
}

/** A socket was closed. */
export function leave(owner: Context): void {
  owner[open] -= 1;
}

/** What sockets of a context start with, where it is not the table's. */
export function socketDefaults(owner: Context): Partial<AllOptions> {
  const { blocky, ipv6, maxMessageSize } = owner[values];
  return {
    ...(blocky ? {} : { linger: 0 }),
    ...(ipv6 ? { ipv6 } : {}),
    ...(maxMessageSize < 0 ? {} : { maxMessageSize }),
  };
}
