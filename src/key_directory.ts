// Public keys of CURVE in a directory that is watched: whoever's file is there may come in.

import { readCurveCertificate } from "./curve.ts";
import { node } from "./node.ts";

/** Whose key it is. */
export interface KeyOwner {
  /** The name of the file, without ".key". */
  readonly name: string;
  readonly metadata: Readonly<Record<string, string>>;
}

interface KeyFile extends KeyOwner {
  /** Changes when the file does. */
  readonly stamp: string;
  /** Undefined: it could not be read. */
  readonly publicKey: string | undefined;
}

/** After a change, for the others that come with it, ms. */
const SETTLE_MS = 50;

/** Between two looks where nothing tells of changes, ms. */
const LOOK_MS = 500;

export class KeyDirectory {
  readonly #directory: string;
  #files = new Map<string, KeyFile>();
  #keys = new Map<string, KeyOwner>();
  #watcher: import("node:fs").FSWatcher | undefined;
  #settling: Timer | undefined;
  #interval: Timer | undefined;

  /** Throws what reading the directory throws; a file that is no key is a warning. */
  constructor(directory: string) {
    this.#directory = directory;
    node.fs.readdirSync(directory);
    this.#look();
  }

  /** The owner of a key in Z85. */
  get(publicKey: string): KeyOwner | undefined {
    return this.#keys.get(publicKey);
  }

  get size(): number {
    return this.#keys.size;
  }

  /** Files that are no keys. */
  get bad(): number {
    return this.#files.size - [...this.#files.values()].filter((it) => it.publicKey !== undefined).length;
  }

  /** Before the first look, so that nothing is missed. */
  #watch(): void {
    if (this.#watcher !== undefined) return;
    const noticed = () => {
      this.#settling ??= setTimeout(() => this.#look(), SETTLE_MS);
      this.#settling.unref();
    };
    try {
      this.#watcher = node.fs.watch(this.#directory, { persistent: false }, noticed);
      this.#watcher.on("error", () => this.#poll());
      clearInterval(this.#interval);
      this.#interval = undefined;
    } catch {
      // No directory, or no more watches to be had.
      this.#poll();
    }
  }

  #poll(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#interval ??= setInterval(() => this.#look(), LOOK_MS);
    this.#interval.unref();
  }

  #look(): void {
    clearTimeout(this.#settling);
    this.#settling = undefined;
    this.#watch();
    const files = new Map<string, KeyFile>();
    for (const name of this.#names()) {
      const file = this.#read(name);
      if (file !== undefined) files.set(name, file);
    }
    this.#files = files;
    this.#keys = new Map();
    for (const { publicKey, name, metadata } of files.values()) {
      if (publicKey !== undefined) this.#keys.set(publicKey, { name, metadata });
    }
  }

  /** Without a directory there are no keys, and nobody comes in. */
  #names(): string[] {
    try {
      return node.fs.readdirSync(this.#directory).filter((name) => name.endsWith(".key")).sort();
    } catch (reason) {
      // The one that is watched has gone; another one may come.
      this.#poll();
      if (this.#files.size > 0) warn(`The directory of keys cannot be read: ${String(reason)}`);
      return [];
    }
  }

  /** Undefined: it has gone meanwhile. */
  #read(file: string): KeyFile | undefined {
    const path = node.path.join(this.#directory, file);
    const name = file.slice(0, -".key".length);
    const stat = node.fs.statSync(path, { throwIfNoEntry: false, bigint: true });
    if (stat === undefined) return undefined;
    const stamp = `${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;
    const before = this.#files.get(file);
    if (before?.stamp === stamp) return before;
    try {
      const { publicKey, metadata } = readCurveCertificate(path);
      return { name, stamp, publicKey, metadata: Object.freeze(metadata) };
    } catch (reason) {
      warn(`A key file was skipped: ${String(reason)}`);
      return { name, stamp, publicKey: undefined, metadata: {} };
    }
  }

  close(): void {
    this.#watcher?.close();
    clearTimeout(this.#settling);
    clearInterval(this.#interval);
  }
}

function warn(what: string): void {
  process.emitWarning(what, { code: "MONOCOQUE_KEY_FILE" });
}
