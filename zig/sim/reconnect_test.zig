//! What comes after an attempt that failed: the next address, another attempt, or never again.

const std = @import("std");
const testing = std.testing;

const Address = @import("../io/address.zig").Address;
const SocketOptions = @import("../options.zig").SocketOptions;
const worlds = @import("world.zig");
const Mock = worlds.Mock;
const Owner = worlds.Owner;
const Peer = worlds.Peer;
const World = worlds.World;

const address: Address = .ipv4(.{ 127, 0, 0, 1 }, 5555);

/// A PUSH that connects, and the listener it finds.
const Setting = struct {
    world: World,
    owner: *Owner,
    push: u32,
    listener: Peer,

    fn init(setting: *Setting) !void {
        setting.world.init(1, .{});
        setting.owner = try setting.world.add();
        setting.push = try setting.owner.open(.push);
        setting.listener = setting.world.network.listen(&address);
    }

    fn deinit(setting: *Setting) void {
        setting.world.deinit();
    }

    fn options(setting: *Setting) *SocketOptions {
        return setting.owner.slot(setting.push).socket.options;
    }

    fn accept(setting: *Setting, ms: u64) !Mock {
        try setting.world.run(ms);
        return .{ .peer = setting.listener.accept() orelse return error.NoConnection };
    }

    /// Sends a connection of its own away with this answer.
    fn turn_away(setting: *Setting, bytes: []const u8) !void {
        var mock = try setting.accept(250);
        defer mock.deinit();
        mock.send(&worlds.greeting);
        mock.send(bytes);
        try setting.world.settle();
    }

    fn expect_stopped(setting: *Setting, reason: anytype) !void {
        const event = try setting.owner.next_event(setting.push, .connect_stopped);
        try testing.expectEqual(reason, event.reason);
        try testing.expectEqual(0, setting.owner.context.timers.count);
        try testing.expectEqual(0, setting.owner.context.session_table.count());
        try setting.world.run(100_000);
        try testing.expectEqual(null, setting.listener.accept());
    }
};

test "a peer that will never fit is left alone, and what was queued for it is counted" {
    const refusals = [_]struct { []const u8, @import("../core/monitor.zig").Reason }{
        .{ comptime worlds.ready("PUB"), .socket_type_mismatch },
        .{ "\x04\x0a\x05ERROR\x03400", .peer_error },
    };
    for (refusals) |refusal| {
        var setting: Setting = undefined;
        try setting.init();
        defer setting.deinit();
        _ = try setting.owner.connect(setting.push, address);
        for (0..5) |_| try setting.owner.send(setting.push, &.{ "a", "b" });
        try setting.turn_away(refusal[0]);
        try setting.expect_stopped(refusal[1]);
        try testing.expectEqual(5, setting.owner.record(setting.push).dropped_disconnect);
        try testing.expectError(error.Unroutable, setting.owner.send(setting.push, &.{"x"}));
        // Where somebody may still come, it is waited for.
        _ = try setting.owner.bind(setting.push);
        try testing.expectError(error.WouldBlock, setting.owner.send(setting.push, &.{"x"}));
    }
}

test "whoever waits for room learns that there is nobody left to wait for" {
    var setting: Setting = undefined;
    try setting.init();
    defer setting.deinit();
    setting.options().send_high_water_mark = 1;
    _ = try setting.owner.connect(setting.push, address);
    try setting.owner.send(setting.push, &.{"a"});
    setting.owner.slot(setting.push).socket.want(.{ .writable = true, .drained = true });
    try setting.turn_away(comptime worlds.ready("PUB"));
    try testing.expectEqual(1, setting.owner.ready.items.len);
    try testing.expectEqual(0, setting.owner.context.unsent(setting.owner.slot(setting.push)));
}

test "noise and a peer that hangs up may be over soon: they are tried again" {
    var setting: Setting = undefined;
    try setting.init();
    defer setting.deinit();
    _ = try setting.owner.connect(setting.push, address);
    try setting.owner.send(setting.push, &.{"kept"});
    for ([_][]const u8{ "\x00\x05hello", "\x04\x03\x05ab" }) |noise| {
        try setting.turn_away(noise);
    }
    var hanging = try setting.accept(250);
    defer hanging.deinit();
    hanging.peer.close();
    var mock = try setting.accept(250);
    defer mock.deinit();
    try mock.handshake(&setting.world, "PULL");
    try mock.expect_message(&.{"kept"});
}

test "permanent failures as libzmq has them: the queue stays, for nobody" {
    var setting: Setting = undefined;
    try setting.init();
    defer setting.deinit();
    setting.options().permanent_failure = 1;
    setting.options().send_high_water_mark = 2;
    const endpoint = try setting.owner.connect(setting.push, address);
    try setting.turn_away(comptime worlds.ready("PUB"));
    _ = try setting.owner.next_event(setting.push, .connect_stopped);
    for (0..2) |_| try setting.owner.send(setting.push, &.{"x"});
    try testing.expectError(error.WouldBlock, setting.owner.send(setting.push, &.{"x"}));
    try setting.world.run(100_000);
    try testing.expectEqual(null, setting.listener.accept());
    try testing.expect(setting.owner.context.disconnect(setting.push, endpoint, 10));
    try setting.world.run(20);
    try testing.expectEqual(0, setting.owner.context.session_table.count());
}

test "permanent failures may be tried again, with growing pauses: a fleet would hammer" {
    var setting: Setting = undefined;
    try setting.init();
    defer setting.deinit();
    setting.options().permanent_failure = 2;
    setting.options().reconnect_interval_max_ms = 10_000;
    _ = try setting.owner.connect(setting.push, address);
    var pause_ms: u32 = 100;
    for (0..6) |_| {
        try setting.world.run(2 * pause_ms);
        try setting.turn_away(comptime worlds.ready("PUB"));
        // A connection is no success: only a handshake is.
        const retry = try setting.owner.next_event(setting.push, .connect_retried);
        try testing.expect(retry.value >= pause_ms / 2);
        pause_ms = @min(2 * pause_ms, 10_000);
    }
}

test "each condition to stop stops, and nothing else does" {
    const Case = struct { conditions: u32, refused: bool, stops: bool };
    const cases = [_]Case{
        .{ .conditions = 0, .refused = true, .stops = false },
        .{ .conditions = 1, .refused = true, .stops = true },
        .{ .conditions = 2, .refused = true, .stops = false },
        .{ .conditions = 0, .refused = false, .stops = false },
        .{ .conditions = 1, .refused = false, .stops = false },
        .{ .conditions = 2, .refused = false, .stops = true },
        .{ .conditions = 4, .refused = false, .stops = false },
    };
    for (cases) |case| {
        var setting: Setting = undefined;
        try setting.init();
        defer setting.deinit();
        setting.options().reconnect_stop = case.conditions;
        if (case.refused) setting.listener.close();
        _ = try setting.owner.connect(setting.push, address);
        if (!case.refused) try setting.turn_away("noise without end");
        try setting.world.settle();
        const event = setting.owner.next_event(setting.push, .connect_stopped);
        if (case.stops) _ = try event else try testing.expectError(error.NoSuchEvent, event);
        try testing.expectEqual(@intFromBool(!case.stops), setting.owner.context.timers.count);
    }
}

test "every address of a name is tried, those that refuse and those that say nothing" {
    var setting: Setting = undefined;
    try setting.init();
    defer setting.deinit();
    setting.options().connect_timeout_ms = 100;
    const refusing: Address = .ipv4(.{ 127, 0, 0, 1 }, 1);
    const silent: Address = .ipv4(.{ 127, 0, 0, 1 }, 2);
    setting.world.network.listen(&silent).endpoint.backlog_max = 0;
    _ = try setting.owner.context.connect(setting.push, null, .{});
    for (0..2) |_| {
        try setting.world.run(200);
        // The name is asked for at each attempt: it may have moved.
        const asked = setting.owner.resolve.pop().?;
        const addresses = [_]Address{ refusing, silent, address };
        try testing.expect(setting.owner.context.resolved(asked, &addresses, &.{}));
        var mock = try setting.accept(150);
        defer mock.deinit();
        try mock.handshake(&setting.world, "PULL");
        mock.peer.close();
        try setting.world.settle();
    }
    // The same without the one that answers: each silent one has its time, then there is a pause.
    try setting.world.run(200);
    const asked = setting.owner.resolve.pop().?;
    try testing.expect(setting.owner.context.resolved(asked, &.{ silent, silent }, &.{}));
    try setting.world.run(150);
    try testing.expectError(
        error.NoSuchEvent,
        setting.owner.next_event(setting.push, .connect_failed),
    );
    try setting.world.run(60);
    const failed = try setting.owner.next_event(setting.push, .connect_failed);
    try testing.expectEqual(.connection_timed_out, failed.reason);
}

test "500 clients whose server restarts do not come back at once: it would not keep up" {
    const clients = 500;
    for (0..8) |seed| {
        var world: World = undefined;
        world.init(seed, .{});
        defer world.deinit();
        const owner = try world.add();
        const listener = world.network.listen(&address);
        var peers: std.ArrayList(Peer) = .empty;
        defer peers.deinit(worlds.allocator);
        for (0..clients) |_| _ = try owner.connect(try owner.open(.push), address);
        try world.settle();
        while (listener.accept()) |peer| try peers.append(worlds.allocator, peer);
        try testing.expectEqual(clients, peers.items.len);
        // It is there again at once: the worst case, since each pause that follows spreads them
        // more.
        for (peers.items) |peer| peer.close();
        peers.clearRetainingCapacity();
        var bins: [25]u32 = @splat(0);
        for (&bins) |*bin| {
            try world.run(10);
            while (listener.accept()) |peer| {
                try peers.append(worlds.allocator, peer);
                bin.* += 1;
            }
        }
        try testing.expectEqual(clients, peers.items.len);
        errdefer std.debug.print("per 10 ms: {any}\n", .{bins});
        try testing.expect(std.mem.max(u32, &bins) <= clients / 10);
        for (peers.items) |peer| peer.close();
    }
}
