// What happens to a socket's connections, as an async iterator and as callbacks. The native side
// keeps a bounded number of events and drops the oldest; it records nothing while nobody listens.

import { errnoError, ZmqError } from "./errors.ts";
import { type Event, type EventOfType, type EventType, toEvent } from "./events.ts";
import { MonitorCommand } from "./ffi/abi.generated.ts";
import {
  countDroppedEvent,
  droppedEvents,
  eventsWaiting,
  readMonitorEvent,
} from "./ffi/records.ts";
import type { SocketCore } from "./socket_core.ts";

/** Events one slow iterator keeps; the oldest are dropped. */
const KEPT_MAX = 1024;

/** Endpoints that were let go and may still have events to come, at most. */
const GONE_MAX = 1024;

type Listener<E extends EventType = EventType> = (event: EventOfType<E>) => void;

/**
 * The events of one socket. Each iterator and each listener sees all events from the moment it is
 * made. Nothing is recorded, and no memory held, before the first and after the last of them.
 *
 * ```ts
 * socket.events.on("handshake:error:protocol", ({ peer, reason }) => console.warn(peer, reason));
 * for await (const event of socket.events) console.log(event.type, event.address);
 * ```
 */
export class Observer implements AsyncIterable<Event> {
  readonly #core: SocketCore;
  /** Of each type: the listeners, and whether the next event is their only one. None is empty. */
  readonly #listeners = new Map<EventType, Map<Listener, boolean>>();
  readonly #iterators = new Set<EventIterator>();
  /** Endpoints that were let go, by what events call them. */
  readonly #gone = new Map<number, string>();
  /** What the native side does not tell; comes behind what it does. */
  #own: Event[] = [];
  #lastTime = 0;

  /** @internal */
  constructor(core: SocketCore) {
    this.#core = core;
    if (!core.closed) core.checkOwn();
  }

  /**
   * How many events were lost because a reader was too slow: more than 256 in one turn of the event
   * loop, or more than 1024 that an iterator had not taken, where each iterator counts for itself.
   * The next event tells how many as `missed`. The same as `stats().droppedEvents`.
   *
   * ```ts
   * if (socket.events.dropped > 0) console.warn("events were lost");
   * ```
   */
  get dropped(): number {
    return droppedEvents(this.#core.shared);
  }

  /**
   * Calls `listener` for each event of a type, from now to the end of the socket. A listener does
   * not keep the process alive; a waiting iterator does. Errors (thrown): TypeError, ENOMEM, EBUSY
   * (a proxy has the socket).
   *
   * ```ts
   * socket.events.on("disconnect", ({ peer, reason }) => console.warn(peer, reason));
   * ```
   */
  on<E extends EventType>(type: E, listener: Listener<E>): this {
    return this.#add(type, listener as Listener, false);
  }

  /** Undoes `on`, and `once` before its event has come. A listener that is not known is ignored. */
  off<E extends EventType>(type: E, listener: Listener<E>): this {
    this.#forget(type, listener as Listener);
    this.#unwatch();
    return this;
  }

  /**
   * Calls `listener` for the next event of a type only. Errors (thrown): as `on`.
   *
   * ```ts
   * socket.events.once("handshake", () => console.log("connected"));
   * ```
   */
  once<E extends EventType>(type: E, listener: Listener<E>): this {
    return this.#add(type, listener as Listener, true);
  }

  #add(type: EventType, listener: Listener, once: boolean): this {
    if (typeof listener !== "function") throw new TypeError("A listener of events is a function");
    this.#watch();
    const listeners = this.#listeners.get(type) ?? new Map<Listener, boolean>();
    this.#listeners.set(type, listeners.set(listener, once));
    return this;
  }

  #forget(type: EventType, listener: Listener): void {
    const listeners = this.#listeners.get(type);
    listeners?.delete(listener);
    if (listeners?.size === 0) this.#listeners.delete(type);
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
    this.#watch();
    const iterator = new EventIterator(this.#core, (ended) => {
      this.#iterators.delete(ended);
      this.#unwatch();
    });
    this.#iterators.add(iterator);
    if (this.#core.closed) iterator.end();
    return iterator;
  }

  #watch(): void {
    const { closed, context, dispatch, handle } = this.#core;
    if (closed || dispatch.onEvents) return;
    this.#core.checkOwn();
    const status = context.native.monitor(handle, MonitorCommand.start);
    if (status < 0) throw errnoError(status);
    dispatch.onEvents = () => this.#drain();
  }

  /** The last reader has gone. */
  #unwatch(): void {
    const { context, dispatch, handle } = this.#core;
    if (!dispatch.onEvents || this.#iterators.size + this.#listeners.size > 0) return;
    dispatch.onEvents = undefined;
    context.native.monitor(handle, MonitorCommand.stop);
    this.#gone.clear();
    this.#own = [];
  }

  /** @internal A call made events, and nothing would wake us to tell of them. */
  noticed(): void {
    if (this.#core.dispatch.onEvents) this.#core.context.turnSoon();
  }

  /** @internal The socket lets go of an endpoint, whose connections may last. */
  leaving(endpoint: number, text: string): void {
    if (!this.#core.dispatch.onEvents) return;
    this.#gone.set(endpoint, text);
    const [oldest] = this.#gone.keys();
    if (this.#gone.size > GONE_MAX) this.#gone.delete(oldest!);
    this.noticed();
  }

  /** @internal A bind has failed. */
  bindFailed(address: string, error: unknown): void {
    if (!this.#core.dispatch.onEvents || !(error instanceof ZmqError)) return;
    if (this.#own.length === KEPT_MAX) {
      this.#own.shift();
      countDroppedEvent(this.#core.shared);
    }
    this.#own.push({ type: "bind:error", address, time: this.#now(), error });
    this.noticed();
  }

  #drain(): void {
    const core = this.#core;
    while (eventsWaiting(core.shared) > 0 && core.context.native.monitor_next(core.handle) === 1) {
      const native = readMonitorEvent(core.context.record);
      const address = core.endpoints.textOf(native.endpoint) || this.#gone.get(native.endpoint);
      const event = toEvent(native, address ?? "");
      core.authentication?.annotate(event);
      this.#deliver(event);
    }
    for (const event of this.#own.splice(0)) this.#deliver(event);
  }

  /** The native side's clock is a finer one: what comes later is not to look earlier. */
  #now(): number {
    return Math.max(Date.now(), this.#lastTime);
  }

  #deliver(event: Event): void {
    this.#lastTime = event.time;
    for (const iterator of this.#iterators) iterator.push(event);
    for (const [listener, once] of this.#listeners.get(event.type) ?? []) {
      if (once) this.#forget(event.type, listener);
      try {
        listener(event);
      } catch (error) {
        // It is the program's own: uncaught, but after everyone else has been told.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    this.#unwatch();
  }

  /** @internal The socket closes, or goes to a proxy: what is left is told, then "end". */
  close(): void {
    const { closed, context, dispatch, handle } = this.#core;
    if (closed && dispatch.onEvents) context.native.monitor(handle, MonitorCommand.end);
    this.#drain();
    this.#deliver({ type: "end", address: "", time: this.#now() });
    this.#listeners.clear();
    for (const iterator of [...this.#iterators]) iterator.end();
    this.#unwatch();
  }
}

class EventIterator implements AsyncIterableIterator<Event> {
  readonly #core: SocketCore;
  readonly #onEnd: (iterator: EventIterator) => void;
  readonly #kept: Event[] = [];
  readonly #waiting: ((result: IteratorResult<Event, undefined>) => void)[] = [];
  #ended = false;
  /** Dropped before the first of those that are kept. */
  #missed = 0;

  constructor(core: SocketCore, onEnd: (iterator: EventIterator) => void) {
    this.#core = core;
    this.#onEnd = onEnd;
  }

  push(event: Event): void {
    if (this.#settle({ value: event, done: false })) return;
    this.#kept.push(event);
    if (this.#kept.length <= KEPT_MAX) return;
    this.#missed += 1 + (this.#kept.shift()?.missed ?? 0);
    countDroppedEvent(this.#core.shared);
  }

  /** The oldest that is kept. The others' readers have missed something else. */
  #take(): Event | undefined {
    const event = this.#kept.shift();
    if (event === undefined || this.#missed === 0) return event;
    const missed = this.#missed + (event.missed ?? 0);
    this.#missed = 0;
    return { ...event, missed };
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
    const kept = this.#take();
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
