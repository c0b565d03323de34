// monocoque/metrics: what a Prometheus server reads. The parser knows the format, not our writer.

import { describe, expect, test } from "bun:test";
import { context, Dealer, Publisher, Pull, Push, Reply, Router } from "../src/index.ts";
import { metrics, metricsText, nameSocket } from "../src/metrics.ts";
import { bound, keeper, until } from "./support/sockets.ts";

const keep = keeper();

interface Metric {
  help: string;
  type: string;
  samples: { labels: Record<string, string>; value: number }[];
}

/** Throws for whatever version 0.0.4 of the text format does not allow. */
function parse(text: string): Map<string, Metric> {
  const families = new Map<string, Metric>();
  const seen = new Set<string>();
  let family: [string, Metric] | undefined;
  let help: [string, string] | undefined;
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  for (const line of text.slice(0, -1).split("\n")) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line);
    if (comment) {
      const [, kind, name, rest] = comment as unknown as string[];
      if (families.has(name!)) throw new Error(`${name} is told twice: ${line}`);
      if (kind === "HELP") {
        if (/\\(?![\\n])/.test(rest!)) throw new Error(`escape: ${line}`);
        help = [name!, rest!];
        continue;
      }
      if (help?.[0] !== name) throw new Error(`TYPE without HELP: ${line}`);
      if (!["counter", "gauge"].includes(rest!)) throw new Error(`type: ${line}`);
      if ((rest === "counter") !== name!.endsWith("_total")) throw new Error(`suffix: ${line}`);
      family = [name!, { help: help![1], type: rest!, samples: [] }];
      families.set(...family);
      continue;
    }
    const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!sample) throw new Error(`neither a comment nor a sample: ${line}`);
    if (sample[1] !== family?.[0]) throw new Error(`a sample outside of its family: ${line}`);
    const key = `${sample[1]}{${sample[2]}}`;
    if (seen.has(key)) throw new Error(`told twice: ${key}`);
    seen.add(key);
    const value = Number(sample[3]);
    if (!Number.isFinite(value)) throw new Error(`value: ${line}`);
    family![1].samples.push({ labels: labelsOf(sample[2] ?? ""), value });
  }
  return families;
}

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;
  while (label.lastIndex < text.length) {
    const match = label.exec(text);
    if (match === null) throw new Error(`labels: ${text}`);
    if (match[1]! in labels) throw new Error(`label twice: ${text}`);
    const plain = { n: "\n", "\\": "\\", '"': '"' } as Record<string, string>;
    labels[match[1]!] = match[2]!.replace(/\\(.)/g, (_, char: string) => plain[char]!);
  }
  return labels;
}

/** The value of the sample with these labels, among others; undefined: there is none. */
function valueOf(text: string, name: string, labels: Record<string, string>): number | undefined {
  const matching = (parse(text).get(`monocoque_${name}`)?.samples ?? []).filter((sample) =>
    Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  expect(matching.length).toBeLessThanOrEqual(1);
  return matching[0]?.value;
}

describe("the text", () => {
  test("is valid, with what sockets, connections and the thread count", async () => {
    const pull = keep(nameSocket(new Pull(), "text"));
    const endpoint = bound(pull);
    const push = keep(nameSocket(new Push(), 'or"d\\e\nrs'));
    push.connect(endpoint);
    for (let i = 0; i < 5; i += 1) await push.send(["two", "parts"]);
    await pull.receive();
    const text = metricsText({ labels: { worker: "3" } });
    const sender = { type: "Push", name: 'or"d\\e\nrs', endpoint, worker: "3" };
    const receiver = { type: "Pull", name: "text", endpoint, worker: "3" };
    expect(valueOf(text, "messages_sent_total", sender)).toBe(5);
    expect(valueOf(text, "parts_sent_total", sender)).toBe(10);
    expect(valueOf(text, "messages_received_total", receiver)).toBe(1);
    expect(valueOf(text, "receive_queue_messages", receiver)).toBe(4);
    expect(valueOf(text, "connections", receiver)).toBe(1);
    const out = valueOf(text, "peer_bytes_total", { ...sender, direction: "out" });
    expect(out).toBe(push.stats().bytesOut);
    expect(valueOf(text, "messages_dropped_total", { ...sender, reason: "linger" })).toBe(0);
    expect(valueOf(text, "backend_info", { backend: context.backend.name })).toBe(1);
    const { memoryLimitBytes } = context.stats().thread;
    expect(valueOf(text, "memory_bytes", { kind: "limit" })).toBe(memoryLimitBytes);
    expect([...parse(text).keys()].filter((name) => !name.startsWith("monocoque_"))).toEqual([]);
    expect(text).not.toContain("undefined");
    expect(text).not.toContain("NaN");
  });

  test("tells every counter of a socket: none is left out when one is added", () => {
    const push = keep(new Push());
    push.connect("inproc://every");
    const told = [...parse(metricsText()).keys()];
    const words = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const others: Record<string, string> = {
      messagesIn: "peer_messages_total", messagesOut: "peer_messages_total",
      bytesIn: "peer_bytes_total", bytesOut: "peer_bytes_total",
      commandsIn: "peer_commands_total", commandsOut: "peer_commands_total",
      droppedEvents: "events_dropped_total", reconnects: "reconnect_attempts_total",
      connections: "connections", topics: "topics",
    };
    const text = metricsText();
    for (const name of Object.keys(push.stats())) {
      if (name === "handshakesFailed" || name === "handshakeFailures") continue;
      const cause = /^dropped(.*)$/.exec(name)?.[1];
      if (cause && !(name in others)) expect(text).toContain(`reason="${words(cause).slice(1)}"`);
      else expect(told).toContain(`monocoque_${others[name] ?? `${words(name)}_total`}`);
    }
  });

  test("has the reasons of failed handshakes, and drops by their cause", async () => {
    const pull = keep(nameSocket(new Pull(), "reasons"));
    const endpoint = bound(pull);
    keep(new Reply()).connect(endpoint);
    await until("it has failed", () => pull.stats().handshakesFailed > 0);
    const publisher = keep(nameSocket(new Publisher(), "drops"));
    const at = bound(publisher);
    await publisher.send("to nobody");
    const text = metricsText();
    const reason = "socket_type_mismatch";
    const failed = valueOf(text, "handshakes_failed_total", { endpoint, type: "Pull", reason });
    expect(failed).toBe(pull.stats().handshakesFailed);
    expect(valueOf(text, "messages_dropped_total", { endpoint: at, reason: "unsubscribed" })).toBe(1);
  });

  test("tells of single connections only when asked, and of no more than asked", async () => {
    const router = keep(nameSocket(new Router(), "peers"));
    const endpoint = bound(router);
    const dealers = ["a", "b", "c"].map((routingId) =>
      // Named: of other sockets a hundred endpoints are told, and other tests have had those.
      keep(nameSocket(new Dealer({ routingId, heartbeatInterval: 10 }), "peers")),
    );
    for (const dealer of dealers) dealer.connect(endpoint);
    await until("all are there", () => router.stats().connections === 3);
    const [first] = dealers;
    const peer = () => first!.peers()[0]!;
    await until("there was an answer", () => peer().roundTripTime !== undefined);
    expect(metricsText()).not.toContain("monocoque_peer_connected");
    const all = metricsText({ peers: 100_000 });
    const hex = Buffer.from("b").toString("hex");
    expect(valueOf(all, "peer_connected", { endpoint, routing_id: hex, type: "Router" })).toBe(1);
    const labels = { endpoint, connection: String(peer().connection) };
    const seconds = valueOf(all, "peer_round_trip_seconds", labels)!;
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThan(1);
    expect(parse(metricsText({ peers: 2 })).get("monocoque_peer_connected")!.samples).toHaveLength(2);
  });
});

describe("what is told never falls", () => {
  test("when sockets end, others come, and one lingers: rates would be negative", async () => {
    const pull = keep(new Pull());
    const endpoint = bound(pull);
    // The port may have been that of other tests' sockets.
    const labels = { type: "Push", endpoint, name: "one after the other" };
    const sent = () => valueOf(metricsText(), "messages_sent_total", labels)!;
    const sockets = () => valueOf(metricsText(), "sockets", labels)!;
    for (let round = 1; round <= 3; round += 1) {
      const push = keep(nameSocket(new Push(), "one after the other"));
      push.connect(endpoint);
      for (let i = 0; i < 10; i += 1) await push.send("x");
      expect(sent()).toBe(round * 10);
      await push.close();
      expect(sent()).toBe(round * 10);
      expect(sockets()).toBe(0);
    }
    const lingering = keep(nameSocket(new Push(), "lingering"));
    lingering.connect("tcp://127.0.0.1:1");
    await lingering.send("never");
    lingering.linger = 50;
    const closing = lingering.close();
    const gone = { name: "lingering", endpoint: "tcp://127.0.0.1:1" };
    expect(valueOf(metricsText(), "sockets", gone)).toBe(1);
    await closing;
    expect(valueOf(metricsText(), "sockets", gone)).toBe(0);
    const lost = valueOf(metricsText(), "messages_dropped_total", { ...gone, reason: "linger" });
    expect(lost).toBe(1);
  });

  test("when a socket gets a second endpoint or leaves its first one", async () => {
    const push = keep(nameSocket(new Push(), "moves"));
    push.connect("inproc://first");
    await push.send("x");
    const sent = (endpoint: string) =>
      valueOf(metricsText(), "messages_sent_total", { name: "moves", endpoint });
    expect(sent("inproc://first")).toBe(1);
    push.connect("inproc://second");
    push.disconnect("inproc://first");
    expect(sent("inproc://first")).toBe(1);
    expect(sent("inproc://second")).toBeUndefined();
    expect(() => nameSocket(push, "other")).toThrow("cannot be named");
    expect(nameSocket(push, "moves")).toBe(push);
  });

  test("and does not grow with every endpoint there ever was", () => {
    for (let i = 0; i < 300; i += 1) {
      const push = nameSocket(new Push({ linger: 0 }), "many");
      push.connect(`inproc://many-${i}`);
      push.trySend("x");
      void push.close();
    }
    const { samples } = parse(metricsText()).get("monocoque_messages_sent_total")!;
    const many = samples.filter(({ labels }) => labels.name === "many");
    expect(many).toHaveLength(101);
    expect(many.reduce((sum, { value }) => sum + value, 0)).toBe(300);
    expect(many.find(({ labels }) => labels.endpoint === "other")!.value).toBe(200);
  });
});

describe("metrics()", () => {
  test("answers a Prometheus server over Bun.serve", async () => {
    const pull = keep(nameSocket(new Pull(), "served"));
    bound(pull);
    await using server = Bun.serve({ port: 0, routes: { "/metrics": metrics() } });
    const answer = await fetch(`${server.url}metrics`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
    expect(valueOf(await answer.text(), "sockets", { name: "served" })).toBe(1);
  });

  test("refuses what it cannot mean, at once", () => {
    expect(() => metrics({ labels: { "no-name": "x" } })).toThrow(TypeError);
    expect(() => metrics({ labels: { __own: "x" } })).toThrow(TypeError);
    expect(() => metrics({ labels: { type: "x" } })).toThrow("is one of its own");
    expect(() => metrics({ labels: { worker: 3 as unknown as string } })).toThrow(TypeError);
    expect(() => metrics({ peers: -1 })).toThrow(TypeError);
    expect(() => metricsText({ peer: 1 } as object)).toThrow("no option peer");
    expect(() => metricsText(3 as unknown as object)).toThrow(TypeError);
    expect(() => nameSocket({} as Push, "x")).toThrow(TypeError);
    expect(() => nameSocket(keep(new Push()), 3 as unknown as string)).toThrow(TypeError);
  });
});
