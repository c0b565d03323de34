//! The memory of a simulation: counted, so that what is not given back is noticed, and able to run
//! out.

const std = @import("std");
const Alignment = std.mem.Alignment;
const Allocator = std.mem.Allocator;

pub const Memory = struct {
    live_bytes: usize = 0,
    live_blocks: usize = 0,
    /// So many more requests succeed, the next one fails.
    fail_after: ?u64 = null,
    failed: u64 = 0,

    const below = std.heap.c_allocator;

    pub fn allocator(memory: *Memory) Allocator {
        return .{ .ptr = memory, .vtable = &.{
            .alloc = alloc,
            .resize = resize,
            .remap = remap,
            .free = free,
        } };
    }

    fn refuses(memory: *Memory) bool {
        const left = memory.fail_after orelse return false;
        memory.fail_after = if (left == 0) null else left - 1;
        if (left == 0) memory.failed += 1;
        return left == 0;
    }

    fn alloc(context: *anyopaque, len: usize, alignment: Alignment, from: usize) ?[*]u8 {
        const memory: *Memory = @ptrCast(@alignCast(context));
        if (memory.refuses()) return null;
        const bytes = below.rawAlloc(len, alignment, from) orelse return null;
        memory.live_bytes += len;
        memory.live_blocks += 1;
        return bytes;
    }

    fn resize(context: *anyopaque, old: []u8, alignment: Alignment, len: usize, from: usize) bool {
        const memory: *Memory = @ptrCast(@alignCast(context));
        if (!below.rawResize(old, alignment, len, from)) return false;
        memory.live_bytes = memory.live_bytes - old.len + len;
        return true;
    }

    fn remap(
        context: *anyopaque,
        old: []u8,
        alignment: Alignment,
        len: usize,
        from: usize,
    ) ?[*]u8 {
        const memory: *Memory = @ptrCast(@alignCast(context));
        if (len > old.len and memory.refuses()) return null;
        const bytes = below.rawRemap(old, alignment, len, from) orelse return null;
        memory.live_bytes = memory.live_bytes - old.len + len;
        return bytes;
    }

    fn free(context: *anyopaque, old: []u8, alignment: Alignment, from: usize) void {
        const memory: *Memory = @ptrCast(@alignCast(context));
        memory.live_bytes -= old.len;
        memory.live_blocks -= 1;
        below.rawFree(old, alignment, from);
    }
};
