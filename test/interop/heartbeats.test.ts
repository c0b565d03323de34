// Heartbeats against libzmq: on either side, on both, with readers that stop reading, and with a peer
// that is frozen.

import { afterEach, describe, expect, test } from "bun:test";
import { Pull, type Socket } from "../../src/index.ts";
import { numberOf } from "./messages.ts";
import { fresh, killPeers, libzmq, type Peer, transports } from "./peer.ts";
import { findFrozen, findFrozenByItsWord } from "./scenes.ts";

afterEach(killPeers);

const DISCONNECTED = 0x200;
const limits = { timeout: 5000 };
const disconnects = (peer: Peer) => peer.lines.filter((line) => line.event === DISCONNECTED).length;

/** Long enough for a machine with other work. */
const theirs = { heartbeat: 100, "heartbeat-timeout": 700, "heartbeat-ttl": 1000 } as const;
const ours = { heartbeatInterval: 100, heartbeatTimeout: 700, heartbeatTimeToLive: 1000 } as const;

const sides = [
  ["ours", ours, {}],
  ["libzmq's", {}, theirs],
  ["both", ours, theirs],
] as const;

function expectStayed(socket: Socket, peer: Peer): void {
  expect(disconnects(peer)).toBe(0);
  expect(socket.stats()).toMatchObject({ heartbeatsFailed: 0, connections: 1 });
}

describe.each(sides)("heartbeats: %s", (_, own, other) => {
  test.each(transports)("an idle link stays over %s, and ours know the round trip", async (transport) => {
    await using pull = new Pull(own);
    await pull.bind(fresh(transport));
    const options = { ...other, monitor: true, count: 1, hold: true } as const;
    const peer = libzmq("push", "connect", pull.lastEndpoint!, options);
    await pull.receive(limits);
    await Bun.sleep(1500);
    expectStayed(pull, peer);
    const { roundTripTime } = pull.peers()[0]!;
    if (own === ours) expect(roundTripTime).toBeLessThan(500);
    else expect(roundTripTime).toBeUndefined();
  });

  // Its sender is held up for longer than any of the timeouts, twice.
  test.each(transports)("a reader of ours that stops loses nothing over %s", async (transport) => {
    await using pull = new Pull({ ...own, receiveHighWaterMark: 1 });
    await pull.bind(fresh(transport));
    const peer = libzmq("push", "connect", pull.lastEndpoint!, {
      ...other, monitor: true, hwm: 1, count: 1000, parts: 2, size: 4000, hold: true,
      // Whoever pings has to have been heard before nobody listens any more.
      "delay-us": 1000,
    });
    for (let i = 0; i < 1000; i += 1) {
      if (i === 300 || i === 600) await Bun.sleep(1700);
      expect(numberOf(await pull.receive(limits), 2)).toBe(i);
    }
    expectStayed(pull, peer);
  });
});

describe("a frozen libzmq", () => {
  test("is found dead, and found again when it goes on", async () => {
    await findFrozen({ ours: {}, theirs: {} });
  });

  test("that had told its time to live is found dead without heartbeats of ours", async () => {
    await findFrozenByItsWord({ ours: {}, theirs: {} });
  });
});
