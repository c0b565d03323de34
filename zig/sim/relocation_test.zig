//! Sockets that move to another context in the middle of their traffic, as they do when a proxy
//! takes them over: no peer notices, and no message is lost, doubled or out of order.

const std = @import("std");
const testing = std.testing;

const Address = @import("../io/address.zig").Address;
const frame = @import("../zmtp/frame.zig");
const Prng = @import("../stdx/prng.zig").Prng;
const pumps = @import("../pump.zig");
const relocation = @import("../relocation.zig");
const Luggage = relocation.Luggage;
const worlds = @import("world.zig");
const Context = worlds.Context;
const Mock = worlds.Mock;
const Options = worlds.Options;
const Owner = worlds.Owner;
const World = worlds.World;

const Moved = struct {
    pub fn note(_: Moved, _: u32, _: u32) !void {}
};

pub fn relocate(from: *Owner, handle: u32, to: *Owner) !u32 {
    var luggage = try relocation.take(&from.context, testing.allocator, handle);
    defer luggage.deinit(&to.io);
    for (luggage.listeners.items) |*it| {
        if (it.fd >= 0) it.fd = from.io.give(it.fd, &to.io);
    }
    for (luggage.connections.items) |*it| {
        if (it.fd >= 0) it.fd = from.io.give(it.fd, &to.io);
    }
    return relocation.unpack(&to.context, &luggage, Moved{});
}

/// Message `number`: its parts tell which one they belong to.
const Numbered = struct {
    payload: [100_000]u8,

    fn parts(numbered: *const Numbered, number: u32, buffer: *[3][]const u8) []const []const u8 {
        buffer.* = .{ std.mem.asBytes(&numbers[number]), "", numbered.payload[0..size(number)] };
        return buffer[0 .. 1 + number % 3];
    }

    fn size(number: u32) usize {
        return switch (number % 31) {
            7 => 90_000,
            13 => 5000,
            else => number * 37 % 300,
        };
    }

    const numbers: [4096]u32 = blk: {
        @setEvalBranchQuota(10_000);
        var result: [4096]u32 = undefined;
        for (&result, 0..) |*it, number| it.* = number;
        break :blk result;
    };
};

/// A PUSH and a PULL, either of which changes its context now and then.
const Life = struct {
    world: World,
    prng: Prng,
    numbered: Numbered,
    push: u32 = 0,
    push_owner: *Owner = undefined,
    pull: u32 = 0,
    pull_owner: *Owner = undefined,
    sent: u32 = 0,
    received: u32 = 0,
    moves: u32 = 0,

    fn step(life: *Life) !void {
        switch (life.prng.below(12)) {
            0 => try life.move(),
            1...6 => try life.send(),
            7...9 => try life.receive(),
            else => _ = try life.world.owners.items[life.prng.below(3)].turn(),
        }
        if (life.prng.below(3) == 0) {
            _ = life.world.network.advance(life.world.network.now_ns + life.prng.below(40_000));
        }
    }

    fn move(life: *Life) !void {
        const to = life.world.owners.items[life.prng.below(3)];
        life.moves += 1;
        if (life.prng.below(2) == 0) {
            if (to == life.push_owner) return;
            life.push = try relocate(life.push_owner, life.push, to);
            life.push_owner = to;
        } else {
            if (to == life.pull_owner) return;
            // A proxy gets what was taken out already, and moves it on before anything else.
            while (life.pull_owner.slot(life.pull).socket.ring.waiting() > 0) try life.receive();
            life.pull = try relocate(life.pull_owner, life.pull, to);
            life.pull_owner = to;
        }
    }

    fn send(life: *Life) !void {
        if (life.sent == Numbered.numbers.len) return;
        var buffer: [3][]const u8 = undefined;
        const parts = life.numbered.parts(life.sent, &buffer);
        life.push_owner.send(life.push, parts) catch |failure| switch (failure) {
            error.WouldBlock => return,
            else => return failure,
        };
        life.sent += 1;
    }

    fn receive(life: *Life) !void {
        var message = (try life.pull_owner.take(life.pull)) orelse return;
        defer message.deinit();
        var buffer: [3][]const u8 = undefined;
        const parts = life.numbered.parts(life.received, &buffer);
        try testing.expectEqual(parts.len, message.parts.items.len);
        for (parts, message.parts.items) |expected, part| {
            try testing.expectEqualSlices(u8, expected, part);
        }
        life.received += 1;
    }
};

test "sockets move between contexts in mid-traffic: messages are lost, doubled or torn" {
    var moves: u32 = 0;
    var large: u32 = 0;
    for (0..60) |seed| {
        const life = try testing.allocator.create(Life);
        defer testing.allocator.destroy(life);
        life.* = .{ .world = undefined, .prng = .init(seed), .numbered = undefined };
        life.prng.fill(&life.numbered.payload);
        life.world.init(seed, if (seed % 3 == 0) .{} else .shaky);
        defer life.world.deinit();
        for (0..3) |_| _ = try life.world.add();
        life.push_owner = life.world.owners.items[0];
        life.pull_owner = life.world.owners.items[1];
        life.push = try life.push_owner.context.open(.push);
        life.pull = try life.pull_owner.context.open(.pull);
        life.pull_owner.slot(life.pull).socket.options.receive_high_water_mark = 20;
        const address = try life.pull_owner.bind(life.pull);
        _ = try life.push_owner.connect(life.push, address);
        for (0..600) |_| try life.step();
        for (0..100) |_| {
            try life.world.run(50);
            for (0..1000) |_| try life.receive();
        }
        try testing.expectEqual(life.sent, life.received);
        moves += life.moves;
        large += life.received / 31;
    }
    // It has been tried.
    try testing.expect(moves > 1000 and large > 100);
}

/// What a pump would do first with what was taken out already.
fn expect_pending(luggage: *const Luggage, bodies: []const []const u8) !void {
    var rest = luggage.pending;
    for (bodies) |body| {
        const header = frame.decode(rest) orelse return error.NothingPending;
        const size: usize = @intCast(header.body_size);
        try testing.expectEqualStrings(body, rest[header.header_size..][0..size]);
        rest = rest[header.header_size + size ..];
    }
    try testing.expectEqual(0, rest.len);
}

test "an XPUB moves with what its reader has not read, once, and with who gets what: manual, too" {
    for ([_]u32{ 0, 1 }) |manual| {
        var world: World = undefined;
        world.init(3, .{});
        defer world.deinit();
        const here = try world.add();
        const there = try world.add();
        const publisher = try here.context.open(.xpub);
        here.slot(publisher).socket.options.publisher_manual = manual;
        const subscriber = try there.context.open(.xsub);
        _ = try there.connect(subscriber, try here.bind(publisher));
        try world.settle();
        try there.send(subscriber, &.{"\x01read"});
        try world.settle();
        try here.expect(publisher, &.{"\x01read"});
        if (manual != 0) try here.slot(publisher).socket.subscribe("granted", true);
        try there.send(subscriber, &.{"\x01unread"});
        try there.send(subscriber, &.{"a message"});
        try world.settle();
        var luggage = try relocation.take(&here.context, testing.allocator, publisher);
        defer luggage.deinit(&there.io);
        for (luggage.listeners.items) |*it| it.fd = here.io.give(it.fd, &there.io);
        for (luggage.connections.items) |*it| it.fd = here.io.give(it.fd, &there.io);
        try expect_pending(&luggage, &.{ "\x01unread", "a message" });
        const moved = try relocation.unpack(&there.context, &luggage, Moved{});
        try world.settle();
        try there.expect_none(moved);
        const socket = &there.slot(moved).socket;
        const granted = if (manual != 0) "granted" else "unread";
        try testing.expectEqual(1, socket.subscribed(granted));
        try testing.expectEqual(0, socket.subscribed("another"));
        try testing.expectEqual(manual, 1 - socket.subscribed("read"));
        try there.send(moved, &.{ granted, "it is" });
        try world.settle();
        try there.expect(subscriber, &.{ granted, "it is" });
        // Who leaves is missed as before.
        there.context.close(subscriber, 0);
        try world.settle();
        try there.expect(moved, &.{"\x00read"});
        try there.expect(moved, &.{"\x00unread"});
        try there.expect_none(moved);
    }
}

test "a pump moves what a socket had taken out, then the rest, and back: a proxy would lose it" {
    var world: World = undefined;
    world.init(7, .shaky);
    defer world.deinit();
    const peers = try world.add();
    const joint = try world.add();
    const front = try joint.context.open(.router);
    const back = try joint.context.open(.dealer);
    const client = try peers.context.open(.dealer);
    const service = try peers.context.open(.dealer);
    _ = try peers.connect(client, try joint.bind(front));
    _ = try peers.connect(service, try joint.bind(back));
    try world.settle();
    var pump: pumps.PumpType(Context) = .{
        .context = &joint.context,
        .front = front,
        .back = back,
        .front_pending = "\x01\x02id\x00\x05first" ++ "\x01\x02id\x00\x06second",
        .release = give_back,
        .owner = joint,
    };
    const large = "x" ** 70_000;
    try peers.send(client, &.{ "question", large });
    try world.settle();
    while (pump.run()) try world.settle();
    try world.settle();
    try peers.expect(service, &.{ "id", "first" });
    try peers.expect(service, &.{ "id", "second" });
    var question = (try peers.take(service)).?;
    defer question.deinit();
    try testing.expectEqual(3, question.parts.items.len);
    try testing.expectEqualStrings("question", question.parts.items[1]);
    try testing.expectEqualStrings(large, question.parts.items[2]);

    try peers.send(service, &.{ question.parts.items[0], "answer" });
    try peers.send(service, &.{ "nobody", "knows this one" });
    try world.settle();
    while (pump.run()) try world.settle();
    try world.settle();
    try peers.expect(client, &.{"answer"});
    try testing.expectEqual(1, joint.record(front).dropped_unroutable);
    try testing.expectEqual(3, pump.statistics.back.messages_out);
    try testing.expectEqual(0, joint.buffers_held());
}

fn give_back(owner: *anyopaque, id: u32) void {
    const joint: *Owner = @ptrCast(@alignCast(owner));
    joint.give_back(id);
}

test "a connection that cannot move is made anew, with whole messages: a half would go first" {
    var world: World = undefined;
    world.init(5, .{});
    defer world.deinit();
    const here = try world.add();
    const there = try world.add();
    const address: Address = .ipv4(.{ 127, 0, 0, 1 }, 5555);
    const listener = world.network.listen(&address);
    const dealer = try here.open(.dealer);
    _ = try here.connect(dealer, address);
    try world.settle();
    var mock: Mock = .{ .peer = listener.accept().? };
    try mock.handshake(&world, "DEALER");
    // Most of a frame of 15 MiB; nothing but its buffer can hold that.
    mock.send("\x02\x00\x00\x00\x00\x00\xf0\x00\x00");
    const chunk = try testing.allocator.alloc(u8, 1 << 20);
    defer testing.allocator.free(chunk);
    @memset(chunk, 'x');
    for (0..10) |_| {
        mock.send(chunk);
        try world.settle();
    }
    mock.peer.limit_inbox(1000);
    for (0..3) |_| try here.send(dealer, &.{ "whole", chunk[0..3000] });
    try world.settle();
    const moved = try relocate(here, dealer, there);
    mock.peer.close();
    mock.deinit();
    try world.run(300);
    mock = .{ .peer = listener.accept().? };
    defer mock.deinit();
    try mock.handshake(&world, "DEALER");
    // The first one had been taken by the kernel.
    for (0..2) |_| try mock.expect_message(&.{ "whole", chunk[0..3000] });
    try mock.expect_nothing();
    try mock.send_message(&.{"answer"});
    try world.settle();
    try there.expect(moved, &.{"answer"});
}

test "a full queue is full after a move, too: each move would let one more message in" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owners = [_]*Owner{ try world.add(), try world.add() };
    var push = try owners[0].context.open(.push);
    owners[0].slot(push).socket.options.send_high_water_mark = 2;
    // Nobody listens there.
    _ = try owners[0].connect(push, .ipv4(.{ 127, 0, 0, 1 }, 5555));
    for (0..2) |_| try owners[0].send(push, &.{"queued"});
    for (0..4) |move| {
        const from = owners[move % 2];
        try testing.expectError(error.WouldBlock, from.send(push, &.{"one more"}));
        push = try relocate(from, push, owners[(move + 1) % 2]);
    }
    try testing.expectEqual(2, owners[0].context.unsent(owners[0].slot(push)));
}
