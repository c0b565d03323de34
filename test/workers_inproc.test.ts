// inproc between Workers: what is sent by one thread is received by another, whoever comes first and
// however one of them ends.

import { afterEach, describe, expect, test } from "bun:test";
import type { Task } from "./children/inproc_worker.ts";
import { nativeContext } from "../src/context.ts";
import { Pull, Push, Reply, Request } from "../src/index.ts";
import { failure, rejection, until } from "./support/sockets.ts";

const url = new URL("./children/inproc_worker.ts", import.meta.url).href;

let names = 0;
const fresh = () => `inproc://workers ${(names += 1)}`;

class Helper {
  readonly #worker = new Worker(url);
  readonly #said: string[] = [];
  #failure: Error | undefined;

  constructor(task: Task) {
    this.#worker.onmessage = ({ data }) => this.#said.push(data);
    this.#worker.onerror = (error) => {
      this.#failure = new Error(error.message);
    };
    this.#worker.postMessage(task);
  }

  async says(what: string): Promise<void> {
    await until(`a Worker says ${what}`, () => {
      if (this.#failure) throw this.#failure;
      return this.#said.includes(what);
    }, 20_000);
  }

  /** Without asking it. */
  async end(): Promise<void> {
    const closed = new Promise((resolve) => this.#worker.addEventListener("close", resolve));
    this.#worker.terminate();
    await closed;
  }
}

const stats = () => nativeContext().stats();

/** Links of the whole process, and the messages in them: none is left behind by any test. */
afterEach(async () => {
  await until("no link is left", () => stats().inproc_links === 0 && stats().inproc_bytes === 0);
});

describe("PUSH to PULL between threads", () => {
  test("delivers a million messages in order, none lost", async () => {
    const endpoint = fresh();
    const count = 1_000_000;
    using pull = new Pull();
    pull.bindSync(endpoint);
    const helper = new Helper({ task: "push", endpoint, count, how: "connect" });
    let next = 0;
    for await (const batch of pull.batches({ borrow: true })) {
      for (const [part] of batch) {
        if (String(part) !== `${next}`) throw new Error(`${part} instead of ${next}`);
        next += 1;
      }
      if (next === count) break;
    }
    await helper.says("done");
    await helper.end();
    expect(pull.stats().messagesReceived).toBe(count);
  }, 30_000);

  test.each(["bind", "connect"] as const)("meets whoever comes first: %s there", async (how) => {
    const endpoint = fresh();
    using push = new Push({ linger: -1 });
    if (how === "bind") push.connect(endpoint);
    // Before anybody is there to bind.
    if (how === "bind") await push.send("0");
    else push.bindSync(endpoint);
    const helper = new Helper({ task: "pull", endpoint, count: 3000, how });
    for (let i = how === "bind" ? 1 : 0; i < 3000; i += 1) await push.send(`${i}`);
    await helper.says("done");
    await helper.end();
  }, 20_000);

  test("with both sides in blocking calls: neither would wake the other", async () => {
    const endpoint = fresh();
    const count = 20_000;
    const [to, from] = [
      new Helper({ task: "pull", endpoint, count, how: "bind" }),
      new Helper({ task: "push", endpoint, count, how: "sync" }),
    ];
    await to.says("done");
    await from.says("done");
    for (const helper of [to, from]) await helper.end();

    const again = fresh();
    using pull = new Pull();
    pull.bindSync(again);
    const helper = new Helper({ task: "push", endpoint: again, count, how: "sync" });
    for (let i = 0; i < count; i += 1) {
      expect(String(pull.receiveSync({ timeout: 10_000 })[0])).toBe(`${i}`);
    }
    await helper.says("done");
    await helper.end();
  }, 30_000);
});

describe("REQ and REP between threads", () => {
  test.each([false, true])("bounce, in blocking calls: %p", async (sync) => {
    const endpoint = fresh();
    const count = 3000;
    const answering = new Helper({ task: "bounce", endpoint, count, how: "answer", sync });
    const asking = new Helper({ task: "bounce", endpoint, count, how: "ask", sync });
    await asking.says("done");
    await answering.says("done");
    await asking.end();
    await answering.end();
  }, 30_000);

  test("with one side here", async () => {
    const endpoint = fresh();
    using request = new Request();
    request.connect(endpoint);
    const helper = new Helper({ task: "bounce", endpoint, count: 500, how: "answer", sync: false });
    for (let i = 0; i < 500; i += 1) {
      await request.send(`${i}`);
      expect(String((await request.receive({ timeout: 10_000 }))[0])).toBe(`${i}`);
    }
    await helper.says("done");
    await helper.end();
  }, 20_000);
});

describe("a Worker that is terminated", () => {
  test("looks like a peer that left: what it had sent is read whole, and others go on", async () => {
    for (let round = 0; round < 10; round += 1) {
      const endpoint = fresh();
      using pull = new Pull();
      pull.bindSync(endpoint);
      const helper = new Helper({ task: "flood", endpoint, count: 100 });
      await helper.says("flooding");
      await helper.end();
      let next = 0;
      // Its end arrives behind its messages.
      while (pull.readable || pull.stats().connections > 0) {
        const message = pull.tryReceive();
        if (message === undefined) {
          await Bun.sleep(1);
          continue;
        }
        const [number, rest, ...others] = message;
        expect(others).toEqual([]);
        expect(String(number)).toBe(`${next}`);
        expect(rest?.length).toBe(next % 2000);
        next += 1;
      }
      expect(next).toBeGreaterThan(100);
      using push = new Push();
      push.connect(endpoint);
      await push.send("after it");
      expect(String((await pull.receive({ timeout: 5000 }))[0])).toBe("after it");
    }
  }, 30_000);

  test("frees its name, and whoever was connected finds the next one that binds it", async () => {
    const endpoint = fresh();
    using push = new Push({ reconnectInterval: 1 });
    push.connect(endpoint);
    const helper = new Helper({ task: "bind", endpoint });
    await helper.says("done");
    await push.connected(endpoint, { timeout: 5000 });
    using pull = new Pull();
    expect(failure(() => pull.bindSync(endpoint)).code).toBe("EADDRINUSE");
    await helper.end();
    await until("the name is free", () => {
      try {
        pull.bindSync(endpoint);
        return true;
      } catch {
        return false;
      }
    });
    await until("it has connected again", () => pull.stats().connections === 1);
    await push.send("again");
    expect(String((await pull.receive({ timeout: 5000 }))[0])).toBe("again");
  }, 20_000);

  test("with a receive that waits leaves the other side's waits alone", async () => {
    const endpoint = fresh();
    using reply = new Reply();
    reply.bindSync(endpoint);
    const helper = new Helper({ task: "bounce", endpoint, count: 1, how: "ask", sync: false });
    const question = await reply.receive({ timeout: 10_000 });
    await helper.end();
    await until("it has left", () => reply.stats().connections === 0);
    await reply.send(question);
    expect(reply.stats().droppedNoPeer).toBe(1);
    expect((await rejection(reply.receive({ timeout: 10 }))).code).toBe("EAGAIN");
  }, 20_000);
});

test("connects and closes of two threads at once leave nothing behind", async () => {
  const endpoint = fresh();
  const count = 5000;
  const helpers = [
    new Helper({ task: "race", endpoint, count }),
    new Helper({ task: "race", endpoint, count }),
  ];
  let done = false;
  const ended = Promise.all(helpers.map((helper) => helper.says("done"))).then(() => {
    done = true;
  });
  let binds = 0;
  while (!done) {
    const pull = new Pull();
    pull.bindSync(endpoint);
    pull.tryReceive();
    await Bun.sleep(0);
    pull.tryReceive();
    pull.close();
    binds += 1;
  }
  await ended;
  for (const helper of helpers) await helper.end();
  expect(binds).toBeGreaterThan(10);
  expect(stats().sessions).toBe(0);
}, 60_000);
