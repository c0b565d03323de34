// Holds many connections that nothing is sent on, and tells again and again how often that woke its
// process: voluntary context switches, as the kernel counts them. One process with both ends, or one
// end.

import { readdirSync, readFileSync } from "node:fs";
import { nativeContext } from "../../src/context.ts";
import { Dealer } from "../../src/index.ts";

/** What the program is told, as JSON. */
export interface Task {
  connections: number;
  heartbeatInterval: number;
  /** Milliseconds counted. */
  window: number;
  /** An end in another process: what to connect to, or "" to bind and to say where. */
  endpoint?: string;
}

/** What it says about each window. */
export interface Counted {
  switches: number;
  turns: number;
  /** Connections of each socket. */
  alive: number[];
}

const task: Task = JSON.parse(process.argv[2]!);
const sockets: Dealer[] = [];

function socket(): Dealer {
  const made = new Dealer({ heartbeatInterval: task.heartbeatInterval, linger: 0 });
  sockets.push(made);
  return made;
}

/** Threads of Bun that collect garbage and compile: they look around all the time, without us, too. */
const runtimes = new Set(["HeapHelper", "mi-scavenger", "JITWorker", "JSCWarmUp"]);

const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
const alive = () => sockets.map((it) => it.peers().length);

async function complete(): Promise<void> {
  while (alive().some((count) => count < task.connections)) await Bun.sleep(20);
}

function now() {
  let switches = 0;
  for (const thread of readdirSync("/proc/self/task")) {
    const status = readFileSync(`/proc/self/task/${thread}/status`, "latin1");
    if (runtimes.has(/^Name:\s*(.*)/.exec(status)![1]!)) continue;
    switches += Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)![1]);
  }
  return { switches, turns: nativeContext().stats().ticks };
}

async function bind(): Promise<string> {
  const it = socket();
  await it.bind("tcp://0.0.0.0:*");
  return it.lastEndpoint!;
}

/** A socket connects to an endpoint once, and all of 127.0.0.0/8 is this machine. */
async function connect(endpoint: string): Promise<void> {
  const it = socket();
  for (let i = 0; i < task.connections; i += 1) {
    it.connect(endpoint.replace("0.0.0.0", `127.1.${i >> 8}.${i & 255}`));
    // No more at a time than a listener's queue holds.
    if (i % 50 === 49) await Bun.sleep(1);
  }
}

if (task.endpoint === undefined) await connect(await bind());
else if (task.endpoint === "") say({ endpoint: await bind() });
else await connect(task.endpoint);
await complete();
// What starting has left to be done: collections, watches that change hands.
Bun.gc(true);
await Bun.sleep(1000);
for (;;) {
  const before = now();
  await Bun.sleep(task.window);
  const after = now();
  const switches = after.switches - before.switches;
  say({ switches, turns: after.turns - before.turns, alive: alive() } satisfies Counted);
}
