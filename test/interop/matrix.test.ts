// Every pair of socket types with libzmq in another process, both ways round: who binds, over what,
// and every size class, compared by checksum. Prints the table at the end.

import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { Pull, Push, Reply, Request, type Socket } from "../../src/index.ts";
import { Digest, messageOf, shapes, shapesText } from "./messages.ts";
import { fresh, killPeers, libzmq, type Peer, type Role, type Side } from "./peer.ts";

const ROUNDS = 2;
const TOTAL = shapes.length * ROUNDS;

const results: string[] = [];

afterEach(killPeers);
afterAll(() => {
  console.log(`interop with libzmq ${version()}: ${TOTAL} messages each, 0 B to 16 MiB, 1 to 60 parts`);
  console.log(results.join("\n"));
});

function version(): string {
  const program = `${import.meta.dir}/../../zig-out/bin/libzmq_peer`;
  return Bun.spawnSync([program, "version"]).stdout.toString().trim();
}

async function sendAll(socket: Push, digest: Digest): Promise<void> {
  for (let i = 0; i < TOTAL; i += 1) {
    digest.add(messageOf(i));
    await socket.send(messageOf(i));
  }
}

async function receiveAll(socket: Pull, digest: Digest): Promise<void> {
  for (let i = 0; i < TOTAL; i += 1) digest.add(await socket.receive({ timeout: 20_000 }));
}

async function askAll(socket: Request, digest: Digest): Promise<void> {
  for (let i = 0; i < TOTAL; i += 1) {
    const message = messageOf(i);
    digest.add(message);
    await socket.send(message);
    const answer = await socket.receive({ timeout: 20_000 });
    expect(answer.length).toBe(message.length);
    answer.forEach((part, index) => expect(part.equals(message[index]!)).toBe(true));
  }
}

async function answerAll(socket: Reply, digest: Digest): Promise<void> {
  for (let i = 0; i < TOTAL; i += 1) {
    const question = await socket.receive({ timeout: 20_000 });
    digest.add(question);
    await socket.send(question);
  }
}

interface Pair<S extends Socket> {
  name: string;
  make: () => S;
  run: (socket: S, digest: Digest) => Promise<void>;
  role: Role;
  options: Record<string, string | number | true>;
}

const sends = { messages: shapesText, rounds: ROUNDS, hold: true } as const;
const receives = { count: TOTAL, hold: true } as const;

function pair<S extends Socket>(
  name: string,
  make: () => S,
  run: (socket: S, digest: Digest) => Promise<void>,
  role: Role,
  options: Record<string, string | number | true>,
): Pair<Socket> {
  return { name, make, run, role, options } as unknown as Pair<Socket>;
}

const pairs = [
  pair("PUSH -> PULL", () => new Push(), sendAll, "pull", receives),
  pair("PULL <- PUSH", () => new Pull(), receiveAll, "push", sends),
  pair("REQ <-> REP", () => new Request(), askAll, "rep", receives),
  pair("REP <-> REQ", () => new Reply(), answerAll, "req", sends),
  pair("REQ <-> ROUTER", () => new Request({ routingId: "who" }), askAll, "router", receives),
  pair("REQ correlate <-> ROUTER", () => new Request({ correlate: true }), askAll, "router", receives),
  pair("REQ correlate <-> REP", () => new Request({ correlate: true, relaxed: true }), askAll, "rep", receives),
  pair("REP <-> DEALER", () => new Reply(), answerAll, "dealer", { ...sends, window: 4 }),
  pair("REP <-> DEALER, two hops", () => new Reply(), answerAll, "dealer", { ...sends, route: "hop" }),
];

async function join(
  socket: Socket,
  ours: Side,
  transport: "tcp" | "ipc",
  role: Role,
  options: Record<string, string | number | true>,
): Promise<Peer> {
  if (ours === "bind") {
    await socket.bind(fresh(transport));
    return libzmq(role, "connect", socket.lastEndpoint!, options);
  }
  const peer = libzmq(role, "bind", fresh(transport), options);
  socket.connect(await peer.endpoint());
  return peer;
}

describe.each(pairs)("$name", ({ name, make, run, role, options }) => {
  for (const transport of ["tcp", "ipc"] as const) {
    for (const ours of ["bind", "connect"] as const) {
      test(`${transport}, we ${ours}`, async () => {
        const started = performance.now();
        await using socket = make();
        const peer = await join(socket, ours, transport, role, options);
        const digest = new Digest();
        await run(socket, digest);
        const report = await peer.report();
        expect(report.errors).toBe(0);
        expect(report.messages).toBe(TOTAL);
        expect(report.digest).toBe(digest.value);
        if (role === "router") {
          const { identity } = await peer.line("identity");
          // Without a name of ours a ROUTER makes one up: a zero byte and four others.
          if (name.includes("correlate")) expect(identity).toMatch(/^00.{8}$/);
          else expect(identity).toBe(Buffer.from("who").toString("hex"));
        }
        expect(await peer.release()).toBe(0);
        const ms = (performance.now() - started).toFixed(0);
        const sum = digest.value.toString(16).padStart(8, "0");
        results.push(
          `  ${name.padEnd(26)} ${transport} ${ours.padEnd(8)} ok  crc ${sum} ${ms.padStart(6)} ms`,
        );
      });
    }
  }
});
