// Calls that wait: their limits, what ends them, and that ending them loses nothing.

import { describe, expect, test } from "bun:test";
import { Pull, Push, Reply, Request } from "../../src/index.ts";
import {
  bound,
  failure,
  pipeline,
  reasonOf,
  rejection,
  texts,
  until,
} from "../support/sockets.ts";

const timedOut = /^Operation was not possible or timed out/;

describe("a receive that times out", () => {
  test("rejects with EAGAIN, the endpoint, and what to do", async () => {
    using line = pipeline();
    const error = await rejection(line.pull.receive({ timeout: 5 }));
    expect(error).toMatchObject({ code: "EAGAIN", errno: 11, address: line.endpoint });
    expect(error.message).toMatch(timedOut);
    expect(error.message).toContain("timeout");
  });

  test("with 0 does not wait, and takes what is there", async () => {
    using line = pipeline({ pull: { receiveTimeout: 0 } });
    const started = performance.now();
    expect((await rejection(line.pull.receive())).code).toBe("EAGAIN");
    expect((await rejection(line.pull.receiveMany({ timeout: 0 }))).code).toBe("EAGAIN");
    expect(performance.now() - started).toBeLessThan(50);
    await line.push.send("there");
    await until("it is there", () => line.pull.readable);
    expect(texts(await line.pull.receive())).toEqual(["there"]);
  });

  test("waits as long as it was told, by the option or by the call", async () => {
    using pull = new Pull({ receiveTimeout: 30 });
    for (const [options, ms] of [[undefined, 30], [{ timeout: 60 }, 60]] as const) {
      const started = performance.now();
      expect((await rejection(pull.receive(options))).code).toBe("EAGAIN");
      expect(performance.now() - started).toBeGreaterThan(ms - 2);
      expect(performance.now() - started).toBeLessThan(ms + 200);
    }
  });

  test("of a call with -1 does not time out, whatever the option says", async () => {
    using line = pipeline({ pull: { receiveTimeout: 10 } });
    const waiting = line.pull.receive({ timeout: -1 });
    await Bun.sleep(30);
    await line.push.send("late");
    expect(texts(await waiting)).toEqual(["late"]);
  });

  test.each([-2, 1.5, 2 ** 31, Number.NaN])("of %p is refused", async (timeout) => {
    using pull = new Pull();
    const refused = await reasonOf(Promise.try(() => pull.receive({ timeout })));
    expect(refused).toMatchObject({ code: "EINVAL" });
    expect(() => pull.receiveSync({ timeout })).toThrow("timeout");
  });

  test("of a wrong type is refused, and the next receive works", async () => {
    using line = pipeline();
    const wrong = { timeout: "5" as unknown as number };
    expect(await reasonOf(Promise.try(() => line.pull.receive(wrong)))).toBeInstanceOf(TypeError);
    const waiting = line.pull.receive();
    await line.push.send("good");
    expect(texts(await waiting)).toEqual(["good"]);
  });
});

describe("a send without room", () => {
  test("rejects with EAGAIN after sendTimeout, at once for 0", async () => {
    using push = new Push({ sendTimeout: 20, linger: 0 });
    const started = performance.now();
    const error = await rejection(push.send("x"));
    expect(error.code).toBe("EAGAIN");
    expect(error.message).toMatch(timedOut);
    expect(performance.now() - started).toBeGreaterThan(18);
    push.sendTimeout = 0;
    expect((await rejection(push.send("x"))).code).toBe("EAGAIN");
    expect((await rejection(push.sendMany(["x"]))).code).toBe("EAGAIN");
    expect(push.trySend("x")).toBe(false);
  });

  test("that timed out has queued nothing", async () => {
    using push = new Push({ linger: 0 });
    using pull = new Pull({ linger: 0 });
    for (let i = 0; i < 20; i += 1) await rejection(push.send(`lost ${i}`, { timeout: 0 }));
    await rejection(push.send("lost", { timeout: 5 }));
    push.connect(bound(pull));
    await push.send("kept");
    expect(texts(await pull.receive())).toEqual(["kept"]);
  });

  test("goes on when there is room", async () => {
    using push = new Push({ linger: 0 });
    using pull = new Pull({ linger: 0 });
    const sending = push.send("x");
    push.connect(bound(pull));
    expect(await sending).toBeUndefined();
    expect(texts(await pull.receive())).toEqual(["x"]);
  });
});

describe("an AbortSignal", () => {
  test("rejects a waiting receive with its reason, and nothing is lost", async () => {
    using line = pipeline();
    const controller = new AbortController();
    const waiting = line.pull.receive({ signal: controller.signal });
    const reason = { any: "value" };
    controller.abort(reason);
    expect(await reasonOf(waiting)).toBe(reason);
    await line.push.send("later");
    expect(texts(await line.pull.receive())).toEqual(["later"]);
  });

  test("without a reason rejects with an AbortError", async () => {
    using pull = new Pull();
    const controller = new AbortController();
    const waiting = pull.receive({ signal: controller.signal });
    controller.abort();
    expect(await reasonOf(waiting)).toMatchObject({ name: "AbortError" });
  });

  test("of AbortSignal.timeout ends a receive", async () => {
    using pull = new Pull();
    const waiting = pull.receive({ signal: AbortSignal.timeout(5) });
    expect(await reasonOf(waiting)).toMatchObject({ name: "TimeoutError" });
  });

  test("that was aborted before takes nothing and sends nothing", async () => {
    using line = pipeline();
    const signal = AbortSignal.abort(new Error("before"));
    await line.push.send("stays");
    await until("it is there", () => line.pull.readable);
    for (const refused of [
      line.pull.receive({ signal }),
      line.pull.receiveMany({ signal }),
      line.push.send("never", { signal }),
      line.push.sendMany(["never"], { signal }),
      line.pull.bind("tcp://127.0.0.1:*", { signal }),
    ]) {
      expect(String(await reasonOf(refused))).toContain("before");
    }
    expect(line.pull.lastEndpoint).toBe(line.endpoint);
    expect(texts(await line.pull.receive())).toEqual(["stays"]);
    expect(line.pull.tryReceive()).toBeUndefined();
    expect(line.push.stats().messagesSent).toBe(1);
  });

  test("ends batches while messages keep coming", async () => {
    using line = pipeline();
    const controller = new AbortController();
    await line.push.sendMany(["a", "b", "c"]);
    const batches = line.pull.batches({ max: 1, signal: controller.signal });
    expect((await batches.next()).value?.map(texts)).toEqual([["a"]]);
    controller.abort(new Error("stop"));
    expect(String(await reasonOf(batches.next()))).toContain("stop");
    expect(texts(await line.pull.receive())).toEqual(["b"]);
  });

  test("that was aborted before ends a call that would wait behind another", async () => {
    using line = pipeline({ pull: { concurrency: "queue" }, push: { concurrency: "queue" } });
    using alone = new Push({ linger: 0, concurrency: "queue" });
    const signal = AbortSignal.abort(new Error("before"));
    const first = [line.pull.receive(), alone.send("a")];
    expect(String(await reasonOf(line.pull.receive({ signal })))).toContain("before");
    expect(String(await reasonOf(alone.send("b", { signal })))).toContain("before");
    alone.connect(line.endpoint);
    await Promise.all(first);
    expect(alone.stats().messagesSent).toBe(1);
  });

  test("ends a sendMany that has just got room and not gone on yet", async () => {
    using pull = new Pull({ linger: 0, receiveHighWaterMark: 10 });
    pull.bindSync("inproc://waiting-aborted");
    using push = new Push({ linger: 0, sendHighWaterMark: 10 });
    push.connect("inproc://waiting-aborted");
    const controller = new AbortController();
    const messages = Array.from({ length: 1000 }, () => "x");
    const sending = push.sendMany(messages, { signal: controller.signal });
    await push.connected();
    await until("it waits", () => !push.writable);
    const before = push.stats().messagesSent;
    while (push.stats().messagesSent === before) pull.tryReceive();
    // Nobody listens to the signal in this moment.
    controller.abort(new Error("stop"));
    expect(String(await reasonOf(sending))).toContain("stop");
  });

  test("that is none is refused by every call, and takes no message with it", async () => {
    using line = pipeline();
    const signal = new AbortController() as unknown as AbortSignal;
    for (const call of [
      () => line.pull.receive({ signal }),
      () => line.pull.receiveMany({ signal }),
      () => line.pull.batches({ signal }).next(),
      () => line.push.send("never", { signal }),
      () => line.push.sendMany(["never"], { signal }),
      () => line.pull.connected(undefined, { signal }),
      () => line.pull.bind("tcp://127.0.0.1:*", { signal }),
      () => line.pull.unbind(line.endpoint, { signal }),
    ]) {
      // Rejected, not thrown: callers have one place for errors.
      expect(String(await reasonOf(call()))).toStartWith("TypeError: signal must be an AbortSignal");
    }
    const number = 500 as unknown as { timeout: number };
    expect(String(await reasonOf(line.pull.receive(number)))).toContain("such as { timeout: 500 }");
    const waiting = line.pull.receive();
    await line.push.send("good");
    expect(texts(await waiting)).toEqual(["good"]);
  });

  test("rejects a waiting send, and its message is not sent", async () => {
    using push = new Push({ linger: 0 });
    using pull = new Pull({ linger: 0 });
    const controller = new AbortController();
    const waiting = push.send("never", { signal: controller.signal });
    controller.abort(new Error("stop"));
    expect(String(await reasonOf(waiting))).toContain("stop");
    push.connect(bound(pull));
    await push.send("sent");
    expect(texts(await pull.receive())).toEqual(["sent"]);
  });

  test("does nothing after the call is over", async () => {
    using line = pipeline();
    const controller = new AbortController();
    const { signal } = controller;
    await line.push.send("a", { signal });
    expect(texts(await line.pull.receive({ signal }))).toEqual(["a"]);
    controller.abort();
    await line.push.send("b");
    expect(texts(await line.pull.receive())).toEqual(["b"]);
  });

  test("aborted 10,000 times under load loses no message", async () => {
    using line = pipeline();
    const total = 20_000;
    const sending = (async () => {
      for (let i = 0; i < total; i += 1) {
        await line.push.send(String(i));
        if (i % 50 === 0) await Bun.sleep(0);
      }
    })();
    let aborted = 0;
    let next = 0;
    while (next < total || aborted < 10_000) {
      const controller = new AbortController();
      const waiting = line.pull.receive({ signal: controller.signal });
      if (aborted < 10_000) controller.abort("aborted");
      try {
        const [part] = await waiting;
        if (String(part) !== String(next)) expect(String(part)).toBe(String(next));
        next += 1;
      } catch (reason) {
        expect(reason).toBe("aborted");
        aborted += 1;
      }
    }
    expect({ next, aborted }).toEqual({ next: total, aborted: 10_000 });
    await sending;
  });

  test("ends a bind that looks a name up, and the socket can be bound afterwards", async () => {
    using pull = new Pull();
    const controller = new AbortController();
    const binding = pull.bind("tcp://localhost:*", { signal: controller.signal });
    controller.abort(new Error("stop"));
    expect(String(await reasonOf(binding))).toContain("stop");
    expect(pull.lastEndpoint).toBeNull();
    await pull.bind("tcp://localhost:*");
    expect(pull.lastEndpoint).toMatch(/^tcp:\/\/127\.0\.0\.1:\d+$/);
  });

  test("ends an unbind that looks a name up, and the socket stays bound", async () => {
    using pull = new Pull();
    const port = bound(pull).split(":").at(-1);
    const controller = new AbortController();
    const unbinding = pull.unbind(`tcp://localhost:${port}`, { signal: controller.signal });
    controller.abort(new Error("stop"));
    expect(String(await reasonOf(unbinding))).toContain("stop");
    await pull.unbind(`tcp://localhost:${port}`);
  });
});

describe('with concurrency "error"', () => {
  test("a second receive throws EBUSY at once, and the first goes on", async () => {
    using line = pipeline();
    const waiting = line.pull.receive();
    for (const call of [
      () => line.pull.receive(),
      () => line.pull.receiveMany(),
      () => line.pull.receiveSync(),
      () => line.pull.receiveManySync(),
    ]) {
      const error = failure(call);
      expect(error.code).toBe("EBUSY");
      expect(error.message).toMatch(/^Socket is busy reading\. .*concurrency to "queue"/);
    }
    await line.push.send("a");
    expect(texts(await waiting)).toEqual(["a"]);
  });

  test("a second send throws EBUSY at once, and the first goes on", async () => {
    using push = new Push({ linger: 0 });
    using pull = new Pull({ linger: 0 });
    const waiting = push.send("a");
    expect(failure(() => push.send("b")).message).toMatch(/^Socket is busy writing\. /);
    expect(failure(() => push.sendSync("b")).code).toBe("EBUSY");
    expect((await rejection(push.sendMany(["b"]))).code).toBe("EBUSY");
    expect(push.trySend("b")).toBe(false);
    push.connect(bound(pull));
    await waiting;
    expect(texts(await pull.receive())).toEqual(["a"]);
    expect(push.stats().messagesSent).toBe(1);
  });

  test("tryReceive beside a waiting receive does not take its message twice", async () => {
    using line = pipeline();
    const waiting = line.pull.receive();
    await line.push.sendMany(["a", "b"]);
    const first = await waiting;
    const second = line.pull.tryReceive() ?? (await line.pull.receive());
    expect([texts(first), texts(second)]).toEqual([["a"], ["b"]]);
  });

  test("calls while a name is looked up for bind throw EBUSY", async () => {
    using pull = new Pull();
    using request = new Request();
    const binding = [pull.bind("tcp://localhost:*"), request.bind("tcp://localhost:*")];
    const text = /^Socket is blocked by a bind or unbind operation/;
    for (const call of [
      () => pull.receive(),
      () => pull.tryReceive(),
      () => pull.connect("tcp://127.0.0.1:1"),
      () => pull.bindSync("tcp://127.0.0.1:*"),
      () => pull.unbindSync("tcp://127.0.0.1:1"),
      () => request.send("x"),
      () => request.trySend("x"),
      () => request.sendSync("x"),
    ]) {
      const error = failure(call);
      expect(error.code).toBe("EBUSY");
      expect(error.message).toMatch(text);
    }
    expect((await rejection(pull.bind("tcp://127.0.0.1:*"))).code).toBe("EBUSY");
    await Promise.all(binding);
    expect(pull.tryReceive()).toBeUndefined();
  });
});

describe('with concurrency "queue"', () => {
  test("receives get their messages in the order of the calls", async () => {
    using line = pipeline({ pull: { concurrency: "queue" } });
    const waiting = Array.from({ length: 100 }, () => line.pull.receive());
    await line.push.sendMany(Array.from({ length: 100 }, (_, i) => `${i}`));
    const received = (await Promise.all(waiting)).map((message) => texts(message)[0]);
    expect(received).toEqual(Array.from({ length: 100 }, (_, i) => `${i}`));
  });

  test("sends are queued in the order of the calls", async () => {
    using push = new Push({ linger: 0, concurrency: "queue" });
    using pull = new Pull({ linger: 0 });
    const waiting = Array.from({ length: 100 }, (_, i) => push.send(`${i}`));
    push.connect(bound(pull));
    await Promise.all(waiting);
    for (let i = 0; i < 100; i += 1) expect(texts(await pull.receive())).toEqual([`${i}`]);
  });

  test("one that is aborted or times out lets the others have their turn", async () => {
    using line = pipeline({ pull: { concurrency: "queue" } });
    const controller = new AbortController();
    const first = line.pull.receive({ signal: controller.signal });
    const second = line.pull.receive({ timeout: 5 });
    const third = line.pull.receive();
    controller.abort("first");
    expect(await reasonOf(first)).toBe("first");
    expect(await reasonOf(second)).toMatchObject({ code: "EAGAIN" });
    await line.push.send("for the third");
    expect(texts(await third)).toEqual(["for the third"]);
  });

  test("closing ends all of them", async () => {
    using pull = new Pull({ concurrency: "queue" });
    const waiting = [pull.receive(), pull.receive(), pull.receiveMany()];
    pull.close();
    for (const one of waiting) expect(await reasonOf(one)).toMatchObject({ code: "EAGAIN" });
  });
});

describe("closing", () => {
  test("rejects waiting calls with EAGAIN and says why", async () => {
    using pull = new Pull();
    using push = new Push({ linger: 0 });
    const waiting = [pull.receive(), push.send("x")];
    pull.close();
    push.close();
    for (const one of waiting) {
      const error = await rejection(one);
      expect(error.code).toBe("EAGAIN");
      expect(error.message).toMatch(timedOut);
      expect(error.message).toContain("closed");
    }
  });

  test("ends a sendMany that has just got room and not gone on yet", async () => {
    using pull = new Pull({ linger: 0, receiveHighWaterMark: 10 });
    pull.bindSync("inproc://waiting-closed");
    const push = new Push({ linger: 0, sendHighWaterMark: 10 });
    push.connect("inproc://waiting-closed");
    const sending = push.sendMany(Array.from({ length: 1000 }, () => "x"));
    await push.connected();
    await until("it waits", () => !push.writable);
    const before = push.stats().messagesSent;
    // The turns of these calls settle what waits; its promise goes on after this function.
    while (push.stats().messagesSent === before) pull.tryReceive();
    push.close();
    expect((await rejection(sending)).message).toContain("closed while this call waited");
  });

  test("twice is fine, and afterwards every call says EBADF", async () => {
    const pull = new Pull();
    const push = new Push();
    for (const socket of [pull, push]) {
      expect(socket.closed).toBe(false);
      socket.close();
      socket.close();
      expect(socket.closed).toBe(true);
      for (const call of [
        () => socket.bindSync("tcp://127.0.0.1:*"),
        () => socket.connect("tcp://127.0.0.1:1"),
        () => socket.disconnect("tcp://127.0.0.1:1"),
        () => socket.unbindSync("tcp://127.0.0.1:1"),
      ]) {
        const error = failure(call);
        expect(error.code).toBe("EBADF");
        expect(error.message).toMatch(/^Socket is closed/);
      }
      expect((await rejection(socket.bind("tcp://127.0.0.1:*"))).code).toBe("EBADF");
    }
    expect((await rejection(pull.receive())).code).toBe("EBADF");
    expect((await rejection(pull.receiveMany())).code).toBe("EBADF");
    expect((await rejection(push.send("x"))).code).toBe("EBADF");
    expect(failure(() => pull.tryReceive()).code).toBe("EBADF");
    expect(failure(() => pull.receiveSync()).code).toBe("EBADF");
    expect(failure(() => push.trySend("x")).code).toBe("EBADF");
    expect(failure(() => push.sendSync("x")).code).toBe("EBADF");
    expect(pull.readable).toBe(false);
    expect(push.writable).toBe(false);
  });

  test("of a closed socket leaves its numbers, its options and its description", () => {
    const push = new Push({ linger: 7 });
    push.connect("tcp://127.0.0.1:1");
    push.close();
    expect(push.stats().messagesSent).toBe(0);
    expect(push.linger).toBe(7);
    push.linger = 8;
    expect(Bun.inspect(push)).toContain("closed: true");
    expect(push.ref()).toBe(push);
    expect(push.unref()).toBe(push);
  });

  test("waits for a bind that looks a name up, and the port is free afterwards", async () => {
    const pull = new Pull();
    const binding = pull.bind("tcp://localhost:*");
    pull.close();
    expect(pull.closed).toBe(true);
    await binding.catch(() => "closed meanwhile");
    expect((await rejection(pull.receive())).code).toBe("EBADF");
  });

  test("happens at the end of a using block, and of an await using block", async () => {
    let pull: Pull;
    {
      using inner = new Pull();
      pull = inner;
      expect(inner.closed).toBe(false);
    }
    expect(pull.closed).toBe(true);
    {
      await using inner = new Pull();
      pull = inner;
    }
    expect(pull.closed).toBe(true);
  });

  test("inside a loop over messages ends the loop", async () => {
    using reply = new Reply();
    using request = new Request();
    request.connect(bound(reply));
    await request.send("stop");
    let turns = 0;
    for await (const [question] of reply) {
      turns += 1;
      if (String(question) === "stop") reply.close();
    }
    expect(turns).toBe(1);
  });

  test("frees the port at once", async () => {
    const first = new Pull();
    const endpoint = bound(first);
    for (let i = 0; i < 20; i += 1) {
      first.close();
      using again = new Pull();
      again.bindSync(endpoint);
    }
  });

  test("of one end in the middle of a stream leaves the other end good", async () => {
    const line = pipeline({ push: { sendTimeout: 1000 } });
    const sending = (async () => {
      for (let i = 0; ; i += 1) await line.push.send(`${i}`);
    })();
    for (let i = 0; i < 500; i += 1) await line.pull.receive();
    line.push.close();
    expect(["EAGAIN", "EBADF"]).toContain((await rejection(sending)).code);
    using again = new Push({ linger: 0 });
    again.connect(line.endpoint);
    await again.send("end");
    for await (const [part] of line.pull) if (String(part) === "end") break;
    line.pull.close();
  });
});
