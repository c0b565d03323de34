// One socket and many peers, on our public API. How the roles begin and end is in libzmq_many.c; all
// sockets of a process are served by its one thread here too. The modes, the same on both ends:
//   plain     for await (const message of …)             await ….send(message)
//   batches   for await (const batch of ….batches())     await ….sendMany(messages)
//   borrowed  the same with { borrow: true }             await ….sendMany(messages)
import { Dealer, Publisher, Router, Subscriber } from "../../src/index.ts"
import { batchBytes, batchOf } from "./batch.ts"
import {
  cpuSeconds,
  curveClient,
  curveServer,
  print,
  PullMeter,
  released,
  runPeer,
  told,
  type PeerOptions,
} from "./common.mjs"

const EMPTY = Buffer.alloc(0)
const END = Buffer.alloc(1)
const PROBE_MS = 1
/** Messages between two looks at the clock. */
const CLOCK_MESSAGES = 64

const milliseconds = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

async function pubBind({ endpoint, size, seconds, hwm, mode, noDrop }: PeerOptions): Promise<void> {
  await using publisher = new Publisher({ sendHighWaterMark: hwm, noDrop, linger: 1000 })
  await publisher.bind(endpoint)
  print({ endpoint: publisher.lastEndpoint })
  let over = false
  const end = released().then(() => (over = true))
  await sendUntil(publisher, EMPTY, told())
  const payload = Buffer.alloc(size, 1)
  const cpu = cpuSeconds()
  const total = await publish(publisher, payload, performance.now() + seconds * 1e3, mode === "plain")
  while (!over) {
    await publisher.send(END)
    await milliseconds(PROBE_MS)
  }
  await end
  print({ role: "pub", total, cpu: cpuSeconds() - cpu })
}

async function sendUntil(publisher: Publisher, message: Buffer, done: Promise<void>): Promise<void> {
  let over = false
  void done.then(() => (over = true))
  while (!over) {
    await publisher.send(message)
    await milliseconds(PROBE_MS)
  }
}

async function publish(publisher: Publisher, payload: Buffer, deadline: number, plain: boolean): Promise<number> {
  const batch = batchOf(payload)
  let sent = 0
  while (performance.now() < deadline) {
    if (plain) for (let i = 0; i < CLOCK_MESSAGES; i += 1) await publisher.send(payload)
    else await publisher.sendMany(batch)
    sent += plain ? CLOCK_MESSAGES : batch.length
  }
  return sent
}

async function subConnect({ endpoint, size, sockets, hwm, mode }: PeerOptions): Promise<void> {
  const meter = new PullMeter()
  const audience = Array.from({ length: sockets }, () => new Listener(meter, size, hwm))
  const ends = audience.map((listener) => listener.listen(endpoint, mode))
  await Promise.race([Promise.all(audience.map((listener) => listener.ready.promise)), ...ends])
  print({ ready: true })
  meter.begin()
  await Promise.all(ends)
  if (meter.total === 0) throw new Error("no message arrived")
  meter.print()
  for (const { socket } of audience) socket.close()
}

class Listener {
  readonly socket: Subscriber
  readonly ready = Promise.withResolvers<void>()
  #ended = false
  readonly #meter: PullMeter
  readonly #size: number

  constructor(meter: PullMeter, size: number, hwm: number) {
    this.#meter = meter
    this.#size = size
    this.socket = new Subscriber({ receiveHighWaterMark: hwm })
    this.socket.subscribe()
  }

  /** Until the end of the stream. */
  async listen(endpoint: string, mode: string): Promise<void> {
    this.socket.connect(endpoint)
    if (mode === "plain") {
      for await (const message of this.socket) {
        if (message[0]!.length === this.#size) this.#meter.add(1, this.#size)
        else this.#mark(message[0]!.length)
        if (this.#ended) return
      }
    }
    for await (const batch of this.socket.batches({ borrow: mode === "borrowed" })) {
      this.#count(batch)
      if (this.#ended) return
    }
  }

  #count(batch: readonly Uint8Array[][]): void {
    let counted = 0
    for (const message of batch) {
      const { length } = message[0]!
      if (length === this.#size) counted += 1
      else this.#mark(length)
    }
    if (counted > 0) this.#meter.add(counted, counted * this.#size)
  }

  #mark(length: number): void {
    if (length === 0) this.ready.resolve()
    else this.#ended = true
  }
}

async function routerBind(options: PeerOptions): Promise<void> {
  const { endpoint, hwm, mode } = options
  await using router = new Router({ sendHighWaterMark: hwm, receiveHighWaterMark: hwm, ...curveServer(options) })
  await router.bind(endpoint)
  print({ endpoint: router.lastEndpoint })
  const cpu = cpuSeconds()
  const total = mode === "plain" ? await echo(router) : await echoBatches(router, mode === "borrowed")
  await released()
  print({ role: "router", total, cpu: cpuSeconds() - cpu })
}

async function echo(router: Router): Promise<number> {
  let total = 0
  for await (const message of router) {
    if (message[1]!.length === 0) break
    await router.send(message)
    total += 1
  }
  return total
}

async function echoBatches(router: Router, borrow: boolean): Promise<number> {
  let total = 0
  for await (const batch of router.batches({ borrow })) {
    // The end is sent when nothing else is on its way, so it is the last one.
    if (batch.at(-1)![1]!.length === 0) break
    await router.sendMany(batch)
    total += batch.length
  }
  return total
}

async function dealerConnect(options: PeerOptions): Promise<void> {
  const { endpoint, size, seconds, sockets, hwm } = options
  const limits = { sendHighWaterMark: hwm, receiveHighWaterMark: hwm, linger: 1000 }
  const dealers = Array.from({ length: sockets }, () => new Dealer(limits))
  const payload = Buffer.alloc(size, 1)
  for (const dealer of dealers) dealer.connect(endpoint)
  await Promise.all(dealers.map((dealer) => dealer.send(payload)))
  await Promise.all(dealers.map((dealer) => dealer.receive()))
  const cpu = cpuSeconds()
  const start = performance.now()
  const totals = await Promise.all(dealers.map((dealer) => ask(dealer, payload, start + seconds * 1e3, options)))
  const total = totals.reduce((sum, one) => sum + one, 0)
  const elapsed = (performance.now() - start) / 1e3
  const bytes = total * size
  print({ role: "dealer", total, counted: total, bytes, seconds: elapsed, rate: total / elapsed, cpu: cpuSeconds() - cpu })
  await dealers[0]!.send(EMPTY)
  for (const dealer of dealers) dealer.close()
}

/** Keeps `window` requests outstanding until the deadline, then takes the replies that are left. */
async function ask(dealer: Dealer, payload: Buffer, deadline: number, { window, mode }: PeerOptions): Promise<number> {
  const requests = Array.from({ length: window + 1 }, (_, length) => Array<Buffer>(length).fill(payload))
  let outstanding = window
  let total = 0
  await dealer.sendMany(requests[window]!)
  if (mode === "plain") {
    for await (const message of dealer) {
      if (message[0]!.length !== payload.length) throw new Error("a reply has the wrong size")
      total += 1
      if (performance.now() < deadline) await dealer.send(payload)
      else if ((outstanding -= 1) === 0) break
    }
    return total
  }
  for await (const batch of dealer.batches({ borrow: mode === "borrowed" })) {
    if (batchBytes(batch) !== batch.length * payload.length) throw new Error("a reply has the wrong size")
    total += batch.length
    if (performance.now() < deadline) await dealer.sendMany(requests[batch.length]!)
    else if ((outstanding -= batch.length) === 0) break
  }
  return total
}

/** So many at a time come, ask once and go. */
async function visitorConnect(options: PeerOptions): Promise<void> {
  const { endpoint, size, seconds, sockets, hwm } = options
  const own = { sendHighWaterMark: hwm, receiveHighWaterMark: hwm, linger: 1000, ...curveClient(options) }
  const payload = Buffer.alloc(size, 1)
  const cpu = cpuSeconds()
  const start = performance.now()
  let total = 0
  const visit = async () => {
    do {
      const dealer = new Dealer(own)
      dealer.connect(endpoint)
      await dealer.send(payload)
      if ((await dealer.receive())[0]!.length !== size) throw new Error("a reply has the wrong size")
      dealer.close()
      total += 1
    } while (performance.now() < start + seconds * 1e3)
  }
  await Promise.all(Array.from({ length: sockets }, visit))
  const elapsed = (performance.now() - start) / 1e3
  const bytes = total * size
  print({ role: "dealer", total, counted: total, bytes, seconds: elapsed, rate: total / elapsed, cpu: cpuSeconds() - cpu })
  await using last = new Dealer(own)
  last.connect(endpoint)
  await last.send(EMPTY)
}

await runPeer({
  "pub-bind": pubBind,
  "sub-connect": subConnect,
  "router-bind": routerBind,
  "dealer-connect": dealerConnect,
  "visitor-connect": visitorConnect,
})
