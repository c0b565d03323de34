import type { GatherOptions, Properties } from "../options.ts";
import { defineOptions, Socket } from "../socket.ts";
import { SingleReceiving } from "./single.ts";

/**
 * Takes messages of connected {@link Scatter} sockets in turn. Messages have one part. A draft:
 * RFC 49, ZMQ_GATHER.
 *
 * ```ts
 * await using gather = new Gather();
 * await gather.bind("tcp://127.0.0.1:5555");
 * for await (const [job] of gather) console.log(job.toString());
 * ```
 */
export class Gather extends SingleReceiving(Socket) {
  constructor(options?: GatherOptions) {
    super("Gather", options);
  }
}

export interface Gather extends Properties<GatherOptions> {}

defineOptions(Gather.prototype, "Gather");
