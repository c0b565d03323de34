// What the application of an XPUB reads, by verbosity: our XPublisher and libzmq's own XPUB go
// through the same steps with the same subscribers of libzmq, and both have to read what is written
// here.

import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { XPublisher } from "../../src/index.ts";
import { subscriptionOf } from "./parties.ts";
import { killPeers } from "./peer.ts";
import { Remote, type RemoteSocket } from "./remote.ts";
import { Table } from "./table.ts";

const verbosities = { default: null, verbose: "allSubs", verboser: "allSubsUnsubs" } as const;
type Verbosity = keyof typeof verbosities;

/** Steps of subscribers 1 and 2: "1+a" asks for a, "1-a" gives it up, "1x" leaves. */
const rows: { steps: string; reads: Record<Verbosity, string> }[] = [
  {
    steps: "1+a 1-a",
    reads: { default: "+a -a", verbose: "+a -a", verboser: "+a -a" },
  },
  {
    steps: "1+a 2+a 1-a 2-a",
    reads: { default: "+a -a", verbose: "+a +a -a", verboser: "+a +a -a -a" },
  },
  {
    steps: "1+a 1+a 1+a 1-a 1-a 1-a",
    reads: { default: "+a -a", verbose: "+a +a +a -a", verboser: "+a +a +a -a" },
  },
  {
    steps: "1+a 1+a 2+a 1-a 2-a 1-a",
    reads: { default: "+a -a", verbose: "+a +a +a -a", verboser: "+a +a +a -a -a" },
  },
  {
    steps: "1+a 2+a 2+b 2x 1-a",
    reads: { default: "+a +b -b -a", verbose: "+a +a +b -b -a", verboser: "+a +a +b -a -b -a" },
  },
  {
    steps: "1+a 2+ab 1-a 2x",
    reads: { default: "+a +ab -a -ab", verbose: "+a +ab -a -ab", verboser: "+a +ab -a -ab" },
  },
  {
    steps: "1+ 2+ 1x 2x",
    reads: { default: "+ -", verbose: "+ + -", verboser: "+ + - -" },
  },
  {
    steps: "1-a 1+a 2-a 2x 1x",
    reads: { default: "+a -a", verbose: "+a -a", verboser: "+a -a" },
  },
];

const table = new Table(
  "what an XPUB reads, the same as libzmq's own XPUB; 1 and 2 are subscribers of libzmq",
  Object.keys(verbosities),
);

afterEach(killPeers);
afterAll(() => table.print());

/** An XPUB: where it is, and its next message. */
interface Reader {
  endpoint: string;
  receive: () => Promise<Buffer[]>;
}

let markers = 0;

class Script {
  readonly read: string[] = [];
  readonly #remote: Remote;
  readonly #reader: Reader;
  readonly #type: "SUB" | "XSUB";
  readonly #subscribers = new Map<string, { socket: RemoteSocket; marker: string }>();

  constructor(remote: Remote, reader: Reader, type: "SUB" | "XSUB") {
    this.#remote = remote;
    this.#reader = reader;
    this.#type = type;
  }

  async run(steps: string): Promise<string> {
    for (const who of ["observer", "1", "2"]) await this.#join(who);
    this.read.length = 0;
    for (const step of steps.split(" ")) {
      const [who, what, topic] = [step[0]!, step[1]!, step.slice(2)];
      const { socket, marker } = this.#subscribers.get(who)!;
      if (what === "+") await socket.subscribe(topic);
      if (what === "-") await socket.unsubscribe(topic);
      if (what !== "x") {
        await this.#mark(who);
        continue;
      }
      await socket.close();
      const before = this.read.length;
      await this.#readUntil(`-${marker}`);
      await this.#mark("observer");
      // The order of what one that leaves had asked for is nobody's promise.
      this.read.push(...this.read.splice(before).toSorted());
    }
    return this.read.filter((subscription) => subscription[1] !== "~").join(" ");
  }

  async #join(who: string): Promise<void> {
    const socket = await this.#remote.socket(this.#type);
    await socket.connect(this.#reader.endpoint);
    this.#subscribers.set(who, { socket, marker: "" });
    await this.#mark(who);
  }

  /** What a subscriber did before it is read before its marker. */
  async #mark(who: string): Promise<void> {
    const subscriber = this.#subscribers.get(who)!;
    markers += 1;
    subscriber.marker = `~${markers};`;
    await subscriber.socket.subscribe(subscriber.marker);
    await this.#readUntil(`+${subscriber.marker}`);
  }

  async #readUntil(end: string): Promise<void> {
    for (let last = ""; last !== end; ) {
      last = subscriptionOf(await this.#reader.receive());
      this.read.push(last);
    }
  }
}

async function theirs(remote: Remote, verbosity: Verbosity): Promise<Reader> {
  const socket = await remote.socket("XPUB");
  if (verbosity === "verbose") await socket.set({ XPUB_VERBOSE: 1 });
  if (verbosity === "verboser") await socket.set({ XPUB_VERBOSER: 1 });
  const endpoint = await socket.bind("tcp://127.0.0.1:*");
  return { endpoint, receive: () => socket.receive() };
}

async function ours(socket: XPublisher): Promise<Reader> {
  await socket.bind("tcp://127.0.0.1:*");
  return {
    endpoint: socket.lastEndpoint!,
    receive: () => socket.receive({ timeout: 5000 }),
  };
}

for (const { steps } of rows) table.add(steps);

describe.each(Object.keys(verbosities) as Verbosity[])("an XPUB, %s", (verbosity) => {
  for (const type of ["SUB", "XSUB"] as const) {
    test.each(rows)(`with ${type}s that do $steps`, async ({ steps, reads }) => {
      const remote = new Remote();
      const reference = await theirs(remote, verbosity);
      expect(await new Script(remote, reference, type).run(steps)).toBe(reads[verbosity]);
      await using publisher = new XPublisher({ verbosity: verbosities[verbosity] });
      const reader = await ours(publisher);
      expect(await new Script(remote, reader, type).run(steps)).toBe(reads[verbosity]);
      table.fill(steps, verbosity, reads[verbosity]);
    });
  }
});

/** What an XSUB says upstream that is no subscription, or more than one. */
const upstream: { what: string; sent: string[][]; reads: string[][] }[] = [
  { what: "a message of its own", sent: [["\x02hello"]], reads: [["\x02hello"]] },
  { what: "an empty message", sent: [[""]], reads: [[""]] },
  { what: "one of several parts", sent: [["hello", "", "you"]], reads: [["hello", "", "you"]] },
  { what: "two subscriptions in one", sent: [["\x01a", "\x01b"]], reads: [["\x01a"], ["\x01b"]] },
];

describe("an XPUB reads what an XSUB says upstream", () => {
  test.each(upstream)("$what", async ({ sent, reads }) => {
    const remote = new Remote();
    await using publisher = new XPublisher();
    for (const reader of [await theirs(remote, "default"), await ours(publisher)]) {
      const subscriber = await remote.socket("XSUB");
      await subscriber.connect(reader.endpoint);
      await subscriber.subscribe("~");
      expect((await reader.receive()).map(String)).toEqual(["\x01~"]);
      for (const message of sent) await subscriber.send(...message);
      for (const message of reads) {
        expect((await reader.receive()).map(String)).toEqual(message);
      }
    }
  });
});
