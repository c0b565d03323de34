//! A session whose connection is a link inside the process (net/inproc.zig). It is received from as
//! from a socket, so that everything behind that is shared; it is sent to by handing over segments.
//! There is no handshake: both sides know each other as soon as they are linked.

const std = @import("std");
const assert = std.debug.assert;

const constants = @import("../constants.zig");
const cut = @import("oldest.zig").cut;
const inproc = @import("../net/inproc.zig");
const Outcome = @import("session.zig").Outcome;
const io_module = @import("../io/io.zig");
const pipes = @import("pipe.zig");
const slab = @import("../stdx/slab.zig");
const SocketOptions = @import("../options.zig").SocketOptions;
const SocketType = @import("../zmtp/socket_type.zig").SocketType;
const compatible = @import("../zmtp/socket_type.zig").compatible;

/// Messages taken out of a link before they are read, where `receive_high_water_mark` sets no
/// limit: the others stay where they are, in memory that need not be moved.
const read_ahead_messages = 1000;

/// What a session is linked by; none: by the network.
pub const Name = struct {
    block: slab.Block = &.{},
    bytes: u16 = 0,

    pub fn text(name: *const Name) []const u8 {
        return name.block[0..name.bytes];
    }

    pub fn set(name: *Name, slabs: *slab.Slabs, to: []const u8) error{OutOfMemory}!void {
        assert(name.block.len == 0 and to.len > 0);
        name.block = try slabs.allocate(to.len);
        @memcpy(name.block[0..to.len], to);
        name.bytes = @intCast(to.len);
    }

    pub fn free(name: *Name, slabs: *slab.Slabs) void {
        if (name.block.len > 0) slabs.free(name.block);
        name.* = .{};
    }
};

/// `conflates`: of what is queued the newest message counts, more need not be on its way.
pub fn about(
    socket_type: SocketType,
    options: *const SocketOptions,
    conflates: bool,
) inproc.About {
    var result: inproc.About = .{
        .socket_type = socket_type,
        .send_high_water_mark = if (conflates) 1 else options.send_high_water_mark,
        .receive_high_water_mark = if (conflates) 1 else options.receive_high_water_mark,
        .send_high_water_mark_bytes = if (conflates) 0 else options.send_high_water_mark_bytes,
        .holds_back = !conflates and options.policy() == .drop_oldest,
    };
    if (socket_type.sends_identity()) result.set_routing_id(options.routing_id());
    return result;
}

/// Looks for the name, or waits for it.
pub fn start(session: anytype, mailbox: *inproc.Mailbox) Outcome {
    assert(session.kind == .connecting and session.link == null);
    const own = about(session.socket_type, session.options, session.pipe.conflated != null);
    const name = session.route.?.name.text();
    session.state = .connecting;
    session.link = inproc.connect(name, mailbox, session.handle, &own) catch {
        return session.disconnect(.out_of_memory);
    };
    return collect(session);
}

/// Acts on what the other side has left at our end.
pub fn collect(session: anytype) Outcome {
    const end = session.link.?;
    const news = end.collect() orelse return .{};
    var outcome: Outcome = .{};
    if (session.state != .active) {
        outcome.connected = true;
        if (establish(session)) |reason| {
            session.state = .handshaking;
            outcome = session.disconnect(reason);
            outcome.connected = true;
            return outcome;
        }
        outcome.established = true;
    }
    const pipe = &session.pipe;
    // Where only the newest message counts, each side drops for itself.
    if (pipe.conflated == null) {
        pipe.send_high_water_mark = news.send_limit;
        pipe.hand_over_max = news.send_hold;
    } else pipe.hand_over_max = news.send_limit;
    const half = pipes.Pipe.low_water_mark(news.receive_limit);
    // Without a limit, too: the sender counts what is on its way.
    const every = if (half == 0) constants.acknowledge_every_max else half;
    // Who holds back waits for those that we have.
    const hold = news.receive_hold;
    const held = if (hold == 0) every else pipes.Pipe.low_water_mark(hold);
    pipe.acknowledge_every = @min(every, held, constants.acknowledge_every_max);
    outcome.writable = take_credits(session, news.credits);
    // What was held back: nobody else will think of it.
    if (pipe.hand_over_max != 0 and !outcome.established) {
        const waiting = !pipe.send.empty();
        const flushed = session.flush();
        outcome.writable = outcome.writable or flushed.writable;
        outcome.drained = waiting and flushed.drained;
    }
    session.readable = session.readable or end.readable();
    session.end_behind = end.peer_gone;
    return outcome;
}

fn establish(session: anytype) ?@TypeOf(session.pipe.doom_reason) {
    const peer = session.link.?.peer();
    if (!compatible(session.socket_type, peer.socket_type)) return .socket_type_mismatch;
    session.pipe.set_identity(peer.routing_id()) catch return .out_of_memory;
    session.pipe.speaks_3_1 = true;
    session.pipe.peer_type = peer.socket_type;
    session.pipe.reset_handed_over(0);
    session.backoff.reset();
    begin_traffic(session);
    return null;
}

fn begin_traffic(session: anytype) void {
    const pipe = &session.pipe;
    // Subscriptions to a publisher that conflates do not wait, and every one counts.
    if (pipe.receive_high_water_mark == 0 and pipe.conflated == null) {
        pipe.receive_high_water_mark = read_ahead_messages;
    }
    session.engine.state = .{ .traffic = null };
    session.engine.command_bytes_max = constants.command_bytes_max;
    session.engine.trust();
    session.state = .active;
    pipe.connected = true;
}

/// A link between two contexts, because its socket is; and how many messages each side had of the
/// other one's.
pub const Moving = struct {
    end: *inproc.End,
    handed_over: u32,
    handed_over_bytes: u64,
    unacknowledged: u32,
    /// The sender waits for room.
    full: bool,

    pub fn of(session: anytype) ?Moving {
        if (session.state != .active) return null;
        return .{
            .end = session.link orelse return null,
            .handed_over = session.pipe.handed_over,
            .handed_over_bytes = session.pipe.handed_over_bytes,
            .unacknowledged = session.pipe.read_unacknowledged(),
            .full = session.pipe.send_full,
        };
    }

    /// The session holds it no more, nobody does.
    pub fn depart(moving: Moving, session: anytype) void {
        moving.end.move(&inproc.transit, session.handle);
        session.link = null;
        session.pipe.reset_handed_over(0);
    }

    /// To a session of another context, whose pipe is still empty.
    pub fn arrive(moving: Moving, session: anytype, mailbox: *inproc.Mailbox) Outcome {
        const pipe = &session.pipe;
        assert(pipe.receive.arrived == 0 and session.link == null);
        session.link = moving.end;
        moving.end.move(mailbox, session.handle);
        begin_traffic(session);
        pipe.handed_over = moving.handed_over;
        pipe.handed_over_bytes = moving.handed_over_bytes;
        pipe.acknowledged = 0 -% moving.unacknowledged;
        // The peer is asked again to tell of room.
        pipe.send_full = moving.full;
        var outcome = collect(session);
        outcome.established = true;
        return outcome;
    }
};

/// Receives from whatever the session is connected by.
pub fn receive(session: anytype, target: []u8) io_module.ReceiveError!usize {
    if (session.link) |end| return end.receive(&.{target});
    return session.io.receive(session.fd, target);
}

pub fn receive_vector(
    session: anytype,
    vectors: []std.posix.iovec,
) io_module.ReceiveError!usize {
    const end = session.link orelse return session.io.receive_vector(session.fd, vectors);
    var buffers: [2][]u8 = undefined;
    for (buffers[0..vectors.len], vectors) |*buffer, vector| {
        buffer.* = vector.base[0..vector.len];
    }
    return end.receive(buffers[0..vectors.len]);
}

/// Hands over what is complete, and no more than the peer may have.
pub fn flush(session: anytype) Outcome {
    const pipe = &session.pipe;
    const queue = &pipe.send;
    var writable = false;
    while (session.state == .active and !queue.empty() and !held_back(session)) {
        const before = queue.messages;
        const bytes_before = queue.bytes;
        const slabs = &session.resources.slabs;
        var chain = queue.hand_over(slabs, if (pipe.hand_over_max == 0)
            std.math.maxInt(u32)
        else
            cut(queue, slabs, pipe.hand_over_max - pipe.handed_over, room_bytes(pipe)));
        if (chain.first == null) break;
        const count = before - queue.messages;
        const credits = session.link.?.send(chain) catch {
            // The peer has just left: as with bytes that a kernel had taken.
            chain.free();
            pipe.lost += count;
            break;
        };
        const bytes = bytes_before - queue.bytes;
        pipe.handed_over += count;
        pipe.handed_over_bytes += bytes;
        pipe.count_out(count -| pipe.subscriptions_queued, bytes);
        pipe.subscriptions_queued -|= count;
        if (take_credits(session, credits)) writable = true;
    }
    return .{ .drained = queue.empty(), .writable = pipe.drained() or writable };
}

/// A queue of the newest message keeps it while the peer has not read enough of those before: they
/// would all wait there. Where the oldest give way, they can do so only here.
fn held_back(session: anytype) bool {
    const pipe = &session.pipe;
    const limit = pipe.hand_over_max;
    if (limit == 0) return false;
    const bytes_max = hand_over_bytes_max(pipe);
    for (0..2) |_| {
        const wanted: inproc.Credits = .{
            .messages = (pipe.handed_over +| 1) -| limit,
            .bytes = (pipe.handed_over_bytes +| 1) -| bytes_max,
        };
        if (wanted.messages == 0 and wanted.bytes == 0) return false;
        settle(pipe, session.link.?.want(wanted));
    }
    return true;
}

/// Half of a queue's mark may be in the link, the other half can be dropped.
fn hand_over_bytes_max(pipe: *const pipes.Pipe) u64 {
    const mark = pipe.send_bytes_max;
    return if (mark == 0) std.math.maxInt(u64) else @max(1, mark / 2);
}

fn room_bytes(pipe: *const pipes.Pipe) u64 {
    return hand_over_bytes_max(pipe) - pipe.handed_over_bytes;
}

fn settle(pipe: *pipes.Pipe, credits: inproc.Credits) void {
    pipe.handed_over -|= credits.messages;
    pipe.handed_over_bytes -|= credits.bytes;
}

/// So much of ours has been read, or taken. True: a full pipe takes messages again.
fn take_credits(session: anytype, credits: inproc.Credits) bool {
    const pipe = &session.pipe;
    settle(pipe, credits);
    if (!pipe.send_full) return false;
    if (pipe.drained()) return true;
    // Only now the peer has to wake us.
    const wanted: inproc.Credits = .{
        .messages = pipe.too_many(),
        .bytes = pipe.too_many_bytes(),
    };
    settle(pipe, session.link.?.want(wanted));
    return pipe.drained();
}

/// Tells the peer what has been read.
pub fn acknowledge(session: anytype) void {
    const count = session.pipe.read_unacknowledged();
    session.pipe.acknowledged +%= count;
    session.link.?.acknowledge(count);
}

/// Leaves the link. Messages that it did not take stay for the next one.
pub fn leave(session: anytype) void {
    const end = session.link orelse return;
    session.link = null;
    end.close();
    const pipe = &session.pipe;
    pipe.reset_handed_over(0);
    if (pipe.conflated == null) {
        pipe.send_high_water_mark = session.options.send_high_water_mark;
    }
}
