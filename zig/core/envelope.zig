//! The return address of a request: the frames in front of its body (RFC 28), kept until the reply
//! goes out. Each is stored as a u32 length and its bytes.

const std = @import("std");
const assert = std.debug.assert;

const slab = @import("../stdx/slab.zig");
const Slabs = slab.Slabs;

/// A routing id has at most 255 bytes, so this is room for 250 hops.
pub const bytes_max = 64 * 1024;

pub const Envelope = struct {
    block: slab.Block = &.{},
    used: u32 = 0,

    /// False: too long, or no memory. Either way the message cannot be answered.
    pub fn append(envelope: *Envelope, slabs: *Slabs, part: []const u8) bool {
        if (part.len > bytes_max) return false;
        const need = envelope.used + @sizeOf(u32) + part.len;
        if (need > bytes_max) return false;
        if (envelope.block.len == 0) {
            envelope.block = slabs.allocate(need) catch return false;
        } else if (envelope.block.len < need) {
            envelope.block = slabs.grow(envelope.block, need) catch return false;
        }
        std.mem.writeInt(u32, envelope.block[envelope.used..][0..4], @intCast(part.len), .little);
        @memcpy(envelope.block[envelope.used + 4 ..][0..part.len], part);
        envelope.used = @intCast(need);
        return true;
    }

    pub fn clear(envelope: *Envelope, slabs: *Slabs) void {
        if (envelope.block.len > 0) slabs.free(envelope.block);
        envelope.* = .{};
    }

    pub fn iterator(envelope: *const Envelope) Iterator {
        return .{ .bytes = envelope.block[0..envelope.used] };
    }

    pub const Iterator = struct {
        bytes: []const u8,

        pub fn next(parts: *Iterator) ?[]const u8 {
            if (parts.bytes.len == 0) return null;
            const size = std.mem.readInt(u32, parts.bytes[0..4], .little);
            assert(size <= parts.bytes.len - 4);
            const part = parts.bytes[4..][0..size];
            parts.bytes = parts.bytes[4 + size ..];
            return part;
        }
    };
};

test "the way back keeps every hop in order: a reply would reach nobody" {
    var slabs: Slabs = .init(1024 * 1024);
    defer slabs.deinit();
    var envelope: Envelope = .{};
    const hops = [_][]const u8{ "first hop", &@as([255]u8, @splat('x')), "" };
    for (hops) |hop| try std.testing.expect(envelope.append(&slabs, hop));
    var parts = envelope.iterator();
    for (hops) |hop| try std.testing.expectEqualStrings(hop, parts.next().?);
    try std.testing.expectEqual(null, parts.next());
    const large: [bytes_max]u8 = @splat('y');
    try std.testing.expect(!envelope.append(&slabs, &large));
    envelope.clear(&slabs);
}
