//! A session without ZMTP (STREAM): what is received becomes messages as it comes, what is sent
//! goes as it is. It is up as soon as it is connected.

const std = @import("std");
const assert = std.debug.assert;

const constants = @import("../constants.zig");
const frame = @import("../zmtp/frame.zig");
const Outcome = @import("session.zig").Outcome;

pub fn start(session: anytype) Outcome {
    assert(session.state == .handshaking);
    session.watch_readable() catch return session.disconnect(.out_of_memory);
    session.state = .active;
    session.backoff.reset();
    session.pipe.connected = true;
    session.readable = true;
    return .{ .connected = true, .established = true };
}

/// One system call's worth of bytes: one message. Room is left for the header that makes it look
/// like the frames of the others.
pub fn receive(session: anytype) Outcome {
    const resources = session.resources;
    const arena = &resources.arena;
    const header_max = frame.header_size_max;
    const space = arena.reserve(constants.arena_free_bytes_min) orelse return .{ .starved = true };
    const target = space[header_max..];
    const count = session.io.receive(session.fd, target) catch |failure| {
        return session.receive_failed(failure);
    };
    if (count == 0) return session.disconnect(.peer_closed);
    session.pipe.count_bytes_in(count);
    session.readable = count == target.len or session.ends();
    var header: [header_max]u8 = undefined;
    const size = frame.encode(&header, 0, count);
    const bytes = space[header_max - size .. header_max + count];
    @memcpy(bytes[0..size], header[0..size]);
    const len: u32 = @intCast(bytes.len);
    session.pipe.receive.push_arena(&resources.slabs, arena, bytes, 1, len) catch {
        return session.disconnect(.out_of_memory);
    };
    session.pipe.count_messages_in(1, 1);
    arena.keep(@intCast(header_max + count));
    if (session.pipe.receive_limit_reached()) session.unwatch_readable();
    return .{ .received = true };
}
