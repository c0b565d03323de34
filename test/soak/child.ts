// A peer with this library in a process of its own, which is killed: started by the soak.
//
//   bun test/soak/child.ts <role> <endpoint> <first> <count>

import { Channel, Client, Dish, Peer as PeerSocket, Radio, Scatter } from "../../src/draft.ts";
import { Dealer, Pair, Push } from "../../src/index.ts";
import { numbered } from "../interop/messages.ts";
import { Peer } from "../interop/peer.ts";
import { PARTS } from "./work.ts";

type Run = (endpoint: string, first: number, count: number) => Promise<void>;

async function many(socket: Push | Pair | Dealer, endpoint: string, first: number, count: number) {
  socket.connect(endpoint);
  for (let i = 0; i < count; i += 1) await socket.send(numbered(first + i, PARTS, 200));
  socket.close();
}

async function single(socket: Scatter | Channel, endpoint: string, first: number, count: number) {
  socket.connect(endpoint);
  for (let i = 0; i < count; i += 1) await socket.send(numbered(first + i, 1, 200)[0]!);
  socket.close();
}

const roles = {
  push: (...rest) => many(new Push(), ...rest),
  pair: (...rest) => many(new Pair(), ...rest),
  dealer: (...rest) => many(new Dealer(), ...rest),
  scatter: (...rest) => single(new Scatter(), ...rest),
  channel: (...rest) => single(new Channel(), ...rest),

  async client(endpoint, first, count) {
    const client = new Client();
    client.connect(endpoint);
    for (let i = first; i < first + count; i += 1) {
      await client.send(`question ${i}`);
      said(i, String(await client.receive({ timeout: 10_000 })) === `question ${i}`);
    }
  },

  async peer(endpoint, first, count) {
    const peer = new PeerSocket();
    const routingId = peer.connectPeer(endpoint);
    for (let i = first; i < first + count; i += 1) {
      await peer.send(`question ${i}`, { routingId });
      const [answer, from] = await peer.receive({ timeout: 10_000 });
      said(i, String(answer) === `question ${i}` && from.routingId === routingId);
    }
  },

  async radio(endpoint, first, count) {
    const radio = new Radio({ noDrop: true });
    await radio.bind(endpoint);
    await radio.joined("numbers");
    for (let i = first; i < first + count; i += 1) {
      await radio.send(numbered(i, 1, 200)[0]!, { group: "numbers" });
      await radio.send("not for you", { group: "number" });
    }
  },

  async dish(endpoint) {
    const dish = new Dish();
    dish.connect(endpoint);
    dish.join("numbers");
    let last = -1;
    for await (const [body, { group }] of dish) {
      const number = Number(body.readBigUInt64LE());
      said(number, String(group) === "numbers" && (last < 0 || number === last + 1));
      last = number;
    }
  },
} satisfies Record<string, Run>;

function said(number: number, right: boolean): void {
  console.log(JSON.stringify(right ? { number } : { error: `a wrong message at ${number}` }));
}

/** Starts one. */
export function child(role: keyof typeof roles, endpoint: string, first = 0, count = 1e6): Peer {
  const command = [process.execPath, import.meta.path, role, endpoint];
  return new Peer([...command, String(first), String(count)]);
}

if (import.meta.main) {
  // The parent is gone when its end of the pipe is.
  process.stdin.on("end", () => process.exit(0)).resume();
  const [role, endpoint, first, count] = process.argv.slice(2);
  await roles[role as keyof typeof roles](endpoint!, Number(first), Number(count));
  process.stdin.pause();
  process.stdin.unref?.();
}
