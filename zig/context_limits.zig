//! How many connections a context takes, and what it does when there are too many or nothing is
//! left to take them with. Part of context.zig, in a file of its own for its length.
//!
//!     accept ─▶ handshakes of the socket ─▶ established
//!       │            │ more than handshakesMax, or no descriptor left: the oldest that is silent
//!       │            ▼ goes, so that whoever speaks gets in
//!       │          ended
//!       └─▶ paused: connectionsMax is reached (until one leaves), or no descriptor is left and
//!           nobody is silent (looked at again ten times a second)

const std = @import("std");
const linux = std.os.linux;
const assert = std.debug.assert;

const io_module = @import("io/io.zig");
const Listener = @import("net/listener.zig").Listener;
const Reason = @import("core/monitor.zig").Reason;

/// Bytes without use that are worth a wake-up, and for how many milliseconds they are kept for the
/// next burst.
const trim_bytes_min = 256 * 1024;
const trim_ms = 500;
/// Blocks taken meanwhile: heartbeats are no traffic.
const quiet_allocations_max = 64;

/// Milliseconds until it is tried again to encrypt something that there was no memory for.
const memory_retry_ms = 20;

/// Milliseconds until a listener tries to accept again, where nothing was left to accept with.
const accept_retry_ms = 100;

pub fn accepted(context: anytype, completion: io_module.Completion) void {
    const token = completion.token;
    const listener = context.listener_table.get(token.handle) orelse {
        if (completion.result >= 0) context.io.close(completion.result);
        return context.late();
    };
    const slot = context.slots.get(listener.socket).?;
    const current = token.epoch == listener.epoch;
    if (current) listener.accepting = completion.more;
    if (completion.result >= 0) {
        listener.failing = false;
        take(context, slot, listener, completion.result);
    } else if (current) {
        return accept_failed(context, slot, listener, @intCast(-completion.result));
    }
    // What was asked for before a pause may still come.
    if (!current) return context.late();
    if (listener.full()) return pause(context, slot, listener);
    if (!listener.accepting) accept(context, listener);
}

fn take(context: anytype, slot: anytype, listener: *Listener, fd: io_module.Descriptor) void {
    // Came with others in the same moment.
    if (listener.full()) return refuse(context, slot, fd);
    const session = context.make_session(slot, .accepted, listener.handle) catch {
        context.record_endpoint(slot, listener.handle, .accept_failed, @intFromEnum(linux.E.NOMEM));
        return refuse(context, slot, fd);
    };
    session.counted = true;
    listener.connections += 1;
    const outcome = session.start_accepted(fd);
    if (session.state == .handshaking) slot.handshakes.push_back(session);
    context.record(slot, session, .accepted, .none, 0);
    context.apply(session, outcome);
    thin_out(context, slot);
}

fn refuse(context: anytype, slot: anytype, fd: io_module.Descriptor) void {
    slot.socket.record.connections_refused += 1;
    context.io.close(fd);
}

/// Ends handshakes that are too many. One that nobody has read from yet may have much to say, and
/// those behind it are newer still: they are looked at after the next turn's receiving.
fn thin_out(context: anytype, slot: anytype) void {
    const max = slot.socket.options.handshakes_max;
    while (max != 0 and slot.handshakes.count > max) {
        if (!drop_silent(context, slot)) {
            context.crowded = true;
            return;
        }
    }
}

/// After receiving: those that came in a crowd are known by now.
pub fn thin_out_all(context: anytype) void {
    context.crowded = false;
    var slots = context.slots.iterator();
    while (slots.next()) |entry| if (!entry.value.closing) thin_out(context, entry.value);
}

/// The oldest handshake gives way, if its peer is silent, or one of more strangers than we can
/// listen to.
fn drop_silent(context: anytype, slot: anytype) bool {
    const oldest = slot.handshakes.first() orelse return false;
    if (oldest.readable and !oldest.put_off) return false;
    slot.socket.record.handshakes_dropped += 1;
    context.apply(oldest, oldest.disconnect(.too_many_handshakes));
    return true;
}

/// It has come further: those that have shown nothing give way before it.
pub fn spoke(context: anytype, session: anytype) void {
    if (!session.handshake_link.linked()) return;
    const slot = context.slots.get(session.socket).?;
    slot.handshakes.remove(session);
    slot.handshakes.push_back(session);
}

/// Of this socket, or of another one: descriptors are the same for all.
fn drop_any_silent(context: anytype, slot: anytype) bool {
    if (drop_silent(context, slot)) return true;
    var slots = context.slots.iterator();
    while (slots.next()) |entry| {
        if (!entry.value.closing and drop_silent(context, entry.value)) return true;
    }
    return false;
}

fn accept_failed(context: anytype, slot: anytype, listener: *Listener, errno: u32) void {
    const reason = Reason.of_accept(errno);
    const short = reason == .descriptors_exhausted or reason == .out_of_memory;
    // Told of and counted once, not ten times a second.
    if (!listener.failing) {
        listener.failing = true;
        slot.socket.record.accepts_paused += 1;
        context.record_endpoint(slot, listener.handle, .accept_failed, errno);
    }
    // Silent ones hold what is missing: they must not keep the others out until their deadline.
    if (short and drop_any_silent(context, slot)) return accept(context, listener);
    // It would fail again at once and spin.
    retry_accept(context, listener);
}

fn pause(context: anytype, slot: anytype, listener: *Listener) void {
    if (listener.paused) return;
    listener.pause(context.io);
    slot.socket.record.accepts_paused += 1;
    const errno = @intFromEnum(linux.E.USERS);
    context.record_endpoint(slot, listener.handle, .accept_failed, errno);
}

/// Its listener has room for another one.
pub fn left(context: anytype, slot: anytype, session: anytype) void {
    if (session.handshake_link.linked()) slot.handshakes.remove(session);
    if (!session.counted) return;
    session.counted = false;
    const listener = context.listener_table.get(session.endpoint) orelse return;
    assert(listener.connections > 0);
    listener.connections -= 1;
    if (!listener.paused) return;
    listener.paused = false;
    accept(context, listener);
}

/// A connection or an attempt has ended.
pub fn ended(context: anytype, slot: anytype, session: anytype, reason: Reason) void {
    const record = slot.socket.record;
    switch (reason) {
        .frame_too_large,
        .message_too_large,
        .message_too_many_parts,
        .command_too_large,
        => record.limits_exceeded += 1,
        .out_of_memory => record.memory_failures += 1,
        else => {},
    }
    left(context, slot, session);
}

/// The owner has no memory for what a session is receiving: it would wait for ever.
pub fn no_buffer(context: anytype, session: anytype) bool {
    if (session.buffer_wanted() == null) return false;
    context.apply(session, session.disconnect(.out_of_memory));
    return true;
}

/// A burst is over when nothing has been needed of it for a while: one timer, and then none. True:
/// it was set just now.
pub inline fn trim_later(context: anytype) bool {
    if (context.resources.slabs.idle_bytes < trim_bytes_min) return false;
    if (context.trimming.node.armed()) return false;
    context.allocations_before = context.resources.slabs.allocations_total;
    context.arm(&context.trimming, trim_ms);
    return true;
}

/// There is no memory for what has to be sent: looked at again when others have given some back.
pub fn flush_later(context: anytype) void {
    if (context.flushing.node.armed()) return;
    context.arm(&context.flushing, memory_retry_ms);
    // Its deadline is for a turn to tell.
    context.took_mail = true;
}

pub fn flush_again(context: anytype) void {
    var sessions = context.session_table.iterator();
    while (sessions.next()) |entry| {
        const pipe = &entry.value.pipe;
        const waits = entry.value.state == .active and !pipe.send.empty();
        if (waits and !pipe.dirty_link.linked()) context.resources.dirty.push_back(pipe);
    }
}

/// While traffic goes on, what is idle now is needed again in a moment.
pub fn trim(context: anytype) void {
    const slabs = &context.resources.slabs;
    if (slabs.allocations_total - context.allocations_before < quiet_allocations_max) slabs.trim();
}

pub fn accept(context: anytype, listener: *Listener) void {
    // A retry may come when it has paused meanwhile.
    if (listener.accepting or listener.paused) return;
    listener.accept(context.io) catch retry_accept(context, listener);
}

fn retry_accept(context: anytype, listener: *Listener) void {
    if (!listener.timer.node.armed()) context.arm(&listener.timer, accept_retry_ms);
}
