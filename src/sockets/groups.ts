// Groups: their form as a part, joining, leaving.

import { errnoError, zmqError } from "../errors.ts";
import { Status } from "../ffi/abi.generated.ts";
import type { SocketCore } from "../socket_core.ts";

/** The name of a group: up to 255 bytes without a NUL, a string in UTF-8. */
export type Group = string | Uint8Array;

/** The group that a message goes to. */
export interface GroupOptions {
  group: Group;
}

/** The group that a message came to. */
export interface GroupInfo {
  group: Buffer;
}

const GROUP_BYTES_MAX = 255;

export function encodeGroup(options: GroupOptions): Uint8Array {
  return bytesOf(options?.group);
}

export function decodeGroup(group: Buffer): GroupInfo {
  return { group };
}

function bytesOf(group: Group): Uint8Array {
  if (typeof group !== "string" && !(group instanceof Uint8Array)) {
    throw new TypeError(`A group is a string or a Uint8Array, not ${typeof group}`);
  }
  const bytes = typeof group === "string" ? Buffer.from(group) : group;
  if (bytes.length <= GROUP_BYTES_MAX && !bytes.includes(0)) return bytes;
  const advice = `A group has up to ${GROUP_BYTES_MAX} bytes, none of them 0.`;
  throw zmqError("EINVAL", { advice });
}

export function join(core: SocketCore, groups: readonly Group[]): void {
  const advice = "has been joined already: leave it first.";
  each(core, groups, core.context.native.socket_subscribe, advice);
}

export function leave(core: SocketCore, groups: readonly Group[]): void {
  each(core, groups, core.context.native.socket_unsubscribe, "has not been joined.");
}

type Call = (socket: number, group: Uint8Array, bytes: number) => number;

function each(core: SocketCore, groups: readonly Group[], call: Call, refusal: string): void {
  core.check();
  // All of them are looked at before any counts.
  for (const group of groups.map(bytesOf)) {
    const status = call(core.handle, group, group.length);
    if (status === Status.EINVAL) {
      const name = JSON.stringify(Buffer.from(group).toString());
      throw zmqError("EINVAL", { advice: `The group ${name} ${refusal}` });
    }
    if (status < 0) throw errnoError(status);
  }
  core.context.scheduleFlush();
}
