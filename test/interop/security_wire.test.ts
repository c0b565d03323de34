// CURVE on the wire against another implementation, written from the RFCs: first libzmq has to agree
// with it, then we have to say what libzmq says, command by command.

import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { Dealer, Publisher, Router, type Socket, Subscriber } from "../../src/index.ts";
import { z85Decode } from "../../src/z85.ts";
import { client, server } from "./credentials.ts";
import { fresh, killPeers, libzmq, type Peer, python } from "./peer.ts";

afterEach(killPeers);

test("the transcript with fixed keys is what the other implementation makes of them", async () => {
  const script = `${import.meta.dir}/pyzmq/curve_reference.py`;
  const made = Bun.spawnSync(["/usr/bin/python3", script, "transcript"]).stdout.toString();
  expect(made).toContain("MESSAGE of the server, 3000 bytes");
  const kept = readFileSync(`${import.meta.dir}/../../zig/zmtp/curve_transcript.txt`, "utf8");
  expect(kept).toBe(made);
});

const hex = (key: string) => Buffer.from(z85Decode(key)).toString("hex");

/** What a peer says, as the other end reads it: everything but keys and random bytes. */
function said(reference: Peer): unknown[] {
  return reference.lines.filter((line) => "greeting" in line || "command" in line);
}

async function until(reference: Peer, count: number): Promise<unknown[]> {
  const enough = () => (said(reference).length >= count ? said(reference) : undefined);
  return (await reference.until(enough, `${count} commands`)).slice(0, count);
}

const parts = [0, 1, 5, 222, 223, 300, 70_000];
/** As libzmq_peer makes them: its "--messages". */
const shape = parts.join("+");

/** Who is talked to: one of libzmq's sockets, or one of ours that is told the same. */
interface Subject {
  end: () => Promise<unknown>;
  endpoint: () => Promise<string>;
}

const keys = {
  client: {
    curveServerKey: server.publicKey,
    curvePublicKey: client.publicKey,
    curveSecretKey: client.secretKey,
  },
  server: { curveServer: true, curveSecretKey: server.secretKey },
} as const;

const theirKeys = {
  client: {
    "curve-server-key": server.publicKey,
    "curve-public": client.publicKey,
    "curve-secret": client.secretKey,
  },
  server: { "curve-server": server.secretKey },
} as const;

type Part = keyof typeof keys;

async function attach(socket: Socket, endpoint?: string): Promise<void> {
  if (endpoint === undefined) await socket.bind(fresh("tcp"));
  else socket.connect(endpoint);
}

function ofOurs(socket: Socket): Subject {
  return { end: async () => socket.close(), endpoint: async () => socket.lastEndpoint! };
}

function ofTheirs(peer: Peer): Subject {
  return { end: () => peer.kill(), endpoint: () => peer.endpoint() };
}

type Make = (part: Part, endpoint?: string) => Promise<Subject>;

/** A DEALER that sends a message of many parts. */
const dealers: Record<string, Make> = {
  libzmq: async (part, endpoint) => {
    const side = endpoint === undefined ? "bind" : "connect";
    const work = { stream: true, messages: shape, identity: "subject", hold: true } as const;
    return ofTheirs(libzmq("dealer", side, endpoint ?? fresh("tcp"), { ...work, ...theirKeys[part] }));
  },
  ours: async (part, endpoint) => {
    const dealer = new Dealer({ ...keys[part], routingId: "subject", linger: 0 });
    await attach(dealer, endpoint);
    // The same number of zeros: only the lengths of libzmq's are known here.
    void dealer.send(parts.map((size) => Buffer.alloc(size))).catch(() => {});
    return ofOurs(dealer);
  },
};

/** Contents differ, lengths do not. */
function withoutContents(lines: unknown[]): unknown[] {
  return lines.map((line) => {
    const { command, plain, ...rest } = line as { command?: string; plain?: string };
    if (command !== "MESSAGE") return line;
    return { command, ...rest, flags: plain!.startsWith("crc") ? "large" : plain!.slice(0, 2) };
  });
}

/** What was said to somebody else's server, or by one to its client. */
async function conversation(make: Make, part: Part, commands: number): Promise<unknown[]> {
  if (part === "client") {
    const reference = python("curve_reference", "server", "ROUTER", hex(server.secretKey));
    const subject = await make("client", await reference.endpoint());
    const lines = await until(reference, commands);
    expect(await reference.line("client")).toEqual({ client: hex(client.publicKey) });
    await subject.end();
    return lines;
  }
  const subject = await make("server");
  const address = (await subject.endpoint()).slice("tcp://".length);
  const rest = ["ROUTER", hex(client.secretKey), address, hex(server.publicKey)];
  const reference = python("curve_reference", "client", ...rest);
  const lines = await until(reference, commands);
  await subject.end();
  return lines;
}

describe.each(["client", "server"] as const)("as a %s", (part) => {
  test("we say what libzmq says: greeting, lengths, flags, nonces and metadata are the same", async () => {
    // Greeting and two commands of the handshake, or one with READY; then the parts.
    const commands = 3 + parts.length;
    const theirs = await conversation(dealers.libzmq!, part, commands);
    const names = part === "client" ? ["HELLO", "INITIATE"] : ["WELCOME", "READY"];
    expect(theirs.slice(1, 3).map((line) => (line as { command: string }).command)).toEqual(names);
    const ours = await conversation(dealers.ours!, part, commands);
    expect(withoutContents(ours)).toEqual(withoutContents(theirs));
  });
});

/** A SUB with heartbeats: what it sends are commands. */
const subscribers: Record<string, Make> = {
  libzmq: async (part, endpoint) => {
    const beat = { heartbeat: 20, "heartbeat-ttl": 1000, "heartbeat-timeout": 5000 };
    const options = { ...theirKeys[part], ...beat, subscribe: ["weather"], hold: true } as const;
    return ofTheirs(libzmq("sub", "connect", endpoint!, options));
  },
  ours: async (part, endpoint) => {
    const beat = { heartbeatInterval: 20, heartbeatTimeToLive: 1000, heartbeatTimeout: 5000 };
    const socket = new Subscriber({ ...keys[part], ...beat });
    socket.subscribe("weather");
    socket.connect(endpoint!);
    return ofOurs(socket);
  },
};

describe.each(Object.keys(subscribers))("subscriptions and heartbeats of %s inside CURVE", (who) => {
  test("are commands inside of MESSAGE, and are understood by the other implementation", async () => {
    const reference = python("curve_reference", "server", "PUB", hex(server.secretKey));
    const subject = await subscribers[who]!("client", await reference.endpoint());
    const lines = (await until(reference, 5)) as { command: string; flags: number; plain: string }[];
    const [subscribe, ping] = lines.slice(3);
    // The flag COMMAND is inside, and only there.
    expect(subscribe).toMatchObject({ command: "MESSAGE", flags: 0, nonce: 3 });
    expect(subscribe!.plain).toBe(Buffer.from("\x02\x09SUBSCRIBEweather").toString("hex"));
    expect(ping).toMatchObject({ command: "MESSAGE", flags: 0, nonce: 4 });
    expect(ping!.plain).toStartWith(Buffer.from("\x02\x04PING\x00\x0a").toString("hex"));
    await subject.end();
  });
});

describe("what the other implementation sends", () => {
  test("arrives: parts, their flags, and a PING that is answered", async () => {
    await using router = new Router(keys.server);
    await router.bind(fresh("tcp"));
    const address = router.lastEndpoint!.slice("tcp://".length);
    const rest = ["DEALER", hex(client.secretKey), address, hex(server.publicKey)];
    const reference = python("curve_reference", "client", ...rest);
    await until(reference, 3);
    reference.write("1 68656c6c6f");
    reference.write("1 -");
    reference.write(`0 ${"ab".repeat(5000)}`);
    const message = await router.receive({ timeout: 10_000 });
    expect(message.map(String)).toEqual(["reference", "hello", "", "\ufffd".repeat(5000)]);
    reference.write("2 0450494e470000637478");
    const [pong] = (await until(reference, 4)).slice(3) as { plain: string; nonce: number }[];
    expect(pong).toMatchObject({ nonce: 2, plain: Buffer.from("\x02\x04PONGctx").toString("hex") });
  });

  test("subscribes at a publisher of ours", async () => {
    await using publisher = new Publisher(keys.server);
    await publisher.bind(fresh("tcp"));
    const address = publisher.lastEndpoint!.slice("tcp://".length);
    const rest = ["SUB", hex(client.secretKey), address, hex(server.publicKey)];
    const reference = python("curve_reference", "client", ...rest);
    await until(reference, 3);
    reference.write(`2 ${Buffer.from("\x09SUBSCRIBEsport").toString("hex")}`);
    await publisher.subscribed("sport", { timeout: 10_000 });
    await publisher.send(["sport", "1:0"]);
    const [first, second] = (await until(reference, 5)).slice(3) as { plain: string }[];
    expect(first!.plain).toBe(Buffer.from("\x01sport").toString("hex"));
    expect(second!.plain).toBe(Buffer.from("\x001:0").toString("hex"));
  });
});
