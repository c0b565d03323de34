//! Gives messages to many pipes in turn: one whole message each. A full pipe leaves the list and
//! comes back when half of its queue has gone; the parts of one message stay on one pipe.

const std = @import("std");
const assert = std.debug.assert;

const List = @import("../stdx/intrusive_list.zig").List;
const Pipe = @import("../core/pipe.zig").Pipe;

pub const LoadBalancer = struct {
    active: List(Pipe, .send_link) = .{},
    /// The pipe that has the first parts of the message being sent.
    current: ?*Pipe = null,
    /// That pipe left in the middle of a message: the rest of it goes nowhere, never half of it.
    dropping: bool = false,

    pub fn activate(balancer: *LoadBalancer, pipe: *Pipe) void {
        if (pipe.send_full or pipe.send_link.linked()) return;
        balancer.active.push_back(pipe);
    }

    pub fn detach(balancer: *LoadBalancer, pipe: *Pipe) void {
        if (pipe.send_link.linked()) balancer.active.remove(pipe);
        balancer.cut(pipe);
    }

    /// The message being sent loses its pipe: nothing of it may stay there.
    pub fn cut(balancer: *LoadBalancer, pipe: *Pipe) void {
        if (balancer.current != pipe) return;
        pipe.write_rollback();
        balancer.current = null;
        balancer.dropping = true;
    }

    pub fn writable(balancer: *const LoadBalancer) bool {
        return !balancer.active.empty();
    }

    pub const Error = error{ WouldBlock, OutOfMemory };

    pub const Result = enum { queued, dropped };

    /// Sends one part. WouldBlock only ever refuses a first part.
    pub inline fn send(
        balancer: *LoadBalancer,
        part: []const u8,
        more: bool,
        borrow: bool,
    ) Error!Result {
        if (balancer.dropping) {
            if (!more) balancer.dropping = false;
            return .dropped;
        }
        const pipe = balancer.current orelse (balancer.active.first() orelse {
            return error.WouldBlock;
        });
        pipe.write(part, more, borrow) catch |failure| {
            balancer.current = null;
            return failure;
        };
        if (more) {
            balancer.current = pipe;
        } else {
            balancer.current = null;
            balancer.turn(pipe);
        }
        return .queued;
    }

    /// The pipe that the next message goes to.
    pub fn next_pipe(balancer: *const LoadBalancer) ?*Pipe {
        return balancer.current orelse balancer.active.first();
    }

    inline fn turn(balancer: *LoadBalancer, pipe: *Pipe) void {
        // A pipe that filled up was taken off the list by nobody else.
        if (!pipe.send_link.linked()) return;
        if (pipe.send_full) {
            balancer.active.remove(pipe);
        } else if (balancer.active.last() != pipe) {
            balancer.active.remove(pipe);
            balancer.active.push_back(pipe);
        }
    }
};
