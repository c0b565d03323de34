// `bun --hot` evaluates the program again in the same process: its ports and sockets with it.

import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Request } from "../src/index.ts";
import { entry, lines } from "./support/process.ts";
import { bound, texts, until } from "./support/sockets.ts";

/** Programs that are changed so many times; memory and descriptors must not follow. */
const reloads = 20;
/** Until Bun has seen a change of the file. */
const seen = { timeout: 2000 };

test.each(["--hot", "--watch"])("a server under %s binds its port again after each of 20 changes, answers with the new code, and leaks nothing", async (mode) => {
  const directory = mkdtempSync(join(tmpdir(), "hot-"));
  const file = join(directory, "server.ts");
  using probe = new (await import("../src/index.ts")).Reply();
  probe.bindSync("tcp://127.0.0.1:*");
  const endpoint = probe.lastEndpoint as string;
  probe.close();
  const write = (version: number) =>
    writeFileSync(
      file,
      `import { Pull, Push, Reply } from ${JSON.stringify(entry)};
       const reply = new Reply();
       reply.bindSync(${JSON.stringify(endpoint)});
       // Everything that may be left behind: connections, a name, a path, messages, a waiting call.
       const pull = new Pull({ linger: 0 });
       pull.bindSync("inproc://hot");
       pull.bindSync("ipc://*");
       const push = new Push({ linger: 0 });
       push.connect(pull.lastEndpoint);
       push.connect("tcp://127.0.0.1:1");
       for (let i = 0; i < 100; i++) push.trySend(Buffer.alloc(10_000));
       void new Pull().receive().catch(() => {});
       console.log("version ${version}");
       // Not at the top level: Bun waits for a module's own await before it evaluates it again.
       void (async () => {
         for await (const [question] of reply) await reply.send(question + " version ${version}");
       })();
      `,
    );
  write(0);
  const child = Bun.spawn([process.execPath, mode, "--no-clear-screen", file], {
    stdout: "pipe",
    stderr: "inherit",
    timeout: 50_000,
    killSignal: "SIGKILL",
  });
  const output = lines(child.stdout);
  const count = (what: "fd" | "task") => readdirSync(`/proc/${child.pid}/${what}`).length;
  const memory = () => {
    const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
    return Number(/^VmRSS:\s*(\d+)/m.exec(status)![1]) / 1024;
  };
  using request = new Request({ linger: 0, relaxed: true, correlate: true, reconnectInterval: 5 });
  request.connect(endpoint);
  let before = { descriptors: 0, threads: 0, mib: 0 };
  for (let version = 0; version <= reloads; version += 1) {
    if (version > 0) write(version);
    // One write may be seen as two changes of the file.
    while ((await output.next()).value !== `version ${version}`);
    let answer = "";
    while (answer !== `question version ${version}`) {
      await request.send("question");
      // The program that is replaced may have answered still, or have been stopped before it did.
      answer = await request.receive(seen).then((message) => texts(message)[0]!, () => "");
    }
    if (version === 5) {
      before = { descriptors: count("fd"), threads: count("task"), mib: memory() };
    }
  }
  await until("old descriptors are closed", () => count("fd") <= before.descriptors + 2);
  await until("old threads have ended", () => count("task") <= before.threads + 2);
  // A context left behind would be several hundred KiB, a queue of these messages a MiB.
  expect(memory() - before.mib).toBeLessThan(40);
  child.kill("SIGKILL");
  await child.exited;
  rmSync(directory, { recursive: true });
}, 60_000);

test("a proxy of the evaluation before ends, and its port is free", async () => {
  const directory = mkdtempSync(join(tmpdir(), "hot-"));
  const file = join(directory, "proxy.ts");
  const probe = new Request({ linger: 0 });
  const endpoint = bound(probe);
  probe.close();
  const write = (version: number) =>
    writeFileSync(
      file,
      `import { Dealer, Proxy, Router } from ${JSON.stringify(entry)};
       void (async () => {
         const proxy = new Proxy(new Router(), new Dealer());
         await proxy.frontEnd.bind(${JSON.stringify(endpoint)});
         console.log("version ${version}");
         await proxy.run();
       })();
      `,
    );
  write(0);
  const child = Bun.spawn([process.execPath, "--hot", "--no-clear-screen", file], {
    stdout: "pipe",
    stderr: "inherit",
    timeout: 20_000,
  });
  const output = lines(child.stdout);
  for (let version = 0; version < 3; version += 1) {
    if (version > 0) write(version);
    let line = (await output.next()).value;
    // One write may be seen as two changes of the file.
    while (version > 0 && line === `version ${version - 1}`) line = (await output.next()).value;
    expect(line).toBe(`version ${version}`);
  }
  child.kill("SIGKILL");
  await child.exited;
  rmSync(directory, { recursive: true });
}, 25_000);
