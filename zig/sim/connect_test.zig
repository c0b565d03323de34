//! Ways to a connection: through a SOCKS proxy whose answers come in any pieces, late or not at
//! all, from a source address; and limits that change while it lasts.

const std = @import("std");
const testing = std.testing;

const Address = @import("../io/address.zig").Address;
const monitor = @import("../core/monitor.zig");
const socks = @import("../net/socks.zig");
const worlds = @import("world.zig");
const Mock = worlds.Mock;
const Owner = worlds.Owner;
const Peer = worlds.Peer;
const World = worlds.World;

const allocator = testing.allocator;
const address: Address = .ipv4(.{ 127, 0, 0, 1 }, 1080);
const request = "\x05\x01\x00\x03\x08peer.lan\x15\xb3";
const granted = "\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38";

fn client(username: []const u8, password: []const u8) !socks.Client {
    return .{
        .target = try .init(.name, "peer.lan", 5555),
        .username = try .init(username),
        .password = try .init(password),
    };
}

/// A PUSH that connects through a proxy, and the proxy's listener.
const Setting = struct {
    world: World,
    owner: *Owner,
    push: u32,
    listener: Peer,

    fn init(setting: *Setting, seed: u64, options: worlds.Options) !void {
        setting.world.init(seed, options);
        setting.listener = setting.world.network.listen(&address);
        setting.owner = try setting.world.add();
        setting.push = try setting.owner.open(.push);
        setting.owner.slot(setting.push).socket.options.reconnect_interval_ms = 10;
    }

    fn deinit(setting: *Setting) void {
        setting.world.deinit();
    }

    fn connect(setting: *Setting, proxy: *const socks.Client) !void {
        _ = try setting.owner.context.connect(setting.push, &address, .{ .proxy = proxy });
    }

    fn accept(setting: *Setting) !Mock {
        try setting.world.run(40);
        return .{ .peer = setting.listener.accept() orelse return error.NoConnection };
    }

    /// The proxy got exactly this.
    fn expect(setting: *Setting, mock: *Mock, bytes: []const u8) !void {
        try setting.world.settle();
        try mock.pump();
        try testing.expectEqualStrings(bytes, mock.received.items);
        mock.received.clearRetainingCapacity();
    }

    fn send_bytes(setting: *Setting, mock: *Mock, bytes: []const u8) !void {
        for (bytes) |byte| {
            mock.send(&.{byte});
            try setting.world.settle();
        }
    }

    fn expect_failed(setting: *Setting, reason: monitor.Reason) !void {
        try setting.world.settle();
        const event = try setting.owner.next_event(setting.push, .connect_failed);
        try testing.expectEqual(reason, event.reason);
    }

    /// From the first question to a message: what follows a bad attempt.
    fn expect_good(setting: *Setting) !void {
        var mock = try setting.accept();
        defer mock.deinit();
        try setting.expect(&mock, "\x05\x01\x00");
        mock.send("\x05\x00");
        try setting.expect(&mock, request);
        mock.send(granted);
        try mock.handshake(&setting.world, "PULL");
        try setting.owner.send(setting.push, &.{"through"});
        try setting.world.settle();
        try mock.expect_message(&.{"through"});
        mock.peer.close();
        try setting.world.settle();
    }
};

test "a proxy may answer in pieces of any size: it would look like a broken one" {
    for (0..20) |seed| {
        var setting: Setting = undefined;
        try setting.init(seed, .shaky);
        defer setting.deinit();
        try setting.connect(&try client("user", ""));
        var mock = try setting.accept();
        defer mock.deinit();
        try setting.expect(&mock, "\x05\x01\x02");
        try setting.send_bytes(&mock, "\x05\x02");
        try setting.expect(&mock, "\x01\x04user\x00");
        try setting.send_bytes(&mock, "\x01\x00");
        try setting.expect(&mock, request);
        // The peer's first bytes come in one segment with the end of the answer.
        const end = granted ++ worlds.greeting;
        const cut = seed % granted.len;
        try setting.send_bytes(&mock, end[0..cut]);
        mock.send(end[cut..]);
        mock.send(worlds.ready("PULL"));
        try setting.world.settle();
        try mock.pump();
        try mock.expect_handshake();
        _ = try setting.owner.next_event(setting.push, .connected);
        _ = try setting.owner.next_event(setting.push, .handshake_succeeded);
        try setting.owner.send(setting.push, &.{ "a", "b" });
        try setting.world.settle();
        try mock.expect_message(&.{ "a", "b" });
    }
}

test "a proxy that leaves at any byte is tried again: one bad moment would be for ever" {
    const answers = [_][]const u8{ "\x05\x00", granted };
    for ([_]bool{ false, true }) |reset| {
        for (0..answers[0].len + answers[1].len) |cut| {
            var setting: Setting = undefined;
            try setting.init(cut, .{});
            defer setting.deinit();
            try setting.connect(&try client("", ""));
            {
                var mock = try setting.accept();
                defer mock.deinit();
                try setting.expect(&mock, "\x05\x01\x00");
                const first = @min(cut, answers[0].len);
                mock.send(answers[0][0..first]);
                try setting.world.settle();
                mock.send(answers[1][0 .. cut - first]);
                try setting.world.settle();
                if (reset) mock.peer.reset() else mock.peer.close();
                try setting.expect_failed(.proxy_closed);
            }
            try setting.expect_good();
        }
    }
}

test "each refusal of a proxy has its own reason, and the next attempt may be let through" {
    const Case = struct { []const u8, []const u8, monitor.Reason };
    for ([_]Case{
        .{ "HTTP/1.1 400 Bad Request", "", .proxy_malformed },
        .{ "\x05\xff", "", .proxy_method_refused },
        .{ "\x05\x00", "\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00", .proxy_not_allowed },
        .{ "\x05\x00", "\x05\x05", .proxy_connection_refused },
        .{ "\x05\x00", "\x05\x08", .proxy_address_unsupported },
        .{ "\x05\x00", "\x05\x63", .proxy_refused },
        .{ "\x05\x00", "\x05\x00\x00\x02", .proxy_malformed },
    }) |case| {
        var setting: Setting = undefined;
        try setting.init(1, .{});
        defer setting.deinit();
        try setting.connect(&try client("", ""));
        {
            var mock = try setting.accept();
            defer mock.deinit();
            mock.send(case[0]);
            try setting.world.settle();
            if (case[1].len > 0) mock.send(case[1]);
            try setting.expect_failed(case[2]);
            mock.peer.close();
        }
        try setting.expect_good();
        try testing.expectEqual(0, setting.owner.record(setting.push).handshakes_failed);
    }
}

test "a wrong password is told apart from a proxy that is broken" {
    var setting: Setting = undefined;
    try setting.init(1, .{});
    defer setting.deinit();
    try setting.connect(&try client("user", "wrong"));
    var mock = try setting.accept();
    defer mock.deinit();
    mock.send("\x05\x02");
    try setting.expect(&mock, "\x05\x01\x02\x01\x04user\x05wrong");
    mock.send("\x01\x01");
    try setting.expect_failed(.proxy_credentials_refused);
}

test "a proxy that says nothing is given up: by the connect timeout, else by the handshake's" {
    for ([_]struct { u32, u32 }{ .{ 200, 5000 }, .{ 0, 300 } }) |limits| {
        var setting: Setting = undefined;
        try setting.init(1, .{});
        defer setting.deinit();
        const options = setting.owner.slot(setting.push).socket.options;
        options.connect_timeout_ms = limits[0];
        options.handshake_interval_ms = limits[1];
        try setting.connect(&try client("", ""));
        var mock = try setting.accept();
        defer mock.deinit();
        const limit = if (limits[0] > 0) limits[0] else limits[1];
        try setting.world.run(limit - 60);
        try testing.expectError(error.NoSuchEvent, setting.owner.next_event(
            setting.push,
            .connect_failed,
        ));
        try setting.world.run(60);
        try setting.expect_failed(.proxy_timed_out);
        mock.peer.close();
        try setting.expect_good();
    }
}

test "close and disconnect wait for a slow proxy as long as linger says" {
    for ([_]bool{ false, true }) |disconnects| {
        var setting: Setting = undefined;
        try setting.init(1, .{});
        defer setting.deinit();
        const context = &setting.owner.context;
        const proxy = try client("", "");
        const endpoint = try context.connect(setting.push, &address, .{ .proxy = &proxy });
        try setting.owner.send(setting.push, &.{"late"});
        var mock = try setting.accept();
        defer mock.deinit();
        try setting.expect(&mock, "\x05\x01\x00");
        if (disconnects) {
            try testing.expect(context.disconnect(setting.push, endpoint, 1000));
        } else context.close(setting.push, 1000);
        try setting.world.run(300);
        mock.send("\x05\x00");
        try setting.expect(&mock, request);
        mock.send(granted);
        try mock.handshake(&setting.world, "PULL");
        try setting.world.settle();
        try mock.expect_message(&.{"late"});
        try testing.expect(mock.peer.ended());
        try testing.expectEqual(0, context.session_table.count());
    }
}

test "a socket may go at every step of its way through a proxy" {
    for (0..4) |step| {
        var setting: Setting = undefined;
        try setting.init(step, .{});
        defer setting.deinit();
        try setting.connect(&try client("", ""));
        var mock = try setting.accept();
        defer mock.deinit();
        if (step > 0) mock.send("\x05\x00");
        if (step > 1) try setting.expect(&mock, "\x05\x01\x00" ++ request);
        if (step > 2) mock.send(granted[0..7]);
        if (step > 2) try setting.world.settle();
        setting.owner.context.close(setting.push, 0);
        try setting.world.settle();
        try testing.expect(mock.peer.ended());
        try testing.expectEqual(0, setting.owner.context.timers.count);
    }
}

test "a proxy that is not there is tried until it is" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    owner.slot(push).socket.options.reconnect_interval_ms = 10;
    const proxy = try client("", "");
    _ = try owner.context.connect(push, &address, .{ .proxy = &proxy });
    _ = try owner.context.connect(push, null, .{ .proxy = &proxy });
    try world.run(100);
    try expect_unreachable(owner, push);
    while (owner.slot(push).socket.monitor.next()) |_| {}
    // The same for its name.
    try testing.expect(owner.context.resolved(owner.resolve.items[0], &.{}, &.{}));
    try expect_unreachable(owner, push);
    const listener = world.network.listen(&address);
    try world.run(100);
    try testing.expect(listener.accept() != null);
    // Asked for again at the next attempt: it may have moved.
    try testing.expect(owner.resolve.items.len > 1);
}

fn expect_unreachable(owner: *Owner, push: u32) !void {
    const event = try owner.next_event(push, .connect_failed);
    try testing.expectEqual(.proxy_unreachable, event.reason);
}

test "a kernel without memory at any step of the proxy costs an attempt, no more" {
    for (0..12) |step| {
        var setting: Setting = undefined;
        try setting.init(step, .{});
        defer setting.deinit();
        setting.world.network.submissions_left = step;
        try setting.connect(&try client("", ""));
        for (0..4) |_| {
            var mock = setting.accept() catch continue;
            defer mock.deinit();
            mock.send("\x05\x00");
            try setting.world.settle();
            mock.send(granted);
            try setting.world.settle();
            mock.peer.close();
            try setting.world.settle();
        }
        setting.world.network.submissions_left = null;
        try setting.expect_good();
    }
}

test "a connection comes from the address it was told to: a firewall would drop it" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const listener = world.network.listen(&address);
    const owner = try world.add();
    const push = try owner.open(.push);
    const source: Address = .ipv4(.{ 127, 0, 0, 2 }, 777);
    _ = try owner.context.connect(push, &address, .{ .source = source });
    try world.settle();
    const peer = listener.accept() orelse return error.NoConnection;
    try testing.expect(peer.endpoint.remote.equal(&source));
}

test "a queue that nobody empties does not stop the handshake of a reconnect" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const listener = world.network.listen(&address);
    const owner = try world.add();
    const pull = try owner.open(.pull);
    owner.slot(pull).socket.options.receive_high_water_mark = 2;
    owner.slot(pull).socket.options.reconnect_interval_ms = 10;
    _ = try owner.connect(pull, address);
    for (0..2) |round| {
        try world.run(40);
        var mock: Mock = .{ .peer = listener.accept() orelse return error.NoConnection };
        defer mock.deinit();
        try mock.handshake(&world, "PUSH");
        _ = try owner.next_event(pull, .handshake_succeeded);
        if (round == 1) break;
        for (0..3) |_| try mock.send_message(&.{"x"});
        try world.settle();
        const pipe = owner.slot(pull).socket.pipes.first().?;
        try testing.expect(pipe.receive_full);
        pipe.doom(.handed_over);
        try world.settle();
        try testing.expect(pipe.receive_full and mock.peer.ended());
    }
}

test "an endpoint that is not tried again takes no messages and keeps what it had received" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const listener = world.network.listen(&address);
    const owner = try world.add();
    const dealer = try owner.open(.dealer);
    owner.slot(dealer).socket.options.reconnect_interval_ms = -1;
    const endpoint = try owner.connect(dealer, address);
    try world.settle();
    var mock: Mock = .{ .peer = listener.accept().? };
    defer mock.deinit();
    try mock.handshake(&world, "DEALER");
    try mock.send_message(&.{"last"});
    try world.settle();
    mock.peer.close();
    try world.run(1000);
    try testing.expectEqual(null, owner.context.connections(owner.slot(dealer), endpoint));
    try testing.expectError(error.WouldBlock, owner.send(dealer, &.{"nobody"}));
    try owner.expect(dealer, &.{"last"});
    try world.settle();
    try testing.expectEqual(0, owner.context.session_table.count());
    // And it may be connected to anew.
    _ = try owner.connect(dealer, address);
    try owner.send(dealer, &.{"again"});
}

test "a raised high-water mark lets a waiting sender go on, a lowered one loses nothing" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const push = try owner.open(.push);
    const slot = owner.slot(push);
    slot.socket.options.send_high_water_mark = 2;
    _ = try owner.connect(push, address);
    for (0..2) |_| try owner.send(push, &.{"x"});
    try testing.expectError(error.WouldBlock, owner.send(push, &.{"x"}));
    slot.socket.want(.{ .writable = true });
    try testing.expect(!owner.context.has_events());
    slot.socket.options.send_high_water_mark = 5;
    owner.context.limits_changed(slot);
    try owner.take_events();
    try testing.expect(owner.ready.items.len == 1);
    for (0..3) |_| try owner.send(push, &.{"x"});
    try testing.expectError(error.WouldBlock, owner.send(push, &.{"x"}));
    slot.socket.options.send_high_water_mark = 1;
    owner.context.limits_changed(slot);
    try testing.expectError(error.WouldBlock, owner.send(push, &.{"x"}));
    slot.socket.options.send_high_water_mark = 0;
    owner.context.limits_changed(slot);
    for (0..100) |_| try owner.send(push, &.{"x"});
    const listener = world.network.listen(&address);
    try world.run(300);
    var mock: Mock = .{ .peer = listener.accept().? };
    defer mock.deinit();
    try mock.handshake(&world, "PULL");
    for (0..105) |_| try mock.expect_message(&.{"x"});
}

test "a raised limit of the receive queue lets a paused peer go on" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const owner = try world.add();
    const pull = try owner.open(.pull);
    const slot = owner.slot(pull);
    slot.socket.options.receive_high_water_mark = 2;
    var mock = try Mock.dial(&world, try owner.bind(pull));
    defer mock.deinit();
    try mock.handshake(&world, "PUSH");
    for (0..2) |_| try mock.send_message(&.{"x"});
    try world.settle();
    for (0..10) |_| try mock.send_message(&.{"y"});
    try world.settle();
    const pipe = slot.socket.pipes.first().?;
    try testing.expectEqual(2, pipe.receive.messages);
    slot.socket.options.receive_high_water_mark = 0;
    owner.context.limits_changed(slot);
    try world.settle();
    try testing.expectEqual(12, pipe.receive.messages);
}
