//! The NULL mechanism: each side sends READY, or ERROR instead. RFC 23/ZMTP 3.0 and RFC 37/ZMTP 3.1
//! "The NULL Security Mechanism".
//!
//!     +----+------+---------+------------------------- - - -
//!     | 04 | size | 5 READY | metadata                          06 and a 64-bit size if > 255
//!     +----+------+---------+------------------------- - - -
//!     +----+------+---------+---+------------- - - -
//!     | 04 | size | 5 ERROR | r | reason, r bytes
//!     +----+------+---------+---+------------- - - -
//!
//! Metadata in libzmq's order: Socket-Type; Identity for REQ, DEALER and ROUTER, be it empty; then
//! the extra properties.

const std = @import("std");
const assert = std.debug.assert;
const command = @import("command.zig");
const frame = @import("frame.zig");
const metadata = @import("metadata.zig");
const socket_types = @import("socket_type.zig");
const SocketType = socket_types.SocketType;

pub const property_socket_type = "Socket-Type";
pub const property_identity = "Identity";

/// Bytes: the RFC's limit, and what the ROUTING_ID option accepts.
pub const identity_size_max = 255;
/// Bytes: encoded X- properties of a user. They are sent to every peer, and every connection needs
/// room to send them, so they are kept small.
pub const extra_metadata_size_max = 2048;

/// Bytes of the longest metadata we send with any mechanism.
pub const metadata_size_max =
    metadata.property_size(property_socket_type.len, socket_types.wire_name_size_max) +
    metadata.property_size(property_identity.len, identity_size_max) +
    extra_metadata_size_max;

/// Bytes of the longest READY frame.
pub const ready_frame_size_max = command.frame_size(.ready, metadata_size_max);

comptime {
    assert(identity_size_max <= metadata.value_size_max);
    assert(ready_frame_size_max > frame.body_size_short_max);
}

/// Bytes of the metadata that `encode_metadata` writes.
pub fn metadata_size(
    socket_type: SocketType,
    routing_id: []const u8,
    extra_metadata: []const u8,
) usize {
    assert(routing_id.len <= identity_size_max);
    assert(extra_metadata.len <= extra_metadata_size_max);
    var size = metadata.property_size(property_socket_type.len, socket_type.wire_name().len);
    if (socket_type.sends_identity()) {
        size += metadata.property_size(property_identity.len, routing_id.len);
    }
    return size + extra_metadata.len;
}

/// Writes our metadata, the same for all mechanisms. `routing_id` is left out when the type does
/// not send it; `extra_metadata` holds encoded properties.
pub fn encode_metadata(
    buffer: []u8,
    socket_type: SocketType,
    routing_id: []const u8,
    extra_metadata: []const u8,
) error{NoSpaceLeft}![]u8 {
    assert(socket_type.has_handshake());
    assert(routing_id.len <= identity_size_max);
    var encoder = metadata.Encoder.init(buffer);
    try encoder.append(property_socket_type, socket_type.wire_name());
    if (socket_type.sends_identity()) try encoder.append(property_identity, routing_id);
    try encoder.append_encoded(extra_metadata);
    return encoder.written();
}

/// Writes our READY frame.
pub fn encode_ready(
    buffer: []u8,
    socket_type: SocketType,
    routing_id: []const u8,
    extra_metadata: []const u8,
) error{NoSpaceLeft}![]u8 {
    const data_size = metadata_size(socket_type, routing_id, extra_metadata);
    const size = command.frame_size(.ready, data_size);
    assert(size <= ready_frame_size_max);
    if (size > buffer.len) return error.NoSpaceLeft;

    const prefix = command.encode_prefix(buffer, .ready, data_size);
    const rest = buffer[prefix.len..size];
    const data = try encode_metadata(rest, socket_type, routing_id, extra_metadata);
    assert(data.len == data_size);
    return buffer[0..size];
}

/// What a peer can do wrong.
pub const Error = error{ UnexpectedCommand, MalformedCommand, MalformedError };

/// What a peer may send instead of traffic.
pub const Reply = union(enum) {
    /// READY: its metadata, not looked into yet.
    ready: []const u8,
    /// ERROR: its reason, at most 255 bytes.
    @"error": []const u8,
};

/// Reads the peer's one handshake command. A READY or ERROR without the COMMAND flag is taken, as
/// libzmq does; any other frame without it is early traffic.
pub fn parse(header: frame.Header, body: []const u8) Error!Reply {
    assert(header.body_size == body.len);
    // Commands are never in parts, so this is traffic, whatever it spells.
    if (header.more()) return error.UnexpectedCommand;
    const received = command.parse(body) catch |fault| {
        return if (header.command()) fault else error.UnexpectedCommand;
    };
    return switch (received.name) {
        .ready => .{ .ready = received.data },
        .@"error" => .{ .@"error" = try command.parse_error(received.data) },
        else => error.UnexpectedCommand,
    };
}

const testing = std.testing;
const hex = @import("hex.zig").hex;

fn test_parse(bytes: []const u8) Error!Reply {
    const header = frame.decode(bytes).?;
    return parse(header, bytes[header.header_size..]);
}

test "null: libzmq does not understand our READY" {
    var buffer: [ready_frame_size_max]u8 = undefined;
    try testing.expectEqualSlices(
        u8,
        hex("04 29 05 'READY' 0b 'Socket-Type' 00000006 'DEALER' 08 'Identity' 00000000"),
        try encode_ready(&buffer, .dealer, "", ""),
    );
    try testing.expectEqualSlices(
        u8,
        hex("04 28 05 'READY' 0b 'Socket-Type' 00000003 'REQ' 08 'Identity' 00000002 'me'"),
        try encode_ready(&buffer, .req, "me", ""),
    );
    // Not a type that has an identity: the option is set, but not told.
    try testing.expectEqualSlices(
        u8,
        hex("04 23 05 'READY' 0b 'Socket-Type' 00000004 'PUSH' 03 'X-a' 00000001 'b'"),
        try encode_ready(&buffer, .push, "me", hex("03 'X-a' 00000001 'b'")),
    );
}

test "null: a long identity or long X- properties do not fit" {
    var buffer: [ready_frame_size_max]u8 = undefined;
    const identity: [identity_size_max]u8 = @splat('i');
    var extra: [extra_metadata_size_max]u8 = @splat('x');
    extra[0] = 1;
    std.mem.writeInt(u32, extra[2..6], extra.len - 6, .big);
    for (std.enums.values(SocketType)) |socket_type| {
        if (!socket_type.has_handshake()) continue;
        const ready = try encode_ready(&buffer, socket_type, &identity, &extra);
        try testing.expectEqual(frame.flag_large | frame.flag_command, ready[0]);
        const properties = (try test_parse(ready)).ready;
        try metadata.validate(properties);
        const name = (try metadata.find(properties, property_socket_type)).?;
        try testing.expectEqual(socket_type, SocketType.from_wire_name(name));
        const sent = try metadata.find(properties, property_identity);
        try testing.expectEqual(socket_type.sends_identity(), sent != null);

        const short = buffer[0 .. ready.len - 1];
        const verdict = encode_ready(short, socket_type, &identity, &extra);
        try testing.expectError(error.NoSpaceLeft, verdict);
    }
}

test "null: identities around 255 bytes of frame are sent with a wrong size" {
    var buffer: [ready_frame_size_max]u8 = undefined;
    const identity: [identity_size_max]u8 = @splat('i');
    for (0..identity.len + 1) |size| {
        const ready = try encode_ready(&buffer, .router, identity[0..size], "");
        const header = frame.decode(ready).?;
        try testing.expectEqual(ready.len, header.header_size + header.body_size);
        const sent = (try metadata.find((try test_parse(ready)).ready, property_identity)).?;
        try testing.expectEqualStrings(identity[0..size], sent);
    }
}

test "null: traffic or a foreign command passes for READY" {
    const Case = struct { []const u8, Error };
    const cases = [_]Case{
        .{ hex("00 05 'hello'"), error.UnexpectedCommand },
        .{ hex("00 00"), error.UnexpectedCommand },
        .{ hex("00 02 01 'A'"), error.UnexpectedCommand },
        .{ hex("01 06 05 'READY'"), error.UnexpectedCommand },
        .{ hex("05 06 05 'READY'"), error.UnexpectedCommand },
        .{ hex("04 07 04 'PING' 0000"), error.UnexpectedCommand },
        .{ hex("04 0b 09 'SUBSCRIBE' 'A'"), error.UnexpectedCommand },
        .{ hex("04 08 05 'HELLO' 00 00"), error.UnexpectedCommand },
        .{ hex("04 06 05 'ready'"), error.UnexpectedCommand },
        .{ hex("04 00"), error.MalformedCommand },
        .{ hex("04 01 00"), error.MalformedCommand },
        .{ hex("04 05 05 'READ'"), error.MalformedCommand },
        .{ hex("04 06 05 'ERROR'"), error.MalformedError },
        .{ hex("04 0a 05 'ERROR' 04 '400'"), error.MalformedError },
    };
    for (cases) |case| try testing.expectError(case[1], test_parse(case[0]));
    const refused = try test_parse(hex("04 0a 05 'ERROR' 03 '400'"));
    try testing.expectEqualStrings("400", refused.@"error");
    try testing.expectEqualStrings("", (try test_parse(hex("04 06 05 'READY'"))).ready);
    // By position, without the COMMAND flag, as libzmq takes it.
    try testing.expectEqualStrings("", (try test_parse(hex("00 06 05 'READY'"))).ready);
    const large = hex("02 0000000000000006 05 'READY'");
    try testing.expectEqualStrings("", (try test_parse(large)).ready);
}
