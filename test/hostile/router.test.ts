// What peers can do to sockets that tell their peers apart: names that are wrong, taken or flooded,
// halves of messages, and bytes that mean nothing.

import { expect, test } from "bun:test";
import { nativeContext } from "../../src/context.ts";
import { Dealer, Router, Stream } from "../../src/index.ts";
import { descriptors, eventually } from "../interop/peer.ts";
import { texts } from "../support/sockets.ts";
import {
  bytes,
  frame,
  greeting,
  MORE,
  nothingIsLeft,
  property,
  randomBytes,
  RawPeer,
  ready,
  record,
} from "./wire.ts";

nothingIsLeft();

const limits = { timeout: 5000 };
const named = (id: string | Uint8Array) => property("Identity", id);

/** A bound Router and a good client that must not notice anything. */
async function scene(options: ConstructorParameters<typeof Router>[0] = {}) {
  const router = new Router({ linger: 0, ...options });
  await router.bind("tcp://127.0.0.1:*");
  const endpoint = router.lastEndpoint!;
  const good = new Dealer({ routingId: "good", linger: 0 });
  good.connect(endpoint);
  let number = 0;
  const proof = async () => {
    for (let i = 0; i < 20; i += 1) {
      number += 1;
      await good.send([`${number}`, "question"], limits);
      // What others have sent may lie before it.
      let message: string[];
      do message = texts(await router.receive(limits));
      while (message[0] !== "good");
      expect(message).toEqual(["good", `${number}`, "question"]);
      await router.send(["good", `${number}`, "answer"]);
      expect(texts(await good.receive(limits))).toEqual([`${number}`, "answer"]);
    }
  };
  await proof();
  return { router, endpoint, events: record(router), proof };
}

test("names that no peer may have end the connection: too long, or as we make them", async () => {
  const { router, endpoint, events, proof } = await scene();
  const wrong: [Uint8Array, string][] = [
    [Buffer.alloc(256, "x"), "identity_too_long"],
    [Buffer.alloc(300, "x"), "identity_too_long"],
    [Buffer.from([0]), "identity_reserved"],
    [Buffer.from([0, 1, 2, 3, 4]), "identity_reserved"],
  ];
  for (const [id, reason] of wrong) {
    const peer = await RawPeer.connect(endpoint);
    peer.write(greeting(), ready("DEALER", named(id)), frame("x"));
    await peer.end();
    const told = () => events.findLast(({ type }) => type === "handshake:error:protocol");
    await eventually(() => told()?.reason === reason, reason);
  }
  const longest = Buffer.alloc(255, "x");
  const peer = await RawPeer.greeted(endpoint, "DEALER", named(longest));
  peer.write(frame("hello"));
  expect(texts(await router.receive(limits))).toEqual([longest.toString(), "hello"]);
  await proof();
});

test("a flood of peers under a name that is taken: each is refused, nothing is kept", async () => {
  const { router, endpoint, proof } = await scene();
  const before = { descriptors: descriptors(), live: nativeContext().stats().memory_live_bytes };
  for (let round = 0; round < 20; round += 1) {
    const peers = await Promise.all(Array.from({ length: 20 }, () => RawPeer.connect(endpoint)));
    for (const peer of peers) {
      peer.write(greeting(), ready("DEALER", named("good")), frame("lie", MORE), frame("lie"));
    }
    await Promise.all(peers.map((peer) => peer.end()));
  }
  expect(router.stats().peersRefused).toBe(400);
  expect(router.stats().connections).toBe(1);
  await eventually(() => descriptors() <= before.descriptors + 2, "descriptors");
  const live = () => nativeContext().stats().memory_live_bytes;
  await eventually(() => live() <= before.live + 4096, "memory");
  await proof();
});

test("messages for ids that nobody has, made up by a peer: a broker drops them", async () => {
  const { router, endpoint, proof } = await scene();
  const peer = await RawPeer.greeted(endpoint, "DEALER", named("liar"));
  for (let i = 0; i < 5000; i += 1) peer.write(frame(`nobody ${i}`, MORE), frame("x"));
  for (let i = 0; i < 5000; i += 1) {
    const [, target, ...rest] = await router.receive(limits);
    // What a broker does with an address that a peer has given.
    await router.send([target!, ...rest]);
  }
  expect(router.stats().droppedUnroutable).toBe(5000);
  await proof();
});

test("halves of messages and sudden ends: none is handed out, nothing is kept", async () => {
  const { router, endpoint, proof } = await scene();
  const live = () => nativeContext().stats().memory_live_bytes;
  let before = 0;
  for (let round = 0; round < 40; round += 1) {
    const peers = await Promise.all(
      Array.from({ length: 25 }, () => RawPeer.greeted(endpoint, "DEALER")),
    );
    for (const [i, peer] of peers.entries()) {
      peer.write(frame("half", MORE), frame("of it", MORE));
      if (i % 3 === 0) peer.write(frame("cut", 0, 100n));
      if (i % 2 === 0) peer.destroy();
      else peer.reset();
    }
    await eventually(() => router.stats().connections === 1, "they are gone");
    if (round === 2) before = live();
  }
  expect(router.tryReceive()).toBeUndefined();
  await eventually(() => live() <= before + 4096, "memory");
  await proof();
});

test("a Stream takes any bytes for bytes, and no connection for longer than it lasts", async () => {
  const stream = new Stream({ linger: 0, notify: false });
  await stream.bind("tcp://127.0.0.1:*");
  for (let seed = 1; seed <= 50; seed += 1) {
    const peer = await RawPeer.connect(stream.lastEndpoint!);
    const sent = bytes(seed % 2 ? greeting() : "", randomBytes(seed, seed * 997));
    peer.write(sent);
    const pieces: Buffer[] = [];
    for (let size = 0; size < sent.length; size += pieces.at(-1)!.length) {
      const [id, piece] = await stream.receive(limits);
      pieces.push(piece!);
      if (size === 0) await stream.send([id!, "heard"]);
    }
    expect(Buffer.compare(Buffer.concat(pieces), sent)).toBe(0);
    await eventually(() => String(peer.received) === "heard", "the answer");
    if (seed % 3 === 0) peer.reset();
    else peer.destroy();
    await eventually(() => stream.stats().connections === 0, "it is gone");
  }
  expect(stream.stats().handshakesFailed).toBe(0);
});
