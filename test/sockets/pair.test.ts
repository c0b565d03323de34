// Pair: one peer, both ways.

import { describe, expect, test } from "bun:test";
import { Pair } from "../../src/index.ts";
import { bound, event, keeper, rejection, texts, transports, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };

describe.each(transports)("a Pair over %s", (transport) => {
  test("sends and receives at the same time, in order", async () => {
    const [a, b] = [keep(new Pair()), keep(new Pair())];
    b.connect(bound(a, transport));
    const count = 20_000;
    const talk = async (from: Pair, to: Pair) => {
      const sending = from.sendMany(Array.from({ length: count }, (_, i) => [`${i}`, "x"]));
      for (let i = 0; i < count; i += 1) {
        const [number] = await to.receive(limits);
        if (String(number) !== `${i}`) expect(String(number)).toBe(`${i}`);
      }
      await sending;
    };
    await Promise.all([talk(a, b), talk(b, a)]);
  });

  test("refuses a second peer with an event, and takes it when the first has left", async () => {
    const server = keep(new Pair());
    const endpoint = bound(server, transport);
    const first = keep(new Pair());
    first.connect(endpoint);
    await server.connected(undefined, limits);
    const second = keep(new Pair({ reconnectInterval: 10 }));
    const refused = event(server, "handshake:error:other");
    second.connect(endpoint);
    expect((await refused).reason).toBe("peer_refused");
    await server.send("for the first");
    expect(texts(await first.receive(limits))).toEqual(["for the first"]);
    await first.send("last words");
    await until("they have arrived", () => server.readable);
    first.close();
    await second.send("here");
    expect(texts(await server.receive(limits))).toEqual(["last words"]);
    expect(texts(await server.receive(limits))).toEqual(["here"]);
    await server.send("for the second");
    expect(texts(await second.receive(limits))).toEqual(["for the second"]);
    expect(server.stats().peersRefused).toBeGreaterThan(0);
  });
});

test("without a peer a Pair cannot send: EAGAIN when the time is over", async () => {
  const pair = keep(new Pair());
  bound(pair);
  expect(pair.writable).toBe(false);
  expect(pair.trySend("x")).toBe(false);
  expect((await rejection(pair.send("x", { timeout: 20 }))).code).toBe("EAGAIN");
});

test("a Pair whose peer does not read waits at its mark, and goes on with it", async () => {
  const sender = keep(new Pair({ sendHighWaterMark: 10 }));
  const reader = keep(new Pair({ receiveHighWaterMark: 10 }));
  sender.connect(bound(reader));
  const body = Buffer.alloc(100_000);
  let sent = 0;
  await sender.connected(undefined, limits);
  // The kernel takes a little more now and then.
  const full = rejection((async () => {
    for (;; sent += 1) await sender.send(body, { timeout: 50 });
  })());
  expect((await full).code).toBe("EAGAIN");
  const waiting = sender.send("last");
  for (let i = 0; i < sent; i += 1) {
    expect((await reader.receive(limits))[0]?.length).toBe(body.length);
  }
  await waiting;
  expect(texts(await reader.receive(limits))).toEqual(["last"]);
});
