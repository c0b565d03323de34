// Turns samples into the markdown of docs/performance.md: ratios to libzmq first, absolute medians beside them.
import { BURST_MESSAGES, type BurstSeries } from "./cold_burst.ts"
import type { VisitSeries } from "./curve.ts"
import { FANOUT_SIZE, type FanoutSeries } from "./fanout.ts"
import type { InprocLatencySeries, InprocSeries } from "./inproc.ts"
import type { CoreLayout, LatencySeries } from "./latency.ts"
import type { BenchOptions } from "./lib/options.ts"
import type { Transport } from "./lib/pair.ts"
import { median } from "./lib/stats.ts"
import { cellOf, count, join, rowsOf, significant, sizeName, table, times } from "./lib/table.ts"
import type { NativeResult } from "./native.ts"
import type { ProxySeries } from "./proxy.ts"
import { ROUTER_SIZE, type RouterSeries } from "./router.ts"
import type { ThroughputSeries } from "./throughput.ts"

export interface Results {
  throughput?: ThroughputSeries[]
  latency?: LatencySeries[]
  burst?: BurstSeries[]
  fanout?: FanoutSeries[]
  router?: RouterSeries[]
  inproc?: InprocSeries[]
  inprocLatency?: InprocLatencySeries[]
  proxy?: ProxySeries[]
  curve?: ThroughputSeries[]
  visits?: VisitSeries[]
  native?: NativeResult
}

export function report(results: Results, options: BenchOptions, machine: string): string {
  const { throughput, latency, burst, fanout, router, inproc, inprocLatency, proxy, curve, visits, native } = results
  const parts: string[] = []
  if (throughput !== undefined) parts.push(...options.transports.flatMap((t) => throughputTables(throughput, t)))
  if (latency !== undefined) parts.push(...options.transports.map((t) => latencyTable(latency, t)))
  if (burst !== undefined) parts.push(burstTable(burst, options.transports))
  if (fanout !== undefined) parts.push(...fanoutTables(fanout))
  if (router !== undefined) parts.push(routerTable(router))
  if (inproc !== undefined) parts.push(inprocTable(inproc))
  if (inprocLatency !== undefined) parts.push(inprocLatencyTable(inprocLatency))
  if (proxy !== undefined) parts.push(proxyTable(proxy))
  if (curve !== undefined) parts.push(...options.transports.flatMap((t) => throughputTables(curve, t, "CURVE, ")))
  if (visits !== undefined) parts.push(visitTable(visits))
  if (native !== undefined) parts.push(`### Memory and subscriptions, native code alone\n\n\`\`\`\n${native.text}\n\`\`\`\n`)
  const date = new Date().toISOString().slice(0, 10)
  const how =
    `Printed on ${date} by \`${options.command}\`. Two processes per measurement unless a title says otherwise, interleaved rounds ` +
    `(${options.rounds}), medians; high-water marks ${options.hwm}. "×" is the median over the rounds of the ratio ` +
    `to libzmq in the same round; absolute figures move with the machine and the day, ratios hold.`
  return [machine, "", how, "", ...parts].join("\n")
}

function throughputTables(all: ThroughputSeries[], transport: Transport, what = ""): string[] {
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
    table(`${what}PUSH → PULL over ${transport}, messages per second`, ["", ...columns], rate),
    table(`${what}CPU over ${transport}, ns per message, sender + receiver`, ["", ...columns], cpu),
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

function fanoutTables(series: FanoutSeries[]): string[] {
  const columns = distinct(series, ({ subscribers, noDrop }) => `${subscribers}${noDrop ? ", noDrop" : ""}`)
  const transport = series[0]?.setting.transport
  const rate = rowsOf(series, (contender) =>
    columns.map(({ of }) =>
      cellOf(of, contender, (own, baseline) => {
        const dropped = median(own.samples.map((sample) => sample.dropped)) * 100
        const lost = own.setting.noDrop ? "" : ` (${dropped.toFixed(0)} %)`
        return `${ratesOf(own, baseline)}${lost}`
      }),
    ),
  )
  const cpu = rowsOf(series, (contender) =>
    columns.map(({ of }) =>
      cellOf(of, contender, (own) => {
        const publish = median(own.samples.map((sample) => sample.publishNs))
        return `${significant(publish)} + ${significant(median(own.samples.map((sample) => sample.receiveNs)))}`
      }),
    ),
  )
  const header = ["subscribers", ...columns.map(({ title }) => title)]
  const what = `PUB → SUB over ${transport}, ${FANOUT_SIZE} B`
  return [
    table(`${what}: messages per second at all subscribers together (dropped)`, header, rate),
    table(`${what}: CPU, ns per delivered message, publisher + subscribers`, header, cpu),
  ]
}

function routerTable(series: RouterSeries[]): string {
  const columns = distinct(series, ({ clients, window }) => `${clients} × ${window}`)
  const rows = rowsOf(series, (contender) =>
    columns.flatMap(({ of }) => [
      cellOf(of, contender, ratesOf),
      cellOf(of, contender, (own) => {
        const client = median(own.samples.map((sample) => sample.clientNs))
        return `${significant(client)} + ${significant(median(own.samples.map((sample) => sample.serverNs)))}`
      }),
    ]),
  )
  const transport = series[0]?.setting.transport
  const what = `${ROUTER_SIZE} B: round trips per second (CPU: ns, clients + server)`
  return table(`DEALER ↔ ROUTER over ${transport}, ${what}`, ["clients × outstanding", ...columns.flatMap(({ title: clients }) => [clients, "CPU"])], rows)
}

function inprocTable(series: InprocSeries[]): string {
  const title = "PUSH → PULL over inproc between two threads, messages per second (CPU: ns per message, both)"
  return rateTable(title, series)
}

function proxyTable(series: ProxySeries[]): string {
  const title = "PUSH → proxy → PULL over tcp, both ends libzmq in C: messages per second (CPU: ns per message, the proxy)"
  return rateTable(title, series)
}

function visitTable(series: VisitSeries[]): string {
  const columns = distinct(series, ({ visitors, curve }) => `${curve ? "CURVE" : "NULL"}, ${visitors}`)
  const rows = rowsOf(series, (contender) =>
    columns.flatMap(({ of }) => [
      cellOf(of, contender, ratesOf),
      cellOf(of, contender, (own) => {
        const client = median(own.samples.map((sample) => sample.clientUs))
        return `${significant(client)} + ${significant(median(own.samples.map((sample) => sample.serverUs)))}`
      }),
    ]),
  )
  const transport = series[0]?.setting.transport
  const title = `DEALER ↔ ROUTER over ${transport}: clients per second that connect, ask once and close (CPU: µs, client + server)`
  return table(title, ["mechanism, clients at a time", ...columns.flatMap(({ title: name }) => [name, "CPU"])], rows)
}

function rateTable(title: string, series: readonly (InprocSeries | ProxySeries)[]): string {
  const columns = distinct(series, ({ size }) => sizeName(size))
  const rows = rowsOf(series, (contender) =>
    columns.flatMap(({ of }) => [
      cellOf(of, contender, ratesOf),
      cellOf(of, contender, (own) => significant(median(own.samples.map((sample) => sample.cpuNs)))),
    ]),
  )
  return table(title, ["", ...columns.flatMap(({ title: size }) => [size, "CPU"])], rows)
}

function inprocLatencyTable(series: InprocLatencySeries[]): string {
  const columns = distinct(series, ({ layout }) => layout)
  const rows = rowsOf(series, (contender) =>
    columns.flatMap(({ of }) => [
      cellOf(of, contender, (own, baseline) => {
        const p50s = own.samples.map((sample) => sample.p50)
        return join(times(p50s, baseline?.samples.map((sample) => sample.p50)), significant(median(p50s)))
      }),
      cellOf(of, contender, (own) => significant(median(own.samples.map((sample) => sample.p99)))),
      cellOf(of, contender, (own) => significant(median(own.samples.map((sample) => sample.cpuUs)))),
    ]),
  )
  const title = 'REQ ↔ REP over inproc between two threads, 64 B, µs per round trip, "×" below 1 is faster (CPU: both)'
  return table(title, ["", ...columns.flatMap(({ title: layout }) => [`${layout}: p50`, "p99", "CPU"])], rows)
}

/** The settings of some series in their order, each with its series. */
function distinct<One extends { setting: unknown }>(series: readonly One[], name: (setting: One["setting"]) => string) {
  const titles = [...new Set(series.map(({ setting }) => name(setting)))]
  return titles.map((title) => ({ title, of: series.filter(({ setting }) => name(setting) === title) }))
}

function ratesOf(own: WithRates, baseline: WithRates | undefined): string {
  const rates = own.samples.map((sample) => sample.rate)
  return join(times(rates, baseline?.samples.map((sample) => sample.rate)), `${count(median(rates))}/s`)
}

interface WithRates {
  samples: { rate: number }[]
}
