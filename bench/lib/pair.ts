// One measurement: a binder and a connector in two processes, or one process that does both.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Child, PeerError, type PeerRecord } from "./child.ts"
import { commandOf, type Contender, type Program } from "./peers.ts"

export type Transport = "tcp" | "ipc"

interface Roles {
  program?: Program
  binder: string
  connector: string
  /** The side that knows when all is done. */
  leader: "binder" | "connector"
  /** The connector says when everything has arrived that the binder has to wait for. */
  ready?: true
}

const ROLES = {
  "push-pull": { binder: "pull-bind", connector: "push-connect", leader: "binder" },
  "req-rep": { binder: "rep-bind", connector: "req-connect", leader: "connector" },
  "pub-sub": { program: "many", binder: "pub-bind", connector: "sub-connect", leader: "connector", ready: true },
  "router-dealer": { program: "many", binder: "router-bind", connector: "dealer-connect", leader: "connector" },
  "router-visitor": { program: "many", binder: "router-bind", connector: "visitor-connect", leader: "connector" },
} as const satisfies Record<string, Roles>

/** What the peers are told by flags of the same names. */
export interface Work {
  size: number
  count?: number
  warmup?: number
  hwm: number
  seconds?: number
  sockets?: number
  window?: number
  "no-drop"?: 0 | 1
  curve?: 0 | 1
}

export interface PairOptions {
  roles: keyof typeof ROLES
  transport: Transport
  work: Work
  /** CPUs of the binder (server) and the connector (client); unpinned without. */
  cores?: readonly [number, number] | undefined
  deadlineMs: number
}

export interface PairResult {
  /** From pull, req, sub or dealer, the side that knows when all is done. */
  leader: PeerRecord
  /** From push, rep, pub or router. */
  follower: PeerRecord
}

let socketDirectory: string | undefined
let socketCount = 0

/** A wildcard port is read back from the binder; ipc paths are counted up in a directory of our own. */
export function freshEndpoint(transport: Transport): string {
  if (transport === "tcp") return "tcp://127.0.0.1:*"
  if (socketDirectory === undefined) {
    const directory = mkdtempSync(join(tmpdir(), "monocoque-bench-"))
    process.on("exit", () => rmSync(directory, { recursive: true, force: true }))
    socketDirectory = directory
  }
  socketCount += 1
  return `ipc://${socketDirectory}/${socketCount}`
}

export function flagsOf(work: Work, contender: Contender): string[] {
  const flags = Object.entries(work).flatMap(([name, value]) => [`--${name}`, String(value)])
  return [...flags, "--mode", contender.mode]
}

export async function runPair(contender: Contender, options: PairOptions): Promise<PairResult> {
  const { transport, work, cores, deadlineMs } = options
  const roles: Roles = ROLES[options.roles]
  const children: Child[] = []
  const start = (task: string, endpoint: string, core: number | undefined) => {
    const name = `${contender.id} ${task} (${transport}, ${work.size} B)`
    const command = [...commandOf(contender.peer, roles.program), task, "--endpoint", endpoint, ...flagsOf(work, contender)]
    const { environment } = contender
    const child = new Child(command, { name, cores: core === undefined ? undefined : [core], environment, deadlineMs })
    children.push(child)
    return child
  }
  try {
    const binder = start(roles.binder, freshEndpoint(transport), cores?.[0])
    const { endpoint } = await binder.record()
    if (typeof endpoint !== "string") throw new PeerError(`${binder.name} did not print its endpoint first`)
    const connector = start(roles.connector, endpoint, cores?.[1])
    if (roles.ready) {
      const { ready } = await connector.record()
      if (ready !== true) throw new PeerError(`${connector.name} did not say that it is ready`)
      binder.tell()
    }
    const result = roles.leader === "binder" ? await settle(binder, connector) : await settle(connector, binder)
    checkResult(result, options, contender)
    return result
  } finally {
    await Promise.all(children.map((child) => child.end()))
  }
}

/** One process with both sides: what it prints. */
export async function runAlone(
  contender: Contender,
  program: Program,
  task: string,
  { work, cores, deadlineMs }: { work: Work; cores?: readonly number[] | undefined; deadlineMs: number },
): Promise<PeerRecord> {
  const name = `${contender.id} ${task} (${program}, ${work.size} B)`
  const command = [...commandOf(contender.peer, program), task, "--endpoint", `inproc://${program}`, ...flagsOf(work, contender)]
  const child = new Child(command, { name, cores, environment: contender.environment, deadlineMs })
  try {
    const result = await child.record()
    await child.finish()
    return result
  } finally {
    await child.end()
  }
}

export async function settle(leader: Child, follower: Child): Promise<PairResult> {
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

function checkResult({ leader, follower }: PairResult, { roles, work }: PairOptions, contender: Contender): void {
  const { size, count, sockets = 1 } = work
  const complain = (what: string) => {
    throw new PeerError(`${contender.id}, ${size} B: ${what}`)
  }
  if (count !== undefined && leader.total !== count) complain(`${leader.total} of ${count} messages arrived`)
  if (roles === "push-pull" && leader.bytes !== size * count!) complain(`${leader.bytes} bytes, not ${size * count!}`)
  if (work["no-drop"] === 1 && leader.total !== follower.total! * sockets) {
    complain(`${leader.total} messages arrived, not ${follower.total} at each of ${sockets} subscribers`)
  }
}
