// Round trips over Bun's own TCP and unix sockets, with callbacks and no framing: the limit for
// anything that waits in Bun's event loop. The rules that all peers follow are in peer.h.
import type { Socket } from "bun"
import { LatencyMeter, ReplyMeter, print, released, runPeer, type PeerOptions } from "./common.mjs"

/** Bun takes a host and a port, or a path; our endpoints say both in one string. */
function target(endpoint: string): { hostname: string; port: number } | { unix: string } {
  if (endpoint.startsWith("ipc://")) return { unix: endpoint.slice("ipc://".length) }
  const match = /^tcp:\/\/([^:]+):(\d+|\*)$/.exec(endpoint)
  if (match === null) throw new Error(`cannot use ${endpoint}`)
  return { hostname: match[1]!, port: match[2] === "*" ? 0 : Number(match[2]) }
}

/** A small message always fits into an idle socket's buffer; this peer relies on it. */
function write(socket: Socket, bytes: Uint8Array): void {
  if (socket.write(bytes) !== bytes.length) throw new Error("partial write: this peer is for small messages")
}

async function repBind({ endpoint, size, count, warmup }: PeerOptions): Promise<void> {
  const meter = new ReplyMeter(count, warmup)
  const payload = Buffer.alloc(size, 1)
  const done = Promise.withResolvers<void>()
  let received = 0
  const socket = {
    open: (client: Socket) => void client.setNoDelay(true),
    data(client: Socket, chunk: Buffer) {
      received += chunk.length
      if (received < size) return
      received -= size
      write(client, payload)
      if (!meter.more()) done.resolve()
    },
    error: (_: Socket, error: Error) => done.reject(error),
  }
  const where = target(endpoint)
  const listener = "unix" in where ? Bun.listen({ ...where, socket }) : Bun.listen({ ...where, socket })
  print({ endpoint: "unix" in where ? endpoint : `tcp://${where.hostname}:${(listener as Bun.TCPSocketListener).port}` })
  await done.promise
  await released()
  meter.print()
  listener.stop(true)
}

async function reqConnect({ endpoint, size, count, warmup }: PeerOptions): Promise<void> {
  const meter = new LatencyMeter(count, warmup)
  const payload = Buffer.alloc(size, 1)
  const done = Promise.withResolvers<void>()
  let left = count + warmup
  let received = 0
  let start = 0
  const ask = (server: Socket) => {
    start = performance.now()
    write(server, payload)
  }
  const socket = {
    open(server: Socket) {
      server.setNoDelay(true)
      ask(server)
    },
    data(server: Socket, chunk: Buffer) {
      received += chunk.length
      if (received < size) return
      meter.add(performance.now() - start)
      received -= size
      left -= 1
      if (left > 0) ask(server)
      else done.resolve()
    },
    error: (_: Socket, error: Error) => done.reject(error),
    close: () => done.reject(new Error("the server closed the connection")),
  }
  const where = target(endpoint)
  const server = await ("unix" in where ? Bun.connect({ ...where, socket }) : Bun.connect({ ...where, socket }))
  await done.promise
  meter.print()
  server.end()
}

await runPeer({ "rep-bind": repBind, "req-connect": reqConnect })
