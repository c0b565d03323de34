//! What a peer that does not keep up costs: high-water marks of messages and bytes, and what
//! becomes of messages above them. Whatever the policy, each message arrives whole or is counted.

const std = @import("std");
const testing = std.testing;

const Address = @import("../io/address.zig").Address;
const options_module = @import("../options.zig");
const Policy = options_module.Policy;
const Prng = @import("../stdx/prng.zig").Prng;
const relocate = @import("relocation_test.zig").relocate;
const SocketOptions = options_module.SocketOptions;
const sockets = @import("../socket/socket.zig");
const worlds = @import("world.zig");
const Mock = worlds.Mock;
const Owner = worlds.Owner;
const World = worlds.World;

const allocator = worlds.allocator;
const address: Address = .ipv4(.{ 127, 0, 0, 1 }, 5555);

const Transport = enum { network, inproc };

/// A socket that drops and one that reads, or not.
const Life = struct {
    world: World,
    prng: Prng,
    from: *Owner,
    to: *Owner,
    /// Where the sender goes when it moves, as to a proxy's thread.
    spare: *Owner,
    sender: u32,
    reader: u32,
    type: sockets.Type,
    transport: Transport,
    policy: Policy,
    sent: u32 = 0,
    received: u32 = 0,
    /// The number of the last message received.
    last: u32 = 0,

    const body_bytes_max = 3000;

    fn init(life: *Life, seed: u64, socket_type: sockets.Type, transport: Transport) !void {
        life.* = .{
            .world = undefined,
            .prng = .init(seed),
            .from = undefined,
            .to = undefined,
            .spare = undefined,
            .sender = undefined,
            .reader = undefined,
            .type = socket_type,
            .transport = transport,
            .policy = undefined,
        };
        var network = worlds.Options.shaky;
        network.stream_bytes_max = 8 * 1024;
        life.world.init(seed, network);
        errdefer life.world.deinit();
        life.from = try life.world.add();
        life.to = try life.world.add();
        life.spare = try life.world.add();
        life.sender = try life.from.open(socket_type);
        life.reader = try life.to.open(switch (socket_type) {
            .@"pub" => .sub,
            .radio => .dish,
            else => .dealer,
        });
        const prng = &life.prng;
        const own = life.options_of(life.from, life.sender);
        life.policy = prng.pick(Policy, std.enums.values(Policy));
        own.send_high_water_mark_policy = @intFromEnum(life.policy);
        own.send_high_water_mark = prng.pick(u32, &.{ 0, 4, 30 });
        own.send_high_water_mark_bytes = prng.pick(u32, &.{ 12_000, 40_000 });
        const other = life.options_of(life.to, life.reader);
        other.receive_high_water_mark = prng.pick(u32, &.{ 0, 1, 4, 30 });
        other.receive_high_water_mark_bytes = prng.pick(u32, &.{ 0, 1, 10_000 });
        other.routing_id_bytes = 2;
        @memcpy(other.routing_id_buffer[0..2], "it");
        switch (socket_type) {
            .@"pub" => try life.to.slot(life.reader).socket.subscribe("", true),
            .radio => try life.to.slot(life.reader).socket.subscribe("it", true),
            else => {},
        }
        if (transport == .inproc) {
            _ = try life.from.context.bind_inproc(life.sender, "flow");
            _ = try life.to.context.connect_inproc(life.reader, "flow", "");
        } else {
            _ = try life.from.context.bind(life.sender, &address);
            _ = try life.to.connect(life.reader, address);
        }
        try life.world.settle();
    }

    fn options_of(_: *Life, owner: *Owner, handle: u32) *SocketOptions {
        return owner.slot(handle).socket.options;
    }

    fn send(life: *Life) !void {
        life.sent += 1;
        var body: [4 + body_bytes_max]u8 = undefined;
        const most = life.prng.pick(u64, &.{ 20, body_bytes_max });
        const size: usize = @intCast(life.prng.below(most));
        @memset(body[4..], @truncate(life.sent));
        std.mem.writeInt(u32, body[0..4], life.sent, .little);
        const bytes = body[0 .. 4 + size];
        try switch (life.type) {
            .@"pub" => life.from.send(life.sender, &.{ bytes, "end" }),
            .radio => life.from.send(life.sender, &.{ "it", bytes }),
            else => life.from.send(life.sender, &.{ "it", bytes, "end" }),
        };
    }

    /// Takes one message; false: none is there.
    fn take(life: *Life) !bool {
        var message = (try life.to.take(life.reader)) orelse return false;
        defer message.deinit();
        const parts = message.parts.items;
        try testing.expectEqual(2, parts.len);
        const body = parts[if (life.type == .radio) 1 else 0];
        if (life.type != .radio) try testing.expectEqualStrings("end", parts[1]);
        const number = std.mem.readInt(u32, body[0..4], .little);
        try testing.expect(number > life.last);
        try testing.expect(std.mem.allEqual(u8, body[4..], @truncate(number)));
        life.last = number;
        life.received += 1;
        return true;
    }

    fn step(life: *Life) !void {
        const Action = enum { send, burst, take, settle, flush, wait, move };
        switch (life.prng.weighted(Action, .{
            .send = 8,
            .burst = 2,
            .take = 4,
            .settle = 3,
            .flush = 3,
            .wait = 1,
            .move = 1,
        })) {
            .send => try life.send(),
            .burst => for (0..50) |_| try life.send(),
            .take => for (0..life.prng.below(20)) |_| {
                if (!try life.take()) break;
            },
            .settle => try life.world.settle(),
            .flush => life.from.context.flush(),
            .wait => try life.world.run(300),
            .move => if (life.type != .radio) {
                life.sender = try relocate(life.from, life.sender, life.spare);
                std.mem.swap(*Owner, &life.from, &life.spare);
            },
        }
        try life.check_marks();
    }

    fn check_marks(life: *Life) !void {
        const marks = life.options_of(life.from, life.sender).marks();
        const far = life.options_of(life.to, life.reader).marks();
        const linked = life.transport == .inproc;
        var next = life.from.slot(life.sender).socket.pipes.first();
        while (next) |pipe| : (next = life.from.slot(life.sender).socket.pipes.next(pipe)) {
            const limit = marks.send + if (linked) far.receive else 0;
            if (marks.send != 0 and (!linked or far.receive != 0)) {
                try testing.expect(pipe.send.messages + pipe.handed_over <= limit);
            }
            const bytes = pipe.send.bytes + pipe.handed_over_bytes;
            try testing.expect(bytes < marks.send_bytes + body_bytes_max + 100);
        }
        next = life.to.slot(life.reader).socket.pipes.first();
        while (next) |pipe| : (next = life.to.slot(life.reader).socket.pipes.next(pipe)) {
            // One chunk more: it was received in one call.
            const limit: u64 = if (far.receive_bytes == 0) continue else far.receive_bytes;
            try testing.expect(pipe.receive.unread_bytes() < limit + 64 * 1024);
        }
    }

    /// Everything arrives now, or was counted.
    fn finish(life: *Life) !void {
        try life.send();
        var idle: u32 = 0;
        while (idle < 3) : (idle += 1) {
            try life.world.run(500);
            while (try life.take()) idle = 0;
        }
        const record = life.from.record(life.sender);
        const dropped = record.dropped_high_water_mark + record.dropped_disconnect +
            record.dropped_unsubscribed + record.dropped_unroutable;
        try testing.expectEqual(life.sent, life.received + dropped);
        try testing.expectEqual(0, life.to.record(life.reader).dropped_filtered);
        if (life.policy == .disconnect) return;
        try testing.expectEqual(0, record.dropped_disconnect + record.slow_peers);
        // The newest is never what gives way.
        if (life.policy == .drop_oldest) try testing.expectEqual(life.sent, life.last);
    }
};

test "whatever the policy, what was sent has arrived whole and in order, or is counted" {
    var dropped: [3]u64 = @splat(0);
    var ended: u64 = 0;
    for ([_]sockets.Type{ .@"pub", .radio, .router }) |socket_type| {
        for (std.enums.values(Transport)) |transport| for (0..60) |seed| {
            var life: Life = undefined;
            try life.init(seed, socket_type, transport);
            defer life.world.deinit();
            errdefer std.log.err("{t} {t} seed {d}", .{ socket_type, transport, seed });
            for (0..60) |_| try life.step();
            try life.finish();
            const record = life.from.record(life.sender);
            dropped[@intFromEnum(life.policy)] += record.dropped_high_water_mark;
            ended += record.slow_peers;
        };
    }
    for (dropped) |count| try testing.expect(count > 100);
    try testing.expect(ended > 20);
}

/// One bound socket and mock peers.
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

    fn record(bench: *Bench) *sockets.Record {
        return bench.owner.record(bench.socket);
    }

    fn dial(bench: *Bench, comptime peer_type: []const u8) !Mock {
        var mock: Mock = try .dial(&bench.world, address);
        errdefer mock.deinit();
        try mock.handshake(&bench.world, peer_type);
        return mock;
    }

    fn subscriber(bench: *Bench) !Mock {
        var mock = try bench.dial("SUB");
        errdefer mock.deinit();
        try mock.send_message(&.{"\x01"});
        try bench.world.settle();
        return mock;
    }

    fn publish(bench: *Bench, number: u8) !void {
        try bench.owner.send(bench.socket, &.{ &.{number}, "part" });
        bench.owner.context.flush();
        try bench.world.settle();
    }
};

test "dropOldest: who reads again gets the message it was in, whole, and then the newest" {
    var bench: Bench = undefined;
    try bench.init(.@"pub");
    defer bench.deinit();
    bench.options().send_high_water_mark = 5;
    bench.options().send_high_water_mark_policy = 1;
    var mock = try bench.subscriber();
    defer mock.deinit();
    // The first one is partly on its way.
    mock.peer.limit_inbox(4);
    for (0..30) |number| try bench.publish(@intCast(number));
    try testing.expectEqual(25, bench.record().dropped_high_water_mark);
    mock.peer.limit_inbox(10_000);
    try bench.world.settle();
    try mock.expect_message(&.{ "\x00", "part" });
    for (26..30) |number| try mock.expect_message(&.{ &.{@as(u8, @intCast(number))}, "part" });
    try mock.expect_nothing();
    // There is room again.
    try bench.publish(30);
    try mock.expect_message(&.{ "\x1e", "part" });
    try testing.expectEqual(25, bench.record().dropped_high_water_mark);
}

test "dropOldest with a mark of 1 keeps what is on its way: a peer would get half of it" {
    var bench: Bench = undefined;
    try bench.init(.@"pub");
    defer bench.deinit();
    bench.options().send_high_water_mark = 1;
    bench.options().send_high_water_mark_policy = 1;
    var mock = try bench.subscriber();
    defer mock.deinit();
    mock.peer.limit_inbox(4);
    for (0..5) |number| try bench.publish(@intCast(number));
    try testing.expectEqual(4, bench.record().dropped_high_water_mark);
    mock.peer.limit_inbox(10_000);
    try bench.world.settle();
    try mock.expect_message(&.{ "\x00", "part" });
    try mock.expect_nothing();
}

test "disconnect: a peer that does not keep up is told so by its end, and the others keep theirs" {
    var bench: Bench = undefined;
    try bench.init(.@"pub");
    defer bench.deinit();
    bench.options().send_high_water_mark = 5;
    bench.options().send_high_water_mark_policy = 2;
    var slow = try bench.subscriber();
    defer slow.deinit();
    var quick = try bench.subscriber();
    defer quick.deinit();
    slow.peer.limit_inbox(0);
    for (0..10) |number| {
        try bench.publish(@intCast(number));
        try quick.expect_message(&.{ &.{@as(u8, @intCast(number))}, "part" });
    }
    try testing.expect(slow.peer.ended());
    try testing.expect(!quick.peer.ended());
    try bench.owner.expect_ended(bench.socket, .slow_peer);
    const record = bench.record();
    try testing.expectEqual(1, record.slow_peers);
    try testing.expectEqual(1, record.connections);
    // The one that was too many, and the five before it.
    try testing.expectEqual(1, record.dropped_high_water_mark);
    try testing.expectEqual(5, record.dropped_disconnect);
}

test "disconnect: a publisher that connects comes back, with nothing of what was queued before" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const listener = world.network.listen(&address);
    const owner = try world.add();
    const publisher = try owner.open(.@"pub");
    const options = owner.slot(publisher).socket.options;
    options.send_high_water_mark = 2;
    options.send_high_water_mark_policy = 2;
    _ = try owner.connect(publisher, address);
    for (0..2) |round| {
        try world.run(300);
        var mock: Mock = .{ .peer = listener.accept().? };
        defer mock.deinit();
        mock.send(worlds.greeting ++ comptime worlds.ready("SUB"));
        try mock.send_message(&.{"\x01"});
        try world.settle();
        try mock.pump();
        try mock.expect_handshake();
        try owner.send(publisher, &.{"in time"});
        owner.context.flush();
        try world.settle();
        try mock.expect_message(&.{"in time"});
        mock.peer.limit_inbox(0);
        for (0..3) |_| {
            try owner.send(publisher, &.{"too late"});
            owner.context.flush();
            try world.settle();
        }
        try owner.expect_ended(publisher, .slow_peer);
        try testing.expectEqual(round + 1, owner.record(publisher).slow_peers);
        try testing.expect(mock.peer.ended());
    }
    const record = owner.record(publisher);
    try testing.expectEqual(4, record.dropped_disconnect);
    try testing.expectEqual(8, record.messages_sent);
    const lost = record.dropped_high_water_mark + record.dropped_unsubscribed;
    try testing.expectEqual(2, lost);
}

test "noDrop and mandatory wait, whatever the policy: nothing is dropped, nobody cut off" {
    for ([_]u32{ 1, 2 }) |policy| {
        var bench: Bench = undefined;
        try bench.init(.@"pub");
        defer bench.deinit();
        bench.options().publisher_no_drop = 1;
        bench.options().send_high_water_mark = 2;
        bench.options().send_high_water_mark_policy = policy;
        var mock = try bench.subscriber();
        defer mock.deinit();
        mock.peer.limit_inbox(0);
        for (0..2) |number| try bench.publish(@intCast(number));
        try testing.expectError(error.WouldBlock, bench.publish(2));
        try testing.expectEqual(0, bench.record().dropped_high_water_mark);

        const router = try bench.owner.open(.router);
        const options = bench.owner.slot(router).socket.options;
        options.router_mandatory = 1;
        options.send_high_water_mark = 2;
        options.send_high_water_mark_policy = policy;
        _ = try bench.owner.context.connect(router, &.ipv4(.{ 127, 0, 0, 1 }, 1), .{
            .routing_id = "far",
        });
        for (0..2) |_| try bench.owner.send(router, &.{ "far", "x" });
        const refused = bench.owner.send(router, &.{ "far", "x" });
        try testing.expectError(error.WouldBlock, refused);
        try testing.expectEqual(0, bench.owner.record(router).dropped_high_water_mark);
    }
}

test "a burst to a peer that reads is not taken for a slow one: it would lose its connection" {
    for ([_]sockets.Type{ .@"pub", .router }) |socket_type| for ([_]u32{ 1, 2 }) |policy| {
        var bench: Bench = undefined;
        try bench.init(socket_type);
        defer bench.deinit();
        bench.options().send_high_water_mark = 5;
        bench.options().send_high_water_mark_policy = policy;
        var mock = if (socket_type == .router) blk: {
            var dealer: Mock = try .dial(&bench.world, address);
            dealer.send(&worlds.greeting);
            dealer.send(comptime "\x04\x2a\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER" ++
                "\x08Identity\x00\x00\x00\x01a");
            try bench.world.settle();
            try dealer.pump();
            try dealer.expect_handshake();
            break :blk dealer;
        } else try bench.subscriber();
        defer mock.deinit();
        // All within one call of the event loop: nothing flushes but what the core does itself.
        for (0..100) |_| try bench.owner.send(bench.socket, &.{ "a", "x" });
        bench.owner.context.flush();
        try bench.world.settle();
        for (0..100) |_| {
            if (socket_type == .router) {
                try mock.expect_message(&.{"x"});
            } else try mock.expect_message(&.{ "a", "x" });
        }
        try testing.expectEqual(0, bench.record().dropped_high_water_mark);
        try testing.expectEqual(0, bench.record().slow_peers);
    };
}

test "a sender stops at its mark of bytes, and takes one message of any size when it has sent all" {
    var bench: Bench = undefined;
    try bench.init(.push);
    defer bench.deinit();
    bench.options().send_high_water_mark_bytes = 1000;
    var mock = try bench.dial("PULL");
    defer mock.deinit();
    mock.peer.limit_inbox(0);
    const message: [98]u8 = @splat('x');
    for (0..10) |_| try bench.owner.send(bench.socket, &.{&message});
    try testing.expectError(error.WouldBlock, bench.owner.send(bench.socket, &.{&message}));
    // Half of it has to go: a full link does not wake its writer for each message.
    mock.peer.limit_inbox(499);
    try bench.world.settle();
    try testing.expectError(error.WouldBlock, bench.owner.send(bench.socket, &.{&message}));
    mock.peer.limit_inbox(500);
    try bench.world.settle();
    for (0..5) |_| try bench.owner.send(bench.socket, &.{&message});
    try testing.expectError(error.WouldBlock, bench.owner.send(bench.socket, &.{&message}));
    mock.peer.limit_inbox(10_000);
    try bench.world.settle();
    for (0..15) |_| try mock.expect_message(&.{&message});
    mock.peer.limit_inbox(0);
    const huge: [20_000]u8 = @splat('y');
    try bench.owner.send(bench.socket, &.{&huge});
    try testing.expectError(error.WouldBlock, bench.owner.send(bench.socket, &.{"z"}));
    mock.peer.limit_inbox(30_000);
    try bench.world.settle();
    try mock.expect_message(&.{&huge});
}

test "a reader stops at its mark of bytes, and reads on when half of it has been taken" {
    var bench: Bench = undefined;
    try bench.init(.pull);
    defer bench.deinit();
    bench.options().receive_high_water_mark_bytes = 20_000;
    var mock = try bench.dial("PUSH");
    defer mock.deinit();
    const message: [998]u8 = @splat('x');
    for (0..200) |_| {
        try mock.send_message(&.{&message});
        try bench.world.settle();
    }
    const pipe = bench.owner.slot(bench.socket).socket.pipes.first().?;
    // What a frame of 255 B and more has in front is 9 B.
    try testing.expectEqual(20, pipe.receive.messages);
    try testing.expect(pipe.receive_full);
    for (0..200) |_| {
        try bench.owner.expect(bench.socket, &.{&message});
        try bench.world.settle();
        try testing.expect(pipe.receive.messages <= 100);
    }
    try bench.owner.expect_none(bench.socket);
}

test "a part above a reader's mark is received when nothing else is: it would wait for ever" {
    var bench: Bench = undefined;
    try bench.init(.pull);
    defer bench.deinit();
    bench.options().receive_high_water_mark_bytes = 150_000;
    var mock = try bench.dial("PUSH");
    defer mock.deinit();
    const part = try allocator.alloc(u8, 100_000);
    defer allocator.free(part);
    for (0..4) |number| {
        @memset(part, @intCast(number));
        // A message of several parts counts as it comes, and is never stopped in the middle.
        try mock.send_message(&.{ part, part });
    }
    try bench.world.settle();
    // Nothing is lent for a part that is not read yet.
    try testing.expectEqual(2, bench.owner.buffer_requests);
    for (0..4) |number| {
        @memset(part, @intCast(number));
        try bench.owner.expect(bench.socket, &.{ part, part });
        try bench.world.settle();
        try testing.expect(bench.owner.buffers_held() <= 2);
    }
    try testing.expectEqual(8, bench.owner.buffer_requests);
    try bench.owner.expect_none(bench.socket);
    // One is below the mark, and with what another one would take it is not.
    for (0..2) |_| try mock.send_message(&.{part});
    try bench.world.settle();
    try testing.expectEqual(9, bench.owner.buffer_requests);
    for (0..2) |_| {
        try bench.owner.expect(bench.socket, &.{part});
        try bench.world.settle();
    }
    try testing.expectEqual(10, bench.owner.buffer_requests);
}

test "marks of bytes add up within the process, also when they are set later" {
    for ([_]u32{ 1, 2 }) |contexts| {
        var world: World = undefined;
        world.init(1, .{});
        defer world.deinit();
        const here = try world.add();
        const there = if (contexts == 1) here else try world.add();
        const push = try here.open(.push);
        const pull = try there.open(.pull);
        _ = try there.context.bind_inproc(pull, "bytes");
        _ = try here.context.connect_inproc(push, "bytes", "");
        const slots = [_]*worlds.Slot{ here.slot(push), there.slot(pull) };
        slots[0].socket.options.send_high_water_mark_bytes = 100_000;
        slots[1].socket.options.receive_high_water_mark_bytes = 50_000;
        here.context.limits_changed(slots[0]);
        there.context.limits_changed(slots[1]);
        const message: [998]u8 = @splat('x');
        var total: u32 = 0;
        for (0..5) |_| {
            var sent: u32 = 0;
            while (true) : (sent += 1) {
                here.send(push, &.{&message}) catch |failure| {
                    try testing.expectEqual(error.WouldBlock, failure);
                    try world.settle();
                    // The reader has taken some out of the link.
                    here.send(push, &.{&message}) catch break;
                    continue;
                };
                try testing.expect(sent < 1000);
            }
            total += sent;
            try testing.expect(total >= 100);
            // One chunk more than both marks.
            const there_is = here.slot(push).socket.pipes.first().?;
            try testing.expect(there_is.send.bytes + there_is.handed_over_bytes <= 101_100);
            const unread = slots[1].socket.pipes.first().?.receive.unread_bytes();
            try testing.expect(unread >= 50_000 and unread < 50_000 + 64 * 1024);
            while (try there.take(pull)) |taken| {
                var it = taken;
                it.deinit();
                total -= 1;
                try world.settle();
            }
            try testing.expectEqual(0, total);
        }
    }
}
