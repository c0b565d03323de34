//! libsodium: the only file that declares its symbols. Typed keys and nonces, nothing of ZMTP.
//!
//! A box is authenticated encryption: XSalsa20 and Poly1305 under a key that two parties share, 16
//! bytes of authenticator in front. crypto_box makes that key of one's secret and the other's
//! public key (Curve25519), secretbox is given one.

const std = @import("std");
const assert = std.debug.assert;

pub const key_bytes = 32;
pub const nonce_bytes = 24;
pub const authenticator_bytes = 16;

pub const PublicKey = [key_bytes]u8;
pub const SecretKey = [key_bytes]u8;
/// What both parties make of their keys.
pub const SharedKey = [key_bytes]u8;
pub const Nonce = [nonce_bytes]u8;

const c = struct {
    extern fn sodium_init() c_int;
    extern fn randombytes_buf(bytes: [*]u8, len: usize) void;
    extern fn sodium_memzero(bytes: [*]u8, len: usize) void;
    extern fn sodium_memcmp(a: [*]const u8, b: [*]const u8, len: usize) c_int;
    extern fn sodium_malloc(len: usize) ?[*]u8;
    extern fn sodium_free(bytes: ?[*]u8) void;
    extern fn crypto_scalarmult_base(public: *PublicKey, secret: *const SecretKey) c_int;
    extern fn crypto_box_beforenm(
        key: *SharedKey,
        public: *const PublicKey,
        secret: *const SecretKey,
    ) c_int;
    extern fn crypto_secretbox_easy(
        box: [*]u8,
        message: [*]const u8,
        len: u64,
        nonce: *const Nonce,
        key: *const SharedKey,
    ) c_int;
    extern fn crypto_secretbox_detached(
        box: [*]u8,
        authenticator: *[authenticator_bytes]u8,
        message: [*]const u8,
        len: u64,
        nonce: *const Nonce,
        key: *const SharedKey,
    ) c_int;
    extern fn crypto_secretbox_open_easy(
        message: [*]u8,
        box: [*]const u8,
        len: u64,
        nonce: *const Nonce,
        key: *const SharedKey,
    ) c_int;
    extern fn crypto_core_hsalsa20(
        out: *[32]u8,
        in: *const [16]u8,
        key: *const SharedKey,
        constant: ?*const [16]u8,
    ) c_int;
    extern fn crypto_stream_salsa20_xor_ic(
        out: [*]u8,
        in: [*]const u8,
        len: u64,
        nonce: *const [8]u8,
        counter: u64,
        key: *const [32]u8,
    ) c_int;
    extern fn crypto_onetimeauth_poly1305(
        out: *[authenticator_bytes]u8,
        in: [*]const u8,
        len: u64,
        key: *const [32]u8,
    ) c_int;
    extern fn crypto_onetimeauth_poly1305_verify(
        authenticator: *const [authenticator_bytes]u8,
        in: [*]const u8,
        len: u64,
        key: *const [32]u8,
    ) c_int;
};

/// Chooses the fastest code for this processor; before anything else, from any thread, as often as
/// one likes.
pub fn init() error{Unavailable}!void {
    if (c.sodium_init() < 0) return error.Unavailable;
}

pub fn random(bytes: []u8) void {
    c.randombytes_buf(bytes.ptr, bytes.len);
}

/// Overwrites a secret; the compiler does not leave it out.
pub fn wipe(secret: anytype) void {
    const bytes = std.mem.asBytes(secret);
    c.sodium_memzero(bytes, bytes.len);
}

pub fn wipe_bytes(secret: []u8) void {
    c.sodium_memzero(secret.ptr, secret.len);
}

/// Takes as long for bytes that are equal as for others.
pub fn equal(comptime size: usize, a: *const [size]u8, b: *const [size]u8) bool {
    return c.sodium_memcmp(a, b, size) == 0;
}

/// Memory for a secret: between pages that nobody may touch, locked where the limits allow it, left
/// out of core dumps, overwritten when it is freed.
pub fn create_secret(comptime T: type) error{OutOfMemory}!*T {
    const bytes = c.sodium_malloc(@sizeOf(T)) orelse return error.OutOfMemory;
    // Aligned to its end, so to what T wants as long as its size is a multiple of that.
    return @ptrCast(@alignCast(bytes));
}

pub fn destroy_secret(secret: anytype) void {
    c.sodium_free(@ptrCast(secret));
}

/// The public key of a secret one.
pub fn public_key(secret: *const SecretKey) PublicKey {
    var public: PublicKey = undefined;
    // Fails for no input.
    assert(c.crypto_scalarmult_base(&public, secret) == 0);
    return public;
}

/// Fails for public keys of small order, with which anybody could know the result.
pub fn shared_key(
    key: *SharedKey,
    public: *const PublicKey,
    secret: *const SecretKey,
) error{BadKey}!void {
    if (c.crypto_box_beforenm(key, public, secret) != 0) return error.BadKey;
}

/// `box` gets 16 bytes more than `message`. They must not overlap.
pub fn seal(box: []u8, message: []const u8, nonce: *const Nonce, key: *const SharedKey) void {
    assert(box.len == message.len + authenticator_bytes);
    // Fails for messages of 2^38 bytes.
    assert(c.crypto_secretbox_easy(box.ptr, message.ptr, message.len, nonce, key) == 0);
}

/// The message lies in `box` already, behind 16 bytes for the authenticator.
pub fn seal_in_place(box: []u8, nonce: *const Nonce, key: *const SharedKey) void {
    assert(box.len >= authenticator_bytes);
    const message = box[authenticator_bytes..];
    assert(c.crypto_secretbox_detached(
        message.ptr,
        box[0..authenticator_bytes],
        message.ptr,
        message.len,
        nonce,
        key,
    ) == 0);
}

/// `message` has 16 bytes less than `box` and may be a part of it.
pub fn open(
    message: []u8,
    box: []const u8,
    nonce: *const Nonce,
    key: *const SharedKey,
) error{Forged}!void {
    if (box.len < authenticator_bytes) return error.Forged;
    assert(message.len == box.len - authenticator_bytes);
    if (c.crypto_secretbox_open_easy(message.ptr, box.ptr, box.len, nonce, key) != 0) {
        return error.Forged;
    }
}

/// Boxes whose nonces begin with the same 16 bytes. XSalsa20 turns key and those bytes into a key
/// of Salsa20 first, which is done here once for all of them; byte for byte the same as `seal`.
pub const Series = struct {
    key: [32]u8,

    /// Up to here the key stream is made apart from the message and in whole strides.
    const stream_bytes = 2048;
    /// Where it is made. The caller's, since memory of the stack costs as much as a box: it would
    /// be filled with a pattern first.
    pub const Scratch = [stream_bytes]u8;
    /// libsodium makes 512 bytes of key stream at once in the time that 64 take on their own (200
    /// and 170 ns with AVX2), and 448 in four times that.
    const stride_bytes = 512;
    /// Of the key stream: the authenticator's key.
    const one_time_key_bytes = 32;

    pub fn init(shared: *const SharedKey, prefix: *const [16]u8) Series {
        var series: Series = undefined;
        // Fails for no input.
        assert(c.crypto_core_hsalsa20(&series.key, prefix, shared, null) == 0);
        return series;
    }

    /// Boxes `first` and `rest` as one message: `box` gets them encrypted, without the
    /// authenticator. It must not overlap `rest`.
    pub fn seal(
        series: *const Series,
        authenticator: *[authenticator_bytes]u8,
        box: []u8,
        first: u8,
        rest: []const u8,
        nonce: *const [8]u8,
        stream: *Scratch,
    ) void {
        assert(box.len == 1 + rest.len);
        const stream_used = series.stream_of(stream, box.len, nonce);
        const mask = stream[one_time_key_bytes..stream_used];
        box[0] = first ^ mask[0];
        const near = mask.len - 1;
        xor(box[1..][0..near], rest[0..near], mask[1..]);
        if (rest.len > near) series.xor_behind(box[1 + near ..], rest[near..], nonce);
        assert(c.crypto_onetimeauth_poly1305(
            authenticator,
            box.ptr,
            box.len,
            stream[0..one_time_key_bytes],
        ) == 0);
    }

    /// Decrypts in place, if it was made with this key and nonce; otherwise changes nothing.
    pub fn open(
        series: *const Series,
        authenticator: *const [authenticator_bytes]u8,
        box: []u8,
        nonce: *const [8]u8,
        stream: *Scratch,
    ) error{Forged}!void {
        const stream_used = series.stream_of(stream, box.len, nonce);
        if (c.crypto_onetimeauth_poly1305_verify(
            authenticator,
            box.ptr,
            box.len,
            stream[0..one_time_key_bytes],
        ) != 0) return error.Forged;
        const mask = stream[one_time_key_bytes..stream_used];
        xor(box[0..mask.len], box[0..mask.len], mask);
        if (box.len > mask.len) series.xor_behind(box[mask.len..], box[mask.len..], nonce);
    }

    /// What the key stream is made of. libsodium's function without an input clears its output with
    /// memset first, which is Zig's here: a sixth of all that a box of 64 bytes takes.
    const zeros: Scratch = @splat(0);

    /// Begins with the authenticator's key. Returns how much of it a box of this size uses.
    fn stream_of(
        series: *const Series,
        stream: *Scratch,
        box_bytes: usize,
        nonce: *const [8]u8,
    ) usize {
        const used = @min(one_time_key_bytes + box_bytes, stream.len);
        const made = std.mem.alignForward(usize, used, stride_bytes);
        assert(c.crypto_stream_salsa20_xor_ic(stream, &zeros, made, nonce, 0, &series.key) == 0);
        return used;
    }

    fn xor(out: []u8, in: []const u8, mask: []const u8) void {
        assert(out.len == in.len and out.len == mask.len);
        const Lane = @Vector(32, u8);
        var at: usize = 0;
        while (at + 32 <= out.len) : (at += 32) {
            const left: Lane = in[at..][0..32].*;
            const right: Lane = mask[at..][0..32].*;
            out[at..][0..32].* = left ^ right;
        }
        while (at < out.len) : (at += 1) out[at] = in[at] ^ mask[at];
    }

    fn xor_behind(series: *const Series, out: []u8, in: []const u8, nonce: *const [8]u8) void {
        comptime assert(stream_bytes % 64 == 0 and stream_bytes % stride_bytes == 0);
        assert(out.len == in.len);
        const counter = stream_bytes / 64;
        assert(c.crypto_stream_salsa20_xor_ic(
            out.ptr,
            in.ptr,
            in.len,
            nonce,
            counter,
            &series.key,
        ) == 0);
    }
};

const testing = std.testing;

test "sodium: a series of boxes is not what libsodium's own box makes of the same" {
    try init();
    var key: SharedKey = undefined;
    for (&key, 0..) |*byte, i| byte.* = @truncate(i *% 7 +% 3);
    const prefix = "CurveZMQMESSAGEC";
    const series = Series.init(&key, prefix);
    var plain: [5000]u8 = undefined;
    for (&plain, 0..) |*byte, i| byte.* = @truncate(i *% 31 +% 5);
    var expected: [plain.len + authenticator_bytes]u8 = undefined;
    var actual: [plain.len]u8 = undefined;
    var stream: Series.Scratch = undefined;
    for (1..plain.len + 1) |size| {
        if (size > 700 and size % 97 != 0) continue;
        const nonce: Nonce = (prefix ++ "\x00\x00\x00\x00\x00\x01\x02\x03").*;
        seal(expected[0 .. size + authenticator_bytes], plain[0..size], &nonce, &key);
        var authenticator: [authenticator_bytes]u8 = undefined;
        const box = actual[0..size];
        series.seal(&authenticator, box, plain[0], plain[1..size], nonce[16..24], &stream);
        try testing.expectEqualSlices(u8, expected[0..authenticator_bytes], &authenticator);
        try testing.expectEqualSlices(u8, expected[authenticator_bytes..][0..size], box);
        authenticator[3] ^= 1;
        const forged = series.open(&authenticator, box, nonce[16..24], &stream);
        try testing.expectError(error.Forged, forged);
        try testing.expectEqualSlices(u8, expected[authenticator_bytes..][0..size], box);
        authenticator[3] ^= 1;
        try series.open(&authenticator, box, nonce[16..24], &stream);
        try testing.expectEqualSlices(u8, plain[0..size], box);
    }
}

test "sodium: a box opens with another key, another nonce or a changed byte" {
    try init();
    var alice: SecretKey = undefined;
    var bob: SecretKey = undefined;
    random(&alice);
    random(&bob);
    var key: SharedKey = undefined;
    try shared_key(&key, &public_key(&bob), &alice);
    var same: SharedKey = undefined;
    try shared_key(&same, &public_key(&alice), &bob);
    try testing.expect(equal(key_bytes, &key, &same));
    const nonce: Nonce = @splat(9);
    var box: [21]u8 = undefined;
    seal(&box, "hello", &nonce, &key);
    var message: [5]u8 = undefined;
    try open(&message, &box, &nonce, &same);
    try testing.expectEqualStrings("hello", &message);
    for (0..box.len) |index| {
        box[index] ^= 0x80;
        try testing.expectError(error.Forged, open(&message, &box, &nonce, &key));
        box[index] ^= 0x80;
    }
    const other: Nonce = @splat(8);
    try testing.expectError(error.Forged, open(&message, &box, &other, &key));
    key[0] ^= 1;
    try testing.expectError(error.Forged, open(&message, &box, &nonce, &key));
    try testing.expectError(error.Forged, open(message[0..0], box[0..15], &nonce, &key));
}

test "sodium: a key that anybody knows the result of is taken for a peer's" {
    try init();
    var secret: SecretKey = undefined;
    random(&secret);
    var key: SharedKey = undefined;
    const zeros: PublicKey = @splat(0);
    try testing.expectError(error.BadKey, shared_key(&key, &zeros, &secret));
}

test "sodium: a secret is left in memory that was given back" {
    try init();
    const secret = try create_secret([2]SecretKey);
    random(&secret[0]);
    wipe(&secret[0]);
    const zeros: SecretKey = @splat(0);
    try testing.expectEqualSlices(u8, &zeros, &secret[0]);
    destroy_secret(secret);
}
