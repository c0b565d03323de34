//! CURVE byte for byte, with fixed keys and nonces, against curve_transcript.txt. Another
//! implementation has written that, which shares nothing with ours and talks to libzmq:
//!
//!     python3 test/interop/pyzmq/curve_reference.py transcript > zig/zmtp/curve_transcript.txt

const std = @import("std");

const curve = @import("curve.zig");
const frame = @import("frame.zig");
const sodium = @import("../crypto/sodium.zig");
const testing = std.testing;

const transcript = @embedFile("curve_transcript.txt");

/// What stands under a title, decoded into `target`.
fn expected(title: []const u8, target: []u8) ![]const u8 {
    var sections = std.mem.splitSequence(u8, transcript, "\n\n");
    while (sections.next()) |section| {
        var lines = std.mem.tokenizeScalar(u8, section, '\n');
        if (!std.mem.eql(u8, lines.next().?, title)) continue;
        var filled: usize = 0;
        while (lines.next()) |line| {
            filled += (try std.fmt.hexToBytes(target[filled..], line)).len;
        }
        return target[0..filled];
    }
    return error.NotInTranscript;
}

fn expect_same(title: []const u8, actual: []const u8) !void {
    var buffer: [4096]u8 = undefined;
    try testing.expectEqualSlices(u8, try expected(title, &buffer), actual);
}

/// The n-th draw is n0 n1 n2 and so on.
const Draws = struct {
    count: u8 = 0,

    fn random(draws: *Draws) curve.Random {
        return .{ .context = draws, .fill = fill };
    }

    fn fill(context: ?*anyopaque, bytes: []u8) void {
        const draws: *Draws = @ptrCast(@alignCast(context.?));
        draws.count += 1;
        for (bytes, 0..) |*byte, i| byte.* = @truncate(16 * @as(usize, draws.count) + i);
    }
};

const of_client = "\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x02me";
const of_server = "\x0bSocket-Type\x00\x00\x00\x06ROUTER\x08Identity\x00\x00\x00\x00";

const Ciphers = struct { client: curve.Cipher, server: curve.Cipher };

/// A whole handshake, each command compared. It returns what both ends go on with.
fn handshake() !Ciphers {
    try sodium.init();
    var draws: Draws = .{};
    const random = draws.random();
    var secret: sodium.SecretKey = undefined;
    random.into(&secret);
    const server_keys: curve.Keys = .{ .server = sodium.public_key(&secret), .secret = secret };
    random.into(&secret);
    const client_keys: curve.Keys = .{
        .server = server_keys.server,
        .public = sodium.public_key(&secret),
        .secret = secret,
    };
    const cookie_key: curve.CookieKey = .init(random);
    const connection = 1;

    var client: curve.Client = try .init(&client_keys, random);
    var hello: [curve.hello_bytes]u8 = undefined;
    client.hello(&hello);
    try expect_same("HELLO", &hello);

    var welcome: [curve.welcome_bytes]u8 = undefined;
    try curve.Server.hello(&hello, &welcome, &server_keys, &cookie_key, connection, random);
    try expect_same("WELCOME", &welcome);

    const answer = try client.welcome(&welcome);
    var initiate: [curve.initiate_bytes_min + of_client.len]u8 = undefined;
    try client.initiate(&initiate, &client_keys, &answer, of_client, random);
    try expect_same("INITIATE", &initiate);

    const cookie_keys = [_]curve.CookieKey{cookie_key};
    const initiated = try curve.Server.initiate(&initiate, &server_keys, &cookie_keys, connection);
    try testing.expectEqualStrings(of_client, initiated.metadata);
    var ready: [curve.ready_bytes_min + of_server.len]u8 = undefined;
    var ciphers: Ciphers = undefined;
    ciphers.server = curve.Server.ready(&ready, &initiated, of_server);
    try expect_same("READY", &ready);
    try testing.expectEqualStrings(of_server, try client.ready(&ready, &ciphers.client));
    return ciphers;
}

const noise = make: {
    @setEvalBranchQuota(10_000);
    var bytes: [3000]u8 = undefined;
    for (&bytes, 0..) |*byte, i| byte.* = @truncate(i * i + i / 7);
    break :make bytes;
};

const Message = struct { title: []const u8, flags: u8, body: []const u8 };

const messages = [_]Message{
    .{ .title = "empty", .flags = 0, .body = "" },
    .{ .title = "hello and more", .flags = frame.flag_more, .body = "hello" },
    .{ .title = "a command", .flags = frame.flag_command, .body = "\x04PING\x00\x00" },
    .{ .title = "222 bytes", .flags = 0, .body = noise[0..222] },
    .{ .title = "223 bytes", .flags = 0, .body = noise[0..223] },
    .{ .title = "3000 bytes", .flags = 0, .body = &noise },
};

/// What one end seals is what stands in the transcript, and what the other end opens.
fn expect_messages(comptime who: []const u8, from: *curve.Cipher, to: *curve.Cipher) !void {
    var stream: sodium.Series.Scratch = undefined;
    inline for (messages) |message| {
        var buffer: [frame.header_size_max + curve.message_extra + noise.len]u8 = undefined;
        const target = buffer[0..curve.Cipher.sealed_bytes(message.body.len)];
        from.seal(target, message.flags, message.body, &stream);
        try expect_same("MESSAGE of the " ++ who ++ ", " ++ message.title, target);
        const header = frame.decode(target).?;
        const opened = try to.open(header.flags, target[header.header_size..], &stream);
        try testing.expectEqual(message.flags, opened.flags);
        try testing.expectEqualSlices(u8, message.body, opened.body);
    }
}

test "curve: a handshake is not, byte for byte, what the RFC makes of the same keys and nonces" {
    _ = try handshake();
}

test "curve: messages are not, byte for byte, what the RFC makes of the same keys and nonces" {
    var ciphers = try handshake();
    try expect_messages("client", &ciphers.client, &ciphers.server);
    try expect_messages("server", &ciphers.server, &ciphers.client);
}
