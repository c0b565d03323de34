//! The pair of queues between a socket and one peer, with the high-water marks of both.
//!
//! A pipe outlives the connections of a connecting session; a listener's connection has a pipe of
//! its own. Sockets see pipes and nothing below them. The limits count whole messages, as libzmq's
//! do: a message in progress is never refused, and a full queue opens again when half of it
//! (⌈HWM/2⌉) has gone, so that a full link does not wake its writer for each message.

const std = @import("std");
const assert = std.debug.assert;

const List = @import("../stdx/intrusive_list.zig").List;
const Link = @import("../stdx/intrusive_list.zig").Link;
const Arena = @import("arena.zig").Arena;
const constants = @import("../constants.zig");
const ReceiveQueue = @import("receive_queue.zig").ReceiveQueue;
const Run = @import("receive_queue.zig").Run;
const SendQueue = @import("send_queue.zig").SendQueue;
const slab = @import("../stdx/slab.zig");
const Slabs = slab.Slabs;

/// What all pipes of one context share.
pub const Resources = struct {
    slabs: Slabs,
    arena: Arena = .{},
    /// Pipes with complete messages that nobody has offered to the kernel yet.
    dirty: List(Pipe, .dirty_link) = .{},
    dirty_bytes: u64 = 0,
    /// Pipes whose full receive queue has room again.
    resumed: List(Pipe, .resumed_link) = .{},
    /// Pipes without a peer whose last message has been handed out.
    finished: List(Pipe, .finished_link) = .{},
    /// Lent buffers that nobody will ask for any more; the owner forgets them.
    abandoned: Abandoned = .{},

    /// Releases a run that left its queue without being handed out.
    pub fn gone(resources: *Resources, run: *Run) void {
        if (run.storage == .lent) resources.abandoned.add(&resources.slabs, run.lent_id);
        run.next = null;
        // Parts of it were handed out and not taken: the ring frees it.
        if (run.ring) |ring| if (ring.waiting() > 0) return ring.retire(run);
        run.free(&resources.slabs, &resources.arena);
    }
};

/// Ids of lent buffers to give back. A socket that closes may have one for each message.
pub const Abandoned = struct {
    block: slab.Block = &.{},
    count: u32 = 0,
    /// Ids that could not be noted within the memory budget: their buffers stay with the owner.
    lost: u32 = 0,

    pub fn add(abandoned: *Abandoned, slabs: *Slabs, id: u32) void {
        const need = (abandoned.count + 1) * @sizeOf(u32);
        if (abandoned.block.len < need) {
            const size = @max(need, abandoned.block.len * 2);
            const grown = if (abandoned.block.len == 0)
                slabs.allocate(size)
            else
                slabs.grow(abandoned.block, size);
            abandoned.block = grown catch {
                abandoned.lost +|= 1;
                return;
            };
        }
        const bytes = abandoned.block[abandoned.count * @sizeOf(u32) ..];
        std.mem.writeInt(u32, bytes[0..@sizeOf(u32)], id, .little);
        abandoned.count += 1;
    }

    pub fn pop(abandoned: *Abandoned, slabs: *Slabs) ?u32 {
        if (abandoned.count == 0) return null;
        abandoned.count -= 1;
        const bytes = abandoned.block[abandoned.count * @sizeOf(u32) ..];
        const id = std.mem.readInt(u32, bytes[0..@sizeOf(u32)], .little);
        if (abandoned.count == 0) abandoned.clear(slabs);
        return id;
    }

    pub fn clear(abandoned: *Abandoned, slabs: *Slabs) void {
        if (abandoned.block.len > 0) slabs.free(abandoned.block);
        abandoned.block = &.{};
        abandoned.count = 0;
    }
};

pub const Pipe = struct {
    resources: *Resources,
    /// The session that moves this pipe's bytes.
    session: u32,
    send: SendQueue = .{},
    receive: ReceiveQueue = .{},
    send_high_water_mark: u32,
    receive_high_water_mark: u32,
    /// The socket was told that the queue is full, and waits for half of it to drain.
    send_full: bool = false,
    receive_full: bool = false,
    /// The peer's READY has been received: a connection is there to send on.
    connected: bool = false,
    /// The peer has gone for good; what it sent can still be read.
    orphaned: bool = false,
    /// Messages dropped because their connection died in the middle of them.
    lost: u32 = 0,
    /// What the peer calls itself; empty: nothing. In a slab.
    identity: []const u8 = "",
    identity_block: slab.Block = &.{},

    socket_link: Link = .{},
    /// In the socket's fair queue: has messages to hand out.
    receive_link: Link = .{},
    /// In the socket's load balancer: takes messages.
    send_link: Link = .{},
    dirty_link: Link = .{},
    resumed_link: Link = .{},
    finished_link: Link = .{},

    pub fn writable(pipe: *const Pipe) bool {
        return !pipe.send_full and !pipe.orphaned;
    }

    /// Queues one part. The caller has made sure that a message's first part finds room.
    pub inline fn write(
        pipe: *Pipe,
        part: []const u8,
        more: bool,
        borrow: bool,
    ) error{OutOfMemory}!void {
        const resources = pipe.resources;
        const before = pipe.send.bytes;
        try pipe.send.push(&resources.slabs, part, more, borrow);
        if (more) {
            // Nothing to send yet, but a borrowed payload has to be given back in time.
            if (pipe.send.borrowed > 0 and !pipe.dirty_link.linked()) {
                resources.dirty.push_back(pipe);
            }
            return;
        }
        resources.dirty_bytes += pipe.send.bytes - before;
        if (!pipe.dirty_link.linked()) resources.dirty.push_back(pipe);
        if (pipe.send.messages >= pipe.send_high_water_mark and pipe.send_high_water_mark != 0) {
            pipe.send_full = true;
        }
    }

    pub fn write_rollback(pipe: *Pipe) void {
        pipe.send.rollback(&pipe.resources.slabs);
    }

    /// Messages left the send queue. True: a full pipe takes messages again.
    pub fn drained(pipe: *Pipe) bool {
        if (!pipe.send_full) return false;
        const limit = pipe.send_high_water_mark;
        if (limit != 0 and pipe.send.messages > limit - low_water_mark(limit)) return false;
        pipe.send_full = false;
        return true;
    }

    /// A message was handed out to the socket's reader.
    pub inline fn taken(pipe: *Pipe) void {
        if (pipe.orphaned) pipe.finish();
        if (!pipe.receive_full) return;
        const limit = pipe.receive_high_water_mark;
        assert(limit != 0);
        if (pipe.receive.messages > limit - low_water_mark(limit)) return;
        pipe.receive_full = false;
        if (!pipe.resumed_link.linked()) pipe.resources.resumed.push_back(pipe);
    }

    fn finish(pipe: *Pipe) void {
        if (pipe.receive.messages > 0 or pipe.finished_link.linked()) return;
        pipe.resources.finished.push_back(pipe);
    }

    /// After bytes came in: is it time to stop reading the connection?
    pub fn receive_limit_reached(pipe: *Pipe) bool {
        const limit = pipe.receive_high_water_mark;
        if (limit == 0 or pipe.receive.messages < limit) return false;
        pipe.receive_full = true;
        return true;
    }

    /// What must be read before a full queue counts as open again; libzmq: (HWM + 1) / 2.
    pub fn low_water_mark(high_water_mark: u32) u32 {
        return (high_water_mark +| 1) / 2;
    }

    /// Gives everything back; returns the number of outbound messages that were never sent.
    pub fn deinit(pipe: *Pipe) u32 {
        const resources = pipe.resources;
        assert(!pipe.socket_link.linked() and !pipe.receive_link.linked());
        assert(!pipe.send_link.linked());
        if (pipe.dirty_link.linked()) resources.dirty.remove(pipe);
        if (pipe.resumed_link.linked()) resources.resumed.remove(pipe);
        if (pipe.finished_link.linked()) resources.finished.remove(pipe);
        pipe.write_rollback();
        const dropped = pipe.send.clear(&resources.slabs);
        pipe.receive.clear(resources);
        if (pipe.identity_block.len > 0) resources.slabs.free(pipe.identity_block);
        return dropped;
    }

    pub fn set_identity(pipe: *Pipe, identity: []const u8) error{OutOfMemory}!void {
        const slabs = &pipe.resources.slabs;
        const fresh: slab.Block = if (identity.len > 0) try slabs.allocate(identity.len) else &.{};
        if (pipe.identity_block.len > 0) slabs.free(pipe.identity_block);
        pipe.identity_block = fresh;
        @memcpy(fresh[0..identity.len], identity);
        pipe.identity = fresh[0..identity.len];
    }
};
