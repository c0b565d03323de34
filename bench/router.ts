// DEALER ↔ ROUTER echo of 64 B: one process with a ROUTER, one with 100 DEALERs. How many requests a
// client keeps outstanding decides what is measured: with 10 it is the kernel, since each connection
// needs a system call of its own for them, with 100 it is the library.
//   bun bench/router.ts --modes batches --rounds 5      (all flags: --help)
import { field, PeerError } from "./lib/child.ts"
import { main } from "./lib/main.ts"
import { takingPart, type BenchOptions } from "./lib/options.ts"
import { runPair, type Transport } from "./lib/pair.ts"
import type { Contender } from "./lib/peers.ts"
import { runRounds, type Series } from "./lib/rounds.ts"
import { deadlineOf } from "./throughput.ts"

export interface RouterSetting {
  transport: Transport
  clients: number
  /** Requests that each client keeps outstanding. */
  window: number
}

export interface RouterSample {
  /** Round trips per second, of all clients. */
  rate: number
  /** CPU nanoseconds per round trip, user and system, all threads. */
  clientNs: number
  serverNs: number
}

export type RouterSeries = Series<RouterSetting, RouterSample>

export const ROUTER_SIZE = 64
const LOADS = [
  { clients: 1, window: 100 },
  { clients: 100, window: 10 },
  { clients: 100, window: 100 },
]

/** On the first transport only, as in fanout.ts. */
export function measureRouter(options: BenchOptions): Promise<RouterSeries[]> {
  const transport = options.transports[0]!
  return runRounds<RouterSetting, RouterSample>({
    title: "router",
    settings: LOADS.map((load) => ({ transport, ...load })),
    contenders: takingPart(options, "router"),
    rounds: options.rounds,
    describe: ({ clients, window }) => `${clients} clients × ${window}`,
    measure: (contender, setting) => measure(contender, setting, options),
  })
}

async function measure(contender: Contender, setting: RouterSetting, { seconds, hwm }: BenchOptions): Promise<RouterSample> {
  const { transport, clients, window } = setting
  const { leader, follower } = await runPair(contender, {
    roles: "router-dealer",
    transport,
    work: { size: ROUTER_SIZE, seconds, hwm, sockets: clients, window },
    deadlineMs: deadlineOf(seconds),
  })
  const total = field(leader, "total")
  // The first round trip of each client is its warm-up.
  const echoed = field(follower, "total") - clients
  if (echoed !== total) throw new PeerError(`${contender.id}: ${total} replies to ${echoed} requests`)
  return {
    rate: field(leader, "rate"),
    clientNs: (field(leader, "cpu") / total) * 1e9,
    serverNs: (field(follower, "cpu") / total) * 1e9,
  }
}

if (import.meta.main) await main("bun bench/router.ts", async (options) => ({ router: await measureRouter(options) }))
