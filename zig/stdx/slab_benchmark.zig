//! What a block costs: `zig run zig/stdx/slab_benchmark.zig -lc -OReleaseSafe`. Prints figures,
//! fails nothing.

const std = @import("std");
const Slabs = @import("slab.zig").Slabs;
const Block = @import("slab.zig").Block;
const now_ns = @import("time.zig").now_ns;

const rounds = 7;
const blocks_total = 4_000_000;

/// Takes `depth` blocks, gives them back, again and again; the median of several rounds, per
/// allocate and free together.
fn measure(slabs: *Slabs, size: usize, depth: usize, held: []Block) !f64 {
    var results: [rounds]u64 = undefined;
    for (&results) |*result| {
        const start = now_ns();
        for (0..blocks_total / depth) |_| {
            for (held[0..depth]) |*block| {
                block.* = try slabs.allocate(size);
                std.mem.doNotOptimizeAway(block.ptr);
            }
            for (held[0..depth]) |block| slabs.free(block);
        }
        result.* = now_ns() - start;
    }
    std.mem.sort(u64, &results, {}, std.sort.asc(u64));
    return @as(f64, @floatFromInt(results[rounds / 2])) / blocks_total;
}

pub fn main() !void {
    var slabs = Slabs.init(1 << 30);
    defer slabs.deinit();
    var held: [4096]Block = undefined;
    for ([_]usize{ 64, 1024, 64 * 1024 }) |size| {
        for ([_]usize{ 1, 64, 4096 }) |depth| {
            const ns = try measure(&slabs, size, depth, &held);
            std.debug.print(
                "{d:>6} B, {d:>4} live: {d:.2} ns per allocate + free\n",
                .{ size, depth, ns },
            );
        }
    }
}
