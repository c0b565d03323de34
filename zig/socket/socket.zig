//! A socket: a pattern over attached pipes, its options, the ring that hands out received parts,
//! and what its owner waits for. It sees pipes and messages: no descriptor, no byte of the wire.

const std = @import("std");
const assert = std.debug.assert;

const Arena = @import("../core/arena.zig").Arena;
const Dealer = @import("dealer.zig").Dealer;
const Dish = @import("dish.zig").Dish;
const FairQueue = @import("fair_queue.zig").FairQueue;
const Link = @import("../stdx/intrusive_list.zig").Link;
const List = @import("../stdx/intrusive_list.zig").List;
const LoadBalancer = @import("load_balancer.zig").LoadBalancer;
const Monitor = @import("../core/monitor.zig").Monitor;
const options_module = @import("../options.zig");
const Pair = @import("pair.zig").Pair;
const Part = @import("../core/receive_queue.zig").Part;
const pipes = @import("../core/pipe.zig");
const Pipe = pipes.Pipe;
const Pull = @import("pull.zig").Pull;
const Publisher = @import("publisher.zig").Publisher;
const Push = @import("push.zig").Push;
const Radio = @import("radio.zig").Radio;
const receive_ring = @import("../core/receive_ring.zig");
const ReceiveRing = receive_ring.ReceiveRing;
const Rep = @import("rep.zig").Rep;
const Req = @import("req.zig").Req;
const Resources = pipes.Resources;
const Router = @import("router.zig").Router;
const Server = @import("server.zig").Server;
const single_frame = @import("single_frame.zig");
const Security = @import("../core/secure_session.zig").Security;
const slab = @import("../stdx/slab.zig");
const statistics = @import("../core/statistics.zig");
const SocketOptions = options_module.SocketOptions;
const Stream = @import("stream.zig").Stream;
const Subscriber = @import("subscriber.zig").Subscriber;

pub const SendError = error{
    /// Every peer's queue is full, or there is no peer.
    WouldBlock,
    /// Not now: a REQ that awaits a reply, a REP without a request (EFSM).
    WrongState,
    /// This type does not send.
    NotSupported,
    /// A message for a peer that is not there (EHOSTUNREACH).
    Unroutable,
    /// A message of a form that this type does not send.
    InvalidMessage,
    /// The context's memory budget; nothing of the message was queued.
    OutOfMemory,
};

pub const ReceiveError = error{ WrongState, NotSupported };

pub const SubscribeError = error{ OutOfMemory, NotSupported, InvalidArgument };

/// libzmq's numbers.
pub const Type = enum(u32) {
    pair = 0,
    @"pub" = 1,
    sub = 2,
    req = 3,
    rep = 4,
    dealer = 5,
    router = 6,
    pull = 7,
    push = 8,
    xpub = 9,
    xsub = 10,
    stream = 11,
    server = 12,
    client = 13,
    radio = 14,
    dish = 15,
    gather = 16,
    scatter = 17,
    peer = 19,
    channel = 20,

    /// Messages have one part (of a RADIO and a DISH: a group and one part).
    pub fn single_frame(socket_type: Type) bool {
        return switch (socket_type) {
            .server, .client, .radio, .dish, .gather, .scatter, .peer, .channel => true,
            else => false,
        };
    }
};

/// What an owner can wait for.
pub const Interest = packed struct(u32) {
    readable: bool = false,
    writable: bool = false,
    /// A handshake was done, or a connection ended.
    connected: bool = false,
    /// A peer subscribed to something, or cancelled.
    subscribed: bool = false,
    /// The queue of a peer was sent, or dropped.
    drained: bool = false,
    _: u27 = 0,

    pub fn any(interest: Interest) bool {
        return @as(u32, @bitCast(interest)) != 0;
    }
};

/// The part of a socket that its owner reads without a call. Counters only grow.
pub const Record = extern struct {
    cursor: receive_ring.Cursor = .{},
    totals: statistics.Totals = .{},
    messages_sent: u64 = 0,
    /// Parts with others behind them: with `messages_sent` that is all that were sent.
    parts_begun: u64 = 0,
    /// Put into the ring; its owner has taken those that are not there any more.
    messages_received: u64 = 0,
    /// For peers whose queue was full; what a publisher drops counts once for each of them.
    dropped_high_water_mark: u64 = 0,
    /// For a routing id that nobody has.
    dropped_unroutable: u64 = 0,
    /// Published when nobody had subscribed to it; of an XSUB, when no publisher was there.
    dropped_unsubscribed: u64 = 0,
    /// What an XPUB had for a reader who is too far behind: subscriptions, cancels, messages.
    dropped_unread: u64 = 0,
    /// Received without a subscription, any more or yet.
    dropped_filtered: u64 = 0,
    /// Replaced by a newer one (conflate).
    dropped_conflated: u64 = 0,
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
    /// Received, and not taken before the socket was closed or the endpoint disconnected.
    dropped_closed: u64 = 0,
    /// Received of a peer that was turned away.
    dropped_refused: u64 = 0,
    /// Subscriptions and cancels of peers, the refused ones too.
    subscriptions_received: u64 = 0,
    /// Handshakes that were done.
    connections_made: u64 = 0,
    /// Attempts to connect after one that failed, or after a connection that ended.
    reconnects: u64 = 0,
    /// Those that led to a connection.
    reconnects_made: u64 = 0,
    handshakes_failed: u64 = 0,
    /// Subscriptions of peers that had as many as one may have.
    subscriptions_refused: u64 = 0,
    /// Events that nobody had read in time; TypeScript counts those of its iterators here, too.
    dropped_events: u64 = 0,
    /// Connections ended because the peer did not keep up with what was sent to it.
    slow_peers: u64 = 0,
    /// Connections closed when they were accepted: too many at once, or no memory for them.
    connections_refused: u64 = 0,
    /// Silent handshakes that gave way to newer ones.
    handshakes_dropped: u64 = 0,
    /// How often a listener stopped accepting: full, or without descriptors.
    accepts_paused: u64 = 0,
    /// Connections ended because the peer sent a frame, message or command that is too large, or
    /// too many parts.
    limits_exceeded: u64 = 0,
    /// Connections ended for want of memory.
    memory_failures: u64 = 0,
    connections: u32 = 0,
    events_waiting: u32 = 0,
    /// Different topics: those peers want of a publisher, or a subscriber wants.
    topics: u32 = 0,
    /// Peers that spoke well and were turned away: a routing id twice, a second peer of a PAIR.
    peers_refused: u32 = 0,
    /// Connections ended for want of a sign of life.
    heartbeats_failed: u32 = 0,
    /// Why the last of its connections has ended for good (a Reason); 0: there may be others.
    failure: u32 = 0,
    /// By Reason.
    handshake_failures: statistics.Failures = @splat(0),
};

/// One allocation of memory that is shared with the owner.
pub const Shared = extern struct {
    record: Record = .{},
    options: SocketOptions = .{},
    /// However many options there are, the whole is a multiple of its alignment.
    gap: [gap_bytes]u8 = @splat(0),
    entries: [receive_ring.entries]receive_ring.Entry = undefined,

    const gap_bytes = std.mem.alignForward(usize, @sizeOf(SocketOptions), @alignOf(Record)) -
        @sizeOf(SocketOptions);
};

pub const Pattern = union(enum) {
    pair: Pair,
    req: Req,
    rep: Rep,
    dealer: Dealer,
    dish: Dish,
    router: Router,
    pull: Pull,
    publisher: Publisher,
    subscriber: Subscriber,
    push: Push,
    radio: Radio,
    server: Server,
    stream: Stream,

    fn of(socket_type: Type, seed: u32) Pattern {
        return switch (socket_type) {
            .pair, .channel => .{ .pair = .{} },
            .req => .{ .req = .{ .request_id = seed } },
            .rep => .{ .rep = .{} },
            .dealer, .client => .{ .dealer = .{} },
            .router => .{ .router = .{ .table = .init(seed) } },
            .@"pub", .xpub => .{ .publisher = .{} },
            .sub, .xsub => .{ .subscriber = .{} },
            .pull, .gather => .{ .pull = .{} },
            .push, .scatter => .{ .push = .{} },
            .stream => .{ .stream = .{ .table = .init(seed) } },
            .server, .peer => .{ .server = .{ .next = seed } },
            .radio => .{ .radio = .{} },
            .dish => .{ .dish = .{} },
        };
    }
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
    /// Peers that are established now know the socket already: it has moved to another context.
    /// Nobody greets them, and nobody is told that they came.
    quiet: bool = false,
    /// Options that are byte strings.
    bytes: [bytes_options]slab.Block = @splat(&.{}),
    bytes_len: [bytes_options]u32 = @splat(0),
    /// For handshakes that begin from now on; null: NULL, and everybody may come.
    security: ?*Security = null,
    /// What the owner waits for, and what of that has come but was not reported.
    wanted: Interest = .{},
    ready: Interest = .{},
    ready_link: Link = .{},
    ready_list: *List(Socket, .ready_link),

    const bytes_options = std.enums.values(options_module.Bytes).len;

    pub fn init(
        socket: *Socket,
        handle: u32,
        socket_type: Type,
        resources: *Resources,
        ready_list: *List(Socket, .ready_link),
        shared: *Shared,
        seed: u32,
    ) error{OutOfMemory}!void {
        shared.* = .{};
        socket.* = .{
            .handle = handle,
            .resources = resources,
            .type = socket_type,
            .pattern = Pattern.of(socket_type, seed),
            .options = &shared.options,
            .record = &shared.record,
            .ring = .{ .cursor = &shared.record.cursor, .shared = &shared.entries },
            .ready_list = ready_list,
        };
        switch (socket.pattern) {
            inline else => |*pattern| {
                if (has(pattern, "init")) try pattern.init(socket);
            },
        }
    }

    /// All pipes have been detached.
    pub fn deinit(socket: *Socket) void {
        assert(socket.pipes.empty());
        switch (socket.pattern) {
            inline else => |*pattern| if (has(pattern, "deinit")) pattern.deinit(socket),
        }
        socket.ring.clear(socket.resources);
        const slabs = &socket.resources.slabs;
        socket.ring.close_scratch(slabs);
        for (&socket.bytes) |block| if (block.len > 0) slabs.free(block);
        if (socket.ready_link.linked()) socket.ready_list.remove(socket);
        socket.secure(null);
    }

    /// Takes one reference.
    pub fn secure(socket: *Socket, security: ?*Security) void {
        if (socket.security) |before| before.release();
        socket.security = security;
    }

    inline fn has(pattern: anytype, comptime name: []const u8) bool {
        return @hasDecl(@TypeOf(pattern.*), name);
    }

    // -- options --------------------------------------------------------------------------------

    pub fn bytes_of(socket: *const Socket, option: options_module.Bytes) []const u8 {
        const index = @intFromEnum(option);
        return socket.bytes[index][0..socket.bytes_len[index]];
    }

    pub fn set_bytes(
        socket: *Socket,
        option: options_module.Bytes,
        value: []const u8,
    ) error{OutOfMemory}!void {
        const slabs = &socket.resources.slabs;
        const fresh: slab.Block = if (value.len > 0) try slabs.allocate(value.len) else &.{};
        @memcpy(fresh[0..value.len], value);
        const index = @intFromEnum(option);
        if (socket.bytes[index].len > 0) slabs.free(socket.bytes[index]);
        socket.bytes[index] = fresh;
        socket.bytes_len[index] = @intCast(value.len);
    }

    /// The pipe that goes by this routing id, connected or not.
    pub fn find(socket: *const Socket, routing_id: []const u8) ?*Pipe {
        return switch (socket.pattern) {
            inline else => |*pattern| if (has(pattern, "find")) pattern.find(routing_id) else null,
        };
    }

    /// Whether its peers go by routing ids.
    pub fn addresses_peers(socket: *const Socket) bool {
        return switch (socket.pattern) {
            inline else => |*pattern| has(pattern, "find"),
        };
    }

    pub fn knows(socket: *const Socket, routing_id: []const u8) bool {
        return socket.find(routing_id) != null;
    }

    /// Whether its queues keep the newest message only.
    pub fn conflates(socket: *const Socket) bool {
        if (socket.options.conflate == 0) return false;
        return switch (socket.type) {
            .pull, .push, .sub, .@"pub", .dealer, .gather, .scatter => true,
            else => false,
        };
    }

    // -- pipes ----------------------------------------------------------------------------------

    pub fn attach(socket: *Socket, pipe: *Pipe) void {
        socket.pipes.push_back(pipe);
        switch (socket.pattern) {
            inline else => |*pattern| pattern.attach(socket, pipe),
        }
        socket.notify();
    }

    /// A handshake was done on an attached pipe; again after each reconnect.
    pub fn established(socket: *Socket, pipe: *Pipe) void {
        assert(pipe.socket_link.linked());
        switch (socket.pattern) {
            inline else => |*pattern| {
                if (has(pattern, "established")) pattern.established(socket, pipe);
            },
        }
        // The pattern may have made a message of it.
        socket.notify();
        socket.occurred(.{ .connected = true });
    }

    /// The connection of a pipe ended; a connecting one stays.
    pub fn disconnected(socket: *Socket, pipe: *Pipe) void {
        if (pipe.socket_link.linked()) switch (socket.pattern) {
            inline else => |*pattern| {
                if (has(pattern, "disconnected")) pattern.disconnected(socket, pipe);
            },
        };
        socket.notify();
        socket.occurred(.{ .connected = true });
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
            inline else => |*pattern| {
                if (has(pattern, "cut_sending")) pattern.cut_sending(socket, pipe);
            },
        }
        assert(!pipe.send.writing);
    }

    /// The peer has gone for good, but what it sent is still to be read.
    pub fn orphan(socket: *Socket, pipe: *Pipe) void {
        pipe.orphaned = true;
        switch (socket.pattern) {
            inline else => |*pattern| if (has(pattern, "orphan")) pattern.orphan(socket, pipe),
        }
    }

    /// Complete messages arrived.
    pub fn pipe_readable(socket: *Socket, pipe: *Pipe) void {
        // Its owner has disconnected it: it only sends what is queued.
        const record = socket.record;
        if (!pipe.socket_link.linked()) return socket.discard(pipe, &record.dropped_closed);
        switch (socket.pattern) {
            inline else => |*pattern| pattern.pipe_readable(socket, pipe),
        }
        socket.notify();
    }

    /// A full pipe takes messages again.
    pub fn pipe_writable(socket: *Socket, pipe: *Pipe) void {
        if (!pipe.socket_link.linked()) return;
        switch (socket.pattern) {
            inline else => |*pattern| {
                if (has(pattern, "pipe_writable")) pattern.pipe_writable(socket, pipe);
            },
        }
        socket.notify();
    }

    // -- the owner's calls ----------------------------------------------------------------------

    pub inline fn send(socket: *Socket, part: []const u8, more: bool, borrow: bool) SendError!void {
        switch (socket.pattern) {
            inline else => |*pattern| if (has(pattern, "send")) {
                try pattern.send(socket, part, more, borrow);
            } else return error.NotSupported,
        }
        const record = socket.record;
        (if (more) &record.parts_begun else &record.messages_sent).* += 1;
    }

    /// Puts complete messages into the ring, if it is empty. None there is no error.
    pub fn fill(socket: *Socket) ReceiveError!void {
        switch (socket.pattern) {
            inline else => |*pattern| if (has(pattern, "fill")) {
                try pattern.fill(socket);
            } else return error.NotSupported,
        }
    }

    pub fn readable(socket: *const Socket) bool {
        return switch (socket.pattern) {
            inline else => |*pattern| has(pattern, "readable") and pattern.readable(socket),
        };
    }

    pub fn writable(socket: *const Socket) bool {
        return switch (socket.pattern) {
            inline else => |*pattern| has(pattern, "writable") and pattern.writable(socket),
        };
    }

    pub fn subscribe(socket: *Socket, topic: []const u8, wanted: bool) SubscribeError!void {
        switch (socket.pattern) {
            inline else => |*pattern| if (has(pattern, "subscribe")) {
                try pattern.subscribe(socket, topic, wanted);
            } else return error.NotSupported,
        }
    }

    /// How many peers a message would reach that begins with this topic.
    pub fn subscribed(socket: *Socket, topic: []const u8) u32 {
        return switch (socket.pattern) {
            inline else => |*pattern| if (has(pattern, "subscribed"))
                pattern.subscribed(topic)
            else
                0,
        };
    }

    /// The owner waits; it is told once for each interest.
    pub fn want(socket: *Socket, interest: Interest) void {
        const both = @as(u32, @bitCast(socket.wanted)) | @as(u32, @bitCast(interest));
        socket.wanted = @bitCast(both);
        socket.notify();
    }

    pub fn notify(socket: *Socket) void {
        if (!socket.wanted.any()) return;
        socket.occurred(.{
            .readable = socket.wanted.readable and socket.readable(),
            .writable = socket.wanted.writable and socket.writable(),
        });
    }

    /// Something happened that the owner may be waiting for.
    pub fn occurred(socket: *Socket, what: Interest) void {
        const wanted: u32 = @bitCast(socket.wanted);
        const come = @as(u32, @bitCast(what)) & wanted;
        if (come == 0) return;
        socket.wanted = @bitCast(wanted & ~come);
        socket.ready = @bitCast(@as(u32, @bitCast(socket.ready)) | come);
        if (!socket.ready_link.linked()) socket.ready_list.push_back(socket);
    }

    // -- for the patterns -----------------------------------------------------------------------

    /// Sends one part to the peers in turn.
    pub inline fn send_in_turn(
        socket: *Socket,
        balancer: *LoadBalancer,
        part: []const u8,
        more: bool,
        borrow: bool,
    ) SendError!void {
        if (more and socket.type.single_frame()) return error.InvalidMessage;
        const result = try balancer.send(part, more, borrow);
        if (result == .dropped) socket.count_dropped(more);
    }

    /// How many messages may be put into the ring; null: what is there is still to be taken.
    pub fn begin_fill(socket: *Socket) ?u32 {
        if (socket.ring.waiting() > 0) return null;
        socket.ring.release(&socket.resources.slabs);
        // What is in the ring counts as read: a small high-water mark must not be outrun by it.
        const limit = socket.options.receive_high_water_mark;
        return if (limit == 0) receive_ring.entries else limit;
    }

    /// Fills the ring from a fair queue, message by message.
    pub fn fill_from(socket: *Socket, queue: *FairQueue) void {
        if (socket.type.single_frame()) return single_frame.fill(socket, queue, false);
        const ring = &socket.ring;
        const messages_max = socket.begin_fill() orelse return;
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

    /// The same, with its sender's routing id before each message.
    pub fn fill_identified(socket: *Socket, queue: *FairQueue) void {
        const ring = &socket.ring;
        const messages_max = socket.begin_fill() orelse return;
        var messages: u32 = 0;
        const arena = &socket.resources.arena;
        while (messages < messages_max and ring.free_entries() > 0) {
            if (queue.current == null) {
                const pipe = queue.active.first() orelse break;
                const id = pipe.local_id;
                if (ring.free_entries() < 2 or !ring.scratch_free(id.len)) break;
                ring.begin_message();
                ring.push_copy(id, true, pipe.session);
            }
            const taken = queue.next_part(arena).?;
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
    pub fn discard(_: *Socket, pipe: *Pipe, counter: *u64) void {
        counter.* += pipe.drop_received();
        pipe.taken();
    }

    /// What is in the ring goes, and is not received after all.
    pub fn drop_ring(socket: *Socket, counter: *u64) void {
        const count = socket.ring.messages_waiting();
        counter.* += count;
        socket.record.messages_received -|= count;
        socket.ring.clear(socket.resources);
    }

    /// What a new connection is sent before anything else.
    pub fn greet(socket: *Socket, pipe: *Pipe) void {
        const hello = socket.bytes_of(.hello_message);
        const probes = socket.options.probe_router != 0;
        if (socket.quiet or (hello.len == 0 and !probes)) return;
        const both = [_][]const u8{ hello, "" };
        const from: usize = if (hello.len > 0) 0 else 1;
        const to: usize = if (probes) 2 else 1;
        pipe.write_first(both[from..to]) catch pipe.doom(.out_of_memory);
    }

    /// What is received when a peer that had connected to us has gone.
    pub fn say_goodbye(socket: *Socket, pipe: *Pipe) void {
        const message = socket.bytes_of(.disconnect_message);
        if (!pipe.connecting and message.len > 0) socket.receive_own(pipe, message);
    }

    /// What is received when a connection that we made is lost.
    pub fn hiccup(socket: *Socket, pipe: *Pipe) void {
        const message = socket.bytes_of(.hiccup_message);
        if (pipe.connecting and message.len > 0) socket.receive_own(pipe, message);
    }

    /// A message of one part that we make ourselves, as if the peer had sent it.
    pub fn receive_own(socket: *Socket, pipe: *Pipe, body: []const u8) void {
        pipe.receive_own(body) catch {
            socket.record.dropped_disconnect += 1;
        };
    }

    /// A message, or a part of one, that its pattern sent nowhere.
    pub fn count_dropped(socket: *Socket, more: bool) void {
        if (!more) socket.record.dropped_disconnect += 1;
    }
};
