//! What the owner of a context has to know or do, one thing after the other. Part of context.zig,
//! in a file of its own for its length.

const std = @import("std");

const closing = @import("context_closing.zig");

/// What the owner is told; `kind` says what the numbers are.
pub const Event = extern struct {
    kind: Kind = .none,
    handle: u32 = 0,
    a: u32 = 0,
    b: u32 = 0,

    pub const Kind = enum(u32) {
        none = 0,
        /// Socket `handle`: what it waited for has come, `a` is an Interest.
        ready,
        /// Session `handle` wants a buffer of `a` bytes; it begins with the contents of the lent
        /// buffer `b`, 0 for none.
        buffer,
        /// Session `handle` of socket `a` wants the addresses of its name.
        resolve,
        /// The lent buffer `a` is not needed any more.
        abandoned,
        /// Socket `handle`, which was closed, has ended; `a` of its messages were not sent.
        closed,
        /// The peer of session `handle` of socket `a` waits to be let in; `b` is the request's
        /// number.
        authenticate,
        _,
    };
};

pub fn has_events(context: anytype) bool {
    return !context.ready.empty() or !context.requests.empty() or
        !context.ended.empty() or context.resources.abandoned.count > 0;
}

/// The next thing that the owner has to know or do.
pub fn next_event(context: anytype) ?Event {
    while (context.requests.pop_front()) |session| {
        if (session.state == .resolving) {
            return .{ .kind = .resolve, .handle = session.handle, .a = session.socket };
        }
        // The number is that of the connection: an answer that comes late is for another one.
        if (session.asking) return .{
            .kind = .authenticate,
            .handle = session.handle,
            .a = session.socket,
            .b = session.epoch,
        };
        return .{
            .kind = .buffer,
            .handle = session.handle,
            .a = session.buffer_wanted() orelse continue,
            .b = session.buffer_held(),
        };
    }
    if (context.ready.pop_front()) |socket| {
        const interest = socket.ready;
        socket.ready = .{};
        return .{ .kind = .ready, .handle = socket.handle, .a = @bitCast(interest) };
    }
    if (closing.next_ended(context)) |end| {
        const lost = std.math.lossyCast(u32, end.lost);
        return .{ .kind = .closed, .handle = end.handle, .a = lost };
    }
    const resources = &context.resources;
    if (resources.abandoned.pop(&resources.slabs)) |id| {
        return .{ .kind = .abandoned, .a = id };
    }
    return null;
}
