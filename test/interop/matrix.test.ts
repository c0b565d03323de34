// Every pair of socket types with libzmq in another process, both ways round: who binds, over what,
// and every size class, compared by checksum. Prints the table at the end. (STREAM has no libzmq at
// its other end: plain TCP is tested with the class.)

import { afterAll, afterEach, describe, expect, test } from "bun:test";
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
import { Digest, messageOf, shapes, shapesText } from "./messages.ts";
import {
  fresh,
  killPeers,
  libzmq,
  type Peer,
  type PeerOptions,
  type Role,
  type Side,
  type Transport,
  transports,
} from "./peer.ts";
import { Table } from "./table.ts";

const ROUNDS = 2;
const TOTAL = shapes.length * ROUNDS;
const sides: readonly Side[] = ["bind", "connect"];
const columns = transports.flatMap((transport) => sides.map((side) => `${transport}, we ${side}`));
const table = new Table(
  `every pair, ours-theirs; ${TOTAL} messages in each cell, of one part (0 B, 1 B, 255 B, 256 B, ` +
    "64 KiB, 1 MiB, 16 MiB) and of 2, 6 and 60 parts (0 B to 1 MiB); compared by CRC-32",
  columns,
);

afterEach(killPeers);
afterAll(() => table.print());

const patience = { timeout: 20_000 };

type Run<S> = (socket: S, digest: Digest, peer: Peer) => Promise<void>;
type Asking = Request | Dealer | Router | Pair;
type Answering = Reply | Dealer | Router | Pair;

const send: Run<Push | Publisher | XPublisher> = async (socket, digest) => {
  for (let i = 0; i < TOTAL; i += 1) {
    digest.add(messageOf(i));
    await socket.send(messageOf(i));
  }
};

/** Once the subscription of libzmq has arrived. */
const publish: Run<Publisher> = async (socket, digest, peer) => {
  await socket.subscribed("", patience);
  await send(socket, digest, peer);
};

/** The same, seeing the subscription. */
const publishToReported: Run<XPublisher> = async (socket, digest, peer) => {
  expect(await socket.receive(patience)).toEqual([Buffer.of(1)]);
  await send(socket, digest, peer);
};

const receive: Run<Pull> = async (socket, digest) => {
  for (let i = 0; i < TOTAL; i += 1) digest.add(await socket.receive(patience));
};

/** A PUB of libzmq says "sync" until it is told that it is heard. */
const listen: Run<Subscriber | XSubscriber> = async (socket, digest, peer) => {
  let heard = false;
  while (digest.messages < TOTAL) {
    const message = await socket.receive(patience);
    const sync = message.length === 1 && message[0]!.equals(Buffer.from("sync"));
    if (!sync) digest.add(message);
    else if (!heard) peer.write("heard");
    heard ||= sync;
  }
};

/** Asks for the echo of every message; `head` goes in front of each. */
function ask(...head: string[]): Run<Asking> {
  return async (socket, digest) => {
    for (let i = 0; i < TOTAL; i += 1) {
      const message = messageOf(i);
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
  return async (socket, digest) => {
    for (let i = 0; i < TOTAL; i += 1) {
      const question = await socket.receive(patience);
      expect(question.slice(0, head.length).map(String)).toEqual(head);
      digest.add(question.slice(head.length));
      await socket.send(question);
    }
  };
}

const all = { sendHighWaterMark: 0, receiveHighWaterMark: 0 } as const;
const pair = () => new Pair();
const publisher = () => new Publisher({ sendHighWaterMark: 0 });
const xpublisher = () => new XPublisher(all);
const request = () => new Request({ routingId: "ours" });
const correlating = () => new Request({ correlate: true, relaxed: true });
const reply = () => new Reply();
const dealer = () => new Dealer({ routingId: "ours" });
const router = () => new Router({ routingId: "ours", mandatory: true });
const subscriber = () => {
  const socket = new Subscriber({ receiveHighWaterMark: 0 });
  socket.subscribe();
  return socket;
};
const xsubscriber = () => {
  const socket = new XSubscriber(all);
  socket.sendSync(Buffer.of(1));
  return socket;
};

interface Row {
  name: string;
  make: () => Socket;
  run: Run<Socket>;
  role: Role;
  options: PeerOptions;
  /** What a ROUTER of libzmq calls us, in hexadecimal. */
  identity?: RegExp;
}

const rows: Row[] = [];

function row<S extends Socket>(
  name: string,
  make: () => S,
  run: Run<S>,
  role: Role,
  options: PeerOptions,
  identity?: RegExp,
): void {
  rows.push({ name, make, run, role, options, identity } as unknown as Row);
}

const sends = { messages: shapesText, rounds: ROUNDS, hold: true, hwm: 0 } as const;
const receives = { count: TOTAL, hold: true, hwm: 0 } as const;
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
row("PUSH-PULL", () => new Push(), send, "pull", receives);
row("PULL-PUSH", () => new Pull(), receive, "push", sends);

async function join(socket: Socket, side: Side, over: Transport, row: Row): Promise<Peer> {
  if (side === "bind") {
    await socket.bind(fresh(over));
    return libzmq(row.role, "connect", socket.lastEndpoint!, row.options);
  }
  const peer = libzmq(row.role, "bind", fresh(over), row.options);
  socket.connect(await peer.endpoint());
  return peer;
}

describe.each(rows)("$name: every message arrives, whole, unchanged and in order", (row) => {
  table.add(row.name);
  for (const transport of transports) {
    for (const side of sides) {
      test(`over ${transport}, we ${side}`, async () => {
        const started = performance.now();
        await using socket = row.make();
        const peer = await join(socket, side, transport, row);
        const digest = new Digest();
        await row.run(socket, digest, peer);
        const report = await peer.report();
        expect(report).toMatchObject({ errors: 0, messages: TOTAL, digest: digest.value });
        if (row.identity) expect((await peer.line("identity")).identity).toMatch(row.identity);
        expect(await peer.release()).toBe(0);
        const ms = (performance.now() - started).toFixed(0);
        table.fill(row.name, `${transport}, we ${side}`, `ok ${ms.padStart(4)} ms`);
      });
    }
  }
});
