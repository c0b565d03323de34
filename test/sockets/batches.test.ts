// Many messages at a time: nothing lost, nothing twice, order kept; borrowed parts right until the
// next step.

import { describe, expect, test } from "bun:test";
import { type Message, Push, type Sendable } from "../../src/index.ts";
import { bound, expectSame, pattern, pipeline, reasonOf, texts, until } from "../support/sockets.ts";

/** Sends numbers from 0 up, in batches. */
async function count(push: Push, to: number, size = 8): Promise<void> {
  for (let i = 0; i < to; ) {
    const many: Buffer[] = [];
    for (; i < to && many.length < 500; i += 1) many.push(numbered(i, size));
    await push.sendMany(many);
  }
}

function numbered(i: number, size: number): Buffer {
  const part = Buffer.alloc(size, i & 0xff);
  part.writeUInt32LE(i);
  return part;
}

const numberOf = (message: Message) => message[0]?.readUInt32LE();

describe("receiveMany", () => {
  test("resolves with at least one message and at most max, in order", async () => {
    using line = pipeline();
    const sending = count(line.push, 5000);
    let next = 0;
    while (next < 5000) {
      const batch = await line.pull.receiveMany({ max: 7 });
      expect(batch.length).toBeGreaterThan(0);
      expect(batch.length).toBeLessThanOrEqual(7);
      for (const message of batch) expect(numberOf(message)).toBe(next++);
    }
    await sending;
  });

  test("waits for the first message", async () => {
    using line = pipeline();
    const waiting = line.pull.receiveMany();
    await line.push.send("a");
    expect((await waiting).map(texts)).toEqual([["a"]]);
  });

  test("takes many multipart messages whole", async () => {
    using line = pipeline();
    const sent = Array.from({ length: 900 }, (_, i) => [`${i}`, "", "x".repeat(i % 700)]);
    const sending = line.push.sendMany(sent);
    const received: string[][] = [];
    while (received.length < sent.length) {
      received.push(...(await line.pull.receiveMany()).map(texts));
    }
    expect(received).toEqual(sent);
    await sending;
  });

  test.each([0, -1, 1.5, Number.NaN, "3" as unknown as number])(
    "refuses max: %p, which would never end",
    async (max) => {
      using line = pipeline();
      expect(await reasonOf(Promise.try(() => line.pull.receiveMany({ max })))).toBeInstanceOf(
        RangeError,
      );
      expect(() => line.pull.batches({ max })).toThrow(RangeError);
      expect(() => line.pull.receiveManySync({ max })).toThrow(RangeError);
    },
  );
});

describe("iterating", () => {
  test("yields every message once and in order, and ends when the socket closes", async () => {
    using line = pipeline();
    const total = 30_000;
    const sending = count(line.push, total);
    let next = 0;
    for await (const message of line.pull) {
      if (numberOf(message) !== next) expect(numberOf(message)).toBe(next);
      next += 1;
      if (next === total) line.pull.close();
    }
    expect(next).toBe(total);
    await sending;
  });

  test("ends when the socket is closed while it waits", async () => {
    using line = pipeline();
    setTimeout(() => line.pull.close(), 5);
    for await (const _ of line.pull) throw new Error("nothing was sent");
    for await (const _ of line.pull.batches()) throw new Error("it is closed");
    expect(line.pull.closed).toBe(true);
  });

  test("and leaving it loses nothing that was not yielded", async () => {
    using line = pipeline();
    const total = 5000;
    const sending = count(line.push, total);
    let next = 0;
    while (next < total) {
      for await (const message of line.pull) {
        expect(numberOf(message)).toBe(next++);
        if (next % 100 === 0) break;
      }
      if (next === total) break;
      for await (const batch of line.pull.batches({ max: 30 })) {
        for (const message of batch) expect(numberOf(message)).toBe(next++);
        break;
      }
    }
    await sending;
  });

  test("ends at the error that its body throws, and the socket stays good", async () => {
    using line = pipeline();
    await line.push.sendMany(["a", "b"]);
    const failing = (async () => {
      for await (const _ of line.pull) throw new Error("of the body");
    })();
    expect(String(await reasonOf(failing))).toContain("of the body");
    expect(texts(await line.pull.receive())).toEqual(["b"]);
  });

  test("works by hand: next, return, and the iterator itself is iterable", async () => {
    using line = pipeline();
    await line.push.sendMany(["a", "b", "c"]);
    const iterator = line.pull[Symbol.asyncIterator]();
    expect(iterator[Symbol.asyncIterator]()).toBe(iterator);
    expect(texts((await iterator.next()).value as Message)).toEqual(["a"]);
    expect(texts((await iterator.next()).value as Message)).toEqual(["b"]);
    expect(await iterator.return?.()).toEqual({ value: undefined, done: true });
    expect(await iterator.next()).toEqual({ value: undefined, done: true });
    expect(texts(await line.pull.receive())).toEqual(["c"]);
  });

  test("return ends a next that waits, which takes no message and blocks nobody", async () => {
    using line = pipeline();
    const iterators = [line.pull[Symbol.asyncIterator](), line.pull.batches()];
    for (const iterator of iterators) {
      const waiting = iterator.next();
      await iterator.return?.();
      expect(await waiting).toEqual({ value: undefined, done: true });
    }
    const next = line.pull.receive();
    await line.push.send("a");
    expect(texts(await next)).toEqual(["a"]);
  });

  test("two at once is EBUSY for the second, and the first goes on", async () => {
    using line = pipeline();
    const first = line.pull[Symbol.asyncIterator]();
    const waiting = first.next();
    const second = line.pull[Symbol.asyncIterator]();
    expect(await reasonOf(second.next())).toMatchObject({ code: "EBUSY" });
    await line.push.send("a");
    expect(texts((await waiting).value as Message)).toEqual(["a"]);
  });
});

describe("batches", () => {
  test("yield every message once and in order", async () => {
    using line = pipeline();
    const total = 100_000;
    const sending = count(line.push, total);
    let next = 0;
    let wrong = 0;
    for await (const batch of line.pull.batches()) {
      for (const message of batch) if (numberOf(message) !== next++) wrong += 1;
      if (next === total) break;
    }
    expect(wrong).toBe(0);
    await sending;
  });

  test("take the signal and the timeout of each step", async () => {
    using line = pipeline();
    const controller = new AbortController();
    const steps = line.pull.batches({ signal: controller.signal })[Symbol.asyncIterator]();
    const waiting = steps.next();
    controller.abort(new Error("enough"));
    expect(String(await reasonOf(waiting))).toContain("enough");
    const timed = line.pull.batches({ timeout: 5 })[Symbol.asyncIterator]();
    expect(await reasonOf(timed.next())).toMatchObject({ code: "EAGAIN" });
  });
});

describe("borrowed batches", () => {
  const sizes = [8, 100, 255, 256, 300, 512, 1000, 4000, 20_000, 40_000, 70_000];

  test("hold the right bytes until the next step, under load, in every size", async () => {
    using line = pipeline();
    const total = 12_000;
    const sending = (async () => {
      for (let i = 0; i < total; ) {
        const many: Sendable[] = [];
        for (let j = 0; j < 60; j += 1, i += 1) {
          many.push(numbered(i, sizes[i % sizes.length] as number));
        }
        await line.push.sendMany(many);
      }
    })();
    let next = 0;
    let wrong = 0;
    for await (const batch of line.pull.batches({ borrow: true })) {
      const check = () => {
        for (const [j, message] of batch.entries()) {
          const i = next + j;
          if (!message[0]?.equals(numbered(i, sizes[i % sizes.length] as number))) wrong += 1;
        }
      };
      check();
      // Other things happen before the next step; what was lent stays in place all the same.
      if (next % 5 === 0) await Bun.sleep(0);
      check();
      next += batch.length;
      if (next >= total) break;
    }
    expect({ wrong, next }).toEqual({ wrong: 0, next: total });
    await sending;
  });

  test("of two sockets at a time do not overwrite each other", async () => {
    using one = pipeline();
    using two = pipeline();
    const total = 20_000;
    const sending = [count(one.push, total, 700), count(two.push, total, 300)];
    const read = async (pull: typeof one.pull, size: number) => {
      let next = 0;
      let wrong = 0;
      for await (const batch of pull.batches({ borrow: true })) {
        await Bun.sleep(0);
        for (const message of batch) if (!message[0]?.equals(numbered(next++, size))) wrong += 1;
        if (next === total) break;
      }
      return wrong;
    };
    expect(await Promise.all([read(one.pull, 700), read(two.pull, 300)])).toEqual([0, 0]);
    await Promise.all(sending);
  });

  test("may be mixed with other ways of receiving, whose parts stay", async () => {
    using line = pipeline();
    const total = 6000;
    const sending = count(line.push, total, 600);
    const kept: Message[] = [];
    let next = 0;
    while (next < total) {
      const borrowed = await line.pull.receiveMany({ borrow: true, max: 20 });
      for (const message of borrowed) expect(numberOf(message)).toBe(next++);
      if (next === total) break;
      const message = await line.pull.receive();
      expect(numberOf(message)).toBe(next++);
      kept.push(message);
    }
    await sending;
    for (const message of kept) {
      expect(message[0]?.equals(numbered(numberOf(message) as number, 600))).toBe(true);
    }
  });

  test("hold multipart messages whole", async () => {
    using line = pipeline();
    const sent = Array.from({ length: 600 }, (_, i) => [
      pattern(i % 50, i), pattern(i * 3, i + 1), pattern(300, i + 2),
    ]);
    const sending = line.push.sendMany(sent);
    let next = 0;
    for await (const batch of line.pull.batches({ borrow: true })) {
      for (const message of batch) {
        const expected = sent[next++] as Buffer[];
        expect(message).toHaveLength(3);
        for (const [i, part] of expected.entries()) expectSame(message[i], part);
      }
      if (next === sent.length) break;
    }
    await sending;
  });

  test("do not come back changed when the caller changed the arrays", async () => {
    using line = pipeline();
    for (let round = 0; round < 5; round += 1) {
      await line.push.sendMany(["aaaaaaaa", "bbbbbbbb"]);
      const batch: Message[] = [];
      while (batch.length < 2) batch.push(...(await line.pull.receiveMany({ borrow: true })));
      expect(batch.length).toBe(2);
      for (const message of batch) {
        message[0]?.fill(0);
        message.push(Buffer.from("more"));
        message.length = 0;
      }
      batch.length = 0;
    }
    await line.push.sendMany(["aaaaaaaa", "bbbbbbbb"]);
    await until("both are there", () => line.pull.readable);
    expect(texts((await line.pull.receiveMany({ borrow: true }))[0] as Message)).toEqual([
      "aaaaaaaa",
    ]);
  });
});

describe("sendMany", () => {
  test("waits for room as often as it takes and keeps the order", async () => {
    using line = pipeline({
      push: { sendHighWaterMark: 5, sendBufferSize: 4096 },
      pull: { receiveHighWaterMark: 5, receiveBufferSize: 4096 },
    });
    const total = 20_000;
    let sent = false;
    const all = Array.from({ length: total }, (_, i) => numbered(i, 64));
    const sending = line.push.sendMany(all).then(() => {
      sent = true;
    });
    await until("a message is there", () => line.pull.readable);
    expect(sent).toBe(false);
    for (let i = 0; i < total; i += 1) expect(numberOf(await line.pull.receive())).toBe(i);
    await sending;
  });

  test("takes any iterable", async () => {
    using line = pipeline();
    await line.push.sendMany(new Set(["a", "b"]));
    await line.push.sendMany(
      (function* () {
        yield "c";
        yield ["d", "e"];
      })(),
    );
    await line.push.sendMany([]);
    const received: string[][] = [];
    while (received.length < 4) received.push(texts(await line.pull.receive()));
    expect(received).toEqual([["a"], ["b"], ["c"], ["d", "e"]]);
  });

  test("sends large payloads byte by byte, between small ones", async () => {
    using line = pipeline();
    const sizes = [10, 2000, 1535, 1536, 30_000, 0, 200_000, 5, 1_000_000, 64];
    const all = Array.from({ length: 300 }, (_, i) => pattern(sizes[i % sizes.length] as number, i));
    const sending = line.push.sendMany(all);
    for (const part of all) expectSame((await line.pull.receive())[0], part);
    await sending;
  });

  test("lets payloads be changed once it has resolved", async () => {
    using line = pipeline({ push: { sendHighWaterMark: 0 } });
    const all = Array.from({ length: 400 }, (_, i) => Buffer.alloc(20_000, i));
    await line.push.sendMany(all);
    for (const part of all) part.fill(255);
    for (let i = 0; i < all.length; i += 1) {
      expect((await line.pull.receive())[0]?.equals(Buffer.alloc(20_000, i))).toBe(true);
    }
  });

  test("that is aborted has sent a whole number of messages, the first ones", async () => {
    using line = pipeline({ push: { sendHighWaterMark: 5 }, pull: { receiveHighWaterMark: 5 } });
    const controller = new AbortController();
    const all = Array.from({ length: 200_000 }, (_, i) => numbered(i, 100));
    const sending = line.push.sendMany(all, { signal: controller.signal });
    await until("a message is there", () => line.pull.readable);
    controller.abort(new Error("stop"));
    expect(String(await reasonOf(sending))).toContain("stop");
    const { messagesSent } = line.push.stats();
    await until("there is room", () => {
      while (line.pull.tryReceive()) next += 1;
      return line.push.trySend(numbered(messagesSent, 100));
    });
    for (; next < messagesSent; next += 1) await line.pull.receive();
    expect(numberOf(await line.pull.receive())).toBe(messagesSent);
  });

  let next = 0;

  test("of a socket that closes meanwhile rejects with EAGAIN", async () => {
    using push = new Push({ linger: 0 });
    const sending = push.sendMany(["a", "b"]);
    push.close();
    expect(await reasonOf(sending)).toMatchObject({ code: "EAGAIN" });
    expect(await reasonOf(push.sendMany(["a"]))).toMatchObject({ code: "EBADF" });
  });
});

test("100,000 awaited sends from one loop all arrive in order", async () => {
  using line = pipeline();
  const total = 100_000;
  const sending = (async () => {
    for (let i = 0; i < total; i += 1) await line.push.send(numbered(i, 16));
  })();
  let next = 0;
  let wrong = 0;
  for await (const message of line.pull) {
    if (numberOf(message) !== next++) wrong += 1;
    if (next === total) break;
  }
  expect(wrong).toBe(0);
  await sending;
});

test("two pipelines over one Pull keep the order of each", async () => {
  using line = pipeline();
  using other = new Push({ linger: 0 });
  other.connect(line.endpoint);
  const total = 10_000;
  const sending = [count(line.push, total), other.sendMany(tagged(total))];
  let first = 0;
  let second = 0;
  while (first + second < 2 * total) {
    for (const message of await line.pull.receiveMany()) {
      if (message.length === 1) expect(numberOf(message)).toBe(first++);
      else expect(message[1]?.readUInt32LE()).toBe(second++);
    }
  }
  await Promise.all(sending);
});

function tagged(total: number): Sendable[] {
  return Array.from({ length: total }, (_, i) => ["other", numbered(i, 8)]);
}

test("bound and connecting ends may be swapped", async () => {
  using line = pipeline();
  using push = new Push({ linger: 0 });
  const endpoint = bound(push);
  line.pull.connect(endpoint);
  await push.send("from the bound end");
  expect(texts(await line.pull.receive())).toEqual(["from the bound end"]);
});
