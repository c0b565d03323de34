// Limits of what peers may take. Whoever goes beyond one loses its own connection, with the reason
// told and counted; a good peer on the same socket notices nothing.

import { describe, expect, test } from "bun:test";
import { nativeContext } from "../../src/context.ts";
import { context, type Event, Pull, Push } from "../../src/index.ts";
import { eventually } from "../interop/peer.ts";
import { frame, greeting, MORE, nothingIsLeft, type RawPeer, Scene } from "./wire.ts";

nothingIsLeft();

describe("handshakesMax", () => {
  test("strangers that say nothing give way to newer ones, and every good peer gets in", async () => {
    const scene = await Scene.start({ handshakesMax: 10 });
    for (let i = 0; i < 100; i += 1) {
      await scene.attack();
      if (i % 10 !== 0) continue;
      const good = new Push({ linger: 0 });
      good.connect(scene.endpoint);
      await good.connected(undefined, { timeout: 2000 });
      good.close();
    }
    const stats = () => scene.pull.stats();
    await eventually(() => stats().handshakesDropped >= 90, "the end of the oldest", 3000);
    expect(stats().handshakesDropped).toBeLessThanOrEqual(100);
    const dropped = scene.events.filter((event) => event.reason === "too_many_handshakes");
    // Each is a failed handshake and a connection that ended.
    expect(dropped.length).toBe(stats().handshakesDropped * 2);
    await scene.proof();
  });

  test("0 lets all of them wait, and by default there may be 1,000", async () => {
    const scene = await Scene.start({ handshakesMax: 0 });
    expect(new Pull().handshakesMax).toBe(1000);
    const strangers: RawPeer[] = [];
    for (let i = 0; i < 30; i += 1) strangers.push(await scene.attack());
    await scene.proof();
    expect(strangers.some((peer) => peer.closed)).toBe(false);
    expect(scene.pull.stats().handshakesDropped).toBe(0);
    scene.pull.handshakesMax = 5;
    await scene.attack();
    await eventually(() => strangers.filter((peer) => peer.closed).length >= 26, "the others' end");
  });
});

describe("connectionsMax", () => {
  test("lets as many in as it says; the next one waits, and gets in when one has left", async () => {
    const pull = new Pull({ connectionsMax: 2 });
    const told: Event[] = [];
    pull.events.on("accept:error", (event) => told.push(event));
    await pull.bind("tcp://127.0.0.1:*");
    const pushes = [0, 1, 2].map(() => new Push({ linger: 0 }));
    for (const push of pushes.slice(0, 2)) {
      push.connect(pull.lastEndpoint!);
      await push.connected(undefined, { timeout: 2000 });
    }
    await eventually(() => told.length > 0, "the event");
    expect(told[0]).toMatchObject({ reason: "too_many_connections" });
    const { error } = told[0] as unknown as { error: Error };
    expect(error.message).toContain("connectionsMax");
    pushes[2]!.connect(pull.lastEndpoint!);
    await expect(pushes[2]!.connected(undefined, { timeout: 200 })).rejects.toThrow();
    expect(pull.stats()).toMatchObject({ connections: 2, acceptsPaused: 1 });
    pushes[0]!.close();
    await pushes[2]!.connected(undefined, { timeout: 2000 });
    await pushes[2]!.send("my turn");
    expect(String(await pull.receive())).toBe("my turn");
    for (const push of pushes) push.close();
    pull.close();
  });
});

describe("a message that is too much", () => {
  test.each([
    ["messagePartsMax", { messagePartsMax: 3 }, [1, 1, 1], [1, 1, 1, 1], "message_too_many_parts"],
    ["messageBytesMax", { messageBytesMax: 1000 }, [500, 500], [500, 400, 101], "message_too_large"],
  ] as const)("%s ends the connection of who sends more", async (_, options, fits, over, reason) => {
    const scene = await Scene.start(options);
    const peer = await scene.greeted();
    const frames = (sizes: readonly number[]) =>
      sizes.map((size, i) => frame(Buffer.alloc(size, "x"), i + 1 < sizes.length ? MORE : 0));
    const before = scene.got.length;
    peer.write(...frames(fits));
    await eventually(() => scene.got.length > before, "what is allowed");
    peer.write(...frames(over));
    await scene.refused(peer, reason);
    expect(scene.got.length).toBe(before + 1);
    expect(scene.pull.stats().limitsExceeded).toBe(1);
    await scene.proof();
  });
});

describe("context.memoryLimit", () => {
  const whole = context.memoryLimit;

  test("is 4 GiB, and wrong values are refused", () => {
    expect(whole).toBe(4 * 2 ** 30);
    expect(context.stats().thread.memoryLimitBytes).toBe(whole);
    for (const wrong of [0, -1, 1000, 1.5, 2 ** 60]) {
      expect(() => {
        context.memoryLimit = wrong;
      }).toThrow("memoryLimit");
    }
    expect(context.memoryLimit).toBe(whole);
  });

  test("a queue that grows to it fails the send with ENOMEM, and it works again when it was read", async () => {
    context.memoryLimit = 8 * 2 ** 20;
    try {
      const push = new Push({ sendHighWaterMark: 0, linger: 0 });
      push.connect("tcp://127.0.0.1:9");
      const part = Buffer.alloc(100_000);
      let failure: (Error & { code?: string }) | undefined;
      for (let i = 0; i < 200 && failure === undefined; i += 1) {
        await push.send(part).catch((error) => {
          failure = error;
        });
      }
      const { thread } = context.stats();
      expect({ failure, limit: thread.memoryLimitBytes }).toMatchObject({
        failure: { code: "ENOMEM" },
        limit: 8 * 2 ** 20,
      });
      expect(context.stats().thread.memoryMappedBytes).toBeLessThanOrEqual(8 * 2 ** 20);
      push.close();
      const scene = await Scene.start();
      await scene.close();
    } finally {
      context.memoryLimit = whole;
    }
  });

  test("what is declared takes nothing, and large messages on their way count: one peer ends", async () => {
    context.memoryLimit = 40 * 2 ** 20;
    try {
      const scene = await Scene.start();
      const peers = [await scene.greeted(), await scene.greeted(), await scene.greeted()];
      // Each gets 16 MiB at first, and the third finds no room.
      for (const peer of peers) peer.write(frame("begins", 0, 30n * 2n ** 20n));
      await eventually(() => peers.some((peer) => peer.closed), "the end of one of them", 3000);
      await scene.proof();
      expect(peers.filter((peer) => peer.closed).length).toBe(1);
      expect(scene.pull.stats().memoryFailures).toBe(1);
      expect(scene.events.some((event) => event.reason === "out_of_memory")).toBe(true);
      for (const peer of peers) peer.destroy();
      await scene.close();
    } finally {
      context.memoryLimit = whole;
    }
  });
});

test("2^40 bytes in a header move no memory: the process would end", async () => {
  const scene = await Scene.start();
  const mapped = () => nativeContext().stats().memory_mapped_bytes;
  const [before, buffers] = [mapped(), nativeContext().lent.size];
  for (const size of [2n ** 40n, 2n ** 31n, 2n ** 63n]) {
    const peer = await scene.greeted();
    peer.write(frame("begins", 0, size));
    await scene.refused(peer, "frame_too_large");
  }
  expect(mapped() - before).toBeLessThan(300_000);
  expect(nativeContext().lent.size).toBe(buffers);
  await scene.proof();
});

test("1,000 silent and 200 garbage connections while a good client connects: it succeeds every time", async () => {
  const scene = await Scene.start();
  for (let i = 0; i < 1200; i += 1) {
    const peer = await scene.attack();
    if (i % 6 === 0) peer.write(Buffer.from("GET / HTTP/1.1\r\n\r\n"));
    if (i % 6 === 1) peer.write(greeting().subarray(0, i % 60));
    if (i % 100 !== 99) continue;
    const good = new Push({ linger: 0, reconnectInterval: -1 });
    good.connect(scene.endpoint);
    await good.connected(undefined, { timeout: 2000 });
    good.close();
  }
  await scene.proof();
}, 20_000);
