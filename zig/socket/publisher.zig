//! PUB and XPUB (RFC 29): a message goes to all peers who subscribed to a prefix of its first part.
//! Subscriptions count when they arrive; nobody has to read them. An XPUB's owner may do so, and
//! read what else its peers send; a PUB has no use for that.
//!
//!     pipe.receive ─▶ examine ─▶ subscriptions: who gets a message
//!                        │       asked: what a peer wants, where the owner decides (manual)
//!                        └─────▶ notices ─▶ reader (XPUB)

const std = @import("std");
const assert = std.debug.assert;

const constants = @import("../constants.zig");
const Distributor = @import("distributor.zig").Distributor;
const List = @import("../stdx/intrusive_list.zig").List;
const Notices = @import("notices.zig").Notices;
const Origin = @import("notices.zig").Origin;
const Part = @import("../core/receive_queue.zig").Part;
const Pipe = @import("../core/pipe.zig").Pipe;
const receive_ring = @import("../core/receive_ring.zig");
const sockets = @import("socket.zig");
const Socket = sockets.Socket;
const SubscriptionTrie = @import("subscription_trie.zig").SubscriptionTrie;

/// What a pipe is to its publisher. Its place in the table is its number in the tries.
const Peer = struct {
    pipe: ?*Pipe = null,
    /// Who had this place before is not meant by what is left of him.
    generation: u32 = 0,
    /// Its messages that have not been read.
    unread: u32 = 0,
    /// The last question it was counted for.
    counted: u32 = 0,
    /// Of a free place: the next one.
    next_free: u32 = none,
};

const none = std.math.maxInt(u32);

pub const Publisher = struct {
    distributor: Distributor = .{},
    subscriptions: SubscriptionTrie = undefined,
    asked: SubscriptionTrie = undefined,
    peers: std.ArrayList(Peer) = .empty,
    free: u32 = none,
    notices: Notices = .{},
    /// Pipes whose messages wait for the reader.
    stalled: List(Pipe, .receive_link) = .{},
    /// Manual: whose subscription was read last.
    last: ?*Pipe = null,
    question: u32 = 0,

    /// `XPUB_MANUAL`.
    const Manual = enum { off, on, last_value };

    fn manual_of(socket: *const Socket) Manual {
        return switch (socket.options.publisher_manual) {
            0 => .off,
            1 => .on,
            else => .last_value,
        };
    }

    fn has_reader(socket: *const Socket) bool {
        return socket.type == .xpub;
    }

    pub fn init(publisher: *Publisher, socket: *Socket) error{OutOfMemory}!void {
        const allocator = socket.resources.allocator;
        publisher.subscriptions = .init(allocator);
        publisher.asked = .init(allocator);
    }

    pub fn deinit(publisher: *Publisher, socket: *Socket) void {
        assert(publisher.stalled.empty() and publisher.last == null);
        const resources = socket.resources;
        publisher.notices.clear(resources);
        publisher.distributor.deinit(&resources.slabs);
        publisher.subscriptions.deinit();
        publisher.asked.deinit();
        publisher.peers.deinit(resources.allocator);
    }

    // -- pipes ----------------------------------------------------------------------------------

    pub fn attach(publisher: *Publisher, socket: *Socket, pipe: *Pipe) void {
        pipe.number = publisher.place(socket, pipe) catch none;
        publisher.examine(socket, pipe);
    }

    fn place(publisher: *Publisher, socket: *Socket, pipe: *Pipe) error{OutOfMemory}!u32 {
        if (publisher.free == none) {
            const fresh = try publisher.peers.addOne(socket.resources.allocator);
            fresh.* = .{};
            publisher.free = @intCast(publisher.peers.items.len - 1);
        }
        const number = publisher.free;
        const peer = &publisher.peers.items[number];
        publisher.free = peer.next_free;
        peer.* = .{ .pipe = pipe, .generation = peer.generation };
        return number;
    }

    pub fn established(publisher: *Publisher, socket: *Socket, pipe: *Pipe) void {
        if (pipe.number == none) pipe.number = publisher.place(socket, pipe) catch {
            return pipe.doom(.out_of_memory);
        };
        const welcome = socket.bytes_of(.welcome_message);
        if (welcome.len == 0 or socket.quiet) return;
        pipe.write(welcome, false, false) catch pipe.doom(.out_of_memory);
    }

    pub fn detach(publisher: *Publisher, socket: *Socket, pipe: *Pipe) void {
        publisher.orphan(socket, pipe);
        if (pipe.receive_link.linked()) publisher.stalled.remove(pipe);
        if (pipe.number == none) return;
        const peer = &publisher.peers.items[pipe.number];
        assert(peer.pipe == pipe);
        peer.* = .{ .generation = peer.generation +% 1, .next_free = publisher.free };
        publisher.free = pipe.number;
    }

    pub fn orphan(publisher: *Publisher, socket: *Socket, pipe: *Pipe) void {
        if (publisher.distributor.detach(pipe)) socket.record.dropped_disconnect += 1;
        if (publisher.last == pipe) publisher.last = null;
        if (pipe.number == none) return;
        publisher.forget(socket, pipe);
    }

    /// Cancels everything, as if the peer had done so.
    fn forget(publisher: *Publisher, socket: *Socket, pipe: *Pipe) void {
        const Farewell = struct {
            publisher: *Publisher,
            socket: *Socket,
            pipe: *Pipe,
            always: bool,

            fn tell(farewell: @This(), topic: []const u8, last: bool) void {
                if (!last and !farewell.always) return;
                farewell.publisher.notify(farewell.socket, farewell.pipe, false, topic);
            }

            fn silent(_: void, _: []const u8, _: bool) void {}
        };
        const manual = manual_of(socket) != .off;
        const spoken = if (manual) &publisher.asked else &publisher.subscriptions;
        const other = if (manual) &publisher.subscriptions else &publisher.asked;
        spoken.remove_all(pipe.number, Farewell{
            .publisher = publisher,
            .socket = socket,
            .pipe = pipe,
            .always = manual or socket.options.publisher_verbosity > 1,
        }, Farewell.tell);
        other.remove_all(pipe.number, {}, Farewell.silent);
        publisher.changed(socket, pipe);
        socket.notify();
    }

    /// Takes what the pipe's peer wants, for `restore`; nobody is told.
    pub fn take_topics(
        publisher: *Publisher,
        pipe: *const Pipe,
        subscribed_writer: anytype,
        asked_writer: anytype,
    ) void {
        if (pipe.number == none) return;
        const Writer = std.meta.Child(@TypeOf(subscribed_writer));
        publisher.subscriptions.remove_all(pipe.number, subscribed_writer, Writer.write);
        publisher.asked.remove_all(pipe.number, asked_writer, Writer.write);
    }

    /// A peer that this socket knew in another context.
    pub fn restore(
        publisher: *Publisher,
        socket: *Socket,
        pipe: *const Pipe,
        subscriptions: []const []const u8,
        asked: []const []const u8,
    ) error{OutOfMemory}!void {
        if (pipe.number == none) return error.OutOfMemory;
        for (subscriptions) |topic| _ = try publisher.subscriptions.add(topic, pipe.number);
        for (asked) |topic| _ = try publisher.asked.add(topic, pipe.number);
        publisher.changed(socket, pipe);
    }

    // -- what peers send ------------------------------------------------------------------------

    pub fn pipe_readable(publisher: *Publisher, socket: *Socket, pipe: *Pipe) void {
        publisher.examine(socket, pipe);
    }

    fn examine(publisher: *Publisher, socket: *Socket, pipe: *Pipe) void {
        if (pipe.receive_link.linked()) return;
        while (pipe.receive.messages > 0) {
            if (pipe.doomed_link.linked()) {
                // Too many: none of the rest is wanted.
                const count = pipe.drop_received();
                socket.record.subscriptions_received += count;
                socket.record.subscriptions_refused += count;
                pipe.taken();
                return;
            }
            if (publisher.reader_behind(socket, pipe)) return publisher.stalled.push_back(pipe);
            publisher.examine_message(socket, pipe);
            pipe.taken();
        }
    }

    /// Messages have the receiving high-water mark like anywhere else.
    fn reader_behind(publisher: *const Publisher, socket: *const Socket, pipe: *const Pipe) bool {
        if (!has_reader(socket) or pipe.number == none) return false;
        const own = pipe.receive_bytes_max;
        const most = constants.notices_bytes_max / 2;
        if (publisher.notices.bytes >= if (own == 0) most else @min(own, most)) {
            return publisher.peers.items[pipe.number].unread > 0;
        }
        const limit = pipe.receive_high_water_mark;
        return limit != 0 and publisher.peers.items[pipe.number].unread >= limit;
    }

    /// One whole message. Parts that are subscriptions count as such; with the first part that is
    /// none the message is one for the reader, and gets there as it is.
    fn examine_message(publisher: *Publisher, socket: *Socket, pipe: *Pipe) void {
        const resources = socket.resources;
        var message: Notices = .{};
        var first = true;
        var examining = true;
        var is_message = false;
        var kept = has_reader(socket) and pipe.number != none;
        while (true) {
            const part = pipe.receive.next_part(&resources.arena);
            const more = part.more;
            const bytes = part.bytes[0..part.len];
            const subscribes = bytes.len > 0 and bytes[0] <= 1;
            if (first) examining = subscribes or socket.options.only_first_subscribe == 0;
            const applies = examining and subscribes;
            if (applies) {
                const news = publisher.apply(socket, pipe, bytes[0] == 1, bytes[1..]);
                if (news and !is_message) {
                    publisher.notify(socket, pipe, bytes[0] == 1, bytes[1..]);
                }
            } else is_message = true;
            if (is_message and kept) {
                const kind: Origin.Kind = if (applies) .both else .message;
                kept = keep(&message, socket, part, publisher.origin(pipe, kind));
            } else socket.release_part(part);
            first = false;
            if (!more) break;
        }
        if (!is_message) {
            socket.record.subscriptions_received += 1;
            return;
        }
        if (kept) {
            publisher.notices.push_all(&message);
            publisher.peers.items[pipe.number].unread += 1;
            return;
        }
        message.clear(resources);
        if (has_reader(socket)) {
            socket.record.dropped_unread += 1;
        } else socket.record.dropped_malformed += 1;
    }

    /// False: no memory for it, the message cannot be kept.
    fn keep(message: *Notices, socket: *Socket, part: Part, from: Origin) bool {
        const slabs = &socket.resources.slabs;
        if (part.run.storage == .lent) {
            message.push_lent(slabs, from, part.run) catch {
                socket.release_part(part);
                return false;
            };
            return true;
        }
        defer socket.release_part(part);
        message.push(slabs, from, "", part.bytes[0..part.len], part.more) catch return false;
        return true;
    }

    fn origin(publisher: *const Publisher, pipe: *const Pipe, kind: Origin.Kind) Origin {
        return .{
            .source = pipe.session,
            .peer = pipe.number,
            .generation = publisher.peers.items[pipe.number].generation,
            .kind = kind,
        };
    }

    /// Subscribes or cancels. True: the reader is told.
    fn apply(
        publisher: *Publisher,
        socket: *Socket,
        pipe: *Pipe,
        wanted: bool,
        topic: []const u8,
    ) bool {
        // It has gone, and with it all that it wanted.
        if (pipe.orphaned or pipe.number == none) return false;
        const manual = manual_of(socket) != .off;
        const trie = if (manual) &publisher.asked else &publisher.subscriptions;
        const verbosity = socket.options.publisher_verbosity;
        if (!wanted) {
            const removed = trie.remove(topic, pipe.number);
            if (removed != .absent) publisher.changed(socket, pipe);
            return manual or verbosity > 1 or switch (removed) {
                .last => true,
                .another => false,
                // As libzmq does; but a cancel that others would miss their messages for is none.
                .absent => !trie.has(topic),
            };
        }
        const added = trie.add(topic, pipe.number) catch {
            pipe.doom(.out_of_memory);
            return false;
        };
        if (added != .duplicate and over_limit(socket, trie, pipe)) {
            _ = trie.remove(topic, pipe.number);
            socket.record.subscriptions_refused += 1;
            pipe.doom(.too_many_subscriptions);
            return false;
        }
        publisher.changed(socket, pipe);
        return manual or verbosity > 0 or added == .first;
    }

    fn over_limit(socket: *const Socket, trie: *const SubscriptionTrie, pipe: *const Pipe) bool {
        const topics_max = socket.options.subscriptions_max;
        const bytes_max = socket.options.subscription_bytes_max;
        const usage = trie.usage(pipe.number);
        return (topics_max != 0 and usage.topics > topics_max) or
            (bytes_max != 0 and usage.bytes > bytes_max);
    }

    fn changed(publisher: *Publisher, socket: *Socket, pipe: *const Pipe) void {
        socket.record.topics = @intCast(publisher.subscriptions.total().topics);
        // It may want nothing any more of what it had no room for.
        if (publisher.distributor.blocked == pipe) publisher.distributor.blocked = null;
        socket.occurred(.{ .subscribed = true });
    }

    // -- the reader -----------------------------------------------------------------------------

    fn notify(
        publisher: *Publisher,
        socket: *Socket,
        pipe: *Pipe,
        wanted: bool,
        topic: []const u8,
    ) void {
        if (!has_reader(socket)) return;
        const notices = &publisher.notices;
        if (notices.bytes < constants.notices_bytes_max) {
            const from = publisher.origin(pipe, .subscription);
            const first: []const u8 = if (wanted) "\x01" else "\x00";
            if (notices.push(&socket.resources.slabs, from, first, topic, false)) return else |_| {}
        }
        socket.record.dropped_unread += 1;
    }

    pub fn fill(publisher: *Publisher, socket: *Socket) sockets.ReceiveError!void {
        if (!has_reader(socket)) return error.NotSupported;
        const ring = &socket.ring;
        if (ring.waiting() > 0) return;
        ring.release(&socket.resources.slabs);
        const manual = manual_of(socket) != .off;
        var more = false;
        while (ring.free_entries() > 0) {
            const taken = publisher.notices.pop() orelse break;
            if (!more) ring.begin_message();
            more = taken.part.more;
            ring.push(&socket.resources.arena, taken.part, taken.origin.source);
            if (manual and taken.origin.kind != .message) {
                publisher.last = publisher.whose(taken.origin);
            }
            if (more) continue;
            socket.record.messages_received += 1;
            if (taken.origin.kind != .subscription) publisher.count_read(taken.origin);
            // The owner is to act on what it has read, and on nothing behind it.
            if (manual) break;
        }
        publisher.go_on(socket);
    }

    fn whose(publisher: *const Publisher, from: Origin) ?*Pipe {
        const peer = &publisher.peers.items[from.peer];
        if (peer.generation != from.generation) return null;
        const pipe = peer.pipe orelse return null;
        return if (pipe.orphaned) null else pipe;
    }

    fn count_read(publisher: *Publisher, from: Origin) void {
        const peer = &publisher.peers.items[from.peer];
        if (peer.generation == from.generation) peer.unread -= 1;
    }

    /// Pipes whose reader has caught up.
    fn go_on(publisher: *Publisher, socket: *Socket) void {
        if (publisher.stalled.empty()) return;
        var left = publisher.stalled.count;
        while (left > 0) : (left -= 1) {
            const pipe = publisher.stalled.pop_front().?;
            const limit = pipe.receive_high_water_mark;
            const unread = publisher.peers.items[pipe.number].unread;
            if (limit != 0 and unread > limit - Pipe.low_water_mark(limit)) {
                publisher.stalled.push_back(pipe);
            } else publisher.examine(socket, pipe);
        }
    }

    pub fn readable(publisher: *const Publisher, socket: *const Socket) bool {
        return socket.ring.waiting() > 0 or !publisher.notices.empty();
    }

    // -- the owner ------------------------------------------------------------------------------

    pub inline fn send(
        publisher: *Publisher,
        socket: *Socket,
        part: []const u8,
        more: bool,
        _: bool,
    ) sockets.SendError!void {
        const distributor = &publisher.distributor;
        if (!distributor.open) {
            publisher.select(socket, part);
            try distributor.begin(socket, socket.options.publisher_no_drop == 0);
            // The first message after a subscription was for that peer alone; the next one is not.
            if (manual_of(socket) == .last_value) publisher.last = null;
        }
        try distributor.write(socket, part, more);
    }

    inline fn select(publisher: *Publisher, socket: *Socket, topic: []const u8) void {
        if (publisher.last != null and manual_of(socket) == .last_value) {
            publisher.subscriptions.match(topic, publisher, select_last);
        } else publisher.subscriptions.match(topic, publisher, select_any);
        if (socket.options.invert_matching != 0) publisher.invert(socket);
    }

    fn select_any(publisher: *Publisher, number: u32) void {
        publisher.distributor.select(publisher.peers.items[number].pipe.?);
    }

    fn select_last(publisher: *Publisher, number: u32) void {
        const pipe = publisher.peers.items[number].pipe.?;
        if (pipe == publisher.last) publisher.distributor.select(pipe);
    }

    fn invert(publisher: *Publisher, socket: *Socket) void {
        var next = socket.pipes.first();
        while (next) |pipe| : (next = socket.pipes.next(pipe)) {
            if (!pipe.orphaned) publisher.distributor.invert(pipe);
        }
    }

    pub fn writable(publisher: *const Publisher, socket: *const Socket) bool {
        const pipe = publisher.distributor.blocked orelse return true;
        return !pipe.send_full or socket.options.publisher_no_drop == 0;
    }

    /// Manual: on behalf of the peer whose subscription was read last, if it is still there.
    pub fn subscribe(
        publisher: *Publisher,
        socket: *Socket,
        topic: []const u8,
        wanted: bool,
    ) sockets.SubscribeError!void {
        if (!has_reader(socket)) return error.NotSupported;
        if (manual_of(socket) == .off) return error.InvalidArgument;
        const pipe = publisher.last orelse return;
        if (wanted) {
            _ = try publisher.subscriptions.add(topic, pipe.number);
        } else _ = publisher.subscriptions.remove(topic, pipe.number);
        publisher.changed(socket, pipe);
        socket.notify();
    }

    /// How many peers would get a message that begins so.
    pub fn subscribed(publisher: *Publisher, topic: []const u8) u32 {
        const Question = struct {
            publisher: *Publisher,
            count: u32 = 0,

            fn ask(question: *@This(), number: u32) void {
                const peer = &question.publisher.peers.items[number];
                if (peer.counted == question.publisher.question) return;
                peer.counted = question.publisher.question;
                question.count += 1;
            }
        };
        publisher.question +%= 1;
        var question: Question = .{ .publisher = publisher };
        publisher.subscriptions.match(topic, &question, Question.ask);
        return question.count;
    }
};
