//! The PLAIN mechanism: a user name and a password in clear text, once per connection. RFC 24/ZMTP
//! PLAIN. Bodies of command frames only: handshake.zig decides what comes when.
//!
//!     HELLO     5 HELLO | u8: n | user name, n bytes | u8: p | password, p bytes    client
//!     WELCOME   7 WELCOME                                                           server
//!     INITIATE  8 INITIATE | metadata                                               client
//!     READY     5 READY | metadata                                                  server
//!
//! libzmq 4.3.0 and 4.3.1 write another name into HELLO; they are refused like by libzmq since.
//!
//! A server may say ERROR instead of WELCOME. libzmq's has a name of its own, see `libzmq_error`.

const std = @import("std");
const assert = std.debug.assert;

const hello_prefix = "\x05HELLO";
const welcome = "\x07WELCOME";
const initiate_prefix = "\x08INITIATE";
const ready_prefix = "\x05READY";

/// Bytes of a user name, and of a password.
pub const credential_bytes_max = 255;
pub const hello_bytes_max = hello_prefix.len + 2 * (1 + credential_bytes_max);
pub const welcome_bytes = welcome.len;
pub const initiate_bytes_min = initiate_prefix.len;
pub const ready_bytes_min = ready_prefix.len;

/// What a peer can do wrong.
pub const Error = error{ UnexpectedCommand, MalformedHello, MalformedWelcome };

pub const Credentials = struct {
    user: []const u8,
    password: []const u8,
};

pub fn hello_bytes(credentials: Credentials) usize {
    return hello_prefix.len + 1 + credentials.user.len + 1 + credentials.password.len;
}

/// Writes HELLO; `target` has `hello_bytes`.
pub fn encode_hello(target: []u8, credentials: Credentials) void {
    const user = credentials.user;
    const password = credentials.password;
    assert(user.len <= credential_bytes_max and password.len <= credential_bytes_max);
    assert(target.len == hello_bytes(credentials));
    target[0..hello_prefix.len].* = hello_prefix.*;
    var rest = target[hello_prefix.len..];
    for ([_][]const u8{ user, password }) |text| {
        rest[0] = @intCast(text.len);
        @memcpy(rest[1..][0..text.len], text);
        rest = rest[1 + text.len ..];
    }
    assert(rest.len == 0);
}

/// Both lie in the body. Not a byte more or less than they declare.
pub fn parse_hello(body: []const u8) Error!Credentials {
    if (!std.mem.startsWith(u8, body, hello_prefix)) return error.UnexpectedCommand;
    var rest = body[hello_prefix.len..];
    const user = take(&rest) orelse return error.MalformedHello;
    const password = take(&rest) orelse return error.MalformedHello;
    if (rest.len > 0) return error.MalformedHello;
    return .{ .user = user, .password = password };
}

fn take(rest: *[]const u8) ?[]const u8 {
    if (rest.len == 0) return null;
    const size: usize = rest.*[0];
    if (size > rest.len - 1) return null;
    defer rest.* = rest.*[1 + size ..];
    return rest.*[1..][0..size];
}

pub fn encode_welcome(target: *[welcome_bytes]u8) void {
    target.* = welcome.*;
}

pub fn parse_welcome(body: []const u8) Error!void {
    if (!std.mem.startsWith(u8, body, welcome)) return error.UnexpectedCommand;
    if (body.len != welcome.len) return error.MalformedWelcome;
}

/// Writes what is in front of the metadata.
pub fn encode_initiate(target: *[initiate_bytes_min]u8) void {
    target.* = initiate_prefix.*;
}

/// The metadata.
pub fn parse_initiate(body: []const u8) Error![]const u8 {
    if (!std.mem.startsWith(u8, body, initiate_prefix)) return error.UnexpectedCommand;
    return body[initiate_prefix.len..];
}

pub fn encode_ready(target: *[ready_bytes_min]u8) void {
    target.* = ready_prefix.*;
}

pub fn parse_ready(body: []const u8) Error![]const u8 {
    if (!std.mem.startsWith(u8, body, ready_prefix)) return error.UnexpectedCommand;
    return body[ready_prefix.len..];
}

/// What follows the name of an ERROR as libzmq writes it; null: it is something else. The name is
/// in its source as "\x05ERROR", in which C reads "\x05E" as one byte: so it is in all versions
/// since 4.3.0, and their clients understand nothing else.
pub fn libzmq_error(body: []const u8) ?[]const u8 {
    const prefix = "\x5eRROR";
    if (!std.mem.startsWith(u8, body, prefix)) return null;
    return body[prefix.len..];
}

const testing = std.testing;
const hex = @import("hex.zig").hex;

test "plain: libzmq does not understand our HELLO" {
    var buffer: [hello_bytes_max]u8 = undefined;
    const credentials: Credentials = .{ .user = "admin", .password = "pw" };
    const hello = buffer[0..hello_bytes(credentials)];
    encode_hello(hello, credentials);
    try testing.expectEqualSlices(u8, hex("05 'HELLO' 05 'admin' 02 'pw'"), hello);
    const parsed = try parse_hello(hello);
    try testing.expectEqualStrings("admin", parsed.user);
    try testing.expectEqualStrings("pw", parsed.password);
}

test "plain: names and passwords of some length are cut or refused" {
    var buffer: [hello_bytes_max]u8 = undefined;
    const text: [credential_bytes_max]u8 = @splat('x');
    for ([_]usize{ 0, 1, 127, 128, 254, 255 }) |user| {
        for ([_]usize{ 0, 1, 127, 128, 254, 255 }) |password| {
            const given: Credentials = .{ .user = text[0..user], .password = text[0..password] };
            const hello = buffer[0..hello_bytes(given)];
            encode_hello(hello, given);
            const parsed = try parse_hello(hello);
            try testing.expectEqual(user, parsed.user.len);
            try testing.expectEqual(password, parsed.password.len);
        }
    }
}

test "plain: a HELLO that lies about a length is believed" {
    var buffer: [64]u8 = undefined;
    const hello = hex("05 'HELLO' 03 'bob' 04 'pass'");
    for (0..hello.len) |size| {
        if (parse_hello(hello[0..size])) |_| return error.Taken else |_| {}
    }
    @memcpy(buffer[0..hello.len], hello);
    buffer[hello.len] = 0;
    try testing.expectError(error.MalformedHello, parse_hello(buffer[0 .. hello.len + 1]));
    for ([_]usize{ 6, 10 }) |place| for (0..256) |size| {
        @memcpy(buffer[0..hello.len], hello);
        if (buffer[place] == size) continue;
        buffer[place] = @intCast(size);
        if (parse_hello(buffer[0..hello.len])) |_| return error.Taken else |_| {}
    };
    try testing.expectError(error.UnexpectedCommand, parse_hello(hex("05 'HELLX' 00 00")));
}

test "plain: a WELCOME with something behind it is a WELCOME" {
    var buffer: [welcome_bytes]u8 = undefined;
    encode_welcome(&buffer);
    try parse_welcome(&buffer);
    try testing.expectError(error.MalformedWelcome, parse_welcome(hex("07 'WELCOME' 00")));
    try testing.expectError(error.UnexpectedCommand, parse_welcome(hex("07 'WELCOM'")));
    try testing.expectError(error.UnexpectedCommand, parse_welcome(hex("05 'READY'")));
    try testing.expectEqualStrings("m", try parse_initiate(hex("08 'INITIATE' 'm'")));
    try testing.expectEqualStrings("m", try parse_ready(hex("05 'READY' 'm'")));
    try testing.expectError(error.UnexpectedCommand, parse_ready(hex("05 'READ'")));
    try testing.expectError(error.UnexpectedCommand, parse_initiate(""));
}

test "plain: libzmq's refusal is taken for nonsense" {
    try testing.expectEqualStrings("\x03400", libzmq_error(hex("5E 'RROR' 03 '400'")).?);
    try testing.expectEqualStrings("", libzmq_error(hex("5E 'RROR'")).?);
    try testing.expectEqual(null, libzmq_error(hex("05 'ERROR' 03 '400'")));
    try testing.expectEqual(null, libzmq_error(hex("5E 'RRO'")));
}
