import type { PublisherOptions, Properties } from "../options.ts";
import { defineOptions, Socket } from "../socket.ts";
import { Publishing } from "./publishing.ts";
import { Sending } from "./sending.ts";

/**
 * Sends every message to all {@link Subscriber}s that want it: those with a subscription that its
 * first part begins with. One that is too slow loses messages, each of which is counted; it never
 * holds up the others. Source: RFC 29, ZMQ_PUB.
 *
 * ```ts
 * await using publisher = new Publisher();
 * await publisher.bind("tcp://127.0.0.1:5555");
 * await publisher.subscribed("weather.oslo");
 * await publisher.send(["weather.oslo", "rain"]);
 * ```
 */
export class Publisher extends Publishing(Sending(Socket)) {
  constructor(options?: PublisherOptions) {
    super("Publisher", options);
  }
}

export interface Publisher extends Properties<PublisherOptions> {}

defineOptions(Publisher.prototype, "Publisher");
