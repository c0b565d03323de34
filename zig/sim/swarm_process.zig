//! One process of a simulation: a context and what its owner does for it, as JavaScript does it. It
//! sleeps when the context says that it may, and only what the I/O signals wakes it: a wake-up that
//! is lost shows as a message that does not come.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;

const constants = @import("../constants.zig");
const contexts = @import("../context.zig");
const Journal = @import("swarm_journal.zig").Journal;
const journal_kinds = @import("swarm_journal.zig");
const Memory = @import("swarm_memory.zig").Memory;
const MemoryIO = @import("memory_io.zig").MemoryIO;
const Network = @import("memory_io.zig").Network;
const Prng = @import("../stdx/prng.zig").Prng;
const receive_ring = @import("../core/receive_ring.zig");
const sockets = @import("../socket/socket.zig");

pub const Context = contexts.ContextType(MemoryIO);
pub const Slot = Context.Slot;

const parts_max = 16;

/// Parts of a received message; they are in memory of the process until the next one is taken.
pub const Taken = struct {
    parts: []const []const u8,
    /// The connection that it came from.
    source: u32,
};

/// A part that the owner goes on looking at in the arena, as JavaScript does with a view.
const View = struct { bytes: []const u8, hash: u64 };

pub const Process = struct {
    allocator: Allocator,
    /// The context's own: it may run out.
    memory: Memory = .{},
    network: *Network,
    journal: *Journal,
    prng: *Prng,
    number: u3,
    running: bool = false,
    starts: u32 = 0,
    io: MemoryIO = undefined,
    context: Context = undefined,
    arena: []u8 = &.{},
    arena_bytes: u32 = constants.arena_bytes_default,
    retired: std.ArrayList([]u8) = .empty,
    views: std.ArrayList(View) = .empty,
    /// Lent buffers by id - 1; null: given back.
    buffers: std.ArrayList(?[]u8) = .empty,
    /// Sessions that asked for a buffer and have not got it yet.
    asked: std.ArrayList(contexts.Event) = .empty,
    /// Peers that wait to be let in.
    waiting: std.ArrayList(contexts.Event) = .empty,
    let_in: u64 = 0,
    sent_away: u64 = 0,
    /// Buffers take their time.
    slow: bool = false,
    /// Not everybody is let in at once.
    strict: bool = false,
    delayed: u64 = 0,
    /// Views are kept, so that chunks are not used again.
    keeps_views: bool = false,
    viewed: u64 = 0,
    /// The context said that it must not sleep, or a call left it something.
    due: bool = false,
    body: std.ArrayList(u8) = .empty,
    part_list: [parts_max][]const u8 = undefined,

    pub fn start(process: *Process) !void {
        assert(!process.running);
        process.io.init(process.network);
        process.io.node = process.number;
        const seed = process.prng.next();
        process.context.init(process.memory.allocator(), &process.io, 1 << 30, seed);
        process.context.resources.security.random = .{ .context = process.prng, .fill = fill };
        process.arena = try process.allocator.alloc(u8, process.arena_bytes);
        try process.context.lend_arena(process.arena);
        process.running = true;
        process.due = true;
        process.starts += 1;
        process.note(.started, journal_kinds.Entry.nobody, process.starts, 0);
    }

    /// Keys and nonces.
    fn fill(prng: ?*anyopaque, bytes: []u8) void {
        const source: *Prng = @ptrCast(@alignCast(prng.?));
        for (bytes) |*byte| byte.* = @truncate(source.next());
    }

    /// The process ends without a word; the kernel closes what it had open.
    pub fn stop(process: *Process) !void {
        assert(process.running);
        process.running = false;
        process.memory.fail_after = null;
        const slabs = &process.context.resources.slabs;
        slabs.fail_after = null;
        slabs.invariants();
        process.note_counters();
        process.context.deinit();
        process.io.deinit();
        try process.drop_views();
        process.allocator.free(process.arena);
        process.arena = &.{};
        for (process.buffers.items) |*buffer| if (buffer.*) |it| process.allocator.free(it);
        process.buffers.clearAndFree(process.allocator);
        process.asked.clearAndFree(process.allocator);
        process.waiting.clearAndFree(process.allocator);
        if (process.memory.live_blocks != 0) return error.MemoryOfContextNotGivenBack;
    }

    pub fn deinit(process: *Process) void {
        assert(!process.running);
        process.retired.deinit(process.allocator);
        process.views.deinit(process.allocator);
        process.body.deinit(process.allocator);
    }

    pub fn note(
        process: *Process,
        kind: journal_kinds.Kind,
        party: u8,
        a: u64,
        b: u64,
    ) void {
        process.journal.note(.{
            .at_ns = process.network.now_ns,
            .kind = kind,
            .process = process.number,
            .party = party,
            .a = a,
            .b = b,
        });
    }

    fn note_counters(process: *Process) void {
        const counters = &process.io.counters;
        const nobody = journal_kinds.Entry.nobody;
        process.note(.counters, nobody, counters.receives, counters.sends);
        process.note(.counters, nobody, counters.wakeups, process.context.late_completions);
    }

    // -- turns --------------------------------------------------------------------------------

    /// Somebody has to call it: its eventfd is readable, or it may not sleep.
    pub fn awake(process: *const Process) bool {
        return process.running and (process.due or process.io.work_is_waiting());
    }

    /// A turn, and what JavaScript does after it.
    pub fn turn(process: *Process) !void {
        const status = process.context.tick();
        process.due = status.more or status.soon;
        const lent = try process.take_events();
        const wants_chunk = status.starved and process.context.resources.arena.viewed;
        if (wants_chunk) try process.fresh_chunk();
        if (lent or wants_chunk) process.due = true;
    }

    /// The end of the owner's task: what it has sent is flushed.
    pub fn task_ends(process: *Process) void {
        if (!process.running) return;
        process.context.flush();
        if (process.context.has_work() or process.context.has_events()) process.due = true;
    }

    /// True: something was lent, which is received into at once.
    fn take_events(process: *Process) !bool {
        while (process.context.next_event()) |event| switch (event.kind) {
            .buffer => {
                try process.asked.append(process.allocator, event);
                if (process.slow) process.delayed += 1;
            },
            .abandoned => process.give_back(event.a),
            .authenticate => try process.waiting.append(process.allocator, event),
            else => process.note(
                .event,
                journal_kinds.Entry.nobody,
                @intFromEnum(event.kind),
                event.a,
            ),
        };
        return if (process.slow) false else process.lend_all();
    }

    pub fn lend_all(process: *Process) !bool {
        const any = process.asked.items.len + process.waiting.items.len > 0;
        for (process.waiting.items) |event| process.decide(event);
        process.waiting.clearRetainingCapacity();
        for (process.asked.items) |event| try process.lend(event);
        process.asked.clearRetainingCapacity();
        return any;
    }

    /// Now and then a peer has to come again. Those that wait long may have gone.
    fn decide(process: *Process, event: contexts.Event) void {
        const refused = process.strict and process.prng.chance(1, 4);
        const known = process.context.authenticated(
            event.handle,
            event.b,
            if (refused) .retry else .allowed,
        );
        process.due = true;
        if (!known) return;
        if (refused) process.sent_away += 1 else process.let_in += 1;
    }

    fn lend(process: *Process, event: contexts.Event) !void {
        const session = process.context.session_table.get(event.handle) orelse return;
        // The connection that asked has gone, and the next one has asked for itself.
        if (session.buffer_held() != event.b) return;
        const buffer = try process.allocator.alloc(u8, event.a);
        // What the library does not fill must not look like anything.
        @memset(buffer, 0xee);
        if (event.b > 0) {
            // Abandoned meanwhile: then its successor is not wanted either.
            if (process.buffers.items[event.b - 1]) |held| {
                @memcpy(buffer[0..held.len], held);
                process.give_back(event.b);
            }
        }
        try process.buffers.append(process.allocator, buffer);
        const id: u32 = @intCast(process.buffers.items.len);
        if (!process.context.lend_buffer(event.handle, buffer, id)) process.give_back(id);
        process.due = true;
    }

    fn give_back(process: *Process, id: u32) void {
        const buffer = &process.buffers.items[id - 1];
        process.allocator.free(buffer.*.?);
        buffer.* = null;
    }

    pub fn buffers_held(process: *const Process) u32 {
        var count: u32 = 0;
        for (process.buffers.items) |buffer| count += @intFromBool(buffer != null);
        return count;
    }

    fn fresh_chunk(process: *Process) !void {
        const chunk = try process.allocator.alloc(u8, process.arena_bytes);
        process.context.lend_arena(chunk) catch {
            // No memory to spill into: it asks again.
            process.allocator.free(chunk);
            return;
        };
        try process.retired.append(process.allocator, process.arena);
        process.arena = chunk;
    }

    /// What was seen through a view must have stayed what it was.
    pub fn drop_views(process: *Process) !void {
        for (process.views.items) |view| {
            if (std.hash.Wyhash.hash(0, view.bytes) != view.hash) return error.ViewHasChanged;
        }
        process.views.clearRetainingCapacity();
        for (process.retired.items) |chunk| process.allocator.free(chunk);
        process.retired.clearRetainingCapacity();
    }

    // -- sockets ------------------------------------------------------------------------------

    pub fn slot(process: *Process, handle: u32) *Slot {
        return process.context.get(handle).?;
    }

    pub fn record(process: *Process, handle: u32) *sockets.Record {
        return process.slot(handle).socket.record;
    }

    /// A whole message or nothing of it.
    pub fn send(
        process: *Process,
        handle: u32,
        parts: []const []const u8,
        borrow: bool,
    ) sockets.SendError!void {
        const it = process.slot(handle);
        defer if (borrow) process.context.release_borrowed();
        for (parts, 1..) |part, count| {
            try process.context.send(it, part, count < parts.len, borrow);
        }
    }

    /// The next message that is there now; null: none.
    pub fn take(process: *Process, handle: u32) !?Taken {
        const it = process.slot(handle);
        const ring = &it.socket.ring;
        process.body.clearRetainingCapacity();
        var lengths: [parts_max]usize = undefined;
        var count: usize = 0;
        var turned = false;
        while (true) {
            if (ring.waiting() == 0) {
                try process.context.fill(it);
                process.due = process.due or process.context.has_mail();
            }
            if (ring.waiting() == 0) {
                if (count > 0) return error.HalfAMessage;
                if (turned) return null;
                // A receive that finds nothing takes a turn before it waits.
                turned = true;
                try process.turn();
                continue;
            }
            const position = ring.cursor.taken;
            const entry = ring.shared[position & (receive_ring.entries - 1)];
            if (entry.flags & receive_ring.flag_cut != 0) {
                ring.cursor.taken +%= 1;
                process.body.clearRetainingCapacity();
                count = 0;
                continue;
            }
            if (count == parts_max) return error.TooManyParts;
            const copy = try process.body.addManyAsSlice(process.allocator, entry.length);
            if (!ring.copy(position, copy)) return error.CopyRefused;
            try process.look_in_place(entry, copy);
            lengths[count] = entry.length;
            count += 1;
            ring.cursor.taken +%= 1;
            if (entry.flags & receive_ring.flag_lent != 0) process.give_back(entry.place);
            if (entry.flags & receive_ring.flag_more != 0) continue;
            var begin: usize = 0;
            for (lengths[0..count], process.part_list[0..count]) |length, *part| {
                part.* = process.body.items[begin..][0..length];
                begin += length;
            }
            return .{ .parts = process.part_list[0..count], .source = entry.source };
        }
    }

    /// What JavaScript would see through a view is what a copy has.
    fn look_in_place(process: *Process, entry: receive_ring.Entry, copy: []const u8) !void {
        if (entry.flags & receive_ring.flag_arena != 0) {
            const seen = process.arena[entry.place..][0..entry.length];
            if (!std.mem.eql(u8, seen, copy)) return error.ViewDiffersFromCopy;
            if (!process.keeps_views or entry.length < 256) return;
            const hash = std.hash.Wyhash.hash(0, seen);
            try process.views.append(process.allocator, .{ .bytes = seen, .hash = hash });
            process.context.resources.arena.viewed = true;
            process.viewed += 1;
        } else if (entry.flags & receive_ring.flag_lent != 0) {
            const buffer = process.buffers.items[entry.place - 1].?;
            const seen = buffer[buffer.len - entry.length ..];
            if (!std.mem.eql(u8, seen, copy)) return error.BufferDiffersFromCopy;
        }
    }
};
