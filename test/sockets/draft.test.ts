// The draft sockets, by libzmq's own tests of them, and by the bytes that they put on the wire.

import { describe, expect, test } from "bun:test";
import {
  Channel,
  Client,
  Dish,
  Gather,
  Peer,
  Radio,
  Scatter,
  Server,
  type SinglePart,
} from "../../src/draft.ts";
import type { Socket } from "../../src/index.ts";
import { COMMAND, command, frame, greeting, MORE, RawPeer, ready } from "../hostile/wire.ts";
import { bound, failure, pattern, reasonOf, rejection, until } from "../support/sockets.ts";

const endpoints = ["tcp://127.0.0.1:*", "ipc://*", "inproc://draft"];
const patience = { timeout: 5000 };

/** Binds one, connects the other. */
function link(binds: Socket, connects: Socket, endpoint = "tcp://127.0.0.1:*"): void {
  binds.bindSync(endpoint);
  connects.connect(binds.lastEndpoint as string);
}

const text = (part: Uint8Array) => Buffer.from(part).toString();

describe("test_client_server", () => {
  test.each(endpoints)("a Server answers the Client that asked, by its id: %s", async (at) => {
    using server = new Server({ linger: 0 });
    using client = new Client({ linger: 0 });
    using other = new Client({ linger: 0 });
    link(server, client, at);
    other.connect(server.lastEndpoint as string);
    await client.send("question");
    const [question, from] = await server.receive(patience);
    expect(text(question)).toBe("question");
    expect(from.routingId).toBeInteger();
    expect(from.routingId).toBeGreaterThan(0);
    await other.send("another");
    const [, fromOther] = await server.receive(patience);
    expect(fromOther.routingId).not.toBe(from.routingId);
    await server.send("answer", from);
    const answer = await client.receive(patience);
    expect(answer.map(text)).toEqual(["answer"]);
    expect(other.tryReceive()).toBeUndefined();
  });

  test("an id that nobody has, or has any more, is EHOSTUNREACH at once", async () => {
    using server = new Server({ linger: 0 });
    using client = new Client({ linger: 0 });
    link(server, client);
    for (const routingId of [0, 1, 2 ** 32 - 1]) {
      expect((await rejection(server.send("x", { routingId }))).code).toBe("EHOSTUNREACH");
    }
    expect(failure(() => server.trySend("x", { routingId: 0 })).code).toBe("EHOSTUNREACH");
    expect(failure(() => server.sendSync("x", { routingId: 0 })).code).toBe("EHOSTUNREACH");
    await client.send("hello");
    const [, { routingId }] = await server.receive(patience);
    client.close();
    await until("the client has gone", () => server.stats().connections === 0);
    expect((await rejection(server.send("x", { routingId }))).code).toBe("EHOSTUNREACH");
  });

  test("a full peer makes send wait, or fail after its timeout, and no other peer", async () => {
    using server = new Server({ linger: 0, sendHighWaterMark: 2, sendBufferSize: 4096 });
    const endpoint = bound(server);
    const slow = await RawPeer.greeted(endpoint, "CLIENT");
    slow.write(frame("slow"));
    const [, from] = await server.receive(patience);
    slow.socket.pause();
    const large = Buffer.alloc(1024 * 1024);
    while (server.trySend(large, from)) await Bun.sleep(0);
    expect(server.writable).toBe(false);
    expect((await rejection(server.send("x", { ...from, timeout: 1 }))).code).toBe("EAGAIN");
    using quick = new Client({ linger: 0 });
    quick.connect(endpoint);
    await quick.send("quick");
    const [, fromQuick] = await server.receive(patience);
    await server.send("you are fine", fromQuick);
    expect((await quick.receive(patience)).map(text)).toEqual(["you are fine"]);
    const waiting = server.send("last", from);
    slow.socket.resume();
    await waiting;
    await until("the last message", () => slow.rest().includes("last"));
  });

  test("every way to receive gives the same form, and sendMany takes it: an echo", async () => {
    using server = new Server({ linger: 0 });
    using client = new Client({ linger: 0 });
    link(server, client);
    const numbers = Array.from({ length: 300 }, (_, i) => `${i}`);
    await client.sendMany(numbers);
    const received: string[] = [];
    const take = async (batch: Iterable<readonly [Buffer, { routingId: number }]>) => {
      for (const [body, from] of batch) {
        received.push(text(body));
        await server.send(body, from);
      }
    };
    await take([await server.receive(patience)]);
    await take([server.receiveSync(patience)]);
    const next = server.tryReceive();
    if (next) await take([next]);
    for await (const message of server) {
      await take([message]);
      if (received.length > 10) break;
    }
    await take(await server.receiveMany({ max: 5, ...patience }));
    await take(server.receiveManySync({ max: 5, ...patience }));
    for await (const batch of server.batches({ borrow: true, max: 50 })) {
      received.push(...batch.map(([body]) => text(body)));
      await server.sendMany(batch);
      if (received.length === numbers.length) break;
    }
    expect(received).toEqual(numbers);
    const answers: string[] = [];
    for await (const [body] of client) {
      answers.push(text(body));
      if (answers.length === numbers.length) break;
    }
    expect(answers).toEqual(numbers);
  });

  test("an iterator over a Server ends when it closes", async () => {
    const server = new Server();
    bound(server);
    const steps = server[Symbol.asyncIterator]();
    const step = steps.next();
    server.close();
    expect(await step).toEqual({ value: undefined, done: true });
    expect(await steps.next()).toEqual({ value: undefined, done: true });
  });

  test("what is no routing id is a TypeError or out of range, and nothing is queued", async () => {
    using server = new Server();
    for (const wrong of [undefined, {}, { routingId: "1" }, { routingId: null }]) {
      const sent = server.send("x", wrong as never);
      expect(await reasonOf(sent)).toBeInstanceOf(TypeError);
    }
    for (const routingId of [-1, 1.5, 2 ** 32]) {
      expect((await rejection(server.send("x", { routingId }))).code).toBe("EINVAL");
    }
    expect(server.stats().messagesSent).toBe(0);
  });

  test("a Server can tell who is behind a routing id", async () => {
    using server = new Server({ linger: 0 });
    using client = new Client({ linger: 0 });
    link(server, client);
    await client.send("hello");
    const [, { routingId }] = await server.receive(patience);
    expect(server.peer(routingId)).toMatchObject({
      routingId,
      address: expect.stringMatching(/^tcp:\/\/127\.0\.0\.1:\d+$/),
      endpoint: server.lastEndpoint,
      socketType: "Client",
      connected: true,
      writable: true,
    });
    expect(server.peer(0)).toBeUndefined();
    expect(() => server.peer("1" as unknown as number)).toThrow(TypeError);
  });
});

describe("ZMQ_SNDMORE on the types of one part", () => {
  test("several parts are EINVAL, an array of one is fine, of none a TypeError", async () => {
    using client = new Client({ linger: 0 });
    using channel = new Channel({ linger: 0 });
    using scatter = new Scatter({ linger: 0 });
    using server = new Server({ linger: 0 });
    using radio = new Radio({ linger: 0 });
    const two = ["a", "b"] as unknown as SinglePart;
    const none = [] as unknown as SinglePart;
    const calls = [
      (message: SinglePart) => client.send(message),
      (message: SinglePart) => channel.send(message),
      (message: SinglePart) => scatter.send(message),
      (message: SinglePart) => scatter.sendMany(["fine", message]),
      (message: SinglePart) => server.send(message, { routingId: 1 }),
      (message: SinglePart) => server.sendMany([[message, { routingId: 1 }]]),
      (message: SinglePart) => radio.send(message, { group: "A" }),
    ];
    for (const call of calls) {
      expect((await rejection(call(two))).code).toBe("EINVAL");
      expect(await reasonOf(call(none))).toBeInstanceOf(TypeError);
    }
    expect(failure(() => client.trySend(two)).message).toContain("one part");
    for (const socket of [client, channel, scatter, server, radio]) {
      expect(socket.stats().messagesSent).toBe(0);
    }
    using gather = new Gather();
    link(gather, scatter);
    await scatter.send(["alone"], patience);
    expect((await gather.receive(patience)).map(text)).toEqual(["alone"]);
  });

  test.each([
    ["CLIENT", Server],
    ["SERVER", Client],
    ["SCATTER", Gather],
    ["CHANNEL", Channel],
    ["PEER", Peer],
  ] as const)("several parts from a %s are dropped whole, and counted", async (type, Class) => {
    using socket = new Class({ linger: 0 });
    const peer = await RawPeer.greeted(bound(socket), type);
    peer.write(frame("half", MORE), frame(""), frame("whole"));
    const [body] = await socket.receive(patience);
    expect(text(body)).toBe("whole");
    expect(socket.stats().droppedMalformed).toBe(1);
    expect(socket.readable).toBe(false);
  });
});

describe("test_peer", () => {
  test.each(endpoints)("a Peer knows at once whom it connects to: %s", async (at) => {
    using binds = new Peer({ linger: 0 });
    using connects = new Peer({ linger: 0 });
    binds.bindSync(at);
    const routingId = connects.connectPeer(binds.lastEndpoint as string);
    expect(routingId).toBeGreaterThan(0);
    await connects.send("hello", { routingId });
    const [hello, from] = await binds.receive(patience);
    expect(text(hello)).toBe("hello");
    await binds.send("hello yourself", from);
    const [answer, who] = await connects.receive(patience);
    expect(text(answer)).toBe("hello yourself");
    expect(who.routingId).toBe(routingId);
  });

  test("connectPeer twice gives two peers, each with a message of its own", async () => {
    using first = new Peer({ linger: 0 });
    using second = new Peer({ linger: 0 });
    using caller = new Peer({ linger: 0 });
    const ids = [first, second].map((peer) => caller.connectPeer(bound(peer)));
    expect(ids[0]).not.toBe(ids[1]);
    await caller.sendMany(ids.map((routingId, i) => [`for ${i}`, { routingId }] as const));
    expect(text((await first.receive(patience))[0])).toBe("for 0");
    expect(text((await second.receive(patience))[0])).toBe("for 1");
  });

  test("with immediate there is no id to give: EINVAL, and nothing is connected", () => {
    using peer = new Peer({ immediate: true });
    const error = failure(() => peer.connectPeer("tcp://127.0.0.1:1"));
    expect(error.code).toBe("EINVAL");
    expect(error.message).toContain("immediate");
    expect(peer.lastEndpoint).toBeNull();
    expect("connectPeer" in Server.prototype).toBe(false);
  });
});

describe("test_peer_disconnect", () => {
  test("disconnectPeer ends one peer of many: its id is unknown, the others go on", async () => {
    using hub = new Peer({ linger: 1000 });
    const endpoint = bound(hub);
    using stays = new Peer({ linger: 0 });
    using goes = new Peer({ linger: 0, reconnectInterval: -1 });
    for (const peer of [stays, goes]) {
      await peer.send(peer === stays ? "stays" : "goes", { routingId: peer.connectPeer(endpoint) });
    }
    const ids: Record<string, number> = {};
    for (let i = 0; i < 2; i += 1) {
      const [name, { routingId }] = await hub.receive(patience);
      ids[text(name)] = routingId;
    }
    hub.disconnectPeer(ids.goes!);
    expect(failure(() => hub.trySend("x", { routingId: ids.goes! })).code).toBe("EHOSTUNREACH");
    expect(failure(() => hub.disconnectPeer(ids.goes!)).code).toBe("EHOSTUNREACH");
    await until("its connection has ended", () => goes.stats().connections === 0);
    await hub.send("go on", { routingId: ids.stays! });
    expect(text((await stays.receive(patience))[0])).toBe("go on");
  });

  test("of a peer that was connected to, it is the end of the endpoint too", async () => {
    using hub = new Peer({ linger: 0 });
    const endpoint = bound(hub);
    using caller = new Peer({ linger: 0 });
    const routingId = caller.connectPeer(endpoint);
    await caller.connected(endpoint, patience);
    caller.disconnectPeer(routingId);
    expect(failure(() => caller.disconnect(endpoint)).code).toBe("ENOENT");
    expect(failure(() => caller.trySend("x", { routingId })).code).toBe("EHOSTUNREACH");
    await until("its connection has ended", () => hub.stats().connections === 0);
    // And it can be made again, under another id.
    expect(caller.connectPeer(endpoint)).not.toBe(routingId);
    await caller.connected(endpoint, patience);
  });

  test("an id that nobody has is EHOSTUNREACH, what is none a TypeError", () => {
    using server = new Server();
    expect(failure(() => server.disconnectPeer(0)).code).toBe("EHOSTUNREACH");
    expect(failure(() => server.disconnectPeer(7)).message).toContain("7");
    expect(() => server.disconnectPeer("7" as unknown as number)).toThrow(TypeError);
    server.close();
    expect(failure(() => server.disconnectPeer(7)).code).toBe("EBADF");
  });
});

describe("test_channel", () => {
  test.each(endpoints)("messages of one part both ways, to one other Channel: %s", async (at) => {
    using one = new Channel({ linger: 0 });
    using other = new Channel({ linger: 0 });
    link(one, other, at);
    const large = pattern(300_000);
    await other.send("ping");
    await other.send(large);
    expect((await one.receive(patience)).map(text)).toEqual(["ping"]);
    expect(Buffer.compare((await one.receive(patience))[0], large)).toBe(0);
    await one.send("pong");
    expect((await other.receive(patience)).map(text)).toEqual(["pong"]);
  });
});

describe("test_scatter_gather", () => {
  test.each(endpoints)("what is scattered is gathered, of each in turn: %s", async (at) => {
    using scatter = new Scatter({ linger: 0 });
    using first = new Gather();
    using second = new Gather();
    scatter.bindSync(at);
    for (const gather of [first, second]) gather.connect(scatter.lastEndpoint as string);
    await until("both are there", () => scatter.stats().connections === 2);
    await scatter.sendMany(["1", "2", "3", "4"]);
    for (const gather of [first, second]) {
      const jobs = [await gather.receive(patience), await gather.receive(patience)];
      expect(Number(jobs[1]![0]) - Number(jobs[0]![0])).toBe(2);
    }
  });

  test("conflate keeps the newest message, as zeromq.js has it", async () => {
    using scatter = new Scatter({ conflate: true, linger: 0 });
    using gather = new Gather({ conflate: true });
    scatter.connect("inproc://newest");
    await scatter.sendMany([1, 2, 3]);
    gather.bindSync("inproc://newest");
    expect((await gather.receive(patience)).map(text)).toEqual(["3"]);
    expect(scatter.stats().droppedConflated).toBe(2);
  });
});

describe("test_radio_dish", () => {
  test("join and leave refuse what libzmq refuses", () => {
    using dish = new Dish();
    dish.join("Movies");
    expect(failure(() => dish.join("Movies")).message).toContain('"Movies"');
    dish.leave("Movies");
    expect(failure(() => dish.leave("Movies")).code).toBe("EINVAL");
    dish.join("g".repeat(255), Buffer.from("bytes"));
    expect(failure(() => dish.join("g".repeat(256))).code).toBe("EINVAL");
    expect(failure(() => dish.join("ü".repeat(128))).message).toContain("255");
    expect(failure(() => dish.join("a\0b")).code).toBe("EINVAL");
    expect(() => dish.join(1 as unknown as string)).toThrow(TypeError);
    // One wrong group, and none is joined.
    expect(failure(() => dish.join("fine", "a\0b")).code).toBe("EINVAL");
    expect(failure(() => dish.leave("fine")).code).toBe("EINVAL");
    expect("send" in dish).toBe(false);
  });

  test.each(endpoints)("a message reaches who joined its group, with the group: %s", async (at) => {
    using radio = new Radio({ linger: 0 });
    using dish = new Dish();
    dish.join("Movies");
    link(radio, dish, at);
    await radio.joined("Movies", patience);
    await radio.send("Friends", { group: "TV" });
    await radio.send("Godfather", { group: Buffer.from("Movies") });
    const [movie, { group }] = await dish.receive(patience);
    expect([text(movie), text(group)]).toEqual(["Godfather", "Movies"]);
    dish.join("TV");
    await radio.joined("TV", patience);
    await radio.sendMany([["Friends", { group: "TV" }], ["Jaws", { group: "Movies" }]]);
    const batch = await dish.receiveMany({ max: 1, ...patience });
    expect(batch.map(([body, { group }]) => `${group}: ${body}`)).toEqual(["TV: Friends"]);
    for await (const [body, { group }] of dish) {
      expect(`${group}: ${body}`).toBe("Movies: Jaws");
      break;
    }
    dish.leave("TV", "Movies");
    await until("it has left", () => radio.stats().connections === 1 && radio.stats().topics === 0);
    expect(radio.stats().droppedUnsubscribed).toBe(1);
  });

  test("a Dish that binds joins at each Radio, and again after a reconnection", async () => {
    using dish = new Dish();
    dish.join("A");
    const endpoint = bound(dish);
    using radio = new Radio({ linger: 0, reconnectInterval: 10 });
    radio.connect(endpoint);
    await radio.joined("A", patience);
    await dish.unbind(endpoint);
    await until("the connection has ended", () => radio.stats().connections === 0);
    dish.join("B");
    dish.bindSync(endpoint);
    await radio.joined("B", patience);
    await radio.send("again", { group: "B" });
    expect(text((await dish.receive(patience))[0])).toBe("again");
  });

  test("what is no group is a TypeError or EINVAL, and nothing is sent", async () => {
    using radio = new Radio();
    for (const wrong of [undefined, {}, { group: 1 }, { group: null }]) {
      const sent = radio.send("x", wrong as never);
      expect(await reasonOf(sent)).toBeInstanceOf(TypeError);
    }
    expect((await rejection(radio.send("x", { group: "g".repeat(256) }))).code).toBe("EINVAL");
    expect((await rejection(radio.joined("a\0b"))).code).toBe("EINVAL");
    expect(radio.stats().messagesSent).toBe(0);
  });

  test("over udp it is not there yet, and says so", async () => {
    using radio = new Radio();
    using dish = new Dish();
    const errors = [
      failure(() => radio.connect("udp://127.0.0.1:5556")),
      failure(() => dish.connect("udp://127.0.0.1:5556")),
      await rejection(dish.bind("udp://*:5556")),
      await rejection(radio.bind("udp://*:5556")),
    ];
    for (const error of errors) {
      expect(error.code).toBe("EPROTONOSUPPORT");
      expect(error.message).toContain("udp:// comes in a later version");
    }
  });

  test("noDrop waits for a Dish without room; otherwise drops are counted", async () => {
    for (const noDrop of [false, true]) {
      using radio = new Radio({ linger: 0, noDrop, sendHighWaterMark: 2, sendBufferSize: 4096 });
      const dish = await RawPeer.greeted(bound(radio), "DISH");
      dish.write(command("JOIN", "A"));
      await radio.joined("A", patience);
      dish.socket.pause();
      const large = Buffer.alloc(1024 * 1024);
      const done = () =>
        noDrop ? !radio.writable : radio.stats().droppedHighWaterMark > 0;
      for (let i = 0; i < 100 && !done(); i += 1) {
        radio.trySend(large, { group: "A" });
        await Bun.sleep(0);
      }
      expect(done()).toBe(true);
      expect(radio.trySend("x", { group: "A" })).toBe(!noDrop);
      expect(radio.trySend("x", { group: "B" })).toBe(true);
      dish.destroy();
    }
  });
});

describe("on the wire", () => {
  test("SERVER and CLIENT: one frame, and no routing id in it", async () => {
    using server = new Server({ linger: 0 });
    const client = await RawPeer.greeted(bound(server), "CLIENT");
    client.write(frame("question"));
    const [, from] = await server.receive(patience);
    await server.send("answer", from);
    await until("the answer", () => client.rest().length > 0);
    expect(client.rest()).toEqual(frame("answer"));
  });

  test("RADIO: group and body are two frames; DISH: JOIN and LEAVE are commands", async () => {
    using radio = new Radio({ linger: 0 });
    const dish = await RawPeer.greeted(bound(radio), "DISH");
    dish.write(command("JOIN", "weather"));
    await radio.joined("weather", patience);
    await radio.send("rain", { group: "weather" });
    const expected = Buffer.concat([frame("weather", MORE), frame("rain")]);
    await until("the message", () => dish.rest().length >= expected.length);
    expect(dish.rest()).toEqual(expected);

    using listener = new Dish();
    listener.join("weather");
    const sender = await RawPeer.greeted(bound(listener), "RADIO");
    await until("the join", () => sender.rest().length > 0);
    listener.leave("weather");
    const commands = Buffer.concat([
      frame("\x04JOINweather", COMMAND),
      frame("\x05LEAVEweather", COMMAND),
    ]);
    await until("the leave", () => sender.rest().length >= commands.length);
    expect(sender.rest()).toEqual(commands);
  });

  test("hello, disconnect and hiccup messages come and go at their times", async () => {
    using server = new Server({ linger: 0, helloMessage: "welcome", disconnectMessage: "gone" });
    const endpoint = bound(server);
    const client = await RawPeer.greeted(endpoint, "CLIENT");
    await until("the hello", () => client.rest().length > 0);
    expect(client.rest()).toEqual(frame("welcome"));
    client.write(frame("hi"));
    const [, { routingId }] = await server.receive(patience);
    client.destroy();
    const [gone, from] = await server.receive(patience);
    expect([text(gone), from.routingId]).toEqual(["gone", routingId]);

    using caller = new Client({ linger: 0, hiccupMessage: "lost it" });
    caller.connect(endpoint);
    expect((await caller.receive(patience)).map(text)).toEqual(["welcome"]);
    await server.unbind(endpoint);
    expect((await caller.receive(patience)).map(text)).toEqual(["lost it"]);
  });
});

describe("a hostile peer", () => {
  test("that joins without end is cut off, and is forgotten with all it had", async () => {
    using radio = new Radio({ linger: 0, subscriptionsMax: 1000 });
    const flood = await RawPeer.greeted(bound(radio), "DISH");
    const joins = Array.from({ length: 5000 }, (_, i) => command("JOIN", `group ${i}`));
    flood.write(...joins);
    await flood.end();
    await until("it is forgotten", () => {
      const { connections, topics } = radio.stats();
      return connections === 0 && topics === 0;
    });
    expect(radio.stats().subscriptionsRefused).toBeGreaterThan(0);
  });

  test("that sends no pairs, or groups that nobody joined, gets nothing into a Dish", async () => {
    using dish = new Dish();
    dish.join("A");
    const radio = await RawPeer.greeted(bound(dish), "RADIO");
    radio.write(
      frame("A"),
      frame("A", MORE), frame("x", MORE), frame("y"),
      frame("g".repeat(256), MORE), frame("x"),
      frame("B", MORE), frame("x"),
      frame("A", MORE), frame("good"),
    );
    const [body] = await dish.receive(patience);
    expect(text(body)).toBe("good");
    expect(dish.tryReceive()).toBeUndefined();
    expect(dish.stats()).toMatchObject({ droppedMalformed: 3, droppedFiltered: 1 });
  });

  test("of another type is turned away: only these types talk to each other", async () => {
    using server = new Server();
    using dish = new Dish();
    for (const [socket, type] of [[server, "DEALER"], [dish, "PUB"]] as const) {
      const peer = await RawPeer.connect(bound(socket));
      peer.write(greeting(), ready(type));
      await peer.end();
      expect(socket.stats().handshakesFailed).toBe(1);
    }
  });
});
