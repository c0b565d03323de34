// zeromq.js 6 on Node: what a JavaScript program uses today. Its only way to receive is one message
// at a time, so it has the plain mode only. The rules that all peers follow are in peer.h.
import { Pull, Push, Reply, Request } from "zeromq"
import { LatencyMeter, PullMeter, ReplyMeter, cpuSeconds, print, released, runPeer, wallMs } from "./common.mjs"

async function pullBind({ endpoint, count, hwm }) {
  const pull = new Pull({ receiveHighWaterMark: hwm })
  await pull.bind(endpoint)
  print({ endpoint: pull.lastEndpoint })
  const meter = new PullMeter()
  for await (const [part] of pull) {
    meter.add(1, part.length)
    if (meter.total === count) break
  }
  meter.print()
  pull.close()
}

async function pushConnect({ endpoint, size, count, hwm }) {
  const connectAt = wallMs()
  const push = new Push({ sendHighWaterMark: hwm })
  push.connect(endpoint)
  const payload = Buffer.alloc(size, 1)
  const cpu = cpuSeconds()
  for (let i = 0; i < count; i += 1) await push.send(payload)
  await released()
  print({ role: "push", total: count, cpu: cpuSeconds() - cpu, connectAt })
  push.close()
}

async function repBind({ endpoint, count, warmup }) {
  const reply = new Reply()
  await reply.bind(endpoint)
  print({ endpoint: reply.lastEndpoint })
  const meter = new ReplyMeter(count, warmup)
  for await (const message of reply) {
    await reply.send(message)
    if (!meter.more()) break
  }
  await released()
  meter.print()
  reply.close()
}

async function reqConnect({ endpoint, size, count, warmup }) {
  const request = new Request()
  request.connect(endpoint)
  const payload = Buffer.alloc(size, 1)
  const meter = new LatencyMeter(count, warmup)
  for (let i = 0; i < count + warmup; i += 1) {
    const start = performance.now()
    await request.send(payload)
    const [part] = await request.receive()
    meter.add(performance.now() - start)
    if (part.length !== size) throw new Error("the reply has the wrong size")
  }
  meter.print()
  request.close()
}

await runPeer({
  "pull-bind": pullBind,
  "push-connect": pushConnect,
  "rep-bind": repBind,
  "req-connect": reqConnect,
})
