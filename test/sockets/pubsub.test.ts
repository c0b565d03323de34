// PUB, SUB, XPUB and XSUB among themselves, over every transport. Named after libzmq's own tests
// where they follow one.

import { describe, expect, test } from "bun:test";
import { Publisher, type Socket, Subscriber, XPublisher, XSubscriber } from "../../src/index.ts";
import { expectSame, keeper, pattern, texts, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };

const addresses = {
  tcp: () => "tcp://127.0.0.1:*",
  ipc: () => "ipc://*",
  inproc: () => `inproc://pubsub-${crypto.randomUUID()}`,
};
const transports = ["tcp", "ipc", "inproc"] as const;
type Transport = (typeof transports)[number];

function bound<S extends Socket>(socket: S, transport: Transport): S {
  socket.bindSync(addresses[transport]());
  return keep(socket);
}

function connected<S extends Socket>(socket: S, to: Socket): S {
  socket.connect(to.lastEndpoint as string);
  return keep(socket);
}

/** What an XPublisher reads: "+topic" for a subscription, "-topic" for a cancel. */
async function notes(publisher: XPublisher, count: number): Promise<string[]> {
  const result: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const [note] = await publisher.receive(limits);
    result.push((note![0] === 1 ? "+" : "-") + note!.subarray(1).toString());
  }
  return result;
}

describe.each(transports)("test_pubsub over %s", (transport) => {
  test("a message reaches those who asked for it, and only them", async () => {
    const publisher = bound(new Publisher(), transport);
    const all = connected(new Subscriber(), publisher);
    const some = connected(new Subscriber(), publisher);
    const none = connected(new Subscriber(), publisher);
    all.subscribe();
    some.subscribe("weather.", "alarm");
    await publisher.subscribed("", limits);
    await publisher.subscribed("weather.oslo", limits);
    await until("all topics", () => publisher.topicsCount === 3);
    for (const first of ["weather.oslo", "weather", "alarm", "news", ""]) {
      await publisher.send([first, "body"]);
    }
    for (const first of ["weather.oslo", "weather", "alarm", "news", ""]) {
      expect(texts(await all.receive(limits))).toEqual([first, "body"]);
    }
    for (const first of ["weather.oslo", "alarm"]) {
      expect(texts(await some.receive(limits))).toEqual([first, "body"]);
    }
    expect(none.tryReceive()).toBeUndefined();
    expect(some.tryReceive()).toBeUndefined();
    expect(publisher.stats()).toMatchObject({ messagesSent: 5, droppedHighWaterMark: 0 });
  });

  test("a publisher that connects serves subscribers that are bound", async () => {
    const subscriber = bound(new Subscriber(), transport);
    subscriber.subscribe("a", "a");
    const publishers = [1, 2, 3].map(() => connected(new Publisher(), subscriber));
    for (const publisher of publishers) {
      await publisher.subscribed("a", limits);
      await publisher.send("ab");
    }
    for (const _ of publishers) expect(texts(await subscriber.receive(limits))).toEqual(["ab"]);
    // Two subscriptions, two cancels.
    subscriber.unsubscribe("a");
    for (const publisher of publishers) await publisher.send("ac");
    for (const _ of publishers) expect(texts(await subscriber.receive(limits))).toEqual(["ac"]);
    subscriber.unsubscribe("a");
    for (const publisher of publishers) {
      await until("the cancel", () => publisher.topicsCount === 0);
    }
  });

  test("large messages, empty ones and those of many parts arrive as they were sent", async () => {
    const publisher = bound(new Publisher(), transport);
    const subscribers = [1, 2, 3].map(() => connected(new Subscriber(), publisher));
    for (const subscriber of subscribers) subscriber.subscribe();
    await until("three", () => publisher.stats().connections === 3);
    await publisher.subscribed("", limits);
    await Promise.all(subscribers.map(async (subscriber) => {
      while (subscriber.tryReceive() === undefined) {
        await publisher.send("is everybody there?");
        await Bun.sleep(1);
      }
    }));
    const large = pattern(3_000_000);
    const messages = [
      [""], [large], ["", "", ""], ["topic", large, "end"], [pattern(70_000), pattern(255)],
      Array.from({ length: 1000 }, (_, i) => `part ${i}`),
    ];
    for (const message of messages) await publisher.send(message);
    for (const subscriber of subscribers) {
      let next = await subscriber.receive(limits);
      while (next[0]!.toString() === "is everybody there?") next = await subscriber.receive(limits);
      for (const message of messages) {
        expect(next.length).toBe(message.length);
        next.forEach((part, i) => expectSame(part, Buffer.from(message[i] as string)));
        if (message !== messages.at(-1)) next = await subscriber.receive(limits);
      }
    }
  });
});

describe.each(transports)("test_sub_forward over %s", (transport) => {
  test("a device of XSUB and XPUB passes on subscriptions, cancels and messages", async () => {
    const front = bound(new XSubscriber(), transport);
    const back = bound(new XPublisher(), transport);
    const publisher = connected(new Publisher(), front);
    const subscriber = connected(new Subscriber(), back);
    const passOn = async () => front.send((await back.receive(limits))[0]!);
    subscriber.subscribe("A");
    await passOn();
    await publisher.subscribed("A", limits);
    await publisher.send(["A", "one"]);
    await back.send(await front.receive(limits));
    expect(texts(await subscriber.receive(limits))).toEqual(["A", "one"]);
    subscriber.unsubscribe("A");
    await passOn();
    await until("the cancel", () => publisher.topicsCount === 0);
    // What is no subscription goes to the publishers as a message, and a PUB has no use for it.
    const reader = connected(new XPublisher(), front);
    await until("both", () => front.stats().connections >= 2 || transport === "inproc");
    await front.send(["for", "everybody"]);
    expect(texts(await reader.receive(limits))).toEqual(["for", "everybody"]);
    await until("the drop", () => publisher.stats().droppedMalformed === 1);
  });
});

describe.each(transports)("test_xpub_verbose over %s", (transport) => {
  test("a reader is told of what changed for all, or of everything", async () => {
    for (const verbosity of [null, "allSubs", "allSubsUnsubs"] as const) {
      const publisher = bound(new XPublisher({ verbosity }), transport);
      const first = connected(new Subscriber(), publisher);
      const second = connected(new Subscriber(), publisher);
      first.subscribe("A");
      expect(await notes(publisher, 1)).toEqual(["+A"]);
      second.subscribe("A", "B");
      expect(await notes(publisher, verbosity ? 2 : 1)).toEqual(verbosity ? ["+A", "+B"] : ["+B"]);
      first.unsubscribe("A");
      first.subscribe("C");
      const loud = verbosity === "allSubsUnsubs";
      expect(await notes(publisher, loud ? 2 : 1)).toEqual(loud ? ["-A", "+C"] : ["+C"]);
      second.close();
      expect((await notes(publisher, 2)).sort()).toEqual(["-A", "-B"]);
      first.disconnect(publisher.lastEndpoint as string);
      expect(await notes(publisher, 1)).toEqual(["-C"]);
      expect(publisher.topicsCount).toBe(0);
      expect(publisher.tryReceive()).toBeUndefined();
    }
  });
});

describe.each(transports)("test_xpub_manual over %s", (transport) => {
  test("every peer gets what the owner made of its subscription, in a loop over them", async () => {
    const publisher = bound(new XPublisher({ manual: true }), transport);
    const subscribers = ["a", "b", "c"].map((topic) => {
      const subscriber = connected(new Subscriber(), publisher);
      subscriber.subscribe(topic);
      return subscriber;
    });
    let left = 3;
    for await (const [note] of publisher) {
      expect(note![0]).toBe(1);
      publisher.subscribe(`tenant.${note!.subarray(1)}`);
      if (--left === 0) break;
    }
    // Their own filters are theirs: they see what begins with what they asked for.
    expect(publisher.topicsCount).toBe(3);
    for (const topic of ["a", "b", "c"]) await publisher.send(topic);
    expect(publisher.stats().droppedUnsubscribed).toBe(3);
    for (const [i, subscriber] of subscribers.entries()) {
      subscriber.subscribe("tenant.");
      await notes(publisher, 1);
      const topic = `tenant.${"abc"[i]}`;
      await publisher.send(topic);
      expect(texts(await subscriber.receive(limits))).toEqual([topic]);
    }
  });
});

describe("test_xpub_topic", () => {
  test("topics of 245 to 257 bytes, 64 KiB and 1 MiB subscribe and cancel", async () => {
    const publisher = bound(new XPublisher(), "tcp");
    const subscriber = connected(new Subscriber(), publisher);
    for (const size of [0, 1, 244, 245, 246, 247, 254, 255, 256, 257, 65_536, 1_048_576]) {
      const topic = pattern(size, 3);
      subscriber.subscribe(topic);
      const [wanted] = await publisher.receive(limits);
      expectSame(wanted, Buffer.concat([Buffer.of(1), topic]));
      await publisher.send([topic, "body"]);
      const [got, body] = await subscriber.receive(limits);
      expectSame(got, topic);
      expect(body!.toString()).toBe("body");
      subscriber.unsubscribe(topic);
      const [cancelled] = await publisher.receive(limits);
      expectSame(cancelled, Buffer.concat([Buffer.of(0), topic]));
    }
    expect(publisher.topicsCount).toBe(0);
    expect(subscriber.topicsCount).toBe(0);
  });
});

describe("test_pubsub_topics_count", () => {
  test("nested topics count for themselves", async () => {
    const publisher = bound(new Publisher(), "tcp");
    const subscriber = connected(new Subscriber(), publisher);
    subscriber.subscribe("t", "top", "topic", "topic1", "topic1");
    expect(subscriber.topicsCount).toBe(4);
    await until("four", () => publisher.topicsCount === 4);
    for (const topic of ["topic1", "topic1", "topic", "nothing", "top", "t"]) {
      subscriber.unsubscribe(topic);
    }
    expect(subscriber.topicsCount).toBe(0);
    await until("none", () => publisher.topicsCount === 0);
  });
});

describe("a subscriber that reconnects", () => {
  test.each([3_000, 100_000])("has all of its %i topics again", async (count) => {
    const subscriber = keep(new Subscriber({ reconnectInterval: 5 }));
    for (let i = 0; i < count; i += 1) subscriber.subscribe(`topic ${i}`);
    let endpoint = "tcp://127.0.0.1:*";
    for (let round = 0; round < 3; round += 1) {
      const publisher = keep(new Publisher());
      await publisher.bind(endpoint);
      if (round === 0) {
        endpoint = publisher.lastEndpoint as string;
        subscriber.connect(endpoint);
      }
      await until("all topics", () => publisher.topicsCount === count);
      for (const i of [0, 1, count - 1]) {
        await publisher.send(`topic ${i}`);
        const [text] = await subscriber.receive(limits);
        expect(text!.toString()).toBe(`topic ${i}`);
      }
      publisher.close();
    }
  });

  test("does not bring back what it cancelled meanwhile", async () => {
    const subscriber = keep(new Subscriber({ reconnectInterval: 5 }));
    const first = bound(new XPublisher(), "tcp");
    const endpoint = first.lastEndpoint as string;
    connected(subscriber, first);
    subscriber.subscribe("a", "b", "c");
    expect(await notes(first, 3)).toEqual(["+a", "+b", "+c"]);
    first.close();
    await until("the end", () => subscriber.stats().connections === 0);
    subscriber.unsubscribe("b");
    subscriber.subscribe("d");
    const second = keep(new XPublisher());
    await second.bind(endpoint);
    expect((await notes(second, 3)).sort()).toEqual(["+a", "+c", "+d"]);
    await Bun.sleep(5);
    expect(second.tryReceive()).toBeUndefined();
  });
});

test("a message arrives that is sent as soon as subscribed() resolves: no slow joiner", async () => {
  for (let i = 0; i < 50; i += 1) {
    const publisher = bound(new Publisher(), "tcp");
    const subscriber = connected(new Subscriber(), publisher);
    subscriber.subscribe("topic");
    await publisher.subscribed("topic of mine", limits);
    await publisher.send("topic of mine");
    expect(texts(await subscriber.receive(limits))).toEqual(["topic of mine"]);
    publisher.close();
    subscriber.close();
  }
});
