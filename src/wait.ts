// A call that waits: for a message, for room, for a bind. It ends with a value, a timeout (EAGAIN),
// its AbortSignal, or the socket. Whatever ends it, the I/O goes on and the socket stays good.

import { zmqError } from "./errors.ts";
import { validateTimeout } from "./option_check.ts";

/** How a waiting call can be cut short. */
export interface WaitOptions {
  /** Rejects with the signal's reason when it is aborted. Nothing is lost by that. */
  signal?: AbortSignal;
  /** Milliseconds, 0 not to wait, -1 for ever; the default is the socket's own timeout option. */
  timeout?: number;
}

export class Wait<T> {
  readonly promise: Promise<T>;
  /** What is tried again each time the socket is ready; undefined: not yet. */
  readonly attempt: () => T | undefined;
  #resolve!: (value: T) => void;
  #reject!: (reason: unknown) => void;
  #timer: Timer | undefined;
  #signal: AbortSignal | undefined;
  readonly #onEnd: (wait: Wait<T>) => void;

  constructor(attempt: () => T | undefined, onEnd: (wait: Wait<T>) => void) {
    this.attempt = attempt;
    this.#onEnd = onEnd;
    this.promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Sets the limits of the wait. `endpoint` goes into the error. */
  limit(timeoutMs: number, signal: AbortSignal | undefined, endpoint: string | undefined): void {
    // Since it was looked at last; it will not tell again.
    if (signal?.aborted) return this.reject(signal.reason);
    if (timeoutMs >= 0) {
      this.#timer = setTimeout(() => this.reject(timeoutError(endpoint)), timeoutMs);
    }
    if (signal) {
      this.#signal = signal;
      signal.addEventListener("abort", this.#onAbort, { once: true });
    }
  }

  resolve(value: T): void {
    this.#end();
    this.#resolve(value);
  }

  reject(reason: unknown): void {
    this.#end();
    this.#reject(reason);
  }

  readonly #onAbort = (): void => this.reject(this.#signal?.reason);

  #end(): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#onEnd(this);
  }
}

export function timeoutError(endpoint: string | undefined): Error {
  return zmqError("EAGAIN", endpoint === undefined ? {} : { endpoint });
}

/** Throws when a call must not begin: its limits are none, or its signal has been aborted. */
export function checkWait(options: WaitOptions | undefined): void {
  if (options === undefined) return;
  if (typeof options !== "object" || options === null) {
    const what = options === null ? "null" : typeof options;
    throw new TypeError(`The options of a call are an object such as { timeout: 500 }, not ${what}`);
  }
  const { signal, timeout } = options;
  if (timeout !== undefined) validateTimeout(timeout);
  if (signal === undefined) return;
  if (!(signal instanceof AbortSignal)) {
    throw new TypeError("signal must be an AbortSignal, such as the signal of an AbortController");
  }
  signal.throwIfAborted();
}

/** The same for calls that throw nothing; undefined: it may begin. */
export function refused(options: WaitOptions | undefined): Promise<never> | undefined {
  if (options === undefined) return undefined;
  try {
    checkWait(options);
    return undefined;
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Of a socket that was closed, or given to a proxy. */
export function closedWhileWaiting(): Error {
  return zmqError("EAGAIN", { advice: "The socket was closed while this call waited." });
}

/** Milliseconds to wait: the call's own, else the socket's. */
export function timeoutOf(options: WaitOptions | undefined, socketMs: number): number {
  const own = options?.timeout;
  return own === undefined ? socketMs : validateTimeout(own);
}
