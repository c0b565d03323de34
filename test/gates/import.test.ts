// What the package costs a program that starts: the time to its first bound socket, and its size.

import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findLibrary } from "../../src/ffi/library.ts";
import { entry } from "../support/process.ts";

const starts = 20;

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;

test("a socket is bound soon after the first line: commands of a shell use the package", () => {
  const directory = mkdtempSync(join(tmpdir(), "import-"));
  const programs = {
    bound: `
      const started = performance.now();
      const { Pull } = await import(${JSON.stringify(entry)});
      const imported = performance.now();
      new Pull().bindSync("tcp://127.0.0.1:*");
      const bound = performance.now();
      console.log(JSON.stringify([imported - started, bound - imported]));`,
    // Node's network alone, for comparison: the machine may be busy.
    node: `
      const started = performance.now();
      await import("node:net"); await import("node:worker_threads"); await import("node:http");
      console.log(JSON.stringify([performance.now() - started]));`,
    empty: `console.log("[0]");`,
  };
  const figures: Record<string, number[][]> = {};
  const walls: Record<string, number[]> = {};
  // By turns, so that what else the machine does is the same for all.
  for (let i = 0; i < starts; i += 1) {
    for (const [name, program] of Object.entries(programs)) {
      const file = join(directory, `${name}.ts`);
      if (i === 0) writeFileSync(file, program);
      const before = performance.now();
      const { stdout, exitCode } = Bun.spawnSync([process.execPath, file]);
      expect(exitCode).toBe(0);
      (walls[name] ??= []).push(performance.now() - before);
      (figures[name] ??= []).push(JSON.parse(stdout.toString()));
    }
  }
  rmSync(directory, { recursive: true });
  const of = (name: string, index: number) => median(figures[name]!.map((it) => it[index]!));
  const [importing, binding, node] = [of("bound", 0), of("bound", 1), of("node", 0)];
  const whole = median(walls.bound!) - median(walls.empty!);
  console.log(
    `import ${importing.toFixed(1)} ms, first bound socket ${binding.toFixed(1)} ms more; the whole ` +
      `process takes ${whole.toFixed(1)} ms longer than an empty one; node:net, worker_threads and ` +
      `http take ${node.toFixed(1)} ms`,
  );
  // Timing never fails a run: these are several times what a quiet machine needs.
  expect(importing).toBeLessThan(100);
  expect(binding).toBeLessThan(40);
}, 30_000);

test("to import the package and to bind loads no module of Node: they cost more than it does", () => {
  const loaded = `
    const before = process.getBuiltinModule;
    const asked = [];
    process.getBuiltinModule = (name) => { asked.push(name); return before(name); };
    const { Pull, Push } = await import(${JSON.stringify(entry)});
    const pull = new Pull(); pull.bindSync("tcp://127.0.0.1:0");
    const push = new Push(); push.connect(pull.lastEndpoint);
    await push.send("x"); await pull.receive();
    console.log(JSON.stringify(asked));`;
  const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", loaded]);
  expect({ stdout: stdout.toString(), stderr: stderr.toString() }).toEqual({
    stdout: "[]\n",
    stderr: "",
  });
});

test("the shared library has at most 1.5 MiB", () => {
  const path = findLibrary().path!;
  console.log(`${(statSync(path).size / 1024).toFixed(0)} KiB`);
  expect(readFileSync(path).subarray(1, 4).toString()).toBe("ELF");
  expect(statSync(path).size).toBeLessThanOrEqual(1.5 * 1024 * 1024);
});
