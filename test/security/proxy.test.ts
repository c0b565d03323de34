// A Proxy whose sockets ask who may come in: the messages are its thread's, the decisions are ours.

import { describe, expect, test } from "bun:test";
import {
  type AuthenticationRequest,
  Authenticator,
  type AuthenticatorOptions,
  Dealer,
  type DealerOptions,
  Proxy,
  Pull,
  Push,
  Reply,
  Request,
  type RequestOptions,
  Router,
  type RouterOptions,
} from "../../src/index.ts";
import { nativeContext } from "../../src/context.ts";
import { coreOf } from "../../src/socket.ts";
import { client, curveClient, curveServer, record, server, stranger } from "../support/security.ts";
import { bound, event, keeper, texts, type Transport, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };

interface Broker extends AsyncDisposable {
  proxy: Proxy<Router, Dealer>;
  endpoint: string;
  /** Ends the proxy. */
  end(): Promise<void>;
}

/** Router and Dealer in a proxy, and a service behind them that answers with what it is asked. */
function broker(options: RouterOptions, transport: Transport = "tcp", behind: DealerOptions = {}): Broker {
  const proxy = new Proxy(new Router({ linger: 0, ...options }), new Dealer({ linger: 0, ...behind }));
  const endpoint = bound(proxy.frontEnd, transport);
  const service = keep(new Reply());
  service.connect(bound(proxy.backEnd));
  void (async () => {
    for await (const question of service) await service.send(question);
  })();
  const running = proxy.run();
  const end = async () => {
    proxy.terminate();
    await running;
  };
  return { proxy, endpoint, end, [Symbol.asyncDispose]: end };
}

function request(endpoint: string, options: RequestOptions): Request {
  const socket = keep(new Request({ reconnectInterval: 20, ...options }));
  socket.connect(endpoint);
  return socket;
}

async function ask(socket: Request, question: string): Promise<void> {
  await socket.send(question);
  expect(texts(await socket.receive(limits))).toEqual([question]);
}

/** Resolves when the peer is refused for good, to the status that it was told. */
async function refusal(endpoint: string, options: RequestOptions): Promise<number | undefined> {
  const socket = keep(new Request(options));
  const events = record(socket);
  const stopped = event(socket, "connect:stop");
  socket.connect(endpoint);
  await stopped;
  expect(events.of("handshake")).toEqual([]);
  const [refused] = events.of("handshake:error:auth");
  return (refused as { error?: { status?: number } } | undefined)?.error?.status;
}

const as = (keys: { publicKey: string; secretKey: string }) => ({
  curveServerKey: server.publicKey,
  curveSecretKey: keys.secretKey,
});

describe("a broker decides who may come in", () => {
  test("by an async authenticate of CURVE: some are served, the others are refused", async () => {
    const asked: AuthenticationRequest[] = [];
    const authenticate = async (question: AuthenticationRequest) => {
      asked.push(question);
      await Bun.sleep(1);
      return question.credentials.publicKey === client.publicKey || { reject: "unknown" };
    };
    await using it = broker({ ...curveServer, zapDomain: "orders", authenticate });
    const friend = request(it.endpoint, as(client));
    await ask(friend, "who reads this?");
    expect(await refusal(it.endpoint, as(stranger))).toBe(400);
    await ask(friend, "still there?");
    expect(asked).toHaveLength(2);
    expect(asked[0]).toMatchObject({
      mechanism: "CURVE",
      domain: "orders",
      address: "127.0.0.1",
      credentials: { publicKey: client.publicKey },
    });
    expect(asked[0]!.remote).toStartWith("tcp://127.0.0.1:");
    expect(asked.map(({ signal }) => signal.aborted)).toEqual([false, true]);
    expect(it.proxy.statistics().front.messagesIn).toBe(2);
  });

  test("by an Authenticator of PLAIN, and leaves no password lying about", async () => {
    const passwords = { joe: await Authenticator.hash("hush, hush") };
    using authenticate = new Authenticator({ passwords });
    await using it = broker({ plainServer: true, authenticate });
    const right = { plainUsername: "joe", plainPassword: "hush, hush" };
    await ask(request(it.endpoint, right), "in");
    expect(await refusal(it.endpoint, { ...right, plainPassword: "hush, hus" })).toBe(400);
    expect(authenticate.stats()).toMatchObject({ allowed: 1, deniedBy: { password: 1 } });
    expect(Buffer.from(nativeContext().record.buffer).includes("hush, hus")).toBe(false);
  });

  test.each<[Transport, AuthenticatorOptions]>([
    ["tcp", { allow: ["127.0.0.1"] }],
    ["ipc", { allow: ["ipc"] }],
  ])("by the address of a peer that comes over %s", async (transport, options) => {
    using authenticate = new Authenticator(options);
    await using it = broker({ authenticate }, transport);
    await ask(request(it.endpoint, {}), "in");
    using nobody = new Authenticator({ allow: ["192.0.2.1"] });
    await using other = broker({ authenticate: nobody }, transport);
    expect(await refusal(other.endpoint, {})).toBe(400);
  });

  test("by the ZAP handler of its context", async () => {
    const handler = keep(new Reply());
    await handler.bind("inproc://zeromq.zap.01");
    const domains: string[] = [];
    void (async () => {
      for await (const [version, id, domain, , , , name] of handler) {
        domains.push(`${domain}`);
        const status = `${name}` === "joe" ? "200" : "400";
        await handler.send([version!, id!, status, "", "", ""]);
      }
    })();
    await using it = broker({ plainServer: true, zapDomain: "orders" });
    await ask(request(it.endpoint, { plainUsername: "joe" }), "in");
    expect(await refusal(it.endpoint, { plainUsername: "jim" })).toBe(400);
    expect(domains).toEqual(["orders", "orders"]);
    // Somebody else's from now on.
    handler.close();
  });

  test("where nobody is there to ask: CURVE lets in who has its key, PLAIN nobody", async () => {
    await using open = broker(curveServer);
    await ask(request(open.endpoint, curveClient), "in");
    await using shut = broker({ plainServer: true });
    const socket = keep(new Dealer({ plainUsername: "joe", reconnectInterval: 5 }));
    const events = record(socket);
    socket.connect(shut.endpoint);
    await until("two refusals", () => events.of("connect:retry").length >= 2);
    expect(events.of("handshake")).toEqual([]);
  });

  test("also about peers that waited when the proxy took the socket", async () => {
    const verdicts: ((verdict: boolean) => void)[] = [];
    const authenticate = () => new Promise<boolean>((resolve) => verdicts.push(resolve));
    const proxy = new Proxy(keep(new Router({ ...curveServer, authenticate })), keep(new Dealer()));
    const endpoint = bound(proxy.frontEnd);
    const service = keep(new Reply());
    service.connect(bound(proxy.backEnd));
    const socket = request(endpoint, curveClient);
    await until("it is asked", () => verdicts.length === 1);
    const running = proxy.run();
    // That question is over.
    verdicts[0]!(true);
    await until("it is asked again", () => verdicts.length === 2);
    verdicts[1]!(true);
    await socket.send("in");
    expect(texts(await service.receive(limits))).toEqual(["in"]);
    proxy.terminate();
    await running;
  });

  test("for each of its sockets by what that one says", async () => {
    const who: string[] = [];
    const options = (name: string) => ({ linger: 0, authenticate: () => who.push(name) > 0 });
    const [front, back] = [new Pull(options("front")), new Push(options("back"))];
    const capture = new Push(options("capture"));
    const seen = keep(new Pull());
    // This one connects.
    capture.connect(bound(seen));
    const [to, from] = [bound(front), bound(back)];
    const proxy = new Proxy(front, back, capture);
    const running = proxy.run();
    const push = keep(new Push());
    const pull = keep(new Pull());
    push.connect(to);
    pull.connect(from);
    await push.send("all three");
    for (const socket of [pull, seen]) expect(texts(await socket.receive(limits))).toEqual(["all three"]);
    expect(new Set(who)).toEqual(new Set(["front", "back", "capture"]));
    proxy.terminate();
    await running;
  });

  test("with one socket at both sides, too", async () => {
    let asked = 0;
    const dealer = new Dealer({ ...curveServer, linger: 0, authenticate: () => (asked += 1) > 0 });
    const endpoint = bound(dealer);
    const proxy = new Proxy(dealer, dealer);
    const running = proxy.run();
    const socket = keep(new Dealer(curveClient));
    socket.connect(endpoint);
    await socket.send("to and fro");
    expect(texts(await socket.receive(limits))).toEqual(["to and fro"]);
    expect(asked).toBe(1);
    proxy.terminate();
    await running;
  });
});

describe("decisions of a proxy", () => {
  test("that are not made in time are no (authenticateTimeout)", async () => {
    let signal: AbortSignal | undefined;
    const authenticate = (question: AuthenticationRequest) => {
      signal = question.signal;
      return new Promise<boolean>(() => {});
    };
    await using it = broker({ ...curveServer, authenticate, authenticateTimeout: 20 });
    expect(await refusal(it.endpoint, curveClient)).toBe(500);
    expect(signal!.aborted).toBe(true);
  });

  test("are made for a hundred clients, authenticateMax at a time, each by its own answer", async () => {
    let active = 0;
    let most = 0;
    const authenticate = async ({ credentials }: AuthenticationRequest) => {
      most = Math.max(most, (active += 1));
      await Bun.sleep(1);
      active -= 1;
      return Number(credentials.username) % 2 === 0;
    };
    await using it = broker({ plainServer: true, authenticate, authenticateMax: 7 });
    await Promise.all(Array.from({ length: 100 }, async (_, index) => {
      const options = { plainUsername: `${index}` };
      if (index % 2 === 0) await ask(request(it.endpoint, options), `of ${index}`);
      else expect(await refusal(it.endpoint, options)).toBe(400);
    }));
    expect(most).toBe(7);
    expect(it.proxy.statistics().front.messagesIn).toBe(50);
  });

  test("do no harm when the proxy has ended: a later one lets nobody in by them", async () => {
    const verdicts: ((verdict: boolean) => void)[] = [];
    const signals: AbortSignal[] = [];
    const authenticate = ({ credentials, signal }: AuthenticationRequest) => {
      if (credentials.publicKey === stranger.publicKey) return true;
      signals.push(signal);
      return new Promise<boolean>((resolve) => verdicts.push(resolve));
    };
    const first = broker({ ...curveServer, authenticate });
    const socket = request(first.endpoint, curveClient);
    await until("it is asked", () => verdicts.length === 1);
    await first.end();
    expect(signals[0]!.aborted).toBe(true);
    socket.close();

    // Its number, its connection and its question are called the same.
    await using second = broker({ ...curveServer, authenticate });
    const next = keep(new Request({ ...curveClient, reconnectInterval: 20 }));
    const events = record(next);
    next.connect(second.endpoint);
    await until("it is asked", () => verdicts.length === 2);
    verdicts[0]!(true);
    // What its thread was told has happened when somebody else has come in since.
    await ask(request(second.endpoint, as(stranger)), "in");
    expect(events.of("handshake")).toEqual([]);
    verdicts[1]!(true);
    await ask(next, "in");
  });

  test("that are waited for are forgotten when their peers have left: they fill no memory", async () => {
    let asked = 0;
    const authenticate = () => {
      asked += 1;
      return new Promise<boolean>(() => {});
    };
    const options = { authenticate, authenticateMax: 1, authenticateTimeout: 60_000, handshakeInterval: 20 };
    await using it = broker(options);
    const { frontEnd } = it.proxy;
    for (let i = 0; i < 50; i += 1) {
      keep(new Dealer({ reconnectInterval: 1 })).connect(it.endpoint);
    }
    await until("many have given up", () => frontEnd.stats().handshakesFailed > 800);
    expect(asked).toBe(1);
    expect(frontEnd[coreOf].authentication!.waiting).toBeLessThan(400);
  });

  test("are not waited for by more than there is room for, however many come and go", async () => {
    const options = { authenticate: () => new Promise<boolean>(() => {}), authenticateMax: 1 };
    await using it = broker({ ...options, authenticateTimeout: 60_000, backlog: 1000 });
    const core = it.proxy.frontEnd[coreOf];
    const peers: Dealer[] = [];
    for (let count = 1; count < 8400; count += 400) {
      for (let i = 0; i < 400; i += 1) {
        const peer = new Dealer({ linger: 0, reconnectInterval: -1 });
        peers.push(peer);
        peer.connect(it.endpoint);
      }
      const asked = Math.min(count + 398, 8192);
      await until("all are asked about", () => (core.authentication?.waiting ?? 0) >= asked);
      for (const peer of peers.splice(0)) peer.close();
    }
    expect(core.authentication!.waiting).toBe(8192);
  }, 15_000);

  test("that throw refuse, and the proxy goes on", async () => {
    let broken = true;
    const authenticate = () => {
      if (broken) throw new Error("broken");
      return true;
    };
    await using it = broker({ ...curveServer, authenticate });
    expect(await refusal(it.endpoint, curveClient)).toBe(500);
    broken = false;
    await ask(request(it.endpoint, curveClient), "in");
  });
});
