//! The heartbeats of a connection: PINGs go out, PINGs are answered, and a peer that shows no sign
//! of life is taken for dead. Part of session.zig, in a file of its own for its length.
//!
//! A sign of life is progress in bytes: anything received, whether it ends a frame or not, and
//! anything that the kernel takes after it had taken nothing.
//!
//! Silence is not the peer's fault while *we* do not read. Then it is not judged, and since its
//! PINGs lie unread behind its messages, or cannot leave it at all, it gets PONGs unasked.
//!
//! Beats lie on multiples of the interval, for all connections of a machine: a thousand of them
//! are one wake-up.

const std = @import("std");
const assert = std.debug.assert;

const command = @import("../zmtp/command.zig");
const Outcome = @import("session.zig").Outcome;
const Reason = @import("monitor.zig").Reason;
const time = @import("../stdx/time.zig");

/// A peer that pings and does not read would fill our memory.
const pongs_queued_max = 64;
/// How often an unread peer is told that we live where its own interval is not known, and at least
/// where it is, ns.
const unasked_ns = 100 * time.ns_per_ms;
const unasked_ns_max = 250 * time.ns_per_ms;
/// PINGs that come faster were held up on their way: they tell nothing of the interval.
const interval_ns_min = 10 * time.ns_per_ms;

/// Moments are on the clock of the I/O, in nanoseconds; 0: never.
pub const Heartbeat = struct {
    /// The next PING goes out.
    ping_ns: u64 = 0,
    /// The peer is dead if it has made no progress since the PING.
    answer_ns: u64 = 0,
    /// The same after a PING of the peer, by the time to live in it.
    leave_ns: u64 = 0,
    /// While we do not read: we look whether there is something unread.
    look_ns: u64 = 0,
    /// The session's signs of life at our last PING and at the peer's.
    progress_at_ping: u32 = 0,
    progress_at_leave: u32 = 0,
    /// Context of our last PING, and when it was queued; 0: it has been answered.
    sequence: u32 = 0,
    asked_ns: u64 = 0,
    /// What the last answer took, microseconds; 0: not known.
    round_trip_us: u32 = 0,
    /// The peer has sent a PING.
    peer_pings: bool = false,
    /// The last one, if it came while we read; and the time between two of them.
    peer_ping_ns: u64 = 0,
    peer_interval_ns: u64 = 0,
    peer_ttl: u16 = 0,
    /// Waiting in the send queue.
    ping_queued: bool = false,
    pongs_queued: u8 = 0,

    pub fn nearest_ns(heartbeat: *const Heartbeat) ?u64 {
        var nearest: u64 = std.math.maxInt(u64);
        inline for (.{ "ping_ns", "answer_ns", "leave_ns", "look_ns" }) |name| {
            const moment = @field(heartbeat, name);
            if (moment != 0) nearest = @min(nearest, moment);
        }
        return if (nearest == std.math.maxInt(u64)) null else nearest;
    }

    /// Nothing is left in the send queue.
    pub fn sent(heartbeat: *Heartbeat) void {
        heartbeat.ping_queued = false;
        heartbeat.pongs_queued = 0;
    }
};

fn due(moment_ns: u64, now_ns: u64) bool {
    return moment_ns != 0 and moment_ns <= now_ns;
}

/// The first multiple of `step_ns` behind a moment.
fn beat_after(moment_ns: u64, step_ns: u64) u64 {
    return (moment_ns / step_ns + 1) * step_ns;
}

fn interval_ns(session: anytype) u64 {
    return @as(u64, session.options.heartbeat_interval_ms) * time.ns_per_ms;
}

/// 0: silence is never judged.
fn timeout_ns(session: anytype) u64 {
    const ms = session.options.heartbeat_timeout_ms;
    if (ms < 0) return interval_ns(session);
    return @as(u64, @intCast(ms)) * time.ns_per_ms;
}

fn ttl_ns(ttl: u16) u64 {
    return @as(u64, ttl) * 100 * time.ns_per_ms;
}

/// A network connection is up: the first PING goes out after half an interval to one and a half.
pub fn start(session: anytype) void {
    // What came right behind its handshake may have ended it.
    if (session.state != .active) return;
    if (session.link != null or !session.socket_type.has_handshake()) return;
    const interval = interval_ns(session);
    if (interval == 0) return;
    // Asked for and not to be had: it would be a peer that may hang for ever.
    const it = begin(session) catch return session.pipe.doom(.out_of_memory);
    it.ping_ns = beat_after(session.io.now_ns() + interval / 2, interval);
}

fn begin(session: anytype) error{OutOfMemory}!*Heartbeat {
    if (session.heartbeat) |it| return it;
    const it = try session.resources.slabs.create(Heartbeat);
    it.* = .{};
    session.heartbeat = it;
    return it;
}

/// What is due is done.
pub fn on_timer(session: anytype, now_ns: u64) Outcome {
    assert(session.state == .active);
    const it = session.heartbeat orelse return .{};
    if (due(it.answer_ns, now_ns)) {
        it.answer_ns = 0;
        if (session.progress == it.progress_at_ping) {
            if (!excused(session)) return session.disconnect(.heartbeat_timeout);
            const timeout = timeout_ns(session);
            if (timeout > 0) it.answer_ns = now_ns + timeout;
        }
    }
    if (due(it.leave_ns, now_ns)) {
        it.leave_ns = 0;
        if (session.progress == it.progress_at_leave) {
            if (!excused(session)) return session.disconnect(.heartbeat_timeout);
            it.leave_ns = now_ns + ttl_ns(it.peer_ttl);
        }
    }
    if (due(it.look_ns, now_ns)) {
        it.look_ns = 0;
        // Tells at once if there is something: `left_unread`.
        if (session.paused()) {
            session.watch_readable() catch return session.disconnect(.out_of_memory);
        }
    }
    if (due(it.ping_ns, now_ns)) ping(session, now_ns);
    return .{ .deadline = true };
}

/// Whether silence may have another cause than a peer that is dead.
fn excused(session: anytype) bool {
    // What it has sent is not read, or will be in this turn.
    if (session.paused() or session.readable) return true;
    if (session.large) |*large| if (large.buffer.len == 0) return true;
    // It does not read: then it does not see our PING, either. Its kernel has to answer.
    return session.watching_writable and session.io.peer_answers(session.fd);
}

fn ping(session: anytype, now_ns: u64) void {
    const it = session.heartbeat.?;
    const interval = interval_ns(session);
    // Switched off meanwhile, or we have said that nothing follows.
    if (interval == 0 or session.shut) {
        it.ping_ns = 0;
        return;
    }
    it.ping_ns = beat_after(now_ns, interval);
    // The one before has not left yet, or half a message would be parted: at the next beat.
    if (!it.ping_queued and session.pipe.send.writing) return;
    if (!it.ping_queued) {
        const ttl = @min(session.options.heartbeat_ttl_ms / 100, command.ping_ttl_max);
        it.sequence +%= 1;
        var buffer: [command.ping_frame_size_max]u8 = undefined;
        const context = std.mem.asBytes(&it.sequence);
        const frame = command.encode_ping(&buffer, @intCast(ttl), context);
        // A heartbeat is not worth the connection.
        session.pipe.write_command(frame) catch return;
        it.ping_queued = true;
        it.asked_ns = now_ns;
    }
    const timeout = timeout_ns(session);
    if (timeout == 0) return;
    // Who has not answered the one before gets no more time by this one.
    if (it.answer_ns != 0 and session.progress == it.progress_at_ping) return;
    it.progress_at_ping = session.progress;
    it.answer_ns = now_ns + timeout;
}

/// A PING came; it is answered.
pub fn pinged(session: anytype, answer: []const u8, ttl: u16, outcome: *Outcome) ?Reason {
    const it = begin(session) catch return .out_of_memory;
    session.resources.beats +%= 1;
    const now_ns = session.io.now_ns();
    note_interval(it, now_ns);
    it.peer_ping_ns = now_ns;
    it.peer_pings = true;
    it.peer_ttl = ttl;
    it.leave_ns = 0;
    if (ttl > 0 and session.link == null) {
        it.progress_at_leave = session.progress;
        // On a grid as fine as the TTL itself: many peers are one wake-up.
        it.leave_ns = beat_after(now_ns + ttl_ns(ttl) - 1, ttl_ns(1));
        outcome.deadline = true;
    }
    return pong(session, answer);
}

/// A mean, since one that was held up looks late and the next one early.
fn note_interval(it: *Heartbeat, now_ns: u64) void {
    const interval = now_ns -| it.peer_ping_ns;
    if (it.peer_ping_ns == 0 or interval < interval_ns_min) return;
    const before = it.peer_interval_ns;
    it.peer_interval_ns = if (before == 0) interval else before - before / 4 + interval / 4;
}

fn pong(session: anytype, answer: []const u8) ?Reason {
    const it = session.heartbeat.?;
    if (session.shut or it.pongs_queued == pongs_queued_max) return null;
    // No place for it between the parts of a message: the peer will ask again.
    if (session.pipe.send.writing) return null;
    it.pongs_queued += 1;
    session.pipe.write_command(answer) catch return .out_of_memory;
    return null;
}

/// What a peer that beats sends to a closed descriptor makes the kernel reset the connection, with
/// all that the peer has not taken yet (TCP). So it is told that nothing follows, and gets the time
/// to read up to there.
pub fn closes_gently(session: anytype) bool {
    if (session.fd < 0 or session.state != .active) return false;
    if (session.peer.address().family() == .unix) return false;
    const it = session.heartbeat orelse return false;
    return it.peer_pings or it.ping_ns != 0;
}

/// A PONG came: how long was it on its way? Only the last PING counts, and it once.
pub fn answered(session: anytype, context: []const u8) void {
    session.resources.beats +%= 1;
    const it = session.heartbeat orelse return;
    if (it.asked_ns == 0 or !std.mem.eql(u8, context, std.mem.asBytes(&it.sequence))) return;
    const round_trip_us = (session.io.now_ns() -| it.asked_ns) / time.ns_per_us;
    it.round_trip_us = @intCast(std.math.clamp(round_trip_us, 1, std.math.maxInt(u32)));
    it.asked_ns = 0;
}

/// The pipe is full: the connection is not read for a while.
pub fn paused(session: anytype, outcome: *Outcome) void {
    const it = session.heartbeat orelse return;
    // When the next PING is read tells nothing of when it came.
    it.peer_ping_ns = 0;
    if (it.look_ns != 0 or session.link != null) return;
    // Nobody else waits for one; and one that meets a peer that has closed makes its kernel drop
    // what it still had for us.
    if (!it.peer_pings) return;
    it.look_ns = beat_after(session.io.now_ns(), look_step_ns(it));
    outcome.deadline = true;
}

fn look_step_ns(it: *const Heartbeat) u64 {
    if (it.peer_interval_ns == 0) return unasked_ns;
    return std.math.clamp(it.peer_interval_ns / 2, interval_ns_min / 2, unasked_ns_max);
}

/// Bytes lie in the kernel that we do not read now, a PING may be among them.
pub fn left_unread(session: anytype) Outcome {
    var outcome: Outcome = .{};
    const it = session.heartbeat orelse return outcome;
    // Nobody waits for an answer any more.
    if (session.end_behind or it.look_ns != 0) return outcome;
    paused(session, &outcome);
    if (it.look_ns == 0) return outcome;
    var buffer: [command.pong_frame_size_max]u8 = undefined;
    if (pong(session, command.encode_pong(&buffer, ""))) |reason| {
        return session.disconnect(reason);
    }
    return outcome;
}
