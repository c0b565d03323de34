//! What one box costs: by libsodium's own function and as one of a series.

const std = @import("std");
const sodium = @import("sodium.zig");
const time = @import("../stdx/time.zig");

pub fn main() !void {
    try sodium.init();
    var key: sodium.SharedKey = undefined;
    sodium.random(&key);
    const series = sodium.Series.init(&key, "CurveZMQMESSAGEC");
    var plain: [64 * 1024 + 1]u8 = @splat(7);
    var stream: sodium.Series.Scratch = undefined;
    var box: [plain.len + 16]u8 = undefined;
    for ([_]usize{ 1, 64, 256, 1024, 4096, 64 * 1024 }) |size| {
        const rounds: usize = if (size > 2000) 2000 else 100_000;
        var best: [3]u64 = @splat(std.math.maxInt(u64));
        for (0..5) |_| {
            var start = time.now_ns();
            var nonce: sodium.Nonce = @splat(1);
            for (0..rounds) |i| {
                nonce[23] = @truncate(i);
                sodium.seal(box[0 .. size + 17], plain[0 .. size + 1], &nonce, &key);
            }
            best[0] = @min(best[0], time.now_ns() - start);
            start = time.now_ns();
            const short = nonce[16..24];
            const inner = box[16..][0 .. size + 1];
            for (0..rounds) |i| {
                nonce[23] = @truncate(i);
                series.seal(box[0..16], inner, 0, plain[0..size], short, &stream);
            }
            best[1] = @min(best[1], time.now_ns() - start);
            start = time.now_ns();
            for (0..rounds) |_| {
                try series.open(box[0..16], inner, short, &stream);
                series.seal(box[0..16], inner, 0, plain[0..size], short, &stream);
            }
            best[2] = @min(best[2], time.now_ns() - start);
        }
        const row = "{d:>6} B  libsodium {d:>6} ns  series {d:>6} ns  open and seal {d:>6} ns\n";
        std.debug.print(row, .{
            size, best[0] / rounds, best[1] / rounds, best[2] / rounds,
        });
    }
}
