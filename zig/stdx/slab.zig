//! The memory of one context: size classes, freelists, a hard budget, exact counters. One thread
//! uses it, so there is no lock and no atomic. In steady state nothing is taken from the system.
//! What a block holds, who shares it and when it dies is decided above: no reference counts here.
//!
//!     region, at most 256 KiB and aligned to 256 KiB
//!     +--------+-------+-------+-------+- - - - - - -+
//!     | Region | block | block | block |  not carved |   blocks of one class, 64-byte aligned
//!     +--------+-------+-------+-------+- - - - - - -+
//!       live count, freelist, carve mark
//!
//! The header is found by masking a block's address, so a free costs no search and blocks carry
//! no header. Blocks are carved one at a time: pages nobody used were never touched. A class
//! starts with a region of 16 KiB and doubles, so that a quiet context stays small.
//! Requests above the largest class are mappings of their own; the one that was freed last is kept
//! for the next, or a spill of 128 KiB in every other turn would map and unmap each time.

const std = @import("std");
const builtin = @import("builtin");
const assert = std.debug.assert;
const posix = std.posix;
const List = @import("intrusive_list.zig").List;
const Link = @import("intrusive_list.zig").Link;

/// Enough for SIMD copies and for every struct that is put into a block.
pub const block_align = 16;
pub const Block = []align(block_align) u8;

/// 64 B to 64 KiB in powers of two.
pub const classes_count = 11;

/// A part of a power-of-two size and its headers (the frame's 9 bytes, a segment's 64) share a
/// block: without this room a message of 1 KiB would take a block of 2 KiB, and one of 64 KiB a
/// mapping of its own. Classes below 1 KiB have none, it would cost more than it saves.
pub const block_header_bytes = 128;

/// Capacity of each class, in bytes.
pub const class_bytes: [classes_count]u32 = blk: {
    var bytes: [classes_count]u32 = undefined;
    for (&bytes, 0..) |*capacity, index| {
        capacity.* = 64 << index;
        if (capacity.* >= 1024) capacity.* += block_header_bytes;
    }
    break :blk bytes;
};

/// Above this a request becomes a mapping of its own.
pub const block_bytes_max = class_bytes[classes_count - 1];

/// Alignment and greatest length of a region: large enough that system calls and page faults are
/// spread over thousands of small blocks, small enough that one live block pins little.
const region_bytes_max = 256 * 1024;
/// First region of a class: a context that sends a few messages maps about 250 KiB at most.
const region_bytes_first = 16 * 1024;
/// One cache line, so that no two blocks share one.
const region_block_align = 64;
const region_blocks_offset = std.mem.alignForward(usize, @sizeOf(Region), region_block_align);
const region_blocks_max = region_bytes_max / 64;

/// A freed mapping above this goes back to the system at once. Spills are at most this long.
const large_spare_bytes_max = 1024 * 1024;
/// A socket with many busy connections spills several stretches of the arena in a turn.
const large_spares_max = 4;

const Mapping = []align(std.heap.page_size_min) u8;

const poison_byte = 0xaa;
/// How much of a recycled block is examined for writes after its free (Debug).
const poison_checked_bytes = 256;
const debug = builtin.mode == .Debug;

comptime {
    assert(class_bytes[0] == 64);
    assert(class_bytes[3] == 512);
    assert(class_bytes[4] == 1024 + block_header_bytes);
    assert(block_bytes_max >= 64 * 1024 + block_header_bytes);
    assert(region_blocks_offset + block_bytes_max <= region_bytes_max);
    assert(std.math.isPowerOfTwo(region_bytes_max));
    assert(std.heap.page_size_max <= region_bytes_max);
    for (class_bytes) |bytes| assert(bytes % region_block_align == 0);
}

const FreeNode = struct { next: ?*FreeNode };

const Region = struct {
    link: Link = .{},
    class_index: u32,
    blocks: u32,
    /// Blocks [0, carved) were handed out at least once.
    carved: u32 = 0,
    live: u32 = 0,
    free_head: ?*FreeNode = null,
    /// Length of the mapping.
    bytes: u64,
    /// Which blocks are live: finds a double free at the second free.
    live_map: if (debug) std.StaticBitSet(region_blocks_max) else void,

    fn full(region: *const Region) bool {
        assert(region.live <= region.carved and region.carved <= region.blocks);
        return region.live == region.blocks;
    }

    fn block_index(region: *const Region, pointer: [*]const u8) u32 {
        const offset = @intFromPtr(pointer) - @intFromPtr(region) - region_blocks_offset;
        const index = offset / class_bytes[region.class_index];
        assert(index < region.carved);
        assert(offset % class_bytes[region.class_index] == 0);
        return @intCast(index);
    }
};

const RegionList = List(Region, .link);

const Class = struct {
    /// Regions with at least one block to give, the first of them is used.
    partial: RegionList = .{},
    full: RegionList = .{},
    blocks: u64 = 0,
    live: u64 = 0,
};

/// As the host language sees them.
pub const ClassCounters = extern struct {
    block_bytes: u64,
    live_blocks: u64,
    free_blocks: u64,
    regions: u64,
};

pub const Counters = extern struct {
    system_bytes: u64,
    live_bytes: u64,
    live_blocks: u64,
    large_live_blocks: u64,
    allocations_total: u64,
    system_calls_total: u64,
    budget_refused: u64,
    system_refused: u64,
    classes: [classes_count]ClassCounters,
};

/// May be moved as long as nothing was ever allocated from it; after that it stays where it is.
pub const Slabs = struct {
    classes: [classes_count]Class = @splat(.{}),
    /// Hard limit for `system_bytes`.
    budget_bytes: u64,
    /// Mapped, whether in use or not.
    system_bytes: u64 = 0,
    /// Memory of the owner's that is used in place of ours: it counts, too.
    lent_bytes: u64 = 0,
    /// Handed out, in whole blocks.
    live_bytes: u64 = 0,
    live_blocks: u64 = 0,
    /// Part of `live_*`: blocks with a mapping of their own.
    large_live_blocks: u64 = 0,
    large_live_bytes: u64 = 0,
    /// A freed mapping, kept for the next large block; empty: none.
    large_spares: [large_spares_max]Mapping = @splat(&.{}),
    /// Blocks handed out since the beginning.
    allocations_total: u64 = 0,
    /// mmap, munmap and mremap.
    system_calls_total: u64 = 0,
    /// Requests refused because of the budget.
    budget_refused: u64 = 0,
    /// Requests refused because the system had no memory.
    system_refused: u64 = 0,
    /// Regions without a live block.
    regions_idle: u64 = 0,
    /// What `trim` would give back.
    idle_bytes: u64 = 0,
    /// Where the next region is likely to fit without trimming; 0 while unknown.
    region_hint: usize = 0,
    /// Tests only: this many more requests succeed, the next one fails and clears it.
    fail_after: ?u64 = null,

    pub fn init(budget_bytes: u64) Slabs {
        assert(budget_bytes > 0);
        // A length above this cannot be rounded up to pages, nor mapped.
        return .{ .budget_bytes = @min(budget_bytes, std.math.maxInt(isize)) };
    }

    /// Everything must have been freed: a block that is still live here is a leak of its owner.
    pub fn deinit(self: *Slabs) void {
        assert(self.live_blocks == 0 and self.live_bytes == 0 and self.lent_bytes == 0);
        self.trim();
        assert(self.system_bytes == 0);
        self.* = undefined;
    }

    /// The block is at least `size` long: as long as its class allows. Its content is undefined.
    pub fn allocate(self: *Slabs, size: usize) error{OutOfMemory}!Block {
        if (self.fail_after != null) try self.fail_on_purpose();
        if (size > block_bytes_max) return self.allocate_large(size);
        const index = class_of(size);
        const class = &self.classes[index];
        const region = class.partial.first() orelse try self.region_add(index);
        const block = self.region_take(region);
        if (region.full()) {
            class.partial.remove(region);
            class.full.push_back(region);
        }
        class.live += 1;
        self.count_block(block.len);
        assert(block.len >= size);
        return block;
    }

    /// `block` is exactly what `allocate` or `grow` returned.
    pub fn free(self: *Slabs, block: Block) void {
        assert(self.live_blocks > 0);
        if (block.len > block_bytes_max) return self.free_large(block);
        const index = class_of(block.len);
        const class = &self.classes[index];
        assert(block.len == class_bytes[index]); // A slice of a block is not a block.
        const region = region_of(block.ptr);
        assert(region.class_index == index);
        if (region.full()) {
            class.full.remove(region);
            class.partial.push_front(region);
        }
        region_give(region, block);
        if (region.live == 0) self.region_rests(region);
        class.live -= 1;
        self.live_blocks -= 1;
        self.live_bytes -= block.len;
    }

    /// A block of at least `size` bytes with the content of `block`, which is gone afterwards;
    /// on an error it is untouched. Large blocks grow without copying.
    pub fn grow(self: *Slabs, block: Block, size: usize) error{OutOfMemory}!Block {
        if (size <= block.len) return block;
        if (block.len > block_bytes_max) return self.grow_large(block, size);
        const grown = try self.allocate(size);
        assert(grown.len > block.len);
        @memcpy(grown[0..block.len], block);
        self.free(block);
        return grown;
    }

    /// For owners that keep only the bytes they asked for: few, and at the block's beginning.
    pub fn free_bytes(self: *Slabs, bytes: []const u8) void {
        const start: [*]align(block_align) u8 = @ptrCast(@alignCast(@constCast(bytes.ptr)));
        self.free(start[0..class_bytes[class_of(bytes.len)]]);
    }

    pub fn create(self: *Slabs, comptime T: type) error{OutOfMemory}!*T {
        comptime assert(@sizeOf(T) > 0 and @sizeOf(T) <= block_bytes_max);
        comptime assert(@alignOf(T) <= block_align);
        const block = try self.allocate(@sizeOf(T));
        return @ptrCast(block.ptr);
    }

    /// `pointer` is what `create` returned for the same type.
    pub fn destroy(self: *Slabs, pointer: anytype) void {
        const T = @typeInfo(@TypeOf(pointer)).pointer.child;
        comptime assert(@typeInfo(@TypeOf(pointer)).pointer.size == .one);
        const bytes: [*]align(block_align) u8 = @ptrCast(@alignCast(pointer));
        self.free(bytes[0..class_bytes[comptime class_of(@sizeOf(T))]]);
    }

    /// Whether blocks for so many bytes, in pieces of any size, can be had within the budget. Near
    /// its end the answer may be no where they could: yes is a promise.
    pub fn has_room(self: *const Slabs, bytes: u64) bool {
        // A class wastes less than half of a block, and its first block takes a region.
        return 2 * bytes + region_bytes_max <= self.budget_left() + self.idle_bytes;
    }

    /// The owner is about to lend us so much.
    pub fn lend(self: *Slabs, bytes: u64) error{OutOfMemory}!void {
        if (self.fail_after != null) try self.fail_on_purpose();
        if (self.budget_left() < bytes) self.trim();
        if (self.budget_left() < bytes) {
            self.budget_refused += 1;
            return error.OutOfMemory;
        }
        self.lent_bytes += bytes;
    }

    /// It is the owner's again, and counts no more.
    pub fn unlend(self: *Slabs, bytes: u64) void {
        assert(self.lent_bytes >= bytes);
        self.lent_bytes -= bytes;
    }

    /// Another budget. What is in use already stays.
    pub fn set_budget(self: *Slabs, bytes: u64) void {
        assert(bytes > 0);
        self.budget_bytes = @min(bytes, std.math.maxInt(isize));
        if (self.system_bytes > self.budget_bytes) self.trim();
    }

    /// Gives regions without a live block back to the system. To be called when they have not been
    /// needed for a while: the next burst pays for them again.
    pub fn trim(self: *Slabs) void {
        for (&self.large_spares) |*spare| {
            self.idle_bytes -= spare.len;
            if (spare.len > 0) self.system_unmap(spare.*);
            spare.* = &.{};
        }
        if (self.regions_idle == 0) return;
        for (&self.classes) |*class| {
            var cursor = class.partial.first();
            while (cursor) |region| {
                cursor = class.partial.next(region);
                if (region.live > 0) continue;
                class.partial.remove(region);
                class.blocks -= region.blocks;
                self.region_works(region);
                const memory: [*]align(std.heap.page_size_min) u8 = @ptrCast(@alignCast(region));
                self.region_hint = @intFromPtr(region);
                self.system_unmap(memory[0..region.bytes]);
            }
        }
        assert(self.regions_idle == 0 and self.idle_bytes == 0);
        assert(self.live_blocks > 0 or self.system_bytes == 0);
    }

    pub fn class_counters(self: *const Slabs, index: usize) ClassCounters {
        const class = &self.classes[index];
        assert(class.live <= class.blocks);
        return .{
            .block_bytes = class_bytes[index],
            .live_blocks = class.live,
            .free_blocks = class.blocks - class.live,
            .regions = class.partial.count + class.full.count,
        };
    }

    pub fn counters(self: *const Slabs) Counters {
        var result: Counters = undefined;
        inline for (@typeInfo(Counters).@"struct".fields) |field| {
            if (field.type == u64) @field(result, field.name) = @field(self, field.name);
        }
        for (&result.classes, 0..) |*class, index| class.* = self.class_counters(index);
        return result;
    }

    /// O(regions and free blocks): for tests.
    pub fn invariants(self: *const Slabs) void {
        var live_blocks: u64 = self.large_live_blocks;
        var live_bytes: u64 = self.large_live_bytes;
        var system_bytes: u64 = self.large_live_bytes;
        for (&self.large_spares) |spare| system_bytes += spare.len;
        var regions_idle: u64 = 0;
        var idle_bytes: u64 = 0;
        for (&self.large_spares) |spare| idle_bytes += spare.len;
        for (&self.classes, class_bytes) |*class, bytes| {
            class.partial.invariants();
            class.full.invariants();
            var live: u64 = 0;
            var blocks: u64 = 0;
            for ([_]*const RegionList{ &class.partial, &class.full }) |list| {
                var cursor = list.first();
                while (cursor) |region| : (cursor = list.next(region)) {
                    assert(region.full() == (list == &class.full));
                    region_check(region);
                    live += region.live;
                    blocks += region.blocks;
                    system_bytes += region.bytes;
                    if (region.live > 0) continue;
                    regions_idle += 1;
                    idle_bytes += region.bytes;
                }
            }
            assert(class.live == live);
            assert(class.blocks == blocks);
            live_blocks += live;
            live_bytes += live * bytes;
        }
        assert(self.live_blocks == live_blocks);
        assert(self.live_bytes == live_bytes);
        assert(self.system_bytes == system_bytes);
        assert(self.regions_idle == regions_idle and self.idle_bytes == idle_bytes);
        assert(self.allocations_total >= self.live_blocks);
    }

    fn count_block(self: *Slabs, bytes: u64) void {
        self.live_blocks += 1;
        self.live_bytes += bytes;
        self.allocations_total += 1;
        assert(self.live_bytes <= self.system_bytes);
    }

    fn fail_on_purpose(self: *Slabs) error{OutOfMemory}!void {
        const left = self.fail_after.?;
        self.fail_after = if (left == 0) null else left - 1;
        if (left == 0) return error.OutOfMemory;
    }

    fn region_take(self: *Slabs, region: *Region) Block {
        assert(region.live < region.blocks);
        if (region.live == 0) self.region_works(region);
        const bytes = class_bytes[region.class_index];
        region.live += 1;
        if (region.free_head) |node| {
            region.free_head = node.next;
            const block = @as([*]align(block_align) u8, @ptrCast(@alignCast(node)))[0..bytes];
            if (debug) {
                region.live_map.set(region.block_index(block.ptr));
                // Fails when somebody wrote to the block after its free.
                const untouched = block[@sizeOf(FreeNode)..@min(bytes, poison_checked_bytes)];
                for (untouched) |byte| assert(byte == poison_byte);
            }
            return block;
        }
        assert(region.carved < region.blocks);
        const offset = region_blocks_offset + @as(usize, region.carved) * bytes;
        if (debug) region.live_map.set(region.carved);
        region.carved += 1;
        return @alignCast((@as([*]u8, @ptrCast(region)) + offset)[0..bytes]);
    }

    /// The class has no block to give: takes a region from the system.
    fn region_add(self: *Slabs, class_index: usize) error{OutOfMemory}!*Region {
        @branchHint(.unlikely);
        const class = &self.classes[class_index];
        assert(class.partial.empty());
        const block_bytes = class_bytes[class_index];
        const doublings: u5 = @intCast(@min(class.full.count, 16));
        const aim = @min(@as(usize, region_bytes_first) << doublings, region_bytes_max);
        const blocks_aim = @max(1, (aim - region_blocks_offset) / block_bytes);
        const bytes_min = page_ceil(region_blocks_offset + block_bytes);
        const bytes_aim = page_ceil(region_blocks_offset + blocks_aim * block_bytes);
        assert(bytes_min <= bytes_aim and bytes_aim <= region_bytes_max);

        if (self.budget_left() < bytes_min) self.trim();
        if (self.budget_left() < bytes_min) {
            self.budget_refused += 1;
            return error.OutOfMemory;
        }
        const bytes = @min(bytes_aim, page_floor(self.budget_left()));
        const memory = self.region_map(bytes) orelse {
            self.system_refused += 1;
            return error.OutOfMemory;
        };
        const region: *Region = @ptrCast(@alignCast(memory));
        region.* = .{
            .class_index = @intCast(class_index),
            .blocks = @intCast((bytes - region_blocks_offset) / block_bytes),
            .bytes = bytes,
            .live_map = if (debug) .initEmpty() else {},
        };
        assert(region.blocks > 0 and region.blocks <= region_blocks_max);
        class.blocks += region.blocks;
        class.partial.push_front(region);
        self.region_rests(region);
        return region;
    }

    fn region_rests(self: *Slabs, region: *const Region) void {
        self.regions_idle += 1;
        self.idle_bytes += region.bytes;
    }

    fn region_works(self: *Slabs, region: *const Region) void {
        self.regions_idle -= 1;
        self.idle_bytes -= region.bytes;
    }

    /// A mapping aligned to `region_bytes_max`. The hint makes it one system call nearly always;
    /// otherwise more is mapped and its ends are given back.
    fn region_map(self: *Slabs, bytes: usize) ?[*]u8 {
        assert(bytes <= region_bytes_max);
        if (self.region_hint != 0) {
            const memory = self.system_map(self.region_hint, bytes) orelse return null;
            if (std.mem.isAligned(@intFromPtr(memory.ptr), region_bytes_max)) {
                self.region_hint = @intFromPtr(memory.ptr) -| region_bytes_max;
                return memory.ptr;
            }
            self.system_unmap(memory);
        }
        const slack = region_bytes_max - std.heap.pageSize();
        const memory = self.system_map(0, bytes + slack) orelse return null;
        const start = std.mem.alignForward(usize, @intFromPtr(memory.ptr), region_bytes_max);
        const head = start - @intFromPtr(memory.ptr);
        assert(head <= slack);
        if (head > 0) self.system_unmap(memory[0..head]);
        if (head < slack) self.system_unmap(@alignCast(memory[head + bytes ..]));
        self.region_hint = start -| region_bytes_max;
        return memory.ptr + head;
    }

    fn allocate_large(self: *Slabs, size: usize) error{OutOfMemory}!Block {
        assert(size > block_bytes_max);
        const memory = self.large_take_spare(size) orelse memory: {
            try self.budget_reserve(size, 0);
            break :memory self.system_map(0, page_ceil(size)) orelse {
                self.system_refused += 1;
                return error.OutOfMemory;
            };
        };
        self.large_live_blocks += 1;
        self.large_live_bytes += memory.len;
        self.count_block(memory.len);
        return memory;
    }

    /// The smallest that will do.
    fn large_take_spare(self: *Slabs, size: usize) ?Mapping {
        var best: ?*Mapping = null;
        for (&self.large_spares) |*spare| {
            if (spare.len < size) continue;
            if (best == null or spare.len < best.?.len) best = spare;
        }
        const found = best orelse return null;
        defer found.* = &.{};
        self.idle_bytes -= found.len;
        return found.*;
    }

    /// Keeps it in place of a smaller one; returns what goes back to the system.
    fn large_keep_spare(self: *Slabs, memory: Mapping) Mapping {
        if (memory.len > large_spare_bytes_max) return memory;
        var smallest = &self.large_spares[0];
        for (&self.large_spares) |*spare| {
            if (spare.len < smallest.len) smallest = spare;
        }
        if (smallest.len >= memory.len) return memory;
        defer smallest.* = memory;
        self.idle_bytes = self.idle_bytes + memory.len - smallest.len;
        return smallest.*;
    }

    fn free_large(self: *Slabs, block: Block) void {
        assert(std.mem.isAligned(block.len, std.heap.pageSize()));
        assert(self.large_live_blocks > 0 and self.large_live_bytes >= block.len);
        const gone = self.large_keep_spare(@alignCast(block));
        if (gone.len > 0) self.system_unmap(gone);
        self.large_live_blocks -= 1;
        self.large_live_bytes -= block.len;
        self.live_blocks -= 1;
        self.live_bytes -= block.len;
    }

    fn grow_large(self: *Slabs, block: Block, size: usize) error{OutOfMemory}!Block {
        assert(block.len > block_bytes_max and size > block.len);
        if (self.fail_after != null) try self.fail_on_purpose();
        try self.budget_reserve(size, block.len);
        const memory: []align(std.heap.page_size_min) u8 = @alignCast(block);
        self.system_calls_total += 1;
        const bytes = page_ceil(size);
        const may_move: posix.MREMAP = .{ .MAYMOVE = true };
        const grown = posix.mremap(memory.ptr, memory.len, bytes, may_move, null) catch {
            self.system_refused += 1;
            return error.OutOfMemory;
        };
        const more = grown.len - block.len;
        self.system_bytes += more;
        self.large_live_bytes += more;
        self.live_bytes += more;
        return grown;
    }

    fn budget_left(self: *const Slabs) u64 {
        // Lowered, it may be less than what is in use.
        return self.budget_bytes -| self.system_bytes -| self.lent_bytes;
    }

    /// May a mapping of `held` bytes become one of `size`? Idle regions make room first.
    fn budget_reserve(self: *Slabs, size: usize, held: usize) error{OutOfMemory}!void {
        assert(size > held);
        if (size <= self.budget_bytes) {
            const more = page_ceil(size) - held;
            if (self.budget_left() < more) self.trim();
            if (self.budget_left() >= more) return;
        }
        self.budget_refused += 1;
        return error.OutOfMemory;
    }

    fn system_map(self: *Slabs, hint: usize, bytes: usize) ?[]align(std.heap.page_size_min) u8 {
        assert(std.mem.isAligned(bytes, std.heap.pageSize()));
        self.system_calls_total += 1;
        const memory = posix.mmap(
            @ptrFromInt(hint),
            bytes,
            .{ .READ = true, .WRITE = true },
            .{ .TYPE = .PRIVATE, .ANONYMOUS = true },
            -1,
            0,
        ) catch return null; // All its errors mean the same here: the system has none to give.
        self.system_bytes += memory.len;
        return memory;
    }

    fn system_unmap(self: *Slabs, memory: []align(std.heap.page_size_min) u8) void {
        assert(self.system_bytes >= memory.len);
        assert(std.mem.isAligned(memory.len, std.heap.pageSize()));
        self.system_calls_total += 1;
        posix.munmap(memory);
        self.system_bytes -= memory.len;
    }
};

/// The smallest class that holds `size`.
fn class_of(size: usize) usize {
    assert(size <= block_bytes_max);
    const plain_bytes_max = 512; // The classes above have room for a header.
    const rounded = if (size <= plain_bytes_max)
        @max(size, 64)
    else
        @max(size - block_header_bytes, plain_bytes_max + 1);
    return @as(usize, 64) - @clz(@as(u64, rounded - 1)) - 6;
}

fn region_of(pointer: [*]const u8) *Region {
    const region: *Region = @ptrFromInt(@intFromPtr(pointer) & ~@as(usize, region_bytes_max - 1));
    assert(@intFromPtr(region) != @intFromPtr(pointer));
    return region;
}

fn region_give(region: *Region, block: Block) void {
    assert(region.live > 0);
    const node: *FreeNode = @ptrCast(block.ptr);
    assert(region.free_head != node); // Freed twice in a row.
    if (debug) {
        const index = region.block_index(block.ptr);
        assert(region.live_map.isSet(index)); // Freed twice.
        region.live_map.unset(index);
        @memset(block, poison_byte);
    }
    node.* = .{ .next = region.free_head };
    region.free_head = node;
    region.live -= 1;
}

fn region_check(region: *const Region) void {
    var free: u32 = 0;
    var node = region.free_head;
    while (node) |free_node| : (node = free_node.next) {
        assert(region_of(@ptrCast(free_node)) == region);
        const index = region.block_index(@ptrCast(free_node));
        if (debug) assert(!region.live_map.isSet(index));
        free += 1;
        assert(free <= region.carved);
    }
    assert(region.carved == region.live + free);
    if (debug) assert(region.live_map.count() == region.live);
}

fn page_ceil(bytes: u64) usize {
    return std.mem.alignForward(usize, bytes, std.heap.pageSize());
}

fn page_floor(bytes: u64) usize {
    return std.mem.alignBackward(usize, bytes, std.heap.pageSize());
}

const testing = std.testing;

test "what has room cannot be had: a payload that was not copied in time costs its connection" {
    var prng: @import("prng.zig").Prng = .init(5);
    for (0..200) |_| {
        var slabs: Slabs = .init(4 * 1024 * 1024);
        defer slabs.deinit();
        var blocks: [400]Block = undefined;
        var count: usize = 0;
        defer for (blocks[0..count]) |block| slabs.free(block);
        while (count < blocks.len) {
            const most = prng.pick(u64, &.{ 2_000, 30_000, 300_000 });
            const size: usize = @intCast(1_500 + prng.below(most));
            if (!slabs.has_room(size)) break;
            // With the header of a segment.
            blocks[count] = try slabs.allocate(size + 128);
            count += 1;
            if (!prng.chance(1, 4)) continue;
            const gone = prng.below(count);
            slabs.free(blocks[gone]);
            count -= 1;
            blocks[gone] = blocks[count];
        }
        try std.testing.expect(count > 3);
    }
}

test "a request gets the smallest class that holds it, so memory is not wasted" {
    var slabs = Slabs.init(16 << 20);
    defer slabs.deinit();
    var size: usize = 0;
    while (size <= block_bytes_max) : (size += if (size < 1200) 1 else 61) {
        var expected: usize = 0;
        while (class_bytes[expected] < size) expected += 1;
        const block = try slabs.allocate(size);
        try testing.expectEqual(@as(usize, class_bytes[expected]), block.len);
        slabs.free(block);
    }
    for (class_bytes) |bytes| try testing.expectEqual(bytes, class_bytes[class_of(bytes)]);
    slabs.invariants();
}

test "64 KiB with its header is an ordinary block, not a system call per message" {
    var slabs = Slabs.init(16 << 20);
    defer slabs.deinit();
    slabs.free(try slabs.allocate(64 * 1024 + 64));
    const calls = slabs.system_calls_total;
    for (0..100) |_| slabs.free(try slabs.allocate(64 * 1024 + 64));
    try testing.expectEqual(calls, slabs.system_calls_total);
    try testing.expectEqual(@as(u64, 101), slabs.allocations_total);
}

test "a large block freed and asked for again, turn after turn, is no system call" {
    var slabs = Slabs.init(16 << 20);
    defer slabs.deinit();
    slabs.free(try slabs.allocate(200 * 1024));
    const calls = slabs.system_calls_total;
    for (0..100) |turn| slabs.free(try slabs.allocate(100 * 1024 + turn * 1024));
    try testing.expectEqual(calls, slabs.system_calls_total);
    // A few are kept, the larger ones; what is larger than any spill is not.
    var blocks: [large_spares_max + 1]Block = undefined;
    for (&blocks, 1..) |*block, i| block.* = try slabs.allocate(i * 100 * 1024);
    for (blocks) |block| slabs.free(block);
    slabs.invariants();
    try testing.expectEqual(@as(u64, (200 + 300 + 400 + 500) * 1024), slabs.system_bytes);
    slabs.free(try slabs.allocate(2 << 20));
    slabs.invariants();
    try testing.expectEqual(@as(u64, (200 + 300 + 400 + 500) * 1024), slabs.system_bytes);
    // The smallest that will do is taken.
    const small = try slabs.allocate(150 * 1024);
    try testing.expectEqual(@as(usize, 200 * 1024), small.len);
    slabs.free(small);
    slabs.trim();
    try testing.expectEqual(@as(u64, 0), slabs.system_bytes);
}

test "a fresh context with one block of each class stays under half a mebibyte" {
    var slabs = Slabs.init(16 << 20);
    defer slabs.deinit();
    var blocks: [classes_count]Block = undefined;
    for (&blocks, class_bytes) |*block, bytes| block.* = try slabs.allocate(bytes);
    try testing.expect(slabs.system_bytes <= 512 * 1024);
    slabs.invariants();
    for (blocks) |block| slabs.free(block);
    try testing.expect(slabs.system_bytes > 0);
    slabs.trim();
    try testing.expectEqual(@as(u64, 0), slabs.system_bytes);
}

test "steady state takes nothing from the system, however blocks are interleaved" {
    var slabs = Slabs.init(256 << 20);
    defer slabs.deinit();
    var blocks: [512]Block = undefined;
    for (0..3) |round| {
        const calls = slabs.system_calls_total;
        for (&blocks, 0..) |*block, index| {
            block.* = try slabs.allocate(class_bytes[index % classes_count]);
        }
        for (0..blocks.len) |index| slabs.free(blocks[(index * 7) % blocks.len]);
        if (round > 0) try testing.expectEqual(calls, slabs.system_calls_total);
        slabs.invariants();
    }
}

test "the budget is hard, and what idles in one class makes room for another" {
    const budget = 1 << 20;
    var slabs = Slabs.init(budget);
    defer slabs.deinit();
    var blocks: [budget / 64]Block = undefined;
    var count: usize = 0;
    while (slabs.allocate(64)) |block| : (count += 1) {
        blocks[count] = block;
    } else |err| try testing.expectEqual(error.OutOfMemory, err);
    slabs.invariants();
    try testing.expectEqual(@as(u64, 1), slabs.budget_refused);
    try testing.expectEqual(@as(u64, 0), slabs.system_refused);
    // Nearly all of the budget is usable, although regions grow by doubling.
    try testing.expect(count * 64 > budget * 9 / 10);
    try testing.expectError(error.OutOfMemory, slabs.allocate(64 * 1024));
    try testing.expectError(error.OutOfMemory, slabs.allocate(512 * 1024));
    try testing.expectEqual(@as(u64, 3), slabs.budget_refused);
    for (blocks[0..count]) |block| slabs.free(block);
    // No trim by the caller: the idle regions are found when they are needed.
    const large = try slabs.allocate(900 * 1024);
    slabs.invariants();
    slabs.free(large);
    try testing.expectError(error.OutOfMemory, slabs.allocate(budget + 1));
    try testing.expectError(error.OutOfMemory, slabs.allocate(std.math.maxInt(usize)));
    slabs.free(try slabs.allocate(budget));
}

test "a system without memory is an error and counted apart from the budget" {
    var slabs = Slabs.init(std.math.maxInt(u64));
    defer slabs.deinit();
    const block = try slabs.allocate(100 * 1024);
    try testing.expectError(error.OutOfMemory, slabs.allocate(1 << 60));
    try testing.expectError(error.OutOfMemory, slabs.grow(block, 1 << 60));
    try testing.expectEqual(@as(u64, 2), slabs.system_refused);
    try testing.expectEqual(@as(u64, 0), slabs.budget_refused);
    slabs.invariants();
    slabs.free(block);
}

test "a growing message keeps its bytes through every class and beyond" {
    var slabs = Slabs.init(64 << 20);
    defer slabs.deinit();
    var block = try slabs.allocate(1);
    block[0] = 0;
    var filled: usize = 1;
    for ([_]usize{ 64, 65, 1000, 5000, 60_000, 70_000, 300_000, 5_000_000 }) |size| {
        block = try slabs.grow(block, size);
        try testing.expect(block.len >= size);
        for (block[0..filled], 0..) |byte, index| try testing.expectEqual(index % 251, byte);
        for (block[filled..size], filled..) |*byte, index| byte.* = @intCast(index % 251);
        filled = size;
        slabs.invariants();
    }
    try testing.expectError(error.OutOfMemory, slabs.grow(block, 65 << 20));
    try testing.expectEqual(@as(u64, 1), slabs.live_blocks);
    for (block[0..filled], 0..) |byte, index| try testing.expectEqual(index % 251, byte);
    slabs.free(block);
}

test "typed objects come from blocks and go back to the right class" {
    const Small = struct { a: u64, b: [3]u8 };
    const Odd = struct { bytes: [1300]u8 };
    var slabs = Slabs.init(1 << 20);
    defer slabs.deinit();
    const small = try slabs.create(Small);
    const odd = try slabs.create(Odd);
    small.* = .{ .a = 1, .b = @splat(2) };
    odd.bytes = @splat(3);
    try testing.expectEqual(@as(u64, 64 + 2048 + block_header_bytes), slabs.live_bytes);
    try testing.expectEqual(@as(u64, 1), slabs.class_counters(0).live_blocks);
    try testing.expectEqual(@as(u64, 1), slabs.counters().classes[5].live_blocks);
    try testing.expectEqual(@as(u64, 2), slabs.counters().live_blocks);
    slabs.destroy(small);
    slabs.destroy(odd);
    slabs.invariants();
}

test "a failure can be placed on any allocation, so that callers' clean-up can be tested" {
    var slabs = Slabs.init(1 << 20);
    defer slabs.deinit();
    slabs.fail_after = 2;
    const a = try slabs.allocate(10);
    const b = try slabs.allocate(10);
    try testing.expectError(error.OutOfMemory, slabs.allocate(10));
    try testing.expectEqual(@as(?u64, null), slabs.fail_after);
    slabs.fail_after = 0;
    try testing.expectError(error.OutOfMemory, slabs.create(u64));
    slabs.free(try slabs.allocate(10));
    try testing.expectEqual(@as(u64, 0), slabs.budget_refused + slabs.system_refused);
    slabs.free(a);
    slabs.free(b);
    slabs.invariants();
}

test "idle memory goes back to the system while live blocks stay where they are" {
    var slabs = Slabs.init(64 << 20);
    defer slabs.deinit();
    const kept = try slabs.allocate(1000);
    @memset(kept, 7);
    var blocks: [4000]Block = undefined;
    for (&blocks) |*block| block.* = try slabs.allocate(1000);
    const peak = slabs.system_bytes;
    for (blocks) |block| slabs.free(block);
    try testing.expectEqual(peak, slabs.system_bytes);
    slabs.trim();
    slabs.invariants();
    try testing.expect(slabs.system_bytes <= region_bytes_max);
    for (kept) |byte| try testing.expectEqual(@as(u8, 7), byte);
    slabs.free(kept);
}

test "random use agrees with a model: no two live blocks overlap, and every count is exact" {
    const Known = struct { block: Block, seed: u8 };
    for (0..4) |seed| {
        var random_state = std.Random.DefaultPrng.init(seed);
        const random = random_state.random();
        var slabs = Slabs.init(8 << 20);
        defer slabs.deinit();
        var known: std.ArrayList(Known) = .empty;
        defer known.deinit(testing.allocator);
        var total: u64 = 0;
        for (0..6000) |step| {
            const growing = step / 1000 % 2 == 0;
            if (random.uintLessThan(u8, 10) < @as(u8, if (growing) 7 else 3)) {
                const size = random.uintLessThan(usize, @as(usize, 1) << random.int(u4)) +
                    @as(usize, if (random.uintLessThan(u8, 50) == 0) 60_000 else 0);
                const block = slabs.allocate(size) catch continue;
                total += 1;
                // Overlapping blocks would change each other's first or last bytes.
                const mark = random.int(u8);
                block[0] = mark;
                block[block.len - 1] = mark;
                try known.append(testing.allocator, .{ .block = block, .seed = mark });
            } else if (known.items.len > 0) {
                const one = known.swapRemove(random.uintLessThan(usize, known.items.len));
                try testing.expectEqual(one.seed, one.block[0]);
                try testing.expectEqual(one.seed, one.block[one.block.len - 1]);
                slabs.free(one.block);
            }
            if (random.uintLessThan(u16, 400) == 0) slabs.trim();
            if (step % 50 == 0) slabs.invariants();
            var live_bytes: u64 = 0;
            for (known.items) |one| live_bytes += one.block.len;
            try testing.expectEqual(live_bytes, slabs.live_bytes);
            try testing.expectEqual(known.items.len, slabs.live_blocks);
            try testing.expectEqual(total, slabs.allocations_total);
        }
        std.mem.sort(Known, known.items, {}, struct {
            fn before(_: void, a: Known, b: Known) bool {
                return @intFromPtr(a.block.ptr) < @intFromPtr(b.block.ptr);
            }
        }.before);
        for (known.items[1..], known.items[0 .. known.items.len - 1]) |behind, ahead| {
            const end = @intFromPtr(ahead.block.ptr) + ahead.block.len;
            try testing.expect(end <= @intFromPtr(behind.block.ptr));
        }
        for (known.items) |one| slabs.free(one.block);
        slabs.invariants();
    }
}
