// The counters of a socket.

import { SharedRecord, SocketRecord } from "./ffi/abi.generated.ts";
import { readCounters } from "./ffi/records.ts";

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
}

/** Reads them out of the memory that is shared with the native socket, or out of a copy of it. */
export function readStats(shared: DataView): SocketStats {
  const counters = readCounters(shared, SocketRecord, SharedRecord.record.offset);
  delete counters.events_waiting;
  const named = Object.entries(counters).map(([name, value]) => [camelCase(name), value]);
  return Object.fromEntries(named) as unknown as SocketStats;
}

/** Zig's names of fields as TypeScript's. */
function camelCase(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
