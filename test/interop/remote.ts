// Sockets of a real libzmq in another process, told one step at a time what to do: for what is not
// a stream of messages. One process serves as many cases as one likes.

import { Peer, program } from "./peer.ts";

/** Numbers of zmq.h. */
export const types = {
  PAIR: 0,
  PUB: 1,
  SUB: 2,
  REQ: 3,
  REP: 4,
  DEALER: 5,
  ROUTER: 6,
  PULL: 7,
  PUSH: 8,
  XPUB: 9,
  XSUB: 10,
} as const;
export type RemoteType = keyof typeof types;

const options = {
  ROUTING_ID: 5,
  SUBSCRIBE: 6,
  UNSUBSCRIBE: 7,
  RECONNECT_IVL: 18,
  SNDHWM: 23,
  RCVHWM: 24,
  ROUTER_MANDATORY: 33,
  XPUB_VERBOSE: 40,
  PROBE_ROUTER: 51,
  ROUTER_HANDOVER: 56,
  CONNECT_ROUTING_ID: 61,
  XPUB_VERBOSER: 78,
} as const;
export type RemoteOption = keyof typeof options;

type Bytes = string | Uint8Array;
type Answer = { endpoint?: string; message?: string[] | null; refused?: string };

const buffer = (bytes: Bytes) =>
  typeof bytes === "string" ? Buffer.from(bytes) : Buffer.from(bytes);
const hex = (bytes: Bytes) => buffer(bytes).toString("hex") || "-";

/** A process of libzmq sockets. */
export class Remote {
  readonly #peer = new Peer([program("libzmq_remote")]);
  #turn: Promise<unknown> = Promise.resolve();
  readonly #used = new Set<number>();

  /** A socket; options are set before it is bound or connected. */
  async socket(
    type: RemoteType,
    settings: Partial<Record<RemoteOption, number | string>> = {},
  ): Promise<RemoteSocket> {
    let number = 0;
    while (this.#used.has(number)) number += 1;
    this.#used.add(number);
    const socket = new RemoteSocket(this, number, type);
    await this.command("socket", number, types[type]);
    await socket.set({ RECONNECT_IVL: 20, ...settings });
    return socket;
  }

  /** @internal Sends a command and waits for its answer, after those before it. */
  command(...words: (string | number)[]): Promise<Answer> {
    const answer = this.#turn.then(() => {
      this.#peer.write(words.join(" "));
      return this.#peer.until(() => this.#take(), `an answer to ${String(words[0])}`);
    });
    this.#turn = answer.catch(() => {});
    return answer;
  }

  #take(): Answer | undefined {
    const line = this.#peer.lines[0];
    if (line === undefined || "error" in line) return undefined;
    return this.#peer.lines.shift() as Answer;
  }

  /** @internal */
  forget(number: number): void {
    this.#used.delete(number);
  }

  /** SIGKILL: nothing is said to anybody. */
  kill(): Promise<void> {
    return this.#peer.kill();
  }
}

export class RemoteSocket {
  readonly type: RemoteType;
  readonly #remote: Remote;
  readonly #number: number;

  constructor(remote: Remote, number: number, type: RemoteType) {
    this.#remote = remote;
    this.#number = number;
    this.type = type;
  }

  async #command(name: string, ...words: (string | number)[]): Promise<Answer> {
    const answer = await this.#remote.command(name, this.#number, ...words);
    if (answer.refused !== undefined) {
      throw new Error(`libzmq ${this.type} ${name}: ${answer.refused}`);
    }
    return answer;
  }

  async set(settings: Partial<Record<RemoteOption, number | string>>): Promise<void> {
    for (const [name, value] of Object.entries(settings)) {
      const option = options[name as RemoteOption];
      if (typeof value === "number") await this.#command("set", option, value);
      else await this.#command("bytes", option, hex(value));
    }
  }

  /** Returns where. */
  async bind(endpoint: string): Promise<string> {
    return (await this.#command("bind", endpoint)).endpoint!;
  }

  async connect(endpoint: string): Promise<void> {
    await this.#command("connect", endpoint);
  }

  async disconnect(endpoint: string): Promise<void> {
    await this.#command("disconnect", endpoint);
  }

  /** By option on a SUB, by messages on an XSUB. */
  async subscribe(...topics: Bytes[]): Promise<void> {
    await this.#topics("SUBSCRIBE", 1, topics);
  }

  async unsubscribe(...topics: Bytes[]): Promise<void> {
    await this.#topics("UNSUBSCRIBE", 0, topics);
  }

  async #topics(option: RemoteOption, first: number, topics: Bytes[]): Promise<void> {
    if (this.type === "SUB") {
      await this.#command("bytes", options[option], ...topics.map(hex));
      return;
    }
    for (const topic of topics) {
      await this.send(Buffer.concat([Buffer.of(first), buffer(topic)]));
    }
  }

  /** Never waits: throws when libzmq does not take the message. */
  async send(...parts: Bytes[]): Promise<void> {
    await this.#command("send", ...parts.map(hex));
  }

  /** Sends as soon as libzmq takes it: when there is a peer, or the peer of that name. */
  async sendWhenPossible(...parts: Bytes[]): Promise<void> {
    const deadline = performance.now() + 10_000;
    for (;;) {
      const words = ["send", this.#number, ...parts.map(hex)] as const;
      const { refused } = await this.#remote.command(...words);
      if (refused === undefined) return;
      if (performance.now() > deadline) throw new Error(`libzmq ${this.type} send: ${refused}`);
    }
  }

  /** The next message if there is one within some milliseconds. */
  async tryReceive(ms = 0): Promise<Buffer[] | undefined> {
    const { message } = await this.#command("receive", ms);
    return message?.map((part) => Buffer.from(part, "hex"));
  }

  async receive(): Promise<Buffer[]> {
    const message = await this.tryReceive(10_000);
    if (message === undefined) throw new Error(`libzmq ${this.type} received nothing`);
    return message;
  }

  async close(): Promise<void> {
    await this.#command("close");
    this.#remote.forget(this.#number);
  }
}
