// The calls of sockets that send. A class without them has no such method, nor has its prototype.

import { INTEREST_WRITABLE } from "../ffi/abi.generated.ts";
import { type Sendable, SendQueue } from "../send_queue.ts";
import { coreOf, type Socket } from "../socket.ts";
import type { WaitOptions } from "../wait.ts";
import type { Writable } from "./writable.ts";

// biome-ignore lint/suspicious/noExplicitAny: a mixin takes whatever its base takes.
type AbstractClass<T> = abstract new (...args: any[]) => T;

const queueOf = (socket: Socket): SendQueue => socket[coreOf].sender as SendQueue;

/** Adds the sending calls to a socket class; {@link Writable} documents them. */
export function Sending<Base extends AbstractClass<Socket>>(
  base: Base,
): Base & AbstractClass<Writable> {
  abstract class SendingSocket extends base implements Writable {
    // biome-ignore lint/suspicious/noExplicitAny: see above.
    constructor(...args: any[]) {
      super(...args);
      const core = this[coreOf];
      core.sender = new SendQueue(core);
    }

    send(message: Sendable, options?: WaitOptions): Promise<void> {
      return queueOf(this).send(message, options);
    }

    trySend(message: Sendable): boolean {
      return queueOf(this).trySend(message);
    }

    sendMany(messages: Iterable<Sendable>, options?: WaitOptions): Promise<void> {
      return queueOf(this).sendMany(messages, options);
    }

    sendSync(message: Sendable, options?: { timeout?: number }): void {
      queueOf(this).sendSync(message, options);
    }

    get writable(): boolean {
      return this[coreOf].ready(INTEREST_WRITABLE);
    }
  }
  return SendingSocket;
}
