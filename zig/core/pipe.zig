//! The pair of queues between a socket and one peer, with the high-water marks of both.
//!
//! A pipe outlives the connections of a connecting session; a listener's connection has a pipe of
//! its own. Sockets see pipes and nothing below them. The limits count whole messages, as libzmq's
//! do, and bytes, whichever is reached first: a message in progress is never refused, nor one that
//! finds less than a mark, whatever its size. A full queue opens again when half of it (⌈HWM/2⌉)
//! has gone, so that a full link does not wake its writer for each message.

const std = @import("std");
const assert = std.debug.assert;

const List = @import("../stdx/intrusive_list.zig").List;
const Link = @import("../stdx/intrusive_list.zig").Link;
const Arena = @import("arena.zig").Arena;
const command = @import("../zmtp/command.zig");
const constants = @import("../constants.zig");
const drop_oldest = @import("oldest.zig").drop_oldest;
const frame = @import("../zmtp/frame.zig");
const keep_newest = @import("conflate.zig").keep_newest;
const Marks = @import("../options.zig").Marks;
const Peer = @import("../zmtp/handshake.zig").Peer;
const Ends = @import("monitor.zig").Ends;
const Reason = @import("monitor.zig").Reason;
const ReceiveQueue = @import("receive_queue.zig").ReceiveQueue;
const Run = @import("receive_queue.zig").Run;
const secure_session = @import("secure_session.zig");
const SendQueue = @import("send_queue.zig").SendQueue;
const Shared = @import("shared_frames.zig").Shared;
const slab = @import("../stdx/slab.zig");
const Slabs = slab.Slabs;
const SocketType = @import("../zmtp/socket_type.zig").SocketType;
const statistics = @import("statistics.zig");

/// What all pipes of one context share.
pub const Resources = struct {
    slabs: Slabs,
    /// For tables whose size follows peers and topics; messages come from the slabs.
    allocator: std.mem.Allocator,
    arena: Arena = .{},
    /// Pipes with complete messages that nobody has offered to the kernel yet.
    dirty: List(Pipe, .dirty_link) = .{},
    dirty_bytes: u64 = 0,
    /// One of them has enough for a system call of its own.
    flush_due: bool = false,
    /// Pipes whose full receive queue has room again.
    resumed: List(Pipe, .resumed_link) = .{},
    /// Pipes without a peer whose last message has been handed out.
    finished: List(Pipe, .finished_link) = .{},
    /// Pipes whose connection the pattern wants to end.
    doomed: List(Pipe, .doomed_link) = .{},
    /// Pipes whose peer in this process is to be told what has been read.
    unacknowledged: List(Pipe, .unacknowledged_link) = .{},
    /// Heartbeats that came in this turn.
    beats: u32 = 0,
    /// Lent buffers that nobody will ask for any more; the owner forgets them.
    abandoned: Abandoned = .{},
    /// Sockets whose events are recorded.
    monitored: u32 = 0,
    /// Of the connection that ended last, for the event that tells of it.
    ended: Ends = .{},
    /// What handshakes with security share.
    security: secure_session.State = .{},

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
    /// Null: there was no handshake yet, or no memory for it.
    peer_traffic: ?*statistics.PeerTraffic = null,
    /// Of its socket.
    totals: *statistics.Totals,
    send_high_water_mark: u32,
    receive_high_water_mark: u32,
    /// The same in bytes, 0 for no limit.
    send_bytes_max: u32 = 0,
    receive_bytes_max: u32 = 0,
    /// Of a large part whose buffer is asked for: they count, and are in no queue yet.
    expected_bytes: u32 = 0,
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
    /// Queued since the last flush.
    unflushed_bytes: u32 = 0,
    /// In a queue that travels: subscriptions, which count as messages there.
    subscriptions_queued: u32 = 0,
    /// What we call the peer: given by the caller of connect, or by the pattern. In a slab.
    local_id: []const u8 = "",
    /// A small number that no other pipe of the socket has, for patterns that keep tables.
    number: u32 = 0,
    /// The peer takes SUBSCRIBE and CANCEL as commands (ZMTP 3.1).
    speaks_3_1: bool = false,
    /// Made by connect: it outlives its connections.
    connecting: bool,
    /// Messages that the peer holds in this process and has not said to have read: they count.
    handed_over: u32 = 0,
    /// Their bytes, as long as the peer has not taken them out of the link.
    handed_over_bytes: u64 = 0,
    /// Conflated, or the oldest give way: so many messages are the most, the others wait here; 0
    /// for no limit.
    hand_over_max: u32 = 0,
    /// How many messages are read before the peer is told; 0: it need not know.
    acknowledge_every: u32 = 0,
    /// How many of those that arrived the peer knows of as read; wraps.
    acknowledged: u32 = 0,
    /// Why its connection has to end.
    doom_reason: Reason = .none,
    /// What the peer says it is.
    peer_type: ?SocketType = null,
    /// A message for this peer was refused, and nobody has been told yet that there is room again.
    refused: bool = false,
    /// Only the newest whole message of each direction is kept; those it replaces are counted here.
    /// Both high-water marks are 1, so that a queue that need not be looked at costs nothing.
    conflated: ?*u64 = null,

    socket_link: Link = .{},
    /// In the socket's fair queue: has messages to hand out.
    receive_link: Link = .{},
    /// In the socket's load balancer: takes messages.
    send_link: Link = .{},
    dirty_link: Link = .{},
    resumed_link: Link = .{},
    finished_link: Link = .{},
    doomed_link: Link = .{},
    unacknowledged_link: Link = .{},
    /// In the set of receivers of the message being published.
    matched_link: Link = .{},

    /// Ends the connection as soon as the current call is over: patterns do not call upwards.
    pub fn doom(pipe: *Pipe, reason: Reason) void {
        assert(reason != .none);
        if (pipe.doomed_link.linked()) return;
        pipe.doom_reason = reason;
        pipe.resources.doomed.push_back(pipe);
    }

    // -- statistics -----------------------------------------------------------------------------

    pub inline fn count_bytes_in(pipe: *Pipe, bytes: usize) void {
        if (pipe.peer_traffic) |it| it.traffic.bytes_in += bytes;
        pipe.totals.traffic.bytes_in += bytes;
    }

    /// They are in the receive queue, in so many frames.
    pub inline fn count_messages_in(pipe: *Pipe, messages: u32, parts: u32) void {
        if (pipe.peer_traffic) |it| it.traffic.messages_in += messages;
        pipe.totals.traffic.messages_in += messages;
        pipe.totals.parts_in += parts;
    }

    /// The kernel has taken them, or the peer in this process.
    pub inline fn count_out(pipe: *Pipe, messages: u32, bytes: usize) void {
        if (pipe.peer_traffic) |it| {
            it.traffic.messages_out += messages;
            it.traffic.bytes_out += bytes;
        }
        pipe.totals.traffic.messages_out += messages;
        pipe.totals.traffic.bytes_out += bytes;
    }

    /// A handshake was done, and so many bytes have come in one piece with it.
    pub fn count_established(pipe: *Pipe, now_ns: u64, bytes_behind: u32) void {
        if (pipe.peer_traffic == null) {
            const fresh = pipe.resources.slabs.create(statistics.PeerTraffic) catch return;
            fresh.* = .{ .traffic = .{ .bytes_in = bytes_behind } };
            pipe.peer_traffic = fresh;
        }
        pipe.peer_traffic.?.established_ns = now_ns;
    }

    /// As counted in another context.
    pub fn restore_traffic(pipe: *Pipe, known: *const statistics.PeerTraffic) void {
        pipe.count_established(known.established_ns, 0);
        if (pipe.peer_traffic) |it| it.* = known.*;
    }

    fn count_subscription_out(pipe: *Pipe) void {
        pipe.totals.commands_out += 1;
        if (pipe.send.travels) pipe.subscriptions_queued += 1;
    }

    // -- sending --------------------------------------------------------------------------------

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
        try pipe.send.push(&resources.slabs, part, more, borrow and pipe.may_borrow(part));
        if (more) {
            // Nothing to send yet, but a borrowed payload has to be given back in time.
            if (pipe.send.borrowed > 0 and !pipe.dirty_link.linked()) {
                resources.dirty.push_back(pipe);
            }
            return;
        }
        const bytes = pipe.send.bytes - before;
        // Within the process a flush is no system call, and high-water marks count messages.
        const least: u64 = if (pipe.send.travels) constants.hand_over_bytes_min else 0;
        pipe.queued_own(@max(bytes, least));
    }

    /// What the kernel does not take has to be copied in the end. Where there is no room for that,
    /// the copy is made now: it fails this call, and later it would be a connection.
    fn may_borrow(pipe: *const Pipe, part: []const u8) bool {
        if (pipe.send.travels) return false;
        return pipe.resources.slabs.has_room(pipe.resources.dirty_bytes + part.len);
    }

    /// A whole message that is this queue's alone.
    inline fn queued_own(pipe: *Pipe, bytes: u64) void {
        pipe.resources.dirty_bytes += bytes;
        pipe.count_unflushed(bytes);
        pipe.queued();
    }

    inline fn count_unflushed(pipe: *Pipe, bytes: u64) void {
        pipe.unflushed_bytes +|= @intCast(@min(bytes, std.math.maxInt(u32)));
        if (pipe.unflushed_bytes >= constants.flush_bytes) pipe.resources.flush_due = true;
    }

    /// Queues a message that was framed for many pipes. The caller counts `dirty_bytes` once.
    pub inline fn write_shared(
        pipe: *Pipe,
        shared: *Shared,
        start: u32,
        end: u32,
    ) error{OutOfMemory}!void {
        try pipe.send.push_shared(&pipe.resources.slabs, shared, start, end);
        pipe.count_unflushed(end - start);
        pipe.queued();
    }

    /// A whole message is in the send queue.
    inline fn queued(pipe: *Pipe) void {
        if (!pipe.dirty_link.linked()) pipe.resources.dirty.push_back(pipe);
        if (pipe.send_limit_reached()) pipe.filled_up();
    }

    pub inline fn send_limit_reached(pipe: *const Pipe) bool {
        const limit = pipe.send_high_water_mark;
        if (pipe.send.messages + pipe.handed_over >= limit and limit != 0) return true;
        const bytes_max = pipe.send_bytes_max;
        return bytes_max != 0 and pipe.send.bytes + pipe.handed_over_bytes >= bytes_max;
    }

    /// Drops the oldest messages that nothing has gone of until one more finds room, or there is no
    /// other. Returns how many.
    pub fn make_room(pipe: *Pipe) u32 {
        var dropped: u32 = 0;
        while (pipe.send_limit_reached()) : (dropped += 1) {
            if (!drop_oldest(&pipe.send, &pipe.resources.slabs)) return dropped;
        }
        pipe.send_full = false;
        return dropped;
    }

    /// `received`: what arrives is messages. Of subscriptions every one counts.
    pub fn conflate(pipe: *Pipe, counter: *u64, received: bool) void {
        pipe.conflated = counter;
        pipe.send_high_water_mark = 1;
        pipe.receive_high_water_mark = @intFromBool(received);
        pipe.send_bytes_max = 0;
        pipe.receive_bytes_max = 0;
    }

    fn filled_up(pipe: *Pipe) void {
        if (pipe.conflated) |counter| {
            counter.* += keep_newest(&pipe.send, &pipe.resources.slabs);
        } else pipe.send_full = true;
    }

    /// Queues bytes that are sent as they are, without frames.
    pub fn write_raw(pipe: *Pipe, bytes: []const u8, more: bool) error{OutOfMemory}!void {
        const before = pipe.send.bytes;
        try pipe.send.push_raw(&pipe.resources.slabs, bytes, more);
        if (!more) pipe.queued_own(pipe.send.bytes - before);
    }

    /// Messages of one part that go before all others of this connection, and with it.
    pub fn write_first(pipe: *Pipe, bodies: []const []const u8) error{OutOfMemory}!void {
        try pipe.send.push_first(&pipe.resources.slabs, bodies);
        pipe.queued();
    }

    /// A message of one part that the peer did not send is received behind what it sent, and
    /// counts as if it had.
    pub fn receive_own(pipe: *Pipe, body: []const u8) error{OutOfMemory}!void {
        try pipe.receive.push_own(&pipe.resources.slabs, body);
        pipe.count_messages_in(1, 1);
        // The peer does not wait for it to be read.
        pipe.acknowledged +%= 1;
        // A connection that comes and goes brings no more of them than are read.
        _ = pipe.receive_limit_reached();
    }

    /// Queues a command frame; no high-water mark applies to it.
    pub fn write_command(pipe: *Pipe, encoded: []const u8) error{OutOfMemory}!void {
        try pipe.send.push_command(&pipe.resources.slabs, encoded);
        pipe.totals.commands_out += 1;
        if (!pipe.dirty_link.linked()) pipe.resources.dirty.push_back(pipe);
    }

    /// Tells a publisher what is wanted of it, and no more. No high-water mark applies, and nothing
    /// of it outlives the connection: the next one has to be told everything.
    pub fn write_subscription(
        pipe: *Pipe,
        wanted: bool,
        topic: []const u8,
        form: enum { that_it_knows, data },
    ) error{OutOfMemory}!void {
        var buffer: [command.prefix_size_max]u8 = undefined;
        const prefix = if (form == .that_it_knows and pipe.speaks_3_1)
            command.encode_prefix(&buffer, if (wanted) .subscribe else .cancel, topic.len)
        else blk: {
            const size = frame.encode(&buffer, 0, 1 + topic.len);
            buffer[size] = @intFromBool(wanted);
            break :blk buffer[0 .. size + 1];
        };
        try pipe.send.push_control(&pipe.resources.slabs, prefix, topic);
        pipe.count_subscription_out();
        if (!pipe.dirty_link.linked()) pipe.resources.dirty.push_back(pipe);
    }

    /// The same for a group; libzmq takes it as a command from any version.
    pub fn write_join(pipe: *Pipe, joins: bool, group: []const u8) error{OutOfMemory}!void {
        var buffer: [command.prefix_size_max]u8 = undefined;
        const prefix = command.encode_prefix(&buffer, if (joins) .join else .leave, group.len);
        try pipe.send.push_control(&pipe.resources.slabs, prefix, group);
        pipe.count_subscription_out();
        if (!pipe.dirty_link.linked()) pipe.resources.dirty.push_back(pipe);
    }

    pub fn write_rollback(pipe: *Pipe) void {
        pipe.send.rollback(&pipe.resources.slabs);
    }

    /// Messages left the send queue. True: a full pipe takes messages again.
    pub fn drained(pipe: *Pipe) bool {
        if (!pipe.send_full or pipe.too_many() > 0 or pipe.too_many_bytes() > 0) return false;
        pipe.send_full = false;
        return true;
    }

    /// How many messages have to go before a full queue counts as open again.
    pub fn too_many(pipe: *const Pipe) u32 {
        const limit = pipe.send_high_water_mark;
        if (limit == 0) return 0;
        const half = low_water_mark(limit);
        // A reader in this process tells of many at once: its writer begins before it runs dry.
        const gone = if (pipe.send.travels) @min(half, constants.acknowledge_every_max) else half;
        return (pipe.send.messages + pipe.handed_over) -| (limit - gone);
    }

    pub fn too_many_bytes(pipe: *const Pipe) u64 {
        const limit = pipe.send_bytes_max;
        if (limit == 0) return 0;
        return (pipe.send.bytes + pipe.handed_over_bytes) -| limit / 2;
    }

    pub fn set_marks(pipe: *Pipe, marks: Marks) void {
        pipe.send_high_water_mark = marks.send;
        pipe.receive_high_water_mark = marks.receive;
        pipe.send_bytes_max = marks.send_bytes;
        pipe.receive_bytes_max = marks.receive_bytes;
    }

    /// Other high-water marks. True: a full pipe takes messages again.
    pub fn set_limits(pipe: *Pipe, marks: Marks) bool {
        if (pipe.conflated != null) return false;
        pipe.set_marks(marks);
        if (pipe.receive_full and !pipe.receive_over_limit()) pipe.resume_receiving();
        const full = pipe.send_limit_reached();
        const opened = pipe.send_full and !full;
        // A load balancer that has it among those with room gives it one message more.
        pipe.send_full = full;
        return opened;
    }

    /// A message was handed out to the socket's reader.
    pub inline fn taken(pipe: *Pipe) void {
        if (pipe.orphaned) pipe.finish();
        if (pipe.acknowledge_every != 0) pipe.count_read();
        if (pipe.receive_full) pipe.taken_of_full();
    }

    fn taken_of_full(pipe: *Pipe) void {
        const left = pipe.receive.messages;
        const limit = pipe.receive_high_water_mark;
        if (limit != 0 and left > limit - low_water_mark(limit)) return;
        // What is behind the last message may be more than any mark: it has to be read on.
        if (left > 0 and pipe.receive_bytes_max != 0) {
            if (pipe.unread_bytes() > pipe.receive_bytes_max / 2) return;
        }
        pipe.resume_receiving();
    }

    fn resume_receiving(pipe: *Pipe) void {
        pipe.receive_full = false;
        if (!pipe.resumed_link.linked()) pipe.resources.resumed.push_back(pipe);
    }

    fn count_read(pipe: *Pipe) void {
        if (pipe.read_unacknowledged() < pipe.acknowledge_every) return;
        const list = &pipe.resources.unacknowledged;
        if (!pipe.unacknowledged_link.linked()) list.push_back(pipe);
    }

    pub fn read_unacknowledged(pipe: *const Pipe) u32 {
        const read = pipe.receive.arrived -% pipe.receive.messages -% pipe.acknowledged;
        // Our own messages are acknowledged before they are read.
        return if (@as(i32, @bitCast(read)) < 0) 0 else read;
    }

    /// What is between the two queues counts no more, or not yet: the link to the peer is new or
    /// gone.
    pub fn reset_handed_over(pipe: *Pipe, acknowledge_every: u32) void {
        const list = &pipe.resources.unacknowledged;
        if (pipe.unacknowledged_link.linked()) list.remove(pipe);
        pipe.handed_over = 0;
        pipe.handed_over_bytes = 0;
        pipe.acknowledge_every = acknowledge_every;
        pipe.acknowledged = pipe.receive.arrived -% pipe.receive.messages;
    }

    fn finish(pipe: *Pipe) void {
        if (pipe.receive.messages > 0 or pipe.finished_link.linked()) return;
        pipe.resources.finished.push_back(pipe);
    }

    /// After bytes came in: is it time to stop reading the connection?
    pub fn receive_limit_reached(pipe: *Pipe) bool {
        if (!pipe.receive_over_limit()) return false;
        if (pipe.conflated) |counter| if (!pipe.receive.reading) {
            counter.* += pipe.receive.keep_newest(pipe.resources);
            if (pipe.acknowledge_every != 0) pipe.count_read();
            return false;
        };
        pipe.receive_full = true;
        return true;
    }

    fn receive_over_limit(pipe: *const Pipe) bool {
        const messages = pipe.receive.messages;
        if (messages == 0) return false;
        const limit = pipe.receive_high_water_mark;
        if (limit != 0 and messages >= limit) return true;
        return pipe.receive_bytes_max != 0 and pipe.unread_bytes() >= pipe.receive_bytes_max;
    }

    fn unread_bytes(pipe: *const Pipe) u64 {
        return pipe.receive.unread_bytes() + pipe.expected_bytes;
    }

    /// What must be read before a full queue counts as open again; libzmq: (HWM + 1) / 2.
    pub fn low_water_mark(high_water_mark: u32) u32 {
        return (high_water_mark +| 1) / 2;
    }

    /// Nobody will read what has been received; returns how many messages that is.
    pub fn drop_received(pipe: *Pipe) u32 {
        const queue = &pipe.receive;
        // One that was begun to be handed out is counted where that is cut off.
        const count = queue.messages - @intFromBool(queue.reading);
        queue.clear(pipe.resources);
        return count;
    }

    /// Gives everything back; returns the number of outbound messages that were never sent.
    pub fn deinit(pipe: *Pipe) u32 {
        const resources = pipe.resources;
        assert(!pipe.socket_link.linked() and !pipe.receive_link.linked());
        assert(!pipe.send_link.linked());
        if (pipe.dirty_link.linked()) resources.dirty.remove(pipe);
        if (pipe.resumed_link.linked()) resources.resumed.remove(pipe);
        if (pipe.finished_link.linked()) resources.finished.remove(pipe);
        if (pipe.doomed_link.linked()) resources.doomed.remove(pipe);
        assert(!pipe.matched_link.linked());
        pipe.reset_handed_over(0);
        pipe.write_rollback();
        const dropped = pipe.send.clear(&resources.slabs);
        pipe.receive.clear(resources);
        if (pipe.peer_traffic) |it| resources.slabs.destroy(it);
        pipe.peer_traffic = null;
        if (pipe.identity.len > 0) resources.slabs.free_bytes(pipe.identity);
        if (pipe.local_id.len > 0) resources.slabs.free_bytes(pipe.local_id);
        return dropped;
    }

    /// A handshake was done.
    pub fn meet(pipe: *Pipe, peer: *const Peer) error{OutOfMemory}!void {
        try pipe.set_identity(peer.identity);
        pipe.speaks_3_1 = peer.speaks_3_1;
        pipe.peer_type = peer.socket_type;
    }

    pub fn set_identity(pipe: *Pipe, identity: []const u8) error{OutOfMemory}!void {
        try pipe.keep(&pipe.identity, identity);
    }

    pub fn set_local_id(pipe: *Pipe, id: []const u8) error{OutOfMemory}!void {
        try pipe.keep(&pipe.local_id, id);
    }

    fn keep(pipe: *Pipe, kept: *[]const u8, bytes: []const u8) error{OutOfMemory}!void {
        const slabs = &pipe.resources.slabs;
        const fresh: []u8 = if (bytes.len > 0) try slabs.allocate(bytes.len) else &.{};
        @memcpy(fresh[0..bytes.len], bytes);
        if (kept.len > 0) slabs.free_bytes(kept.*);
        kept.* = fresh[0..bytes.len];
    }
};
