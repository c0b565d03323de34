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
const copy_bytes = @import("../stdx/copy.zig").copy;
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
/// `place` is the id of a lent buffer that this part is the end of.
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
    /// Parts that did not come from a peer (routing ids), until the ring is filled again.
    scratch: slab.Block = &.{},
    scratch_used: u32 = 0,

    pub fn waiting(ring: *const ReceiveRing) u32 {
        return ring.cursor.filled -% ring.cursor.taken;
    }

    /// Messages whose last part is still to be taken.
    pub fn messages_waiting(ring: *const ReceiveRing) u32 {
        var count: u32 = 0;
        var position = ring.taken_until();
        while (position != ring.cursor.filled) : (position +%= 1) {
            const flags = ring.shared[position & mask].flags;
            if (flags & (flag_more | flag_cut) == 0) count += 1;
        }
        return count;
    }

    /// How far the owner has got. A wild value of its counts as all of it.
    pub fn taken_until(ring: *const ReceiveRing) u32 {
        return if (ring.waiting() > entries) ring.cursor.filled else ring.cursor.taken;
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

    /// For patterns that put parts of their own before a message.
    pub fn open_scratch(ring: *ReceiveRing, slabs: *Slabs) error{OutOfMemory}!void {
        ring.scratch = try slabs.allocate(constants.receive_scratch_bytes);
    }

    pub fn close_scratch(ring: *ReceiveRing, slabs: *Slabs) void {
        if (ring.scratch.len > 0) slabs.free(ring.scratch);
        ring.scratch = &.{};
    }

    /// Whether another part of that size can be put there before the ring is filled again.
    pub fn scratch_free(ring: *const ReceiveRing, bytes: usize) bool {
        return ring.scratch.len - ring.scratch_used >= bytes;
    }

    /// A part that did not come from a peer: its bytes are copied.
    pub inline fn push_copy(ring: *ReceiveRing, bytes: []const u8, more: bool, source: u32) void {
        assert(ring.waiting() < entries and ring.scratch_free(bytes.len));
        const target = ring.scratch[ring.scratch_used..][0..bytes.len];
        @memcpy(target, bytes);
        ring.scratch_used += @intCast(bytes.len);
        const index = ring.cursor.filled & mask;
        ring.shared[index] = .{
            .length = @intCast(bytes.len),
            .place = 0,
            .flags = if (more) flag_more else 0,
            .source = source,
        };
        ring.pointers[index] = target.ptr;
        ring.cursor.filled +%= 1;
    }

    /// A part that is still to be taken, for an owner that needs no copy of its own.
    pub fn peek(ring: *const ReceiveRing, position: u32) struct { bytes: []const u8, flags: u32 } {
        const it = ring.entry_at(position);
        return .{ .bytes = ring.pointers[position & mask][0..it.length], .flags = it.flags };
    }

    pub fn entry_at(ring: *const ReceiveRing, position: u32) *const Entry {
        assert(position -% ring.cursor.taken < ring.waiting());
        return &ring.shared[position & mask];
    }

    pub inline fn begin_message(ring: *ReceiveRing) void {
        ring.message_start = ring.cursor.filled;
    }

    /// The rest of the message filled last will not come: what is there of it goes. Where the
    /// owner has begun to take it (it has more parts than the ring holds), it is told.
    pub fn cut_message(ring: *ReceiveRing, resources: *Resources) void {
        const taken = ring.taken_until();
        const begun = taken != ring.message_start and passed(ring.message_start, taken);
        const end = if (begun) taken else ring.message_start;
        var position = end;
        while (position != ring.cursor.filled) : (position +%= 1) {
            const entry = &ring.shared[position & mask];
            if (entry.flags & flag_lent == 0) continue;
            resources.abandoned.add(&resources.slabs, entry.place);
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
        if (ring.waiting() == 0) ring.scratch_used = 0;
        while (ring.release_head) |run| {
            if (passed(run.release_at, taken) == false) break;
            ring.release_head = run.next;
            if (ring.release_head == null) ring.release_last = null;
            run.destroy(slabs);
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
        copy_bytes(target, ring.pointers[index][0..target.len]);
        return true;
    }

    /// Moves what lies in the arena into one slab block and rewrites the entries in place.
    pub fn spill(ring: *ReceiveRing, slabs: *Slabs) error{OutOfMemory}!usize {
        ring.release(slabs);
        // The ring is only filled when it is empty, so one block is enough for all of it.
        assert(ring.spilled.len == 0);
        var size: usize = 0;
        var position = ring.taken_until();
        while (position != ring.cursor.filled) : (position +%= 1) {
            const entry = &ring.shared[position & mask];
            if (entry.flags & flag_arena != 0) size += entry.length;
        }
        const block = try slabs.allocate(@max(size, 1));
        var used: usize = 0;
        position = ring.taken_until();
        while (position != ring.cursor.filled) : (position +%= 1) {
            const entry = &ring.shared[position & mask];
            if (entry.flags & flag_arena == 0) continue;
            const pointer = &ring.pointers[position & mask];
            copy_bytes(block[used..][0..entry.length], pointer.*[0..entry.length]);
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
        var position = ring.taken_until();
        while (position != ring.cursor.filled) : (position +%= 1) {
            const entry = &ring.shared[position & mask];
            if (entry.flags & flag_lent == 0) continue;
            resources.abandoned.add(&resources.slabs, entry.place);
        }
        if (ring.arena_link.linked()) resources.arena.rings.remove(ring);
        // Taken back, not skipped: the owner counts on being the only one to move `taken`.
        ring.cursor.filled = ring.cursor.taken;
        ring.arena_until = ring.cursor.filled;
        ring.message_start = ring.cursor.filled;
        while (ring.release_head) |run| {
            ring.release_head = run.next;
            run.destroy(&resources.slabs);
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

const Prng = @import("../stdx/prng.zig").Prng;
const ReceiveQueue = @import("receive_queue.zig").ReceiveQueue;

/// One random life of what lies between a connection and its reader: chunk, queue, ring. Messages
/// are numbers: a part's bytes tell which message and which part of it they are.
const Life = struct {
    resources: Resources,
    chunk: [4096]u8 = undefined,
    queue: ReceiveQueue = .{},
    cursor: Cursor = .{},
    shared: [entries]Entry = undefined,
    ring: ReceiveRing = undefined,
    prng: Prng,
    /// Messages that have arrived and that were taken; parts of the one under way at each end.
    arrived: u32 = 0,
    taken: u32 = 0,
    taken_parts: u32 = 0,
    arriving: u32 = 0,

    const allocator = std.testing.allocator;

    fn init(life: *Life, seed: u64) !void {
        life.* = .{
            .resources = .{ .slabs = .init(1 << 24), .allocator = allocator },
            .prng = .init(seed),
        };
        life.ring = .{ .cursor = &life.cursor, .shared = &life.shared };
        try life.resources.arena.lend(&life.resources.slabs, &life.chunk);
    }

    fn deinit(life: *Life) void {
        life.resources.slabs.fail_after = null;
        life.ring.clear(&life.resources);
        life.queue.clear(&life.resources);
        assert(life.resources.arena.unreferenced());
        life.resources.slabs.deinit();
    }

    fn parts_of(number: u32) u32 {
        return if (number % 50 == 17) 700 else 1 + number % 4;
    }

    fn size_of(number: u32, part: u32) usize {
        return (number *% 31 +% part *% 7) % 60;
    }

    fn byte_of(number: u32, part: u32) u8 {
        return @truncate(number *% 13 +% part);
    }

    /// Some frames arrive in the chunk, whole messages and perhaps the beginning of one.
    fn arrive(life: *Life) !void {
        const arena = &life.resources.arena;
        const space = arena.reserve(200) orelse return;
        var used: u32 = 0;
        var messages: u32 = 0;
        var boundary: u32 = 0;
        const arriving = life.arriving;
        const arrived = life.arrived;
        for (0..@intCast(1 + life.prng.below(20))) |_| {
            const number = life.arrived;
            const size = size_of(number, life.arriving);
            if (used + 2 + size > space.len) break;
            const more = life.arriving + 1 < parts_of(number);
            space[used] = @intFromBool(more);
            space[used + 1] = @intCast(size);
            @memset(space[used + 2 ..][0..size], byte_of(number, life.arriving));
            used += @intCast(2 + size);
            life.arriving += 1;
            if (more) continue;
            life.arriving = 0;
            life.arrived += 1;
            messages += 1;
            boundary = used;
        }
        if (used == 0) return;
        const slabs = &life.resources.slabs;
        const bytes = space[0..used];
        if (life.queue.push_arena(slabs, arena, bytes, messages, boundary)) {
            arena.keep(used);
        } else |_| {
            // The connection ends with it.
            life.arriving = arriving;
            life.arrived = arrived;
            life.lose_incomplete();
        }
    }

    fn lose_incomplete(life: *Life) void {
        life.queue.rollback(&life.resources);
        life.arriving = 0;
    }

    /// As the socket does.
    fn fill(life: *Life) void {
        if (life.ring.waiting() > 0) return;
        life.ring.release(&life.resources.slabs);
        var messages = life.prng.below(40);
        while (messages > 0 and life.queue.messages > 0 and life.ring.free_entries() > 0) {
            if (!life.queue.reading) life.ring.begin_message();
            const part = life.queue.next_part(&life.resources.arena);
            life.ring.push(&life.resources.arena, part, 1);
            if (!part.more) messages -= 1;
        }
    }

    fn take(life: *Life, count: u64) !void {
        for (0..@min(count, life.ring.waiting())) |_| {
            const entry = life.shared[life.cursor.taken & mask];
            const number = life.taken;
            const size = size_of(number, life.taken_parts);
            try std.testing.expectEqual(size, entry.length);
            var buffer: [64]u8 = undefined;
            try std.testing.expect(life.ring.copy(life.cursor.taken, buffer[0..size]));
            const byte = byte_of(number, life.taken_parts);
            try std.testing.expect(std.mem.allEqual(u8, buffer[0..size], byte));
            if (entry.flags & flag_arena != 0) {
                const view = life.chunk[entry.place..][0..size];
                try std.testing.expect(std.mem.allEqual(u8, view, byte));
            }
            life.taken_parts += 1;
            const more = life.taken_parts < parts_of(number);
            try std.testing.expectEqual(more, entry.flags & flag_more != 0);
            if (!more) {
                life.taken += 1;
                life.taken_parts = 0;
            }
            life.cursor.taken +%= 1;
        }
    }

    /// As before a turn's receiving: used space is written again only when nothing refers to it.
    fn reuse(life: *Life) void {
        const arena = &life.resources.arena;
        arena.spill(&life.resources.slabs) catch return;
        @memset(&life.chunk, 0xdd);
        arena.used = 0;
    }

    fn step(life: *Life, out_of_memory: bool) !void {
        if (out_of_memory and life.prng.chance(1, 5)) {
            life.resources.slabs.fail_after = life.prng.below(3);
        }
        defer life.resources.slabs.fail_after = null;
        const Action = enum { arrive, fill, take, take_all, reuse, die };
        switch (life.prng.weighted(Action, .{
            .arrive = 10,
            .fill = 8,
            .take = 5,
            .take_all = 4,
            .reuse = 3,
            .die = 1,
        })) {
            .arrive => try life.arrive(),
            .fill => life.fill(),
            .take => try life.take(life.prng.below(30)),
            .take_all => try life.take(entries),
            .reuse => life.reuse(),
            .die => life.lose_incomplete(),
        }
        life.queue.invariants();
        life.resources.slabs.invariants();
    }
};

test "every part is handed out once, in order and unchanged, whenever it is taken" {
    for (0..60) |seed| {
        const life = try Life.allocator.create(Life);
        defer Life.allocator.destroy(life);
        try life.init(seed);
        defer life.deinit();
        for (0..400) |_| try life.step(seed % 2 == 0);
        life.lose_incomplete();
        while (life.taken < life.arrived) {
            life.fill();
            try life.take(entries);
        }
        try std.testing.expectEqual(0, life.queue.messages);
        try std.testing.expectEqual(0, life.queue.bytes);
        life.ring.release(&life.resources.slabs);
        try std.testing.expectEqual(0, life.resources.slabs.live_bytes);
    }
}

test "a wild position written by the owner reads nothing: it is shared memory" {
    const life = try Life.allocator.create(Life);
    defer Life.allocator.destroy(life);
    try life.init(1);
    defer life.deinit();
    for (0..20) |_| try life.arrive();
    life.fill();
    const filled = life.cursor.filled;
    var buffer: [64]u8 = undefined;
    try std.testing.expect(!life.ring.copy(filled, &buffer));
    try std.testing.expect(!life.ring.copy(filled +% 100_000, buffer[0..0]));
    try std.testing.expect(!life.ring.copy(life.cursor.taken, buffer[0..63]));
    life.cursor.taken = filled +% 1000;
    try std.testing.expectEqual(0, life.ring.free_entries());
    life.cursor.taken = filled;
}
