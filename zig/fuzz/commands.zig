//! Commands after the handshake, against a plain reading of their bodies.

const std = @import("std");
const testing = std.testing;

const allocator = @import("../sim/memory.zig").allocator;
const bytes_module = @import("bytes.zig");
const command = @import("../zmtp/command.zig");
const engine = @import("../core/engine.zig");
const Prng = @import("../stdx/prng.zig").Prng;

pub fn run(prng: *Prng) !void {
    var frame: bytes_module.Bytes = .empty;
    defer frame.deinit(allocator);
    try bytes_module.append_command(prng, &frame);
    const header: usize = if (frame.items[0] & 2 != 0) 9 else 2;
    if (prng.chance(1, 3)) try bytes_module.mutate(prng, &frame, header);
    const body = frame.items[@min(header, frame.items.len)..];

    var buffer: [command.pong_frame_size_max]u8 = undefined;
    const request = engine.act_on_command(body, &buffer);
    if (body.len == 0 or body[0] == 0 or 1 + @as(usize, body[0]) > body.len) {
        return testing.expectEqual(.malformed_command, request.failure);
    }
    const name = body[1..][0..body[0]];
    const data = body[1 + name.len ..];
    if (std.mem.eql(u8, name, "PING")) {
        if (data.len < 2) return testing.expectEqual(.malformed_command, request.failure);
        try testing.expectEqual(@as(u16, data[0]) * 256 + data[1], request.ping.ttl);
        const context = data[2..][0..@min(data.len - 2, 16)];
        const answer = request.ping.answer;
        try testing.expectEqual(7 + context.len, answer.len);
        try testing.expectEqual(4, answer[0]);
        try testing.expectEqual(answer.len - 2, answer[1]);
        try testing.expectEqualStrings("\x04PONG", answer[2..7]);
        return testing.expectEqualSlices(u8, context, answer[7..]);
    }
    if (std.mem.eql(u8, name, "PONG")) return testing.expectEqualSlices(u8, data, request.pong);
    const subscribes = std.mem.eql(u8, name, "SUBSCRIBE") or std.mem.eql(u8, name, "JOIN");
    if (subscribes or std.mem.eql(u8, name, "CANCEL") or std.mem.eql(u8, name, "LEAVE")) {
        try testing.expectEqual(@intFromBool(subscribes), request.subscription.first);
        return testing.expectEqualSlices(u8, data, request.subscription.topic);
    }
    try testing.expectEqual(.nothing, request);
}
