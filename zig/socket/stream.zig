//! STREAM: plain TCP. A message is the routing id of a connection and bytes that were received on
//! it or that it is to send; how they are cut into messages means nothing. [id, ""] is received
//! when a connection begins and ends (`stream_notify`), and sent to end one behind what is queued.

const std = @import("std");
const assert = std.debug.assert;

const Pipe = @import("../core/pipe.zig").Pipe;
const FairQueue = @import("fair_queue.zig").FairQueue;
const routing = @import("routing_table.zig");
const RoutingTable = routing.RoutingTable;
const Refusals = @import("refusals.zig").Refusals;
const sockets = @import("socket.zig");
const Socket = sockets.Socket;

pub const Stream = struct {
    table: RoutingTable,
    queue: FairQueue = .{},
    sending: union(enum) {
        nothing,
        /// The parts behind the id; the first of them may be what closes the connection.
        to: struct { pipe: *Pipe, first: bool },
        /// The connection has ended in the middle of a message.
        dropping,
    } = .nothing,
    refusals: Refusals = .{},

    pub fn init(_: *Stream, socket: *Socket) error{OutOfMemory}!void {
        try socket.ring.open_scratch(&socket.resources.slabs);
    }

    pub fn deinit(stream: *Stream, socket: *Socket) void {
        stream.table.deinit(socket.resources.allocator);
    }

    pub fn find(stream: *const Stream, routing_id: []const u8) ?*Pipe {
        return stream.table.find(routing_id);
    }

    /// It has its id before it is connected: whoever called connect can ask for it and use it.
    pub fn attach(stream: *Stream, socket: *Socket, pipe: *Pipe) void {
        stream.queue.activate(pipe);
        stream.identify(socket, pipe) catch |failure| pipe.doom(switch (failure) {
            error.Duplicate => .duplicate_routing_id,
            error.OutOfMemory => .out_of_memory,
        });
    }

    fn identify(
        stream: *Stream,
        socket: *Socket,
        pipe: *Pipe,
    ) error{ OutOfMemory, Duplicate }!void {
        if (pipe.local_id.len == 0) {
            var buffer: [routing.made_up_bytes]u8 = undefined;
            try pipe.set_local_id(stream.table.make_up(&buffer));
        } else if (stream.find(pipe.local_id) != null) return error.Duplicate;
        try stream.table.put(socket.resources.allocator, pipe);
    }

    pub fn established(stream: *Stream, socket: *Socket, pipe: *Pipe) void {
        if (!socket.quiet) stream.notify(socket, pipe);
    }

    pub fn disconnected(stream: *Stream, socket: *Socket, pipe: *Pipe) void {
        stream.notify(socket, pipe);
    }

    fn notify(stream: *Stream, socket: *Socket, pipe: *Pipe) void {
        if (socket.options.stream_notify == 0 or !stream.table.has(pipe)) return;
        socket.receive_own(pipe, "");
        stream.queue.activate(pipe);
    }

    pub fn detach(stream: *Stream, socket: *Socket, pipe: *Pipe) void {
        stream.orphan(socket, pipe);
        if (stream.queue.detach(pipe)) socket.cut_message();
    }

    pub fn orphan(stream: *Stream, socket: *Socket, pipe: *Pipe) void {
        stream.table.remove(socket.resources.allocator, pipe);
        stream.cut_sending(socket, pipe);
        stream.refusals.reopen(pipe);
    }

    pub fn cut_sending(stream: *Stream, _: *Socket, pipe: *Pipe) void {
        if (stream.sending != .to or stream.sending.to.pipe != pipe) return;
        pipe.write_rollback();
        stream.sending = .dropping;
    }

    pub fn pipe_readable(stream: *Stream, socket: *Socket, pipe: *Pipe) void {
        if (!stream.table.has(pipe)) return socket.discard(pipe, &socket.record.dropped_refused);
        stream.queue.activate(pipe);
    }

    pub fn pipe_writable(stream: *Stream, _: *Socket, pipe: *Pipe) void {
        stream.refusals.reopen(pipe);
    }

    pub fn send(
        stream: *Stream,
        socket: *Socket,
        part: []const u8,
        more: bool,
        _: bool,
    ) sockets.SendError!void {
        switch (stream.sending) {
            .nothing => return stream.begin(part, more),
            .to => |it| {
                if (it.first and !more and part.len == 0) {
                    it.pipe.doom(.local);
                } else it.pipe.write_raw(part, more) catch |failure| {
                    stream.sending = .nothing;
                    return failure;
                };
                stream.sending.to.first = false;
            },
            .dropping => if (!more) {
                socket.record.dropped_disconnect += 1;
            },
        }
        if (!more) stream.sending = .nothing;
    }

    fn begin(stream: *Stream, id: []const u8, more: bool) sockets.SendError!void {
        if (!more) return error.InvalidMessage;
        const pipe = stream.find(id) orelse return error.Unroutable;
        // Being closed.
        if (pipe.doomed_link.linked()) return error.Unroutable;
        if (!pipe.writable()) return stream.refusals.refuse(pipe);
        stream.sending = .{ .to = .{ .pipe = pipe, .first = true } };
    }

    pub fn fill(stream: *Stream, socket: *Socket) sockets.ReceiveError!void {
        socket.fill_identified(&stream.queue);
    }

    pub fn readable(stream: *const Stream, socket: *const Socket) bool {
        return socket.ring.waiting() > 0 or !stream.queue.empty();
    }

    /// A refused message is worth another try when its connection has room.
    pub fn writable(stream: *const Stream, _: *const Socket) bool {
        return !stream.refusals.pending;
    }
};
