// `bun --hot` evaluates the program again in the same process: its ports and sockets with it.

import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Request } from "../src/index.ts";
import { entry, lines } from "./support/process.ts";
import { bound, texts, until } from "./support/sockets.ts";

test("a server binds its port again after each change and answers with the new code", async () => {
  const directory = mkdtempSync(join(tmpdir(), "hot-"));
  const file = join(directory, "server.ts");
  using probe = new (await import("../src/index.ts")).Reply();
  probe.bindSync("tcp://127.0.0.1:*");
  const endpoint = probe.lastEndpoint as string;
  probe.close();
  const write = (version: number) =>
    writeFileSync(
      file,
      `import { Reply } from ${JSON.stringify(entry)};
       const reply = new Reply();
       reply.bindSync(${JSON.stringify(endpoint)});
       console.log("version ${version}");
       // Not at the top level: Bun waits for a module's own await before it evaluates it again.
       void (async () => {
         for await (const [question] of reply) await reply.send(question + " version ${version}");
       })();
      `,
    );
  write(0);
  const child = Bun.spawn([process.execPath, "--hot", "--no-clear-screen", file], {
    stdout: "pipe",
    stderr: "pipe",
    timeout: 20_000,
  });
  const output = lines(child.stdout);
  const descriptors = () => readdirSync(`/proc/${child.pid}/fd`).length;
  using request = new Request({
    linger: 0, relaxed: true, correlate: true, reconnectInterval: 5, receiveTimeout: 200,
  });
  request.connect(endpoint);
  let before = 0;
  for (let version = 0; version < 4; version += 1) {
    if (version > 0) write(version);
    let line = (await output.next()).value;
    // One write may be seen as two changes of the file.
    while (version > 0 && line === `version ${version - 1}`) line = (await output.next()).value;
    expect(line).toBe(`version ${version}`);
    let answer = "";
    for (let i = 0; i < 20 && answer === ""; i += 1) {
      await request.send("question");
      answer = await request.receive().then((message) => texts(message)[0] ?? "", () => "");
      // The process that is replaced may have answered still.
      if (!answer.endsWith(`${version}`)) answer = "";
    }
    expect(answer).toBe(`question version ${version}`);
    if (version === 0) before = descriptors();
  }
  await until("old descriptors are closed", () => descriptors() <= before + 2);
  child.kill("SIGKILL");
  await child.exited;
  rmSync(directory, { recursive: true });
}, 25_000);

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
