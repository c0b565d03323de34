//! The CURVE mechanism: HELLO, WELCOME, INITIATE, READY, and MESSAGE for all traffic. RFC
//! 26/CurveZMQ; sizes and nonces as libzmq has them. Bytes and keys only: handshake.zig decides
//! what comes when.
//!
//!     C, c long-term key of the client    C', c' made for this connection
//!     S, s long-term key of the server    S', s' made for this connection
//!
//!     HELLO     5 HELLO | 01 00 | 72 zeros | C' | nonce8 | box(64 zeros; S, c')               200
//! bytes
//!     WELCOME   7 WELCOME | nonce16 | box(S' cookie; C', s)                                   168
//!     cookie    nonce16 | secretbox(C' s')                                                     96
//!     INITIATE  8 INITIATE | cookie | nonce8 | box(C nonce16 vouch metadata; S', c')      257 + m
//!     vouch     box(C' S; S', c)                                                               80
//!     READY     5 READY | nonce8 | box(metadata; C', s')                                   30 + m
//!     MESSAGE   7 MESSAGE | nonce8 | box(flags body; the two keys of the connection)       33 + n
//!
//! A server keeps nothing between WELCOME and INITIATE: what it has to know again is in the cookie.
//! libzmq makes a cookie key for each connection and keeps that; here it comes from a key of the
//! context, which is changed now and then, and from the number of the connection: a cookie is of no
//! use to another connection, so nobody can play an old INITIATE again.

const std = @import("std");
const assert = std.debug.assert;

const sodium = @import("../crypto/sodium.zig");
const frame = @import("frame.zig");
const Nonce = sodium.Nonce;
const PublicKey = sodium.PublicKey;
const SecretKey = sodium.SecretKey;
const SharedKey = sodium.SharedKey;
const box_extra = sodium.authenticator_bytes;

const hello_prefix = "\x05HELLO\x01\x00";
const welcome_prefix = "\x07WELCOME";
const initiate_prefix = "\x08INITIATE";
const ready_prefix = "\x05READY";
const message_prefix = "\x07MESSAGE";

pub const hello_bytes = 200;
pub const welcome_bytes = 168;
pub const cookie_bytes = 96;
const vouch_bytes = 80;
pub const initiate_bytes_min = 257;
pub const ready_bytes_min = 30;
/// What MESSAGE adds to the body of a frame.
pub const message_extra = 33;

comptime {
    assert(hello_bytes == hello_prefix.len + 72 + 32 + 8 + box_extra + 64);
    assert(welcome_bytes == welcome_prefix.len + 16 + box_extra + 32 + cookie_bytes);
    assert(cookie_bytes == 16 + box_extra + 64);
    assert(vouch_bytes == box_extra + 64);
    assert(initiate_bytes_min ==
        initiate_prefix.len + cookie_bytes + 8 + box_extra + 32 + 16 + vouch_bytes);
    assert(ready_bytes_min == ready_prefix.len + 8 + box_extra);
    assert(message_extra == message_prefix.len + 8 + box_extra + 1);
}

/// What a peer can do wrong.
pub const Error = error{
    UnexpectedCommand,
    MalformedHello,
    MalformedWelcome,
    MalformedInitiate,
    MalformedReady,
    MalformedMessage,
    /// A box that was not made with the keys that it should be made with, or was changed.
    Cryptographic,
    /// A vouch for other keys than those in use.
    KeyExchange,
    /// A nonce that is not greater than the one before it: played again, or out of order.
    InvalidSequence,
};

/// Where keys and nonces come from; a simulation has its own.
pub const Random = struct {
    context: ?*anyopaque = null,
    fill: *const fn (?*anyopaque, []u8) void = fill_sodium,

    fn fill_sodium(_: ?*anyopaque, bytes: []u8) void {
        sodium.random(bytes);
    }

    /// In place: a secret is to be in one place only.
    pub fn into(random: Random, bytes: []u8) void {
        random.fill(random.context, bytes);
    }
};

/// The long-term keys of a socket.
pub const Keys = struct {
    /// Of a server its own, of a client the server's.
    server: PublicKey,
    /// Of a client.
    public: PublicKey = @splat(0),
    secret: SecretKey,
};

fn short_nonce(comptime prefix: *const [16]u8, counter: u64) Nonce {
    var nonce: Nonce = undefined;
    nonce[0..16].* = prefix.*;
    std.mem.writeInt(u64, nonce[16..24], counter, .big);
    return nonce;
}

fn long_nonce(comptime prefix: *const [8]u8, random: *const [16]u8) Nonce {
    return prefix.* ++ random.*;
}

/// The keys of one connection's traffic, and how far it has come.
pub const Cipher = struct {
    sending: sodium.Series,
    receiving: sodium.Series,
    /// The last ones used; each side counts all its commands.
    sent: u64,
    received: u64,

    const Role = enum { client, server };

    fn init(shared: *const SharedKey, comptime role: Role, received: u64) Cipher {
        const of_client = sodium.Series.init(shared, "CurveZMQMESSAGEC");
        const of_server = sodium.Series.init(shared, "CurveZMQMESSAGES");
        return switch (role) {
            .client => .{
                .sending = of_client,
                .receiving = of_server,
                .sent = nonce_initiate,
                .received = received,
            },
            .server => .{
                .sending = of_server,
                .receiving = of_client,
                .sent = nonce_ready,
                .received = received,
            },
        };
    }

    /// Bytes of the whole MESSAGE frame for a body of this size.
    pub fn sealed_bytes(body_bytes: usize) usize {
        const size = message_extra + body_bytes;
        const header: usize = if (size > frame.body_size_short_max)
            frame.header_size_max
        else
            frame.header_size_short;
        return header + size;
    }

    /// Writes a frame of ours as a MESSAGE frame. `target` has exactly `sealed_bytes` and does not
    /// overlap the body.
    pub fn seal(
        cipher: *Cipher,
        target: []u8,
        flags: u8,
        body: []const u8,
        stream: *sodium.Series.Scratch,
    ) void {
        assert(target.len == sealed_bytes(body.len));
        // 2^64 frames are not sent in the time that this computer lasts.
        cipher.sent += 1;
        // MESSAGE does not have the COMMAND flag, in spite of the RFC: libzmq would drop it.
        const header = frame.encode(target[0..@min(target.len, frame.header_size_max)], 0, //
            message_extra + body.len);
        const command = target[header..];
        command[0..8].* = message_prefix.*;
        std.mem.writeInt(u64, command[8..16], cipher.sent, .big);
        cipher.sending.seal(
            command[16..32],
            command[32..],
            inner_flags(flags),
            body,
            command[8..16],
            stream,
        );
    }

    pub const Opened = struct {
        /// MORE and COMMAND as in a frame's header.
        flags: u8,
        /// Lies where it was in the box.
        body: []u8,
    };

    /// Decrypts the body of a frame in place. Nothing has changed when it fails.
    pub fn open(
        cipher: *Cipher,
        header_flags: u8,
        command: []u8,
        stream: *sodium.Series.Scratch,
    ) Error!Opened {
        if (!std.mem.startsWith(u8, command, message_prefix)) return error.UnexpectedCommand;
        if (command.len < message_extra) return error.MalformedMessage;
        // Those of the frame are inside: outside, whoever is on the wire could set them.
        if (header_flags & ~frame.flag_large != 0) return error.UnexpectedCommand;
        const nonce = std.mem.readInt(u64, command[8..16], .big);
        if (nonce <= cipher.received) return error.InvalidSequence;
        const box = command[32..];
        cipher.receiving.open(command[16..32], box, command[8..16], stream) catch {
            return error.Cryptographic;
        };
        cipher.received = nonce;
        const inner = box[0];
        var flags: u8 = 0;
        if (inner & inner_more != 0) flags |= frame.flag_more;
        if (inner & inner_command != 0) flags |= frame.flag_command;
        return .{ .flags = flags, .body = box[1..] };
    }

    pub fn wipe(cipher: *Cipher) void {
        sodium.wipe(cipher);
    }
};

/// The flags inside a MESSAGE are other bits than those of a frame.
const inner_more: u8 = 1;
const inner_command: u8 = 2;

fn inner_flags(flags: u8) u8 {
    var inner: u8 = 0;
    if (flags & frame.flag_more != 0) inner |= inner_more;
    if (flags & frame.flag_command != 0) inner |= inner_command;
    return inner;
}

/// Nonces of the handshake: the counters of both sides begin with it.
const nonce_hello = 1;
const nonce_initiate = 2;
const nonce_ready = 1;

/// The client's half of a handshake.
pub const Client = struct {
    /// C' and c'.
    public: PublicKey,
    secret: SecretKey,
    /// Of S and c', for HELLO and WELCOME; then of S' and c'.
    shared: SharedKey,

    pub fn init(keys: *const Keys, random: Random) error{BadKey}!Client {
        var client: Client = undefined;
        random.into(&client.secret);
        client.public = sodium.public_key(&client.secret);
        try sodium.shared_key(&client.shared, &keys.server, &client.secret);
        return client;
    }

    pub fn wipe(client: *Client) void {
        sodium.wipe(client);
    }

    pub fn hello(client: *const Client, target: *[hello_bytes]u8) void {
        const zeros: [72]u8 = @splat(0);
        const nonce = short_nonce("CurveZMQHELLO---", nonce_hello);
        target[0..8].* = hello_prefix.*;
        target[8..80].* = zeros;
        target[80..112].* = client.public;
        target[112..120].* = nonce[16..24].*;
        sodium.seal(target[120..], zeros[0..64], &nonce, &client.shared);
    }

    /// What INITIATE takes from WELCOME.
    pub const Welcome = struct {
        /// S'.
        server: PublicKey,
        cookie: [cookie_bytes]u8,
    };

    pub fn welcome(client: *const Client, body: []const u8) Error!Welcome {
        if (!std.mem.startsWith(u8, body, welcome_prefix)) return error.UnexpectedCommand;
        if (body.len != welcome_bytes) return error.MalformedWelcome;
        var plain: [32 + cookie_bytes]u8 = undefined;
        const nonce = long_nonce("WELCOME-", body[8..24]);
        sodium.open(&plain, body[24..], &nonce, &client.shared) catch return error.Cryptographic;
        return .{ .server = plain[0..32].*, .cookie = plain[32..].* };
    }

    /// Writes INITIATE; `target` has `initiate_bytes_min` and the metadata's.
    pub fn initiate(
        client: *Client,
        target: []u8,
        keys: *const Keys,
        answer: *const Welcome,
        metadata: []const u8,
        random: Random,
    ) Error!void {
        assert(target.len == initiate_bytes_min + metadata.len);
        var vouch_nonce: [16]u8 = undefined;
        random.into(&vouch_nonce);
        var vouch_key: SharedKey = undefined;
        defer sodium.wipe(&vouch_key);
        sodium.shared_key(&vouch_key, &answer.server, &keys.secret) catch {
            return error.Cryptographic;
        };
        sodium.shared_key(&client.shared, &answer.server, &client.secret) catch {
            return error.Cryptographic;
        };
        target[0..9].* = initiate_prefix.*;
        target[9..105].* = answer.cookie;
        const nonce = short_nonce("CurveZMQINITIATE", nonce_initiate);
        target[105..113].* = nonce[16..24].*;
        // The box is made in place, of what is put where its ciphertext comes to lie.
        const plain = target[113 + box_extra ..];
        plain[0..32].* = keys.public;
        plain[32..48].* = vouch_nonce;
        const vouched = client.public ++ keys.server;
        sodium.seal(plain[48..128], &vouched, &long_nonce("VOUCH---", &vouch_nonce), &vouch_key);
        @memcpy(plain[128..], metadata);
        sodium.seal_in_place(target[113..], &nonce, &client.shared);
    }

    /// Decrypts READY in place and returns its metadata.
    pub fn ready(client: *const Client, body: []u8, cipher: *Cipher) Error![]u8 {
        if (!std.mem.startsWith(u8, body, ready_prefix)) return error.UnexpectedCommand;
        if (body.len < ready_bytes_min) return error.MalformedReady;
        const counter = std.mem.readInt(u64, body[6..14], .big);
        if (counter == 0) return error.InvalidSequence;
        const nonce = short_nonce("CurveZMQREADY---", counter);
        const metadata = body[ready_bytes_min..];
        sodium.open(metadata, body[14..], &nonce, &client.shared) catch return error.Cryptographic;
        cipher.* = .init(&client.shared, .client, counter);
        return metadata;
    }
};

/// What a context makes cookies with.
pub const CookieKey = struct {
    key: SharedKey,

    pub fn init(random: Random) CookieKey {
        var cookie_key: CookieKey = undefined;
        random.into(&cookie_key.key);
        return cookie_key;
    }

    /// A key for one connection.
    fn of(cookie_key: *const CookieKey, connection: u128) SharedKey {
        var number: [16]u8 = undefined;
        std.mem.writeInt(u128, &number, connection, .little);
        return sodium.Series.init(&cookie_key.key, &number).key;
    }
};

/// The keys that cookies are made with now, and were made with a moment ago. In memory for secrets.
pub const Cookies = struct {
    /// The newest first.
    keys: [2]CookieKey,
    made_ns: u64,

    /// How long one is used. A client that takes longer than once or twice this begins anew.
    const period_ns = 60 * std.time.ns_per_s;

    pub fn create(random: Random, now_ns: u64) error{OutOfMemory}!*Cookies {
        sodium.init() catch return error.OutOfMemory;
        const cookies = try sodium.create_secret(Cookies);
        const first: CookieKey = .init(random);
        cookies.* = .{ .keys = .{ first, first }, .made_ns = now_ns };
        return cookies;
    }

    pub fn destroy(cookies: *Cookies) void {
        sodium.destroy_secret(cookies);
    }

    /// Looked at with each connection: who records traffic cannot use it later, whatever he gets to
    /// know of this process then.
    pub fn rotate(cookies: *Cookies, random: Random, now_ns: u64) void {
        if (now_ns - cookies.made_ns < period_ns) return;
        const unused = now_ns - cookies.made_ns >= 2 * period_ns;
        const fresh: CookieKey = .init(random);
        cookies.keys = .{ fresh, if (unused) fresh else cookies.keys[0] };
        cookies.made_ns = now_ns;
    }

    pub fn newest(cookies: *const Cookies) *const CookieKey {
        return &cookies.keys[0];
    }

    pub fn all(cookies: *const Cookies) []const CookieKey {
        return &cookies.keys;
    }
};

/// The server's half of a handshake. Nothing of it is kept between the two commands.
pub const Server = struct {
    /// Reads HELLO and writes WELCOME.
    pub fn hello(
        body: []const u8,
        target: *[welcome_bytes]u8,
        keys: *const Keys,
        cookie_key: *const CookieKey,
        connection: u128,
        random: Random,
    ) Error!void {
        if (!std.mem.startsWith(u8, body, hello_prefix[0..6])) return error.UnexpectedCommand;
        if (body.len != hello_bytes) return error.MalformedHello;
        if (!std.mem.startsWith(u8, body, hello_prefix)) return error.MalformedHello;
        const client: *const PublicKey = body[80..112];
        var shared: SharedKey = undefined;
        defer sodium.wipe(&shared);
        sodium.shared_key(&shared, client, &keys.secret) catch return error.Cryptographic;
        const counter = std.mem.readInt(u64, body[112..120], .big);
        const hello_nonce = short_nonce("CurveZMQHELLO---", counter);
        var zeros: [64]u8 = undefined;
        sodium.open(&zeros, body[120..], &hello_nonce, &shared) catch return error.Cryptographic;

        // Only now, when the client has proved that it knows whom it talks to: this costs as much.
        var plain: [32 + cookie_bytes]u8 = undefined;
        var own: [64]u8 = undefined;
        var key = cookie_key.of(connection);
        defer sodium.wipe(&own);
        defer sodium.wipe(&key);
        own[0..32].* = client.*;
        random.into(own[32..64]);
        plain[0..32].* = sodium.public_key(own[32..64]);
        random.into(plain[32..48]);
        sodium.seal(plain[48..], &own, &long_nonce("COOKIE--", plain[32..48]), &key);
        target[0..8].* = welcome_prefix.*;
        random.into(target[8..24]);
        const nonce = long_nonce("WELCOME-", target[8..24]);
        sodium.seal(target[24..], &plain, &nonce, &shared);
    }

    pub const Initiate = struct {
        /// C.
        client: PublicKey,
        /// Lies in the body.
        metadata: []u8,
        /// Of C' and s'.
        shared: SharedKey,
        received: u64,

        pub fn wipe(initiated: *Initiate) void {
            sodium.wipe(&initiated.shared);
        }
    };

    /// Decrypts INITIATE in place. `cookie_keys`: those that may have made the cookie.
    pub fn initiate(
        body: []u8,
        keys: *const Keys,
        cookie_keys: []const CookieKey,
        connection: u128,
    ) Error!Initiate {
        if (!std.mem.startsWith(u8, body, initiate_prefix)) return error.UnexpectedCommand;
        if (body.len < initiate_bytes_min) return error.MalformedInitiate;
        var own: [64]u8 = undefined;
        defer sodium.wipe(&own);
        try open_cookie(&own, body[9..105], cookie_keys, connection);
        var result: Initiate = undefined;
        sodium.shared_key(&result.shared, own[0..32], own[32..64]) catch {
            return error.Cryptographic;
        };
        errdefer result.wipe();
        result.received = std.mem.readInt(u64, body[105..113], .big);
        const nonce = short_nonce("CurveZMQINITIATE", result.received);
        const plain = body[113 + box_extra ..];
        sodium.open(plain, body[113..], &nonce, &result.shared) catch return error.Cryptographic;
        // HELLO may have counted anything.
        if (result.received == 0) return error.InvalidSequence;
        result.client = plain[0..32].*;
        result.metadata = plain[128..];

        var vouch_key: SharedKey = undefined;
        defer sodium.wipe(&vouch_key);
        sodium.shared_key(&vouch_key, &result.client, own[32..64]) catch {
            return error.Cryptographic;
        };
        var vouched: [64]u8 = undefined;
        const vouch_nonce = long_nonce("VOUCH---", plain[32..48]);
        sodium.open(&vouched, plain[48..128], &vouch_nonce, &vouch_key) catch {
            return error.Cryptographic;
        };
        // Both halves. libzmq looks at the first only: who knows c could then pass on a vouch that
        // was made for another server.
        const same_client = sodium.equal(32, vouched[0..32], own[0..32]);
        const same_server = sodium.equal(32, vouched[32..64], &keys.server);
        if (!same_client or !same_server) return error.KeyExchange;
        return result;
    }

    fn open_cookie(
        own: *[64]u8,
        cookie: *const [cookie_bytes]u8,
        cookie_keys: []const CookieKey,
        connection: u128,
    ) Error!void {
        const nonce = long_nonce("COOKIE--", cookie[0..16]);
        for (cookie_keys) |*cookie_key| {
            var key = cookie_key.of(connection);
            defer sodium.wipe(&key);
            sodium.open(own, cookie[16..], &nonce, &key) catch continue;
            return;
        }
        return error.Cryptographic;
    }

    /// Writes READY; `target` has `ready_bytes_min` and the metadata's.
    pub fn ready(target: []u8, initiated: *const Initiate, metadata: []const u8) Cipher {
        assert(target.len == ready_bytes_min + metadata.len);
        const nonce = short_nonce("CurveZMQREADY---", nonce_ready);
        target[0..6].* = ready_prefix.*;
        target[6..14].* = nonce[16..24].*;
        sodium.seal(target[14..], metadata, &nonce, &initiated.shared);
        return .init(&initiated.shared, .server, initiated.received);
    }
};

const testing = std.testing;

/// The same keys and nonces each time.
const TestRandom = struct {
    next: u8 = 1,

    fn random(source: *TestRandom) Random {
        return .{ .context = source, .fill = fill };
    }

    fn fill(context: ?*anyopaque, bytes: []u8) void {
        const source: *TestRandom = @ptrCast(@alignCast(context.?));
        for (bytes) |*byte| {
            byte.* = source.next;
            source.next = source.next *% 5 +% 13;
        }
    }
};

const TestParties = struct {
    source: TestRandom = .{},
    server_keys: Keys = undefined,
    client_keys: Keys = undefined,
    cookie_key: CookieKey = undefined,
    client: Client = undefined,
    hello: [hello_bytes]u8 = undefined,
    welcome: [welcome_bytes]u8 = undefined,
    initiate: [initiate_bytes_min + 5]u8 = undefined,
    ready: [ready_bytes_min + 7]u8 = undefined,
    initiated: Server.Initiate = undefined,
    server_cipher: Cipher = undefined,
    client_cipher: Cipher = undefined,

    const connection = 77;

    fn init(parties: *TestParties) !void {
        try sodium.init();
        parties.* = .{};
        const random = parties.source.random();
        var secret: SecretKey = undefined;
        random.into(&secret);
        parties.server_keys = .{ .server = sodium.public_key(&secret), .secret = secret };
        random.into(&secret);
        parties.client_keys = .{
            .server = parties.server_keys.server,
            .public = sodium.public_key(&secret),
            .secret = secret,
        };
        parties.cookie_key = .init(random);
        parties.client = try .init(&parties.client_keys, random);
        parties.client.hello(&parties.hello);
    }

    fn answer_hello(parties: *TestParties, body: []const u8) Error!void {
        const random = parties.source.random();
        const keys = &parties.server_keys;
        const target = &parties.welcome;
        try Server.hello(body, target, keys, &parties.cookie_key, connection, random);
    }

    fn answer_welcome(parties: *TestParties, body: []const u8) Error!void {
        const answer = try parties.client.welcome(body);
        const random = parties.source.random();
        const keys = &parties.client_keys;
        try parties.client.initiate(&parties.initiate, keys, &answer, "a=b c", random);
    }

    fn answer_initiate(parties: *TestParties, body: []u8, number: u128) Error!void {
        const cookie_keys = [_]CookieKey{parties.cookie_key};
        parties.initiated = try Server.initiate(body, &parties.server_keys, &cookie_keys, number);
        parties.server_cipher = Server.ready(&parties.ready, &parties.initiated, "d = e,f");
    }

    fn connect(parties: *TestParties) !void {
        try parties.init();
        try parties.answer_hello(&parties.hello);
        try parties.answer_welcome(&parties.welcome);
        var initiate = parties.initiate;
        try parties.answer_initiate(&initiate, connection);
        try testing.expectEqualStrings("a=b c", parties.initiated.metadata);
        const client_public = &parties.client_keys.public;
        try testing.expectEqualSlices(u8, client_public, &parties.initiated.client);
        const metadata = try parties.client.ready(&parties.ready, &parties.client_cipher);
        try testing.expectEqualStrings("d = e,f", metadata);
    }
};

fn test_message(
    from: *Cipher,
    to: *Cipher,
    flags: u8,
    body: []const u8,
    buffer: []u8,
) ![]u8 {
    var stream: sodium.Series.Scratch = undefined;
    const target = buffer[0..Cipher.sealed_bytes(body.len)];
    from.seal(target, flags, body, &stream);
    const header = frame.decode(target).?;
    try testing.expectEqual(target.len, header.header_size + header.body_size);
    const opened = try to.open(header.flags, target[header.header_size..], &stream);
    try testing.expectEqual(flags, opened.flags);
    return opened.body;
}

test "curve: two of us do not come together, or not with every size and flag" {
    var parties: TestParties = undefined;
    try parties.connect();
    var body: [70_000]u8 = undefined;
    for (&body, 0..) |*byte, i| byte.* = @truncate(i *% 17);
    var buffer: [body.len + message_extra + frame.header_size_max]u8 = undefined;
    const sizes = [_]usize{ 0, 1, 64, 221, 222, 223, 255, 256, 2000, 2015, 2016, 4096, body.len };
    for (sizes) |size| {
        const client = &parties.client_cipher;
        const server = &parties.server_cipher;
        const flags = frame.flag_more;
        const there = try test_message(client, server, flags, body[0..size], &buffer);
        try testing.expectEqualSlices(u8, body[0..size], there);
        const command = frame.flag_command;
        const back = try test_message(server, client, command, body[0..size], &buffer);
        try testing.expectEqualSlices(u8, body[0..size], back);
    }
}

test "curve: a handshake command with a changed bit is taken" {
    var parties: TestParties = undefined;
    try parties.connect();
    for (0..hello_bytes * 8) |bit| {
        var hello = parties.hello;
        hello[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
        // 72 zeros that nobody looks at, and the top bit of C', which Curve25519 ignores.
        if (bit / 8 >= 8 and bit / 8 < 80) continue;
        if (bit == 111 * 8 + 7) continue;
        if (parties.answer_hello(&hello)) return error.Taken else |_| {}
    }
    try parties.connect();
    for (0..welcome_bytes * 8) |bit| {
        var welcome = parties.welcome;
        welcome[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
        var client = parties.client;
        try sodium.shared_key(&client.shared, &parties.client_keys.server, &client.secret);
        if (client.welcome(&welcome)) |_| return error.Taken else |_| {}
    }
    for (0..parties.initiate.len * 8) |bit| {
        var initiate = parties.initiate;
        initiate[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
        const verdict = parties.answer_initiate(&initiate, TestParties.connection);
        if (verdict) return error.Taken else |_| {}
    }
    try parties.connect();
    _ = Server.ready(&parties.ready, &parties.initiated, "d = e,f");
    for (0..parties.ready.len * 8) |bit| {
        var ready = parties.ready;
        ready[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
        var cipher: Cipher = undefined;
        if (parties.client.ready(&ready, &cipher)) |_| return error.Taken else |_| {}
    }
}

test "curve: a command that is cut short or too long is taken, or read beyond its end" {
    var parties: TestParties = undefined;
    try parties.connect();
    var room: [1024]u8 = @splat(0);
    for (0..room.len) |size| {
        room[0..hello_bytes].* = parties.hello;
        if (size != hello_bytes) {
            if (parties.answer_hello(room[0..size])) return error.Taken else |_| {}
        }
        room[0..welcome_bytes].* = parties.welcome;
        if (size != welcome_bytes) {
            if (parties.client.welcome(room[0..size])) |_| return error.Taken else |_| {}
        }
        room[0..parties.initiate.len].* = parties.initiate;
        if (size != parties.initiate.len) {
            const verdict = parties.answer_initiate(room[0..size], TestParties.connection);
            if (verdict) return error.Taken else |_| {}
        }
        room[0..parties.ready.len].* = parties.ready;
        if (size != parties.ready.len) {
            var cipher: Cipher = undefined;
            if (parties.client.ready(room[0..size], &cipher)) |_| return error.Taken else |_| {}
        }
    }
}

test "curve: an old INITIATE opens another connection, and its traffic is encrypted twice alike" {
    var parties: TestParties = undefined;
    try parties.connect();
    var again = parties.initiate;
    const other = TestParties.connection + 1;
    try testing.expectError(error.Cryptographic, parties.answer_initiate(&again, other));
    // Nor does it when the context has changed its key and forgotten the one before.
    parties.cookie_key = .init(parties.source.random());
    again = parties.initiate;
    const verdict = parties.answer_initiate(&again, TestParties.connection);
    try testing.expectError(error.Cryptographic, verdict);
}

test "curve: a vouch made for another server is passed on" {
    var parties: TestParties = undefined;
    try parties.init();
    try parties.answer_hello(&parties.hello);
    const answer = try parties.client.welcome(&parties.welcome);
    var keys = parties.client_keys;
    keys.server[5] ^= 1;
    const random = parties.source.random();
    try parties.client.initiate(&parties.initiate, &keys, &answer, "a=b c", random);
    const verdict = parties.answer_initiate(&parties.initiate, TestParties.connection);
    try testing.expectError(error.KeyExchange, verdict);
}

test "curve: a message that was recorded, reordered or changed is delivered" {
    var parties: TestParties = undefined;
    try parties.connect();
    var stream: sodium.Series.Scratch = undefined;
    const client = &parties.client_cipher;
    const server = &parties.server_cipher;
    const size = comptime frame.header_size_short + message_extra + 5;
    var frames: [3][size]u8 = undefined;
    for (&frames) |*target| client.seal(target, 0, "hello", &stream);
    // A gap is none of the receiver's business: the second and not the first.
    var second = frames[1];
    const opened = try server.open(0, second[2..], &stream);
    try testing.expectEqualStrings("hello", opened.body);
    for ([_]usize{ 0, 1 }) |old| {
        var copy = frames[old];
        try testing.expectError(error.InvalidSequence, server.open(0, copy[2..], &stream));
    }
    const before = server.received;
    for (16..(size) * 8) |bit| {
        var changed = frames[2];
        changed[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
        const written = changed;
        if (server.open(0, changed[2..], &stream)) |_| return error.Taken else |_| {}
        try testing.expectEqualSlices(u8, &written, &changed);
        try testing.expectEqual(before, server.received);
    }
    var last = frames[2];
    for ([_]u8{ frame.flag_more, frame.flag_command }) |outside| {
        const verdict = server.open(outside, last[2..], &stream);
        try testing.expectError(error.UnexpectedCommand, verdict);
    }
    _ = try server.open(0, last[2..], &stream);
    // The last number of all, then one that is none.
    client.sent = std.math.maxInt(u64) - 1;
    var end: [size]u8 = undefined;
    client.seal(&end, 0, "hello", &stream);
    var copy = end;
    _ = try server.open(0, copy[2..], &stream);
    try testing.expectError(error.InvalidSequence, server.open(0, end[2..], &stream));
    for (0..message_extra) |short| {
        var cut = frames[0];
        if (server.open(0, cut[2..][0..short], &stream)) |_| return error.Taken else |_| {}
    }
}
