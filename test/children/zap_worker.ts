// A ZAP handler in a thread of its own: lets in whoever is called like the password is.

import { Reply, Router } from "../../src/index.ts";

declare const self: Worker;

self.onmessage = async ({ data }: MessageEvent<"Reply" | "Router">) => {
  const endpoint = "inproc://zeromq.zap.01";
  if (data === "Reply") {
    await using reply = new Reply();
    await reply.bind(endpoint);
    self.postMessage("bound");
    for await (const [version, id, , , , , user, password] of reply) {
      const status = `${user}` === `${password}` ? "200" : "400";
      await reply.send([version!, id!, status, "", user!, ""]);
    }
  }
  await using router = new Router();
  await router.bind(endpoint);
  self.postMessage("bound");
  for await (const [peer, , version, id, , , , , user, password] of router) {
    const status = `${user}` === `${password}` ? "200" : "400";
    await router.send([peer!, "", version!, id!, status, "", user!, ""]);
  }
};
