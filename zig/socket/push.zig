//! PUSH (RFC 30) and SCATTER (RFC 49): messages go to the connected PULL or GATHER sockets in turn.
//! Nothing is received.

const Pipe = @import("../core/pipe.zig").Pipe;
const LoadBalancer = @import("load_balancer.zig").LoadBalancer;
const sockets = @import("socket.zig");
const Socket = sockets.Socket;

pub const Push = struct {
    balancer: LoadBalancer = .{},

    pub fn attach(push: *Push, _: *Socket, pipe: *Pipe) void {
        push.balancer.activate(pipe);
    }

    pub fn detach(push: *Push, _: *Socket, pipe: *Pipe) void {
        push.balancer.detach(pipe);
    }

    pub fn orphan(push: *Push, _: *Socket, pipe: *Pipe) void {
        push.balancer.detach(pipe);
    }

    pub fn cut_sending(push: *Push, _: *Socket, pipe: *Pipe) void {
        push.balancer.cut(pipe);
    }

    pub fn pipe_writable(push: *Push, _: *Socket, pipe: *Pipe) void {
        push.balancer.activate(pipe);
    }

    /// Whatever a PULL sends is no message for anyone.
    pub fn pipe_readable(_: *Push, socket: *Socket, pipe: *Pipe) void {
        socket.discard(pipe, &socket.record.dropped_malformed);
    }

    pub inline fn send(
        push: *Push,
        socket: *Socket,
        part: []const u8,
        more: bool,
        borrow: bool,
    ) sockets.SendError!void {
        try socket.send_in_turn(&push.balancer, part, more, borrow);
    }

    pub fn writable(push: *const Push, _: *const Socket) bool {
        return push.balancer.writable();
    }
};
