// inproc inside one thread; between Workers: workers_inproc.test.ts. The rows of libzmq's
// test_inproc_connect, test_pair_inproc, test_reqrep_inproc and test_hwm, and what goes beyond.

import { afterEach, describe, expect, test } from "bun:test";
import { nativeContext } from "../../src/context.ts";
import {
  Context,
  Dealer,
  Pair,
  Publisher,
  Pull,
  Push,
  Reply,
  Request,
  Router,
  Subscriber,
} from "../../src/index.ts";
import { event, expectSame, failure, pattern, rejection, texts, until } from "../support/sockets.ts";

let names = 0;
const fresh = () => `inproc://thread ${(names += 1)}`;
const soon = { timeout: 5000 };

afterEach(async () => {
  await until("nothing is left", () => {
    const now = nativeContext().stats();
    return now.inproc_links === 0 && now.inproc_bytes === 0 && now.sessions === 0;
  });
});

describe("libzmq's test_inproc_connect", () => {
  test.each([true, false])("PAIR to PAIR, bind first: %p", async (first) => {
    const endpoint = fresh();
    using bind = new Pair();
    using connect = new Pair();
    if (first) bind.bindSync(endpoint);
    connect.connect(endpoint);
    if (!first) expect(connect.trySend("foobar")).toBe(true);
    if (!first) bind.bindSync(endpoint);
    else await connect.send("foobar");
    expect(texts(await bind.receive(soon))).toEqual(["foobar"]);
    await bind.send(["back", "", "again"]);
    expect(texts(await connect.receive(soon))).toEqual(["back", "", "again"]);
  });

  test("PUB that connects before SUB binds", async () => {
    const endpoint = fresh();
    using publisher = new Publisher();
    using subscriber = new Subscriber();
    publisher.connect(endpoint);
    // Nobody is there: dropped.
    await publisher.send("foobar");
    subscriber.bindSync(endpoint);
    subscriber.subscribe();
    await publisher.subscribed("", soon);
    await publisher.send(["foo", "bar"]);
    expect(texts(await subscriber.receive(soon))).toEqual(["foo", "bar"]);
    expect(subscriber.tryReceive()).toBeUndefined();
  });

  test("ten that connect before the bind, each with a message", async () => {
    const endpoint = fresh();
    const pushes = Array.from({ length: 10 }, () => new Push());
    for (const push of pushes) push.connect(endpoint);
    for (const [i, push] of pushes.entries()) await push.send(`${i}`);
    using pull = new Pull();
    pull.bindSync(endpoint);
    const seen = new Set<string>();
    for (let i = 0; i < 10; i += 1) seen.add(String((await pull.receive(soon))[0]));
    expect(seen.size).toBe(10);
    for (const push of pushes) push.close();
  });

  test("a ROUTER knows the routing id of whoever connected before it was bound", async () => {
    const endpoint = fresh();
    using dealer = new Dealer({ routingId: "conn" });
    using router = new Router();
    dealer.connect(endpoint);
    await dealer.send("question");
    router.bindSync(endpoint);
    expect(texts(await router.receive(soon))).toEqual(["conn", "question"]);
    await router.send(["conn", "answer"]);
    expect(texts(await dealer.receive(soon))).toEqual(["answer"]);
  });

  test("a connect that nobody ever binds is no obstacle to close", () => {
    using push = new Push({ linger: 0 });
    push.connect(fresh());
    push.trySend("never");
  });

  test("unbind frees the name at once and keeps its connections", async () => {
    const endpoint = fresh();
    using first = new Pair();
    using second = new Pair();
    using one = new Pair();
    using other = new Pair();
    first.bindSync(endpoint);
    one.connect(endpoint);
    expect(failure(() => second.bindSync(endpoint)).code).toBe("EADDRINUSE");
    expect((await rejection(second.bind(endpoint))).code).toBe("EADDRINUSE");
    first.unbindSync(endpoint);
    expect(failure(() => first.unbindSync(endpoint)).code).toBe("ENOENT");
    await second.bind(endpoint);
    other.connect(endpoint);
    await one.send("to the first");
    await other.send("to the second");
    expect(texts(await first.receive(soon))).toEqual(["to the first"]);
    expect(texts(await second.receive(soon))).toEqual(["to the second"]);
  });
});

describe("libzmq's test_hwm", () => {
  const fill = (push: Push): number => {
    let count = 0;
    while (count < 10_000 && push.trySend("x")) count += 1;
    return count;
  };

  test.each([
    [2, 3, 5],
    [1, 1, 2],
    [1000, 1000, 2000],
    [0, 3, 10_000],
    [3, 0, 10_000],
  ])("SNDHWM %p and RCVHWM %p make %p, whoever comes first", async (send, receive, sum) => {
    for (const bindFirst of [true, false]) {
      const endpoint = fresh();
      using pull = new Pull({ receiveHighWaterMark: receive });
      using push = new Push({ sendHighWaterMark: send, linger: 0 });
      if (bindFirst) pull.bindSync(endpoint);
      push.connect(endpoint);
      if (!bindFirst) pull.bindSync(endpoint);
      expect(fill(push)).toBe(sum);
      for (let i = 0; i < sum; i += 1) expect(pull.tryReceive()).toBeDefined();
      expect(pull.tryReceive()).toBeUndefined();
      await push.send("again", soon);
      expect(texts(await pull.receive(soon))).toEqual(["again"]);
    }
  });

  test("what was queued before the bind arrives, even when its socket is closed by then", async () => {
    const endpoint = fresh();
    const push = new Push({ sendHighWaterMark: 4 });
    push.connect(endpoint);
    expect(fill(push)).toBe(4);
    push.close();
    using pull = new Pull();
    pull.bindSync(endpoint);
    for (let i = 0; i < 4; i += 1) expect(texts(await pull.receive(soon))).toEqual(["x"]);
  });

  test("a sender that waits for room goes on as soon as its own thread has read", async () => {
    const endpoint = fresh();
    using pull = new Pull({ receiveHighWaterMark: 1 });
    using push = new Push({ sendHighWaterMark: 1 });
    pull.bindSync(endpoint);
    push.connect(endpoint);
    const sending = push.sendMany(Array.from({ length: 100 }, (_, i) => `${i}`));
    for (let i = 0; i < 100; i += 1) expect(texts(await pull.receive(soon))).toEqual([`${i}`]);
    await sending;
  });
});

describe("a thread that talks to itself", () => {
  test("has its request answered, with parts of every size", async () => {
    const endpoint = fresh();
    using reply = new Reply();
    using request = new Request();
    reply.bindSync(endpoint);
    request.connect(endpoint);
    for (const size of [0, 1, 255, 256, 511, 512, 1536, 32_768, 70_000, 1_000_000, 20_000_000]) {
      const part = pattern(size, size);
      await request.send([part, "tail"]);
      const question = await reply.receive(soon);
      expectSame(question[0], part);
      expect(String(question[1])).toBe("tail");
      await reply.send(question);
      expectSame((await request.receive(soon))[0], part);
    }
  });

  test("receives what was sent just before, without waiting", () => {
    const endpoint = fresh();
    using pull = new Pull();
    using push = new Push();
    pull.bindSync(endpoint);
    push.connect(endpoint);
    for (let i = 0; i < 100; i += 1) {
      expect(push.trySend([`${i}`, "second"])).toBe(true);
      expect(texts(pull.tryReceive() as Buffer[])).toEqual([`${i}`, "second"]);
    }
    push.sendSync("sync");
    expect(texts(pull.receiveSync({ timeout: 1000 }))).toEqual(["sync"]);
  });

  test("takes what was sent, whatever becomes of the sender's buffer", async () => {
    const endpoint = fresh();
    using pull = new Pull();
    using push = new Push();
    pull.bindSync(endpoint);
    push.connect(endpoint);
    const buffers = [10, 1000, 5000, 100_000].map((size) => Buffer.alloc(size, 1));
    await push.sendMany(buffers);
    for (const buffer of buffers) buffer.fill(2);
    for (const buffer of buffers) {
      expectSame((await pull.receive(soon))[0], Buffer.alloc(buffer.length, 1));
    }
  });

  test("serves those who wait in both directions", async () => {
    const endpoint = fresh();
    using reply = new Reply();
    reply.bindSync(endpoint);
    const serving = (async () => {
      for await (const message of reply) await reply.send(message);
    })();
    const requests = Array.from({ length: 5 }, () => new Request());
    await Promise.all(
      requests.map(async (request, index) => {
        request.connect(endpoint);
        for (let i = 0; i < 200; i += 1) {
          await request.send(`${index} ${i}`);
          expect(texts(await request.receive(soon))).toEqual([`${index} ${i}`]);
        }
        request.close();
      }),
    );
    reply.close();
    await serving;
  });
});

describe("endpoints", () => {
  test("are what was written, whatever the name", async () => {
    for (const name of ["a b", "ünïcødé ✓", "x".repeat(255), "tcp://127.0.0.1:1", "*"]) {
      const endpoint = `inproc://${name}`;
      using pull = new Pull();
      using push = new Push();
      await pull.bind(endpoint);
      push.connect(endpoint);
      expect([pull.lastEndpoint, push.lastEndpoint]).toEqual([endpoint, endpoint]);
      await push.send(name);
      expect(texts(await pull.receive(soon))).toEqual([name]);
    }
    using pull = new Pull();
    expect(failure(() => pull.bindSync("inproc://")).code).toBe("EINVAL");
    expect(failure(() => pull.connect(`inproc://${"x".repeat(300)}`)).code).toBe("ENAMETOOLONG");
  });

  test("belong to their context: another one does not see them", async () => {
    const endpoint = fresh();
    using here = new Pull();
    using there = new Pull({ context: new Context() });
    using push = new Push({ linger: 0 });
    there.bindSync(endpoint);
    push.connect(endpoint);
    push.trySend("for whoever is here");
    here.bindSync(endpoint);
    expect(texts(await here.receive(soon))).toEqual(["for whoever is here"]);
    expect(there.stats().connections).toBe(0);
  });

  test("that are disconnected send no more, and the bound side notices", async () => {
    const endpoint = fresh();
    using pull = new Pull();
    using push = new Push();
    pull.bindSync(endpoint);
    push.connect(endpoint);
    await push.send("last");
    push.disconnect(endpoint);
    expect(push.trySend("nowhere")).toBe(false);
    expect(failure(() => push.disconnect(endpoint)).code).toBe("ENOENT");
    expect(texts(await pull.receive(soon))).toEqual(["last"]);
    await until("the end is seen", () => pull.stats().connections === 0);
  });

  test("whose socket is closed are found again when the name is bound anew", async () => {
    const endpoint = fresh();
    using push = new Push({ reconnectInterval: 1 });
    push.connect(endpoint);
    for (let i = 0; i < 3; i += 1) {
      using pull = new Pull();
      pull.bindSync(endpoint);
      await push.connected(endpoint, soon);
      await push.send(`${i}`);
      expect(texts(await pull.receive(soon))).toEqual([`${i}`]);
      pull.close();
      await until("the end is seen", () => push.stats().connections === 0);
    }
  });
});

describe("events", () => {
  test("tell of bind, connection and its end as with a network", async () => {
    const endpoint = fresh();
    using pull = new Pull();
    using push = new Push();
    const accepted = event(pull, "accept");
    const connected = event(push, "connect");
    const disconnected = event(push, "disconnect");
    push.connect(endpoint);
    pull.bindSync(endpoint);
    await accepted;
    expect((await connected).address).toBe(endpoint);
    expect([push.stats().connections, pull.stats().connections]).toEqual([1, 1]);
    pull.close();
    await disconnected;
    expect(push.stats().connections).toBe(0);
  });

  test("tell of a peer of the wrong type", async () => {
    const endpoint = fresh();
    using reply = new Reply();
    using push = new Push({ linger: 0 });
    const refused = event(push, "handshake:error:protocol");
    reply.bindSync(endpoint);
    push.connect(endpoint);
    await refused;
    expect(push.stats().handshakesFailed).toBeGreaterThan(0);
    expect(reply.stats().connections).toBe(0);
  });
});
