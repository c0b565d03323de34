// We connect, and what listens there is no ZMTP, the wrong socket, or a liar. The socket goes on
// with its other peers, tries again, and tells why.

import { describe, expect, test } from "bun:test";
import { nativeContext } from "../../src/context.ts";
import { Pull, Push, Reply, Request } from "../../src/index.ts";
import { eventually } from "../interop/peer.ts";
import {
  bytes,
  COMMAND,
  command,
  frame,
  greeting,
  LARGE,
  MORE,
  nothingIsLeft,
  randomBytes,
  rawServer,
  ready,
  record,
  type RawPeer,
} from "./wire.ts";

nothingIsLeft();

type Behaviour = (peer: RawPeer) => void;

const honest = (type: string) => bytes(greeting(), ready(type));

const listeners: [name: string, behave: Behaviour, reason: string][] = [
  ["a web server", (peer) => peer.write(bytes("HTTP/1.1 400 Bad Request\r\n\r\n")), "not_zmtp"],
  ["an SSH banner", (peer) => peer.write(bytes("SSH-2.0-OpenSSH_9.2\r\n")), "not_zmtp"],
  ["noise", (peer) => peer.write(bytes(0, randomBytes(5, 100_000))), "not_zmtp"],
  ["ZMTP 2.0", (peer) => peer.write(bytes(greeting().subarray(0, 10), 1, 7)), "version_too_old"],
  ["CURVE", (peer) => peer.write(greeting("CURVE")), "mechanism_mismatch"],
  ["a PUB", (peer) => peer.write(honest("PUB")), "socket_type_mismatch"],
  ["a refusal", (peer) => peer.write(greeting(), command("ERROR", bytes(3, "400"))), "peer_error"],
  ["somebody who hangs up", (peer) => void peer.socket.end(), "peer_closed"],
  ["half a greeting and an end", (peer) => void peer.socket.end(greeting().subarray(0, 30)), "peer_closed"],
  ["somebody silent", () => {}, "handshake_timeout"],
];

describe("PUSH connects to", () => {
  test.each(listeners)("%s", async (_, behave, reason) => {
    await using push = new Push({
      reconnectInterval: 10, handshakeInterval: 100, immediate: true, permanentFailure: "retry",
    });
    await using pull = new Pull();
    await pull.bind("tcp://127.0.0.1:*");
    const events = record(push);
    const server = await rawServer(behave);
    push.connect(server);
    push.connect(pull.lastEndpoint!);
    const retries = () => events.filter((it) => it.type === "connect:retry" && it.address === server);
    let sent = 0;
    while (retries().length < 3) {
      await push.send(`message ${sent}`, { timeout: 5000 });
      expect(String(await pull.receive({ timeout: 5000 }))).toBe(`message ${sent}`);
      sent += 1;
      await Bun.sleep(1);
    }
    expect(retries().map((event) => event.reason as string)).toEqual(retries().map(() => reason));
    expect(retries().every((it) => it.type === "connect:retry" && it.interval >= 5)).toBe(true);
    expect(push.stats().connections).toBe(1);
  });
});

test("garbage at first, a Pull later: what was queued for it arrives", async () => {
  await using push = new Push({ reconnectInterval: 10 });
  let attempt = 0;
  let good: RawPeer | undefined;
  const server = await rawServer((peer) => {
    attempt += 1;
    if (attempt < 4) {
      peer.write(bytes("not yet\n"));
      return;
    }
    good = peer;
    peer.write(honest("PULL"));
  });
  push.connect(server);
  for (let i = 0; i < 10; i += 1) await push.send(["queued", `${i}`]);
  const expected = bytes(
    ...Array.from({ length: 10 }, (_, i) => bytes(frame("queued", MORE), frame(`${i}`))),
  );
  await eventually(() => good !== undefined && good.rest().length >= expected.length, "the messages");
  expect(good!.rest()).toEqual(expected);
});

test("the end in the middle of a message: it is sent again whole to nobody, the next ones follow", async () => {
  await using push = new Push({ reconnectInterval: 10 });
  const peers: RawPeer[] = [];
  const server = await rawServer((peer) => {
    peers.push(peer);
    peer.write(honest("PULL"));
    if (peers.length === 1) {
      peer.socket.on("data", () => {
        if (peer.received.length > 100_000) peer.socket.pause();
      });
    }
  });
  push.connect(server);
  // More than the kernel takes: the second message is cut in the middle.
  const body = Buffer.alloc(8 * 1024 * 1024, 1);
  await push.send("first");
  await push.send(["head", body, "tail"]);
  await push.send("last");
  await eventually(() => (peers[0]?.received.length ?? 0) > 100_000, "some of it");
  peers[0]!.reset();
  await eventually(() => peers.length === 2 && peers[1]!.rest().length >= 6, "the next connection");
  await Bun.sleep(50);
  expect(peers[1]!.rest()).toEqual(frame("last"));
  expect(push.stats().droppedDisconnect).toBe(1);
});

test("PULL: a peer that breaks the protocol after good messages", async () => {
  await using pull = new Pull({ reconnectInterval: 10 });
  const events = record(pull);
  const endings: [Uint8Array, string][] = [
    [frame("", LARGE, 2n ** 63n), "frame_too_large"],
    [command("PING", bytes(0)), "malformed_command"],
    [frame("", COMMAND | LARGE, 1n << 40n), "frame_too_large"],
    [frame("x", 0x80), "reserved_flags"],
    [bytes(...Array.from({ length: 70_000 }, () => frame("", MORE))), "message_too_many_parts"],
  ];
  let connection = 0;
  const server = await rawServer((peer) => {
    peer.write(honest("PUSH"), frame(`good ${connection}`), endings[connection % endings.length]![0]);
    connection += 1;
  });
  const got: string[] = [];
  const loop = (async () => {
    for await (const message of pull) got.push(String(message));
  })();
  pull.connect(server);
  const reasons = () => events.filter((it) => it.type === "disconnect").map((it) => it.reason as string);
  await eventually(() => reasons().length >= 2 * endings.length, "ten ends");
  const ten = reasons().slice(0, 2 * endings.length);
  expect(ten).toEqual([...endings, ...endings].map(([, reason]) => reason));
  expect(got.slice(0, 10)).toEqual(Array.from({ length: 10 }, (_, i) => `good ${i}`));
  pull.close();
  await loop;
});

describe("REQ and answers that are none", () => {
  /** Answers each question with whatever `answer` makes of it. */
  async function replier(answer: (peer: RawPeer, question: Buffer) => void): Promise<string> {
    return rawServer((peer) => {
      peer.write(honest("REP"));
      let seen = 0;
      peer.socket.on("data", () => {
        if (peer.received.length < 90) return;
        const rest = peer.rest();
        if (rest.length === seen) return;
        const question = Buffer.from(rest.subarray(seen));
        seen = rest.length;
        answer(peer, question);
      });
    });
  }

  test("drops them, counts them, and takes the right one", async () => {
    await using request = new Request({ correlate: true });
    const server = await replier((peer, question) => {
      // [01 04 id4] [01 00] [00 n body]
      const id = question.subarray(2, 6);
      const wrong = Buffer.from(id);
      wrong[0]! ^= 1;
      peer.write(
        frame(""),
        frame("no delimiter"),
        bytes(frame(id, MORE), frame("no empty frame")),
        bytes(frame(wrong, MORE), frame("", MORE), frame("of another")),
        bytes(frame(Buffer.alloc(3), MORE), frame("", MORE), frame("short id")),
        bytes(frame("", MORE), frame("no id")),
        bytes(frame(id, MORE), frame("", MORE), frame("right", MORE), frame("answer")),
        bytes(frame(id, MORE), frame("", MORE), frame("twice")),
      );
    });
    request.connect(server);
    for (let i = 1; i <= 20; i += 1) {
      await request.send("question");
      const answer = await request.receive({ timeout: 5000 });
      expect(answer.join("|")).toBe("right|answer");
    }
    const { droppedMalformed, droppedStale } = request.stats();
    expect(droppedMalformed + droppedStale).toBeGreaterThanOrEqual(20 * 6);
  });

  test("an answer that nobody took is not taken for the next one", async () => {
    await using request = new Request({ relaxed: true, correlate: true });
    const server = await replier((peer, question) => peer.write(question));
    request.connect(server);
    // Small parts are copied, large ones are views, the largest have a buffer of their own.
    for (const size of [5, 600, 100_000, 1, 70_000, 3]) {
      await request.send(["forgotten", "x".repeat(size)]);
      await eventually(() => request.readable, "the answer");
      await request.send(`asked ${size}`);
      expect(String(await request.receive({ timeout: 5000 }))).toBe(`asked ${size}`);
    }
    expect(nativeContext().lent.size).toBe(0);
  });

  test("unasked answers of another peer are dropped, the right one is waited for", async () => {
    await using request = new Request();
    const chatter = await rawServer((peer) => {
      peer.write(honest("REP"));
      for (let i = 0; i < 100; i += 1) peer.write(frame("", MORE), frame("unasked"));
    });
    await using reply = new Reply();
    await reply.bind("tcp://127.0.0.1:*");
    const answering = (async () => {
      for await (const question of reply) await reply.send(question);
    })();
    request.connect(reply.lastEndpoint!);
    await request.send("warm");
    expect(String(await request.receive({ timeout: 5000 }))).toBe("warm");
    request.connect(chatter);
    await eventually(() => request.stats().connections === 2, "both connections");
    await Bun.sleep(20);
    let unasked = 0;
    for (let i = 0; i < 20; i += 1) {
      await request.send(`question ${i}`);
      const answer = await request.receive({ timeout: 200 }).catch(() => undefined);
      // Every second question goes to the chatter, which has said all it had to say.
      if (answer === undefined || String(answer) === "unasked") {
        unasked += 1;
        break;
      }
      expect(String(answer)).toBe(`question ${i}`);
    }
    expect(unasked).toBe(1);
    reply.close();
    await answering;
  });

  test("a peer that dies in the middle of an answer: a relaxed REQ asks the next one", async () => {
    await using request = new Request({ relaxed: true, correlate: true, reconnectInterval: 10 });
    let asked = 0;
    const server = await replier((peer, question) => {
      asked += 1;
      if (asked % 2 === 1) {
        peer.socket.end(bytes(question.subarray(0, 8), 1, 4, "half"));
        return;
      }
      peer.write(question);
    });
    request.connect(server);
    for (let i = 0; i < 20; i += 1) {
      for (;;) {
        await request.send(`question ${i}`);
        const answer = await request.receive({ timeout: 150 }).catch((error) => {
          expect(error.code).toBe("EAGAIN");
          return undefined;
        });
        if (answer === undefined) continue;
        expect(String(answer)).toBe(`question ${i}`);
        break;
      }
    }
    expect(asked).toBeGreaterThan(30);
  });
});
