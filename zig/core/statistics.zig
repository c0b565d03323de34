//! What a socket and each of its pipes count. The owner reads it in shared memory, so nothing here
//! is a sum that somebody has to be asked for; it is added to per system call and per run of
//! frames, not per message.

const std = @import("std");
const assert = std.debug.assert;

const Reason = @import("monitor.zig").Reason;

/// What has gone over connections. Whole messages; bytes as they are on the wire, with frame
/// headers, commands and handshakes.
pub const Traffic = extern struct {
    messages_in: u64 = 0,
    bytes_in: u64 = 0,
    /// Taken by the kernel, or by the peer in this process.
    messages_out: u64 = 0,
    bytes_out: u64 = 0,
};

/// What is counted for one peer, from its first handshake on. In a slab: connections that have
/// proved nothing yet are to be small.
pub const PeerTraffic = struct {
    traffic: Traffic = .{},
    /// When the last handshake was done.
    established_ns: u64 = 0,
};

/// What a socket counts of all its pipes, those that are gone, too.
pub const Totals = extern struct {
    traffic: Traffic = .{},
    /// Frames of messages, whether their message was completed or not.
    parts_in: u64 = 0,
    /// PING, PONG, SUBSCRIBE, CANCEL, JOIN, LEAVE, and those without a meaning for us.
    commands_in: u64 = 0,
    commands_out: u64 = 0,
};

/// How often something has failed, by reason: a place for each, so that it costs one addition and
/// no peer can make it grow.
pub const Failures = [places]u32;

const places = blk: {
    var last: u32 = 0;
    for (std.enums.values(Reason)) |reason| last = @max(last, @intFromEnum(reason));
    // Even: what follows it in a record has its place without a gap.
    break :blk std.mem.alignForward(u32, last + 1, 2);
};

pub fn count_failure(failures: *Failures, reason: Reason) void {
    assert(reason != .none);
    failures[@intFromEnum(reason)] +|= 1;
}

test "each reason has a place of its own: none hides behind another" {
    var failures: Failures = @splat(0);
    for (std.enums.values(Reason)) |reason| {
        if (reason != .none) count_failure(&failures, reason);
    }
    for (std.enums.values(Reason)) |reason| {
        const expected: u32 = if (reason == .none) 0 else 1;
        try std.testing.expectEqual(expected, failures[@intFromEnum(reason)]);
    }
}
