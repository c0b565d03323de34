// PUSH → PULL between two processes, unpinned: messages per second, and what they cost on both ends.
//   bun bench/throughput.ts --only 64,1024 --transports tcp --rounds 5      (all flags: --help)
import { field, PeerError } from "./lib/child.ts"
import { main } from "./lib/main.ts"
import { takingPart, type BenchOptions } from "./lib/options.ts"
import { runPair, type Transport, type Work } from "./lib/pair.ts"
import type { Contender, Measurement } from "./lib/peers.ts"
import { runRounds, type Series } from "./lib/rounds.ts"
import { median } from "./lib/stats.ts"

export interface ThroughputSetting {
  transport: Transport
  size: number
}

export interface ThroughputSample {
  count: number
  seconds: number
  /** Messages per second from the first to the last one received. */
  rate: number
  /** CPU nanoseconds per message, user and system, all threads. */
  sendNs: number
  receiveNs: number
}

export type ThroughputSeries = Series<ThroughputSetting, ThroughputSample>

/** Below this a measurement would be start-up more than anything else. */
const COUNT_MIN = 500
const COUNT_MAX = 100_000_000
const DEADLINE_FACTOR = 30
const DEADLINE_MIN_MS = 15_000

/** Far above any honest duration: only a peer that hangs ever meets it. */
export function deadlineOf(seconds: number): number {
  return Math.max(DEADLINE_MIN_MS, seconds * DEADLINE_FACTOR * 1e3)
}

export function measureThroughput(options: BenchOptions): Promise<ThroughputSeries[]> {
  return measureThroughputOf(options, "throughput")
}

/** The same with other sockets: `extra` is what the peers are told besides. */
export function measureThroughputOf(
  options: BenchOptions,
  title: Measurement,
  extra: Partial<Work> = {},
): Promise<ThroughputSeries[]> {
  return runRounds<ThroughputSetting, ThroughputSample>({
    title,
    settings: options.transports.flatMap((transport) => options.sizes.map((size) => ({ transport, size }))),
    contenders: takingPart(options, title),
    rounds: options.rounds,
    describe: ({ transport, size }) => `${transport} ${size} B`,
    measure: (contender, setting, before) => measure(contender, setting, before, options, extra),
  })
}

async function measure(
  contender: Contender,
  { transport, size }: ThroughputSetting,
  before: readonly ThroughputSample[],
  { seconds, hwm }: BenchOptions,
  extra: Partial<Work>,
): Promise<ThroughputSample> {
  const count = messageCount(contender, size, seconds, before)
  const deadlineMs = deadlineOf(seconds)
  const { leader, follower } = await runPair(contender, { roles: "push-pull", transport, work: { size, count, hwm, ...extra }, deadlineMs })
  const counted = field(leader, "counted")
  if (counted <= 0) throw new PeerError(`${contender.id}, ${size} B: all ${count} messages arrived in one batch; raise --seconds`)
  return {
    count,
    seconds: field(leader, "seconds"),
    rate: field(leader, "rate"),
    sendNs: (field(follower, "cpu") / count) * 1e9,
    receiveNs: (field(leader, "cpu") / counted) * 1e9,
  }
}

/** As many messages as take about `seconds`: by the guess first, then by the rates seen so far. */
export function messageCount(
  contender: Contender,
  size: number,
  seconds: number,
  before: readonly { rate: number }[],
): number {
  const guess = 1e9 / (contender.messageNs + contender.byteNs * size)
  const rate = before.length === 0 ? guess : median(before.map((sample) => sample.rate))
  return Math.round(Math.min(COUNT_MAX, Math.max(COUNT_MIN, rate * seconds)))
}

if (import.meta.main) await main("bun bench/throughput.ts", async (options) => ({ throughput: await measureThroughput(options) }))
