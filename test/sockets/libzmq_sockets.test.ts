// What libzmq's own tests of socket types pin down (libzmq.md §6.1, and of §6.3 and §6.4 what is
// about these types), under the names of those files.

import { describe, expect, test } from "bun:test";
import {
  Dealer,
  Pair,
  Pull,
  Push,
  Reply,
  Request,
  Router,
  type Socket,
  Stream,
} from "../../src/index.ts";
import { event, failure, keeper, rejection, texts, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };
const transports = ["tcp", "ipc", "inproc"] as const;
type Transport = (typeof transports)[number];
let names = 0;

/** Binds to an endpoint of its own. */
function bound(socket: Socket, transport: Transport = "tcp"): string {
  const inproc = `inproc://libzmq-${(names += 1)}`;
  socket.bindSync({ tcp: "tcp://127.0.0.1:*", ipc: "ipc://*", inproc }[transport]);
  return socket.lastEndpoint as string;
}

async function linked(socket: Socket, count = 1): Promise<void> {
  await until(`${count} connections`, () => socket.stats().connections === count);
}

type Talker = Socket & Pick<Pair, "send" | "receive">;

async function expectTexts(socket: Pick<Pair, "receive">, ...expected: string[]): Promise<void> {
  expect(texts(await socket.receive(limits))).toEqual(expected);
}

async function bounce(server: Talker, client: Talker): Promise<void> {
  await client.send(["1", "2"]);
  await expectTexts(server, "1", "2");
  await server.send(["3", "4"]);
  await expectTexts(client, "3", "4");
}

describe("test_spec_req", () => {
  test.each(transports)("round robin over five Replies over %s", async (transport) => {
    const request = keep(new Request());
    const replies = Array.from({ length: 5 }, () => keep(new Reply()));
    const endpoint = bound(request, transport);
    for (const [i, reply] of replies.entries()) {
      reply.connect(endpoint);
      await linked(request, i + 1);
    }
    for (const [i, reply] of replies.entries()) {
      await request.send("ABC");
      await expectTexts(reply, "ABC");
      await reply.send(`${i}`);
      await expectTexts(request, `${i}`);
    }
  });

  test.each(transports)("a Router sees [id, empty, parts] over %s", async (transport) => {
    const request = keep(new Request({ routingId: "A" }));
    const router = keep(new Router());
    request.connect(bound(router, transport));
    await request.send(["B", "C"]);
    await expectTexts(router, "A", "", "B", "C");
  });

  test("no peers: EAGAIN", async () => {
    const request = keep(new Request({ sendTimeout: 0 }));
    bound(request);
    expect((await rejection(request.send("x"))).code).toBe("EAGAIN");
  });
});

describe("test_spec_rep", () => {
  test.each(transports)("requests are taken in turn over %s", async (transport) => {
    const reply = keep(new Reply());
    const endpoint = bound(reply, transport);
    const requests = Array.from({ length: 5 }, () => keep(new Request()));
    for (const request of requests) request.connect(endpoint);
    for (const [i, request] of requests.entries()) await request.send(`${i}`);
    const asked = new Set<string>();
    for (const _ of requests) {
      const [question] = await reply.receive(limits);
      asked.add(String(question));
      await reply.send(question as Buffer);
    }
    expect(asked.size).toBe(5);
    for (const [i, request] of requests.entries()) await expectTexts(request, `${i}`);
  });

  test.each(transports)("envelopes of one hop and of two come back over %s", async (transport) => {
    const reply = keep(new Reply());
    const dealer = keep(new Dealer());
    dealer.connect(bound(reply, transport));
    for (const envelope of [[""], ["X", "Y", ""]]) {
      await dealer.send([...envelope, "A"]);
      await expectTexts(reply, "A");
      await reply.send("A");
      await expectTexts(dealer, ...envelope, "A");
    }
  });
});

describe("test_spec_dealer", () => {
  test.each(transports)("round robin out, fair queue in over %s", async (transport) => {
    const dealer = keep(new Dealer());
    const endpoint = bound(dealer, transport);
    const peers: Dealer[] = [];
    for (let i = 0; i < 5; i += 1) {
      const peer = keep(new Dealer());
      peer.connect(endpoint);
      await linked(dealer, i + 1);
      peers.push(peer);
    }
    for (const _ of peers) await dealer.send("out");
    for (const peer of peers) await expectTexts(peer, "out");
    for (const [i, peer] of peers.entries()) await peer.sendMany([`${i}`, `${i}`]);
    const taken: string[] = [];
    while (taken.length < 10) taken.push(String((await dealer.receive(limits))[0]));
    expect(taken.sort().join("")).toBe("0011223344");
  });

  test("no peers: EAGAIN", async () => {
    const dealer = keep(new Dealer({ sendTimeout: 0 }));
    bound(dealer);
    expect((await rejection(dealer.send("x"))).code).toBe("EAGAIN");
  });
});

describe("test_spec_router", () => {
  test.each(transports)("ids before messages, of all peers in turn over %s", async (transport) => {
    const router = keep(new Router());
    const endpoint = bound(router, transport);
    for (let i = 0; i < 5; i += 1) {
      const dealer = keep(new Dealer({ routingId: `${i}` }));
      dealer.connect(endpoint);
      await dealer.send(["A", "B"]);
    }
    const ids = new Set<string>();
    for (let i = 0; i < 5; i += 1) {
      const [id, ...rest] = texts(await router.receive(limits));
      expect(rest).toEqual(["A", "B"]);
      ids.add(id as string);
    }
    expect(ids.size).toBe(5);
  });
});

describe("test_spec_pushpull", () => {
  test.each(transports)("round robin, fair pull over %s", async (transport) => {
    const push = keep(new Push());
    const endpoint = bound(push, transport);
    const pulls: Pull[] = [];
    for (let i = 0; i < 5; i += 1) {
      const pull = keep(new Pull());
      pull.connect(endpoint);
      await linked(push, i + 1);
      pulls.push(pull);
    }
    for (let i = 0; i < 10; i += 1) await push.send("ABC");
    for (const pull of pulls) {
      await expectTexts(pull, "ABC");
      await expectTexts(pull, "ABC");
    }
  });

  test("no peers: EAGAIN", async () => {
    const push = keep(new Push({ sendTimeout: 0 }));
    bound(push);
    expect((await rejection(push.send("x"))).code).toBe("EAGAIN");
  });

  test("a peer that leaves gets whole messages only, the next one too", async () => {
    const push = keep(new Push({ sendTimeout: 5000 }));
    const endpoint = bound(push);
    for (let round = 0; round < 10; round += 1) {
      const pull = new Pull({ linger: 0 });
      pull.connect(endpoint);
      await linked(push, 1);
      for (let i = 0; i < 200; i += 1) push.trySend(["a", "b".repeat(i * 10), "c"]);
      for (let i = 0; i < 20; i += 1) {
        const message = await pull.receive(limits);
        expect(message.length).toBe(3);
        expect(texts([message[0] as Buffer, message[2] as Buffer])).toEqual(["a", "c"]);
      }
      pull.close();
      await linked(push, 0);
    }
  });
});

describe("test_req_correlate", () => {
  test("[id, empty, body]; an answer with another id is passed over", async () => {
    const request = keep(new Request({ correlate: true }));
    const router = keep(new Router());
    request.connect(bound(router));
    await request.send(["ABC", "DEF"]);
    const [from, id, empty, ...body] = (await router.receive(limits)) as [Buffer, Buffer, Buffer];
    expect([id.length, empty.length, texts(body)]).toEqual([4, 0, ["ABC", "DEF"]]);
    const wrong = Buffer.from(id);
    wrong.writeUInt32LE((wrong.readUInt32LE() + 1) >>> 0);
    await router.send([from, wrong, "", "DATA"]);
    await router.send([from, id, "", "right"]);
    await expectTexts(request, "right");
  });
});

describe("test_req_relaxed", () => {
  async function relaxed() {
    const request = keep(new Request({ relaxed: true, correlate: true }));
    const endpoint = bound(request);
    const replies: Reply[] = [];
    for (let i = 0; i < 2; i += 1) {
      const reply = keep(new Reply());
      reply.connect(endpoint);
      await linked(request, i + 1);
      replies.push(reply);
    }
    return { request, replies: replies as [Reply, Reply] };
  }

  test("case 1: a second request before the reply; the first one's reply is dropped", async () => {
    const { request, replies } = await relaxed();
    await request.send(["A", "B"]);
    await expectTexts(replies[0], "A", "B");
    await request.send(["C", "D"]);
    await expectTexts(replies[1], "C", "D");
    await replies[0].send(["X"]);
    await replies[1].send(["D", "C"]);
    await expectTexts(request, "D", "C");
    // Case 4: the state survives, requests go on in turn (#1690).
    await request.send("E");
    await expectTexts(replies[0], "E");
    await replies[0].send("F");
    await expectTexts(request, "F");
  });

  test("case 2: a reply that is queued already is no reply to the next request", async () => {
    const { request, replies } = await relaxed();
    await request.send("G");
    await expectTexts(replies[0], "G");
    await replies[0].send("H");
    await until("the reply is there", () => request.readable);
    expect(request.writable).toBe(true);
    await request.send("I");
    await expectTexts(replies[1], "I");
    await replies[1].send("J");
    await expectTexts(request, "J");
  });

  test("case 3: many requests in a row, one reply (#1695)", async () => {
    const { request, replies } = await relaxed();
    for (let i = 0; i < 10; i += 1) await request.send(`${i}`);
    for (let i = 0; i < 10; i += 1) {
      const reply = replies[i % 2] as Reply;
      await expectTexts(reply, `${i}`);
      await reply.send(`answer ${i}`);
    }
    await expectTexts(request, "answer 9");
  });
});

describe("test_invalid_rep", () => {
  test.each(transports)("a reply without its delimiter is skipped over %s", async (transport) => {
    const router = keep(new Router());
    const request = keep(new Request());
    request.connect(bound(router, transport));
    await request.send("r");
    const [from] = await router.receive(limits);
    await router.send([from as Buffer, "bad"]);
    await router.send([from as Buffer, "", "good"]);
    await expectTexts(request, "good");
  });
});

describe("test_reqrep_device", () => {
  test.each(transports)("a relay of Router and Dealer keeps parts over %s", async (transport) => {
    const [front, back] = [keep(new Router()), keep(new Dealer())];
    const request = keep(new Request());
    const reply = keep(new Reply());
    request.connect(bound(front, transport));
    reply.connect(bound(back, transport));
    await request.send(["ABC", "DEF"]);
    await back.send(await front.receive(limits));
    await expectTexts(reply, "ABC", "DEF");
    await reply.send(["GHI", "JKL"]);
    await front.send(await back.receive(limits));
    await expectTexts(request, "GHI", "JKL");
  });
});

describe.each(transports)("test_reqrep_%s", (transport) => {
  test("bounces", async () => {
    const [reply, request] = [keep(new Reply()), keep(new Request())];
    request.connect(bound(reply, transport));
    await bounce(reply, request);
  });

  test("an answer for a requester that has closed is taken and dropped", async () => {
    const reply = keep(new Reply());
    const request = new Request({ linger: 0 });
    request.connect(bound(reply, transport));
    await request.send("question");
    await expectTexts(reply, "question");
    request.close();
    await linked(reply, 0);
    await reply.send("answer");
    expect(reply.stats().droppedNoPeer).toBe(1);
  });

  test("one Request with several connections asks each in turn", async () => {
    const replies = [keep(new Reply()), keep(new Reply())];
    const request = keep(new Request());
    for (const reply of replies) request.connect(bound(reply, transport));
    for (const reply of replies) await bounce(reply, request);
  });
});

describe.each(transports)("test_pair_%s", (transport) => {
  test("bounces", async () => {
    const [server, client] = [keep(new Pair()), keep(new Pair())];
    client.connect(bound(server, transport));
    await bounce(server, client);
  });
});

describe("test_router_mandatory", () => {
  test.each(transports)("an unknown id: dropped, or EHOSTUNREACH over %s", async (transport) => {
    const router = keep(new Router());
    const endpoint = bound(router, transport);
    await router.send(["UNKNOWN", "DATA"]);
    expect(router.stats().droppedUnroutable).toBe(1);
    router.mandatory = true;
    const refused = await rejection(router.send(["UNKNOWN", "DATA"]));
    expect([refused.code, refused.message]).toEqual([
      "EHOSTUNREACH",
      expect.stringMatching(/^Host unreachable\. No peer has this routing id/),
    ]);
    const dealer = keep(new Dealer({ routingId: "X" }));
    dealer.connect(endpoint);
    await dealer.send("Hello");
    await expectTexts(router, "X", "Hello");
    await router.send(["X", "Hello"]);
    await expectTexts(dealer, "Hello");
  });

  test("the state of a peer: there, full, or nobody", async () => {
    const router = keep(new Router({ mandatory: true, sendHighWaterMark: 1 }));
    const dealer = keep(new Dealer({ routingId: "X", receiveHighWaterMark: 1 }));
    dealer.connect(bound(router));
    await dealer.send("Hello");
    await expectTexts(router, "X", "Hello");
    expect(router.peer("X")?.writable).toBe(true);
    const large = Buffer.alloc(1 << 20);
    while (router.trySend(["X", large]));
    expect(router.peer("X")?.writable).toBe(false);
    expect(router.peer("Y")).toBeUndefined();
  });
});

describe("test_router_mandatory_hwm", () => {
  test("a peer that does not read: EAGAIN soon, and the wait is for that peer", async () => {
    const router = keep(new Router({ mandatory: true, sendHighWaterMark: 1, sendTimeout: 0 }));
    const dealer = keep(new Dealer({ routingId: "X", receiveHighWaterMark: 1 }));
    dealer.connect(bound(router));
    await dealer.send("Hello");
    await expectTexts(router, "X", "Hello");
    const body = Buffer.alloc(65_536);
    let sent = 0;
    while (router.trySend(["X", body])) sent += 1;
    // The buffers of the kernel are the rest of it.
    expect(sent).toBeLessThan(1000);
    expect((await rejection(router.send(["X", body]))).code).toBe("EAGAIN");
    router.sendTimeout = 5000;
    const waiting = router.send(["X", "at last"]);
    for (let i = 0; i < sent; i += 1) await dealer.receive(limits);
    await waiting;
    await expectTexts(dealer, "at last");
  });
});

describe("test_router_handover", () => {
  async function twins(handover: boolean, transport: Transport) {
    const router = keep(new Router({ handover, mandatory: true }));
    const endpoint = bound(router, transport);
    const first = keep(new Dealer({ routingId: "X", reconnectInterval: -1 }));
    first.connect(endpoint);
    await first.send("Hello");
    await expectTexts(router, "X", "Hello");
    const second = keep(new Dealer({ routingId: "X", reconnectInterval: -1 }));
    second.connect(endpoint);
    return { router, first, second };
  }

  test.each(transports)("with it the second Dealer has the id over %s", async (transport) => {
    const { router, second } = await twins(true, transport);
    await second.send("Hello");
    await expectTexts(router, "X", "Hello");
    await router.send(["X", "for the second"]);
    await expectTexts(second, "for the second");
    await linked(router, 1);
  });

  test.each(transports)("without it the second Dealer is refused over %s", async (transport) => {
    const { router, first } = await twins(false, transport);
    await until("it is refused", () => router.stats().peersRefused === 1);
    await router.send(["X", "for the first"]);
    await expectTexts(first, "for the first");
    await linked(router, 1);
  });
});

describe("test_router_notify", () => {
  test.each([
    [null, []],
    ["connect", ["in"]],
    ["disconnect", ["out"]],
    ["all", ["in", "out"]],
  ] as const)("%p", async (notifyPeers, told) => {
    const router = keep(new Router({ notifyPeers, receiveTimeout: 5000 }));
    const dealer = new Dealer({ routingId: "X", linger: 0 });
    dealer.connect(bound(router));
    if (told.includes("in" as never)) await expectTexts(router, "X", "");
    await dealer.send("Hello");
    await expectTexts(router, "X", "Hello");
    dealer.close();
    if (told.includes("out" as never)) await expectTexts(router, "X", "");
    await linked(router, 0);
    expect(router.tryReceive()).toBeUndefined();
  });

  test("nothing of a handshake that failed", async () => {
    const router = keep(new Router({ notifyPeers: "all" }));
    const push = keep(new Push());
    push.connect(bound(router));
    await until("it failed", () => router.stats().handshakesFailed > 0);
    expect(router.tryReceive()).toBeUndefined();
    expect(() => new Router({ notifyPeers: "sometimes" as "all" })).toThrow();
  });
});

describe("test_probe_router", () => {
  test.each(transports)("Router and Dealer make themselves known over %s", async (transport) => {
    const server = keep(new Router());
    const endpoint = bound(server, transport);
    const router = keep(new Router({ routingId: "router", probeRouter: true }));
    router.connect(endpoint);
    await expectTexts(server, "router", "");
    const dealer = keep(new Dealer({ routingId: "dealer", probeRouter: true }));
    dealer.connect(endpoint);
    await expectTexts(server, "dealer", "");
    for (const [id, peer] of Object.entries({ router, dealer })) {
      await server.send([id, "Hello"]);
      const message = texts(await peer.receive(limits));
      expect(message.at(-1)).toBe("Hello");
    }
  });
});

describe("test_connect_rid", () => {
  test("Stream: an id that was given is the connection's", async () => {
    const server = keep(new Stream());
    const client = keep(new Stream({ notify: false }));
    const endpoint = bound(server);
    for (const routingId of ["conn1", "conn2"]) {
      expect(String(client.connect(endpoint, { routingId }))).toBe(routingId);
      const [id, empty] = await server.receive(limits);
      expect([id?.length, empty?.length]).toEqual([5, 0]);
      await client.send([routingId, `hi ${routingId}`]);
      const [from, bytes] = await server.receive(limits);
      expect([from, String(bytes)]).toEqual([id as Buffer, `hi ${routingId}`]);
    }
  });

  test.each(transports)("Router: named, unnamed, while reading over %s", async (transport) => {
    const server = keep(new Router());
    const endpoint = bound(server, transport);
    const client = keep(new Router({ mandatory: true }));
    client.connect(endpoint, { routingId: "X" });
    await client.send(["X", "first"]);
    const [from] = await server.receive(limits);
    // The first part of what is there has been taken only when all of it has: here, at once.
    await server.send([from as Buffer, "a", "b"]);
    await until("the answer is there", () => client.readable);
    const other = keep(new Dealer());
    client.connect(bound(other, transport), { routingId: "Y" });
    await expectTexts(client, "X", "a", "b");
    await client.send(["Y", "second"]);
    await expectTexts(other, "second");
    const unnamed = keep(new Dealer({ routingId: "Z" }));
    client.connect(bound(unnamed, transport));
    await until("its own name is known", () => client.peer("Z") !== undefined);
    await client.send(["Z", "third"]);
    await expectTexts(unnamed, "third");
  });
});

describe("test_issue_566", () => {
  test("a hundred times: a named Dealer that has just connected can be reached", async () => {
    const router = keep(new Router({ mandatory: true }));
    const endpoint = bound(router);
    for (let cycle = 0; cycle < 100; cycle += 1) {
      const dealer = new Dealer({ routingId: `${cycle}`, linger: 0 });
      dealer.connect(endpoint);
      await until("it is known", () => router.peer(`${cycle}`) !== undefined);
      await router.send([`${cycle}`, "HELLO"]);
      await expectTexts(dealer, "HELLO");
      dealer.close();
    }
  });
});

describe("test_conflate", () => {
  test.each(transports)("of twenty messages the last one is read over %s", async (transport) => {
    const pull = keep(new Pull({ conflate: true }));
    const push = keep(new Push());
    push.connect(bound(pull, transport));
    for (let i = 0; i < 20; i += 1) await push.send([`${i}`, "value"]);
    await until("the others are replaced", () => pull.stats().droppedConflated === 19);
    await expectTexts(pull, "19", "value");
  });

  test("what waits for a connection is the newest message", async () => {
    const push = keep(new Push({ conflate: true }));
    const pull = keep(new Pull());
    const endpoint = bound(pull);
    pull.unbindSync(endpoint);
    push.connect(endpoint);
    for (let i = 0; i < 20; i += 1) await push.send([`${i}`, "value"]);
    expect(push.stats().droppedConflated).toBe(19);
    pull.bindSync(endpoint);
    await expectTexts(pull, "19", "value");
  });
});

describe("test_hello_msg", () => {
  test.each(transports)("the first message of each connection over %s", async (transport) => {
    const router = keep(new Router({ helloMessage: "HELLO" }));
    const endpoint = bound(router, transport);
    for (let i = 0; i < 3; i += 1) {
      const dealer = new Dealer({ linger: 0 });
      dealer.connect(endpoint);
      await expectTexts(dealer, "HELLO");
      dealer.close();
    }
  });

  test("also of one that is made again", async () => {
    const dealer = keep(new Dealer({ helloMessage: "HELLO", reconnectInterval: 10 }));
    let router = keep(new Router());
    const endpoint = bound(router);
    dealer.connect(endpoint);
    for (let i = 0; i < 3; i += 1) {
      expect(texts(await router.receive(limits))[1]).toBe("HELLO");
      router.close();
      router = keep(new Router());
      await router.bind(endpoint);
    }
  });
});

describe("test_disconnect_msg", () => {
  test.each(transports)("when a peer has left over %s", async (transport) => {
    const router = keep(new Router({ disconnectMessage: "D" }));
    const dealer = new Dealer({ routingId: "X", linger: 0 });
    dealer.connect(bound(router, transport));
    await dealer.send("Hello");
    await expectTexts(router, "X", "Hello");
    dealer.close();
    await expectTexts(router, "X", "D");
  });
});

describe("test_hiccup_msg", () => {
  test("when a connection that we made is lost", async () => {
    const router = new Router({ linger: 0 });
    const dealer = keep(new Dealer({ hiccupMessage: "HICCUP" }));
    const endpoint = bound(router);
    dealer.connect(endpoint);
    await linked(router, 1);
    router.close();
    await expectTexts(dealer, "HICCUP");
    const again = keep(new Router({ helloMessage: "back" }));
    await again.bind(endpoint);
    await expectTexts(dealer, "back");
  });
});

describe("test_stream", () => {
  test("a Stream that writes ZMTP by hand talks to a Dealer", async () => {
    const stream = keep(new Stream());
    const dealer = keep(new Dealer());
    dealer.connect(bound(stream));
    const [id, empty] = (await stream.receive(limits)) as [Buffer, Buffer];
    expect([id.length, empty.length]).toEqual([5, 0]);
    let seen = Buffer.alloc(0);
    const read = async (bytes: number) => {
      while (seen.length < bytes) {
        const [from, data] = (await stream.receive(limits)) as [Buffer, Buffer];
        expect(from).toEqual(id);
        seen = Buffer.concat([seen, data]);
      }
    };
    await read(64);
    const greeting = Buffer.alloc(64);
    greeting.set([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0]);
    greeting.write("NULL", 12);
    await stream.send([id, greeting]);
    const properties = "\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0";
    const ready = Buffer.from(`\x05READY${properties}`);
    await stream.send([id, Buffer.from([4, ready.length]), ready]);
    await read(64 + 2 + 41);
    expect(seen.subarray(66, 72).toString()).toBe("\x05READY");
    await stream.send([id, "\x01\x05World", "\x00\x01!"]);
    await expectTexts(dealer, "World", "!");
  });

  test("Stream to Stream, with what tells of beginning and end", async () => {
    const [server, client] = [keep(new Stream()), keep(new Stream())];
    const id = client.connect(bound(server));
    expect(await client.receive(limits)).toEqual([id, Buffer.alloc(0)]);
    const [peer] = (await server.receive(limits)) as [Buffer, Buffer];
    await server.send([peer, "HELLO"]);
    await expectTexts(client, id.toString(), "HELLO");
    await client.send([id, "WORLD"]);
    await expectTexts(server, peer.toString(), "WORLD");
  });
});

describe("test_stream_disconnect, test_stream_empty", () => {
  test("an empty message ends the connection, and the other side is told", async () => {
    const [server, client] = [keep(new Stream()), keep(new Stream())];
    const id = client.connect(bound(server));
    await expectTexts(client, id.toString(), "");
    const [peer] = (await server.receive(limits)) as [Buffer, Buffer];
    await server.send([peer, "bye"]);
    await server.send([peer, ""]);
    await expectTexts(client, id.toString(), "bye");
    await expectTexts(client, id.toString(), "");
    expect(failure(() => server.trySend([peer, "too late"])).code).toBe("EHOSTUNREACH");
  });
});

describe("test_stream_exceeds_buffer", () => {
  test("more bytes than any buffer holds arrive unchanged", async () => {
    const [server, client] = [keep(new Stream()), keep(new Stream({ notify: false }))];
    const id = client.connect(bound(server));
    await server.receive(limits);
    const bytes = Buffer.alloc(3 << 20, "0123456789abcdefghijklmnopqrstuvwxyz");
    await client.send([id, bytes]);
    const pieces: Buffer[] = [];
    for (let size = 0; size < bytes.length; size += pieces.at(-1)!.length) {
      pieces.push((await server.receive(limits))[1] as Buffer);
    }
    expect(Buffer.compare(Buffer.concat(pieces), bytes)).toBe(0);
  });
});

describe("test_stream_timeout", () => {
  test.each(["accept", "connect"])("a handshake with a silent Stream ends (%s)", async (side) => {
    const stream = keep(new Stream());
    const dealer = keep(new Dealer({ handshakeInterval: 100, reconnectInterval: -1 }));
    expect(new Dealer({ linger: 0 }).handshakeInterval).toBe(30_000);
    if (side === "accept") stream.connect(bound(dealer));
    else dealer.connect(bound(stream));
    const { reason } = await event(dealer, "handshake:error:other");
    expect(reason).toBe("handshake_timeout");
  });
});
