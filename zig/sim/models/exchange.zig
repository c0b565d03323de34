//! Messages without routing: PUSH and PULL, SCATTER and GATHER, DEALERs, a PAIR, a CHANNEL. Each
//! message has one receiver and arrives there once, whole, and in the order of its sender on that
//! connection.

const std = @import("std");

const clusters = @import("../swarm_cluster.zig");
const Cluster = clusters.Cluster;
const Draw = clusters.Draw;
const ledgers = @import("../swarm_ledger.zig");
const Life = @import("../swarm_life.zig").Life;
const Party = clusters.Party;
const sockets = @import("../../socket/socket.zig");

const Kind = enum { pipeline, scatter, dealers, pair, channel };

pub const Exchange = struct {
    cluster: Cluster,
    kind: Kind,
    conflates: bool,

    pub fn init(exchange: *Exchange, life: *Life, base: u8) !void {
        const prng = &life.prng;
        exchange.* = .{
            .cluster = .{
                .life = life,
                .base = base,
                .opened = opened,
                .empty_ring = empty_ring,
                .movable = true,
            },
            .kind = prng.enum_uniform(Kind),
            .conflates = false,
        };
        const kind = exchange.kind;
        exchange.conflates = kind == .pipeline and prng.chance(1, 8);
        var draw: Draw = .init(prng);
        draw.conflate = exchange.conflates;
        const types: [2]sockets.Type = switch (kind) {
            .pipeline => .{ .push, .pull },
            .scatter => .{ .scatter, .gather },
            .dealers => .{ .dealer, .dealer },
            .pair => .{ .pair, .pair },
            .channel => .{ .channel, .channel },
        };
        const cluster = &exchange.cluster;
        const alone = kind == .pair or kind == .channel;
        const left = if (alone) 1 else prng.range(1, 2);
        const right = if (alone) 1 else prng.range(1, 3);
        var binders: [3]*Party = undefined;
        var others: [3]*Party = undefined;
        // Either side may be the one that binds.
        const swapped = prng.boolean();
        for (0..left) |i| binders[i] = cluster.add(types[@intFromBool(swapped)], &draw);
        for (0..right) |i| others[i] = cluster.add(types[@intFromBool(!swapped)], &draw);
        for (binders[0..left]) |binder| cluster.join(binder, others[0..right]);
    }

    fn of(cluster: *Cluster) *Exchange {
        return @fieldParentPtr("cluster", cluster);
    }

    fn opened(cluster: *Cluster, party: *Party) !void {
        party.stream = try cluster.life.ledger.open(.{
            .single = party.type.single_frame(),
            .small = party.small,
            .group = cluster.base,
        });
    }

    fn empty_ring(cluster: *Cluster, party: *Party) !void {
        if (!receives(party)) return;
        while (party.slot().socket.ring.waiting() > 0) _ = try of(cluster).take(party);
    }

    fn sends(party: *const Party) bool {
        return party.type != .pull and party.type != .gather;
    }

    fn receives(party: *const Party) bool {
        return party.type != .push and party.type != .scatter;
    }

    pub fn step(exchange: *Exchange) !void {
        const prng = &exchange.cluster.life.prng;
        const party = &exchange.cluster.parties()[prng.below(exchange.cluster.parties_count)];
        if (!party.open()) return;
        defer party.process.task_ends();
        for (0..1 + prng.below(12)) |_| {
            const sending = sends(party) and (!receives(party) or prng.boolean());
            const went = if (sending) try exchange.send(party) else try exchange.take(party);
            if (!went) return;
        }
    }

    /// False: there is no room.
    fn send(exchange: *Exchange, party: *Party) !bool {
        const ledger = &exchange.cluster.life.ledger;
        var buffer: [ledgers.parts_max][]const u8 = undefined;
        const parts = ledger.compose(party.stream, "", &buffer);
        defer ledger.scribble(parts);
        const sent = party.send(parts) catch |failure| switch (failure) {
            error.OutOfMemory => return false,
            else => return exchange.cluster.life.fail("s{d}: {t}", .{ party.id(), failure }),
        };
        if (sent) ledger.accepted(party.stream);
        return sent;
    }

    /// False: there is nothing.
    fn take(exchange: *Exchange, party: *Party) !bool {
        const life = exchange.cluster.life;
        const taken = (try party.take()) orelse return false;
        exchange.check(party, taken.parts, taken.source) catch |failure| {
            return life.fail("s{d} received: {t}", .{ party.id(), failure });
        };
        return true;
    }

    fn check(exchange: *Exchange, party: *Party, parts: []const []const u8, source: u32) !void {
        const ledger = &exchange.cluster.life.ledger;
        const it = try ledger.identify(exchange.cluster.base, parts, 0);
        if (it.stream == party.stream) return error.Stray;
        try ledger.arrive_once(it);
        try ledger.arrive_in_order(party.life, source, it);
    }

    pub fn drain(exchange: *Exchange) !bool {
        var any = false;
        for (exchange.cluster.parties()) |*party| {
            if (!party.open() or !receives(party)) continue;
            while (try exchange.take(party)) any = true;
        }
        return any;
    }

    /// Counters balance, and what is sent from now on arrives.
    pub fn finish(exchange: *Exchange) !void {
        try exchange.balance();
        const life = exchange.cluster.life;
        const ledger = &life.ledger;
        for (exchange.cluster.parties()) |*party| {
            if (!sends(party)) continue;
            const stream = ledger.get(party.stream);
            const arrived = stream.arrived;
            const sent = stream.sent;
            for (0..6) |_| {
                if (!try exchange.send(party)) {
                    return life.fail("s{d} has no room though all is read", .{party.id()});
                }
                party.process.task_ends();
                try life.deliver();
            }
            const came = ledger.get(party.stream).arrived - arrived;
            if (came != 6) return life.fail("{d} of 6 messages of s{d} came, behind {d}", .{
                came, party.id(), sent,
            });
        }
        try exchange.balance();
    }

    /// Not where a socket was closed with something unread: that is counted nowhere.
    fn balance(exchange: *Exchange) !void {
        const life = exchange.cluster.life;
        if (!exchange.cluster.exact) return;
        for (exchange.cluster.parties()) |*party| {
            // What the connection of a refused peer still had is counted nowhere.
            if (party.process.record(party.handle).peers_refused > 0) return;
        }
        var sent: u64 = 0;
        var arrived: u64 = 0;
        var dropped: u64 = 0;
        for (exchange.cluster.parties()) |*party| {
            const record = party.process.record(party.handle);
            dropped += record.dropped_disconnect + record.dropped_conflated +
                record.dropped_high_water_mark + record.dropped_no_peer;
            if (!sends(party)) continue;
            const stream = life.ledger.get(party.stream);
            sent += stream.sent;
            arrived += stream.arrived;
            if (record.messages_sent != stream.sent) return life.fail(
                "s{d} counts {d} messages sent, there were {d}",
                .{ party.id(), record.messages_sent, stream.sent },
            );
        }
        try life.balance(sent, arrived, dropped);
    }
};
