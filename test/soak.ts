// Connect, kill, reconnect, with every pattern, for as long as you like:
//
//   bun test/soak.ts --seconds 120 --workers 4
//   bun test/soak.ts --seconds 20 --only proxy     tasks with this in their names
//   bun test/soak.ts --handovers 10000             a ROUTER's name is taken over so many times
//
// The tasks are in soak/. Children (Bun and libzmq programs) are killed and started again, sockets are opened and closed,
// strangers come and go. It prints memory and descriptors every ten seconds, and fails when they
// grow, or when something is lost, doubled, halved or mixed that the pattern promises to deliver.

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
  mapped: number;
  error?: string;
}

async function work({ seconds, only }: Plan): Promise<Result> {
  const task = new Work(seconds);
  // Every thread has a heap of its own, which only it can clear: what stays is what counts.
  const collecting = setInterval(() => Bun.gc(true), 1000);
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
  context.closeAll();
  for (let i = 0; i < 200 && context.stats().sockets > 0; i += 1) await Bun.sleep(10);
  const { sockets, sessions, listeners, timers, memory_live_bytes, memory_mapped_bytes } =
    context.stats();
  const left = { sockets, sessions, listeners, timers, memory_live_bytes, lent: context.lent.size };
  return { counts: task.counts, left, mapped: memory_mapped_bytes, ...(error && { error }) };
}

interface Sample {
  seconds: number;
  rss: number;
  descriptors: number;
}

const mib = (size: number): string => `${(size / 1024 / 1024).toFixed(1)} MiB`;

/** KiB per second, by least squares. */
function slope(samples: readonly Sample[]): number {
  const n = samples.length;
  const meanX = samples.reduce((sum, { seconds }) => sum + seconds, 0) / n;
  const meanY = samples.reduce((sum, { rss }) => sum + rss, 0) / n;
  let above = 0;
  let below = 0;
  for (const { seconds, rss } of samples) {
    above += (seconds - meanX) * (rss - meanY);
    below += (seconds - meanX) ** 2;
  }
  return above / below / 1024;
}

async function main(): Promise<void> {
  const seconds = Number(argument("seconds", "120"));
  const workers = Number(argument("workers", "1"));
  const only = argument("only", "");
  // The wake-up and what Bun opens at first use.
  const before = descriptors();
  const started = performance.now();
  const samples: Sample[] = [];
  const sample = () => {
    Bun.gc(true);
    const now = (performance.now() - started) / 1000;
    samples.push({ seconds: now, rss: process.memoryUsage.rss(), descriptors: descriptors() });
  };
  const report = () => {
    sample();
    const last = samples.at(-1)!;
    const { memory_live_bytes, memory_mapped_bytes } = nativeContext().stats();
    const native = workers === 1 ? `  native ${mib(memory_live_bytes)} of ${mib(memory_mapped_bytes)}` : "";
    const time = last.seconds.toFixed(0).padStart(5);
    console.log(`${time} s  RSS ${mib(last.rss)}  ${last.descriptors} descriptors${native}`);
  };
  report();
  const every = seconds >= 30 ? 10_000 : 1000;
  const reporting = setInterval(report, every);
  // In between without a line: descriptors come and go with the children.
  const sampling = setInterval(sample, every / 5);
  const plan = { seconds, only };
  const results = await (workers === 1 ? Promise.all([work(plan)]) : inWorkers(workers, plan));
  clearInterval(reporting);
  clearInterval(sampling);
  await Bun.sleep(500);
  report();

  const failures: string[] = [];
  const total = noCounts();
  for (const { counts, left, error } of results) {
    for (const key of Object.keys(total) as (keyof Counts)[]) total[key] += counts[key];
    if (error) failures.push(error);
    if (Object.values(left).some((value) => value !== 0)) failures.push(`left: ${JSON.stringify(left)}`);
  }
  const after = samples.at(-1)!.descriptors;
  const middle = samples.filter((it) => it.seconds > seconds * 0.4 && it.seconds < seconds);
  const early = middle.slice(0, middle.length >> 1);
  const late = middle.slice(middle.length >> 1);
  const most = (some: readonly Sample[]) => Math.max(...some.map((it) => it.descriptors));
  // The valleys: the peaks are what the collector has not come to yet, hundreds of MiB a second.
  const valley = (some: readonly Sample[]) => Math.min(...some.map((it) => it.rss));
  const kibPerSecond = slope(middle);
  console.log(JSON.stringify(total));
  console.log(
    `RSS after 40 % of the time: slope ${kibPerSecond.toFixed(1)} KiB/s, ` +
      `lowest ${mib(valley(early))} then ${mib(valley(late))}, ${mib(samples.at(-1)!.rss)} after`,
  );
  console.log(
    `descriptors: ${before} before, at most ${most(early)} then ${most(late)}, ${after} after; ` +
      `native memory mapped at the end: ${results.map(({ mapped }) => mapped >> 10).join(", ")} KiB`,
  );
  // Shorter runs are all warm-up: then only the outcome and what is left count.
  if (seconds >= 60) {
    if (valley(late) > valley(early) * 1.1 + 8 * 1024 * 1024) failures.push("memory grows");
    if (most(late) > most(early) + 10 * workers) failures.push("descriptors grow");
  }
  if (after > before + 12) failures.push(`${after - before} descriptors are left`);
  for (const failure of failures) console.log(`FAILED: ${failure}`);
  console.log(failures.length === 0 ? "soak: ok" : "soak: FAILED");
  process.exit(failures.length === 0 ? 0 : 1);
}

function inWorkers(count: number, plan: Plan): Promise<Result[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const worker = new Worker(import.meta.path, { workerData: plan });
      const result = await new Promise<Result>((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
      });
      await worker.terminate();
      return result;
    }),
  );
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
  const flat = most - least <= 2 && late <= early * 1.1 + 8 * 1024 * 1024;
  console.log(flat ? "soak: ok" : "soak: FAILED");
  process.exit(flat ? 0 : 1);
}

if (!isMainThread && workerData !== null) {
  parentPort!.postMessage(await work(workerData as Plan));
} else if (process.argv.includes("--handovers")) {
  await handoverMain(Number(argument("handovers", "10000")));
} else {
  await main();
}
