//! Bytes as a hostile peer would write them: what is right, and then a little wrong.

const std = @import("std");

const Prng = @import("../stdx/prng.zig").Prng;
const allocator = @import("../sim/memory.zig").allocator;

pub const Bytes = std.ArrayList(u8);

/// Values at which something changes.
const interesting = [_]u8{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x1f, 0x7f, 0x80, 0xf8, 0xfe, 0xff };
const lengths = [_]u64{
    0,             1,             255,           256,           32 * 1024 - 9,  32 * 1024 - 8,
    32 * 1024,     65535,         65536,         (1 << 20),     (1 << 20) + 16, (1 << 20) + 17,
    (1 << 31) - 1, (1 << 31),     (1 << 32) - 1, (1 << 32),     (1 << 40),      (1 << 63) - 1,
    (1 << 63),     (1 << 64) - 9, (1 << 64) - 2, (1 << 64) - 1,
};

pub fn length(prng: *Prng) u64 {
    return prng.pick(u64, &lengths);
}

/// Small numbers as often as large ones.
pub fn size(prng: *Prng, max: u64) usize {
    const bits = prng.below(65 - @clz(max));
    return @intCast(@min(max, prng.below(@as(u64, 1) << @intCast(bits))));
}

pub fn append_noise(prng: *Prng, bytes: *Bytes, count: usize) !void {
    const target = try bytes.addManyAsSlice(allocator, count);
    switch (prng.below(3)) {
        0 => prng.fill(target),
        1 => @memset(target, prng.pick(u8, &interesting)),
        else => for (target) |*byte| {
            byte.* = prng.pick(u8, &interesting);
        },
    }
}

/// Changes a few places at or behind `from`.
pub fn mutate(prng: *Prng, bytes: *Bytes, from: usize) !void {
    const changes = 1 + size(prng, 8);
    for (0..changes) |_| {
        const len = bytes.items.len;
        if (len <= from) return append_noise(prng, bytes, 1 + size(prng, 64));
        const place = from + @as(usize, @intCast(prng.below(len - from)));
        const some = @min(1 + size(prng, 32), len - place);
        switch (prng.below(8)) {
            0 => bytes.items[place] ^= @as(u8, 1) << @intCast(prng.below(8)),
            1, 2 => bytes.items[place] = prng.pick(u8, &interesting),
            3 => bytes.items.len = place,
            4 => bytes.replaceRangeAssumeCapacity(place, some, &.{}),
            5 => {
                var copy: [33]u8 = undefined;
                @memcpy(copy[0..some], bytes.items[place..][0..some]);
                try bytes.insertSlice(allocator, place, copy[0..some]);
            },
            6 => if (len - place >= 8) {
                std.mem.writeInt(u64, bytes.items[place..][0..8], length(prng), .big);
            },
            else => {
                var noise: Bytes = .empty;
                defer noise.deinit(allocator);
                try append_noise(prng, &noise, some);
                try bytes.insertSlice(allocator, place, noise.items);
            },
        }
    }
}

/// A frame with any header that says `body.len`, short or long as it likes.
pub fn append_frame(prng: *Prng, bytes: *Bytes, flags: u8, body: []const u8) !void {
    const long = body.len > 255 or prng.chance(1, 16);
    try bytes.append(allocator, if (long) flags | 2 else flags);
    if (long) {
        var field: [8]u8 = undefined;
        std.mem.writeInt(u64, &field, body.len, .big);
        try bytes.appendSlice(allocator, &field);
    } else try bytes.append(allocator, @intCast(body.len));
    try bytes.appendSlice(allocator, body);
}

const names = [_][]const u8{
    "PING",  "PONG",  "SUBSCRIBE", "CANCEL",   "JOIN",    "LEAVE", "READY",
    "ERROR", "HELLO", "WELCOME",   "INITIATE", "MESSAGE", "X",     "ping",
};

pub fn append_command(prng: *Prng, bytes: *Bytes) !void {
    var body: Bytes = .empty;
    defer body.deinit(allocator);
    const name = prng.pick([]const u8, &names);
    try body.append(allocator, @intCast(name.len));
    try body.appendSlice(allocator, name);
    if (name[0] == 'P' and prng.chance(15, 16)) {
        try body.appendSlice(allocator, if (name[1] == 'I') "\x00\x0a" else "");
    }
    const data = if (prng.chance(1, 50)) size(prng, 40_000) else size(prng, 40);
    try append_noise(prng, &body, data);
    if (prng.chance(1, 64)) try mutate(prng, &body, 0);
    try append_frame(prng, bytes, 4, body.items);
}

/// Messages and commands, with now and then something that is neither.
pub fn append_traffic(prng: *Prng, bytes: *Bytes, count: usize) !void {
    var body: Bytes = .empty;
    defer body.deinit(allocator);
    for (0..count) |_| {
        if (prng.chance(1, 4)) {
            try append_command(prng, bytes);
            continue;
        }
        body.clearRetainingCapacity();
        const bytes_max: u64 = if (prng.chance(1, 40)) 70_000 else 600;
        try append_noise(prng, &body, size(prng, bytes_max));
        // What publishers and others look at.
        if (prng.chance(1, 4)) try body.insert(allocator, 0, @intCast(prng.below(3)));
        const flags: u8 = if (prng.chance(1, 3)) 1 else 0;
        try append_frame(prng, bytes, flags, body.items);
    }
}

/// Where to cut: a few places, in order.
pub fn cuts(prng: *Prng, len: usize, buffer: []usize) []usize {
    const count = @min(1 + size(prng, buffer.len), buffer.len);
    for (buffer[0..count]) |*place| place.* = @intCast(prng.below(len + 1));
    std.mem.sort(usize, buffer[0..count], {}, std.sort.asc(usize));
    return buffer[0..count];
}
