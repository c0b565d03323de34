// Topics: subscribing, cancelling, waiting for a subscriber.

import { errnoError, zmqError } from "../errors.ts";
import { SharedRecord, SocketRecord, Status } from "../ffi/abi.generated.ts";
import type { Message } from "../receive_queue.ts";
import type { SocketCore } from "../socket_core.ts";
import type { WaitOptions } from "../wait.ts";
import type { Subscriber } from "./subscriber.ts";

/** The bytes that the first part of a message begins with; a string stands for its UTF-8. */
export type Topic = string | Uint8Array;

const EVERYTHING = [""] as const;

export function subscribe(core: SocketCore, topics: readonly Topic[]): void {
  each(core, topics, core.context.native.socket_subscribe);
}

export function unsubscribe(core: SocketCore, topics: readonly Topic[]): void {
  each(core, topics, core.context.native.socket_unsubscribe);
}

type Call = (socket: number, topic: Uint8Array, bytes: number) => number;

function each(core: SocketCore, topics: readonly Topic[], call: Call): void {
  core.check();
  // All of them are looked at before any counts.
  const bytes = (topics.length === 0 ? EVERYTHING : topics).map(bytesOf);
  for (const topic of bytes) {
    const status = call(core.handle, topic, topic.length);
    if (status === Status.EINVAL) throw zmqError("EINVAL", { advice: adviceFor(core) });
    if (status < 0) throw errnoError(status);
  }
  core.context.scheduleFlush();
}

function adviceFor(core: SocketCore): string {
  if (core.typeName === "XPublisher" && core.values.manual === false) {
    return "Only a manual XPublisher subscribes for its peers: set the option manual first.";
  }
  return "A topic has at most 1 MiB.";
}

function bytesOf(topic: Topic): Uint8Array {
  if (typeof topic === "string") return Buffer.from(topic);
  if (topic instanceof Uint8Array) return topic;
  throw new TypeError(`A topic is a string or a Uint8Array, not ${typeof topic}`);
}

export function topicsCount(core: SocketCore): number {
  const { topics } = SocketRecord;
  return core.shared.getUint32(SharedRecord.record.offset + topics.offset, true);
}

export function subscribed(
  core: SocketCore,
  topic: Topic | undefined,
  options: WaitOptions | undefined,
): Promise<void> {
  if (topic === undefined) return core.subscriptions.until(() => topicsCount(core) > 0, options);
  const bytes = Buffer.from(bytesOf(topic));
  const { native } = core.context;
  const reached = () => native.socket_subscribed(core.handle, bytes, bytes.length) > 0;
  return core.subscriptions.until(reached, options);
}

/** One subscription, until it is cancelled or its scope ends. Made by {@link Subscriber.topic}. */
export class Subscription implements Disposable {
  readonly #subscriber: Subscriber;
  readonly #topic: Buffer;
  #active = true;

  /** @internal */
  constructor(subscriber: Subscriber, topic: Topic) {
    // A copy: the cancel has to name the same bytes.
    this.#topic = Buffer.from(bytesOf(topic));
    this.#subscriber = subscriber;
    subscriber.subscribe(this.#topic);
  }

  /** Whether a message is of this topic. */
  matches(message: Message): boolean {
    const first = message[0];
    if (first === undefined || first.length < this.#topic.length) return false;
    return this.#topic.compare(first, 0, this.#topic.length) === 0;
  }

  /** Cancels this subscription; others to the same topic stay. Twice is fine, and after a close. */
  unsubscribe(): void {
    if (!this.#active) return;
    this.#active = false;
    if (!this.#subscriber.closed) this.#subscriber.unsubscribe(this.#topic);
  }

  /** `unsubscribe()` at the end of a block: `using weather = subscriber.topic("weather.");`. */
  [Symbol.dispose](): void {
    this.unsubscribe();
  }
}
