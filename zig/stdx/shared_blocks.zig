//! Memory that one thread fills and another one frees: what a sender hands to a receiver in another
//! thread. It belongs to no context, since it may outlive the one that it came from. Large blocks
//! are kept for the next ones: a busy sender takes one for every few thousand messages.

const std = @import("std");
const assert = std.debug.assert;

const Lock = @import("lock.zig").Lock;
const slab = @import("slab.zig");
const Block = slab.Block;

const system = std.heap.c_allocator;

/// A request above half of this gets all of it, so that any spare block serves it.
const spare_bytes = slab.block_bytes_max;
/// 2 MiB for the whole process.
const spares_max = 32;

/// For all threads together, bytes. Messages on their way have no other limit but their high-water
/// marks, and those count messages.
const budget_bytes: u64 = 4 << 30;

var live_bytes: std.atomic.Value(u64) = .init(0);
var lock: Lock = .{};
var spares: [spares_max][*]align(slab.block_align) u8 = undefined;
var spares_count: u32 = 0;

/// Handed out and not given back, in the whole process.
pub fn live() u64 {
    return live_bytes.load(.monotonic);
}

/// The block is at least `size` long; its content is undefined.
pub fn allocate(size: usize) error{OutOfMemory}!Block {
    const bytes = if (size > spare_bytes / 2 and size <= spare_bytes) spare_bytes else size;
    const before = live_bytes.fetchAdd(bytes, .monotonic);
    errdefer _ = live_bytes.fetchSub(bytes, .monotonic);
    if (before + bytes > budget_bytes) return error.OutOfMemory;
    if (bytes == spare_bytes) if (take_spare()) |block| return block;
    return system.alignedAlloc(u8, .fromByteUnits(slab.block_align), bytes);
}

/// `block` is exactly what `allocate` returned, to whichever thread.
pub fn free(block: Block) void {
    assert(block.len > 0);
    _ = live_bytes.fetchSub(block.len, .monotonic);
    if (block.len == spare_bytes and keep(block)) return;
    system.free(block);
}

fn take_spare() ?Block {
    lock.acquire();
    defer lock.release();
    if (spares_count == 0) return null;
    spares_count -= 1;
    return spares[spares_count][0..spare_bytes];
}

fn keep(block: Block) bool {
    lock.acquire();
    defer lock.release();
    if (spares_count == spares_max) return false;
    spares[spares_count] = block.ptr;
    spares_count += 1;
    return true;
}

test "blocks freed by another thread serve again, and all are counted: memory would only grow" {
    const before = live();
    const Other = struct {
        fn free_all(blocks: []const Block) void {
            for (blocks) |block| {
                for (block) |byte| assert(byte == 0x5a);
                free(block);
            }
        }
    };
    for (0..20) |_| {
        var blocks: [50]Block = undefined;
        for (&blocks, 0..) |*block, i| {
            block.* = try allocate(if (i % 2 == 0) spare_bytes else 100 + i);
            @memset(block.*, 0x5a);
        }
        try std.testing.expect(live() > before + 25 * spare_bytes);
        const other = try std.Thread.spawn(.{}, Other.free_all, .{@as([]const Block, &blocks)});
        other.join();
        try std.testing.expectEqual(before, live());
        try std.testing.expect(spares_count > 0 and spares_count <= spares_max);
    }
    try std.testing.expectError(error.OutOfMemory, allocate(budget_bytes + 1));
    try std.testing.expectEqual(before, live());
}
