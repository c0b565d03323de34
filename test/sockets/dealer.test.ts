// Dealer: messages to its peers in turn, and theirs in turn, as they are.

import { describe, expect, test } from "bun:test";
import { Dealer, Reply, Router } from "../../src/index.ts";
import { bound, keeper, rejection, texts, transports, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };

describe.each(transports)("a Dealer over %s", (transport) => {
  test("asks several Replies at once and gets every answer", async () => {
    const dealer = keep(new Dealer());
    const serving = Array.from({ length: 3 }, async (_, i) => {
      const reply = keep(new Reply());
      dealer.connect(bound(reply, transport));
      for await (const [question] of reply) await reply.send([`${i}`, question as Buffer]);
    });
    const count = 300;
    for (let i = 0; i < count; i += 1) await dealer.send(["", `${i}`]);
    const answers = new Map<string, number>();
    const by = [0, 0, 0];
    for (let i = 0; i < count; i += 1) {
      const [empty, who, question] = texts(await dealer.receive(limits));
      expect(empty).toBe("");
      by[Number(who)]! += 1;
      answers.set(question as string, (answers.get(question as string) ?? 0) + 1);
    }
    expect(answers.size).toBe(count);
    expect(by).toEqual([100, 100, 100]);
    void serving;
  });

  test("takes nothing from messages and adds nothing, empty parts included", async () => {
    const [a, b] = [keep(new Dealer()), keep(new Dealer())];
    b.connect(bound(a, transport));
    for (const parts of [[""], ["", ""], ["a", "", "b"], ["", "", "c"]]) {
      await b.send(parts);
      expect(texts(await a.receive(limits))).toEqual(parts);
      await a.send(parts);
      expect(texts(await b.receive(limits))).toEqual(parts);
    }
  });
});

test("what was queued for a peer that goes away is sent when it is back", async () => {
  let router = keep(new Router());
  const endpoint = bound(router);
  const dealer = keep(new Dealer({ routingId: "d", reconnectInterval: 10 }));
  dealer.connect(endpoint);
  await dealer.connected(undefined, limits);
  router.close();
  await until("it is gone", () => dealer.stats().connections === 0);
  await dealer.sendMany(["1", ["2", "3"]]);
  router = keep(new Router());
  await router.bind(endpoint);
  expect(texts(await router.receive(limits))).toEqual(["d", "1"]);
  expect(texts(await router.receive(limits))).toEqual(["d", "2", "3"]);
});

test("without peers a Dealer waits for one: the message goes to the first that comes", async () => {
  const dealer = keep(new Dealer());
  const endpoint = bound(dealer);
  expect(dealer.trySend("x")).toBe(false);
  expect((await rejection(dealer.send("x", { timeout: 20 }))).code).toBe("EAGAIN");
  const waiting = dealer.send("waited", limits);
  const peer = keep(new Dealer());
  peer.connect(endpoint);
  await waiting;
  expect(texts(await peer.receive(limits))).toEqual(["waited"]);
});
