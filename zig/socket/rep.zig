//! REP (RFC 28): a request, then its reply, in lockstep; requests of all peers in turn.
//!
//!     ready ──request──▶ received ──taken──▶ owing ──send──▶ replying ──last part──▶ ready
//!
//! The frames up to and including the first empty one are the way back, of any number of hops.
//! They are kept and go before the reply. A message without an empty frame is dropped and counted.

const std = @import("std");
const assert = std.debug.assert;

const Envelope = @import("../core/envelope.zig").Envelope;
const Pipe = @import("../core/pipe.zig").Pipe;
const FairQueue = @import("fair_queue.zig").FairQueue;
const sockets = @import("socket.zig");
const Socket = sockets.Socket;

pub const Rep = struct {
    queue: FairQueue = .{},
    state: State = .ready,
    /// Who asked; null: gone, the reply is dropped.
    reply_pipe: ?*Pipe = null,
    envelope: Envelope = .{},
    /// The reply goes nowhere: its peer has left or takes no more.
    dropping: bool = false,

    const State = enum {
        ready,
        /// The request is in the ring, or its first parts are.
        received,
        /// The first part of the reply has been queued.
        replying,
    };

    pub fn deinit(rep: *Rep, socket: *Socket) void {
        rep.envelope.clear(&socket.resources.slabs);
    }

    pub fn attach(rep: *Rep, _: *Socket, pipe: *Pipe) void {
        rep.queue.activate(pipe);
    }

    pub fn detach(rep: *Rep, socket: *Socket, pipe: *Pipe) void {
        const cut = rep.queue.detach(pipe);
        if (cut) socket.cut_message();
        rep.cut_sending(socket, pipe);
        if (rep.reply_pipe == pipe) rep.reply_pipe = null;
        if (!cut or rep.state != .received) return;
        rep.state = .ready;
        rep.prefetch(socket);
    }

    /// The reply being written loses its peer.
    pub fn cut_sending(rep: *Rep, _: *Socket, pipe: *Pipe) void {
        pipe.write_rollback();
        if (rep.reply_pipe == pipe and rep.state == .replying) rep.dropping = true;
    }

    pub fn pipe_readable(rep: *Rep, socket: *Socket, pipe: *Pipe) void {
        rep.queue.activate(pipe);
        rep.prefetch(socket);
    }

    fn prefetch(rep: *Rep, socket: *Socket) void {
        // What was cut off in the ring is still to be taken.
        if (rep.state != .ready or socket.ring.waiting() > 0) return;
        while (!rep.queue.empty()) {
            const pipe = rep.queue.active.first().?;
            if (!rep.take_envelope(socket)) continue;
            rep.state = .received;
            rep.reply_pipe = pipe;
            socket.fill_message(&rep.queue);
            return;
        }
    }

    /// Keeps the frames up to the first empty one; false: there was none, the message is gone.
    fn take_envelope(rep: *Rep, socket: *Socket) bool {
        const slabs = &socket.resources.slabs;
        rep.envelope.clear(slabs);
        while (true) {
            const taken = rep.queue.next_part(&socket.resources.arena).?;
            const bytes = taken.part.bytes[0..taken.part.len];
            const kept = rep.envelope.append(slabs, bytes);
            const last = bytes.len == 0;
            const more = taken.part.more;
            socket.release_part(taken.part);
            if (kept and last and more) return true;
            if (!more or !kept or last) {
                if (more) socket.drop_rest(&rep.queue);
                socket.record.dropped_malformed += 1;
                rep.envelope.clear(slabs);
                return false;
            }
        }
    }

    pub fn fill(rep: *Rep, socket: *Socket) sockets.ReceiveError!void {
        switch (rep.state) {
            .ready => rep.prefetch(socket),
            .received => {
                if (socket.ring.waiting() > 0) return;
                if (rep.queue.current == null) return error.WrongState;
                // A request with more parts than the ring holds.
                socket.fill_rest(&rep.queue);
            },
            .replying => return error.WrongState,
        }
    }

    pub fn send(
        rep: *Rep,
        socket: *Socket,
        part: []const u8,
        more: bool,
        borrow: bool,
    ) sockets.SendError!void {
        switch (rep.state) {
            .ready => return error.WrongState,
            .received => {
                if (!rep.owing(socket)) return error.WrongState;
                try rep.begin(socket);
            },
            .replying => {},
        }
        if (rep.dropping) {
            if (!more) socket.record.dropped_no_peer += 1;
        } else rep.reply_pipe.?.write(part, more, borrow) catch |failure| {
            // The whole reply was taken back; the requester still waits for one.
            rep.state = .received;
            return failure;
        };
        rep.state = if (more) .replying else .ready;
        if (!more) {
            rep.reply_pipe = null;
            rep.dropping = false;
            rep.prefetch(socket);
        }
    }

    fn begin(rep: *Rep, _: *Socket) sockets.SendError!void {
        const pipe = rep.reply_pipe orelse {
            rep.dropping = true;
            return;
        };
        rep.dropping = !pipe.writable();
        if (rep.dropping) return;
        var parts = rep.envelope.iterator();
        while (parts.next()) |part| try pipe.write(part, true, false);
    }

    /// The request has been taken, its reply is due.
    fn owing(rep: *const Rep, socket: *const Socket) bool {
        if (rep.state != .received) return rep.state == .replying;
        return rep.queue.current == null and socket.ring.waiting() == 0;
    }

    pub fn readable(rep: *const Rep, socket: *const Socket) bool {
        return rep.state == .received and socket.ring.waiting() > 0;
    }

    pub fn writable(rep: *const Rep, socket: *const Socket) bool {
        return rep.owing(socket);
    }
};
