// Waits that are given up while messages flow: nothing is lost, doubled or left behind by it.
//
//   CANCELLATIONS=1000000 bun test test/gates/cancellation.test.ts

import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { nativeContext } from "../../src/context.ts";
import { Pull, Push } from "../../src/index.ts";
import { bound } from "../support/sockets.ts";

const waits = Number(process.env.CANCELLATIONS ?? 200_000);
/** Waits of each kind that are under way at once. */
const width = 100;

/** How a wait is limited; `now` gives up those that have not come to their end by themselves. */
interface Limit {
  options: { signal?: AbortSignal; timeout?: number };
  now?: () => void;
}

/** One for the whole life of a program: every wait that ends has to let go of it. */
const lasting = new AbortController().signal;

const limits: (() => Limit)[] = [
  () => ({ options: { timeout: 1, signal: lasting } }),
  () => {
    const controller = new AbortController();
    return { options: { signal: controller.signal }, now: () => controller.abort() };
  },
  () => {
    // Whichever comes first.
    const controller = new AbortController();
    return { options: { signal: controller.signal, timeout: 1 }, now: () => controller.abort() };
  },
];

/** Starts waits of one kind and gives them up; the values of those that came first, in order. */
async function give<T>(round: number, wait: (limit: Limit, index: number) => Promise<T>) {
  const limited = Array.from({ length: width }, limits[round % limits.length]!);
  const all = Promise.allSettled(limited.map(wait));
  // Some before anything can come, some after a turn of the event loop in which something comes.
  if (round % 2 === 0) await new Promise(setImmediate);
  for (const { now } of limited) now?.();
  const settled = await all;
  for (const result of settled) {
    if (result.status === "rejected") {
      const { name, code } = result.reason;
      if (name !== "AbortError" && code !== "EAGAIN") throw result.reason;
    }
  }
  return settled;
}

test(`${waits} waits given up under load lose no message and leave no socket broken`, async () => {
  const own = { linger: 0, concurrency: "queue" } as const;
  using reader = new Pull(own);
  using source = new Push(own);
  using sink = new Pull({ ...own, receiveHighWaterMark: 2, receiveBufferSize: 4096 });
  using sender = new Push({ ...own, sendHighWaterMark: 2, sendBufferSize: 4096 });
  source.connect(bound(reader));
  sender.connect(bound(sink));
  await Promise.all([source.connected(), sender.connected()]);

  let [produced, taken, begun, arrived, given] = [0, 0, 0, 0, 0];
  /** Numbers of the messages that a send has promised to deliver. */
  const promised: number[] = [];
  let next = 0;
  const take = (parts: Buffer[]) => {
    if (Number(parts[0]) !== taken) expect(Number(parts[0])).toBe(taken);
    taken += 1;
  };
  const body = Buffer.alloc(4000, 7);
  const check = (parts: Buffer[]) => {
    const number = Number(parts[0]);
    if (number !== promised[next]) expect(number).toBe(promised[next]!);
    expect(parts[1]?.length).toBe(body.length);
    [next, arrived] = [next + 1, arrived + 1];
  };
  const round = async (number: number) => {
    for (let i = 0; i < 20; i += 1) if (source.trySend(`${produced}`)) produced += 1;
    const receives = await give(number, ({ options }) => reader.receive(options));
    for (const result of receives) {
      if (result.status === "fulfilled") take(result.value);
      else given += 1;
    }
    const many = await give(number, ({ options }) => reader.receiveMany({ max: 7, ...options }));
    for (const result of many) {
      if (result.status === "fulfilled") result.value.forEach(take);
      else given += 1;
    }
    const first = begun;
    begun += width;
    const sends = await give(number, ({ options }, index) => {
      const message = [`${first + index}`, body];
      return index % 2 === 0 ? sender.send(message, options) : sender.sendMany([message], options);
    });
    sends.forEach((result, index) => {
      if (result.status === "fulfilled") promised.push(first + index);
      else given += 1;
    });
    for (let i = 0; i < 10; i += 1) {
      const parts = sink.tryReceive();
      if (parts === undefined) break;
      check(parts);
    }
  };
  const objects = () => {
    Bun.gc(true);
    const { Promise: promises = 0, AbortSignal: signals = 0 } = heapStats().objectTypeCounts;
    return { promises, signals, timers: nativeContext().stats().timers };
  };
  await round(0);
  const before = objects();
  const started = performance.now();
  for (let number = 1; given < waits; number += 1) await round(number);
  const seconds = (performance.now() - started) / 1000;

  // The sockets are good, and everything that was promised comes.
  while (taken < produced) take(await reader.receive({ timeout: 2000 }));
  while (next < promised.length) check(await sink.receive({ timeout: 2000 }));
  expect(reader.tryReceive()).toBeUndefined();
  expect(sink.tryReceive()).toBeUndefined();
  await source.send(`${produced}`);
  take(await reader.receive({ timeout: 2000 }));
  await sender.send(["last"]);
  expect(String(await sink.receive({ timeout: 2000 }))).toBe("last");
  expect(sender.stats().messagesSent).toBe(promised.length + 1);
  const after = objects();
  expect(after.timers).toBe(before.timers);
  expect(after.signals - before.signals).toBeLessThan(10 * width);
  expect(after.promises - before.promises).toBeLessThan(10 * width);
  console.log(
    `${given} waits given up in ${seconds.toFixed(1)} s, ${taken} received and ${arrived} ` +
      "delivered meanwhile",
  );
}, 120_000);
