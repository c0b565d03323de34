//! REQ and REP: a question, then its answer, in lockstep on both sides. An answer belongs to the
//! question that is open, unless it is relaxed and does not correlate; a question is asked of one
//! REP; whatever is out of turn is refused.

const std = @import("std");

const clusters = @import("../swarm_cluster.zig");
const Cluster = clusters.Cluster;
const Draw = clusters.Draw;
const ledgers = @import("../swarm_ledger.zig");
const Life = @import("../swarm_life.zig").Life;
const Party = clusters.Party;

const Asker = struct {
    relaxed: bool,
    correlates: bool,
    /// The question that is open.
    open: ?u32 = null,
    /// It got an answer that was meant for an earlier life of it.
    shifted: bool = false,
};

const Answerer = struct {
    /// What is to be answered.
    owes: ?ledgers.Reference = null,
};

pub const Request = struct {
    cluster: Cluster,
    askers: [clusters.parties_max]Asker = undefined,
    answerers: [clusters.parties_max]Answerer = @splat(.{}),
    answered: u64 = 0,

    pub fn init(request: *Request, life: *Life, base: u8) !void {
        const prng = &life.prng;
        request.* = .{
            .cluster = .{
                .life = life,
                .base = base,
                .opened = opened,
                .empty_ring = empty_ring,
                // A REQ reads nothing until it has asked again.
                .all_is_read = false,
            },
        };
        const draw: Draw = .init(prng);
        const cluster = &request.cluster;
        var reqs: [2]*Party = undefined;
        var reps: [2]*Party = undefined;
        const reqs_count = prng.range(1, 2);
        const reps_count = prng.range(1, 2);
        for (reqs[0..reqs_count]) |*req| {
            req.* = cluster.add(.req, &draw);
            const asker = &request.askers[req.*.index];
            asker.* = .{ .relaxed = prng.boolean(), .correlates = prng.boolean() };
            req.*.options.request_relaxed = @intFromBool(asker.relaxed);
            req.*.options.request_correlate = @intFromBool(asker.correlates);
        }
        for (reps[0..reps_count]) |*rep| rep.* = cluster.add(.rep, &draw);
        if (prng.boolean()) {
            for (reps[0..reps_count]) |rep| cluster.join(rep, reqs[0..reqs_count]);
        } else for (reqs[0..reqs_count]) |req| cluster.join(req, reps[0..reps_count]);
    }

    fn of(cluster: *Cluster) *Request {
        return @fieldParentPtr("cluster", cluster);
    }

    fn opened(cluster: *Cluster, party: *Party) !void {
        const request = of(cluster);
        party.stream = try cluster.life.ledger.open(.{
            .single = false,
            .small = party.small,
            .group = cluster.base,
        });
        request.askers[party.index].open = null;
        request.askers[party.index].shifted = false;
        request.answerers[party.index].owes = null;
    }

    fn empty_ring(_: *Cluster, _: *Party) !void {}

    pub fn step(request: *Request) !void {
        const prng = &request.cluster.life.prng;
        const party = &request.cluster.parties()[prng.below(request.cluster.parties_count)];
        if (!party.open()) return;
        defer party.process.task_ends();
        if (prng.chance(1, 8)) return request.misbehave(party);
        if (party.type == .rep) {
            _ = try request.serve(party);
            return;
        }
        const asker = &request.askers[party.index];
        if (asker.open == null or (asker.relaxed and prng.chance(1, 4))) {
            _ = try request.ask(party);
        } else _ = try request.hear(party);
    }

    /// What is out of turn is refused, and nothing comes of it.
    fn misbehave(request: *Request, party: *Party) !void {
        const life = request.cluster.life;
        if (party.type == .req) {
            const asker = &request.askers[party.index];
            if (asker.open == null) return request.expect_no_turn(party.take());
            if (asker.relaxed) return;
        } else if (request.answerers[party.index].owes != null) {
            return request.expect_no_turn(party.take());
        }
        const parts: []const []const u8 = &.{"out of turn"};
        if (party.process.send(party.handle, parts, false)) |_| {
            return life.fail("s{d} spoke out of turn", .{party.id()});
        } else |failure| if (failure != error.WrongState) {
            return life.fail("s{d} out of turn: {t}", .{ party.id(), failure });
        }
    }

    fn expect_no_turn(request: *Request, taken: anytype) !void {
        if (taken) |_| return request.cluster.life.fail("heard out of turn", .{}) else |failure| {
            if (failure != error.WrongState) return failure;
        }
    }

    /// False: it could not be asked.
    fn ask(request: *Request, party: *Party) !bool {
        const life = request.cluster.life;
        const ledger = &life.ledger;
        var buffer: [ledgers.parts_max][]const u8 = undefined;
        const parts = ledger.compose(party.stream, "", &buffer);
        defer ledger.scribble(parts);
        const asker = &request.askers[party.index];
        const sent = party.send(parts) catch |failure| switch (failure) {
            // The question before is given up, too.
            error.OutOfMemory => {
                asker.open = null;
                return false;
            },
            else => return life.fail("s{d}: {t}", .{ party.id(), failure }),
        };
        if (!sent) return false;
        asker.open = ledger.get(party.stream).sent;
        ledger.accepted(party.stream);
        return true;
    }

    /// False: there is no answer yet.
    fn hear(request: *Request, party: *Party) !bool {
        const life = request.cluster.life;
        const asker = &request.askers[party.index];
        const taken = (party.take() catch |failure| {
            return life.fail("s{d} awaits an answer: {t}", .{ party.id(), failure });
        }) orelse return false;
        const it = life.ledger.identify(request.cluster.base, taken.parts, 0) catch |failure| {
            return life.fail("s{d} heard: {t}", .{ party.id(), failure });
        };
        // A REP that connects keeps its answer for the next one who is there, as a queue is kept. A
        // REQ that does not correlate takes it for its own, and then each for the one after.
        const early = party.links[0].binds and it.stream < party.stream;
        if (early and !asker.correlates) asker.shifted = true;
        const strict = asker.correlates or !(asker.relaxed or asker.shifted);
        const other = it.stream != party.stream or it.number > asker.open.? or
            (strict and it.number != asker.open.?);
        if (other and !(early and asker.shifted)) {
            return life.fail("s{d} asked {d} and heard {d} of {d}", .{
                party.id(), asker.open.?, it.number, it.stream,
            });
        }
        asker.open = null;
        request.answered += 1;
        return true;
    }

    /// Takes a question, or answers the one that was taken. False: there is none.
    fn serve(request: *Request, party: *Party) !bool {
        const life = request.cluster.life;
        const ledger = &life.ledger;
        const answerer = &request.answerers[party.index];
        if (answerer.owes) |it| {
            var buffer: [ledgers.parts_max][]const u8 = undefined;
            const parts = ledger.compose_again(it, "", &buffer);
            defer ledger.scribble(parts);
            const sent = party.send(parts) catch |failure| switch (failure) {
                error.OutOfMemory => return false,
                else => return life.fail("s{d} answers: {t}", .{ party.id(), failure }),
            };
            if (!sent) return life.fail("s{d} has no room for an answer", .{party.id()});
            answerer.owes = null;
            return true;
        }
        const taken = (try party.take()) orelse return false;
        const it = ledger.identify(request.cluster.base, taken.parts, 0) catch |failure| {
            return life.fail("s{d} was asked: {t}", .{ party.id(), failure });
        };
        ledger.arrive_once(it) catch |failure| {
            return life.fail("s{d} was asked: {t}", .{ party.id(), failure });
        };
        answerer.owes = .{ .stream = it.stream, .number = it.number };
        return true;
    }

    pub fn drain(request: *Request) !bool {
        var any = false;
        for (request.cluster.parties()) |*party| {
            if (!party.open()) continue;
            if (party.type == .rep) {
                while (try request.serve(party)) any = true;
            } else if (request.askers[party.index].open != null) {
                if (try request.hear(party)) any = true;
            }
        }
        return any;
    }

    /// A question is answered, always. One that the network has lost, or whose REP has gone, waits
    /// for ever where it is not relaxed: that is REQ as the RFC has it; such a socket is closed.
    pub fn finish(request: *Request) !void {
        const cluster = &request.cluster;
        const life = cluster.life;
        var reopened = false;
        for (cluster.parties()) |*party| {
            if (party.type != .req) continue;
            if (request.askers[party.index].open == null) continue;
            const lost = life.network.vanished_bytes > 0 or !cluster.exact or
                request.dropped() > 0;
            if (!lost) return life.fail("s{d} has no answer", .{party.id()});
            if (request.askers[party.index].relaxed) continue;
            try cluster.close(party, 0);
            reopened = true;
        }
        if (reopened) try life.settle();
        for (cluster.parties()) |*party| {
            if (party.type != .req) continue;
            for (0..4) |round| {
                if (!try request.ask(party)) return life.fail("s{d} cannot ask", .{party.id()});
                party.process.task_ends();
                try life.deliver();
                if (request.askers[party.index].open == null) continue;
                return life.fail("s{d} has no answer in round {d}", .{ party.id(), round });
            }
        }
    }

    fn dropped(request: *Request) u64 {
        var count: u64 = 0;
        for (request.cluster.parties()) |*party| {
            const record = party.process.record(party.handle);
            count += record.dropped_disconnect + record.dropped_no_peer +
                record.dropped_malformed + record.dropped_stale;
        }
        return count;
    }
};
