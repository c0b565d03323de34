// The numbers of all sockets of a thread in Prometheus' text format:
// `import { metrics } from "monocoque/metrics"`.

import { type Account, addCounters, type Counters, ledger, type Series } from "./ledger.ts";
import { coreOf, type Socket } from "./socket.ts";
import { context, type ThreadStats } from "./socket_context.ts";
import type { SocketCore } from "./socket_core.ts";
import { type PeerStats, readQueueStats } from "./socket_stats.ts";

/** What {@link metrics} and {@link metricsText} can be told. */
export interface MetricsOptions {
  /** Labels of every sample, such as `{ worker: "3" }`. Default none. */
  labels?: Record<string, string>;
  /**
   * Samples for each connection, for so many at most: their queues, what went through, round trips.
   * Default 0: each of them makes series of its own.
   */
  peers?: number;
}

/** Version 0.0.4 of the format. */
const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/**
 * A handler for `Bun.serve`. It tells of the sockets of this thread, also of those that have ended:
 * those of one type, name and endpoint are one series, which only grows. Errors (thrown): TypeError.
 *
 * ```ts
 * Bun.serve({ port: 9100, routes: { "/metrics": metrics() } });
 * ```
 */
export function metrics(options: MetricsOptions = {}): () => Response {
  const checked = check(options);
  return () => new Response(write(checked), { headers: { "content-type": CONTENT_TYPE } });
}

/**
 * The same as text, for other servers. Errors (thrown): TypeError.
 *
 * ```ts
 * console.log(metricsText({ labels: { worker: "3" } }));
 * ```
 */
export function metricsText(options: MetricsOptions = {}): string {
  return write(check(options));
}

/**
 * Gives a socket the label `name`, to tell it from others of its type. Sockets may share one. To be
 * called before the metrics are first told after its bind or connect. Errors (thrown): TypeError;
 * Error: too late, or the socket has ended.
 *
 * ```ts
 * const orders = nameSocket(new Push(), "orders");
 * ```
 */
export function nameSocket<S extends Socket>(socket: S, name: string): S {
  const core = (socket as Socket | undefined)?.[coreOf];
  if (core === undefined) throw new TypeError("nameSocket wants a socket");
  if (typeof name !== "string") throw new TypeError(`A socket's name is a string, not ${typeof name}`);
  if (ledger.name(core, name)) return socket;
  throw new Error(
    `${core.typeName} cannot be named ${JSON.stringify(name)} now: its numbers have been told under ` +
      "another name, or it is closed. Name it right after it was made.",
  );
}

type Labels = Record<string, string>;
type Sample = [labels: Labels, value: number];

interface Family {
  name: string;
  type: "counter" | "gauge";
  help: string;
}

function check(options: MetricsOptions): Required<MetricsOptions> {
  if (typeof options !== "object" || options === null) {
    throw new TypeError('Options of metrics are an object such as { labels: { worker: "3" } }');
  }
  for (const name of Object.keys(options)) {
    if (name === "labels" || name === "peers") continue;
    throw new TypeError(`metrics has no option ${name}. Its options: labels, peers`);
  }
  const { labels = {}, peers = 0 } = options;
  if (!Number.isInteger(peers) || peers < 0) {
    throw new TypeError(`metrics option peers must be an integer of at least 0, not ${peers}`);
  }
  for (const [name, value] of Object.entries(labels)) {
    const own = ownLabels.has(name);
    if (own || !/^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/.test(name) || typeof value !== "string") {
      const why = own ? "is one of its own" : "must be letters, digits and _, with a string";
      throw new TypeError(`metrics option labels: ${JSON.stringify(name)} ${why}`);
    }
  }
  return { labels: { ...labels }, peers };
}

const ownLabels = new Set([
  "type", "name", "endpoint", "direction", "reason", "kind", "backend", "wake", "connection",
  "remote", "routing_id",
]);

/** Collects the samples of one answer, family by family, as the format wants them. */
class Page {
  readonly #labels: Labels;
  #text = "";

  constructor(labels: Labels) {
    this.#labels = labels;
  }

  add({ name, type, help }: Family, samples: Iterable<Sample>): void {
    let head = `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
    for (const [labels, value] of samples) {
      const all = Object.entries({ ...labels, ...this.#labels });
      const list = all.map(([label, text]) => `${label}="${escapeLabel(text)}"`).join(",");
      this.#text += `${head}${name}${list === "" ? "" : `{${list}}`} ${value}\n`;
      head = "";
    }
  }

  toString(): string {
    return this.#text;
  }
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}

function write({ labels, peers }: Required<MetricsOptions>): string {
  const page = new Page(labels);
  const series = [...ledger.series()].map(sumOf);
  writeCounters(page, series);
  writeGauges(page, series);
  if (peers > 0) writePeers(page, series, peers);
  writeThread(page, context.stats().thread);
  return page.toString();
}

// -- sockets ------------------------------------------------------------------------------------

interface Sum {
  labels: Labels;
  open: Set<Account>;
  counters: Counters;
  connections: number;
  topics: number;
}

function sumOf({ type, name, endpoint, open, past }: Series): Sum {
  const counters = structuredClone(past);
  const sum = { labels: { type, name, endpoint }, open, counters, connections: 0, topics: 0 };
  for (const account of open) {
    const stats = account.stats();
    addCounters(counters, stats);
    sum.connections += stats.connections;
    sum.topics += stats.topics;
  }
  return sum;
}

type Counter = Exclude<keyof Counters, "handshakeFailures">;

/** Families with one sample per series. */
const plain: [Counter, name: string, help: string][] = [
  ["messagesSent", "messages_sent_total", "Messages accepted by send calls."],
  ["partsSent", "parts_sent_total", "Parts of messages accepted by send calls."],
  ["messagesReceived", "messages_received_total", "Messages taken by receive calls and iterators."],
  ["partsIn", "parts_in_total", "Parts of messages that have come from peers."],
  ["droppedEvents", "events_dropped_total", "Events that nobody had read in time."],
  ["connectionsMade", "connections_made_total", "Handshakes that were done."],
  ["connectionsEnded", "connections_ended_total", "Connections that ended after their handshake."],
  ["reconnects", "reconnect_attempts_total", "Attempts to connect again."],
  ["reconnectsMade", "reconnects_made_total", "Attempts to connect again that led to a connection."],
  ["heartbeatsFailed", "heartbeats_failed_total", "Connections that ended without a sign of life."],
  ["slowPeers", "slow_peers_total", "Connections that ended because the peer did not keep up."],
  ["connectionsRefused", "connections_refused_total", "Connections beyond a listener's limits."],
  ["handshakesDropped", "handshakes_dropped_total", "Silent handshakes that gave way to newer ones."],
  ["acceptsPaused", "accepts_paused_total", "Times that a listener stopped accepting."],
  ["limitsExceeded", "limits_exceeded_total", "Connections that ended because of a peer's excess."],
  ["memoryFailures", "memory_failures_total", "Connections that ended for want of memory."],
  ["peersRefused", "peers_refused_total", "Peers that were turned away after their handshake."],
  ["subscriptionsReceived", "subscriptions_received_total", "Subscriptions and cancels of peers."],
  ["subscriptionsRefused", "subscriptions_refused_total", "Subscriptions beyond a peer's limit."],
];

/** Families with a sample for each direction. */
const bothWays: [Counter, Counter, name: string, help: string][] = [
  ["messagesIn", "messagesOut", "peer_messages_total", "Messages that came from and went to peers."],
  ["bytesIn", "bytesOut", "peer_bytes_total", "Bytes on the wire, from and to peers."],
  ["commandsIn", "commandsOut", "peer_commands_total", "Commands on the wire, from and to peers."],
];

const drops: [Counter, reason: string][] = [
  ["droppedHighWaterMark", "high_water_mark"],
  ["droppedUnroutable", "unroutable"],
  ["droppedUnsubscribed", "unsubscribed"],
  ["droppedUnread", "unread"],
  ["droppedFiltered", "filtered"],
  ["droppedConflated", "conflated"],
  ["droppedDisconnect", "disconnect"],
  ["droppedNoPeer", "no_peer"],
  ["droppedMalformed", "malformed"],
  ["droppedStale", "stale"],
  ["droppedLinger", "linger"],
  ["droppedClosed", "closed"],
  ["droppedRefused", "refused"],
];

function counter(name: string, help: string): Family {
  return { name: `monocoque_${name}`, type: "counter", help };
}

function gauge(name: string, help: string): Family {
  return { name: `monocoque_${name}`, type: "gauge", help };
}

function writeCounters(page: Page, series: Sum[]): void {
  /** A series without a socket that has ended or is open does not exist, so all of them have all. */
  const value = (sum: Sum, key: Counter) => sum.counters[key] ?? 0;
  for (const [key, name, help] of plain) {
    page.add(counter(name, help), series.map((sum) => [sum.labels, value(sum, key)]));
  }
  for (const [from, to, name, help] of bothWays) {
    page.add(counter(name, help), series.flatMap((sum): Sample[] => [
      [{ ...sum.labels, direction: "in" }, value(sum, from)],
      [{ ...sum.labels, direction: "out" }, value(sum, to)],
    ]));
  }
  page.add(
    counter("messages_dropped_total", "Messages that were lost, by reason."),
    series.flatMap((sum) =>
      drops.map(([key, reason]): Sample => [{ ...sum.labels, reason }, value(sum, key)]),
    ),
  );
  page.add(
    counter("handshakes_failed_total", "Connections that ended in their handshake, by reason."),
    series.flatMap((sum) =>
      Object.entries(sum.counters.handshakeFailures).map(
        ([reason, count]): Sample => [{ ...sum.labels, reason }, count],
      ),
    ),
  );
}

const queueFamilies = [
  ["sendQueue", gauge("send_queue_messages", "Messages that wait to be sent.")],
  ["sendQueueBytes", gauge("send_queue_bytes", "Bytes of messages that wait to be sent.")],
  ["receiveQueue", gauge("receive_queue_messages", "Messages that wait to be received.")],
  ["receiveQueueBytes", gauge("receive_queue_bytes", "Bytes of messages that wait to be received.")],
] as const;

function writeGauges(page: Page, series: Sum[]): void {
  const sample = (read: (sum: Sum) => number) =>
    series.map((sum): Sample => [sum.labels, read(sum)]);
  page.add(gauge("sockets", "Sockets that are open or linger."), sample((it) => it.open.size));
  const connections = gauge("connections", "Connections whose handshake is done.");
  page.add(connections, sample((it) => it.connections));
  page.add(gauge("topics", "Different topics that are subscribed to."), sample((it) => it.topics));
  const queues = new Map(series.map((sum) => [sum, queuesOf(sum.open)]));
  for (const [key, family] of queueFamilies) page.add(family, sample((sum) => queues.get(sum)![key]));
}

function queuesOf(open: Set<Account>) {
  const sum = { sendQueue: 0, sendQueueBytes: 0, receiveQueue: 0, receiveQueueBytes: 0 };
  for (const account of open) {
    const { context, handle, shared } = account as SocketCore;
    const queues = readQueueStats(context, handle, shared);
    if (queues === undefined) continue;
    for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += queues[key];
  }
  return sum;
}

// -- peers --------------------------------------------------------------------------------------

const peerFamilies: [Family, (peer: PeerStats) => number | undefined][] = [
  [gauge("peer_connected", "1 while its handshake is done."), (it) => Number(it.connected)],
  [gauge("peer_send_queue_messages", "Messages that wait for it."), (it) => it.sendQueue],
  [gauge("peer_send_queue_bytes", "Bytes that wait for it."), (it) => it.sendQueueBytes],
  [gauge("peer_receive_queue_messages", "Messages of it that wait."), (it) => it.receiveQueue],
  [
    gauge("peer_round_trip_seconds", "What the answer to the last PING took."),
    ({ roundTripTime }) => roundTripTime === undefined ? undefined : roundTripTime / 1000,
  ],
  [
    gauge("peer_connected_seconds", "How long the connection has been there."),
    ({ connectedTime }) => connectedTime === undefined ? undefined : connectedTime / 1000,
  ],
];

function writePeers(page: Page, series: Sum[], most: number): void {
  const peers: [Labels, PeerStats][] = [];
  for (const { labels, open } of series) {
    for (const account of open) {
      if (peers.length >= most) break;
      for (const peer of account.peers().slice(0, most - peers.length)) {
        peers.push([{ ...labels, ...labelsOf(peer) }, peer]);
      }
    }
  }
  for (const [family, read] of peerFamilies) {
    page.add(family, peers.flatMap(([labels, peer]): Sample[] => {
      const value = read(peer);
      return value === undefined ? [] : [[labels, value]];
    }));
  }
  const ways = (inward: keyof PeerStats, outward: keyof PeerStats) =>
    peers.flatMap(([labels, peer]): Sample[] => [
      [{ ...labels, direction: "in" }, peer[inward] as number],
      [{ ...labels, direction: "out" }, peer[outward] as number],
    ]);
  const connection = "of each connection";
  const messages = counter("connection_messages_total", `Messages ${connection}.`);
  page.add(messages, ways("messagesIn", "messagesOut"));
  page.add(counter("connection_bytes_total", `Bytes ${connection}.`), ways("bytesIn", "bytesOut"));
}

/** Ids are bytes of any kind. */
function labelsOf({ connection, remoteAddress, routingId }: PeerStats): Labels {
  const id = typeof routingId === "number" ? String(routingId) : routingId?.toString("hex");
  return { connection: String(connection), remote: remoteAddress ?? "", routing_id: id ?? "" };
}

// -- the thread ---------------------------------------------------------------------------------

function writeThread(page: Page, stats: ThreadStats): void {
  const kinds = (values: Record<string, number>) =>
    Object.entries(values).map(([kind, value]): Sample => [{ kind }, value]);
  const one = (family: Family, value: number) => page.add(family, [[{}, value]]);
  page.add(gauge("memory_bytes", "Memory of queues and connections."), kinds({
    live: stats.memoryLiveBytes,
    mapped: stats.memoryMappedBytes,
    limit: stats.memoryLimitBytes,
  }));
  one(counter("memory_refused_total", "Requests for memory that failed."), stats.memoryRefused);
  page.add(gauge("arena_bytes", "The chunk that connections receive into."), kinds({
    size: stats.arenaBytes,
    used: stats.arenaUsedBytes,
  }));
  const spilled = counter("arena_spilled_bytes_total", "Bytes not taken out of it in time.");
  one(spilled, stats.arenaSpilledBytes);
  one(gauge("lent_buffers", "Buffers of large parts in use."), stats.lentBuffers);
  one(counter("wakeups_total", "Turns in which the kernel had work."), stats.wakeups);
  one(counter("turns_total", "Turns of the native side."), stats.turns);
  page.add(counter("system_calls_total", "System calls of the native side, by kind."), kinds({
    receive: stats.receiveCalls,
    send: stats.sendCalls,
    other: stats.systemCalls - stats.receiveCalls - stats.sendCalls,
  }));
  const late = counter("late_completions_total", "Answers of the kernel nobody waited for.");
  one(late, stats.lateCompletions);
  one(gauge("inproc_links", "inproc connections of the process."), stats.inprocLinks);
  one(gauge("inproc_bytes", "Bytes on their way inside the process."), stats.inprocBytes);
  const { name: backend, wake } = stats.backend;
  page.add(gauge("backend_info", "What carries the sockets; always 1."), [[{ backend, wake }, 1]]);
}
