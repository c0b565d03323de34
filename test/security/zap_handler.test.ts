// A ZAP handler (RFC 27) of ours at inproc://zeromq.zap.01: asked like libzmq asks, in this thread and in
// others; and what happens where there is none, or one that talks nonsense.

import { describe, expect, test } from "bun:test";
import { nativeContext } from "../../src/context.ts";
import {
  Context,
  Dealer,
  type DealerOptions,
  Pair,
  Reply,
  type ReplyOptions,
  Router,
  type RouterOptions,
  type Socket,
} from "../../src/index.ts";
import { client, curveClient, curveServer, outcome, pair, record, type Recorded } from "../support/security.ts";
import { bound, keeper, texts, until } from "../support/sockets.ts";

const keep = keeper();
const endpoint = "inproc://zeromq.zap.01";
const limits = { timeout: 5000 };

const plainServer = { plainServer: true } as const;
const plainClient = { plainUsername: "joe", plainPassword: "hush" } as const;

type Answer = (request: string[]) => (string | Buffer)[] | undefined;

/** A handler in this thread that answers as it is told; undefined: not at all. */
function handler(answer: Answer, options?: ReplyOptions): { asked: string[][]; socket: Router } {
  const socket = keep(new Router(options));
  socket.bindSync(endpoint);
  const asked: string[][] = [];
  void (async () => {
    for await (const [peer, delimiter, ...request] of socket) {
      asked.push(texts(request));
      const reply = answer(texts(request));
      if (reply !== undefined) await socket.send([peer!, delimiter!, ...reply]);
    }
  })();
  return { asked, socket };
}

const property = (name: string, value: string): Buffer =>
  Buffer.from(`${String.fromCharCode(name.length)}${name}\0\0\0${String.fromCharCode(value.length)}${value}`);

const ok: Answer = ([, id]) => ["1.0", id!, "200", "OK", "joe", ""];

const mechanisms: [string, RouterOptions, DealerOptions, string[]][] = [
  ["NULL", { zapDomain: "orders" }, {}, []],
  ["PLAIN", { ...plainServer, zapDomain: "orders" }, plainClient, ["joe", "hush"]],
  ["CURVE", { ...curveServer, zapDomain: "orders" }, curveClient, [client.publicKey]],
];

describe.each(mechanisms)("a handler that is asked about a peer of %s", (mechanism, ours, theirs) => {
  test("gets version, number, domain, address, identity, mechanism and credentials", async () => {
    const raw: Buffer[][] = [];
    const socket = keep(new Reply());
    socket.bindSync(endpoint);
    void (async () => {
      for await (const request of socket) {
        raw.push(request);
        await socket.send(["1.0", request[1]!, "200", "OK", "joe", property("X-Role", "admin")]);
      }
    })();
    const { router, routerEvents, dealer } = pair(keep, { ...ours, routingId: "server" }, theirs);
    await dealer.send("in");
    const message = await router.receive(limits);
    expect(texts(raw[0]!.slice(2, 6))).toEqual(["orders", "127.0.0.1", "server", mechanism]);
    expect(raw[0]![0]!.toString()).toBe("1.0");
    const credentials = raw[0]!.slice(6);
    if (mechanism === "CURVE") expect(credentials.map((it) => it.length)).toEqual([32]);
    else expect(texts(credentials)).toEqual(mechanism === "PLAIN" ? ["joe", "hush"] : []);
    const known = { userId: "joe", metadata: { "X-Role": "admin" }, mechanism };
    expect(router.peerOf(message)).toMatchObject(known as object);
    expect(routerEvents.of("handshake")).toMatchObject([{ userId: "joe" }]);
    expect(router.peers()).toMatchObject([{ userId: "joe" }]);
  });

  test.each([
    ["300", "authentication_retry"],
    ["400", "authentication_denied"],
    ["500", "authentication_error"],
  ])("and says %s keeps it out: %s", async (status, reason) => {
    handler(([, id]) => ["1.0", id!, status, "Go away", "", ""]);
    const { router, routerEvents, dealerEvents } = pair(keep, ours, theirs);
    expect(await outcome(routerEvents)).toBe(reason);
    expect(routerEvents.of("handshake:error:auth")[0]).toMatchObject({
      error: { status: Number(status) },
      rejection: "Go away",
    } as object);
    expect(router.tryReceive()).toBeUndefined();
    expect(dealerEvents.of("handshake")).toEqual([]);
  });

  test.each<[string, Answer, string]>([
    ["too few frames", ([, id]) => ["1.0", id!, "200"], "zap_malformed_reply"],
    ["too many frames", (r) => [...ok(r)!, ""], "zap_malformed_reply"],
    ["a thousand frames", (r) => [...ok(r)!, ...Array<string>(1000).fill("")], "zap_malformed_reply"],
    ["another version", (r) => ok(r)!.with(0, "2.0"), "zap_bad_version"],
    ["another number", (r) => ok(r)!.with(1, "0"), "zap_bad_request_id"],
    ["a status that there is not", (r) => ok(r)!.with(2, "201"), "zap_invalid_status"],
    ["metadata that are none", (r) => ok(r)!.with(5, "nonsense"), "zap_invalid_metadata"],
    ["metadata without end", (r) => ok(r)!.with(5, Buffer.alloc(300_000, 1)), "zap_invalid_metadata"],
  ])("and answers with %s lets nobody in by that", async (_, answer, reason) => {
    handler(answer);
    const { routerEvents, dealerEvents } = pair(keep, ours, theirs);
    expect(await outcome(routerEvents)).toBe(reason);
    const [failed] = routerEvents.of("handshake:error:protocol") as { error: { code: string } }[];
    expect(failed!.error.code).toStartWith("ERR_ZAP_");
    expect(dealerEvents.of("handshake")).toEqual([]);
  });

  test.each([
    ["without the delimiter", []],
    ["with something in it", ["x"]],
  ])("and answers %s lets nobody in by that", async (_, before) => {
    const socket = keep(new Router());
    socket.bindSync(endpoint);
    void (async () => {
      for await (const [peer, , ...request] of socket) {
        await socket.send([peer!, ...before, ...ok(texts(request))!]);
      }
    })();
    const { routerEvents } = pair(keep, ours, theirs);
    expect(await outcome(routerEvents)).toBe("zap_malformed_reply");
  });

  test("and says nothing lets nobody in: authenticateTimeout", async () => {
    const { asked } = handler(() => undefined);
    const { routerEvents, dealerEvents } = pair(keep, { ...ours, authenticateTimeout: 20 }, theirs);
    expect(await outcome(routerEvents)).toBe("authentication_unavailable");
    expect(asked).not.toEqual([]);
    expect(dealerEvents.of("handshake")).toEqual([]);
  });

  test("and answers too late, or twice, lets in nobody else by that", async () => {
    const late: (() => Promise<void>)[] = [];
    const socket = keep(new Router());
    socket.bindSync(endpoint);
    let asked = 0;
    void (async () => {
      for await (const [peer, delimiter, ...request] of socket) {
        asked += 1;
        const answer = () => socket.send([peer!, delimiter!, ...ok(texts(request))!]);
        late.push(answer);
        const status = asked === 1 ? undefined : "400";
        if (status) await socket.send([peer!, delimiter!, "1.0", request[1]!, status, "", "", ""]);
      }
    })();
    const { router, routerEvents } = pair(keep, { ...ours, authenticateTimeout: 20 }, theirs);
    expect(await outcome(routerEvents)).toBe("authentication_unavailable");
    await late[0]!();
    const next = keep(new Dealer({ ...theirs, linger: 0, reconnectInterval: -1 }));
    const events = record(next);
    next.connect(router.lastEndpoint!);
    await Promise.all(late.map((answer) => answer()));
    expect(await outcome(events)).toBe("peer_error");
    for (const answer of late) await answer();
    expect(routerEvents.of("handshake")).toEqual([]);
  });

  test("is not asked where the socket has an authenticate of its own", async () => {
    const { asked } = handler(ok);
    const { dealer } = pair(keep, { ...ours, authenticate: () => true }, theirs);
    await dealer.connected(undefined, limits);
    expect(asked).toEqual([]);
  });
});

const optional = { zapDomain: "x", zapEnforceDomain: false };

/** What becomes of a peer. */
async function fate(ours: RouterOptions, theirs: DealerOptions): Promise<string> {
  const { routerEvents } = pair(keep, ours, theirs);
  return outcome(routerEvents);
}

describe("without a handler", () => {
  const refused = "authentication_unavailable";
  test.each<[string, RouterOptions, DealerOptions, string]>([
    ["NULL without a domain", {}, {}, "handshake"],
    ["NULL with a domain", { zapDomain: "x" }, {}, refused],
    ["NULL with a domain that is not enforced", optional, {}, "handshake"],
    ["PLAIN without a domain", plainServer, plainClient, refused],
    ["PLAIN with a domain", { ...plainServer, zapDomain: "x" }, plainClient, refused],
    ["PLAIN, not enforced", { ...plainServer, ...optional }, plainClient, refused],
    ["PLAIN without a domain, not enforced", { ...plainServer, zapEnforceDomain: false }, plainClient, refused],
    ["CURVE without a domain", curveServer, curveClient, "handshake"],
    ["CURVE with a domain", { ...curveServer, zapDomain: "x" }, curveClient, refused],
    ["CURVE, not enforced", { ...curveServer, ...optional }, curveClient, "handshake"],
    ["NULL with an empty domain", { zapDomain: "" }, {}, "handshake"],
  ])("%s: as docs/security.md says", async (_, ours, theirs, expected) => {
    expect(await fate(ours, theirs)).toBe(expected);
  });
});

describe("with a handler that refuses", () => {
  test.each<[string, RouterOptions, DealerOptions, string]>([
    ["NULL without a domain: it is not asked", {}, {}, "handshake"],
    ["NULL with a domain", optional, {}, "authentication_denied"],
    ["PLAIN without a domain", plainServer, plainClient, "authentication_denied"],
    ["CURVE without a domain", curveServer, curveClient, "authentication_denied"],
    ["CURVE, not enforced", { ...curveServer, ...optional }, curveClient, "authentication_denied"],
  ])("%s: as docs/security.md says", async (_, ours, theirs, expected) => {
    handler(([, id]) => ["1.0", id!, "400", "no", "", ""]);
    expect(await fate(ours, theirs)).toBe(expected);
  });
});

describe("a handler", () => {
  test("of one context is not asked by another one's sockets: names are not shared", async () => {
    const { asked } = handler(ok, { context: new Context() });
    expect(await fate(plainServer, plainClient)).toBe("authentication_unavailable");
    expect(asked).toEqual([]);
  });

  test("of their own context is asked by its sockets", async () => {
    const context = new Context();
    const { asked } = handler(ok, { context });
    expect(await fate({ ...plainServer, context }, plainClient)).toBe("handshake");
    expect(asked).toHaveLength(1);
    expect(await fate(plainServer, plainClient)).toBe("authentication_unavailable");
  });

  test("that comes later counts from then on, and one that goes does no more", async () => {
    expect(await fate(plainServer, plainClient)).toBe("authentication_unavailable");
    const { socket } = handler(ok);
    expect(await fate(plainServer, plainClient)).toBe("handshake");
    socket.close();
    expect(await fate(plainServer, plainClient)).toBe("authentication_unavailable");
    handler(ok);
    expect(await fate(plainServer, plainClient)).toBe("handshake");
  });

  test("that goes while it is asked lets nobody in", async () => {
    const { asked, socket } = handler(() => undefined);
    const { routerEvents } = pair(keep, { ...plainServer, authenticateTimeout: 50 }, plainClient);
    await until("it is asked", () => asked.length > 0);
    socket.close();
    expect(await outcome(routerEvents)).toBe("authentication_unavailable");
  });

  test("of a type that cannot answer is none", async () => {
    keep(new Pair()).bindSync(endpoint);
    expect(await fate(plainServer, plainClient)).toBe("authentication_unavailable");
  });

  const types = ["Reply", "Router"] as const;
  test.each(types)("that is a %s of a Worker decides for this thread, too", async (type) => {
    const worker = new Worker(new URL("../children/zap_worker.ts", import.meta.url).href);
    try {
      const ready = new Promise((resolve) => worker.addEventListener("message", resolve, { once: true }));
      worker.postMessage(type);
      await ready;
      expect(await fate(plainServer, { plainUsername: "joe", plainPassword: "joe" })).toBe("handshake");
      expect(await fate(plainServer, plainClient)).toBe("authentication_denied");
    } finally {
      const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
      worker.terminate();
      await closed;
    }
    expect(await fate(plainServer, plainClient)).toBe("authentication_unavailable");
  });

  test("decides about a hundred at once, each by its own answer", async () => {
    // In another order than it was asked.
    const waiting: (() => void)[] = [];
    const socket = keep(new Router());
    socket.bindSync(endpoint);
    void (async () => {
      for await (const [peer, delimiter, , id, , , , , user] of socket) {
        const status = Number(`${user}`.slice(5)) % 2 === 0 ? "200" : "400";
        waiting.push(() => void socket.send([peer!, delimiter!, "1.0", id!, status, "", `${user}`, ""]));
      }
    })();
    const router = keep(new Router(plainServer));
    const events: Recorded = record(router);
    const to = bound(router);
    for (let i = 0; i < 100; i += 1) {
      keep(new Dealer({ plainUsername: `user ${i}`, linger: 0 })).connect(to);
    }
    await until("all are asked about", () => waiting.length === 100);
    for (const answer of waiting.reverse()) answer();
    await until("all are decided", () =>
      events.of("handshake").length + events.of("handshake:error:auth").length === 100);
    const users = events.of("handshake").map(({ userId }) => Number(userId!.slice(5)));
    expect(users.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, index) => index * 2));
  });
});

describe("asking leaves nothing behind", () => {
  const sockets: Socket[] = [];
  test("no socket, no link, no lent buffer, whatever the answer was", async () => {
    const stats = () => nativeContext().stats();
    await until("all others are gone", () => stats().inproc_links === 0);
    const open = stats().sockets;
    const lent = nativeContext().lent.size;
    let answers = 0;
    const replies = [
      ok,
      () => undefined,
      (request: string[]) => ok(request)!.with(5, Buffer.alloc(300_000, 1)),
      (request: string[]) => [...ok(request)!, ...Array<string>(1000).fill("")],
      () => [""],
    ];
    const { socket } = handler((request) => replies[answers++ % replies.length]!(request));
    const router = keep(new Router({ ...plainServer, authenticateTimeout: 20 }));
    const events = record(router);
    const to = bound(router);
    const count = replies.length * 4;
    for (let i = 0; i < count; i += 1) {
      const dealer = new Dealer({ ...plainClient, linger: 0, reconnectInterval: -1 });
      sockets.push(dealer);
      dealer.connect(to);
    }
    const ends = () => events.filter(({ type }) => type.startsWith("handshake")).length;
    await until("all are decided", () => ends() === count);
    for (const dealer of sockets) dealer.close();
    socket.close();
    router.close();
    await until("nothing is left", () => stats().sockets <= open && stats().inproc_links === 0);
    await until("no buffer is left", () => nativeContext().lent.size === lent);
    expect(stats().inproc_bytes).toBe(0);
  });

  test("does not keep the process alive, nor a Context's count of sockets up", async () => {
    const source = new URL("../../src/index.ts", import.meta.url).pathname;
    const code = `import { Dealer, Reply, Router, context } from ${JSON.stringify(source)};
      const handler = new Reply({ linger: 0 });
      handler.bindSync("inproc://zeromq.zap.01");
      const server = new Router({ linger: 0, plainServer: true });
      server.bindSync("tcp://127.0.0.1:*");
      const client = new Dealer({ linger: 0, plainUsername: "joe" });
      client.connect(server.lastEndpoint);
      await handler.receive();
      console.log(context.stats().sockets);`;
    const child = Bun.spawn([process.execPath, "-e", code], { stdout: "pipe", stderr: "inherit" });
    const late = setTimeout(() => child.kill(), 4000);
    expect(await child.exited).toBe(0);
    clearTimeout(late);
    expect(await new Response(child.stdout).text()).toBe("3\n");
  });
});
