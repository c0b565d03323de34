import type { PushOptions, Properties } from "../options.ts";
import { defineOptions, Socket } from "../socket.ts";
import { Sending } from "./sending.ts";

/**
 * Gives messages to connected {@link Pull} sockets in turn, one whole message each. Source: RFC 30,
 * ZMQ_PUSH.
 *
 * ```ts
 * await using push = new Push();
 * push.connect("tcp://127.0.0.1:5555");
 * await push.send("job");
 * ```
 */
export class Push extends Sending(Socket) {
  constructor(options?: PushOptions) {
    super("Push", options);
  }
}

export interface Push extends Properties<PushOptions> {}

defineOptions(Push.prototype, "Push");
