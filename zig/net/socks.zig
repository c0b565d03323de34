//! SOCKS5 (RFC 1928) with user names and passwords (RFC 1929), the side of the client. Bytes only.
//!
//!     we                                       the proxy
//!     05 01 method ─────────────────────────▶
//!            ◀───────────────────────── 05 method            method: 00 none, 02 password
//!     01 n name n password ─────────────────▶                 only with method 02
//!            ◀───────────────────────── 01 status
//!     05 01 00 type address port ───────────▶                 type: 01 IPv4, 03 name, 04 IPv6
//!            ◀───────────────────────── 05 code 00 type address port
//!
//! What follows the last answer belongs to the peer, so never more is read than an answer has.

const std = @import("std");
const assert = std.debug.assert;

pub const name_bytes_max = 255;

pub const Failure = error{
    /// No SOCKS5 answer.
    Malformed,
    MethodRefused,
    CredentialsRefused,
    /// The codes of RFC 1928 §6.
    GeneralFailure,
    NotAllowed,
    NetworkUnreachable,
    HostUnreachable,
    ConnectionRefused,
    TtlExpired,
    CommandUnsupported,
    AddressUnsupported,
    /// Any other code.
    Refused,
};

/// Up to 255 bytes.
pub const Text = struct {
    len: u8 = 0,
    buffer: [name_bytes_max]u8 = undefined,

    pub fn init(bytes: []const u8) error{InvalidArgument}!Text {
        if (bytes.len > name_bytes_max) return error.InvalidArgument;
        var text: Text = .{ .len = @intCast(bytes.len) };
        @memcpy(text.buffer[0..bytes.len], bytes);
        return text;
    }

    pub fn slice(text: *const Text) []const u8 {
        return text.buffer[0..text.len];
    }
};

pub const Kind = enum(u8) { ipv4 = 1, name = 3, ipv6 = 4 };

/// Who the proxy is to connect to.
pub const Target = struct {
    kind: Kind,
    /// Octets or the name.
    address: Text,
    port: u16,

    pub fn init(kind: Kind, address: []const u8, port: u16) error{InvalidArgument}!Target {
        const fits = switch (kind) {
            .ipv4 => address.len == 4,
            .ipv6 => address.len == 16,
            .name => address.len > 0,
        };
        if (!fits) return error.InvalidArgument;
        return .{ .kind = kind, .address = try .init(address), .port = port };
    }
};

const version = 5;
const authentication_version = 1;
const command_connect = 1;
const method_none = 0;
const method_password = 2;
const method_refused = 0xff;

/// The longest that is sent: version, name and password with their lengths.
pub const output_bytes_max = 3 + 2 * name_bytes_max;

comptime {
    assert(output_bytes_max >= 4 + 1 + name_bytes_max + 2);
}

pub const Client = struct {
    target: Target,
    /// No name: no authentication.
    username: Text = .{},
    password: Text = .{},
    state: enum { method, credentials, reply, done } = .done,
    /// The answer that is coming in.
    answer: [answer_bytes_max]u8 = undefined,
    received: u16 = 0,
    wanted: u16 = 0,

    const answer_bytes_max = 4 + 1 + name_bytes_max + 2;
    /// So much of the last answer tells how long it is.
    const reply_head_bytes = 5;

    /// Begins on a new connection; returns what is to be sent.
    pub fn start(client: *Client, output: *[output_bytes_max]u8) []const u8 {
        client.expect(.method, 2);
        output[0..3].* = .{ version, 1, client.method() };
        return output[0..3];
    }

    /// Where the next bytes go, and no more than those.
    pub fn room(client: *Client) []u8 {
        assert(client.state != .done and client.received < client.wanted);
        return client.answer[client.received..client.wanted];
    }

    /// So many bytes came into `room`. Returns what is to be sent; `state` is done in the end.
    pub fn advance(
        client: *Client,
        count: usize,
        output: *[output_bytes_max]u8,
    ) Failure![]const u8 {
        assert(count <= client.wanted - client.received);
        client.received += @intCast(count);
        // A proxy that refuses may close before its answer is complete, so each byte is looked at.
        try client.check(client.answer[0..client.received]);
        if (client.received < client.wanted) return "";
        switch (client.state) {
            .method => {
                if (client.method() == method_none) return client.request(output);
                client.expect(.credentials, 2);
                return client.credentials(output);
            },
            .credentials => return client.request(output),
            .reply => {
                if (client.wanted == reply_head_bytes) {
                    client.wanted = reply_bytes(client.answer[3], client.answer[4]);
                } else client.state = .done;
                return "";
            },
            .done => unreachable,
        }
    }

    fn check(client: *const Client, answer: []const u8) Failure!void {
        if (answer.len < 1) return;
        const first: u8 = if (client.state == .credentials) authentication_version else version;
        if (answer[0] != first) return error.Malformed;
        if (answer.len < 2) return;
        switch (client.state) {
            .method => {
                if (answer[1] == method_refused) return error.MethodRefused;
                if (answer[1] != client.method()) return error.Malformed;
            },
            .credentials => if (answer[1] != 0) return error.CredentialsRefused,
            .reply => {
                try accepted(answer[1]);
                if (answer.len < 4) return;
                _ = std.enums.fromInt(Kind, answer[3]) orelse return error.Malformed;
            },
            .done => unreachable,
        }
    }

    fn accepted(code: u8) Failure!void {
        return switch (code) {
            0 => {},
            1 => error.GeneralFailure,
            2 => error.NotAllowed,
            3 => error.NetworkUnreachable,
            4 => error.HostUnreachable,
            5 => error.ConnectionRefused,
            6 => error.TtlExpired,
            7 => error.CommandUnsupported,
            8 => error.AddressUnsupported,
            else => error.Refused,
        };
    }

    fn reply_bytes(kind: u8, first: u8) u16 {
        const address: u16 = switch (@as(Kind, @enumFromInt(kind))) {
            .ipv4 => 4,
            .ipv6 => 16,
            .name => 1 + @as(u16, first),
        };
        return 4 + address + 2;
    }

    fn expect(client: *Client, state: @FieldType(Client, "state"), bytes: u16) void {
        client.state = state;
        client.received = 0;
        client.wanted = bytes;
    }

    fn method(client: *const Client) u8 {
        return if (client.username.len > 0) method_password else method_none;
    }

    fn credentials(client: *const Client, output: *[output_bytes_max]u8) []const u8 {
        var writer: std.Io.Writer = .fixed(output);
        write_credentials(client, &writer) catch unreachable; // Sized for the longest.
        return writer.buffered();
    }

    fn write_credentials(client: *const Client, writer: *std.Io.Writer) !void {
        try writer.writeByte(authentication_version);
        for ([_]*const Text{ &client.username, &client.password }) |text| {
            try writer.writeByte(text.len);
            try writer.writeAll(text.slice());
        }
    }

    fn request(client: *Client, output: *[output_bytes_max]u8) []const u8 {
        client.expect(.reply, reply_head_bytes);
        var writer: std.Io.Writer = .fixed(output);
        write_request(&client.target, &writer) catch unreachable; // Sized for the longest.
        return writer.buffered();
    }

    fn write_request(target: *const Target, writer: *std.Io.Writer) !void {
        try writer.writeAll(&.{ version, command_connect, 0, @intFromEnum(target.kind) });
        if (target.kind == .name) try writer.writeByte(target.address.len);
        try writer.writeAll(target.address.slice());
        try writer.writeInt(u16, target.port, .big);
    }
};

const testing = std.testing;

/// Feeds an answer in pieces of `step` bytes; returns what was sent after its last byte.
fn feed(
    client: *Client,
    answer: []const u8,
    step: usize,
    output: *[output_bytes_max]u8,
) ![]const u8 {
    var rest = answer;
    var sent: []const u8 = "";
    while (rest.len > 0) {
        try testing.expectEqual(0, sent.len);
        const room = client.room();
        const count = @min(step, @min(room.len, rest.len));
        @memcpy(room[0..count], rest[0..count]);
        rest = rest[count..];
        sent = try client.advance(count, output);
    }
    return sent;
}

test "every kind of target is asked for as the RFC writes it, however the answers are cut" {
    var output: [output_bytes_max]u8 = undefined;
    const v6 = [_]u8{ 0x20, 1 } ++ [_]u8{0} ** 13 ++ [_]u8{9};
    const replies = [_][]const u8{
        "\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38",
        "\x05\x00\x00\x04" ++ [_]u8{0} ** 16 ++ "\x00\x00",
        "\x05\x00\x00\x03\x05proxy\x00\x01",
        "\x05\x00\x00\x03\x00\x00\x00",
        "\x05\x00\x00\x03\xff" ++ [_]u8{'x'} ** 255 ++ "\x00\x01",
    };
    for ([_]struct { Target, []const u8 }{
        .{ try .init(.ipv4, &.{ 10, 0, 0, 7 }, 5555), "\x05\x01\x00\x01\x0a\x00\x00\x07\x15\xb3" },
        .{ try .init(.name, "db.lan", 80), "\x05\x01\x00\x03\x06db.lan\x00\x50" },
        .{ try .init(.ipv6, &v6, 1), "\x05\x01\x00\x04" ++ v6 ++ "\x00\x01" },
    }) |case| for (replies) |reply| for ([_]usize{ 1, 2, 3, 1000 }) |step| {
        var client: Client = .{ .target = case[0] };
        try testing.expectEqualStrings("\x05\x01\x00", client.start(&output));
        const request = try feed(&client, "\x05\x00", step, &output);
        try testing.expectEqualStrings(case[1], request);
        try testing.expectEqualStrings("", try feed(&client, reply, step, &output));
        try testing.expectEqual(.done, client.state);
    };
}

test "name and password are sent when asked for, an empty password too" {
    var output: [output_bytes_max]u8 = undefined;
    const longest = [_]u8{'p'} ** 255;
    for ([_][]const u8{ "secret", "", &longest }) |password| {
        var client: Client = .{
            .target = try .init(.name, "x", 1),
            .username = try .init("user"),
            .password = try .init(password),
        };
        try testing.expectEqualStrings("\x05\x01\x02", client.start(&output));
        const sent = try feed(&client, "\x05\x02", 1, &output);
        try testing.expectEqualStrings("\x01\x04user", sent[0..6]);
        try testing.expectEqual(password.len, sent[6]);
        try testing.expectEqualStrings(password, sent[7..]);
        const request = try feed(&client, "\x01\x00", 1, &output);
        try testing.expectEqualStrings("\x05\x01\x00\x03\x01x\x00\x01", request);
    }
    try testing.expectError(error.InvalidArgument, Text.init(&([_]u8{0} ** 256)));
    try testing.expectError(error.InvalidArgument, Target.init(.name, "", 1));
    try testing.expectError(error.InvalidArgument, Target.init(.ipv4, "12345", 1));
}

test "each refusal has its own error, known as soon as its byte is there" {
    var output: [output_bytes_max]u8 = undefined;
    const refusals = [_]struct { username: []const u8, answer: []const u8, failure: Failure }{
        .{ .username = "", .answer = "\x04", .failure = error.Malformed },
        .{ .username = "", .answer = "HTTP", .failure = error.Malformed },
        .{ .username = "", .answer = "\x05\x02", .failure = error.Malformed },
        .{ .username = "", .answer = "\x05\xff", .failure = error.MethodRefused },
        .{ .username = "u", .answer = "\x05\x00", .failure = error.Malformed },
        .{ .username = "u", .answer = "\x05\x02\x05", .failure = error.Malformed },
        .{ .username = "u", .answer = "\x05\x02\x01\x01", .failure = error.CredentialsRefused },
        .{ .username = "", .answer = "\x05\x00\x04", .failure = error.Malformed },
        .{ .username = "", .answer = "\x05\x00\x05\x00\x00\x02", .failure = error.Malformed },
        .{ .username = "", .answer = "\x05\x00\x05\x01", .failure = error.GeneralFailure },
        .{ .username = "", .answer = "\x05\x00\x05\x02", .failure = error.NotAllowed },
        .{ .username = "", .answer = "\x05\x00\x05\x03", .failure = error.NetworkUnreachable },
        .{ .username = "", .answer = "\x05\x00\x05\x04", .failure = error.HostUnreachable },
        .{ .username = "", .answer = "\x05\x00\x05\x05", .failure = error.ConnectionRefused },
        .{ .username = "", .answer = "\x05\x00\x05\x06", .failure = error.TtlExpired },
        .{ .username = "", .answer = "\x05\x00\x05\x07", .failure = error.CommandUnsupported },
        .{ .username = "", .answer = "\x05\x00\x05\x08", .failure = error.AddressUnsupported },
        .{ .username = "", .answer = "\x05\x00\x05\xee", .failure = error.Refused },
    };
    for (refusals) |case| {
        var client: Client = .{
            .target = try .init(.name, "x", 1),
            .username = try .init(case.username),
        };
        _ = client.start(&output);
        const result = for (case.answer) |byte| {
            client.room()[0] = byte;
            _ = client.advance(1, &output) catch |failure| break failure;
        } else error.NotRefused;
        try testing.expectEqual(case.failure, result);
    }
}
