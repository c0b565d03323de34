// context.spin: looking for messages before sleeping. Faster while they come, and no work while
// they do not.

import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Context, context, Pull, Request } from "../../src/index.ts";
import { lines, start } from "../support/process.ts";
import { bound, pipeline } from "../support/sockets.ts";

afterEach(() => {
  context.spin = 0;
});

const limits = { timeout: 10_000 };

/** How often this thread has slept. */
function slept(): number {
  const status = readFileSync("/proc/thread-self/status", "latin1");
  return Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)![1]);
}

describe("the property", () => {
  test("is off, belongs to the thread, and says what it can be", () => {
    expect(context.spin).toBe(0);
    context.spin = 50;
    expect([context.spin, new Context().spin]).toEqual([50, 50]);
    for (const wrong of [-1, 0.5, 1001, Number.NaN]) {
      const assign = () => {
        context.spin = wrong;
      };
      expect(assign).toThrow("must be an integer from 0 to 1000 (µs)");
    }
    expect(() => {
      context.spin = "50" as unknown as number;
    }).toThrow(TypeError);
    expect(context.spin).toBe(50);
  });
});

const calls = {
  "await": async (request: Request) => {
    await request.send("question", limits);
    await request.receive(limits);
  },
  "the synchronous calls": async (request: Request) => {
    request.sendSync("question", limits);
    request.receiveSync(limits);
  },
};

// On one processor there is nothing to gain: nobody answers while we look.
describe.if(availableParallelism() > 1).each(Object.entries(calls))("with %s", (_, ask) => {
  test("an answer that comes soon is there without a sleep, and timers go on", async () => {
    const server = start(`
      import { context } from ${JSON.stringify(`${import.meta.dir}/../../src/index.ts`)};
      context.spin = 200;
      const reply = new Reply();
      await reply.bind("ipc://*");
      console.log(reply.lastEndpoint);
      for await (const message of reply) await reply.send(message);
    `, { timeout: 50_000 });
    try {
      using request = new Request();
      request.connect((await lines(server.stdout).next()).value as string);
      context.spin = 200;
      const rounds = 1000;
      let fewest = Number.POSITIVE_INFINITY;
      let fired = 0;
      const timer = setInterval(() => {
        fired += 1;
      }, 1);
      // Another process may need our peer's processor for a while.
      for (let tries = 0; tries < 10 && fewest > rounds / 2; tries += 1) {
        const before = slept();
        for (let i = 0; i < rounds; i += 1) {
          await ask(request);
          if (i % 100 === 0) await Bun.sleep(0);
        }
        fewest = Math.min(fewest, slept() - before);
      }
      clearInterval(timer);
      expect(fewest).toBeLessThan(rounds / 2);
      expect(fired).toBeGreaterThan(5);
    } finally {
      server.kill("SIGKILL");
      await server.exited;
    }
  }, 60_000);
});

test("a thread that nothing comes to sleeps: looking all the time would heat a room", async () => {
  using pull = new Pull();
  bound(pull);
  context.spin = 1000;
  const nothing = pull.receive({ timeout: 1000 }).catch(({ code }) => code as string);
  const before = process.cpuUsage();
  expect(await nothing as unknown).toBe("EAGAIN");
  expect(() => pull.receiveSync({ timeout: 500 })).toThrow("timed out");
  const { user, system } = process.cpuUsage(before);
  // Of 1,500 ms.
  expect(user + system).toBeLessThan(300_000);
});

test("a message that comes when nobody looks any more arrives all the same", async () => {
  using line = pipeline();
  context.spin = 20;
  for (let i = 0; i < 300; i += 1) {
    // From at once to well after the look.
    const later = i % 3 === 0 ? Promise.resolve() : Bun.sleep(i % 7 === 0 ? 3 : 0);
    const sent = later.then(() => line.push.send(`${i}`));
    expect(String((await line.pull.receive(limits))[0])).toBe(`${i}`);
    await sent;
  }
});
