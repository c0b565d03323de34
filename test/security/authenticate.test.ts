// `socket.authenticate`: what it is asked, what its answers do on both sides, and that nothing but a clear
// yes lets a peer in.

import { describe, expect, test } from "bun:test";
import {
  type AuthenticationRequest,
  Dealer,
  type DealerOptions,
  Pair,
  Pull,
  Push,
  Router,
  type RouterOptions,
  type ZmqError,
} from "../../src/index.ts";
import { coreOf } from "../../src/socket.ts";
import { command, greeting, RawPeer, ready } from "../hostile/wire.ts";
import { client, curveClient, curveServer, outcome, pair, record, warningsOf } from "../support/security.ts";
import { bound, keeper, reasonOf, transports, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };

const mechanisms: [string, RouterOptions, DealerOptions][] = [
  ["NULL", {}, {}],
  ["PLAIN", { plainServer: true }, { plainUsername: "joe", plainPassword: "hush, hush" }],
  ["CURVE", curveServer, curveClient],
];

describe.each(mechanisms)("with %s", (mechanism, ours, theirs) => {
  test.each(transports)("it is asked who comes, truly, over %s", async (transport) => {
    const asked: AuthenticationRequest[] = [];
    const authenticate = (request: AuthenticationRequest) => asked.push(request) > 0;
    const options = { ...ours, authenticate, zapDomain: "orders" };
    const { router, routerEvents } = pair(keep, options, theirs, transport);
    await router.connected(undefined, limits);
    await until("the event", () => routerEvents.of("handshake").length > 0);
    expect(asked).toHaveLength(1);
    const [{ signal, ...request }] = asked as [AuthenticationRequest];
    const { connection, remote } = routerEvents.of("handshake")[0]!;
    expect(request).toMatchObject({ mechanism, domain: "orders", connection: connection! } as object);
    expect(signal.aborted).toBe(false);
    if (transport === "tcp") {
      expect(request).toMatchObject({ address: "127.0.0.1", remote: remote! });
      expect(request.pid).toBeUndefined();
    } else {
      expect(request).toMatchObject({ address: "", pid: process.pid, uid: process.getuid!() });
    }
    const credentials = {
      NULL: {},
      PLAIN: { username: "joe" },
      CURVE: { publicKey: client.publicKey },
    }[mechanism]!;
    expect(request.credentials as object).toEqual(credentials);
    if (mechanism === "PLAIN") expect(request.credentials.password).toBe("hush, hush");
    expect(`${Bun.inspect(asked[0])}${JSON.stringify(asked[0])}`).not.toContain("hush, hush");
  });

  test.each([
    ["true", true],
    ["an empty acceptance", {}],
    ["a promise of one", Promise.resolve({ userId: "joe" })],
  ])("%s lets the peer in", async (_, verdict) => {
    const { router, dealer } = pair(keep, { ...ours, authenticate: () => verdict }, theirs);
    await dealer.send("in");
    expect((await router.receive(limits))[1]!.toString()).toBe("in");
  });

  test.each([
    ["false", false, "authentication_denied", 400],
    ["a rejection", { reject: "unknown" }, "authentication_denied", 400],
    ["a failure", { reject: "no database", status: 500 }, "authentication_error", 500],
    ["a promise of a rejection", Promise.resolve({ reject: "unknown" }), "authentication_denied", 400],
  ] as const)("%s keeps it out for good, and both sides know why", async (_, verdict, reason, status) => {
    const link = pair(keep, { ...ours, authenticate: () => verdict as never }, theirs);
    const sending = link.dealer.send("never");
    expect(await outcome(link.routerEvents)).toBe(reason);
    const rejection = ((await verdict) as { reject?: string }).reject ?? "refused";
    expect(link.routerEvents.of("handshake:error:auth")).toMatchObject([{ error: { status }, rejection }]);
    expect(await outcome(link.dealerEvents)).toBe("peer_error");
    expect(link.dealerEvents.of("handshake:error:auth")).toMatchObject([{ error: { status } }]);
    await until("no further attempt", () => link.dealerEvents.of("connect:stop").length > 0);
    await sending;
    const error = (await reasonOf(link.dealer.send("more"))) as ZmqError;
    expect(error.code).toBe("EACCES");
    expect(error.message).toContain("check its keys");
    expect(link.routerEvents.of("handshake")).toEqual([]);
    expect(link.dealerEvents.of("handshake")).toEqual([]);
    expect(link.router.tryReceive()).toBeUndefined();
  });

  test("a rejection with 300 sends it away until later", async () => {
    let answers = 0;
    const authenticate = () => (answers++ === 0 ? { reject: "not yet", status: 300 as const } : true);
    const { router, dealer, routerEvents } = pair(keep, { ...ours, authenticate }, theirs);
    await dealer.send("later");
    expect((await router.receive(limits))[1]!.toString()).toBe("later");
    expect(await outcome(routerEvents)).toBe("authentication_retry");
    expect(answers).toBe(2);
  });

  test.each<[string, () => unknown]>([
    ["nothing", () => undefined],
    ["null", () => null],
    ["1", () => 1],
    ["a string", () => "yes"],
    ["an array", () => []],
    ["an answer in other words", () => ({ allowed: false })],
    ["yes and no", () => ({ userId: "joe", reject: "no" })],
    ["a status that there is not", () => ({ reject: "no", status: 200 })],
    ["a user that is no string", () => ({ userId: 5 })],
    ["metadata that are no strings", () => ({ metadata: { age: 5 } })],
    ["an error that is returned", () => new Error("no database")],
    ["an answer of HTTP", () => new Response("no", { status: 403 })],
    ["a promise of nothing", async () => undefined],
    ["an error", () => { throw new Error("broken"); }],
    ["a promise that fails", () => Promise.reject(new Error("broken"))],
  ])("%s lets nobody in, and the program is warned once and goes on", async (_, authenticate) => {
    const warnings = await warningsOf(async () => {
      const { router, routerEvents } = pair(keep, { ...ours, authenticate: authenticate as never }, theirs);
      expect(await outcome(routerEvents)).toBe("authentication_error");
      const second = keep(new Dealer({ ...theirs, linger: 0 }));
      second.connect(router.lastEndpoint!);
      await until("the second", () => routerEvents.of("handshake:error:auth").length === 2);
      expect(routerEvents.of("handshake")).toEqual([]);
    });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toStartWith("MONOCOQUE_AUTHENTICATE: authenticate of a Router has failed");
  });

  test("no answer in time is no (authenticateTimeout), and what comes later changes nothing", async () => {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    let signal: AbortSignal | undefined;
    const authenticate = (request: AuthenticationRequest) => {
      signal = request.signal;
      return promise;
    };
    const { router, routerEvents } = pair(keep, { ...ours, authenticate, authenticateTimeout: 20 }, theirs);
    expect(await outcome(routerEvents)).toBe("authentication_error");
    expect(signal!.aborted).toBe(true);
    resolve(true);
    router.authenticate = () => true;
    const next = keep(new Dealer({ ...theirs, linger: 0 }));
    next.connect(router.lastEndpoint!);
    await next.connected(undefined, limits);
    expect(routerEvents.of("handshake")).toHaveLength(1);
  });

  test("a peer that leaves meanwhile is no matter, and its number is not let in by the answer", async () => {
    const verdicts: ((verdict: boolean) => void)[] = [];
    const authenticate = () => new Promise<boolean>((resolve) => verdicts.push(resolve));
    const { router, dealer, routerEvents } = pair(keep, { ...ours, authenticate }, theirs);
    await until("the first", () => verdicts.length === 1);
    dealer.close();
    const next = keep(new Dealer({ ...theirs, linger: 0 }));
    const events = record(next);
    next.connect(router.lastEndpoint!);
    await until("the next", () => verdicts.length === 2);
    verdicts[0]!(true);
    await until("the first has gone", () =>
      routerEvents.some(({ type }) => type === "disconnect" || type === "handshake:error:other"));
    verdicts[1]!(false);
    expect(await outcome(events)).toBe("peer_error");
    expect(router.tryReceive()).toBeUndefined();
  });

  test("a socket that is closed waits for no decision", async () => {
    let signal: AbortSignal | undefined;
    const authenticate = (request: AuthenticationRequest) => {
      signal = request.signal;
      return new Promise<boolean>(() => {});
    };
    const { router, dealerEvents } = pair(keep, { ...ours, authenticate }, theirs);
    await until("it is asked", () => signal !== undefined);
    router.close();
    expect(signal!.aborted).toBe(true);
    expect(dealerEvents.of("handshake")).toEqual([]);
  });
});

describe("before the verdict", () => {
  test("a peer sees no READY, however long it takes, and one that is refused never does", async () => {
    const verdicts: ((verdict: boolean) => void)[] = [];
    const authenticate = () => new Promise<boolean>((resolve) => verdicts.push(resolve));
    const router = keep(new Router({ authenticate }));
    const peer = await RawPeer.connect(bound(router));
    peer.write(greeting(), ready("DEALER"));
    await until("it is asked", () => verdicts.length === 1);
    expect(peer.received.length).toBe(64);
    verdicts[0]!(false);
    await until("its end", () => peer.closed);
    expect(peer.received.subarray(64)).toEqual(command("ERROR", Buffer.from("\x03400")));
    expect(peer.received.includes("READY")).toBe(false);
    expect(router.tryReceive()).toBeUndefined();
  });

  test("nothing that it sends is read, and all of it after", async () => {
    let allow: ((verdict: boolean) => void) | undefined;
    const pull = keep(new Pull({ authenticate: () => new Promise<boolean>((resolve) => (allow = resolve)) }));
    const peer = await RawPeer.connect(bound(pull));
    peer.write(greeting(), ready("PUSH"), Buffer.from("\0\x05early"));
    await until("it is asked", () => allow !== undefined);
    expect(pull.tryReceive()).toBeUndefined();
    allow!(true);
    expect((await pull.receive(limits))[0]!.toString()).toBe("early");
    await until("READY", () => peer.received.includes("READY"));
  });
});

describe("decisions", () => {
  test("are authenticateMax at a time; the others wait in order, and none is forgotten", async () => {
    const order: string[] = [];
    const finish: (() => void)[] = [];
    let active = 0;
    let most = 0;
    const authenticate = async ({ credentials }: AuthenticationRequest) => {
      order.push(credentials.username!);
      most = Math.max(most, (active += 1));
      await new Promise<void>((resolve) => finish.push(resolve));
      active -= 1;
      return { userId: credentials.username! };
    };
    const router = keep(new Router({ plainServer: true, authenticate, authenticateMax: 3 }));
    const events = record(router);
    const endpoint = bound(router);
    const names = Array.from({ length: 12 }, (_, index) => `user ${index}`);
    for (const plainUsername of names) {
      keep(new Dealer({ plainUsername, linger: 0 })).connect(endpoint);
      await until(`${plainUsername} is there`, () => events.of("accept").length > names.indexOf(plainUsername));
    }
    await until("the first three", () => finish.length === 3);
    for (let done = 0; done < names.length; done += 1) {
      await until("one is asked", () => finish.length > done);
      finish[done]!();
    }
    await until("all are in", () => events.of("handshake").length === names.length);
    expect(most).toBe(3);
    expect(order.toSorted()).toEqual(names.toSorted());
    expect(events.of("handshake").map(({ userId }) => userId).toSorted()).toEqual(names.toSorted());
  });

  test("that are waited for are forgotten when their peers have left: they fill no memory", async () => {
    const authenticate = () => new Promise<boolean>(() => {});
    const options = { authenticate, authenticateMax: 1, authenticateTimeout: 60_000, handshakeInterval: 20 };
    const router = keep(new Router(options));
    const endpoint = bound(router);
    for (let i = 0; i < 50; i += 1) keep(new Dealer({ linger: 0, reconnectInterval: 1 })).connect(endpoint);
    await until("many have given up", () => router.stats().handshakesFailed > 800);
    expect(router[coreOf].authentication!.waiting).toBeLessThan(400);
  });

  test("that hang keep nobody else out for longer than their time", async () => {
    const authenticate = ({ credentials }: AuthenticationRequest) =>
      credentials.username === "good" || new Promise<boolean>(() => {});
    const options = { plainServer: true, authenticate, authenticateMax: 2, authenticateTimeout: 30 };
    const router = keep(new Router(options));
    const endpoint = bound(router);
    for (let i = 0; i < 8; i += 1) keep(new Dealer({ plainUsername: `bad ${i}`, linger: 0 })).connect(endpoint);
    const good = keep(new Dealer({ plainUsername: "good", linger: 0 }));
    good.connect(endpoint);
    await good.connected(undefined, limits);
  });

  test("do not keep the process alive", async () => {
    const source = new URL("../../src/index.ts", import.meta.url).pathname;
    const code = `import { Pair } from ${JSON.stringify(source)};
      const server = new Pair({ linger: 0, authenticate: () => new Promise(() => console.log("asked")) });
      server.bindSync("tcp://127.0.0.1:*");
      const client = new Pair({ linger: 0 });
      client.connect(server.lastEndpoint);
      await new Promise((resolve) => setTimeout(resolve, 200));`;
    const child = Bun.spawn([process.execPath, "-e", code], { stdout: "pipe", stderr: "pipe" });
    const late = setTimeout(() => child.kill(), 4000);
    expect(await child.exited).toBe(0);
    clearTimeout(late);
    expect(await new Response(child.stdout).text()).toBe("asked\n");
  });
});

describe("a socket that is closed and still sends", () => {
  test("lets nobody in whom it could not ask about, and does not leave a peer waiting either", async () => {
    const pull = keep(new Pull());
    const endpoint = bound(pull);
    await pull.unbind(endpoint);
    const push = new Push({ authenticate: () => true, linger: 1500, reconnectInterval: 10 });
    push.connect(endpoint);
    await push.send("never");
    const lost = push.close();
    const events = record(pull);
    await pull.bind(endpoint);
    // Long before linger ends.
    await until("it is sent away", () => events.some(({ type }) => type.startsWith("handshake:error")), 700);
    expect(await lost).toBe(1);
    expect(pull.tryReceive()).toBeUndefined();
  });
});

describe("nobody is asked", () => {
  test("by a client, which knows its server", async () => {
    const authenticate = () => {
      throw new Error("asked");
    };
    for (const [, ours, theirs] of mechanisms.slice(1)) {
      const { dealer } = pair(keep, { ...ours, authenticate: () => true }, { ...theirs, authenticate });
      await dealer.connected(undefined, limits);
    }
  });

  test("within the process, where there is no mechanism", async () => {
    const pull = keep(new Pair({ ...curveServer, authenticate: () => false }));
    pull.bindSync("inproc://unasked");
    const push = keep(new Pair({}));
    push.connect("inproc://unasked");
    await push.send("in");
    const message = await pull.receive(limits);
    expect(message[0]!.toString()).toBe("in");
    expect(pull.peerOf(message)).toBeUndefined();
  });

  test("once it is taken away, and again when it is there", async () => {
    const router = keep(new Router({ authenticate: () => false }));
    const endpoint = bound(router);
    const attempt = async () => {
      const dealer = keep(new Dealer({ linger: 0, reconnectInterval: -1 }));
      const events = record(dealer);
      dealer.connect(endpoint);
      return outcome(events);
    };
    expect(await attempt()).toBe("peer_error");
    router.authenticate = null;
    expect(await attempt()).toBe("handshake");
    router.authenticate = () => false;
    expect(await attempt()).toBe("peer_error");
  });
});
