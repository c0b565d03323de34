// What one connection more costs a process, as the kernel counts its memory: between a tenth of them
// and all of them, so that what is there once does not count.
//
//     many_links.ts '{"role": "bind", "connections": 10000}'
//
// It says where it is bound, then `{}` at a tenth, and `Taken` in the end. A side that connects goes on
// behind the tenth when it is told to by a line.

import { readFileSync } from "node:fs";
import { nativeContext } from "../../src/context.ts";
import { Pull, Push } from "../../src/index.ts";
import { AF_INET, connect, inet, socket as rawSocket } from "../support/libc.ts";

export interface Task {
  /** `silent` connects by hand and says nothing; `strangers` is whom that connects to. */
  role: "bind" | "connect" | "silent" | "strangers";
  connections: number;
  endpoint?: string;
  /** Encrypted, on both sides. */
  curve?: boolean;
}

export interface Taken {
  /** Bytes of memory for each connection. */
  resident: number;
  /** What of it the slabs have. */
  mapped: number;
}

const task: Task = JSON.parse(process.argv[2]!);
const { role, connections, endpoint = "", curve = false } = task;
const tenth = connections / 10;

/** Keys that everybody knows. */
const server = {
  curveServer: true,
  curveSecretKey: "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6",
};
const client = { curveServerKey: "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7" };

const say = (what: object) => process.stdout.write(`${JSON.stringify(what)}\n`);

/** Without pages of files, which are there once for all processes. */
function residentBytes(): number {
  Bun.gc(true);
  const kibibytes = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "latin1"))![1];
  return Number(kibibytes) * 1024;
}

/** The least of a second: what was needed for a moment goes back to the system meanwhile. */
async function settled(): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 10; i += 1) {
    await Bun.sleep(100);
    least = Math.min(least, residentBytes());
  }
  return least;
}

async function until(count: () => number, wanted: number): Promise<void> {
  while (count() < wanted) await Bun.sleep(5);
}

const mapped = () => nativeContext().stats().memory_mapped_bytes;

async function measure(count: () => number): Promise<void> {
  await until(count, tenth);
  const before = await settled();
  const mappedBefore = mapped();
  say({});
  await until(count, connections);
  const more = connections - tenth;
  const resident = ((await settled()) - before) / more;
  say({ resident, mapped: (mapped() - mappedBefore) / more } satisfies Taken);
}

/** Half of a listener's queue at a time. */
async function open(one: () => void): Promise<void> {
  for (let i = 0; i < connections; i += 1) {
    if (i === tenth) for await (const _ of console) break;
    one();
    if (i % 50 === 49) await Bun.sleep(1);
  }
}

if (role === "silent") {
  const port = Number(endpoint.slice(endpoint.lastIndexOf(":") + 1));
  await open(() => connect(rawSocket(AF_INET), inet("127.0.0.1", port)));
} else if (role === "connect") {
  const push = new Push(curve ? client : {});
  const measured = measure(() => push.stats().connections);
  await open(() => push.connect(endpoint));
  await measured;
} else {
  const patient = { handshakesMax: 0, handshakeInterval: 60_000 };
  const pull = new Pull({ ...patient, ...(curve ? server : {}) });
  await pull.bind("tcp://127.0.0.1:*");
  say({ endpoint: pull.lastEndpoint });
  await measure(
    role === "bind" ? () => pull.stats().connections : () => nativeContext().stats().sessions,
  );
}
setInterval(() => {}, 1000);
