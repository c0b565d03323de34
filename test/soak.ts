// Connect, kill, reconnect, with every pattern, for as long as you like:
//
//   bun test/soak.ts --seconds 120 --workers 4
//
// Children (Bun and libzmq programs) are killed and started again, sockets are opened and closed,
// strangers come and go. It prints memory and descriptors every ten seconds, and fails when they
// grow, or when something is lost, doubled, halved or mixed that the pattern promises to deliver.

import { connect as connectRaw } from "node:net";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { nativeContext } from "../src/context.ts";
import { Pull, Push, Reply, Request } from "../src/index.ts";
import { numbered, numberOf } from "./interop/messages.ts";
import { descriptors, fresh, freePort, killPeers, libzmq, Peer } from "./interop/peer.ts";

const PARTS = 3;

function argument(name: string, fallback: string): string {
  const index = process.argv.indexOf(`--${name}`);
  return index < 0 ? fallback : (process.argv[index + 1] ?? fallback);
}

// -- the work of one thread ---------------------------------------------------------------------

interface Counts {
  messages: number;
  lives: number;
  opened: number;
  strangers: number;
}

class Work {
  readonly counts: Counts = { messages: 0, lives: 0, opened: 0, strangers: 0 };
  readonly #end: number;

  constructor(seconds: number) {
    this.#end = performance.now() + seconds * 1000;
  }

  get running(): boolean {
    return performance.now() < this.#end;
  }

  async run(): Promise<void> {
    const unfinished = new Set<string>();
    const tasks = {
      "push to killed, tcp": this.pushToKilled("tcp"),
      "push to killed, ipc": this.pushToKilled("ipc"),
      "pull from killed, tcp": this.pullFromKilled("tcp"),
      "pull from killed, ipc": this.pullFromKilled("ipc"),
      "pull from polite": this.pullFromPolite(),
      "ask the killed": this.askTheKilled(),
      "answer the killed": this.answerTheKilled(),
      "open and close": this.openAndClose(),
      strangers: this.strangers(),
    };
    const all = Object.entries(tasks).map(async ([name, task]) => {
      unfinished.add(name);
      await task;
      unfinished.delete(name);
    });
    const deadline = this.#end + 40_000 - performance.now();
    const late = Bun.sleep(deadline).then(() => {
      throw new Error(`soak: still at work: ${[...unfinished].join("; ")} (${this.#at})`);
    });
    await Promise.race([Promise.all(all), late]);
  }

  /** Where the tasks that could hang are. */
  readonly #steps = new Map<string, string>();

  get #at(): string {
    return JSON.stringify([...this.#steps]);
  }

  #step(task: string, step: string): void {
    this.#steps.set(task, step);
  }

  /** What is sent while the peer is there and idle, and while it is away, arrives: all and once. */
  async pushToKilled(transport: "tcp" | "ipc"): Promise<void> {
    await using push = new Push({ reconnectInterval: 10, linger: 0 });
    let away = Promise.withResolvers<void>();
    push.events.on("disconnect", () => away.resolve());
    const endpoint = transport === "tcp" ? ownPort() : fresh("ipc");
    push.connect(endpoint);
    let sent = 0;
    let expected = 0;
    const send = async (count: number) => {
      for (let i = 0; i < count; i += 1, sent += 1) {
        await push.send(numbered(sent, PARTS, sent % 7 === 0 ? 20_000 : 50), { timeout: 10_000 });
      }
    };
    while (this.running) {
      await send(100);
      const peer = libzmq("pull", "bind", endpoint, { numbered: true, parts: PARTS, log: true });
      await send(300);
      const due = sent;
      await peer.until(() => (peer.numbers().at(-1) === due - 1 ? true : undefined), "all of it");
      away = Promise.withResolvers();
      this.#step(`push ${transport}`, `kill ${peer.pid}`);
      await peer.kill();
      this.#step(`push ${transport}`, "killed");
      const numbers = peer.numbers();
      check(numbers.length === due - expected, `${numbers.length} arrived, not ${due - expected}`);
      numbers.forEach((number, index) => check(number === expected + index, `${number} out of order`));
      expected = due;
      this.counts.messages += numbers.length;
      this.counts.lives += 1;
      // Until the end is noticed, messages are in flight and may be lost.
      await away.promise;
    }
  }

  /** Senders are killed in the middle of messages: what arrives is whole and in order. */
  async pullFromKilled(transport: "tcp" | "ipc"): Promise<void> {
    await using pull = new Pull({ reconnectInterval: 10 });
    await pull.bind(fresh(transport));
    let life = 0;
    const arrived: number[] = [];
    const receiving = (async () => {
      for await (const message of pull) {
        const number = numberOf(message, PARTS);
        const at = Math.floor(number / 1e6);
        check(number === at * 1e6 + (arrived[at] ?? 0), `${number} out of order`);
        arrived[at] = (arrived[at] ?? 0) + 1;
        this.counts.messages += 1;
      }
    })();
    while (this.running) {
      const peer =
        life % 2 === 0
          ? libzmq("push", "connect", pull.lastEndpoint!, {
              count: 1e6,
              first: life * 1e6,
              parts: PARTS,
              size: life % 4 === 0 ? 50_000 : 40,
              linger: 0,
            })
          : bunPush(pull.lastEndpoint!, life * 1e6, 1e6);
      await until(() => (arrived[life] ?? 0) > 300, `life ${life} of a sender`);
      this.#step(`pull ${transport}`, `kill ${peer.pid}`);
      await peer.kill();
      this.#step(`pull ${transport}`, "killed");
      // The last of it may still be unread.
      await until(() => pull.stats().connections === 0, "the end of a killed sender");
      life += 1;
      this.counts.lives += 1;
    }
    this.#step(`pull ${transport}`, "closing");
    pull.close();
    await receiving;
    this.#step(`pull ${transport}`, "closed");
  }

  /** A sender that ends by itself delivers everything first. */
  async pullFromPolite(): Promise<void> {
    while (this.running) {
      await using pull = new Pull();
      await pull.bind(fresh(this.counts.lives % 2 === 0 ? "tcp" : "ipc"));
      const count = 2000;
      const peer = bunPush(pull.lastEndpoint!, 0, count);
      for (let number = 0; number < count; number += 1) {
        const message = await pull.receive({ timeout: 10_000 });
        check(numberOf(message, PARTS) === number, `${number} is missing`);
      }
      this.#step("polite", `release ${peer.pid}`);
      check((await peer.release()) === 0, "the polite sender failed");
      this.#step("polite", "released");
      this.counts.messages += count;
      this.counts.lives += 1;
    }
  }

  /** A relaxed REQ asks again when nobody answers, and gets the answer to its own question. */
  async askTheKilled(): Promise<void> {
    await using request = new Request({
      relaxed: true,
      correlate: true,
      reconnectInterval: 10,
      linger: 0,
    });
    const endpoint = ownPort();
    request.connect(endpoint);
    let number = 0;
    while (this.running) {
      const peer = libzmq("rep", "bind", endpoint, { linger: 0 });
      for (let answered = 0; answered < 200; ) {
        number += 1;
        await request.send(`question ${number}`, { timeout: 10_000 });
        const answer = await request.receive({ timeout: 1000 }).catch(() => undefined);
        if (answer === undefined) continue;
        check(String(answer) === `question ${number}`, `wrong answer ${answer.map((part) => part.toString("hex"))} to ${number}`);
        answered += 1;
      }
      await request.send("given up");
      this.#step("ask", `kill ${peer.pid}`);
      await peer.kill();
      this.#step("ask", "killed");
      this.counts.messages += 200;
      this.counts.lives += 1;
    }
  }

  /** Those who ask are killed; the others get their answers. */
  async answerTheKilled(): Promise<void> {
    await using reply = new Reply({ linger: 0 });
    await reply.bind("tcp://127.0.0.1:*");
    let answered = 0;
    const answering = (async () => {
      for await (const question of reply) {
        await reply.send(question);
        answered += 1;
      }
    })();
    while (this.running) {
      const before = answered;
      const flood = libzmq("dealer", "connect", reply.lastEndpoint!, {
        messages: "10,70000,10+0+10",
        rounds: 1e6,
        window: 20,
        linger: 0,
      });
      const good = libzmq("req", "connect", reply.lastEndpoint!, {
        messages: "5,2000,0",
        rounds: 50,
        linger: 0,
      });
      await until(() => answered > before + 200, "answers");
      this.#step("answer", `kill ${flood.pid}`);
      await flood.kill();
      this.#step("answer", `killed, waiting for ${good.pid}`);
      const report = await good.report();
      check(report.errors === 0 && report.messages === 150, "a wrong answer");
      await good.release();
      this.#step("answer", "released");
      this.counts.messages += 150;
      this.counts.lives += 2;
    }
    this.#step("answer", "closing");
    reply.close();
    await answering;
    this.#step("answer", "closed");
  }

  /** Sockets of this thread come and go, some in the middle of messages. */
  async openAndClose(): Promise<void> {
    for (let round = 0; this.running; round += 1) {
      const transport = round % 2 === 0 ? "tcp" : "ipc";
      const pull = new Pull();
      await pull.bind(fresh(transport));
      const pushes = Array.from({ length: 5 }, () => new Push());
      for (const push of pushes) {
        push.connect(pull.lastEndpoint!);
        for (let i = 0; i < 20; i += 1) await push.send(numbered(i, PARTS, 500));
        // Linger delivers what is queued.
        push.close();
      }
      for (let i = 0; i < 100; i += 1) numberOf(await pull.receive({ timeout: 10_000 }), PARTS);
      pull.close();

      const reply = new Reply();
      await reply.bind(fresh(transport));
      const request = new Request();
      request.connect(reply.lastEndpoint!);
      await request.send("ask");
      await reply.send(await reply.receive({ timeout: 10_000 }));
      check(String(await request.receive({ timeout: 10_000 })) === "ask", "no answer");
      request.close();
      reply.close();

      const rude = new Push({ linger: 0 });
      const sink = new Pull();
      await sink.bind(fresh(transport));
      rude.connect(sink.lastEndpoint!);
      for (let i = 0; i < 50; i += 1) await rude.send([Buffer.alloc(70_000), "x"]);
      const waiting = sink.receive().catch(() => undefined);
      await Bun.sleep(1);
      rude.close();
      sink.close();
      this.#step("open", "closing");
      await waiting;
      this.#step("open", "closed");
      this.counts.messages += 101;
      this.counts.opened += 10;
      await Bun.sleep(5);
    }
  }

  /** Connections that are no peers: silent, garbage, half a greeting. */
  async strangers(): Promise<void> {
    await using pull = new Pull({ handshakeInterval: 200 });
    await pull.bind("tcp://127.0.0.1:*");
    const port = Number(pull.lastEndpoint!.split(":").at(-1));
    const says = ["", "GET / HTTP/1.0\r\n\r\n", "\xff\0\0\0\0\0\0\0\x01\x7f", "\xff\0\0", "\0".repeat(100)];
    while (this.running) {
      const text = says[this.counts.strangers % says.length]!;
      const socket = connectRaw({ host: "127.0.0.1", port });
      socket.on("error", () => {});
      const closed = new Promise((resolve) => socket.on("close", resolve));
      socket.write(Buffer.from(text, "latin1"));
      if (this.counts.strangers % 3 === 0) socket.end();
      setTimeout(() => socket.destroy(), 300);
      this.counts.strangers += 1;
      if (this.counts.strangers % 20 === 0) await closed;
      await Bun.sleep(2);
    }
    await until(() => nativeContext().stats().sessions === 0 || pull.stats().connections === 0, "");
  }
}

function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`soak: ${what}`);
}

async function until(condition: () => boolean, what: string, timeoutMs = 20_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    check(performance.now() < deadline, `not within ${timeoutMs} ms: ${what}`);
    await Bun.sleep(2);
  }
}

/** No other thread has this address, so a port that is free for a moment is not taken by it. */
function ownPort(): string {
  const byte = () => 1 + Math.floor(Math.random() * 250);
  return `tcp://127.${byte()}.${byte()}.${byte()}:${freePort()}`;
}

// -- a child that sends with this library -------------------------------------------------------

function bunPush(endpoint: string, first: number, count: number): Peer {
  const numbers = [String(first), String(count)];
  return new Peer([process.execPath, import.meta.path, "--push", endpoint, ...numbers]);
}

async function childPush(endpoint: string, first: number, count: number): Promise<void> {
  // The parent is gone when its end of the pipe is.
  process.stdin.on("end", () => process.exit(0)).resume();
  const push = new Push();
  push.connect(endpoint);
  for (let i = 0; i < count; i += 1) await push.send(numbered(first + i, PARTS, 200));
  push.close();
  process.stdin.pause();
  process.stdin.unref?.();
}

// -- threads ------------------------------------------------------------------------------------

interface Result {
  counts: Counts;
  /** What is left in the thread's context: all of it must be 0. */
  left: Record<string, number>;
  mapped: number;
  error?: string;
}

async function work(seconds: number): Promise<Result> {
  const task = new Work(seconds);
  // Every thread has a heap of its own, which only it can clear: what stays is what counts.
  const collecting = setInterval(() => Bun.gc(true), 1000);
  let error: string | undefined;
  try {
    await task.run();
  } catch (caught) {
    error = caught instanceof Error ? (caught.stack ?? caught.message) : String(caught);
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
    const mib = (last.rss / 1024 / 1024).toFixed(1);
    console.log(`${last.seconds.toFixed(0).padStart(5)} s  RSS ${mib} MiB  ${last.descriptors} descriptors`);
  };
  report();
  const every = seconds >= 30 ? 10_000 : 1000;
  const reporting = setInterval(report, every);
  // In between without a line: descriptors come and go with the children.
  const sampling = setInterval(sample, every / 5);
  const results = await (workers === 1 ? Promise.all([work(seconds)]) : inWorkers(workers, seconds));
  clearInterval(reporting);
  clearInterval(sampling);
  await Bun.sleep(500);
  report();

  const failures: string[] = [];
  const total: Counts = { messages: 0, lives: 0, opened: 0, strangers: 0 };
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
  const mib = (size: number) => `${(size / 1024 / 1024).toFixed(1)} MiB`;
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

function inWorkers(count: number, seconds: number): Promise<Result[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const worker = new Worker(import.meta.path, { workerData: { seconds } });
      const result = await new Promise<Result>((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
      });
      await worker.terminate();
      return result;
    }),
  );
}

if (!isMainThread && workerData !== null) {
  const { seconds } = workerData as { seconds: number };
  parentPort!.postMessage(await work(seconds));
} else if (process.argv.includes("--push")) {
  const [endpoint, first, count] = process.argv.slice(process.argv.indexOf("--push") + 1);
  await childPush(endpoint!, Number(first), Number(count));
} else {
  await main();
}
