//! What a peer can do to us with bytes alone: every case ends that connection, with a recorded
//! reason, and nothing else.

const std = @import("std");
const testing = std.testing;

const constants = @import("../constants.zig");
const frame = @import("../zmtp/frame.zig");
const Reason = @import("../core/monitor.zig").Reason;
const worlds = @import("world.zig");
const Mock = worlds.Mock;
const World = worlds.World;
const greeting = worlds.greeting;
const ready = worlds.ready;

const allocator = testing.allocator;

/// A PULL that is bound, and a well-behaved PUSH that is connected to it: it must not notice.
const Target = struct {
    world: World,
    owner: *worlds.Owner,
    pull: u32,
    address: @import("../io/address.zig").Address,
    good: Mock,

    fn init(target: *Target) !void {
        target.world.init(1, .{});
        errdefer target.world.deinit();
        target.owner = try target.world.add();
        target.pull = try target.owner.open(.pull);
        target.address = try target.owner.bind(target.pull);
        target.good = try .dial(&target.world, target.address);
        try target.good.handshake(&target.world, "PUSH");
        _ = try target.owner.next_event(target.pull, .handshake_succeeded);
    }

    fn deinit(target: *Target) void {
        target.good.deinit();
        target.world.deinit();
    }

    fn dial(target: *Target) !Mock {
        return .dial(&target.world, target.address);
    }

    fn expect_good_works(target: *Target) !void {
        try target.good.send_message(&.{ "still", "here" });
        try target.world.settle();
        try target.owner.expect(target.pull, &.{ "still", "here" });
        try target.owner.expect_none(target.pull);
        try testing.expect(!target.good.peer.ended());
    }

    /// These first bytes end a connection for this reason.
    fn expect_refused(target: *Target, bytes: []const u8, reason: Reason) !void {
        var mock = try target.dial();
        defer mock.deinit();
        mock.send(bytes);
        try target.world.settle();
        try testing.expect(mock.peer.ended());
        const failed = try target.owner.next_event(target.pull, .handshake_failed_protocol);
        try testing.expectEqual(reason, failed.reason);
        try target.owner.expect_ended(target.pull, reason);
        try target.expect_good_works();
    }

    /// These bytes after the handshake end a connection for this reason.
    fn expect_dropped(target: *Target, bytes: []const u8, reason: Reason) !void {
        var mock = try target.dial();
        defer mock.deinit();
        try mock.handshake(&target.world, "PUSH");
        const live_bytes = target.owner.live_bytes();
        mock.send(bytes);
        try target.world.settle();
        try testing.expect(mock.peer.ended());
        try target.owner.expect_ended(target.pull, reason);
        try testing.expect(target.owner.live_bytes() <= live_bytes);
        try target.expect_good_works();
    }
};

test "what is not ZMTP ends its own connection with a reason: one stray client stops a server" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    const zeros: [200]u8 = @splat(0);
    const ones: [200]u8 = @splat(0xff);
    try target.expect_refused("GET / HTTP/1.1\r\nHost: a\r\n\r\n", .not_zmtp);
    try target.expect_refused("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", .not_zmtp);
    try target.expect_refused("\r\nhelp\r\n", .not_zmtp);
    try target.expect_refused(&zeros, .not_zmtp);
    // The padding of 0xff is fine, a major version of 255 speaks 3.1: its mechanism is nonsense.
    try target.expect_refused(&ones, .mechanism_mismatch);
    // ZMTP 1.0: length and flags of an anonymous identity. 2.0 and 1.0 by version.
    try target.expect_refused("\x01\x00", .not_zmtp);
    try target.expect_refused(greeting[0..10] ++ "\x01\x08", .version_too_old);
    try target.expect_refused(greeting[0..10] ++ "\x00\x08", .version_too_old);
    var curve = greeting;
    @memcpy(curve[12..17], "CURVE");
    try target.expect_refused(&curve, .mechanism_mismatch);
}

test "a handshake that lies ends its connection: a peer of the wrong type would be sent jobs" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    try target.expect_refused(greeting ++ comptime ready("PULL"), .socket_type_mismatch);
    try target.expect_refused(greeting ++ comptime ready("NONSENSE"), .socket_type_mismatch);
    try target.expect_refused(greeting ++ "\x00\x05hello", .unexpected_command);
    try target.expect_refused(greeting ++ "\x04\x06\x05HELLO", .unexpected_command);
    try target.expect_refused(greeting ++ "\x04\x08\x05READY\x0bS", .invalid_metadata);
    try target.expect_refused(
        greeting ++ "\x04\x16\x05READY\x0bSocket-Type\xff\xff\xff\xff",
        .invalid_metadata,
    );
    const declared = "\x06\x00\x00\x00\x00\x00\x01\x00\x00";
    try target.expect_refused(greeting ++ declared, .command_too_large);
    const enormous = "\x06\xff\xff\xff\xff\xff\xff\xff\xff";
    try target.expect_refused(greeting ++ enormous, .command_too_large);
}

test "a peer that refuses us with ERROR is reported as that: the user would look elsewhere" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    var mock = try target.dial();
    defer mock.deinit();
    mock.send(greeting ++ "\x04\x0a\x05ERROR\x03400");
    try target.world.settle();
    const failed = try target.owner.next_event(target.pull, .handshake_failed_auth);
    try testing.expectEqual(.peer_error, failed.reason);
    try target.owner.expect_ended(target.pull, .peer_error);
    try target.expect_good_works();
}

test "a silent or trickling connection is dropped at its deadline: it would be held for ever" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    target.owner.slot(target.pull).socket.options.handshake_interval_ms = 500;
    var silent: [20]Mock = undefined;
    for (&silent) |*mock| mock.* = try target.dial();
    defer for (&silent) |*mock| mock.deinit();
    var trickle = try target.dial();
    defer trickle.deinit();
    for (greeting[0..9]) |byte| {
        trickle.send(&.{byte});
        try target.world.run(50);
        try target.expect_good_works();
    }
    try target.world.run(40);
    for (&silent) |*mock| try testing.expect(!mock.peer.ended());
    try target.world.run(20);
    for (&silent) |*mock| try testing.expect(mock.peer.ended());
    try testing.expect(trickle.peer.ended());
    const failed = try target.owner.next_event(target.pull, .handshake_failed_other);
    try testing.expectEqual(.handshake_timeout, failed.reason);
    try testing.expectEqual(21, target.owner.record(target.pull).handshakes_failed);
    // The one that finished keeps its connection for as long as it likes.
    try target.world.run(100_000);
    try target.expect_good_works();
}

test "a declared size is never believed: one header would cost all memory" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    const sizes = [_]u64{
        (1 << 31),       (1 << 31) + 1, (1 << 32) - 1,        (1 << 32),
        (1 << 32) + 1,   (1 << 63) - 1, (1 << 63),            (1 << 63) + 1,
        (1 << 64) - 1,   (1 << 40),     (1 << 64) - (1 << 9), (1 << 64) - 9,
        (1 << 64) - 100,
    };
    for (sizes) |size| for ([_]u8{ 0, frame.flag_more, frame.flag_command, 0xf8 }) |flags| {
        var bytes: [32]u8 = @splat('x');
        _ = frame.encode(&bytes, flags & 7, size);
        bytes[0] |= flags;
        try target.expect_dropped(&bytes, .frame_too_large);
    };
    try testing.expectEqual(0, target.owner.buffer_requests);
}

test "the largest frame that is allowed costs nothing until it comes: 2^31-1 bytes declared" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    target.owner.hold_buffers = true;
    var mock = try target.dial();
    defer mock.deinit();
    try mock.handshake(&target.world, "PUSH");
    const live_bytes = target.owner.live_bytes();
    mock.send("\x02\x00\x00\x00\x00\x7f\xff\xff\xff");
    try target.world.settle();
    try testing.expectEqual(1, target.owner.buffer_requests);
    try testing.expectEqual(constants.large_step_bytes, target.owner.buffer_bytes_max);
    try testing.expect(target.owner.live_bytes() <= live_bytes);
    try testing.expect(!mock.peer.ended());
    try target.expect_good_works();
}

test "message_bytes_max holds to the byte: a limit that leaks is no limit" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    target.owner.slot(target.pull).socket.options.message_bytes_max = 1000;
    const payload: [1001]u8 = @splat('p');
    var mock = try target.dial();
    defer mock.deinit();
    try mock.handshake(&target.world, "PUSH");
    try mock.send_message(&.{payload[0..1000]});
    try target.world.settle();
    try target.owner.expect(target.pull, &.{payload[0..1000]});
    try mock.send_message(&.{&payload});
    try target.world.settle();
    try testing.expect(mock.peer.ended());
    try target.owner.expect_ended(target.pull, .frame_too_large);
    try target.expect_good_works();
}

test "a million tiny parts of one message hit a limit: memory would grow without a message" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    var mock = try target.dial();
    defer mock.deinit();
    try mock.handshake(&target.world, "PUSH");
    const live_bytes = target.owner.live_bytes();
    var most: u64 = 0;
    const frames = "\x01\x00" ** 1000;
    for (0..1000) |_| {
        if (mock.peer.ended()) break;
        mock.send(frames);
        try target.world.settle();
        most = @max(most, target.owner.live_bytes());
    }
    try testing.expect(mock.peer.ended());
    try target.owner.expect_ended(target.pull, .message_too_many_parts);
    try testing.expect(most < live_bytes + 4 * constants.message_parts_max_default);
    try testing.expect(target.owner.live_bytes() <= live_bytes);
    try target.expect_good_works();
}

test "as many parts as allowed arrive: the limit must not be one too small" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    const count = constants.message_parts_max_default;
    for (0..count - 1) |_| target.good.send("\x01\x00");
    target.good.send("\x00\x00");
    try target.world.settle();
    var message = (try target.owner.take(target.pull)).?;
    defer message.deinit();
    try testing.expectEqual(count, message.parts.items.len);
    try target.expect_good_works();
}

test "a PING is answered with its context: a peer with heartbeats would hang up" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    var mock = try target.dial();
    defer mock.deinit();
    try mock.handshake(&target.world, "PUSH");
    try mock.send_frame(4, "\x04PING\x00\x0acontext");
    try mock.send_frame(4, "\x04PING\x00\x00");
    try mock.send_frame(4, "\x04PING\x00\x000123456789abcdefTOO MUCH");
    // Inside a message and behind one: commands have no place in it and do not disturb it.
    try mock.send_frame(1, "first");
    try mock.send_frame(4, "\x04PING\x00\x00x");
    try mock.send_frame(0, "second");
    try target.world.settle();
    try mock.pump();
    try mock.expect_frame(4, "\x04PONGcontext");
    try mock.expect_frame(4, "\x04PONG");
    try mock.expect_frame(4, "\x04PONG0123456789abcdef");
    try mock.expect_frame(4, "\x04PONGx");
    try target.owner.expect(target.pull, &.{ "first", "second" });
    try target.expect_dropped("\x04\x05\x04PING", .malformed_command);
}

test "a violation in one packet with the READY ends the connection, and nothing else" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    target.owner.slot(target.pull).socket.options.heartbeat_interval_ms = 100;
    var mock = try target.dial();
    defer mock.deinit();
    mock.send(worlds.greeting ++ comptime worlds.ready("PUSH") ++ "\x04\x01\xff");
    try target.world.settle();
    try target.owner.expect_ended(target.pull, .malformed_command);
    try target.expect_good_works();
}

test "commands we do not know, and late READY and ERROR, are ignored: libzmq ignores them" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    var mock = try target.dial();
    defer mock.deinit();
    try mock.handshake(&target.world, "PUSH");
    try mock.send_frame(4, "\x07UNKNOWNwith data");
    try mock.send_frame(4, "\x05READYgarbage");
    try mock.send_frame(4, "\x05ERROR\xff");
    try mock.send_frame(4, "\x09SUBSCRIBEtopic");
    try mock.send_frame(4, "\x04PONGlate");
    try mock.send_frame(0, "ok");
    try target.world.settle();
    try target.owner.expect(target.pull, &.{"ok"});
    try testing.expect(!mock.peer.ended());
    try mock.expect_nothing();
}

test "a command without a name ends the connection: what follows is not what the peer meant" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    // The second one is how libzmq 4.3.4 begins a SUBSCRIBE to 246 bytes.
    for ([_][]const u8{ "\x04\x01\xff", "\x04\x00\x00\x00", "\x04\x03\x05ab" }) |bytes| {
        try target.expect_dropped(bytes, .malformed_command);
    }
}

test "reserved flag bits end the connection: whatever sets them does not speak our protocol" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    for ([_]u8{ 0x08, 0x10, 0x20, 0x40, 0x80, 0xf8, 0x0c, 0x0d }) |flags| {
        try target.expect_dropped(&.{ flags, 2, 'n', 'o' }, .reserved_flags);
    }
}

test "a peer that pings and never reads does not grow our queue: it would cost all memory" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    var mock = try target.dial();
    defer mock.deinit();
    try mock.handshake(&target.world, "PUSH");
    mock.peer.limit_inbox(0);
    const live_bytes = target.owner.live_bytes();
    const pings = "\x04\x17\x04PING\x00\x000123456789abcdef" ** 1000;
    for (0..100) |_| {
        mock.send(pings);
        try target.world.settle();
    }
    try testing.expect(target.owner.live_bytes() < live_bytes + 16 * 1024);
    mock.peer.limit_inbox(64 * 1024);
    try mock.pump();
    try target.world.settle();
    try mock.pump();
    try mock.expect_frame(4, "\x04PONG0123456789abcdef");
    try target.expect_good_works();
}

test "random bytes after a handshake end one connection at most: fuzz with a seed" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    const prng = &target.world.network.prng;
    for (0..300) |_| {
        var mock = try target.dial();
        defer mock.deinit();
        try mock.handshake(&target.world, "PUSH");
        var bytes: [512]u8 = undefined;
        prng.fill(&bytes);
        // Small flags and sizes get further than noise.
        if (prng.boolean()) for (&bytes) |*byte| {
            byte.* &= 0x0f;
        };
        mock.send(bytes[0..@intCast(prng.range(1, bytes.len))]);
        try target.world.settle();
        mock.peer.close();
        try target.world.settle();
        while (try target.owner.take(target.pull)) |message| {
            var it = message;
            it.deinit();
        }
        try target.expect_good_works();
    }
    try testing.expectEqual(0, target.owner.buffers_held());
}

test "what came before a violation waits for its reader: the next peer's bytes overwrote it" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    var mock = try target.dial();
    defer mock.deinit();
    try mock.handshake(&target.world, "PUSH");
    // In one piece: two messages, half of one, and a flag that does not exist.
    mock.send("\x00\x05first" ++ "\x01\x02se" ++ "\x00\x04cond" ++ "\x01\x04half" ++ "\x80\x00");
    try target.world.settle();
    try target.owner.expect_ended(target.pull, .reserved_flags);
    const other: [300]u8 = @splat(0x04);
    try target.good.send_message(&.{&other});
    try target.world.settle();
    try target.owner.expect(target.pull, &.{"first"});
    try target.owner.expect(target.pull, &.{&other});
    try target.owner.expect(target.pull, &.{ "se", "cond" });
    try target.expect_good_works();
}

test "a large command ends its connection in one piece, too: where the kernel cuts would decide" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    const command = "\x06\x00\x00\x00\x00\x00\x00\x80\x00\x04PONG";
    const whole = command ++ [_]u8{'x'} ** (32 * 1024 - 5) ++ "\x00\x01m";
    try target.expect_dropped(command, .malformed_command);
    try target.expect_dropped(whole, .malformed_command);
}

test "a PING between the parts of a message that is nearly too large is answered" {
    var target: Target = undefined;
    try target.init();
    defer target.deinit();
    target.owner.slot(target.pull).socket.options.whole_message_bytes_max = 10;
    var mock = try target.dial();
    defer mock.deinit();
    try mock.handshake(&target.world, "PUSH");
    mock.send("\x01\x08whole or" ++ "\x04\x07\x04PING\x00\x00" ++ "\x00\x02no");
    try target.world.settle();
    try mock.pump();
    try mock.expect_frame(frame.flag_command, "\x04PONG");
    try target.owner.expect(target.pull, &.{ "whole or", "no" });
    try testing.expect(!mock.peer.ended());
}

test "a half message behind a READY stays the peer's: ROUTER's own notice ended up inside it" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const router = try owner.open(.router);
    owner.slot(router).socket.options.router_notify = 3;
    const address = try owner.bind(router);
    var mock: Mock = try .dial(&world, address);
    defer mock.deinit();
    const named = "\x04\x2a\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER" ++
        "\x08Identity\x00\x00\x00\x01a";
    mock.send(greeting ++ named ++ "\x00\x01m" ++ "\x01\x05begin");
    try world.settle();
    try owner.expect(router, &.{ "a", "" });
    try owner.expect(router, &.{ "a", "m" });
    try owner.expect_none(router);
    mock.send("\x00\x03end");
    try world.settle();
    try owner.expect(router, &.{ "a", "begin", "end" });
    mock.peer.shutdown();
    try world.settle();
    try owner.expect(router, &.{ "a", "" });
}

/// Waves of peers, each on a network of its own: one remembers every stream that it ever had.
const Wave = struct {
    world: World,
    owner: *worlds.Owner,
    socket: u32,
    address: @import("../io/address.zig").Address,

    fn init(wave: *Wave, socket_type: @import("../socket/socket.zig").Type) !void {
        wave.world.init(1, .{ .latency_ns_max = 1 });
        errdefer wave.world.deinit();
        wave.owner = try wave.world.add();
        wave.socket = try wave.owner.open(socket_type);
        wave.address = try wave.owner.bind(wave.socket);
    }
};

test "half a message, then death, 100,000 times: each would leave its half behind" {
    const halves = [_][]const u8{
        "\x01\x04half",
        "\x01\x04half" ++ "\x01\x00" ++ "\x00\x05cut",
        "\x00\x05whole" ++ "\x01\x04half",
        "\x01\x04half" ++ "\x02\x00\x00\x00\x00\x00\x00\xff\xff" ++ "large",
        "\x01",
    };
    var whole: usize = 0;
    for (0..50) |_| {
        var wave: Wave = undefined;
        try wave.init(.pull);
        defer wave.world.deinit();
        var live_bytes: u64 = 0;
        for (0..2000) |number| {
            var mock: Mock = try .dial(&wave.world, wave.address);
            defer mock.deinit();
            mock.send(greeting ++ comptime ready("PUSH"));
            mock.send(halves[number % halves.len]);
            try wave.world.settle();
            if (number % 2 == 0) mock.peer.close() else mock.peer.reset();
            try wave.world.settle();
            // Halves are nobody's message.
            if (try wave.owner.take(wave.socket)) |message| {
                var it = message;
                defer it.deinit();
                try testing.expectEqualStrings("whole", it.parts.items[0]);
                whole += 1;
            }
            try wave.owner.expect_none(wave.socket);
            if (number == 10) live_bytes = wave.owner.live_bytes();
        }
        try testing.expectEqual(live_bytes, wave.owner.live_bytes());
        try testing.expectEqual(0, wave.owner.record(wave.socket).connections);
    }
    try testing.expect(whole > 10_000);
}

test "10,000 peers take over one name: each would leave its descriptor behind (libzmq 4407)" {
    const named = "\x04\x2a\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER" ++
        "\x08Identity\x00\x00\x00\x01a";
    for (0..5) |_| {
        var wave: Wave = undefined;
        try wave.init(.router);
        defer wave.world.deinit();
        wave.owner.slot(wave.socket).socket.options.router_handover = 1;
        var live_bytes: u64 = 0;
        var descriptors: u32 = 0;
        var before: ?worlds.Peer = null;
        for (0..2000) |number| {
            var mock: Mock = try .dial(&wave.world, wave.address);
            defer mock.deinit();
            mock.send(greeting ++ named ++ "\x00\x02hi");
            try wave.world.settle();
            try wave.owner.expect(wave.socket, &.{ "a", "hi" });
            if (before) |peer| {
                try testing.expect(peer.ended());
                peer.close();
            }
            before = mock.peer;
            try wave.world.settle();
            if (number == 10) live_bytes = wave.owner.live_bytes();
            if (number == 10) descriptors = wave.owner.io.descriptors_open;
        }
        try testing.expectEqual(live_bytes, wave.owner.live_bytes());
        try testing.expectEqual(descriptors, wave.owner.io.descriptors_open);
        try testing.expectEqual(1, wave.owner.record(wave.socket).connections);
    }
}
