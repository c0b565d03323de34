//! The outbound half of a pipe: messages framed for the wire, waiting for the kernel.
//!
//! ZMTP frames do not depend on the connection (RFC 23), so messages are framed when they are
//! queued, connected or not, and a queue outlives its connections:
//!
//!     head                                   tail
//!     segment ──▶ segment ──▶ borrowed ──▶ segment
//!     [sent|committed]        [hdr|──▶ payload of the caller]   [committed|being written]
//!
//! A segment holds whole frames. Bytes become visible to the flush when the last part of their
//! message is there (`end`), so no half multipart ever leaves; a refused part takes back the whole
//! message. What the kernel took is forgotten, except that a connection that dies in the middle of
//! a message gets that message sent again from its beginning (`rewind`) where it is still here.
//!
//! No I/O here, and no policy: high-water marks are the pipe's.

const std = @import("std");
const assert = std.debug.assert;

const constants = @import("../constants.zig");
const copy = @import("../stdx/copy.zig").copy;
const frame = @import("../zmtp/frame.zig");
const Slabs = @import("../stdx/slab.zig").Slabs;

const Vector = std.posix.iovec_const;

pub const Segment = struct {
    next: ?*Segment,
    /// Framed bytes behind this header, or the caller's payload.
    data: [*]u8,
    /// Size of the slab block this header begins.
    block_bytes: u32,
    /// Room for frames, bytes.
    capacity: u32,
    /// Handed to the kernel up to here.
    start: u32,
    /// Complete messages up to here.
    end: u32,
    /// Written up to here.
    tail: u32,
    /// Frames before this are no longer in `messages`.
    counted: u32,
    /// Messages whose last frame lies behind `counted`.
    messages: u32,
    /// The first frame continues a message that began in an earlier segment.
    continues: bool,
    content: enum(u8) {
        /// Whole frames.
        frames,
        /// The unsent rest of one frame: cannot be sent again from its beginning.
        rest,
        /// A frame header here, its payload in the caller's memory until `detach`.
        borrowed,
    },
    header_bytes: u8,

    fn header(segment: *Segment) [*]u8 {
        assert(segment.content == .borrowed);
        return @as([*]u8, @ptrCast(segment)) + @sizeOf(Segment);
    }

    fn free(segment: *Segment, slabs: *Slabs) void {
        const base: [*]align(16) u8 = @ptrCast(@alignCast(segment));
        slabs.free(base[0..segment.block_bytes]);
    }
};

pub const SendQueue = struct {
    head: ?*Segment = null,
    last: ?*Segment = null,
    /// Where the message being written began.
    message_first: ?*Segment = null,
    writing: bool = false,
    /// Complete messages that the kernel has not taken in full.
    messages: u32 = 0,
    /// Complete messages' bytes that the kernel has not taken.
    bytes: u64 = 0,
    segment_hint: u32 = constants.segment_bytes_small,
    borrowed: u32 = 0,
    /// The segment before the first borrowed one; null: that is the head, or none is borrowed.
    borrowed_behind: ?*Segment = null,

    pub fn empty(queue: *const SendQueue) bool {
        return queue.bytes == 0;
    }

    /// Appends one part. On failure the whole message, all its earlier parts, is taken back.
    /// `borrow`: the payload stays valid until `detach`, so a large one need not be copied.
    pub inline fn push(
        queue: *SendQueue,
        slabs: *Slabs,
        part: []const u8,
        more: bool,
        borrow: bool,
    ) error{OutOfMemory}!void {
        const need = frame.header_size_max + part.len;
        const segment = blk: {
            if (queue.last) |last| {
                // A first part goes behind whatever is there; `message_first` follows it.
                if (last.capacity - last.tail >= need and
                    !(borrow and part.len >= constants.gather_bytes_min)) break :blk last;
            }
            break :blk try queue.push_slow(slabs, part, borrow);
        };
        if (!queue.writing) {
            queue.writing = true;
            queue.message_first = segment;
        }
        if (segment.content == .borrowed) {
            segment.header_bytes = @intCast(encode(segment.header(), part.len, more));
            segment.tail = segment.header_bytes + @as(u32, @intCast(part.len));
        } else {
            const target = segment.data + segment.tail;
            const size = encode(target, part.len, more);
            copy(target[size..][0..part.len], part);
            segment.tail += @intCast(size + part.len);
        }
        assert(segment.tail <= segment.capacity);
        if (!more) queue.commit(segment);
    }

    inline fn encode(target: [*]u8, size: usize, more: bool) usize {
        const flags: u8 = if (more) frame.flag_more else 0;
        return frame.encode(target[0..frame.header_size_max], flags, size);
    }

    inline fn commit(queue: *SendQueue, segment: *Segment) void {
        assert(queue.writing);
        var current = queue.message_first.?;
        while (true) {
            queue.bytes += current.tail - current.end;
            current.end = current.tail;
            if (current == segment) break;
            current = current.next.?;
        }
        segment.messages += 1;
        queue.messages += 1;
        queue.writing = false;
        queue.message_first = null;
    }

    fn push_slow(
        queue: *SendQueue,
        slabs: *Slabs,
        part: []const u8,
        borrow: bool,
    ) error{OutOfMemory}!*Segment {
        errdefer queue.rollback(slabs);
        if (part.len > constants.frame_bytes_max) return error.OutOfMemory;
        if (borrow and part.len >= constants.gather_bytes_min) {
            const behind = queue.last;
            const segment = try queue.append(slabs, frame.header_size_max);
            if (queue.borrowed == 0) queue.borrowed_behind = behind;
            segment.content = .borrowed;
            // Only read: the constness goes with the vectors.
            segment.data = @constCast(part.ptr);
            segment.capacity = @intCast(frame.header_size_max + part.len);
            queue.borrowed += 1;
            return segment;
        }
        if (queue.last != null) queue.segment_hint = constants.segment_bytes;
        const need = frame.header_size_max + part.len;
        return queue.append(slabs, @max(queue.segment_hint, need));
    }

    fn append(queue: *SendQueue, slabs: *Slabs, bytes: usize) error{OutOfMemory}!*Segment {
        const block = try slabs.allocate(@sizeOf(Segment) + bytes);
        const segment: *Segment = @ptrCast(block.ptr);
        segment.* = .{
            .next = null,
            .data = block.ptr + @sizeOf(Segment),
            .block_bytes = @intCast(block.len),
            .capacity = @intCast(block.len - @sizeOf(Segment)),
            .start = 0,
            .end = 0,
            .tail = 0,
            .counted = 0,
            .messages = 0,
            .continues = queue.writing,
            .content = .frames,
            .header_bytes = 0,
        };
        if (queue.last) |last| last.next = segment else queue.head = segment;
        queue.last = segment;
        return segment;
    }

    /// Takes back the message being written. Nothing of it was visible to the flush.
    pub fn rollback(queue: *SendQueue, slabs: *Slabs) void {
        if (!queue.writing) return;
        const first = queue.message_first.?;
        var rest = first.next;
        first.next = null;
        first.tail = first.end;
        queue.last = first;
        while (rest) |segment| {
            rest = segment.next;
            if (segment.content == .borrowed) queue.borrowed -= 1;
            segment.free(slabs);
        }
        queue.writing = false;
        queue.message_first = null;
        // An empty segment that the message itself had opened.
        if (first.tail == 0) queue.remove_last(slabs, first);
    }

    fn remove_last(queue: *SendQueue, slabs: *Slabs, last: *Segment) void {
        assert(queue.last == last and last.tail == 0);
        if (queue.head == last) {
            queue.head = null;
            queue.last = null;
        } else {
            var before = queue.head.?;
            while (before.next != last) before = before.next.?;
            before.next = null;
            queue.last = before;
        }
        if (last.content == .borrowed) queue.borrowed -= 1;
        if (queue.borrowed_behind == last) queue.borrowed_behind = null;
        last.free(slabs);
    }

    /// Appends a command frame (already encoded). Not inside a message: RFC 23, traffic grammar.
    pub fn push_command(
        queue: *SendQueue,
        slabs: *Slabs,
        encoded: []const u8,
    ) error{OutOfMemory}!void {
        assert(!queue.writing);
        const segment = blk: {
            if (queue.last) |last| {
                if (last.content == .frames and
                    last.capacity - last.tail >= encoded.len) break :blk last;
            }
            break :blk try queue.append(slabs, @max(queue.segment_hint, encoded.len));
        };
        @memcpy(segment.data[segment.tail..][0..encoded.len], encoded);
        segment.tail += @intCast(encoded.len);
        segment.end = segment.tail;
        queue.bytes += encoded.len;
    }

    /// Fills `vectors` with what may be sent now; returns how many were used.
    pub fn gather(queue: *const SendQueue, vectors: []Vector) usize {
        var count: usize = 0;
        var current = queue.head;
        while (current) |segment| : (current = segment.next) {
            if (segment.start == segment.end) continue;
            if (count + 2 > vectors.len) break;
            if (segment.content == .borrowed) {
                const size = segment.header_bytes;
                if (segment.start < size) {
                    vectors[count] = .{
                        .base = segment.header() + segment.start,
                        .len = size - segment.start,
                    };
                    count += 1;
                }
                const from = @max(segment.start, size) - size;
                vectors[count] = .{
                    .base = segment.data + from,
                    .len = segment.end - size - from,
                };
            } else {
                vectors[count] = .{
                    .base = segment.data + segment.start,
                    .len = segment.end - segment.start,
                };
            }
            count += 1;
        }
        return count;
    }

    /// The kernel took `taken` bytes of what `gather` offered.
    pub fn advance(queue: *SendQueue, slabs: *Slabs, taken: usize) void {
        assert(taken <= queue.bytes);
        queue.bytes -= taken;
        var left = taken;
        while (queue.head) |segment| {
            const step: u32 = @intCast(@min(left, segment.end - segment.start));
            segment.start += step;
            left -= step;
            if (segment.start < segment.end) {
                queue.count_sent(segment);
                break;
            }
            // A segment that is still being written stays.
            if (segment.tail > segment.end) {
                queue.count_sent(segment);
                break;
            }
            queue.messages -= segment.messages;
            queue.pop_head(slabs, segment);
        }
        assert(left == 0);
        assert(queue.bytes != 0 or queue.messages == 0);
    }

    fn pop_head(queue: *SendQueue, slabs: *Slabs, segment: *Segment) void {
        assert(queue.head == segment);
        queue.head = segment.next;
        if (queue.head == null) {
            queue.last = null;
            // A connection that sends little goes back to small segments.
            if (segment.tail <= constants.segment_bytes_small) {
                queue.segment_hint = constants.segment_bytes_small;
            }
        }
        if (segment.content == .borrowed) queue.borrowed -= 1;
        if (queue.borrowed_behind == segment) queue.borrowed_behind = null;
        segment.free(slabs);
    }

    /// Takes the messages that ended before `start` off the count, each frame looked at once.
    fn count_sent(queue: *SendQueue, segment: *Segment) void {
        if (segment.content != .frames) return;
        while (segment.counted < segment.start) {
            const bytes = segment.data[segment.counted..segment.end];
            const header = frame.decode(bytes).?;
            const size: u32 = @intCast(header.header_size + header.body_size);
            if (segment.counted + size > segment.start) return;
            segment.counted += size;
            if (header.command() or header.more()) continue;
            segment.messages -= 1;
            queue.messages -= 1;
        }
    }

    /// Copies what the kernel did not take of borrowed payloads: the caller's memory goes back.
    pub fn detach(queue: *SendQueue, slabs: *Slabs) error{OutOfMemory}!void {
        if (queue.borrowed == 0) return;
        // Only what was queued since the last time can be borrowed: a long queue is not walked.
        var before = queue.borrowed_behind;
        var current = if (before) |segment| segment.next else queue.head;
        while (current) |segment| {
            current = segment.next;
            if (segment.content != .borrowed) {
                before = segment;
                continue;
            }
            const owned = try own_payload(segment, slabs);
            if (before) |previous| previous.next = owned else queue.head = owned;
            if (queue.last == segment) queue.last = owned;
            if (queue.message_first == segment) queue.message_first = owned;
            queue.borrowed -= 1;
            segment.free(slabs);
            before = owned;
        }
        assert(queue.borrowed == 0);
    }

    fn own_payload(segment: *Segment, slabs: *Slabs) error{OutOfMemory}!*Segment {
        const rest = segment.tail - segment.start;
        const block = try slabs.allocate(@sizeOf(Segment) + rest);
        const owned: *Segment = @ptrCast(block.ptr);
        owned.* = segment.*;
        owned.data = block.ptr + @sizeOf(Segment);
        owned.block_bytes = @intCast(block.len);
        owned.capacity = @intCast(block.len - @sizeOf(Segment));
        owned.content = if (segment.start == 0) .frames else .rest;
        const size = segment.header_bytes;
        var target = owned.data;
        if (segment.start < size) {
            const head = segment.header()[segment.start..size];
            @memcpy(target[0..head.len], head);
            target += head.len;
        }
        const from = @max(segment.start, size) - size;
        const payload = segment.data[from .. segment.tail - size];
        copy(target[0..payload.len], payload);
        owned.tail = rest;
        // Nothing may be appended behind half a frame: `count_sent` could not find it.
        if (owned.content == .rest) owned.capacity = rest;
        owned.end = segment.end - segment.start;
        owned.start = 0;
        owned.counted = 0;
        owned.header_bytes = 0;
        return owned;
    }

    /// The connection died. What of the first message went to the kernel is lost there, so that
    /// message starts again; when its beginning is no longer here it is dropped. Returns the
    /// number of messages dropped (0 or 1).
    pub fn rewind(queue: *SendQueue, slabs: *Slabs) u32 {
        const head = queue.head orelse return 0;
        if (head.content == .borrowed and !head.continues) {
            queue.bytes += head.start;
            head.start = 0;
            return 0;
        }
        if (head.content == .frames) {
            if (message_boundary(head)) |boundary| {
                queue.bytes += head.start - boundary;
                head.start = boundary;
                assert(head.counted >= boundary);
                head.counted = boundary;
                return 0;
            }
        }
        return queue.drop_first(slabs);
    }

    /// The last message boundary at or before `start`, null if that message began elsewhere.
    fn message_boundary(segment: *const Segment) ?u32 {
        var boundary: ?u32 = if (segment.continues) null else 0;
        var position: u32 = 0;
        while (position < segment.start) {
            const header = frame.decode(segment.data[position..segment.end]).?;
            position += @intCast(header.header_size + header.body_size);
            if (position > segment.start) break;
            if (!header.more()) boundary = position;
        }
        return boundary;
    }

    /// Drops the rest of the first message.
    fn drop_first(queue: *SendQueue, slabs: *Slabs) u32 {
        while (queue.head) |segment| {
            if (segment.content == .frames) {
                // Begin at a frame's boundary: `counted` is one, at or before `start`.
                var position = segment.counted;
                while (position < segment.end) {
                    const header = frame.decode(segment.data[position..segment.end]).?;
                    position += @intCast(header.header_size + header.body_size);
                    if (header.more() or header.command()) continue;
                    queue.bytes -= position - segment.start;
                    segment.start = position;
                    segment.counted = position;
                    segment.messages -= 1;
                    queue.messages -= 1;
                    if (segment.start == segment.tail) queue.pop_head(slabs, segment);
                    return 1;
                }
            }
            queue.bytes -= segment.end - segment.start;
            const ended = segment.messages > 0;
            if (segment.tail > segment.end) return 0;
            queue.messages -= segment.messages;
            queue.pop_head(slabs, segment);
            if (ended) return 1;
        }
        return 0;
    }

    /// Gives everything back; returns the number of complete messages that were dropped.
    pub fn clear(queue: *SendQueue, slabs: *Slabs) u32 {
        const dropped = queue.messages;
        while (queue.head) |segment| {
            queue.head = segment.next;
            segment.free(slabs);
        }
        queue.* = .{};
        return dropped;
    }

    pub fn invariants(queue: *const SendQueue) void {
        var messages: u32 = 0;
        var bytes: u64 = 0;
        var borrowed: u32 = 0;
        var current = queue.head;
        var last: ?*Segment = null;
        while (current) |segment| : (current = segment.next) {
            assert(segment.start <= segment.end and segment.end <= segment.tail);
            assert(segment.tail <= segment.capacity);
            messages += segment.messages;
            bytes += segment.end - segment.start;
            if (segment.content == .borrowed) borrowed += 1;
            last = segment;
        }
        assert(last == queue.last);
        assert(messages == queue.messages);
        assert(bytes == queue.bytes);
        assert(borrowed == queue.borrowed);
    }
};

/// What the queue has to do, in the simplest words: a list of framed messages and how much of the
/// first one has gone. Shares no code with it, the framing included.
const Model = struct {
    const Item = struct { bytes: []u8, command: bool };

    items: std.ArrayList(Item) = .empty,
    /// Bytes of the first item that the kernel took.
    sent: usize = 0,
    writing: std.ArrayList(u8) = .empty,
    dropped: u32 = 0,
    resent: u32 = 0,

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
        try model.items.append(allocator, .{ .bytes = bytes, .command = false });
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

    fn rewind(model: *Model, dropped: u32) !void {
        if (model.sent == 0) return std.testing.expectEqual(0, dropped);
        if (dropped == 0) {
            model.resent += 1;
            model.sent = 0;
        } else {
            try std.testing.expectEqual(1, dropped);
            try std.testing.expect(!model.items.items[0].command);
            model.dropped += 1;
            model.pop();
        }
    }

    fn expect(model: *Model, queue: *const SendQueue) !void {
        queue.invariants();
        var messages: u32 = 0;
        var bytes: usize = 0;
        for (model.items.items) |item| {
            if (!item.command) messages += 1;
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

const Prng = @import("../stdx/prng.zig").Prng;

/// One random life of a queue; `out_of_memory`: allocations fail now and then.
const Life = struct {
    slabs: Slabs,
    queue: SendQueue = .{},
    model: Model = .{},
    prng: Prng,
    out_of_memory: bool,
    /// Payloads that the queue may still look into.
    lent: std.ArrayList([]u8) = .empty,

    fn deinit(life: *Life) void {
        const slabs = &life.slabs;
        slabs.fail_after = null;
        life.queue.rollback(slabs);
        _ = life.queue.clear(slabs);
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

    fn step(life: *Life) !void {
        const slabs = &life.slabs;
        life.inject();
        defer slabs.fail_after = null;
        const Action = enum { first, message, send, rollback, rewind, detach, command };
        switch (life.prng.weighted(Action, .{
            .first = 4,
            .message = 12,
            .send = 8,
            .rollback = 1,
            .rewind = 1,
            .detach = 4,
            .command = 1,
        })) {
            .first => try life.push(true),
            .message => try life.push(false),
            .send => life.send(),
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
                try life.model.items.append(Model.allocator, .{ .bytes = bytes, .command = true });
            },
        }
    }
};

test "every byte goes out once and in order, whatever the kernel takes: peers would see garbage" {
    var resent: u32 = 0;
    var dropped: u32 = 0;
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
    }
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
