//! What a context tells those who watch a socket's connections. Part of context.zig, in a file of
//! its own for its length.

const monitor = @import("core/monitor.zig");
const Reason = monitor.Reason;

pub fn monitor_start(context: anytype, slot: anytype) error{OutOfMemory}!void {
    if (slot.socket.monitor.listening()) return;
    try slot.socket.monitor.start(context.allocator);
    context.monitored += 1;
}

pub fn monitor_stop(context: anytype, slot: anytype) void {
    if (!slot.socket.monitor.listening()) return;
    slot.socket.monitor.stop(context.allocator);
    slot.socket.record.events_waiting = 0;
    context.monitored -= 1;
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
    if (context.monitored == 0 or !slot.socket.monitor.listening()) return;
    var event: monitor.Event = .{
        .type = event_type,
        .reason = reason,
        .endpoint = session.endpoint,
        .connection = session.handle,
        .value = value,
    };
    event.set_peer(&session.peer_address);
    slot.socket.monitor.record(event);
    slot.socket.record.events_waiting = slot.socket.monitor.count;
}

pub fn record_endpoint(
    _: anytype,
    slot: anytype,
    endpoint: u32,
    event_type: monitor.EventType,
    value: u32,
) void {
    if (!slot.socket.monitor.listening()) return;
    slot.socket.monitor.record(.{
        .type = event_type,
        .endpoint = endpoint,
        .value = value,
    });
    slot.socket.record.events_waiting = slot.socket.monitor.count;
}
