// PUB → 1, 8 and 100 SUB of 256 B: one process publishes, one holds all subscribers, so that nobody
// has to share two cores with a hundred processes. Both kinds of PUB: the one that drops what a
// subscriber has no room for, whose losses are reported, and noDrop, which waits for the slowest.
//   bun bench/fanout.ts --modes batches --rounds 5      (all flags: --help)
import { field } from "./lib/child.ts"
import { main } from "./lib/main.ts"
import { takingPart, type BenchOptions } from "./lib/options.ts"
import { runPair, type Transport } from "./lib/pair.ts"
import type { Contender } from "./lib/peers.ts"
import { runRounds, type Series } from "./lib/rounds.ts"
import { deadlineOf } from "./throughput.ts"

export interface FanoutSetting {
  transport: Transport
  subscribers: number
  noDrop: boolean
}

export interface FanoutSample {
  sent: number
  /** Messages that all subscribers got, per second from the start to the last one. */
  rate: number
  /** Of what they should have got, 0 to 1. */
  dropped: number
  /** CPU nanoseconds per delivered message, user and system, all threads. */
  publishNs: number
  receiveNs: number
}

export type FanoutSeries = Series<FanoutSetting, FanoutSample>

export const FANOUT_SIZE = 256
const SUBSCRIBERS = [1, 8, 100]

/** On the first transport only: with both it would take longer than all the rest. */
export function measureFanout(options: BenchOptions): Promise<FanoutSeries[]> {
  const transport = options.transports[0]!
  return runRounds<FanoutSetting, FanoutSample>({
    title: "fan-out",
    settings: [false, true].flatMap((noDrop) => SUBSCRIBERS.map((subscribers) => ({ transport, subscribers, noDrop }))),
    contenders: takingPart(options, "fanout"),
    rounds: options.rounds,
    describe: ({ subscribers, noDrop }) => `${subscribers} subscribers${noDrop ? ", noDrop" : ""}`,
    measure: (contender, setting) => measure(contender, setting, options),
  })
}

async function measure(contender: Contender, setting: FanoutSetting, { seconds, hwm }: BenchOptions): Promise<FanoutSample> {
  const { transport, subscribers, noDrop } = setting
  const { leader, follower } = await runPair(contender, {
    roles: "pub-sub",
    transport,
    work: { size: FANOUT_SIZE, seconds, hwm, sockets: subscribers, "no-drop": noDrop ? 1 : 0 },
    deadlineMs: deadlineOf(seconds),
  })
  const sent = field(follower, "total")
  const delivered = field(leader, "total")
  return {
    sent,
    rate: field(leader, "rate"),
    dropped: 1 - delivered / (sent * subscribers),
    publishNs: (field(follower, "cpu") / delivered) * 1e9,
    receiveNs: (field(leader, "cpu") / delivered) * 1e9,
  }
}

if (import.meta.main) await main("bun bench/fanout.ts", async (options) => ({ fanout: await measureFanout(options) }))
