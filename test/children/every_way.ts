// Sends messages every way there is, then is idle for two seconds; prints what it found. Whoever
// starts it has taken something away from the kernel (test/interop/peers/restricted.c).

import { readdirSync } from "node:fs";
import { nativeContext } from "../../src/context.ts";
import {
  context, Dealer, Proxy, Publisher, Pull, Push, Reply, Request, Router, type Socket, Subscriber,
} from "../../src/index.ts";
import type { Task } from "./inproc_worker.ts";

const limits = { timeout: 10_000 };
const sizes = [0, 1, 300, 5000, 70_000, 1_000_000];

async function bound(socket: Socket, transport: "tcp" | "ipc" = "tcp"): Promise<string> {
  await socket.bind(transport === "tcp" ? "tcp://127.0.0.1:*" : "ipc://*");
  return socket.lastEndpoint!;
}

function same(found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`${found} instead of ${expected}`);
}

async function pipeline(transport: "tcp" | "ipc"): Promise<void> {
  using pull = new Pull();
  using push = new Push();
  push.connect(await bound(pull, transport));
  const sending = (async () => {
    for (let i = 0; i < 300; i += 1) await push.send(Buffer.alloc(sizes[i % 6]!, i), limits);
  })();
  for (let i = 0; i < 300; i += 1) {
    const [part] = await pull.receive(limits);
    same(part!.equals(Buffer.alloc(sizes[i % 6]!, i)), true);
  }
  await sending;
  for (let i = 0; i < 100; i += 1) {
    push.sendSync(`${i}`, limits);
    same(String(pull.receiveSync(limits)[0]), `${i}`);
  }
}

/** Until the process ends; the replies come from a loop that only waits. */
function answering(reply: Reply): Reply {
  void (async () => {
    for await (const message of reply) await reply.send(message);
  })();
  return reply;
}

async function ask(request: Request): Promise<void> {
  for (let i = 0; i < 200; i += 1) {
    await request.send(`question ${i}`, limits);
    same(String((await request.receive(limits))[0]), `question ${i}`);
  }
}

async function requests(): Promise<void> {
  using reply = answering(new Reply());
  using request = new Request();
  request.connect(await bound(reply));
  await ask(request);
}

async function publishing(): Promise<void> {
  using publisher = new Publisher();
  using subscriber = new Subscriber();
  subscriber.subscribe("yes");
  subscriber.connect(await bound(publisher));
  await publisher.subscribed("yes", limits);
  for (let i = 0; i < 100; i += 1) {
    await publisher.send(["no", `${i}`]);
    await publisher.send(["yes", `${i}`]);
  }
  for (let i = 0; i < 100; i += 1) same(String((await subscriber.receive(limits))[1]), `${i}`);
}

async function throughWorker(): Promise<void> {
  using push = new Push();
  const endpoint = "inproc://every way";
  push.bindSync(endpoint);
  const worker = new Worker(new URL("./inproc_worker.ts", import.meta.url).href);
  const said = new Promise<void>((resolve, reject) => {
    worker.onmessage = () => resolve();
    worker.onerror = (error) => reject(new Error(error.message));
  });
  worker.postMessage({ task: "pull", endpoint, count: 5000, how: "connect" } satisfies Task);
  await push.sendMany(Array.from({ length: 5000 }, (_, i) => `${i}`));
  await said;
  const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
  worker.terminate();
  await closed;
}

async function throughProxy(): Promise<void> {
  const proxy = new Proxy(new Router(), new Dealer());
  const front = await bound(proxy.frontEnd);
  const back = await bound(proxy.backEnd);
  using request = new Request();
  request.connect(front);
  using reply = answering(new Reply());
  reply.connect(back);
  // Connected before they move: the proxy's thread takes over what ours began.
  await request.connected(undefined, limits);
  const running = proxy.run();
  await ask(request);
  proxy.terminate();
  await running;
}

async function round(): Promise<void> {
  await pipeline("tcp");
  await pipeline("ipc");
  await requests();
  await publishing();
  await throughWorker();
  await throughProxy();
}

const held = () => ({
  descriptors: readdirSync("/proc/self/fd").length,
  threads: readdirSync("/proc/self/task").length,
});

async function leaked() {
  const before = held();
  for (let i = 0; i < 3; i += 1) await round();
  const deadline = performance.now() + 10_000;
  for (;;) {
    const { descriptors, threads } = held();
    const more = { descriptors: descriptors - before.descriptors, threads: threads - before.threads };
    const none = more.descriptors <= 0 && more.threads <= 0;
    if (none || performance.now() > deadline) return none ? "nothing" : more;
    await Bun.sleep(20);
  }
}

async function idle() {
  using reply = answering(new Reply());
  using request = new Request();
  using silent = new Pull();
  await bound(silent, "ipc");
  request.connect(await bound(reply));
  await ask(request);
  // Watches and streams of the wake-up change hands once more; idle memory goes half a second later.
  await Bun.sleep(1500);
  const before = nativeContext().stats();
  await Bun.sleep(2000);
  const after = nativeContext().stats();
  return { wakeups: after.wakeups - before.wakeups, ticks: after.ticks - before.ticks };
}

async function main(): Promise<void> {
  // The first ones start what Bun keeps: threads of its pools, a resolver.
  await round();
  await round();
  const found = { backend: context.backend, leaked: await leaked(), idle: await idle() };
  console.log(JSON.stringify(found));
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
