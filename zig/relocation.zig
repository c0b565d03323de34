//! A socket moves from one context to another: a proxy runs on a thread of its own, and the sockets
//! it is given were made, bound and connected elsewhere.
//!
//!     context of JavaScript ── take ──▶ Luggage ── unpack ──▶ context of the proxy
//!
//! Descriptors move as they are, so no peer notices. What was received and not handed out, and
//! what was queued and not sent, moves as the bytes it has on the wire: `unpack` lets the engine
//! read it once more. Connections that were not yet up are made anew.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;

const Address = @import("io/address.zig").Address;
const constants = @import("constants.zig");
const curve = @import("zmtp/curve.zig");
const frame = @import("zmtp/frame.zig");
const Handshake = @import("zmtp/handshake.zig").Handshake;
const options_module = @import("options.zig");
const SocketOptions = options_module.SocketOptions;
const Begun = @import("core/oldest.zig").Begun;
const begun_of = @import("core/oldest.zig").begun_of;
const Moving = @import("core/inproc.zig").Moving;
const Outcome = @import("core/session.zig").Outcome;
const Pipe = @import("core/pipe.zig").Pipe;
const receive_ring = @import("core/receive_ring.zig");
const Secure = @import("core/secure.zig").Secure;
const Security = @import("zmtp/security.zig").Security;
const Slabs = @import("stdx/slab.zig").Slabs;
const SocketType = @import("zmtp/socket_type.zig").SocketType;
const socks = @import("net/socks.zig");
const sockets = @import("socket/socket.zig");
const PeerTraffic = @import("core/statistics.zig").PeerTraffic;

const bytes_options = std.enums.values(options_module.Bytes).len;

/// A socket between two contexts. Belongs to one thread at a time.
pub const Luggage = struct {
    arena: std.heap.ArenaAllocator,
    type: sockets.Type,
    options: SocketOptions,
    /// Its counters go on.
    record: sockets.Record = .{},
    bytes: [bytes_options][]const u8 = @splat(""),
    listeners: std.ArrayList(Listener) = .empty,
    connections: std.ArrayList(Connection) = .empty,
    security: ?*Security = null,
    /// What was taken out of its pipes and not handed out, as frames: messages, and what an XPUB
    /// has for its reader.
    pending: []const u8 = "",
    /// What a subscriber wants.
    topics: std.ArrayList([]const u8) = .empty,

    /// Closes what never arrived anywhere.
    pub fn deinit(luggage: *Luggage, io: anytype) void {
        for (luggage.listeners.items) |listener| if (listener.fd >= 0) io.close(listener.fd);
        for (luggage.connections.items) |it| {
            if (it.fd >= 0) io.close(it.fd);
            if (it.link) |link| link.end.close();
            if (it.secure) |secure| secure.wipe();
        }
        if (luggage.security) |security| security.release();
        luggage.arena.deinit();
        luggage.* = undefined;
    }
};

const Listener = struct {
    fd: i32,
    address: Address,
    adopted: bool,
    /// Of inproc; empty: the network.
    name: []const u8,
    /// Its handle before.
    endpoint: u32,
};

pub const Connection = struct {
    connecting: bool,
    /// -1: not connected.
    fd: i32 = -1,
    /// Of inproc, in place of a descriptor.
    link: ?Moving = null,
    name: []const u8 = "",
    endpoint: u32,
    named: bool = false,
    addresses: []const Address = &.{},
    address_index: u8 = 0,
    source: Address = .{},
    proxy: ?*const socks.Client = null,
    identity: []const u8 = "",
    local_id: []const u8 = "",
    speaks_3_1: bool = false,
    peer_type: ?SocketType = null,
    /// Of a publisher: what the peer gets, and what it asked for (manual).
    subscriptions: []const []const u8 = &.{},
    asked: []const []const u8 = &.{},
    /// Not done yet.
    handshake: ?*const Handshake = null,
    /// What of the handshake is still to be sent.
    control: []const u8 = "",
    /// From the peer: frames, and perhaps the beginning of one.
    received: []const u8 = "",
    /// For the peer: the rest of a message that it has in part, then whole ones.
    unsent: []const u8 = "",
    /// At its front, of what has gone in part already.
    unsent_begun: Begun = .{},
    traffic: ?PeerTraffic = null,
    unsent_messages: u32 = 0,
    /// Of CURVE.
    secure: ?*Encrypted = null,
};

/// The keys of a connection, and what they have encrypted already.
const Encrypted = struct {
    cipher: curve.Cipher,
    /// Frames that the kernel has not taken in full.
    sealed: []const u8,
    sent: u32,
    /// From the peer, the frame that is arriving.
    received: []const u8,

    fn wipe(encrypted: *Encrypted) void {
        encrypted.cipher.wipe();
    }

    fn of(session: anytype, arena: Allocator) error{OutOfMemory}!?*Encrypted {
        const secure = session.engine.security() orelse return null;
        const copied = try arena.create(Encrypted);
        var received: std.ArrayList(u8) = .empty;
        try append_incomplete(session, &received, arena);
        copied.* = .{
            .cipher = secure.cipher,
            .sealed = try arena.dupe(u8, secure.sealed[secure.told..secure.sealed_bytes]),
            .sent = secure.sent - secure.told,
            .received = received.items,
        };
        return copied;
    }
};

/// Takes a socket out of its context; its handle is gone. On failure it is to be closed: a
/// publisher has lost subscriptions.
pub fn take(context: anytype, allocator: Allocator, handle: u32) error{OutOfMemory}!Luggage {
    const slot = context.get(handle).?;
    // Payloads that only the caller's memory holds cannot be taken along.
    context.release_borrowed();
    context.take_mail();
    var luggage: Luggage = .{
        .arena = .init(allocator),
        .type = slot.socket.type,
        .options = slot.socket.options.*,
    };
    errdefer luggage.arena.deinit();
    errdefer for (luggage.connections.items) |it| if (it.secure) |secure| secure.wipe();
    const arena = luggage.arena.allocator();
    for (&luggage.bytes, 0..) |*bytes, index| {
        bytes.* = try arena.dupe(u8, slot.socket.bytes_of(@enumFromInt(index)));
    }
    luggage.pending = try copy_pending(&slot.socket, arena);
    var listener = slot.listeners.first();
    while (listener) |it| : (listener = slot.listeners.next(it)) {
        try luggage.listeners.append(arena, .{
            .fd = it.fd,
            .address = it.address,
            .adopted = it.adopted,
            .name = if (it.binding) |binding| try arena.dupe(u8, binding.name()) else "",
            .endpoint = it.handle,
        });
    }
    var session = slot.sessions.first();
    while (session) |it| : (session = slot.sessions.next(it)) {
        if (it.closing) continue;
        try luggage.connections.append(arena, try copy_session(it, &slot.socket, arena));
    }
    switch (slot.socket.pattern) {
        .subscriber => |*subscriber| try copy_topics(&subscriber.topics, &luggage.topics, arena),
        else => {},
    }
    luggage.record = slot.socket.record.*;
    if (slot.socket.security) |security| luggage.security = security.retain();
    strip(context, slot);
    context.close(handle, 0);
    return luggage;
}

/// From here on the descriptors are not the context's: it closes the rest.
fn strip(context: anytype, slot: anytype) void {
    var listener = slot.listeners.first();
    while (listener) |it| : (listener = slot.listeners.next(it)) it.surrender(context.io);
    var session = slot.sessions.first();
    while (session) |it| : (session = slot.sessions.next(it)) {
        if (link_of(it)) |link| {
            link.depart(it);
        } else if (moves(it)) it.surrender() else continue;
        // What is left is memory: the tail of a frame, a buffer that was lent.
        _ = it.disconnect(.local);
    }
}

/// What is in the ring was taken out of its pipe already, and so were an XPUB's notices.
fn copy_pending(socket: *const sockets.Socket, arena: Allocator) error{OutOfMemory}![]const u8 {
    var frames: std.ArrayList(u8) = .empty;
    const ring = &socket.ring;
    var position = ring.taken_until();
    while (position != ring.cursor.filled) : (position +%= 1) {
        const part = ring.peek(position);
        if (part.flags & receive_ring.flag_cut != 0) continue;
        const more = part.flags & receive_ring.flag_more != 0;
        try append_frame(&frames, arena, part.bytes, more);
    }
    if (socket.pattern != .publisher) return frames.items;
    var notice = socket.pattern.publisher.notices.head;
    while (notice) |it| : (notice = it.next) {
        try append_frame(&frames, arena, it.bytes[0..it.len], it.more);
    }
    return frames.items;
}

fn append_frame(
    frames: *std.ArrayList(u8),
    arena: Allocator,
    body: []const u8,
    more: bool,
) error{OutOfMemory}!void {
    var header: [frame.header_size_max]u8 = undefined;
    const size = frame.encode(&header, if (more) frame.flag_more else 0, body.len);
    try frames.appendSlice(arena, header[0..size]);
    try frames.appendSlice(arena, body);
}

/// A topic comes as often as it was asked for.
fn copy_topics(
    trie: anytype,
    topics: *std.ArrayList([]const u8),
    arena: Allocator,
) error{OutOfMemory}!void {
    var iterator = trie.iterator();
    while (iterator.next()) |topic| {
        const kept = try arena.dupe(u8, topic);
        for (0..trie.references(topic)) |_| try topics.append(arena, kept);
    }
}

/// What a trie says of a peer.
const Topics = struct {
    arena: Allocator,
    list: std.ArrayList([]const u8) = .empty,
    failed: bool = false,

    pub fn write(topics: *Topics, topic: []const u8, _: bool) void {
        topics.append(topic) catch {
            topics.failed = true;
        };
    }

    fn append(topics: *Topics, topic: []const u8) error{OutOfMemory}!void {
        try topics.list.append(topics.arena, try topics.arena.dupe(u8, topic));
    }
};

fn copy_subscriptions(
    result: *Connection,
    socket: *sockets.Socket,
    pipe: *const Pipe,
    arena: Allocator,
) error{OutOfMemory}!void {
    if (socket.pattern != .publisher or !pipe.socket_link.linked() or pipe.orphaned) return;
    var subscriptions: Topics = .{ .arena = arena };
    var asked: Topics = .{ .arena = arena };
    socket.pattern.publisher.take_topics(pipe, &subscriptions, &asked);
    if (subscriptions.failed or asked.failed) return error.OutOfMemory;
    result.subscriptions = subscriptions.list.items;
    result.asked = asked.list.items;
}

fn copy_session(
    session: anytype,
    socket: *sockets.Socket,
    arena: Allocator,
) error{OutOfMemory}!Connection {
    const pipe = &session.pipe;
    pipe.write_rollback();
    const link = link_of(session);
    if (session.state == .active and link == null and !moves(session)) {
        // Its connection stays behind: what that has in part is sent again, or not at all.
        _ = pipe.send.rewind(&session.resources.slabs);
    }
    var result: Connection = .{
        .connecting = session.kind == .connecting,
        .endpoint = session.endpoint,
        .link = link,
        .identity = try arena.dupe(u8, pipe.identity),
        .local_id = try arena.dupe(u8, pipe.local_id),
        .speaks_3_1 = pipe.speaks_3_1,
        .peer_type = pipe.peer_type,
        .unsent = try pipe.send.copy_unsent(arena),
        .unsent_begun = begun_of(&pipe.send),
        .unsent_messages = pipe.send.messages,
        .traffic = if (pipe.peer_traffic) |it| it.* else null,
    };
    if (session.route) |route| try copy_route(&result, route, arena);
    try copy_subscriptions(&result, socket, pipe, arena);
    var received: std.ArrayList(u8) = .empty;
    var run = pipe.receive.head;
    while (run) |it| : (run = it.next) {
        const bytes = it.bytes[it.position..it.len];
        if (it.storage == .lent) {
            try append_frame(&received, arena, bytes, it.more);
        } else try received.appendSlice(arena, bytes);
    }
    if (moves(session)) result.secure = try .of(session, arena);
    if (link != null or (moves(session) and result.secure == null)) {
        try append_incomplete(session, &received, arena);
    }
    if (moves(session)) {
        result.fd = session.fd;
        const unsent_control = session.control[session.control_sent..session.control_bytes];
        result.control = try arena.dupe(u8, unsent_control);
        if (session.engine.state == .handshaking) {
            result.handshake = try arena_copy(arena, session.engine.state.handshaking.*);
        }
    }
    result.received = received.items;
    return result;
}

fn copy_route(result: *Connection, route: anytype, arena: Allocator) error{OutOfMemory}!void {
    result.name = try arena.dupe(u8, route.name.text());
    result.named = route.named;
    result.addresses = try arena.dupe(Address, route.addresses[0..route.addresses_count]);
    result.address_index = route.address_index;
    result.source = route.source;
    if (route.proxy) |proxy| result.proxy = try arena_copy(arena, proxy.*);
}

/// Whether its connection goes along; what is not connected yet, connects there.
fn moves(session: anytype) bool {
    if (session.closing or session.fd < 0 or has_much(session)) return false;
    if (session.state == .active) return true;
    // Keys that are not agreed upon yet are made anew.
    return session.state == .handshaking and session.engine.state.handshaking.secured == null;
}

/// The same for a link.
fn link_of(session: anytype) ?Moving {
    return if (session.closing or has_much(session)) null else .of(session);
}

/// Much of a large frame: nothing can hold it but the buffer that was lent for it.
fn has_much(session: anytype) bool {
    const large = session.large orelse return false;
    return large.received > constants.large_step_bytes / 2;
}

fn arena_copy(arena: Allocator, value: anytype) error{OutOfMemory}!*const @TypeOf(value) {
    const copied = try arena.create(@TypeOf(value));
    copied.* = value;
    return copied;
}

/// The frame that is arriving.
fn append_incomplete(
    session: anytype,
    received: *std.ArrayList(u8),
    arena: Allocator,
) error{OutOfMemory}!void {
    if (session.large) |large| {
        var header: [frame.header_size_max]u8 = undefined;
        const more: u8 = if (large.more) frame.flag_more else 0;
        const flags = if (large.command) frame.flag_command else more;
        const size = frame.encode(&header, flags, large.body_bytes);
        try received.appendSlice(arena, header[0..size]);
        try received.appendSlice(arena, large.buffer[0..large.received]);
    }
    try received.appendSlice(arena, session.tail[0..session.tail_bytes]);
}

/// Opens the socket in another context; the descriptors are that one's from then on, also those of
/// connections that could not be kept within its memory (they are closed and counted as lost).
/// `moved` is told every connecting session's handle before and now.
pub fn unpack(context: anytype, luggage: *Luggage, moved: anytype) !u32 {
    const handle = try context.open(luggage.type);
    errdefer context.close(handle, 0);
    const slot = context.get(handle).?;
    for (luggage.bytes, 0..) |bytes, index| {
        try slot.socket.set_bytes(@enumFromInt(index), bytes);
    }
    if (luggage.security) |security| slot.socket.secure(security.retain());
    slot.socket.options.* = luggage.options;
    slot.socket.record.* = luggage.record;
    // What is there now, not what has been, is counted anew.
    slot.socket.record.cursor = .{};
    slot.socket.record.connections = 0;
    slot.socket.record.events_waiting = 0;
    for (luggage.topics.items) |topic| try slot.socket.subscribe(topic, true);
    // The peers know us already: nobody greets them again.
    slot.socket.quiet = true;
    defer slot.socket.quiet = false;
    for (luggage.listeners.items) |*listener| {
        if (listener.name.len > 0) {
            const bound = try context.bind_inproc(handle, listener.name);
            try moved.note(listener.endpoint, bound);
            continue;
        }
        slot.socket.options.use_fd = listener.fd;
        const endpoint = try context.bind(handle, &listener.address);
        context.listener_table.get(endpoint).?.adopted = listener.adopted;
        listener.fd = -1;
    }
    slot.socket.options.use_fd = luggage.options.use_fd;
    for (luggage.connections.items) |*connection| {
        // Accepted, and not there any more: nothing is left of it but what it had sent.
        const endpoint = try make_connection(context, slot, connection);
        if (connection.connecting) try moved.note(connection.endpoint, endpoint);
    }
    return handle;
}

fn make_connection(context: anytype, slot: anytype, connection: *Connection) !u32 {
    const kind: @FieldType(@TypeOf(context.*).Session, "kind") =
        if (connection.connecting) .connecting else .accepted;
    const session = try context.make_session(slot, kind, 0);
    // The context ends it like any other when something below fails, before it is counted.
    errdefer session.state = .idle;
    const endpoint = session.handle;
    const pipe = &session.pipe;
    try restore_pipe(pipe, &context.resources.slabs, connection);
    try restore_route(session, connection);
    var linked: ?Outcome = null;
    if (connection.link) |link| linked = link.arrive(session, &context.mailbox);
    connection.link = null;
    const keep_pipe = connection.connecting and slot.socket.options.immediate == 0;
    const subscribed = connection.subscriptions.len + connection.asked.len > 0;
    if (keep_pipe or subscribed) slot.socket.attach(pipe);
    // Before what it has sent since.
    if (subscribed) try slot.socket.pattern.publisher.restore(
        &slot.socket,
        pipe,
        connection.subscriptions,
        connection.asked,
    );
    if (linked) |*outcome| {
        try feed(session, connection.received, outcome);
        context.apply(session, outcome.*);
        return endpoint;
    }
    if (connection.fd >= 0) {
        const fd = connection.fd;
        connection.fd = -1;
        context.apply(session, try adopt(session, fd, connection));
        return endpoint;
    }
    var outcome: Outcome = .{};
    session.engine.state = .{ .traffic = null };
    session.engine.trust();
    try feed(session, connection.received, &outcome);
    session.engine.state = .idle;
    if (!connection.connecting) {
        // Its peer has left: what it had sent is still to be read.
        if (!outcome.received) context.destroy(session) else {
            if (!pipe.socket_link.linked()) slot.socket.attach(pipe);
            slot.socket.orphan(pipe);
            session.state = .ended;
        }
        return endpoint;
    }
    context.apply(session, outcome);
    context.attempt(session);
    return endpoint;
}

fn restore_pipe(pipe: *Pipe, slabs: *Slabs, connection: *const Connection) error{OutOfMemory}!void {
    try pipe.set_identity(connection.identity);
    try pipe.set_local_id(connection.local_id);
    pipe.speaks_3_1 = connection.speaks_3_1;
    pipe.peer_type = connection.peer_type;
    if (connection.traffic) |*known| pipe.restore_traffic(known);
    pipe.send.travels = connection.link != null or connection.name.len > 0;
    const begun = connection.unsent_begun;
    const rest = connection.unsent[0..@intCast(begun.bytes)];
    const whole = connection.unsent[rest.len..];
    const messages = connection.unsent_messages - begun.messages;
    if (rest.len > 0) try pipe.send.push_unsent(slabs, rest, begun.messages, true);
    if (whole.len > 0) try pipe.send.push_unsent(slabs, whole, messages, false);
    pipe.send_full = pipe.conflated == null and pipe.send_limit_reached();
}

fn restore_route(session: anytype, connection: *const Connection) error{OutOfMemory}!void {
    const route = session.route orelse return;
    const slabs = &session.resources.slabs;
    if (connection.name.len > 0) try route.name.set(slabs, connection.name);
    route.named = connection.named;
    route.set_addresses(connection.addresses);
    route.address_index = connection.address_index;
    try session.set_route(&connection.source, connection.proxy);
}

/// Goes on with a connection where it was.
fn adopt(session: anytype, fd: i32, connection: *const Connection) !Outcome {
    session.fd = fd;
    session.peer = .of(&session.io.peer_address(fd));
    session.set_limits();
    try session.watch_readable();
    if (connection.handshake) |handshake| return adopt_handshake(session, handshake, connection);
    session.state = .active;
    session.engine.state = .{ .traffic = try restore_secure(session, connection) };
    session.pipe.connected = true;
    if (session.send_control(connection.control) != null) return error.OutOfMemory;
    // Bytes may be there already; the watch only tells of what comes later.
    session.readable = true;
    var outcome: Outcome = .{ .established = true };
    try feed(session, connection.received, &outcome);
    const encrypted = connection.secure orelse return outcome;
    var rest = encrypted.received;
    if (frame.decode(rest)) |header| if (header.body_size > constants.arena_frame_bytes_max) {
        // The arena may not hold what has come of it.
        const body_bytes = std.math.cast(u32, header.body_size) orelse return error.InvalidMessage;
        rest = rest[header.header_size..];
        const refused = session.begin_large(.{ .body_bytes = body_bytes }, &outcome);
        if (refused != null) return error.OutOfMemory;
    };
    try session.keep_tail(rest);
    session.tail_due = session.large == null and rest.len > 0;
    return outcome;
}

fn restore_secure(session: anytype, connection: *const Connection) error{OutOfMemory}!?*Secure {
    const encrypted = connection.secure orelse return null;
    const slabs = &session.resources.slabs;
    const secure: *Secure = try .create(slabs, &encrypted.cipher);
    errdefer secure.destroy(slabs);
    try secure.restore(slabs, encrypted.sealed, encrypted.sent);
    session.pipe.send.held = secure.held();
    return secure;
}

fn adopt_handshake(
    session: anytype,
    handshake: *const Handshake,
    connection: *const Connection,
) !Outcome {
    session.state = .handshaking;
    const slabs = &session.resources.slabs;
    const own = try slabs.create(Handshake);
    errdefer if (session.engine.state != .handshaking) slabs.destroy(own);
    own.* = handshake.*;
    own.config.routing_id = session.options.routing_id();
    const metadata = session.options.metadata();
    own.config.extra_metadata = try @TypeOf(session.engine).keep_metadata(slabs, metadata);
    session.engine.state = .{ .handshaking = own };
    try session.keep_tail(connection.received);
    if (session.send_control(connection.control) != null) return error.OutOfMemory;
    session.readable = true;
    return .{ .connected = true };
}

/// What the engine has read once, it reads again.
fn feed(session: anytype, bytes: []const u8, outcome: *Outcome) !void {
    var rest = bytes;
    while (true) {
        const scan = session.engine.scan(rest);
        if (scan.frames_bytes > 0) {
            const frames = rest[0..scan.frames_bytes];
            const slabs = &session.resources.slabs;
            const receive = &session.pipe.receive;
            try receive.push_frames(slabs, frames, scan.messages, scan.boundary_end);
            if (scan.messages > 0) outcome.received = true;
            rest = rest[scan.frames_bytes..];
        }
        switch (scan.then) {
            .rest => return session.keep_tail(rest),
            .failure => return error.InvalidMessage,
            .command => |found| {
                if (session.act(found.body, outcome) != null) return error.InvalidMessage;
                rest = rest[found.frame_bytes..];
            },
            .large => |found| {
                const refused = session.begin_large(.{
                    .body_bytes = found.body_bytes,
                    .more = found.more,
                    .command = found.command,
                }, outcome);
                if (refused != null) return error.OutOfMemory;
                return session.keep_tail(rest[found.header_bytes..]);
            },
        }
    }
}
