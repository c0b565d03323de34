//! The monotonic clock and the units of time. Nothing here waits, and nothing reads the wall
//! clock: deadlines must not move when somebody sets the date. State machines do not call this,
//! they are told the time, so that a simulation can decide what it is.

const std = @import("std");
const assert = std.debug.assert;

pub const ns_per_us: u64 = 1_000;
pub const ns_per_ms: u64 = 1_000 * ns_per_us;
pub const ns_per_s: u64 = 1_000 * ns_per_ms;

comptime {
    assert(ns_per_s == std.time.ns_per_s);
}

/// Nanoseconds since some moment at or before the start of the process. Answered without a
/// system call (vDSO).
pub fn now_ns() u64 {
    var now: std.posix.timespec = undefined;
    const result = std.posix.system.clock_gettime(.MONOTONIC, &now);
    assert(result == 0); // Fails for an unknown clock only, and this one always exists.
    assert(now.sec >= 0 and now.nsec >= 0 and now.nsec < ns_per_s);
    return @as(u64, @intCast(now.sec)) * ns_per_s + @as(u64, @intCast(now.nsec));
}

test "the clock never goes backwards, so no timeout fires early or is lost" {
    var before = now_ns();
    try std.testing.expect(before > 0);
    for (0..1000) |_| {
        const after = now_ns();
        try std.testing.expect(after >= before);
        before = after;
    }
}

test "the clock advances, so a timeout fires at all" {
    const start = now_ns();
    const steps_max = 100_000_000;
    for (0..steps_max) |_| {
        if (now_ns() > start) return;
    }
    return error.ClockStandsStill;
}
