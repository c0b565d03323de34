// The calls of sockets that receive. A class without them has no such method, nor its prototype.

import { INTEREST_READABLE } from "../ffi/abi.generated.ts";
import { senderOf } from "../origins.ts";
import type { BatchOptions, Message } from "../receive_queue.ts";
import { coreOf, type Socket } from "../socket.ts";
import type { AuthenticatedPeer } from "../verdict.ts";
import type { WaitOptions } from "../wait.ts";
import { type AbstractClass, prepareReceiving, receiverOf } from "./mixin.ts";
import type { Readable } from "./readable.ts";

/** Adds the receiving calls to a socket class; {@link Readable} documents them. */
export function Receiving<Base extends AbstractClass<Socket>>(
  base: Base,
): Base & AbstractClass<Readable> {
  abstract class ReceivingSocket extends base implements Readable {
    // biome-ignore lint/suspicious/noExplicitAny: a mixin takes whatever its base takes.
    constructor(...args: any[]) {
      super(...args);
      prepareReceiving(this);
    }

    receive(options?: WaitOptions): Promise<Message> {
      return receiverOf(this).receive(options);
    }

    tryReceive(): Message | undefined {
      return receiverOf(this).tryReceive();
    }

    receiveMany(options?: BatchOptions): Promise<Message[]> {
      return receiverOf(this).receiveMany(options);
    }

    batches(options?: BatchOptions): AsyncIterableIterator<Message[]> {
      return receiverOf(this).batches(options);
    }

    receiveSync(options?: { timeout?: number }): Message {
      return receiverOf(this).receiveSync(options);
    }

    receiveManySync(options?: Omit<BatchOptions, "signal">): Message[] {
      return receiverOf(this).receiveManySync(options);
    }

    peerOf(message: Message): AuthenticatedPeer | undefined {
      return senderOf(message);
    }

    get readable(): boolean {
      return this[coreOf].ready(INTEREST_READABLE);
    }

    [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
      return receiverOf(this).iterate();
    }
  }
  return ReceivingSocket;
}
