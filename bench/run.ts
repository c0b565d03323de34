// `npm run bench`: every measurement side by side in one run, printed as markdown.
//   npm run bench -- --quick            about 90 s
//   npm run bench                       about 8 minutes
//   npm run bench -- --help
import { measureBurst } from "./cold_burst.ts"
import { measureLatency } from "./latency.ts"
import { main } from "./lib/main.ts"
import { measureThroughput } from "./throughput.ts"

await main("npm run bench --", async (options) => ({
  throughput: await measureThroughput(options),
  latency: await measureLatency(options),
  burst: await measureBurst(options),
}))
