//! Options that the kernel keeps per descriptor, applied when a connection or listener is made.
//! A refused option is not worth a connection: the kernel's default stays, as with libzmq.

const std = @import("std");
const linux = std.os.linux;

const address_module = @import("../io/address.zig");
const Address = address_module.Address;
const io_module = @import("../io/io.zig");
const SocketOptions = @import("../options.zig").SocketOptions;

/// Buffer sizes decide the TCP window scale, so they come before connect and listen.
pub fn before_connect(
    io: anytype,
    fd: io_module.Descriptor,
    address: *const Address,
    options: *const SocketOptions,
) void {
    set(io, fd, linux.SOL.SOCKET, linux.SO.SNDBUF, options.send_buffer_bytes);
    set(io, fd, linux.SOL.SOCKET, linux.SO.RCVBUF, options.receive_buffer_bytes);
    set_type_of_service(io, fd, address.family(), options);
}

pub fn before_bind(
    io: anytype,
    fd: io_module.Descriptor,
    address: *const Address,
    options: *const SocketOptions,
) void {
    const family = address.family();
    // A restarted server gets its port back although old connections are in TIME_WAIT.
    if (family != .unix) set(io, fd, linux.SOL.SOCKET, linux.SO.REUSEADDR, 1);
    // One listener serves both families when IPv6 is asked for.
    if (family == .ipv6) set(io, fd, linux.IPPROTO.IPV6, linux.IPV6.V6ONLY, 0);
    before_connect(io, fd, address, options);
}

pub fn after_connect(
    io: anytype,
    fd: io_module.Descriptor,
    family: address_module.Family,
    options: *const SocketOptions,
) void {
    if (family == .unix or family == .unspecified) return;
    const tcp = linux.IPPROTO.TCP;
    // Batches are made above; the kernel must not wait for more.
    set(io, fd, tcp, linux.TCP.NODELAY, 1);
    set(io, fd, linux.SOL.SOCKET, linux.SO.KEEPALIVE, options.tcp_keepalive);
    set(io, fd, tcp, linux.TCP.KEEPCNT, options.tcp_keepalive_count);
    set(io, fd, tcp, linux.TCP.KEEPIDLE, options.tcp_keepalive_idle_s);
    set(io, fd, tcp, linux.TCP.KEEPINTVL, options.tcp_keepalive_interval_s);
    if (options.tcp_max_retransmit_ms > 0) {
        const value = std.math.cast(i32, options.tcp_max_retransmit_ms) orelse std.math.maxInt(i32);
        set(io, fd, tcp, linux.TCP.USER_TIMEOUT, value);
    }
    set_type_of_service(io, fd, family, options);
}

fn set_type_of_service(
    io: anytype,
    fd: io_module.Descriptor,
    family: address_module.Family,
    options: *const SocketOptions,
) void {
    if (options.type_of_service == 0 or family == .unix) return;
    const value = std.math.cast(i32, options.type_of_service) orelse return;
    set(io, fd, linux.IPPROTO.IP, ip_tos, value);
    if (family == .ipv6) set(io, fd, linux.IPPROTO.IPV6, ipv6_tclass, value);
}

/// IP_TOS and IPV6_TCLASS, linux/in.h and linux/in6.h.
const ip_tos = 1;
const ipv6_tclass = 67;

/// -1 leaves the kernel's value.
fn set(io: anytype, fd: io_module.Descriptor, level: i32, name: u32, value: i32) void {
    if (value < 0) return;
    _ = io.set_option(fd, level, name, value);
}
