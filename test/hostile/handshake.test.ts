// Everything that may come instead of a handshake. Each time only that connection ends, with the
// reason told; a good peer on the same socket and a loop that waits for messages notice nothing.

import { describe, expect, test } from "bun:test";
import {
  bytes,
  COMMAND,
  command,
  frame,
  greeting,
  nothingIsLeft,
  property,
  randomBytes,
  type RawPeer,
  ready,
  Scene,
  u32,
} from "./wire.ts";

nothingIsLeft();

const protocol = "handshake:error:protocol";
const other = "handshake:error:other";

const garbage: [name: string, data: Uint8Array, reason: string][] = [
  ["HTTP", bytes("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), "not_zmtp"],
  ["a TLS hello", bytes(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, randomBytes(3, 500)), "not_zmtp"],
  ["telnet", bytes("hello?\r\n"), "not_zmtp"],
  ["one letter", bytes("G"), "not_zmtp"],
  ["zeros", Buffer.alloc(256), "not_zmtp"],
  ["0xff", Buffer.alloc(256, 0xff), "mechanism_mismatch"],
  ["a mebibyte of noise", bytes(0, randomBytes(9, 1 << 20)), "not_zmtp"],
  ["ZMTP 1.0", bytes(1, 0), "not_zmtp"],
  ["ZMTP 1.0 with an identity", bytes(4, 0, "who"), "not_zmtp"],
  ["ZMTP 1.0 that knows versions", bytes(greeting().subarray(0, 10), 0, 8), "version_too_old"],
  ["ZMTP 2.0", bytes(greeting().subarray(0, 10), 1, 8, 0, 0), "version_too_old"],
  ["version 2", greeting("NULL", 2, 0), "version_too_old"],
  ["PLAIN", greeting("PLAIN"), "mechanism_mismatch"],
  ["CURVE", greeting("CURVE"), "mechanism_mismatch"],
  ["a mechanism in lower case", greeting("null"), "mechanism_mismatch"],
  ["no mechanism", greeting(""), "mechanism_mismatch"],
];

const type = property("Socket-Type", "PUSH");
const commands: [name: string, data: Uint8Array, reason: string][] = [
  ["the type PUB", ready("PUB"), "socket_type_mismatch"],
  ["the type PULL", ready("PULL"), "socket_type_mismatch"],
  ["the type push", ready("push"), "socket_type_mismatch"],
  ["an unknown type", ready("XYZ"), "socket_type_mismatch"],
  ["an empty type", ready(""), "socket_type_mismatch"],
  ["a type of 64 KiB", ready("P".repeat(30_000)), "socket_type_mismatch"],
  ["an identity of 256 bytes", ready("PUSH", property("Identity", Buffer.alloc(256, 1))), "identity_too_long"],
  ["an identity of 300 bytes", ready("PUSH", property("Identity", Buffer.alloc(300, 1))), "identity_too_long"],
  ["an identity that begins with 0", ready("PUSH", property("Identity", bytes(0, "me"))), "identity_reserved"],
  ["a message first", frame("hello"), "unexpected_command"],
  ["PING first", command("PING", bytes(0, 0)), "unexpected_command"],
  ["SUBSCRIBE first", command("SUBSCRIBE", "A"), "unexpected_command"],
  ["HELLO of PLAIN", command("HELLO", bytes(0, 0)), "unexpected_command"],
  ["an unknown command", command("WHATEVER", "data"), "unexpected_command"],
  ["an empty command", frame("", COMMAND), "handshake_malformed_command"],
  ["a command that is shorter than its name", frame(bytes(9, "READY"), COMMAND), "handshake_malformed_command"],
  ["a malformed ERROR", command("ERROR", bytes(9, "400")), "malformed_error"],
  ["a property without a name", command("READY", bytes(0, u32(0))), "invalid_metadata"],
  ["a name that lies", command("READY", bytes(200, "X", u32(0))), "invalid_metadata"],
  ["a value that lies by one", command("READY", property("X", "abc", 4)), "invalid_metadata"],
  ["a value of 2^31", command("READY", property("X", "", 0x80000000)), "invalid_metadata"],
  ["a value of 2^32-1", command("READY", property("X", "", 0xffffffff)), "invalid_metadata"],
  ["metadata that is cut off", command("READY", bytes(type, 1, "X", 0)), "invalid_metadata"],
  ["a byte too many", command("READY", bytes(type, 0)), "invalid_metadata"],
  ["two types", command("READY", bytes(type, type)), "invalid_metadata"],
  ["READY of 64 KiB", ready("PUSH", property("X", Buffer.alloc(65536))), "command_too_large"],
  ["READY of 2^31", frame("", COMMAND, 2n ** 31n), "command_too_large"],
  ["READY of 2^32+1", frame("", COMMAND, 2n ** 32n + 1n), "command_too_large"],
  ["READY of 2^63", frame("", COMMAND, 2n ** 63n), "command_too_large"],
  ["READY of 2^64-1", frame("", COMMAND, 2n ** 64n - 1n), "command_too_large"],
];

describe("refused with a reason", () => {
  test.each(garbage)("%s", async (_, data, reason) => {
    const scene = await Scene.start();
    const peer = await scene.attack();
    peer.write(data);
    await scene.refused(peer, reason, protocol);
    await scene.proof();
  });

  test.each(commands)("%s", async (_, data, reason) => {
    const scene = await Scene.start();
    const peer = await scene.attack();
    peer.write(greeting(), data, frame("not to be delivered"));
    await scene.refused(peer, reason, protocol);
    await scene.proof();
  });

  test("ERROR is told as a refusal by the peer", async () => {
    const scene = await Scene.start();
    const peer = await scene.attack();
    peer.write(greeting(), command("ERROR", bytes(3, "400")));
    await scene.refused(peer, "peer_error", "handshake:error:auth");
    await scene.proof();
  });

  test("all of it over ipc, and one after the other on one socket", async () => {
    const scene = await Scene.start({}, "ipc");
    for (const [, data, reason] of garbage) {
      const peer = await scene.attack();
      peer.write(data);
      await scene.refusedLast(peer, reason);
    }
    for (const [, data, reason] of commands) {
      const peer = await scene.attack();
      peer.write(greeting(), data);
      await scene.refusedLast(peer, reason);
    }
    await scene.proof();
    expect(scene.pull.stats().handshakesFailed).toBe(garbage.length + commands.length);
  });

  test("noise of 200 seeds, bare and behind an honest greeting", async () => {
    const scene = await Scene.start({ handshakeInterval: 200 });
    const seed = Date.now() & 0x7fffffff;
    const ends: Promise<void>[] = [];
    for (let i = 0; i < 200; i += 1) {
      const peer = await scene.attack();
      const noise = randomBytes(seed + i * 7919, 300);
      peer.write(i % 2 === 0 ? noise : bytes(greeting(), noise));
      ends.push(peer.end().catch(() => { throw new Error(`seed ${seed + i * 7919} stays`); }));
    }
    await scene.proof();
    await Promise.all(ends);
    await scene.proof();
  });

  test.each([1, 9, 10, 11, 12, 63])("%i bytes of a greeting, then the end", async (size) => {
    const scene = await Scene.start();
    const peer = await scene.attack();
    peer.socket.end(greeting().subarray(0, size));
    await scene.refused(peer, "peer_closed", other);
    await scene.proof();
  });

  test("a greeting and half of READY, then the end; then a reset", async () => {
    const scene = await Scene.start();
    const polite = await scene.attack();
    polite.socket.end(bytes(greeting(), ready("PUSH").subarray(0, 9)));
    await scene.refused(polite, "peer_closed", other);
    const rude = await scene.attack();
    rude.write(greeting());
    await rude.handshaken();
    rude.reset();
    await scene.refused(rude, "connection_reset", other);
    await scene.proof();
  });
});

describe("too slow", () => {
  const INTERVAL = 200;

  test("a silent connection is dropped in time", async () => {
    const scene = await Scene.start({ handshakeInterval: INTERVAL });
    const started = performance.now();
    const peer = await scene.attack();
    await scene.refused(peer, "handshake_timeout", other);
    expect(performance.now() - started).toBeGreaterThan(INTERVAL - 20);
    expect(performance.now() - started).toBeLessThan(INTERVAL + 500);
    await scene.proof();
  });

  test("so is half a greeting, a greeting without READY, and a trickle of bytes", async () => {
    const scene = await Scene.start({ handshakeInterval: INTERVAL });
    const half = await scene.attack();
    half.write(greeting().subarray(0, 20));
    const mute = await scene.attack();
    mute.write(greeting());
    const slow = await scene.attack();
    const all = bytes(greeting(), ready("PUSH"));
    let at = 0;
    const trickle = setInterval(() => {
      if (!slow.closed && at < all.length) slow.write(all.subarray(at, ++at));
    }, 10);
    try {
      await scene.refused(half, "handshake_timeout", other);
      await scene.refused(mute, "handshake_timeout", other);
      await scene.refused(slow, "handshake_timeout", other);
    } finally {
      clearInterval(trickle);
    }
    await scene.proof();
  });

  test("1,000 silent and garbage connections: the good client keeps 100 %", async () => {
    const scene = await Scene.start({ handshakeInterval: 1000, backlog: 1024 });
    const peers: RawPeer[] = [];
    for (let i = 0; i < 1000; i += 50) {
      const wave = await Promise.all(Array.from({ length: 50 }, () => scene.attack()));
      for (const [index, peer] of wave.entries()) {
        if (index % 4 === 1) peer.write(randomBytes(i + index + 1, 40));
        if (index % 4 === 2) peer.write(greeting().subarray(0, 11));
        if (index % 4 === 3) peer.write(bytes("GET / HTTP/1.0\r\n\r\n"));
      }
      peers.push(...wave);
      await scene.proof(50);
    }
    await Promise.all(peers.map((peer) => peer.end()));
    await scene.proof();
    expect(scene.pull.stats().connections).toBe(1);
    expect(scene.pull.stats().handshakesFailed).toBe(1000);
  }, 20_000);
});

describe("odd but legal", () => {
  const all = bytes(greeting(), ready("PUSH"), frame("odd"));

  async function delivered(scene: Scene, text = "odd"): Promise<void> {
    while (!scene.got.includes(text)) await Bun.sleep(2);
    scene.got.splice(scene.got.indexOf(text), 1);
    await scene.proof();
  }

  test("greeting, READY and messages in one segment", async () => {
    const scene = await Scene.start();
    (await scene.attack()).write(all);
    await delivered(scene);
  });

  test("one byte at a time", async () => {
    const scene = await Scene.start();
    const peer = await scene.attack();
    for (const byte of all) {
      peer.write(Buffer.of(byte));
      await Bun.sleep(1);
    }
    await delivered(scene);
  });

  test("10, 1 and 53 bytes, each after what libzmq waits for", async () => {
    const scene = await Scene.start();
    const peer = await scene.attack();
    for (const [start, end] of [[0, 10], [10, 11], [11, 64]] as const) {
      peer.write(greeting().subarray(start, end));
      await Bun.sleep(20);
    }
    expect(peer.received.length).toBeGreaterThan(64);
    peer.write(ready("PUSH"), frame("odd"));
    await delivered(scene);
  });

  test("ours comes without waiting for theirs", async () => {
    const scene = await Scene.start();
    const peer = await scene.attack();
    while (peer.received.length < 64) await Bun.sleep(2);
    expect(peer.received.equals(greeting())).toBe(true);
    peer.write(all);
    await delivered(scene);
  });

  test.each([
    ["version 3.0", bytes(greeting("NULL", 3, 0), ready("PUSH"), frame("odd"))],
    ["version 4.7", bytes(greeting("NULL", 4, 7), ready("PUSH"), frame("odd"))],
    ["no Socket-Type, as libzmq allows", bytes(greeting(), command("READY"), frame("odd"))],
    ["READY without the COMMAND flag", bytes(greeting(), 0, ready("PUSH").subarray(1), frame("odd"))],
    ["names in lower case", bytes(greeting(), command("READY", property("socket-type", "PUSH")), frame("odd"))],
    ["unknown properties", bytes(greeting(), ready("PUSH", property("X-What", "ever")), frame("odd"))],
    ["an identity of 255 bytes", bytes(greeting(), ready("PUSH", property("Identity", Buffer.alloc(255, 7))), frame("odd"))],
  ])("%s", async (_, data) => {
    const scene = await Scene.start();
    (await scene.attack()).write(data);
    await delivered(scene);
  });
});
