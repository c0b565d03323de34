//! Links of ours with PLAIN, CURVE and an owner that is asked: whatever the network does to the
//! bytes of honest peers, they come together and every message arrives once, whole and in order.

const std = @import("std");
const testing = std.testing;

const constants = @import("../constants.zig");
const relocate = @import("relocation_test.zig").relocate;
const secured = @import("secured.zig");
const Kind = secured.Kind;
const Middle = secured.Middle;
const Pair = secured.Pair;
const Type = @import("../socket/socket.zig").Type;
const worlds = @import("world.zig");
const Owner = worlds.Owner;

const allocator = testing.allocator;

/// In one direction two pieces, in the other as it comes.
const Cut = struct {
    direction: Middle.Direction,
    at: usize,

    pub fn apply(cut: Cut, direction: Middle.Direction, begin: usize, bytes: []u8) usize {
        if (direction != cut.direction) return bytes.len;
        if (cut.at <= begin or cut.at >= begin + bytes.len) return bytes.len;
        return cut.at - begin;
    }
};

const said = [_][]const []const u8{
    &.{"one"},
    &.{ "of", "", "three parts" },
    &.{""},
    &.{"x" ** 300},
};

fn expect_dialogue(pair: *Pair, middle: *Middle, change: anytype) !void {
    for (said) |parts| try pair.client.send(pair.connecting, parts);
    try middle.run(change);
    for (said) |parts| try pair.server.expect(pair.bound, parts);
    for (said) |parts| try pair.server.send(pair.bound, parts);
    try middle.run(change);
    for (said) |parts| try pair.client.expect(pair.connecting, parts);
    try pair.server.expect_none(pair.bound);
    try testing.expect(!middle.near.peer.ended() and !middle.far.peer.ended());
}

/// Bytes that each direction had.
fn dialogue(pair: *Pair, change: anytype) ![2]usize {
    try pair.open(.pair, .pair);
    var middle: Middle = try .init(pair);
    defer middle.deinit();
    try expect_dialogue(pair, &middle, change);
    try pair.close();
    return middle.passed;
}

test "two of ours with a mechanism come together in every two pieces: one cut would part them" {
    for (Kind.all) |kind| {
        var pair: Pair = undefined;
        try pair.init(kind, .pair, .pair, .{ .latency_ns_max = 1 });
        defer pair.deinit();
        try pair.close();
        const bytes = try dialogue(&pair, Middle.Honest{});
        var dialogues: u32 = 0;
        for ([_]Middle.Direction{ .to_server, .to_client }) |direction| {
            for (1..bytes[@intFromEnum(direction)]) |at| {
                errdefer std.debug.print("{t}, {t}, cut at {d}\n", .{ kind, direction, at });
                const again = try dialogue(&pair, Cut{ .direction = direction, .at = at });
                try testing.expectEqual(bytes, again);
                dialogues += 1;
                // A network remembers every stream that it ever had.
                if (dialogues % 50 > 0) continue;
                pair.deinit();
                try pair.init(kind, .pair, .pair, .{ .latency_ns_max = 1 });
                try pair.close();
            }
        }
        try testing.expect(dialogues > 800);
    }
}

/// Where frames of the wire and of the arena change their form.
const sizes = [_]usize{
    0,              1,              64,                            221,            222,
    223,            255,            256,                           2000,           32_000,
    32 * 1024 - 50, 32 * 1024 - 33, 32 * 1024,                     32 * 1024 + 1,  60_000,
    64 * 1024 - 42, 64 * 1024,      64 * 1024 + 1,                 200_000,        1 << 20,
    3,              70_000,         constants.arena_bytes_default, (1 << 20) + 77,
};

fn exchange(pair: *Pair, payload: []const u8) !void {
    for (sizes, 0..) |size, number| {
        const third = payload[0 .. size / 3];
        const parts: []const []const u8 = &.{ "head", payload[0..size], "", third };
        const sent = if (number % 2 == 0) parts else parts[1..2];
        const borrows = number % 3 == 0;
        const from: *Owner = if (number % 5 == 0) pair.server else pair.client;
        const there = from == pair.client;
        const source = if (there) pair.connecting else pair.bound;
        const target = if (there) pair.bound else pair.connecting;
        const to: *Owner = if (there) pair.server else pair.client;
        if (borrows) try from.send_borrowed(source, sent) else try from.send(source, sent);
        try pair.world.settle();
        to.expect(target, sent) catch |failure| {
            std.debug.print("{d} bytes\n", .{size});
            return failure;
        };
    }
}

test "messages of every size go through every mechanism on a bad network: large ones are torn" {
    const payload = try allocator.alloc(u8, 2 << 20);
    defer allocator.free(payload);
    var prng: @import("../stdx/prng.zig").Prng = .init(3);
    prng.fill(payload);
    for (Kind.all) |kind| for ([_]worlds.Options{ .{}, .shaky }) |options| {
        errdefer std.debug.print("{t}\n", .{kind});
        var pair: Pair = undefined;
        try pair.init(kind, .pair, .pair, options);
        defer pair.deinit();
        try pair.connect();
        try exchange(&pair, payload);
        try pair.server.expect_none(pair.bound);
        try pair.client.expect_none(pair.connecting);
        try testing.expectEqual(0, pair.server.buffers_held());
        try testing.expectEqual(0, pair.server.context.resources.slabs.lent_bytes);
    };
}

test "subscriptions and heartbeats go inside CURVE: a publisher would stay deaf, a link would die" {
    for (Kind.all) |kind| {
        errdefer std.debug.print("{t}\n", .{kind});
        var pair: Pair = undefined;
        try pair.init(kind, .@"pub", .sub, .shaky);
        defer pair.deinit();
        const subscriber = &pair.client.slot(pair.connecting).socket;
        for ([_]*worlds.Slot{
            pair.client.slot(pair.connecting),
            pair.server.slot(pair.bound),
        }) |slot| {
            slot.socket.options.heartbeat_interval_ms = 20;
            slot.socket.options.heartbeat_timeout_ms = 60;
        }
        const long = try allocator.alloc(u8, 100_000);
        defer allocator.free(long);
        @memset(long, 't');
        try subscriber.subscribe("before", true);
        try subscriber.subscribe(long, true);
        try pair.connect();
        try subscriber.subscribe("after", true);
        try subscriber.subscribe("cancelled", true);
        try subscriber.subscribe("cancelled", false);
        pair.client.context.flush();
        try pair.world.run(1000);
        const topics = [_][]const u8{ "cancelled", "before", "after", "none", long };
        for (topics) |topic| try pair.server.send(pair.bound, &.{ topic, "news" });
        try pair.world.run(1000);
        for ([_]usize{ 1, 2, 4 }) |index| {
            try pair.client.expect(pair.connecting, &.{ topics[index], "news" });
        }
        try pair.client.expect_none(pair.connecting);
        // Nobody was missed, and there was something that could have been.
        const owners = [_]*Owner{ pair.client, pair.server };
        for (owners, [_]u32{ pair.connecting, pair.bound }) |it, socket| {
            const session = secured.session_of(it, socket);
            try testing.expect(session.pipe.totals.commands_in > 20);
            try testing.expectEqual(1, it.record(socket).connections);
            try testing.expectError(error.NoSuchEvent, it.next_event(socket, .disconnected));
        }
    }
}

/// What is queued while connections die under it, and sockets move to other threads.
const Storm = struct {
    pair: Pair,
    other: *Owner,
    policy: Policy,
    seen: std.DynamicBitSetUnmanaged = .{},
    taken: u32 = 0,
    newest: u32 = 0,
    sent: u32 = 0,
    moves: u32 = 0,

    const Policy = enum { none, conflate, drop_newest, drop_oldest };

    fn init(storm: *Storm, kind: Kind, policy: Policy, seed: u64) !void {
        const publishes = policy == .drop_newest or policy == .drop_oldest;
        var options: worlds.Options = .shaky;
        options.stream_bytes_max = 20_000;
        storm.* = .{ .pair = undefined, .other = undefined, .policy = policy };
        const pair = &storm.pair;
        const ours: [2]Type = if (publishes) .{ .sub, .@"pub" } else .{ .pull, .push };
        try pair.init(kind, ours[0], ours[1], options);
        errdefer pair.deinit();
        pair.world.network.prng = .init(seed);
        storm.other = try pair.world.add();
        const own = pair.client.slot(pair.connecting).socket.options;
        own.reconnect_interval_ms = 1;
        own.send_high_water_mark = 40;
        own.send_high_water_mark_policy = if (policy == .drop_oldest) 1 else 0;
        own.conflate = @intFromBool(policy == .conflate);
        const socket = &pair.server.slot(pair.bound).socket;
        if (publishes) try socket.subscribe("", true);
        try pair.connect();
        pair.world.network.options.reset = 10;
        pair.world.network.options.transfer_fails = 10;
    }

    fn deinit(storm: *Storm) void {
        storm.seen.deinit(allocator);
        storm.pair.deinit();
    }

    fn step(storm: *Storm) !void {
        const network = &storm.pair.world.network;
        switch (network.prng.below(64)) {
            0 => try storm.move(),
            1...30 => try storm.send(@intCast(network.prng.below(300))),
            31...33 => try storm.send(@intCast(network.prng.below(50_000))),
            34...44 => try storm.take(),
            45...50 => storm.pair.client.context.flush(),
            else => for (storm.pair.world.owners.items) |owner| {
                _ = try owner.turn();
            },
        }
        _ = network.advance(network.now_ns + network.prng.below(100_000));
    }

    fn move(storm: *Storm) !void {
        const pair = &storm.pair;
        const network = &pair.world.network;
        storm.moves += 1;
        if (network.prng.boolean()) {
            pair.connecting = try relocate(pair.client, pair.connecting, storm.other);
            std.mem.swap(*Owner, &pair.client, &storm.other);
            // Before a turn: something may have to give way.
            for (0..network.prng.below(3)) |_| try storm.send(@intCast(network.prng.below(300)));
            return;
        }
        // A proxy gets what was taken out already, and moves it on before anything else.
        while (pair.server.slot(pair.bound).socket.ring.waiting() > 0) try storm.take();
        pair.bound = try relocate(pair.server, pair.bound, storm.other);
        std.mem.swap(*Owner, &pair.server, &storm.other);
    }

    /// It tells its number, and is all of one byte.
    fn send(storm: *Storm, size: usize) !void {
        var buffer: [50_008]u8 = undefined;
        std.mem.writeInt(u32, buffer[0..4], storm.sent, .little);
        std.mem.writeInt(u32, buffer[4..8], @intCast(size), .little);
        @memset(buffer[8..][0..size], @truncate(storm.sent));
        // One message is one part where the newest counts.
        const whole = [_][]const u8{buffer[0 .. 8 + size]};
        const parts = [_][]const u8{ buffer[0..8], buffer[8..][0..size], "end" };
        const message: []const []const u8 = if (storm.policy == .conflate) &whole else &parts;
        const pair = &storm.pair;
        const result = if (storm.sent % 3 == 0)
            pair.client.send_borrowed(pair.connecting, message)
        else
            pair.client.send(pair.connecting, message);
        result catch |failure| switch (failure) {
            error.WouldBlock => return,
            else => return failure,
        };
        storm.sent += 1;
    }

    fn take(storm: *Storm) !void {
        const pair = &storm.pair;
        while (try pair.server.take(pair.bound)) |taken| {
            var message = taken;
            defer message.deinit();
            const parts = message.parts.items;
            try testing.expectEqual(@as(usize, if (storm.policy == .conflate) 1 else 3), parts.len);
            const number = std.mem.readInt(u32, parts[0][0..4], .little);
            const payload = if (parts.len == 1) parts[0][8..] else parts[1];
            try testing.expectEqual(std.mem.readInt(u32, parts[0][4..8], .little), payload.len);
            try testing.expect(std.mem.allEqual(u8, payload, @truncate(number)));
            if (parts.len == 3) try testing.expectEqualStrings("end", parts[2]);
            try storm.seen.resize(allocator, @max(storm.seen.bit_length, number + 1), false);
            // What has arrived whole is not sent again.
            try testing.expect(!storm.seen.isSet(number));
            storm.seen.set(number);
            storm.taken += 1;
            storm.newest = @max(storm.newest, number);
        }
    }

    /// The network is good again.
    fn expect_well(storm: *Storm) !void {
        const pair = &storm.pair;
        pair.world.network.options = .{};
        for (0..10) |_| {
            try pair.world.run(200);
            try storm.take();
        }
        const last = storm.sent;
        try storm.send(10);
        try pair.world.run(200);
        try storm.take();
        try testing.expectEqual(last, storm.newest);
    }
};

test "what is queued when a secured connection dies arrives whole on the next one, at most once" {
    var reconnects: u64 = 0;
    var moves: u32 = 0;
    for (Kind.all) |kind| for (std.enums.values(Storm.Policy)) |policy| for (0..3) |seed| {
        errdefer std.debug.print("{t}, {t}, seed {d}\n", .{ kind, policy, seed });
        var storm: Storm = undefined;
        try storm.init(kind, policy, seed);
        defer storm.deinit();
        for (0..2500) |_| try storm.step();
        try storm.expect_well();
        try testing.expect(storm.taken > 100);
        reconnects += storm.pair.client.record(storm.pair.connecting).reconnects_made;
        moves += storm.moves;
    };
    try testing.expect(reconnects > 50);
    try testing.expect(moves > 1000);
}
