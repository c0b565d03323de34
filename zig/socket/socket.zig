//! A socket: a pattern over attached pipes, its options, the ring that hands out received parts,
//! and what its owner waits for. It sees pipes and messages: no descriptor, no byte of the wire.

const std = @import("std");
const assert = std.debug.assert;

const Arena = @import("../core/arena.zig").Arena;
const FairQueue = @import("fair_queue.zig").FairQueue;
const Link = @import("../stdx/intrusive_list.zig").Link;
const List = @import("../stdx/intrusive_list.zig").List;
const Monitor = @import("../core/monitor.zig").Monitor;
const Part = @import("../core/receive_queue.zig").Part;
const pipes = @import("../core/pipe.zig");
const Pipe = pipes.Pipe;
const Pull = @import("pull.zig").Pull;
const Push = @import("push.zig").Push;
const receive_ring = @import("../core/receive_ring.zig");
const ReceiveRing = receive_ring.ReceiveRing;
const Rep = @import("rep.zig").Rep;
const Req = @import("req.zig").Req;
const Resources = pipes.Resources;
const SocketOptions = @import("../options.zig").SocketOptions;

pub const SendError = error{
    /// Every peer's queue is full, or there is no peer.
    WouldBlock,
    /// Not now: a REQ that awaits a reply, a REP without a request (EFSM).
    WrongState,
    /// This type does not send.
    NotSupported,
    /// The context's memory budget; nothing of the message was queued.
    OutOfMemory,
};

pub const ReceiveError = error{ WrongState, NotSupported };

/// The types that this version has.
pub const Type = enum(u32) { req = 3, rep = 4, pull = 7, push = 8 };

/// What an owner can wait for.
pub const Interest = packed struct(u32) {
    readable: bool = false,
    writable: bool = false,
    _: u30 = 0,

    pub fn any(interest: Interest) bool {
        return interest.readable or interest.writable;
    }
};

/// The part of a socket that its owner reads without a call. Counters only grow.
pub const Record = extern struct {
    cursor: receive_ring.Cursor = .{},
    messages_sent: u64 = 0,
    messages_received: u64 = 0,
    /// Dropped with the connection that they were being sent on.
    dropped_disconnect: u64 = 0,
    /// Replies whose requester has gone or takes no more.
    dropped_no_peer: u64 = 0,
    /// Received messages without the frames their pattern needs.
    dropped_malformed: u64 = 0,
    /// Replies to a request that is no longer waiting.
    dropped_stale: u64 = 0,
    /// Queued messages that were not sent before linger ended.
    dropped_linger: u64 = 0,
    handshakes_failed: u64 = 0,
    connections: u32 = 0,
    events_waiting: u32 = 0,
};

/// One allocation of memory that is shared with the owner.
pub const Shared = extern struct {
    record: Record = .{},
    options: SocketOptions = .{},
    entries: [receive_ring.entries]receive_ring.Entry = undefined,
};

pub const Pattern = union(enum) {
    req: Req,
    rep: Rep,
    pull: Pull,
    push: Push,
};

pub const Socket = struct {
    handle: u32,
    resources: *Resources,
    type: Type,
    pattern: Pattern,
    options: *SocketOptions,
    record: *Record,
    ring: ReceiveRing,
    pipes: List(Pipe, .socket_link) = .{},
    monitor: Monitor = .{},
    /// What the owner waits for, and what of that has come but was not reported.
    wanted: Interest = .{},
    ready: Interest = .{},
    ready_link: Link = .{},
    ready_list: *List(Socket, .ready_link),

    pub fn init(
        socket: *Socket,
        handle: u32,
        socket_type: Type,
        resources: *Resources,
        ready_list: *List(Socket, .ready_link),
        shared: *Shared,
        seed: u32,
    ) void {
        shared.* = .{};
        socket.* = .{
            .handle = handle,
            .resources = resources,
            .type = socket_type,
            .pattern = switch (socket_type) {
                .req => .{ .req = .{ .request_id = seed } },
                .rep => .{ .rep = .{} },
                .pull => .{ .pull = .{} },
                .push => .{ .push = .{} },
            },
            .options = &shared.options,
            .record = &shared.record,
            .ring = .{ .cursor = &shared.record.cursor, .shared = &shared.entries },
            .ready_list = ready_list,
        };
    }

    /// All pipes have been detached.
    pub fn deinit(socket: *Socket) void {
        assert(socket.pipes.empty());
        switch (socket.pattern) {
            .rep => |*rep| rep.deinit(socket),
            .req, .pull, .push => {},
        }
        socket.ring.clear(socket.resources);
        if (socket.ready_link.linked()) socket.ready_list.remove(socket);
    }

    // -- pipes ----------------------------------------------------------------------------------

    pub fn attach(socket: *Socket, pipe: *Pipe) void {
        socket.pipes.push_back(pipe);
        switch (socket.pattern) {
            inline else => |*pattern| pattern.attach(socket, pipe),
        }
        socket.notify();
    }

    /// Messages of this pipe that were not handed out are gone with it.
    pub fn detach(socket: *Socket, pipe: *Pipe) void {
        if (!pipe.socket_link.linked()) return;
        switch (socket.pattern) {
            inline else => |*pattern| pattern.detach(socket, pipe),
        }
        socket.pipes.remove(pipe);
        assert(!pipe.send_link.linked() and !pipe.receive_link.linked());
        socket.notify();
    }

    /// What this pipe has of the message being written goes, and the rest will go nowhere.
    pub fn cut_sending(socket: *Socket, pipe: *Pipe) void {
        switch (socket.pattern) {
            .push => |*push| push.balancer.cut(pipe),
            .req => |*req| req.balancer.cut(pipe),
            .rep => |*rep| rep.cut_sending(pipe),
            .pull => {},
        }
        assert(!pipe.send.writing);
    }

    /// The peer has gone for good, but what it sent is still to be read.
    pub fn orphan(socket: *Socket, pipe: *Pipe) void {
        pipe.orphaned = true;
        switch (socket.pattern) {
            .push => |*push| push.balancer.detach(pipe),
            .req => |*req| req.balancer.detach(pipe),
            .rep, .pull => {},
        }
    }

    /// Complete messages arrived.
    pub fn pipe_readable(socket: *Socket, pipe: *Pipe) void {
        // Its owner has disconnected it: it only sends what is queued.
        if (!pipe.socket_link.linked()) return socket.discard(pipe);
        switch (socket.pattern) {
            .push => |*push| push.pipe_readable(socket, pipe),
            inline else => |*pattern| pattern.pipe_readable(socket, pipe),
        }
        socket.notify();
    }

    /// A full pipe takes messages again.
    pub fn pipe_writable(socket: *Socket, pipe: *Pipe) void {
        if (!pipe.socket_link.linked()) return;
        switch (socket.pattern) {
            .push => |*push| push.pipe_writable(pipe),
            .req => |*req| req.pipe_writable(pipe),
            .rep, .pull => {},
        }
        socket.notify();
    }

    // -- the owner's calls ----------------------------------------------------------------------

    pub inline fn send(socket: *Socket, part: []const u8, more: bool, borrow: bool) SendError!void {
        switch (socket.pattern) {
            .push => |*push| try push.send(socket, part, more, borrow),
            .req => |*req| try req.send(socket, part, more, borrow),
            .rep => |*rep| try rep.send(socket, part, more, borrow),
            .pull => return error.NotSupported,
        }
        if (!more) socket.record.messages_sent += 1;
    }

    /// Puts complete messages into the ring, if it is empty. None there is no error.
    pub fn fill(socket: *Socket) ReceiveError!void {
        switch (socket.pattern) {
            .pull => |*pull| try pull.fill(socket),
            .req => |*req| try req.fill(socket),
            .rep => |*rep| try rep.fill(socket),
            .push => return error.NotSupported,
        }
    }

    pub fn readable(socket: *const Socket) bool {
        return switch (socket.pattern) {
            .pull => |*pull| socket.ring.waiting() > 0 or pull.readable(),
            .req => |*req| req.readable(socket),
            .rep => |*rep| rep.readable(socket),
            .push => false,
        };
    }

    pub fn writable(socket: *const Socket) bool {
        return switch (socket.pattern) {
            .push => |*push| push.writable(),
            .req => |*req| req.writable(socket),
            .rep => |*rep| rep.writable(socket),
            .pull => false,
        };
    }

    /// The owner waits; it is told once for each interest.
    pub fn want(socket: *Socket, interest: Interest) void {
        socket.wanted.readable = socket.wanted.readable or interest.readable;
        socket.wanted.writable = socket.wanted.writable or interest.writable;
        socket.notify();
    }

    pub fn notify(socket: *Socket) void {
        if (!socket.wanted.any()) return;
        if (socket.wanted.readable and socket.readable()) {
            socket.wanted.readable = false;
            socket.ready.readable = true;
        }
        if (socket.wanted.writable and socket.writable()) {
            socket.wanted.writable = false;
            socket.ready.writable = true;
        }
        if (socket.ready.any() and !socket.ready_link.linked()) socket.ready_list.push_back(socket);
    }

    // -- for the patterns -----------------------------------------------------------------------

    /// Fills the ring from a fair queue, message by message.
    pub fn fill_from(socket: *Socket, queue: *FairQueue) void {
        const ring = &socket.ring;
        if (ring.waiting() > 0) return;
        ring.release(&socket.resources.slabs);
        // What is in the ring counts as read: a small high-water mark must not be outrun by it.
        const limit = socket.options.receive_high_water_mark;
        const messages_max = if (limit == 0) receive_ring.entries else limit;
        var messages: u32 = 0;
        const arena = &socket.resources.arena;
        while (messages < messages_max and ring.free_entries() > 0) {
            if (queue.current == null) ring.begin_message();
            const taken = queue.next_part(arena) orelse break;
            ring.push(arena, taken.part, taken.pipe.session);
            if (!taken.part.more) messages += 1;
        }
        socket.record.messages_received += messages;
    }

    /// Puts one message into the ring.
    pub fn fill_message(socket: *Socket, queue: *FairQueue) void {
        assert(socket.ring.waiting() == 0);
        socket.ring.begin_message();
        socket.fill_rest(queue);
    }

    /// Goes on with a message that has more parts than the ring holds.
    pub fn fill_rest(socket: *Socket, queue: *FairQueue) void {
        const ring = &socket.ring;
        if (ring.waiting() > 0) return;
        ring.release(&socket.resources.slabs);
        const arena = &socket.resources.arena;
        while (ring.free_entries() > 0) {
            const taken = queue.next_part(arena).?;
            ring.push(arena, taken.part, taken.pipe.session);
            if (!taken.part.more) {
                socket.record.messages_received += 1;
                return;
            }
        }
    }

    /// The message being handed out lost its pipe.
    pub fn cut_message(socket: *Socket) void {
        socket.ring.cut_message(socket.resources);
        socket.record.dropped_disconnect += 1;
    }

    /// Drops one whole message; always false, for `return`.
    pub fn drop_message(socket: *Socket, queue: *FairQueue) bool {
        socket.drop_rest(queue);
        socket.record.dropped_stale += 1;
        return false;
    }

    /// Takes one part that has to be `expected` and has to be followed by others. Otherwise the
    /// whole message is dropped.
    pub fn skip_part(socket: *Socket, queue: *FairQueue, expected: []const u8) bool {
        const taken = queue.next_part(&socket.resources.arena).?;
        const same = std.mem.eql(u8, taken.part.bytes[0..taken.part.len], expected);
        const more = taken.part.more;
        socket.release_part(taken.part);
        if (same and more) return true;
        if (more) socket.drop_rest(queue);
        socket.record.dropped_malformed += 1;
        return false;
    }

    pub fn drop_rest(socket: *Socket, queue: *FairQueue) void {
        while (true) {
            const taken = queue.next_part(&socket.resources.arena).?;
            const more = taken.part.more;
            socket.release_part(taken.part);
            if (!more) return;
        }
    }

    /// A part that never gets into the ring.
    pub fn release_part(socket: *Socket, part: Part) void {
        if (part.exhausted) socket.resources.gone(part.run);
    }

    /// Everything a pipe received goes: nobody will ask for it.
    pub fn discard(socket: *Socket, pipe: *Pipe) void {
        socket.record.dropped_malformed += pipe.receive.messages;
        pipe.receive.clear(socket.resources);
        pipe.taken();
    }

    /// A message, or a part of one, that its pattern sent nowhere.
    pub fn count_dropped(socket: *Socket, more: bool) void {
        if (!more) socket.record.dropped_disconnect += 1;
    }
};
