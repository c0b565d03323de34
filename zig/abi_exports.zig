//! The C-callable functions: check what came in, resolve the handle, call, return a status. No
//! logic. Each thread has its own context; a call without one finds nothing and says EBADF.

const std = @import("std");
const assert = std.debug.assert;

const abi = @import("abi.zig");
const abi_fingerprint = @import("abi_fingerprint.zig");
const Address = @import("io/address.zig").Address;
const contexts = @import("context.zig");
const inproc = @import("net/inproc.zig");
const shared_blocks = @import("stdx/shared_blocks.zig");
const Slabs = @import("stdx/slab.zig").Slabs;
const socks = @import("net/socks.zig");
const options = @import("options.zig");
const proxies = @import("proxy.zig");
const secure_session = @import("core/secure_session.zig");
const Security = secure_session.Security;
const sockets = @import("socket/socket.zig");
const sodium = @import("crypto/sodium.zig");
const Status = abi.Status;
const Verdict = secure_session.Verdict;
const Backend = @import("io/backend.zig").Backend;
const constants = @import("constants.zig");

const Context = contexts.ContextType(Backend);
const Proxy = proxies.ProxyType(Backend);
const allocator = std.heap.c_allocator;

/// A thread's context with what only the way in and out of it needs.
const Owner = struct {
    wanted: abi.Backend,
    io: Backend,
    context: Context,
    record: abi.ContextRecord = .{},
    ticks: u64 = 0,
    /// Parts of the message being sent lie in the caller's memory until it is complete.
    borrowing: bool = false,
    /// By number less one; null: destroyed.
    proxies: std.ArrayList(?*Proxy) = .empty,
};

threadlocal var current: ?*Owner = null;

/// Runs `owner_gone` when a thread ends: a Worker's terminate() runs no JavaScript.
var thread_key: std.c.pthread_key_t = 0;
var thread_key_state: std.atomic.Value(u32) = .init(0);

fn thread_key_ready() bool {
    // 0: nobody has made the key, 1: somebody does, 2: it is there, 3: it cannot be had.
    while (true) switch (thread_key_state.load(.acquire)) {
        0 => if (thread_key_state.cmpxchgStrong(0, 1, .acquire, .acquire) == null) {
            const made = std.c.pthread_key_create(&thread_key, owner_gone) == .SUCCESS;
            thread_key_state.store(if (made) 2 else 3, .release);
        },
        1 => std.atomic.spinLoopHint(),
        2 => return true,
        else => return false,
    };
}

fn owner_gone(value: *anyopaque) callconv(.c) void {
    const owner: *Owner = @ptrCast(@alignCast(value));
    destroy(owner);
}

fn destroy(owner: *Owner) void {
    for (owner.proxies.items) |proxy| if (proxy) |it| it.set_command(.end_now);
    for (owner.proxies.items) |proxy| if (proxy) |it| it.destroy();
    owner.proxies.deinit(allocator);
    owner.context.deinit();
    owner.io.deinit();
    allocator.destroy(owner);
}

fn status(failure: anyerror) i32 {
    return @intFromEnum(@as(Status, switch (failure) {
        error.WouldBlock => .EAGAIN,
        error.WrongState => .EFSM,
        error.NotSupported => .ENOTSUP,
        error.OutOfMemory => .ENOMEM,
        error.TooMany => .EMFILE,
        error.UnknownHandle => .EBADF,
        error.AddressInUse => .EADDRINUSE,
        error.AddressNotAvailable => .EADDRNOTAVAIL,
        error.AddressFamilyNotSupported => .EAFNOSUPPORT,
        error.PermissionDenied => .EACCES,
        error.NoSuchPath => .ENOENT,
        error.NotADirectory => .ENOTDIR,
        error.NameTooLong => .ENAMETOOLONG,
        error.DescriptorsExhausted => .EMFILE,
        error.SystemResources => .ENOBUFS,
        error.InvalidArgument => .EINVAL,
        error.NotPermitted => .EPERM,
        error.NoSuchDevice => .ENODEV,
        error.Unsupported => .ENOSYS,
        error.Unroutable => .EHOSTUNREACH,
        error.InvalidMessage, error.BadKey => .EINVAL,
        else => .EIO,
    }));
}

const bad_handle = @intFromEnum(Status.EBADF);
const invalid = @intFromEnum(Status.EINVAL);

fn slice(pointer: ?[*]u8, bytes: u32) []u8 {
    // An empty typed array may have no memory at all.
    if (bytes == 0) return &.{};
    return (pointer orelse return &.{})[0..bytes];
}

pub fn fingerprint() callconv(.c) u32 {
    return abi_fingerprint.value;
}

pub fn context_create(memory_mib: u32, backend: u32) callconv(.c) i32 {
    const wanted = std.enums.fromInt(abi.Backend, backend) orelse return invalid;
    if (current != null) return @intFromEnum(Status.OK);
    if (!thread_key_ready()) return @intFromEnum(Status.ENOMEM);
    const owner = allocator.create(Owner) catch return @intFromEnum(Status.ENOMEM);
    owner.* = .{ .wanted = wanted, .io = undefined, .context = undefined };
    owner.io.init(allocator, wanted) catch |failure| {
        defer allocator.destroy(owner);
        if (failure == error.Unsupported) return -@as(i32, owner.io.refusal.errno);
        return status(failure);
    };
    owner.record.backend = .{
        .kind = @intFromEnum(owner.io.kind()),
        .wake = @intFromEnum(owner.io.wake_kind()),
        .refused_step = @intFromEnum(owner.io.refusal.step),
        .refused_errno = owner.io.refusal.errno,
    };
    const seed = owner.io.now_ns() ^ @intFromPtr(owner);
    const memory_bytes = @as(u64, memory_mib) * 1024 * 1024;
    owner.context.init(allocator, &owner.io, memory_bytes, seed);
    if (std.c.pthread_setspecific(thread_key, owner) != 0) {
        destroy(owner);
        return @intFromEnum(Status.ENOMEM);
    }
    current = owner;
    return @intFromEnum(Status.OK);
}

pub fn context_destroy() callconv(.c) void {
    const owner = current orelse return;
    current = null;
    _ = std.c.pthread_setspecific(thread_key, null);
    destroy(owner);
}

pub fn context_record() callconv(.c) ?*abi.ContextRecord {
    const owner = current orelse return null;
    return &owner.record;
}

pub fn context_stats() callconv(.c) void {
    const owner = current orelse return;
    owner.record.stats = owner.context.read_stats(owner.ticks);
}

pub fn wake_descriptor() callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    return owner.io.wake_fd();
}

pub fn wake_duplicate() callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    return owner.io.wake_duplicate() catch |failure| status(failure);
}

pub fn wake_drain() callconv(.c) void {
    const owner = current orelse return;
    owner.io.wake_drain();
}

pub fn arena_lend(chunk: ?[*]u8, bytes: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    if (bytes < constants.arena_bytes_default or bytes > constants.arena_bytes_max) return invalid;
    owner.context.lend_arena(slice(chunk, bytes)) catch |failure| return status(failure);
    return @intFromEnum(Status.OK);
}

pub fn arena_viewed(viewed: u32) callconv(.c) void {
    const owner = current orelse return;
    owner.context.resources.arena.viewed = viewed != 0;
}

pub fn tick(blocking: u32) callconv(.c) u32 {
    const owner = current orelse return 0;
    owner.ticks += 1;
    return @bitCast(owner.context.turn(if (blocking != 0) .call else .poll));
}

pub fn memory_limit(kibibytes: u32) callconv(.c) void {
    const owner = current orelse return;
    owner.context.resources.slabs.set_budget(@max(1, @as(u64, kibibytes)) * 1024);
}

pub fn spin(microseconds: u32) callconv(.c) void {
    const owner = current orelse return;
    owner.context.polling.spin = .{ .limit_ns = @as(u64, microseconds) * std.time.ns_per_us };
}

pub fn poll() callconv(.c) void {
    const owner = current orelse return;
    owner.context.poll();
}

pub fn flush() callconv(.c) u32 {
    const owner = current orelse return 0;
    owner.context.flush();
    return @intFromBool(owner.context.has_mail());
}

pub fn wait(timeout_ms: i32) callconv(.c) u32 {
    const owner = current orelse return 0;
    owner.ticks += 1;
    const timeout_ns: ?u64 = if (timeout_ms < 0)
        null
    else
        @as(u64, @intCast(timeout_ms)) * std.time.ns_per_ms;
    return @bitCast(owner.context.wait(timeout_ns));
}

pub fn has_events() callconv(.c) u32 {
    const owner = current orelse return 0;
    return @intFromBool(owner.context.has_events() or owner.context.has_mail());
}

pub fn events() callconv(.c) u32 {
    const owner = current orelse return 0;
    var count: u32 = 0;
    while (count < abi.events_batch) : (count += 1) {
        owner.record.events[count] = owner.context.next_event() orelse break;
    }
    return count;
}

pub fn socket_open(socket_type: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const known = std.enums.fromInt(sockets.Type, socket_type) orelse return invalid;
    owner.record.result = owner.context.open(known) catch |failure| return status(failure);
    return @intFromEnum(Status.OK);
}

pub fn socket_shared(socket: u32) callconv(.c) ?*sockets.Shared {
    const owner = current orelse return null;
    const slot = owner.context.get(socket) orelse return null;
    return slot.shared;
}

/// 0: it has ended, and the result is how many messages were not sent; 1: an event tells when.
pub fn socket_close(socket: u32, linger_ms: i32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const slot = owner.context.get(socket) orelse return bad_handle;
    const lost = owner.context.close_asking(slot, linger_ms) orelse return 1;
    owner.record.result = std.math.lossyCast(u32, lost);
    return @intFromEnum(Status.OK);
}

/// Its shared memory is gone after this.
pub fn socket_forget(socket: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    return if (owner.context.forget(socket)) @intFromEnum(Status.OK) else bad_handle;
}

fn read_address(record: *const abi.AddressRecord) error{ InvalidArgument, NameTooLong }!Address {
    if (record.data_bytes > record.data.len) return error.NameTooLong;
    const data = record.data[0..record.data_bytes];
    const port = std.math.cast(u16, record.port) orelse return error.InvalidArgument;
    return switch (record.family) {
        std.os.linux.AF.UNIX => Address.unix(data),
        std.os.linux.AF.INET => if (data.len == 4)
            .ipv4(data[0..4].*, port)
        else
            error.InvalidArgument,
        std.os.linux.AF.INET6 => if (data.len == 16)
            .ipv6(data[0..16].*, port, record.scope)
        else
            error.InvalidArgument,
        else => error.InvalidArgument,
    };
}

pub fn socket_bind(socket: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const record = &owner.record;
    const address = read_address(&record.addresses[0]) catch |failure| return status(failure);
    const endpoint = owner.context.bind(socket, &address) catch |failure| return status(failure);
    record.result = endpoint;
    const bound = owner.context.bound_address(endpoint).?;
    record.text_bytes = @intCast(bound.format_endpoint(&record.text).len);
    return @intFromEnum(Status.OK);
}

pub fn socket_bind_inproc(socket: u32, name: ?[*]u8, bytes: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    if (bytes == 0 or bytes > inproc.name_bytes_max) return invalid;
    const bound = owner.context.bind_inproc(socket, slice(name, bytes));
    owner.record.result = bound catch |failure| return status(failure);
    return @intFromEnum(Status.OK);
}

/// What the peer is to be called is in the record, as for `socket_connect`.
pub fn socket_connect_inproc(socket: u32, name: ?[*]u8, bytes: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    if (bytes == 0 or bytes > inproc.name_bytes_max) return invalid;
    const connect = &owner.record.connect;
    const id = prefix(&connect.routing_id, connect.routing_id_bytes) catch return invalid;
    const session = owner.context.connect_inproc(socket, slice(name, bytes), id);
    owner.record.result = session catch |failure| return status(failure);
    return @intFromEnum(Status.OK);
}

pub fn socket_unbind(socket: u32, endpoint: u32, linger_ms: i32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    if (owner.context.unbind(socket, endpoint, linger_ms)) return @intFromEnum(Status.OK);
    return @intFromEnum(Status.ENOENT);
}

pub fn socket_connect(socket: u32, named: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const record = &owner.record;
    const connect = &record.connect;
    var proxy: socks.Client = undefined;
    // A password is not left lying about.
    defer @memset(&connect.proxy_password, 0);
    const how = connect_options(connect, &proxy) catch |failure| return status(failure);
    var address: Address = undefined;
    if (named == 0) {
        address = read_address(&record.addresses[0]) catch |failure| return status(failure);
    }
    const target = if (named == 0) &address else null;
    record.result = owner.context.connect(socket, target, how) catch |failure| {
        return status(failure);
    };
    const session = owner.context.session_table.get(record.result) orelse {
        return @intFromEnum(Status.OK);
    };
    const id = session.pipe.local_id;
    @memcpy(connect.routing_id[0..id.len], id);
    connect.routing_id_bytes = @intCast(id.len);
    return @intFromEnum(Status.OK);
}

fn connect_options(
    record: *const abi.ConnectRecord,
    proxy: *socks.Client,
) !contexts.ConnectOptions {
    var how: contexts.ConnectOptions = .{
        .routing_id = try prefix(&record.routing_id, record.routing_id_bytes),
        .source = try read_source(&record.source),
    };
    if (record.target_kind == 0) return how;
    const kind = std.enums.fromInt(socks.Kind, record.target_kind) orelse {
        return error.InvalidArgument;
    };
    const port = std.math.cast(u16, record.target_port) orelse return error.InvalidArgument;
    proxy.* = .{
        .target = try .init(kind, try prefix(&record.target, record.target_bytes), port),
        .username = try .init(try prefix(&record.proxy_username, record.proxy_username_bytes)),
        .password = try .init(try prefix(&record.proxy_password, record.proxy_password_bytes)),
    };
    how.proxy = proxy;
    return how;
}

fn prefix(buffer: []const u8, bytes: u32) error{InvalidArgument}![]const u8 {
    return if (bytes > buffer.len) error.InvalidArgument else buffer[0..bytes];
}

/// Family 0: any source.
fn read_source(record: *const abi.AddressRecord) !Address {
    return if (record.family == 0) .{} else read_address(record);
}

pub fn socket_disconnect(socket: u32, endpoint: u32, linger_ms: i32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    if (owner.context.disconnect(socket, endpoint, linger_ms)) return @intFromEnum(Status.OK);
    return @intFromEnum(Status.ENOENT);
}

/// Connections of an endpoint, or of all (0), whose handshake is done.
pub fn socket_connections(socket: u32, endpoint: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const slot = owner.context.get(socket) orelse return bad_handle;
    const count = owner.context.connections(slot, endpoint);
    return @intCast(count orelse return @intFromEnum(Status.ENOENT));
}

pub fn socket_unsent(socket: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const slot = owner.context.get(socket) orelse return bad_handle;
    return std.math.lossyCast(i32, owner.context.unsent(slot));
}

/// Leaves what waits in its queues in the record.
pub fn socket_queues(socket: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const slot = owner.context.get(socket) orelse return bad_handle;
    owner.record.queues = owner.context.queues(slot);
    return @intFromEnum(Status.OK);
}

pub fn socket_peers(socket: u32, skipped: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const slot = owner.context.get(socket) orelse return bad_handle;
    return @intCast(owner.context.peers(slot, skipped, &owner.record.peers));
}

/// High-water marks were set: they count for the peers that are there, too.
pub fn socket_limits_changed(socket: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const slot = owner.context.get(socket) orelse return bad_handle;
    owner.context.limits_changed(slot);
    return @intFromEnum(Status.OK);
}

pub fn socket_peer(socket: u32, routing_id: ?[*]u8, bytes: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const slot = owner.context.get(socket) orelse return bad_handle;
    if (!slot.socket.addresses_peers()) return status(error.NotSupported);
    const pipe = slot.socket.find(slice(routing_id, bytes)) orelse return status(error.Unroutable);
    const session = owner.context.session_table.get(pipe.session).?;
    const record = &owner.record.peer;
    record.* = .{
        .connection = session.handle,
        .endpoint = session.endpoint,
        .connected = @intFromBool(pipe.connected),
        .writable = @intFromBool(pipe.writable()),
        .socket_type = if (pipe.peer_type) |it| @intFromEnum(it) else -1,
    };
    record.text_bytes = @intCast(session.peer_address().format_endpoint(&record.text).len);
    return @intFromEnum(Status.OK);
}

pub fn socket_set_bytes(socket: u32, option: u32, value: ?[*]u8, bytes: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const slot = owner.context.get(socket) orelse return bad_handle;
    const known = std.enums.fromInt(options.Bytes, option) orelse return invalid;
    slot.socket.set_bytes(known, slice(value, bytes)) catch |failure| return status(failure);
    return @intFromEnum(Status.OK);
}

pub fn socket_subscribe(socket: u32, topic: ?[*]u8, bytes: u32) callconv(.c) i32 {
    return subscribe(socket, slice(topic, bytes), true);
}

pub fn socket_unsubscribe(socket: u32, topic: ?[*]u8, bytes: u32) callconv(.c) i32 {
    return subscribe(socket, slice(topic, bytes), false);
}

fn subscribe(socket: u32, topic: []const u8, wanted: bool) i32 {
    const owner = current orelse return bad_handle;
    const slot = owner.context.get(socket) orelse return bad_handle;
    slot.socket.subscribe(topic, wanted) catch |failure| return status(failure);
    return @intFromEnum(Status.OK);
}

pub fn socket_subscribed(socket: u32, topic: ?[*]u8, bytes: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const slot = owner.context.get(socket) orelse return bad_handle;
    return @intCast(slot.socket.subscribed(slice(topic, bytes)));
}

pub fn socket_peer_number(socket: u32, endpoint: u32) callconv(.c) u32 {
    const owner = current orelse return 0;
    const slot = owner.context.get(socket) orelse return 0;
    return owner.context.peer_number(slot, endpoint);
}

pub fn socket_disconnect_peer(
    socket: u32,
    routing_id: ?[*]u8,
    bytes: u32,
    linger_ms: i32,
) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const slot = owner.context.get(socket) orelse return bad_handle;
    const id = slice(routing_id, bytes);
    if (owner.context.disconnect_peer(slot, id, linger_ms)) return @intFromEnum(Status.OK);
    return @intFromEnum(Status.EHOSTUNREACH);
}

/// How later handshakes of a socket prove and demand who is there.
pub fn socket_secure(socket: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const record = &owner.record.security;
    // Secrets are not left lying about.
    defer sodium.wipe(record);
    const slot = owner.context.get(socket) orelse return bad_handle;
    const security = make_security(record) catch |failure| return status(failure);
    slot.socket.secure(security);
    return @intFromEnum(Status.OK);
}

/// Null: NULL, and everybody may come.
fn make_security(record: *const abi.SecurityRecord) !?*Security {
    const mechanism = std.enums.fromInt(abi.Mechanism, record.mechanism) orelse {
        return error.InvalidArgument;
    };
    const role: Security.Role = .{
        .server = record.server != 0,
        .authenticate = record.authenticate != 0,
    };
    return switch (mechanism) {
        .null => if (role.authenticate) try Security.init_null(role) else null,
        .plain => try Security.init_plain(role, .{
            .user = try prefix(record.username[0..255], record.username_bytes),
            .password = try prefix(record.password[0..255], record.password_bytes),
        }),
        .curve => try Security.init_curve(
            role,
            &record.secret_key,
            &record.public_key,
            &record.server_key,
        ),
    };
}

pub fn authentication(session: u32, request: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    var question = owner.context.authentication(session, request) orelse {
        return @intFromEnum(Status.ENOENT);
    };
    defer sodium.wipe(&question);
    owner.record.authentication = question;
    return @intFromEnum(Status.OK);
}

pub fn authenticated(session: u32, request: u32, verdict: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    sodium.wipe(&owner.record.authentication);
    const known = owner.context.authenticated(session, request, verdict_of(verdict));
    return @intFromEnum(if (known) Status.OK else .ENOENT);
}

/// What is no verdict lets nobody in.
fn verdict_of(number: u32) Verdict {
    return std.enums.fromInt(Verdict, number) orelse .unavailable;
}

pub fn curve_key_pair(target: ?[*]u8) callconv(.c) i32 {
    sodium.init() catch return @intFromEnum(Status.ENOSYS);
    const keys = target orelse return invalid;
    sodium.random(keys[32..64]);
    keys[0..32].* = sodium.public_key(keys[32..64]);
    return @intFromEnum(Status.OK);
}

pub fn curve_public_key(secret: ?[*]u8, target: ?[*]u8) callconv(.c) i32 {
    sodium.init() catch return @intFromEnum(Status.ENOSYS);
    const from = secret orelse return invalid;
    const to = target orelse return invalid;
    to[0..32].* = sodium.public_key(from[0..32]);
    return @intFromEnum(Status.OK);
}

/// What could be done now, as interest bits.
pub fn socket_ready(socket: u32) callconv(.c) u32 {
    const owner = current orelse return 0;
    const slot = owner.context.get(socket) orelse return 0;
    return @bitCast(sockets.Interest{
        .readable = slot.socket.readable(),
        .writable = slot.socket.writable(),
    });
}

pub fn socket_want(socket: u32, interest: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const slot = owner.context.get(socket) orelse return bad_handle;
    slot.socket.want(@bitCast(interest & abi.interest_all));
    return @intFromEnum(Status.OK);
}

pub fn endpoint_resolved(endpoint: u32, count: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    var addresses: [abi.addresses_max]Address = undefined;
    if (count > addresses.len) return invalid;
    for (addresses[0..count], owner.record.addresses[0..count]) |*address, *record| {
        address.* = read_address(record) catch |failure| return status(failure);
    }
    const source = read_source(&owner.record.connect.source) catch |failure| return status(failure);
    const known = owner.context.resolved(endpoint, addresses[0..count], &source);
    if (known) return @intFromEnum(Status.OK);
    return @intFromEnum(Status.ENOENT);
}

/// Queues one part. 1: something waits for a flush. Large payloads, which are not worth waiting
/// for company, are offered to the kernel before this returns.
pub fn send(socket: u32, part: ?[*]u8, bytes: u32, flags: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const context = &owner.context;
    const slot = context.get(socket) orelse return bad_handle;
    const payload = slice(part, bytes);
    if (payload.len != bytes) return invalid;
    const more = flags & abi.send_more != 0;
    const hold = flags & abi.send_hold != 0;
    const large = payload.len >= constants.send_now_bytes_min;
    context.send(slot, payload, more, hold or large) catch |failure| return status(failure);
    if (large and !hold) owner.borrowing = true;
    if (owner.borrowing and !more) {
        owner.borrowing = false;
        context.release_borrowed();
    }
    return @intFromBool(!context.resources.dirty.empty() or context.has_work());
}

pub fn commit() callconv(.c) u32 {
    const owner = current orelse return 0;
    owner.context.release_borrowed();
    return @intFromBool(owner.context.has_work());
}

pub fn fill(socket: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const slot = owner.context.get(socket) orelse return bad_handle;
    owner.context.fill(slot) catch |failure| return status(failure);
    return @intFromBool(owner.context.has_mail());
}

pub fn copy(socket: u32, position: u32, target: ?[*]u8, bytes: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const slot = owner.context.get(socket) orelse return bad_handle;
    if (slot.socket.ring.copy(position, slice(target, bytes))) return @intFromEnum(Status.OK);
    return invalid;
}

pub fn buffer_lend(session: u32, buffer: ?[*]u8, bytes: u32, id: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    if (id == 0) return invalid;
    if (owner.context.lend_buffer(session, slice(buffer, bytes), id)) {
        return @intFromEnum(Status.OK);
    }
    return @intFromEnum(Status.ENOENT);
}

pub fn monitor(socket: u32, command: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const slot = owner.context.get(socket) orelse return bad_handle;
    switch (std.enums.fromInt(abi.MonitorCommand, command) orelse return invalid) {
        .stop => owner.context.monitor_stop(slot),
        .start => owner.context.monitor_start(slot) catch |failure| return status(failure),
        .end => owner.context.monitor_end(slot),
    }
    return @intFromEnum(Status.OK);
}

/// 1: an event is in the context's record.
pub fn monitor_next(socket: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const slot = owner.context.get(socket) orelse return bad_handle;
    owner.record.monitor_event = owner.context.monitor_next(slot) orelse return 0;
    return 1;
}

const probe_records = @typeInfo(@TypeOf(abi.records)).@"struct".fields;

pub fn proxy_create(memory_mib: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const memory_bytes = @as(u64, memory_mib) * 1024 * 1024;
    owner.proxies.ensureUnusedCapacity(allocator, 1) catch |failure| return status(failure);
    const wake = owner.io.wake_duplicate() catch |failure| return status(failure);
    const proxy = Proxy.create(allocator, owner.wanted, wake, memory_bytes) catch |failure| {
        owner.io.close(wake);
        return status(failure);
    };
    owner.proxies.appendAssumeCapacity(proxy);
    owner.record.result = @intCast(owner.proxies.items.len);
    return @intFromEnum(Status.OK);
}

fn proxy_of(owner: *Owner, number: u32) ?*Proxy {
    if (number == 0 or number > owner.proxies.items.len) return null;
    return owner.proxies.items[number - 1];
}

pub fn proxy_give(number: u32, front: u32, back: u32, capture: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const proxy = proxy_of(owner, number) orelse return bad_handle;
    for ([_]u32{ front, back, capture }, 0..) |socket, index| {
        if (index == 2 and socket == 0) continue;
        if (owner.context.get(socket) == null) return bad_handle;
    }
    if (capture != 0 and (capture == front or capture == back)) return invalid;
    proxy.give(&owner.context, .{ front, back, capture }) catch |failure| return status(failure);
    return @intFromEnum(Status.OK);
}

pub fn proxy_command(number: u32, command: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const proxy = proxy_of(owner, number) orelse return bad_handle;
    proxy.set_command(std.enums.fromInt(proxies.Command, command) orelse return invalid);
    return @intFromEnum(Status.OK);
}

pub fn proxy_socket(number: u32, index: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const proxy = proxy_of(owner, number) orelse return bad_handle;
    if (index > 2) return invalid;
    owner.record.socket = proxy.read_record(index) orelse return 0;
    return 1;
}

/// Leaves its statistics in the record.
pub fn proxy_running(number: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const proxy = proxy_of(owner, number) orelse return bad_handle;
    owner.record.proxy = proxy.read_statistics();
    return @intFromBool(!proxy.has_ended());
}

pub fn proxy_ask(number: u32) callconv(.c) u32 {
    const owner = current orelse return 0;
    const proxy = proxy_of(owner, number) orelse return 0;
    return proxy.next_ask() orelse 0;
}

pub fn proxy_answer(number: u32, endpoint: u32, count: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const proxy = proxy_of(owner, number) orelse return bad_handle;
    var addresses: [abi.addresses_max]Address = undefined;
    if (count > addresses.len) return invalid;
    for (addresses[0..count], owner.record.addresses[0..count]) |*address, *record| {
        address.* = read_address(record) catch |failure| return status(failure);
    }
    const source = read_source(&owner.record.connect.source) catch |failure| return status(failure);
    proxy.answer(endpoint, addresses[0..count], &source) catch |failure| return status(failure);
    return @intFromEnum(Status.OK);
}

/// Waits until its thread has ended.
pub fn proxy_authentication(proxy: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const it = proxy_of(owner, proxy) orelse return bad_handle;
    return @intFromBool(it.next_question(&owner.record.authentication));
}

pub fn proxy_authenticated(
    proxy: u32,
    session: u32,
    request: u32,
    verdict: u32,
) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    sodium.wipe(&owner.record.authentication);
    const it = proxy_of(owner, proxy) orelse return bad_handle;
    const answer: Proxy.Decision = .{
        .session = session,
        .request = request,
        .verdict = verdict_of(verdict),
    };
    it.decide(answer) catch |failure| return status(failure);
    return @intFromEnum(Status.OK);
}

pub fn proxy_destroy(number: u32) callconv(.c) i32 {
    const owner = current orelse return bad_handle;
    const proxy = proxy_of(owner, number) orelse return bad_handle;
    proxy.set_command(.end_now);
    proxy.destroy();
    owner.proxies.items[number - 1] = null;
    return @intFromEnum(Status.OK);
}

/// Writes 1, 2, 3 … modulo 251 into a record's bytes; returns its size. 0: no such record.
pub fn probe_fill(record: u32, target: ?[*]u8) callconv(.c) u32 {
    inline for (probe_records, 0..) |field, index| if (index == record) {
        const size = @sizeOf(@field(abi.records, field.name));
        for ((target orelse return 0)[0..size], 0..) |*byte, i| byte.* = @intCast(i % 251 + 1);
        return size;
    };
    return 0;
}

pub fn probe_check(record: u32, source: ?[*]u8) callconv(.c) u32 {
    inline for (probe_records, 0..) |field, index| if (index == record) {
        const size = @sizeOf(@field(abi.records, field.name));
        for ((source orelse return 0)[0..size], 0..) |byte, i| {
            if (byte != i % 251 + 1) return 0;
        }
        return 1;
    };
    return 0;
}

pub fn probe_signature(a: u32, b: i32, c: ?[*]u8, d: u32) callconv(.c) u32 {
    const low: u32 = @truncate(@intFromPtr(c));
    const high: u32 = @truncate(@intFromPtr(c) >> 32);
    return a +% @as(u32, @bitCast(b)) *% 3 +% low *% 5 +% high *% 7 +% d *% 11;
}
