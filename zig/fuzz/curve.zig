//! The commands of CURVE, a little wrong: whatever was changed, no other party takes them, and what
//! was not is taken.

const std = @import("std");
const testing = std.testing;

const allocator = @import("../sim/memory.zig").allocator;
const bytes_module = @import("bytes.zig");
const curve = @import("../zmtp/curve.zig");
const Prng = @import("../stdx/prng.zig").Prng;
const sodium = @import("../crypto/sodium.zig");

const Parties = struct {
    random: curve.Random,
    server: curve.Keys,
    own: curve.Keys,
    cookie_key: curve.CookieKey,
    client: curve.Client,
    connection: u128,
};

pub fn fill(context: ?*anyopaque, bytes: []u8) void {
    const prng: *Prng = @ptrCast(@alignCast(context.?));
    prng.fill(bytes);
}

/// A client's C' has its top bit clear; nobody looks at it, nor at the zeros in front of it.
fn idle(place: usize) bool {
    return place >= 8 and place < 80;
}

fn same(a: []const u8, b: []const u8, is_hello: bool) bool {
    if (a.len != b.len) return false;
    for (a, b, 0..) |x, y, place| {
        if (x == y or is_hello and idle(place)) continue;
        if (is_hello and place == 111 and x ^ y == 0x80) continue;
        return false;
    }
    return true;
}

pub fn run(prng: *Prng) !void {
    try sodium.init();
    const random: curve.Random = .{ .context = prng, .fill = fill };
    var secrets: [2]sodium.SecretKey = undefined;
    for (&secrets) |*secret| random.into(secret);
    const server_key = sodium.public_key(&secrets[0]);
    var parties: Parties = .{
        .random = random,
        .server = .{ .server = server_key, .secret = secrets[0] },
        .own = .{
            .server = server_key,
            .public = sodium.public_key(&secrets[1]),
            .secret = secrets[1],
        },
        .cookie_key = .init(random),
        .client = undefined,
        .connection = prng.next(),
    };
    parties.client = try .init(&parties.own, random);
    try handshake(prng, &parties);
}

/// One of the commands is changed; where it is taken all the same, the rest has to work.
fn handshake(prng: *Prng, parties: *Parties) !void {
    const target = prng.below(5);
    var metadata: bytes_module.Bytes = .empty;
    defer metadata.deinit(allocator);
    try bytes_module.append_noise(prng, &metadata, bytes_module.size(prng, 3000));

    var hello: [curve.hello_bytes]u8 = undefined;
    parties.client.hello(&hello);
    var welcome: [curve.welcome_bytes]u8 = undefined;
    {
        var bytes = try changed(prng, &hello, target == 0);
        defer bytes.deinit(allocator);
        const result = curve.Server.hello(
            bytes.items,
            &welcome,
            &parties.server,
            &parties.cookie_key,
            parties.connection,
            parties.random,
        );
        if (!same(&hello, bytes.items, true)) return expect_refused(result);
        try result;
        // Its zeros may be anything: what counts is behind them.
        hello[80..112].* = bytes.items[80..112].*;
    }
    var initiate: bytes_module.Bytes = .empty;
    defer initiate.deinit(allocator);
    try initiate.resize(allocator, curve.initiate_bytes_min + metadata.items.len);
    {
        var bytes = try changed(prng, &welcome, target == 1);
        defer bytes.deinit(allocator);
        const result = parties.client.welcome(bytes.items);
        if (!same(&welcome, bytes.items, false)) return expect_refused(result);
        const answer = try result;
        try parties.client.initiate(
            initiate.items,
            &parties.own,
            &answer,
            metadata.items,
            parties.random,
        );
    }
    // The top bit of C' was vouched for as it is, and the server saw another one.
    if (hello[111] & 0x80 != 0) return;
    var bytes = try changed(prng, initiate.items, target == 2);
    defer bytes.deinit(allocator);
    const is_same = same(initiate.items, bytes.items, false);
    const other = target == 3;
    var initiated = curve.Server.initiate(
        bytes.items,
        &parties.server,
        &.{parties.cookie_key},
        if (other) parties.connection +% 1 + prng.below(3) else parties.connection,
    ) catch |failure| {
        return if (is_same and !other) failure else {};
    };
    if (!is_same or other) return error.Taken;
    defer initiated.wipe();
    try testing.expectEqualSlices(u8, metadata.items, initiated.metadata);
    try testing.expectEqualSlices(u8, &parties.own.public, &initiated.client);
    try finish(prng, parties, &initiated, metadata.items, target == 4);
}

fn finish(
    prng: *Prng,
    parties: *Parties,
    initiated: *const curve.Server.Initiate,
    metadata: []const u8,
    change: bool,
) !void {
    var ready: bytes_module.Bytes = .empty;
    defer ready.deinit(allocator);
    try ready.resize(allocator, curve.ready_bytes_min + metadata.len);
    var server = curve.Server.ready(ready.items, initiated, metadata);
    var bytes = try changed(prng, ready.items, change);
    defer bytes.deinit(allocator);
    const is_same = same(ready.items, bytes.items, false);
    var client: curve.Cipher = undefined;
    const result = parties.client.ready(bytes.items, &client);
    if (!is_same) return expect_refused(result);
    try testing.expectEqualSlices(u8, metadata, try result);

    var stream: sodium.Series.Scratch = undefined;
    for ([_][2]*curve.Cipher{ .{ &client, &server }, .{ &server, &client } }) |pair| {
        var target: [64]u8 = undefined;
        const sealed = target[0..curve.Cipher.sealed_bytes(5)];
        pair[0].seal(sealed, 0, "hello", &stream);
        const opened = try pair[1].open(0, sealed[2..], &stream);
        try testing.expectEqualStrings("hello", opened.body);
    }
}

fn changed(prng: *Prng, command: []const u8, change: bool) !bytes_module.Bytes {
    var bytes: bytes_module.Bytes = .empty;
    errdefer bytes.deinit(allocator);
    try bytes.appendSlice(allocator, command);
    if (change) try bytes_module.mutate(prng, &bytes, if (prng.boolean()) 0 else 8);
    return bytes;
}

fn expect_refused(result: anytype) !void {
    _ = result catch return;
    return error.Taken;
}
