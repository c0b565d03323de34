// PUB, SUB, XPUB, XSUB, RADIO and DISH, while either side is killed.

import { Dish, Radio } from "../../src/draft.ts";
import { Publisher, Subscriber, XPublisher, XSubscriber } from "../../src/index.ts";
import { numbered, numberOf } from "../interop/messages.ts";
import { fresh, libzmq, type Peer, type Transport } from "../interop/peer.ts";
import { child } from "./child.ts";
import { check, Lives, ownPort, PARTS, type Task, type Tasks, until } from "./work.ts";

function noError(peer: Peer): void {
  const wrong = peer.lines.find((line) => "error" in line);
  check(wrong === undefined, () => `a killed peer says ${JSON.stringify(wrong)}`);
}

/** Nobody misses a message while others are killed, and what those had asked for is cancelled. */
async function publishToKilled(task: Task, transport: Transport): Promise<void> {
  await using publisher = new XPublisher({ noDrop: true, linger: 0 });
  await publisher.bind(fresh(transport));
  await using survivor = new Subscriber({ linger: 0 });
  survivor.subscribe();
  survivor.connect(publisher.lastEndpoint!);
  check(String((await publisher.receive())[0]) === "\x01", "the survivor is not heard of");
  let sending = true;
  const sent = (async () => {
    let number = 0;
    for (; sending; number += 1) {
      await publisher.send(numbered(number, PARTS, number % 9 === 0 ? 20_000 : 100));
      // A live subscriber is faster than this: the others tasks shall have their turn.
      if (number % 50 === 0) await Bun.sleep(1);
    }
    return number;
  })();
  let heard = 0;
  const hearing = (async () => {
    for await (const message of survivor) {
      const number = numberOf(message, PARTS);
      check(number === heard, () => `the survivor hears ${number} instead of ${heard}`);
      heard += 1;
    }
  })();
  for (let life = 0; task.running; life += 1) {
    const topics = ["", `life ${life}`];
    const options = { subscribe: topics, numbered: true, parts: PARTS, log: true } as const;
    const peer = libzmq("sub", "connect", publisher.lastEndpoint!, options);
    await says(publisher, `\x01life ${life}`);
    await peer.until(() => (peer.numbers().length > 100 ? true : undefined), "publications");
    task.step(`kill ${peer.pid}`);
    await peer.kill();
    task.step("killed");
    noError(peer);
    await says(publisher, `\0life ${life}`);
    check(publisher.topicsCount === 1, () => `${publisher.topicsCount} topics are left`);
    task.counts.messages += peer.numbers().length;
    task.counts.lives += 1;
  }
  sending = false;
  const all = await sent;
  await Promise.race([until(() => heard === all, "what was published for a survivor"), hearing]);
  task.counts.messages += heard;
  survivor.close();
  await hearing;
}

async function says(publisher: XPublisher, what: string): Promise<void> {
  const [said] = await publisher.receive({ timeout: 20_000 });
  check(String(said) === what, () => JSON.stringify({ said: String(said), instead: what }));
}

/** All topics are asked for again at each life of a publisher. */
async function subscribeToKilled(task: Task, socket: Subscriber | XSubscriber): Promise<void> {
  await using subscriber = socket;
  const endpoint = ownPort();
  subscriber.connect(endpoint);
  const topics = ["", ...Array.from({ length: 300 }, (_, index) => `topic ${index}`)];
  if (subscriber instanceof Subscriber) subscriber.subscribe(...topics);
  else for (const topic of topics) await subscriber.send(`\x01${topic}`);
  const lives = new Lives();
  let synced = 0;
  const receiving = (async () => {
    for await (const message of subscriber) {
      if (message.length === 1 && String(message[0]) === "sync") synced += 1;
      else lives.add(numberOf(message, PARTS));
    }
  })();
  for (let life = 0; task.running; life += 1) {
    const before = synced;
    const peer = libzmq("pub", "bind", endpoint, {
      // Without a mark nothing may be missing.
      hwm: 0,
      count: 500,
      hold: true,
      first: life * 1e6,
      parts: PARTS,
      size: life % 3 === 0 ? 30_000 : 60,
      linger: 0,
    });
    task.step(`life ${life} of ${peer.pid}`);
    await Promise.race([until(() => synced > before, "a publisher that came again"), receiving]);
    peer.write("heard");
    await Promise.race([until(() => lives.of(life) > 200, `publications of ${life}`), receiving]);
    await peer.kill();
    await until(() => subscriber.stats().connections === 0, "the end of a killed publisher");
    task.counts.messages += lives.of(life);
    task.counts.lives += 1;
  }
  task.step("closing");
  subscriber.close();
  await receiving;
}

/** A slow subscriber loses whole messages, keeps the order of the others, and each is counted. */
async function slowSubscriber(task: Task): Promise<void> {
  for (let round = 0; task.running; round += 1) {
    await using publisher = new Publisher({ sendHighWaterMark: 500, linger: 0 });
    await publisher.bind(fresh(round % 2 === 0 ? "tcp" : "ipc"));
    await using slow = new Subscriber({ receiveHighWaterMark: 10 });
    slow.subscribe();
    slow.connect(publisher.lastEndpoint!);
    await publisher.subscribed("");
    const count = 3000;
    for (let number = 0; number < count; number += 1) {
      await publisher.send(numbered(number, PARTS, 5000));
    }
    let last = -1;
    let read = 0;
    const dropped = () => publisher.stats().droppedHighWaterMark;
    await until(() => {
      for (let message = slow.tryReceive(); message; message = slow.tryReceive()) {
        const number = numberOf(message, PARTS);
        check(number > last, () => `${number} after ${last}`);
        last = number;
        read += 1;
      }
      return read + dropped() === count;
    }, "messages that are neither read nor counted as dropped");
    task.counts.messages += read;
    task.counts.dropped += dropped();
    task.counts.opened += 2;
    await Bun.sleep(20);
  }
}

/** A Dish hears all of its group, whoever is killed next to it. */
async function radioToKilled(task: Task): Promise<void> {
  await using radio = new Radio({ noDrop: true, linger: 0 });
  await radio.bind(fresh("tcp"));
  await using survivor = new Dish();
  survivor.join("numbers");
  survivor.connect(radio.lastEndpoint!);
  await radio.joined("numbers");
  let sending = true;
  const sent = (async () => {
    let number = 0;
    for (; sending; number += 1) {
      await radio.send(numbered(number, 1, 300)[0]!, { group: "numbers" });
      if (number % 50 === 0) await Bun.sleep(1);
    }
    return number;
  })();
  let heard = 0;
  const hearing = (async () => {
    for await (const [body] of survivor) {
      const number = numberOf([body], 1);
      check(number === heard, () => `the surviving Dish hears ${number} instead of ${heard}`);
      heard += 1;
    }
  })();
  while (task.running) {
    const peer = child("dish", radio.lastEndpoint!);
    await peer.until(() => (peer.numbers().length > 100 ? true : undefined), "messages of a group");
    task.step(`kill ${peer.pid}`);
    await peer.kill();
    noError(peer);
    await until(() => radio.stats().connections === 1, "the end of a killed Dish");
    task.counts.messages += peer.numbers().length;
    task.counts.lives += 1;
  }
  sending = false;
  const all = await sent;
  await Promise.race([until(() => heard === all, "what was sent to a surviving Dish"), hearing]);
  survivor.close();
  await hearing;
}

/** A Dish joins again at each life of a Radio. */
async function dishOfKilled(task: Task): Promise<void> {
  await using dish = new Dish({ reconnectInterval: 10 });
  const endpoint = ownPort();
  dish.connect(endpoint);
  dish.join("numbers");
  const lives = new Lives();
  const receiving = (async () => {
    for await (const [body] of dish) lives.add(numberOf([body], 1));
  })();
  for (let life = 0; task.running; life += 1) {
    const peer = child("radio", endpoint, life * 1e6);
    await Promise.race([until(() => lives.of(life) > 200, `messages of radio ${life}`), receiving]);
    task.step(`kill ${peer.pid}`);
    await peer.kill();
    await until(() => dish.stats().connections === 0, "the end of a killed Radio");
    task.counts.messages += lives.of(life);
    task.counts.lives += 1;
  }
  dish.close();
  await receiving;
}

const quick = { reconnectInterval: 10, receiveHighWaterMark: 0, linger: 0 };

export const topics: Tasks = {
  "publish to killed, tcp": (task) => publishToKilled(task, "tcp"),
  "publish to killed, ipc": (task) => publishToKilled(task, "ipc"),
  "subscribe to killed": (task) => subscribeToKilled(task, new Subscriber(quick)),
  "xsub of killed": (task) => subscribeToKilled(task, new XSubscriber(quick)),
  "slow subscriber": slowSubscriber,
  "radio to killed": radioToKilled,
  "dish of killed": dishOfKilled,
};
