// The calls of sockets that receive. A class without them has no such method, nor its prototype.

import { INTEREST_READABLE } from "../ffi/abi.generated.ts";
import { type BatchOptions, type Message, ReceiveQueue } from "../receive_queue.ts";
import { coreOf, type Socket } from "../socket.ts";
import type { WaitOptions } from "../wait.ts";
import type { Readable } from "./readable.ts";

// biome-ignore lint/suspicious/noExplicitAny: a mixin takes whatever its base takes.
type AbstractClass<T> = abstract new (...args: any[]) => T;

const queueOf = (socket: Socket): ReceiveQueue => socket[coreOf].receiver as ReceiveQueue;

/** What a socket needs before it receives. */
export function prepareReceiving(socket: Socket): void {
  const core = socket[coreOf];
  core.receiver = new ReceiveQueue(core);
  core.receiver.detached = core.values.detached;
}

/** Adds the receiving calls to a socket class; {@link Readable} documents them. */
export function Receiving<Base extends AbstractClass<Socket>>(
  base: Base,
): Base & AbstractClass<Readable> {
  abstract class ReceivingSocket extends base implements Readable {
    // biome-ignore lint/suspicious/noExplicitAny: see above.
    constructor(...args: any[]) {
      super(...args);
      prepareReceiving(this);
    }

    receive(options?: WaitOptions): Promise<Message> {
      return queueOf(this).receive(options);
    }

    tryReceive(): Message | undefined {
      return queueOf(this).tryReceive();
    }

    receiveMany(options?: BatchOptions): Promise<Message[]> {
      return queueOf(this).receiveMany(options);
    }

    batches(options?: BatchOptions): AsyncIterableIterator<Message[]> {
      return queueOf(this).batches(options);
    }

    receiveSync(options?: { timeout?: number }): Message {
      return queueOf(this).receiveSync(options);
    }

    receiveManySync(options?: Omit<BatchOptions, "signal">): Message[] {
      return queueOf(this).receiveManySync(options);
    }

    get readable(): boolean {
      return this[coreOf].ready(INTEREST_READABLE);
    }

    [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
      return queueOf(this).iterate();
    }
  }
  return ReceivingSocket;
}
