//! `zig build fuzz -- [--target NAME] [--seconds N] [SEED]`: throws seeded nonsense at everything
//! that reads what a peer, a proxy or an owner has written.
//!
//! Each case is a number: what it does follows from it alone. Without a seed the first one is
//! drawn; with one, and without --seconds, only this case runs. A case that fails is told with the
//! command that runs it again. Those that once failed are in fuzz/seeds.txt and run first, always.
//!
//! A new target is a file in fuzz/ with `pub fn run(prng: *Prng) !void` and a line in `targets`.

const std = @import("std");

const memory = @import("sim/memory.zig");
const Prng = @import("stdx/prng.zig").Prng;
const time = @import("stdx/time.zig");

const Run = *const fn (prng: *Prng) anyerror!void;

const targets = [_]struct { name: []const u8, run: Run }{
    .{ .name = "frames", .run = @import("fuzz/frames.zig").run },
    .{ .name = "greeting", .run = @import("fuzz/greeting.zig").run },
    .{ .name = "metadata", .run = @import("fuzz/metadata.zig").run },
    .{ .name = "commands", .run = @import("fuzz/commands.zig").run },
    .{ .name = "socks", .run = @import("fuzz/socks.zig").run },
    .{ .name = "topics", .run = @import("fuzz/topics.zig").run },
    .{ .name = "routing", .run = @import("fuzz/routing.zig").run },
    .{ .name = "session", .run = @import("fuzz/session.zig").run },
    .{ .name = "plain", .run = @import("fuzz/plain.zig").run },
    .{ .name = "curve", .run = @import("fuzz/curve.zig").run },
    .{ .name = "handshakes", .run = @import("fuzz/handshakes.zig").run },
    .{ .name = "sealed", .run = @import("fuzz/sealed.zig").run },
    .{ .name = "splits", .run = @import("fuzz/splits.zig").run },
    .{ .name = "owner", .run = @import("fuzz/owner.zig").run },
};

/// The case that runs, for whoever looks at a crash.
var current: struct { target: []const u8 = "none", seed: u64 = 0 } = .{};

pub const panic = std.debug.FullPanic(crash);

fn crash(message: []const u8, address: ?usize) noreturn {
    tell_failure("crashed");
    std.debug.defaultPanic(message, address);
}

fn tell_failure(how: []const u8) void {
    std.debug.print("FAILED: {s} in \"zig build fuzz -- --target {s} {d}\"\n", .{
        how, current.target, current.seed,
    });
}

const Arguments = struct {
    target: ?[]const u8 = null,
    /// For all targets together.
    seconds: ?u64 = null,
    seed: ?u64 = null,

    fn parse(args: std.process.Args) !Arguments {
        var result: Arguments = .{};
        var it = args.iterate();
        _ = it.skip();
        while (it.next()) |word| {
            if (std.mem.eql(u8, word, "--target")) {
                result.target = it.next() orelse return error.MissingName;
            } else if (std.mem.eql(u8, word, "--seconds")) {
                const number = it.next() orelse return error.MissingNumber;
                result.seconds = try std.fmt.parseInt(u64, number, 10);
            } else result.seed = try std.fmt.parseInt(u64, word, 10);
        }
        return result;
    }
};

pub fn main(init: std.process.Init.Minimal) !void {
    const arguments: Arguments = try .parse(init.args);
    const only = arguments.target;
    if (only) |name| if (find(name) == null) {
        for (targets) |target| std.debug.print("{s} ", .{target.name});
        std.debug.print("are the targets\n", .{});
        return error.NoSuchTarget;
    };
    const kept = try replay_kept(only);
    const first = arguments.seed orelse time.now_ns();
    const once = arguments.seed != null and arguments.seconds == null;
    const count: u64 = if (only == null) targets.len else 1;
    const share_ns = (arguments.seconds orelse 10) * time.ns_per_s / count;
    std.debug.print("{d} kept cases passed; seeds begin with {d}\n", .{ kept, first });
    for (targets) |target| {
        if (only) |name| if (!std.mem.eql(u8, name, target.name)) continue;
        const begin_ns = time.now_ns();
        var seed = first;
        while (true) {
            try run_case(target.name, target.run, seed);
            seed +%= 1;
            if (once or time.now_ns() - begin_ns >= share_ns) break;
        }
        std.debug.print("{s}: {d} cases passed\n", .{ target.name, seed -% first });
    }
}

fn run_case(name: []const u8, run: Run, seed: u64) !void {
    current = .{ .target = name, .seed = seed };
    const live_bytes = memory.counted.live_bytes;
    var prng: Prng = .init(seed);
    run(&prng) catch |failure| {
        tell_failure(@errorName(failure));
        return failure;
    };
    if (memory.counted.live_bytes == live_bytes) return;
    tell_failure("leaked");
    return error.Leak;
}

fn find(name: []const u8) ?Run {
    for (targets) |target| {
        if (std.mem.eql(u8, name, target.name)) return target.run;
    }
    return null;
}

/// Lines of a target, a seed and a cause.
fn replay_kept(only: ?[]const u8) !u32 {
    var count: u32 = 0;
    var lines = std.mem.splitScalar(u8, @embedFile("fuzz/seeds.txt"), '\n');
    while (lines.next()) |line| {
        if (line.len == 0 or line[0] == '#') continue;
        var words = std.mem.tokenizeScalar(u8, line, ' ');
        const name = words.next().?;
        if (only) |it| if (!std.mem.eql(u8, it, name)) continue;
        const run = find(name) orelse return error.KeptTargetIsGone;
        try run_case(name, run, try std.fmt.parseInt(u64, words.next().?, 10));
        count += 1;
    }
    return count;
}
