// A CURVE link to libzmq over time: peers that are killed and come back, heartbeats, floods.

import { afterEach, describe, expect, test } from "bun:test";
import { Dealer, Pull, Push } from "../../src/index.ts";
import { bothHalves, type Part } from "./credentials.ts";
import { numbered, numberOf, range } from "./messages.ts";
import {
  eventually,
  fixed,
  fresh,
  killPeers,
  libzmq,
  type Peer,
  type PeerOptions,
  type Side,
  type Transport,
  transports,
} from "./peer.ts";
import { findFrozen, findFrozenByItsWord, LIVES, PARTS, pushToTheKilled } from "./scenes.ts";

afterEach(killPeers);

const limits = { timeout: 10_000 };

const faults = (peer: Peer) => peer.lines.filter((line) => "error" in line);

const roles = transports.flatMap((transport) => [
  { transport, part: "server" as Part },
  { transport, part: "client" as Part },
]);

describe("libzmq is killed and started again ten times", () => {
  test.each(roles)("PUSH as a $part over $transport: what was not in flight arrives", async ({ transport, part }) => {
    const { ours, theirs } = bothHalves("CURVE", part);
    await pushToTheKilled(transport, { ours: { ...ours, reconnectInterval: 10, linger: 0 }, theirs });
  });

  // Frames are encrypted in the order in which they were sent, but their keys end with a connection:
  // the rest is encrypted again for the next one.
  test.each(roles)("under load as a $part over $transport: no half, no twin", async ({ transport, part }) => {
    const { ours, theirs } = bothHalves("CURVE", part);
    const options = { ...ours, reconnectInterval: 10, sendHighWaterMark: 200, linger: 0 };
    await using dealer = new Dealer(options);
    const endpoint = fixed(transport);
    dealer.connect(endpoint);
    let running = true;
    let sent = 0;
    const sending = (async () => {
      for (; running; sent += 1) await dealer.send(numbered(sent, PARTS, sent % 7 === 0 ? 40_000 : 300));
    })();
    const next = () =>
      libzmq("dealer", "bind", endpoint, { ...theirs, numbered: true, parts: PARTS, log: true });
    const lives: number[][] = [];
    for (let life = 0; life < LIVES; life += 1) {
      const peer = next();
      const enough = 100 + life * 37;
      await peer.until(() => (peer.numbers().length > enough ? true : undefined), "messages");
      await peer.kill();
      expect(faults(peer)).toEqual([]);
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

  test.each(roles)("PULL as a $part over $transport: no half, no twin", async ({ transport, part }) => {
    const { ours, theirs } = bothHalves("CURVE", part);
    for (const side of ["bind", "connect"] as const) {
      await using pull = new Pull({ ...ours, reconnectInterval: 10 });
      const endpoint = fixed(transport);
      if (side === "bind") await pull.bind(endpoint);
      else pull.connect(endpoint);
      const lives: number[][] = Array.from({ length: LIVES / 2 }, () => []);
      const receiving = (async () => {
        for await (const message of pull) {
          const number = numberOf(message, PARTS);
          lives[Math.floor(number / 1e6)]!.push(number);
        }
      })();
      for (const [life, numbers] of lives.entries()) {
        const peer = libzmq("push", side === "bind" ? "connect" : "bind", endpoint, {
          ...theirs, count: 1e6, first: life * 1e6, parts: PARTS, size: 40_000,
        });
        await eventually(() => numbers.length > 20 + life * 7, `life ${life}`);
        await peer.kill();
      }
      pull.close();
      await receiving;
      for (const [life, numbers] of lives.entries()) {
        expect(numbers).toEqual(range(life * 1e6, life * 1e6 + numbers.length));
      }
    }
  });
});

const DISCONNECTED = 0x200;
/** Long enough for a machine with other work. */
const their = { heartbeat: 100, "heartbeat-timeout": 700, "heartbeat-ttl": 1000 } as const;
const our = { heartbeatInterval: 100, heartbeatTimeout: 700, heartbeatTimeToLive: 1000 } as const;

const beats = [
  ["ours", our, {}],
  ["libzmq's", {}, their],
  ["both", our, their],
] as const;

describe.each(beats)("heartbeats inside CURVE: %s", (_, own, other) => {
  async function stays(part: Part): Promise<void> {
    const { ours, theirs } = bothHalves("CURVE", part);
    await using pull = new Pull({ ...ours, ...own });
    await pull.bind(fresh("tcp"));
    const options: PeerOptions = { ...theirs, ...other, monitor: true, parts: 2, size: 4000 };
    const idle = libzmq("push", "connect", pull.lastEndpoint!, { ...options, count: 1, hold: true });
    await pull.receive(limits);
    await Bun.sleep(1100);
    libzmq("push", "connect", pull.lastEndpoint!, { ...options, count: 1000, hold: true, first: 1 });
    for (let number = 1; number <= 1000; number += 1) {
      expect(numberOf(await pull.receive(limits), 2)).toBe(number);
    }
    expect(idle.lines.filter((line) => line.event === DISCONNECTED)).toEqual([]);
    expect(pull.stats()).toMatchObject({ heartbeatsFailed: 0, connections: 2 });
    const { roundTripTime } = pull.peers()[0]!;
    if (own === our) expect(roundTripTime).toBeLessThan(500);
    else expect(roundTripTime).toBeUndefined();
  }

  test("an idle link stays, and one that works, as a server and as a client", async () => {
    await Promise.all([stays("server"), stays("client")]);
  });
});

describe("a frozen libzmq inside CURVE", () => {
  test("is found dead, and found again when it goes on", async () => {
    await findFrozen(bothHalves("CURVE", "client"));
  });

  test("that had told its time to live is found dead without heartbeats of ours", async () => {
    await findFrozenByItsWord(bothHalves("CURVE", "server"));
  });
});

describe("100,000 messages inside CURVE, none lost, in order", () => {
  const COUNT = 100_000;
  const ways: [Part, Side, Transport][] = [["server", "bind", "tcp"], ["client", "connect", "ipc"]];

  test.each(ways)("PUSH as a %s that %ss over %s", async (part, side, transport) => {
    const { ours, theirs } = bothHalves("CURVE", part);
    await using push = new Push(ours);
    const options = { ...theirs, numbered: true, count: COUNT } as const;
    let peer: Peer;
    if (side === "bind") {
      await push.bind(fresh(transport));
      peer = libzmq("pull", "connect", push.lastEndpoint!, options);
    } else {
      peer = libzmq("pull", "bind", fresh(transport), options);
      push.connect(await peer.endpoint());
    }
    for (let number = 0; number < COUNT; number += 1) await push.send(numbered(number, 1, 64));
    expect(await peer.report()).toMatchObject({ messages: COUNT, errors: 0 });
  });

  test.each(ways)("PULL as a %s that %ss over %s", async (part, side, transport) => {
    const { ours, theirs } = bothHalves("CURVE", part);
    await using pull = new Pull(ours);
    const options = { ...theirs, count: COUNT, hold: true } as const;
    if (side === "bind") {
      await pull.bind(fresh(transport));
      libzmq("push", "connect", pull.lastEndpoint!, options);
    } else {
      pull.connect(await libzmq("push", "bind", fresh(transport), options).endpoint());
    }
    let next = 0;
    for await (const batch of pull.batches({ borrow: true })) {
      for (const message of batch) {
        if (message[0]!.readUInt32LE(0) !== next) expect(message[0]!.readUInt32LE(0)).toBe(next);
        next += 1;
      }
      if (next >= COUNT) break;
    }
    expect(next).toBe(COUNT);
  });
});
