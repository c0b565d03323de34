import type { Properties, RequestOptions } from "../options.ts";
import { defineOptions, Socket } from "../socket.ts";
import { Receiving } from "./receiving.ts";
import { Sending } from "./sending.ts";

/**
 * Sends a request and receives its reply, in turn; the next request goes to the next peer. Whatever
 * is not the reply is dropped and counted. Source: RFC 28, ZMQ_REQ.
 *
 * A reply that never comes blocks a strict Request for ever: give `receive` a timeout, and set
 * `relaxed` and `correlate` to ask again.
 *
 * ```ts
 * await using request = new Request({ relaxed: true, correlate: true });
 * request.connect("tcp://127.0.0.1:5555");
 * await request.send("question");
 * const [answer] = await request.receive({ timeout: 1000 });
 * ```
 */
export class Request extends Sending(Receiving(Socket)) {
  constructor(options?: RequestOptions) {
    super("Request", options);
  }
}

export interface Request extends Properties<RequestOptions> {}

defineOptions(Request.prototype, "Request");
