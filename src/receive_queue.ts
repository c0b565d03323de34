// Takes received messages out of the ring that is shared with the native side: at once where some
// are there, later for those who wait.

import type { NativeContext } from "./context.ts";
import { busyError, errnoError, zmqError } from "./errors.ts";
import {
  CursorRecord,
  ENTRY_ARENA,
  ENTRY_CUT,
  ENTRY_LENT,
  ENTRY_MORE,
  INTEREST_READABLE,
  SharedRecord,
  SocketRecord,
} from "./ffi/abi.generated.ts";
import { ENTRIES, ENTRY_WORDS, FLAGS, LENGTH, PLACE, RING_MASK } from "./ffi/records.ts";
import { BORROWED_VIEW_BYTES_MIN, KeptMessages } from "./kept_messages.ts";
import { Origins } from "./origins.ts";
import type { SocketCore } from "./socket_core.ts";
import { Steps } from "./steps.ts";
import type { AuthenticatedPeer } from "./verdict.ts";
import {
  closedWhileWaiting,
  refused,
  timeoutError,
  timeoutOf,
  Wait,
  type WaitOptions,
} from "./wait.ts";

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

const BATCH_MAX_DEFAULT = 1024;

const CURSOR = (SharedRecord.record.offset + SocketRecord.cursor.offset) / 4;
const TAKEN = CURSOR + CursorRecord.taken.offset / 4;
const FILLED = CURSOR + CursorRecord.filled.offset / 4;

export class ReceiveQueue {
  readonly #core: SocketCore;
  readonly #context: NativeContext;
  readonly #handle: number;
  readonly #words: Uint32Array;
  readonly #copy: NativeContext["native"]["copy"];
  readonly #waits: Wait<unknown>[] = [];
  #taken = 0;
  #settling = false;
  /** The chunk that a borrowed batch lies in, until the next step. */
  #borrowed: Buffer | undefined;
  #detached = false;
  /** Undefined: this socket has asked about nobody. */
  #origins: Origins | undefined;
  /** Buffers of large parts of a borrowed batch. */
  readonly #borrowedLent: Buffer[] = [];
  /** The objects of borrowed messages, for the next step. */
  readonly #kept: KeptMessages;

  constructor(core: SocketCore) {
    this.#core = core;
    this.#context = core.context;
    this.#handle = core.handle;
    this.#words = core.words;
    this.#copy = core.context.native.copy;
    this.#kept = new KeptMessages(core.words, core.handle, this.#copy);
  }

  set detached(value: boolean) {
    this.#detached = value;
  }

  /** From now on it is known who sent a message. */
  set peers(peers: ReadonlyMap<number, AuthenticatedPeer>) {
    this.#origins ??= new Origins(this.#words, peers);
  }

  // -- at once ----------------------------------------------------------------------------------

  /** The next message, or undefined when none is there. */
  tryReceive(): Message | undefined {
    this.#core.check();
    this.#endBorrow();
    return this.#take(false);
  }

  #take(borrow: boolean): Message | undefined {
    if (this.#taken === this.#words[FILLED] && !this.#refill()) return undefined;
    // A message that was cut off is none: the next one.
    return this.#takeFilled(borrow) ?? this.#take(borrow);
  }

  /** One message, of which at least the first part is in the ring; undefined: it was cut off. */
  #takeFilled(borrow: boolean): Message | undefined {
    const origins = this.#origins;
    if (origins === undefined) return this.#takeParts(borrow);
    const peer = origins.at(this.#taken);
    const message = this.#takeParts(borrow);
    if (message !== undefined) origins.write(message, peer);
    return message;
  }

  #takeParts(borrow: boolean): Message | undefined {
    const words = this.#words;
    const entry = ENTRIES + (this.#taken & RING_MASK) * ENTRY_WORDS;
    const part = this.#part(entry, borrow);
    const more = words[entry + FLAGS]! & ENTRY_MORE;
    this.#taken = (this.#taken + 1) >>> 0;
    words[TAKEN] = this.#taken;
    return more === 0 ? [part] : this.#takeRest([part], borrow);
  }

  /** The other parts; undefined: their connection ended in the middle, there is no message. */
  #takeRest(message: Message, borrow: boolean): Message | undefined {
    const words = this.#words;
    for (;;) {
      // More parts than the ring holds: the rest of the message is there, it needs another fill.
      if (this.#taken === words[FILLED] && !this.#fill()) return undefined;
      const entry = ENTRIES + (this.#taken & RING_MASK) * ENTRY_WORDS;
      const flags = words[entry + FLAGS]!;
      if (!(flags & ENTRY_CUT)) message.push(this.#part(entry, borrow));
      this.#taken = (this.#taken + 1) >>> 0;
      words[TAKEN] = this.#taken;
      if (flags & ENTRY_CUT) return undefined;
      if (!(flags & ENTRY_MORE)) return message;
    }
  }

  #part(entry: number, borrow: boolean): Buffer {
    const length = this.#words[entry + LENGTH]!;
    if (length >= (borrow ? BORROWED_VIEW_BYTES_MIN : VIEW_BYTES_MIN)) {
      const large = this.#largePart(entry, length, borrow);
      if (large !== undefined) return large;
    }
    const part = Buffer.allocUnsafeSlow(length);
    if (length > 0) this.#fetch(part, length);
    return part;
  }

  #fetch(part: Buffer, length: number): void {
    if (this.#copy(this.#handle, this.#taken, part, length) < 0) throw lostPart();
  }

  /** A part that need not be copied; undefined: it has to be. */
  #largePart(entry: number, length: number, borrow: boolean): Buffer | undefined {
    const words = this.#words;
    const flags = words[entry + FLAGS]!;
    if (flags & ENTRY_LENT) return this.#lent(words[entry + PLACE]!, length, borrow);
    if (!(flags & ENTRY_ARENA) || (this.#detached && !borrow)) return undefined;
    return this.#view(words[entry + PLACE]!, length, borrow);
  }

  #view(offset: number, length: number, borrow: boolean): Buffer {
    if (borrow) this.#markBorrowed();
    else this.#context.view();
    return this.#context.chunk.subarray(offset, offset + length);
  }

  #markBorrowed(): void {
    if (this.#borrowed !== undefined) return;
    this.#borrowed = this.#context.chunk;
    this.#context.borrow();
  }

  #lent(id: number, length: number, borrow: boolean): Buffer {
    const buffer = this.#context.lent.get(id);
    if (buffer === undefined) throw new Error(`monocoque: lent buffer ${id} is not known`);
    this.#context.lent.delete(id);
    if (borrow) this.#borrowedLent.push(buffer);
    // What it was wrapped in on its way lies before it.
    return buffer.length === length ? buffer : buffer.subarray(buffer.length - length);
  }

  #endBorrow(): void {
    while (this.#borrowedLent.length > 0) this.#context.recycled.put(this.#borrowedLent.pop()!);
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
    const status = this.#context.native.fill(this.#handle);
    if (status < 0) throw errnoError(status);
    // A sender in this thread may go on.
    if (status > 0) this.#context.turnSoon();
    return this.#words[FILLED] !== this.#taken;
  }

  /** What is there now, up to `max` messages; undefined for none. */
  #takeMany(max: number, borrow: boolean): Message[] | undefined {
    this.#endBorrow();
    const words = this.#words;
    if (this.#taken === words[FILLED] && !this.#refill()) return undefined;
    const { chunk } = this.#context;
    if (borrow) this.#kept.begin(chunk);
    const batch: Message[] = [];
    do {
      const { length } = batch;
      const first = this.#taken;
      if (borrow) this.#takeKept(batch, max);
      else this.#takeSmall(batch, max);
      this.#origins?.writeRow(batch, length, first);
      if (batch.length < max && this.#taken !== words[FILLED]) this.#takeOne(batch, borrow);
      // No turn in between: in a borrowed batch it would overwrite what was just handed out.
    } while (batch.length < max && (this.#taken !== words[FILLED] || this.#fillMore()));
    // The step itself counted as one.
    this.#context.spendMany(batch.length - 1);
    return batch.length === 0 ? undefined : batch;
  }

  #takeOne(batch: Message[], borrow: boolean): void {
    const flags = this.#words[ENTRIES + (this.#taken & RING_MASK) * ENTRY_WORDS + FLAGS]!;
    const message = borrow ? this.#takeNew(batch.length, flags) : this.#takeFilled(false);
    if (message !== undefined) batch.push(message);
  }

  /** Small messages of one part, as many as come in a row: the most frequent case by far. */
  #takeSmall(batch: Message[], max: number): void {
    const words = this.#words;
    const filled = words[FILLED]!;
    let taken = this.#taken;
    while (taken !== filled && batch.length < max) {
      const entry = ENTRIES + (taken & RING_MASK) * ENTRY_WORDS;
      const length = words[entry + LENGTH]!;
      if (length >= VIEW_BYTES_MIN || words[entry + FLAGS]! & ~ENTRY_ARENA) break;
      const part = Buffer.allocUnsafeSlow(length);
      if (length > 0 && this.#copy(this.#handle, taken, part, length) < 0) throw lostPart();
      batch.push([part]);
      taken = (taken + 1) >>> 0;
    }
    this.#taken = taken;
    words[TAKEN] = taken;
  }

  #takeKept(batch: Message[], max: number): void {
    const taken = this.#kept.take(batch, max, this.#taken, this.#words[FILLED]!);
    if (taken === undefined) throw lostPart();
    this.#taken = taken;
    this.#words[TAKEN] = taken;
    if (this.#kept.viewed) this.#markBorrowed();
  }

  #takeNew(index: number, flags: number): Message | undefined {
    const place = this.#words[ENTRIES + (this.#taken & RING_MASK) * ENTRY_WORDS + PLACE]!;
    const message = this.#takeFilled(true);
    if (message !== undefined) this.#kept.keep(index, message, flags, place);
    return message;
  }

  /** After the first message of a batch a pattern may have nothing more to give (EFSM): its end. */
  #fillMore(): boolean {
    const status = this.#context.native.fill(this.#handle);
    if (status > 0) this.#context.turnSoon();
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
    core.checkFree();
    if (this.#waits.length > 0 && !core.queues) throw busyError("reading");
    const refusal = refused(options);
    if (refusal) return refusal;
    if (this.#waits.length > 0) return this.#wait(attempt, options);
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
    // An attempt may take a turn, and the turn may tell of this socket: the loop below goes on.
    if (this.#settling) return;
    this.#settling = true;
    try {
      this.#settle();
    } finally {
      this.#settling = false;
    }
  }

  #settle(): void {
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
    return new Steps(this, () => this.#attemptOne());
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

  /** An iterator ends: what its last step lent is given back, and its next one does not wait. */
  stepsEnded(attempt: () => unknown): void {
    this.#endBorrow();
    for (const wait of this.#waits.filter((it) => it.attempt === attempt)) {
      wait.reject(closedWhileWaiting());
    }
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
    const timeout = timeoutOf(options, core.receiveTimeoutMs);
    return this.#context.blocking(
      () => attempt() ?? core.block(attempt, timeout, INTEREST_READABLE),
    );
  }

  // -- the end ----------------------------------------------------------------------------------

  close(): void {
    this.#endBorrow();
    for (const wait of [...this.#waits]) wait.reject(closedWhileWaiting());
  }
}

/** Uninitialised memory must never pass for a message. */
function lostPart(): Error {
  return new Error("monocoque: a received part is not where it was");
}

function checkMax(max: number): void {
  if (Number.isInteger(max) && max > 0) return;
  throw new RangeError(`max must be a positive integer, not ${String(max)}`);
}
