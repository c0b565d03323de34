import type { Properties, ScatterOptions } from "../options.ts";
import { defineOptions, Socket } from "../socket.ts";
import { SingleSending } from "./single.ts";

/**
 * Gives messages to connected {@link Gather} sockets in turn. Messages have one part. A draft:
 * RFC 49, ZMQ_SCATTER.
 *
 * ```ts
 * await using scatter = new Scatter();
 * scatter.connect("tcp://127.0.0.1:5555");
 * await scatter.send("job");
 * ```
 */
export class Scatter extends SingleSending(Socket) {
  constructor(options?: ScatterOptions) {
    super("Scatter", options);
  }
}

export interface Scatter extends Properties<ScatterOptions> {}

defineOptions(Scatter.prototype, "Scatter");
