// What Publisher and XPublisher know of their subscribers.

import { coreOf, type Socket } from "../socket.ts";
import type { WaitOptions } from "../wait.ts";
import type { AbstractClass } from "./mixin.ts";
import { subscribed, type Topic, topicsCount } from "./topics.ts";

/** What a socket that publishes knows of its subscribers. */
export interface Audience {
  /**
   * Resolves when a message of this topic would reach somebody; without one, when there is any
   * subscription. The end of the sleep before the first message. Waits up to `timeout` milliseconds,
   * by default for ever.
   *
   * Errors: EAGAIN (timeout, or closed while waiting), EBADF (closed), the reason of the signal;
   * TypeError for what is no topic. Not in libzmq.
   *
   * ```ts
   * await publisher.subscribed("weather.oslo", { timeout: 5000 });
   * ```
   */
  subscribed(topic?: Topic, options?: WaitOptions): Promise<void>;

  /** Different topics that somebody is subscribed to. Source: ZMQ_TOPICS_COUNT. */
  readonly topicsCount: number;
}

/** Adds them to a socket class; {@link Audience} documents them. */
export function Publishing<Base extends AbstractClass<Socket>>(
  base: Base,
): Base & AbstractClass<Audience> {
  abstract class PublishingSocket extends base implements Audience {
    subscribed(topic?: Topic, options?: WaitOptions): Promise<void> {
      return subscribed(this[coreOf], topic, options);
    }

    get topicsCount(): number {
      return topicsCount(this[coreOf]);
    }
  }
  return PublishingSocket;
}
