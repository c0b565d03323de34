// What must compile and what must not: checked by tsc, which `npm test` runs over this directory.
// Never run. A line below `@ts-expect-error` that compiles is an error itself.

import {
  type BatchOptions,
  type Event,
  type EventOfType,
  type EventReason,
  type EventType,
  type Message,
  type MessageLike,
  type Observer,
  type ProtocolErrorCode,
  Pull,
  type PullOptions,
  Push,
  type PushOptions,
  type Readable,
  Reply,
  type ReplyOptions,
  Request,
  type RequestOptions,
  type Sendable,
  Socket,
  type SocketOptions,
  type SocketStats,
  type WaitOptions,
  type Writable,
  ZmqError,
} from "monocoque";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

function is<_Holds extends true>(): void {}

// ---- What a socket can do is in its type ------------------------------------------------------

export async function sockets(push: Push, pull: Pull, request: Request, reply: Reply) {
  const sends: Writable[] = [push, request, reply];
  const receives: Readable[] = [pull, request, reply];
  const all: Socket[] = [push, pull, request, reply];

  // @ts-expect-error: a Push receives nothing
  await push.receive();
  // @ts-expect-error: nor can it be iterated over
  for await (const _ of push);
  // @ts-expect-error: a Pull sends nothing
  await pull.send("x");
  // @ts-expect-error: nor at once
  pull.trySend("x");
  // @ts-expect-error: a Push is nothing to read from
  const reader: Readable = push;
  // @ts-expect-error: the base class is not for use
  new Socket("Push", undefined);

  return { sends, receives, all, reader };
}

// ---- Receiving --------------------------------------------------------------------------------

export async function receiving(pull: Pull, signal: AbortSignal) {
  const message = await pull.receive({ signal, timeout: 10 });
  is<Same<typeof message, Message>>();
  is<Same<Message, Buffer[]>>();
  const [part] = message;
  part?.toString();

  const maybe = pull.tryReceive();
  is<Same<typeof maybe, Message | undefined>>();
  // @ts-expect-error: there may be none
  maybe.length;

  const many = await pull.receiveMany({ max: 10, borrow: true, signal, timeout: -1 });
  is<Same<typeof many, Message[]>>();
  for await (const batch of pull.batches({ borrow: true })) is<Same<typeof batch, Message[]>>();
  for await (const [first, second] of pull) first?.equals(second as Buffer);

  const now: Message = pull.receiveSync({ timeout: 10 });
  const allNow: Message[] = pull.receiveManySync({ max: 5, timeout: 10, borrow: true });
  // @ts-expect-error: nothing can abort a call that blocks the thread
  pull.receiveSync({ signal });
  // @ts-expect-error: nor this one
  pull.receiveManySync({ signal });
  // @ts-expect-error: single messages are not lent
  await pull.receive({ borrow: true });

  const options: BatchOptions & WaitOptions = { max: 1 };
  const readable: boolean = pull.readable;
  // @ts-expect-error: it is told, not set
  pull.readable = true;
  return { now, allNow, options, readable };
}

// ---- Sending ----------------------------------------------------------------------------------

export async function sending(push: Push, signal: AbortSignal) {
  const parts: MessageLike[] = [
    "text", 1, null, Buffer.alloc(1), new Uint8Array(1), new DataView(new ArrayBuffer(1)),
    new Float64Array(1), new ArrayBuffer(1), new SharedArrayBuffer(1),
  ];
  for (const part of parts) await push.send(part, { signal, timeout: 10 });
  await push.send(parts);
  await push.send(["a", 1, null] as const);
  const queued: boolean = push.trySend("x");
  const nothing: void = push.sendSync("x", { timeout: 10 });
  await push.sendMany(new Set(["a", "b"]));
  await push.sendMany([["a", "b"], "c", null], { signal });
  const sendable: Sendable = parts;

  // @ts-expect-error: undefined is no part
  await push.send(undefined);
  // @ts-expect-error: nor is an object
  await push.send({ a: 1 });
  // @ts-expect-error: nor a boolean
  await push.send(true);
  // @ts-expect-error: nor a bigint
  await push.send(1n);
  // @ts-expect-error: nor an array in an array
  await push.send([["a"]]);
  // @ts-expect-error: many messages are an iterable
  await push.sendMany(1);
  return { queued, nothing, sendable };
}

// ---- Options ----------------------------------------------------------------------------------

export function options() {
  const common: SocketOptions = { linger: 0, concurrency: "queue", immediate: true };
  const push: PushOptions = { ...common, sendHighWaterMark: 1 };
  const pull: PullOptions = { ...common, receiveHighWaterMark: 1, detached: true };
  const request: RequestOptions = { relaxed: true, correlate: true, routingId: "a" };
  const reply: ReplyOptions = { routingId: new Uint8Array(1) };
  new Push(push).sendTimeout = 10;
  new Pull(pull).receiveTimeout = 10;
  const relaxed: boolean = new Request(request).relaxed;
  new Reply(reply).routingId = null;

  // @ts-expect-error: misspelt
  new Push({ lingr: 0 });
  // @ts-expect-error: of another class
  new Push({ receiveHighWaterMark: 1 });
  // @ts-expect-error: of another class
  new Pull({ sendHighWaterMark: 1 });
  // @ts-expect-error: of another class
  new Reply({ relaxed: true });
  // @ts-expect-error: a number
  new Push({ linger: "0" });
  // @ts-expect-error: one of two words
  new Push({ concurrency: "both" });
  // @ts-expect-error: of another class
  new Push().receiveTimeout = 1;
  return relaxed;
}

// ---- Lifecycle, events, errors ----------------------------------------------------------------

export async function lifecycle() {
  using push = new Push();
  await using pull = new Pull();
  await pull.bind("tcp://127.0.0.1:*", { signal: AbortSignal.timeout(10) });
  const endpoint = pull.lastEndpoint;
  is<Same<typeof endpoint, string | null>>();
  // @ts-expect-error: null before the first bind
  push.connect(endpoint);
  push.connect(endpoint as string);
  pull.ref().unref().close();
  const closed: boolean = pull.closed;
  const stats: SocketStats = pull.stats();
  const sent: number = stats.messagesSent;
  // @ts-expect-error: one endpoint at a time
  await pull.bind(["tcp://127.0.0.1:*"]);
  return { closed, sent };
}

export async function events(pull: Pull) {
  const observer: Observer = pull.events;
  const type: EventType = "handshake:error:protocol";
  const listener = ({ address, reason, peer }: Event) => console.log(address, reason, peer);
  observer.on(type, listener).once("accept", listener).off(type, listener);
  for await (const event of pull.events) {
    is<Same<typeof event, Event>>();
    // @ts-expect-error: only connect:retry has one
    console.log(event.interval);
    if (event.type === "connect:retry") is<Same<typeof event.interval, number>>();
    if (event.type === "handshake:error:protocol") {
      const code: ProtocolErrorCode = event.error.code;
      console.log(code satisfies `ERR_${string}`);
    }
    const reason: EventReason | undefined = event.reason;
    if (reason === "peer_closed") console.log(new Date(event.time), event.local, event.remote);
  }
  observer.on("connect:retry", (event) => {
    is<Same<typeof event, EventOfType<"connect:retry">>>();
  });
  observer.once("handshake:error:auth", ({ error }) => {
    is<Same<typeof error.status, 300 | 400 | 500 | undefined>>();
  });
  const lost: number = observer.dropped;
  console.log(lost);
  // @ts-expect-error: no event is called that
  observer.on("error", listener);
  // @ts-expect-error: an observer comes from a socket
  observer.emit("accept");
}

export function errors(error: unknown): string | undefined {
  if (!(error instanceof ZmqError)) return undefined;
  const errno: number = error.errno;
  const address: string | undefined = error.address;
  return `${error.code} ${errno} ${address}`;
}
