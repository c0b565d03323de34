// Tables of markdown: a row per contender, ratios to the first of them.
import { BACKENDS, BASELINE, CONTENDERS, on } from "./peers.ts"
import type { Series } from "./rounds.ts"
import { medianRatio } from "./stats.ts"

/** One row per contender that took part, in the order of the catalogue. */
export function rowsOf<S, T>(series: readonly Series<S, T>[], cells: (contender: string) => string[]): string[][] {
  const all = CONTENDERS.flatMap((contender) => [contender, ...BACKENDS.map((backend) => on(backend, contender))])
  const present = all.filter(({ id }) => series.some(({ contender }) => contender === id))
  return present.map(({ id, label }) => [label, ...cells(id)])
}

export function cellOf<S, T, One extends Series<S, T>>(
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

export function times(values: readonly number[], baseline: readonly number[] | undefined): string {
  if (baseline === undefined || baseline.length === 0) return ""
  const ratio = medianRatio(values, baseline)
  return `${ratio.toFixed(ratio < 9.95 ? 2 : 1)}×`
}

export function join(ratio: string, absolute: string): string {
  return ratio === "" ? absolute : `**${ratio}** ${absolute}`
}

export function table(title: string, header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`
  const rule = header.map((_, column) => (column === 0 ? "---" : "---:"))
  return [`### ${title}`, "", line(header), line(rule), ...rows.map(line), ""].join("\n")
}

export function sizeName(bytes: number): string {
  return bytes >= 1024 && bytes % 1024 === 0 ? `${bytes / 1024} KiB` : `${bytes} B`
}

/** 20,412,345 → 20.4 M; 9,999 → 10.0 k. */
export function count(value: number): string {
  if (value >= 1e6) return `${significant(value / 1e6)} M`
  if (value >= 1e3) return `${significant(value / 1e3)} k`
  return significant(value)
}

/** Three digits, never an exponent. */
export function significant(value: number): string {
  if (value >= 100) return Math.round(value).toString()
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}
