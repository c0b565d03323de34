//! A socket of ours that is told bytes, cut somewhere, and what came of it: the messages that were
//! handed out, the events, the counters. However the bytes are cut, that has to be the same.

const std = @import("std");
const testing = std.testing;

const Address = @import("../io/address.zig").Address;
const monitor = @import("../core/monitor.zig");
const naive = @import("naive.zig");
const receive_ring = @import("../core/receive_ring.zig");
const SocketOptions = @import("../options.zig").SocketOptions;
const sockets = @import("../socket/socket.zig");
const worlds = @import("world.zig");
const allocator = worlds.allocator;

pub const Case = struct {
    ours: sockets.Type,
    /// We are bound and the peer connects, or the other way round.
    bound: bool = true,
    bytes: []const u8,
    options: SocketOptions = .{},
};

/// How the bytes come.
pub const Cuts = union(enum) {
    none,
    /// Two pieces.
    at: usize,
    /// In order.
    places: []const usize,
    every_byte,
};

pub const Told = struct { type: monitor.EventType, reason: monitor.Reason };

pub const Outcome = struct {
    /// All parts handed out, see `naive.append_part`.
    messages: std.ArrayList(u8) = .empty,
    messages_count: usize = 0,
    events: std.ArrayList(Told) = .empty,
    record: sockets.Record = .{},
    topics: u32 = 0,
    /// Before we were told that the peer has left.
    ended: bool = false,
    /// Of the context's slabs, at any time.
    live_bytes_max: u64 = 0,
    /// In the largest lent buffer.
    lent_bytes_max: u32 = 0,

    pub fn deinit(outcome: *Outcome) void {
        outcome.messages.deinit(allocator);
        outcome.events.deinit(allocator);
    }

    pub fn expect_equal(a: *const Outcome, b: *const Outcome) !void {
        try testing.expectEqualSlices(u8, a.messages.items, b.messages.items);
        try testing.expectEqualSlices(Told, a.events.items, b.events.items);
        try testing.expectEqual(a.ended, b.ended);
        try testing.expectEqual(a.topics, b.topics);
        inline for (@typeInfo(sockets.Record).@"struct".fields) |field| {
            if (comptime !compared(field.name)) continue;
            errdefer std.debug.print("counter {s}\n", .{field.name});
            try testing.expectEqual(@field(a.record, field.name), @field(b.record, field.name));
        }
    }

    /// What tells of the message and not of how it came. What a peer asks for beyond its limit is
    /// counted until its connection ends, at the end of a turn.
    fn compared(comptime name: []const u8) bool {
        for ([_][]const u8{ "dropped_", "messages_", "handshakes_" }) |prefix| {
            if (std.mem.startsWith(u8, name, prefix)) return true;
        }
        return std.mem.eql(u8, name, "failure") or std.mem.eql(u8, name, "peers_refused");
    }

    /// Why the connection ended before the peer left.
    pub fn reason(outcome: *const Outcome) monitor.Reason {
        for (outcome.events.items) |it| {
            if (it.reason != .none) return it.reason;
        }
        return .none;
    }
};

/// A world that many replays use one after the other: to make one costs more than a replay.
pub const Stage = struct {
    world: worlds.World,
    owner: *worlds.Owner,
    replays: u32,

    /// A network remembers every stream that it ever had.
    const replays_max = 50;

    pub fn init(stage: *Stage) !void {
        stage.world.init(1, .{ .latency_ns_max = 1 });
        errdefer stage.world.deinit();
        stage.owner = try stage.world.add();
        stage.replays = 0;
    }

    pub fn deinit(stage: *Stage) void {
        stage.world.deinit();
    }

    fn use(stage: *Stage) !void {
        if (stage.replays == replays_max) {
            stage.deinit();
            try stage.init();
        }
        stage.replays += 1;
        stage.owner.context.prng = .init(1);
        stage.owner.buffer_bytes_max = 0;
    }
};

const Replay = struct {
    world: *worlds.World,
    owner: *worlds.Owner,
    handle: u32,
    mock: worlds.Mock,
    outcome: Outcome = .{},
    /// Where the message begins of which parts were taken and others will follow.
    message_start: ?usize = null,

    fn begin(replay: *Replay, stage: *Stage, case: *const Case) !void {
        const world = &stage.world;
        const handle = try stage.owner.open(case.ours);
        replay.* = .{ .world = world, .owner = stage.owner, .handle = handle, .mock = undefined };
        const socket = &replay.owner.slot(replay.handle).socket;
        socket.options.* = case.options;
        switch (case.ours) {
            .sub, .xsub => try socket.subscribe("", true),
            .dish => try socket.subscribe("a", true),
            else => {},
        }
        if (case.bound) {
            const address = try replay.owner.bind(replay.handle);
            replay.mock = try .dial(world, address);
        } else {
            const address: Address = .ipv4(.{ 127, 0, 0, 1 }, 5555);
            const listener = world.network.listen(&address);
            defer listener.close();
            _ = try replay.owner.connect(handle, address);
            try world.settle();
            replay.mock = .{ .peer = listener.accept().? };
        }
    }

    fn tell(replay: *Replay, bytes: []const u8) !void {
        replay.mock.send(bytes);
        try replay.world.settle();
        const outcome = &replay.outcome;
        outcome.live_bytes_max = @max(outcome.live_bytes_max, replay.owner.live_bytes());
    }

    /// Everything that can be taken, and what can be taken after it.
    fn take_all(replay: *Replay) !void {
        while (true) {
            const before = replay.outcome.messages.items.len;
            replay.act();
            try replay.take();
            try replay.world.settle();
            if (replay.outcome.messages.items.len == before) return;
        }
    }

    /// A REQ asks before it is answered.
    fn act(replay: *Replay) void {
        const slot = replay.owner.slot(replay.handle);
        if (slot.socket.type != .req) return;
        // Without a peer, or before the answer was taken, it cannot: so it does not.
        replay.owner.context.send(slot, "question", false, false) catch return;
    }

    fn take(replay: *Replay) !void {
        const owner = replay.owner;
        const slot = owner.slot(replay.handle);
        const ring = &slot.socket.ring;
        const out = &replay.outcome.messages;
        while (true) {
            if (ring.waiting() == 0) owner.context.fill(slot) catch return;
            if (ring.waiting() == 0) return;
            const position = ring.cursor.taken;
            const entry = ring.shared[position & (receive_ring.entries - 1)];
            const start = replay.message_start orelse out.items.len;
            const more = entry.flags & receive_ring.flag_more != 0;
            if (entry.flags & receive_ring.flag_cut != 0) {
                out.items.len = start;
                replay.message_start = null;
            } else {
                const copy = try allocator.alloc(u8, entry.length);
                defer allocator.free(copy);
                try testing.expect(ring.copy(position, copy));
                try owner.check_place(entry, copy);
                try naive.append_part(out, copy, more);
                replay.message_start = if (more) start else null;
                if (!more) replay.outcome.messages_count += 1;
                if (!more and slot.socket.type == .rep) answered: {
                    ring.cursor.taken +%= 1;
                    defer ring.cursor.taken -%= 1;
                    owner.context.send(slot, "answer", false, false) catch break :answered;
                }
            }
            ring.cursor.taken +%= 1;
            if (entry.flags & receive_ring.flag_lent != 0) owner.give_back(entry.place);
        }
    }

    fn finish(replay: *Replay) !void {
        const owner = replay.owner;
        try replay.take_all();
        replay.outcome.ended = replay.mock.peer.ended();
        const monitored = &owner.slot(replay.handle).socket.monitor;
        try replay.collect(monitored);
        if (!replay.outcome.ended) replay.mock.peer.shutdown();
        try replay.world.settle();
        try replay.take_all();
        try replay.collect(monitored);
        try testing.expectEqual(null, replay.message_start);
        replay.outcome.record = owner.record(replay.handle).*;
        replay.outcome.topics = replay.outcome.record.topics;
        replay.outcome.lent_bytes_max = owner.buffer_bytes_max;
        owner.context.close(replay.handle, 0);
        replay.mock.peer.close();
        try replay.world.settle();
        try testing.expectEqual(0, owner.live_bytes());
        try testing.expectEqual(0, owner.buffers_held());
    }

    fn collect(replay: *Replay, monitored: *monitor.Monitor) !void {
        while (monitored.next()) |event| {
            const it: Told = .{ .type = event.type, .reason = event.reason };
            try replay.outcome.events.append(allocator, it);
        }
    }
};

/// Taking messages while they come changes where they lie in memory, and nothing else.
pub const Reader = enum { takes_at_the_end, takes_between };

pub fn run(stage: *Stage, case: *const Case, cuts: Cuts, reader: Reader) !Outcome {
    try stage.use();
    var replay: Replay = undefined;
    try replay.begin(stage, case);
    errdefer replay.outcome.deinit();
    defer replay.mock.deinit();
    var start: usize = 0;
    var index: usize = 0;
    while (start < case.bytes.len) : (index += 1) {
        const end = switch (cuts) {
            .none => case.bytes.len,
            .at => |place| if (index == 0 and place > 0) place else case.bytes.len,
            .places => |places| if (index < places.len) places[index] else case.bytes.len,
            .every_byte => start + 1,
        };
        if (end == start) continue;
        try replay.tell(case.bytes[start..end]);
        start = end;
        // What a REQ is told before it asks is no answer, so when it asks is part of the case.
        if (reader == .takes_between and case.ours != .req) try replay.take();
    }
    try replay.finish();
    return replay.outcome;
}
