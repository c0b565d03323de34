//! Sockets that talk to each other: who they are, where they bind and connect, and what is done to
//! them while they talk. What they say is the model's affair.

const std = @import("std");
const assert = std.debug.assert;

const Address = @import("../io/address.zig").Address;
const Entry = @import("swarm_journal.zig").Entry;
const Kind = @import("swarm_journal.zig").Kind;
const Life = @import("swarm_life.zig").Life;
const Prng = @import("../stdx/prng.zig").Prng;
const PeerStats = @import("../context.zig").PeerStats;
const processes = @import("swarm_process.zig");
const Process = processes.Process;
const relocation = @import("../relocation.zig");
const SocketOptions = @import("../options.zig").SocketOptions;
const Security = @import("../zmtp/security.zig").Security;
const sockets = @import("../socket/socket.zig");
const sodium = @import("../crypto/sodium.zig");
const time = @import("../stdx/time.zig");

pub const parties_max = 6;
const links_max = 3;

/// Where one party binds and others connect.
const Place = struct {
    address: Address,
    /// Of inproc; empty: the network.
    name: []const u8 = "",
    name_buffer: [16]u8 = undefined,
};

const Link = struct { place: u8, binds: bool, endpoint: u32 = 0 };

pub const Party = struct {
    cluster: *Cluster,
    index: u8,
    type: sockets.Type,
    process: *Process,
    handle: u32 = 0,
    links: [links_max]Link = undefined,
    links_count: u8 = 0,
    options: SocketOptions,
    /// Which opening of it this is, in the whole simulation.
    life: u32 = 0,
    /// What it sends.
    stream: u32 = 0,
    /// A take found nothing and waits to be told.
    waiting: bool = false,
    /// A send was refused for want of room and waits to be told.
    blocked: bool = false,
    small: bool,

    pub fn open(party: *const Party) bool {
        return party.handle != 0;
    }

    pub fn slot(party: *Party) *processes.Slot {
        return party.process.slot(party.handle);
    }

    pub fn note(party: *Party, kind: Kind, a: u64, b: u64) void {
        party.process.note(kind, party.cluster.base + party.index, a, b);
    }

    /// The next message, if one is there; whoever finds nothing is told when one comes.
    pub fn take(party: *Party) !?processes.Taken {
        const socket = &party.slot().socket;
        const taken = party.process.take(party.handle) catch |failure| {
            if (failure == error.WrongState or failure == error.NotSupported) return failure;
            return party.cluster.life.fail("{t} at s{d}", .{ failure, party.id() });
        };
        if (taken) |it| {
            const untold = party.waiting and socket.wanted.readable;
            if (untold) return party.cluster.life.fail("s{d} was not told to read", .{party.id()});
            party.waiting = false;
            party.note(.received, it.source, it.parts[it.parts.len - 1].len);
            return it;
        }
        party.waiting = true;
        socket.want(.{ .readable = true });
        return null;
    }

    pub fn id(party: *const Party) u8 {
        return party.cluster.base + party.index;
    }

    /// False: no room. Anything else that is refused is up to the caller.
    pub fn send(party: *Party, parts: []const []const u8) !bool {
        const life = party.cluster.life;
        const borrow = life.prng.chance(1, 4);
        const socket = &party.slot().socket;
        if (party.blocked and socket.wanted.writable and life.prng.chance(9, 10)) return false;
        var bytes: u64 = 0;
        for (parts) |part| bytes += part.len;
        party.process.send(party.handle, parts, borrow) catch |failure| {
            party.note(.send_refused, @intFromError(failure), bytes);
            if (failure != error.WouldBlock) return failure;
            party.blocked = true;
            socket.want(.{ .writable = true });
            return false;
        };
        party.blocked = false;
        party.note(.sent, parts.len, bytes);
        return true;
    }
};

pub const Cluster = struct {
    life: *Life,
    /// Number of its first party in the journal.
    base: u8,
    parties_buffer: [parties_max]Party = undefined,
    parties_count: u8 = 0,
    places: [4]Place = undefined,
    places_count: u8 = 0,
    /// Nothing was done to its sockets: what is sent arrives or is counted.
    exact: bool = true,
    movable: bool = false,
    /// The same for all its sockets, drawn when the first one opens.
    protection: ?Protection = null,
    /// Whatever is sent is read sooner or later.
    all_is_read: bool = true,
    opened: *const fn (*Cluster, *Party) anyerror!void,
    /// Takes what is in a ring before its socket moves.
    empty_ring: *const fn (*Cluster, *Party) anyerror!void,

    pub fn parties(cluster: *Cluster) []Party {
        return cluster.parties_buffer[0..cluster.parties_count];
    }

    // -- what it is made of -------------------------------------------------------------------

    pub fn add(cluster: *Cluster, socket_type: sockets.Type, shared: *const Draw) *Party {
        const life = cluster.life;
        const party = &cluster.parties_buffer[cluster.parties_count];
        party.* = .{
            .cluster = cluster,
            .index = cluster.parties_count,
            .type = socket_type,
            .process = life.any_process(),
            .options = shared.options(&life.prng),
            .small = shared.small,
        };
        cluster.parties_count += 1;
        return party;
    }

    /// `binder` gets a place, and each of the others connects to it.
    pub fn join(cluster: *Cluster, binder: *Party, others: []const *Party) void {
        const life = cluster.life;
        const number = cluster.places_count;
        cluster.places_count += 1;
        const place = &cluster.places[number];
        const port: u16 = 5000 + @as(u16, cluster.base) * 4 + number;
        place.* = .{ .address = .ipv4(.{ 127, 0, 0, 1 }, port) };
        const buffer = &place.name_buffer;
        switch (life.prng.below(8)) {
            0, 1 => place.name = name_of(buffer, port),
            2 => place.address = Address.unix(name_of(buffer, port)) catch unreachable, // Short.
            else => {},
        }
        cluster.link(binder, .{ .place = number, .binds = true });
        for (others) |other| cluster.link(other, .{ .place = number, .binds = false });
    }

    fn name_of(buffer: []u8, port: u16) []const u8 {
        return std.fmt.bufPrint(buffer, "/swarm {d}", .{port}) catch unreachable; // It fits.
    }

    fn link(_: *Cluster, party: *Party, it: Link) void {
        party.links[party.links_count] = it;
        party.links_count += 1;
    }

    // -- opening and repairing ------------------------------------------------------------------

    /// Everything that is missing is made. True: nothing was.
    pub fn repair(cluster: *Cluster) !bool {
        var whole = true;
        for (cluster.parties()) |*party| {
            if (!party.process.running) {
                whole = false;
                continue;
            }
            if (!party.open() and !try cluster.open(party)) whole = false;
            if (!party.open()) continue;
            for (party.links[0..party.links_count]) |*it| {
                if (it.endpoint == 0 and !try cluster.make(party, it)) whole = false;
            }
        }
        return whole;
    }

    /// False: out of memory.
    fn open(cluster: *Cluster, party: *Party) !bool {
        const context = &party.process.context;
        const handle = context.open(party.type) catch return false;
        party.handle = handle;
        party.life = cluster.life.next_life();
        party.waiting = false;
        party.blocked = false;
        party.slot().socket.options.* = party.options;
        cluster.protect(party) catch {
            context.close(handle, 0);
            party.handle = 0;
            return false;
        };
        context.monitor_start(party.slot()) catch {
            context.close(handle, 0);
            party.handle = 0;
            return false;
        };
        party.note(.opened, @intFromEnum(party.type), party.life);
        try cluster.opened(cluster, party);
        return true;
    }

    const Protection = enum { none, asked, plain, curve, curve_asked };

    /// Who binds is the server.
    fn protect(cluster: *Cluster, party: *Party) !void {
        const life = cluster.life;
        const protection = cluster.protection orelse life.prng.weighted(Protection, .{
            .none = 6,
            .asked = 1,
            .plain = 1,
            .curve = 2,
            .curve_asked = 2,
        });
        cluster.protection = protection;
        const server = for (party.links[0..party.links_count]) |it| {
            if (it.binds) break true;
        } else false;
        const asks = protection == .asked or protection == .curve_asked;
        const role: Security.Role = .{ .server = server, .authenticate = server and asks };
        const secret: [32]u8 = @splat(if (server) 7 else 11);
        const public = sodium.public_key(&secret);
        const security: ?*Security = switch (protection) {
            .none => null,
            .asked => if (server) try .init_null(role) else null,
            .plain => try .init_plain(role, .{ .user = "it", .password = "is it" }),
            .curve, .curve_asked => try .init_curve(
                role,
                &secret,
                &public,
                &sodium.public_key(&@splat(7)),
            ),
        };
        party.slot().socket.secure(security);
        switch (protection) {
            .none => {},
            .asked => life.did(.asked),
            .plain => life.did(.plain),
            .curve => life.did(.curve),
            .curve_asked => life.did(.curve_asked),
        }
    }

    /// False: not now.
    fn make(cluster: *Cluster, party: *Party, it: *Link) !bool {
        const place = &cluster.places[it.place];
        const context = &party.process.context;
        defer party.process.task_ends();
        // An attempt that fails at once leaves a timer, which JavaScript looks at, too.
        party.process.due = true;
        if (it.binds) {
            const bound = if (place.name.len > 0)
                context.bind_inproc(party.handle, place.name)
            else
                context.bind(party.handle, &place.address);
            it.endpoint = bound catch |failure| {
                party.note(.bind_failed, @intFromError(failure), it.place);
                return false;
            };
            party.note(.bound, it.place, it.endpoint);
            return true;
        }
        const made = if (place.name.len > 0)
            context.connect_inproc(party.handle, place.name, "")
        else
            context.connect(party.handle, &place.address, .{});
        it.endpoint = made catch return false;
        party.note(.connecting, it.place, it.endpoint);
        return true;
    }

    // -- what is done to it -------------------------------------------------------------------

    pub fn disturb(cluster: *Cluster) !void {
        const prng = &cluster.life.prng;
        const party = &cluster.parties()[prng.below(cluster.parties_count)];
        if (!party.open()) return;
        const linger: i32 = prng.pick(i32, &.{ 0, 0, 1, 20, 500 });
        const it = &party.links[prng.below(party.links_count)];
        cluster.exact = false;
        defer if (party.process.running) party.process.task_ends();
        switch (prng.below(8)) {
            0 => try cluster.close(party, linger),
            1, 2 => if (it.endpoint != 0) {
                const context = &party.process.context;
                if (it.binds) {
                    _ = context.unbind(party.handle, it.endpoint, linger);
                    party.note(.unbound, it.place, 0);
                    cluster.life.did(.unbind);
                } else {
                    _ = context.disconnect(party.handle, it.endpoint, linger);
                    party.note(.disconnected, it.place, 0);
                    cluster.life.did(.disconnect);
                }
                it.endpoint = 0;
            },
            3, 4 => if (cluster.movable) try cluster.relocate(party, cluster.life.any_process()),
            5 => cluster.change_marks(party),
            else => _ = try cluster.repair(),
        }
    }

    pub fn close(cluster: *Cluster, party: *Party, linger: i32) !void {
        cluster.exact = false;
        party.note(.closed, @bitCast(@as(i64, linger)), 0);
        party.process.context.close(party.handle, linger);
        party.process.due = true;
        cluster.forget(party);
        cluster.life.did(.close);
    }

    /// The socket has gone, with all it had.
    fn forget(_: *Cluster, party: *Party) void {
        party.handle = 0;
        for (party.links[0..party.links_count]) |*it| it.endpoint = 0;
    }

    pub fn process_stopped(cluster: *Cluster, process: *Process) void {
        for (cluster.parties()) |*party| {
            if (party.process != process) continue;
            cluster.exact = false;
            cluster.forget(party);
        }
    }

    fn change_marks(cluster: *Cluster, party: *Party) void {
        if (party.options.conflate != 0) return;
        const prng = &cluster.life.prng;
        const options = party.slot().socket.options;
        // Only larger ones: what is there already may be above a smaller one.
        for ([_]*u32{ &options.send_high_water_mark, &options.receive_high_water_mark }) |mark| {
            if (mark.* != 0) mark.* += @intCast(prng.below(20));
        }
        party.options.send_high_water_mark = options.send_high_water_mark;
        party.options.receive_high_water_mark = options.receive_high_water_mark;
        party.process.context.limits_changed(party.slot());
        party.note(.marks, options.send_high_water_mark, options.receive_high_water_mark);
        cluster.life.did(.marks);
    }

    const Moved = struct {
        party: *Party,
        /// Those that have their new number, which may be the old one of another.
        done: [links_max]bool = @splat(false),

        pub fn note(moved: *Moved, before: u32, now: u32) !void {
            const party = moved.party;
            for (party.links[0..party.links_count], 0..) |*it, i| {
                if (it.endpoint != before or moved.done[i]) continue;
                it.endpoint = now;
                moved.done[i] = true;
            }
        }
    };

    /// To another process, as a proxy's sockets move to its thread.
    fn relocate(cluster: *Cluster, party: *Party, to: *Process) !void {
        const from = party.process;
        if (to == from or !to.running or from.memory.fail_after != null) return;
        const armed = [_]?u64{
            from.context.resources.slabs.fail_after, to.context.resources.slabs.fail_after,
        };
        if (armed[0] != null or armed[1] != null or to.memory.fail_after != null) return;
        // Where a request of the kernel is refused half of it arrives; a proxy is told then.
        if (cluster.life.network.options.submit_fails > 0) return;
        try cluster.empty_ring(cluster, party);
        const allocator = cluster.life.allocator();
        var luggage = try relocation.take(&from.context, allocator, party.handle);
        defer luggage.deinit(&to.io);
        for (luggage.listeners.items) |*it| {
            if (it.fd >= 0) it.fd = from.io.give(it.fd, &to.io);
        }
        for (luggage.connections.items) |*it| {
            if (it.fd >= 0) it.fd = from.io.give(it.fd, &to.io);
        }
        if (luggage.pending.len > 0) return cluster.life.fail("s{d} left something", .{party.id()});
        var moved: Moved = .{ .party = party };
        party.handle = try relocation.unpack(&to.context, &luggage, &moved);
        party.process = to;
        party.life = cluster.life.next_life();
        party.waiting = false;
        party.blocked = false;
        to.due = true;
        try to.context.monitor_start(party.slot());
        cluster.find_listeners(party);
        party.note(.moved, from.number, to.number);
        cluster.life.did(.relocate);
    }

    fn find_listeners(cluster: *Cluster, party: *Party) void {
        for (party.links[0..party.links_count]) |*it| {
            const place = &cluster.places[it.place];
            if (!it.binds or it.endpoint == 0 or place.name.len > 0) continue;
            var listener = party.slot().listeners.first();
            while (listener) |found| : (listener = party.slot().listeners.next(found)) {
                if (found.address.equal(&place.address)) it.endpoint = found.handle;
            }
        }
    }

    // -- what must hold -------------------------------------------------------------------------

    fn expected_connections(cluster: *Cluster, party: *Party) u32 {
        var count: u32 = 0;
        for (party.links[0..party.links_count]) |it| {
            if (!it.binds) {
                count += 1;
                continue;
            }
            for (cluster.parties()) |*other| {
                for (other.links[0..other.links_count]) |there| {
                    count += @intFromBool(!there.binds and there.place == it.place);
                }
            }
        }
        return count;
    }

    /// All are connected and have sent all they had. Null: so it is; otherwise who is not.
    pub fn unsettled(cluster: *Cluster) ?*Party {
        for (cluster.parties()) |*party| {
            if (!party.open()) return party;
            const slot = party.slot();
            if (slot.socket.record.connections != cluster.expected_connections(party)) return party;
            if (!cluster.all_is_read) continue;
            if (party.process.context.unsent(slot) != 0) return party;
        }
        return null;
    }

    /// At all times: no queue is longer than its marks allow, and counters tell of what is there.
    pub fn check_marks(cluster: *Cluster) !void {
        for (cluster.parties()) |*party| {
            if (!party.open()) continue;
            var stats: [16]PeerStats = undefined;
            const slot = party.slot();
            const count = party.process.context.peers(slot, 0, &stats);
            for (stats[0..@min(count, stats.len)]) |*it| try cluster.check_peer(party, it);
        }
    }

    fn check_peer(cluster: *Cluster, party: *Party, it: *const PeerStats) !void {
        const send_mark = cluster.greatest_mark(party, .send);
        const conflated = party.options.conflate != 0;
        // The newest one, and one that has begun to leave; encrypted, both have.
        const newest: u32 = switch (cluster.protection orelse .none) {
            .curve, .curve_asked => 3,
            else => 2,
        };
        const send_limit = if (conflated) newest else send_mark orelse return;
        if (it.send_messages > send_limit) return cluster.life.fail(
            "s{d} queues {d} messages, its marks allow {d}",
            .{ party.id(), it.send_messages, send_limit },
        );
        const receive_mark = cluster.greatest_mark(party, .receive) orelse return;
        // What one recv(2) brings may come on top.
        const overshoot = party.process.arena_bytes / 10 + 1;
        if (it.receive_messages > receive_mark + overshoot) return cluster.life.fail(
            "s{d} has {d} unread messages, its marks allow {d}",
            .{ party.id(), it.receive_messages, receive_mark },
        );
    }

    /// Within the process the marks of both sides add up. Null: no limit.
    fn greatest_mark(
        cluster: *Cluster,
        party: *Party,
        comptime side: enum { send, receive },
    ) ?u32 {
        const own = if (side == .send)
            party.options.send_high_water_mark
        else
            party.options.receive_high_water_mark;
        if (own == 0) return null;
        var most = own;
        for (cluster.parties()) |*other| {
            const theirs = if (side == .send)
                other.options.receive_high_water_mark
            else
                other.options.send_high_water_mark;
            if (theirs == 0) return null;
            most = @max(most, own + theirs);
        }
        const linked = for (party.links[0..party.links_count]) |it| {
            if (cluster.places[it.place].name.len > 0) break true;
        } else false;
        return if (linked) most else own;
    }
};

/// Options that the parties of a cluster have in common, and the ranges of others.
pub const Draw = struct {
    heartbeats: bool,
    immediate: bool,
    conflate: bool = false,
    small: bool,

    pub fn init(prng: *Prng) Draw {
        return .{
            .heartbeats = prng.chance(1, 3),
            .immediate = prng.chance(1, 6),
            .small = prng.chance(3, 4),
        };
    }

    fn options(draw: *const Draw, prng: *Prng) SocketOptions {
        const marks = [_]u32{ 1, 2, 3, 10, 100, 1000, 0 };
        var result: SocketOptions = .{
            .send_high_water_mark = prng.pick(u32, &marks),
            .receive_high_water_mark = prng.pick(u32, &marks),
            .reconnect_interval_ms = prng.pick(i32, &.{ 1, 5, 20, 100 }),
            .reconnect_interval_max_ms = prng.pick(i32, &.{ 0, 0, 300 }),
            .handshake_interval_ms = prng.pick(u32, &.{ 100, 1000 }),
            .connect_timeout_ms = prng.pick(u32, &.{ 0, 50, 500 }),
            .backlog = prng.pick(u32, &.{ 1, 3, 100 }),
            .immediate = @intFromBool(draw.immediate),
            .conflate = @intFromBool(draw.conflate),
        };
        if (draw.heartbeats and prng.chance(2, 3)) {
            result.heartbeat_interval_ms = prng.pick(u32, &.{ 10, 50, 300 });
            result.heartbeat_timeout_ms = prng.pick(i32, &.{ -1, 100, 1000 });
            // Shorter than the pause between two PINGs it would end a connection that is idle.
            const interval = result.heartbeat_interval_ms;
            result.heartbeat_ttl_ms = prng.pick(u32, &.{ 0, 0, 100 + 2 * interval, 1500 });
        }
        return result;
    }
};
