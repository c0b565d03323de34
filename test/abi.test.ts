// The third lock of the ABI: what TypeScript reads at a generated offset is what Zig wrote there.

import { afterAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as abi from "../src/ffi/abi.generated.ts";
import { functions, records } from "../src/ffi/abi.generated.ts";
import { load } from "../src/ffi/native.ts";

const { native } = load();

interface Field {
  offset: number;
  bytes: number;
  type: string;
}

const names = Object.keys(abi).filter((name) => name.endsWith("Record"));
const all = records.map((record, number) => ({
  number,
  name: names.find((name) => (abi as Record<string, unknown>)[name] === record) ?? "?",
  bytes: record.bytes,
  fields: Object.entries(record).filter(
    (entry): entry is [string, Field] => typeof entry[1] === "object",
  ),
}));

/** What `probe_fill` writes at an offset. */
const patternAt = (offset: number) => (offset % 251) + 1;

function expected(offset: number, bytes: number): bigint {
  let value = 0n;
  for (let i = bytes - 1; i >= 0; i -= 1) value = (value << 8n) | BigInt(patternAt(offset + i));
  return value;
}

function read(view: DataView, { offset, type }: Field): bigint {
  if (type === "u64") return view.getBigUint64(offset, true);
  if (type === "i64") return BigInt.asUintN(64, view.getBigInt64(offset, true));
  if (type === "i32") return BigInt.asUintN(32, BigInt(view.getInt32(offset, true)));
  return BigInt(view.getUint32(offset, true));
}

function write(view: DataView, { offset, bytes, type }: Field): void {
  const value = expected(offset, bytes);
  if (type === "u64") view.setBigUint64(offset, value, true);
  else if (type === "i64") view.setBigInt64(offset, BigInt.asIntN(64, value), true);
  else if (type === "i32") view.setInt32(offset, Number(BigInt.asIntN(32, value)), true);
  else view.setUint32(offset, Number(value), true);
}

const scalar = /^[ui](32|64)$/;

describe.each(all)("$name", ({ number, bytes, fields }) => {
  test("has the size that Zig says, and no byte that belongs to no field", () => {
    const memory = new Uint8Array(bytes);
    expect(native.probe_fill(number, memory)).toBe(bytes);
    let end = 0;
    for (const [, field] of fields) {
      expect(field.offset).toBe(end);
      end += field.bytes;
    }
    expect(end).toBe(bytes);
  });

  test("is read at the generated offsets as Zig wrote it", () => {
    const memory = new Uint8Array(bytes);
    native.probe_fill(number, memory);
    const view = new DataView(memory.buffer);
    for (const [name, field] of fields) {
      if (scalar.test(field.type)) {
        expect({ name, value: read(view, field) }).toEqual({
          name,
          value: expected(field.offset, field.bytes),
        });
        continue;
      }
      const part = memory.subarray(field.offset, field.offset + field.bytes);
      expect(part.every((byte, i) => byte === patternAt(field.offset + i))).toBe(true);
    }
  });

  test("is understood by Zig as it was written at the generated offsets", () => {
    const memory = new Uint8Array(bytes);
    const view = new DataView(memory.buffer);
    for (const [, field] of fields) {
      if (scalar.test(field.type)) write(view, field);
      else for (let i = 0; i < field.bytes; i += 1) memory[field.offset + i] = patternAt(field.offset + i);
    }
    expect(native.probe_check(number, memory)).toBe(1);
    memory[bytes - 1] = (memory[bytes - 1] as number) ^ 1;
    expect(native.probe_check(number, memory)).toBe(0);
  });

  test("is filled to its last byte and no further", () => {
    const memory = new Uint8Array(bytes + 8);
    native.probe_fill(number, memory);
    expect(memory[bytes - 1]).not.toBe(0);
    expect([...memory.subarray(bytes)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });
});

test("a record number that does not exist is refused", () => {
  const memory = new Uint8Array(1 << 16);
  for (const number of [all.length, 0x7fffffff, 0xffffffff]) {
    expect(native.probe_fill(number, memory)).toBe(0);
    expect(native.probe_check(number, memory)).toBe(0);
  }
  expect(native.probe_fill(0, null)).toBe(0);
  expect(native.probe_check(0, null)).toBe(0);
});

describe("a signature", () => {
  const u32 = [0, 1, 0x7fffffff, 0x80000000, 0xffffffff];
  const i32 = [0, 1, -1, 0x7fffffff, -0x80000000];

  test("keeps extreme values of every argument in its place", () => {
    for (const a of u32) {
      for (const b of i32) {
        for (const d of u32) {
          const sum = BigInt(a) + BigInt(b) * 3n + BigInt(d) * 11n;
          expect(native.probe_signature(a, b, null, d)).toBe(Number(BigInt.asUintN(32, sum)));
        }
      }
    }
  });

  test("passes the address of a buffer whole, and of a part of it", () => {
    const memory = new Uint8Array(64);
    const at = (part: Uint8Array) => native.probe_signature(0, 0, part, 0);
    expect(at(memory)).not.toBe(0);
    // A view that begins 8 bytes later has an address that is 8 larger.
    expect((at(memory.subarray(8)) - at(memory)) >>> 0).toBe(40);
  });

  test("uses only types that Bun passes without an allocation", () => {
    for (const { args, returns } of Object.values(functions)) {
      for (const type of args) expect(["u32", "i32", "ptr"]).toContain(type);
      expect(["u32", "i32", "ptr", "void"]).toContain(returns);
    }
  });
});

describe("zig build abi -- --check", () => {
  const root = join(import.meta.dir, "..");
  const copy = mkdtempSync(join(tmpdir(), "abi-"));
  afterAll(() => rmSync(copy, { recursive: true }));

  async function check(): Promise<{ exitCode: number; output: string }> {
    const child = Bun.spawn(
      [join(root, "node_modules/.bin/zig"), "build", "abi", "--cache-dir", join(root, ".zig-cache"),
        "--", "--check"],
      { cwd: copy, stdout: "pipe", stderr: "pipe", timeout: 280_000 },
    );
    const [output, exitCode] = await Promise.all([new Response(child.stderr).text(), child.exited]);
    return { exitCode, output };
  }

  test("passes for this tree, and names the command when the generated file is stale", async () => {
    for (const name of ["zig", "build.zig", "src"]) {
      cpSync(join(root, name), join(copy, name), { recursive: true });
    }
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    expect((await check()).exitCode).toBe(0);
    const generated = join(copy, "src/ffi/abi.generated.ts");
    const text = readFileSync(generated, "utf8");
    writeFileSync(generated, text.replace(/offset: 4,/, "offset: 5,"));
    const stale = await check();
    expect(stale.exitCode).not.toBe(0);
    expect(stale.output).toContain("npm run abi");
    rmSync(generated);
    expect((await check()).output).toContain("npm run abi");
  }, 300_000);
});
