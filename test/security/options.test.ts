// The options of PLAIN and CURVE: which part a socket has, what is missing for it, and what is shown.

import { describe, expect, test } from "bun:test";
import {
  Authenticator,
  curveKeyPair,
  curvePublicKey,
  Dealer,
  type DealerOptions,
  Pull,
  Reply,
  Router,
  Stream,
  z85Decode,
} from "../../src/index.ts";
import { nativeContext } from "../../src/context.ts";
import { coreOf } from "../../src/socket.ts";
import {
  client,
  curveClient,
  curveServer,
  outcome,
  pair,
  record,
  server,
  stranger,
  warningsOf,
} from "../support/security.ts";
import { bound, failure, keeper, rejection } from "../support/sockets.ts";

const keep = keeper();
const anywhere = "tcp://127.0.0.1:*";
const mechanismOf = (options: DealerOptions) => keep(new Dealer(options)).securityMechanism;

describe("the part of a socket", () => {
  test("is the one whose option is set", () => {
    expect(mechanismOf({})).toBeNull();
    expect(mechanismOf({ plainServer: true })).toBe("plain");
    expect(mechanismOf({ plainUsername: "joe" })).toBe("plain");
    expect(mechanismOf(curveServer)).toBe("curve");
    expect(mechanismOf(curveClient)).toBe("curve");
  });

  test("ends with null, or false, of its own option only", () => {
    const socket = keep(new Dealer({ plainUsername: "joe", ...curveClient }));
    expect(socket.securityMechanism).toBeNull();
    socket.plainUsername = null;
    expect(socket.securityMechanism).toBe("curve");
    socket.curveServer = false;
    expect(socket.securityMechanism).toBe("curve");
    socket.curveServerKey = null;
    expect(socket.securityMechanism).toBeNull();
  });

  const two: [string, DealerOptions, string, string][] = [
    [
      "clients of PLAIN and CURVE",
      { ...curveClient, plainUsername: "joe", plainPassword: "hush" },
      "for a client of CURVE set plainUsername to null",
      "for a client of PLAIN set curveServerKey to null",
    ],
    [
      "servers of PLAIN and CURVE",
      { plainServer: true, ...curveServer },
      "for a server of PLAIN set curveServer to false",
      "for a server of CURVE set plainServer to false",
    ],
    [
      "both sides of CURVE",
      { ...curveServer, curveServerKey: server.publicKey },
      "for a server of CURVE set curveServerKey to null",
      "for a client of CURVE set curveServer to false",
    ],
    [
      "both sides of PLAIN",
      { plainServer: true, plainUsername: "joe" },
      "for a server of PLAIN set plainUsername to null",
      "for a client of PLAIN set plainServer to false",
    ],
    [
      "three of them",
      { plainServer: true, plainUsername: "joe", curveServer: true },
      "for a client of PLAIN set plainServer to false and curveServer to false",
      "for a server of CURVE set plainServer to false and plainUsername to null",
    ],
  ];

  test.each(two)("is one: %s are refused, whichever was set last", async (_, options, one, other) => {
    for (const order of [Object.entries(options), Object.entries(options).reverse()]) {
      const given = Object.fromEntries(order) as DealerOptions;
      const make = () => keep(new Dealer(given));
      for (const error of [
        failure(() => make().bindSync(anywhere)),
        failure(() => make().connect("tcp://127.0.0.1:1")),
        failure(() => make().connect("inproc://two parts")),
        await rejection(make().bind(anywhere)),
      ]) {
        expect(error.code).toBe("EINVAL");
        expect(error.message).toContain(one);
        expect(error.message).toContain(other);
        for (const secret of [client.secretKey, server.secretKey, "hush"]) {
          expect(`${error.message}${error.stack}`).not.toContain(secret);
        }
      }
    }
  });

  test("never is PLAIN where CURVE was meant: the password would be on the wire in clear", async () => {
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    const wire = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: (_, bytes) => resolve(bytes) } });
    const endpoint = `tcp://127.0.0.1:${wire.port}`;
    const socket = keep(new Dealer({ ...curveClient, plainUsername: "joe", plainPassword: "hush" }));
    failure(() => socket.connect(endpoint));
    socket.plainUsername = null;
    socket.plainPassword = null;
    socket.connect(endpoint);
    expect((await promise).toString("latin1", 12, 17)).toBe("CURVE");
    wire.stop(true);
  });

  test("is changed within a turn, in either order, and until it is clear the former one goes on", async () => {
    const { router, dealer } = pair(keep, { ...curveServer, authenticate: () => true }, curveClient);
    await dealer.connected(undefined, { timeout: 5000 });
    const attempt = async (options: DealerOptions) => {
      const next = keep(new Dealer({ ...options, linger: 0, reconnectInterval: -1 }));
      const events = record(next);
      next.connect(router.lastEndpoint!);
      return outcome(events);
    };
    const plain = { plainUsername: "joe" };
    const warnings = await warningsOf(() => {
      router.plainServer = true;
    });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain("for a server of PLAIN set curveServer to false");
    expect(router.securityMechanism).toBe("curve");
    expect(await attempt(curveClient)).toBe("handshake");
    expect(await attempt(plain)).toBe("mechanism_mismatch");
    router.curveServer = false;
    expect(router.securityMechanism).toBe("plain");
    expect(await attempt(plain)).toBe("handshake");
    const none = await warningsOf(() => {
      router.curveServer = true;
      router.plainServer = false;
    });
    expect(none).toEqual([]);
    expect(await attempt(plain)).toBe("mechanism_mismatch");
    expect(await attempt(curveClient)).toBe("handshake");
  });

  test("is none of a Stream, which does not speak ZMTP", () => {
    expect(() => new Stream({ curveServer: true } as never)).toThrow("Stream has no option curveServer");
  });
});

describe("a value", () => {
  test("of a key is Z85 or bytes, and reads back as Z85", () => {
    const socket = keep(new Dealer({ curveServerKey: z85Decode(server.publicKey) }));
    expect(socket.curveServerKey).toBe(server.publicKey);
    socket.curveSecretKey = new Uint8Array(z85Decode(client.secretKey));
    expect(socket.curveSecretKey as unknown).toBe(client.secretKey);
  });

  test("reads back as it was set: zeromq.js programs do that", () => {
    const socket = keep(new Dealer({ plainUsername: "joe", plainPassword: "hush", zapDomain: "x" }));
    expect([socket.plainUsername, socket.plainPassword, socket.zapDomain]).toEqual(["joe", "hush", "x"]);
    expect([socket.plainServer, socket.zapEnforceDomain]).toEqual([false, true]);
    expect(socket.authenticate).toBeNull();
  });

  test.each([
    ["curveSecretKey", "hush".repeat(10).slice(0, 39)],
    ["curveSecretKey", "~hush".repeat(8)],
    ["curveSecretKey", new Uint8Array(33)],
    ["plainPassword", "hush".repeat(64)],
    ["plainUsername", ""],
    ["plainUsername", "x".repeat(256)],
    ["zapDomain", "x".repeat(256)],
    ["authenticateTimeout", 0],
    ["authenticateMax", 0],
  ])("of %s that is none is an EINVAL that does not repeat it", (name, value) => {
    const { code, message } = failure(() => new Dealer({ [name]: value } as never));
    expect(code).toBe("EINVAL");
    expect(message).not.toContain("hush");
  });

  const hidden = ["curveSecretKey", "plainPassword", "socksPassword"];
  test.each(hidden)("of %s of the wrong type is not shown", (name) => {
    expect(() => new Dealer({ [name]: 271_828 } as never)).toThrow(TypeError);
    expect(() => new Dealer({ [name]: 271_828 } as never)).not.toThrow("271828");
  });

  test("of authenticate is a function or an Authenticator", () => {
    using authenticator = new Authenticator({});
    const socket = keep(new Router({ authenticate: authenticator }));
    expect(socket.authenticate).toBe(authenticator);
    for (const wrong of [true, "allow", {}, { authenticate: true }, []]) {
      expect(() => new Router({ authenticate: wrong as never })).toThrow(TypeError);
    }
  });
});

describe("a set of options that is not complete", () => {
  const wrong: [string, DealerOptions, string][] = [
    ["curveServer without a key", { curveServer: true }, "curveKeyPair()"],
    ["a secret key without a part", { curveSecretKey: client.secretKey }, "curveServer"],
    ["a public key without a part", { curvePublicKey: client.publicKey }, "curveServer"],
    ["a public key without its secret", { ...curveClient, curveSecretKey: null }, "curveSecretKey"],
    ["halves of two pairs", { ...curveClient, curvePublicKey: stranger.publicKey }, "does not belong"],
    ["a server's of two pairs", { ...curveServer, curvePublicKey: stranger.publicKey }, "does not belong"],
    ["a password without a name", { plainPassword: "hush" }, "plainUsername"],
    ["a key that is none", { ...curveClient, curveServerKey: "0".repeat(40) }, "curveServerKey"],
  ];

  test.each(wrong)("%s: neither bind nor connect leaves the socket open to all", async (_, options, advice) => {
    const make = () => keep(new Dealer(options));
    for (const error of [
      failure(() => make().bindSync(anywhere)),
      failure(() => make().bindSync("inproc://incomplete")),
      failure(() => make().connect("tcp://127.0.0.1:1")),
      failure(() => make().connect("inproc://incomplete")),
      await rejection(make().bind(anywhere)),
    ]) {
      expect(error.code).toBe("EINVAL");
      expect(error.message).toContain(advice);
      for (const secret of [client.secretKey, server.secretKey, "hush"]) {
        expect(`${error.message}${error.stack}`).not.toContain(secret);
      }
    }
  });

  test("does nothing before it is refused: the port stays free, and the socket can be mended", () => {
    const socket = keep(new Router({ curveServer: true }));
    failure(() => socket.bindSync(anywhere));
    expect(socket.lastEndpoint).toBeNull();
    socket.curveSecretKey = server.secretKey;
    socket.bindSync(anywhere);
    expect(socket.lastEndpoint).toStartWith("tcp://127.0.0.1:");
  });
});

describe("a client of CURVE", () => {
  const peerKey = async (options: DealerOptions): Promise<string | undefined> => {
    const keys: (string | undefined)[] = [];
    const authenticate = ({ credentials }: { credentials: { publicKey?: string } }) => {
      keys.push(credentials.publicKey);
      return true;
    };
    const { dealer } = pair(keep, { ...curveServer, authenticate }, options);
    await dealer.connected(undefined, { timeout: 5000 });
    return keys[0];
  };

  test("that is given its secret key only has the public one that belongs to it", async () => {
    const { curveServerKey, curveSecretKey } = curveClient;
    expect(await peerKey({ curveServerKey, curveSecretKey })).toBe(client.publicKey);
  });

  test("that is given none has one of its own, the same at each connection", async () => {
    const keys = new Set<string | undefined>();
    const authenticate = ({ credentials }: { credentials: { publicKey?: string } }) => {
      keys.add(credentials.publicKey);
      return true;
    };
    const { curveServerKey } = curveClient;
    const { dealer, router } = pair(keep, { ...curveServer, authenticate }, { curveServerKey });
    await dealer.connected(undefined, { timeout: 5000 });
    // Told again, by a change of something else.
    dealer.zapDomain = "x";
    dealer.connect(bound(router));
    await dealer.send("a");
    await dealer.send("b");
    await router.receive({ timeout: 5000 });
    await router.receive({ timeout: 5000 });
    expect(keys.size).toBe(1);
    expect(dealer.curvePublicKey).toBeNull();
    expect(keys.has(await peerKey({ curveServerKey: server.publicKey }))).toBe(false);
  });
});

describe("keys that are changed", () => {
  test("count for new connections, at the endpoint that is there; those that are there go on", async () => {
    const { router, dealer } = pair(keep, curveServer, curveClient);
    await dealer.send("before");
    await router.receive({ timeout: 5000 });
    const next = curveKeyPair();
    router.curveSecretKey = next.secretKey;

    const late = keep(new Dealer({ ...curveClient, linger: 0 }));
    const events = record(late);
    late.connect(router.lastEndpoint!);
    expect(await outcome(events)).not.toBe("handshake");
    const fresh = keep(new Dealer({ ...curveClient, curveServerKey: next.publicKey, linger: 0 }));
    fresh.connect(router.lastEndpoint!);
    await fresh.send("new keys");
    expect((await router.receive({ timeout: 5000 }))[1]!.toString()).toBe("new keys");
    await dealer.send("old connection");
    expect((await router.receive({ timeout: 5000 }))[1]!.toString()).toBe("old connection");
  });

  test("one after the other are taken together, without a moment in between that is open", async () => {
    const { router, dealer } = pair(keep, { ...curveServer, curvePublicKey: server.publicKey }, curveClient);
    await dealer.connected(undefined, { timeout: 5000 });
    const next = curveKeyPair();
    const warnings = await warningsOf(() => {
      router.curveSecretKey = next.secretKey; // does not fit the public one yet
      router.curvePublicKey = next.publicKey;
    });
    expect(warnings).toEqual([]);
    const fresh = keep(new Dealer({ curveServerKey: next.publicKey, linger: 0 }));
    fresh.connect(router.lastEndpoint!);
    await fresh.connected(undefined, { timeout: 5000 });
  });

  test("and do not fit leave the former ones in force: a warning, and an error at the next bind", async () => {
    const { router, dealer } = pair(keep, { ...curveServer, curvePublicKey: server.publicKey }, curveClient);
    await dealer.connected(undefined, { timeout: 5000 });
    const warnings = await warningsOf(() => {
      router.curveSecretKey = stranger.secretKey;
    });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toStartWith("MONOCOQUE_SECURITY: Router goes on with its former keys");
    expect(warnings[0]).not.toContain(stranger.secretKey);
    expect(failure(() => router.bindSync(anywhere))).toMatchObject({ code: "EINVAL" });
    const another = keep(new Dealer({ ...curveClient, linger: 0 }));
    another.connect(router.lastEndpoint!);
    await another.connected(undefined, { timeout: 5000 });
  });

  test("a server that ends its part is open then, and not before", async () => {
    const { router } = pair(keep, curveServer, curveClient);
    const open = async () => {
      const plain = keep(new Dealer({ linger: 0, reconnectInterval: -1 }));
      const events = record(plain);
      plain.connect(router.lastEndpoint!);
      return outcome(events);
    };
    await warningsOf(async () => {
      router.curveServer = false; // its key is still there: not complete
      await Promise.resolve();
    });
    expect(await open()).toBe("mechanism_mismatch");
    router.curveSecretKey = null;
    expect(await open()).toBe("handshake");
  });
});

describe("a secret", () => {
  const secrets = [client.secretKey, "hush, hush"];
  const socket = () =>
    keep(new Dealer({ ...curveClient, plainPassword: "hush, hush", socksPassword: "hush, hush" }));

  test("is not in what is printed of a socket, its events, its context or its numbers", async () => {
    const dealer = socket();
    const shown = [dealer, dealer.events, dealer.context, dealer.stats(), dealer.peers()].flatMap((it) => [
      Bun.inspect(it, { depth: 20, showHidden: true } as object),
      JSON.stringify(it, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value)),
      Object.values(it).map(String).join(),
    ]);
    for (const secret of secrets) expect(shown.join("\n")).not.toContain(secret);
  });

  test("is not even shown by what is inside", () => {
    const dealer = keep(new Dealer({ ...curveClient, plainPassword: "hush, hush" }));
    bound(dealer);
    const shown = Bun.inspect(dealer[coreOf], { depth: 20, showHidden: true } as object);
    expect(shown).toContain("curveServerKey");
    for (const secret of secrets) expect(shown).not.toContain(secret);
  });

  test("is not among the properties that a loop finds", () => {
    const dealer = socket();
    const found: string[] = [];
    for (const name in dealer) found.push(name);
    expect(found).toContain("plainUsername");
    for (const name of ["curveSecretKey", "plainPassword", "socksPassword"]) expect(found).not.toContain(name);
    expect(dealer.curveSecretKey).toBe(client.secretKey);
  });

  test("does not stay where it was handed over to the native side, whether that took it or not", () => {
    const record = Buffer.from(nativeContext().record.buffer);
    const dealer = socket();
    dealer.connect("tcp://127.0.0.1:1");
    bound(keep(new Reply(curveServer)));
    const wrong = keep(new Dealer({ ...curveClient, curveServerKey: "0".repeat(40) }));
    failure(() => wrong.connect("tcp://127.0.0.1:1"));
    expect(record.includes(z85Decode(client.publicKey))).toBe(false);
    for (const { secretKey } of [client, server]) expect(record.includes(z85Decode(secretKey))).toBe(false);
    bound(keep(new Dealer({ plainUsername: "joe", plainPassword: "hush, hush" })));
    expect(record.includes("hush, hush")).toBe(false);
  });

  test("of the wire is not what was sent: a Pull with CURVE gets no message from one without", async () => {
    const pull = keep(new Pull(curveServer));
    const events = record(pull);
    const plain = keep(new Dealer({ linger: 0 }));
    plain.connect(bound(pull));
    expect(await outcome(events)).toBe("mechanism_mismatch");
    expect(pull.tryReceive()).toBeUndefined();
  });
});

test("the public key that belongs to a secret one is told by curvePublicKey()", () => {
  expect(curvePublicKey(server.secretKey)).toBe(server.publicKey);
});
