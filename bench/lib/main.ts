// What the benchmark programs do around their measurement: flags, checks, report, exit code.
import { report, type Results } from "../report.ts"
import { HELP, parseOptions, type BenchOptions } from "./options.ts"
import { describeMachine } from "./machine.ts"
import { checkPeers } from "./peers.ts"
import { log } from "./rounds.ts"

export async function main(program: string, measure: (options: BenchOptions) => Promise<Results>): Promise<void> {
  let options: BenchOptions
  try {
    options = parseOptions(program)
    checkPeers(options.contenders)
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${HELP}`)
    process.exit(1)
  }
  const start = performance.now()
  const results = await measure(options)
  const seconds = Math.round((performance.now() - start) / 1e3)
  const machine = describeMachine()
  if (options.json) console.log(JSON.stringify({ command: options.command, machine, seconds, ...results }, null, 2))
  else console.log(report(results, options, machine))
  log(`took ${Math.floor(seconds / 60)} min ${seconds % 60} s`)
  process.exit(reportFailures(results))
}

/** Slow is never a failure. A peer that broke is one. */
function reportFailures(results: Results): number {
  const all: { failure?: string }[] = Object.values(results).flat()
  const failures = all.flatMap(({ failure }) => failure ?? [])
  for (const failure of failures) console.error(`broken: ${failure}`)
  return failures.length === 0 ? 0 : 1
}
