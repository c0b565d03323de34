//! The commands of PLAIN: what they declare is all that there is, or they are refused.

const std = @import("std");
const testing = std.testing;

const allocator = @import("../sim/memory.zig").allocator;
const bytes_module = @import("bytes.zig");
const plain = @import("../zmtp/plain.zig");
const Prng = @import("../stdx/prng.zig").Prng;

pub fn run(prng: *Prng) !void {
    var body: bytes_module.Bytes = .empty;
    defer body.deinit(allocator);
    const names = [_][]const u8{ "\x05HELLO", "\x07WELCOME", "\x08INITIATE", "\x05READY" };
    try body.appendSlice(allocator, prng.pick([]const u8, &names));
    for (0..@intCast(prng.below(3))) |_| {
        const size = bytes_module.size(prng, plain.credential_bytes_max);
        try body.append(allocator, @intCast(size));
        try bytes_module.append_noise(prng, &body, size);
    }
    if (prng.boolean()) try bytes_module.mutate(prng, &body, 0);

    const bytes = body.items;
    try hello(bytes);
    const is_welcome = std.mem.startsWith(u8, bytes, "\x07WELCOME");
    try testing.expectEqual(is_welcome and bytes.len == 8, succeeds(plain.parse_welcome(bytes)));
    try metadata("\x08INITIATE", bytes, plain.parse_initiate(bytes));
    try metadata("\x05READY", bytes, plain.parse_ready(bytes));
}

/// RFC 24, from the end.
fn hello(bytes: []const u8) !void {
    const parsed = plain.parse_hello(bytes);
    if (!std.mem.startsWith(u8, bytes, "\x05HELLO")) {
        return testing.expectError(error.UnexpectedCommand, parsed);
    }
    for (6..@max(6, bytes.len)) |at| {
        // There is one place only where the second length can be.
        if (at != 7 + @as(usize, bytes[6])) continue;
        if (at + 1 + bytes[at] != bytes.len) continue;
        const credentials = try parsed;
        try testing.expectEqualSlices(u8, bytes[7..at], credentials.user);
        return testing.expectEqualSlices(u8, bytes[at + 1 ..], credentials.password);
    }
    try testing.expectError(error.MalformedHello, parsed);
}

fn succeeds(result: plain.Error!void) bool {
    result catch return false;
    return true;
}

fn metadata(comptime name: []const u8, bytes: []const u8, parsed: plain.Error![]const u8) !void {
    if (!std.mem.startsWith(u8, bytes, name)) {
        return testing.expectError(error.UnexpectedCommand, parsed);
    }
    try testing.expectEqualSlices(u8, bytes[name.len..], try parsed);
}
