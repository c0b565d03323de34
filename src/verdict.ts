// What an authenticator is asked about a peer, and what it may answer.

/** What is asked about a peer, whatever it proves. */
interface Asked {
  /** The socket's `zapDomain`; empty: it has none. */
  readonly domain: string;
  /** The peer's IP address without its port; empty for ipc. */
  readonly address: string;
  /** The peer as an endpoint, such as `tcp://10.0.0.7:41234`; empty where it has no address. */
  readonly remote: string;
  /** The process at the other end of an ipc connection, and its user, as the kernel tells. */
  readonly pid?: number;
  readonly uid?: number;
  /** The connection, as events name it; for a socket in a `Proxy` a number of the proxy's. */
  readonly connection: number;
  /** Aborted when the answer is not waited for any more: too late, or the socket was closed. */
  readonly signal: AbortSignal;
}

/**
 * A peer that waits to be let in. A password is there for who reads it; it is not shown by
 * `console.log` or `JSON.stringify`.
 */
export type AuthenticationRequest = Asked &
  (
    | { readonly mechanism: "NULL"; readonly credentials: Credentials<never, never> }
    /** What the peer says, not proved. */
    | { readonly mechanism: "PLAIN"; readonly credentials: Credentials<string, never> }
    /** In Z85; the peer has proved to have its secret half. */
    | { readonly mechanism: "CURVE"; readonly credentials: Credentials<never, string> }
  );

/** A user and its password, or a public key, or nothing at all. */
type Credentials<User, Key> = Readonly<
  ([User] extends [never]
    ? { username?: never; password?: never }
    : { username: User; password: User }) &
    ([Key] extends [never] ? { publicKey?: never } : { publicKey: Key })
>;

/** The peer may come in. What is known of it goes with its messages and events. */
export interface Acceptance {
  /** Who it is, in the words of whoever decides. */
  userId?: string;
  metadata?: Readonly<Record<string, string>>;
}

/** The peer may not come in. */
export interface Rejection {
  /** Why, for the events on our side; the peer is told the status only. */
  reject: string;
  /**
   * 400 it is not allowed to (default), 500 we could not tell: either is final, a monocoque or a libzmq
   * does not try again. 300 not now: the connection ends, and the peer tries again.
   */
  status?: 300 | 400 | 500;
}

/** True and false stand for an acceptance and a rejection that say no more; the others are plain objects. */
export type Verdict = boolean | Acceptance | Rejection;

/** Decides about a peer, now or later. */
export type Authenticate = (request: AuthenticationRequest) => Verdict | PromiseLike<Verdict>;

/** What a socket asks: a function, or an object with such a method, as an `Authenticator`. */
export type AuthenticateOption = Authenticate | { authenticate: Authenticate };

/** What is known of a peer that was let in; it does not change. */
export interface AuthenticatedPeer {
  readonly userId: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  readonly mechanism: AuthenticationRequest["mechanism"];
  /** Its IP address without port; empty for ipc. */
  readonly address: string;
  /** Its public key in Z85, with CURVE. */
  readonly publicKey: string | undefined;
  /** Its connection, as events name it. */
  readonly connection: number;
}

/** A verdict of either kind. */
export type CheckedVerdict =
  | { status: 200; userId: string | undefined; metadata: Readonly<Record<string, string>> }
  | { status: 300 | 400 | 500; reason: string };

/**
 * Reads what an authenticator answered. Throws a TypeError for whatever is no verdict: an object with
 * a word that is none of ours may well have meant no, and so may an Error or a Response.
 */
export function checkVerdict(verdict: unknown): CheckedVerdict {
  if (verdict === true) return { status: 200, userId: undefined, metadata: nothing };
  if (verdict === false) return { status: 400, reason: "refused" };
  const said = saidBy("A verdict is true, false or", verdict);
  if (said.has("reject")) return checkRejection(said);
  const other = [...said.keys()].find((word) => word !== "userId" && word !== "metadata");
  if (other !== undefined) {
    throw new TypeError(`A verdict has userId and metadata, or reject and status, no ${String(other)}`);
  }
  const userId = said.get("userId");
  if (userId !== undefined && typeof userId !== "string") {
    throw new TypeError(`The userId of a verdict is a string, not ${typeof userId}`);
  }
  return { status: 200, userId, metadata: checkMetadata(said.get("metadata")) };
}

const nothing: Readonly<Record<string, string>> = Object.freeze({});

/** All that a plain object says: nothing of it is inherited, hidden, or another thing when asked again. */
function saidBy(what: string, value: unknown): Map<string | symbol, unknown> {
  const kind = value === null ? "null" : typeof value;
  if (typeof value !== "object" || value === null) {
    throw new TypeError(`${what} a plain object, not ${kind}`);
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`${what} a plain object, no instance of a class`);
  }
  const own = Reflect.ownKeys(value).map((key) => {
    const property = Reflect.getOwnPropertyDescriptor(value, key);
    if (property === undefined || !("value" in property)) {
      throw new TypeError(`${what} a plain object, without getters`);
    }
    return [key, property.value as unknown] as const;
  });
  return new Map(own);
}

function checkRejection(said: ReadonlyMap<string | symbol, unknown>): CheckedVerdict {
  if (said.has("userId") || said.has("metadata")) {
    throw new TypeError("A verdict lets a peer in or rejects it, not both");
  }
  const reject = said.get("reject");
  const { status = 400 } = { status: said.get("status") };
  if (status !== 300 && status !== 400 && status !== 500) {
    throw new TypeError("The status of a rejection is 300, 400 or 500");
  }
  return { status, reason: typeof reject === "string" ? reject : "refused" };
}

function checkMetadata(metadata: unknown): Readonly<Record<string, string>> {
  if (metadata === undefined) return nothing;
  const said = saidBy("The metadata of a verdict are", metadata);
  const strings = [...said].every(([key, value]) => typeof key === "string" && typeof value === "string");
  if (strings) return Object.freeze(Object.fromEntries(said) as Record<string, string>);
  throw new TypeError("The metadata of a verdict are strings");
}
