//! A context owns everything: the I/O back end, the memory, sockets, sessions, listeners, timers.
//! One per thread; its owner calls `tick` when the back end's wake descriptor is readable, and is
//! never called back.
//!
//!     tick:  completions ─▶ timers ─▶ receive ─▶ flush ─▶ arm the deadline ─▶ may we sleep?
//!
//! What the owner has to know or do is collected with `next_event`.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;

const Address = @import("io/address.zig").Address;
const closing = @import("context_closing.zig");
const constants = @import("constants.zig");
const endpoints = @import("context_endpoints.zig");
const events = @import("context_events.zig");
const DeadlineHeap = @import("stdx/deadline_heap.zig").DeadlineHeap;
const HandleTable = @import("stdx/handle_table.zig").HandleTable;
const inproc = @import("context_inproc.zig");
const io_module = @import("io/io.zig");
const Link = @import("stdx/intrusive_list.zig").Link;
const limits = @import("context_limits.zig");
const List = @import("stdx/intrusive_list.zig").List;
const Listener = @import("net/listener.zig").Listener;
const Mailbox = @import("net/inproc.zig").Mailbox;
const monitor = @import("core/monitor.zig");
const monitoring = @import("context_monitor.zig");
const Pipe = @import("core/pipe.zig").Pipe;
const polling = @import("context_poll.zig");
const Prng = @import("stdx/prng.zig").Prng;
const Reason = monitor.Reason;
const listener_first = constants.sessions_max;
const Resources = @import("core/pipe.zig").Resources;
const session_inproc = @import("core/inproc.zig");
const sessions = @import("core/session.zig");
const Outcome = sessions.Outcome;
const Slabs = @import("stdx/slab.zig").Slabs;
const sockets = @import("socket/socket.zig");
const Socket = sockets.Socket;
const SocketType = @import("zmtp/socket_type.zig").SocketType;
const security = @import("context_security.zig");
const statistics = @import("context_stats.zig");
const time = @import("stdx/time.zig");
const Timer = @import("net/timer.zig").Timer;

/// What a tick left to be done.
pub const Status = packed struct(u32) {
    /// Call tick again, after yielding to others: it is not safe to sleep.
    more: bool = false,
    /// Events are waiting.
    events: bool = false,
    /// Nothing can be received until the owner lends another chunk or takes messages.
    starved: bool = false,
    /// Take a turn before the event loop sleeps: nothing would wake it.
    soon: bool = false,
    _: u28 = 0,
};

pub const Event = events.Event;
pub const Question = security.Question;
pub const PeerStats = statistics.PeerStats;
pub const Queues = statistics.Queues;
pub const Stats = statistics.Stats;
pub const ConnectOptions = endpoints.ConnectOptions;
pub const ConnectError = endpoints.ConnectError;
pub const BindError = endpoints.BindError;
pub const OpenError = error{ OutOfMemory, TooMany };

pub fn ContextType(comptime IO: type) type {
    return struct {
        const Context = @This();
        pub const Session = sessions.SessionType(IO);

        pub const Slot = struct {
            socket: Socket,
            shared: *sockets.Shared,
            sessions: List(Session, .socket_link) = .{},
            listeners: List(Listener, .socket_link) = .{},
            /// Accepted, and not through their handshake, the oldest first.
            handshakes: List(Session, .handshake_link) = .{},
            linger: Timer,
            /// Closed by its owner; waits for its sessions to send what is queued.
            closing: bool = false,
            /// The owner wants to know when it has ended, and how many messages were lost with it.
            asked: bool = false,
            lost: u64 = 0,
            lost_before: u64 = 0,
            ended_link: Link = .{},
        };

        allocator: Allocator,
        io: *IO,
        resources: Resources,
        /// Where connections inside the process have news.
        mailbox: Mailbox,
        /// Mail was taken outside a turn: what it brought is for the next one.
        took_mail: bool = false,
        slots: HandleTable(Slot, .{ .chunk_slots = 16 }),
        session_table: HandleTable(Session, .{ .chunk_slots = 16, .slot_end = listener_first }),
        listener_table: HandleTable(Listener, .{ .chunk_slots = 16, .slot_first = listener_first }),
        timers: DeadlineHeap(Timer, .node) = .{},
        /// Sessions that may have bytes to receive.
        readable: List(Session, .readable_link) = .{},
        /// Sessions that want something of the owner.
        requests: List(Session, .request_link) = .{},
        ready: List(Socket, .ready_link) = .{},
        /// Closed sockets that have ended, which the owner has not been told of.
        ended: List(Slot, .ended_link) = .{},
        prng: Prng,
        starved: bool = false,
        /// A socket has more handshakes than it should have.
        crowded: bool = false,
        trimming: Timer = .{ .kind = .trim, .handle = 0 },
        allocations_before: u64 = 0,
        /// Armed while something waits for memory to be encrypted in.
        flushing: Timer = .{ .kind = .flush, .handle = 0 },
        late_completions: u64 = 0,
        /// Of sockets that are closed.
        events_dropped: u64 = 0,
        polling: polling.Polling = .{},
        /// Other threads call through the wake descriptor.
        signalled: bool = false,

        pub fn init(
            context: *Context,
            allocator: Allocator,
            io: *IO,
            memory_bytes_max: u64,
            seed: u64,
        ) void {
            context.* = .{
                .allocator = allocator,
                .io = io,
                .resources = .{ .slabs = .init(memory_bytes_max), .allocator = allocator },
                .mailbox = inproc.mailbox(io),
                .slots = .init(allocator, constants.sockets_max),
                .session_table = .init(allocator, constants.sessions_max),
                .listener_table = .init(allocator, constants.listeners_max),
                .prng = .init(seed),
            };
        }

        /// Closes everything at once, without linger.
        pub fn deinit(context: *Context) void {
            while (true) {
                var slots = context.slots.iterator();
                const entry = slots.next() orelse break;
                context.close(entry.handle, 0);
                if (context.slots.get(entry.handle)) |slot| context.abandon(slot);
                _ = context.forget(entry.handle);
            }
            inproc.deinit(context);
            assert(context.session_table.count() == 0 and context.listener_table.count() == 0);
            context.resources.arena.chunk = &.{};
            assert(context.resources.arena.unreferenced());
            context.resources.abandoned.clear(&context.resources.slabs);
            context.resources.security.deinit();
            context.slots.deinit();
            context.session_table.deinit();
            context.listener_table.deinit();
            context.resources.slabs.deinit();
            context.* = undefined;
        }

        // -- the turn ---------------------------------------------------------------------------

        pub fn tick(context: *Context) Status {
            return context.turn(if (context.signalled) .call else .event_loop);
        }

        pub fn turn(context: *Context, next: io_module.Next) Status {
            context.io.begin();
            context.resources.beats = 0;
            context.polling.news = false;
            context.dispatch_completions();
            // A thread that talks to itself receives in this turn what it sent before.
            if (context.mailbox.used()) context.flush_dirty();
            inproc.take_mail(context);
            context.run_timers();
            context.resume_sessions();
            context.receive_pass();
            if (context.crowded) limits.thin_out_all(context);
            _ = limits.trim_later(context);
            context.end_doomed();
            context.end_finished();
            context.flush_dirty();
            inproc.acknowledge(context);
            inproc.take_mail(context);
            context.took_mail = false;
            context.io.set_deadline(context.timers.nearest_ns()) catch {
                // No room for the request now: the turn is taken again.
                _ = context.io.finish(.call);
                return context.status(true);
            };
            const receiving = !context.readable.empty() and !context.starved;
            // What was received in this turn may have been used up in it.
            const resumed = !context.resources.resumed.empty();
            const more = receiving or resumed or context.has_mail();
            const last: io_module.Next = if (more) .call else next;
            const quiet = context.io.finish(if (last == .poll) polling.next(context) else last);
            return context.status(more or !quiet);
        }

        pub const poll = polling.poll;

        fn status(context: *Context, more: bool) Status {
            return .{
                .more = more,
                .events = context.has_events(),
                .starved = context.starved,
                .soon = !more and (context.polling.due != .nothing or !context.io.signals()),
            };
        }

        /// Sleeps until something happens, at most until the deadline; then takes a turn.
        pub fn wait(context: *Context, timeout_ns: ?u64) Status {
            const starved = context.starved and !context.readable.empty();
            const idle = !context.io.work_is_waiting() and !context.has_mail();
            if (idle and (context.readable.empty() or starved)) {
                context.flush_dirty();
                context.io.begin();
                // Refused for want of memory: woken by the limit below at the latest.
                var longest = if (starved) short_wait(timeout_ns) else timeout_ns;
                context.io.set_deadline(context.timers.nearest_ns()) catch {
                    longest = short_wait(timeout_ns);
                };
                if (polling.poll_blocking(context, longest)) {
                    _ = context.io.finish(.call);
                } else context.sleep(longest);
            }
            return context.turn(.call);
        }

        fn sleep(context: *Context, timeout_ns: ?u64) void {
            if (context.mailbox.used() or context.signalled) {
                // Other threads signal the eventfd, which the ring does not look at.
                const quiet = context.io.finish(.call);
                if (quiet and !context.has_mail()) context.io.sleep(timeout_ns);
            } else {
                context.io.wait(timeout_ns);
                _ = context.io.finish(.call);
            }
        }

        pub fn take_mail(context: *Context) void {
            inproc.take_mail(context);
        }

        /// We have left ourselves something: nothing else will tell.
        pub fn has_mail(context: *const Context) bool {
            return context.took_mail or context.mailbox.waiting() > 0;
        }

        /// Nothing may tell when memory is there again, so it is looked for.
        fn short_wait(timeout_ns: ?u64) u64 {
            return @min(timeout_ns orelse std.math.maxInt(u64), 10 * time.ns_per_ms);
        }

        fn dispatch_completions(context: *Context) void {
            var buffer: [io_module.completions_max]io_module.Completion = undefined;
            while (true) {
                const completions = context.io.reap(&buffer);
                if (completions.len > 0) context.polling.news = true;
                for (completions) |completion| context.dispatch(completion);
                if (completions.len < buffer.len) return;
            }
        }

        fn dispatch(context: *Context, completion: io_module.Completion) void {
            const token = completion.token;
            switch (token.operation) {
                .none, .deadline => return,
                .accept => return limits.accepted(context, completion),
                .connect, .readable, .writable => {},
            }
            const session = context.session_table.get(token.handle) orelse return context.late();
            if (session.token(token.operation).epoch != token.epoch) return context.late();
            const outcome = switch (token.operation) {
                .connect => session.on_connect(completion.result),
                .readable => session.on_readable(completion.result, completion.more),
                .writable => session.on_writable(),
                else => unreachable,
            };
            context.apply(session, outcome);
        }

        pub fn late(context: *Context) void {
            context.late_completions += 1;
        }

        fn run_timers(context: *Context) void {
            if (context.timers.empty()) return;
            const now_ns = context.io.now_ns();
            while (context.timers.pop_due(now_ns)) |timer| switch (timer.kind) {
                .session => {
                    const session = context.session_table.get(timer.handle).?;
                    context.on_session_timer(session, now_ns);
                },
                .linger => context.abandon(context.slots.get(timer.handle).?),
                .session_linger => context.destroy(context.session_table.get(timer.handle).?),
                .listener => {
                    const listener = context.listener_table.get(timer.handle).?;
                    limits.accept(context, listener);
                },
                .trim => limits.trim(context),
                .flush => limits.flush_again(context),
            };
        }

        pub fn resume_sessions(context: *Context) void {
            while (context.resources.resumed.pop_front()) |pipe| {
                const session = context.session_table.get(pipe.session) orelse continue;
                context.apply(session, session.resume_receiving());
            }
        }

        /// Every readable connection gets one system call; the rest goes to the next turn, so
        /// that one busy peer does not keep the others waiting.
        fn receive_pass(context: *Context) void {
            context.starved = false;
            if (context.readable.empty()) return;
            if (!context.resources.arena.prepare(&context.resources.slabs)) {
                context.starved = true;
                return;
            }
            var left = context.readable.count;
            var strangers: u32 = 0;
            while (left > 0) : (left -= 1) {
                const session = context.readable.pop_front() orelse return;
                if (!session.wants_receive()) continue;
                const stranger = session.is_stranger();
                if (stranger) {
                    strangers += 1;
                    session.put_off = strangers > constants.strangers_per_turn;
                    if (session.put_off) {
                        context.readable.push_back(session);
                        continue;
                    }
                }
                const outcome = session.receive();
                if (stranger and !session.is_stranger()) limits.spoke(context, session);
                if (outcome.starved) {
                    // Not its fault: it is the first one of the next turn.
                    context.readable.push_front(session);
                    return;
                }
                context.apply(session, outcome);
            }
        }

        /// Hands over everything that was queued since the last flush.
        pub fn flush_dirty(context: *Context) void {
            context.resources.dirty_bytes = 0;
            context.resources.flush_due = false;
            while (context.resources.dirty.pop_front()) |pipe| {
                const session = context.session_table.get(pipe.session) orelse continue;
                context.apply(session, session.flush());
            }
            // What was sent before to a connection that has to end has gone now.
            if (!context.resources.doomed.empty()) context.end_doomed();
        }

        /// Beside what is to be flushed: mail, or connections that have to end.
        pub fn has_work(context: *const Context) bool {
            return context.has_mail() or !context.resources.doomed.empty();
        }

        /// The owner's flush, outside a turn.
        pub fn flush(context: *Context) void {
            context.flush_dirty();
            context.io.submit();
        }

        // -- what sessions report ---------------------------------------------------------------

        /// The one place where an outcome is acted on. May end the session.
        pub fn apply(context: *Context, session: *Session, told: Outcome) void {
            const slot = context.slots.get(session.socket).?;
            var outcome = told;
            if (outcome.connected) context.on_connected(slot, session);
            if (outcome.established) {
                context.on_established(slot, session);
                session.go_on(&outcome);
            }
            if (outcome.received) slot.socket.pipe_readable(&session.pipe);
            if (outcome.writable) slot.socket.pipe_writable(&session.pipe);
            if (outcome.drained) slot.socket.occurred(.{ .drained = true });
            if (outcome.deadline) context.arm_heartbeat(session);
            if (outcome.memory_wanted) limits.flush_later(context);
            if (outcome.verdict_wanted) limits.spoke(context, session);
            const asks = outcome.buffer_wanted or outcome.verdict_wanted;
            if (asks and !session.request_link.linked()) context.requests.push_back(session);
            if (outcome.ended) |reason| return context.on_ended(slot, session, reason, outcome);
            if (session.closing and !session.shut and session.pipe.send.empty()) {
                return context.finish(session);
            }
            if (session.wants_receive() and !session.readable_link.linked()) {
                context.readable.push_back(session);
                // Found out by a flush, which may be outside a turn: nothing else will tell.
                if (session.unwritable) context.took_mail = true;
            }
        }

        fn on_connected(context: *Context, slot: *Slot, session: *Session) void {
            const ms = session.options.handshake_interval_ms;
            if (ms > 0) context.arm(&session.timer, ms) else context.disarm(&session.timer);
            if (session.kind == .connecting) context.record(slot, session, .connected, .none, 0);
        }

        fn on_established(context: *Context, slot: *Slot, session: *Session) void {
            context.disarm(&session.timer);
            if (session.handshake_link.linked()) slot.handshakes.remove(session);
            session.start_heartbeat();
            context.arm_heartbeat(session);
            statistics.count_made(context, slot, session);
            const pipe = &session.pipe;
            if (!session.closing) {
                if (!pipe.socket_link.linked()) slot.socket.attach(pipe);
                slot.socket.established(pipe);
            }
            // Refused by its pattern: there is an event of its own for that.
            if (!pipe.doomed_link.linked()) {
                context.record(slot, session, .handshake_succeeded, .none, 0);
            }
            if (!pipe.send.empty() and !pipe.dirty_link.linked()) {
                context.resources.dirty.push_back(pipe);
            }
        }

        fn on_ended(
            context: *Context,
            slot: *Slot,
            session: *Session,
            reason: Reason,
            outcome: Outcome,
        ) void {
            context.disarm(&session.timer);
            if (session.readable_link.linked()) context.readable.remove(session);
            if (session.request_link.linked()) context.requests.remove(session);
            const socket = &slot.socket;
            context.count_lost(slot, session);
            limits.ended(context, slot, session, reason);
            switch (outcome.phase) {
                .none => {},
                .connecting => context.record(slot, session, .connect_failed, reason, 0),
                .handshaking => {
                    statistics.count_failed(slot, reason);
                    context.record(slot, session, .of_handshake(reason), reason, 0);
                    context.record(slot, session, .disconnected, reason, 0);
                },
                .active => {
                    socket.record.connections -= 1;
                    if (reason == .heartbeat_timeout) socket.record.heartbeats_failed += 1;
                    if (reason.of_pattern()) {
                        socket.record.peers_refused += 1;
                        context.record(slot, session, .handshake_failed_other, reason, 0);
                    }
                    context.record(slot, session, .disconnected, reason, 0);
                    socket.disconnected(&session.pipe);
                },
            }
            if (session.kind == .accepted) return context.orphan(slot, session);
            if (session.closing and session.pipe.send.empty()) return context.finish(session);
            if (session.options.immediate != 0) context.leave_unread(slot, session);
            const stops = endpoints.stops(session, outcome.phase, reason);
            const next_ms = if (stops) null else session.next_attempt_ms(reason, &context.prng);
            const ms = next_ms orelse return endpoints.stop(context, slot, session, reason);
            session.state = .backoff;
            context.arm(&session.timer, ms);
            context.record(slot, session, .connect_retried, reason, ms);
        }

        /// It has no pipe until it is connected again (immediate). What it has received stays, as
        /// that of a peer that has left.
        fn leave_unread(context: *Context, slot: *Slot, session: *Session) void {
            const pipe = &session.pipe;
            slot.socket.detach(pipe);
            pipe.receive_full = false;
            pipe.receive.drop_begun(&context.resources);
            const messages = pipe.receive.messages;
            if (messages == 0) return;
            const left = context.make_session(slot, .accepted, session.endpoint) catch {
                slot.socket.record.dropped_disconnect += messages;
                return pipe.receive.clear(&context.resources);
            };
            left.state = .ended;
            left.pipe.number = pipe.number;
            left.pipe.receive = pipe.receive;
            pipe.receive = .{};
            left.pipe.set_local_id(pipe.local_id) catch {
                return context.destroy(left);
            };
            slot.socket.attach(&left.pipe);
            context.orphan(slot, left);
        }

        /// A session that gets no other connection lives until its last message is read.
        pub fn orphan(context: *Context, slot: *Slot, session: *Session) void {
            const pipe = &session.pipe;
            if (slot.closing or !pipe.socket_link.linked() or pipe.receive.messages == 0) {
                return context.destroy(session);
            }
            slot.socket.orphan(pipe);
            if (pipe.send.writing) slot.socket.cut_sending(pipe);
            const dropped = pipe.send.clear(&context.resources.slabs);
            slot.socket.record.dropped_disconnect += dropped;
            slot.socket.occurred(.{ .drained = true });
        }

        fn count_lost(_: *Context, slot: *Slot, session: *Session) void {
            slot.socket.record.dropped_disconnect += session.pipe.lost;
            session.pipe.lost = 0;
        }

        fn on_session_timer(context: *Context, session: *Session, now_ns: u64) void {
            switch (session.state) {
                .connecting => context.connecting(session, session.timed_out()),
                .proxying, .handshaking => context.apply(session, session.timed_out()),
                .backoff => {
                    context.slots.get(session.socket).?.socket.record.reconnects += 1;
                    session.again = true;
                    context.attempt(session);
                },
                .active => context.apply(session, session.on_heartbeat(now_ns)),
                .idle, .resolving, .ended => {},
            }
        }

        /// A timer that is armed too early is left alone: it costs one empty look.
        fn arm_heartbeat(context: *Context, session: *Session) void {
            if (session.state != .active) return;
            const heartbeat = session.heartbeat orelse return;
            const deadline_ns = heartbeat.nearest_ns() orelse return;
            const timer = &session.timer;
            if (timer.node.armed()) {
                if (context.timers.deadline(timer) <= deadline_ns) return;
                context.timers.remove(timer);
            }
            context.timers.insert(timer, deadline_ns);
        }

        /// Begins a connection attempt: with the addresses in hand, or by asking for a name's.
        pub fn attempt(context: *Context, session: *Session) void {
            if (session.route.?.name.bytes > 0) {
                context.record_attempt(session);
                return context.apply(session, session_inproc.start(session, &context.mailbox));
            }
            if (session.route.?.named) {
                session.state = .resolving;
                if (!session.request_link.linked()) context.requests.push_back(session);
                return;
            }
            context.begin(session, session.restart_connect());
        }

        pub fn connecting(context: *Context, session: *Session, outcome: Outcome) void {
            const ms = session.attempt_ms();
            if (session.state == .connecting and ms > 0) context.arm(&session.timer, ms);
            context.apply(session, outcome);
        }

        /// Ends the connections that a pattern has no use for.
        fn end_doomed(context: *Context) void {
            while (context.resources.doomed.pop_front()) |pipe| {
                const session = context.session_table.get(pipe.session) orelse continue;
                const reason = pipe.doom_reason;
                pipe.doom_reason = .none;
                if (reason == .local) {
                    context.end_gently(session);
                    continue;
                }
                if (!session.open()) continue;
                session.discard_received();
                context.apply(session, session.disconnect(reason));
            }
        }

        /// What was queued before goes first, without linger at least what the kernel takes.
        fn end_gently(context: *Context, session: *Session) void {
            const handle = session.handle;
            context.apply(session, session.flush());
            const left = context.session_table.get(handle) orelse return;
            const slot = context.slots.get(left.socket).?;
            context.release(slot, left, left.options.linger_ms);
        }

        // -- ends -------------------------------------------------------------------------------

        /// A closing session has sent everything.
        pub fn finish(context: *Context, session: *Session) void {
            if (!session.closes_gently()) return context.finish_now(session);
            session.shut = true;
            context.io.end_sending(session.fd);
            // What still comes is dropped as it comes, up to the end.
            session.pipe.receive_full = false;
            context.apply(session, session.resume_receiving());
        }

        pub fn finish_now(context: *Context, session: *Session) void {
            session.discard_received();
            context.destroy(session);
        }

        /// Ends a session at once. Messages it still holds are counted as dropped.
        pub fn destroy(context: *Context, session: *Session) void {
            const slot = context.slots.get(session.socket).?;
            context.record_end(slot, session);
            if (session.open()) {
                if (session.state == .active) slot.socket.record.connections -= 1;
                _ = session.disconnect(.local);
            }
            limits.left(context, slot, session);
            context.disarm(&session.timer);
            if (session.linger) |timer| context.disarm(timer);
            if (session.readable_link.linked()) context.readable.remove(session);
            if (session.request_link.linked()) context.requests.remove(session);
            slot.socket.detach(&session.pipe);
            context.count_lost(slot, session);
            slot.socket.record.dropped_closed += session.pipe.drop_received();
            const dropped = session.pipe.deinit();
            session.deinit();
            if (slot.closing) {
                slot.socket.record.dropped_linger += dropped;
            } else slot.socket.record.dropped_disconnect += dropped;
            slot.sessions.remove(session);
            slot.socket.occurred(.{ .drained = true });
            context.session_table.remove(session.handle);
            if (slot.closing and slot.sessions.empty()) context.free_slot(slot);
        }

        // -- the owner's calls ------------------------------------------------------------------

        pub fn open(context: *Context, socket_type: sockets.Type) OpenError!u32 {
            const shared = try context.allocator.create(sockets.Shared);
            errdefer context.allocator.destroy(shared);
            const entry = try context.slots.insert();
            entry.value.* = .{
                .socket = undefined,
                .shared = shared,
                .linger = .{ .kind = .linger, .handle = entry.handle },
            };
            errdefer context.slots.remove(entry.handle);
            try entry.value.socket.init(
                entry.handle,
                socket_type,
                &context.resources,
                &context.ready,
                shared,
                @truncate(context.prng.next()),
            );
            return entry.handle;
        }

        /// The socket of a handle that is open to its owner.
        pub inline fn get(context: *Context, handle: u32) ?*Slot {
            const slot = context.slots.get(handle) orelse return null;
            return if (slot.closing) null else slot;
        }

        // -- the end of a socket (context_closing.zig) ------------------------------------------

        pub const close = closing.close;
        pub const close_asking = closing.close_asking;
        pub const free_slot = closing.free_slot;
        pub const forget = closing.forget;
        const abandon = closing.abandon;

        // -- endpoints (context_endpoints.zig) --------------------------------------------------

        pub const bind = endpoints.bind;
        pub const make_listener = endpoints.make_listener;
        pub const listening = endpoints.listening;
        pub const make_connecting = endpoints.make_connecting;
        pub const bound_address = endpoints.bound_address;
        pub const unbind = endpoints.unbind;
        pub const connect = endpoints.connect;
        pub const resolved = endpoints.resolved;
        pub const disconnect = endpoints.disconnect;
        pub const peer_number = endpoints.peer_number;
        pub const disconnect_peer = endpoints.disconnect_peer;
        pub const release = endpoints.release;
        pub const limits_changed = endpoints.limits_changed;
        pub const close_listener = endpoints.close_listener;

        /// `name` is bound in the whole process, and belongs to no other socket of it.
        pub fn bind_inproc(context: *Context, handle: u32, name: []const u8) inproc.BindError!u32 {
            return inproc.bind(context, handle, name);
        }

        pub fn connect_inproc(
            context: *Context,
            handle: u32,
            name: []const u8,
            routing_id: []const u8,
        ) ConnectError!u32 {
            return inproc.connect(context, handle, name, routing_id);
        }

        /// Queues one part. With `borrow` the payload has to stay valid until `commit`.
        pub inline fn send(
            context: *Context,
            slot: *Slot,
            part: []const u8,
            more: bool,
            borrow: bool,
        ) sockets.SendError!void {
            slot.socket.send(part, more, borrow) catch |failure| {
                if (failure != error.WouldBlock) return failure;
                // The kernel may take what is queued: a burst needs no wait for that. A reader in
                // another thread may have told of what it has read.
                if (context.resources.dirty.empty() and !context.has_mail()) {
                    return endpoints.refusal(slot);
                }
                context.release_borrowed();
                inproc.take_mail(context);
                slot.socket.send(part, more, borrow) catch |again| {
                    return if (again == error.WouldBlock) endpoints.refusal(slot) else again;
                };
            };
            const resources = &context.resources;
            const many = resources.dirty_bytes >= constants.flush_total_bytes;
            if (many or resources.flush_due) context.release_borrowed();
        }

        /// Flushes, and copies what the kernel did not take of borrowed payloads: the caller's
        /// memory is its own again.
        pub fn release_borrowed(context: *Context) void {
            while (context.resources.dirty.pop_front()) |pipe| {
                const session = context.session_table.get(pipe.session) orelse continue;
                const outcome = session.flush();
                pipe.send.detach(&context.resources.slabs) catch {
                    context.drop_borrowed(session, outcome);
                    continue;
                };
                context.apply(session, outcome);
            }
            context.resources.dirty_bytes = 0;
            context.resources.flush_due = false;
            context.io.submit();
        }

        /// No memory for what the kernel did not take: part of it is on its way already, so this
        /// connection cannot go on, and its queue goes with it.
        fn drop_borrowed(context: *Context, session: *Session, flushed: Outcome) void {
            const slot = context.slots.get(session.socket).?;
            const pipe = &session.pipe;
            if (pipe.send.writing) slot.socket.cut_sending(pipe);
            pipe.lost += pipe.send.clear(&context.resources.slabs);
            var outcome = flushed;
            // The flush may have ended the connection already.
            if (outcome.ended == null) outcome = session.disconnect(.out_of_memory);
            outcome.writable = pipe.drained() or flushed.writable or outcome.writable;
            context.apply(session, outcome);
        }

        /// Puts received messages into the socket's ring.
        pub fn fill(context: *Context, slot: *Slot) sockets.ReceiveError!void {
            try slot.socket.fill();
            inproc.acknowledge(context);
            if (!context.resources.doomed.empty()) context.end_doomed();
            context.end_finished();
            // Its deadline is for a turn to tell.
            if (limits.trim_later(context)) context.took_mail = true;
        }

        /// Sessions without a connection go with their last message.
        fn end_finished(context: *Context) void {
            while (context.resources.finished.pop_front()) |pipe| {
                const session = context.session_table.get(pipe.session) orelse continue;
                context.destroy(session);
            }
        }

        pub fn lend_arena(context: *Context, chunk: []u8) error{OutOfMemory}!void {
            try context.resources.arena.lend(&context.resources.slabs, chunk);
            context.starved = false;
        }

        /// Lends the buffer that a session asked for; without bytes: there is none. False: it is
        /// not wanted any more.
        pub fn lend_buffer(context: *Context, handle: u32, buffer: []u8, id: u32) bool {
            const session = context.session_table.get(handle) orelse return false;
            if (buffer.len == 0) return limits.no_buffer(context, session);
            if (!session.lend(buffer, id)) return false;
            context.apply(session, .{});
            return true;
        }

        // -- who may come in (context_security.zig) ---------------------------------------------

        pub const authentication = security.authentication;
        pub const authenticated = security.authenticated;

        // -- numbers (context_stats.zig) --------------------------------------------------------

        pub const read_stats = statistics.read_stats;
        pub const connections = statistics.connections;
        pub const unsent = statistics.unsent;
        pub const peers = statistics.peers;
        pub const queues = statistics.queues;

        // -- events of sockets (context_monitor.zig) --------------------------------------------

        pub const monitor_start = monitoring.monitor_start;
        pub const monitor_stop = monitoring.monitor_stop;
        pub const monitor_next = monitoring.monitor_next;
        pub const monitor_end = monitoring.monitor_end;
        pub const record = monitoring.record;
        pub const begin = monitoring.begin;
        pub const record_attempt = monitoring.record_attempt;
        pub const record_end = monitoring.record_end;
        pub const record_endpoint = monitoring.record_endpoint;

        // -- events (context_events.zig) --------------------------------------------------------

        pub const has_events = events.has_events;
        pub const next_event = events.next_event;

        // -- parts ------------------------------------------------------------------------------

        /// `listener` is the endpoint of an accepted one; a connecting one is its own.
        pub fn make_session(
            context: *Context,
            slot: *Slot,
            kind: @FieldType(Session, "kind"),
            listener: u32,
        ) OpenError!*Session {
            const entry = try context.session_table.insert();
            errdefer context.session_table.remove(entry.handle);
            const slabs = &context.resources.slabs;
            const options = slot.socket.options;
            entry.value.* = .{
                .handle = entry.handle,
                .io = context.io,
                .resources = &context.resources,
                .options = options,
                .security = &slot.socket.security,
                .socket = slot.socket.handle,
                .socket_type = @enumFromInt(@intFromEnum(slot.socket.type)),
                .kind = kind,
                .endpoint = if (kind == .connecting) entry.handle else listener,
                .route = if (kind == .connecting) try .create(slabs) else null,
                .pipe = .{
                    .resources = &context.resources,
                    .totals = &slot.socket.record.totals,
                    .session = entry.handle,
                    .connecting = kind == .connecting,
                    .send_high_water_mark = options.send_high_water_mark,
                    .receive_high_water_mark = options.receive_high_water_mark,
                },
                .timer = .{ .kind = .session, .handle = entry.handle },
            };
            const socket = &slot.socket;
            entry.value.pipe.set_marks(options.marks());
            if (socket.conflates()) {
                const received = socket.type != .@"pub";
                entry.value.pipe.conflate(&socket.record.dropped_conflated, received);
            }
            slot.sessions.push_back(entry.value);
            return entry.value;
        }

        pub fn arm(context: *Context, timer: *Timer, ms: u32) void {
            if (timer.node.armed()) context.timers.remove(timer);
            context.timers.insert(timer, context.io.now_ns() + @as(u64, ms) * time.ns_per_ms);
        }

        pub fn disarm(context: *Context, timer: *Timer) void {
            if (timer.node.armed()) context.timers.remove(timer);
        }
    };
}
