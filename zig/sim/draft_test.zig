//! The draft types against mock peers: libzmq as distributions build it does not have them, so what
//! goes over the wire is written out.

const std = @import("std");
const testing = std.testing;

const Address = @import("../io/address.zig").Address;
const frame = @import("../zmtp/frame.zig");
const sockets = @import("../socket/socket.zig");
const worlds = @import("world.zig");
const Mock = worlds.Mock;
const Owner = worlds.Owner;
const World = worlds.World;

const allocator = testing.allocator;
const address: Address = .ipv4(.{ 127, 0, 0, 1 }, 5555);
const flags_command = frame.flag_command;

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

    fn dial(bench: *Bench, comptime peer_type: []const u8) !Mock {
        var mock: Mock = try .dial(&bench.world, address);
        errdefer mock.deinit();
        try mock.handshake(&bench.world, peer_type);
        return mock;
    }

    fn send(bench: *Bench, parts: []const []const u8) !void {
        try bench.owner.send(bench.socket, parts);
        bench.owner.context.flush();
        try bench.world.settle();
    }

    fn refuses(bench: *Bench, failure: anyerror, parts: []const []const u8) !void {
        try testing.expectError(failure, bench.owner.send(bench.socket, parts));
    }

    fn expect(bench: *Bench, parts: []const []const u8) !void {
        try bench.world.settle();
        try bench.owner.expect(bench.socket, parts);
    }

    fn expect_none(bench: *Bench) !void {
        try bench.world.settle();
        try bench.owner.expect_none(bench.socket);
    }

    /// The routing id that the next message, this one, comes with.
    fn expect_from_someone(bench: *Bench, body: []const u8) ![4]u8 {
        try bench.world.settle();
        var message = (try bench.owner.take(bench.socket)) orelse return error.NoMessage;
        defer message.deinit();
        const parts = message.parts.items;
        try testing.expectEqual(2, parts.len);
        try testing.expectEqual(4, parts[0].len);
        try testing.expectEqualStrings(body, parts[1]);
        return parts[0][0..4].*;
    }

    fn disconnect_peer(bench: *Bench, id: [4]u8) bool {
        const slot = bench.owner.slot(bench.socket);
        return bench.owner.context.disconnect_peer(slot, &id, 1000);
    }

    fn subscribe(bench: *Bench, group: []const u8, joins: bool) !void {
        try bench.owner.slot(bench.socket).socket.subscribe(group, joins);
        bench.owner.context.flush();
        try bench.world.settle();
    }

    fn leave(bench: *Bench, mock: *Mock) !void {
        mock.peer.close();
        mock.deinit();
        try bench.world.settle();
    }
};

fn command(mock: *Mock, comptime name: []const u8, data: []const u8) !void {
    const body = try std.mem.concat(allocator, u8, &.{ &.{name.len}, name, data });
    defer allocator.free(body);
    try mock.send_frame(flags_command, body);
}

// -- one part -----------------------------------------------------------------------------------

test "several parts are no message for the types of one part: dropped as a whole, and counted" {
    inline for (.{
        .{ sockets.Type.client, "SERVER", false },
        .{ sockets.Type.gather, "SCATTER", false },
        .{ sockets.Type.channel, "CHANNEL", false },
        .{ sockets.Type.server, "CLIENT", true },
        .{ sockets.Type.peer, "PEER", true },
    }) |case| {
        var bench: Bench = undefined;
        try bench.init(case[0]);
        defer bench.deinit();
        var mock = try bench.dial(case[1]);
        defer mock.deinit();
        try mock.send_message(&.{ "half", "" });
        try mock.send_message(&.{"one"});
        const large: [100_000]u8 = @splat('x');
        try mock.send_message(&.{ "a", &large, "c" });
        try mock.send_message(&.{""});
        try bench.world.settle();
        inline for (.{ "one", "" }) |body| {
            if (case[2]) _ = try bench.expect_from_someone(body) else try bench.expect(&.{body});
        }
        try bench.expect_none();
        try testing.expectEqual(2, bench.counted().dropped_malformed);
        try testing.expectEqual(2, bench.counted().messages_received);
        try testing.expectEqual(0, bench.owner.buffers_held());
    }
}

test "several parts are refused where a message has one, and nothing of them is sent" {
    inline for (.{
        .{ sockets.Type.client, "SERVER" },
        .{ sockets.Type.scatter, "GATHER" },
        .{ sockets.Type.channel, "CHANNEL" },
    }) |case| {
        var bench: Bench = undefined;
        try bench.init(case[0]);
        defer bench.deinit();
        var mock = try bench.dial(case[1]);
        defer mock.deinit();
        try bench.refuses(error.InvalidMessage, &.{ "a", "b" });
        try bench.send(&.{"one"});
        try mock.expect_message(&.{"one"});
        try mock.expect_nothing();
    }
}

test "CLIENT, SCATTER and GATHER take turns: one peer would do all the work" {
    var bench: Bench = undefined;
    try bench.init(.scatter);
    defer bench.deinit();
    var mocks: [3]Mock = undefined;
    for (&mocks) |*mock| mock.* = try bench.dial("GATHER");
    defer for (&mocks) |*mock| mock.deinit();
    for (0..6) |i| {
        try bench.send(&.{"job"});
        try mocks[i % 3].expect_message(&.{"job"});
        for (&mocks) |*mock| try mock.expect_nothing();
    }
}

// -- SERVER and PEER ----------------------------------------------------------------------------

test "SERVER answers the peer that asked: its number means nobody else" {
    inline for (.{ .{ sockets.Type.server, "CLIENT" }, .{ sockets.Type.peer, "PEER" } }) |case| {
        var bench: Bench = undefined;
        try bench.init(case[0]);
        defer bench.deinit();
        var mocks: [3]Mock = undefined;
        var ids: [3][4]u8 = undefined;
        for (&mocks, &ids) |*mock, *id| {
            mock.* = try bench.dial(case[1]);
            try mock.send_message(&.{"question"});
            id.* = try bench.expect_from_someone("question");
        }
        for (ids, 0..) |id, i| {
            try testing.expect(!std.mem.eql(u8, &id, &ids[(i + 1) % 3]));
            try testing.expect(@as(u32, @bitCast(id)) != 0);
            try bench.send(&.{ &id, "answer" });
            // The number never leaves.
            try mocks[i].expect_message(&.{"answer"});
            for (&mocks) |*mock| try mock.expect_nothing();
        }
        try bench.leave(&mocks[1]);
        try bench.refuses(error.Unroutable, &.{ &ids[1], "late" });
        var fresh = try bench.dial(case[1]);
        defer fresh.deinit();
        try fresh.send_message(&.{"hello"});
        const id = try bench.expect_from_someone("hello");
        for (ids) |other| try testing.expect(!std.mem.eql(u8, &id, &other));
        mocks[0].deinit();
        mocks[2].deinit();
    }
}

test "SERVER: a message without a number, or for nobody, is refused and leaves nothing behind" {
    var bench: Bench = undefined;
    try bench.init(.server);
    defer bench.deinit();
    var mock = try bench.dial("CLIENT");
    defer mock.deinit();
    try mock.send_message(&.{"hello"});
    const id = try bench.expect_from_someone("hello");
    try bench.refuses(error.Unroutable, &.{ &.{ 0, 0, 0, 0 }, "x" });
    try bench.refuses(error.InvalidMessage, &.{"x"});
    try bench.refuses(error.InvalidMessage, &.{&id});
    try bench.refuses(error.InvalidMessage, &.{ "12345", "x" });
    try bench.refuses(error.InvalidMessage, &.{ &id, "x", "y" });
    try bench.send(&.{ &id, "" });
    try mock.expect_message(&.{""});
    try mock.expect_nothing();
}

test "SERVER: the number 0 is nobody's, and none is given twice when they begin again" {
    var bench: Bench = undefined;
    try bench.init(.server);
    defer bench.deinit();
    const server = &bench.owner.slot(bench.socket).socket.pattern.server;
    server.next = std.math.maxInt(u32);
    var mocks: [3]Mock = undefined;
    for (&mocks, [_]u32{ std.math.maxInt(u32), 1, 2 }) |*mock, expected| {
        mock.* = try bench.dial("CLIENT");
        if (expected == 1) server.next = std.math.maxInt(u32);
        try mock.send_message(&.{"x"});
        const id = try bench.expect_from_someone("x");
        try testing.expectEqual(expected, @as(u32, @bitCast(id)));
    }
    for (&mocks) |*mock| mock.deinit();
}

test "SERVER: who waits for a full peer is woken by its room, and when it leaves: else for ever" {
    for ([_]bool{ false, true }) |leaves| {
        var bench: Bench = undefined;
        try bench.init(.server);
        defer bench.deinit();
        bench.options().send_high_water_mark = 3;
        var full = try bench.dial("CLIENT");
        try full.send_message(&.{"hello"});
        const id = try bench.expect_from_someone("hello");
        full.peer.limit_inbox(0);
        for (0..3) |_| try bench.send(&.{ &id, "x" });
        try bench.refuses(error.WouldBlock, &.{ &id, "y" });
        const slot = bench.owner.slot(bench.socket);
        try testing.expect(!slot.socket.writable());
        slot.socket.want(.{ .writable = true });
        bench.owner.ready.clearRetainingCapacity();
        if (leaves) {
            try bench.leave(&full);
            try testing.expectEqual(1, bench.owner.ready.items.len);
            try bench.refuses(error.Unroutable, &.{ &id, "y" });
            continue;
        }
        full.peer.limit_inbox(1000);
        try full.pump();
        try bench.world.settle();
        try testing.expectEqual(1, bench.owner.ready.items.len);
        try bench.send(&.{ &id, "y" });
        for (0..3) |_| try full.expect_message(&.{"x"});
        try full.expect_message(&.{"y"});
        full.deinit();
    }
}

test "disconnect_peer ends one connection after what is queued for it, once" {
    var bench: Bench = undefined;
    try bench.init(.peer);
    defer bench.deinit();
    var mocks: [2]Mock = undefined;
    var ids: [2][4]u8 = undefined;
    for (&mocks, &ids) |*mock, *id| {
        mock.* = try bench.dial("PEER");
        try mock.send_message(&.{"hello"});
        id.* = try bench.expect_from_someone("hello");
    }
    defer for (&mocks) |*mock| mock.deinit();
    try bench.owner.send(bench.socket, &.{ &ids[0], "last words" });
    try testing.expect(bench.disconnect_peer(ids[0]));
    try testing.expect(!bench.disconnect_peer(ids[0]));
    try testing.expect(!bench.disconnect_peer(.{ 0, 0, 0, 0 }));
    try bench.refuses(error.Unroutable, &.{ &ids[0], "x" });
    bench.owner.context.flush();
    try bench.world.settle();
    try mocks[0].expect_message(&.{"last words"});
    try testing.expect(mocks[0].peer.ended());
    try bench.send(&.{ &ids[1], "still here" });
    try mocks[1].expect_message(&.{"still here"});
    try testing.expect(!mocks[1].peer.ended());
}

test "PEER: who it connects to has a number before it is there, and keeps it over a reconnection" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const peer = try owner.open(.peer);
    const endpoint = try owner.connect(peer, address);
    const slot = owner.slot(peer);
    const number = owner.context.peer_number(slot, endpoint);
    try testing.expect(number != 0);
    try testing.expectEqual(0, owner.context.peer_number(slot, endpoint + 1));
    const id: [4]u8 = @bitCast(number);
    try owner.send(peer, &.{ &id, "early" });
    const listener = world.network.listen(&address);
    for ([_][]const u8{ "early", "again" }) |body| {
        try world.run(300);
        var mock: Mock = .{ .peer = listener.accept().? };
        defer mock.deinit();
        try mock.handshake(&world, "PEER");
        try mock.expect_message(&.{body});
        try mock.send_message(&.{"answer"});
        try world.settle();
        try owner.expect(peer, &.{ &id, "answer" });
        mock.peer.close();
        try world.settle();
        try owner.send(peer, &.{ &id, "again" });
    }
    // By number it ends for good.
    try testing.expect(owner.context.disconnect_peer(slot, &id, 0));
    try world.run(1000);
    try testing.expectEqual(0, owner.context.session_table.count());
}

test "PEER, immediate: an answer finds its peer after a reconnection: it was never found again" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const peer = try owner.open(.peer);
    owner.slot(peer).socket.options.immediate = 1;
    _ = try owner.connect(peer, address);
    const listener = world.network.listen(&address);
    for (0..3) |_| {
        try world.run(300);
        var mock: Mock = .{ .peer = listener.accept().? };
        defer mock.deinit();
        try mock.handshake(&world, "PEER");
        try mock.send_message(&.{"question"});
        try world.settle();
        var question = (try owner.take(peer)).?;
        defer question.deinit();
        try owner.send(peer, &.{ question.parts.items[0], "answer" });
        owner.context.flush();
        try world.settle();
        try mock.expect_message(&.{"answer"});
        mock.peer.close();
        try world.settle();
        const gone = owner.send(peer, &.{ question.parts.items[0], "nobody" });
        try testing.expectError(error.Unroutable, gone);
    }
}

test "hello goes first, a goodbye and a hiccup are received as if the peer had said them" {
    inline for (.{ .{ sockets.Type.server, "CLIENT" }, .{ sockets.Type.peer, "PEER" } }) |case| {
        var bench: Bench = undefined;
        try bench.init(case[0]);
        defer bench.deinit();
        const socket = &bench.owner.slot(bench.socket).socket;
        try socket.set_bytes(.hello_message, "welcome");
        try socket.set_bytes(.disconnect_message, "gone");
        var mock = try bench.dial(case[1]);
        try mock.expect_message(&.{"welcome"});
        try mock.send_message(&.{"hi"});
        const id = try bench.expect_from_someone("hi");
        try bench.leave(&mock);
        try bench.expect(&.{ &id, "gone" });
    }
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const client = try owner.open(.client);
    try owner.slot(client).socket.set_bytes(.hello_message, "here I am");
    try owner.slot(client).socket.set_bytes(.hiccup_message, "lost it");
    const listener = world.network.listen(&address);
    _ = try owner.connect(client, address);
    for (0..2) |_| {
        try world.run(300);
        var mock: Mock = .{ .peer = listener.accept().? };
        defer mock.deinit();
        try mock.handshake(&world, "SERVER");
        try mock.expect_message(&.{"here I am"});
        try owner.expect_none(client);
        mock.peer.close();
        try world.settle();
        try owner.expect(client, &.{"lost it"});
    }
}

// -- RADIO and DISH -----------------------------------------------------------------------------

test "DISH joins and leaves by command, whatever the version; each connection is told anew" {
    var bench: Bench = undefined;
    try bench.init(.dish);
    defer bench.deinit();
    try bench.subscribe("early", true);
    var mock = try bench.dial("RADIO");
    defer mock.deinit();
    try mock.expect_frame(flags_command, "\x04JOINearly");
    try bench.subscribe("", true);
    const longest: [255]u8 = @splat('g');
    try bench.subscribe(&longest, true);
    try bench.subscribe("early", false);
    try mock.pump();
    try mock.expect_frame(flags_command, "\x04JOIN");
    try mock.expect_frame(flags_command, "\x04JOIN" ++ longest);
    try mock.expect_frame(flags_command, "\x05LEAVEearly");
    try mock.expect_nothing();
    // A peer of ZMTP 3.0 gets the same.
    var old: Mock = try .dial(&bench.world, address);
    defer old.deinit();
    var greeting = worlds.greeting;
    greeting[11] = 0;
    old.send(&greeting);
    old.send(comptime worlds.ready("RADIO"));
    try bench.world.settle();
    try old.pump();
    try old.expect_handshake();
    try old.expect_frame(flags_command, "\x04JOIN");
    try old.expect_frame(flags_command, "\x04JOIN" ++ longest);
    try old.expect_nothing();
}

test "DISH: joining twice, leaving what was not joined, groups too long or with a NUL are refused" {
    var bench: Bench = undefined;
    try bench.init(.dish);
    defer bench.deinit();
    try bench.subscribe("A", true);
    const too_long: [256]u8 = @splat('g');
    const invalid = error.InvalidArgument;
    try testing.expectError(invalid, bench.subscribe("A", true));
    try testing.expectError(invalid, bench.subscribe("B", false));
    try testing.expectError(invalid, bench.subscribe(&too_long, true));
    try testing.expectError(invalid, bench.subscribe("A\x00", true));
    try testing.expectEqual(1, bench.counted().topics);
    try bench.subscribe("A", false);
    try testing.expectError(invalid, bench.subscribe("A", false));
    try testing.expectEqual(0, bench.counted().topics);
    try bench.refuses(error.NotSupported, &.{ "A", "x" });
}

test "DISH hands out pairs of joined groups only: the rest is dropped, each for its reason" {
    var bench: Bench = undefined;
    try bench.init(.dish);
    defer bench.deinit();
    try bench.subscribe("A", true);
    var mock = try bench.dial("RADIO");
    defer mock.deinit();
    const large: [100_000]u8 = @splat('x');
    const too_long: [256]u8 = @splat('A');
    for (0..200) |_| {
        try mock.send_message(&.{ "A", "1" });
        try mock.send_message(&.{ "AB", "prefixes are other groups" });
        try mock.send_message(&.{ "", "and so is none" });
        // Malformed:
        try mock.send_message(&.{"A"});
        try mock.send_message(&.{ "A", "x", "y" });
        try mock.send_message(&.{ &too_long, "x" });
        try mock.send_message(&.{ "A", "2" });
    }
    try mock.send_message(&.{ "A", &large });
    try mock.send_message(&.{ "A", &large, "too much" });
    try mock.send_message(&.{ &large, "x" });
    try bench.world.settle();
    for (0..200) |_| {
        try bench.expect(&.{ "A", "1" });
        try bench.expect(&.{ "A", "2" });
    }
    try bench.expect(&.{ "A", &large });
    try bench.expect_none();
    try testing.expectEqual(400, bench.counted().dropped_filtered);
    try testing.expectEqual(602, bench.counted().dropped_malformed);
    try testing.expectEqual(401, bench.counted().messages_received);
    try testing.expectEqual(0, bench.owner.buffers_held());
    // What is on its way when a group is left is dropped.
    try mock.send_message(&.{ "A", "late" });
    try bench.world.settle();
    try bench.subscribe("A", false);
    try bench.expect_none();
    try testing.expectEqual(401, bench.counted().dropped_filtered);
}

test "RADIO sends to who joined exactly that group, in two frames; who left gets nothing more" {
    var bench: Bench = undefined;
    try bench.init(.radio);
    defer bench.deinit();
    var a = try bench.dial("DISH");
    defer a.deinit();
    var both = try bench.dial("DISH");
    defer both.deinit();
    try bench.send(&.{ "A", "nobody" });
    try testing.expectEqual(1, bench.counted().dropped_unsubscribed);
    try command(&a, "JOIN", "A");
    // Twice is once.
    try command(&both, "JOIN", "A");
    try command(&both, "JOIN", "A");
    try command(&both, "JOIN", "AB");
    try command(&both, "JOIN", "");
    try bench.world.settle();
    const radio = &bench.owner.slot(bench.socket).socket;
    try testing.expectEqual(3, bench.counted().topics);
    try testing.expectEqual(2, radio.subscribed("A"));
    try testing.expectEqual(0, radio.subscribed("ABC"));
    for ([_][]const u8{ "A", "AB", "", "ABC" }) |group| try bench.send(&.{ group, "body" });
    try a.expect_message(&.{ "A", "body" });
    try a.expect_nothing();
    for ([_][]const u8{ "A", "AB", "" }) |group| try both.expect_message(&.{ group, "body" });
    try both.expect_nothing();
    try command(&both, "LEAVE", "A");
    try command(&both, "LEAVE", "never joined");
    try bench.world.settle();
    try bench.send(&.{ "A", "" });
    try a.expect_message(&.{ "A", "" });
    try both.expect_nothing();
    try testing.expectEqual(2, bench.counted().dropped_unsubscribed);
}

test "RADIO: a message that is no pair, or whose group is none, is refused, and none is left half" {
    var bench: Bench = undefined;
    try bench.init(.radio);
    defer bench.deinit();
    var mock = try bench.dial("DISH");
    defer mock.deinit();
    try command(&mock, "JOIN", "A");
    try bench.world.settle();
    const too_long: [256]u8 = @splat('g');
    try bench.refuses(error.InvalidMessage, &.{"A"});
    try bench.refuses(error.InvalidMessage, &.{ "A", "x", "y" });
    try bench.refuses(error.InvalidMessage, &.{ &too_long, "x" });
    try bench.refuses(error.InvalidMessage, &.{ "A\x00", "x" });
    const slot = bench.owner.slot(bench.socket);
    try testing.expectError(error.NotSupported, bench.owner.context.fill(slot));
    try bench.send(&.{ "A", "x" });
    try mock.expect_message(&.{ "A", "x" });
    try mock.expect_nothing();
}

test "RADIO: what a peer sends besides joins goes nowhere, and is counted" {
    var bench: Bench = undefined;
    try bench.init(.radio);
    defer bench.deinit();
    var mock = try bench.dial("DISH");
    defer mock.deinit();
    const too_long: [256]u8 = @splat('g');
    const large: [100_000]u8 = @splat(1);
    try command(&mock, "JOIN", &too_long);
    try command(&mock, "JOIN", "A\x00B");
    try mock.send_message(&.{"data"});
    try mock.send_message(&.{""});
    try mock.send_message(&.{ "\x01A", "more" });
    try mock.send_message(&.{&large});
    try command(&mock, "JOIN", "A");
    try bench.world.settle();
    try testing.expectEqual(6, bench.counted().dropped_malformed);
    try testing.expectEqual(1, bench.counted().topics);
    try testing.expectEqual(0, bench.owner.buffers_held());
    try bench.send(&.{ "A", "x" });
    try mock.expect_message(&.{ "A", "x" });
}

test "RADIO: a peer that joins without end is cut off, and its memory comes back" {
    for ([_]bool{ false, true }) |by_bytes| {
        var bench: Bench = undefined;
        try bench.init(.radio);
        defer bench.deinit();
        if (by_bytes) {
            bench.options().subscription_bytes_max = 100_000;
        } else bench.options().subscriptions_max = 10_000;
        var good = try bench.dial("DISH");
        defer good.deinit();
        try command(&good, "JOIN", "good");
        try bench.world.settle();
        const live = bench.owner.live_bytes();
        var mock = try bench.dial("DISH");
        var buffer: [32]u8 = undefined;
        for (0..1_000_000) |i| {
            try command(&mock, "JOIN", try std.fmt.bufPrint(&buffer, "{d:0>10}", .{i}));
            if (i % 100 != 0) continue;
            try bench.world.settle();
            if (mock.peer.ended()) break;
        }
        try testing.expect(mock.peer.ended());
        try testing.expect(bench.counted().subscriptions_refused > 0);
        try testing.expectEqual(1, bench.counted().topics);
        try bench.owner.expect_ended(bench.socket, .too_many_subscriptions);
        try bench.leave(&mock);
        try testing.expect(bench.owner.live_bytes() < live + 4096);
        try bench.send(&.{ "good", "x" });
        try good.expect_message(&.{ "good", "x" });
    }
}

test "RADIO: a slow peer loses its own messages only; with noDrop it sets the pace" {
    for ([_]u32{ 0, 1 }) |no_drop| {
        var bench: Bench = undefined;
        try bench.init(.radio);
        defer bench.deinit();
        bench.options().publisher_no_drop = no_drop;
        bench.options().send_high_water_mark = 10;
        var fast = try bench.dial("DISH");
        defer fast.deinit();
        var slow = try bench.dial("DISH");
        defer slow.deinit();
        for ([_]*Mock{ &fast, &slow }) |mock| try command(mock, "JOIN", "A");
        try bench.world.settle();
        slow.peer.limit_inbox(0);
        const body: [5000]u8 = @splat('x');
        var sent: u32 = 0;
        while (sent < 100) : (sent += 1) {
            bench.owner.send(bench.socket, &.{ "A", &body }) catch break;
            bench.owner.context.flush();
            try bench.world.settle();
            try fast.expect_message(&.{ "A", &body });
        }
        const socket = &bench.owner.slot(bench.socket).socket;
        if (no_drop == 0) {
            try testing.expectEqual(100, sent);
            try testing.expect(bench.counted().dropped_high_water_mark >= 80);
            continue;
        }
        try testing.expect(sent >= 10 and sent < 40);
        try testing.expect(!socket.writable());
        try testing.expectEqual(0, bench.counted().dropped_high_water_mark);
        // It leaves the group: it keeps nobody waiting any more.
        try command(&slow, "LEAVE", "A");
        try bench.world.settle();
        try testing.expect(socket.writable());
        try bench.send(&.{ "A", "on" });
        try fast.expect_message(&.{ "A", "on" });
    }
}

test "RADIO: a peer that leaves between group and body gets nothing, the others all of it" {
    var bench: Bench = undefined;
    try bench.init(.radio);
    defer bench.deinit();
    var stays = try bench.dial("DISH");
    defer stays.deinit();
    var leaves = try bench.dial("DISH");
    for ([_]*Mock{ &stays, &leaves }) |mock| try command(mock, "JOIN", "A");
    try bench.world.settle();
    const slot = bench.owner.slot(bench.socket);
    try bench.owner.context.send(slot, "A", true, false);
    try bench.leave(&leaves);
    var late = try bench.dial("DISH");
    defer late.deinit();
    try command(&late, "JOIN", "A");
    try bench.world.settle();
    try bench.owner.context.send(slot, "body", false, false);
    bench.owner.context.flush();
    try bench.world.settle();
    try stays.expect_message(&.{ "A", "body" });
    try late.expect_nothing();
    try testing.expectEqual(1, bench.counted().dropped_disconnect);
}

test "inproc: joins, groups, numbers and one part work as over the network" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const here = try world.add();
    const there = try world.add();
    const radio = try here.open(.radio);
    const dish = try there.open(.dish);
    try there.slot(dish).socket.subscribe("A", true);
    _ = try here.context.bind_inproc(radio, "waves");
    _ = try there.context.connect_inproc(dish, "waves", "");
    try world.settle();
    try there.slot(dish).socket.subscribe("B", true);
    try there.slot(dish).socket.subscribe("A", false);
    there.context.flush();
    try world.settle();
    try testing.expectEqual(1, here.record(radio).topics);
    for ([_][]const u8{ "A", "B" }) |group| try here.send(radio, &.{ group, "x" });
    here.context.flush();
    try world.settle();
    try there.expect(dish, &.{ "B", "x" });
    try there.expect_none(dish);

    const peer = try here.open(.peer);
    const other = try there.open(.peer);
    _ = try there.context.bind_inproc(other, "peers");
    const endpoint = try here.context.connect_inproc(peer, "peers", "");
    const id: [4]u8 = @bitCast(here.context.peer_number(here.slot(peer), endpoint));
    try here.send(peer, &.{ &id, "hello" });
    here.context.flush();
    try world.settle();
    var message = (try there.take(other)).?;
    defer message.deinit();
    try testing.expectEqualStrings("hello", message.parts.items[1]);
    try there.send(other, &.{ message.parts.items[0], "hello yourself" });
    there.context.flush();
    try world.settle();
    try here.expect(peer, &.{ &id, "hello yourself" });
}
