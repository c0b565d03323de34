// Microbenchmarks of one process, with mitata: what a call costs when no other process is in the way.
//   bun bench/micro.ts [--only 64,1024] [--rounds 5]
// A PUSH and a PULL socket of this process are joined over an abstract unix socket. Sending is timed
// with nobody reading, so it is framing, copying and the sends that fill the socket's buffer;
// receiving is timed afterwards, until everything has been taken, and includes recv(2).
import { dlopen, FFIType } from "bun:ffi"
import { do_not_optimize, measure } from "mitata"
import { Pull, Push } from "../src/index.ts"
import { parseOptions } from "./lib/options.ts"
import { describeMachine } from "./lib/machine.ts"
import { median, medianRatio } from "./lib/stats.ts"

/** Few enough to stay below the default high-water mark of 1000 on either side. */
const MESSAGES_MAX = 500
const MESSAGES_MIN = 4
/** About what one unix socket buffers: more would measure a full queue. */
const BURST_BYTES = 128 * 1024
const TIMEOUT_MS = 5_000
/** Nanoseconds of measuring per figure; the default of mitata counts only what is timed. */
const TUNING = { min_cpu_time: 400e6, min_samples: 50, gc: false as const }

interface Row {
  size: number
  sendNs: number
  copiedNs: number
  borrowedNs: number
}

/** Connections of the socket that takes from one of them. */
const CONNECTIONS = 1000
const FAIR_SIZE = 64
const FAIR_TUNING = { ...TUNING, min_cpu_time: 100e6 }

/** Median of what `burst` returns: nanoseconds that it timed itself. */
async function medianOf(burst: () => Promise<number>, tuning = TUNING): Promise<number> {
  const stats = await measure(function* () {
    yield { manual: burst }
  } as never, tuning as never)
  return stats.p50
}

async function measureSize(push: Push, pull: Pull, size: number): Promise<Row> {
  const messages = Math.min(MESSAGES_MAX, Math.max(MESSAGES_MIN, Math.floor(BURST_BYTES / size)))
  const payload = Buffer.alloc(size, 1)
  const round = (borrow: boolean) => roundOf(push, pull, payload, messages, borrow)
  return {
    size,
    sendNs: (await medianOf(async () => (await round(true)).send)) / messages,
    copiedNs: (await medianOf(async () => (await round(false)).receive)) / messages,
    borrowedNs: (await medianOf(async () => (await round(true)).receive)) / messages,
  }
}

async function roundOf(push: Push, pull: Pull, payload: Buffer, messages: number, borrow: boolean) {
  const times = { send: send(push, payload, messages), receive: 0 }
  // One turn of the event loop: what send() left for the end of the turn is on its way now.
  await new Promise<void>((resolve) => setImmediate(resolve))
  times.receive = receive(pull, messages, borrow)
  return times
}

/** A fair queue over many pipes, one of which is active: rounds of receiving with and without the others. */
async function fairQueue(rounds: number): Promise<{ one: number[]; many: number[] }> {
  const payload = Buffer.alloc(FAIR_SIZE, 1)
  const alone = await joined(1)
  const crowd = await joined(CONNECTIONS)
  const figures = { one: [] as number[], many: [] as number[] }
  const receiveNs = ({ pull, pushes }: Joined) => {
    // Neither the first nor the last.
    const push = pushes[pushes.length >> 1]!
    const burst = async () => (await roundOf(push, pull, payload, MESSAGES_MAX, true)).receive
    return medianOf(burst, FAIR_TUNING)
  }
  for (let round = 0; round < rounds; round += 1) {
    figures.one.push((await receiveNs(alone)) / MESSAGES_MAX)
    figures.many.push((await receiveNs(crowd)) / MESSAGES_MAX)
  }
  for (const { pull, pushes } of [alone, crowd]) for (const socket of [pull, ...pushes]) socket.close()
  return figures
}

interface Joined {
  pull: Pull
  pushes: Push[]
}

async function joined(connections: number): Promise<Joined> {
  const pull = new Pull({ backlog: connections })
  const at = `ipc://@monocoque-micro-${process.pid}-${connections}`
  await pull.bind(at)
  const pushes = Array.from({ length: connections }, () => new Push({ immediate: true }))
  for (const push of pushes) push.connect(at)
  await Promise.all(pushes.map((push) => push.send("")))
  for (let taken = 0; taken < connections; taken += 1) await pull.receive()
  return { pull, pushes }
}

function send(push: Push, payload: Buffer, messages: number): number {
  const start = Bun.nanoseconds()
  for (let i = 0; i < messages; i += 1) {
    if (!push.trySend(payload)) throw new Error(`the queue was full after ${i} messages of ${payload.length} B`)
  }
  return Bun.nanoseconds() - start
}

function receive(pull: Pull, messages: number, borrow: boolean): number {
  const start = Bun.nanoseconds()
  for (let received = 0; received < messages; ) {
    const batch = pull.receiveManySync({ timeout: TIMEOUT_MS, borrow })
    for (const message of batch) do_not_optimize(message)
    received += batch.length
  }
  return Bun.nanoseconds() - start
}

/** Bun's own floor: a C function that does nothing to speak of. */
async function ffiCallNs(): Promise<number> {
  const { symbols } = dlopen("libc.so.6", { abs: { args: [FFIType.i32], returns: FFIType.i32 } })
  const stats = await measure(() => do_not_optimize(symbols.abs(-1)))
  return stats.p50
}

const { sizes, rounds } = parseOptions("bun bench/micro.ts")
await using pull = new Pull()
await using push = new Push()
const endpoint = `ipc://@monocoque-micro-${process.pid}`
await pull.bind(endpoint)
push.connect(endpoint)
await push.send("")
await pull.receive() // the handshake is done

console.log(`${describeMachine()}\n\nFFI call with one integer: ${(await ffiCallNs()).toFixed(1)} ns\n`)
console.log("| ns per message | send | receive | receive, borrowed |\n| --- | ---: | ---: | ---: |")
for (const size of sizes) {
  const row = await measureSize(push, pull, size)
  const cells = [row.sendNs, row.copiedNs, row.borrowedNs].map((ns) => ns.toFixed(ns < 100 ? 1 : 0))
  console.log(`| ${size} B | ${cells.join(" | ")} |`)
}

const { one, many } = await fairQueue(rounds)
console.log(`
PULL of ${FAIR_SIZE} B, one active connection, borrowed: ${median(one).toFixed(1)} ns per message alone, \
${median(many).toFixed(1)} ns among ${CONNECTIONS.toLocaleString("en")} (${medianRatio(many, one).toFixed(2)}×)`)
