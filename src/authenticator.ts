// Who may come in, for those who need no function of their own: addresses, passwords, keys.

import { AddressRanges } from "./address_ranges.ts";
import { zmqError } from "./errors.ts";
import { KeyDirectory, type KeyOwner } from "./key_directory.ts";
import { inspectCustom } from "./node.ts";
import type { Acceptance, AuthenticationRequest, Rejection, Verdict } from "./verdict.ts";
import { checkVerdict } from "./verdict.ts";
import { curveKeyBytes, z85Encode } from "./z85.ts";

/** What an {@link Authenticator} goes by. What is absent lets nobody in by it. */
export interface AuthenticatorOptions {
  /**
   * Addresses that may come in, `"10.0.0.0/8"`, `"::1"`, and `"ipc"` for peers over ipc; absent: all.
   * With this, or `deny`, a peer of which neither is known stays outside. Peers of NULL prove nothing, so
   * only with one of the two they are let in.
   */
  allow?: Iterable<string>;
  /** Addresses that may not, whatever `allow` says. */
  deny?: Iterable<string>;
  /** Hashes of passwords by user name, for PLAIN: what {@link Authenticator.hash} makes. */
  passwords?: Readonly<Record<string, string>>;
  /**
   * Public keys that may come in with CURVE: the path of a directory of `*.key` files, which is watched;
   * or keys in Z85 or 32 bytes, or pairs of a name and a key, as a `Map` has them; or `"any"` for
   * whoever has the server's public key. A userId is the file's or the key's name, or the key in Z85.
   */
  curveKeys?: string | Iterable<string | Uint8Array | readonly [name: string, key: string | Uint8Array]>;
  /** Values of `zapDomain` that this is about; absent: all. */
  domains?: Iterable<string>;
  /**
   * Has the last word about a peer that the rest has let in, and the only one about a mechanism that the
   * rest says nothing of: a verdict, or undefined to leave it at that.
   */
  onRequest?: (
    request: AuthenticationRequest,
  ) => Verdict | undefined | PromiseLike<Verdict | undefined>;
}

/** What an {@link Authenticator} has decided. */
export interface AuthenticatorStats {
  allowed: number;
  denied: number;
  /** The denied ones by reason; only those there were. */
  deniedBy: Partial<Record<Denial, number>>;
  /** Keys of CURVE that are known; undefined: any, or none is asked for. */
  keys: number | undefined;
  /** Files of the directory that are no keys. */
  badKeyFiles: number;
}

/** `callback`: onRequest has refused it. `closed`: the authenticator was closed. */
export type Denial = "domain" | "address" | "mechanism" | "password" | "key" | "callback" | "closed";

/** OWASP's choice for argon2id: 19 MiB, two passes. */
const hashing = { algorithm: "argon2id", memoryCost: 19_456, timeCost: 2 } as const;

/**
 * Decides who may come in: by address, by password, by key. Give it to `socket.authenticate`; one may
 * serve many sockets. What is not configured lets nobody in. It watches a directory of keys until it is
 * closed, and does not keep the process alive.
 *
 * Errors (thrown): EINVAL (no range of addresses, no hash, no key), ENOENT and their like (no directory).
 *
 * ```ts
 * using authenticator = new Authenticator({ allow: ["10.0.0.0/8"], curveKeys: "/etc/orders/clients" });
 * const server = new Router({ curveServer: true, curveSecretKey, authenticate: authenticator });
 * ```
 */
export class Authenticator {
  readonly #allow: AddressRanges | undefined;
  readonly #deny: AddressRanges | undefined;
  readonly #domains: ReadonlySet<string> | undefined;
  readonly #passwords: ReadonlyMap<string, string> | undefined;
  readonly #directory: KeyDirectory | undefined;
  readonly #keys: Pick<Map<string, KeyOwner>, "get" | "size"> | undefined;
  readonly #anyKey: boolean;
  readonly #onRequest: AuthenticatorOptions["onRequest"];
  readonly #denied = new Map<Denial, number>();
  /** So that nobody else can tell which user's hash an unknown one is compared with. */
  readonly #salt = crypto.getRandomValues(new Uint8Array(16));
  #allowed = 0;
  #closed = false;

  constructor(options: AuthenticatorOptions) {
    if (typeof options !== "object" || options === null) {
      throw new TypeError('Authenticator options are an object such as { allow: ["127.0.0.1"] }');
    }
    const { allow, deny, passwords, curveKeys, domains, onRequest, ...others } = options;
    const [unknown] = Object.keys(others);
    if (unknown !== undefined) throw new TypeError(`Authenticator has no option ${unknown}`);
    if (onRequest !== undefined && typeof onRequest !== "function") {
      throw new TypeError("Authenticator option onRequest is a function");
    }
    this.#allow = allow && new AddressRanges(listed("allow", allow), "allow");
    this.#deny = deny && new AddressRanges(listed("deny", deny), "deny");
    this.#domains = domains && new Set(listed("domains", domains));
    this.#passwords = passwords && checkPasswords(passwords);
    this.#onRequest = onRequest;
    this.#anyKey = curveKeys === "any";
    if (typeof curveKeys === "string" && !this.#anyKey) this.#directory = new KeyDirectory(curveKeys);
    else if (typeof curveKeys === "object") this.#keys = checkKeys(curveKeys);
    this.#keys ??= this.#directory;
  }

  /**
   * Makes the hash of a password for the option `passwords`: argon2id, by Bun.password. Takes some tens
   * of milliseconds on another thread, and so does each comparison.
   *
   * ```ts
   * const hash = await Authenticator.hash("correct horse"); // "$argon2id$v=19$m=19456,t=2,p=1$…"
   * ```
   */
  static hash(password: string): Promise<string> {
    return Bun.password.hash(password, hashing);
  }

  /** The same as setting the socket's `authenticate`. Returns the socket. */
  attach<S extends { authenticate: unknown }>(socket: S): S {
    socket.authenticate = this;
    return socket;
  }

  /** What sockets call: decides about one peer. */
  authenticate(request: AuthenticationRequest): Verdict | Promise<Verdict> {
    if (this.#closed) return this.#deny300();
    if (this.#domains !== undefined && !this.#domains.has(request.domain)) return this.#refuse("domain");
    if (!this.#mayComeFrom(placeOf(request))) return this.#refuse("address");
    switch (request.mechanism) {
      case "NULL":
        return this.#conclude(request, this.#allow || this.#deny ? {} : undefined);
      case "PLAIN":
        return this.#checkPassword(request, request.credentials);
      case "CURVE":
        return this.#checkKey(request, request.credentials.publicKey);
    }
  }

  #mayComeFrom(place: string | undefined): boolean {
    if (this.#allow === undefined && this.#deny === undefined) return true;
    if (place === undefined || this.#deny?.has(place) === true) return false;
    return this.#allow?.has(place) ?? true;
  }

  #checkPassword(
    request: AuthenticationRequest,
    { username, password }: { readonly username: string; readonly password: string },
  ): Verdict | Promise<Verdict> {
    if (this.#passwords === undefined) return this.#conclude(request, undefined);
    // Also for a user that there is: to choose one takes time, too.
    const decoy = this.#decoy(username);
    const own = this.#passwords.get(username);
    const hash = own ?? decoy;
    if (hash === undefined) return this.#refuse("password");
    return Bun.password.verify(password, hash).then((same) => {
      if (own === undefined || !same) return this.#refuse("password");
      return this.#conclude(request, { userId: username });
    });
  }

  /**
   * A user that there is not is compared with the hash of one that there is, always the same: so it takes
   * as long, and nobody learns who has an account here.
   */
  #decoy(username: string): string | undefined {
    const hashes = [...this.#passwords!.values()];
    const digest = new Bun.CryptoHasher("sha256", this.#salt).update(username).digest();
    return hashes[digest.readUInt32LE(0) % hashes.length];
  }

  #checkKey(request: AuthenticationRequest, publicKey: string): Verdict | Promise<Verdict> {
    if (this.#anyKey) return this.#conclude(request, { userId: publicKey });
    if (this.#keys === undefined) return this.#conclude(request, undefined);
    // Nothing to be learnt from how long it takes: the peer has this key, and public it is.
    const owner = this.#keys.get(publicKey);
    if (owner === undefined) return this.#refuse("key");
    return this.#conclude(request, { userId: owner.name, metadata: owner.metadata });
  }

  /** The last word; undefined: the options say nothing of its mechanism. */
  #conclude(
    request: AuthenticationRequest,
    verdict: Acceptance | undefined,
  ): Verdict | Promise<Verdict> {
    if (this.#onRequest === undefined) return this.#count(undefined, verdict);
    const word = this.#onRequest(request);
    if (typeof (word as PromiseLike<unknown> | undefined)?.then !== "function") {
      return this.#count(word as Verdict | undefined, verdict);
    }
    return Promise.resolve(word).then((later) => this.#count(later, verdict));
  }

  #count(word: Verdict | undefined, verdict: Acceptance | undefined): Verdict {
    // Perhaps in the time that a password or onRequest has taken.
    if (this.#closed) return this.#deny300();
    if (word === undefined) {
      if (verdict === undefined) return this.#refuse("mechanism");
      this.#allowed += 1;
      return verdict;
    }
    const checked = checkVerdict(word);
    if (checked.status !== 200) {
      this.#add("callback");
      return word;
    }
    this.#allowed += 1;
    return word === true ? (verdict ?? true) : word;
  }

  #refuse(why: Denial): Rejection {
    this.#add(why);
    return { reject: why };
  }

  /** Keys that were taken back meanwhile must not open anything; whoever comes next may do better. */
  #deny300(): Rejection {
    this.#add("closed");
    return { reject: "closed", status: 300 };
  }

  #add(why: Denial): void {
    this.#denied.set(why, (this.#denied.get(why) ?? 0) + 1);
  }

  /**
   * What it has decided so far.
   *
   * ```ts
   * console.log(authenticator.stats().deniedBy.password ?? 0);
   * ```
   */
  stats(): AuthenticatorStats {
    return {
      allowed: this.#allowed,
      denied: [...this.#denied.values()].reduce((sum, count) => sum + count, 0),
      deniedBy: Object.fromEntries(this.#denied),
      keys: this.#keys?.size,
      badKeyFiles: this.#directory?.bad ?? 0,
    };
  }

  /** Stops watching. From then on nobody is let in: status 300, so that peers try again. */
  close(): void {
    this.#closed = true;
    this.#directory?.close();
  }

  /** `close()` at the end of a block: `using authenticator = new Authenticator(…);`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal What it has counted: nothing secret. */
  [inspectCustom](_depth: number, options: object, inspect = Bun.inspect): string {
    return `Authenticator ${inspect(this.stats(), options)}`;
  }
}

/** As ranges have it; undefined: an ipc peer is one by more than having no address. */
function placeOf({ address, remote, pid = 0 }: AuthenticationRequest): string | undefined {
  if (address !== "") return address;
  return pid !== 0 || remote.startsWith("ipc:") ? "ipc" : undefined;
}

function listed(label: string, list: Iterable<string>): Iterable<string> {
  if (typeof list === "object" && Symbol.iterator in list) return list;
  throw new TypeError(`Authenticator option ${label} is an array of strings`);
}

function checkPasswords(passwords: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  if (typeof passwords !== "object") {
    throw new TypeError("Authenticator option passwords is an object of hashes by user name");
  }
  const all = new Map(Object.entries(passwords));
  for (const [name, hash] of all) {
    if (typeof hash === "string" && /^\$(argon2(id|i|d)|2[aby])\$/.test(hash)) continue;
    const advice = `passwords has no hash for ${JSON.stringify(name)}: Authenticator.hash() makes one.`;
    throw zmqError("EINVAL", { advice });
  }
  return all;
}

type Keys = Exclude<NonNullable<AuthenticatorOptions["curveKeys"]>, string>;

function checkKeys(keys: Keys): Map<string, KeyOwner> {
  if (!(Symbol.iterator in keys) || keys instanceof Uint8Array) {
    throw new TypeError('Authenticator option curveKeys is a directory, keys, or "any"');
  }
  const all = new Map<string, KeyOwner>();
  for (const entry of keys) {
    const pair = Array.isArray(entry) ? (entry as [string, string | Uint8Array]) : undefined;
    const key = z85Encode(curveKeyBytes(pair?.[1] ?? entry, "Each of curveKeys"));
    all.set(key, { name: pair?.[0] ?? key, metadata: {} });
  }
  return all;
}
