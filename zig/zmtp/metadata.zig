//! Metadata of READY and INITIATE: a list of properties without a count; it ends with the command.
//! RFC 23/ZMTP 3.0 and RFC 37/ZMTP 3.1 "Connection Metadata".
//!
//!     +--------+----------------+------------------+---------------- - - -
//!     | u8: n  | name, n bytes  | u32 BE: v        | value, v bytes        ... next property
//!     +--------+----------------+------------------+---------------- - - -
//!       1..255                    0..2^31-1

const std = @import("std");
const assert = std.debug.assert;

/// Bytes: the length of a name is one byte.
pub const name_size_max = 255;
/// Bytes: the RFC reserves the top bit of the 32-bit length.
pub const value_size_max = (1 << 31) - 1;

const name_length_size = 1;
const value_length_size = 4;

comptime {
    assert(name_size_max == std.math.maxInt(u8));
    assert(value_size_max == std.math.maxInt(i32));
}

pub const Property = struct {
    /// As received; compare with `names_equal`.
    name: []const u8,
    value: []const u8,
};

/// Walks properties in place. After an error the iterator must not be used again.
pub const Iterator = struct {
    rest: []const u8,

    pub fn init(bytes: []const u8) Iterator {
        return .{ .rest = bytes };
    }

    /// The next property, or null when the bytes end exactly behind the last one.
    pub fn next(iterator: *Iterator) error{InvalidMetadata}!?Property {
        const rest = iterator.rest;
        if (rest.len == 0) return null;

        // Every comparison is "declared > remaining", never "offset + declared > length".
        const name_size: usize = rest[0];
        const after_name_length = rest[name_length_size..];
        if (name_size == 0) return error.InvalidMetadata;
        if (name_size > after_name_length.len) return error.InvalidMetadata;
        const name = after_name_length[0..name_size];

        const after_name = after_name_length[name_size..];
        if (after_name.len < value_length_size) return error.InvalidMetadata;
        const value_size = std.mem.readInt(u32, after_name[0..value_length_size], .big);
        if (value_size > value_size_max) return error.InvalidMetadata;
        const after_value_length = after_name[value_length_size..];
        if (value_size > after_value_length.len) return error.InvalidMetadata;

        iterator.rest = after_value_length[value_size..];
        assert(iterator.rest.len < rest.len);
        return .{ .name = name, .value = after_value_length[0..value_size] };
    }
};

/// Whether the bytes are a list of whole properties.
pub fn validate(bytes: []const u8) error{InvalidMetadata}!void {
    var iterator = Iterator.init(bytes);
    while (try iterator.next()) |_| {}
}

/// The value of the first property with this name.
pub fn find(bytes: []const u8, name: []const u8) error{InvalidMetadata}!?[]const u8 {
    assert(name.len > 0);
    assert(name.len <= name_size_max);
    var iterator = Iterator.init(bytes);
    while (try iterator.next()) |property| {
        if (names_equal(property.name, name)) return property.value;
    }
    return null;
}

/// Names are case-insensitive by the RFC; libzmq compares exactly, but sends the RFC's spelling.
pub fn names_equal(a: []const u8, b: []const u8) bool {
    return std.ascii.eqlIgnoreCase(a, b);
}

/// Bytes that `Encoder.append` needs for a property.
pub fn property_size(name_size: usize, value_size: usize) usize {
    assert(name_size > 0);
    assert(name_size <= name_size_max);
    assert(value_size <= value_size_max);
    return name_length_size + name_size + value_length_size + value_size;
}

/// Appends properties to a buffer of fixed size.
pub const Encoder = struct {
    buffer: []u8,
    size: usize = 0,

    pub fn init(buffer: []u8) Encoder {
        return .{ .buffer = buffer };
    }

    /// Writes the whole property or nothing.
    pub fn append(
        encoder: *Encoder,
        name: []const u8,
        value: []const u8,
    ) error{NoSpaceLeft}!void {
        const target = try encoder.reserve(property_size(name.len, value.len));
        target[0] = @intCast(name.len);
        @memcpy(target[name_length_size..][0..name.len], name);
        const value_part = target[name_length_size + name.len ..];
        std.mem.writeInt(u32, value_part[0..value_length_size], @intCast(value.len), .big);
        @memcpy(value_part[value_length_size..], value);
    }

    /// Appends properties that are encoded already, such as the extra properties of an option.
    pub fn append_encoded(encoder: *Encoder, properties: []const u8) error{NoSpaceLeft}!void {
        @memcpy(try encoder.reserve(properties.len), properties);
    }

    pub fn written(encoder: *const Encoder) []u8 {
        assert(encoder.size <= encoder.buffer.len);
        return encoder.buffer[0..encoder.size];
    }

    fn reserve(encoder: *Encoder, size: usize) error{NoSpaceLeft}![]u8 {
        assert(encoder.size <= encoder.buffer.len);
        const unused = encoder.buffer[encoder.size..];
        if (size > unused.len) return error.NoSpaceLeft;
        encoder.size += size;
        assert(encoder.size <= encoder.buffer.len);
        return unused[0..size];
    }
};

const testing = std.testing;
const hex = @import("hex.zig").hex;

test "metadata: the properties that libzmq sends are not understood" {
    const bytes = hex("0b 'Socket-Type' 00000006 'DEALER' 08 'Identity' 00000000");
    var iterator = Iterator.init(bytes);
    const first = (try iterator.next()).?;
    try testing.expectEqualStrings("Socket-Type", first.name);
    try testing.expectEqualStrings("DEALER", first.value);
    const second = (try iterator.next()).?;
    try testing.expectEqualStrings("Identity", second.name);
    try testing.expectEqualStrings("", second.value);
    try testing.expectEqual(null, try iterator.next());
    try testing.expectEqual(null, try iterator.next());

    try testing.expectEqualStrings("DEALER", (try find(bytes, "socket-TYPE")).?);
    try testing.expectEqualStrings("", (try find(bytes, "Identity")).?);
    try testing.expectEqual(null, try find(bytes, "Identit"));
    try testing.expectEqual(null, try find("", "Identity"));
}

test "metadata: what we append does not come out at the peer" {
    var buffer: [64]u8 = undefined;
    var encoder = Encoder.init(&buffer);
    try encoder.append("Socket-Type", "DEALER");
    try encoder.append("Identity", "");
    const expected = hex("0b 'Socket-Type' 00000006 'DEALER' 08 'Identity' 00000000");
    try testing.expectEqualSlices(u8, expected, encoder.written());
    try encoder.append_encoded(hex("03 'X-a' 00000001 'b'"));
    try testing.expectEqualStrings("b", (try find(encoder.written(), "X-A")).?);

    const long_name: [name_size_max]u8 = @splat('n');
    const long_value: [70_000]u8 = @splat('v');
    var large: [80_000]u8 = undefined;
    var large_encoder = Encoder.init(&large);
    try large_encoder.append(&long_name, &long_value);
    const found = (try find(large_encoder.written(), &long_name)).?;
    try testing.expectEqualSlices(u8, &long_value, found);
}

test "metadata: a full buffer is overrun, or half a property is left in it" {
    const needed = comptime property_size("Identity".len, "abc".len);
    for (0..needed) |room| {
        var buffer: [needed]u8 = @splat(0xaa);
        var encoder = Encoder.init(buffer[0..room]);
        try testing.expectError(error.NoSpaceLeft, encoder.append("Identity", "abc"));
        try testing.expectEqual(0, encoder.written().len);
        for (buffer) |byte| try testing.expectEqual(0xaa, byte);
        try testing.expectError(error.NoSpaceLeft, encoder.append_encoded(&buffer));
    }
    var buffer: [needed]u8 = undefined;
    var encoder = Encoder.init(&buffer);
    try encoder.append("Identity", "abc");
    try testing.expectError(error.NoSpaceLeft, encoder.append("I", ""));
    try testing.expectEqual(needed, encoder.written().len);
}

test "metadata: a cut property is taken for a whole one" {
    const bytes = hex("0b 'Socket-Type' 00000006 'DEALER' 08 'Identity' 00000003 'abc'");
    const first_size = property_size("Socket-Type".len, "DEALER".len);
    for (0..bytes.len) |cut| {
        const whole = cut == 0 or cut == first_size;
        const verdict = validate(bytes[0..cut]);
        if (whole) try verdict else try testing.expectError(error.InvalidMetadata, verdict);
    }
    try testing.expectError(error.InvalidMetadata, validate(bytes ++ hex("00")));
    try testing.expectError(error.InvalidMetadata, validate(hex("00 00000000")));
    try testing.expectError(error.InvalidMetadata, validate(hex("00 00000001 'a'")));
}

test "metadata: a length that lies reads memory that is not the peer's" {
    const lies = [_]u32{
        1,          2,          255,        256,        65535, 65536, 0x7fffffff,
        0x80000000, 0x80000001, 0xfffffffe, 0xffffffff,
    };
    for (lies) |lie| {
        var bytes = hex("01 'a' 00000000").*;
        std.mem.writeInt(u32, bytes[2..6], lie, .big);
        try testing.expectError(error.InvalidMetadata, validate(&bytes));
    }

    // Every size up to 64 KiB: a value that claims one byte less, exactly, and one more.
    const buffer = try testing.allocator.alloc(u8, 64 * 1024);
    defer testing.allocator.free(buffer);
    @memset(buffer, 0);
    buffer[0] = 1;
    buffer[1] = 'a';
    for (6..buffer.len + 1) |size| {
        const value_size: u32 = @intCast(size - 6);
        const bytes = buffer[0..size];
        std.mem.writeInt(u32, bytes[2..6], value_size, .big);
        try testing.expectEqual(value_size, (try find(bytes, "a")).?.len);
        std.mem.writeInt(u32, bytes[2..6], value_size + 1, .big);
        try testing.expectError(error.InvalidMetadata, validate(bytes));
        if (value_size == 0) continue;
        std.mem.writeInt(u32, bytes[2..6], value_size - 1, .big);
        try testing.expectError(error.InvalidMetadata, validate(bytes));
    }
}

test "metadata: random properties crash the process or loop forever" {
    const seed = testing.random_seed;
    errdefer std.debug.print("seed {d}\n", .{seed});
    var prng = std.Random.DefaultPrng.init(seed);
    const random = prng.random();
    var buffer: [600]u8 = undefined;
    for (0..20_000) |_| {
        const bytes = buffer[0..random.uintLessThan(usize, buffer.len + 1)];
        random.bytes(bytes);
        // Small numbers make lengths that fit, so that the walk gets further than one step.
        for (bytes) |*byte| {
            if (random.uintLessThan(u8, 4) > 0) byte.* = random.uintLessThan(u8, 4);
        }
        var iterator = Iterator.init(bytes);
        var covered: usize = 0;
        while (iterator.next() catch null) |property| {
            covered += property_size(property.name.len, property.value.len);
            try testing.expect(covered <= bytes.len);
        }
    }
}
