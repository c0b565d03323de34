//! The greeting, in any pieces: refused for what is wrong with it, and for nothing else.

const std = @import("std");
const testing = std.testing;

const allocator = @import("../sim/memory.zig").allocator;
const bytes_module = @import("bytes.zig");
const greetings = @import("../zmtp/greeting.zig");
const Prng = @import("../stdx/prng.zig").Prng;

const Verdict = union(enum) {
    more,
    greeting: greetings.Greeting,
    failure: greetings.Error,
};

pub fn run(prng: *Prng) !void {
    var bytes: bytes_module.Bytes = .empty;
    defer bytes.deinit(allocator);
    try bytes.appendSlice(allocator, &greetings.encode(.null));
    try bytes_module.append_noise(prng, &bytes, bytes_module.size(prng, 20));
    if (prng.chance(7, 8)) try bytes_module.mutate(prng, &bytes, 0);
    if (prng.chance(1, 8)) {
        bytes.clearRetainingCapacity();
        try bytes_module.append_noise(prng, &bytes, bytes_module.size(prng, 100));
    }
    const expected = plain(bytes.items);
    var buffer: [6]usize = undefined;
    try testing.expectEqualDeep(expected, try read(bytes.items, &.{}));
    const cuts = bytes_module.cuts(prng, bytes.items.len, &buffer);
    try testing.expectEqualDeep(expected, try read(bytes.items, cuts));
}

/// RFC 37, with all bytes at hand.
fn plain(bytes: []const u8) Verdict {
    const signed = bytes.len == 0 or bytes[0] == 0xff and (bytes.len < 10 or bytes[9] % 2 == 1);
    if (!signed) return .{ .failure = error.NotZmtp };
    if (bytes.len > 10 and bytes[10] < 3) return .{ .failure = error.VersionTooOld };
    if (bytes.len < 64) return .more;
    return .{ .greeting = .{
        .version_major = bytes[10],
        .version_minor = bytes[11],
        .mechanism = bytes[12..32].*,
    } };
}

fn read(bytes: []const u8, cuts: []const usize) !Verdict {
    var parser: greetings.Parser = .{};
    var start: usize = 0;
    for (0..cuts.len + 1) |index| {
        const end = if (index < cuts.len) cuts[index] else bytes.len;
        const receipt = parser.receive(bytes[start..end]) catch |failure| {
            return .{ .failure = failure };
        };
        start += receipt.consumed;
        if (receipt.greeting) |greeting| {
            try testing.expectEqual(64, start);
            return .{ .greeting = greeting };
        }
        try testing.expectEqual(end, start);
    }
    return .more;
}
