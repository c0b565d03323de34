//! The traffic of a ZMTP connection read as slowly and plainly as RFC 37 has it, to compare the
//! product with: it has all bytes at once, copies everything, and shares no code with the product.

const std = @import("std");
const allocator = @import("memory.zig").allocator;

pub const Limits = struct {
    frame_bytes_max: u128 = (1 << 31) - 1,
    message_bytes_max: u128 = (1 << 31) - 1,
    /// Commands are short, except subscriptions to a publisher.
    command_frame_bytes_max: u128 = 32 * 1024,
    takes_subscriptions: bool = false,
    message_parts_max: usize = @import("../constants.zig").message_parts_max_default,
};

pub const Traffic = struct {
    /// As a replay writes messages: for each part its size (u32), whether another one follows, and
    /// its bytes.
    messages: std.ArrayList(u8) = .empty,
    count: usize = 0,
    pings: usize = 0,
    /// The peer broke the protocol there.
    broken: bool = false,

    pub fn deinit(traffic: *Traffic) void {
        traffic.messages.deinit(allocator);
    }
};

pub fn append_part(out: *std.ArrayList(u8), part: []const u8, more: bool) !void {
    var head: [5]u8 = undefined;
    std.mem.writeInt(u32, head[0..4], @intCast(part.len), .little);
    head[4] = @intFromBool(more);
    try out.appendSlice(allocator, &head);
    try out.appendSlice(allocator, part);
}

/// Everything behind the handshake.
pub fn read(bytes: []const u8, limits: Limits) !Traffic {
    var traffic: Traffic = .{};
    errdefer traffic.deinit();
    // Where the message that is not complete begins in `messages`.
    var whole: usize = 0;
    var parts: usize = 0;
    var message_bytes: u128 = 0;
    var at: u128 = 0;
    while (true) {
        const left = bytes[@intCast(at)..];
        if (left.len < 2) break;
        const flags = left[0];
        const long = flags & 2 == 2;
        if (long and left.len < 9) break;
        const header: u128 = if (long) 9 else 2;
        var size: u128 = 0;
        if (long) {
            for (left[1..9]) |byte| size = size * 256 + byte;
        } else size = left[1];
        const is_command = flags & 4 == 4;
        if (size > limits.frame_bytes_max or flags > 7) break_off(&traffic);
        if (!is_command and message_bytes + size > limits.message_bytes_max) break_off(&traffic);
        if (is_command and !limits.takes_subscriptions) {
            if (header + size > limits.command_frame_bytes_max) break_off(&traffic);
        } else if (is_command and header + size > limits.command_frame_bytes_max) {
            if (size > 1024 * 1024 + 16) break_off(&traffic);
        }
        if (traffic.broken or header + size > left.len) break;
        const body = left[@intCast(header)..@intCast(header + size)];
        at += header + size;
        if (is_command) {
            command(&traffic, body, limits, parts > 0);
            if (traffic.broken) break;
            continue;
        }
        const more = flags & 1 == 1;
        try append_part(&traffic.messages, body, more);
        parts = if (more) parts + 1 else 0;
        message_bytes = if (more) message_bytes + size else 0;
        if (parts >= limits.message_parts_max) {
            break_off(&traffic);
            break;
        }
        if (more) continue;
        whole = traffic.messages.items.len;
        traffic.count += 1;
    }
    // What is not complete is never told of.
    traffic.messages.items.len = whole;
    return traffic;
}

fn break_off(traffic: *Traffic) void {
    traffic.broken = true;
}

fn command(traffic: *Traffic, body: []const u8, limits: Limits, inside: bool) void {
    if (body.len == 0 or body[0] == 0 or body[0] > body.len - 1) return break_off(traffic);
    const name = body[1 .. 1 + @as(usize, body[0])];
    const data = body[1 + name.len ..];
    if (std.mem.eql(u8, name, "PING")) {
        if (data.len < 2) return break_off(traffic);
        traffic.pings += 1;
    }
    for ([_][]const u8{ "SUBSCRIBE", "CANCEL", "JOIN", "LEAVE" }) |it| {
        if (!std.mem.eql(u8, name, it) or !limits.takes_subscriptions) continue;
        if (inside) break_off(traffic);
    }
}
