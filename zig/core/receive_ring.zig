//! The received parts that a socket has handed out, in a ring of records shared with the owner.
//!
//! The socket fills it (in the order its pattern decides), the owner takes from it without a call:
//! it reads `length`, `place` and `flags`, and writes back how far it got. A part is taken as a
//! view of the arena, as a copy (`copy`), or as the lent buffer it already lies in.
//!
//!          taken (owner)              filled (socket)
//!     ──────┬──────────────────────────┬──────────────
//!           │ entries not taken yet    │ free
//!     ──────┴──────────────────────────┴──────────────

const std = @import("std");
const assert = std.debug.assert;

const constants = @import("../constants.zig");
const Arena = @import("arena.zig").Arena;
const Link = @import("../stdx/intrusive_list.zig").Link;
const Part = @import("receive_queue.zig").Part;
const Resources = @import("pipe.zig").Resources;
const Run = @import("receive_queue.zig").Run;
const slab = @import("../stdx/slab.zig");
const Slabs = slab.Slabs;

pub const entries = constants.receive_ring_entries;
const mask = entries - 1;

pub const flag_more: u32 = 1;
/// `place` is an offset in the arena: the part may be taken as a view.
pub const flag_arena: u32 = 2;
/// `place` is the id of a lent buffer that holds exactly this part.
pub const flag_lent: u32 = 4;

/// No part: what was taken of this message is to be thrown away, its rest will not come.
pub const flag_cut: u32 = 8;

/// One received part, shared with the owner.
pub const Entry = extern struct {
    length: u32,
    place: u32,
    flags: u32,
    /// The pipe it came from; 0: not known.
    source: u32,
};

/// How far each side got; both count up for ever and wrap.
pub const Cursor = extern struct {
    /// Written by the owner.
    taken: u32 = 0,
    /// Written by the socket.
    filled: u32 = 0,
};

pub const ReceiveRing = struct {
    arena_link: Link = .{},
    cursor: *Cursor,
    shared: *[entries]Entry,
    pointers: [entries][*]const u8 = undefined,
    /// Runs whose memory entries refer to, in ring order.
    release_head: ?*Run = null,
    release_last: ?*Run = null,
    /// Memory of spilled entries, freed when the ring is past `spilled_until`.
    spilled: slab.Block = &.{},
    spilled_until: u32 = 0,
    /// The last entry that lies in the arena is before this.
    arena_until: u32 = 0,
    /// Where the message that was filled last begins.
    message_start: u32 = 0,

    pub fn waiting(ring: *const ReceiveRing) u32 {
        return ring.cursor.filled -% ring.cursor.taken;
    }

    pub fn free_entries(ring: *const ReceiveRing) u32 {
        // `taken` is written by the owner: a wild value must not become a wild index.
        return entries - @min(ring.waiting(), entries);
    }

    /// The part's memory stays valid until the owner has taken it.
    pub inline fn push(ring: *ReceiveRing, arena: *Arena, part: Part, source: u32) void {
        assert(ring.waiting() < entries);
        assert(ring.spilled.len == 0);
        const position = ring.cursor.filled;
        const index = position & mask;
        var flags: u32 = if (part.more) flag_more else 0;
        var place: u32 = 0;
        const run = part.run;
        switch (run.storage) {
            .arena => {
                flags |= flag_arena;
                place = arena.offset_of(part.bytes);
                ring.arena_until = position +% 1;
                if (!ring.arena_link.linked()) arena.rings.push_back(ring);
            },
            .slab => run.ring = ring,
            .lent => {
                flags |= flag_lent;
                place = run.lent_id;
            },
        }
        ring.shared[index] = .{
            .length = part.len,
            .place = place,
            .flags = flags,
            .source = source,
        };
        ring.pointers[index] = part.bytes;
        ring.cursor.filled = position +% 1;
        if (part.exhausted) ring.retire(run);
    }

    pub inline fn begin_message(ring: *ReceiveRing) void {
        ring.message_start = ring.cursor.filled;
    }

    /// The rest of the message filled last will not come: what is there of it goes. Where the
    /// owner has begun to take it (it has more parts than the ring holds), it is told.
    pub fn cut_message(ring: *ReceiveRing, resources: *Resources) void {
        const taken = ring.cursor.taken;
        const begun = taken != ring.message_start and passed(ring.message_start, taken);
        const end = if (begun) taken else ring.message_start;
        var position = end;
        while (position != ring.cursor.filled) : (position +%= 1) {
            const entry = &ring.shared[position & mask];
            if (entry.flags & flag_lent != 0) resources.abandoned.add(entry.place);
        }
        ring.cursor.filled = end;
        if (!passed(ring.arena_until, end)) ring.arena_until = end;
        if (!begun) return;
        ring.shared[end & mask] = .{ .length = 0, .place = 0, .flags = flag_cut, .source = 0 };
        ring.pointers[end & mask] = "";
        ring.cursor.filled = end +% 1;
    }

    pub fn retire(ring: *ReceiveRing, run: *Run) void {
        run.release_at = ring.cursor.filled;
        assert(run.next == null);
        if (ring.release_last) |last| last.next = run else ring.release_head = run;
        ring.release_last = run;
    }

    /// Frees the memory of what has been taken.
    pub fn release(ring: *ReceiveRing, slabs: *Slabs) void {
        const taken = ring.cursor.taken;
        while (ring.release_head) |run| {
            if (passed(run.release_at, taken) == false) break;
            ring.release_head = run.next;
            if (ring.release_head == null) ring.release_last = null;
            if (run.block.len > 0) slabs.free(run.block);
            slabs.destroy(run);
        }
        if (ring.spilled.len > 0 and passed(ring.spilled_until, taken)) {
            slabs.free(ring.spilled);
            ring.spilled = &.{};
        }
    }

    fn passed(position: u32, taken: u32) bool {
        return @as(i32, @bitCast(taken -% position)) >= 0;
    }

    pub fn arena_entries_taken(ring: *const ReceiveRing) bool {
        return passed(ring.arena_until, ring.cursor.taken);
    }

    /// Copies one part into the owner's memory. False: that entry is not there.
    pub inline fn copy(ring: *const ReceiveRing, position: u32, target: []u8) bool {
        if (position -% ring.cursor.taken >= ring.waiting()) return false;
        const index = position & mask;
        if (ring.shared[index].length != target.len) return false;
        @memcpy(target, ring.pointers[index][0..target.len]);
        return true;
    }

    /// Moves what lies in the arena into one slab block and rewrites the entries in place.
    pub fn spill(ring: *ReceiveRing, slabs: *Slabs) error{OutOfMemory}!usize {
        ring.release(slabs);
        // The ring is only filled when it is empty, so one block is enough for all of it.
        assert(ring.spilled.len == 0);
        var size: usize = 0;
        var position = ring.cursor.taken;
        while (position != ring.cursor.filled) : (position +%= 1) {
            const entry = &ring.shared[position & mask];
            if (entry.flags & flag_arena != 0) size += entry.length;
        }
        const block = try slabs.allocate(@max(size, 1));
        var used: usize = 0;
        position = ring.cursor.taken;
        while (position != ring.cursor.filled) : (position +%= 1) {
            const entry = &ring.shared[position & mask];
            if (entry.flags & flag_arena == 0) continue;
            const pointer = &ring.pointers[position & mask];
            @memcpy(block[used..][0..entry.length], pointer.*[0..entry.length]);
            pointer.* = block.ptr + used;
            used += entry.length;
            entry.flags &= ~flag_arena;
            entry.place = 0;
        }
        ring.spilled = block;
        ring.spilled_until = ring.cursor.filled;
        return used;
    }

    /// Everything not taken goes: the socket closes, or the pattern has no use for it.
    pub fn clear(ring: *ReceiveRing, resources: *Resources) void {
        var position = ring.cursor.taken;
        while (position != ring.cursor.filled) : (position +%= 1) {
            const entry = &ring.shared[position & mask];
            if (entry.flags & flag_lent != 0) resources.abandoned.add(entry.place);
        }
        if (ring.arena_link.linked()) resources.arena.rings.remove(ring);
        ring.cursor.taken = ring.cursor.filled;
        while (ring.release_head) |run| {
            ring.release_head = run.next;
            if (run.block.len > 0) resources.slabs.free(run.block);
            resources.slabs.destroy(run);
        }
        ring.release_last = null;
        if (ring.spilled.len > 0) resources.slabs.free(ring.spilled);
        ring.spilled = &.{};
    }
};

comptime {
    assert(@sizeOf(Entry) == 16);
    assert(std.math.isPowerOfTwo(entries));
}
