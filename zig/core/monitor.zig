//! What happened to a socket's connections, as records in a bounded queue. A reader that is slow
//! loses the oldest events and is told how many; nobody ever waits for it. Nothing is recorded, and
//! no memory is held, while nobody listens.

const std = @import("std");
const assert = std.debug.assert;

const constants = @import("../constants.zig");
const Address = @import("../io/address.zig").Address;
const Credentials = @import("../io/io.zig").Credentials;
const handshakes = @import("../zmtp/handshake.zig");
const Failure = handshakes.Failure;
pub const ProtocolCode = handshakes.ProtocolCode;
const socks = @import("../net/socks.zig");

pub const EventType = enum(u32) {
    listening = 1,
    accepted,
    accept_failed,
    connect_delayed,
    connected,
    connect_retried,
    connect_failed,
    handshake_succeeded,
    handshake_failed_protocol,
    handshake_failed_auth,
    handshake_failed_other,
    disconnected,
    /// A listener.
    closed,
    /// A listener, whose path is still there or was removed by somebody else.
    close_failed,
    /// There will be no further attempt to connect.
    connect_stopped,
    _,

    /// What a handshake that failed so is told as.
    pub fn of_handshake(reason: Reason) EventType {
        return switch (reason) {
            .peer_error,
            .authentication_retry,
            .authentication_denied,
            .authentication_error,
            => .handshake_failed_auth,
            .hello_refused, .authentication_unavailable => .handshake_failed_other,
            else => if (reason.of_handshake())
                .handshake_failed_protocol
            else
                .handshake_failed_other,
        };
    }
};

/// Why a connection ended or an attempt failed.
pub const Reason = enum(u32) {
    none = 0,
    /// End of file: the peer closed the connection.
    peer_closed,
    connection_reset,
    connection_refused,
    connection_timed_out,
    unreachable_address,
    name_not_found,
    io_error,
    /// The handshake took longer than `handshake_interval_ms`.
    handshake_timeout,
    /// More bytes in one frame than `message_bytes_max`.
    frame_too_large,
    /// More parts in one message than we hold for a peer.
    message_too_many_parts,
    malformed_command,
    /// No memory for this connection within the context's budget.
    out_of_memory,
    /// close, unbind or disconnect on our side.
    local,
    descriptors_exhausted,
    /// A frame has flag bits without a meaning: nothing that speaks ZMTP 3 sends those.
    reserved_flags,
    /// No sign of life within the heartbeat's timeout, or the time to live that the peer has given.
    heartbeat_timeout,
    /// The source address of a connection is in use, or is none of this machine (any more).
    source_in_use = 32,
    source_unavailable,
    /// The option `interface`: this process may not use it, or there is no such interface.
    interface_not_permitted,
    interface_missing,
    /// Nobody answers at the address of the SOCKS proxy, or its name is not known.
    proxy_unreachable,
    proxy_timed_out,
    /// The proxy closed the connection before it had answered.
    proxy_closed,
    /// What answers is no SOCKS5 proxy.
    proxy_malformed,
    /// The proxy wants another kind of authentication than we offered.
    proxy_method_refused,
    proxy_credentials_refused,
    // The answers of RFC 1928 §6, in their order.
    proxy_general_failure,
    proxy_not_allowed,
    proxy_network_unreachable,
    proxy_host_unreachable,
    proxy_connection_refused,
    proxy_ttl_expired,
    proxy_command_unsupported,
    proxy_address_unsupported,
    /// A code that the RFC does not know.
    proxy_refused,
    /// Another peer of this socket has the same routing id.
    duplicate_routing_id,
    /// Another peer took over the routing id.
    handed_over,
    /// A socket of this type talks to one peer only, and has one.
    peer_refused,
    /// More subscriptions, or bytes of them, than one peer may have.
    too_many_subscriptions,
    /// It did not keep up with what was sent to it (`send_high_water_mark_policy`).
    slow_peer,
    /// It was silent in its handshake, and newer connections were too many (`handshakes_max`).
    too_many_handshakes,
    /// The listener has as many as it takes (`connections_max`).
    too_many_connections,
    /// More bytes in all parts of one message than `whole_message_bytes_max`.
    message_too_large,
    /// Traffic on a CURVE connection that is not encrypted.
    message_not_secured,
    /// Traffic on a CURVE connection that is no MESSAGE command.
    message_malformed,
    /// A number that was used before: somebody plays recorded traffic, or changes its order.
    message_replayed,
    /// Not made with the keys of this connection, or changed on its way.
    message_forged,
    // The handshake's own failures, in the order of `Failure`.
    not_zmtp = 64,
    version_too_old,
    mechanism_mismatch,
    unexpected_command,
    handshake_malformed_command,
    malformed_ready,
    malformed_error,
    invalid_metadata,
    socket_type_mismatch,
    identity_too_long,
    identity_reserved,
    command_too_large,
    peer_error,
    malformed_hello,
    malformed_welcome,
    malformed_initiate,
    key_exchange,
    invalid_sequence,
    cryptographic,
    authentication_retry,
    authentication_denied,
    authentication_error,
    authentication_unavailable,
    zap_unspecified,
    zap_malformed_reply,
    zap_bad_request_id,
    zap_bad_version,
    zap_invalid_status,
    zap_invalid_metadata,
    /// The peer closed the connection after our first words of PLAIN or CURVE: the wrong server key
    /// or password, most likely.
    hello_refused,
    _,

    pub fn from_failure(failure: Failure) Reason {
        const first = @intFromEnum(Reason.not_zmtp);
        return @enumFromInt(first + @as(u32, @intFromEnum(failure)));
    }

    /// The negated errno that connect(2) ended with.
    pub fn of_connect(result: i32) Reason {
        const errno: std.os.linux.E = @enumFromInt(@as(u16, @intCast(-result)));
        return switch (errno) {
            .CONNREFUSED, .NOENT => .connection_refused,
            .TIMEDOUT, .CANCELED => .connection_timed_out,
            .NETUNREACH, .HOSTUNREACH, .ADDRNOTAVAIL, .INVAL => .unreachable_address,
            .CONNRESET => .connection_reset,
            .ADDRINUSE => .source_in_use,
            .NOMEM, .NOBUFS => .out_of_memory,
            else => .io_error,
        };
    }

    /// The errno that accept(2) ended with.
    pub fn of_accept(errno: u32) Reason {
        const known: std.os.linux.E = @enumFromInt(@as(u16, @truncate(errno)));
        return switch (known) {
            .MFILE, .NFILE => .descriptors_exhausted,
            .NOMEM, .NOBUFS => .out_of_memory,
            .CONNABORTED => .connection_reset,
            // Ours, no answer of the kernel.
            .USERS => .too_many_connections,
            else => .io_error,
        };
    }

    pub fn of_proxy(failure: socks.Failure) Reason {
        return switch (failure) {
            error.Malformed => .proxy_malformed,
            error.MethodRefused => .proxy_method_refused,
            error.CredentialsRefused => .proxy_credentials_refused,
            error.GeneralFailure => .proxy_general_failure,
            error.NotAllowed => .proxy_not_allowed,
            error.NetworkUnreachable => .proxy_network_unreachable,
            error.HostUnreachable => .proxy_host_unreachable,
            error.ConnectionRefused => .proxy_connection_refused,
            error.TtlExpired => .proxy_ttl_expired,
            error.CommandUnsupported => .proxy_command_unsupported,
            error.AddressUnsupported => .proxy_address_unsupported,
            error.Refused => .proxy_refused,
        };
    }

    /// The pattern refused the peer though it spoke well.
    pub fn of_pattern(reason: Reason) bool {
        return switch (reason) {
            .duplicate_routing_id, .peer_refused => true,
            else => false,
        };
    }

    /// The next attempt would fail in the same way, as long as nobody changes anything.
    pub fn permanent(reason: Reason) bool {
        return switch (reason) {
            .mechanism_mismatch, .socket_type_mismatch, .version_too_old, .peer_error => true,
            else => false,
        };
    }

    pub fn of_handshake(reason: Reason) bool {
        return @intFromEnum(reason) >= @intFromEnum(Reason.not_zmtp);
    }

    /// One side's keys or credentials are not what the other one wants.
    pub fn of_security(reason: Reason) bool {
        return switch (reason) {
            .hello_refused,
            .cryptographic,
            .key_exchange,
            .peer_error,
            .authentication_retry,
            .authentication_denied,
            .authentication_error,
            .authentication_unavailable,
            => true,
            else => false,
        };
    }

    /// As status of ZAP; 0: it is none.
    pub fn status(reason: Reason) u32 {
        return switch (reason) {
            .authentication_retry => 300,
            .authentication_denied => 400,
            .authentication_error => 500,
            else => 0,
        };
    }

    /// libzmq's number for what the peer did wrong in its handshake.
    pub fn protocol_code(reason: Reason) ProtocolCode {
        if (!reason.of_handshake()) return .zmtp_unspecified;
        const index = @intFromEnum(reason) - @intFromEnum(Reason.not_zmtp);
        const failure = std.enums.fromInt(Failure, index) orelse return .zmtp_unspecified;
        return failure.protocol_code() orelse .zmtp_unspecified;
    }
};

comptime {
    // `from_failure` relies on the same order.
    for (std.meta.tags(Failure)) |failure| {
        const reason = Reason.from_failure(failure);
        const name = if (failure == .malformed_command)
            "handshake_malformed_command"
        else
            @tagName(failure);
        assert(std.mem.eql(u8, @tagName(reason), name));
    }
}

/// Shared with the owner.
pub const Event = extern struct {
    type: EventType = .closed,
    reason: Reason = .none,
    /// The listener or the connecting session that it happened to.
    endpoint: u32 = 0,
    /// Which connection: a session's handle. Unlike descriptors they are not used again at once.
    connection: u32 = 0,
    /// errno, protocol code, or milliseconds, as the type has it.
    value: u32 = 0,
    /// Events that came before it and were lost, because nobody had read them in time.
    missed: u32 = 0,
    /// Microseconds since 1970.
    time_us: u64 = 0,
    /// Of the peer of a unix socket, when it connected or began to listen; 0: not known.
    process_id: u32 = 0,
    user_id: u32 = 0,
    /// Both ends as endpoint strings; empty: not known, or without a name.
    local_bytes: u32 = 0,
    remote_bytes: u32 = 0,
    local: [Address.text_size_max]u8 = @splat(0),
    remote: [Address.text_size_max]u8 = @splat(0),

    pub fn set_local(event: *Event, address: *const Address) void {
        if (!named(address)) return;
        event.local_bytes = @intCast(address.format_endpoint(&event.local).len);
    }

    pub fn set_remote(event: *Event, address: *const Address) void {
        if (!named(address)) return;
        event.remote_bytes = @intCast(address.format_endpoint(&event.remote).len);
    }

    /// Whoever connects over ipc has no name, and before an attempt there is no port.
    fn named(address: *const Address) bool {
        return switch (address.family()) {
            .unspecified => false,
            .unix => address.unix_name().len > 0,
            .ipv4, .ipv6 => address.port() != 0,
        };
    }
};

/// What only the kernel knows of a connection, and only as long as it has it.
pub const Ends = struct {
    /// Whose.
    session: u32 = 0,
    local: Address = .{},
    peer: Credentials = .{},

    pub fn of(session: anytype) Ends {
        const fd = session.fd;
        if (fd < 0) {
            const kept = &session.resources.ended;
            return if (kept.session == session.handle) kept.* else .{};
        }
        const unix = session.peer_address().family() == .unix;
        return .{
            .session = session.handle,
            .local = session.io.local_address(fd),
            .peer = if (unix) session.io.peer_credentials(fd) else .{},
        };
    }

    /// The connection ends now: its event follows, if anybody listens.
    pub fn keep(session: anytype) void {
        if (session.resources.monitored == 0) return;
        session.resources.ended = .of(session);
    }
};

pub const Monitor = struct {
    /// Allocated while somebody listens; grows up to `monitor_events_max`.
    events: []Event = &.{},
    first: u32 = 0,
    count: u32 = 0,
    /// Lost since the last one that was read.
    missed: u32 = 0,

    const events_min = 16;

    pub fn listening(monitor: *const Monitor) bool {
        return monitor.events.len > 0;
    }

    pub fn start(monitor: *Monitor, allocator: std.mem.Allocator) error{OutOfMemory}!void {
        if (monitor.listening()) return;
        monitor.events = try allocator.alloc(Event, events_min);
    }

    pub fn stop(monitor: *Monitor, allocator: std.mem.Allocator) void {
        if (monitor.listening()) allocator.free(monitor.events);
        monitor.* = .{};
    }

    /// False: the oldest event was lost for it.
    pub fn record(monitor: *Monitor, allocator: std.mem.Allocator, event: Event) bool {
        assert(monitor.listening());
        const room = monitor.count < monitor.events.len or monitor.grow(allocator);
        if (!room) {
            const lost = monitor.next().?;
            monitor.missed = lost.missed +| 1;
        }
        monitor.events[(monitor.first + monitor.count) % monitor.size()] = event;
        monitor.count += 1;
        return room;
    }

    fn grow(monitor: *Monitor, allocator: std.mem.Allocator) bool {
        if (monitor.events.len == constants.monitor_events_max) return false;
        const larger = allocator.alloc(Event, monitor.events.len * 2) catch return false;
        const wrapped = monitor.events[0..monitor.first];
        const oldest = monitor.events[monitor.first..];
        @memcpy(larger[0..oldest.len], oldest);
        @memcpy(larger[oldest.len..][0..wrapped.len], wrapped);
        allocator.free(monitor.events);
        monitor.events = larger;
        monitor.first = 0;
        return true;
    }

    fn size(monitor: *const Monitor) u32 {
        return @intCast(monitor.events.len);
    }

    pub fn next(monitor: *Monitor) ?Event {
        if (monitor.count == 0) return null;
        var event = monitor.events[monitor.first];
        event.missed = monitor.missed;
        monitor.missed = 0;
        monitor.first = (monitor.first + 1) % monitor.size();
        monitor.count -= 1;
        return event;
    }

    comptime {
        assert(constants.monitor_events_max % events_min == 0);
        assert(std.math.isPowerOfTwo(constants.monitor_events_max / events_min));
    }
};

const testing = std.testing;

test "a slow reader of events loses the oldest ones and is told: it never stops the connections" {
    var monitor: Monitor = .{};
    try testing.expect(monitor.next() == null);
    try monitor.start(testing.allocator);
    defer monitor.stop(testing.allocator);
    var kept: u32 = 0;
    for (0..constants.monitor_events_max + 3) |i| {
        const event: Event = .{ .type = .accepted, .value = @intCast(i) };
        if (monitor.record(testing.allocator, event)) kept += 1;
    }
    try testing.expectEqual(constants.monitor_events_max, kept);
    const oldest = monitor.next().?;
    try testing.expectEqual(3, oldest.value);
    try testing.expectEqual(3, oldest.missed);
    try testing.expectEqual(0, monitor.next().?.missed);
    try testing.expectEqual(constants.monitor_events_max - 2, monitor.count);
}

test "events come in order while their queue grows around its end" {
    var monitor: Monitor = .{};
    try monitor.start(testing.allocator);
    defer monitor.stop(testing.allocator);
    var written: u32 = 0;
    var read: u32 = 0;
    while (written < 100) {
        for (0..3) |_| {
            try testing.expect(monitor.record(testing.allocator, .{ .value = written }));
            written += 1;
        }
        try testing.expectEqual(read, monitor.next().?.value);
        read += 1;
    }
    while (monitor.next()) |event| : (read += 1) try testing.expectEqual(read, event.value);
    try testing.expectEqual(written, read);
}

test "without memory for more events the oldest are lost, and nothing else" {
    var monitor: Monitor = .{};
    try monitor.start(testing.allocator);
    defer monitor.stop(testing.allocator);
    const none = testing.failing_allocator;
    for (0..Monitor.events_min) |_| try testing.expect(monitor.record(none, .{}));
    try testing.expect(!monitor.record(none, .{ .value = 7 }));
    try testing.expectEqual(1, monitor.next().?.missed);
    try testing.expect(monitor.record(none, .{}));
}

test "an accept that failed says whether descriptors or memory were missing" {
    const E = std.os.linux.E;
    const of = Reason.of_accept;
    try testing.expectEqual(.descriptors_exhausted, of(@intFromEnum(E.MFILE)));
    try testing.expectEqual(.descriptors_exhausted, of(@intFromEnum(E.NFILE)));
    try testing.expectEqual(.out_of_memory, of(@intFromEnum(E.NOMEM)));
    try testing.expectEqual(.too_many_connections, of(@intFromEnum(E.USERS)));
    try testing.expectEqual(.io_error, of(@intFromEnum(E.PERM)));
}

test "a program written for libzmq's protocol errors knows ours" {
    try testing.expectEqual(.mechanism_mismatch, Reason.mechanism_mismatch.protocol_code());
    try testing.expectEqual(.malformed_ready, Reason.malformed_ready.protocol_code());
    try testing.expectEqual(.zmtp_unspecified, Reason.not_zmtp.protocol_code());
    try testing.expectEqual(.zmtp_unspecified, Reason.heartbeat_timeout.protocol_code());
}
