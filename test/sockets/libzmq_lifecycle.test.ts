// What libzmq's own tests pin down about leaving: disconnects that a publisher hears of, proxies
// whose peers go or are full. And what there is at all.

import { describe, expect, test } from "bun:test";
import {
  capability, Proxy, Publisher, Pull, Subscriber, XPublisher, XSubscriber,
} from "../../src/index.ts";
import { anywhere, failure, keeper, rejection, texts, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };
const places = { ...anywhere, inproc: () => `inproc://${crypto.randomUUID()}` };

async function note(publisher: XPublisher): Promise<string> {
  const [first] = await publisher.receive(limits);
  return `${first![0] === 1 ? "+" : "-"}${first!.subarray(1)}`;
}

describe("test_disconnect_inproc", () => {
  test.each(["inproc", "tcp", "ipc"] as const)(
    "over %s a disconnect cancels at the publisher, and a second connect begins anew",
    async (transport) => {
      const publisher = keep(new XPublisher());
      const subscriber = keep(new Subscriber());
      const place = places[transport];
      publisher.bindSync(typeof place === "string" ? place : place());
      const endpoint = publisher.lastEndpoint as string;
      subscriber.subscribe("news");
      for (let life = 0; life < 10; life += 1) {
        subscriber.connect(endpoint);
        expect(await note(publisher)).toBe("+news");
        await publisher.send(["news", `${life}`]);
        expect(texts(await subscriber.receive(limits))).toEqual(["news", `${life}`]);
        subscriber.disconnect(endpoint);
        expect(await note(publisher)).toBe("-news");
        expect(publisher.topicsCount).toBe(0);
        await publisher.send(["news", "for nobody"]);
      }
      expect(subscriber.tryReceive()).toBeUndefined();
      expect(publisher.stats().droppedUnsubscribed).toBe(10);
    },
  );
});

/** A publisher and a proxy in front of it, with marks of ten messages everywhere. */
async function device() {
  const marks = { sendHighWaterMark: 10, receiveHighWaterMark: 10, linger: 0 };
  const proxy = new Proxy(new XSubscriber(marks), new XPublisher({ ...marks, noDrop: true }));
  keep(proxy.frontEnd).bindSync(anywhere.tcp);
  keep(proxy.backEnd).bindSync(anywhere.tcp);
  const front = proxy.frontEnd.lastEndpoint as string;
  const back = proxy.backEnd.lastEndpoint as string;
  const running = proxy.run();
  const publisher = keep(new Publisher({ sendHighWaterMark: 10, noDrop: true }));
  publisher.connect(front);
  return { proxy, running, publisher, back };
}

describe("test_xpub_manual", () => {
  test("who closes behind a proxy is cancelled in front of it: it would be sent to", async () => {
    const { proxy, running, publisher, back } = await device();
    for (const topic of ["A", "B"]) {
      const [staying, leaving] = [keep(new Subscriber()), keep(new Subscriber())];
      staying.subscribe("stays");
      leaving.subscribe(topic);
      staying.connect(back);
      leaving.connect(back);
      await publisher.subscribed("stays", limits);
      await publisher.subscribed(topic, limits);
      expect(publisher.topicsCount).toBe(2);
      leaving.close();
      await until("its topic is cancelled", () => publisher.topicsCount === 1);
      await publisher.send("stays on");
      expect(texts(await staying.receive(limits))).toEqual(["stays on"]);
      staying.close();
      await until("the other as well", () => publisher.topicsCount === 0);
    }
    proxy.terminate();
    await running;
  });
});

describe("test_proxy_hwm", () => {
  test("full on all its way a proxy loses nothing, and still does what it is told", async () => {
    const { proxy, running, publisher, back } = await device();
    const subscriber = keep(new Subscriber({ receiveHighWaterMark: 10 }));
    subscriber.subscribe();
    subscriber.connect(back);
    await publisher.subscribed("", limits);
    const big = Buffer.alloc(100_000);
    let sent = 0;
    // Nobody reads: the marks and the kernel's buffers fill up.
    for (;;) {
      const full = await publisher.send([`${sent}`, big], { timeout: 500 }).then(
        () => false,
        ({ code }) => code === "EAGAIN",
      );
      if (full) break;
      sent += 1;
      expect(sent).toBeLessThan(10_000);
    }
    const { front, back: behind } = proxy.statistics();
    expect(front.messagesIn).toBeGreaterThanOrEqual(behind.messagesOut);
    expect(front.messagesIn).toBeLessThan(sent);
    proxy.pause();
    proxy.resume();
    for (let number = 0; number < sent; number += 1) {
      const [name, body] = await subscriber.receive(limits);
      expect(String(name)).toBe(`${number}`);
      expect(body?.length).toBe(big.length);
    }
    expect((await rejection(subscriber.receive({ timeout: 0 }))).code).toBe("EAGAIN");
    expect(proxy.statistics().back.messagesOut).toBe(sent);
    proxy.terminate();
    await running;
  }, 20_000);
});

describe("test_capabilities", () => {
  test("what capability claims works, what it denies is refused", async () => {
    const pull = keep(new Pull());
    const { ipc, draft, curve, gssapi, ...transports } = capability;
    expect({ ipc, draft, curve, gssapi }).toMatchObject({ ipc: true, draft: true });
    pull.bindSync(anywhere.ipc);
    keep(new (await import("../../src/draft.ts")).Gather()).bindSync(anywhere.ipc);
    expect(Object.keys(transports).toSorted()).toEqual(["norm", "pgm", "tipc"]);
    for (const [name, there] of Object.entries(transports)) {
      expect(there).toBe(false);
      expect(failure(() => pull.bindSync(`${name}://127.0.0.1:5555`)).code).toBe("EPROTONOSUPPORT");
    }
    for (const [option, there] of [["curveServer", curve], ["gssServer", gssapi]] as const) {
      expect(option in pull).toBe(there);
    }
  });
});
