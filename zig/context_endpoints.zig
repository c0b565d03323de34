//! What a context does at its endpoints: it binds and connects, takes connections, and lets go of
//! them. Part of context.zig, in a file of its own for its length.

const std = @import("std");
const assert = std.debug.assert;

const Address = @import("io/address.zig").Address;
const EventType = @import("core/monitor.zig").EventType;
const inproc = @import("context_inproc.zig");
const io_module = @import("io/io.zig");
const Listener = @import("net/listener.zig").Listener;
const Reason = @import("core/monitor.zig").Reason;
const socks = @import("net/socks.zig");
const Timer = @import("net/timer.zig").Timer;

/// What a connection is given besides its address.
pub const ConnectOptions = struct {
    /// What a ROUTER or STREAM calls the peer; empty: it chooses.
    routing_id: []const u8 = "",
    /// The local end of the connection; unspecified: the kernel chooses.
    source: Address = .{},
    /// What a SOCKS proxy is asked for; then the address is the proxy's.
    proxy: ?*const socks.Client = null,
};

pub const ConnectError = error{ OutOfMemory, TooMany, UnknownHandle, AddressInUse };
pub const BindError = io_module.BindError || error{ OutOfMemory, TooMany, UnknownHandle };

pub fn bind(context: anytype, handle: u32, address: *const Address) BindError!u32 {
    const slot = context.get(handle) orelse return error.UnknownHandle;
    const listener = try context.make_listener(slot);
    listener.open(context.io, address, slot.socket.options) catch |failure| {
        context.listener_table.remove(listener.handle);
        return failure;
    };
    context.listening(slot, listener);
    context.io.submit();
    return listener.handle;
}

/// A listener that is not open yet.
pub fn make_listener(context: anytype, slot: anytype) error{ OutOfMemory, TooMany }!*Listener {
    const entry = try context.listener_table.insert();
    entry.value.* = .{
        .handle = entry.handle,
        .socket = slot.socket.handle,
        .connections_max = slot.socket.options.connections_max,
        .timer = .{ .kind = .listener, .handle = entry.handle },
    };
    return entry.value;
}

pub fn listening(context: anytype, slot: anytype, listener: *Listener) void {
    slot.listeners.push_back(listener);
    context.record_endpoint(slot, listener.handle, .listening, 0);
}

/// Where a listener really listens.
pub fn bound_address(context: anytype, handle: u32) ?*const Address {
    const listener = context.listener_table.get(handle) orelse return null;
    return &listener.address;
}

/// Ends a listener and the connections it accepted. False: no such one.
pub fn unbind(context: anytype, handle: u32, endpoint: u32, linger_ms: i32) bool {
    const slot = context.get(handle) orelse return false;
    const listener = context.listener_table.get(endpoint) orelse return false;
    if (listener.socket != handle) return false;
    if (listener.binding != null) {
        inproc.unbind(context, slot, listener);
        return true;
    }
    context.close_listener(slot, listener);
    var next = slot.sessions.first();
    while (next) |session| {
        next = slot.sessions.next(session);
        if (session.endpoint != endpoint or session.state == .ended) continue;
        if (linger_ms != 0 and !session.pipe.send.empty()) {
            context.release(slot, session, linger_ms);
            continue;
        }
        // What it has received stays readable, as when the peer had left.
        session.discard_received();
        context.apply(session, session.disconnect(.local));
    }
    context.io.submit();
    return true;
}

/// Makes a session that connects and reconnects. Without an address its name is asked for.
pub fn connect(
    context: anytype,
    handle: u32,
    address: ?*const Address,
    how: ConnectOptions,
) ConnectError!u32 {
    const slot = context.get(handle) orelse return error.UnknownHandle;
    const session = try context.make_connecting(slot, how.routing_id);
    const endpoint = session.handle;
    errdefer context.destroy(session);
    try session.set_route(&how.source, how.proxy);
    const at_once = slot.socket.options.immediate == 0 or slot.socket.type == .stream;
    if (at_once) slot.socket.attach(&session.pipe);
    if (address) |known| {
        context.begin(session, session.start_connect(known[0..1]));
    } else {
        session.route.?.named = true;
        context.attempt(session);
    }
    context.io.submit();
    // The session itself may have ended already.
    return endpoint;
}

/// A session that is an endpoint of its own. The routing id is what we call its peer.
pub fn make_connecting(
    context: anytype,
    slot: anytype,
    routing_id: []const u8,
) ConnectError!*@TypeOf(context.*).Session {
    if (slot.socket.knows(routing_id)) return error.AddressInUse;
    const session = try context.make_session(slot, .connecting, 0);
    errdefer context.destroy(session);
    try session.pipe.set_local_id(routing_id);
    return session;
}

/// The addresses of a name, as asked for, and of the source; none: it was not found.
pub fn resolved(
    context: anytype,
    handle: u32,
    addresses: []const Address,
    source: *const Address,
) bool {
    const session = context.session_table.get(handle) orelse return false;
    if (session.state != .resolving) return false;
    session.route.?.source = source.*;
    if (addresses.len == 0) {
        context.apply(session, session.not_found());
    } else context.begin(session, session.start_connect(addresses));
    context.io.submit();
    return true;
}

/// Ends a connecting session. What it received is dropped, what is queued is sent for as
/// long as linger allows. False: no such one.
pub fn disconnect(context: anytype, handle: u32, endpoint: u32, linger_ms: i32) bool {
    const slot = context.get(handle) orelse return false;
    const session = context.session_table.get(endpoint) orelse return false;
    if (session.socket != handle or session.kind != .connecting) return false;
    if (session.closing) return false;
    context.release(slot, session, linger_ms);
    context.io.submit();
    return true;
}

/// What a SERVER or a PEER calls the peer that it connects to; 0: it has none there.
pub fn peer_number(context: anytype, slot: anytype, endpoint: u32) u32 {
    const session = context.session_table.get(endpoint) orelse return 0;
    if (session.socket != slot.socket.handle or slot.socket.pattern != .server) return 0;
    return session.pipe.number;
}

/// As `disconnect`, for one peer, whoever connected. False: no such one.
pub fn disconnect_peer(
    context: anytype,
    slot: anytype,
    id: []const u8,
    linger_ms: i32,
) bool {
    const pipe = slot.socket.find(id) orelse return false;
    const session = context.session_table.get(pipe.session) orelse return false;
    context.release(slot, session, linger_ms);
    context.io.submit();
    return true;
}

/// Takes a session away from its socket; it stays until it has sent what is queued.
pub fn release(context: anytype, slot: anytype, session: anytype, linger_ms: i32) void {
    slot.socket.detach(&session.pipe);
    session.closing = true;
    slot.socket.record.dropped_closed += session.pipe.drop_received();
    const empty = session.pipe.send.empty();
    if (linger_ms == 0 and empty) return context.finish_now(session);
    if (linger_ms == 0 or session.state == .ended) return context.destroy(session);
    if (linger_ms > 0) {
        // Without memory for the timer there is no time.
        const timer = context.resources.slabs.create(Timer) catch return context.destroy(session);
        timer.* = .{ .kind = .session_linger, .handle = session.handle };
        session.linger = timer;
        context.arm(timer, @intCast(linger_ms));
    }
    if (empty) context.finish(session);
}

/// Other high-water marks: they count for the peers that are there, too. A lowered one
/// loses nothing: a pipe is full until enough has gone.
pub fn limits_changed(context: anytype, slot: anytype) void {
    var next = slot.sessions.first();
    while (next) |session| : (next = slot.sessions.next(session)) {
        var marks = slot.socket.options.marks();
        if (session.link) |end| {
            if (session.pipe.conflated != null) continue;
            end.set_marks(&inproc.about(&slot.socket));
            // Without a peer its own marks are all there is; in bytes they always are.
            if (session.state == .active) {
                marks.send = session.pipe.send_high_water_mark;
                marks.receive = session.pipe.receive_high_water_mark;
            }
        }
        const opened = session.pipe.set_limits(marks);
        if (opened) slot.socket.pipe_writable(&session.pipe);
    }
    context.resume_sessions();
    context.io.submit();
}

const stop_refused = 1;
const stop_handshake = 2;
const stop_disconnected = 4;

const failure_keep = 1;
const failure_retry = 2;

/// Whether an attempt that ended so is the last.
pub fn stops(session: anytype, phase: anytype, reason: Reason) bool {
    const options = session.options;
    const conditions = options.reconnect_stop;
    if (session.closing and conditions & stop_disconnected != 0) return true;
    return switch (phase) {
        .connecting => conditions & stop_refused != 0 and reason == .connection_refused,
        .handshaking => conditions & stop_handshake != 0 or
            (reason.permanent() and options.permanent_failure != failure_retry),
        .none, .active => false,
    };
}

/// There will be no further attempt. Nothing may be queued for it any more, as for a peer that had
/// connected to us; unless that is asked for, as libzmq does it.
pub fn stop(context: anytype, slot: anytype, session: anytype, reason: Reason) void {
    const socket = &slot.socket;
    context.record(slot, session, .connect_stopped, reason, 0);
    const permanent = reason.permanent();
    if (permanent and socket.options.permanent_failure == failure_keep and !session.closing) return;
    // Never to connect again is no failure: whoever asked for it connects by hand.
    if (permanent or socket.options.reconnect_stop != 0) {
        socket.record.failure = @intFromEnum(reason);
    }
    session.state = .ended;
    // A closing socket may go with its last session, and nobody waits for it.
    if (slot.closing) return context.orphan(slot, session);
    context.orphan(slot, session);
    // Whoever waits is told that it is in vain.
    socket.occurred(.{ .writable = true, .connected = true });
}

/// Why there is no room: every peer is full or still to come, or the last one has been refused for
/// good.
pub fn refusal(slot: anytype) error{ WouldBlock, Unroutable } {
    if (slot.socket.record.failure == 0 or !slot.listeners.empty()) return error.WouldBlock;
    var next = slot.sessions.first();
    while (next) |session| : (next = slot.sessions.next(session)) {
        if (session.state != .ended and !session.closing) return error.WouldBlock;
    }
    return error.Unroutable;
}

pub fn close_listener(context: anytype, slot: anytype, listener: *Listener) void {
    const errno = listener.close(context.io);
    context.disarm(&listener.timer);
    const event_type: EventType = if (errno == 0) .closed else .close_failed;
    context.record_endpoint(slot, listener.handle, event_type, errno);
    slot.listeners.remove(listener);
    context.listener_table.remove(listener.handle);
}
