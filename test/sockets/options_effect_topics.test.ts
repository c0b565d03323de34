// What the options of publishers and subscribers do.

import { describe, expect, test } from "bun:test";
import {
  Publisher,
  type Socket,
  Subscriber,
  XPublisher,
  type XPublisherOptions,
  XSubscriber,
} from "../../src/index.ts";
import { bound, failure, keeper, rejection, texts, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };

function subscriberOf(publisher: Socket, ...topics: string[]): Subscriber {
  const subscriber = keep(new Subscriber());
  subscriber.connect(publisher.lastEndpoint ?? bound(publisher));
  if (topics.length > 0) subscriber.subscribe(...topics);
  return subscriber;
}

const request = (type: 0 | 1, topic: string) => String.fromCharCode(type) + topic;

async function requests(publisher: XPublisher, count: number): Promise<string[]> {
  const received: string[] = [];
  while (received.length < count) received.push(...texts(await publisher.receive(limits)));
  return received;
}

test("noDrop: send waits for the slowest subscriber, and nobody misses a message", async () => {
  const options = { noDrop: true, sendHighWaterMark: 10, sendBufferSize: 4096 };
  const publisher = keep(new Publisher(options));
  const slow = keep(new Subscriber({ receiveHighWaterMark: 10, receiveBufferSize: 4096 }));
  slow.connect(bound(publisher));
  slow.subscribe();
  await publisher.subscribed("", limits);
  const payload = Buffer.alloc(10_000);
  let sent = 0;
  const fill = async () => {
    for (;;) {
      await publisher.send(["topic", String(sent), payload], { timeout: 50 });
      sent += 1;
    }
  };
  expect((await rejection(fill())).code).toBe("EAGAIN");
  expect(publisher.writable).toBe(false);
  const waiting = publisher.send("the last");
  for (let i = 0; i < sent; i += 1) expect(texts(await slow.receive(limits))[1]).toBe(String(i));
  await waiting;
  expect(texts(await slow.receive(limits))).toEqual(["the last"]);
  expect(publisher.stats().droppedHighWaterMark).toBe(0);
});

describe("verbosity", () => {
  /** Two subscribers ask for the same topic, then cancel one after the other. */
  const heard = async (verbosity: XPublisherOptions["verbosity"], count: number) => {
    const publisher = keep(new XPublisher({ verbosity: verbosity ?? null }));
    const first = subscriberOf(publisher, "a");
    const before = await requests(publisher, 1);
    const second = subscriberOf(publisher, "a", "end");
    const rest = await requests(publisher, verbosity === null ? 1 : 2);
    first.unsubscribe("a");
    second.subscribe("synced");
    await publisher.subscribed("synced", limits);
    second.unsubscribe("a");
    await until("the last cancel", () => publisher.topicsCount === 2);
    return [...before, ...rest, ...(await requests(publisher, count - before.length - rest.length))];
  };

  test("null tells of the first subscription and the last cancel", async () => {
    const all = await heard(null, 4);
    expect(all.filter((text) => text.endsWith("a"))).toEqual([request(1, "a"), request(0, "a")]);
  });

  test("allSubs tells of every subscription", async () => {
    const all = await heard("allSubs", 5);
    expect(all.filter((text) => text.endsWith("a"))).toEqual(
      [request(1, "a"), request(1, "a"), request(0, "a")],
    );
  });

  test("allSubsUnsubs tells of every cancel too", async () => {
    const all = await heard("allSubsUnsubs", 6);
    expect(all.filter((text) => text.endsWith("a"))).toEqual(
      [request(1, "a"), request(1, "a"), request(0, "a"), request(0, "a")],
    );
  });
});

describe("manual", () => {
  test("lets the publisher decide what its peers are subscribed to", async () => {
    const publisher = keep(new XPublisher({ manual: true }));
    const subscriber = subscriberOf(publisher, "A");
    subscriber.subscribe("B");
    expect(await requests(publisher, 1)).toEqual([request(1, "A")]);
    publisher.subscribe("XA");
    expect(publisher.topicsCount).toBe(1);
    await publisher.send("A nothing");
    await publisher.send("XA something");
    // What does not match here is filtered there.
    expect(subscriber.stats().messagesReceived).toBe(0);
    publisher.unsubscribe("XA");
    publisher.subscribe("A");
    await publisher.send("A at last");
    expect(texts(await subscriber.receive(limits))).toEqual(["A at last"]);
  });

  test("lastValue sends the next message to the peer that asked last only", async () => {
    const publisher = keep(new XPublisher({ manual: "lastValue" }));
    const [first, second] = [subscriberOf(publisher, "A"), subscriberOf(publisher)];
    expect(await requests(publisher, 1)).toEqual([request(1, "A")]);
    publisher.subscribe("A");
    await publisher.send(["A", "for the first"]);
    expect(texts(await first.receive(limits))).toEqual(["A", "for the first"]);
    second.subscribe("A");
    expect(await requests(publisher, 1)).toEqual([request(1, "A")]);
    publisher.subscribe("A");
    await publisher.send(["A", "for the second"]);
    await publisher.send(["A", "for both"]);
    expect(texts(await second.receive(limits))).toEqual(["A", "for the second"]);
    expect(texts(await first.receive(limits))).toEqual(["A", "for both"]);
    expect(texts(await second.receive(limits))).toEqual(["A", "for both"]);
  });

  test("is needed to subscribe for others", () => {
    const publisher = keep(new XPublisher());
    const error = failure(() => publisher.subscribe("A"));
    expect(error.code).toBe("EINVAL");
    expect(error.message).toContain("manual");
  });
});

test("welcomeMessage is what a new subscriber receives first, if it wants it", async () => {
  const publisher = keep(new XPublisher({ welcomeMessage: "W: hello" }));
  const wanting = subscriberOf(publisher, "W");
  expect(texts(await wanting.receive(limits))).toEqual(["W: hello"]);
  publisher.welcomeMessage = null;
  const next = subscriberOf(publisher, "W", "synced");
  await publisher.subscribed("synced", limits);
  await publisher.send("W: no hello");
  expect(texts(await next.receive(limits))).toEqual(["W: no hello"]);
});

test("invertMatching sends, and takes, what matches no subscription", async () => {
  const publisher = keep(new Publisher({ invertMatching: true }));
  const subscriber = subscriberOf(publisher);
  subscriber.invertMatching = true;
  subscriber.subscribe("noise");
  await until("the subscription", () => publisher.topicsCount === 1);
  await publisher.send("noise");
  await publisher.send("news");
  expect(texts(await subscriber.receive(limits))).toEqual(["news"]);
});

describe("onlyFirstSubscribe", () => {
  const asked = async (onlyFirstSubscribe: boolean) => {
    const publisher = keep(new XPublisher({ onlyFirstSubscribe }));
    const subscriber = keep(new XSubscriber({ onlyFirstSubscribe }));
    subscriber.connect(bound(publisher));
    await subscriber.connected(undefined, limits);
    await subscriber.send(["data", request(1, "A")]);
    await subscriber.send(request(1, "B"));
    await publisher.subscribed("B", limits);
    return publisher.topicsCount;
  };

  test("takes the later parts of a message for data", async () => {
    expect(await asked(true)).toBe(1);
  });

  test("without it they may be subscriptions", async () => {
    expect(await asked(false)).toBe(2);
  });
});

test("verboseUnsubscribe sends every cancel, not only the last", async () => {
  const cancels = async (verboseUnsubscribe: boolean) => {
    const publisher = keep(new XPublisher({ verbosity: "allSubsUnsubs" }));
    const subscriber = keep(new XSubscriber({ verboseUnsubscribe }));
    subscriber.connect(bound(publisher));
    const both = [request(1, "A"), request(1, "A"), request(0, "A"), request(0, "A")];
    await subscriber.connected(undefined, limits);
    for (const text of [...both, request(1, "end")]) await subscriber.send(text);
    const heard: string[] = [];
    while (heard.at(-1) !== request(1, "end")) heard.push(...(await requests(publisher, 1)));
    return heard.filter((text) => text.startsWith("\0")).length;
  };
  expect(await cancels(false)).toBe(1);
  expect(await cancels(true)).toBe(2);
});

test.each([
  ["subscriptionsMax", 3, ["a", "b", "c", "d"]],
  ["subscriptionBytesMax", 10, ["aaaa", "bbbb", "cccc", "d"]],
] as const)("%s bounds what one subscriber may ask for", async (name, max, topics) => {
  const publisher = keep(new Publisher({ [name]: max }));
  const subscriber = subscriberOf(publisher, ...topics);
  await until("refused", () => publisher.stats().subscriptionsRefused > 0);
  expect(publisher.topicsCount).toBeLessThanOrEqual(3);
  const other = subscriberOf(publisher, "other");
  await publisher.subscribed("other", limits);
  expect(subscriber.topicsCount).toBe(4);
  expect(other.topicsCount).toBe(1);
});
