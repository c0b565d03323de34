// Peers of one socket that wait to be let in: who decides about them, in which order and until when, and
// what is known of those who came in.

import type { NativeContext } from "./context.ts";
import type { Event } from "./events.ts";
import { Mechanism, ProtocolCode } from "./ffi/abi.generated.ts";
import { type NativeAuthentication, sourcesInRing, takeAuthentication } from "./ffi/records.ts";
import type { SocketCore } from "./socket_core.ts";
import {
  type AuthenticatedPeer,
  type AuthenticateOption,
  type AuthenticationRequest,
  checkVerdict,
} from "./verdict.ts";
import { z85Encode } from "./z85.ts";
import type { ZapFault, ZapReply } from "./zap.ts";
import { askHandler } from "./zap_handler.ts";

/** A peer that waits to be let in, wherever that is. */
export interface Waiting {
  /** Undefined: it does not wait any more. */
  read(): NativeAuthentication | undefined;
  /** False: it has left, or was answered. */
  answer(verdict: number): boolean;
}

/** At the native socket: its connection, and the number that tells this wait from a later one. */
export class WaitingPeer implements Waiting {
  readonly #context: NativeContext;
  readonly #session: number;
  readonly #request: number;

  constructor(context: NativeContext, session: number, request: number) {
    this.#context = context;
    this.#session = session;
    this.#request = request;
  }

  read(): NativeAuthentication | undefined {
    const { native, record } = this.#context;
    if (native.authentication(this.#session, this.#request) < 0) return undefined;
    return takeAuthentication(record);
  }

  answer(verdict: number): boolean {
    if (this.#context.native.authenticated(this.#session, this.#request, verdict) < 0) return false;
    // What it is told, and what it has sent meanwhile, is a turn's work.
    this.#context.turnSoon();
    return true;
  }
}

/** One decision that is not made yet. */
interface Decision {
  readonly waiting: Waiting;
  /** We have connected to it. */
  readonly connecting: boolean;
  readonly asked: AuthenticationRequest;
  readonly abort: AbortController;
  timer: Timer | undefined;
  /** Nobody is to be asked any more. */
  withdraw: (() => void) | undefined;
}

/** Nobody could be asked; 200 to 500 are ZAP's. */
export const UNAVAILABLE = 0;
const GRANTED = 200;
const FAILED = 500;

const mechanisms = { [Mechanism.null]: "NULL", [Mechanism.plain]: "PLAIN", [Mechanism.curve]: "CURVE" };

const faults: Record<ZapFault, number> = {
  ERR_ZAP_UNSPECIFIED: ProtocolCode.zap_unspecified,
  ERR_ZAP_MALFORMED_REPLY: ProtocolCode.zap_malformed_reply,
  ERR_ZAP_BAD_REQUEST_ID: ProtocolCode.zap_bad_request_id,
  ERR_ZAP_BAD_VERSION: ProtocolCode.zap_bad_version,
  ERR_ZAP_INVALID_STATUS_CODE: ProtocolCode.zap_invalid_status,
  ERR_ZAP_INVALID_METADATA: ProtocolCode.zap_invalid_metadata,
};

/** So many are kept before it is looked who has gone. */
const KEPT_MIN = 256;

/** Reasons that no event has told yet. */
const REASONS_MAX = 1024;

export class Authentication {
  readonly #core: SocketCore;
  readonly #waiting: Waiting[] = [];
  readonly #deciding = new Set<Decision>();
  /** Who came in, by connection, until their last message can have been read. */
  readonly peers = new Map<number, AuthenticatedPeer>();
  /** Those of them that we have connected to: their connection is made anew, by whoever is there then. */
  readonly #connecting = new Set<number>();
  readonly #reasons = new Map<number, string>();
  #pruneAt = KEPT_MIN;
  #sweepAt = KEPT_MIN;
  #warned = false;

  constructor(core: SocketCore) {
    this.#core = core;
  }

  /** Peers whose turn has not come; some of them may have left. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** A peer waits. */
  ask(peer: Waiting): void {
    this.#waiting.push(peer);
    if (this.#waiting.length >= this.#sweepAt) this.#sweep();
    this.#next();
  }

  /** Those that have left meanwhile go, before they fill the memory. */
  #sweep(): void {
    const there = this.#waiting.filter((it) => it.read() !== undefined);
    this.#waiting.splice(0, this.#waiting.length, ...there);
    this.#sweepAt = Math.max(KEPT_MIN, there.length * 2);
  }

  #next(): void {
    while (this.#waiting.length > 0 && this.#deciding.size < this.#core.values.authenticateMax) {
      this.#decide(this.#waiting.shift()!);
    }
  }

  #decide(waiting: Waiting): void {
    const known = waiting.read();
    if (known === undefined) return;
    const { connecting } = known;
    const { authenticate, zapDomain } = this.#core.values;
    const abort = new AbortController();
    const asked = requestOf(known, zapDomain ?? "", abort.signal);
    const decision: Decision = { waiting, connecting, asked, abort, timer: undefined, withdraw: undefined };
    this.#deciding.add(decision);
    if (authenticate !== null) this.#askOwn(decision, authenticate);
    else this.#askHandler(decision, known);
    known.password.fill(0);
  }

  /** What `authenticate` names. */
  #askOwn(decision: Decision, authenticate: AuthenticateOption): void {
    const ask = typeof authenticate === "function"
      ? authenticate
      : (request: AuthenticationRequest) => authenticate.authenticate(request);
    try {
      const verdict = ask(decision.asked);
      if (!isPromiseLike(verdict)) return this.#judge(decision, verdict);
      this.#limit(decision, FAILED);
      verdict.then(
        (value) => this.#judge(decision, value),
        (reason: unknown) => this.#failed(decision, reason),
      );
    } catch (reason) {
      this.#failed(decision, reason);
    }
  }

  #judge(decision: Decision, value: unknown): void {
    if (!this.#deciding.has(decision)) return;
    try {
      const verdict = checkVerdict(value);
      if (verdict.status !== GRANTED) return this.#refuse(decision, verdict.status, verdict.reason);
      this.#grant(decision, verdict.userId, verdict.metadata);
    } catch (reason) {
      this.#failed(decision, reason);
    }
  }

  /** It could not decide: nobody comes in by that. */
  #failed(decision: Decision, reason: unknown): void {
    if (!this.#deciding.has(decision)) return;
    this.#refuse(decision, FAILED, "authenticate has failed");
    if (this.#warned) return;
    this.#warned = true;
    const what = `authenticate of a ${this.#core.typeName} has failed, which refuses the peer`;
    process.emitWarning(`${what}: ${String(reason)}`, { code: "MONOCOQUE_AUTHENTICATE" });
  }

  /** The handler of the context, and what happens where there is none. */
  #askHandler(decision: Decision, known: NativeAuthentication): void {
    const { domain, address, mechanism } = decision.asked;
    const { context, owner, values } = this.#core;
    const credentials = {
      NULL: [],
      PLAIN: [known.username, known.password],
      CURVE: [known.publicKey],
    }[mechanism];
    const id = (values as { routingId?: string | Uint8Array | null }).routingId ?? "";
    const request = { domain, address, identity: Buffer.from(id as string), mechanism, credentials };
    const withdraw = askHandler(context, owner, request, (reply) => this.#hear(decision, reply));
    if (withdraw !== undefined) {
      decision.withdraw = withdraw;
      return this.#limit(decision, UNAVAILABLE);
    }
    const open = domain === "" ? mechanism === "CURVE" : !values.zapEnforceDomain;
    this.#end(decision, open && mechanism !== "PLAIN" ? GRANTED : UNAVAILABLE);
  }

  #hear(decision: Decision, reply: ZapReply | ZapFault): void {
    decision.withdraw = undefined;
    if (typeof reply === "string") return this.#refuse(decision, faults[reply], reply);
    if (reply.status !== GRANTED) return this.#refuse(decision, reply.status, reply.text);
    const metadata = [...reply.metadata].map(([name, value]) => [name, value.toString()] as const);
    const userId = reply.userId.length === 0 ? undefined : reply.userId.toString();
    this.#grant(decision, userId, Object.freeze(Object.fromEntries(metadata)));
  }

  /** Who has not decided by then has not let anybody in. */
  #limit(decision: Decision, verdict: number): void {
    const late = () => this.#refuse(decision, verdict, "no decision in time");
    decision.timer = setTimeout(late, this.#core.values.authenticateTimeout);
    decision.timer.unref();
  }

  #grant(decision: Decision, userId: string | undefined, metadata: AuthenticatedPeer["metadata"]): void {
    const { mechanism, address, connection, credentials } = decision.asked;
    const { publicKey } = credentials;
    const peer = Object.freeze({ userId, metadata, mechanism, address, publicKey, connection });
    // Nobody is asked any more, so nobody would tell who has its place later; or a proxy has the socket.
    if (!this.#core.security.asks) return void this.#end(decision, GRANTED);
    // A connection that we make keeps its number: what another one sent on it is still to be read.
    if (decision.connecting && this.#unreadOfAnother(peer)) {
      return this.#refuse(decision, 300, "messages of another peer wait");
    }
    if (!this.#end(decision, GRANTED)) return;
    this.peers.set(connection, peer);
    if (decision.connecting) this.#connecting.add(connection);
    if (this.#core.receiver !== undefined) this.#core.receiver.peers = this.peers;
    if (this.peers.size >= this.#pruneAt) this.#prune();
  }

  #unreadOfAnother(peer: AuthenticatedPeer): boolean {
    if (Bun.deepEquals(this.peers.get(peer.connection), peer)) return false;
    if (sourcesInRing(this.#core.shared).has(peer.connection)) return true;
    const row = this.#core.peers().find(({ connection }) => connection === peer.connection);
    return row !== undefined && row.receiveQueue > 0;
  }

  #refuse(decision: Decision, verdict: number, reason: string): void {
    if (this.#core.dispatch.onEvents !== undefined && verdict <= FAILED && verdict > GRANTED) {
      this.#reasons.set(decision.asked.connection, reason);
      const [oldest] = this.#reasons.keys();
      if (this.#reasons.size > REASONS_MAX) this.#reasons.delete(oldest!);
    }
    this.#end(decision, verdict);
  }

  /** False: the peer has left, or was answered. */
  #end(decision: Decision, verdict: number): boolean {
    if (!this.#deciding.delete(decision)) return false;
    clearTimeout(decision.timer);
    decision.withdraw?.();
    const there = decision.waiting.answer(verdict);
    if (verdict !== GRANTED) decision.abort.abort();
    if (this.#waiting.length > 0) queueMicrotask(() => this.#next());
    return there;
  }

  // -- those who came in ------------------------------------------------------------------------

  /** Those that have left, and whose last message was read, are forgotten. */
  #prune(): void {
    const { context: { native }, handle, shared } = this.#core;
    const unread = sourcesInRing(shared);
    for (const session of this.peers.keys()) {
      if (unread.has(session) || native.socket_connections(handle, session) >= 0) continue;
      this.peers.delete(session);
      this.#connecting.delete(session);
    }
    this.#pruneAt = Math.max(KEPT_MIN, this.peers.size * 2);
  }

  /** Nobody is asked from now on: who has the place of a peer then is not known. */
  forget(): void {
    for (const connection of this.#connecting) this.peers.delete(connection);
    this.#connecting.clear();
  }

  /** Adds to an event what is known of its peer here. */
  annotate(event: Event): void {
    const { connection } = event;
    if (connection === undefined) return;
    const userId = this.peers.get(connection)?.userId;
    if (userId !== undefined) event.userId = userId;
    if (event.type !== "handshake:error:auth") return;
    const reason = this.#reasons.get(connection);
    if (reason !== undefined) event.rejection = reason;
    this.#reasons.delete(connection);
  }

  /** The socket is closed, or goes to a proxy, or that has ended: who waits is not let in. */
  close(): void {
    for (const waiting of this.#waiting.splice(0)) waiting.answer(UNAVAILABLE);
    for (const decision of [...this.#deciding]) this.#end(decision, UNAVAILABLE);
  }
}

function requestOf(
  known: NativeAuthentication,
  domain: string,
  signal: AbortSignal,
): AuthenticationRequest {
  const { session: connection, remote, pid, uid } = known;
  const [, bracketed, plain] = /^tcp:\/\/(?:\[([^\]]+)\]|([^:]+)):\d+$/.exec(remote) ?? [];
  const asked = {
    mechanism: mechanisms[known.mechanism as keyof typeof mechanisms],
    domain,
    address: bracketed ?? plain ?? "",
    remote,
    ...(pid === 0 ? {} : { pid, uid }),
    connection,
    signal,
    credentials: credentialsOf(known),
  };
  return Object.freeze(asked) as unknown as AuthenticationRequest;
}

function credentialsOf({ mechanism, username, password, publicKey }: NativeAuthentication): object {
  if (mechanism === Mechanism.curve) return Object.freeze({ publicKey: z85Encode(publicKey) });
  if (mechanism !== Mechanism.plain) return Object.freeze({});
  const credentials = { username: username.toString() };
  const secret = password.toString();
  // Whoever prints a request prints no password.
  return Object.freeze(Object.defineProperty(credentials, "password", { get: () => secret }));
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === "function";
}
