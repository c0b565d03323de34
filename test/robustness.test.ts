// docs/robustness.md: every attack and every fuzz target has its row there, and every test that a
// row names is one of ours.

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";

const root = `${import.meta.dir}/..`;
const document = readFileSync(`${root}/docs/robustness.md`, "utf8");
const fuzz = readFileSync(`${root}/zig/fuzz.zig`, "utf8");

const attacks = [
  "an old greeting",
  "handshake metadata (CVE-2019-13132)",
  "64-bit lengths (CVE-2019-6250)",
  "silent connections (CVE-2020-15166)",
  "recursion over topics (CVE-2021-20236)",
  "messages to a PUB (CVE-2021-20237)",
  "half messages (CVE-2021-20234)",
  "declared sizes",
  "a million tiny parts",
  "heartbeats and a full queue (libzmq 3937, 4767)",
  "handover of a name (libzmq 4407)",
  "no descriptors left (pyzmq 1642)",
  "malformed messages (zeromq.js)",
  "garbage first bytes (NetMQ 1168, JeroMQ 1005)",
  "subscription floods",
  "slowloris",
  "an unread monitor",
  "a peer that never reads",
  "no memory",
  "an owner that writes nonsense into shared memory",
  "an old greeting against a secured socket (CVE-2014-7202, 9721)",
  "replay of CURVE (CVE-2014-7203)",
  "a changed bit on the wire of CURVE",
  "clear traffic inside CURVE",
  "metadata and lengths behind a mechanism (CVE-2019-13132)",
  "a verdict after READY",
  "bytes before the verdict",
  "a flood of HELLOs",
  "silent and slow strangers before a mechanism",
  "a server that has not the key",
  "timing of wrong passwords",
  "a secured connection that dies",
];

/** The rows of the table below a heading, as cells. */
function rows(heading: string): string[][] {
  const section = document.split(/^#+ /m).find((text) => text.startsWith(`${heading}\n`)) ?? "";
  const lines = section.split("\n").filter((line) => line.startsWith("| "));
  return lines.slice(1).map((line) => line.slice(2, -2).split(" | "));
}

/** Whether a source has a test or a group of tests with this title. */
function has(source: string, file: string, title: string): boolean {
  const escaped = title.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  const pattern = file.endsWith(".zig") ? `^test "${escaped}"` : `\\(\\s*(["'\`])${escaped}\\1,`;
  return new RegExp(pattern, "m").test(source);
}

const targets = [...fuzz.matchAll(/^ {4}\.\{ \.name = "(\w+)", \.run/gm)].map(([, name]) => name!);

describe("docs/robustness.md", () => {
  test("has a row for every attack: one that is left out is not looked for", () => {
    expect(rows("Attacks and faults").map(([name]) => name!)).toEqual(attacks);
  });

  test("has a row for every fuzz target, and no other", () => {
    expect(targets.length).toBeGreaterThan(9);
    expect(rows("Fuzzing").map(([name]) => name!.slice(1, -1))).toEqual(targets);
  });

  test("names tests and targets that are there: one that was removed or renamed is missed", () => {
    const named = [...rows("Attacks and faults"), ...rows("What it found")].map((row) => row.at(-1)!);
    const missing = named.flatMap((cell) => cell.split("<br>")).filter((reference) => {
      const target = /^`zig\/fuzz\.zig` target `(\w+)`$/.exec(reference);
      if (target) return !targets.includes(target[1]!);
      const [, file, title] = /^`([^`]+)` "(.*)"$/.exec(reference) ?? [];
      if (!file || !existsSync(`${root}/${file}`)) return true;
      return !has(readFileSync(`${root}/${file}`, "utf8"), file, title!);
    });
    expect(missing).toEqual([]);
    expect(named.length).toBeGreaterThan(attacks.length);
  });
});
