//! ROUTER against mock peers: who goes by which id, what a message for nobody or for a full peer
//! comes to, and what peers that share an id or leave in the middle of something can do.

const std = @import("std");
const testing = std.testing;

const Address = @import("../io/address.zig").Address;
const sockets = @import("../socket/socket.zig");
const Prng = @import("../stdx/prng.zig").Prng;
const worlds = @import("world.zig");
const Mock = worlds.Mock;
const Owner = worlds.Owner;
const Peer = worlds.Peer;
const World = worlds.World;

const allocator = testing.allocator;
const address: Address = .ipv4(.{ 127, 0, 0, 1 }, 5555);

/// READY of a peer that calls itself something.
fn introduce(mock: *Mock, socket_type: []const u8, id: []const u8) !void {
    var body: std.ArrayList(u8) = .empty;
    defer body.deinit(allocator);
    try body.appendSlice(allocator, "\x05READY\x0bSocket-Type\x00\x00\x00");
    try body.append(allocator, @intCast(socket_type.len));
    try body.appendSlice(allocator, socket_type);
    try body.appendSlice(allocator, "\x08Identity\x00\x00\x00");
    try body.append(allocator, @intCast(id.len));
    try body.appendSlice(allocator, id);
    mock.send(&worlds.greeting);
    try mock.send_frame(4, body.items);
}

/// One bound socket.
const Bench = struct {
    world: World,
    owner: *Owner,
    socket: u32,
    listener: u32,

    fn init(bench: *Bench, socket_type: sockets.Type) !void {
        bench.world.init(1, .{});
        errdefer bench.world.deinit();
        bench.owner = try bench.world.add();
        bench.socket = try bench.owner.open(socket_type);
        bench.listener = try bench.owner.context.bind(bench.socket, &address);
    }

    fn deinit(bench: *Bench) void {
        bench.world.deinit();
    }

    fn options(bench: *Bench) *@import("../options.zig").SocketOptions {
        return bench.owner.slot(bench.socket).socket.options;
    }

    fn counted(bench: *Bench) *sockets.Record {
        return bench.owner.record(bench.socket);
    }

    /// A peer by this name; it may be refused.
    fn dial(bench: *Bench, id: []const u8) !Mock {
        var mock: Mock = try .dial(&bench.world, address);
        errdefer mock.deinit();
        try introduce(&mock, "DEALER", id);
        try bench.world.settle();
        try mock.pump();
        try mock.expect_handshake();
        return mock;
    }

    fn send(bench: *Bench, parts: []const []const u8) !void {
        try bench.owner.send(bench.socket, parts);
        bench.owner.context.flush();
        try bench.world.settle();
    }

    fn expect(bench: *Bench, parts: []const []const u8) !void {
        try bench.world.settle();
        try bench.owner.expect(bench.socket, parts);
    }

    fn expect_none(bench: *Bench) !void {
        try bench.world.settle();
        try bench.owner.expect_none(bench.socket);
    }

    fn part(bench: *Bench, bytes: []const u8, more: bool) !void {
        try bench.owner.context.send(bench.owner.slot(bench.socket), bytes, more, false);
    }

    fn leave(bench: *Bench, mock: *Mock) !void {
        mock.peer.close();
        mock.deinit();
        try bench.world.settle();
    }

    fn sessions(bench: *Bench) u32 {
        return @intCast(bench.owner.context.session_table.count());
    }
};

test "ROUTER tells its peers apart, one message of each in turn: answers would reach anybody" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    var mocks: [3]Mock = undefined;
    const names = [_][]const u8{ "A", "B", "C" };
    for (&mocks, names) |*mock, name| mock.* = try bench.dial(name);
    defer for (&mocks) |*mock| mock.deinit();
    for (0..10) |_| for (&mocks, names) |*mock, name| try mock.send_message(&.{ "from", name });
    try bench.world.settle();
    for (0..10) |_| for (names) |name| try bench.expect(&.{ name, "from", name });
    try bench.expect_none();
    for (names) |name| try bench.send(&.{ name, "for", name });
    for (&mocks, names) |*mock, name| {
        try mock.expect_message(&.{ "for", name });
        try mock.expect_nothing();
    }
}

test "a peer without a name gets five bytes, a zero and a counter: nobody else is called that" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    var ids: [3][]u8 = undefined;
    var mocks: [3]Mock = undefined;
    for (&mocks, &ids) |*mock, *id| {
        mock.* = try bench.dial("");
        try mock.send_message(&.{"hello"});
        try bench.world.settle();
        var message = (try bench.owner.take(bench.socket)).?;
        defer message.deinit();
        id.* = try allocator.dupe(u8, message.parts.items[0]);
    }
    defer for (&mocks, ids) |*mock, id| {
        mock.deinit();
        allocator.free(id);
    };
    for (ids, 0..) |id, i| {
        try testing.expectEqual(5, id.len);
        try testing.expectEqual(0, id[0]);
        const number = std.mem.readInt(u32, id[1..5], .big);
        const first = std.mem.readInt(u32, ids[0][1..5], .big);
        try testing.expectEqual(first +% @as(u32, @intCast(i)), number);
        try bench.send(&.{ id, "answer" });
        try mocks[i].expect_message(&.{"answer"});
    }
    // Only a ROUTER makes up such a one.
    var liar: Mock = try .dial(&bench.world, address);
    defer liar.deinit();
    try introduce(&liar, "DEALER", "\x00name");
    try bench.world.settle();
    try testing.expect(liar.peer.ended());
    try testing.expectEqual(1, bench.counted().handshakes_failed);
}

test "a message for an unknown id is dropped and counted, with mandatory it is refused at once" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    var mock = try bench.dial("known");
    defer mock.deinit();
    try bench.send(&.{ "unknown", "one", "two" });
    try bench.send(&.{ "", "nobody" });
    try testing.expectEqual(2, bench.counted().dropped_unroutable);
    bench.options().router_mandatory = 1;
    try testing.expectError(error.Unroutable, bench.owner.send(bench.socket, &.{ "unknown", "x" }));
    try testing.expectEqual(2, bench.counted().dropped_unroutable);
    // libzmq drops a message without a body and says nothing.
    try testing.expectError(error.InvalidMessage, bench.owner.send(bench.socket, &.{"known"}));
    try bench.send(&.{ "known", "" });
    try mock.expect_message(&.{""});
    try mock.expect_nothing();
}

test "mandatory: who waits for a full peer is woken by that peer's room, not by another's" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    bench.options().router_mandatory = 1;
    bench.options().send_high_water_mark = 10;
    const socket = &bench.owner.slot(bench.socket).socket;
    var full = try bench.dial("full");
    var other = try bench.dial("other");
    defer other.deinit();
    for ([_]*Mock{ &full, &other }) |mock| mock.peer.limit_inbox(0);
    for (0..10) |_| try bench.send(&.{ "full", "x" });
    for (0..10) |_| try bench.send(&.{ "other", "x" });
    try testing.expect(socket.writable());
    try testing.expectError(error.WouldBlock, bench.owner.send(bench.socket, &.{ "full", "y" }));
    try testing.expect(!socket.writable());
    socket.want(.{ .writable = true });
    other.peer.limit_inbox(1000);
    try bench.world.settle();
    try testing.expectEqual(0, bench.owner.ready.items.len);
    // There is room for it meanwhile.
    try bench.send(&.{ "other", "y" });
    try testing.expectEqual(0, bench.owner.ready.items.len);
    full.peer.limit_inbox(1000);
    try bench.world.settle();
    try testing.expectEqual(1, bench.owner.ready.items.len);
    try bench.send(&.{ "full", "y" });
    for (0..10) |_| try full.expect_message(&.{"x"});
    try full.expect_message(&.{"y"});
    // One that leaves is waited for no longer.
    full.peer.limit_inbox(0);
    for (0..10) |_| try bench.send(&.{ "full", "x" });
    try testing.expectError(error.WouldBlock, bench.owner.send(bench.socket, &.{ "full", "y" }));
    socket.want(.{ .writable = true });
    try bench.leave(&full);
    try testing.expectEqual(2, bench.owner.ready.items.len);
    try testing.expectError(error.Unroutable, bench.owner.send(bench.socket, &.{ "full", "y" }));
    try testing.expectEqual(0, bench.counted().dropped_high_water_mark);
}

test "two full peers: who waits for one is woken though the other was refused later" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    bench.options().router_mandatory = 1;
    bench.options().send_high_water_mark = 1;
    const socket = &bench.owner.slot(bench.socket).socket;
    var mocks: [2]Mock = .{ try bench.dial("0"), try bench.dial("1") };
    defer for (&mocks) |*mock| mock.deinit();
    for (&mocks, [_][]const u8{ "0", "1" }) |*mock, id| {
        mock.peer.limit_inbox(0);
        try bench.send(&.{ id, "x" });
        const again = bench.owner.send(bench.socket, &.{ id, "y" });
        try testing.expectError(error.WouldBlock, again);
        socket.want(.{ .writable = true });
    }
    mocks[0].peer.limit_inbox(100);
    try bench.world.settle();
    try testing.expectEqual(1, bench.owner.ready.items.len);
    try bench.send(&.{ "0", "y" });
    mocks[1].peer.limit_inbox(100);
    try bench.world.settle();
    try bench.send(&.{ "1", "y" });
    for (&mocks) |*mock| {
        try mock.expect_message(&.{"x"});
        try mock.expect_message(&.{"y"});
    }
}

test "without mandatory a peer that does not read loses its own messages, and no one else's" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    bench.options().send_high_water_mark = 5;
    var slow = try bench.dial("slow");
    defer slow.deinit();
    var quick = try bench.dial("quick");
    defer quick.deinit();
    slow.peer.limit_inbox(0);
    for (0..20) |_| {
        try bench.send(&.{ "slow", "a", "b" });
        try bench.send(&.{ "quick", "a", "b" });
        try quick.expect_message(&.{ "a", "b" });
    }
    try testing.expectEqual(15, bench.counted().dropped_high_water_mark);
    slow.peer.limit_inbox(10_000);
    try bench.world.settle();
    for (0..5) |_| try slow.expect_message(&.{ "a", "b" });
    try slow.expect_nothing();
}

test "a peer that leaves between the parts takes the rest with it, the next message is whole" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    bench.options().router_mandatory = 1;
    var gone = try bench.dial("gone");
    var there = try bench.dial("there");
    defer there.deinit();
    try bench.part("gone", true);
    try bench.part("first", true);
    try bench.leave(&gone);
    try bench.part("second", true);
    try bench.part("last", false);
    try testing.expectEqual(1, bench.counted().dropped_disconnect);
    // Right behind the id, when nothing has been queued yet.
    gone = try bench.dial("gone");
    try bench.part("gone", true);
    try bench.leave(&gone);
    try bench.part("last", false);
    try testing.expectEqual(2, bench.counted().dropped_disconnect);
    try bench.send(&.{ "there", "whole" });
    try there.expect_message(&.{"whole"});
}

test "a second peer with the same id is refused and told of, and gets in when the first has left" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    var first = try bench.dial("twin");
    // What it sends right behind its READY is nobody's message.
    var second: Mock = try .dial(&bench.world, address);
    defer second.deinit();
    try introduce(&second, "DEALER", "twin");
    try second.send_message(&.{"from the second"});
    try bench.expect_none();
    try testing.expect(second.peer.ended());
    try testing.expectEqual(1, bench.counted().peers_refused);
    try testing.expectEqual(1, bench.counted().connections);
    try bench.owner.expect_ended(bench.socket, .duplicate_routing_id);
    try first.send_message(&.{"from the first"});
    try bench.expect(&.{ "twin", "from the first" });
    try bench.send(&.{ "twin", "answer" });
    try first.expect_message(&.{"answer"});
    try bench.leave(&first);
    var again = try bench.dial("twin");
    defer again.deinit();
    try again.send_message(&.{"from the second"});
    try bench.expect(&.{ "twin", "from the second" });
    try bench.send(&.{ "twin", "answer" });
    try again.expect_message(&.{"answer"});
}

test "the id of a peer that left is free although its last messages wait to be read" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    var first = try bench.dial("name");
    try first.send_message(&.{"last words"});
    try bench.leave(&first);
    var second = try bench.dial("name");
    defer second.deinit();
    try testing.expect(!second.peer.ended());
    try bench.send(&.{ "name", "for the second" });
    try second.expect_message(&.{"for the second"});
    try bench.expect(&.{ "name", "last words" });
    try second.send_message(&.{"here"});
    try bench.expect(&.{ "name", "here" });
}

test "a flood of peers with one id costs nothing: memory and descriptors stay where they were" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    var first = try bench.dial("twin");
    defer first.deinit();
    const live_bytes = bench.owner.live_bytes();
    for (0..2000) |i| {
        var other: Mock = try .dial(&bench.world, address);
        defer other.deinit();
        try introduce(&other, "DEALER", "twin");
        if (i % 2 == 0) try other.send_message(&.{ "a", "b" });
        try bench.world.settle();
        try testing.expect(other.peer.ended());
        other.peer.close();
    }
    try testing.expectEqual(2000, bench.counted().peers_refused);
    try testing.expectEqual(1, bench.sessions());
    try testing.expect(bench.owner.live_bytes() <= live_bytes);
    try bench.send(&.{ "twin", "still here" });
    try first.expect_message(&.{"still here"});
}

test "handover: the new one has the id, what the old one sent is still read, under the id" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    bench.options().router_handover = 1;
    var old = try bench.dial("name");
    defer old.deinit();
    try old.send_message(&.{ "old", "one" });
    try old.send_message(&.{ "old", "two" });
    try bench.world.settle();
    // In the middle of a message to it.
    try bench.part("name", true);
    try bench.part("half", true);
    var new = try bench.dial("name");
    defer new.deinit();
    try testing.expect(old.peer.ended());
    try bench.owner.expect_ended(bench.socket, .handed_over);
    try bench.part("rest", false);
    try testing.expectEqual(1, bench.counted().dropped_disconnect);
    try bench.expect(&.{ "name", "old", "one" });
    try bench.send(&.{ "name", "answer" });
    try new.expect_message(&.{"answer"});
    try old.expect_nothing();
    try bench.expect(&.{ "name", "old", "two" });
    try new.send_message(&.{"new"});
    try bench.expect(&.{ "name", "new" });
    try testing.expectEqual(1, bench.sessions());
    try testing.expectEqual(0, bench.counted().peers_refused);
    // The old one's end must not have taken the id along.
    try bench.send(&.{ "name", "again" });
    try new.expect_message(&.{"again"});
}

test "handover in the middle of reading a long message: it would be cut, or mixed with the next" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    bench.options().router_handover = 1;
    var old = try bench.dial("name");
    defer old.deinit();
    for (0..1000) |_| try old.send_frame(1, "part");
    try old.send_frame(0, "last");
    try bench.world.settle();
    const slot = bench.owner.slot(bench.socket);
    try bench.owner.context.fill(slot);
    try testing.expectEqual(512, slot.socket.ring.waiting());
    var new = try bench.dial("name");
    defer new.deinit();
    try new.send_message(&.{"new"});
    try bench.world.settle();
    var message = (try bench.owner.take(bench.socket)).?;
    defer message.deinit();
    try testing.expectEqual(1002, message.parts.items.len);
    try testing.expectEqualStrings("name", message.parts.items[0]);
    try testing.expectEqualStrings("last", message.parts.items[1001]);
    try bench.expect(&.{ "name", "new" });
}

test "ten thousand handovers leave nothing behind: a router would run out of descriptors" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    bench.options().router_handover = 1;
    bench.options().router_notify = 3;
    var holder = try bench.dial("name");
    defer holder.deinit();
    try bench.expect(&.{ "name", "" });
    const live_bytes = bench.owner.live_bytes();
    for (0..10_000) |i| {
        const next = try bench.dial("name");
        try testing.expect(holder.peer.ended());
        holder.peer.close();
        holder.deinit();
        holder = next;
        // It has come; that the one before has gone is not told: the id is there.
        try bench.expect(&.{ "name", "" });
        if (i % 1000 == 0) {
            try bench.send(&.{ "name", "x" });
            try holder.expect_message(&.{"x"});
        }
    }
    try bench.expect_none();
    try testing.expectEqual(1, bench.sessions());
    try testing.expectEqual(1, bench.counted().connections);
    try testing.expect(bench.owner.live_bytes() <= live_bytes);
    const router = &bench.owner.slot(bench.socket).socket.pattern.router;
    try testing.expectEqual(1, router.table.peers.count());
}

test "the id of a connection that we made cannot be taken over: two ends would fight for ever" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    bench.options().router_handover = 1;
    const other: Address = .ipv4(.{ 127, 0, 0, 1 }, 6666);
    const listener = bench.world.network.listen(&other);
    _ = try bench.owner.context.connect(bench.socket, &other, .{ .routing_id = "store" });
    try bench.world.settle();
    var store: Mock = .{ .peer = listener.accept().? };
    defer store.deinit();
    try store.handshake(&bench.world, "ROUTER");
    var thief = try bench.dial("store");
    defer thief.deinit();
    try testing.expect(thief.peer.ended());
    try testing.expectEqual(1, bench.counted().peers_refused);
    try bench.send(&.{ "store", "for the store" });
    try store.expect_message(&.{"for the store"});
}

test "notify: that a peer came and went is told in order with its messages, and only if asked" {
    for (0..4) |bits| {
        var bench: Bench = undefined;
        try bench.init(.router);
        defer bench.deinit();
        bench.options().router_notify = @intCast(bits);
        var mock = try bench.dial("peer");
        try mock.send_message(&.{ "one", "two" });
        // The half of a message goes.
        try mock.send_frame(1, "first");
        try mock.send_frame(1, "second");
        try bench.leave(&mock);
        if (bits & 1 != 0) try bench.expect(&.{ "peer", "" });
        try bench.expect(&.{ "peer", "one", "two" });
        if (bits & 2 != 0) try bench.expect(&.{ "peer", "" });
        try bench.expect_none();
        // Neither for a handshake that failed nor for a peer that was refused.
        var wrong: Mock = try .dial(&bench.world, address);
        try introduce(&wrong, "PULL", "wrong");
        try bench.world.settle();
        try bench.leave(&wrong);
        mock = try bench.dial("twin");
        if (bits & 1 != 0) try bench.expect(&.{ "twin", "" });
        var twin = try bench.dial("twin");
        try bench.leave(&twin);
        try bench.expect_none();
        try bench.leave(&mock);
        if (bits & 2 != 0) try bench.expect(&.{ "twin", "" });
        try bench.expect_none();
        try testing.expectEqual(0, bench.sessions());
    }
}

/// The next connection that a raw listener got, with its handshake done.
fn accept(world: *World, listener: Peer, socket_type: []const u8, id: []const u8) !Mock {
    try world.run(300);
    var mock: Mock = .{ .peer = listener.accept() orelse return error.NoConnection };
    errdefer mock.deinit();
    try introduce(&mock, socket_type, id);
    try world.settle();
    try mock.pump();
    try mock.expect_handshake();
    return mock;
}

test "a connection that was given an id can be sent to at once and keeps it when made again" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const router = try owner.open(.router);
    owner.slot(router).socket.options.router_mandatory = 1;
    const how: worlds.ConnectOptions = .{ .routing_id = "store" };
    const endpoint = try owner.context.connect(router, &address, how);
    try testing.expectError(error.AddressInUse, owner.context.connect(router, &address, how));
    try owner.send(router, &.{ "store", "early" });
    const listener = world.network.listen(&address);
    // Whatever it calls itself.
    for ([_][]const u8{ "", "something", "else" }) |name| {
        var mock = try accept(&world, listener, "DEALER", name);
        if (name.len == 0) try mock.expect_message(&.{"early"});
        try owner.send(router, &.{ "store", "hello" });
        try mock.send_message(&.{"answer"});
        owner.context.flush();
        try world.settle();
        try mock.expect_message(&.{"hello"});
        try owner.expect(router, &.{ "store", "answer" });
        mock.peer.close();
        mock.deinit();
        try world.settle();
    }
    try testing.expect(owner.context.disconnect(router, endpoint, 0));
    try testing.expectError(error.Unroutable, owner.send(router, &.{ "store", "x" }));
    _ = try owner.context.connect(router, &address, how);
}

test "a connection without an id has its peer's from the handshake on, and keeps that one" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const router = try owner.open(.router);
    owner.slot(router).socket.options.router_mandatory = 1;
    _ = try owner.connect(router, address);
    try testing.expectError(error.Unroutable, owner.send(router, &.{ "peer", "x" }));
    const listener = world.network.listen(&address);
    for ([_][]const u8{ "peer", "other name" }) |name| {
        var mock = try accept(&world, listener, "DEALER", name);
        try owner.send(router, &.{ "peer", "hello" });
        try testing.expectError(error.Unroutable, owner.send(router, &.{ "other name", "x" }));
        owner.context.flush();
        try world.settle();
        if (name.len > 4) try mock.expect_message(&.{"meanwhile"});
        try mock.expect_message(&.{"hello"});
        mock.peer.close();
        mock.deinit();
        try world.settle();
        // Kept for the next connection.
        if (name.len == 4) try owner.send(router, &.{ "peer", "meanwhile" });
    }
    var mock = try accept(&world, listener, "DEALER", "");
    defer mock.deinit();
    try owner.send(router, &.{ "peer", "at last" });
    owner.context.flush();
    try world.settle();
    try mock.expect_message(&.{"at last"});
}

test "a probe is the first message on every connection: a ROUTER at the other end learns our id" {
    const types = [_]sockets.Type{ .req, .dealer, .router };
    for (types) |socket_type| {
        var world: World = undefined;
        world.init(1, .{});
        defer world.deinit();
        const owner = try world.add();
        const socket = try owner.open(socket_type);
        owner.slot(socket).socket.options.probe_router = 1;
        const how: worlds.ConnectOptions = .{
            .routing_id = if (socket_type == .router) "it" else "",
        };
        _ = try owner.context.connect(socket, &address, how);
        // Queued before there is a connection.
        if (socket_type == .dealer) try owner.send(socket, &.{"early"});
        if (socket_type == .router) try owner.send(socket, &.{ "it", "early" });
        const listener = world.network.listen(&address);
        for (0..3) |round| {
            var mock = try accept(&world, listener, "ROUTER", "");
            try mock.expect_message(&.{""});
            if (round == 0 and socket_type != .req) try mock.expect_message(&.{"early"});
            try mock.expect_nothing();
            mock.peer.close();
            mock.deinit();
            try world.settle();
        }
    }
}

test "a probe or hello that was sent in part is not sent twice to the next connection" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const dealer = try owner.open(.dealer);
    const slot = owner.slot(dealer);
    slot.socket.options.probe_router = 1;
    const hello: [3000]u8 = @splat('h');
    try slot.socket.set_bytes(.hello_message, &hello);
    _ = try owner.connect(dealer, address);
    try owner.send(dealer, &.{ "queued", "before" });
    const listener = world.network.listen(&address);
    try world.run(300);
    for ([_]u32{ 0, 1, 1000, 3008 }) |taken| {
        var mock: Mock = .{ .peer = listener.accept().? };
        mock.send(&worlds.greeting);
        mock.send(comptime worlds.ready("ROUTER"));
        // The greeting and READY pass, and so much of what follows.
        mock.peer.limit_inbox(64 + 37 + taken);
        try world.settle();
        mock.peer.close();
        mock.deinit();
        try world.run(300);
    }
    var mock: Mock = .{ .peer = listener.accept().? };
    defer mock.deinit();
    try mock.handshake(&world, "ROUTER");
    try mock.expect_message(&.{&hello});
    try mock.expect_message(&.{""});
    try mock.expect_message(&.{ "queued", "before" });
    try mock.expect_nothing();
    try testing.expectEqual(0, owner.record(dealer).dropped_disconnect);
}

test "a hello is the first message of each new connection, ours or theirs; the rest as told" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    const socket = &bench.owner.slot(bench.socket).socket;
    try socket.set_bytes(.hello_message, "welcome");
    try socket.set_bytes(.disconnect_message, "it has left");
    for (0..3) |_| {
        var mock = try bench.dial("peer");
        try mock.expect_message(&.{"welcome"});
        try mock.send_message(&.{"last words"});
        try bench.leave(&mock);
        try bench.expect(&.{ "peer", "last words" });
        try bench.expect(&.{ "peer", "it has left" });
        try bench.expect_none();
    }
    // One that never was a peer has not left.
    var twin = try bench.dial("peer");
    defer twin.deinit();
    var other = try bench.dial("peer");
    try bench.leave(&other);
    try bench.expect_none();
    // Empty takes it back.
    try socket.set_bytes(.hello_message, "");
    var quiet = try bench.dial("quiet");
    defer quiet.deinit();
    try quiet.expect_nothing();
}

test "a hiccup is read where a connection that we made was lost, behind what had arrived" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const dealer = try owner.open(.dealer);
    try owner.slot(dealer).socket.set_bytes(.hiccup_message, "hiccup");
    _ = try owner.connect(dealer, address);
    const listener = world.network.listen(&address);
    for (0..3) |_| {
        var mock = try accept(&world, listener, "ROUTER", "");
        try mock.send_message(&.{ "last", "words" });
        try mock.send_frame(1, "half");
        try world.settle();
        mock.peer.close();
        mock.deinit();
        try world.settle();
        try owner.expect(dealer, &.{ "last", "words" });
        try owner.expect(dealer, &.{"hiccup"});
        try owner.expect_none(dealer);
    }
}

test "half messages and sudden ends, ten thousand times: memory would fill up" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    var witness = try bench.dial("witness");
    defer witness.deinit();
    var live_bytes: u64 = 0;
    for (0..10_000) |i| {
        var mock: Mock = try .dial(&bench.world, address);
        defer mock.deinit();
        try introduce(&mock, "DEALER", "peer");
        try mock.send_frame(1, "half a message");
        if (i % 3 == 0) try mock.send_frame(1, "of two parts");
        if (i % 2 == 0) try bench.world.settle();
        if (i % 5 == 0) mock.peer.reset() else mock.peer.close();
        try bench.world.settle();
        if (i == 100) live_bytes = bench.owner.live_bytes();
    }
    try bench.expect_none();
    try testing.expect(bench.owner.live_bytes() <= live_bytes);
    try testing.expectEqual(1, bench.sessions());
    try witness.send_message(&.{"here"});
    try bench.expect(&.{ "witness", "here" });
}

test "a ring full of ids and parts loses none: ids are longer than a part may be short" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    const long: [255]u8 = @splat('i');
    var first = try bench.dial(&long);
    defer first.deinit();
    var second = try bench.dial("s");
    defer second.deinit();
    for (0..600) |i| {
        const text = [_]u8{@truncate(i)};
        try first.send_message(&.{&text});
        if (i % 2 == 0) try second.send_message(&.{ &text, "", &text });
    }
    try bench.world.settle();
    var counts = [_]u32{ 0, 0 };
    while (try bench.owner.take(bench.socket)) |taken| {
        var message = taken;
        defer message.deinit();
        const from: usize = if (message.parts.items[0].len == 255) 0 else 1;
        const number = counts[from] * (1 + @as(u32, @intCast(from)));
        try testing.expectEqual(@as(u8, @truncate(number)), message.parts.items[1][0]);
        try testing.expectEqual(2 + 2 * from, message.parts.items.len);
        counts[from] += 1;
    }
    try testing.expectEqual([2]u32{ 600, 300 }, counts);
}

test "a thousand quiet peers are not looked at: one busy one would be as slow as all of them" {
    var bench: Bench = undefined;
    try bench.init(.router);
    defer bench.deinit();
    var mocks: [1000]Mock = undefined;
    for (&mocks, 0..) |*mock, i| {
        var name: [8]u8 = undefined;
        const id = try std.fmt.bufPrint(&name, "{d}", .{i});
        mock.* = try .dial(&bench.world, address);
        try introduce(mock, "DEALER", id);
    }
    defer for (&mocks) |*mock| mock.deinit();
    try bench.world.settle();
    const socket = &bench.owner.slot(bench.socket).socket;
    try testing.expectEqual(1000, socket.pipes.count);
    const queue = &socket.pattern.router.queue;
    try testing.expectEqual(0, queue.active.count);
    for (0..10) |_| {
        for (0..100) |_| try mocks[500].send_message(&.{"x"});
        try bench.world.settle();
        try testing.expectEqual(1, queue.active.count);
        for (0..100) |_| try bench.expect(&.{ "500", "x" });
        try testing.expectEqual(0, queue.active.count);
    }
}

/// What a ROUTER has to do with its peers, in the simplest words, against one that lives at random.
const Life = struct {
    bench: Bench,
    prng: Prng,
    peers: std.ArrayList(Client) = .empty,
    /// What each incarnation of a peer has sent and not been read of, by its number.
    unread: std.ArrayList(std.ArrayList(u32)) = .empty,
    sent: u32 = 0,
    refused: u32 = 0,
    handed_over: u32 = 0,
    taken: u32 = 0,

    const Client = struct {
        mock: Mock,
        name: u8,
        number: u32,
        /// What it was sent and has not been seen to arrive.
        due: std.ArrayList(u32) = .empty,
    };

    fn deinit(life: *Life) void {
        for (life.peers.items) |*client| {
            client.mock.deinit();
            client.due.deinit(allocator);
        }
        life.peers.deinit(allocator);
        for (life.unread.items) |*list| list.deinit(allocator);
        life.unread.deinit(allocator);
        life.bench.deinit();
    }

    fn holder(life: *Life, name: u8) ?usize {
        for (life.peers.items, 0..) |*client, i| if (client.name == name) return i;
        return null;
    }

    fn come(life: *Life) !void {
        const name: u8 = @intCast('a' + life.prng.below(6));
        var mock = try life.bench.dial(&.{name});
        if (life.holder(name)) |index| {
            if (life.bench.options().router_handover == 0) {
                try testing.expect(mock.peer.ended());
                life.refused += 1;
                return life.bench.leave(&mock);
            }
            try testing.expect(life.peers.items[index].mock.peer.ended());
            life.handed_over += 1;
            try life.gone(index);
        }
        try testing.expect(!mock.peer.ended());
        const number: u32 = @intCast(life.unread.items.len);
        try life.unread.append(allocator, .empty);
        try life.peers.append(allocator, .{ .mock = mock, .name = name, .number = number });
    }

    /// It has left; what it was sent before that it has.
    fn gone(life: *Life, index: usize) !void {
        var client = life.peers.orderedRemove(index);
        try life.check_due(&client);
        client.due.deinit(allocator);
        try life.bench.leave(&client.mock);
    }

    fn check_due(_: *Life, client: *Client) !void {
        for (client.due.items) |number| {
            try client.mock.expect_message(&.{ "to you", std.mem.asBytes(&number) });
        }
        client.due.clearRetainingCapacity();
        try client.mock.expect_nothing();
    }

    fn hear(life: *Life) !void {
        if (life.peers.items.len == 0) return;
        const client = &life.peers.items[@intCast(life.prng.below(life.peers.items.len))];
        for (0..@intCast(1 + life.prng.below(20))) |_| {
            life.sent += 1;
            const words = [_]u32{ client.number, life.sent };
            const padding: [700]u8 = @splat('p');
            const size: usize = @intCast(life.prng.below(700));
            try client.mock.send_message(&.{ std.mem.asBytes(&words), padding[0..size] });
            try life.unread.items[client.number].append(allocator, life.sent);
        }
        try life.bench.world.settle();
    }

    fn tell(life: *Life) !void {
        const name: u8 = @intCast('a' + life.prng.below(7));
        life.sent += 1;
        const number = std.mem.asBytes(&life.sent);
        const result = life.bench.send(&.{ &.{name}, "to you", number });
        const index = life.holder(name) orelse return testing.expectError(error.Unroutable, result);
        try result;
        try life.peers.items[index].due.append(allocator, life.sent);
    }

    /// Messages of one peer come in order, each once, under its name.
    fn take(life: *Life, most: u64) !void {
        for (0..most) |_| {
            var message = (try life.bench.owner.take(life.bench.socket)) orelse return;
            defer message.deinit();
            try testing.expectEqual(3, message.parts.items.len);
            const words = std.mem.bytesToValue([2]u32, message.parts.items[1][0..8]);
            const list = &life.unread.items[words[0]];
            try testing.expectEqual(list.orderedRemove(0), words[1]);
            life.taken += 1;
        }
    }

    fn step(life: *Life) !void {
        const Action = enum { come, leave, half, hear, tell, take, look };
        switch (life.prng.weighted(Action, .{
            .come = 4,
            .leave = 2,
            .half = 1,
            .hear = 8,
            .tell = 8,
            .take = 6,
            .look = 2,
        })) {
            .come => try life.come(),
            .leave, .half => |action| {
                if (life.peers.items.len == 0) return;
                const index: usize = @intCast(life.prng.below(life.peers.items.len));
                const mock = &life.peers.items[index].mock;
                if (action == .half) try mock.send_frame(1, "half");
                if (action == .half) try life.bench.world.settle();
                try life.gone(index);
            },
            .hear => try life.hear(),
            .tell => try life.tell(),
            .take => try life.take(life.prng.below(40)),
            .look => for (life.peers.items) |*client| try life.check_due(client),
        }
    }
};

test "whoever comes, leaves or takes a name over: each message arrives once, in order, in place" {
    var refused: u32 = 0;
    var handed_over: u32 = 0;
    for (0..40) |seed| {
        var life: Life = .{ .bench = undefined, .prng = .init(seed) };
        try life.bench.init(.router);
        defer life.deinit();
        life.bench.options().router_mandatory = 1;
        life.bench.options().router_handover = @intCast(seed % 2);
        life.bench.options().receive_high_water_mark = 0;
        for (0..300) |_| try life.step();
        try life.take(1_000_000);
        for (life.unread.items) |*list| try testing.expectEqual(0, list.items.len);
        while (life.peers.items.len > 0) try life.gone(0);
        try testing.expectEqual(0, life.bench.sessions());
        try testing.expectEqual(0, life.bench.counted().dropped_malformed);
        refused += life.refused;
        handed_over += life.handed_over;
    }
    try testing.expect(refused > 100 and handed_over > 100);
}

test "without memory for one more peer it is turned away, and the others notice nothing" {
    for (0..40) |fail_after| {
        var bench: Bench = undefined;
        try bench.init(.router);
        defer bench.deinit();
        bench.options().router_notify = 3;
        bench.options().router_handover = 1;
        var first = try bench.dial("first");
        defer first.deinit();
        try bench.expect(&.{ "first", "" });
        const slabs = &bench.owner.context.resources.slabs;
        for ([_][]const u8{ "second", "first" }) |name| {
            var mock: Mock = try .dial(&bench.world, address);
            defer mock.deinit();
            slabs.fail_after = fail_after;
            try introduce(&mock, "DEALER", name);
            try mock.send_message(&.{"hello"});
            try bench.world.settle();
            slabs.fail_after = null;
            mock.peer.close();
            try bench.world.settle();
            while (try bench.owner.take(bench.socket)) |taken| {
                var message = taken;
                message.deinit();
            }
        }
        if (first.peer.ended()) {
            first.peer.close();
            first.deinit();
            first = try bench.dial("first");
            try bench.expect(&.{ "first", "" });
        }
        try first.send_message(&.{"here"});
        try bench.expect(&.{ "first", "here" });
        try bench.send(&.{ "first", "answer" });
        try first.expect_message(&.{"answer"});
        try testing.expectEqual(1, bench.sessions());
    }
}
