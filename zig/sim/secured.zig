//! PLAIN and CURVE for tests: keys, a server and a client of ours, one that speaks CURVE by hand,
//! and one that sits between two of ours and hands on what it likes.
//!
//!     client of ours ◀──▶ Middle ◀──▶ server of ours          Hand ◀──▶ server of ours

const std = @import("std");
const testing = std.testing;

const Address = @import("../io/address.zig").Address;
const curve = @import("../zmtp/curve.zig");
const frame = @import("../zmtp/frame.zig");
const greetings = @import("../zmtp/greeting.zig");
const Mechanism = @import("../zmtp/mechanism.zig").Mechanism;
const Security = @import("../zmtp/security.zig").Security;
const sockets = @import("../socket/socket.zig");
const sodium = @import("../crypto/sodium.zig");
const worlds = @import("world.zig");
const Mock = worlds.Mock;
const Owner = worlds.Owner;
const World = worlds.World;
const allocator = worlds.allocator;

pub const server_secret: sodium.SecretKey = @splat(7);
pub const client_secret: sodium.SecretKey = @splat(11);
pub const user = "bob";
pub const password = "a good one";

pub const Kind = enum {
    /// NULL, and the owner decides by the address.
    asked,
    plain,
    curve,
    curve_asked,

    pub const all = std.enums.values(Kind);

    pub fn mechanism(kind: Kind) Mechanism {
        return switch (kind) {
            .asked => .null,
            .plain => .plain,
            .curve, .curve_asked => .curve,
        };
    }

    pub fn asks(kind: Kind) bool {
        return kind != .curve;
    }

    pub fn greeting(kind: Kind) [greetings.size]u8 {
        return greetings.encode(kind.mechanism());
    }
};

/// One side of a mechanism takes effect for the socket.
pub fn secure(owner: *Owner, handle: u32, kind: Kind, server: bool) !void {
    try sodium.init();
    const role: Security.Role = .{ .server = server, .authenticate = server and kind.asks() };
    const secret = if (server) &server_secret else &client_secret;
    const security: ?*Security = switch (kind) {
        .asked => if (server) try .init_null(role) else null,
        .plain => try .init_plain(role, .{ .user = user, .password = password }),
        .curve, .curve_asked => try .init_curve(
            role,
            secret,
            &sodium.public_key(secret),
            &sodium.public_key(&server_secret),
        ),
    };
    owner.slot(handle).socket.secure(security);
}

pub fn session_of(owner: *Owner, handle: u32) *worlds.Context.Session {
    return owner.slot(handle).sessions.first().?;
}

/// A server that is bound, and a client that is not connected yet.
pub const Pair = struct {
    world: World,
    kind: Kind,
    server: *Owner,
    client: *Owner,
    bound: u32,
    connecting: u32,
    address: Address,

    pub fn init(
        pair: *Pair,
        kind: Kind,
        server_type: sockets.Type,
        client_type: sockets.Type,
        options: worlds.Options,
    ) !void {
        pair.kind = kind;
        pair.world.init(1, options);
        errdefer pair.world.deinit();
        pair.server = try pair.world.add();
        pair.client = try pair.world.add();
        try pair.open(server_type, client_type);
    }

    pub fn deinit(pair: *Pair) void {
        pair.world.deinit();
    }

    pub fn open(pair: *Pair, server_type: sockets.Type, client_type: sockets.Type) !void {
        pair.bound = try pair.server.open(server_type);
        try secure(pair.server, pair.bound, pair.kind, true);
        pair.connecting = try pair.client.open(client_type);
        try secure(pair.client, pair.connecting, pair.kind, false);
        pair.client.slot(pair.connecting).socket.options.reconnect_interval_ms = 10;
        pair.address = try pair.server.bind(pair.bound);
    }

    /// The sockets go; the next two find the same world.
    pub fn close(pair: *Pair) !void {
        pair.server.context.close(pair.bound, 0);
        pair.client.context.close(pair.connecting, 0);
        try pair.world.settle();
    }

    pub fn connect(pair: *Pair) !void {
        _ = try pair.client.connect(pair.connecting, pair.address);
        try pair.world.settle();
    }
};

/// Stands where the client believes the server to be.
pub const Middle = struct {
    world: *World,
    /// Towards the client, and towards the server.
    near: Mock,
    far: Mock,
    /// Bytes handed on, from the client and from the server.
    passed: [2]usize = .{ 0, 0 },

    pub const Direction = enum(u1) { to_server, to_client };

    const place: Address = .ipv4(.{ 127, 0, 0, 1 }, 5555);

    pub fn init(pair: *Pair) !Middle {
        return .between(pair, pair.connecting);
    }

    /// The client is another socket of the same owner.
    pub fn between(pair: *Pair, client: u32) !Middle {
        const listener = pair.world.network.listen(&place);
        defer listener.close();
        _ = try pair.client.connect(client, place);
        try pair.world.settle();
        return .{
            .world = &pair.world,
            .near = .{ .peer = listener.accept().? },
            .far = try .dial(&pair.world, pair.address),
        };
    }

    pub fn deinit(middle: *Middle) void {
        for ([_]*Mock{ &middle.near, &middle.far }) |mock| {
            if (mock.peer.endpoint.descriptor_open) mock.peer.close();
            mock.deinit();
        }
    }

    /// What one side has sent and is not handed on yet.
    pub fn fetch(middle: *Middle, direction: Direction) ![]u8 {
        const from = if (direction == .to_server) &middle.near else &middle.far;
        try middle.world.settle();
        try from.pump();
        return from.received.items;
    }

    pub fn hand_on(middle: *Middle, direction: Direction, bytes: []const u8) void {
        const to = if (direction == .to_server) &middle.far else &middle.near;
        to.send(bytes);
        middle.passed[@intFromEnum(direction)] += bytes.len;
    }

    pub fn clear(middle: *Middle, direction: Direction) void {
        const from = if (direction == .to_server) &middle.near else &middle.far;
        from.received.clearRetainingCapacity();
    }

    /// Both ways until nothing comes any more. `change` may write into what it is given, which
    /// begins at `passed` of its direction; what it returns is the length of a first piece.
    pub fn run(middle: *Middle, change: anytype) !void {
        var quiet: u32 = 0;
        while (quiet < 2) {
            for ([_]Direction{ .to_server, .to_client }) |direction| {
                quiet += 1;
                const bytes = try middle.fetch(direction);
                if (bytes.len == 0) continue;
                quiet = 0;
                const begin = middle.passed[@intFromEnum(direction)];
                const first = change.apply(direction, begin, bytes);
                middle.hand_on(direction, bytes[0..first]);
                if (first < bytes.len) {
                    try middle.world.settle();
                    middle.hand_on(direction, bytes[first..]);
                }
                middle.clear(direction);
            }
        }
        try middle.world.settle();
    }

    /// Everything is handed on as it is.
    pub const Honest = struct {
        pub fn apply(_: Honest, _: Direction, _: usize, bytes: []u8) usize {
            return bytes.len;
        }
    };
};

/// A client of CURVE whose every byte a test decides.
pub const Hand = struct {
    world: *World,
    mock: Mock,
    client: curve.Client = undefined,
    keys: curve.Keys,
    cipher: curve.Cipher = undefined,
    stream: sodium.Series.Scratch = undefined,
    /// The last command that was read or made.
    buffer: std.ArrayList(u8) = .empty,

    pub fn dial(world: *World, address: Address) !Hand {
        try sodium.init();
        var hand: Hand = .{
            .world = world,
            .mock = try .dial(world, address),
            .keys = .{
                .server = sodium.public_key(&server_secret),
                .public = sodium.public_key(&client_secret),
                .secret = client_secret,
            },
        };
        hand.client = try .init(&hand.keys, .{});
        return hand;
    }

    pub fn deinit(hand: *Hand) void {
        hand.mock.deinit();
        hand.buffer.deinit(allocator);
    }

    pub fn say_hello(hand: *Hand) !void {
        hand.mock.send(&greetings.encode(.curve));
        var hello: [curve.hello_bytes]u8 = undefined;
        hand.client.hello(&hello);
        try hand.mock.send_frame(frame.flag_command, &hello);
        try hand.world.settle();
        try hand.mock.pump();
        try hand.mock.expect_greeting(.curve);
    }

    /// WELCOME is there; the body of INITIATE is made and not sent.
    pub fn make_initiate(hand: *Hand, metadata: []const u8) ![]u8 {
        const body = (try hand.mock.next_frame(frame.flag_command)) orelse return error.NoWelcome;
        defer allocator.free(body);
        const welcome = try hand.client.welcome(body);
        try hand.buffer.resize(allocator, curve.initiate_bytes_min + metadata.len);
        const target = hand.buffer.items;
        try hand.client.initiate(target, &hand.keys, &welcome, metadata, .{});
        return target;
    }

    pub fn initiate(hand: *Hand, metadata: []const u8) !void {
        const body = try hand.make_initiate(metadata);
        try hand.mock.send_frame(frame.flag_command, body);
        try hand.world.settle();
        try hand.mock.pump();
    }

    pub fn expect_ready(hand: *Hand) !void {
        try hand.mock.pump();
        const body = (try hand.mock.next_frame(frame.flag_command)) orelse return error.NoReady;
        defer allocator.free(body);
        _ = try hand.client.ready(body, &hand.cipher);
    }

    pub fn handshake(hand: *Hand, metadata: []const u8) !void {
        try hand.say_hello();
        try hand.initiate(metadata);
        try hand.expect_ready();
    }

    /// The whole frame of a MESSAGE; valid until the next one.
    pub fn seal(hand: *Hand, flags: u8, body: []const u8) ![]u8 {
        try hand.buffer.resize(allocator, curve.Cipher.sealed_bytes(body.len));
        hand.cipher.seal(hand.buffer.items, flags, body, &hand.stream);
        return hand.buffer.items;
    }

    pub fn send(hand: *Hand, flags: u8, body: []const u8) !void {
        hand.mock.send(try hand.seal(flags, body));
    }

    /// The next frame from the server, decrypted.
    pub fn expect(hand: *Hand, flags: u8, body: []const u8) !void {
        try hand.mock.pump();
        const box = (try hand.mock.next_frame(0)) orelse return error.NoFrame;
        defer allocator.free(box);
        const opened = try hand.cipher.open(0, box, &hand.stream);
        try testing.expectEqual(flags, opened.flags);
        try testing.expectEqualSlices(u8, body, opened.body);
    }
};

/// A server of CURVE by hand, for a client of ours that has connected to it.
pub const HandServer = struct {
    world: *World,
    mock: Mock,
    keys: curve.Keys,
    cookie_key: curve.CookieKey,
    initiated: curve.Server.Initiate = undefined,
    cipher: curve.Cipher = undefined,
    stream: sodium.Series.Scratch = undefined,
    buffer: std.ArrayList(u8) = .empty,

    const connection = 1;

    pub fn accept(world: *World, listener: worlds.Peer) !HandServer {
        try world.settle();
        return .{
            .world = world,
            .mock = .{ .peer = listener.accept() orelse return error.NoConnection },
            .keys = .{ .server = sodium.public_key(&server_secret), .secret = server_secret },
            .cookie_key = .init(.{}),
        };
    }

    pub fn deinit(hand: *HandServer) void {
        hand.mock.deinit();
        hand.buffer.deinit(allocator);
    }

    fn next(hand: *HandServer) ![]u8 {
        try hand.world.settle();
        try hand.mock.pump();
        return (try hand.mock.next_frame(frame.flag_command)) orelse error.NoCommand;
    }

    /// HELLO is there; the body of WELCOME.
    pub fn welcome(hand: *HandServer) ![curve.welcome_bytes]u8 {
        hand.mock.send(&greetings.encode(.curve));
        try hand.world.settle();
        try hand.mock.pump();
        try hand.mock.expect_greeting(.curve);
        const hello = try hand.next();
        defer allocator.free(hello);
        var target: [curve.welcome_bytes]u8 = undefined;
        try curve.Server.hello(
            hello,
            &target,
            &hand.keys,
            &hand.cookie_key,
            connection,
            .{},
        );
        return target;
    }

    /// INITIATE is there; the body of READY.
    pub fn ready(hand: *HandServer, metadata: []const u8) ![]u8 {
        const body = try hand.next();
        defer allocator.free(body);
        const cookie_keys = [_]curve.CookieKey{hand.cookie_key};
        hand.initiated = try curve.Server.initiate(body, &hand.keys, &cookie_keys, connection);
        try hand.buffer.resize(allocator, curve.ready_bytes_min + metadata.len);
        hand.cipher = curve.Server.ready(hand.buffer.items, &hand.initiated, metadata);
        return hand.buffer.items;
    }

    pub fn handshake(hand: *HandServer, metadata: []const u8) !void {
        try hand.mock.send_frame(frame.flag_command, &try hand.welcome());
        try hand.mock.send_frame(frame.flag_command, try hand.ready(metadata));
        try hand.world.settle();
    }

    /// The whole frame of a MESSAGE; valid until the next one.
    pub fn seal(hand: *HandServer, flags: u8, body: []const u8) ![]u8 {
        try hand.buffer.resize(allocator, curve.Cipher.sealed_bytes(body.len));
        hand.cipher.seal(hand.buffer.items, flags, body, &hand.stream);
        return hand.buffer.items;
    }
};

/// Metadata with a Socket-Type.
pub fn type_is(comptime socket_type: []const u8) []const u8 {
    return "\x0bSocket-Type\x00\x00\x00" ++ [_]u8{socket_type.len} ++ socket_type;
}
