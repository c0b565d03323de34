// The one command behind `npm test`: builds, checks and runs everything there is, shows what matters
// of it, and adds up; what uses sockets runs on io_uring and on epoll. Its last line is "N passed, N failed", with ", N skipped" where some were.

import { existsSync } from "node:fs"

const zig = "node_modules/.bin/zig"
const biome = "node_modules/@biomejs/cli-linux-x64/biome"
const tsc = "node_modules/@typescript/typescript-linux-x64/lib/tsc"

interface Counts {
  passed: number
  failed: number
  skipped: number
}

interface Stage {
  name: string
  command: string[]
  /** A stage that hangs must not hang the whole run. */
  limitSeconds: number
  environment?: Record<string, string>
  /** It is long: what it says is shown as it goes. Of the others only what went wrong is of interest. */
  live?: true
  /** How the stage counts. One that cannot say counts as one test. */
  count?: (output: string) => Counts | undefined
}

const stages: Stage[] = [
  { name: "build", command: [zig, "build", "lib", "peers"], limitSeconds: 600 },
  {
    name: "zig fmt",
    command: [zig, "fmt", "--check", "build.zig", "zig"],
    limitSeconds: 60,
  },
  { name: "tsc", command: [tsc, "--noEmit", "--pretty", "false"], limitSeconds: 120 },
  {
    name: "lint",
    command: [biome, "lint", "--error-on-warnings", "--colors=off"],
    limitSeconds: 60,
  },
  { name: "abi", command: [zig, "build", "abi", "--", "--check"], limitSeconds: 300 },
  {
    name: "zig test",
    command: [zig, "build", "test", "--summary", "all", "--test-timeout", "120s"],
    limitSeconds: 1200,
    count: countZig,
  },
  { name: "sim", command: [zig, "build", "sim", "--", "--seconds", "120"], limitSeconds: 400 },
  { name: "fuzz", command: [zig, "build", "fuzz", "--", "--seconds", "40"], limitSeconds: 300 },
  {
    name: "bun test",
    command: [process.execPath, "test", "--timeout", "60000"],
    limitSeconds: 1200,
    live: true,
    count: countBun,
  },
  {
    name: "bun test, epoll",
    command: [process.execPath, "test", "--timeout", "60000", ...onEpoll()],
    limitSeconds: 1200,
    environment: { MONOCOQUE_BACKEND: "epoll" },
    live: true,
    count: countBun,
  },
]

/**
 * The files with tests that use sockets: the others would only say the same again, and those of the
 * back end choose one themselves.
 */
function onEpoll(): string[] {
  const secure = ["authenticator", "certificates", "example", "z85", "zap_frames"].map((name) => `security/${name}`)
  const once = [
    "abi", "backend", "conformance", "errors", "fuzz", "layers", "library", "loading", "package", "robustness",
    "gates/password_timing",
    ...secure,
  ]
  const skipped = new Set(once.map((name) => `test/${name}.test.ts`))
  const found = [...new Bun.Glob("test/**/*.test.ts").scanSync(`${import.meta.dir}/..`)]
  for (const path of skipped) if (!found.includes(path)) throw new Error(`${path} is gone`)
  return found.filter((path) => !skipped.has(path)).sort().map((path) => `./${path}`)
}

/** "…; 43/45 tests passed (1 skipped, 1 failed)" */
function countZig(output: string): Counts | undefined {
  const summary = /; (\d+)\/(\d+) tests passed(?: \(([^)]*)\))?/.exec(output)
  if (!summary) return undefined
  const passed = Number(summary[1])
  const skipped = Number(/(\d+) skipped/.exec(summary[3] ?? "")?.[1] ?? 0)
  // What neither passed nor was skipped failed, crashed or timed out.
  return { passed, skipped, failed: Number(summary[2]) - passed - skipped }
}

/** " 12 pass", " 1 skip", " 2 todo", " 3 fail", each on a line of its own near the end. */
function countBun(output: string): Counts | undefined {
  const last = (word: string) => {
    const matches = [...output.matchAll(new RegExp(`^ *(\\d+) ${word}$`, "gm"))]
    return Number(matches.at(-1)?.[1] ?? 0)
  }
  if (!/^Ran \d+ tests? across/m.test(output)) return undefined
  return { passed: last("pass"), failed: last("fail"), skipped: last("skip") + last("todo") }
}

/** Lines that say that something went well: only worth reading when something did not. */
const quiet = /^(\(pass\)|\s*$|[^ ]*\.test\.ts:$|bun test v)/

async function copy(stream: ReadableStream<Uint8Array>, show: boolean): Promise<string> {
  const decoder = new TextDecoder()
  let all = ""
  let pending = ""
  for await (const chunk of stream) {
    const text = decoder.decode(chunk, { stream: true })
    all += text
    const lines = (pending + text).split("\n")
    pending = lines.pop() ?? ""
    if (!show) continue
    for (const line of lines) if (!quiet.test(line)) process.stdout.write(`  ${line}\n`)
  }
  if (show && pending) process.stdout.write(`  ${pending}\n`)
  return all
}

async function run(stage: Stage): Promise<Counts> {
  const started = performance.now()
  const child = Bun.spawn(stage.command, {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, NO_COLOR: "1", ...stage.environment },
  })
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    child.kill("SIGKILL")
  }, stage.limitSeconds * 1000)
  const { live = false } = stage
  const outputs = Promise.all([copy(child.stdout, live), copy(child.stderr, live)])
  const exitCode = await child.exited
  clearTimeout(timer)
  // A grandchild that survived a kill may hold the pipes open.
  const [stdout, stderr] = await Promise.race([
    outputs,
    Bun.sleep(2000).then(() => ["", "(the output did not end)"]),
  ])
  const output = `${stdout}\n${stderr}`

  const counts = (stage.count ? stage.count(output) : undefined) ?? {
    passed: exitCode === 0 && !stage.count ? 1 : 0,
    failed: 0,
    skipped: 0,
  }
  // A compile error, a leak or a crash fails the stage without failing a test; so does no test.
  const ranNone = counts.passed + counts.failed === 0
  if ((exitCode !== 0 || ranNone) && counts.failed === 0) counts.failed = 1

  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  if (counts.failed > 0 && !live) console.log(output.trim().replace(/^/gm, "  "))
  if (timedOut) console.log(`  stopped after ${stage.limitSeconds} s`)
  const verdict = counts.failed > 0 ? `FAILED (exit code ${exitCode})` : "ok"
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : ""
  console.log(`${stage.name}: ${verdict}, ${counts.passed} passed${skipped}, ${seconds} s`)
  return counts
}

process.chdir(`${import.meta.dir}/..`)
const total: Counts = { passed: 0, failed: 0, skipped: 0 }
for (const stage of stages) {
  if (stage.name === "abi" && !existsSync("zig/abi_gen.zig")) continue
  const counts = await run(stage)
  total.passed += counts.passed
  total.failed += counts.failed
  total.skipped += counts.skipped
}
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : ""
console.log(`${total.passed} passed, ${total.failed} failed${skipped}`)
process.exit(total.failed > 0 || total.passed === 0 ? 1 : 0)
