// What happens to a socket's connections, as an async iterator and as callbacks. The native side
// keeps a bounded number of events and drops the oldest; nothing is recorded before the first
// observer is asked for.

import { errnoError } from "./errors.ts";
import { MonitorEventType, Reason, SharedRecord, SocketRecord } from "./ffi/abi.generated.ts";
import { type MonitorEvent, readMonitorEvent } from "./ffi/records.ts";
import type { SocketCore } from "./socket_core.ts";

/** zeromq.js's names of events; none of them is "error", which would throw in an emitter. */
export type EventType =
  | "accept"
  | "accept:error"
  | "bind"
  | "bind:error"
  | "connect"
  | "connect:delay"
  | "connect:retry"
  | "connect:stop"
  | "close"
  | "disconnect"
  | "handshake"
  | "handshake:error:protocol"
  | "handshake:error:auth"
  | "handshake:error:other"
  | "end";

/** One event. */
export interface Event {
  type: EventType;
  /** The endpoint it happened to: as bound, or as given to connect. */
  address: string;
  /** Why, for those that tell of a failure or an end: `peer_closed`, `not_zmtp`, … */
  reason?: string;
  /** The remote address, once there is one. */
  peer?: string;
  /** Which connection; numbers are not used again soon. */
  connection?: number;
  /** Milliseconds until the next attempt (`connect:retry`). */
  interval?: number;
}

const types: Record<number, EventType> = {
  [MonitorEventType.listening]: "bind",
  [MonitorEventType.bind_failed]: "bind:error",
  [MonitorEventType.accepted]: "accept",
  [MonitorEventType.accept_failed]: "accept:error",
  [MonitorEventType.connect_delayed]: "connect:delay",
  [MonitorEventType.connected]: "connect",
  [MonitorEventType.connect_retried]: "connect:retry",
  [MonitorEventType.connect_stopped]: "connect:stop",
  [MonitorEventType.connect_failed]: "close",
  [MonitorEventType.handshake_succeeded]: "handshake",
  [MonitorEventType.handshake_failed_protocol]: "handshake:error:protocol",
  [MonitorEventType.handshake_failed_auth]: "handshake:error:auth",
  [MonitorEventType.handshake_failed_other]: "handshake:error:other",
  [MonitorEventType.disconnected]: "disconnect",
  [MonitorEventType.closed]: "close",
};

const reasons = new Map<number, string>(
  Object.entries(Reason).map(([name, value]) => [value, name]),
);

const EVENTS_WAITING = SharedRecord.record.offset + SocketRecord.events_waiting.offset;

/** Events one slow iterator keeps; the oldest are dropped. */
const KEPT_MAX = 1024;

type Listener = (event: Event) => void;

/**
 * The events of one socket. Each iterator and each listener sees all events from the moment it is
 * made.
 *
 * ```ts
 * socket.events.on("handshake:error:protocol", ({ peer, reason }) => console.warn(peer, reason));
 * for await (const event of socket.events) console.log(event.type, event.address);
 * ```
 */
export class Observer implements AsyncIterable<Event> {
  readonly #core: SocketCore;
  /** Of each type: the listeners, and whether the next event is their only one. */
  readonly #listeners = new Map<EventType, Map<Listener, boolean>>();
  readonly #iterators = new Set<EventIterator>();

  /** @internal */
  constructor(core: SocketCore) {
    this.#core = core;
    if (core.closed) return;
    core.checkOwn();
    const status = core.context.native.monitor(core.handle, 1);
    if (status < 0) throw errnoError(status);
    core.dispatch.onEvents = () => this.#drain();
  }

  /**
   * Calls `listener` for each event of a type, from now to the end of the socket. A listener does not
   * keep the process alive; a waiting iterator does.
   *
   * ```ts
   * socket.events.on("disconnect", ({ peer, reason }) => console.warn(peer, reason));
   * ```
   */
  on(type: EventType, listener: Listener): this {
    return this.#add(type, listener, false);
  }

  /** Undoes `on`, and `once` before its event has come. A listener that is not known is ignored. */
  off(type: EventType, listener: Listener): this {
    this.#listeners.get(type)?.delete(listener);
    return this;
  }

  /**
   * Calls `listener` for the next event of a type only.
   *
   * ```ts
   * socket.events.once("handshake", () => console.log("connected"));
   * ```
   */
  once(type: EventType, listener: Listener): this {
    return this.#add(type, listener, true);
  }

  #add(type: EventType, listener: Listener, once: boolean): this {
    if (typeof listener !== "function") throw new TypeError("A listener of events is a function");
    const listeners = this.#listeners.get(type) ?? new Map<Listener, boolean>();
    this.#listeners.set(type, listeners.set(listener, once));
    return this;
  }

  /**
   * Iterates over events until the socket closes; "end" is the last. Keeps 1024 events for a reader
   * that is slow, the latest ones.
   *
   * ```ts
   * for await (const { type, address } of socket.events) console.log(type, address);
   * ```
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Event> {
    const iterator = new EventIterator(this.#core, (ended) => this.#iterators.delete(ended));
    this.#iterators.add(iterator);
    if (this.#core.closed) iterator.end();
    return iterator;
  }

  #drain(): void {
    const { context, handle, shared } = this.#core;
    if (shared.getUint32(EVENTS_WAITING, true) === 0) return;
    while (context.native.monitor_next(handle) === 1) {
      this.#deliver(this.#toEvent(readMonitorEvent(context.record)));
    }
  }

  #toEvent(native: MonitorEvent): Event {
    const type = types[native.type] ?? "close";
    const event: Event = { type, address: this.#core.endpointText(native.endpoint) };
    if (native.reason !== Reason.none) {
      event.reason = reasons.get(native.reason) ?? String(native.reason);
    }
    if (native.peer !== "") event.peer = native.peer;
    if (native.connection !== 0) event.connection = native.connection;
    if (type === "connect:retry") event.interval = native.value;
    return event;
  }

  #deliver(event: Event): void {
    for (const iterator of this.#iterators) iterator.push(event);
    const listeners = this.#listeners.get(event.type);
    for (const [listener, once] of listeners ?? []) {
      if (once) listeners?.delete(listener);
      try {
        listener(event);
      } catch (error) {
        // It is the program's own: uncaught, but after everyone else has been told.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** @internal The socket closes: what is left is told, then "end". */
  close(): void {
    this.#drain();
    this.#deliver({ type: "end", address: "" });
    for (const iterator of [...this.#iterators]) iterator.end();
    this.#listeners.clear();
  }
}

class EventIterator implements AsyncIterableIterator<Event> {
  readonly #core: SocketCore;
  readonly #onEnd: (iterator: EventIterator) => void;
  readonly #kept: Event[] = [];
  readonly #waiting: ((result: IteratorResult<Event, undefined>) => void)[] = [];
  #ended = false;

  constructor(core: SocketCore, onEnd: (iterator: EventIterator) => void) {
    this.#core = core;
    this.#onEnd = onEnd;
  }

  push(event: Event): void {
    if (this.#settle({ value: event, done: false })) return;
    this.#kept.push(event);
    if (this.#kept.length > KEPT_MAX) this.#kept.shift();
  }

  /** False: nobody waits. */
  #settle(result: IteratorResult<Event, undefined>): boolean {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) return false;
    this.#core.context.unref();
    waiting(result);
    return true;
  }

  end(): void {
    this.#ended = true;
    this.#onEnd(this);
    while (this.#settle({ value: undefined, done: true }));
  }

  next(): Promise<IteratorResult<Event, undefined>> {
    const kept = this.#kept.shift();
    if (kept) return Promise.resolve({ value: kept, done: false });
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    this.#core.context.ref();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<Event, undefined>> {
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
