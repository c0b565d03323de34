// Writes docs/options.md from the tables: `bun test/support/options_document.ts`. A test compares
// the two.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Kind, optionTable, otherDefaults, socketTypes } from "../../src/option_table.ts";
import { unsupportedOptions } from "../../src/option_unsupported.ts";
import type { OptionName, SocketTypeName } from "../../src/options.ts";

const root = join(import.meta.dir, "../..");
const target = join(root, "docs/options.md");

const intro = `# Options

Written by \`bun test/support/options_document.ts\` from \`src/options.ts\` and its tables. Do not edit.

An option is a key of a socket's constructor and a property of the socket, and can be read at any
time. A wrong type or an unknown key is a \`TypeError\` that names the options there are, a number out
of range a \`ZmqError\` with the code EINVAL that names the range; numbers are never rounded.

*Now* means that a new value counts at once. *Next* means that it counts from the next bind or connect
on: connections that are there keep the old value, and setting it then is a warning, once for each
option. *New* means that it counts for connections that are made from then on, also at endpoints that are
there.

The constructor's key \`context\` names the \`Context\` that a socket belongs to: its \`maxSockets\`
bounds how many there are, \`blocky: false\` makes \`linger\` 0, \`ipv6\` and \`maxMessageSize\` are what
its sockets start with. It has no \`ioThreads\`: sockets are served by the thread that uses them.
`;

function typeOf(kind: Kind): string {
  switch (kind.type) {
    case "integer": {
      const max = kind.max === 2 ** 31 - 1 ? "" : ` to ${number(kind.max)}`;
      const least = `${kind.min}${max || " and more"}`;
      const but = kind.except === undefined ? "" : `, not ${kind.except}`;
      return `${kind.unit || "number"}: ${least}${but}`;
    }
    case "boolean":
      return "boolean";
    case "bytes":
      return `string or bytes, up to ${number(kind.max)} B`;
    case "text":
      return `string, up to ${number(kind.max)} B`;
    case "key":
      return "Z85, 40 characters, or 32 bytes";
    case "authenticate":
      return "function or `Authenticator`";
    case "choice":
      return kind.choices.map((choice) => code(choice)).join(", ");
    case "set":
      return `array of ${kind.choices.map((choice) => code(choice)).join(", ")}`;
    case "properties":
      return `object of strings, up to ${number(kind.max)} B`;
  }
}

const number = (value: number) => value.toLocaleString("en");
const code = (value: unknown) => `\`${JSON.stringify(value)}\``;

function defaultOf(name: OptionName): string {
  const value: unknown = optionTable[name].default;
  const common = typeof value === "number" ? number(value) : code(value);
  const others = Object.entries(otherDefaults).filter(([, own]) => name in own);
  if (others.length === 0) return common;
  const types = others.map(([type]) => type).join(", ");
  return `${common}; ${types}: ${others[0]?.[1][name]}`;
}

function socketsOf(types: readonly SocketTypeName[]): string {
  const missing = socketTypes.filter((type) => !types.includes(type));
  if (missing.length === 0) return "all";
  return missing.length <= 4 ? `all but ${missing.join(", ")}` : types.join(", ");
}

const source = ["option_groups.ts", "options.ts"]
  .map((file) => readFileSync(join(root, "src", file), "utf8"))
  .join("");

/** The sentences of its documentation that are not columns of the table. */
function meaningOf(name: OptionName): string {
  const doc = new RegExp(`/\\*\\*((?:(?!\\*/)[\\s\\S])*)\\*/\\s*${name}\\?:`).exec(source)?.[1] ?? "";
  const text = doc.replace(/\s+\*\s+/g, " ").trim();
  return text.slice(0, text.indexOf("Default ")).trim();
}

const row = (...cells: string[]) => `| ${cells.join(" | ")} |`;

/** The whole file. */
export function optionsDocument(): string {
  const names = Object.keys(optionTable) as OptionName[];
  const rows = names.map((name) => {
    const { kind, sockets, effect, zmq } = optionTable[name];
    const when = { now: "now", "next connection": "new", "next bind or connect": "next" }[effect];
    const theirs = zmq?.replaceAll(", ", "<br>") ?? "–";
    const cells = [typeOf(kind), defaultOf(name), socketsOf(sockets), when, theirs];
    return row(`\`${name}\``, ...cells, meaningOf(name));
  });
  const missing = Object.entries(unsupportedOptions).map(([name, { zmq, reason }]) =>
    row(`\`${name}\``, zmq, reason),
  );
  return [
    intro,
    row("Option", "Type or unit", "Default", "Sockets", "Effect", "libzmq", "Meaning"),
    "|---|---|---|---|---|---|---|",
    ...rows,
    "\n## Not supported\n\nTo set one of these is a `TypeError` with the reason.\n",
    row("Option", "libzmq", "Reason"),
    "|---|---|---|",
    ...missing,
    "",
  ].join("\n");
}

if (import.meta.main) {
  writeFileSync(target, optionsDocument());
  console.log(`written: ${target}`);
}
