//! When to connect again: the interval, its growth and its jitter. No clock, no I/O.
//!
//! libzmq adds a random share of the interval when it does not grow, and none when it does, so a
//! fleet that lost its server comes back in lockstep. Here every delay is spread.

const std = @import("std");
const assert = std.debug.assert;

const Prng = @import("../stdx/prng.zig").Prng;

pub const Backoff = struct {
    attempts: u32 = 0,

    /// Milliseconds until the next attempt: interval + random[0, interval), the interval doubling
    /// up to `max_ms` when that is larger. Null: never again (ZMQ_RECONNECT_IVL -1).
    pub fn next_ms(backoff: *Backoff, interval_ms: i32, max_ms: i32, prng: *Prng) ?u32 {
        if (interval_ms < 0) return null;
        const base: u64 = @intCast(@max(interval_ms, 1));
        const max: u64 = @intCast(@max(max_ms, 0));
        var delay = base;
        if (max > base) delay = @min(max, base << @intCast(@min(backoff.attempts, 31)));
        backoff.attempts +|= 1;
        const jitter = prng.below(delay);
        const total = delay + jitter;
        return @intCast(if (max > base) @min(total, max) else total);
    }

    /// After a handshake has succeeded, not before: a peer that accepts and then refuses us is no
    /// reason to try faster.
    pub fn reset(backoff: *Backoff) void {
        backoff.* = .{};
    }
};

test "the delay stays between one and two intervals: clients do not come back in lockstep" {
    var prng: Prng = .init(1);
    var backoff: Backoff = .{};
    var low: u32 = 1000;
    var high: u32 = 0;
    for (0..1000) |_| {
        const delay = backoff.next_ms(100, 0, &prng).?;
        low = @min(low, delay);
        high = @max(high, delay);
        try std.testing.expect(delay >= 100 and delay < 200);
    }
    try std.testing.expect(low < 110 and high > 190);
}

test "the delay doubles up to its maximum: a dead server is not hammered" {
    var prng: Prng = .init(2);
    var backoff: Backoff = .{};
    var last: u32 = 0;
    for (0..40) |_| last = backoff.next_ms(100, 5000, &prng).?;
    try std.testing.expectEqual(5000, last);
    backoff.reset();
    try std.testing.expect(backoff.next_ms(100, 5000, &prng).? < 200);
    try std.testing.expectEqual(null, backoff.next_ms(-1, 0, &prng));
}
