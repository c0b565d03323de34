//! The handshake of one connection, from the first byte to the last before traffic.
//! RFC 23/ZMTP 3.0 and RFC 37/ZMTP 3.1.
//!
//!     we                                    peer
//!     -- greeting, 64 bytes -------------->
//!     <-------------- greeting, 64 bytes --      in any pieces
//!     -- READY --------------------------->      not before the whole greeting is here
//!     <------------------- READY or ERROR --
//!     <============= traffic =============>      not before READY was received (libzmq would
//!                                                report an unexpected command and hang up)
//!
//! PLAIN and CURVE (handshake_secured.zig): HELLO, WELCOME and INITIATE come before READY. Where
//! the socket's owner decides who may come, the peer sees nothing of ours that would tell it is in
//! before the verdict (`Receipt.verdict_wanted`, `answer`).
//!
//! Bytes in, bytes out: the caller reads, writes and keeps the deadline. Bytes of the peer end in a
//! `Failure`, never in an assertion.

const std = @import("std");
const assert = std.debug.assert;
const command = @import("command.zig");
const frame = @import("frame.zig");
const greetings = @import("greeting.zig");
const mechanisms = @import("mechanism.zig");
const metadata = @import("metadata.zig");
const null_mechanism = @import("null.zig");
const secured_steps = @import("handshake_secured.zig");

pub const Mechanism = mechanisms.Mechanism;
pub const Secured = secured_steps.Secured;
pub const ProtocolCode = mechanisms.ProtocolCode;
pub const SocketType = @import("socket_type.zig").SocketType;
const compatible = @import("socket_type.zig").compatible;

/// Bytes of a handshake command with its frame header: room for generous metadata, and what a peer
/// that has proved nothing yet may make us hold.
pub const command_size_max_default: u32 = 64 * 1024;
/// Bytes: a limit below this would refuse an honest READY with a long identity.
pub const command_size_max_min: u32 = 512;
/// Bytes: all that a handshake writes, so that a caller may pass the same buffer throughout.
pub const output_size_max = greetings.size + @max(
    null_mechanism.ready_frame_size_max,
    secured_steps.output_size_max,
);

pub const identity_size_max = null_mechanism.identity_size_max;
pub const extra_metadata_size_max = null_mechanism.extra_metadata_size_max;

comptime {
    assert(command_size_max_min <= command_size_max_default);
    assert(command_size_max_min > frame.header_size_max + 1 + "READY".len + identity_size_max);
    // We accept what we may send.
    assert(null_mechanism.ready_frame_size_max <= command_size_max_default);
    assert(output_size_max < 4096);
    assert(secured_steps.command_size_max <= command_size_max_default);
}

pub const Config = struct {
    socket_type: SocketType,
    /// At most 255 bytes; sent by REQ, DEALER and ROUTER. Must stay valid until the handshake ends.
    routing_id: []const u8 = "",
    /// Encoded X- properties, see `metadata.Encoder`. Must stay valid until the handshake ends.
    extra_metadata: []const u8 = "",
    /// Bytes: the largest handshake frame to accept, header included. The caller's receive buffer
    /// has to hold that much, because a command is taken in one piece.
    command_size_max: u32 = command_size_max_default,
    /// Refuse a peer that does not say its type. libzmq accepts one.
    require_socket_type: bool = false,
};

/// Where the handshake writes what is to be sent. The caller may empty it between calls.
pub const Output = struct {
    buffer: []u8,
    size: usize = 0,

    pub fn init(buffer: []u8) Output {
        return .{ .buffer = buffer };
    }

    pub fn written(output: *const Output) []const u8 {
        assert(output.size <= output.buffer.len);
        return output.buffer[0..output.size];
    }

    pub fn clear(output: *Output) void {
        output.size = 0;
    }

    pub fn unused(output: *const Output) []u8 {
        assert(output.size <= output.buffer.len);
        return output.buffer[output.size..];
    }
};

/// Why a handshake failed.
pub const Failure = enum(u8) {
    /// The first bytes are not a ZMTP 3 signature: ZMTP 1.0, HTTP, TLS, noise.
    not_zmtp,
    /// ZMTP 1.0 or 2.0 by its version: refused, because it would bypass the mechanism.
    version_too_old,
    /// The peer's mechanism is not ours.
    mechanism_mismatch,
    /// A command that is out of order or unknown, or traffic before READY.
    unexpected_command,
    /// A command whose name is cut off or empty.
    malformed_command,
    /// A READY without the Socket-Type that we were told to require.
    malformed_ready,
    /// An ERROR whose reason does not have the length it declares.
    malformed_error,
    /// Properties that are cut off, lie about a length, have no name, or are given twice.
    invalid_metadata,
    /// The peer's socket type is unknown or must not talk to ours.
    socket_type_mismatch,
    /// The peer's identity has more than 255 bytes.
    identity_too_long,
    /// The peer's identity begins with a zero byte, which is reserved for those a ROUTER makes up.
    identity_reserved,
    /// The peer declares a command beyond `command_size_max`.
    command_too_large,
    /// The peer refused us with ERROR; see `Handshake.peer_error`.
    peer_error,
    /// PLAIN or CURVE: a command without the length or the fields that it has.
    malformed_hello,
    malformed_welcome,
    malformed_initiate,
    /// CURVE: a vouch that was made for other keys.
    key_exchange,
    /// CURVE: a nonce that cannot be.
    invalid_sequence,
    /// CURVE: not made with the keys that we know, or changed on its way.
    cryptographic,
    /// ZAP 300: not now.
    authentication_retry,
    /// ZAP 400: not this one.
    authentication_denied,
    /// ZAP 500: who decides could not.
    authentication_error,
    /// There is nobody to decide: the peer stays out.
    authentication_unavailable,
    // The answer of a ZAP handler that is none.
    zap_unspecified,
    zap_malformed_reply,
    zap_bad_request_id,
    zap_bad_version,
    zap_invalid_status,
    zap_invalid_metadata,

    /// What a HANDSHAKE_FAILED_PROTOCOL event reports; null when we were refused, which is a matter
    /// of authentication and not of protocol.
    pub fn protocol_code(failure: Failure) ?ProtocolCode {
        return switch (failure) {
            .not_zmtp, .version_too_old, .command_too_large => .zmtp_unspecified,
            .mechanism_mismatch => .mechanism_mismatch,
            .unexpected_command => .unexpected_command,
            .malformed_command => .malformed_command,
            .malformed_ready => .malformed_ready,
            .malformed_error => .malformed_error,
            .invalid_metadata,
            .socket_type_mismatch,
            .identity_too_long,
            .identity_reserved,
            => .invalid_metadata,
            .malformed_hello => .malformed_hello,
            .malformed_welcome => .malformed_welcome,
            .malformed_initiate => .malformed_initiate,
            .key_exchange => .key_exchange,
            .invalid_sequence => .invalid_sequence,
            .cryptographic => .cryptographic,
            .zap_unspecified => .zap_unspecified,
            .zap_malformed_reply => .zap_malformed_reply,
            .zap_bad_request_id => .zap_bad_request_id,
            .zap_bad_version => .zap_bad_version,
            .zap_invalid_status => .zap_invalid_status,
            .zap_invalid_metadata => .zap_invalid_metadata,
            .peer_error,
            .authentication_retry,
            .authentication_denied,
            .authentication_error,
            .authentication_unavailable,
            => null,
        };
    }
};

pub const Error = error{
    /// `Handshake.failure` tells why. The connection has to be closed.
    HandshakeFailed,
    /// Nothing was decided; the connection has to be closed all the same.
    OutOfMemory,
};

/// What the socket's owner has decided about a peer: a status of ZAP, why there is none, or
/// nothing.
pub const Verdict = enum(u32) {
    unavailable = 0,
    allowed = 200,
    retry = 300,
    denied = 400,
    failed = 500,
    zap_unspecified = @intFromEnum(ProtocolCode.zap_unspecified),
    zap_malformed_reply = @intFromEnum(ProtocolCode.zap_malformed_reply),
    zap_bad_request_id = @intFromEnum(ProtocolCode.zap_bad_request_id),
    zap_bad_version = @intFromEnum(ProtocolCode.zap_bad_version),
    zap_invalid_status = @intFromEnum(ProtocolCode.zap_invalid_status),
    zap_invalid_metadata = @intFromEnum(ProtocolCode.zap_invalid_metadata),

    fn failure(verdict: Verdict) Failure {
        return switch (verdict) {
            .allowed => unreachable,
            .unavailable => .authentication_unavailable,
            .retry => .authentication_retry,
            .denied => .authentication_denied,
            .failed => .authentication_error,
            inline else => |zap| @field(Failure, @tagName(zap)),
        };
    }
};

pub const Receipt = struct {
    /// Bytes taken from the front of those given. What follows them is to be given again, with more
    /// appended; after `done` it is traffic.
    consumed: usize,
    state: enum {
        need_more,
        /// `answer` has to be called before anything else is taken.
        verdict_wanted,
        done,
    },
    /// With `done`: the peer's metadata, all properties well-formed, for those that want the X-
    /// properties. Points into the bytes given, so it is gone when they are.
    metadata: []const u8 = "",
};

/// What is known of the peer; complete once the handshake is done.
pub const Peer = struct {
    version_major: u8 = 0,
    version_minor: u8 = 0,
    /// Whether SUBSCRIBE and CANCEL go as commands; otherwise as messages 01/00 + topic.
    speaks_3_1: bool = false,
    /// Null when the peer did not tell.
    socket_type: ?SocketType = null,
    /// Points into the bytes of its READY: gone when they are.
    identity: []const u8 = "",

    /// Whether the peer chose an identity; otherwise a ROUTER makes one up.
    pub fn has_identity(peer: *const Peer) bool {
        return peer.identity.len > 0;
    }
};

const State = union(enum) {
    /// Nothing was sent yet.
    initial,
    /// Our greeting was sent, the peer's is arriving.
    greeting: greetings.Parser,
    /// Greetings were exchanged and agree. The peer's next command is this one; what we had to say
    /// before it was sent.
    awaiting: Expected,
    /// The owner is asked, before this goes on with.
    verdict: Expected,
    /// READY was sent and received: the connection is open for traffic.
    done,
    /// The peer broke the protocol or refused us: the connection has to be closed.
    failed: Failure,
};

/// A mechanism's command, or its name when the owner is asked before anything came.
pub const Expected = enum {
    null_ready,
    plain_hello,
    plain_welcome,
    plain_initiate,
    plain_ready,
    curve_hello,
    curve_welcome,
    curve_initiate,
    curve_ready,
};

/// Small, because everybody who connects is given one before he has proved anything.
pub const Handshake = struct {
    config: Config,
    state: State,
    peer: Peer,
    /// In the bytes of the peer's ERROR.
    error_reason: []const u8,
    /// Where there is more to it than NULL that lets everybody in.
    secured: ?*Secured,

    comptime {
        // One of the slabs' small blocks.
        assert(@sizeOf(Handshake) <= 128);
    }

    pub fn init(config: Config) Handshake {
        assert(config.socket_type.has_handshake());
        assert(config.routing_id.len <= identity_size_max);
        assert(config.extra_metadata.len <= extra_metadata_size_max);
        assert(config.command_size_max >= command_size_max_min);
        return .{
            .config = config,
            .state = .initial,
            .peer = .{},
            .error_reason = "",
            .secured = null,
        };
    }

    pub fn mechanism(self: *const Handshake) Mechanism {
        const secured = self.secured orelse return .null;
        return secured.security.mechanism;
    }

    /// Writes our greeting.
    pub fn start(self: *Handshake, output: *Output) void {
        assert(self.state == .initial);
        const target = output.unused();
        assert(target.len >= greetings.size);
        target[0..greetings.size].* = greetings.encode(self.mechanism());
        output.size += greetings.size;
        self.state = .{ .greeting = .{} };
    }

    /// Takes what the peer sent, in any pieces, and writes what it is to be answered. Never takes a
    /// byte behind the handshake. Of a command that is not complete it takes nothing.
    pub fn receive(self: *Handshake, bytes: []const u8, output: *Output) Error!Receipt {
        assert(self.state == .greeting or self.state == .awaiting);
        var consumed: usize = 0;
        if (self.state == .greeting) {
            consumed = try self.receive_greeting(bytes, output);
            if (self.state == .greeting) {
                assert(consumed == bytes.len);
                return .{ .consumed = consumed, .state = .need_more };
            }
        }
        while (self.state == .awaiting) {
            var receipt = try self.receive_command(bytes[consumed..], output);
            const taken = receipt.consumed;
            consumed += taken;
            assert(consumed <= bytes.len);
            assert((receipt.state == .done) == (self.state == .done));
            if (taken > 0 and receipt.state == .need_more) continue;
            receipt.consumed = consumed;
            return receipt;
        }
        assert(self.state == .verdict);
        return .{ .consumed = consumed, .state = .verdict_wanted };
    }

    /// Goes on after `verdict_wanted`.
    pub fn answer(self: *Handshake, verdict: Verdict, output: *Output) Error!Receipt {
        const expected = self.state.verdict;
        if (verdict != .allowed) {
            // The others are silence: who is to come back has no use for a reason, and a fault of
            // the handler's is not the peer's.
            if (verdict == .denied or verdict == .failed) {
                const status = if (verdict == .denied) "400" else "500";
                output.size += command.encode_error(output.unused(), status).len;
            }
            return self.fail(verdict.failure());
        }
        if (expected != .null_ready) return secured_steps.allowed(self, expected, output);
        self.state = .{ .awaiting = .null_ready };
        self.send_ready(output);
        return .{ .consumed = 0, .state = .need_more };
    }

    /// What the owner has to know to decide; null: it is not asked.
    pub fn waiting(self: *const Handshake) ?secured_steps.Waiting {
        if (self.state != .verdict) return null;
        return self.secured.?.waiting(self.state.verdict);
    }

    /// The client's first words of PLAIN or CURVE are out: a server that does not like them closes.
    pub fn introduced(self: *const Handshake) bool {
        if (self.state != .awaiting) return false;
        return switch (self.state.awaiting) {
            .plain_welcome, .plain_ready, .curve_welcome, .curve_ready => true,
            else => false,
        };
    }

    /// A server of CURVE that has heard nothing: HELLO will make it compute.
    pub fn awaits_hello(self: *const Handshake) bool {
        const secured = self.secured orelse return false;
        if (secured.security.mechanism != .curve or !secured.security.server) return false;
        return switch (self.state) {
            .greeting => true,
            .awaiting => |expected| expected == .curve_hello,
            else => false,
        };
    }

    /// Why `receive` failed, or null if it did not.
    pub fn failure(self: *const Handshake) ?Failure {
        return switch (self.state) {
            .failed => |reason| reason,
            else => null,
        };
    }

    /// The reason in the ERROR that the peer sent, if it sent one: in the bytes given last.
    pub fn peer_error(self: *const Handshake) ?[]const u8 {
        if (self.failure() != .peer_error) return null;
        return self.error_reason;
    }

    /// The reason as one of ZAP's status codes, the value of a HANDSHAKE_FAILED_AUTH event. Null
    /// for any other reason: libzmq reports no such event then.
    pub fn peer_error_status(self: *const Handshake) ?u16 {
        const reason = self.peer_error() orelse return null;
        if (std.mem.eql(u8, reason, "300")) return 300;
        if (std.mem.eql(u8, reason, "400")) return 400;
        if (std.mem.eql(u8, reason, "500")) return 500;
        return null;
    }

    fn receive_greeting(self: *Handshake, bytes: []const u8, output: *Output) Error!usize {
        assert(self.state == .greeting);
        const receipt = self.state.greeting.receive(bytes) catch |fault| {
            return self.fail(switch (fault) {
                error.NotZmtp => .not_zmtp,
                error.VersionTooOld => .version_too_old,
            });
        };
        assert(receipt.consumed <= bytes.len);
        const greeting = receipt.greeting orelse return receipt.consumed;
        if (mechanisms.Mechanism.from_field(&greeting.mechanism) != self.mechanism()) {
            return self.fail(.mechanism_mismatch);
        }
        self.peer.version_major = greeting.version_major;
        self.peer.version_minor = greeting.version_minor;
        self.peer.speaks_3_1 = greeting.speaks_3_1();
        self.begin(output);
        return receipt.consumed;
    }

    /// The mechanisms agree.
    fn begin(self: *Handshake, output: *Output) void {
        const secured = self.secured orelse {
            self.state = .{ .awaiting = .null_ready };
            return self.send_ready(output);
        };
        if (secured.security.mechanism != .null) return secured_steps.begin(self, output);
        assert(secured.security.authenticate);
        self.state = .{ .verdict = .null_ready };
    }

    fn send_ready(self: *Handshake, output: *Output) void {
        assert(self.state.awaiting == .null_ready);
        // The buffer has `output_size_max` bytes, and we have written nothing but the greeting.
        const ready = null_mechanism.encode_ready(
            output.unused(),
            self.config.socket_type,
            self.config.routing_id,
            self.config.extra_metadata,
        ) catch unreachable; // The buffer has room for the largest READY, see above.
        output.size += ready.len;
        assert(output.size <= output.buffer.len);
    }

    fn receive_command(self: *Handshake, bytes: []const u8, output: *Output) Error!Receipt {
        const expected = self.state.awaiting;
        const header = frame.decode(bytes) orelse return .{ .consumed = 0, .state = .need_more };
        // As in traffic: nothing that speaks ZMTP 3 sends those.
        if (bytes[0] & frame.flags_reserved != 0) return self.fail(.unexpected_command);
        // Decided from the header alone, in 64 bits, before a byte of the body is waited for.
        assert(self.config.command_size_max > header.header_size);
        if (header.body_size > self.config.command_size_max - header.header_size) {
            return self.fail(.command_too_large);
        }
        const size = header.header_size + @as(usize, @intCast(header.body_size));
        if (size > bytes.len) return .{ .consumed = 0, .state = .need_more };

        const body = bytes[header.header_size..size];
        var receipt = if (expected == .null_ready)
            try self.receive_ready(header, body)
        else
            try secured_steps.receive(self, expected, header, body, output);
        receipt.consumed = size;
        return receipt;
    }

    fn receive_ready(self: *Handshake, header: frame.Header, body: []const u8) Error!Receipt {
        const reply = null_mechanism.parse(header, body) catch |fault| {
            return self.fail(switch (fault) {
                error.UnexpectedCommand => .unexpected_command,
                error.MalformedCommand => .malformed_command,
                error.MalformedError => .malformed_error,
            });
        };
        return switch (reply) {
            .ready => |properties| self.finish(properties),
            .@"error" => |reason| self.refused(reason),
        };
    }

    /// The peer's metadata are here: the last thing that is asked of it.
    pub fn finish(self: *Handshake, properties: []const u8) Error!Receipt {
        try self.accept_metadata(properties);
        self.state = .done;
        return .{ .consumed = 0, .state = .done, .metadata = properties };
    }

    /// It does not want us.
    pub fn refused(self: *Handshake, reason: []const u8) Error {
        self.error_reason = reason;
        return self.fail(.peer_error);
    }

    /// The rules for a peer's metadata, the same for all mechanisms.
    pub fn accept_metadata(self: *Handshake, properties: []const u8) Error!void {
        assert(self.peer.socket_type == null);
        assert(!self.peer.has_identity());
        var identity_seen = false;
        var iterator = metadata.Iterator.init(properties);
        while (true) {
            const next = iterator.next() catch return self.fail(.invalid_metadata);
            const property = next orelse break;
            if (metadata.names_equal(property.name, null_mechanism.property_socket_type)) {
                // Twice the same name: which one counts would be anybody's guess.
                if (self.peer.socket_type != null) return self.fail(.invalid_metadata);
                try self.accept_socket_type(property.value);
            } else if (metadata.names_equal(property.name, null_mechanism.property_identity)) {
                if (identity_seen) return self.fail(.invalid_metadata);
                identity_seen = true;
                try self.accept_identity(property.value);
            }
        }
        if (self.config.require_socket_type and self.peer.socket_type == null) {
            return self.fail(.malformed_ready);
        }
    }

    fn accept_socket_type(self: *Handshake, name: []const u8) Error!void {
        assert(self.peer.socket_type == null);
        const socket_type = SocketType.from_wire_name(name) orelse {
            return self.fail(.socket_type_mismatch);
        };
        if (!compatible(self.config.socket_type, socket_type)) {
            return self.fail(.socket_type_mismatch);
        }
        self.peer.socket_type = socket_type;
    }

    fn accept_identity(self: *Handshake, identity: []const u8) Error!void {
        assert(!self.peer.has_identity());
        if (identity.len > identity_size_max) return self.fail(.identity_too_long);
        if (identity.len > 0 and identity[0] == 0) return self.fail(.identity_reserved);
        self.peer.identity = identity;
    }

    pub fn fail(self: *Handshake, reason: Failure) Error {
        assert(self.state != .done);
        assert(self.state != .failed);
        self.state = .{ .failed = reason };
        return error.HandshakeFailed;
    }
};

const testing = std.testing;
const hex = @import("hex.zig").hex;

const test_greeting = hex(
    \\ff 00 00 00 00 00 00 00 01 7f 03 01 'NULL' 00000000000000000000000000000000
    \\00 00000000000000000000000000000000000000000000000000000000000000
);
const test_ready_dealer = hex(
    \\04 29 05 'READY' 0b 'Socket-Type' 00000006 'DEALER' 08 'Identity' 00000000
);
const test_ready_req = hex(
    \\04 28 05 'READY' 0b 'Socket-Type' 00000003 'REQ' 08 'Identity' 00000002 'me'
);

/// What a handshake came to, independent of the pieces in which its bytes arrived.
const TestOutcome = struct {
    result: union(enum) { need_more, done, failed: Failure },
    /// Bytes taken. Not compared after a failure: the connection is closed then.
    consumed: usize,
    /// Everything that was sent.
    sent: usize,
    socket_type: ?SocketType,
    metadata_size: usize,

    fn expect_equal(a: TestOutcome, b: TestOutcome) !void {
        try testing.expectEqual(a.result, b.result);
        try testing.expectEqual(a.sent, b.sent);
        if (a.result != .failed) try testing.expectEqual(a.consumed, b.consumed);
        if (a.result == .done) {
            try testing.expectEqual(a.socket_type, b.socket_type);
            try testing.expectEqual(a.metadata_size, b.metadata_size);
        }
    }
};

/// Plays the caller: bytes arrive up to each cut, what was not taken is given again.
fn test_drive(self: *Handshake, bytes: []const u8, cuts: []const usize) TestOutcome {
    var buffer: [output_size_max]u8 = undefined;
    var output = Output.init(&buffer);
    self.start(&output);
    var consumed: usize = 0;
    for (0..cuts.len + 1) |index| {
        const end = if (index < cuts.len) cuts[index] else bytes.len;
        const receipt = self.receive(bytes[consumed..end], &output) catch {
            return test_outcome(self, consumed, output.size, 0);
        };
        consumed += receipt.consumed;
        assert(consumed <= end);
        if (receipt.state == .done) {
            return test_outcome(self, consumed, output.size, receipt.metadata.len);
        }
    }
    return test_outcome(self, consumed, output.size, 0);
}

fn test_outcome(self: *const Handshake, consumed: usize, sent: usize, size: usize) TestOutcome {
    return .{
        .result = switch (self.state) {
            .failed => |reason| .{ .failed = reason },
            .done => .done,
            else => .need_more,
        },
        .consumed = consumed,
        .sent = sent,
        .socket_type = self.peer.socket_type,
        .metadata_size = size,
    };
}

fn test_run(config: Config, bytes: []const u8, cuts: []const usize) TestOutcome {
    var handshake = Handshake.init(config);
    return test_drive(&handshake, bytes, cuts);
}

fn expect_failure(expected: Failure, config: Config, bytes: []const u8) !void {
    const outcome = test_run(config, bytes, &.{});
    try testing.expectEqual(expected, switch (outcome.result) {
        .failed => |reason| reason,
        else => return error.HandshakeDidNotFail,
    });
    // The same verdict in any two pieces.
    for (0..@min(bytes.len, 512) + 1) |cut| {
        try outcome.expect_equal(test_run(config, bytes, &.{cut}));
    }
}

/// A READY frame around these properties, written by hand to be independent of the encoders.
fn test_ready(buffer: []u8, properties: []const u8) []u8 {
    const start = test_greeting.len;
    buffer[0..start].* = test_greeting.*;
    buffer[start] = frame.flag_command | frame.flag_large;
    std.mem.writeInt(u64, buffer[start + 1 ..][0..8], 6 + properties.len, .big);
    @memcpy(buffer[start + 9 ..][0..6], "\x05READY");
    @memcpy(buffer[start + 15 ..][0..properties.len], properties);
    return buffer[0 .. start + 15 + properties.len];
}

test "handshake: libzmq and we do not come together" {
    var buffer: [output_size_max]u8 = undefined;
    var output = Output.init(&buffer);
    var handshake = Handshake.init(.{ .socket_type = .dealer });
    handshake.start(&output);
    try testing.expectEqualSlices(u8, test_greeting, output.written());
    output.clear();

    // Up to the last byte of the greeting we stay silent, then READY goes out, and nothing else.
    const first = try handshake.receive(test_greeting[0..63], &output);
    try testing.expectEqual(63, first.consumed);
    try testing.expectEqual(.need_more, first.state);
    try testing.expectEqual(0, output.size);
    const second = try handshake.receive(test_greeting[63..], &output);
    try testing.expectEqual(1, second.consumed);
    try testing.expectEqualSlices(u8, test_ready_dealer, output.written());
    output.clear();

    const router = hex(
        \\04 29 05 'READY' 0b 'Socket-Type' 00000006 'ROUTER' 08 'Identity' 00000000
    );
    const last = try handshake.receive(router, &output);
    try testing.expectEqual(router.len, last.consumed);
    try testing.expectEqual(.done, last.state);
    try testing.expectEqualSlices(u8, router[8..], last.metadata);
    try testing.expectEqual(0, output.size);
    try testing.expectEqual(.router, handshake.peer.socket_type);
    try testing.expect(handshake.peer.speaks_3_1);
    try testing.expect(!handshake.peer.has_identity());
    try testing.expectEqual(null, handshake.failure());
}

test "handshake: a peer whose bytes arrive in pieces is refused, or traffic is swallowed" {
    const traffic = hex("01 00 00 05 'hello' 04 07 04 'PING' 0000");
    const transcripts = [_][]const u8{
        test_greeting ++ test_ready_dealer ++ traffic,
        test_greeting ++ test_ready_req ++ traffic,
        // By position, without the COMMAND flag.
        test_greeting ++ hex("00") ++ test_ready_dealer[1..] ++ traffic,
        test_greeting ++ hex("02 0000000000000029") ++ test_ready_dealer[2..] ++ traffic,
        test_greeting ++ hex("04 06 05 'READY'") ++ traffic,
    };
    for (transcripts) |bytes| {
        const whole = test_run(.{ .socket_type = .router }, bytes, &.{});
        try testing.expectEqual(.done, whole.result);
        try testing.expectEqual(bytes.len - traffic.len, whole.consumed);
        for (0..bytes.len + 1) |first| {
            for (first..bytes.len + 1) |second| {
                const split = test_run(.{ .socket_type = .router }, bytes, &.{ first, second });
                try whole.expect_equal(split);
            }
        }
        var every: [256]usize = undefined;
        for (&every, 0..) |*cut, index| cut.* = index;
        try whole.expect_equal(test_run(.{ .socket_type = .router }, bytes, every[0..bytes.len]));
    }
}

test "handshake: one byte of an unfinished command is lost" {
    const bytes = test_greeting ++ test_ready_dealer;
    for (test_greeting.len..bytes.len) |end| {
        const outcome = test_run(.{ .socket_type = .router }, bytes[0..end], &.{});
        try testing.expectEqual(.need_more, outcome.result);
        try testing.expectEqual(test_greeting.len, outcome.consumed);
    }
}

test "handshake: a ROUTER addresses its peers wrong" {
    var handshake = Handshake.init(.{ .socket_type = .router });
    const outcome = test_drive(&handshake, test_greeting ++ test_ready_req, &.{});
    try testing.expectEqual(.done, outcome.result);
    try testing.expectEqual(.req, handshake.peer.socket_type);
    try testing.expect(handshake.peer.has_identity());
    try testing.expectEqualStrings("me", handshake.peer.identity);

    var buffer: [1024]u8 = undefined;
    const config: Config = .{ .socket_type = .router };
    for ([_]u32{ 1, 254, 255, 256, 300, 511 }) |size| {
        var identity: [8 + 1 + 4 + 511]u8 = @splat('i');
        identity[0..9].* = "\x08iDENTITY".*;
        std.mem.writeInt(u32, identity[9..13], size, .big);
        const bytes = test_ready(&buffer, identity[0 .. 13 + size]);
        if (size > 255) {
            try expect_failure(.identity_too_long, config, bytes);
            continue;
        }
        var peer_of_size = Handshake.init(config);
        try testing.expectEqual(.done, test_drive(&peer_of_size, bytes, &.{}).result);
        try testing.expectEqual(size, peer_of_size.peer.identity.len);
        identity[13] = 0;
        const reserved = test_ready(&buffer, identity[0 .. 13 + size]);
        try expect_failure(.identity_reserved, config, reserved);
    }
}

test "handshake: a browser or a TLS client is given a job" {
    const config: Config = .{ .socket_type = .push };
    const zeros: [256]u8 = @splat(0);
    const ones: [256]u8 = @splat(0xff);
    try expect_failure(.not_zmtp, config, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    try expect_failure(.not_zmtp, config, "G");
    try expect_failure(.not_zmtp, config, hex("16 03 01 02 00 01 00 01 fc 03 03"));
    try expect_failure(.not_zmtp, config, &zeros);
    try expect_failure(.mechanism_mismatch, config, &ones);
    try expect_failure(.not_zmtp, config, hex("ff 00 00 00 00 00 00 00 01 00"));
    try expect_failure(.version_too_old, config, hex("ff 00 00 00 00 00 00 00 01 7f 00"));
    try expect_failure(.version_too_old, config, hex("ff 00 00 00 00 00 00 00 01 7f 01 08"));
    try expect_failure(.version_too_old, config, hex("ff 00 00 00 00 00 00 00 01 7f 02"));
    // Refused without a READY: only our greeting went out.
    const outcome = test_run(config, &ones, &.{});
    try testing.expectEqual(greetings.size, outcome.sent);
}

test "handshake: a peer with another mechanism is let in" {
    for ([_]Mechanism{ .plain, .curve }) |mechanism| {
        const greeting = greetings.encode(mechanism);
        const config: Config = .{ .socket_type = .router };
        try expect_failure(.mechanism_mismatch, config, &greeting);
    }
}

test "handshake: a declared size makes us wait for, or allocate, what never comes" {
    const one: u64 = 1;
    const extremes = [_]u64{
        65536 - 8,       65536,           (one << 31) - 1, one << 31,
        (one << 31) + 1, (one << 32) - 1, one << 32,       (one << 32) + 1,
        (one << 63) - 1, one << 63,       (one << 63) + 1, std.math.maxInt(u64),
    };
    for (extremes) |size| {
        for ([_]u8{ 0x02, 0x03, 0x06 }) |flags| {
            var bytes = (test_greeting ++ hex("00 0000000000000000")).*;
            bytes[64] = flags;
            std.mem.writeInt(u64, bytes[65..73], size, .big);
            try expect_failure(.command_too_large, .{ .socket_type = .pull }, &bytes);
        }
    }
    // The largest that is allowed, header included, is waited for.
    var bytes = (test_greeting ++ hex("06 0000000000000000")).*;
    std.mem.writeInt(u64, bytes[65..73], command_size_max_default - 9, .big);
    const outcome = test_run(.{ .socket_type = .pull }, &bytes, &.{});
    try testing.expectEqual(.need_more, outcome.result);
    std.mem.writeInt(u64, bytes[65..73], 512 - 9 + 1, .big);
    const small: Config = .{ .socket_type = .pull, .command_size_max = 512 };
    try expect_failure(.command_too_large, small, &bytes);
}

test "handshake: what is wrong with a peer's command is not told, or tolerated" {
    const Case = struct { Failure, []const u8 };
    const type_bad = "0b 'Socket-Type' 00000003";
    const type_good = "0b 'Socket-Type' 00000006 'DEALER'";
    const identity = "08 'Identity' 00000000";
    const cases = [_]Case{
        .{ .unexpected_command, hex("00 05 'hello'") },
        .{ .unexpected_command, hex("01 00") },
        .{ .unexpected_command, hex("0c 06 05 'READY'") },
        .{ .unexpected_command, hex("84 06 05 'READY'") },
        .{ .unexpected_command, hex("04 07 04 'PING' 0000") },
        .{ .unexpected_command, hex("04 0b 09 'SUBSCRIBE' 'A'") },
        .{ .unexpected_command, hex("04 08 05 'HELLO' 00 00") },
        .{ .malformed_command, hex("04 00") },
        .{ .malformed_command, hex("04 05 05 'READ'") },
        .{ .malformed_error, hex("04 06 05 'ERROR'") },
        .{ .malformed_error, hex("04 0a 05 'ERROR' 02 '400'") },
        .{ .invalid_metadata, hex("04 07 05 'READY' 00") },
        .{ .invalid_metadata, hex("04 0b 05 'READY' 00 00000000") },
        .{ .invalid_metadata, hex("04 0c 05 'READY' 01 'X' ffffffff") },
        .{ .invalid_metadata, hex("04 1d 05 'READY' " ++ type_good ++ "00") },
        .{ .invalid_metadata, hex("04 32 05 'READY' " ++ type_good ++ type_good) },
        .{ .invalid_metadata, hex("04 20 05 'READY' " ++ identity ++ identity) },
        .{ .socket_type_mismatch, hex("04 19 05 'READY' " ++ type_bad ++ "'PUB'") },
        .{ .socket_type_mismatch, hex("04 19 05 'READY' " ++ type_bad ++ "'req'") },
        .{ .socket_type_mismatch, hex("04 19 05 'READY' " ++ type_bad ++ "'XYZ'") },
        .{ .socket_type_mismatch, hex("04 16 05 'READY' 0b 'Socket-Type' 00000000") },
        .{ .peer_error, hex("04 0a 05 'ERROR' 03 '400'") },
    };
    for (cases) |case| {
        var buffer: [128]u8 = undefined;
        const bytes = buffer[0 .. test_greeting.len + case[1].len];
        @memcpy(bytes[0..test_greeting.len], test_greeting);
        @memcpy(bytes[test_greeting.len..], case[1]);
        errdefer std.debug.print("case {x}\n", .{case[1]});
        try testing.expectEqual(frame.decode(case[1]).?.body_size + 2, case[1].len);
        try expect_failure(case[0], .{ .socket_type = .router }, bytes);
    }
}

test "handshake: a peer without Socket-Type is refused by default, or let in when forbidden" {
    const bytes = test_greeting ++ hex("04 06 05 'READY'");
    const tolerant: Config = .{ .socket_type = .pull };
    try testing.expectEqual(.done, test_run(tolerant, bytes, &.{}).result);
    const strict: Config = .{ .socket_type = .pull, .require_socket_type = true };
    try expect_failure(.malformed_ready, strict, bytes);
}

test "handshake: who may talk to whom is not enforced" {
    var buffer: [256]u8 = undefined;
    for (std.enums.values(SocketType)) |own| {
        if (!own.has_handshake()) continue;
        for (std.enums.values(SocketType)) |other| {
            var properties: [64]u8 = undefined;
            var encoder = metadata.Encoder.init(&properties);
            try encoder.append("socket-type", other.wire_name());
            const bytes = test_ready(&buffer, encoder.written());
            if (compatible(own, other)) {
                const outcome = test_run(.{ .socket_type = own }, bytes, &.{});
                try testing.expectEqual(.done, outcome.result);
                try testing.expectEqual(other, outcome.socket_type);
            } else {
                try expect_failure(.socket_type_mismatch, .{ .socket_type = own }, bytes);
            }
        }
    }
}

test "handshake: why the peer refused us is lost" {
    const Case = struct { []const u8, ?u16 };
    const reason_longest: [255]u8 = @splat('r');
    const cases = [_]Case{
        .{ "300", 300 }, .{ "400", 400 }, .{ "500", 500 },            .{ "200", null },
        .{ "", null },   .{ "no", null }, .{ &reason_longest, null },
    };
    for (cases) |case| {
        var buffer: [512]u8 = undefined;
        buffer[0..greetings.size].* = test_greeting.*;
        const error_frame = command.encode_error(buffer[greetings.size..], case[0]);
        var handshake = Handshake.init(.{ .socket_type = .pull });
        const bytes = buffer[0 .. greetings.size + error_frame.len];
        const outcome = test_drive(&handshake, bytes, &.{});
        try testing.expectEqual(Failure.peer_error, outcome.result.failed);
        try testing.expectEqualStrings(case[0], handshake.peer_error().?);
        try testing.expectEqual(case[1], handshake.peer_error_status());
        try testing.expectEqual(null, Failure.peer_error.protocol_code());
    }
    var fresh = Handshake.init(.{ .socket_type = .pull });
    try testing.expectEqual(null, fresh.peer_error());
    try testing.expectEqual(null, fresh.peer_error_status());
    for (std.enums.values(Failure)) |failure| {
        const name = @tagName(failure);
        const of_authentication = std.mem.startsWith(u8, name, "authentication_");
        const is_protocol = failure != .peer_error and !of_authentication;
        try testing.expectEqual(is_protocol, failure.protocol_code() != null);
    }
}

test "handshake: our longest READY does not fit, or an honest peer of ours is refused" {
    const identity: [identity_size_max]u8 = @splat('i');
    var extra: [extra_metadata_size_max]u8 = @splat('x');
    extra[0] = 1;
    std.mem.writeInt(u32, extra[2..6], extra.len - 6, .big);
    var ours: [output_size_max]u8 = undefined;
    var output = Output.init(&ours);
    const config: Config = .{
        .socket_type = .router,
        .routing_id = &identity,
        .extra_metadata = &extra,
    };
    var handshake = Handshake.init(config);
    handshake.start(&output);
    _ = try handshake.receive(test_greeting, &output);

    // What we have written is what a peer of ours reads.
    var peer = Handshake.init(.{ .socket_type = .dealer });
    const outcome = test_drive(&peer, output.written(), &.{});
    try testing.expectEqual(.done, outcome.result);
    try testing.expectEqual(output.size, outcome.consumed);
    try testing.expectEqualStrings(&identity, peer.peer.identity);
}

test "handshake: metadata of 0 to 64 KiB with lying lengths overruns a buffer (CVE-2019-13132)" {
    const buffer = try testing.allocator.alloc(u8, 128 * 1024);
    defer testing.allocator.free(buffer);
    const properties = try testing.allocator.alloc(u8, 64 * 1024 + 64);
    defer testing.allocator.free(properties);
    const lies = [_]i64{ -1, 0, 1, 0x7fff_ffff };
    var size: usize = 0;
    while (size <= 64 * 1024) : (size += if (size < 600) 1 else 509) {
        for (lies) |lie| {
            @memset(properties, 'v');
            properties[0..2].* = "\x01X".*;
            const value_size: i64 = @max(0, @as(i64, @intCast(size)) - 6);
            const declared: u32 = @truncate(@as(u64, @bitCast(value_size + lie)));
            std.mem.writeInt(u32, properties[2..6], declared, .big);
            const bytes = test_ready(buffer, properties[0..size]);
            const outcome = test_run(.{ .socket_type = .pull }, bytes, &.{});
            if (9 + 6 + size > command_size_max_default) {
                try testing.expectEqual(Failure.command_too_large, outcome.result.failed);
            } else if (size == 0 or (size >= 6 and lie == 0)) {
                try testing.expectEqual(.done, outcome.result);
                try testing.expectEqual(size, outcome.metadata_size);
            } else {
                try testing.expectEqual(Failure.invalid_metadata, outcome.result.failed);
            }
        }
    }
}

test "handshake: random garbage crashes the process or is let in" {
    const seed = testing.random_seed;
    errdefer std.debug.print("seed {d}\n", .{seed});
    var prng = std.Random.DefaultPrng.init(seed);
    const random = prng.random();
    var bytes: [512]u8 = undefined;
    for (0..20_000) |round| {
        random.bytes(&bytes);
        // Half of them get past the greeting.
        if (round % 2 == 0) bytes[0..greetings.size].* = test_greeting.*;
        // And half of those have a COMMAND of a size that fits.
        if (round % 4 == 0) bytes[64] = 0x04;
        const config: Config = .{ .socket_type = .dealer };
        const outcome = test_run(config, &bytes, &.{});
        try testing.expect(outcome.result != .done);
        const cut = random.uintLessThan(usize, bytes.len + 1);
        try outcome.expect_equal(test_run(config, &bytes, &.{cut}));
    }
}

test "handshake: an almost honest peer crashes the process, or is judged by its pieces" {
    const seed = testing.random_seed;
    errdefer std.debug.print("seed {d}\n", .{seed});
    var prng = std.Random.DefaultPrng.init(seed);
    const random = prng.random();
    const honest = test_greeting ++ test_ready_req ++ hex("00 05 'hello'");
    const interesting = [_]u8{ 0, 1, 2, 3, 4, 5, 6, 7, 0x28, 0x29, 0x7f, 0x80, 0xfe, 0xff };
    var done: u32 = 0;
    for (0..50_000) |_| {
        var bytes = honest.*;
        for (0..random.uintLessThan(usize, 4)) |_| {
            const index = random.intRangeLessThan(usize, 0, bytes.len);
            bytes[index] = interesting[random.uintLessThan(usize, interesting.len)];
        }
        const length = if (random.boolean()) bytes.len else random.uintLessThan(usize, bytes.len);
        var cuts: [3]usize = undefined;
        for (&cuts) |*cut| cut.* = random.uintLessThan(usize, length + 1);
        std.mem.sort(usize, &cuts, {}, std.sort.asc(usize));
        const config: Config = .{ .socket_type = .router, .command_size_max = 512 };
        const outcome = test_run(config, bytes[0..length], &.{});
        try outcome.expect_equal(test_run(config, bytes[0..length], &cuts));
        if (outcome.result == .done) done += 1;
    }
    // Both ways were taken.
    try testing.expect(done > 1000);
    try testing.expect(done < 40_000);
}
