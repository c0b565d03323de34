//! Answers of a SOCKS proxy, in any pieces: it is never read a byte too far, and the first wrong
//! byte ends it.

const std = @import("std");
const testing = std.testing;

const allocator = @import("../sim/memory.zig").allocator;
const bytes_module = @import("bytes.zig");
const Prng = @import("../stdx/prng.zig").Prng;
const socks = @import("../net/socks.zig");

const Verdict = union(enum) { more, done: usize, failed };

pub fn run(prng: *Prng) !void {
    const credentials = prng.boolean();
    var bytes: bytes_module.Bytes = .empty;
    defer bytes.deinit(allocator);
    try bytes.appendSlice(allocator, if (credentials) "\x05\x02\x01\x00" else "\x05\x00");
    try bytes.appendSlice(allocator, "\x05\x00\x00");
    const kind = prng.pick(u8, &.{ 1, 3, 4 });
    try bytes.append(allocator, kind);
    var address: usize = if (kind == 1) 4 else 16;
    if (kind == 3) {
        address = bytes_module.size(prng, 255);
        try bytes.append(allocator, @intCast(address));
    }
    try bytes_module.append_noise(prng, &bytes, address + 2);
    try bytes_module.append_noise(prng, &bytes, bytes_module.size(prng, 20));
    if (prng.chance(3, 4)) try bytes_module.mutate(prng, &bytes, 0);

    const expected = plain(credentials, bytes.items);
    var client: socks.Client = .{ .target = try .init(.name, "example", 5555) };
    if (credentials) client.username = try .init("user");
    try testing.expectEqual(expected, try read(prng, &client, bytes.items));
}

fn plain(credentials: bool, bytes: []const u8) Verdict {
    // One expected value per place; null: any.
    var at: usize = 0;
    const head: []const ?u8 = if (credentials) &.{ 5, 2, 1, 0, 5, 0, null } else &.{
        5, 0, 5, 0, null,
    };
    for (head) |expected| {
        if (at == bytes.len) return .more;
        if (expected) |byte| if (bytes[at] != byte) return .failed;
        at += 1;
    }
    if (at == bytes.len) return .more;
    const address: usize = switch (bytes[at]) {
        1 => 4,
        4 => 16,
        3 => if (at + 1 == bytes.len) return .more else 1 + @as(usize, bytes[at + 1]),
        else => return .failed,
    };
    const end = at + 1 + address + 2;
    return if (end > bytes.len) .more else .{ .done = end };
}

fn read(prng: *Prng, client: *socks.Client, bytes: []const u8) !Verdict {
    var output: [socks.output_bytes_max]u8 = undefined;
    _ = client.start(&output);
    var at: usize = 0;
    while (client.state != .done) {
        const room = client.room();
        try testing.expect(room.len > 0);
        const there = @min(room.len, bytes.len - at);
        if (there == 0) return .more;
        const count: usize = @intCast(1 + prng.below(there));
        @memcpy(room[0..count], bytes[at..][0..count]);
        at += count;
        const sent = client.advance(count, &output) catch return .failed;
        try testing.expect(sent.len <= output.len);
    }
    return .{ .done = at };
}
