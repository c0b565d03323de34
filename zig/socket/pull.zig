//! PULL (RFC 30) and GATHER (RFC 49): messages of all connected PUSH or SCATTER sockets, one of
//! each in turn. Nothing is sent.

const Pipe = @import("../core/pipe.zig").Pipe;
const FairQueue = @import("fair_queue.zig").FairQueue;
const sockets = @import("socket.zig");
const Socket = sockets.Socket;

pub const Pull = struct {
    queue: FairQueue = .{},

    pub fn attach(pull: *Pull, _: *Socket, pipe: *Pipe) void {
        pull.queue.activate(pipe);
    }

    pub fn detach(pull: *Pull, socket: *Socket, pipe: *Pipe) void {
        if (pull.queue.detach(pipe)) socket.cut_message();
    }

    pub fn pipe_readable(pull: *Pull, _: *Socket, pipe: *Pipe) void {
        pull.queue.activate(pipe);
    }

    pub fn fill(pull: *Pull, socket: *Socket) sockets.ReceiveError!void {
        socket.fill_from(&pull.queue);
    }

    pub fn readable(pull: *const Pull, socket: *const Socket) bool {
        return socket.ring.waiting() > 0 or !pull.queue.empty();
    }
};
