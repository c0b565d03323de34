// Iteration over what a queue receives: one message or one batch a step.

import { checkWait, type WaitOptions } from "./wait.ts";

/** What an iterator needs of its queue. */
export interface Stepping {
  readonly closed: boolean;
  /** One step without waiting; undefined: it has to wait. */
  stepNow<T>(attempt: () => T | undefined): T | undefined;
  step<T>(attempt: () => T | undefined, options: WaitOptions | undefined): Promise<T>;
  /** The iterator ends: what its last step lent is given back, and its next one does not wait. */
  stepsEnded(attempt: () => unknown): void;
}

/** Ends when the socket closes. `return` stops waiting; nothing that was not yielded is lost. */
export class Steps<T> implements AsyncIterableIterator<T> {
  readonly #queue: Stepping;
  readonly #attempt: () => T | undefined;
  readonly #options: WaitOptions | undefined;
  #done = false;

  constructor(queue: Stepping, attempt: () => T | undefined, options?: WaitOptions) {
    this.#queue = queue;
    this.#attempt = attempt;
    this.#options = options;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const queue = this.#queue;
    if (this.#done || queue.closed) return this.return();
    try {
      // Also where it need not wait: an abort ends the loop however much there is to read.
      checkWait(this.#options);
      // A promise that is resolved already: a tenth of the cost of one that has to be.
      const value = queue.stepNow(this.#attempt);
      if (value !== undefined) return Promise.resolve({ value, done: false });
      return queue.step(this.#attempt, this.#options).then(wrap<T>, this.#ended);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  readonly #ended = (error: unknown): IteratorResult<T, undefined> => {
    if (!this.#queue.closed && !this.#done) throw error;
    this.#done = true;
    return { value: undefined, done: true };
  };

  return(): Promise<IteratorResult<T, undefined>> {
    this.#done = true;
    this.#queue.stepsEnded(this.#attempt);
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

function wrap<T>(value: T): IteratorResult<T, undefined> {
  return { value, done: false };
}
