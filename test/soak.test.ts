// Five seconds of test/soak.ts; its figures over minutes are in the notes of a release.

import { expect, test } from "bun:test";

test.each([1, 4])("connect, kill, reconnect with every pattern, in %i threads", async (workers) => {
  const command = [process.execPath, `${import.meta.dir}/soak.ts`];
  const options = ["--seconds", "5", "--workers", String(workers)];
  const child = Bun.spawn([...command, ...options], { stdout: "pipe", stderr: "pipe" });
  const [code, out, error] = await Promise.all([
    child.exited,
    child.stdout.text(),
    child.stderr.text(),
  ]);
  if (code !== 0) console.log(out, error);
  expect(code).toBe(0);
}, 60_000);
