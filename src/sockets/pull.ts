import type { PullOptions, Properties } from "../options.ts";
import { defineOptions, Socket } from "../socket.ts";
import { Receiving } from "./receiving.ts";

/**
 * Takes messages of connected {@link Push} sockets in turn, one whole message of each. Source:
 * RFC 30, ZMQ_PULL.
 *
 * ```ts
 * await using pull = new Pull();
 * await pull.bind("tcp://127.0.0.1:5555");
 * for await (const [job] of pull) console.log(job.toString());
 * ```
 */
export class Pull extends Receiving(Socket) {
  constructor(options?: PullOptions) {
    super("Pull", options);
  }
}

export interface Pull extends Properties<PullOptions> {}

defineOptions(Pull.prototype, "Pull");
