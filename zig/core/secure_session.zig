//! What a session does for the security of its connection: it gives the handshake its keys, waits
//! for its owner's verdict, and encrypts and decrypts the traffic. Part of session.zig, in a file
//! of its own for its length.
//!
//!     queue ─▶ seal ─▶ kernel          kernel ─▶ arena ─▶ open, in place ─▶ engine ─▶ queue
//!
//! Messages wait in clear in their queue, since they outlive the connection and its keys.

const std = @import("std");
const assert = std.debug.assert;

const curve = @import("../zmtp/curve.zig");
const frame = @import("../zmtp/frame.zig");
const handshakes = @import("../zmtp/handshake.zig");
pub const Mechanism = handshakes.Mechanism;
pub const Verdict = handshakes.Verdict;
const Outcome = @import("session.zig").Outcome;
const Reason = @import("monitor.zig").Reason;
const Secure = @import("secure.zig").Secure;
pub const Security = @import("../zmtp/security.zig").Security;
const sodium = @import("../crypto/sodium.zig");

/// A context's own: what its handshakes share.
pub const State = struct {
    random: curve.Random = .{},
    /// Made for the first server of CURVE.
    cookies: ?*curve.Cookies = null,
    /// Handshakes with security that ever began.
    handshakes: u64 = 0,
    /// What the peer that refused us last gave as its reason, as a status of ZAP; 0: something
    /// else.
    refusal_status: u32 = 0,
    /// For the time of one box.
    stream: sodium.Series.Scratch = undefined,

    pub fn deinit(state: *State) void {
        if (state.cookies) |cookies| cookies.destroy();
        state.* = undefined;
    }

    fn cookies_at(state: *State, now_ns: u64) error{OutOfMemory}!*curve.Cookies {
        if (state.cookies) |cookies| {
            cookies.rotate(state.random, now_ns);
            return cookies;
        }
        state.cookies = try .create(state.random, now_ns);
        return state.cookies.?;
    }
};

/// What the handshake that begins now has beyond others.
pub fn begin(session: anytype) error{OutOfMemory}!?*handshakes.Secured {
    const security = session.security.* orelse return null;
    const state = &session.resources.security;
    const serves = security.mechanism == .curve and security.server;
    const cookies = if (serves) try state.cookies_at(session.io.now_ns()) else null;
    state.handshakes += 1;
    const slabs = &session.resources.slabs;
    return try .create(slabs, security, state.random, cookies, state.handshakes);
}

/// The owner has decided about the peer.
pub fn answer(session: anytype, verdict: handshakes.Verdict) Outcome {
    assert(session.asking);
    session.asking = false;
    const handshake = session.engine.state.handshaking;
    var buffer: [handshakes.output_size_max]u8 = undefined;
    var output: handshakes.Output = .init(&buffer);
    const receipt = handshake.answer(verdict, &output) catch |failure| {
        const reason = session.send_control(output.written());
        // What it has sent meanwhile would destroy our answer on its way (close(2) resets then).
        session.discard_received();
        return session.disconnect(reason orelse reason_of(session, failure));
    };
    if (session.send_control(output.written())) |reason| return session.disconnect(reason);
    var outcome: Outcome = .{};
    if (receipt.state == .done) {
        if (session.establish(handshake, &outcome)) |reason| {
            return session.disconnect(reason);
        }
    }
    session.tail_due = session.tail_bytes > 0;
    const resumed = session.resume_receiving();
    outcome.ended = resumed.ended;
    outcome.phase = resumed.phase;
    return outcome;
}

/// What it says next costs us much and itself nothing, who has said nothing yet.
pub fn is_stranger(session: anytype) bool {
    if (session.state != .handshaking or session.kind != .accepted) return false;
    const engine = &session.engine;
    return engine.state == .handshaking and engine.state.handshaking.awaits_hello();
}

/// Bytes of a handshake that may tell a password; others cost nothing.
pub fn wipe(session: anytype, bytes: []u8) void {
    if (session.engine.state != .handshaking or bytes.len == 0) return;
    const secured = session.engine.state.handshaking.secured orelse return;
    if (secured.security.mechanism == .plain) sodium.wipe_bytes(bytes);
}

pub fn reason_of(session: anytype, failure: handshakes.Error) Reason {
    const handshake = session.engine.state.handshaking;
    session.resources.security.refusal_status = handshake.peer_error_status() orelse 0;
    return switch (failure) {
        error.OutOfMemory => .out_of_memory,
        error.HandshakeFailed => .from_failure(handshake.failure().?),
    };
}

/// Why the connection has ended, when its peer ended it.
pub fn reason_of_end(session: anytype, seen: Reason) Reason {
    if (session.state != .handshaking or session.engine.state != .handshaking) return seen;
    return if (session.engine.state.handshaking.introduced()) .hello_refused else seen;
}

/// As `process_traffic`, of frames that come encrypted.
pub fn process(
    session: anytype,
    secure: *Secure,
    rest: *[]u8,
    outcome: *Outcome,
) ?Reason {
    const engine = &session.engine;
    const opened = secure.open(rest.*, .{
        .frame_bytes_max = engine.any_frame_bytes_max(),
        .arena_frame_bytes_max = engine.arena_frame_bytes_max,
    }, &session.resources.security.stream);
    rest.* = rest.*[opened.consumed..];
    var frames = opened.frames;
    while (frames.len > 0) {
        const before = frames.len;
        if (session.process_frames(&frames, outcome)) |reason| return reason;
        // Whole frames, of a size that the arena takes.
        assert(frames.len < before);
    }
    switch (opened.then) {
        .rest => return null,
        .failure => |reason| {
            if (reason != .frame_too_large) return reason;
            const header = frame.decode(rest.*).?;
            return engine.too_large(header.body_size - curve.message_extra);
        },
        .large => |found| {
            rest.* = rest.*[found.header_bytes..];
            // Whether it is a command, or has others behind it, only the box tells.
            return session.begin_large(.{ .body_bytes = found.body_bytes }, outcome);
        },
    }
}

/// What was received into a buffer is decrypted where it is; the message is its end.
pub fn open_large(
    session: anytype,
    secure: *Secure,
    buffer: []u8,
) union(enum) { opened: curve.Cipher.Opened, failure: Reason } {
    const opened = secure.open_large(buffer, &session.resources.security.stream) catch |fault| {
        return .{ .failure = Secure.reason_of(fault) };
    };
    const command = opened.flags & frame.flag_command != 0;
    if (session.engine.check_large(opened.body.len, command)) |reason| {
        return .{ .failure = reason };
    }
    return .{ .opened = opened };
}

/// As `flush`, with encryption.
pub fn flush(session: anytype, secure: *Secure) Outcome {
    const queue = &session.pipe.send;
    const slabs = &session.resources.slabs;
    while (true) {
        const stream = &session.resources.security.stream;
        const bytes = secure.pending(slabs, queue, stream) catch {
            // What is missing belongs to others: this connection is as good as before.
            return .{ .memory_wanted = true, .writable = session.pipe.drained() };
        };
        if (bytes.len == 0) break;
        const vector: std.posix.iovec_const = .{ .base = bytes.ptr, .len = bytes.len };
        const sent = session.io.send_vector(session.fd, &.{vector}) catch |failure| {
            if (session.not_taken(failure)) |ended| return ended;
            break;
        };
        const before = queue.messages;
        const gone = secure.advance(sent);
        queue.held -= @intCast(gone);
        queue.advance(slabs, gone);
        session.pipe.count_out(before - queue.messages, sent);
        if (sent < bytes.len) {
            session.watch_writable() catch return session.disconnect(.out_of_memory);
            break;
        }
    }
    return session.flushed();
}
