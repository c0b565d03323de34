// 10,000 messages of 64 bytes from a cold start: the time from connect to the last receipt, with a
// handshake, first sends and code that no compiler has seen yet. Many programs do no more than this.
//   bun bench/cold_burst.ts      (all flags: --help)
import { field } from "./lib/child.ts"
import { main } from "./lib/main.ts"
import { takingPart, type BenchOptions } from "./lib/options.ts"
import { runPair, type Transport } from "./lib/pair.ts"
import type { Contender } from "./lib/peers.ts"
import { runRounds, type Series } from "./lib/rounds.ts"

export interface BurstSetting {
  transport: Transport
}

export interface BurstSample {
  /** From just before the sender's connect to the receiver's last message. */
  milliseconds: number
}

export type BurstSeries = Series<BurstSetting, BurstSample>

export const BURST_MESSAGES = 10_000
const SIZE = 64
const DEADLINE_MS = 15_000
/** A burst is over in milliseconds and so varies more than the rest; it is cheap to repeat. */
const ROUNDS_FACTOR = 2

export function measureBurst(options: BenchOptions): Promise<BurstSeries[]> {
  return runRounds<BurstSetting, BurstSample>({
    title: "cold burst",
    settings: options.transports.map((transport) => ({ transport })),
    contenders: takingPart(options, "burst"),
    rounds: options.rounds * (options.quick ? 1 : ROUNDS_FACTOR),
    describe: ({ transport }) => transport,
    measure: (contender, { transport }) => measure(contender, transport, options),
  })
}

async function measure(contender: Contender, transport: Transport, { hwm }: BenchOptions): Promise<BurstSample> {
  const { leader, follower } = await runPair(contender, {
    roles: "push-pull",
    transport,
    work: { size: SIZE, count: BURST_MESSAGES, hwm },
    deadlineMs: DEADLINE_MS,
  })
  return { milliseconds: field(leader, "endAt") - field(follower, "connectAt") }
}

if (import.meta.main) await main("bun bench/cold_burst.ts", async (options) => ({ burst: await measureBurst(options) }))
