// inproc, inside a thread and to Workers that are terminated, and proxies, which have threads too.

import { threadId } from "node:worker_threads";
import {
  Dealer, Pair, Proxy, Publisher, Pull, Push, Request, Router, Subscriber, XPublisher,
  XSubscriber,
} from "../../src/index.ts";
import type { Task as WorkerTask } from "../children/inproc_worker.ts";
import { numbered, numberOf } from "../interop/messages.ts";
import { libzmq } from "../interop/peer.ts";
import { check, ownPort, PARTS, type Task, type Tasks, until } from "./work.ts";

const patience = { timeout: 10_000 };
let names = 0;
const fresh = () => `inproc://soak ${threadId} ${(names += 1)}`;

/** Sockets of one thread come and go, connect before bind and after it. */
async function inprocInside(task: Task): Promise<void> {
  for (let round = 0; task.running; round += 1) {
    const endpoint = fresh();
    const pull = new Pull();
    if (round % 2 === 0) pull.bindSync(endpoint);
    const pushes = Array.from({ length: 5 }, () => new Push());
    for (const push of pushes) {
      push.connect(endpoint);
      for (let i = 0; i < 20; i += 1) await push.send(numbered(i, PARTS, i * 700 + 12));
      push.close();
    }
    if (round % 2 === 1) pull.bindSync(endpoint);
    for (let i = 0; i < 100; i += 1) numberOf(await pull.receive(patience), PARTS);
    check(pull.tryReceive() === undefined, "a message too many");
    pull.close();

    const [one, other] = [new Pair(), new Pair({ receiveHighWaterMark: 5, linger: 0 })];
    one.bindSync(endpoint);
    other.connect(endpoint);
    for (let i = 0; i < 10; i += 1) {
      await one.send(["there", `${i}`]);
      check(String((await other.receive(patience))[1]) === `${i}`, "PAIR: another message");
      await other.send(["and back", Buffer.alloc(i * 10_000)]);
    }
    for (let i = 0; i < 5; i += 1) {
      check((await one.receive(patience))[1]!.length === i * 10_000, "PAIR: another size");
    }
    // With messages unread on both sides.
    one.trySend("never read");
    if (round % 3 === 0) one.close();
    other.close();
    one.close();
    task.counts.messages += 115;
    task.counts.opened += 8;
    await Bun.sleep(5);
  }
}

const workerUrl = new URL("../children/inproc_worker.ts", import.meta.url).href;

function worker(work: WorkerTask): Worker {
  const started = new Worker(workerUrl);
  started.postMessage(work);
  return started;
}

async function terminate(it: Worker): Promise<void> {
  const closed = new Promise((resolve) => it.addEventListener("close", resolve));
  it.terminate();
  await closed;
}

/** A Worker is terminated in the middle of what it says: whole messages, in order, and an end. */
async function inprocFromTerminated(task: Task): Promise<void> {
  const endpoint = fresh();
  await using pull = new Pull();
  pull.bindSync(endpoint);
  while (task.running) {
    const flooding = worker({ task: "flood", endpoint, count: 1 });
    let next = 0;
    const take = (message: Buffer[] | undefined) => {
      if (message === undefined) return false;
      const [number, rest] = message;
      const right = message.length === 2 && rest!.length === next % 2000;
      check(right && String(number) === `${next}`, () => `${number} instead of ${next}`);
      next += 1;
      return true;
    };
    while (next < 3000) take(await pull.receive(patience));
    task.step("terminate");
    await terminate(flooding);
    task.step("terminated");
    await until(() => {
      while (take(pull.tryReceive())) {}
      return pull.stats().connections === 0;
    }, "the end of a terminated Worker");
    while (take(pull.tryReceive())) {}
    task.counts.messages += next;
    task.counts.lives += 1;
    // A Worker costs Bun much more than a socket costs us.
    await Bun.sleep(300);
  }
}

/** A Worker answers, and is terminated while it is asked: the one that asks finds the next. */
async function inprocAskTerminated(task: Task): Promise<void> {
  const endpoint = fresh();
  const options = { relaxed: true, correlate: true, reconnectInterval: 1, linger: 0 };
  await using request = new Request(options);
  request.connect(endpoint);
  let number = 0;
  while (task.running) {
    const sync = number % 2 === 0;
    const answering = worker({ task: "bounce", endpoint, count: 1e6, how: "answer", sync });
    for (let answered = 0; answered < 200; ) {
      number += 1;
      await request.send(`question ${number}`, patience);
      const answer = await request.receive({ timeout: 500 }).catch(() => undefined);
      if (answer === undefined) continue;
      check(String(answer) === `question ${number}`, () => `wrong answer ${answer} to ${number}`);
      answered += 1;
    }
    await request.send("given up", patience);
    task.step("terminate");
    await terminate(answering);
    task.step("terminated");
    task.counts.messages += 200;
    task.counts.lives += 1;
    await Bun.sleep(300);
  }
}

/** What is sent while a proxy is there, and between two of them, arrives once and in order. */
async function pipelineProxy(task: Task): Promise<void> {
  const [front, back] = [ownPort(), ownPort()];
  await using push = new Push({ reconnectInterval: 10, linger: 0 });
  await using pull = new Pull({ reconnectInterval: 10 });
  push.connect(front);
  pull.connect(back);
  let sent = 0;
  const send = async (count: number) => {
    for (const end = sent + count; sent < end; sent += 1) {
      await push.send(numbered(sent, PARTS, sent % 10 === 0 ? 20_000 : 100), patience);
    }
  };
  for (let next = 0; task.running; ) {
    await send(50);
    const proxy = new Proxy(new Pull(), new Push());
    await proxy.frontEnd.bind(front);
    await proxy.backEnd.bind(back);
    const running = proxy.run();
    const sending = send(450);
    for (const end = next + 500; next < end; next += 1) {
      const number = numberOf(await pull.receive(patience), PARTS);
      check(number === next, () => `${number} instead of ${next} through a proxy`);
    }
    await sending;
    task.step("terminate");
    proxy.terminate();
    await running;
    task.step("terminated");
    const { front: counters } = proxy.statistics();
    check(counters.messagesIn === 500, `a proxy has counted ${counters.messagesIn}`);
    await until(() => push.stats().connections + pull.stats().connections === 0, "a proxy's end");
    task.counts.messages += 500;
    task.counts.lives += 1;
  }
}

/** Services behind a proxy are killed: the ones that ask ask again, and get their own answers. */
async function serviceProxy(task: Task): Promise<void> {
  const proxy = new Proxy(new Router({ linger: 0 }), new Dealer({ linger: 0 }));
  await proxy.frontEnd.bind("tcp://127.0.0.1:*");
  await proxy.backEnd.bind("tcp://127.0.0.1:*");
  const [front, back] = [proxy.frontEnd.lastEndpoint!, proxy.backEnd.lastEndpoint!];
  const running = proxy.run();
  await using request = new Request({ relaxed: true, correlate: true, linger: 0 });
  request.connect(front);
  let number = 0;
  while (task.running) {
    const services = [libzmq("rep", "connect", back), libzmq("rep", "connect", back)];
    for (let answered = 0; answered < 100; ) {
      number += 1;
      await request.send(`question ${number}`, patience);
      // The service that has the question may have been killed.
      const answer = await request.receive({ timeout: 200 }).catch(() => undefined);
      if (answer === undefined) continue;
      check(String(answer) === `question ${number}`, () => `wrong answer ${answer} to ${number}`);
      answered += 1;
      if (answered === 50) await services[0]!.kill();
    }
    task.step("kill");
    await services[1]!.kill();
    task.step("killed");
    task.counts.messages += 100;
    task.counts.lives += 2;
  }
  proxy.terminate();
  await running;
}

/** Topics go upstream through a proxy, and are cancelled when who wanted them is killed. */
async function topicProxy(task: Task): Promise<void> {
  const proxy = new Proxy(
    new XSubscriber({ linger: 0 }),
    new XPublisher({ noDrop: true, linger: 0 }),
  );
  await proxy.frontEnd.bind("tcp://127.0.0.1:*");
  await proxy.backEnd.bind("tcp://127.0.0.1:*");
  const [front, back] = [proxy.frontEnd.lastEndpoint!, proxy.backEnd.lastEndpoint!];
  const running = proxy.run();
  await using publisher = new Publisher({ noDrop: true, linger: 0 });
  publisher.connect(front);
  for (let life = 0; task.running; life += 1) {
    await using subscriber = new Subscriber();
    subscriber.subscribe(`ours ${life}`);
    subscriber.connect(back);
    const topic = `theirs ${life}`;
    const peer = libzmq("sub", "connect", back, { subscribe: [topic], count: 0 });
    await publisher.subscribed(`ours ${life}`, { timeout: 20_000 });
    await publisher.subscribed(topic, { timeout: 20_000 });
    for (let number = 0; number < 300; number += 1) {
      await publisher.send([`theirs ${life}`, Buffer.alloc(1000)], patience);
      await publisher.send([`ours ${life}`, `${number}`], patience);
      if (number === 200) await peer.kill();
    }
    for (let number = 0; number < 300; number += 1) {
      const [, text] = await subscriber.receive(patience);
      check(String(text) === `${number}`, () => `${text} instead of ${number}`);
    }
    subscriber.close();
    task.step("cancel");
    await until(() => publisher.topicsCount === 0, "topics of the killed are cancelled");
    task.counts.messages += 300;
    task.counts.lives += 2;
  }
  proxy.terminate();
  await running;
}

export const threads: Tasks = {
  "inproc inside": inprocInside,
  "inproc from terminated": inprocFromTerminated,
  "inproc ask terminated": inprocAskTerminated,
  "pipeline proxy": pipelineProxy,
  "service proxy": serviceProxy,
  "topic proxy": topicProxy,
};
