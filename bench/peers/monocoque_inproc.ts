// Two Workers over inproc, as libzmq_inproc.c has two threads. The main thread starts them and waits;
// the modes are those of monocoque.ts. CPU time is that of the whole process.
import { Pull, Push, Reply, Request } from "../../src/index.ts"
import { batchBytes, batchOf, TIMEOUT_MS } from "./batch.ts"
import { LatencyMeter, PullMeter, runPeer, type PeerOptions } from "./common.mjs"

declare const self: Worker

type Role = "pull" | "push" | "req" | "rep"
type Task = PeerOptions & { role: Role }

const roles: Record<Role, (options: PeerOptions) => Promise<void>> = {
  async pull({ endpoint, count, hwm, mode }) {
    using pull = new Pull({ receiveHighWaterMark: hwm })
    pull.bindSync(endpoint)
    const meter = new PullMeter()
    if (mode === "sync") {
      while (meter.total < count) take(meter, pull.receiveManySync({ timeout: TIMEOUT_MS, borrow: true }))
    } else if (mode === "plain") {
      for await (const [part] of pull) {
        meter.add(1, part!.length)
        if (meter.total === count) break
      }
    } else {
      for await (const batch of pull.batches({ borrow: mode === "borrowed" })) {
        take(meter, batch)
        if (meter.total === count) break
      }
    }
    meter.print()
  },

  async push({ endpoint, size, count, hwm, mode }) {
    await using push = new Push({ sendHighWaterMark: hwm, linger: -1 })
    push.connect(endpoint)
    const payload = Buffer.alloc(size, 1)
    if (mode === "plain") for (let i = 0; i < count; i += 1) await push.send(payload)
    else if (mode === "sync") for (let i = 0; i < count; i += 1) push.sendSync(payload)
    else {
      const batch = batchOf(payload)
      let left = count
      for (; left >= batch.length; left -= batch.length) await push.sendMany(batch)
      if (left > 0) await push.sendMany(batch.slice(0, left))
    }
  },

  async rep({ endpoint, count, warmup, mode }) {
    await using reply = new Reply()
    reply.bindSync(endpoint)
    for (let left = count + warmup; left > 0; left -= 1) {
      if (mode === "sync") reply.sendSync(reply.receiveSync({ timeout: TIMEOUT_MS }))
      else await reply.send(await reply.receive())
    }
  },

  async req({ endpoint, size, count, warmup, mode }) {
    using request = new Request()
    request.connect(endpoint)
    const payload = Buffer.alloc(size, 1)
    const meter = new LatencyMeter(count, warmup)
    for (let left = count + warmup; left > 0; left -= 1) {
      const start = performance.now()
      let reply: readonly Uint8Array[]
      if (mode === "sync") {
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
  },
}

function take(meter: PullMeter, batch: readonly (readonly Uint8Array[])[]): void {
  meter.add(batch.length, batchBytes(batch))
}

/** Resolves when the Worker has done its part. */
function start(task: Task): Promise<void> {
  const worker = new Worker(import.meta.url)
  return new Promise((resolve, reject) => {
    worker.onerror = (error) => reject(new Error(`${task.role}: ${error.message}`))
    worker.onmessage = ({ data }) => (data === "done" ? resolve() : reject(new Error(String(data))))
    worker.postMessage(task)
  })
}

async function both(leader: Role, follower: Role, options: PeerOptions): Promise<void> {
  await Promise.all([start({ role: leader, ...options }), start({ role: follower, ...options })])
  process.exit(0)
}

if (Bun.isMainThread) {
  await runPeer({
    "push-pull": (options) => both("pull", "push", options),
    "req-rep": (options) => both("req", "rep", options),
  })
} else {
  self.onmessage = async ({ data }: { data: Task }) => {
    try {
      await roles[data.role](data)
      self.postMessage("done")
    } catch (error) {
      self.postMessage(error instanceof Error ? (error.stack ?? error.message) : String(error))
    }
  }
}
