// How long it takes after a peer has come back. What a fleet does that lost its server is counted in
// zig/sim/reconnect_test.zig, where the clock is exact.

import { expect, test } from "bun:test";
import { Pull, Push } from "../../src/index.ts";
import { bound, transports, until } from "../support/sockets.ts";

const restarts = 50;

/** The value that so many per cent are not above. */
function percentile(sorted: number[], percent: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))]!;
}

test.each(transports)("a peer that restarts is found again soon, over %s", async (transport) => {
  // At the interval that is the default; each way runs ten at a time, as the times are independent.
  const times: number[] = [];
  const one = async () => {
    let pull = new Pull({ linger: 0 });
    using push = new Push({ linger: 0 });
    // A path that stays: that of ipc://* goes with its socket.
    const abstract = `ipc://@reconnect-${process.pid}-${Math.random()}`;
    if (transport === "ipc") pull.bindSync(abstract);
    const endpoint = transport === "ipc" ? abstract : bound(pull);
    push.connect(endpoint);
    await push.connected(endpoint);
    for (let i = 0; i < restarts / 10; i += 1) {
      pull.close();
      await until("the end is seen", () => push.stats().connections === 0);
      // At once, or some attempts later: the pauses are what spreads.
      if (i % 2 === 1) await Bun.sleep(100 + Math.random() * 300);
      pull = new Pull({ linger: 0 });
      pull.bindSync(endpoint);
      const listening = performance.now();
      await push.connected(endpoint, { timeout: 5000 });
      times.push(performance.now() - listening);
    }
    pull.close();
  };
  await Promise.all(Array.from({ length: 10 }, one));
  times.sort((a, b) => a - b);
  const [p50, p99] = [percentile(times, 50), percentile(times, 99)];
  const figures = `p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms`;
  console.log(`${restarts} restarts over ${transport}: ${figures}`);
  expect(times.length).toBe(restarts);
  expect(p50).toBeLessThanOrEqual(150);
  expect(p99).toBeLessThanOrEqual(1000);
}, 20_000);

test("200 clients whose server restarts are all back, and not at once", async () => {
  let server = new Pull({ linger: 0 });
  const endpoint = bound(server);
  const clients = Array.from({ length: 200 }, () => new Push({ linger: 0 }));
  for (const client of clients) client.connect(endpoint);
  await Promise.all(clients.map((client) => client.connected()));
  await server.close();
  await until("they know", () => clients.every((client) => client.stats().connections === 0));
  server = new Pull({ linger: 0, backlog: 1000 });
  server.bindSync(endpoint);
  const listening = performance.now();
  const times = await Promise.all(
    clients.map(async (client) => {
      await client.connected(undefined, { timeout: 5000 });
      return performance.now() - listening;
    }),
  );
  times.sort((a, b) => a - b);
  console.log(`200 clients back: ${[10, 50, 90, 99].map((it) => percentile(times, it).toFixed(0))} ms`);
  expect(percentile(times, 90) - percentile(times, 10)).toBeGreaterThan(60);
  for (const client of clients) client.close();
  server.close();
}, 20_000);
