// Sockets whose messages are one part and a label: the number of a peer, or a group. On the native
// side the label is a part in front of the other.

import { INTEREST_READABLE } from "../ffi/abi.generated.ts";
import { keepSender, senderOf } from "../origins.ts";
import type { BatchOptions, Message } from "../receive_queue.ts";
import type { MessageLike } from "../send_queue.ts";
import { coreOf, type Socket } from "../socket.ts";
import type { AuthenticatedPeer } from "../verdict.ts";
import type { WaitOptions } from "../wait.ts";
import type { LabelledWritable } from "./labelled_writable.ts";
import { type AbstractClass, prepareReceiving, receiverOf } from "./mixin.ts";
import type { Readable } from "./readable.ts";
import { SendingAs, single, type SinglePart } from "./single.ts";

/** Adds the sending calls to a socket class; {@link LabelledWritable} documents them. */
export function LabelledSending<Base extends AbstractClass<Socket>, Label>(
  base: Base,
  encode: (label: Label) => MessageLike,
): Base & AbstractClass<LabelledWritable<Label>> {
  const one = (message: SinglePart, label: Label) => [encode(label), single(message)];
  const item = ([message, label]: readonly [SinglePart, Label]) => one(message, label);
  return SendingAs(base, { one, item });
}

/** Adds the receiving calls to a socket class; {@link Readable} documents them. */
export function LabelledReceiving<Base extends AbstractClass<Socket>, Label>(
  base: Base,
  decode: (label: Buffer) => Label,
): Base & AbstractClass<Readable<[Buffer, Label]>> {
  type Labelled = [Buffer, Label];
  const labelled = (message: Message): Labelled =>
    keepSender(message, [message[1]!, decode(message[0]!)]);
  const all = (batch: Message[]) => batch.map(labelled);

  abstract class LabelledSocket extends base implements Readable<Labelled> {
    // biome-ignore lint/suspicious/noExplicitAny: a mixin takes whatever its base takes.
    constructor(...args: any[]) {
      super(...args);
      prepareReceiving(this);
    }

    receive(options?: WaitOptions): Promise<Labelled> {
      return receiverOf(this).receive(options).then(labelled);
    }

    tryReceive(): Labelled | undefined {
      const message = receiverOf(this).tryReceive();
      return message && labelled(message);
    }

    receiveMany(options?: BatchOptions): Promise<Labelled[]> {
      return receiverOf(this).receiveMany(options).then(all);
    }

    batches(options?: BatchOptions): AsyncIterableIterator<Labelled[]> {
      return new Mapped(receiverOf(this).batches(options), all);
    }

    receiveSync(options?: { timeout?: number }): Labelled {
      return labelled(receiverOf(this).receiveSync(options));
    }

    receiveManySync(options?: Omit<BatchOptions, "signal">): Labelled[] {
      return all(receiverOf(this).receiveManySync(options));
    }

    peerOf(message: Labelled): AuthenticatedPeer | undefined {
      return senderOf(message);
    }

    get readable(): boolean {
      return this[coreOf].ready(INTEREST_READABLE);
    }

    [Symbol.asyncIterator](): AsyncIterableIterator<Labelled> {
      return new Mapped(receiverOf(this).iterate(), labelled);
    }
  }
  return LabelledSocket;
}

/** Steps whose values have another form. */
class Mapped<From, To> implements AsyncIterableIterator<To> {
  readonly #steps: AsyncIterableIterator<From>;
  readonly #form: (value: From) => To;

  constructor(steps: AsyncIterableIterator<From>, form: (value: From) => To) {
    this.#steps = steps;
    this.#form = form;
  }

  async next(): Promise<IteratorResult<To, undefined>> {
    const { value, done } = await this.#steps.next();
    return done ? { value: undefined, done } : { value: this.#form(value), done: false };
  }

  async return(): Promise<IteratorResult<To, undefined>> {
    await this.#steps.return?.();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
