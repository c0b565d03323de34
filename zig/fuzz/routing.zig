//! The routing table against a list: who goes by which id.

const std = @import("std");
const testing = std.testing;

const allocator = @import("../sim/memory.zig").allocator;
const bytes_module = @import("bytes.zig");
const Pipe = @import("../core/pipe.zig").Pipe;
const Prng = @import("../stdx/prng.zig").Prng;
const RoutingTable = @import("../socket/routing_table.zig").RoutingTable;

const peers_max = 200;

pub fn run(prng: *Prng) !void {
    var table: RoutingTable = .init(@truncate(prng.next()));
    // Ids are told apart by their bytes only: few different ones, many with the same last byte.
    var ids: [peers_max][8]u8 = undefined;
    const pipes = try allocator.alloc(Pipe, peers_max);
    defer allocator.free(pipes);
    var present: [peers_max]bool = @splat(false);
    for (0..bytes_module.size(prng, 2000)) |_| {
        const index: usize = @intCast(prng.below(peers_max));
        const pipe = &pipes[index];
        if (present[index]) {
            try testing.expect(table.find(pipe.local_id) == pipe);
            if (prng.chance(1, 3)) continue;
            table.remove(allocator, pipe);
            try testing.expect(!table.has(pipe));
            try testing.expect(table.find(pipe.local_id) == null);
            present[index] = false;
            continue;
        }
        if (prng.boolean()) {
            pipe.local_id = table.make_up(ids[index][0..5]);
        } else {
            const len: usize = @intCast(1 + prng.below(3));
            for (ids[index][0..len]) |*byte| byte.* = prng.pick(u8, "abc\x00");
            pipe.local_id = ids[index][0..len];
        }
        // A new one takes over: the one before is no longer to be found.
        for (pipes, &present) |*other, *there| {
            if (!there.* or !std.mem.eql(u8, other.local_id, pipe.local_id)) continue;
            try testing.expect(table.find(pipe.local_id) == other);
            there.* = false;
        }
        try table.put(allocator, pipe);
        present[index] = true;
    }
    var count: usize = 0;
    for (pipes, present) |*pipe, there| {
        if (!there) continue;
        count += 1;
        try testing.expect(table.find(pipe.local_id) == pipe);
    }
    try testing.expectEqual(count, table.peers.count());
    for (pipes, present) |*pipe, there| {
        if (there) table.remove(allocator, pipe);
    }
    try testing.expect(table.find("") == null);
    table.deinit(allocator);
}
