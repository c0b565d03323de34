// What close() does with messages that are still queued, and what it tells.

import { describe, expect, test } from "bun:test";
import { Pull, Push, Reply } from "../src/index.ts";
import { run } from "./support/process.ts";
import { bound, transports } from "./support/sockets.ts";

const nobody = "tcp://127.0.0.1:1";

/** A Push for nobody, with so many messages queued. */
function queued(count: number, linger: number): Push {
  const push = new Push({ linger });
  push.connect(nobody);
  for (let i = 0; i < count; i += 1) expect(push.trySend("lost")).toBe(true);
  return push;
}

describe("close() tells how many messages were not delivered", () => {
  test("none, of a socket that had nothing to send", async () => {
    expect(await new Push().close()).toBe(0);
    expect(await new Pull().close()).toBe(0);
    const reply = new Reply();
    bound(reply);
    expect(await reply.close()).toBe(0);
  });

  test("all of them with linger 0, at once", async () => {
    const started = performance.now();
    expect(await queued(7, 0).close()).toBe(7);
    expect(performance.now() - started).toBeLessThan(100);
  });

  test("all of them when the linger time is over, not before", async () => {
    const started = performance.now();
    expect(await queued(7, 60).close()).toBe(7);
    expect(performance.now() - started).toBeGreaterThan(58);
  });

  test.each([...transports, "inproc"] as const)("none when a peer comes in time, over %s", async (transport) => {
    using probe = new Pull();
    const endpoint = transport === "inproc" ? "inproc://closing" : bound(probe, transport);
    await probe.close();
    const push = new Push({ linger: 5000, reconnectInterval: 5 });
    push.connect(endpoint);
    for (let i = 0; i < 100; i += 1) push.trySend(`${i}`);
    const closed = push.close();
    using pull = new Pull();
    if (transport === "ipc") await Bun.$`mkdir -p ${endpoint.slice(6, endpoint.lastIndexOf("/"))}`;
    pull.bindSync(endpoint);
    expect(await closed).toBe(0);
    for (let i = 0; i < 100; i += 1) {
      expect(String(await pull.receive({ timeout: 5000 }))).toBe(`${i}`);
    }
  });

  test.each(transports)("exactly those that a reader does not get, over %s", async (transport) => {
    using pull = new Pull({ receiveHighWaterMark: 1, receiveBufferSize: 4096, linger: 0 });
    const push = new Push({ linger: 50, sendHighWaterMark: 0, sendBufferSize: 4096 });
    push.connect(bound(pull, transport));
    await push.connected();
    for (let i = 0; i < 300; i += 1) await push.send(Buffer.alloc(10_000, i));
    const undelivered = await push.close();
    let received = 0;
    while (await pull.receive({ timeout: 200 }).catch(() => undefined)) received += 1;
    expect(undelivered).toBeGreaterThan(0);
    // The one that was on its way is lost, too: the kernel had taken its beginning.
    expect(received + undelivered).toBeGreaterThanOrEqual(299);
    expect(received + undelivered).toBeLessThanOrEqual(300);
  });

  test("to everyone who asks, however often it is called", async () => {
    const push = queued(3, 20);
    const [first, second] = await Promise.all([push.close(), push.close()]);
    expect([first, second, await push.close()]).toEqual([3, 3, 3]);
  });

  test("after a bind that was under way", async () => {
    const pull = new Pull();
    const binding = pull.bind("tcp://localhost:*");
    expect(await pull.close()).toBe(0);
    expect(pull.closed).toBe(true);
    await binding;
  });

  test("of a thousand sockets at once, each its own", async () => {
    const closed: PromiseLike<number>[] = [];
    for (let i = 0; i < 1000; i += 1) {
      const push = new Push({ linger: i % 2 === 0 ? 0 : 30 });
      if (i % 10 !== 0) push.connect(nobody);
      for (let k = 0; k < i % 10; k += 1) push.trySend("lost");
      closed.push(push.close());
    }
    expect(await Promise.all(closed)).toEqual(Array.from({ length: 1000 }, (_, i) => i % 10));
  });
});

describe("a process", () => {
  const sending = `
    const push = new Push({ linger: 300 }); push.connect(${JSON.stringify(nobody)});
    for (let i = 0; i < 5; i++) push.trySend("lost");
  `;

  test("that awaits close() lives until it is told, and goes on", async () => {
    const result = await run(`${sending} console.log("lost", await push.close());`);
    expect(result).toMatchObject({ stdout: "lost 5\n", stderr: "", exitCode: 0 });
  });

  test("that does not lives no longer for it, and hears of no rejection", async () => {
    const result = await run(`${sending}
      process.on("unhandledRejection", () => console.log("rejected"));
      push.close(); console.log("closed");`);
    expect(result).toMatchObject({ stdout: "closed\n", stderr: "", exitCode: 0 });
    expect(result.ms).toBeLessThan(2000);
  });

  test("goes on with its timers and signals while a closed socket lingers", async () => {
    const result = await run(`${sending}
      push.close();
      process.on("SIGTERM", () => console.log("signal"));
      setTimeout(() => process.kill(process.pid, "SIGTERM"), 50).unref();`);
    expect(result).toMatchObject({ stdout: "signal\n", exitCode: 0 });
  });

  test("that exits while a closed socket lingers waits for it, and not for ever", async () => {
    const result = await run(`${sending}
      push.close(); setTimeout(() => process.exit(5), 20);
      process.on("exit", () => console.log(performance.now() - started));`);
    expect(result).toMatchObject({ stderr: "", exitCode: 5 });
    expect(result.ms).toBeGreaterThan(290);
    expect(result.ms).toBeLessThan(2000);
  });
});
