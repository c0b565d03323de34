// The counters of a socket, and what is known of its peers.

import type { NativeContext } from "./context.ts";
import {
  PEERS_BATCH,
  Reason,
  SharedRecord,
  SocketRecord,
  TotalsRecord,
  TrafficRecord,
} from "./ffi/abi.generated.ts";
import { messagesInRing, readCounters, readPeers, readQueues } from "./ffi/records.ts";
import { typeNumbers } from "./type_numbers.ts";

/**
 * What a socket has moved and lost, and why. Counters only grow, from its making on; `connections`
 * and `topics` tell of now. Messages are whole ones, bytes are those on the wire: with frame
 * headers, commands and handshakes.
 *
 * Nothing is lost without being counted. What a socket sends to one peer or to nobody:
 * `messagesSent` = `messagesOut` + the queues of `peers()` + `droppedUnroutable` +
 * `droppedUnsubscribed` + `droppedHighWaterMark` + `droppedConflated` + `droppedDisconnect` +
 * `droppedNoPeer` + `droppedLinger`. Of what is published each receiver counts in the last seven.
 * What it receives: `messagesIn` = `messagesReceived` + what waits + `droppedFiltered` +
 * `droppedConflated` + `droppedMalformed` + `droppedStale` + `droppedRefused` + `droppedClosed`, and
 * `droppedDisconnect` for messages that were cut off while they were handed out.
 */
export interface SocketStats {
  /** Accepted by send calls. */
  messagesSent: number;
  /** Parts of these, routing ids and groups included. */
  partsSent: number;
  /** Taken by receive calls and iterators. */
  messagesReceived: number;
  /** Come from peers; those that the socket makes itself (`disconnectMessage`, …), too. */
  messagesIn: number;
  /** Taken by the kernel, or inside the process by the peer; a hello or welcome message, too. */
  messagesOut: number;
  /** Bytes that have come from peers. */
  bytesIn: number;
  /** Bytes taken by the kernel, or inside the process by the peer. */
  bytesOut: number;
  /** Parts of the messages that have come, also of unfinished ones. */
  partsIn: number;
  /** PING, PONG, subscriptions and cancels, come from peers. */
  commandsIn: number;
  /** The same, for peers. */
  commandsOut: number;
  /** For peers whose queue was full; a published message counts once for each of them. */
  droppedHighWaterMark: number;
  /** For a routing id that nobody has. */
  droppedUnroutable: number;
  /** Published when nobody had subscribed to it; by an XSubscriber, when no publisher was there. */
  droppedUnsubscribed: number;
  /** What an XPublisher's reader was too slow for: subscriptions, cancels, messages. */
  droppedUnread: number;
  /** Received without a subscription, any more or yet. */
  droppedFiltered: number;
  /** Replaced by a newer one (`conflate`). */
  droppedConflated: number;
  /** Lost with the connection that they were on. */
  droppedDisconnect: number;
  /** Replies whose requester has gone or takes no more. */
  droppedNoPeer: number;
  /** Received without the frames that their pattern needs. */
  droppedMalformed: number;
  /** Replies to a request that is no longer waiting. */
  droppedStale: number;
  /** Not sent before linger ended. */
  droppedLinger: number;
  /** Received, and not taken before `close()`, or before `disconnect()` of their endpoint. */
  droppedClosed: number;
  /** Of peers that were turned away. */
  droppedRefused: number;
  /** Events that nobody had read in time. */
  droppedEvents: number;
  /** Subscriptions and cancels of peers, joins and leaves; the refused ones, too. */
  subscriptionsReceived: number;
  /** Subscriptions of peers that had as many as one may have (`subscriptionsMax`). */
  subscriptionsRefused: number;
  /** Handshakes that were done. */
  connectionsMade: number;
  /** Connections that have ended after it, for whatever reason. */
  connectionsEnded: number;
  /** Connections whose handshake is done, now. */
  connections: number;
  /** Attempts to connect after one that failed, or after a connection that ended. */
  reconnects: number;
  /** Those that led to a connection. */
  reconnectsMade: number;
  /** Connections that ended in their handshake. */
  handshakesFailed: number;
  /** The same by the reason that events name, such as `socket_type_mismatch`; only those there were. */
  handshakeFailures: Record<string, number>;
  /** Different topics: those that peers want of a publisher, or that a subscriber wants, now. */
  topics: number;
  /** Peers that were turned away: a routing id twice, a second peer of a Pair. */
  peersRefused: number;
  /** Connections that ended because the peer showed no sign of life. */
  heartbeatsFailed: number;
  /** Connections that ended because the peer did not keep up with what was sent to it. */
  slowPeers: number;
  /** Connections closed as soon as they were accepted: too many in one moment, or no memory. */
  connectionsRefused: number;
  /** Silent handshakes that gave way to newer ones (`handshakesMax`, or no descriptor was left). */
  handshakesDropped: number;
  /** How often a listener stopped accepting: `connectionsMax` was reached, or descriptors ran out. */
  acceptsPaused: number;
  /**
   * Connections that ended because the peer sent too much: `maxMessageSize`, `messageBytesMax`,
   * `messagePartsMax`, or a command that is too long.
   */
  limitsExceeded: number;
  /** Connections that ended for want of memory (`context.memoryLimit`). */
  memoryFailures: number;
}

/** One connection of a socket, or one that is being made. */
export interface PeerStats {
  /** As events name it. */
  connection: number;
  /** The endpoint that it belongs to: as bound, or as given to connect. */
  address: string;
  /** The peer's own, such as `tcp://10.0.0.7:41234`; undefined: it has none, or not yet. */
  remoteAddress: string | undefined;
  /** What the socket calls the peer, or it itself; a number with Server and Peer. */
  routingId: Buffer | number | undefined;
  /** The class that it is an instance of, such as "Dealer"; undefined: it has not told. */
  socketType: string | undefined;
  /** Who it is, as `authenticate` or a ZAP handler has said. */
  userId: string | undefined;
  /** Whether its handshake is done. */
  connected: boolean;
  /** Milliseconds since the handshake; undefined while there is no connection. */
  connectedTime: number | undefined;
  /** Messages that wait to be sent, and their bytes. */
  sendQueue: number;
  sendQueueBytes: number;
  /** Messages that wait to be taken, without those that a receive has at hand already. */
  receiveQueue: number;
  receiveQueueBytes: number;
  /** As in {@link SocketStats}, since the peer's first handshake, over all connections of a connect. */
  messagesIn: number;
  messagesOut: number;
  bytesIn: number;
  bytesOut: number;
  /** Milliseconds that the answer to the last PING took; undefined: none yet, or no heartbeats. */
  roundTripTime: number | undefined;
}

const record = SharedRecord.record.offset;

/** Reads them out of the memory that is shared with the native socket, or out of a copy of it. */
export function readStats(shared: DataView): SocketStats {
  const counters = readCounters(shared, SocketRecord, record);
  const totals = record + SocketRecord.totals.offset;
  Object.assign(counters, readCounters(shared, TotalsRecord, totals));
  Object.assign(counters, readCounters(shared, TrafficRecord, totals + TotalsRecord.traffic.offset));
  const { events_waiting: _, failure: __, parts_begun, ...told } = counters as NativeCounters;
  const named = Object.entries(told).map(([name, value]) => [camelCase(name), value]);
  return {
    ...(Object.fromEntries(named) as Omit<SocketStats, Computed>),
    messagesReceived: told.messages_received - messagesInRing(shared),
    partsSent: told.messages_sent + parts_begun,
    connectionsEnded: told.connections_made - told.connections,
    handshakeFailures: readFailures(shared),
  };
}

type Computed = "messagesReceived" | "partsSent" | "connectionsEnded" | "handshakeFailures";

type NativeCounters = Record<
  | "events_waiting" | "failure" | "parts_begun" | "messages_sent" | "messages_received"
  | "connections" | "connections_made",
  number
>;

const reasons = Object.entries(Reason);

function readFailures(shared: DataView): Record<string, number> {
  const first = record + SocketRecord.handshake_failures.offset;
  const failures: Record<string, number> = {};
  for (const [name, value] of reasons) {
    const count = shared.getUint32(first + value * 4, true);
    if (count > 0) failures[name] = count;
  }
  return failures;
}

/** Why the last connection of a socket has ended for good, by its name. */
export function readFailure(shared: DataView): string {
  const at = record + SocketRecord.failure.offset;
  const reason = shared.getUint32(at, true);
  return reasons.find(([, value]) => value === reason)?.[0] ?? String(reason);
}

const DROPPED_EVENTS = record + SocketRecord.dropped_events.offset;

/**
 * Brings a copy up to date with the record at `offset` of other memory. Events are counted in the
 * copy as well, after the socket is closed.
 */
export function copyRecord(from: DataView, offset: number, copy: DataView): void {
  const dropped = copy.getBigUint64(DROPPED_EVENTS, true);
  const bytes = new Uint8Array(from.buffer, from.byteOffset + offset, SocketRecord.bytes);
  new Uint8Array(copy.buffer, copy.byteOffset + record, SocketRecord.bytes).set(bytes);
  if (dropped > copy.getBigUint64(DROPPED_EVENTS, true)) {
    copy.setBigUint64(DROPPED_EVENTS, dropped, true);
  }
}

const typeNames = new Map<number, string>(
  Object.entries(typeNumbers).map(([name, number]) => [number, name]),
);

/** Who a socket is connected to, or tries to. */
export function listPeers(
  context: NativeContext,
  socket: number,
  address: (endpoint: number) => string,
  userId: (connection: number) => string | undefined,
): PeerStats[] {
  const peers: PeerStats[] = [];
  for (;;) {
    const left = context.native.socket_peers(socket, peers.length) - peers.length;
    if (left <= 0) return peers;
    for (const peer of readPeers(context.record, Math.min(left, PEERS_BATCH))) {
      const connected = peer.connected === 1;
      const id = peer.number === 0 ? peer.routingId : peer.number;
      peers.push({
        connection: peer.connection,
        address: address(peer.endpoint),
        remoteAddress: peer.remote === "" ? undefined : peer.remote,
        routingId: typeof id === "object" && id.length === 0 ? undefined : id,
        socketType: typeNames.get(peer.socketType),
        userId: userId(peer.connection),
        connected,
        connectedTime: connected ? peer.connected_ms : undefined,
        sendQueue: peer.send_messages,
        sendQueueBytes: peer.send_bytes,
        receiveQueue: peer.receive_messages,
        receiveQueueBytes: peer.receive_bytes,
        messagesIn: peer.messages_in,
        messagesOut: peer.messages_out,
        bytesIn: peer.bytes_in,
        bytesOut: peer.bytes_out,
        roundTripTime: peer.round_trip_us === 0 ? undefined : peer.round_trip_us / 1000,
      });
    }
  }
}

/** What waits in all queues of a socket; messages, and bytes of those that no receive has at hand. */
export interface QueueStats {
  sendQueue: number;
  sendQueueBytes: number;
  receiveQueue: number;
  receiveQueueBytes: number;
}

/** Undefined: the native socket is not ours any more. */
export function readQueueStats(
  context: NativeContext,
  socket: number,
  shared: DataView,
): QueueStats | undefined {
  if (context.native.socket_queues(socket) < 0) return undefined;
  const queues = readQueues(context.record);
  return {
    sendQueue: queues.send_messages!,
    sendQueueBytes: queues.send_bytes!,
    receiveQueue: queues.receive_messages! + messagesInRing(shared),
    receiveQueueBytes: queues.receive_bytes!,
  };
}

/** Zig's names of fields as TypeScript's. */
export function camelCase(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
