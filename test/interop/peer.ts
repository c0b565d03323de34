// Starts programs that talk to us in another process, and reads what they report: one JSON object
// per line. A program that is missing is an error, never a skip.

import { existsSync, readdirSync, readlinkSync } from "node:fs";

const bin = `${import.meta.dir}/../../zig-out/bin`;

export type Role =
  | "push"
  | "pull"
  | "req"
  | "rep"
  | "dealer"
  | "router"
  | "pair"
  | "pub"
  | "sub"
  | "xpub"
  | "xsub";
export type Side = "bind" | "connect";
export type Transport = "tcp" | "ipc";
export const transports: readonly Transport[] = ["tcp", "ipc"];

/** Options of the program: `--name`, `--name value`, or one of these for each value. */
export type PeerOptions = Record<string, string | number | true | readonly string[]>;

/** What a peer reports at its end. */
export interface Report {
  messages: number;
  bytes: number;
  digest: number;
  errors: number;
}

type Line = Record<string, unknown>;

const running = new Set<Peer>();

/** A program in another process. Its standard input is what keeps it alive. */
export class Peer {
  /** Everything it has said. */
  readonly lines: Line[] = [];
  readonly exited: Promise<number>;
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #read: Promise<void>;
  #changed = Promise.withResolvers<void>();
  #ended = false;

  constructor(command: string[]) {
    this.#child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    this.exited = this.#child.exited;
    this.#read = this.#readLines();
    running.add(this);
  }

  get pid(): number {
    return this.#child.pid;
  }

  async #readLines(): Promise<void> {
    const decoder = new TextDecoder();
    let pending = "";
    for await (const chunk of this.#child.stdout) {
      const lines = (pending + decoder.decode(chunk, { stream: true })).split("\n");
      pending = lines.pop()!;
      for (const line of lines) this.lines.push(JSON.parse(line) as Line);
      this.#notify();
    }
    this.#ended = true;
    running.delete(this);
    this.#notify();
  }

  #notify(): void {
    const changed = this.#changed;
    this.#changed = Promise.withResolvers();
    changed.resolve();
  }

  /** Waits until `found` has an answer. */
  async until<T>(found: () => T | undefined, what: string, timeoutMs = 30_000): Promise<T> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const value = found();
      if (value !== undefined) return value;
      const failed = this.lines.find((line) => "error" in line);
      if (failed) throw new Error(`peer: ${String(failed.error)}`);
      const left = deadline - performance.now();
      if (this.#ended || left <= 0) {
        const how = this.#ended ? "ended" : "timed out";
        throw new Error(`peer ${how} before ${what}; last: ${JSON.stringify(this.lines.at(-1))}`);
      }
      await Promise.race([this.#changed.promise, Bun.sleep(Math.min(left, 1000))]);
    }
  }

  /** The first line with this key. */
  line(key: string, timeoutMs?: number): Promise<Line> {
    return this.until(() => this.lines.find((line) => key in line), `"${key}"`, timeoutMs);
  }

  async endpoint(): Promise<string> {
    return (await this.line("endpoint")).endpoint as string;
  }

  async report(timeoutMs?: number): Promise<Report> {
    return (await this.line("done", timeoutMs)) as unknown as Report;
  }

  /** The numbers it has logged. */
  numbers(): number[] {
    return this.lines.flatMap((line) => (typeof line.number === "number" ? [line.number] : []));
  }

  /** A line on its standard input. */
  write(line: string): void {
    this.#child.stdin.write(`${line}\n`);
    void this.#child.stdin.flush();
  }

  /** Lets it end by itself. */
  async release(): Promise<number> {
    void this.#child.stdin.end();
    const code = await this.exited;
    await this.#read;
    return code;
  }

  /** SIGKILL; all that it had written is read. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited;
    await this.#read;
  }
}

/** For afterEach: nothing is left running. */
export async function killPeers(): Promise<void> {
  await Promise.all([...running].map((peer) => peer.kill()));
}

export function libzmq(
  role: Role,
  side: Side,
  endpoint: string,
  options: PeerOptions = {},
): Peer {
  const rest = Object.entries(options).flatMap(([name, value]) => {
    if (value === true) return [`--${name}`];
    const values = typeof value === "object" ? value : [String(value)];
    return values.flatMap((one) => [`--${name}`, one]);
  });
  return new Peer([program("libzmq_peer"), `${role}-${side}`, "--endpoint", endpoint, ...rest]);
}

/**
 * A program of pyzmq/. Debian's own Python runs it, whatever else is called python3: that one has
 * Debian's pyzmq.
 */
export function python(name: string, ...rest: string[]): Peer {
  const interpreter = "/usr/bin/python3";
  if (!existsSync(interpreter)) throw new Error(`${interpreter} is missing: .ci/setup installs it`);
  return new Peer([interpreter, `${import.meta.dir}/pyzmq/${name}.py`, ...rest]);
}

/** The path of a program; one that is missing is an error. */
export function program(name: string): string {
  const path = `${bin}/${name}`;
  if (!existsSync(path)) throw new Error(`${path} is missing: \`zig build peers\` makes it`);
  return path;
}

/** The version of libzmq that the peers run on. */
export function libzmqVersion(): string {
  return Bun.spawnSync([program("libzmq_peer"), "version"]).stdout.toString().trim();
}

let nextPath = 0;

/** An endpoint to bind: a free port, or a name of its own. */
export function fresh(transport: Transport): string {
  if (transport === "tcp") return "tcp://127.0.0.1:*";
  nextPath += 1;
  return `ipc://@monocoque-test-${process.pid}-${Bun.nanoseconds()}-${nextPath}`;
}

/** An endpoint that can be bound again and again. */
export function fixed(transport: Transport): string {
  return transport === "tcp" ? `tcp://127.0.0.1:${freePort()}` : fresh("ipc");
}

/** A port that nobody listens on now. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

/** Descriptors of this process; those of kinds in `ignored` are not counted. */
export function descriptors(): number {
  let count = 0;
  for (const name of readdirSync("/proc/self/fd")) {
    try {
      readlinkSync(`/proc/self/fd/${name}`);
      count += 1;
    } catch {
      // The descriptor of the listing itself.
    }
  }
  return count;
}

/** Waits for a condition that nothing announces. */
export async function eventually(
  condition: () => boolean,
  what: string,
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await Bun.sleep(5);
  }
}
