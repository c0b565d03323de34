//! The inbound half of a pipe: complete frames as they came from the network, in runs.
//!
//! A run is a stretch of bytes that holds whole ZMTP frames. It is not taken apart until its
//! messages are handed out, so a thousand waiting messages cost one run, and moving them out of
//! the arena is one copy:
//!
//!     head                                last
//!     run ──▶ run ──▶ run
//!     [h|body|h|body]  in the arena, in a slab, or one body in a buffer of its own (lent)
//!          ^position
//!
//! Only complete messages are visible; the incomplete rest of a connection that died is taken
//! back. Command frames never get here: the engine acts on them.

const std = @import("std");
const assert = std.debug.assert;

const Arena = @import("arena.zig").Arena;
const copy = @import("../stdx/copy.zig").copy;
const frame = @import("../zmtp/frame.zig");
const Link = @import("../stdx/intrusive_list.zig").Link;
const ReceiveRing = @import("receive_ring.zig").ReceiveRing;
const slab = @import("../stdx/slab.zig");
const Slabs = slab.Slabs;

pub const Run = struct {
    next: ?*Run = null,
    arena_link: Link = .{},
    bytes: [*]const u8,
    len: u32,
    position: u32 = 0,
    storage: enum(u8) {
        /// In the receive arena; spilled before that is used again.
        arena,
        /// In `block`.
        slab,
        /// One body, without its header, in a buffer that the owner of the context lent.
        lent,
    },
    /// A lent run's frame has MORE.
    more: bool = false,
    /// A lent run's buffer, as the owner knows it.
    lent_id: u32 = 0,
    block: slab.Block = &.{},
    /// Bytes that were handed out before the rest was spilled: positions count from before them.
    skipped: u32 = 0,
    /// Entries of this ring refer to the block.
    ring: ?*ReceiveRing = null,
    /// Ring position from which on nothing refers to this run's memory.
    release_at: u32 = 0,

    /// Copies the unread rest into a slab. The caller takes the run off the arena's list.
    pub fn spill(run: *Run, slabs: *Slabs) error{OutOfMemory}!usize {
        assert(run.storage == .arena);
        const rest = run.bytes[run.position..run.len];
        const block = try slabs.allocate(rest.len);
        copy(block[0..rest.len], rest);
        run.bytes = block.ptr;
        run.skipped += run.position;
        run.len = @intCast(rest.len);
        run.position = 0;
        run.storage = .slab;
        run.block = block;
        return rest.len;
    }

    pub fn free(run: *Run, slabs: *Slabs, arena: *Arena) void {
        if (run.arena_link.linked()) arena.runs.remove(run);
        run.destroy(slabs);
    }

    /// Nothing refers to it any more.
    pub fn destroy(run: *Run, slabs: *Slabs) void {
        if (run.storage == .lent) slabs.unlend(run.len);
        if (run.block.len > 0) slabs.free(run.block);
        slabs.destroy(run);
    }
};

pub const Part = struct {
    bytes: [*]const u8,
    len: u32,
    more: bool,
    run: *Run,
    /// The last part of its run.
    exhausted: bool,
};

pub const ReceiveQueue = struct {
    head: ?*Run = null,
    last: ?*Run = null,
    /// Complete messages not handed out.
    messages: u32 = 0,
    bytes: u64 = 0,
    /// The last run that holds the end of a message, and where; null: no such run is here.
    boundary: ?*Run = null,
    boundary_end: u32 = 0,
    /// Parts of the last message were handed out, others not yet.
    reading: bool = false,
    /// Messages that ever arrived; wraps.
    arrived: u32 = 0,

    /// Appends whole frames in which `messages` messages end, the last one at `boundary_end`.
    pub fn push_arena(
        queue: *ReceiveQueue,
        slabs: *Slabs,
        arena: *Arena,
        bytes: []const u8,
        messages: u32,
        boundary_end: u32,
    ) error{OutOfMemory}!void {
        assert(bytes.len > 0 and boundary_end <= bytes.len);
        assert((messages == 0) == (boundary_end == 0));
        const run = try slabs.create(Run);
        run.* = .{ .bytes = bytes.ptr, .len = @intCast(bytes.len), .storage = .arena };
        arena.runs.push_back(run);
        queue.append(run, messages, boundary_end);
    }

    /// Appends one frame whose body lies in a lent buffer, and counts in the slabs.
    pub fn push_lent(
        queue: *ReceiveQueue,
        slabs: *Slabs,
        body: []const u8,
        more: bool,
        lent_id: u32,
    ) error{OutOfMemory}!void {
        const run = try slabs.create(Run);
        run.* = .{
            .bytes = body.ptr,
            .len = @intCast(body.len),
            .storage = .lent,
            .more = more,
            .lent_id = lent_id,
        };
        queue.append(run, if (more) 0 else 1, if (more) 0 else run.len);
    }

    /// Appends whole frames like `push_arena`, of which it keeps a copy.
    pub fn push_frames(
        queue: *ReceiveQueue,
        slabs: *Slabs,
        bytes: []const u8,
        messages: u32,
        boundary_end: u32,
    ) error{OutOfMemory}!void {
        queue.append(try copy_run(slabs, &.{bytes}), messages, boundary_end);
    }

    /// Appends a message of one part that did not come as a frame: what a command means, in the
    /// form that it has as data.
    pub fn push_message(
        queue: *ReceiveQueue,
        slabs: *Slabs,
        first: u8,
        rest: []const u8,
    ) error{OutOfMemory}!void {
        var header: [frame.header_size_max]u8 = undefined;
        const size = frame.encode(&header, 0, 1 + rest.len);
        const run = try copy_run(slabs, &.{ header[0..size], &.{first}, rest });
        queue.append(run, 1, run.len);
    }

    /// Appends a message of one part that no peer sent.
    pub fn push_own(
        queue: *ReceiveQueue,
        slabs: *Slabs,
        body: []const u8,
    ) error{OutOfMemory}!void {
        var header: [frame.header_size_max]u8 = undefined;
        const size = frame.encode(&header, 0, body.len);
        const run = try copy_run(slabs, &.{ header[0..size], body });
        queue.append(run, 1, run.len);
    }

    /// A run of its own memory, of pieces one behind the other.
    fn copy_run(slabs: *Slabs, pieces: []const []const u8) error{OutOfMemory}!*Run {
        var len: u32 = 0;
        for (pieces) |piece| len += @intCast(piece.len);
        const run = try slabs.create(Run);
        errdefer slabs.destroy(run);
        const block = try slabs.allocate(len);
        var used: usize = 0;
        for (pieces) |piece| {
            copy(block[used..][0..piece.len], piece);
            used += piece.len;
        }
        run.* = .{ .bytes = block.ptr, .len = len, .storage = .slab, .block = block };
        return run;
    }

    /// Bytes that have not been handed out, headers included.
    pub fn unread_bytes(queue: *const ReceiveQueue) u64 {
        const head = queue.head orelse return 0;
        return queue.bytes - head.skipped - head.position;
    }

    /// Of the complete messages only the last one stays; returns how many went.
    pub fn keep_newest(queue: *ReceiveQueue, resources: anytype) u32 {
        assert(!queue.reading);
        var dropped: u32 = 0;
        while (queue.messages > 1) {
            const part = queue.next_part(&resources.arena);
            if (!part.more) dropped += 1;
            if (part.exhausted) resources.gone(part.run);
        }
        return dropped;
    }

    fn append(queue: *ReceiveQueue, run: *Run, messages: u32, boundary_end: u32) void {
        if (queue.last) |last| last.next = run else queue.head = run;
        queue.last = run;
        queue.messages += messages;
        queue.arrived +%= messages;
        queue.bytes += run.len;
        if (messages > 0) {
            queue.boundary = run;
            queue.boundary_end = boundary_end;
        }
    }

    /// Hands out the next part of a complete message. An exhausted run is off the queue; its
    /// memory is the caller's to free once the part has been taken.
    pub inline fn next_part(queue: *ReceiveQueue, arena: *Arena) Part {
        assert(queue.messages > 0);
        const run = queue.head.?;
        var part: Part = undefined;
        if (run.storage == .lent) {
            part = .{
                .bytes = run.bytes,
                .len = run.len,
                .more = run.more,
                .run = run,
                .exhausted = true,
            };
        } else {
            const header = frame.decode(run.bytes[run.position..run.len]).?;
            assert(!header.command());
            const start = run.position + header.header_size;
            const size: u32 = @intCast(header.body_size);
            assert(start + size <= run.len);
            run.position = start + size;
            part = .{
                .bytes = run.bytes + start,
                .len = size,
                .more = header.more(),
                .run = run,
                .exhausted = run.position == run.len,
            };
        }
        queue.reading = part.more;
        if (!part.more) queue.messages -= 1;
        if (part.exhausted) queue.pop(run, arena);
        return part;
    }

    fn pop(queue: *ReceiveQueue, run: *Run, arena: *Arena) void {
        assert(queue.head == run);
        queue.head = run.next;
        run.next = null;
        if (queue.last == run) queue.last = null;
        if (queue.boundary == run) queue.boundary = null;
        queue.bytes -= run.skipped + run.len;
        if (run.storage == .arena) arena.runs.remove(run);
    }

    /// The rest of a message whose first parts were handed out goes.
    pub fn drop_begun(queue: *ReceiveQueue, resources: anytype) void {
        while (queue.reading) {
            const part = queue.next_part(&resources.arena);
            if (part.exhausted) resources.gone(part.run);
        }
    }

    /// The connection died: its incomplete message goes. Calls `gone(run)` for each run that is
    /// off the queue, so that the owner can give lent buffers back.
    pub fn rollback(queue: *ReceiveQueue, context: anytype) void {
        const boundary = queue.boundary orelse {
            assert(queue.messages == 0);
            return queue.clear(context);
        };
        var rest = boundary.next;
        boundary.next = null;
        queue.last = boundary;
        const end = queue.boundary_end - boundary.skipped;
        queue.bytes -= boundary.len - end;
        boundary.len = end;
        while (rest) |run| {
            rest = run.next;
            queue.bytes -= run.len;
            context.gone(run);
        }
        if (boundary.storage == .lent or boundary.position < end) return;
        // All its messages have been handed out: it held nothing else but what went.
        assert(queue.head == boundary and queue.messages == 0);
        queue.clear(context);
    }

    pub fn clear(queue: *ReceiveQueue, context: anytype) void {
        while (queue.head) |run| {
            queue.head = run.next;
            context.gone(run);
        }
        queue.* = .{ .arrived = queue.arrived };
    }

    pub fn invariants(queue: *const ReceiveQueue) void {
        var bytes: u64 = 0;
        var last: ?*Run = null;
        var boundary_seen = queue.boundary == null;
        var current = queue.head;
        while (current) |run| : (current = run.next) {
            assert(run.position <= run.len);
            // A run that is used up is off the queue.
            assert(run.storage == .lent or run.position < run.len);
            if (run == queue.boundary) boundary_seen = true;
            bytes += run.skipped + run.len;
            last = run;
        }
        assert(boundary_seen);
        assert(last == queue.last);
        assert(bytes == queue.bytes);
        assert(queue.messages == 0 or queue.boundary != null);
    }
};
