// What a socket tells about its connections.

import { describe, expect, test } from "bun:test";
import { type Event, type EventType, Observer, Pull, Push } from "../../src/index.ts";
import { bound, event, pipeline, transports, until } from "../support/sockets.ts";

/** Types of all events of some kinds, in order. */
function recorded(socket: Pull | Push, types: readonly EventType[]): Event[] {
  const events: Event[] = [];
  for (const type of types) socket.events.on(type, (one) => events.push(one));
  return events;
}

const all: EventType[] = [
  "accept", "accept:error", "bind", "bind:error", "connect", "connect:delay", "connect:retry",
  "connect:stop",
  "close", "disconnect", "handshake", "handshake:error:protocol", "handshake:error:auth",
  "handshake:error:other", "end",
];

async function raw(endpoint: string, bytes: string | Uint8Array) {
  const port = Number(/:(\d+)$/.exec(endpoint)?.[1]);
  const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
  socket.write(bytes);
  return socket;
}

describe.each(transports)("the events over %s", (transport) => {
  test("tell the life of a connection in order, at both ends", async () => {
    const pull = new Pull();
    const push = new Push({ linger: 0 });
    const pulled = recorded(pull, all);
    const pushed = recorded(push, all);
    const endpoint = bound(pull, transport);
    push.connect(endpoint);
    await Promise.all([event(pull, "handshake"), event(push, "handshake")]);
    push.close();
    await event(pull, "disconnect");
    pull.close();
    expect(pulled.map(({ type }) => type)).toEqual([
      "bind", "accept", "handshake", "disconnect", "end",
    ]);
    expect(pushed.map(({ type }) => type)).toEqual([
      "connect:delay", "connect", "handshake", "end",
    ]);
    for (const one of [...pulled, ...pushed]) {
      if (one.type !== "end") expect(one.address).toBe(endpoint);
    }
    const [, accept, handshake, disconnect] = pulled;
    expect(accept?.connection).toBeGreaterThan(0);
    expect(handshake?.connection).toBe(accept?.connection as number);
    expect(disconnect).toMatchObject({ connection: accept?.connection, reason: "peer_closed" });
    if (transport === "tcp") expect(accept?.peer).toMatch(/^tcp:\/\/127\.0\.0\.1:\d+$/);
  });
});

describe("connect:retry", () => {
  test("comes with the interval and the reason while nobody listens", async () => {
    using probe = new Pull();
    const endpoint = bound(probe);
    probe.close();
    using push = new Push({ linger: 0, reconnectInterval: 10 });
    const retry = event(push, "connect:retry");
    push.connect(endpoint);
    const { address, interval, reason } = await retry;
    expect({ address, reason }).toEqual({ address: endpoint, reason: "connection_refused" });
    expect(interval).toBeGreaterThanOrEqual(10);
    expect(interval).toBeLessThanOrEqual(20);
  });

  test("has intervals that grow up to reconnectMaxInterval", async () => {
    using push = new Push({ linger: 0, reconnectInterval: 2, reconnectMaxInterval: 16 });
    const intervals: number[] = [];
    push.connect("tcp://127.0.0.1:1");
    for await (const { type, interval } of push.events) {
      if (type === "connect:retry") intervals.push(interval as number);
      if (intervals.length === 8) break;
    }
    expect(Math.max(...intervals)).toBeGreaterThan(4);
    expect(Math.max(...intervals)).toBeLessThanOrEqual(32);
  });

  test("who connects anew himself, with reconnectInterval -1, fills no memory", async () => {
    using push = new Push({ linger: 0, reconnectInterval: -1 });
    for (let i = 0; i < 20; i += 1) {
      const closed = event(push, "close");
      push.connect("tcp://127.0.0.1:1");
      expect(await closed).toMatchObject({ address: "tcp://127.0.0.1:1" });
    }
    expect(Bun.inspect(push).split("tcp://127.0.0.1:1").length - 1).toBeLessThanOrEqual(2);
  });

  test("does not come with reconnectInterval -1", async () => {
    using push = new Push({ linger: 0, reconnectInterval: -1 });
    const events = recorded(push, all);
    const closed = event(push, "close");
    push.connect("tcp://127.0.0.1:1");
    await closed;
    await Bun.sleep(20);
    expect(events.map(({ type }) => type)).not.toContain("connect:retry");
  });

  test("follows the loss of a connection", async () => {
    using line = pipeline({ push: { reconnectInterval: 5 } });
    await event(line.push, "handshake");
    const lost = event(line.push, "disconnect");
    const retry = event(line.push, "connect:retry");
    line.pull.close();
    expect((await lost).reason).toMatch(/^(peer_closed|connection_reset)$/);
    expect((await retry).interval).toBeGreaterThanOrEqual(5);
  });
});

describe("a peer that does not speak ZMTP", () => {
  const peers: [string, string | Uint8Array][] = [
    ["HTTP", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"],
    ["TLS", Buffer.from("16030100f8010000f40303", "hex")],
    ["zeros", new Uint8Array(64)],
  ];

  test.each(peers)("is told of with a reason: %s", async (_, bytes) => {
    using pull = new Pull();
    const failed = event(pull, "handshake:error:protocol");
    const gone = event(pull, "disconnect");
    const socket = await raw(bound(pull), bytes);
    expect(await failed).toMatchObject({ address: pull.lastEndpoint, reason: "not_zmtp" });
    expect((await failed).peer).toMatch(/^tcp:\/\/127\.0\.0\.1:\d+$/);
    expect((await gone).connection).toBe((await failed).connection as number);
    expect(pull.stats().handshakesFailed).toBe(1);
    socket.end();
  });

  test("leaves before the handshake is done: handshake:error:other", async () => {
    using pull = new Pull();
    const failed = event(pull, "handshake:error:other");
    const socket = await raw(bound(pull), Buffer.from([0xff, 0, 0]));
    socket.end();
    expect((await failed).reason).toMatch(/^(peer_closed|connection_reset)$/);
  });

  test("says nothing and is dropped at the handshake's deadline", async () => {
    using pull = new Pull({ handshakeInterval: 30 });
    const failed = event(pull, "handshake:error:other");
    const socket = await raw(bound(pull), "");
    expect((await failed).reason).toBe("handshake_timeout");
    socket.end();
  });

  test("is a socket of a type that does not fit", async () => {
    using pull = new Pull();
    using other = new Pull({ reconnectInterval: -1 });
    // Whoever reads the other's READY first.
    const failed = Promise.race([
      event(pull, "handshake:error:protocol"),
      event(other, "handshake:error:protocol"),
    ]);
    other.connect(bound(pull));
    expect((await failed).reason).toBe("socket_type_mismatch");
  });
});

describe("an Observer", () => {
  test("calls on() each time, once() once, and nobody after off()", async () => {
    using pull = new Pull();
    const endpoint = bound(pull);
    const counts = { on: 0, once: 0, off: 0 };
    const off = () => {
      counts.off += 1;
    };
    expect(pull.events).toBeInstanceOf(Observer);
    expect(pull.events).toBe(pull.events);
    pull.events.on("accept", () => {
      counts.on += 1;
    });
    pull.events.once("accept", () => {
      counts.once += 1;
    });
    pull.events.on("accept", off).off("accept", off);
    for (let i = 0; i < 3; i += 1) {
      using push = new Push({ linger: 0 });
      const accepted = event(pull, "accept");
      push.connect(endpoint);
      await accepted;
    }
    expect(counts).toEqual({ on: 3, once: 1, off: 0 });
  });

  test("has several iterators that each see everything, and end with the socket", async () => {
    const pull = new Pull();
    const read = async () => {
      const types: string[] = [];
      for await (const { type } of pull.events) types.push(type);
      return types;
    };
    const reading = [read(), read()];
    const endpoint = bound(pull);
    const push = new Push({ linger: 0 });
    push.connect(endpoint);
    await event(pull, "handshake");
    push.close();
    await event(pull, "disconnect");
    pull.close();
    const expected = ["bind", "accept", "handshake", "disconnect", "end"];
    expect(await Promise.all(reading)).toEqual([expected, expected]);
  });

  test("that is left with break leaves the others good", async () => {
    using pull = new Pull();
    using push = new Push({ linger: 0 });
    const other = event(pull, "handshake");
    push.connect(bound(pull));
    for await (const { type } of pull.events) if (type === "accept") break;
    expect((await other).type).toBe("handshake");
  });

  test("that nobody reads does not grow without end", async () => {
    using pull = new Pull();
    const endpoint = bound(pull);
    const iterator = pull.events[Symbol.asyncIterator]();
    for (let i = 0; i < 600; i += 1) {
      using push = new Push({ linger: 0 });
      push.connect(endpoint);
    }
    await until("they have come and gone", () => pull.stats().connections === 0);
    let count = 0;
    for (;;) {
      const next = await Promise.race([iterator.next(), Bun.sleep(50)]);
      if (next === undefined) break;
      count += 1;
    }
    expect(count).toBeLessThanOrEqual(1024);
    await iterator.return?.();
  });

  test("answers every next() that waits, in order", async () => {
    using pull = new Pull();
    const iterator = pull.events[Symbol.asyncIterator]();
    const waiting = [iterator.next(), iterator.next(), iterator.next()];
    const endpoint = bound(pull);
    using push = new Push({ linger: 0 });
    push.connect(endpoint);
    const types = (await Promise.all(waiting)).map(({ value }) => value?.type);
    expect(types).toEqual(["bind", "accept", "handshake"]);
    const ended = [iterator.next(), iterator.next()];
    await iterator.return?.();
    for (const one of ended) expect(await one).toEqual({ value: undefined, done: true });
  });

  test("a listener that is no function is refused, not called", () => {
    using pull = new Pull();
    const none = { handleEvent() {} } as unknown as () => void;
    expect(() => pull.events.on("accept", none)).toThrow(TypeError);
    expect(() => pull.events.once("accept", none)).toThrow(TypeError);
  });

  test("of a closed socket ends at once", async () => {
    const pull = new Pull();
    pull.close();
    const types: string[] = [];
    for await (const { type } of pull.events) types.push(type);
    expect(types.filter((type) => type !== "end")).toEqual([]);
  });

  test("has no event called error, which would throw in an emitter", () => {
    expect(all as string[]).not.toContain("error");
  });

  test("whose listener throws does not stop the socket or the other listeners", async () => {
    const script = `
      import { Pull, Push } from ${JSON.stringify(`${import.meta.dir}/../../src/index.ts`)};
      process.on("uncaughtException", (error) => console.log("uncaught", error.message));
      const pull = new Pull();
      pull.events.on("accept", () => { throw new Error("of a listener"); });
      pull.events.on("accept", () => console.log("the other listener"));
      pull.bindSync("tcp://127.0.0.1:*");
      const push = new Push();
      push.connect(pull.lastEndpoint);
      await push.send("through");
      console.log(String((await pull.receive({ timeout: 2000 }))[0]));
      pull.close(); push.close();
    `;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", timeout: 5000 });
    const output = await new Response(child.stdout).text();
    expect(output).toContain("uncaught of a listener");
    expect(output).toContain("the other listener");
    expect(output).toContain("through");
  });
});
