//! PUB or XPUB with SUB and XSUB, RADIO with DISH. Nobody receives what he has not subscribed to;
//! on a calm link everybody receives all that he has, once and in order; an XPUB's reader knows
//! what is wanted.

const std = @import("std");

const clusters = @import("../swarm_cluster.zig");
const Cluster = clusters.Cluster;
const Draw = clusters.Draw;
const ledgers = @import("../swarm_ledger.zig");
const Life = @import("../swarm_life.zig").Life;
const Party = clusters.Party;
const sockets = @import("../../socket/socket.zig");

/// Some begin with others; a message's topic is followed by a bar.
const topics = [_][]const u8{ "", "a", "ab", "abc", "b", "ba", "c" };

const Set = std.StaticBitSet(topics.len);

const Follower = struct {
    /// How often it has subscribed to each topic.
    counts: [topics.len]u8 = @splat(0),
    /// Cancelled since its ring was last empty: what is in the ring may be of these.
    fading: Set = .initEmpty(),
    /// Messages since `arrived` was last set to 0.
    arrived: u32 = 0,

    fn wants(follower: *const Follower, topic: usize, radio: bool) bool {
        for (follower.counts, 0..) |count, index| {
            if (count == 0 and !follower.fading.isSet(index)) continue;
            if (matches(index, topic, radio)) return true;
        }
        return false;
    }
};

fn matches(subscribed: usize, topic: usize, radio: bool) bool {
    if (radio) return subscribed == topic;
    return std.mem.startsWith(u8, topics[topic], topics[subscribed]);
}

pub const Publish = struct {
    cluster: Cluster,
    radio: bool,
    followers: [clusters.parties_max]Follower = @splat(.{}),
    /// XPUB: the topics that its reader was told of and not told off.
    told: [clusters.parties_max]Set = @splat(.initEmpty()),

    pub fn init(publish: *Publish, life: *Life, base: u8) !void {
        const prng = &life.prng;
        publish.* = .{
            .cluster = .{
                .life = life,
                .base = base,
                .opened = opened,
                .empty_ring = empty_ring,
            },
            .radio = prng.chance(1, 5),
        };
        const cluster = &publish.cluster;
        const draw: Draw = .init(prng);
        var senders: [2]*Party = undefined;
        var receivers: [3]*Party = undefined;
        const senders_count = prng.range(1, 2);
        const receivers_count = prng.range(1, 3);
        for (senders[0..senders_count]) |*it| {
            const xpub = prng.boolean();
            it.* = cluster.add(if (publish.radio) .radio else if (xpub) .xpub else .@"pub", &draw);
        }
        for (receivers[0..receivers_count]) |*it| {
            const xsub = prng.chance(1, 3);
            it.* = cluster.add(if (publish.radio) .dish else if (xsub) .xsub else .sub, &draw);
        }
        if (prng.boolean()) {
            for (senders[0..senders_count]) |it| cluster.join(it, receivers[0..receivers_count]);
        } else for (receivers[0..receivers_count]) |it| cluster.join(it, senders[0..senders_count]);
    }

    fn of(cluster: *Cluster) *Publish {
        return @fieldParentPtr("cluster", cluster);
    }

    fn publishes(party: *const Party) bool {
        return party.type == .@"pub" or party.type == .xpub or party.type == .radio;
    }

    fn opened(cluster: *Cluster, party: *Party) !void {
        const publish = of(cluster);
        publish.followers[party.index] = .{};
        publish.told[party.index] = .initEmpty();
        if (!publishes(party)) return publish.subscribe_some(party);
        party.stream = try cluster.life.ledger.open(.{
            .single = publish.radio,
            .small = party.small,
            .group = cluster.base,
        });
    }

    fn empty_ring(_: *Cluster, _: *Party) !void {}

    pub fn step(publish: *Publish) !void {
        const prng = &publish.cluster.life.prng;
        const party = &publish.cluster.parties()[prng.below(publish.cluster.parties_count)];
        if (!party.open()) return;
        defer party.process.task_ends();
        if (!publishes(party)) {
            if (prng.chance(1, 5)) try publish.change(party);
            for (0..prng.below(12)) |_| if (!try publish.take(party)) return;
            return;
        }
        if (party.type == .xpub and prng.chance(1, 3)) {
            while (try publish.read_subscription(party)) {}
        }
        for (0..1 + prng.below(8)) |_| {
            if (!try publish.send(party, prng.below(topics.len))) return;
        }
    }

    // -- topics ---------------------------------------------------------------------------------

    fn subscribe_some(publish: *Publish, party: *Party) !void {
        const prng = &publish.cluster.life.prng;
        for (0..prng.below(4)) |_| try publish.set(party, prng.below(topics.len), true);
    }

    fn change(publish: *Publish, party: *Party) !void {
        const prng = &publish.cluster.life.prng;
        const topic = prng.below(topics.len);
        const wanted = publish.followers[party.index].counts[topic] == 0 or prng.chance(1, 4);
        try publish.set(party, topic, wanted);
        publish.cluster.life.did(.subscription);
    }

    fn set(publish: *Publish, party: *Party, topic: u64, wanted: bool) !void {
        const follower = &publish.followers[party.index];
        const count = &follower.counts[topic];
        // To join twice is an error; an empty group is no group.
        if (publish.radio and (topic == 0 or (wanted == (count.* > 0)))) return;
        if (wanted and count.* == 3) return;
        publish.speak(party, topics[topic], wanted) catch |failure| switch (failure) {
            error.OutOfMemory => return,
            else => return publish.cluster.life.fail("s{d}: {t}", .{ party.id(), failure }),
        };
        party.note(if (wanted) .subscribed else .cancelled, topic, count.*);
        if (wanted) {
            count.* += 1;
            return;
        }
        count.* -= 1;
        if (count.* == 0) follower.fading.set(topic);
    }

    /// An XSUB may do it by a message, too.
    fn speak(publish: *Publish, party: *Party, topic: []const u8, wanted: bool) !void {
        if (party.type != .xsub or publish.cluster.life.prng.boolean()) {
            return party.slot().socket.subscribe(topic, wanted);
        }
        var buffer: [8]u8 = undefined;
        buffer[0] = @intFromBool(wanted);
        @memcpy(buffer[1..][0..topic.len], topic);
        try party.process.send(party.handle, &.{buffer[0 .. 1 + topic.len]}, false);
    }

    // -- messages -------------------------------------------------------------------------------

    /// False: out of memory.
    fn send(publish: *Publish, party: *Party, topic: u64) !bool {
        const life = publish.cluster.life;
        const ledger = &life.ledger;
        var prefix_buffer: [8]u8 = undefined;
        const name = topics[topic];
        @memcpy(prefix_buffer[0..name.len], name);
        prefix_buffer[name.len] = '|';
        const prefix = if (publish.radio) "" else prefix_buffer[0 .. name.len + 1];
        var buffer: [ledgers.parts_max + 1][]const u8 = undefined;
        const parts = ledger.compose(party.stream, prefix, buffer[1..]);
        defer ledger.scribble(parts);
        // A group without a name is none.
        buffer[0] = if (name.len > 0) name else "z";
        const all = if (publish.radio) buffer[0 .. parts.len + 1] else parts;
        const sent = party.send(all) catch |failure| switch (failure) {
            error.OutOfMemory => return false,
            else => return life.fail("s{d}: {t}", .{ party.id(), failure }),
        };
        if (!sent) return life.fail("s{d} waits, which a publisher never does", .{party.id()});
        ledger.accepted(party.stream);
        return true;
    }

    /// False: there is nothing.
    fn take(publish: *Publish, party: *Party) !bool {
        const life = publish.cluster.life;
        const follower = &publish.followers[party.index];
        // The next one is looked at with what is wanted now.
        if (party.slot().socket.ring.waiting() == 0) follower.fading = .initEmpty();
        const taken = (try party.take()) orelse return false;
        publish.check(party, taken.parts, taken.source) catch |failure| {
            return life.fail("s{d} received: {t}", .{ party.id(), failure });
        };
        follower.arrived += 1;
        return true;
    }

    fn check(publish: *Publish, party: *Party, parts: []const []const u8, source: u32) !void {
        const ledger = &publish.cluster.life.ledger;
        const group = publish.cluster.base;
        const name = if (publish.radio) parts[0] else blk: {
            const bar = std.mem.findScalar(u8, parts[0], '|') orelse return error.Torn;
            break :blk parts[0][0..bar];
        };
        const it = if (publish.radio)
            try ledger.identify(group, parts[1..], 0)
        else
            try ledger.identify(group, parts, name.len + 1);
        try ledger.arrive_in_order(party.life, source, it);
        // An XSUB hands out whatever its publishers send, see `finish`.
        if (party.type == .xsub) return;
        const topic = for (topics, 0..) |known, index| {
            if (std.mem.eql(u8, known, name)) break index;
        } else return error.Torn;
        if (!publish.followers[party.index].wants(topic, publish.radio)) return error.Unwanted;
    }

    /// False: there is none.
    fn read_subscription(publish: *Publish, party: *Party) !bool {
        const life = publish.cluster.life;
        const taken = (try party.take()) orelse return false;
        const body = taken.parts[0];
        if (taken.parts.len != 1 or body.len == 0 or body[0] > 1) {
            return life.fail("s{d} read no subscription", .{party.id()});
        }
        const topic = for (topics, 0..) |known, index| {
            if (std.mem.eql(u8, known, body[1..])) break index;
        } else return life.fail("s{d} read of an unknown topic", .{party.id()});
        const told = &publish.told[party.index];
        if (told.isSet(topic) == (body[0] == 1) and !missed_notices(party)) {
            return life.fail("s{d} is told twice of topic {d}: {d}", .{
                party.id(), topic, body[0],
            });
        }
        told.setValue(topic, body[0] == 1);
        party.note(.told, topic, body[0]);
        return true;
    }

    /// Dropped for want of memory, and counted.
    fn missed_notices(party: *Party) bool {
        return party.process.record(party.handle).dropped_unread > 0;
    }

    pub fn drain(publish: *Publish) !bool {
        var any = false;
        for (publish.cluster.parties()) |*party| {
            if (!party.open()) continue;
            if (party.type == .xpub) {
                while (try publish.read_subscription(party)) any = true;
            } else if (!publishes(party)) {
                while (try publish.take(party)) any = true;
            }
        }
        return any;
    }

    // -- the calm -------------------------------------------------------------------------------

    /// Rounds of a few messages each: everybody receives just what he wants.
    pub fn finish(publish: *Publish) !void {
        const life = publish.cluster.life;
        for (0..3) |round| {
            for (publish.cluster.parties()) |*party| {
                if (publishes(party)) continue;
                if (round > 0) try publish.change(party);
                publish.followers[party.index].arrived = 0;
            }
            try life.deliver();
            try publish.check_told();
            var expected: [clusters.parties_max]u32 = @splat(0);
            for (publish.cluster.parties()) |*party| {
                if (publishes(party)) try publish.send_round(party, &expected);
            }
            for (publish.cluster.parties()) |*party| {
                if (publishes(party)) continue;
                const arrived = publish.followers[party.index].arrived;
                // See `check_told`: an XSUB gets what it has wanted once, too.
                const more = party.type == .xsub and party.links[0].binds;
                if (more and arrived > expected[party.index]) continue;
                if (arrived != expected[party.index]) return life.fail(
                    "{d} messages came to s{d}, it subscribed to {d}",
                    .{ arrived, party.id(), expected[party.index] },
                );
            }
        }
    }

    fn send_round(
        publish: *Publish,
        party: *Party,
        expected: *[clusters.parties_max]u32,
    ) !void {
        const life = publish.cluster.life;
        for (0..4) |_| {
            const topic = life.prng.below(topics.len);
            for (publish.cluster.parties()) |*other| {
                if (publishes(other) or (publish.radio and topic == 0)) continue;
                const follower = &publish.followers[other.index];
                follower.fading = .initEmpty();
                const wanted = follower.wants(topic, publish.radio);
                expected[other.index] += @intFromBool(wanted);
            }
            if (!try publish.send(party, topic)) return life.fail("no memory", .{});
            party.process.task_ends();
            try life.deliver();
        }
    }

    /// What a publisher knows and its reader was told is what its subscribers want.
    fn check_told(publish: *Publish) !void {
        const life = publish.cluster.life;
        if (publish.radio) return;
        var wanted: Set = .initEmpty();
        for (publish.cluster.parties()) |*party| {
            if (publishes(party)) continue;
            for (publish.followers[party.index].counts, 0..) |count, topic| {
                if (count > 0) wanted.set(topic);
            }
        }
        for (publish.cluster.parties()) |*party| {
            if (!publishes(party)) continue;
            const known = party.process.record(party.handle).topics;
            const told = publish.told[party.index];
            // One that connects keeps the topics of a connection for the next one.
            if (!party.links[0].binds) {
                const all = party.type != .xpub or told.supersetOf(wanted) or
                    missed_notices(party);
                if (all and known >= wanted.count()) continue;
            }
            if (known != wanted.count()) return life.fail("s{d} knows {d} topics, there are {d}", .{
                party.id(), known, wanted.count(),
            });
            if (party.type == .xpub and !told.eql(wanted) and !missed_notices(party)) {
                return life.fail("s{d} was told of topics {b}, there are {b}", .{
                    party.id(), told.mask, wanted.mask,
                });
            }
        }
    }
};
