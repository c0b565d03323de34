// A proxy that nobody ends: in the main thread until process.exit, in a Worker until it is
// terminated.

import { Proxy, Pull, Push } from "../../src/index.ts";

const proxy = new Proxy(new Pull({ linger: 0 }), new Push({ linger: 0 }));
proxy.frontEnd.bindSync("tcp://127.0.0.1:*");
proxy.backEnd.bindSync("tcp://127.0.0.1:*");
void proxy.run();

if (Bun.isMainThread) {
  const worker = new Worker(import.meta.path);
  await new Promise((resolve) => (worker.onmessage = resolve));
  await worker.terminate();
  console.log("leaving");
  process.exit(0);
} else {
  postMessage("running");
}
