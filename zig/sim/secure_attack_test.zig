//! What somebody who has no key, the wrong one, or the wire between two honest peers can do: his
//! connection ends with a reason or waits for its deadline, nothing of his is delivered, and a good
//! peer of the same socket notices nothing.

const std = @import("std");
const testing = std.testing;

const constants = @import("../constants.zig");
const curve = @import("../zmtp/curve.zig");
const frame = @import("../zmtp/frame.zig");
const greetings = @import("../zmtp/greeting.zig");
const Reason = @import("../core/monitor.zig").Reason;
const secured = @import("secured.zig");
const Security = @import("../zmtp/security.zig").Security;
const sodium = @import("../crypto/sodium.zig");
const Hand = secured.Hand;
const Kind = secured.Kind;
const Middle = secured.Middle;
const Pair = secured.Pair;
const type_is = secured.type_is;
const Verdict = @import("../core/secure_session.zig").Verdict;
const worlds = @import("world.zig");
const Mock = worlds.Mock;
const Owner = worlds.Owner;

const allocator = testing.allocator;
const place: @import("../io/address.zig").Address = .ipv4(.{ 127, 0, 0, 1 }, 5555);

/// A PULL with a mechanism, and a PUSH that is connected and must not notice anything.
const Target = struct {
    pair: Pair,
    owner: *Owner,
    pull: u32,
    said: u8 = 0,

    fn init(target: *Target, kind: Kind) !void {
        target.* = .{ .pair = undefined, .owner = undefined, .pull = undefined };
        try target.pair.init(kind, .pull, .push, .{});
        errdefer target.pair.deinit();
        target.owner = target.pair.server;
        target.pull = target.pair.bound;
        target.options().handshake_interval_ms = 500;
        try target.pair.connect();
        try target.expect_good_works();
        _ = try target.owner.next_event(target.pull, .handshake_succeeded);
        target.owner.asked.clearRetainingCapacity();
    }

    fn deinit(target: *Target) void {
        target.pair.deinit();
    }

    fn options(target: *Target) *@import("../options.zig").SocketOptions {
        return target.owner.slot(target.pull).socket.options;
    }

    fn dial(target: *Target) !Mock {
        return .dial(&target.pair.world, target.pair.address);
    }

    fn hand(target: *Target) !Hand {
        return .dial(&target.pair.world, target.pair.address);
    }

    fn settle(target: *Target) !void {
        return target.pair.world.settle();
    }

    fn expect_good_works(target: *Target) !void {
        target.said +%= 1;
        try target.pair.client.send(target.pair.connecting, &.{ &.{target.said}, "here" });
        try target.settle();
        try target.owner.expect(target.pull, &.{ &.{target.said}, "here" });
        try target.owner.expect_none(target.pull);
    }

    /// A handshake of the attacker's has failed.
    fn expect_failed(target: *Target, reason: Reason) !void {
        const it = try target.owner.next_event(target.pull, .of_handshake(reason));
        try testing.expectEqual(reason, it.reason);
        try target.owner.expect_ended(target.pull, reason);
        try target.expect_good_works();
    }

    /// These bytes as the traffic of a CURVE connection end it.
    fn expect_dropped(target: *Target, bytes: []const u8, reason: Reason) !void {
        var it = try target.hand();
        defer it.deinit();
        try it.handshake(comptime type_is("PUSH"));
        const live_bytes = target.owner.live_bytes();
        it.mock.send(bytes);
        try target.settle();
        try testing.expect(it.mock.peer.ended());
        try target.owner.expect_ended(target.pull, reason);
        try testing.expect(target.owner.live_bytes() <= live_bytes);
        try target.expect_good_works();
    }
};

// -- downgrades ----------------------------------------------------------------------------------

const Old = struct { bytes: []const u8, reason: Reason };

/// Everything that is not the greeting of this mechanism, with what would follow it.
fn downgrades(kind: Kind, buffer: *[8][200]u8) [10]Old {
    const own = kind.greeting();
    const body = comptime worlds.ready("PUSH") ++ "\x00\x05hello";
    for (buffer) |*it| {
        it[0..own.len].* = own;
        it[own.len..][0..body.len].* = body[0..body.len].*;
    }
    buffer[0][10] = 2;
    buffer[1][10] = 0;
    buffer[2][10] = 1;
    const others = [_][]const u8{ "NULL", "PLAIN", "CURVE", "GSSAPI" };
    for (others, 3..) |name, index| {
        buffer[index][12..32].* = @splat(0);
        @memcpy(buffer[index][12..][0..name.len], name);
    }
    // Its own mechanism with something behind the name.
    buffer[7][31] = 'X';
    const size = own.len + body.len;
    return .{
        .{ .bytes = "\x01\x00" ++ "\x00\x05hello", .reason = .not_zmtp },
        .{ .bytes = "\x04\x00name" ++ "\x00\x05hello", .reason = .not_zmtp },
        .{ .bytes = buffer[0][0..size], .reason = .version_too_old },
        .{ .bytes = buffer[1][0..size], .reason = .version_too_old },
        .{ .bytes = buffer[2][0..size], .reason = .version_too_old },
        .{ .bytes = buffer[3][0..size], .reason = .mechanism_mismatch },
        .{ .bytes = buffer[4][0..size], .reason = .mechanism_mismatch },
        .{ .bytes = buffer[5][0..size], .reason = .mechanism_mismatch },
        .{ .bytes = buffer[6][0..size], .reason = .mechanism_mismatch },
        .{ .bytes = buffer[7][0..size], .reason = .mechanism_mismatch },
    };
}

fn is_own(kind: Kind, old: Old) bool {
    const own = kind.greeting();
    return std.mem.startsWith(u8, old.bytes, &own);
}

test "an old greeting, or another mechanism's, gets into a secured socket (CVE-2014-7202, 9721)" {
    for (Kind.all) |kind| {
        var target: Target = undefined;
        try target.init(kind);
        defer target.deinit();
        var buffer: [8][200]u8 = undefined;
        var refused: u32 = 0;
        for (downgrades(kind, &buffer)) |old| {
            if (is_own(kind, old)) continue;
            var mock = try target.dial();
            defer mock.deinit();
            mock.send(old.bytes);
            try target.settle();
            try testing.expect(mock.peer.ended());
            // Nothing of ours but the greeting, which went out before anything came.
            try mock.pump();
            try testing.expect(mock.received.items.len <= greetings.size);
            try testing.expect(std.mem.startsWith(u8, &kind.greeting(), mock.received.items));
            try testing.expectEqual(0, target.owner.asked.items.len);
            try target.expect_failed(old.reason);
            refused += 1;
        }
        try testing.expectEqual(9, refused);
    }
}

test "a client with a password or a key talks to a server without: it would read the password" {
    for ([_]Kind{ .plain, .curve }) |kind| {
        var buffer: [8][200]u8 = undefined;
        for (downgrades(kind, &buffer)) |old| {
            if (is_own(kind, old)) continue;
            var pair: Pair = undefined;
            try pair.init(kind, .pull, .push, .{});
            defer pair.deinit();
            const listener = pair.world.network.listen(&place);
            _ = try pair.client.connect(pair.connecting, place);
            try pair.client.send(pair.connecting, &.{"secret"});
            try pair.world.settle();
            var mock: Mock = .{ .peer = listener.accept().? };
            defer mock.deinit();
            mock.send(old.bytes);
            try pair.world.settle();
            try testing.expect(mock.peer.ended());
            try mock.pump();
            try testing.expectEqualSlices(u8, &kind.greeting(), mock.received.items);
            try pair.client.expect_ended(pair.connecting, old.reason);
        }
    }
}

// -- verdicts ------------------------------------------------------------------------------------

/// An attacker who has come so far that his fate is decided.
const Suspect = struct {
    hand: Hand,
    kind: Kind,

    fn init(target: *Target) !Suspect {
        var suspect: Suspect = .{ .hand = try target.hand(), .kind = target.pair.kind };
        errdefer suspect.deinit();
        const mock = &suspect.hand.mock;
        if (suspect.kind == .curve_asked) {
            try suspect.hand.say_hello();
            try suspect.hand.initiate(comptime type_is("PUSH"));
            return suspect;
        }
        mock.send(&suspect.kind.greeting());
        switch (suspect.kind) {
            .asked => mock.send(comptime worlds.ready("PUSH")),
            .plain => mock.send("\x04\x10\x05HELLO\x03bob\x05wrong"),
            else => unreachable,
        }
        try target.settle();
        try mock.pump();
        try mock.expect_greeting(suspect.kind.mechanism());
        return suspect;
    }

    fn deinit(suspect: *Suspect) void {
        suspect.hand.deinit();
    }

    /// The rest of an honest handshake, and a message.
    fn go_on(suspect: *Suspect) !void {
        const mock = &suspect.hand.mock;
        switch (suspect.kind) {
            .asked => {
                try mock.pump();
                const body = (try mock.next_frame(frame.flag_command)).?;
                defer allocator.free(body);
                try testing.expectEqualStrings("\x05READY", body[0..6]);
                try mock.send_message(&.{"let in"});
            },
            .plain => {
                try mock.pump();
                try mock.expect_frame(frame.flag_command, "\x07WELCOME");
                try mock.send_frame(4, "\x08INITIATE" ++ comptime type_is("PUSH"));
                try suspect.hand.world.settle();
                try mock.pump();
                const body = (try mock.next_frame(frame.flag_command)).?;
                defer allocator.free(body);
                try testing.expectEqualStrings("\x05READY", body[0..6]);
                try mock.send_message(&.{"let in"});
            },
            .curve_asked => {
                try suspect.hand.expect_ready();
                try suspect.hand.send(0, "let in");
            },
            .curve => unreachable,
        }
        try suspect.hand.world.settle();
    }
};

const asking = [_]Kind{ .asked, .plain, .curve_asked };

fn reason_of(verdict: Verdict) Reason {
    return switch (verdict) {
        .allowed => .none,
        .unavailable => .authentication_unavailable,
        .retry => .authentication_retry,
        .denied => .authentication_denied,
        .failed => .authentication_error,
        inline else => |zap| @field(Reason, @tagName(zap)),
    };
}

test "a denied peer sees a READY or a WELCOME, or is not told by an event (ZAP after READY)" {
    for (asking) |kind| for (std.enums.values(Verdict)) |verdict| {
        errdefer std.debug.print("{t}, {t}\n", .{ kind, verdict });
        var target: Target = undefined;
        try target.init(kind);
        defer target.deinit();
        target.owner.verdict = null;
        var suspect: Suspect = try .init(&target);
        defer suspect.deinit();
        const mock = &suspect.hand.mock;
        try testing.expectEqual(1, target.owner.asked.items.len);
        const event = target.owner.asked.items[0];
        try testing.expectEqual(target.pull, event.a);
        const context = &target.owner.context;
        const known = context.authentication(event.handle, event.b).?;
        try testing.expectEqual(@intFromEnum(kind.mechanism()), known.mechanism);
        const user = if (kind == .plain) "bob" else "";
        try testing.expectEqualStrings(user, known.username[0..known.username_bytes]);
        const password = if (kind == .plain) "wrong" else "";
        try testing.expectEqualStrings(password, known.password[0..known.password_bytes]);
        if (kind == .curve_asked) {
            try testing.expectEqualSlices(u8, &suspect.hand.keys.public, &known.public_key);
        }
        // While the owner thinks about it, nothing comes and nothing is told.
        try target.pair.world.run(100);
        try mock.expect_nothing();
        try testing.expect(!mock.peer.ended());
        try testing.expect(context.authenticated(event.handle, event.b, verdict));
        try target.settle();
        if (verdict == .allowed) {
            try suspect.go_on();
            try target.owner.expect(target.pull, &.{"let in"});
            try testing.expect(!mock.peer.ended());
            continue;
        }
        try testing.expect(mock.peer.ended());
        try mock.pump();
        switch (verdict) {
            .denied => try mock.expect_frame(frame.flag_command, "\x05ERROR\x03400"),
            .failed => try mock.expect_frame(frame.flag_command, "\x05ERROR\x03500"),
            else => {},
        }
        try mock.expect_nothing();
        try target.expect_failed(reason_of(verdict));
    };
}

test "one of ours that is denied is not told why, or goes on asking every few milliseconds" {
    const Case = struct { Verdict, Reason };
    const cases = [_]Case{
        .{ .denied, .peer_error },             .{ .failed, .peer_error },
        .{ .retry, .hello_refused },           .{ .unavailable, .hello_refused },
        .{ .zap_bad_version, .hello_refused },
    };
    for (asking) |kind| for (cases) |case| {
        errdefer std.debug.print("{t}, {t}\n", .{ kind, case[0] });
        var pair: Pair = undefined;
        try pair.init(kind, .pull, .push, .{});
        defer pair.deinit();
        pair.server.verdict = case[0];
        try pair.connect();
        // A client of NULL has not introduced itself: it does not know that it was looked at.
        const unaware = kind == .asked and case[1] == .hello_refused;
        const end = try pair.client.next_event(pair.connecting, .disconnected);
        if (!unaware) try testing.expectEqual(case[1], end.reason);
        try testing.expectEqual(1, pair.server.asked.items.len);
        try pair.world.run(60_000);
        const asked = pair.server.asked.items.len;
        if (case[1] == .peer_error) {
            try testing.expectEqual(1, asked);
            try testing.expectError(
                error.Unroutable,
                pair.client.send(pair.connecting, &.{"never"}),
            );
        } else {
            try testing.expect(asked > 2);
            // At the interval of 10 ms it would be thousands.
            if (!unaware) try testing.expect(asked < 600);
        }
    };
}

test "a client with the key of another server is not told so, or hammers it" {
    var pair: Pair = undefined;
    try pair.init(.curve, .pull, .push, .{});
    defer pair.deinit();
    const other = sodium.public_key(&@as(sodium.SecretKey, @splat(42)));
    const own = sodium.public_key(&secured.client_secret);
    const security: *Security = try .init_curve(.{}, &secured.client_secret, &own, &other);
    pair.client.slot(pair.connecting).socket.secure(security);
    try pair.connect();
    try pair.client.expect_ended(pair.connecting, .hello_refused);
    const failed = try pair.server.next_event(pair.bound, .handshake_failed_protocol);
    try testing.expectEqual(.cryptographic, failed.reason);
    try pair.world.run(60_000);
    // It may be given the right one, and at the interval of 10 ms it would be thousands.
    const attempts = pair.server.record(pair.bound).handshakes_failed;
    try testing.expect(attempts > 10 and attempts < 600);
    try secured.secure(pair.client, pair.connecting, .curve, false);
    try pair.world.run(2000);
    try pair.client.send(pair.connecting, &.{"at last"});
    try pair.world.settle();
    try pair.server.expect(pair.bound, &.{"at last"});
}

test "a verdict that comes late, twice or for another connection lets somebody in" {
    for (asking) |kind| {
        var target: Target = undefined;
        try target.init(kind);
        defer target.deinit();
        const context = &target.owner.context;
        target.owner.verdict = null;
        var gone: Suspect = try .init(&target);
        defer gone.deinit();
        var there: Suspect = try .init(&target);
        defer there.deinit();
        const asked = [2]@TypeOf(target.owner.asked.items[0]){
            target.owner.asked.items[0],
            target.owner.asked.items[1],
        };
        gone.hand.mock.peer.reset();
        try target.pair.world.run(600);
        // Of both the deadline has passed, too.
        for (asked) |it| {
            try testing.expectEqual(null, context.authentication(it.handle, it.b));
            try testing.expect(!context.authenticated(it.handle, it.b, .allowed));
        }
        try target.settle();
        try testing.expect(there.hand.mock.peer.ended());
        try there.hand.mock.expect_nothing();
        try target.expect_good_works();

        target.owner.asked.clearRetainingCapacity();
        var next: Suspect = try .init(&target);
        defer next.deinit();
        const event = target.owner.asked.items[0];
        for (asked) |it| try testing.expect(!context.authenticated(it.handle, it.b, .allowed));
        const none = [_][2]u32{
            .{ event.handle, event.b +% 1 }, .{ event.handle, event.b -% 1 },
            .{ event.handle +% 1, event.b }, .{ 0, 0 },
            .{ target.pull, event.b },
        };
        for (none) |it| try testing.expect(!context.authenticated(it[0], it[1], .allowed));
        try target.settle();
        try next.hand.mock.expect_nothing();
        try testing.expect(context.authenticated(event.handle, event.b, .allowed));
        try testing.expect(!context.authenticated(event.handle, event.b, .denied));
        try target.settle();
        try next.go_on();
        try testing.expect(!context.authenticated(event.handle, event.b, .denied));
        try target.owner.expect(target.pull, &.{"let in"});
    }
}

test "a verdict that never comes holds a connection for ever" {
    for (asking) |kind| {
        var target: Target = undefined;
        try target.init(kind);
        defer target.deinit();
        target.owner.verdict = null;
        var suspect: Suspect = try .init(&target);
        defer suspect.deinit();
        try target.pair.world.run(490);
        try testing.expect(!suspect.hand.mock.peer.ended());
        try target.pair.world.run(20);
        try testing.expect(suspect.hand.mock.peer.ended());
        try suspect.hand.mock.expect_nothing();
        try target.expect_failed(.handshake_timeout);
    }
}

test "what a peer sends while it waits is looked at too early, lost, or taken without end" {
    for (asking) |kind| for ([_]bool{ true, false }) |lets_in| {
        errdefer std.debug.print("{t}, let in: {}\n", .{ kind, lets_in });
        var target: Target = undefined;
        try target.init(kind);
        defer target.deinit();
        target.options().handshake_interval_ms = 0;
        target.owner.verdict = null;
        var suspect: Suspect = try .init(&target);
        defer suspect.deinit();
        const mock = &suspect.hand.mock;
        const event = target.owner.asked.items[0];
        const live_bytes = target.owner.live_bytes();
        // All that comes next in an honest handshake, and a message.
        switch (kind) {
            .asked => mock.send("\x00\x06let in"),
            .plain => {
                try mock.send_frame(4, "\x08INITIATE" ++ comptime type_is("PUSH"));
                mock.send("\x00\x06let in");
            },
            // Whose keys only READY tells: it is nonsense, and ends the connection later.
            else => mock.send("\x00\x06let in"),
        }
        const noise: [1000]u8 = @splat(0x80);
        if (!lets_in) for (0..1000) |_| {
            mock.send(&noise);
            try target.settle();
        };
        try target.pair.world.run(1000);
        try testing.expect(!mock.peer.ended());
        try testing.expect(target.owner.live_bytes() < live_bytes + 16 * 1024);
        try target.owner.expect_none(target.pull);
        const verdict: Verdict = if (lets_in) .allowed else .denied;
        try testing.expect(target.owner.context.authenticated(event.handle, event.b, verdict));
        try target.settle();
        if (!lets_in) {
            try testing.expect(mock.peer.ended());
            try target.expect_failed(.authentication_denied);
            continue;
        }
        if (kind == .curve_asked) {
            try testing.expect(mock.peer.ended());
            try target.owner.expect_ended(target.pull, .message_not_secured);
        } else try target.owner.expect(target.pull, &.{"let in"});
        try target.expect_good_works();
    };
}

test "a flood of HELLOs holds up those who have come further: nobody would get in meanwhile" {
    var target: Target = undefined;
    try target.init(.curve);
    defer target.deinit();
    target.options().handshake_interval_ms = 0;
    var further = try target.hand();
    defer further.deinit();
    try further.say_hello();
    const initiate = try further.make_initiate(comptime type_is("PUSH"));
    var flood: [200]Hand = undefined;
    for (&flood) |*it| {
        it.* = try target.hand();
        it.mock.send(&greetings.encode(.curve));
    }
    defer for (&flood) |*it| it.deinit();
    // They are there, and have said nothing.
    try target.settle();
    for (&flood) |*it| {
        var hello: [curve.hello_bytes]u8 = undefined;
        it.client.hello(&hello);
        try it.mock.send_frame(frame.flag_command, &hello);
    }
    try further.mock.send_frame(frame.flag_command, initiate);
    try target.pair.client.send(target.pair.connecting, &.{"good"});
    target.pair.client.context.flush();
    _ = target.pair.world.network.advance(target.pair.world.network.now_ns + 1_000_000);
    // In one turn some of them, and everybody else.
    try testing.expect(try target.owner.turn());
    try target.owner.expect(target.pull, &.{"good"});
    try further.expect_ready();
    var welcomes: u32 = 0;
    for (&flood) |*it| {
        try it.mock.pump();
        welcomes += @intFromBool(it.mock.received.items.len > greetings.size);
    }
    try testing.expectEqual(constants.strangers_per_turn, welcomes);
    try target.settle();
    for (&flood) |*it| {
        try it.mock.pump();
        const said = greetings.size + frame.header_size_short + curve.welcome_bytes;
        try testing.expectEqual(said, it.mock.received.items.len);
    }
    try target.expect_good_works();
}

test "more HELLOs than there may be handshakes: those who wait for our answer stay, memory too" {
    var target: Target = undefined;
    try target.init(.curve);
    defer target.deinit();
    target.options().handshake_interval_ms = 0;
    target.options().handshakes_max = 40;
    var further = try target.hand();
    defer further.deinit();
    // Older than all others, and through as soon as it is let.
    try further.say_hello();
    const live_bytes = target.owner.live_bytes();
    var flood: [300]Hand = undefined;
    for (&flood, 0..) |*it, number| {
        it.* = try target.hand();
        it.mock.send(&greetings.encode(.curve));
        var hello: [curve.hello_bytes]u8 = undefined;
        it.client.hello(&hello);
        try it.mock.send_frame(frame.flag_command, &hello);
        if (number != 30) continue;
        try target.settle();
        try further.initiate(comptime type_is("PUSH"));
        try further.expect_ready();
    }
    defer for (&flood) |*it| it.deinit();
    _ = try target.owner.turn();
    try testing.expect(target.owner.slot(target.pull).handshakes.count <= 40);
    try target.settle();
    try testing.expect(target.owner.live_bytes() < live_bytes + 42 * 2048);
    // Of the last ones, those that were answered are still there.
    var there: u32 = 0;
    for (&flood) |*it| {
        try it.mock.pump();
        if (it.mock.peer.ended()) continue;
        const said = greetings.size + frame.header_size_short + curve.welcome_bytes;
        try testing.expectEqual(said, it.mock.received.items.len);
        there += 1;
    }
    try testing.expect(there >= constants.strangers_per_turn and there <= 40);
    try target.expect_good_works();
}

test "who asks in a packet that is full to the brim is read on before the verdict" {
    for ([_]Kind{ .asked, .plain }) |kind| {
        var target: Target = undefined;
        try target.init(kind);
        defer target.deinit();
        target.owner.verdict = null;
        var mock = try target.dial();
        defer mock.deinit();
        const first = if (kind == .asked)
            comptime worlds.ready("PUSH")
        else
            "\x04\x10\x05HELLO\x03bob\x05right" ++
                "\x04\x1d\x08INITIATE" ++ comptime type_is("PUSH");
        const bytes = try allocator.alloc(u8, 300_000);
        defer allocator.free(bytes);
        for (bytes, 0..) |*byte, at| byte.* = "\x00\x03abc"[at % 5];
        var all: std.ArrayList(u8) = .empty;
        defer all.deinit(allocator);
        try all.appendSlice(allocator, &kind.greeting());
        try all.appendSlice(allocator, first);
        try all.appendSlice(allocator, bytes);
        mock.send(all.items);
        target.options().receive_high_water_mark = 0;
        try target.pair.world.run(100);
        try testing.expectEqual(1, target.owner.asked.items.len);
        try target.owner.expect_none(target.pull);
        const event = target.owner.asked.items[0];
        try testing.expect(target.owner.context.authenticated(event.handle, event.b, .allowed));
        try target.settle();
        for (0..bytes.len / 5) |_| {
            try target.owner.expect(target.pull, &.{"abc"});
            if (target.owner.record(target.pull).connections < 2) return error.Ended;
            try target.settle();
        }
        try target.expect_good_works();
    }
}

// -- on the wire ---------------------------------------------------------------------------------

const Flip = struct {
    direction: Middle.Direction,
    at: usize,
    bit: u3,

    pub fn apply(flip: Flip, direction: Middle.Direction, begin: usize, bytes: []u8) usize {
        if (direction != flip.direction) return bytes.len;
        if (flip.at < begin or flip.at >= begin + bytes.len) return bytes.len;
        bytes[flip.at - begin] ^= @as(u8, 1) << flip.bit;
        return bytes.len;
    }

    /// Outside every box: of HELLO and INITIATE, of WELCOME and READY.
    fn is_of_header(flip: Flip) bool {
        const first = greetings.size;
        const sizes = if (flip.direction == .to_server)
            [2]usize{ curve.hello_bytes, frame.header_size_max }
        else
            [2]usize{ curve.welcome_bytes, frame.header_size_short };
        const second = first + frame.header_size_short + sizes[0];
        if (flip.at < first + frame.header_size_short) return true;
        return flip.at >= second and flip.at < second + sizes[1];
    }

    /// The 72 zeros of HELLO, and the top bit of C', which Curve25519 does not look at.
    fn is_idle(flip: Flip) bool {
        if (flip.direction == .to_client) return false;
        const hello = greetings.size + frame.header_size_short;
        if (flip.at >= hello + 8 and flip.at < hello + 80) return true;
        return flip.at == hello + 111 and flip.bit == 7;
    }
};

/// A client of ours with somebody on its wire. Returns the bytes of each direction.
fn say_through_middle(target: *Target, change: anytype) !struct { bytes: [2]usize, taken: u32 } {
    const client = target.pair.client;
    const push = try client.open(.push);
    try secured.secure(client, push, target.pair.kind, false);
    client.slot(push).socket.options.handshake_interval_ms = 500;
    var middle: Middle = try .between(&target.pair, push);
    defer middle.deinit();
    // What is only queued has not been said.
    try middle.run(change);
    const text: [40]u8 = @splat('t');
    for (0..10) |number| {
        try client.send(push, &.{ &.{@intCast(number)}, &text });
        try middle.run(change);
    }
    try target.pair.world.run(600);
    var taken: u32 = 0;
    while (try target.owner.take(target.pull)) |it| : (taken += 1) {
        var message = it;
        defer message.deinit();
        try testing.expectEqual(taken, message.parts.items[0][0]);
        try testing.expectEqualSlices(u8, &text, message.parts.items[1]);
    }
    const ended = middle.far.peer.ended() or middle.near.peer.ended();
    if (taken < 10) try testing.expect(ended);
    client.context.close(push, 0);
    try target.settle();
    try target.expect_good_works();
    return .{ .bytes = middle.passed, .taken = taken };
}

test "one bit that is changed on the wire of CURVE is taken, or disturbs somebody else" {
    var target: Target = undefined;
    try target.init(.curve);
    var honest = try say_through_middle(&target, Middle.Honest{});
    target.deinit();
    try testing.expectEqual(10, honest.taken);
    // Handshake and the first two messages.
    honest.bytes[0] -= 8 * 2 * curve.Cipher.sealed_bytes(21) + 8 * 19;
    var flips: u32 = 0;
    for ([_]Middle.Direction{ .to_server, .to_client }) |direction| {
        for (greetings.size..honest.bytes[@intFromEnum(direction)]) |at| {
            if (flips % 40 == 0) try target.init(.curve);
            for (0..8) |bit| {
                const flip: Flip = .{ .direction = direction, .at = at, .bit = @intCast(bit) };
                if (bit != at % 8 and !flip.is_of_header()) continue;
                errdefer std.debug.print("{t}, bit {d} of {d}\n", .{ direction, bit, at });
                const result = try say_through_middle(&target, flip);
                if (flip.is_idle()) {
                    try testing.expectEqual(10, result.taken);
                } else try testing.expect(result.taken < 2);
            }
            flips += 1;
            if (flips % 40 == 0) target.deinit();
        }
    }
    if (flips % 40 > 0) target.deinit();
    try testing.expect(flips > 700);
}

/// What the one on the wire does with the frames of the traffic.
const Order = struct {
    frames: []const u8,
    /// So many messages of them arrive.
    taken: u32,
    reason: Reason = .none,
};

test "traffic that is recorded, doubled or put in another order is delivered (CVE-2014-7203)" {
    var target: Target = undefined;
    try target.init(.curve);
    defer target.deinit();
    const orders = [_]Order{
        .{ .frames = "0123", .taken = 4 },
        // TCP loses nothing: a gap is somebody's work, and no harm. libzmq takes it, too.
        .{ .frames = "013", .taken = 3 },
        .{ .frames = "3", .taken = 1 },
        .{ .frames = "00", .taken = 1, .reason = .message_replayed },
        .{ .frames = "010", .taken = 2, .reason = .message_replayed },
        .{ .frames = "0132", .taken = 3, .reason = .message_replayed },
        .{ .frames = "10", .taken = 1, .reason = .message_replayed },
        .{ .frames = "01233", .taken = 4, .reason = .message_replayed },
    };
    for (orders) |order| {
        errdefer std.debug.print("{s}\n", .{order.frames});
        var hand = try target.hand();
        defer hand.deinit();
        try hand.handshake(comptime type_is("PUSH"));
        var frames: [4][curve.Cipher.sealed_bytes(5)]u8 = undefined;
        for (&frames, 0..) |*it, number| {
            const body = [_]u8{ '0' + @as(u8, @intCast(number)), 'b', 'o', 'd', 'y' };
            @memcpy(it, try hand.seal(0, &body));
        }
        for (order.frames) |number| hand.mock.send(&frames[number - '0']);
        try target.settle();
        for (order.frames[0..order.taken]) |number| {
            try target.owner.expect(target.pull, &.{&.{ number, 'b', 'o', 'd', 'y' }});
        }
        try target.owner.expect_none(target.pull);
        try testing.expectEqual(order.reason != .none, hand.mock.peer.ended());
        if (order.reason != .none) try target.owner.expect_ended(target.pull, order.reason);
        try target.expect_good_works();
    }
}

test "the number of a message goes past 2^64-1 and begins anew: old traffic could be played" {
    var target: Target = undefined;
    try target.init(.curve);
    defer target.deinit();
    for ([_]u64{ 0, 1, 2, 3, std.math.maxInt(u64) }) |next| {
        var hand = try target.hand();
        defer hand.deinit();
        try hand.handshake(comptime type_is("PUSH"));
        hand.cipher.sent = std.math.maxInt(u64) - 1;
        try hand.send(0, "the last");
        hand.cipher.sent = next -% 1;
        if (next == 0) hand.cipher.sent = 0;
        const bytes = try hand.seal(0, "one more");
        hand.mock.send(bytes);
        try target.settle();
        try target.owner.expect(target.pull, &.{"the last"});
        try target.owner.expect_ended(target.pull, .message_replayed);
        try target.expect_good_works();
    }
}

test "traffic of another connection, or of the other direction, opens here" {
    var target: Target = undefined;
    try target.init(.curve);
    defer target.deinit();
    var first = try target.hand();
    defer first.deinit();
    try first.handshake(comptime type_is("PUSH"));
    var second = try target.hand();
    defer second.deinit();
    try second.handshake(comptime type_is("PUSH"));
    second.mock.send(try first.seal(0, "not yours"));
    try target.settle();
    try target.owner.expect_ended(target.pull, .message_forged);
    // Its own words come back, with the server's prefix and the client's key.
    std.mem.swap(@TypeOf(first.cipher.sending), &first.cipher.sending, &first.cipher.receiving);
    try first.send(0, "reflected");
    try target.settle();
    try target.owner.expect_ended(target.pull, .message_forged);
    try target.expect_good_works();
}

test "an INITIATE that was recorded, or comes on another connection, lets somebody in again" {
    var target: Target = undefined;
    try target.init(.curve);
    defer target.deinit();
    var honest = try target.hand();
    defer honest.deinit();
    const before = honest.client;
    try honest.say_hello();
    const initiate = try allocator.dupe(u8, try honest.make_initiate(comptime type_is("PUSH")));
    defer allocator.free(initiate);
    for ([_]bool{ false, true }) |behind_hello| {
        var thief = try target.hand();
        defer thief.deinit();
        if (behind_hello) {
            // The same HELLO, too.
            thief.client = before;
            try thief.say_hello();
        } else thief.mock.send(&greetings.encode(.curve));
        try thief.mock.send_frame(frame.flag_command, initiate);
        try target.settle();
        try testing.expect(thief.mock.peer.ended());
        const reason: Reason = if (behind_hello) .cryptographic else .unexpected_command;
        try target.expect_failed(reason);
    }
    try honest.mock.send_frame(frame.flag_command, initiate);
    try target.settle();
    try honest.expect_ready();
    try honest.send(0, "in");
    try target.settle();
    try target.owner.expect(target.pull, &.{"in"});
}

test "plain traffic after a CURVE handshake is delivered, or obeyed" {
    var target: Target = undefined;
    try target.init(.curve);
    defer target.deinit();
    const large = "\x02\x00\x00\x00\x00\x00\x01\x00\x00" ++ "x" ** (64 * 1024);
    const cases = [_]struct { []const u8, Reason }{
        .{ "\x00\x05hello", .message_not_secured },
        .{ "\x01\x05hello\x00\x01x", .message_not_secured },
        .{ "\x00\x00", .message_not_secured },
        .{ "\x04\x07\x04PING\x00\x00", .message_not_secured },
        .{ "\x04\x0b\x09SUBSCRIBEA", .message_not_secured },
        .{ "\x04\x0a\x05ERROR\x03400", .message_not_secured },
        .{ "\x04\x06\x05READY", .message_not_secured },
        .{ "\x00\x07MESSAGE", .message_not_secured },
        .{ "\x00\x08\x07MESSAGE", .message_malformed },
        .{ "\x08\x05hello", .reserved_flags },
        .{ large, .message_not_secured },
    };
    for (cases) |case| try target.expect_dropped(case[0], case[1]);
    // A client waits for READY and gets a message: the server has proved nothing.
    var hand = try target.hand();
    defer hand.deinit();
    try hand.say_hello();
    hand.mock.send("\x00\x05hello");
    try target.settle();
    try testing.expect(hand.mock.peer.ended());
    try target.expect_failed(.unexpected_command);
}

test "flags outside the box of a MESSAGE count: whoever is on the wire would join two messages" {
    var target: Target = undefined;
    try target.init(.curve);
    defer target.deinit();
    const payload: [40_000]u8 = @splat('p');
    for ([_]usize{ 5, 300, payload.len }) |size| for ([_]u8{
        frame.flag_more,
        frame.flag_command,
        frame.flag_more | frame.flag_command,
    }) |flags| for ([_]bool{ false, true }) |in_pieces| {
        errdefer std.debug.print("{d} bytes, flags {d}, {}\n", .{ size, flags, in_pieces });
        var hand = try target.hand();
        defer hand.deinit();
        try hand.handshake(comptime type_is("PUSH"));
        const bytes = try hand.seal(0, payload[0..size]);
        bytes[0] |= flags;
        const first = if (in_pieces) 20 else bytes.len;
        hand.mock.send(bytes[0..first]);
        try target.settle();
        hand.mock.send(bytes[first..]);
        try target.settle();
        try testing.expect(hand.mock.peer.ended());
        try target.owner.expect_ended(target.pull, .message_not_secured);
        try testing.expectEqual(0, target.owner.buffers_held());
        try target.expect_good_works();
    };
}

test "a declared size is believed before the box has been opened: one header costs all memory" {
    var target: Target = undefined;
    try target.init(.curve);
    defer target.deinit();
    const enormous = [_]u64{
        (1 << 31) + 33,           (1 << 32) - 1,             1 << 32,       (1 << 32) + 1,
        (1 << 63) - 1,            1 << 63,                   (1 << 63) + 1, std.math.maxInt(u64),
        std.math.maxInt(u64) - 9, std.math.maxInt(u64) - 33,
    };
    for (enormous) |size| {
        var bytes: [40]u8 = @splat(0);
        _ = frame.encode(&bytes, 0, size);
        bytes[9..17].* = "\x07MESSAGE".*;
        try target.expect_dropped(&bytes, .frame_too_large);
    }
    // Nor is more of one message than there may be.
    target.options().whole_message_bytes_max = 100_000;
    var header: [9]u8 = undefined;
    _ = frame.encode(&header, 0, 100_001 + curve.message_extra);
    try target.expect_dropped(&header, .message_too_large);
    try testing.expectEqual(0, target.owner.buffer_requests);
    target.options().message_bytes_max = 1000;
    const payload: [1001]u8 = @splat('p');
    var hand = try target.hand();
    defer hand.deinit();
    try hand.handshake(comptime type_is("PUSH"));
    try hand.send(0, payload[0..1000]);
    try target.settle();
    try target.owner.expect(target.pull, &.{payload[0..1000]});
    try hand.send(0, &payload);
    try target.settle();
    try testing.expect(hand.mock.peer.ended());
    try target.owner.expect_ended(target.pull, .frame_too_large);
    try target.expect_good_works();
}

test "a PING that is longer than a message may be ends a link: both sides' heartbeats would" {
    var target: Target = undefined;
    try target.init(.curve);
    defer target.deinit();
    target.options().whole_message_bytes_max = 10;
    var hand = try target.hand();
    defer hand.deinit();
    try hand.handshake(comptime type_is("PUSH"));
    try hand.send(frame.flag_more, "whole or");
    try hand.send(frame.flag_command, "\x04PING\x00\x000123456789abcdef");
    try hand.send(0, "no");
    try target.settle();
    try hand.expect(frame.flag_command, "\x04PONG0123456789abcdef");
    try target.owner.expect(target.pull, &.{ "whole or", "no" });
    try hand.send(0, "more than ten");
    try target.settle();
    try target.owner.expect_ended(target.pull, .message_too_large);
}

// -- metadata ------------------------------------------------------------------------------------

/// Properties of so many bytes, whose last length is wrong by `lie`.
fn properties(buffer: []u8, size: usize, lie: i64) []u8 {
    const result = buffer[0..size];
    @memset(result, 'v');
    if (size < 6) return result;
    result[0..2].* = "\x01X".*;
    const value_bytes: i64 = @intCast(size - 6);
    const declared: u32 = @truncate(@as(u64, @bitCast(value_bytes + lie)));
    std.mem.writeInt(u32, result[2..6], declared, .big);
    return result;
}

test "metadata of 0 to 64 KiB with lying lengths inside PLAIN's and CURVE's INITIATE" {
    for ([_]Kind{ .plain, .curve }) |kind| {
        var target: Target = undefined;
        try target.init(kind);
        defer target.deinit();
        const buffer = try allocator.alloc(u8, 70_000);
        defer allocator.free(buffer);
        const fits = constants.arena_frame_bytes_max - frame.header_size_max -
            @as(usize, if (kind == .plain) 9 else curve.initiate_bytes_min);
        const around = [_]usize{ fits - 1, fits, fits + 1, 65_535, 65_536 };
        var size: usize = 0;
        var next: usize = 0;
        while (next < around.len) {
            for ([_]i64{ -1, 0, 1, 0x7fff_ffff }) |lie| {
                errdefer std.debug.print("{t}, {d} bytes, lie {d}\n", .{ kind, size, lie });
                const metadata = properties(buffer, size, lie);
                var hand = try target.hand();
                defer hand.deinit();
                if (kind == .plain) {
                    hand.mock.send(&kind.greeting());
                    hand.mock.send("\x04\x08\x05HELLO\x00\x00");
                    try target.settle();
                    const prefix = "\x08INITIATE";
                    try hand.buffer.resize(allocator, prefix.len + size);
                    hand.buffer.items[0..prefix.len].* = prefix.*;
                    @memcpy(hand.buffer.items[prefix.len..], metadata);
                } else {
                    try hand.say_hello();
                    _ = try hand.make_initiate(metadata);
                }
                try hand.mock.send_frame(frame.flag_command, hand.buffer.items);
                try target.settle();
                const taken = size == 0 or size >= 6 and lie == 0;
                if (size > fits) {
                    try target.expect_failed(.command_too_large);
                } else if (!taken) {
                    try target.expect_failed(.invalid_metadata);
                } else try testing.expect(!hand.mock.peer.ended());
                hand.mock.peer.reset();
                try target.settle();
            }
            size += if (size < 40) 1 else 4999;
            if (size > 28_000) {
                size = around[next];
                next += 1;
            }
        }
        try target.expect_good_works();
    }
}

test "a name that a ROUTER makes up, or too long a one, is taken from behind a mechanism" {
    const cases = [_]struct { []const u8, Reason }{
        .{ "\x08Identity\x00\x00\x00\x05\x00fake", .identity_reserved },
        .{ "\x08iDENTITY\x00\x00\x00\x01\x00", .identity_reserved },
        .{ "\x08Identity\x00\x00\x01\x00" ++ "i" ** 256, .identity_too_long },
        .{ "\x08Identity\x00\x00\x00\x01a\x08Identity\x00\x00\x00\x01b", .invalid_metadata },
        .{ "\x0bSocket-Type\x00\x00\x00\x04PULL", .socket_type_mismatch },
    };
    for (Kind.all) |kind| {
        var target: Target = undefined;
        try target.init(kind);
        defer target.deinit();
        for (cases) |case| {
            var hand = try target.hand();
            defer hand.deinit();
            switch (kind) {
                .asked => {
                    hand.mock.send(&kind.greeting());
                    try hand.mock.send_frame(4, try joined(&hand, "\x05READY", case[0]));
                },
                .plain => {
                    hand.mock.send(&kind.greeting());
                    hand.mock.send("\x04\x08\x05HELLO\x00\x00");
                    try hand.mock.send_frame(4, try joined(&hand, "\x08INITIATE", case[0]));
                },
                .curve, .curve_asked => {
                    try hand.say_hello();
                    try hand.initiate(case[0]);
                },
            }
            try target.settle();
            try testing.expect(hand.mock.peer.ended());
            try target.expect_failed(case[1]);
        }
    }
}

fn joined(hand: *Hand, name: []const u8, metadata: []const u8) ![]u8 {
    hand.buffer.clearRetainingCapacity();
    try hand.buffer.appendSlice(allocator, name);
    try hand.buffer.appendSlice(allocator, metadata);
    return hand.buffer.items;
}

/// A client of CURVE of ours, and a server made of bytes.
const Bait = struct {
    pair: Pair,
    server: secured.HandServer,

    fn init(bait: *Bait) !void {
        try bait.pair.init(.curve, .push, .pull, .{});
        errdefer bait.pair.deinit();
        const listener = bait.pair.world.network.listen(&place);
        defer listener.close();
        _ = try bait.pair.client.connect(bait.pair.connecting, place);
        bait.server = try .accept(&bait.pair.world, listener);
    }

    fn deinit(bait: *Bait) void {
        bait.server.deinit();
        bait.pair.deinit();
    }

    fn expect_ended(bait: *Bait, reason: Reason) !void {
        try bait.pair.world.settle();
        try testing.expect(bait.server.mock.peer.ended());
        try bait.pair.client.expect_ended(bait.pair.connecting, reason);
        try bait.pair.client.expect_none(bait.pair.connecting);
    }
};

test "metadata that lie inside a server's READY, or a name of zeros, are taken by a client" {
    const buffer = try allocator.alloc(u8, 70_000);
    defer allocator.free(buffer);
    const fits = constants.arena_frame_bytes_max - frame.header_size_max - curve.ready_bytes_min;
    const sizes = [_]usize{ 0, 1, 5, 6, 7, 30, 200, 260, 5000, fits - 1, fits, fits + 1, 65_536 };
    for (sizes) |size| for ([_]i64{ -1, 0, 1, 0x7fff_ffff }) |lie| {
        errdefer std.debug.print("{d} bytes, lie {d}\n", .{ size, lie });
        var bait: Bait = undefined;
        try bait.init();
        defer bait.deinit();
        try bait.server.handshake(properties(buffer, size, lie));
        if (size > fits) {
            try bait.expect_ended(.command_too_large);
        } else if (size > 0 and (size < 6 or lie != 0)) {
            try bait.expect_ended(.invalid_metadata);
        } else {
            bait.server.mock.send(try bait.server.seal(0, "in"));
            try bait.pair.world.settle();
            try bait.pair.client.expect(bait.pair.connecting, &.{"in"});
        }
    };
    var bait: Bait = undefined;
    try bait.init();
    defer bait.deinit();
    try bait.server.handshake("\x08Identity\x00\x00\x00\x02\x00x");
    try bait.expect_ended(.identity_reserved);
}

test "a server that does not have the key, or skips a step, gets messages of a client" {
    const Step = enum {
        no_welcome,
        other_key,
        early_message,
        ready_for_welcome,
        message_for_ready,
    };
    for (std.enums.values(Step)) |step| {
        errdefer std.debug.print("{t}\n", .{step});
        var bait: Bait = undefined;
        try bait.init();
        defer bait.deinit();
        const server = &bait.server;
        if (step == .other_key) {
            server.keys.secret = @splat(99);
            try testing.expectError(error.Cryptographic, server.welcome());
            const nothing: [curve.welcome_bytes - 8]u8 = @splat(0);
            try server.mock.send_frame(4, "\x07WELCOME" ++ nothing);
            try bait.expect_ended(.cryptographic);
            continue;
        }
        const welcome = try server.welcome();
        switch (step) {
            .no_welcome => try server.mock.send_frame(4, "\x07WELCOME"),
            .ready_for_welcome => try server.mock.send_frame(4, "\x05READY" ++ "x" ** 40),
            .early_message => server.mock.send("\x00\x02hi"),
            else => {
                try server.mock.send_frame(4, &welcome);
                _ = try server.ready("");
                server.mock.send(try server.seal(0, "not ready"));
            },
        }
        try bait.expect_ended(switch (step) {
            .no_welcome => .malformed_welcome,
            else => .unexpected_command,
        });
    }
}

test "a bit that is changed in what a server sends is taken by a client" {
    const size = curve.Cipher.sealed_bytes(30);
    for (0..size) |at| {
        var bait: Bait = undefined;
        try bait.init();
        defer bait.deinit();
        try bait.server.handshake(comptime type_is("PUSH"));
        const bytes = try bait.server.seal(0, &@as([30]u8, @splat('s')));
        bytes[at] ^= @as(u8, 1) << @truncate(at);
        bait.server.mock.send(bytes);
        // Where the frame has become longer.
        for (0..20) |_| {
            bait.server.mock.send(try bait.server.seal(0, "behind it"));
        }
        try bait.pair.world.settle();
        try testing.expect(bait.server.mock.peer.ended());
        try bait.pair.client.expect_none(bait.pair.connecting);
    }
}

// -- roles ---------------------------------------------------------------------------------------

test "two servers, or two clients, of one mechanism wait for each other for ever" {
    for ([_]Kind{ .plain, .curve }) |kind| for ([_]bool{ true, false }) |servers| {
        errdefer std.debug.print("{t}, servers: {}\n", .{ kind, servers });
        var pair: Pair = undefined;
        try pair.init(kind, .pull, .push, .{});
        defer pair.deinit();
        try secured.secure(pair.server, pair.bound, kind, servers);
        try secured.secure(pair.client, pair.connecting, kind, servers);
        const slots = [_]*worlds.Slot{
            pair.server.slot(pair.bound),
            pair.client.slot(pair.connecting),
        };
        for (slots) |it| {
            it.socket.options.handshake_interval_ms = 300;
        }
        try pair.connect();
        try pair.world.run(310);
        const reason: Reason = if (servers) .handshake_timeout else .unexpected_command;
        const failed = try pair.server.next_event(pair.bound, .of_handshake(reason));
        try testing.expectEqual(reason, failed.reason);
        try testing.expectEqual(0, pair.server.record(pair.bound).connections);
        _ = try pair.client.next_event(pair.connecting, .disconnected);
    };
}

// -- memory that fails ---------------------------------------------------------------------------

const Side = enum { server, client };

/// False: the failure was never reached.
fn survives(kind: Kind, side: Side, after: u64) !bool {
    var pair: Pair = undefined;
    try pair.init(kind, .pair, .pair, .{ .stream_bytes_max = 30_000 });
    defer pair.deinit();
    const owner: *Owner = if (side == .server) pair.server else pair.client;
    const slabs = &owner.context.resources.slabs;
    slabs.fail_after = after;
    const endpoint = pair.connect();
    if (endpoint == error.OutOfMemory) try pair.connect() else try endpoint;
    const large = try allocator.alloc(u8, 120_000);
    defer allocator.free(large);
    @memset(large, 'l');
    for ([_]usize{ 10, 3000, 50_000, large.len }) |size| {
        try try_to_send(pair.client, pair.connecting, large[0..size]);
        try try_to_send(pair.server, pair.bound, large[0..size]);
        try pair.world.run(30);
        const owners = [_]*Owner{ pair.server, pair.client };
        for (owners, [_]u32{ pair.bound, pair.connecting }) |it, socket| {
            while (try it.take(socket)) |taken| {
                var message = taken;
                message.deinit();
            }
        }
    }
    const reached = slabs.fail_after == null;
    slabs.fail_after = null;
    try pair.world.run(300);
    while (try pair.server.take(pair.bound)) |taken| {
        var message = taken;
        message.deinit();
    }
    try pair.client.send(pair.connecting, &.{"works"});
    try pair.world.run(50);
    try pair.server.expect(pair.bound, &.{"works"});
    try testing.expect(pair.server.record(pair.bound).connections == 1);
    return reached;
}

fn try_to_send(owner: *Owner, socket: u32, payload: []const u8) !void {
    owner.send(socket, &.{ "head", payload }) catch |failure| switch (failure) {
        error.WouldBlock, error.OutOfMemory => {},
        else => return failure,
    };
    owner.context.flush();
}

test "no memory at any moment of a secured link: it ends, leaks nothing, and the next one works" {
    for ([_]Kind{ .plain, .curve_asked }) |kind| for (std.enums.values(Side)) |side| {
        var after: u64 = 0;
        errdefer std.debug.print("{t}, {t}, after {d}\n", .{ kind, side, after });
        while (try survives(kind, side, after)) after += 1;
        try testing.expect(after > 15);
    };
}
