// `npm run bench`: every measurement side by side in one run, printed as markdown.
//   npm run bench -- --quick            about 6 minutes
//   npm run bench                       about 16 minutes
//   npm run bench -- --help
import { measureBurst } from "./cold_burst.ts"
import { measureCurve, measureVisits } from "./curve.ts"
import { measureLatency } from "./latency.ts"
import { measureFanout } from "./fanout.ts"
import { measureInproc, measureInprocLatency } from "./inproc.ts"
import { main } from "./lib/main.ts"
import { measureNative } from "./native.ts"
import { measureProxy } from "./proxy.ts"
import { measureRouter } from "./router.ts"
import { measureThroughput } from "./throughput.ts"

await main("npm run bench --", async (options) => ({
  throughput: await measureThroughput(options),
  latency: await measureLatency(options),
  burst: await measureBurst(options),
  fanout: await measureFanout(options),
  router: await measureRouter(options),
  inproc: await measureInproc(options),
  inprocLatency: await measureInprocLatency(options),
  proxy: await measureProxy(options),
  curve: await measureCurve(options),
  visits: await measureVisits(options),
  native: await measureNative(),
}))
