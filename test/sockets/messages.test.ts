// What arrives is what was sent: every kind of part, every size, every number of parts.

import { describe, expect, test } from "bun:test";
import { Client } from "../../src/draft.ts";
import { Pull, Push, Reply, Request, type Sendable } from "../../src/index.ts";
import {
  bound,
  expectSame,
  pattern,
  pipeline,
  reasonOf,
  texts,
  transports,
} from "../support/sockets.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

describe.each(transports)("a message over %s", (transport) => {
  test("arrives as one part", async () => {
    using line = pipeline({ transport });
    await line.push.send("hello");
    const message = await line.pull.receive();
    expect(message).toHaveLength(1);
    expect(message[0]).toBeInstanceOf(Buffer);
    expect(message[0]?.toString()).toBe("hello");
  });

  test("keeps its parts, the empty ones too, and their order", async () => {
    using line = pipeline({ transport });
    await line.push.send(["", "a", null, Buffer.alloc(0), "b", ""]);
    expect(texts(await line.pull.receive())).toEqual(["", "a", "", "", "b", ""]);
  });

  test("of a single empty part is a message", async () => {
    using line = pipeline({ transport });
    await line.push.send(null);
    await line.push.send([null]);
    await line.push.send("");
    for (let i = 0; i < 3; i += 1) expect(texts(await line.pull.receive())).toEqual([""]);
  });

  const edges = [0, 1, 2, 255, 256, 511, 512, 1535, 1536, 4096, 8191, 8192, 16 * KIB, 24 * KIB];
  const sizes = [...edges, 32 * KIB - 9, 32 * KIB, 32 * KIB + 1, 64 * KIB - 1, 64 * KIB];
  sizes.push(64 * KIB + 1, 100_000, MIB - 1, MIB, MIB + 1, 16 * MIB);

  test("of every size arrives byte by byte", async () => {
    using line = pipeline({ transport });
    for (const size of sizes) {
      const part = pattern(size, size + 1);
      await line.push.send(part);
      const [received] = await line.pull.receive();
      expectSame(received, part);
    }
  });

  test("of every size arrives byte by byte while others are before and behind it", async () => {
    using line = pipeline({ transport });
    const sent = sizes.flatMap((size) => [pattern(size, size + 2), pattern(100, size + 3)]);
    const sending = line.push.sendMany(sent);
    for (const part of sent) expectSame((await line.pull.receive())[0], part);
    await sending;
  });

  test("of parts of every size arrives whole", async () => {
    using line = pipeline({ transport });
    const parts = sizes.map((size) => pattern(size, size + 4));
    const sending = line.push.send(parts);
    const received = await line.pull.receive();
    await sending;
    expect(received).toHaveLength(parts.length);
    for (const [i, part] of parts.entries()) expectSame(received[i], part);
  });

  test("of 2,000 parts arrives whole, more than a ring holds", async () => {
    using line = pipeline({ transport });
    const parts = Array.from({ length: 2000 }, (_, i) => `part ${i}`);
    for (let round = 0; round < 3; round += 1) {
      await line.push.send(parts);
      await line.push.send("next");
      expect(texts(await line.pull.receive())).toEqual(parts);
      expect(texts(await line.pull.receive())).toEqual(["next"]);
    }
  });
});

test("a part of 256 MiB arrives byte by byte", async () => {
  using line = pipeline();
  const part = pattern(256 * MIB, 7);
  const [, message] = await Promise.all([line.push.send(part), line.pull.receive()]);
  expectSame(message[0], part);
}, 30_000);

describe("a part can be", () => {
  const view = new DataView(new ArrayBuffer(8), 2, 4);
  view.setUint32(0, 0x61626364);
  const shared = new SharedArrayBuffer(3);
  new Uint8Array(shared).set([120, 121, 122]);
  const window = Buffer.from("_inner_").subarray(1, 6);
  const kinds: [string, Sendable, string][] = [
    ["a string in UTF-8", "grüße 🜁", "grüße 🜁"],
    ["a long string", "ä".repeat(20_000), "ä".repeat(20_000)],
    ["a string of the length where the short way ends", "€".repeat(5461), "€".repeat(5461)],
    ["a number", 42, "42"],
    ["a fraction", -0.5, "-0.5"],
    ["null", null, ""],
    ["a Buffer", Buffer.from("buffer"), "buffer"],
    ["a view into a larger buffer", window, "inner"],
    ["a Uint8Array", new TextEncoder().encode("array"), "array"],
    ["an ArrayBuffer", new TextEncoder().encode("memory").buffer as ArrayBuffer, "memory"],
    ["an empty ArrayBuffer", new ArrayBuffer(0), ""],
    ["a SharedArrayBuffer", shared, "xyz"],
    ["a view of a SharedArrayBuffer", new Uint8Array(shared, 1), "yz"],
    ["a DataView", view, "abcd"],
    ["a Float64Array", new Float64Array(Uint8Array.from(Buffer.from("8 bytes!")).buffer), "8 bytes!"],
    ["a Uint16Array", new Uint16Array([0x6261, 0x6463]), "abcd"],
  ];

  test.each(kinds)("%s", async (_, part, expected) => {
    using line = pipeline();
    await line.push.send(part);
    expect(line.push.trySend([part as string, "last"])).toBe(true);
    line.push.sendSync(part);
    await line.push.sendMany([part, [part as string]]);
    const expectations = [[expected], [expected, "last"], [expected], [expected], [expected]];
    for (const parts of expectations) expect(texts(await line.pull.receive())).toEqual(parts);
  });

});

describe("what is not a part", () => {
  const wrong: [string, unknown, RegExp][] = [
    ["undefined", undefined, /not undefined$/],
    ["a boolean", true, /not boolean$/],
    ["a bigint", 1n, /not bigint$/],
    ["a symbol", Symbol("x"), /not symbol$/],
    ["a function", () => 1, /not function$/],
    ["a plain object", { a: 1 }, /not an object of class Object$/],
    ["an object without a class", Object.create(null), /not an object of class/],
    ["a Date", new Date(), /not an object of class Date$/],
    ["a Set", new Set(["a"]), /not an object of class Set$/],
    ["a nested array", [["a"]], /not an array inside a message$/],
    ["a hole in an array", ["a", undefined, "b"], /not undefined$/],
    ["an empty array", [], /at least one part/],
  ];

  test.each(wrong)("is refused with its type and nothing is queued: %s", async (_, value, text) => {
    using line = pipeline();
    const message = value as Sendable;
    for (const refused of [
      await reasonOf(line.push.send(message)),
      await reasonOf(Promise.try(() => line.push.trySend(message))),
      await reasonOf(Promise.try(() => line.push.sendSync(message))),
      await reasonOf(Promise.try(() => line.push.send(["before", message] as Sendable))),
      await reasonOf(line.push.sendMany([message])),
    ]) {
      expect(refused).toBeInstanceOf(TypeError);
      // As a part inside an array an empty array is a nested one.
      if (!Array.isArray(value)) expect((refused as Error).message).toMatch(text);
    }
    expect(((await reasonOf(line.push.send(message))) as Error).message).toMatch(text);
    await line.push.send("good");
    expect(texts(await line.pull.receive())).toEqual(["good"]);
    expect(line.push.stats().messagesSent).toBe(1);
  });

  const gone = new ArrayBuffer(8);
  const transferred: [string, Sendable][] = [
    ["a Uint8Array", new Uint8Array(gone)],
    ["a DataView", new DataView(gone)],
    ["an ArrayBuffer", gone],
  ];
  structuredClone(gone, { transfer: [gone] });

  test.each(transferred)("transferred memory leaves no half message: %s", async (_, value) => {
    using line = pipeline();
    const part = value as Uint8Array;
    for (const message of [part, ["before", part], ["before", part, "behind"]]) {
      expect(await reasonOf(line.push.send(message))).toBeInstanceOf(TypeError);
      expect(await reasonOf(line.push.sendMany([message]))).toBeInstanceOf(TypeError);
    }
    await line.push.send("good");
    expect(texts(await line.pull.receive())).toEqual(["good"]);
  });

  test("is refused at once by a send that has to wait", async () => {
    using push = new Push({ linger: 0 });
    const refused = await reasonOf(push.send({} as Sendable, { timeout: 1000 }));
    expect(refused).toBeInstanceOf(TypeError);
  });

  test.each(["text", Buffer.from("x"), 5, null, {}])("is not taken for many: %p", async (one) => {
    using line = pipeline();
    using client = new Client({ linger: 0 });
    const many = one as string[];
    expect(String(await reasonOf(line.push.sendMany(many)))).toContain("[message]");
    expect(String(await reasonOf(client.sendMany(many)))).toContain("[message]");
    expect(line.push.stats().messagesSent).toBe(0);
  });

  test("ends sendMany where it stands: what was before it arrives", async () => {
    using line = pipeline();
    const many = ["a", "b", true as unknown as string, "c"];
    expect(await reasonOf(line.push.sendMany(many))).toBeInstanceOf(TypeError);
    await line.push.send("d");
    expect(texts(await line.pull.receive())).toEqual(["a"]);
    expect(texts(await line.pull.receive())).toEqual(["b"]);
    expect(texts(await line.pull.receive())).toEqual(["d"]);
  });
});

describe("a sent buffer may be changed", () => {
  test("as soon as send has returned, whatever its size", async () => {
    using line = pipeline({ push: { sendHighWaterMark: 0 }, pull: { receiveHighWaterMark: 0 } });
    const sizes = [1, 100, 1000, 1536, 5000, 23 * KIB, 24 * KIB, 64 * KIB, 3 * MIB];
    // Not connected yet: nothing can have left before the change.
    const sends = sizes.map((size) => {
      const part = pattern(size, size);
      const sending = line.push.send(part);
      part.fill(0);
      return sending;
    });
    const multipart = sizes.map((size) => pattern(size, size + 1));
    sends.push(line.push.send(multipart));
    for (const part of multipart) part.fill(0);
    for (const size of sizes) expectSame((await line.pull.receive())[0], pattern(size, size));
    const received = await line.pull.receive();
    for (const [i, size] of sizes.entries()) expectSame(received[i], pattern(size, size + 1));
    await Promise.all(sends);
  });

  test("also when the send waits for room or for a peer", async () => {
    using push = new Push({ linger: 0 });
    using pull = new Pull({ linger: 0 });
    const part = Buffer.from("before");
    const parts = [Buffer.from("one"), Buffer.from("two")];
    push.concurrency = "queue";
    const sending = [push.send(part), push.send(parts)];
    part.fill(0);
    parts[0]?.fill(0);
    parts.pop();
    push.connect(bound(pull));
    expect(texts(await pull.receive())).toEqual(["before"]);
    expect(texts(await pull.receive())).toEqual(["one", "two"]);
    await Promise.all(sending);
  });

  test("under load, while the kernel is full", async () => {
    using line = pipeline({ push: { sendHighWaterMark: 0 } });
    const part = Buffer.alloc(40 * KIB);
    const count = 500;
    const sending = (async () => {
      for (let i = 0; i < count; i += 1) {
        part.fill(i % 251);
        const sent = line.push.send(part);
        part.fill(255);
        await sent;
      }
    })();
    for (let i = 0; i < count; i += 1) {
      const [received] = await line.pull.receive();
      expect(received?.[0]).toBe(i % 251);
      expect(received?.equals(Buffer.alloc(40 * KIB, i % 251))).toBe(true);
    }
    await sending;
  });
});

describe.each([false, true])("a received part (detached: %p)", (detached) => {
  test("is never overwritten while more traffic flows", async () => {
    using line = pipeline({ pull: { detached } });
    const sizes = [1, 64, 300, 512, 700, 1500, 2048, 5000];
    const kept: Buffer[] = [];
    const count = 12_000;
    const sending = (async () => {
      for (let i = 0; i < count; ) {
        const many: Sendable[] = [];
        for (let j = 0; j < 100; j += 1, i += 1) {
          many.push(pattern(sizes[i % sizes.length] as number, i + 1));
        }
        await line.push.sendMany(many);
      }
    })();
    while (kept.length < count) {
      // Every way of taking a message, in turn.
      if (kept.length % 3 === 0) kept.push((await line.pull.receive())[0] as Buffer);
      else if (kept.length % 3 === 1) {
        for (const [part] of await line.pull.receiveMany({ max: 50 })) kept.push(part as Buffer);
      } else {
        const message = line.pull.tryReceive();
        if (message) kept.push(message[0] as Buffer);
        else kept.push((await line.pull.receive())[0] as Buffer);
      }
    }
    await sending;
    let wrong = 0;
    for (const [i, part] of kept.entries()) {
      if (!part.equals(pattern(sizes[i % sizes.length] as number, i + 1))) wrong += 1;
    }
    expect(wrong).toBe(0);
  });

  test("can be written to without changing another", async () => {
    using line = pipeline({ pull: { detached } });
    for (let i = 0; i < 50; i += 1) await line.push.send(Buffer.alloc(600, i));
    const first = (await line.pull.receive())[0] as Buffer;
    first.fill(255);
    for (let i = 1; i < 50; i += 1) {
      expect((await line.pull.receive())[0]?.equals(Buffer.alloc(600, i))).toBe(true);
    }
  });

  test(`${detached ? "has memory of its own" : "may share memory with its neighbours"}`, async () => {
    using line = pipeline({ pull: { detached } });
    await line.push.sendMany([Buffer.alloc(2000, 1), Buffer.alloc(2000, 2)]);
    const [first] = await line.pull.receive();
    expect(first?.buffer.byteLength === 2000).toBe(detached);
  });
});

test("a message of a Request and its Reply keeps parts and sizes", async () => {
  using reply = new Reply({ linger: 0 });
  using request = new Request({ linger: 0 });
  request.connect(bound(reply));
  for (const size of [0, 1, 1000, 64 * KIB, MIB]) {
    const parts = [pattern(size, 1), Buffer.alloc(0), pattern(size, 2)];
    await request.send(parts);
    const question = await reply.receive();
    await reply.send([...question, "answered"]);
    const answer = await request.receive();
    expect(answer).toHaveLength(4);
    for (const [i, part] of parts.entries()) expectSame(answer[i], part);
    expect(answer[3]?.toString()).toBe("answered");
  }
});
