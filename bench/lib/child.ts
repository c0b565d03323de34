// One peer process: started, read line by line, released and, whatever happens, ended.
import type { Subprocess } from "bun"

/** What the peers print, all of them together; which fields a line has depends on the role. */
export interface PeerRecord {
  endpoint?: string
  /** The other endpoint of a proxy. */
  backEnd?: string
  ready?: boolean
  total?: number
  counted?: number
  bytes?: number
  rate?: number
  seconds?: number
  cpu?: number
  p50?: number
  p90?: number
  p99?: number
  mean?: number
  connectAt?: number
  endAt?: number
}

/** A field that the role must have printed. */
export function field(record: PeerRecord, name: Exclude<keyof PeerRecord, "endpoint" | "backEnd" | "ready">): number {
  const value = record[name]
  if (typeof value !== "number") throw new PeerError(`a peer's result has no "${name}": ${JSON.stringify(record)}`)
  return value
}

/** A peer that broke. The benchmark ends with exit code 1 because of these, and of nothing else. */
export class PeerError extends Error {
  override name = "PeerError"
}

const alive = new Set<Child>()
process.on("exit", () => {
  for (const child of alive) child.kill()
})
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130))

/** If the harness itself is killed, no exit handler runs; then the kernel ends the peers. */
const DIE_WITH_PARENT = Bun.which("setpriv") === null ? [] : ["setpriv", "--pdeathsig", "KILL"]
const STDERR_BYTES_MAX = 4096
/** What a peer gets to close its sockets and leave after its result has been printed. */
const EXIT_MS = 5_000

export interface ChildOptions {
  /** How messages call this process. */
  name: string
  /** The CPUs to pin it to. */
  cores?: readonly number[] | undefined
  environment?: Record<string, string> | undefined
  deadlineMs: number
}

export class Child {
  readonly name: string
  readonly #process: Subprocess<"pipe", "pipe", "pipe">
  readonly #lines: AsyncGenerator<string>
  readonly #timer: Timer
  readonly #stderr: Promise<string>
  #overdue = ""

  constructor(command: readonly string[], options: ChildOptions) {
    this.name = options.name
    const pin = options.cores === undefined ? [] : ["taskset", "-c", options.cores.join(",")]
    this.#process = Bun.spawn({
      cmd: [...DIE_WITH_PARENT, ...pin, ...command],
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, ...options.environment },
    })
    alive.add(this)
    void this.#process.exited.then(() => alive.delete(this))
    this.#lines = linesOf(this.#process.stdout)
    this.#stderr = new Response(this.#process.stderr).text()
    this.#timer = this.#killAfter(options.deadlineMs)
  }

  #killAfter(milliseconds: number): Timer {
    return setTimeout(() => {
      this.#overdue = `was killed after its time limit of ${milliseconds / 1e3} s`
      this.kill()
    }, milliseconds)
  }

  /** The next line of JSON that the peer prints. */
  async record(): Promise<PeerRecord> {
    const { value, done } = await this.#lines.next()
    if (done === true) throw await this.#failure("ended without its result")
    try {
      return JSON.parse(value) as PeerRecord
    } catch {
      throw new PeerError(`${this.name} printed a line that is not JSON: ${value.slice(0, 200)}`)
    }
  }

  /** Writes a line to the peer's stdin: everybody is ready, begin. */
  tell(): void {
    this.#process.stdin.write("go\n")
    void this.#process.stdin.flush()
  }

  /** Ends the peer's stdin: the other side has everything, print what it cost. */
  release(): void {
    void this.#process.stdin.end()
  }

  /** Resolves when the process has left by itself with exit code 0. */
  async finish(): Promise<void> {
    clearTimeout(this.#timer)
    const timer = this.#killAfter(EXIT_MS)
    const code = await this.#process.exited
    clearTimeout(timer)
    if (code !== 0) throw await this.#failure("failed after its result")
  }

  kill(): void {
    clearTimeout(this.#timer)
    this.#process.kill("SIGKILL")
  }

  /** Kills what is left and waits until it is gone, so that the next measurement has the machine alone. */
  async end(): Promise<void> {
    this.kill()
    await this.#process.exited
  }

  async #failure(what: string): Promise<PeerError> {
    await this.#process.exited
    const how = this.#overdue !== "" ? this.#overdue : `${what} (${this.#status()})`
    const said = (await this.#stderr).trim().slice(-STDERR_BYTES_MAX)
    return new PeerError(`${this.name} ${how}${said === "" ? "" : `; it said: ${said}`}`)
  }

  #status(): string {
    const { exitCode, signalCode } = this.#process
    return signalCode === null ? `exit code ${exitCode}` : `signal ${signalCode}`
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ""
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) if (line !== "") yield line
  }
}
