// The pairs of socket types once more, inside CURVE and with PLAIN: libzmq in another process, either
// role, whoever binds. Each server lets in nobody but the client that it expects.

import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { bothHalves, libzmqClient, libzmqServer, type Mechanism, type Part } from "./credentials.ts";
import { shapes, smallerShapes } from "./messages.ts";
import { exchange, type Row, rows } from "./pairs.ts";
import { fresh, killPeers, libzmq, type Side, type Transport, transports } from "./peer.ts";
import { Table } from "./table.ts";

const sides: readonly Side[] = ["bind", "connect"];
/** Rows that differ from another one in what the wire does not show. */
const variants = /correlate|two hops/;
const all = rows.filter(({ name }) => !variants.test(name));

afterEach(killPeers);

// What is compared with: it says nothing about us when libzmq does not get through to itself.
describe.each(["CURVE", "PLAIN"] as const)("libzmq and libzmq with %s", (mechanism) => {
  test.each(transports)("have the options they are given, over %s", async (transport) => {
    const work = { messages: "0,5+6,70000", hold: true, monitor: true } as const;
    const options = { ...libzmqServer[mechanism], count: 3, hold: true } as const;
    const pull = libzmq("pull", "bind", fresh(transport), options);
    const push = libzmq("push", "connect", await pull.endpoint(), { ...work, ...libzmqClient[mechanism] });
    const { digest } = await push.report();
    expect(await pull.report()).toMatchObject({ messages: 3, digest, errors: 0 });
    expect((await pull.line("zap")).zap).toMatchObject({ version: "1.0", mechanism });
    const none = libzmq("push", "connect", await pull.endpoint(), { ...work, linger: 0 });
    await none.until(() => none.lines.find(({ event }) => event === 0x2000), "a refusal");
  });
});

interface Way {
  transport: Transport;
  side: Side;
}

function table(mechanism: Mechanism, part: Part, chosen: readonly Row[], ways: readonly Way[]): void {
  const column = ({ transport, side }: Way) => `${transport}, we ${side}`;
  const cells = new Table(
    `${mechanism}, we are the ${part}; ${shapes.length} messages of 0 B to 16 MiB (after the first ` +
      "column to 1 MiB), in 1 to 60 parts; compared by CRC-32",
    ways.map(column),
  );
  afterAll(() => cells.print());
  const title = `${mechanism}, we are the ${part}, $name: every message arrives, whole and in order`;
  describe.each([...chosen])(title, (row) => {
    cells.add(row.name);
    for (const way of ways) {
      test(`over ${column(way)}`, async () => {
        const halves = bothHalves(mechanism, part);
        const sizes = way === ways[0] ? shapes : smallerShapes;
        const cell = { ...way, ...halves, rounds: 1, shapes: sizes };
        cells.fill(row.name, column(way), await exchange(row, cell));
      });
    }
  });
}

const ways = transports.flatMap((transport) => sides.map((side) => ({ transport, side })));
table("CURVE", "server", all, ways);
table("CURVE", "client", all, ways);

// Behind its handshake PLAIN is NULL: some pairs of each kind.
const some =
  /^(PAIR-PAIR|PUB-SUB|XSUB-XPUB|REQ-REP|REP-REQ|DEALER-ROUTER|ROUTER-DEALER|PUSH-PULL|PULL-PUSH)(, we ask)?$/;
const few = all.filter(({ name }) => some.test(name));
table("PLAIN", "server", few, [
  { transport: "tcp", side: "bind" },
  { transport: "ipc", side: "connect" },
]);
table("PLAIN", "client", few, [
  { transport: "tcp", side: "connect" },
  { transport: "ipc", side: "bind" },
]);
