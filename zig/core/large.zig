//! Frames that are too large for the arena: each is received into a buffer that the owner of the
//! context lends, and grows with what has really come. Part of session.zig, in a file of its own
//! for its length.

const std = @import("std");
const assert = std.debug.assert;

const constants = @import("../constants.zig");
const copy = @import("../stdx/copy.zig").copy;
const frame = @import("../zmtp/frame.zig");
const inproc = @import("inproc.zig");
const Outcome = @import("session.zig").Outcome;
const Reason = @import("monitor.zig").Reason;
const secure_session = @import("secure_session.zig");
const slab = @import("../stdx/slab.zig");

/// A frame that is received straight into a buffer of its own.
pub const Large = struct {
    body_bytes: u32,
    more: bool = false,
    command: bool = false,
    received: u32 = 0,
    /// Lent by the owner; its first `received` bytes are ours.
    buffer: []u8 = &.{},
    /// What it was asked for, which counts in the slabs.
    asked_bytes: u32 = 0,
    id: u32 = 0,

    /// How large the buffer has to be for the next step: never all that a peer declares.
    fn wanted(large: *const Large) u32 {
        const step: u64 = @max(constants.large_step_bytes, @as(u64, large.received) * 4);
        return @intCast(@min(large.body_bytes, step));
    }

    /// The next buffer is asked for, if the budget has room for it.
    pub fn ask(large: *Large, slabs: *slab.Slabs) error{OutOfMemory}!void {
        try slabs.lend(large.wanted() - large.asked_bytes);
        large.asked_bytes = large.wanted();
    }
};

/// How large a buffer the owner has to lend now.
pub fn buffer_wanted(session: anytype) ?u32 {
    const large = &(session.large orelse return null);
    if (large.buffer.len > 0) return null;
    return large.wanted();
}

/// The buffer whose contents move into the next, larger one; 0: none.
pub fn buffer_held(session: anytype) u32 {
    const large = &(session.large orelse return 0);
    return large.id;
}

/// The owner lends a buffer that stays in place until the message is taken or given up.
/// It holds what the buffer before it held.
pub fn lend(session: anytype, buffer: []u8, id: u32) bool {
    const large = &(session.large orelse return false);
    // It has one: this is the answer to what another connection had asked for.
    if (large.buffer.len > 0 or buffer.len < large.wanted()) return false;
    large.buffer = buffer[0..large.wanted()];
    large.id = id;
    if (large.received == 0) {
        const tail = session.tail[0..session.tail_bytes];
        copy(large.buffer[0..tail.len], tail);
        large.received = session.tail_bytes;
        session.keep_tail("") catch unreachable; // Frees only.
    }
    session.readable = true;
    return true;
}

pub fn receive(session: anytype) Outcome {
    const large = &session.large.?;
    const arena = &session.resources.arena;
    const target = large.buffer[large.received..];
    assert(target.len > 0);
    var vectors: [2]std.posix.iovec = .{
        .{ .base = target.ptr, .len = target.len },
        undefined,
    };
    var count_vectors: usize = 1;
    var trailer: []u8 = &.{};
    if (large.buffer.len == large.body_bytes) {
        if (arena.reserve(constants.large_trailer_bytes)) |space| {
            trailer = space[0..constants.large_trailer_bytes];
            vectors[1] = .{ .base = trailer.ptr, .len = trailer.len };
            count_vectors = 2;
        }
    }
    const received = inproc.receive_vector(session, vectors[0..count_vectors]);
    const count = received catch |failure| return session.receive_failed(failure);
    if (count == 0) return session.disconnect(.peer_closed);
    session.progress +%= 1;
    session.pipe.count_bytes_in(count);
    session.readable = count == target.len + trailer.len or session.ends();
    large.received += @intCast(@min(count, target.len));
    if (large.received < large.body_bytes) {
        if (large.received < large.buffer.len) return .{};
        large.ask(&session.resources.slabs) catch {
            return session.disconnect(.out_of_memory);
        };
        large.buffer = &.{};
        return .{ .buffer_wanted = true };
    }
    return done(session, trailer[0 .. count - target.len]);
}

fn done(session: anytype, behind: []u8) Outcome {
    var large = session.large.?;
    var body = large.buffer;
    if (session.engine.security()) |secure| {
        switch (secure_session.open_large(session, secure, large.buffer)) {
            .failure => |reason| return session.disconnect(reason),
            .opened => |opened| {
                body = opened.body;
                large.more = opened.flags & frame.flag_more != 0;
                large.command = opened.flags & frame.flag_command != 0;
            },
        }
    }
    session.large = null;
    const resources = session.resources;
    if (large.command) {
        defer resources.abandoned.add(&resources.slabs, large.id);
        resources.slabs.unlend(large.asked_bytes);
        return command_done(session, body, behind);
    }
    session.pipe.expected_bytes = 0;
    session.large_expected = true;
    // The message counts from now on, not what was around it.
    resources.slabs.unlend(large.asked_bytes - @as(u32, @intCast(body.len)));
    session.pipe.receive.push_lent(
        &resources.slabs,
        body,
        large.more,
        large.id,
    ) catch {
        resources.slabs.unlend(@intCast(body.len));
        resources.abandoned.add(&resources.slabs, large.id);
        return session.disconnect(.out_of_memory);
    };
    session.pipe.count_messages_in(@intFromBool(!large.more), 1);
    session.engine.large_done(@intCast(body.len), large.more) catch {
        return session.disconnect(.message_too_many_parts);
    };
    var outcome = session.process(behind);
    if (!large.more) outcome.received = true;
    return outcome;
}

/// Its buffer goes back to its owner: what it says is kept elsewhere.
fn command_done(session: anytype, body: []const u8, behind: []u8) Outcome {
    var outcome: Outcome = .{};
    if (session.act(body, &outcome)) |reason| {
        return session.disconnect_after(reason, outcome);
    }
    var after = session.process(behind);
    after.received = after.received or outcome.received;
    after.deadline = after.deadline or outcome.deadline;
    return after;
}

pub fn begin(session: anytype, large: Large, outcome: *Outcome) ?Reason {
    session.large = large;
    session.large.?.ask(&session.resources.slabs) catch return .out_of_memory;
    session.pipe.expected_bytes = if (large.command) 0 else large.body_bytes;
    outcome.buffer_wanted = true;
    return null;
}
