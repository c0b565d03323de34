// The decisions of an Authenticator, without sockets: what is not said to be allowed is refused.

import { afterEach, beforeAll, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type AuthenticationRequest,
  Authenticator,
  type AuthenticatorOptions,
  curveKeyPair,
  readCurveCertificate,
  type Verdict,
  writeCurveCertificate,
  z85Decode,
} from "../../src/index.ts";
import { failure, until } from "../support/sockets.ts";

const common = { domain: "", address: "10.1.2.3", remote: "tcp://10.1.2.3:5", connection: 1 };
const asked = (request: object): AuthenticationRequest =>
  ({ ...common, signal: new AbortController().signal, ...request }) as AuthenticationRequest;

const byNull = (address = "10.1.2.3") => asked({ mechanism: "NULL", credentials: {}, address });
const byPlain = (username: string, password: string) =>
  asked({ mechanism: "PLAIN", credentials: { username, password } });
const byKey = (publicKey: string) => asked({ mechanism: "CURVE", credentials: { publicKey } });

const decide = async (options: AuthenticatorOptions, request: AuthenticationRequest): Promise<Verdict> => {
  using authenticator = new Authenticator(options);
  return await authenticator.authenticate(request);
};

const refused = (reject: string) => ({ reject });
const { publicKey: known } = curveKeyPair();
const { publicKey: unknown } = curveKeyPair();

describe("an address", () => {
  test.each([
    ["10.0.0.0/8", "10.255.0.1", true],
    ["10.0.0.0/8", "11.0.0.1", false],
    ["10.1.2.3", "10.1.2.3", true],
    ["10.1.2.3", "10.1.2.4", false],
    ["10.1.2.2/31", "10.1.2.3", true],
    ["10.1.2.4/31", "10.1.2.3", false],
    ["10.1.0.0/17", "10.1.127.255", true],
    ["10.1.0.0/17", "10.1.128.0", false],
    ["0.0.0.0/0", "203.0.113.9", true],
    ["0.0.0.0/0", "::1", false],
    ["::/0", "2001:db8::1", true],
    ["2001:db8::/33", "2001:db8:7fff::1", true],
    ["2001:db8::/33", "2001:db8:8000::1", false],
    ["::1", "0:0:0:0:0:0:0:1", true],
    ["fe80::/10", "fe80::1%eth0", true],
    // What a listener with ipv6 calls a peer of IPv4.
    ["10.0.0.0/8", "::ffff:10.9.9.9", true],
    ["::ffff:10.0.0.0/104", "10.9.9.9", true],
    ["ipc", "127.0.0.1", false],
  ])("allow %s, and %j comes: %p", async (range, address, allowed) => {
    expect(await decide({ allow: [range] }, byNull(address))).toEqual(allowed ? {} : refused("address"));
    expect(await decide({ deny: [range] }, byNull(address))).toEqual(allowed ? refused("address") : {});
  });

  test.each<[string, object]>([
    ["whose process is known", { remote: "", pid: 4711, uid: 1000 }],
    ["whose address is known", { remote: "ipc:///run/orders" }],
  ])('of ipc is "ipc": a peer %s', async (_, rest) => {
    const request = asked({ ...byNull(""), ...rest });
    expect(await decide({ allow: ["ipc"] }, request)).toEqual({});
    expect(await decide({ deny: ["ipc"] }, request)).toEqual(refused("address"));
    expect(await decide({ allow: ["0.0.0.0/0", "::/0"] }, request)).toEqual(refused("address"));
    expect(await decide({ deny: ["0.0.0.0/0"] }, request)).toEqual({});
  });

  test.each<[string, object]>([
    ["nothing is known of", { remote: "" }],
    ["no process is known of", { remote: "", pid: 0 }],
    ["came by another way", { remote: "tcp://10.1.2.3:5" }],
  ])("that is missing is no ipc, and no list lets it in: a peer that %s", async (_, rest) => {
    const request = asked({ ...byKey(known), address: "", ...rest });
    for (const list of [{ allow: ["ipc", "0.0.0.0/0", "::/0"] }, { deny: ["192.0.2.1"] }, { deny: [] }]) {
      expect(await decide({ ...list, curveKeys: [known] }, request)).toEqual(refused("address"));
    }
  });

  test("that is denied stays so, whatever else would let it in", async () => {
    const options = { allow: ["10.0.0.0/8"], deny: ["10.1.2.0/24"], curveKeys: [known] };
    expect(await decide(options, byKey(known))).toEqual(refused("address"));
    const word = { deny: ["10.1.2.3"], onRequest: () => true };
    expect(await decide(word, byNull())).toEqual(refused("address"));
  });

  const none = ["10.0.0.0/33", "10.0.0", "10.0.0.0/", "10.0.0.0/-1", "::/129", "::ffff:10.0.0.0/95"];
  test.each([...none, "localhost", "", "fe80::1%lo"])(
    "that is none, %j, is refused at once and not ignored",
    (range) => {
      const error = failure(() => new Authenticator({ deny: [range] }));
      expect(error).toMatchObject({ code: "EINVAL" });
      expect(error.message).toContain(JSON.stringify(range));
    },
  );

  test("in place of a list is no list of characters", () => {
    expect(() => new Authenticator({ allow: "10.0.0.1" as never })).toThrow(TypeError);
  });
});

describe("what is not configured", () => {
  test.each([
    ["NULL, where passwords are", { passwords: {} }, byNull()],
    ["NULL, where keys are", { curveKeys: "any" }, byNull()],
    ["PLAIN, where addresses are", { allow: ["0.0.0.0/0"] }, byPlain("joe", "x")],
    ["CURVE, where passwords are", { passwords: {} }, byKey(known)],
    ["all, where nothing is", {}, byNull()],
  ] as const)("lets nobody in: %s", async (_, options, request) => {
    expect(await decide(options, request)).toEqual(refused("mechanism"));
  });

  test("is an error when it is a misspelling", () => {
    expect(() => new Authenticator({ alow: [] } as never)).toThrow("no option alow");
    expect(() => new Authenticator(undefined as never)).toThrow(TypeError);
    expect(() => new Authenticator({ onRequest: true } as never)).toThrow(TypeError);
  });
});

describe("a password", () => {
  let passwords: Record<string, string>;
  beforeAll(async () => {
    passwords = { joe: await Authenticator.hash("correct horse"), __proto__x: await Authenticator.hash("x") };
  });

  test("lets in the user that it belongs to, under that name", async () => {
    expect(await decide({ passwords }, byPlain("joe", "correct horse"))).toEqual({ userId: "joe" });
  });

  test.each([
    ["joe", "correct hors"],
    ["joe", ""],
    ["joe", "correct horse "],
    ["Joe", "correct horse"],
    ["", "correct horse"],
    ["__proto__", "x"],
    ["constructor", "x"],
  ])("of %j, %j, lets nobody in", async (user, password) => {
    expect(await decide({ passwords }, byPlain(user, password))).toEqual(refused("password"));
  });

  test("of nobody is looked at all the same: the time tells no user from none", async () => {
    const calls: string[] = [];
    const { verify } = Bun.password;
    Object.defineProperty(Bun.password, "verify", {
      configurable: true,
      value: (password: string, hash: string) => {
        calls.push(hash);
        return verify(password, hash);
      },
    });
    try {
      using authenticator = new Authenticator({ passwords });
      await authenticator.authenticate(byPlain("nobody", "guess"));
      await authenticator.authenticate(byPlain("nobody", "guess"));
      await authenticator.authenticate(byPlain("joe", "guess"));
    } finally {
      Object.defineProperty(Bun.password, "verify", { configurable: true, value: verify });
    }
    expect(calls).toHaveLength(3);
    // The same one each time: another one each time would tell, too.
    expect(calls[0]).toBe(calls[1]!);
    expect(Object.values(passwords)).toContain(calls[0]!);
    expect(calls[2]).toBe(passwords["joe"]!);
  });

  test("of nobody lets nobody in even where it is the right one of somebody", async () => {
    const one = { joe: passwords["joe"]! };
    expect(await decide({ passwords: one }, byPlain("nobody", "correct horse"))).toEqual(refused("password"));
    expect(await decide({ passwords: {} }, byPlain("nobody", "x"))).toEqual(refused("password"));
  });

  test("in clear in place of a hash is refused, and not repeated", () => {
    const error = failure(() => new Authenticator({ passwords: { joe: "correct horse" } }));
    expect(error).toMatchObject({ code: "EINVAL" });
    expect(error.message).toContain('"joe"');
    expect(error.message).not.toContain("horse");
  });
});

describe("a key", () => {
  test("lets in who has it, and nobody else", async () => {
    for (const curveKeys of [[known], [z85Decode(known)], new Set([known])]) {
      expect(await decide({ curveKeys }, byKey(known))).toEqual({ userId: known, metadata: {} });
      expect(await decide({ curveKeys }, byKey(unknown))).toEqual(refused("key"));
    }
  });

  test("has the name that it was given", async () => {
    const curveKeys = new Map([["orders", known]]);
    expect(await decide({ curveKeys }, byKey(known))).toEqual({ userId: "orders", metadata: {} });
  });

  test("may be any, if that is what is said", async () => {
    expect(await decide({ curveKeys: "any" }, byKey(unknown))).toEqual({ userId: unknown });
  });

  test("that is none is refused at once", () => {
    expect(failure(() => new Authenticator({ curveKeys: ["short"] }))).toMatchObject({ code: "EINVAL" });
    expect(() => new Authenticator({ curveKeys: z85Decode(known) as never })).toThrow(TypeError);
    expect(() => new Authenticator({ curveKeys: [5] as never })).toThrow(TypeError);
  });
});

describe("a directory of keys", () => {
  let directory: string;
  const open: Authenticator[] = [];
  const warnings: string[] = [];
  const hear = (warning: Error) => warnings.push(warning.message);
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "keys-"));
    warnings.length = 0;
    process.on("warning", hear);
  });
  afterEach(() => {
    process.off("warning", hear);
    for (const authenticator of open.splice(0)) authenticator.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const watch = (): Authenticator => {
    const authenticator = new Authenticator({ curveKeys: directory });
    open.push(authenticator);
    return authenticator;
  };
  const write = (name: string, metadata = {}): string => {
    const { publicFile } = writeCurveCertificate(directory, name, metadata);
    return readCurveCertificate(publicFile).publicKey;
  };
  /** Within a second: that is what is promised. */
  const keys = (authenticator: Authenticator, count: number) =>
    until(`${count} keys`, () => authenticator.stats().keys === count, 1000);

  test("lets in whose file is there, by its name, with its metadata", async () => {
    const key = write("orders", { role: "admin" });
    expect(await watch().authenticate(byKey(key))).toEqual({ userId: "orders", metadata: { role: "admin" } });
    expect(await watch().authenticate(byKey(known))).toEqual(refused("key"));
  });

  test("that gets a file lets its owner in within a second", async () => {
    const authenticator = watch();
    const key = write("late");
    await keys(authenticator, 1);
    expect(await authenticator.authenticate(byKey(key))).toMatchObject({ userId: "late" });
  });

  test("that loses a file keeps its owner out within a second", async () => {
    const key = write("gone");
    const authenticator = watch();
    expect(await authenticator.authenticate(byKey(key))).toMatchObject({ userId: "gone" });
    rmSync(join(directory, "gone.key"));
    await keys(authenticator, 0);
    expect(await authenticator.authenticate(byKey(key))).toEqual(refused("key"));
  });

  test("whose file gets another key lets in the new one only, also when it is put in its place", async () => {
    const before = write("rotated");
    const authenticator = watch();
    const other = writeCurveCertificate(join(directory, "elsewhere"), "rotated");
    const { publicKey } = readCurveCertificate(other.publicFile);
    renameSync(other.publicFile, join(directory, "rotated.key"));
    const letsIn = async (key: string) =>
      "userId" in ((await authenticator.authenticate(byKey(key))) as object);
    const deadline = performance.now() + 1000;
    while (!(await letsIn(publicKey)) && performance.now() < deadline) await Bun.sleep(5);
    expect([await letsIn(publicKey), await letsIn(before)]).toEqual([true, false]);
  });

  test("with a file that is no key goes on with the others, and says so once", async () => {
    const key = write("good");
    writeFileSync(join(directory, "bad.key"), "nonsense");
    const authenticator = watch();
    expect(authenticator.stats()).toMatchObject({ keys: 1, badKeyFiles: 1 });
    expect(await authenticator.authenticate(byKey(key))).toMatchObject({ userId: "good" });
    write("another");
    await keys(authenticator, 2);
    expect(warnings.filter((text) => text.includes("bad.key"))).toHaveLength(1);
    // Mended, it counts.
    writeFileSync(join(directory, "bad.key"), `curve\n    public-key = "${known}"\n`);
    await keys(authenticator, 3);
    expect(authenticator.stats().badKeyFiles).toBe(0);
  });

  test("is watched once, however often it changes", async () => {
    const watches = spyOn(process.getBuiltinModule("node:fs"), "watch");
    try {
      const authenticator = watch();
      for (let count = 1; count <= 5; count += 1) {
        write(`key ${count}`);
        await keys(authenticator, count);
      }
      expect(watches).toHaveBeenCalledTimes(1);
    } finally {
      watches.mockRestore();
    }
  });

  test("takes no secret for a key: *.key_secret is not looked at", () => {
    write("a");
    rmSync(join(directory, "a.key"));
    expect(watch().stats()).toMatchObject({ keys: 0, badKeyFiles: 0 });
  });

  test("that goes away lets nobody in, and counts again when it is back", async () => {
    const key = write("a");
    const authenticator = watch();
    rmSync(directory, { recursive: true });
    await keys(authenticator, 0);
    expect(await authenticator.authenticate(byKey(key))).toEqual(refused("key"));
    mkdirSync(directory);
    write("b");
    await keys(authenticator, 1);
    write("c");
    await keys(authenticator, 2);
  });

  test("that is not there is an error, not an empty list", () => {
    expect(() => new Authenticator({ curveKeys: join(directory, "none") })).toThrow("ENOENT");
  });

  test("is let go by close: nobody comes in any more, and is told to try again", async () => {
    const key = write("a");
    const authenticator = watch();
    authenticator.close();
    expect(await authenticator.authenticate(byKey(key))).toEqual({ reject: "closed", status: 300 });
    authenticator.close();
  });

  test("does not keep the process alive", async () => {
    write("a");
    const source = join(import.meta.dir, "../../src/index.ts");
    const code = `import { Authenticator } from ${JSON.stringify(source)};
      new Authenticator({ curveKeys: ${JSON.stringify(directory)} });`;
    const child = Bun.spawn([process.execPath, "-e", code], { stderr: "pipe" });
    const late = setTimeout(() => child.kill(), 5000);
    expect(await child.exited).toBe(0);
    clearTimeout(late);
    expect(await new Response(child.stderr).text()).toBe("");
  });
});

describe("a domain", () => {
  test("is the only one that it is about", async () => {
    const options = { domains: ["orders"], allow: ["0.0.0.0/0"] };
    expect(await decide(options, asked({ ...byNull(), domain: "orders" }))).toEqual({});
    expect(await decide(options, byNull())).toEqual(refused("domain"));
  });
});

describe("onRequest", () => {
  const allow = ["0.0.0.0/0"];

  test("sees those that are let in, and leaves it at that with undefined", async () => {
    const seen: string[] = [];
    const onRequest = ({ address }: AuthenticationRequest) => void seen.push(address);
    expect(await decide({ allow, onRequest }, byNull())).toEqual({});
    expect(await decide({ allow: ["ipc"], onRequest }, byNull())).toEqual(refused("address"));
    expect(seen).toEqual(["10.1.2.3"]);
  });

  test("may refuse, or say more", async () => {
    expect(await decide({ allow, onRequest: () => false }, byNull())).toBe(false);
    const said = { userId: "joe", metadata: { role: "admin" } };
    expect(await decide({ curveKeys: [known], onRequest: async () => said }, byKey(known))).toEqual(said);
    expect(await decide({ curveKeys: [known], onRequest: () => true }, byKey(known))).toMatchObject({
      userId: known,
    });
  });

  test("decides alone about what nothing else is said of", async () => {
    const onRequest = ({ mechanism }: AuthenticationRequest) => mechanism === "PLAIN" || undefined;
    expect(await decide({ onRequest }, byPlain("joe", "x"))).toBe(true);
    expect(await decide({ onRequest }, byNull())).toEqual(refused("mechanism"));
  });

  test("that fails lets nobody in", async () => {
    const failing = () => Promise.reject(new Error("the database is down"));
    await expect(decide({ allow, onRequest: failing }, byNull())).rejects.toThrow("database");
    const other = () => ({ ok: false }) as never;
    await expect(decide({ allow, onRequest: other }, byNull())).rejects.toThrow(TypeError);
  });
});

describe("one that is closed while it decides", () => {
  const closed = { reject: "closed", status: 300 } as const;

  test("lets nobody in by a password that is right, and says no to nobody for good", async () => {
    const passwords = { joe: await Authenticator.hash("correct horse") };
    const authenticator = new Authenticator({ passwords });
    const right = authenticator.authenticate(byPlain("joe", "correct horse"));
    authenticator.close();
    expect(await right).toEqual(closed);
    expect(authenticator.stats()).toMatchObject({ allowed: 0, deniedBy: { closed: 1 } });
  });

  test.each<[string, Verdict | undefined]>([
    ["leaves it at that", undefined],
    ["says true", true],
    ["says who it is", { userId: "joe" }],
  ])("lets nobody in by an onRequest that %s", async (_, word) => {
    const { promise, resolve } = Promise.withResolvers<Verdict | undefined>();
    const authenticator = new Authenticator({ curveKeys: [known], onRequest: () => promise });
    const verdict = authenticator.authenticate(byKey(known));
    authenticator.close();
    resolve(word);
    expect(await verdict).toEqual(closed);
  });

  test("even by itself", () => {
    const authenticator: Authenticator = new Authenticator({
      curveKeys: [known],
      onRequest: () => authenticator.close() as undefined,
    });
    expect(authenticator.authenticate(byKey(known))).toEqual(closed);
  });
});

describe("its statistics", () => {
  test("count each decision, the refused ones by reason", async () => {
    using authenticator = new Authenticator({
      deny: ["192.0.2.1"],
      curveKeys: [known],
      onRequest: ({ domain }) => domain !== "closed",
    });
    const requests = [
      byKey(known), byKey(known), byKey(unknown), byNull("192.0.2.1"), byPlain("a", "b"),
      asked({ ...byKey(known), domain: "closed" }),
    ];
    for (const request of requests) await authenticator.authenticate(request);
    expect(authenticator.stats()).toEqual({
      allowed: 3,
      denied: 3,
      deniedBy: { key: 1, address: 1, callback: 1 },
      keys: 1,
      badKeyFiles: 0,
    });
  });

  test("are all that is shown of it", async () => {
    const hash = await Authenticator.hash("correct horse");
    using authenticator = new Authenticator({ passwords: { joe: hash }, curveKeys: [known] });
    const shown = `${Bun.inspect(authenticator, { depth: 9 })}${JSON.stringify(authenticator)}`;
    expect(shown).toContain("allowed: 0");
    for (const secret of ["joe", hash, known]) expect(shown).not.toContain(secret);
  });
});
