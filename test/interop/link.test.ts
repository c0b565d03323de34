// A link to libzmq over time: a million messages, peers that are killed and come back, heartbeats,
// connect before bind, and the wrong peer.

import { afterEach, describe, expect, test } from "bun:test";
import {
  Dealer,
  type Event,
  Pair,
  Publisher,
  Pull,
  Push,
  type Readable,
  Reply,
  Request,
  type Socket,
  Subscriber,
  type Writable,
} from "../../src/index.ts";
import { numbered, numberOf, range } from "./messages.ts";
import {
  eventually,
  fixed,
  fresh,
  killPeers,
  libzmq,
  type Peer,
  type Role,
  transports,
} from "./peer.ts";
import { LIVES, PARTS, pushToTheKilled } from "./scenes.ts";

afterEach(killPeers);

/** Collects the events of a socket as they come. */
function record(socket: Socket): Event[] {
  const events: Event[] = [];
  const types = [
    "connect",
    "accept",
    "handshake",
    "disconnect",
    "handshake:error:protocol",
    "handshake:error:other",
  ] as const;
  for (const type of types) socket.events.on(type, (event) => events.push(event));
  return events;
}

const count = (events: Event[], type: string) => events.filter((it) => it.type === type).length;

type Sender = Socket & Writable;
type Receiver = Socket & Readable;

const loaded = { reconnectInterval: 10, sendHighWaterMark: 200, linger: 0 } as const;

function subscribed(options: { reconnectInterval: number }): Subscriber {
  const subscriber = new Subscriber(options);
  subscriber.subscribe();
  return subscriber;
}

describe("1,000,000 messages, none lost, in order", () => {
  const MILLION = 1_000_000;

  test.each(transports)("PUSH -> libzmq PULL over %s", async (transport) => {
    await using push = new Push();
    await push.bind(fresh(transport));
    const peer = libzmq("pull", "connect", push.lastEndpoint!, {
      numbered: true,
      count: MILLION,
    });
    const part = Buffer.alloc(64);
    for (let first = 0; first < MILLION; first += 500) {
      const batch: Buffer[] = [];
      for (let number = first; number < first + 500; number += 1) {
        part.writeUInt32LE(number, 0);
        batch.push(Buffer.from(part));
      }
      await push.sendMany(batch);
    }
    expect(await peer.report()).toMatchObject({ messages: MILLION, errors: 0 });
  });

  test.each(transports)("libzmq PUSH -> PULL over %s", async (transport) => {
    await using pull = new Pull();
    const peer = libzmq("push", "bind", fresh(transport), { count: MILLION, hold: true });
    pull.connect(await peer.endpoint());
    let next = 0;
    let wrong = 0;
    for await (const batch of pull.batches({ borrow: true })) {
      for (const message of batch) {
        if (message.length !== 1 || message[0]!.readUInt32LE(0) !== next) wrong += 1;
        next += 1;
      }
      if (next >= MILLION) break;
    }
    expect({ next, wrong }).toEqual({ next: MILLION, wrong: 0 });
    expect(pull.tryReceive()).toBeUndefined();
  });
});

describe("the peer is killed and started again ten times", () => {
  test.each(transports)("PUSH: what was not in flight arrives, over %s", async (transport) => {
    await pushToTheKilled(transport, { ours: { reconnectInterval: 20 }, theirs: {} });
  });

  const senders: [string, Role, () => Sender][] = [
    ["PUSH", "pull", () => new Push(loaded)],
    ["DEALER", "dealer", () => new Dealer(loaded)],
    ["PAIR", "pair", () => new Pair(loaded)],
  ];
  const links = transports.flatMap((transport) => {
    return senders.map(([name, role, make]) => ({ name, role, make, transport }));
  });
  test.each(links)("$name under load: no half, no twin, over $transport", async (link) => {
    await using socket = link.make();
    const endpoint = fixed(link.transport);
    socket.connect(endpoint);
    let running = true;
    let sent = 0;
    const sending = (async () => {
      while (running) {
        await socket.send(numbered(sent, PARTS, 3000));
        sent += 1;
      }
    })();
    const lives: number[][] = [];
    const next = () =>
      libzmq(link.role, "bind", endpoint, { numbered: true, parts: PARTS, log: true });
    for (let life = 0; life < LIVES; life += 1) {
      const peer = next();
      const enough = 100 + life * 137;
      await peer.until(() => (peer.numbers().length > enough ? true : undefined), "messages");
      await peer.kill();
      // The peer itself says it when parts of two messages are mixed or a number is missing.
      expect(peer.lines.filter((line) => "error" in line)).toEqual([]);
      lives.push(peer.numbers());
    }
    running = false;
    const last = next();
    await sending;
    await last.until(() => (last.numbers().at(-1) === sent - 1 ? true : undefined), "the last");
    await last.kill();
    lives.push(last.numbers());
    for (const life of lives) expect(life).toEqual(range(life[0]!, life[0]! + life.length));
    for (const [index, life] of lives.slice(1).entries()) {
      expect(life[0]!).toBeGreaterThan(lives[index]!.at(-1)!);
    }
  });

  test.each(transports)("PUB that may not drop: no half, no gap, over %s", async (transport) => {
    for (const ours of ["bind", "connect"] as const) {
      await using publisher = new Publisher({ ...loaded, noDrop: true });
      const endpoint = fixed(transport);
      if (ours === "bind") await publisher.bind(endpoint);
      else publisher.connect(endpoint);
      let running = true;
      const sending = (async () => {
        for (let sent = 0; running; sent += 1) {
          await publisher.send(numbered(sent, PARTS, 3000));
        }
      })().catch((error) => expect(error.code).toBe("EAGAIN"));
      for (let life = 0; life < LIVES; life += 1) {
        const peer = libzmq("sub", ours === "bind" ? "connect" : "bind", endpoint, {
          subscribe: [""],
          numbered: true,
          parts: PARTS,
          log: true,
        });
        const enough = 100 + life * 37;
        await peer.until(() => (peer.numbers().length > enough ? true : undefined), "messages");
        await peer.kill();
        expect(peer.lines.filter((line) => "error" in line)).toEqual([]);
      }
      running = false;
      // Who was accepted and has gone holds nobody up; an endpoint we connect to is waited for.
      if (ours === "connect") publisher.close();
      await sending;
    }
  });

  const receivers: [string, Role, () => Receiver][] = [
    ["PULL", "push", () => new Pull({ reconnectInterval: 10 })],
    ["DEALER", "dealer", () => new Dealer({ reconnectInterval: 10 })],
    ["PAIR", "pair", () => new Pair({ reconnectInterval: 10 })],
    ["SUB", "pub", () => subscribed({ reconnectInterval: 10 })],
  ];
  const ends = transports.flatMap((transport) => {
    return receivers.map(([name, role, make]) => ({ name, role, make, transport }));
  });
  test.each(ends)("$name: no half, no twin, over $transport", async (end) => {
    for (const ours of ["bind", "connect"] as const) {
      await using socket = end.make();
      const endpoint = fixed(end.transport);
      if (ours === "bind") await socket.bind(endpoint);
      else socket.connect(endpoint);
      const lives: number[][] = Array.from({ length: LIVES }, () => []);
      let synced = 0;
      const receiving = (async () => {
        for await (const message of socket) {
          if (end.role === "pub" && message.length === 1 && String(message[0]) === "sync") {
            synced += 1;
            continue;
          }
          const number = numberOf(message, PARTS);
          lives[Math.floor(number / 1e6)]!.push(number);
        }
      })();
      for (const [life, numbers] of lives.entries()) {
        const peer = libzmq(end.role, ours === "bind" ? "connect" : "bind", endpoint, {
          stream: true,
          // A PUB drops what is too much, and then numbers are missing.
          hwm: end.role === "pub" ? 0 : 1000,
          count: end.role === "pub" ? 500 : 1e6,
          hold: true,
          first: life * 1e6,
          parts: PARTS,
          size: 40_000,
        });
        const before = synced;
        if (end.role === "pub") {
          await eventually(() => synced > before, `life ${life} heard`);
          peer.write("heard");
        }
        await eventually(() => numbers.length > 20 + life * 7, `life ${life}`);
        await peer.kill();
      }
      socket.close();
      await receiving;
      for (const [life, numbers] of lives.entries()) {
        expect(numbers).toEqual(range(life * 1e6, life * 1e6 + numbers.length));
      }
    }
  });

  test.each(transports)("REQ asks again and gets its own answer, over %s", async (transport) => {
    await using request = new Request({ relaxed: true, correlate: true, reconnectInterval: 10 });
    const endpoint = fixed(transport);
    request.connect(endpoint);
    let peer = libzmq("rep", "bind", endpoint);
    let again = 0;
    for (let number = 0; number < LIVES * 20; number += 1) {
      if (number % 20 === 10) {
        // Half of the times a question is on its way.
        if (number % 40 === 10) await request.send(`given up ${number}`);
        await peer.kill();
        peer = libzmq("rep", "bind", endpoint);
      }
      for (;;) {
        await request.send(`question ${number}`);
        const answer = await request.receive({ timeout: 500 }).catch((error) => {
          if (error.code !== "EAGAIN") throw error;
          again += 1;
          return undefined;
        });
        if (answer === undefined) continue;
        expect(String(answer)).toBe(`question ${number}`);
        break;
      }
    }
    expect(again).toBeLessThanOrEqual(2 * LIVES);
  });

  test("REP goes on when those who asked are killed", async () => {
    await using reply = new Reply();
    await reply.bind("tcp://127.0.0.1:*");
    const events = record(reply);
    let answered = 0;
    const answering = (async () => {
      for await (const question of reply) {
        await reply.send(question);
        answered += 1;
      }
    })();
    for (let life = 0; life < LIVES; life += 1) {
      const before = answered;
      const peer = libzmq("dealer", "connect", reply.lastEndpoint!, {
        messages: "10,70000,10+10",
        rounds: 1e6,
        window: 50,
      });
      await eventually(() => answered > before + 100, "answers");
      await peer.kill();
    }
    await eventually(() => count(events, "disconnect") === LIVES, "disconnects");
    const good = libzmq("req", "connect", reply.lastEndpoint!, { messages: "5", rounds: 100 });
    expect(await good.report()).toMatchObject({ messages: 100, errors: 0 });
    reply.close();
    await answering;
  });
});

describe("connect before bind", () => {
  test.each(transports)("ours first, over %s", async (transport) => {
    await using push = new Push({ reconnectInterval: 20 });
    const endpoint = fixed(transport);
    push.connect(endpoint);
    for (const number of range(0, 100)) await push.send(numbered(number, 2, 20));
    await Bun.sleep(150);
    const peer = libzmq("pull", "bind", endpoint, {
      numbered: true,
      parts: 2,
      count: 100,
      log: true,
    });
    expect(await peer.report()).toMatchObject({ messages: 100, errors: 0 });
    expect(peer.numbers()).toEqual(range(0, 100));
  });

  test.each(transports)("libzmq first, over %s", async (transport) => {
    const endpoint = fixed(transport);
    const peer = libzmq("push", "connect", endpoint, { count: 100, parts: 2 });
    await peer.endpoint();
    await Bun.sleep(150);
    await using pull = new Pull();
    await pull.bind(endpoint);
    for (const number of range(0, 100)) {
      expect(numberOf(await pull.receive({ timeout: 5000 }), 2)).toBe(number);
    }
  });
});

describe("heartbeats of libzmq", () => {
  const DISCONNECTED = 0x200;
  const beat = {
    heartbeat: 100,
    // Long enough for a machine with other work, short enough to run out within the test.
    "heartbeat-timeout": 700,
    "heartbeat-ttl": 1000,
    monitor: true,
  } as const;
  const disconnects = (peer: Peer) => peer.lines.filter((line) => line.event === DISCONNECTED);

  test.each(["bind", "connect"] as const)("an idle link stays, we %s", async (ours) => {
    await using pull = new Pull();
    let peer: Peer;
    const options = { ...beat, count: 1, hold: true } as const;
    if (ours === "bind") {
      await pull.bind("tcp://127.0.0.1:*");
      peer = libzmq("push", "connect", pull.lastEndpoint!, options);
    } else {
      peer = libzmq("push", "bind", fresh("tcp"), options);
      pull.connect(await peer.endpoint());
    }
    const events = record(pull);
    await pull.receive({ timeout: 5000 });
    await Bun.sleep(1200);
    expect(disconnects(peer)).toEqual([]);
    expect(count(events, "disconnect")).toBe(0);
  });

  test("an idle REQ and a REP that thinks for long stay", async () => {
    await using reply = new Reply();
    await reply.bind("tcp://127.0.0.1:*");
    const asks = { ...beat, messages: "9", hold: true } as const;
    const peer = libzmq("req", "connect", reply.lastEndpoint!, asks);
    const question = await reply.receive({ timeout: 5000 });
    await Bun.sleep(1000);
    await reply.send(question);
    expect(await peer.report()).toMatchObject({ messages: 1, errors: 0 });
    expect(disconnects(peer)).toEqual([]);
  });

  test("busy links stay, in both directions", async () => {
    await using push = new Push();
    await push.bind("tcp://127.0.0.1:*");
    await using pull = new Pull();
    await pull.bind("tcp://127.0.0.1:*");
    const sink = libzmq("pull", "connect", push.lastEndpoint!, {
      ...beat,
      numbered: true,
      parts: 3,
      count: 0,
    });
    const source = libzmq("push", "connect", pull.lastEndpoint!, {
      ...beat,
      count: 1e9,
      parts: 2,
      size: 5000,
    });
    const end = performance.now() + 1200;
    let sent = 0;
    let received = 0;
    const sending = (async () => {
      for (; performance.now() < end; sent += 1) await push.send(numbered(sent, 3, 5000));
    })();
    for await (const message of pull) {
      expect(numberOf(message, 2)).toBe(received);
      received += 1;
      if (performance.now() > end) break;
    }
    await sending;
    expect(Math.min(sent, received)).toBeGreaterThan(1000);
    expect(disconnects(sink)).toEqual([]);
    expect(disconnects(source)).toEqual([]);
  });
});

test("four peers that flood us do not starve the rest of the program", async () => {
  const pulls = Array.from({ length: 4 }, () => new Pull());
  let received = 0;
  const loops = pulls.map(async (pull) => {
    await pull.bind("tcp://127.0.0.1:*");
    libzmq("push", "connect", pull.lastEndpoint!, { count: 1e9, parts: 3, size: 40, linger: 0 });
    for await (const message of pull) received += message.length;
  });
  await eventually(() => received > 10_000, "the flood");
  const end = performance.now() + 1000;
  let turns = 0;
  for (; performance.now() < end; turns += 1) await Bun.sleep(1);
  for (const pull of pulls) pull.close();
  await Promise.all(loops);
  // It is some hundreds; without a budget it was none in 20 seconds.
  expect(turns).toBeGreaterThan(10);
});

describe("the wrong socket type at the other end", () => {
  test("libzmq REP connects to our PUSH: it is refused, PULL is served", async () => {
    await using push = new Push();
    await push.bind("tcp://127.0.0.1:*");
    const events = record(push);
    const good = libzmq("pull", "connect", push.lastEndpoint!, { numbered: true, count: 1000 });
    await push.send(numbered(0, 1, 64));
    libzmq("rep", "connect", push.lastEndpoint!);
    await eventually(() => count(events, "handshake:error:protocol") > 0, "the refusal");
    const failure = events.find((event) => event.type === "handshake:error:protocol")!;
    expect(failure.reason).toBe("socket_type_mismatch");
    for (const number of range(1, 1000)) await push.send(numbered(number, 1, 64));
    expect(await good.report()).toMatchObject({ messages: 1000, errors: 0 });
  });

  test("our REP connects to libzmq PUSH: refused, its other peer is served", async () => {
    await using reply = new Reply({ reconnectInterval: 20 });
    const events = record(reply);
    const wrong = libzmq("push", "bind", fresh("tcp"), { count: 10 });
    const good = libzmq("req", "bind", fresh("tcp"), { messages: "3", rounds: 100 });
    reply.connect(await wrong.endpoint());
    reply.connect(await good.endpoint());
    for (let i = 0; i < 100; i += 1) await reply.send(await reply.receive({ timeout: 5000 }));
    expect(await good.report()).toMatchObject({ messages: 100, errors: 0 });
    await eventually(() => count(events, "handshake:error:protocol") > 0, "the refusal");
    const failure = events.find((event) => event.type === "handshake:error:protocol")!;
    expect(failure).toMatchObject({
      reason: "socket_type_mismatch",
      address: await wrong.endpoint(),
    });
  });
});
