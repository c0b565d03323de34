//! A socket's options as the core reads them: one record in memory shared with the owner, who
//! validates and writes it. Fields are read when they take effect: per connection at bind and
//! connect, the others at each use.

const std = @import("std");
const assert = std.debug.assert;

pub const routing_id_bytes_max = 255;

pub const SocketOptions = extern struct {
    /// Milliseconds that close waits for queued messages; -1 for ever, 0 not at all.
    linger_ms: i32 = 30_000,
    /// Messages per pipe, 0 for no limit.
    send_high_water_mark: u32 = 1000,
    receive_high_water_mark: u32 = 1000,
    /// Milliseconds before the first attempt to connect again; -1 never.
    reconnect_interval_ms: i32 = 100,
    /// Milliseconds; the interval doubles up to this. 0: it does not grow.
    reconnect_interval_max_ms: i32 = 0,
    /// listen(2).
    backlog: u32 = 100,
    /// Milliseconds from connection to the end of the handshake; 0 for no limit.
    handshake_interval_ms: u32 = 30_000,
    /// Milliseconds for connect(2); 0 leaves it to the kernel.
    connect_timeout_ms: u32 = 0,
    /// Bytes of one frame from a peer; -1 for no limit but the format's.
    message_bytes_max: i32 = -1,
    /// SO_SNDBUF and SO_RCVBUF, bytes; -1 leaves the kernel's.
    send_buffer_bytes: i32 = -1,
    receive_buffer_bytes: i32 = -1,
    /// SO_KEEPALIVE and its parameters; -1 leaves the kernel's.
    tcp_keepalive: i32 = -1,
    tcp_keepalive_count: i32 = -1,
    tcp_keepalive_idle_s: i32 = -1,
    tcp_keepalive_interval_s: i32 = -1,
    /// TCP_USER_TIMEOUT, milliseconds; 0 leaves the kernel's.
    tcp_max_retransmit_ms: u32 = 0,
    /// IP_TOS or IPV6_TCLASS.
    type_of_service: u32 = 0,
    /// 1: messages are queued only for peers that are connected.
    immediate: u32 = 0,
    /// 1: addresses of both families.
    ipv6: u32 = 0,
    /// REQ: requests carry an id, replies to others are dropped.
    request_correlate: u32 = 0,
    /// REQ: a new request may replace one that is still waiting for its reply.
    request_relaxed: u32 = 0,
    routing_id_bytes: u32 = 0,
    routing_id_buffer: [256]u8 = @splat(0),

    pub fn routing_id(options: *const SocketOptions) []const u8 {
        // Shared memory: never trust a length in it further than the buffer goes.
        return options.routing_id_buffer[0..@min(options.routing_id_bytes, routing_id_bytes_max)];
    }

    pub fn frame_bytes_max(options: *const SocketOptions, limit: u64) u64 {
        if (options.message_bytes_max < 0) return limit;
        return @min(limit, @as(u64, @intCast(options.message_bytes_max)));
    }
};
