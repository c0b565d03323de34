//! Sends one message to many pipes. It is framed once, into a block that all their queues refer to,
//! and a range of bytes is all that each pipe gets:
//!
//!     block   [ sent | this message | free ]        matched: pipe ─ pipe ─ pipe
//!                    ^start         ^used           each: ... segment start..used
//!
//! The receivers are chosen with the first part. A pipe without room loses this message and no
//! other, or what overflow.zig says, and nobody waits for it; one that comes later gets the next
//! message, one that goes is left out of the rest.

const std = @import("std");
const assert = std.debug.assert;

const constants = @import("../constants.zig");
const List = @import("../stdx/intrusive_list.zig").List;
const overflow = @import("overflow.zig");
const Pipe = @import("../core/pipe.zig").Pipe;
const Shared = @import("../core/shared_frames.zig").Shared;
const Slabs = @import("../stdx/slab.zig").Slabs;
const Socket = @import("socket.zig").Socket;

pub const Distributor = struct {
    /// Who gets the message being written.
    matched: List(Pipe, .matched_link) = .{},
    /// Who would, with room for it.
    full: List(Pipe, .matched_link) = .{},
    /// More parts of the message are to come.
    open: bool = false,
    /// Parts of it are in the block, from `start` on; the last one begins at `last_part`.
    framing: bool = false,
    shared: ?*Shared = null,
    start: u32 = 0,
    last_part: u32 = 0,
    /// A message was refused for pipes that might only have wanted a flush. They had it.
    late: bool = false,
    /// A message waits for room in this pipe (no drop).
    blocked: ?*Pipe = null,

    pub fn deinit(distributor: *Distributor, slabs: *Slabs) void {
        assert(distributor.matched.empty() and distributor.full.empty());
        if (distributor.shared) |shared| shared.release(slabs);
        distributor.shared = null;
    }

    /// The pipe gets the next message; twice is fine.
    pub inline fn select(distributor: *Distributor, pipe: *Pipe) void {
        if (pipe.matched_link.linked()) return;
        const list = if (pipe.send_full) &distributor.full else &distributor.matched;
        list.push_back(pipe);
    }

    /// Those that were not selected get it.
    pub fn invert(distributor: *Distributor, pipe: *Pipe) void {
        if (!pipe.matched_link.linked()) return distributor.select(pipe);
        const list = if (pipe.send_full) &distributor.full else &distributor.matched;
        list.remove(pipe);
    }

    /// The receivers have been selected. `drop`: those without room lose the message, otherwise
    /// they keep it back from all.
    pub inline fn begin(
        distributor: *Distributor,
        socket: *Socket,
        drop: bool,
    ) error{WouldBlock}!void {
        assert(!distributor.open and !distributor.framing);
        if (!distributor.full.empty()) {
            try distributor.begin_full(socket, drop);
        } else if (distributor.matched.empty()) socket.record.dropped_unsubscribed += 1;
        distributor.late = false;
        distributor.blocked = null;
        distributor.open = true;
    }

    fn begin_full(distributor: *Distributor, socket: *Socket, drop: bool) error{WouldBlock}!void {
        if (!drop) {
            distributor.blocked = distributor.full.first();
            distributor.deselect();
            return error.WouldBlock;
        }
        if (!distributor.late and distributor.unflushed()) {
            distributor.late = true;
            distributor.deselect();
            return error.WouldBlock;
        }
        while (distributor.full.pop_front()) |pipe| {
            if (overflow.make_room(socket, pipe)) {
                distributor.matched.push_back(pipe);
            } else socket.record.dropped_high_water_mark += 1;
        }
    }

    /// A burst fills queues that the kernel would empty at once. A pipe that waits for the kernel
    /// is not dirty, so a slow one does not cause a flush for each message.
    fn unflushed(distributor: *const Distributor) bool {
        var next = distributor.full.first();
        while (next) |pipe| : (next = distributor.full.next(pipe)) {
            if (pipe.dirty_link.linked()) return true;
        }
        return false;
    }

    fn deselect(distributor: *Distributor) void {
        while (distributor.matched.pop_front()) |_| {}
        while (distributor.full.pop_front()) |_| {}
    }

    /// One part of a message that was begun.
    pub inline fn write(
        distributor: *Distributor,
        socket: *Socket,
        part: []const u8,
        more: bool,
    ) error{OutOfMemory}!void {
        assert(distributor.open);
        distributor.open = more;
        if (distributor.matched.empty()) return distributor.take_back();
        const slabs = &socket.resources.slabs;
        const shared = distributor.room(slabs, Shared.bytes_of(part)) catch {
            distributor.cancel();
            return error.OutOfMemory;
        };
        distributor.last_part = shared.used;
        shared.write(part, more);
        if (!more) distributor.hand_out(socket);
    }

    /// The message is complete after all: what was to follow is not sent.
    pub fn end(distributor: *Distributor, socket: *Socket) void {
        assert(distributor.open);
        distributor.open = false;
        if (distributor.matched.empty()) return distributor.take_back();
        distributor.shared.?.end_message(distributor.last_part);
        distributor.hand_out(socket);
    }

    /// Nothing of the message is sent.
    pub fn cancel(distributor: *Distributor) void {
        distributor.open = false;
        distributor.take_back();
        distributor.deselect();
    }

    inline fn hand_out(distributor: *Distributor, socket: *Socket) void {
        const shared = distributor.shared.?;
        const from = distributor.start;
        const to = shared.used;
        distributor.framing = false;
        // Once, not for each pipe: it is the length of their queues that asks for a flush.
        socket.resources.dirty_bytes += to - from;
        while (distributor.matched.pop_front()) |pipe| {
            pipe.write_shared(shared, from, to) catch {
                socket.record.dropped_high_water_mark += 1;
            };
        }
        if (shared.capacity > constants.shared_bytes_kept) {
            distributor.shared = null;
            shared.release(&socket.resources.slabs);
        }
    }

    /// A block with so much room behind the parts of this message that are there already.
    inline fn room(
        distributor: *Distributor,
        slabs: *Slabs,
        bytes: usize,
    ) error{OutOfMemory}!*Shared {
        if (distributor.shared) |shared| {
            if (!distributor.framing) {
                // Everybody has sent all of it.
                if (shared.references == 1) shared.used = 0;
                distributor.start = shared.used;
                distributor.framing = true;
            }
            if (shared.capacity - shared.used >= bytes) return shared;
        }
        return distributor.move(slabs, bytes);
    }

    /// To another block: a message is in one piece.
    fn move(distributor: *Distributor, slabs: *Slabs, bytes: usize) error{OutOfMemory}!*Shared {
        const old = distributor.shared;
        const kept = if (old) |it| it.used - distributor.start else 0;
        if (kept + bytes > constants.frame_bytes_max) return error.OutOfMemory;
        // Many parts that do not fit are not moved for each of them.
        const need = if (kept > 0) @min(2 * (kept + bytes), constants.frame_bytes_max) else bytes;
        const usual: usize = if (old == null)
            constants.segment_bytes_small
        else
            constants.segment_bytes;
        const fresh = try Shared.create(slabs, @max(need, usual));
        if (old) |it| {
            @memcpy(fresh.data()[0..kept], it.data()[distributor.start..][0..kept]);
            it.used = distributor.start;
            it.release(slabs);
        }
        fresh.used = @intCast(kept);
        distributor.shared = fresh;
        distributor.start = 0;
        distributor.framing = true;
        return fresh;
    }

    fn take_back(distributor: *Distributor) void {
        if (!distributor.framing) return;
        distributor.framing = false;
        distributor.shared.?.used = distributor.start;
    }

    /// The pipe goes; true: in the middle of a message that it will not get.
    pub fn detach(distributor: *Distributor, pipe: *Pipe) bool {
        if (distributor.blocked == pipe) distributor.blocked = null;
        if (!pipe.matched_link.linked()) return false;
        distributor.matched.remove(pipe);
        return true;
    }
};
