import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ZmqError } from "../src/errors.ts";
import { validateOption, validateOptions, validateTimeout } from "../src/option_check.ts";
import {
  defaultsOf,
  optionDefaults,
  optionNames,
  optionTable,
  socketTypes,
} from "../src/option_table.ts";
import { unsupportedOptions } from "../src/option_unsupported.ts";
import type { OptionName, PullOptions, RequestOptions, SocketTypeName } from "../src/options.ts";
import { optionEffects } from "./support/option_effects.ts";
import { optionsDocument } from "./support/options_document.ts";

const root = join(import.meta.dir, "..");
const types = socketTypes;
const names = Object.keys(optionTable) as OptionName[];

const libzmq = `AFFINITY ROUTING_ID RATE RECOVERY_IVL SNDBUF RCVBUF RCVMORE FD LINGER RECONNECT_IVL
  BACKLOG RECONNECT_IVL_MAX MAXMSGSIZE SNDHWM RCVHWM MULTICAST_HOPS RCVTIMEO SNDTIMEO IPV4ONLY
  ROUTER_MANDATORY TCP_KEEPALIVE TCP_KEEPALIVE_CNT TCP_KEEPALIVE_IDLE TCP_KEEPALIVE_INTVL
  TCP_ACCEPT_FILTER IMMEDIATE XPUB_VERBOSE ROUTER_RAW IPV6 PLAIN_SERVER PLAIN_USERNAME
  PLAIN_PASSWORD CURVE_SERVER CURVE_PUBLICKEY CURVE_SECRETKEY CURVE_SERVERKEY PROBE_ROUTER
  REQ_CORRELATE REQ_RELAXED CONFLATE ZAP_DOMAIN ROUTER_HANDOVER TOS IPC_FILTER_PID IPC_FILTER_UID
  IPC_FILTER_GID CONNECT_ROUTING_ID GSSAPI_SERVER GSSAPI_PRINCIPAL GSSAPI_SERVICE_PRINCIPAL
  GSSAPI_PLAINTEXT HANDSHAKE_IVL SOCKS_PROXY XPUB_NODROP XPUB_MANUAL XPUB_WELCOME_MSG STREAM_NOTIFY
  INVERT_MATCHING HEARTBEAT_IVL HEARTBEAT_TTL HEARTBEAT_TIMEOUT XPUB_VERBOSER CONNECT_TIMEOUT
  TCP_MAXRT MULTICAST_MAXTPDU VMCI_BUFFER_SIZE VMCI_BUFFER_MIN_SIZE VMCI_BUFFER_MAX_SIZE
  VMCI_CONNECT_TIMEOUT USE_FD GSSAPI_PRINCIPAL_NAMETYPE GSSAPI_SERVICE_PRINCIPAL_NAMETYPE
  BINDTODEVICE ZAP_ENFORCE_DOMAIN LOOPBACK_FASTPATH METADATA MULTICAST_LOOP ROUTER_NOTIFY
  XPUB_MANUAL_LAST_VALUE SOCKS_USERNAME SOCKS_PASSWORD IN_BATCH_SIZE OUT_BATCH_SIZE WSS_KEY_PEM
  ONLY_FIRST_SUBSCRIBE RECONNECT_STOP HELLO_MSG DISCONNECT_MSG PRIORITY BUSY_POLL HICCUP_MSG
  XSUB_VERBOSE_UNSUBSCRIBE NORM_MODE`.split(/\s+/);

/** "16 * 1024" */
function product(text: string): number {
  return text.split("*").reduce((all, factor) => all * Number(factor.replaceAll("_", "")), 1);
}

function thrown(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}

describe("the table of options", () => {
  test("agrees with the native record: no option is written elsewhere or starts otherwise", () => {
    const zig = (name: string) => readFileSync(join(root, "zig", name), "utf8");
    const constants = new Map(
      [...zig("constants.zig").matchAll(/^pub const (\w+) = ([\d_ *]+);$/gm)].map(
        ([, name, value]) => [`constants.${name}` as string, product(value as string)] as const,
      ),
    );
    const fields = new Map(
      [...zig("options.zig").matchAll(/^ {4}(\w+): [iu]32 = (.+),$/gm)].map(([, name, value]) => [
        name as string,
        constants.get(value as string) ?? product(value as string),
      ]),
    );
    for (const [, name] of zig("options.zig").matchAll(/^ {4}(\w+)_buffer: /gm)) {
      expect(fields.get(`${name}_bytes`)).toBe(0);
      fields.delete(`${name}_bytes`);
    }
    const known = names.flatMap((name) => {
      const { kind, field, default: value } = optionTable[name];
      if (field === null || ["bytes", "text", "properties"].includes(kind.type)) return [];
      const number = kind.type === "choice" ? kind.choices.indexOf(value as string) : Number(value);
      return [[field, number] as const];
    });
    expect(fields.size).toBeGreaterThan(35);
    expect(Object.fromEntries(known)).toEqual(Object.fromEntries(fields));
  });

  test("gives every field to one option only", () => {
    const fields = names.map((name) => optionTable[name].field).filter((field) => field !== null);
    expect(new Set(fields).size).toBe(fields.length);
  });

  test("has the names and types of zeromq.js, but for our own", () => {
    const theirs = readFileSync(join(root, "node_modules/zeromq/lib/index.d.ts"), "utf8");
    const ours = names.filter((name) => !new RegExp(`^ +${name}: `, "m").test(theirs));
    expect(ours.filter((name) => optionTable[name].zmq === null)).toEqual([
      "permanentFailure",
      "connectionsMax",
      "handshakesMax",
      "messagePartsMax",
      "messageBytesMax",
      "authenticate",
      "authenticateTimeout",
      "authenticateMax",
      "concurrency",
      "sendHighWaterMarkBytes",
      "sendHighWaterMarkPolicy",
      "receiveHighWaterMarkBytes",
      "detached",
      "subscriptionsMax",
      "subscriptionBytesMax",
    ]);
    // A setter only, over there.
    expect(ours).toContain("verbosity");
    expect(theirs).toContain('set verbosity(value: null | "allSubs" | "allSubsUnsubs")');
    for (const name of names.filter((name) => !ours.includes(name))) {
      const type = new RegExp(`^ +${name}: (.*);$`, "m").exec(theirs)?.[1];
      const value: unknown = optionDefaults[name];
      expect(`${name}: ${type}`).toBe(
        `${name}: ${value === null ? "string | null" : typeof value}`,
      );
    }
  });

  test("names the libzmq option where there is one", () => {
    expect(optionTable.reconnectMaxInterval.zmq).toBe("ZMQ_RECONNECT_IVL_MAX");
    expect(optionTable.detached.zmq).toBeNull();
  });

  test("has a default for every option that the option itself would take", () => {
    for (const type of types) {
      for (const name of optionNames(type)) {
        expect(() => validateOption(type, name, optionDefaults[name])).not.toThrow();
      }
    }
    expect(Object.isFrozen(optionDefaults)).toBe(true);
  });

  test("has no setter without an effect: each has a test that shows it", () => {
    expect(Object.keys(optionEffects).sort()).toEqual([...names].sort());
    for (const [name, [file, title]] of Object.entries(optionEffects)) {
      const text = readFileSync(join(root, "test", file), "utf8");
      const at = text.indexOf(title);
      const found = at < 0 ? `no test "${title}" in ${file}` : "tested";
      expect(`${name}: ${found}`).toBe(`${name}: tested`);
      // The option is named there: in the test, in what goes before it, or in its table.
      expect(new RegExp(`\\b${name}\\b`).test(text)).toBe(true);
    }
  });

  test("is what docs/options.md says: run `bun test/support/options_document.ts`", () => {
    expect(readFileSync(join(root, "docs/options.md"), "utf8")).toBe(optionsDocument());
  });

  test("waits for queued messages at exit, but not for ever, and not for subscriptions", () => {
    expect(optionDefaults.linger).toBe(30_000);
    const impatient = types.filter((type) => defaultsOf(type).linger === 0);
    expect(impatient).toEqual(["Subscriber", "XSubscriber", "Dish"]);
  });

  test("is documented: every option with its default and when it takes effect", () => {
    const texts = ["option_groups.ts", "options.ts"];
    const source = texts.map((file) => readFileSync(join(root, "src", file), "utf8")).join("");
    for (const name of names) {
      const doc = new RegExp(`/\\*\\*((?:(?!\\*/)[\\s\\S])*)\\*/\\s*${name}\\?:`).exec(source)?.[1];
      const { default: value, effect, zmq, kind } = optionTable[name];
      const text = typeof value === "number" ? value.toLocaleString("en") : String(value);
      const plain = (doc ?? "").replace(/\s+\*\s+/g, " ").replaceAll('"', "");
      const said = value === 1000 ? "1000" : text;
      expect(`${name}: ${plain}`).toContain(`Default ${said}`);
      const when = { now: " Now. ", "next connection": " New. ", "next bind or connect": " Next. " };
      expect(`${name}: ${plain}`).toContain(when[effect]);
      expect(`${name}: ${plain}`).toContain(zmq ?? "Not in libzmq");
      const unit = kind.type === "integer" ? kind.unit : "";
      const word = { ms: "Milliseconds", s: "Seconds", bytes: "Bytes" }[unit];
      if (word !== undefined) expect(`${name}: ${plain}`).toContain(word);
    }
  });
});

describe("a class", () => {
  test("has the options that mean something to it", () => {
    expect(optionNames("Push")).toContain("sendTimeout");
    expect(optionNames("Push")).not.toContain("receiveTimeout" as never);
    expect(optionNames("Pull")).not.toContain("sendHighWaterMark" as never);
    expect(optionNames("Request")).toContain("relaxed");
    expect(optionNames("Reply")).not.toContain("relaxed" as never);
    expect(optionNames("Reply")).toContain("routingId");
    for (const type of types) expect(optionNames(type)).toContain("linger");
  });

  test("has them in its type, so that a misspelling does not compile", () => {
    const good: RequestOptions = { linger: 0, sendTimeout: 1, receiveTimeout: 1, relaxed: true };
    // @ts-expect-error: a Pull does not send
    const bad: PullOptions = { sendTimeout: 1 };
    // @ts-expect-error: no such option
    const misspelt: PullOptions = { lingre: 1 };
    expect(validateOptions("Request", good).length).toBe(4);
    expect(() => validateOptions("Pull", bad)).toThrow(TypeError);
    expect(() => validateOptions("Pull", misspelt)).toThrow(TypeError);
  });
});

describe("a good value", () => {
  test("goes to its field", () => {
    expect(validateOption("Push", "linger", 0)).toEqual({
      name: "linger",
      kind: "number",
      field: "linger_ms",
      value: 0,
    });
    expect(validateOption("Request", "correlate", true)).toMatchObject({
      field: "request_correlate",
      value: 1,
    });
    expect(validateOption("Pull", "ipv6", false)).toMatchObject({ field: "ipv6", value: 0 });
  });

  test("may stay on this side", () => {
    expect(validateOption("Pull", "receiveTimeout", 5)).toEqual({
      name: "receiveTimeout",
      kind: "local",
      field: null,
      value: 5,
    });
    expect(validateOption("Pull", "detached", true)).toMatchObject({ kind: "local", value: true });
    expect(validateOption("Push", "concurrency", "queue")).toMatchObject({ value: "queue" });
  });

  test("is taken at both ends of its range", () => {
    for (const type of types) {
      for (const name of optionNames(type)) {
        const { kind } = optionTable[name];
        if (kind.type !== "integer") continue;
        expect(validateOption(type, name, kind.min)).toMatchObject({ value: kind.min });
        expect(validateOption(type, name, kind.max)).toMatchObject({ value: kind.max });
      }
    }
  });

  test("of minus zero is zero", () => {
    const checked = validateOption("Push", "linger", -0);
    expect(checked.kind === "number" && Object.is(checked.value, 0)).toBe(true);
  });
});

describe("a wrong value", () => {
  test("out of range names the option and the range, and is never cut off", () => {
    for (const type of types) {
      for (const name of optionNames(type)) {
        const { kind } = optionTable[name];
        if (kind.type !== "integer") continue;
        for (const value of [kind.min - 1, kind.max + 1, 0.5, NaN, Infinity, -Infinity, 2 ** 32]) {
          const error = thrown(() => validateOption(type, name, value));
          expect(error).toBeInstanceOf(ZmqError);
          expect(error).toMatchObject({ code: "EINVAL", errno: 22 });
          expect(error.message).toStartWith("Invalid argument. ");
          expect(error.message).toContain(`${type} option ${name} must be an integer`);
          expect(error.message).toContain(`from ${kind.min} to ${kind.max}`);
          expect(error.message).toContain(String(value));
        }
      }
    }
  });

  test("that the kernel would refuse later is refused now", () => {
    for (const name of ["tcpKeepaliveCount", "tcpKeepaliveIdle", "tcpKeepaliveInterval"]) {
      const error = thrown(() => validateOption("Push", name, 0));
      expect(error).toMatchObject({ code: "EINVAL" });
      expect(error.message).toContain("except 0");
    }
  });

  test("of the wrong type is a TypeError that shows it", () => {
    const message = (name: string, value: unknown) => {
      const error = thrown(() => validateOption("Request", name, value));
      expect(error).toBeInstanceOf(TypeError);
      return error.message;
    };
    expect(message("linger", "100")).toBe(
      'Request option linger must be an integer from -1 to 2147483647 (ms), not "100"',
    );
    expect(message("linger", 100n)).toEndWith("not bigint");
    expect(message("linger", null)).toEndWith("not null");
    expect(message("linger", undefined)).toEndWith("not undefined");
    expect(message("linger", true)).toEndWith("not true");
    expect(message("ipv6", 1)).toBe("Request option ipv6 must be true or false, not 1");
    expect(message("concurrency", "parallel")).toBe(
      'Request option concurrency must be "error" or "queue", not "parallel"',
    );
    expect(message("routingId", 5)).toContain("a string, a Uint8Array or null, not 5");
    expect(message("linger", [5])).toEndWith("not an array");
  });
});

describe("a routing id", () => {
  const check = (value: unknown) => {
    const checked = validateOption("Reply", "routingId", value);
    if (checked.kind !== "bytes") throw new Error("it has to become bytes");
    return checked.bytes;
  };

  test("is text, bytes or none", () => {
    expect(check("é")).toEqual(Uint8Array.of(0xc3, 0xa9));
    expect(check(Buffer.from("abc"))).toEqual(new TextEncoder().encode("abc"));
    expect(check(null).length).toBe(0);
    expect(check("x".repeat(255)).length).toBe(255);
  });

  test("is copied: what happens to the buffer afterwards changes nothing", () => {
    const buffer = Buffer.from("abc");
    const bytes = check(buffer);
    buffer.fill("z");
    expect(new TextDecoder().decode(bytes)).toBe("abc");
  });

  test("has 1 to 255 bytes, and not the first byte of a Router's own ids", () => {
    for (const value of ["", "x".repeat(256), "é".repeat(128), Uint8Array.of(0, 1), "\0a"]) {
      const error = thrown(() => check(value));
      expect(error).toMatchObject({ code: "EINVAL" });
      expect(error.message).toContain("Reply option routingId must have 1 to 255 bytes");
    }
  });
});

describe("an unknown option", () => {
  const message = (type: SocketTypeName, name: string) => {
    const error = thrown(() => validateOption(type, name, 1));
    expect(error).toBeInstanceOf(TypeError);
    return error.message;
  };

  test.each([
    ["lingerr", "linger"],
    ["Linger", "linger"],
    ["recieveTimeout", "receiveTimeout"],
    ["receiveHighWatermark", "receiveHighWaterMark"],
    ["RCVHWM", "receiveHighWaterMark"],
    ["ZMQ_RCVTIMEO", "receiveTimeout"],
    ["reconnect_ivl", "reconnectInterval"],
    ["tcp_keepalive_cnt", "tcpKeepaliveCount"],
  ])("%s is not ignored: did you mean %s?", (name, meant) => {
    expect(message("Pull", name)).toStartWith(
      `Pull has no option ${name}. Did you mean ${meant}? Options of Pull: linger, `,
    );
  });

  test("unlike any other gets the list only", () => {
    const all = optionNames("Push").join(", ");
    expect(message("Push", "somethingElseEntirely")).toBe(
      `Push has no option somethingElseEntirely. Options of Push: ${all}`,
    );
  });

  test("of another class says whose it is", () => {
    expect(message("Pull", "sendTimeout")).toStartWith(
      "Pull has no option sendTimeout (Pair, Publisher, Request, Reply, Dealer, Router, Push, " +
        "XPublisher, XSubscriber, Stream, Server, Client, Radio, Scatter, Peer, Channel only). " +
        "Options of Pull: linger, reconnectInterval, ",
    );
    expect(message("Reply", "relaxed")).toContain("(Request only)");
  });

  test("inherited from Object is unknown as well", () => {
    expect(message("Push", "constructor")).toStartWith("Push has no option constructor.");
    expect(message("Push", "__proto__")).toStartWith("Push has no option __proto__.");
  });

  test("that can only be read says so", () => {
    for (const name of ["type", "lastEndpoint", "securityMechanism", "threadSafe"]) {
      expect(message("Push", name)).toBe(`Push property ${name} is read-only`);
    }
  });

  test("of zeromq.js that does nothing yet is not accepted silently", () => {
    const theirs = readFileSync(join(root, "node_modules/zeromq/lib/index.d.ts"), "utf8");
    const sockets = theirs.slice(theirs.indexOf("interface Socket {"));
    const listed = [...sockets.matchAll(/^ {8}(\w+): (?:number|boolean|string)\b.*;$/gm)]
      .map(([, name]) => name as string)
      .filter((name) => !Object.hasOwn(optionTable, name));
    expect(listed).toContain("affinity");
    for (const name of listed) {
      expect(message("Push", name)).toStartWith(`Push option ${name} is not supported: `);
    }
    expect(message("Request", "routerRaw")).toEndWith("use a Stream");
  });

  test("is either there or not supported, never both, and none of libzmq's is forgotten", () => {
    expect(names.filter((name) => name in unsupportedOptions)).toEqual([]);
    const known = [...Object.values(optionTable), ...Object.values(unsupportedOptions)]
      .flatMap(({ zmq }) => (zmq ?? "").split(", "))
      .join(" ");
    // zmq.h of 4.3.5 with the draft API, without what is a property, a method or a group here.
    for (const word of libzmq) expect(known).toContain(`ZMQ_${word}`);
  });
});

describe("the argument of a constructor", () => {
  test("may be left out, and so may its values", () => {
    expect(validateOptions("Push", undefined)).toEqual([]);
    expect(validateOptions("Push", {})).toEqual([]);
    expect(validateOptions("Push", { linger: undefined })).toEqual([]);
  });

  test("is checked as a whole and left as it was", () => {
    const options = Object.freeze({ linger: 5, sendTimeout: 10, immediate: true });
    expect(validateOptions("Push", options).map(({ name }) => name)).toEqual([
      "linger",
      "sendTimeout",
      "immediate",
    ]);
    expect(() => validateOptions("Push", { linger: 5, nonsense: 1 })).toThrow("nonsense");
  });

  test("is an object, not an endpoint or a list", () => {
    for (const value of [null, 5, "tcp://127.0.0.1:5555", [{ linger: 0 }]]) {
      expect(thrown(() => validateOptions("Push", value))).toBeInstanceOf(TypeError);
    }
  });
});

describe("the timeout of a call", () => {
  test("is milliseconds, 0 or -1, and nothing else", () => {
    for (const value of [-1, 0, 1, 2 ** 31 - 1]) expect(validateTimeout(value)).toBe(value);
    for (const value of [-2, 0.5, NaN, 2 ** 31]) {
      expect(thrown(() => validateTimeout(value))).toMatchObject({ code: "EINVAL" });
    }
    expect(thrown(() => validateTimeout("5"))).toBeInstanceOf(TypeError);
  });
});
