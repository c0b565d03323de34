// The counters of a socket.

import type { NativeContext } from "./context.ts";
import { PEERS_BATCH, Reason, SharedRecord, SocketRecord } from "./ffi/abi.generated.ts";
import { readCounters, readPeers } from "./ffi/records.ts";

/** How many messages a socket has moved and lost, and why; the numbers only grow. */
export interface SocketStats {
  /** Queued by send calls. */
  messagesSent: number;
  /** Handed out, or ready to be. */
  messagesReceived: number;
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
  /** Connections that ended in their handshake. */
  handshakesFailed: number;
  /** Subscriptions of peers that had as many as one may have (`subscriptionsMax`). */
  subscriptionsRefused: number;
  /** Connections whose handshake is done, now. */
  connections: number;
  /** Different topics: those that peers want of a publisher, or that a subscriber wants, now. */
  topics: number;
  /** Peers that were turned away: a routing id twice, a second peer of a Pair. */
  peersRefused: number;
  /** Connections that ended because the peer showed no sign of life. */
  heartbeatsFailed: number;
}

/** One connection of a socket, or one that is being made. */
export interface PeerStats {
  /** As events name it. */
  connection: number;
  /** The endpoint that it belongs to: as bound, or as given to connect. */
  address: string;
  /** Whether its handshake is done. */
  connected: boolean;
  /** Messages that wait to be sent, and their bytes. */
  sendQueue: number;
  sendQueueBytes: number;
  /** Messages that wait to be taken, without those that a receive has at hand already. */
  receiveQueue: number;
  /** Milliseconds that the answer to the last PING took; undefined: none yet, or no heartbeats. */
  roundTripTime: number | undefined;
}

/** Reads them out of the memory that is shared with the native socket, or out of a copy of it. */
export function readStats(shared: DataView): SocketStats {
  const counters = readCounters(shared, SocketRecord, SharedRecord.record.offset);
  delete counters.events_waiting;
  delete counters.failure;
  const named = Object.entries(counters).map(([name, value]) => [camelCase(name), value]);
  return Object.fromEntries(named) as unknown as SocketStats;
}

/** Why the last connection of a socket has ended for good, by its name. */
export function readFailure(shared: DataView): string {
  const at = SharedRecord.record.offset + SocketRecord.failure.offset;
  const reason = shared.getUint32(at, true);
  return Object.entries(Reason).find(([, value]) => value === reason)?.[0] ?? String(reason);
}

/** Who a socket is connected to, or tries to. */
export function listPeers(
  context: NativeContext,
  socket: number,
  address: (endpoint: number) => string,
): PeerStats[] {
  const peers: PeerStats[] = [];
  for (;;) {
    const left = context.native.socket_peers(socket, peers.length) - peers.length;
    if (left <= 0) return peers;
    for (const peer of readPeers(context.record, Math.min(left, PEERS_BATCH))) {
      peers.push({
        connection: peer.connection,
        address: address(peer.endpoint),
        connected: peer.connected === 1,
        sendQueue: peer.send_messages,
        sendQueueBytes: peer.send_bytes,
        receiveQueue: peer.receive_messages,
        roundTripTime: peer.round_trip_us === 0 ? undefined : peer.round_trip_us / 1000,
      });
    }
  }
}

/** Zig's names of fields as TypeScript's. */
function camelCase(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
