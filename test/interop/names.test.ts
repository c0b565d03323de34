// What a link to libzmq keeps when the peer is killed and comes back: the names of a ROUTER's
// peers, what waits for them, whose turn it is.

import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { Dealer, type Event, Pair, Router, type Socket, type ZmqError } from "../../src/index.ts";
import { eventually, fixed, killPeers, type Side, type Transport, transports } from "./peer.ts";
import { Remote, type RemoteOption, type RemoteSocket, type RemoteType } from "./remote.ts";
import { Table } from "./table.ts";

const LIVES = 3;
const patience = { timeout: 10_000 };
const table = new Table("what holds when the peer of libzmq is killed and comes back", transports);

afterEach(killPeers);
afterAll(() => table.print());

type Show = (what: string, run: (endpoint: string) => Promise<void>) => void;

/** Tests over each transport, with their rows of the table. */
function about(who: string, tests: (shown: Show) => void): void {
  describe(who, () => {
    tests((what, run) => {
      const row = `${who}: ${what}`;
      table.add(row);
      test.each(transports)(`${what}, over %s`, async (transport: Transport) => {
        await run(fixed(transport));
        table.fill(row, transport, "ok");
      });
    });
  });
}

/** A socket of libzmq in a process of its own, which can be killed. */
async function life(
  type: RemoteType,
  side: Side,
  endpoint: string,
  settings: Partial<Record<RemoteOption, number | string>> = {},
): Promise<{ remote: Remote; socket: RemoteSocket }> {
  const remote = new Remote();
  const socket = await remote.socket(type, settings);
  await socket[side](endpoint);
  return { remote, socket };
}

interface Receiver extends Socket {
  receive(options: { timeout: number }): Promise<Buffer[]>;
}

async function receive(socket: Receiver): Promise<string[]> {
  return (await socket.receive(patience)).map((part) => part.toString("latin1"));
}

async function theirs(socket: RemoteSocket): Promise<string[]> {
  return (await socket.receive()).map((part) => part.toString("latin1"));
}

/** Until a mandatory Router says that it has no such peer. */
async function unreachable(router: Router, id: string): Promise<void> {
  for (;;) {
    try {
      await router.send([id, "nobody there"], patience);
    } catch (error) {
      if ((error as ZmqError).code === "EHOSTUNREACH") return;
      throw error;
    }
    await Bun.sleep(1);
  }
}

function record(socket: Socket, ...types: Event["type"][]): Event[] {
  const events: Event[] = [];
  for (const type of types) socket.events.on(type, (event) => events.push(event));
  return events;
}

about("our ROUTER is bound", (shown) => {
  shown("a DEALER with a name is known by it in every life", async (endpoint) => {
    await using router = new Router({ mandatory: true });
    await router.bind(endpoint);
    for (let number = 0; number < LIVES; number += 1) {
      const { remote, socket } = await life("DEALER", "connect", endpoint, { ROUTING_ID: "who" });
      await socket.send("hello", "", `life ${number}`);
      expect(await receive(router)).toEqual(["who", "hello", "", `life ${number}`]);
      await router.send(["who", "welcome", String(number)]);
      expect(await theirs(socket)).toEqual(["welcome", String(number)]);
      await remote.kill();
      await unreachable(router, "who");
    }
  });

  shown("a DEALER without a name gets a new one in every life", async (endpoint) => {
    await using router = new Router({ mandatory: true });
    await router.bind(endpoint);
    const names = new Set<string>();
    for (let number = 0; number < LIVES; number += 1) {
      const { remote, socket } = await life("DEALER", "connect", endpoint);
      await socket.send("hello");
      const [id, text] = await receive(router);
      expect(text).toBe("hello");
      expect(id).toMatch(/^\0[^]{4}$/);
      names.add(id!);
      await router.send([Buffer.from(id!, "latin1"), "welcome"]);
      expect(await theirs(socket)).toEqual(["welcome"]);
      await remote.kill();
    }
    expect(names.size).toBe(LIVES);
  });

  shown("of two DEALERs with one name the first keeps it", async (endpoint) => {
    await using router = new Router({ mandatory: true });
    await router.bind(endpoint);
    const refusals = record(router, "handshake:error:protocol", "disconnect");
    const first = await life("DEALER", "connect", endpoint, { ROUTING_ID: "twin" });
    await first.socket.send("first");
    expect(await receive(router)).toEqual(["twin", "first"]);
    const second = await life("DEALER", "connect", endpoint, { ROUTING_ID: "twin" });
    await second.socket.send("second");
    await eventually(() => refusals.length > 0, "the refusal of the second");
    await first.socket.send("first again");
    expect(await receive(router)).toEqual(["twin", "first again"]);
    await router.send(["twin", "you"]);
    expect(await theirs(first.socket)).toEqual(["you"]);
    expect(await second.socket.tryReceive()).toBeUndefined();
  });

  shown("with handover the second of them has it", async (endpoint) => {
    await using router = new Router({ mandatory: true, handover: true });
    await router.bind(endpoint);
    // Only once: the first would take it back.
    const first = await life("DEALER", "connect", endpoint, {
      ROUTING_ID: "twin",
      RECONNECT_IVL: -1,
    });
    await first.socket.send("first");
    expect(await receive(router)).toEqual(["twin", "first"]);
    const second = await life("DEALER", "connect", endpoint, { ROUTING_ID: "twin" });
    await second.socket.send("second");
    expect(await receive(router)).toEqual(["twin", "second"]);
    await router.send(["twin", "you"]);
    expect(await theirs(second.socket)).toEqual(["you"]);
    expect(await first.socket.tryReceive()).toBeUndefined();
  });

  shown("a DEALER that probes is seen before it speaks", async (endpoint) => {
    await using router = new Router();
    await router.bind(endpoint);
    for (let number = 0; number < LIVES; number += 1) {
      const settings = { ROUTING_ID: "probe", PROBE_ROUTER: 1 };
      const { remote, socket } = await life("DEALER", "connect", endpoint, settings);
      expect(await receive(router)).toEqual(["probe", ""]);
      await router.send(["probe", "seen"]);
      expect(await theirs(socket)).toEqual(["seen"]);
      await remote.kill();
    }
  });
});

about("our ROUTER connects", (shown) => {
  shown("a peer keeps its first name, and what waits for it", async (endpoint) => {
    await using router = new Router({ mandatory: true, reconnectInterval: 20 });
    router.connect(endpoint);
    const events = record(router, "disconnect");
    for (let number = 0; number < LIVES; number += 1) {
      const settings = { ROUTING_ID: `name ${number}` };
      const { remote, socket } = await life("DEALER", "bind", endpoint, settings);
      if (number > 0) expect(await theirs(socket)).toEqual(["meanwhile"]);
      await socket.sendWhenPossible("hello");
      expect(await receive(router)).toEqual(["name 0", "hello"]);
      await router.send(["name 0", "welcome"]);
      expect(await theirs(socket)).toEqual(["welcome"]);
      await remote.kill();
      await eventually(() => events.length > number, "the end of the connection");
      if (number + 1 < LIVES) await router.send(["name 0", "meanwhile"]);
    }
  });

  shown("a peer named by us can be sent to before it is there", async (endpoint) => {
    await using router = new Router({ mandatory: true, reconnectInterval: 20 });
    const events = record(router, "disconnect");
    router.connect(endpoint, { routingId: "store" });
    for (let number = 0; number < LIVES; number += 1) {
      await router.send(["store", `order ${number}`]);
      const { remote, socket } = await life("DEALER", "bind", endpoint, { ROUTING_ID: "other" });
      expect(await theirs(socket)).toEqual([`order ${number}`]);
      await socket.send("done");
      expect(await receive(router)).toEqual(["store", "done"]);
      await remote.kill();
      await eventually(() => events.length > number, "the end of the connection");
    }
  });

  shown("two ROUTERs with names find each other again", async (endpoint) => {
    await using router = new Router({ routingId: "ours", reconnectInterval: 20 });
    router.connect(endpoint);
    for (let number = 0; number < LIVES; number += 1) {
      const settings = { ROUTING_ID: "theirs", ROUTER_MANDATORY: 1 };
      const { remote, socket } = await life("ROUTER", "bind", endpoint, settings);
      await socket.sendWhenPossible("ours", "hello", String(number));
      expect(await receive(router)).toEqual(["theirs", "hello", String(number)]);
      await router.send(["theirs", "welcome"]);
      expect(await theirs(socket)).toEqual(["ours", "welcome"]);
      await remote.kill();
    }
  });
});

about("our DEALER", (shown) => {
  shown("has its name at a ROUTER in every life, nothing that waits is lost", async (endpoint) => {
    const options = { routingId: "ours", probeRouter: true, reconnectInterval: 20 };
    await using dealer = new Dealer(options);
    const events = record(dealer, "disconnect");
    dealer.connect(endpoint);
    for (let number = 0; number < LIVES; number += 1) {
      for (let i = 0; i < 10; i += 1) await dealer.send(["", `${number}.${i}`]);
      const { remote, socket } = await life("ROUTER", "bind", endpoint);
      const arrived = [];
      // The probe is the first of a new connection or waits its turn behind what waited already.
      while (arrived.length < 11) arrived.push(await theirs(socket));
      const waited = arrived.filter((message) => message.length === 3);
      expect(waited).toEqual(Array.from({ length: 10 }, (_, i) => ["ours", "", `${number}.${i}`]));
      expect(arrived.filter((message) => message.length === 2)).toEqual([["ours", ""]]);
      await socket.send("ours", "", "answer");
      expect(await receive(dealer)).toEqual(["", "answer"]);
      await remote.kill();
      await eventually(() => events.length > number, "the end of the connection");
    }
  });

  shown("deals in turn, and all to the one that is left", async (endpoint) => {
    await using dealer = new Dealer();
    await dealer.bind(endpoint);
    const events = record(dealer, "disconnect");
    const goes = await life("DEALER", "connect", endpoint);
    const stays = await life("DEALER", "connect", endpoint);
    for (const { socket } of [goes, stays]) {
      await socket.send("here");
      expect(await receive(dealer)).toEqual(["here"]);
    }
    const deal = async (messages: number) => {
      for (let i = 0; i < messages; i += 1) await dealer.send(["question", String(i)]);
    };
    const dealt = async (socket: RemoteSocket, messages: number) => {
      for (let i = 0; i < messages; i += 1) expect((await theirs(socket))[0]).toBe("question");
    };
    await deal(20);
    await dealt(goes.socket, 10);
    await dealt(stays.socket, 10);
    await goes.remote.kill();
    await eventually(() => events.length > 0, "the end of one");
    await deal(20);
    await dealt(stays.socket, 20);
  });
});

about("our PAIR", (shown) => {
  for (const side of ["bind", "connect"] as const) {
    const other = side === "bind" ? "connect" : "bind";
    shown(`${side}s, goes on with the next life of its peer`, async (endpoint) => {
      await using pair = new Pair({ reconnectInterval: 20 });
      await pair[side](endpoint);
      for (let number = 0; number < LIVES; number += 1) {
        const { remote, socket } = await life("PAIR", other, endpoint);
        await socket.sendWhenPossible("hello", String(number));
        expect(await receive(pair)).toEqual(["hello", String(number)]);
        await pair.send(["welcome", String(number)]);
        expect(await theirs(socket)).toEqual(["welcome", String(number)]);
        await remote.kill();
      }
    });
  }

  shown("has one peer: a second is turned away", async (endpoint) => {
    await using pair = new Pair();
    await pair.bind(endpoint);
    const refusals = record(pair, "handshake:error:protocol", "disconnect");
    const first = await life("PAIR", "connect", endpoint);
    await first.socket.send("first");
    expect(await receive(pair)).toEqual(["first"]);
    const second = await life("PAIR", "connect", endpoint);
    await second.socket.send("second");
    await eventually(() => refusals.length > 0, "the refusal of the second");
    await pair.send("you");
    expect(await theirs(first.socket)).toEqual(["you"]);
    await first.socket.send("first again");
    expect(await receive(pair)).toEqual(["first again"]);
  });
});
