//! What happened to a socket's connections, as records in a bounded queue. A reader that is slow
//! loses the oldest events and is told how many; nobody ever waits for it. Nothing is recorded
//! while nobody listens.

const std = @import("std");
const assert = std.debug.assert;

const constants = @import("../constants.zig");
const Address = @import("../io/address.zig").Address;
const Failure = @import("../zmtp/handshake.zig").Failure;
const socks = @import("../net/socks.zig");

pub const EventType = enum(u32) {
    listening = 1,
    bind_failed,
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
    closed,
    /// There will be no further attempt to connect.
    connect_stopped,
    _,
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
    /// Bytes of `peer`.
    peer_bytes: u32 = 0,
    /// The remote address as an endpoint string.
    peer: [Address.text_size_max]u8 = @splat(0),

    pub fn set_peer(event: *Event, address: *const Address) void {
        event.peer_bytes = @intCast(address.format_endpoint(&event.peer).len);
    }
};

pub const Monitor = struct {
    /// Allocated while somebody listens.
    events: []Event = &.{},
    first: u32 = 0,
    count: u32 = 0,
    dropped: u32 = 0,

    pub fn listening(monitor: *const Monitor) bool {
        return monitor.events.len > 0;
    }

    pub fn start(monitor: *Monitor, allocator: std.mem.Allocator) error{OutOfMemory}!void {
        if (monitor.listening()) return;
        monitor.events = try allocator.alloc(Event, constants.monitor_events_max);
    }

    pub fn stop(monitor: *Monitor, allocator: std.mem.Allocator) void {
        if (monitor.listening()) allocator.free(monitor.events);
        monitor.* = .{};
    }

    pub fn record(monitor: *Monitor, event: Event) void {
        if (!monitor.listening()) return;
        const size: u32 = @intCast(monitor.events.len);
        if (monitor.count == size) {
            monitor.first = (monitor.first + 1) % size;
            monitor.count -= 1;
            monitor.dropped +|= 1;
        }
        monitor.events[(monitor.first + monitor.count) % size] = event;
        monitor.count += 1;
    }

    pub fn next(monitor: *Monitor) ?Event {
        if (monitor.count == 0) return null;
        const event = monitor.events[monitor.first];
        monitor.first = (monitor.first + 1) % @as(u32, @intCast(monitor.events.len));
        monitor.count -= 1;
        return event;
    }
};

test "a slow reader of events loses the oldest ones and is told: it never stops the connections" {
    var monitor: Monitor = .{};
    monitor.record(.{ .type = .accepted });
    try std.testing.expect(monitor.next() == null);
    try monitor.start(std.testing.allocator);
    defer monitor.stop(std.testing.allocator);
    for (0..constants.monitor_events_max + 3) |i| {
        monitor.record(.{ .type = .accepted, .value = @intCast(i) });
    }
    try std.testing.expectEqual(3, monitor.dropped);
    try std.testing.expectEqual(3, monitor.next().?.value);
    try std.testing.expectEqual(constants.monitor_events_max - 1, monitor.count);
}
