// Two threads of one process over inproc: Workers here, C threads there. PUSH → PULL unpinned, and
// REQ ↔ REP round trips on two cores and on one.
//   bun bench/inproc.ts --only 10,64 --modes batches      (all flags: --help)
import { field, PeerError } from "./lib/child.ts"
import { main } from "./lib/main.ts"
import { takingPart, type BenchOptions } from "./lib/options.ts"
import { runAlone } from "./lib/pair.ts"
import type { Contender } from "./lib/peers.ts"
import { runRounds, type Series } from "./lib/rounds.ts"
import { layouts, type CoreLayout } from "./latency.ts"
import { deadlineOf, messageCount } from "./throughput.ts"

export interface InprocSample {
  rate: number
  /** CPU nanoseconds per message of the whole process, user and system. */
  cpuNs: number
}

export interface InprocLatencySample {
  /** Microseconds per round trip. */
  p50: number
  p99: number
  /** CPU microseconds per round trip of the whole process, user and system. */
  cpuUs: number
}

export type InprocSeries = Series<{ size: number }, InprocSample>
export type InprocLatencySeries = Series<{ layout: CoreLayout }, InprocLatencySample>

const SIZES = [10, 64, 1024]
const LATENCY_SIZE = 64
const ROUND_TRIPS = 20_000
const WARMUP = 2_000

export function measureInproc(options: BenchOptions): Promise<InprocSeries[]> {
  return runRounds<{ size: number }, InprocSample>({
    title: "inproc",
    settings: (options.only ?? SIZES).map((size) => ({ size })),
    contenders: takingPart(options, "inproc"),
    rounds: options.rounds,
    describe: ({ size }) => `${size} B`,
    measure: (contender, { size }, before) => measureRate(contender, size, before, options),
  })
}

async function measureRate(
  contender: Contender,
  size: number,
  before: readonly InprocSample[],
  { seconds, hwm }: BenchOptions,
): Promise<InprocSample> {
  const count = messageCount(contender, size, seconds, before)
  const result = await runAlone(contender, "inproc", "push-pull", {
    work: { size, count, hwm },
    deadlineMs: deadlineOf(seconds),
  })
  if (result.total !== count || result.bytes !== count * size) {
    throw new PeerError(`${contender.id}, ${size} B: ${result.total} of ${count} messages arrived`)
  }
  const counted = field(result, "counted")
  if (counted <= 0) throw new PeerError(`${contender.id}, ${size} B: all ${count} messages arrived in one batch; raise --seconds`)
  return { rate: field(result, "rate"), cpuNs: (field(result, "cpu") / counted) * 1e9 }
}

export function measureInprocLatency(options: BenchOptions): Promise<InprocLatencySeries[]> {
  return runRounds<{ layout: CoreLayout }, InprocLatencySample>({
    title: "inproc round trips",
    settings: layouts().map((layout) => ({ layout })),
    contenders: takingPart(options, "inproc latency"),
    rounds: options.rounds,
    describe: ({ layout }) => layout,
    measure: (contender, { layout }) => measureLatency(contender, layout, options),
  })
}

/** A thread cannot be pinned from outside: with two cores the scheduler places them. */
async function measureLatency(contender: Contender, layout: CoreLayout, options: BenchOptions): Promise<InprocLatencySample> {
  const count = options.quick ? ROUND_TRIPS / 4 : ROUND_TRIPS
  const result = await runAlone(contender, "inproc", "req-rep", {
    work: { size: LATENCY_SIZE, count, warmup: WARMUP, hwm: options.hwm },
    cores: layout === "two cores" ? options.cores : options.cores.slice(0, 1),
    deadlineMs: deadlineOf(options.seconds),
  })
  return { p50: field(result, "p50"), p99: field(result, "p99"), cpuUs: (field(result, "cpu") / count) * 1e6 }
}

if (import.meta.main) {
  await main("bun bench/inproc.ts", async (options) => ({
    inproc: await measureInproc(options),
    inprocLatency: await measureInprocLatency(options),
  }))
}
