//! A socket's options as the core reads them: one record in memory shared with the owner, who
//! validates and writes it. Fields are read when they take effect: per connection at bind and
//! connect, the others at each use.

const std = @import("std");
const assert = std.debug.assert;

const constants = @import("constants.zig");

pub const routing_id_bytes_max = 255;
/// As much as a handshake takes, see zmtp/null.zig.
pub const metadata_bytes_max = 2048;

/// Options that are byte strings of any length: set by a call, kept by the socket.
pub const Bytes = enum(u32) {
    /// XPUB: the first message that a new subscriber gets.
    welcome_message,
    /// The first message that a new peer gets.
    hello_message,
    /// What is received when a peer that had connected to us has gone.
    disconnect_message,
    /// What is received when a connection that we made is lost.
    hiccup_message,
};

/// High-water marks of a pipe, messages and bytes; 0 for none.
pub const Marks = struct { send: u32, receive: u32, send_bytes: u32 = 0, receive_bytes: u32 = 0 };

pub const Policy = enum { drop_newest, drop_oldest, disconnect };

pub const SocketOptions = extern struct {
    /// Milliseconds that close waits for queued messages; -1 for ever, 0 not at all.
    linger_ms: i32 = 30_000,
    /// Messages per pipe, 0 for no limit.
    send_high_water_mark: u32 = 1000,
    receive_high_water_mark: u32 = 1000,
    /// Bytes per pipe, 0 for no limit; whichever mark is reached first counts.
    send_high_water_mark_bytes: u32 = 0,
    receive_high_water_mark_bytes: u32 = 0,
    /// What a full peer of a socket that does not wait loses: 0 this message, 1 the oldest ones, 2
    /// its connection.
    send_high_water_mark_policy: u32 = 0,
    /// Milliseconds before the first attempt to connect again; -1 never.
    reconnect_interval_ms: i32 = 100,
    /// Milliseconds; the interval doubles up to this. 0: it does not grow.
    reconnect_interval_max_ms: i32 = 0,
    /// listen(2).
    backlog: u32 = 100,
    /// 1: a refused connection is the last attempt, 2: one that fails in its handshake, 4: after
    /// disconnect there is none to send what is queued.
    reconnect_stop: u32 = 0,
    /// What comes after a failure that would come again: 0: no attempt, and what is queued is
    /// dropped, 1: no attempt, 2: another attempt.
    permanent_failure: u32 = 0,
    /// Milliseconds between two PINGs; 0 for none.
    heartbeat_interval_ms: u32 = 0,
    /// Milliseconds without a sign of life after a PING; -1 is the interval, 0 for no limit.
    heartbeat_timeout_ms: i32 = -1,
    /// Milliseconds after which peers may take us for dead, told to them by each PING; 0 for none.
    heartbeat_ttl_ms: u32 = 0,
    /// Milliseconds from connection to the end of the handshake; 0 for no limit.
    handshake_interval_ms: u32 = 30_000,
    /// Milliseconds for connect(2); 0 leaves it to the kernel.
    connect_timeout_ms: u32 = 0,
    /// Bytes of one frame from a peer; -1 for no limit but the format's.
    message_bytes_max: i32 = -1,
    /// Bytes of all parts of one message, and how many parts it may have; 0 for no limit.
    whole_message_bytes_max: u32 = constants.whole_message_bytes_max_default,
    message_parts_max: u32 = constants.message_parts_max_default,
    /// Connections that one listener takes; 0 for no limit.
    connections_max: u32 = constants.connections_max_default,
    /// Those accepted whose handshake is not done, of all listeners; 0 for no limit.
    handshakes_max: u32 = constants.handshakes_max_default,
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
    /// SO_PRIORITY; 0 leaves the kernel's.
    priority: u32 = 0,
    /// SO_BUSY_POLL, microseconds; 0 leaves the kernel's.
    busy_poll_us: u32 = 0,
    /// A bound descriptor that the next bind takes over; -1: none.
    use_fd: i32 = -1,
    /// SO_BINDTODEVICE: the name of an interface; no bytes: any.
    device_bytes: u32 = 0,
    device_buffer: [16]u8 = @splat(0),
    /// 1: messages are queued only for peers that are connected.
    immediate: u32 = 0,
    /// 1: addresses of both families.
    ipv6: u32 = 0,
    /// REQ: requests carry an id, replies to others are dropped.
    request_correlate: u32 = 0,
    /// REQ: a new request may replace one that is still waiting for its reply.
    request_relaxed: u32 = 0,
    /// ROUTER: 1: a message for nobody is refused instead of dropped.
    router_mandatory: u32 = 0,
    /// ROUTER: 1: a new peer takes over the id of an old one.
    router_handover: u32 = 0,
    /// ROUTER: [id, ""] when a peer comes (bit 1) and goes (bit 2).
    router_notify: u32 = 0,
    /// REQ, DEALER, ROUTER: 1: an empty message on each new connection.
    probe_router: u32 = 0,
    /// STREAM: 1: [id, ""] when a peer comes and goes.
    stream_notify: u32 = 1,
    /// 1: a queue keeps the newest message only.
    conflate: u32 = 0,
    /// PUB, XPUB, RADIO: 1: wait instead of dropping for a subscriber that is full.
    publisher_no_drop: u32 = 0,
    /// XPUB: 0 tells of first subscriptions and last cancels, 1 of every subscription, 2 of every
    /// cancel too.
    publisher_verbosity: u32 = 0,
    /// XPUB: 1: subscriptions are applied by hand; 2: and the next message goes to the last one
    /// only.
    publisher_manual: u32 = 0,
    /// PUB, XPUB, SUB: 1: what matches no subscription is sent, or taken.
    invert_matching: u32 = 0,
    /// XPUB, XSUB: 1: only the first part of a message may be a subscription.
    only_first_subscribe: u32 = 0,
    /// XSUB: 1: every cancel is sent, not only the last of a topic.
    subscriber_verbose_unsubscribe: u32 = 0,
    /// PUB, XPUB, RADIO: what one peer may subscribe to, topics and their bytes; 0 for no limit.
    subscriptions_max: u32 = constants.subscriptions_max_default,
    subscription_bytes_max: u32 = constants.subscription_bytes_max_default,
    routing_id_bytes: u32 = 0,
    routing_id_buffer: [256]u8 = @splat(0),
    /// Further properties of READY, encoded.
    metadata_bytes: u32 = 0,
    metadata_buffer: [metadata_bytes_max]u8 = @splat(0),

    pub fn marks(options: *const SocketOptions) Marks {
        return .{
            .send = options.send_high_water_mark,
            .receive = options.receive_high_water_mark,
            .send_bytes = options.send_high_water_mark_bytes,
            .receive_bytes = options.receive_high_water_mark_bytes,
        };
    }

    pub fn policy(options: *const SocketOptions) Policy {
        // Shared memory: anything may be in it.
        return switch (options.send_high_water_mark_policy) {
            1 => .drop_oldest,
            2 => .disconnect,
            else => .drop_newest,
        };
    }

    pub fn routing_id(options: *const SocketOptions) []const u8 {
        // Shared memory: never trust a length in it further than the buffer goes.
        return options.routing_id_buffer[0..@min(options.routing_id_bytes, routing_id_bytes_max)];
    }

    pub fn metadata(options: *const SocketOptions) []const u8 {
        return options.metadata_buffer[0..@min(options.metadata_bytes, metadata_bytes_max)];
    }

    pub fn device(options: *const SocketOptions) []const u8 {
        return options.device_buffer[0..@min(options.device_bytes, options.device_buffer.len)];
    }

    pub fn frame_bytes_max(options: *const SocketOptions, limit: u64) u64 {
        if (options.message_bytes_max < 0) return limit;
        return @min(limit, @as(u64, @intCast(options.message_bytes_max)));
    }
};
