// Who sent a message: `peerOf`, and the user ids of events and peers().

import { describe, expect, test } from "bun:test";
import {
  type AuthenticationRequest,
  Dealer,
  Publisher,
  Pull,
  type PullOptions,
  Push,
  Reply,
  Request,
  Router,
  Subscriber,
  XPublisher,
} from "../../src/index.ts";
import { Client, Dish, Radio, Server } from "../../src/draft.ts";
import { coreOf } from "../../src/socket.ts";
import { client, curveClient, curveServer, record, type Recorded } from "../support/security.ts";
import { bound, keeper, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };

/** Lets everybody in under the name that it gives itself. */
const byName = {
  plainServer: true,
  authenticate: ({ credentials }: AuthenticationRequest) => ({ userId: credentials.username! }),
} as const;
const as = (plainUsername: string) => ({ plainUsername, linger: 0 });

/** A Pull, and Pushes called a, b, c that have each sent their name ten times. */
async function crowd(options: PullOptions = {}): Promise<{ pull: Pull; names: string[] }> {
  const pull = keep(new Pull({ ...byName, ...options }));
  const endpoint = bound(pull);
  const names = ["a", "b", "c"];
  for (const name of names) {
    const push = keep(new Push(as(name)));
    push.connect(endpoint);
    await push.sendMany(Array<string>(10).fill(name));
  }
  return { pull, names };
}

const told = (pull: Pull, message: Buffer[]): boolean => pull.peerOf(message)?.userId === `${message[0]}`;

describe("peerOf tells who sent a message", () => {
  const ways: [string, (pull: Pull) => Promise<Buffer[][]>][] = [
    ["receive", async (pull) => [await pull.receive(limits)]],
    ["receiveMany", (pull) => pull.receiveMany(limits)],
    ["receiveMany, borrowed", (pull) => pull.receiveMany({ ...limits, borrow: true })],
    ["receiveSync", async (pull) => [pull.receiveSync(limits)]],
    ["receiveManySync", async (pull) => pull.receiveManySync({ ...limits, borrow: true })],
    ["tryReceive", async (pull) => {
      await until("one is there", () => pull.readable);
      return [pull.tryReceive()!];
    }],
    ["for await", async (pull) => {
      for await (const message of pull) return [message];
      return [];
    }],
    ["batches", async (pull) => {
      for await (const batch of pull.batches({ borrow: true })) {
        for (const message of batch) expect(told(pull, message)).toBe(true);
        return batch.map((message) => message.map((part) => Buffer.from(part)));
      }
      return [];
    }],
  ];

  test.each(ways)("that was taken with %s", async (way, take) => {
    const { pull } = await crowd();
    // Blocking calls let no peer in: that is JavaScript's part.
    await until("all are there", () => pull.stats().messagesIn === 30);
    let count = 0;
    while (count < 30) {
      const batch = await take(pull);
      count += batch.length;
      if (way !== "batches") for (const message of batch) expect(told(pull, message)).toBe(true);
    }
  });

  test("also where the array of a borrowed message is used again for another sender", async () => {
    const pull = keep(new Pull(byName));
    const endpoint = bound(pull);
    const pushes = ["a", "b"].map((name) => keep(new Push(as(name))));
    for (const push of pushes) push.connect(endpoint);
    const arrays = new Set<object>();
    for (let i = 0; i < 20; i += 1) {
      await pushes[i % 2]!.send("ab"[i % 2]!);
      const [message] = await pull.receiveMany({ ...limits, max: 1, borrow: true });
      expect(told(pull, message!)).toBe(true);
      arrays.add(message!);
    }
    expect(arrays.size).toBeLessThan(20);
  });

  test("of one part, of many parts, and of large ones", async () => {
    const pull = keep(new Pull(byName));
    const push = keep(new Push(as("joe")));
    push.connect(bound(pull));
    const messages = [["one"], Array<string>(700).fill("many"), [Buffer.alloc(300_000), "large"]];
    for (const message of messages) {
      await push.send(message);
      const received = await pull.receive(limits);
      expect(received.length).toBe(message.length);
      expect(pull.peerOf(received)?.userId).toBe("joe");
    }
  });

  test("on sockets of each kind that receives", async () => {
    const router = keep(new Router(byName));
    const dealer = keep(new Dealer(as("dealer")));
    dealer.connect(bound(router));
    await dealer.send("x");
    const message = await router.receive(limits);
    expect(router.peerOf(message)?.userId).toBe("dealer");

    const reply = keep(new Reply(byName));
    const request = keep(new Request(as("request")));
    request.connect(bound(reply));
    await request.send("x");
    expect(reply.peerOf(await reply.receive(limits))?.userId).toBe("request");

    const xpublisher = keep(new XPublisher(byName));
    const subscriber = keep(new Subscriber(as("subscriber")));
    subscriber.subscribe("topic");
    subscriber.connect(bound(xpublisher));
    expect(xpublisher.peerOf(await xpublisher.receive(limits))?.userId).toBe("subscriber");

    const sub = keep(new Subscriber(byName));
    sub.subscribe();
    const publisher = keep(new Publisher(as("publisher")));
    publisher.connect(bound(sub));
    await publisher.subscribed("", limits);
    await publisher.send("x");
    expect(sub.peerOf(await sub.receive(limits))?.userId).toBe("publisher");
  });

  test("where a message has a label", async () => {
    const numbered = keep(new Server(byName));
    const asker = keep(new Client(as("client")));
    asker.connect(bound(numbered));
    await asker.send("x");
    const question = await numbered.receive(limits);
    expect(question[0].toString()).toBe("x");
    expect(numbered.peerOf(question)?.userId).toBe("client");

    const dish = keep(new Dish(byName));
    dish.join("group");
    const radio = keep(new Radio(as("radio")));
    radio.connect(bound(dish));
    await until("it has joined", () => radio.stats().subscriptionsReceived > 0);
    await radio.send("y", { group: "group" });
    const heard = await dish.receive(limits);
    expect(dish.peerOf(heard)?.userId).toBe("radio");
  });

  test("with all that is known of it, which nobody can change", async () => {
    const metadata = { role: "admin" };
    const pull = keep(new Pull({ ...curveServer, authenticate: () => ({ userId: "joe", metadata }) }));
    const push = keep(new Push({ ...curveClient, linger: 0 }));
    push.connect(bound(pull));
    await push.send("x");
    const message = await pull.receive(limits);
    metadata.role = "changed";
    const peer = pull.peerOf(message)!;
    expect(peer).toEqual({
      userId: "joe",
      metadata: { role: "admin" },
      mechanism: "CURVE",
      address: "127.0.0.1",
      publicKey: client.publicKey,
      connection: pull.peers()[0]!.connection,
    });
    expect(Object.isFrozen(peer) && Object.isFrozen(peer.metadata)).toBe(true);
  });

  test("after its connection has ended, also to the last of them", async () => {
    const pull = keep(new Pull({ ...byName, receiveHighWaterMark: 5 }));
    const events = record(pull);
    const push = keep(new Push({ plainUsername: "joe" }));
    push.connect(bound(pull));
    await push.sendMany(Array.from({ length: 20 }, (_, index) => `${index}`));
    await push.drain();
    Object.assign(push, { linger: 5000 });
    push.close();
    for (let i = 0; i < 20; i += 1) {
      const message = await pull.receive(limits);
      expect(message[0]!.toString()).toBe(`${i}`);
      expect(pull.peerOf(message)?.userId).toBe("joe");
    }
    await until("its end", () => events.of("disconnect").length > 0);
    expect(events.of("disconnect")).toMatchObject([{ userId: "joe" }]);
  });

  test("and nothing of what was not received from somebody who was asked about", async () => {
    const { pull } = await crowd();
    const message = await pull.receive(limits);
    expect(pull.peerOf([...message])).toBeUndefined();
    expect(pull.peerOf([Buffer.from("made up")])).toBeUndefined();
    const open = keep(new Pull());
    const push = keep(new Push({ linger: 0 }));
    push.connect(bound(open));
    await push.send("x");
    expect(open.peerOf(await open.receive(limits))).toBeUndefined();
    expect(open.peers()).toMatchObject([{ userId: undefined }]);
  });
});

describe("a socket that connects", () => {
  test("never takes one peer's messages for another's that has its place now", async () => {
    // Each peer of the endpoint is another one; the connection on our side is the same.
    const verdicts = ["first", "second"];
    const pull = keep(new Pull({ authenticate: () => ({ userId: verdicts[0]! }), reconnectInterval: 5 }));
    const events = record(pull);
    const first = keep(new Push());
    const endpoint = bound(first);
    pull.connect(endpoint);
    await first.send("of the first");
    await first.drain();
    await until("it is there", () => pull.stats().messagesIn === 1);
    await first.close();

    verdicts.shift();
    const second = keep(new Push({ linger: 0 }));
    await second.bind(endpoint);
    void second.send("of the second").catch(() => {});
    await until("it waits", () => events.of("handshake:error:auth").length > 0);
    expect(events.of("handshake:error:auth")[0]).toMatchObject({ reason: "authentication_retry" });
    const earlier = await pull.receive(limits);
    expect(earlier[0]!.toString()).toBe("of the first");
    expect(pull.peerOf(earlier)?.userId).toBe("first");
    const later = await pull.receive(limits);
    expect(later[0]!.toString()).toBe("of the second");
    expect(pull.peerOf(later)?.userId).toBe("second");
  });

  /** A Pull that asks about the Push that it connects to, and has one message of it. */
  async function connected(): Promise<{ pull: Pull; events: Recorded; endpoint: string; first: Push }> {
    const pull = keep(new Pull({ authenticate: () => ({ userId: "first" }), reconnectInterval: 5 }));
    const events = record(pull);
    const first = keep(new Push());
    const endpoint = bound(first);
    pull.connect(endpoint);
    await first.send("of the first");
    const message = await pull.receive(limits);
    expect(pull.peerOf(message)?.userId).toBe("first");
    expect(pull.peers()).toMatchObject([{ userId: "first" }]);
    return { pull, events, endpoint, first };
  }

  /** Somebody else at the same endpoint. */
  async function successor(endpoint: string): Promise<Push> {
    const second = keep(new Push());
    await second.bind(endpoint);
    return second;
  }

  test.each<[string, (pull: Pull) => void]>([
    ["nobody is asked about", (pull) => { pull.authenticate = null; }],
    ["is known by its key", (pull) => {
      Object.assign(pull, { ...curveClient, authenticate: null });
    }],
  ])("takes nobody for the peer before once %s", async (_, change) => {
    const { pull, events, endpoint, first } = await connected();
    change(pull);
    await first.close();
    await until("its end", () => events.of("disconnect").length > 0);
    const second = keep(new Push(pull.securityMechanism === "curve" ? curveServer : {}));
    await second.bind(endpoint);
    await second.send("of the second");
    const message = await pull.receive(limits);
    expect(message[0]!.toString()).toBe("of the second");
    expect(pull.peerOf(message)).toBeUndefined();
    expect(pull.peers()).toMatchObject([{ userId: undefined }]);
    await until("its event", () => events.of("handshake").length === 2);
    expect(events.of("handshake")[1]!.userId).toBeUndefined();
  });

  test("does not learn from a verdict that comes when nobody is asked any more", async () => {
    let allow: ((verdict: { userId: string }) => void) | undefined;
    const authenticate = () => new Promise<{ userId: string }>((resolve) => (allow = resolve));
    const pull = keep(new Pull({ authenticate, reconnectInterval: 5 }));
    const first = keep(new Push());
    const endpoint = bound(first);
    pull.connect(endpoint);
    await until("it is asked", () => allow !== undefined);
    pull.authenticate = null;
    allow!({ userId: "first" });
    await pull.connected(undefined, limits);
    await first.close();
    const second = await successor(endpoint);
    await second.send("of the second");
    const message = await pull.receive(limits);
    expect(pull.peerOf(message)).toBeUndefined();
  });

  test("asks again when it is told to, but what was not asked about and waits is nobody's", async () => {
    const { pull, events, endpoint, first } = await connected();
    pull.authenticate = null;
    await first.send("of whoever it was");
    await until("it is there", () => pull.stats().messagesIn === 2);
    pull.authenticate = () => ({ userId: "second" });
    await first.close();
    const second = await successor(endpoint);
    const sending = second.send("of the second").catch(() => {});
    await until("it waits", () => events.of("handshake:error:auth").length > 0);
    const waiting = await pull.receive(limits);
    expect(waiting[0]!.toString()).toBe("of whoever it was");
    expect(pull.peerOf(waiting)).toBeUndefined();
    const message = await pull.receive(limits);
    expect(pull.peerOf(message)?.userId).toBe("second");
    await sending;
  });
});

describe("a socket that is connected to", () => {
  test("still knows who came in when it asks nobody any more: those connections are theirs alone", async () => {
    const pull = keep(new Pull({ authenticate: () => ({ userId: "asked" }) }));
    const endpoint = bound(pull);
    const push = keep(new Push());
    push.connect(endpoint);
    await pull.connected(undefined, limits);
    pull.authenticate = null;
    const other = keep(new Push());
    other.connect(endpoint);
    for (const [socket, userId] of [[push, "asked"], [other, undefined]] as const) {
      await socket.send("x");
      const message = await pull.receive(limits);
      expect(pull.peerOf(message)?.userId).toBe(userId);
    }
  });
});

describe("what is known of peers", () => {
  test("does not grow with those that have gone, but is kept for a message that waits", async () => {
    const pull = keep(new Pull(byName));
    const endpoint = bound(pull);
    const push = async (name: string) => {
      const socket = new Push({ ...as(name), linger: 5000 });
      socket.connect(endpoint);
      await socket.send(name);
      await socket.close();
    };
    await push("early");
    await until("it is there", () => pull.stats().messagesIn === 1);
    for (let i = 0; i < 60; i += 1) {
      await Promise.all(Array.from({ length: 10 }, (_, index) => push(`peer ${i} ${index}`)));
    }
    await until("all are there", () => pull.stats().messagesIn === 601);
    const early = await pull.receive(limits);
    expect(pull.peerOf(early)?.userId).toBe("early");
    for (let i = 0; i < 600; i += 1) {
      const message = await pull.receive(limits);
      expect(told(pull, message)).toBe(true);
    }
    // Now that they are read they can go, as soon as somebody else comes.
    const known = pull[coreOf].authentication!.peers;
    for (let i = 0; i < 30; i += 1) {
      await Promise.all(Array.from({ length: 20 }, (_, index) => push(`again ${i} ${index}`)));
      for (let got = 0; got < 20; got += 1) await pull.receive(limits);
    }
    // Of 1201 in all.
    expect(known.size).toBeLessThan(600);
    expect(known.size).toBeGreaterThan(0);
  });
});
