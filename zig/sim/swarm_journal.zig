//! What happened in a simulation: a hash over all of it, which has to be the same when the seed
//! runs again, and the last of it in words for whoever has to find out why it failed.

const std = @import("std");
const Wyhash = std.hash.Wyhash;

pub const Kind = enum(u8) {
    phase,
    started,
    restarted,
    opened,
    closed,
    bound,
    bind_failed,
    unbound,
    connecting,
    disconnected,
    moved,
    marks,
    subscribed,
    cancelled,
    sent,
    send_refused,
    received,
    receive_refused,
    told,
    lent,
    partition,
    healed,
    memory,
    descriptors,
    event,
    monitor,
    counters,
    probe,
    settled,
};

pub const Entry = struct {
    at_ns: u64,
    kind: Kind,
    /// Whose: the process, and the party of a cluster.
    process: u8,
    party: u8,
    a: u64,
    b: u64,

    pub const nobody = 255;
};

pub const Journal = struct {
    hash: Wyhash = .init(0),
    entries: u64 = 0,
    /// Those that are kept; older ones are written over.
    ring: [last_max]Entry = undefined,
    /// Every entry is printed as it comes.
    loud: bool = false,

    pub const last_max = 60;

    pub fn note(journal: *Journal, entry: Entry) void {
        const numbers = [_]u64{
            entry.at_ns, @intFromEnum(entry.kind), entry.process, entry.party, entry.a, entry.b,
        };
        journal.hash.update(std.mem.sliceAsBytes(&numbers));
        journal.ring[journal.entries % last_max] = entry;
        journal.entries += 1;
        if (journal.loud) print(entry);
    }

    pub fn digest(journal: *const Journal) u64 {
        var copy = journal.hash;
        return copy.final();
    }

    pub fn print_last(journal: *const Journal) void {
        const count = @min(journal.entries, last_max);
        for (0..count) |index| print(journal.ring[(journal.entries - count + index) % last_max]);
    }

    fn print(it: Entry) void {
        const us = it.at_ns / 1000;
        std.debug.print("  {d:>11}.{d:0>3} ms ", .{ us / 1000, us % 1000 });
        if (it.process == Entry.nobody) {
            std.debug.print("       ", .{});
        } else std.debug.print("p{d} ", .{it.process});
        if (it.party != Entry.nobody) std.debug.print("s{d:<3}", .{it.party});
        std.debug.print(" {t} {d} {d}\n", .{ it.kind, it.a, it.b });
    }
};
