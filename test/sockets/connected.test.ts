// Waiting for peers: the end of the sleep after connect, and before the first message.

import { describe, expect, test } from "bun:test";
import {
  Dealer,
  Publisher,
  Pull,
  Push,
  Subscriber,
  type Topic,
  XPublisher,
} from "../../src/index.ts";
import { run } from "../support/process.ts";
import { bound, keeper, reasonOf, rejection, texts, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };

describe("connected", () => {
  test("resolves on both ends, for the endpoint or for any", async () => {
    const [pull, push] = [keep(new Pull()), keep(new Push())];
    const endpoint = bound(pull);
    const waits = [pull.connected(), pull.connected(endpoint, limits)];
    push.connect(endpoint);
    waits.push(push.connected(), push.connected(endpoint, limits));
    await Promise.all(waits);
    // At once, now that it is there.
    await push.connected(endpoint, { timeout: 0 });
  });

  test("tells endpoints apart", async () => {
    const [first, second, push] = [keep(new Pull()), keep(new Pull()), keep(new Push())];
    const [there, late] = [bound(first), bound(second)];
    second.unbindSync(late);
    push.reconnectInterval = 5;
    push.connect(there);
    push.connect(late);
    await push.connected(there, limits);
    expect((await rejection(push.connected(late, { timeout: 20 }))).code).toBe("EAGAIN");
    await second.bind(late);
    await push.connected(late, limits);
    expect((await rejection(first.connected(late))).code).toBe("ENOENT");
  });

  test("waits for the handshake, not only for a connection", async () => {
    using server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const push = keep(new Push());
    push.connect(`tcp://127.0.0.1:${server.port}`);
    expect((await rejection(push.connected(undefined, { timeout: 50 }))).code).toBe("EAGAIN");
  });

  test("waits again after the connection is lost", async () => {
    const push = keep(new Push({ reconnectInterval: 5 }));
    const pull = keep(new Pull());
    const endpoint = bound(pull);
    push.connect(endpoint);
    await push.connected(undefined, limits);
    pull.close();
    await until("lost", () => push.stats().connections === 0);
    const again = push.connected(endpoint, limits);
    const next = keep(new Pull());
    await next.bind(endpoint);
    await again;
  });

  test("of an endpoint that is given up rejects, and the socket stays good", async () => {
    const push = keep(new Push());
    push.connect("tcp://127.0.0.1:1");
    const wait = push.connected("tcp://127.0.0.1:1");
    push.disconnect("tcp://127.0.0.1:1");
    expect((await rejection(wait)).code).toBe("ENOENT");
    const pull = keep(new Pull());
    push.connect(bound(pull));
    await push.connected(undefined, limits);
  });

  test("ends with its signal, its timeout, or its socket", async () => {
    const push = keep(new Push());
    push.connect("tcp://127.0.0.1:1");
    const abort = new AbortController();
    const aborted = push.connected(undefined, { signal: abort.signal });
    abort.abort("enough");
    expect(await reasonOf(aborted)).toBe("enough");
    expect(await reasonOf(push.connected(undefined, { signal: abort.signal }))).toBe("enough");
    expect((await rejection(push.connected(undefined, { timeout: 0 }))).code).toBe("EAGAIN");
    const closed = push.connected();
    push.close();
    expect((await rejection(closed)).code).toBe("EAGAIN");
    expect((await rejection(push.connected())).code).toBe("EBADF");
  });

  test("keeps the process alive while it waits, and no longer", async () => {
    const { exitCode, stdout } = await run(`
      const push = new Push({ linger: 0 });
      push.connect("tcp://127.0.0.1:1");
      push.connected(undefined, { timeout: 200 }).catch(({ code }) => console.log(code));
    `);
    expect([exitCode, stdout.trim()]).toEqual([0, "EAGAIN"]);
  });
});

describe("subscribed", () => {
  test.each([Publisher, XPublisher])("ends the wait for slow joiners", async (Class) => {
    const publisher = keep(new Class());
    const subscriber = keep(new Subscriber());
    const waits = [publisher.subscribed(), publisher.subscribed("news.today", limits)];
    subscriber.connect(bound(publisher));
    subscriber.subscribe("news.");
    await Promise.all(waits);
    await publisher.send(["news.today", "first"]);
    expect(texts(await subscriber.receive(limits))).toEqual(["news.today", "first"]);
  });

  test("is about the topic that is asked for", async () => {
    const publisher = keep(new Publisher());
    const subscriber = keep(new Subscriber());
    subscriber.connect(bound(publisher));
    subscriber.subscribe("news.");
    await publisher.subscribed("news.", limits);
    expect((await rejection(publisher.subscribed("new", { timeout: 20 }))).code).toBe("EAGAIN");
    const wait = publisher.subscribed(Buffer.from("weather"), limits);
    subscriber.subscribe();
    await wait;
    expect(publisher.topicsCount).toBe(2);
  });

  test("ends with its signal or its socket, and refuses what is no topic", async () => {
    const publisher = keep(new Publisher());
    const abort = new AbortController();
    const aborted = publisher.subscribed("a", { signal: abort.signal });
    const closed = publisher.subscribed("a");
    abort.abort("enough");
    expect(await reasonOf(aborted)).toBe("enough");
    expect(() => publisher.subscribed(5 as unknown as Topic)).toThrow(TypeError);
    publisher.close();
    expect((await rejection(closed)).code).toBe("EAGAIN");
    expect((await rejection(publisher.subscribed())).code).toBe("EBADF");
    expect((await rejection(publisher.subscribed("a"))).code).toBe("EBADF");
  });
});

describe("topics", () => {
  test("without an argument stand for everything", async () => {
    const [publisher, subscriber] = [keep(new Publisher()), keep(new Subscriber())];
    subscriber.connect(bound(publisher));
    subscriber.subscribe();
    await publisher.subscribed("anything", limits);
    await publisher.send("anything");
    expect(texts(await subscriber.receive(limits))).toEqual(["anything"]);
    subscriber.unsubscribe();
    expect(subscriber.topicsCount).toBe(0);
  });

  test("are checked before any of them counts", () => {
    const subscriber = keep(new Subscriber());
    expect(() => subscriber.subscribe("good", 5 as unknown as Topic)).toThrow(/topic.*number/);
    expect(subscriber.topicsCount).toBe(0);
    subscriber.close();
    expect(() => subscriber.subscribe("good")).toThrow("Socket is closed");
  });

  test("of a Subscription last as long as its scope, and tell their messages", async () => {
    const [publisher, subscriber] = [keep(new Publisher()), keep(new Subscriber())];
    subscriber.connect(bound(publisher));
    subscriber.subscribe("a.");
    {
      using a = subscriber.topic("a.");
      using b = subscriber.topic(Buffer.from("b."));
      expect(subscriber.topicsCount).toBe(2);
      await publisher.subscribed("b.", limits);
      await publisher.sendMany([["a.1", "x"], ["b.1", "y"]]);
      const messages = [await subscriber.receive(limits), await subscriber.receive(limits)];
      expect(messages.map((message) => [a.matches(message), b.matches(message)])).toEqual([
        [true, false],
        [false, true],
      ]);
      expect(a.matches([Buffer.from("a")])).toBe(false);
      b.unsubscribe();
      b.unsubscribe();
      expect(subscriber.topicsCount).toBe(1);
    }
    // The other subscription to the same topic is still there.
    expect(subscriber.topicsCount).toBe(1);
    const late = subscriber.topic("c.");
    subscriber.close();
    late[Symbol.dispose]();
  });
});

test("a Dealer that was told of its connection can send without another wait", async () => {
  const [first, second] = [keep(new Dealer({ immediate: true })), keep(new Dealer())];
  first.connect(bound(second));
  expect(first.trySend("too early")).toBe(false);
  await first.connected(undefined, limits);
  expect(first.trySend("in time")).toBe(true);
});
