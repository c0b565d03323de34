// CURVE: PUSH → PULL between two processes as in throughput.ts, all of it encrypted; and how fast clients
// can come, be authenticated and go. libzmq and we use the same libsodium.
//   bun bench/curve.ts --only 64,1024 --transports tcp --rounds 5      (all flags: --help)
import { field, PeerError } from "./lib/child.ts"
import { main } from "./lib/main.ts"
import { takingPart, type BenchOptions } from "./lib/options.ts"
import { runPair, type Transport } from "./lib/pair.ts"
import type { Contender } from "./lib/peers.ts"
import { runRounds, type Series } from "./lib/rounds.ts"
import { deadlineOf, measureThroughputOf, type ThroughputSeries } from "./throughput.ts"

export interface VisitSetting {
  transport: Transport
  /** Clients at a time. */
  visitors: number
  curve: boolean
}

export interface VisitSample {
  /** Clients per second that connected, made one round trip and closed. */
  rate: number
  /** CPU microseconds for one of them, user and system, all threads. */
  clientUs: number
  serverUs: number
}

export type VisitSeries = Series<VisitSetting, VisitSample>

const SIZES = [64, 1024, 65536]
const VISIT_SIZE = 64
/** One at a time tells how long a visit takes; many keep both processes busy. */
const CROWDS = [1, 16]

export function measureCurve(options: BenchOptions): Promise<ThroughputSeries[]> {
  const sizes = options.only ?? SIZES
  return measureThroughputOf({ ...options, sizes }, "curve", { curve: 1 })
}

/** On the first transport only, with CURVE and, to compare with, without. */
export function measureVisits(options: BenchOptions): Promise<VisitSeries[]> {
  const transport = options.transports[0]!
  return runRounds<VisitSetting, VisitSample>({
    title: "handshakes",
    settings: [true, false].flatMap((curve) => CROWDS.map((visitors) => ({ transport, visitors, curve }))),
    contenders: takingPart(options, "handshakes"),
    rounds: options.rounds,
    describe: ({ visitors, curve }) => `${visitors} at a time, ${curve ? "CURVE" : "NULL"}`,
    measure: (contender, setting) => measure(contender, setting, options),
  })
}

async function measure(contender: Contender, setting: VisitSetting, { seconds, hwm }: BenchOptions): Promise<VisitSample> {
  const { transport, visitors, curve } = setting
  const { leader, follower } = await runPair(contender, {
    roles: "router-visitor",
    transport,
    work: { size: VISIT_SIZE, seconds, hwm, sockets: visitors, curve: curve ? 1 : 0 },
    deadlineMs: deadlineOf(seconds),
  })
  const total = field(leader, "total")
  const echoed = field(follower, "total")
  if (echoed !== total) throw new PeerError(`${contender.id}: ${total} replies to ${echoed} requests`)
  return {
    rate: field(leader, "rate"),
    clientUs: (field(leader, "cpu") / total) * 1e6,
    serverUs: (field(follower, "cpu") / total) * 1e6,
  }
}

if (import.meta.main) {
  await main("bun bench/curve.ts", async (options) => ({
    curve: await measureCurve(options),
    visits: await measureVisits(options),
  }))
}
