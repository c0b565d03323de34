//! READY and ERROR with lying lengths, against a plain reading of what a handshake allows.

const std = @import("std");
const testing = std.testing;

const allocator = @import("../sim/memory.zig").allocator;
const bytes_module = @import("bytes.zig");
const greetings = @import("../zmtp/greeting.zig");
const handshakes = @import("../zmtp/handshake.zig");
const Handshake = handshakes.Handshake;
const Prng = @import("../stdx/prng.zig").Prng;
const compatible = @import("../zmtp/socket_type.zig").compatible;
const SocketType = handshakes.SocketType;

const Verdict = union(enum) {
    more,
    failed,
    done: struct { consumed: usize, identity: []const u8, socket_type: ?SocketType },
};

const command_size_max = 4096;

pub fn run(prng: *Prng) !void {
    const ours = draw: while (true) {
        const drawn = prng.enum_uniform(SocketType);
        if (drawn.has_handshake()) break :draw drawn;
    };
    var bytes: bytes_module.Bytes = .empty;
    defer bytes.deinit(allocator);
    try bytes.appendSlice(allocator, &greetings.encode(.null));
    try append_answer(prng, &bytes);
    try bytes_module.append_noise(prng, &bytes, bytes_module.size(prng, 20));
    if (prng.boolean()) try bytes_module.mutate(prng, &bytes, greetings.size);

    const expected = plain(ours, bytes.items[greetings.size..]);
    var buffer: [6]usize = undefined;
    var whole: Handshake = .init(.{ .socket_type = ours, .command_size_max = command_size_max });
    try testing.expectEqualDeep(expected, read(&whole, bytes.items, &.{}));
    var cut: Handshake = .init(.{ .socket_type = ours, .command_size_max = command_size_max });
    const cuts = bytes_module.cuts(prng, bytes.items.len, &buffer);
    try testing.expectEqualDeep(expected, read(&cut, bytes.items, cuts));
    try testing.expectEqual(whole.failure(), cut.failure());
    try testing.expectEqualDeep(whole.peer_error(), cut.peer_error());
}

fn append_answer(prng: *Prng, bytes: *bytes_module.Bytes) !void {
    var body: bytes_module.Bytes = .empty;
    defer body.deinit(allocator);
    if (prng.chance(1, 8)) {
        const reason = bytes_module.size(prng, 255);
        try body.appendSlice(allocator, "\x05ERROR");
        try body.append(allocator, @intCast(reason));
        try bytes_module.append_noise(prng, &body, reason);
    } else {
        try body.appendSlice(allocator, "\x05READY");
        const type_name = prng.enum_uniform(SocketType).wire_name();
        if (prng.chance(7, 8)) try append_property(&body, "Socket-Type", type_name);
        for (0..bytes_module.size(prng, 4)) |_| {
            var value: bytes_module.Bytes = .empty;
            defer value.deinit(allocator);
            try bytes_module.append_noise(prng, &value, bytes_module.size(prng, 300));
            const names = [_][]const u8{ "Identity", "identity", "X-a", "SOCKET-TYPE", "x" };
            try append_property(&body, prng.pick([]const u8, &names), value.items);
        }
    }
    if (prng.chance(1, 4)) try bytes_module.mutate(prng, &body, 0);
    try bytes_module.append_frame(prng, bytes, 4, body.items);
}

fn append_property(body: *bytes_module.Bytes, name: []const u8, value: []const u8) !void {
    try body.append(allocator, @intCast(name.len));
    try body.appendSlice(allocator, name);
    var field: [4]u8 = undefined;
    std.mem.writeInt(u32, &field, @intCast(value.len), .big);
    try body.appendSlice(allocator, &field);
    try body.appendSlice(allocator, value);
}

/// What follows the greeting, with all bytes at hand.
fn plain(ours: SocketType, bytes: []const u8) Verdict {
    if (bytes.len < 2) return .more;
    const long = bytes[0] & 2 != 0;
    const header: u128 = if (long) 9 else 2;
    if (bytes.len < header) return .more;
    if (bytes[0] > 7) return .failed;
    var size: u128 = bytes[1];
    if (long) {
        size = 0;
        for (bytes[1..9]) |byte| size = size * 256 + byte;
    }
    if (header + size > command_size_max) return .failed;
    if (header + size > bytes.len) return .more;
    const body = bytes[@intCast(header)..@intCast(header + size)];
    if (bytes[0] & 1 != 0 or !std.mem.startsWith(u8, body, "\x05READY")) return .failed;
    var rest = body[6..];
    var socket_type: ?SocketType = null;
    var identity: ?[]const u8 = null;
    while (rest.len > 0) {
        const name_size: usize = rest[0];
        if (name_size == 0 or rest.len < 1 + name_size + 4) return .failed;
        const name = rest[1..][0..name_size];
        var value_size: u64 = 0;
        for (rest[1 + name_size ..][0..4]) |byte| value_size = value_size * 256 + byte;
        rest = rest[1 + name_size + 4 ..];
        if (value_size > rest.len) return .failed;
        const value = rest[0..@intCast(value_size)];
        rest = rest[@intCast(value_size)..];
        if (std.ascii.eqlIgnoreCase(name, "socket-type")) {
            if (socket_type != null) return .failed;
            socket_type = SocketType.from_wire_name(value) orelse return .failed;
            if (!compatible(ours, socket_type.?)) return .failed;
        } else if (std.ascii.eqlIgnoreCase(name, "identity")) {
            if (identity != null or value.len > 255) return .failed;
            if (value.len > 0 and value[0] == 0) return .failed;
            identity = value;
        }
    }
    return .{ .done = .{
        .consumed = @intCast(64 + header + size),
        .identity = identity orelse "",
        .socket_type = socket_type,
    } };
}

/// As a session does it: what was not taken is given again.
fn read(self: *Handshake, bytes: []const u8, cuts: []const usize) Verdict {
    var buffer: [handshakes.output_size_max]u8 = undefined;
    var output: handshakes.Output = .init(&buffer);
    self.start(&output);
    var consumed: usize = 0;
    for (0..cuts.len + 1) |index| {
        const end = if (index < cuts.len) cuts[index] else bytes.len;
        if (end == consumed) continue;
        const receipt = self.receive(bytes[consumed..end], &output) catch return .failed;
        consumed += receipt.consumed;
        if (receipt.state == .need_more) continue;
        return .{ .done = .{
            .consumed = consumed,
            .identity = self.peer.identity,
            .socket_type = self.peer.socket_type,
        } };
    }
    return .more;
}
