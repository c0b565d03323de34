// Descriptors that run out. Accepting rests, told once, without a busy processor; who is connected
// notices nothing, and when there are descriptors again everybody gets in by itself.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { run } from "../support/process.ts";

const libc = JSON.stringify(join(import.meta.dir, "../support/libc.ts"));

/** Of a program that may open so many descriptors more, in `take` and `give` it has them or not. */
const prelude = `
import { context, Pair } from ${JSON.stringify(join(import.meta.dir, "../../src/index.ts"))};
import { readdirSync } from "node:fs";
import { AF_INET, close, inet, limitDescriptors, connect, socket as rawSocket } from ${libc};
const until = async (done, what) => {
  const end = Date.now() + 8000;
  while (!done()) {
    if (Date.now() > end) throw new Error("not in time: " + what);
    await Bun.sleep(5);
  }
};
const held = [];
const leave = (count) => {
  for (;;) {
    try { held.push(rawSocket(AF_INET)); } catch { break; }
  }
  for (let i = 0; i < count; i += 1) close(held.pop());
};
const give = () => { while (held.length > 0) close(held.pop()); };
const port = (endpoint) => Number(endpoint.slice(endpoint.lastIndexOf(":") + 1));
// A look at the clock and at the processor, in per cent.
const busy = async (ms) => {
  const [before, at] = [process.cpuUsage(), performance.now()];
  await Bun.sleep(ms);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 10 / (performance.now() - at);
};
`;

async function child(script: string): Promise<void> {
  const { stdout, stderr, exitCode } = await run(prelude + script, { timeout: 30_000 });
  expect({ stderr, exitCode, stdout }).toEqual({ stderr: "", exitCode: 0, stdout: "" });
}

test("accept rests without descriptors, with an idle processor, and goes on when there are some", () =>
  child(`
    limitDescriptors(64);
    const pull = new Pull();
    const errors = [];
    pull.events.on("accept:error", (event) => errors.push(event));
    await pull.bind("tcp://127.0.0.1:*");
    const first = new Push({ linger: 0 });
    first.connect(pull.lastEndpoint);
    await first.connected();
    // The client's own descriptors are there already: the listener finds none.
    const waiting = [0, 1, 2].map(() => rawSocket(AF_INET));
    leave(0);
    for (const fd of waiting) connect(fd, inet("127.0.0.1", port(pull.lastEndpoint)));
    await until(() => errors.length > 0, "the event");
    const percent = await busy(2000);
    if (percent > 5) throw new Error("busy: " + percent + " %");
    // One for each time, and Bun may have closed something of its own in between.
    if (errors.length > 4) throw new Error(errors.length + " events");
    const [{ reason, error }] = errors;
    if (reason !== "descriptors_exhausted" || error.code !== "EMFILE") throw error;
    if (!error.message.includes("ulimit -n")) throw error;
    if (pull.stats().acceptsPaused !== errors.length) throw new Error("not counted");
    await first.send("all the while");
    if (String(await pull.receive()) !== "all the while") throw new Error("lost");
    give();
    const late = new Push({ linger: 0 });
    late.connect(pull.lastEndpoint);
    await late.connected(undefined, { timeout: 3000 });
    await late.send("at last");
    if (String(await pull.receive()) !== "at last") throw new Error("lost");
    for (const it of [pull, first, late]) it.close();
  `), 30_000);

test("strangers that hold the last descriptors give way: a good peer gets in at once", () =>
  child(`
    const pull = new Pull();
    const client = Bun.spawn([process.execPath, "-e", \`
      import { Push } from ${JSON.stringify(join(import.meta.dir, "../../src/index.ts"))};
      import { AF_INET, connect, inet, socket as rawSocket } from ${libc.replaceAll('"', "'")};
      const endpoint = (await Bun.stdin.text()).trim();
      for (let i = 0; i < 200; i += 1) {
        connect(rawSocket(AF_INET), inet("127.0.0.1", Number(endpoint.split(":").pop())));
      }
      const push = new Push();
      push.connect(endpoint);
      await push.connected(undefined, { timeout: 5000 });
      await push.send("let in");
      await Bun.sleep(3000);
    \`], { stdin: "pipe", stdout: "inherit", stderr: "inherit" });
    // Not before: the other program must not inherit it; io_uring looks at it when it is asked to
    // accept.
    limitDescriptors(readdirSync("/proc/self/fd").length + 30);
    await pull.bind("tcp://127.0.0.1:*");
    client.stdin.write(pull.lastEndpoint);
    client.stdin.end();
    const message = await pull.receive();
    if (String(message) !== "let in") throw new Error(String(message));
    if (pull.stats().handshakesDropped < 100) throw new Error(JSON.stringify(pull.stats()));
    client.kill();
    await client.exited;
    pull.close();
  `), 30_000);

test("connect without descriptors is told why and tries again until there are some", () =>
  child(`
    limitDescriptors(64);
    const pull = new Pull();
    await pull.bind("tcp://127.0.0.1:*");
    const push = new Push({ linger: 0 });
    const retries = [];
    push.events.on("connect:retry", (event) => retries.push(event));
    leave(0);
    push.connect(pull.lastEndpoint);
    await until(() => retries.length >= 3, "attempts");
    if (retries[0].reason !== "descriptors_exhausted") throw new Error(retries[0].reason);
    give();
    await push.connected(undefined, { timeout: 3000 });
    push.close();
    pull.close();
  `), 30_000);

test("bind without descriptors is an error with a code and an advice, and can be repeated", () =>
  child(`
    limitDescriptors(64);
    const pull = new Pull();
    leave(0);
    const error = await pull.bind("tcp://127.0.0.1:*").then(() => undefined, (failure) => failure);
    if (error?.code !== "EMFILE") throw new Error("no EMFILE: " + error);
    give();
    await pull.bind("tcp://127.0.0.1:*");
    pull.close();
  `), 30_000);

test("a thread's first socket without descriptors is an error that tells how many it takes", () =>
  child(`
    limitDescriptors(64);
    leave(1);
    let error;
    try { new Pull(); } catch (failure) { error = failure; }
    give();
    if (!(error instanceof Error)) throw new Error("a socket without descriptors");
    if (error.code !== "EMFILE" || !error.message.includes("ulimit -n")) throw error;
    const pull = new Pull();
    pull.close();
  `), 30_000);
