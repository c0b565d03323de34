// Who shares a socket gets an equal share of it.

import { expect, test } from "bun:test";
import { Pull, Push } from "../../src/index.ts";
import { lines, start } from "../support/process.ts";
import { bound, texts, transports } from "../support/sockets.ts";

const senders = 32;
/** One `recv` brings a thousand of one sender: so many are enough for that not to show. */
const messages = 640_000;

test.each(transports)("32 equal senders over %s get equal shares of a reader", async (transport) => {
  using pull = new Pull({ linger: 0 });
  const child = start(`
    const flood = async (number) => {
      const push = new Push({ linger: 0 });
      push.connect(${JSON.stringify(bound(pull, transport))});
      const message = Buffer.alloc(64);
      message.writeUInt32LE(number);
      for (const many = Array.from({ length: 100 }, () => message);;) await push.sendMany(many);
    };
    for (let i = 0; i < ${senders}; i++) void flood(i);
  `);
  const counts = new Array<number>(senders).fill(0);
  let [taken, warm] = [0, false];
  for (;;) {
    // Slower than they are together: what they get is what the reader gives them.
    await Bun.sleep(1);
    const batch = await pull.receiveMany({ max: 500 });
    for (const [part] of batch) counts[part!.readUInt32LE()]! += 1;
    taken += batch.length;
    if (warm && taken >= messages) break;
    // Those that connected first had a start.
    if (warm || Math.min(...counts) < 100) continue;
    counts.fill(0);
    [taken, warm] = [0, true];
  }
  child.kill("SIGKILL");
  await child.exited;
  const ratio = Math.max(...counts) / Math.min(...counts);
  console.log(`${senders} senders over ${transport}: max/min ${ratio.toFixed(3)}`);
  expect(ratio).toBeLessThanOrEqual(1.2);
}, 20_000);

test("32 equal readers get equal shares of a sender", async () => {
  using push = new Push({ linger: 0 });
  const endpoint = bound(push);
  const pulls = Array.from({ length: senders }, () => new Pull({ linger: 0 }));
  for (const pull of pulls) pull.connect(endpoint);
  await Promise.all(pulls.map((pull) => pull.connected()));
  const many = Array.from({ length: 1000 }, () => "x");
  const sending = (async () => {
    for (let sent = 0; sent < 100 * many.length; sent += many.length) await push.sendMany(many);
  })();
  const counts = await Promise.all(
    pulls.map(async (pull) => {
      let count = 0;
      // As long as something comes.
      for (const options = { timeout: 500 }; ; ) {
        const batch = await pull.receiveMany(options).catch(() => undefined);
        if (batch === undefined) return count;
        count += batch.length;
      }
    }),
  );
  await sending;
  for (const pull of pulls) pull.close();
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(100 * many.length);
  const ratio = Math.max(...counts) / Math.min(...counts);
  console.log(`${senders} readers: max/min ${ratio.toFixed(3)}`);
  expect(ratio).toBeLessThanOrEqual(1.2);
}, 20_000);

test.each(transports)("one awaited send over %s reaches the peer with no further call", async (transport) => {
  using pull = new Pull({ linger: 0 });
  const child = start(`
    const push = new Push(); push.connect(${JSON.stringify(bound(pull, transport))});
    await push.connected();
    console.log("ready");
    process.stdin.once("data", async () => {
      await push.send("eager");
      // Nothing more is asked of the library, and the process neither ends nor waits for it.
      setInterval(() => {}, 1000);
    });
  `);
  const output = lines(child.stdout);
  expect((await output.next()).value).toBe("ready");
  child.stdin.write("\n");
  child.stdin.flush();
  expect(texts(await pull.receive({ timeout: 3000 }))).toEqual(["eager"]);
  child.kill("SIGKILL");
  await child.exited;
});
