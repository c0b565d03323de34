// Routing ids: given to connections, and asked about.

import { expect, test } from "bun:test";
import { Dealer, Request, Router, Stream } from "../../src/index.ts";
import { bound, event, failure, keeper, texts, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };

test("a Router tells who a routing id is, where, and whether it can be sent to", async () => {
  const router = keep(new Router());
  const endpoint = bound(router);
  const dealer = keep(new Dealer({ routingId: "a" }));
  dealer.connect(endpoint);
  const { connection } = await event(router, "handshake");
  expect(router.peer("a")).toEqual({
    routingId: Buffer.from("a"),
    endpoint,
    address: expect.stringMatching(/^tcp:\/\/127\.0\.0\.1:\d+$/),
    connection: connection as number,
    socketType: "Dealer",
    connected: true,
    writable: true,
  });
  expect(router.peer("b")).toBeUndefined();
  dealer.close();
  await event(router, "disconnect");
  expect(router.peer("a")).toBeUndefined();
  router.close();
  expect(failure(() => router.peer("a")).code).toBe("EBADF");
});

test("the id of a received message can be asked about, also one that was made up", async () => {
  const router = keep(new Router());
  const request = keep(new Request());
  request.connect(bound(router));
  await request.send("question");
  const [id] = await router.receive(limits);
  expect(id?.[0]).toBe(0);
  expect(router.peer(id as Buffer)).toMatchObject({ socketType: "Request", connected: true });
});

test("a Router that connects can name its peer, and send before it is there", async () => {
  const router = keep(new Router({ mandatory: true }));
  const dealer = keep(new Dealer({ routingId: "its own name" }));
  const endpoint = bound(dealer);
  dealer.unbindSync(endpoint);
  router.connect(endpoint, { routingId: "store" });
  expect(router.peer("store")).toMatchObject({ socketType: null, connected: false });
  await router.send(["store", "early"]);
  dealer.bindSync(endpoint);
  expect(texts(await dealer.receive(limits))).toEqual(["early"]);
  await dealer.send("back");
  expect(texts(await router.receive(limits))).toEqual(["store", "back"]);
});

test("a name is checked, is for one connection only, and for the next one there is none", async () => {
  const router = keep(new Router());
  for (const routingId of ["", "x".repeat(256), "\0a"]) {
    expect(failure(() => router.connect("tcp://127.0.0.1:1", { routingId })).code).toBe("EINVAL");
  }
  router.connect("tcp://127.0.0.1:1", { routingId: "a" });
  expect(failure(() => router.connect("tcp://127.0.0.1:2", { routingId: "a" })).code).toBe("EADDRINUSE");
  const dealer = keep(new Dealer({ routingId: "d" }));
  router.connect(bound(dealer));
  await dealer.connected(undefined, limits);
  await until("its own name counts", () => router.peer("d") !== undefined);
});

test("a Stream is told the id of each connection it makes", async () => {
  const server = keep(new Stream({ notify: false }));
  const client = keep(new Stream({ notify: false }));
  const endpoint = bound(server);
  const id = client.connect(endpoint);
  expect(id.length).toBe(5);
  await client.send([id, "hello"]);
  const [from, bytes] = await server.receive(limits);
  expect(String(bytes)).toBe("hello");
  expect(server.peer(from as Buffer)).toMatchObject({ socketType: null, connected: true });
  expect(String(client.connect(endpoint, { routingId: "mine" }))).toBe("mine");
  await client.send(["mine", "hello again"]);
  expect(texts(await server.receive(limits))[1]).toBe("hello again");
});
