export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/**
 * Median of the ratios round by round: what happened to the machine in one round happened to both.
 * It may differ a little from the ratio of the two medians.
 */
export function medianRatio(values: readonly number[], baseline: readonly number[]): number {
  const rounds = Math.min(values.length, baseline.length)
  return median(values.slice(0, rounds).map((value, round) => value / baseline[round]!))
}
