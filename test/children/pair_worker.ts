// A Worker with sockets of its own: a stream to itself, and one to the main thread.

import { Pull, Push, Reply, Request } from "../../src/index.ts";

declare const self: Worker;

self.onmessage = async ({ data }: MessageEvent<{ to: string; count: number; name: string }>) => {
  const { to, count, name } = data;
  for (const own of ["tcp://127.0.0.1:*", "ipc://*"]) {
    using pull = new Pull();
    using push = new Push();
    await pull.bind(own);
    push.connect(pull.lastEndpoint as string);
    const sending = push.sendMany(Array.from({ length: count }, (_, i) => `${i}`));
    let next = 0;
    for await (const [part] of pull) {
      if (String(part) !== `${next}`) throw new Error(`${name}: ${part} instead of ${next}`);
      next += 1;
      if (next === count) break;
    }
    await sending;
    using reply = new Reply();
    using request = new Request();
    reply.bindSync(own);
    request.connect(reply.lastEndpoint as string);
    for (let i = 0; i < 100; i += 1) {
      await request.send(`${i}`);
      await reply.send(await reply.receive());
      if (String((await request.receive())[0]) !== `${i}`) throw new Error("wrong answer");
    }
  }
  using push = new Push();
  push.connect(to);
  for (let i = 0; i < count; i += 1) await push.send([name, `${i}`]);
  self.postMessage("done");
};
