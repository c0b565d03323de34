// Every pair of socket types, ours with libzmq's, and the work that both ends do: what the tables of
// the interop tests are about. (STREAM has no libzmq at its other end: plain TCP is tested with the
// class.)

import { expect } from "bun:test";
import {
  Dealer,
  Pair,
  Publisher,
  Pull,
  Push,
  Reply,
  Request,
  Router,
  type Socket,
  Subscriber,
  XPublisher,
  XSubscriber,
  type ZmqError,
} from "../../src/index.ts";
import type { SecurityOptions } from "../../src/option_groups.ts";
import { Digest, messageOf, shapes, textOf } from "./messages.ts";
import {
  fresh,
  libzmq,
  type Peer,
  type PeerOptions,
  type Role,
  type Side,
  type Transport,
} from "./peer.ts";

const patience = { timeout: 20_000 };

type Run<S> = (socket: S, digest: Digest, peer: Peer, work: Work) => Promise<void>;

interface Work {
  /** How many messages. */
  total: number;
  message: (index: number) => Buffer[];
}

type Asking = Request | Dealer | Router | Pair;
type Answering = Reply | Dealer | Router | Pair;

const send: Run<Push | Publisher | XPublisher> = async (socket, digest, _, { total, message }) => {
  for (let i = 0; i < total; i += 1) {
    digest.add(message(i));
    await socket.send(message(i));
  }
};

/** Once the subscription of libzmq has arrived. */
const publish: Run<Publisher> = async (socket, digest, peer, work) => {
  await socket.subscribed("", patience);
  await send(socket, digest, peer, work);
};

/** The same, seeing the subscription. */
const publishToReported: Run<XPublisher> = async (socket, digest, peer, work) => {
  expect(await socket.receive(patience)).toEqual([Buffer.of(1)]);
  await send(socket, digest, peer, work);
};

const receive: Run<Pull> = async (socket, digest, _, { total }) => {
  for (let i = 0; i < total; i += 1) digest.add(await socket.receive(patience));
};

/** A PUB of libzmq says "sync" until it is told that it is heard. */
const listen: Run<Subscriber | XSubscriber> = async (socket, digest, peer, { total }) => {
  let heard = false;
  while (digest.messages < total) {
    const message = await socket.receive(patience);
    const sync = message.length === 1 && message[0]!.equals(Buffer.from("sync"));
    if (!sync) digest.add(message);
    else if (!heard) peer.write("heard");
    heard ||= sync;
  }
};

/** Asks for the echo of every message; `head` goes in front of each. */
function ask(...head: string[]): Run<Asking> {
  return async (socket, digest, _, work) => {
    for (let i = 0; i < work.total; i += 1) {
      const message = work.message(i);
      digest.add(message);
      await sendWhenThere(socket, [...head, ...message]);
      const answer = await socket.receive(patience);
      expect(answer.slice(0, head.length).map(String)).toEqual(head);
      const echo = answer.slice(head.length);
      expect(echo.length).toBe(message.length);
      expect(echo.every((part, index) => part.equals(message[index]!))).toBe(true);
    }
  };
}

/** A mandatory Router refuses what it has no peer for. */
async function sendWhenThere(socket: Asking, message: (string | Buffer)[]): Promise<void> {
  for (;;) {
    try {
      return await socket.send(message, patience);
    } catch (error) {
      if ((error as ZmqError).code !== "EHOSTUNREACH") throw error;
    }
    await Bun.sleep(1);
  }
}

/** Sends everything back; `head` is what each message begins with, beside what was asked. */
function answer(...head: string[]): Run<Answering> {
  return async (socket, digest, _, { total }) => {
    for (let i = 0; i < total; i += 1) {
      const question = await socket.receive(patience);
      expect(question.slice(0, head.length).map(String)).toEqual(head);
      digest.add(question.slice(head.length));
      await socket.send(question);
    }
  };
}

/** Options that each socket of ours gets, beside its own. */
type Extra = SecurityOptions;

const all = { sendHighWaterMark: 0, receiveHighWaterMark: 0 } as const;
const pair = (extra: Extra) => new Pair(extra);
const push = (extra: Extra) => new Push(extra);
const pull = (extra: Extra) => new Pull(extra);
const publisher = (extra: Extra) => new Publisher({ sendHighWaterMark: 0, ...extra });
const xpublisher = (extra: Extra) => new XPublisher({ ...all, ...extra });
const request = (extra: Extra) => new Request({ routingId: "ours", ...extra });
const correlating = (extra: Extra) => new Request({ correlate: true, relaxed: true, ...extra });
const reply = (extra: Extra) => new Reply(extra);
const dealer = (extra: Extra) => new Dealer({ routingId: "ours", ...extra });
const router = (extra: Extra) => new Router({ routingId: "ours", mandatory: true, ...extra });
const subscriber = (extra: Extra) => {
  const socket = new Subscriber({ receiveHighWaterMark: 0, ...extra });
  socket.subscribe();
  return socket;
};
const xsubscriber = (extra: Extra) => {
  const socket = new XSubscriber({ ...all, ...extra });
  socket.sendSync(Buffer.of(1));
  return socket;
};

export interface Row {
  name: string;
  make: (extra: Extra) => Socket;
  run: Run<Socket>;
  role: Role;
  options: PeerOptions;
  /** What a ROUTER of libzmq calls us, in hexadecimal. */
  identity?: RegExp;
}

/** Every pair, ours-theirs; the peer's sizes and counts are added when it starts. */
export const rows: Row[] = [];

function row<S extends Socket>(
  name: string,
  make: (extra: Extra) => S,
  run: Run<S>,
  role: Role,
  options: PeerOptions,
  identity?: RegExp,
): void {
  rows.push({ name, make, run, role, options, identity } as unknown as Row);
}

const sends = { messages: "", hold: true, hwm: 0 } as const;
const receives = { hold: true, hwm: 0 } as const;
const subscribes = { ...receives, subscribe: [""] };
const asks = { ...sends, window: 4 } as const;
const named = { identity: "theirs" } as const;
const ours = /^6f757273$/;
// Without a name of ours a ROUTER makes one up: a zero byte and four others.
const madeUp = /^00.{8}$/;

row("PAIR-PAIR, we ask", pair, ask(), "pair", receives);
row("PAIR-PAIR, they ask", pair, answer(), "pair", sends);
row("PUB-SUB", publisher, publish, "sub", subscribes);
row("PUB-XSUB", publisher, publish, "xsub", subscribes);
row("XPUB-SUB", xpublisher, publishToReported, "sub", subscribes);
row("XPUB-XSUB", xpublisher, publishToReported, "xsub", subscribes);
row("SUB-PUB", subscriber, listen, "pub", sends);
row("SUB-XPUB", subscriber, listen, "xpub", sends);
row("XSUB-PUB", xsubscriber, listen, "pub", sends);
row("XSUB-XPUB", xsubscriber, listen, "xpub", sends);
row("REQ-REP", request, ask(), "rep", receives);
row("REQ-REP, correlate", correlating, ask(), "rep", receives);
row("REQ-ROUTER", request, ask(), "router", receives, ours);
row("REQ-ROUTER, correlate", correlating, ask(), "router", receives, madeUp);
row("REP-REQ", reply, answer(), "req", sends);
row("REP-DEALER", reply, answer(), "dealer", asks);
row("REP-DEALER, two hops", reply, answer(), "dealer", { ...asks, route: "hop" });
row("DEALER-REP", dealer, ask(""), "rep", receives);
row("DEALER-DEALER, we ask", dealer, ask(), "dealer", receives);
row("DEALER-DEALER, they ask", dealer, answer(""), "dealer", asks);
row("DEALER-ROUTER, we ask", dealer, ask(""), "router", receives, ours);
row("DEALER-ROUTER, they ask", dealer, answer(""), "router", { ...asks, route: "ours" });
row("ROUTER-REQ", router, answer("theirs", ""), "req", { ...sends, ...named });
row("ROUTER-DEALER, we ask", router, ask("theirs"), "dealer", { ...receives, ...named });
row("ROUTER-DEALER, they ask", router, answer("theirs", ""), "dealer", { ...asks, ...named });
row("ROUTER-ROUTER, we ask", router, ask("theirs", ""), "router", { ...receives, ...named }, ours);
row("ROUTER-ROUTER, they ask", router, answer("theirs", ""), "router", {
  ...asks,
  ...named,
  route: "ours",
});
row("PUSH-PULL", push, send, "pull", receives);
row("PULL-PUSH", pull, receive, "push", sends);

/** One cell of a table: where, and what else both ends are told. */
export interface Cell {
  transport: Transport;
  /** What we do. */
  side: Side;
  rounds: number;
  /** Of the messages; default all. */
  shapes?: readonly number[][];
  ours?: Extra;
  theirs?: PeerOptions;
}

async function join(socket: Socket, row: Row, cell: Cell): Promise<Peer> {
  const { transport, side, rounds, theirs, shapes: chosen = shapes } = cell;
  const sending: PeerOptions = { messages: textOf(chosen), rounds };
  const work = "messages" in row.options ? sending : { count: chosen.length * rounds };
  const options = { ...row.options, ...work, ...theirs };
  if (side === "bind") {
    await socket.bind(fresh(transport));
    return libzmq(row.role, "connect", socket.lastEndpoint!, options);
  }
  const peer = libzmq(row.role, "bind", fresh(transport), options);
  socket.connect(await peer.endpoint());
  return peer;
}

/** All messages of all sizes, there or there and back. Returns what it took, for the table. */
export async function exchange(row: Row, cell: Cell): Promise<string> {
  const { shapes: chosen = shapes, rounds } = cell;
  const total = chosen.length * rounds;
  const started = performance.now();
  await using socket = row.make(cell.ours ?? {});
  const peer = await join(socket, row, cell);
  const digest = new Digest();
  await row.run(socket, digest, peer, { total, message: (index) => messageOf(index, chosen) });
  const report = await peer.report();
  expect(report).toMatchObject({ errors: 0, messages: total, digest: digest.value });
  if (row.identity) expect((await peer.line("identity")).identity).toMatch(row.identity);
  expect(await peer.release()).toBe(0);
  return `ok ${(performance.now() - started).toFixed(0).padStart(4)} ms`;
}
