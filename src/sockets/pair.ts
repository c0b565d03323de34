import type { PairOptions, Properties } from "../options.ts";
import { defineOptions, Socket } from "../socket.ts";
import { Receiving } from "./receiving.ts";
import { Sending } from "./sending.ts";

/**
 * Talks to exactly one other {@link Pair}, in both directions and any order. Whoever else connects is
 * turned away, until the first one leaves. Source: RFC 31, ZMQ_PAIR.
 *
 * ```ts
 * await using pair = new Pair();
 * pair.connect("tcp://127.0.0.1:5555");
 * await pair.send("ping");
 * const [pong] = await pair.receive();
 * ```
 */
export class Pair extends Sending(Receiving(Socket)) {
  constructor(options?: PairOptions) {
    super("Pair", options);
  }
}

export interface Pair extends Properties<PairOptions> {}

defineOptions(Pair.prototype, "Pair");
