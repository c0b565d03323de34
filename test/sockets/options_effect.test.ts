// What options do, where no test of something else shows it: routing ids, notices, handshakes.

import { describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { Dealer, Pull, Push, Request, Router, Stream } from "../../src/index.ts";
import { greeting, property, RawPeer, ready } from "../hostile/wire.ts";
import { run } from "../support/process.ts";
import { bound, event, keeper, rejection, texts, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };

describe("a new connection", () => {
  test("is announced to a Router by probeRouter", async () => {
    const router = keep(new Router());
    for (const peer of [new Dealer(), new Request(), new Router()]) {
      keep(peer).routingId = peer.constructor.name;
      peer.probeRouter = true;
      peer.connect(router.lastEndpoint ?? bound(router));
      expect(texts(await router.receive(limits))).toEqual([peer.constructor.name, ""]);
    }
  });

  test("is greeted with the helloMessage, and so is the next", async () => {
    const router = keep(new Router({ helloMessage: "welcome" }));
    const endpoint = bound(router);
    for (let i = 0; i < 2; i += 1) {
      const dealer = keep(new Dealer());
      dealer.connect(endpoint);
      expect(texts(await dealer.receive(limits))).toEqual(["welcome"]);
    }
    router.helloMessage = null;
    const last = keep(new Dealer());
    last.connect(endpoint);
    await last.connected(undefined, limits);
    expect(last.tryReceive()).toBeUndefined();
  });

  test("tells the peer of the metadata", async () => {
    const dealer = keep(new Dealer({ metadata: { "X-Tenant": "blue", "X-Zone": "é" } }));
    const endpoint = bound(dealer);
    const peer = await RawPeer.greeted(endpoint, "DEALER");
    const greeted = () => peer.received.subarray(64);
    expect(greeted().includes(property("X-Tenant", "blue"))).toBe(true);
    expect(greeted().includes(property("X-Zone", Buffer.from("é")))).toBe(true);
    const plain = await RawPeer.greeted(bound(keep(new Dealer())), "DEALER");
    expect(plain.received.includes("X-")).toBe(false);
    plain.destroy();
    peer.destroy();
  });

  test("gets the metadata that was there when it began, whatever is set meanwhile", async () => {
    const before = { "X-Long": "a".repeat(2000) };
    const dealer = keep(new Dealer({ metadata: before }));
    const peer = await RawPeer.connect(bound(dealer));
    await until("the greeting", () => peer.received.length >= 64);
    dealer.metadata = { "X-Other": "b".repeat(1000) };
    dealer.metadata = null;
    peer.write(greeting(), ready("DEALER"));
    await until("READY", () => peer.received.length > 64 + 2000);
    expect(peer.received.includes(property("X-Long", "a".repeat(2000)))).toBe(true);
    peer.destroy();
  });
});

describe("the end of a connection", () => {
  test("is received by a Router as the disconnectMessage, from who has gone", async () => {
    const router = keep(new Router({ disconnectMessage: "bye" }));
    const dealer = keep(new Dealer({ routingId: "a" }));
    dealer.connect(bound(router));
    await router.connected(undefined, limits);
    dealer.close();
    expect(texts(await router.receive(limits))).toEqual(["a", "bye"]);
  });

  test("is received by a Dealer that had connected as the hiccupMessage", async () => {
    const router = keep(new Router());
    const dealer = keep(new Dealer({ hiccupMessage: "lost" }));
    dealer.connect(bound(router));
    await dealer.connected(undefined, limits);
    router.close();
    expect(texts(await dealer.receive(limits))).toEqual(["lost"]);
  });
});

test.each([
  ["connect", [["a", ""]]],
  ["disconnect", [["a", ""]]],
  ["all", [["a", ""], ["a", ""]]],
] as const)("notifyPeers: %s tells a Router of its peers", async (which, notices) => {
  const router = keep(new Router({ notifyPeers: which, mandatory: true }));
  const dealer = keep(new Dealer({ routingId: "a" }));
  dealer.connect(bound(router));
  await router.connected(undefined, limits);
  const received: string[][] = [];
  const take = () => {
    for (let notice; (notice = router.tryReceive()); ) received.push(texts(notice));
    return received.length;
  };
  const expected = which === "disconnect" ? 0 : 1;
  await until("the notice of the connection", () => take() === expected);
  const gone = event(router, "disconnect");
  dealer.close();
  await gone;
  await until("the notice of the end", () => take() === notices.length);
  expect(received).toEqual(notices as unknown as string[][]);
});

test("mandatory: a message for nobody is an error, otherwise it is dropped and counted", async () => {
  const router = keep(new Router());
  bound(router);
  await router.send(["nobody", "text"]);
  expect(router.stats().droppedUnroutable).toBe(1);
  router.mandatory = true;
  expect((await rejection(router.send(["nobody", "text"]))).code).toBe("EHOSTUNREACH");
});

test("handover: who comes with the id of another takes its place, otherwise it is refused", async () => {
  const router = keep(new Router({ handover: false }));
  const endpoint = bound(router);
  const first = keep(new Dealer({ routingId: "a" }));
  const second = keep(new Dealer({ routingId: "a" }));
  first.connect(endpoint);
  await first.connected(undefined, limits);
  const refused = event(router, "disconnect");
  second.connect(endpoint);
  expect((await refused).reason).toBe("duplicate_routing_id");
  router.handover = true;
  await until("the second is in", () => {
    void router.send(["a", "text"]);
    return second.tryReceive() !== undefined;
  });
});

describe("notify", () => {
  const contact = async (notify: boolean) => {
    const stream = keep(new Stream({ notify }));
    const port = Number(bound(stream).split(":").pop());
    const client = connect(port, "127.0.0.1");
    client.end("bytes");
    const received: string[] = [];
    await until("the bytes and the end", () => {
      for (let message; (message = stream.tryReceive()); ) received.push(String(message[1]));
      return stream.stats().connections === 0 && received.includes("bytes");
    });
    client.destroy();
    return received;
  };

  test("tells of a connection and its end with empty bytes", async () => {
    expect(await contact(true)).toEqual(["", "bytes", ""]);
  });

  test("switched off leaves the bytes only", async () => {
    expect(await contact(false)).toEqual(["bytes"]);
  });
});

test("conflate keeps the newest message only, on either side", async () => {
  const push = keep(new Push({ conflate: true }));
  const probe = keep(new Pull());
  const endpoint = bound(probe);
  probe.unbindSync(endpoint);
  push.connect(endpoint);
  for (const text of ["old", "older", "newest"]) await push.send(text);
  probe.bindSync(endpoint);
  expect(texts(await probe.receive(limits))).toEqual(["newest"]);
  expect(push.stats().droppedConflated).toBe(2);

  const pull = keep(new Pull({ conflate: true }));
  const other = keep(new Push());
  other.connect(bound(pull));
  await other.connected(undefined, limits);
  for (let i = 0; i < 100; i += 1) await other.send(String(i));
  const got: number[] = [];
  await until("the last one", () => {
    const message = pull.tryReceive();
    if (message) got.push(Number(message[0]));
    return got.at(-1) === 99;
  });
  expect(got.length).toBeLessThan(100);
  expect(pull.stats().droppedConflated).toBe(100 - got.length);
});

test("an option that is set too late is a warning, once, and only then", async () => {
  const { stderr, exitCode } = await run(`
    using early = new Pull();
    early.backlog = 5;
    early.bindSync("tcp://127.0.0.1:*");
    early.linger = early.receiveTimeout = 5;
    console.error("so far nothing");
    early.backlog = 6;
    using late = new Push();
    late.connect("tcp://127.0.0.1:1");
    late.backlog = 7;
  `);
  expect(exitCode).toBe(0);
  const [before, after] = stderr.split("so far nothing");
  expect(before).toBe("");
  expect(after?.match(/MONOCOQUE_LATE_OPTION/g)?.length).toBe(1);
  expect(after).toContain("Pull option backlog takes effect with the next bind or connect");
});
