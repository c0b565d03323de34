// The micro benchmarks in Zig (zig/**/*_benchmark.zig): what memory and subscriptions cost without
// JavaScript and without a kernel. `zig build bench` prints the same.
import { join } from "node:path"
import { ROOT } from "./lib/peers.ts"
import { log } from "./lib/rounds.ts"

export interface NativeResult {
  /** What `zig build bench` prints. */
  text: string
  failure?: string
}

export async function measureNative(): Promise<NativeResult> {
  const command = [join(ROOT, "node_modules/.bin/zig"), "build", "bench"]
  const child = Bun.spawn(command, { cwd: ROOT, stdout: "pipe", stderr: "pipe" })
  const [printed, said] = await Promise.all([child.stdout.text(), child.stderr.text()])
  const text = `${printed}${said}`.trim()
  if ((await child.exited) !== 0) return { text: "", failure: `zig build bench: ${text}` }
  log("zig build bench: done")
  return { text }
}
