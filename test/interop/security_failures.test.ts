// What goes wrong between a secured socket of ours and one of libzmq's: what both are told, and whether
// the client tries again.

import { afterEach, describe, expect, test } from "bun:test";
import { Dealer, type Event, type EventType, Router, type Socket } from "../../src/index.ts";
import type { SecurityOptions } from "../../src/option_groups.ts";
import {
  client,
  clientOptions,
  libzmqClient,
  libzmqServer,
  server,
  serverOptions,
  stranger,
  user,
} from "./credentials.ts";
import { eventually, fresh, killPeers, libzmq, type Peer, type PeerOptions } from "./peer.ts";

afterEach(killPeers);

/** libzmq's, with the value that tells more. */
const OTHER = 0x800;
const PROTOCOL = 0x2000;
const AUTH = 0x4000;
const RETRIED = 0x4;
const SUCCEEDED = 0x1000;
const EFAULT = 14;
const EPIPE = 32;
/** What libzmq takes PLAIN's ERROR for: its own is misspelt, and it knows no other (see plain.zig). */
const UNEXPECTED_COMMAND = 0x10000001;
const CRYPTOGRAPHIC = 0x11000001;
const MECHANISM = 0x11000002;

const kinds = [
  "handshake",
  "handshake:error:protocol",
  "handshake:error:auth",
  "handshake:error:other",
  "connect:retry",
  "connect:stop",
] as const satisfies readonly EventType[];

function record(socket: Socket): Event[] {
  const events: Event[] = [];
  for (const kind of kinds) socket.events.on(kind, (event) => events.push(event));
  return events;
}

/** A failure as we tell it: its type, reason and code or status. */
function failureOf(events: readonly Event[]): string | undefined {
  const failure = events.find(({ type }) => type.startsWith("handshake:error"));
  if (failure === undefined) return undefined;
  const { code, status } = (failure as unknown as { error: { code: string; status?: number } }).error;
  const kind = failure.type.slice("handshake:error:".length);
  return [kind, failure.reason, status ?? code].join(" ");
}

/** As libzmq tells it. */
function theirFailure(peer: Peer): string | undefined {
  const line = peer.lines.find(({ event }) => [OTHER, PROTOCOL, AUTH].includes(event as number));
  return line && told(line.event as number, line.value as number);
}

const told = (event: number, value: number) => `0x${event.toString(16)} ${value.toString(16)}`;

type Options = SecurityOptions;

interface Case {
  name: string;
  ours: Options;
  theirs: PeerOptions;
  /** What we tell. */
  expected: string;
  /** What libzmq tells. */
  libzmq: string;
  /** Whether the client tries again. */
  again: boolean;
}

/** Nothing that was sent came through, and nobody was told that the handshake succeeded. */
function expectNothingCame(events: readonly Event[], peer: Peer): void {
  expect(events.filter(({ type }) => type === "handshake")).toEqual([]);
  expect(peer.lines.filter((line) => line.event === SUCCEEDED || "identity" in line)).toEqual([]);
}

const refused = { ...libzmqServer.PLAIN } as const;
const wrongPassword = { plainUsername: user, plainPassword: "wrong" };
const unknownKeys = { curvePublicKey: stranger.publicKey, curveSecretKey: stranger.secretKey };
/** The client knows another server than the one it meets. */
const wrongServer = { curveServerKey: stranger.publicKey };

const asClients: Case[] = [
  {
    name: "CURVE with the key of another server",
    ours: { ...clientOptions.CURVE, ...wrongServer },
    theirs: libzmqServer.CURVE,
    expected: "other hello_refused EPROTO",
    libzmq: told(PROTOCOL, CRYPTOGRAPHIC),
    again: true,
  },
  {
    name: "CURVE with a key that the server does not know",
    ours: { ...clientOptions.CURVE, ...unknownKeys },
    theirs: libzmqServer.CURVE,
    expected: "auth peer_error 400",
    libzmq: told(AUTH, 400),
    again: false,
  },
  {
    name: "PLAIN with the wrong password",
    ours: wrongPassword,
    theirs: refused,
    expected: "auth peer_error 400",
    libzmq: told(AUTH, 400),
    again: false,
  },
  {
    name: "PLAIN, and the handler has an error",
    ours: clientOptions.PLAIN,
    theirs: { "plain-server": true, zap: "500" },
    expected: "auth peer_error 500",
    libzmq: told(AUTH, 500),
    again: false,
  },
  {
    name: "PLAIN, and the handler says something that is no answer",
    ours: clientOptions.PLAIN,
    theirs: { "plain-server": true, zap: "bad" },
    expected: "other hello_refused EPROTO",
    libzmq: told(PROTOCOL, 0x20000001),
    again: true,
  },
  {
    name: "PLAIN, and the handler knows a status that there is not",
    ours: clientOptions.PLAIN,
    theirs: { "plain-server": true, zap: "201" },
    expected: "other hello_refused EPROTO",
    libzmq: told(PROTOCOL, 0x20000004),
    again: true,
  },
];

describe("a client of ours at a server of libzmq", () => {
  test.each(asClients)("$name: both are told", async ({ ours, theirs, expected, libzmq: their, again }) => {
    const monitored = { ...theirs, monitor: true, hold: true, count: 1 } as const;
    const peer = libzmq("router", "bind", fresh("tcp"), monitored);
    await using dealer = new Dealer({ ...ours, linger: 0, reconnectInterval: 20 });
    const events = record(dealer);
    dealer.connect(await peer.endpoint());
    const sending = dealer.send("secret").catch((error) => error);
    await eventually(() => failureOf(events) !== undefined && theirFailure(peer) !== undefined, "failures");
    expect(failureOf(events)).toBe(expected);
    expect(theirFailure(peer)).toBe(their);
    const next = again ? "connect:retry" : "connect:stop";
    await eventually(() => events.some(({ type }) => type === next), next);
    expect(events.some(({ type }) => type === (again ? "connect:stop" : "connect:retry"))).toBe(false);
    if (!again) {
      await sending;
      // Waiting for what cannot come would hide it.
      const error = await dealer.send("more").catch((failure) => failure);
      expect(error?.code).toBe("EACCES");
    }
    expectNothingCame(events, peer);
  });
});

const verdict = (status: 300 | 500): Options => ({
  ...serverOptions.PLAIN,
  authenticate: () => ({ reject: "as told", status }),
});

const asServers: Case[] = [
  {
    name: "CURVE with the key of another server",
    ours: serverOptions.CURVE,
    theirs: { ...libzmqClient.CURVE, "curve-server-key": stranger.publicKey },
    expected: "protocol cryptographic ERR_ZMTP_CRYPTOGRAPHIC",
    libzmq: told(OTHER, EPIPE),
    again: true,
  },
  {
    name: "CURVE with a key that we do not let in",
    ours: serverOptions.CURVE,
    theirs: {
      "curve-server-key": server.publicKey,
      "curve-public": stranger.publicKey,
      "curve-secret": stranger.secretKey,
    },
    expected: "auth authentication_denied 400",
    libzmq: told(AUTH, 400),
    again: false,
  },
  {
    name: "PLAIN with the wrong password",
    ours: serverOptions.PLAIN,
    theirs: { "plain-user": user, "plain-password": "wrong" },
    expected: "auth authentication_denied 400",
    libzmq: told(PROTOCOL, UNEXPECTED_COMMAND),
    again: false,
  },
  {
    name: "PLAIN, with an error of ours",
    ours: verdict(500),
    theirs: libzmqClient.PLAIN,
    expected: "auth authentication_error 500",
    libzmq: told(PROTOCOL, UNEXPECTED_COMMAND),
    again: false,
  },
  {
    name: "PLAIN, for the moment",
    ours: verdict(300),
    theirs: libzmqClient.PLAIN,
    expected: "auth authentication_retry 300",
    libzmq: told(OTHER, EPIPE),
    again: true,
  },
  {
    name: "PLAIN, and nobody is there to be asked",
    ours: { plainServer: true },
    theirs: libzmqClient.PLAIN,
    expected: "other authentication_unavailable EACCES",
    libzmq: told(OTHER, EPIPE),
    again: true,
  },
];

describe("a client of libzmq at a server of ours", () => {
  test.each(asServers)("$name: both are told", async ({ ours, theirs, expected, libzmq: their, again }) => {
    await using router = new Router({ ...ours, linger: 0 });
    await router.bind(fresh("tcp"));
    const events = record(router);
    const peer = libzmq("dealer", "connect", router.lastEndpoint!, {
      ...theirs, monitor: true, hold: true, stream: true, messages: "6", linger: 0,
    });
    await eventually(() => failureOf(events) !== undefined && theirFailure(peer) !== undefined, "failures");
    expect(failureOf(events)).toBe(expected);
    expect(theirFailure(peer)).toBe(their);
    const retried = () => peer.lines.some(({ event }) => event === RETRIED);
    if (again) await eventually(retried, "another attempt");
    // Its base interval is 100 ms and a bit.
    else await Bun.sleep(250);
    expect(retried()).toBe(again);
    expectNothingCame(events, peer);
    expect(router.tryReceive()).toBeUndefined();
  });
});

// libzmq hangs up on our mechanism before it has said its own, so it is not known to us.
describe("the ends have different mechanisms: no byte of traffic passes, and both are told it failed", () => {
  const hungUp = "other peer_closed EPIPE";

  const ours: Record<string, Options> = {
    NULL: {},
    PLAIN: serverOptions.PLAIN,
    CURVE: serverOptions.CURVE,
  };
  const theirs: Record<string, PeerOptions> = { NULL: {}, ...libzmqClient };
  const pairs = Object.keys(ours).flatMap((own) =>
    Object.keys(theirs).flatMap((other) => (own === other ? [] : [[own, other] as const])),
  );

  test.each(pairs)("%s, and libzmq connects with %s", async (own, other) => {
    await using router = new Router({ ...ours[own], linger: 0 });
    await router.bind(fresh("tcp"));
    const events = record(router);
    const peer = libzmq("dealer", "connect", router.lastEndpoint!, {
      ...theirs[other], monitor: true, hold: true, stream: true, messages: "6", linger: 0,
    });
    await eventually(() => failureOf(events) !== undefined && theirFailure(peer) !== undefined, "failures");
    expect(failureOf(events)).toBe(hungUp);
    expect(theirFailure(peer)).toBe(told(PROTOCOL, MECHANISM));
    expectNothingCame(events, peer);
    expect(router.tryReceive()).toBeUndefined();
  });

  const clients: Record<string, Options> = { NULL: {}, ...clientOptions };
  const servers: Record<string, PeerOptions> = { NULL: {}, ...libzmqServer };
  test.each(pairs)("%s, and we connect to libzmq with %s", async (own, other) => {
    const peer = libzmq("router", "bind", fresh("tcp"), {
      ...servers[other], monitor: true, hold: true, count: 1,
    });
    await using dealer = new Dealer({ ...clients[own], linger: 0, reconnectInterval: 20 });
    const events = record(dealer);
    dealer.connect(await peer.endpoint());
    await eventually(() => failureOf(events) !== undefined && theirFailure(peer) !== undefined, "failures");
    expect(failureOf(events)).toBe(hungUp);
    expect(theirFailure(peer)).toBe(told(PROTOCOL, MECHANISM));
    await eventually(() => events.some(({ type }) => type === "connect:retry"), "another attempt");
    expectNothingCame(events, peer);
  });

  test("both are servers of CURVE: neither begins, and the deadline ends it", async () => {
    await using router = new Router({ ...serverOptions.CURVE, handshakeInterval: 300, linger: 0 });
    await router.bind(fresh("tcp"));
    const events = record(router);
    const peer = libzmq("dealer", "connect", router.lastEndpoint!, {
      "curve-server": stranger.secretKey, monitor: true, hold: true, stream: true, messages: "6", linger: 0,
    });
    await eventually(() => failureOf(events) !== undefined, "the deadline");
    expect(failureOf(events)).toBe("other handshake_timeout EAGAIN");
    expectNothingCame(events, peer);
  });

  test("both are clients of CURVE: the first words of neither are an answer", async () => {
    await using router = new Router({ ...clientOptions.CURVE, linger: 0 });
    await router.bind(fresh("tcp"));
    const events = record(router);
    const peer = libzmq("dealer", "connect", router.lastEndpoint!, {
      ...libzmqClient.CURVE, monitor: true, hold: true, stream: true, messages: "6", linger: 0,
    });
    await eventually(() => failureOf(events) !== undefined, "the failure");
    expect(failureOf(events)).toBe("protocol unexpected_command ERR_ZMTP_UNEXPECTED_COMMAND");
    expectNothingCame(events, peer);
  });
});

describe("a server of libzmq that has nobody to ask", () => {
  test("hangs up or says nothing: it ends either way, and we try again", async () => {
    const peer = libzmq("router", "bind", fresh("tcp"), {
      "plain-server": true, monitor: true, hold: true, count: 1,
    });
    const options = { ...clientOptions.PLAIN, handshakeInterval: 200, reconnectInterval: 20, linger: 0 };
    await using dealer = new Dealer(options);
    const events = record(dealer);
    dealer.connect(await peer.endpoint());
    await eventually(() => events.some(({ type }) => type === "connect:retry"), "another attempt");
    const ends = ["other hello_refused EPROTO", "other handshake_timeout EAGAIN"];
    expect(ends).toContain(failureOf(events)!);
    expect(theirFailure(peer)).toBe(told(OTHER, EFAULT));
    expectNothingCame(events, peer);
  });
});

describe("a status of 300", () => {
  test("of libzmq's handler: it says nothing, so the deadline ends it and we try again", async () => {
    const peer = libzmq("router", "bind", fresh("tcp"), {
      "plain-server": true, zap: "300", monitor: true, hold: true, count: 1,
    });
    const options = { ...clientOptions.PLAIN, handshakeInterval: 200, reconnectInterval: 20, linger: 0 };
    await using dealer = new Dealer(options);
    const events = record(dealer);
    dealer.connect(await peer.endpoint());
    await eventually(() => events.some(({ type }) => type === "connect:retry"), "another attempt");
    expect(failureOf(events)).toBe("other handshake_timeout EAGAIN");
    expect(theirFailure(peer)).toBe(told(AUTH, 300));
  });
});

describe("what a handler of libzmq is asked about a client of ours", () => {
  test("CURVE: its address and its public key", async () => {
    const peer = libzmq("pull", "bind", fresh("tcp"), { ...libzmqServer.CURVE, count: 1 });
    await using dealer = new Dealer({ ...clientOptions.CURVE, linger: 0 });
    dealer.connect(await peer.endpoint());
    const { zap } = await peer.line("zap");
    const key = Buffer.from((await import("../../src/z85.ts")).z85Decode(client.publicKey));
    expect(zap).toEqual({
      version: "1.0",
      domain: "interop",
      address: "127.0.0.1",
      mechanism: "CURVE",
      credentials: [key.toString("hex")],
    });
  });
});
