// What a socket tells about its connections.

import { describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { nativeContext } from "../../src/context.ts";
import { toEvent } from "../../src/events.ts";
import { MonitorCommand, MonitorEventType, Reason } from "../../src/ffi/abi.generated.ts";
import {
  type Event,
  type EventOfType,
  type EventType,
  Observer,
  Pair,
  Pull,
  Push,
  Router,
  type Socket,
  ZmqError,
} from "../../src/index.ts";
import { coreOf } from "../../src/socket.ts";
import {
  bound,
  event,
  failure,
  pipeline,
  rejection,
  transports,
  until,
} from "../support/sockets.ts";

/** Types of all events of some kinds, in order. */
function recorded(socket: Socket, types: readonly EventType[] = all): Event[] {
  const events: Event[] = [];
  for (const type of types) socket.events.on(type, (one) => events.push(one));
  return events;
}

const all: EventType[] = [
  "accept", "accept:error", "bind", "bind:error", "connect", "connect:delay", "connect:retry",
  "connect:stop",
  "close", "close:error", "disconnect",
  "handshake", "handshake:error:protocol", "handshake:error:auth",
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
    const pulled = recorded(pull);
    const pushed = recorded(push);
    const endpoint = bound(pull, transport);
    push.connect(endpoint);
    await Promise.all([event(pull, "handshake"), event(push, "handshake")]);
    push.close();
    await event(pull, "disconnect");
    pull.close();
    expect(pulled.map(({ type }) => type)).toEqual([
      "bind", "accept", "handshake", "disconnect", "close", "end",
    ]);
    expect(pushed.map(({ type }) => type)).toEqual([
      "connect:delay", "connect", "handshake", "disconnect", "end",
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

  test("name both ends of a connection, also when it is over", async () => {
    using pull = new Pull();
    using push = new Push({ linger: 0 });
    const [pulled, pushed] = [recorded(pull), recorded(push)];
    const endpoint = bound(pull, transport);
    push.connect(endpoint);
    await Promise.all([event(pull, "handshake"), event(push, "handshake")]);
    push.disconnect(endpoint);
    await Promise.all([event(pull, "disconnect"), event(push, "disconnect")]);
    // Whoever connects over ipc has no name.
    const accepted = pulled.find(({ type }) => type === "accept");
    const own = transport === "tcp" ? (accepted?.remote as string) : undefined;
    expect(pushed.map(({ type }) => type)).toEqual([
      "connect:delay", "connect", "handshake", "disconnect",
    ]);
    for (const one of pushed.slice(1)) {
      expect(one).toMatchObject({ remote: endpoint, peer: endpoint });
      expect(one.local).toBe(own);
    }
    expect(pulled[0]).toMatchObject({ type: "bind", local: endpoint });
    for (const one of pulled.slice(1)) {
      expect(one.local).toBe(endpoint);
      expect(one.remote).toBe(own);
    }
    expect(pulled.map(({ type }) => type)).toEqual(["bind", "accept", "handshake", "disconnect"]);
  });

  test("that we end ourselves are told with that reason, and with their address", async () => {
    using line = pipeline({ transport });
    const { pull, push, endpoint } = line;
    const [pulled, pushed] = [recorded(pull), recorded(push)];
    await Promise.all([event(pull, "handshake"), event(push, "handshake")]);
    await pull.unbind(endpoint);
    // Nothing else happens that would wake anybody.
    await event(pull, "disconnect");
    const ends = pulled.filter(({ type }) => type === "close" || type === "disconnect");
    expect(ends.map(({ type, reason, address }) => ({ type, reason, address }))).toEqual([
      { type: "close", reason: "local", address: endpoint },
      { type: "disconnect", reason: "local", address: endpoint },
    ]);
    await event(push, "connect:retry");
    const closed = event(push, "close");
    push.disconnect(endpoint);
    expect(await closed).toMatchObject({ address: endpoint, reason: "local" });
    expect(pushed.find(({ type }) => type === "disconnect")?.reason).not.toBe("local");
  });

  test("of close() come before it returns: whoever keeps books can close them", async () => {
    using line = pipeline({ transport });
    const { pull, push, endpoint } = line;
    await Promise.all([event(pull, "handshake"), event(push, "handshake")]);
    const [pulled, pushed] = [recorded(pull), recorded(push)];
    pull.close();
    push.close();
    const told = ({ type, reason, address }: Event) => ({ type, reason, address });
    expect(pulled.map(told)).toEqual([
      { type: "close", reason: "local", address: endpoint },
      { type: "disconnect", reason: "local", address: endpoint },
      { type: "end", reason: undefined, address: "" },
    ]);
    expect(pushed.map(told)).toEqual([
      { type: "disconnect", reason: "local", address: endpoint },
      { type: "end", reason: undefined, address: "" },
    ]);
  });

  test("have a time, and none of them is before the one that came before it", async () => {
    const before = Date.now();
    using line = pipeline({ transport });
    const pulled = recorded(line.pull);
    await event(line.pull, "handshake");
    line.pull.close();
    const times = [before - 1, ...pulled.map(({ time }) => time), Date.now() + 1];
    expect(times.length).toBeGreaterThan(4);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });
});

describe("an event", () => {
  test("of an ipc connection tells the process at its other end, and whose it is", async () => {
    using pull = new Pull();
    const endpoint = bound(pull, "ipc");
    const accepted = event(pull, "accept");
    const disconnected = event(pull, "disconnect");
    const script = `
      import { Push } from ${JSON.stringify(`${import.meta.dir}/../../src/index.ts`)};
      const push = new Push();
      push.connect(${JSON.stringify(endpoint)});
      await push.connected();
    `;
    const child = Bun.spawn([process.execPath, "-e", script], { timeout: 5000 });
    const credentials = { pid: child.pid, uid: process.getuid?.() as number };
    expect((await accepted).credentials).toEqual(credentials);
    expect((await disconnected).credentials).toEqual(credentials);
  });

  test("of a connection inside the process names its end where there is a name", async () => {
    const endpoint = `inproc://events-${crypto.randomUUID()}`;
    using pull = new Pull();
    using push = new Push();
    const [pulled, pushed] = [recorded(pull), recorded(push)];
    push.connect(endpoint);
    pull.bindSync(endpoint);
    await event(push, "handshake");
    push.disconnect(endpoint);
    await event(pull, "disconnect");
    const told = ({ type, address, local, remote }: Event) => ({ type, address, local, remote });
    const bindingSide = { address: endpoint, local: endpoint, remote: undefined };
    const connectingSide = { address: endpoint, local: undefined, remote: endpoint };
    expect(pulled.map(told)).toEqual([
      { type: "bind", ...bindingSide },
      { type: "accept", ...bindingSide },
      { type: "handshake", ...bindingSide },
      { type: "disconnect", ...bindingSide },
    ]);
    expect(pushed.map(told)).toEqual([
      { type: "connect:delay", ...connectingSide },
      { type: "connect", ...connectingSide },
      { type: "handshake", ...connectingSide },
      { type: "disconnect", ...connectingSide },
    ]);
    expect(pushed.at(-1)?.reason).toBe("local");
  });

  test("of one endpoint is not taken for another one's, nor is its end", async () => {
    // In a process of its own: its first listener and its first connect are what could be confused.
    const script = `
      import { Dealer, Router } from ${JSON.stringify(`${import.meta.dir}/../../src/index.ts`)};
      const [there, visitor, dealer] = [new Router(), new Router(), new Dealer()];
      dealer.bindSync("ipc://*");
      const own = dealer.lastEndpoint;
      there.bindSync("ipc://*");
      const told = [];
      for (const type of ["connect", "accept", "disconnect"]) {
        const say = ({ address }) => told.push(type + (address === own ? " own" : " other"));
        dealer.events.on(type, say);
      }
      dealer.connect(there.lastEndpoint);
      await dealer.connected(there.lastEndpoint);
      visitor.connect(own);
      await dealer.connected(own);
      dealer.unbindSync(own);
      const gone = new Promise((resolve) => dealer.events.once("close", resolve));
      await gone;
      console.log(told.join(", "), dealer.stats().connections);
      for (const socket of [there, visitor, dealer]) Object.assign(socket, { linger: 0 }).close();
    `;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", timeout: 5000 });
    const output = await new Response(child.stdout).text();
    expect(output).toBe("connect other, accept own, disconnect own 1\n");
  });

  test("of a peer that its pattern turned away tells why", async () => {
    using pair = new Pair({ linger: 0 });
    const endpoint = bound(pair);
    const [first, second] = [new Pair({ linger: 0 }), new Pair({ linger: 0 })];
    using _first = first;
    using _second = second;
    first.connect(endpoint);
    await event(pair, "handshake");
    const refused = event(pair, "handshake:error:other");
    const gone = event(pair, "disconnect");
    second.connect(endpoint);
    expect(await refused).toMatchObject({ reason: "peer_refused", error: { code: "EBUSY" } });
    const { connection } = await refused;
    expect(await gone).toMatchObject({ reason: "peer_refused", connection: connection! });
  });

  test("of a Router that was told to let a peer go has that reason", async () => {
    using router = new Router({ linger: 0, handover: true });
    const endpoint = bound(router);
    const reasons: (string | undefined)[] = [];
    router.events.on("disconnect", ({ reason }) => reasons.push(reason));
    using first = new Router({ linger: 0, routingId: "same" });
    using second = new Router({ linger: 0, routingId: "same" });
    for (const peer of [first, second]) {
      const handshake = event(router, "handshake");
      peer.connect(endpoint);
      await handshake;
    }
    await until("the first one is let go", () => reasons.length > 0);
    expect(reasons[0]).toBe("handed_over");
  });
});

describe("an error of an event", () => {
  const native = {
    reason: 0, endpoint: 1, connection: 0, value: 0, missed: 0, timeUs: 1500, pid: 0, uid: 0,
    local: "", remote: "tcp://10.0.0.1:5",
  };

  test("of an accept is the kernel's: whoever has no descriptors left is told so", () => {
    const type = MonitorEventType.accept_failed;
    const told = toEvent({ ...native, type, value: 24 }, "tcp://127.0.0.1:1");
    expect(told).toMatchObject({
      type: "accept:error", time: 1.5, error: { code: "EMFILE", address: "tcp://127.0.0.1:1" },
    });
  });

  test.each([
    [300, "Temporary error"], [400, "Authentication failure"], [500, "Internal error"],
  ] as const)("of an authentication has ZAP's status: %d", (status, text) => {
    const type = MonitorEventType.handshake_failed_auth;
    const told = toEvent({ ...native, type, reason: Reason.peer_error, value: status }, "");
    expect(told).toMatchObject({ reason: "peer_error", error: { status, code: "EACCES" } });
    expect((told as EventOfType<"handshake:error:auth">).error.message).toStartWith(text);
  });
});

describe("a bind", () => {
  test("is told of though nothing else happens", async () => {
    using pull = new Pull();
    const told = event(pull, "bind");
    const endpoint = bound(pull);
    expect(await told).toMatchObject({ address: endpoint, local: endpoint });
  });

  test("that fails is told of once, with the error that its caller got", async () => {
    using first = new Pull();
    const taken = bound(first);
    using second = new Pull();
    const events = recorded(second);
    const thrown = [failure(() => second.bindSync(taken)), await rejection(second.bind(taken))];
    await until("both are told", () => events.length >= 2);
    expect(events.map((one) => one.type === "bind:error" && one.error)).toEqual(thrown);
    expect(events.map(({ address }) => address)).toEqual([taken, taken]);
    expect(thrown.map(({ code }) => code)).toEqual(["EADDRINUSE", "EADDRINUSE"]);
  });

  test("whose path was removed meanwhile says so at its end", async () => {
    const path = `/tmp/monocoque-events-${process.pid}`;
    using pull = new Pull();
    pull.bindSync(`ipc://${path}`);
    rmSync(path);
    const told = event(pull, "close:error");
    pull.unbindSync(`ipc://${path}`);
    const { address, error } = await told;
    expect({ address, code: error.code }).toEqual({ address: `ipc://${path}`, code: "ENOENT" });
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
    expect(interval).toBeGreaterThanOrEqual(5);
    expect(interval).toBeLessThanOrEqual(20);
  });

  test("has intervals that grow up to reconnectMaxInterval", async () => {
    using push = new Push({ linger: 0, reconnectInterval: 2, reconnectMaxInterval: 16 });
    const intervals: number[] = [];
    push.connect("tcp://127.0.0.1:1");
    for await (const one of push.events) {
      if (one.type === "connect:retry") intervals.push(one.interval);
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
    const events = recorded(push);
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
    expect((await retry).interval).toBeGreaterThanOrEqual(2);
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
    expect(await failed).toMatchObject({
      address: pull.lastEndpoint, reason: "not_zmtp", error: { code: "ERR_ZMTP_UNSPECIFIED" },
    });
    expect((await failed).error).toBeInstanceOf(ZmqError);
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
    expect((await failed).error.code).toMatch(/^(EPIPE|ECONNRESET)$/);
  });

  const NULL = "ff00000000000000017f03014e554c4c".padEnd(128, "0");
  const faults: [string, string, string, string][] = [
    ["another mechanism", "ff00000000000000017f0301504c41494e".padEnd(128, "0"),
      "mechanism_mismatch", "ERR_ZMTP_MECHANISM_MISMATCH"],
    ["an unknown command", `${NULL}040403464f4f`, "unexpected_command",
      "ERR_ZMTP_UNEXPECTED_COMMAND"],
    ["a READY that is cut off", `${NULL}04070552454144590b`, "invalid_metadata",
      "ERR_ZMTP_INVALID_METADATA"],
  ];

  test.each(faults)("has zeromq.js's code for it: %s", async (_, bytes, reason, code) => {
    using pull = new Pull();
    const failed = event(pull, "handshake:error:protocol");
    const socket = await raw(bound(pull), Buffer.from(bytes, "hex"));
    expect({ ...(await failed), error: (await failed).error.code }).toMatchObject({
      reason, error: code,
    });
    expect((await failed).error.message).toMatch(/^ZMTP protocol error/);
    socket.end();
  });

  test("refuses us with an ERROR: the place for its status is there", async () => {
    using pull = new Pull();
    const failed = event(pull, "handshake:error:auth");
    const socket = await raw(bound(pull), Buffer.from(`${NULL}040a054552524f5203343030`, "hex"));
    const { reason, error } = await failed;
    expect(reason).toBe("peer_error");
    expect(error.code).toBe("EACCES");
    expect("status" in error).toBe(true);
    socket.end();
  });

  test("says nothing and is dropped at the handshake's deadline", async () => {
    using pull = new Pull({ handshakeInterval: 30 });
    const failed = event(pull, "handshake:error:other");
    const socket = await raw(bound(pull), "");
    expect((await failed).reason).toBe("handshake_timeout");
    expect((await failed).error.code).toBe("EAGAIN");
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
    const expected = ["bind", "accept", "handshake", "disconnect", "close", "end"];
    expect(await Promise.all(reading)).toEqual([expected, expected]);
  });

  test("gives each reader what comes from its beginning on, not what others saw", async () => {
    using pull = new Pull();
    const first = recorded(pull);
    const endpoint = bound(pull);
    await event(pull, "bind");
    const later = recorded(pull);
    using push = new Push({ linger: 0 });
    push.connect(endpoint);
    await event(pull, "handshake");
    expect(first.map(({ type }) => type)).toEqual(["bind", "accept", "handshake"]);
    expect(later.map(({ type }) => type)).toEqual(["accept", "handshake"]);
  });

  test("costs nothing when its last reader has gone", async () => {
    using pull = new Pull();
    const core = pull[coreOf];
    const { native, record } = nativeContext();
    const listener = () => {};
    const watched = () => core.dispatch.onEvents !== undefined;
    const iterator = pull.events[Symbol.asyncIterator]();
    pull.events.on("bind", listener).once("bind", listener);
    expect(watched()).toBe(true);
    pull.events.off("bind", listener);
    expect(watched()).toBe(true);
    await iterator.return?.();
    expect(watched()).toBe(false);
    const endpoint = bound(pull);
    // A reader that comes now is told nothing of it: it was not recorded.
    expect(native.monitor(core.handle, MonitorCommand.start)).toBe(0);
    expect(native.monitor_next(core.handle)).toBe(0);
    await pull.unbind(endpoint);
    expect(native.monitor_next(core.handle)).toBe(1);
    expect(record.byteLength).toBeGreaterThan(0);
    native.monitor(core.handle, MonitorCommand.stop);
    pull.events.once("bind", listener);
    bound(pull);
    await until("the only event of the only reader has come", () => !watched());
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
    const seen: Event[] = [];
    pull.events.on("disconnect", (one) => seen.push(one));
    const CONNECTS = 10_000;
    // Fewer than `backlog`: the kernel makes others wait for seconds.
    const AT_ONCE = 50;
    for (let made = 0; made < CONNECTS; made += AT_ONCE) {
      const pushes = Array.from({ length: AT_ONCE }, () => new Push({ linger: 0 }));
      for (const push of pushes) push.connect(endpoint);
      await until("they have come", () => pull.stats().connections === AT_ONCE);
      for (const push of pushes) push.close();
      await until("they have gone", () => pull.stats().connections === 0);
    }
    const { events } = pull;
    pull.close();
    let count = 0;
    let missed = 0;
    for await (const one of iterator) {
      count += 1;
      missed += one.missed ?? 0;
    }
    expect(count).toBe(1024);
    expect(missed).toBeGreaterThan(3 * CONNECTS - 1024 - 10);
    expect(missed).toBeLessThan(3 * CONNECTS);
    expect(events.dropped).toBe(missed);
    expect(pull.stats().droppedEvents).toBe(missed);
    // The other reader was quick: it has lost what the native side had no room for in a turn.
    expect(seen.length).toBeGreaterThan(CONNECTS / 2);
  }, 20_000);

  test("that is slower than one turn is told how many events it has missed", async () => {
    using pull = new Pull();
    const retries: Event[] = [];
    pull.events.on("bind", (one) => retries.push(one));
    // Each bind and unbind is two events: all in one turn, and nobody can read them meanwhile.
    for (let i = 0; i < 300; i += 1) pull.unbindSync(bound(pull));
    await until("what is left is told", () => retries.length > 0);
    expect(retries.length).toBe(128);
    expect(retries[0]?.missed).toBe(600 - 256);
    expect(pull.events.dropped).toBe(600 - 256);
    expect(pull.stats().droppedEvents).toBe(600 - 256);
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
