// Two sockets joined on a native thread of their own: no JavaScript runs for a message.

import { UNAVAILABLE, type Waiting } from "./authentication.ts";
import { nativeContext, type RunningProxy } from "./context.ts";
import { errnoError, zmqError } from "./errors.ts";
import { ContextRecord, ProxyCommand } from "./ffi/abi.generated.ts";
import {
  type NativeAuthentication,
  type ProxyCounters,
  readProxyStatistics,
  readResult,
  takeAuthentication,
} from "./ffi/records.ts";
import { coreOf, type Socket } from "./socket.ts";
import type { SocketTypeName } from "./options.ts";
import type { SocketCore } from "./socket_core.ts";
import { copyRecord } from "./socket_stats.ts";

export type { ProxyCounters } from "./ffi/records.ts";

/** What went through a proxy: whole messages, and the bytes of their parts. */
export interface ProxyStatistics {
  /** Of `frontEnd`. */
  front: ProxyCounters;
  /** Of `backEnd`. */
  back: ProxyCounters;
}

/** Request and Reply take turns with one peer: what libzmq puts between them is Router, Dealer. */
const joinable: readonly SocketTypeName[] = [
  "Dealer", "Pair", "Publisher", "Pull", "Push", "Router", "Subscriber", "XPublisher",
  "XSubscriber",
];

/** Sockets that take a copy of every message. */
const capturing: readonly SocketTypeName[] = ["Dealer", "Pair", "Publisher", "Push", "XPublisher"];

/**
 * Moves messages between two sockets, both ways: Router and Dealer, XSubscriber and XPublisher, Pull
 * and Push, or any two that fit. It runs on a thread of its own, so it goes on while JavaScript is
 * busy; a side that takes nothing stops the reading of the other, and nothing is dropped on the way
 * (publishers and routers drop as ever, and count it). Source: zmq_proxy_steerable(3).
 *
 * Bind, connect and set options first: with `run` the sockets are the proxy's, with connections and
 * messages, and whatever is asked of them but `close`, or set, throws EBUSY. Who may come in is still
 * decided here, by their `authenticate` or a ZAP handler: new peers wait while JavaScript is busy.
 *
 * ```ts
 * const proxy = new Proxy(new Router(), new Dealer());
 * await proxy.frontEnd.bind("tcp://*:5555");
 * await proxy.backEnd.bind("tcp://*:5556");
 * await proxy.run(); // until proxy.terminate()
 * ```
 */
export class Proxy<F extends Socket = Socket, B extends Socket = Socket> {
  /** The one side. */
  readonly frontEnd: F;
  /** The other side; the same socket sends what it receives back to its own peers. */
  readonly backEnd: B;
  /** Gets a copy of every message, of both directions; a full one stops the proxy. */
  readonly capture: Socket | undefined;
  #number = 0;
  #ended: PromiseWithResolvers<void> | undefined;
  #last: ProxyStatistics = { front: noCounters(), back: noCounters() };

  /**
   * Errors (thrown): TypeError for what is no socket, and for types that cannot be joined.
   *
   * ```ts
   * const proxy = new Proxy(new XSubscriber(), new XPublisher(), new Push());
   * ```
   */
  constructor(frontEnd: F, backEnd: B, capture?: Socket) {
    checkSocket("frontEnd", frontEnd, joinable);
    checkSocket("backEnd", backEnd, joinable);
    if (capture !== undefined) checkSocket("capture", capture, capturing);
    if ([frontEnd, backEnd].includes(capture as F & B)) {
      throw new TypeError("Proxy capture must be another socket than frontEnd and backEnd");
    }
    this.frontEnd = frontEnd;
    this.backEnd = backEnd;
    this.capture = capture;
  }

  /**
   * Starts the thread; resolves when the proxy has ended, after `terminate`. It keeps the process
   * alive meanwhile. Errors: EBUSY (it runs already, or a socket is in use by a bind or another
   * proxy), EBADF (a socket is closed), EFSM (it has ended: make a new one), ENOMEM, ENOBUFS.
   * Source: zmq_proxy(3).
   *
   * ```ts
   * const running = proxy.run();
   * proxy.terminate();
   * await running;
   * ```
   */
  async run(): Promise<void> {
    if (this.#ended !== undefined) {
      const advice = "A proxy runs once: make a new one, with new sockets.";
      throw this.#number === 0 ? zmqError("EFSM", { advice }) : zmqError("EBUSY", { advice });
    }
    const cores = this.#cores();
    for (const core of cores) core.check();
    const context = nativeContext();
    const { native } = context;
    let status = native.proxy_create(Math.ceil(context.stats().memory_limit_bytes / 2 ** 20));
    if (status < 0) throw errnoError(status);
    this.#number = readResult(context.record);
    this.#ended = Promise.withResolvers();
    for (const core of cores) core.surrender((shared) => this.#count(core, shared));
    const [front, back] = [this.frontEnd[coreOf], this.backEnd[coreOf]];
    const capture = this.capture?.[coreOf].handle ?? 0;
    context.addProxy(this.#watched);
    status = native.proxy_give(this.#number, front.handle, back.handle, capture);
    if (status < 0) {
      this.#end();
      throw errnoError(status);
    }
    // Other sockets may have got something meanwhile.
    context.turnSoon();
    return this.#ended.promise;
  }

  /** Counters that the thread adds to. */
  #count(core: SocketCore, shared: DataView): void {
    const sockets = [this.frontEnd, this.backEnd, this.capture];
    const index = sockets.findIndex((socket) => socket?.[coreOf] === core);
    const { native, record } = nativeContext();
    if (native.proxy_socket(this.#number, index) !== 1) return;
    copyRecord(record, ContextRecord.socket.offset, shared);
  }

  #cores(): Set<SocketCore> {
    const sockets = [this.frontEnd, this.backEnd, this.capture];
    return new Set(sockets.flatMap((socket) => (socket === undefined ? [] : [socket[coreOf]])));
  }

  /** The thread has ended, or asks for something, or neither. */
  readonly #watched: RunningProxy = {
    woken: (): void => {
      if (this.#number === 0) return;
      const { native } = nativeContext();
      for (;;) {
        const endpoint = native.proxy_ask(this.#number);
        if (endpoint === 0) break;
        void this.#resolve(endpoint);
      }
      this.#admit();
      if (native.proxy_running(this.#number) !== 1) this.#end();
    },
    finish: (): void => {
      if (this.#number === 0) return;
      nativeContext().native.proxy_command(this.#number, ProxyCommand.end);
    },
  };

  async #resolve(endpoint: number): Promise<void> {
    for (const core of this.#cores()) {
      const ends = await core.lookUp(endpoint);
      if (ends === undefined || this.#number === 0) continue;
      const context = nativeContext();
      context.writeEnds(ends);
      context.native.proxy_answer(this.#number, endpoint, ends.addresses.length);
    }
  }

  /** Peers of its sockets want to be let in, which is decided as if they were still ours. */
  #admit(): void {
    const context = nativeContext();
    const { native, record } = context;
    // Later the number is 0: another proxy may have this one's.
    const answer = ({ session, request }: NativeAuthentication, verdict: number): boolean =>
      native.proxy_authenticated(this.#number, session, request, verdict) >= 0;
    while (native.proxy_authentication(this.#number) === 1) {
      const known = takeAuthentication(record);
      const core = [this.frontEnd, this.backEnd, this.capture][known.socket]![coreOf];
      const peer = new ProxiedPeer(known, core.values.handshakeInterval, answer);
      if ((core.authentication?.waiting ?? 0) < WAITING_MAX) core.ask(peer);
      else peer.answer(UNAVAILABLE);
    }
  }

  #end(): void {
    const context = nativeContext();
    this.#last = this.statistics();
    // Reads the last numbers.
    for (const core of this.#cores()) core.stats();
    context.native.proxy_destroy(this.#number);
    this.#number = 0;
    context.removeProxy(this.#watched);
    for (const core of this.#cores()) core.surrendered();
    this.#ended?.resolve();
  }

  /**
   * Stops moving messages; they wait in the sockets, up to the high-water marks, and then with
   * their senders. Without effect when it does not run. Source: zmq_proxy_steerable(3), PAUSE.
   */
  pause(): void {
    this.#command(ProxyCommand.pause);
  }

  /** Goes on after `pause`. Source: zmq_proxy_steerable(3), RESUME. */
  resume(): void {
    this.#command(ProxyCommand.run);
  }

  /**
   * Ends the proxy and closes its sockets; what is queued has their `linger` to leave. `run` resolves
   * then. Without effect when it does not run. Source: zmq_proxy_steerable(3), TERMINATE.
   */
  terminate(): void {
    this.#command(ProxyCommand.end);
  }

  #command(command: number): void {
    if (this.#number !== 0) nativeContext().native.proxy_command(this.#number, command);
  }

  /**
   * What went through until now; after the end the last numbers. Source: zmq_proxy_steerable(3),
   * STATISTICS (which counts parts; these are messages).
   *
   * ```ts
   * const { front, back } = proxy.statistics();
   * console.log(front.messagesIn, back.messagesOut);
   * ```
   */
  statistics(): ProxyStatistics {
    if (this.#number === 0) return structuredClone(this.#last);
    const context = nativeContext();
    context.native.proxy_running(this.#number);
    return readProxyStatistics(context.record);
  }
}

/** Peers that wait for their turn to be decided about; more are sent away, and try again. */
const WAITING_MAX = 8192;

/** Where the handshake has no limit itself, ms. */
const WAIT_MS_MAX = 30_000;

/** A peer that waits in a proxy, which does not tell whether it is still there. */
class ProxiedPeer implements Waiting {
  readonly #known: NativeAuthentication;
  readonly #answer: (known: NativeAuthentication, verdict: number) => boolean;
  readonly #deadlineMs: number;

  constructor(
    known: NativeAuthentication,
    handshakeMs: number,
    answer: (known: NativeAuthentication, verdict: number) => boolean,
  ) {
    this.#known = known;
    this.#answer = answer;
    this.#deadlineMs = performance.now() + (handshakeMs === 0 ? WAIT_MS_MAX : handshakeMs);
  }

  read(): NativeAuthentication | undefined {
    if (performance.now() < this.#deadlineMs) return this.#known;
    this.answer(UNAVAILABLE);
    return undefined;
  }

  answer(verdict: number): boolean {
    this.#known.password.fill(0);
    return this.#answer(this.#known, verdict);
  }
}

function noCounters(): ProxyCounters {
  return { messagesIn: 0, bytesIn: 0, messagesOut: 0, bytesOut: 0 };
}

function checkSocket(name: string, socket: Socket, allowed: readonly SocketTypeName[]): void {
  const type = (socket as Socket | undefined)?.[coreOf]?.typeName;
  if (type !== undefined && allowed.includes(type)) return;
  const what = type ?? typeof socket;
  throw new TypeError(`Proxy ${name} must be one of ${allowed.join(", ")}, not ${what}`);
}
