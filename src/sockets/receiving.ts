// The calls of sockets that receive. A class without them has no such method, nor its prototype.

import { INTEREST_READABLE } from "../ffi/abi.generated.ts";
import { type BatchOptions, type Message, ReceiveQueue } from "../receive_queue.ts";
import { coreOf, type Socket } from "../socket.ts";
import type { WaitOptions } from "../wait.ts";

/** What a socket that receives can do. */
export interface Readable<M = Message> extends AsyncIterable<M> {
  receive(options?: WaitOptions): Promise<M>;
  tryReceive(): M | undefined;
  receiveMany(options?: BatchOptions): Promise<M[]>;
  batches(options?: BatchOptions): AsyncIterableIterator<M[]>;
  receiveSync(options?: { timeout?: number }): M;
  receiveManySync(options?: Omit<BatchOptions, "signal">): M[];
  readonly readable: boolean;
}

// biome-ignore lint/suspicious/noExplicitAny: TypeScript takes no other type for a mixin.
type AbstractClass<T> = abstract new (...args: any[]) => T;

const queueOf = (socket: Socket): ReceiveQueue => socket[coreOf].receiver as ReceiveQueue;

/** Adds the receiving calls to a socket class. */
export function Receiving<Base extends AbstractClass<Socket>>(base: Base) {
  abstract class ReceivingSocket extends base implements Readable {
    // biome-ignore lint/suspicious/noExplicitAny: see above.
    constructor(...args: any[]) {
      super(...args);
      const core = this[coreOf];
      core.receiver = new ReceiveQueue(core);
      core.receiver.detached = core.values.detached;
    }

    /**
     * The next message: an array of its parts. Waits up to `receiveTimeout`. A received part is
     * never overwritten; parts of 512 bytes and more may share memory with their neighbours.
     *
     * Errors: EAGAIN (timeout, or closed while waiting), EBUSY (thrown: another receive waits),
     * EBADF (closed), EFSM (a Request that has not asked, a Reply that has not answered).
     *
     * ```ts
     * const [body] = await pull.receive({ timeout: 1000 });
     * ```
     */
    receive(options?: WaitOptions): Promise<Message> {
      return queueOf(this).receive(options);
    }

    /** The next message if one is there, otherwise undefined. */
    tryReceive(): Message | undefined {
      return queueOf(this).tryReceive();
    }

    /**
     * All messages that are there, at least one: waits for it. The fast path, with `batches`.
     *
     * ```ts
     * for (const [body] of await pull.receiveMany()) handle(body);
     * ```
     */
    receiveMany(options?: BatchOptions): Promise<Message[]> {
      return queueOf(this).receiveMany(options);
    }

    /**
     * Iterates over batches of messages until the socket closes. With `borrow` parts are valid
     * until the next step only, and nothing is copied or allocated for their payload.
     *
     * ```ts
     * for await (const batch of pull.batches({ borrow: true })) {
     *   for (const [body] of batch) total += body.length;
     * }
     * ```
     */
    batches(options?: BatchOptions): AsyncIterableIterator<Message[]> {
      return queueOf(this).batches(options);
    }

    /**
     * The next message, blocking the thread: for Workers and scripts that only message. Throws
     * EAGAIN after `timeout` milliseconds (default: `receiveTimeout`).
     */
    receiveSync(options?: { timeout?: number }): Message {
      return queueOf(this).receiveSync(options);
    }

    /** All messages that are there, at least one, blocking the thread for it. */
    receiveManySync(options?: Omit<BatchOptions, "signal">): Message[] {
      return queueOf(this).receiveManySync(options);
    }

    /** Whether a message could be received now. */
    get readable(): boolean {
      return this[coreOf].ready(INTEREST_READABLE);
    }

    /**
     * Iterates over messages until the socket closes. `break` stops receiving; nothing that was
     * not yielded is lost.
     *
     * ```ts
     * for await (const [question] of reply) await reply.send(answer(question));
     * ```
     */
    [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
      return queueOf(this).iterate();
    }
  }
  return ReceivingSocket;
}
