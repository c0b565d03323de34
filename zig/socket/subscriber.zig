//! SUB and XSUB (RFC 29): messages of all connected publishers, of the topics that were asked for.
//! Topics are counted: a cancel leaves when the last subscription to a topic has gone. Each new
//! connection is told all of them, here and at once, whatever the high-water mark. A SUB drops what
//! comes for a topic that it no longer wants; an XSUB hands out all, and may send messages as well.

const std = @import("std");

const constants = @import("../constants.zig");
const CountedTrie = @import("subscription_trie.zig").CountedTrie;
const Distributor = @import("distributor.zig").Distributor;
const FairQueue = @import("fair_queue.zig").FairQueue;
const Pipe = @import("../core/pipe.zig").Pipe;
const sockets = @import("socket.zig");
const Socket = sockets.Socket;

pub const Subscriber = struct {
    queue: FairQueue = .{},
    topics: CountedTrie = undefined,
    /// The only topic, if there is one: looked at without the trie. Lies in the trie.
    only: ?[]const u8 = null,
    /// One of the topics is the empty one.
    everything: bool = false,
    /// XSUB: messages to the publishers.
    distributor: Distributor = .{},
    sending: union(enum) {
        /// The next part is a first one.
        idle,
        /// Parts that are subscriptions count as such.
        examining,
        /// Parts are parts.
        plain,
    } = .idle,

    pub fn init(subscriber: *Subscriber, socket: *Socket) error{OutOfMemory}!void {
        subscriber.topics = .init(socket.resources.allocator);
    }

    pub fn deinit(subscriber: *Subscriber, socket: *Socket) void {
        subscriber.distributor.deinit(&socket.resources.slabs);
        subscriber.topics.deinit();
    }

    // -- pipes ----------------------------------------------------------------------------------

    pub fn attach(subscriber: *Subscriber, _: *Socket, pipe: *Pipe) void {
        subscriber.queue.activate(pipe);
    }

    pub fn established(subscriber: *Subscriber, socket: *Socket, pipe: *Pipe) void {
        if (socket.quiet) return;
        var topics = subscriber.topics.iterator();
        while (topics.next()) |topic| {
            // It would miss topics: the next connection is told all of them again.
            pipe.write_subscription(true, topic, .that_it_knows) catch {
                return pipe.doom(.out_of_memory);
            };
        }
    }

    pub fn detach(subscriber: *Subscriber, socket: *Socket, pipe: *Pipe) void {
        subscriber.orphan(socket, pipe);
        if (subscriber.queue.detach(pipe)) socket.cut_message();
    }

    pub fn orphan(subscriber: *Subscriber, socket: *Socket, pipe: *Pipe) void {
        if (subscriber.distributor.detach(pipe)) socket.record.dropped_disconnect += 1;
    }

    pub fn pipe_readable(subscriber: *Subscriber, _: *Socket, pipe: *Pipe) void {
        subscriber.queue.activate(pipe);
    }

    // -- topics ---------------------------------------------------------------------------------

    pub fn subscribe(
        subscriber: *Subscriber,
        socket: *Socket,
        topic: []const u8,
        wanted: bool,
    ) sockets.SubscribeError!void {
        try subscriber.change(socket, topic, wanted, .that_it_knows);
    }

    fn change(
        subscriber: *Subscriber,
        socket: *Socket,
        topic: []const u8,
        wanted: bool,
        form: Form,
    ) error{ OutOfMemory, InvalidArgument }!void {
        if (topic.len > constants.topic_bytes_max) return error.InvalidArgument;
        if (wanted) {
            _ = try subscriber.topics.add(topic);
            // Duplicates too: it is the publisher's reader who may want to know of them.
            tell(socket, true, topic, form);
        } else {
            const verbose = socket.options.subscriber_verbose_unsubscribe != 0;
            const removed = subscriber.topics.remove(topic);
            if (removed == .last or verbose) tell(socket, false, topic, form);
        }
        subscriber.everything = subscriber.topics.has("");
        const total = subscriber.topics.total().topics;
        var topics = subscriber.topics.iterator();
        subscriber.only = if (total == 1) topics.next() else null;
        socket.record.topics = @intCast(total);
    }

    const Form = @typeInfo(@TypeOf(Pipe.write_subscription)).@"fn".params[3].type.?;

    /// Nothing waits for a connection: it will be told what is wanted then.
    fn tell(socket: *Socket, wanted: bool, topic: []const u8, form: Form) void {
        var next = socket.pipes.first();
        while (next) |pipe| : (next = socket.pipes.next(pipe)) {
            if (!pipe.connected or pipe.orphaned) continue;
            pipe.write_subscription(wanted, topic, form) catch pipe.doom(.out_of_memory);
        }
    }

    inline fn matches(subscriber: *const Subscriber, first: []const u8) bool {
        if (subscriber.everything) return true;
        if (subscriber.only) |topic| return std.mem.startsWith(u8, first, topic);
        return subscriber.topics.matches_any(first);
    }

    // -- receiving ------------------------------------------------------------------------------

    pub fn fill(subscriber: *Subscriber, socket: *Socket) sockets.ReceiveError!void {
        const inverted = socket.options.invert_matching != 0;
        if (socket.type == .xsub or (subscriber.everything and !inverted)) {
            return socket.fill_from(&subscriber.queue);
        }
        subscriber.fill_filtered(socket, inverted);
    }

    fn fill_filtered(subscriber: *Subscriber, socket: *Socket, inverted: bool) void {
        const queue = &subscriber.queue;
        const ring = &socket.ring;
        const messages_max = socket.begin_fill() orelse return;
        var messages: u32 = 0;
        const arena = &socket.resources.arena;
        while (messages < messages_max and ring.free_entries() > 0) {
            const begins = queue.current == null;
            const taken = queue.next_part(arena) orelse break;
            const part = taken.part;
            if (begins) {
                if (subscriber.matches(part.bytes[0..part.len]) == inverted) {
                    socket.release_part(part);
                    if (part.more) socket.drop_rest(queue);
                    socket.record.dropped_filtered += 1;
                    continue;
                }
                ring.begin_message();
            }
            ring.push(arena, part, taken.pipe.session);
            if (!part.more) messages += 1;
        }
        socket.record.messages_received += messages;
    }

    pub fn readable(subscriber: *const Subscriber, socket: *const Socket) bool {
        return socket.ring.waiting() > 0 or !subscriber.queue.empty();
    }

    // -- XSUB: sending --------------------------------------------------------------------------

    pub fn send(
        subscriber: *Subscriber,
        socket: *Socket,
        part: []const u8,
        more: bool,
        _: bool,
    ) sockets.SendError!void {
        if (socket.type != .xsub) return error.NotSupported;
        const subscribes = part.len > 0 and part[0] <= 1;
        const examined = switch (subscriber.sending) {
            .idle => subscribes or socket.options.only_first_subscribe == 0,
            .examining => true,
            .plain => false,
        };
        if (examined and subscribes) {
            // Apart from the message's other parts: whoever gets it reads them one by one anyway,
            // and a message may be dropped.
            subscriber.change(socket, part[1..], part[0] == 1, .data) catch |failure| {
                subscriber.sending = .idle;
                if (subscriber.distributor.open) subscriber.distributor.cancel();
                return switch (failure) {
                    error.OutOfMemory => error.OutOfMemory,
                    error.InvalidArgument => error.InvalidMessage,
                };
            };
            if (!more and subscriber.distributor.open) subscriber.distributor.end(socket);
        } else try subscriber.send_part(socket, part, more);
        subscriber.sending = if (!more) .idle else if (examined) .examining else .plain;
    }

    fn send_part(
        subscriber: *Subscriber,
        socket: *Socket,
        part: []const u8,
        more: bool,
    ) sockets.SendError!void {
        const distributor = &subscriber.distributor;
        if (!distributor.open) {
            var next = socket.pipes.first();
            while (next) |pipe| : (next = socket.pipes.next(pipe)) {
                if (!pipe.orphaned) distributor.select(pipe);
            }
            try distributor.begin(socket, true);
        }
        distributor.write(socket, part, more) catch |failure| {
            subscriber.sending = .idle;
            return failure;
        };
    }

    /// What cannot be sent at once is dropped.
    pub fn writable(_: *const Subscriber, socket: *const Socket) bool {
        return socket.type == .xsub;
    }
};
