//! What a publisher's queues have in common: frames in a block, and who still refers to it.

const assert = @import("std").debug.assert;

const copy = @import("../stdx/copy.zig").copy;
const frame = @import("../zmtp/frame.zig");
const Slabs = @import("../stdx/slab.zig").Slabs;

/// Frames that many queues send: a published message is framed once, and each queue refers to its
/// bytes by a range. Whoever writes here holds a reference of its own.
pub const Shared = struct {
    references: u32,
    block_bytes: u32,
    capacity: u32,
    used: u32,

    pub fn create(slabs: *Slabs, bytes: usize) error{OutOfMemory}!*Shared {
        const block = try slabs.allocate(@sizeOf(Shared) + bytes);
        const shared: *Shared = @ptrCast(block.ptr);
        shared.* = .{
            .references = 1,
            .block_bytes = @intCast(block.len),
            .capacity = @intCast(block.len - @sizeOf(Shared)),
            .used = 0,
        };
        return shared;
    }

    pub fn data(shared: *Shared) [*]u8 {
        return @as([*]u8, @ptrCast(shared)) + @sizeOf(Shared);
    }

    /// What a part may take of a block.
    pub inline fn bytes_of(part: []const u8) usize {
        return frame.header_size_max + part.len;
    }

    /// Appends one part. There are `bytes_of` it left.
    pub inline fn write(shared: *Shared, part: []const u8, more: bool) void {
        const target = shared.data() + shared.used;
        const flags: u8 = if (more) frame.flag_more else 0;
        const size = frame.encode(target[0..frame.header_size_max], flags, part.len);
        copy(target[size..][0..part.len], part);
        shared.used += @intCast(size + part.len);
        assert(shared.used <= shared.capacity);
    }

    /// The part whose header lies there turns out to be the last of its message.
    pub fn end_message(shared: *Shared, header: u32) void {
        assert(header < shared.used);
        shared.data()[header] &= ~frame.flag_more;
    }

    pub fn release(shared: *Shared, slabs: *Slabs) void {
        assert(shared.references > 0);
        shared.references -= 1;
        if (shared.references > 0) return;
        const base: [*]align(16) u8 = @ptrCast(@alignCast(shared));
        slabs.free(base[0..shared.block_bytes]);
    }
};
