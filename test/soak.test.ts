// Seconds of test/soak.ts; its figures over minutes are in the notes of a release.

import { expect, test } from "bun:test";

async function soak(...options: string[]): Promise<void> {
  const command = [process.execPath, `${import.meta.dir}/soak.ts`, ...options];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe" });
  const [code, out, error] = await Promise.all([
    child.exited,
    child.stdout.text(),
    child.stderr.text(),
  ]);
  if (code !== 0) console.log(out, error);
  expect(code).toBe(0);
}

test.each([1, 3])("connect, kill, reconnect with every pattern, in %i threads", async (workers) => {
  await soak("--seconds", "3", "--workers", String(workers));
}, 60_000);

test("a Router's name is taken over 500 times: descriptors and memory stay", async () => {
  await soak("--handovers", "500");
}, 60_000);
