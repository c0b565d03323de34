// Questions and answers: REQ, REP, DEALER, ROUTER, SERVER, CLIENT, PEER; either side is killed.

import { Client, Peer as PeerSocket, Server } from "../../src/draft.ts";
import { Dealer, Reply, Request, Router } from "../../src/index.ts";
import { numbered, numberOf } from "../interop/messages.ts";
import { fresh, libzmq } from "../interop/peer.ts";
import { child } from "./child.ts";
import { check, ownPort, PARTS, type Task, type Tasks, until } from "./work.ts";

const patience = { timeout: 10_000 };

/** A relaxed REQ asks again when nobody answers, and gets the answer to its own question. */
async function askTheKilled(task: Task): Promise<void> {
  await using request = new Request({
    relaxed: true,
    correlate: true,
    reconnectInterval: 10,
    linger: 0,
  });
  const endpoint = ownPort();
  request.connect(endpoint);
  let number = 0;
  while (task.running) {
    const peer = libzmq("rep", "bind", endpoint, { linger: 0 });
    for (let answered = 0; answered < 200; ) {
      number += 1;
      await request.send(`question ${number}`, patience);
      const answer = await request.receive({ timeout: 1000 }).catch(() => undefined);
      if (answer === undefined) continue;
      check(String(answer) === `question ${number}`, () => `wrong answer ${answer} to ${number}`);
      answered += 1;
    }
    await request.send("given up");
    task.step(`kill ${peer.pid}`);
    await peer.kill();
    task.step("killed");
    task.counts.messages += 200;
    task.counts.lives += 1;
  }
}

/** Those who ask are killed; the others get their answers. */
async function answerTheKilled(task: Task, socket: Reply | Router): Promise<void> {
  await using reply = socket;
  await reply.bind("tcp://127.0.0.1:*");
  let answered = 0;
  const answering = (async () => {
    for await (const question of reply) {
      await reply.send(question);
      answered += 1;
    }
  })();
  while (task.running) {
    const before = answered;
    const flood = libzmq("dealer", "connect", reply.lastEndpoint!, {
      messages: "10,70000,10+0+10",
      rounds: 1e6,
      window: 20,
      linger: 0,
    });
    const good = libzmq("req", "connect", reply.lastEndpoint!, {
      messages: "5,2000,0",
      rounds: 50,
      linger: 0,
    });
    await until(() => answered > before + 200, "answers");
    task.step(`kill ${flood.pid}`);
    await flood.kill();
    task.step(`killed, waiting for ${good.pid}`);
    const report = await good.report();
    check(report.errors === 0 && report.messages === 150, "a wrong answer");
    await good.release();
    task.step("released");
    task.counts.messages += 150;
    task.counts.lives += 2;
  }
  task.step("closing");
  reply.close();
  await answering;
}

/** A DEALER asks a ROUTER that is killed: each life answers in order, some are lost. */
async function dealerAsksKilled(task: Task): Promise<void> {
  await using dealer = new Dealer({ reconnectInterval: 10, linger: 0 });
  let away = Promise.withResolvers<void>();
  dealer.events.on("disconnect", () => away.resolve());
  const endpoint = ownPort();
  dealer.connect(endpoint);
  let sent = 0;
  let last = -1;
  while (task.running) {
    const peer = libzmq("router", "bind", endpoint, { linger: 0 });
    // What was under way is lost, what had not left yet comes now.
    const asked = sent;
    for (let answered = 0; answered < 300; answered += 1) {
      while (sent - Math.max(asked, last + 1) < 50) {
        await dealer.send(numbered(sent, PARTS, sent % 5 === 0 ? 9000 : 30), patience);
        sent += 1;
      }
      const number = numberOf(await dealer.receive(patience), PARTS);
      const right = answered === 0 ? number > last : number === last + 1;
      check(right && number < sent, () => `answer ${number} after ${last}, of ${sent}`);
      task.counts.dropped += number - last - 1;
      last = number;
    }
    away = Promise.withResolvers();
    task.step(`kill ${peer.pid}`);
    await peer.kill();
    task.step("killed");
    await away.promise;
    for (let rest = dealer.tryReceive(); rest !== undefined; rest = dealer.tryReceive()) {
      const number = numberOf(rest, PARTS);
      check(number === last + 1, () => `answer ${number} after ${last}`);
      last = number;
    }
    task.counts.messages += 300;
    task.counts.lives += 1;
  }
}

/** A client that hangs is replaced by another with its name, which gets the answers. */
async function handoverFromHung(task: Task): Promise<void> {
  await using router = new Router({ handover: true, linger: 0 });
  await router.bind("tcp://127.0.0.1:*");
  let answered = 0;
  const answering = (async () => {
    for await (const question of router) {
      check(String(question[0]) === "name", () => `a question of ${question[0]}`);
      await router.send(question);
      answered += 1;
    }
  })();
  for (let life = 0; task.running; life += 1) {
    const before = answered;
    const hung = libzmq("dealer", "connect", router.lastEndpoint!, {
      identity: "name",
      messages: "10,70000,10+0+10",
      rounds: 1e6,
      window: 20,
      linger: 0,
    });
    await until(() => answered > before + 100, "answers");
    process.kill(hung.pid, "SIGSTOP");
    task.step("the next one");
    await askInPlaceOf(router.lastEndpoint!, `life ${life}`);
    task.step("kill");
    await hung.kill();
    await until(() => router.stats().connections === 0, "the end of a hung client");
    task.counts.messages += 100;
    task.counts.lives += 1;
  }
  router.close();
  await answering;
}

/** Answers to questions of the one before may come first: they are for the name. */
async function askInPlaceOf(endpoint: string, life: string): Promise<void> {
  await using dealer = new Dealer({ routingId: "name", linger: 0 });
  dealer.connect(endpoint);
  for (let number = 0; number < 100; number += 1) await dealer.send([life, `${number}`], patience);
  for (let number = 0; number < 100; ) {
    const [to, text, ...more] = await dealer.receive(patience);
    if (String(to) !== life) continue;
    check(String(text) === `${number}` && more.length === 0, () => `${text}, not ${number}`);
    number += 1;
  }
}

/** Asks a socket of this thread while others are killed that do the same. */
async function serveTheKilled(task: Task, socket: Server | PeerSocket): Promise<void> {
  await using server = socket;
  await server.bind(fresh("tcp"));
  const answering = (async () => {
    for await (const [question, from] of server) {
      // Whoever asked may be gone.
      const answered = server.send(question, from);
      await answered.catch(({ code }) => check(code === "EHOSTUNREACH", `no answer: ${code}`));
    }
  })();
  const role = server instanceof Server ? "client" : "peer";
  while (task.running) {
    const killed = child(role, server.lastEndpoint!);
    if (role === "client") await askOnce(task, server.lastEndpoint!);
    await killed.until(() => (killed.numbers().length > 100 ? true : undefined), "answers");
    task.step(`kill ${killed.pid}`);
    await killed.kill();
    await until(() => server.stats().connections === 0, "the end of a killed client");
    check(!killed.lines.some((line) => "error" in line), "a wrong answer");
    task.counts.messages += killed.numbers().length;
    task.counts.lives += 1;
  }
  server.close();
  await answering;
}

async function askOnce(task: Task, endpoint: string): Promise<void> {
  await using client = new Client();
  client.connect(endpoint);
  for (let number = 0; number < 50; number += 1) {
    await client.send(`${number}`, patience);
    check(String(await client.receive(patience)) === `${number}`, `no answer to ${number}`);
  }
  task.counts.messages += 50;
}

export const requests: Tasks = {
  "ask the killed": askTheKilled,
  "answer the killed, rep": (task) => answerTheKilled(task, new Reply({ linger: 0 })),
  "answer the killed, router": (task) => answerTheKilled(task, new Router({ linger: 0 })),
  "dealer asks the killed": dealerAsksKilled,
  "handover from the hung": handoverFromHung,
  "server and the killed": (task) => serveTheKilled(task, new Server({ linger: 0 })),
  "peer and the killed": (task) => serveTheKilled(task, new PeerSocket({ linger: 0 })),
};
