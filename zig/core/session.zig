//! A session binds a connection to a pipe: it brings the connection up, speaks ZMTP through the
//! engine, moves bytes, and, on the connecting side, outlives the connection and makes it again.
//!
//!     connecting:  resolving ─▶ connecting ─▶ (proxying) ─▶ handshaking ─▶ active
//!                     ▲                │             │             │           │
//!                     └──── backoff ◀──┴─────────────┴─────────────┴───────────┘
//!     accepted:                                            handshaking ─▶ active ─▶ ended
//!
//! A session never calls upwards: it returns what happened (`Outcome`) and the context, which
//! knows the socket, acts on it. There is one way down: `disconnect`.

const std = @import("std");
const builtin = @import("builtin");
const assert = std.debug.assert;

const address_module = @import("../io/address.zig");
const Address = address_module.Address;
const PeerAddress = address_module.PeerAddress;
const command = @import("../zmtp/command.zig");
const connecting = @import("connecting.zig");
const constants = @import("../constants.zig");
const copy = @import("../stdx/copy.zig").copy;
const Backoff = @import("../net/backoff.zig").Backoff;
const connection_options = @import("../net/connection_options.zig");
const End = @import("../net/inproc.zig").End;
const engine_module = @import("engine.zig");
const Engine = engine_module.Engine;
const frame = @import("../zmtp/frame.zig");
const handshakes = @import("../zmtp/handshake.zig");
const Handshake = handshakes.Handshake;
const heartbeat = @import("heartbeat.zig");
const inproc = @import("inproc.zig");
const io_module = @import("../io/io.zig");
const Link = @import("../stdx/intrusive_list.zig").Link;
const larges = @import("large.zig");
const Large = larges.Large;
const monitor = @import("monitor.zig");
const pipes = @import("pipe.zig");
const Pipe = pipes.Pipe;
const Prng = @import("../stdx/prng.zig").Prng;
const Reason = monitor.Reason;
const raw = @import("raw.zig");
const Resources = pipes.Resources;
const secure_session = @import("secure_session.zig");
const Security = @import("../zmtp/security.zig").Security;
const slab = @import("../stdx/slab.zig");
const SocketOptions = @import("../options.zig").SocketOptions;
const SocketType = @import("../zmtp/socket_type.zig").SocketType;
const Timer = @import("../net/timer.zig").Timer;

/// What a call on a session changed, for the context to act on.
pub const Outcome = struct {
    /// A connection is there, its handshake has begun.
    connected: bool = false,
    /// The handshake is done: the pipe may carry messages.
    established: bool = false,
    /// Complete messages are in the pipe that was without.
    received: bool = false,
    /// A full pipe takes messages again.
    writable: bool = false,
    /// The send queue became empty.
    drained: bool = false,
    /// The connection or the attempt ended; where it was is in `phase`.
    ended: ?Reason = null,
    phase: Phase = .none,
    /// The owner has to lend a buffer.
    buffer_wanted: bool = false,
    /// Nothing could be received: the arena is full.
    starved: bool = false,
    /// The nearest deadline of its heartbeat may be another one.
    deadline: bool = false,
    /// Bytes came in one piece with the end of the handshake.
    behind: bool = false,
    /// The owner has to decide whether the peer may come in.
    verdict_wanted: bool = false,
    /// There was no memory to encrypt what is queued.
    memory_wanted: bool = false,

    pub const Phase = enum { none, connecting, handshaking, active };
};

pub fn SessionType(comptime IO: type) type {
    return struct {
        const Session = @This();

        handle: u32,
        io: *IO,
        resources: *Resources,
        options: *const SocketOptions,
        /// Of its socket: what the next handshake proves and demands.
        security: *const ?*Security,
        socket: u32,
        socket_type: SocketType,
        kind: enum {
            /// Made by a listener; ends with its connection.
            accepted,
            /// Made by connect; reconnects until it is disconnected.
            connecting,
        },
        /// The listener of an accepted session, the session itself of a connecting one.
        endpoint: u32,
        state: State = .idle,
        fd: io_module.Descriptor = -1,
        /// The end of a link inside the process, in place of a descriptor.
        link: ?*End = null,
        /// Where a connecting session connects to.
        route: ?*connecting.Route = null,
        /// Which incarnation of the connection: completions of an earlier one are dropped.
        epoch: u24 = 0,
        /// Which watch: the last completion of one that was ended must not end its successor.
        watch_epoch: u24 = 0,
        pipe: Pipe,
        engine: Engine = .{},
        backoff: Backoff = .{},
        timer: Timer,
        /// Until a disconnected endpoint gives up what it has not sent. In a slab.
        linger: ?*Timer = null,
        peer: PeerAddress = .{},
        /// The beginning of a frame whose rest has not arrived.
        tail: slab.Block = &.{},
        tail_bytes: u32 = 0,
        large: ?Large = null,
        /// The last frame was large: receive little, so that the next one's body is not copied.
        large_expected: bool = false,
        /// Handshake bytes that the kernel did not take.
        control: slab.Block = &.{},
        control_sent: u32 = 0,
        control_bytes: u32 = 0,

        /// Its listener counts it.
        counted: bool = false,
        /// The attempt is not the first one.
        again: bool = false,
        /// Signs of life; wraps.
        progress: u32 = 0,
        /// Where one side sends PINGs. In a slab.
        heartbeat: ?*heartbeat.Heartbeat = null,
        /// There may be something to receive.
        readable: bool = false,
        /// The tail is more than the beginning of a frame: nothing need come before it is looked
        /// at.
        tail_due: bool = false,
        /// The kernel has refused to send on it: it is over, once it has been read.
        unwritable: bool = false,
        /// The owner is asked whether the peer may come in; what it sends meanwhile waits.
        asking: bool = false,
        /// A stranger that other strangers come before.
        put_off: bool = false,
        /// The end of the connection was told of and comes behind what can be read.
        end_behind: bool = false,
        watching_readable: bool = false,
        watching_writable: bool = false,
        /// The socket is closed or the endpoint disconnected: flush, then end.
        closing: bool = false,
        /// The peer has been told that nothing follows; its end is waited for.
        shut: bool = false,

        readable_link: Link = .{},
        /// Something is asked of the owner: a buffer, or the addresses of a name.
        request_link: Link = .{},
        /// In the list of its socket.
        socket_link: Link = .{},
        /// In its socket's list of those that were accepted and have proved nothing.
        handshake_link: Link = .{},

        comptime {
            // The budget of a connection that has proved nothing yet is 1 KiB.
            assert(builtin.mode == .Debug or @sizeOf(Session) <= 824);
        }

        pub const State = enum {
            idle,
            /// Waiting for addresses from the owner.
            resolving,
            /// Waiting for the time of the next attempt.
            backoff,
            connecting,
            /// Connected to a proxy, which has not said yet that it is with the peer.
            proxying,
            handshaking,
            active,
            /// The connection is gone for good; complete messages may be left in the pipe.
            ended,
        };

        /// A connection is there, or is being made.
        pub fn open(session: *const Session) bool {
            return session.fd >= 0 or session.link != null;
        }

        // -- coming up ------------------------------------------------------------------------

        /// Takes a connection that a listener accepted.
        pub fn start_accepted(session: *Session, fd: io_module.Descriptor) Outcome {
            assert(session.kind == .accepted and session.state == .idle);
            session.fd = fd;
            session.peer = .of(&session.io.peer_address(fd));
            return session.start_handshake();
        }

        /// The last call on a session.
        pub fn deinit(session: *Session) void {
            const slabs = &session.resources.slabs;
            if (session.route) |route| route.destroy(session.resources);
            if (session.linger) |timer| slabs.destroy(timer);
            session.route = null;
            session.linger = null;
        }

        /// Whom it is connected to, or tries to be.
        pub fn peer_address(session: *const Session) Address {
            const route = session.route orelse return session.peer.address();
            return route.address();
        }

        // -- connecting (connecting.zig) ----------------------------------------------------------

        pub const set_route = connecting.set_route;
        pub const attempt_ms = connecting.attempt_ms;
        pub const timed_out = connecting.timed_out;
        pub const not_found = connecting.not_found;
        pub const start_connect = connecting.start_connect;
        pub const restart_connect = connecting.restart_connect;
        pub const on_connect = connecting.on_connect;
        pub const receive_proxy = connecting.receive_proxy;

        // -- the handshake --------------------------------------------------------------------

        pub fn start_handshake(session: *Session) Outcome {
            assert(session.fd >= 0);
            session.state = .handshaking;
            connection_options.after_connect(
                session.io,
                session.fd,
                session.peer.address().family(),
                session.options,
            );
            if (!session.socket_type.has_handshake()) return raw.start(session);
            session.set_limits();
            if (session.kind == .accepted and session.security.* != null) {
                // It has reset the connection already, and whoever decides by addresses would
                // decide about none. What it has sent could be read all the same.
                const family = session.peer.address().family();
                if (family == .unspecified) return session.disconnect(.connection_reset);
            }
            var buffer: [handshakes.output_size_max]u8 = undefined;
            defer secure_session.wipe(session, &buffer);
            var output: handshakes.Output = .init(&buffer);
            const secured = secure_session.begin(session) catch {
                return session.disconnect(.out_of_memory);
            };
            session.engine.start(&session.resources.slabs, .{
                .socket_type = session.socket_type,
                .routing_id = session.options.routing_id(),
                .extra_metadata = session.options.metadata(),
                .command_size_max = constants.arena_frame_bytes_max,
            }, secured, &output) catch return session.disconnect(.out_of_memory);
            session.watch_readable() catch return session.disconnect(.out_of_memory);
            if (session.send_control(output.written())) |reason| return session.disconnect(reason);
            // Bytes may be there already; the watch only tells of what comes later.
            session.readable = true;
            return .{ .connected = true };
        }

        pub fn set_limits(session: *Session) void {
            const engine = &session.engine;
            const options = session.options;
            engine.frame_bytes_max = options.frame_bytes_max(constants.frame_bytes_max);
            const bytes_max = options.whole_message_bytes_max;
            engine.message_bytes_max = if (bytes_max == 0) std.math.maxInt(u64) else bytes_max;
            const parts_max = options.message_parts_max;
            engine.parts_max = if (parts_max == 0) std.math.maxInt(u32) else parts_max;
            if (!session.socket_type.takes_subscriptions()) return;
            engine.command_bytes_max = constants.command_bytes_max;
        }

        pub const start_heartbeat = heartbeat.start;
        pub const on_heartbeat = heartbeat.on_timer;
        pub const closes_gently = heartbeat.closes_gently;

        // -- receiving ------------------------------------------------------------------------

        /// Whether `receive` would do anything: readable, not paused, not waiting for a buffer.
        pub fn wants_receive(session: *const Session) bool {
            if (!session.open() or session.paused()) return false;
            if (session.tail_due) return true;
            if (!session.readable) return false;
            if (session.large) |*large| return large.buffer.len > 0;
            return true;
        }

        /// What was received before has not been taken, or a verdict is waited for. A handshake
        /// brings no messages. A connection that cannot be written to is read to its end all the
        /// same, which is no more than the kernel has of it: whoever waits to send to it, and does
        /// not read meanwhile, would never be told.
        pub fn paused(session: *const Session) bool {
            const full = session.pipe.receive_full and session.state == .active;
            return session.asking or (full and !session.unwritable);
        }

        pub fn on_readable(session: *Session, result: i32, more: bool) Outcome {
            session.readable = true;
            if (result > 0 and result & io_module.readable_end != 0) session.end_behind = true;
            if (!more) session.watching_readable = false;
            if (session.fd < 0) return .{};
            if (session.paused()) {
                // A paused connection would signal for every packet.
                session.unwatch_readable();
                return heartbeat.left_unread(session);
            } else if (!session.watching_readable) {
                session.watch_readable() catch return session.disconnect(.out_of_memory);
            }
            return .{};
        }

        /// The pipe has room again.
        pub fn resume_receiving(session: *Session) Outcome {
            if (!session.open()) return .{};
            session.readable = true;
            if (session.link == null and !session.watching_readable) {
                session.watch_readable() catch return session.disconnect(.out_of_memory);
            }
            return .{ .buffer_wanted = session.buffer_wanted() != null };
        }

        /// One system call's worth of bytes.
        pub fn receive(session: *Session) Outcome {
            assert(session.wants_receive());
            if (session.state == .proxying) return session.receive_proxy();
            if (!session.socket_type.has_handshake()) return raw.receive(session);
            if (session.large != null) return session.receive_large();
            const arena = &session.resources.arena;
            const bytes_min = session.tail_bytes + constants.arena_free_bytes_min;
            var space = arena.reserve(bytes_min) orelse return .{ .starved = true };
            if (session.large_expected) {
                const little = session.tail_bytes + constants.large_trailer_bytes;
                space = space[0..@min(space.len, little)];
            }
            if (session.tail_due) {
                session.tail_due = false;
                copy(space[0..session.tail_bytes], session.tail[0..session.tail_bytes]);
                return session.process(space[0..session.tail_bytes]);
            }
            space = session.whole_frames(space);
            if (session.state == .handshaking) {
                // What waits behind it for a verdict has to fit in the arena again.
                space = space[0..@min(space.len, constants.arena_frame_bytes_max)];
            }
            const target = space[session.tail_bytes..];
            const count = inproc.receive(session, target) catch |failure| {
                return session.receive_failed(failure);
            };
            if (count == 0) {
                return session.disconnect(secure_session.reason_of_end(session, .peer_closed));
            }
            session.progress +%= 1;
            session.pipe.count_bytes_in(count);
            // A full buffer: there is probably more, and no event will tell.
            session.readable = count == target.len or session.ends();
            copy(space[0..session.tail_bytes], session.tail[0..session.tail_bytes]);
            return session.process(space[0 .. session.tail_bytes + count]);
        }

        /// While frames come in one size, as they do in a busy stream, receiving ends with a whole
        /// one: no tail to copy, and every batch lies at the same place.
        fn whole_frames(session: *const Session, space: []u8) []u8 {
            const frame_bytes = session.engine.frame_bytes_last;
            if (frame_bytes == 0 or frame_bytes > constants.arena_frame_bytes_max) return space;
            const whole = space.len - space.len % frame_bytes;
            return if (whole > session.tail_bytes) space[0..whole] else space;
        }

        pub fn receive_failed(session: *Session, failure: io_module.ReceiveError) Outcome {
            switch (failure) {
                error.WouldBlock => {
                    session.readable = false;
                    return .{};
                },
                error.SystemResources => return session.disconnect(.out_of_memory),
                error.ConnectionReset => return session.disconnect(
                    secure_session.reason_of_end(session, .connection_reset),
                ),
                error.TimedOut => return session.disconnect(.connection_timed_out),
                error.Unexpected => return session.disconnect(.io_error),
            }
        }

        /// `bytes` are at the beginning of the arena's free space and include the tail.
        pub fn process(session: *Session, bytes: []u8) Outcome {
            var outcome: Outcome = .{};
            var rest = bytes;
            while (rest.len > 0) {
                const before = rest.len;
                const failure = switch (session.engine.state) {
                    .idle => unreachable,
                    .handshaking => session.process_handshake(&rest, &outcome),
                    .traffic => |secure| if (secure) |it|
                        secure_session.process(session, it, &rest, &outcome)
                    else
                        session.process_frames(&rest, &outcome),
                };
                if (failure) |reason| {
                    // What came before it is still to be read.
                    session.resources.arena.keep(@intCast(bytes.len - rest.len));
                    return session.disconnect_after(reason, outcome);
                }
                if (outcome.buffer_wanted or rest.len == before) break;
                if (session.asking) break;
                outcome.behind = outcome.established and rest.len > 0;
                if (outcome.behind) break;
            }
            session.resources.arena.keep(@intCast(bytes.len - rest.len));
            session.keep_tail(rest) catch {
                return session.disconnect_after(.out_of_memory, outcome);
            };
            if (session.pipe.receive_limit_reached() and !session.unwritable) {
                session.unwatch_readable();
                // Its memory is asked for when there is room for it.
                outcome.buffer_wanted = false;
                heartbeat.paused(session, &outcome);
            }
            return outcome;
        }

        /// What came in one piece with the end of the handshake. The socket has been told of the
        /// peer first: what it makes of that comes before the peer's messages, not between them.
        pub fn go_on(session: *Session, outcome: *Outcome) void {
            if (!outcome.behind or session.state != .active) return;
            if (session.pipe.doomed_link.linked()) return;
            const tail = session.tail[0..session.tail_bytes];
            // They are there already: the end of the handshake lies right before it.
            const space = session.resources.arena.reserve(session.tail_bytes).?;
            copy(space[0..tail.len], tail);
            outcome.* = session.process(space[0..tail.len]);
        }

        pub fn keep_tail(session: *Session, rest: []const u8) error{OutOfMemory}!void {
            const slabs = &session.resources.slabs;
            if (session.tail.len < rest.len or rest.len == 0) {
                secure_session.wipe(session, session.tail);
                if (session.tail.len > 0) slabs.free(session.tail);
                session.tail = &.{};
                session.tail_bytes = 0;
            }
            if (rest.len > 0) {
                if (session.tail.len == 0) session.tail = try slabs.allocate(rest.len);
                copy(session.tail[0..rest.len], rest);
            }
            session.tail_bytes = @intCast(rest.len);
        }

        fn process_handshake(session: *Session, rest: *[]u8, outcome: *Outcome) ?Reason {
            const handshake = session.engine.state.handshaking;
            var buffer: [handshakes.output_size_max]u8 = undefined;
            defer secure_session.wipe(session, &buffer);
            var output: handshakes.Output = .init(&buffer);
            const receipt = handshake.receive(rest.*, &output) catch |failure| {
                // What we are is of use to a peer that does not fit: it need not come back.
                if (session.send_control(output.written())) |reason| return reason;
                return secure_session.reason_of(session, failure);
            };
            const taken = rest.*[0..receipt.consumed];
            rest.* = rest.*[receipt.consumed..];
            if (session.send_control(output.written())) |reason| return reason;
            switch (receipt.state) {
                .need_more => return null,
                .verdict_wanted => {
                    // PLAIN's password has been kept for those who ask for it.
                    secure_session.wipe(session, taken);
                    session.asking = true;
                    outcome.verdict_wanted = true;
                    // A connection that waits would signal for every packet.
                    session.unwatch_readable();
                    return null;
                },
                .done => return session.establish(handshake, outcome),
            }
        }

        pub const answer = secure_session.answer;
        pub const is_stranger = secure_session.is_stranger;

        pub fn establish(session: *Session, handshake: *Handshake, outcome: *Outcome) ?Reason {
            session.pipe.meet(&handshake.peer) catch return .out_of_memory;
            session.engine.handshake_done(&session.resources.slabs) catch return .out_of_memory;
            session.state = .active;
            session.backoff.reset();
            session.pipe.connected = true;
            outcome.established = true;
            return null;
        }

        /// Whole frames, in clear.
        pub fn process_frames(session: *Session, rest: *[]u8, outcome: *Outcome) ?Reason {
            const slabs = &session.resources.slabs;
            const scan = session.engine.scan(rest.*);
            if (scan.frames_bytes > 0) {
                if (scan.messages > 0) outcome.received = true;
                session.large_expected = false;
                session.pipe.receive.push_arena(
                    slabs,
                    &session.resources.arena,
                    rest.*[0..scan.frames_bytes],
                    scan.messages,
                    scan.boundary_end,
                ) catch return .out_of_memory;
                session.pipe.count_messages_in(scan.messages, scan.messages + scan.parts_begun);
                rest.* = rest.*[scan.frames_bytes..];
            }
            switch (scan.then) {
                .rest => return null,
                .failure => |reason| return reason,
                .command => |found| {
                    rest.* = rest.*[found.frame_bytes..];
                    return session.act(found.body, outcome);
                },
                .large => |found| {
                    rest.* = rest.*[found.header_bytes..];
                    return session.begin_large(.{
                        .body_bytes = found.body_bytes,
                        .more = found.more,
                        .command = found.command,
                    }, outcome);
                },
            }
        }

        pub const begin_large = larges.begin;

        pub fn act(session: *Session, body: []const u8, outcome: *Outcome) ?Reason {
            var buffer: [command.pong_frame_size_max]u8 = undefined;
            session.pipe.totals.commands_in += 1;
            switch (engine_module.act_on_command(body, &buffer)) {
                .nothing => return null,
                .failure => |reason| return reason,
                .subscription => |it| {
                    if (!session.socket_type.takes_subscriptions()) return null;
                    // Between the parts of a message there is no place for it: RFC 37, traffic.
                    if (session.engine.parts > 0) return .malformed_command;
                    session.pipe.receive.push_message(
                        &session.resources.slabs,
                        it.first,
                        it.topic,
                    ) catch return .out_of_memory;
                    outcome.received = true;
                    return null;
                },
                .ping => |it| return heartbeat.pinged(session, it.answer, it.ttl, outcome),
                .pong => |context| heartbeat.answered(session, context),
            }
            return null;
        }

        // -- a large frame (large.zig) ----------------------------------------------------------

        pub const buffer_wanted = larges.buffer_wanted;
        pub const buffer_held = larges.buffer_held;
        pub const lend = larges.lend;
        const receive_large = larges.receive;

        // -- sending --------------------------------------------------------------------------

        /// Writes handshake bytes; returns why the connection has to end, if it has to.
        pub fn send_control(session: *Session, bytes: []const u8) ?Reason {
            if (bytes.len == 0) return null;
            var sent: usize = 0;
            if (session.control_bytes == 0) {
                sent = session.io.send_vector(
                    session.fd,
                    &.{.{ .base = bytes.ptr, .len = bytes.len }},
                ) catch |failure| switch (failure) {
                    error.WouldBlock, error.SystemResources => 0,
                    // What the peer still had to say comes first: reading finds the error.
                    else => return null,
                };
            }
            session.pipe.count_out(0, sent);
            if (sent == bytes.len) return null;
            const rest = bytes[sent..];
            const total = session.control_bytes + rest.len;
            const grown = session.resources.slabs.allocate(total) catch return .out_of_memory;
            @memcpy(grown[0..session.control_bytes], session.control[0..session.control_bytes]);
            @memcpy(grown[session.control_bytes..total], rest);
            if (session.control.len > 0) session.resources.slabs.free(session.control);
            session.control = grown;
            session.control_bytes = @intCast(total);
            session.watch_writable() catch return .out_of_memory;
            return null;
        }

        fn flush_control(session: *Session) bool {
            if (session.control_bytes == 0) return true;
            const rest = session.control[session.control_sent..session.control_bytes];
            const sent = session.io.send_vector(
                session.fd,
                &.{.{ .base = rest.ptr, .len = rest.len }},
            ) catch |failure| switch (failure) {
                error.WouldBlock, error.SystemResources => 0,
                else => rest.len,
            };
            session.pipe.count_out(0, sent);
            session.control_sent += @intCast(sent);
            if (session.control_sent < session.control_bytes) return false;
            session.free_control();
            return true;
        }

        fn free_control(session: *Session) void {
            secure_session.wipe(session, session.control);
            if (session.control.len > 0) session.resources.slabs.free(session.control);
            session.control = &.{};
            session.control_bytes = 0;
            session.control_sent = 0;
        }

        pub fn on_writable(session: *Session) Outcome {
            session.watching_writable = false;
            if (session.fd < 0) return .{};
            if (!session.flush_control()) {
                session.watch_writable() catch return session.disconnect(.out_of_memory);
                return .{};
            }
            const before = session.pipe.send.bytes;
            const outcome = session.flush();
            if (session.pipe.send.bytes < before) session.progress +%= 1;
            return outcome;
        }

        /// Hands complete messages to the kernel until it takes no more.
        pub fn flush(session: *Session) Outcome {
            session.pipe.unflushed_bytes = 0;
            if (session.link != null) return inproc.flush(session);
            const queue = &session.pipe.send;
            if (session.state != .active or session.watching_writable) return .{};
            if (session.engine.security()) |secure| return secure_session.flush(session, secure);
            var vectors: [transfer_vectors]std.posix.iovec_const = undefined;
            while (!queue.empty()) {
                const used = queue.gather(&vectors);
                var offered: usize = 0;
                for (vectors[0..used]) |vector| offered += vector.len;
                const sent = session.io.send_vector(session.fd, vectors[0..used]) catch |failure| {
                    if (session.not_taken(failure)) |ended| return ended;
                    break;
                };
                const before = queue.messages;
                queue.advance(&session.resources.slabs, sent);
                session.pipe.count_out(before - queue.messages, sent);
                if (sent < offered) {
                    session.watch_writable() catch return session.disconnect(.out_of_memory);
                    break;
                }
            }
            return session.flushed();
        }

        pub fn flushed(session: *Session) Outcome {
            const empty = session.pipe.send.empty();
            if (empty) if (session.heartbeat) |it| it.sent();
            return .{ .writable = session.pipe.drained(), .drained = empty };
        }

        /// The kernel takes nothing now. Null: an event tells when it does, or reading why not.
        pub fn not_taken(session: *Session, failure: io_module.SendError) ?Outcome {
            switch (failure) {
                // No memory in the kernel now is as good as no room, and passes like it.
                error.WouldBlock, error.SystemResources => {
                    session.watch_writable() catch return session.disconnect(.out_of_memory);
                },
                else => session.cannot_send(),
            }
            return null;
        }

        /// It is read until its end, of which no event may tell any more.
        pub fn ends(session: *const Session) bool {
            return session.end_behind or session.unwritable;
        }

        /// The peer's last bytes are read first; reading finds the error or the end.
        fn cannot_send(session: *Session) void {
            session.readable = true;
            session.unwritable = true;
            session.large_expected = false;
            // A peer that has stopped reading only could go on without end.
            const unix = session.peer_address().family() == .unix;
            if (unix) session.io.end_receiving(session.fd);
        }

        const transfer_vectors = 64;

        // -- watches --------------------------------------------------------------------------

        pub fn token(session: *const Session, operation: io_module.Operation) io_module.Token {
            const epoch = if (operation == .readable) session.watch_epoch else session.epoch;
            return .{ .operation = operation, .epoch = epoch, .handle = session.handle };
        }

        pub fn watch_readable(session: *Session) io_module.SubmitError!void {
            if (session.watching_readable) return;
            try session.io.watch_readable(session.fd, session.token(.readable));
            session.watching_readable = true;
        }

        pub fn unwatch_readable(session: *Session) void {
            if (!session.watching_readable) return;
            // Refused for want of memory: the watch goes on and costs a wake-up or two.
            session.io.unwatch(session.fd, session.token(.readable)) catch return;
            session.watching_readable = false;
            session.watch_epoch +%= 1;
        }

        pub fn watch_writable(session: *Session) io_module.SubmitError!void {
            if (session.watching_writable) return;
            try session.io.watch_writable(session.fd, session.token(.writable));
            session.watching_writable = true;
        }

        // -- going down -----------------------------------------------------------------------

        pub fn disconnect_after(session: *Session, reason: Reason, before: Outcome) Outcome {
            var outcome = session.disconnect(reason);
            outcome.received = before.received;
            outcome.established = before.established;
            return outcome;
        }

        /// Ends the connection, whatever its state. What the pipe holds in whole messages stays.
        pub fn disconnect(session: *Session, reason: Reason) Outcome {
            const phase: Outcome.Phase = switch (session.state) {
                .handshaking => .handshaking,
                .active => .active,
                else => .connecting,
            };
            const slabs = &session.resources.slabs;
            monitor.Ends.keep(session);
            session.close_descriptor();
            session.engine.stop(slabs);
            session.keep_tail("") catch unreachable; // Frees only.
            session.free_control();
            if (session.large) |large| {
                const resources = session.resources;
                slabs.unlend(large.asked_bytes);
                if (large.id != 0) resources.abandoned.add(&resources.slabs, large.id);
            }
            session.large = null;
            session.pipe.expected_bytes = 0;
            session.large_expected = false;
            session.readable = false;
            session.tail_due = false;
            session.unwritable = false;
            session.asking = false;
            session.end_behind = false;
            if (session.heartbeat) |it| slabs.destroy(it);
            session.heartbeat = null;
            session.shut = false;
            session.pipe.connected = false;
            session.pipe.receive.rollback(session.resources);
            const queue = &session.pipe.send;
            queue.held = 0;
            // Who was too slow for what is queued does not get it with its next connection either.
            const all = reason == .slow_peer and !queue.writing;
            session.pipe.lost += if (all) queue.clear(slabs) else queue.rewind(slabs);
            session.state = if (session.kind == .accepted) .ended else .idle;
            return .{ .ended = reason, .phase = phase, .writable = session.pipe.drained() };
        }

        pub fn close_descriptor(session: *Session) void {
            inproc.leave(session);
            const fd = session.fd;
            if (fd < 0) return;
            session.surrender();
            session.io.close(fd);
        }

        /// Leaves the descriptor to whoever copied it.
        pub fn surrender(session: *Session) void {
            session.cancel(session.watching_readable, .readable);
            session.cancel(session.watching_writable, .writable);
            if (session.state == .connecting) session.cancel(true, .connect);
            session.watching_readable = false;
            session.watching_writable = false;
            session.fd = -1;
            // Completions of what was cancelled are recognised as late.
            session.epoch +%= 1;
            session.watch_epoch +%= 1;
        }

        fn cancel(session: *Session, pending: bool, operation: io_module.Operation) void {
            if (!pending) return;
            const request = session.token(operation);
            const result = if (operation == .connect)
                session.io.cancel(session.fd, request)
            else
                session.io.unwatch(session.fd, request);
            // Not cancelled for want of memory: it holds the file until the peer closes it. Shut
            // down, so that the peer does.
            result catch session.io.shutdown(session.fd);
        }

        /// Reads and drops what arrived meanwhile, so that close(2) sends FIN and not RST: a reset
        /// may destroy what the peer has not read yet.
        pub fn discard_received(session: *Session) void {
            if (session.fd < 0) return;
            var buffer: [16 * 1024]u8 = undefined;
            for (0..64) |_| {
                const count = session.io.receive(session.fd, &buffer) catch return;
                if (count == 0) return;
            }
        }

        /// Milliseconds until the next attempt; null: none. Who is refused for what he is comes
        /// back more and more seldom, whatever the options say of networks.
        pub fn next_attempt_ms(session: *Session, reason: Reason, prng: *Prng) ?u32 {
            assert(session.kind == .connecting and session.fd < 0);
            const interval = session.options.reconnect_interval_ms;
            const max = session.options.reconnect_interval_max_ms;
            const seldom = interval *| constants.refused_interval_growth;
            const longest = if (reason.of_security()) @max(max, seldom) else max;
            return session.backoff.next_ms(interval, longest, prng);
        }
    };
}
