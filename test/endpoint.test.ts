import { afterEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
  bindAddresses,
  bindAddressNow,
  literalAddress,
  numericEndpoints,
  parseEndpoint,
  removeFreshPath,
  resolveAddresses,
  sameAddress,
  sourceAddress,
} from "../src/endpoint.ts";
import type { NetworkAddress, Purpose } from "../src/endpoint.ts";
import { ZmqError } from "../src/errors.ts";
import { endsNow, lookUpEnds, type RouteOptions, routeTo } from "../src/route.ts";
import { failure, rejection } from "./support/sockets.ts";

const v4 = { ipv6: false };
const v6 = { ipv6: true };
const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((address) => address?.family === "IPv6");

const literal = (text: string, options = v6, purpose: Purpose = "connect") =>
  literalAddress(parseEndpoint(text, purpose), options);

/** Readable in a test's output: "127.0.0.1" becomes "7f000001". */
const hex = (address?: NetworkAddress) => address && Buffer.from(address.data).toString("hex");

describe("a tcp endpoint", () => {
  test("is taken apart into host and port", () => {
    const text = "tcp://example.com:5555";
    expect(parseEndpoint(text, "connect")).toEqual({
      transport: "tcp",
      purpose: "connect",
      text,
      host: "example.com",
      port: 5555,
    });
    expect(parseEndpoint("tcp://10.0.0.1:1", "connect")).toMatchObject({ port: 1 });
    expect(parseEndpoint("tcp://a_b-c.d:65535", "connect")).toMatchObject({ host: "a_b-c.d" });
    expect(parseEndpoint("tcp://[fe80::1%eth0]:7", "connect")).toMatchObject({
      host: "fe80::1%eth0",
      port: 7,
    });
  });

  test("to bind may leave host and port to the machine", () => {
    expect(parseEndpoint("tcp://*:*", "bind")).toMatchObject({ host: "*", port: 0 });
    expect(parseEndpoint("tcp://127.0.0.1:0", "bind")).toMatchObject({ port: 0 });
    expect(parseEndpoint("tcp://lo:5555", "bind")).toMatchObject({ host: "lo" });
  });

  const wrong: [Purpose, string, string][] = [
    ["connect", "tcp://", "Nothing follows"],
    ["connect", "tcp://:5555", "host is missing"],
    ["connect", "tcp://localhost", "port is missing"],
    ["connect", "tcp://[::1]", "port is missing"],
    ["connect", "tcp://localhost:", "1 to 65535"],
    ["connect", "tcp://localhost:0", "1 to 65535"],
    ["connect", "tcp://localhost:*", "1 to 65535"],
    ["connect", "tcp://localhost:65536", "1 to 65535"],
    ["bind", "tcp://localhost:65536", "or * for any free one"],
    ["connect", "tcp://localhost:99999999999999999999", "1 to 65535"],
    ["connect", "tcp://localhost:-1", "1 to 65535"],
    ["connect", "tcp://localhost:+1", "1 to 65535"],
    ["connect", "tcp://localhost:1e3", "1 to 65535"],
    ["connect", "tcp://localhost: 80", "1 to 65535"],
    ["connect", "tcp://localhost:80/", "not even a slash"],
    ["connect", "tcp://*:5555", '"*" is for bind'],
    ["connect", "tcp://::1:5555", "needs brackets"],
    ["connect", "tcp://[::g]:5555", "not an IPv6 address"],
    ["connect", "tcp://[127.0.0.1]:5555", "not an IPv6 address"],
    ["connect", "tcp://256.1.1.1:5555", "not an IPv4 address"],
    ["connect", "tcp://127.1:5555", "not an IPv4 address"],
    ["connect", "tcp://a b:5555", "not the name of a host"],
    ["connect", "tcp://user@host:5555", "not the name of a host"],
    ["connect", "tcp://a/b:5555", "not the name of a host"],
    ["connect", `tcp://${"x".repeat(254)}:5555`, "not the name of a host"],
    ["connect", "tcp://a\0b:5555", "NUL"],
    ["bind", "tcp://127.0.0.1:0;127.0.0.1:5555", "for connect only"],
    ["connect", "tcp://127.0.0.1:1;", "port is missing"],
    ["connect", "tcp://;127.0.0.1:1", "host is missing"],
  ];
  test.each(wrong)("%s to %j is an error at once, not later: %s", (purpose, text, advice) => {
    const error = failure(() => parseEndpoint(text, purpose));
    expect(error).toMatchObject({ code: "EINVAL", endpoint: text, address: text });
    expect(error.message).toStartWith(`Invalid argument: ${text}. `);
    expect(error.message).toContain(advice);
  });

  test("of literals needs no look-up", () => {
    const address = literal("tcp://127.0.0.1:5555", v4);
    expect(address).toEqual({
      family: "ipv4",
      port: 5555,
      scope: 0,
      data: Uint8Array.of(127, 0, 0, 1),
    });
    expect(literal("tcp://localhost:1")).toBeUndefined();
  });

  test.each([
    ["::", "00000000000000000000000000000000"],
    ["::1", "00000000000000000000000000000001"],
    ["1::", "00010000000000000000000000000000"],
    ["2001:db8::ff00:42:8329", "20010db8000000000000ff0000428329"],
    ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
    ["1:2:3:4:5:6:7::", "00010002000300040005000600070000"],
    ["::2:3:4:5:6:7:8", "00000002000300040005000600070008"],
    ["::ffff:192.0.2.1", "00000000000000000000ffffc0000201"],
    ["64:ff9b::192.0.2.33", "0064ff9b0000000000000000c0000221"],
    ["1:2:3:4:5:6:1.2.3.4", "00010002000300040005000601020304"],
    ["::1.2.3.4", "00000000000000000000000001020304"],
    ["FE80::ABCD", "fe80000000000000000000000000abcd"],
  ])("connects to the IPv6 address that was written: %s", (text, octets) => {
    const address = literal(`tcp://[${text}]:9`);
    expect(hex(address)).toBe(octets);
    expect(address).toMatchObject({ family: "ipv6", port: 9, scope: 0 });
  });

  test("with an IPv6 address says which option is missing", () => {
    const error = failure(() => literal("tcp://[::1]:5555", v4));
    expect(error).toMatchObject({ code: "EAFNOSUPPORT", endpoint: "tcp://[::1]:5555" });
    expect(error.message).toContain("ipv6");
  });

  test("of a link-local address finds the interface by number and by name", () => {
    expect(literal("tcp://[fe80::1%7]:5")?.scope).toBe(7);
    if (existsSync("/sys/class/net/lo/ifindex")) {
      const lo = Number(readFileSync("/sys/class/net/lo/ifindex", "utf8"));
      expect(literal("tcp://[fe80::1%lo]:5")?.scope).toBe(lo);
    }
    expect(failure(() => literal("tcp://[fe80::1%nosuch0]:5")).code).toBe("ENODEV");
    // Neither a property of Object nor a path is an interface.
    expect(failure(() => literal("tcp://[fe80::1%constructor]:5")).code).toBe("ENODEV");
  });
});

describe("a source address", () => {
  test("is kept beside the host", () => {
    const endpoint = parseEndpoint("tcp://127.0.0.2:6000;localhost:5555", "connect");
    expect(endpoint).toMatchObject({
      host: "localhost",
      port: 5555,
      source: { host: "127.0.0.2", port: 6000 },
    });
    expect(hex(sourceAddress(endpoint, v4))).toBe("7f000002");
  });

  test.each([
    ["tcp://127.0.0.2;localhost:1", { host: "127.0.0.2", port: 0 }],
    ["tcp://127.0.0.2:*;localhost:1", { host: "127.0.0.2", port: 0 }],
    ["tcp://*:7;localhost:1", { host: "*", port: 7 }],
    ["tcp://lo;localhost:1", { host: "lo", port: 0 }],
    ["tcp://[::1];localhost:1", { host: "::1", port: 0 }],
    ["tcp://[::1]:2;localhost:1", { host: "::1", port: 2 }],
  ])("may do without a port: %s", (text, source) => {
    expect(parseEndpoint(text, "connect")).toMatchObject({ source });
  });

  test("may be an interface, but not a name that is none", () => {
    const from = (text: string) => sourceAddress(parseEndpoint(text, "connect"), v4);
    expect(hex(from("tcp://lo;localhost:1"))).toBe("7f000001");
    expect(from("tcp://localhost:1")).toBeUndefined();
    expect(failure(() => from("tcp://nosuch0;localhost:1")).code).toBe("ENODEV");
  });

  test.if(hasIpv6)("of an interface has the family of the target", () => {
    const endpoint = parseEndpoint("tcp://lo;localhost:1", "connect");
    expect(hex(sourceAddress(endpoint, v6, "ipv4"))).toBe("7f000001");
    expect(hex(sourceAddress(endpoint, v6, "ipv6"))).toBe(`${"0".repeat(31)}1`);
  });
});

describe("the way to an endpoint", () => {
  const options = { ipv6: true, socksProxy: null, socksUsername: null, socksPassword: null };
  const route = (text: string, proxy: Partial<RouteOptions> = {}) =>
    routeTo(parseEndpoint(text, "connect"), { ...options, ...proxy });

  test("is straight, and known at once for literals", () => {
    const straight = route("tcp://127.0.0.1:5555");
    expect(straight.proxy).toBeUndefined();
    expect(endsNow(straight)?.addresses.map(hex)).toEqual(["7f000001"]);
    expect(endsNow(route("tcp://localhost:5555"))).toBeUndefined();
    // An interface may have another address at the next attempt.
    expect(endsNow(route("tcp://lo;127.0.0.1:5555"))).toBeUndefined();
    expect(endsNow(route("tcp://127.0.0.2:7;127.0.0.1:5555"))?.source).toMatchObject({ port: 7 });
    expect(endsNow(route("tcp://*:*;127.0.0.1:5555"))?.source).toBeUndefined();
  });

  test("from an address to one of another family does not exist", async () => {
    expect(failure(() => endsNow(route("tcp://[::1];127.0.0.1:1"))).code).toBe("EINVAL");
    // Of a name's addresses those of the other family are left out.
    const { addresses } = await lookUpEnds(route("tcp://127.0.0.1;localhost:1"));
    expect(addresses.map(hex)).toEqual(["7f000001"]);
  });

  test("through a proxy goes to the proxy, and leaves the name to it", () => {
    const proxied = route("tcp://lo;peer.invalid:5555", { socksProxy: "[::1]:1080" });
    expect(proxied.hop).toMatchObject({ host: "::1", port: 1080, source: { host: "lo" } });
    expect(proxied.proxy).toMatchObject({ kind: "name", port: 5555 });
    expect(Buffer.from(proxied.proxy?.address ?? []).toString()).toBe("peer.invalid");
    const literal = route("tcp://10.0.0.7:1", { socksProxy: "proxy:1", socksUsername: "u" });
    expect(literal.proxy).toMatchObject({ kind: "ipv4", address: Uint8Array.of(10, 0, 0, 7) });
    expect(literal.proxy?.username).toEqual(new TextEncoder().encode("u"));
    expect(route("ipc:///tmp/x", { socksProxy: "proxy:1" }).proxy).toBeUndefined();
  });
});

describe("two texts", () => {
  const same = (one: string, other: string) => sameAddress(one, "bind", v6)(other);

  test("mean one endpoint when they are one address", () => {
    expect(same("tcp://127.0.0.1:5", "tcp://127.0.0.1:5")).toBe(true);
    expect(same("tcp://[::1]:5", "tcp://[0:0:0:0:0:0:0:1]:5")).toBe(true);
    expect(same("ipc:///tmp/x", "ipc:///tmp/x")).toBe(true);
    expect(same("tcp://127.0.0.1:5", "tcp://127.0.0.1:6")).toBe(false);
    expect(same("tcp://127.0.0.1:5", "tcp://localhost:5")).toBe(false);
    expect(same("tcp://*:5", "tcp://0.0.0.0:5")).toBe(false);
    expect(same("nonsense", "tcp://127.0.0.1:5")).toBe(false);
  });

  test("of which one is a host name are compared by a look-up", async () => {
    expect(await numericEndpoints("tcp://localhost:5")).toContain("tcp://127.0.0.1:5");
    for (const none of ["tcp://127.0.0.1:5", "tcp://*:5", "ipc:///x", "tcp://nosuch.invalid:5"]) {
      expect(await numericEndpoints(none)).toEqual([]);
    }
  });
});

describe("a name", () => {
  test("is looked up: localhost reaches this machine", async () => {
    const addresses = await resolveAddresses(parseEndpoint("tcp://localhost:5555", "connect"), v4);
    expect(addresses.length).toBeGreaterThan(0);
    expect(addresses.every(({ family }) => family === "ipv4")).toBe(true);
    expect(addresses[0]).toEqual({
      family: "ipv4",
      port: 5555,
      scope: 0,
      data: Uint8Array.of(127, 0, 0, 1),
    });
    const both = await resolveAddresses(parseEndpoint("tcp://localhost:5555", "connect"), v6);
    expect(both.map(hex)).toContain("7f000001");
    // Nothing is tried twice.
    expect(new Set(both.map(hex)).size).toBe(both.length);
  });

  test("that does not exist is an error with the endpoint and the cause", async () => {
    const text = "tcp://nosuch.invalid:5555";
    const error = await rejection(resolveAddresses(parseEndpoint(text, "connect"), v4));
    expect(error).toMatchObject({ code: "EHOSTUNREACH", endpoint: text });
    expect(error.message).toStartWith(`Host unreachable: ${text}. nosuch.invalid has no address.`);
    // Not found, or no name server to ask: both are Bun's to tell.
    expect(error.cause).toMatchObject({ name: "DNSException" });
  });

  test("to bind is an interface, a host, or ENODEV", async () => {
    const bind = (text: string) => bindAddresses(parseEndpoint(text, "bind"), v4);
    expect((await bind("tcp://lo:1")).map(hex)).toEqual(["7f000001"]);
    expect((await bind("tcp://localhost:1")).map(hex)).toEqual(["7f000001"]);
    const error = await rejection(bind("tcp://nosuch.invalid:1"));
    expect(error).toMatchObject({ code: "ENODEV", endpoint: "tcp://nosuch.invalid:1" });
    // Names that every object has are not interfaces.
    expect((await rejection(bind("tcp://constructor.invalid:1"))).code).toBe("ENODEV");
  });

  test("Bun's look-up still tells IPv4 from IPv6 and fails with a code", async () => {
    const found = await Bun.dns.lookup("localhost", { family: 4 });
    expect(found[0]).toMatchObject({ address: "127.0.0.1", family: 4 });
    const error = await Bun.dns.lookup("nosuch.invalid").catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: expect.stringMatching(/^DNS_/), name: "DNSException" });
  });
});

describe("a bind", () => {
  test("to * serves all IPv4 addresses, with the option both families", async () => {
    const any = parseEndpoint("tcp://*:*", "bind");
    expect(await bindAddresses(any, v4)).toEqual([
      { family: "ipv4", port: 0, scope: 0, data: new Uint8Array(4) },
    ]);
    const [dual] = await bindAddresses(any, v6);
    expect(dual?.family).toBe(hasIpv6 ? "ipv6" : "ipv4");
    expect(dual?.data.every((octet) => octet === 0)).toBe(true);
  });

  test.if(hasIpv6)("to an interface uses its IPv6 address with the option", async () => {
    const [name, own] = Object.entries(networkInterfaces()).find(([, addresses]) =>
      addresses?.some(({ family }) => family === "IPv6"),
    ) as [string, { family: string; address: string }[]];
    const first = own.find(({ family }) => family === "IPv6")?.address;
    const [address] = await bindAddresses(parseEndpoint(`tcp://${name}:1`, "bind"), v6);
    expect(address?.family).toBe("ipv6");
    expect(hex(address)).toBe(hex(literal(`tcp://[${first}]:1`)));
  });

  test("without a look-up is known at once, for bindSync", () => {
    expect(hex(bindAddressNow(parseEndpoint("tcp://*:5", "bind"), v4))).toBe("00000000");
    expect(bindAddressNow(parseEndpoint("tcp://localhost:5", "bind"), v4)).toBeUndefined();
  });
});

describe("an ipc endpoint", () => {
  test("is a path, an abstract name, or left to us", () => {
    const ipc = (text: string) => parseEndpoint(text, "bind");
    expect(ipc("ipc:///tmp/x")).toMatchObject({ form: "path", name: "/tmp/x" });
    expect(ipc("ipc://x")).toMatchObject({ form: "path", name: "x" });
    expect(ipc("ipc://@x")).toMatchObject({ form: "abstract", name: "x" });
    expect(ipc("ipc://*")).toMatchObject({ form: "wildcard", name: "" });
    // A path may hold whatever a path may hold.
    expect(ipc("ipc:///tmp/a b;c:é")).toMatchObject({ form: "path", name: "/tmp/a b;c:é" });
  });

  test("becomes the bytes of its name, an abstract one with a 0 before it", () => {
    expect(literal("ipc:///tmp/é")).toEqual({
      family: "unix",
      port: 0,
      scope: 0,
      data: new TextEncoder().encode("/tmp/é"),
    });
    expect(literal("ipc://@ab")?.data).toEqual(Uint8Array.of(0, 97, 98));
  });

  test("may have 107 bytes, and one more is not cut off", () => {
    for (const prefix of ["/", "@"]) {
      const limit = prefix === "@" ? `@${"x".repeat(107)}` : `/${"x".repeat(106)}`;
      expect(parseEndpoint(`ipc://${limit}`, "bind").transport).toBe("ipc");
      const error = failure(() => parseEndpoint(`ipc://${limit}x`, "bind"));
      expect(error).toMatchObject({ code: "ENAMETOOLONG", endpoint: `ipc://${limit}x` });
      expect(error.message).toContain("108 bytes");
    }
    // Bytes, not characters.
    const error = failure(() => parseEndpoint(`ipc://${"é".repeat(54)}`, "connect"));
    expect(error.code).toBe("ENAMETOOLONG");
  });

  test.each(["ipc://", "ipc://@", "ipc:///tmp/a\0b"])("needs a usable name: %j", (text) => {
    expect(failure(() => parseEndpoint(text, "bind"))).toMatchObject({ code: "EINVAL" });
  });

  test("to connect to cannot be a wildcard", () => {
    expect(failure(() => parseEndpoint("ipc://*", "connect")).message).toContain("lastEndpoint");
  });
});

describe("ipc://*", () => {
  const kept = { TMPDIR: process.env.TMPDIR, TEMPDIR: process.env.TEMPDIR, TMP: process.env.TMP };
  const made: string[] = [];
  function directory(): string {
    made.push(mkdtempSync(join(tmpdir(), "endpoint-test-")));
    return made.at(-1) as string;
  }
  afterEach(() => {
    for (const [name, value] of Object.entries(kept)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
  });
  const fresh = async () => {
    const [address] = await bindAddresses(parseEndpoint("ipc://*", "bind"), v4);
    return new TextDecoder().decode(address?.data);
  };

  test("is a path of its own each time, in a directory that others cannot enter", async () => {
    process.env.TMPDIR = directory();
    const [a, b] = [await fresh(), await fresh()];
    expect(a).not.toBe(b);
    expect(a).toMatch(/\/tmp\w{6}\/socket$/);
    expect(dirname(dirname(a))).toBe(process.env.TMPDIR);
    expect(statSync(dirname(a)).mode & 0o777).toBe(0o700);
    expect(existsSync(a)).toBe(false);
  });

  test("goes where TMPDIR, TEMPDIR or TMP says, in this order", async () => {
    const [first, second, third] = [directory(), directory(), directory()];
    Object.assign(process.env, { TMPDIR: first, TEMPDIR: second, TMP: third });
    expect(await fresh()).toStartWith(`${first}/`);
    delete process.env.TMPDIR;
    expect(await fresh()).toStartWith(`${second}/`);
    delete process.env.TEMPDIR;
    expect(await fresh()).toStartWith(`${third}/`);
    delete process.env.TMP;
    const path = await fresh();
    expect(path).toStartWith("/tmp/tmp");
    removeFreshPath(path);
    expect(existsSync(dirname(path))).toBe(false);
  });

  test("leaves nothing behind when it is removed, and takes nothing along", async () => {
    process.env.TMPDIR = directory();
    const path = await fresh();
    writeFileSync(path, "");
    removeFreshPath(path);
    expect(existsSync(dirname(path))).toBe(false);
    expect(() => removeFreshPath(path)).not.toThrow();

    const other = await fresh();
    writeFileSync(join(dirname(other), "of somebody else"), "");
    removeFreshPath(other);
    expect(existsSync(join(dirname(other), "of somebody else"))).toBe(true);
  });

  test("where no directory can be made says which one it was", async () => {
    process.env.TMPDIR = "/nosuch/directory";
    const error = await rejection(bindAddresses(parseEndpoint("ipc://*", "bind"), v4));
    expect(error).toMatchObject({ code: "ENOENT", endpoint: "ipc://*" });
    expect(error.message).toContain("/nosuch/directory");
    expect(error.message).not.toContain("endpoint exactly as it was");
  });

  test("in a directory with a long name is refused, not cut off", async () => {
    process.env.TMPDIR = join(directory(), "x".repeat(100));
    mkdirSync(process.env.TMPDIR);
    const error = await rejection(bindAddresses(parseEndpoint("ipc://*", "bind"), v4));
    expect(error.code).toBe("ENAMETOOLONG");
  });
});

describe("another transport", () => {
  test.each(["udp://1.2.3.4:5", "ws://host:1", "http://host:80", "://x", "TCP://127.0.0.1:1"])(
    "is not supported, and the error says what is: %s",
    (text) => {
      const error = failure(() => parseEndpoint(text, "connect"));
      expect(error).toMatchObject({ code: "EPROTONOSUPPORT", endpoint: text });
      expect(error.message).toStartWith("Protocol not supported: ");
      expect(error.message).toContain("tcp://");
    },
  );

  test("inproc is a name and has no address", async () => {
    const endpoint = parseEndpoint("inproc://jobs", "connect");
    expect(endpoint).toMatchObject({ transport: "inproc", name: "jobs" });
    expect(failure(() => literalAddress(endpoint, v4)).code).toBe("EINVAL");
    const { message } = await rejection(resolveAddresses(endpoint, v4));
    expect(message).toContain("no addresses");
    expect((await rejection(bindAddresses(endpoint, v4))).code).toBe("EINVAL");
    const long = `inproc://${"x".repeat(257)}`;
    expect(failure(() => parseEndpoint(long, "bind")).code).toBe("ENAMETOOLONG");
  });

  test.each(["", "localhost", "127.0.0.1:5555", "tcp:/127.0.0.1:5555", "/tmp/x"])(
    "is asked for where none is named: %j",
    (text) => {
      const error = failure(() => parseEndpoint(text, "connect"));
      expect(error).toMatchObject({ code: "EINVAL", endpoint: text });
      expect(error.message).toContain("transport://address");
    },
  );

  test("what is no string at all is a TypeError", () => {
    for (const value of [undefined, null, 5555, {}, new URL("tcp://127.0.0.1:5555")]) {
      expect(() => parseEndpoint(value as string, "connect")).toThrow(TypeError);
    }
  });
});

describe("any text", () => {
  test("is either an endpoint or a ZmqError that names it: nothing else is thrown", () => {
    // Seeded, so that a failure comes back.
    let state = 12345;
    const below = (n: number) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return (state >>> 8) % n;
    };
    const signs = ["tcp://", "ipc://", "inproc://", "*", ":", ";", "[", "]", "%", "@", "/", "\0"];
    const words = ["::1", "lo", "127.0.0.1", "0", "65535", "-1", " ", "é", "fe80::1%2"];
    const all = [...signs, ...words, "x".repeat(60)];
    for (let round = 0; round < 20_000; round++) {
      const text = Array.from({ length: 1 + below(7) }, () => all[below(all.length)]).join("");
      const purpose = below(2) === 0 ? "bind" : "connect";
      try {
        const endpoint = parseEndpoint(text, purpose);
        expect(endpoint.text).toBe(text);
        const address = literalAddress(endpoint, below(2) === 0 ? v4 : v6);
        if (address?.family === "ipv6") expect(address.data.length).toBe(16);
        if (address?.family === "ipv4") expect(address.data.length).toBe(4);
      } catch (error) {
        expect(error).toBeInstanceOf(ZmqError);
        expect((error as ZmqError).endpoint).toBe(text);
      }
    }
  });
});
