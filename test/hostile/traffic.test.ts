// What may come behind an honest handshake: lying sizes, floods, halves, commands. Nothing is
// allocated because a peer declared it, and nobody but that peer notices.

import { describe, expect, test } from "bun:test";
import { nativeContext } from "../../src/context.ts";
import { Pull, Reply } from "../../src/index.ts";
import { eventually } from "../interop/peer.ts";
import {
  bytes,
  COMMAND,
  command,
  frame,
  LARGE,
  MORE,
  nothingIsLeft,
  randomBytes,
  RawPeer,
  ready,
  record,
  Scene,
} from "./wire.ts";

nothingIsLeft();

const MIB = 1024 * 1024;

function liveBytes(): number {
  return nativeContext().stats().memory_live_bytes;
}

function rss(): number {
  Bun.gc(true);
  return process.memoryUsage.rss();
}

const sizes: [name: string, size: bigint][] = [
  ["2^31", 2n ** 31n],
  ["2^31+1", 2n ** 31n + 1n],
  ["2^32-1", 2n ** 32n - 1n],
  ["2^32", 2n ** 32n],
  ["2^32+1", 2n ** 32n + 1n],
  ["2^40", 2n ** 40n],
  ["2^63-1", 2n ** 63n - 1n],
  ["2^63", 2n ** 63n],
  ["2^63+1", 2n ** 63n + 1n],
  ["2^64-1", 2n ** 64n - 1n],
];

describe("a declared size", () => {
  test.each(sizes)("of %s ends the connection", async (_, size) => {
    const scene = await Scene.start();
    const memory = rss();
    for (const flags of [0, MORE, COMMAND]) {
      const peer = await scene.greeted();
      peer.write(frame("first"), frame("x", flags | LARGE, size));
      await scene.refused(peer, "frame_too_large");
      expect(scene.got.pop()).toBe("first");
    }
    await scene.proof();
    expect(rss() - memory).toBeLessThan(4 * MIB);
  });

  test("of 2^31-1, 50 times, takes no memory before the bytes come", async () => {
    const scene = await Scene.start();
    const memory = rss();
    const peers: RawPeer[] = [];
    for (let i = 0; i < 50; i += 1) {
      const peer = await scene.greeted();
      peer.write(frame("x", LARGE, 2n ** 31n - 1n));
      peers.push(peer);
    }
    await scene.proof();
    expect(rss() - memory).toBeLessThan(16 * MIB);
    for (const peer of peers) peer.destroy();
    await eventually(() => scene.pull.stats().connections === 1, "the ends");
    await scene.proof();
    expect(scene.got.filter((text) => !text.startsWith("good"))).toEqual([]);
  });

  test("above maxMessageSize ends the connection, one below does not", async () => {
    const scene = await Scene.start({ maxMessageSize: 1000 });
    const peer = await scene.greeted();
    peer.write(frame("y".repeat(1000)));
    await eventually(() => scene.got.at(-1) === "y".repeat(1000), "1000 bytes");
    scene.got.pop();
    peer.write(frame("", LARGE, 1001n));
    await scene.refused(peer, "frame_too_large");
    const second = await scene.greeted();
    second.write(frame("a", MORE), frame("y".repeat(1001)));
    await scene.refused(second, "frame_too_large");
    await scene.proof();
  });

  test("of a command beyond 32 KiB ends the connection", async () => {
    const scene = await Scene.start();
    const peer = await scene.greeted();
    peer.write(frame("", COMMAND | LARGE, 100_000n));
    await scene.refused(peer, "malformed_command");
    await scene.proof();
  });
});

describe("floods and halves", () => {
  test("a million tiny MORE frames hit the cap, in bounded memory", async () => {
    const scene = await Scene.start();
    const peer = await scene.greeted();
    const before = liveBytes();
    const memory = rss();
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, liveBytes());
    }, 1);
    const tiny = bytes(...Array.from({ length: 10_000 }, () => frame("x", MORE)));
    for (let i = 0; i < 100 && !peer.closed; i += 1) {
      peer.socket.write(tiny);
      await Bun.sleep(1);
    }
    await scene.refused(peer, "message_too_many_parts");
    clearInterval(watch);
    expect(most - before).toBeLessThan(MIB);
    expect(rss() - memory).toBeLessThan(32 * MIB);
    await scene.proof();
    expect(liveBytes()).toBeLessThan(before + 64 * 1024);
  });

  test("half a message, then death, 1,000 times: live bytes stay flat", async () => {
    const scene = await Scene.start();
    const halves = [
      bytes(frame("half", MORE)),
      bytes(frame("whole"), frame("half", MORE), frame("more", MORE), 0, 200, "cut"),
      bytes(frame(Buffer.alloc(5000), MORE), frame("", LARGE, 100_000n), Buffer.alloc(40_000)),
      bytes(frame("a", MORE), 0),
      bytes(frame(Buffer.alloc(70_000), MORE)),
    ];
    let before = 0;
    for (let round = 0; round < 20; round += 1) {
      const wave = await Promise.all(Array.from({ length: 50 }, () => scene.greeted()));
      for (const [index, peer] of wave.entries()) {
        const half = halves[(index + round) % halves.length]!;
        if (index % 3 === 0) peer.socket.end(half);
        else peer.socket.write(half, () => (index % 3 === 1 ? peer.destroy() : peer.reset()));
      }
      await eventually(() => scene.pull.stats().connections === 1, "the ends of a wave", 5000);
      if (round === 2) before = liveBytes();
    }
    expect(liveBytes()).toBeLessThanOrEqual(before + 1024);
    // Whole messages in front of a half one count; of the halves nothing is seen.
    const others = new Set(scene.got.filter((text) => !text.startsWith("good")));
    expect([...others]).toEqual(["whole"]);
    scene.got.length = 0;
    await scene.proof();
  }, 20_000);

  test("a message and the end in one go: the message arrives, the end is noticed", async () => {
    const scene = await Scene.start();
    for (let i = 0; i < 50; i += 1) {
      const peer = await scene.greeted();
      peer.socket.end(bytes(frame(`last ${i}`), frame("half", MORE)));
      await scene.refused(peer, "peer_closed");
      expect(scene.got.pop()).toBe(`last ${i}`);
    }
    await scene.proof();
  });

  test("noise of 100 seeds behind the handshake", async () => {
    const scene = await Scene.start({ maxMessageSize: 100_000 });
    const seed = Date.now() & 0x7fffffff;
    const memory = rss();
    for (let i = 0; i < 100; i += 1) {
      const peer = await scene.greeted();
      peer.socket.end(randomBytes(seed + i * 104729, 20_000));
      await peer.end().catch(() => {
        throw new Error(`seed ${seed + i * 104729} stays`);
      });
    }
    scene.got.length = 0;
    await eventually(() => scene.pull.stats().connections === 1, "the ends");
    await scene.proof();
    expect(rss() - memory).toBeLessThan(32 * MIB);
  });

  test("PINGs from a peer that never reads take no memory", async () => {
    const scene = await Scene.start();
    const peer = await scene.greeted();
    const before = liveBytes();
    peer.socket.pause();
    const pings = bytes(...Array.from({ length: 5000 }, () => command("PING", bytes(0, 0, "context"))));
    for (let i = 0; i < 100; i += 1) {
      peer.socket.write(pings);
      await Bun.sleep(1);
    }
    await scene.proof();
    expect(liveBytes() - before).toBeLessThan(256 * 1024);
    peer.destroy();
    await scene.proof();
  });
});

describe("commands and flags", () => {
  test("PONG echoes up to 16 bytes of the context", async () => {
    const scene = await Scene.start();
    const peer = await scene.greeted();
    peer.write(command("PING", bytes(0, 0, "LOL")));
    await eventually(() => peer.rest().length >= 10, "PONG");
    expect(peer.rest()).toEqual(bytes(4, 8, 4, "PONGLOL"));
    peer.write(command("PING", bytes(0xff, 0xff)), command("PING", bytes(1, 0, "z".repeat(65))));
    await eventually(() => peer.rest().length >= 10 + 7 + 23, "two more");
    expect(peer.rest().subarray(10)).toEqual(bytes(4, 5, 4, "PONG", 4, 0x15, 4, "PONG", "z".repeat(16)));
    // In the middle of a message, too.
    peer.write(frame("a", MORE), command("PING", bytes(0, 0, "mid")), frame("b"));
    await eventually(() => peer.rest().length >= 10 + 7 + 23 + 10, "the last");
    expect(peer.rest().subarray(40)).toEqual(bytes(4, 8, 4, "PONGmid"));
    await eventually(() => scene.got.at(-1) === "a|b", "the message");
    await scene.proof();
  });

  test("a PING without its TTL ends the connection", async () => {
    const scene = await Scene.start();
    const peer = await scene.greeted();
    peer.write(command("PING", bytes(0)));
    await scene.refused(peer, "malformed_command");
    await scene.proof();
  });

  test.each([
    ["an unknown command", command("WHATEVER", "data")],
    ["another READY", ready("PUB")],
    ["ERROR", command("ERROR", bytes(3, "400"))],
    ["a malformed ERROR", command("ERROR", bytes(99))],
    ["SUBSCRIBE", command("SUBSCRIBE", "topic")],
    ["PONG", command("PONG", "never asked")],
    ["30,000 bytes of a command", command("X", Buffer.alloc(30_000))],
  ])("%s behind the handshake is ignored, as libzmq does", async (_, data) => {
    const scene = await Scene.start();
    const peer = await scene.greeted();
    peer.write(frame("before"), data, frame("after", MORE), data, frame("it"));
    await eventually(() => scene.got.at(-1) === "after|it", "the messages around it");
    expect(scene.got.slice(-2)).toEqual(["before", "after|it"]);
    await scene.proof();
  });

  // libzmq reads on. What follows is not what the peer meant to send, and may look like messages.
  test.each([
    ["an empty command", frame("", COMMAND)],
    ["a command shorter than its name", frame(bytes(50, "X"), COMMAND)],
  ])("%s behind the handshake ends the connection", async (_, data) => {
    const scene = await Scene.start();
    const peer = await scene.greeted();
    peer.write(frame("before"), data, frame("after"));
    await scene.refused(peer, "malformed_command");
    expect(scene.got.pop()).toBe("before");
    await scene.proof();
  });

  test("LARGE for small frames is legal", async () => {
    const scene = await Scene.start();
    const peer = await scene.greeted();
    peer.write(frame("", LARGE), frame("small", LARGE | MORE), frame("too", LARGE));
    await eventually(() => scene.got.at(-1) === "small|too", "the messages");
    expect(scene.got.slice(-2)).toEqual(["", "small|too"]);
    await scene.proof();
  });

  test.each([0x08, 0x10, 0x20, 0x40, 0x80, 0xf8])("reserved flag bits %i", async (bits) => {
    const scene = await Scene.start();
    const peer = await scene.greeted();
    peer.write(frame("before"), frame("reserved", bits), frame("after"));
    await scene.refused(peer, "reserved_flags");
    expect(scene.got.at(-1)).toBe("before");
    scene.got.pop();
    await scene.proof();
  });
});

describe("REP and what is no request", () => {
  test("drops what has no envelope, counts it, and goes on waiting", async () => {
    await using reply = new Reply();
    await reply.bind("tcp://127.0.0.1:*");
    const events = record(reply);
    const questions: string[] = [];
    const loop = (async () => {
      for await (const question of reply) {
        questions.push(question.join("|"));
        await reply.send(question);
      }
    })();
    const peer = await RawPeer.greeted(reply.lastEndpoint!, "DEALER");
    peer.write(frame("no delimiter"));
    peer.write(frame("none", MORE), frame("here", MORE), frame("either"));
    peer.write(frame("hop", MORE), frame("", MORE), frame("question"));
    peer.write(...Array.from({ length: 3000 }, () => frame("x")));
    const good = await RawPeer.greeted(reply.lastEndpoint!, "REQ");
    good.write(frame("", MORE), frame("good", MORE), frame("two"));
    await eventually(() => good.rest().length > 0, "the answer");
    expect(good.rest()).toEqual(bytes(frame("", MORE), frame("good", MORE), frame("two")));
    await eventually(() => peer.rest().length > 0, "the other answer");
    expect(peer.rest()).toEqual(bytes(frame("hop", MORE), frame("", MORE), frame("question")));
    await eventually(() => reply.stats().droppedMalformed === 3002, "the count");
    expect(questions.sort()).toEqual(["good|two", "question"]);
    expect(events.filter((event) => event.type === "disconnect")).toEqual([]);
    reply.close();
    await loop;
  });

  test("an envelope of 2,000 hops finds its way back; endless ones are dropped or cut off", async () => {
    await using reply = new Reply();
    await reply.bind("tcp://127.0.0.1:*");
    const events = record(reply);
    const waiting = reply.receive();
    const hops = (count: number) => bytes(...Array.from({ length: count }, () => frame("h", MORE)));
    const long = await RawPeer.greeted(reply.lastEndpoint!, "DEALER");
    // 64 KiB of envelope are kept for a request, not more.
    long.write(hops(60_000), frame("", MORE), frame("too far"));
    await eventually(() => reply.stats().droppedMalformed === 1, "the count");
    long.write(hops(2000), frame("", MORE), frame("far"));
    expect(String(await waiting)).toBe("far");
    await reply.send("back");
    const back = bytes(hops(2000), frame("", MORE), frame("back"));
    await eventually(() => long.rest().length === back.length, "the way back");
    expect(long.rest()).toEqual(back);
    const endless = await RawPeer.greeted(reply.lastEndpoint!, "DEALER");
    endless.write(hops(120_000));
    await endless.end();
    await eventually(() => events.some((event) => event.reason === "message_too_many_parts"), "why");
  });

  test("who leaves before the answer costs nobody else anything", async () => {
    await using reply = new Reply();
    await reply.bind("tcp://127.0.0.1:*");
    for (let i = 0; i < 100; i += 1) {
      const peer = await RawPeer.greeted(reply.lastEndpoint!, "REQ");
      peer.write(frame("", MORE), frame(`question ${i}`));
      expect(String(await reply.receive({ timeout: 5000 }))).toBe(`question ${i}`);
      if (i % 2 === 0) {
        peer.destroy();
        await eventually(() => reply.stats().connections === 0, "the end");
        await reply.send("nobody");
        continue;
      }
      await reply.send("somebody");
      await eventually(() => peer.rest().length > 0, "the answer");
      peer.destroy();
      await eventually(() => reply.stats().connections === 0, "the end");
    }
  });
});

test("a slow reader's memory is bounded by its high-water mark", async () => {
  await using pull = new Pull({ receiveHighWaterMark: 10 });
  await pull.bind("tcp://127.0.0.1:*");
  const peer = await RawPeer.greeted(pull.lastEndpoint!, "PUSH");
  const body = Buffer.alloc(10_000, 1);
  for (let i = 0; i < 2000; i += 1) peer.socket.write(frame(body));
  await Bun.sleep(200);
  expect(liveBytes()).toBeLessThan(4 * 64 * 1024 + 10 * 10_000);
  for (let i = 0; i < 2000; i += 1) {
    const [part] = await pull.receive({ timeout: 5000 });
    expect(part!.length).toBe(10_000);
  }
});
