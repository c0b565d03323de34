//! SERVER (RFC 41) and PEER: messages of one part to peers that are told apart by a number of ours,
//! which never goes over the wire. The first part of a received message is the number of its
//! sender, that of a sent one the number of its receiver: 4 bytes, in the machine's order.

const std = @import("std");
const assert = std.debug.assert;

const FairQueue = @import("fair_queue.zig").FairQueue;
const Pipe = @import("../core/pipe.zig").Pipe;
const single_frame = @import("single_frame.zig");
const Refusals = @import("refusals.zig").Refusals;
const sockets = @import("socket.zig");
const Socket = sockets.Socket;

pub const Server = struct {
    /// Peers by `Pipe.number`. Nobody else chooses these, so any hash will do.
    peers: std.array_hash_map.Auto(u32, *Pipe) = .empty,
    /// Where to look for the next number; it starts anywhere, so that one of before means nobody.
    next: u32,
    queue: FairQueue = .{},
    sending: union(enum) {
        nothing,
        /// The part that follows goes to this peer.
        to: *Pipe,
        /// It goes nowhere: the peer has left since.
        dropping,
    } = .nothing,
    refusals: Refusals = .{},

    pub fn init(_: *Server, socket: *Socket) error{OutOfMemory}!void {
        try socket.ring.open_scratch(&socket.resources.slabs);
    }

    pub fn deinit(server: *Server, socket: *Socket) void {
        assert(server.peers.count() == 0);
        server.peers.deinit(socket.resources.allocator);
    }

    // -- peers ----------------------------------------------------------------------------------

    pub fn find(server: *const Server, number: []const u8) ?*Pipe {
        if (number.len != @sizeOf(u32)) return null;
        return server.peers.get(std.mem.bytesToValue(u32, number));
    }

    /// It has its number before it is connected: whoever called connect can ask for it and use it.
    pub fn attach(server: *Server, socket: *Socket, pipe: *Pipe) void {
        server.identify(socket, pipe) catch return pipe.doom(.out_of_memory);
        server.queue.activate(pipe);
    }

    fn identify(server: *Server, socket: *Socket, pipe: *Pipe) error{OutOfMemory}!void {
        const allocator = socket.resources.allocator;
        if (pipe.number != 0) {
            // It was here before, and keeps its number if nobody has got it meanwhile.
            const place = try server.peers.getOrPut(allocator, pipe.number);
            if (!place.found_existing) place.value_ptr.* = pipe;
            if (place.value_ptr.* == pipe) return;
        }
        while (server.next == 0 or server.peers.contains(server.next)) server.next +%= 1;
        try server.peers.put(allocator, server.next, pipe);
        pipe.number = server.next;
        server.next +%= 1;
    }

    pub fn established(server: *Server, socket: *Socket, pipe: *Pipe) void {
        // There may have been no memory for its number.
        server.attach(socket, pipe);
        if (pipe.number != 0) socket.greet(pipe);
    }

    pub fn disconnected(server: *Server, socket: *Socket, pipe: *Pipe) void {
        if (pipe.number == 0) return;
        socket.say_goodbye(pipe);
        if (socket.type == .peer) socket.hiccup(pipe);
        server.queue.activate(pipe);
    }

    pub fn detach(server: *Server, socket: *Socket, pipe: *Pipe) void {
        server.orphan(socket, pipe);
        if (server.queue.detach(pipe)) socket.cut_message();
    }

    pub fn orphan(server: *Server, socket: *Socket, pipe: *Pipe) void {
        server.cut_sending(socket, pipe);
        // Who waited for it is told that it has gone.
        server.refusals.reopen(pipe);
        if (server.peers.get(pipe.number) != pipe) return;
        _ = server.peers.swapRemove(pipe.number);
        if (server.peers.count() > 0 or server.peers.capacity() <= capacity_kept) return;
        server.peers.clearAndFree(socket.resources.allocator);
    }

    /// A table that is empty again gives back more than this many places.
    const capacity_kept = 64;

    pub fn cut_sending(server: *Server, _: *Socket, pipe: *Pipe) void {
        if (server.sending == .to and server.sending.to == pipe) server.sending = .dropping;
    }

    pub fn pipe_readable(server: *Server, socket: *Socket, pipe: *Pipe) void {
        if (pipe.number == 0) return socket.discard(pipe, &socket.record.dropped_refused);
        server.queue.activate(pipe);
    }

    pub fn pipe_writable(server: *Server, _: *Socket, pipe: *Pipe) void {
        server.refusals.reopen(pipe);
    }

    // -- the owner's calls ----------------------------------------------------------------------

    pub fn send(
        server: *Server,
        socket: *Socket,
        part: []const u8,
        more: bool,
        borrow: bool,
    ) sockets.SendError!void {
        const sending = server.sending;
        if (sending == .nothing) return server.begin(part, more);
        server.sending = .nothing;
        if (more) return error.InvalidMessage;
        switch (sending) {
            .nothing => unreachable,
            .to => |pipe| try pipe.write(part, false, borrow),
            .dropping => socket.record.dropped_disconnect += 1,
        }
    }

    /// The first part is the number of the receiver and goes no further.
    fn begin(server: *Server, number: []const u8, more: bool) sockets.SendError!void {
        if (!more or number.len != @sizeOf(u32)) return error.InvalidMessage;
        const pipe = server.find(number) orelse return error.Unroutable;
        // Its owner has ended it.
        if (pipe.doomed_link.linked()) return error.Unroutable;
        if (!pipe.writable()) return server.refusals.refuse(pipe);
        server.sending = .{ .to = pipe };
    }

    pub fn fill(server: *Server, socket: *Socket) sockets.ReceiveError!void {
        single_frame.fill(socket, &server.queue, true);
    }

    pub fn readable(server: *const Server, socket: *const Socket) bool {
        return socket.ring.waiting() > 0 or !server.queue.empty();
    }

    /// A refused message is worth another try when its peer has room, not when any peer has.
    pub fn writable(server: *const Server, _: *const Socket) bool {
        return !server.refusals.pending;
    }
};
