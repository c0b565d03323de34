// Turns samples into the markdown of docs/performance.md: ratios to libzmq first, absolute medians beside them.
import { BURST_MESSAGES, type BurstSeries } from "./cold_burst.ts"
import type { CoreLayout, LatencySeries } from "./latency.ts"
import type { BenchOptions } from "./lib/options.ts"
import type { Transport } from "./lib/pair.ts"
import { BASELINE, CONTENDERS } from "./lib/peers.ts"
import type { Series } from "./lib/rounds.ts"
import { median, medianRatio } from "./lib/stats.ts"
import type { ThroughputSeries } from "./throughput.ts"

export interface Results {
  throughput?: ThroughputSeries[]
  latency?: LatencySeries[]
  burst?: BurstSeries[]
}

export function report({ throughput, latency, burst }: Results, options: BenchOptions, machine: string): string {
  const parts: string[] = []
  if (throughput !== undefined) parts.push(...options.transports.flatMap((t) => throughputTables(throughput, t)))
  if (latency !== undefined) parts.push(...options.transports.map((t) => latencyTable(latency, t)))
  if (burst !== undefined) parts.push(burstTable(burst, options.transports))
  const date = new Date().toISOString().slice(0, 10)
  const how =
    `Printed on ${date} by \`${options.command}\`. Two processes per measurement, interleaved rounds ` +
    `(${options.rounds}), medians; high-water marks ${options.hwm}. "×" is the median over the rounds of the ratio ` +
    `to libzmq in the same round; absolute figures move with the machine and the day, ratios hold.`
  return [machine, "", how, "", ...parts].join("\n")
}

function throughputTables(all: ThroughputSeries[], transport: Transport): string[] {
  const series = all.filter(({ setting }) => setting.transport === transport)
  const sizes = [...new Set(series.map(({ setting }) => setting.size))]
  const columns = sizes.map(sizeName)
  const rows = (cell: (own: ThroughputSeries, baseline: ThroughputSeries | undefined) => string) =>
    rowsOf(series, (contender) =>
      sizes.map((size) => {
        const ofSize = series.filter(({ setting }) => setting.size === size)
        return cellOf(ofSize, contender, cell)
      }),
    )
  const rate = rows((own, baseline) => {
    const rates = own.samples.map((sample) => sample.rate)
    return join(times(rates, baseline?.samples.map((sample) => sample.rate)), `${count(median(rates))}/s`)
  })
  const cpu = rows((own) => {
    const send = median(own.samples.map((sample) => sample.sendNs))
    const receive = median(own.samples.map((sample) => sample.receiveNs))
    return `${significant(send)} + ${significant(receive)}`
  })
  return [
    table(`PUSH → PULL over ${transport}, messages per second`, ["", ...columns], rate),
    table(`CPU over ${transport}, ns per message, sender + receiver`, ["", ...columns], cpu),
  ]
}

function latencyTable(all: LatencySeries[], transport: Transport): string {
  const series = all.filter(({ setting }) => setting.transport === transport)
  const layouts = [...new Set(series.map(({ setting }) => setting.layout))]
  const columns = layouts.flatMap((layout) => [`${layout}: p50`, "× raw Bun", "p99", "CPU"])
  const rows = rowsOf(series, (contender) => layouts.flatMap((layout) => latencyCells(series, contender, layout)))
  return table(`REQ ↔ REP over ${transport}, 64 B, µs per round trip, "×" below 1 is faster (CPU: client + server)`, ["", ...columns], rows)
}

function latencyCells(series: LatencySeries[], contender: string, layout: CoreLayout): string[] {
  const ofLayout = series.filter(({ setting }) => setting.layout === layout)
  const p50s = (of: LatencySeries | undefined) => of?.samples.map((sample) => sample.p50)
  const bun = p50s(ofLayout.find((candidate) => candidate.contender === "raw-bun"))
  const cell = (print: (own: LatencySeries, baseline: LatencySeries | undefined) => string) =>
    cellOf(ofLayout, contender, print)
  return [
    cell((own, baseline) => join(times(p50s(own)!, p50s(baseline)), significant(median(p50s(own)!)))),
    cell((own) => times(p50s(own)!, bun)),
    cell((own) => significant(median(own.samples.map((sample) => sample.p99)))),
    cell((own) => {
      const client = median(own.samples.map((sample) => sample.clientUs))
      return `${significant(client)} + ${significant(median(own.samples.map((sample) => sample.serverUs)))}`
    }),
  ]
}

function burstTable(series: BurstSeries[], transports: readonly Transport[]): string {
  const milliseconds = (of: BurstSeries | undefined) => of?.samples.map((sample) => sample.milliseconds)
  const rows = rowsOf(series, (contender) =>
    transports.map((transport) => {
      const ofTransport = series.filter(({ setting }) => setting.transport === transport)
      return cellOf(ofTransport, contender, (own, baseline) => {
        const times_ = milliseconds(own)!
        // As a rate, so that above 1 is faster here too.
        const ratio = times(times_.map((ms) => 1 / ms), milliseconds(baseline)?.map((ms) => 1 / ms))
        return join(ratio, `${median(times_).toFixed(1)} ms`)
      })
    }),
  )
  const title = `Cold burst: ${BURST_MESSAGES.toLocaleString("en")} messages of 64 B, from connect to the last receipt`
  return table(title, ["", ...transports], rows)
}

/** One row per contender that took part, in the order of the catalogue. */
function rowsOf<S, T>(series: readonly Series<S, T>[], cells: (contender: string) => string[]): string[][] {
  const present = CONTENDERS.filter(({ id }) => series.some(({ contender }) => contender === id))
  return present.map(({ id, label }) => [label, ...cells(id)])
}

function cellOf<S, T, One extends Series<S, T>>(
  series: readonly One[],
  contender: string,
  print: (own: One, baseline: One | undefined) => string,
): string {
  const own = series.find((candidate) => candidate.contender === contender)
  if (own === undefined) return "–"
  if (own.failure !== undefined) return "broken"
  const baseline = series.find((candidate) => candidate.contender === BASELINE && candidate.failure === undefined)
  return print(own, baseline)
}

function times(values: readonly number[], baseline: readonly number[] | undefined): string {
  if (baseline === undefined || baseline.length === 0) return ""
  const ratio = medianRatio(values, baseline)
  return `${ratio.toFixed(ratio < 9.95 ? 2 : 1)}×`
}

function join(ratio: string, absolute: string): string {
  return ratio === "" ? absolute : `**${ratio}** ${absolute}`
}

function table(title: string, header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`
  const rule = header.map((_, column) => (column === 0 ? "---" : "---:"))
  return [`### ${title}`, "", line(header), line(rule), ...rows.map(line), ""].join("\n")
}

function sizeName(bytes: number): string {
  return bytes >= 1024 && bytes % 1024 === 0 ? `${bytes / 1024} KiB` : `${bytes} B`
}

/** 20,412,345 → 20.4 M; 9,999 → 10.0 k. */
function count(value: number): string {
  if (value >= 1e6) return `${significant(value / 1e6)} M`
  if (value >= 1e3) return `${significant(value / 1e3)} k`
  return significant(value)
}

/** Three digits, never an exponent. */
function significant(value: number): string {
  if (value >= 100) return Math.round(value).toString()
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}
