//! The steps of PLAIN (RFC 24) and CURVE (RFC 26) between greeting and traffic. Part of
//! handshake.zig, in a file of its own for its length.
//!
//!     client                                server
//!     HELLO ─────────────────────────────▶
//!                                           PLAIN: may this user come in?
//!     ◀─────────────────────────── WELCOME
//!     INITIATE, metadata ────────────────▶
//!                                           CURVE: may this key come in?
//!     ◀──────────────────── READY, metadata

const std = @import("std");
const assert = std.debug.assert;

const command = @import("command.zig");
const curve = @import("curve.zig");
const frame = @import("frame.zig");
const handshakes = @import("handshake.zig");
const Error = handshakes.Error;
const Expected = handshakes.Expected;
const Failure = handshakes.Failure;
const Handshake = handshakes.Handshake;
const Output = handshakes.Output;
const Receipt = handshakes.Receipt;
const Mechanism = @import("mechanism.zig").Mechanism;
const null_mechanism = @import("null.zig");
const plain = @import("plain.zig");
const Security = @import("security.zig").Security;
const slab = @import("../stdx/slab.zig");
const sodium = @import("../crypto/sodium.zig");

/// Bytes of the longest command that we send.
pub const command_size_max = frame.header_size_max + @max(
    plain.hello_bytes_max,
    curve.initiate_bytes_min + null_mechanism.metadata_size_max,
);
/// All that one call may write: HELLO and INITIATE when all of the server's comes at once.
pub const output_size_max =
    frame.header_size_max + @max(plain.hello_bytes_max, curve.hello_bytes) + command_size_max;

/// What the owner decides by.
pub const Waiting = struct {
    mechanism: Mechanism,
    /// PLAIN.
    credentials: plain.Credentials = .{ .user = "", .password = "" },
    /// CURVE.
    public_key: sodium.PublicKey = @splat(0),
};

/// What a handshake with security has beyond others. In a slab; wiped when it goes.
pub const Secured = struct {
    slabs: *slab.Slabs,
    security: *Security,
    random: curve.Random,
    /// Of a server of CURVE.
    cookies: ?*const curve.Cookies,
    /// No other connection has this number while a cookie is good.
    connection: u64,
    /// Bytes of the peer that are needed after their command: PLAIN's HELLO until the verdict, what
    /// was in CURVE's INITIATE and READY.
    held: slab.Block = &.{},
    held_bytes: u32 = 0,
    curve: union(enum) {
        none,
        client: curve.Client,
        /// From INITIATE to the verdict.
        initiated: curve.Server.Initiate,
        /// Where traffic begins.
        cipher: curve.Cipher,
    } = .none,

    /// Takes one reference of `security`.
    pub fn create(
        slabs: *slab.Slabs,
        security: *Security,
        random: curve.Random,
        cookies: ?*const curve.Cookies,
        connection: u64,
    ) error{OutOfMemory}!*Secured {
        const secured = try slabs.create(Secured);
        secured.* = .{
            .slabs = slabs,
            .security = security.retain(),
            .random = random,
            .cookies = cookies,
            .connection = connection,
        };
        return secured;
    }

    pub fn destroy(secured: *Secured) void {
        const slabs = secured.slabs;
        secured.release();
        secured.security.release();
        sodium.wipe(&secured.curve);
        slabs.destroy(secured);
    }

    fn hold(secured: *Secured, bytes: []const u8) error{OutOfMemory}![]u8 {
        secured.release();
        if (bytes.len == 0) return &.{};
        secured.held = try secured.slabs.allocate(bytes.len);
        secured.held_bytes = @intCast(bytes.len);
        @memcpy(secured.held[0..bytes.len], bytes);
        return secured.held[0..bytes.len];
    }

    fn release(secured: *Secured) void {
        if (secured.held.len == 0) return;
        sodium.wipe_bytes(secured.held[0..secured.held_bytes]);
        secured.slabs.free(secured.held);
        secured.held = &.{};
        secured.held_bytes = 0;
    }

    pub fn waiting(secured: *const Secured, expected: Expected) Waiting {
        return switch (expected) {
            .null_ready => .{ .mechanism = .null },
            .plain_hello => .{
                .mechanism = .plain,
                // It was read once.
                .credentials = plain.parse_hello(secured.held[0..secured.held_bytes]) catch
                    unreachable, // The same bytes.
            },
            .curve_initiate => .{
                .mechanism = .curve,
                .public_key = secured.curve.initiated.client,
            },
            else => unreachable,
        };
    }

    /// The keys of the traffic, which its owner wipes; null: it is not encrypted.
    pub fn take_cipher(secured: *Secured) ?curve.Cipher {
        if (secured.curve != .cipher) return null;
        const cipher = secured.curve.cipher;
        sodium.wipe(&secured.curve);
        secured.curve = .none;
        return cipher;
    }
};

/// Writes a command's header and returns the place of its body.
fn frame_of(output: *Output, body_bytes: usize) []u8 {
    const target = output.unused();
    const header = frame.encode(target, frame.flag_command, body_bytes);
    output.size += header + body_bytes;
    return target[header..][0..body_bytes];
}

fn our_metadata(self: *const Handshake, buffer: *[null_mechanism.metadata_size_max]u8) []u8 {
    const config = &self.config;
    return null_mechanism.encode_metadata(
        buffer,
        config.socket_type,
        config.routing_id,
        config.extra_metadata,
    ) catch unreachable; // The largest fits.
}

/// The greetings agree.
pub fn begin(self: *Handshake, output: *Output) void {
    const secured = self.secured.?;
    const security = secured.security;
    const first: Expected = switch (security.mechanism) {
        .null => unreachable,
        .plain => if (security.server) .plain_hello else .plain_welcome,
        .curve => if (security.server) .curve_hello else .curve_welcome,
    };
    self.state = .{ .awaiting = first };
    switch (first) {
        .plain_welcome => {
            const credentials = security.credentials();
            plain.encode_hello(frame_of(output, plain.hello_bytes(credentials)), credentials);
        },
        .curve_welcome => {
            var client = curve.Client.init(&security.keys, secured.random) catch
                unreachable; // The server's key was looked at when `security` was made.
            defer client.wipe();
            client.hello(frame_of(output, curve.hello_bytes)[0..curve.hello_bytes]);
            secured.curve = .{ .client = client };
        },
        else => {},
    }
}

/// The peer's next command.
pub fn receive(
    self: *Handshake,
    expected: Expected,
    header: frame.Header,
    body: []const u8,
    output: *Output,
) Error!Receipt {
    // Commands are never in parts, and never without their flag: that would be early traffic.
    if (header.more() or !header.command()) return self.fail(.unexpected_command);
    switch (expected) {
        .plain_welcome, .plain_ready, .curve_welcome, .curve_ready => {
            if (try error_of(self, body)) |reason| return self.refused(reason);
        },
        else => {},
    }
    return switch (expected) {
        .null_ready => unreachable,
        .plain_hello => plain_hello(self, body),
        .plain_welcome => plain_welcome(self, body, output),
        .plain_initiate => plain_initiate(self, body, output),
        .plain_ready => self.finish(plain.parse_ready(body) catch |fault| {
            return self.fail(failure_of(fault));
        }),
        .curve_hello => curve_hello(self, body, output),
        .curve_welcome => curve_welcome(self, body, output),
        .curve_initiate => curve_initiate(self, body, output),
        .curve_ready => curve_ready(self, body),
    };
}

/// The owner lets the peer in.
pub fn allowed(self: *Handshake, expected: Expected, output: *Output) Error!Receipt {
    switch (expected) {
        .plain_hello => {
            self.secured.?.release();
            plain.encode_welcome(frame_of(output, plain.welcome_bytes)[0..plain.welcome_bytes]);
            return await(self, .plain_initiate);
        },
        .curve_initiate => return curve_answer(self, output),
        else => unreachable,
    }
}

fn await(self: *Handshake, next: Expected) Receipt {
    self.state = .{ .awaiting = next };
    return .{ .consumed = 0, .state = .need_more };
}

fn ask(self: *Handshake, about: Expected) Receipt {
    self.state = .{ .verdict = about };
    return .{ .consumed = 0, .state = .verdict_wanted };
}

/// The reason, if it is an ERROR.
fn error_of(self: *Handshake, body: []const u8) Error!?[]const u8 {
    if (self.secured.?.security.mechanism == .plain) if (plain.libzmq_error(body)) |data| {
        return command.parse_error(data) catch return self.fail(.malformed_error);
    };
    const received = command.parse(body) catch return self.fail(.malformed_command);
    if (received.name != .@"error") return null;
    return command.parse_error(received.data) catch return self.fail(.malformed_error);
}

fn failure_of(fault: curve.Error) Failure {
    return switch (fault) {
        error.UnexpectedCommand => .unexpected_command,
        error.MalformedHello => .malformed_hello,
        error.MalformedWelcome => .malformed_welcome,
        error.MalformedInitiate => .malformed_initiate,
        error.MalformedReady => .malformed_ready,
        error.MalformedMessage => .malformed_command,
        error.Cryptographic => .cryptographic,
        error.KeyExchange => .key_exchange,
        error.InvalidSequence => .invalid_sequence,
    };
}

// -- PLAIN ----------------------------------------------------------------------------------------

fn plain_hello(self: *Handshake, body: []const u8) Error!Receipt {
    _ = plain.parse_hello(body) catch |fault| return self.fail(failure_of(fault));
    _ = try self.secured.?.hold(body);
    return ask(self, .plain_hello);
}

fn plain_welcome(self: *Handshake, body: []const u8, output: *Output) Error!Receipt {
    plain.parse_welcome(body) catch |fault| return self.fail(failure_of(fault));
    var buffer: [null_mechanism.metadata_size_max]u8 = undefined;
    const metadata = our_metadata(self, &buffer);
    const target = frame_of(output, plain.initiate_bytes_min + metadata.len);
    plain.encode_initiate(target[0..plain.initiate_bytes_min]);
    @memcpy(target[plain.initiate_bytes_min..], metadata);
    return await(self, .plain_ready);
}

fn plain_initiate(self: *Handshake, body: []const u8, output: *Output) Error!Receipt {
    const properties = plain.parse_initiate(body) catch |fault| {
        return self.fail(failure_of(fault));
    };
    const receipt = try self.finish(properties);
    var buffer: [null_mechanism.metadata_size_max]u8 = undefined;
    const metadata = our_metadata(self, &buffer);
    const target = frame_of(output, plain.ready_bytes_min + metadata.len);
    plain.encode_ready(target[0..plain.ready_bytes_min]);
    @memcpy(target[plain.ready_bytes_min..], metadata);
    return receipt;
}

// -- CURVE ----------------------------------------------------------------------------------------

fn curve_hello(self: *Handshake, body: []const u8, output: *Output) Error!Receipt {
    const secured = self.secured.?;
    var welcome: [curve.welcome_bytes]u8 = undefined;
    curve.Server.hello(
        body,
        &welcome,
        &secured.security.keys,
        secured.cookies.?.newest(),
        secured.connection,
        secured.random,
    ) catch |fault| return self.fail(failure_of(fault));
    @memcpy(frame_of(output, welcome.len), &welcome);
    return await(self, .curve_initiate);
}

fn curve_welcome(self: *Handshake, body: []const u8, output: *Output) Error!Receipt {
    const secured = self.secured.?;
    const client = &secured.curve.client;
    const answer = client.welcome(body) catch |fault| return self.fail(failure_of(fault));
    var buffer: [null_mechanism.metadata_size_max]u8 = undefined;
    const metadata = our_metadata(self, &buffer);
    const target = frame_of(output, curve.initiate_bytes_min + metadata.len);
    const keys = &secured.security.keys;
    client.initiate(target, keys, &answer, metadata, secured.random) catch |fault| {
        return self.fail(failure_of(fault));
    };
    return await(self, .curve_ready);
}

fn curve_initiate(self: *Handshake, body: []const u8, output: *Output) Error!Receipt {
    const secured = self.secured.?;
    const own = try secured.hold(body);
    secured.curve = .{ .initiated = curve.Server.initiate(
        own,
        &secured.security.keys,
        secured.cookies.?.all(),
        secured.connection,
    ) catch |fault| return self.fail(failure_of(fault)) };
    if (secured.security.authenticate) return ask(self, .curve_initiate);
    return curve_answer(self, output);
}

/// The peer's metadata are good, or it learns nothing.
fn curve_answer(self: *Handshake, output: *Output) Error!Receipt {
    const secured = self.secured.?;
    const initiated = &secured.curve.initiated;
    const receipt = try self.finish(initiated.metadata);
    var buffer: [null_mechanism.metadata_size_max]u8 = undefined;
    const metadata = our_metadata(self, &buffer);
    const target = frame_of(output, curve.ready_bytes_min + metadata.len);
    var cipher = curve.Server.ready(target, initiated, metadata);
    defer cipher.wipe();
    sodium.wipe(&secured.curve);
    secured.curve = .{ .cipher = cipher };
    return receipt;
}

fn curve_ready(self: *Handshake, body: []const u8) Error!Receipt {
    const secured = self.secured.?;
    const own = try secured.hold(body);
    var cipher: curve.Cipher = undefined;
    defer cipher.wipe();
    const properties = secured.curve.client.ready(own, &cipher) catch |fault| {
        return self.fail(failure_of(fault));
    };
    const receipt = try self.finish(properties);
    sodium.wipe(&secured.curve);
    secured.curve = .{ .cipher = cipher };
    return receipt;
}
