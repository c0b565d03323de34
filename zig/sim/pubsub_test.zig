//! PUB, XPUB, SUB and XSUB against mock peers: which bytes a subscription is, who gets what, what
//! an XPUB's reader is told, what stays when connections come and go, and what slow or hostile
//! peers can do to the others. Named after the files of libzmq's own tests where they follow one.

const std = @import("std");
const testing = std.testing;

const Address = @import("../io/address.zig").Address;
const constants = @import("../constants.zig");
const frame = @import("../zmtp/frame.zig");
const Prng = @import("../stdx/prng.zig").Prng;
const sockets = @import("../socket/socket.zig");
const SocketOptions = @import("../options.zig").SocketOptions;
const worlds = @import("world.zig");
const Mock = worlds.Mock;
const Owner = worlds.Owner;
const World = worlds.World;

const allocator = testing.allocator;
const address: Address = .ipv4(.{ 127, 0, 0, 1 }, 5555);

const Version = enum { zmtp_3_0, zmtp_3_1 };

/// One bound socket and whoever dials it.
const Bench = struct {
    world: World,
    owner: *Owner,
    socket: u32,

    fn init(bench: *Bench, socket_type: sockets.Type) !void {
        bench.world.init(1, .{});
        errdefer bench.world.deinit();
        bench.owner = try bench.world.add();
        bench.socket = try bench.owner.open(socket_type);
        _ = try bench.owner.context.bind(bench.socket, &address);
    }

    fn deinit(bench: *Bench) void {
        bench.world.deinit();
    }

    fn options(bench: *Bench) *SocketOptions {
        return bench.owner.slot(bench.socket).socket.options;
    }

    fn counted(bench: *Bench) *sockets.Record {
        return bench.owner.record(bench.socket);
    }

    fn dial(bench: *Bench, comptime peer_type: []const u8, version: Version) !Mock {
        var mock: Mock = try .dial(&bench.world, address);
        errdefer mock.deinit();
        try greet(&bench.world, &mock, peer_type, version);
        return mock;
    }

    fn settle(bench: *Bench) !void {
        try bench.world.settle();
    }

    fn subscribe(bench: *Bench, mock: *Mock, topic: []const u8) !void {
        try command(mock, "\x09SUBSCRIBE", topic);
        try bench.settle();
    }

    fn cancel(bench: *Bench, mock: *Mock, topic: []const u8) !void {
        try command(mock, "\x06CANCEL", topic);
        try bench.settle();
    }

    fn part(bench: *Bench, bytes: []const u8, more: bool) !void {
        try bench.owner.context.send(bench.owner.slot(bench.socket), bytes, more, false);
    }

    fn send(bench: *Bench, parts: []const []const u8) !void {
        try bench.owner.send(bench.socket, parts);
        bench.owner.context.flush();
        try bench.settle();
    }

    fn ask(bench: *Bench, topic: []const u8, wanted: bool) !void {
        try bench.owner.slot(bench.socket).socket.subscribe(topic, wanted);
        bench.owner.context.flush();
        try bench.settle();
    }

    fn expect(bench: *Bench, parts: []const []const u8) !void {
        try bench.settle();
        try bench.owner.expect(bench.socket, parts);
    }

    fn expect_all(bench: *Bench, messages: []const []const u8) !void {
        for (messages) |message| try bench.expect(&.{message});
        try bench.expect_none();
    }

    fn expect_none(bench: *Bench) !void {
        try bench.settle();
        try bench.owner.expect_none(bench.socket);
    }

    fn forget_all(bench: *Bench) !void {
        while (try bench.owner.take(bench.socket)) |message| {
            var it = message;
            it.deinit();
        }
    }

    fn leave(bench: *Bench, mock: *Mock) !void {
        mock.peer.close();
        mock.deinit();
        mock.received = .empty;
        try bench.settle();
    }
};

fn greet(world: *World, mock: *Mock, comptime peer_type: []const u8, version: Version) !void {
    var greeting = worlds.greeting;
    if (version == .zmtp_3_0) greeting[11] = 0;
    mock.send(&greeting);
    mock.send(comptime worlds.ready(peer_type));
    try world.settle();
    try mock.pump();
    try mock.expect_handshake();
}

fn command(mock: *Mock, comptime name: []const u8, topic: []const u8) !void {
    const body = try std.mem.concat(allocator, u8, &.{ name, topic });
    defer allocator.free(body);
    try mock.send_frame(frame.flag_command, body);
}

fn expect_bytes(mock: *Mock, bytes: []const u8) !void {
    try mock.pump();
    try testing.expectEqualSlices(u8, bytes, mock.received.items);
    mock.received.clearRetainingCapacity();
}

fn expect_frame(world: *World, mock: *Mock, flags: u8, body: []const u8) !void {
    try world.settle();
    try mock.pump();
    try mock.expect_frame(flags, body);
}

/// A message longer than what a stream holds at a time.
fn expect_long(world: *World, mock: *Mock, body: []const u8) !void {
    while (mock.received.items.len < frame.header_size_max + body.len) {
        const before = mock.received.items.len;
        try world.settle();
        try mock.pump();
        if (mock.received.items.len == before) return error.NoFrame;
    }
    try mock.expect_message(&.{body});
}

// -- the wire -----------------------------------------------------------------------------------

test "test_mock_pub_sub: a PUB takes subscriptions in both forms: half of its peers would be deaf" {
    for ([_]sockets.Type{ .@"pub", .xpub }) |socket_type| {
        var bench: Bench = undefined;
        try bench.init(socket_type);
        defer bench.deinit();
        for ([_]Version{ .zmtp_3_0, .zmtp_3_1 }) |version| for ([_]bool{ false, true }) |legacy| {
            var mock = try bench.dial("SUB", version);
            try bench.send(&.{"ALOL"});
            try mock.expect_nothing();
            mock.send(if (legacy) "\x00\x02\x01A" else "\x04\x0b\x09SUBSCRIBEA");
            try bench.settle();
            try bench.send(&.{"ALOL"});
            try bench.send(&.{"BLOL"});
            try expect_bytes(&mock, "\x00\x04ALOL");
            // One form cancels the other one, too.
            mock.send(if (legacy) "\x04\x08\x06CANCELA" else "\x00\x02\x00A");
            try bench.settle();
            try bench.send(&.{"ALOL"});
            try mock.expect_nothing();
            try bench.leave(&mock);
        };
    }
}

test "test_mock_pub_sub: a SUB subscribes in the form its publisher knows: it would get nothing" {
    for ([_]sockets.Type{ .sub, .xsub }) |socket_type| {
        for ([_]Version{ .zmtp_3_0, .zmtp_3_1 }) |version| {
            var bench: Bench = undefined;
            try bench.init(socket_type);
            defer bench.deinit();
            const new = version == .zmtp_3_1;
            // Before and behind the handshake.
            try bench.ask("A", true);
            var mock = try bench.dial("PUB", version);
            defer mock.deinit();
            try expect_bytes(&mock, if (new) "\x04\x0b\x09SUBSCRIBEA" else "\x00\x02\x01A");
            try bench.ask("", true);
            try expect_bytes(&mock, if (new) "\x04\x0a\x09SUBSCRIBE" else "\x00\x01\x01");
            try bench.ask("A", false);
            try expect_bytes(&mock, if (new) "\x04\x08\x06CANCELA" else "\x00\x02\x00A");
            mock.send("\x00\x04ALOL");
            try bench.expect(&.{"ALOL"});
        }
    }
}

test "test_xpub_topic: topics of 245 to 257 bytes arrive whole both ways: libzmq broke here" {
    var bench: Bench = undefined;
    try bench.init(.xpub);
    defer bench.deinit();
    var xsub: Bench = undefined;
    try xsub.init(.xsub);
    defer xsub.deinit();
    var new = try xsub.dial("XPUB", .zmtp_3_1);
    defer new.deinit();
    var old = try xsub.dial("XPUB", .zmtp_3_0);
    defer old.deinit();
    var mock = try bench.dial("XSUB", .zmtp_3_1);
    defer mock.deinit();
    for (240..260) |size| {
        var bytes: [300]u8 = @splat('t');
        const topic = bytes[1 .. 1 + size];
        const wanted = bytes[0 .. 1 + size];
        for ([_]u8{ 1, 0, 1, 0 }, 0..) |first, round| {
            bytes[0] = first;
            const as_data = round == 1 or round == 2;
            if (as_data) {
                try mock.send_frame(0, wanted);
            } else if (first == 1) {
                try bench.subscribe(&mock, topic);
            } else try bench.cancel(&mock, topic);
            try bench.expect(&.{wanted});
        }
        for ([_]u8{ 1, 0 }) |first| {
            bytes[0] = first;
            try xsub.ask(topic, first == 1);
            try new.pump();
            const name = if (first == 1) "\x09SUBSCRIBE" else "\x06CANCEL";
            const body = try std.mem.concat(allocator, u8, &.{ name, topic });
            defer allocator.free(body);
            try new.expect_frame(frame.flag_command, body);
            try old.expect_message(&.{wanted});
        }
    }
}

test "a topic of 1 MiB subscribes, as a command and as data, and a longer one is refused" {
    const topic = try allocator.alloc(u8, 1 + constants.topic_bytes_max);
    defer allocator.free(topic);
    @memset(topic, 't');
    topic[0] = 1;
    for ([_]bool{ false, true }) |legacy| {
        var bench: Bench = undefined;
        try bench.init(.xpub);
        defer bench.deinit();
        var mock = try bench.dial("SUB", .zmtp_3_1);
        defer mock.deinit();
        if (legacy) {
            try mock.send_frame(0, topic);
        } else try bench.subscribe(&mock, topic[1..]);
        try bench.expect(&.{topic});
        try testing.expectEqual(0, bench.owner.buffers_held());
        try bench.send(&.{topic[1..]});
        try expect_long(&bench.world, &mock, topic[1..]);
        // One more byte is not a match.
        try bench.send(&.{topic[2..]});
        try mock.expect_nothing();
    }
    var bench: Bench = undefined;
    try bench.init(.sub);
    defer bench.deinit();
    try bench.ask(topic[1..], true);
    try testing.expectError(error.InvalidArgument, bench.ask(topic, true));
    var mock = try bench.dial("PUB", .zmtp_3_0);
    defer mock.deinit();
    try expect_long(&bench.world, &mock, topic);
    try mock.expect_nothing();
}

// -- what the reader of an XPUB is told ---------------------------------------------------------

test "test_xpub_verbose: who reads an XPUB learns of first and last ones, or of all if it asks" {
    const Case = struct { u32, []const []const u8 };
    for ([_]Case{
        .{ 0, &.{ "\x01A", "\x01B", "\x00A", "\x00B" } },
        .{ 1, &.{ "\x01A", "\x01A", "\x01A", "\x01B", "\x00A", "\x00B" } },
        .{ 2, &.{ "\x01A", "\x01A", "\x01A", "\x01B", "\x00A", "\x00A", "\x00B" } },
    }) |case| {
        var bench: Bench = undefined;
        try bench.init(.xpub);
        defer bench.deinit();
        bench.options().publisher_verbosity = case[0];
        var mocks: [2]Mock = undefined;
        for (&mocks) |*mock| mock.* = try bench.dial("SUB", .zmtp_3_1);
        defer mocks[0].deinit();
        try bench.subscribe(&mocks[0], "A");
        try bench.subscribe(&mocks[0], "A");
        try bench.subscribe(&mocks[1], "A");
        try bench.subscribe(&mocks[1], "B");
        try bench.cancel(&mocks[0], "A");
        // A cancel of what one does not have is none for those who have it.
        if (case[0] < 2) try bench.cancel(&mocks[0], "A");
        try bench.send(&.{"A"});
        try mocks[1].expect_message(&.{"A"});
        try bench.cancel(&mocks[1], "A");
        // Who leaves cancels.
        try bench.leave(&mocks[1]);
        try bench.expect_all(case[1]);
        try testing.expectEqual(0, bench.counted().topics);
    }
}

test "a peer that leaves cancels its topics at once, those of others stay: a proxy would go on" {
    for ([_]u32{ 0, 2 }) |verbosity| {
        var bench: Bench = undefined;
        try bench.init(.xpub);
        defer bench.deinit();
        bench.options().publisher_verbosity = verbosity;
        var first = try bench.dial("SUB", .zmtp_3_1);
        var second = try bench.dial("SUB", .zmtp_3_1);
        defer second.deinit();
        for ([_][]const u8{ "A", "B" }) |topic| try bench.subscribe(&first, topic);
        try bench.subscribe(&second, "B");
        try testing.expectEqual(2, bench.counted().topics);
        try bench.forget_all();
        try bench.leave(&first);
        try testing.expectEqual(1, bench.counted().topics);
        var cancels: [2]u32 = .{ 0, 0 };
        while (try bench.owner.take(bench.socket)) |message| {
            var it = message;
            defer it.deinit();
            try testing.expectEqual(0, it.parts.items[0][0]);
            cancels[it.parts.items[0][1] - 'A'] += 1;
        }
        try testing.expectEqual([2]u32{ 1, if (verbosity == 2) 1 else 0 }, cancels);
        try bench.send(&.{"B"});
        try second.expect_message(&.{"B"});
    }
}

test "test_xpub_manual: a user's messages get to the reader of an XPUB as they are" {
    for ([_]u32{ 0, 1 }) |only_first| {
        var bench: Bench = undefined;
        try bench.init(.xpub);
        defer bench.deinit();
        bench.options().only_first_subscribe = only_first;
        var mock = try bench.dial("XSUB", .zmtp_3_1);
        defer mock.deinit();
        try mock.send_message(&.{"ABC"});
        try mock.send_message(&.{""});
        try mock.send_message(&.{ "ABC", "\x01DE", "\x00FG", "" });
        try mock.send_message(&.{ "\x01H", "\x01I" });
        try mock.send_message(&.{ "\x01J", "KL" });
        try bench.expect(&.{"ABC"});
        try bench.expect(&.{""});
        try bench.expect(&.{ "ABC", "\x01DE", "\x00FG", "" });
        for ([_][]const u8{ "\x01H", "\x01I", "\x01J", "KL" }) |note| try bench.expect(&.{note});
        try bench.expect_none();
        // Unless only the first part may subscribe, the others did, too.
        try testing.expectEqual(@as(u32, if (only_first == 1) 3 else 4), bench.counted().topics);
        try testing.expectEqual(0, bench.counted().dropped_malformed);
    }
}

test "a message of many large parts to an XPUB is handed out whole, and its buffers come back" {
    var bench: Bench = undefined;
    try bench.init(.xpub);
    defer bench.deinit();
    var mock = try bench.dial("XSUB", .zmtp_3_1);
    const large = try allocator.alloc(u8, 100_000);
    defer allocator.free(large);
    @memset(large, 'x');
    for (0..2) |_| try mock.send_message(&.{ "small", large, large, "\x01end" });
    try bench.settle();
    try bench.expect(&.{ "small", large, large, "\x01end" });
    try testing.expectEqual(2, bench.owner.buffers_held());
    try bench.leave(&mock);
    // What it said before it left is still there.
    try bench.expect(&.{ "small", large, large, "\x01end" });
    try bench.expect(&.{"\x00end"});
    try testing.expectEqual(0, bench.owner.buffers_held());
}

test "messages that nobody reads stop their sender, not its neighbours' subscriptions" {
    var bench: Bench = undefined;
    try bench.init(.xpub);
    defer bench.deinit();
    bench.options().receive_high_water_mark = 10;
    var loud = try bench.dial("XSUB", .zmtp_3_1);
    defer loud.deinit();
    var mock = try bench.dial("SUB", .zmtp_3_1);
    defer mock.deinit();
    for (0..1000) |i| try loud.send_message(&.{if (i == 500) "\x01late" else "message"});
    try bench.settle();
    try bench.subscribe(&mock, "A");
    try testing.expectEqual(1, bench.counted().topics);
    for (0..10) |_| try bench.expect(&.{"message"});
    // It came when the reader was at the tenth.
    try bench.expect(&.{"\x01A"});
    for (10..1000) |i| try bench.expect(&.{if (i == 500) "\x01late" else "message"});
    try bench.expect_none();
    try testing.expectEqual(0, bench.counted().dropped_unread);
    try testing.expectEqual(2, bench.counted().topics);
    // Its last ones are read when it has gone; its subscriptions went with it.
    for (0..14) |_| try loud.send_message(&.{"last"});
    loud.peer.close();
    try bench.settle();
    try testing.expectEqual(1, bench.counted().topics);
    for (0..10) |_| try bench.expect(&.{"last"});
    try bench.expect(&.{"\x00late"});
    for (10..14) |_| try bench.expect(&.{"last"});
    try bench.expect_none();
    try testing.expectEqual(1, bench.owner.context.session_table.count());
}

test "a reader who never comes costs no more than the limit, and what he missed is counted" {
    var bench: Bench = undefined;
    try bench.init(.xpub);
    defer bench.deinit();
    bench.options().publisher_verbosity = 2;
    var mock = try bench.dial("SUB", .zmtp_3_1);
    defer mock.deinit();
    const topic = try allocator.alloc(u8, 30_000);
    defer allocator.free(topic);
    @memset(topic, 't');
    const count = constants.notices_bytes_max / topic.len;
    for (0..count) |i| {
        if (i % 2 == 0) {
            try command(&mock, "\x09SUBSCRIBE", topic);
        } else try command(&mock, "\x06CANCEL", topic);
        if (i % 64 == 0) try bench.settle();
    }
    try bench.settle();
    const record = bench.counted();
    try testing.expect(record.dropped_unread > 0);
    try testing.expect(bench.owner.live_bytes() < constants.notices_bytes_max + (1 << 20));
    // It counts for all that.
    try testing.expectEqual(count % 2, record.topics);
    var read: u64 = 0;
    while (try bench.owner.take(bench.socket)) |message| : (read += 1) {
        var it = message;
        it.deinit();
    }
    try testing.expectEqual(count, read + record.dropped_unread);
    try testing.expect(bench.owner.live_bytes() < 1 << 20);
}

// -- manual -------------------------------------------------------------------------------------

test "test_xpub_manual: the owner decides what a peer gets, and reads what it asked for" {
    var bench: Bench = undefined;
    try bench.init(.xpub);
    defer bench.deinit();
    try testing.expectError(error.InvalidArgument, bench.ask("A", true));
    bench.options().publisher_manual = 1;
    // Nobody has been read of.
    try bench.ask("A", true);
    try testing.expectEqual(0, bench.counted().topics);
    var first = try bench.dial("SUB", .zmtp_3_1);
    var second = try bench.dial("SUB", .zmtp_3_1);
    defer second.deinit();
    try bench.subscribe(&first, "A");
    try bench.subscribe(&second, "B");
    try bench.send(&.{"A"});
    try first.expect_nothing();
    try bench.expect(&.{"\x01A"});
    try bench.ask("XA", true);
    try bench.expect(&.{"\x01B"});
    try bench.ask("XB", true);
    for ([_][]const u8{ "A", "XA", "XB", "B" }) |topic| try bench.send(&.{topic});
    try first.expect_message(&.{"XA"});
    try first.expect_nothing();
    try second.expect_message(&.{"XB"});
    try second.expect_nothing();
    // Cancels are the owner's, too.
    try bench.cancel(&second, "B");
    try bench.send(&.{"XB"});
    try second.expect_message(&.{"XB"});
    try bench.expect(&.{"\x00B"});
    try bench.ask("XB", false);
    try bench.send(&.{"XB"});
    try second.expect_nothing();
    // Who leaves cancels what it asked for; what the owner made of it goes as well.
    try bench.leave(&first);
    try testing.expectEqual(0, bench.counted().topics);
    try bench.expect(&.{"\x00A"});
    // That one has gone: it is on nobody's behalf.
    try bench.ask("XA", true);
    try testing.expectEqual(0, bench.counted().topics);
    try bench.expect_none();
}

test "test_xpub_manual: a place that was taken again is not taken for the peer who had it" {
    var bench: Bench = undefined;
    try bench.init(.xpub);
    defer bench.deinit();
    bench.options().publisher_manual = 1;
    var first = try bench.dial("SUB", .zmtp_3_1);
    try bench.subscribe(&first, "A");
    try bench.leave(&first);
    var second = try bench.dial("SUB", .zmtp_3_1);
    defer second.deinit();
    try bench.expect(&.{"\x01A"});
    try bench.ask("A", true);
    try bench.send(&.{"A"});
    try second.expect_nothing();
    try bench.expect(&.{"\x00A"});
}

test "test_xpub_manual_last_value: the next message goes to the peer just read of, and no other" {
    var bench: Bench = undefined;
    try bench.init(.xpub);
    defer bench.deinit();
    bench.options().publisher_manual = 2;
    var mocks: [2]Mock = undefined;
    for (&mocks) |*mock| {
        mock.* = try bench.dial("SUB", .zmtp_3_1);
        try bench.subscribe(mock, "A");
        try bench.expect(&.{"\x01A"});
        try bench.ask("A", true);
        try bench.send(&.{ "A", "last value" });
    }
    defer for (&mocks) |*mock| mock.deinit();
    try bench.send(&.{ "A", "for all" });
    for (&mocks) |*mock| {
        try mock.expect_message(&.{ "A", "last value" });
        try mock.expect_message(&.{ "A", "for all" });
        try mock.expect_nothing();
    }
    // It goes to nobody when that peer does not want it.
    try bench.subscribe(&mocks[0], "B");
    try bench.expect(&.{"\x01B"});
    try bench.ask("B", true);
    try bench.send(&.{"C"});
    try bench.send(&.{"A"});
    for (&mocks) |*mock| {
        try mock.expect_message(&.{"A"});
        try mock.expect_nothing();
    }
}

// -- who gets what ------------------------------------------------------------------------------

test "test_xpub_welcome_msg: each new connection begins with the welcome, before it subscribed" {
    var bench: Bench = undefined;
    try bench.init(.xpub);
    defer bench.deinit();
    const socket = &bench.owner.slot(bench.socket).socket;
    try socket.set_bytes(.welcome_message, "W");
    var mock = try bench.dial("SUB", .zmtp_3_1);
    defer mock.deinit();
    try bench.settle();
    try mock.expect_message(&.{"W"});
    try bench.subscribe(&mock, "W");
    try mock.expect_nothing();
    try socket.set_bytes(.welcome_message, "");
    var late = try bench.dial("SUB", .zmtp_3_1);
    defer late.deinit();
    try late.expect_nothing();
}

test "test_pub_invert_matching: inverted, a message goes to those who did not ask for it" {
    var bench: Bench = undefined;
    try bench.init(.@"pub");
    defer bench.deinit();
    bench.options().invert_matching = 1;
    var mocks: [3]Mock = undefined;
    for (&mocks) |*mock| mock.* = try bench.dial("SUB", .zmtp_3_1);
    defer for (&mocks) |*mock| mock.deinit();
    try bench.subscribe(&mocks[0], "A");
    try bench.subscribe(&mocks[0], "AB");
    try bench.subscribe(&mocks[1], "B");
    try bench.send(&.{"ABC"});
    try bench.send(&.{"B"});
    try bench.send(&.{"C"});
    const expected = [_][]const []const u8{
        &.{ "B", "C" }, &.{ "ABC", "C" }, &.{ "ABC", "B", "C" },
    };
    for (&mocks, expected) |*mock, all| {
        for (all) |one| try mock.expect_message(&.{one});
        try mock.expect_nothing();
    }

    var sub: Bench = undefined;
    try sub.init(.sub);
    defer sub.deinit();
    sub.options().invert_matching = 1;
    try sub.ask("A", true);
    var publisher = try sub.dial("PUB", .zmtp_3_1);
    defer publisher.deinit();
    for ([_][]const u8{ "A", "B", "AB", "" }) |one| try publisher.send_message(&.{one});
    try sub.expect_all(&.{ "B", "" });
    try testing.expectEqual(2, sub.counted().dropped_filtered);
    // Everything is wanted means that nothing is.
    try sub.ask("", true);
    try publisher.send_message(&.{"B"});
    try sub.expect_none();
}

test "test_pubsub_topics_count: different topics are counted on both sides, each one once" {
    var bench: Bench = undefined;
    try bench.init(.@"pub");
    defer bench.deinit();
    var sub: Bench = undefined;
    try sub.init(.sub);
    defer sub.deinit();
    var mocks: [2]Mock = undefined;
    for (&mocks) |*mock| mock.* = try bench.dial("SUB", .zmtp_3_1);
    defer for (&mocks) |*mock| mock.deinit();
    const topics = [_][]const u8{ "topic1", "topic2", "topic", "", "topic1" };
    const counts = [_]u32{ 1, 2, 3, 4, 4 };
    for (topics, counts) |topic, count| {
        for (&mocks) |*mock| try bench.subscribe(mock, topic);
        try sub.ask(topic, true);
        try testing.expectEqual(count, bench.counted().topics);
        try testing.expectEqual(count, sub.counted().topics);
    }
    const left = [_]u32{ 4, 3, 2, 1, 0 };
    for ([_][]const u8{ "topic1", "topic2", "topic", "", "topic1" }, left) |topic, count| {
        try sub.ask(topic, false);
        try testing.expectEqual(count, sub.counted().topics);
    }
    // Unknown: nothing happens.
    try sub.ask("topic1", false);
    const socket = &bench.owner.slot(bench.socket).socket;
    try testing.expectEqual(2, socket.subscribed("topic1 and more"));
    try bench.cancel(&mocks[0], "");
    try testing.expectEqual(1, socket.subscribed("other"));
    try testing.expectEqual(2, socket.subscribed("topic"));
    try bench.cancel(&mocks[1], "");
    try testing.expectEqual(0, socket.subscribed("other"));
    try testing.expectEqual(3, bench.counted().topics);
}

test "a message with several matching topics arrives once, its parts are nobody else's business" {
    var bench: Bench = undefined;
    try bench.init(.@"pub");
    defer bench.deinit();
    var mock = try bench.dial("SUB", .zmtp_3_1);
    defer mock.deinit();
    for ([_][]const u8{ "A", "AB", "", "ABC" }) |topic| try bench.subscribe(&mock, topic);
    var other = try bench.dial("SUB", .zmtp_3_1);
    defer other.deinit();
    try bench.subscribe(&other, "body");
    try bench.send(&.{ "ABC", "body" });
    try mock.expect_message(&.{ "ABC", "body" });
    try mock.expect_nothing();
    try other.expect_nothing();
    const before = bench.counted().dropped_unsubscribed;
    try bench.cancel(&mock, "");
    try bench.send(&.{ "nobody's", "body" });
    try testing.expectEqual(before + 1, bench.counted().dropped_unsubscribed);
    try testing.expectEqual(2, bench.counted().messages_sent);
}

test "who comes in the middle of a message gets the next one, who goes is left out of the rest" {
    var bench: Bench = undefined;
    try bench.init(.@"pub");
    defer bench.deinit();
    var stays = try bench.dial("SUB", .zmtp_3_1);
    defer stays.deinit();
    var goes = try bench.dial("SUB", .zmtp_3_1);
    for ([_]*Mock{ &stays, &goes }) |mock| try bench.subscribe(mock, "");
    try bench.part("one", true);
    var comes = try bench.dial("SUB", .zmtp_3_1);
    defer comes.deinit();
    try bench.subscribe(&comes, "");
    try bench.leave(&goes);
    try bench.part("two", true);
    try bench.part("three", false);
    bench.owner.context.flush();
    try bench.send(&.{"next"});
    try stays.expect_message(&.{ "one", "two", "three" });
    for ([_]*Mock{ &stays, &comes }) |mock| {
        try mock.expect_message(&.{"next"});
        try mock.expect_nothing();
    }
    try testing.expectEqual(1, bench.counted().dropped_disconnect);
    // All of them go: nothing is left of it.
    try bench.part("half", true);
    try bench.leave(&comes);
    stays.peer.close();
    try bench.settle();
    try bench.part("rest", false);
    try testing.expectEqual(3, bench.counted().dropped_disconnect);
    var again = try bench.dial("SUB", .zmtp_3_1);
    defer again.deinit();
    try bench.subscribe(&again, "");
    try bench.send(&.{ "whole", "message" });
    try again.expect_message(&.{ "whole", "message" });
    try again.expect_nothing();
}

test "messages larger than a block, and of many parts, arrive whole at all: blocks change in them" {
    var bench: Bench = undefined;
    try bench.init(.@"pub");
    defer bench.deinit();
    var mocks: [3]Mock = undefined;
    for (&mocks) |*mock| {
        mock.* = try bench.dial("SUB", .zmtp_3_1);
        try bench.subscribe(mock, "");
    }
    defer for (&mocks) |*mock| mock.deinit();
    var prng: Prng = .init(7);
    const bytes = try allocator.alloc(u8, 3 << 20);
    defer allocator.free(bytes);
    prng.fill(bytes);
    const live = bench.owner.live_bytes();
    for (0..60) |_| {
        const sizes = [_]u64{ 0, 1, 255, 256, 1000, 20_000, 65_500, 65_536, 200_000, 3 << 20 };
        var parts: [40][]const u8 = undefined;
        const count: usize = @intCast(1 + prng.below(parts.len));
        var budget: u64 = 4 << 20;
        for (parts[0..count]) |*it| {
            const size = @min(budget, prng.below(prng.pick(u64, &sizes) + 1));
            budget -= size;
            it.* = bytes[0..@intCast(size)];
        }
        try bench.owner.send(bench.socket, parts[0..count]);
        bench.owner.context.flush();
        for (&mocks) |*mock| {
            for (parts[0..count], 1..) |expected, i| {
                while (true) {
                    const flags: u8 = if (i < count) frame.flag_more else 0;
                    const body = (try mock.next_frame(flags)) orelse {
                        try bench.settle();
                        try mock.pump();
                        continue;
                    };
                    defer allocator.free(body);
                    try testing.expectEqualSlices(u8, expected, body);
                    break;
                }
            }
        }
    }
    // What was made for large messages has gone with them.
    try testing.expect(bench.owner.live_bytes() < live + constants.shared_bytes_kept + (200 << 10));
}

test "test_conflate: a PUB that conflates keeps the newest message, and every subscription" {
    var bench: Bench = undefined;
    try bench.init(.@"pub");
    defer bench.deinit();
    bench.options().conflate = 1;
    var mock = try bench.dial("SUB", .zmtp_3_1);
    defer mock.deinit();
    for ([_][]const u8{ "A", "B", "C" }) |topic| try command(&mock, "\x09SUBSCRIBE", topic);
    try mock.send_message(&.{"\x01D"});
    try bench.settle();
    try testing.expectEqual(4, bench.counted().topics);
    for ([_][]const u8{ "A1", "B2", "X", "C3", "A4" }) |text| {
        try bench.owner.send(bench.socket, &.{text});
    }
    bench.owner.context.flush();
    try bench.settle();
    try mock.expect_message(&.{"A4"});
    try mock.expect_nothing();
    try testing.expectEqual(3, bench.counted().dropped_conflated);
    try testing.expectEqual(0, bench.counted().dropped_high_water_mark);
}

// -- high-water marks ---------------------------------------------------------------------------

/// A subscriber who reads nothing, until it does.
fn stuck(bench: *Bench) !Mock {
    var mock = try bench.dial("SUB", .zmtp_3_1);
    errdefer mock.deinit();
    try bench.subscribe(&mock, "");
    mock.peer.limit_inbox(1000);
    return mock;
}

/// Everything that comes until nothing comes any more.
fn drain(bench: *Bench, mock: *Mock) !u32 {
    var count: u32 = 0;
    mock.peer.limit_inbox(1 << 20);
    while (true) {
        try bench.settle();
        const before = mock.received.items.len;
        try mock.pump();
        if (mock.received.items.len == before) break;
    }
    while (try mock.next_frame(0)) |body| : (count += 1) allocator.free(body);
    return count;
}

test "test_hwm_pubsub: a full subscriber loses what it has no room for, and each loss is counted" {
    for ([_]u32{ 1000, 100, 2, 1 }) |limit| {
        var bench: Bench = undefined;
        try bench.init(.@"pub");
        defer bench.deinit();
        bench.options().send_high_water_mark = limit;
        var mock = try stuck(&bench);
        defer mock.deinit();
        const body: [5000]u8 = @splat('x');
        for (0..2000) |_| try bench.owner.send(bench.socket, &.{&body});
        const record = bench.counted();
        const dropped = record.dropped_high_water_mark;
        try testing.expect(dropped > 0);
        // What the kernel holds comes on top of the mark.
        const got = try drain(&bench, &mock);
        try testing.expect(got >= limit and got <= limit + 20);
        try testing.expectEqual(2000, got + dropped);
        // With room it is served again.
        for (0..limit) |_| try bench.owner.send(bench.socket, &.{&body});
        bench.owner.context.flush();
        try testing.expectEqual(limit, try drain(&bench, &mock));
        try testing.expectEqual(dropped, record.dropped_high_water_mark);
    }
}

test "a burst of tiny messages to a subscriber that keeps up loses nothing: our flush was late" {
    var bench: Bench = undefined;
    bench.world.init(1, .{ .stream_bytes_max = 16 << 20 });
    defer bench.deinit();
    bench.owner = try bench.world.add();
    bench.socket = try bench.owner.open(.@"pub");
    _ = try bench.owner.context.bind(bench.socket, &address);
    var mock = try bench.dial("SUB", .zmtp_3_1);
    defer mock.deinit();
    try bench.subscribe(&mock, "");
    for (0..100_000) |_| try bench.owner.send(bench.socket, &.{"tiny"});
    bench.owner.context.flush();
    try testing.expectEqual(100_000, try drain(&bench, &mock));
    try testing.expectEqual(0, bench.counted().dropped_high_water_mark);
}

test "one stuck subscriber of many delays nobody, and costs no flush for each message, nor memory" {
    var bench: Bench = undefined;
    try bench.init(.@"pub");
    defer bench.deinit();
    var slow = try stuck(&bench);
    defer slow.deinit();
    var fast: [9]Mock = undefined;
    for (&fast) |*mock| {
        mock.* = try bench.dial("SUB", .zmtp_3_1);
        try bench.subscribe(mock, "");
    }
    defer for (&fast) |*mock| mock.deinit();
    const body: [300]u8 = @splat('x');
    const before = bench.owner.io.counters.sends;
    for (0..5000) |i| {
        try bench.owner.send(bench.socket, &.{&body});
        if (i % 100 != 99) continue;
        bench.owner.context.flush();
        try bench.settle();
        for (&fast) |*mock| {
            try mock.pump();
            for (0..100) |_| try mock.expect_frame(0, &body);
        }
    }
    for (&fast) |*mock| try mock.expect_nothing();
    const record = bench.counted();
    try testing.expect(record.dropped_high_water_mark > 3000);
    // Nine fast ones and the slow one, for each flush.
    try testing.expect(bench.owner.io.counters.sends - before < 50 * 12);
    try testing.expect(bench.owner.live_bytes() < 2 << 20);
}

test "a stuck subscriber to a rare topic does not hold the blocks of all the others' messages" {
    var bench: Bench = undefined;
    try bench.init(.@"pub");
    defer bench.deinit();
    var slow = try bench.dial("SUB", .zmtp_3_1);
    defer slow.deinit();
    try bench.subscribe(&slow, "rare");
    slow.peer.limit_inbox(100);
    var fast = try bench.dial("SUB", .zmtp_3_1);
    defer fast.deinit();
    try bench.subscribe(&fast, "often");
    const body: [1000]u8 = @splat('x');
    for (0..500) |_| {
        try bench.owner.send(bench.socket, &.{ "rare", &body });
        for (0..64) |_| try bench.owner.send(bench.socket, &.{ "often", &body });
        bench.owner.context.flush();
        try bench.settle();
        try fast.pump();
        fast.received.clearRetainingCapacity();
    }
    // 500 KB of messages, and not the 32 MB that they were published among.
    try testing.expect(bench.owner.live_bytes() < 4 << 20);
    slow.peer.limit_inbox(1 << 20);
    try bench.settle();
    for (0..10) |_| try slow.expect_message(&.{ "rare", &body });
}

test "test_xpub_nodrop: one full subscriber keeps a message from all, and then wakes the sender" {
    var bench: Bench = undefined;
    try bench.init(.xpub);
    defer bench.deinit();
    bench.options().publisher_no_drop = 1;
    bench.options().send_high_water_mark = 10;
    var fast = try bench.dial("SUB", .zmtp_3_1);
    defer fast.deinit();
    try bench.subscribe(&fast, "A");
    var slow = try stuck(&bench);
    defer slow.deinit();
    const slot = bench.owner.slot(bench.socket);
    const body: [5000]u8 = @splat('x');
    var sent: u32 = 0;
    while (sent < 1000) : (sent += 1) {
        bench.owner.send(bench.socket, &.{ "A", &body }) catch break;
    }
    try testing.expect(sent >= 10 and sent < 40);
    try testing.expect(!slot.socket.writable());
    try testing.expectEqual(0, bench.counted().dropped_high_water_mark);
    slot.socket.want(.{ .writable = true });
    bench.owner.ready.clearRetainingCapacity();
    try bench.settle();
    try testing.expectEqual(0, bench.owner.ready.items.len);
    for (0..sent) |_| try fast.expect_message(&.{ "A", &body });
    try fast.expect_nothing();
    // It reads: the sender is told, once, and goes on.
    slow.peer.limit_inbox(1 << 20);
    try bench.settle();
    try slow.pump();
    try bench.settle();
    try testing.expectEqual(1, bench.owner.ready.items.len);
    try testing.expect(slot.socket.writable());
    try bench.send(&.{ "A", &body });
    for (0..sent + 1) |_| try slow.expect_message(&.{ "A", &body });
    try fast.expect_message(&.{ "A", &body });
}

test "noDrop: a subscriber that cancels or leaves does not keep others waiting" {
    for ([_]bool{ false, true }) |leaves| {
        var bench: Bench = undefined;
        try bench.init(.@"pub");
        defer bench.deinit();
        bench.options().publisher_no_drop = 1;
        bench.options().send_high_water_mark = 2;
        var slow = try stuck(&bench);
        const slot = bench.owner.slot(bench.socket);
        const body: [5000]u8 = @splat('x');
        while (true) bench.owner.send(bench.socket, &.{&body}) catch break;
        try bench.settle();
        try testing.expect(!slot.socket.writable());
        if (leaves) slow.peer.close() else try bench.cancel(&slow, "");
        try bench.settle();
        try testing.expect(slot.socket.writable());
        try bench.send(&.{&body});
        slow.deinit();
    }
}

// -- subscribers --------------------------------------------------------------------------------

test "test_xsub_verbose: a cancel leaves with the last of equal subscriptions, or each if told to" {
    for ([_]u32{ 0, 1 }) |verbose| {
        var bench: Bench = undefined;
        try bench.init(.xsub);
        defer bench.deinit();
        bench.options().subscriber_verbose_unsubscribe = verbose;
        var mock = try bench.dial("XPUB", .zmtp_3_1);
        defer mock.deinit();
        // By call and by message, which leaves as it was written.
        for (0..2) |_| try bench.ask("A", true);
        try bench.send(&.{"\x01A"});
        for (0..2) |_| try expect_frame(&bench.world, &mock, frame.flag_command, "\x09SUBSCRIBEA");
        try mock.expect_message(&.{"\x01A"});
        try bench.ask("A", false);
        try bench.send(&.{"\x00A"});
        if (verbose == 1) {
            try expect_frame(&bench.world, &mock, frame.flag_command, "\x06CANCELA");
            try mock.expect_message(&.{"\x00A"});
        }
        try mock.expect_nothing();
        try bench.ask("A", false);
        try expect_frame(&bench.world, &mock, frame.flag_command, "\x06CANCELA");
        // Nobody has it any more.
        try bench.send(&.{"\x00A"});
        if (verbose == 1) try mock.expect_message(&.{"\x00A"});
        try mock.expect_nothing();
    }
}

test "test_sub_forward: an XSUB sends subscriptions as they are, and messages to all publishers" {
    var bench: Bench = undefined;
    try bench.init(.xsub);
    defer bench.deinit();
    try bench.send(&.{"for nobody"});
    try testing.expectEqual(1, bench.counted().dropped_unsubscribed);
    var mocks: [2]Mock = undefined;
    for (&mocks) |*mock| mock.* = try bench.dial("XPUB", .zmtp_3_1);
    defer for (&mocks) |*mock| mock.deinit();
    try bench.send(&.{"\x01topic"});
    try bench.send(&.{ "user", "message", "" });
    // Subscriptions leave one by one, whatever they were sent with.
    try bench.send(&.{ "\x01A", "\x01B" });
    try bench.send(&.{ "\x01C", "data" });
    try bench.send(&.{ "data", "more", "\x01D" });
    for (&mocks) |*mock| {
        try mock.expect_message(&.{"\x01topic"});
        try mock.expect_message(&.{ "user", "message", "" });
        for ([_][]const u8{ "\x01A", "\x01B", "\x01C", "data", "\x01D" }) |one| {
            try mock.expect_message(&.{one});
        }
        try mock.expect_message(&.{ "data", "more" });
        try mock.expect_nothing();
    }
    try testing.expectEqual(5, bench.counted().topics);
    bench.options().only_first_subscribe = 1;
    try bench.send(&.{ "data", "\x01E" });
    for (&mocks) |*mock| try mock.expect_message(&.{ "data", "\x01E" });
    try testing.expectEqual(5, bench.counted().topics);
    // All of them by name for whoever comes now.
    var late = try bench.dial("XPUB", .zmtp_3_1);
    defer late.deinit();
    for ([_][]const u8{ "A", "B", "C", "D", "topic" }) |topic| {
        const body = try std.mem.concat(allocator, u8, &.{ "\x09SUBSCRIBE", topic });
        defer allocator.free(body);
        try expect_frame(&bench.world, &late, frame.flag_command, body);
    }
    try late.expect_nothing();
}

test "a SUB hands out what it wants now, small and large: late messages are dropped and counted" {
    var bench: Bench = undefined;
    try bench.init(.sub);
    defer bench.deinit();
    var mock = try bench.dial("PUB", .zmtp_3_1);
    defer mock.deinit();
    const large = try allocator.alloc(u8, 200_000);
    defer allocator.free(large);
    @memset(large, 'L');
    const Sent = struct {
        fn all(it: *Mock, big: []const u8) !void {
            for ([_][]const u8{ "A", "AB", "B", "", big }) |first| {
                try it.send_message(&.{first});
                try it.send_message(&.{ first, "rest", big });
            }
        }
    };
    const wanted = [_][]const []const u8{ &.{}, &.{""}, &.{"A"}, &.{ "AB", "B" }, &.{"LLL"} };
    const expected = [_][]const []const u8{
        &.{}, &.{ "A", "AB", "B", "", large }, &.{ "A", "AB" }, &.{ "AB", "B" }, &.{large},
    };
    for (wanted, expected) |topics, messages| {
        for (topics) |topic| try bench.ask(topic, true);
        const before = bench.counted().dropped_filtered;
        try Sent.all(&mock, large);
        for (messages) |first| {
            try bench.expect(&.{first});
            try bench.expect(&.{ first, "rest", large });
        }
        try bench.expect_none();
        const dropped = bench.counted().dropped_filtered - before;
        try testing.expectEqual(2 * (5 - messages.len), dropped);
        // In flight when it cancels.
        try Sent.all(&mock, large);
        try bench.settle();
        for (topics) |topic| try bench.ask(topic, false);
        try bench.expect_none();
    }
    try bench.settle();
    try testing.expectEqual(0, bench.owner.buffers_held());
    try testing.expect(bench.owner.live_bytes() < 1 << 20);
}

/// A connecting SUB or XSUB and a place for publishers to come and go.
const Dialer = struct {
    world: World,
    owner: *Owner,
    socket: u32,
    listener: worlds.Peer,

    fn init(dialer: *Dialer, socket_type: sockets.Type) !void {
        dialer.world.init(1, .{});
        errdefer dialer.world.deinit();
        dialer.owner = try dialer.world.add();
        dialer.socket = try dialer.owner.open(socket_type);
        dialer.listener = dialer.world.network.listen(&address);
        _ = try dialer.owner.connect(dialer.socket, address);
    }

    fn deinit(dialer: *Dialer) void {
        dialer.world.deinit();
    }

    fn accept(dialer: *Dialer, comptime peer_type: []const u8, version: Version) !Mock {
        try dialer.world.run(300);
        var mock: Mock = .{ .peer = dialer.listener.accept().? };
        errdefer mock.deinit();
        try greet(&dialer.world, &mock, peer_type, version);
        return mock;
    }

    fn ask(dialer: *Dialer, topic: []const u8, wanted: bool) !void {
        try dialer.owner.slot(dialer.socket).socket.subscribe(topic, wanted);
        dialer.owner.context.flush();
    }

    /// Whole frames that arrive until none comes any more.
    fn frames(dialer: *Dialer, mock: *Mock, flags: u8, found: *std.StringHashMap(void)) !void {
        while (true) {
            try dialer.world.settle();
            const before = mock.received.items.len;
            try mock.pump();
            if (mock.received.items.len == before) break;
        }
        const bytes = mock.received.items;
        var position: usize = 0;
        while (frame.decode(bytes[position..])) |header| {
            const size: usize = @intCast(header.header_size + header.body_size);
            try testing.expectEqual(flags, header.flags & ~frame.flag_large);
            const body = bytes[position + header.header_size .. position + size];
            const prefix: usize = if (flags == 0) 1 else "\x09SUBSCRIBE".len;
            const topic = try allocator.dupe(u8, body[prefix..]);
            errdefer allocator.free(topic);
            // Each one once.
            try testing.expect(!(try found.getOrPut(topic)).found_existing);
            position += size;
        }
        try testing.expectEqual(bytes.len, position);
    }
};

test "all topics are sent to each new connection, whatever the high-water mark: some got lost" {
    for ([_]u32{ 3_000, 100_000 }) |count| for ([_]Version{ .zmtp_3_0, .zmtp_3_1 }) |version| {
        var dialer: Dialer = undefined;
        try dialer.init(.sub);
        defer dialer.deinit();
        var buffer: [32]u8 = undefined;
        for (0..count) |i| try dialer.ask(try std.fmt.bufPrint(&buffer, "topic {d}", .{i}), true);
        const live = dialer.owner.live_bytes();
        for (0..2) |_| {
            var mock = try dialer.accept("PUB", version);
            defer mock.deinit();
            var found: std.StringHashMap(void) = .init(allocator);
            defer {
                var keys = found.keyIterator();
                while (keys.next()) |key| allocator.free(key.*);
                found.deinit();
            }
            try dialer.frames(&mock, if (version == .zmtp_3_1) frame.flag_command else 0, &found);
            try testing.expectEqual(count, found.count());
            mock.peer.close();
            try dialer.world.settle();
            try testing.expect(dialer.owner.live_bytes() < live + 4096);
        }
        try testing.expectEqual(0, dialer.owner.record(dialer.socket).dropped_disconnect);
    };
}

test "what was cancelled without a connection stays cancelled: a stale queue would bring it back" {
    var dialer: Dialer = undefined;
    try dialer.init(.xsub);
    defer dialer.deinit();
    // A queue for a peer that is not there would have all of this.
    for ([_][]const u8{ "A", "B", "C" }) |topic| try dialer.ask(topic, true);
    try dialer.ask("B", false);
    // A message may wait.
    try dialer.owner.send(dialer.socket, &.{"message"});
    var mock = try dialer.accept("XPUB", .zmtp_3_1);
    try mock.expect_message(&.{"message"});
    for ([_][]const u8{ "\x09SUBSCRIBEA", "\x09SUBSCRIBEC" }) |body| {
        try expect_frame(&dialer.world, &mock, frame.flag_command, body);
    }
    try mock.expect_nothing();
    // A peer that takes nothing: subscriptions are half on their way when it goes.
    mock.peer.limit_inbox(0);
    const topic: [70_000]u8 = @splat('t');
    try dialer.ask(&topic, true);
    try dialer.owner.send(dialer.socket, &.{"another"});
    try dialer.ask("D", true);
    try dialer.world.settle();
    try dialer.ask(&topic, false);
    try dialer.ask("C", false);
    mock.peer.close();
    mock.deinit();
    mock = try dialer.accept("XPUB", .zmtp_3_1);
    defer mock.deinit();
    try mock.expect_message(&.{"another"});
    for ([_][]const u8{ "\x09SUBSCRIBEA", "\x09SUBSCRIBED" }) |body| {
        try expect_frame(&dialer.world, &mock, frame.flag_command, body);
    }
    try mock.expect_nothing();
}

test "a connecting PUB keeps its peer's topics over a reconnect, an accepted peer's go with it" {
    var dialer: Dialer = undefined;
    try dialer.init(.@"pub");
    defer dialer.deinit();
    var mock = try dialer.accept("SUB", .zmtp_3_1);
    try command(&mock, "\x09SUBSCRIBE", "A");
    try dialer.world.settle();
    mock.peer.close();
    mock.deinit();
    try dialer.world.settle();
    const record = dialer.owner.record(dialer.socket);
    try testing.expectEqual(1, record.topics);
    try dialer.owner.send(dialer.socket, &.{"A meanwhile"});
    try dialer.owner.send(dialer.socket, &.{"B meanwhile"});
    mock = try dialer.accept("SUB", .zmtp_3_1);
    defer mock.deinit();
    try mock.expect_message(&.{"A meanwhile"});
    try mock.expect_nothing();
    // To subscribe again is no second subscription.
    try command(&mock, "\x09SUBSCRIBE", "A");
    try dialer.world.settle();
    try dialer.owner.send(dialer.socket, &.{"A"});
    dialer.owner.context.flush();
    try dialer.world.settle();
    try mock.expect_message(&.{"A"});
    try mock.expect_nothing();
}

// -- hostile peers ------------------------------------------------------------------------------

test "messages to a PUB are dropped and counted, and subscriptions between them count" {
    var bench: Bench = undefined;
    try bench.init(.@"pub");
    defer bench.deinit();
    var mock = try bench.dial("SUB", .zmtp_3_1);
    for (0..50_000) |i| {
        try mock.send_message(&.{ "data", "\x02", "" });
        if (i % 1000 == 0) try bench.settle();
    }
    try mock.send_message(&.{""});
    try bench.subscribe(&mock, "A");
    try bench.send(&.{"A"});
    try mock.expect_message(&.{"A"});
    try testing.expectEqual(50_001, bench.counted().dropped_malformed);
    try testing.expectEqual(1, bench.counted().topics);
    // Half a message, and away.
    try mock.send_frame(frame.flag_more, "\x01half");
    try bench.settle();
    try bench.leave(&mock);
    try testing.expectEqual(0, bench.counted().topics);
    try testing.expect(bench.owner.live_bytes() < 100_000);
}

test "more subscriptions at once than the receiving high-water mark all count: they do not wait" {
    var bench: Bench = undefined;
    bench.world.init(1, .{ .stream_bytes_max = 8 << 20 });
    defer bench.deinit();
    bench.owner = try bench.world.add();
    bench.socket = try bench.owner.open(.@"pub");
    _ = try bench.owner.context.bind(bench.socket, &address);
    bench.options().receive_high_water_mark = 10;
    var mock = try bench.dial("SUB", .zmtp_3_1);
    defer mock.deinit();
    var buffer: [32]u8 = undefined;
    for (0..50_000) |i| {
        const topic = try std.fmt.bufPrint(&buffer, "{d}", .{i});
        if (i % 2 == 0) {
            try command(&mock, "\x09SUBSCRIBE", topic);
        } else try mock.send_frame(0, try std.fmt.bufPrint(&buffer, "\x01{d}", .{i}));
    }
    try bench.settle();
    try testing.expectEqual(50_000, bench.counted().topics);
}

test "a subscription between the parts of a message ends the connection: RFC 37 has no such thing" {
    var bench: Bench = undefined;
    try bench.init(.@"pub");
    defer bench.deinit();
    var mock = try bench.dial("SUB", .zmtp_3_1);
    defer mock.deinit();
    try mock.send_frame(frame.flag_more, "half");
    try bench.subscribe(&mock, "A");
    try bench.owner.expect_ended(bench.socket, .malformed_command);
}

test "a peer with too many topics is cut off, and its memory comes back: it would take all of it" {
    for ([_]bool{ false, true }) |by_bytes| for ([_]sockets.Type{ .@"pub", .xpub }) |socket_type| {
        var bench: Bench = undefined;
        try bench.init(socket_type);
        defer bench.deinit();
        if (by_bytes) {
            bench.options().subscription_bytes_max = 100_000;
        } else bench.options().subscriptions_max = 10_000;
        var good = try bench.dial("SUB", .zmtp_3_1);
        defer good.deinit();
        try bench.subscribe(&good, "good");
        const live = bench.owner.live_bytes();
        var mock = try bench.dial("SUB", .zmtp_3_1);
        var buffer: [32]u8 = undefined;
        for (0..1_000_000) |i| {
            const topic = try std.fmt.bufPrint(&buffer, "{d:0>10}", .{i});
            try command(&mock, "\x09SUBSCRIBE", topic);
            if (i % 100 != 0) continue;
            try bench.settle();
            if (mock.peer.ended()) break;
        }
        try testing.expect(mock.peer.ended());
        const record = bench.counted();
        try testing.expect(record.subscriptions_refused > 0);
        try testing.expect(record.subscriptions_refused < 20_000);
        try testing.expectEqual(1, record.topics);
        try bench.owner.expect_ended(bench.socket, .too_many_subscriptions);
        try bench.leave(&mock);
        if (socket_type == .xpub) try bench.forget_all();
        try testing.expect(bench.owner.live_bytes() < live + 4096);
        try bench.send(&.{"good"});
        try good.expect_message(&.{"good"});
    };
}

test "with no more than it may have, a peer may say so again and again: reconnecting does" {
    var bench: Bench = undefined;
    try bench.init(.@"pub");
    defer bench.deinit();
    bench.options().subscriptions_max = 3;
    var mock = try bench.dial("SUB", .zmtp_3_1);
    defer mock.deinit();
    for (0..5) |_| for ([_][]const u8{ "A", "B", "C" }) |topic| try bench.subscribe(&mock, topic);
    try bench.cancel(&mock, "A");
    try bench.subscribe(&mock, "D");
    try bench.send(&.{"D"});
    try mock.expect_message(&.{"D"});
    try testing.expectEqual(0, bench.counted().subscriptions_refused);
}

test "without memory one subscriber loses a message, or a message is refused as a whole: no half" {
    var bench: Bench = undefined;
    try bench.init(.@"pub");
    defer bench.deinit();
    var mocks: [3]Mock = undefined;
    for (&mocks) |*mock| {
        mock.* = try bench.dial("SUB", .zmtp_3_1);
        try bench.subscribe(mock, "");
    }
    defer for (&mocks) |*mock| mock.deinit();
    const slabs = &bench.owner.context.resources.slabs;
    const body: [9000]u8 = @splat('x');
    var refused: u32 = 0;
    var lost: u64 = 0;
    for (0..40) |i| {
        const before = bench.counted().dropped_high_water_mark;
        slabs.fail_after = @intCast(i % 8);
        const result = bench.owner.send(bench.socket, &.{ "topic", &body, "end" });
        slabs.fail_after = null;
        bench.owner.context.flush();
        try bench.settle();
        const dropped = bench.counted().dropped_high_water_mark - before;
        lost += dropped;
        if (result) {} else |failure| {
            try testing.expectEqual(error.OutOfMemory, failure);
            refused += 1;
        }
        var got: u64 = 0;
        for (&mocks) |*mock| {
            try mock.pump();
            if (mock.received.items.len == 0) continue;
            try mock.expect_message(&.{ "topic", &body, "end" });
            got += 1;
        }
        const whole: u64 = if (result) 3 else |_| 0;
        try testing.expectEqual(whole, got + dropped);
    }
    try testing.expect(refused > 0 and lost > 0);
}

// -- against a model ----------------------------------------------------------------------------

/// XSUBs and SUBs of one thread against an XPUB of another, on a network that stutters.
const Play = struct {
    world: World,
    prng: Prng,
    publisher: *Owner,
    socket: u32,
    /// How often each subscriber wants each topic.
    wanted: [subscribers][topics.len]u32 = @splat(@splat(0)),
    owners: [subscribers]*Owner = undefined,
    sockets: [subscribers]u32 = undefined,
    endpoints: [subscribers]?u32 = @splat(null),
    /// Read of the XPUB: who reads it knows all that is wanted.
    told: [topics.len]bool = @splat(false),

    const subscribers = 4;
    const topics = [_][]const u8{ "", "a", "ab", "abc", "abd", "b", "ba", "c" };

    fn init(play: *Play, seed: u64) !void {
        play.* = .{
            .world = undefined,
            .prng = .init(seed),
            .publisher = undefined,
            .socket = undefined,
        };
        var options: worlds.Options = .shaky;
        options.would_block = 0;
        play.world.init(seed, options);
        errdefer play.world.deinit();
        play.publisher = try play.world.add();
        play.socket = try play.publisher.open(.xpub);
        _ = try play.publisher.context.bind(play.socket, &address);
        for (&play.owners, &play.sockets, 0..) |*owner, *socket, i| {
            owner.* = try play.world.add();
            socket.* = try owner.*.open(if (i % 2 == 0) .sub else .xsub);
        }
    }

    fn toggle(play: *Play, who: usize) !void {
        if (play.endpoints[who]) |endpoint| {
            _ = play.owners[who].context.disconnect(play.sockets[who], endpoint, 0);
            play.endpoints[who] = null;
        } else play.endpoints[who] = try play.owners[who].connect(play.sockets[who], address);
    }

    fn change(play: *Play, who: usize) !void {
        const topic: usize = @intCast(play.prng.below(topics.len));
        const add = play.prng.chance(1, 2);
        const owner = play.owners[who];
        const slot = owner.slot(play.sockets[who]);
        if (slot.socket.type == .xsub and play.prng.chance(1, 2)) {
            const first = if (add) "\x01" else "\x00";
            const body = try std.mem.concat(allocator, u8, &.{ first, topics[topic] });
            defer allocator.free(body);
            try owner.send(play.sockets[who], &.{body});
        } else try slot.socket.subscribe(topics[topic], add);
        const count = &play.wanted[who][topic];
        if (add) count.* += 1 else count.* -|= 1;
    }

    fn flush(play: *Play) !void {
        for (play.world.owners.items) |owner| owner.context.flush();
        try play.world.run(500);
    }

    fn wants(play: *const Play, who: usize, topic: usize) bool {
        return play.endpoints[who] != null and play.wanted[who][topic] > 0;
    }

    /// What the XPUB's reader was told adds up to what is wanted now.
    fn check_told(play: *Play) !void {
        while (try play.publisher.take(play.socket)) |taken| {
            var message = taken;
            defer message.deinit();
            const note = message.parts.items[0];
            const topic = for (topics, 0..) |it, i| {
                if (std.mem.eql(u8, it, note[1..])) break i;
            } else unreachable;
            try testing.expectEqual(play.told[topic], note[0] == 0);
            play.told[topic] = note[0] == 1;
        }
        var count: u32 = 0;
        for (0..topics.len) |topic| {
            var wanted = false;
            for (0..subscribers) |who| wanted = wanted or play.wants(who, topic);
            try testing.expectEqual(wanted, play.told[topic]);
            count += @intFromBool(wanted);
        }
        try testing.expectEqual(count, play.publisher.record(play.socket).topics);
        const pattern = &play.publisher.slot(play.socket).socket.pattern.publisher;
        pattern.subscriptions.invariants();
    }

    /// Without the reader, who may have missed something for want of memory.
    fn check_converged(play: *Play) !void {
        var count: u32 = 0;
        for (0..topics.len) |topic| {
            var wanted = false;
            for (0..subscribers) |who| wanted = wanted or play.wants(who, topic);
            count += @intFromBool(wanted);
        }
        try testing.expectEqual(count, play.publisher.record(play.socket).topics);
        for (play.owners, play.sockets) |owner, socket| {
            while (try owner.take(socket)) |message| {
                var it = message;
                it.deinit();
            }
        }
        try play.check_message();
    }

    fn check_message(play: *Play) !void {
        const firsts = [_][]const u8{ "", "a", "ab", "abcd", "abd", "bb", "ba", "x" };
        const first = firsts[@intCast(play.prng.below(firsts.len))];
        try play.publisher.send(play.socket, &.{ first, "body" });
        try play.flush();
        for (0..subscribers) |who| {
            var expected = false;
            for (topics, 0..) |topic, i| {
                if (play.wants(who, i) and std.mem.startsWith(u8, first, topic)) expected = true;
            }
            if (expected) try play.owners[who].expect(play.sockets[who], &.{ first, "body" });
            try play.owners[who].expect_none(play.sockets[who]);
        }
    }
};

test "whatever comes and goes, everybody gets what he wants, nothing else, and readers know why" {
    for (0..40) |seed| {
        var play: Play = undefined;
        try play.init(seed);
        defer play.world.deinit();
        for (0..60) |_| {
            for (0..@intCast(1 + play.prng.below(6))) |_| {
                const who: usize = @intCast(play.prng.below(Play.subscribers));
                if (play.prng.chance(1, 5)) try play.toggle(who) else try play.change(who);
            }
            try play.flush();
            try play.check_told();
            try play.check_message();
        }
    }
}

test "after resets and want of memory everybody has his topics again: some would be deaf for good" {
    for (0..30) |seed| {
        var play: Play = undefined;
        try play.init(seed);
        defer play.world.deinit();
        const faults = &play.world.network.options;
        faults.reset = 20;
        for (0..150) |_| {
            const who: usize = @intCast(play.prng.below(Play.subscribers));
            const owner = if (play.prng.chance(1, 2)) play.owners[who] else play.publisher;
            const slabs = &owner.context.resources.slabs;
            if (play.prng.chance(1, 2)) slabs.fail_after = play.prng.below(4);
            defer for (play.world.owners.items) |it| {
                it.context.resources.slabs.fail_after = null;
            };
            if (play.prng.chance(1, 10)) {
                // Without memory there is no new endpoint.
                slabs.fail_after = null;
                try play.toggle(who);
            } else try play.change(who);
            play.publisher.send(play.socket, &.{ "ab", "c", "d" }) catch |failure| {
                try testing.expectEqual(error.OutOfMemory, failure);
            };
            for (play.world.owners.items) |it| it.context.flush();
            try play.world.run(play.prng.below(40));
        }
        faults.reset = 0;
        try play.world.run(2000);
        try play.check_converged();
    }
}
