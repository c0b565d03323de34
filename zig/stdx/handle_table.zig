//! Handles: how the host language and completions name a thing of ours without a pointer. A
//! handle is a slot and a generation; a late or invented one finds nothing instead of a stranger.
//! Only naming and storage live here: nothing about what a value is or how it is torn down.
//!
//!      31                 20 19                                  0
//!     +---------------------+-------------------------------------+
//!     |   generation, ≥ 1   |                slot                 |     0 is never a handle
//!     +---------------------+-------------------------------------+
//!
//! Values stay where they are when the table grows. A slot whose generations are used up is
//! retired, and a chunk of which every slot is retired is given back, so that a program that
//! opens and closes for years neither reuses a handle nor grows.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;

pub const Options = struct {
    slot_bits: u5 = 20,
    generation_bits: u5 = 12,
    /// Slots this table uses, from and to (0: all that there are). Where two tables have different
    /// ones, no handle of one is ever a handle of the other.
    slot_first: u32 = 0,
    slot_end: u32 = 0,
    /// Values allocated together. A power of two.
    chunk_slots: u32 = 64,
};

pub fn HandleTable(comptime T: type, comptime options: Options) type {
    comptime assert(options.slot_bits > 0 and options.generation_bits > 0);
    comptime assert(@as(u32, options.slot_bits) + options.generation_bits <= 32);
    comptime assert(std.math.isPowerOfTwo(options.chunk_slots));
    comptime assert(options.chunk_slots <= @as(u32, 1) << options.slot_bits);
    comptime assert(options.slot_end <= @as(u32, 1) << options.slot_bits);

    return struct {
        const Self = @This();

        const slot_end = if (options.slot_end > 0) options.slot_end else slot_mask + 1;
        pub const slots_max: u32 = slot_end - options.slot_first;
        /// Generations start at 1, so that slot 0 has no handle 0.
        pub const generation_max: u32 = (@as(u32, 1) << options.generation_bits) - 1;
        const slot_mask = (@as(u32, 1) << options.slot_bits) - 1;
        const chunk_shift = std.math.log2_int(u32, options.chunk_slots);
        const chunk_mask = options.chunk_slots - 1;
        const slot_none = std.math.maxInt(u32);

        pub const Entry = struct { handle: u32, value: *T };

        const Chunk = struct {
            /// The handle of a live slot, 0 while it is free or retired: one comparison resolves.
            handles: [options.chunk_slots]u32 = @splat(0),
            /// Of the slot's next occupant.
            generations: [options.chunk_slots]u32 = @splat(1),
            free_next: [options.chunk_slots]u32 = @splat(slot_none),
            retired: u32 = 0,
            values: [options.chunk_slots]T,
        };

        allocator: Allocator,
        /// Live values at the same time, at most.
        max: u32,
        /// null once every slot of the chunk is retired.
        chunks: std.ArrayList(?*Chunk) = .empty,
        /// Slots [0, slots_used) were occupied at least once.
        slots_used: u32 = 0,
        /// First in, first out: the longest possible time before a slot has a new occupant.
        free_head: u32 = slot_none,
        free_tail: u32 = slot_none,
        live: u32 = 0,
        retired: u32 = 0,

        pub fn init(allocator: Allocator, max: u32) Self {
            assert(max > 0);
            assert(max <= slots_max);
            return .{ .allocator = allocator, .max = max };
        }

        /// Every value must have been removed: the table does not know how to tear one down.
        pub fn deinit(self: *Self) void {
            assert(self.live == 0);
            for (self.chunks.items) |chunk| if (chunk) |memory| self.allocator.destroy(memory);
            self.chunks.deinit(self.allocator);
            self.* = undefined;
        }

        /// The value is undefined: the caller fills it in. `TooMany`: `max` are live already, or
        /// every slot is retired.
        pub fn insert(self: *Self) error{ OutOfMemory, TooMany }!Entry {
            assert(self.live <= self.max);
            if (self.live == self.max) return error.TooMany;
            const slot = self.free_pop() orelse try self.slot_add();
            const chunk = self.chunk_of(slot);
            const index = slot & chunk_mask;
            const generation = chunk.generations[index];
            assert(chunk.handles[index] == 0);
            assert(generation >= 1 and generation <= generation_max);
            const handle = generation << options.slot_bits | (slot + options.slot_first);
            chunk.handles[index] = handle;
            self.live += 1;
            return .{ .handle = handle, .value = &chunk.values[index] };
        }

        /// null for any number that is not a live handle, wherever it came from.
        pub fn get(self: *const Self, handle: u32) ?*T {
            const slot = slot_of(handle);
            if (slot >= self.slots_used) return null;
            const chunk = self.chunks.items[slot >> chunk_shift] orelse return null;
            const index = slot & chunk_mask;
            if (chunk.handles[index] != handle or handle == 0) return null;
            return &chunk.values[index];
        }

        /// Counted from `slot_first`; below that it wraps, beyond all slots.
        fn slot_of(handle: u32) u32 {
            return (handle & slot_mask) -% options.slot_first;
        }

        /// The handle must be live; it never will be again.
        pub fn remove(self: *Self, handle: u32) void {
            assert(self.live > 0);
            assert(self.get(handle) != null);
            const slot = slot_of(handle);
            const index = slot & chunk_mask;
            const chunk = self.chunk_of(slot);
            chunk.handles[index] = 0;
            chunk.values[index] = undefined;
            self.live -= 1;
            if (chunk.generations[index] == generation_max) {
                chunk.retired += 1;
                self.retired += 1;
                if (chunk.retired == options.chunk_slots) self.chunk_release(slot);
            } else {
                chunk.generations[index] += 1;
                self.free_push(slot);
            }
        }

        pub fn count(self: *const Self) u32 {
            assert(self.live <= self.max);
            return self.live;
        }

        /// Live values in slot order. The value just returned may be removed before the next step;
        /// one inserted meanwhile may or may not be seen.
        pub fn iterator(self: *const Self) Iterator {
            return .{ .table = self };
        }

        pub const Iterator = struct {
            table: *const Self,
            slot: u32 = 0,

            pub fn next(it: *Iterator) ?Entry {
                while (it.slot < it.table.slots_used) {
                    const slot = it.slot;
                    const chunk = it.table.chunks.items[slot >> chunk_shift] orelse {
                        it.slot = (slot | chunk_mask) + 1;
                        continue;
                    };
                    it.slot += 1;
                    const index = slot & chunk_mask;
                    const handle = chunk.handles[index];
                    if (handle != 0) return .{ .handle = handle, .value = &chunk.values[index] };
                }
                return null;
            }
        };

        /// O(slots): for tests.
        pub fn invariants(self: *const Self) void {
            var live: u32 = 0;
            var retired: u32 = 0;
            for (self.chunks.items, 0..) |maybe_chunk, chunk_index| {
                const chunk = maybe_chunk orelse {
                    retired += options.chunk_slots;
                    continue;
                };
                assert(chunk.retired < options.chunk_slots);
                for (chunk.handles, chunk.generations, 0..) |handle, generation, index| {
                    if (handle == 0) continue;
                    assert(handle >> options.slot_bits == generation);
                    assert(slot_of(handle) == chunk_index * options.chunk_slots + index);
                    live += 1;
                }
                retired += chunk.retired;
            }
            var free: u32 = 0;
            var last: u32 = slot_none;
            var slot = self.free_head;
            while (slot != slot_none) : (slot = self.chunk_of(slot).free_next[slot & chunk_mask]) {
                assert(self.chunk_of(slot).handles[slot & chunk_mask] == 0);
                last = slot;
                free += 1;
                assert(free <= self.slots_used);
            }
            assert(last == self.free_tail);
            assert(live == self.live and retired == self.retired);
            assert(live + retired + free == self.slots_used);
            assert(self.slots_used <= self.chunks.items.len * options.chunk_slots);
        }

        fn chunk_of(self: *const Self, slot: u32) *Chunk {
            assert(slot < self.slots_used);
            return self.chunks.items[slot >> chunk_shift].?;
        }

        fn slot_add(self: *Self) error{ OutOfMemory, TooMany }!u32 {
            assert(self.free_head == slot_none);
            const slot = self.slots_used;
            if (slot == slots_max) return error.TooMany;
            if (slot >> chunk_shift == self.chunks.items.len) {
                assert(slot & chunk_mask == 0);
                try self.chunks.ensureUnusedCapacity(self.allocator, 1);
                const chunk = try self.allocator.create(Chunk);
                chunk.* = .{ .values = undefined };
                self.chunks.appendAssumeCapacity(chunk);
            }
            self.slots_used += 1;
            return slot;
        }

        fn chunk_release(self: *Self, slot: u32) void {
            const chunk = self.chunk_of(slot);
            assert(chunk.retired == options.chunk_slots);
            for (chunk.handles) |handle| assert(handle == 0);
            self.chunks.items[slot >> chunk_shift] = null;
            self.allocator.destroy(chunk);
        }

        fn free_push(self: *Self, slot: u32) void {
            assert((self.free_head == slot_none) == (self.free_tail == slot_none));
            assert(self.chunk_of(slot).free_next[slot & chunk_mask] == slot_none);
            if (self.free_tail == slot_none) {
                self.free_head = slot;
            } else {
                self.chunk_of(self.free_tail).free_next[self.free_tail & chunk_mask] = slot;
            }
            self.free_tail = slot;
        }

        fn free_pop(self: *Self) ?u32 {
            assert((self.free_head == slot_none) == (self.free_tail == slot_none));
            if (self.free_head == slot_none) return null;
            const slot = self.free_head;
            const next = &self.chunk_of(slot).free_next[slot & chunk_mask];
            self.free_head = next.*;
            next.* = slot_none;
            if (self.free_head == slot_none) self.free_tail = slot_none;
            return slot;
        }
    };
}

const testing = std.testing;

test "a handle of one table is none of another one that has other slots" {
    const Low = HandleTable(u32, .{ .slot_bits = 4, .chunk_slots = 2, .slot_end = 10 });
    const High = HandleTable(u32, .{ .slot_bits = 4, .chunk_slots = 2, .slot_first = 10 });
    var low: Low = .init(std.testing.allocator, Low.slots_max);
    defer low.deinit();
    var high: High = .init(std.testing.allocator, High.slots_max);
    defer high.deinit();
    try std.testing.expectEqual(16, Low.slots_max + High.slots_max);
    var handles: std.ArrayList(u32) = .empty;
    defer handles.deinit(std.testing.allocator);
    for (0..Low.slots_max) |_| {
        try handles.append(std.testing.allocator, (try low.insert()).handle);
    }
    try std.testing.expectError(error.TooMany, low.insert());
    for (handles.items) |handle| try std.testing.expectEqual(null, high.get(handle));
    for (0..High.slots_max) |_| {
        const entry = try high.insert();
        try std.testing.expectEqual(null, low.get(entry.handle));
        try std.testing.expectEqual(entry.value, high.get(entry.handle).?);
    }
    high.invariants();
    var all = high.iterator();
    while (all.next()) |entry| high.remove(entry.handle);
    for (handles.items) |handle| low.remove(handle);
    low.invariants();
}

test "a closed socket's handle never finds the next socket, nor does any invented number" {
    var table = HandleTable(u64, .{}).init(testing.allocator, 8);
    defer table.deinit();
    try testing.expectEqual(@as(?*u64, null), table.get(0));
    const old = try table.insert();
    old.value.* = 1;
    table.remove(old.handle);
    const new = try table.insert();
    new.value.* = 2;
    // Same slot, because the table is small; another generation.
    try testing.expectEqual(old.handle & 0xf_ffff, new.handle & 0xf_ffff);
    try testing.expectEqual(@as(?*u64, null), table.get(old.handle));
    for ([_]u32{ 0, 1, new.handle + 1, new.handle ^ 1 << 31, 0xffff_ffff, 0xf_ffff }) |invented| {
        try testing.expectEqual(@as(?*u64, null), table.get(invented));
    }
    try testing.expectEqual(@as(u64, 2), table.get(new.handle).?.*);
    table.remove(new.handle);
}

test "a pointer to a value survives the growth of the table" {
    var table = HandleTable(u64, .{ .chunk_slots = 4 }).init(testing.allocator, 4096);
    defer table.deinit();
    var entries: [1000]HandleTable(u64, .{ .chunk_slots = 4 }).Entry = undefined;
    for (&entries, 0..) |*entry, index| {
        entry.* = try table.insert();
        entry.value.* = index;
    }
    table.invariants();
    var it = table.iterator();
    for (entries, 0..) |entry, index| {
        try testing.expectEqual(entry.value, table.get(entry.handle).?);
        try testing.expectEqual(index, entry.value.*);
        try testing.expectEqual(entry.handle, it.next().?.handle);
    }
    try testing.expect(it.next() == null);
    for (entries) |entry| table.remove(entry.handle);
    table.invariants();
}

test "the limit of a table is an error for its caller and frees up again" {
    var table = HandleTable(u8, .{}).init(testing.allocator, 2);
    defer table.deinit();
    const a = (try table.insert()).handle;
    const b = (try table.insert()).handle;
    try testing.expectError(error.TooMany, table.insert());
    table.remove(a);
    const c = (try table.insert()).handle;
    try testing.expectError(error.TooMany, table.insert());
    try testing.expect(a != c);
    table.remove(b);
    table.remove(c);
    table.invariants();
}

test "no handle is given out twice, and used-up slots give their memory back" {
    const Table = HandleTable(u32, .{ .slot_bits = 4, .generation_bits = 2, .chunk_slots = 4 });
    var table = Table.init(testing.allocator, 3);
    defer table.deinit();
    var seen: [64]bool = @splat(false);
    var handles_total: u32 = 0;
    while (table.insert()) |entry| {
        try testing.expect(entry.handle != 0);
        try testing.expect(!seen[entry.handle]);
        seen[entry.handle] = true;
        handles_total += 1;
        table.remove(entry.handle);
        table.invariants();
    } else |err| try testing.expectEqual(error.TooMany, err);
    // 16 slots, each with generations 1, 2 and 3.
    try testing.expectEqual(@as(u32, 48), handles_total);
    try testing.expectEqual(@as(u32, 16), table.retired);
    for (table.chunks.items) |chunk| try testing.expect(chunk == null);
    for (0..64) |handle| try testing.expect(table.get(@intCast(handle)) == null);
    var it = table.iterator();
    try testing.expect(it.next() == null);
}

test "running out of memory in insert loses nothing" {
    const Table = HandleTable(u32, .{ .chunk_slots = 1 });
    for (0..12) |fail_index| {
        var failing = testing.FailingAllocator.init(testing.allocator, .{
            .fail_index = fail_index,
        });
        var table = Table.init(failing.allocator(), 16);
        defer table.deinit();
        var handles: [16]u32 = undefined;
        var handles_count: usize = 0;
        while (handles_count < 16) {
            handles[handles_count] = (table.insert() catch |err| {
                try testing.expectEqual(error.OutOfMemory, err);
                break;
            }).handle;
            handles_count += 1;
        }
        table.invariants();
        try testing.expectEqual(handles_count, table.count());
        for (handles[0..handles_count]) |handle| table.remove(handle);
    }
}

/// The model: every handle ever given out, and whether it is live, in one flat list.
fn model_test(comptime options: Options, max: u32, seed: u64) !void {
    const Table = HandleTable(u64, options);
    var table = Table.init(testing.allocator, max);
    defer table.deinit();
    const Known = struct { handle: u32, token: u64, live: bool, address: *u64 };
    var known: std.ArrayList(Known) = .empty;
    defer known.deinit(testing.allocator);
    var live: u32 = 0;
    var random_state = std.Random.DefaultPrng.init(seed);
    const random = random_state.random();
    for (0..3000) |step| {
        const growing = step / 300 % 2 == 0;
        if (random.uintLessThan(u32, 10) < @as(u32, if (growing) 7 else 3)) {
            const entry = table.insert() catch |err| {
                try testing.expectEqual(error.TooMany, err);
                try testing.expect(live == max or table.retired + live == Table.slots_max);
                continue;
            };
            for (known.items) |other| try testing.expect(other.handle != entry.handle);
            entry.value.* = random.int(u64);
            live += 1;
            try known.append(testing.allocator, .{
                .handle = entry.handle,
                .token = entry.value.*,
                .live = true,
                .address = entry.value,
            });
        } else if (known.items.len > 0) {
            const one = &known.items[random.uintLessThan(usize, known.items.len)];
            if (one.live) table.remove(one.handle) else continue;
            one.live = false;
            live -= 1;
        }
        try testing.expectEqual(live, table.count());
        if (step % 16 == 0) table.invariants();
        for (known.items) |one| {
            const found = table.get(one.handle);
            try testing.expectEqual(one.live, found != null);
            if (!one.live) continue;
            try testing.expectEqual(one.address, found.?);
            try testing.expectEqual(one.token, found.?.*);
        }
        const invented = random.int(u32);
        if (table.get(invented) != null) {
            for (known.items) |one| {
                if (one.live and one.handle == invented) break;
            } else return error.InventedHandleFound;
        }
    }
    var it = table.iterator();
    while (it.next()) |entry| : (live -= 1) table.remove(entry.handle);
    try testing.expectEqual(@as(u32, 0), live);
    table.invariants();
}

test "random use agrees with a flat list: no handle is lost, shared or revived" {
    for (0..4) |seed| try model_test(.{}, 200, seed);
    for (0..4) |seed| {
        const narrow: Options = .{ .slot_bits = 7, .generation_bits = 3, .chunk_slots = 8 };
        try model_test(narrow, 100, seed);
        try model_test(.{ .slot_bits = 5, .generation_bits = 1, .chunk_slots = 2 }, 7, seed);
    }
}
