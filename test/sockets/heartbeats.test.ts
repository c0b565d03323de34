// Who is there, and who only looks like it.

import { afterEach, describe, expect, test } from "bun:test";
import { Dealer, Pull, Push, Router } from "../../src/index.ts";
import { bytes, COMMAND, command, frame, RawPeer } from "../hostile/wire.ts";
import { eventually } from "../interop/peer.ts";
import { bound, event, keeper, texts, transports, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };
const raws: RawPeer[] = [];
afterEach(() => {
  for (const raw of raws.splice(0)) raw.destroy();
});

async function greeted(endpoint: string, type: string): Promise<RawPeer> {
  const peer = await RawPeer.greeted(endpoint, type);
  raws.push(peer);
  return peer;
}

/** PINGs among the frames of a peer that got nothing but short commands. */
function pings(peer: RawPeer): Buffer[] {
  const found: Buffer[] = [];
  const rest = peer.rest();
  for (let at = 0; at + 2 <= rest.length; at += 2 + rest[at + 1]!) {
    const body = rest.subarray(at + 2, at + 2 + rest[at + 1]!);
    expect(rest[at]).toBe(COMMAND);
    if (body.toString("latin1", 1, 5) === "PING") found.push(body);
  }
  return found;
}

describe("test_heartbeats", () => {
  test.each(transports)("a peer that answers nothing is taken for dead over %s", async (transport) => {
    const router = keep(new Router({ heartbeatInterval: 50 }));
    const ended = event(router, "disconnect");
    const peer = await greeted(bound(router, transport), "DEALER");
    expect((await ended).reason).toBe("heartbeat_timeout");
    expect(router.stats().heartbeatsFailed).toBe(1);
    await peer.end();
    expect(pings(peer).length).toBeGreaterThanOrEqual(1);
  });

  test("heartbeatTimeout is what a silent peer has, however many PINGs follow", async () => {
    const router = keep(new Router({ heartbeatInterval: 20, heartbeatTimeout: 200 }));
    const ended = event(router, "disconnect");
    const begin = performance.now();
    const peer = await greeted(bound(router), "DEALER");
    expect((await ended).reason).toBe("heartbeat_timeout");
    expect(performance.now() - begin).toBeGreaterThanOrEqual(200);
    expect(pings(peer).length).toBeGreaterThanOrEqual(5);
  });

  test("heartbeatTimeToLive is told to the peer, which acts on it", async () => {
    // The next PING comes later than the time to live: the test of libzmq.
    const dealer = keep(
      new Dealer({ heartbeatInterval: 700, heartbeatTimeToLive: 100, reconnectInterval: 10 }),
    );
    const router = keep(new Router());
    const ended = event(router, "disconnect");
    dealer.connect(bound(router));
    expect((await ended).reason).toBe("heartbeat_timeout");
  });

  test("a time to live of more than libzmq can count is cut to 655 tenths", async () => {
    const router = keep(new Router({ heartbeatInterval: 10, heartbeatTimeToLive: 6_553_599 }));
    const peer = await greeted(bound(router), "DEALER");
    await eventually(() => pings(peer).length > 0, "a PING");
    expect(pings(peer)[0]!.readUInt16BE(5)).toBe(655);
    expect(pings(peer)[0]!.length).toBeLessThanOrEqual(7 + 16);
  });

  test.each(transports)("heartbeats of both ends keep an idle link over %s", async (transport) => {
    const options = { heartbeatInterval: 20, heartbeatTimeout: 1000, heartbeatTimeToLive: 1000 };
    const router = keep(new Router(options));
    const dealer = keep(new Dealer(options));
    dealer.connect(bound(router, transport));
    await dealer.connected(undefined, limits);
    const known = () =>
      [router, dealer].every((it) => it.peers()[0]?.roundTripTime !== undefined);
    await until("both know their round trip", known);
    for (const socket of [router, dealer]) {
      expect(socket.peers()[0]!.roundTripTime).toBeGreaterThan(0);
      expect(socket.peers()[0]!.roundTripTime).toBeLessThan(1000);
    }
    await dealer.send("still here");
    expect(texts(await router.receive(limits)).at(-1)).toBe("still here");
    expect(router.stats()).toMatchObject({ heartbeatsFailed: 0, connections: 1 });
  });
});

describe("a slow reader with heartbeats and a high-water mark of 1", () => {
  const beat = { heartbeatInterval: 50, heartbeatTimeout: 150, heartbeatTimeToLive: 200 };

  test.each([
    ["tcp", "the reader's", {}, beat],
    ["tcp", "the sender's", beat, {}],
    ["tcp", "both ends'", beat, beat],
    ["ipc", "the sender's", beat, {}],
    ["ipc", "both ends'", beat, beat],
  ] as const)("loses nothing and keeps its link over %s, heartbeats %s", async (...row) => {
    const [transport, , sender, reader] = row;
    const push = keep(new Push({ ...sender, sendHighWaterMark: 1 }));
    const pull = keep(new Pull({ ...reader, receiveHighWaterMark: 1 }));
    push.connect(bound(pull, transport));
    const body = Buffer.alloc(20_000);
    // Let it get into the beat before it gets stuck.
    await push.connected(undefined, limits);
    if ("heartbeatInterval" in sender) {
      await until("a PING", () => push.peers()[0]?.roundTripTime !== undefined);
    }
    const sending = (async () => {
      for (let i = 0; i < 400; i += 1) {
        body.writeUInt32LE(i);
        await push.send(body, limits);
      }
    })();
    for (let i = 0; i < 400; i += 1) {
      if (i === 3 || i === 200) await Bun.sleep(600);
      expect((await pull.receive(limits))[0]?.readUInt32LE()).toBe(i);
    }
    await sending;
    for (const socket of [push, pull]) {
      expect(socket.stats()).toMatchObject({ heartbeatsFailed: 0, droppedDisconnect: 0 });
    }
  });

  test("a peer that pings gets PONGs while nobody reads what it sent", async () => {
    const pull = keep(new Pull({ receiveHighWaterMark: 1 }));
    const peer = await greeted(bound(pull), "PUSH");
    peer.write(command("PING", bytes(0, 0)));
    await eventually(() => peer.rest().length === 7, "the answer to a PING that was read");
    peer.write(frame("one"));
    await until("it is there", () => pull.readable);
    peer.write(frame("two"), command("PING", bytes(0, 0)));
    await eventually(() => peer.rest().length > 7, "a PONG");
    expect(peer.rest().subarray(7, 14)).toEqual(bytes(4, 5, 4, "PONG"));
    expect(texts(await pull.receive(limits))).toEqual(["one"]);
    expect(texts(await pull.receive(limits))).toEqual(["two"]);
  });
});

test.each(["tcp", "ipc"] as const)("a sender with heartbeats that closes over %s loses nothing at a stopped reader", async (transport) => {
  const beat = { heartbeatInterval: 20, heartbeatTimeout: 2000 };
  const pull = keep(new Pull({ ...beat, receiveHighWaterMark: 1, receiveBufferSize: 8192 }));
  const push = new Push({ ...beat, linger: 5000 });
  push.connect(bound(pull, transport));
  await until("a PING", () => push.peers()[0]?.roundTripTime !== undefined);
  for (let i = 0; i < 300; i += 1) await push.send([`${i}`, Buffer.alloc(1000)]);
  await until("the first is there", () => pull.readable);
  push.close();
  await Bun.sleep(200);
  for (let i = 0; i < 300; i += 1) {
    expect((await pull.receive(limits))[0]?.toString()).toBe(`${i}`);
  }
  await until("the end is seen behind them", () => pull.stats().connections === 0);
});

describe("peers()", () => {
  test("tells of each connection and its queues", async () => {
    const pull = keep(new Pull({ receiveHighWaterMark: 2 }));
    const endpoint = bound(pull);
    const push = keep(new Push());
    expect(push.peers()).toEqual([]);
    push.connect("tcp://127.0.0.1:1");
    push.connect(endpoint);
    await push.connected(endpoint, limits);
    for (let i = 0; i < 3; i += 1) push.trySend("12345");
    const [absent, present] = push.peers();
    expect(absent).toMatchObject({ address: "tcp://127.0.0.1:1", connected: false });
    expect(present).toMatchObject({ address: endpoint, connected: true, roundTripTime: undefined });
    expect(absent!.sendQueue).toBeGreaterThan(0);
    expect(absent!.sendQueueBytes).toBe(absent!.sendQueue * 7);
    await until("it has arrived", () => (pull.peers()[0]?.receiveQueue ?? 0) > 0);
    expect(pull.peers()[0]).toMatchObject({ address: endpoint, connected: true, sendQueue: 0 });
    expect(pull.peers()[0]!.connection).toBeGreaterThan(0);
    push.close();
    expect(push.peers()).toEqual([]);
  });

  test("lists all of a hundred", async () => {
    const pull = keep(new Pull());
    const endpoint = bound(pull);
    const pushes = Array.from({ length: 100 }, () => keep(new Push()));
    for (const push of pushes) push.connect(endpoint);
    await until("all are there", () => pull.stats().connections === 100);
    const connections = new Set(pull.peers().map(({ connection }) => connection));
    expect(connections.size).toBe(100);
  });
});
