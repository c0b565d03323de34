// What the tests of sockets share: pairs on endpoints of their own, errors as values, and waiting
// for something that has no event.

import { afterEach, expect } from "bun:test";
import { type EventOfType, type EventType, Pull, Push, type Socket, ZmqError } from "../../src/index.ts";
import type { PullOptions, PushOptions } from "../../src/index.ts";

export const transports = ["tcp", "ipc"] as const;
export type Transport = (typeof transports)[number];

/** A fresh endpoint of a transport, for bind. */
export const anywhere: Record<Transport, string> = { tcp: "tcp://127.0.0.1:*", ipc: "ipc://*" };

/** Binds where nobody else is, and says where that was. */
export function bound(socket: Socket, transport: Transport = "tcp"): string {
  socket.bindSync(anywhere[transport]);
  return socket.lastEndpoint as string;
}

export interface Pipeline extends Disposable {
  push: Push;
  pull: Pull;
  endpoint: string;
}

/** A Push that is connected to a bound Pull. What is left over when a test ends is dropped. */
export function pipeline(
  options: { transport?: Transport; push?: PushOptions; pull?: PullOptions } = {},
): Pipeline {
  const pull = new Pull({ linger: 0, ...options.pull });
  const push = new Push({ linger: 0, ...options.push });
  const endpoint = bound(pull, options.transport);
  push.connect(endpoint);
  const close = () => {
    push.close();
    pull.close();
  };
  return { push, pull, endpoint, [Symbol.dispose]: close };
}

/** Closes after each test what was kept in it; nothing of that waits for linger. */
export function keeper(): <S extends Socket>(socket: S) => S {
  const open: Socket[] = [];
  afterEach(() => {
    for (const socket of open.splice(0)) socket.close();
  });
  return (socket) => {
    open.push(Object.assign(socket, { linger: 0 }));
    return socket;
  };
}

/** The ZmqError that a call throws. */
export function failure(run: () => unknown): ZmqError {
  try {
    run();
  } catch (error) {
    if (error instanceof ZmqError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** The ZmqError that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<ZmqError> {
  const reason = await reasonOf(promise);
  if (reason instanceof ZmqError) return reason;
  throw reason;
}

/** Whatever a promise rejects with. */
export async function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (reason) {
    return reason;
  }
  throw new Error(`it was not rejected but resolved with ${Bun.inspect(value)}`);
}

/** Waits for something that nobody reports. */
export async function until(what: string, done: () => boolean, limitMs = 5000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!done()) {
    if (performance.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await Bun.sleep(1);
  }
}

/** The next event of a type. */
export function event<E extends EventType>(socket: Socket, type: E): Promise<EventOfType<E>> {
  return new Promise((resolve) => socket.events.once(type, resolve));
}

/** The texts of a message's parts. */
export function texts(message: readonly Uint8Array[]): string[] {
  return message.map((part) => Buffer.from(part).toString());
}

/** Bytes that differ everywhere, and from those of another seed. */
export function pattern(bytes: number, seed = 1): Buffer {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  for (let i = 0; i < words.length; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return Buffer.from(words.buffer, 0, bytes);
}

/** Equal, without printing megabytes when it is not. */
export function expectSame(actual: Uint8Array | undefined, expected: Uint8Array): void {
  expect(actual?.length).toBe(expected.length);
  expect(Buffer.compare(actual as Uint8Array, expected)).toBe(0);
}
