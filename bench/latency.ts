// REQ ↔ REP round trips of 64 bytes between two processes, pinned to two cores and to one. Where the
// scheduler puts two unpinned processes is chance, and the two layouts differ by a factor of three.
//   bun bench/latency.ts --transports tcp --modes plain,sync      (all flags: --help)
import { availableParallelism } from "node:os"
import { field } from "./lib/child.ts"
import { main } from "./lib/main.ts"
import { takingPart, type BenchOptions } from "./lib/options.ts"
import { runPair, type Transport } from "./lib/pair.ts"
import type { Contender } from "./lib/peers.ts"
import { log, runRounds, type Series } from "./lib/rounds.ts"

export type CoreLayout = "two cores" | "one core"

export interface LatencySetting {
  transport: Transport
  layout: CoreLayout
}

export interface LatencySample {
  count: number
  /** Microseconds per round trip. */
  p50: number
  p90: number
  p99: number
  mean: number
  /** CPU microseconds per round trip, user and system, all threads. */
  clientUs: number
  serverUs: number
}

export type LatencySeries = Series<LatencySetting, LatencySample>

const SIZE = 64
const ROUND_TRIPS = 4_000
const ROUND_TRIPS_QUICK = 2_000
/** Enough for the compilers of Node and Bun to have seen every path. */
const WARMUP = 1_000
const DEADLINE_MS = 30_000

export function measureLatency(options: BenchOptions): Promise<LatencySeries[]> {
  return runRounds<LatencySetting, LatencySample>({
    title: "round trips",
    settings: options.transports.flatMap((transport) => layouts().map((layout) => ({ transport, layout }))),
    contenders: takingPart(options, "latency"),
    rounds: options.rounds,
    describe: ({ transport, layout }) => `${transport}, ${layout}`,
    measure: (contender, setting) => measure(contender, setting, options),
  })
}

export function layouts(): CoreLayout[] {
  if (availableParallelism() > 1) return ["two cores", "one core"]
  log("round trips: this machine has one core, the layout with two is left out")
  return ["one core"]
}

async function measure(contender: Contender, setting: LatencySetting, options: BenchOptions): Promise<LatencySample> {
  const [server, client] = options.cores
  const count = options.quick ? ROUND_TRIPS_QUICK : ROUND_TRIPS
  const { leader, follower } = await runPair(contender, {
    roles: "req-rep",
    transport: setting.transport,
    work: { size: SIZE, count, warmup: WARMUP, hwm: options.hwm },
    cores: setting.layout === "two cores" ? [server, client] : [server, server],
    deadlineMs: DEADLINE_MS,
  })
  return {
    count,
    p50: field(leader, "p50"),
    p90: field(leader, "p90"),
    p99: field(leader, "p99"),
    mean: field(leader, "mean"),
    clientUs: (field(leader, "cpu") / count) * 1e6,
    serverUs: (field(follower, "cpu") / count) * 1e6,
  }
}

if (import.meta.main) await main("bun bench/latency.ts", async (options) => ({ latency: await measureLatency(options) }))
