// Programs of a few lines in processes of their own: how long they live, what they print.

import { join } from "node:path";

export const entry = join(import.meta.dir, "../../src/index.ts");

export interface Ended {
  stdout: string;
  stderr: string;
  exitCode: number | null;
  signal: string | number | null;
  /** Milliseconds from start to exit. */
  ms: number;
}

export interface RunOptions {
  env?: Record<string, string>;
  cwd?: string;
  args?: string[];
  /** Milliseconds after which it is killed: `signal` tells. */
  timeout?: number;
}

const prelude = `
import { Pull, Push, Reply, Request } from ${JSON.stringify(entry)};
const started = performance.now();
`;

/** Starts a program; the four classes are imported already. */
export function start(script: string, options: RunOptions = {}) {
  return Bun.spawn([process.execPath, "-e", prelude + script, ...(options.args ?? [])], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    timeout: options.timeout ?? 10_000,
    killSignal: "SIGKILL",
  });
}

async function ended(child: ReturnType<typeof start>, since: number): Promise<Ended> {
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  const ms = performance.now() - since;
  return { stdout, stderr, exitCode: child.exitCode, signal: child.signalCode, ms };
}

/** Runs a program to its end. */
export function run(script: string, options: RunOptions = {}): Promise<Ended> {
  const since = performance.now();
  return ended(start(script, options), since);
}

/** The lines a program prints, as they come. */
export async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
  if (rest) yield rest;
}
