// A context per thread: Workers with sockets of their own, and what is left when they are ended.

import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { entry, run } from "./support/process.ts";
import { Pull } from "../src/index.ts";
import { bound, until } from "./support/sockets.ts";

const child = (name: string) => new URL(`./children/${name}.ts`, import.meta.url).href;
const descriptors = () => readdirSync("/proc/self/fd").length;

describe("four Workers at once", () => {
  test("each talk to themselves and to the main thread over tcp and ipc", async () => {
    using pull = new Pull();
    const to = bound(pull);
    const count = 2000;
    const workers = Array.from({ length: 4 }, (_, i) => {
      const worker = new Worker(child("pair_worker"));
      const done = new Promise((resolve, reject) => {
        worker.onmessage = resolve;
        worker.onerror = (error) => reject(new Error(error.message));
      });
      worker.postMessage({ to, count, name: `worker ${i}` });
      return { worker, done };
    });
    const next = new Map<string, number>();
    for (let i = 0; i < 4 * count; i += 1) {
      const [name, number] = await pull.receive({ timeout: 10_000 });
      const expected = next.get(String(name)) ?? 0;
      expect(Number(String(number))).toBe(expected);
      next.set(String(name), expected + 1);
    }
    await Promise.all(workers.map(({ done }) => done));
    for (const { worker } of workers) worker.terminate();
  }, 20_000);
});

describe("terminating a Worker that waits for a message", () => {
  test("is safe fifty times, and leaves no descriptor and no memory behind", async () => {
    const once = async () => {
      const worker = new Worker(child("stuck_worker"));
      await new Promise((resolve, reject) => {
        worker.onmessage = resolve;
        worker.onerror = (error) => reject(new Error(error.message));
      });
      const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
      worker.terminate();
      await closed;
    };
    for (let i = 0; i < 10; i += 1) await once();
    Bun.gc(true);
    const memory = process.memoryUsage.rss();
    await Bun.sleep(50);
    const before = descriptors();
    for (let i = 0; i < 50; i += 1) await once();
    Bun.gc(true);
    await until("its descriptors are closed", () => descriptors() <= before + 2);
    // A context left behind would be several hundred KiB each.
    expect(process.memoryUsage.rss() - memory).toBeLessThan(60 * 1024 * 1024);
  }, 30_000);

  test("is safe while messages flow", async () => {
    const result = await run(`
      const source = \`
        import { Pull, Push } from ${JSON.stringify(entry)};
        const pull = new Pull(); pull.bindSync("ipc://*");
        const push = new Push(); push.connect(pull.lastEndpoint);
        (async () => { for (;;) await push.sendMany(Array.from({ length: 500 }, () => Buffer.alloc(800))); })();
        let count = 0;
        for await (const batch of pull.batches({ borrow: true })) {
          count += batch.length;
          if (count > 2000) postMessage(count);
        }
      \`;
      const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      for (let i = 0; i < 20; i++) {
        const worker = new Worker(url);
        await new Promise(resolve => { worker.onmessage = resolve; });
        const closed = new Promise(resolve => worker.addEventListener("close", resolve));
        worker.terminate();
        await closed;
      }
      console.log("survived");
    `, { timeout: 20_000 });
    expect(result).toMatchObject({ stdout: "survived\n", exitCode: 0 });
  }, 25_000);

  test("leaves the sockets of the main thread good", async () => {
    using pull = new Pull();
    const waiting = pull.receive({ timeout: 5000 });
    const worker = new Worker(child("pair_worker"));
    worker.postMessage({ to: bound(pull), count: 200, name: "short" });
    expect(String((await waiting)[0])).toBe("short");
    worker.terminate();
    using again = new Pull();
    expect(await again.receive({ timeout: 5 }).catch(({ code }) => code)).toBe("EAGAIN");
  });
});

test("a Worker that ends by itself gives its queued messages their linger time", async () => {
  using pull = new Pull();
  const result = run(`
    const source = \`
      import { Push } from ${JSON.stringify(entry)};
      const push = new Push(); push.connect(${JSON.stringify(bound(pull))});
      for (let i = 0; i < 100; i++) push.trySend(String(i));
    \`;
    new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  `);
  for (let i = 0; i < 100; i += 1) {
    expect(String((await pull.receive({ timeout: 5000 }))[0])).toBe(`${i}`);
  }
  expect((await result).exitCode).toBe(0);
});
