// The objects of borrowed messages, used again at the next step: a stream of messages of one size is
// received without a single allocation.

import { ENTRY_ARENA, ENTRY_LENT, ENTRY_MORE } from "./ffi/abi.generated.ts";
import type { Native } from "./ffi/native.ts";
import { ENTRIES, ENTRY_WORDS, FLAGS, LENGTH, PLACE, RING_MASK } from "./ffi/records.ts";

/** In a borrowed batch nothing is kept, so this is where a view costs less than a copy. */
export const BORROWED_VIEW_BYTES_MIN = 256;

/** Borrowed messages whose objects are used again. */
const KEPT_MAX = 1024;

/** A part up to this is copied into memory that is used again rather than viewed afresh. */
const KEPT_COPY_BYTES_MAX = 1024;

/** Memory kept for that by one socket, bytes. */
const KEPT_BYTES_MAX = 256 * 1024;

interface Kept {
  message: Buffer[];
  /** Of its only part, bytes. */
  length: number;
  /** A view of the chunk, and its offset there; -1: none. */
  view: Buffer | undefined;
  place: number;
  /** Where the part lay last, if not there. */
  placeSeen: number;
  /** Memory of its own, for parts that lie elsewhere. */
  own: Buffer | undefined;
}

export class KeptMessages {
  readonly #words: Uint32Array;
  readonly #handle: number;
  readonly #copy: Native["copy"];
  /** By their index in the batch, with holes where something else came. */
  readonly #kept: (Kept | undefined)[] = [];
  #chunk: Buffer | undefined;
  #ownBytes = 0;
  /** Views were handed out by the last `take`. */
  viewed = false;

  constructor(words: Uint32Array, handle: number, copy: Native["copy"]) {
    this.#words = words;
    this.#handle = handle;
    this.#copy = copy;
  }

  /** A step begins; views of an earlier chunk would keep that alive. */
  begin(chunk: Buffer): void {
    if (this.#chunk === chunk) return;
    this.#chunk = chunk;
    for (const kept of this.#kept) {
      if (kept === undefined) continue;
      kept.message.length = 0;
      kept.view = undefined;
      kept.place = -1;
      kept.placeSeen = -1;
    }
  }

  /**
   * Takes messages from `first` to `filled` of the ring for as long as they fit what is kept; returns
   * how far it got. Undefined: the native side has lost one of them.
   */
  take(batch: Buffer[][], max: number, first: number, filled: number): number | undefined {
    const words = this.#words;
    let taken = first;
    this.viewed = false;
    while (taken !== filled && batch.length < max) {
      const kept = this.#kept[batch.length];
      if (kept === undefined) break;
      const entry = ENTRIES + (taken & RING_MASK) * ENTRY_WORDS;
      const flags = words[entry + FLAGS]!;
      if (kept.length !== words[entry + LENGTH]! || flags & ~ENTRY_ARENA) break;
      let part: Buffer | undefined;
      if (flags !== 0 && kept.place === words[entry + PLACE]) {
        part = kept.view!;
        this.viewed = true;
      } else {
        part = this.#ownPart(kept, flags === 0 ? -1 : words[entry + PLACE]!);
        if (part === undefined) break;
        if (this.#copy(this.#handle, taken, part, kept.length) < 0) return undefined;
      }
      // The array was the caller's for a step.
      kept.message.length = 1;
      kept.message[0] = part;
      batch.push(kept.message);
      taken = (taken + 1) >>> 0;
    }
    return taken;
  }

  /**
   * Where a part that lies elsewhere than the one before is copied to; undefined: a view is better.
   * With several sockets on one chunk parts lie elsewhere each time, and a view is an object each.
   */
  #ownPart(kept: Kept, place: number): Buffer | undefined {
    const { length } = kept;
    if (place >= 0 && length >= BORROWED_VIEW_BYTES_MIN) {
      if (length > KEPT_COPY_BYTES_MAX || kept.placeSeen === place) return undefined;
      kept.placeSeen = place;
    }
    if (kept.own === undefined) {
      if (this.#ownBytes + length > KEPT_BYTES_MAX) return undefined;
      this.#ownBytes += length;
      kept.own = Buffer.allocUnsafeSlow(length);
    }
    return kept.own;
  }

  /** Keeps the objects of a message that was made for this step. */
  keep(index: number, message: Buffer[], flags: number, place: number): void {
    const part = message[0]!;
    const { length } = part;
    if (index >= KEPT_MAX || flags & (ENTRY_MORE | ENTRY_LENT) || length === 0) return;
    const viewed = (flags & ENTRY_ARENA) !== 0 && length >= BORROWED_VIEW_BYTES_MIN;
    const before = this.#kept[index];
    let own = before?.own;
    if (own !== undefined && own.length !== length) {
      this.#ownBytes -= own.length;
      own = undefined;
    }
    if (!viewed && own === undefined) {
      if (this.#ownBytes + length > KEPT_BYTES_MAX) return;
      this.#ownBytes += length;
      own = part;
    }
    const view = viewed ? part : undefined;
    this.#kept[index] = { message, length, view, place: viewed ? place : -1, placeSeen: -1, own };
  }
}
