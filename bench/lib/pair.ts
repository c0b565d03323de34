// One measurement: a binder and a connector in two processes, one message size, one count.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Child, PeerError, type PeerRecord } from "./child.ts"
import { commandOf, type Contender } from "./peers.ts"

export type Transport = "tcp" | "ipc"

export interface PairOptions {
  roles: "push-pull" | "req-rep"
  transport: Transport
  size: number
  count: number
  warmup?: number
  hwm: number
  /** CPUs of the binder (server) and the connector (client); unpinned without. */
  cores?: readonly [number, number] | undefined
  deadlineMs: number
}

export interface PairResult {
  /** From pull or req, the side that knows when all is done. */
  leader: PeerRecord
  /** From push or rep. */
  follower: PeerRecord
}

let socketDirectory: string | undefined
let socketCount = 0

/** A wildcard port is read back from the binder; ipc paths are counted up in a directory of our own. */
function freshEndpoint(transport: Transport): string {
  if (transport === "tcp") return "tcp://127.0.0.1:*"
  if (socketDirectory === undefined) {
    const directory = mkdtempSync(join(tmpdir(), "monocoque-bench-"))
    process.on("exit", () => rmSync(directory, { recursive: true, force: true }))
    socketDirectory = directory
  }
  socketCount += 1
  return `ipc://${socketDirectory}/${socketCount}`
}

export async function runPair(contender: Contender, options: PairOptions): Promise<PairResult> {
  const { roles, transport, size, count, warmup = 0, hwm, cores, deadlineMs } = options
  const shared = ["--size", size, "--count", count, "--warmup", warmup, "--hwm", hwm, "--mode", contender.mode].map(String)
  const children: Child[] = []
  const start = (task: string, endpoint: string, core: number | undefined) => {
    const name = `${contender.id} ${task} (${transport}, ${size} B × ${count})`
    const child = new Child([...commandOf(contender.peer), task, "--endpoint", endpoint, ...shared], { name, core, deadlineMs })
    children.push(child)
    return child
  }
  try {
    const binder = start(roles === "push-pull" ? "pull-bind" : "rep-bind", freshEndpoint(transport), cores?.[0])
    const { endpoint } = await binder.record()
    if (typeof endpoint !== "string") throw new PeerError(`${binder.name} did not print its endpoint first`)
    const connector = start(roles === "push-pull" ? "push-connect" : "req-connect", endpoint, cores?.[1])
    const result = roles === "push-pull" ? await settle(binder, connector) : await settle(connector, binder)
    checkResult(result, options, contender)
    return result
  } finally {
    await Promise.all(children.map((child) => child.end()))
  }
}

async function settle(leader: Child, follower: Child): Promise<PairResult> {
  const followed = follower.record()
  const led = leader.record()
  // When one fails the other soon does too; the first reason is the one to report.
  for (const record of [led, followed]) record.catch(() => undefined)
  // A follower prints only once released: if it settles before the leader, it is because it broke.
  await Promise.race([led, followed])
  const result = await led
  follower.release()
  const pair = { leader: result, follower: await followed }
  await Promise.all([leader.finish(), follower.finish()])
  return pair
}

function checkResult({ leader }: PairResult, { roles, size, count }: PairOptions, contender: Contender): void {
  const complain = (what: string) => {
    throw new PeerError(`${contender.id}, ${size} B: ${what}`)
  }
  if (leader.total !== count) complain(`${leader.total} of ${count} messages arrived`)
  if (roles === "push-pull" && leader.bytes !== size * count) complain(`${leader.bytes} bytes, not ${size * count}`)
}
