// Options whose effect is the kernel's: each is read back from the descriptors of both ends.

import { afterEach, describe, expect, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { Pair, type PairOptions, Pull, Push } from "../../src/index.ts";
import * as libc from "../support/libc.ts";
import { level, name, option, optionBytes } from "../support/libc.ts";
import { anywhere, event, failure, texts, until, type Transport } from "../support/sockets.ts";

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((address) => address?.family === "IPv6");

const opened: (Disposable | number)[] = [];
afterEach(() => {
  for (const it of opened.splice(0)) typeof it === "number" ? libc.close(it) : it[Symbol.dispose]();
});

function keep<T extends Disposable>(it: T): T {
  opened.push(it);
  return it;
}

interface Descriptors {
  listener: number;
  accepted: number;
  connecting: number;
}

/** The three descriptors of a link, told apart by what they were made after. */
async function link(
  options: PairOptions,
  transport: Transport = "tcp",
  endpoint = anywhere[transport],
): Promise<Descriptors> {
  const pull = keep(new Pair({ linger: 0, ...options }));
  const push = keep(new Pair({ linger: 0, ...options }));
  const before = new Set(libc.sockets());
  pull.bindSync(endpoint);
  const [listener = -1] = libc.sockets().filter((fd) => !before.has(fd));
  expect(option(listener, level.socket, name.SO_ACCEPTCONN)).toBe(1);
  const accepted = event(pull, "accept");
  push.connect(pull.lastEndpoint as string);
  await push.send("x");
  expect(texts(await pull.receive({ timeout: 3000 }))).toEqual(["x"]);
  await accepted;
  const both = libc.sockets().filter((fd) => !before.has(fd) && fd !== listener);
  expect(both.length).toBe(2);
  const port = libc.localPort(listener);
  // Of the two ends the accepted one has the listener's port; unix sockets have none.
  const [one = -1, two = -1] = both;
  return libc.localPort(one) === port
    ? { listener, accepted: one, connecting: two }
    : { listener, accepted: two, connecting: one };
}

type Ends = (keyof Descriptors)[];
const both: Ends = ["accepted", "connecting"];
const all: Ends = ["listener", ...both];

async function expectEverywhere(
  options: PairOptions,
  at: number,
  of: number,
  value: number,
  ends: Ends = both,
  transport: Transport = "tcp",
): Promise<void> {
  const descriptors = await link(options, transport);
  const found = Object.fromEntries(ends.map((end) => [end, option(descriptors[end], at, of)]));
  expect(found).toEqual(Object.fromEntries(ends.map((end) => [end, value])));
}

describe("both ends of a connection have", () => {
  // The kernel doubles what it is given: socket(7).
  test.each(["tcp", "ipc"] as const)("buffers of that size over %s", async (transport) => {
    await expectEverywhere(
      { sendBufferSize: 50_000 }, level.socket, name.SO_SNDBUF, 100_000, all, transport,
    );
    await expectEverywhere(
      { receiveBufferSize: 60_000 }, level.socket, name.SO_RCVBUF, 120_000, all, transport,
    );
  });

  test("the kernel's own values where nothing is set", async () => {
    const fd = libc.socket(libc.AF_INET);
    opened.push(fd);
    const { connecting, accepted } = await link({});
    for (const end of [connecting, accepted]) {
      for (const of of [name.SO_KEEPALIVE, name.SO_PRIORITY, name.SO_BUSY_POLL]) {
        expect(option(end, level.socket, of)).toBe(option(fd, level.socket, of));
      }
      expect(option(end, level.ip, name.IP_TOS)).toBe(0);
      expect(option(end, level.tcp, name.TCP_USER_TIMEOUT)).toBe(0);
      expect(optionBytes(end, level.socket, name.SO_BINDTODEVICE).length).toBe(0);
    }
  });

  test("keep-alive, with its three parameters", async () => {
    const { accepted, connecting } = await link({
      tcpKeepalive: 1,
      tcpKeepaliveCount: 7,
      tcpKeepaliveIdle: 55,
      tcpKeepaliveInterval: 13,
    });
    for (const fd of [accepted, connecting]) {
      expect(option(fd, level.socket, name.SO_KEEPALIVE)).toBe(1);
      expect(option(fd, level.tcp, name.TCP_KEEPCNT)).toBe(7);
      expect(option(fd, level.tcp, name.TCP_KEEPIDLE)).toBe(55);
      expect(option(fd, level.tcp, name.TCP_KEEPINTVL)).toBe(13);
    }
  });

  test("a limit for what is not acknowledged", async () => {
    const options = { tcpMaxRetransmitTimeout: 12_345 };
    await expectEverywhere(options, level.tcp, name.TCP_USER_TIMEOUT, 12_345);
  });

  test("no delay for small packets, always", async () => {
    await expectEverywhere({}, level.tcp, name.TCP_NODELAY, 1);
  });

  test("a type of service", async () => {
    await expectEverywhere({ typeOfService: 0x28 }, level.ip, name.IP_TOS, 0x28, all);
  });

  test.if(hasIpv6)("a traffic class over IPv6, one listener for both families", async () => {
    const options = { typeOfService: 0x28, ipv6: true };
    const descriptors = await link(options, "tcp", "tcp://*:*");
    for (const end of all) {
      expect(option(descriptors[end], level.ipv6, name.IPV6_TCLASS)).toBe(0x28);
    }
    expect(option(descriptors.listener, level.ipv6, name.IPV6_V6ONLY)).toBe(0);
  });

  test("a priority, also next to a type of service, which would set its own", async () => {
    await expectEverywhere({ priority: 5 }, level.socket, name.SO_PRIORITY, 5);
    const options = { priority: 3, typeOfService: 0x10 };
    await expectEverywhere(options, level.socket, name.SO_PRIORITY, 3);
  });

  test("a time for the kernel to spin", async () => {
    await expectEverywhere({ busyPoll: 75 }, level.socket, name.SO_BUSY_POLL, 75);
  });

  test("the interface they were told to use", async () => {
    const descriptors = await link({ interface: "lo" });
    for (const end of all) {
      const bytes = optionBytes(descriptors[end], level.socket, name.SO_BINDTODEVICE);
      expect(bytes.toString()).toBe("lo\0");
    }
  });
});

describe("the option interface", () => {
  test("that names none: bind throws ENODEV, connect has an event and tries again", async () => {
    using pull = new Pull({ interface: "nosuchif0" });
    const error = failure(() => pull.bindSync("tcp://127.0.0.1:*"));
    expect(error).toMatchObject({ code: "ENODEV", address: "tcp://127.0.0.1:*" });
    using push = new Push({ linger: 0, interface: "nosuchif0", reconnectInterval: 5 });
    using other = new Pull();
    other.bindSync("tcp://127.0.0.1:*");
    const closed = event(push, "close");
    push.connect(other.lastEndpoint as string);
    push.ref();
    expect((await closed).reason).toBe("interface_missing");
    push.interface = null;
    await push.send("x");
    expect(texts(await other.receive({ timeout: 3000 }))).toEqual(["x"]);
  });

  test("means nothing to ipc", async () => {
    await link({ interface: "nosuchif0" }, "ipc");
  });

  test("is checked, and null undoes it", async () => {
    using pull = new Pull({ interface: "lo" });
    for (const wrong of ["", "a/b", "with space", "sixteen-bytes-xx"]) {
      expect(failure(() => (pull.interface = wrong)).code).toBe("EINVAL");
    }
    pull.interface = null;
    const before = new Set(libc.sockets());
    pull.bindSync("tcp://127.0.0.1:*");
    const [listener = -1] = libc.sockets().filter((fd) => !before.has(fd));
    expect(optionBytes(listener, level.socket, name.SO_BINDTODEVICE).length).toBe(0);
  });
});

test("a listener lets as many wait as the backlog says", async () => {
  for (const backlog of [3, 100]) {
    const { listener } = await link({ backlog });
    // tcp_info of a listener: tcpi_sacked is the limit.
    expect(optionBytes(listener, level.tcp, name.TCP_INFO).readUInt32LE(28)).toBe(backlog);
  }
});

test("connectTimeout ends an attempt that gets no answer", async () => {
  const fd = libc.socket(libc.AF_INET);
  opened.push(fd);
  libc.bind(fd, libc.inet("127.0.0.1", 0));
  libc.listen(fd, 0);
  const port = libc.localPort(fd);
  // Its queue is full: further packets are dropped without an answer.
  const filler = libc.socket(libc.AF_INET);
  opened.push(filler);
  libc.connect(filler, libc.inet("127.0.0.1", port));
  using push = new Push({ linger: 0, connectTimeout: 50 });
  const closed = event(push, "close");
  const started = performance.now();
  push.connect(`tcp://127.0.0.1:${port}`);
  push.ref();
  expect((await closed).reason).toBe("connection_timed_out");
  expect(performance.now() - started).toBeWithin(45, 2000);
});

test("maxMessageSize ends the connection of who sends more, and nobody else's", async () => {
  using pull = new Pull({ maxMessageSize: 1000 });
  pull.bindSync("tcp://127.0.0.1:*");
  using big = new Push({ linger: 0, reconnectInterval: -1 });
  using small = new Push({ linger: 0 });
  const ended = event(pull, "disconnect");
  for (const push of [big, small]) push.connect(pull.lastEndpoint as string);
  await big.send(Buffer.alloc(1001));
  expect((await ended).reason).toBe("frame_too_large");
  await small.send(Buffer.alloc(1000));
  expect((await pull.receive({ timeout: 3000 }))[0]?.length).toBe(1000);
  expect(pull.stats().messagesReceived).toBe(1);
});

describe("high-water marks set while a socket is in use", () => {
  /** Messages that are taken until there is no room. */
  function fill(push: Push): number {
    let count = 0;
    while (count < 100_000 && push.trySend("x")) count += 1;
    return count;
  }

  test("a raised one lets a waiting send go on at once", async () => {
    using push = new Push({ linger: 0, sendHighWaterMark: 2 });
    push.connect("tcp://127.0.0.1:9");
    expect(fill(push)).toBe(2);
    const waiting = push.send("third", { timeout: 3000 });
    push.sendHighWaterMark = 5;
    await waiting;
    expect(fill(push)).toBe(2);
    push.sendHighWaterMark = 0;
    expect(fill(push)).toBe(100_000);
  });

  test("a raised one of the receiver lets the sender's messages in", async () => {
    using pull = new Pull({ receiveHighWaterMark: 2 });
    pull.bindSync("tcp://127.0.0.1:*");
    using push = new Push({ linger: 0, sendHighWaterMark: 0 });
    push.connect(pull.lastEndpoint as string);
    for (let i = 0; i < 20_000; i += 1) push.trySend(Buffer.alloc(1000));
    await until("it is full", () => pull.readable);
    pull.receiveHighWaterMark = 0;
    for (let i = 0; i < 20_000; i += 1) await pull.receive({ timeout: 3000 });
  });

  test("a lowered one loses nothing", async () => {
    using push = new Push({ linger: 0, sendHighWaterMark: 100 });
    using pull = new Pull();
    const endpoint = `ipc://@monocoque-lowered-${process.pid}-${Bun.nanoseconds()}`;
    push.connect(endpoint);
    expect(fill(push)).toBe(100);
    push.sendHighWaterMark = 70;
    expect(push.trySend("x")).toBe(false);
    pull.bindSync(endpoint);
    for (let i = 0; i < 100; i += 1) await pull.receive({ timeout: 3000 });
    pull.unbindSync(endpoint);
    await until("it has noticed", () => push.stats().connections === 0);
    expect(fill(push)).toBe(70);
  });
});

