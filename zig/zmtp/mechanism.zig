//! Security mechanisms and the numeric protocol error codes that events report.
//! RFC 23/ZMTP 3.0 and RFC 37/ZMTP 3.1 "Security Mechanisms": the name is in the greeting.
//!
//!     12                                      32
//!     +---+---+---+---+---+-------- - - ------+
//!     | N | U | L | L | 0 | 0 ...             |   20 bytes, upper case, padded with zeros
//!     +---+---+---+---+---+-------- - - ------+

const std = @import("std");
const assert = std.debug.assert;

/// Bytes of the mechanism field in the greeting.
pub const field_size = 20;

pub const Field = [field_size]u8;

pub const Mechanism = enum(u8) {
    /// No authentication and no encryption (RFC 23).
    null,
    /// User name and password in clear text (RFC 24).
    plain,
    /// Authentication and encryption with Curve25519 (RFC 26).
    curve,

    pub fn wire_name(mechanism: Mechanism) []const u8 {
        return switch (mechanism) {
            .null => "NULL",
            .plain => "PLAIN",
            .curve => "CURVE",
        };
    }

    /// The name as it stands in the greeting.
    pub fn field(mechanism: Mechanism) Field {
        const name = mechanism.wire_name();
        assert(name.len > 0);
        assert(name.len <= field_size);
        var result: Field = @splat(0);
        @memcpy(result[0..name.len], name);
        return result;
    }

    /// All 20 bytes count, like in libzmq: "NULL" followed by anything but zeros is not NULL.
    pub fn from_field(bytes: *const Field) ?Mechanism {
        inline for (comptime std.enums.values(Mechanism)) |mechanism| {
            const expected = comptime mechanism.field();
            if (std.mem.eql(u8, bytes, &expected)) return mechanism;
        }
        return null;
    }
};

/// What a peer can do wrong, with libzmq's numbers: the value of a HANDSHAKE_FAILED_PROTOCOL event.
pub const ProtocolCode = enum(u32) {
    zmtp_unspecified = 0x10000000,
    unexpected_command = 0x10000001,
    invalid_sequence = 0x10000002,
    key_exchange = 0x10000003,
    malformed_command = 0x10000011,
    malformed_message = 0x10000012,
    malformed_hello = 0x10000013,
    malformed_initiate = 0x10000014,
    malformed_error = 0x10000015,
    malformed_ready = 0x10000016,
    malformed_welcome = 0x10000017,
    invalid_metadata = 0x10000018,
    cryptographic = 0x11000001,
    mechanism_mismatch = 0x11000002,
    zap_unspecified = 0x20000000,
    zap_malformed_reply = 0x20000001,
    zap_bad_request_id = 0x20000002,
    zap_bad_version = 0x20000003,
    zap_invalid_status = 0x20000004,
    zap_invalid_metadata = 0x20000005,
    websocket_unspecified = 0x30000000,
};

const testing = std.testing;
const hex = @import("hex.zig").hex;

test "mechanism: no peer agrees with our greeting" {
    const null_field = Mechanism.null.field();
    const plain_field = Mechanism.plain.field();
    const curve_field = Mechanism.curve.field();
    const zeros_15 = "000000000000000000000000000000";
    try testing.expectEqualSlices(u8, hex("'NULL'" ++ zeros_15 ++ "00"), &null_field);
    try testing.expectEqualSlices(u8, hex("'PLAIN'" ++ zeros_15), &plain_field);
    try testing.expectEqualSlices(u8, hex("'CURVE'" ++ zeros_15), &curve_field);
    for (std.enums.values(Mechanism)) |mechanism| {
        const field = mechanism.field();
        try testing.expectEqual(mechanism, Mechanism.from_field(&field));
    }
}

test "mechanism: a name that only begins like ours passes for ours" {
    for (std.enums.values(Mechanism)) |mechanism| {
        for (0..field_size) |index| {
            var field = mechanism.field();
            field[index] ^= 0x20;
            try testing.expectEqual(null, Mechanism.from_field(&field));
        }
    }
    const zeros: Field = @splat(0);
    try testing.expectEqual(null, Mechanism.from_field(&zeros));
    const gssapi: Field = ("GSSAPI" ++ "\x00" ** 14).*;
    try testing.expectEqual(null, Mechanism.from_field(&gssapi));
}

test "mechanism: monitors written for libzmq misread our protocol errors" {
    try testing.expectEqual(0x10000001, @intFromEnum(ProtocolCode.unexpected_command));
    try testing.expectEqual(0x10000011, @intFromEnum(ProtocolCode.malformed_command));
    try testing.expectEqual(0x10000015, @intFromEnum(ProtocolCode.malformed_error));
    try testing.expectEqual(0x10000016, @intFromEnum(ProtocolCode.malformed_ready));
    try testing.expectEqual(0x10000018, @intFromEnum(ProtocolCode.invalid_metadata));
    try testing.expectEqual(0x11000001, @intFromEnum(ProtocolCode.cryptographic));
    try testing.expectEqual(0x11000002, @intFromEnum(ProtocolCode.mechanism_mismatch));
}
