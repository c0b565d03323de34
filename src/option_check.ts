// Checks what is assigned to an option against the table, before it goes into the native record.

import { zmqError } from "./errors.ts";
import type { OptionName, SocketTypeName } from "./options.ts";
import { type Kind, ms, optionNames, optionTable, secretOptions, type Spec } from "./option_table.ts";
import { unsupportedOptions } from "./option_unsupported.ts";
import type { AuthenticateOption } from "./verdict.ts";
import { curveKeyBytes, z85Encode } from "./z85.ts";

/** A value that may be written: into a number, as bytes (none for null), or kept here (local). */
export type ValidOption =
  | { name: OptionName; kind: "number"; field: string; value: number }
  | { name: OptionName; kind: "bytes"; field: string; bytes: Uint8Array }
  | { name: OptionName; kind: "local"; field: null; value: LocalValue };

type LocalValue = number | boolean | string | null | AuthenticateOption;

/**
 * Checks one value for one option. TypeError: the class has no such option, or not of this type;
 * ZmqError EINVAL: out of range. A number is never rounded or cut off.
 *
 * ```ts
 * validateOption("Push", "linger", 0); // { name: "linger", kind: "number", field: "linger_ms", … }
 * ```
 */
export function validateOption(type: SocketTypeName, name: string, value: unknown): ValidOption {
  const known = Object.hasOwn(optionTable, name) ? (name as OptionName) : undefined;
  if (known === undefined || !optionTable[known].sockets.includes(type)) {
    throw unknownOption(type, name, known);
  }
  const { kind, field }: Spec<unknown> = optionTable[known];
  const label = `${type} option ${name}`;
  if (kind.type === "bytes" || kind.type === "properties") {
    if (field === null) throw new Error(`monocoque: ${name} has nowhere to go`);
    const bytes =
      kind.type === "bytes" ? checkBytes(label, value, kind) : checkProperties(label, value, kind);
    return { name: known, kind: "bytes", field, bytes };
  }
  if (kind.type === "key" || kind.type === "authenticate") {
    const check = kind.type === "key" ? checkKey : checkAuthenticate;
    return { name: known, kind: "local", field: null, value: check(label, value) };
  }
  if (kind.type === "text") {
    const text = checkText(label, value, kind, secretOptions.has(name));
    if (field === null) return { name: known, kind: "local", field, value: text };
    return { name: known, kind: "bytes", field, bytes: new TextEncoder().encode(text ?? "") };
  }
  if (kind.type === "set") {
    if (field === null) throw new Error(`monocoque: ${name} has nowhere to go`);
    return { name: known, kind: "number", field, value: checkSet(label, value, kind.choices) };
  }
  if (kind.type === "choice") {
    const index = checkChoice(label, value, kind.choices);
    if (field === null) return { name: known, kind: "local", field, value: kind.choices[index]! };
    return { name: known, kind: "number", field, value: index };
  }
  const checked = checkScalar(label, value, kind);
  if (field === null) return { name: known, kind: "local", field, value: checked };
  return { name: known, kind: "number", field, value: Number(checked) };
}

/**
 * Checks the argument of a constructor, key by key; a key whose value is undefined counts as
 * absent, and so does `context`. Throws before the first of them is written.
 */
export function validateOptions(type: SocketTypeName, options: unknown): ValidOption[] {
  if (options === undefined) return [];
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    const what = show(options);
    throw new TypeError(`${type} options are an object such as { linger: 0 }, not ${what}`);
  }
  const given = Object.entries(options).filter(
    ([name, value]) => value !== undefined && name !== "context",
  );
  return given.map(([name, value]) => validateOption(type, name, value));
}

/** The `timeout` of a call: milliseconds, 0 not to wait, -1 for ever. */
export function validateTimeout(value: unknown): number {
  return checkInteger("timeout", value, ms(-1));
}

/** The `routingId` of a connect. */
export function validateRoutingId(value: unknown): Uint8Array {
  return checkBytes("routingId", value, { type: "bytes", min: 1, max: 255, first: "not 0" });
}

// ---- Kinds of values --------------------------------------------------------------------------

type KindOf<Type extends Kind["type"]> = Extract<Kind, { type: Type }>;

function checkScalar(
  label: string,
  value: unknown,
  kind: KindOf<"integer" | "boolean">,
): number | boolean {
  if (kind.type === "integer") return checkInteger(label, value, kind);
  if (typeof value === "boolean") return value;
  throw new TypeError(`${label} must be true or false, not ${show(value)}`);
}

function checkChoice(label: string, value: unknown, choices: KindOf<"choice">["choices"]): number {
  const index = choices.indexOf(value as string);
  if (index >= 0) return index;
  const allowed = choices.map((allow) => JSON.stringify(allow)).join(" or ");
  throw new TypeError(`${label} must be ${allowed}, not ${show(value)}`);
}

function checkSet(label: string, value: unknown, choices: readonly string[]): number {
  const allowed = choices.map((allow) => JSON.stringify(allow)).join(", ");
  const advice = `${label} must be an array of some of ${allowed}, not ${show(value)}`;
  if (!Array.isArray(value)) throw new TypeError(advice);
  let bits = 0;
  for (const chosen of value as unknown[]) {
    const index = choices.indexOf(chosen as string);
    if (index < 0) throw new TypeError(`${advice}: ${show(chosen)} is none of them`);
    bits |= 1 << index;
  }
  return bits;
}

export function checkInteger(label: string, value: unknown, kind: KindOf<"integer">): number {
  const { min, max, unit, except } = kind;
  const integer = typeof value === "number" && Number.isInteger(value);
  if (integer && value >= min && value <= max && value !== except) return value + 0; // no -0
  const but = except === undefined ? "" : ` except ${except}`;
  const wanted = `an integer from ${min} to ${max}${but}${unit && ` (${unit})`}`;
  const advice = `${label} must be ${wanted}, not ${show(value)}`;
  if (typeof value !== "number") throw new TypeError(advice);
  throw zmqError("EINVAL", { advice: `${advice}.` });
}

function checkBytes(label: string, value: unknown, { min, max, first }: KindOf<"bytes">) {
  if (value === null) return new Uint8Array(0);
  if (typeof value !== "string" && !(value instanceof Uint8Array)) {
    throw new TypeError(`${label} must be a string, a Uint8Array or null, not ${show(value)}`);
  }
  // A copy: the caller's buffer may change before it is used.
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : new Uint8Array(value);
  const { length } = bytes;
  const free = first === undefined || bytes[0] !== 0;
  if (length >= min && length <= max && free) return bytes;
  const rule = first === undefined ? "" : `, the first ${first}`;
  const advice = `${label} must have ${min} to ${max} bytes${rule} (null: none)`;
  throw zmqError("EINVAL", { advice: `${advice}: it has ${length}.` });
}

function checkText(
  label: string,
  value: unknown,
  { max, check }: KindOf<"text">,
  secret: boolean,
): string | null {
  if (value === null) return null;
  if (typeof value !== "string") {
    const what = secret ? typeof value : show(value);
    throw new TypeError(`${label} must be a string or null, not ${what}`);
  }
  const bytes = Buffer.byteLength(value);
  const wrong = bytes > max ? `has at most ${max} bytes in UTF-8, not ${bytes}` : check?.(value);
  if (wrong === undefined) return value;
  throw zmqError("EINVAL", { advice: `${label} ${wrong}.` });
}

/** Z85, whatever it was given as. */
function checkKey(label: string, value: unknown): string | null {
  if (value === null) return null;
  return z85Encode(curveKeyBytes(value, label));
}

function checkAuthenticate(label: string, value: unknown): AuthenticateOption | null {
  if (value === null || typeof value === "function") return value as AuthenticateOption | null;
  if (typeof (value as { authenticate?: unknown }).authenticate === "function") {
    return value as AuthenticateOption;
  }
  throw new TypeError(`${label} must be a function, an Authenticator or null, not ${show(value)}`);
}

/** RFC 37: a property is [length u8][name][length u32][value]. */
function checkProperties(label: string, value: unknown, { max }: KindOf<"properties">) {
  if (value === null) return new Uint8Array(0);
  if (typeof value !== "object" || Array.isArray(value) || ArrayBuffer.isView(value)) {
    const wanted = 'an object such as { "X-Name": "value" } or null';
    throw new TypeError(`${label} must be ${wanted}, not ${show(value)}`);
  }
  const properties = Object.entries(value).flatMap(([name, text]) => {
    if (typeof text !== "string") {
      throw new TypeError(`${label} ${name} must be a string, not ${show(text)}`);
    }
    if (!/^X-[\w.+-]{1,253}$/.test(name)) {
      const rule = '"X-" and up to 253 letters, digits, "-", "_", "." or "+"';
      throw zmqError("EINVAL", { advice: `${label} names are ${rule}, not ${show(name)}.` });
    }
    const length = Buffer.alloc(4);
    length.writeUInt32BE(Buffer.byteLength(text));
    return [Buffer.of(name.length), Buffer.from(name), length, Buffer.from(text)];
  });
  const bytes = Buffer.concat(properties);
  if (bytes.length <= max) return bytes;
  const advice = `${label} must have at most ${max} bytes in all: it has ${bytes.length}.`;
  throw zmqError("EINVAL", { advice });
}

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 40));
  if (value === null || typeof value === "number" || typeof value === "boolean") return `${value}`;
  return Array.isArray(value) ? "an array" : typeof value;
}

// ---- Unknown options --------------------------------------------------------------------------

const readOnly =
  /^(type|lastEndpoint|securityMechanism|threadSafe|closed|context|events|readable|writable)$/;

function unknownOption(type: SocketTypeName, name: string, known?: OptionName): TypeError {
  if (readOnly.test(name)) return new TypeError(`${type} property ${name} is read-only`);
  const reason = Object.hasOwn(unsupportedOptions, name) && unsupportedOptions[name]?.reason;
  if (reason) return new TypeError(`${type} option ${name} is not supported: ${reason}`);
  const own: string[] = optionNames(type);
  const list = `Options of ${type}: ${own.join(", ")}`;
  if (known !== undefined) {
    const others = optionTable[known].sockets.join(", ");
    return new TypeError(`${type} has no option ${name} (${others} only). ${list}`);
  }
  const near = nearest(name, own);
  const hint = near && ` Did you mean ${near}?`;
  return new TypeError(`${type} has no option ${name}.${hint} ${list}`);
}

/** The option that was probably meant: misspelt, or called by its name in libzmq. */
function nearest(name: string, own: readonly string[]): string {
  const plain = (text: string) => text.toLowerCase().replace(/^zmq_/, "").replaceAll("_", "");
  const asked = plain(name);
  let best = "";
  let bestDistance = Math.max(2, Math.floor(asked.length / 3)) + 1;
  for (const option of own) {
    const theirs = optionTable[option as OptionName].zmq?.split(", ") ?? [];
    const texts = [option, ...theirs];
    const distance = Math.min(...texts.map((text) => editDistance(asked, plain(text))));
    if (distance >= bestDistance) continue;
    best = option;
    bestDistance = distance;
  }
  return best;
}

/** Levenshtein, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(replace, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
    }
  }
  return row[b.length] ?? 0;
}
