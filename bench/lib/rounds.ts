// Interleaved rounds: A B C, B C A, C A B … so that a machine that slows down slows everybody down,
// and nobody always runs after the same neighbour.
import { PeerError } from "./child.ts"
import type { Contender } from "./peers.ts"

/** All samples of one contender in one setting, one per round. */
export interface Series<Setting, Sample> {
  setting: Setting
  contender: string
  samples: Sample[]
  /** Why it has no samples: a peer that broke once is not started again. */
  failure?: string
}

export interface Plan<Setting, Sample> {
  title: string
  settings: readonly Setting[]
  contenders: readonly Contender[]
  rounds: number
  describe(setting: Setting): string
  measure(contender: Contender, setting: Setting, before: readonly Sample[]): Promise<Sample>
}

export async function runRounds<Setting, Sample>(plan: Plan<Setting, Sample>): Promise<Series<Setting, Sample>[]> {
  const cells = plan.settings.map((setting) =>
    plan.contenders.map((contender) => {
      const series: Series<Setting, Sample> = { setting, contender: contender.id, samples: [] }
      return { contender, series }
    }),
  )
  for (let round = 0; round < plan.rounds; round += 1) {
    for (const row of cells) {
      for (const { contender, series } of rotate(row, round)) {
        if (series.failure !== undefined) continue
        progress(`${plan.title} · round ${round + 1}/${plan.rounds} · ${plan.describe(series.setting)} · ${contender.label}`)
        await measureInto(series, () => plan.measure(contender, series.setting, series.samples))
      }
    }
    log(`${plan.title}: round ${round + 1} of ${plan.rounds} done`)
  }
  return cells.flat().map((cell) => cell.series)
}

async function measureInto<Setting, Sample>(series: Series<Setting, Sample>, measure: () => Promise<Sample>): Promise<void> {
  try {
    series.samples.push(await measure())
  } catch (error) {
    if (!(error instanceof PeerError)) throw error
    series.failure = error.message
    log(`FAILED: ${error.message}`)
  }
}

function rotate<T>(list: readonly T[], by: number): T[] {
  const start = list.length === 0 ? 0 : by % list.length
  return [...list.slice(start), ...list.slice(0, start)]
}

// Progress goes to stderr, so that stdout is the report and nothing else.
const live = process.stderr.isTTY === true

/** On a terminal one line that is written again and again; in a log nothing. */
function progress(text: string): void {
  if (live) process.stderr.write(`\r\x1b[K${text}`.slice(0, (process.stderr.columns ?? 100) + 4))
}

export function log(text: string): void {
  process.stderr.write(live ? `\r\x1b[K${text}\n` : `${text}\n`)
}
