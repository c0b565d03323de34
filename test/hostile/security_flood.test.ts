// A flood of HELLOs: each costs the server two operations on the curve, and nothing that lasts. Two
// seconds of it; MONOCOQUE_FLOOD_SECONDS says otherwise.

import { expect, test } from "bun:test";
import { nativeContext } from "../../src/context.ts";
import { curveKeyPair, Pull, Push } from "../../src/index.ts";
import type { Flood, Flooded } from "../children/hello_flood.ts";
import { eventually } from "../interop/peer.ts";
import { lines } from "../support/process.ts";
import { greeting, nothingIsLeft, type RawPeer, rawServer } from "./wire.ts";

nothingIsLeft();

const seconds = Number(process.env.MONOCOQUE_FLOOD_SECONDS ?? 2);
const perSecond = 10_000;
const server = curveKeyPair();
const helloBytes = 202;

/** As honest clients of this server say them, and as anybody may say them who has heard one. */
async function hellos(count: number): Promise<string[]> {
  const heard: RawPeer[] = [];
  const endpoint = await rawServer((peer) => {
    peer.write(greeting("CURVE"));
    heard.push(peer);
  });
  const clients = Array.from({ length: count }, () => {
    const push = new Push({ curveServerKey: server.publicKey, linger: 0 });
    push.connect(endpoint);
    return push;
  });
  const whole = () => heard.length === count && heard.every((peer) => peer.received.length === 64 + helloBytes);
  await eventually(whole, "their HELLOs");
  for (const client of clients) client.close();
  return heard.map((peer) => peer.received.subarray(64).toString("base64"));
}

async function flooded(openMax: number, meanwhile: (endpoint: string) => Promise<void>) {
  const pull = new Pull({
    curveServer: true,
    curveSecretKey: server.secretKey,
    // So many wait for accept(2); whom the kernel turns away there comes again after a second.
    backlog: 4096,
    linger: 0,
  });
  void (async () => {
    for await (const _ of pull);
  })();
  await pull.bind("tcp://0.0.0.0:*");
  const port = Number(/:(\d+)$/.exec(pull.lastEndpoint!)![1]);
  const flood: Flood = { port, hellos: await hellos(50), perSecond, seconds, openMax };
  const child = Bun.spawn(
    [process.execPath, `${import.meta.dir}/../children/hello_flood.ts`, JSON.stringify(flood)],
    { stdout: "pipe", stderr: "inherit" },
  );
  const live = () => nativeContext().stats().memory_live_bytes;
  const output = lines(child.stdout);
  await output.next();
  const before = live();
  let most = 0;
  const ended = output.next().then(({ value }) => JSON.parse(value!) as Flooded);
  let going = true;
  void ended.finally(() => {
    going = false;
  });
  const endpoint = `tcp://127.0.0.1:${port}`;
  while (going) {
    await Promise.all([meanwhile(endpoint), Bun.sleep(20)]);
    most = Math.max(most, live() - before);
  }
  const { connections, welcomes, seconds: lasted } = await ended;
  const since = performance.now();
  await comeIn(endpoint);
  const after = performance.now() - since;
  pull.close();
  return { offered: connections / lasted, answered: welcomes / lasted, kib: most / 1024, after };
}

/** A good client connects and is heard. */
async function comeIn(endpoint: string): Promise<void> {
  const good = new Push({ curveServerKey: server.publicKey, linger: 0 });
  try {
    good.connect(endpoint);
    await good.connected(undefined, { timeout: 5000 });
    await good.send("good");
  } finally {
    good.close();
  }
}

const limit = 15_000 + seconds * 2000;

test(`${seconds} s of HELLOs, as many as we can answer: good clients connect in time, memory stays flat`, async () => {
  const times: number[] = [];
  const told = await flooded(800, async (endpoint) => {
    const since = performance.now();
    await comeIn(endpoint);
    times.push(performance.now() - since);
  });
  const slowest = Math.max(...times);
  console.log(
    `${told.answered.toFixed(0)} HELLOs answered per second, ${told.kib.toFixed(0)} KiB at most; ` +
      `${times.length} good clients connected, the slowest in ${slowest.toFixed(0)} ms`,
  );
  expect(slowest).toBeLessThan(1000);
  expect(times.length).toBeGreaterThan(seconds);
  expect(told.answered).toBeGreaterThan(500);
  // As many as may be in a handshake at a time, each in its KiB or two.
  expect(told.kib).toBeLessThan(4096);
}, limit);

test(`${perSecond} HELLOs per second for ${seconds} s, more than we can answer: nothing stays behind`, async () => {
  const told = await flooded(8000, async () => {});
  console.log(
    `${told.offered.toFixed(0)} HELLOs per second, ${told.answered.toFixed(0)} answered, ` +
      `${told.kib.toFixed(0)} KiB at most; afterwards a good client in ${told.after.toFixed(0)} ms`,
  );
  expect(told.answered).toBeGreaterThan(500);
  expect(told.kib).toBeLessThan(4096);
  expect(told.after).toBeLessThan(1000);
}, limit);
