//! A send queue against a model, through random lives: every byte goes out once and in order.

const std = @import("std");

const drop_oldest = @import("oldest.zig").drop_oldest;
const frame = @import("../zmtp/frame.zig");
const Prng = @import("../stdx/prng.zig").Prng;
const send_queue = @import("send_queue.zig");
const SendQueue = send_queue.SendQueue;
const Shared = @import("shared_frames.zig").Shared;
const Slabs = @import("../stdx/slab.zig").Slabs;

const Vector = std.posix.iovec_const;

/// What the queue has to do, in the simplest words: a list of framed messages and how much of the
/// first one has gone. Shares no code with it, the framing included.
const Model = struct {
    const Item = struct { bytes: []u8, kind: Kind };
    const Kind = enum { message, command, control };

    items: std.ArrayList(Item) = .empty,
    /// Bytes of the first item that the kernel took.
    sent: usize = 0,
    writing: std.ArrayList(u8) = .empty,
    dropped: u32 = 0,
    resent: u32 = 0,
    given_way: u32 = 0,

    const allocator = std.testing.allocator;

    fn deinit(model: *Model) void {
        for (model.items.items) |item| allocator.free(item.bytes);
        model.items.deinit(allocator);
        model.writing.deinit(allocator);
    }

    fn write(model: *Model, part: []const u8, more: bool) !void {
        const flags: u8 = @intFromBool(more);
        if (part.len < 256) {
            try model.writing.appendSlice(allocator, &.{ flags, @intCast(part.len) });
        } else {
            try model.writing.append(allocator, flags | 2);
            for (0..8) |i| {
                const shift: u6 = @intCast(56 - 8 * i);
                try model.writing.append(allocator, @truncate(@as(u64, part.len) >> shift));
            }
        }
        try model.writing.appendSlice(allocator, part);
        if (more) return;
        const bytes = try model.writing.toOwnedSlice(allocator);
        try model.items.append(allocator, .{ .bytes = bytes, .kind = .message });
    }

    fn pop(model: *Model) void {
        allocator.free(model.items.orderedRemove(0).bytes);
        model.sent = 0;
    }

    fn advance(model: *Model, count: usize) void {
        model.sent += count;
        while (model.items.items.len > 0 and model.sent >= model.items.items[0].bytes.len) {
            const rest = model.sent - model.items.items[0].bytes.len;
            model.pop();
            model.sent = rest;
        }
    }

    fn forget_control(model: *Model) void {
        const items = &model.items;
        if (items.items.len > 0 and items.items[0].kind == .control) model.sent = 0;
        var index: usize = 0;
        while (index < items.items.len) {
            if (items.items[index].kind == .control) {
                allocator.free(items.orderedRemove(index).bytes);
            } else index += 1;
        }
    }

    fn rewind(model: *Model, dropped: u32) !void {
        model.forget_control();
        if (model.sent == 0) return std.testing.expectEqual(0, dropped);
        if (dropped == 0) {
            model.resent += 1;
            model.sent = 0;
        } else {
            try std.testing.expectEqual(1, dropped);
            try std.testing.expect(model.items.items[0].kind == .message);
            model.dropped += 1;
            model.pop();
        }
    }

    /// The oldest message that nothing has gone of. False: there is none.
    fn drop_oldest(model: *Model) bool {
        for (model.items.items, 0..) |item, index| {
            if (item.kind != .message or (index == 0 and model.sent > 0)) continue;
            allocator.free(model.items.orderedRemove(index).bytes);
            model.given_way += 1;
            return true;
        }
        return false;
    }

    fn expect(model: *Model, queue: *const SendQueue) !void {
        queue.invariants();
        var messages: u32 = 0;
        var bytes: usize = 0;
        for (model.items.items) |item| {
            if (item.kind == .message) messages += 1;
            bytes += item.bytes.len;
        }
        try std.testing.expectEqual(messages, queue.messages);
        try std.testing.expectEqual(bytes - model.sent, queue.bytes);
        // What is offered is the beginning of what is left.
        var vectors: [7]Vector = undefined;
        const used = queue.gather(&vectors);
        var item: usize = 0;
        var position = model.sent;
        var offered: usize = 0;
        for (vectors[0..used]) |vector| {
            offered += vector.len;
            for (vector.base[0..vector.len]) |byte| {
                while (position == model.items.items[item].bytes.len) {
                    item += 1;
                    position = 0;
                }
                try std.testing.expectEqual(model.items.items[item].bytes[position], byte);
                position += 1;
            }
        }
        try std.testing.expect(offered > 0 or bytes == model.sent);
    }
};

/// One random life of a queue; `out_of_memory`: allocations fail now and then.
const Life = struct {
    slabs: Slabs,
    queue: SendQueue = .{},
    model: Model = .{},
    prng: Prng,
    out_of_memory: bool,
    /// Payloads that the queue may still look into.
    lent: std.ArrayList([]u8) = .empty,
    shared: ?*Shared = null,

    fn deinit(life: *Life) void {
        const slabs = &life.slabs;
        slabs.fail_after = null;
        life.queue.rollback(slabs);
        _ = life.queue.clear(slabs);
        if (life.shared) |shared| shared.release(slabs);
        std.debug.assert(slabs.live_bytes == 0);
        slabs.deinit();
        life.give_back();
        life.lent.deinit(Model.allocator);
        life.model.deinit();
    }

    /// The caller uses its memory again: whoever looks into it now sees garbage.
    fn give_back(life: *Life) void {
        for (life.lent.items) |payload| {
            @memset(payload, 0xdd);
            Model.allocator.free(payload);
        }
        life.lent.clearRetainingCapacity();
    }

    fn inject(life: *Life) void {
        if (!life.out_of_memory or !life.prng.chance(1, 4)) return;
        life.slabs.fail_after = life.prng.below(3);
    }

    fn push(life: *Life, more: bool) !void {
        const prng = &life.prng;
        const sizes = [_]u64{ 0, 1, 10, 100, 254, 255, 256, 1000, 1535, 1536, 5000, 70_000 };
        const size = prng.below(prng.pick(u64, &sizes) + 1);
        const payload = try Model.allocator.alloc(u8, @intCast(size));
        prng.fill(payload);
        const borrow = prng.chance(1, 3);
        if (life.queue.push(&life.slabs, payload, more, borrow)) {
            try life.model.write(payload, more);
        } else |_| life.model.writing.clearRetainingCapacity();
        if (borrow) return life.lent.append(Model.allocator, payload);
        @memset(payload, 0xdd);
        Model.allocator.free(payload);
    }

    /// A message in the block that queues share; now and then it is for other queues only.
    fn push_shared(life: *Life) !void {
        const prng = &life.prng;
        const sizes = [_]u64{ 10, 300, 20_000 };
        const payload = try Model.allocator.alloc(u8, @intCast(prng.below(prng.pick(u64, &sizes))));
        defer Model.allocator.free(payload);
        prng.fill(payload);
        const need = Shared.bytes_of(payload);
        const slabs = &life.slabs;
        if (life.shared) |shared| if (shared.capacity - shared.used < need) {
            shared.release(slabs);
            life.shared = null;
        };
        const shared = life.shared orelse try Shared.create(slabs, 32 * 1024);
        life.shared = shared;
        const start = shared.used;
        shared.write(payload, true);
        shared.end_message(start);
        if (prng.chance(1, 4)) return;
        try life.queue.push_shared(slabs, shared, start, shared.used);
        try life.model.write(payload, false);
    }

    fn push_control(life: *Life) !void {
        var topic: [600]u8 = undefined;
        const size: usize = @intCast(life.prng.below(topic.len));
        life.prng.fill(topic[0..size]);
        var buffer: [frame.header_size_max]u8 = undefined;
        const prefix = buffer[0..frame.encode(&buffer, 0, size)];
        try life.queue.push_control(&life.slabs, prefix, topic[0..size]);
        const bytes = try std.mem.concat(Model.allocator, u8, &.{ prefix, topic[0..size] });
        try life.model.items.append(Model.allocator, .{ .bytes = bytes, .kind = .control });
    }

    fn send(life: *Life) void {
        var vectors: [9]Vector = undefined;
        const used = life.queue.gather(&vectors);
        var offered: usize = 0;
        for (vectors[0..used]) |vector| offered += vector.len;
        var taken: usize = @intCast(life.prng.below(offered + 1));
        if (life.prng.chance(1, 4)) taken = offered;
        life.queue.advance(&life.slabs, taken);
        life.model.advance(taken);
    }

    fn refuses(life: *const Life, failure: anyerror) bool {
        return failure == error.OutOfMemory and life.out_of_memory;
    }

    fn step(life: *Life) !void {
        const slabs = &life.slabs;
        life.inject();
        defer slabs.fail_after = null;
        const Action = enum {
            first,
            message,
            shared,
            send,
            rollback,
            rewind,
            detach,
            command,
            control,
            drop,
        };
        switch (life.prng.weighted(Action, .{
            .first = 4,
            .message = 12,
            .shared = 12,
            .send = 8,
            .rollback = 1,
            .rewind = 1,
            .detach = 4,
            .command = 1,
            .control = 2,
            .drop = 6,
        })) {
            .first => try life.push(true),
            .message => try life.push(false),
            .shared => if (!life.queue.writing) {
                life.push_shared() catch |failure| try std.testing.expect(life.refuses(failure));
            },
            .control => if (!life.queue.writing) {
                life.push_control() catch |failure| try std.testing.expect(life.refuses(failure));
            },
            .send => life.send(),
            .drop => if (!life.queue.writing) {
                if (drop_oldest(&life.queue, slabs)) {
                    try std.testing.expect(life.model.drop_oldest());
                } else try std.testing.expect(life.out_of_memory or !life.model.drop_oldest());
            },
            .rollback => {
                life.queue.rollback(slabs);
                life.model.writing.clearRetainingCapacity();
            },
            .rewind => try life.model.rewind(life.queue.rewind(slabs)),
            .detach => if (life.queue.detach(slabs)) life.give_back() else |_| {},
            .command => if (!life.queue.writing) {
                const encoded = "\x04\x05\x04PONG";
                life.queue.push_command(slabs, encoded) catch return;
                const bytes = try Model.allocator.dupe(u8, encoded);
                try life.model.items.append(Model.allocator, .{ .bytes = bytes, .kind = .command });
            },
        }
    }
};

test "every byte goes out once and in order, whatever the kernel takes: peers would see garbage" {
    var resent: u32 = 0;
    var dropped: u32 = 0;
    var given_way: u32 = 0;
    for (0..300) |seed| {
        var life: Life = .{
            .slabs = .init(1 << 28),
            .prng = .init(seed),
            .out_of_memory = seed % 3 == 0,
        };
        defer life.deinit();
        for (0..200) |_| {
            try life.step();
            try life.model.expect(&life.queue);
        }
        resent += life.model.resent;
        dropped += life.model.dropped;
        given_way += life.model.given_way;
    }
    try std.testing.expect(given_way > 1000);
    // Both ways of starting again have been taken.
    try std.testing.expect(resent > 100 and dropped > 10);
}

test "a message that was sent in part goes again from its beginning: a peer would get half of it" {
    var slabs: Slabs = .init(1 << 20);
    defer slabs.deinit();
    var queue: SendQueue = .{};
    try queue.push(&slabs, "one", false, false);
    try queue.push(&slabs, "first part", true, false);
    try queue.push(&slabs, "second", false, false);
    queue.advance(&slabs, 5 + 12 + 3);
    try std.testing.expectEqual(1, queue.messages);
    try std.testing.expectEqual(0, queue.rewind(&slabs));
    var vectors: [4]Vector = undefined;
    try std.testing.expectEqual(1, queue.gather(&vectors));
    const expected = "\x01\x0afirst part\x00\x06second";
    try std.testing.expectEqualStrings(expected, vectors[0].base[0..vectors[0].len]);
    try std.testing.expectEqual(1, queue.clear(&slabs));
}
