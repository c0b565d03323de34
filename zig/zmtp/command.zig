//! Commands: the body of a frame with the COMMAND flag. RFC 23/ZMTP 3.0 "Commands"; PING, PONG,
//! SUBSCRIBE and CANCEL as commands are new in RFC 37/ZMTP 3.1.
//!
//!     +-------+-----------------+---------------- - - -
//!     | u8: n | name, n bytes   | data, up to the end of the frame
//!     +-------+-----------------+---------------- - - -
//!
//!     READY      metadata                          PING       u16 BE: TTL in 1/10 s, context 0..16
//!     ERROR      u8: r, reason of r bytes          PONG       context 0..16
//!     SUBSCRIBE  topic                             CANCEL     topic
//!     JOIN       group                             LEAVE      group

const std = @import("std");
const assert = std.debug.assert;
const frame = @import("frame.zig");

pub const Name = enum(u8) {
    ready,
    @"error",
    ping,
    pong,
    subscribe,
    cancel,
    join,
    leave,
    hello,
    welcome,
    initiate,
    message,
    /// A name that is none of the above. Ignored after the handshake, an error during it.
    unknown,

    pub fn wire_name(name: Name) []const u8 {
        return switch (name) {
            .ready => "READY",
            .@"error" => "ERROR",
            .ping => "PING",
            .pong => "PONG",
            .subscribe => "SUBSCRIBE",
            .cancel => "CANCEL",
            .join => "JOIN",
            .leave => "LEAVE",
            .hello => "HELLO",
            .welcome => "WELCOME",
            .initiate => "INITIATE",
            .message => "MESSAGE",
            .unknown => unreachable,
        };
    }

    /// Exact and case-sensitive, like in libzmq.
    pub fn from_wire_name(bytes: []const u8) Name {
        inline for (comptime std.enums.values(Name)) |name| {
            if (name != .unknown and std.mem.eql(u8, bytes, name.wire_name())) return name;
        }
        return .unknown;
    }
};

/// Bytes of the longest name that we write ("SUBSCRIBE").
pub const name_size_max = size: {
    var size: usize = 0;
    for (std.enums.values(Name)) |name| {
        if (name != .unknown) size = @max(size, name.wire_name().len);
    }
    break :size size;
};

/// Bytes: frame header and name, everything of a command except its data.
pub const prefix_size_max = frame.header_size_max + 1 + name_size_max;

const ping_ttl_size = 2;
/// Bytes: the RFC's limit for the context of a PING. A longer one is cut in our PONG.
pub const ping_context_size_max = 16;
/// Tenths of a second: libzmq keeps the TTL in milliseconds in 16 bits, so 656 becomes 64 ms.
pub const ping_ttl_max = 655;
/// Bytes: the length of an ERROR's reason is one byte.
pub const error_reason_size_max = 255;

pub const ping_frame_size_max =
    frame_size(.ping, ping_ttl_size + ping_context_size_max);
pub const pong_frame_size_max = frame_size(.pong, ping_context_size_max);
pub const error_frame_size_max = frame_size(.@"error", 1 + error_reason_size_max);

comptime {
    assert(ping_ttl_max * 100 <= std.math.maxInt(u16));
    assert((ping_ttl_max + 1) * 100 > std.math.maxInt(u16));
    assert(pong_frame_size_max <= ping_frame_size_max);
}

pub const Command = struct {
    name: Name,
    /// The name as received, for those that are unknown.
    name_bytes: []const u8,
    /// What follows the name.
    data: []const u8,
};

/// Splits the body of a frame into name and data.
pub fn parse(body: []const u8) error{MalformedCommand}!Command {
    if (body.len == 0) return error.MalformedCommand;
    const name_size: usize = body[0];
    const rest = body[1..];
    if (name_size == 0) return error.MalformedCommand;
    if (name_size > rest.len) return error.MalformedCommand;
    const name_bytes = rest[0..name_size];
    return .{
        .name = Name.from_wire_name(name_bytes),
        .name_bytes = name_bytes,
        .data = rest[name_size..],
    };
}

pub const Ping = struct {
    /// Tenths of a second without any frame after which the peer may be taken for dead; 0 = never.
    ttl: u16,
    /// As received, of any size; `encode_pong` cuts it.
    context: []const u8,
};

/// `data` of a PING. Without a whole TTL it is malformed; libzmq answers that with stale memory.
pub fn parse_ping(data: []const u8) error{MalformedCommand}!Ping {
    if (data.len < ping_ttl_size) return error.MalformedCommand;
    return .{
        .ttl = std.mem.readInt(u16, data[0..ping_ttl_size], .big),
        .context = data[ping_ttl_size..],
    };
}

/// `data` of an ERROR: the reason. Its length has to match exactly.
pub fn parse_error(data: []const u8) error{MalformedError}![]const u8 {
    if (data.len == 0) return error.MalformedError;
    const reason = data[1..];
    if (reason.len != data[0]) return error.MalformedError;
    return reason;
}

/// Bytes of a command's body.
pub fn body_size(name: Name, data_size: usize) usize {
    assert(name != .unknown);
    return 1 + name.wire_name().len + data_size;
}

/// Bytes of a command with its frame header.
pub fn frame_size(name: Name, data_size: usize) usize {
    const size = body_size(name, data_size);
    return frame.header_size(size) + size;
}

/// Writes a body: SUBSCRIBE and CANCEL with a topic, JOIN and LEAVE with a group, and so on. The
/// buffer has at least `body_size` bytes.
pub fn encode_body(buffer: []u8, name: Name, data: []const u8) []u8 {
    assert(name != .unknown);
    assert(buffer.len >= body_size(name, data.len));
    const name_bytes = name.wire_name();
    buffer[0] = @intCast(name_bytes.len);
    @memcpy(buffer[1..][0..name_bytes.len], name_bytes);
    @memcpy(buffer[1 + name_bytes.len ..][0..data.len], data);
    return buffer[0..body_size(name, data.len)];
}

/// Writes frame header and name only, for data that is sent from where it lies: `data_size` bytes
/// have to follow on the wire. `prefix_size_max` bytes of buffer are always enough.
pub fn encode_prefix(buffer: []u8, name: Name, data_size: usize) []u8 {
    assert(name != .unknown);
    const header_size = frame.encode(buffer, frame.flag_command, body_size(name, data_size));
    const name_part = encode_body(buffer[header_size..], name, "");
    const prefix = buffer[0 .. header_size + name_part.len];
    assert(prefix.len <= prefix_size_max);
    return prefix;
}

/// Writes a whole frame. The buffer has at least `frame_size` bytes.
pub fn encode_frame(buffer: []u8, name: Name, data: []const u8) []u8 {
    assert(buffer.len >= frame_size(name, data.len));
    const prefix = encode_prefix(buffer, name, data.len);
    @memcpy(buffer[prefix.len..][0..data.len], data);
    const result = buffer[0 .. prefix.len + data.len];
    assert(result.len == frame_size(name, data.len));
    return result;
}

/// Writes a PING frame; `ttl` in tenths of a second, cut to `ping_ttl_max`: a longer one would make
/// libzmq drop us early, a shorter one only makes it notice our death sooner.
pub fn encode_ping(buffer: []u8, ttl: u16, context: []const u8) []u8 {
    assert(context.len <= ping_context_size_max);
    var data: [ping_ttl_size + ping_context_size_max]u8 = undefined;
    std.mem.writeInt(u16, data[0..ping_ttl_size], @min(ttl, ping_ttl_max), .big);
    @memcpy(data[ping_ttl_size..][0..context.len], context);
    return encode_frame(buffer, .ping, data[0 .. ping_ttl_size + context.len]);
}

/// Writes the PONG frame that answers a PING; `context` is the peer's and may have any size.
pub fn encode_pong(buffer: []u8, context: []const u8) []u8 {
    return encode_frame(buffer, .pong, context[0..@min(context.len, ping_context_size_max)]);
}

/// Writes an ERROR frame.
pub fn encode_error(buffer: []u8, reason: []const u8) []u8 {
    assert(reason.len <= error_reason_size_max);
    var data: [1 + error_reason_size_max]u8 = undefined;
    data[0] = @intCast(reason.len);
    @memcpy(data[1..][0..reason.len], reason);
    return encode_frame(buffer, .@"error", data[0 .. 1 + reason.len]);
}

const testing = std.testing;
const hex = @import("hex.zig").hex;

test "command: a command of a peer is not recognised" {
    const Case = struct { []const u8, Name, []const u8 };
    const cases = [_]Case{
        .{ hex("05 'READY'"), .ready, "" },
        .{ hex("05 'ERROR' 03 '400'"), .@"error", "\x03400" },
        .{ hex("04 'PING' 0000 'LOL'"), .ping, "\x00\x00LOL" },
        .{ hex("04 'PONG' 'LOL'"), .pong, "LOL" },
        .{ hex("09 'SUBSCRIBE' 'A'"), .subscribe, "A" },
        .{ hex("09 'SUBSCRIBE'"), .subscribe, "" },
        .{ hex("06 'CANCEL' 'A'"), .cancel, "A" },
        .{ hex("04 'JOIN' 'group'"), .join, "group" },
        .{ hex("05 'LEAVE' 'group'"), .leave, "group" },
        .{ hex("05 'HELLO' 00 00"), .hello, "\x00\x00" },
        .{ hex("07 'WELCOME'"), .welcome, "" },
        .{ hex("08 'INITIATE'"), .initiate, "" },
        .{ hex("07 'MESSAGE'"), .message, "" },
        .{ hex("05 'ready'"), .unknown, "" },
        .{ hex("04 'READY'"), .unknown, "Y" },
        .{ hex("01 00"), .unknown, "" },
    };
    for (cases) |case| {
        const parsed = try parse(case[0]);
        try testing.expectEqual(case[1], parsed.name);
        try testing.expectEqualStrings(case[2], parsed.data);
        try testing.expectEqual(case[0].len, 1 + parsed.name_bytes.len + parsed.data.len);
    }
}

test "command: a name that lies about its length reads foreign memory" {
    try testing.expectError(error.MalformedCommand, parse(""));
    try testing.expectError(error.MalformedCommand, parse(hex("00")));
    try testing.expectError(error.MalformedCommand, parse(hex("00 'READY'")));
    try testing.expectError(error.MalformedCommand, parse(hex("05 'READ'")));
    try testing.expectError(error.MalformedCommand, parse(hex("ff 'READY'")));
    const longest = [_]u8{255} ++ [_]u8{'n'} ** 255;
    try testing.expectEqual(.unknown, (try parse(&longest)).name);
    try testing.expectError(error.MalformedCommand, parse(longest[0..255]));
}

test "command: a short PING is answered with memory that is not the peer's" {
    const whole = hex("04 'PING' 0102 'LOL'");
    for (5..7) |cut| {
        const parsed = try parse(whole[0..cut]);
        try testing.expectEqual(.ping, parsed.name);
        try testing.expectError(error.MalformedCommand, parse_ping(parsed.data));
    }
    const bare = try parse_ping((try parse(whole[0..7])).data);
    try testing.expectEqual(0x0102, bare.ttl);
    try testing.expectEqualStrings("", bare.context);
    const full = try parse_ping((try parse(whole)).data);
    try testing.expectEqual(0x0102, full.ttl);
    try testing.expectEqualStrings("LOL", full.context);
}

test "command: heartbeats of libzmq are not answered the way it expects" {
    const received = hex("04 0A 04 'PING' 0000 'LOL'");
    const header = frame.decode(received).?;
    try testing.expect(header.command());
    const ping = try parse_ping((try parse(received[header.header_size..])).data);
    var buffer: [pong_frame_size_max]u8 = undefined;
    const pong = encode_pong(&buffer, ping.context);
    try testing.expectEqualSlices(u8, hex("04 08 04 'PONG' 'LOL'"), pong);

    // test_heartbeats of libzmq: 65 bytes of context come back as 16, in a frame of 23 bytes.
    const long: [65]u8 = @splat('z');
    const cut = encode_pong(&buffer, &long);
    try testing.expectEqual(23, cut.len);
    try testing.expectEqualSlices(u8, hex("04 15 04 'PONG' 'zzzzzzzzzzzzzzzz'"), cut);
    try testing.expectEqual(pong_frame_size_max, cut.len);
}

test "command: libzmq drops us after 64 ms because of a long TTL" {
    var buffer: [ping_frame_size_max]u8 = undefined;
    try testing.expectEqualSlices(u8, hex("04 07 04 'PING' 0000"), encode_ping(&buffer, 0, ""));
    const most = encode_ping(&buffer, 655, "0123456789abcdef");
    try testing.expectEqualSlices(u8, hex("04 17 04 'PING' 028f '0123456789abcdef'"), most);
    try testing.expectEqual(ping_frame_size_max, most.len);
    for ([_]u16{ 656, 700, 65535 }) |ttl| {
        const frame_bytes = encode_ping(&buffer, ttl, "");
        try testing.expectEqualSlices(u8, hex("04 07 04 'PING' 028f"), frame_bytes);
    }
}

test "command: the reason of a refusal is lost or runs past its end" {
    try testing.expectEqualStrings("400", try parse_error(hex("03 '400'")));
    try testing.expectEqualStrings("", try parse_error(hex("00")));
    try testing.expectError(error.MalformedError, parse_error(""));
    try testing.expectError(error.MalformedError, parse_error(hex("04 '400'")));
    try testing.expectError(error.MalformedError, parse_error(hex("02 '400'")));
    try testing.expectError(error.MalformedError, parse_error(hex("ff")));

    var buffer: [error_frame_size_max]u8 = undefined;
    const short = encode_error(&buffer, "400");
    try testing.expectEqualSlices(u8, hex("04 0a 05 'ERROR' 03 '400'"), short);
    const reason: [error_reason_size_max]u8 = @splat('r');
    const long = encode_error(&buffer, &reason);
    try testing.expectEqual(buffer.len, long.len);
    const body = long[frame.decode(long).?.header_size..];
    try testing.expectEqualStrings(&reason, try parse_error((try parse(body)).data));
}

test "command: a subscription to a topic of 246 to 255 bytes breaks the connection" {
    var buffer: [2048]u8 = undefined;
    const a = encode_frame(&buffer, .subscribe, "A");
    try testing.expectEqualSlices(u8, hex("04 0B 09 53 55 42 53 43 52 49 42 45 41"), a);
    const cancel = encode_frame(&buffer, .cancel, "A");
    try testing.expectEqualSlices(u8, hex("04 08 06 'CANCEL' 'A'"), cancel);
    const body = encode_body(&buffer, .subscribe, "A");
    try testing.expectEqualSlices(u8, hex("09 'SUBSCRIBE' 'A'"), body);

    const topic: [1024]u8 = @splat('t');
    for (0..topic.len) |size| {
        for ([_]Name{ .subscribe, .cancel }) |name| {
            const bytes = encode_frame(&buffer, name, topic[0..size]);
            const header = frame.decode(bytes).?;
            try testing.expectEqual(bytes.len, header.header_size + header.body_size);
            const parsed = try parse(bytes[header.header_size..]);
            try testing.expectEqual(name, parsed.name);
            try testing.expectEqualStrings(topic[0..size], parsed.data);

            var prefix_buffer: [prefix_size_max]u8 = undefined;
            const prefix = encode_prefix(&prefix_buffer, name, size);
            try testing.expectEqualSlices(u8, bytes[0..prefix.len], prefix);
            try testing.expectEqual(bytes.len, prefix.len + size);
        }
    }
}
