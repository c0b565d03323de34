// Waits for what peers do: a connection, a subscription. Any number at a time, unlike those of the
// queues, and each for something of its own.

import type { NativeContext } from "./context.ts";
import { ZmqError } from "./errors.ts";
import {
  checkWait,
  closedWhileWaiting,
  timeoutError,
  timeoutOf,
  Wait,
  type WaitOptions,
} from "./wait.ts";

export class PeerWaits {
  readonly #context: NativeContext;
  readonly #socket: number;
  readonly #interest: number;
  readonly #waits = new Set<Wait<true>>();
  readonly #check: () => void;
  #closed = false;

  /** `check` throws when the native socket is not to be asked any more. */
  constructor(context: NativeContext, socket: number, interest: number, check: () => void) {
    this.#context = context;
    this.#socket = socket;
    this.#interest = interest;
    this.#check = check;
  }

  /** Resolves as soon as `come` says so; what it throws is what the wait rejects with. */
  async until(come: () => boolean, options?: WaitOptions, endpoint?: string): Promise<void> {
    this.#check();
    checkWait(options);
    const timeoutMs = timeoutOf(options, -1);
    if (come()) return;
    if (timeoutMs === 0) throw timeoutError(endpoint);
    const wait = new Wait<true>(() => come() || undefined, this.#onEnd);
    this.#waits.add(wait);
    this.#context.ref();
    wait.limit(timeoutMs, options?.signal, endpoint);
    this.#want();
    // To start waiting may have taken a turn: what came in it is not told again.
    this.look();
    await wait.promise;
  }

  /** As `until`; false: not in time. */
  async inTime(come: () => boolean, options: WaitOptions): Promise<boolean> {
    try {
      await this.until(come, options);
      return true;
    } catch (error) {
      if (error instanceof ZmqError && error.code === "EAGAIN" && !this.#closed) return false;
      throw error;
    }
  }

  readonly #onEnd = (wait: Wait<true>): void => {
    this.#waits.delete(wait);
    this.#context.unref();
  };

  #want(): void {
    this.#context.flush();
    this.#context.native.socket_want(this.#socket, this.#interest);
    this.#context.wakeIfReady();
  }

  /** Something happened, or will not happen any more. */
  look(): void {
    for (const wait of [...this.#waits]) {
      try {
        if (wait.attempt()) wait.resolve(true);
      } catch (error) {
        wait.reject(error);
      }
    }
    if (this.#waits.size > 0) this.#want();
  }

  close(): void {
    this.#closed = true;
    for (const wait of [...this.#waits]) wait.reject(closedWhileWaiting());
  }
}
