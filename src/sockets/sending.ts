// The calls of sockets that send. A class without them has no such method, nor has its prototype.

import { INTEREST_WRITABLE } from "../ffi/abi.generated.ts";
import { type Sendable, SendQueue } from "../send_queue.ts";
import { coreOf, type Socket } from "../socket.ts";
import type { WaitOptions } from "../wait.ts";

/** What a socket that sends can do. */
export interface Writable<M = Sendable> {
  send(message: M, options?: WaitOptions): Promise<void>;
  trySend(message: M): boolean;
  sendMany(messages: Iterable<M>, options?: WaitOptions): Promise<void>;
  sendSync(message: M, options?: { timeout?: number }): void;
  readonly writable: boolean;
}

// biome-ignore lint/suspicious/noExplicitAny: TypeScript takes no other type for a mixin.
type AbstractClass<T> = abstract new (...args: any[]) => T;

const queueOf = (socket: Socket): SendQueue => socket[coreOf].sender as SendQueue;

/** Adds the sending calls to a socket class. */
export function Sending<Base extends AbstractClass<Socket>>(base: Base) {
  abstract class SendingSocket extends base implements Writable {
    // biome-ignore lint/suspicious/noExplicitAny: see above.
    constructor(...args: any[]) {
      super(...args);
      const core = this[coreOf];
      core.sender = new SendQueue(core);
    }

    /**
     * Queues a message: one part, or an array of parts. Resolves when it is queued; it leaves
     * without any further call, and its memory may be changed at once. Waits while there is no
     * room (`sendHighWaterMark`) or no peer, up to `sendTimeout`.
     *
     * Errors: EAGAIN (timeout, or closed while waiting), EBUSY (thrown: another send waits), EBADF
     * (closed), EFSM (a Request that awaits its reply, a Reply without a request), ENOMEM.
     *
     * ```ts
     * await push.send("one part");
     * await push.send(["topic", payload], { timeout: 500, signal });
     * ```
     */
    send(message: Sendable, options?: WaitOptions): Promise<void> {
      return queueOf(this).send(message, options);
    }

    /**
     * Queues a message if there is room now; returns whether it did.
     *
     * ```ts
     * if (!push.trySend(message)) await push.send(message);
     * ```
     */
    trySend(message: Sendable): boolean {
      return queueOf(this).trySend(message);
    }

    /**
     * Queues many messages, in order, waiting for room as often as it takes. The fastest way to
     * send: large payloads go to the kernel without a copy. They must not be changed before it
     * resolves.
     *
     * ```ts
     * await push.sendMany([first, second, ["multi", "part"]]);
     * ```
     */
    sendMany(messages: Iterable<Sendable>, options?: WaitOptions): Promise<void> {
      return queueOf(this).sendMany(messages, options);
    }

    /**
     * Queues a message and blocks the thread while there is no room: for Workers and scripts that
     * only message. Throws EAGAIN after `timeout` milliseconds (default: `sendTimeout`).
     */
    sendSync(message: Sendable, options?: { timeout?: number }): void {
      queueOf(this).sendSync(message, options);
    }

    /** Whether a message could be queued now. */
    get writable(): boolean {
      return this[coreOf].ready(INTEREST_WRITABLE);
    }
  }
  return SendingSocket;
}
