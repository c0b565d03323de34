// Takes received messages out of the ring that is shared with the native side: at once where some
// are there, later for those who wait.

import type { NativeContext } from "./context.ts";
import { busyError, errnoError, zmqError } from "./errors.ts";
import {
  CursorRecord,
  ENTRY_ARENA,
  ENTRY_LENT,
  ENTRY_MORE,
  EntryRecord,
  INTEREST_READABLE,
  RING_ENTRIES,
  SharedRecord,
  SocketRecord,
} from "./ffi/abi.generated.ts";
import type { SocketCore } from "./socket.ts";
import { timeoutError, timeoutOf, Wait, type WaitOptions } from "./wait.ts";

/** A received message: its parts, each a Buffer that nothing overwrites. */
export type Message = Buffer[];

/** Options of the calls that take many messages at a time. */
export interface BatchOptions extends WaitOptions {
  /** Messages of one batch at most; default 1024. */
  max?: number;
  /**
   * Parts are valid until the next step only (the next batch, the next receive call): nothing is
   * copied or allocated for the payload.
   */
  borrow?: boolean;
}

/** A part below this is copied (9 to 50 ns); a view would keep its 64 KiB neighbourhood alive. */
const VIEW_BYTES_MIN = 512;

/** In a borrowed batch nothing is kept, so this is where a view costs less than a copy. */
const BORROWED_VIEW_BYTES_MIN = 256;

const BATCH_MAX_DEFAULT = 1024;

const MASK = RING_ENTRIES - 1;
const ENTRY_WORDS = EntryRecord.bytes / 4;
const LENGTH = EntryRecord.length.offset / 4;
const PLACE = EntryRecord.place.offset / 4;
const FLAGS = EntryRecord.flags.offset / 4;
const ENTRIES = SharedRecord.entries.offset / 4;
const CURSOR = (SharedRecord.record.offset + SocketRecord.cursor.offset) / 4;
const TAKEN = CURSOR + CursorRecord.taken.offset / 4;
const FILLED = CURSOR + CursorRecord.filled.offset / 4;

export class ReceiveQueue {
  readonly #core: SocketCore;
  readonly #context: NativeContext;
  readonly #words: Uint32Array;
  readonly #waits: Wait<unknown>[] = [];
  #taken = 0;
  /** The chunk that a borrowed batch lies in, until the next step. */
  #borrowed: Buffer | undefined;
  #detached = false;

  constructor(core: SocketCore) {
    this.#core = core;
    this.#context = core.context;
    this.#words = core.words;
  }

  set detached(value: boolean) {
    this.#detached = value;
  }

  // -- at once ----------------------------------------------------------------------------------

  /** The next message, or undefined when none is there. */
  tryReceive(): Message | undefined {
    this.#core.check();
    this.#endBorrow();
    return this.#take(false);
  }

  #take(borrow: boolean): Message | undefined {
    const words = this.#words;
    if (this.#taken === words[FILLED] && !this.#refill()) return undefined;
    const message: Message = [];
    for (;;) {
      const entry = ENTRIES + (this.#taken & MASK) * ENTRY_WORDS;
      message.push(this.#part(entry, borrow));
      this.#taken = (this.#taken + 1) >>> 0;
      words[TAKEN] = this.#taken;
      if (!(words[entry + FLAGS]! & ENTRY_MORE)) return message;
      // More parts than the ring holds: the rest of the message is there, it needs another fill.
      if (this.#taken === words[FILLED]) this.#fill();
    }
  }

  #part(entry: number, borrow: boolean): Buffer {
    const words = this.#words;
    const length = words[entry + LENGTH]!;
    const flags = words[entry + FLAGS]!;
    if (flags & ENTRY_ARENA && length >= (borrow ? BORROWED_VIEW_BYTES_MIN : VIEW_BYTES_MIN)) {
      if (borrow || !this.#detached) return this.#view(words[entry + PLACE]!, length, borrow);
    } else if (flags & ENTRY_LENT) {
      return this.#lent(words[entry + PLACE]!, length);
    }
    const part = Buffer.allocUnsafeSlow(length);
    if (length > 0) this.#context.native.copy(this.#core.handle, this.#taken, part, length);
    return part;
  }

  #view(offset: number, length: number, borrow: boolean): Buffer {
    const context = this.#context;
    const { chunk } = context;
    if (!borrow) context.view();
    else if (this.#borrowed === undefined) {
      this.#borrowed = chunk;
      context.borrow();
    }
    return chunk.subarray(offset, offset + length);
  }

  #lent(id: number, length: number): Buffer {
    const buffer = this.#context.lent.get(id);
    if (buffer === undefined) throw new Error(`monocoque: lent buffer ${id} is not known`);
    this.#context.lent.delete(id);
    return buffer.length === length ? buffer : buffer.subarray(0, length);
  }

  #endBorrow(): void {
    if (this.#borrowed === undefined) return;
    const chunk = this.#borrowed;
    this.#borrowed = undefined;
    this.#context.giveBack(chunk);
  }

  /** Looks for messages: in the pipes, then in the kernel. */
  #refill(): boolean {
    if (this.#fill()) return true;
    this.#context.turn();
    return this.#fill();
  }

  #fill(): boolean {
    const status = this.#context.native.fill(this.#core.handle);
    if (status < 0) throw errnoError(status);
    return this.#words[FILLED] !== this.#taken;
  }

  /** What is there now, up to `max` messages; undefined for none. */
  #takeMany(max: number, borrow: boolean): Message[] | undefined {
    this.#endBorrow();
    const first = this.#take(borrow);
    if (first === undefined) return undefined;
    const batch = [first];
    const words = this.#words;
    while (batch.length < max) {
      // No turn in between: in a borrowed batch it would overwrite what was just handed out.
      if (this.#taken === words[FILLED] && !this.#fillMore()) break;
      batch.push(this.#take(borrow)!);
    }
    return batch;
  }

  /** After the first message of a batch a pattern may have nothing more to give (EFSM): its end. */
  #fillMore(): boolean {
    const status = this.#context.native.fill(this.#core.handle);
    return status >= 0 && this.#words[FILLED] !== this.#taken;
  }

  // -- waiting ----------------------------------------------------------------------------------

  receive(options?: WaitOptions): Promise<Message> {
    return this.#receive(this.#attemptOne, options);
  }

  readonly #attemptOne = (): Message | undefined => {
    this.#endBorrow();
    return this.#take(false);
  };

  receiveMany(options?: BatchOptions): Promise<Message[]> {
    const max = options?.max ?? BATCH_MAX_DEFAULT;
    checkMax(max);
    const borrow = options?.borrow === true;
    return this.#receive(() => this.#takeMany(max, borrow), options);
  }

  #receive<T>(attempt: () => T | undefined, options: WaitOptions | undefined): Promise<T> {
    const core = this.#core;
    if (core.closed) return Promise.reject(zmqError("EBADF"));
    if (core.blocked) throw busyError("binding");
    if (this.#waits.length > 0) {
      if (!core.queues) throw busyError("reading");
      return this.#wait(attempt, options);
    }
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    if (this.#context.spend()) return this.#yield(attempt, options);
    try {
      const value = attempt();
      if (value !== undefined) return Promise.resolve(value);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#wait(attempt, options);
  }

  /** Others get their turn first; the wait is in the queue meanwhile, so order is kept. */
  #yield<T>(attempt: () => T | undefined, options: WaitOptions | undefined): Promise<T> {
    const promise = this.#wait(attempt, options, false);
    void this.#context.yieldTurn().then(() => this.onReadable());
    return promise;
  }

  #wait<T>(
    attempt: () => T | undefined,
    options: WaitOptions | undefined,
    park = true,
  ): Promise<T> {
    const timeoutMs = timeoutOf(options, this.#core.receiveTimeoutMs);
    if (timeoutMs === 0 && park) return Promise.reject(timeoutError(this.#core.lastEndpoint));
    const wait = new Wait<T>(attempt, this.#onEnd as (wait: Wait<T>) => void);
    this.#waits.push(wait as Wait<unknown>);
    this.#context.ref();
    wait.limit(timeoutMs, options?.signal, this.#core.lastEndpoint ?? undefined);
    if (park) this.#park();
    return wait.promise;
  }

  readonly #onEnd = (wait: Wait<unknown>): void => {
    const index = this.#waits.indexOf(wait);
    if (index >= 0) this.#waits.splice(index, 1);
    this.#context.unref();
  };

  #park(): void {
    this.#context.flush();
    this.#context.native.socket_want(this.#core.handle, INTEREST_READABLE);
    this.#context.wakeIfReady();
  }

  /** The native side has messages for those who wait. */
  onReadable(): void {
    while (this.#waits.length > 0) {
      const wait = this.#waits[0]!;
      try {
        const value = wait.attempt();
        if (value === undefined) {
          this.#park();
          return;
        }
        wait.resolve(value);
      } catch (error) {
        wait.reject(error);
      }
    }
  }

  // -- iteration --------------------------------------------------------------------------------

  iterate(): AsyncIterableIterator<Message> {
    return new Steps(this, this.#attemptOne);
  }

  batches(options?: BatchOptions): AsyncIterableIterator<Message[]> {
    const max = options?.max ?? BATCH_MAX_DEFAULT;
    checkMax(max);
    const borrow = options?.borrow === true;
    return new Steps(this, () => this.#takeMany(max, borrow), options);
  }

  /** One step of an iterator without waiting; undefined: it has to wait. */
  stepNow<T>(attempt: () => T | undefined): T | undefined {
    const core = this.#core;
    if (core.closed || core.blocked || this.#waits.length > 0 || this.#context.spend()) {
      return undefined;
    }
    return attempt();
  }

  step<T>(attempt: () => T | undefined, options: WaitOptions | undefined): Promise<T> {
    return this.#receive(attempt, options);
  }

  get closed(): boolean {
    return this.#core.closed;
  }

  /** An iterator ends: what its last step lent is given back. */
  stepsEnded(): void {
    this.#endBorrow();
  }

  // -- blocking ---------------------------------------------------------------------------------

  receiveSync(options?: { timeout?: number }): Message {
    return this.#receiveSync(this.#attemptOne, options);
  }

  receiveManySync(options?: Omit<BatchOptions, "signal">): Message[] {
    const max = options?.max ?? BATCH_MAX_DEFAULT;
    checkMax(max);
    const borrow = options?.borrow === true;
    return this.#receiveSync(() => this.#takeMany(max, borrow), options);
  }

  #receiveSync<T>(attempt: () => T | undefined, options: { timeout?: number } | undefined): T {
    const core = this.#core;
    core.check();
    if (this.#waits.length > 0) throw busyError("reading");
    const value = attempt();
    if (value !== undefined) return value;
    return core.block(attempt, timeoutOf(options, core.receiveTimeoutMs), INTEREST_READABLE);
  }

  // -- the end ----------------------------------------------------------------------------------

  close(): void {
    this.#endBorrow();
    for (const wait of [...this.#waits]) wait.reject(closedWhileWaiting());
  }
}

function closedWhileWaiting(): Error {
  return zmqError("EAGAIN", { advice: "The socket was closed while this call waited." });
}

function checkMax(max: number): void {
  if (Number.isInteger(max) && max > 0) return;
  throw new RangeError(`max must be a positive integer, not ${String(max)}`);
}

/** Ends when the socket closes. `return` stops waiting; nothing that was not yielded is lost. */
class Steps<T> implements AsyncIterableIterator<T> {
  readonly #queue: ReceiveQueue;
  readonly #attempt: () => T | undefined;
  readonly #options: WaitOptions | undefined;
  #done = false;

  constructor(queue: ReceiveQueue, attempt: () => T | undefined, options?: WaitOptions) {
    this.#queue = queue;
    this.#attempt = attempt;
    this.#options = options;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const queue = this.#queue;
    if (this.#done || queue.closed) return this.return();
    try {
      // A promise that is resolved already: a tenth of the cost of one that has to be.
      const value = queue.stepNow(this.#attempt);
      if (value !== undefined) return Promise.resolve({ value, done: false });
      return queue.step(this.#attempt, this.#options).then(wrap<T>, this.#ended);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  readonly #ended = (error: unknown): IteratorResult<T, undefined> => {
    if (!this.#queue.closed) throw error;
    this.#done = true;
    return { value: undefined, done: true };
  };

  return(): Promise<IteratorResult<T, undefined>> {
    this.#done = true;
    this.#queue.stepsEnded();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

function wrap<T>(value: T): IteratorResult<T, undefined> {
  return { value, done: false };
}
