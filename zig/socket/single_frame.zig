//! Receiving for the types whose messages have one part (RFC 41, 49, 51, 52): a message of several
//! is dropped as a whole, as libzmq does it.

const std = @import("std");

const FairQueue = @import("fair_queue.zig").FairQueue;
const Socket = @import("socket.zig").Socket;

/// Fills the ring like `Socket.fill_from`. `numbered`: the number of its pipe goes before each
/// message.
pub fn fill(socket: *Socket, queue: *FairQueue, comptime numbered: bool) void {
    const ring = &socket.ring;
    const messages_max = socket.begin_fill() orelse return;
    var messages: u32 = 0;
    const arena = &socket.resources.arena;
    while (messages < messages_max and ring.free_entries() > @intFromBool(numbered)) {
        const taken = queue.next_part(arena) orelse break;
        const pipe = taken.pipe;
        if (taken.part.more) {
            socket.release_part(taken.part);
            socket.drop_rest(queue);
            socket.record.dropped_malformed += 1;
            continue;
        }
        ring.begin_message();
        if (numbered) ring.push_copy(std.mem.asBytes(&pipe.number), true, pipe.session);
        ring.push(arena, taken.part, pipe.session);
        messages += 1;
    }
    socket.record.messages_received += messages;
}
