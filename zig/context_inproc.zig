//! What a context does for connections inside the process: it binds and connects names, and looks
//! into its mailbox. Part of context.zig, in a file of its own for its length.

const std = @import("std");
const assert = std.debug.assert;

const inproc = @import("net/inproc.zig");
const Listener = @import("net/listener.zig").Listener;
const sessions = @import("core/inproc.zig");

pub const BindError = error{ AddressInUse, OutOfMemory, TooMany, UnknownHandle };

/// The mailbox of a context whose `io` can be woken by other threads.
pub fn mailbox(io: anytype) inproc.Mailbox {
    const IO = @TypeOf(io.*);
    const waker = struct {
        fn call(target: *const anyopaque) void {
            const woken: *IO = @ptrCast(@alignCast(@constCast(target)));
            woken.wake();
        }
    };
    return .{ .waker = .{ .target = io, .call = waker.call } };
}

/// What other threads, and we ourselves, have left for our ends.
pub fn take_mail(context: anytype) void {
    // What comes meanwhile is for the next look: a busy peer does not keep us here.
    var left = context.mailbox.waiting();
    while (left > 0) : (left -= 1) {
        const end = context.mailbox.next() orelse return;
        const session = if (end.session) |handle|
            context.session_table.get(handle).?
        else
            accept(context, end) orelse continue;
        context.took_mail = true;
        context.apply(session, sessions.collect(session));
    }
}

fn accept(context: anytype, end: *inproc.End) ?*@TypeOf(context.*).Session {
    // Nobody listens any more: its peer looks for the name again.
    const listener = context.listener_table.get(end.listener) orelse {
        end.close();
        return null;
    };
    const slot = context.slots.get(listener.socket).?;
    const session = context.make_session(slot, .accepted, listener.handle) catch {
        end.close();
        return null;
    };
    end.session = session.handle;
    session.link = end;
    session.pipe.send.travels = true;
    // Its marks may have been changed since the name was bound.
    end.set_marks(&about(&slot.socket));
    context.record(slot, session, .accepted, .none, 0);
    return session;
}

pub fn about(socket: anytype) inproc.About {
    const socket_type = @intFromEnum(socket.type);
    return sessions.about(@enumFromInt(socket_type), socket.options, socket.conflates());
}

/// Tells peers in this process what has been read of theirs.
pub fn acknowledge(context: anytype) void {
    while (context.resources.unacknowledged.pop_front()) |pipe| {
        const session = context.session_table.get(pipe.session) orelse continue;
        sessions.acknowledge(session);
    }
}

pub fn bind(context: anytype, handle: u32, name: []const u8) BindError!u32 {
    const slot = context.get(handle) orelse return error.UnknownHandle;
    const listener: *Listener = try context.make_listener(slot);
    const own = about(&slot.socket);
    const bound = inproc.bind(name, &context.mailbox, listener.handle, &own);
    listener.binding = bound catch |failure| {
        context.listener_table.remove(listener.handle);
        return failure;
    };
    context.listening(slot, listener);
    // Who has waited for the name is connected now.
    take_mail(context);
    return listener.handle;
}

/// Frees a name. As with libzmq its connections stay, those that are not taken yet included.
pub fn unbind(context: anytype, slot: anytype, listener: *Listener) void {
    _ = listener.close(context.io); // It has no path.
    take_mail(context);
    context.close_listener(slot, listener);
}

/// Makes a session that connects to a name whenever it is bound.
pub fn connect(
    context: anytype,
    handle: u32,
    name: []const u8,
    routing_id: []const u8,
) error{ AddressInUse, OutOfMemory, TooMany, UnknownHandle }!u32 {
    const slot = context.get(handle) orelse return error.UnknownHandle;
    const session = try context.make_connecting(slot, routing_id);
    const endpoint = session.handle;
    errdefer context.destroy(session);
    session.pipe.send.travels = true;
    try session.route.?.name.set(&context.resources.slabs, name);
    if (slot.socket.options.immediate == 0) slot.socket.attach(&session.pipe);
    context.attempt(session);
    // In this thread both ends are connected when this returns.
    take_mail(context);
    return endpoint;
}

/// Nothing of this context may be found by other threads any more.
pub fn deinit(context: anytype) void {
    while (context.mailbox.next()) |end| end.close();
    assert(!context.mailbox.used());
}
