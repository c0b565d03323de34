// What a socket counts: that nothing is lost without being counted, and what else it tells.

import { describe, expect, test } from "bun:test";
import * as draft from "../../src/draft.ts";
import {
  Context,
  context,
  Dealer,
  Pair,
  Proxy,
  Publisher,
  Pull,
  Push,
  Reply,
  Request,
  Router,
  type Socket,
  type SocketStats,
  Stream,
  Subscriber,
  XPublisher,
  XSubscriber,
} from "../../src/index.ts";
import { bound, keeper, until } from "../support/sockets.ts";

const keep = keeper();
const outLimits = { sendHighWaterMark: 10, linger: 0 };
const inLimits = { receiveHighWaterMark: 10, linger: 0 };
const limits = { ...outLimits, ...inLimits };
const body = Buffer.alloc(10_000, 7);

const outward = [
  "droppedHighWaterMark", "droppedUnroutable", "droppedUnsubscribed", "droppedConflated",
  "droppedDisconnect", "droppedNoPeer", "droppedLinger",
] as const;
const inward = [
  "droppedFiltered", "droppedConflated", "droppedMalformed", "droppedStale", "droppedRefused",
  "droppedClosed", "droppedDisconnect",
] as const;

function sum(stats: SocketStats, names: readonly (keyof SocketStats)[]): number {
  return names.reduce((total, name) => total + (stats[name] as number), 0);
}

/** Of a socket that has ended: nothing waits any more. */
function expectOutward(stats: SocketStats, copies = stats.messagesSent): void {
  const { messagesOut } = stats;
  expect({ ...stats, all: messagesOut + sum(stats, outward) }).toEqual({ ...stats, all: copies });
}

function expectInward(stats: SocketStats, taken: number): void {
  const all = stats.messagesReceived + sum(stats, inward);
  expect({ taken: stats.messagesReceived, all }).toEqual({ taken, all: stats.messagesIn });
}

interface Side {
  socket: Socket;
  /** Accepted by the socket. */
  send(): boolean;
}

interface Taker {
  socket: Socket;
  take(): unknown;
}

type Line = [name: string, make: (endpoint: string) => Promise<[Side, Taker]>];

async function linked(binds: Socket, connects: Socket, endpoint: string): Promise<void> {
  binds.bindSync(endpoint);
  connects.connect(binds.lastEndpoint as string);
  await Promise.all([binds.connected(), connects.connected()]);
}

type Sends = Socket & { trySend(message: Uint8Array[]): boolean };
type Takes = Socket & { tryReceive(): unknown };

/** The sender binds. */
async function pairOf(endpoint: string, sender: Sends, taker: Takes): Promise<[Side, Taker]> {
  await linked(sender, taker, endpoint);
  return [
    { socket: sender, send: () => sender.trySend([body]) },
    { socket: taker, take: () => taker.tryReceive() },
  ];
}

async function published(endpoint: string, sender: Sends, taker: Takes): Promise<[Side, Taker]> {
  const line = await pairOf(endpoint, sender, taker);
  await until("the subscription has come", () => sender.stats().topics === 1);
  return line;
}

const lines: Line[] = [
  ["Push to Pull", (at) => pairOf(at, keep(new Push(outLimits)), keep(new Pull(inLimits)))],
  ["Pair to Pair", (at) => pairOf(at, keep(new Pair(limits)), keep(new Pair(limits)))],
  ["Dealer to Dealer", (at) => pairOf(at, keep(new Dealer(limits)), keep(new Dealer(limits)))],
  ["Dealer to Router", (at) => pairOf(at, keep(new Dealer(limits)), keep(new Router(limits)))],
  ["Router to Dealer", async (at) => {
    const router = keep(new Router({ ...limits, mandatory: false }));
    const dealer = keep(new Dealer({ ...limits, routingId: "d" }));
    await linked(router, dealer, at);
    return [
      { socket: router, send: () => router.trySend(["d", body]) },
      { socket: dealer, take: () => dealer.tryReceive() },
    ];
  }],
  ["Publisher to Subscriber", (at) => {
    const subscriber = keep(new Subscriber(inLimits));
    subscriber.subscribe();
    return published(at, keep(new Publisher(outLimits)), subscriber);
  }],
  ["XPublisher to XSubscriber", async (at) => {
    const subscriber = keep(new XSubscriber(inLimits));
    const line = await pairOf(at, keep(new XPublisher(limits)), subscriber);
    await subscriber.send("\x01");
    await until("the subscription has come", () => line[0].socket.stats().topics === 1);
    return line;
  }],
  ["Channel to Channel", async (at) => {
    const [sender, taker] = [keep(new draft.Channel(limits)), keep(new draft.Channel(limits))];
    await linked(sender, taker, at);
    return [
      { socket: sender, send: () => sender.trySend(body) },
      { socket: taker, take: () => taker.tryReceive() },
    ];
  }],
  ["Scatter to Gather", async (at) => {
    const [sender, taker] = [keep(new draft.Scatter(outLimits)), keep(new draft.Gather(inLimits))];
    await linked(sender, taker, at);
    return [
      { socket: sender, send: () => sender.trySend(body) },
      { socket: taker, take: () => taker.tryReceive() },
    ];
  }],
  ["Client to Server", async (at) => {
    const [client, server] = [keep(new draft.Client(limits)), keep(new draft.Server(limits))];
    await linked(client, server, at);
    return [
      { socket: client, send: () => client.trySend(body) },
      { socket: server, take: () => server.tryReceive() },
    ];
  }],
  ["Server to Client", async (at) => {
    const [server, client] = [keep(new draft.Server(limits)), keep(new draft.Client(limits))];
    await linked(server, client, at);
    await client.send("hello");
    const [, from] = await server.receive();
    const send = () => {
      try {
        return server.trySend(body, from);
      } catch {
        return false;
      }
    };
    return [{ socket: server, send }, { socket: client, take: () => client.tryReceive() }];
  }],
  ["Radio to Dish", async (at) => {
    const [radio, dish] = [keep(new draft.Radio(outLimits)), keep(new draft.Dish(inLimits))];
    dish.join("g");
    await linked(radio, dish, at);
    await until("the join has come", () => radio.stats().topics === 1);
    return [
      { socket: radio, send: () => radio.trySend(body, { group: "g" }) },
      { socket: dish, take: () => dish.tryReceive() },
    ];
  }],
];

let names = 0;
const endpoints: [string, () => string][] = [
  ["tcp", () => "tcp://127.0.0.1:*"],
  ["ipc", () => "ipc://*"],
  ["inproc", () => `inproc://stats-${(names += 1)}`],
];

describe.each(endpoints)("no message is lost in silence over %s", (_, endpoint) => {
  test.each(lines)("%s: a full peer that leaves and a sender that closes", async (_name, make) => {
    const [sender, taker] = await make(endpoint());
    let accepted = sender.socket.stats().messagesSent;
    const send = (count: number) => {
      for (let i = 0; i < count; i += 1) if (sender.send()) accepted += 1;
    };
    send(600);
    let taken = 0;
    await until("twenty are taken", () => {
      if (taken < 20 && taker.take() !== undefined) taken += 1;
      return taken === 20;
    });
    send(50);
    await taker.socket.close();
    await until("it has gone", () => sender.socket.stats().connections === 0);
    send(50);
    await sender.socket.close();
    const stats = sender.socket.stats();
    expect(stats.messagesSent).toBe(accepted);
    expectOutward(stats);
    expectInward(taker.socket.stats(), taken);
    // Whatever is missing between the two was in buffers of the kernel.
    expect(taker.socket.stats().messagesIn).toBeLessThanOrEqual(stats.messagesOut);
  });

  test("Publisher: each of many receivers counts", async () => {
    const publisher = keep(new Publisher(outLimits));
    publisher.bindSync(endpoint());
    const subscribers = ["a", "a", "b", ""].map((topic) => {
      const subscriber = keep(new Subscriber(inLimits));
      subscriber.subscribe(topic);
      subscriber.connect(publisher.lastEndpoint as string);
      return subscriber;
    });
    const received = () => publisher.stats().subscriptionsReceived;
    await until("all have subscribed", () => received() === 4);
    for (let i = 0; i < 300; i += 1) publisher.trySend(["a", body]);
    for (let i = 0; i < 100; i += 1) publisher.trySend(["b", body]);
    await publisher.close();
    // Three want the ones, two the others.
    expectOutward(publisher.stats(), 300 * 3 + 100 * 2);
    for (const subscriber of subscribers) await subscriber.close();
    for (const subscriber of subscribers) expectInward(subscriber.stats(), 0);
  });

  test("Request and Reply: requests that are given up, replies that come too late", async () => {
    const options = { linger: 0, relaxed: true, correlate: true } as const;
    const request = keep(new Request(options));
    const reply = keep(new Reply({ linger: 0 }));
    await linked(reply, request, endpoint());
    let [answers, replied] = [0, 0];
    for (let i = 0; i < 30; i += 1) {
      await request.send(`question ${i}`);
      const [question] = await reply.receive({ timeout: 5000 });
      await reply.send(question!);
      replied += 1;
      // Every third answer is taken; of the others some have arrived when the next question is sent.
      if (i % 3 === 0) answers += (await request.receive({ timeout: 5000 })).length;
      else if (i % 3 === 1) await until("it is there", () => request.readable);
    }
    await request.send("never answered");
    await reply.receive({ timeout: 5000 });
    await request.close();
    await until("it has gone", () => reply.stats().connections === 0);
    await reply.send("to nobody");
    await reply.close();
    expect(request.stats().droppedStale).toBeGreaterThanOrEqual(10);
    expectInward(request.stats(), answers);
    expectOutward(request.stats());
    expect(reply.stats().droppedNoPeer).toBe(1);
    expect(reply.stats().messagesSent).toBe(replied + 1);
    expectOutward(reply.stats());
    expectInward(reply.stats(), 31);
  });

  test("conflate: those that are replaced, on either side", async () => {
    const push = keep(new Push({ conflate: true, linger: 0 }));
    const pull = keep(new Pull({ conflate: true, linger: 0 }));
    await linked(pull, push, endpoint());
    for (let i = 0; i < 100; i += 1) push.trySend(`${i}`);
    const all = () => pull.stats().messagesIn + push.stats().droppedConflated;
    await until("the last one is there", () => all() === 100);
    for (let i = 0; i < 100; i += 1) {
      await push.send(`${i}`);
      await push.drain();
    }
    await until("all have come", () => pull.stats().messagesIn === push.stats().messagesOut);
    await pull.receive();
    await push.close();
    await pull.close();
    expect(push.stats().droppedConflated).toBeGreaterThan(0);
    expect(pull.stats().droppedConflated).toBeGreaterThan(0);
    expectOutward(push.stats());
    expectInward(pull.stats(), 1);
  });
});

describe("each cause", () => {
  test("droppedFiltered: what was on its way when the topic was cancelled", async () => {
    const [publisher, subscriber] = [keep(new Publisher()), keep(new Subscriber())];
    subscriber.subscribe("a");
    await linked(publisher, subscriber, "tcp://127.0.0.1:*");
    await publisher.subscribed("a");
    for (let i = 0; i < 5; i += 1) await publisher.send("a");
    await until("they have come", () => {
      void subscriber.readable;
      return subscriber.stats().messagesIn === 5;
    });
    subscriber.unsubscribe("a");
    expect(subscriber.tryReceive()).toBeUndefined();
    expect(subscriber.stats().droppedFiltered).toBe(5);
  });

  test("droppedMalformed: requests without their delimiter, whatever a Pull sends", async () => {
    const [dealer, reply] = [keep(new Dealer()), keep(new Reply())];
    await linked(reply, dealer, "tcp://127.0.0.1:*");
    await dealer.send("no delimiter");
    await until("it is dropped", () => {
      void reply.readable;
      return reply.stats().droppedMalformed === 1;
    });
    expectInward(reply.stats(), 0);
  });

  test("droppedRefused: what a second peer of a Pair had sent", async () => {
    const [first, second, pair] = [keep(new Pair()), keep(new Pair()), keep(new Pair())];
    second.connect("inproc://refused");
    for (let i = 0; i < 3; i += 1) await second.send("nobody reads it");
    first.connect("inproc://other");
    pair.bindSync("inproc://other");
    await pair.connected();
    pair.bindSync("inproc://refused");
    await until("it is refused", () => pair.stats().peersRefused > 0);
    expect(pair.stats().droppedRefused).toBe(pair.stats().messagesIn);
    await second.close();
    expect(second.stats().messagesOut + sum(second.stats(), outward)).toBe(3);
  });

  test("droppedClosed: what was received of an endpoint before disconnect, and of a closed one", async () => {
    const [push, pull] = [keep(new Push()), keep(new Pull())];
    await linked(push, pull, "tcp://127.0.0.1:*");
    for (let i = 0; i < 5; i += 1) await push.send("x");
    await until("they have come", () => {
      void pull.readable;
      return pull.stats().messagesIn === 5;
    });
    pull.disconnect(push.lastEndpoint as string);
    expect(pull.stats().droppedClosed).toBe(5);
    expectInward(pull.stats(), 0);
  });

  test("droppedLinger: told after close, when linger has ended", async () => {
    const push = keep(new Push());
    push.connect("tcp://127.0.0.1:1");
    for (let i = 0; i < 7; i += 1) await push.send("never");
    push.linger = 20;
    const closing = push.close();
    expect(push.stats()).toMatchObject({ messagesSent: 7, droppedLinger: 0 });
    expect(await closing).toBe(7);
    expect(push.stats()).toMatchObject({ messagesSent: 7, droppedLinger: 7 });
  });

  test("droppedUnroutable, droppedUnsubscribed: nobody was there", async () => {
    const router = keep(new Router({ mandatory: false }));
    const publisher = keep(new Publisher());
    await router.send(["nobody", "x"]);
    await publisher.send("x");
    expect(router.stats()).toMatchObject({ messagesSent: 1, partsSent: 2, droppedUnroutable: 1 });
    expect(publisher.stats()).toMatchObject({ messagesSent: 1, droppedUnsubscribed: 1 });
  });

  test("droppedUnread: subscriptions that an XPublisher's reader was too slow for", async () => {
    const publisher = keep(new XPublisher({ verbosity: "allSubs" }));
    const subscriber = keep(new XSubscriber());
    await linked(publisher, subscriber, "tcp://127.0.0.1:*");
    const subscription = Buffer.alloc(60_000, 1);
    // 64 MiB wait for the reader at most.
    const count = 1200;
    for (let i = 0; i < count; i += 1) await subscriber.send(subscription);
    await until("all have come", () => publisher.stats().subscriptionsReceived === count);
    const { droppedUnread } = publisher.stats();
    let read = 0;
    while (publisher.tryReceive() !== undefined) read += 1;
    expect(droppedUnread).toBeGreaterThan(0);
    expect(read + droppedUnread).toBe(count);
  });
});

describe("connections", () => {
  test("bytes of both ends are the same, with handshakes and commands", async () => {
    for (const endpoint of ["tcp://127.0.0.1:*", "ipc://*"]) {
      const publisher = keep(new Publisher());
      const subscriber = keep(new Subscriber());
      subscriber.subscribe("a", "b");
      await linked(publisher, subscriber, endpoint);
      await publisher.subscribed("b");
      await publisher.send(["a", Buffer.alloc(300_000)]);
      await publisher.send("b");
      await subscriber.receive();
      await subscriber.receive();
      const [from, to] = [publisher.stats(), subscriber.stats()];
      expect(to).toMatchObject({ bytesIn: from.bytesOut, bytesOut: from.bytesIn });
      expect(from).toMatchObject({ messagesOut: 2, partsSent: 3, commandsIn: 2, topics: 2 });
      expect(to).toMatchObject({ messagesIn: 2, partsIn: 3, commandsOut: 2, messagesOut: 0 });
      const [peer, other] = [publisher.peers()[0]!, subscriber.peers()[0]!];
      expect(other.bytesIn).toBe(peer.bytesOut);
      expect(other.bytesIn).toBeGreaterThan(300_000);
      expect(other.bytesIn).toBeLessThan(from.bytesOut);
    }
  });

  test("bytes of a Stream are those that went through", async () => {
    const [server, client] = [keep(new Stream({ notify: false })), keep(new Stream({ notify: false }))];
    server.bindSync("tcp://127.0.0.1:*");
    client.connect(server.lastEndpoint as string);
    await client.connected();
    const id = client.peers()[0]!.routingId as Buffer;
    await client.send([id, Buffer.alloc(1000)]);
    await until("they have come", () => {
      void server.readable;
      return server.stats().bytesIn === 1000;
    });
    expect(client.stats()).toMatchObject({ bytesOut: 1000, messagesOut: 1 });
  });

  test("made, ended and made again are told apart, and tries from successes", async () => {
    const pull = keep(new Pull());
    const at = bound(pull);
    const push = keep(new Push({ reconnectInterval: 5 }));
    push.connect(at);
    await push.connected();
    await pull.close();
    await until("it tries again", () => push.stats().reconnects >= 3);
    expect(push.stats()).toMatchObject({ connections: 0, connectionsMade: 1, connectionsEnded: 1 });
    expect(push.stats().reconnectsMade).toBe(0);
    const again = keep(new Pull());
    again.bindSync(at);
    await push.connected();
    expect(push.stats()).toMatchObject({ connections: 1, connectionsMade: 2, reconnectsMade: 1 });
  });

  test("failed handshakes have their reasons", async () => {
    const pull = keep(new Pull());
    const at = bound(pull);
    const { hostname, port } = new URL(at);
    const reply = keep(new Reply());
    reply.connect(at);
    const stranger = await Bun.connect({
      hostname,
      port: Number(port),
      socket: { data() {}, open: (socket) => void socket.write("GET / HTTP/1.1\r\n\r\n") },
    });
    await until("both have failed", () => pull.stats().handshakesFailed === 2);
    stranger.end();
    expect(pull.stats().handshakeFailures).toEqual({ not_zmtp: 1, socket_type_mismatch: 1 });
    await until("the other one knows", () => reply.stats().handshakesFailed === 1);
    expect(reply.stats().handshakeFailures).toEqual({ socket_type_mismatch: 1 });
  });

  test("heartbeats are commands", async () => {
    const [pull, push] = [keep(new Pull()), keep(new Push({ heartbeatInterval: 10 }))];
    await linked(pull, push, "tcp://127.0.0.1:*");
    await until("there was an answer", () => push.stats().commandsIn > 0);
    expect(push.stats().commandsOut).toBeGreaterThan(0);
    expect(pull.stats().commandsIn).toBeGreaterThan(0);
  });
});

describe("peers", () => {
  test("tell who they are, since when, what waits for them and what went through", async () => {
    const router = keep(new Router());
    const dealer = keep(new Dealer({ routingId: "me" }));
    await linked(router, dealer, "tcp://127.0.0.1:*");
    await dealer.send("to be taken");
    await dealer.send("waits");
    await router.receive();
    const { remoteAddress, connectedTime, ...peer } = router.peers()[0]!;
    expect(peer).toMatchObject({
      address: router.lastEndpoint!, routingId: Buffer.from("me"), socketType: "Dealer",
      connected: true, messagesIn: 2, messagesOut: 0, sendQueue: 0, sendQueueBytes: 0,
    });
    expect(remoteAddress).toMatch(/^tcp:\/\/127\.0\.0\.1:\d+$/);
    expect(connectedTime).toBeGreaterThanOrEqual(0);
    expect(connectedTime).toBeLessThan(5000);
    expect(dealer.peers()[0]).toMatchObject({ socketType: "Router", remoteAddress: dealer.lastEndpoint! });
  });

  test("of a Server have their number; one that is not there has nothing but a queue", async () => {
    const [server, client] = [keep(new draft.Server()), keep(new draft.Client())];
    await linked(server, client, "tcp://127.0.0.1:*");
    await client.send("x");
    const [, { routingId }] = await server.receive();
    expect(server.peers()[0]!.routingId).toBe(routingId);
    const push = keep(new Push());
    push.connect("tcp://127.0.0.1:1");
    await push.send("waits");
    expect(push.peers()[0]).toMatchObject({
      connected: false, connectedTime: undefined, socketType: undefined, routingId: undefined,
      sendQueue: 1, sendQueueBytes: 7, messagesOut: 0,
    });
  });
});

describe("the end", () => {
  test("counters stay after close; what lingers goes on counting", async () => {
    const pull = keep(new Pull({ receiveHighWaterMark: 1 }));
    const push = keep(new Push({ sendHighWaterMark: 10_000 }));
    await linked(pull, push, "tcp://127.0.0.1:*");
    let sent = 0;
    while (push.peers()[0]!.sendQueue < 100 && push.trySend(body)) sent += 1;
    push.linger = 10_000;
    const closing = push.close();
    const { messagesOut } = push.stats();
    expect(messagesOut).toBeLessThan(sent);
    for (let i = 0; i < sent; i += 1) await pull.receive();
    expect(await closing).toBe(0);
    expect(push.stats()).toMatchObject({ messagesSent: sent, messagesOut: sent });
    expect(push.stats().connectionsEnded).toBe(1);
    expect(pull.stats().messagesReceived).toBe(sent);
  });

  test("closed sockets leave nothing behind", async () => {
    const before = context.stats();
    for (let i = 0; i < 50; i += 1) {
      const [pull, push] = [new Pull({ linger: 0 }), new Push({ linger: 0 })];
      await linked(pull, push, "inproc://nothing");
      await Promise.all([push.close(), pull.close()]);
    }
    const after = context.stats();
    expect(after.sockets).toBe(before.sockets);
    expect(after.thread.sockets).toBe(before.thread.sockets);
    expect(after.thread.memoryLiveBytes).toBe(before.thread.memoryLiveBytes);
  });

  test("a proxy's sockets go on counting, and keep their last numbers", async () => {
    const front = keep(new Pull());
    const back = keep(new Push());
    const capture = keep(new Push());
    const [push, pull, copies] = [keep(new Push()), keep(new Pull()), keep(new Pull())];
    await linked(front, push, "tcp://127.0.0.1:*");
    await linked(back, pull, "tcp://127.0.0.1:*");
    await linked(capture, copies, "tcp://127.0.0.1:*");
    await push.send("before");
    await front.receive();
    const proxy = new Proxy(front, back, capture);
    const running = proxy.run();
    for (let i = 0; i < 100; i += 1) await push.send(["proxied", `${i}`]);
    for (let i = 0; i < 100; i += 1) await Promise.all([pull.receive(), copies.receive()]);
    expect(front.stats()).toMatchObject({ messagesReceived: 101, messagesIn: 101, connections: 1 });
    await until("all are counted", () => back.stats().messagesOut === 100);
    expect(back.stats()).toMatchObject({ messagesSent: 100, partsSent: 200, connectionsMade: 1 });
    expect(capture.stats().messagesSent).toBe(100);
    expect(front.stats().bytesIn).toBe(push.stats().bytesOut);
    proxy.terminate();
    await running;
    expect(front.stats()).toMatchObject({ messagesReceived: 101, connections: 0, connectionsEnded: 1 });
    expect(back.stats()).toMatchObject({ messagesSent: 100, messagesOut: 100 });
  });
});

describe("a context", () => {
  test("has its own sockets and its thread's numbers", async () => {
    const own = new Context();
    const before = own.stats().thread;
    const pull = keep(new Pull({ context: own }));
    const push = keep(new Push());
    await linked(pull, push, "tcp://127.0.0.1:*");
    await push.send("x");
    await pull.receive();
    const { sockets, thread } = own.stats();
    expect(sockets).toBe(1);
    expect(thread).toEqual({ ...context.stats().thread, systemCalls: expect.any(Number) });
    expect(thread.sockets - before.sockets).toBe(2);
    expect(thread.connections - before.connections).toBe(2);
    expect(thread.listeners - before.listeners).toBe(1);
    expect(thread.receiveCalls).toBeGreaterThan(before.receiveCalls);
    expect(thread.sendCalls).toBeGreaterThan(before.sendCalls);
    expect(thread.systemCalls).toBeGreaterThan(thread.receiveCalls + thread.sendCalls - 1);
    expect(thread.turns).toBeGreaterThan(before.turns);
    expect(thread.memoryLiveBytes).toBeGreaterThan(before.memoryLiveBytes);
    expect(thread.memoryMappedBytes).toBeLessThanOrEqual(thread.memoryLimitBytes);
    expect(thread.arenaBytes).toBeGreaterThanOrEqual(thread.arenaUsedBytes);
    expect(thread.backend).toEqual(context.backend);
  });

  test("tells of buffers that are lent for large parts", async () => {
    const [pull, push] = [keep(new Pull()), keep(new Push())];
    await linked(pull, push, "tcp://127.0.0.1:*");
    const before = context.stats().thread.lentBuffers;
    await push.send(Buffer.alloc(1_000_000));
    await until("it has come", () => pull.readable);
    expect(context.stats().thread.lentBuffers).toBe(before + 1);
    await pull.receive();
    expect(context.stats().thread.lentBuffers).toBe(before);
  });
});
