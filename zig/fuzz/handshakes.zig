//! Whole handshakes of PLAIN, CURVE and an owner that is asked, with changes: the same end however
//! the bytes are cut, and no way in for whoever has changed what only a key can write.

const std = @import("std");
const testing = std.testing;

const allocator = @import("../sim/memory.zig").allocator;
const bytes_module = @import("bytes.zig");
const curve = @import("../zmtp/curve.zig");
const frame = @import("../zmtp/frame.zig");
const handshakes = @import("../zmtp/handshake.zig");
const Handshake = handshakes.Handshake;
const Prng = @import("../stdx/prng.zig").Prng;
const Security = @import("../zmtp/security.zig").Security;
const Slabs = @import("../stdx/slab.zig").Slabs;
const sodium = @import("../crypto/sodium.zig");

const Kind = enum { asked, plain, curve, curve_asked };

const server_secret: sodium.SecretKey = @splat(7);
const client_secret: sodium.SecretKey = @splat(11);

/// One side, whose keys and nonces are the same each time.
const Party = struct {
    slabs: *Slabs,
    cookies: *const curve.Cookies,
    prng: Prng,
    verdict: handshakes.Verdict = .allowed,
    server: bool,
    kind: Kind,

    fn security(party: *const Party) !?*Security {
        const asks = party.kind == .asked or party.kind == .curve_asked;
        const role: Security.Role = .{
            .server = party.server,
            .authenticate = party.server and asks,
        };
        const secret = if (party.server) &server_secret else &client_secret;
        return switch (party.kind) {
            .asked => if (party.server) try .init_null(role) else null,
            .plain => try .init_plain(role, .{ .user = "bob", .password = "a good one" }),
            .curve, .curve_asked => try .init_curve(
                role,
                secret,
                &sodium.public_key(secret),
                &sodium.public_key(&server_secret),
            ),
        };
    }

    fn begin(party: *Party, output: *handshakes.Output) !Handshake {
        var handshake: Handshake = .init(.{
            .socket_type = .dealer,
            .routing_id = if (party.server) "" else "me",
            .command_size_max = 32 * 1024,
        });
        if (try party.security()) |it| {
            defer it.release();
            const random: curve.Random = .{
                .context = &party.prng,
                .fill = @import("curve.zig").fill,
            };
            const cookies = if (party.server) party.cookies else null;
            handshake.secured = try .create(party.slabs, it, random, cookies, 5);
        }
        handshake.start(output);
        return handshake;
    }

    /// What it makes of these bytes in these pieces, and what it says.
    fn hear(party: *const Party, bytes: []const u8, cuts: []const usize) !Told {
        var own = party.*;
        var told: Told = .{};
        errdefer told.deinit();
        var buffer: [handshakes.output_size_max]u8 = undefined;
        var output: handshakes.Output = .init(&buffer);
        var handshake = try own.begin(&output);
        defer if (handshake.secured) |it| it.destroy();
        try told.said.appendSlice(allocator, output.written());
        for (0..cuts.len + 1) |index| {
            const end = if (index < cuts.len) cuts[index] else bytes.len;
            while (told.end == .more and told.consumed < end) {
                output.clear();
                const receipt = receive(&handshake, bytes[told.consumed..end], &output);
                const before = told.consumed;
                told.consumed += try told.take(&handshake, receipt, &output);
                if (told.asked) {
                    output.clear();
                    const answer = handshake.answer(own.verdict, &output);
                    _ = try told.take(&handshake, answer, &output);
                    told.asked = false;
                } else if (told.consumed == before) break;
            }
        }
        return told;
    }

    /// Bytes of the peer are decrypted where they are, or not at all: they stay as they were given.
    fn receive(
        handshake: *Handshake,
        bytes: []const u8,
        output: *handshakes.Output,
    ) handshakes.Error!handshakes.Receipt {
        return handshake.receive(bytes, output);
    }
};

const Told = struct {
    end: union(enum) { more, done, failed: handshakes.Failure } = .more,
    consumed: usize = 0,
    asked: bool = false,
    questions: u32 = 0,
    said: bytes_module.Bytes = .empty,
    metadata: bytes_module.Bytes = .empty,

    fn deinit(told: *Told) void {
        told.said.deinit(allocator);
        told.metadata.deinit(allocator);
    }

    fn take(
        told: *Told,
        handshake: *Handshake,
        result: handshakes.Error!handshakes.Receipt,
        output: *handshakes.Output,
    ) !usize {
        try told.said.appendSlice(allocator, output.written());
        const receipt = result catch |failure| {
            if (failure != error.HandshakeFailed) return failure;
            told.end = .{ .failed = handshake.failure().? };
            return 0;
        };
        switch (receipt.state) {
            .need_more => {},
            .verdict_wanted => {
                told.asked = true;
                told.questions += 1;
                // What the owner sees is there.
                const waiting = handshake.waiting().?;
                try testing.expectEqual(handshake.mechanism(), waiting.mechanism);
                try testing.expect(waiting.credentials.user.len <= 255);
            },
            .done => {
                told.end = .done;
                try told.metadata.appendSlice(allocator, receipt.metadata);
                try testing.expect(handshake.peer.identity.len <= 255);
            },
        }
        return receipt.consumed;
    }

    fn expect_equal(a: *const Told, b: *const Told) !void {
        try testing.expectEqualDeep(a.end, b.end);
        if (a.end == .done) try testing.expectEqual(a.consumed, b.consumed);
        try testing.expectEqual(a.questions, b.questions);
        try testing.expectEqualSlices(u8, a.said.items, b.said.items);
        try testing.expectEqualSlices(u8, a.metadata.items, b.metadata.items);
    }
};

pub fn run(prng: *Prng) !void {
    try sodium.init();
    var slabs: Slabs = .init(1 << 20);
    defer slabs.deinit();
    var seed: Prng = .init(prng.next());
    const random: curve.Random = .{ .context = &seed, .fill = @import("curve.zig").fill };
    const cookies = try curve.Cookies.create(random, 0);
    defer cookies.destroy();
    const kind = prng.pick(Kind, std.enums.values(Kind));
    const server: Party = .{
        .slabs = &slabs,
        .cookies = cookies,
        .prng = .init(prng.next()),
        .server = true,
        .kind = kind,
    };
    var client = server;
    client.server = false;
    client.prng = .init(prng.next());

    var spoken: [2]bytes_module.Bytes = .{ .empty, .empty };
    defer for (&spoken) |*it| it.deinit(allocator);
    try dialogue(&server, &client, &spoken);
    const hears_client = prng.boolean();
    var listener = if (hears_client) server else client;
    const bytes = &spoken[@intFromBool(!hears_client)];
    const honest = try allocator.dupe(u8, bytes.items);
    defer allocator.free(honest);
    if (prng.chance(15, 16)) try bytes_module.mutate(prng, bytes, if (prng.boolean()) 0 else 64);
    const verdicts = std.enums.values(handshakes.Verdict);
    if (prng.chance(1, 4)) listener.verdict = prng.pick(handshakes.Verdict, verdicts);

    var whole = try listener.hear(bytes.items, &.{});
    defer whole.deinit();
    var buffer: [20]usize = undefined;
    var cut = try listener.hear(bytes.items, bytes_module.cuts(prng, bytes.items.len, &buffer));
    defer cut.deinit();
    try whole.expect_equal(&cut);
    try testing.expectEqual(0, slabs.live_bytes);
    if (whole.questions > 0 and listener.verdict != .allowed) {
        try testing.expect(whole.end == .failed);
    } else if (std.mem.eql(u8, honest, bytes.items)) {
        try testing.expect(whole.end == .done);
    } else if (whole.end == .done and kind != .plain and kind != .asked) {
        try expect_idle(honest, bytes.items, hears_client);
    }
    // The first bytes that are not as they should be are the last that are answered.
    if (whole.end != .done) try testing.expect(!std.mem.eql(u8, honest, bytes.items) or
        listener.verdict != .allowed);
}

/// What each says until both are through: the client's, then the server's.
fn dialogue(server: *const Party, client: *const Party, spoken: *[2]bytes_module.Bytes) !void {
    for (0..5) |_| {
        var heard_server = try client.hear(spoken[1].items, &.{});
        defer heard_server.deinit();
        spoken[0].clearRetainingCapacity();
        try spoken[0].appendSlice(allocator, heard_server.said.items);
        var heard_client = try server.hear(spoken[0].items, &.{});
        defer heard_client.deinit();
        spoken[1].clearRetainingCapacity();
        try spoken[1].appendSlice(allocator, heard_client.said.items);
        if (heard_server.end == .done and heard_client.end == .done) return;
    }
    return error.NeverThrough;
}

/// What is different is the padding of the greeting, a version that is as good, the form of a
/// frame's length, what nobody looks at in HELLO, or comes behind the handshake.
fn expect_idle(honest: []const u8, bytes: []const u8, of_client: bool) !void {
    var rest: [2][]const u8 = .{ honest[64..], bytes[64..] };
    const commands: usize = 2;
    for (0..commands) |number| {
        var bodies: [2][]const u8 = undefined;
        for (&rest, &bodies) |*it, *body| {
            const header = frame.decode(it.*).?;
            const size: usize = @intCast(header.body_size);
            body.* = it.*[header.header_size..][0..size];
            it.* = it.*[header.header_size + size ..];
        }
        try testing.expectEqual(bodies[0].len, bodies[1].len);
        for (bodies[0], bodies[1], 0..) |a, b, place| {
            if (a == b) continue;
            const zeros = place >= 8 and place < 80;
            // Curve25519 does not look at the top bit of C', and INITIATE has a cookie of its own.
            const top = place == 111 and a ^ b == 0x80;
            if (!of_client or number > 0 or !zeros and !top) return error.Taken;
        }
    }
}
