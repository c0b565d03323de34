// libzmq's own tests of endpoints, one describe() for each of its files, under its name. Where we
// differ on purpose the test says so. test_socks is in socks.test.ts.

import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Pair, Pull, Push, Reply, Request, type Socket } from "../../src/index.ts";
import * as libc from "../support/libc.ts";
import { bound, event, failure, rejection, texts, until } from "../support/sockets.ts";
import { freePort } from "../interop/peer.ts";

const directory = mkdtempSync(join(tmpdir(), "libzmq-endpoints-"));
afterAll(() => rmSync(directory, { recursive: true }));
let made = 0;
const freshPath = () => join(directory, `socket-${(made += 1)}`);

const descriptors: number[] = [];
afterEach(() => {
  for (const fd of descriptors.splice(0)) if (libc.isOpen(fd)) libc.close(fd);
});

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((address) => address?.family === "IPv6");
const families = hasIpv6 ? [false, true] : [false];

const port = (endpoint: string | null) => Number(/:(\d+)$/.exec(endpoint ?? "")?.[1]);
const lastOf = (socket: Socket) => socket.lastEndpoint as string;

async function passes(push: Push, pull: Pull, text = "through"): Promise<void> {
  await push.send(text);
  expect(texts(await pull.receive({ timeout: 3000 }))).toEqual([text]);
}

async function bounce(request: Request, reply: Reply): Promise<void> {
  await request.send(["question", "part"]);
  expect(texts(await reply.receive({ timeout: 3000 }))).toEqual(["question", "part"]);
  await reply.send("answer");
  expect(texts(await request.receive({ timeout: 3000 }))).toEqual(["answer"]);
}

describe("test_term_endpoint", () => {
  const transports = ["tcp", "ipc"] as const;

  test.each(transports)("after unbind over %s nobody is there to send to", async (transport) => {
    using push = new Push({ linger: 0 });
    using pull = new Pull();
    const endpoint = bound(push, transport);
    pull.connect(endpoint);
    await passes(push, pull);
    await push.unbind(endpoint);
    expect(push.trySend("nobody")).toBe(false);
    expect((await rejection(push.send("nobody", { timeout: 0 }))).code).toBe("EAGAIN");
    expect((await rejection(push.unbind(endpoint))).code).toBe("ENOENT");
  });

  test.each(transports)("after disconnect over %s neither", async (transport) => {
    using push = new Push({ linger: 0 });
    using pull = new Pull();
    const endpoint = bound(pull, transport);
    push.connect(endpoint);
    await passes(push, pull);
    push.disconnect(endpoint);
    expect(push.trySend("nobody")).toBe(false);
    expect(failure(() => push.disconnect(endpoint)).code).toBe("ENOENT");
    // The peer sees the connection end.
    await until("it has gone", () => pull.stats().connections === 0);
  });

  test("a wildcard is unbound by lastEndpoint only", async () => {
    using push = new Push();
    push.bindSync("tcp://127.0.0.1:*");
    expect((await rejection(push.unbind("tcp://127.0.0.1:*"))).code).toBe("ENOENT");
    expect((await rejection(push.unbind("tcp://*:*"))).code).toBe("ENOENT");
    await push.unbind(lastOf(push));
    push.bindSync("ipc://*");
    expect((await rejection(push.unbind("ipc://*"))).code).toBe("ENOENT");
    await push.unbind(lastOf(push));
  });

  test("disconnect drops what came from there and was not read", async () => {
    using pull = new Pull();
    using one = new Push({ linger: 0 });
    using two = new Push({ linger: 0 });
    pull.connect(bound(one));
    await one.send("dropped");
    await until("it is there", () => pull.readable);
    pull.disconnect(lastOf(one));
    pull.connect(bound(two));
    await passes(two, pull, "kept");
  });

  test("all connections to one endpoint end together", async () => {
    using push = new Push({ linger: 0 });
    using pull = new Pull();
    const endpoint = bound(pull);
    for (let i = 0; i < 3; i += 1) push.connect(endpoint);
    await until("all are there", () => pull.stats().connections === 3);
    push.disconnect(endpoint);
    await until("all have gone", () => pull.stats().connections === 0);
    expect(failure(() => push.disconnect(endpoint)).code).toBe("ENOENT");
  });

  test("another way to write the same address is the same endpoint", async () => {
    using pull = new Pull({ ipv6: hasIpv6 });
    const number = port(bound(pull));
    await pull.unbind(`tcp://127.0.0.1:${number}`);
    if (!hasIpv6) return;
    pull.bindSync("tcp://[::1]:*");
    await pull.unbind(lastOf(pull).replace("[::1]", "[0:0:0:0:0:0:0:1]"));
    using push = new Push({ linger: 0, ipv6: true });
    push.connect("tcp://[::1]:9");
    push.disconnect("tcp://[0::1]:9");
    // unbind can wait for the look-up of a host name. disconnect cannot, where libzmq stops the
    // thread for it: there a name is known by the text that was connected.
    pull.bindSync("tcp://127.0.0.1:*");
    await pull.unbind(lastOf(pull).replace("127.0.0.1", "localhost"));
    expect((await rejection(pull.unbind(lastOf(pull)))).code).toBe("ENOENT");
    push.connect("tcp://127.0.0.1:9");
    expect(failure(() => push.disconnect("tcp://localhost:9")).code).toBe("ENOENT");
  });
});

describe("test_unbind_wildcard", () => {
  const endpoints = ["tcp://*:*", "tcp://127.0.0.1:*", ...(hasIpv6 ? ["tcp://[::1]:*"] : [])];
  for (const ipv6 of families) {
    for (const endpoint of endpoints.filter((it) => ipv6 || !it.includes("::"))) {
      test(`${endpoint} with ipv6 ${ipv6}: lastEndpoint connects, and unbinds once`, async () => {
        using push = new Push({ linger: 0, ipv6 });
        using pull = new Pull({ ipv6 });
        pull.bindSync(endpoint);
        // "Any address" of this machine is one of its own for connect.
        push.connect(lastOf(pull));
        await passes(push, pull);
        await pull.unbind(lastOf(pull));
        expect((await rejection(pull.unbind(lastOf(pull)))).code).toBe("ENOENT");
      });
    }
  }

  test("an IPv6 address without the option is refused at once, by libzmq in the background", () => {
    using pull = new Pull();
    expect(failure(() => pull.bindSync("tcp://[::1]:*")).code).toBe("EAFNOSUPPORT");
  });
});

describe("test_last_endpoint", () => {
  test("after each of several binds it is that one", () => {
    using pull = new Pull();
    const ports = [freePort(), freePort(), freePort()];
    for (const number of ports) {
      pull.bindSync(`tcp://127.0.0.1:${number}`);
      expect(lastOf(pull)).toBe(`tcp://127.0.0.1:${number}`);
    }
    // A bind that fails leaves it as it was.
    failure(() => pull.bindSync(`tcp://127.0.0.1:${ports[0]}`));
    expect(lastOf(pull)).toBe(`tcp://127.0.0.1:${ports[2]}`);
  });
});

describe("test_connect_resolve", () => {
  test.each(["tcp://localhost:1234", "tcp://127.0.0.1:1234", "tcp://foobar123xyz:1234"])(
    "%s is taken, whether anybody is there or not",
    (endpoint) => {
      using push = new Push({ linger: 0 });
      push.connect(endpoint);
      expect(lastOf(push)).toBe(endpoint);
    },
  );

  test.if(hasIpv6)("an IPv6 address is, with the option", () => {
    using push = new Push({ linger: 0, ipv6: true });
    push.connect("tcp://[::1]:1234");
  });

  test.each([
    ["tcp://localhost:invalid", "EINVAL"],
    ["tcp://in val id:1234", "EINVAL"],
    ["tcp://", "EINVAL"],
    ["tcp://localhost", "EINVAL"],
    ["invalid://localhost:1234", "EPROTONOSUPPORT"],
    // libzmq takes these two and fails in the background.
    ["tcp://localhost:99999", "EINVAL"],
    ["tcp://:1234", "EINVAL"],
  ])("%s is %s", (endpoint, code) => {
    using push = new Push({ linger: 0 });
    expect(failure(() => push.connect(endpoint)).code).toBe(code);
  });
});

describe("test_bind_src_address", () => {
  /** The remote address that a server sees of the next connection. */
  async function seen(endpoint: (target: string) => string, options = {}, host = "127.0.0.1") {
    using push = new Push({ linger: 0, ...options });
    using pull = new Pull({ ipv6: true });
    pull.bindSync(`tcp://${host}:*`);
    const accepted = event(pull, "accept");
    push.connect(endpoint(lastOf(pull).slice("tcp://".length)));
    await passes(push, pull);
    return (await accepted).peer as string;
  }

  test("the peer sees the address, and the port, that a connection comes from", async () => {
    expect(await seen((to) => `tcp://127.0.0.2;${to}`)).toMatch(/^tcp:\/\/127\.0\.0\.2:\d+$/);
    expect(await seen((to) => `tcp://127.0.0.3:0;${to}`)).toMatch(/^tcp:\/\/127\.0\.0\.3:\d+$/);
    expect(await seen((to) => `tcp://127.0.0.4:*;${to}`)).toMatch(/^tcp:\/\/127\.0\.0\.4:\d+$/);
    const number = freePort();
    expect(await seen((to) => `tcp://127.0.0.5:${number};${to}`)).toBe(`tcp://127.0.0.5:${number}`);
  });

  test("the source may be an interface, or any with a port", async () => {
    expect(await seen((to) => `tcp://lo;${to}`)).toMatch(/^tcp:\/\/127\.0\.0\.1:\d+$/);
    const one = freePort();
    expect(await seen((to) => `tcp://lo:${one};${to}`)).toBe(`tcp://127.0.0.1:${one}`);
    const two = freePort();
    expect(await seen((to) => `tcp://*:${two};${to}`)).toBe(`tcp://127.0.0.1:${two}`);
    expect(await seen((to) => `tcp://*:*;${to}`)).toMatch(/^tcp:\/\/127\.0\.0\.1:\d+$/);
  });

  test("the target may be a name", async () => {
    const peer = await seen((to) => `tcp://127.0.0.6;${to.replace("127.0.0.1", "localhost")}`);
    expect(peer).toMatch(/^tcp:\/\/127\.0\.0\.6:\d+$/);
  });

  test.if(hasIpv6)("an IPv6 target gets an IPv6 source, of an interface too", async () => {
    const v6 = await seen((to) => `tcp://lo;${to}`, { ipv6: true }, "[::1]");
    expect(v6).toMatch(/^tcp:\/\/\[::1\]:\d+$/);
    const v4 = await seen((to) => `tcp://lo;${to}`, { ipv6: true });
    expect(v4).toMatch(/^tcp:\/\/127\.0\.0\.1:\d+$/);
    const literal = await seen((to) => `tcp://[::1];${to}`, { ipv6: true }, "[::1]");
    expect(literal).toMatch(/^tcp:\/\/\[::1\]:\d+$/);
    using push = new Push({ linger: 0, ipv6: true });
    expect(failure(() => push.connect("tcp://[::1];127.0.0.1:9")).code).toBe("EINVAL");
  });

  test("the same source port serves again though its last connection is in TIME_WAIT", async () => {
    const source = `127.0.0.1:${freePort()}`;
    using push = new Push({ linger: 0 });
    for (let i = 0; i < 3; i += 1) {
      using pull = new Pull();
      const endpoint = bound(pull).replace("tcp://", `tcp://${source};`);
      push.connect(endpoint);
      await passes(push, pull);
      push.disconnect(endpoint);
      await until("it has gone", () => pull.stats().connections === 0);
    }
  });

  test("the same source port serves again after a reconnect", async () => {
    const number = freePort();
    using pull = new Pull();
    const endpoint = bound(pull);
    using push = new Push({ linger: 0, reconnectInterval: 5 });
    push.connect(`tcp://127.0.0.1:${number};${endpoint.slice("tcp://".length)}`);
    await passes(push, pull, "first");
    pull.unbindSync(endpoint);
    await until("it has noticed", () => push.stats().connections === 0);
    pull.bindSync(endpoint);
    const again = event(pull, "accept");
    await passes(push, pull, "second");
    expect((await again).peer).toBe(`tcp://127.0.0.1:${number}`);
  });

  test("a source that cannot be had is an event with its reason, and tried again", async () => {
    const failed = async (source: string) => {
      using push = new Push({ linger: 0 });
      const closed = event(push, "close");
      const retried = event(push, "connect:retry");
      push.connect(`tcp://${source};127.0.0.1:9`);
      push.ref();
      await retried;
      return (await closed).reason as string;
    };
    expect(await failed("192.0.2.1")).toBe("source_unavailable");
    const fd = libc.listening();
    descriptors.push(fd);
    expect(await failed(`127.0.0.1:${libc.localPort(fd)}`)).toBe("source_in_use");
  });

  test("a source that is neither an address nor an interface is ENODEV at once", () => {
    // libzmq takes any name here, and then tries for ever.
    using push = new Push({ linger: 0 });
    expect(failure(() => push.connect("tcp://localhost:5555;localhost:1235")).code).toBe("ENODEV");
    expect(failure(() => push.bindSync("tcp://127.0.0.1;127.0.0.1:9")).code).toBe("EINVAL");
  });
});

describe("test_use_fd", () => {
  test("a tcp descriptor that listens is taken over, and closed with the socket", async () => {
    const fd = libc.listening();
    const number = libc.localPort(fd);
    const reply = new Reply({ linger: 0, useFd: fd });
    await reply.bind("tcp://127.0.0.1:*");
    expect(lastOf(reply)).toBe(`tcp://127.0.0.1:${number}`);
    using request = new Request({ linger: 0 });
    request.connect(lastOf(reply));
    await bounce(request, reply);
    reply.close();
    expect(libc.isOpen(fd)).toBe(false);
  });

  test("one that is bound only listens from then on; a non-blocking one does as well", async () => {
    const errors: string[] = [];
    for (const type of [libc.SOCK_STREAM, libc.SOCK_STREAM | libc.SOCK_NONBLOCK]) {
      for (const listens of [false, true]) {
        const fd = libc.listening({ type, listens });
        using reply = new Reply({ linger: 0, useFd: fd });
        reply.events.on("accept:error", ({ type }) => errors.push(type));
        reply.bindSync("tcp://127.0.0.1:*");
        // Two clients one after the other: accepting goes on after the first.
        for (let i = 0; i < 2; i += 1) {
          using request = new Request({ linger: 0 });
          request.connect(lastOf(reply));
          await bounce(request, reply);
        }
      }
    }
    // Nobody is there is no error: it would be tried again every 100 ms.
    expect(errors).toEqual([]);
  });

  test("an ipc descriptor is, and its path stays with whoever made it", async () => {
    const path = freshPath();
    const fd = libc.socket(libc.AF_UNIX);
    libc.bind(fd, libc.unix(path));
    libc.listen(fd);
    const reply = new Reply({ linger: 0, useFd: fd });
    reply.bindSync(`ipc://${path}`);
    expect(lastOf(reply)).toBe(`ipc://${path}`);
    using request = new Request({ linger: 0 });
    request.connect(`ipc://${path}`);
    await bounce(request, reply);
    reply.close();
    expect(libc.isOpen(fd)).toBe(false);
    expect(existsSync(path)).toBe(true);
  });

  test("for any type of socket", async () => {
    using one = new Pair({ linger: 0, useFd: libc.listening() });
    using two = new Pair({ linger: 0 });
    one.bindSync("tcp://127.0.0.1:*");
    two.connect(lastOf(one));
    await two.send("there");
    expect(texts(await one.receive({ timeout: 3000 }))).toEqual(["there"]);
    await one.send("and back");
    expect(texts(await two.receive({ timeout: 3000 }))).toEqual(["and back"]);
  });

  test("it serves one bind: the option is -1 then, and unbind closes the descriptor", async () => {
    const fd = libc.listening();
    using reply = new Reply({ linger: 0 });
    expect(reply.useFd).toBe(-1);
    reply.useFd = fd;
    reply.bindSync("tcp://127.0.0.1:*");
    const first = lastOf(reply);
    // libzmq would take the same descriptor twice, and close it twice.
    expect(reply.useFd).toBe(-1);
    reply.bindSync("tcp://127.0.0.1:*");
    expect(lastOf(reply)).not.toBe(first);
    await reply.unbind(first);
    expect(libc.isOpen(fd)).toBe(false);
    using request = new Request({ linger: 0 });
    request.connect(lastOf(reply));
    await bounce(request, reply);
  });

  test("anything else is EINVAL, stays open, and stays with its owner", () => {
    const listener = libc.listening();
    const unbound = libc.socket(libc.AF_INET);
    const datagrams = libc.listening({ type: libc.SOCK_DGRAM, listens: false });
    const connected = libc.socket(libc.AF_INET);
    libc.connect(connected, libc.inet("127.0.0.1", libc.localPort(listener)));
    const path = libc.socket(libc.AF_UNIX);
    libc.bind(path, libc.unix(freshPath()));
    descriptors.push(listener, unbound, datagrams, connected, path);
    using reply = new Reply({ linger: 0 });
    for (const [fd, endpoint] of [
      [unbound, "tcp://127.0.0.1:*"],
      [datagrams, "tcp://127.0.0.1:*"],
      [connected, "tcp://127.0.0.1:*"],
      [path, "tcp://127.0.0.1:*"],
      [listener, `ipc://${freshPath()}`],
      [1, "tcp://127.0.0.1:*"],
      [99_999, "tcp://127.0.0.1:*"],
    ] as const) {
      reply.useFd = fd;
      const error = failure(() => reply.bindSync(endpoint));
      expect(`${fd} ${error.code} ${error.address}`).toBe(`${fd} EINVAL ${endpoint}`);
      expect(error.message).toContain("The option useFd must be");
      expect(reply.useFd).toBe(fd);
      expect(libc.isOpen(fd)).toBe(fd !== 99_999);
    }
    expect(reply.lastEndpoint).toBeNull();
    reply.useFd = -1;
    reply.bindSync("tcp://127.0.0.1:*");
  });
});

describe("test_reconnect_ivl", () => {
  const cases: [string, string, boolean][] = [
    ["ipc", `ipc://${freshPath()}`, false],
    ["IPv4", "tcp://127.0.0.1:*", false],
    ...(hasIpv6 ? [["IPv6", "tcp://[::1]:*", true] as [string, string, boolean]] : []),
  ];
  const title = "with -1 a lost connection over %s is not made again, but may be";
  test.each(cases)(title, async (_, endpoint, ipv6) => {
    using pull = new Pull({ ipv6 });
    using push = new Push({ linger: 0, reconnectInterval: -1, ipv6 });
    pull.bindSync(endpoint);
    const where = lastOf(pull);
    push.connect(where);
    await passes(push, pull);
    const ended = event(push, "disconnect");
    await pull.unbind(where);
    await ended;
    pull.bindSync(where);
    // The endpoint is gone: nothing is queued for it, and there is nothing to disconnect.
    expect(push.trySend("nobody")).toBe(false);
    expect(failure(() => push.disconnect(where)).code).toBe("ENOENT");
    push.connect(where);
    await passes(push, pull);
  });

  test("a Request, which connects once to each endpoint, may connect again, too", async () => {
    using reply = new Reply();
    using request = new Request({ linger: 0, reconnectInterval: -1 });
    const endpoint = bound(reply);
    request.connect(endpoint);
    await bounce(request, reply);
    const ended = event(request, "disconnect");
    await reply.unbind(endpoint);
    await ended;
    reply.bindSync(endpoint);
    request.connect(endpoint);
    await bounce(request, reply);
  });

  test("a Pair, which has one peer at a time, may connect again, too", async () => {
    using one = new Pair({ linger: 0, reconnectInterval: -1 });
    using two = new Pair({ linger: 0 });
    const endpoint = bound(two);
    for (const text of ["first", "second"]) {
      one.connect(endpoint);
      await one.send(text);
      expect(texts(await two.receive({ timeout: 3000 }))).toEqual([text]);
      const ended = event(one, "disconnect");
      await two.unbind(endpoint);
      await ended;
      two.bindSync(endpoint);
    }
  });

  test("0 means at once, as libzmq's manual has it", async () => {
    // The code of libzmq 4.3.6 takes it for never.
    using pull = new Pull();
    using push = new Push({ linger: 0, reconnectInterval: 0 });
    const endpoint = bound(pull);
    push.connect(endpoint);
    await passes(push, pull);
    await pull.unbind(endpoint);
    await until("it has noticed", () => push.stats().connections === 0);
    pull.bindSync(endpoint);
    await passes(push, pull);
  });
});

describe("test_rebind_ipc", () => {
  test("the next one that binds the path gets the connections back", async () => {
    const endpoint = `ipc://${freshPath()}`;
    using pull = new Pull({ reconnectInterval: 5 });
    const first = new Push();
    first.bindSync(endpoint);
    pull.connect(endpoint);
    await passes(first, pull, "first");
    first.close();
    using second = new Push({ linger: 0 });
    second.bindSync(endpoint);
    await passes(second, pull, "second");
  });
});

describe("test_ipc_wildcard", () => {
  test("a path is made, its name starts with ipc:///, and it is gone in the end", async () => {
    const pull = new Pull();
    pull.bindSync("ipc://*");
    expect(lastOf(pull)).toStartWith("ipc:///");
    const path = lastOf(pull).slice("ipc://".length);
    expect(existsSync(path)).toBe(true);
    using push = new Push({ linger: 0 });
    push.connect(lastOf(pull));
    await passes(push, pull);
    pull.close();
    expect(existsSync(dirname(path))).toBe(false);
  });

  test("a path that was named goes as well: libzmq leaves it behind", () => {
    const path = freshPath();
    const pull = new Pull();
    pull.bindSync(`ipc://${path}`);
    pull.close();
    expect(existsSync(path)).toBe(false);
  });
});

describe("test_abstract_ipc", () => {
  test("a name after an @ is bound, told and connected to; no file has it", async () => {
    using pull = new Pull();
    using push = new Push({ linger: 0 });
    const name = `ipc://@monocoque-abstract-${process.pid}-${Bun.nanoseconds()}`;
    pull.bindSync(name);
    expect(lastOf(pull)).toBe(name);
    push.connect(name);
    await passes(push, pull);
    await pull.unbind(name);
    using other = new Pull();
    other.bindSync(name);
  });

  test("an empty one is refused", () => {
    using pull = new Pull();
    expect(failure(() => pull.bindSync("ipc://@")).code).toBe("EINVAL");
    expect(failure(() => pull.connect("ipc://@")).code).toBe("EINVAL");
  });
});

describe("test_sockopt_hwm", () => {
  function fill(push: Push, most = 10_000): number {
    let count = 0;
    while (count < most && push.trySend("x")) count += 1;
    return count;
  }

  test("changed before connect it counts", () => {
    using push = new Push({ linger: 0, sendHighWaterMark: 2 });
    push.sendHighWaterMark = 5;
    push.connect("tcp://127.0.0.1:9");
    expect(fill(push)).toBe(5);
  });

  test("raised after connect it counts at once", () => {
    // libzmq's test adds the receiver's limit: over inproc the two share one queue.
    using push = new Push({ linger: 0, sendHighWaterMark: 1 });
    push.connect("tcp://127.0.0.1:9");
    expect(fill(push)).toBe(1);
    push.sendHighWaterMark = 5;
    expect(fill(push)).toBe(4);
  });

  test("lowered while it is full nothing is lost, and nothing is taken", async () => {
    const path = freshPath();
    using push = new Push({ linger: 0, sendHighWaterMark: 100 });
    push.connect(`ipc://${path}`);
    expect(fill(push)).toBe(100);
    push.sendHighWaterMark = 70;
    expect(push.trySend("x")).toBe(false);
    using pull = new Pull();
    pull.bindSync(`ipc://${path}`);
    for (let i = 0; i < 100; i += 1) await pull.receive({ timeout: 3000 });
    expect(push.trySend("x")).toBe(true);
  });
});
