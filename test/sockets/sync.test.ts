// The blocking calls: they wait in the native side, without the event loop.

import { describe, expect, test } from "bun:test";
import { Pull, Push, Reply, Request } from "../../src/index.ts";
import { bound, expectSame, failure, pattern, pipeline, texts, transports } from "../support/sockets.ts";

describe.each(transports)("blocking calls over %s", (transport) => {
  test("send and receive between two sockets of one thread", () => {
    using line = pipeline({ transport });
    for (let i = 0; i < 1000; i += 1) {
      line.push.sendSync([`${i}`, ""]);
      expect(texts(line.pull.receiveSync())).toEqual([`${i}`, ""]);
    }
  });

  test("take parts of every size", () => {
    using line = pipeline({ transport });
    for (const size of [0, 1, 600, 40_000, 70_000, 200_000]) {
      line.push.sendSync(pattern(size, size));
      expectSame(line.pull.receiveSync({ timeout: 2000 })[0], pattern(size, size));
    }
  });

  test("go back and forth between Request and Reply", () => {
    using reply = new Reply({ linger: 0 });
    using request = new Request({ linger: 0 });
    request.connect(bound(reply, transport));
    for (let i = 0; i < 200; i += 1) {
      request.sendSync(`question ${i}`);
      expect(texts(reply.receiveSync())).toEqual([`question ${i}`]);
      reply.sendSync(`answer ${i}`);
      expect(texts(request.receiveSync())).toEqual([`answer ${i}`]);
    }
  });
});

test("receiveManySync takes what is there, and at least one", () => {
  using line = pipeline();
  const sent = Array.from({ length: 900 }, (_, i) => `${i}`);
  for (const text of sent) line.push.sendSync(text);
  const received: string[] = [];
  while (received.length < 900) {
    const batch = line.pull.receiveManySync({ max: 100, timeout: 1000 });
    expect(batch.length).toBeGreaterThan(0);
    expect(batch.length).toBeLessThanOrEqual(100);
    received.push(...batch.map((message) => texts(message)[0] as string));
  }
  expect(received).toEqual(sent);
});

test("a blocking receive that times out throws EAGAIN, after the option or the call", () => {
  using pull = new Pull({ receiveTimeout: 20 });
  for (const [options, ms] of [[undefined, 20], [{ timeout: 40 }, 40], [{ timeout: 0 }, 0]] as const) {
    const started = performance.now();
    const error = failure(() => pull.receiveSync(options));
    expect(error.code).toBe("EAGAIN");
    expect(error.message).toMatch(/^Operation was not possible or timed out/);
    expect(performance.now() - started).toBeGreaterThan(ms - 2);
    expect(performance.now() - started).toBeLessThan(ms + 150);
    expect(failure(() => pull.receiveManySync(options)).code).toBe("EAGAIN");
  }
});

test("a blocking send without room throws EAGAIN, and has queued nothing", () => {
  using push = new Push({ linger: 0, sendTimeout: 10 });
  expect(failure(() => push.sendSync("lost")).code).toBe("EAGAIN");
  expect(failure(() => push.sendSync("lost", { timeout: 0 })).code).toBe("EAGAIN");
  using pull = new Pull({ linger: 0 });
  push.connect(bound(pull));
  push.sendSync("kept", { timeout: 1000 });
  expect(texts(pull.receiveSync({ timeout: 1000 }))).toEqual(["kept"]);
});

test("a blocking receive leaves the waiting calls of other sockets good", async () => {
  using one = pipeline();
  using two = pipeline();
  const waiting = one.pull.receive();
  await one.push.send("for the one that waits");
  two.push.sendSync("at once");
  expect(texts(two.pull.receiveSync({ timeout: 1000 }))).toEqual(["at once"]);
  expect(texts(await waiting)).toEqual(["for the one that waits"]);
});

test("a Worker that only blocks echoes 20,000 messages of the main thread", async () => {
  using push = new Push({ linger: 0 });
  using pull = new Pull({ linger: 0 });
  const count = 20_000;
  const worker = new Worker(new URL("../children/echo_worker.ts", import.meta.url).href);
  const done = new Promise((resolve, reject) => {
    worker.onmessage = resolve;
    worker.onerror = reject;
  });
  worker.postMessage({ from: bound(push), to: bound(pull), count });
  const sending = (async () => {
    for (let i = 0; i < count; i += 1) await push.send([`${i}`, "second part"]);
  })();
  let next = 0;
  for await (const [first, second] of pull) {
    if (String(first) !== `${next}` || second?.length !== 11) expect(String(first)).toBe(`${next}`);
    next += 1;
    if (next === count) break;
  }
  await Promise.all([sending, done]);
  worker.terminate();
});

test("the main thread blocks while a Worker sends", async () => {
  using push = new Push({ linger: 0 });
  using pull = new Pull({ linger: 0 });
  const worker = new Worker(new URL("../children/echo_worker.ts", import.meta.url).href);
  await new Promise((resolve) => worker.addEventListener("open", resolve, { once: true }));
  worker.postMessage({ from: bound(push), to: bound(pull), count: 1000 });
  // The Worker has to be told by the event loop; after its first answer nothing needs ours.
  await push.send("0");
  expect(texts(await pull.receive())).toEqual(["0"]);
  for (let i = 1; i < 1000; i += 1) {
    push.sendSync(`${i}`, { timeout: 5000 });
    expect(texts(pull.receiveSync({ timeout: 5000 }))).toEqual([`${i}`]);
  }
  worker.terminate();
});
