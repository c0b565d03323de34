//! When to connect again: the interval, its growth and its jitter. No clock, no I/O.
//!
//! libzmq adds a random share of the interval when it does not grow, and none when it does, so a
//! fleet that lost its server comes back in lockstep. Here every delay is spread, widely enough
//! that of 500 clients no tenth comes back within the same tenth of the interval.

const std = @import("std");
const assert = std.debug.assert;

const Prng = @import("../stdx/prng.zig").Prng;

pub const Backoff = struct {
    attempts: u32 = 0,

    /// Milliseconds until the next attempt: random, from half the interval to twice that much. With
    /// a larger `max_ms` the interval doubles, and no delay is longer. Null: never again
    /// (ZMQ_RECONNECT_IVL -1).
    pub fn next_ms(backoff: *Backoff, interval_ms: i32, max_ms: i32, prng: *Prng) ?u32 {
        if (interval_ms < 0) return null;
        const base: u64 = @intCast(@max(interval_ms, 1));
        const max: u64 = @intCast(@max(max_ms, 0));
        const grows = max > base;
        const doublings: u6 = @intCast(@min(backoff.attempts, 31));
        const interval = if (grows) @min(max, base << doublings) else base;
        backoff.attempts +|= 1;
        const shortest = @max(interval / 2, 1);
        const longest = if (grows) @min(2 * interval, max) else 2 * interval;
        assert(shortest < longest);
        return @intCast(shortest + prng.below(longest - shortest));
    }

    /// After a handshake has succeeded, not before: a peer that accepts and then refuses us is no
    /// reason to try faster.
    pub fn reset(backoff: *Backoff) void {
        backoff.* = .{};
    }
};

test "the delay is spread from half to twice the interval: clients do not come back in lockstep" {
    var prng: Prng = .init(1);
    var backoff: Backoff = .{};
    var counts: [20]u32 = @splat(0);
    for (0..15_000) |_| {
        const delay = backoff.next_ms(100, 0, &prng).?;
        try std.testing.expect(delay >= 50 and delay < 200);
        counts[delay / 10] += 1;
    }
    for (counts[5..]) |count| try std.testing.expect(count > 900 and count < 1100);
}

test "the delay doubles up to its maximum, spread there, too: a dead server is not hammered" {
    var prng: Prng = .init(2);
    var backoff: Backoff = .{};
    for (0..8) |_| _ = backoff.next_ms(100, 5000, &prng).?;
    var low: u32 = 5000;
    var high: u32 = 0;
    for (0..1000) |_| {
        const delay = backoff.next_ms(100, 5000, &prng).?;
        low = @min(low, delay);
        high = @max(high, delay);
    }
    try std.testing.expect(low >= 2500 and low < 2600);
    try std.testing.expect(high > 4900 and high < 5000);
    backoff.reset();
    try std.testing.expect(backoff.next_ms(100, 5000, &prng).? < 200);
    try std.testing.expectEqual(null, backoff.next_ms(-1, 0, &prng));
}

test "any interval is possible: the shortest, the longest, a maximum just above it" {
    var prng: Prng = .init(3);
    const max = std.math.maxInt(i32);
    for ([_]i32{ 0, 1, 2, 3, max - 1, max }) |interval| {
        for ([_]i32{ 0, 1, 2, 4, max }) |max_ms| {
            var backoff: Backoff = .{};
            for (0..40) |_| try std.testing.expect(backoff.next_ms(interval, max_ms, &prng).? >= 1);
        }
    }
}
