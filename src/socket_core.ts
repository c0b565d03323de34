// The half of a socket that its queues and its observer share: the native socket, the memory shared
// with it, its option values, its endpoints, its end.

import { Authentication, type Waiting, WaitingPeer } from "./authentication.ts";
import { type Dispatch, nativeContext, type NativeContext } from "./context.ts";
import {
  addressKey,
  type Endpoint,
  freshPathOf,
  type InprocEndpoint,
  type NetworkAddress,
  parseEndpoint,
  removeFreshPath,
} from "./endpoint.ts";
import { type Bound, type Connected, EndpointBook } from "./endpoint_book.ts";
import { busyError, connectError, errnoError, ZmqError, zmqError } from "./errors.ts";
import {
  ADDRESSES_MAX,
  INTEREST_DRAINED,
  INTEREST_CONNECTED,
  INTEREST_READABLE,
  INTEREST_SUBSCRIBED,
  INTEREST_WRITABLE,
  SharedRecord,
  Status,
} from "./ffi/abi.generated.ts";
import { load } from "./ffi/native.ts";
import { eventsWaiting, readResult, readText, writeRoutingId } from "./ffi/records.ts";
import { ledger } from "./ledger.ts";
import type { Observer } from "./observer.ts";
import { type ValidOption, validateOption, validateRoutingId } from "./option_check.ts";
import { OptionValues, warnIfLate } from "./option_values.ts";
import type { AllOptions, SocketTypeName } from "./options.ts";
import { PeerWaits } from "./peer_waits.ts";
import type { ReceiveQueue } from "./receive_queue.ts";
import { type Ends, endsNow, lookUpEnds, nowhere, routeTo } from "./route.ts";
import { Security } from "./security.ts";
import type { SendQueue } from "./send_queue.ts";
import { type Context, enter, leave, socketDefaults } from "./socket_context.ts";
import { copyRecord, listPeers, type PeerStats, readStats, type SocketStats } from "./socket_stats.ts";
import { typeNumbers } from "./type_numbers.ts";
import { timeoutError, type WaitOptions } from "./wait.ts";

/** What a connect of a Router or a Stream can be told. */
export interface ConnectOptions {
  /** The name of the peer here; null for none. */
  routingId?: string | Uint8Array | null;
}

/** As libzmq: a second connect to one peer would have it served twice as often, or twice. */
const connectsOnce = new Set<string>(["Request", "Dealer", "Publisher", "Subscriber"]);

/** The half of a socket that its queues share; not part of the public API. */
export class SocketCore {
  readonly context: NativeContext = nativeContext();
  readonly typeName: SocketTypeName;
  /** The logical context it belongs to. */
  readonly owner: Context;
  readonly handle: number;
  /** The memory shared with the native socket, as words. */
  readonly words: Uint32Array;
  /** The same memory; after `close` a copy of it, since the native socket is freed. */
  shared: DataView;
  readonly #options: OptionValues;
  /** What the options are set to. */
  readonly values: AllOptions;
  /** What the context tells us. */
  readonly dispatch: Dispatch;
  readonly endpoints: EndpointBook;
  readonly security: Security;
  /** Made for the first peer that it has to decide about. */
  authentication: Authentication | undefined;
  receiver: ReceiveQueue | undefined;
  sender: SendQueue | undefined;
  observer: Observer | undefined;
  /** Who waits for a connection, or for a subscription. */
  readonly connections: PeerWaits;
  readonly subscriptions: PeerWaits;
  readonly #drains: PeerWaits;
  closed = false;
  /** A bind or unbind is under way, or a proxy has the native socket. */
  blocked = false;
  proxied = false;
  lastEndpoint: string | undefined;
  /** How many messages were lost with it, once it has ended. */
  readonly ended = Promise.withResolvers<number>();
  /** What `close` does, when it has to wait for a bind. */
  closePending = false;
  /** `ref()` was called. */
  #held = false;
  /** Brings `shared` up to date while it is a copy: the socket lingers, or a proxy has it. */
  #refresh: (() => void) | undefined;

  constructor(typeName: SocketTypeName, owner: Context) {
    this.typeName = typeName;
    this.owner = owner;
    const { native } = this.context;
    enter(owner);
    const status = native.socket_open(typeNumbers[typeName]);
    if (status < 0) {
      leave(owner);
      throw errnoError(status);
    }
    this.handle = readResult(this.context.record);
    const memory = load().socketShared(this.handle, SharedRecord.bytes);
    this.words = new Uint32Array(memory);
    this.shared = new DataView(memory);
    const { context, handle, shared } = this;
    this.#options = new OptionValues(typeName, context, handle, shared, socketDefaults(owner));
    this.values = this.#options.values;
    this.endpoints = new EndpointBook(native, handle, this.values);
    const forget = () => this.authentication?.forget();
    this.security = new Security(typeName, context, handle, this.values, forget);
    const check = () => this.checkOwn();
    this.connections = new PeerWaits(context, handle, INTEREST_CONNECTED, check);
    this.subscriptions = new PeerWaits(context, handle, INTEREST_SUBSCRIBED, check);
    this.#drains = new PeerWaits(context, handle, INTEREST_DRAINED, check);
    this.dispatch = {
      onReady: (interest) => this.#onReady(interest),
      onResolve: (endpoint) => void this.#resolve(endpoint),
      onAuthenticate: (session, request) => this.ask(new WaitingPeer(context, session, request)),
      onEvents: undefined,
      close: () => this.#end(),
    };
    this.context.add(this.handle, this.dispatch);
    ledger.open(this);
  }

  /** A peer waits to be let in. */
  ask(peer: Waiting): void {
    this.authentication ??= new Authentication(this);
    this.authentication.ask(peer);
  }

  #onReady(interest: number): void {
    if (interest & INTEREST_READABLE) this.receiver?.onReadable();
    if (interest & INTEREST_WRITABLE) this.sender?.onWritable();
    if (interest & INTEREST_CONNECTED) this.connections.look();
    if (interest & INTEREST_SUBSCRIBED) this.subscriptions.look();
    if (interest & INTEREST_DRAINED) this.#drains.look();
  }

  get bound(): readonly Bound[] {
    return this.endpoints.bound;
  }

  get connected(): readonly Connected[] {
    return this.endpoints.connected;
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
    this.checkFree();
  }

  /** Throws while a bind or a proxy has the socket. */
  checkFree(): void {
    if (this.blocked) throw busyError(this.proxied ? "proxying" : "binding");
  }

  /** Throws when the native socket is not ours; a bind does not matter. */
  checkOwn(): void {
    if (this.closed || this.proxied) this.check();
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
    if (this.proxied) this.checkFree();
    if (this.bound.length + this.connected.length > 0) warnIfLate(this.typeName, option.name);
    this.#options.set(option, assigned);
    this.security.changed(option.name);
    if (option.name === "detached" && this.receiver) {
      this.receiver.detached = option.kind === "local" && option.value === true;
    }
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
        // A descriptor has one owner, and that is this listener now.
        if (this.values.useFd >= 0) {
          this.#options.set(validateOption(this.typeName, "useFd", -1), -1);
        }
        return;
      }
    }
    const path = freshPathOf(endpoint, addresses[0]);
    if (path !== undefined) removeFreshPath(path);
    const given = status === Status.EINVAL && this.values.useFd >= 0;
    const advice = "The option useFd must be a stream socket that is bound, of the same transport.";
    throw errnoError(status, { endpoint: endpoint.text, ...(given ? { advice } : {}) });
  }

  #remember(endpoint: Endpoint, address: NetworkAddress): void {
    const boundText = readText(this.context.record);
    this.endpoints.bound.push({
      text: endpoint.text,
      boundText,
      listener: readResult(this.context.record),
      path: freshPathOf(endpoint, address),
    });
    this.lastEndpoint = boundText;
    this.observer?.noticed();
  }

  unbindFrom(text: string): void {
    const { endpoints } = this;
    const bound = endpoints.boundTo(text)[0];
    if (bound === undefined) throw zmqError("ENOENT", { endpoint: text, text: "No such endpoint" });
    endpoints.bound.splice(endpoints.bound.indexOf(bound), 1);
    this.observer?.leaving(bound.listener, bound.boundText);
    this.context.native.socket_unbind(this.handle, bound.listener, this.values.linger);
    if (bound.path !== undefined) removeFreshPath(bound.path);
    this.connections.look();
  }

  connectTo(text: string, options?: ConnectOptions): void {
    this.security.prepare();
    const endpoint = parseEndpoint(text, "connect");
    // Whoever connects anew himself must not fill the memory; what is untold needs its endpoint.
    if (this.values.reconnectInterval < 0 && eventsWaiting(this.shared) === 0) {
      this.endpoints.forgetEnded();
    }
    const id = options?.routingId ?? null;
    const routingId = id === null ? undefined : validateRoutingId(id);
    if (endpoint.transport === "inproc") return this.#connectName(endpoint, routingId);
    const route = routeTo(endpoint, this.values);
    if (connectsOnce.has(this.typeName) && this.endpoints.connectedTo(text).length > 0) return;
    const { context } = this;
    const ends = endsNow(route);
    context.writeEnds(ends ?? nowhere);
    context.writeProxy(route.proxy);
    writeRoutingId(context.record, routingId);
    const status = context.native.socket_connect(this.handle, ends ? 0 : 1);
    if (status < 0) throw connectError(status, text);
    const session = readResult(context.record);
    this.endpoints.connected.push({ endpoint, key: addressKey(text, "connect", this.values), route, session });
    this.lastEndpoint = text;
    // A name is asked for in the next turn, and an attempt that failed at once is told of.
    context.turnSoon();
  }

  /** inproc: the name is looked for, and waited for, in the whole process. */
  #connectName(endpoint: InprocEndpoint, routingId: Uint8Array | undefined): void {
    const { context } = this;
    writeRoutingId(context.record, routingId);
    const name = this.#inprocName(endpoint);
    const status = context.native.socket_connect_inproc(this.handle, name, name.length);
    if (status < 0) throw connectError(status, endpoint.text);
    const session = readResult(context.record);
    this.endpoints.connected.push({ endpoint, key: undefined, route: undefined, session });
    this.lastEndpoint = endpoint.text;
    context.turnSoon();
  }

  bindName(endpoint: InprocEndpoint): void {
    const { context } = this;
    const { text } = endpoint;
    const name = this.#inprocName(endpoint);
    const status = context.native.socket_bind_inproc(this.handle, name, name.length);
    if (status < 0) throw errnoError(status, { endpoint: text });
    const listener = readResult(context.record);
    this.endpoints.bound.push({ text, boundText: text, listener, path: undefined });
    this.lastEndpoint = text;
    context.turnSoon();
  }

  #inprocName(endpoint: InprocEndpoint): Buffer {
    return Buffer.from(this.owner.inprocNamespace + endpoint.name);
  }

  disconnectFrom(text: string): void {
    const { connected } = this.endpoints;
    const found = this.endpoints.connectedTo(text);
    if (found.length === 0) throw zmqError("ENOENT", { endpoint: text, text: "No such endpoint" });
    for (const entry of found) {
      connected.splice(connected.indexOf(entry), 1);
      this.observer?.leaving(entry.session, entry.endpoint.text);
      this.context.native.socket_disconnect(this.handle, entry.session, this.values.linger);
    }
    this.connections.look();
  }

  /** The addresses of the name that a session connects to; undefined: it is none of this socket. */
  async lookUp(session: number): Promise<Ends | undefined> {
    const route = this.connected.find((entry) => entry.session === session)?.route;
    if (route === undefined) return undefined;
    try {
      const ends = await lookUpEnds(route);
      return { ...ends, addresses: ends.addresses.slice(0, ADDRESSES_MAX) };
    } catch {
      // Not found: reported to the native side as no address, which tells it to try again later.
      return nowhere;
    }
  }

  async #resolve(session: number): Promise<void> {
    const ends = await this.lookUp(session);
    if (ends === undefined || this.closed) return;
    this.context.writeEnds(ends);
    this.context.native.endpoint_resolved(session, ends.addresses.length);
    // The next attempt is a timer, which only a turn gives to the kernel.
    this.context.turnSoon();
  }

  // -- numbers, the end -------------------------------------------------------------------------

  ready(interest: number): boolean {
    if (this.closed) return false;
    return (this.context.native.socket_ready(this.handle) & interest) !== 0;
  }

  stats(): SocketStats {
    this.#refresh?.();
    return readStats(this.shared);
  }

  /** Who the socket is connected to, or tries to. */
  peers(): PeerStats[] {
    if (this.closed) return [];
    return listPeers(
      this.context,
      this.handle,
      (endpoint) => this.endpoints.textOf(endpoint),
      (connection) => this.authentication?.peers.get(connection)?.userId,
    );
  }

  /** Resolves when everything queued has been handed to the kernel, or to how much has not in time. */
  async drain(options?: WaitOptions): Promise<number> {
    this.check();
    const unsent = () => this.context.native.socket_unsent(this.handle);
    this.context.flush();
    const timeout = options?.timeout ?? this.values.linger;
    const done = await this.#drains.inTime(() => unsent() <= 0, { ...options, timeout });
    return done ? 0 : unsent();
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
    const { context, handle, shared } = this;
    this.#leaveNative();
    this.#refresh = () => copyRecord(shared, SharedRecord.record.offset, this.shared);
    this.ended.resolve(context.closing.close(handle, this.values.linger, () => this.#settle()));
    this.#closed();
  }

  /** The program ends, or begins again: what a bind has under way comes to nothing. */
  #end(): void {
    this.blocked = false;
    this.close();
  }

  /** Whoever waits is told, and what is shared with the native socket is read for the last time. */
  #leaveNative(): void {
    this.release();
    this.receiver?.close();
    this.sender?.close();
    this.observer?.close();
    this.authentication?.close();
    this.security.close();
    this.connections.close();
    this.subscriptions.close();
    this.#drains.close();
    this.shared = new DataView(this.shared.buffer.slice(0));
    this.#options.leave(this.shared);
    this.context.remove(this.handle);
  }

  #closed(): void {
    leave(this.owner);
    // Buffers of what was not received are given back; no turn may come by itself any more.
    this.context.wakeIfReady();
    for (const { path } of this.bound) if (path !== undefined) removeFreshPath(path);
  }

  /** Gives the native socket up to a proxy; waiting calls reject, others get EBUSY from now on. */
  surrender(refresh: (shared: DataView) => void): void {
    this.blocked = true;
    this.proxied = true;
    this.#leaveNative();
    this.#refresh = () => refresh(this.shared);
  }

  /** The proxy has closed it. */
  surrendered(): void {
    this.authentication?.close();
    this.closed = true;
    this.blocked = false;
    this.#settle();
    this.ended.resolve(0);
    this.#closed();
  }

  /** Counts no more. */
  #settle(): void {
    this.#refresh?.();
    this.#refresh = undefined;
    ledger.settle(this);
  }
}
