// examples/secure_service.ts is what people will copy.

import { expect, test } from "bun:test";
import { join } from "node:path";

test("the example of a secure service lets in whom it should, rotates its keys, and ends", async () => {
  const root = join(import.meta.dir, "../..");
  const command = [process.execPath, "examples/secure_service.ts"];
  const child = Bun.spawn(command, { cwd: root, stdout: "pipe", stderr: "pipe" });
  const late = setTimeout(() => child.kill(), 15_000);
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  clearTimeout(late);
  expect({ stderr, code: await child.exited, said: stdout.trimEnd().split("\n") }).toEqual({
    stderr: "",
    code: 0,
    said: [
      "1. alice, you asked: who am I?",
      "2. bob is refused (400)",
      "3. bob, you asked: and now?",
      "4. alice, you asked: are we still connected?",
      "5. alice, you asked: is this the new key?",
      "6. bob is refused (400)",
      "7. 3 let in, 2 refused",
    ],
  });
}, 20_000);
