// Connect, kill, reconnect, with every pattern, for as long as you like:
//
//   bun test/soak.ts --seconds 120 --workers 4
//   bun test/soak.ts --seconds 20 --only proxy     tasks with this in their names
//   bun test/soak.ts --handovers 10000             a ROUTER's name is taken over so many times
//
// The tasks are in soak/: children (Bun and libzmq programs) and Workers are killed and started
// again, sockets are opened and closed, strangers come and go. It prints memory and descriptors
// every ten seconds, and fails when they grow, or when something is lost, doubled, halved or mixed
// that the pattern promises to deliver.

import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { nativeContext } from "../src/context.ts";
import { descriptors, killPeers } from "./interop/peer.ts";
import { handovers } from "./soak/handover.ts";
import { links } from "./soak/links.ts";
import { requests } from "./soak/requests.ts";
import { streams } from "./soak/streams.ts";
import { threads } from "./soak/threads.ts";
import { topics } from "./soak/topics.ts";
import { type Counts, noCounts, type Task, type Tasks } from "./soak/work.ts";

function argument(name: string, fallback: string): string {
  const index = process.argv.indexOf(`--${name}`);
  return index < 0 ? fallback : (process.argv[index + 1] ?? fallback);
}

// -- the work of one thread ---------------------------------------------------------------------

const tasks: Tasks = { ...links, ...requests, ...topics, ...streams, ...threads };

interface Plan {
  seconds: number;
  /** Of the tasks those that have this in their name. */
  only: string;
}

class Work {
  readonly counts: Counts = noCounts();
  readonly #end: number;
  /** Where the tasks are that have not ended. */
  readonly #steps = new Map<string, string>();

  constructor(seconds: number) {
    this.#end = performance.now() + seconds * 1000;
  }

  async run(only: string): Promise<void> {
    const chosen = Object.entries(tasks).filter(([name]) => name.includes(only));
    if (chosen.length === 0) throw new Error(`soak: no task is called ${only}`);
    const all = chosen.map(async ([name, task]) => {
      this.#steps.set(name, "begun");
      await task(this.#taskOf(name)).catch((cause) => {
        throw new Error(`soak: ${name} (${this.#steps.get(name)})`, { cause });
      });
      this.#steps.delete(name);
    });
    let timer: Timer | undefined;
    const late = new Promise<never>((_, reject) => {
      const at = () => JSON.stringify([...this.#steps]);
      const fail = () => reject(new Error(`soak: still at work: ${at()}`));
      timer = setTimeout(fail, this.#end + 40_000 - performance.now());
    });
    await Promise.race([Promise.all(all), late]).finally(() => clearTimeout(timer));
  }

  #taskOf(name: string): Task {
    const running = () => performance.now() < this.#end;
    return {
      counts: this.counts,
      get running() {
        return running();
      },
      step: (step) => this.#steps.set(name, step),
    };
  }
}

// -- threads ------------------------------------------------------------------------------------

interface Result {
  counts: Counts;
  /** What is left in the thread's context: all of it must be 0. */
  left: Record<string, number>;
  error?: string;
}

/** Memory of a thread's native context. */
interface Native {
  live: number;
  mapped: number;
}

async function work({ seconds, only }: Plan, tell: (native: Native) => void): Promise<Result> {
  const task = new Work(seconds);
  const collecting = setInterval(() => {
    // Every thread has a heap of its own, which only it can clear: what stays is what counts.
    Bun.gc(true);
    const { memory_live_bytes, memory_mapped_bytes } = nativeContext().stats();
    tell({ live: memory_live_bytes, mapped: memory_mapped_bytes });
  }, 1000);
  let error: string | undefined;
  try {
    await task.run(only);
  } catch (caught) {
    error = Bun.inspect(caught);
  }
  clearInterval(collecting);
  const killed = await Promise.race([killPeers().then(() => true), Bun.sleep(5000)]);
  if (!killed) error = `${error ?? ""} soak: a killed child is not seen to have ended`;
  const context = nativeContext();
  // A task that failed left its sockets open; the others have closed theirs.
  if (error !== undefined) context.closeAll();
  for (let i = 0; i < 200 && context.stats().sockets > 0; i += 1) await Bun.sleep(10);
  const { sockets, sessions, listeners, timers, memory_live_bytes } = context.stats();
  const left = { sockets, sessions, listeners, timers, memory_live_bytes, lent: context.lent.size };
  return { counts: task.counts, left, ...(error && { error }) };
}

// -- what is measured ---------------------------------------------------------------------------

interface Sample {
  seconds: number;
  rss: number;
  native: Native;
  descriptors: number;
}

const MIB = 1024 * 1024;
const mib = (size: number): string => `${(size / MIB).toFixed(1)} MiB`;

class Measures {
  readonly #started = performance.now();
  readonly #samples: Sample[] = [];
  /** The latest of each thread. */
  readonly natives: Native[] = [];

  take(): Sample {
    Bun.gc(true);
    let [live, mapped] = [0, 0];
    for (const native of this.natives) {
      live += native.live;
      mapped += native.mapped;
    }
    const sample = {
      seconds: (performance.now() - this.#started) / 1000,
      rss: process.memoryUsage.rss(),
      native: { live, mapped },
      descriptors: descriptors(),
    };
    this.#samples.push(sample);
    return sample;
  }

  print(): void {
    const { seconds, rss, native, descriptors } = this.take();
    const time = seconds.toFixed(0).padStart(5);
    const memory = `RSS ${mib(rss)}, native ${mib(native.live)} of ${mib(native.mapped)}`;
    console.log(`${time} s  ${memory}  ${descriptors} descriptors`);
  }

  /** Prints how both halves of the time after warming up compare, and returns what grows. */
  compare(seconds: number, workers: number): string[] {
    const middle = this.#samples.filter((it) => it.seconds > seconds * 0.4 && it.seconds < seconds);
    const halves = [middle.slice(0, middle.length >> 1), middle.slice(middle.length >> 1)];
    // The valleys: the peaks are what the collector has not come to yet, hundreds of MiB a second.
    type Of = (sample: Sample) => number;
    const least = (of: Of) => halves.map((half) => Math.min(...half.map(of)));
    const most = (of: Of) => halves.map((half) => Math.max(...half.map(of)));
    const rss = least((it) => it.rss);
    // What the native side keeps at hand follows the largest burst there was, and is known exactly.
    const others = least((it) => it.rss - it.native.mapped);
    const live = least((it) => it.native.live);
    const counts = most((it) => it.descriptors);
    const then = (values: number[]) => values.map(mib).join(" then ");
    console.log(`lowest after 40 % of the time: RSS ${then(rss)}; without native ${then(others)}`);
    console.log(`native live ${then(live)}; most descriptors ${counts.join(" then ")}`);
    const grows = ([early, late]: number[], spare: number) => late! > early! * 1.1 + spare;
    return [
      ...(grows(others, 8 * MIB) ? ["memory grows"] : []),
      ...(grows(live, 16 * MIB * workers) ? ["native memory grows"] : []),
      ...(grows(counts, 10 * workers) ? ["descriptors grow"] : []),
    ];
  }
}

async function main(): Promise<void> {
  const seconds = Number(argument("seconds", "120"));
  const workers = Number(argument("workers", "1"));
  // The wake-up and what Bun opens at first use.
  const before = descriptors();
  const measures = new Measures();
  measures.print();
  const every = seconds >= 30 ? 10_000 : 1000;
  const reporting = setInterval(() => measures.print(), every);
  // In between without a line: descriptors come and go with the children.
  const sampling = setInterval(() => measures.take(), every / 5);
  const plan = { seconds, only: argument("only", "") };
  const results = await allWork(workers, plan, measures.natives);
  clearInterval(reporting);
  clearInterval(sampling);
  await Bun.sleep(500);
  measures.print();

  const failures: string[] = [];
  const total = noCounts();
  for (const { counts, left, error } of results) {
    for (const key of Object.keys(total) as (keyof Counts)[]) total[key] += counts[key];
    if (error) failures.push(error);
    const clean = Object.values(left).every((value) => value === 0);
    if (!clean) failures.push(`left: ${JSON.stringify(left)}`);
  }
  console.log(JSON.stringify(total));
  const grown = measures.compare(seconds, workers);
  // Shorter runs are all warm-up, mostly of Bun's heap: the outcome and what is left count.
  if (seconds >= 100) failures.push(...grown);
  const { inproc_links, inproc_bytes } = nativeContext().stats();
  if (inproc_links + inproc_bytes > 0) failures.push(`${inproc_links} links of inproc are left`);
  const after = descriptors();
  console.log(`descriptors: ${before} before, ${after} after`);
  if (after > before + 12) failures.push(`${after - before} descriptors are left`);
  for (const failure of failures) console.log(`FAILED: ${failure}`);
  console.log(failures.length === 0 ? "soak: ok" : "soak: FAILED");
  process.exit(failures.length === 0 ? 0 : 1);
}

/** In this thread, or in Workers; `natives` gets the memory of each now and then. */
function allWork(workers: number, plan: Plan, natives: Native[]): Promise<Result[]> {
  const tell = (index: number) => (native: Native) => {
    natives[index] = native;
  };
  if (workers === 1) return Promise.all([work(plan, tell(0))]);
  return Promise.all(Array.from({ length: workers }, (_, index) => inWorker(plan, tell(index))));
}

async function inWorker(plan: Plan, tell: (native: Native) => void): Promise<Result> {
  const worker = new Worker(import.meta.path, { workerData: plan });
  const result = await new Promise<Result>((resolve, reject) => {
    worker.on("message", (said: Native | Result) => {
      if ("left" in said) resolve(said);
      else tell(said);
    });
    worker.once("error", reject);
  });
  await worker.terminate();
  return result;
}

/** Handovers of one name by real connections: descriptors and memory stay where they are. */
async function handoverMain(count: number): Promise<void> {
  const started = performance.now();
  const rss: number[] = [];
  let [least, most] = [Number.POSITIVE_INFINITY, 0];
  const every = Math.max(1, Math.floor(count / 20));
  await handovers(count, "tcp", (number) => {
    if (number % every !== 0) return;
    Bun.gc(true);
    rss.push(process.memoryUsage.rss());
    // The first ones are warm-up.
    if (number <= 2 * every) return;
    least = Math.min(least, descriptors());
    most = Math.max(most, descriptors());
  });
  const half = rss.length >> 1;
  const [early, late] = [Math.min(...rss.slice(2, half)), Math.min(...rss.slice(half))];
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(
    `${count} handovers in ${seconds} s: ${least} to ${most} descriptors, ` +
      `RSS lowest ${mib(early)} then ${mib(late)}`,
  );
  const flat = most - least <= 2 && late <= early * 1.1 + 8 * MIB;
  console.log(flat ? "soak: ok" : "soak: FAILED");
  process.exit(flat ? 0 : 1);
}

if (!isMainThread && workerData !== null) {
  const say = (what: Native | Result) => parentPort!.postMessage(what);
  say(await work(workerData as Plan, say));
} else if (process.argv.includes("--handovers")) {
  await handoverMain(Number(argument("handovers", "10000")));
} else {
  await main();
}
