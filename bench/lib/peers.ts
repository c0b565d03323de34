// The contenders: who takes part in which measurement, and how each is started.
import { existsSync } from "node:fs"
import { join, resolve } from "node:path"

export const ROOT = resolve(import.meta.dir, "../..")
const PEERS = join(ROOT, "bench/peers")

export type Measurement =
  | "throughput"
  | "latency"
  | "burst"
  | "fanout"
  | "router"
  | "inproc"
  | "inproc latency"
  | "proxy"
  | "curve"
  | "handshakes"
export type PeerName = "libzmq" | "raw" | "raw-bun" | "zeromq.js" | "monocoque"

export interface Contender {
  /** The key in JSON, such as "monocoque/plain". */
  id: string
  /** What the table calls it. */
  label: string
  peer: PeerName
  mode: string
  in: readonly Measurement[]
  environment?: Record<string, string>
  /** A guess of its cost, for the message count of the first round; later rounds use the rate they saw. */
  messageNs: number
  byteNs: number
}

const PAIRS = ["throughput", "latency", "burst"] as const
const MANY = ["fanout", "router", "inproc"] as const
/** What the peers do that are not the program of two sockets: one socket and many, two threads, a proxy. */
export type Program = "many" | "inproc" | "proxy"

/** The first one is what every ratio refers to. */
export const CONTENDERS: readonly Contender[] = [
  {
    id: "libzmq",
    label: "libzmq, C",
    peer: "libzmq",
    mode: "plain",
    in: [...PAIRS, ...MANY, "inproc latency", "proxy", "curve", "handshakes"],
    messageNs: 250,
    byteNs: 0.8,
  },
  {
    id: "raw",
    label: "raw loop, C (limit)",
    peer: "raw",
    mode: "plain",
    in: ["throughput", "latency"],
    messageNs: 2,
    byteNs: 0.3,
  },
  {
    id: "raw-bun",
    label: "raw Bun sockets (limit)",
    peer: "raw-bun",
    mode: "plain",
    in: ["latency"],
    messageNs: 0,
    byteNs: 0,
  },
  {
    id: "zeromq.js",
    label: "zeromq.js, Node",
    peer: "zeromq.js",
    mode: "plain",
    in: PAIRS,
    messageNs: 4000,
    byteNs: 0.8,
  },
  {
    id: "monocoque/plain",
    label: "monocoque, plain",
    peer: "monocoque",
    mode: "plain",
    in: [...PAIRS, ...MANY, "inproc latency", "curve", "handshakes"],
    messageNs: 150,
    byteNs: 0.5,
  },
  {
    id: "monocoque/batches",
    label: "monocoque, batches",
    peer: "monocoque",
    mode: "batches",
    in: ["throughput", "burst", ...MANY, "curve"],
    messageNs: 60,
    byteNs: 0.5,
  },
  {
    id: "monocoque/borrowed",
    label: "monocoque, borrowed batches",
    peer: "monocoque",
    mode: "borrowed",
    in: ["throughput", ...MANY, "curve"],
    messageNs: 50,
    byteNs: 0.4,
  },
  {
    id: "monocoque/sync",
    label: "monocoque, synchronous",
    peer: "monocoque",
    mode: "sync",
    in: [...PAIRS, "inproc", "inproc latency", "curve"],
    messageNs: 70,
    byteNs: 0.4,
  },
  {
    id: "monocoque/plain-spin",
    label: "monocoque, plain, spinning",
    peer: "monocoque",
    mode: "plain-spin",
    in: ["latency"],
    messageNs: 150,
    byteNs: 0.5,
  },
  {
    id: "monocoque/sync-spin",
    label: "monocoque, synchronous, spinning",
    peer: "monocoque",
    mode: "sync-spin",
    in: ["latency"],
    messageNs: 70,
    byteNs: 0.4,
  },
  {
    id: "monocoque/proxy",
    label: "monocoque, Proxy",
    peer: "monocoque",
    mode: "proxy",
    in: ["proxy"],
    messageNs: 250,
    byteNs: 0.8,
  },
]

export const BACKENDS = ["io_uring", "epoll"] as const

/** The same contender on one back end, beside itself on the other. */
export function on(backend: (typeof BACKENDS)[number], contender: Contender): Contender {
  return {
    ...contender,
    id: `${contender.id}, ${backend}`,
    label: `${contender.label}, ${backend}`,
    environment: { MONOCOQUE_BACKEND: backend },
  }
}

export const BASELINE = CONTENDERS[0]!.id

/** Where `zig build peers` puts the C programs. */
let binaries = join(ROOT, "zig-out/bin")
export function useBinaries(directory: string): void {
  binaries = resolve(directory)
}

export function commandOf(peer: PeerName, program?: Program): string[] {
  const name = program === undefined ? peer : `${peer}_${program}`
  switch (peer) {
    case "libzmq":
    case "raw":
      return [join(binaries, name)]
    case "raw-bun":
      return [process.execPath, join(PEERS, "raw_bun.ts")]
    case "zeromq.js":
      return [Bun.which("node") ?? "node", join(PEERS, "zeromq_js.mjs")]
    case "monocoque":
      return [process.execPath, join(PEERS, `${name}.ts`)]
  }
}

/** A peer that cannot start is a failure, never a row left out: say what to do before measuring anything. */
export function checkPeers(contenders: readonly Contender[]): void {
  const peers = new Set(contenders.map((contender) => contender.peer))
  if (peers.has("raw")) checkBinary(commandOf("raw"))
  if (peers.has("libzmq")) {
    for (const program of [undefined, "many", "inproc", "proxy"] as const) checkBinary(commandOf("libzmq", program))
  }
  if (peers.has("zeromq.js")) checkNode()
  if (Bun.which("taskset") === null) throw new Error("taskset is missing: apt-get install util-linux")
}

function checkBinary([binary]: readonly string[]): void {
  if (!existsSync(binary!)) throw new Error(`${binary} is missing: run \`npx zig build peers\``)
}

function checkNode(): void {
  const node = Bun.which("node")
  if (node === null) throw new Error("node is missing; zeromq.js runs on it (or leave it out: --peers libzmq,raw,…)")
  // `bun --bun run` puts itself into PATH under the name of node.
  const version = outputOf([node, "-p", "process.versions.bun ?? ''"])
  if (version !== "") throw new Error(`${node} is Bun ${version} under another name; start the benchmark without --bun`)
  if (!existsSync(join(ROOT, "node_modules/zeromq"))) throw new Error("node_modules/zeromq is missing: npm ci")
}

/** Standard output of a short command, or "" if it failed. */
export function outputOf(command: readonly string[]): string {
  const { exitCode, stdout } = Bun.spawnSync([...command], { cwd: ROOT, stderr: "ignore", timeout: 5_000 })
  return exitCode === 0 ? stdout.toString().trim() : ""
}
