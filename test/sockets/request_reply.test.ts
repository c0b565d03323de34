// Request and Reply: one question, one answer, in turn; and a server that nothing stops.

import { describe, expect, test } from "bun:test";
import { Reply, Request } from "../../src/index.ts";
import type { ReplyOptions, RequestOptions } from "../../src/index.ts";
import { bound, failure, rejection, texts, transports, until } from "../support/sockets.ts";

const wrongState = /^Operation cannot be accomplished in current state\. Request: send, then/;

function dialogue(
  options: { transport?: "tcp" | "ipc"; request?: RequestOptions; reply?: ReplyOptions } = {},
) {
  const reply = new Reply({ linger: 0, ...options.reply });
  const request = new Request({ linger: 0, ...options.request });
  const endpoint = bound(reply, options.transport);
  request.connect(endpoint);
  const close = () => {
    request.close();
    reply.close();
  };
  return { reply, request, endpoint, [Symbol.dispose]: close };
}

/** Answers "stop" by closing, everything else with itself. */
async function serve(reply: Reply): Promise<number> {
  let served = 0;
  for await (const question of reply) {
    await reply.send(question);
    served += 1;
  }
  return served;
}

describe.each(transports)("a Request and a Reply over %s", (transport) => {
  test("exchange 5,000 questions and answers", async () => {
    using pair = dialogue({ transport });
    const served = serve(pair.reply);
    for (let i = 0; i < 5000; i += 1) {
      await pair.request.send(`${i}`);
      const [answer] = await pair.request.receive();
      if (String(answer) !== `${i}`) expect(String(answer)).toBe(`${i}`);
    }
    pair.reply.close();
    expect(await served).toBe(5000);
  });

  test("work the other way round: the Reply connects", async () => {
    using request = new Request({ linger: 0 });
    using reply = new Reply({ linger: 0 });
    reply.connect(bound(request, transport));
    await request.send("question");
    expect(texts(await reply.receive())).toEqual(["question"]);
    await reply.send("answer");
    expect(texts(await request.receive())).toEqual(["answer"]);
  });
});

describe("out of turn", () => {
  test("a Request that has not asked cannot receive: EFSM", async () => {
    using pair = dialogue();
    const error = await rejection(pair.request.receive());
    expect(error).toMatchObject({ code: "EFSM", errno: 156384763 });
    expect(error.message).toMatch(wrongState);
    expect(failure(() => pair.request.tryReceive()).code).toBe("EFSM");
    expect(failure(() => pair.request.receiveSync()).code).toBe("EFSM");
    expect((await rejection(pair.request.receiveMany())).code).toBe("EFSM");
  });

  test("a Request that has asked cannot ask again: EFSM, and the answer still comes", async () => {
    using pair = dialogue();
    await pair.request.send("first");
    expect((await rejection(pair.request.send("second"))).code).toBe("EFSM");
    expect(failure(() => pair.request.trySend("second")).code).toBe("EFSM");
    expect(failure(() => pair.request.sendSync("second")).code).toBe("EFSM");
    expect((await rejection(pair.request.sendMany(["second"]))).code).toBe("EFSM");
    await pair.reply.receive();
    await pair.reply.send("answer");
    expect(texts(await pair.request.receive())).toEqual(["answer"]);
    expect(pair.reply.tryReceive()).toBeUndefined();
  });

  test("a Reply without a question cannot answer: EFSM", async () => {
    using pair = dialogue();
    const error = await rejection(pair.reply.send("answer"));
    expect(error.code).toBe("EFSM");
    expect(error.message).toMatch(wrongState);
    expect(failure(() => pair.reply.trySend("answer")).code).toBe("EFSM");
    expect(failure(() => pair.reply.sendSync("answer")).code).toBe("EFSM");
  });

  test("a Reply that has not answered cannot receive: EFSM, and it can still answer", async () => {
    using pair = dialogue();
    await pair.request.send("question");
    await pair.reply.receive();
    expect((await rejection(pair.reply.receive())).code).toBe("EFSM");
    expect(failure(() => pair.reply.tryReceive()).code).toBe("EFSM");
    await pair.reply.send("answer");
    expect((await rejection(pair.reply.send("again"))).code).toBe("EFSM");
    expect(texts(await pair.request.receive())).toEqual(["answer"]);
  });

  test("a batch of a Reply or a Request is one message", async () => {
    using pair = dialogue();
    using other = new Request({ linger: 0 });
    other.connect(pair.endpoint);
    await pair.request.send("a");
    await other.send("b");
    for (let i = 0; i < 2; i += 1) {
      const batch = await pair.reply.receiveMany();
      expect(batch).toHaveLength(1);
      await pair.reply.send(batch[0] as Buffer[]);
    }
    expect((await pair.request.receiveMany()).map(texts)).toEqual([["a"]]);
    expect((await other.receiveMany({ borrow: true })).map(texts)).toEqual([["b"]]);
  });
});

describe("a Request whose answer does not come", () => {
  test("keeps its turn after a timeout: the answer can still be received", async () => {
    using pair = dialogue({ request: { receiveTimeout: 10 } });
    await pair.request.send("slow");
    expect((await rejection(pair.request.receive())).code).toBe("EAGAIN");
    await pair.reply.receive();
    await pair.reply.send("late");
    expect(texts(await pair.request.receive({ timeout: 2000 }))).toEqual(["late"]);
  });

  test("asks again with relaxed and correlate, and the late answer is dropped", async () => {
    using pair = dialogue({ request: { relaxed: true, correlate: true } });
    await pair.request.send("first");
    await pair.reply.receive();
    expect((await rejection(pair.request.receive({ timeout: 5 }))).code).toBe("EAGAIN");
    await pair.request.send("second");
    await pair.reply.send("to the first");
    expect(texts(await pair.reply.receive())).toEqual(["second"]);
    await pair.reply.send("to the second");
    expect(texts(await pair.request.receive({ timeout: 2000 }))).toEqual(["to the second"]);
    expect(pair.request.stats().droppedStale + pair.request.stats().droppedMalformed).toBe(1);
  });

  test("asks again with relaxed alone", async () => {
    using pair = dialogue({ request: { relaxed: true } });
    for (let i = 0; i < 10; i += 1) {
      await pair.request.send(`${i}`);
      expect(texts(await pair.reply.receive())).toEqual([`${i}`]);
      await pair.reply.send("never read");
    }
  });

  test("retries until its server comes back", async () => {
    const first = new Reply({ linger: 0 });
    const endpoint = bound(first);
    using request = new Request({
      linger: 0, relaxed: true, correlate: true, receiveTimeout: 40, reconnectInterval: 5,
    });
    request.connect(endpoint);
    await request.send("lost with its server");
    await first.receive();
    first.close();
    expect((await rejection(request.receive())).code).toBe("EAGAIN");
    using again = new Reply({ linger: 0 });
    again.bindSync(endpoint);
    const served = serve(again);
    let answer: string | undefined;
    for (let attempt = 0; answer === undefined && attempt < 20; attempt += 1) {
      await request.send(`attempt ${attempt}`);
      answer = await request.receive().then(([part]) => String(part), () => undefined);
    }
    expect(answer).toMatch(/^attempt \d+$/);
    again.close();
    await served;
  });
});

describe("a Reply", () => {
  test("answers each of ten Requests with its own answer", async () => {
    using reply = new Reply({ linger: 0 });
    const endpoint = bound(reply);
    const served = serve(reply);
    const asked = Array.from({ length: 10 }, async (_, who) => {
      using request = new Request({ linger: 0 });
      request.connect(endpoint);
      for (let i = 0; i < 200; i += 1) {
        await request.send([`${who}`, `${i}`]);
        expect(texts(await request.receive())).toEqual([`${who}`, `${i}`]);
      }
    });
    await Promise.all(asked);
    reply.close();
    expect(await served).toBe(2000);
  });

  test("drops and counts the answer to a requester who has gone, and goes on", async () => {
    using pair = dialogue();
    await pair.request.send("question");
    await pair.reply.receive();
    pair.request.close();
    await until("it has gone", () => pair.reply.stats().connections === 0);
    await pair.reply.send(["to", "nobody"]);
    expect(pair.reply.stats().droppedNoPeer).toBe(1);
    using other = new Request({ linger: 0 });
    other.connect(pair.endpoint);
    await other.send("next");
    expect(texts(await pair.reply.receive())).toEqual(["next"]);
    await pair.reply.send("answer");
    expect(texts(await other.receive())).toEqual(["answer"]);
  });

  test("serves on while requesters come and go in the middle of everything", async () => {
    using reply = new Reply({ linger: 0 });
    const endpoint = bound(reply);
    const served = serve(reply);
    for (let i = 0; i < 100; i += 1) {
      const request = new Request({ linger: 0 });
      request.connect(endpoint);
      await request.send([`${i}`, Buffer.alloc(i * 997)]);
      if (i % 3 === 0) await request.receive();
      if (i % 3 === 1) await Bun.sleep(0);
      request.close();
    }
    using last = new Request({ linger: 0 });
    last.connect(endpoint);
    await last.send("last");
    expect(texts(await last.receive({ timeout: 3000 }))).toEqual(["last"]);
    reply.close();
    await served;
  });

  test("serves on after malformed messages and garbage, which are counted", async () => {
    using pair = dialogue();
    const served = serve(pair.reply);
    const port = Number(/:(\d+)$/.exec(pair.endpoint)?.[1]);
    const greeting = Buffer.alloc(64);
    greeting.set([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1]);
    greeting.write("NULL", 12);
    const ready = Buffer.from("\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03REQ", "latin1");
    // No delimiter; a delimiter and nothing behind it; an envelope without an end.
    const bodies = [[0, 1, 65], [0, 0], [1, 1, 65, 1, 1, 66, 0, 1, 67]];
    const raw = await Promise.all(
      bodies.map(async (body) => {
        const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
        socket.write(Buffer.concat([greeting, ready, Buffer.from(body)]));
        return socket;
      }),
    );
    for (const text of ["GET / HTTP/1.1\r\n\r\n", "\0".repeat(100)]) {
      const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
      socket.write(text);
      raw.push(socket);
    }
    await until("the malformed are counted", () => pair.reply.stats().droppedMalformed === 3);
    for (let i = 0; i < 10; i += 1) {
      await pair.request.send(`${i}`);
      expect(texts(await pair.request.receive({ timeout: 2000 }))).toEqual([`${i}`]);
    }
    for (const socket of raw) socket.end();
    pair.reply.close();
    expect(await served).toBe(10);
  });
});

test("a Request with two Replies asks them in turn", async () => {
  using one = new Reply({ linger: 0 });
  using two = new Reply({ linger: 0 });
  using request = new Request({ linger: 0 });
  request.connect(bound(one));
  request.connect(bound(two));
  await until("both are there", () => request.stats().connections === 2);
  const counts = [0, 0];
  for (const [i, reply] of [one, two].entries()) {
    void (async () => {
      for await (const question of reply) {
        counts[i] = (counts[i] as number) + 1;
        await reply.send(question);
      }
    })();
  }
  for (let i = 0; i < 100; i += 1) {
    await request.send(`${i}`);
    expect(texts(await request.receive())).toEqual([`${i}`]);
  }
  expect(counts).toEqual([50, 50]);
});

test("a request of more parts than a ring holds is answered whole", async () => {
  using pair = dialogue();
  const parts = Array.from({ length: 1500 }, (_, i) => `${i}`);
  await pair.request.send(parts);
  expect(texts(await pair.reply.receive())).toEqual(parts);
  await pair.reply.send(parts);
  expect(texts(await pair.request.receive())).toEqual(parts);
});
