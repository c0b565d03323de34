// When to connect again, when not, and what becomes of what was queued.

import { describe, expect, test } from "bun:test";
import { createServer, type Server } from "node:net";
import { Dealer, type Event, Pair, Publisher, Pull, Push, Request } from "../../src/index.ts";
import { bound, event, keeper, rejection, texts, transports, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };
const nobody = "tcp://127.0.0.1:1";

/** A port where whoever comes is sent away. */
async function rude(): Promise<{ endpoint: string; came: () => number } & Disposable> {
  let came = 0;
  const server: Server = createServer((socket) => {
    came += 1;
    socket.on("error", () => {});
    socket.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    endpoint: `tcp://127.0.0.1:${port}`,
    came: () => came,
    [Symbol.dispose]: () => void server.close(),
  };
}

describe("test_reconnect_options", () => {
  test("reconnect_default: it is tried again and again", async () => {
    const push = keep(new Push({ reconnectInterval: 5 }));
    const retries: Event[] = [];
    push.events.on("connect:retry", (one) => retries.push(one));
    push.connect(nobody);
    await until("some attempts", () => retries.length > 5);
    expect(retries.map(({ reason }) => reason)).toEqual(retries.map(() => "connection_refused"));
  });

  test("reconnect_success: a peer that comes late is found", async () => {
    const pull = keep(new Pull());
    const endpoint = bound(pull);
    pull.close();
    const push = keep(new Push({ reconnectInterval: 5 }));
    push.connect(endpoint);
    await event(push, "connect:retry");
    const late = keep(new Pull());
    await late.bind(endpoint);
    await push.connected(endpoint, limits);
  });

  test("connectionRefused stops with the first refusal, and says so", async () => {
    const push = keep(new Push({ reconnectInterval: 5, reconnectStop: ["connectionRefused"] }));
    expect(push.reconnectStop).toEqual(["connectionRefused"]);
    const stopped = event(push, "connect:stop");
    push.connect(nobody);
    expect(await stopped).toMatchObject({ address: nobody, reason: "connection_refused" });
    expect((await rejection(push.send("to nobody"))).code).toBe("EHOSTUNREACH");
    // By hand it goes on.
    const pull = keep(new Pull());
    push.connect(bound(pull));
    await push.send("to somebody", limits);
    expect(texts(await pull.receive(limits))).toEqual(["to somebody"]);
  });

  test("handshakeFailed stops with a peer that hangs up, which is tried again otherwise", async () => {
    using server = await rude();
    const push = keep(new Push({ reconnectInterval: 5 }));
    push.connect(server.endpoint);
    await until("it is tried again", () => server.came() > 2);
    push.close();
    const other = keep(new Push({ reconnectInterval: 5, reconnectStop: ["handshakeFailed"] }));
    const stopped = event(other, "connect:stop");
    other.connect(server.endpoint);
    expect((await stopped).reason).toBe("peer_closed");
    expect(other.peers()).toEqual([]);
  });

  test("afterDisconnect: what was still queued is given up with the connection", async () => {
    const push = keep(new Push({ reconnectInterval: 5, reconnectStop: ["afterDisconnect"] }));
    push.linger = -1;
    const retried = event(push, "connect:retry");
    push.connect(nobody);
    await push.send("for nobody");
    await retried;
    const stopped = event(push, "connect:stop");
    push.disconnect(nobody);
    await stopped;
    expect(push.stats().droppedDisconnect).toBe(1);
  });
});

describe.each([...transports, "inproc"] as const)("a peer of the wrong type over %s", (transport) => {
  function listen(): string {
    const publisher = keep(new Publisher());
    if (transport !== "inproc") return bound(publisher, transport);
    publisher.bindSync(`inproc://${Math.random()}`);
    return publisher.lastEndpoint as string;
  }

  test("stops the attempts, fails the sends, and counts what was queued", async () => {
    const push = keep(new Push({ sendHighWaterMark: 2 }));
    const stopped = event(push, "connect:stop");
    const endpoint = listen();
    push.connect(endpoint);
    const waiting = Promise.all([push.send("1"), push.send("2")]).then(() => push.send("3"));
    const error = await rejection(waiting);
    expect(error.code).toBe("EHOSTUNREACH");
    expect(error.message).toContain("socket_type_mismatch");
    expect(error.message).toContain("permanentFailure");
    expect(await stopped).toMatchObject({ address: endpoint, reason: "socket_type_mismatch" });
    // Inside the process it is known before anything is queued.
    expect(push.stats().droppedDisconnect).toBe(transport === "inproc" ? 0 : 2);
    expect((await rejection(push.send("4"))).code).toBe("EHOSTUNREACH");
    expect(push.writable).toBe(false);
    expect((await rejection(push.connected(endpoint))).code).toBe("ENOENT");
  });

  test("does not disturb the peers that fit", async () => {
    const push = keep(new Push());
    const pull = keep(new Pull());
    push.connect(bound(pull));
    await push.connected(undefined, limits);
    const stopped = event(push, "connect:stop");
    push.connect(listen());
    await stopped;
    for (const text of ["a", "b"]) {
      await push.send(text);
      expect(texts(await pull.receive(limits))).toEqual([text]);
    }
    expect(push.stats().handshakesFailed).toBe(1);
  });
});

describe("permanentFailure", () => {
  test("keep goes on queueing, as libzmq does", async () => {
    const push = keep(new Push({ permanentFailure: "keep", sendHighWaterMark: 3 }));
    const stopped = event(push, "connect:stop");
    const endpoint = bound(keep(new Publisher()));
    push.connect(endpoint);
    await stopped;
    for (let i = 0; i < 3; i += 1) await push.send("x", limits);
    expect((await rejection(push.send("x", { timeout: 20 }))).code).toBe("EAGAIN");
    push.disconnect(endpoint);
  });

  test("retry finds the right peer as soon as it is there", async () => {
    const push = keep(new Push({ permanentFailure: "retry", reconnectInterval: 5 }));
    const wrong = keep(new Publisher());
    const endpoint = bound(wrong);
    push.connect(endpoint);
    await push.send("kept");
    expect((await event(push, "connect:retry")).reason).toBe("socket_type_mismatch");
    wrong.close();
    const right = keep(new Pull());
    await right.bind(endpoint);
    expect(texts(await right.receive(limits))).toEqual(["kept"]);
  });

  test("is told to whoever waits with a blocking call", async () => {
    const request = keep(new Request());
    request.connect(bound(keep(new Publisher())));
    await event(request, "connect:stop");
    expect((await rejection(request.send("x"))).code).toBe("EHOSTUNREACH");
    const dealer = keep(new Dealer({ sendHighWaterMark: 1 }));
    dealer.connect(bound(keep(new Publisher())));
    const fill = () => {
      for (;;) dealer.sendSync("x", { timeout: 5000 });
    };
    expect(fill).toThrow("Host unreachable");
  });

  test("a socket that listens waits on: peers may still come", async () => {
    const pair = keep(new Pair());
    const endpoint = bound(pair);
    const stopped = event(pair, "connect:stop");
    pair.connect(bound(keep(new Publisher())));
    await stopped;
    const sending = pair.send("late", limits);
    const other = keep(new Pair());
    other.connect(endpoint);
    await sending;
    expect(texts(await other.receive(limits))).toEqual(["late"]);
  });
});

test("every address of a name is tried: localhost has two, and a peer listens at one", async () => {
  const pull = keep(new Pull());
  const push = keep(new Push({ ipv6: true, reconnectInterval: 5 }));
  push.connect(bound(pull).replace("127.0.0.1", "localhost"));
  await push.send("found");
  expect(texts(await pull.receive(limits))).toEqual(["found"]);
});

describe.each(transports)("a sender that closes over %s", (transport) => {
  test("loses nothing at a reader that has stopped at its high-water mark", async () => {
    const pull = keep(new Pull({ receiveHighWaterMark: 1, receiveBufferSize: 8192 }));
    const push = new Push({ linger: 5000 });
    push.connect(bound(pull, transport));
    for (let i = 0; i < 300; i += 1) await push.send([`${i}`, Buffer.alloc(1000)]);
    await until("the first is there", () => pull.readable);
    push.close();
    for (let i = 0; i < 300; i += 1) {
      if (i === 20) await Bun.sleep(50);
      expect((await pull.receive(limits))[0]?.toString()).toBe(`${i}`);
    }
    await until("the end is seen behind them", () => pull.stats().connections === 0);
  });
});

describe("drain()", () => {
  test("is 0 when all has left, and how much has not after its time", async () => {
    const push = keep(new Push());
    expect(await push.drain()).toBe(0);
    push.connect(nobody);
    for (let i = 0; i < 5; i += 1) await push.send("x");
    expect(await push.drain({ timeout: 0 })).toBe(5);
    const begin = performance.now();
    expect(await push.drain({ timeout: 30 })).toBe(5);
    expect(performance.now() - begin).toBeGreaterThanOrEqual(29);
    push.disconnect(nobody);
    expect(await push.drain(limits)).toBe(0);
  });

  test.each([...transports, "inproc"] as const)("waits for a reader over %s", async (transport) => {
    const pull = keep(new Pull({ receiveHighWaterMark: 10, receiveBufferSize: 8192 }));
    if (transport === "inproc") pull.bindSync("inproc://drained");
    else bound(pull, transport);
    const push = keep(new Push({ sendBufferSize: 8192, sendHighWaterMark: 0 }));
    push.connect(pull.lastEndpoint as string);
    const body = Buffer.alloc(10_000);
    for (let i = 0; i < 500; i += 1) await push.send(body);
    const drained = push.drain(limits);
    for (let i = 0; i < 500; i += 1) await pull.receive(limits);
    expect(await drained).toBe(0);
  });

  test("ends with the socket, and with its signal", async () => {
    const push = keep(new Push());
    push.connect(nobody);
    await push.send("x");
    const closed = rejection(push.drain(limits));
    const aborted = push.drain({ ...limits, signal: AbortSignal.timeout(1) });
    expect(((await aborted.catch((error) => error)) as Error).name).toBe("TimeoutError");
    push.close();
    expect((await closed).code).toBe("EAGAIN");
    expect((await rejection(push.drain())).code).toBe("EBADF");
  });
});
