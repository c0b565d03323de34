//! One seed: processes on a network, clusters of sockets that talk, storms of faults and the calm
//! after each, in which everything has to heal; then the end, after which nothing may be left.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;

const Cluster = @import("swarm_cluster.zig").Cluster;
const Draw = @import("swarm_cluster.zig").Draw;
const Exchange = @import("models/exchange.zig").Exchange;
const inproc = @import("../net/inproc.zig");
const journals = @import("swarm_journal.zig");
const Journal = journals.Journal;
const Ledger = @import("swarm_ledger.zig").Ledger;
const memory_io = @import("memory_io.zig");
const Memory = @import("swarm_memory.zig").Memory;
const Network = memory_io.Network;
const Prng = @import("../stdx/prng.zig").Prng;
const Process = @import("swarm_process.zig").Process;
const Publish = @import("models/publish.zig").Publish;
const Request = @import("models/request.zig").Request;
const Route = @import("models/route.zig").Route;
const shared_blocks = @import("../stdx/shared_blocks.zig");
const sockets = @import("../socket/socket.zig");
const time = @import("../stdx/time.zig");

/// What is done to a life besides what the network does.
pub const Deed = enum {
    restart,
    partition,
    memory_slabs,
    memory_context,
    few_descriptors,
    buffer_delayed,
    view_kept,
    idle_turn,
    close,
    unbind,
    disconnect,
    relocate,
    marks,
    subscription,
    asked,
    plain,
    curve,
    curve_asked,
    let_in,
    sent_away,
};

pub const Kind = enum { exchange, publish, request, route };

pub const Model = union(Kind) {
    exchange: Exchange,
    publish: Publish,
    request: Request,
    route: Route,

    pub fn cluster(model: *Model) *Cluster {
        return switch (model.*) {
            inline else => |*it| &it.cluster,
        };
    }

    fn step(model: *Model) !void {
        switch (model.*) {
            inline else => |*it| try it.step(),
        }
    }

    /// Takes all that is there and answers what is asked. True: there was something.
    fn drain(model: *Model) !bool {
        return switch (model.*) {
            inline else => |*it| it.drain(),
        };
    }

    /// Everything is connected and read: now it has to work as if nothing had been.
    fn finish(model: *Model) !void {
        switch (model.*) {
            inline else => |*it| try it.finish(),
        }
    }
};

pub const processes_max = 4;
const models_max = 3;
/// Virtual time in which all has to heal.
const healing_ns = 60 * time.ns_per_s;

pub const Life = struct {
    seed: u64,
    prng: Prng,
    memory: Memory = .{},
    network: Network,
    journal: Journal,
    ledger: Ledger,
    processes_buffer: [processes_max]Process = undefined,
    processes_count: u3 = 0,
    models_buffer: [models_max]Model = undefined,
    models_count: u8 = 0,
    deeds: std.EnumArray(Deed, u64) = .initFill(0),
    kinds: std.EnumArray(Kind, u64) = .initFill(0),
    storm: memory_io.Options = .{},
    disturbs: bool = false,
    memory_fails: bool = false,
    lives: u32 = 0,
    /// How often all that was sent had arrived or was counted.
    balanced: u64 = 0,
    failure: [256]u8 = undefined,
    failure_len: usize = 0,

    pub fn init(life: *Life, seed: u64, filler: []const u8, loud: bool) !void {
        life.* = .{
            .seed = seed,
            .prng = .init(seed),
            .network = undefined,
            .journal = .{ .loud = loud },
            .ledger = undefined,
        };
        const it = life.memory.allocator();
        life.network = .init(it, life.prng.next(), .{});
        life.ledger = try .init(it, seed, filler);
    }

    pub fn allocator(life: *Life) Allocator {
        return life.memory.allocator();
    }

    pub fn processes(life: *Life) []Process {
        return life.processes_buffer[0..life.processes_count];
    }

    pub fn models(life: *Life) []Model {
        return life.models_buffer[0..life.models_count];
    }

    pub fn any_process(life: *Life) *Process {
        return &life.processes()[life.prng.below(life.processes_count)];
    }

    pub fn did(life: *Life, deed: Deed) void {
        life.deeds.getPtr(deed).* += 1;
    }

    pub fn next_life(life: *Life) u32 {
        life.lives += 1;
        return life.lives;
    }

    /// What the seed has shown to be wrong.
    pub fn fail(life: *Life, comptime format: []const u8, args: anytype) error{Invariant} {
        const text = std.fmt.bufPrint(&life.failure, format, args) catch life.failure[0..];
        life.failure_len = text.len;
        return error.Invariant;
    }

    pub fn note(life: *Life, kind: journals.Kind, a: u64, b: u64) void {
        const nobody = journals.Entry.nobody;
        life.journal.note(.{
            .at_ns = life.network.now_ns,
            .kind = kind,
            .process = nobody,
            .party = nobody,
            .a = a,
            .b = b,
        });
    }

    // -- the whole of it ------------------------------------------------------------------------

    pub fn run(life: *Life) !void {
        const links = inproc.live();
        const blocks = shared_blocks.live();
        try life.set_up();
        const storms = 1 + life.prng.below(3);
        for (0..storms) |number| {
            life.note(.phase, number, 0);
            life.network.options = life.storm;
            for (0..50 + life.prng.below(200)) |_| try life.step();
            life.note(.phase, number, 1);
            try life.calm_down();
            for (life.models()) |*model| try model.finish();
        }
        try life.tear_down();
        if (inproc.live() != links) return life.fail("links inside the process are left", .{});
        if (shared_blocks.live() != blocks) return life.fail("blocks of links are left", .{});
    }

    pub fn deinit(life: *Life) !void {
        life.network.deinit();
        life.ledger.deinit();
        for (life.processes()) |*process| process.deinit();
        if (life.memory.live_blocks != 0) return error.MemoryOfSimulationNotGivenBack;
    }

    fn set_up(life: *Life) !void {
        const prng = &life.prng;
        life.draw_storm();
        life.processes_count = @intCast(prng.range(1, processes_max));
        for (life.processes(), 0..) |*process, number| {
            process.* = .{
                .allocator = life.allocator(),
                .network = &life.network,
                .journal = &life.journal,
                .prng = prng,
                .number = @intCast(number),
                .keeps_views = prng.chance(1, 4),
                .arena_bytes = prng.pick(u32, &.{ 48 * 1024, 64 * 1024, 64 * 1024, 256 * 1024 }),
            };
            try process.start();
        }
        const count = prng.range(1, models_max);
        for (0..count) |index| {
            const kind = prng.enum_uniform(Kind);
            life.kinds.getPtr(kind).* += 1;
            const model = &life.models_buffer[index];
            const base: u8 = @intCast(index * 16);
            switch (kind) {
                inline else => |tag| {
                    model.* = @unionInit(Model, @tagName(tag), undefined);
                    try @field(model, @tagName(tag)).init(life, base);
                },
            }
            life.models_count += 1;
        }
        for (life.models()) |*model| _ = try model.cluster().repair();
    }

    /// Each fault is in some storms and not in others: together they would end every connection
    /// before it has begun.
    fn draw_storm(life: *Life) void {
        const prng = &life.prng;
        const storm = &life.storm;
        storm.stream_bytes_max = prng.pick(u32, &.{ 2000, 20_000, 65_536, 200_000 });
        storm.latency_ns_max = prng.pick(u64, &.{ 50_000, 1_000_000, 20_000_000 });
        life.network.options.stream_bytes_max = storm.stream_bytes_max;
        inline for (.{
            .{ "split_arrival", 500 }, .{ "split_send", 300 },   .{ "would_block", 100 },
            .{ "split_reap", 300 },    .{ "late_cancel", 500 },  .{ "connect_refused", 300 },
            .{ "accept_fails", 200 },  .{ "spurious", 100 },     .{ "multishot_ends", 300 },
            .{ "open_fails", 100 },    .{ "transfer_fails", 3 }, .{ "reset", 10 },
            .{ "half_close", 10 },     .{ "submit_fails", 5 },
        }) |it| {
            const ends_connections = it[1] <= 10;
            if (prng.chance(1, if (ends_connections) 5 else 2)) {
                @field(storm, it[0]) = @intCast(1 + prng.below(it[1]));
            }
        }
        life.disturbs = prng.chance(1, 2);
        life.memory_fails = prng.chance(1, 6);
    }

    // -- the storm ------------------------------------------------------------------------------

    fn step(life: *Life) !void {
        const prng = &life.prng;
        switch (prng.below(100)) {
            0...54 => try life.models()[prng.below(life.models_count)].step(),
            55...64 => {
                const process = life.any_process();
                if (!process.running) return;
                life.did(.idle_turn);
                try process.turn();
            },
            65...92 => try life.let_pass(prng.below(prng.pick(u64, &.{
                20_000, 200_000, 2_000_000, 40_000_000,
            }))),
            93...95 => if (life.disturbs) try life.strike(),
            96...97 => if (life.disturbs) {
                try life.models()[prng.below(life.models_count)].cluster().disturb();
            },
            else => for (life.models()) |*model| {
                _ = try model.cluster().repair();
            },
        }
        for (life.models()) |*model| try model.cluster().check_marks();
    }

    fn strike(life: *Life) !void {
        const prng = &life.prng;
        const process = life.any_process();
        switch (prng.below(7)) {
            0 => try life.restart(process),
            1 => {
                const other = life.any_process();
                life.network.clog(process.number, other.number);
                life.note(.partition, process.number, other.number);
                life.did(.partition);
            },
            2 => {
                life.network.heal();
                life.note(.healed, 0, 0);
            },
            3 => if (process.running) {
                process.slow = !process.slow;
                process.strict = prng.boolean();
                if (!process.slow) _ = try process.lend_all();
            },
            4 => if (life.memory_fails and process.running) {
                const after = prng.below(50);
                process.context.resources.slabs.fail_after = after;
                life.inexact();
                life.did(.memory_slabs);
                life.note(.memory, process.number, after);
            },
            5 => if (life.memory_fails and process.running) {
                const after = prng.below(20);
                process.memory.fail_after = after;
                life.inexact();
                life.did(.memory_context);
                life.note(.memory, process.number, 1000 + after);
            },
            else => {
                life.network.options.descriptors_max = @intCast(prng.range(3, 12));
                life.note(.descriptors, life.network.options.descriptors_max, 0);
                life.did(.few_descriptors);
            },
        }
    }

    fn inexact(life: *Life) void {
        for (life.models()) |*model| model.cluster().exact = false;
    }

    /// A process ends, and begins anew; what it had is gone.
    fn restart(life: *Life, process: *Process) !void {
        for (life.models()) |*model| model.cluster().process_stopped(process);
        if (process.running) try life.stop(process);
        try process.start();
        life.note(.restarted, process.number, process.starts);
        life.did(.restart);
    }

    fn stop(life: *Life, process: *Process) !void {
        life.deeds.getPtr(.buffer_delayed).* += process.delayed;
        life.deeds.getPtr(.view_kept).* += process.viewed;
        process.delayed = 0;
        process.viewed = 0;
        life.deeds.getPtr(.let_in).* += process.let_in;
        life.deeds.getPtr(.sent_away).* += process.sent_away;
        process.let_in = 0;
        process.sent_away = 0;
        process.stop() catch |failure| {
            return life.fail("process {d}: {t}", .{ process.number, failure });
        };
    }

    /// What was sent has arrived or was counted. Where the network has lost something, at least
    /// nothing counts as both.
    pub fn balance(life: *Life, sent: u64, arrived: u64, dropped: u64) !void {
        const lost = life.network.vanished_bytes > 0;
        if (!lost) life.balanced += 1;
        if (arrived + dropped > sent or (!lost and arrived + dropped != sent)) {
            return life.fail("{d} sent, {d} arrived, {d} dropped", .{ sent, arrived, dropped });
        }
    }

    // -- time -----------------------------------------------------------------------------------

    /// Everybody who is awake takes turns until nobody is.
    pub fn turns(life: *Life) !void {
        for (0..200_000) |_| {
            var any = false;
            for (life.processes()) |*process| {
                if (!process.awake()) continue;
                any = true;
                try process.turn();
            }
            if (!any) return life.note_events();
        }
        return life.fail("turns without end", .{});
    }

    fn note_events(life: *Life) void {
        for (life.models()) |*model| for (model.cluster().parties()) |*party| {
            if (!party.open()) continue;
            const context = &party.process.context;
            while (context.monitor_next(party.slot())) |it| {
                party.note(.monitor, @intFromEnum(it.type), @intFromEnum(it.reason));
            }
        };
    }

    pub fn let_pass(life: *Life, ns: u64) !void {
        const until = life.network.now_ns + ns;
        try life.turns();
        while (life.network.advance(until)) try life.turns();
    }

    // -- the calm -------------------------------------------------------------------------------

    fn calm_down(life: *Life) !void {
        life.network.options = .{ .stream_bytes_max = life.storm.stream_bytes_max };
        life.network.heal();
        for (life.processes()) |*process| {
            if (!process.running) try process.start();
            process.slow = false;
            process.strict = false;
            process.memory.fail_after = null;
            process.context.resources.slabs.fail_after = null;
            process.drop_views() catch |failure| return life.fail("{t}", .{failure});
            _ = try process.lend_all();
        }
        try life.settle();
    }

    /// Until all that belongs together is connected, and everything that was sent is read.
    pub fn settle(life: *Life) !void {
        const until = life.network.now_ns + healing_ns;
        var quiet: u32 = 0;
        while (quiet < 3) {
            var whole = true;
            for (life.models()) |*model| {
                if (!try model.cluster().repair()) whole = false;
            }
            try life.let_pass(10 * time.ns_per_ms);
            const read = try life.drain();
            for (life.models()) |*model| {
                if (model.cluster().unsettled() != null) whole = false;
            }
            // Closed ones that linger may connect yet, and take the id of those who came after.
            if (life.lingering()) whole = false;
            quiet = if (whole and !read) quiet + 1 else 0;
            if (life.network.now_ns < until) continue;
            return life.unhealed();
        }
        life.note(.settled, life.ledger.arrived, life.network.vanished_bytes);
    }

    fn lingering(life: *Life) bool {
        for (life.processes()) |*process| {
            var open: usize = 0;
            for (life.models()) |*model| for (model.cluster().parties()) |*party| {
                if (party.process != process or !party.open()) continue;
                open += 1;
                const slot = party.slot();
                var next = slot.sessions.first();
                while (next) |session| : (next = slot.sessions.next(session)) {
                    if (session.closing) return true;
                }
            };
            if (process.context.slots.count() != open) return true;
        }
        return false;
    }

    fn unhealed(life: *Life) error{Invariant} {
        for (life.models()) |*model| {
            const party = model.cluster().unsettled() orelse continue;
            if (!party.open()) return life.fail("s{d} cannot be opened", .{party.id()});
            return life.fail("s{d} does not heal: {d} connections, {d} unsent", .{
                party.id(),
                party.slot().socket.record.connections,
                party.process.context.unsent(party.slot()),
            });
        }
        return life.fail("what is there to read or to make has no end", .{});
    }

    /// True: somebody had something to read.
    pub fn drain(life: *Life) !bool {
        var any = false;
        for (life.models()) |*model| {
            if (try model.drain()) any = true;
        }
        for (life.processes()) |*process| process.task_ends();
        return any;
    }

    /// Lets pass what it takes to deliver what was just sent, and reads it.
    pub fn deliver(life: *Life) !void {
        for (life.processes()) |*process| process.task_ends();
        for (0..1000) |_| {
            try life.let_pass(5 * time.ns_per_ms);
            if (!try life.drain()) return;
        }
        return life.fail("what is there to read has no end", .{});
    }

    /// Where everybody stands, for whoever looks into a failure.
    pub fn print_sessions(life: *Life) void {
        std.debug.print("  {any}\n", .{life.storm});
        for (life.models()) |*model| for (model.cluster().parties()) |*party| {
            if (!party.open() or !party.process.running) continue;
            const slot = party.slot();
            std.debug.print("  s{d} {t} in p{d}, {d} connections, wants {any}\n", .{
                party.id(),
                party.type,
                party.process.number,
                slot.socket.record.connections,
                slot.socket.wanted,
            });
            var next = slot.sessions.first();
            while (next) |it| : (next = slot.sessions.next(it)) print_session(party.process, it);
            inline for (@typeInfo(sockets.Record).@"struct".fields) |field| {
                if (@typeInfo(field.type) != .int) continue;
                const value = @field(slot.socket.record, field.name);
                if (value > 0) std.debug.print("    {s} {d}\n", .{ field.name, value });
            }
        };
    }

    fn print_session(process: *Process, it: anytype) void {
        std.debug.print(
            "    {d} {t} {t} fd {d} readable {} watches {} {} full {} {} unread {d} unsent {d} " ++
                "closing {} large {}\n",
            .{
                it.handle,             it.kind,
                it.state,              it.fd,
                it.readable,           it.watching_readable,
                it.watching_writable,  it.pipe.receive_full,
                it.pipe.send_full,     it.pipe.receive.messages,
                it.pipe.send.messages, it.closing,
                it.large != null,
            },
        );
        if (it.fd < 0) return;
        const endpoint = process.io.get(it.fd);
        std.debug.print("      inbox {d} arrived {d} watches {d} ends {t} {t} room {d}\n", .{
            endpoint.inbox.items.len - endpoint.head,
            endpoint.arrived - endpoint.head,
            endpoint.watches.items.len,
            endpoint.end_coming,
            endpoint.end_arrived,
            if (endpoint.peer) |peer| peer.room() else 0,
        });
    }

    // -- the end --------------------------------------------------------------------------------

    fn tear_down(life: *Life) !void {
        life.note(.phase, 99, 0);
        for (life.models()) |*model| for (model.cluster().parties()) |*party| {
            if (party.open()) try model.cluster().close(party, 100);
        };
        for (life.processes()) |*process| process.task_ends();
        try life.let_pass(time.ns_per_s);
        for (life.processes()) |*process| {
            const context = &process.context;
            const sockets_left = context.slots.count();
            const sessions_left = context.session_table.count();
            const listeners_left = context.listener_table.count();
            if (sockets_left + sessions_left + listeners_left > 0) return life.fail(
                "p{d} has {d} sockets, {d} sessions, {d} listeners after close",
                .{ process.number, sockets_left, sessions_left, listeners_left },
            );
            if (process.io.descriptors_open > 0) return life.fail(
                "p{d} has {d} descriptors after close",
                .{ process.number, process.io.descriptors_open },
            );
            // Those are counted that there was no memory to tell of.
            if (process.buffers_held() > context.resources.abandoned.lost) return life.fail(
                "p{d} keeps {d} lent buffers after close",
                .{ process.number, process.buffers_held() },
            );
            if (!context.timers.empty()) return life.fail("p{d} has timers", .{process.number});
            const bytes = context.resources.slabs.live_bytes;
            if (bytes > 0) return life.fail("p{d} keeps {d} bytes", .{ process.number, bytes });
            try life.stop(process);
        }
    }
};
