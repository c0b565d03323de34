// What a publisher does with subscribers that are slow, and that it does nothing to the others.

import { describe, expect, test } from "bun:test";
import { nativeContext } from "../../src/context.ts";
import {
  Publisher,
  type PublisherOptions,
  Subscriber,
  type SubscriberOptions,
} from "../../src/index.ts";
import { anywhere, keeper, texts, type Transport, transports, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };

async function link(
  transport: Transport | "inproc",
  options: { publisher?: PublisherOptions; subscriber?: SubscriberOptions } = {},
) {
  const publisher = keep(new Publisher(options.publisher));
  const inproc = `inproc://flow-${crypto.randomUUID()}`;
  publisher.bindSync(transport === "inproc" ? inproc : anywhere[transport]);
  const subscriber = keep(new Subscriber(options.subscriber));
  subscriber.connect(publisher.lastEndpoint as string);
  subscriber.subscribe();
  await publisher.subscribed("", limits);
  return { publisher, subscriber };
}

/** Takes what comes until the publisher's last message. */
async function receiveUntil(subscriber: Subscriber, last: string): Promise<string[]> {
  const got: string[] = [];
  while (got.at(-1) !== last) {
    for (const message of await subscriber.receiveMany(limits)) got.push(message[0]!.toString());
  }
  return got;
}

describe.each([...transports, "inproc"] as const)("test_hwm_pubsub over %s", (transport) => {
  const small = {
    publisher: { sendHighWaterMark: 100, sendBufferSize: 4096 },
    subscriber: { receiveHighWaterMark: 100, receiveBufferSize: 4096 },
  };

  test("a subscriber that does not read loses what is above its mark, all counted", async () => {
    const { publisher, subscriber } = await link(transport, small);
    const payload = Buffer.alloc(1000);
    const count = 3000;
    for (let i = 0; i < count; i += 1) expect(publisher.trySend([String(i), payload])).toBe(true);
    const dropped = publisher.stats().droppedHighWaterMark;
    expect(dropped).toBeGreaterThan(1000);
    let got = 0;
    let previous = -1;
    while (got < count - dropped) {
      const number = Number((await subscriber.receive(limits))[0]!.toString());
      expect(number).toBeGreaterThan(previous);
      previous = number;
      got += 1;
    }
    expect(got).toBeGreaterThanOrEqual(100);
    // There is room again: as many as the mark go through.
    await until("everything has left", () => publisher.writable);
    for (let i = 0; i < 100; i += 1) await publisher.send(`again ${i}`);
    const again = await receiveUntil(subscriber, "again 99");
    expect(again.length).toBe(100);
    expect(publisher.stats().droppedHighWaterMark).toBe(dropped);
  });

  test("with noDrop 6000 messages over a mark of 2000 arrive, all of them", async () => {
    const { publisher, subscriber } = await link(transport, {
      publisher: { noDrop: true, sendHighWaterMark: 2000, sendBufferSize: 4096 },
      subscriber: { receiveHighWaterMark: 10, receiveBufferSize: 4096 },
    });
    const sending = (async () => {
      for (let i = 0; i < 6000; i += 1) await publisher.send(`message ${i}`);
    })();
    const got = await receiveUntil(subscriber, "message 5999");
    await sending;
    expect(got.length).toBe(6000);
    expect(publisher.stats().droppedHighWaterMark).toBe(0);
  });
});

test("a burst to a subscriber that keeps up loses nothing, though it is above the mark", async () => {
  const { publisher, subscriber } = await link("ipc", {
    publisher: { sendBufferSize: 4_000_000 },
    subscriber: { receiveHighWaterMark: 0 },
  });
  const received = receiveUntil(subscriber, "the end");
  for (let batch = 0; batch < 50; batch += 1) {
    for (let i = 0; i < 2000; i += 1) publisher.trySend("x");
    await Bun.sleep(0);
  }
  await publisher.send("the end");
  expect((await received).length).toBe(100_001);
  expect(publisher.stats().droppedHighWaterMark).toBe(0);
});

test("one stuck subscriber of a hundred delays nobody and loses alone", async () => {
  const { publisher } = await link("tcp");
  const endpoint = publisher.lastEndpoint as string;
  const stuck = keep(new Subscriber({ receiveHighWaterMark: 1, receiveBufferSize: 2048 }));
  stuck.connect(endpoint);
  stuck.subscribe("stuck", "message");
  const others = Array.from({ length: 98 }, () => {
    const subscriber = keep(new Subscriber());
    subscriber.connect(endpoint);
    subscriber.subscribe("message");
    return subscriber;
  });
  await until("a hundred", () => publisher.stats().connections === 100);
  await publisher.subscribed("stuck", limits);
  // Nobody reads this one: everything that its connection holds is full.
  const payload = Buffer.alloc(10_000);
  while (publisher.stats().droppedHighWaterMark === 0) {
    for (let i = 0; i < 100; i += 1) await publisher.send(["stuck", payload]);
  }
  for (const other of others) expect(other.tryReceive()).toBeUndefined();
  const before = publisher.stats().droppedHighWaterMark;
  for (let round = 0; round < 10; round += 1) {
    for (let i = 0; i < 20; i += 1) await publisher.send(["message", String(i), payload]);
    for (const other of others) {
      for (let i = 0; i < 20; i += 1) {
        expect(texts(await other.receive(limits)).slice(0, 2)).toEqual(["message", String(i)]);
      }
    }
  }
  const dropped = publisher.stats().droppedHighWaterMark - before;
  // Its 200, and those that the first subscriber, who wants all and reads nothing, has no room for.
  expect(dropped).toBeGreaterThanOrEqual(200);
  expect(dropped).toBeLessThanOrEqual(400);
});

test("what was published is given back when all have it: memory does not grow", async () => {
  const { publisher, subscriber } = await link("ipc");
  const payload = Buffer.alloc(100_000, 1);
  const live = () => nativeContext().stats().memory_live_bytes;
  const before = live();
  let most = 0;
  for (let i = 0; i < 200; i += 1) {
    await publisher.send(["topic", payload]);
    expect((await subscriber.receive(limits))[1]!.length).toBe(payload.length);
    most = Math.max(most, live() - before);
  }
  expect(most).toBeLessThan(2_000_000);
});
