// What a socket that says to whom it sends can do, documented; labelled.ts does it.

import type { WaitOptions } from "../wait.ts";
import type { SinglePart } from "./single.ts";

/** What a socket that says to whom it sends can do. */
export interface LabelledWritable<Label, Item = readonly [SinglePart, Label]> {
  /**
   * Queues a message of one part for the peer with a `routingId`, or for a `group`. Resolves when
   * it is queued; it leaves without any further call, and its memory may be changed as soon as
   * `send` has returned. Waits while there is no room (`sendHighWaterMark`), up to `timeout`
   * milliseconds, by default `sendTimeout` (for ever); a Radio waits with `noDrop` only.
   *
   * Errors: EHOSTUNREACH (no peer has this id, any more or yet), EAGAIN (timeout, or closed while
   * waiting), EINVAL (several parts, an impossible label), EBUSY (thrown: another send waits),
   * EBADF (closed), ENOMEM, the reason of the signal; TypeError for what is no message or no label.
   * After any of them nothing was queued. Source: zmq_msg_send(3), zmq_msg_set_routing_id(3),
   * zmq_msg_set_group(3).
   *
   * ```ts
   * await server.send("answer", { routingId });
   * await radio.send("rain", { group: "weather", timeout: 500 });
   * ```
   */
  send(message: SinglePart, options: Label & WaitOptions): Promise<void>;

  /**
   * Queues a message if there is room now; returns whether it did. Does not wait. Errors (thrown):
   * as `send`. Source: zmq_msg_send(3) with ZMQ_DONTWAIT.
   *
   * ```ts
   * if (!server.trySend(answer, { routingId })) console.warn(`${routingId} is too slow`);
   * ```
   */
  trySend(message: SinglePart, label: Label): boolean;

  /**
   * Queues many messages, each with its label, in the form that batches are received in. Waits for
   * room as often as it takes, each time up to `timeout` milliseconds, by default `sendTimeout`.
   * The memory must not be changed before it resolves. Errors: as `send`; the messages before the
   * one that failed are queued. Not in libzmq.
   *
   * ```ts
   * for await (const batch of server.batches()) await server.sendMany(batch); // an echo
   * ```
   */
  sendMany(messages: Iterable<Item>, options?: WaitOptions): Promise<void>;

  /**
   * Queues a message and blocks the thread while there is no room: for Workers and scripts that
   * only message. Waits up to `timeout` milliseconds, by default `sendTimeout`. Errors (thrown): as
   * `send`. Source: zmq_msg_send(3).
   *
   * ```ts
   * server.sendSync(answer, { routingId, timeout: 1000 });
   * ```
   */
  sendSync(message: SinglePart, options: Label & { timeout?: number }): void;

  /**
   * Whether a message could be queued now: false when closed, and while a peer has no room for the
   * one that was refused last. Source: ZMQ_EVENTS, ZMQ_POLLOUT.
   */
  readonly writable: boolean;
}
