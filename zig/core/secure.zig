//! Traffic inside CURVE: frames of the send queue become MESSAGE frames, and back.
//!
//!     pipe.send: frames ──seal──▶ sealed ──▶ kernel ──▶ arena ──open──▶ frames ──▶ engine.scan
//!
//! The queue keeps its frames until the kernel has taken what was made of them, since keys end with
//! their connection: the next one begins with the first frame that has not gone out whole.
//! Encrypting is the copy into `sealed`, decrypting happens where the bytes are; the frames that
//! come out of it lie one behind the other, so that the engine reads them as it reads any others.

const std = @import("std");
const assert = std.debug.assert;

const constants = @import("../constants.zig");
const curve = @import("../zmtp/curve.zig");
const frame = @import("../zmtp/frame.zig");
const move_down = @import("../stdx/copy.zig").move_down;
const Reason = @import("monitor.zig").Reason;
const SendQueue = @import("send_queue.zig").SendQueue;
const slab = @import("../stdx/slab.zig");
const Slabs = slab.Slabs;
const sodium = @import("../crypto/sodium.zig");

pub const Secure = struct {
    cipher: curve.Cipher,
    /// Whole MESSAGE frames; taken only while there is something to send.
    sealed: slab.Block = &.{},
    sealed_bytes: u32 = 0,
    /// The kernel has taken so much.
    sent: u32 = 0,
    /// The queue has been told of the frames before this.
    told: u32 = 0,

    pub fn create(slabs: *Slabs, cipher: *const curve.Cipher) error{OutOfMemory}!*Secure {
        const secure = try slabs.create(Secure);
        secure.* = .{ .cipher = cipher.* };
        return secure;
    }

    pub fn destroy(secure: *Secure, slabs: *Slabs) void {
        secure.free_sealed(slabs);
        secure.cipher.wipe();
        slabs.destroy(secure);
    }

    fn free_sealed(secure: *Secure, slabs: *Slabs) void {
        if (secure.sealed.len > 0) slabs.free(secure.sealed);
        secure.sealed = &.{};
        secure.sealed_bytes = 0;
        secure.sent = 0;
        secure.told = 0;
    }

    /// Goes on where another one was: these frames are the first ones of the queue.
    pub fn restore(
        secure: *Secure,
        slabs: *Slabs,
        sealed: []const u8,
        sent: u32,
    ) error{OutOfMemory}!void {
        assert(secure.sealed_bytes == 0 and sent <= sealed.len);
        if (sealed.len == 0) return;
        secure.sealed = try slabs.allocate(sealed.len);
        @memcpy(secure.sealed[0..sealed.len], sealed);
        secure.sealed_bytes = @intCast(sealed.len);
        secure.sent = sent;
    }

    /// What is to be sent next; empty: nothing. Encrypts the first frames of the queue when all
    /// that was encrypted has gone.
    pub fn pending(
        secure: *Secure,
        slabs: *Slabs,
        queue: *SendQueue,
        stream: *sodium.Series.Scratch,
    ) error{OutOfMemory}![]const u8 {
        if (secure.sent == secure.sealed_bytes) {
            secure.free_sealed(slabs);
            if (queue.empty()) return "";
            try secure.seal(slabs, queue, stream);
        }
        return secure.sealed[secure.sent..secure.sealed_bytes];
    }

    const vectors_max = 64;

    fn seal(
        secure: *Secure,
        slabs: *Slabs,
        queue: *SendQueue,
        stream: *sodium.Series.Scratch,
    ) error{OutOfMemory}!void {
        var vectors: [vectors_max]std.posix.iovec_const = undefined;
        var frames: Frames = .{ .vectors = vectors[0..queue.gather(&vectors)] };
        var next = frames.next().?;
        // Small frames grow most: room for as many as there are messages, of one part each.
        const wanted = queue.bytes + @as(u64, queue.messages) * message_growth_max;
        const first = curve.Cipher.sealed_bytes(next.body.len);
        const room = @max(first, @min(wanted, constants.segment_bytes));
        secure.sealed = slabs.allocate(@intCast(room)) catch try slabs.allocate(first);
        while (true) {
            const size = curve.Cipher.sealed_bytes(next.body.len);
            if (size > secure.sealed.len - secure.sealed_bytes) break;
            const target = secure.sealed[secure.sealed_bytes..][0..size];
            secure.cipher.seal(target, next.flags, next.body, stream);
            secure.sealed_bytes += @intCast(size);
            queue.held += @intCast(frame_bytes(next.body.len));
            next = frames.next() orelse break;
        }
        assert(secure.sealed_bytes > 0);
    }

    const message_growth_max = curve.message_extra + frame.header_size_max;

    /// The kernel took so many bytes of what is pending. Returns the bytes of the frames that have
    /// gone out whole by that, as they are in the queue.
    pub fn advance(secure: *Secure, count: usize) usize {
        secure.sent += @intCast(count);
        assert(secure.sent <= secure.sealed_bytes);
        var plain: usize = 0;
        while (secure.told < secure.sent) {
            const header = frame.decode(secure.sealed[secure.told..secure.sealed_bytes]).?;
            const size = header.header_size + @as(usize, @intCast(header.body_size));
            if (secure.told + size > secure.sent) break;
            secure.told += @intCast(size);
            plain += frame_bytes(@as(usize, @intCast(header.body_size)) - curve.message_extra);
        }
        return plain;
    }

    /// Bytes of the queue that are encrypted and not known to have gone: they must stay as they
    /// are.
    pub fn held(secure: *const Secure) u32 {
        var plain: u32 = 0;
        var position = secure.told;
        while (position < secure.sealed_bytes) {
            const header = frame.decode(secure.sealed[position..secure.sealed_bytes]).?;
            const body_bytes: usize = @intCast(header.body_size);
            position += @intCast(header.header_size + body_bytes);
            plain += @intCast(frame_bytes(body_bytes - curve.message_extra));
        }
        return plain;
    }

    pub const Opened = struct {
        /// Frames as they would have come without encryption, at the beginning of what was given.
        frames: []u8,
        /// Bytes that they were made of.
        consumed: u32,
        then: union(enum) {
            /// Nothing, or the beginning of a frame.
            rest,
            /// A frame that gets a buffer of its own.
            large: struct { header_bytes: u32, body_bytes: u32 },
            failure: Reason,
        } = .rest,
    };

    pub const Limits = struct { frame_bytes_max: u64, arena_frame_bytes_max: u32 };

    /// Decrypts the whole frames at the beginning of `bytes` in place and moves them together.
    pub fn open(
        secure: *Secure,
        bytes: []u8,
        limits: Limits,
        stream: *sodium.Series.Scratch,
    ) Opened {
        var written: u32 = 0;
        var position: u32 = 0;
        var result: Opened = .{ .frames = &.{}, .consumed = 0 };
        while (frame.decode(bytes[position..])) |header| {
            // Compared in 64 bits before anything is narrowed or added.
            if (header.body_size > limits.frame_bytes_max + curve.message_extra) {
                result.then = .{ .failure = .frame_too_large };
                break;
            }
            if (bytes[position] & frame.flags_reserved != 0) {
                result.then = .{ .failure = .reserved_flags };
                break;
            }
            // Also before the whole of a large one is here.
            if (bytes[position] & ~frame.flag_large != 0) {
                result.then = .{ .failure = .message_not_secured };
                break;
            }
            const header_bytes: u32 = header.header_size;
            const body_bytes: u32 = @intCast(header.body_size);
            if (body_bytes > bytes.len - position - header_bytes) {
                if (body_bytes > limits.arena_frame_bytes_max) result.then = .{ .large = .{
                    .header_bytes = header_bytes,
                    .body_bytes = body_bytes,
                } };
                break;
            }
            const box = bytes[position + header_bytes ..][0..body_bytes];
            const opened = secure.cipher.open(header.flags, box, stream) catch |fault| {
                result.then = .{ .failure = Secure.reason_of(fault) };
                break;
            };
            position += header_bytes + body_bytes;
            // What is written ends before the body: MESSAGE is longer than any header.
            var head: [frame.header_size_max]u8 = undefined;
            const size: u32 = @intCast(frame.encode(&head, opened.flags, opened.body.len));
            const target = bytes[written..][0 .. size + opened.body.len];
            assert(@intFromPtr(target.ptr) + size <= @intFromPtr(opened.body.ptr));
            move_down(target[size..], opened.body);
            @memcpy(target[0..size], head[0..size]);
            written += @intCast(target.len);
        }
        result.frames = bytes[0..written];
        result.consumed = position;
        return result;
    }

    /// Decrypts the body of a large frame in place.
    pub fn open_large(
        secure: *Secure,
        body: []u8,
        stream: *sodium.Series.Scratch,
    ) curve.Error!curve.Cipher.Opened {
        return secure.cipher.open(0, body, stream);
    }

    pub fn reason_of(fault: curve.Error) Reason {
        return switch (fault) {
            error.UnexpectedCommand => .message_not_secured,
            error.InvalidSequence => .message_replayed,
            error.Cryptographic => .message_forged,
            else => .message_malformed,
        };
    }
};

fn frame_bytes(body_bytes: usize) usize {
    const header: usize = if (body_bytes > frame.body_size_short_max)
        frame.header_size_max
    else
        frame.header_size_short;
    return header + body_bytes;
}

/// The frames of what a queue gathers: whole ones, or a header and its payload in two pieces.
const Frames = struct {
    vectors: []const std.posix.iovec_const,
    position: usize = 0,

    const Frame = struct { flags: u8, body: []const u8 };

    fn next(frames: *Frames) ?Frame {
        if (frames.vectors.len == 0) return null;
        const vector = frames.vectors[0];
        const bytes = vector.base[frames.position..vector.len];
        const header = frame.decode(bytes).?;
        const body_bytes: usize = @intCast(header.body_size);
        const behind = bytes[header.header_size..];
        if (behind.len >= body_bytes) {
            frames.step(header.header_size + body_bytes);
            return .{ .flags = header.flags, .body = behind[0..body_bytes] };
        }
        // Borrowed: the payload is where its owner has it.
        assert(behind.len == 0 and frames.vectors.len > 1);
        const payload = frames.vectors[1];
        assert(payload.len == body_bytes);
        frames.vectors = frames.vectors[2..];
        frames.position = 0;
        return .{ .flags = header.flags, .body = payload.base[0..payload.len] };
    }

    fn step(frames: *Frames, bytes: usize) void {
        frames.position += bytes;
        if (frames.position < frames.vectors[0].len) return;
        frames.vectors = frames.vectors[1..];
        frames.position = 0;
    }
};

const testing = std.testing;

const TestLink = struct {
    slabs: Slabs,
    from: Secure,
    to: Secure,
    queue: SendQueue = .{},
    stream: sodium.Series.Scratch = undefined,

    fn init() !TestLink {
        try sodium.init();
        const key: sodium.SharedKey = @splat(7);
        const there = sodium.Series.init(&key, "CurveZMQMESSAGEC");
        const back = sodium.Series.init(&key, "CurveZMQMESSAGES");
        return .{
            .slabs = .init(64 * 1024 * 1024),
            .from = .{ .cipher = .{
                .sending = there,
                .receiving = back,
                .sent = 2,
                .received = 1,
            } },
            .to = .{ .cipher = .{
                .sending = back,
                .receiving = there,
                .sent = 1,
                .received = 2,
            } },
        };
    }

    fn deinit(link: *TestLink) void {
        link.from.free_sealed(&link.slabs);
        _ = link.queue.clear(&link.slabs);
        assert(link.slabs.live_blocks == 0);
        link.slabs.deinit();
    }
};

test "secure: what the kernel took in pieces is told to the queue too early, or twice" {
    var link = try TestLink.init();
    defer link.deinit();
    var prng: @import("../stdx/prng.zig").Prng = .init(11);
    var payload: [5000]u8 = undefined;
    for (&payload, 0..) |*byte, i| byte.* = @truncate(i *% 29);
    var received: std.ArrayList(u8) = .empty;
    defer received.deinit(testing.allocator);
    var expected: std.ArrayList(u8) = .empty;
    defer expected.deinit(testing.allocator);
    for (0..400) |round| {
        const size = prng.below(if (round % 9 == 0) payload.len else 300);
        const part = payload[0..size];
        const more = prng.below(3) == 0;
        try link.queue.push(&link.slabs, part, more, prng.below(2) == 0);
        var head: [frame.header_size_max]u8 = undefined;
        const flags: u8 = if (more) frame.flag_more else 0;
        const header = head[0..frame.encode(&head, flags, part.len)];
        try expected.appendSlice(testing.allocator, header);
        try expected.appendSlice(testing.allocator, part);
        if (prng.below(4) == 0) continue;
        const slabs = &link.slabs;
        const pending = try link.from.pending(slabs, &link.queue, &link.stream);
        const taken = prng.below(pending.len + 1);
        try received.appendSlice(testing.allocator, pending[0..taken]);
        const before = link.queue.bytes;
        const held = link.from.held();
        const told = link.from.advance(taken);
        try testing.expectEqual(held - told, link.from.held());
        link.queue.advance(slabs, told);
        try testing.expectEqual(before - told, link.queue.bytes);
    }
    try link.queue.push(&link.slabs, "end", false, false);
    try expected.appendSlice(testing.allocator, "\x00\x03end");
    while (true) {
        const pending = try link.from.pending(&link.slabs, &link.queue, &link.stream);
        if (pending.len == 0) break;
        try received.appendSlice(testing.allocator, pending);
        link.queue.advance(&link.slabs, link.from.advance(pending.len));
    }
    try testing.expect(link.queue.empty());

    // Arriving in pieces of any size, it is what was sent.
    var plain: std.ArrayList(u8) = .empty;
    defer plain.deinit(testing.allocator);
    var begin: usize = 0;
    var end: usize = 0;
    while (begin < received.items.len) {
        end = @min(received.items.len, end + prng.below(700));
        const opened = link.to.open(received.items[begin..end], .{
            .frame_bytes_max = payload.len,
            .arena_frame_bytes_max = payload.len + curve.message_extra,
        }, &link.stream);
        try testing.expectEqual(.rest, std.meta.activeTag(opened.then));
        try plain.appendSlice(testing.allocator, opened.frames);
        begin += opened.consumed;
    }
    try testing.expectEqualSlices(u8, expected.items, plain.items);
}

test "secure: a frame that is too large, forged or not encrypted is delivered" {
    var link = try TestLink.init();
    defer link.deinit();
    const limits: Secure.Limits = .{ .frame_bytes_max = 100, .arena_frame_bytes_max = 120 };
    const Case = struct { []const u8, Reason };
    const cases = [_]Case{
        .{ "\x00\x86", .frame_too_large },
        .{ "\x02\xff\xff\xff\xff\xff\xff\xff\xff", .frame_too_large },
        .{ "\x02\x00\x00\x00\x01\x00\x00\x00\x00", .frame_too_large },
        .{ "\x80\x01", .reserved_flags },
        .{ "\x00\x05hello", .message_not_secured },
        .{ "\x04\x07\x04PING\x00\x00", .message_not_secured },
        .{ "\x00\x0a\x07MESSAGE12", .message_malformed },
        .{ "\x00\x21\x07MESSAGE" ++ "\x00" ** 25, .message_replayed },
        .{ "\x00\x21\x07MESSAGE" ++ "\x01" ** 25, .message_forged },
        .{ "\x04\x21\x07MESSAGE" ++ "\x01" ** 25, .message_not_secured },
    };
    for (cases) |case| {
        var buffer: [64]u8 = undefined;
        const bytes = buffer[0..case[0].len];
        @memcpy(bytes, case[0]);
        const opened = link.to.open(bytes, limits, &link.stream);
        try testing.expectEqual(0, opened.frames.len);
        try testing.expectEqual(case[1], opened.then.failure);
        try testing.expectEqual(2, link.to.cipher.received);
    }
    var large: [9]u8 = "\x00\x79\x07MESSAG".*;
    const opened = link.to.open(&large, limits, &link.stream);
    try testing.expectEqual(0x79, opened.then.large.body_bytes);
}
