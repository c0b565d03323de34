// A socket's part in PLAIN or CURVE, made of its options, and when it becomes the native socket's: before
// a bind or connect, and with each option that is set later and leaves nothing missing.

import type { NativeContext } from "./context.ts";
import { errnoError, ZmqError, zmqError } from "./errors.ts";
import { Mechanism, Status } from "./ffi/abi.generated.ts";
import { type NativeSecurity, writeSecurity } from "./ffi/records.ts";
import type { AllOptions } from "./options.ts";
import { z85Decode } from "./z85.ts";

/** Options that make a part when they are set to something, and end it with null or false. */
const parts = {
  plainServer: "a server of PLAIN",
  plainUsername: "a client of PLAIN",
  curveServer: "a server of CURVE",
  curveServerKey: "a client of CURVE",
} as const;

type Part = keyof typeof parts;

const partNames = Object.keys(parts) as Part[];

const securing: ReadonlySet<string> = new Set<keyof AllOptions>([
  "plainServer", "plainUsername", "plainPassword", "curveServer", "curvePublicKey",
  "curveSecretKey", "curveServerKey", "zapDomain", "authenticate",
]);

export class Security {
  readonly #typeName: string;
  readonly #context: NativeContext;
  readonly #handle: number;
  readonly #values: AllOptions;
  readonly #onUnasked: () => void;
  /** What the native socket was told last; undefined: none, or nothing yet. */
  #part: Part | undefined;
  #asks = false;
  /** Something was set that the native socket has not been told. */
  #changed = false;
  /** It has been bound or connected: what is set counts at once. */
  #inForce = false;
  #warning = false;
  /** Keys of a client that was given none: it stays who it is as long as the socket lives. */
  #made: { secretKey: Buffer; publicKey: Buffer } | undefined;

  /** `onUnasked` is called when from now on nobody is asked about peers. */
  constructor(
    typeName: string,
    context: NativeContext,
    handle: number,
    values: AllOptions,
    onUnasked: () => void,
  ) {
    this.#typeName = typeName;
    this.#context = context;
    this.#handle = handle;
    this.#values = values;
    this.#onUnasked = onUnasked;
  }

  /** What the options ask for; where they contradict each other, what is in force. */
  get mechanism(): null | "plain" | "curve" {
    const wanted = this.#wanted();
    const part = wanted.length > 1 ? this.#part : wanted[0];
    if (part === undefined) return null;
    return part.startsWith("plain") ? "plain" : "curve";
  }

  /** Connections that are made now are asked about. */
  get asks(): boolean {
    return this.#asks;
  }

  #wanted(): Part[] {
    return partNames.filter((name) => Boolean(this.#values[name]));
  }

  /** An option was set. */
  changed(name: string): void {
    if (!securing.has(name)) return;
    this.#changed = true;
    if (!this.#inForce) return;
    try {
      this.prepare();
    } catch (error) {
      this.#warnIfItStays(error);
    }
  }

  /** Keys are changed one by one: only what is still wrong at the end of the turn is worth a word. */
  #warnIfItStays(reason: unknown): void {
    if (!(reason instanceof ZmqError)) throw reason;
    if (this.#warning) return;
    this.#warning = true;
    queueMicrotask(() => {
      this.#warning = false;
      const why = this.#changed ? this.#failure() : undefined;
      if (why === undefined) return;
      const what = `${this.#typeName} goes on with its former keys: ${why.message}`;
      process.emitWarning(what, { code: "MONOCOQUE_SECURITY" });
    });
  }

  #failure(): Error | undefined {
    try {
      this.prepare();
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }

  /**
   * Before a bind or connect: tells the native socket what it has not been told. Throws EINVAL when
   * something is missing or does not fit; then the part before stays in force.
   */
  prepare(): void {
    if (this.#changed) this.#tell();
    this.#inForce = true;
  }

  #tell(): void {
    const wanted = this.#wanted();
    if (wanted.length > 1) throw contradiction(wanted);
    const [part] = wanted;
    this.#put(this.#make(part));
    this.#part = part;
    this.#changed = false;
  }

  #put(security: NativeSecurity): void {
    writeSecurity(this.#context.record, security);
    // Copies of secrets are not left lying about; those that were made are needed again.
    if (security.secretKey !== this.#made?.secretKey) security.secretKey?.fill(0);
    security.password?.fill(0);
    const status = this.#context.native.socket_secure(this.#handle);
    if (status === Status.EINVAL) {
      this.#checkHalves();
      throw invalid("curveServerKey is no public key.");
    }
    if (status < 0) throw errnoError(status);
    this.#asks = security.authenticate;
    if (!this.#asks) this.#onUnasked();
  }

  #make(part: Part | undefined): NativeSecurity {
    const { zapDomain, authenticate, plainUsername, plainPassword } = this.#values;
    const asks = authenticate !== null || (zapDomain !== null && zapDomain !== "");
    switch (part) {
      case undefined:
        this.#checkNone();
        return { mechanism: Mechanism.null, server: false, authenticate: asks };
      case "plainServer":
        return { mechanism: Mechanism.plain, server: true, authenticate: true };
      case "plainUsername":
        return {
          mechanism: Mechanism.plain,
          server: false,
          authenticate: false,
          username: Buffer.from(plainUsername ?? ""),
          password: Buffer.from(plainPassword ?? ""),
        };
      case "curveServer":
        // Whether there is a handler to ask is known when somebody comes.
        return { mechanism: Mechanism.curve, server: true, authenticate: true, ...this.#serverKeys() };
      case "curveServerKey":
        return {
          mechanism: Mechanism.curve,
          server: false,
          authenticate: false,
          serverKey: bytesOf(this.#values.curveServerKey),
          ...(this.#ownKeys() ?? this.#madeKeys()),
        };
    }
  }

  /** Who sets a password or a key and forgets the rest must not end up without any security. */
  #checkNone(): void {
    const { curveSecretKey, curvePublicKey, plainPassword } = this.#values;
    if (plainPassword !== null) {
      throw invalid("plainPassword needs a plainUsername; for a server set plainServer instead.");
    }
    if (curveSecretKey === null && curvePublicKey === null) return;
    throw invalid(
      "Keys of CURVE are set, but no part: set curveServer to true, or curveServerKey to the public " +
        "key of the server. To turn CURVE off set curveSecretKey and curvePublicKey to null.",
    );
  }

  #serverKeys(): Keys {
    // The native side looks at the secret one only.
    this.#checkHalves();
    const keys = this.#ownKeys();
    if (keys !== undefined) return keys;
    throw invalid("curveServer needs a curveSecretKey: curveKeyPair() makes one.");
  }

  /** The socket's own, if it was given some. */
  #ownKeys(): Keys | undefined {
    const { curveSecretKey, curvePublicKey } = this.#values;
    if (curveSecretKey === null) {
      if (curvePublicKey === null) return undefined;
      throw invalid("curvePublicKey needs the curveSecretKey that belongs to it.");
    }
    const secretKey = bytesOf(curveSecretKey);
    const publicKey = curvePublicKey === null ? this.#publicKeyOf(secretKey) : bytesOf(curvePublicKey);
    return { secretKey, publicKey };
  }

  #checkHalves(): void {
    const { curveSecretKey, curvePublicKey } = this.#values;
    if (curveSecretKey === null || curvePublicKey === null) return;
    const secretKey = bytesOf(curveSecretKey);
    const belongs = this.#publicKeyOf(secretKey).equals(bytesOf(curvePublicKey));
    secretKey.fill(0);
    if (belongs) return;
    throw invalid("curvePublicKey does not belong to curveSecretKey; without it that is worked out.");
  }

  #publicKeyOf(secretKey: Buffer): Buffer {
    const publicKey = Buffer.alloc(secretKey.length);
    const status = this.#context.native.curve_public_key(secretKey, publicKey);
    if (status < 0) throw errnoError(status);
    return publicKey;
  }

  #madeKeys(): Keys {
    if (this.#made !== undefined) return this.#made;
    const both = Buffer.alloc(64);
    const status = this.#context.native.curve_key_pair(both);
    if (status < 0) throw errnoError(status);
    this.#made = { publicKey: both.subarray(0, 32), secretKey: both.subarray(32) };
    return this.#made;
  }

  /** The socket is closed, or a proxy's: nothing is told any more, and keys that it made are of no use. */
  close(): void {
    this.#inForce = false;
    this.#asks = false;
    this.#made?.secretKey.fill(0);
    this.#made = undefined;
  }
}

interface Keys {
  secretKey: Buffer;
  publicKey: Buffer;
}

/** One of them would be taken, and perhaps the one that sends a password in clear. */
function contradiction(wanted: readonly Part[]): ZmqError {
  const off = (part: Part) => `${part} to ${part.endsWith("Server") ? "false" : "null"}`;
  const ways = wanted.map((part) => {
    const others = wanted.filter((other) => other !== part).map(off);
    return `for ${parts[part]} set ${others.join(" and ")}`;
  });
  const what = `${wanted.join(" and ")} are set, and a socket has one part`;
  return invalid(`${what}: ${ways.join(", ")}.`);
}

function bytesOf(key: AllOptions["curveSecretKey"]): Buffer {
  return z85Decode(key as string);
}

function invalid(advice: string): ZmqError {
  return zmqError("EINVAL", { advice });
}
