// The numbers of a thread's native context, as the native side names them and as users know them.

import { ContextRecord, ContextStatsRecord } from "./ffi/abi.generated.ts";
import { readCounters } from "./ffi/records.ts";
import type { ThreadStats } from "./socket_context.ts";

/** Counters of the native side since the context was made. */
export type NativeStats = Record<Exclude<keyof typeof ContextStatsRecord, "bytes">, number>;

/** What `context_stats` leaves in the context's record. */
export function readNativeStats(record: DataView): NativeStats {
  return readCounters(record, ContextStatsRecord, ContextRecord.stats.offset) as NativeStats;
}

export function threadStats(native: NativeStats, lentBuffers: number): Omit<ThreadStats, "backend"> {
  return {
    sockets: native.sockets,
    listeners: native.listeners,
    sessions: native.sessions,
    connections: native.connections,
    timers: native.timers,
    memoryLiveBytes: native.memory_live_bytes,
    memoryMappedBytes: native.memory_mapped_bytes,
    memoryLimitBytes: native.memory_limit_bytes,
    memoryBlocks: native.memory_live_blocks,
    memoryRefused: native.memory_refused,
    arenaBytes: native.arena_bytes,
    arenaUsedBytes: native.arena_used_bytes,
    arenaSpilledBytes: native.spilled_bytes,
    lentBuffers,
    wakeups: native.wakeups,
    turns: native.ticks,
    systemCalls: native.system_calls,
    receiveCalls: native.receives,
    sendCalls: native.sends,
    droppedEvents: native.events_dropped,
    lateCompletions: native.late_completions,
    inprocLinks: native.inproc_links,
    inprocBytes: native.inproc_bytes,
  };
}
