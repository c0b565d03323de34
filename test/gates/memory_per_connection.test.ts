// What a connection costs in memory, both sides, as the kernel counts it. libzmq: 29 to 33 KiB. Beyond
// that a server of many quiet clients needs a larger machine, and strangers fill a small one.

import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import type { Taken, Task } from "../children/many_links.ts";
import { lines } from "../support/process.ts";

const program = join(import.meta.dir, "../children/many_links.ts");
const connections = 10_000;
/** Bytes: Bun's own heap moves by half a MiB between two looks. */
const noise = (512 * 1024) / (connections * 0.9);

const children: Bun.Subprocess[] = [];
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  await Promise.all(children.splice(0).map((child) => child.exited));
});

function start(task: Task) {
  const child = Bun.spawn([process.execPath, program, JSON.stringify(task)], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  children.push(child);
  return { child, said: lines(child.stdout) };
}

async function heard<T>(said: AsyncGenerator<string>): Promise<T> {
  const { value, done } = await said.next();
  if (done) throw new Error("the program ended without a word");
  return JSON.parse(value) as T;
}

/** What each of them takes: who is bound, and who connects where that is one of ours. */
async function measure(
  binds: Task["role"],
  connects: Task["role"],
  more: Partial<Task> = {},
): Promise<Taken[]> {
  const server = start({ role: binds, connections, ...more });
  const { endpoint } = await heard<{ endpoint: string }>(server.said);
  const client = start({ role: connects, connections, endpoint, ...more });
  const ours = connects === "connect" ? [server, client] : [server];
  await Promise.all(ours.map((it) => heard(it.said)));
  client.child.stdin.write("go on\n");
  await client.child.stdin.flush();
  const taken = await Promise.all(ours.map((it) => heard<Taken>(it.said)));
  const what = `${binds}/${connects}${more.curve ? ", CURVE" : ""}`;
  console.log(`${what}: ${taken.map((it) => Math.round(it.resident)).join(", ")} bytes`);
  return taken;
}

test("one of 10,000 idle connections takes 4 KiB at most, on either side", async () => {
  for (const { resident } of await measure("bind", "connect")) {
    expect(resident).toBeLessThanOrEqual(4096);
    // A measurement that measures nothing would be content, too.
    expect(resident).toBeGreaterThan(500);
  }
}, 60_000);

test("one of 10,000 strangers that say nothing takes 1 KiB at most", async () => {
  const [{ resident, mapped }] = (await measure("strangers", "silent")) as [Taken];
  expect(resident).toBeLessThanOrEqual(1024 + noise);
  expect(resident).toBeGreaterThan(500);
  expect(mapped).toBeLessThanOrEqual(192);
}, 60_000);

// Keys, counters and nonces; what is encrypted has memory only while it is under way.
test("CURVE adds 8 KiB at most to a connection, on either side", async () => {
  const fewer = { connections: 2000 };
  const plain = await measure("bind", "connect", fewer);
  const secured = await measure("bind", "connect", { ...fewer, curve: true });
  for (const [side, { resident }] of secured.entries()) {
    expect(resident - plain[side]!.resident).toBeLessThanOrEqual(8192);
    expect(resident).toBeGreaterThan(500);
  }
}, 60_000);
