// The peers of a proxy in a Worker of their own, so that the main thread may be as busy as it likes:
// a Push to its front, a Pull from its back.

import { Pull, Push } from "../../src/index.ts";

declare const self: Worker;

interface Task {
  front: string;
  back: string;
  count: number;
}

self.onmessage = async ({ data }: MessageEvent<Task>) => {
  using push = new Push();
  using pull = new Pull();
  push.connect(data.front);
  pull.connect(data.back);
  const started = performance.now();
  const sending = push.sendMany(Array.from({ length: data.count }, (_, i) => `${i}`));
  let next = 0;
  for await (const [part] of pull) {
    if (String(part) !== `${next}`) throw new Error(`${part} instead of ${next}`);
    next += 1;
    if (next === data.count) break;
  }
  await sending;
  self.postMessage({ ms: performance.now() - started });
};
