// The values of a socket's options: what its properties read, and the native record they go into.

import type { NativeContext } from "./context.ts";
import { errnoError } from "./errors.ts";
import { BytesOption, SharedRecord, SocketOptionsRecord } from "./ffi/abi.generated.ts";
import type { AllOptions, OptionName, SocketTypeName } from "./options.ts";
import { type ValidOption, validateOption } from "./option_check.ts";
import { defaultsOf, optionTable, secretOptions } from "./option_table.ts";

interface Field {
  offset: number;
  bytes: number;
}

const layout = SocketOptionsRecord as unknown as Record<string, Field>;
const calls = BytesOption as Record<string, number>;

export class OptionValues {
  readonly values: AllOptions;
  readonly #context: NativeContext;
  readonly #handle: number;
  #shared: DataView;
  #left = false;

  constructor(
    type: SocketTypeName,
    context: NativeContext,
    handle: number,
    shared: DataView,
    defaults: Partial<AllOptions>,
  ) {
    this.values = defaultsOf(type);
    for (const name of secretOptions) if (name in this.values) hide(this.values, name);
    this.#context = context;
    this.#handle = handle;
    this.#shared = shared;
    for (const [name, value] of Object.entries(defaults)) {
      if (name in this.values) this.set(validateOption(type, name, value), value);
    }
  }

  /** The native socket is gone: what is set from now on goes into a copy of its memory. */
  leave(copy: DataView): void {
    this.#shared = copy;
    this.#left = true;
  }

  /** `assigned` is what the property reads back as. */
  set(option: ValidOption, assigned: unknown): void {
    // First, since it may fail: the property then keeps its value.
    if (option.kind === "number") this.#setNumber(option.field, option.value);
    else if (option.kind === "bytes") this.#setBytes(option.field, option.bytes);
    const values = this.values as Record<string, unknown>;
    const key = optionTable[option.name].kind.type === "key";
    values[option.name] = key ? option.kind === "local" && option.value : copyOf(assigned);
  }

  #setNumber(name: string, value: number): void {
    this.#shared.setInt32(SharedRecord.options.offset + fieldOf(name).offset, value, true);
    if (this.#left || !name.includes("_high_water_mark")) return;
    this.#context.native.socket_limits_changed(this.#handle);
    // Connections that were paused may be read again, and senders go on.
    this.#context.wakeIfReady();
  }

  #setBytes(name: string, bytes: Uint8Array): void {
    const call = calls[name];
    if (call !== undefined) {
      if (this.#left) return;
      const { native } = this.#context;
      const status = native.socket_set_bytes(this.#handle, call, bytes, bytes.length);
      if (status < 0) throw errnoError(status);
      return;
    }
    const base = SharedRecord.options.offset;
    const room = fieldOf(`${name}_buffer`);
    new Uint8Array(this.#shared.buffer, base + room.offset, room.bytes).set(bytes);
    this.#shared.setUint32(base + fieldOf(`${name}_bytes`).offset, bytes.length, true);
  }
}

function fieldOf(name: string): Field {
  const field = layout[name];
  if (field === undefined) throw new Error(`monocoque: no native option ${name}`);
  return field;
}

/** What the caller changes afterwards is no option that was set. */
function copyOf(value: unknown): unknown {
  if (typeof value === "number") return value + 0; // no -0
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (Array.isArray(value)) return Object.freeze([...(value as unknown[])]);
  if (typeof value !== "object" || value === null || isAuthenticator(value)) return value;
  return Object.freeze({ ...value });
}

/** It can be read, but is not shown where the object is printed. */
function hide(values: object, name: string): void {
  let hidden: unknown = (values as Record<string, unknown>)[name];
  Object.defineProperty(values, name, {
    enumerable: false,
    get: () => hidden,
    set: (value: unknown) => {
      hidden = value;
    },
  });
}

function isAuthenticator(value: object): boolean {
  return typeof (value as { authenticate?: unknown }).authenticate === "function";
}

const warned = new Set<OptionName>();

/** Once for each option: the socket is bound or connected, and stays as it was. */
export function warnIfLate(type: SocketTypeName, name: OptionName): void {
  if (optionTable[name].effect !== "next bind or connect" || warned.has(name)) return;
  warned.add(name);
  const what = `${type} option ${name} takes effect with the next bind or connect`;
  const advice = "Connections that are there keep the old value: set it before.";
  process.emitWarning(`${what}. ${advice}`, { code: "MONOCOQUE_LATE_OPTION" });
}
