// The flags, the same for every benchmark program.
import { parseArgs } from "node:util"
import { BACKENDS, CONTENDERS, on, useBinaries, type Contender, type Measurement } from "./peers.ts"
import type { Transport } from "./pair.ts"

export const SIZES = [64, 256, 1024, 4096, 16384, 65536] as const

export interface BenchOptions {
  quick: boolean
  sizes: readonly number[]
  /** Sizes that were asked for by name, for the programs that have others by default. */
  only: readonly number[] | undefined
  transports: readonly Transport[]
  contenders: readonly Contender[]
  rounds: number
  /** What one throughput measurement should last. */
  seconds: number
  hwm: number
  /** CPUs for the round trips: server, client. */
  cores: readonly [number, number]
  json: boolean
  /** How the program was called, for the reader of the table. */
  command: string
}

export const HELP = `Flags
  --quick             fewer sizes, tcp only, shorter measurements: about 6 minutes in all
  --only 64,1024      message sizes in bytes             (default ${SIZES.join(",")})
  --transports tcp    tcp, ipc                           (default both)
  --peers libzmq,raw  ${[...new Set(CONTENDERS.map((c) => c.peer))].join(", ")}
  --modes plain       modes of monocoque: plain, batches, borrowed, sync, plain-spin, sync-spin, proxy
  --backends epoll    io_uring, epoll: each mode of monocoque on each of them (default what there is)
  --rounds 7          interleaved rounds, medians of them (default 5)
  --seconds 0.5       length of one throughput measurement
  --hwm 1000          both high-water marks, of every peer
  --cores 0,1         CPUs of server and client for the pinned round trips
  --bin DIR           the compiled C peers               (default zig-out/bin)
  --json              every sample as JSON instead of the tables
`

export function parseOptions(program: string, argv = process.argv.slice(2)): BenchOptions {
  const { values } = parseArgs({
    args: argv,
    options: {
      quick: { type: "boolean", default: false },
      only: { type: "string" },
      transports: { type: "string" },
      peers: { type: "string" },
      modes: { type: "string" },
      backends: { type: "string" },
      rounds: { type: "string", default: "5" },
      seconds: { type: "string" },
      hwm: { type: "string", default: "1000" },
      cores: { type: "string", default: "0,1" },
      bin: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  })
  if (values.help) {
    console.log(HELP)
    process.exit(0)
  }
  const { quick, json } = values
  if (values.bin !== undefined) useBinaries(values.bin)
  const only = values.only === undefined ? undefined : numbers("only", values.only, 1)
  const cores = numbers("cores", values.cores, 0)
  if (cores.length !== 2) throw new Error("--cores wants two CPU numbers, such as 0,1")
  return {
    quick,
    json,
    sizes: only ?? (quick ? [64, 1024, 65536] : SIZES),
    only,
    transports: transports(values.transports ?? (quick ? "tcp" : "tcp,ipc")),
    contenders: onBackends(values.backends, contenders(values.peers, values.modes)),
    rounds: numbers("rounds", values.rounds, 1)[0]!,
    seconds: positive("seconds", values.seconds ?? (quick ? "0.3" : "0.6")),
    hwm: numbers("hwm", values.hwm, 0)[0]!,
    cores: [cores[0]!, cores[1]!],
    command: [program, ...argv].join(" "),
  }
}

export function takingPart(options: BenchOptions, measurement: Measurement): Contender[] {
  return options.contenders.filter((contender) => contender.in.includes(measurement))
}

function contenders(peers: string | undefined, modes: string | undefined): Contender[] {
  const wantedPeers = names("peers", peers, CONTENDERS.map((contender) => contender.peer))
  const ours = CONTENDERS.filter((contender) => contender.peer === "monocoque")
  const wantedModes = names("modes", modes, ours.map((contender) => contender.mode))
  return CONTENDERS.filter(({ peer, mode }) => wantedPeers.has(peer) && (peer !== "monocoque" || wantedModes.has(mode)))
}

function onBackends(list: string | undefined, all: Contender[]): Contender[] {
  if (list === undefined) return all
  const wanted = names("backends", list, BACKENDS)
  const chosen = BACKENDS.filter((backend) => wanted.has(backend))
  return all.flatMap((contender) =>
    contender.peer === "monocoque" ? chosen.map((backend) => on(backend, contender)) : contender,
  )
}

/** The names in a list, each of which must be known; all of them without a list. */
function names(flag: string, list: string | undefined, known: readonly string[]): Set<string> {
  const wanted = new Set(list === undefined ? known : list.split(","))
  for (const name of wanted) {
    if (!known.includes(name)) throw new Error(`--${flag}: ${name} is not one of ${[...new Set(known)].join(", ")}`)
  }
  return wanted
}

function transports(list: string): Transport[] {
  return [...names("transports", list, ["tcp", "ipc"])] as Transport[]
}

function numbers(flag: string, list: string, least: number): number[] {
  return list.split(",").map((text) => {
    const value = Number(text)
    if (text === "" || !Number.isSafeInteger(value) || value < least) throw new Error(`--${flag}: "${text}" is not a number >= ${least}`)
    return value
  })
}

function positive(flag: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${flag}: "${text}" is not a number above 0`)
  return value
}
