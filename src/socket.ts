// What every socket offers its user: bind and connect, options, events, references, disposal.

import { inspect } from "node:util";
import { bindAddresses, bindAddressNow, parseEndpoint } from "./endpoint.ts";
import { zmqError } from "./errors.ts";
import { Observer } from "./observer.ts";
import {
  type OptionName,
  optionNames,
  type SocketOptions,
  type SocketTypeName,
  validateOption,
  validateOptions,
} from "./options.ts";
import { SocketCore, type SocketStats, typeNumbers } from "./socket_core.ts";
import type { WaitOptions } from "./wait.ts";

export type { SocketStats } from "./socket_core.ts";

/** @internal The core of a socket, for the classes of this package. */
export const coreOf = Symbol("monocoque.core");

/**
 * The base of every socket: lifecycle, endpoints, options. Make one of {@link Push}, {@link Pull},
 * {@link Request}, {@link Reply}.
 */
export abstract class Socket {
  /** @internal */
  readonly [coreOf]: SocketCore;

  constructor(typeName: SocketTypeName, options: SocketOptions | undefined) {
    const checked = validateOptions(typeName, options);
    this[coreOf] = new SocketCore(typeName);
    for (const option of checked) {
      this[coreOf].set(option, (options as Record<string, unknown>)[option.name]);
    }
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

  /** The security mechanism; null for NULL. Source: ZMQ_MECHANISM. */
  get securityMechanism(): null {
    return null;
  }

  /** A socket belongs to the thread that made it. Source: ZMQ_THREAD_SAFE. */
  get threadSafe(): boolean {
    return false;
  }

  /** What happens to the socket's connections; see {@link Observer}. */
  get events(): Observer {
    const core = this[coreOf];
    return (core.observer ??= new Observer(core));
  }

  /**
   * Listens at an endpoint: `tcp://127.0.0.1:5555`, `tcp://*:*` (any interface, any port),
   * `tcp://lo:5555`, `ipc:///tmp/socket`, `ipc://@abstract`, `ipc://*`. Resolves when peers can
   * connect; `lastEndpoint` then tells the port.
   *
   * Errors: EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOENT, EINVAL, EPROTONOSUPPORT, ENAMETOOLONG, each
   * with `address`.
   *
   * ```ts
   * await reply.bind("tcp://127.0.0.1:5555");
   * ```
   */
  async bind(address: string, options?: WaitOptions): Promise<void> {
    const core = this[coreOf];
    core.check();
    options?.signal?.throwIfAborted();
    const endpoint = parseEndpoint(address, "bind");
    const known = bindAddressNow(endpoint, { ipv6: core.values.ipv6 });
    if (known) {
      core.bindTo(endpoint, [known]);
      return;
    }
    await this.#blocking(async () => {
      const addresses = await bindAddresses(endpoint, { ipv6: core.values.ipv6 });
      options?.signal?.throwIfAborted();
      core.bindTo(endpoint, addresses);
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

  /** Like `bind`, at once; a host name cannot be looked up that way (EINVAL). */
  bindSync(address: string): void {
    const core = this[coreOf];
    core.check();
    const endpoint = parseEndpoint(address, "bind");
    const known = bindAddressNow(endpoint, { ipv6: core.values.ipv6 });
    if (known === undefined) {
      throw zmqError("EINVAL", {
        endpoint: address,
        advice: "A host name has to be looked up: use `await bind()`, or an address.",
      });
    }
    core.bindTo(endpoint, [known]);
  }

  /**
   * Ends listening at an endpoint and closes the connections it accepted. The endpoint is the one
   * given to bind or, for wildcards, `lastEndpoint`. Errors: ENOENT.
   */
  async unbind(address: string): Promise<void> {
    this.unbindSync(address);
  }

  /** Like `unbind`, at once. */
  unbindSync(address: string): void {
    const core = this[coreOf];
    core.check();
    core.unbindFrom(address);
  }

  /**
   * Connects to an endpoint, now or as soon as it is there, and again whenever the connection is
   * lost. Returns at once; errors of the network are events, not exceptions. Errors: EINVAL,
   * EPROTONOSUPPORT.
   */
  connect(address: string): void {
    const core = this[coreOf];
    core.check();
    core.connectTo(address);
  }

  /** Ends a connection made with the same string. Errors: ENOENT. */
  disconnect(address: string): void {
    const core = this[coreOf];
    core.check();
    core.disconnectFrom(address);
  }

  /**
   * Closes the socket. Waiting calls reject with EAGAIN, iterators end, queued messages have
   * `linger` milliseconds to leave, also at the end of the process. Calling it twice is fine.
   */
  close(): void {
    this[coreOf].close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** Counters: messages, drops by cause, connections. */
  stats(): SocketStats {
    return this[coreOf].stats();
  }

  /** Makes the socket keep the process alive, whatever it does, until `unref()`. */
  ref(): this {
    this[coreOf].hold();
    return this;
  }

  /** Undoes `ref()`: only waiting calls keep the process alive. */
  unref(): this {
    this[coreOf].release();
    return this;
  }

  [inspect.custom](_depth: number, options: object): string {
    const core = this[coreOf];
    const state = {
      closed: core.closed,
      bound: core.bound.map((bound) => bound.boundText),
      connected: core.connected.map((connected) => connected.endpoint.text),
    };
    return `${core.typeName} ${inspect(state, options)}`;
  }
}

/** Gives a class its options as properties; the interface of the same name declares them. */
export function defineOptions(prototype: Socket, typeName: SocketTypeName): void {
  for (const name of optionNames(typeName) as OptionName[]) {
    Object.defineProperty(prototype, name, {
      configurable: true,
      enumerable: true,
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
