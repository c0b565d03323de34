// What strangers do to sockets with PLAIN and CURVE over real connections: nobody gets in who should
// not, everybody who should does, and each learns what it may know.

import { describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { curveKeyPair, type Event, Push, type PushOptions } from "../../src/index.ts";
import type { PullOptions } from "../../src/index.ts";
import { eventually } from "../interop/peer.ts";
import {
  bytes,
  COMMAND,
  command,
  frame,
  greeting,
  LARGE,
  nothingIsLeft,
  property,
  RawPeer,
  rawServer,
  ready,
  record,
  Scene,
} from "./wire.ts";

nothingIsLeft();

const server = curveKeyPair();
const client = curveKeyPair();
const [user, password] = ["bob", "a good one"];

const sides = {
  PLAIN: {
    server: {
      plainServer: true,
      authenticate: ({ credentials }) =>
        credentials.username === user && credentials.password === password,
    },
    client: { plainUsername: user, plainPassword: password },
  },
  CURVE: {
    server: {
      curveServer: true,
      curveSecretKey: server.secretKey,
      authenticate: ({ credentials }) => credentials.publicKey === client.publicKey,
    },
    client: {
      curveServerKey: server.publicKey,
      curvePublicKey: client.publicKey,
      curveSecretKey: client.secretKey,
    },
  },
} as const satisfies Record<string, { server: PullOptions; client: PushOptions }>;

type Mechanism = keyof typeof sides;
const mechanisms = Object.keys(sides) as Mechanism[];
const each = mechanisms.flatMap((mechanism) => [[mechanism, "tcp"], [mechanism, "ipc"]] as const);

function guarded(mechanism: Mechanism, more: PullOptions = {}, transport: "tcp" | "ipc" = "tcp") {
  const { server: own, client: good } = sides[mechanism];
  return Scene.start({ ...own, ...more }, transport, good);
}

const plainHello = (name: string, secret: string) =>
  command("HELLO", bytes(name.length, name, secret.length, secret));

/** What honest peers of other times and mechanisms begin with, and what they would do next. */
const old: [name: string, data: Uint8Array, reason: string][] = [
  ["ZMTP 1.0", bytes(1, 0, frame("hello")), "not_zmtp"],
  ["ZMTP 1.0 with an identity", bytes(4, 0, "who", frame("hello")), "not_zmtp"],
  ["ZMTP 2.0", bytes(greeting().subarray(0, 10), 1, 8, 0, 0, frame("hello")), "version_too_old"],
  ["version 2", bytes(greeting("NULL", 2, 0), ready("PUSH")), "version_too_old"],
  ["NULL", bytes(greeting(), ready("PUSH"), frame("hello")), "mechanism_mismatch"],
  ["a mechanism in lower case", greeting("curve"), "mechanism_mismatch"],
  ["a name with something behind it", greeting("CURVEX"), "mechanism_mismatch"],
  ["GSSAPI", bytes(greeting("GSSAPI"), command("INITIATE")), "mechanism_mismatch"],
];

describe.each(each)("a socket with %s over %s", (mechanism, transport) => {
  test("refuses every old greeting, and says nothing but its own (CVE-2014-7202, 9721)", async () => {
    const scene = await guarded(mechanism, {}, transport);
    const other = mechanism === "PLAIN" ? "CURVE" : "PLAIN";
    const mismatch = ["the other one", greeting(other), "mechanism_mismatch"] as const;
    for (const [name, data, reason] of [...old, mismatch]) {
      const peer = await scene.attack();
      peer.write(data);
      if (transport === "tcp") await scene.refused(peer, reason, "handshake:error:protocol");
      else await scene.refusedLast(peer, reason);
      expect([name, peer.received.length <= 64]).toEqual([name, true]);
      expect(greeting(mechanism).subarray(0, peer.received.length)).toEqual(peer.received);
    }
    await scene.proof();
  });

  test("refuses whoever leaves a step out", async () => {
    const scene = await guarded(mechanism, {}, transport);
    const hello = mechanism === "PLAIN" ? [] : [plainHello(user, password)];
    const first = [
      ready("PUSH"),
      frame("hello"),
      command("INITIATE", property("Socket-Type", "PUSH")),
      command("WELCOME"),
      command("PING", bytes(0, 0)),
      frame("\x05HELLO"),
      frame(bytes(5, "HELLO", 0, 0), 0),
      ...hello,
    ];
    for (const data of first) {
      const peer = await scene.attack();
      peer.write(greeting(mechanism), data);
      await peer.end();
      expect(peer.received.length).toBeLessThanOrEqual(64);
    }
    await scene.proof();
    expect(scene.pull.stats().connections).toBe(1);
  });
});

test.each([
  ["of 2^31", frame("", COMMAND, 2n ** 31n), "command_too_large"],
  ["of 2^64-1", frame("", COMMAND, 2n ** 64n - 1n), "command_too_large"],
  ["that is empty", frame(bytes(5, "HELLO"), COMMAND), "malformed_hello"],
  ["whose user lies", frame(bytes(5, "HELLO", 255, "bob"), COMMAND), "malformed_hello"],
  ["whose password lies", frame(bytes(5, "HELLO", 3, "bob", 9, "x"), COMMAND), "malformed_hello"],
  ["with a byte too many", frame(bytes(5, "HELLO", 0, 0, 0), COMMAND), "malformed_hello"],
  ["of 30,000 bytes", frame(bytes(5, "HELLO", Buffer.alloc(30_000)), COMMAND | LARGE), "malformed_hello"],
  ["with a reserved flag", bytes(12, 8, 5, "HELLO", 0, 0), "unexpected_command"],
])("a HELLO of PLAIN %s is refused before anybody is asked", async (_, data, reason) => {
  let asked = 0;
  const authenticate = () => (asked += 1) > 0;
  const scene = await Scene.start({ plainServer: true, authenticate }, "tcp", sides.PLAIN.client);
  const peer = await scene.attack();
  peer.write(greeting("PLAIN"), data);
  await scene.refused(peer, reason, "handshake:error:protocol");
  expect(asked).toBe(1);
  expect(peer.received.length).toBe(64);
  await scene.proof();
});

test.each([
  ["of 199 bytes", Buffer.alloc(199)],
  ["of 201 bytes", Buffer.alloc(201)],
  ["of zeros", Buffer.alloc(200)],
  ["of 0xff", Buffer.alloc(200, 0xff)],
])("a HELLO of CURVE %s costs the connection", async (_, body) => {
  const scene = await guarded("CURVE");
  body.set(bytes(5, "HELLO", 1, 0));
  const peer = await scene.attack();
  peer.write(greeting("CURVE"), frame(body, COMMAND));
  await scene.refused(peer, body.length === 200 ? "cryptographic" : "malformed_hello");
  expect(peer.received.length).toBe(64);
  await scene.proof();
});

describe("who is denied", () => {
  test.each([[400], [500], [300]] as const)("with PLAIN and %i sees neither WELCOME nor READY", async (status) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const scene = await Scene.start(
      {
        plainServer: true,
        authenticate: async ({ credentials }) => {
          if (credentials.password === password) return true;
          await promise;
          return { reject: "no", status };
        },
      },
      "tcp",
      sides.PLAIN.client,
    );
    const peer = await scene.attack();
    const early = bytes(command("INITIATE", property("Socket-Type", "PUSH")), frame("early"));
    peer.write(greeting("PLAIN"), plainHello(user, "a bad one"), early);
    await scene.proof();
    expect(peer.received).toEqual(greeting("PLAIN"));
    resolve();
    await peer.end();
    const error = status === 300 ? bytes() : command("ERROR", bytes(3, String(status)));
    expect(peer.received.subarray(64)).toEqual(error);
    expect(scene.got).not.toContain("early");
    const failed = () => scene.eventsOf(peer).find(({ type }) => type === "handshake:error:auth");
    await eventually(() => failed() !== undefined, "the event");
    expect(failed()).toMatchObject({ error: { status } });
    await scene.proof();
  });

  test("with CURVE sees a WELCOME for everybody, and then an ERROR and no READY", async () => {
    const scene = await guarded("CURVE");
    let seen: Buffer = Buffer.alloc(0);
    const listener = await rawServer((peer) => {
      const port = Number(/:(\d+)$/.exec(scene.endpoint)![1]);
      const far = connect({ host: "127.0.0.1", port });
      const through = new RawPeer(far);
      peer.socket.pipe(far);
      far.on("data", (data) => {
        seen = Buffer.concat([seen, data as Buffer]);
      });
      far.pipe(peer.socket);
      peer.socket.on("close", () => through.destroy());
    });
    const stranger = curveKeyPair();
    const push = new Push({
      ...sides.CURVE.client,
      curvePublicKey: stranger.publicKey,
      curveSecretKey: stranger.secretKey,
      linger: 0,
    });
    const events = record(push);
    push.connect(listener);
    await eventually(() => events.some(({ type }) => type === "disconnect"), "its end");
    expect(seen.subarray(0, 64)).toEqual(greeting("CURVE"));
    // The frames of WELCOME and ERROR, and nothing else.
    expect(seen.length).toBe(64 + 170 + 12);
    expect(seen.subarray(64 + 170)).toEqual(command("ERROR", bytes(3, "400")));
    const failed = events.find(({ type }) => type === "handshake:error:auth") as Event;
    expect(failed).toMatchObject({ reason: "peer_error", error: { status: 400 } });
    push.close();
    await scene.proof();
  });
});

describe.each(mechanisms)("with %s", (mechanism) => {
  test("1,000 silent connections keep no good client out", async () => {
    const scene = await guarded(mechanism);
    const socket = () => new Push({ ...sides[mechanism].client, linger: 0, reconnectInterval: -1 });
    for (let i = 0; i < 1000; i += 1) {
      const peer = await scene.attack();
      if (i % 4 === 1) peer.write(greeting(mechanism));
      if (i % 4 === 2) peer.write(greeting(mechanism).subarray(0, i % 60));
      if (i % 4 === 3) peer.write(greeting(mechanism), frame("", COMMAND, 200n).subarray(0, 2));
      if (i % 100 !== 99) continue;
      const good = socket();
      good.connect(scene.endpoint);
      await good.connected(undefined, { timeout: 2000 });
      good.close();
    }
    await scene.proof();
  }, 20_000);

  test("a byte per second does not get past the deadline, while a good client connects", async () => {
    const scene = await guarded(mechanism, { handshakeInterval: 1500 });
    const started = performance.now();
    const slow: RawPeer[] = [];
    for (let i = 0; i < 20; i += 1) slow.push(await scene.attack());
    const hello = mechanism === "PLAIN" ? plainHello(user, password) : frame(Buffer.alloc(200), COMMAND);
    const whole = bytes(greeting(mechanism), hello);
    // Half of them have got far before.
    for (const [i, peer] of slow.entries()) peer.write(i % 2 ? whole.subarray(0, 70) : whole.subarray(0, 5));
    let at = 70;
    const timer = setInterval(() => {
      for (const peer of slow) if (!peer.closed) peer.write(whole.subarray(at, at + 1));
      at += 1;
    }, 1000);
    const good = new Push({ ...sides[mechanism].client, linger: 0 });
    good.connect(scene.endpoint);
    await good.connected(undefined, { timeout: 1000 });
    expect(performance.now() - started).toBeLessThan(1000);
    good.close();
    await eventually(() => slow.every((peer) => peer.closed), "their end", 4000);
    clearInterval(timer);
    const ms = performance.now() - started;
    expect(ms).toBeGreaterThan(1400);
    expect(ms).toBeLessThan(3000);
    const late = scene.events.filter(({ reason }) => reason === "handshake_timeout");
    // Each is a failed handshake and a connection that ended.
    expect(late.length).toBe(40);
    await scene.proof();
  });
});
