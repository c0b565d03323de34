// Peers that know ZMTP only as bytes, and what a socket does under their fire.

import { afterEach, expect } from "bun:test";
import { unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket as TcpSocket } from "node:net";
import { nativeContext } from "../../src/context.ts";
import {
  type Event,
  Pull,
  type PullOptions,
  Push,
  type PushOptions,
  type Socket,
} from "../../src/index.ts";
import { descriptors, eventually } from "../interop/peer.ts";

export function bytes(...parts: (string | number | Uint8Array)[]): Buffer {
  return Buffer.concat(
    parts.map((part) => (typeof part === "number" ? Buffer.of(part) : Buffer.from(part as string))),
  );
}

/** The first 64 bytes. */
export function greeting(mechanism = "NULL", major = 3, minor = 1): Buffer {
  const result = Buffer.alloc(64);
  result[0] = 0xff;
  result[8] = 1;
  result[9] = 0x7f;
  result[10] = major;
  result[11] = minor;
  result.write(mechanism, 12, "latin1");
  return result;
}

export const MORE = 1;
export const LARGE = 2;
export const COMMAND = 4;

/** A frame; `declared` is the size it claims to have. */
export function frame(body: string | Uint8Array, flags = 0, declared?: bigint): Buffer {
  const content = Buffer.from(body as string);
  const size = declared ?? BigInt(content.length);
  if (size <= 255n && !(flags & LARGE)) return bytes(flags, Number(size), content);
  return bytes(flags | LARGE, u64(size), content);
}

function u64(value: bigint): Buffer {
  const result = Buffer.alloc(8);
  result.writeBigUInt64BE(value);
  return result;
}

export function u32(value: number): Buffer {
  const result = Buffer.alloc(4);
  result.writeUInt32BE(value);
  return result;
}

export function command(name: string, data: string | Uint8Array = ""): Buffer {
  return frame(bytes(name.length, name, data), COMMAND);
}

export function property(name: string, value: string | Uint8Array, declared?: number): Buffer {
  return bytes(name.length, name, u32(declared ?? value.length), Buffer.from(value as string));
}

export function ready(type: string, ...more: Uint8Array[]): Buffer {
  return command("READY", bytes(property("Socket-Type", type), ...more));
}

/** What the socket under test sends to everyone: its greeting, and READY after theirs. */
export class RawPeer {
  readonly socket: TcpSocket;
  received: Buffer = Buffer.alloc(0);
  closed = false;
  /** How the other side knows it; a closed socket has forgotten. */
  port = 0;

  constructor(socket: TcpSocket) {
    this.socket = socket;
    socket.on("data", (data) => {
      this.received = Buffer.concat([this.received, data as Buffer]);
    });
    socket.on("close", () => {
      this.closed = true;
    });
    // A reset is one of the ways a hostile connection ends.
    socket.on("error", () => {});
    peers.add(this);
  }

  static async connect(endpoint: string): Promise<RawPeer> {
    const tcp = /^tcp:\/\/([\d.]+):(\d+)$/.exec(endpoint);
    const socket = tcp
      ? connect({ host: tcp[1]!, port: Number(tcp[2]) })
      : connect({ path: endpoint.slice("ipc://".length) });
    const peer = new RawPeer(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    socket.setNoDelay(true);
    peer.port = socket.localPort ?? 0;
    return peer;
  }

  /** A peer whose handshake is done. */
  static async greeted(endpoint: string, type: string, ...more: Uint8Array[]): Promise<RawPeer> {
    const peer = await RawPeer.connect(endpoint);
    peer.write(greeting(), ready(type, ...more));
    await peer.handshaken();
    return peer;
  }

  write(...parts: Uint8Array[]): void {
    this.socket.write(bytes(...parts));
  }

  /** Our whole greeting and READY have come; what follows is returned by `rest`. */
  async handshaken(): Promise<void> {
    await eventually(() => this.#restAt() <= this.received.length, "READY");
  }

  #restAt(): number {
    const size = this.received[65];
    return size === undefined ? Infinity : 66 + size;
  }

  /** What came behind the handshake. */
  rest(): Buffer {
    return this.received.subarray(this.#restAt());
  }

  async end(): Promise<void> {
    await eventually(() => this.closed, "the end of the connection", 5000);
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Closes with RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }
}

const peers = new Set<RawPeer>();
const servers = new Set<Server>();
const scenes = new Set<Scene>();

let nextPath = 0;

export function endpointFor(transport: "tcp" | "ipc"): string {
  nextPath += 1;
  if (transport === "tcp") return "tcp://127.0.0.1:*";
  return `ipc:///tmp/monocoque-hostile-${process.pid}-${nextPath}`;
}

/** A listener that speaks no ZMTP by itself. */
export async function rawServer(onPeer: (peer: RawPeer) => void): Promise<string> {
  const server = createServer((socket) => onPeer(new RawPeer(socket)));
  servers.add(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address() as { port: number };
  return `tcp://127.0.0.1:${address.port}`;
}

/** Collects what the observer tells. */
export function record(socket: Socket): Event[] {
  const events: Event[] = [];
  const types = [
    "accept",
    "connect",
    "connect:retry",
    "handshake",
    "disconnect",
    "close",
    "handshake:error:protocol",
    "handshake:error:auth",
    "handshake:error:other",
  ] as const;
  for (const type of types) socket.events.on(type, (event) => events.push(event));
  return events;
}

/** A bound Pull with a loop that waits for messages, and a good Push that must not notice anything. */
export class Scene {
  readonly pull: Pull;
  readonly push: Push;
  readonly events: Event[];
  readonly got: string[] = [];
  endpoint = "";
  #loop: Promise<void> | undefined;
  #ended = false;
  #number = 0;

  constructor(options: PullOptions, good: PushOptions) {
    this.pull = new Pull(options);
    this.push = new Push({ linger: 0, ...good });
    this.events = record(this.pull);
    scenes.add(this);
  }

  static async start(
    options: PullOptions = {},
    transport: "tcp" | "ipc" = "tcp",
    good: PushOptions = {},
  ): Promise<Scene> {
    const scene = new Scene(options, good);
    await scene.pull.bind(endpointFor(transport));
    scene.endpoint = scene.pull.lastEndpoint!;
    scene.#loop = scene.#receive();
    scene.push.connect(scene.endpoint);
    await scene.proof();
    return scene;
  }

  async #receive(): Promise<void> {
    for await (const message of this.pull) this.got.push(message.join("|"));
    this.#ended = true;
  }

  attack(): Promise<RawPeer> {
    return RawPeer.connect(this.endpoint);
  }

  greeted(type = "PUSH", ...more: Uint8Array[]): Promise<RawPeer> {
    return RawPeer.greeted(this.endpoint, type, ...more);
  }

  /** The good peer's messages arrive, all of them and nothing else; the loop goes on. */
  async proof(messages = 20): Promise<void> {
    const before = this.got.length;
    const sent = Array.from({ length: messages }, () => `good ${this.#number++}`);
    for (const text of sent) await this.push.send(text, { timeout: 5000 });
    await eventually(() => this.got.length >= before + messages, "the good peer's messages", 5000);
    expect(this.got.slice(before)).toEqual(sent);
    expect(this.#ended).toBe(false);
  }

  /** The events of one raw peer's connection. */
  eventsOf(peer: RawPeer): Event[] {
    const own = `:${peer.port}`;
    const first = this.events.find((event) => event.peer?.endsWith(own));
    return this.events.filter((event) => event.connection === first?.connection);
  }

  /** The connection ends, for that reason. */
  async refused(peer: RawPeer, reason: string, type?: string): Promise<void> {
    await peer.end();
    const told = () => this.events.find(
      (event) => event.type === "disconnect" && (event.peer?.endsWith(`:${peer.port}`) ?? false),
    );
    await eventually(() => told() !== undefined, "the disconnect event", 3000);
    expect(told()!.reason as string).toBe(reason);
    if (type === undefined) return;
    const failure = this.events.find(
      (event) => event.connection === told()!.connection && event.type.startsWith("handshake:error"),
    );
    expect(failure).toMatchObject({ type, reason });
  }

  /** As `refused` for ipc, where peers have no address: the last event counts. */
  async refusedLast(peer: RawPeer, reason: string): Promise<void> {
    await peer.end();
    await eventually(
      () => this.events.at(-1)?.type === "disconnect" && this.events.at(-1)!.reason === reason,
      `disconnect with ${reason}, not ${JSON.stringify(this.events.at(-1))}`,
      3000,
    );
  }

  async close(): Promise<void> {
    scenes.delete(this);
    this.push.close();
    this.pull.close();
    await this.#loop;
    if (!this.endpoint.startsWith("ipc:///tmp/")) return;
    try {
      unlinkSync(this.endpoint.slice("ipc://".length));
    } catch {
      // Removed at close already.
    }
  }
}

/** Registers what must hold after each test of a file: everything is given back. */
export function nothingIsLeft(): void {
  let before = 0;
  // The context itself and Bun's own descriptors come with the first socket.
  const warm = (async () => {
    const scene = await Scene.start();
    (await scene.attack()).destroy();
    await scene.close();
  })();
  afterEach(async () => {
    await warm;
    for (const scene of [...scenes]) await scene.close();
    for (const peer of peers) peer.destroy();
    peers.clear();
    for (const server of servers) server.close();
    servers.clear();
    const context = nativeContext();
    // A test that failed has left its sockets.
    context.closeAll();
    await eventually(() => {
      const { sockets, sessions, listeners, memory_live_bytes } = context.stats();
      return sockets + sessions + listeners + memory_live_bytes === 0;
    }, `nothing left: ${JSON.stringify(context.stats())}`, 5000);
    expect(context.lent.size).toBe(0);
    if (before === 0) {
      await Bun.sleep(100);
      before = descriptors();
    }
    await eventually(() => descriptors() <= before + 2, `${before} descriptors again`, 5000);
  });
}

/** Numbers that a seed decides. */
export function randomBytes(seed: number, size: number): Buffer {
  const result = Buffer.alloc(size);
  let state = seed | 1;
  for (let i = 0; i < size; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    result[i] = state >>> 11;
  }
  return result;
}
