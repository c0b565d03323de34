//! ROUTER and DEALERs: what a ROUTER receives is under the id of its sender, and what it sends to
//! an id reaches that one and nobody else.

const std = @import("std");

const clusters = @import("../swarm_cluster.zig");
const Cluster = clusters.Cluster;
const Draw = clusters.Draw;
const ledgers = @import("../swarm_ledger.zig");
const Life = @import("../swarm_life.zig").Life;
const Party = clusters.Party;

/// Whom an answer is meant for, before its message: party and which life of it.
const address_bytes = 5;
/// Answers that a ROUTER still has to give.
const owed_max = 64;

const Owed = struct { id: [16]u8, id_len: u8, to: [address_bytes]u8 };

pub const Route = struct {
    cluster: Cluster,
    owed: [owed_max]Owed = undefined,
    owed_count: usize = 0,

    pub fn init(route: *Route, life: *Life, base: u8) !void {
        const prng = &life.prng;
        route.* = .{ .cluster = .{
            .life = life,
            .base = base,
            .opened = opened,
            .empty_ring = empty_ring,
        } };
        const cluster = &route.cluster;
        const draw: Draw = .init(prng);
        const named = prng.boolean();
        const handover = prng.boolean();
        const mandatory = prng.boolean();
        const router = cluster.add(.router, &draw);
        router.options.router_handover = @intFromBool(handover);
        router.options.router_mandatory = @intFromBool(mandatory);
        var dealers: [4]*Party = undefined;
        const count = prng.range(1, 4);
        for (dealers[0..count]) |*dealer| {
            dealer.* = cluster.add(.dealer, &draw);
            if (!named) continue;
            const options = &dealer.*.options;
            options.routing_id_bytes = 2;
            options.routing_id_buffer[0] = 'd';
            options.routing_id_buffer[1] = 'a' + dealer.*.index;
        }
        if (prng.chance(3, 4)) {
            cluster.join(router, dealers[0..count]);
        } else for (dealers[0..@min(count, 3)]) |dealer| cluster.join(dealer, &.{router});
        // A party without a link would be none.
        if (cluster.places_count > 1) cluster.parties_count = cluster.places_count + 1;
    }

    fn of(cluster: *Cluster) *Route {
        return @fieldParentPtr("cluster", cluster);
    }

    fn opened(cluster: *Cluster, party: *Party) !void {
        party.stream = try cluster.life.ledger.open(.{
            .single = false,
            .small = party.small,
            .group = cluster.base,
        });
        if (party.type == .router) of(cluster).owed_count = 0;
    }

    fn empty_ring(_: *Cluster, _: *Party) !void {}

    fn address_of(party: *const Party) [address_bytes]u8 {
        var bytes: [address_bytes]u8 = undefined;
        bytes[0] = party.index;
        std.mem.writeInt(u32, bytes[1..5], party.life, .little);
        return bytes;
    }

    pub fn step(route: *Route) !void {
        const prng = &route.cluster.life.prng;
        const party = &route.cluster.parties()[prng.below(route.cluster.parties_count)];
        if (!party.open()) return;
        defer party.process.task_ends();
        for (0..1 + prng.below(8)) |_| {
            const went = if (party.type == .router)
                if (prng.boolean()) try route.collect(party) else try route.answer(party)
            else if (prng.boolean()) try route.ask(party) else try route.hear(party);
            if (!went) return;
        }
    }

    /// False: there is no room.
    fn ask(route: *Route, party: *Party) !bool {
        const ledger = &route.cluster.life.ledger;
        var buffer: [ledgers.parts_max][]const u8 = undefined;
        const parts = ledger.compose(party.stream, &address_of(party), &buffer);
        defer ledger.scribble(parts);
        const sent = party.send(parts) catch |failure| switch (failure) {
            error.OutOfMemory => return false,
            else => return route.cluster.life.fail("s{d}: {t}", .{ party.id(), failure }),
        };
        if (sent) ledger.accepted(party.stream);
        return sent;
    }

    /// The ROUTER takes a message. False: there is none.
    fn collect(route: *Route, router: *Party) !bool {
        if (route.owed_count == owed_max) return false;
        const life = route.cluster.life;
        const taken = (try router.take()) orelse return false;
        route.check_question(router, taken.parts, taken.source) catch |failure| {
            return life.fail("s{d} received: {t}", .{ router.id(), failure });
        };
        return true;
    }

    fn check_question(
        route: *Route,
        router: *Party,
        parts: []const []const u8,
        source: u32,
    ) !void {
        const ledger = &route.cluster.life.ledger;
        const id = parts[0];
        if (id.len == 0 or id.len > 16) return error.Torn;
        const it = try ledger.identify(route.cluster.base, parts[1..], address_bytes);
        if (it.prefix[0] >= route.cluster.parties_count) return error.Torn;
        const sender = &route.cluster.parties()[it.prefix[0]];
        const named = sender.options.routing_id();
        if (named.len > 0 and !std.mem.eql(u8, named, id)) return error.UnderAnotherId;
        if (named.len == 0 and id[0] != 0) return error.UnderAnotherId;
        try ledger.arrive_once(it);
        try ledger.arrive_in_order(router.life, source, it);
        const owed = &route.owed[route.owed_count];
        owed.* = .{ .id = undefined, .id_len = @intCast(id.len), .to = it.prefix[0..5].* };
        @memcpy(owed.id[0..id.len], id);
        route.owed_count += 1;
    }

    /// The ROUTER answers the last question. False: nothing to answer, or no room.
    fn answer(route: *Route, router: *Party) !bool {
        if (route.owed_count == 0) return false;
        const ledger = &route.cluster.life.ledger;
        const owed = &route.owed[route.owed_count - 1];
        var buffer: [ledgers.parts_max + 1][]const u8 = undefined;
        const parts = ledger.compose(router.stream, &owed.to, buffer[1..]);
        buffer[0] = owed.id[0..owed.id_len];
        defer ledger.scribble(parts);
        const sent = router.send(buffer[0 .. parts.len + 1]) catch |failure| switch (failure) {
            error.OutOfMemory => return false,
            // It has gone.
            error.Unroutable => {
                route.owed_count -= 1;
                return true;
            },
            else => return route.cluster.life.fail("s{d}: {t}", .{ router.id(), failure }),
        };
        if (!sent) return false;
        ledger.accepted(router.stream);
        route.owed_count -= 1;
        return true;
    }

    /// False: there is nothing.
    fn hear(route: *Route, party: *Party) !bool {
        const life = route.cluster.life;
        const taken = (try party.take()) orelse return false;
        route.check_answer(party, taken.parts, taken.source) catch |failure| {
            return life.fail("s{d} heard: {t}", .{ party.id(), failure });
        };
        return true;
    }

    fn check_answer(route: *Route, party: *Party, parts: []const []const u8, source: u32) !void {
        const ledger = &route.cluster.life.ledger;
        const it = try ledger.identify(route.cluster.base, parts, address_bytes);
        if (it.prefix[0] != party.index) return error.MeantForAnother;
        const life = std.mem.readInt(u32, it.prefix[1..5], .little);
        // Whoever has the name now gets what was meant for it; an id that was made up is never
        // given again, but whoever is found where a ROUTER connects has the id of that place.
        const kept = party.options.routing_id_bytes > 0 or party.links[0].binds;
        if (if (kept) life > party.life else life != party.life) return error.MeantForAnother;
        try ledger.arrive_once(it);
        try ledger.arrive_in_order(party.life, source, it);
    }

    pub fn drain(route: *Route) !bool {
        var any = false;
        for (route.cluster.parties()) |*party| {
            if (!party.open()) continue;
            if (party.type == .router) {
                while (try route.collect(party) or try route.answer(party)) any = true;
            } else while (try route.hear(party)) {
                any = true;
            }
        }
        return any;
    }

    /// Every DEALER gets its answers.
    pub fn finish(route: *Route) !void {
        const life = route.cluster.life;
        const router = &route.cluster.parties()[0];
        // Nothing is left of the storm's: what is to be answered now is of now.
        if (route.owed_count > 0) return life.fail("s{d} cannot answer", .{router.id()});
        for (route.cluster.parties()[1..]) |*party| {
            const before = life.ledger.get(router.stream).arrived;
            for (0..3) |_| {
                if (!try route.ask(party)) return life.fail("s{d} has no room", .{party.id()});
                party.process.task_ends();
                try life.deliver();
            }
            const came = life.ledger.get(router.stream).arrived - before;
            if (came != 3) return life.fail("{d} of 3 answers came to s{d}", .{ came, party.id() });
        }
        try route.balance();
    }

    fn balance(route: *Route) !void {
        const life = route.cluster.life;
        if (!route.cluster.exact) return;
        // What a connection still had that was turned away, or whose id another one took over, is
        // counted nowhere.
        const router = &route.cluster.parties()[0];
        const refused = router.process.record(router.handle).peers_refused > 0;
        if (refused or router.options.router_handover != 0) return;
        var sent: u64 = 0;
        var arrived: u64 = 0;
        var dropped: u64 = 0;
        for (route.cluster.parties()) |*party| {
            const record = party.process.record(party.handle);
            dropped += record.dropped_disconnect + record.dropped_high_water_mark +
                record.dropped_unroutable;
            sent += life.ledger.get(party.stream).sent;
            arrived += life.ledger.get(party.stream).arrived;
        }
        try life.balance(sent, arrived, dropped);
    }
};
