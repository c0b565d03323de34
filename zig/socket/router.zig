//! ROUTER (RFC 28): tells its peers apart. The first part of a received message is the routing id
//! of its sender, the first part of a sent one that of its receiver.
//!
//!     nothing ──id──▶ to that peer ──last part──▶ nothing
//!                └──▶ dropping ─────last part──▶ nothing
//!
//! A peer whose id another one has is refused, where libzmq lets it connect and never reads from
//! it; it gets in when it tries again after the other has left. With `handover` it takes the id
//! over, and the other's connection ends. What that one has sent is still handed out, under the id:
//! an answer to it reaches whoever has the id now, which is what handover is for. No disconnection
//! is told of: the id has not gone. Ids of connections that we made are ours and cannot be taken
//! over, so we never take one back; two clients that do so to each other do it as often as they
//! reconnect.

const std = @import("std");
const assert = std.debug.assert;

const Pipe = @import("../core/pipe.zig").Pipe;
const FairQueue = @import("fair_queue.zig").FairQueue;
const overflow = @import("overflow.zig");
const routing = @import("routing_table.zig");
const RoutingTable = routing.RoutingTable;
const Refusals = @import("refusals.zig").Refusals;
const sockets = @import("socket.zig");
const Socket = sockets.Socket;

/// Bits of the option `router_notify`.
const notify_connect: u32 = 1;
const notify_disconnect: u32 = 2;

pub const Router = struct {
    table: RoutingTable,
    queue: FairQueue = .{},
    sending: union(enum) {
        nothing,
        /// The parts of the message go to this peer.
        to: *Pipe,
        /// They go nowhere.
        dropping: Drop,
    } = .nothing,
    refusals: Refusals = .{},
    /// A message was refused for a peer that might only have wanted a flush. It had it.
    late: bool = false,

    const Drop = enum { unroutable, full, gone };

    pub fn init(_: *Router, socket: *Socket) error{OutOfMemory}!void {
        try socket.ring.open_scratch(&socket.resources.slabs);
    }

    pub fn deinit(router: *Router, socket: *Socket) void {
        router.table.deinit(socket.resources.allocator);
    }

    // -- peers ----------------------------------------------------------------------------------

    pub fn find(router: *const Router, routing_id: []const u8) ?*Pipe {
        return router.table.find(routing_id);
    }

    pub fn attach(router: *Router, socket: *Socket, pipe: *Pipe) void {
        router.queue.activate(pipe);
        // Named by the caller of connect: it can be sent to before it is there.
        if (pipe.local_id.len == 0 or router.find(pipe.local_id) != null) return;
        router.table.put(socket.resources.allocator, pipe) catch pipe.doom(.out_of_memory);
    }

    pub fn established(router: *Router, socket: *Socket, pipe: *Pipe) void {
        router.identify(socket, pipe) catch |failure| return pipe.doom(switch (failure) {
            error.Duplicate => .duplicate_routing_id,
            error.OutOfMemory => .out_of_memory,
        });
        socket.greet(pipe);
        if (socket.options.router_notify & notify_connect == 0 or socket.quiet) return;
        socket.receive_own(pipe, "");
        router.queue.activate(pipe);
    }

    fn identify(
        router: *Router,
        socket: *Socket,
        pipe: *Pipe,
    ) error{ OutOfMemory, Duplicate }!void {
        // A connection that was made again keeps its id, whatever its peer calls itself now.
        if (router.table.has(pipe)) return;
        var buffer: [routing.made_up_bytes]u8 = undefined;
        const id = if (pipe.local_id.len > 0)
            pipe.local_id
        else if (pipe.identity.len > 0)
            pipe.identity
        else
            router.table.make_up(&buffer);
        if (router.find(id)) |holder| {
            if (socket.options.router_handover == 0 or holder.connecting) return error.Duplicate;
            // Named first: out of memory must not leave the id with nobody.
            if (pipe.local_id.len == 0) try pipe.set_local_id(id);
            router.cut_sending(socket, holder);
            router.refusals.reopen(holder);
            holder.doom(.handed_over);
        } else if (pipe.local_id.len == 0) try pipe.set_local_id(id);
        try router.table.put(socket.resources.allocator, pipe);
    }

    pub fn disconnected(router: *Router, socket: *Socket, pipe: *Pipe) void {
        // Refused, or its id is another one's now.
        if (!router.table.has(pipe)) return;
        socket.say_goodbye(pipe);
        if (socket.options.router_notify & notify_disconnect != 0) socket.receive_own(pipe, "");
        router.queue.activate(pipe);
    }

    pub fn detach(router: *Router, socket: *Socket, pipe: *Pipe) void {
        router.orphan(socket, pipe);
        if (router.queue.detach(pipe)) socket.cut_message();
    }

    pub fn orphan(router: *Router, socket: *Socket, pipe: *Pipe) void {
        router.table.remove(socket.resources.allocator, pipe);
        router.cut_sending(socket, pipe);
        // Who waited for it is told that it has gone.
        router.refusals.reopen(pipe);
    }

    pub fn cut_sending(router: *Router, _: *Socket, pipe: *Pipe) void {
        if (router.sending != .to or router.sending.to != pipe) return;
        pipe.write_rollback();
        router.sending = .{ .dropping = .gone };
    }

    pub fn pipe_readable(router: *Router, socket: *Socket, pipe: *Pipe) void {
        // A refused peer's, in the moment before its connection ends.
        if (pipe.local_id.len == 0 or pipe.doom_reason == .duplicate_routing_id) {
            return socket.discard(pipe, &socket.record.dropped_refused);
        }
        router.queue.activate(pipe);
    }

    pub fn pipe_writable(router: *Router, _: *Socket, pipe: *Pipe) void {
        router.refusals.reopen(pipe);
    }

    // -- the owner's calls ----------------------------------------------------------------------

    pub inline fn send(
        router: *Router,
        socket: *Socket,
        part: []const u8,
        more: bool,
        borrow: bool,
    ) sockets.SendError!void {
        switch (router.sending) {
            .nothing => return router.begin(socket, part, more),
            .to => |pipe| pipe.write(part, more, borrow) catch |failure| {
                router.sending = .nothing;
                return failure;
            },
            .dropping => |why| if (!more) count(socket, why),
        }
        if (!more) router.sending = .nothing;
    }

    /// The first part is the id of the receiver and goes no further.
    fn begin(router: *Router, socket: *Socket, id: []const u8, more: bool) sockets.SendError!void {
        // libzmq takes it and drops it.
        if (!more) return error.InvalidMessage;
        const mandatory = socket.options.router_mandatory != 0;
        const pipe = router.find(id) orelse {
            if (mandatory) return error.Unroutable;
            router.sending = .{ .dropping = .unroutable };
            return;
        };
        if (!pipe.writable()) {
            if (mandatory) return router.refusals.refuse(pipe);
            if (!router.late and pipe.dirty_link.linked()) {
                router.late = true;
                return error.WouldBlock;
            }
            if (!overflow.make_room(socket, pipe)) {
                router.late = false;
                router.sending = .{ .dropping = .full };
                return;
            }
        }
        router.late = false;
        router.sending = .{ .to = pipe };
    }

    fn count(socket: *Socket, why: Drop) void {
        switch (why) {
            .unroutable => socket.record.dropped_unroutable += 1,
            .full => socket.record.dropped_high_water_mark += 1,
            .gone => socket.record.dropped_disconnect += 1,
        }
    }

    pub fn fill(router: *Router, socket: *Socket) sockets.ReceiveError!void {
        socket.fill_identified(&router.queue);
    }

    pub fn readable(router: *const Router, socket: *const Socket) bool {
        return socket.ring.waiting() > 0 or !router.queue.empty();
    }

    /// A refused message is worth another try when its peer has room, not when any peer has.
    pub fn writable(router: *const Router, socket: *const Socket) bool {
        return !router.refusals.pending or socket.options.router_mandatory == 0;
    }
};
