// Calls every native function from a thread that has no context; posts those that did not say so.

import { functions } from "../../src/ffi/abi.generated.ts";
import { load } from "../../src/ffi/native.ts";

declare const self: Worker;

const EBADF = -9;
const fine = new Set<unknown>([EBADF, 0, undefined, null]);
const skipped = /fingerprint|probe|context_create|context_record|socket_shared/;
const native = load().native as unknown as Record<string, (...args: unknown[]) => unknown>;
const wrong: Record<string, unknown> = {};
for (const [name, { args }] of Object.entries(functions)) {
  if (skipped.test(name)) continue;
  const values = args.map((type) => (type === "ptr" ? new Uint8Array(8) : 1));
  const result = native[name.slice("monocoque_".length)]?.(...values);
  if (!fine.has(result)) wrong[name] = result;
}
self.postMessage(wrong);
