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
const inproc = @import("../net/inproc.zig");
const Shared = @import("shared_frames.zig").Shared;
const shared_blocks = @import("../stdx/shared_blocks.zig");
const slab = @import("../stdx/slab.zig");
const Slabs = slab.Slabs;

const Vector = std.posix.iovec_const;

pub const Segment = struct {
    next: ?*Segment,
    /// The bytes belong to it; null: they are behind this header, or the caller's.
    shared: ?*Shared,
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
    /// The block belongs to no context: the segment becomes a parcel.
    travels: bool,
    content: enum(u8) {
        /// Whole frames.
        frames,
        /// The unsent rest of one frame: cannot be sent again from its beginning.
        rest,
        /// A frame header here, its payload in the caller's memory until `detach`.
        borrowed,
        /// Bytes without frames, one part of a message.
        raw,
        /// Whole frames that are no messages, for this connection only: subscriptions.
        control,
    },
    header_bytes: u8,
    /// What is sent first on a connection, and is of no use to the next one.
    first: bool = false,
    /// What follows is another message's and gets a segment of its own.
    sealed: bool = false,

    comptime {
        assert(@sizeOf(Segment) + frame.header_size_max <= slab.block_header_bytes);
    }

    fn header(segment: *Segment) [*]u8 {
        assert(segment.content == .borrowed);
        return @as([*]u8, @ptrCast(segment)) + @sizeOf(Segment);
    }

    pub fn seal(segment: *Segment) void {
        segment.capacity = segment.tail;
        segment.sealed = true;
    }

    pub fn free(segment: *Segment, slabs: *Slabs) void {
        if (segment.shared) |shared| shared.release(slabs);
        const block = segment.block_of();
        if (segment.travels) shared_blocks.free(block) else slabs.free(block);
    }

    fn block_of(segment: *Segment) slab.Block {
        const base: [*]align(slab.block_align) u8 = @ptrCast(@alignCast(segment));
        return base[0..segment.block_bytes];
    }

    /// The same block with another header.
    fn to_parcel(segment: *Segment) *inproc.Parcel {
        comptime assert(@sizeOf(inproc.Parcel) <= @sizeOf(Segment));
        assert(segment.travels and segment.content == .frames and segment.tail == segment.end);
        const bytes = segment.data[segment.start..segment.end];
        const parcel: *inproc.Parcel = @ptrCast(@alignCast(segment));
        parcel.* = .{
            .bytes = bytes.ptr,
            .len = @intCast(bytes.len),
            .block = segment.block_of(),
        };
        return parcel;
    }

    fn copy_to_parcel(segment: *const Segment) error{OutOfMemory}!*inproc.Parcel {
        const bytes = segment.data[segment.start..segment.end];
        const block = try shared_blocks.allocate(@sizeOf(inproc.Parcel) + bytes.len);
        const parcel: *inproc.Parcel = @ptrCast(block.ptr);
        const target = block[@sizeOf(inproc.Parcel)..][0..bytes.len];
        copy(target, bytes);
        parcel.* = .{ .bytes = target.ptr, .len = @intCast(bytes.len), .block = block };
        return parcel;
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
    /// So many of the first bytes are encrypted and on their way: they stay what they are.
    held: u32 = 0,
    borrowed: u32 = 0,
    /// The segment before the first borrowed one; null: that is the head, or none is borrowed.
    borrowed_behind: ?*Segment = null,
    /// Bytes in a row that were copied out of a shared block, and where they ended there.
    copied_bytes: u32 = 0,
    copied_end: ?[*]const u8 = null,
    /// Its segments go to another thread as they are (inproc): they borrow and share nothing.
    travels: bool = false,

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
        const segment = try queue.make_segment(slabs, bytes);
        if (queue.last) |last| last.next = segment else queue.head = segment;
        queue.last = segment;
        return segment;
    }

    pub fn make_segment(
        queue: *const SendQueue,
        slabs: *Slabs,
        bytes: usize,
    ) error{OutOfMemory}!*Segment {
        const block = if (queue.travels)
            try shared_blocks.allocate(@sizeOf(Segment) + bytes)
        else
            try slabs.allocate(@sizeOf(Segment) + bytes);
        const segment: *Segment = @ptrCast(block.ptr);
        segment.* = .{
            .next = null,
            .shared = null,
            .travels = queue.travels,
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

    /// Appends one part that is sent as it is, in a segment of its own: it has no header to tell
    /// where it ends.
    pub fn push_raw(
        queue: *SendQueue,
        slabs: *Slabs,
        part: []const u8,
        more: bool,
    ) error{OutOfMemory}!void {
        errdefer queue.rollback(slabs);
        if (part.len > constants.frame_bytes_max) return error.OutOfMemory;
        if (part.len == 0) {
            if (queue.writing and !more) queue.commit(queue.last.?);
            return;
        }
        const segment = try queue.append(slabs, part.len);
        segment.content = .raw;
        copy(segment.data[0..part.len], part);
        segment.tail = @intCast(part.len);
        segment.capacity = segment.tail;
        if (!queue.writing) {
            queue.writing = true;
            queue.message_first = segment;
        }
        if (!more) queue.commit(segment);
    }

    /// Puts whole messages of one part before everything else, for this connection only.
    pub fn push_first(
        queue: *SendQueue,
        slabs: *Slabs,
        bodies: []const []const u8,
    ) error{OutOfMemory}!void {
        var need: usize = 0;
        for (bodies) |body| need += frame.header_size_max + body.len;
        const segment = try queue.make_segment(slabs, need);
        for (bodies) |body| {
            const target = segment.data + segment.tail;
            const size = encode(target, body.len, false);
            copy(target[size..][0..body.len], body);
            segment.tail += @intCast(size + body.len);
        }
        segment.end = segment.tail;
        segment.capacity = segment.tail;
        segment.messages = @intCast(bodies.len);
        segment.continues = false;
        segment.first = true;
        segment.next = queue.head;
        if (queue.borrowed > 0 and queue.borrowed_behind == null) queue.borrowed_behind = segment;
        if (queue.last == null) queue.last = segment;
        queue.head = segment;
        queue.messages += segment.messages;
        queue.bytes += segment.end;
    }

    /// Appends a command frame (already encoded). Not inside a message: RFC 23, traffic grammar.
    pub fn push_command(
        queue: *SendQueue,
        slabs: *Slabs,
        encoded: []const u8,
    ) error{OutOfMemory}!void {
        _ = try queue.push_framed(slabs, encoded, "");
    }

    /// Appends one frame, in two pieces.
    fn push_framed(
        queue: *SendQueue,
        slabs: *Slabs,
        prefix: []const u8,
        rest: []const u8,
    ) error{OutOfMemory}!*Segment {
        assert(!queue.writing);
        const size = prefix.len + rest.len;
        const sealed = if (queue.last) |last| last.sealed else false;
        const segment = blk: {
            if (queue.last) |last| {
                if (last.content == .frames and last.capacity - last.tail >= size) break :blk last;
            }
            break :blk try queue.append(slabs, @max(queue.segment_hint, size));
        };
        queue.put_framed(segment, prefix, rest);
        if (sealed) segment.seal();
        return segment;
    }

    fn put_framed(queue: *SendQueue, segment: *Segment, prefix: []const u8, rest: []const u8) void {
        copy(segment.data[segment.tail..][0..prefix.len], prefix);
        copy(segment.data[segment.tail + prefix.len ..][0..rest.len], rest);
        segment.tail += @intCast(prefix.len + rest.len);
        segment.end = segment.tail;
        queue.bytes += prefix.len + rest.len;
    }

    /// Appends one frame, in two pieces, that is for this connection only: it is no message, and
    /// `rewind` drops it. Where there are no connections (inproc) it is a message.
    pub fn push_control(
        queue: *SendQueue,
        slabs: *Slabs,
        prefix: []const u8,
        rest: []const u8,
    ) error{OutOfMemory}!void {
        assert(!queue.writing);
        if (queue.travels) return queue.push_copy(slabs, prefix, rest);
        const size = prefix.len + rest.len;
        const segment = blk: {
            var room: usize = constants.segment_bytes_small;
            if (queue.last) |last| {
                const taken = @sizeOf(Segment) + last.tail;
                if (last.content == .control and last.block_bytes - taken >= size) break :blk last;
                if (last.content == .control) room = constants.segment_bytes;
            }
            break :blk try queue.append(slabs, @max(room, size));
        };
        segment.content = .control;
        queue.put_framed(segment, prefix, rest);
        // Messages do not go into the same segment.
        segment.capacity = segment.tail;
    }

    fn drop_control(queue: *SendQueue, slabs: *Slabs) void {
        var before: ?*Segment = null;
        var next = queue.head;
        while (next) |segment| {
            next = segment.next;
            if (segment.content != .control) {
                before = segment;
                continue;
            }
            queue.bytes -= segment.end - segment.start;
            if (before) |it| it.next = next else queue.head = next;
            if (queue.last == segment) queue.last = before;
            if (queue.borrowed_behind == segment) queue.borrowed_behind = before;
            segment.free(slabs);
        }
    }

    /// Appends one message that is framed already: bytes `start` to `end` of what queues share.
    pub inline fn push_shared(
        queue: *SendQueue,
        slabs: *Slabs,
        shared: *Shared,
        start: u32,
        end: u32,
    ) error{OutOfMemory}!void {
        assert(!queue.writing and start < end and end <= shared.used);
        if (queue.travels) return queue.push_copy(slabs, shared.data()[start..end], "");
        if (queue.last) |last| {
            const behind = last.data + last.tail == shared.data() + start;
            if (last.shared == shared and behind and !last.sealed) {
                return queue.extend(last, end - start);
            }
        }
        try queue.push_apart(slabs, shared, start, end);
    }

    inline fn extend(queue: *SendQueue, segment: *Segment, size: u32) void {
        segment.tail += size;
        segment.capacity = segment.tail;
        segment.end = segment.tail;
        segment.messages += 1;
        queue.messages += 1;
        queue.bytes += size;
    }

    /// Begins a range. In a queue that is behind, a range of few small messages would hold a whole
    /// block of other peers' messages, and with a rare topic each of them another block: those are
    /// copied, until it is clear that they come in a row.
    fn push_apart(
        queue: *SendQueue,
        slabs: *Slabs,
        shared: *Shared,
        start: u32,
        end: u32,
    ) error{OutOfMemory}!void {
        const message = shared.data()[start..end];
        if (!queue.empty() and message.len < constants.share_bytes_min) {
            if (queue.copied_end != message.ptr) queue.copied_bytes = 0;
            if (queue.copied_bytes < constants.share_row_bytes_min) {
                try queue.push_copy(slabs, message, "");
                queue.copied_bytes += end - start;
                queue.copied_end = message.ptr + message.len;
                return;
            }
        }
        const segment = try queue.append(slabs, 0);
        segment.shared = shared;
        segment.data = message.ptr;
        shared.references += 1;
        queue.extend(segment, end - start);
    }

    /// The same for a queue whose segments leave the thread: they share nothing.
    fn push_copy(
        queue: *SendQueue,
        slabs: *Slabs,
        prefix: []const u8,
        rest: []const u8,
    ) error{OutOfMemory}!void {
        if (queue.last != null) queue.segment_hint = constants.segment_bytes;
        const segment = try queue.push_framed(slabs, prefix, rest);
        segment.messages += 1;
        queue.messages += 1;
    }

    /// Takes out complete messages, in the blocks that they lie in: whole segments until it is
    /// `messages_max` or more.
    pub fn hand_over(queue: *SendQueue, slabs: *Slabs, messages_max: u32) inproc.Chain {
        assert(queue.travels);
        const before = queue.messages;
        var chain: inproc.Chain = .{};
        const bytes = queue.bytes;
        defer if (bytes > 0) {
            // The next one will probably be as large.
            const room = std.math.ceilPowerOfTwoAssert(u64, @min(bytes, constants.segment_bytes));
            queue.segment_hint = @max(constants.segment_bytes_small, @as(u32, @intCast(room)));
        };
        while (queue.head) |segment| {
            const used = segment.end - segment.start;
            if (used == 0 or before - queue.messages >= messages_max) break;
            const complete = segment.tail == segment.end;
            // A few bytes do not take a large block along; behind it a message is being written.
            const small = used <= segment.capacity / 4;
            const copied = if (small or !complete) segment.copy_to_parcel() catch null else null;
            if (copied == null and !complete) break;
            queue.bytes -= used;
            queue.messages -= segment.messages;
            if (complete) {
                queue.unlink_head(segment);
                if (copied) |parcel| {
                    segment.free(slabs);
                    chain.push(parcel);
                } else chain.push(segment.to_parcel());
                continue;
            }
            chain.push(copied.?);
            segment.messages = 0;
            segment.start = segment.end;
            segment.counted = segment.end;
        }
        return chain;
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
        queue.unlink_head(segment);
        segment.free(slabs);
    }

    fn unlink_head(queue: *SendQueue, segment: *Segment) void {
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
        if (owned.content == .rest or owned.sealed) owned.capacity = rest;
        owned.end = segment.end - segment.start;
        owned.start = 0;
        owned.counted = 0;
        owned.header_bytes = 0;
        return owned;
    }

    /// The connection died. What of the first message went to the kernel is lost there, so that
    /// message starts again; when its beginning is no longer here it is dropped. Returns the
    /// number of messages dropped: 0 or 1, or those that came along from elsewhere with it.
    pub fn rewind(queue: *SendQueue, slabs: *Slabs) u32 {
        queue.drop_control(slabs);
        const head = queue.head orelse return 0;
        if (head.first) {
            queue.bytes -= head.end - head.start;
            queue.messages -= head.messages;
            queue.pop_head(slabs, head);
            return 0;
        }
        if (head.content == .raw) return queue.drop_raw(slabs);
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

    /// A stream goes on where it was or not at all.
    fn drop_raw(queue: *SendQueue, slabs: *Slabs) u32 {
        const before = queue.messages;
        while (queue.head) |segment| {
            if (segment.tail > segment.end) break;
            queue.bytes -= segment.end - segment.start;
            queue.messages -= segment.messages;
            queue.pop_head(slabs, segment);
        }
        return before - queue.messages;
    }

    /// The last message boundary at or before `start`, null if that message began elsewhere.
    pub fn message_boundary(segment: *const Segment) ?u32 {
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
            const ended = segment.messages;
            if (segment.tail > segment.end) return 0;
            queue.messages -= ended;
            queue.pop_head(slabs, segment);
            if (ended > 0) return ended;
        }
        return 0;
    }

    /// All that the kernel has not taken, for a queue elsewhere.
    pub fn copy_unsent(
        queue: *const SendQueue,
        allocator: std.mem.Allocator,
    ) error{OutOfMemory}![]u8 {
        assert(queue.borrowed == 0);
        const bytes = try allocator.alloc(u8, queue.bytes);
        var used: usize = 0;
        var current = queue.head;
        while (current) |segment| : (current = segment.next) {
            const unsent = segment.data[segment.start..segment.end];
            copy(bytes[used..][0..unsent.len], unsent);
            used += unsent.len;
        }
        assert(used == bytes.len);
        return bytes;
    }

    /// Appends what was queued elsewhere. `begun`: a part of its first message has gone already.
    pub fn push_unsent(
        queue: *SendQueue,
        slabs: *Slabs,
        bytes: []const u8,
        messages: u32,
        begun: bool,
    ) error{OutOfMemory}!void {
        assert(!queue.writing);
        const segment = try queue.append(slabs, bytes.len);
        copy(segment.data[0..bytes.len], bytes);
        // Nothing may be appended behind it: its frames are found from its beginning.
        segment.capacity = @intCast(bytes.len);
        segment.tail = segment.capacity;
        segment.end = segment.tail;
        segment.messages = messages;
        segment.continues = begun;
        // Within the process a flush never parts a frame.
        if (begun and !queue.travels) segment.content = .rest;
        queue.messages += messages;
        queue.bytes += bytes.len;
    }

    /// Gives everything back; returns the number of complete messages that were dropped.
    pub fn clear(queue: *SendQueue, slabs: *Slabs) u32 {
        const dropped = queue.messages;
        while (queue.head) |segment| {
            queue.head = segment.next;
            segment.free(slabs);
        }
        queue.* = .{ .travels = queue.travels };
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
