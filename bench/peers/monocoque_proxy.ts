// PULL → PUSH through our Proxy, as libzmq_proxy.c does it: this thread only starts it.
import { Proxy, Pull, Push } from "../../src/index.ts"
import { cpuSeconds, print, released, runPeer, type PeerOptions } from "./common.mjs"

async function pullPush({ endpoint, hwm }: PeerOptions): Promise<void> {
  const front = new Pull({ receiveHighWaterMark: hwm })
  const back = new Push({ sendHighWaterMark: hwm, linger: 0 })
  await front.bind(endpoint)
  await back.bind(endpoint)
  const proxy = new Proxy(front, back)
  const { lastEndpoint } = front
  const running = proxy.run()
  print({ endpoint: lastEndpoint, backEnd: back.lastEndpoint })
  await released()
  print({ role: "proxy", total: proxy.statistics().back.messagesOut, cpu: cpuSeconds() })
  proxy.terminate()
  await running
}

await runPeer({ "pull-push": pullPush })
