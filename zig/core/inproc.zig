//! A session whose connection is a link inside the process (net/inproc.zig). It is received from as
//! from a socket, so that everything behind that is shared; it is sent to by handing over segments.
//! There is no handshake: both sides know each other as soon as they are linked.

const std = @import("std");
const assert = std.debug.assert;

const constants = @import("../constants.zig");
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
    };
    if (socket_type.sends_identity()) result.set_routing_id(options.routing_id());
    return result;
}

/// Looks for the name, or waits for it.
pub fn start(session: anytype, mailbox: *inproc.Mailbox) Outcome {
    assert(session.kind == .connecting and session.link == null);
    const own = about(session.socket_type, session.options, session.pipe.conflated != null);
    session.state = .connecting;
    session.link = inproc.connect(session.name.text(), mailbox, session.handle, &own) catch {
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
    } else pipe.hand_over_max = news.send_limit;
    const half = pipes.Pipe.low_water_mark(news.receive_limit);
    // Without a limit, too: the sender counts what is on its way.
    const every = if (half == 0) constants.acknowledge_every_max else half;
    pipe.acknowledge_every = @min(every, constants.acknowledge_every_max);
    outcome.writable = take_credits(session, news.credits);
    // What was held back: nobody else will think of it.
    if (pipe.conflated != null and !outcome.established) _ = session.flush();
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
    session.engine.state = .traffic;
    session.engine.command_bytes_max = constants.command_bytes_max;
    session.engine.frame_bytes_max = constants.frame_bytes_max;
    session.state = .active;
    pipe.connected = true;
}

/// A link between two contexts, because its socket is; and how many messages each side had of the
/// other one's.
pub const Moving = struct {
    end: *inproc.End,
    handed_over: u32,
    unacknowledged: u32,
    /// The sender waits for room.
    full: bool,

    pub fn of(session: anytype) ?Moving {
        if (session.state != .active) return null;
        return .{
            .end = session.link orelse return null,
            .handed_over = session.pipe.handed_over,
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

/// Hands over everything that is complete.
pub fn flush(session: anytype) Outcome {
    if (session.state != .active or held_back(session)) return .{};
    const pipe = &session.pipe;
    const queue = &pipe.send;
    const before = queue.messages;
    var chain = queue.hand_over(&session.resources.slabs);
    if (chain.first == null) return .{ .drained = queue.empty() };
    const count = before - queue.messages;
    const credits = session.link.?.send(chain) catch {
        // The peer has just left: as with bytes that a kernel had taken.
        chain.free();
        pipe.lost += count;
        return .{ .drained = queue.empty(), .writable = pipe.drained() };
    };
    pipe.handed_over += count;
    return .{ .drained = queue.empty(), .writable = take_credits(session, credits) };
}

/// A queue of the newest message keeps it while the peer has not read enough of those before: they
/// would all wait there.
fn held_back(session: anytype) bool {
    const pipe = &session.pipe;
    const limit = pipe.hand_over_max;
    if (limit == 0 or pipe.handed_over < limit) return false;
    pipe.handed_over -|= session.link.?.want(pipe.handed_over - limit + 1);
    return pipe.handed_over >= limit;
}

/// So many messages of ours have been read. True: a full pipe takes messages again.
fn take_credits(session: anytype, credits: u32) bool {
    const pipe = &session.pipe;
    pipe.handed_over -|= credits;
    if (!pipe.send_full) return false;
    if (pipe.drained()) return true;
    // Only now the peer has to wake us.
    pipe.handed_over -|= session.link.?.want(pipe.too_many());
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
