// Z85, the text form of CURVE keys (ZeroMQ RFC 32): five printable characters for four bytes.

import { zmqError } from "./errors.ts";

const alphabet =
  "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

const values = new Map([...alphabet].map((character, value) => [character, value]));

/**
 * Bytes as Z85 text; their number has to be a multiple of 4. EINVAL otherwise.
 *
 * ```ts
 * z85Encode(new Uint8Array([0x86, 0x4f, 0xd2, 0x6f])); // "Hello"
 * ```
 */
export function z85Encode(bytes: Uint8Array): string {
  if (bytes.length % 4 !== 0) {
    const advice = `Z85 takes multiples of 4 bytes, these are ${bytes.length}.`;
    throw zmqError("EINVAL", { advice });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let text = "";
  for (let at = 0; at < bytes.length; at += 4) {
    let value = view.getUint32(at);
    let group = "";
    for (let i = 0; i < 5; i++) {
      group = alphabet[value % 85]! + group;
      value = Math.floor(value / 85);
    }
    text += group;
  }
  return text;
}

/**
 * The bytes of Z85 text. EINVAL when its length is no multiple of 5, when a character is none of
 * Z85's, or when five of them stand for more than four bytes; the error does not repeat the text,
 * which may be a secret.
 *
 * ```ts
 * z85Decode("Hello"); // <Buffer 86 4f d2 6f>
 * ```
 */
export function z85Decode(text: string): Buffer {
  if (text.length % 5 !== 0) {
    const advice = `Z85 text has a multiple of 5 characters, this has ${text.length}.`;
    throw zmqError("EINVAL", { advice });
  }
  const bytes = Buffer.alloc((text.length / 5) * 4);
  for (let group = 0; group < text.length / 5; group++) {
    let value = 0;
    for (let at = group * 5; at < group * 5 + 5; at++) {
      const digit = values.get(text[at]!);
      if (digit === undefined) {
        throw zmqError("EINVAL", { advice: `Character ${at + 1} does not occur in Z85.` });
      }
      value = value * 85 + digit;
    }
    if (value > 0xffffffff) {
      const advice = `Characters ${group * 5 + 1} to ${group * 5 + 5} stand for no four bytes.`;
      throw zmqError("EINVAL", { advice });
    }
    bytes.writeUInt32BE(value, group * 4);
  }
  return bytes;
}

const KEY_BYTES = 32;
const KEY_CHARACTERS = 40;

/** 32 bytes of a key given as such or as Z85 text; errors do not repeat it. */
export function curveKeyBytes(key: unknown, label: string): Uint8Array {
  if (typeof key === "string") {
    if (key.length === KEY_CHARACTERS) return z85Decode(key);
    const advice = `${label} has ${KEY_CHARACTERS} characters of Z85, not ${key.length}.`;
    throw zmqError("EINVAL", { advice });
  }
  if (!(key instanceof Uint8Array)) {
    throw new TypeError(`${label} must be ${KEY_CHARACTERS} characters of Z85, or ${KEY_BYTES} bytes`);
  }
  if (key.length === KEY_BYTES) return key;
  throw zmqError("EINVAL", { advice: `${label} has ${KEY_BYTES} bytes, not ${key.length}.` });
}
