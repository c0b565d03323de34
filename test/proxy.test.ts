// Proxy: what goes in at one side comes out at the other, whatever JavaScript is doing.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import {
  Dealer, Pair, Proxy, Publisher, Pull, Push, Reply, Request, Router, type Socket, Subscriber,
  XPublisher, XSubscriber,
} from "../src/index.ts";
import { bound, failure, pattern, reasonOf, rejection, texts, until } from "./support/sockets.ts";

interface Running<F extends Socket, B extends Socket> extends AsyncDisposable {
  proxy: Proxy<F, B>;
  front: string;
  back: string;
  running: Promise<void>;
}

/** A running proxy that is bound at both sides. */
function started<F extends Socket, B extends Socket>(
  frontEnd: F,
  backEnd: B,
  capture?: Socket,
): Running<F, B> {
  const proxy = new Proxy(frontEnd, backEnd, capture);
  const front = bound(frontEnd);
  const back = frontEnd === (backEnd as Socket) ? front : bound(backEnd);
  const running = proxy.run();
  const end = async () => {
    proxy.terminate();
    await running;
  };
  return { proxy, front, back, running, [Symbol.asyncDispose]: end };
}

const quick = { linger: 0 };

describe("patterns: a service behind a proxy is not reached", () => {
  test("Request to Reply through Router and Dealer, many of both", async () => {
    await using it = started(new Router(quick), new Dealer(quick));
    const replies = [new Reply(quick), new Reply(quick)];
    for (const reply of replies) {
      reply.connect(it.back);
      void (async () => {
        for await (const [question] of reply) await reply.send(`answer to ${question}`);
      })();
    }
    const requests = Array.from({ length: 10 }, () => new Request(quick));
    await Promise.all(requests.map(async (request, i) => {
      request.connect(it.front);
      for (let k = 0; k < 50; k += 1) {
        await request.send(`${i}.${k}`);
        expect(texts(await request.receive({ timeout: 5000 }))).toEqual([`answer to ${i}.${k}`]);
      }
    }));
    expect(it.proxy.statistics().front.messagesIn).toBe(500);
    expect(it.proxy.statistics().back.messagesIn).toBe(500);
    for (const socket of [...requests, ...replies]) socket.close();
  });

  test("Publisher to Subscriber through XSubscriber and XPublisher", async () => {
    await using it = started(new XSubscriber(), new XPublisher(quick));
    using publisher = new Publisher(quick);
    using other = new Publisher(quick);
    publisher.connect(it.front);
    other.connect(it.front);
    using subscriber = new Subscriber();
    subscriber.connect(it.back);
    subscriber.subscribe("a.");
    await Promise.all([publisher.subscribed("a."), other.subscribed("a.")]);
    await publisher.send(["b.not wanted", "1"]);
    await publisher.send(["a.wanted", "2"]);
    await other.send(["a.too", "3"]);
    const got = [await subscriber.receive(), await subscriber.receive()].map(texts);
    expect(got.sort()).toEqual([["a.too", "3"], ["a.wanted", "2"]]);
  });

  test("Push to Pull: 100,000 in order, none lost, sizes up to 1 MiB", async () => {
    await using it = started(new Pull(quick), new Push(quick));
    using push = new Push(quick);
    using pull = new Pull(quick);
    push.connect(it.front);
    pull.connect(it.back);
    const count = 100_000;
    const sending = push.sendMany(Array.from({ length: count }, (_, i) => [`${i}`, "tail"]));
    let next = 0;
    for await (const batch of pull.batches()) {
      for (const [first] of batch) {
        if (String(first) !== `${next}`) throw new Error(`${first} instead of ${next}`);
        next += 1;
      }
      if (next === count) break;
    }
    await sending;
    for (const bytes of [0, 1, 255, 256, 65_536, 1_048_576]) {
      const body = pattern(bytes, bytes + 1);
      await push.send([body, "", body]);
      const message = await pull.receive({ timeout: 5000 });
      expect(message.map((part) => part.length)).toEqual([bytes, 0, bytes]);
      expect(Buffer.compare(message[2] as Buffer, body)).toBe(0);
    }
  });

  test("a message of 3,000 parts stays whole", async () => {
    await using it = started(new Pull(quick), new Push(quick));
    using push = new Push(quick);
    using pull = new Pull(quick);
    push.connect(it.front);
    pull.connect(it.back);
    const parts = Array.from({ length: 3000 }, (_, i) => `${i}`);
    await push.send(parts);
    expect(texts(await pull.receive({ timeout: 5000 }))).toEqual(parts);
  });

  test("one socket at both sides sends back what it gets", async () => {
    const dealer = new Dealer(quick);
    await using it = started(dealer, dealer);
    using client = new Dealer(quick);
    client.connect(it.front);
    await client.send(["to", "and fro"]);
    expect(texts(await client.receive({ timeout: 5000 }))).toEqual(["to", "and fro"]);
  });

  test("peers of this process: inproc links and names go along", async () => {
    const proxy = new Proxy(new Pull(quick), new Push(quick));
    proxy.frontEnd.bindSync("inproc://proxy.front");
    proxy.backEnd.bindSync("inproc://proxy.back");
    using early = new Push(quick);
    using pull = new Pull(quick);
    early.connect("inproc://proxy.front");
    pull.connect("inproc://proxy.back");
    await early.send("before");
    const running = proxy.run();
    using late = new Push(quick);
    late.connect("inproc://proxy.front");
    await early.send("after");
    await late.send("late");
    const got = [await pull.receive(), await pull.receive(), await pull.receive()].map(String);
    expect(got.toSorted()).toEqual(["after", "before", "late"]);
    proxy.terminate();
    await running;
  });

  test("capture gets a copy of both directions", async () => {
    using seen = new Pull();
    const capture = new Push(quick);
    capture.connect(bound(seen));
    await using it = started(new Pair(quick), new Pair(quick), capture);
    using left = new Pair(quick);
    using right = new Pair(quick);
    left.connect(it.front);
    right.connect(it.back);
    await left.send(["one", "two"]);
    expect(texts(await right.receive({ timeout: 5000 }))).toEqual(["one", "two"]);
    await right.send("three");
    expect(texts(await left.receive({ timeout: 5000 }))).toEqual(["three"]);
    const copies = [await seen.receive({ timeout: 5000 }), await seen.receive({ timeout: 5000 })];
    expect(copies.map(texts)).toEqual([["one", "two"], ["three"]]);
  });

  test("sides that connect, to a name too, find their peers and find them again", async () => {
    let pull = new Pull();
    pull.bindSync("tcp://127.0.0.1:*");
    const endpoint = (pull.lastEndpoint as string).replace("127.0.0.1", "localhost");
    const proxy = new Proxy(new Pull(quick), new Push({ ...quick, reconnectInterval: 10 }));
    const front = bound(proxy.frontEnd);
    proxy.backEnd.connect(endpoint);
    const running = proxy.run();
    using push = new Push(quick);
    push.connect(front);
    await push.send("first");
    expect(texts(await pull.receive({ timeout: 5000 }))).toEqual(["first"]);
    const address = pull.lastEndpoint as string;
    pull.close();
    pull = new Pull();
    await pull.bind(address);
    await push.send("second");
    expect(texts(await pull.receive({ timeout: 5000 }))).toEqual(["second"]);
    pull.close();
    proxy.terminate();
    await running;
  });
});

describe("the sockets are handed over with all they have", () => {
  test("connections, what they have received, and what was half arrived", async () => {
    const proxy = new Proxy(new Pull(quick), new Push(quick));
    const front = bound(proxy.frontEnd);
    const back = bound(proxy.backEnd);
    using push = new Push(quick);
    using pull = new Pull(quick);
    push.connect(front);
    pull.connect(back);
    await Promise.all([proxy.frontEnd.connected(), proxy.backEnd.connected()]);
    const large = pattern(3_000_000);
    await push.send("early");
    await until("it is there", () => proxy.frontEnd.readable);
    for (let i = 0; i < 500; i += 1) await push.send([`${i}`, "x".repeat(i)]);
    const sending = push.send(large);
    const connections = push.stats().connections;
    const running = proxy.run();
    expect(texts(await pull.receive({ timeout: 5000 }))).toEqual(["early"]);
    for (let i = 0; i < 500; i += 1) {
      expect(texts(await pull.receive({ timeout: 5000 }))).toEqual([`${i}`, "x".repeat(i)]);
    }
    const [got] = await pull.receive({ timeout: 5000 });
    expect(Buffer.compare(got as Buffer, large)).toBe(0);
    await sending;
    expect(push.stats()).toMatchObject({ connections, droppedDisconnect: 0 });
    proxy.terminate();
    await running;
  });

  test("messages that were prefetched by a receive", async () => {
    const proxy = new Proxy(new Pull(quick), new Push(quick));
    using push = new Push(quick);
    push.connect(bound(proxy.frontEnd));
    await push.sendMany(Array.from({ length: 100 }, (_, i) => [`${i}`, "rest"]));
    expect(texts(await proxy.frontEnd.receive())).toEqual(["0", "rest"]);
    using pull = new Pull(quick);
    pull.connect(bound(proxy.backEnd));
    const running = proxy.run();
    for (let i = 1; i < 100; i += 1) {
      expect(texts(await pull.receive({ timeout: 5000 }))).toEqual([`${i}`, "rest"]);
    }
    proxy.terminate();
    await running;
  });

  test("what was sent to its sockets and has no peer yet", async () => {
    const proxy = new Proxy(new Pull(quick), new Push(quick));
    using later = new Pull();
    const address = bound(later);
    later.close();
    proxy.backEnd.connect(address);
    for (let i = 0; i < 10; i += 1) await proxy.backEnd.send(`${i}`);
    bound(proxy.frontEnd);
    const running = proxy.run();
    using pull = new Pull();
    await pull.bind(address);
    for (let i = 0; i < 10; i += 1) {
      expect(texts(await pull.receive({ timeout: 5000 }))).toEqual([`${i}`]);
    }
    proxy.terminate();
    await running;
  });

  test("subscriptions on both sides", async () => {
    const proxy = new Proxy(new XSubscriber(), new XPublisher(quick));
    const front = bound(proxy.frontEnd);
    const back = bound(proxy.backEnd);
    using subscriber = new Subscriber();
    subscriber.subscribe("topic", "other");
    subscriber.connect(back);
    await proxy.backEnd.subscribed("topic");
    await proxy.backEnd.subscribed("other");
    using publisher = new Publisher(quick);
    publisher.connect(front);
    await proxy.frontEnd.connected();
    const running = proxy.run();
    await publisher.subscribed("topic");
    await publisher.subscribed("other");
    await publisher.send(["nobody's", "1"]);
    await publisher.send(["topic", "2"]);
    expect(texts(await subscriber.receive({ timeout: 5000 }))).toEqual(["topic", "2"]);
    subscriber.unsubscribe("topic");
    await publisher.send(["other", "3"]);
    expect(texts(await subscriber.receive({ timeout: 5000 }))).toEqual(["other", "3"]);
    proxy.terminate();
    await running;
  });
});

describe("flow", () => {
  test("a receiver that takes nothing stops the sender, and nothing is lost", async () => {
    const out = { ...quick, sendHighWaterMark: 10 };
    const into = { ...quick, receiveHighWaterMark: 10 };
    await using it = started(new Pull(into), new Push(out));
    using push = new Push({ ...out, sendTimeout: 200 });
    using pull = new Pull(into);
    push.connect(it.front);
    pull.connect(it.back);
    const body = "x".repeat(65_536);
    let sent = 0;
    const error = await rejection((async () => {
      for (;;) {
        await push.send([`${sent}`, body]);
        sent += 1;
      }
    })());
    expect(error.code).toBe("EAGAIN");
    expect(sent).toBeGreaterThan(30);
    for (let i = 0; i < sent; i += 1) {
      const [number] = await pull.receive({ timeout: 5000 });
      expect(String(number)).toBe(`${i}`);
    }
  });

  test("it goes on while JavaScript is busy", async () => {
    await using it = started(new Pull(quick), new Push(quick));
    const worker = new Worker(join(import.meta.dir, "children/proxy_peers.ts"));
    const done = new Promise<{ ms: number }>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    });
    worker.postMessage({ front: it.front, back: it.back, count: 20_000 });
    const before = it.proxy.statistics().front.messagesIn;
    const until = performance.now() + 1500;
    // No turn of the event loop in this time.
    while (performance.now() < until);
    expect(it.proxy.statistics().front.messagesIn).toBeGreaterThan(before + 19_999);
    expect((await done).ms).toBeLessThan(1500);
    await worker.terminate();
  }, 20_000);

  test("pause holds messages back, resume lets them go, terminate closes", async () => {
    const it = started(new Pull(quick), new Push(quick));
    using push = new Push(quick);
    using pull = new Pull(quick);
    push.connect(it.front);
    pull.connect(it.back);
    await push.send("before");
    expect(texts(await pull.receive({ timeout: 5000 }))).toEqual(["before"]);
    it.proxy.pause();
    await push.send("while it pauses");
    expect((await rejection(pull.receive({ timeout: 100 }))).code).toBe("EAGAIN");
    it.proxy.resume();
    expect(texts(await pull.receive({ timeout: 5000 }))).toEqual(["while it pauses"]);
    it.proxy.terminate();
    await it.running;
    expect(it.proxy.frontEnd.closed).toBe(true);
    expect(it.proxy.backEnd.closed).toBe(true);
    const { front, back } = it.proxy.statistics();
    expect(front).toEqual({ messagesIn: 2, bytesIn: 21, messagesOut: 0, bytesOut: 0 });
    expect(back).toEqual({ messagesIn: 0, bytesIn: 0, messagesOut: 2, bytesOut: 21 });
  });

  test("terminate in full traffic loses nothing that it has taken, with linger", async () => {
    const it = started(new Pull(), new Push({ linger: 5000 }));
    using push = new Push(quick);
    using pull = new Pull({ ...quick, receiveTimeout: 300 });
    push.connect(it.front);
    pull.connect(it.back);
    const stop = new AbortController();
    const sending = (async () => {
      for (let i = 0; !stop.signal.aborted; i += 1) {
        await push.send(`${i}`, { timeout: 100 }).catch(() => stop.abort());
      }
    })();
    for (let i = 0; i < 1000; i += 1) expect(String((await pull.receive())[0])).toBe(`${i}`);
    it.proxy.terminate();
    let next = 1000;
    const end = await rejection((async () => {
      for (;;) {
        expect(String((await pull.receive())[0])).toBe(`${next}`);
        next += 1;
      }
    })());
    expect(end.code).toBe("EAGAIN");
    await it.running;
    expect(it.proxy.statistics().back.messagesOut).toBe(next);
    stop.abort();
    await sending;
  });
});

describe("what a program does wrong", () => {
  test("sockets that cannot be joined", () => {
    expect(() => new Proxy(new Request(), new Reply())).toThrow(TypeError);
    expect(() => new Proxy({} as Socket, new Reply())).toThrow("frontEnd must be one of");
    expect(() => new Proxy(new Pull(), new Push(), new Pull())).toThrow("capture must be one of");
    for (const [front, back] of [[new Pair(), new Pair()], [new Dealer(), new Dealer()]] as const) {
      expect(() => new Proxy(front, back, front)).toThrow("capture must be another socket");
      expect(() => new Proxy(front, back, back)).toThrow("capture must be another socket");
    }
  });

  test("running it twice, using its sockets, using closed ones", async () => {
    const it = started(new Pull(quick), new Push(quick));
    expect((await rejection(it.proxy.run())).code).toBe("EBUSY");
    expect(failure(() => it.proxy.frontEnd.connect("tcp://127.0.0.1:1")).code).toBe("EBUSY");
    expect(failure(() => it.proxy.frontEnd.tryReceive()).message).toContain("proxy.terminate()");
    expect(failure(() => it.proxy.backEnd.trySend("x")).code).toBe("EBUSY");
    expect(String(await reasonOf(it.proxy.backEnd.bind("tcp://127.0.0.1:*")))).toContain("proxy");
    for (const call of [
      () => it.proxy.frontEnd.receive(),
      () => it.proxy.backEnd.send("x"),
      () => it.proxy.backEnd.sendMany(["x"]),
      () => it.proxy.frontEnd.connected(),
      () => it.proxy.frontEnd.events,
      () => {
        it.proxy.frontEnd.receiveHighWaterMark = 5;
      },
    ]) {
      expect((await rejection(Promise.try(call))).message).toStartWith("Socket is used by a proxy");
    }
    const second = new Proxy(it.proxy.frontEnd, new Push());
    expect((await rejection(second.run())).code).toBe("EBUSY");
    it.proxy.terminate();
    await it.running;
    expect((await rejection(it.proxy.run())).code).toBe("EFSM");
    expect((await rejection(new Proxy(it.proxy.frontEnd, new Push()).run())).code).toBe("EBADF");
    // Without effect.
    it.proxy.pause();
    it.proxy.terminate();
  });

  test("a receive that waits when it starts is rejected, a close does no harm", async () => {
    const proxy = new Proxy(new Pull(quick), new Push(quick));
    bound(proxy.frontEnd);
    const waiting = rejection(proxy.frontEnd.receive());
    const running = proxy.run();
    expect((await waiting).code).toBe("EAGAIN");
    proxy.frontEnd.close();
    expect(proxy.frontEnd.closed).toBe(true);
    proxy.terminate();
    await running;
  });

  test("nobody ends it: the process exits, a terminated Worker takes its own with it", async () => {
    const child = Bun.spawn([process.execPath, join(import.meta.dir, "children/proxy_forgotten.ts")], {
      stdout: "pipe",
      stderr: "pipe",
    });
    const limit = setTimeout(() => child.kill(), 10_000);
    const [output, errors] = await Promise.all([
      new Response(child.stdout).text(), new Response(child.stderr).text(),
    ]);
    expect({ output, errors, code: await child.exited })
      .toEqual({ output: "leaving\n", errors: "", code: 0 });
    clearTimeout(limit);
  }, 15_000);

  test("a hundred proxies come and go: threads and descriptors are given back", async () => {
    const count = async () => (await Array.fromAsync(new Bun.Glob("*").scan({
      cwd: "/proc/self/fd", onlyFiles: false, followSymlinks: false,
    }))).length;
    const threads = async () => (await Array.fromAsync(new Bun.Glob("*").scan({
      cwd: "/proc/self/task", onlyFiles: false,
    }))).length;
    const round = async () => {
      const it = started(new Pull(quick), new Push(quick));
      it.proxy.terminate();
      await it.running;
    };
    for (let i = 0; i < 5; i += 1) await round();
    const before = [await count(), await threads()];
    for (let i = 0; i < 100; i += 1) await round();
    const after = [await count(), await threads()];
    expect(after[0]).toBeLessThanOrEqual((before[0] as number) + 2);
    expect(after[1]).toBeLessThanOrEqual((before[1] as number) + 2);
  }, 20_000);
});
