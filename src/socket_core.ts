// The half of a socket that its queues and its observer share: the native socket, the memory shared
// with it, its option values, its endpoints, its end.

import { type Dispatch, nativeContext, type NativeContext } from "./context.ts";
import {
  type Endpoint,
  literalAddress,
  type NetworkAddress,
  parseEndpoint,
  removeFreshPath,
  resolveAddresses,
} from "./endpoint.ts";
import { busyError, errnoError, ZmqError, zmqError } from "./errors.ts";
import {
  INTEREST_READABLE,
  INTEREST_WRITABLE,
  SharedRecord,
  SocketOptionsRecord,
  SocketRecord,
  SocketType,
} from "./ffi/abi.generated.ts";
import { load } from "./ffi/native.ts";
import { readCounters, readResult, readText } from "./ffi/records.ts";
import type { Observer } from "./observer.ts";
import {
  type AllOptions,
  type OptionName,
  optionNames,
  optionTable,
  type SocketTypeName,
  type ValidOption,
} from "./options.ts";
import type { ReceiveQueue } from "./receive_queue.ts";
import type { SendQueue } from "./send_queue.ts";
import { timeoutError } from "./wait.ts";

/** How many messages a socket has moved and lost, and why; the numbers only grow. */
export interface SocketStats {
  /** Queued by send calls. */
  messagesSent: number;
  /** Handed out, or ready to be. */
  messagesReceived: number;
  /** Lost with the connection that they were on. */
  droppedDisconnect: number;
  /** Replies whose requester has gone or takes no more. */
  droppedNoPeer: number;
  /** Received without the frames that their pattern needs. */
  droppedMalformed: number;
  /** Replies to a request that is no longer waiting. */
  droppedStale: number;
  /** Not sent before linger ended. */
  droppedLinger: number;
  /** Connections that ended in their handshake. */
  handshakesFailed: number;
  /** Connections whose handshake is done, now. */
  connections: number;
}

/** The numbers libzmq gives the types. */
export const typeNumbers: Record<SocketTypeName, number> = {
  Push: SocketType.push,
  Pull: SocketType.pull,
  Request: SocketType.req,
  Reply: SocketType.rep,
};

interface Bound {
  text: string;
  boundText: string;
  listener: number;
  path: string | undefined;
}

interface Connected {
  endpoint: Endpoint;
  session: number;
}

/** The half of a socket that its queues share; not part of the public API. */
export class SocketCore {
  readonly context: NativeContext = nativeContext();
  readonly typeName: SocketTypeName;
  readonly handle: number;
  /** The memory shared with the native socket, as words. */
  readonly words: Uint32Array;
  /** The same memory; after `close` a copy of it, since the native socket is freed. */
  shared: DataView;
  readonly values: AllOptions;
  /** What the context tells us. */
  readonly dispatch: Dispatch;
  readonly bound: Bound[] = [];
  readonly connected: Connected[] = [];
  receiver: ReceiveQueue | undefined;
  sender: SendQueue | undefined;
  observer: Observer | undefined;
  closed = false;
  /** A bind or unbind is under way. */
  blocked = false;
  lastEndpoint: string | undefined;
  /** What `close` does, when it has to wait for a bind. */
  closePending = false;
  /** `ref()` was called. */
  #held = false;

  constructor(typeName: SocketTypeName) {
    this.typeName = typeName;
    this.values = defaultsOf(typeName);
    const { native } = this.context;
    const status = native.socket_open(typeNumbers[typeName]);
    if (status < 0) throw errnoError(status);
    this.handle = readResult(this.context.record);
    const memory = load().socketShared(this.handle, SharedRecord.bytes);
    this.words = new Uint32Array(memory);
    this.shared = new DataView(memory);
    this.dispatch = {
      onReady: (interest) => this.#onReady(interest),
      onResolve: (endpoint) => void this.#resolve(endpoint),
      onEvents: undefined,
      close: () => this.close(),
    };
    this.context.add(this.handle, this.dispatch);
  }

  #onReady(interest: number): void {
    if (interest & INTEREST_READABLE) this.receiver?.onReadable();
    if (interest & INTEREST_WRITABLE) this.sender?.onWritable();
  }

  get sendTimeoutMs(): number {
    return this.values.sendTimeout;
  }

  get receiveTimeoutMs(): number {
    return this.values.receiveTimeout;
  }

  /** Whether a second waiting call waits for its turn. */
  get queues(): boolean {
    return this.values.concurrency === "queue";
  }

  /** Throws when the socket cannot be used now. */
  check(): void {
    if (this.closed) throw zmqError("EBADF");
    if (this.blocked) throw busyError("binding");
  }

  /** Waits inside the native side, without the event loop. */
  block<T>(attempt: () => T | undefined, timeoutMs: number, interest: number): T {
    const { context } = this;
    const deadline = timeoutMs < 0 ? Infinity : performance.now() + timeoutMs;
    for (;;) {
      const left = deadline - performance.now();
      if (left <= 0) throw timeoutError(this.lastEndpoint);
      context.native.socket_want(this.handle, interest);
      context.wait(left === Infinity ? -1 : Math.ceil(left));
      this.check();
      const value = attempt();
      if (value !== undefined) return value;
    }
  }

  // -- options ----------------------------------------------------------------------------------

  /** `assigned` is what the property reads back as. */
  set(option: ValidOption, assigned: unknown): void {
    const values = this.values as Record<string, unknown>;
    values[option.name] = assigned instanceof Uint8Array ? Buffer.from(assigned) : assigned;
    if (option.kind === "number") this.#writeNumber(option.field, option.value);
    else if (option.kind === "bytes") this.#writeRoutingId(option.bytes);
    else if (option.name === "detached" && this.receiver) {
      this.receiver.detached = option.value === true;
    }
  }

  #writeNumber(name: string, value: number): void {
    const layout = SocketOptionsRecord as unknown as Record<string, { offset: number }>;
    const field = layout[name];
    if (field === undefined) throw new Error(`monocoque: no native option ${name}`);
    this.shared.setInt32(SharedRecord.options.offset + field.offset, value, true);
  }

  #writeRoutingId(id: Uint8Array): void {
    const base = SharedRecord.options.offset;
    const { routing_id_buffer: room, routing_id_bytes: size } = SocketOptionsRecord;
    new Uint8Array(this.shared.buffer, base + room.offset, room.bytes).set(id);
    this.shared.setUint32(base + size.offset, id.length, true);
  }

  // -- endpoints --------------------------------------------------------------------------------

  /** Binds; false when the address is in use, which may pass. */
  tryBind(endpoint: Endpoint, address: NetworkAddress): boolean {
    try {
      this.bindTo(endpoint, [address]);
      return true;
    } catch (error) {
      if (error instanceof ZmqError && error.code === "EADDRINUSE") return false;
      throw error;
    }
  }

  bindTo(endpoint: Endpoint, addresses: readonly NetworkAddress[]): void {
    const { context } = this;
    let status = 0;
    for (const address of addresses) {
      context.writeAddresses([address]);
      status = context.native.socket_bind(this.handle);
      if (status >= 0) {
        this.#remember(endpoint, address);
        return;
      }
    }
    const path = freshPathOf(endpoint, addresses[0]);
    if (path !== undefined) removeFreshPath(path);
    throw errnoError(status, { endpoint: endpoint.text });
  }

  #remember(endpoint: Endpoint, address: NetworkAddress): void {
    const boundText = readText(this.context.record);
    this.bound.push({
      text: endpoint.text,
      boundText,
      listener: readResult(this.context.record),
      path: freshPathOf(endpoint, address),
    });
    this.lastEndpoint = boundText;
  }

  /** The endpoint as it was given or as it was bound; a wildcard is no name for either. */
  unbindFrom(text: string): void {
    const index = this.bound.findIndex(
      (bound) => bound.boundText === text || (bound.text === text && !text.includes("*")),
    );
    const bound = this.bound[index];
    if (bound === undefined) throw zmqError("ENOENT", { endpoint: text, text: "No such endpoint" });
    this.bound.splice(index, 1);
    this.context.native.socket_unbind(this.handle, bound.listener, this.values.linger);
    if (bound.path !== undefined) removeFreshPath(bound.path);
  }

  connectTo(text: string): void {
    const endpoint = parseEndpoint(text, "connect");
    if (endpoint.transport === "tcp" && endpoint.source !== undefined) {
      throw zmqError("EPROTONOSUPPORT", {
        endpoint: text,
        advice: "A source address is not supported in this version: leave it out.",
      });
    }
    // As libzmq: a REQ that connects twice to one peer would talk to it twice as often.
    if (this.typeName === "Request" && this.#connectedTo(text).length > 0) return;
    const address = literalAddress(endpoint, { ipv6: this.values.ipv6 });
    if (address) this.context.writeAddresses([address]);
    const status = this.context.native.socket_connect(this.handle, address ? 0 : 1);
    if (status < 0) throw errnoError(status, { endpoint: text });
    this.connected.push({ endpoint, session: readResult(this.context.record) });
    this.lastEndpoint = text;
    // A name is asked for in the next turn.
    this.context.wakeIfReady();
  }

  #connectedTo(text: string): Connected[] {
    return this.connected.filter((connected) => connected.endpoint.text === text);
  }

  disconnectFrom(text: string): void {
    const found = this.#connectedTo(text);
    if (found.length === 0) throw zmqError("ENOENT", { endpoint: text, text: "No such endpoint" });
    for (const connected of found) {
      this.connected.splice(this.connected.indexOf(connected), 1);
      this.context.native.socket_disconnect(this.handle, connected.session, this.values.linger);
    }
  }

  async #resolve(session: number): Promise<void> {
    const connected = this.connected.find((entry) => entry.session === session);
    if (connected === undefined) return;
    let addresses: NetworkAddress[] = [];
    try {
      addresses = await resolveAddresses(connected.endpoint, { ipv6: this.values.ipv6 });
    } catch {
      // Not found: reported to the native side as no address, which tells it to try again later.
    }
    if (this.closed) return;
    const most = addresses.slice(0, 8);
    this.context.writeAddresses(most);
    this.context.native.endpoint_resolved(session, most.length);
  }

  endpointText(id: number): string {
    const connected = this.connected.find((entry) => entry.session === id);
    if (connected) return connected.endpoint.text;
    return this.bound.find((entry) => entry.listener === id)?.boundText ?? "";
  }

  // -- numbers, the end -------------------------------------------------------------------------

  ready(interest: number): boolean {
    if (this.closed) return false;
    return (this.context.native.socket_ready(this.handle) & interest) !== 0;
  }

  stats(): SocketStats {
    const counters = readCounters(this.shared, SocketRecord, SharedRecord.record.offset);
    delete counters.events_waiting;
    const named = Object.entries(counters).map(([name, value]) => [camelCase(name), value]);
    return Object.fromEntries(named) as SocketStats;
  }

  /** Keeps the process alive, until `release` or the end of the socket. */
  hold(): void {
    if (this.#held || this.closed) return;
    this.#held = true;
    this.context.ref();
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.context.unref();
  }

  close(): void {
    if (this.closed) return;
    if (this.blocked) {
      this.closePending = true;
      return;
    }
    this.closed = true;
    this.release();
    this.receiver?.close();
    this.sender?.close();
    this.observer?.close();
    this.shared = new DataView(this.shared.buffer.slice(0));
    this.context.native.socket_close(this.handle, this.values.linger);
    this.context.remove(this.handle);
    // Buffers of what was not received are given back; no turn may come by itself any more.
    this.context.wakeIfReady();
    for (const { path } of this.bound) if (path !== undefined) removeFreshPath(path);
  }
}

/** Zig's names of fields as TypeScript's. */
function camelCase(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** The path that `ipc://*` was given, which is ours to remove. */
function freshPathOf(endpoint: Endpoint, address: NetworkAddress | undefined): string | undefined {
  if (endpoint.transport !== "ipc" || endpoint.form !== "wildcard") return undefined;
  return address && Buffer.from(address.data).toString();
}

const defaults = new Map<SocketTypeName, AllOptions>();

function defaultsOf(typeName: SocketTypeName): AllOptions {
  let known = defaults.get(typeName);
  if (known === undefined) {
    const own = optionNames(typeName) as OptionName[];
    known = Object.fromEntries(own.map((name) => [name, optionTable[name].default])) as AllOptions;
    defaults.set(typeName, known);
  }
  return { ...known };
}
