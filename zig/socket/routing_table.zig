//! Which peer goes by which routing id, for sockets that address their peers (ROUTER, STREAM).
//!
//! The id is the pipe's `local_id`. It was given by the caller of connect, is what the peer calls
//! itself, or was made up: a zero byte, which no other id begins with, and a counter (big endian)
//! that starts anywhere.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;

const Pipe = @import("../core/pipe.zig").Pipe;

pub const made_up_bytes = 5;

/// Seeded, as peers choose the ids: theirs shall not all meet in one bucket.
const Hashing = struct {
    seed: u32,

    pub fn hash(hashing: Hashing, id: []const u8) u32 {
        return @truncate(std.hash.Wyhash.hash(hashing.seed, id));
    }

    pub fn eql(_: Hashing, a: []const u8, b: []const u8, _: usize) bool {
        return std.mem.eql(u8, a, b);
    }
};

pub const RoutingTable = struct {
    /// Keys lie in the pipes.
    peers: std.array_hash_map.Custom([]const u8, *Pipe, Hashing, true) = .empty,
    /// The youngest one with each last byte: ids that are made up count, so with up to this many
    /// peers nothing is hashed.
    young: [256]?*Pipe = @splat(null),
    next: u32,
    hashing: Hashing,

    /// A table that is empty again gives back more than this many places.
    const capacity_kept = 64;

    pub fn init(seed: u32) RoutingTable {
        return .{ .next = seed, .hashing = .{ .seed = seed *% 0x9e3779b1 } };
    }

    pub fn deinit(table: *RoutingTable, allocator: Allocator) void {
        assert(table.peers.count() == 0);
        table.peers.deinit(allocator);
    }

    pub inline fn find(table: *const RoutingTable, id: []const u8) ?*Pipe {
        if (id.len > 0) if (table.young[id[id.len - 1]]) |pipe| {
            if (std.mem.eql(u8, pipe.local_id, id)) return pipe;
        };
        return table.peers.getContext(id, table.hashing);
    }

    pub fn has(table: *const RoutingTable, pipe: *const Pipe) bool {
        return pipe.local_id.len > 0 and table.find(pipe.local_id) == pipe;
    }

    /// The pipe goes by its `local_id` from now on, whoever did so before.
    pub fn put(
        table: *RoutingTable,
        allocator: Allocator,
        pipe: *Pipe,
    ) error{OutOfMemory}!void {
        assert(pipe.local_id.len > 0);
        const hashing = table.hashing;
        const entry = try table.peers.getOrPutContext(allocator, pipe.local_id, hashing);
        // The one before takes its bytes with it.
        entry.key_ptr.* = pipe.local_id;
        entry.value_ptr.* = pipe;
        table.young[pipe.local_id[pipe.local_id.len - 1]] = pipe;
    }

    pub fn remove(table: *RoutingTable, allocator: Allocator, pipe: *const Pipe) void {
        if (!table.has(pipe)) return;
        const young = &table.young[pipe.local_id[pipe.local_id.len - 1]];
        if (young.* == pipe) young.* = null;
        _ = table.peers.swapRemoveContext(pipe.local_id, table.hashing);
        if (table.peers.count() == 0 and table.peers.capacity() > capacity_kept) {
            table.peers.clearAndFree(allocator);
        }
    }

    /// An id that nobody has.
    pub fn make_up(table: *RoutingTable, buffer: *[made_up_bytes]u8) []const u8 {
        while (true) {
            buffer[0] = 0;
            std.mem.writeInt(u32, buffer[1..], table.next, .big);
            table.next +%= 1;
            // After four thousand million peers, or where connect was given such an id.
            if (table.find(buffer) == null) return buffer;
        }
    }
};
