// What a socket that sends can do, and the documentation of it; sending.ts does it.

import type { Sendable } from "../send_queue.ts";
import type { WaitOptions } from "../wait.ts";

/** What a socket that sends can do. */
export interface Writable<M = Sendable> {
  /**
   * Queues a message: one part, or an array of parts. Resolves when it is queued; it leaves without
   * any further call, and its memory may be changed as soon as `send` has returned. Waits while
   * there is no room (`sendHighWaterMark`) or no peer, up to `timeout` milliseconds, by default
   * `sendTimeout` (for ever); publishers wait with `noDrop` only, a Router with `mandatory`.
   *
   * Errors: EAGAIN (timeout, or closed while waiting), EBUSY (thrown: another send waits), EBADF
   * (closed), EFSM (a Request that awaits its reply, a Reply without a request), EHOSTUNREACH (a
   * `mandatory` Router, a Stream: nobody has the id), EINVAL (these two: no id before the message),
   * ENOMEM, the reason of the signal; TypeError for what is no message. After any of them nothing
   * was queued. Source: zmq_msg_send(3).
   *
   * ```ts
   * await push.send("one part");
   * await push.send(["topic", payload], { timeout: 500, signal });
   * ```
   */
  send(message: M, options?: WaitOptions): Promise<void>;

  /**
   * Queues a message if there is room now; returns whether it did. Does not wait. Errors (thrown):
   * as `send`. Source: zmq_msg_send(3) with ZMQ_DONTWAIT.
   *
   * ```ts
   * if (!push.trySend(message)) await push.send(message);
   * ```
   */
  trySend(message: M): boolean;

  /**
   * Queues many messages, in order, waiting for room as often as it takes, each time up to `timeout`
   * milliseconds, by default `sendTimeout`. The fastest way to send: payloads of 1.5 KiB and more go
   * to the kernel without a copy. They must not be changed before it resolves. Errors: as `send`;
   * the messages before the one that failed are queued. Not in libzmq.
   *
   * ```ts
   * await push.sendMany([first, second, ["multi", "part"]]);
   * ```
   */
  sendMany(messages: Iterable<M>, options?: WaitOptions): Promise<void>;

  /**
   * Queues a message and blocks the thread while there is no room: for Workers and scripts that only
   * message. Waits up to `timeout` milliseconds, by default `sendTimeout`. Errors (thrown): as
   * `send`. Source: zmq_msg_send(3).
   *
   * ```ts
   * push.sendSync(result, { timeout: 1000 });
   * ```
   */
  sendSync(message: M, options?: { timeout?: number }): void;

  /** Whether a message could be queued now; false when closed. Source: ZMQ_EVENTS, ZMQ_POLLOUT. */
  readonly writable: boolean;
}
