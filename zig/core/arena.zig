//! The receive arena: the chunk of memory that the owner of the context lends (JavaScript lends a
//! Buffer, a native thread a slab), into which every connection receives.
//!
//!     0 ........ used ............................. len
//!     [ received, referred to by runs and ring entries | free ]
//!
//! Bytes in the arena are referred to, not owned: by runs (messages that wait in a pipe) and by
//! the entries of receive rings (messages handed out, not taken yet). Before the memory is used
//! again both are moved into slabs ("spilled"), so neither ever sees it change. Views that
//! JavaScript has made are its own affair: it says `viewed` and lends a fresh chunk.

const std = @import("std");
const assert = std.debug.assert;

const constants = @import("../constants.zig");
const List = @import("../stdx/intrusive_list.zig").List;
const ReceiveRing = @import("receive_ring.zig").ReceiveRing;
const Run = @import("receive_queue.zig").Run;
const Slabs = @import("../stdx/slab.zig").Slabs;

pub const Arena = struct {
    chunk: []u8 = &.{},
    used: u32 = 0,
    /// JavaScript holds views into the chunk: used space is never written again.
    viewed: bool = false,
    runs: List(Run, .arena_link) = .{},
    rings: List(ReceiveRing, .arena_link) = .{},
    /// Bytes copied out of the chunk because nobody had taken them in time.
    spilled_bytes: u64 = 0,

    /// Takes a new chunk. Whatever still refers to the old one is spilled first.
    pub fn lend(arena: *Arena, slabs: *Slabs, chunk: []u8) error{OutOfMemory}!void {
        try arena.spill(slabs);
        arena.chunk = chunk;
        arena.used = 0;
        arena.viewed = false;
    }

    pub fn unreferenced(arena: *const Arena) bool {
        return arena.runs.empty() and arena.rings.empty();
    }

    /// Makes room before a turn's receiving: the owner had its chance to take what came before.
    /// False: nothing can be received until the owner takes messages or lends another chunk.
    pub fn prepare(arena: *Arena, slabs: *Slabs) bool {
        arena.release_rings();
        if (!arena.viewed and arena.unreferenced()) arena.used = 0;
        // Less would starve a connection with a long tail, turn after turn.
        const enough = arena.free_bytes() >= constants.arena_turn_bytes_min;
        if (enough and arena.free_bytes() * 2 >= arena.chunk.len) return true;
        if (arena.viewed) return enough;
        // Out of memory is back-pressure: what is unread stays where it is.
        arena.spill(slabs) catch return enough;
        arena.used = 0;
        return arena.chunk.len >= constants.arena_turn_bytes_min;
    }

    /// Free space of at least `bytes_min`, or null: this turn has received what it can.
    pub fn reserve(arena: *Arena, bytes_min: u32) ?[]u8 {
        if (arena.free_bytes() < bytes_min) return null;
        return arena.chunk[arena.used..];
    }

    pub fn free_bytes(arena: *const Arena) u32 {
        return @as(u32, @intCast(arena.chunk.len)) - arena.used;
    }

    /// Keeps `bytes` from the beginning of what `reserve` returned.
    pub fn keep(arena: *Arena, bytes: u32) void {
        assert(bytes <= arena.free_bytes());
        arena.used += bytes;
    }

    pub fn offset_of(arena: *const Arena, pointer: [*]const u8) u32 {
        const offset = @intFromPtr(pointer) - @intFromPtr(arena.chunk.ptr);
        assert(offset <= arena.chunk.len);
        return @intCast(offset);
    }

    fn release_rings(arena: *Arena) void {
        var next = arena.rings.first();
        while (next) |ring| {
            next = arena.rings.next(ring);
            if (ring.arena_entries_taken()) arena.rings.remove(ring);
        }
    }

    pub fn spill(arena: *Arena, slabs: *Slabs) error{OutOfMemory}!void {
        arena.release_rings();
        while (arena.rings.first()) |ring| {
            arena.spilled_bytes += try ring.spill(slabs);
            arena.rings.remove(ring);
        }
        while (arena.runs.first()) |run| {
            arena.spilled_bytes += try run.spill(slabs);
            arena.runs.remove(run);
        }
        assert(arena.unreferenced());
    }
};

test "a turn that begins has room for the longest tail: its connection would never be read again" {
    const bytes = constants.arena_bytes_default;
    const chunk = try std.testing.allocator.alloc(u8, bytes);
    defer std.testing.allocator.free(chunk);
    var slabs: Slabs = .init(1 << 20);
    defer slabs.deinit();
    var arena: Arena = .{};
    try std.testing.expect(!arena.prepare(&slabs));
    try arena.lend(&slabs, chunk);
    for (0..bytes) |used| {
        if (used % 97 != 0) continue;
        // Somebody may still look at what is used.
        for ([_]bool{ false, true }) |viewed| {
            arena.used = @intCast(used);
            arena.viewed = viewed;
            if (arena.prepare(&slabs)) {
                try std.testing.expect(arena.reserve(constants.arena_turn_bytes_min) != null);
            } else try std.testing.expect(viewed);
            if (viewed) try std.testing.expect(arena.used == used);
        }
    }
    arena.chunk = &.{};
}

test "without memory to spill to, unread messages stay where they are" {
    var chunk: [constants.arena_bytes_default]u8 = @splat('u');
    var slabs: Slabs = .init(1 << 20);
    defer slabs.deinit();
    var arena: Arena = .{};
    try arena.lend(&slabs, &chunk);
    const run = try slabs.create(Run);
    arena.keep(60_000);
    run.* = .{ .bytes = &chunk, .len = 60_000, .storage = .arena };
    arena.runs.push_back(run);
    slabs.fail_after = 0;
    try std.testing.expect(!arena.prepare(&slabs));
    try std.testing.expectEqual(60_000, arena.used);
    try std.testing.expect(arena.prepare(&slabs));
    try std.testing.expectEqual(60_000, arena.spilled_bytes);
    @memset(&chunk, 'x');
    try std.testing.expect(std.mem.allEqual(u8, run.bytes[0..run.len], 'u'));
    run.free(&slabs, &arena);
}
