import type { DealerOptions, Properties } from "../options.ts";
import { defineOptions, Socket } from "../socket.ts";
import { Receiving } from "./receiving.ts";
import { Sending } from "./sending.ts";

/**
 * Gives messages to its peers in turn and takes theirs in turn, with nothing added or removed: a
 * {@link Request} without its state. To a {@link Reply} send an empty part first. Source: RFC 28,
 * ZMQ_DEALER.
 *
 * ```ts
 * await using dealer = new Dealer({ routingId: "worker-1" });
 * dealer.connect("tcp://127.0.0.1:5555");
 * await dealer.send(["", "question"]);
 * const [, answer] = await dealer.receive();
 * ```
 */
export class Dealer extends Sending(Receiving(Socket)) {
  constructor(options?: DealerOptions) {
    super("Dealer", options);
  }
}

export interface Dealer extends Properties<DealerOptions> {}

defineOptions(Dealer.prototype, "Dealer");
