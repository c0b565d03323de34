//! Two threads with a context each, on the kernel and asleep in it between messages: a wake-up
//! that is lost shows as a sleep that only its limit ends.

const std = @import("std");
const testing = std.testing;

const contexts = @import("context.zig");
const Backend = @import("io/backend.zig").Backend;
const Context = contexts.ContextType(Backend);
const inproc = @import("net/inproc.zig");
const receive_ring = @import("core/receive_ring.zig");
const shared_blocks = @import("stdx/shared_blocks.zig");
const sockets = @import("socket/socket.zig");
const variants = @import("io/variants.zig");
const Variant = variants.Variant;

const sleep_ns_max = 5 * std.time.ns_per_s;

/// A thread's context. Memory is not `testing.allocator`'s: that looks at one thread.
const Party = struct {
    backend: Backend = undefined,
    context: Context = undefined,
    chunk: [64 * 1024]u8 = undefined,
    socket: u32 = 0,

    const allocator = std.heap.smp_allocator;

    fn create(variant: Variant, socket_type: sockets.Type) !*Party {
        const party = try allocator.create(Party);
        party.* = .{};
        try variant.init(&party.backend, allocator);
        party.context.init(allocator, &party.backend, 1 << 30, 1);
        try party.context.lend_arena(&party.chunk);
        party.socket = try party.context.open(socket_type);
        return party;
    }

    fn destroy(party: *Party) void {
        party.context.deinit();
        party.backend.deinit();
        allocator.destroy(party);
    }

    fn sleep(party: *Party) !void {
        const before_ns = party.backend.now_ns();
        _ = party.context.wait(sleep_ns_max);
        while (party.context.next_event()) |_| {}
        if (party.backend.now_ns() - before_ns >= sleep_ns_max) return error.WakeUpLost;
    }

    fn send(party: *Party, part: []const u8) !void {
        const slot = party.context.get(party.socket).?;
        while (true) {
            party.context.send(slot, part, false, false) catch |failure| switch (failure) {
                error.WouldBlock => {
                    try party.sleep();
                    continue;
                },
                else => return failure,
            };
            return;
        }
    }

    fn receive(party: *Party, part: []u8) !void {
        const slot = party.context.get(party.socket).?;
        const ring = &slot.socket.ring;
        while (ring.waiting() == 0) {
            try party.context.fill(slot);
            if (ring.waiting() == 0) try party.sleep();
        }
        const position = ring.cursor.taken;
        const entry = ring.shared[position & (receive_ring.entries - 1)];
        try testing.expectEqual(part.len, entry.length);
        try testing.expect(ring.copy(position, part));
        ring.cursor.taken +%= 1;
    }
};

const numbers = 200_000;
const round_trips = 5000;

fn push_numbers(variant: Variant) !void {
    const party = try Party.create(variant, .push);
    defer party.destroy();
    _ = try party.context.connect_inproc(party.socket, "context test: numbers", "");
    var bytes: [4]u8 = undefined;
    for (0..numbers) |i| {
        std.mem.writeInt(u32, &bytes, @intCast(i), .little);
        try party.send(&bytes);
    }
}

fn answer(variant: Variant) !void {
    const party = try Party.create(variant, .rep);
    defer party.destroy();
    _ = try party.context.bind_inproc(party.socket, "context test: bounce");
    var bytes: [4]u8 = undefined;
    for (0..round_trips) |_| {
        try party.receive(&bytes);
        try party.send(&bytes);
        party.context.flush();
    }
}

fn run(comptime function: anytype, variant: Variant, outcome: *anyerror!void) void {
    outcome.* = function(variant);
}

test "a stream between two contexts that sleep: nothing is lost, and nobody sleeps too long" {
    try variants.each(stream);
}

fn stream(variant: Variant) anyerror!void {
    const bytes_before = shared_blocks.live();
    var outcome: anyerror!void = {};
    const sender = try std.Thread.spawn(.{}, run, .{ push_numbers, variant, &outcome });
    {
        const party = try Party.create(variant, .pull);
        defer party.destroy();
        _ = try party.context.bind_inproc(party.socket, "context test: numbers");
        var bytes: [4]u8 = undefined;
        for (0..numbers) |i| {
            try party.receive(&bytes);
            try testing.expectEqual(i, std.mem.readInt(u32, &bytes, .little));
        }
    }
    sender.join();
    try outcome;
    try testing.expectEqual(bytes_before, shared_blocks.live());
}

test "requests and replies between two contexts that sleep for each: none waits for its limit" {
    try variants.each(round_trip);
}

fn round_trip(variant: Variant) anyerror!void {
    const links_before = inproc.live();
    var outcome: anyerror!void = {};
    const other = try std.Thread.spawn(.{}, run, .{ answer, variant, &outcome });
    {
        const party = try Party.create(variant, .req);
        defer party.destroy();
        _ = try party.context.connect_inproc(party.socket, "context test: bounce", "");
        var bytes: [4]u8 = undefined;
        for (0..round_trips) |i| {
            std.mem.writeInt(u32, &bytes, @intCast(i), .little);
            try party.send(&bytes);
            party.context.flush();
            try party.receive(&bytes);
            try testing.expectEqual(i, std.mem.readInt(u32, &bytes, .little));
        }
    }
    other.join();
    try outcome;
    try testing.expectEqual(links_before, inproc.live());
}
