//! Traffic inside CURVE with changes, in any pieces: what comes before the first change is
//! delivered, and nothing behind it.

const std = @import("std");
const testing = std.testing;

const allocator = @import("../sim/memory.zig").allocator;
const bytes_module = @import("bytes.zig");
const curve = @import("../zmtp/curve.zig");
const frame = @import("../zmtp/frame.zig");
const Prng = @import("../stdx/prng.zig").Prng;
const Reason = @import("../core/monitor.zig").Reason;
const Secure = @import("../core/secure.zig").Secure;
const sodium = @import("../crypto/sodium.zig");

/// Small, so that many are large.
const limits: Secure.Limits = .{ .frame_bytes_max = 5000, .arena_frame_bytes_max = 1000 };

const Sent = struct {
    bytes: bytes_module.Bytes = .empty,
    /// Where each frame ends there, and where its content ends in `plain`.
    ends: std.ArrayList([2]usize) = .empty,
    plain: bytes_module.Bytes = .empty,

    fn deinit(sent: *Sent) void {
        sent.bytes.deinit(allocator);
        sent.ends.deinit(allocator);
        sent.plain.deinit(allocator);
    }

    fn fill(sent: *Sent, prng: *Prng, cipher: *curve.Cipher) !void {
        var stream: sodium.Series.Scratch = undefined;
        var body: bytes_module.Bytes = .empty;
        defer body.deinit(allocator);
        for (0..1 + bytes_module.size(prng, 20)) |_| {
            body.clearRetainingCapacity();
            try bytes_module.append_noise(prng, &body, bytes_module.size(prng, 5000));
            const flags = prng.pick(u8, &.{ 0, 0, frame.flag_more, frame.flag_command });
            const size = curve.Cipher.sealed_bytes(body.items.len);
            const target = try sent.bytes.addManyAsSlice(allocator, size);
            // Numbers may be left out.
            if (prng.chance(1, 8)) cipher.sent += prng.below(1000);
            cipher.seal(target, flags, body.items, &stream);
            try append_frame(&sent.plain, flags, body.items);
            try sent.ends.append(allocator, .{ sent.bytes.items.len, sent.plain.items.len });
        }
    }
};

fn append_frame(out: *bytes_module.Bytes, flags: u8, body: []const u8) !void {
    var header: [frame.header_size_max]u8 = undefined;
    const size = frame.encode(&header, flags, body.len);
    try out.appendSlice(allocator, header[0..size]);
    try out.appendSlice(allocator, body);
}

const Opened = struct {
    plain: bytes_module.Bytes = .empty,
    failure: ?Reason = null,
    received: u64 = 0,

    fn deinit(opened: *Opened) void {
        opened.plain.deinit(allocator);
    }

    /// As a session does it: a tail that is kept, and large frames gathered apart.
    fn read(opened: *Opened, cipher: curve.Cipher, bytes: []const u8, cuts: []const usize) !void {
        var secure: Secure = .{ .cipher = cipher };
        var stream: sodium.Series.Scratch = undefined;
        var waiting: bytes_module.Bytes = .empty;
        defer waiting.deinit(allocator);
        var large: ?usize = null;
        var begin: usize = 0;
        for (0..cuts.len + 1) |index| {
            const end = if (index < cuts.len) cuts[index] else bytes.len;
            try waiting.appendSlice(allocator, bytes[begin..end]);
            begin = end;
            while (opened.failure == null) {
                if (large) |size| {
                    if (waiting.items.len < size) break;
                    large = null;
                    try opened.open_large(&secure, waiting.items[0..size], &stream);
                    waiting.replaceRangeAssumeCapacity(0, size, &.{});
                    continue;
                }
                const it = secure.open(waiting.items, limits, &stream);
                try testing.expect(it.consumed <= waiting.items.len);
                try opened.plain.appendSlice(allocator, it.frames);
                var consumed: usize = it.consumed;
                switch (it.then) {
                    .rest => {},
                    .failure => |reason| opened.failure = reason,
                    .large => |found| {
                        consumed += found.header_bytes;
                        large = found.body_bytes;
                    },
                }
                waiting.replaceRangeAssumeCapacity(0, consumed, &.{});
                if (it.then == .rest) break;
            }
        }
        opened.received = secure.cipher.received;
    }

    fn open_large(
        opened: *Opened,
        secure: *Secure,
        box: []u8,
        stream: *sodium.Series.Scratch,
    ) !void {
        const it = secure.open_large(box, stream) catch |fault| {
            opened.failure = Secure.reason_of(fault);
            return;
        };
        try append_frame(&opened.plain, it.flags, it.body);
    }
};

pub fn run(prng: *Prng) !void {
    try sodium.init();
    var key: sodium.SharedKey = undefined;
    prng.fill(&key);
    const there = sodium.Series.init(&key, "CurveZMQMESSAGEC");
    const back = sodium.Series.init(&key, "CurveZMQMESSAGES");
    const first = prng.below(3);
    const start: u64 = if (first == 2) std.math.maxInt(u64) - 30_000 else first;
    var from: curve.Cipher = .{
        .sending = there,
        .receiving = back,
        .sent = start,
        .received = 0,
    };
    const to: curve.Cipher = .{
        .sending = back,
        .receiving = there,
        .sent = 0,
        .received = start,
    };
    var sent: Sent = .{};
    defer sent.deinit();
    try sent.fill(prng, &from);
    var bytes: bytes_module.Bytes = .empty;
    defer bytes.deinit(allocator);
    try bytes.appendSlice(allocator, sent.bytes.items);
    switch (prng.below(8)) {
        0 => {},
        1 => try play_again(prng, &sent, &bytes),
        else => try bytes_module.mutate(prng, &bytes, bytes_module.size(prng, bytes.items.len)),
    }
    const same = std.mem.findDiff(u8, sent.bytes.items, bytes.items) orelse bytes.items.len;

    var whole: Opened = .{};
    defer whole.deinit();
    try whole.read(to, bytes.items, &.{});
    var buffer: [40]usize = undefined;
    var cut: Opened = .{};
    defer cut.deinit();
    try cut.read(to, bytes.items, bytes_module.cuts(prng, bytes.items.len, &buffer));
    try testing.expectEqual(whole.failure, cut.failure);
    try testing.expectEqual(whole.received, cut.received);
    try testing.expectEqualSlices(u8, whole.plain.items, cut.plain.items);
    try check(&sent, &whole, same);
}

/// A frame comes twice, or two have changed their places.
fn play_again(prng: *Prng, sent: *const Sent, bytes: *bytes_module.Bytes) !void {
    const ends = sent.ends.items;
    const index: usize = @intCast(prng.below(ends.len));
    const begin = if (index == 0) 0 else ends[index - 1][0];
    const later = ends[index + @as(usize, @intCast(prng.below(ends.len - index)))][0];
    try bytes.insertSlice(allocator, later, sent.bytes.items[begin..ends[index][0]]);
    if (prng.boolean()) bytes.replaceRangeAssumeCapacity(begin, ends[index][0] - begin, &.{});
}

fn check(sent: *const Sent, opened: *const Opened, same: usize) !void {
    var whole: usize = 0;
    var plain: usize = 0;
    for (sent.ends.items) |end| {
        if (end[0] > same) break;
        whole = end[0];
        plain = end[1];
    }
    try testing.expect(opened.plain.items.len >= plain);
    try testing.expectEqualSlices(u8, sent.plain.items[0..plain], opened.plain.items[0..plain]);
    // A gap is taken, and so is a length that is written at length: never what was not sent.
    var rest = opened.plain.items[plain..];
    var from = plain;
    while (rest.len > 0) {
        const size = frame_bytes(rest);
        from = find(sent, from, rest[0..size]) orelse return error.Taken;
        rest = rest[size..];
    }
}

fn frame_bytes(bytes: []const u8) usize {
    const header = frame.decode(bytes).?;
    return header.header_size + @as(usize, @intCast(header.body_size));
}

/// Where a frame ends that was sent behind this place.
fn find(sent: *const Sent, from: usize, wanted: []const u8) ?usize {
    var begin = from;
    while (begin < sent.plain.items.len) {
        const size = frame_bytes(sent.plain.items[begin..]);
        if (std.mem.eql(u8, sent.plain.items[begin..][0..size], wanted)) return begin + size;
        begin += size;
    }
    return null;
}
