//! Sockets that move to another context in the middle of their traffic, as they do when a proxy
//! takes them over: no peer notices, and no message is lost, doubled or out of order.

const std = @import("std");
const testing = std.testing;

const Prng = @import("../stdx/prng.zig").Prng;
const pumps = @import("../pump.zig");
const relocation = @import("../relocation.zig");
const Luggage = relocation.Luggage;
const worlds = @import("world.zig");
const Context = worlds.Context;
const Options = worlds.Options;
const Owner = worlds.Owner;
const World = worlds.World;

const Moved = struct {
    pub fn note(_: Moved, _: u32, _: u32) !void {}
};

fn relocate(from: *Owner, handle: u32, to: *Owner) !u32 {
    var luggage = try relocation.take(&from.context, testing.allocator, handle);
    defer luggage.deinit(&to.io);
    for (luggage.listeners.items) |*it| it.fd = from.io.give(it.fd, &to.io);
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
