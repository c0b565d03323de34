//! inproc inside one context and between two: what is sent arrives once and in order, the marks of
//! both sides add up, and whoever leaves is missed. Threads are in net/inproc.zig's tests.

const std = @import("std");
const testing = std.testing;

const inproc = @import("../net/inproc.zig");
const Prng = @import("../stdx/prng.zig").Prng;
const shared_blocks = @import("../stdx/shared_blocks.zig");
const sockets = @import("../socket/socket.zig");
const worlds = @import("world.zig");
const Owner = worlds.Owner;
const World = worlds.World;

/// Two sockets, of one context or of two, and what must be left when they are gone.
const Duo = struct {
    world: World,
    here: *Owner,
    there: *Owner,
    links: u64,
    bytes: u64,

    fn init(duo: *Duo, contexts: u32) !void {
        duo.links = inproc.live();
        duo.bytes = shared_blocks.live();
        duo.world.init(1, .{});
        duo.here = try duo.world.add();
        duo.there = if (contexts == 1) duo.here else try duo.world.add();
    }

    fn deinit(duo: *Duo) void {
        duo.world.deinit();
        std.debug.assert(duo.links == inproc.live());
        std.debug.assert(duo.bytes == shared_blocks.live());
    }

    fn open(
        owner: *Owner,
        socket_type: sockets.Type,
        send_mark: u32,
        receive_mark: u32,
    ) !u32 {
        const socket = try owner.open(socket_type);
        const options = owner.slot(socket).socket.options;
        options.send_high_water_mark = send_mark;
        options.receive_high_water_mark = receive_mark;
        return socket;
    }

    /// Sends until nothing more is taken; returns how many were.
    fn fill_up(owner: *Owner, socket: u32) !u32 {
        for (0..10_000) |count| {
            owner.send(socket, &.{"x"}) catch |failure| {
                try testing.expectEqual(error.WouldBlock, failure);
                return @intCast(count);
            };
        }
        return 10_000;
    }
};

test "bind or connect first, one context or two: every message arrives in order" {
    for ([_]u32{ 1, 2 }) |contexts| for ([_]bool{ true, false }) |bind_first| {
        var duo: Duo = undefined;
        try duo.init(contexts);
        defer duo.deinit();
        const push = try duo.here.open(.push);
        const pull = try duo.there.open(.pull);
        if (bind_first) _ = try duo.there.context.bind_inproc(pull, "order");
        _ = try duo.here.context.connect_inproc(push, "order", "");
        try duo.here.send(push, &.{ "early", "" });
        if (!bind_first) _ = try duo.there.context.bind_inproc(pull, "order");
        var number: [4]u8 = undefined;
        for (0..600) |i| {
            std.mem.writeInt(u32, &number, @intCast(i), .little);
            try duo.here.send(push, &.{ &number, "second" });
        }
        try duo.world.settle();
        try duo.there.expect(pull, &.{ "early", "" });
        for (0..600) |i| {
            std.mem.writeInt(u32, &number, @intCast(i), .little);
            try duo.there.expect(pull, &.{ &number, "second" });
        }
        try duo.there.expect_none(pull);
    };
}

test "one turn is enough for a thread that talks to itself, without a wake-up" {
    var duo: Duo = undefined;
    try duo.init(1);
    defer duo.deinit();
    const owner = duo.here;
    const pull = try owner.open(.pull);
    const push = try owner.open(.push);
    _ = try owner.context.bind_inproc(pull, "turn");
    _ = try owner.context.connect_inproc(push, "turn", "");
    try duo.world.settle();
    for (0..3) |_| {
        try owner.send(push, &.{"x"});
        _ = try owner.turn();
        try owner.expect(pull, &.{"x"});
        try testing.expect(!owner.io.woken);
    }
    // A flush alone leaves mail, which asks for a turn.
    try owner.send(push, &.{"y"});
    owner.context.flush();
    try testing.expect(owner.context.has_mail());
    try testing.expect(!owner.io.woken);
    const status = owner.context.wait(null);
    try testing.expect(!status.more);
    try owner.expect(pull, &.{"y"});
}

test "a thread that fills its own queue is told to take a turn: it would wait for itself for ever" {
    for ([_]u32{ 1, 3, 100 }) |mark| {
        var duo: Duo = undefined;
        try duo.init(1);
        defer duo.deinit();
        const owner = duo.here;
        const pull = try Duo.open(owner, .pull, 1, mark);
        const push = try Duo.open(owner, .push, mark, 1);
        _ = try owner.context.bind_inproc(pull, "itself");
        _ = try owner.context.connect_inproc(push, "itself", "");
        try duo.world.settle();
        owner.slot(pull).socket.want(.{ .readable = true });
        try testing.expectEqual(2 * mark, try Duo.fill_up(owner, push));
        owner.context.flush();
        owner.slot(push).socket.want(.{ .writable = true });
        try testing.expect(owner.context.has_mail());
        _ = try owner.turn();
        try testing.expect(!owner.context.has_mail());
        try testing.expectEqual(1, owner.ready.items.len);
        while (owner.ready.items.len == 1) {
            try owner.expect(pull, &.{"x"});
            _ = try owner.turn();
        }
    }
}

test "high-water marks add up, none on one side is none: libzmq's test_hwm" {
    const Case = struct { send: u32, receive: u32, connect_first: bool, expected: u32 };
    for ([_]Case{
        .{ .send = 2, .receive = 3, .connect_first = false, .expected = 5 },
        .{ .send = 2, .receive = 3, .connect_first = true, .expected = 5 },
        .{ .send = 1, .receive = 1, .connect_first = false, .expected = 2 },
        .{ .send = 0, .receive = 3, .connect_first = false, .expected = 10_000 },
        .{ .send = 2, .receive = 0, .connect_first = true, .expected = 10_000 },
        .{ .send = 1000, .receive = 1000, .connect_first = true, .expected = 2000 },
    }) |case| {
        var duo: Duo = undefined;
        try duo.init(2);
        defer duo.deinit();
        const push = try Duo.open(duo.here, .push, case.send, 7);
        const pull = try Duo.open(duo.there, .pull, 7, case.receive);
        if (!case.connect_first) _ = try duo.there.context.bind_inproc(pull, "marks");
        _ = try duo.here.context.connect_inproc(push, "marks", "");
        if (case.connect_first) _ = try duo.there.context.bind_inproc(pull, "marks");
        try duo.world.settle();
        try testing.expectEqual(case.expected, try Duo.fill_up(duo.here, push));
        // What nobody reads is not acknowledged, wherever it is.
        try duo.world.settle();
        try testing.expectError(error.WouldBlock, if (case.expected == 10_000)
            error.WouldBlock
        else
            duo.here.send(push, &.{"x"}));
        for (0..case.expected) |_| try duo.there.expect(pull, &.{"x"});
        try duo.world.settle();
        try duo.here.send(push, &.{"again"});
        try duo.world.settle();
        try duo.there.expect(pull, &.{"again"});
    }
}

test "before the bind the connecter's own mark counts, and a full pipe goes on with the bind" {
    var duo: Duo = undefined;
    try duo.init(2);
    defer duo.deinit();
    const push = try Duo.open(duo.here, .push, 4, 1);
    const pull = try Duo.open(duo.there, .pull, 1, 6);
    _ = try duo.here.context.connect_inproc(push, "own", "");
    try testing.expectEqual(4, try Duo.fill_up(duo.here, push));
    _ = try duo.there.context.bind_inproc(pull, "own");
    try duo.world.settle();
    try testing.expectEqual(6, try Duo.fill_up(duo.here, push));
}

test "a full queue opens when half of it has been read, not after each message" {
    var duo: Duo = undefined;
    try duo.init(2);
    defer duo.deinit();
    const push = try Duo.open(duo.here, .push, 19, 1);
    // The ring takes one message at a time: what it holds counts as read.
    const pull = try Duo.open(duo.there, .pull, 1, 1);
    _ = try duo.there.context.bind_inproc(pull, "half");
    _ = try duo.here.context.connect_inproc(push, "half", "");
    try duo.world.settle();
    try testing.expectEqual(20, try Duo.fill_up(duo.here, push));
    try duo.world.settle();
    for (0..9) |_| try duo.there.expect(pull, &.{"x"});
    try duo.world.settle();
    try testing.expectError(error.WouldBlock, duo.here.send(push, &.{"x"}));
    try duo.there.expect(pull, &.{"x"});
    try duo.world.settle();
    try testing.expectEqual(10, try Duo.fill_up(duo.here, push));
}

test "marks that are changed count for the link that is there, on both sides" {
    var duo: Duo = undefined;
    try duo.init(2);
    defer duo.deinit();
    const push = try Duo.open(duo.here, .push, 1, 1);
    const pull = try Duo.open(duo.there, .pull, 1, 1);
    _ = try duo.there.context.bind_inproc(pull, "change");
    _ = try duo.here.context.connect_inproc(push, "change", "");
    try duo.world.settle();
    duo.here.slot(push).socket.options.send_high_water_mark = 5;
    duo.here.context.limits_changed(duo.here.slot(push));
    duo.there.slot(pull).socket.options.receive_high_water_mark = 2;
    duo.there.context.limits_changed(duo.there.slot(pull));
    try duo.world.settle();
    try testing.expectEqual(7, try Duo.fill_up(duo.here, push));
}

test "marks that are changed before there is a link count, too: a sender would wait for ever" {
    var duo: Duo = undefined;
    try duo.init(2);
    defer duo.deinit();
    const push = try Duo.open(duo.here, .push, 1, 1);
    const pull = try Duo.open(duo.there, .pull, 1, 1);
    _ = try duo.here.context.connect_inproc(push, "before", "");
    try testing.expectEqual(1, try Duo.fill_up(duo.here, push));
    duo.here.slot(push).socket.options.send_high_water_mark = 5;
    duo.here.context.limits_changed(duo.here.slot(push));
    try testing.expectEqual(4, try Duo.fill_up(duo.here, push));
    _ = try duo.there.context.bind_inproc(pull, "before");
    try duo.world.settle();
    duo.there.slot(pull).socket.options.receive_high_water_mark = 7;
    duo.there.context.limits_changed(duo.there.slot(pull));
    const late = try Duo.open(duo.here, .push, 2, 1);
    _ = try duo.here.context.connect_inproc(late, "before", "");
    try duo.world.settle();
    try testing.expectEqual(9, try Duo.fill_up(duo.here, late));
}

test "without limits it is known what has been read: the count of the rest would overflow" {
    var duo: Duo = undefined;
    try duo.init(2);
    defer duo.deinit();
    const push = try Duo.open(duo.here, .push, 0, 1);
    const pull = try Duo.open(duo.there, .pull, 1, 0);
    _ = try duo.there.context.bind_inproc(pull, "no limits");
    _ = try duo.here.context.connect_inproc(push, "no limits", "");
    try duo.world.settle();
    for (0..3000) |_| {
        try duo.here.send(push, &.{"x"});
        try duo.world.settle();
        try duo.there.expect(pull, &.{"x"});
    }
    const pipe = &duo.here.slot(push).sessions.first().?.pipe;
    try testing.expect(pipe.handed_over < 1000);
}

test "what a peer sent is read after it left, and a later bind of the name is found" {
    var duo: Duo = undefined;
    try duo.init(2);
    defer duo.deinit();
    const pull = try duo.here.open(.pull);
    const first = try duo.there.open(.push);
    _ = try duo.there.context.bind_inproc(first, "left");
    _ = try duo.here.context.connect_inproc(pull, "left", "");
    try duo.world.settle();
    for (0..5) |_| try duo.there.send(first, &.{ "last", "words" });
    try duo.there.send(first, &.{"and"});
    duo.there.context.close(first, 0);
    const second = try duo.there.open(.push);
    _ = try duo.there.context.bind_inproc(second, "left");
    try duo.world.settle();
    for (0..5) |_| try duo.here.expect(pull, &.{ "last", "words" });
    try duo.here.expect(pull, &.{"and"});
    try duo.here.expect_ended(pull, .peer_closed);
    try duo.world.run(200);
    try duo.there.send(second, &.{"new"});
    try duo.world.settle();
    try duo.here.expect(pull, &.{"new"});
    try testing.expectEqual(1, duo.here.record(pull).connections);
}

test "conflate keeps the newest message, whichever side asks for it, and stops nobody" {
    for ([_]bool{ true, false }) |sender| {
        var duo: Duo = undefined;
        try duo.init(2);
        defer duo.deinit();
        const push = try Duo.open(duo.here, .push, 5, 1);
        const pull = try Duo.open(duo.there, .pull, 1, 5);
        const options = if (sender) duo.here.slot(push) else duo.there.slot(pull);
        options.socket.options.conflate = 1;
        _ = try duo.there.context.bind_inproc(pull, "newest");
        _ = try duo.here.context.connect_inproc(push, "newest", "");
        try duo.world.settle();
        var number: [4]u8 = undefined;
        for (0..100) |i| {
            std.mem.writeInt(u32, &number, @intCast(i), .little);
            try duo.here.send(push, &.{&number});
            if (!sender or i == 99) try duo.world.settle();
        }
        try duo.there.expect(pull, &.{&number});
        try duo.there.expect_none(pull);
    }
}

test "conflate: a reader that does not come has few messages waiting, and gets the newest" {
    for ([_]bool{ true, false }) |both| {
        var duo: Duo = undefined;
        try duo.init(2);
        defer duo.deinit();
        const push = try duo.here.open(.push);
        const pull = try Duo.open(duo.there, .pull, 1, 5);
        duo.here.slot(push).socket.options.conflate = 1;
        duo.there.slot(pull).socket.options.conflate = @intFromBool(both);
        _ = try duo.there.context.bind_inproc(pull, "absent");
        _ = try duo.here.context.connect_inproc(push, "absent", "");
        try duo.world.settle();
        var payload: [1000]u8 = @splat(0);
        for (0..2000) |i| {
            std.mem.writeInt(u32, payload[0..4], @intCast(i), .little);
            try duo.here.send(push, &.{&payload});
            _ = try duo.here.turn();
        }
        try testing.expect(shared_blocks.live() < duo.bytes + 200_000);
        var last: u32 = 0;
        for (0..20) |_| {
            try duo.world.settle();
            var message = (try duo.there.take(pull)) orelse break;
            defer message.deinit();
            const number = std.mem.readInt(u32, message.parts.items[0][0..4], .little);
            try testing.expect(number >= last);
            last = number;
        }
        try testing.expectEqual(1999, last);
        const lost = duo.here.record(push).dropped_conflated +
            duo.there.record(pull).dropped_conflated;
        const received = duo.there.record(pull).messages_received;
        try testing.expectEqual(2000, received + lost);
        // What waits for its turn goes before the end.
        for (0..20) |_| {
            try duo.here.send(push, &.{"last"});
            _ = try duo.here.turn();
        }
        duo.here.context.close(push, -1);
        for (0..20) |_| {
            try duo.world.settle();
            var message = (try duo.there.take(pull)) orelse break;
            message.deinit();
        }
        try testing.expectEqual(0, duo.here.context.session_table.count());
    }
}

test "a PUB that conflates over inproc keeps every subscription: most of them were lost" {
    var duo: Duo = undefined;
    try duo.init(2);
    defer duo.deinit();
    const publisher = try duo.here.open(.@"pub");
    duo.here.slot(publisher).socket.options.conflate = 1;
    const subscriber = try duo.there.open(.sub);
    var topic: [4]u8 = undefined;
    for (0..3000) |i| {
        std.mem.writeInt(u32, &topic, @intCast(i), .big);
        try duo.there.slot(subscriber).socket.subscribe(&topic, true);
    }
    _ = try duo.here.context.bind_inproc(publisher, "topics");
    _ = try duo.there.context.connect_inproc(subscriber, "topics", "");
    try duo.world.settle();
    try testing.expectEqual(3000, duo.here.record(publisher).topics);
}

test "a queue survives its socket until the name is bound, and unbind keeps connections" {
    var duo: Duo = undefined;
    try duo.init(2);
    defer duo.deinit();
    const early = try duo.here.open(.push);
    _ = try duo.here.context.connect_inproc(early, "unbound", "");
    for (0..3) |_| try duo.here.send(early, &.{"kept"});
    duo.here.context.close(early, -1);
    const pull = try duo.there.open(.pull);
    const listener = try duo.there.context.bind_inproc(pull, "unbound");
    try duo.world.settle();
    for (0..3) |_| try duo.there.expect(pull, &.{"kept"});
    try testing.expectEqual(0, duo.here.context.session_table.count());

    const late = try duo.here.open(.push);
    _ = try duo.here.context.connect_inproc(late, "unbound", "");
    // Not even taken by its listener yet.
    try testing.expect(duo.there.context.unbind(pull, listener, 0));
    const other = try duo.here.open(.pull);
    _ = try duo.here.context.bind_inproc(other, "unbound");
    try duo.here.send(late, &.{"stays"});
    try duo.world.settle();
    try duo.there.expect(pull, &.{"stays"});
    const again = duo.there.context.bind_inproc(pull, "unbound");
    try testing.expectError(error.AddressInUse, again);
}

test "a connect that was not taken yet is refused by close: it would send to nobody for ever" {
    var duo: Duo = undefined;
    try duo.init(2);
    defer duo.deinit();
    const pull = try duo.there.open(.pull);
    const push = try duo.here.open(.push);
    _ = try duo.there.context.bind_inproc(pull, "refused");
    _ = try duo.here.context.connect_inproc(push, "refused", "");
    duo.there.context.close(pull, 0);
    try testing.expect(!duo.there.context.has_mail());
    _ = try duo.here.turn();
    try duo.here.expect_ended(push, .peer_closed);
}

test "sockets that have nothing to say to each other are told so" {
    var duo: Duo = undefined;
    try duo.init(2);
    defer duo.deinit();
    const rep = try duo.there.open(.rep);
    const push = try duo.here.open(.push);
    _ = try duo.there.context.bind_inproc(rep, "type");
    _ = try duo.here.context.connect_inproc(push, "type", "");
    try duo.world.settle();
    for ([_]*Owner{ duo.here, duo.there }, [_]u32{ push, rep }) |owner, socket| {
        const failed = try owner.next_event(socket, .handshake_failed_protocol);
        try testing.expectEqual(.socket_type_mismatch, failed.reason);
        try testing.expectEqual(0, owner.record(socket).connections);
    }
}

test "a request and its reply, with parts of every size, and events as with a network" {
    var duo: Duo = undefined;
    try duo.init(2);
    defer duo.deinit();
    const rep = try duo.there.open(.rep);
    const req = try duo.here.open(.req);
    _ = try duo.here.context.connect_inproc(req, "bounce", "");
    _ = try duo.there.context.bind_inproc(rep, "bounce");
    const large = try testing.allocator.alloc(u8, 300_000);
    defer testing.allocator.free(large);
    for (large, 0..) |*byte, i| byte.* = @truncate(i *% 31);
    for ([_]usize{ 0, 1, 255, 256, 1536, 33_000, 65_536, 300_000 }) |size| {
        const part = large[0..size];
        try duo.here.send_borrowed(req, &.{ part, "tail" });
        try duo.world.settle();
        try duo.there.expect(rep, &.{ part, "tail" });
        try duo.there.send_borrowed(rep, &.{ "head", part });
        try duo.world.settle();
        try duo.here.expect(req, &.{ "head", part });
    }
    _ = try duo.here.next_event(req, .connected);
    _ = try duo.here.next_event(req, .handshake_succeeded);
    _ = try duo.there.next_event(rep, .accepted);
    duo.here.context.close(req, 0);
    try duo.world.settle();
    try duo.there.expect_ended(rep, .peer_closed);
}

/// PUSH sockets and one PULL; messages carry their sender's number and their own.
const Life = struct {
    duo: Duo,
    prng: Prng,
    pull: u32,
    pushes: [3]?u32 = @splat(null),
    /// Which socket it is, in the order in which they were opened: the next one may overtake it.
    numbers: [3]u32 = @splat(0),
    opened: u32 = 0,
    sent: [sockets_max]u32 = @splat(0),
    taken: [sockets_max]u32 = @splat(0),
    payload: [70_000]u8 = undefined,

    const sockets_max = 100;

    fn step(life: *Life) !void {
        const index: u32 = @intCast(life.prng.below(life.pushes.len));
        const here = life.duo.here;
        const Action = enum { send, half, flush, take, turn, close, memory };
        switch (life.prng.weighted(Action, .{
            .send = 20,
            .half = 2,
            .flush = 8,
            .take = 15,
            .turn = 5,
            .close = 1,
            .memory = 1,
        })) {
            .send => for (0..@intCast(1 + life.prng.below(30))) |_| try life.send(index),
            // Its other parts follow: no flush in between may take half of it.
            .half => {
                const socket = life.pushes[index] orelse return;
                const slot = here.slot(socket);
                if (!slot.socket.writable()) return;
                here.context.send(slot, &life.label(index), true, false) catch return;
                here.context.flush();
                here.context.send(slot, "rest", false, false) catch return;
                life.sent[life.numbers[index]] += 1;
            },
            .flush => here.context.flush(),
            .take => try life.take(40),
            .turn => try life.duo.world.settle(),
            .close => {
                const socket = life.pushes[index] orelse {
                    life.numbers[index] = life.opened;
                    life.opened += 1;
                    life.pushes[index] = try here.context.open(.push);
                    _ = try here.context.connect_inproc(life.pushes[index].?, "life", "");
                    return;
                };
                here.context.close(socket, -1);
                life.pushes[index] = null;
            },
            .memory => {
                here.context.resources.slabs.fail_after = life.prng.below(4);
                try life.send(index);
                here.context.resources.slabs.fail_after = null;
            },
        }
    }

    fn label(life: *const Life, index: u32) [8]u8 {
        var bytes: [8]u8 = undefined;
        const number = life.numbers[index];
        std.mem.writeInt(u32, bytes[0..4], number, .little);
        std.mem.writeInt(u32, bytes[4..8], life.sent[number], .little);
        return bytes;
    }

    fn send(life: *Life, index: u32) !void {
        const socket = life.pushes[index] orelse return;
        const sizes = [_]u64{ 0, 10, 300, 2000, 70_000 };
        const size = life.prng.below(life.prng.pick(u64, &sizes) + 1);
        const parts = [_][]const u8{ &life.label(index), life.payload[0..@intCast(size)] };
        life.duo.here.send(socket, &parts) catch |failure| switch (failure) {
            error.WouldBlock, error.OutOfMemory => return,
            else => return failure,
        };
        life.sent[life.numbers[index]] += 1;
    }

    fn take(life: *Life, count: u32) !void {
        for (0..count) |_| {
            var message = try life.duo.there.take(life.pull) orelse return;
            defer message.deinit();
            const bytes = message.parts.items[0];
            const socket = std.mem.readInt(u32, bytes[0..4], .little);
            const number = std.mem.readInt(u32, bytes[4..8], .little);
            try testing.expectEqual(life.taken[socket], number);
            const rest = message.parts.items[1];
            const whole = std.mem.eql(u8, rest, life.payload[0..rest.len]);
            try testing.expect(whole or std.mem.eql(u8, rest, "rest"));
            life.taken[socket] += 1;
        }
    }
};

test "nothing is lost, doubled or out of order while sockets come and go: random lives" {
    for (0..30) |seed| {
        const life = try testing.allocator.create(Life);
        defer testing.allocator.destroy(life);
        life.* = .{ .duo = undefined, .prng = .init(seed), .pull = undefined };
        life.prng.fill(&life.payload);
        try life.duo.init(if (seed % 2 == 0) 2 else 1);
        defer life.duo.deinit();
        life.pull = try Duo.open(life.duo.there, .pull, 1, @intCast(life.prng.below(50)));
        _ = try life.duo.there.context.bind_inproc(life.pull, "life");
        for (0..400) |_| try life.step();
        for (0..100) |_| {
            try life.duo.world.settle();
            try life.take(10_000);
        }
        try testing.expectEqual(life.sent, life.taken);
    }
}

const relocation = @import("../relocation.zig");

const Moved = struct {
    pub fn note(_: Moved, _: u32, _: u32) !void {}
};

/// As a proxy takes over a socket: `handle` of `from` goes on in `to`.
fn relocate(from: *Owner, handle: u32, to: *Owner) !u32 {
    var luggage = try relocation.take(&from.context, testing.allocator, handle);
    defer luggage.deinit(&to.io);
    const fresh = try relocation.unpack(&to.context, &luggage, Moved{});
    try to.context.monitor_start(to.slot(fresh));
    return fresh;
}

test "a socket that moves to another thread keeps its links, its marks and every message" {
    var duo: Duo = undefined;
    try duo.init(2);
    defer duo.deinit();
    const third = try duo.world.add();
    const push = try Duo.open(duo.here, .push, 3, 1);
    const pull = try Duo.open(duo.there, .pull, 1, 4);
    _ = try duo.there.context.bind_inproc(pull, "moves");
    _ = try duo.here.context.connect_inproc(push, "moves", "");
    try duo.world.settle();
    for ([_][]const u8{ "1", "2", "3", "4", "5", "6", "7" }) |it| try duo.here.send(push, &.{it});
    try testing.expectError(error.WouldBlock, duo.here.send(push, &.{"8"}));
    try duo.world.settle();

    const moved = try relocate(duo.there, pull, third);
    try duo.world.settle();
    const sender = try relocate(duo.here, push, duo.there);
    try duo.world.settle();
    try testing.expectError(error.WouldBlock, duo.there.send(sender, &.{"8"}));
    for ([_][]const u8{ "1", "2", "3", "4" }) |it| try third.expect(moved, &.{it});
    try duo.world.settle();
    for ([_][]const u8{ "8", "9", "10" }) |it| try duo.there.send(sender, &.{it});
    try duo.world.settle();
    for ([_][]const u8{ "5", "6", "7", "8", "9", "10" }) |it| try third.expect(moved, &.{it});
    try testing.expectEqual(1, third.record(moved).connections);

    // The name went along, and so does a connect that still waits.
    const late = try duo.here.open(.push);
    _ = try duo.here.context.connect_inproc(late, "moves", "");
    const waiting = try duo.here.open(.push);
    _ = try duo.here.context.connect_inproc(waiting, "nobody yet", "");
    try duo.here.send(waiting, &.{"waited"});
    const waits = try relocate(duo.here, waiting, duo.there);
    try duo.here.send(late, &.{"late"});
    try duo.world.settle();
    try third.expect(moved, &.{"late"});
    _ = try third.context.bind_inproc(moved, "nobody yet");
    try duo.world.settle();
    try third.expect(moved, &.{"waited"});
    try testing.expectEqual(1, duo.there.record(waits).connections);
}

test "a frame that has arrived in part moves along: all behind it would be torn" {
    for ([_]usize{ 20_000, 100_000, 20 << 20 }) |size| {
        var duo: Duo = undefined;
        try duo.init(2);
        defer duo.deinit();
        const third = try duo.world.add();
        const push = try duo.here.open(.push);
        const pull = try duo.there.open(.pull);
        _ = try duo.there.context.bind_inproc(pull, "in part");
        _ = try duo.here.context.connect_inproc(push, "in part", "");
        try duo.world.settle();
        const payload = try testing.allocator.alloc(u8, size);
        defer testing.allocator.free(payload);
        for (payload, 0..) |*byte, i| byte.* = @truncate(i *% 31 +% i / 251);
        const count: u32 = if (size > 1 << 20) 1 else 10;
        for (0..count) |_| try duo.here.send(push, &.{ "number", payload });
        try duo.here.send(push, &.{"end"});
        _ = try duo.here.turn();
        _ = try duo.there.turn();
        const session = duo.there.slot(pull).sessions.first().?;
        try testing.expect(session.tail_bytes > 0 or session.large != null);
        const moved = try relocate(duo.there, pull, third);
        var received: u32 = 0;
        while (received < count) : (received += 1) {
            try duo.world.settle();
            try third.expect(moved, &.{ "number", payload });
        }
        try duo.world.settle();
        try third.expect(moved, &.{"end"});
    }
}

test "who moves while its peer is full, or conflates, goes on when that has read: it would stop" {
    for ([_]u32{ 0, 1 }) |conflate| {
        var duo: Duo = undefined;
        try duo.init(2);
        defer duo.deinit();
        const third = try duo.world.add();
        const push = try Duo.open(duo.here, .push, 2, 1);
        const pull = try Duo.open(duo.there, .pull, 1, 2);
        duo.here.slot(push).socket.options.conflate = conflate;
        _ = try duo.there.context.bind_inproc(pull, "full");
        _ = try duo.here.context.connect_inproc(push, "full", "");
        try duo.world.settle();
        for (0..4) |_| {
            try duo.here.send(push, &.{"early"});
            try duo.world.settle();
        }
        const moved = try relocate(duo.here, push, third);
        try duo.world.settle();
        if (conflate == 0) {
            try testing.expectError(error.WouldBlock, third.send(moved, &.{"full"}));
            third.slot(moved).socket.want(.{ .writable = true });
        } else try third.send(moved, &.{"newest"});
        for (0..6) |_| {
            try duo.world.settle();
            var message = (try duo.there.take(pull)) orelse break;
            message.deinit();
        }
        try duo.world.settle();
        if (conflate == 0) try testing.expectEqual(1, third.ready.items.len);
        try third.send(moved, &.{"late"});
        try duo.world.settle();
        try duo.there.expect(pull, &.{"late"});
    }
}
