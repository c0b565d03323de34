//! The engine and the session under every cut of the bytes, and large frames through lent buffers.

const std = @import("std");
const testing = std.testing;

const Address = @import("../io/address.zig").Address;
const constants = @import("../constants.zig");
const frame = @import("../zmtp/frame.zig");
const worlds = @import("world.zig");
const Mock = worlds.Mock;
const World = worlds.World;
const greeting = worlds.greeting;
const ready = worlds.ready;

const allocator = testing.allocator;

/// A bound PULL.
const Target = struct {
    world: World,
    owner: *worlds.Owner,
    pull: u32,
    address: Address,

    fn init(target: *Target, seed: u64, options: worlds.Options) !void {
        target.world.init(seed, options);
        errdefer target.world.deinit();
        target.owner = try target.world.add();
        target.pull = try target.owner.open(.pull);
        target.address = try target.owner.bind(target.pull);
    }

    fn deinit(target: *Target) void {
        target.world.deinit();
    }
};

test "a peer may send its greeting in stages, as libzmq does: no libzmq peer could connect" {
    var target: Target = undefined;
    try target.init(1, .{});
    defer target.deinit();
    var mock: Mock = try .dial(&target.world, target.address);
    defer mock.deinit();
    try target.world.settle();
    // libzmq waits for ten bytes, then for the version, then for the rest.
    try mock.pump();
    try testing.expect(mock.received.items.len >= 10);
    mock.send(greeting[0..10]);
    try target.world.settle();
    try mock.pump();
    try testing.expect(mock.received.items.len >= 11);
    mock.send(greeting[10..11]);
    try target.world.settle();
    try mock.pump();
    try testing.expectEqual(64, mock.received.items.len);
    mock.send(greeting[11..]);
    try target.world.settle();
    mock.send(comptime ready("PUSH"));
    try target.world.settle();
    try mock.pump();
    try mock.expect_handshake();
    _ = try target.owner.next_event(target.pull, .handshake_succeeded);
    try mock.send_message(&.{"hello"});
    try target.world.settle();
    try target.owner.expect(target.pull, &.{"hello"});
}

const transcript = greeting ++ ready("PUSH") ++ "\x00\x05first" ++ "\x01\x01a\x01\x00\x00\x01c" ++
    "\x04\x08\x04PING\x00\x00z" ++ "\x02\x00\x00\x00\x00\x00\x00\x00\x03big" ++
    "\x00\x00" ++ "\x01\x02no\x00\x02de";

fn expect_transcript(target: *Target, mock: *Mock) !void {
    try target.owner.expect(target.pull, &.{"first"});
    try target.owner.expect(target.pull, &.{ "a", "", "c" });
    try target.owner.expect(target.pull, &.{"big"});
    try target.owner.expect(target.pull, &.{""});
    try target.owner.expect(target.pull, &.{ "no", "de" });
    try target.owner.expect_none(target.pull);
    try mock.pump();
    try mock.expect_handshake();
    try mock.expect_frame(4, "\x04PONGz");
}

test "greeting, READY and messages in one segment: a fast peer's first messages would be lost" {
    var target: Target = undefined;
    try target.init(1, .{});
    defer target.deinit();
    var mock: Mock = try .dial(&target.world, target.address);
    defer mock.deinit();
    mock.send(comptime transcript);
    try target.world.settle();
    try expect_transcript(&target, &mock);
}

test "byte by byte: a slow link would be refused" {
    var target: Target = undefined;
    try target.init(1, .{});
    defer target.deinit();
    var mock: Mock = try .dial(&target.world, target.address);
    defer mock.deinit();
    for (comptime transcript) |byte| {
        mock.send(&.{byte});
        try target.world.settle();
    }
    try expect_transcript(&target, &mock);
}

test "every cut into two segments is the same: a message would break at some packet border" {
    var target: Target = undefined;
    try target.init(1, .{});
    defer target.deinit();
    for (1..transcript.len) |cut| {
        var mock: Mock = try .dial(&target.world, target.address);
        defer mock.deinit();
        mock.send((comptime transcript)[0..cut]);
        try target.world.settle();
        mock.send((comptime transcript)[cut..]);
        try target.world.settle();
        try expect_transcript(&target, &mock);
        mock.peer.close();
        try target.world.settle();
    }
}

const large_sizes = [_]usize{
    constants.arena_frame_bytes_max, constants.arena_frame_bytes_max + 1, 33 * 1024, 64 * 1024,
    65 * 1024,                       100_000,                             1 << 20,
};

fn pattern(bytes: []u8, seed: usize) void {
    for (bytes, 0..) |*byte, i| byte.* = @truncate((i +% seed) *% 31 +% (i >> 8));
}

test "large frames cut anywhere arrive whole: a byte would be lost between two buffers" {
    const payload = try allocator.alloc(u8, 1 << 20);
    defer allocator.free(payload);
    for (0..20) |seed| {
        var target: Target = undefined;
        try target.init(seed, .shaky);
        defer target.deinit();
        const other = try target.world.add();
        const push = try other.open(.push);
        _ = try other.connect(push, target.address);
        try target.world.settle();
        for (large_sizes, 0..) |size, i| {
            pattern(payload[0..size], i);
            const parts: []const []const u8 = &.{ "head", payload[0..size], payload[0..17], "" };
            if (seed % 2 == 0) {
                try other.send_borrowed(push, parts);
            } else try other.send(push, parts);
            try other.send(push, &.{payload[0..size]});
            other.context.flush();
            try target.world.settle();
            try target.owner.expect(target.pull, parts);
            try target.owner.expect(target.pull, &.{payload[0..size]});
        }
        try testing.expectEqual(0, target.owner.buffers_held());
    }
}

test "the payload of a borrowed send is its owner's again: what arrives would change under way" {
    var target: Target = undefined;
    try target.init(3, .{ .stream_bytes_max = 1000 });
    defer target.deinit();
    const other = try target.world.add();
    const push = try other.open(.push);
    _ = try other.connect(push, target.address);
    try target.world.settle();
    const payload = try allocator.alloc(u8, 100_000);
    defer allocator.free(payload);
    const expected = try allocator.alloc(u8, payload.len);
    defer allocator.free(expected);
    pattern(expected, 7);
    pattern(payload, 7);
    try other.send_borrowed(push, &.{ payload, "x", payload[0..2000] });
    @memset(payload, 0xaa);
    try target.world.settle();
    try target.owner.expect(target.pull, &.{ expected, "x", expected[0..2000] });
}

test "a borrowed payload is given back before its message is complete: it would change under way" {
    var target: Target = undefined;
    try target.init(3, .{});
    defer target.deinit();
    const other = try target.world.add();
    const push = try other.open(.push);
    _ = try other.connect(push, target.address);
    try target.world.settle();
    const payload = try allocator.alloc(u8, 50_000);
    defer allocator.free(payload);
    const slot = other.slot(push);
    for (0..3) |_| {
        pattern(payload, 7);
        try other.context.send(slot, payload, true, true);
        other.context.release_borrowed();
        @memset(payload, 0xaa);
        try other.context.send(slot, "end", false, true);
        other.context.release_borrowed();
        try target.world.settle();
        pattern(payload, 7);
        try target.owner.expect(target.pull, &.{ payload, "end" });
    }
}

test "a connection that dies inside a large frame gives its buffer back: each would cost 16 MiB" {
    var target: Target = undefined;
    try target.init(1, .{});
    defer target.deinit();
    const payload = try allocator.alloc(u8, 200_000);
    defer allocator.free(payload);
    pattern(payload, 1);
    const live_bytes = target.owner.live_bytes();
    for (0..100) |round| {
        var mock: Mock = try .dial(&target.world, target.address);
        defer mock.deinit();
        try mock.handshake(&target.world, "PUSH");
        try mock.send_message(&.{"whole"});
        mock.send("\x01\x04half");
        mock.send("\x02\x00\x00\x00\x00\x00\x03\x0d\x40");
        mock.send(payload[0 .. round * 1999]);
        try target.world.settle();
        if (round % 2 == 0) mock.peer.close() else mock.peer.shutdown();
        try target.world.settle();
        try target.owner.expect(target.pull, &.{"whole"});
        try target.owner.expect_none(target.pull);
        try testing.expectEqual(round + 1, target.owner.abandoned);
        try testing.expectEqual(0, target.owner.buffers_held());
    }
    // The monitor's and the socket's own memory is not in the slabs.
    try testing.expect(target.owner.live_bytes() <= live_bytes);
}

test "a frame above one step grows its buffer as bytes come: nothing is paid on a promise" {
    var target: Target = undefined;
    try target.init(1, .{});
    defer target.deinit();
    const size = constants.large_step_bytes * 5 + 12345;
    const payload = try allocator.alloc(u8, size);
    defer allocator.free(payload);
    pattern(payload, 5);
    var mock: Mock = try .dial(&target.world, target.address);
    defer mock.deinit();
    try mock.handshake(&target.world, "PUSH");
    var header: [9]u8 = undefined;
    mock.send(header[0..frame.encode(&header, 0, size)]);
    try target.world.settle();
    try testing.expectEqual(constants.large_step_bytes, target.owner.buffer_bytes_max);
    var rest: []const u8 = payload;
    while (rest.len > 0) {
        const step = @min(rest.len, 1_000_003);
        mock.send(rest[0..step]);
        rest = rest[step..];
        try target.world.settle();
        const received = size - rest.len;
        try testing.expect(target.owner.buffer_bytes_max <= 4 * @max(
            received,
            constants.large_step_bytes,
        ));
    }
    try target.owner.expect(target.pull, &.{payload});
    try testing.expectEqual(3, target.owner.buffer_requests);
}

test "nine connections with long tails all get their turn: two of them would wait for ever" {
    var target: Target = undefined;
    try target.init(1, .{});
    defer target.deinit();
    const other = try target.owner.open(.pull);
    const other_address = try target.owner.bind(other);
    const body: [constants.arena_frame_bytes_max]u8 = @splat('t');
    // Somebody does not take what came: half of the arena stays in use.
    var unread: Mock = try .dial(&target.world, other_address);
    defer unread.deinit();
    try unread.handshake(&target.world, "PUSH");
    try unread.send_message(&.{body[0..30_000]});
    try target.world.settle();
    try target.owner.context.fill(target.owner.slot(other));
    var mocks: [9]Mock = undefined;
    for (&mocks) |*mock| {
        mock.* = try .dial(&target.world, target.address);
        try mock.handshake(&target.world, "PUSH");
        var header: [9]u8 = undefined;
        mock.send(header[0..frame.encode(&header, 0, body.len)]);
        mock.send(body[0 .. body.len - 1]);
        try target.world.settle();
    }
    defer for (&mocks) |*mock| mock.deinit();
    for (&mocks) |*mock| {
        mock.send("t");
        try target.world.settle();
        try target.owner.expect(target.pull, &.{&body});
    }
    try target.owner.expect(other, &.{body[0..30_000]});
}

test "what is not taken in a turn stays as it is: unread messages would be overwritten" {
    for (0..10) |seed| {
        var target: Target = undefined;
        try target.init(seed, .shaky);
        defer target.deinit();
        const prng = &target.world.network.prng;
        var pulls: [3]u32 = undefined;
        var mocks: [3]Mock = undefined;
        for (&pulls, &mocks) |*pull, *mock| {
            pull.* = try target.owner.open(.pull);
            target.owner.slot(pull.*).socket.options.receive_high_water_mark = 0;
            mock.* = try .dial(&target.world, try target.owner.bind(pull.*));
            try mock.handshake(&target.world, "PUSH");
        }
        defer for (&mocks) |*mock| mock.deinit();
        var sent: [3]u64 = @splat(0);
        var taken: [3]u64 = @splat(0);
        for (0..400) |_| {
            const i: usize = @intCast(prng.below(3));
            switch (prng.below(4)) {
                // Filled, but not taken.
                0 => try target.owner.context.fill(target.owner.slot(pulls[i])),
                1 => for (0..@intCast(prng.below(20))) |_| {
                    if (taken[i] == sent[i]) break;
                    try expect_numbered(target.owner, pulls[i], taken[i]);
                    taken[i] += 1;
                },
                else => {
                    for (0..@intCast(prng.below(30))) |_| {
                        try send_numbered(&mocks[i], sent[i]);
                        sent[i] += 1;
                    }
                    try target.world.settle();
                },
            }
        }
        for (pulls, sent, &taken) |pull, count, *done| {
            while (done.* < count) : (done.* += 1) try expect_numbered(target.owner, pull, done.*);
            try target.owner.expect_none(pull);
        }
        try testing.expect(target.owner.context.resources.arena.spilled_bytes > 0);
    }
}

fn numbered(number: u64, parts: *[3][]const u8, buffer: []u8) []const []const u8 {
    std.mem.writeInt(u64, buffer[0..8], number, .little);
    const size: usize = @intCast(8 + (number *% 2654435761) % (buffer.len - 8));
    for (buffer[8..size], 8..) |*byte, i| byte.* = @truncate(i +% number);
    parts.* = .{ buffer[0..size], buffer[0..@intCast(number % 40)], buffer[0..8] };
    return parts[0..@intCast(1 + number % 3)];
}

fn send_numbered(mock: *Mock, number: u64) !void {
    var parts: [3][]const u8 = undefined;
    var buffer: [1500]u8 = undefined;
    try mock.send_message(numbered(number, &parts, &buffer));
}

fn expect_numbered(owner: *worlds.Owner, pull: u32, number: u64) !void {
    var parts: [3][]const u8 = undefined;
    var buffer: [1500]u8 = undefined;
    try owner.expect(pull, numbered(number, &parts, &buffer));
}

test "a chunk with views is never written again: a kept Buffer would change" {
    var target: Target = undefined;
    try target.init(1, .{});
    defer target.deinit();
    target.owner.slot(target.pull).socket.options.receive_high_water_mark = 0;
    var mock: Mock = try .dial(&target.world, target.address);
    defer mock.deinit();
    try mock.handshake(&target.world, "PUSH");
    var views: std.ArrayList([]const u8) = .empty;
    defer views.deinit(allocator);
    var payload: [3000]u8 = undefined;
    for (0..300) |i| {
        @memset(&payload, @truncate(i));
        try mock.send_message(&.{&payload});
        try target.world.settle();
        const slot = target.owner.slot(target.pull);
        try target.owner.context.fill(slot);
        const ring = &slot.socket.ring;
        const entry = ring.shared[ring.cursor.taken % ring.shared.len];
        try testing.expect(entry.flags & 2 != 0);
        try views.append(allocator, target.owner.arena[entry.place..][0..entry.length]);
        ring.cursor.taken +%= 1;
        target.owner.context.resources.arena.viewed = true;
    }
    for (views.items, 0..) |view, i| {
        try testing.expectEqual(3000, view.len);
        try testing.expect(std.mem.allEqual(u8, view, @truncate(i)));
    }
    try testing.expect(target.owner.chunks.items.len >= 10);
}

test "a message with more parts than the ring holds is handed out in pieces: it would be stuck" {
    var target: Target = undefined;
    try target.init(1, .{});
    defer target.deinit();
    var mock: Mock = try .dial(&target.world, target.address);
    defer mock.deinit();
    try mock.handshake(&target.world, "PUSH");
    for ([_]usize{ 511, 512, 513, 1024, 1025, 5000 }) |count| {
        for (0..3) |_| {
            for (0..count - 1) |i| try mock.send_frame(1, &.{@truncate(i)});
            try mock.send_frame(0, "last");
        }
        try target.world.settle();
        for (0..3) |_| {
            var message = (try target.owner.take(target.pull)).?;
            defer message.deinit();
            try testing.expectEqual(count, message.parts.items.len);
            for (message.parts.items[0 .. count - 1], 0..) |part, i| {
                try testing.expectEqualSlices(u8, &.{@as(u8, @truncate(i))}, part);
            }
            try testing.expectEqualStrings("last", message.parts.items[count - 1]);
        }
    }
}
