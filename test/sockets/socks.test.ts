// Connections through a SOCKS5 proxy (libzmq's test_socks), and what happens when it says no.

import { afterEach, describe, expect, test } from "bun:test";
import { type Event, Pull, Push, type PushOptions, Reply, Request } from "../../src/index.ts";
import { SocksServer } from "../support/socks_server.ts";
import { bound, event, failure, texts } from "../support/sockets.ts";
import { freePort, killPeers, libzmq } from "../interop/peer.ts";

afterEach(killPeers);

const port = (endpoint: string) => Number(/:(\d+)$/.exec(endpoint)?.[1]);

/** A question and its answer through the proxy. */
async function echoes(proxy: SocksServer, options: object = {}, host = "127.0.0.1") {
  using reply = new Reply({ linger: 0, ipv6: true });
  reply.bindSync("tcp://*:*");
  using request = new Request({ linger: 0, socksProxy: proxy.address, ...options });
  request.connect(`tcp://${host}:${port(reply.lastEndpoint as string)}`);
  await request.send("question");
  expect(texts(await reply.receive({ timeout: 5000 }))).toEqual(["question"]);
  await reply.send("answer");
  expect(texts(await request.receive({ timeout: 5000 }))).toEqual(["answer"]);
}

/** How an attempt through this proxy ends. */
async function refusal(options: PushOptions, endpoint = "tcp://127.0.0.1:9"): Promise<Event> {
  using push = new Push({ linger: 0, ...options });
  const closed = event(push, "close");
  const retried = event(push, "connect:retry");
  push.connect(endpoint);
  push.ref();
  const failed = await closed;
  expect((await retried).reason).toBe(failed.reason);
  return failed;
}

describe("test_socks", () => {
  test("without authentication, names and passwords are not even offered", async () => {
    using proxy = new SocksServer();
    await echoes(proxy);
    expect(proxy.asked[0]).toEqual({
      methods: [0],
      kind: 1,
      host: "127.0.0.1",
      port: proxy.asked[0]?.port as number,
    });
    expect(proxy.through).toBe(1);
  });

  test.each([
    ["user", "password"],
    ["user", ""],
    ["u".repeat(255), "p".repeat(255)],
    ["ü", "пароль"],
  ])("with a name and a password", async (username, password) => {
    using proxy = new SocksServer({ credentials: { username, password } });
    await echoes(proxy, { socksUsername: username, socksPassword: password });
    expect(proxy.asked[0]).toMatchObject({ methods: [2], username, password });
  });

  test("a password that was not set is an empty one; an empty name is none", async () => {
    using proxy = new SocksServer({ credentials: { username: "user", password: "" } });
    await echoes(proxy, { socksUsername: "user" });
    using open = new SocksServer();
    await echoes(open, { socksUsername: "", socksPassword: "ignored" });
    expect(open.asked[0]?.methods).toEqual([0]);
  });

  test("a name is sent unresolved: only the proxy may know it", async () => {
    using proxy = new SocksServer({ names: { "only-the-proxy-knows.invalid": "127.0.0.1" } });
    await echoes(proxy, {}, "only-the-proxy-knows.invalid");
    expect(proxy.asked[0]).toMatchObject({ kind: 3, host: "only-the-proxy-knows.invalid" });
  });

  test("an IPv6 address is sent as one, and needs the option ipv6", async () => {
    using proxy = new SocksServer();
    await echoes(proxy, { ipv6: true }, "[::1]");
    expect(proxy.asked[0]).toMatchObject({ kind: 4, host: "0:0:0:0:0:0:0:1" });
    using push = new Push({ linger: 0, socksProxy: proxy.address });
    expect(failure(() => push.connect("tcp://[::1]:9")).code).toBe("EAFNOSUPPORT");
  });

  test("the proxy itself may have an IPv6 address, or a name", async () => {
    using proxy = new SocksServer({ hostname: "::1" });
    await echoes(proxy, { socksProxy: `[::1]:${proxy.port}`, ipv6: true });
    using named = new SocksServer();
    await echoes(named, { socksProxy: `localhost:${named.port}` });
  });

  test("answers may be late, and come byte by byte", async () => {
    const credentials = { username: "user", password: "password" };
    using proxy = new SocksServer({ credentials, delayMs: 20, bytewiseMs: 2 });
    await echoes(proxy, { socksUsername: "user", socksPassword: "password" });
  });

  test("messages of all sizes pass, several connections at once", async () => {
    using proxy = new SocksServer();
    using pull = new Pull();
    using push = new Push({ linger: 0, socksProxy: proxy.address });
    for (let i = 0; i < 3; i += 1) push.connect(bound(pull));
    const part = Buffer.alloc(300_000, "x");
    for (let i = 0; i < 30; i += 1) await push.send([part, String(i)]);
    const seen = new Set<string>();
    for (let i = 0; i < 30; i += 1) {
      const [payload, number] = await pull.receive({ timeout: 5000 });
      expect(payload?.length).toBe(300_000);
      seen.add(String(number));
    }
    expect(seen.size).toBe(30);
    expect(proxy.through).toBe(3);
  });

  test("a libzmq peer is reached like any other", async () => {
    using proxy = new SocksServer();
    const peer = libzmq("pull", "bind", "tcp://127.0.0.1:*", { count: 100, numbered: true });
    using push = new Push({ socksProxy: proxy.address });
    push.connect(await peer.endpoint());
    for (let i = 0; i < 100; i += 1) {
      const part = Buffer.alloc(64);
      part.writeUInt32LE(i);
      await push.send(part);
    }
    expect(await peer.report()).toMatchObject({ messages: 100, errors: 0 });
    expect(proxy.through).toBe(1);
  });

  test("ipc does not go through it", async () => {
    using pull = new Pull();
    using push = new Push({ linger: 0, socksProxy: "127.0.0.1:9" });
    push.connect(bound(pull, "ipc"));
    await push.send("x");
    expect(texts(await pull.receive({ timeout: 3000 }))).toEqual(["x"]);
  });

  test("a proxy that comes later is found, by name and by address", async () => {
    const socksPort = freePort();
    using pull = new Pull();
    const endpoint = bound(pull);
    using one = new Push({ linger: 0, reconnectInterval: 5, socksProxy: `127.0.0.1:${socksPort}` });
    using two = new Push({ linger: 0, reconnectInterval: 5, socksProxy: `localhost:${socksPort}` });
    for (const push of [one, two]) {
      const closed = event(push, "close");
      push.connect(endpoint);
      push.ref();
      expect((await closed).reason).toBe("proxy_unreachable");
      push.unref();
    }
    using proxy = new SocksServer({ port: socksPort });
    await one.send("1");
    await two.send("2");
    const both = [await pull.receive({ timeout: 3000 }), await pull.receive({ timeout: 3000 })];
    expect(both.map((message) => texts(message)[0]).sort()).toEqual(["1", "2"]);
    expect(proxy.through).toBe(2);
  });
});

describe("a connection that the proxy does not make is an event, and tried again", () => {
  test("the password is wrong", async () => {
    using proxy = new SocksServer({ credentials: { username: "user", password: "right" } });
    const failed = await refusal({
      socksProxy: proxy.address,
      socksUsername: "user",
      socksPassword: "wrong",
    });
    expect(failed.reason).toBe("proxy_credentials_refused");
  });

  test("the proxy wants a password and has none, or the other way round", async () => {
    using strict = new SocksServer({ credentials: { username: "user", password: "right" } });
    expect((await refusal({ socksProxy: strict.address })).reason).toBe("proxy_method_refused");
    using open = new SocksServer();
    const failed = await refusal({ socksProxy: open.address, socksUsername: "user" });
    expect(failed.reason).toBe("proxy_method_refused");
  });

  test.each([
    [1, "proxy_general_failure"],
    [2, "proxy_not_allowed"],
    [3, "proxy_network_unreachable"],
    [4, "proxy_host_unreachable"],
    [5, "proxy_connection_refused"],
    [6, "proxy_ttl_expired"],
    [7, "proxy_command_unsupported"],
    [8, "proxy_address_unsupported"],
    [99, "proxy_refused"],
  ])("it answers %d: %s", async (code, reason) => {
    using proxy = new SocksServer({ code });
    const failed = await refusal({ socksProxy: proxy.address });
    expect(failed).toMatchObject({ reason, address: "tcp://127.0.0.1:9" });
    // The remote end of the connection was the proxy.
    expect(failed.peer).toBe(`tcp://${proxy.address}`);
  });

  test("it speaks something else", async () => {
    for (const text of ["HTTP/1.1 400 Bad Request\r\n\r\n", "\x04\x5a", "\x00"]) {
      using proxy = new SocksServer({ garbage: Buffer.from(text, "latin1") });
      expect((await refusal({ socksProxy: proxy.address })).reason).toBe("proxy_malformed");
    }
  });

  test("it says nothing", async () => {
    using proxy = new SocksServer({ garbage: new Uint8Array(0) });
    const socksProxy = proxy.address;
    const connect = await refusal({ socksProxy, connectTimeout: 30 });
    expect(connect.reason).toBe("proxy_timed_out");
    const handshake = await refusal({ socksProxy, handshakeInterval: 30 });
    expect(handshake.reason).toBe("proxy_timed_out");
  });

  test("it is not there, or its name is unknown", async () => {
    const socksProxy = `127.0.0.1:${freePort()}`;
    expect((await refusal({ socksProxy })).reason).toBe("proxy_unreachable");
    const unknown = await refusal({ socksProxy: "no-such-proxy.invalid:1080" });
    expect(unknown.reason).toBe("proxy_unreachable");
  });

  test("and once it lets through what it refused, messages flow", async () => {
    using proxy = new SocksServer({ code: 2 });
    using pull = new Pull();
    using push = new Push({ linger: 0, reconnectInterval: 5, socksProxy: proxy.address });
    const closed = event(push, "close");
    push.connect(bound(pull));
    await push.send("late");
    expect((await closed).reason).toBe("proxy_not_allowed");
    proxy.options.code = 0;
    expect(texts(await pull.receive({ timeout: 3000 }))).toEqual(["late"]);
  });
});

describe("the options", () => {
  test("are checked when they are set, and say what they want", () => {
    using push = new Push();
    for (const wrong of ["proxy", "proxy:", ":1080", "proxy:0", "proxy:65536", "::1:1080", "a b"]) {
      const error = failure(() => (push.socksProxy = wrong));
      expect(error).toMatchObject({ code: "EINVAL" });
      expect(error.message).toContain("proxy.example:1080");
    }
    for (const good of ["proxy.example:1080", "[::1]:1080", "127.0.0.1:1", null]) {
      push.socksProxy = good;
      expect(push.socksProxy).toBe(good);
    }
    expect(failure(() => (push.socksUsername = "x".repeat(256))).code).toBe("EINVAL");
    expect(failure(() => (push.socksPassword = "ü".repeat(128))).code).toBe("EINVAL");
    expect(() => (push.socksPassword = 5 as unknown as string)).toThrow(TypeError);
  });

  test("count for the next connect, not for those before", async () => {
    using proxy = new SocksServer();
    using pull = new Pull();
    using push = new Push({ linger: 0, socksProxy: proxy.address });
    push.connect(bound(pull));
    push.socksProxy = null;
    await push.send("through");
    await pull.receive({ timeout: 3000 });
    expect(proxy.through).toBe(1);
    push.connect(bound(pull));
    await push.send("1");
    await push.send("2");
    await pull.receive({ timeout: 3000 });
    await pull.receive({ timeout: 3000 });
    expect(proxy.through).toBe(1);
  });
});
