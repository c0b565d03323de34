//! PAIR (RFC 31) and CHANNEL (RFC 52): one peer, messages in both directions. A second peer is
//! refused while the first is there, where libzmq lets it connect and never reads from it.

const Pipe = @import("../core/pipe.zig").Pipe;
const FairQueue = @import("fair_queue.zig").FairQueue;
const LoadBalancer = @import("load_balancer.zig").LoadBalancer;
const sockets = @import("socket.zig");
const Socket = sockets.Socket;

pub const Pair = struct {
    /// The peer; what was sent by the one before may still be in the queue.
    pipe: ?*Pipe = null,
    balancer: LoadBalancer = .{},
    queue: FairQueue = .{},

    pub fn attach(pair: *Pair, _: *Socket, pipe: *Pipe) void {
        if (pair.pipe != null) return;
        pair.pipe = pipe;
        pair.balancer.activate(pipe);
        if (pair.queue.empty()) pair.queue.activate(pipe);
    }

    pub fn established(pair: *Pair, _: *Socket, pipe: *Pipe) void {
        if (pair.pipe != pipe) pipe.doom(.peer_refused);
    }

    pub fn detach(pair: *Pair, socket: *Socket, pipe: *Pipe) void {
        pair.leave(socket, pipe);
        if (pair.queue.detach(pipe)) socket.cut_message();
        pair.read_on(socket, pipe);
    }

    /// What peers that have left had sent is read first, of one after the other.
    fn read_on(pair: *Pair, socket: *Socket, gone: ?*Pipe) void {
        var next = socket.pipes.first();
        while (next) |pipe| : (next = socket.pipes.next(pipe)) {
            if (pipe == gone or !pipe.orphaned or pipe.receive.messages == 0) continue;
            return pair.queue.activate(pipe);
        }
        if (pair.pipe) |present| if (pair.queue.empty()) pair.queue.activate(present);
    }

    pub fn orphan(pair: *Pair, socket: *Socket, pipe: *Pipe) void {
        pair.leave(socket, pipe);
        pair.read_on(socket, null);
    }

    fn leave(pair: *Pair, socket: *Socket, pipe: *Pipe) void {
        pair.balancer.detach(pipe);
        if (pair.pipe != pipe) return;
        pair.pipe = null;
        pair.choose(socket, pipe);
    }

    /// Another one that was made by connect takes the place: it may be refused again and again
    /// otherwise, though nobody else is there.
    fn choose(pair: *Pair, socket: *Socket, gone: *Pipe) void {
        var next = socket.pipes.first();
        while (next) |pipe| : (next = socket.pipes.next(pipe)) {
            if (pipe == gone or pipe.orphaned or !pipe.connecting) continue;
            return pair.attach(socket, pipe);
        }
    }

    pub fn cut_sending(pair: *Pair, _: *Socket, pipe: *Pipe) void {
        pair.balancer.cut(pipe);
    }

    pub fn pipe_readable(pair: *Pair, socket: *Socket, pipe: *Pipe) void {
        // A refused peer's, in the moment before its connection ends.
        if (pair.pipe != pipe) return socket.discard(pipe, &socket.record.dropped_refused);
        // Not in turn with what the peer before had sent.
        if (pair.queue.empty()) pair.queue.activate(pipe);
    }

    pub fn pipe_writable(pair: *Pair, _: *Socket, pipe: *Pipe) void {
        if (pair.pipe == pipe) pair.balancer.activate(pipe);
    }

    pub inline fn send(
        pair: *Pair,
        socket: *Socket,
        part: []const u8,
        more: bool,
        borrow: bool,
    ) sockets.SendError!void {
        try socket.send_in_turn(&pair.balancer, part, more, borrow);
    }

    pub fn fill(pair: *Pair, socket: *Socket) sockets.ReceiveError!void {
        socket.fill_from(&pair.queue);
    }

    pub fn readable(pair: *const Pair, socket: *const Socket) bool {
        return socket.ring.waiting() > 0 or !pair.queue.empty();
    }

    pub fn writable(pair: *const Pair, _: *const Socket) bool {
        return pair.balancer.writable();
    }
};
