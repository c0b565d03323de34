// A Worker that is terminated while it waits, with connections, messages and lent memory about.

import { Pull, Push } from "../../src/index.ts";

declare const self: Worker;

const pull = new Pull();
pull.bindSync("tcp://127.0.0.1:*");
const push = new Push();
push.connect(pull.lastEndpoint as string);
const kept: Buffer[][] = [];
for (const size of [1, 600, 40_000, 200_000]) {
  await push.send(Buffer.alloc(size, size));
  kept.push(await pull.receive());
}
await push.send("not taken");
const idle = new Pull();
idle.bindSync("ipc://@monocoque-stuck-*".replace("*", `${process.pid}-${Math.random()}`));
const waiting = idle.receive();
self.postMessage(kept.length);
await waiting;
