// CURVE keys: made, derived, and kept in files that pyzmq's `zmq.auth` reads and writes, too.

import { errnoError, zmqError } from "./errors.ts";
import { load } from "./ffi/native.ts";
import { node } from "./node.ts";
import { curveKeyBytes, z85Encode } from "./z85.ts";

/** Two keys of Curve25519 as Z85 text, 40 characters each. */
export interface CurveKeyPair {
  publicKey: string;
  secretKey: string;
}

const KEY_BYTES = 32;

/**
 * A new pair of keys. The public one is for the peers, the secret one for the socket's own
 * `curveSecretKey` and nobody else. Source: zmq_curve_keypair(3).
 *
 * ```ts
 * const { publicKey, secretKey } = curveKeyPair();
 * const server = new Reply({ curveServer: true, curveSecretKey: secretKey });
 * ```
 */
export function curveKeyPair(): CurveKeyPair {
  const keys = Buffer.alloc(2 * KEY_BYTES);
  const status = load().native.curve_key_pair(keys);
  if (status < 0) throw errnoError(status);
  const pair = {
    publicKey: z85Encode(keys.subarray(0, KEY_BYTES)),
    secretKey: z85Encode(keys.subarray(KEY_BYTES)),
  };
  keys.fill(0);
  return pair;
}

/**
 * The public key that belongs to a secret one, as Z85 text. EINVAL: not 32 bytes, or not Z85.
 * Source: zmq_curve_public(3).
 *
 * ```ts
 * curvePublicKey("JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"); // "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
 * ```
 */
export function curvePublicKey(secretKey: string | Uint8Array): string {
  const secret = curveKeyBytes(secretKey, "The secret key");
  const own = Buffer.from(secret);
  const target = Buffer.alloc(KEY_BYTES);
  const status = load().native.curve_public_key(own, target);
  own.fill(0);
  if (status < 0) throw errnoError(status);
  return z85Encode(target);
}

// -- files ----------------------------------------------------------------------------------------

/** What a key file holds. */
export interface CurveCertificate {
  /** Z85. */
  publicKey: string;
  /** Z85; not in the file for others. */
  secretKey?: string;
  /** Whatever its owner wrote down, such as a name. */
  metadata: Record<string, string>;
}

const EXPLANATION = {
  key: ["Public Certificate", "Give it to those who are to know this key, by a way they can trust."],
  key_secret: ["Secret Certificate", "DO NOT GIVE IT TO ANYBODY."],
} as const;

/**
 * Writes `<name>.key` for others and `<name>.key_secret` for oneself into a directory, which is made
 * if it is not there; the secret one with mode 0600. Files that exist are not overwritten (EEXIST).
 *
 * ```ts
 * const { secretFile } = writeCurveCertificate("certificates", "server", { name: "orders" });
 * ```
 */
export function writeCurveCertificate(
  directory: string,
  name: string,
  metadata: Record<string, string> = {},
  pair: CurveKeyPair = curveKeyPair(),
): { publicFile: string; secretFile: string } {
  for (const [key, value] of Object.entries(metadata)) {
    if (/^[\w.-]+$/.test(key) && !/["\r\n]/.test(value)) continue;
    const advice = `Metadata are words with values of one line and without '"', not ${JSON.stringify(key)}.`;
    throw zmqError("EINVAL", { advice });
  }
  const { fs, path } = node;
  if (name === "" || name === "." || name === ".." || /[/\0]/.test(name)) {
    throw zmqError("EINVAL", { advice: "The name of a certificate is that of a file, not a path." });
  }
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const publicFile = path.join(directory, `${name}.key`);
  const secretFile = path.join(directory, `${name}.key_secret`);
  writeNew(secretFile, 0o600, certificateText("key_secret", metadata, pair));
  try {
    writeNew(publicFile, 0o644, certificateText("key", metadata, pair));
  } catch (error) {
    fs.rmSync(secretFile);
    throw error;
  }
  return { publicFile, secretFile };
}

function certificateText(
  kind: keyof typeof EXPLANATION,
  metadata: Record<string, string>,
  pair: CurveKeyPair,
): string {
  const [title, note] = EXPLANATION[kind];
  const lines = [`#   ZeroMQ CURVE ${title}`, `#   ${note}`, "", "metadata"];
  for (const [key, value] of Object.entries(metadata)) lines.push(`    ${key} = "${value}"`);
  lines.push("curve", `    public-key = "${pair.publicKey}"`);
  if (kind === "key_secret") lines.push(`    secret-key = "${pair.secretKey}"`);
  return `${lines.join("\n")}\n`;
}

/** The mode is that from the first byte on, whatever the umask. */
function writeNew(path: string, mode: number, text: string): void {
  const { fs } = node;
  const file = fs.openSync(path, "wx", mode);
  try {
    fs.fchmodSync(file, mode);
    fs.writeFileSync(file, text);
  } finally {
    fs.closeSync(file);
  }
}

/**
 * Reads a key file. EACCES: it holds a secret key and others than its owner may read it. EINVAL: no
 * key in it, or a broken one; the error does not repeat what it found.
 *
 * ```ts
 * const { publicKey, secretKey } = readCurveCertificate("certificates/server.key_secret");
 * ```
 */
export function readCurveCertificate(path: string): CurveCertificate {
  const { fs } = node;
  const file = fs.openSync(path, "r");
  let text: string;
  let mode: number;
  try {
    mode = fs.fstatSync(file).mode;
    text = fs.readFileSync(file, "utf8");
  } finally {
    fs.closeSync(file);
  }
  const { publicKey, secretKey, metadata } = parseCurveCertificate(text, path);
  if (secretKey === undefined) return { publicKey, metadata };
  if ((mode & 0o077) !== 0) {
    const advice = `Others may read the secret key in ${path}: chmod 600 it, and make a new one.`;
    throw zmqError("EACCES", { advice });
  }
  return { publicKey, secretKey, metadata };
}

function checkKey(text: string, label: string): void {
  try {
    curveKeyBytes(text, label).fill(0);
  } catch {
    throw zmqError("EINVAL", { advice: `${label} is none: 40 characters of Z85.` });
  }
}

/** ZPL (RFC 4) as far as certificates use it: sections, and indented names with a value. */
function parseCurveCertificate(text: string, path: string): CurveCertificate {
  const sections = new Map<string, Map<string, string>>();
  let section = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*(#|$)/.test(line)) continue;
    const property = /^\s+([\w.\-/]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|(\S[^#]*?))\s*(?:#.*)?$/.exec(line);
    if (property !== null) {
      section.set(property[1]!, property[2] ?? property[3] ?? property[4]!);
    } else if (/^[\w.\-/]+\s*(?:#.*)?$/.test(line)) {
      const name = line.replace(/\s*#.*/, "").trim();
      section = sections.get(name) ?? new Map<string, string>();
      sections.set(name, section);
    } else {
      throw zmqError("EINVAL", { advice: `${path} is no key file: pyzmq's zmq.auth writes such.` });
    }
  }
  const keys = sections.get("curve");
  const publicKey = keys?.get("public-key");
  const secretKey = keys?.get("secret-key");
  if (publicKey === undefined) {
    throw zmqError("EINVAL", { advice: `${path} has no public-key in a section curve.` });
  }
  checkKey(publicKey, `The public key in ${path}`);
  if (secretKey !== undefined) checkKey(secretKey, `The secret key in ${path}`);
  const metadata = Object.fromEntries(sections.get("metadata") ?? []);
  return secretKey === undefined ? { publicKey, metadata } : { publicKey, secretKey, metadata };
}
