// What the JavaScript peers share. Plain JavaScript because Node 20 runs one of them and cannot
// strip types; common.d.mts has the types. The rules that all peers follow are in peer.h.
import { once } from "node:events"
import { parseArgs } from "node:util"

/** Reads `<role>-<side> --endpoint E --size S --count N [--warmup W] [--hwm H] [--mode M] …`. */
export function readArguments(argv = process.argv.slice(2)) {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      endpoint: { type: "string" },
      size: { type: "string", default: "64" },
      count: { type: "string", default: "100000" },
      warmup: { type: "string", default: "0" },
      hwm: { type: "string", default: "1000" },
      mode: { type: "string", default: "plain" },
      seconds: { type: "string", default: "0" },
      sockets: { type: "string", default: "1" },
      window: { type: "string", default: "1" },
      "no-drop": { type: "string", default: "0" },
      curve: { type: "string", default: "0" },
    },
  })
  if (positionals.length !== 1) throw new Error("one argument says what to do, such as pull-bind")
  if (values.endpoint === undefined) throw new Error("--endpoint is missing")
  return {
    task: positionals[0],
    endpoint: values.endpoint,
    size: natural("size", values.size),
    count: natural("count", values.count),
    warmup: natural("warmup", values.warmup),
    hwm: natural("hwm", values.hwm),
    mode: values.mode,
    seconds: Number(values.seconds),
    sockets: natural("sockets", values.sockets),
    window: natural("window", values.window),
    noDrop: values["no-drop"] === "1",
    curve: values.curve === "1",
  }
}

/** Who binds is the server. The keys are known to everybody: the same as in libzmq.h. */
export function curveServer({ curve }) {
  return curve ? { curveServer: true, curveSecretKey: "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6" } : {}
}

export function curveClient({ curve }) {
  if (!curve) return {}
  return {
    curveServerKey: "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
    curvePublicKey: "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
    curveSecretKey: "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs",
  }
}

function natural(name, text) {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name}: ${text} is not a natural number`)
  return value
}

export function print(record) {
  console.log(JSON.stringify(record))
}

/** Wall clock in milliseconds: the only clock that C, Node and Bun agree on across processes. */
export function wallMs() {
  return performance.timeOrigin + performance.now()
}

/** User and system time of all threads of this process, in seconds. */
export function cpuSeconds() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** Resolves at the end of stdin: the harness closes it once the other side has everything. */
export async function released() {
  process.stdin.resume()
  await once(process.stdin, "end")
}

/** Resolves when the harness writes a line: everybody is ready. */
export async function told() {
  process.stdin.resume()
  await once(process.stdin, "data")
}

/** Counts what is received; the clock starts with the first messages, or with `begin`. */
export class PullMeter {
  total = 0
  bytes = 0
  #first = -1
  #start = 0
  #cpu = 0

  /** `messages` have just been received, `bytes` in all. Cheap enough to be called per message. */
  add(messages, bytes) {
    this.total += messages
    this.bytes += bytes
    if (this.#first < 0) this.begin(messages)
  }

  /** Messages up to here are not counted. */
  begin(uncounted = 0) {
    this.#first = uncounted
    this.#cpu = cpuSeconds()
    this.#start = performance.now()
  }

  print() {
    const seconds = (performance.now() - this.#start) / 1e3
    const cpu = cpuSeconds() - this.#cpu
    // A run that arrived in one batch has no rate; the cold burst only looks at endAt.
    const counted = this.total - this.#first
    const rate = seconds > 0 ? counted / seconds : 0
    const { total, bytes } = this
    print({ role: "pull", total, counted, bytes, seconds, rate, cpu, endAt: wallMs() })
  }
}

/** Round-trip times in microseconds; those of the warm-up are left out. */
export class LatencyMeter {
  #times
  #count = 0
  #skip
  #cpu = cpuSeconds()

  constructor(count, warmup) {
    this.#times = new Float64Array(count)
    this.#skip = warmup
  }

  add(milliseconds) {
    if (this.#skip > 0) {
      this.#skip -= 1
      if (this.#skip === 0) this.#cpu = cpuSeconds()
      return
    }
    this.#times[this.#count++] = milliseconds * 1e3
  }

  print() {
    const cpu = cpuSeconds() - this.#cpu
    const times = this.#times.subarray(0, this.#count).sort()
    const at = (fraction) => times[Math.floor((times.length - 1) * fraction)]
    const mean = times.reduce((sum, time) => sum + time, 0) / times.length
    print({ role: "req", total: times.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), mean, cpu })
  }
}

/** CPU time of a replier, without its warm-up. */
export class ReplyMeter {
  #left
  #warmup
  #count
  #cpu = cpuSeconds()

  constructor(count, warmup) {
    this.#count = count
    this.#warmup = warmup
    this.#left = count + warmup
  }

  /** Call it after each reply; false when that was the last one. */
  more() {
    this.#left -= 1
    if (this.#left === this.#count && this.#warmup > 0) this.#cpu = cpuSeconds()
    return this.#left > 0
  }

  print() {
    print({ role: "rep", total: this.#count, cpu: cpuSeconds() - this.#cpu })
  }
}

/** Runs the function named by the first argument; any failure is one line on stderr and exit code 1. */
export async function runPeer(tasks) {
  try {
    const options = readArguments()
    const task = tasks[options.task]
    if (task === undefined) throw new Error(`unknown task ${options.task}; known: ${Object.keys(tasks).join(", ")}`)
    await task(options)
  } catch (error) {
    console.error(error instanceof Error ? (error.stack ?? error.message) : String(error))
    process.exit(1)
  }
}
