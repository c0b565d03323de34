//! Socket types: numbers, names on the wire, and who may talk to whom.
//! RFC 23/ZMTP 3.0 and RFC 37/ZMTP 3.1 "The Socket-Type Property"; the draft types are RFC 41, 48,
//! 49, 51 and 52. The numbers are libzmq's, because users and ZMTP 2.0 know them.
//!
//!     PAIR -- PAIR      REQ ---- REP, ROUTER            CLIENT -- SERVER     PEER ---- PEER
//!     PUB -+- SUB       DEALER - REP, DEALER, ROUTER    RADIO --- DISH       CHANNEL - CHANNEL
//!     XPUB +- XSUB      ROUTER - REQ, DEALER, ROUTER    SCATTER - GATHER     PUSH ---- PULL

const std = @import("std");
const assert = std.debug.assert;

pub const SocketType = enum(u8) {
    pair = 0,
    @"pub" = 1,
    sub = 2,
    req = 3,
    rep = 4,
    dealer = 5,
    router = 6,
    pull = 7,
    push = 8,
    xpub = 9,
    xsub = 10,
    /// Raw bytes: has a number and a name, but never takes part in a handshake.
    stream = 11,
    server = 12,
    client = 13,
    radio = 14,
    dish = 15,
    gather = 16,
    scatter = 17,
    /// UDP datagrams: has a number and a name, but never takes part in a handshake.
    dgram = 18,
    peer = 19,
    channel = 20,

    /// The value of the Socket-Type property.
    pub fn wire_name(socket_type: SocketType) []const u8 {
        return wire_names[@intFromEnum(socket_type)];
    }

    /// Exact and case-sensitive, like in libzmq.
    pub fn from_wire_name(name: []const u8) ?SocketType {
        for (wire_names, 0..) |candidate, number| {
            if (std.mem.eql(u8, candidate, name)) return @enumFromInt(number);
        }
        return null;
    }

    /// Whether the READY of this type carries an Identity property, be it empty.
    pub fn sends_identity(socket_type: SocketType) bool {
        return switch (socket_type) {
            .req, .dealer, .router => true,
            else => false,
        };
    }

    /// Whether a peer may tell what it wants to receive.
    pub fn takes_subscriptions(socket_type: SocketType) bool {
        return switch (socket_type) {
            .@"pub", .xpub, .radio => true,
            else => false,
        };
    }

    /// Whether this type speaks ZMTP at all.
    pub fn has_handshake(socket_type: SocketType) bool {
        return peers(socket_type).len > 0;
    }
};

pub const count = std.enums.values(SocketType).len;

const wire_names: [count][]const u8 = names: {
    var names: [count][]const u8 = undefined;
    for (std.enums.values(SocketType), 0..) |socket_type, number| {
        // The numbers are indices.
        assert(@intFromEnum(socket_type) == number);
        const lower = @tagName(socket_type);
        var upper: [lower.len]u8 = undefined;
        for (&upper, lower) |*target, char| target.* = std.ascii.toUpper(char);
        const final = upper;
        names[number] = &final;
    }
    break :names names;
};

/// Bytes of the longest name on the wire ("CHANNEL", "SCATTER").
pub const wire_name_size_max = size: {
    var size: usize = 0;
    for (wire_names) |name| size = @max(size, name.len);
    break :size size;
};

/// Whether two sockets may be connected. Symmetric.
pub fn compatible(a: SocketType, b: SocketType) bool {
    return std.mem.indexOfScalar(SocketType, peers(a), b) != null;
}

fn peers(socket_type: SocketType) []const SocketType {
    return switch (socket_type) {
        .pair => &.{.pair},
        .@"pub", .xpub => &.{ .sub, .xsub },
        .sub, .xsub => &.{ .@"pub", .xpub },
        .req => &.{ .rep, .router },
        .rep => &.{ .req, .dealer },
        .dealer => &.{ .rep, .dealer, .router },
        .router => &.{ .req, .dealer, .router },
        .pull => &.{.push},
        .push => &.{.pull},
        .server => &.{.client},
        .client => &.{.server},
        .radio => &.{.dish},
        .dish => &.{.radio},
        .gather => &.{.scatter},
        .scatter => &.{.gather},
        .peer => &.{.peer},
        .channel => &.{.channel},
        .stream, .dgram => &.{},
    };
}

const testing = std.testing;

test "socket type: a pair that libzmq accepts is refused, or the other way round" {
    // libzmq.md 1.1, written down once more as a picture: the row may talk to the marked columns.
    const table =
        \\            0         1         2
        \\            012345678901234567890
        \\ 0 PAIR     x....................
        \\ 1 PUB      ..x.......x..........
        \\ 2 SUB      .x.......x...........
        \\ 3 REQ      ....x.x..............
        \\ 4 REP      ...x.x...............
        \\ 5 DEALER   ....xxx..............
        \\ 6 ROUTER   ...x.xx..............
        \\ 7 PULL     ........x............
        \\ 8 PUSH     .......x.............
        \\ 9 XPUB     ..x.......x..........
        \\10 XSUB     .x.......x...........
        \\11 STREAM   .....................
        \\12 SERVER   .............x.......
        \\13 CLIENT   ............x........
        \\14 RADIO    ...............x.....
        \\15 DISH     ..............x......
        \\16 GATHER   .................x...
        \\17 SCATTER  ................x....
        \\18 DGRAM    .....................
        \\19 PEER     ...................x.
        \\20 CHANNEL  ....................x
    ;
    var lines = std.mem.splitScalar(u8, table, '\n');
    _ = lines.next();
    _ = lines.next();
    for (0..count) |row| {
        const line = lines.next().?;
        const a: SocketType = @enumFromInt(row);
        const number = std.mem.trim(u8, line[0..2], " ");
        try testing.expectEqual(row, try std.fmt.parseInt(usize, number, 10));
        try testing.expectEqualStrings(std.mem.trim(u8, line[3..12], " "), a.wire_name());
        for (line[12..], 0..) |mark, column| {
            const b: SocketType = @enumFromInt(column);
            try testing.expectEqual(mark == 'x', compatible(a, b));
            try testing.expectEqual(compatible(a, b), compatible(b, a));
        }
        try testing.expectEqual(count, line[12..].len);
    }
    try testing.expectEqual(null, lines.next());
}

test "socket type: a misspelt type passes for a known one" {
    for (std.enums.values(SocketType)) |socket_type| {
        const name = socket_type.wire_name();
        try testing.expectEqual(socket_type, SocketType.from_wire_name(name));
        try testing.expectEqual(null, SocketType.from_wire_name(name[0 .. name.len - 1]));
        try testing.expectEqual(null, SocketType.from_wire_name(@tagName(socket_type)));
        try testing.expect(name.len <= wire_name_size_max);
    }
    try testing.expectEqual(null, SocketType.from_wire_name(""));
    try testing.expectEqual(null, SocketType.from_wire_name("PUB\x00"));
    try testing.expectEqual(null, SocketType.from_wire_name("PUBLISHER"));
    try testing.expectEqual(7, wire_name_size_max);
}

test "socket type: a ROUTER does not learn the identity of its peer" {
    for (std.enums.values(SocketType)) |socket_type| {
        const expected = socket_type == .req or socket_type == .dealer or socket_type == .router;
        try testing.expectEqual(expected, socket_type.sends_identity());
        const raw = socket_type == .stream or socket_type == .dgram;
        try testing.expectEqual(!raw, socket_type.has_handshake());
    }
}
