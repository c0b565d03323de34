//! How a context closes its sockets: at once for their owner, while what is queued has its linger
//! time. Part of context.zig, in a file of its own for its length.

const assert = @import("std").debug.assert;

const inproc = @import("context_inproc.zig");

/// Closes at once for its owner; queued messages are sent for `linger_ms` more (-1 for ever).
pub fn close(context: anytype, handle: u32, linger_ms: i32) void {
    const slot = context.get(handle) orelse return;
    slot.lost_before = lost(slot);
    while (slot.listeners.first()) |listener| context.close_listener(slot, listener);
    // Who has just found the name must not take us for a peer: no turn may follow.
    inproc.take_mail(context);
    context.flush_dirty();
    slot.closing = true;
    slot.socket.wanted = .{};
    slot.socket.drop_ring(&slot.socket.record.dropped_closed);
    var next = slot.sessions.first();
    // The slot goes with its last session, so one is held back.
    while (next) |session| {
        next = slot.sessions.next(session);
        if (slot.sessions.count == 1) break;
        close_session(context, session, linger_ms);
    }
    // Listeners hold their address until the kernel has been told.
    defer context.io.submit();
    const last = slot.sessions.first() orelse return context.free_slot(slot);
    if (linger_ms > 0) context.arm(&slot.linger, @intCast(linger_ms));
    if (slot.sessions.count == 1) close_session(context, last, linger_ms);
}

fn close_session(context: anytype, session: anytype, linger_ms: i32) void {
    session.closing = true;
    const socket = &context.slots.get(session.socket).?.socket;
    socket.detach(&session.pipe);
    socket.record.dropped_closed += session.pipe.drop_received();
    if (session.pipe.send.empty()) {
        if (linger_ms == 0) return context.finish_now(session);
        return context.finish(session);
    }
    if (linger_ms == 0 or session.state == .ended) context.destroy(session);
}

/// Linger is over.
pub fn abandon(context: anytype, slot: anytype) void {
    assert(slot.closing);
    while (slot.sessions.first()) |session| {
        const last = slot.sessions.count == 1;
        context.destroy(session);
        // The last one took the slot with it.
        if (last) return;
    }
}

/// The socket has ended. Its handle and its record stay until the owner that asked for it has read
/// how, and forgets it.
pub fn free_slot(context: anytype, slot: anytype) void {
    assert(slot.closing and slot.sessions.empty() and slot.listeners.empty());
    context.disarm(&slot.linger);
    context.monitor_stop(slot);
    slot.lost = lost(slot) - slot.lost_before;
    slot.socket.deinit();
    context.events_dropped += slot.socket.record.dropped_events;
    slot.socket.record.dropped_events = 0;
    if (slot.asked) context.ended.push_back(slot) else remove(context, slot);
}

fn lost(slot: anytype) u64 {
    return slot.socket.record.dropped_linger + slot.socket.record.dropped_disconnect;
}

/// As `close`; when the socket has not ended with it, an event will tell. Returns how many messages
/// were not sent; null: it lingers.
pub fn close_asking(context: anytype, slot: anytype, linger_ms: i32) ?u64 {
    slot.asked = true;
    context.close(slot.socket.handle, linger_ms);
    if (!slot.ended_link.linked()) return null;
    context.ended.remove(slot);
    return slot.lost;
}

/// The next socket whose owner has to be told that it ended.
pub fn next_ended(context: anytype) ?struct { handle: u32, lost: u64 } {
    const slot = context.ended.pop_front() orelse return null;
    return .{ .handle = slot.socket.handle, .lost = slot.lost };
}

/// The owner has read the record. False: the socket has not ended.
pub fn forget(context: anytype, handle: u32) bool {
    const slot = context.slots.get(handle) orelse return false;
    if (!slot.closing or !slot.sessions.empty()) return false;
    if (slot.ended_link.linked()) context.ended.remove(slot);
    remove(context, slot);
    return true;
}

fn remove(context: anytype, slot: anytype) void {
    context.allocator.destroy(slot.shared);
    context.slots.remove(slot.socket.handle);
}
