// The shared library as a file: what it exports, what it needs, how large it is. Read by hand, so
// that the check needs no tool that may be missing.

import { describe, expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { functions } from "../src/ffi/abi.generated.ts";
import { findLibrary } from "../src/ffi/library.ts";

const path = findLibrary().path as string;
const file = readFileSync(path);

interface Section {
  type: number;
  offset: number;
  size: number;
  link: number;
  info: number;
  entry: number;
}

const STRTAB = 3;
const DYNAMIC = 6;
const DYNSYM = 11;
const VERSION_NEEDED = 0x6ffffffe;

/** elf(5), 64 bit. */
function sections(): Section[] {
  const start = Number(file.readBigUInt64LE(0x28));
  const size = file.readUInt16LE(0x3a);
  return Array.from({ length: file.readUInt16LE(0x3c) }, (_, i) => {
    const at = start + i * size;
    return {
      type: file.readUInt32LE(at + 4),
      offset: Number(file.readBigUInt64LE(at + 24)),
      size: Number(file.readBigUInt64LE(at + 32)),
      link: file.readUInt32LE(at + 40),
      info: file.readUInt32LE(at + 44),
      entry: Number(file.readBigUInt64LE(at + 56)),
    };
  });
}

const table = sections();
const one = (type: number) => table.find((section) => section.type === type) as Section;

function text(strings: Section, index: number): string {
  const start = strings.offset + index;
  return file.toString("latin1", start, file.indexOf(0, start));
}

function symbols(): { name: string; defined: boolean; binding: number; visibility: number }[] {
  const dynamic = one(DYNSYM);
  const strings = table[dynamic.link] as Section;
  return Array.from({ length: dynamic.size / dynamic.entry }, (_, i) => {
    const at = dynamic.offset + i * dynamic.entry;
    return {
      name: text(strings, file.readUInt32LE(at)),
      defined: file.readUInt16LE(at + 6) !== 0,
      binding: file.readUInt8(at + 4) >> 4,
      visibility: file.readUInt8(at + 5) & 3,
    };
  }).filter(({ name }) => name !== "");
}

function needed(): string[] {
  const dynamic = one(DYNAMIC);
  const strings = table[dynamic.link] as Section;
  const names: string[] = [];
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
    if (file.readBigUInt64LE(at) === 1n) names.push(text(strings, Number(file.readBigUInt64LE(at + 8))));
  }
  return names;
}

/** The versions of other libraries' symbols it asks for. */
function versions(): string[] {
  const section = table.find(({ type }) => type === VERSION_NEEDED);
  if (section === undefined) return [];
  const strings = table[section.link] as Section;
  const names: string[] = [];
  let at = section.offset;
  for (let i = 0; i < section.info; i += 1) {
    let auxiliary = at + file.readUInt32LE(at + 8);
    for (let j = 0; j < file.readUInt16LE(at + 2); j += 1) {
      names.push(text(strings, file.readUInt32LE(auxiliary + 8)));
      auxiliary += file.readUInt32LE(auxiliary + 12);
    }
    at += file.readUInt32LE(at + 12);
  }
  return names;
}

describe("the shared library", () => {
  test("is a 64-bit ELF file whose tables this test can read", () => {
    expect(file.toString("latin1", 0, 4)).toBe("\x7fELF");
    expect(table.some(({ type }) => type === STRTAB)).toBe(true);
    expect(symbols().length).toBeGreaterThan(30);
    expect(versions().length).toBeGreaterThan(0);
  });

  test("exports the functions of the generated table and not one symbol more", () => {
    const exported = symbols().filter(({ defined, binding }) => defined && binding !== 0);
    expect(exported.map(({ name }) => name).sort()).toEqual(Object.keys(functions).sort());
  });

  test("needs nothing but the C library", () => {
    const allowed = /^(libc\.so\.6|libm\.so\.6|libpthread\.so\.0|ld-linux-x86-64\.so\.2)$/;
    expect(needed().filter((name) => !allowed.test(name))).toEqual([]);
  });

  test("loads wherever Bun does: no symbol of a glibc newer than 2.17", () => {
    const newer = versions().filter((version) => {
      const [major = 0, minor = 0] = (/^GLIBC_(\d+)\.(\d+)/.exec(version) ?? []).slice(1).map(Number);
      return major > 2 || minor > 17 || !version.startsWith("GLIBC_");
    });
    expect(newer).toEqual([]);
  });

  test("is at most 1.5 MiB and stripped", () => {
    expect(statSync(path).size).toBeLessThanOrEqual(1.5 * 1024 * 1024);
    const SYMTAB = 2;
    expect(table.some(({ type }) => type === SYMTAB)).toBe(false);
  });

  test("needs no stack that is executable, and its tables are read-only once loaded", () => {
    const start = Number(file.readBigUInt64LE(0x20));
    const segments = Array.from({ length: file.readUInt16LE(0x38) }, (_, i) => ({
      type: file.readUInt32LE(start + i * 56),
      flags: file.readUInt32LE(start + i * 56 + 4),
    }));
    const GNU_STACK = 0x6474e551;
    const GNU_RELRO = 0x6474e552;
    expect(segments.find(({ type }) => type === GNU_STACK)?.flags).toBe(6);
    expect(segments.some(({ type }) => type === GNU_RELRO)).toBe(true);
    expect(segments.every(({ flags }) => (flags & 3) !== 3)).toBe(true);
  });
});
