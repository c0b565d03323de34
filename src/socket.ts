// What every socket offers its user: bind and connect, options, events, references, disposal.

import {
  bindAddresses,
  bindAddressNow,
  type Endpoint,
  type NetworkAddress,
  numericEndpoints,
  parseEndpoint,
} from "./endpoint.ts";
import { zmqError } from "./errors.ts";
import { inspectCustom } from "./node.ts";
import { Observer } from "./observer.ts";
import { validateOption, validateOptions } from "./option_check.ts";
import { optionNames, secretOptions } from "./option_table.ts";
import type { SocketOptions } from "./option_groups.ts";
import type { OptionName, SocketTypeName } from "./options.ts";
import { type Context, contextOf } from "./socket_context.ts";
import { SocketCore } from "./socket_core.ts";
import type { PeerStats, SocketStats } from "./socket_stats.ts";
import { typeNumbers } from "./type_numbers.ts";
import { checkWait, timeoutOf, Wait, type WaitOptions } from "./wait.ts";

export type { ConnectOptions } from "./socket_core.ts";
export type { PeerStats, SocketStats } from "./socket_stats.ts";

/** @internal The core of a socket, for the classes of this package. */
export const coreOf = Symbol("monocoque.core");

/**
 * The base of every socket: lifecycle, endpoints, options. Make one of its classes, such as
 * {@link Request} or {@link Publisher}.
 */
export abstract class Socket {
  /** @internal */
  readonly [coreOf]: SocketCore;

  constructor(typeName: SocketTypeName, options: SocketOptions | undefined) {
    const checked = validateOptions(typeName, options);
    this[coreOf] = new SocketCore(typeName, contextOf(typeName, options?.context));
    for (const option of checked) {
      this[coreOf].set(option, (options as Record<string, unknown>)[option.name]);
    }
    // A misspelt option must not become a property. Classes of the user's own may have theirs.
    if (Object.hasOwn(new.target.prototype, "linger")) Object.preventExtensions(this);
  }

  /** The type's number in libzmq. Source: ZMQ_TYPE. */
  get type(): number {
    return typeNumbers[this[coreOf].typeName];
  }

  /** True after `close()`. */
  get closed(): boolean {
    return this[coreOf].closed || this[coreOf].closePending;
  }

  /**
   * The endpoint of the last bind, with the port or path that was chosen, or of the last connect,
   * as given; null before. Source: ZMQ_LAST_ENDPOINT.
   */
  get lastEndpoint(): string | null {
    return this[coreOf].lastEndpoint ?? null;
  }

  /**
   * The security mechanism that the options ask for, and where they contradict each other the one in
   * force; null for NULL. Source: ZMQ_MECHANISM.
   */
  get securityMechanism(): null | "plain" | "curve" {
    return this[coreOf].security.mechanism;
  }

  /** A socket belongs to the thread that made it. Source: ZMQ_THREAD_SAFE. */
  get threadSafe(): boolean {
    return false;
  }

  /** The context the socket was made in. */
  get context(): Context {
    return this[coreOf].owner;
  }

  /**
   * What happens to the socket's connections, recorded while somebody listens; see
   * {@link Observer}. Of a closed socket there are none. Errors (thrown): ENOMEM, EBUSY (a proxy has
   * the socket). Source: zmq_socket_monitor(3).
   *
   * ```ts
   * push.events.on("disconnect", ({ address, reason }) => console.warn(address, reason));
   * ```
   */
  get events(): Observer {
    const core = this[coreOf];
    return (core.observer ??= new Observer(core));
  }

  /**
   * Listens at an endpoint: `tcp://127.0.0.1:5555`, `tcp://*:*` (any interface, any port),
   * `tcp://lo:5555`, `ipc:///tmp/socket`, `ipc://@abstract`, `ipc://*`, `inproc://name`. Resolves when
   * peers can connect; `lastEndpoint` then tells the port. Only the look-up of a host name takes time:
   * it may last up to `timeout` milliseconds (default -1, the resolver's own limit).
   *
   * Errors: EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT (IPv6 without the option), ENODEV (no such
   * interface or host), EACCES, ENOENT, ENOTDIR, EINVAL, EPROTONOSUPPORT, ENAMETOOLONG, each with
   * `address`; EBUSY (another bind is under way), EBADF, EAGAIN (timeout), the reason of the
   * signal. After any of them nothing is bound. Source: zmq_bind(3).
   *
   * ```ts
   * await reply.bind("tcp://127.0.0.1:5555");
   * ```
   */
  async bind(address: string, options?: WaitOptions): Promise<void> {
    const core = this[coreOf];
    core.check();
    checkWait(options);
    try {
      await this.#bind(address, options);
    } catch (error) {
      core.observer?.bindFailed(address, error);
      throw error;
    }
  }

  async #bind(address: string, options?: WaitOptions): Promise<void> {
    const core = this[coreOf];
    core.security.prepare();
    const endpoint = parseEndpoint(address, "bind");
    if (endpoint.transport === "inproc") return core.bindName(endpoint);
    const known = bindAddressNow(endpoint, { ipv6: core.values.ipv6 });
    if (known) {
      if (core.tryBind(endpoint, known)) return;
      await this.#blocking(() => bindAgain(core, endpoint, known));
      return;
    }
    await this.#blocking(async () => {
      const looked = bindAddresses(endpoint, { ipv6: core.values.ipv6 });
      core.bindTo(endpoint, await limited(looked, options, endpoint.text));
    });
  }

  async #blocking(work: () => Promise<void>): Promise<void> {
    const core = this[coreOf];
    core.blocked = true;
    try {
      await work();
    } finally {
      core.blocked = false;
      if (core.closePending) core.close();
    }
  }

  /**
   * Like `bind`, at once; only an address in use is tried again for 40 ms, in which the event loop
   * stands still. Errors (thrown): as `bind`; EINVAL for a host name, which cannot be looked
   * up that way. Source: zmq_bind(3).
   *
   * ```ts
   * reply.bindSync("ipc://@questions");
   * ```
   */
  bindSync(address: string): void {
    const core = this[coreOf];
    core.check();
    try {
      this.#bindNow(address);
    } catch (error) {
      core.observer?.bindFailed(address, error);
      throw error;
    }
  }

  #bindNow(address: string): void {
    const core = this[coreOf];
    core.security.prepare();
    const endpoint = parseEndpoint(address, "bind");
    if (endpoint.transport === "inproc") return core.bindName(endpoint);
    const known = bindAddressNow(endpoint, { ipv6: core.values.ipv6 });
    if (known === undefined) {
      throw zmqError("EINVAL", {
        endpoint: address,
        advice: "A host name has to be looked up: use `await bind()`, or an address.",
      });
    }
    for (let attempt = 1; attempt < BIND_ATTEMPTS; attempt += 1) {
      if (core.tryBind(endpoint, known)) return;
      Bun.sleepSync(BIND_PAUSE_MS);
    }
    core.bindTo(endpoint, [known]);
  }

  /**
   * Ends listening at an endpoint and closes the connections it accepted. The endpoint is the one
   * given to bind, another way to write it (a host name of that address) or, for wildcards,
   * `lastEndpoint`. What those connections had received can still be read; what is queued for them
   * has `linger` milliseconds to leave. An inproc name is free at once, and its connections stay.
   * Only the look-up of a host name takes time: up to `timeout` milliseconds (default -1, the
   * resolver's own limit). Errors: ENOENT (not bound), EBUSY, EBADF, EAGAIN (timeout), the reason of
   * the signal. Source: zmq_unbind(3).
   *
   * ```ts
   * await reply.unbind("tcp://127.0.0.1:5555");
   * ```
   */
  async unbind(address: string, options?: WaitOptions): Promise<void> {
    const core = this[coreOf];
    core.check();
    checkWait(options);
    if (core.endpoints.boundTo(address).length > 0) return core.unbindFrom(address);
    await this.#blocking(async () => {
      const found = await limited(numericEndpoints(address), options, address);
      const bound = found.find((it) => core.endpoints.boundTo(it).length > 0);
      if (!core.closePending) core.unbindFrom(bound ?? address);
    });
  }

  /**
   * Like `unbind`, at once. Errors (thrown): as `unbind`. Source: zmq_unbind(3).
   *
   * ```ts
   * reply.unbindSync("ipc://@questions");
   * ```
   */
  unbindSync(address: string): void {
    const core = this[coreOf];
    core.check();
    core.unbindFrom(address);
  }

  /**
   * Connects to an endpoint, now or as soon as it is there, and again whenever the connection is
   * lost (`reconnectInterval`). `tcp://source;host:port` and `tcp://source:port;host:port` connect
   * from that address or interface. Returns at once: what goes wrong in the network is an event, not an
   * exception. Errors (thrown): EINVAL, EPROTONOSUPPORT, EAFNOSUPPORT (IPv6 without the option),
   * ENODEV (no such source), ENAMETOOLONG, EBUSY, EBADF. Source: zmq_connect(3).
   *
   * ```ts
   * request.connect("tcp://server.example:5555");
   * ```
   */
  connect(address: string): void {
    const core = this[coreOf];
    core.check();
    core.connectTo(address);
  }

  /**
   * Ends the connections made with the same string. What is queued for them has `linger` milliseconds
   * to leave. Errors (thrown): ENOENT (not connected), EBUSY, EBADF. Source: zmq_disconnect(3).
   *
   * ```ts
   * request.disconnect("tcp://server.example:5555");
   * ```
   */
  disconnect(address: string): void {
    const core = this[coreOf];
    core.check();
    core.disconnectFrom(address);
  }

  /**
   * Resolves when a connection of an endpoint, bound or connected, or of any, is there and has done
   * its handshake; at once if one is. Waits up to `timeout` milliseconds, by default for ever.
   *
   * Errors: ENOENT (the endpoint is not bound nor connected, or no longer), EAGAIN (timeout, or closed
   * while waiting), EBADF, the reason of the signal. Not in libzmq.
   *
   * ```ts
   * dealer.connect("tcp://server.example:5555");
   * await dealer.connected("tcp://server.example:5555", { timeout: 5000 });
   * ```
   */
  connected(endpoint?: string, options?: WaitOptions): Promise<void> {
    const core = this[coreOf];
    return core.connections.until(() => core.endpoints.hasConnection(endpoint), options, endpoint);
  }

  /**
   * Closes the socket. Waiting calls reject with EAGAIN, iterators end, queued messages have
   * `linger` milliseconds (default 30,000) to leave; the process stays alive for them. While a bind is
   * under way it waits for it. Calling it twice is fine; it never throws. Source: zmq_close(3).
   *
   * Whoever wants to know awaits it: it resolves when that time is over or nothing is left, to the
   * number of messages that have not been handed to the kernel, or inside the process to the peer,
   * since it was called. 0: none was lost on this side; what peers do with theirs is their own affair.
   * A message for several peers counts once for each. It never rejects. When a proxy closes the
   * socket the number is 0, whatever was lost.
   *
   * ```ts
   * push.close();
   * const undelivered = await push.close();
   * ```
   */
  close(): PromiseLike<number> {
    this[coreOf].close();
    return this[coreOf].ended.promise;
  }

  /** `close()` at the end of a block: `using push = new Push();`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** `close()` at the end of a block: `await using push = new Push();`. Does not wait for linger. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /**
   * Waits until all queued messages have been handed to the kernel, or inside the process to the peer.
   * Resolves to the number of those that have not after `timeout` milliseconds (default `linger`): 0
   * means that `close()` loses nothing on this side. What a peer does with them is its own affair, and
   * a `send` that still waits for room is not counted. Errors: EAGAIN (closed while waiting), EBADF,
   * EBUSY, the reason of the signal. Not in libzmq.
   *
   * ```ts
   * const left = await push.drain({ timeout: 1000 });
   * push.close();
   * ```
   */
  async drain(options?: WaitOptions): Promise<number> {
    return this[coreOf].drain(options);
  }

  /**
   * The connections of the socket, those being made, too: their queues, and what the last heartbeat
   * took. After `close()` none. Not in libzmq.
   *
   * ```ts
   * for (const { address, roundTripTime } of dealer.peers()) console.log(address, roundTripTime);
   * ```
   */
  peers(): PeerStats[] {
    return this[coreOf].peers();
  }

  /**
   * Counters: messages, bytes, drops by cause, connections. Read from memory, without a call. After
   * `close()` they go on while something lingers. Not in libzmq.
   *
   * ```ts
   * console.log(push.stats().messagesSent);
   * ```
   */
  stats(): SocketStats {
    return this[coreOf].stats();
  }

  /**
   * Makes the socket keep the process alive, whatever it does, until `unref()` or `close()`. By
   * default only waiting calls and running iterators do. Not in libzmq.
   *
   * ```ts
   * reply.ref();
   * ```
   */
  ref(): this {
    this[coreOf].hold();
    return this;
  }

  /** Undoes `ref()`: only waiting calls and running iterators keep the process alive. */
  unref(): this {
    this[coreOf].release();
    return this;
  }

  /** @internal Type, endpoints and state, nothing secret. */
  [inspectCustom](_depth: number, options: object, inspect = Bun.inspect): string {
    const core = this[coreOf];
    const state = {
      closed: core.closed,
      bound: core.bound.map((bound) => bound.boundText),
      connected: core.connected.map((connected) => connected.endpoint.text),
    };
    return `${core.typeName} ${inspect(state, options)}`;
  }
}

/** How often, and after how many milliseconds, an address in use is tried again. */
const BIND_ATTEMPTS = 5;
const BIND_PAUSE_MS = 10;

/**
 * A process that was killed, or made way for another by exec as under `bun --watch`, holds its ports
 * 6 to 12 ms longer, until the kernel has ended its ring: who starts it again at once must not fail
 * for that.
 */
async function bindAgain(core: SocketCore, endpoint: Endpoint, address: NetworkAddress) {
  for (let attempt = 1; attempt < BIND_ATTEMPTS; attempt += 1) {
    await Bun.sleep(BIND_PAUSE_MS);
    if (core.tryBind(endpoint, address)) return;
  }
  await Bun.sleep(BIND_PAUSE_MS);
  core.bindTo(endpoint, [address]);
}

/** The value of a promise, unless a limit of the caller comes first. */
function limited<T>(
  work: Promise<T>,
  options: WaitOptions | undefined,
  endpoint: string,
): Promise<T> {
  const wait = new Wait<T>(() => undefined, () => {});
  wait.limit(timeoutOf(options, -1), options?.signal, endpoint);
  work.then(
    (value) => wait.resolve(value),
    (reason) => wait.reject(reason),
  );
  return wait.promise;
}

/** @internal Gives a class its options as properties; the interface of the same name declares them. */
export function defineOptions(prototype: Socket, typeName: SocketTypeName): void {
  for (const name of optionNames(typeName) as OptionName[]) {
    Object.defineProperty(prototype, name, {
      configurable: true,
      enumerable: !secretOptions.has(name),
      get(this: Socket) {
        return this[coreOf].values[name];
      },
      set(this: Socket, value: unknown) {
        const option = validateOption(typeName, name, value);
        this[coreOf].set(option, value);
      },
    });
  }
}
