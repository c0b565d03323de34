// Events in the order in which libzmq tells them: the same thing is done to one of its sockets and
// to one of ours. Where ours tell more, it says so here.

import { afterEach, describe, expect, test } from "bun:test";
import { Dealer, type EventType, Router } from "../../src/index.ts";
import { greeting, ready } from "../hostile/wire.ts";
import { eventually, fixed, fresh, killPeers, libzmq, transports } from "./peer.ts";

const names: Record<number, EventType> = {
  0x1: "connect",
  0x2: "connect:delay",
  0x4: "connect:retry",
  0x8: "bind",
  0x10: "bind:error",
  0x20: "accept",
  0x40: "accept:error",
  0x80: "close",
  0x100: "close:error",
  0x200: "disconnect",
  0x800: "handshake:error:other",
  0x1000: "handshake",
  0x2000: "handshake:error:protocol",
  0x4000: "handshake:error:auth",
};

/** A socket that is watched: one of libzmq's in another process, or one of ours. */
interface Subject {
  readonly told: () => EventType[];
  endpoint(): Promise<string>;
}

const subjects: [string, (side: "bind" | "connect", endpoint: string) => Subject][] = [
  ["libzmq", (side, endpoint) => {
    const peer = libzmq("dealer", side, endpoint, { monitor: true });
    const told = () =>
      peer.lines.flatMap(({ event }) => (event === undefined ? [] : [names[event as number]!]));
    return { told, endpoint: () => peer.endpoint() };
  }],
  ["monocoque", (side, endpoint) => {
    const dealer = new Dealer({ linger: 0 });
    cleanUps.push(() => dealer.close());
    const events: EventType[] = [];
    for (const type of Object.values(names)) dealer.events.on(type, () => events.push(type));
    dealer.events.on("connect:stop", () => events.push("connect:stop"));
    if (side === "bind") dealer.bindSync(endpoint);
    else dealer.connect(endpoint);
    return { told: () => events, endpoint: async () => dealer.lastEndpoint! };
  }],
];

const cleanUps: (() => void)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
  await killPeers();
});

/** A server that says something to whoever comes, and hangs up if it is to. */
function server(says: Uint8Array, hangsUp: boolean): string {
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.write(says);
        if (hangsUp) socket.end();
      },
      data() {},
    },
  });
  cleanUps.push(() => listener.stop(true));
  return `tcp://127.0.0.1:${listener.port}`;
}

async function client(endpoint: string, says: Uint8Array, hangsUp: boolean): Promise<void> {
  const port = Number(endpoint.slice(endpoint.lastIndexOf(":") + 1));
  const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
  cleanUps.push(() => socket.end());
  socket.write(says);
  if (hangsUp) socket.end();
}

async function begins(subject: Subject, expected: readonly EventType[]): Promise<void> {
  const told = () => subject.told().slice(0, expected.length);
  await eventually(() => told().length === expected.length, `not ${told()}`).catch(() => {});
  expect(told()).toEqual([...expected]);
}

const silent = new Uint8Array();
const wrongMechanism = greeting("PLAIN");
const wrongType = Buffer.concat([greeting(), ready("PUB")]);

describe.each(subjects)("what happens is told in libzmq's order: %s", (who, watch) => {
  const own = who === "monocoque";

  test.each(transports)("a server that goes away and comes back, over %s", async (transport) => {
    // A path is there or not: libzmq has no attempt that takes time.
    const delay: EventType[] = own || transport === "tcp" ? ["connect:delay"] : [];
    const endpoint = fixed(transport);
    const first = new Router({ linger: 0 });
    first.bindSync(endpoint);
    const subject = watch("connect", endpoint);
    const up: EventType[] = [...delay, "connect", "handshake"];
    await begins(subject, up);
    first.close();
    const lost: EventType[] = ["disconnect", "connect:retry", ...delay, "close", "connect:retry"];
    const down: EventType[] = [...up, ...lost];
    await begins(subject, down);
    using second = new Router({ linger: 0 });
    second.bindSync(endpoint);
    await eventually(() => subject.told().at(-1) === "handshake", "it is back");
    expect(subject.told().slice(-up.length)).toEqual(up);
    // Between them nothing but attempts that failed.
    const loop = [...delay, "close", "connect:retry"].join();
    const between = subject.told().slice(down.length, -up.length).join();
    expect(between.replaceAll(loop, "").replaceAll(",", "")).toBe("");
  });

  test("nobody listens", async () => {
    const subject = watch("connect", fixed("tcp"));
    const attempt: EventType[] = ["connect:delay", "close", "connect:retry"];
    await begins(subject, [...attempt, ...attempt]);
  });

  test("a server that hangs up in the handshake", async () => {
    const subject = watch("connect", server(silent, true));
    const attempt: EventType[] = [
      "connect:delay", "connect", "handshake:error:other", "disconnect", "connect:retry",
    ];
    await begins(subject, [...attempt, ...attempt]);
  });

  test("a server with another mechanism: there is no further attempt, as ours say", async () => {
    const subject = watch("connect", server(wrongMechanism, false));
    await begins(subject, [
      "connect:delay", "connect", "handshake:error:protocol", "disconnect",
      ...(own ? (["connect:stop"] as const) : []),
    ]);
  });

  test("a server of a type that does not fit: only ours say what was wrong", async () => {
    const subject = watch("connect", server(wrongType, false));
    await begins(subject, own
      ? ["connect:delay", "connect", "handshake:error:protocol", "disconnect", "connect:stop"]
      : ["connect:delay", "connect", "disconnect"]);
  });

  test.each(transports)("a client that comes and goes, over %s", async (transport) => {
    const subject = watch("bind", fresh(transport));
    const visitor = new Router({ linger: 0 });
    visitor.connect(await subject.endpoint());
    await begins(subject, ["bind", "accept", "handshake"]);
    visitor.close();
    await begins(subject, ["bind", "accept", "handshake", "disconnect"]);
  });

  test("a client that hangs up in the handshake", async () => {
    const subject = watch("bind", fresh("tcp"));
    await client(await subject.endpoint(), silent, true);
    await begins(subject, ["bind", "accept", "handshake:error:other", "disconnect"]);
  });

  test("a client with another mechanism", async () => {
    const subject = watch("bind", fresh("tcp"));
    await client(await subject.endpoint(), wrongMechanism, false);
    await begins(subject, ["bind", "accept", "handshake:error:protocol", "disconnect"]);
  });

  test("a client of a type that does not fit: only ours say what was wrong", async () => {
    const subject = watch("bind", fresh("tcp"));
    await client(await subject.endpoint(), wrongType, false);
    await begins(subject, own
      ? ["bind", "accept", "handshake:error:protocol", "disconnect"]
      : ["bind", "accept", "disconnect"]);
  });
});
