//! Heartbeats on a virtual clock: who lives keeps its connection whatever else happens, who is dead
//! loses it in time.

const std = @import("std");
const testing = std.testing;

const Address = @import("../io/address.zig").Address;
const command = @import("../zmtp/command.zig");
const frame = @import("../zmtp/frame.zig");
const SocketOptions = @import("../options.zig").SocketOptions;
const time = @import("../stdx/time.zig");
const worlds = @import("world.zig");
const Mock = worlds.Mock;
const Owner = worlds.Owner;
const World = worlds.World;

const allocator = testing.allocator;
const address: Address = .ipv4(.{ 127, 0, 0, 1 }, 5555);

/// A PULL with heartbeats, and a PUSH made of bytes.
const Setting = struct {
    world: World,
    owner: *Owner,
    pull: u32,
    mock: Mock,
    /// Of the last PING.
    context: [4]u8,

    const How = struct { interval: u32, timeout: i32 = -1, ttl: u32 = 0 };

    fn init(setting: *Setting, how: How) !void {
        setting.world.init(1, .{});
        setting.owner = try setting.world.add();
        setting.pull = try setting.owner.open(.pull);
        const it = setting.options();
        it.heartbeat_interval_ms = how.interval;
        it.heartbeat_timeout_ms = how.timeout;
        it.heartbeat_ttl_ms = how.ttl;
        it.receive_high_water_mark = 1;
        _ = try setting.owner.context.bind(setting.pull, &address);
        setting.mock = try .dial(&setting.world, address);
        try setting.mock.handshake(&setting.world, "PUSH");
    }

    fn deinit(setting: *Setting) void {
        setting.mock.deinit();
        setting.world.deinit();
    }

    fn options(setting: *Setting) *SocketOptions {
        return setting.owner.slot(setting.pull).socket.options;
    }

    /// The next frame is a PING; its TTL and context.
    fn expect_ping(setting: *Setting) !command.Ping {
        const mock = &setting.mock;
        try mock.pump();
        const body = (try mock.next_frame(frame.flag_command)) orelse return error.NoPing;
        defer allocator.free(body);
        const parsed = try command.parse(body);
        try testing.expectEqual(.ping, parsed.name);
        const ping = try command.parse_ping(parsed.data);
        try testing.expectEqual(4, ping.context.len);
        setting.context = ping.context[0..4].*;
        return .{ .ttl = ping.ttl, .context = &setting.context };
    }

    fn answer(setting: *Setting, context: []const u8) !void {
        var buffer: [command.pong_frame_size_max]u8 = undefined;
        setting.mock.send(command.encode_pong(&buffer, context));
        try setting.world.settle();
    }

    fn expect_alive(setting: *Setting) !void {
        try testing.expect(!setting.mock.peer.ended());
        try testing.expectEqual(0, setting.owner.record(setting.pull).heartbeats_failed);
    }

    fn expect_dead(setting: *Setting) !void {
        try testing.expect(setting.mock.peer.ended());
        try setting.owner.expect_ended(setting.pull, .heartbeat_timeout);
        try testing.expectEqual(1, setting.owner.record(setting.pull).heartbeats_failed);
    }

    fn round_trip_us(setting: *Setting) !u32 {
        var peers: [2]@import("../context.zig").PeerStats = undefined;
        const slot = setting.owner.slot(setting.pull);
        try testing.expectEqual(1, setting.owner.context.peers(slot, 0, &peers));
        return peers[0].round_trip_us;
    }
};

test "a peer that answers stays, and its round trip is known: healthy links would cycle" {
    var setting: Setting = undefined;
    try setting.init(.{ .interval = 100 });
    defer setting.deinit();
    try testing.expectEqual(0, try setting.round_trip_us());
    try setting.world.run(150);
    for (0..50) |_| {
        const ping = try setting.expect_ping();
        try testing.expectEqual(0, ping.ttl);
        try setting.world.run(7);
        try setting.answer(ping.context);
        try setting.mock.expect_nothing();
        const round_trip_us = try setting.round_trip_us();
        try testing.expect(round_trip_us >= 7000 and round_trip_us < 60_000);
        try setting.world.run(93);
    }
    try setting.expect_alive();
}

test "a silent peer is taken for dead after interval and timeout: it would be waited for for ever" {
    var setting: Setting = undefined;
    try setting.init(.{ .interval = 100, .timeout = 300 });
    defer setting.deinit();
    try setting.world.run(150);
    _ = try setting.expect_ping();
    try setting.answer("");
    // PINGs go on meanwhile, and do not put it off.
    try setting.world.run(330);
    try setting.expect_alive();
    try setting.world.run(120);
    try setting.expect_dead();
    try testing.expectEqual(0, setting.owner.context.timers.count);
}

test "with a timeout of 0 a silent peer is never taken for dead" {
    var setting: Setting = undefined;
    try setting.init(.{ .interval = 100, .timeout = 0 });
    defer setting.deinit();
    try setting.world.run(10_000);
    try setting.expect_alive();
    _ = try setting.expect_ping();
}

test "bytes of an unfinished frame are a sign of life: a long transfer would be cut off" {
    var setting: Setting = undefined;
    try setting.init(.{ .interval = 100 });
    defer setting.deinit();
    var header: [frame.header_size_max]u8 = undefined;
    setting.mock.send(header[0..frame.encode(&header, 0, 1000)]);
    for (0..1000) |_| {
        setting.mock.send("x");
        try setting.world.run(60);
    }
    try setting.expect_alive();
    var message = (try setting.owner.take(setting.pull)).?;
    defer message.deinit();
    try testing.expectEqual(1000, message.parts.items[0].len);
}

test "a full pipe suspends the timeout, and nothing is lost: libzmq cuts this link and loses" {
    var setting: Setting = undefined;
    try setting.init(.{ .interval = 100, .timeout = 50 });
    defer setting.deinit();
    var numbers: [100][]const u8 = undefined;
    for (&numbers, 0..) |*number, i| {
        number.* = try std.fmt.allocPrint(allocator, "{d}", .{i});
        try setting.mock.send_message(&.{number.*});
        // A recv of its own for each: one at a time fits.
        try setting.world.settle();
    }
    defer for (numbers) |number| allocator.free(number);
    // It answers what it can see, and sends nothing of its own.
    for (numbers) |number| {
        try setting.world.run(300);
        try setting.owner.expect(setting.pull, &.{number});
    }
    // What it did not answer while we did not read does not count against it.
    try setting.expect_alive();
    try setting.world.run(300);
    try setting.expect_dead();
}

test "who pings gets PONGs while we do not read: its timeout would cut a healthy link" {
    var setting: Setting = undefined;
    try setting.init(.{ .interval = 0 });
    defer setting.deinit();
    const ping = "\x04\x07\x04PING\x00\x00";
    setting.mock.send(ping);
    try setting.world.settle();
    try setting.mock.pump();
    try setting.mock.expect_frame(frame.flag_command, "\x04PONG");
    try setting.mock.send_message(&.{"first"});
    try setting.world.settle();
    // From here on nothing is read.
    var longest_ms: u32 = 0;
    var silent_ms: u32 = 0;
    for (0..1000) |i| {
        if (i % 100 == 0) setting.mock.send(ping);
        if (i == 5) try setting.mock.send_message(&.{"second"});
        try setting.world.run(10);
        try setting.mock.pump();
        silent_ms += 10;
        while (try setting.mock.next_frame(frame.flag_command)) |body| {
            defer allocator.free(body);
            try testing.expectEqualStrings("\x04PONG", body);
            longest_ms = @max(longest_ms, silent_ms);
            silent_ms = 0;
        }
    }
    try testing.expect(longest_ms > 0 and longest_ms <= 510);
    try testing.expect(silent_ms <= 510);
    try setting.owner.expect(setting.pull, &.{"first"});
    try setting.world.settle();
    try setting.owner.expect(setting.pull, &.{"second"});
    // Those that were unread are answered now, and then there is silence: nobody asks.
    try setting.world.run(1000);
    try setting.mock.pump();
    while (try setting.mock.next_frame(frame.flag_command)) |body| allocator.free(body);
    try setting.world.run(10_000);
    try setting.mock.expect_nothing();
    try testing.expectEqual(0, setting.owner.context.timers.count);
}

test "a peer that had said all before the pipe was full wakes nobody: idle means idle" {
    var setting: Setting = undefined;
    try setting.init(.{ .interval = 0 });
    defer setting.deinit();
    setting.mock.send("\x04\x07\x04PING\x00\x00");
    try setting.world.settle();
    try setting.mock.pump();
    try setting.mock.expect_frame(frame.flag_command, "\x04PONG");
    try setting.mock.send_message(&.{"only"});
    try setting.world.run(1000);
    const turns = setting.owner.turns;
    try setting.world.run(100_000);
    try testing.expect(setting.owner.turns - turns <= 2);
    try setting.mock.expect_nothing();
}

test "the time to live that a peer gives ends its connection, unless something comes" {
    var setting: Setting = undefined;
    try setting.init(.{ .interval = 0 });
    defer setting.deinit();
    setting.mock.send("\x04\x07\x04PING\x00\x05");
    try setting.world.run(400);
    setting.mock.send("\x04\x07\x04PING\x00\x05");
    try setting.world.run(400);
    setting.mock.send("\x04\x07\x04PING\x00\x05");
    try setting.world.run(499);
    try setting.expect_alive();
    try setting.world.run(120);
    try setting.expect_dead();
}

test "a time to live without a PING behind it does not end a connection that talks" {
    var setting: Setting = undefined;
    try setting.init(.{ .interval = 0 });
    defer setting.deinit();
    setting.options().receive_high_water_mark = 0;
    setting.mock.send("\x04\x07\x04PING\x00\x05");
    try setting.world.run(300);
    setting.mock.send("\x00");
    try setting.world.run(10_000);
    try setting.expect_alive();
}

test "our time to live is cut to what libzmq can count: it would drop us after 64 ms" {
    const cases = [_][2]u32{ .{ 99, 0 }, .{ 100, 1 }, .{ 65_500, 655 }, .{ 70_000, 655 } };
    for (cases) |case| {
        var setting: Setting = undefined;
        try setting.init(.{ .interval = 100, .ttl = case[0] });
        defer setting.deinit();
        try setting.world.run(150);
        const ping = try setting.expect_ping();
        try testing.expectEqual(case[1], ping.ttl);
    }
}

test "a PONG that was not asked for tells nothing of the round trip" {
    var setting: Setting = undefined;
    try setting.init(.{ .interval = 100 });
    defer setting.deinit();
    try setting.world.run(150);
    const ping = try setting.expect_ping();
    var other = setting.context;
    other[0] +%= 1;
    try setting.answer(&other);
    try setting.answer("");
    try setting.answer(ping.context[0..3]);
    try setting.answer("0123456789abcdef");
    try testing.expectEqual(0, try setting.round_trip_us());
    try setting.answer(ping.context);
    const round_trip_us = try setting.round_trip_us();
    try testing.expect(round_trip_us > 0);
    // The same again, later, is no answer any more.
    try setting.world.run(20);
    try setting.answer(ping.context);
    try testing.expectEqual(round_trip_us, try setting.round_trip_us());
}

test "a PING does not count towards the high-water mark, and does not part a message" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    const options = owner.slot(push).socket.options;
    options.heartbeat_interval_ms = 100;
    options.heartbeat_timeout_ms = 0;
    options.send_high_water_mark = 1;
    _ = try owner.context.bind(push, &address);
    var mock: Mock = try .dial(&world, address);
    defer mock.deinit();
    try mock.handshake(&world, "PULL");
    mock.peer.limit_inbox(0);
    try world.run(1000);
    // A PING waits; the one message that fits still does.
    try owner.context.send(owner.slot(push), "a", true, false);
    try world.run(1000);
    try owner.context.send(owner.slot(push), "b", false, false);
    try testing.expectError(error.WouldBlock, owner.send(push, &.{"c"}));
    mock.peer.limit_inbox(1000);
    try mock.pump();
    try world.settle();
    try mock.pump();
    const ping = (try mock.next_frame(frame.flag_command)).?;
    defer allocator.free(ping);
    try testing.expectEqualStrings("\x04PING", ping[0..5]);
    try mock.expect_message(&.{ "a", "b" });
    try mock.expect_nothing();
}

test "a peer that takes nothing is given time while its kernel answers, and no longer" {
    for ([_]bool{ false, true }) |cut| {
        var world: World = undefined;
        world.init(1, .{});
        defer world.deinit();
        const owner = try world.add();
        const push = try owner.open(.push);
        const options = owner.slot(push).socket.options;
        options.heartbeat_interval_ms = 100;
        _ = try owner.context.bind(push, &address);
        var mock: Mock = try .dial(&world, address);
        defer mock.deinit();
        try mock.handshake(&world, "PULL");
        mock.peer.limit_inbox(0);
        try owner.send(push, &.{"message"});
        mock.peer.endpoint.peer.?.cut = cut;
        try world.run(10_000);
        if (cut) {
            try owner.expect_ended(push, .heartbeat_timeout);
            continue;
        }
        try testing.expectEqual(0, owner.record(push).heartbeats_failed);
        mock.peer.limit_inbox(1000);
        try mock.pump();
        try world.settle();
        try mock.expect_message(&.{"message"});
    }
}

test "a thousand idle connections with heartbeats beat together: each would wake us by itself" {
    var world: World = undefined;
    world.init(1, .{ .latency_ns_max = 1 });
    defer world.deinit();
    const server = try world.add();
    const client = try world.add();
    const pull = try server.open(.pull);
    _ = try server.context.bind(pull, &address);
    const push = try client.open(.push);
    for ([_]*Owner{ server, client }, [_]u32{ pull, push }) |owner, socket| {
        const options = owner.slot(socket).socket.options;
        options.heartbeat_interval_ms = 1000;
        options.heartbeat_ttl_ms = 5000;
        options.backlog = 1000;
    }
    for (0..1000) |_| {
        _ = try client.connect(push, address);
        try world.run(3);
    }
    try world.run(5000);
    try testing.expectEqual(1000, server.record(pull).connections);
    // Nothing takes time here, so each moment at which something happens is a wake-up.
    var moments: u32 = 0;
    const until = world.network.now_ns + 10 * time.ns_per_s;
    while (world.network.advance(until)) {
        moments += 1;
        for (0..4) |_| {
            _ = try server.turn();
            _ = try client.turn();
        }
        const now_ns = world.network.now_ns;
        while (world.network.advance(now_ns)) {
            _ = try server.turn();
            _ = try client.turn();
        }
    }
    try testing.expect(moments >= 10 and moments <= 40);
    try testing.expectEqual(0, server.record(pull).heartbeats_failed);
    try testing.expectEqual(0, client.record(push).heartbeats_failed);
}

test "who never pinged gets no PONG while we do not read: it may have closed, and lose by it" {
    var setting: Setting = undefined;
    try setting.init(.{ .interval = 0 });
    defer setting.deinit();
    for ([_][]const u8{ "one", "two" }) |text| {
        try setting.mock.send_message(&.{text});
        try setting.world.run(1000);
    }
    try setting.mock.expect_nothing();
    try testing.expectEqual(0, setting.owner.context.timers.count);
}

test "a close lets a peer with heartbeats read to the end: its PONG would reset what is left" {
    for ([_]struct { i32, bool }{ .{ 10_000, true }, .{ 10_000, false }, .{ 0, false } }) |case| {
        var setting: Setting = undefined;
        try setting.init(.{ .interval = 100, .timeout = 0 });
        defer setting.deinit();
        try setting.world.run(150);
        const linger_ms, const reads = case;
        setting.owner.context.close(setting.pull, linger_ms);
        try setting.world.run(5000);
        try testing.expect(setting.mock.peer.ended());
        const sessions = &setting.owner.context.session_table;
        // Half open: it may still say something, which goes nowhere.
        try testing.expectEqual(@intFromBool(linger_ms > 0), sessions.count());
        if (linger_ms > 0) try setting.mock.send_message(&.{"unheard"});
        try setting.world.settle();
        if (reads) {
            setting.mock.peer.close();
            try setting.world.settle();
            try testing.expectEqual(0, sessions.count());
        }
        // One that stays is left when linger is over.
        try setting.world.run(5100);
        try testing.expectEqual(0, sessions.count());
        try testing.expectEqual(0, setting.owner.context.slots.count());
    }
}
