// Sockets as objects: options as properties, what they tell about themselves, what they lack.

import { describe, expect, test } from "bun:test";
import { defaultsOf, optionNames } from "../../src/option_table.ts";
import type { SocketTypeName } from "../../src/options.ts";
import * as draft from "../../src/draft.ts";
import zmq, { Pull, Push, Request, Socket } from "../../src/index.ts";
import { otherValue } from "../support/options.ts";
import { bound, failure, pipeline, texts } from "../support/sockets.ts";

/** libzmq's number, and what the class can do. */
const classes = {
  Pair: [0, "sends", "receives"],
  Publisher: [1, "sends"],
  Subscriber: [2, "receives"],
  Request: [3, "sends", "receives"],
  Reply: [4, "sends", "receives"],
  Dealer: [5, "sends", "receives"],
  Router: [6, "sends", "receives"],
  Pull: [7, "receives"],
  Push: [8, "sends"],
  XPublisher: [9, "sends", "receives"],
  XSubscriber: [10, "sends", "receives"],
  Stream: [11, "sends", "receives"],
  Server: [12, "sends", "receives"],
  Client: [13, "sends", "receives"],
  Radio: [14, "sends"],
  Dish: [15, "receives"],
  Gather: [16, "receives"],
  Scatter: [17, "sends"],
  Peer: [19, "sends", "receives"],
  Channel: [20, "sends", "receives"],
} as const satisfies Record<SocketTypeName, readonly [number, ...string[]]>;
const names = Object.keys(classes) as SocketTypeName[];
type AnySocket = Socket & Record<string, unknown>;
const all = { ...zmq, ...draft };
const make = (name: SocketTypeName, options?: object) =>
  new (all[name] as new (options?: object) => Socket)(options) as AnySocket;

describe.each(names)("a %s", (name) => {
  test("has every option as a property with its default", () => {
    using socket = make(name);
    for (const option of optionNames(name)) {
      expect(socket[option]).toEqual(defaultsOf(name)[option] as never);
    }
  });

  test("takes every option in the constructor and as a property, and reads it back", () => {
    for (const option of optionNames(name)) {
      const value = otherValue(option);
      const initial = defaultsOf(name)[option];
      using constructed = make(name, { [option]: value });
      expect(constructed[option]).toEqual(value as never);
      using assigned = make(name);
      assigned[option as string] = value;
      expect(assigned[option]).toEqual(value as never);
      assigned[option as string] = initial;
      expect(assigned[option]).toEqual(initial as never);
    }
  });

  test("refuses a wrong option and names it, and keeps the old value", () => {
    expect(() => make(name, { lingr: 1 })).toThrow(/no option lingr.*linger/);
    expect(() => make(name, { linger: "1" })).toThrow(TypeError);
    const error = failure(() => make(name, { linger: -2 }));
    expect(error.code).toBe("EINVAL");
    expect(error.message).toMatch(/^Invalid argument.*linger.*-1.*-2/);
    using socket = make(name);
    expect(() => {
      socket.linger = 1.5;
    }).toThrow("linger");
    expect(socket.linger).toBe(defaultsOf(name).linger);
  });

  test("never changes the caller's object, and later changes of it do nothing", () => {
    const options = Object.freeze({ linger: 5 });
    using socket = make(name, options);
    expect(socket.linger).toBe(5);
    const open = { linger: 6 };
    using other = make(name, open);
    open.linger = 7;
    expect(other.linger).toBe(6);
  });

  test("tells its type, and that it has no security", () => {
    using socket = make(name);
    expect(socket).toBeInstanceOf(Socket);
    expect(socket.type).toBe(classes[name][0]);
    expect(socket.securityMechanism).toBeNull();
    expect(socket.threadSafe).toBe(false);
    expect(() => {
      (socket as Record<string, unknown>).type = 1;
    }).toThrow();
  });

  test("is printed with its type, its endpoints and its state, on a screen or less", () => {
    using socket = make(name, { linger: 0 });
    const endpoint = bound(socket);
    socket.connect("tcp://127.0.0.1:1");
    const text = Bun.inspect(socket);
    expect(text).toStartWith(`${name} {`);
    for (const part of [endpoint, "tcp://127.0.0.1:1", "closed: false"]) {
      expect(text).toContain(part);
    }
    expect(text.length).toBeLessThan(400);
    expect(JSON.stringify({ socket }).length).toBeGreaterThan(0);
    expect(`${require("node:util").inspect({ deep: { socket } })}`).toContain(name);
  });

  test("has no call on its prototype that it cannot do", () => {
    const can: readonly unknown[] = classes[name];
    const sends = can.includes("sends");
    const receives = can.includes("receives");
    using socket = make(name);
    for (const call of ["send", "trySend", "sendMany", "sendSync", "writable"]) {
      expect(call in socket).toBe(sends);
    }
    for (const call of ["receive", "tryReceive", "receiveMany", "batches", "receiveSync", "readable"]) {
      expect(call in socket).toBe(receives);
    }
    expect(Symbol.asyncIterator in socket).toBe(receives);
    const publishes = name === "Publisher" || name === "XPublisher";
    expect("subscribed" in socket).toBe(publishes);
    expect("topicsCount" in socket).toBe(/(Publisher|Subscriber)$/.test(name));
    expect("subscribe" in socket).toBe(name === "Subscriber" || name === "XPublisher");
    expect("topic" in socket).toBe(name === "Subscriber");
  });
});

test.each(names)("a misspelt option of a %s does not become a property", (name) => {
  using socket = make(name);
  expect(() => Object.assign(socket, { lingerr: 1 })).toThrow(TypeError);
  expect(socket).not.toHaveProperty("lingerr");
});

test("a subclass works: its options, its methods, its fields", async () => {
  class Jobs extends Pull {
    done = 0;
    async next(): Promise<string> {
      return texts(await this.receive())[0] as string;
    }
  }
  using jobs = new Jobs({ receiveHighWaterMark: 5 });
  expect(jobs.done).toBe(0);
  using push = new Push();
  push.connect(bound(jobs));
  await push.send("job");
  expect(await jobs.next()).toBe("job");
  expect(jobs.receiveHighWaterMark).toBe(5);
});

test("options that count now are taken over at once", async () => {
  using line = pipeline();
  line.pull.receiveTimeout = 0;
  expect(await line.pull.receive().catch(({ code }) => code)).toBe("EAGAIN");
  line.pull.concurrency = "queue";
  line.pull.receiveTimeout = -1;
  const waiting = [line.pull.receive(), line.pull.receive()];
  await line.push.sendMany(["a", "b"]);
  expect((await Promise.all(waiting)).map(texts)).toEqual([["a"], ["b"]]);
  line.pull.detached = true;
  await line.push.send(Buffer.alloc(1000));
  expect((await line.pull.receive())[0]?.buffer.byteLength).toBe(1000);
});

test("a routing id given as bytes is copied, both ways", () => {
  const id = Buffer.from("name");
  using request = new Request({ routingId: id });
  id.fill(0);
  expect(String(request.routingId)).toBe("name");
});

test("maxMessageSize cuts a peer off that sends more, and only that peer", async () => {
  using line = pipeline({ pull: { maxMessageSize: 1000 }, push: { reconnectInterval: 5 } });
  using good = new Push({ linger: 0 });
  good.connect(line.endpoint);
  const gone = new Promise<string | undefined>((resolve) => {
    line.pull.events.once("disconnect", ({ reason }) => resolve(reason));
  });
  await line.push.send(Buffer.alloc(1001));
  expect(await gone).toBe("frame_too_large");
  await good.send(Buffer.alloc(1000));
  expect((await line.pull.receive({ timeout: 2000 }))[0]?.length).toBe(1000);
});

test("stats count what was moved, and connections that are there", async () => {
  using line = pipeline();
  await line.push.sendMany(["a", ["b", "c"], "d"]);
  for (let i = 0; i < 3; i += 1) await line.pull.receive();
  expect(line.push.stats()).toMatchObject({ messagesSent: 3, connections: 1 });
  expect(line.pull.stats()).toMatchObject({ messagesReceived: 3, connections: 1 });
});
