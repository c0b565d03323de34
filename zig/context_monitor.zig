//! What a context tells those who watch a socket's connections. Part of context.zig, in a file of
//! its own for its length.

const monitor = @import("core/monitor.zig");
const Reason = monitor.Reason;

pub fn monitor_start(context: anytype, slot: anytype) error{OutOfMemory}!void {
    if (slot.socket.monitor.listening()) return;
    try slot.socket.monitor.start(context.allocator);
    context.resources.monitored += 1;
}

pub fn monitor_stop(context: anytype, slot: anytype) void {
    if (!slot.socket.monitor.listening()) return;
    slot.socket.monitor.stop(context.allocator);
    slot.socket.record.events_waiting = 0;
    context.resources.monitored -= 1;
}

/// The socket is about to be closed. What it lets go of then may go on without it (linger), but
/// whoever watches is told now: there is no later for him.
pub fn monitor_end(context: anytype, slot: anytype) void {
    if (!slot.socket.monitor.listening()) return;
    var listener = slot.listeners.first();
    while (listener) |it| : (listener = slot.listeners.next(it)) {
        context.record_endpoint(slot, it.handle, .closed, 0);
    }
    var session = slot.sessions.first();
    while (session) |it| : (session = slot.sessions.next(it)) context.record_end(slot, it);
}

pub fn monitor_next(_: anytype, slot: anytype) ?monitor.Event {
    const event = slot.socket.monitor.next();
    slot.socket.record.events_waiting = slot.socket.monitor.count;
    return event;
}

pub fn record(
    context: anytype,
    slot: anytype,
    session: anytype,
    event_type: monitor.EventType,
    reason: Reason,
    value: u32,
) void {
    if (context.resources.monitored == 0 or !slot.socket.monitor.listening()) return;
    const ends: monitor.Ends = .of(session);
    var event: monitor.Event = .{
        .type = event_type,
        .reason = reason,
        .endpoint = session.endpoint,
        .connection = session.handle,
        .value = value,
        .process_id = ends.peer.process_id,
        .user_id = ends.peer.user_id,
    };
    event.set_local(&ends.local);
    event.set_remote(&session.peer_address());
    switch (event_type) {
        .handshake_failed_auth => event.value = if (reason == .peer_error)
            context.resources.security.refusal_status
        else
            reason.status(),
        .handshake_failed_protocol => event.value = @intFromEnum(reason.protocol_code()),
        // The peer has only answered our end.
        .disconnected => if (session.closing and session.pipe.send.empty()) {
            if (reason == .peer_closed or reason == .connection_reset) event.reason = .local;
        },
        else => {},
    }
    put(context, slot, event);
}

/// Acts on an attempt that has just begun. Whoever watches is told of it, not of each address that
/// it tries.
pub fn begin(context: anytype, session: anytype, outcome: anytype) void {
    if (session.state == .connecting) context.record_attempt(session);
    context.connecting(session, outcome);
}

pub fn record_attempt(context: anytype, session: anytype) void {
    if (context.resources.monitored == 0) return;
    context.record(context.slots.get(session.socket).?, session, .connect_delayed, .none, 0);
}

/// The socket lets go of it: close, unbind or disconnect on our side.
pub fn record_end(context: anytype, slot: anytype, session: anytype) void {
    if (context.resources.monitored == 0) return;
    switch (session.state) {
        .handshaking, .active => context.record(slot, session, .disconnected, .local, 0),
        .resolving, .backoff, .connecting, .proxying => {
            context.record(slot, session, .connect_failed, .local, 0);
        },
        // There was no attempt yet, or its end has been told.
        .idle, .ended => {},
    }
}

pub fn record_endpoint(
    context: anytype,
    slot: anytype,
    endpoint: u32,
    event_type: monitor.EventType,
    value: u32,
) void {
    if (context.resources.monitored == 0 or !slot.socket.monitor.listening()) return;
    var event: monitor.Event = .{
        .type = event_type,
        .reason = switch (event_type) {
            .accept_failed => Reason.of_accept(value),
            .closed, .close_failed => .local,
            else => .none,
        },
        .endpoint = endpoint,
        .value = value,
    };
    if (context.listener_table.get(endpoint)) |listener| event.set_local(&listener.address);
    put(context, slot, event);
}

fn put(context: anytype, slot: anytype, event: monitor.Event) void {
    const socket = &slot.socket;
    var timed = event;
    timed.time_us = context.io.wall_us();
    if (!socket.monitor.record(context.allocator, timed)) socket.record.dropped_events += 1;
    socket.record.events_waiting = socket.monitor.count;
}
