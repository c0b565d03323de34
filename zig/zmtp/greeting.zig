//! The greeting: the first 64 bytes in each direction. RFC 23/ZMTP 3.0 "Greeting", RFC 37/ZMTP 3.1.
//!
//!     0    1              9    10   11   12                  32   33            64
//!     +----+------ - -----+----+----+----+------- - - -------+----+----- - -----+
//!     | FF | 0 (8 bytes)  | 7F | 03 | 01 | mechanism, 20     | 00 | 0 (31 bytes) |
//!     +----+------ - -----+----+----+----+------- - - -------+----+----- - -----+
//!     |<---- signature ------->|  version                      as-server
//!
//! libzmq sends this in three steps (10, 1 and 53 bytes) and waits for ours between them. We send
//! all 64 bytes at once and without waiting, so neither side can wait for the other.
//!
//! Whoever does not open like this is refused: libzmq takes such a peer for ZMTP 1.0, skips the
//! mechanism, and hands queued jobs to a web browser.

const std = @import("std");
const assert = std.debug.assert;
const mechanism_field = @import("mechanism.zig");
const Mechanism = mechanism_field.Mechanism;

/// Bytes of a greeting.
pub const size = 64;

const signature_first: u8 = 0xff;
const signature_last: u8 = 0x7f;
const signature_last_index = 9;
const version_major_index = 10;
const version_minor_index = 11;
const mechanism_index = 12;

/// The version that we announce: ZMTP 3.1.
pub const version_major: u8 = 3;
pub const version_minor: u8 = 1;

comptime {
    assert(signature_last & 1 == 1);
    // mechanism, as-server, filler
    assert(mechanism_index + mechanism_field.field_size + 1 + 31 == size);
}

/// Our greeting. as-server is 0 for every mechanism, like libzmq's, which never reads it either.
pub fn encode(mechanism: Mechanism) [size]u8 {
    var greeting: [size]u8 = @splat(0);
    greeting[0] = signature_first;
    // RFC 23 leaves the padding open. 00 .. 01 is what libzmq sends; a ZMTP 1.0 peer reads it as
    // the length of an empty identity.
    greeting[8] = 1;
    greeting[signature_last_index] = signature_last;
    greeting[version_major_index] = version_major;
    greeting[version_minor_index] = version_minor;
    greeting[mechanism_index..][0..mechanism_field.field_size].* = mechanism.field();
    return greeting;
}

pub const Greeting = struct {
    /// At least 3.
    version_major: u8,
    version_minor: u8,
    mechanism: mechanism_field.Field,

    /// Whether the peer takes SUBSCRIBE and CANCEL as commands; a 3.0 peer wants 01/00 + topic.
    /// A major version above 3 is to behave like the highest we know.
    pub fn speaks_3_1(greeting: Greeting) bool {
        assert(greeting.version_major >= version_major);
        return greeting.version_major > 3 or greeting.version_minor >= 1;
    }
};

pub const Error = error{
    /// Byte 0 is not FF, or bit 0 of byte 9 is not set: ZMTP 1.0, HTTP, TLS, anything.
    NotZmtp,
    /// Byte 10 is below 3: ZMTP 1.0 or 2.0, which know no mechanisms and would bypass security.
    VersionTooOld,
};

/// Takes a greeting in pieces of any size and refuses a wrong one at the first byte that says so.
pub const Parser = struct {
    /// As far as it tells something: what follows is counted only.
    bytes: [kept_size]u8 = undefined,
    received: u8 = 0,

    const kept_size = mechanism_index + mechanism_field.field_size;

    pub const Receipt = struct {
        /// How many of the given bytes belong to the greeting.
        consumed: usize,
        /// The greeting, once all 64 bytes are here.
        greeting: ?Greeting,
    };

    pub fn receive(parser: *Parser, bytes: []const u8) Error!Receipt {
        assert(parser.received < size);
        const before = parser.received;
        const consumed = @min(bytes.len, size - before);
        if (before < kept_size) {
            const kept = @min(consumed, kept_size - before);
            @memcpy(parser.bytes[before..][0..kept], bytes[0..kept]);
        }
        parser.received += @intCast(consumed);
        assert(parser.received <= size);

        try parser.check();
        return .{ .consumed = consumed, .greeting = parser.result() };
    }

    /// Looks at what is here only; repeated checks of the same byte are harmless.
    fn check(parser: *const Parser) Error!void {
        const bytes = parser.bytes[0..@min(parser.received, kept_size)];
        if (bytes.len > 0 and bytes[0] != signature_first) return error.NotZmtp;
        if (bytes.len > signature_last_index and bytes[signature_last_index] & 1 == 0) {
            return error.NotZmtp;
        }
        if (bytes.len > version_major_index and bytes[version_major_index] < version_major) {
            return error.VersionTooOld;
        }
    }

    fn result(parser: *const Parser) ?Greeting {
        if (parser.received < size) return null;
        assert(parser.bytes[0] == signature_first);
        assert(parser.bytes[version_major_index] >= version_major);
        return .{
            .version_major = parser.bytes[version_major_index],
            .version_minor = parser.bytes[version_minor_index],
            .mechanism = parser.bytes[mechanism_index..][0..mechanism_field.field_size].*,
        };
    }
};

const testing = std.testing;
const hex = @import("hex.zig").hex;

const test_greeting_null = hex(
    \\ff 00 00 00 00 00 00 00 01 7f 03 01 'NULL' 00000000000000000000000000000000
    \\00 00000000000000000000000000000000000000000000000000000000000000
);

/// Feeds `bytes` in pieces that end at the cuts; the greeting, or null when it needs more.
fn test_parse(bytes: []const u8, cuts: []const usize) Error!?Greeting {
    var parser: Parser = .{};
    var start: usize = 0;
    for (0..cuts.len + 1) |index| {
        const end = if (index < cuts.len) cuts[index] else bytes.len;
        const piece = bytes[start..end];
        const receipt = try parser.receive(piece);
        if (receipt.greeting) |greeting| {
            assert(start + receipt.consumed == size);
            return greeting;
        }
        assert(receipt.consumed == piece.len);
        start = end;
    }
    return null;
}

test "greeting: libzmq does not recognise us" {
    try testing.expectEqualSlices(u8, test_greeting_null, &encode(.null));
    const curve = encode(.curve);
    try testing.expectEqualSlices(u8, "CURVE", curve[12..17]);
    for (curve[17..]) |byte| try testing.expectEqual(0, byte);
}

test "greeting: a peer whose greeting arrives in pieces is refused" {
    for (0..size + 1) |cut| {
        const greeting = (try test_parse(test_greeting_null, &.{cut})).?;
        try testing.expectEqual(3, greeting.version_major);
        try testing.expectEqual(1, greeting.version_minor);
        try testing.expectEqual(.null, Mechanism.from_field(&greeting.mechanism));
    }
    // libzmq's own steps, and byte by byte.
    try testing.expect(try test_parse(test_greeting_null, &.{ 10, 11 }) != null);
    var every: [size]usize = undefined;
    for (&every, 0..) |*cut, index| cut.* = index;
    try testing.expect(try test_parse(test_greeting_null, &every) != null);
    for (0..size) |cut| {
        try testing.expectEqual(null, try test_parse(test_greeting_null[0..cut], &.{}));
    }
}

test "greeting: bytes of the first command are swallowed" {
    var parser: Parser = .{};
    const receipt = try parser.receive(test_greeting_null ++ hex("04 29 05 'READY'"));
    try testing.expectEqual(size, receipt.consumed);
    try testing.expect(receipt.greeting != null);
}

test "greeting: a browser, a TLS client or a telnet user is served as a ZMTP 1.0 peer" {
    const strangers = [_][]const u8{
        "G",
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        hex("16 03 01 02 00 01"),
        hex("00"),
        hex("01 00"),
        "\r\n",
        hex("04 29 05 'READY'"),
        hex("fe"),
        hex("7f"),
    };
    for (strangers) |bytes| {
        try testing.expectError(error.NotZmtp, test_parse(bytes, &.{}));
        try testing.expectError(error.NotZmtp, test_parse(bytes[0..1], &.{}));
    }
    // ZMTP 1.0 with a long identity: FF, a 64-bit length, flags 00.
    const old = hex("ff 00 00 00 00 00 00 01 01 00");
    try testing.expectError(error.NotZmtp, test_parse(old, &.{}));
    try testing.expectEqual(null, try test_parse(old[0..9], &.{}));
}

test "greeting: an old version bypasses the mechanism (CVE-2014-7202, CVE-2014-9721)" {
    for (0..256) |major| {
        var bytes = test_greeting_null.*;
        bytes[version_major_index] = @intCast(major);
        if (major < 3) {
            // Refused at that very byte: an old peer will never send 64 bytes.
            try testing.expectError(error.VersionTooOld, test_parse(bytes[0..11], &.{}));
            try testing.expectError(error.VersionTooOld, test_parse(&bytes, &.{10}));
        } else {
            try testing.expect((try test_parse(&bytes, &.{})).?.speaks_3_1());
        }
    }
}

test "greeting: a 3.0 peer is sent subscriptions that it ignores" {
    const Case = struct { u8, u8, bool };
    const cases = [_]Case{
        .{ 3, 0, false }, .{ 3, 1, true }, .{ 3, 2, true }, .{ 3, 255, true }, .{ 4, 0, true },
    };
    for (cases) |case| {
        var bytes = test_greeting_null.*;
        bytes[version_major_index] = case[0];
        bytes[version_minor_index] = case[1];
        const greeting = (try test_parse(&bytes, &.{})).?;
        try testing.expectEqual(case[0], greeting.version_major);
        try testing.expectEqual(case[1], greeting.version_minor);
        try testing.expectEqual(case[2], greeting.speaks_3_1());
    }
}

test "greeting: peers with another padding, as-server or filler are refused" {
    var bytes = test_greeting_null.*;
    @memset(bytes[1..9], 0xee);
    bytes[signature_last_index] = 0x01;
    @memset(bytes[32..], 0xee);
    const padded = (try test_parse(&bytes, &.{})).?;
    try testing.expectEqual(.null, Mechanism.from_field(&padded.mechanism));
    // All FF is a valid signature of version 255 with a mechanism that nobody has.
    const ones: [size]u8 = @splat(0xff);
    const greeting = (try test_parse(&ones, &.{})).?;
    try testing.expectEqual(null, Mechanism.from_field(&greeting.mechanism));
}

test "greeting: random bytes crash the process" {
    const seed = testing.random_seed;
    errdefer std.debug.print("seed {d}\n", .{seed});
    var prng = std.Random.DefaultPrng.init(seed);
    const random = prng.random();
    for (0..20_000) |_| {
        var bytes = test_greeting_null.*;
        for (0..random.uintLessThan(usize, 8)) |_| {
            bytes[random.uintLessThan(usize, size)] = random.int(u8);
        }
        const cuts = [1]usize{random.uintLessThan(usize, size + 1)};
        const at_once = test_parse(&bytes, &.{});
        const in_two = test_parse(&bytes, &cuts);
        try testing.expectEqualDeep(at_once, in_two);
    }
}
