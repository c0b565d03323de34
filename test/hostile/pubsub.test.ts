// Subscribers and publishers that keep to no rule: what they must not get out of a socket, and that
// the others get their messages meanwhile.

import { afterEach, describe, expect, test } from "bun:test";
import { nativeContext } from "../../src/context.ts";
import { Publisher, type PublisherOptions, Subscriber, XPublisher } from "../../src/index.ts";
import { eventually } from "../interop/peer.ts";
import {
  bytes, command, endpointFor, frame, LARGE, MORE, nothingIsLeft, randomBytes, rawServer, RawPeer,
  ready, greeting, record,
} from "./wire.ts";

nothingIsLeft();

const limits = { timeout: 5000 };
const stages: Stage[] = [];

afterEach(() => {
  for (const stage of stages.splice(0)) stage.close();
});

/** A Publisher with a good Subscriber that must not notice anything. */
class Stage {
  readonly publisher: Publisher;
  readonly good = new Subscriber({ linger: 0 });
  readonly events: ReturnType<typeof record>;
  endpoint = "";
  #number = 0;

  private constructor(options: PublisherOptions) {
    this.publisher = new Publisher({ linger: 0, ...options });
    this.events = record(this.publisher);
    stages.push(this);
  }

  static async set(options: PublisherOptions = {}): Promise<Stage> {
    const stage = new Stage(options);
    await stage.publisher.bind(endpointFor("tcp"));
    stage.endpoint = stage.publisher.lastEndpoint as string;
    stage.good.connect(stage.endpoint);
    stage.good.subscribe("good");
    await stage.publisher.subscribed("good", limits);
    return stage;
  }

  peer(type = "SUB"): Promise<RawPeer> {
    return RawPeer.greeted(this.endpoint, type);
  }

  async proof(): Promise<void> {
    for (let i = 0; i < 20; i += 1) {
      const text = `good ${this.#number++}`;
      await this.publisher.send(text);
      expect((await this.good.receive(limits))[0]!.toString()).toBe(text);
    }
  }

  async refused(peer: RawPeer, reason: string): Promise<void> {
    await peer.end();
    const told = () => this.events.find(
      (event) => event.type === "disconnect" && (event.peer?.endsWith(`:${peer.port}`) ?? false),
    );
    await eventually(() => told() !== undefined, "the disconnect event", 3000);
    expect(told()!.reason as string).toBe(reason);
  }

  close(): void {
    this.publisher.close();
    this.good.close();
  }
}

function live(): number {
  return nativeContext().stats().memory_live_bytes;
}

describe("a subscriber", () => {
  test("that sends data is not listened to, and its subscriptions between count", async () => {
    const stage = await Stage.set();
    const peer = await stage.peer();
    const garbage = frame(randomBytes(1, 1000).fill(2, 0, 1));
    for (let i = 0; i < 1000; i += 1) peer.write(garbage, frame("more", MORE), frame("data"));
    peer.write(frame("\x01topic"));
    await stage.publisher.subscribed("topic", limits);
    expect(stage.publisher.stats().droppedMalformed).toBe(2000);
    await stage.publisher.send("topic");
    await eventually(() => peer.rest().equals(frame("topic")), "the message");
    await stage.proof();
  });

  test("that sends 100,000 parts of one message is cut off at the limit of parts", async () => {
    const stage = await Stage.set();
    const before = live();
    const peer = await stage.peer();
    const half = frame("\x02half", MORE);
    peer.write(Buffer.concat(Array.from({ length: 100_000 }, () => half)));
    await stage.refused(peer, "message_too_many_parts");
    await stage.proof();
    expect(live()).toBeLessThanOrEqual(before + 100_000);
  });

  test("that comes a thousand times with half a message leaves nothing behind", async () => {
    const stage = await Stage.set();
    for (let i = 0; i < 20; i += 1) {
      const peers = await Promise.all(Array.from({ length: 50 }, () => stage.peer()));
      for (const peer of peers) {
        peer.write(frame("\x01topic"), frame("\x01half", MORE));
        if (i % 2 === 0) peer.destroy();
        else peer.reset();
      }
    }
    await eventually(() => stage.publisher.stats().connections === 1, "the end of them", 5000);
    expect(stage.publisher.topicsCount).toBe(1);
    await stage.proof();
  });

  test("that wants a million topics is cut off, counted, and its memory comes back", async () => {
    const stage = await Stage.set();
    const before = live();
    const peer = await stage.peer();
    let subscriptions: Buffer[] = [];
    for (let i = 0; i < 1_000_000; i += 1) {
      subscriptions.push(i % 2 ? command("SUBSCRIBE", `flood ${i}`) : frame(`\x01flood ${i}`));
      if (subscriptions.length < 10_000) continue;
      peer.write(...subscriptions);
      subscriptions = [];
    }
    await stage.refused(peer, "too_many_subscriptions");
    expect(stage.publisher.stats().subscriptionsRefused).toBeGreaterThan(0);
    await eventually(() => stage.publisher.topicsCount === 1, "its topics have gone");
    await stage.proof();
    expect(live()).toBeLessThanOrEqual(before + 100_000);
  }, 20_000);

  test("that wants long topics is cut off by their bytes", async () => {
    const stage = await Stage.set({ subscriptionBytesMax: 3 * 1024 * 1024 });
    const peer = await stage.peer();
    const topic = (i: number) => bytes(String(i), Buffer.alloc(1024 * 1024 - 1));
    peer.write(command("SUBSCRIBE", topic(0)));
    peer.write(frame(bytes(1, topic(1))), frame(bytes(1, topic(2))));
    await eventually(() => stage.publisher.topicsCount === 4, "three of 1 MiB");
    await stage.publisher.send(topic(1));
    await eventually(() => peer.rest().length > 1024 * 1024, "the message");
    await stage.proof();
    peer.write(command("SUBSCRIBE", topic(3)));
    await stage.refused(peer, "too_many_subscriptions");
    await stage.proof();
  });

  test("that wants a topic of more than 1 MiB is cut off before it has sent it", async () => {
    const stage = await Stage.set();
    const peer = await stage.peer();
    peer.write(frame(bytes(9, "SUBSCRIBE", "x"), 4 | LARGE, 2n * 1024n * 1024n));
    await stage.refused(peer, "malformed_command");
    await stage.proof();
  });

  test("that cancels what it has not, in every form, takes nothing from others", async () => {
    const stage = await Stage.set();
    const peer = await stage.peer();
    for (const first of ["good", "", "g", "goodness"]) {
      peer.write(frame(`\x00${first}`), command("CANCEL", first), frame(`\x00${first}`));
    }
    peer.write(frame("\x01end"));
    await stage.publisher.subscribed("end", limits);
    await stage.proof();
  });

  test("that never reads costs a bounded amount of memory", async () => {
    const stage = await Stage.set();
    const before = live();
    const peer = await stage.peer();
    peer.write(frame("\x01"));
    await stage.publisher.subscribed("", limits);
    peer.socket.pause();
    const payload = Buffer.alloc(1000);
    for (let i = 0; i < 50_000; i += 1) await stage.publisher.send(["flood", payload]);
    expect(stage.publisher.stats().droppedHighWaterMark).toBeGreaterThan(10_000);
    // Its 1000 messages, in the blocks that they were published in.
    expect(live() - before).toBeLessThan(3_000_000);
    await stage.proof();
  });
});

test("peers that say much in between take nothing from a reader of subscriptions", async () => {
  using publisher = new XPublisher({ linger: 0, verbosity: "allSubsUnsubs" });
  await publisher.bind(endpointFor("tcp"));
  const peers = await Promise.all(
    Array.from({ length: 20 }, () => RawPeer.greeted(publisher.lastEndpoint as string, "XSUB")),
  );
  for (const [i, peer] of peers.entries()) {
    for (let n = 0; n < 500; n += 1) {
      peer.write(frame(`\x01${i}`), frame(`\x05user ${i}`, MORE), frame(`\x00${i}`));
      peer.write(frame(`\x00${i}`));
    }
  }
  const seen = new Map<string, number>();
  for (let left = 20 * 500 * 3; left > 0; left -= 1) {
    const parts = (await publisher.receive(limits)).map((part) => JSON.stringify(part.toString()));
    seen.set(parts.join(), (seen.get(parts.join()) ?? 0) + 1);
  }
  for (let i = 0; i < 20; i += 1) {
    for (const text of [[`\x01${i}`], [`\x00${i}`], [`\x05user ${i}`, `\x00${i}`]]) {
      expect(seen.get(text.map((part) => JSON.stringify(part)).join())).toBe(500);
    }
  }
  expect(publisher.topicsCount).toBe(0);
});

test("what a publisher sends unasked is filtered, halves of messages are nobody's", async () => {
  using subscriber = new Subscriber({ linger: 0, reconnectInterval: 5 });
  subscriber.subscribe("good");
  let connections = 0;
  const endpoint = await rawServer(async (peer) => {
    connections += 1;
    peer.write(greeting(), ready("PUB"));
    await peer.handshaken();
    peer.write(frame("bad"), frame("good one"), frame("bad", MORE), frame("good"));
    peer.write(frame("good", MORE));
    if (connections > 3) return peer.write(frame("end"));
    peer.socket.end();
  });
  subscriber.connect(endpoint);
  for (let i = 0; i < 4; i += 1) {
    expect((await subscriber.receive(limits)).join()).toBe("good one");
  }
  expect((await subscriber.receive(limits)).join()).toBe("good,end");
  expect(subscriber.stats().droppedFiltered).toBe(8);
});
