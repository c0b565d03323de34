// Sockets whose messages have one part: what they send is checked before it is queued, and may go
// with a label that says to whom.

import { zmqError } from "../errors.ts";
import { INTEREST_WRITABLE } from "../ffi/abi.generated.ts";
import { checkMany, type MessageLike, type Sendable } from "../send_queue.ts";
import { coreOf, type Socket } from "../socket.ts";
import type { WaitOptions } from "../wait.ts";
import type { LabelledWritable } from "./labelled_writable.ts";
import { type AbstractClass, prepareSending, senderOf } from "./mixin.ts";
import type { Readable } from "./readable.ts";
import { Receiving } from "./receiving.ts";
import type { Writable } from "./writable.ts";

/** A message of one part, in an array or not. */
export type SinglePart = MessageLike | readonly [MessageLike];

/** What is queued for a message: of a single call, and of an item of `sendMany`. */
interface Form<Options, Item> {
  one(message: SinglePart, options: Options): Sendable;
  item(item: Item): Sendable;
}

/** Adds the sending calls to a socket class, in a form of its own. */
export function SendingAs<Base extends AbstractClass<Socket>, Options, Item>(
  base: Base,
  form: Form<Options, Item>,
): Base & AbstractClass<LabelledWritable<Options, Item>> {
  abstract class SendingSocket extends base implements LabelledWritable<Options, Item> {
    // biome-ignore lint/suspicious/noExplicitAny: a mixin takes whatever its base takes.
    constructor(...args: any[]) {
      super(...args);
      prepareSending(this);
    }

    send(message: SinglePart, options: Options & WaitOptions): Promise<void> {
      let queued: Sendable;
      try {
        queued = form.one(message, options);
      } catch (error) {
        return Promise.reject(error);
      }
      return senderOf(this).send(queued, options);
    }

    trySend(message: SinglePart, options: Options): boolean {
      return senderOf(this).trySend(form.one(message, options));
    }

    async sendMany(items: Iterable<Item>, options?: WaitOptions): Promise<void> {
      checkMany(items);
      return senderOf(this).sendMany(Array.from(items, form.item), options);
    }

    sendSync(message: SinglePart, options: Options & { timeout?: number }): void {
      senderOf(this).sendSync(form.one(message, options), options);
    }

    get writable(): boolean {
      return this[coreOf].ready(INTEREST_WRITABLE);
    }
  }
  return SendingSocket;
}

/** The one part of a message. */
export function single(message: SinglePart): MessageLike {
  if (!Array.isArray(message)) return message as MessageLike;
  if (message.length === 1) return message[0];
  if (message.length === 0) throw new TypeError("A message has a part: use [null]");
  throw zmqError("EINVAL", {
    advice: `Messages of this type have one part, not ${message.length}: send one after the other.`,
  });
}

/** Adds the sending calls for messages of one part; {@link Writable} documents them. */
export function SingleSending<Base extends AbstractClass<Socket>>(
  base: Base,
): Base & AbstractClass<Writable<SinglePart>> {
  // Without a label there is nothing to give beside the message.
  return SendingAs(base, { one: single, item: single }) as unknown as Base &
    AbstractClass<Writable<SinglePart>>;
}

/** Adds the receiving calls for messages of one part; {@link Readable} documents them. */
export const SingleReceiving = Receiving as <Base extends AbstractClass<Socket>>(
  base: Base,
) => Base & AbstractClass<Readable<[Buffer]>>;
