//! Send queues that keep the newest message only. No part of the hot path: a queue that does so
//! looks full after each message, and this is what happens then instead.

const std = @import("std");
const assert = std.debug.assert;

const send_queue = @import("send_queue.zig");
const Segment = send_queue.Segment;
const SendQueue = send_queue.SendQueue;
const Slabs = @import("../stdx/slab.zig").Slabs;

/// Of the complete messages only the last one stays, and one that is being sent. Each has segments
/// of its own, as this has been called for each. Returns how many went.
pub fn keep_newest(queue: *SendQueue, slabs: *Slabs) u32 {
    assert(!queue.writing);
    const last = queue.last.?;
    last.seal();
    var dropped: u32 = 0;
    var before: ?*Segment = null;
    var current = queue.head;
    // Those that are encrypted are on their way.
    var held = queue.held;
    while (current) |begin| {
        const end = end_of_message(begin);
        current = end.next;
        const rest = begin.content == .rest or begin.continues;
        const begun = begin.start > 0 or rest or begin.first or held > 0;
        held -|= bytes_between(begin, current);
        if (begun or end.messages == 0 or end == last) {
            before = end;
            continue;
        }
        if (before) |segment| segment.next = current else queue.head = current;
        dropped += drop_segments(queue, slabs, begin, current);
    }
    if (dropped > 0) find_borrowed(queue);
    return dropped;
}

/// A command is none: it ends in its first segment, without a message.
fn end_of_message(begin: *Segment) *Segment {
    var segment = begin;
    while (segment.messages == 0) {
        const next = segment.next orelse break;
        if (!next.continues) break;
        segment = next;
    }
    return segment;
}

fn bytes_between(begin: *Segment, end: ?*Segment) u32 {
    var bytes: u32 = 0;
    var current: ?*Segment = begin;
    while (current != end) : (current = current.?.next) {
        bytes += current.?.end - current.?.start;
    }
    return bytes;
}

fn drop_segments(queue: *SendQueue, slabs: *Slabs, begin: *Segment, end: ?*Segment) u32 {
    var dropped: u32 = 0;
    var current: ?*Segment = begin;
    while (current != end) {
        const segment = current.?;
        current = segment.next;
        dropped += segment.messages;
        queue.bytes -= segment.end - segment.start;
        queue.messages -= segment.messages;
        if (segment.content == .borrowed) queue.borrowed -= 1;
        segment.free(slabs);
    }
    return dropped;
}

/// Segments before the first borrowed one have gone.
pub fn find_borrowed(queue: *SendQueue) void {
    queue.borrowed_behind = null;
    if (queue.borrowed == 0) return;
    var current = queue.head.?;
    while (current.content != .borrowed) : (current = current.next.?) {
        queue.borrowed_behind = current;
    }
}

const Prng = @import("../stdx/prng.zig").Prng;

/// Messages are numbers in two parts, of random sizes; the kernel takes them at random.
const Life = struct {
    slabs: Slabs,
    queue: SendQueue = .{},
    prng: Prng,
    wire: std.ArrayList(u8) = .empty,
    lent: std.ArrayList([]u8) = .empty,

    const allocator = std.testing.allocator;

    fn send(life: *Life, number: u32) !void {
        const size: usize = @intCast(life.prng.below(life.prng.pick(u64, &.{ 10, 3000, 70_000 })));
        const payload = try allocator.alloc(u8, size);
        try life.lent.append(allocator, payload);
        @memset(payload, @truncate(number));
        const slabs = &life.slabs;
        try life.queue.push(slabs, std.mem.asBytes(&number), true, false);
        try life.queue.push(slabs, payload, false, life.prng.boolean());
        _ = keep_newest(&life.queue, slabs);
    }

    /// As a flush does; then what was lent is the caller's again.
    fn flush(life: *Life, all: bool) !void {
        var vectors: [64]std.posix.iovec_const = undefined;
        const used = life.queue.gather(&vectors);
        var offered: usize = 0;
        for (vectors[0..used]) |vector| offered += vector.len;
        const taken = if (all) offered else life.prng.below(offered + 1);
        var left: usize = @intCast(taken);
        for (vectors[0..used]) |vector| {
            const size = @min(left, vector.len);
            try life.wire.appendSlice(allocator, vector.base[0..size]);
            left -= size;
        }
        life.queue.advance(&life.slabs, @intCast(taken));
        try life.queue.detach(&life.slabs);
        for (life.lent.items) |payload| {
            @memset(payload, 0xdd);
            allocator.free(payload);
        }
        life.lent.clearRetainingCapacity();
    }

    /// Whole messages, each newer than the one before.
    fn check(life: *Life, last_sent: u32) !void {
        const frame = @import("../zmtp/frame.zig");
        var rest = life.wire.items;
        var last: u32 = 0;
        while (rest.len > 0) {
            const head = frame.decode(rest).?;
            try std.testing.expect(head.more() and head.body_size == 4);
            const number = std.mem.bytesToValue(u32, rest[head.header_size..][0..4]);
            try std.testing.expect(number > last);
            last = number;
            rest = rest[head.header_size + 4 ..];
            const body = frame.decode(rest).?;
            try std.testing.expect(!body.more());
            const size: usize = @intCast(body.body_size);
            const bytes = rest[body.header_size..][0..size];
            try std.testing.expect(std.mem.allEqual(u8, bytes, @truncate(number)));
            rest = rest[body.header_size + size ..];
        }
        try std.testing.expectEqual(last_sent, last);
    }
};

test "whatever the kernel takes, peers get whole messages and the newest one last" {
    for (0..100) |seed| {
        var life: Life = .{ .slabs = .init(1 << 26), .prng = .init(seed) };
        defer {
            _ = life.queue.clear(&life.slabs);
            life.slabs.deinit();
            life.wire.deinit(Life.allocator);
            life.lent.deinit(Life.allocator);
        }
        for (1..100) |number| {
            try life.send(@intCast(number));
            life.queue.invariants();
            // One that is being sent, and the newest.
            try std.testing.expect(life.queue.messages <= 2);
            if (life.prng.boolean()) try life.flush(false);
        }
        try life.flush(true);
        try life.check(99);
        try std.testing.expectEqual(0, life.queue.messages);
    }
}

test "the rest of a borrowed message of one part stays: its peer would take what follows for it" {
    const testing = std.testing;
    var slabs: Slabs = .init(1 << 30);
    defer slabs.deinit();
    var queue: SendQueue = .{};
    const payload = [_]u8{'x'} ** 3000;
    try queue.push(&slabs, &payload, false, true);
    try testing.expectEqual(0, keep_newest(&queue, &slabs));
    // The kernel takes some of it, and its owner has his memory back.
    queue.advance(&slabs, 1000);
    try queue.detach(&slabs);
    for (0..3) |number| {
        try queue.push(&slabs, "newer", false, false);
        try testing.expectEqual(@intFromBool(number > 0), keep_newest(&queue, &slabs));
    }
    try testing.expectEqual(2, queue.messages);
    var vectors: [4]std.posix.iovec_const = undefined;
    try testing.expectEqual(2, queue.gather(&vectors));
    // Nine bytes of header, see zmtp/frame.zig.
    try testing.expectEqual(9 + 3000 - 1000, vectors[0].len);
    try testing.expectEqual(2, queue.clear(&slabs));
}
