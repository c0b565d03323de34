//! Connections that come late, die and come back: what is queued is kept, what was sent in part is
//! sent again whole, limits hold to the message, and close waits as long as it was told to.

const std = @import("std");
const testing = std.testing;

const Address = @import("../io/address.zig").Address;
const contexts = @import("../context.zig");
const worlds = @import("world.zig");
const Mock = worlds.Mock;
const Owner = worlds.Owner;
const Peer = worlds.Peer;
const World = worlds.World;

const allocator = testing.allocator;
const address: Address = .ipv4(.{ 127, 0, 0, 1 }, 5555);

fn number_text(buffer: *[32]u8, number: usize) []const u8 {
    return std.fmt.bufPrint(buffer, "message {d}", .{number}) catch unreachable; // It is short.
}

/// The next connection that a raw listener got, with its handshake done.
fn accept(world: *World, listener: Peer, comptime socket_type: []const u8) !Mock {
    try world.settle();
    var mock: Mock = .{ .peer = listener.accept() orelse return error.NoConnection };
    errdefer mock.deinit();
    try mock.handshake(world, socket_type);
    return mock;
}

test "connect before bind: a client started before its server would stay alone" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    _ = try owner.connect(push, address);
    for (0..3) |i| {
        var buffer: [32]u8 = undefined;
        try owner.send(push, &.{number_text(&buffer, i)});
    }
    try world.run(10_000);
    const pull = try owner.open(.pull);
    _ = try owner.context.bind(pull, &address);
    try world.run(200);
    for (0..3) |i| {
        var buffer: [32]u8 = undefined;
        try owner.expect(pull, &.{number_text(&buffer, i)});
    }
    try owner.expect_none(pull);
}

test "a pause between attempts takes half to two intervals: too fast hammers, too slow waits" {
    var world: World = undefined;
    world.init(7, .{});
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    _ = try owner.connect(push, address);
    try world.run(10_000);
    var retries: u32 = 0;
    while (owner.slot(push).socket.monitor.next()) |event| {
        if (event.type != .connect_retried) continue;
        try testing.expect(event.value >= 50 and event.value < 200);
        try testing.expectEqual(.connection_refused, event.reason);
        retries += 1;
    }
    try testing.expect(retries >= 70 and retries <= 90);
}

test "with a maximum the pause doubles up to it, and starts over after a connection" {
    var world: World = undefined;
    world.init(8, .{});
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    owner.slot(push).socket.options.reconnect_interval_max_ms = 3000;
    _ = try owner.connect(push, address);
    try world.run(30_000);
    var expected: u32 = 100;
    for (0..8) |_| {
        const event = try owner.next_event(push, .connect_retried);
        try testing.expect(event.value >= @min(expected, 3000) / 2);
        try testing.expect(event.value <= @min(2 * expected, 3000));
        expected *= 2;
    }
    const listener = world.network.listen(&address);
    try world.run(3000);
    var mock = try accept(&world, listener, "PULL");
    defer mock.deinit();
    while (owner.slot(push).socket.monitor.next()) |_| {}
    mock.peer.close();
    try world.settle();
    try testing.expect((try owner.next_event(push, .connect_retried)).value < 200);
}

test "with interval -1 there is no second attempt: who said never means it" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    owner.slot(push).socket.options.reconnect_interval_ms = -1;
    _ = try owner.connect(push, address);
    try world.run(1000);
    const listener = world.network.listen(&address);
    try world.run(100_000);
    try testing.expectEqual(null, listener.accept());
    try testing.expectEqual(0, owner.context.timers.count);
}

test "an attempt that gets no answer ends at its timeout: it would hang for minutes" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    owner.slot(push).socket.options.connect_timeout_ms = 300;
    const listener = world.network.listen(&address);
    listener.endpoint.backlog_max = 0;
    _ = try owner.connect(push, address);
    try world.run(299);
    try testing.expectError(error.NoSuchEvent, owner.next_event(push, .connect_failed));
    try world.run(2);
    const failed = try owner.next_event(push, .connect_failed);
    try testing.expectEqual(.connection_timed_out, failed.reason);
    // The next one succeeds, and then the handshake has its own time.
    listener.endpoint.backlog_max = 10;
    try world.run(200);
    _ = try owner.next_event(push, .connected);
    try world.run(1000);
    var mock = try accept(&world, listener, "PULL");
    defer mock.deinit();
    _ = try owner.next_event(push, .handshake_succeeded);
}

test "one connection is reported once, with and without a handshake limit" {
    for ([_]u32{ 0, 1000 }) |limit_ms| {
        var world: World = undefined;
        world.init(1, .{});
        defer world.deinit();
        const owner = try world.add();
        const push = try owner.open(.push);
        owner.slot(push).socket.options.handshake_interval_ms = limit_ms;
        const listener = world.network.listen(&address);
        _ = try owner.connect(push, address);
        try world.settle();
        var mock: Mock = .{ .peer = listener.accept().? };
        defer mock.deinit();
        for (worlds.greeting) |byte| {
            mock.send(&.{byte});
            try world.settle();
        }
        _ = try owner.next_event(push, .connected);
        try testing.expectError(error.NoSuchEvent, owner.next_event(push, .connected));
    }
}

/// Sends numbered messages over connections that die at random moments. Every connection sees
/// whole messages in order and then perhaps a part of one; the next connection begins with that
/// one, whole, or, where its beginning is gone, with the one behind it.
fn check_dying_connections(seed: u64) !void {
    var world: World = undefined;
    world.init(seed, .shaky);
    defer world.deinit();
    const prng = &world.network.prng;
    const owner = try world.add();
    const push = try owner.open(.push);
    owner.slot(push).socket.options.reconnect_interval_ms = 1;
    const listener = world.network.listen(&address);
    _ = try owner.connect(push, address);
    var sent: usize = 0;
    var next: usize = 0;
    for (0..12) |_| {
        var mock = try accept(&world, listener, "PULL");
        defer mock.deinit();
        mock.peer.limit_inbox(@intCast(prng.range(1, 3000)));
        for (0..@intCast(prng.below(30))) |_| {
            try send_sized(owner, push, sent, prng.chance(1, 2));
            sent += 1;
            if (prng.chance(1, 4)) try world.settle();
            if (prng.chance(1, 4)) try mock.pump();
        }
        // Everything that the kernel took is seen, so that nothing is lost there.
        try world.settle();
        for (0..@intCast(prng.below(40))) |_| {
            try mock.pump();
            try world.settle();
        }
        mock.peer.limit_inbox(0);
        try mock.pump();
        while (true) {
            const lost = owner.record(push).dropped_disconnect;
            const number = try whole_message(&mock) orelse break;
            if (number != next) try testing.expect(number > next and number - next <= lost);
            next = number + 1;
        }
        mock.peer.close();
        try world.run(5);
    }
    var mock = try accept(&world, listener, "PULL");
    defer mock.deinit();
    for (0..1000) |_| {
        try mock.pump();
        try world.settle();
    }
    while (try whole_message(&mock)) |number| next = number + 1;
    try testing.expectEqual(0, mock.received.items.len);
    const lost = owner.record(push).dropped_disconnect;
    try testing.expect(next == sent or (sent - next <= lost));
    // Only a message of more than a segment can have lost its beginning.
    try testing.expect(lost <= 12);
}

fn send_sized(owner: *Owner, push: u32, number: usize, borrow: bool) !void {
    const sizes = [_]usize{ 0, 10, 100, 1600, 9000, 30_000, 80_000 };
    const size = sizes[(number *% 7919) % sizes.len];
    const payload = try allocator.alloc(u8, size);
    defer allocator.free(payload);
    @memset(payload, @truncate(number));
    var head: [8]u8 = undefined;
    std.mem.writeInt(u64, &head, number, .little);
    const parts: []const []const u8 = &.{ &head, payload, "end" };
    if (borrow) try owner.send_borrowed(push, parts) else try owner.send(push, parts);
    @memset(payload, 0xdd);
}

/// The number of the next message if it is there in full; null: it is not.
fn whole_message(mock: *Mock) !?usize {
    const kept = try allocator.dupe(u8, mock.received.items);
    defer allocator.free(kept);
    const head = try mock.next_frame(1);
    defer if (head) |it| allocator.free(it);
    const body = if (head == null) null else try mock.next_frame(1);
    defer if (body) |it| allocator.free(it);
    const end = if (body == null) null else try mock.next_frame(0);
    defer if (end) |it| allocator.free(it);
    if (end == null) {
        mock.received.clearRetainingCapacity();
        try mock.received.appendSlice(allocator, kept);
        return null;
    }
    const number = std.mem.readInt(u64, head.?[0..8], .little);
    try testing.expect(std.mem.allEqual(u8, body.?, @truncate(number)));
    try testing.expectEqualStrings("end", end.?);
    return @intCast(number);
}

test "connections that die at any byte lose no message and cut none: half a job would be done" {
    for (0..25) |seed| {
        errdefer std.debug.print("seed {d}\n", .{seed});
        try check_dying_connections(seed);
    }
}

test "half a message from a peer that died is taken back: it would be joined to the next one" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const pull = try owner.open(.pull);
    owner.slot(pull).socket.options.reconnect_interval_ms = 1;
    const listener = world.network.listen(&address);
    _ = try owner.connect(pull, address);
    const live_bytes = owner.live_bytes();
    for (0..100) |round| {
        var mock = try accept(&world, listener, "PUSH");
        defer mock.deinit();
        try mock.send_message(&.{ "whole", "message" });
        mock.send("\x01\x04half\x01\x07another\x00\x20cut");
        if (round % 3 == 0) mock.send("\x01");
        try world.settle();
        // Sometimes the whole one is handed out before its connection dies.
        if (round % 2 == 0) try owner.expect(pull, &.{ "whole", "message" });
        if (round % 5 == 0) try owner.context.resources.arena.spill(&owner.context.resources.slabs);
        mock.peer.close();
        try world.settle();
        if (round % 2 != 0) try owner.expect(pull, &.{ "whole", "message" });
        try owner.expect_none(pull);
        try world.run(5);
    }
    try testing.expect(owner.live_bytes() <= live_bytes + 4096);
}

test "messages handed out and not taken survive their connection: JavaScript would read garbage" {
    for (0..4) |variant| {
        var world: World = undefined;
        world.init(1, .{});
        defer world.deinit();
        const owner = try world.add();
        const pull = try owner.open(.pull);
        owner.slot(pull).socket.options.receive_high_water_mark = if (variant & 1 == 0) 2 else 1000;
        const listener = try owner.context.bind(pull, &address);
        var mock: Mock = try .dial(&world, address);
        defer mock.deinit();
        try mock.handshake(&world, "PUSH");
        var body: [100]u8 = @splat('a');
        for (0..2) |_| try mock.send_message(&.{&body});
        mock.send("\x01\x04half");
        try world.settle();
        // Spilled, handed out from the slab, and then the run's queue goes.
        try owner.context.resources.arena.spill(&owner.context.resources.slabs);
        try owner.context.fill(owner.slot(pull));
        try testing.expectEqual(2, owner.slot(pull).socket.ring.waiting());
        if (variant & 2 == 0) mock.peer.close() else {
            try testing.expect(owner.context.unbind(pull, listener, 0));
        }
        try world.settle();
        // Whoever gets that memory now writes into it.
        const slabs = &owner.context.resources.slabs;
        const block = try slabs.allocate(256);
        @memset(block, 0xdd);
        slabs.free(block);
        for (0..2) |_| try owner.expect(pull, &.{&body});
        try owner.expect_none(pull);
    }
}

fn fill_up(owner: *Owner, push: u32) !usize {
    var count: usize = 0;
    while (true) : (count += 1) {
        owner.send(push, &.{"0123456789"}) catch |failure| {
            try testing.expectEqual(error.WouldBlock, failure);
            return count;
        };
        if (count > 10_000) return error.NoLimit;
    }
}

test "the send high-water mark holds to the message, and opens again at half: nobody could plan" {
    for ([_]u32{ 1, 2, 3, 20 }) |mark| {
        var world: World = undefined;
        world.init(1, .{});
        defer world.deinit();
        const owner = try world.add();
        const push = try owner.open(.push);
        owner.slot(push).socket.options.send_high_water_mark = mark;
        const listener = world.network.listen(&address);
        // Nobody is there yet: the pipe takes as much as its mark says.
        _ = try owner.connect(push, address);
        try testing.expectEqual(mark, try fill_up(owner, push));
        owner.slot(push).socket.want(.{ .writable = true });
        try world.settle();
        var mock: Mock = .{ .peer = listener.accept().? };
        defer mock.deinit();
        // The handshake passes, and nothing behind it.
        mock.send(&worlds.greeting);
        try world.settle();
        mock.peer.limit_inbox(0);
        mock.send(comptime worlds.ready("PULL"));
        try world.settle();
        try mock.pump();
        try mock.expect_handshake();
        // Message by message: 12 bytes each.
        const low = (mark + 1) / 2;
        try testing.expectEqual(0, owner.ready.items.len);
        for (0..low) |sent| {
            try testing.expectEqual(0, owner.ready.items.len);
            try testing.expectError(error.WouldBlock, owner.send(push, &.{"x"}));
            mock.peer.limit_inbox(12);
            try world.settle();
            mock.peer.limit_inbox(0);
            try mock.pump();
            try testing.expectEqual((sent + 1) * 12, mock.received.items.len);
        }
        try world.settle();
        try testing.expectEqual(1, owner.ready.items.len);
        try testing.expectEqual(low, try fill_up(owner, push));
    }
}

test "a mark of 0 is no limit" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    owner.slot(push).socket.options.send_high_water_mark = 0;
    _ = try owner.connect(push, address);
    for (0..5000) |_| try owner.send(push, &.{"0123456789"});
    var sessions = owner.context.session_table.iterator();
    try testing.expectEqual(5000, sessions.next().?.value.pipe.send.messages);
}

test "a full receiver stops its sender and loses nothing: memory would grow without end" {
    for ([_]u32{ 1, 2, 10, 100 }) |mark| for (0..5) |seed| {
        var world: World = undefined;
        world.init(seed, .shaky);
        world.network.options.stream_bytes_max = 4096;
        defer world.deinit();
        const receiver = try world.add();
        const sender = try world.add();
        const pull = try receiver.open(.pull);
        receiver.slot(pull).socket.options.receive_high_water_mark = mark;
        _ = try receiver.context.bind(pull, &address);
        const push = try sender.open(.push);
        sender.slot(push).socket.options.send_high_water_mark = mark;
        _ = try sender.connect(push, address);
        try world.settle();
        var sent: usize = 0;
        var received: usize = 0;
        const payload: [900]u8 = @splat('m');
        for (0..200) |_| {
            while (true) {
                var buffer: [32]u8 = undefined;
                const head = number_text(&buffer, sent);
                sender.send(push, &.{ head, &payload }) catch break;
                sent += 1;
            }
            try world.settle();
            // Both marks, what was handed out, and what the network holds, twice.
            try testing.expect(sent - received <= 3 * mark + 20);
            try testing.expect(receiver.live_bytes() < 200 * 1024 + 2048 * mark);
            for (0..@intCast(world.network.prng.below(5))) |_| {
                if (received == sent) break;
                var buffer: [32]u8 = undefined;
                try receiver.expect(pull, &.{ number_text(&buffer, received), &payload });
                received += 1;
                try world.settle();
            }
        }
        while (received < sent) : (received += 1) {
            var buffer: [32]u8 = undefined;
            try receiver.expect(pull, &.{ number_text(&buffer, received), &payload });
            try world.settle();
        }
        try receiver.expect_none(pull);
    };
}

test "close with linger -1 sends everything first, however long it takes: queued jobs would go" {
    var world: World = undefined;
    world.init(1, .shaky);
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    _ = try owner.connect(push, address);
    for (0..100) |i| {
        var buffer: [32]u8 = undefined;
        try owner.send(push, &.{number_text(&buffer, i)});
    }
    owner.context.close(push, -1);
    try testing.expectEqual(null, owner.context.get(push));
    try world.run(60_000);
    const other = try world.add();
    const pull = try other.open(.pull);
    _ = try other.context.bind(pull, &address);
    try world.run(500);
    for (0..100) |i| {
        var buffer: [32]u8 = undefined;
        try other.expect(pull, &.{number_text(&buffer, i)});
    }
    try testing.expectEqual(0, owner.context.slots.count());
    try testing.expectEqual(0, owner.context.session_table.count());
    try testing.expectEqual(0, owner.live_bytes());
}

test "whoever closes a socket learns how many messages were lost with it, once it has ended" {
    const Case = struct { linger_ms: i32, connected: bool, dies: bool = false, lost: u32 };
    const cases = [_]Case{
        .{ .linger_ms = 0, .connected = false, .lost = 5 },
        .{ .linger_ms = 250, .connected = false, .lost = 5 },
        .{ .linger_ms = 250, .connected = true, .lost = 0 },
        // The peer takes one message and a half: what the connection has taken is gone with it.
        .{ .linger_ms = 250, .connected = true, .dies = true, .lost = 4 },
    };
    for (cases) |case| {
        var world: World = undefined;
        world.init(1, .{});
        defer world.deinit();
        const owner = try world.add();
        const push = try owner.open(.push);
        const listener = if (case.connected) world.network.listen(&address) else null;
        _ = try owner.connect(push, address);
        var mock: ?Mock = if (listener) |it| try accept(&world, it, "PULL") else null;
        defer if (mock) |*it| it.deinit();
        if (case.dies) mock.?.peer.limit_inbox(18);
        for (0..5) |_| try owner.send(push, &.{"0123456789"});
        if (case.dies) owner.context.flush();
        const now = owner.context.close_asking(owner.slot(push), case.linger_ms);
        if (case.dies) {
            mock.?.peer.close();
            listener.?.close();
        }
        // A handle may not be used again before its end was told.
        try testing.expect(owner.context.slots.get(push) != null);
        if (now != null) try testing.expect(owner.context.forget(push));
        try world.run(300);
        try testing.expectEqual(0, owner.context.slots.count());
        if (now) |lost| {
            try testing.expectEqual(case.lost, lost);
            try testing.expectEqual(0, owner.closed.items.len);
        } else {
            try testing.expectEqual(1, owner.closed.items.len);
            const event = owner.closed.items[0];
            try testing.expectEqual(push, event.handle);
            try testing.expectEqual(case.lost, event.a);
        }
    }
}

test "a context that ends before it has told of its sockets' ends frees them: memory would leak" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    _ = try owner.connect(push, address);
    try owner.send(push, &.{"never"});
    try testing.expectEqual(null, owner.context.close_asking(owner.slot(push), 10));
    const until = world.network.now_ns + 20 * 1_000_000;
    while (world.network.advance(until)) _ = owner.context.tick();
    try testing.expect(owner.context.has_events());
}

test "close with linger 0 ends at once, with a time at that time: a process would not exit" {
    for ([_]i32{ 0, 1, 250 }) |linger_ms| for ([_]bool{ false, true }) |connected| {
        var world: World = undefined;
        world.init(1, .{});
        defer world.deinit();
        const owner = try world.add();
        const push = try owner.open(.push);
        const listener = if (connected) world.network.listen(&address) else null;
        _ = try owner.connect(push, address);
        try world.settle();
        var mock: ?Mock = null;
        defer if (mock) |*it| it.deinit();
        if (listener) |it| {
            mock = try accept(&world, it, "PULL");
            mock.?.peer.limit_inbox(5);
        }
        for (0..5) |_| try owner.send(push, &.{"0123456789"});
        owner.context.close(push, linger_ms);
        if (linger_ms > 0) {
            try world.run(@intCast(linger_ms - 1));
            try testing.expectEqual(1, owner.context.slots.count());
            try world.run(2);
        }
        try testing.expectEqual(0, owner.context.slots.count());
        try testing.expectEqual(0, owner.context.session_table.count());
        try testing.expectEqual(0, owner.context.timers.count);
        if (mock) |it| {
            try world.settle();
            try testing.expect(it.peer.ended());
        }
    };
}

test "disconnect sends what is queued for as long as it lingers, in every state" {
    for ([_]i32{ 0, 250, -1 }) |linger_ms| for ([_]bool{ false, true }) |connected| {
        var world: World = undefined;
        world.init(1, .{});
        defer world.deinit();
        const owner = try world.add();
        const push = try owner.open(.push);
        const listener = if (connected) world.network.listen(&address) else null;
        const endpoint = try owner.connect(push, address);
        try world.settle();
        var mock: ?Mock = null;
        defer if (mock) |*it| it.deinit();
        if (listener) |it| {
            mock = try accept(&world, it, "PULL");
            mock.?.peer.limit_inbox(5);
        }
        for (0..5) |_| try owner.send(push, &.{"0123456789"});
        owner.context.flush();
        try testing.expect(owner.context.disconnect(push, endpoint, linger_ms));
        try testing.expect(!owner.context.disconnect(push, endpoint, linger_ms));
        // Nobody is there for new ones.
        try testing.expectError(error.WouldBlock, owner.send(push, &.{"new"}));
        try world.run(249);
        const lingers = linger_ms != 0;
        try testing.expectEqual(@intFromBool(lingers), owner.context.session_table.count());
        try world.run(2000);
        const for_ever = linger_ms < 0;
        try testing.expectEqual(@intFromBool(for_ever), owner.context.session_table.count());
        if (!for_ever) {
            try testing.expectEqual(5, owner.record(push).dropped_disconnect);
            try testing.expectEqual(0, owner.live_bytes());
        } else if (mock) |*it| {
            it.peer.limit_inbox(1000);
            try it.pump();
            try world.settle();
            for (0..5) |_| try it.expect_message(&.{"0123456789"});
            try testing.expectEqual(0, owner.context.session_table.count());
        }
    };
}

test "a disconnected endpoint that still sends gets no new messages when it comes back" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    const endpoint = try owner.connect(push, address);
    try owner.send(push, &.{"old"});
    try testing.expect(owner.context.disconnect(push, endpoint, -1));
    const listener = world.network.listen(&address);
    try world.run(300);
    var mock: Mock = .{ .peer = listener.accept().? };
    defer mock.deinit();
    mock.send(&worlds.greeting);
    try world.settle();
    mock.peer.limit_inbox(0);
    mock.send(comptime worlds.ready("PULL"));
    try world.settle();
    try testing.expectEqual(1, owner.context.session_table.count());
    try testing.expectError(error.WouldBlock, owner.send(push, &.{"new"}));
    mock.peer.limit_inbox(1000);
    try world.settle();
    try mock.pump();
    try mock.expect_handshake();
    try mock.expect_message(&.{"old"});
    try mock.expect_nothing();
    try testing.expect(mock.peer.ended());
}

test "what a disconnected endpoint still sends us is dropped: it would reach a closed door" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const req = try owner.open(.req);
    const listener = world.network.listen(&address);
    const endpoint = try owner.connect(req, address);
    var mock = try accept(&world, listener, "REP");
    defer mock.deinit();
    mock.peer.limit_inbox(0);
    try owner.send(req, &.{"question"});
    try world.settle();
    try testing.expect(owner.context.disconnect(req, endpoint, -1));
    try mock.send_message(&.{ "", "answer" });
    try world.settle();
    try owner.expect_none(req);
    mock.peer.limit_inbox(1000);
    try world.settle();
    try mock.expect_message(&.{ "", "question" });
    try testing.expectEqual(0, owner.context.session_table.count());
}

test "a pause shorter than its confirmation leaves one watch: the peer would not see us go" {
    var world: World = undefined;
    world.init(1, .{ .late_cancel = 1000, .latency_ns_max = 1_000_000 });
    defer world.deinit();
    const owner = try world.add();
    const pull = try owner.open(.pull);
    owner.slot(pull).socket.options.receive_high_water_mark = 1;
    const listener = try owner.context.bind(pull, &address);
    var mock: Mock = try .dial(&world, address);
    defer mock.deinit();
    try mock.handshake(&world, "PUSH");
    for (0..50) |_| {
        // Full, paused, taken, resumed, and only then the end of the first watch.
        try mock.send_message(&.{"x"});
        _ = try owner.turn();
        try owner.expect(pull, &.{"x"});
        _ = try owner.turn();
        _ = world.network.advance(null);
        _ = try owner.turn();
    }
    try world.settle();
    try testing.expect(mock.peer.endpoint.peer.?.watch_count() <= 1);
    try testing.expect(owner.context.unbind(pull, listener, 0));
    try world.settle();
    try testing.expect(mock.peer.ended());
}

test "a peer that leaves does not take its unread messages with it: they were delivered" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const pull = try owner.open(.pull);
    const listener = try owner.context.bind(pull, &address);
    for (0..3) |round| {
        var mock: Mock = try .dial(&world, address);
        defer mock.deinit();
        try mock.handshake(&world, "PUSH");
        for (0..10) |i| {
            var buffer: [32]u8 = undefined;
            try mock.send_message(&.{number_text(&buffer, i)});
        }
        mock.send("\x01\x01x");
        try world.settle();
        if (round == 2) {
            try testing.expect(owner.context.unbind(pull, listener, 0));
        } else mock.peer.close();
        try world.settle();
        for (0..10) |i| {
            var buffer: [32]u8 = undefined;
            try owner.expect(pull, &.{number_text(&buffer, i)});
        }
        try owner.expect_none(pull);
        try testing.expectEqual(0, owner.context.session_table.count());
        try testing.expectEqual(0, owner.live_bytes());
    }
    try testing.expectError(error.ConnectionRefused, world.network.dial(&address));
}

test "descriptors that ran out are waited for: accept would spin or stop for ever" {
    var world: World = undefined;
    world.init(1, .{ .descriptors_max = 4 });
    defer world.deinit();
    const owner = try world.add();
    const pull = try owner.open(.pull);
    _ = try owner.context.bind(pull, &address);
    var mocks: [5]Mock = undefined;
    for (&mocks) |*mock| mock.* = try .dial(&world, address);
    defer for (&mocks) |*mock| mock.deinit();
    try world.settle();
    _ = try owner.next_event(pull, .accept_failed);
    const turns = owner.turns;
    try world.run(10_000);
    try testing.expect(owner.turns - turns < 1000);
    for (mocks[0..3]) |*mock| mock.peer.close();
    try world.run(200);
    for (mocks[3..]) |*mock| {
        try mock.handshake(&world, "PUSH");
        try mock.send_message(&.{"late"});
        try world.settle();
        try owner.expect(pull, &.{"late"});
    }
}

test "metadata of a handshake that does not end is given back: each attempt would cost memory" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const pull = try owner.open(.pull);
    const options = owner.slot(pull).socket.options;
    const property = "\x06X-Name\x00\x00\x00\x05value";
    options.metadata_bytes = property.len;
    @memcpy(options.metadata_buffer[0..property.len], property);
    _ = try owner.context.bind(pull, &address);
    const live_bytes = owner.live_bytes();
    for ([_]bool{ true, false }) |ends| {
        const peer = try world.network.dial(&address);
        try world.settle();
        try testing.expect(owner.live_bytes() > live_bytes);
        // What is set meanwhile is for the next one.
        options.metadata_bytes = 0;
        var mock: Mock = .{ .peer = peer };
        if (ends) try mock.handshake(&world, "PUSH");
        options.metadata_bytes = property.len;
        mock.peer.close();
        mock.deinit();
        try world.settle();
        try testing.expectEqual(live_bytes, owner.live_bytes());
    }
}

test "with interval -1 a lost connection is the last, and the socket goes on without it" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    owner.slot(push).socket.options.reconnect_interval_ms = -1;
    const listener = world.network.listen(&address);
    _ = try owner.connect(push, address);
    var mock = try accept(&world, listener, "PULL");
    defer mock.deinit();
    owner.slot(push).socket.want(.{ .writable = true, .connected = true });
    mock.peer.close();
    try world.settle();
    const stopped = try owner.next_event(push, .connect_stopped);
    try testing.expectEqual(.peer_closed, stopped.reason);
    try testing.expectEqual(0, owner.context.session_table.count());
    // Who never wanted another connection makes one by hand: that is no failure.
    try testing.expectError(error.WouldBlock, owner.send(push, &.{"x"}));
    owner.slot(push).socket.options.reconnect_interval_ms = 100;
    _ = try owner.connect(push, address);
    var next = try accept(&world, listener, "PULL");
    defer next.deinit();
    try owner.send(push, &.{"y"});
    try world.settle();
    try next.expect_message(&.{"y"});
}
