import manifest from "../package.json";

/** The version of this package, such as "0.1.0". */
// Typed by hand: the package's declarations lie elsewhere, where that import leads nowhere.
export const version: string = manifest.version;

/**
 * What this version can do, in the words of zmq_has(3); `draft` stands for `monocoque/draft`.
 *
 * ```ts
 * if (!capability.curve) throw new Error("needs curve");
 * ```
 */
export const capability = Object.freeze({
  ipc: true,
  pgm: false,
  tipc: false,
  norm: false,
  curve: true,
  gssapi: false,
  draft: true,
});
