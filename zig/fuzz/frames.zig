//! The frame decoder and the engine's walk over frames, against a plain reading of the format.

const std = @import("std");
const testing = std.testing;

const allocator = @import("../sim/memory.zig").allocator;
const bytes_module = @import("bytes.zig");
const constants = @import("../constants.zig");
const Engine = @import("../core/engine.zig").Engine;
const frame = @import("../zmtp/frame.zig");
const naive = @import("../sim/naive.zig");
const Prng = @import("../stdx/prng.zig").Prng;

pub fn run(prng: *Prng) !void {
    var bytes: bytes_module.Bytes = .empty;
    defer bytes.deinit(allocator);
    if (prng.chance(1, 4)) {
        try bytes_module.append_noise(prng, &bytes, bytes_module.size(prng, 400));
    } else try bytes_module.append_traffic(prng, &bytes, bytes_module.size(prng, 20));
    if (prng.boolean()) try bytes_module.mutate(prng, &bytes, 0);
    try headers(bytes.items);
    const publishes = prng.boolean();
    const frame_bytes_max = if (prng.boolean()) constants.frame_bytes_max else prng.below(100_000);
    const message_bytes_max = prng.range(frame_bytes_max, frame_bytes_max * 2);
    const limits: naive.Limits = .{
        .frame_bytes_max = frame_bytes_max,
        .message_bytes_max = message_bytes_max,
        .takes_subscriptions = publishes,
    };
    var expected = try naive.read(bytes.items, limits);
    defer expected.deinit();
    const engine: Engine = .{
        .state = .{ .traffic = null },
        .frame_bytes_max = frame_bytes_max,
        .message_bytes_max = message_bytes_max,
        .command_bytes_max = if (publishes) constants.command_bytes_max else 0,
    };
    var buffer: [8]usize = undefined;
    const cuts = bytes_module.cuts(prng, bytes.items.len, &buffer);
    for ([_][]const usize{ &.{}, cuts }) |places| {
        var walk: Walk = .{ .engine = engine, .publishes = publishes };
        defer walk.messages.deinit(allocator);
        for (places) |place| try walk.step(bytes.items[0..place]);
        try walk.step(bytes.items);
        walk.messages.items.len = walk.whole;
        try testing.expectEqual(expected.broken, walk.broken);
        try testing.expectEqualSlices(u8, expected.messages.items, walk.messages.items);
        try testing.expectEqual(expected.count, walk.count);
        try testing.expectEqual(expected.pings, walk.pings);
    }
}

/// One header at every place.
fn headers(bytes: []const u8) !void {
    for (0..bytes.len) |at| {
        const rest = bytes[at..];
        const long = rest[0] & 2 != 0;
        const need: usize = if (long) 9 else 2;
        const header = frame.decode(rest) orelse {
            try testing.expect(rest.len < need);
            continue;
        };
        try testing.expect(rest.len >= need);
        try testing.expectEqual(need, header.header_size);
        var size: u128 = rest[1];
        if (long) {
            size = 0;
            for (rest[1..9]) |byte| size = size << 8 | byte;
        }
        try testing.expectEqual(size, header.body_size);
        try testing.expectEqual(rest[0] & 7, header.flags);
    }
}

/// What a session does with what the engine found.
const Walk = struct {
    engine: Engine,
    publishes: bool,
    position: usize = 0,
    broken: bool = false,
    messages: bytes_module.Bytes = .empty,
    whole: usize = 0,
    count: usize = 0,
    pings: usize = 0,
    /// A frame of which the body is still to come.
    large: ?struct { bytes: usize, more: bool, command: bool } = null,

    fn step(walk: *Walk, bytes: []const u8) !void {
        while (!walk.broken and walk.position < bytes.len) {
            const rest = bytes[walk.position..];
            if (walk.large) |large| {
                if (rest.len < large.bytes) return;
                walk.large = null;
                walk.position += large.bytes;
                if (large.command) {
                    walk.act(rest[0..large.bytes]);
                } else {
                    try walk.part(rest[0..large.bytes], large.more);
                    walk.engine.large_done(@intCast(large.bytes), large.more) catch {
                        walk.broken = true;
                    };
                }
                continue;
            }
            const scan = walk.engine.scan(rest);
            var at: usize = 0;
            while (at < scan.frames_bytes) {
                const header = frame.decode(rest[at..]).?;
                const body = rest[at + header.header_size ..][0..@intCast(header.body_size)];
                try walk.part(body, header.more());
                at += header.header_size + body.len;
            }
            try testing.expectEqual(scan.frames_bytes, at);
            walk.position += at;
            switch (scan.then) {
                .rest => if (at == 0) return,
                .failure => walk.broken = true,
                .command => |it| {
                    walk.position += it.frame_bytes;
                    walk.act(it.body);
                },
                .large => |it| {
                    walk.position += it.header_bytes;
                    walk.large = .{
                        .bytes = it.body_bytes,
                        .more = it.more,
                        .command = it.command,
                    };
                },
            }
        }
    }

    fn part(walk: *Walk, body: []const u8, more: bool) !void {
        try naive.append_part(&walk.messages, body, more);
        if (more) return;
        walk.count += 1;
        walk.whole = walk.messages.items.len;
    }

    fn act(walk: *Walk, body: []const u8) void {
        const engine = @import("../core/engine.zig");
        var buffer: [@import("../zmtp/command.zig").pong_frame_size_max]u8 = undefined;
        switch (engine.act_on_command(body, &buffer)) {
            .failure => walk.broken = true,
            .ping => walk.pings += 1,
            .subscription => if (walk.publishes and walk.engine.parts > 0) {
                walk.broken = true;
            },
            else => {},
        }
    }
};
