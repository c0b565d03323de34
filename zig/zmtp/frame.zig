//! ZMTP frame header: decode and encode. RFC 23/ZMTP 3.0 "Framing", unchanged in RFC 37/ZMTP 3.1.
//!
//!     0       1       2                               9
//!     +-------+-------+-------------- - - - -
//!     | flags | size  | body (0..255 bytes)             LARGE = 0
//!     +-------+-------+-------------- - - - -
//!     +-------+-------------------------------+------- - - -
//!     | flags | size, 64 bits, big-endian     | body          LARGE = 1
//!     +-------+-------------------------------+------- - - -
//!
//!     flags:  0 0 0 0 0 C L M     C = COMMAND, L = LARGE, M = MORE; the rest is reserved
//!
//! The size is the peer's claim. It stays 64 bits wide here: the caller compares it with its limit
//! before it narrows, adds or allocates anything (CVE-2019-6250 was one such addition).

const std = @import("std");
const assert = std.debug.assert;

/// Another frame of the same message follows. Never set on commands.
pub const flag_more: u8 = 0x01;
/// The size field has 8 bytes. We set it only when the body has more than 255 bytes.
pub const flag_large: u8 = 0x02;
/// The body is a command, not a part of a message.
pub const flag_command: u8 = 0x04;

/// The bits with a meaning.
const flags_known: u8 = flag_more | flag_large | flag_command;
/// The RFC has them zero. libzmq sends them so and ignores them on receipt; `decode` does too, and
/// traffic with them is refused.
pub const flags_reserved: u8 = ~flags_known;

/// Bytes of the header when LARGE is 0: flags and an 8-bit size.
pub const header_size_short = 1 + 1;
/// Bytes of the header when LARGE is 1: flags and a 64-bit size.
pub const header_size_max = 1 + 8;
/// Bytes: the largest body whose size fits into the 8-bit size field.
pub const body_size_short_max = 255;

comptime {
    assert(header_size_short < header_size_max);
    assert(body_size_short_max == std.math.maxInt(u8));
    assert(@popCount(flags_known) == 3);
}

pub const Header = struct {
    /// MORE, LARGE and COMMAND as received; reserved bits are cleared.
    flags: u8,
    /// Bytes of this header: where the body begins.
    header_size: u8,
    /// Bytes of the body, as declared by the peer: anything up to 2^64 - 1.
    body_size: u64,

    pub inline fn more(header: Header) bool {
        return header.flags & flag_more != 0;
    }

    pub inline fn command(header: Header) bool {
        return header.flags & flag_command != 0;
    }
};

/// Reads the header at the front of `bytes`; null when it is not complete yet. Once per message on
/// the receiving path: two loads and two branches when LARGE is 0.
pub inline fn decode(bytes: []const u8) ?Header {
    if (bytes.len < header_size_short) return null;
    const flags = bytes[0] & flags_known;
    if (flags & flag_large == 0) {
        return .{ .flags = flags, .header_size = header_size_short, .body_size = bytes[1] };
    }
    if (bytes.len < header_size_max) return null;
    return .{
        .flags = flags,
        .header_size = header_size_max,
        .body_size = std.mem.readInt(u64, bytes[1..header_size_max], .big),
    };
}

/// Writes the header of a frame with this body size and returns its size. LARGE is derived from the
/// size, whatever `flags` says, so that the flags of a received header can be passed on.
pub inline fn encode(buffer: []u8, flags: u8, body_size: u64) usize {
    assert(flags & ~flags_known == 0);
    assert(buffer.len >= header_size(body_size));
    if (body_size <= body_size_short_max) {
        buffer[0] = flags & ~flag_large;
        buffer[1] = @intCast(body_size);
        return header_size_short;
    }
    buffer[0] = flags | flag_large;
    std.mem.writeInt(u64, buffer[1..header_size_max], body_size, .big);
    return header_size_max;
}

/// Bytes of the header we send in front of a body of this size.
pub inline fn header_size(body_size: u64) usize {
    return if (body_size <= body_size_short_max) header_size_short else header_size_max;
}

const testing = std.testing;
const hex = @import("hex.zig").hex;

fn expect_header(bytes: []const u8, flags: u8, size: u8, body_size: u64) !void {
    const header = decode(bytes) orelse return error.HeaderIncomplete;
    try testing.expectEqual(flags, header.flags);
    try testing.expectEqual(size, header.header_size);
    try testing.expectEqual(body_size, header.body_size);
    try testing.expectEqual(flags & flag_more != 0, header.more());
    try testing.expectEqual(flags & flag_command != 0, header.command());
    // Less than the header is never mistaken for one, whatever lies behind it.
    for (0..header.header_size) |cut| try testing.expectEqual(null, decode(bytes[0..cut]));
}

test "frame: a message that every peer sends is read wrong" {
    try expect_header(hex("00 00"), 0, 2, 0);
    try expect_header(hex("00 01 'A'"), 0, 2, 1);
    try expect_header(hex("01 ff"), flag_more, 2, 255);
    try expect_header(hex("04 29 05 'READY'"), flag_command, 2, 0x29);
    try expect_header(hex("02 00000000 00000100"), flag_large, 9, 256);
    try expect_header(hex("03 01020304 05060708"), 3, 9, 0x0102030405060708);
    try expect_header(hex("06 00000000 00010000"), 6, 9, 65536);
}

test "frame: peers that set LARGE for small bodies or reserved bits are cut off" {
    try expect_header(hex("02 00000000 00000000"), flag_large, 9, 0);
    try expect_header(hex("02 00000000 00000005 'hello'"), flag_large, 9, 5);
    try expect_header(hex("f8 05 'hello'"), 0, 2, 5);
    try expect_header(hex("f9 05 'hello'"), flag_more, 2, 5);
    try expect_header(hex("ff 00000000 00000005 'hello'"), 7, 9, 5);
}

test "frame: a size near a power of two wraps and memory is overrun" {
    const one: u64 = 1;
    const extremes = [_]u64{
        255,             256,             (one << 31) - 1, one << 31,
        (one << 31) + 1, (one << 32) - 1, one << 32,       (one << 32) + 1,
        (one << 63) - 1, one << 63,       (one << 63) + 1, std.math.maxInt(u64),
    };
    for (extremes) |body_size| {
        var bytes: [header_size_max]u8 = undefined;
        bytes[0] = flag_large;
        std.mem.writeInt(u64, bytes[1..], body_size, .big);
        try expect_header(&bytes, flag_large, header_size_max, body_size);

        var buffer: [header_size_max]u8 = undefined;
        const size = encode(&buffer, flag_more, body_size);
        try testing.expectEqual(size, header_size(body_size));
        try testing.expectEqual(body_size, decode(buffer[0..size]).?.body_size);
    }
}

test "frame: libzmq cannot read a header that we write" {
    var buffer: [header_size_max]u8 = undefined;
    try testing.expectEqual(2, encode(&buffer, 0, 0));
    try testing.expectEqualSlices(u8, hex("00 00"), buffer[0..2]);
    try testing.expectEqual(2, encode(&buffer, flag_command, 0x29));
    try testing.expectEqualSlices(u8, hex("04 29"), buffer[0..2]);
    try testing.expectEqual(2, encode(&buffer, flag_more, 255));
    try testing.expectEqualSlices(u8, hex("01 ff"), buffer[0..2]);
    try testing.expectEqual(9, encode(&buffer, flag_more, 256));
    try testing.expectEqualSlices(u8, hex("03 00000000 00000100"), &buffer);
    // The LARGE of a received header must not survive in front of an 8-bit size.
    try testing.expectEqual(2, encode(&buffer, flag_large | flag_more, 5));
    try testing.expectEqualSlices(u8, hex("01 05"), buffer[0..2]);
}

test "frame: topics of 246 to 255 bytes break the stream, as in libzmq 4.3.4" {
    for (0..600) |body_size| {
        for ([_]u8{ 0, 1, 4, 5 }) |flags| {
            var buffer: [header_size_max]u8 = undefined;
            const size = encode(&buffer, flags, body_size);
            const header = decode(buffer[0..size]).?;
            try testing.expectEqual(body_size, header.body_size);
            try testing.expectEqual(size, header.header_size);
            try testing.expectEqual(flags, header.flags & ~flag_large);
            try testing.expectEqual(body_size > 255, header.flags & flag_large != 0);
        }
    }
}
