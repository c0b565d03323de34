// Gates that are counted, not timed: memory and system calls per message, wake-ups per send.

import { describe, expect, test } from "bun:test";
import { nativeContext } from "../src/context.ts";
import { Pull, Push, Reply, Request } from "../src/index.ts";
import type { NativeStats } from "../src/thread_stats.ts";
import { lines, start } from "./support/process.ts";
import { bound, pipeline, type Transport } from "./support/sockets.ts";

const context = new URL("../src/context.ts", import.meta.url).pathname;

/** What `work` adds to the counters. */
async function counted(work: () => Promise<void>): Promise<NativeStats> {
  const before = nativeContext().stats();
  await work();
  const after = nativeContext().stats();
  for (const key of Object.keys(after) as (keyof NativeStats)[]) after[key] -= before[key];
  return after;
}

const nothing = { memory_system_calls: 0, memory_mapped_bytes: 0, memory_refused: 0 };

/**
 * For streams, whose queues may be deeper than ever before when the machine is busy: once in 10,000
 * messages, and no more than that depth, in one of four windows. What is taken for each message is
 * taken in all of them.
 */
async function expectFlat(messages: number, work: () => Promise<void>): Promise<void> {
  const seen: unknown[] = [];
  for (let window = 0; window < 4; window += 1) {
    const { memory_system_calls, memory_mapped_bytes, memory_refused } = await counted(work);
    expect(memory_refused).toBe(0);
    if (memory_system_calls <= messages / 10_000 && memory_mapped_bytes <= 64 * 1024) return;
    seen.push({ memory_system_calls, memory_mapped_bytes });
  }
  expect(seen).toEqual([]);
}

describe.each(["tcp", "ipc"] as Transport[])("after warm-up nothing is taken from the system over %s", (transport) => {
  const sizes: [number, number][] = [
    [1, 20_000], [64, 20_000], [256, 20_000], [512, 20_000], [1024, 20_000], [1536, 20_000],
    [4096, 20_000], [16_384, 10_000], [32_768, 10_000], [65_536, 5000],
  ];

  async function stream(line: ReturnType<typeof pipeline>, size: number, count: number) {
    const many = Array.from({ length: 100 }, () => Buffer.alloc(size, 7));
    let received = 0;
    const sending = (async () => {
      for (let sent = 0; sent < count; sent += many.length) await line.push.sendMany(many);
    })();
    while (received < count) received += (await line.pull.receiveMany()).length;
    await sending;
  }

  test.each(sizes)("for a stream of messages of %i bytes", async (size, count) => {
    using line = pipeline({ transport });
    await stream(line, size, 2 * count);
    await expectFlat(2 * count, () => stream(line, size, 2 * count));
  }, 20_000);

  test("for single awaited sends and receives of every size", async () => {
    using line = pipeline({ transport });
    const single = async (count: number) => {
      for (const size of [1, 64, 1000, 5000, 65_536]) {
        const part = Buffer.alloc(size, 7);
        for (let i = 0; i < count; i += 1) {
          await line.push.send(part);
          await line.pull.receive();
        }
      }
    };
    await single(200);
    expect(await counted(() => single(2000))).toMatchObject(nothing);
  });

  test("for multipart messages", async () => {
    using line = pipeline({ transport });
    const message = ["topic", Buffer.alloc(100), "", Buffer.alloc(3000)];
    const multipart = async (count: number) => {
      const many = Array.from({ length: 50 }, () => message);
      let received = 0;
      const sending = (async () => {
        for (let sent = 0; sent < count; sent += many.length) await line.push.sendMany(many);
      })();
      while (received < count) received += (await line.pull.receiveMany()).length;
      await sending;
    };
    await multipart(20_000);
    await expectFlat(40_000, () => multipart(40_000));
  });

  test("for questions and answers", async () => {
    using reply = new Reply({ linger: 0 });
    using request = new Request({ linger: 0 });
    request.connect(bound(reply, transport));
    const talk = async (count: number, size: number) => {
      const part = Buffer.alloc(size, 7);
      for (let i = 0; i < count; i += 1) {
        await request.send(part);
        await reply.send(await reply.receive());
        await request.receive();
      }
    };
    for (const size of [1, 64, 1024, 65_536]) {
      await talk(200, size);
      expect(await counted(() => talk(3000, size))).toMatchObject(nothing);
    }
  });
});

test("memory goes back to what it was when sockets close, however many there were", async () => {
  const live = () => nativeContext().stats();
  const round = async () => {
    for (let i = 0; i < 20; i += 1) {
      using line = pipeline();
      await line.push.sendMany(Array.from({ length: 100 }, () => Buffer.alloc(500)));
      for (let j = 0; j < 50; j += 1) await line.pull.receive();
    }
    await Bun.sleep(5);
  };
  await round();
  const before = live();
  await round();
  await round();
  const after = live();
  expect(after.memory_live_blocks).toBe(before.memory_live_blocks);
  expect(after.memory_live_bytes).toBe(before.memory_live_bytes);
  expect(after).toMatchObject({ sessions: before.sessions, listeners: before.listeners });
});

describe("at saturation with 64 bytes there is at most one system call per 200 messages", () => {
  // Two processes; the native side counts all of its own. Bun's own (epoll_pwait2 and a read of the
  // eventfd per wake-up, which many messages share) are told by `strace -c -f`.
  test.each(["tcp", "ipc"] as Transport[])("at both ends over %s", async (transport) => {
    const count = `
      import { nativeContext } from ${JSON.stringify(context)};
      const report = (before, messages) => {
        const { system_calls } = nativeContext().stats();
        console.log(JSON.stringify({ messages, calls: system_calls - before }));
      };
    `;
    const reader = start(`${count}
      const pull = new Pull();
      await pull.bind(${JSON.stringify(transport === "tcp" ? "tcp://127.0.0.1:*" : "ipc://*")});
      console.log(pull.lastEndpoint);
      let received = 0, before = 0, from = 0;
      for await (const batch of pull.batches()) {
        received += batch.length;
        if (from === 0 && received > 200_000) { from = received; before = nativeContext().stats().system_calls; }
        if (received >= 2_000_000) break;
      }
      report(before, received - from);
      process.exit(0);
    `);
    const fromReader = lines(reader.stdout);
    const endpoint = (await fromReader.next()).value as string;
    const sender = start(`${count}
      const push = new Push({ linger: 1000 });
      push.connect(${JSON.stringify(endpoint)});
      const many = Array.from({ length: 1000 }, () => Buffer.alloc(64, 7));
      for (let i = 0; i < 200; i++) await push.sendMany(many);
      const before = nativeContext().stats().system_calls;
      for (let i = 0; i < 1800; i++) await push.sendMany(many);
      report(before, 1_800_000);
    `);
    const read = JSON.parse((await fromReader.next()).value as string);
    const sent = JSON.parse((await lines(sender.stdout).next()).value as string);
    sender.kill("SIGKILL");
    await Promise.all([reader.exited, sender.exited]);
    expect(read.messages / read.calls).toBeGreaterThanOrEqual(200);
    expect(sent.messages / sent.calls).toBeGreaterThanOrEqual(200);
  }, 20_000);
});

describe("sends of one turn of the event loop leave together", () => {
  test("100 awaited sends in a row need far fewer calls than messages", async () => {
    using line = pipeline();
    await line.push.send("connected");
    await line.pull.receive();
    const { sends } = await counted(async () => {
      for (let i = 0; i < 100; i += 1) await line.push.send(`${i}`);
      for (let i = 0; i < 100; i += 1) await line.pull.receive();
    });
    expect(sends).toBeLessThanOrEqual(4);
  });

  test("100 trySend calls too", async () => {
    using line = pipeline();
    await line.push.send("connected");
    await line.pull.receive();
    const { sends } = await counted(async () => {
      for (let i = 0; i < 100; i += 1) line.push.trySend(`${i}`);
      for (let i = 0; i < 100; i += 1) await line.pull.receive();
    });
    expect(sends).toBeLessThanOrEqual(2);
  });

  test("and one awaited send leaves with one", async () => {
    using push = new Push({ linger: 0 });
    using pull = new Pull();
    push.connect(bound(pull));
    await push.send("connected");
    await pull.receive();
    const { sends } = await counted(async () => {
      await push.send("one");
      await pull.receive();
    });
    expect(sends).toBe(1);
  });
});
