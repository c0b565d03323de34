// Who gets which message, and what a full queue does to the one who fills it.

import { describe, expect, test } from "bun:test";
import { nativeContext } from "../../src/context.ts";
import { Pull, Push, Request } from "../../src/index.ts";
import { bound, event, pipeline, rejection, texts, transports, until } from "../support/sockets.ts";

/** Sends while there is room, until there has been none for a while; returns how many. */
async function fill(push: Push, payload: Uint8Array): Promise<number> {
  let count = 0;
  for (let idle = 0; idle < 20; ) {
    if (push.trySend(payload)) {
      count += 1;
      idle = 0;
    } else {
      idle += 1;
      await Bun.sleep(2);
    }
  }
  return count;
}

describe.each(transports)("the high-water marks over %s", (transport) => {
  test("stop a sender whose peer does not read, and nothing is lost", async () => {
    using line = pipeline({
      transport,
      push: { sendHighWaterMark: 10, sendBufferSize: 8192 },
      pull: { receiveHighWaterMark: 10, receiveBufferSize: 8192 },
    });
    await line.push.send(Buffer.alloc(4096));
    await until("the first is there", () => line.pull.readable);
    const sent = 1 + (await fill(line.push, Buffer.alloc(4096)));
    // 10 here, 10 there, what one read brings beyond the mark, and the kernel's own buffers.
    expect(sent).toBeGreaterThanOrEqual(20);
    expect(sent).toBeLessThan(120);
    expect(line.push.writable).toBe(false);
    expect((await rejection(line.push.send("no room", { timeout: 5 }))).code).toBe("EAGAIN");
    for (let i = 0; i < sent; i += 1) await line.pull.receive({ timeout: 1000 });
    expect(line.pull.tryReceive()).toBeUndefined();
    await until("there is room again", () => line.push.writable);
  });

  test("of 0 have no limit", async () => {
    using push = new Push({ linger: 0, sendHighWaterMark: 0 });
    push.connect("tcp://127.0.0.1:1");
    for (let i = 0; i < 20_000; i += 1) expect(push.trySend("x")).toBe(true);
  });

  test("count messages, not parts", async () => {
    using push = new Push({ linger: 0, sendHighWaterMark: 5 });
    push.connect("tcp://127.0.0.1:1");
    for (let i = 0; i < 5; i += 1) expect(push.trySend(["a", "b", "c", "d"])).toBe(true);
    expect(push.trySend("x")).toBe(false);
  });

  test("count at once when they are set after connect", async () => {
    using push = new Push({ linger: 0 });
    push.sendHighWaterMark = 3;
    push.connect("tcp://127.0.0.1:1");
    push.sendHighWaterMark = 5;
    for (let i = 0; i < 5; i += 1) expect(push.trySend("x")).toBe(true);
    expect(push.trySend("x")).toBe(false);
  });
});

test.each([
  ["messages", 100, 0],
  ["bytes", 0, 1_000_000],
] as const)("memory is bounded by a mark of %s while a reader is stuck", async (_, mark, bytes) => {
  using line = pipeline({
    push: { sendHighWaterMark: mark, sendHighWaterMarkBytes: bytes, sendBufferSize: 65_536 },
    pull: {
      receiveHighWaterMark: mark,
      receiveHighWaterMarkBytes: bytes,
      receiveBufferSize: 65_536,
    },
  });
  const before = nativeContext().stats().memory_live_bytes;
  const sent = await fill(line.push, Buffer.alloc(10_000));
  const used = nativeContext().stats().memory_live_bytes - before;
  // Both queues, a segment and a chunk of what arrived beyond the mark.
  expect(used).toBeLessThan(2 * 100 * 10_000 * 1.1 + 512 * 1024);
  for (let i = 0; i < sent; i += 1) await line.pull.receive({ timeout: 1000 });
  await until("it is given back", () => nativeContext().stats().memory_live_bytes < before + 300_000);
});

describe("readable and writable", () => {
  test("tell whether a call would wait", async () => {
    using push = new Push({ linger: 0 });
    using pull = new Pull({ linger: 0 });
    expect(push.writable).toBe(false);
    expect(pull.readable).toBe(false);
    push.connect(bound(pull));
    expect(push.writable).toBe(true);
    await push.send("x");
    await until("it is there", () => pull.readable);
    expect(pull.readable).toBe(true);
    await pull.receive();
    expect(pull.readable).toBe(false);
  });

  test("of a Request follow its turns", async () => {
    using request = new Request({ linger: 0 });
    expect(request.writable).toBe(false);
    request.connect("tcp://127.0.0.1:1");
    expect(request.writable).toBe(true);
    await request.send("x");
    expect(request.writable).toBe(false);
    expect(request.readable).toBe(false);
  });
});

describe("a Push with three Pulls", () => {
  test("gives them messages in turn", async () => {
    using push = new Push({ linger: 0 });
    const pulls = [new Pull(), new Pull(), new Pull()];
    const connected = pulls.map(() => event(push, "handshake"));
    for (const pull of pulls) push.connect(bound(pull));
    let done = 0;
    push.events.on("handshake", () => {
      done += 1;
    });
    await Promise.all(connected);
    await until("all are connected", () => push.stats().connections === 3);
    const total = 3000;
    await push.sendMany(Array.from({ length: total }, (_, i) => `${i}`));
    const counts = await Promise.all(
      pulls.map(async (pull) => {
        let previous = -1;
        let count = 0;
        for (; count < total / 3; count += 1) {
          const number = Number(texts(await pull.receive({ timeout: 2000 }))[0]);
          expect(number).toBeGreaterThan(previous);
          previous = number;
        }
        expect(pull.tryReceive()).toBeUndefined();
        return count;
      }),
    );
    expect(counts).toEqual([1000, 1000, 1000]);
    expect(done).toBeGreaterThanOrEqual(0);
    for (const pull of pulls) pull.close();
  });

  test("goes on with the others when one does not read", async () => {
    using push = new Push({ linger: 0, sendHighWaterMark: 5, sendBufferSize: 4096 });
    using stuck = new Pull({ receiveHighWaterMark: 5, receiveBufferSize: 4096 });
    using one = new Pull();
    using two = new Pull();
    for (const pull of [stuck, one, two]) push.connect(bound(pull));
    await until("all are connected", () => push.stats().connections === 3);
    let received = 0;
    for (const pull of [one, two]) {
      void (async () => {
        for await (const batch of pull.batches()) received += batch.length;
      })();
    }
    const total = 5000;
    for (let i = 0; i < total; i += 1) await push.send(Buffer.alloc(1000), { timeout: 2000 });
    await until("the others have got the rest", () => received > total - 200);
    expect(stuck.stats().messagesReceived).toBe(0);
  });
});

test("a Pull takes messages of three Pushes in turn: none of them starves", async () => {
  using pull = new Pull({ linger: 0 });
  const endpoint = bound(pull);
  const pushes = ["a", "b", "c"].map((name) => {
    const push = new Push({ linger: 0 });
    push.connect(endpoint);
    return { name, push };
  });
  for (const { name, push } of pushes) {
    for (let i = 0; i < 500; i += 1) await push.send(name);
  }
  await until("all are connected", () => pull.stats().connections === 3);
  await Bun.sleep(20);
  const counts = new Map<string, number>();
  for (let i = 0; i < 300; i += 1) {
    const [name = ""] = texts(await pull.receive());
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  for (const { name, push } of pushes) {
    expect(counts.get(name)).toBeGreaterThan(70);
    push.close();
  }
});

describe("a Push", () => {
  test("before its peer is there keeps messages and sends them then", async () => {
    using probe = new Pull();
    const endpoint = bound(probe);
    probe.close();
    using push = new Push({ linger: 0, reconnectInterval: 5 });
    push.connect(endpoint);
    for (let i = 0; i < 100; i += 1) await push.send(`${i}`);
    using pull = new Pull();
    pull.bindSync(endpoint);
    for (let i = 0; i < 100; i += 1) expect(texts(await pull.receive())).toEqual([`${i}`]);
  });

  test("with immediate queues only for a peer that is there", async () => {
    using push = new Push({ linger: 0, immediate: true });
    push.connect("tcp://127.0.0.1:1");
    expect(push.trySend("x")).toBe(false);
    using pull = new Pull();
    push.connect(bound(pull));
    await push.send("x", { timeout: 2000 });
    expect(texts(await pull.receive())).toEqual(["x"]);
  });

  test("keeps what is queued over a restart of its peer, in order", async () => {
    using push = new Push({ linger: 0, reconnectInterval: 5 });
    const first = new Pull();
    const endpoint = bound(first);
    push.connect(endpoint);
    await push.send("to the first");
    expect(texts(await first.receive())).toEqual(["to the first"]);
    for (let round = 0; round < 5; round += 1) {
      const gone = event(push, "disconnect");
      (round === 0 ? first : again).close();
      await gone;
      const sent = Array.from({ length: 200 }, (_, i) => [`${round}`, `${i}`]);
      await push.sendMany(sent);
      again = new Pull();
      again.bindSync(endpoint);
      for (const message of sent) expect(texts(await again.receive())).toEqual(message);
    }
    again.close();
  });

  let again: Pull;

  test("whose peer leaves under load loses no more than was under way, and no half message", async () => {
    using push = new Push({ linger: 0, reconnectInterval: 1, sendHighWaterMark: 50 });
    let pull = new Pull({ receiveHighWaterMark: 50 });
    const endpoint = bound(pull);
    push.connect(endpoint);
    let sent = 0;
    let stop = false;
    const sending = (async () => {
      while (!stop) {
        await push.send([`${sent}`, Buffer.alloc(3000, sent), "end"]);
        sent += 1;
      }
    })();
    let previous = -1;
    for (let round = 0; round < 10; round += 1) {
      for (let i = 0; i < 200; i += 1) {
        const message = await pull.receive({ timeout: 3000 });
        expect(message).toHaveLength(3);
        const number = Number(String(message[0]));
        expect(number).toBeGreaterThan(previous);
        expect(message[1]?.equals(Buffer.alloc(3000, number))).toBe(true);
        previous = number;
      }
      pull.close();
      pull = new Pull({ receiveHighWaterMark: 50 });
      pull.bindSync(endpoint);
    }
    stop = true;
    push.close();
    await sending.catch(() => "closed while it waited");
    pull.close();
  });
});
