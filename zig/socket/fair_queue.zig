//! Takes messages from many pipes in turn: one whole message each, whatever its size. Pipes with
//! nothing to read are not in the list, so a thousand idle pipes cost nothing.

const std = @import("std");
const assert = std.debug.assert;

const Arena = @import("../core/arena.zig").Arena;
const List = @import("../stdx/intrusive_list.zig").List;
const Part = @import("../core/receive_queue.zig").Part;
const Pipe = @import("../core/pipe.zig").Pipe;

pub const FairQueue = struct {
    active: List(Pipe, .receive_link) = .{},
    /// The pipe whose message is being taken.
    current: ?*Pipe = null,

    /// The pipe has at least one complete message.
    pub fn activate(queue: *FairQueue, pipe: *Pipe) void {
        if (pipe.receive.messages == 0 or pipe.receive_link.linked()) return;
        queue.active.push_back(pipe);
    }

    /// Returns true when a message was being taken from this pipe: its rest will not come.
    pub fn detach(queue: *FairQueue, pipe: *Pipe) bool {
        if (pipe.receive_link.linked()) queue.active.remove(pipe);
        if (queue.current != pipe) return false;
        queue.current = null;
        return true;
    }

    pub fn empty(queue: *const FairQueue) bool {
        return queue.active.empty();
    }

    pub const Taken = struct { part: Part, pipe: *Pipe };

    pub inline fn next_part(queue: *FairQueue, arena: *Arena) ?Taken {
        const pipe = queue.current orelse (queue.active.first() orelse return null);
        const part = pipe.receive.next_part(arena);
        if (part.more) {
            queue.current = pipe;
        } else {
            queue.current = null;
            queue.turn(pipe);
            pipe.taken();
        }
        return .{ .part = part, .pipe = pipe };
    }

    inline fn turn(queue: *FairQueue, pipe: *Pipe) void {
        if (pipe.receive.messages == 0) {
            queue.active.remove(pipe);
        } else if (queue.active.last() != pipe) {
            queue.active.remove(pipe);
            queue.active.push_back(pipe);
        }
    }
};
