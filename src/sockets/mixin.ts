// What the mixins of socket classes share: the queues of a socket, made with it.

import { ReceiveQueue } from "../receive_queue.ts";
import { SendQueue } from "../send_queue.ts";
import { coreOf, type Socket } from "../socket.ts";

// biome-ignore lint/suspicious/noExplicitAny: a mixin takes whatever its base takes.
export type AbstractClass<T> = abstract new (...args: any[]) => T;

/** What a socket needs before it receives. */
export function prepareReceiving(socket: Socket): void {
  const core = socket[coreOf];
  core.receiver = new ReceiveQueue(core);
  core.receiver.detached = core.values.detached;
}

/** What a socket needs before it sends. */
export function prepareSending(socket: Socket): void {
  const core = socket[coreOf];
  core.sender = new SendQueue(core);
}

export const receiverOf = (socket: Socket): ReceiveQueue => socket[coreOf].receiver as ReceiveQueue;

export const senderOf = (socket: Socket): SendQueue => socket[coreOf].sender as SendQueue;
