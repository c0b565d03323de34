//! `zig build sim`: runs seeds of simulated lives (swarm_life.zig), each twice, and says which of
//! them failed, why, and what was tried in all of them.
//!
//!     zig build sim                         the kept seeds, then fresh ones for two minutes
//!     zig build sim -- SEED [--log]         one seed, with all that happens
//!     zig build sim -- --seeds N --from S   so many, in order
//!     zig build sim -- --seconds S          the kept seeds, and fresh ones for so long

const std = @import("std");

const journals = @import("swarm_journal.zig");
const Ledger = @import("swarm_ledger.zig").Ledger;
const lives = @import("swarm_life.zig");
const Life = lives.Life;
const memory_io = @import("memory_io.zig");
const time = @import("../stdx/time.zig");

/// Failing seeds of old, with their causes.
const kept = @embedFile("seeds.txt");
/// A seed that takes longer never ends.
const seed_seconds_max = 60;

const heap = std.heap.c_allocator;

extern "c" fn alarm(seconds: c_uint) c_uint;

/// The life that is being run, for whoever has to speak when it is the last.
var current: ?*Life = null;

fn tell_current() void {
    const life = current orelse return;
    std.debug.print("seed {d}; what happened last:\n", .{life.seed});
    life.journal.print_last();
}

/// An assertion of the product is a finding like any other.
pub const panic = std.debug.FullPanic(struct {
    fn call(message: []const u8, at: ?usize) noreturn {
        std.debug.print("\npanic: {s}, in ", .{message});
        tell_current();
        std.debug.defaultPanic(message, at);
    }
}.call);

fn too_long(_: std.os.linux.SIG) callconv(.c) void {
    std.debug.print("\nno end after {d} s, in ", .{seed_seconds_max});
    tell_current();
    std.process.exit(1);
}

const Totals = struct {
    seeds: u64 = 0,
    failed: u64 = 0,
    arrived: u64 = 0,
    vanished_bytes: u64 = 0,
    virtual_ns: u64 = 0,
    entries: u64 = 0,
    balanced: u64 = 0,
    faults: std.EnumArray(memory_io.Fault, u64) = .initFill(0),
    deeds: std.EnumArray(lives.Deed, u64) = .initFill(0),
    kinds: std.EnumArray(lives.Kind, u64) = .initFill(0),
};

const How = enum { first, again, loud };

const Outcome = struct { digest: u64, failure: ?anyerror };

const Program = struct {
    filler: []const u8,
    totals: Totals = .{},

    fn run_once(program: *Program, seed: u64, how: How) !Outcome {
        const life = try heap.create(Life);
        defer heap.destroy(life);
        try life.init(seed, program.filler, how == .loud);
        current = life;
        defer current = null;
        _ = alarm(seed_seconds_max);
        defer _ = alarm(0);
        if (life.run()) |_| {
            try life.deinit();
        } else |failure| {
            std.debug.print("\nseed {d}: {t}: {s}\n", .{
                seed, failure, life.failure[0..life.failure_len],
            });
            life.journal.print_last();
            life.print_sessions();
            // What it had is left where it is: the program ends soon.
            return .{ .digest = life.journal.digest(), .failure = failure };
        }
        if (how != .again) program.count(life);
        return .{ .digest = life.journal.digest(), .failure = null };
    }

    fn count(program: *Program, life: *Life) void {
        const totals = &program.totals;
        totals.arrived += life.ledger.arrived;
        totals.vanished_bytes += life.network.vanished_bytes;
        totals.virtual_ns += life.network.now_ns - memory_io.start_ns;
        totals.entries += life.journal.entries;
        totals.balanced += life.balanced;
        inline for (.{ "faults", "deeds", "kinds" }) |name| {
            const from = if (comptime std.mem.eql(u8, name, "faults"))
                &life.network.faults
            else
                &@field(life, name);
            var iterator = from.iterator();
            while (iterator.next()) |entry| {
                @field(totals, name).getPtr(entry.key).* += entry.value.*;
            }
        }
    }

    /// Twice: what is not the same the second time cannot be looked into.
    fn run_seed(program: *Program, seed: u64) !void {
        // What failed is left as it is, names of the process included: it would disturb others.
        if (program.totals.failed > 0) return;
        program.totals.seeds += 1;
        const first = try program.run_once(seed, .first);
        if (first.failure != null) {
            program.totals.failed += 1;
            return;
        }
        const second = try program.run_once(seed, .again);
        if (second.failure == null and first.digest == second.digest) return;
        std.debug.print("\nseed {d} is not the same twice: {x} {x}\n", .{
            seed, first.digest, second.digest,
        });
        program.totals.failed += 1;
    }

    fn run_kept(program: *Program) !void {
        var lines = std.mem.splitScalar(u8, kept, '\n');
        while (lines.next()) |line| {
            const text = std.mem.trim(u8, line, " ");
            if (text.len == 0 or text[0] == '#') continue;
            const end = std.mem.findScalar(u8, text, ' ') orelse text.len;
            try program.run_seed(try std.fmt.parseInt(u64, text[0..end], 10));
        }
    }

    /// False: something has failed, or was never tried.
    fn report(program: *Program, demanding: bool) bool {
        const totals = &program.totals;
        std.debug.print(
            "{d} seeds, {d} failed; {d} messages, {d} entries, balanced to the message {d}×, " ++
                "{d} s of virtual time\n",
            .{
                totals.seeds,    totals.failed,
                totals.arrived,  totals.entries,
                totals.balanced, totals.virtual_ns / time.ns_per_s,
            },
        );
        var missing: u32 = 0;
        inline for (.{ "faults", "deeds", "kinds" }) |name| {
            var iterator = @field(totals, name).iterator();
            while (iterator.next()) |entry| {
                std.debug.print("  {t:<22}{d:>12}\n", .{ entry.key, entry.value.* });
                if (entry.value.* == 0) missing += 1;
            }
        }
        if (missing > 0 and demanding) std.debug.print("{d} were never tried\n", .{missing});
        return totals.failed == 0 and (missing == 0 or !demanding);
    }
};

const Arguments = struct {
    seed: ?u64 = null,
    seeds: ?u64 = null,
    from: u64 = 1,
    seconds: ?u64 = null,
    loud: bool = false,
};

fn read_arguments(init: std.process.Init) !Arguments {
    var result: Arguments = .{};
    var iterator = init.minimal.args.iterate();
    _ = iterator.skip();
    while (iterator.next()) |argument| {
        if (std.mem.eql(u8, argument, "--log")) {
            result.loud = true;
            continue;
        }
        const fields = .{
            .{ "--seeds", "seeds" },
            .{ "--from", "from" },
            .{ "--seconds", "seconds" },
        };
        inline for (fields) |it| {
            if (std.mem.eql(u8, argument, it[0])) {
                const value = iterator.next() orelse return error.NumberMissing;
                @field(result, it[1]) = try std.fmt.parseInt(u64, value, 10);
                break;
            }
        } else result.seed = try std.fmt.parseInt(u64, argument, 10);
    }
    return result;
}

pub fn main(init: std.process.Init) !void {
    const arguments = try read_arguments(init);
    const action: std.posix.Sigaction = .{
        .handler = .{ .handler = too_long },
        .mask = std.posix.sigemptyset(),
        .flags = 0,
    };
    std.posix.sigaction(.ALRM, &action, null);
    const filler = try Ledger.make_filler(heap);
    var program: Program = .{ .filler = filler };
    if (arguments.seed) |seed| {
        const outcome = try program.run_once(seed, if (arguments.loud) .loud else .first);
        std.debug.print("seed {d}: {x}\n", .{ seed, outcome.digest });
        std.process.exit(@intFromBool(outcome.failure != null));
    }
    const started_ns = time.now_ns();
    if (arguments.seeds) |count| {
        for (0..count) |index| try program.run_seed(arguments.from + index);
    } else {
        try program.run_kept();
        const until_ns = started_ns + (arguments.seconds orelse 120) * time.ns_per_s;
        // Other ones each day.
        var seed = started_ns;
        while (time.now_ns() < until_ns and program.totals.failed == 0) : (seed += 1) {
            try program.run_seed(seed);
        }
    }
    const seconds = @as(f64, @floatFromInt(time.now_ns() - started_ns)) / time.ns_per_s;
    std.debug.print("{d:.1} s, {d:.0} seeds per second\n", .{
        seconds, @as(f64, @floatFromInt(program.totals.seeds)) / seconds,
    });
    const demanding = program.totals.seeds >= 200;
    std.process.exit(@intFromBool(!program.report(demanding)));
}
