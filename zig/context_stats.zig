//! What a context knows of itself, its sockets and their peers. Part of context.zig, in a file of
//! its own for its length. Counters of a socket are in its record, which the owner reads itself.

const std = @import("std");

const Address = @import("io/address.zig").Address;
const inproc = @import("net/inproc.zig");
const shared_blocks = @import("stdx/shared_blocks.zig");
const Reason = @import("core/monitor.zig").Reason;
const statistics = @import("core/statistics.zig");
const time = @import("stdx/time.zig");

/// Of one thread.
pub const Stats = extern struct {
    system_calls: u64 = 0,
    receives: u64 = 0,
    sends: u64 = 0,
    wakeups: u64 = 0,
    ticks: u64 = 0,
    late_completions: u64 = 0,
    spilled_bytes: u64 = 0,
    memory_mapped_bytes: u64 = 0,
    memory_limit_bytes: u64 = 0,
    memory_live_bytes: u64 = 0,
    memory_live_blocks: u64 = 0,
    memory_allocations: u64 = 0,
    memory_system_calls: u64 = 0,
    memory_refused: u64 = 0,
    /// The chunk that connections receive into, and what of it is in use.
    arena_bytes: u64 = 0,
    arena_used_bytes: u64 = 0,
    /// Events that the readers of sockets, also of closed ones, were too slow for.
    events_dropped: u64 = 0,
    /// Connections and connects of the whole process that are inproc, and their messages, bytes.
    inproc_links: u64 = 0,
    inproc_bytes: u64 = 0,
    sockets: u32 = 0,
    sessions: u32 = 0,
    listeners: u32 = 0,
    timers: u32 = 0,
    /// Whose handshake is done.
    connections: u32 = 0,
    /// That nobody could be told of within the memory limit: their owner keeps them.
    buffers_lost: u32 = 0,
};

pub fn read_stats(context: anytype, ticks: u64) Stats {
    const counters = &context.io.counters;
    const resources = &context.resources;
    const slabs = &resources.slabs;
    var stats: Stats = .{
        .system_calls = counters.system_calls,
        .receives = counters.receives,
        .sends = counters.sends,
        .wakeups = counters.wakeups,
        .ticks = ticks,
        .late_completions = context.late_completions,
        .spilled_bytes = resources.arena.spilled_bytes,
        .memory_mapped_bytes = slabs.system_bytes,
        .memory_limit_bytes = slabs.budget_bytes,
        .memory_live_bytes = slabs.live_bytes,
        .memory_live_blocks = slabs.live_blocks,
        .memory_allocations = slabs.allocations_total,
        .memory_system_calls = slabs.system_calls_total,
        .memory_refused = slabs.budget_refused + slabs.system_refused,
        .arena_bytes = resources.arena.chunk.len,
        .arena_used_bytes = resources.arena.used,
        .events_dropped = context.events_dropped,
        .inproc_links = inproc.live(),
        .inproc_bytes = shared_blocks.live(),
        .sockets = context.slots.count(),
        .sessions = context.session_table.count(),
        .listeners = context.listener_table.count(),
        // Without the one that gives memory back: it is about nobody.
        .timers = @intCast(context.timers.count - @intFromBool(context.trimming.node.armed())),
        .buffers_lost = resources.abandoned.lost,
    };
    var slots = context.slots.iterator();
    while (slots.next()) |entry| {
        const record = entry.value.socket.record;
        stats.connections += record.connections;
        stats.events_dropped += record.dropped_events;
    }
    return stats;
}

/// A handshake was done.
pub fn count_made(context: anytype, slot: anytype, session: anytype) void {
    const record = slot.socket.record;
    record.connections += 1;
    record.failure = 0;
    // It was counted where the socket has been before.
    if (slot.socket.quiet and session.pipe.peer_traffic != null) return;
    session.pipe.count_established(context.io.now_ns(), session.tail_bytes);
    record.connections_made += 1;
    if (session.again) record.reconnects_made += 1;
    session.again = false;
}

/// Connections of one endpoint, or of all (0), whose handshake is done. Null: there is no
/// such endpoint any more. One that was accepted is there until its last message is read.
pub fn connections(context: anytype, slot: anytype, endpoint: u32) ?u32 {
    if (endpoint == 0) return slot.socket.record.connections;
    const known = if (context.session_table.get(endpoint)) |session|
        session.state != .ended or session.kind == .accepted
    else
        context.listener_table.get(endpoint) != null;
    if (!known) return null;
    var count: u32 = 0;
    var next = slot.sessions.first();
    while (next) |session| : (next = slot.sessions.next(session)) {
        if (session.endpoint == endpoint and session.state == .active) count += 1;
    }
    return count;
}

/// Messages of all peers, also of those let go, that have not been handed to the kernel, or to the
/// peer inside the process.
pub fn unsent(_: anytype, slot: anytype) u32 {
    var count: u32 = 0;
    var next = slot.sessions.first();
    while (next) |session| : (next = slot.sessions.next(session)) {
        count +|= session.pipe.send.messages;
    }
    return count;
}

/// A connection ended in its handshake.
pub fn count_failed(slot: anytype, reason: Reason) void {
    const record = slot.socket.record;
    record.handshakes_failed += 1;
    statistics.count_failure(&record.handshake_failures, reason);
}

/// What waits in the queues of all peers of a socket.
pub const Queues = extern struct {
    send_messages: u64 = 0,
    send_bytes: u64 = 0,
    receive_messages: u64 = 0,
    receive_bytes: u64 = 0,
};

pub fn queues(_: anytype, slot: anytype) Queues {
    var sum: Queues = .{};
    var next = slot.sessions.first();
    while (next) |session| : (next = slot.sessions.next(session)) {
        const pipe = &session.pipe;
        sum.send_messages += pipe.send.messages;
        sum.send_bytes += pipe.send.bytes;
        sum.receive_messages += pipe.receive.messages;
        sum.receive_bytes += pipe.receive.unread_bytes();
    }
    return sum;
}

/// What is known of one connection, or of one that is being made.
pub const PeerStats = extern struct {
    /// As events name it.
    connection: u32 = 0,
    /// The listener or the connecting session that it belongs to.
    endpoint: u32 = 0,
    /// 1: a handshake was done and the connection is there.
    connected: u32 = 0,
    /// What the answer to the last PING took, microseconds; 0: there was none.
    round_trip_us: u32 = 0,
    /// Messages in its queues.
    send_messages: u32 = 0,
    receive_messages: u32 = 0,
    /// Bytes that the kernel has not taken, and that the owner has not.
    send_bytes: u64 = 0,
    receive_bytes: u64 = 0,
    traffic: statistics.Traffic = .{},
    /// Since its handshake.
    connected_ms: u64 = 0,
    /// What a SERVER or a PEER calls it; 0: nothing.
    number: u32 = 0,
    /// Its socket type; -1: it did not tell.
    socket_type: i32 = -1,
    routing_id_bytes: u32 = 0,
    text_bytes: u32 = 0,
    /// What its socket calls it, or it itself.
    routing_id: [256]u8 = @splat(0),
    /// Its address as an endpoint string.
    text: [Address.text_size_max]u8 = @splat(0),
};

/// Fills `into` with the connections and connects behind the first `skipped`; returns how many
/// there are.
pub fn peers(context: anytype, slot: anytype, skipped: u32, into: []PeerStats) u32 {
    const now_ns = context.io.now_ns();
    var index: u32 = 0;
    var next = slot.sessions.first();
    while (next) |session| : (next = slot.sessions.next(session)) {
        if (session.closing or session.state == .ended) continue;
        defer index += 1;
        if (index < skipped or index - skipped >= into.len) continue;
        describe(slot, session, now_ns, &into[index - skipped]);
    }
    return index;
}

fn describe(slot: anytype, session: anytype, now_ns: u64, into: *PeerStats) void {
    const pipe = &session.pipe;
    const connected = session.state == .active;
    into.* = .{
        .connection = session.handle,
        .endpoint = session.endpoint,
        .connected = @intFromBool(connected),
        .round_trip_us = if (session.heartbeat) |it| it.round_trip_us else 0,
        .send_messages = pipe.send.messages,
        .receive_messages = pipe.receive.messages,
        .send_bytes = pipe.send.bytes,
        .receive_bytes = pipe.receive.unread_bytes(),
        .number = if (slot.socket.pattern == .server) pipe.number else 0,
        .socket_type = if (pipe.peer_type) |it| @intFromEnum(it) else -1,
    };
    if (pipe.peer_traffic) |it| {
        into.traffic = it.traffic;
        if (connected) into.connected_ms = (now_ns -| it.established_ns) / time.ns_per_ms;
    }
    const id = if (pipe.local_id.len > 0) pipe.local_id else pipe.identity;
    // A caller of connect may have given it a longer name than a peer can have.
    const id_bytes = @min(id.len, into.routing_id.len);
    @memcpy(into.routing_id[0..id_bytes], id[0..id_bytes]);
    into.routing_id_bytes = @intCast(id_bytes);
    into.text_bytes = @intCast(session.peer_address().format_endpoint(&into.text).len);
}
