// What a link to libzmq has to come through whatever its mechanism: played without security and with CURVE.

import { expect } from "bun:test";
import { Dealer, Push, Router, type Socket } from "../../src/index.ts";
import { numbered, range } from "./messages.ts";
import { eventually, fixed, fresh, libzmq, type PeerOptions, type Transport } from "./peer.ts";

/** Options of ours and of libzmq's socket. */
export interface Halves {
  ours: object;
  theirs: PeerOptions;
}

export const LIVES = 10;
export const PARTS = 3;

const limits = { timeout: 5000 };

/** Why its connections ended, as they do. */
function endings(socket: Socket): (string | undefined)[] {
  const reasons: (string | undefined)[] = [];
  socket.events.on("disconnect", ({ reason }) => reasons.push(reason));
  return reasons;
}

/** A PULL that is killed ten times between messages: those that were not in flight arrive. */
export async function pushToTheKilled(transport: Transport, { ours, theirs }: Halves): Promise<void> {
  await using push = new Push(ours);
  const ends = endings(push);
  const endpoint = fixed(transport);
  push.connect(endpoint);
  let sent = 0;
  const arrived: number[] = [];
  const send = async (messages: number) => {
    for (const end = sent + messages; sent < end; sent += 1) {
      await push.send(numbered(sent, PARTS, 100));
    }
  };
  await send(50);
  for (let life = 1; life <= LIVES; life += 1) {
    const peer = libzmq("pull", "bind", endpoint, { ...theirs, numbered: true, parts: PARTS, log: true });
    const due = sent - arrived.length + 50;
    await peer.endpoint();
    await send(50);
    await peer.until(() => (peer.numbers().length >= due ? true : undefined), "all of it");
    await peer.kill();
    arrived.push(...peer.numbers());
    await eventually(() => ends.length === life, "the disconnect event");
    // Nobody is there: these wait.
    if (life < LIVES) await send(50);
  }
  expect(arrived).toEqual(range(0, sent));
}

/** A peer that is frozen misses our PINGs; when it goes on it is found again. */
export async function findFrozen({ ours, theirs }: Halves): Promise<void> {
  const beat = { heartbeatInterval: 50, heartbeatTimeout: 300, reconnectInterval: 20 };
  await using dealer = new Dealer({ ...ours, ...beat });
  const stream = { stream: true, count: 1e6, "delay-us": 1000 } as const;
  const peer = libzmq("dealer", "bind", fresh("tcp"), { ...theirs, ...stream });
  dealer.connect(await peer.endpoint());
  await dealer.receive(limits);
  const reasons = endings(dealer);
  process.kill(peer.pid, "SIGSTOP");
  while (reasons.length === 0) await dealer.receive({ timeout: 50 }).catch(() => undefined);
  expect(reasons).toEqual(["heartbeat_timeout"]);
  process.kill(peer.pid, "SIGCONT");
  await dealer.connected(undefined, limits);
}

/** A peer that is frozen and had told its time to live: nothing of ours has to ask. */
export async function findFrozenByItsWord({ ours, theirs }: Halves): Promise<void> {
  await using router = new Router(ours);
  await router.bind("tcp://127.0.0.1:*");
  const reasons = endings(router);
  const beat = { heartbeat: 50, "heartbeat-timeout": 5000, "heartbeat-ttl": 300 } as const;
  const peer = libzmq("dealer", "connect", router.lastEndpoint!, {
    ...theirs, ...beat, hold: true, messages: "1", rounds: 1,
  });
  await router.receive(limits);
  await Bun.sleep(150);
  process.kill(peer.pid, "SIGSTOP");
  await eventually(() => reasons.length > 0, "its end");
  expect(reasons).toEqual(["heartbeat_timeout"]);
  process.kill(peer.pid, "SIGCONT");
}
