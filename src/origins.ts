// Who sent a message, written on the array of its parts in a private field, which nobody else sees: not
// who prints it, compares it or goes through its keys. A WeakMap would take as long as receiving does.

import { ENTRIES, ENTRY_WORDS, RING_MASK, SOURCE } from "./ffi/records.ts";
import type { AuthenticatedPeer } from "./verdict.ts";

/** Whatever is "made" by it is what was given: so its heirs write their fields on that. */
class Given {
  constructor(message: object) {
    return message;
  }
}

class Origin extends Given {
  #peer: AuthenticatedPeer | undefined;

  private constructor(message: object, peer: AuthenticatedPeer) {
    super(message);
    this.#peer = peer;
  }

  static of(message: object): AuthenticatedPeer | undefined {
    return #peer in message ? message.#peer : undefined;
  }

  static write(message: object, peer: AuthenticatedPeer | undefined): void {
    // A borrowed array may have had another sender before.
    if (#peer in message) message.#peer = peer;
    else if (peer !== undefined) new Origin(message, peer);
  }
}

/** Undefined: its sender was not asked about, or it is no message. */
export function senderOf(message: object): AuthenticatedPeer | undefined {
  return typeof message === "object" && message !== null ? Origin.of(message) : undefined;
}

/** The same message in another form. */
export function keepSender<M extends object>(from: object, message: M): M {
  Origin.write(message, Origin.of(from));
  return message;
}

/** Connections of one socket by the `source` of ring entries. */
export class Origins {
  readonly #words: Uint32Array;
  readonly #peers: ReadonlyMap<number, AuthenticatedPeer>;

  constructor(words: Uint32Array, peers: ReadonlyMap<number, AuthenticatedPeer>) {
    this.#words = words;
    this.#peers = peers;
  }

  /** Whose part is at a position of the ring, also when it has just been taken. */
  at(position: number): AuthenticatedPeer | undefined {
    const entry = ENTRIES + (position & RING_MASK) * ENTRY_WORDS;
    return this.#peers.get(this.#words[entry + SOURCE]!);
  }

  write(message: object, peer: AuthenticatedPeer | undefined): void {
    Origin.write(message, peer);
  }

  /** The messages from `index` on had one part each, the first of them at `position`. */
  writeRow(batch: readonly object[], index: number, position: number): void {
    for (let i = index; i < batch.length; i += 1) {
      Origin.write(batch[i]!, this.at(position + i - index));
    }
  }
}
