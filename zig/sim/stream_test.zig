//! STREAM against plain TCP peers: bytes in and out, connections that begin, end and are ended.

const std = @import("std");
const testing = std.testing;

const Address = @import("../io/address.zig").Address;
const Prng = @import("../stdx/prng.zig").Prng;
const worlds = @import("world.zig");
const Mock = worlds.Mock;
const Owner = worlds.Owner;
const World = worlds.World;

const allocator = testing.allocator;
const address: Address = .ipv4(.{ 127, 0, 0, 1 }, 5555);

/// One bound STREAM.
const Bench = struct {
    world: World,
    owner: *Owner,
    socket: u32,

    fn init(bench: *Bench) !void {
        bench.world.init(1, .{});
        errdefer bench.world.deinit();
        bench.owner = try bench.world.add();
        bench.socket = try bench.owner.open(.stream);
        _ = try bench.owner.context.bind(bench.socket, &address);
    }

    fn deinit(bench: *Bench) void {
        bench.world.deinit();
    }

    fn options(bench: *Bench) *@import("../options.zig").SocketOptions {
        return bench.owner.slot(bench.socket).socket.options;
    }

    fn dial(bench: *Bench) !Mock {
        const mock: Mock = try .dial(&bench.world, address);
        try bench.world.settle();
        return mock;
    }

    fn send(bench: *Bench, parts: []const []const u8) !void {
        try bench.owner.send(bench.socket, parts);
        bench.owner.context.flush();
        try bench.world.settle();
    }

    /// The next message: its id, and the bytes at the end of `out`.
    fn take(bench: *Bench, out: *std.ArrayList(u8)) ![5]u8 {
        try bench.world.settle();
        var message = (try bench.owner.take(bench.socket)) orelse return error.NoMessage;
        defer message.deinit();
        try testing.expectEqual(2, message.parts.items.len);
        try out.appendSlice(allocator, message.parts.items[1]);
        return message.parts.items[0][0..5].*;
    }

    fn expect(bench: *Bench, bytes: []const u8) ![5]u8 {
        var out: std.ArrayList(u8) = .empty;
        defer out.deinit(allocator);
        const id = try bench.take(&out);
        try testing.expectEqualStrings(bytes, out.items);
        return id;
    }

    fn expect_none(bench: *Bench) !void {
        try bench.world.settle();
        try bench.owner.expect_none(bench.socket);
    }
};

fn expect_bytes(mock: *Mock, bytes: []const u8) !void {
    try mock.pump();
    try testing.expectEqualStrings(bytes, mock.received.items);
    mock.received.clearRetainingCapacity();
}

test "STREAM: bytes of plain TCP peers go in and out, with an id and an empty message at each end" {
    var bench: Bench = undefined;
    try bench.init();
    defer bench.deinit();
    var mocks: [2]Mock = .{ try bench.dial(), try bench.dial() };
    defer mocks[0].deinit();
    // Nothing is said before the peer has spoken.
    for (&mocks) |*mock| try mock.expect_nothing();
    const first = try bench.expect("");
    const second = try bench.expect("");
    try testing.expect(first[0] == 0 and !std.mem.eql(u8, &first, &second));
    mocks[1].send("GET / HTTP/1.0\r\n\r\n");
    try testing.expectEqual(second, try bench.expect("GET / HTTP/1.0\r\n\r\n"));
    try bench.send(&.{ &second, "HTTP/1.0 200 OK\r\n\r\nHello" });
    try expect_bytes(&mocks[1], "HTTP/1.0 200 OK\r\n\r\nHello");
    try mocks[0].expect_nothing();
    // Parts are bytes like others.
    try bench.send(&.{ &first, "one ", "", "two ", "three", "" });
    try expect_bytes(&mocks[0], "one two three");
    mocks[1].send("bye");
    mocks[1].peer.close();
    mocks[1].deinit();
    try testing.expectEqual(second, try bench.expect("bye"));
    try testing.expectEqual(second, try bench.expect(""));
    try bench.expect_none();
    try testing.expectError(error.Unroutable, bench.owner.send(bench.socket, &.{ &second, "x" }));
    try testing.expectError(error.InvalidMessage, bench.owner.send(bench.socket, &.{&first}));
    try testing.expectEqual(1, bench.owner.context.session_table.count());
}

test "without notify only bytes are messages" {
    var bench: Bench = undefined;
    try bench.init();
    defer bench.deinit();
    bench.options().stream_notify = 0;
    var mock = try bench.dial();
    mock.send("x");
    _ = try bench.expect("x");
    mock.peer.close();
    mock.deinit();
    try bench.expect_none();
    try testing.expectEqual(0, bench.owner.context.session_table.count());
}

test "bytes of any number and cut anywhere come through unchanged: a stream has no messages" {
    for (0..20) |seed| {
        var bench: Bench = undefined;
        try bench.init();
        defer bench.deinit();
        var prng: Prng = .init(seed);
        var mock = try bench.dial();
        defer mock.deinit();
        const id = try bench.expect("");
        var sent: std.ArrayList(u8) = .empty;
        defer sent.deinit(allocator);
        var received: std.ArrayList(u8) = .empty;
        defer received.deinit(allocator);
        var answered: std.ArrayList(u8) = .empty;
        defer answered.deinit(allocator);
        for (0..60) |_| {
            var piece: [100_000]u8 = undefined;
            const size_max = prng.pick(u64, &.{ 10, 300, 100_000 });
            const bytes = piece[0..@intCast(1 + prng.below(size_max))];
            prng.fill(bytes);
            if (prng.boolean()) {
                try sent.appendSlice(allocator, bytes);
                mock.send(bytes);
            } else {
                try answered.appendSlice(allocator, bytes);
                try bench.send(&.{ &id, bytes });
            }
            if (!prng.chance(1, 3)) continue;
            try bench.world.settle();
            // Others need the arena, or nobody has taken anything for long.
            if (prng.boolean()) {
                const resources = &bench.owner.context.resources;
                try resources.arena.spill(&resources.slabs);
            }
            while (bench.take(&received)) |_| {} else |failure| switch (failure) {
                error.NoMessage => {},
                else => return failure,
            }
        }
        while (received.items.len < sent.items.len) _ = try bench.take(&received);
        try testing.expectEqualSlices(u8, sent.items, received.items);
        while (mock.received.items.len < answered.items.len) {
            const before = mock.received.items.len;
            try mock.pump();
            try bench.world.settle();
            if (mock.received.items.len == before) return error.BytesMissing;
        }
        try testing.expectEqualSlices(u8, answered.items, mock.received.items);
    }
}

test "an empty message ends the connection when all before it has been sent, for both sides" {
    var bench: Bench = undefined;
    try bench.init();
    defer bench.deinit();
    var mock = try bench.dial();
    defer mock.deinit();
    const id = try bench.expect("");
    const long: [200_000]u8 = @splat('l');
    mock.peer.limit_inbox(1000);
    try bench.send(&.{ &id, &long });
    try bench.send(&.{ &id, "" });
    try testing.expect(!mock.peer.ended());
    // It is gone for its owner.
    try testing.expectError(error.Unroutable, bench.owner.send(bench.socket, &.{ &id, "x" }));
    mock.send("too late");
    mock.peer.limit_inbox(1_000_000);
    try bench.world.settle();
    try expect_bytes(&mock, &long);
    try testing.expect(mock.peer.ended());
    try bench.expect_none();
    try testing.expectEqual(0, bench.owner.context.session_table.count());
    // Right behind each other, before the end of the turn.
    var other = try bench.dial();
    defer other.deinit();
    const its_id = try bench.expect("");
    try bench.owner.send(bench.socket, &.{ &its_id, "bye" });
    try bench.owner.send(bench.socket, &.{ &its_id, "" });
    try testing.expectError(
        error.Unroutable,
        bench.owner.send(bench.socket, &.{ &its_id, "x" }),
    );
    bench.owner.context.flush();
    try bench.world.settle();
    try expect_bytes(&other, "bye");
    try testing.expect(other.peer.ended());
}

test "a full connection is waited for, the others are not: one slow client would stop a server" {
    var bench: Bench = undefined;
    try bench.init();
    defer bench.deinit();
    bench.options().send_high_water_mark = 10;
    var slow = try bench.dial();
    defer slow.deinit();
    const slow_id = try bench.expect("");
    var quick = try bench.dial();
    defer quick.deinit();
    const quick_id = try bench.expect("");
    slow.peer.limit_inbox(0);
    for (0..10) |_| try bench.send(&.{ &slow_id, "x" });
    const socket = &bench.owner.slot(bench.socket).socket;
    try testing.expectError(error.WouldBlock, bench.owner.send(bench.socket, &.{ &slow_id, "y" }));
    socket.want(.{ .writable = true });
    for (0..50) |_| try bench.send(&.{ &quick_id, "q" });
    try testing.expectEqual(0, bench.owner.ready.items.len);
    slow.peer.limit_inbox(100);
    try bench.world.settle();
    try testing.expectEqual(1, bench.owner.ready.items.len);
    try bench.send(&.{ &slow_id, "y" });
    try expect_bytes(&slow, "x" ** 10 ++ "y");
    try expect_bytes(&quick, "q" ** 50);
}

test "a reader that does not read stops the connection: memory would fill up" {
    var bench: Bench = undefined;
    try bench.init();
    defer bench.deinit();
    bench.options().receive_high_water_mark = 4;
    var mock = try bench.dial();
    defer mock.deinit();
    const live_bytes = bench.owner.live_bytes();
    var sent: usize = 0;
    for (0..100) |_| {
        mock.send(&@as([20_000]u8, @splat('x')));
        sent += 20_000;
        try bench.world.settle();
    }
    try testing.expect(bench.owner.live_bytes() < live_bytes + 6 * 64 * 1024);
    var received: std.ArrayList(u8) = .empty;
    defer received.deinit(allocator);
    while (received.items.len < sent) _ = try bench.take(&received);
    try testing.expect(std.mem.allEqual(u8, received.items, 'x'));
}

test "a peer that takes us and leaves, again and again, does not fill the memory" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const stream = try owner.open(.stream);
    owner.slot(stream).socket.options.receive_high_water_mark = 10;
    const listener = world.network.listen(&address);
    _ = try owner.connect(stream, address);
    for (0..100) |_| {
        try world.run(300);
        if (listener.accept()) |peer| peer.close();
    }
    var count: u32 = 0;
    while (try owner.take(stream)) |taken| : (count += 1) {
        var message = taken;
        message.deinit();
        if (count == 20) return error.WithoutEnd;
    }
    try testing.expect(count >= 10);
    // It is waited for: what comes next is heard of.
    try world.run(300);
    if (listener.accept()) |peer| peer.close();
    try world.run(300);
    var message = (try owner.take(stream)).?;
    message.deinit();
}

test "a connection that we make has its id at once, sends what was queued, and is made again" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const stream = try owner.open(.stream);
    const how: worlds.ConnectOptions = .{ .routing_id = "web" };
    _ = try owner.context.connect(stream, &address, how);
    try testing.expectError(error.AddressInUse, owner.context.connect(stream, &address, how));
    try owner.send(stream, &.{ "web", "early" });
    const listener = world.network.listen(&address);
    for (0..3) |round| {
        try world.run(300);
        var mock: Mock = .{ .peer = listener.accept().? };
        try owner.expect(stream, &.{ "web", "" });
        if (round == 0) try expect_bytes(&mock, "early");
        // The rest of a stream whose beginning another connection had is of no use.
        mock.peer.limit_inbox(10);
        try owner.send(stream, &.{ "web", "0123456789 and more" });
        try owner.send(stream, &.{ "web", "and still more" });
        owner.context.flush();
        try world.settle();
        mock.peer.close();
        mock.deinit();
        try world.settle();
        try owner.expect(stream, &.{ "web", "" });
        try testing.expectEqual(2 * (round + 1), owner.record(stream).dropped_disconnect);
    }
    // An empty message ends it for good.
    try owner.send(stream, &.{ "web", "" });
    owner.context.flush();
    try world.run(1000);
    try testing.expectEqual(0, owner.context.session_table.count());
    try testing.expectError(error.Unroutable, owner.send(stream, &.{ "web", "x" }));
}

test "what looks like ZMTP, or like nothing, is bytes: garbage would end the connection" {
    var bench: Bench = undefined;
    try bench.init();
    defer bench.deinit();
    bench.options().message_bytes_max = 10;
    var mock = try bench.dial();
    defer mock.deinit();
    _ = try bench.expect("");
    const garbage = "\x04\xff\xff\xff" ++ "\x02\x7f\xff\xff\xff\xff\xff\xff\xff" ++ "\xf8" ** 300;
    for ([_][]const u8{ &worlds.greeting, garbage }) |bytes| {
        mock.send(bytes);
        _ = try bench.expect(bytes);
    }
    // Longer than any handshake may take.
    try bench.world.run(100_000);
    try testing.expect(!mock.peer.ended());
}

test "connections that come and go leave nothing behind, whatever they did" {
    var bench: Bench = undefined;
    try bench.init();
    defer bench.deinit();
    var live_bytes: u64 = 0;
    for (0..10_000) |i| {
        var mock = try bench.dial();
        defer mock.deinit();
        const id = try bench.expect("");
        mock.send("some bytes");
        switch (i % 4) {
            0 => mock.peer.close(),
            1 => mock.peer.reset(),
            2 => try bench.send(&.{ &id, "" }),
            else => {
                try bench.world.settle();
                try bench.send(&.{ &id, "answer" });
                mock.peer.close();
            },
        }
        try bench.world.settle();
        while (try bench.owner.take(bench.socket)) |taken| {
            var message = taken;
            message.deinit();
        }
        if (i == 100) live_bytes = bench.owner.live_bytes();
    }
    try testing.expect(bench.owner.live_bytes() <= live_bytes);
    try testing.expectEqual(0, bench.owner.context.session_table.count());
}
