//! REQ (RFC 28): a request, then its reply, in lockstep.
//!
//!     ready ──send──▶ sending ──last part──▶ awaiting ──reply──▶ replied ──taken──▶ ready
//!                                              │  ▲
//!                                              └──┘ relaxed: another request instead
//!
//!     on the wire:   [request id, 4 bytes, with `correlate`] [empty] [body ...]
//!
//! Only the peer that got the request may answer. Whatever else arrives, a stale reply, one with
//! another id or without its delimiter, is dropped and counted and never reaches a waiting call.

const std = @import("std");
const assert = std.debug.assert;

const Pipe = @import("../core/pipe.zig").Pipe;
const FairQueue = @import("fair_queue.zig").FairQueue;
const LoadBalancer = @import("load_balancer.zig").LoadBalancer;
const sockets = @import("socket.zig");
const Socket = sockets.Socket;

pub const Req = struct {
    balancer: LoadBalancer = .{},
    queue: FairQueue = .{},
    state: State = .ready,
    /// Who has the request. Null while awaiting: that peer is gone, any may answer.
    reply_pipe: ?*Pipe = null,
    request_id: u32,

    const State = enum {
        ready,
        /// The first part has been queued.
        sending,
        awaiting,
        /// The reply is in the ring, or its first parts are.
        replied,
    };

    pub fn attach(req: *Req, _: *Socket, pipe: *Pipe) void {
        req.balancer.activate(pipe);
        req.queue.activate(pipe);
    }

    pub fn established(_: *Req, socket: *Socket, pipe: *Pipe) void {
        socket.greet(pipe);
    }

    pub fn detach(req: *Req, socket: *Socket, pipe: *Pipe) void {
        req.balancer.detach(pipe);
        if (req.queue.detach(pipe)) {
            socket.cut_message();
            if (req.state == .replied) req.state = .awaiting;
        }
        // The filter is lifted: whoever answers now is believed, as with libzmq.
        if (req.reply_pipe == pipe) req.reply_pipe = null;
    }

    pub fn orphan(req: *Req, _: *Socket, pipe: *Pipe) void {
        req.balancer.detach(pipe);
    }

    pub fn cut_sending(req: *Req, _: *Socket, pipe: *Pipe) void {
        req.balancer.cut(pipe);
    }

    pub fn pipe_writable(req: *Req, _: *Socket, pipe: *Pipe) void {
        req.balancer.activate(pipe);
    }

    pub fn pipe_readable(req: *Req, socket: *Socket, pipe: *Pipe) void {
        req.queue.activate(pipe);
        req.prefetch(socket);
    }

    /// The reply that was in the ring has been taken.
    fn settle(req: *Req, socket: *const Socket) void {
        if (req.state != .replied) return;
        if (req.queue.current == null and socket.ring.waiting() == 0) req.state = .ready;
    }

    pub fn send(
        req: *Req,
        socket: *Socket,
        part: []const u8,
        more: bool,
        borrow: bool,
    ) sockets.SendError!void {
        req.settle(socket);
        if (req.state != .sending) {
            const relaxed = socket.options.request_relaxed != 0;
            if (req.state != .ready and !relaxed) return error.WrongState;
            try req.begin(socket);
        }
        const result = req.balancer.send(part, more, borrow) catch |failure| {
            req.state = .ready;
            req.reply_pipe = null;
            return failure;
        };
        if (result == .dropped) socket.count_dropped(more);
        req.state = if (more) .sending else .awaiting;
    }

    fn begin(req: *Req, socket: *Socket) sockets.SendError!void {
        const pipe = req.balancer.next_pipe() orelse return error.WouldBlock;
        req.discard_queued(socket);
        req.reply_pipe = null;
        // The request before is given up already.
        errdefer req.state = .ready;
        if (socket.options.request_correlate != 0) {
            req.request_id +%= 1;
            _ = try req.balancer.send(std.mem.asBytes(&req.request_id), true, false);
        }
        _ = try req.balancer.send("", true, false);
        req.reply_pipe = pipe;
        req.state = .sending;
    }

    /// Replies to earlier requests must not be taken for this one's.
    fn discard_queued(req: *Req, socket: *Socket) void {
        socket.drop_ring(&socket.record.dropped_stale);
        req.drop_queued(socket);
    }

    fn drop_queued(req: *Req, socket: *Socket) void {
        while (!req.queue.empty()) _ = socket.drop_message(&req.queue);
        assert(req.queue.current == null);
    }

    /// Looks for the reply and puts it into the ring; drops what is not it.
    fn prefetch(req: *Req, socket: *Socket) void {
        // What was cut off in the ring is still to be taken.
        while (req.state == .awaiting and socket.ring.waiting() == 0 and !req.queue.empty()) {
            if (!req.accept_envelope(socket)) continue;
            req.state = .replied;
            socket.fill_message(&req.queue);
        }
        // Nobody asked for more: left there, it would keep us from noticing that a peer has gone.
        const answered = req.state == .ready or req.state == .replied;
        if (answered and req.queue.current == null) req.drop_queued(socket);
    }

    /// Takes the frames before the body; false: dropped, it was not the reply.
    fn accept_envelope(req: *Req, socket: *Socket) bool {
        const from = req.queue.active.first().?;
        if (req.reply_pipe) |expected| {
            if (from != expected) return socket.drop_message(&req.queue);
        }
        if (socket.options.request_correlate != 0) {
            const id = std.mem.asBytes(&req.request_id);
            if (!socket.skip_part(&req.queue, id)) return false;
        }
        return socket.skip_part(&req.queue, "");
    }

    pub fn fill(req: *Req, socket: *Socket) sockets.ReceiveError!void {
        switch (req.state) {
            .ready, .sending => return error.WrongState,
            .awaiting => req.prefetch(socket),
            .replied => {
                if (socket.ring.waiting() > 0) return;
                if (req.queue.current == null) {
                    req.state = .ready;
                    return error.WrongState;
                }
                // A reply with more parts than the ring holds.
                socket.fill_rest(&req.queue);
            },
        }
    }

    pub fn readable(req: *const Req, socket: *const Socket) bool {
        return req.state == .replied and socket.ring.waiting() > 0;
    }

    pub fn writable(req: *const Req, socket: *const Socket) bool {
        if (!req.balancer.writable()) return false;
        if (socket.options.request_relaxed != 0) return true;
        return switch (req.state) {
            .ready, .sending => true,
            .awaiting => false,
            .replied => req.queue.current == null and socket.ring.waiting() == 0,
        };
    }
};
