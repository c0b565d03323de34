import type { Properties, SubscriberOptions } from "../options.ts";
import { coreOf, defineOptions, Socket } from "../socket.ts";
import { Receiving } from "./receiving.ts";
import { subscribe, Subscription, type Topic, topicsCount, unsubscribe } from "./topics.ts";

/**
 * Receives the messages of its {@link Publisher}s whose first part begins with a topic that it
 * subscribed to; before that, none. Source: RFC 29, ZMQ_SUB.
 *
 * ```ts
 * await using subscriber = new Subscriber();
 * subscriber.connect("tcp://127.0.0.1:5555");
 * subscriber.subscribe("weather.");
 * for await (const [topic, text] of subscriber) console.log(`${topic}: ${text}`);
 * ```
 */
export class Subscriber extends Receiving(Socket) {
  constructor(options?: SubscriberOptions) {
    super("Subscriber", options);
  }

  /**
   * Subscribes to every message that begins with one of these (compared byte by byte, strings in
   * UTF-8); none stands for everything. Publishers hear of it at once, or with their connection.
   * Twice the same needs two cancels. Errors (thrown): EBADF, EBUSY, ENOMEM; TypeError for what is
   * no topic. Source: ZMQ_SUBSCRIBE.
   *
   * ```ts
   * subscriber.subscribe("weather.", "alarm.");
   * ```
   */
  subscribe(...topics: Topic[]): void {
    subscribe(this[coreOf], topics);
  }

  /**
   * Cancels subscriptions; none stands for the one to everything. What had arrived for them is
   * dropped. One that does not exist is ignored, as in libzmq. Errors (thrown): as `subscribe`.
   * Source: ZMQ_UNSUBSCRIBE.
   *
   * ```ts
   * subscriber.unsubscribe("alarm.");
   * ```
   */
  unsubscribe(...topics: Topic[]): void {
    unsubscribe(this[coreOf], topics);
  }

  /**
   * Subscribes to one topic for as long as the result is in scope, which also tells its messages from
   * others. Errors (thrown): as `subscribe`. Not in libzmq.
   *
   * ```ts
   * using weather = subscriber.topic("weather.");
   * for await (const message of subscriber) {
   *   if (weather.matches(message)) report(message);
   * }
   * ```
   */
  topic(topic: Topic): Subscription {
    return new Subscription(this, topic);
  }

  /** Different topics that are subscribed to. Source: ZMQ_TOPICS_COUNT. */
  get topicsCount(): number {
    return topicsCount(this[coreOf]);
  }
}

export interface Subscriber extends Properties<SubscriberOptions> {}

defineOptions(Subscriber.prototype, "Subscriber");
