// Node's modules are loaded when one of them is needed: together they take four times as long as
// this package, and most programs never need them.

export const node = {
  get fs(): typeof import("node:fs") {
    return process.getBuiltinModule("node:fs");
  },
  get os(): typeof import("node:os") {
    return process.getBuiltinModule("node:os");
  },
  get path(): typeof import("node:path") {
    return process.getBuiltinModule("node:path");
  },
};

/** What an object shows to `Bun.inspect` and `console.log`: `inspect.custom` of node:util. */
export const inspectCustom: typeof import("node:util").inspect.custom = Symbol.for(
  "nodejs.util.inspect.custom",
) as never;

/** The name of an error number, such as EACCES. */
export function errnoName(errno: number): string | undefined {
  return Object.entries(node.os.constants.errno).find(([, number]) => number === errno)?.[0];
}
