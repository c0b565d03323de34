// What keeps a process alive, what does not, and what is left when it ends.

import { describe, expect, test } from "bun:test";
import { Pull, Reply, Request } from "../src/index.ts";
import { lines, run, start } from "./support/process.ts";
import { bound, texts } from "./support/sockets.ts";

describe.concurrent("a process ends by itself", () => {
  const idle: [string, string][] = [
    ["with bound sockets", `new Pull().bindSync("tcp://127.0.0.1:*"); await new Reply().bind("ipc://*");`],
    ["with sockets that try to connect", `
      new Push({ linger: 0 }).connect("tcp://127.0.0.1:1");
      new Request({ linger: 0 }).connect("tcp://localhost:1");`],
    ["with connected sockets", `
      const pull = new Pull(); pull.bindSync("tcp://127.0.0.1:*");
      const push = new Push(); push.connect(pull.lastEndpoint);
      await push.send("x"); await pull.receive();`],
    ["with an observer that only listens", `
      const pull = new Pull(); pull.events.on("accept", () => {}); pull.bindSync("tcp://127.0.0.1:*");`],
    ["after a receive that timed out", `await new Pull().receive({ timeout: 10 }).catch(() => {});`],
    ["after a receive that was aborted", `
      const controller = new AbortController();
      const waiting = new Pull().receive({ signal: controller.signal }).catch(() => {});
      controller.abort(); await waiting;`],
    ["after a loop that was left", `
      const pull = new Pull(); pull.bindSync("tcp://127.0.0.1:*");
      const push = new Push(); push.connect(pull.lastEndpoint); await push.send("x");
      for await (const _ of pull) break;`],
    ["after ref() and unref()", `new Pull().ref().ref().unref();`],
    ["after ref() and close()", `new Pull().ref().close();`],
    ["without any socket", ``],
  ];

  test.each(idle)("%s", async (_, script) => {
    const result = await run(`${script}; console.log("end of script")`, { timeout: 5000 });
    expect(result).toMatchObject({ stdout: "end of script\n", stderr: "", exitCode: 0 });
    expect(result.ms).toBeLessThan(4000);
  });
});

describe.concurrent("a process stays alive", () => {
  const busy: [string, string][] = [
    ["for a receive that waits", `new Pull().receive();`],
    ["for a receiveMany that waits", `new Pull().receiveMany();`],
    ["for an iterator that waits", `
      const pull = new Pull(); pull.bindSync("tcp://127.0.0.1:*");
      (async () => { for await (const _ of pull); })();`],
    ["for batches that wait", `(async () => { for await (const _ of new Pull().batches()); })();`],
    ["for a send that waits for room", `new Push().send("x");`],
    ["for a sendMany that waits for room", `new Push().sendMany(["x"]);`],
    ["for a reader of events", `(async () => { for await (const _ of new Pull().events); })();`],
    ["for ref()", `new Pull().ref();`],
  ];

  test.each(busy)("%s", async (_, script) => {
    // Unref'd: only the socket holds the process until it fires.
    const result = await run(`${script};
      setTimeout(() => { console.log("alive"); process.exit(7) }, 250).unref();`);
    expect(result).toMatchObject({ stdout: "alive\n", exitCode: 7 });
  });
});

describe("an idle socket in a process that something else keeps alive", () => {
  test("still connects, accepts and answers", async () => {
    // No call of this process ever waits: everything below happens on the unref'd watch.
    const child = start(`
      const server = Bun.serve({ port: 0, fetch: () => new Response("web") });
      const pull = new Pull(); pull.bindSync("tcp://127.0.0.1:*");
      const push = new Push(); push.connect(process.env.PEER);
      console.log(server.port, pull.lastEndpoint, push.trySend("hello of the idle one"));
      setInterval(() => {
        for (let message; (message = pull.tryReceive()); ) push.trySend(message);
      }, 5);
      process.stdin.on("data", () => process.exit(0));
    `, { env: { PEER: await listening() } });
    const output = lines(child.stdout);
    const [port, endpoint = ""] = ((await output.next()).value as string).split(" ");
    expect(texts(await peer.receive({ timeout: 3000 }))).toEqual(["hello of the idle one"]);
    const { Push } = await import("../src/index.ts");
    using push = new Push({ linger: 0 });
    push.connect(endpoint);
    for (let i = 0; i < 20; i += 1) {
      await push.send(`${i}`);
      expect(texts(await peer.receive({ timeout: 3000 }))).toEqual([`${i}`]);
      if (i % 5 === 0) {
        expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe("web");
        // Long enough for the stream of the last wait to be given up for the watch.
        await Bun.sleep(40);
      }
    }
    child.stdin.write("\n");
    child.stdin.end();
    expect(await child.exited).toBe(0);
    peer.close();
  });

  let peer: Pull;

  async function listening(): Promise<string> {
    peer = new Pull();
    await peer.bind("tcp://127.0.0.1:*");
    return peer.lastEndpoint as string;
  }

  test("reconnects when its peer comes back", async () => {
    const first = new Pull();
    const endpoint = bound(first);
    const child = start(`
      const push = new Push({ reconnectInterval: 10 });
      push.connect(${JSON.stringify(endpoint)});
      setInterval(() => push.trySend("tick"), 10);
    `);
    await first.receive({ timeout: 3000 });
    for (let round = 0; round < 3; round += 1) {
      first.close();
      using again = new Pull();
      again.bindSync(endpoint);
      expect(texts(await again.receive({ timeout: 3000 }))).toEqual(["tick"]);
    }
    child.kill("SIGKILL");
    await child.exited;
  });

  test("with 100 idle connections is not woken once in 10 seconds", async () => {
    const module = JSON.stringify(new URL("../src/context.ts", import.meta.url).pathname);
    // The same program without sockets tells what the runtime does of its own accord.
    const program = (sockets: string) => `
      import { readdirSync, readFileSync } from "node:fs";
      import { nativeContext } from ${module};
      const pull = new Pull();
      ${sockets}
      Bun.gc(true);
      await Bun.sleep(1500);
      const counts = () => {
        const threads = readdirSync("/proc/self/task").map((thread) => {
          const status = readFileSync("/proc/self/task/" + thread + "/status", "utf8");
          return [thread, Number(/^voluntary_ctxt_switches:\\s*(\\d+)/m.exec(status)[1])];
        });
        const { ticks, wakeups, system_calls } = nativeContext().stats();
        return { counters: { ticks, wakeups, system_calls }, threads: new Map(threads) };
      };
      const before = counts();
      await Bun.sleep(10_000);
      const { counters, threads } = counts();
      for (const key in counters) counters[key] -= before.counters[key];
      // A thread of the runtime that ends takes its count with it.
      let switches = 0;
      for (const [thread, count] of threads) switches += count - (before.threads.get(thread) ?? 0);
      const { connections } = pull.stats();
      console.log(JSON.stringify({ ...counters, switches, connections }));
    `;
    const connected = `
      pull.bindSync("tcp://127.0.0.1:*");
      const pushes = Array.from({ length: 100 }, () => new Push());
      for (const push of pushes) push.connect(pull.lastEndpoint);
      for (const push of pushes) { await push.send("x"); await pull.receive(); }
    `;
    const limit = { timeout: 20_000 };
    const programs = [program(connected), program("")];
    const results = await Promise.all(programs.map((script) => run(script, limit)));
    const [idle, bare] = results.map(({ stdout, stderr, exitCode }) => {
      expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
      return JSON.parse(stdout);
    });
    const { switches, ...counters } = idle;
    expect(counters).toEqual({ ticks: 0, wakeups: 0, system_calls: 0, connections: 100 });
    expect(switches).toBeLessThanOrEqual(bare.switches + 10);
  }, 30_000);
});

test("process.exit() does not hang on a bind that is under way", async () => {
  using pull = new Pull();
  const endpoint = JSON.stringify(bound(pull));
  for (const binding of [`new Pull().bind(${endpoint})`, `new Pull().bind("tcp://localhost:*")`]) {
    const result = await run(`${binding}; process.exit(3);`, { timeout: 5000 });
    expect(result).toMatchObject({ stderr: "", exitCode: 3 });
  }
});

describe("queued messages", () => {
  /** Runs a sender and returns what arrived within its life. */
  async function arrives(script: string, expected: number) {
    using pull = new Pull();
    const endpoint = bound(pull);
    const running = run(`const endpoint = ${JSON.stringify(endpoint)}; ${script}`);
    const received: string[] = [];
    for (let i = 0; i < expected; i += 1) {
      received.push(...texts(await pull.receive({ timeout: 5000 })));
    }
    const result = await running;
    await Bun.sleep(20);
    expect(pull.tryReceive()).toBeUndefined();
    return { received, result };
  }

  const send = `
    const push = new Push(); push.connect(endpoint);
    for (let i = 0; i < 1000; i++) if (!push.trySend(String(i))) throw new Error("no room");
  `;
  const numbers = Array.from({ length: 1000 }, (_, i) => `${i}`);
  const ways: [string, string, number][] = [
    ["at the end of the program", send, 0],
    ["at process.exit()", `${send} process.exit(3)`, 3],
    ["after close() and the end", `${send} push.close()`, 0],
    ["after close() and process.exit()", `${send} push.close(); process.exit(3)`, 3],
    ["at an uncaught exception", `${send} setTimeout(() => { throw new Error("oops") }, 0)`, 1],
    ["at an unhandled rejection", `${send} Promise.reject(new Error("oops"))`, 1],
    ["at an error of the module", `${send} throw new Error("oops")`, 1],
  ];

  test.each(ways)("leave %s, although no connection was there yet", async (_, script, exitCode) => {
    const { received, result } = await arrives(script, 1000);
    expect(received).toEqual(numbers);
    expect(result.exitCode).toBe(exitCode);
    expect(result.ms).toBeLessThan(5000);
  });

  test("of 50 MiB leave at process.exit()", async () => {
    using pull = new Pull();
    const running = run(`
      const push = new Push(); push.connect(${JSON.stringify(bound(pull))});
      for (let i = 0; i < 50; i++) push.trySend(Buffer.alloc(1 << 20, i));
      process.exit(0);
    `);
    for (let i = 0; i < 50; i += 1) {
      const [part] = await pull.receive({ timeout: 5000 });
      expect(part?.equals(Buffer.alloc(1 << 20, i))).toBe(true);
    }
    expect((await running).exitCode).toBe(0);
  });

  test("with linger 0 are dropped, and the process ends at once", async () => {
    const result = await run(`
      const push = new Push({ linger: 0 }); push.connect("tcp://127.0.0.1:1");
      for (let i = 0; i < 100; i++) push.trySend("dropped");
      console.log(performance.now()); process.on("exit", () => console.log(performance.now()));
    `);
    expect(result.exitCode).toBe(0);
    const [before = 0, after = 0] = result.stdout.trim().split("\n").map(Number);
    expect(after - before).toBeLessThan(100);
  });

  test("for a peer that is not there hold the process for their linger time", async () => {
    for (const end of ["", "process.exit(0)", "push.close()"]) {
      const result = await run(`
        const push = new Push({ linger: 500 }); push.connect("tcp://127.0.0.1:1");
        push.trySend("nobody");
        console.log("sent"); const t = Date.now(); ${end};
      `);
      expect(result).toMatchObject({ stdout: "sent\n", exitCode: 0 });
      expect(result.ms).toBeGreaterThan(480);
      expect(result.ms).toBeLessThan(1500);
    }
  });

  test("of a peer that does not read hold the process for their linger time", async () => {
    using pull = new Pull({ receiveHighWaterMark: 1, receiveBufferSize: 4096 });
    const result = await run(`
      const push = new Push({ linger: 300, sendHighWaterMark: 0 });
      push.connect(${JSON.stringify(bound(pull))});
      for (let i = 0; i < 200; i++) push.trySend(Buffer.alloc(100_000));
    `);
    expect(result.exitCode).toBe(0);
    expect(result.ms).toBeGreaterThan(280);
    expect(result.ms).toBeLessThan(2000);
  });

  test("leave with one awaited send(), while the program does nothing but wait", async () => {
    using pull = new Pull();
    const child = start(`
      const push = new Push(); push.connect(${JSON.stringify(bound(pull))});
      await push.send("first"); await new Promise(resolve => setTimeout(resolve, 100));
      await push.send("on its own");
      process.stdout.write("sent\\n");
      await new Promise(resolve => setTimeout(resolve, 60_000));
    `);
    expect(texts(await pull.receive({ timeout: 3000 }))).toEqual(["first"]);
    expect(texts(await pull.receive({ timeout: 3000 }))).toEqual(["on its own"]);
    child.kill("SIGKILL");
    await child.exited;
  });

  test("leave although the program computes right after send()", async () => {
    using pull = new Pull();
    const child = start(`
      const push = new Push(); push.connect(${JSON.stringify(bound(pull))});
      await push.send("first"); await new Promise(resolve => setTimeout(resolve, 50));
      await push.send("awaited");
      await new Promise(resolve => setTimeout(resolve, 0));
      for (const end = performance.now() + 3000; performance.now() < end; );
    `);
    expect(texts(await pull.receive({ timeout: 3000 }))).toEqual(["first"]);
    expect(texts(await pull.receive({ timeout: 1000 }))).toEqual(["awaited"]);
    child.kill("SIGKILL");
    await child.exited;
  });
});

test("a SIGTERM handler closes cleanly: the last answer arrives, the port is free", async () => {
  const child = start(`
    const reply = new Reply(); await reply.bind("tcp://127.0.0.1:*");
    process.on("SIGTERM", () => reply.close());
    console.log(reply.lastEndpoint);
    for await (const question of reply) {
      process.kill(process.pid, "SIGTERM");
      await reply.send(question);
    }
    console.log("served");
  `);
  const output = lines(child.stdout);
  const endpoint = (await output.next()).value as string;
  using request = new Request({ linger: 0 });
  request.connect(endpoint);
  await request.send("question");
  expect(texts(await request.receive({ timeout: 3000 }))).toEqual(["question"]);
  expect((await output.next()).value).toBe("served");
  expect(await child.exited).toBe(0);
  using again = new Reply();
  again.bindSync(endpoint);
});

test("timers go on while messages are always there", async () => {
  const loops = {
    "for await": `for await (const _ of pull) if (done()) break;`,
    batches: `for await (const _ of pull.batches()) if (done()) break;`,
    receive: `while (!done()) await pull.receive();`,
  };
  const worker = `
    const push = new Push(); push.connect(process.env.ENDPOINT);
    const many = Array.from({ length: 1000 }, () => Buffer.alloc(64));
    for (;;) await push.sendMany(many);
  `;
  for (const [name, loop] of Object.entries(loops)) {
    const reader = start(`
      import { readFileSync } from "node:fs";
      const pull = new Pull(); await pull.bind("ipc://*");
      console.log(pull.lastEndpoint);
      await pull.receive();
      // Milliseconds that this thread has run: who else wants the processor is no matter.
      const schedstat = "/proc/thread-self/schedstat";
      const ran = () => Number(readFileSync(schedstat, "latin1").split(" ")[0]) / 1e6;
      let worst = 0, fired = 0, previous = ran();
      setInterval(() => {
        const now = ran();
        worst = Math.max(worst, now - previous); previous = now; fired += 1;
      }, 5);
      let count = 0;
      const until = performance.now() + 5000;
      const done = () => { count += 1; return fired === 100 || performance.now() > until; };
      previous = ran();
      ${loop}
      console.log(JSON.stringify({ worst, fired, count }));
      process.exit(0);
    `);
    const output = lines(reader.stdout);
    const sender = start(worker, { env: { ENDPOINT: (await output.next()).value as string } });
    const { worst, fired, count } = JSON.parse((await output.next()).value as string);
    sender.kill("SIGKILL");
    await Promise.all([sender.exited, reader.exited]);
    expect({ name, count: count > 100 }).toEqual({ name, count: true });
    // 5 ms of the timer, and a turn's work.
    expect({ name, late: worst > 40 && worst, fired }).toEqual({ name, late: false, fired: 100 });
  }
}, 20_000);

test("a loop of awaited sends lets timers go on", async () => {
  const result = await run(`
    const pull = new Pull(); pull.bindSync("ipc://*");
    const push = new Push(); push.connect(pull.lastEndpoint);
    let fired = 0; setInterval(() => { fired += 1; }, 5);
    (async () => { for await (const _ of pull.batches()); })();
    const until = performance.now() + 500;
    while (performance.now() < until) await push.send("x");
    console.log(fired); process.exit(0);
  `);
  expect(Number(result.stdout)).toBeGreaterThan(30);
});
