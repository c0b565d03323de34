// An idle process sleeps: a thousand connections without messages are no work. Counted by the
// kernel, beside a process without connections, since Bun itself wakes up a few times per second.

import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { lines } from "../support/process.ts";
import type { Counted, Task } from "../children/idle_links.ts";

const program = join(import.meta.dir, "../children/idle_links.ts");
const window = 2000;
/** A process beside us may hold up the answers to a beat, and then they are counted again. */
const windowsMax = 3;

const children: Bun.Subprocess[] = [];
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  await Promise.all(children.splice(0).map((child) => child.exited));
});

type Said = AsyncGenerator<string>;

function start(task: Omit<Task, "window">): Said {
  const child = Bun.spawn([process.execPath, program, JSON.stringify({ ...task, window })], {
    stdout: "pipe",
    stderr: "inherit",
  });
  children.push(child);
  return lines(child.stdout);
}

async function heard<T>(said: Said): Promise<T> {
  const { value, done } = await said.next();
  if (done) throw new Error("the program ended without a word");
  return JSON.parse(value) as T;
}

/** Fails when no window is quiet: at most so many wake-ups per second more than the empty one's. */
async function quiet(ends: Said[], connections: number, perSecond: number): Promise<Counted[]> {
  const empty = start({ connections: 0, heartbeatInterval: 0 });
  const most = (perSecond * window) / 1000;
  // One wake-up of Bun's own may lie on either side of the window's edge.
  const edge = 2;
  const tried: unknown[] = [];
  for (let i = 0; i < windowsMax; i += 1) {
    const base = await heard<Counted>(empty);
    const found = await Promise.all(ends.map((end) => heard<Counted>(end)));
    for (const { alive } of found) for (const count of alive) expect(count).toBe(connections);
    const more = found.map(({ switches }) => switches - base.switches);
    if (more.every((count) => count <= most + edge)) return found;
    tried.push({ more, turns: found.map(({ turns }) => turns) });
  }
  throw new Error(`more than ${perSecond} wake-ups per second: ${JSON.stringify(tried)}`);
}

test("1,000 connections that nothing happens on wake nobody: a battery would run down", async () => {
  const both = start({ connections: 500, heartbeatInterval: 0 });
  const binding = start({ connections: 500, heartbeatInterval: 0, endpoint: "" });
  const { endpoint } = await heard<{ endpoint: string }>(binding);
  const connecting = start({ connections: 500, heartbeatInterval: 0, endpoint });
  // Bun itself wakes up a little more often with more to collect; we never do.
  const found = await quiet([both, binding, connecting], 500, 4);
  expect(found.map(({ turns }) => turns)).toEqual([0, 0, 0]);
}, 30_000);

test("heartbeats of 1,000 connections in one process are four wake-ups per second", async () => {
  await quiet([start({ connections: 1000, heartbeatInterval: 1000 })], 1000, 4);
}, 30_000);

test("so are those of 1,000 connections between two processes, in each of them", async () => {
  const binding = start({ connections: 1000, heartbeatInterval: 1000, endpoint: "" });
  const { endpoint } = await heard<{ endpoint: string }>(binding);
  const connecting = start({ connections: 1000, heartbeatInterval: 1000, endpoint });
  await quiet([binding, connecting], 1000, 4);
}, 30_000);
