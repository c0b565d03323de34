// Every pair of socket types with libzmq in another process, both ways round: who binds, over what,
// and every size class, compared by checksum. Prints the table at the end.

import { afterAll, afterEach, describe, test } from "bun:test";
import { shapes } from "./messages.ts";
import { exchange, rows } from "./pairs.ts";
import { killPeers, type Side, transports } from "./peer.ts";
import { Table } from "./table.ts";

const ROUNDS = 2;
const sides: readonly Side[] = ["bind", "connect"];
const columns = transports.flatMap((transport) => sides.map((side) => `${transport}, we ${side}`));
const table = new Table(
  `every pair, ours-theirs; ${shapes.length * ROUNDS} messages in each cell, of one part (0 B, 1 B, ` +
    "255 B, 256 B, 64 KiB, 1 MiB, 16 MiB) and of 2, 6 and 60 parts (0 B to 1 MiB); compared by CRC-32",
  columns,
);

afterEach(killPeers);
afterAll(() => table.print());

describe.each(rows)("$name: every message arrives, whole, unchanged and in order", (row) => {
  table.add(row.name);
  for (const transport of transports) {
    for (const side of sides) {
      const column = `${transport}, we ${side}`;
      test(`over ${column}`, async () => {
        table.fill(row.name, column, await exchange(row, { transport, side, rounds: ROUNDS }));
      });
    }
  }
});
