import { describe, expect, test } from "bun:test";
import { constants } from "node:os";
import { busyError, codeOf, errnoError, ZmqError, zmqError } from "../src/errors.ts";
import type { ErrorCode } from "../src/errors.ts";

/** What programs and tests of others match on: api.md, "Errors and events". */
const beginnings: [ErrorCode, string][] = [
  ["EAGAIN", "Operation was not possible or timed out"],
  ["EBADF", "Socket is closed"],
  ["ENOENT", "No such endpoint"],
  ["EADDRINUSE", "Address already in use"],
  ["EMFILE", "Too many open file descriptors"],
  ["EINVAL", "Invalid argument"],
  ["EPROTONOSUPPORT", "Protocol not supported"],
  ["EHOSTUNREACH", "Host unreachable"],
  ["EFSM", "Operation cannot be accomplished in current state"],
];

describe("an error", () => {
  test.each(beginnings)("%s begins with the words zeromq.js programs look for", (code, text) => {
    const { message } = zmqError(code);
    expect(message.startsWith(`${text}. `)).toBe(true);
    // ... and ends with what to do about it.
    expect(message.length).toBeGreaterThan(text.length + 10);
    expect(message).toEndWith(".");
  });

  test("EBUSY says what the socket is busy with", () => {
    expect(busyError("writing").message).toStartWith("Socket is busy writing. ");
    expect(busyError("reading").message).toStartWith("Socket is busy reading. ");
    expect(busyError("binding").message).toStartWith(
      "Socket is blocked by a bind or unbind operation. ",
    );
    for (const activity of ["writing", "reading", "binding"] as const) {
      expect(busyError(activity)).toMatchObject({ code: "EBUSY", errno: 16 });
    }
  });

  test("can be told from others by instanceof, name and code", () => {
    const error = zmqError("EAGAIN");
    expect(error).toBeInstanceOf(ZmqError);
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe("ZmqError");
    expect(error.code).toBe("EAGAIN");
    expect(String(error)).toStartWith("ZmqError: Operation was not possible");
  });

  test("has the number that the system and libzmq have for it, never a negative one", () => {
    const system: Record<string, number> = constants.errno;
    for (const code of ["EINVAL", "EADDRINUSE", "ENAMETOOLONG", "EMFILE", "ENODEV"] as const) {
      expect(zmqError(code).errno).toBe(system[code] as number);
    }
    expect(zmqError("EFSM").errno).toBe(156384763);
    expect(zmqError("ENOCOMPATPROTO").errno).toBe(156384764);
    expect(zmqError("ETERM").errno).toBe(156384765);
    expect(zmqError("EMTHREAD").errno).toBe(156384766);
  });

  test("names the endpoint, in the message and in both properties", () => {
    const endpoint = "tcp://127.0.0.1:5555";
    const error = zmqError("EADDRINUSE", { endpoint });
    expect(error).toMatchObject({ endpoint, address: endpoint });
    expect(error.message).toBe(
      "Address already in use: tcp://127.0.0.1:5555. " +
        "Choose another port, or bind to tcp://127.0.0.1:* and read lastEndpoint.",
    );
  });

  test("about an address in use proposes one that fits the endpoint", () => {
    const message = (endpoint: string) => zmqError("EADDRINUSE", { endpoint }).message;
    expect(message("tcp://[::1]:80")).toContain("bind to tcp://[::1]:* and");
    expect(message("tcp://*:80")).toContain("bind to tcp://*:* and");
    expect(message("ipc:///tmp/x")).toContain("bind to ipc://* and");
    expect(message("inproc://x")).toContain("Another socket is bound to it");
  });

  test("without an endpoint has no such property, and prints none", () => {
    const error = zmqError("EBADF");
    expect("endpoint" in error).toBe(false);
    expect("address" in error).toBe(false);
    expect("cause" in error).toBe(false);
    expect(Bun.inspect(error)).not.toMatch(/^\s*(endpoint|address|cause):/m);
  });

  test("keeps its cause", () => {
    const cause = new Error("underneath");
    expect(zmqError("EHOSTUNREACH", { cause }).cause).toBe(cause);
  });

  test("takes a better text and better advice", () => {
    const error = zmqError("ENOENT", {
      endpoint: "ipc:///no/where",
      text: "No such file or directory",
      advice: "Make /no first.",
    });
    expect(error.message).toBe("No such file or directory: ipc:///no/where. Make /no first.");
    expect(error.code).toBe("ENOENT");
  });

  test("points at the line that failed, not at this library's factory", () => {
    for (const error of [zmqError("EINVAL"), errnoError(22)]) {
      const [, line] = (error.stack ?? "").split("\n");
      expect(line).toContain("errors.test.ts");
    }
  });
});

describe("an error number", () => {
  test("becomes the error of its code, whatever its sign", () => {
    expect(errnoError(98)).toMatchObject({ code: "EADDRINUSE", errno: 98 });
    expect(errnoError(-13)).toMatchObject({ code: "EACCES", errno: 13 });
    expect(errnoError(156384763).code).toBe("EFSM");
    expect(codeOf(11)).toBe("EAGAIN");
    expect(codeOf(12345)).toBeUndefined();
  });

  test("ENOENT from a bind names the directory that is missing", () => {
    const endpoint = "ipc:///no/such/socket";
    expect(errnoError(-2, { endpoint }).message).toBe(
      `No such endpoint: ${endpoint}. The directory /no/such does not exist: create it first.`,
    );
    expect(errnoError(-2, { endpoint, advice: "Look." }).message).toEndWith("socket. Look.");
    expect(zmqError("ENOENT", { endpoint }).message).toContain("exactly as it was bound");
  });

  test("we did not expect still says which one it is and where", () => {
    const error = errnoError(105 + 17, { endpoint: "ipc:///x", advice: "Look at the quota." });
    expect(error.code).toBe("EDQUOT");
    expect(error.errno).toBe(122);
    expect(error.message).toBe("System error 122 (EDQUOT): ipc:///x. Look at the quota.");
    expect(error.endpoint).toBe("ipc:///x");
    expect(errnoError(99_999)).toMatchObject({ errno: 99_999 });
  });
});
