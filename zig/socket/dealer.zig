//! DEALER (RFC 28) and CLIENT (RFC 41): messages go to the peers in turn, and those of all peers
//! are received in turn. Nothing is added to them and nothing taken away.

const Pipe = @import("../core/pipe.zig").Pipe;
const FairQueue = @import("fair_queue.zig").FairQueue;
const LoadBalancer = @import("load_balancer.zig").LoadBalancer;
const sockets = @import("socket.zig");
const Socket = sockets.Socket;

pub const Dealer = struct {
    balancer: LoadBalancer = .{},
    queue: FairQueue = .{},

    pub fn attach(dealer: *Dealer, _: *Socket, pipe: *Pipe) void {
        dealer.balancer.activate(pipe);
        dealer.queue.activate(pipe);
    }

    pub fn established(_: *Dealer, socket: *Socket, pipe: *Pipe) void {
        socket.greet(pipe);
    }

    pub fn disconnected(dealer: *Dealer, socket: *Socket, pipe: *Pipe) void {
        socket.hiccup(pipe);
        dealer.queue.activate(pipe);
    }

    pub fn detach(dealer: *Dealer, socket: *Socket, pipe: *Pipe) void {
        dealer.balancer.detach(pipe);
        if (dealer.queue.detach(pipe)) socket.cut_message();
    }

    pub fn orphan(dealer: *Dealer, _: *Socket, pipe: *Pipe) void {
        dealer.balancer.detach(pipe);
    }

    pub fn cut_sending(dealer: *Dealer, _: *Socket, pipe: *Pipe) void {
        dealer.balancer.cut(pipe);
    }

    pub fn pipe_readable(dealer: *Dealer, _: *Socket, pipe: *Pipe) void {
        dealer.queue.activate(pipe);
    }

    pub fn pipe_writable(dealer: *Dealer, _: *Socket, pipe: *Pipe) void {
        dealer.balancer.activate(pipe);
    }

    pub inline fn send(
        dealer: *Dealer,
        socket: *Socket,
        part: []const u8,
        more: bool,
        borrow: bool,
    ) sockets.SendError!void {
        try socket.send_in_turn(&dealer.balancer, part, more, borrow);
    }

    pub fn fill(dealer: *Dealer, socket: *Socket) sockets.ReceiveError!void {
        socket.fill_from(&dealer.queue);
    }

    pub fn readable(dealer: *const Dealer, socket: *const Socket) bool {
        return socket.ring.waiting() > 0 or !dealer.queue.empty();
    }

    pub fn writable(dealer: *const Dealer, _: *const Socket) bool {
        return dealer.balancer.writable();
    }
};
