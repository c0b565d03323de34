// PUSH → proxy → PULL over tcp, three processes. Sender and receiver are libzmq in C whoever the proxy
// is, so that only the proxy differs: zmq_proxy in C, or our Proxy, which runs on a thread of its own.
//   bun bench/proxy.ts --only 100,1024      (all flags: --help)
import { Child, field, PeerError } from "./lib/child.ts"
import { main } from "./lib/main.ts"
import { takingPart, type BenchOptions } from "./lib/options.ts"
import { flagsOf, freshEndpoint, settle } from "./lib/pair.ts"
import { commandOf, CONTENDERS, type Contender } from "./lib/peers.ts"
import { runRounds, type Series } from "./lib/rounds.ts"
import { deadlineOf, messageCount } from "./throughput.ts"

export interface ProxySample {
  rate: number
  /** CPU nanoseconds per message of the proxy's process, user and system, all threads. */
  cpuNs: number
}

export type ProxySeries = Series<{ size: number }, ProxySample>

const SIZES = [100, 1024]
const ENDS = CONTENDERS.find(({ id }) => id === "libzmq")!

export function measureProxy(options: BenchOptions): Promise<ProxySeries[]> {
  return runRounds<{ size: number }, ProxySample>({
    title: "proxy",
    settings: (options.only ?? SIZES).map((size) => ({ size })),
    contenders: takingPart(options, "proxy"),
    rounds: options.rounds,
    describe: ({ size }) => `${size} B`,
    measure: (contender, { size }, before) => measure(contender, size, before, options),
  })
}

async function measure(
  contender: Contender,
  size: number,
  before: readonly ProxySample[],
  { seconds, hwm }: BenchOptions,
): Promise<ProxySample> {
  const count = messageCount(contender, size, seconds, before)
  const children: Child[] = []
  const start = (who: Contender, command: string[], endpoint: string) => {
    const flags = flagsOf({ size, count, hwm }, who)
    const name = `${command.at(-1)} for the proxy of ${contender.id}, ${size} B`
    const child = new Child([...command, "--endpoint", endpoint, ...flags], { name, deadlineMs: deadlineOf(seconds) })
    children.push(child)
    return child
  }
  try {
    const proxy = start(contender, [...commandOf(contender.peer, "proxy"), "pull-push"], freshEndpoint("tcp"))
    const { endpoint, backEnd } = await proxy.record()
    if (endpoint === undefined || backEnd === undefined) throw new PeerError(`${proxy.name} did not print its endpoints`)
    const pull = start(ENDS, [...commandOf("libzmq"), "pull-connect"], backEnd)
    const push = start(ENDS, [...commandOf("libzmq"), "push-connect"], endpoint)
    const { leader } = await settle(pull, push)
    proxy.release()
    const cost = await proxy.record()
    await proxy.finish()
    if (leader.total !== count || leader.bytes !== count * size) {
      throw new PeerError(`${contender.id}, ${size} B: ${leader.total} of ${count} messages arrived`)
    }
    return { rate: field(leader, "rate"), cpuNs: (field(cost, "cpu") / count) * 1e9 }
  } finally {
    await Promise.all(children.map((child) => child.end()))
  }
}

if (import.meta.main) await main("bun bench/proxy.ts", async (options) => ({ proxy: await measureProxy(options) }))
