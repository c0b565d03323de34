// Router over real sockets: a hundred clients, names that are taken over or refused, waiting for
// one peer. What peers made of bytes do to it is in zig/sim/router_test.zig and test/hostile/.

import { describe, expect, test } from "bun:test";
import { nativeContext } from "../../src/context.ts";
import { Dealer, Request, Router } from "../../src/index.ts";
import { descriptors } from "../interop/peer.ts";
import {
  bound,
  event,
  expectSame,
  failure,
  keeper,
  pattern,
  rejection,
  texts,
  transports,
  until,
} from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };

/** A Dealer by this name that does not come back when it is refused. */
function once(endpoint: string, routingId: string): Dealer {
  const dealer = keep(new Dealer({ routingId, reconnectInterval: -1 }));
  dealer.connect(endpoint);
  return dealer;
}

describe.each(transports)("a Router with a hundred clients over %s", (transport) => {
  test("answers each of them, every message to its sender and in order", async () => {
    const router = keep(new Router({ mandatory: true }));
    const endpoint = bound(router, transport);
    const serving = (async () => {
      for await (const message of router) await router.send(message);
    })();
    const rounds = 50;
    const clients = Array.from({ length: 100 }, async (_, client) => {
      const dealer = keep(new Dealer());
      dealer.connect(endpoint);
      await dealer.sendMany(Array.from({ length: rounds }, (_, i) => [`${client}`, "", `${i}`]));
      for (let i = 0; i < rounds; i += 1) {
        const answer = texts(await dealer.receive(limits));
        if (answer.join() !== `${client},,${i}`) expect(answer).toEqual([`${client}`, "", `${i}`]);
      }
    });
    await Promise.all(clients);
    router.close();
    await serving;
  });
});

test("parts of all sizes come behind the id unchanged, in batches and one by one", async () => {
  const router = keep(new Router());
  const dealer = keep(new Dealer({ routingId: "name" }));
  dealer.connect(bound(router));
  const bodies = [0, 1, 255, 256, 511, 512, 40_000, 1_000_000].map((size) => pattern(size, size));
  for (let round = 0; round < 2; round += 1) {
    await dealer.send(bodies);
    const [id, ...parts] = await router.receive(limits);
    expect(String(id)).toBe("name");
    for (const [i, body] of bodies.entries()) expectSame(parts[i], body);
    await dealer.sendMany(bodies);
    let next = 0;
    for await (const batch of router.batches({ borrow: round === 1 })) {
      for (const [from, part] of batch) {
        expect(String(from)).toBe("name");
        expectSame(part, bodies[next] as Buffer);
        next += 1;
      }
      if (next === bodies.length) break;
    }
    await router.send(["name", ...bodies]);
    const back = await dealer.receive(limits);
    for (const [i, body] of bodies.entries()) expectSame(back[i], body);
  }
});

describe("a message for somebody who is not there", () => {
  test("is dropped and counted, also in the middle of a batch", async () => {
    const router = keep(new Router());
    const dealer = keep(new Dealer({ routingId: "there" }));
    dealer.connect(bound(router));
    await router.connected(undefined, limits);
    const ids = ["there", "gone", "there", "gone"];
    await router.sendMany(ids.map((id, i) => [id, `${i + 1}`]));
    expect(texts(await dealer.receive(limits))).toEqual(["1"]);
    expect(texts(await dealer.receive(limits))).toEqual(["3"]);
    expect(router.stats().droppedUnroutable).toBe(2);
  });

  test("is refused at once with mandatory, also when there is time to wait", async () => {
    const router = keep(new Router({ mandatory: true, sendTimeout: 60_000 }));
    bound(router);
    const started = performance.now();
    for (const call of [
      () => router.send(["nobody", "x"]),
      () => router.sendMany([["nobody", "x"]]),
      async () => router.sendSync(["nobody", "x"]),
      async () => router.trySend(["nobody", "x"]),
    ]) {
      expect((await rejection(call())).code).toBe("EHOSTUNREACH");
    }
    expect(performance.now() - started).toBeLessThan(1000);
  });

  test("an id alone is no message: EINVAL says what is missing", async () => {
    const router = keep(new Router());
    bound(router);
    const error = await rejection(router.send("lonely"));
    expect([error.code, error.message]).toEqual([
      "EINVAL",
      expect.stringContaining("send [routingId, ...parts]"),
    ]);
    // Nothing of it is left behind.
    await router.send(["nobody", "x"]);
    expect(router.stats().droppedUnroutable).toBe(1);
  });
});

describe("with mandatory, a full peer", () => {
  test("is waited for without turning in circles, and by nobody else's room", async () => {
    const router = keep(new Router({ mandatory: true, sendHighWaterMark: 2 }));
    const endpoint = bound(router);
    const slow = keep(new Dealer({ routingId: "slow", receiveHighWaterMark: 1 }));
    const quick = keep(new Dealer({ routingId: "quick" }));
    for (const dealer of [slow, quick]) dealer.connect(endpoint);
    await until("both are known", () => Boolean(router.peer("slow") && router.peer("quick")));
    const body = Buffer.alloc(200_000);
    let sent = 0;
    while (router.trySend(["slow", body])) sent += 1;
    const waiting = router.send(["slow", "last"], limits);
    let done = false;
    void waiting.then(() => {
      done = true;
    });
    // What the kernel still moves between the two has been moved.
    await Bun.sleep(50);
    const ticks = () => {
      const { ticks } = nativeContext().stats();
      return ticks;
    };
    const before = ticks();
    await Bun.sleep(200);
    expect(ticks() - before).toBeLessThan(20);
    expect(done).toBe(false);
    for (let i = 0; i < sent; i += 1) await slow.receive(limits);
    await waiting;
    expect(texts(await slow.receive(limits))).toEqual(["last"]);
    await router.send(["quick", "here"]);
    expect(texts(await quick.receive(limits))).toEqual(["here"]);
  });

  test("that leaves ends the wait: EHOSTUNREACH", async () => {
    const router = keep(new Router({ mandatory: true, sendHighWaterMark: 1 }));
    const dealer = keep(new Dealer({ routingId: "x", receiveHighWaterMark: 1 }));
    dealer.connect(bound(router));
    await router.connected(undefined, limits);
    const body = Buffer.alloc(200_000);
    while (router.trySend(["x", body]));
    const waiting = rejection(router.send(["x", "y"], limits));
    dealer.close();
    expect((await waiting).code).toBe("EHOSTUNREACH");
  });
});

describe("two peers with one id", () => {
  test("the second is refused with an event, and gets in when the first leaves", async () => {
    const router = keep(new Router({ mandatory: true }));
    const endpoint = bound(router);
    const first = keep(new Dealer({ routingId: "twin" }));
    first.connect(endpoint);
    await router.connected(undefined, limits);
    const second = keep(new Dealer({ routingId: "twin", reconnectInterval: 10 }));
    const refused = event(router, "handshake:error:other");
    second.connect(endpoint);
    expect((await refused).reason).toBe("duplicate_routing_id");
    await router.send(["twin", "for the first"]);
    expect(texts(await first.receive(limits))).toEqual(["for the first"]);
    first.close();
    await second.send("here");
    expect(texts(await router.receive(limits))).toEqual(["twin", "here"]);
    await router.send(["twin", "for the second"]);
    expect(texts(await second.receive(limits))).toEqual(["for the second"]);
  });

  test("500 handovers in a row: descriptors stay where they were", async () => {
    const router = keep(new Router({ handover: true, mandatory: true }));
    const endpoint = bound(router);
    let holder = once(endpoint, "name");
    await holder.send("0");
    expect(texts(await router.receive(limits))).toEqual(["name", "0"]);
    const before = descriptors();
    for (let i = 1; i <= 500; i += 1) {
      const next = new Dealer({ routingId: "name", reconnectInterval: -1, linger: 0 });
      next.connect(endpoint);
      await next.send(`${i}`);
      expect(texts(await router.receive(limits))).toEqual(["name", `${i}`]);
      await router.send(["name", `${i}`]);
      expect(texts(await next.receive(limits))).toEqual([`${i}`]);
      holder.close();
      holder = next;
    }
    await until("one is left", () => router.stats().connections === 1);
    expect(descriptors()).toBeLessThanOrEqual(before + 2);
    holder.close();
  });

  test("two clients that both come back: as many handovers as they connect, no storm", async () => {
    const router = keep(new Router({ handover: true }));
    const endpoint = bound(router);
    let handovers = 0;
    router.events.on("disconnect", ({ reason }) => {
      if (reason === "handed_over") handovers += 1;
    });
    const clients = [0, 1].map(() => {
      const dealer = keep(new Dealer({ routingId: "twin", reconnectInterval: 100 }));
      dealer.connect(endpoint);
      return dealer;
    });
    const started = performance.now();
    await until("it goes to and fro", () => handovers >= 3);
    // Each waits 100 to 199 ms before it comes again.
    expect(performance.now() - started).toBeGreaterThan(100);
    expect(router.stats().connections).toBeLessThanOrEqual(2);
    for (const dealer of clients) dealer.close();
  });
});

test("a client that comes back under its name is answered, its old connection is not", async () => {
  const router = keep(new Router({ mandatory: true }));
  const endpoint = bound(router);
  for (let i = 0; i < 20; i += 1) {
    const client = new Request({ routingId: "client", linger: 0, reconnectInterval: 10 });
    client.connect(endpoint);
    await client.send(`${i}`);
    expect(texts(await router.receive(limits))).toEqual(["client", "", `${i}`]);
    await router.send(["client", "", `answer ${i}`]);
    expect(texts(await client.receive(limits))).toEqual([`answer ${i}`]);
    client.close();
  }
});

test("an id that connect was given cannot be given twice, and is free after disconnect", () => {
  const router = keep(new Router());
  router.connect("tcp://127.0.0.1:1", { routingId: "a" });
  const error = failure(() => router.connect("tcp://127.0.0.1:2", { routingId: "a" }));
  expect(error.message).toMatch(/^Routing id already in use: tcp:\/\/127\.0\.0\.1:2\. Another/);
  expect(error.code).toBe("EADDRINUSE");
  router.disconnect("tcp://127.0.0.1:1");
  router.connect("tcp://127.0.0.1:2", { routingId: "a" });
});
