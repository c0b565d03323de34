// The last bytes of a peer that has gone: they are read to their end before the end counts. libzmq
// loses messages here, over ipc above all.

import { describe, expect, test } from "bun:test";
import { Pull } from "../../src/index.ts";
import { bytes, frame, greeting, RawPeer, ready } from "../hostile/wire.ts";
import { libzmq, transports } from "./peer.ts";

const messages = 10_000;
const repetitions = 15;

/** Whether the reader keeps up, or stands at its high-water mark when the peer goes. */
const readers: [string, object, number][] = [
  ["that keeps up", {}, 0],
  ["that is behind", { receiveHighWaterMark: 5, receiveBufferSize: 4096 }, 20],
];

/** An endpoint that a shell could use, too. */
function listen(pull: Pull, transport: "tcp" | "ipc"): string {
  pull.bindSync(transport === "tcp" ? "tcp://127.0.0.1:*" : "ipc://*");
  return pull.lastEndpoint!;
}

/** Takes all there is, and compares the numbers. */
async function takeAll(pull: Pull, pauseMs: number): Promise<void> {
  await Bun.sleep(pauseMs);
  for (let next = 0; next < messages; ) {
    for (const [part] of await pull.receiveMany({ max: 700, timeout: 5000 })) {
      if (part!.readUInt32LE() !== next) expect(part!.readUInt32LE()).toBe(next);
      next += 1;
    }
  }
  expect(pull.tryReceive()).toBeUndefined();
}

describe.each(transports)("a peer that sends 10,000 messages and exits at once, over %s", (transport) => {
  test.each(readers)("loses none of them at a reader %s, if it is libzmq", async (_, options, pauseMs) => {
    for (let i = 0; i < repetitions; i += 1) {
      using pull = new Pull({ linger: 0, ...options });
      const peer = libzmq("push", "connect", listen(pull, transport), { count: messages });
      await takeAll(pull, pauseMs);
      expect(await peer.exited).toBe(0);
    }
  });

  test.each(readers)("nor at a reader %s, if it is raw and hangs up with its last byte", async (_, options, pauseMs) => {
    const number = Buffer.alloc(4);
    const all = [greeting(), ready("PUSH")];
    for (let i = 0; i < messages; i += 1) {
      number.writeUInt32LE(i);
      all.push(frame(Buffer.from(number)));
    }
    const stream = bytes(...all);
    for (let i = 0; i < repetitions; i += 1) {
      using pull = new Pull({ linger: 0, ...options });
      const endpoint = listen(pull, transport);
      const peer = await RawPeer.connect(endpoint);
      // Its end follows its last byte; it does not wait for ours.
      peer.socket.end(stream);
      await takeAll(pull, pauseMs);
    }
  });
});
