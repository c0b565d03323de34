// io_uring is often forbidden or missing: then everything works all the same, on epoll, and an idle
// process sleeps as soundly.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { program } from "./interop/peer.ts";

interface Found {
  backend: { name: string; wake: string; reason?: string };
  leaked: unknown;
  idle: { wakeups: number; ticks: number };
}

const everyWay = join(import.meta.dir, "children/every_way.ts");

/** Runs a program where the kernel refuses something; whoever runs us may have chosen a back end. */
async function restricted(flags: string[], script: string[], backend = "") {
  const child = Bun.spawn([program("restricted"), ...flags, process.execPath, ...script], {
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, MONOCOQUE_BACKEND: backend },
    timeout: 50_000,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { stdout, stderr, exitCode: await child.exited };
}

const uringForbidden = ["--io_uring", "EPERM"];
const uringMissing = ["--io_uring", "ENOSYS"];

type Case = [title: string, flags: string[], name: RegExp, wake: RegExp, reason: RegExp | undefined];

const cases: Case[] = [
  ["nothing is refused", [], /^io_uring$/, /^eventfd$/, undefined],
  ["io_uring is forbidden", uringForbidden, /^epoll$/, /^aio$/, /EPERM.*seccomp/],
  ["io_uring is missing", uringMissing, /^epoll$/, /^aio$/, /ENOSYS/],
  ["no memory may be locked", ["--memlock", "0"], /^epoll$/, /^aio$/, /ENOMEM.*RLIMIT_MEMLOCK/],
  // A small ring fits, perhaps; the Worker and the proxy then find nothing left and use epoll.
  ["8 KiB may be locked", ["--memlock", "8192"], /^(io_uring|epoll)$/, /^(eventfd|aio)$/, undefined],
  ["AIO is forbidden, too", [...uringForbidden, "--aio", "EPERM"], /^epoll$/, /^thread$/, /EPERM/],
  ["AIO is missing, too", [...uringMissing, "--aio", "ENOSYS"], /^epoll$/, /^thread$/, /ENOSYS/],
];

describe.each(cases)("where %s", (_, flags, name, wake, reason) => {
  test.concurrent("messages go every way, nothing is left behind, and idle sockets sleep", async () => {
    const { stdout, stderr, exitCode } = await restricted(flags, [everyWay]);
    expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
    const { backend, leaked, idle }: Found = JSON.parse(stdout);
    expect(backend.name).toMatch(name);
    expect(backend.wake).toMatch(wake);
    if (reason) expect(backend.reason).toMatch(reason);
    expect(leaked).toBe("nothing");
    expect(idle).toEqual({ wakeups: 0, ticks: 0 });
  }, 60_000);
});

describe("MONOCOQUE_BACKEND", () => {
  const index = join(import.meta.dir, "../src/index.ts");
  const show = ["-e", `import { context } from ${JSON.stringify(index)};
    console.log(JSON.stringify(context.backend));`];

  test.each(["io_uring", "epoll"])("=%s decides", async (wanted) => {
    const { stdout } = await restricted([], show, wanted);
    const reason = wanted === "epoll" ? { reason: "MONOCOQUE_BACKEND=epoll" } : {};
    const wake = wanted === "epoll" ? "aio" : "eventfd";
    expect(JSON.parse(stdout)).toEqual({ name: wanted, wake, ...reason });
  });

  test("=io_uring where that is forbidden is an error that says so", async () => {
    const { stderr, exitCode } = await restricted(uringForbidden, show, "io_uring");
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain("io_uring is not available, and MONOCOQUE_BACKEND asks for it");
    expect(stderr).toContain("seccomp");
  });

  test("that is neither is an error that names both", async () => {
    const { stderr, exitCode } = await restricted([], show, "kqueue");
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain(`MONOCOQUE_BACKEND is "kqueue". Set it to "io_uring" or to "epoll"`);
  });
});
