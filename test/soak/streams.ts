// STREAM with plain TCP clients and servers that come, leave and break off.

import { type Socket as TcpSocket, connect as connectRaw, createServer } from "node:net";
import { Stream } from "../../src/index.ts";
import { check, ownPort, type Task, type Tasks, until } from "./work.ts";

/** Bytes of a client that differ from those of others, and at every place. */
function bytesOf(client: number, size: number): Buffer {
  const bytes = new Uint8Array(size);
  return Buffer.from(bytes.map((_, index) => index * 31 + client * 7 + (index >> 8)));
}

/** Every client gets its own bytes back, in order; each beginning has its end. */
async function echoToClients(task: Task): Promise<void> {
  await using stream = new Stream({ linger: 0 });
  await stream.bind("tcp://127.0.0.1:*");
  const port = Number(stream.lastEndpoint!.split(":").at(-1));
  const there = new Set<string>();
  const echoing = (async () => {
    for await (const [id, bytes] of stream) {
      const name = id!.toString("hex");
      if (bytes!.length > 0) {
        check(there.has(name), "bytes of a connection that is not there");
        const echoed = stream.send([id!, bytes!]);
        await echoed.catch(({ code }) => check(code === "EHOSTUNREACH", `an echo fails: ${code}`));
      } else if (!there.delete(name)) there.add(name);
    }
  })();
  for (let client = 0; task.running; client += 1) {
    const size = client % 4 === 0 ? 300_000 : 1 + ((client * 997) % 4000);
    const rude = client % 3 === 0;
    const one = exchange(port, bytesOf(client, size), rude ? size >> 1 : size);
    await Promise.race([one, echoing]);
    task.counts.lives += rude ? 1 : 0;
    task.counts.opened += 1;
    task.counts.messages += 1;
    await Bun.sleep(3);
  }
  await until(() => there.size === 0, "the ends of all clients are told");
  stream.close();
  await echoing;
}

/** Sends bytes, wants as many of them back as `due`, and breaks off. */
async function exchange(port: number, bytes: Buffer, due: number): Promise<void> {
  const socket = connectRaw({ host: "127.0.0.1", port });
  try {
    await answered(socket, bytes, due);
  } finally {
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.destroy();
    await closed;
  }
}

function answered(socket: TcpSocket, bytes: Buffer, due: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let got = 0;
    socket.setTimeout(20_000, () => reject(new Error(`soak: ${got} of ${due} bytes come back`)));
    socket.on("error", reject);
    socket.on("data", (data: Buffer) => {
      const same = data.equals(bytes.subarray(got, got + data.length));
      got += data.length;
      if (!same) reject(new Error("soak: other bytes come back"));
      else if (got >= due) resolve();
    });
    socket.write(bytes);
  });
}

/** A Stream that connects: its server breaks off now and then, and is found again. */
async function callServers(task: Task): Promise<void> {
  await using stream = new Stream({ reconnectInterval: 10, linger: 0, notify: false });
  const sockets = new Set<TcpSocket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => {});
    socket.on("data", (data) => socket.write(data));
  });
  const { hostname, port } = new URL(ownPort());
  await new Promise<void>((resolve) => server.listen(Number(port), hostname, () => resolve()));
  const endpoint = `tcp://${hostname}:${port}`;
  let id = stream.connect(endpoint, { routingId: "server" });
  for (let life = 0; task.running; life += 1) {
    const bytes = bytesOf(life, 1 + ((life * 7919) % 60_000));
    task.step(`life ${life}: send`);
    await stream.send([id, bytes], { timeout: 10_000 });
    task.step(`life ${life}: receive`);
    for (let got = 0; got < bytes.length; ) {
      const [from, data] = await stream.receive({ timeout: 10_000 });
      check(from!.equals(id), "bytes of another connection");
      check(data!.equals(bytes.subarray(got, got + data!.length)), "other bytes come back");
      got += data!.length;
    }
    task.counts.messages += 1;
    if (life % 20 === 19) {
      stream.disconnect(endpoint);
      id = stream.connect(endpoint);
      task.counts.opened += 1;
    } else if (life % 5 === 4) {
      const gone = new Promise<void>((resolve) => {
        stream.events.once("disconnect", () => resolve());
      });
      for (const socket of sockets) socket.destroy();
      task.step(`life ${life}: broken off`);
      await gone;
      task.counts.lives += 1;
    }
    await Bun.sleep(2);
  }
  stream.close();
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
}

export const streams: Tasks = {
  "stream and clients": echoToClients,
  "stream and servers": callServers,
};
