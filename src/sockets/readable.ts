// What a socket that receives can do, and the documentation of it; receiving.ts does it.

import type { BatchOptions, Message } from "../receive_queue.ts";
import type { AuthenticatedPeer } from "../verdict.ts";
import type { WaitOptions } from "../wait.ts";

/** What a socket that receives can do. */
export interface Readable<M = Message> extends AsyncIterable<M> {
  /**
   * The next message: an array of its parts. Waits up to `timeout` milliseconds, by default
   * `receiveTimeout` (for ever). A received part is never overwritten; parts of 512 bytes and more
   * may share memory with their neighbours, see the option `detached`.
   *
   * Errors: EAGAIN (timeout, or closed while waiting), EBUSY (thrown: another receive waits), EBADF
   * (closed), EFSM (a Request that has not asked, a Reply that has not answered), the reason of the
   * signal. An aborted or timed out wait loses no message. Source: zmq_msg_recv(3).
   *
   * ```ts
   * const [body] = await pull.receive({ timeout: 1000 });
   * ```
   */
  receive(options?: WaitOptions): Promise<M>;

  /**
   * The next message if one is there, otherwise undefined. Does not wait. Errors (thrown): EBADF,
   * EFSM. Source: zmq_msg_recv(3) with ZMQ_DONTWAIT.
   *
   * ```ts
   * for (let message; (message = pull.tryReceive()); ) handle(message);
   * ```
   */
  tryReceive(): M | undefined;

  /**
   * All messages that are there, 1 to `max` (default 1024): waits for the first of them, by default
   * for `receiveTimeout` milliseconds. The fast path, with {@link batches}. Errors: as `receive`.
   * Not in libzmq.
   *
   * ```ts
   * for (const [body] of await pull.receiveMany()) handle(body);
   * ```
   */
  receiveMany(options?: BatchOptions): Promise<M[]>;

  /**
   * Iterates over batches of 1 to `max` (default 1024) messages until the socket closes. With
   * `borrow` (default false) arrays and parts are valid until the next step only: nothing is copied
   * or allocated for the payload. A step waits up to `timeout` milliseconds, by default
   * `receiveTimeout`. Errors: as `receive`; a close ends the loop without one. Not in libzmq.
   *
   * ```ts
   * for await (const batch of pull.batches({ borrow: true })) {
   *   for (const [body] of batch) total += body.length;
   * }
   * ```
   */
  batches(options?: BatchOptions): AsyncIterableIterator<M[]>;

  /**
   * The next message, blocking the thread: for Workers and scripts that only message. Waits up to
   * `timeout` milliseconds, by default `receiveTimeout`. Errors (thrown): as `receive`. Source:
   * zmq_msg_recv(3).
   *
   * ```ts
   * const [job] = pull.receiveSync({ timeout: 1000 });
   * ```
   */
  receiveSync(options?: { timeout?: number }): M;

  /**
   * All messages that are there, 1 to `max` (default 1024), blocking the thread until one is. Waits
   * up to `timeout` milliseconds, by default `receiveTimeout`; `borrow` as for {@link batches}.
   * Errors (thrown): as `receive`. Not in libzmq.
   *
   * ```ts
   * for (const [job] of pull.receiveManySync({ borrow: true })) work(job);
   * ```
   */
  receiveManySync(options?: Omit<BatchOptions, "signal">): M[];

  /**
   * Who sent a message that was received here, the array itself: what `authenticate`, or a ZAP handler,
   * has said of its connection, also after that has ended. Undefined: nobody was asked, or it was not
   * received but made. Source: zmq_msg_gets(3), "User-Id".
   *
   * ```ts
   * const message = await router.receive();
   * console.log(router.peerOf(message)?.userId);
   * ```
   */
  peerOf(message: M): AuthenticatedPeer | undefined;

  /** Whether a message could be received now; false when closed. Source: ZMQ_EVENTS, ZMQ_POLLIN. */
  readonly readable: boolean;

  /**
   * Iterates over messages until the socket closes. `break` stops receiving; nothing that was not
   * yielded is lost. A step waits up to `receiveTimeout` milliseconds. Errors: as `receive`; a close
   * ends the loop without one.
   *
   * ```ts
   * for await (const [question] of reply) await reply.send(answer(question));
   * ```
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<M>;
}
