// A context as users know it: a group of sockets with limits, defaults and inproc names of its own.
// All contexts of a thread share its native one, which has no settings.

import { zmqError } from "./errors.ts";
import { inspectCustom } from "./node.ts";
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

/**
 * What a thread's sockets have and cost, whatever {@link Context} they were made in. A Worker and a
 * Proxy have a thread of their own, whose numbers are their own. What counts only grows.
 */
export interface ThreadStats {
  /** Sockets that are open, and closed ones that have something left to send. */
  sockets: number;
  /** Bound endpoints. */
  listeners: number;
  /** Connections, also those in their handshake and those still to be made. */
  sessions: number;
  /** Connections whose handshake is done. */
  connections: number;
  /** Deadlines that are waited for. */
  timers: number;
  /** Memory of queues and connections: bytes in use, taken from the system, and the most of those. */
  memoryLiveBytes: number;
  memoryMappedBytes: number;
  memoryLimitBytes: number;
  /** Blocks in use. */
  memoryBlocks: number;
  /** Requests that were refused, for that limit or by the system. */
  memoryRefused: number;
  /** The chunk that connections receive into, bytes, and what of it is in use. */
  arenaBytes: number;
  arenaUsedBytes: number;
  /** Bytes that were copied out of it, because nobody had taken them in time. */
  arenaSpilledBytes: number;
  /** Buffers of large parts that arrive or have not been taken. */
  lentBuffers: number;
  /** Turns in which the kernel had work. */
  wakeups: number;
  /** Turns: looks for what there is to do. */
  turns: number;
  /** All system calls of the native side; of these, to receive and to send. */
  systemCalls: number;
  receiveCalls: number;
  sendCalls: number;
  /** Events of sockets that nobody had read in time. */
  droppedEvents: number;
  /** Answers of the kernel to what nobody waited for any more. */
  lateCompletions: number;
  /** inproc connections of the whole process, and what is on its way in them. */
  inprocLinks: number;
  inprocBytes: number;
  backend: Backend;
}

/** What {@link Context.stats} tells. */
export interface ContextStats {
  /** Open sockets that were made in this context. */
  sockets: number;
  /** Of the thread that asks: all its contexts share it. */
  thread: ThreadStats;
}

const SOCKETS_MAX = 65_535;

const socketCount = { type: "integer", min: 1, max: SOCKETS_MAX, unit: "sockets" } as const;
const spinning = { type: "integer", min: 0, max: 1000, unit: "µs" } as const;
const memory = { type: "integer", min: 1024 * 1024, max: 2 ** 42 - 1024, unit: "bytes" } as const;
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
let spin = 0;
let memoryLimit = 4096 * 1024 * 1024;
let thread: {
  readonly backend: Backend;
  spin(microseconds: number): void;
  limitMemory(bytes: number): void;
  threadStats(): Omit<ThreadStats, "backend">;
};

/** @internal The native side, which is above this file. */
export function provideThread(of: typeof thread): void {
  thread = of;
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
    this.inprocNamespace = made === 0 ? "" : `${crypto.randomUUID().slice(0, 13)}\0`;
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
    return thread.backend;
  }

  /**
   * How long to look for messages before sleeping, µs, at most 1000. Default 0: not at all. For all
   * sockets of this thread, whichever context it is set on.
   *
   * To be woken costs more than anything else in a round trip. Where messages come that fast, looking
   * for them is several times faster: 50 is a good value between two processes of one machine. The
   * price: while it looks nothing else runs in this thread, and a processor that was idle is busy. Where
   * nothing comes in that time it rests, longer and longer: an idle thread uses no processor, and one
   * that shares its only processor with its peer loses a thousandth. See docs/performance.md. Throws a
   * TypeError for what is no number, a ZmqError EINVAL for any other. libzmq has nothing like it.
   *
   * ```ts
   * context.spin = 50;
   * ```
   */
  get spin(): number {
    return spin;
  }

  set spin(microseconds: number) {
    const checked = checkInteger("Context property spin", microseconds, spinning);
    thread.spin(checked);
    spin = checked;
  }

  /**
   * Bytes that the queues and connections of this thread's sockets may take, the buffers of large
   * messages that are still arriving included; messages within the process and those that were received
   * are not. At least 1 MiB. Default 4 GiB. For all sockets of this thread, whichever context it is set
   * on; Workers have their own. Proxies get what holds when they are made.
   *
   * Where it is reached, one connection ends (reason `out_of_memory`, counted in `memoryFailures`), or one
   * call fails with ENOMEM, and everything else goes on. What is in use already stays when it is
   * lowered. Throws a TypeError for what is no number, a ZmqError EINVAL for any other. Not in libzmq.
   *
   * ```ts
   * context.memoryLimit = 256 * 1024 * 1024;
   * ```
   */
  get memoryLimit(): number {
    return memoryLimit;
  }

  set memoryLimit(limit: number) {
    const checked = checkInteger("Context property memoryLimit", limit, memory);
    thread.limitMemory(checked);
    memoryLimit = checked;
  }

  /**
   * How many sockets it has, and what the sockets of this thread have and cost. Not in libzmq.
   *
   * ```ts
   * console.log(context.stats().thread.memoryLiveBytes);
   * ```
   */
  stats(): ContextStats {
    const { backend } = thread;
    return { sockets: this[open], thread: { ...thread.threadStats(), backend } };
  }

  /** What `maxSockets` can be at most: 65,535. ZMQ_SOCKET_LIMIT */
  get maxSocketsLimit(): number {
    return SOCKETS_MAX;
  }

  /** @internal What it is set to. */
  [inspectCustom](_depth: number, options: object, inspect = Bun.inspect): string {
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
