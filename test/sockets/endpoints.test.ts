// Where sockets listen and connect to, under which names, and what a wrong one says.

import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { Pull, Push, Reply, Request } from "../../src/index.ts";
import { bound, failure, pipeline, reasonOf, rejection, texts, until } from "../support/sockets.ts";

const directory = mkdtempSync(join(tmpdir(), "endpoints-"));
afterAll(() => rmSync(directory, { recursive: true }));
let made = 0;
const path = () => join(directory, `socket-${(made += 1)}`);

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((address) => address?.family === "IPv6");

async function passes(pull: Pull, endpoint: string, ipv6 = false): Promise<void> {
  using push = new Push({ linger: 0, ipv6 });
  push.connect(endpoint);
  await push.send("through");
  expect(texts(await pull.receive({ timeout: 3000 }))).toEqual(["through"]);
}

const port = (endpoint: string | null) => /:(\d+)$/.exec(endpoint ?? "")?.[1];

describe("lastEndpoint", () => {
  test("is null before, and names what a wildcard was given", async () => {
    using pull = new Pull();
    expect(pull.lastEndpoint).toBeNull();
    await pull.bind("tcp://127.0.0.1:*");
    expect(pull.lastEndpoint).toMatch(/^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/);
    await passes(pull, pull.lastEndpoint as string);
  });

  test("of every interface is 0.0.0.0, which a local peer reaches", async () => {
    using pull = new Pull();
    await pull.bind("tcp://*:*");
    expect(pull.lastEndpoint).toMatch(/^tcp:\/\/0\.0\.0\.0:[1-9]\d*$/);
    await passes(pull, `tcp://127.0.0.1:${port(pull.lastEndpoint)}`);
  });

  test("of an interface is its address", async () => {
    using pull = new Pull();
    await pull.bind("tcp://lo:*");
    expect(pull.lastEndpoint).toMatch(/^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/);
    await passes(pull, pull.lastEndpoint as string);
  });

  test("of an IPv6 address has brackets, and the wildcard serves both families", async () => {
    expect(hasIpv6).toBe(true);
    using pull = new Pull({ ipv6: true });
    await pull.bind("tcp://[::1]:*");
    expect(pull.lastEndpoint).toMatch(/^tcp:\/\/\[::1\]:[1-9]\d*$/);
    await passes(pull, pull.lastEndpoint as string, true);
    await pull.bind("tcp://*:*");
    expect(pull.lastEndpoint).toMatch(/^tcp:\/\/\[::\]:[1-9]\d*$/);
    await passes(pull, `tcp://[::1]:${port(pull.lastEndpoint)}`, true);
    await passes(pull, `tcp://127.0.0.1:${port(pull.lastEndpoint)}`);
  });

  test("of an ipc path is that path, which is gone after close", async () => {
    const file = path();
    const pull = new Pull();
    await pull.bind(`ipc://${file}`);
    expect(pull.lastEndpoint).toBe(`ipc://${file}`);
    expect(existsSync(file)).toBe(true);
    await passes(pull, `ipc://${file}`);
    pull.close();
    expect(existsSync(file)).toBe(false);
  });

  test("of an abstract name keeps its @", async () => {
    using pull = new Pull();
    const name = `ipc://@monocoque-test-${process.pid}-${Date.now()}`;
    await pull.bind(name);
    expect(pull.lastEndpoint).toBe(name);
    await passes(pull, name);
  });

  test("of ipc://* is a fresh path, whose directory is gone after close", async () => {
    const pull = new Pull();
    await pull.bind("ipc://*");
    const file = (pull.lastEndpoint as string).slice("ipc://".length);
    expect(existsSync(file)).toBe(true);
    await passes(pull, pull.lastEndpoint as string);
    pull.close();
    expect(existsSync(file)).toBe(false);
    expect(existsSync(join(file, ".."))).toBe(false);
  });

  test("of a connect is what was given", () => {
    using push = new Push({ linger: 0 });
    push.connect("tcp://localhost:1");
    expect(push.lastEndpoint).toBe("tcp://localhost:1");
  });
});

describe("a host name", () => {
  test("can be bound and connected to", async () => {
    using pull = new Pull();
    await pull.bind("tcp://localhost:*");
    expect(pull.lastEndpoint).toMatch(/^tcp:\/\/127\.0\.0\.1:\d+$/);
    await passes(pull, `tcp://localhost:${port(pull.lastEndpoint)}`);
  });

  test("is looked up again at every attempt to reconnect", async () => {
    using push = new Push({ linger: 0, reconnectInterval: 5 });
    const first = new Pull();
    const endpoint = bound(first);
    push.connect(`tcp://localhost:${port(endpoint)}`);
    await push.send("1");
    expect(texts(await first.receive())).toEqual(["1"]);
    first.close();
    await until("it has noticed", () => push.stats().connections === 0);
    await push.send("2");
    using again = new Pull();
    again.bindSync(endpoint);
    expect(texts(await again.receive({ timeout: 3000 }))).toEqual(["2"]);
  });

  test("that nobody knows: bind rejects, connect keeps trying", async () => {
    using pull = new Pull();
    const error = await rejection(pull.bind("tcp://no-such-host.invalid:*"));
    expect(error.code).toBe("ENODEV");
    expect(error.address).toBe("tcp://no-such-host.invalid:*");
    using push = new Push({ linger: 0 });
    push.connect("tcp://no-such-host.invalid:5555");
    expect(push.trySend("x")).toBe(true);
  });

  test("cannot be bound synchronously, and the error says what can", () => {
    using pull = new Pull();
    const error = failure(() => pull.bindSync("tcp://localhost:*"));
    expect(error.code).toBe("EINVAL");
    expect(error.message).toContain("await bind()");
  });
});

const linkLocal = Object.entries(networkInterfaces())
  .flatMap(([name, addresses]) => (addresses ?? []).map((address) => ({ name, ...address })))
  .find(({ address }) => address.startsWith("fe80:"));

describe.if(linkLocal !== undefined)("a link-local IPv6 address", () => {
  const { name = "", address = "" } = linkLocal ?? {};

  test("is bound and connected to on its interface, by name and by number", async () => {
    using pull = new Pull({ ipv6: true });
    pull.bindSync(`tcp://[${address}%${name}]:*`);
    expect(pull.lastEndpoint).toMatch(/^tcp:\/\/\[fe80:[^%]*%\d+\]:\d+$/);
    await passes(pull, pull.lastEndpoint as string, true);
    const number = port(pull.lastEndpoint);
    await passes(pull, `tcp://[${address}%${name}]:${number}`, true);
    await passes(pull, `tcp://${name};[${address}%${name}]:${number}`, true);
    await passes(pull, `tcp://[${address}%${name}]:*;[${address}%${name}]:${number}`, true);
    await pull.unbind(`tcp://[${address}%${name}]:${number}`);
  });

  test("without its interface is nowhere, and through a proxy it cannot be named", async () => {
    using push = new Push({ linger: 0, ipv6: true, socksProxy: "127.0.0.1:9" });
    const error = failure(() => push.connect(`tcp://[${address}%${name}]:9`));
    expect(error.code).toBe("EINVAL");
    expect(error.message).toContain("zone");
    expect(failure(() => push.connect(`tcp://[${address}%nosuch0]:9`)).code).toBe("ENODEV");
  });
});

describe("one socket", () => {
  test("takes several binds and connects over both transports at once", async () => {
    using pull = new Pull();
    using one = new Push({ linger: 0 });
    using two = new Push({ linger: 0 });
    for (const endpoint of ["tcp://127.0.0.1:*", "ipc://*", "tcp://127.0.0.1:*"]) {
      await pull.bind(endpoint);
      one.connect(pull.lastEndpoint as string);
    }
    pull.connect(bound(two, "ipc"));
    pull.connect(bound(two, "tcp"));
    await until("all are connected", () => pull.stats().connections === 5);
    await one.sendMany(Array.from({ length: 30 }, (_, i) => `one ${i}`));
    await two.sendMany(Array.from({ length: 20 }, (_, i) => `two ${i}`));
    const all = new Set<string>();
    while (all.size < 50) all.add(texts(await pull.receive({ timeout: 2000 }))[0] as string);
  });

  test("connected twice to one endpoint has two connections; a Request one", async () => {
    using line = pipeline();
    line.push.connect(line.endpoint);
    await until("both are there", () => line.pull.stats().connections === 2);
    using reply = new Reply();
    using request = new Request();
    const endpoint = bound(reply);
    request.connect(endpoint);
    request.connect(endpoint);
    await request.send("x");
    await reply.receive();
    expect(reply.stats().connections).toBe(1);
  });
});

describe("unbind", () => {
  test("ends listening and the connections made there, not the others", async () => {
    using pull = new Pull();
    const first = bound(pull);
    const second = bound(pull);
    using one = new Push({ linger: 0, reconnectInterval: 5 });
    using two = new Push({ linger: 0 });
    one.connect(first);
    two.connect(second);
    await until("both are there", () => pull.stats().connections === 2);
    await pull.unbind(first);
    await until("one has gone", () => pull.stats().connections === 1);
    await two.send("still");
    expect(texts(await pull.receive())).toEqual(["still"]);
    using other = new Pull();
    other.bindSync(first);
    await one.send("elsewhere");
    expect(texts(await other.receive({ timeout: 2000 }))).toEqual(["elsewhere"]);
  });

  test("keeps what was received and not read", async () => {
    using line = pipeline();
    await line.push.sendMany(["a", "b"]);
    await until("they are there", () => line.pull.readable);
    line.pull.unbindSync(line.endpoint);
    expect(texts(await line.pull.receive())).toEqual(["a"]);
    expect(texts(await line.pull.receive())).toEqual(["b"]);
  });

  test("a second time, or of a wildcard, is ENOENT: lastEndpoint is the name", async () => {
    using pull = new Pull();
    await pull.bind("tcp://127.0.0.1:*");
    const wildcard = await rejection(pull.unbind("tcp://127.0.0.1:*"));
    expect(wildcard).toMatchObject({ code: "ENOENT", address: "tcp://127.0.0.1:*" });
    expect(wildcard.message).toMatch(/^No such endpoint: .*lastEndpoint/);
    const endpoint = pull.lastEndpoint as string;
    await pull.unbind(endpoint);
    expect((await rejection(pull.unbind(endpoint))).code).toBe("ENOENT");
    expect(failure(() => pull.unbindSync("tcp://127.0.0.1:9")).code).toBe("ENOENT");
  });

  test("removes an ipc path, and a fresh one with its directory", async () => {
    using pull = new Pull();
    const file = path();
    pull.bindSync(`ipc://${file}`);
    pull.unbindSync(`ipc://${file}`);
    expect(existsSync(file)).toBe(false);
    const fresh = bound(pull, "ipc");
    pull.unbindSync(fresh);
    expect(existsSync(join(fresh.slice("ipc://".length), ".."))).toBe(false);
  });

  test("of the same port may be followed by bind, many times", async () => {
    using pull = new Pull();
    const endpoint = bound(pull);
    for (let i = 0; i < 50; i += 1) {
      pull.unbindSync(endpoint);
      pull.bindSync(endpoint);
    }
    await passes(pull, endpoint);
  });
});

describe("disconnect", () => {
  test("sends what is queued, then ends the connection; a second time is ENOENT", async () => {
    using line = pipeline({ push: { linger: 2000 } });
    await line.push.sendMany(["a", "b"]);
    line.push.disconnect(line.endpoint);
    expect(texts(await line.pull.receive())).toEqual(["a"]);
    expect(texts(await line.pull.receive())).toEqual(["b"]);
    await until("it has gone", () => line.pull.stats().connections === 0);
    const error = failure(() => line.push.disconnect(line.endpoint));
    expect(error).toMatchObject({ code: "ENOENT", address: line.endpoint });
    expect(error.message).toMatch(/^No such endpoint/);
    expect(line.push.trySend("nobody")).toBe(false);
  });

  test("of a peer that was never there drops what was queued, and connect works again", async () => {
    using probe = new Pull();
    const endpoint = bound(probe);
    probe.close();
    using push = new Push({ linger: 0 });
    push.connect(endpoint);
    await push.send("dropped");
    push.disconnect(endpoint);
    using pull = new Pull();
    pull.bindSync(endpoint);
    push.connect(endpoint);
    await push.send("sent");
    expect(texts(await pull.receive())).toEqual(["sent"]);
  });
});

describe("a bind that fails", () => {
  async function refused(endpoint: string, options = {}) {
    using pull = new Pull(options);
    const error = await rejection(pull.bind(endpoint));
    expect(failure(() => pull.bindSync(endpoint)).code).toBe(error.code);
    expect(error.address).toBe(endpoint);
    expect(error.endpoint).toBe(endpoint);
    expect(error.message).toContain(endpoint);
    expect(error.errno).toBeGreaterThan(0);
    expect(pull.lastEndpoint).toBeNull();
    // The socket is as good as before.
    await pull.bind("tcp://127.0.0.1:*");
    await passes(pull, pull.lastEndpoint as string);
    return error;
  }

  test("EADDRINUSE: another socket listens at that port", async () => {
    using first = new Pull();
    const error = await refused(bound(first));
    expect(error.code).toBe("EADDRINUSE");
    expect(error.message).toMatch(/^Address already in use: .*Choose another port, or bind to /);
    await passes(first, first.lastEndpoint as string);
  });

  test("EADDRINUSE: a server of another kind listens at that port", async () => {
    const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const error = await refused(`tcp://127.0.0.1:${server.port}`);
    expect(error.code).toBe("EADDRINUSE");
    server.stop(true);
  });

  test("EADDRINUSE: somebody listens at that ipc path, who is not disturbed", async () => {
    const endpoint = `ipc://${path()}`;
    using first = new Pull();
    await first.bind(endpoint);
    const error = await refused(endpoint);
    expect(error.code).toBe("EADDRINUSE");
    expect(error.message).toContain("ipc://*");
    await passes(first, endpoint);
  });

  test("EADDRINUSE: something that is no socket lies at that ipc path, and stays", async () => {
    const file = path();
    writeFileSync(file, "precious");
    expect((await refused(`ipc://${file}`)).code).toBe("EADDRINUSE");
    expect(await Bun.file(file).text()).toBe("precious");
  });

  test("EADDRINUSE: an abstract name that is taken", async () => {
    using first = new Pull();
    const endpoint = `ipc://@monocoque-taken-${process.pid}-${Date.now()}`;
    await first.bind(endpoint);
    expect((await refused(endpoint)).code).toBe("EADDRINUSE");
  });

  test("EADDRNOTAVAIL: an address of another machine", async () => {
    const error = await refused("tcp://192.0.2.1:5555");
    expect(error.code).toBe("EADDRNOTAVAIL");
    expect(error.message).toMatch(/^Address not available: .*tcp:\/\/\*:port/);
  });

  test("ENOENT: the directory of the path is missing, and the error names it", async () => {
    const error = await refused(`ipc://${directory}/missing/socket`);
    expect(error.code).toBe("ENOENT");
    expect(error.message).toContain(`The directory ${directory}/missing does not exist`);
  });

  test("ENOTDIR: a part of the path is a file", async () => {
    const file = path();
    writeFileSync(file, "");
    expect((await refused(`ipc://${file}/socket`)).code).toBe("ENOTDIR");
  });

  test("ENAMETOOLONG: a path over 107 bytes, and the error counts them", async () => {
    const error = await refused(`ipc:///tmp/${"x".repeat(110)}`);
    expect(error.code).toBe("ENAMETOOLONG");
    expect(error.message).toContain("115 bytes");
  });

  test("EACCES: a directory that cannot be written, or a port that is not ours", async () => {
    const script = `
      import { Pull } from ${JSON.stringify(join(import.meta.dir, "../../src/index.ts"))};
      using pull = new Pull();
      // Everything is loaded: only now give up root, who may do anything.
      const fs = require("node:fs");
      try { process.setgroups?.([65534]); process.setgid?.(65534); process.setuid?.(65534); } catch {}
      try { await pull.bind(${JSON.stringify(`ipc://${directory}/closed/socket`)}); }
      catch (error) { console.log(error.code, error.address, error.message); }
      await pull.bind("tcp://127.0.0.1:*");
      console.log("still good");
    `;
    const closed = join(directory, "closed");
    mkdirSync(closed);
    chmodSync(closed, 0o555);
    chmodSync(directory, 0o755);
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", timeout: 10_000 });
    const output = await new Response(child.stdout).text();
    expect(output).toMatch(/^EACCES ipc:.*Permission denied.*write access to their directory/);
    expect(output).toContain("still good");
  });

  test.each([
    ["EINVAL", "tcp://127.0.0.1"],
    ["EINVAL", "tcp://127.0.0.1:70000"],
    ["EINVAL", "tcp://::1:5555"],
    ["EINVAL", "no transport"],
    ["EPROTONOSUPPORT", "udp://127.0.0.1:5555"],
    ["EAFNOSUPPORT", "tcp://[::1]:5555"],
  ])("%s: %s", async (code, endpoint) => {
    const error = await refused(endpoint);
    expect(error.code).toBe(code);
    // Something to do about it, after the text and the endpoint.
    expect(error.message.length).toBeGreaterThan(endpoint.length + 30);
  });

  test("with something that is no string is a TypeError", async () => {
    using pull = new Pull();
    expect(await reasonOf(pull.bind(5555 as unknown as string))).toBeInstanceOf(TypeError);
    expect(() => pull.bindSync(undefined as unknown as string)).toThrow(TypeError);
    expect(() => pull.connect(null as unknown as string)).toThrow(TypeError);
    const none = undefined as unknown as string;
    const text = "An endpoint is a string";
    expect(() => pull.disconnect(none)).toThrow(text);
    expect(() => pull.unbindSync(none)).toThrow(text);
    expect(String(await reasonOf(pull.unbind(none)))).toContain(text);
    expect(String(await reasonOf(pull.connected(5 as unknown as string)))).toContain(text);
  });

  test("leaves no fresh directory behind", async () => {
    using pull = new Pull();
    const before = process.env.TMPDIR;
    const long = join(directory, "x".repeat(100));
    mkdirSync(long);
    process.env.TMPDIR = long;
    try {
      expect((await rejection(pull.bind("ipc://*"))).code).toBe("ENAMETOOLONG");
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
    }
    expect(readdirSync(long)).toEqual([]);
  });
});

test("a stale ipc path, left by a process that was killed, is taken over", async () => {
  const endpoint = `ipc://${path()}`;
  const script = `
    import { Pull } from ${JSON.stringify(join(import.meta.dir, "../../src/index.ts"))};
    new Pull().bindSync(${JSON.stringify(endpoint)});
    process.kill(process.pid, "SIGKILL");
  `;
  await Bun.spawn([process.execPath, "-e", script], { timeout: 10_000 }).exited;
  expect(existsSync(endpoint.slice("ipc://".length))).toBe(true);
  using pull = new Pull();
  // The kernel takes some milliseconds to close what an io_uring of a killed process held.
  await until("the dead process has let go", () => {
    try {
      pull.bindSync(endpoint);
      return true;
    } catch {
      return false;
    }
  });
  await passes(pull, endpoint);
});

describe("a connect that cannot work", () => {
  test.each([
    ["EINVAL", "tcp://127.0.0.1:0"],
    ["EINVAL", "tcp://*:5555"],
    ["EINVAL", "ipc://*"],
    ["EPROTONOSUPPORT", "http://127.0.0.1:80"],
    ["ENODEV", "tcp://no-such-interface:0;127.0.0.1:5555"],
    ["EAFNOSUPPORT", "tcp://[::1]:0;127.0.0.1:5555"],
    ["EAFNOSUPPORT", "tcp://[::1]:5555"],
    ["ENAMETOOLONG", `ipc:///tmp/${"x".repeat(110)}`],
  ])("is an error at once: %s %s", async (code, endpoint) => {
    using push = new Push({ linger: 0 });
    const error = failure(() => push.connect(endpoint));
    expect(error).toMatchObject({ code, address: endpoint });
    expect(push.lastEndpoint).toBeNull();
    expect(push.trySend("x")).toBe(false);
  });
});
