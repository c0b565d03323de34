// Messages one way, to and from peers that are killed: PUSH, PULL, PAIR, DEALER, and the drafts
// that are like them.

import { connect as connectRaw } from "node:net";
import { Channel, Gather } from "../../src/draft.ts";
import { Dealer, Pair, Pull, Push, Reply, Request } from "../../src/index.ts";
import { numbered, numberOf } from "../interop/messages.ts";
import { fresh, libzmq, type Role, type Transport } from "../interop/peer.ts";
import { child } from "./child.ts";
import { check, Lives, ownPort, PARTS, type Task, type Tasks, until } from "./work.ts";

const senders = { push: Push, pair: Pair, dealer: Dealer };
const theirs = { push: "pull", pair: "pair", dealer: "dealer" } satisfies Record<string, Role>;

/** What is sent while the peer is there and idle, and while it is away, arrives: all and once. */
async function sendToKilled(task: Task, kind: keyof typeof senders, transport: Transport) {
  await using socket = new senders[kind]({ reconnectInterval: 10, linger: 0 });
  let away = Promise.withResolvers<void>();
  socket.events.on("disconnect", () => away.resolve());
  const endpoint = transport === "tcp" ? ownPort() : fresh("ipc");
  socket.connect(endpoint);
  let sent = 0;
  let expected = 0;
  const send = async (count: number) => {
    for (let i = 0; i < count; i += 1, sent += 1) {
      await socket.send(numbered(sent, PARTS, sent % 7 === 0 ? 20_000 : 50), { timeout: 10_000 });
    }
  };
  while (task.running) {
    await send(100);
    const options = { numbered: true, parts: PARTS, log: true } as const;
    const peer = libzmq(theirs[kind], "bind", endpoint, options);
    await send(300);
    const due = sent;
    await peer.until(() => (peer.numbers().at(-1) === due - 1 ? true : undefined), "all of it");
    away = Promise.withResolvers();
    task.step(`kill ${peer.pid}`);
    await peer.kill();
    task.step("killed");
    const numbers = peer.numbers();
    check(numbers.length === due - expected, `${numbers.length} arrived, not ${due - expected}`);
    for (const [index, number] of numbers.entries()) {
      check(number === expected + index, () => `${number} instead of ${expected + index}`);
    }
    expected = due;
    task.counts.messages += numbers.length;
    task.counts.lives += 1;
    // Until the end is noticed, messages are in flight and may be lost.
    await away.promise;
  }
}

const receivers = { push: Pull, pair: Pair, dealer: Dealer, scatter: Gather, channel: Channel };

/** Senders are killed in the middle of messages: what arrives is whole and in order. */
async function receiveFromKilled(task: Task, kind: keyof typeof receivers, transport: Transport) {
  await using socket = new receivers[kind]({ reconnectInterval: 10 });
  await socket.bind(fresh(transport));
  const draft = kind === "scatter" || kind === "channel";
  const lives = new Lives();
  const receiving = (async () => {
    for await (const message of socket) {
      const parts = Array.isArray(message) ? message : [message];
      lives.add(numberOf(parts, draft ? 1 : PARTS));
      task.counts.messages += 1;
    }
  })();
  for (let life = 0; task.running; life += 1) {
    const peer =
      life % 2 === 0 && !draft
        ? libzmq(kind, "connect", socket.lastEndpoint!, {
            stream: true,
            count: 1e6,
            first: life * 1e6,
            parts: PARTS,
            size: life % 4 === 0 ? 50_000 : 40,
            linger: 0,
          })
        : child(kind, socket.lastEndpoint!, life * 1e6);
    await Promise.race([until(() => lives.of(life) > 300, `life ${life} of a ${kind}`), receiving]);
    task.step(`kill ${peer.pid}`);
    await peer.kill();
    task.step("killed");
    // The last of it may still be unread.
    await until(() => socket.stats().connections === 0, `the end of a killed ${kind}`);
    task.counts.lives += 1;
  }
  task.step("closing");
  socket.close();
  await receiving;
}

/** A sender that ends by itself delivers everything first. */
async function pullFromPolite(task: Task): Promise<void> {
  for (let life = 0; task.running; life += 1) {
    await using pull = new Pull();
    await pull.bind(fresh(life % 2 === 0 ? "tcp" : "ipc"));
    const count = 2000;
    const peer = child("push", pull.lastEndpoint!, 0, count);
    for (let number = 0; number < count; number += 1) {
      const message = await pull.receive({ timeout: 10_000 });
      check(numberOf(message, PARTS) === number, `${number} is missing`);
    }
    task.step(`release ${peer.pid}`);
    check((await peer.release()) === 0, "the polite sender failed");
    task.step("released");
    task.counts.messages += count;
    task.counts.lives += 1;
  }
}

/** Sockets of this thread come and go, some in the middle of messages. */
async function openAndClose(task: Task): Promise<void> {
  for (let round = 0; task.running; round += 1) {
    const transport = round % 2 === 0 ? "tcp" : "ipc";
    const pull = new Pull();
    await pull.bind(fresh(transport));
    for (let number = 0; number < 5; number += 1) {
      const push = new Push();
      push.connect(pull.lastEndpoint!);
      for (let i = 0; i < 20; i += 1) await push.send(numbered(i, PARTS, 500));
      // Linger delivers what is queued.
      push.close();
    }
    for (let i = 0; i < 100; i += 1) numberOf(await pull.receive({ timeout: 10_000 }), PARTS);
    pull.close();

    const reply = new Reply();
    await reply.bind(fresh(transport));
    const request = new Request();
    request.connect(reply.lastEndpoint!);
    await request.send("ask");
    await reply.send(await reply.receive({ timeout: 10_000 }));
    check(String(await request.receive({ timeout: 10_000 })) === "ask", "no answer");
    request.close();
    reply.close();

    const rude = new Push({ linger: 0 });
    const sink = new Pull();
    await sink.bind(fresh(transport));
    rude.connect(sink.lastEndpoint!);
    for (let i = 0; i < 50; i += 1) await rude.send([Buffer.alloc(70_000), "x"]);
    const waiting = sink.receive().catch(() => undefined);
    await Bun.sleep(1);
    rude.close();
    sink.close();
    task.step("closing");
    await waiting;
    task.step("closed");
    task.counts.messages += 101;
    task.counts.opened += 10;
    await Bun.sleep(5);
  }
}

/** Connections that are no peers: silent, garbage, half a greeting. */
async function strangers(task: Task): Promise<void> {
  await using pull = new Pull({ handshakeInterval: 200 });
  await pull.bind("tcp://127.0.0.1:*");
  const port = Number(pull.lastEndpoint!.split(":").at(-1));
  const greeting = "\xff\0\0\0\0\0\0\0\x01\x7f";
  const says = ["", "GET / HTTP/1.0\r\n\r\n", greeting, greeting.slice(0, 3), "\0".repeat(100)];
  while (task.running) {
    const text = says[task.counts.strangers % says.length]!;
    const socket = connectRaw({ host: "127.0.0.1", port });
    socket.on("error", () => {});
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.write(Buffer.from(text, "latin1"));
    if (task.counts.strangers % 3 === 0) socket.end();
    setTimeout(() => socket.destroy(), 300);
    task.counts.strangers += 1;
    if (task.counts.strangers % 20 === 0) await closed;
    await Bun.sleep(2);
  }
}

export const links: Tasks = {
  "push to killed, tcp": (task) => sendToKilled(task, "push", "tcp"),
  "push to killed, ipc": (task) => sendToKilled(task, "push", "ipc"),
  "pair to killed": (task) => sendToKilled(task, "pair", "tcp"),
  "dealer to killed": (task) => sendToKilled(task, "dealer", "ipc"),
  "pull from killed, tcp": (task) => receiveFromKilled(task, "push", "tcp"),
  "pull from killed, ipc": (task) => receiveFromKilled(task, "push", "ipc"),
  "pair from killed": (task) => receiveFromKilled(task, "pair", "ipc"),
  "dealer from killed": (task) => receiveFromKilled(task, "dealer", "tcp"),
  "gather from killed": (task) => receiveFromKilled(task, "scatter", "tcp"),
  "channel from killed": (task) => receiveFromKilled(task, "channel", "ipc"),
  "pull from polite": pullFromPolite,
  "open and close": openAndClose,
  strangers,
};
