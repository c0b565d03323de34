import type { Properties, XSubscriberOptions } from "../options.ts";
import { coreOf, defineOptions, Socket } from "../socket.ts";
import { Receiving } from "./receiving.ts";
import { Sending } from "./sending.ts";
import { topicsCount } from "./topics.ts";

/**
 * A {@link Subscriber} that subscribes by sending: `01` and a topic to subscribe, `00` and a topic to
 * cancel. Whatever else it sends goes to all publishers as it is. It receives all that arrives,
 * unfiltered. Source: RFC 29, ZMQ_XSUB.
 *
 * ```ts
 * await using subscriber = new XSubscriber();
 * subscriber.connect("tcp://127.0.0.1:5555");
 * await subscriber.send("\x01weather.");
 * const [topic, text] = await subscriber.receive();
 * ```
 */
export class XSubscriber extends Sending(Receiving(Socket)) {
  constructor(options?: XSubscriberOptions) {
    super("XSubscriber", options);
  }

  /** Different topics that are subscribed to. Source: ZMQ_TOPICS_COUNT. */
  get topicsCount(): number {
    return topicsCount(this[coreOf]);
  }
}

export interface XSubscriber extends Properties<XSubscriberOptions> {}

defineOptions(XSubscriber.prototype, "XSubscriber");
