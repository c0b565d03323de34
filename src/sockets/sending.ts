// The calls of sockets that send. A class without them has no such method, nor has its prototype.

import { INTEREST_WRITABLE } from "../ffi/abi.generated.ts";
import type { Sendable } from "../send_queue.ts";
import { coreOf, type Socket } from "../socket.ts";
import type { WaitOptions } from "../wait.ts";
import { type AbstractClass, prepareSending, senderOf } from "./mixin.ts";
import type { Writable } from "./writable.ts";

/** Adds the sending calls to a socket class; {@link Writable} documents them. */
export function Sending<Base extends AbstractClass<Socket>>(
  base: Base,
): Base & AbstractClass<Writable> {
  abstract class SendingSocket extends base implements Writable {
    // biome-ignore lint/suspicious/noExplicitAny: a mixin takes whatever its base takes.
    constructor(...args: any[]) {
      super(...args);
      prepareSending(this);
    }

    send(message: Sendable, options?: WaitOptions): Promise<void> {
      return senderOf(this).send(message, options);
    }

    trySend(message: Sendable): boolean {
      return senderOf(this).trySend(message);
    }

    sendMany(messages: Iterable<Sendable>, options?: WaitOptions): Promise<void> {
      return senderOf(this).sendMany(messages, options);
    }

    sendSync(message: Sendable, options?: { timeout?: number }): void {
      senderOf(this).sendSync(message, options);
    }

    get writable(): boolean {
      return this[coreOf].ready(INTEREST_WRITABLE);
    }
  }
  return SendingSocket;
}
