//! Whether to poll before sleeping. To be woken costs 20 to 60 µs, a look at memory nothing, so
//! polling pays while what is waited for comes soon. Where it does not come (a slow peer, or one
//! that needs the very core we poll on) the time is lost: then polling rests, longer each time, and
//! is tried again.

const std = @import("std");
const assert = std.debug.assert;

const time = @import("time.zig");

pub const Spin = struct {
    /// How long one polling may last; 0: never.
    limit_ns: u64 = 0,
    /// Those that found nothing, less those that found something.
    misses: u4 = 0,
    rest_until_ns: u64 = 0,

    /// After one miss it rests 4 times as long as it polled; where it never pays, 1024 times: it
    /// then takes a thousandth of the time.
    const rest_shift_min = 2;
    const rest_shift_max = 10;

    pub fn worth(spin: *const Spin, now_ns: u64) bool {
        return spin.limit_ns > 0 and now_ns >= spin.rest_until_ns;
    }

    pub fn hit(spin: *Spin) void {
        spin.misses -|= 1;
    }

    pub fn missed(spin: *Spin, now_ns: u64) void {
        const shift: u6 = @min(rest_shift_min + @as(u6, spin.misses), rest_shift_max);
        spin.rest_until_ns = now_ns + (spin.limit_ns << shift);
        spin.misses +|= 1;
    }
};

test "polling that does not pay takes a thousandth of the time, or a core would be wasted" {
    var spin: Spin = .{ .limit_ns = 50 * time.ns_per_us };
    var now_ns: u64 = 1;
    var polled_ns: u64 = 0;
    while (now_ns < time.ns_per_s) {
        if (spin.worth(now_ns)) {
            now_ns += spin.limit_ns;
            polled_ns += spin.limit_ns;
            spin.missed(now_ns);
        }
        now_ns += 10 * time.ns_per_us;
    }
    try std.testing.expect(polled_ns > 0);
    try std.testing.expect(polled_ns < 2 * time.ns_per_ms);
}

test "one miss among hits rests briefly: traffic that is hot again would wait to be woken" {
    var spin: Spin = .{ .limit_ns = 50 * time.ns_per_us };
    for (0..20) |_| spin.missed(0);
    for (0..20) |_| spin.hit();
    spin.missed(0);
    try std.testing.expect(!spin.worth(100 * time.ns_per_us));
    try std.testing.expect(spin.worth(200 * time.ns_per_us));
}

test "off is off" {
    const spin: Spin = .{};
    try std.testing.expect(!spin.worth(time.ns_per_s));
}
