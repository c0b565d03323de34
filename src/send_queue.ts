// Hands messages to the native side: at once where there is room, later for those who wait.

import type { NativeContext } from "./context.ts";
import { busyError, errnoError, zmqError } from "./errors.ts";
import {
  GATHER_BYTES_MIN,
  INTEREST_WRITABLE,
  SEND_HOLD,
  SEND_MORE,
  Status,
} from "./ffi/abi.generated.ts";
import type { SocketCore } from "./socket_core.ts";
import { readFailure } from "./socket_stats.ts";
import {
  checkWait,
  closedWhileWaiting,
  refused,
  timeoutError,
  timeoutOf,
  Wait,
  type WaitOptions,
} from "./wait.ts";

/**
 * What one part can be made of: bytes of any kind, a string (UTF-8), a number (its decimal text),
 * null (an empty part).
 */
export type MessageLike = ArrayBufferView | ArrayBuffer | SharedArrayBuffer | string | number | null;

/** A message to send: one part, or an array of parts. */
export type Sendable = MessageLike | readonly MessageLike[];

const NO_PARTS = "A message has at least one part: use [null]";

/** A send without room, and what queues its message when there is some. */
interface SendWait {
  readonly wait: Wait<void>;
  readonly attempt: () => boolean;
}

const RESOLVED: Promise<void> = Promise.resolve();

/** UTF-8 of a string is written here for the length of one call; longer ones get a buffer. */
const scratch = Buffer.allocUnsafeSlow(16 * 1024);

/** A UTF-16 unit takes 3 bytes of UTF-8 at most. */
const SCRATCH_UNITS = Math.floor(scratch.length / 3);

const addressFirst =
  "The first part is the routing id of the receiver: send [routingId, ...parts].";
const nobodyHasIt =
  "No peer has this routing id at the moment: take it from a message, or wait until it connects.";

export class SendQueue {
  readonly #core: SocketCore;
  readonly #context: NativeContext;
  readonly #waits: SendWait[] = [];

  constructor(core: SocketCore) {
    this.#core = core;
    this.#context = core.context;
  }

  // -- at once ----------------------------------------------------------------------------------

  /** Queues a message; false when there is no room. */
  trySend(message: Sendable): boolean {
    this.#core.check();
    if (this.#waits.length > 0) return false;
    return this.#attempt(message);
  }

  #attempt(message: Sendable): boolean {
    const status = this.#queue(message, 0);
    if (status === 1) this.#context.scheduleFlush();
    if (status >= 0) return true;
    if (status === Status.EAGAIN) return false;
    throw this.#refusal(status);
  }

  #queue(message: Sendable, flags: number): number {
    const { native } = this.#context;
    const { handle } = this.#core;
    if (message instanceof Uint8Array) {
      if (message.byteLength === 0) checkPart(message);
      return native.send(handle, message, message.byteLength, flags);
    }
    if (Array.isArray(message)) return this.#queueParts(message as readonly MessageLike[], flags);
    return this.#queuePart(message as MessageLike, flags);
  }

  #refusal(status: number): Error {
    const { typeName } = this.#core;
    const addressed = typeName === "Router" || typeName === "Stream";
    const numbered = typeName === "Server" || typeName === "Peer";
    if (status === Status.EHOSTUNREACH) {
      if (addressed || numbered) return errnoError(status, { advice: nobodyHasIt });
      const reason = readFailure(this.#core.shared);
      if (reason === "peer_error") {
        const advice = "The peer has refused this socket for good: check its keys or its password.";
        return zmqError("EACCES", { endpoint: this.#core.lastEndpoint, advice });
      }
      const advice =
        `Every connection has ended for good (${reason}): connect to a peer ` +
        'that fits, or set permanentFailure to "retry".';
      return errnoError(status, { endpoint: this.#core.lastEndpoint, advice });
    }
    const wrong = addressed && status === Status.EINVAL;
    return errnoError(status, wrong ? { advice: addressFirst } : {});
  }

  #queuePart(part: MessageLike, flags: number): number {
    const { native } = this.#context;
    if (typeof part === "string" && part.length <= SCRATCH_UNITS) {
      const bytes = scratch.write(part, 0, scratch.length, "utf8");
      // The scratch is used again before a flush could read it.
      return native.send(this.#core.handle, scratch, bytes, flags & ~SEND_HOLD);
    }
    const bytes = toBytes(part);
    return native.send(this.#core.handle, bytes, bytes.byteLength, flags);
  }

  #queueParts(parts: readonly MessageLike[], flags: number): number {
    if (parts.length === 0) throw new TypeError(NO_PARTS);
    // All of them are looked at before the first is queued: half a message is never left behind.
    for (const part of parts) checkPart(part);
    const last = parts.length - 1;
    for (let i = 0; i < last; i += 1) {
      const status = this.#queuePart(parts[i]!, flags | SEND_MORE);
      if (status < 0) return status;
    }
    return this.#queuePart(parts[last]!, flags);
  }

  // -- waiting ----------------------------------------------------------------------------------

  send(message: Sendable, options?: WaitOptions): Promise<void> {
    const core = this.#core;
    if (core.closed) return Promise.reject(zmqError("EBADF"));
    core.checkFree();
    if (this.#waits.length > 0 && !core.queues) throw busyError("writing");
    const refusal = refused(options);
    if (refusal) return refusal;
    if (this.#waits.length > 0) return this.#waitToSend(message, options);
    let status: number;
    try {
      status = this.#queue(message, 0);
    } catch (error) {
      return Promise.reject(error);
    }
    if (status >= 0) {
      if (status === 1) this.#context.scheduleFlush();
      return this.#context.spend() ? this.#context.yieldTurn() : RESOLVED;
    }
    if (status !== Status.EAGAIN) return Promise.reject(this.#refusal(status));
    return this.#waitToSend(message, options);
  }

  /** Waits with a copy: what was sent may be changed as soon as `send` has returned. */
  #waitToSend(message: Sendable, options: WaitOptions | undefined): Promise<void> {
    let own: Sendable;
    try {
      own = copyOf(message);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#wait(() => this.#attempt(own), options);
  }

  /** Queues as many as there is room for, then waits for room for the next ones. */
  async sendMany(messages: Iterable<Sendable>, options?: WaitOptions): Promise<void> {
    const core = this.#core;
    if (core.closed) throw zmqError("EBADF");
    core.checkFree();
    if (this.#waits.length > 0 && !core.queues) throw busyError("writing");
    checkWait(options);
    checkMany(messages);
    const batch = Array.isArray(messages) ? (messages as Sendable[]) : [...messages];
    let next = this.#waits.length > 0 ? 0 : this.#queueMany(batch, 0);
    while (next < batch.length) {
      // Closed after some were queued, before this went on: nobody would tell of room any more.
      if (core.closed || core.proxied) throw closedWhileWaiting();
      await this.#wait(() => {
        const before = next;
        next = this.#queueMany(batch, next);
        return next > before;
      }, options);
    }
    if (this.#context.spendMany(batch.length)) await this.#context.yieldTurn();
  }

  /** Queues from `first` on; returns the index of the first message without room. */
  #queueMany(batch: readonly Sendable[], first: number): number {
    const context = this.#context;
    let held = false;
    let waiting = false;
    let index = first;
    try {
      for (; index < batch.length; index += 1) {
        const message = batch[index]!;
        const status = this.#queue(message, SEND_HOLD);
        if (status < 0) {
          if (status === Status.EAGAIN) return index;
          throw this.#refusal(status);
        }
        if (status === 1) waiting = true;
        if (!held) held = isLarge(message);
      }
      return index;
    } finally {
      // Payloads that the kernel is to gather are only borrowed until here.
      if (held) {
        if (context.native.commit() !== 0) context.turnSoon();
      } else if (waiting) context.scheduleFlush();
    }
  }

  #wait(attempt: () => boolean, options: WaitOptions | undefined): Promise<void> {
    const timeoutMs = timeoutOf(options, this.#core.sendTimeoutMs);
    if (timeoutMs === 0) return Promise.reject(timeoutError(this.#core.lastEndpoint));
    const wait = new Wait<void>(() => {}, this.#onEnd);
    this.#waits.push({ wait, attempt });
    this.#context.ref();
    wait.limit(timeoutMs, options?.signal, this.#core.lastEndpoint ?? undefined);
    this.#park();
    return wait.promise;
  }

  readonly #onEnd = (wait: Wait<void>): void => {
    const index = this.#waits.findIndex((entry) => entry.wait === wait);
    if (index >= 0) this.#waits.splice(index, 1);
    this.#context.unref();
  };

  #park(): void {
    this.#context.flush();
    this.#context.native.socket_want(this.#core.handle, INTEREST_WRITABLE);
    this.#context.wakeIfReady();
  }

  /** There is room for those who wait. */
  onWritable(): void {
    while (this.#waits.length > 0) {
      const { wait, attempt } = this.#waits[0]!;
      try {
        if (!attempt()) {
          this.#park();
          return;
        }
        wait.resolve();
      } catch (error) {
        wait.reject(error);
      }
    }
  }

  // -- blocking ---------------------------------------------------------------------------------

  sendSync(message: Sendable, options?: { timeout?: number }): void {
    const core = this.#core;
    core.check();
    if (this.#waits.length > 0) throw busyError("writing");
    if (this.#attempt(message)) return;
    const attempt = () => this.#attempt(message) || undefined;
    core.block(attempt, timeoutOf(options, core.sendTimeoutMs), INTEREST_WRITABLE);
  }

  // -- the end ----------------------------------------------------------------------------------

  close(): void {
    for (const { wait } of [...this.#waits]) wait.reject(closedWhileWaiting());
  }
}

/** Throws for what is one message, not many: text and bytes can be iterated over, too. */
export function checkMany(messages: Iterable<unknown>): void {
  const many = typeof messages === "object" && messages !== null && Symbol.iterator in messages;
  if (many && !ArrayBuffer.isView(messages)) return;
  throw new TypeError("sendMany takes an array of messages, or what else is iterable: [message]");
}

/** Throws TypeError for what cannot be sent. */
function copyOf(message: Sendable): Sendable {
  if (!Array.isArray(message)) return copyOfPart(message as MessageLike);
  if (message.length === 0) throw new TypeError(NO_PARTS);
  return (message as readonly MessageLike[]).map(copyOfPart);
}

function copyOfPart(part: MessageLike): MessageLike {
  checkPart(part);
  // Strings, numbers and null do not change.
  return typeof part === "object" && part !== null ? Buffer.from(toBytes(part)) : part;
}

function isLarge(message: Sendable): boolean {
  if (message instanceof Uint8Array) return message.byteLength >= GATHER_BYTES_MIN;
  if (Array.isArray(message)) return (message as readonly MessageLike[]).some(isLarge);
  // Other views of bytes are rare enough to be committed.
  return typeof message === "object" && message !== null;
}

function checkPart(part: unknown): void {
  if (typeof part === "string" || typeof part === "number" || part === null) return;
  if (ArrayBuffer.isView(part) || part instanceof ArrayBuffer) {
    // A view that is no Uint8Array throws already when it is asked for its length.
    if (part.byteLength === 0) checkAttached(part instanceof ArrayBuffer ? part : part.buffer);
    return;
  }
  if (part instanceof SharedArrayBuffer) return;
  const name = Array.isArray(part) ? "an array inside a message" : describe(part);
  throw new TypeError(
    `A message part must be a Buffer or another view of bytes, an ArrayBuffer, a string, ` +
      `a number or null, not ${name}`,
  );
}

/** Memory that was transferred to another thread is empty here: nobody means to send that. */
function checkAttached(memory: ArrayBufferLike): void {
  if (!(memory instanceof ArrayBuffer && memory.detached)) return;
  throw new TypeError("A message part is detached: its memory was transferred away");
}

function describe(value: unknown): string {
  if (typeof value !== "object" || value === null) return typeof value;
  return `an object of class ${value.constructor?.name ?? "null"}`;
}

function toBytes(part: MessageLike): Uint8Array {
  if (part === null) return EMPTY;
  if (typeof part === "string") return Buffer.from(part);
  if (typeof part === "number") return Buffer.from(String(part));
  if (part instanceof Uint8Array) return part;
  if (ArrayBuffer.isView(part)) return new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
  if (part instanceof ArrayBuffer) return new Uint8Array(part);
  // Shared memory may change under our hands: the copy is what is sent.
  if (part instanceof SharedArrayBuffer) return new Uint8Array(new Uint8Array(part));
  checkPart(part);
  return EMPTY;
}

const EMPTY = new Uint8Array(0);
