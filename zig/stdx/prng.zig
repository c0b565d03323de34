//! A small deterministic generator for simulations, fuzzing and jitter: one seed, one sequence,
//! on every platform and with every compiler. That is why nothing of `std.Random` is used, whose
//! sequences may change. Not for keys, nonces or anything a peer must not guess.

const std = @import("std");
const assert = std.debug.assert;

pub const Prng = struct {
    /// xoshiro256++ of Blackman and Vigna (public domain): 256 bits, never all zero.
    state: [4]u64,

    /// Any seed is good, 0 too.
    pub fn init(seed: u64) Prng {
        // Similar seeds must not give similar sequences: SplitMix64 spreads them.
        var spread = seed;
        var prng: Prng = .{ .state = undefined };
        for (&prng.state) |*word| {
            spread +%= 0x9e37_79b9_7f4a_7c15;
            var mixed = spread;
            mixed = (mixed ^ (mixed >> 30)) *% 0xbf58_476d_1ce4_e5b9;
            mixed = (mixed ^ (mixed >> 27)) *% 0x94d0_49bb_1331_11eb;
            word.* = mixed ^ (mixed >> 31);
        }
        prng.invariants();
        return prng;
    }

    pub fn next(prng: *Prng) u64 {
        prng.invariants();
        const s = &prng.state;
        const result = std.math.rotl(u64, s[0] +% s[3], 23) +% s[0];
        const shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = std.math.rotl(u64, s[3], 45);
        return result;
    }

    /// 0 to n - 1, each as likely.
    pub fn below(prng: *Prng, n: u64) u64 {
        assert(n > 0);
        // The high half of a product is uniform except for 2^64 mod n low halves: draw again.
        const uneven = (0 -% n) % n;
        while (true) {
            const product = @as(u128, prng.next()) * n;
            if (@as(u64, @truncate(product)) < uneven) continue;
            const result: u64 = @intCast(product >> 64);
            assert(result < n);
            return result;
        }
    }

    /// low to high, both included.
    pub fn range(prng: *Prng, low: u64, high: u64) u64 {
        assert(low <= high);
        if (high - low == std.math.maxInt(u64)) return prng.next();
        return low + prng.below(high - low + 1);
    }

    /// True num times out of den.
    pub fn chance(prng: *Prng, num: u64, den: u64) bool {
        assert(den > 0);
        assert(num <= den);
        return prng.below(den) < num;
    }

    pub fn boolean(prng: *Prng) bool {
        return prng.next() >> 63 == 1;
    }

    /// One of the items, each as likely.
    pub fn pick(prng: *Prng, comptime T: type, items: []const T) T {
        assert(items.len > 0);
        return items[@intCast(prng.below(items.len))];
    }

    pub fn fill(prng: *Prng, bytes: []u8) void {
        var rest = bytes;
        while (rest.len > 0) {
            var word: [8]u8 = undefined;
            std.mem.writeInt(u64, &word, prng.next(), .little);
            const count = @min(rest.len, word.len);
            @memcpy(rest[0..count], word[0..count]);
            rest = rest[count..];
        }
    }

    pub fn shuffle(prng: *Prng, comptime T: type, items: []T) void {
        var left = items.len;
        while (left > 1) : (left -= 1) {
            const index: usize = @intCast(prng.below(left));
            assert(index < left);
            std.mem.swap(T, &items[left - 1], &items[index]);
        }
    }

    /// One of the values of `E`, with the frequency of its weight; a value left out has weight 0:
    /// `prng.weighted(Action, .{ .send = 8, .close = 1 })`.
    pub fn weighted(prng: *Prng, comptime E: type, weights: Weights(E)) E {
        var total: u64 = 0;
        inline for (comptime std.enums.values(E)) |value| total += @field(weights, @tagName(value));
        assert(total > 0);
        var draw = prng.below(total);
        inline for (comptime std.enums.values(E)) |value| {
            const weight = @field(weights, @tagName(value));
            if (draw < weight) return value;
            draw -= weight;
        }
        unreachable; // The draw is below the sum of what was subtracted.
    }

    /// One of the values of `E`, each as likely.
    pub fn enum_uniform(prng: *Prng, comptime E: type) E {
        return prng.pick(E, comptime std.enums.values(E));
    }

    pub fn Weights(comptime E: type) type {
        return std.enums.EnumFieldStruct(E, u32, 0);
    }

    pub fn invariants(prng: *const Prng) void {
        const s = &prng.state;
        assert(s[0] | s[1] | s[2] | s[3] != 0); // It would give zeros for ever.
    }
};

const testing = std.testing;

test "a seed gives the same sequence everywhere, so a failing seed can be sent to a colleague" {
    var prng = Prng.init(0);
    const expected = [_]u64{
        0x53175d61490b23df,
        0x61da6f3dc380d507,
        0x5c0fdf91ec9a7bfc,
        0x02eebf8c3bbe5e1a,
    };
    for (expected) |word| try testing.expectEqual(word, prng.next());
    var bytes: [11]u8 = undefined;
    prng = Prng.init(0);
    prng.fill(&bytes);
    try testing.expectEqualSlices(u8, &.{
        0xdf, 0x23, 0x0b, 0x49, 0x61, 0x5d, 0x17, 0x53, 0x07, 0xd5, 0x80,
    }, &bytes);
}

test "the generator agrees with the published algorithm, so it is as good as its reputation" {
    for ([_]u64{ 0, 1, 42, std.math.maxInt(u64) }) |seed| {
        var prng = Prng.init(seed);
        var reference = std.Random.Xoshiro256.init(seed);
        for (0..1000) |_| try testing.expectEqual(reference.next(), prng.next());
    }
}

test "draws stay inside their limits and reach both ends, so no case is left untested" {
    var prng = Prng.init(1);
    var seen: [7]u32 = @splat(0);
    for (0..7000) |_| seen[@intCast(prng.below(7))] += 1;
    for (seen) |count| try testing.expect(count > 850 and count < 1150);
    var low_seen = false;
    var high_seen = false;
    for (0..100) |_| {
        const draw = prng.range(5, 8);
        try testing.expect(draw >= 5 and draw <= 8);
        low_seen = low_seen or draw == 5;
        high_seen = high_seen or draw == 8;
    }
    try testing.expect(low_seen and high_seen);
    try testing.expectEqual(@as(u64, 9), prng.range(9, 9));
    _ = prng.range(0, std.math.maxInt(u64));
    for (0..100) |_| {
        try testing.expect(prng.chance(1, 1));
        try testing.expect(!prng.chance(0, 3));
        try testing.expectEqual(@as(u64, 0), prng.below(1));
    }
}

test "weights are kept, so a rare fault in a simulation is as rare as it was meant to be" {
    const Action = enum { send, close, crash };
    var prng = Prng.init(2);
    var counts: [3]u32 = @splat(0);
    for (0..10_000) |_| {
        const action = prng.weighted(Action, .{ .send = 9, .close = 1 });
        counts[@intFromEnum(action)] += 1;
    }
    try testing.expect(counts[0] > 8800 and counts[0] < 9200);
    try testing.expectEqual(@as(u32, 10_000), counts[0] + counts[1]);
    try testing.expectEqual(@as(u32, 0), counts[2]);
    var uniform: [3]u32 = @splat(0);
    for (0..3000) |_| uniform[@intFromEnum(prng.enum_uniform(Action))] += 1;
    for (uniform) |count| try testing.expect(count > 850);
}

test "a shuffle keeps every item" {
    var prng = Prng.init(3);
    var items: [100]u32 = undefined;
    for (&items, 0..) |*item, index| item.* = @intCast(index);
    prng.shuffle(u32, &items);
    var seen: [100]bool = @splat(false);
    var moved: u32 = 0;
    for (items, 0..) |item, index| {
        try testing.expect(!seen[item]);
        seen[item] = true;
        if (item != index) moved += 1;
    }
    try testing.expect(moved > 50);
}
