// The 15-second tour behind `npm start`. The first half is the sockets: four small programs, each run
// in a process of its own. The second half starts them, shows what they report, and cleans up.
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Pull, Push, Reply, Request } from "monocoque"

const SECONDS = 2
const REPORT_MS = 250

// ---- The four programs ------------------------------------------------------------------------

/** Answers every request with its own words. The loop would end if the socket were closed. */
async function reply(): Promise<void> {
  await using socket = new Reply()
  await socket.bind("tcp://127.0.0.1:*") // any free port; lastEndpoint tells which
  tell({ endpoint: socket.lastEndpoint })
  for await (const message of socket) await socket.send(message)
}

/** Asks for two seconds, one question at a time, and sorts the times it took. */
async function request(endpoint: string): Promise<void> {
  await using socket = new Request()
  socket.connect(endpoint)
  const question = Buffer.alloc(64, "?")
  const times: number[] = []
  const due = every(REPORT_MS)
  for (const end = performance.now() + SECONDS * 1e3; performance.now() < end; ) {
    const start = performance.now()
    await socket.send(question)
    await socket.receive()
    times.push((performance.now() - start) * 1e3)
    if (due()) tell({ progress: times.length })
  }
  times.sort((a, b) => a - b)
  const at = (fraction: number) => times[Math.floor((times.length - 1) * fraction)]
  tell({ total: times.length, seconds: SECONDS, p50: at(0.5), p99: at(0.99) })
}

/** Receives until an empty message says goodbye. Batches are the fast way to read: all that is there, at once. */
async function pull(): Promise<void> {
  await using socket = new Pull()
  await socket.bind("tcp://127.0.0.1:*")
  tell({ endpoint: socket.lastEndpoint })
  const due = every(REPORT_MS)
  let total = 0
  let start = 0
  for await (const batch of socket.batches()) {
    if (total === 0) start = performance.now()
    total += batch.length
    const goodbye = batch.at(-1)?.[0]?.length === 0
    if (goodbye) break
    if (due()) tell({ progress: total })
  }
  tell({ total: total - 1, seconds: (performance.now() - start) / 1e3 })
}

/** Sends for two seconds as fast as the receiver takes it: sendMany waits when the queue is full. */
async function push(endpoint: string, size: string): Promise<void> {
  await using socket = new Push()
  socket.connect(endpoint)
  const batch = Array.from({ length: 100 }, () => Buffer.alloc(Number(size), "x"))
  let total = 0
  for (const end = performance.now() + SECONDS * 1e3; performance.now() < end; total += batch.length) {
    await socket.sendMany(batch)
  }
  await socket.send("")
  tell({ total })
}

/** True at most once per interval. */
function every(milliseconds: number): () => boolean {
  let next = performance.now() + milliseconds
  return () => {
    const now = performance.now()
    if (now < next) return false
    next = now + milliseconds
    return true
  }
}

function tell(record: Record<string, unknown>): void {
  console.log(JSON.stringify(record))
}

// ---- The guide --------------------------------------------------------------------------------

type Report = { endpoint?: string; progress?: number; total?: number; seconds?: number; p50?: number; p99?: number }
type Program = { name: string; command: string[] }

const SELF = fileURLToPath(import.meta.url)
const LIBZMQ = fileURLToPath(new URL("../zig-out/bin/libzmq", import.meta.url))
const TIME_LIMIT_MS = 20_000

const ours = (role: string, ...args: string[]): Program => ({
  name: `${role} (Bun)`,
  command: [process.execPath, SELF, role, ...args],
})
// The C program of our benchmarks, linked with the system's libzmq. It has the same conventions.
const theirs = (role: string, ...args: (string | number)[]): Program => ({
  name: `${role} (libzmq)`,
  command: [LIBZMQ, role, ...args.map(String)],
})

/** A child process that reports in lines of JSON. */
class Child {
  static readonly running = new Set<Child>()
  readonly #process
  readonly #reports: AsyncGenerator<Report>
  readonly #stderr: Promise<string>

  constructor(readonly program: Program) {
    this.#process = Bun.spawn(program.command, { stdin: "pipe", stdout: "pipe", stderr: "pipe", timeout: TIME_LIMIT_MS })
    this.#reports = reportsOf(this.#process.stdout)
    this.#stderr = new Response(this.#process.stderr).text()
    Child.running.add(this)
  }

  async next(): Promise<Report> {
    const { value, done } = await this.#reports.next()
    if (done === true) throw await this.#failure("ended too early")
    return value
  }

  /** Skips the progress, showing it if somebody wants to see it, and returns the result. */
  async result(show?: (progress: number) => void): Promise<Report> {
    for (;;) {
      const report = await this.next()
      if (report.progress === undefined) return report
      show?.(report.progress)
    }
  }

  /** The end of stdin tells a child that nothing more is wanted. */
  async end(): Promise<void> {
    void this.#process.stdin.end()
    const code = await this.#process.exited
    Child.running.delete(this)
    if (code !== 0) throw await this.#failure("failed at its end")
  }

  async #failure(what: string): Promise<Error> {
    const code = await this.#process.exited
    const how = this.#process.signalCode ?? `exit code ${code}`
    return new Error(`${this.program.name} ${what} (${how})\n${(await this.#stderr).trim()}`)
  }

  kill(): void {
    this.#process.kill("SIGKILL")
  }
}

async function* reportsOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Report> {
  const decoder = new TextDecoder()
  let rest = ""
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) yield JSON.parse(line) as Report
  }
}

/** On a terminal one line, rewritten; in a log a plain line about once a second. */
function progressLine(title: string, unit: string): { show(total: number): void; end(text: string): void } {
  const live = process.stdout.isTTY === true
  const due = live ? () => true : every(900)
  let last = { total: 0, at: performance.now() }
  return {
    show(total) {
      if (!due()) return
      const at = performance.now()
      const rate = ((total - last.total) / (at - last.at)) * 1e3
      last = { total, at }
      const text = `  ${title.padEnd(34)} ${short(rate).padStart(7)} ${unit}`
      process.stdout.write(live ? `\r\x1b[K${text}` : `${text}\n`)
    },
    end: (text) => void process.stdout.write(`${live ? "\r\x1b[K" : ""}  ${title.padEnd(34)} ${text}\n`),
  }
}

/** 20.4 M, 612 k, 87 */
function short(value: number): string {
  const [scaled, letter] = value >= 1e6 ? [value / 1e6, " M"] : value >= 1e3 ? [value / 1e3, " k"] : [value, ""]
  return `${scaled >= 100 ? scaled.toFixed(0) : scaled.toFixed(1)}${letter}`
}

/** The leader's result, or the reason why the other side failed, whichever comes first. */
async function resultOf(leader: Promise<Report>, other: Promise<Report>): Promise<Report> {
  for (const report of [leader, other]) report.catch(() => undefined) // whoever fails second has nothing to add
  await Promise.race([leader, other])
  return leader
}

async function roundTrips(): Promise<string> {
  const line = progressLine("REQ → REP → REQ, 64 B", "round trips/s")
  const server = new Child(ours("reply"))
  const { endpoint = "" } = await server.next()
  const client = new Child(ours("request", endpoint))
  const { total = 0, seconds = 1, p50 = 0, p99 = 0 } = await resultOf(client.result(line.show), server.result())
  await Promise.all([client.end(), server.end()])
  const times = `p50 ${p50.toFixed(0)} µs · p99 ${p99.toFixed(0)} µs`
  line.end(`${short(total / seconds).padStart(7)} round trips/s, ${times}`)
  return times
}

async function pipeline(title: string, receiver: Program, sender: (endpoint: string) => Program): Promise<string> {
  const line = progressLine(title, "messages/s")
  const to = new Child(receiver)
  const { endpoint = "" } = await to.next()
  const from = new Child(sender(endpoint))
  const sending = from.result()
  const { total = 0, seconds = 1 } = await resultOf(to.result(line.show), sending)
  await Promise.all([from.end(), to.end()])
  const sent = (await sending).total
  if (total !== sent) throw new Error(`${title}: ${sent} messages were sent, ${total} received`)
  const rate = `${short(total / seconds)}/s`
  line.end(`${short(total / seconds).padStart(7)} messages/s, ${total.toLocaleString("en")} received, none lost`)
  return rate
}

async function tour(): Promise<void> {
  if (!existsSync(LIBZMQ)) throw new Error(`${LIBZMQ} is missing: npx zig build peers (needs libzmq3-dev)`)
  const start = performance.now()
  console.log("Two processes each, over TCP on this machine, two seconds per line:\n")
  const rows = [["", "64 B", "1 KiB"]]
  const times = await roundTrips()
  for (const [title, receiver, sender] of PIPELINES) {
    const row = [title]
    for (const [size, name] of [[64, "64 B"], [1024, "1 KiB"]] as const) {
      row.push(await pipeline(`${title}, ${name}`, receiver, (endpoint) => sender(endpoint, size)))
    }
    rows.push(row)
  }
  rows.push(["REQ ↔ REP, round trip", times])
  console.log("\nSummary")
  for (const [title = "", ...cells] of rows) console.log(`  ${title.padEnd(28)}${cells.map((cell) => cell.padEnd(14)).join("")}`.trimEnd())
  console.log(`\nDone in ${((performance.now() - start) / 1e3).toFixed(0)} s. The code of these programs: examples/tour.ts`)
}

const toLibzmq = ["--endpoint", "tcp://127.0.0.1:*", "--count", 0, "--progress", REPORT_MS / 1e3]
const PIPELINES: [string, Program, (endpoint: string, size: number) => Program][] = [
  ["PUSH → PULL", ours("pull"), (endpoint, size) => ours("push", endpoint, String(size))],
  [
    "libzmq PUSH → PULL",
    ours("pull"),
    (endpoint, size) => theirs("push-connect", "--endpoint", endpoint, "--size", size, "--seconds", SECONDS),
  ],
  ["PUSH → libzmq PULL", theirs("pull-bind", ...toLibzmq), (endpoint, size) => ours("push", endpoint, String(size))],
]

process.on("exit", () => {
  for (const child of Child.running) child.kill()
})
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130))

const [role = "tour", ...args] = process.argv.slice(2)
const programs: Record<string, (...args: string[]) => Promise<void>> = { tour, reply, request, pull, push }
const program = programs[role]
try {
  if (program === undefined) throw new Error(`unknown program ${role}; known: ${Object.keys(programs).join(", ")}`)
  // A child must not outlive the tour: the end of its stdin means that nothing more is wanted.
  if (program !== tour) process.stdin.on("end", () => process.exit(0)).resume()
  await program(...args)
  process.exit(0)
} catch (error) {
  console.error(`\n${role}: ${error instanceof Error ? error.message : error}`)
  process.exit(1)
}
