//! Send queues that give way at their front: whole messages of which nothing has gone leave them,
//! the oldest first. No part of the hot path: it is what happens at a high-water mark.
//!
//!     head
//!     [sent|begun message][PING][oldest][next ...  ──▶  [begun message][PING] ──▶ [next ...
//!
//! What has to stay in front gets a segment of its own once; from then on each drop is a step
//! forward in the segment behind it.

const std = @import("std");
const assert = std.debug.assert;

const copy = @import("../stdx/copy.zig").copy;
const find_borrowed = @import("conflate.zig").find_borrowed;
const frame = @import("../zmtp/frame.zig");
const send_queue = @import("send_queue.zig");
const Segment = send_queue.Segment;
const SendQueue = send_queue.SendQueue;
const Slabs = @import("../stdx/slab.zig").Slabs;

/// False: there is none, or no memory to part it from what stays.
pub fn drop_oldest(queue: *SendQueue, slabs: *Slabs) bool {
    assert(!queue.writing);
    var before: ?*Segment = null;
    var current = queue.head;
    var held = queue.held;
    while (current) |segment| : (current = segment.next) {
        const at = first_unsent(segment, &held) orelse {
            before = segment;
            continue;
        };
        if (at > 0) {
            const front = part(queue, slabs, before, segment, at) catch return false;
            if (front) |it| before = it;
        }
        drop_message(queue, slabs, before, segment);
        if (queue.borrowed > 0 or queue.borrowed_behind != null) find_borrowed(queue);
        return true;
    }
    return false;
}

/// Where the first message begins of which nothing has gone; null: it is not in this segment.
/// `held`: so many bytes from its beginning are as good as gone.
fn first_unsent(segment: *const Segment, held: *u32) ?u32 {
    const kept = @min(held.*, segment.end - segment.start);
    held.* -= kept;
    const start = segment.start + kept;
    // A rest may have other frames behind it (`begun_of`), which cannot be found.
    if (segment.first or segment.content == .rest) return null;
    if (segment.content == .borrowed) {
        return if (start == 0 and !segment.continues) 0 else null;
    }
    if (segment.content != .frames) return null;
    var position: u32 = 0;
    var begun = segment.continues;
    while (position < segment.end) {
        const header = header_at(segment, position);
        if (!begun and position >= start and !header.command()) return position;
        position += size_of(header);
        begun = header.more();
    }
    return null;
}

fn header_at(segment: *const Segment, position: u32) frame.Header {
    return frame.decode(segment.data[position..segment.end]).?;
}

fn size_of(header: frame.Header) u32 {
    return @intCast(header.header_size + header.body_size);
}

/// What is before `at` and has to stay gets a segment of its own, which is returned.
fn part(
    queue: *SendQueue,
    slabs: *Slabs,
    before: ?*Segment,
    segment: *Segment,
    at: u32,
) error{OutOfMemory}!?*Segment {
    assert(segment.content == .frames and segment.start <= at and at <= segment.end);
    const boundary = SendQueue.message_boundary(segment);
    // A message goes again from its beginning, should the connection die now.
    const from = boundary orelse segment.counted;
    const front: ?*Segment = if (from == at) null else try queue.make_segment(
        slabs,
        if (segment.shared == null) at - from else 0,
    );
    if (front) |it| {
        if (segment.shared) |shared| {
            shared.references += 1;
            it.shared = shared;
            it.data = segment.data + from;
        } else copy(it.data[0 .. at - from], segment.data[from..at]);
        it.start = segment.start - from;
        it.end = at - from;
        it.tail = it.end;
        it.capacity = it.end;
        it.continues = segment.continues and boundary == null;
        it.messages = messages_in(it, 0);
        segment.messages -= it.messages;
        it.next = segment;
        if (before) |previous| previous.next = it else queue.head = it;
    }
    begin_at(segment, at);
    return front;
}

/// From this frame on.
fn messages_in(segment: *const Segment, from: u32) u32 {
    if (segment.content == .borrowed) return segment.messages;
    var messages: u32 = 0;
    var position = from;
    while (position < segment.end) {
        const header = header_at(segment, position);
        position += size_of(header);
        if (!header.more() and !header.command()) messages += 1;
    }
    return messages;
}

/// Its bytes before `at` are another segment's, or nobody's.
fn begin_at(segment: *Segment, at: u32) void {
    segment.data += at;
    segment.capacity -= at;
    segment.end -= at;
    segment.tail -= at;
    segment.start = 0;
    segment.counted = 0;
    segment.continues = false;
}

/// The message that begins with this segment.
fn drop_message(queue: *SendQueue, slabs: *Slabs, before: ?*Segment, begin: *Segment) void {
    var segment = begin;
    while (true) {
        var size: u32 = 0;
        var more = true;
        if (segment.content == .frames) {
            while (more and size < segment.end) {
                const header = header_at(segment, size);
                size += size_of(header);
                more = header.more();
            }
        } else {
            assert(segment.content == .borrowed and segment.start == 0);
            size = segment.end;
            more = segment.messages == 0;
        }
        queue.bytes -= size;
        if (!more) {
            segment.messages -= 1;
            queue.messages -= 1;
        }
        if (size < segment.end) return begin_at(segment, size);
        const next = segment.next;
        if (before) |previous| previous.next = next else queue.head = next;
        if (queue.last == segment) queue.last = before;
        if (segment.content == .borrowed) queue.borrowed -= 1;
        segment.free(slabs);
        if (!more) return;
        segment = next.?;
    }
}

/// What comes before the first message of which nothing has gone.
pub const Begun = struct { bytes: u64 = 0, messages: u32 = 0 };

/// A queue with frames that are no messages is begun from end to end.
pub fn begun_of(queue: *const SendQueue) Begun {
    var begun: Begun = .{};
    var at: ?u32 = null;
    var current = queue.head;
    var held = queue.held;
    while (current) |segment| : (current = segment.next) {
        if (segment.content == .control) break;
        if (at != null) continue;
        at = first_unsent(segment, &held);
        begun.bytes += (at orelse segment.end) - segment.start;
        begun.messages += segment.messages;
        if (at) |position| begun.messages -= messages_in(segment, position);
    } else return begun;
    return .{ .bytes = queue.bytes, .messages = queue.messages };
}

/// Sees to it that a segment ends behind so many messages, or the one that makes it so many bytes.
/// Returns how many there are up to there. Without memory: all of them.
pub fn cut(queue: *SendQueue, slabs: *Slabs, messages_max: u32, bytes_max: u64) u32 {
    assert(queue.travels and messages_max > 0 and bytes_max > 0);
    var messages: u32 = 0;
    var bytes: u64 = 0;
    var before: ?*Segment = null;
    var current = queue.head;
    while (current) |segment| : (current = segment.next) {
        const size = segment.end - segment.start;
        if (messages + segment.messages <= messages_max and bytes + size <= bytes_max) {
            messages += segment.messages;
            bytes += size;
            before = segment;
            continue;
        }
        if (messages == messages_max or (bytes >= bytes_max and messages > 0)) return messages;
        var position = segment.start;
        var full = false;
        while (position < segment.end and !full) {
            const header = header_at(segment, position);
            position += size_of(header);
            bytes += size_of(header);
            if (header.more() or header.command()) continue;
            messages += 1;
            full = messages == messages_max or bytes >= bytes_max;
        }
        if (full) {
            if (position == segment.end) return messages;
            _ = part(queue, slabs, before, segment, position) catch return queue.messages;
            return messages;
        }
        before = segment;
    }
    return messages;
}
