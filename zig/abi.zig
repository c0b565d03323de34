//! Everything that crosses into TypeScript: records, constants, status codes and signatures. The
//! generator (abi_gen.zig) walks this file and writes src/ffi/abi.generated.ts; a fingerprint of
//! all of it is compared when the library is loaded.
//!
//! Records hold fixed-width integers and byte arrays only: no pointers, no usize, no bool, no
//! implicit padding. Memory that is shared belongs to Zig; a pointer that TypeScript passes is
//! valid for the length of one call, except where a function's comment says otherwise.

const std = @import("std");
const assert = std.debug.assert;

const constants = @import("constants.zig");
const contexts = @import("context.zig");
const io = @import("io/io.zig");
const monitor = @import("core/monitor.zig");
const options = @import("options.zig");
const proxies = @import("proxy.zig");
const receive_ring = @import("core/receive_ring.zig");
const sockets = @import("socket/socket.zig");
const statistics = @import("core/statistics.zig");

/// What a call returns: 0 or a count, or one of these. Linux's errno negated; libzmq's own numbers
/// for what Linux has none.
pub const Status = enum(i32) {
    OK = 0,
    EPERM = -1,
    ENOENT = -2,
    EIO = -5,
    EBADF = -9,
    EAGAIN = -11,
    ENOMEM = -12,
    EACCES = -13,
    ENODEV = -19,
    EINVAL = -22,
    EMFILE = -24,
    ENAMETOOLONG = -36,
    ENOTDIR = -20,
    ENOSYS = -38,
    ENOTSUP = -95,
    EAFNOSUPPORT = -97,
    EADDRINUSE = -98,
    EADDRNOTAVAIL = -99,
    ENOBUFS = -105,
    EHOSTUNREACH = -113,
    EFSM = -156384763,
    _,
};

/// Flags of `send`.
pub const send_more: u32 = 1;
/// The payload stays valid until `commit`.
pub const send_hold: u32 = 2;

/// Bits of `want` and of a ready event.
pub const interest_readable: u32 = 1;
pub const interest_writable: u32 = 2;
pub const interest_connected: u32 = 4;
pub const interest_subscribed: u32 = 8;
pub const interest_drained: u32 = 16;
pub const interest_all: u32 = 31;

/// Bits that `tick` and `wait` return.
pub const tick_more: u32 = 1;
pub const tick_events: u32 = 2;
pub const tick_starved: u32 = 4;
pub const tick_soon: u32 = 8;

pub const entry_more = receive_ring.flag_more;
pub const entry_arena = receive_ring.flag_arena;
pub const entry_lent = receive_ring.flag_lent;
pub const entry_cut = receive_ring.flag_cut;
pub const ring_entries: u32 = receive_ring.entries;

pub const arena_bytes_default: u32 = constants.arena_bytes_default;
pub const arena_bytes_max: u32 = constants.arena_bytes_max;
pub const gather_bytes_min: u32 = constants.gather_bytes_min;

pub const addresses_max = 8;
pub const events_batch = 64;
pub const peers_batch = 32;

pub const EventKind = contexts.Event.Kind;
pub const Backend = io.Kind;
pub const BackendWake = io.Wake;
pub const BackendStep = io.Refusal.Step;
pub const MonitorEventType = monitor.EventType;
pub const ProtocolCode = monitor.ProtocolCode;
pub const Mechanism = @import("core/secure_session.zig").Mechanism;

pub const MonitorCommand = enum(u32) {
    stop,
    start,
    /// Records that everything ends: the socket is about to be closed.
    end,
};

pub const Reason = monitor.Reason;

/// A network address in neutral form; the library makes the sockaddr.
pub const AddressRecord = extern struct {
    /// 1 unix, 2 IPv4, 10 IPv6.
    family: u32 = 0,
    port: u32 = 0,
    scope: u32 = 0,
    /// Bytes of `data`: 4, 16, or the path (an abstract name begins with a zero byte).
    data_bytes: u32 = 0,
    data: [108]u8 = @splat(0),
};

/// What a connect is given besides the address; TypeScript writes it before the call.
pub const ConnectRecord = extern struct {
    routing_id_bytes: u32 = 0,
    routing_id: [260]u8 = @splat(0),
    /// The local end; family 0: any.
    source: AddressRecord = .{},
    /// Whom the SOCKS proxy is asked for: 1 IPv4, 3 a name, 4 IPv6; 0: there is no proxy.
    target_kind: u32 = 0,
    target_port: u32 = 0,
    target_bytes: u32 = 0,
    /// No name: no authentication.
    proxy_username_bytes: u32 = 0,
    proxy_password_bytes: u32 = 0,
    target: [256]u8 = @splat(0),
    proxy_username: [256]u8 = @splat(0),
    proxy_password: [256]u8 = @splat(0),
};

/// What handshakes that begin from now on prove and demand; TypeScript writes it before the call,
/// which wipes it.
pub const SecurityRecord = extern struct {
    /// A Mechanism.
    mechanism: u32 = 0,
    /// 1: the server's side of PLAIN or CURVE.
    server: u32 = 0,
    /// 1: each peer waits for `authenticated`. Servers of PLAIN ask in any case.
    authenticate: u32 = 0,
    /// Of a client of PLAIN.
    username_bytes: u32 = 0,
    password_bytes: u32 = 0,
    username: [256]u8 = @splat(0),
    password: [256]u8 = @splat(0),
    /// Of CURVE: one's own secret key, and of a client the public one that belongs to it and the
    /// server's.
    secret_key: [32]u8 = @splat(0),
    public_key: [32]u8 = @splat(0),
    server_key: [32]u8 = @splat(0),
};

/// A peer that goes by a routing id.
pub const PeerRecord = extern struct {
    /// Its connection, as events name it.
    connection: u32 = 0,
    /// The listener or the connecting session that it belongs to.
    endpoint: u32 = 0,
    /// 1: a handshake was done and the connection is there.
    connected: u32 = 0,
    /// 1: a message for it would be queued.
    writable: u32 = 0,
    /// Its socket type; -1: it did not tell.
    socket_type: i32 = -1,
    /// Its address as an endpoint string.
    text_bytes: u32 = 0,
    text: [128]u8 = @splat(0),
};

/// What there is, and why it is not io_uring.
pub const BackendRecord = extern struct {
    /// A Backend.
    kind: u32 = 0,
    /// A BackendWake.
    wake: u32 = 0,
    /// A BackendStep: what io_uring failed at.
    refused_step: u32 = 0,
    refused_errno: u32 = 0,
};

/// One per context: where calls leave what does not fit their return value.
pub const ContextRecord = extern struct {
    /// The handle a call made.
    result: u32 = 0,
    /// Bytes of `text`.
    text_bytes: u32 = 0,
    /// The endpoint that a bind really got.
    text: [128]u8 = @splat(0),
    addresses: [addresses_max]AddressRecord = @splat(.{}),
    connect: ConnectRecord = .{},
    peer: PeerRecord = .{},
    security: SecurityRecord = .{},
    authentication: contexts.Question = .{},
    events: [events_batch]contexts.Event = @splat(.{}),
    monitor_event: monitor.Event = .{},
    stats: contexts.Stats = .{},
    backend: BackendRecord = .{},
    proxy: proxies.Statistics = .{},
    socket: sockets.Record = .{},
    queues: contexts.Queues = .{},
    peers: [peers_batch]contexts.PeerStats = @splat(.{}),
};

pub const records = .{
    .Address = AddressRecord,
    .Authentication = contexts.Question,
    .Backend = BackendRecord,
    .Connect = ConnectRecord,
    .Context = ContextRecord,
    .ContextStats = contexts.Stats,
    .Event = contexts.Event,
    .MonitorEvent = monitor.Event,
    .Peer = PeerRecord,
    .PeerStats = contexts.PeerStats,
    .Queues = contexts.Queues,
    .Security = SecurityRecord,
    .Entry = receive_ring.Entry,
    .Cursor = receive_ring.Cursor,
    .Socket = sockets.Record,
    .SocketOptions = options.SocketOptions,
    .ProxySide = proxies.Statistics.Side,
    .ProxyStatistics = proxies.Statistics,
    .Shared = sockets.Shared,
    .Totals = statistics.Totals,
    .Traffic = statistics.Traffic,
};

pub const enums = .{
    .Backend = Backend,
    .BackendWake = BackendWake,
    .BackendStep = BackendStep,
    .Status = Status,
    .SocketType = sockets.Type,
    .EventKind = EventKind,
    .Mechanism = Mechanism,
    .MonitorEventType = MonitorEventType,
    .MonitorCommand = MonitorCommand,
    .ProtocolCode = ProtocolCode,
    .Reason = Reason,
    .BytesOption = options.Bytes,
    .ProxyCommand = proxies.Command,
};

pub const numbers = .{
    .SEND_MORE = send_more,
    .SEND_HOLD = send_hold,
    .INTEREST_READABLE = interest_readable,
    .INTEREST_WRITABLE = interest_writable,
    .INTEREST_CONNECTED = interest_connected,
    .INTEREST_SUBSCRIBED = interest_subscribed,
    .INTEREST_DRAINED = interest_drained,
    .TICK_MORE = tick_more,
    .TICK_EVENTS = tick_events,
    .TICK_STARVED = tick_starved,
    .TICK_SOON = tick_soon,
    .ENTRY_MORE = entry_more,
    .ENTRY_ARENA = entry_arena,
    .ENTRY_LENT = entry_lent,
    .ENTRY_CUT = entry_cut,
    .RING_ENTRIES = ring_entries,
    .ARENA_BYTES_DEFAULT = arena_bytes_default,
    .ARENA_BYTES_MAX = arena_bytes_max,
    .GATHER_BYTES_MIN = gather_bytes_min,
    .ADDRESSES_MAX = @as(u32, addresses_max),
    .EVENTS_BATCH = @as(u32, events_batch),
    .PEERS_BATCH = @as(u32, peers_batch),
};

const Bytes = ?[*]u8;

/// Every function the library exports, by name without its prefix. All belong to the calling
/// thread's context.
pub const functions = .{
    // First call: anything else may have another shape in another build.
    .fingerprint = fn () callconv(.c) u32,
    // Makes this thread's context. `backend` is a Backend.
    .context_create = fn (memory_mib: u32, backend: u32) callconv(.c) i32,
    .context_destroy = fn () callconv(.c) void,
    .context_record = fn () callconv(.c) ?*ContextRecord,
    .context_stats = fn () callconv(.c) void,
    .wake_descriptor = fn () callconv(.c) i32,
    // A descriptor of its own for whoever closes what it is given.
    .wake_duplicate = fn () callconv(.c) i32,
    // Takes the pending wake-up off, where nobody reads the descriptor.
    .wake_drain = fn () callconv(.c) void,
    // The chunk is ours until another one is lent.
    .arena_lend = fn (chunk: Bytes, bytes: u32) callconv(.c) i32,
    // Whether views into the chunk are about: then what is used of it is not written again.
    .arena_viewed = fn (viewed: u32) callconv(.c) void,
    // Blocking: other calls follow before the event loop goes on. If none does, TICK_SOON counts.
    .tick = fn (blocking: u32) callconv(.c) u32,
    // Bytes / 1024 of all its queues and connections, at least 1.
    .memory_limit = fn (kibibytes: u32) callconv(.c) void,
    // Before each sleep it is polled for so long at most; 0: not at all.
    .spin = fn (microseconds: u32) callconv(.c) void,
    // Before the turn that TICK_SOON asks for.
    .poll = fn () callconv(.c) void,
    // 1: this thread has something for itself now: a turn is due.
    .flush = fn () callconv(.c) u32,
    .wait = fn (timeout_ms: i32) callconv(.c) u32,
    .has_events = fn () callconv(.c) u32,
    .events = fn () callconv(.c) u32,
    .socket_open = fn (socket_type: u32) callconv(.c) i32,
    .socket_shared = fn (socket: u32) callconv(.c) ?*sockets.Shared,
    .socket_close = fn (socket: u32, linger_ms: i32) callconv(.c) i32,
    // A closed socket that has ended: its shared memory has been read for the last time.
    .socket_forget = fn (socket: u32) callconv(.c) i32,
    .socket_bind = fn (socket: u32) callconv(.c) i32,
    .socket_bind_inproc = fn (socket: u32, name: Bytes, bytes: u32) callconv(.c) i32,
    .socket_connect_inproc = fn (socket: u32, name: Bytes, bytes: u32) callconv(.c) i32,
    .socket_unbind = fn (socket: u32, endpoint: u32, linger_ms: i32) callconv(.c) i32,
    // Leaves the routing id that the connection goes by in the record, if it has one already.
    .socket_connect = fn (socket: u32, named: u32) callconv(.c) i32,
    .socket_disconnect = fn (socket: u32, endpoint: u32, linger_ms: i32) callconv(.c) i32,
    .socket_connections = fn (socket: u32, endpoint: u32) callconv(.c) i32,
    // Messages that have not been handed to the kernel.
    .socket_unsent = fn (socket: u32) callconv(.c) i32,
    .socket_queues = fn (socket: u32) callconv(.c) i32,
    // How many peers there are; leaves those behind the first `skipped` in the record.
    .socket_peers = fn (socket: u32, skipped: u32) callconv(.c) i32,
    .socket_limits_changed = fn (socket: u32) callconv(.c) i32,
    // Who goes by this routing id at the moment.
    .socket_peer = fn (socket: u32, routing_id: Bytes, bytes: u32) callconv(.c) i32,
    .socket_set_bytes = fn (socket: u32, option: u32, value: Bytes, bytes: u32) callconv(.c) i32,
    // SUB, XSUB; a manual XPUB: for the peer whose subscription was read last. DISH: a group.
    .socket_subscribe = fn (socket: u32, topic: Bytes, bytes: u32) callconv(.c) i32,
    .socket_unsubscribe = fn (socket: u32, topic: Bytes, bytes: u32) callconv(.c) i32,
    // How many peers a message would reach that begins so; of a RADIO: that is for this group.
    .socket_subscribed = fn (socket: u32, topic: Bytes, bytes: u32) callconv(.c) i32,
    // SERVER, PEER: the routing id of the peer that an endpoint connects to; 0: none.
    .socket_peer_number = fn (socket: u32, endpoint: u32) callconv(.c) u32,
    .socket_disconnect_peer = fn (
        socket: u32,
        id: Bytes,
        bytes: u32,
        linger_ms: i32,
    ) callconv(.c) i32,
    // Takes the record, for handshakes that begin from now on.
    .socket_secure = fn (socket: u32) callconv(.c) i32,
    // Leaves what is known of a peer that waits in the record; ENOENT: it does not any more.
    .authentication = fn (session: u32, request: u32) callconv(.c) i32,
    // 200, 300, 400 or 500 as in ZAP, a ProtocolCode of ZAP, or 0: nobody could be asked. ENOENT:
    // too late.
    .authenticated = fn (session: u32, request: u32, verdict: u32) callconv(.c) i32,
    // 64 bytes: the public key, the secret one.
    .curve_key_pair = fn (target: Bytes) callconv(.c) i32,
    .curve_public_key = fn (secret: Bytes, target: Bytes) callconv(.c) i32,
    .socket_ready = fn (socket: u32) callconv(.c) u32,
    .socket_want = fn (socket: u32, interest: u32) callconv(.c) i32,
    .endpoint_resolved = fn (endpoint: u32, count: u32) callconv(.c) i32,
    .send = fn (socket: u32, part: Bytes, bytes: u32, flags: u32) callconv(.c) i32,
    // 1: as flush.
    .commit = fn () callconv(.c) u32,
    .fill = fn (socket: u32) callconv(.c) i32,
    .copy = fn (socket: u32, position: u32, target: Bytes, bytes: u32) callconv(.c) i32,
    // The buffer is ours until its message is taken or it is reported as abandoned.
    .buffer_lend = fn (session: u32, buffer: Bytes, bytes: u32, id: u32) callconv(.c) i32,
    // `command` is a MonitorCommand.
    .monitor = fn (socket: u32, command: u32) callconv(.c) i32,
    .monitor_next = fn (socket: u32) callconv(.c) i32,
    // A thread that moves messages between two sockets, which it takes with everything they have.
    .proxy_create = fn (memory_mib: u32) callconv(.c) i32,
    .proxy_give = fn (proxy: u32, front: u32, back: u32, capture: u32) callconv(.c) i32,
    // 1: the counters of its socket (0 front, 1 back, 2 capture) are in the record.
    .proxy_socket = fn (proxy: u32, index: u32) callconv(.c) i32,
    .proxy_command = fn (proxy: u32, command: u32) callconv(.c) i32,
    // 1: it runs, 0: it has ended and can be destroyed.
    .proxy_running = fn (proxy: u32) callconv(.c) i32,
    // The endpoint whose addresses it wants; 0: none.
    .proxy_ask = fn (proxy: u32) callconv(.c) u32,
    .proxy_answer = fn (proxy: u32, endpoint: u32, count: u32) callconv(.c) i32,
    // 1: the record has the peer of one of its sockets that waits to be let in.
    .proxy_authentication = fn (proxy: u32) callconv(.c) i32,
    .proxy_authenticated = fn (
        proxy: u32,
        session: u32,
        request: u32,
        verdict: u32,
    ) callconv(.c) i32,
    .proxy_destroy = fn (proxy: u32) callconv(.c) i32,
    // Tests: fill a record with a pattern, and tell whether it holds that pattern.
    .probe_fill = fn (record: u32, target: Bytes) callconv(.c) u32,
    .probe_check = fn (record: u32, source: Bytes) callconv(.c) u32,
    // Tests: extreme values through every argument width.
    .probe_signature = fn (a: u32, b: i32, c: Bytes, d: u32) callconv(.c) u32,
};

comptime {
    @setEvalBranchQuota(20_000);
    for (@typeInfo(@TypeOf(records)).@"struct".fields) |field| {
        check_record(@field(records, field.name));
    }
}

/// Fixed widths, no padding: what TypeScript reads at an offset is what Zig wrote there.
fn check_record(comptime T: type) void {
    const info = @typeInfo(T).@"struct";
    assert(info.layout == .@"extern");
    var end: usize = 0;
    for (info.fields) |field| {
        assert(@offsetOf(T, field.name) == end);
        end += @sizeOf(field.type);
        check_field(field.type);
    }
    assert(end == @sizeOf(T));
}

fn check_field(comptime T: type) void {
    switch (@typeInfo(T)) {
        .int => |int| assert(T != usize and T != isize and int.bits % 8 == 0),
        .@"enum" => |info| check_field(info.tag_type),
        .array => |array| check_field(array.child),
        .@"struct" => check_record(T),
        else => @compileError("may not cross: " ++ @typeName(T)),
    }
}
