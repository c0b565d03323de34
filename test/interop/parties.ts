// Publishers and subscribers, ours and libzmq's, behind one face: what a test says about topics it
// says once, for each pair of them.

import { Publisher, type Socket, Subscriber, XPublisher, XSubscriber } from "../../src/index.ts";
import { eventually, fresh, type Side, type Transport } from "./peer.ts";
import type { Remote, RemoteSocket } from "./remote.ts";

type Bytes = string | Uint8Array;

/** What either kind of socket can do about its endpoints. */
interface End {
  bind(endpoint: string): Promise<string>;
  connect(endpoint: string): Promise<void>;
  close(): Promise<void>;
}

export interface Speaker {
  end: End;
  send(...parts: Bytes[]): Promise<void>;
  /** Waits until the subscriptions of this listener have arrived, this one the last. */
  learns(topic: string, listener: Listener): Promise<void>;
  /** An XPUB: what it has read, as "+topic" and "-topic". */
  read: string[];
}

/** How one kind of subscriber does it. */
interface Means {
  end: End;
  subscribe: (...topics: string[]) => Promise<void>;
  unsubscribe: (...topics: string[]) => Promise<void>;
  tryReceive: (ms: number) => Promise<Buffer[] | undefined>;
}

export class Listener {
  readonly end: End;
  readonly tryReceive: Means["tryReceive"];
  /** Of the last meeting. */
  marker: string | undefined;
  readonly #means: Means;
  readonly #topics = new Map<string, number>();

  constructor(means: Means) {
    this.end = means.end;
    this.tryReceive = means.tryReceive;
    this.#means = means;
  }

  /** How many different topics it is subscribed to. */
  get topicsCount(): number {
    return this.#topics.size;
  }

  async subscribe(...topics: string[]): Promise<void> {
    for (const topic of topics) this.#topics.set(topic, (this.#topics.get(topic) ?? 0) + 1);
    await this.#means.subscribe(...topics);
  }

  async unsubscribe(...topics: string[]): Promise<void> {
    for (const topic of topics) {
      const count = this.#topics.get(topic) ?? 0;
      if (count > 1) this.#topics.set(topic, count - 1);
      else this.#topics.delete(topic);
    }
    await this.#means.unsubscribe(...topics);
  }
}

export const speakers = ["PUB", "XPUB"] as const;
export const listeners = ["SUB", "XSUB"] as const;
export type SpeakerType = (typeof speakers)[number];
export type ListenerType = (typeof listeners)[number];

const PATIENCE_MS = 10_000;

function endOf(socket: Socket): End {
  return {
    bind: async (endpoint) => {
      await socket.bind(endpoint);
      return socket.lastEndpoint!;
    },
    connect: async (endpoint) => socket.connect(endpoint),
    close: async () => void socket.close(),
  };
}

async function within(receiving: Promise<Buffer[]>): Promise<Buffer[] | undefined> {
  return receiving.catch((error) => {
    if (error.code === "EAGAIN") return undefined;
    throw error;
  });
}

/** "+topic" or "-topic". */
export function subscriptionOf(message: readonly Buffer[]): string {
  const [part] = message;
  if (message.length !== 1 || part === undefined || part.length === 0) return `?${String(message)}`;
  return `${["-", "+"][part[0]!] ?? "?"}${part.subarray(1)}`;
}

export function ourSpeaker(type: SpeakerType): Speaker {
  const read: string[] = [];
  if (type === "PUB") {
    const socket = new Publisher({ sendHighWaterMark: 0, linger: 0 });
    return {
      end: endOf(socket),
      send: (...parts) => socket.send(parts),
      learns: async (topic, listener) => {
        // The count tells of what was cancelled, and a topic is reached by any prefix of it.
        const complete = () => socket.topicsCount === listener.topicsCount;
        await eventually(complete, "the number of topics");
        await socket.subscribed(topic, { timeout: PATIENCE_MS });
      },
      read,
    };
  }
  const socket = new XPublisher({ sendHighWaterMark: 0, receiveHighWaterMark: 0, linger: 0 });
  return {
    end: endOf(socket),
    send: (...parts) => socket.send(parts),
    learns: (topic) => readUntil(topic, read, () => socket.receive({ timeout: PATIENCE_MS })),
    read,
  };
}

export async function theirSpeaker(remote: Remote, type: SpeakerType): Promise<Speaker> {
  const socket = await remote.socket(type, { SNDHWM: 0, RCVHWM: 0 });
  const read: string[] = [];
  const send = (...parts: Bytes[]) => socket.send(...parts);
  if (type === "XPUB") {
    const learns = (topic: string) => readUntil(topic, read, () => socket.receive());
    return { end: socket, send, learns, read };
  }
  return { end: socket, send, learns: (topic, listener) => call(send, topic, listener), read };
}

async function readUntil(topic: string, read: string[], receive: () => Promise<Buffer[]>) {
  for (;;) {
    const subscription = subscriptionOf(await receive());
    read.push(subscription);
    if (subscription === `+${topic}`) return;
  }
}

/** A plain PUB does not know its subscribers: it calls until one is heard to answer. */
async function call(send: Speaker["send"], topic: string, listener: Listener): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    await send(topic, "?");
    const [first] = (await listener.tryReceive(5)) ?? [];
    if (first?.equals(Buffer.from(topic))) return;
  }
  throw new Error(`nobody hears ${topic}`);
}

export function ourListener(type: ListenerType): Listener {
  if (type === "SUB") {
    const socket = new Subscriber({ receiveHighWaterMark: 0, reconnectInterval: 20 });
    return new Listener({
      end: endOf(socket),
      subscribe: async (...topics) => socket.subscribe(...topics),
      unsubscribe: async (...topics) => socket.unsubscribe(...topics),
      tryReceive: (ms) => within(socket.receive({ timeout: ms })),
    });
  }
  const socket = new XSubscriber({
    // No matter for subscriptions.
    sendHighWaterMark: 10,
    receiveHighWaterMark: 0,
    reconnectInterval: 20,
    linger: 0,
  });
  return new Listener({
    end: endOf(socket),
    subscribe: async (...topics) => {
      for (const topic of topics) await socket.send(`\x01${topic}`);
    },
    unsubscribe: async (...topics) => {
      for (const topic of topics) await socket.send(`\x00${topic}`);
    },
    tryReceive: (ms) => within(socket.receive({ timeout: ms })),
  });
}

export async function theirListener(remote: Remote, type: ListenerType): Promise<Listener> {
  // With the default libzmq forgets all topics but 1,000 when it subscribes again.
  const socket: RemoteSocket = await remote.socket(type, { SNDHWM: 0, RCVHWM: 0 });
  return new Listener({
    end: socket,
    subscribe: (...topics) => socket.subscribe(...topics),
    unsubscribe: (...topics) => socket.unsubscribe(...topics),
    tryReceive: (ms) => socket.tryReceive(ms),
  });
}

/** Connects them; `side` is what the speaker does. Returns where. */
export async function join(
  speaker: Speaker,
  listener: Listener,
  transport: Transport,
  side: Side = "bind",
): Promise<string> {
  const [binding, connecting] = side === "bind" ? [speaker, listener] : [listener, speaker];
  const endpoint = await binding.end.bind(fresh(transport));
  await connecting.end.connect(endpoint);
  return endpoint;
}

let meetings = 0;

/**
 * When it returns, everything the listener has subscribed to and unsubscribed from is known to the
 * speaker. Returns a topic that the listener hears.
 */
export async function meet(speaker: Speaker, listener: Listener): Promise<string> {
  meetings += 1;
  const topic = `~${meetings};`;
  const { marker } = listener;
  listener.marker = topic;
  await listener.subscribe(topic);
  // Not more than one at a time: the count of topics then differs before and after a change.
  if (marker !== undefined) await listener.unsubscribe(marker);
  await speaker.learns(topic, listener);
  return topic;
}

/** Says something under each topic and returns the topics that are heard, after a meeting. */
export async function say(
  speaker: Speaker,
  listener: Listener,
  topics: readonly string[],
): Promise<string[]> {
  const end = await meet(speaker, listener);
  for (const topic of topics) await speaker.send(topic, `about ${topic.slice(0, 20)}`, "");
  await speaker.send(end, "end");
  const heard: string[] = [];
  for (;;) {
    const message = await listener.tryReceive(PATIENCE_MS);
    if (message === undefined) throw new Error(`nothing is heard after ${heard.join()}`);
    const [topic, text] = message.map(String) as [string, string];
    if (topic === end && text === "end") return heard;
    // What is left of the calls of a PUB.
    if (topic.startsWith("~")) continue;
    if (message.length !== 3 || text !== `about ${topic.slice(0, 20)}`) {
      throw new Error(`not as it was said: ${message.join()}`);
    }
    heard.push(topic);
  }
}
