// Stream against plain TCP: clients and servers that know nothing of ZeroMQ.

import { afterEach, describe, expect, test } from "bun:test";
import { connect, createServer, type Server, type Socket as TcpSocket } from "node:net";
import { Stream } from "../../src/index.ts";
import { bound, expectSame, failure, keeper, pattern, texts, until } from "../support/sockets.ts";

const keep = keeper();
const limits = { timeout: 5000 };
const plain: (TcpSocket | Server)[] = [];

afterEach(() => {
  for (const it of plain.splice(0)) "destroy" in it ? it.destroy() : it.close();
});

interface Client {
  socket: TcpSocket;
  received: () => Buffer;
  ended: () => boolean;
}

function follow(socket: TcpSocket): Client {
  const chunks: Buffer[] = [];
  let ended = false;
  socket.on("data", (data) => chunks.push(data as Buffer));
  socket.on("close", () => {
    ended = true;
  });
  socket.on("error", () => {});
  plain.push(socket);
  return { socket, received: () => Buffer.concat(chunks), ended: () => ended };
}

async function dial(endpoint: string): Promise<Client> {
  const port = Number(/:(\d+)$/.exec(endpoint)?.[1]);
  const socket = connect({ host: "127.0.0.1", port });
  await new Promise((resolve) => socket.once("connect", resolve));
  return follow(socket);
}

test("an HTTP client is answered and its connection ended: a Stream is a TCP server", async () => {
  const stream = keep(new Stream({ notify: false }));
  const port = /:(\d+)$/.exec(bound(stream))?.[1];
  const serving = (async () => {
    for await (const [id, request] of stream) {
      const path = /^GET (\S+)/.exec(String(request))?.[1];
      const body = `you asked for ${path}`;
      const head = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close`;
      await stream.send([id as Buffer, `${head}\r\n\r\n${body}`]);
      await stream.send([id as Buffer, ""]);
    }
  })();
  for (const path of ["/a", "/b", "/c"]) {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    expect(await response.text()).toBe(`you asked for ${path}`);
  }
  stream.close();
  await serving;
});

describe("a plain client", () => {
  test("comes and goes with an empty message each, and its bytes in between", async () => {
    const stream = keep(new Stream());
    const endpoint = bound(stream);
    const clients = [await dial(endpoint), await dial(endpoint)];
    const ids = [(await stream.receive(limits))[0]!, (await stream.receive(limits))[0]!];
    expect(ids.map((id) => id.length)).toEqual([5, 5]);
    expect(ids[0]!.equals(ids[1]!)).toBe(false);
    clients[0]!.socket.write("hello");
    const [from, bytes] = await stream.receive(limits);
    expect(String(bytes)).toBe("hello");
    expect(stream.peer(from!)?.address).toBe(`tcp://127.0.0.1:${clients[0]!.socket.localPort}`);
    await stream.send([from!, "hello ", "yourself"]);
    await until("the answer", () => String(clients[0]!.received()) === "hello yourself");
    clients[0]!.socket.end();
    const [gone, empty] = await stream.receive(limits);
    expect([gone!.equals(from!), empty!.length]).toEqual([true, 0]);
    expect(stream.peer(from!)).toBeUndefined();
    expect(failure(() => stream.trySend([from!, "x"])).code).toBe("EHOSTUNREACH");
    expect(clients[1]!.received().length).toBe(0);
  });

  test("that sends megabytes gets the same bytes back", async () => {
    const stream = keep(new Stream({ notify: false, sendHighWaterMark: 4 }));
    const client = await dial(bound(stream));
    const serving = (async () => {
      for await (const message of stream) await stream.send(message);
    })();
    const bytes = pattern(5_000_000);
    client.socket.write(bytes);
    await until("all of it", () => client.received().length === bytes.length, 10_000);
    expectSame(client.received(), bytes);
    stream.close();
    await serving;
  });

  test("whose connection is ended gets everything before it", async () => {
    const stream = keep(new Stream());
    const client = await dial(bound(stream));
    const [id] = await stream.receive(limits);
    stream.linger = 5000;
    const bytes = pattern(3_000_000);
    await stream.send([id!, bytes]);
    await stream.send([id!, ""]);
    await until("the end", client.ended);
    expectSame(client.received(), bytes);
    expect(stream.stats().connections).toBe(0);
  });
});

test("an empty message alone ends a connection, though there is nothing else to do", async () => {
  const stream = keep(new Stream());
  const client = await dial(bound(stream));
  const [id] = await stream.receive(limits);
  await stream.send([id!, ""]);
  await until("the end", client.ended, 1000);
});

test("a Stream that connects is a TCP client: its id is there at once", async () => {
  const accepted: Client[] = [];
  const server = createServer((socket) => accepted.push(follow(socket)));
  plain.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const stream = keep(new Stream({ reconnectInterval: 10 }));
  const id = stream.connect(`tcp://127.0.0.1:${port}`);
  await stream.send([id, "early"]);
  await until("it arrives", () => String(accepted[0]?.received()) === "early");
  expect(await stream.receive(limits)).toEqual([id, Buffer.alloc(0)]);
  accepted[0]!.socket.end("answer");
  expect(texts(await stream.receive(limits))[1]).toBe("answer");
  expect(await stream.receive(limits)).toEqual([id, Buffer.alloc(0)]);
  // It is made again, under the same id.
  expect(await stream.receive(limits)).toEqual([id, Buffer.alloc(0)]);
  await stream.send([id, "again"]);
  await until("it arrives", () => String(accepted[1]?.received()) === "again");
});

test("ipc too: a Stream on a path talks to whatever connects there", async () => {
  const stream = keep(new Stream({ notify: false }));
  const path = bound(stream, "ipc").slice("ipc://".length);
  const socket = connect({ path });
  const client = follow(socket);
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.write("question");
  const [id, bytes] = await stream.receive(limits);
  expect(String(bytes)).toBe("question");
  await stream.send([id!, "answer"]);
  await until("the answer", () => String(client.received()) === "answer");
});
