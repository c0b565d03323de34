//! What is told about connections costs whoever does not listen nothing, and tells everyone else of
//! every end, also of those that we make ourselves.

const std = @import("std");
const testing = std.testing;

const monitor = @import("../core/monitor.zig");
const worlds = @import("world.zig");
const Owner = worlds.Owner;
const World = worlds.World;

/// A connection is made and lost.
fn come_and_go(world: *World, server: *Owner, pull: u32, client: *Owner, push: u32) !void {
    const listener = server.slot(pull).listeners.first().?;
    const endpoint = try client.connect(push, listener.address);
    try world.settle();
    try client.send(push, &.{"message"});
    try world.settle();
    try server.expect(pull, &.{"message"});
    try testing.expect(client.context.disconnect(push, endpoint, 1000));
    try world.settle();
    try testing.expectEqual(0, server.record(pull).connections);
}

/// Nothing is held, and nothing was asked of the kernel.
fn expect_free(owner: *Owner, handle: u32, asked: u64) !void {
    try testing.expectEqual(0, owner.slot(handle).socket.monitor.events.len);
    try testing.expectEqual(0, owner.record(handle).events_waiting);
    try testing.expectEqual(0, owner.context.resources.monitored);
    try testing.expectEqual(asked, owner.io.local_addresses);
}

test "a program that does not listen to events pays for none: no memory, no call of the kernel" {
    var world: World = undefined;
    world.init(21, .{});
    defer world.deinit();
    const server = try world.add();
    const client = try world.add();
    const pull = try server.context.open(.pull);
    const push = try client.context.open(.push);
    _ = try server.bind(pull);
    const asked = server.io.local_addresses;
    try come_and_go(&world, server, pull, client, push);
    try expect_free(server, pull, asked);
    try expect_free(client, push, 0);

    try server.context.monitor_start(server.slot(pull));
    try come_and_go(&world, server, pull, client, push);
    try testing.expect(server.io.local_addresses > asked);
    try testing.expect(server.record(pull).events_waiting == 3);
    server.context.monitor_stop(server.slot(pull));

    const asked_since = server.io.local_addresses;
    try come_and_go(&world, server, pull, client, push);
    try expect_free(server, pull, asked_since);
    try expect_free(client, push, 0);
}

test "an endpoint that is let go in the middle of an attempt is told to be closed by us, once" {
    var world: World = undefined;
    world.init(22, .{});
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    const endpoint = try owner.connect(push, .ipv4(.{ 127, 0, 0, 1 }, 5555));
    try testing.expect(owner.context.disconnect(push, endpoint, 0));
    try world.settle();
    const expected = [_]struct { monitor.EventType, monitor.Reason }{
        .{ .connect_delayed, .none },
        .{ .connect_failed, .local },
    };
    for (expected) |one| {
        const event = owner.slot(push).socket.monitor.next() orelse return error.NoSuchEvent;
        try testing.expectEqual(one[0], event.type);
        try testing.expectEqual(one[1], event.reason);
    }
    try testing.expectEqual(null, owner.slot(push).socket.monitor.next());
}
