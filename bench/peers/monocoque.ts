// Our own peer, on the public API only. Four modes, the same on both ends:
//   plain     for await (const message of pull)               await push.send(message)
//   batches   for await (const batch of pull.batches())       await push.sendMany(messages)
//   borrowed  the same with { borrow: true }                  await push.sendMany(messages)
//   sync      pull.receiveManySync({ borrow: true })          push.sendSync(message)
// Round trips also in "plain-spin" and "sync-spin": context.spin = 50.
// The rules that all peers follow are in peer.h.
import { context, Pull, Push, Reply, Request } from "../../src/index.ts"
import { batchBytes, batchOf, TIMEOUT_MS } from "./batch.ts"
import {
  LatencyMeter,
  PullMeter,
  ReplyMeter,
  cpuSeconds,
  curveClient,
  curveServer,
  print,
  released,
  runPeer,
  wallMs,
  type PeerOptions,
} from "./common.mjs"

async function pullBind(options: PeerOptions): Promise<void> {
  const { endpoint, count, hwm, mode } = options
  await using pull = new Pull({ receiveHighWaterMark: hwm, ...curveServer(options) })
  await pull.bind(endpoint)
  print({ endpoint: pull.lastEndpoint })
  const meter = new PullMeter()
  if (mode === "plain") await pullPlain(pull, meter, count)
  else if (mode === "sync") pullSync(pull, meter, count)
  else await pullBatches(pull, meter, count, mode === "borrowed")
  meter.print()
}

async function pullPlain(pull: Pull, meter: PullMeter, count: number): Promise<void> {
  for await (const [part] of pull) {
    meter.add(1, part!.length)
    if (meter.total === count) break
  }
}

async function pullBatches(pull: Pull, meter: PullMeter, count: number, borrow: boolean): Promise<void> {
  for await (const batch of pull.batches({ borrow })) {
    meter.add(batch.length, batchBytes(batch))
    if (meter.total === count) break
  }
}

function pullSync(pull: Pull, meter: PullMeter, count: number): void {
  while (meter.total < count) {
    const batch = pull.receiveManySync({ timeout: TIMEOUT_MS, borrow: true })
    meter.add(batch.length, batchBytes(batch))
  }
}

async function pushConnect(options: PeerOptions): Promise<void> {
  const { endpoint, size, count, hwm, mode } = options
  await using push = new Push({ sendHighWaterMark: hwm, ...curveClient(options) })
  const connectAt = wallMs()
  push.connect(endpoint)
  const payload = Buffer.alloc(size, 1)
  const cpu = cpuSeconds()
  if (mode === "plain") for (let i = 0; i < count; i += 1) await push.send(payload)
  else if (mode === "sync") for (let i = 0; i < count; i += 1) push.sendSync(payload)
  else await pushBatches(push, payload, count)
  await released()
  print({ role: "push", total: count, cpu: cpuSeconds() - cpu, connectAt })
}

async function pushBatches(push: Push, payload: Buffer, count: number): Promise<void> {
  const batch = batchOf(payload)
  let left = count
  for (; left >= batch.length; left -= batch.length) await push.sendMany(batch)
  if (left > 0) await push.sendMany(batch.slice(0, left))
}

/** Whether the calls are the synchronous ones. */
function waiting(mode: string): boolean {
  if (mode.endsWith("-spin")) context.spin = 50
  return mode.startsWith("sync")
}

async function repBind({ endpoint, count, warmup, mode }: PeerOptions): Promise<void> {
  await using reply = new Reply()
  await reply.bind(endpoint)
  print({ endpoint: reply.lastEndpoint })
  const meter = new ReplyMeter(count, warmup)
  if (waiting(mode)) {
    do reply.sendSync(reply.receiveSync({ timeout: TIMEOUT_MS }))
    while (meter.more())
  } else {
    for await (const message of reply) {
      await reply.send(message)
      if (!meter.more()) break
    }
  }
  await released()
  meter.print()
}

async function reqConnect({ endpoint, size, count, warmup, mode }: PeerOptions): Promise<void> {
  await using request = new Request()
  request.connect(endpoint)
  const payload = Buffer.alloc(size, 1)
  const meter = new LatencyMeter(count, warmup)
  const sync = waiting(mode)
  for (let i = 0; i < count + warmup; i += 1) {
    const start = performance.now()
    let reply: readonly Uint8Array[]
    if (sync) {
      request.sendSync(payload)
      reply = request.receiveSync({ timeout: TIMEOUT_MS })
    } else {
      await request.send(payload)
      reply = await request.receive()
    }
    meter.add(performance.now() - start)
    if (reply[0]!.length !== size) throw new Error("the reply has the wrong size")
  }
  meter.print()
}

await runPeer({
  "pull-bind": pullBind,
  "push-connect": pushConnect,
  "rep-bind": repBind,
  "req-connect": reqConnect,
})
