//! Contexts on one network, driven by a test: what an owner does for its context (lend memory,
//! take messages, act on events), and a mock peer that speaks ZMTP by hand.
//!
//!     World ─▶ Network
//!       ├─▶ Owner: context, arena, lent buffers
//!       └─▶ Owner ...
//!     Mock: a raw stream with a greeting, READY and frames written out

const std = @import("std");
const testing = std.testing;
const assert = std.debug.assert;

const Address = @import("../io/address.zig").Address;
const constants = @import("../constants.zig");
const contexts = @import("../context.zig");
const frame = @import("../zmtp/frame.zig");
const greetings = @import("../zmtp/greeting.zig");
const Mechanism = @import("../zmtp/mechanism.zig").Mechanism;
const memory_io = @import("memory_io.zig");
const MemoryIO = memory_io.MemoryIO;
const monitor = @import("../core/monitor.zig");
const Network = memory_io.Network;
const receive_ring = @import("../core/receive_ring.zig");
const sockets = @import("../socket/socket.zig");
const time = @import("../stdx/time.zig");
const Verdict = @import("../core/secure_session.zig").Verdict;

pub const Context = contexts.ContextType(MemoryIO);
pub const ConnectOptions = contexts.ConnectOptions;
pub const Slot = Context.Slot;
pub const Options = memory_io.Options;
pub const Peer = memory_io.Peer;
pub const allocator = @import("memory.zig").allocator;

/// A part or a message that a test took: an owner's copy.
pub const Message = struct {
    parts: std.ArrayList([]u8) = .empty,

    pub fn deinit(message: *Message) void {
        for (message.parts.items) |part| allocator.free(part);
        message.parts.deinit(allocator);
    }
};

pub const Owner = struct {
    world: *World,
    io: MemoryIO,
    context: Context,
    arena: []u8,
    /// Chunks that were lent before.
    chunks: std.ArrayList([]u8) = .empty,
    /// Lent buffers by id - 1; null: given back.
    buffers: std.ArrayList(?[]u8) = .empty,
    /// Buffers are asked for and not given.
    hold_buffers: bool = false,
    buffer_requests: u32 = 0,
    buffer_bytes_max: u32 = 0,
    abandoned: u32 = 0,
    /// Sockets that were told to be ready, by the order of events.
    ready: std.ArrayList(contexts.Event) = .empty,
    resolve: std.ArrayList(u32) = .empty,
    /// Sockets that have ended after they were closed.
    closed: std.ArrayList(contexts.Event) = .empty,
    /// What each peer that waits to be let in is told; null: nothing yet.
    verdict: ?Verdict = .allowed,
    /// Peers that waited.
    asked: std.ArrayList(contexts.Event) = .empty,
    turns: u64 = 0,

    pub fn init(owner: *Owner, world: *World) void {
        owner.* = .{
            .world = world,
            .io = undefined,
            .context = undefined,
            .arena = allocator.alloc(u8, constants.arena_bytes_default) catch unreachable, // Test.
        };
        owner.io.init(&world.network);
        owner.context.init(allocator, &owner.io, 1 << 30, world.network.prng.next());
        owner.context.resources.security.random = .{ .context = world, .fill = World.fill };
        owner.context.lend_arena(owner.arena) catch unreachable; // Nothing to spill yet.
    }

    pub fn deinit(owner: *Owner) void {
        const slabs = &owner.context.resources.slabs;
        slabs.fail_after = null;
        slabs.invariants();
        owner.context.deinit();
        owner.io.deinit();
        allocator.free(owner.arena);
        for (owner.chunks.items) |chunk| allocator.free(chunk);
        owner.chunks.deinit(allocator);
        for (owner.buffers.items) |buffer| if (buffer) |it| allocator.free(it);
        owner.buffers.deinit(allocator);
        owner.ready.deinit(allocator);
        owner.resolve.deinit(allocator);
        owner.closed.deinit(allocator);
        owner.asked.deinit(allocator);
    }

    /// One turn and its events. True: another one is due.
    pub fn turn(owner: *Owner) !bool {
        owner.turns += 1;
        const status = owner.context.tick();
        const lent = owner.buffers.items.len;
        const asked = owner.asked.items.len;
        try owner.take_events();
        // What was asked for is there: receiving goes on.
        if (owner.buffers.items.len > lent or owner.asked.items.len > asked) return true;
        if (status.starved and owner.context.resources.arena.viewed) {
            try owner.fresh_chunk();
            return true;
        }
        return status.more;
    }

    /// As JavaScript does when views of the chunk were handed out.
    pub fn fresh_chunk(owner: *Owner) !void {
        const chunk = try allocator.alloc(u8, constants.arena_bytes_default);
        errdefer allocator.free(chunk);
        try owner.context.lend_arena(chunk);
        try owner.chunks.append(allocator, owner.arena);
        owner.arena = chunk;
    }

    pub fn take_events(owner: *Owner) !void {
        while (owner.context.next_event()) |event| switch (event.kind) {
            .buffer => {
                owner.buffer_requests += 1;
                owner.buffer_bytes_max = @max(owner.buffer_bytes_max, event.a);
                if (!owner.hold_buffers) try owner.lend(event);
            },
            .abandoned => {
                owner.abandoned += 1;
                owner.give_back(event.a);
            },
            .ready => try owner.ready.append(allocator, event),
            .resolve => try owner.resolve.append(allocator, event.handle),
            .closed => {
                try owner.closed.append(allocator, event);
                assert(owner.context.forget(event.handle));
            },
            .authenticate => {
                try owner.asked.append(allocator, event);
                const verdict = owner.verdict orelse continue;
                try testing.expect(owner.context.authenticated(event.handle, event.b, verdict));
            },
            else => {},
        };
    }

    fn lend(owner: *Owner, event: contexts.Event) !void {
        const buffer = try allocator.alloc(u8, event.a);
        // What the library does not fill must not look like anything.
        @memset(buffer, 0xee);
        if (event.b > 0) {
            const held = owner.buffers.items[event.b - 1].?;
            @memcpy(buffer[0..held.len], held);
            owner.give_back(event.b);
        }
        try owner.buffers.append(allocator, buffer);
        const id: u32 = @intCast(owner.buffers.items.len);
        if (!owner.context.lend_buffer(event.handle, buffer, id)) owner.give_back(id);
    }

    pub fn give_back(owner: *Owner, id: u32) void {
        const buffer = &owner.buffers.items[id - 1];
        allocator.free(buffer.*.?);
        buffer.* = null;
    }

    pub fn buffers_held(owner: *const Owner) u32 {
        var count: u32 = 0;
        for (owner.buffers.items) |buffer| count += @intFromBool(buffer != null);
        return count;
    }

    pub fn slot(owner: *Owner, handle: u32) *Slot {
        return owner.context.get(handle).?;
    }

    pub fn record(owner: *Owner, handle: u32) *sockets.Record {
        return owner.slot(handle).socket.record;
    }

    pub fn live_bytes(owner: *const Owner) u64 {
        return owner.context.resources.slabs.live_bytes;
    }

    /// Opens a socket that is monitored.
    pub fn open(owner: *Owner, socket_type: sockets.Type) !u32 {
        const handle = try owner.context.open(socket_type);
        try owner.context.monitor_start(owner.slot(handle));
        return handle;
    }

    pub fn bind(owner: *Owner, handle: u32) !Address {
        const listener = try owner.context.bind(handle, &.ipv4(.{ 127, 0, 0, 1 }, 0));
        return owner.context.bound_address(listener).?.*;
    }

    pub fn connect(owner: *Owner, handle: u32, address: Address) !u32 {
        return owner.context.connect(handle, &address, .{});
    }

    /// All parts of one message, or nothing of it.
    pub fn send(owner: *Owner, handle: u32, parts: []const []const u8) !void {
        return owner.send_with(handle, parts, false);
    }

    /// The payloads are borrowed until the end of this call, as a batch's are.
    pub fn send_borrowed(owner: *Owner, handle: u32, parts: []const []const u8) !void {
        defer owner.context.release_borrowed();
        return owner.send_with(handle, parts, true);
    }

    fn send_with(owner: *Owner, handle: u32, parts: []const []const u8, borrow: bool) !void {
        const it = owner.slot(handle);
        for (parts, 1..) |part, count| {
            try owner.context.send(it, part, count < parts.len, borrow);
        }
    }

    /// Takes the next message that is there now; null: none. A lent buffer is given back.
    pub fn take(owner: *Owner, handle: u32) !?Message {
        const it = owner.slot(handle);
        const ring = &it.socket.ring;
        var message: Message = .{};
        errdefer message.deinit();
        while (true) {
            if (ring.waiting() == 0) try owner.context.fill(it);
            if (ring.waiting() == 0) {
                if (message.parts.items.len == 0) return null;
                return error.HalfAMessage;
            }
            const position = ring.cursor.taken;
            const entry = ring.shared[position & (receive_ring.entries - 1)];
            const copy = try allocator.alloc(u8, entry.length);
            {
                errdefer allocator.free(copy);
                try testing.expect(ring.copy(position, copy));
                try owner.check_place(entry, copy);
                try message.parts.append(allocator, copy);
            }
            ring.cursor.taken +%= 1;
            if (entry.flags & receive_ring.flag_lent != 0) owner.give_back(entry.place);
            if (entry.flags & receive_ring.flag_more == 0) return message;
        }
    }

    /// What JavaScript would see through a view is what a copy has.
    pub fn check_place(owner: *Owner, entry: receive_ring.Entry, copy: []const u8) !void {
        if (entry.flags & receive_ring.flag_arena != 0) {
            try testing.expectEqualSlices(u8, copy, owner.arena[entry.place..][0..entry.length]);
        } else if (entry.flags & receive_ring.flag_lent != 0) {
            const buffer = owner.buffers.items[entry.place - 1].?;
            const seen = buffer[buffer.len - entry.length ..];
            try testing.expectEqualSlices(u8, copy, seen);
        }
    }

    pub fn expect(owner: *Owner, handle: u32, parts: []const []const u8) !void {
        var message = (try owner.take(handle)) orelse return error.NoMessage;
        defer message.deinit();
        try testing.expectEqual(parts.len, message.parts.items.len);
        for (parts, message.parts.items) |expected, part| {
            try testing.expectEqualSlices(u8, expected, part);
        }
    }

    pub fn expect_none(owner: *Owner, handle: u32) !void {
        var message = (try owner.take(handle)) orelse return;
        defer message.deinit();
        return error.UnexpectedMessage;
    }

    /// The next monitor event of this type, which has to be there; others before it are skipped.
    pub fn next_event(owner: *Owner, handle: u32, event_type: monitor.EventType) !monitor.Event {
        while (owner.slot(handle).socket.monitor.next()) |it| {
            if (it.type == event_type) return it;
        }
        return error.NoSuchEvent;
    }

    pub fn expect_ended(owner: *Owner, handle: u32, reason: monitor.Reason) !void {
        const it = try owner.next_event(handle, .disconnected);
        try testing.expectEqual(reason, it.reason);
    }
};

pub const World = struct {
    network: Network,
    owners: std.ArrayList(*Owner) = .empty,

    pub fn init(world: *World, seed: u64, options: Options) void {
        world.* = .{ .network = .init(allocator, seed, options) };
    }

    pub fn deinit(world: *World) void {
        for (world.owners.items) |owner| {
            owner.deinit();
            allocator.destroy(owner);
        }
        world.owners.deinit(allocator);
        world.network.deinit();
    }

    /// Keys and nonces: as everything else of the seed.
    fn fill(context: ?*anyopaque, bytes: []u8) void {
        const world: *World = @ptrCast(@alignCast(context.?));
        world.network.prng.fill(bytes);
    }

    pub fn add(world: *World) !*Owner {
        const owner = try allocator.create(Owner);
        errdefer allocator.destroy(owner);
        try world.owners.append(allocator, owner);
        owner.init(world);
        return owner;
    }

    /// Takes turns until no owner has anything to do at this moment of the clock.
    fn turns(world: *World) !void {
        for (0..100_000) |_| {
            var again = false;
            for (world.owners.items) |owner| {
                if (try owner.turn()) again = true;
            }
            // One owner's turn may be what another one waits for.
            for (world.owners.items) |owner| {
                if (owner.io.work_is_waiting()) again = true;
            }
            if (!again) return;
        }
        return error.TurnsWithoutEnd;
    }

    /// Until nothing is under way any more; deadlines do not count.
    pub fn settle(world: *World) !void {
        try world.turns();
        for (0..2_000_000) |_| {
            if (!world.network.busy()) return;
            const until = world.network.events.nearest_ns().?;
            _ = world.network.advance(until);
            try world.turns();
        }
        return error.NeverSettles;
    }

    /// Lets so much time pass, and everything that is due in it happen.
    pub fn run(world: *World, ms: u64) !void {
        const until = world.network.now_ns + ms * time.ns_per_ms;
        try world.turns();
        while (world.network.advance(until)) try world.turns();
        try world.turns();
    }
};

pub const greeting: [64]u8 = blk: {
    var bytes: [64]u8 = @splat(0);
    bytes[0] = 0xff;
    bytes[8] = 1;
    bytes[9] = 0x7f;
    bytes[10] = 3;
    bytes[11] = 1;
    @memcpy(bytes[12..16], "NULL");
    break :blk bytes;
};

/// `\x05READY \x0bSocket-Type` and the type, in a command frame.
pub fn ready(comptime socket_type: []const u8) []const u8 {
    const body = "\x05READY\x0bSocket-Type\x00\x00\x00" ++
        [_]u8{socket_type.len} ++ socket_type;
    return "\x04" ++ [_]u8{body.len} ++ body;
}

/// A peer made of bytes.
pub const Mock = struct {
    peer: Peer,
    /// Everything that came from the context and was not taken.
    received: std.ArrayList(u8) = .empty,

    pub fn dial(world: *World, address: Address) !Mock {
        return .{ .peer = try world.network.dial(&address) };
    }

    pub fn deinit(mock: *Mock) void {
        mock.received.deinit(allocator);
    }

    pub fn send(mock: *Mock, bytes: []const u8) void {
        mock.peer.send(bytes);
    }

    /// One frame of any kind.
    pub fn send_frame(mock: *Mock, flags: u8, body: []const u8) !void {
        const bytes = try allocator.alloc(u8, frame.header_size_max + body.len);
        defer allocator.free(bytes);
        const size = frame.encode(bytes, flags, body.len);
        @memcpy(bytes[size..][0..body.len], body);
        mock.send(bytes[0 .. size + body.len]);
    }

    pub fn send_message(mock: *Mock, parts: []const []const u8) !void {
        for (parts, 1..) |part, count| {
            try mock.send_frame(if (count < parts.len) frame.flag_more else 0, part);
        }
    }

    pub fn pump(mock: *Mock) !void {
        try mock.peer.take(allocator, &mock.received);
    }

    /// Greeting and READY both ways; afterwards only traffic is left in `received`.
    pub fn handshake(mock: *Mock, world: *World, comptime socket_type: []const u8) !void {
        mock.send(&greeting);
        mock.send(ready(socket_type));
        try world.settle();
        try mock.pump();
        try mock.expect_handshake();
    }

    /// Takes the context's greeting off the front of what was received.
    pub fn expect_greeting(mock: *Mock, mechanism: Mechanism) !void {
        const expected = greetings.encode(mechanism);
        try testing.expect(mock.received.items.len >= expected.len);
        try testing.expectEqualSlices(u8, &expected, mock.received.items[0..expected.len]);
        mock.drop(expected.len);
    }

    /// And its READY.
    pub fn expect_handshake(mock: *Mock) !void {
        try mock.expect_greeting(.null);
        const body = (try mock.next_frame(frame.flag_command)).?;
        defer allocator.free(body);
        try testing.expectEqualStrings("\x05READY", body[0..6]);
    }

    fn drop(mock: *Mock, count: usize) void {
        mock.received.replaceRangeAssumeCapacity(0, count, &.{});
    }

    /// The body of the next whole frame; null: none is there.
    pub fn next_frame(mock: *Mock, expected_flags: u8) !?[]u8 {
        const header = frame.decode(mock.received.items) orelse return null;
        const size: usize = @intCast(header.header_size + header.body_size);
        if (mock.received.items.len < size) return null;
        try testing.expectEqual(expected_flags, header.flags & ~frame.flag_large);
        const body = try allocator.dupe(u8, mock.received.items[header.header_size..size]);
        mock.drop(size);
        return body;
    }

    pub fn expect_frame(mock: *Mock, flags: u8, body: []const u8) !void {
        const actual = (try mock.next_frame(flags)) orelse return error.NoFrame;
        defer allocator.free(actual);
        try testing.expectEqualSlices(u8, body, actual);
    }

    pub fn expect_message(mock: *Mock, parts: []const []const u8) !void {
        try mock.pump();
        for (parts, 1..) |part, count| {
            try mock.expect_frame(if (count < parts.len) frame.flag_more else 0, part);
        }
    }

    pub fn expect_nothing(mock: *Mock) !void {
        try mock.pump();
        try testing.expectEqual(0, mock.received.items.len);
    }
};
