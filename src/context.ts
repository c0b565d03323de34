// One native context per JavaScript thread: its wake-up, its turns, the memory it is lent, and the
// dispatch of what it reports to the sockets.

import { backendAdvice, readBackend, wantedBackend } from "./backend.ts";
import { Closing } from "./closing.ts";
import { errnoError, zmqError } from "./errors.ts";
import {
  ARENA_BYTES_DEFAULT,
  ContextRecord,
  EventKind,
  EventRecord,
  EVENTS_BATCH,
  TICK_EVENTS,
  TICK_MORE,
  TICK_SOON,
  TICK_STARVED,
} from "./ffi/abi.generated.ts";
import { load, type Native } from "./ffi/native.ts";
import { writeAddress, writeProxy, writeSource } from "./ffi/records.ts";
import type { NetworkAddress } from "./endpoint.ts";
import { Recycled } from "./recycled.ts";
import type { Ends, ProxyRequest } from "./route.ts";
import { type Backend, provideThread } from "./socket_context.ts";
import { type NativeStats, readNativeStats, threadStats } from "./thread_stats.ts";
import { Wake } from "./wake.ts";

/** Milliseconds between two looks at whether a proxy has ended, at the end of the process. */
const PROXY_POLL_MS = 5;

/** MiB that one context may take from the system for messages (not for JavaScript's buffers). */
const MEMORY_MIB_DEFAULT = 4096;

/** Milliseconds of work after which the rest of the program gets its turn. */
const TURN_BUDGET_MS = 0.5;

/** Operations between two looks at the clock, which costs as much as sending a message. */
const OPERATIONS_PER_LOOK = 64;

/** The chunk while traffic is heavy, bytes; after this many turns that end with more to do. */
const CHUNK_BYTES_BUSY = 256 * 1024;

/**
 * The same for a thread of many sockets: what came for the others is moved when one of them looks for
 * more and there is no room, and this is room for all. With few it is colder memory for nothing.
 */
const CHUNK_BYTES_MANY = 1024 * 1024;
const MANY_SOCKETS = 4;
const BUSY_TURNS = 16;

/** Milliseconds without a turn after which the chunk is small again. */
const QUIET_MS = 1000;

/**
 * Turns taken at once because memory was lent: each ends at most one large part per connection. Few,
 * so that parts of 64 KiB are still in the cache when their batch is handed out.
 */
const LENDING_ROUNDS_MAX = 2;

/** What the context tells a socket. */
export interface Dispatch {
  /** What it waited for has come: interest bits. */
  onReady(interest: number): void;
  /** Addresses are wanted for a name it connects to. */
  onResolve(endpoint: number): void;
  /** A peer waits to be let in. */
  onAuthenticate(session: number, request: number): void;
  /** Events are waiting for its observers, if it has any. */
  onEvents: (() => void) | undefined;
  /** The program was evaluated again (`bun --hot`), or the process ends. */
  close(): void;
}

/** A proxy whose thread has not ended. */
export interface RunningProxy {
  /** Looks what its thread wants. */
  woken(): void;
  /** Tells it to end. */
  finish(): void;
}

export class NativeContext {
  readonly native: Native;
  /** Where the native side leaves what does not fit a return value. */
  readonly record: DataView;
  readonly backend: Backend;
  /** The memory connections receive into; entries of receive rings are offsets in it. */
  chunk!: Buffer;
  readonly closing = new Closing(this);
  /** Buffers lent for large parts, until their message is taken. */
  readonly lent = new Map<number, Buffer>();
  readonly recycled = new Recycled();
  readonly #sockets = new Map<number, Dispatch>();
  readonly #proxies = new Set<RunningProxy>();
  readonly #words: Uint32Array;
  readonly #wake: Wake;
  #nextBufferId = 1;
  #viewed = false;
  #borrowers = 0;
  #tickScheduled = false;
  #lentMemory = false;
  #blocking = 0;
  #busyTurns = 0;
  /** Views were handed out to keep since traffic began. */
  #keepsViews = false;
  #flushScheduled = false;
  #operations = OPERATIONS_PER_LOOK;
  #turnStartedMs = 0;
  #ended = false;

  constructor() {
    const { native, contextRecord } = load();
    this.native = native;
    const status = native.context_create(MEMORY_MIB_DEFAULT, wantedBackend());
    if (status < 0) throw errnoError(status, backendAdvice(status));
    const memory = contextRecord(ContextRecord.bytes);
    this.record = new DataView(memory);
    this.backend = readBackend(this.record);
    this.#words = new Uint32Array(memory);
    this.#lendChunk(ARENA_BYTES_DEFAULT);
    this.#wake = new Wake(native, () => this.#woken());
    // Runs at process.exit() and after an uncaught error too; not in a Worker that is terminated.
    process.on("exit", () => this.end());
  }

  // -- sockets ----------------------------------------------------------------------------------

  add(socket: number, dispatch: Dispatch): void {
    if (this.#ended) throw zmqError("ETERM");
    this.#sockets.set(socket, dispatch);
    this.#wake.setOpen(true);
  }

  remove(socket: number): void {
    this.#sockets.delete(socket);
    // Queued messages of closed sockets go out without anyone waiting for them.
    if (this.#sockets.size === 0) this.#wake.setOpen(this.#proxies.size > 0 || this.stats().sockets > 0);
  }

  /** Proxies are told of every wake-up: their threads call through the same descriptor. */
  addProxy(proxy: RunningProxy): void {
    this.#proxies.add(proxy);
    this.#wake.setOpen(true);
    this.ref();
  }

  removeProxy(proxy: RunningProxy): void {
    if (!this.#proxies.delete(proxy)) return;
    this.unref();
  }

  closeAll(): void {
    for (const socket of [...this.#sockets.values()]) socket.close();
    for (const proxy of this.#proxies) proxy.finish();
  }

  /** Something waits for the native side: the process stays alive. */
  ref(): void {
    this.#wake.ref();
  }

  unref(): void {
    this.#wake.unref();
  }

  // -- turns ------------------------------------------------------------------------------------

  /** Lets the native side do what there is to do; returns the TICK_ bits. */
  turn(): number {
    // Before the turn: what it receives would have to be copied out of a chunk that goes.
    if (this.#busyTurns === BUSY_TURNS) this.#adaptChunk();
    const bits = this.native.tick(this.#blocking);
    if (bits === 0) return 0;
    return this.#after(bits);
  }

  /** Turns that `work` takes are followed by calls that block: the event loop is not concerned. */
  blocking<T>(work: () => T): T {
    this.#blocking = 1;
    try {
      return work();
    } finally {
      this.#blocking = 0;
    }
  }

  /**
   * What was waited for may be there already, and nothing would wake us for it: the events are
   * looked at in a turn of their own.
   */
  wakeIfReady(): void {
    if (this.native.has_events() !== 0) this.#scheduleTick();
  }

  /** A call outside a turn made timers or events that the next turn looks at, and nothing wakes us. */
  turnSoon(): void {
    this.#scheduleTick();
  }

  /** Sleeps in the native side until something happens; the event loop stands still. */
  wait(timeoutMs: number): void {
    this.#after(this.native.wait(timeoutMs));
  }

  #after(first: number): number {
    let bits = first;
    const started = performance.now();
    for (let round = 0; round < LENDING_ROUNDS_MAX; round += 1) {
      if (bits & TICK_EVENTS) this.#dispatch();
      if (bits & TICK_STARVED && (this.#viewed || this.#borrowers > 0)) {
        this.#lendChunk(this.#keepsViews ? ARENA_BYTES_DEFAULT : this.chunk.length);
        this.#lentMemory = true;
      }
      if (!this.#lentMemory) break;
      // What was lent is received into at once: no event will tell of bytes that are there already.
      this.#lentMemory = false;
      bits = this.native.tick(this.#blocking);
      if (performance.now() - started > TURN_BUDGET_MS) break;
    }
    // Still lending after all those rounds: the rest of the program first.
    const more = (bits & TICK_MORE) !== 0;
    const soon = (bits & (TICK_MORE | TICK_SOON)) !== 0;
    if (soon || this.#lentMemory || this.native.has_events()) this.#scheduleTick();
    this.#busyTurns = more ? this.#busyTurns + 1 : 0;
    return bits;
  }

  #scheduleTick(): void {
    if (this.#tickScheduled) return;
    this.#tickScheduled = true;
    setImmediate(this.#scheduledTick);
  }

  readonly #scheduledTick = (): void => {
    this.#tickScheduled = false;
    // After a turn that has left nothing signalled, perhaps because that pays.
    if (!this.#ended) this.native.poll();
    this.#woken();
  };

  #woken(): void {
    if (this.#ended) return;
    this.#startTurn();
    this.turn();
    for (const socket of this.#sockets.values()) socket.onEvents?.();
    for (const proxy of [...this.#proxies]) proxy.woken();
    if (this.#sockets.size === 0) this.#wake.setOpen(this.#proxies.size > 0 || this.stats().sockets > 0);
  }

  #dispatch(): void {
    const { native } = this;
    const words = this.#words;
    const base = ContextRecord.events.offset / 4;
    const stride = EventRecord.bytes / 4;
    for (;;) {
      const count = native.events();
      // Copied first: a socket that is told something may make calls that reuse the record.
      const batch = words.slice(base, base + count * stride);
      for (let i = 0; i < batch.length; i += stride) {
        this.#event(batch[i]!, batch[i + 1]!, batch[i + 2]!, batch[i + 3]!);
      }
      if (count < EVENTS_BATCH) return;
    }
  }

  #event(kind: number, handle: number, a: number, b: number): void {
    switch (kind) {
      case EventKind.ready:
        this.#sockets.get(handle)?.onReady(a);
        break;
      case EventKind.buffer:
        this.#lendBuffer(handle, a, b);
        break;
      case EventKind.resolve:
        this.#sockets.get(a)?.onResolve(handle);
        break;
      case EventKind.abandoned:
        this.lent.delete(a);
        break;
      case EventKind.authenticate: {
        const socket = this.#sockets.get(a);
        // Nobody is there to decide, so nobody comes in.
        if (socket === undefined) this.native.authenticated(handle, b, 0);
        else socket.onAuthenticate(handle, b);
        break;
      }
      case EventKind.closed:
        this.closing.ended(handle, a);
        break;
    }
  }

  // -- flush ------------------------------------------------------------------------------------

  /**
   * Something was queued: hand it to the kernel at the end of this turn of the event loop. The
   * detour over nextTick is what makes it one flush for a hundred awaited sends.
   */
  scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(this.#flushAfterMicrotasks);
  }

  readonly #flushAfterMicrotasks = (): void => {
    process.nextTick(this.#flushNow);
  };

  readonly #flushNow = (): void => {
    this.#flushScheduled = false;
    // Who waits in this thread for what was sent in it is served at once.
    if (!this.#ended && this.native.flush() !== 0) this.#woken();
  };

  /** Before the caller waits: what it has queued must not wait with it. */
  flush(): void {
    if (this.#flushScheduled && this.native.flush() !== 0) this.#scheduleTick();
  }

  // -- fairness ---------------------------------------------------------------------------------

  /** Counts one operation; true: this turn has lasted long enough, others wait. */
  spend(): boolean {
    this.#operations -= 1;
    return this.#operations <= 0 && this.#look();
  }

  /** Counts the operations of a batch. */
  spendMany(count: number): boolean {
    this.#operations -= count;
    return this.#operations <= 0 && this.#look();
  }

  /** A turn that is over stays over until the next one starts: whoever asks twice hears it twice. */
  #look(): boolean {
    const over = performance.now() - this.#turnStartedMs > TURN_BUDGET_MS;
    this.#operations = over ? 0 : OPERATIONS_PER_LOOK;
    return over;
  }

  /** Resolves after timers, I/O and whatever else is due have had their turn. */
  yieldTurn(): Promise<void> {
    return new Promise((resolve) => {
      setImmediate(() => {
        this.#startTurn();
        resolve();
      });
    });
  }

  #startTurn(): void {
    const now = performance.now();
    const quiet = now - this.#turnStartedMs > QUIET_MS;
    if (quiet) {
      this.#keepsViews = false;
      if (this.chunk.length > ARENA_BYTES_DEFAULT) this.#lendChunk(ARENA_BYTES_DEFAULT);
    }
    this.#turnStartedMs = now;
    this.#operations = OPERATIONS_PER_LOOK;
  }

  // -- memory -----------------------------------------------------------------------------------

  /** A view of the chunk is about to be handed out: that space is never written again. */
  view(): void {
    if (this.#viewed) return;
    this.#viewed = true;
    this.#keepsViews = true;
    this.native.arena_viewed(1);
  }

  /** Views are handed out that are returned with `giveBack`. */
  borrow(): void {
    this.#borrowers += 1;
    this.native.arena_viewed(1);
  }

  giveBack(chunk: Buffer): void {
    // Views into an earlier chunk are no concern of ours: it is not received into any more.
    if (chunk !== this.chunk) return;
    this.#borrowers -= 1;
    if (this.#borrowers === 0 && !this.#viewed) this.native.arena_viewed(0);
  }

  /**
   * Batches get longer with the chunk, and fewer wake-ups and system calls fall to each message. So
   * it grows while turns end with more to do; not where views are kept, which takes fresh memory
   * for each chunk: there a small one, out of the cache, is faster.
   */
  #adaptChunk(): void {
    if (this.#keepsViews) return;
    const bytes = this.#sockets.size < MANY_SOCKETS ? CHUNK_BYTES_BUSY : CHUNK_BYTES_MANY;
    if (this.chunk.length !== bytes) this.#lendChunk(bytes);
  }

  #lendChunk(bytes: number): void {
    const chunk = Buffer.allocUnsafeSlow(bytes);
    const status = this.native.arena_lend(chunk, bytes);
    // Out of memory for what is unread: the old chunk stays, and nothing is received meanwhile.
    if (status < 0) return;
    this.chunk = chunk;
    this.#viewed = false;
    this.#borrowers = 0;
  }

  #lendBuffer(session: number, bytes: number, held: number): void {
    const buffer = this.recycled.take(bytes);
    if (buffer === undefined) {
      // The connection ends: what it waits for will not come.
      this.native.buffer_lend(session, null, 0, 1);
      return;
    }
    const before = this.lent.get(held);
    if (before) {
      before.copy(buffer);
      this.lent.delete(held);
    }
    const id = this.#nextBufferId;
    this.#nextBufferId = id === 0x0fffffff ? 1 : id + 1;
    this.lent.set(id, buffer);
    if (this.native.buffer_lend(session, buffer, bytes, id) < 0) this.lent.delete(id);
    else this.#lentMemory = true;
  }

  // -- addresses and numbers --------------------------------------------------------------------

  /** Puts addresses where bind, connect and endpoint_resolved read them. */
  writeAddresses(addresses: readonly NetworkAddress[]): void {
    addresses.forEach((address, index) => writeAddress(this.record, index, address));
  }

  /** The same for the two ends of a connection. */
  writeEnds({ addresses, source }: Ends): void {
    this.writeAddresses(addresses);
    writeSource(this.record, source);
  }

  writeProxy(proxy: ProxyRequest | undefined): void {
    writeProxy(this.record, proxy);
  }

  stats(): NativeStats {
    this.native.context_stats();
    return readNativeStats(this.record);
  }

  // -- the end ----------------------------------------------------------------------------------

  /** Closes every socket and gives queued messages their linger time. Nothing runs after it. */
  end(): void {
    if (this.#ended) return;
    this.closeAll();
    this.#ended = true;
    this.#wake.stop();
    // Their sockets have linger, too.
    while (this.#proxies.size > 0) {
      this.native.wait(PROXY_POLL_MS);
      for (const proxy of [...this.#proxies]) proxy.woken();
    }
    // A socket is there until its end has been told.
    for (this.#dispatch(); this.stats().sockets > 0; this.#dispatch()) {
      // Linger ends with a deadline of the native side, so this does too.
      if (this.native.wait(-1) & TICK_STARVED) this.#lendChunk(this.chunk.length);
    }
    this.native.context_destroy();
  }
}

const slot = Symbol.for(`monocoque.context:${import.meta.path}`);
const holder = globalThis as unknown as Record<symbol, NativeContext | undefined>;

// `bun --hot` evaluates the program again in the same process. Its sockets are made anew, so the
// ones of the evaluation before are closed, or their ports would be taken.
holder[slot]?.closeAll();

/** This thread's context, made at first use. */
export function nativeContext(): NativeContext {
  return (holder[slot] ??= new NativeContext());
}

provideThread({
  get backend() {
    return nativeContext().backend;
  },
  spin: (microseconds) => nativeContext().native.spin(microseconds),
  limitMemory: (bytes) => nativeContext().native.memory_limit(Math.floor(bytes / 1024)),
  threadStats() {
    const context = nativeContext();
    return threadStats(context.stats(), context.lent.size);
  },
});
