//! What was sent and what arrived, without a look into the product. A message tells by its bytes
//! which one it is, so whoever gets it can say whether it is whole, comes for the first time, and
//! comes in order.
//!
//!     part 0: [prefix of the pattern][stream, 4][number, 4][filler]      part 1..: [filler]
//!
//! How many parts there are, how long they are and what fills them follows from stream and number.
//! A stream is one life of one sender: a socket that is opened again begins another one.

const std = @import("std");
const Prng = @import("../stdx/prng.zig").Prng;

pub const parts_max = 6;
pub const prefix_max = 16;
const reference_bytes = 8;
const filler_bytes = 300 * 1024;

pub const Reference = struct {
    stream: u32,
    number: u32,
    /// Bytes before it that belong to the pattern.
    prefix: []const u8 = "",
};

pub const Failure = error{
    /// Not the bytes that were sent under this number: torn, mixed up or made up.
    Torn,
    /// Sent to others.
    Stray,
    /// It has arrived before.
    Twice,
    /// A later one of the same sender came before it on the same connection.
    OutOfOrder,
    OutOfMemory,
};

const Stream = struct {
    /// Accepted by the sender's socket.
    sent: u32 = 0,
    arrived: u32 = 0,
    /// Of one part each.
    single: bool,
    /// Rather small ones, so that marks are reached before buffers.
    small: bool,
    /// Who may receive them.
    group: u8,
    seen: std.DynamicBitSetUnmanaged = .{},
};

/// One connection as its receiver sees it.
const Way = struct { receiver: u32, source: u32, stream: u32 };

pub const Ledger = struct {
    allocator: std.mem.Allocator,
    seed: u64,
    /// The same for all seeds: what tells messages apart is where their filler begins.
    filler: []const u8,
    streams: std.ArrayList(Stream) = .empty,
    last: std.AutoHashMapUnmanaged(Way, u32) = .empty,
    /// What is being sent, scribbled over afterwards.
    scratch: []u8,
    arrived: u64 = 0,

    pub fn init(allocator: std.mem.Allocator, seed: u64, filler: []const u8) !Ledger {
        return .{
            .allocator = allocator,
            .seed = seed,
            .filler = filler,
            .scratch = try allocator.alloc(u8, 2 * filler_bytes),
        };
    }

    pub fn make_filler(allocator: std.mem.Allocator) ![]u8 {
        const filler = try allocator.alloc(u8, filler_bytes);
        var prng: Prng = .init(0xf111);
        prng.fill(filler);
        return filler;
    }

    pub fn deinit(ledger: *Ledger) void {
        for (ledger.streams.items) |*stream| stream.seen.deinit(ledger.allocator);
        ledger.streams.deinit(ledger.allocator);
        ledger.last.deinit(ledger.allocator);
        ledger.allocator.free(ledger.scratch);
    }

    pub const Form = struct { single: bool, small: bool, group: u8 };

    pub fn open(ledger: *Ledger, form: Form) !u32 {
        try ledger.streams.append(ledger.allocator, .{
            .single = form.single,
            .small = form.small,
            .group = form.group,
        });
        return @intCast(ledger.streams.items.len - 1);
    }

    pub fn get(ledger: *const Ledger, stream: u32) *Stream {
        return &ledger.streams.items[stream];
    }

    /// The lengths of the parts, without prefix and reference.
    fn shape(ledger: *const Ledger, it: Reference, sizes: *[parts_max]u32) []u32 {
        const stream = ledger.get(it.stream);
        var prng: Prng = .init(ledger.seed ^ (@as(u64, it.stream) << 32 | it.number));
        const count: usize = if (stream.single or prng.chance(1, 2)) 1 else @intCast(
            prng.range(2, parts_max),
        );
        var total: u64 = 0;
        for (sizes[0..count]) |*size| {
            const drawn = draw_size(&prng, stream.small);
            size.* = if (total + drawn > filler_bytes) 0 else @intCast(drawn);
            total += size.*;
        }
        return sizes[0..count];
    }

    fn draw_size(prng: *Prng, small: bool) u64 {
        const kind = prng.below(if (small) 960 else 1000);
        return switch (kind) {
            0...199 => 0,
            200...699 => prng.below(40),
            700...899 => prng.below(300),
            // Where the kernel gathers rather than we copy.
            900...939 => prng.range(1400, 1600),
            940...959 => prng.range(4000, 9000),
            // Where a send is not held back, and where a frame gets a buffer of its own.
            960...974 => prng.range(24_000, 25_000),
            975...989 => prng.range(32_700, 32_800),
            // Where an arena and a segment end.
            990...995 => prng.range(65_000, 66_000),
            else => prng.range(70_000, 200_000),
        };
    }

    fn fill_of(ledger: *const Ledger, it: Reference, part: usize, size: usize) []const u8 {
        var hash = ledger.seed ^ (@as(u64, it.stream) << 40 | @as(u64, it.number) << 8 | part);
        hash *%= 0x9e37_79b9_7f4a_7c15;
        const start: usize = @intCast((hash >> 32) % (filler_bytes - size));
        return ledger.filler[start..][0..size];
    }

    /// The next message of a stream; it counts when it was `accepted`.
    pub fn compose(
        ledger: *Ledger,
        stream: u32,
        prefix: []const u8,
        parts: *[parts_max][]const u8,
    ) [][]const u8 {
        const it: Reference = .{ .stream = stream, .number = ledger.get(stream).sent };
        return ledger.compose_again(it, prefix, parts);
    }

    /// A message that has been sent before, as an answer is made of its question.
    pub fn compose_again(
        ledger: *Ledger,
        it: Reference,
        prefix: []const u8,
        parts: *[parts_max][]const u8,
    ) [][]const u8 {
        var sizes: [parts_max]u32 = undefined;
        var used: usize = 0;
        const wanted = ledger.shape(it, &sizes);
        for (wanted, 0..) |size, index| {
            const start = used;
            if (index == 0) {
                @memcpy(ledger.scratch[used..][0..prefix.len], prefix);
                used += prefix.len;
                std.mem.writeInt(u32, ledger.scratch[used..][0..4], it.stream, .little);
                std.mem.writeInt(u32, ledger.scratch[used + 4 ..][0..4], it.number, .little);
                used += reference_bytes;
            }
            @memcpy(ledger.scratch[used..][0..size], ledger.fill_of(it, index, size));
            used += size;
            parts[index] = ledger.scratch[start..used];
        }
        return parts[0..wanted.len];
    }

    /// The sender's memory is its own again.
    pub fn scribble(ledger: *Ledger, parts: []const []const u8) void {
        for (parts) |part| {
            const start = @intFromPtr(part.ptr) - @intFromPtr(ledger.scratch.ptr);
            @memset(ledger.scratch[start..][0..part.len], 0xdd);
        }
    }

    pub fn accepted(ledger: *Ledger, stream: u32) void {
        ledger.get(stream).sent += 1;
    }

    /// Which message this is, if it is a whole one.
    pub fn identify(
        ledger: *const Ledger,
        group: u8,
        parts: []const []const u8,
        prefix: usize,
    ) Failure!Reference {
        if (parts.len == 0 or parts[0].len < prefix + reference_bytes) return error.Torn;
        const at = parts[0][prefix..];
        const it: Reference = .{
            .stream = std.mem.readInt(u32, at[0..4], .little),
            .number = std.mem.readInt(u32, at[4..8], .little),
            .prefix = parts[0][0..prefix],
        };
        if (it.stream >= ledger.streams.items.len) return error.Torn;
        if (it.number >= ledger.get(it.stream).sent) return error.Torn;
        if (ledger.get(it.stream).group != group) return error.Stray;
        var sizes: [parts_max]u32 = undefined;
        const wanted = ledger.shape(it, &sizes);
        if (wanted.len != parts.len) return error.Torn;
        for (wanted, parts, 0..) |size, part, index| {
            const body = if (index == 0) part[prefix + reference_bytes ..] else part;
            if (body.len != size) return error.Torn;
            if (!std.mem.eql(u8, body, ledger.fill_of(it, index, size))) return error.Torn;
        }
        return it;
    }

    /// For streams whose messages have one receiver.
    pub fn arrive_once(ledger: *Ledger, it: Reference) Failure!void {
        const stream = ledger.get(it.stream);
        if (it.number >= stream.seen.bit_length) {
            const room = @max(64, 2 * (it.number + 1));
            try stream.seen.resize(ledger.allocator, room, false);
        }
        if (stream.seen.isSet(it.number)) return error.Twice;
        stream.seen.set(it.number);
        stream.arrived += 1;
        ledger.arrived += 1;
    }

    /// Those of one sender come in order on one connection, and none of them twice.
    pub fn arrive_in_order(
        ledger: *Ledger,
        receiver: u32,
        source: u32,
        it: Reference,
    ) Failure!void {
        const way: Way = .{ .receiver = receiver, .source = source, .stream = it.stream };
        const entry = try ledger.last.getOrPut(ledger.allocator, way);
        if (entry.found_existing) {
            if (it.number == entry.value_ptr.*) return error.Twice;
            if (it.number < entry.value_ptr.*) return error.OutOfOrder;
        }
        entry.value_ptr.* = it.number;
    }
};

test "a ledger notices what is torn, doubled, out of order or made up: it would prove nothing" {
    const testing = std.testing;
    const filler = try Ledger.make_filler(testing.allocator);
    defer testing.allocator.free(filler);
    var ledger: Ledger = try .init(testing.allocator, 7, filler);
    defer ledger.deinit();
    const stream = try ledger.open(.{ .single = false, .small = true, .group = 4 });
    var buffer: [parts_max][]const u8 = undefined;
    const parts = ledger.compose(stream, "ab|", &buffer);
    // Not sent yet: nobody can have it.
    try testing.expectError(error.Torn, ledger.identify(4, parts, 3));
    for (0..3) |_| ledger.accepted(stream);
    try testing.expectError(error.Stray, ledger.identify(5, parts, 3));
    const first = try ledger.identify(4, parts, 3);
    try testing.expectEqualStrings("ab|", first.prefix);
    try ledger.arrive_once(first);
    try testing.expectError(error.Twice, ledger.arrive_once(first));

    const third: Reference = .{ .stream = stream, .number = 2 };
    try ledger.arrive_in_order(1, 1, third);
    try testing.expectError(error.OutOfOrder, ledger.arrive_in_order(1, 1, first));
    try testing.expectError(error.Twice, ledger.arrive_in_order(1, 1, third));
    try ledger.arrive_in_order(1, 2, first);

    for (0..50) |_| ledger.accepted(stream);
    for (0..50) |number| {
        const it: Reference = .{ .stream = stream, .number = @intCast(number) };
        const whole = ledger.compose_again(it, "", &buffer);
        _ = try ledger.identify(4, whole, 0);
        if (whole.len > 1) try testing.expectError(error.Torn, ledger.identify(4, whole[1..], 0));
        if (whole[0].len == reference_bytes) continue;
        whole[0] = whole[0][0 .. whole[0].len - 1];
        try testing.expectError(error.Torn, ledger.identify(4, whole, 0));
    }
}
