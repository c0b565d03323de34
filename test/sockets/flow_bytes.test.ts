// High-water marks in bytes, and what gives way at a mark where nobody waits.

import { describe, expect, test } from "bun:test";
import { nativeContext } from "../../src/context.ts";
import { Publisher, Pull, Push, Router, Dealer, Subscriber } from "../../src/index.ts";
import { anywhere, event, keeper, transports, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };
const KIB = 1024;
const part = Buffer.alloc(KIB, "x");

const everywhere = [...transports, "inproc"] as const;
const address = (transport: (typeof everywhere)[number]) =>
  transport === "inproc" ? `inproc://bytes-${crypto.randomUUID()}` : anywhere[transport];

describe("a mark of bytes", () => {
  test("holds a sender whose peer is not there: its queue would grow with the size of messages", async () => {
    const push = keep(new Push({ sendHighWaterMark: 0, sendHighWaterMarkBytes: 100 * KIB, linger: 0 }));
    push.connect("ipc:///nowhere/at/all");
    let sent = 0;
    while (push.trySend(part)) sent += 1;
    expect(sent).toBeGreaterThanOrEqual(99);
    expect(sent).toBeLessThanOrEqual(101);
    expect(push.writable).toBe(false);
    // At run time, too.
    push.sendHighWaterMarkBytes = 200 * KIB;
    await until("there is room", () => push.writable);
    while (push.trySend(part)) sent += 1;
    expect(sent).toBeGreaterThan(190);
    expect(sent).toBeLessThanOrEqual(201);
  });

  test.each(everywhere)("lets a message of any size pass over %s, alone", async (transport) => {
    const marks = { sendHighWaterMarkBytes: 1000, receiveHighWaterMarkBytes: 1000 };
    const pull = keep(new Pull({ receiveHighWaterMarkBytes: marks.receiveHighWaterMarkBytes }));
    pull.bindSync(address(transport));
    const push = keep(new Push({ sendHighWaterMarkBytes: marks.sendHighWaterMarkBytes }));
    push.connect(pull.lastEndpoint as string);
    for (const size of [5, 400_000, 1, 3_000_000, 0]) {
      await push.send(Buffer.alloc(size, size), limits);
      const [got] = await pull.receive(limits);
      expect(got?.length).toBe(size);
    }
  });

  /** KiB: more than the kernel's buffers hold. */
  const COUNT = 12_000;

  test.each(everywhere)("holds what a reader over %s keeps for later", async (transport) => {
    const pull = keep(new Pull({ receiveHighWaterMark: 0, receiveHighWaterMarkBytes: 64 * KIB }));
    pull.bindSync(address(transport));
    const push = keep(new Push({ sendHighWaterMark: 0, sendHighWaterMarkBytes: 64 * KIB }));
    push.connect(pull.lastEndpoint as string);
    let sent = 0;
    const sending = (async () => {
      for (; sent < COUNT; sent += 1) await push.send([String(sent), part]);
    })();
    await until("the queue is full", () => sent > 100 && !push.writable);
    // The kernel's buffers hold some; what is in our memory is the two marks and one chunk each.
    const queued = pull.peers()[0]?.receiveQueue ?? 0;
    expect(queued * KIB).toBeLessThan(64 * KIB + 1024 * KIB);
    for (let i = 0; i < COUNT; i += 1) {
      const [number] = await pull.receive(limits);
      expect(number?.toString()).toBe(String(i));
    }
    await sending;
  });
});

describe("a publisher whose subscriber does not read", () => {
  async function stuck(sendHighWaterMarkPolicy: "dropNewest" | "dropOldest" | "disconnect") {
    const publisher = keep(new Publisher({ sendHighWaterMark: 50, sendHighWaterMarkPolicy, sendBufferSize: 4096 }));
    publisher.bindSync(anywhere.ipc);
    const subscriber = keep(new Subscriber({ receiveHighWaterMark: 50, receiveBufferSize: 4096 }));
    subscriber.connect(publisher.lastEndpoint as string);
    subscriber.subscribe();
    await publisher.subscribed("", limits);
    return { publisher, subscriber };
  }

  test.each(["dropNewest", "dropOldest"] as const)("%s: what arrives is in order, the rest is counted", async (policy) => {
    const { publisher, subscriber } = await stuck(policy);
    const count = 3000;
    for (let i = 0; i < count; i += 1) expect(publisher.trySend([String(i), part])).toBe(true);
    const dropped = publisher.stats().droppedHighWaterMark;
    expect(dropped).toBeGreaterThan(1000);
    const got: number[] = [];
    while (got.length < count - dropped) got.push(Number((await subscriber.receive(limits))[0]));
    expect(got.toSorted((a, b) => a - b)).toEqual(got);
    // The newest is what an application with state wants, the oldest what libzmq keeps.
    expect(got.includes(count - 1)).toBe(policy === "dropOldest");
    expect(publisher.stats().droppedHighWaterMark).toBe(dropped);
  });

  test("dropOldest: takes no more memory than its mark, however long it lasts", async () => {
    const { publisher } = await stuck("dropOldest");
    const live = () => nativeContext().stats().memory_live_bytes;
    while (publisher.stats().droppedHighWaterMark < 1000) publisher.trySend(part);
    const before = live();
    let most = 0;
    for (let i = 0; i < 20_000; i += 1) {
      publisher.trySend(i % 3 === 0 ? ["topic", part] : part);
      most = Math.max(most, live());
    }
    expect(publisher.stats().droppedHighWaterMark).toBeGreaterThan(20_000);
    // Its 50 messages lie in blocks of 64 KiB, of which it has all or nothing.
    expect(most - before).toBeLessThan(256 * KIB);
  });

  test("disconnect: it loses its connection, and both sides know why", async () => {
    const { publisher, subscriber } = await stuck("disconnect");
    const ended = event(publisher, "disconnect");
    const lost = event(subscriber, "disconnect");
    let sent = 0;
    await until("the publisher has had enough", () => {
      for (let i = 0; i < 100; i += 1, sent += 1) publisher.trySend([String(sent), part]);
      return publisher.stats().slowPeers > 0;
    });
    expect((await ended).reason).toBe("slow_peer");
    // It reads what had arrived, then the end.
    await subscriber.receiveMany(limits);
    while (publisher.stats().connections > 0) await subscriber.receiveMany(limits);
    for (let i = 0; subscriber.tryReceive() !== undefined; i += 1) expect(i).toBeLessThan(sent);
    expect((await lost).reason).toBe("peer_closed");
  });
});

test("a Router that drops the oldest answers a slow client with the newest", async () => {
  const router = keep(new Router({ sendHighWaterMark: 10, sendHighWaterMarkPolicy: "dropOldest", sendBufferSize: 4096 }));
  router.bindSync(anywhere.ipc);
  const dealer = keep(new Dealer({ routingId: "slow", receiveHighWaterMark: 10, receiveBufferSize: 4096 }));
  dealer.connect(router.lastEndpoint as string);
  await router.connected(router.lastEndpoint as string, limits);
  const count = 2000;
  for (let i = 0; i < count; i += 1) expect(router.trySend(["slow", String(i), part])).toBe(true);
  const dropped = router.stats().droppedHighWaterMark;
  expect(dropped).toBeGreaterThan(1000);
  let last = -1;
  for (let i = 0; i < count - dropped; i += 1) {
    const number = Number((await dealer.receive(limits))[0]);
    expect(number).toBeGreaterThan(last);
    last = number;
  }
  expect(last).toBe(count - 1);
});

test("one stuck subscriber of 100 is dropped at its mark; the others lose nothing, nobody is cut off", async () => {
  const publisher = keep(new Publisher({ sendHighWaterMark: 200 }));
  publisher.bindSync(anywhere.ipc);
  const subscribers = Array.from({ length: 100 }, () => keep(new Subscriber({ receiveHighWaterMark: 200 })));
  for (const subscriber of subscribers) {
    subscriber.connect(publisher.lastEndpoint as string);
    subscriber.subscribe();
  }
  await until("all have subscribed", () => publisher.stats().subscriptionsReceived >= 100);
  const rounds = 60;
  const burst = 20;
  const got = new Array<number>(99).fill(0);
  for (let round = 0; round < rounds; round += 1) {
    for (let i = 0; i < burst; i += 1) await publisher.send(part);
    for (const [index, subscriber] of subscribers.slice(1).entries()) {
      while (got[index]! < (round + 1) * burst) {
        got[index]! += (await subscriber.receiveMany(limits)).length;
      }
    }
  }
  const { droppedHighWaterMark, connections } = publisher.stats();
  expect(got.every((count) => count === rounds * burst)).toBe(true);
  expect(droppedHighWaterMark).toBeGreaterThan(0);
  expect(connections).toBe(100);
});
