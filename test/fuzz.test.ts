// Seeded nonsense for what reads a user's text and values: endpoints, options, keys, ranges. Each case follows
// from its number alone; one that fails is named and can be run again with MONOCOQUE_FUZZ_SEED. What
// reads a peer's bytes is fuzzed by `zig build fuzz`.

import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { isIPv4, isIPv6 } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { AddressRanges } from "../src/address_ranges.ts";
import { addressKey, literalAddress, parseEndpoint, sameAddress } from "../src/endpoint.ts";
import { ZmqError } from "../src/errors.ts";
import * as monocoque from "../src/index.ts";
import type { SocketTypeName } from "../src/options.ts";
import { optionNames, optionTable } from "../src/option_table.ts";
import { unsupportedOptions } from "../src/option_unsupported.ts";

const cases = Number(process.env.MONOCOQUE_FUZZ_CASES ?? 20_000);
/** A number names one case. Those that once failed: none so far. */
const kept: number[] = [];

class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Mulberry32 of Tommy Ettinger (public domain). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  below(count: number): number {
    return this.next() % count;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

function forEachCase(count: number, run: (random: Random) => void): void {
  const only = process.env.MONOCOQUE_FUZZ_SEED;
  const first = only === undefined ? Date.now() >>> 0 : Number(only);
  const seeds = only === undefined ? [...kept] : [];
  for (let i = 0; i < (only === undefined ? count : 1); i += 1) seeds.push(first + i);
  for (const seed of seeds) {
    try {
      run(new Random(seed));
    } catch (error) {
      console.error(`the case of MONOCOQUE_FUZZ_SEED=${seed} failed`);
      throw error;
    }
  }
}

const fragments = [
  ..."tcp:// ipc:// inproc:// udp:// TCP:// * ; : [ ] [::1] [::] ::1 127.0.0.1 127.1 0x7f.1 @ /".split(" "),
  ..."localhost 5555 0 65535 65536 99999 -1 + % %lo %eth0 . .. [fe80::1%lo] [::ffff:1.2.3.4]".split(" "),
  ..."256.1.1.1 1.2.3.4 [1:2:3:4:5:6:7:8] [1::2::3] xn--4ca tmp name a".split(" "),
  ...[" ", "\0", "\n", "\t", "\u{1f600}", "\ud800", "ä", "\u202e", "\\", '"', "a".repeat(108), "b".repeat(300)],
];

function text(random: Random): string {
  let result = random.below(4) > 0 ? random.pick(["tcp://", "ipc://", "inproc://"]) : "";
  for (let i = random.below(7); i >= 0; i -= 1) result += random.pick(fragments);
  return result;
}

/** An error that a user can act on; anything else is ours to mend. */
function expectAdvice(error: unknown, codes: string[]): void {
  if (!(error instanceof ZmqError)) throw error;
  expect(codes).toContain(error.code);
  expect(error.message.length).toBeGreaterThan(10);
}

describe("any text as an endpoint", () => {
  test("is an endpoint of sound parts, or an error with advice", () => {
    let taken = 0;
    forEachCase(cases, (random) => {
      const input = text(random);
      const purpose = random.pick(["bind", "connect"] as const);
      let endpoint: ReturnType<typeof parseEndpoint>;
      try {
        endpoint = parseEndpoint(input, purpose);
      } catch (error) {
        expectAdvice(error, ["EINVAL", "EPROTONOSUPPORT", "ENAMETOOLONG"]);
        expect((error as ZmqError).endpoint).toBe(input);
        expect(addressKey(input, purpose, { ipv6: true })).toBeUndefined();
        return;
      }
      taken += 1;
      expect(endpoint.text).toBe(input);
      expect(input).not.toContain("\0");
      expect(sameAddress(input, purpose, { ipv6: true })(input)).toBe(true);
      if (endpoint.transport === "tcp") {
        const { host, port } = endpoint;
        expect(host.length).toBeGreaterThan(0);
        expect(Number.isInteger(port) && port >= (purpose === "bind" ? 0 : 1)).toBe(true);
        expect(port).toBeLessThanOrEqual(65_535);
        if (/^[\d.]+$/.test(host)) expect(isIPv4(host)).toBe(true);
        if (host.includes(":")) expect(isIPv6(host)).toBe(true);
        expect(purpose === "bind" && endpoint.source !== undefined).toBe(false);
      } else expect(Buffer.byteLength(endpoint.name)).toBeLessThanOrEqual(256);
      expectSoundAddress(endpoint);
    });
    // Not everything may be refused, or nothing was looked at.
    if (process.env.MONOCOQUE_FUZZ_SEED === undefined) expect(taken).toBeGreaterThan(cases / 100);
  });
});

function expectSoundAddress(endpoint: ReturnType<typeof parseEndpoint>): void {
  try {
    const address = literalAddress(endpoint, { ipv6: true });
    if (address === undefined) return;
    const size = { ipv4: 4, ipv6: 16, unix: address.data.length }[address.family];
    expect(address.data.length).toBe(size);
    expect(address.data.length).toBeLessThanOrEqual(108);
    if (endpoint.transport === "tcp" && isIPv4(endpoint.host)) {
      expect([...address.data].join(".")).toBe(endpoint.host);
    }
  } catch (error) {
    expectAdvice(error, ["EINVAL", "EAFNOSUPPORT", "ENODEV", "ENAMETOOLONG"]);
  }
}

const classes = [
  monocoque.Push,
  monocoque.Router,
  monocoque.Request,
  monocoque.XPublisher,
  monocoque.Subscriber,
  monocoque.Stream,
];
type AnySocket = InstanceType<(typeof classes)[number]>;
const sockets: AnySocket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
});

const names = [
  ...Object.keys(optionTable),
  ...Object.keys(unsupportedOptions),
  ..."constructor __proto__ toString hasOwnProperty LINGER linger_ms 0".split(" "),
];

function value(random: Random): unknown {
  const number = random.pick([
    ...[0, -0, 1, -1, 2, 3, 0.5, 255, 256, 65_535, 65_536, 1e9, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1],
    ...[2 ** 32, 2 ** 53, 1e300, -(2 ** 31), -(2 ** 31) - 1, NaN, Infinity, -Infinity],
  ]);
  switch (random.below(12)) {
    case 0:
    case 1:
    case 2:
      return number;
    case 3:
      return random.below(2) === 0;
    case 4:
      return random.pick([null, undefined, "", "x", "1", "true", "drop", "é".repeat(200), "\0"]);
    case 5:
      return Buffer.alloc(random.pick([0, 1, 4, 255, 256, 2048, 2049, 70_000]), random.below(3));
    case 6:
      return random.pick([1n, 2n ** 64n, Symbol("s"), () => 1, new Date(0), /x/, new Map()]);
    case 7:
      return random.pick([[], [1], ["a"], {}, { a: 1 }, { "X-a": "b" }, { "": "" }]);
    case 8:
      return {
        valueOf() {
          throw new Error("valueOf was called");
        },
        toString() {
          throw new Error("toString was called");
        },
      };
    case 9:
      return new Uint8Array(new ArrayBuffer(8, { maxByteLength: 16 }), 0, random.below(9));
    case 10:
      return Object.create(null);
    default:
      return Number.isFinite(number) ? String(number) : new Number(number);
  }
}

function snapshot(socket: AnySocket): string {
  const found = optionNames(socket.constructor.name as SocketTypeName).map((name) => {
    return [name, (socket as unknown as Record<string, unknown>)[name]];
  });
  return JSON.stringify(found);
}

describe("any value for an option", () => {
  test("is taken as it is and changes nothing else, or changes nothing", () => {
    for (const Type of classes) sockets.push(new Type() as AnySocket);
    let taken = 0;
    forEachCase(cases / 4, (random) => {
      const socket = random.pick(sockets);
      const name = random.pick(names);
      const given = value(random);
      // What an object inherits may be set like that of any object.
      if (!Object.hasOwn(optionTable, name) && name in socket) return;
      const before = snapshot(socket);
      try {
        Object.assign(socket, { [name]: given });
      } catch (error) {
        if (!(error instanceof TypeError)) expectAdvice(error, ["EINVAL", "EPERM", "ENODEV"]);
        expect(snapshot(socket)).toBe(before);
        return;
      }
      if (!Object.hasOwn(optionTable, name)) return;
      taken += 1;
      const after = JSON.parse(snapshot(socket)) as [string, unknown][];
      for (const [index, [option, was]] of (JSON.parse(before) as [string, unknown][]).entries()) {
        if (option !== name) expect(after[index]).toEqual([option, was]);
      }
      const read = (socket as unknown as Record<string, unknown>)[name];
      if (typeof given === "number" && typeof read === "number") expect(read).toBe(given + 0);
    });
    if (process.env.MONOCOQUE_FUZZ_SEED === undefined) expect(taken).toBeGreaterThan(cases / 800);
  });
});

describe("any text as a key", () => {
  const alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

  test("is the one text of its bytes, or an error that does not repeat it", () => {
    let taken = 0;
    forEachCase(cases, (random) => {
      let given = "";
      const length = random.below(3) > 0 ? 5 * random.below(10) : random.below(50);
      while (given.length < length) given += random.pick([...alphabet]);
      if (random.below(3) === 0) given = given.replace(/./, random.pick(["~", "é", '"', "\0", " ", "%", "#"]));
      try {
        expect(monocoque.z85Encode(monocoque.z85Decode(given))).toBe(given);
        taken += 1;
      } catch (error) {
        expectAdvice(error, ["EINVAL"]);
        if (given.length > 4) expect((error as Error).message).not.toContain(given);
      }
    });
    expect(taken).toBeGreaterThan(process.env.MONOCOQUE_FUZZ_SEED ? -1 : cases / 4);
  });

  test("file is two sound keys, or an error that repeats neither", () => {
    const { publicKey, secretKey } = monocoque.curveKeyPair();
    const lines = [
      "curve", "metadata", "curve # mine", "    name = x", '    name = "x"', "", "# comment", "\t", "curve\0",
      `    public-key = "${publicKey}"`, `    secret-key = "${secretKey}"`, `    public-key = ${publicKey}`,
      `public-key = "${publicKey}"`, `    public-key = "${publicKey.slice(1)}"`, `    secret-key = '${secretKey}'`,
      `    secret-key = "${secretKey}x"`, "    public-key =", "__proto__", "    __proto__ = 1", "=",
    ];
    const path = join(mkdtempSync(join(tmpdir(), "fuzz-")), "a.key_secret");
    let taken = 0;
    forEachCase(cases / 10, (random) => {
      let text = `curve\n    public-key = "${publicKey}"\n`;
      for (let i = random.below(5); i > 0; i -= 1) text += `${random.pick(lines)}${random.pick(["\n", "\r\n"])}`;
      writeFileSync(path, text.slice(random.below(9) === 0 ? random.below(text.length) : 0), { mode: 0o600 });
      try {
        const read = monocoque.readCurveCertificate(path);
        expect(monocoque.z85Decode(read.publicKey).length).toBe(32);
        if (read.secretKey !== undefined) expect(monocoque.z85Decode(read.secretKey).length).toBe(32);
        taken += 1;
      } catch (error) {
        expectAdvice(error, ["EINVAL"]);
        const said = (error as Error).message;
        expect(said.includes(publicKey.slice(1)) || said.includes(secretKey)).toBe(false);
      }
    });
    expect(taken).toBeGreaterThan(process.env.MONOCOQUE_FUZZ_SEED ? -1 : cases / 100);
    rmSync(dirname(path), { recursive: true });
  });
});

describe("any range of addresses", () => {
  /** As a number of so many bits; IPv4 in IPv6 is IPv4. */
  function numberOf(address: number[]): [bits: number, value: bigint] {
    const words = address.length === 4 ? [0, 0, 0, 0, 0, 0xffff, ...pairs(address)] : address;
    const value = words.reduce((sum, word) => (sum << 16n) | BigInt(word), 0n);
    return value >> 32n === 0xffffn ? [32, value & 0xffffffffn] : [128, value];
  }
  const pairs = ([a, b, c, d]: number[]) => [(a! << 8) | b!, (c! << 8) | d!];
  const write = (address: number[]) =>
    address.length === 4 ? address.join(".") : address.map((word) => word.toString(16)).join(":");

  function address(random: Random): number[] {
    const words = Array.from({ length: 8 }, () => random.pick([0, 0, 1, 0xffff, random.below(65_536)]));
    if (random.below(4) === 0) return [0, 0, 0, 0, 0, 0xffff, ...words.slice(6)];
    return random.below(2) === 0 ? words : words.slice(0, 4).map((word) => word & 0xff);
  }

  test("has the addresses whose first bits are its own, and no others", () => {
    let inside = 0;
    forEachCase(cases, (random) => {
      const [from, other] = [address(random), address(random)];
      const [size, value] = numberOf(from);
      const bits = random.below(size + 1);
      // Near ones, too: a random one is hardly ever inside.
      const asked = random.below(2) === 0 ? other : from.with(-1, random.below(256));
      const [askedSize, askedValue] = numberOf(asked);
      const shift = BigInt(size - bits);
      const expected = askedSize === size && askedValue >> shift === value >> shift;
      const written = from.length === 8 && size === 32 ? bits + 96 : bits;
      const ranges = new AddressRanges([`${write(from)}/${written}`], "allow");
      expect(`${write(from)}/${written} ${write(asked)} ${ranges.has(write(asked))}`).toEndWith(`${expected}`);
      if (expected) inside += 1;
    });
    expect(inside).toBeGreaterThan(process.env.MONOCOQUE_FUZZ_SEED ? -1 : cases / 10);
  });
});
