// A Worker that does what it is told over inproc, and says when it has.

import { Pull, Push, Reply, Request, type Socket } from "../../src/index.ts";

declare const self: Worker;

export type Task =
  | { task: "push" | "pull"; endpoint: string; count: number; how: "bind" | "connect" | "sync" }
  | { task: "bounce"; endpoint: string; count: number; how: "ask" | "answer"; sync: boolean }
  | { task: "flood" | "race"; endpoint: string; count: number }
  | { task: "bind"; endpoint: string };

const tasks = {
  /** Numbers in order. */
  async push({ endpoint, count, how }: Task & { task: "push" }) {
    using push = new Push({ linger: -1 });
    attach(push, endpoint, how);
    if (how === "sync") {
      for (let i = 0; i < count; i += 1) push.sendSync(`${i}`, { timeout: 10_000 });
      return;
    }
    const batch: string[] = [];
    for (let i = 0; i < count; i += 1) {
      batch.push(`${i}`);
      if (batch.length < 1000 && i + 1 < count) continue;
      await push.sendMany(batch);
      batch.length = 0;
    }
  },

  async pull({ endpoint, count, how }: Task & { task: "pull" }) {
    using pull = new Pull();
    attach(pull, endpoint, how);
    for (let i = 0; i < count; i += 1) {
      const timeout = 10_000;
      const message = how === "sync" ? pull.receiveSync({ timeout }) : await pull.receive({ timeout });
      if (String(message[0]) !== `${i}`) throw new Error(`${message[0]} instead of ${i}`);
    }
  },

  async bounce({ endpoint, count, how, sync }: Task & { task: "bounce" }) {
    const timeout = 10_000;
    if (how === "answer") {
      using reply = new Reply({ linger: -1 });
      reply.bindSync(endpoint);
      self.postMessage("bound");
      for (let i = 0; i < count; i += 1) {
        const message = sync ? reply.receiveSync({ timeout }) : await reply.receive({ timeout });
        if (sync) reply.sendSync(message);
        else await reply.send(message);
      }
      return;
    }
    using request = new Request();
    request.connect(endpoint);
    for (let i = 0; i < count; i += 1) {
      const question = [`${i}`, Buffer.alloc(i % 3000, i)];
      if (sync) request.sendSync(question);
      else await request.send(question);
      const answer = sync ? request.receiveSync({ timeout }) : await request.receive({ timeout });
      if (String(answer[0]) !== `${i}` || answer[1]?.length !== i % 3000) {
        throw new Error(`${answer[0]} instead of ${i}`);
      }
    }
  },

  /** Two parts each, for ever: it is ended from outside. */
  async flood({ endpoint, count }: Task & { task: "flood" }) {
    const push = new Push();
    push.connect(endpoint);
    for (let i = 0; ; i += 1) {
      await push.send([`${i}`, Buffer.alloc(i % 2000, i)]);
      if (i === count) self.postMessage("flooding");
    }
  },

  /** Connects, sends and leaves, again and again. */
  async race({ endpoint, count }: Task & { task: "race" }) {
    for (let i = 0; i < count; i += 1) {
      const push = new Push({ linger: 0 });
      push.connect(endpoint);
      push.trySend("x");
      push.close();
      if (i % 100 === 0) await Bun.sleep(0);
    }
  },

  async bind({ endpoint }: Task & { task: "bind" }) {
    new Pull().bindSync(endpoint);
  },
};

function attach(socket: Socket, endpoint: string, how: "bind" | "connect" | "sync"): void {
  if (how === "bind") socket.bindSync(endpoint);
  else socket.connect(endpoint);
}

self.onmessage = async ({ data }: MessageEvent<Task>) => {
  await tasks[data.task](data as never);
  self.postMessage("done");
};
