// Buffers of borrowed large parts that are kept for the next ones.

/** So many, and the size of each, bytes. */
const RECYCLED_MAX = 32;
const RECYCLED_BYTES_MAX = 1024 * 1024;

export class Recycled {
  readonly #buffers: Buffer[] = [];

  /** Takes back a lent buffer whose message is over: the next part of that size uses it. */
  put(buffer: Buffer): void {
    if (buffer.length > RECYCLED_BYTES_MAX || this.#buffers.length === RECYCLED_MAX) return;
    this.#buffers.push(buffer);
  }

  /**
   * A buffer of that size; undefined: no memory for it. A peer decides the size, within
   * maxMessageSize: that ends its connection at most.
   */
  take(bytes: number): Buffer | undefined {
    const buffer = this.#buffers.pop();
    if (buffer?.length === bytes) return buffer;
    // Another size: traffic has changed, so the others are of no use either.
    this.#buffers.length = 0;
    try {
      return Buffer.allocUnsafeSlow(bytes);
    } catch {
      return undefined;
    }
  }
}
