// Handles that are wrong, forged, or of something that is gone: an answer, never a crash.

import { describe, expect, test } from "bun:test";
import { nativeContext } from "../src/context.ts";
import {
  ADDRESSES_MAX,
  ARENA_BYTES_MAX,
  ContextRecord,
  EntryRecord,
  RING_ENTRIES,
  SharedRecord,
  SocketRecord,
  SocketType,
  Status,
} from "../src/ffi/abi.generated.ts";
import { load } from "../src/ffi/native.ts";
import { readResult } from "../src/ffi/records.ts";
import { Pull, Push } from "../src/index.ts";
import { coreOf } from "../src/socket.ts";
import { pipeline, texts, until } from "./support/sockets.ts";

const context = nativeContext();
const { native, record } = context;

function open(type: number = SocketType.push): number {
  expect(native.socket_open(type)).toBe(Status.OK);
  return readResult(record);
}

/** What JavaScript does: it reads what the socket's record says, and forgets it. */
function close(socket: number): number {
  const status = native.socket_close(socket, 0);
  native.socket_forget(socket);
  return status;
}

/** Every call that takes a socket, and what it says when there is no such socket. */
const calls: [string, (socket: number) => number, number][] = [
  ["socket_close", (socket) => native.socket_close(socket, 0), Status.EBADF],
  ["socket_queues", (socket) => native.socket_queues(socket), Status.EBADF],
  ["socket_bind", (socket) => native.socket_bind(socket), Status.EBADF],
  ["socket_unbind", (socket) => native.socket_unbind(socket, 1, 0), Status.ENOENT],
  ["socket_connect", (socket) => native.socket_connect(socket, 1), Status.EBADF],
  ["socket_disconnect", (socket) => native.socket_disconnect(socket, 1, 0), Status.ENOENT],
  ["socket_ready", (socket) => native.socket_ready(socket), 0],
  ["socket_want", (socket) => native.socket_want(socket, 3), Status.EBADF],
  ["send", (socket) => native.send(socket, new Uint8Array(4), 4, 0), Status.EBADF],
  ["fill", (socket) => native.fill(socket), Status.EBADF],
  ["copy", (socket) => native.copy(socket, 0, new Uint8Array(4), 4), Status.EBADF],
  ["monitor", (socket) => native.monitor(socket, 1), Status.EBADF],
  ["monitor_next", (socket) => native.monitor_next(socket), Status.EBADF],
];

const unbindable = new Set(["socket_unbind", "socket_disconnect"]);

/** EBADF, or ENOENT where an endpoint is asked for that nobody has. */
function refused(name: string, status: number, expected: number): void {
  if (unbindable.has(name)) expect([Status.EBADF, Status.ENOENT] as number[]).toContain(status);
  else expect(status).toBe(expected);
}

const forged = [0, 1, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xdeadbeef, 0xffffffff];

describe.each(calls)("%s", (name, call, expected) => {
  test("refuses a handle that was never given", () => {
    for (const handle of forged) refused(name, call(handle), expected);
  });

  test("refuses a handle of every other generation and slot", () => {
    const handle = open();
    for (let bit = 0; bit < 32; bit += 1) {
      refused(name, call((handle ^ (1 << bit)) >>> 0), expected);
    }
    expect(close(handle)).toBe(Status.OK);
  });

  test("refuses a closed socket, also when its place was taken by another", () => {
    const closed = open();
    close(closed);
    refused(name, call(closed), expected);
    const next = open();
    refused(name, call(closed), expected);
    expect(close(next)).toBe(Status.OK);
  });

  test("refuses a closed socket that still sends for its linger time", async () => {
    using pull = new Pull();
    pull.bindSync("tcp://127.0.0.1:*");
    const push = new Push();
    push.connect(pull.lastEndpoint as string);
    await push.send("last words");
    const { handle } = push[coreOf];
    push.close();
    refused(name, call(handle), expected);
    expect(texts(await pull.receive({ timeout: 2000 }))).toEqual(["last words"]);
  });
});

describe("a handle of an endpoint", () => {
  test("that was never given is refused", () => {
    const socket = open();
    for (const endpoint of forged) {
      expect(native.socket_unbind(socket, endpoint, 0)).toBe(Status.ENOENT);
      expect(native.socket_disconnect(socket, endpoint, 0)).toBe(Status.ENOENT);
      expect(native.endpoint_resolved(endpoint, 0)).toBe(Status.ENOENT);
      expect(native.buffer_lend(endpoint, new Uint8Array(8), 8, 1)).toBe(Status.ENOENT);
    }
    close(socket);
  });

  test("of another socket is refused, and that socket keeps it", async () => {
    using line = pipeline();
    await line.push.send("connected");
    await line.pull.receive();
    const listener = line.pull[coreOf].bound[0]?.listener as number;
    const session = line.push[coreOf].connected[0]?.session as number;
    const other = open();
    expect(native.socket_unbind(other, listener, 0)).toBe(Status.ENOENT);
    expect(native.socket_disconnect(other, session, 0)).toBe(Status.ENOENT);
    close(other);
    // A session is no listener, and the other way round.
    expect(native.socket_unbind(line.push[coreOf].handle, session, 0)).toBe(Status.ENOENT);
    expect(native.socket_disconnect(line.pull[coreOf].handle, listener, 0)).toBe(Status.ENOENT);
    await line.push.send("still");
    expect(texts(await line.pull.receive({ timeout: 2000 }))).toEqual(["still"]);
  });

  test("of an accepted connection cannot be disconnected by the one who guesses it", async () => {
    using line = pipeline();
    await line.push.send("x");
    await line.pull.receive();
    const { handle } = line.pull[coreOf];
    for (let guess = 0; guess < 4096; guess += 1) {
      native.socket_disconnect(handle, guess, 0);
      native.socket_disconnect(handle, ((guess << 20) | 1) >>> 0, 0);
    }
    await line.push.send("still");
    expect(texts(await line.pull.receive({ timeout: 2000 }))).toEqual(["still"]);
  });
});

describe("arguments that are wrong", () => {
  test("a socket type that does not exist", () => {
    for (const type of [1000, 0xffffffff, 999]) {
      expect(native.socket_open(type)).toBe(Status.EINVAL);
    }
  });

  test("a chunk that is too small or too large", () => {
    const memory = new Uint8Array(ARENA_BYTES_MAX * 2);
    for (const bytes of [0, 1, 4096, ARENA_BYTES_MAX + 1, 0xffffffff]) {
      expect(native.arena_lend(memory, bytes)).toBe(Status.EINVAL);
    }
  });

  test("a lent buffer without a number, or more addresses than there is room for", () => {
    expect(native.buffer_lend(1, new Uint8Array(8), 8, 0)).toBe(Status.EINVAL);
    expect(native.endpoint_resolved(1, ADDRESSES_MAX + 1)).toBe(Status.EINVAL);
    expect(native.endpoint_resolved(1, 0xffffffff)).toBe(Status.EINVAL);
  });

  test("no memory where there should be some", () => {
    const socket = open();
    expect(native.send(socket, null as unknown as Uint8Array, 10, 0)).toBe(Status.EINVAL);
    expect(native.copy(socket, 0, null, 10)).toBe(Status.EINVAL);
    close(socket);
  });

  test("a part that is not there to be copied", async () => {
    using line = pipeline();
    await line.push.send("12345678");
    await until("it is there", () => line.pull.readable);
    const { handle } = line.pull[coreOf];
    native.fill(handle);
    for (const position of [1, 511, 512, 0x7fffffff, 0xffffffff]) {
      expect(native.copy(handle, position, new Uint8Array(8), 8)).toBe(Status.EINVAL);
    }
    for (const bytes of [0, 7, 9]) {
      expect(native.copy(handle, 0, new Uint8Array(16), bytes)).toBe(Status.EINVAL);
    }
    expect(texts(await line.pull.receive())).toEqual(["12345678"]);
  });

  test("an address record full of nonsense", () => {
    const socket = open();
    const memory = new Uint8Array(record.buffer, record.byteOffset, record.byteLength);
    const { offset } = ContextRecord.addresses;
    let seed = 1;
    for (let round = 0; round < 2000; round += 1) {
      for (let i = 0; i < 124; i += 1) {
        seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
        memory[offset + i] = round % 3 === 0 ? seed >>> 24 : (seed >>> 24) & 3;
      }
      expect(native.socket_bind(socket)).toBeLessThan(0);
      expect(native.socket_connect(socket, 0)).toBeLessThan(0);
    }
    memory.fill(0, offset, offset + 124);
    close(socket);
  });
});

describe("a shared record that the owner has scribbled over", () => {
  test("with wild cursors is a wrong answer at most", async () => {
    const line = pipeline();
    await line.push.sendMany(Array.from({ length: 100 }, (_, i) => `${i}`));
    await until("they are there", () => line.pull.readable);
    const { handle, words } = line.pull[coreOf];
    const taken = (SharedRecord.record.offset + SocketRecord.cursor.offset) / 4;
    for (const wild of [1, RING_ENTRIES, 0x7fffffff, 0x80000000, 0xffffffff]) {
      words[taken] = wild;
      native.fill(handle);
      native.copy(handle, wild, new Uint8Array(8), 8);
      native.socket_ready(handle);
      native.tick(0);
    }
    line[Symbol.dispose]();
  });

  test("with wild entries is a wrong answer at most", async () => {
    const line = pipeline();
    await line.push.sendMany(Array.from({ length: 100 }, (_, i) => Buffer.alloc(1000, i)));
    await until("they are there", () => line.pull.readable);
    const { handle, words } = line.pull[coreOf];
    native.fill(handle);
    words.fill(0xffffffff, SharedRecord.entries.offset / 4);
    for (let i = 0; i < 100; i += 1) native.copy(handle, i, new Uint8Array(EntryRecord.bytes), 16);
    native.tick(0);
    line[Symbol.dispose]();
  });

  test("the next sockets are as good as new", async () => {
    using line = pipeline();
    await line.push.send("good");
    expect(texts(await line.pull.receive({ timeout: 2000 }))).toEqual(["good"]);
  });
});

test("a thread without a context is told so by every function", async () => {
  const worker = new Worker(new URL("./children/no_context.ts", import.meta.url).href);
  const result = await new Promise<unknown>((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = reject;
  });
  worker.terminate();
  expect(result).toEqual({});
});

test("65,000 handles given and closed leave no socket behind and never repeat soon", () => {
  const before = context.stats().sockets;
  const recent = new Set<number>();
  for (let i = 0; i < 65_000; i += 1) {
    expect(native.socket_open(SocketType.pull)).toBe(Status.OK);
    const handle = readResult(record);
    if (recent.has(handle)) throw new Error(`handle ${handle} came back after ${i}`);
    recent.add(handle);
    if (recent.size > 4000) recent.clear();
    native.socket_close(handle, 0);
    expect(native.socket_forget(handle)).toBe(Status.OK);
  }
  expect(context.stats().sockets).toBe(before);
  expect(load().native).toBe(native);
});

test("a socket is forgotten once, and only after it has ended: its counters would be read from freed memory", () => {
  native.socket_open(SocketType.push);
  const handle = readResult(record);
  expect(native.socket_forget(handle)).toBe(Status.EBADF);
  native.socket_close(handle, 0);
  expect(native.socket_forget(handle)).toBe(Status.OK);
  for (const wrong of [handle, 0, 0xffff_ffff]) {
    expect(native.socket_forget(wrong)).toBe(Status.EBADF);
  }
});
