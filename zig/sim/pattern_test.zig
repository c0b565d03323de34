//! PUSH, PULL, REQ and REP against mock peers: who gets which message, and what a peer that does
//! not keep to the pattern can do.

const std = @import("std");
const testing = std.testing;

const Address = @import("../io/address.zig").Address;
const worlds = @import("world.zig");
const Mock = worlds.Mock;
const Owner = worlds.Owner;
const World = worlds.World;

const address: Address = .ipv4(.{ 127, 0, 0, 1 }, 5555);

/// One bound socket and its mock peers.
fn BoundType(comptime count: usize) type {
    return struct {
        const Bound = @This();

        world: World,
        owner: *Owner,
        socket: u32,
        listener: u32,
        mocks: [count]Mock,

        fn init(
            bound: *Bound,
            socket_type: @import("../socket/socket.zig").Type,
            comptime peer_type: []const u8,
        ) !void {
            bound.world.init(1, .{});
            errdefer bound.world.deinit();
            bound.owner = try bound.world.add();
            bound.socket = try bound.owner.open(socket_type);
            bound.listener = try bound.owner.context.bind(bound.socket, &address);
            for (&bound.mocks) |*mock| {
                mock.* = try .dial(&bound.world, address);
                try mock.handshake(&bound.world, peer_type);
            }
        }

        fn deinit(bound: *Bound) void {
            for (&bound.mocks) |*mock| mock.deinit();
            bound.world.deinit();
        }

        fn send(bound: *Bound, parts: []const []const u8) !void {
            try bound.owner.send(bound.socket, parts);
            bound.owner.context.flush();
            try bound.world.settle();
        }

        fn expect(bound: *Bound, parts: []const []const u8) !void {
            try bound.world.settle();
            try bound.owner.expect(bound.socket, parts);
        }

        fn expect_none(bound: *Bound) !void {
            try bound.world.settle();
            try bound.owner.expect_none(bound.socket);
        }

        fn counted(bound: *Bound) *@import("../socket/socket.zig").Record {
            return bound.owner.record(bound.socket);
        }
    };
}

test "PUSH gives each worker one message in turn, multipart or not: one would do all the work" {
    var bound: BoundType(3) = undefined;
    try bound.init(.push, "PULL");
    defer bound.deinit();
    for (0..9) |i| {
        if (i % 2 == 0) try bound.send(&.{ "a", "b", "c" }) else try bound.send(&.{"single"});
        const expected: []const []const u8 = if (i % 2 == 0) &.{ "a", "b", "c" } else &.{"single"};
        try bound.mocks[i % 3].expect_message(expected);
        for (&bound.mocks) |*mock| try mock.expect_nothing();
    }
    // A worker that leaves is left out.
    bound.mocks[1].peer.close();
    try bound.world.settle();
    for ([_]usize{ 0, 2, 0, 2 }) |i| {
        try bound.send(&.{"x"});
        try bound.mocks[i].expect_message(&.{"x"});
    }
}

test "PUSH with connections: turns go in the order of the connect calls, also before they are up" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    var addresses: [3]Address = undefined;
    var mocks: [3]Mock = undefined;
    for (&addresses, 0..) |*it, i| {
        it.* = .ipv4(.{ 127, 0, 0, 1 }, @intCast(6000 + i));
        _ = try owner.connect(push, it.*);
    }
    for (0..6) |i| try owner.send(push, &.{&.{@as(u8, @intCast('0' + i))}});
    for (&addresses, &mocks) |*it, *mock| {
        const listener = world.network.listen(it);
        try world.run(300);
        mock.* = .{ .peer = listener.accept().? };
        mock.send(worlds.greeting ++ comptime worlds.ready("PULL"));
        try world.settle();
        try mock.pump();
        try mock.expect_handshake();
    }
    defer for (&mocks) |*mock| mock.deinit();
    for (&mocks, 0..) |*mock, i| {
        try mock.expect_message(&.{&.{@as(u8, @intCast('0' + i))}});
        try mock.expect_message(&.{&.{@as(u8, @intCast('3' + i))}});
        try mock.expect_nothing();
    }
}

test "immediate: nothing is queued for a peer that is not there, nor half of anything" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    owner.slot(push).socket.options.immediate = 1;
    _ = try owner.connect(push, address);
    try testing.expectError(error.WouldBlock, owner.send(push, &.{"x"}));
    const listener = world.network.listen(&address);
    try world.run(300);
    var mock: Mock = .{ .peer = listener.accept().? };
    try mock.handshake(&world, "PULL");
    const slot = owner.slot(push);
    try owner.context.send(slot, "first part", true, false);
    mock.peer.close();
    mock.deinit();
    try world.settle();
    // The rest of that message goes nowhere.
    try owner.context.send(slot, "second part", false, false);
    try testing.expectEqual(1, owner.record(push).dropped_disconnect);
    try testing.expectError(error.WouldBlock, owner.send(push, &.{"x"}));
    try world.run(300);
    mock = .{ .peer = listener.accept().? };
    defer mock.deinit();
    try mock.handshake(&world, "PULL");
    try owner.send(push, &.{ "whole", "message" });
    owner.context.flush();
    try world.settle();
    try mock.expect_message(&.{ "whole", "message" });
    try mock.expect_nothing();
}

test "immediate: what a peer sent is read when it has gone, be it for good: it was kept back" {
    for ([_]i32{ 100, -1 }) |interval_ms| {
        inline for (.{ "PUSH", "PAIR", "DEALER" }, .{ .pull, .pair, .dealer }) |name, own| {
            var world: World = undefined;
            world.init(1, .{});
            defer world.deinit();
            const owner = try world.add();
            const socket = try owner.open(own);
            const options = owner.slot(socket).socket.options;
            options.immediate = 1;
            options.reconnect_interval_ms = interval_ms;
            const listener = world.network.listen(&address);
            _ = try owner.connect(socket, address);
            try world.settle();
            var mock: Mock = .{ .peer = listener.accept().? };
            defer mock.deinit();
            try mock.handshake(&world, name);
            // More parts than the ring holds: it is half read when its sender leaves.
            for (0..600) |_| try mock.send_frame(1, "part");
            try mock.send_frame(0, "last");
            try mock.send_message(&.{"unread"});
            try world.settle();
            try owner.context.fill(owner.slot(socket));
            mock.peer.close();
            try world.settle();
            try owner.expect(socket, &.{"unread"});
            try owner.expect_none(socket);
            try world.settle();
            const left: u32 = if (interval_ms < 0) 0 else 1;
            try testing.expectEqual(left, owner.context.session_table.count());
            if (interval_ms > 0) {
                try world.run(300);
                mock.deinit();
                mock = .{ .peer = listener.accept().? };
                try mock.handshake(&world, name);
                try mock.send_message(&.{"new"});
                try world.settle();
                try owner.expect(socket, &.{"new"});
            }
        }
    }
}

test "a PAIR whose other connection takes over reads what the first peer had sent" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const pair = try owner.open(.pair);
    const listener = world.network.listen(&address);
    _ = try owner.connect(pair, address);
    const other: Address = .ipv4(.{ 127, 0, 0, 1 }, 6666);
    // It listens, and says nothing.
    _ = world.network.listen(&other);
    _ = try owner.connect(pair, other);
    owner.slot(pair).socket.options.immediate = 1;
    try world.settle();
    var mock: Mock = .{ .peer = listener.accept().? };
    defer mock.deinit();
    try mock.handshake(&world, "PAIR");
    for ([_][]const u8{ "first", "second" }) |body| try mock.send_message(&.{body});
    try world.settle();
    mock.peer.close();
    try world.settle();
    for ([_][]const u8{ "first", "second" }) |body| try owner.expect(pair, &.{body});
    try owner.expect_none(pair);
}

test "a flush or a PING between the parts of a message does not part it" {
    var bound: BoundType(1) = undefined;
    try bound.init(.push, "PULL");
    defer bound.deinit();
    const slot = bound.owner.slot(bound.socket);
    try bound.owner.send(bound.socket, &.{"before"});
    try bound.owner.context.send(slot, "first", true, false);
    bound.owner.context.flush();
    try bound.mocks[0].send_frame(4, "\x04PING\x00\x00x");
    try bound.world.settle();
    try bound.mocks[0].expect_message(&.{"before"});
    try bound.mocks[0].expect_nothing();
    try bound.owner.context.send(slot, "second", false, false);
    bound.owner.context.flush();
    try bound.world.settle();
    try bound.mocks[0].expect_message(&.{ "first", "second" });
}

test "PULL takes one message of each peer in turn, whatever their sizes: one would starve" {
    var bound: BoundType(3) = undefined;
    try bound.init(.pull, "PUSH");
    defer bound.deinit();
    for (0..20) |round| for (&bound.mocks, 0..) |*mock, i| {
        var body: [3000]u8 = @splat(@intCast('0' + i));
        body[0] = @intCast(round);
        // The first one sends much longer messages than the others.
        try mock.send_message(&.{ body[0 .. 1 + (2 - i) * 1000], "x" });
    };
    try bound.world.settle();
    for (0..20) |round| for (0..3) |i| {
        var message = (try bound.owner.take(bound.socket)).?;
        defer message.deinit();
        try testing.expectEqual(@as(u8, @intCast(round)), message.parts.items[0][0]);
        try testing.expectEqual(1 + (2 - i) * 1000, message.parts.items[0].len);
    };
    try bound.expect_none();
}

test "what a PULL sends to a PUSH is dropped and counted: it would be kept for ever" {
    var bound: BoundType(1) = undefined;
    try bound.init(.push, "PULL");
    defer bound.deinit();
    const live_bytes = bound.owner.live_bytes();
    for (0..5000) |_| try bound.mocks[0].send_message(&.{ "not", "yours" });
    try bound.world.settle();
    try testing.expectEqual(5000, bound.counted().dropped_malformed);
    try testing.expect(bound.owner.live_bytes() <= live_bytes);
    try bound.send(&.{"job"});
    try bound.mocks[0].expect_message(&.{"job"});
}

test "REQ and REP keep to their turns (EFSM): answers would meet the wrong questions" {
    var bound: BoundType(1) = undefined;
    try bound.init(.req, "REP");
    defer bound.deinit();
    const mock = &bound.mocks[0];
    const slot = bound.owner.slot(bound.socket);
    for (0..5) |_| {
        try testing.expectError(error.WrongState, bound.owner.context.fill(slot));
        try bound.send(&.{ "question", "two" });
        try mock.expect_message(&.{ "", "question", "two" });
        try testing.expectError(error.WrongState, bound.owner.send(bound.socket, &.{"again"}));
        try bound.expect_none();
        try mock.send_message(&.{ "", "answer", "two" });
        try bound.world.settle();
        // Asked for twice, it is still not taken.
        for (0..2) |_| try bound.owner.context.fill(slot);
        try testing.expectError(error.WrongState, bound.owner.send(bound.socket, &.{"again"}));
        try bound.expect(&.{ "answer", "two" });
    }
    const rep = try bound.owner.open(.rep);
    _ = try bound.owner.bind(rep);
    try testing.expectError(error.WrongState, bound.owner.send(rep, &.{"unasked"}));
}

test "a REQ takes only the answer to its question: an old one would be believed" {
    var bound: BoundType(2) = undefined;
    try bound.init(.req, "REP");
    defer bound.deinit();
    const mock = &bound.mocks[0];
    bound.owner.slot(bound.socket).socket.want(.{ .readable = true });
    // Before the question, and in the wrong shape, and from the wrong peer.
    try mock.send_message(&.{ "", "too early" });
    try bound.world.settle();
    try bound.send(&.{"question"});
    try mock.expect_message(&.{ "", "question" });
    try mock.send_message(&.{"no delimiter"});
    try mock.send_message(&.{ "not empty", "x" });
    try mock.send_message(&.{""});
    try bound.mocks[1].send_message(&.{ "", "not asked" });
    try bound.world.settle();
    try bound.expect_none();
    // None of that wakes who waits.
    try testing.expectEqual(0, bound.owner.ready.items.len);
    try mock.send_message(&.{ "", "answer" });
    try bound.world.settle();
    try testing.expectEqual(1, bound.owner.ready.items.len);
    try bound.expect(&.{"answer"});
    try testing.expectEqual(3, bound.counted().dropped_malformed);
    try testing.expectEqual(2, bound.counted().dropped_stale);
    // An answer that comes twice is no answer to the next question.
    try mock.send_message(&.{ "", "answer again" });
    try bound.world.settle();
    try bound.send(&.{"second question"});
    try bound.mocks[1].expect_message(&.{ "", "second question" });
    try bound.expect_none();
    try bound.mocks[1].send_message(&.{ "", "second answer" });
    try bound.expect(&.{"second answer"});
}

test "correlate: an answer with another id is passed over, the right one behind it is taken" {
    var bound: BoundType(1) = undefined;
    try bound.init(.req, "REP");
    defer bound.deinit();
    const mock = &bound.mocks[0];
    bound.owner.slot(bound.socket).socket.options.request_correlate = 1;
    var last: u32 = 0;
    for (0..3) |round| {
        try bound.send(&.{"question"});
        try mock.pump();
        const id = (try mock.next_frame(1)).?;
        defer testing.allocator.free(id);
        try mock.expect_frame(1, "");
        try mock.expect_frame(0, "question");
        try testing.expectEqual(4, id.len);
        const number = std.mem.readInt(u32, id[0..4], .native);
        if (round > 0) try testing.expectEqual(last +% 1, number);
        last = number;
        var wrong: [4]u8 = undefined;
        std.mem.writeInt(u32, &wrong, number +% 1, .native);
        try mock.send_message(&.{ &wrong, "", "wrong" });
        try mock.send_message(&.{ "", "without id" });
        try mock.send_message(&.{ id, "no delimiter" });
        try mock.send_message(&.{id});
        try mock.send_message(&.{ id, "" });
        try bound.expect_none();
        try mock.send_message(&.{ id, "", "right" });
        try bound.expect(&.{"right"});
    }
}

test "relaxed: a new question replaces one that nobody answers, and goes to the next peer" {
    var bound: BoundType(2) = undefined;
    try bound.init(.req, "REP");
    defer bound.deinit();
    bound.owner.slot(bound.socket).socket.options.request_relaxed = 1;
    try bound.send(&.{"one"});
    try bound.mocks[0].expect_message(&.{ "", "one" });
    try bound.send(&.{"two"});
    try bound.mocks[1].expect_message(&.{ "", "two" });
    try bound.mocks[0].send_message(&.{ "", "answer to one" });
    try bound.expect_none();
    try bound.mocks[1].send_message(&.{ "", "answer to two" });
    try bound.expect(&.{"answer to two"});
    // Also one whose answer is there and was not taken.
    try bound.send(&.{"three"});
    try bound.mocks[0].send_message(&.{ "", "answer to three" });
    try bound.world.settle();
    try bound.send(&.{"four"});
    try bound.mocks[1].expect_message(&.{ "", "four" });
    try bound.mocks[1].send_message(&.{ "", "answer to four" });
    try bound.expect(&.{"answer to four"});
}

test "answers that nobody waits for do not keep a REQ from noticing that its peer has gone" {
    var bound: BoundType(1) = undefined;
    try bound.init(.req, "REP");
    defer bound.deinit();
    const record = bound.owner.record(bound.socket);
    const options = bound.owner.slot(bound.socket).socket.options;
    options.request_relaxed = 1;
    options.receive_high_water_mark = 1;
    bound.owner.context.limits_changed(bound.owner.slot(bound.socket));
    for ([_][]const u8{ "one", "two", "three" }) |question| try bound.send(&.{question});
    for (0..3) |_| try bound.mocks[0].send_message(&.{ "", "answer" });
    try bound.expect(&.{"answer"});
    try bound.mocks[0].send_message(&.{ "", "one more" });
    bound.mocks[0].peer.shutdown();
    try bound.world.settle();
    try testing.expectEqual(3, record.dropped_stale);
    try testing.expectEqual(0, record.connections);
}

test "relaxed: out of memory for the next question gives up the one before, which it refuses" {
    var bound: BoundType(1) = undefined;
    try bound.init(.req, "REP");
    defer bound.deinit();
    const options = bound.owner.slot(bound.socket).socket.options;
    options.request_relaxed = 1;
    options.request_correlate = 1;
    try bound.send(&.{"one"});
    bound.owner.context.resources.slabs.fail_after = 0;
    try testing.expectError(error.OutOfMemory, bound.send(&.{"two"}));
    try testing.expectError(error.WrongState, bound.owner.take(bound.socket));
}

test "a REQ whose peer dies goes on waiting, and takes the answer when one comes after all" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const req = try owner.open(.req);
    const listener = world.network.listen(&address);
    _ = try owner.connect(req, address);
    try world.settle();
    var mock: Mock = .{ .peer = listener.accept().? };
    try mock.handshake(&world, "REP");
    try owner.send(req, &.{"question"});
    owner.context.flush();
    try world.settle();
    try mock.expect_message(&.{ "", "question" });
    mock.peer.close();
    mock.deinit();
    try world.run(500);
    try testing.expectError(error.WrongState, owner.send(req, &.{"again"}));
    mock = .{ .peer = listener.accept().? };
    defer mock.deinit();
    try mock.handshake(&world, "REP");
    try owner.expect_none(req);
    try mock.send_message(&.{ "", "answer" });
    try world.settle();
    try owner.expect(req, &.{"answer"});
}

test "REP sends its answer back over every hop: it would reach nobody behind a broker" {
    var bound: BoundType(2) = undefined;
    try bound.init(.rep, "DEALER");
    defer bound.deinit();
    const mock = &bound.mocks[0];
    for ([_][]const []const u8{
        &.{""},
        &.{ "hop", "" },
        &.{ "one", "\x00two", "three", "" },
    }) |envelope| {
        for (envelope) |part| try mock.send_frame(1, part);
        try mock.send_message(&.{ "body", "", "more" });
        try bound.expect(&.{ "body", "", "more" });
        try bound.send(&.{ "answer", "" });
        try mock.pump();
        for (envelope) |part| try mock.expect_frame(1, part);
        try mock.expect_frame(1, "answer");
        try mock.expect_frame(0, "");
    }
    try bound.mocks[1].expect_nothing();
}

test "a message that is no request is dropped and counted, and never ends the server's loop" {
    var bound: BoundType(2) = undefined;
    try bound.init(.rep, "DEALER");
    defer bound.deinit();
    const mock = &bound.mocks[0];
    bound.owner.slot(bound.socket).socket.want(.{ .readable = true });
    try mock.send_message(&.{"no delimiter"});
    try mock.send_message(&.{ "no", "delimiter", "either" });
    try mock.send_message(&.{""});
    try mock.send_message(&.{ "hop", "" });
    const long: [70_000]u8 = @splat('h');
    try mock.send_message(&.{ &long, "", "way back too long" });
    try bound.world.settle();
    try testing.expectEqual(0, bound.owner.ready.items.len);
    try bound.expect_none();
    try testing.expectEqual(5, bound.counted().dropped_malformed);
    try bound.mocks[1].send_message(&.{ "", "good" });
    try bound.expect(&.{"good"});
    try bound.send(&.{"answer"});
    try bound.mocks[1].expect_message(&.{ "", "answer" });
    try testing.expectEqual(0, bound.owner.buffers_held());
}

test "requests of all peers are answered in turn, pipelined ones too: one would starve the rest" {
    var bound: BoundType(3) = undefined;
    try bound.init(.rep, "DEALER");
    defer bound.deinit();
    for (0..5) |round| for (&bound.mocks) |*mock| {
        try mock.send_message(&.{ "", &.{@as(u8, @intCast(round))} });
    };
    try bound.world.settle();
    // Others need the arena meanwhile.
    try bound.owner.context.resources.arena.spill(&bound.owner.context.resources.slabs);
    var served: [3]u8 = @splat(0);
    for (0..15) |_| {
        var request = (try bound.owner.take(bound.socket)).?;
        defer request.deinit();
        try bound.send(&.{"done"});
        for (&bound.mocks, &served) |*mock, *count| {
            try mock.pump();
            if (mock.received.items.len == 0) continue;
            try mock.expect_message(&.{ "", "done" });
            try testing.expectEqual(count.*, request.parts.items[0][0]);
            count.* += 1;
        }
        // The first one was alone when its first request came.
        try testing.expect(std.mem.max(u8, &served) - std.mem.min(u8, &served) <= 2);
    }
    try testing.expectEqual([3]u8{ 5, 5, 5 }, served);
}

test "the answer for a requester that left is dropped and counted, the next request is served" {
    var bound: BoundType(2) = undefined;
    try bound.init(.rep, "REQ");
    defer bound.deinit();
    try bound.mocks[0].send_message(&.{ "", "question" });
    try bound.mocks[0].send_message(&.{ "", "another" });
    try bound.expect(&.{"question"});
    bound.mocks[0].peer.close();
    try bound.world.settle();
    try bound.send(&.{"answer"});
    try testing.expectEqual(1, bound.counted().dropped_no_peer);
    // What it had asked before it left is still a request.
    try bound.expect(&.{"another"});
    try bound.send(&.{"answer"});
    try testing.expectEqual(2, bound.counted().dropped_no_peer);
    // It leaves between the parts of its answer.
    try bound.mocks[1].send_message(&.{ "", "question" });
    try bound.expect(&.{"question"});
    const slot = bound.owner.slot(bound.socket);
    try bound.owner.context.send(slot, "part", true, false);
    bound.mocks[1].peer.close();
    try bound.world.settle();
    try bound.owner.context.send(slot, "last part", false, false);
    try testing.expectEqual(3, bound.counted().dropped_no_peer);
    try testing.expectError(error.WrongState, bound.owner.send(bound.socket, &.{"x"}));
    try bound.world.settle();
    try testing.expectEqual(0, bound.owner.context.session_table.count());
}

test "the answer for a requester that does not read is dropped at its mark: a server would stop" {
    var bound: BoundType(1) = undefined;
    try bound.init(.rep, "DEALER");
    defer bound.deinit();
    const mock = &bound.mocks[0];
    mock.peer.limit_inbox(0);
    for (0..1500) |_| {
        try mock.send_message(&.{ "", "question" });
        try bound.expect(&.{"question"});
        try bound.send(&.{"answer"});
    }
    // The default mark is 1000.
    try testing.expectEqual(500, bound.counted().dropped_no_peer);
}

test "disconnecting in the middle of a long message cuts it visibly: halves would be joined" {
    for (0..3) |variant| {
        var bound: BoundType(2) = undefined;
        try bound.init(.pull, "PUSH");
        defer bound.deinit();
        const slot = bound.owner.slot(bound.socket);
        const ring = &slot.socket.ring;
        // Connected, so that disconnect takes the pipe away.
        const other: Address = .ipv4(.{ 127, 0, 0, 1 }, 7777);
        const listener = bound.world.network.listen(&other);
        const endpoint = try bound.owner.connect(bound.socket, other);
        try bound.world.settle();
        var mock: Mock = .{ .peer = listener.accept().? };
        defer mock.deinit();
        try mock.handshake(&bound.world, "PUSH");
        for (0..1000) |_| try mock.send_frame(1, "part");
        try mock.send_frame(0, "last");
        try bound.world.settle();
        try bound.owner.context.fill(slot);
        try testing.expectEqual(512, ring.waiting());
        // None, some or all of what the ring holds has been taken.
        ring.cursor.taken += @intCast(variant * 256);
        try testing.expect(bound.owner.context.disconnect(bound.socket, endpoint, 0));
        try bound.mocks[0].send_message(&.{"next"});
        try bound.world.settle();
        if (variant > 0) {
            try testing.expectEqual(1, ring.waiting());
            const entry = ring.shared[ring.cursor.taken % ring.shared.len];
            try testing.expectEqual(8, entry.flags);
            ring.cursor.taken += 1;
        }
        try bound.expect(&.{"next"});
        try bound.expect_none();
    }
}

test "a PAIR has one peer: a second one is refused and told of, and gets in when the first left" {
    var bound: BoundType(1) = undefined;
    try bound.init(.pair, "PAIR");
    defer bound.deinit();
    var second: Mock = try .dial(&bound.world, address);
    try second.handshake(&bound.world, "PAIR");
    try testing.expect(second.peer.ended());
    second.deinit();
    try bound.owner.expect_ended(bound.socket, .peer_refused);
    try testing.expectEqual(1, bound.counted().peers_refused);
    try bound.send(&.{ "for", "the first" });
    try bound.mocks[0].expect_message(&.{ "for", "the first" });
    // Its last words are read before those of the next one, all of them.
    for (0..3) |_| try bound.mocks[0].send_message(&.{ "from", "the first" });
    try bound.world.settle();
    bound.mocks[0].peer.close();
    try bound.world.settle();
    try testing.expectError(error.WouldBlock, bound.owner.send(bound.socket, &.{"nobody"}));
    second = try .dial(&bound.world, address);
    defer second.deinit();
    try second.handshake(&bound.world, "PAIR");
    for (0..3) |_| try second.send_message(&.{"from the second"});
    try bound.world.settle();
    for (0..3) |_| try bound.expect(&.{ "from", "the first" });
    for (0..3) |_| try bound.expect(&.{"from the second"});
    try bound.send(&.{"for the second"});
    try second.expect_message(&.{"for the second"});
    try second.send_message(&.{"and on"});
    try bound.expect(&.{"and on"});
    try testing.expectEqual(1, bound.owner.context.session_table.count());
}

test "what two peers of a PAIR said before they left is read: the second one's was lost" {
    var bound: BoundType(1) = undefined;
    try bound.init(.pair, "PAIR");
    defer bound.deinit();
    for ([_][]const u8{ "first", "second", "third" }) |body| {
        const mock = &bound.mocks[0];
        try mock.send_message(&.{ body, "to say" });
        try bound.world.settle();
        mock.peer.close();
        mock.deinit();
        try bound.world.settle();
        mock.* = try .dial(&bound.world, address);
        try mock.handshake(&bound.world, "PAIR");
    }
    try bound.mocks[0].send_message(&.{"and is here"});
    for ([_][]const u8{ "first", "second", "third" }) |body| try bound.expect(&.{ body, "to say" });
    try bound.expect(&.{"and is here"});
    try testing.expectEqual(1, bound.owner.context.session_table.count());
}

test "a PAIR that makes two connections uses the second when the first is taken away" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const pair = try owner.open(.pair);
    const other: Address = .ipv4(.{ 127, 0, 0, 1 }, 6666);
    const listeners = [_]worlds.Peer{
        world.network.listen(&address),
        world.network.listen(&other),
    };
    const first = try owner.connect(pair, address);
    _ = try owner.connect(pair, other);
    try owner.send(pair, &.{"for the first"});
    try world.settle();
    var mock: Mock = .{ .peer = listeners[0].accept().? };
    defer mock.deinit();
    try mock.handshake(&world, "PAIR");
    try mock.expect_message(&.{"for the first"});
    var refused: Mock = .{ .peer = listeners[1].accept().? };
    defer refused.deinit();
    try refused.handshake(&world, "PAIR");
    try testing.expect(refused.peer.ended());
    try testing.expect(owner.context.disconnect(pair, first, 0));
    try owner.send(pair, &.{"for the second"});
    try world.run(300);
    var second: Mock = .{ .peer = listeners[1].accept().? };
    defer second.deinit();
    try second.handshake(&world, "PAIR");
    try second.expect_message(&.{"for the second"});
}

test "a part of a message to a PAIR that leaves goes nowhere, the next message is whole" {
    var bound: BoundType(1) = undefined;
    try bound.init(.pair, "PAIR");
    defer bound.deinit();
    const slot = bound.owner.slot(bound.socket);
    try bound.owner.context.send(slot, "first", true, false);
    bound.mocks[0].peer.close();
    try bound.world.settle();
    var second: Mock = try .dial(&bound.world, address);
    defer second.deinit();
    try second.handshake(&bound.world, "PAIR");
    try bound.owner.context.send(slot, "last", false, false);
    try testing.expectEqual(1, bound.counted().dropped_disconnect);
    try bound.send(&.{"whole"});
    try second.expect_message(&.{"whole"});
    try second.expect_nothing();
}

test "DEALER gives and takes one message in turn, and has nobody to send to without peers" {
    var bound: BoundType(3) = undefined;
    try bound.init(.dealer, "ROUTER");
    defer bound.deinit();
    for (0..6) |i| {
        try bound.send(&.{ "", "job" });
        try bound.mocks[i % 3].expect_message(&.{ "", "job" });
        for (&bound.mocks) |*mock| try mock.expect_nothing();
    }
    for (0..4) |_| for (&bound.mocks, 0..) |*mock, i| {
        try mock.send_message(&.{ "from", &.{@as(u8, @intCast(i))} });
    };
    try bound.world.settle();
    for (0..4) |_| for (0..3) |i| try bound.expect(&.{ "from", &.{@as(u8, @intCast(i))} });
    for (&bound.mocks) |*mock| mock.peer.close();
    try bound.world.settle();
    try testing.expectError(error.WouldBlock, bound.owner.send(bound.socket, &.{"x"}));
}

test "conflate: a reader that was away finds the newest message, whole, and nothing before it" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const pull = try owner.open(.pull);
    owner.slot(pull).socket.options.conflate = 1;
    _ = try owner.context.bind(pull, &address);
    var mocks: [2]Mock = undefined;
    for (&mocks) |*mock| {
        mock.* = try .dial(&world, address);
        try mock.handshake(&world, "PUSH");
    }
    defer for (&mocks) |*mock| mock.deinit();
    const long: [50_000]u8 = @splat('l');
    for (0..300) |i| for (&mocks) |*mock| {
        try mock.send_message(&.{ "value", &.{@as(u8, @truncate(i))}, long[0 .. i % 7] });
        if (i % 50 == 0) try mock.send_message(&.{ &long, "old" });
        if (i % 60 == 0) try world.settle();
    };
    // Half of a newer one does not replace it.
    for (&mocks) |*mock| try mock.send_frame(1, "half");
    try world.settle();
    for (0..2) |_| try owner.expect(pull, &.{ "value", &.{299 - 256}, long[0 .. 299 % 7] });
    try owner.expect_none(pull);
    try testing.expectEqual(2 * (300 + 6 - 1), owner.record(pull).dropped_conflated);
    for (&mocks) |*mock| try mock.send_message(&.{"whole"});
    try world.settle();
    for (0..2) |_| try owner.expect(pull, &.{ "half", "whole" });
    try testing.expectEqual(0, owner.buffers_held());
}

test "conflate: what waits for a connection or a slow peer is the newest message only" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    owner.slot(push).socket.options.conflate = 1;
    _ = try owner.connect(push, address);
    const long: [5000]u8 = @splat('l');
    for (0..100) |i| {
        const number = [_]u8{@intCast(i)};
        if (i % 2 == 0) {
            try owner.send_borrowed(push, &.{ &number, &long, "end" });
        } else try owner.send(push, &.{ &number, long[0..i], "end" });
        owner.slot(push).socket.pipes.first().?.send.invariants();
    }
    try testing.expectEqual(99, owner.record(push).dropped_conflated);
    const listener = world.network.listen(&address);
    try world.run(300);
    var mock: Mock = .{ .peer = listener.accept().? };
    defer mock.deinit();
    try mock.handshake(&world, "PULL");
    try mock.expect_message(&.{ &.{99}, long[0..99], "end" });
    // What the kernel has begun to take is sent whole, then the newest.
    mock.peer.limit_inbox(100);
    for (0..50) |i| {
        try owner.send_borrowed(push, &.{ &.{@as(u8, @intCast(i))}, &long });
        owner.context.flush();
        if (i == 30) try mock.send_frame(4, "\x04PING\x00\x00x");
        try world.settle();
    }
    mock.peer.limit_inbox(1_000_000);
    try world.settle();
    try mock.expect_message(&.{ &.{0}, &long });
    try mock.pump();
    try mock.expect_frame(4, "\x04PONGx");
    try mock.expect_message(&.{ &.{49}, &long });
    try mock.expect_nothing();
    try testing.expectEqual(99 + 48, owner.record(push).dropped_conflated);
    try testing.expectEqual(0, owner.slot(push).socket.pipes.first().?.send.messages);
}
