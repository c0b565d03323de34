// Threads and processes that end in whatever state their sockets are: nothing hangs, crashes or is
// left behind.

import { afterAll, describe, expect, test } from "bun:test";
import { Pull, Push, Request } from "../../src/index.ts";
import { entry, lines, run, start } from "../support/process.ts";
import { bound, texts } from "../support/sockets.ts";

const classes = `import { Dealer, Proxy, Pull, Push, Router } from ${JSON.stringify(entry)};`;

/** Runs Workers of this source in a process of their own; what they leave behind there. */
const keeper = (source: string, work: string) => `
  import { readdirSync } from "node:fs";
  const source = ${JSON.stringify(`${classes}${source}`)};
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  /** Ends one Worker once it has said that it is where it should be. */
  const once = async () => {
    const worker = new Worker(url);
    await new Promise((resolve, reject) => {
      worker.onmessage = resolve;
      worker.onerror = ({ message }) => reject(new Error(message));
    });
    const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
    worker.terminate();
    await closed;
  };
  const count = () => ({
    descriptors: readdirSync("/proc/self/fd").length,
    threads: readdirSync("/proc/self/task").length,
    mib: process.memoryUsage.rss() / 1024 / 1024,
  });
  /** Threads end a little after their Worker has. */
  const settled = async (before) => {
    for (let i = 0; i < 300; i++) {
      Bun.gc(true);
      const after = count();
      if (after.descriptors <= before.descriptors && after.threads <= before.threads) break;
      await Bun.sleep(10);
    }
    const after = count();
    for (const key in after) after[key] -= before[key];
    console.log(JSON.stringify(after));
    process.exit(0);
  };
  ${work}
`;

async function leftBy(source: string, work: string, timeout = 30_000) {
  const result = await run(keeper(source, work), { timeout });
  expect(result).toMatchObject({ stderr: "", exitCode: 0 });
  const left = JSON.parse(result.stdout) as { descriptors: number; threads: number; mib: number };
  expect(left.descriptors).toBeLessThanOrEqual(2);
  // Bun's own threads come and go; one that a Worker left behind would be there for each of them.
  expect(left.threads).toBeLessThanOrEqual(2);
  return left;
}

const line = `
  const pull = new Pull({ linger: 0 }); pull.bindSync("ipc://*");
  const push = new Push({ linger: 0 }); push.connect(pull.lastEndpoint);`;

describe("a Worker is terminated", () => {
  const states: [string, string][] = [
    ["while it waits for a message", `new Pull().receive(); postMessage(1);`],
    ["while a send waits for room", `new Push().send("x"); postMessage(1);`],
    ["while it iterates, and messages come", `${line}
      void (async () => { for (;;) await push.send(Buffer.alloc(700)); })();
      for await (const _ of pull) postMessage(1);`],
    ["while it iterates over borrowed batches", `${line}
      void (async () => { for (;;) await push.sendMany([Buffer.alloc(70_000)]); })();
      for await (const _ of pull.batches({ borrow: true })) postMessage(1);`],
    ["while it binds to a name", `postMessage(1); void new Pull().bind("tcp://localhost:*");`],
    ["while it connects to what is not there", `
      for (const host of ["127.0.0.1", "localhost"]) {
        new Push({ reconnectInterval: 1 }).connect("tcp://" + host + ":1");
      }
      postMessage(1);`],
    ["while a closed socket lingers", `
      const push = new Push(); push.connect("tcp://127.0.0.1:1"); push.trySend("x");
      push.close(); postMessage(1);`],
    ["while a part of a megabyte is on its way", `${line}
      push.trySend(Buffer.alloc(50_000_000)); void pull.receive(); postMessage(1);`],
    ["while it talks to itself over inproc", `
      const pull = new Pull(); pull.bindSync("inproc://life" + Math.random());
      const push = new Push(); push.connect(pull.lastEndpoint);
      void (async () => { for (;;) await push.send("x"); })();
      for await (const _ of pull) postMessage(1);`],
    ["while its proxy runs", `
      const proxy = new Proxy(new Router({ linger: 0 }), new Dealer({ linger: 0 }));
      proxy.frontEnd.bindSync("tcp://127.0.0.1:*"); proxy.backEnd.bindSync("ipc://*");
      void proxy.run(); postMessage(1);`],
    ["while it computes between two messages", `${line}
      push.trySend("x"); await pull.receive(); postMessage(1); for (;;);`],
    ["while it looks for messages without end", `${line} postMessage(1); for (;;) pull.tryReceive();`],
  ];

  test.concurrent.each(states)("%s: nothing is left behind", async (_, source) => {
    await leftBy(source, `
      for (let i = 0; i < 2; i++) await once();
      const before = count();
      for (let i = 0; i < 4; i++) await once();
      await settled(before);`);
  }, 30_000);

  test("while a blocking call waits: as soon as that returns", async () => {
    const source = `const pull = new Pull(); pull.bindSync("tcp://127.0.0.1:*"); postMessage(1);
      pull.receiveSync({ timeout: 200 });`;
    await leftBy(source, `
      await once();
      await Bun.sleep(300);
      const before = count();
      await Promise.all(Array.from({ length: 10 }, once));
      await settled(before);`);
  }, 30_000);
});

/** LIFE_CONTEXTS=1000 takes half a minute. */
const contexts = Number(process.env.LIFE_CONTEXTS ?? 60);

test(`${contexts} threads with sockets, four at a time, leave nothing behind`, async () => {
  const source = `${line}
    const far = new Push({ linger: 0 }); far.connect("tcp://127.0.0.1:1"); far.trySend("lost");
    await push.send(Buffer.alloc(2000)); await pull.receive();
    const other = new Pull(); other.bindSync("inproc://life" + Math.random()); void other.receive();
    postMessage(1);`;
  const left = await leftBy(source, `
    const many = async (count) => { for (let i = 0; i < count; i++) await once(); };
    await Promise.all([5, 5, 5, 5].map(many));
    Bun.gc(true);
    const before = count();
    await Promise.all(Array.from({ length: 4 }, () => many(${contexts} / 4)));
    await settled(before);`, 110_000);
  console.log(`${contexts} contexts left ${JSON.stringify(left)}`);
  // A context takes several hundred KiB.
  expect(left.mib).toBeLessThan(40);
}, 120_000);

describe("a process", () => {
  const pull = new Pull({ linger: 0 });
  const endpoint = bound(pull);
  afterAll(() => pull.close());

  /** A child that sends without end, when it has begun. */
  async function sending(script: string) {
    const child = start(`
      const push = new Push({ linger: 100 });
      push.connect(${JSON.stringify(endpoint)});
      const many = Array.from({ length: 100 }, () => Buffer.alloc(3000));
      // Not at the top level: while a module awaits, Bun does not end by an error.
      void (async () => {
        await push.connected();
        ${script}
        for (;;) await push.sendMany(many);
      })();
    `);
    for (let i = 0; i < 100; i += 1) await pull.receive({ timeout: 5000 });
    return child;
  }

  /** Nothing of it is in the way of the next one. */
  async function goesOn() {
    while (pull.tryReceive());
    using push = new Push({ linger: 0 });
    push.connect(endpoint);
    await push.send("next");
    for (;;) if (texts(await pull.receive({ timeout: 2000 }))[0] === "next") return;
  }

  test.each(["SIGTERM", "SIGINT", "SIGKILL"] as const)("that is sent %s without a handler dies of it at once", async (signal) => {
    const child = await sending("");
    const started = performance.now();
    child.kill(signal);
    await child.exited;
    expect(child.signalCode).toBe(signal);
    expect(performance.now() - started).toBeLessThan(1000);
    await goesOn();
  });

  test.each(["SIGTERM", "SIGINT"] as const)("that exits in a handler of %s gives what is queued its time, no more", async (signal) => {
    const child = await sending(`process.on(${JSON.stringify(signal)}, () => process.exit(9));`);
    const started = performance.now();
    child.kill(signal);
    while (child.exitCode === null) {
      // Its last messages, or none: it must not wait for us for ever.
      pull.tryReceive();
      await Bun.sleep(0);
    }
    expect(child.exitCode).toBe(9);
    expect(performance.now() - started).toBeLessThan(2000);
    await goesOn();
  });

  test("that hangs in linger is still stopped by a signal", async () => {
    const child = start(`
      process.on("exit", () => console.log("leaving"));
      const push = new Push({ linger: -1 }); push.connect("tcp://127.0.0.1:1"); push.trySend("x");
    `);
    expect((await lines(child.stdout).next()).value).toBe("leaving");
    child.kill("SIGTERM");
    await child.exited;
    expect(child.signalCode).toBe("SIGTERM");
  });

  test("that a signal finds in a blocking call dies of it", async () => {
    const child = start(`
      const pull = new Pull(); pull.bindSync("ipc://*");
      console.log("blocking"); pull.receiveSync();
    `);
    expect((await lines(child.stdout).next()).value).toBe("blocking");
    child.kill("SIGTERM");
    await child.exited;
    expect(child.signalCode).toBe("SIGTERM");
  });

  const errors: [string, string][] = [
    ["an uncaught error", `setTimeout(() => { throw new Error("oops") }, 1);`],
    ["an unhandled rejection", `setTimeout(() => { void Promise.reject(new Error("oops")) }, 1);`],
    ["an error in a listener of events", `
      setTimeout(() => {
        const other = new Pull();
        other.events.on("bind", () => { throw new Error("oops") });
        other.bindSync("tcp://127.0.0.1:*");
      }, 1);`],
  ];

  test.each(errors)("that ends by %s under traffic says so and is gone", async (_, script) => {
    const child = await sending(script);
    const reading = (async () => {
      while (child.exitCode === null) {
        pull.tryReceive();
        await Bun.sleep(0);
      }
    })();
    const stderr = await new Response(child.stderr).text();
    await reading;
    expect(stderr).toContain("oops");
    expect(child.exitCode).toBe(1);
    await goesOn();
  });

  test("whose errors are handled goes on with all its sockets", async () => {
    const child = await sending(`
      process.on("uncaughtException", () => {}); process.on("unhandledRejection", () => {});
      setInterval(() => { throw new Error("oops") }, 2);
      setInterval(() => { void Promise.reject(new Error("oops")) }, 2);
    `);
    for (let i = 0; i < 5000; i += 1) await pull.receive({ timeout: 2000 });
    expect(child.exitCode).toBeNull();
    child.kill("SIGKILL");
    await child.exited;
    await goesOn();
  });
});

test("the last answer of a process that exits right after it arrives", async () => {
  const child = start(`
    const reply = new Reply(); await reply.bind("tcp://127.0.0.1:*");
    console.log(reply.lastEndpoint);
    const [question] = await reply.receive();
    await reply.send([question, Buffer.alloc(200_000)]);
    process.exit(0);
  `);
  const endpoint = (await lines(child.stdout).next()).value as string;
  using request = new Request({ linger: 0 });
  request.connect(endpoint);
  await request.send("?");
  const [question, rest] = await request.receive({ timeout: 3000 });
  expect([String(question), rest!.length]).toEqual(["?", 200_000]);
  expect(await child.exited).toBe(0);
});
