// Finding and loading the shared library: one readable error for each way it can fail.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findLibrary } from "../src/ffi/library.ts";
import { FINGERPRINT } from "../src/ffi/abi.generated.ts";
import { entry, run } from "./support/process.ts";

const root = join(import.meta.dir, "..");
const directory = mkdtempSync(join(tmpdir(), "loading-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** The error of the first socket of a program that uses this library, and of the second. */
async function failing(library: string): Promise<string> {
  const result = await run(
    `
    const errors = [];
    for (let i = 0; i < 2; i++) { try { new Pull(); } catch (error) { errors.push(error); } }
    console.log(errors[0].message);
    console.log("same:", errors[0] === errors[1]);
    `,
    { env: { MONOCOQUE_LIBRARY: library } },
  );
  expect(result).toMatchObject({ stderr: "", exitCode: 0 });
  const [message = "", same, ...rest] = result.stdout.trim().split("\n");
  expect({ same, rest }).toEqual({ same: "same: true", rest: [] });
  expect(message).toStartWith("monocoque: ");
  return message;
}

async function compile(name: string, source: string): Promise<string> {
  const file = join(directory, `${name}.c`);
  const library = join(directory, `lib${name}.so`);
  writeFileSync(file, source);
  const zig = join(root, "node_modules/.bin/zig");
  await Bun.$`${zig} cc -shared -o ${library} ${file}`.quiet();
  return library;
}

describe("a library that cannot be used is one error that says what to do", () => {
  test("because it is missing: what was tried, and the command", async () => {
    const message = await failing("/nope/libmonocoque.so");
    expect(message).toContain("was not found");
    expect(message).toContain("/nope/libmonocoque.so (MONOCOQUE_LIBRARY)");
    expect(message).toContain("npm run build");
  });

  test("because it is of another version: both fingerprints, and the command", async () => {
    const stale = await compile("stale", "unsigned monocoque_fingerprint(void) { return 12345; }");
    const message = await failing(stale);
    expect(message).toContain(stale);
    expect(message).toContain(`(12345 and ${FINGERPRINT})`);
    expect(message).toContain("npm run build");
  });

  test("because it is no library of ours", async () => {
    const other = await compile("other", "int something_else(void) { return 1; }");
    const message = await failing(other);
    expect(message).toContain(`${other} could not be loaded`);
    expect(message).toContain("npm run build");
  });

  test("because it is no library at all", async () => {
    const text = join(directory, "text.so");
    writeFileSync(text, "not a library");
    const message = await failing(text);
    expect(message).toContain(`${text} could not be loaded`);
    expect(message).toContain("npm run build");
  });

  test("because it is a directory, or empty", async () => {
    expect(await failing(directory)).toContain("could not be loaded");
    const empty = join(directory, "empty.so");
    writeFileSync(empty, "");
    expect(await failing(empty)).toContain("could not be loaded");
  });
});

test("importing the package loads nothing: a type check needs no library", async () => {
  const result = await run(`console.log(typeof Pull)`, { env: { MONOCOQUE_LIBRARY: "/nope" } });
  expect(result).toMatchObject({ stdout: "function\n", stderr: "", exitCode: 0 });
});

test("an override names another build, which is used", async () => {
  const copy = join(directory, "copy.so");
  await Bun.write(copy, Bun.file(findLibrary().path as string));
  const result = await run(
    `using pull = new Pull(); pull.bindSync("tcp://127.0.0.1:*");
     const maps = await Bun.file("/proc/self/maps").text(); console.log(maps.includes("copy.so"));`,
    { env: { MONOCOQUE_LIBRARY: copy } },
  );
  expect(result).toMatchObject({ stdout: "true\n", exitCode: 0 });
});

const compiled = [[], ["--minify"], ["--minify", "--bytecode"]];

test.each(compiled.map((flags) => [flags.join(" ") || "no more", flags] as const))(
  "a program compiled to one file, with %s flags, runs where there is nothing else",
  async (name, flags) => {
    const program = join(directory, "program.ts");
    writeFileSync(
      program,
      `import { Proxy, Pull, Push } from ${JSON.stringify(entry)};
       async function main() {
         await using pull = new Pull();
         await pull.bind("tcp://127.0.0.1:*");
         await using push = new Push();
         push.connect(pull.lastEndpoint as string);
         await push.send(["compiled", "program"]);
         console.log(String(await pull.receive()));
         const proxy = new Proxy(new Pull({ linger: 0 }), new Push({ linger: 0 }));
         const running = proxy.run();
         proxy.terminate();
         await running;
         const worker = new Worker(URL.createObjectURL(new Blob(["postMessage(1)"])));
         await new Promise((resolve) => { worker.onmessage = resolve; });
         worker.terminate();
       }
       void main();
      `,
    );
    const empty = mkdtempSync(join(directory, "empty"));
    const executable = join(empty, "program");
    const build = [process.execPath, "build", "--compile", ...flags, program, "--outfile", executable];
    await Bun.$`${build}`.quiet();
    const child = Bun.spawn([executable], {
      cwd: empty,
      env: { PATH: "/usr/bin" },
      stdout: "pipe",
      stderr: "pipe",
      timeout: 10_000,
    });
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    expect({ name, stdout, stderr, exitCode: await child.exited }).toEqual({
      name,
      stdout: "compiled,program\n",
      stderr: "",
      exitCode: 0,
    });
    // A hundred megabytes.
    rmSync(empty, { recursive: true });
  },
  30_000,
);

test("require() finds what import finds", async () => {
  const result = await run(`
    const required = require(${JSON.stringify(entry)});
    console.log(required.Pull === Pull, Object.keys(required).sort().join());
  `);
  expect(result.stdout).toStartWith("true ");
  expect(result.stdout).toContain("Pull,Push,Reply,Request");
});
