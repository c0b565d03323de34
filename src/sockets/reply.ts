import type { Properties, ReplyOptions } from "../options.ts";
import { defineOptions, Socket } from "../socket.ts";
import { Receiving } from "./receiving.ts";
import { Sending } from "./sending.ts";

/**
 * Receives a request and sends its reply, in turn, to any number of peers. A reply whose requester
 * has gone is dropped and counted. Source: RFC 28, ZMQ_REP.
 *
 * ```ts
 * await using reply = new Reply();
 * await reply.bind("tcp://127.0.0.1:5555");
 * for await (const [question] of reply) await reply.send(`you asked ${question}`);
 * ```
 */
export class Reply extends Sending(Receiving(Socket)) {
  constructor(options?: ReplyOptions) {
    super("Reply", options);
  }
}

export interface Reply extends Properties<ReplyOptions> {}

defineOptions(Reply.prototype, "Reply");
