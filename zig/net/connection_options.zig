//! Options that the kernel keeps per descriptor, applied when a connection or listener is made.
//! A refused option is not worth a connection: the kernel's default stays, as with libzmq. Except
//! for `interface`, which is asked for so that nothing goes elsewhere.

const std = @import("std");
const linux = std.os.linux;

const address_module = @import("../io/address.zig");
const Address = address_module.Address;
const io_module = @import("../io/io.zig");
const SocketOptions = @import("../options.zig").SocketOptions;

pub const DeviceError = error{ NotPermitted, NoSuchDevice };

/// Buffer sizes decide the TCP window scale, so they come before connect and listen.
pub fn before_connect(
    io: anytype,
    fd: io_module.Descriptor,
    address: *const Address,
    options: *const SocketOptions,
) DeviceError!void {
    set_buffers(io, fd, options);
    if (address.family() == .unix) return;
    set_network(io, fd, address.family(), options);
    const device = options.device();
    if (device.len == 0) return;
    const errno = io.set_option_bytes(fd, linux.SOL.SOCKET, linux.SO.BINDTODEVICE, device);
    return switch (@as(linux.E, @enumFromInt(errno))) {
        .SUCCESS => {},
        .NODEV, .INVAL => error.NoSuchDevice,
        else => error.NotPermitted,
    };
}

pub fn before_bind(
    io: anytype,
    fd: io_module.Descriptor,
    address: *const Address,
    options: *const SocketOptions,
) DeviceError!void {
    const family = address.family();
    // A restarted server gets its port back although old connections are in TIME_WAIT.
    if (family != .unix) set(io, fd, linux.SOL.SOCKET, linux.SO.REUSEADDR, 1);
    // One listener serves both families when IPv6 is asked for.
    if (family == .ipv6) set(io, fd, linux.IPPROTO.IPV6, linux.IPV6.V6ONLY, 0);
    return before_connect(io, fd, address, options);
}

/// For a source address: its port may have connections in TIME_WAIT, and one that the kernel is to
/// choose is chosen by connect, which knows which ones are free towards that peer.
pub fn before_source(io: anytype, fd: io_module.Descriptor, source: *const Address) void {
    set(io, fd, linux.SOL.SOCKET, linux.SO.REUSEADDR, 1);
    if (source.port() == 0) set(io, fd, linux.IPPROTO.IP, ip_bind_address_no_port, 1);
}

pub fn after_connect(
    io: anytype,
    fd: io_module.Descriptor,
    family: address_module.Family,
    options: *const SocketOptions,
) void {
    // An accepted unix socket inherits nothing.
    if (family == .unix) return set_buffers(io, fd, options);
    if (family == .unspecified) return;
    const tcp = linux.IPPROTO.TCP;
    // Batches are made above; the kernel must not wait for more.
    set(io, fd, tcp, linux.TCP.NODELAY, 1);
    set(io, fd, linux.SOL.SOCKET, linux.SO.KEEPALIVE, options.tcp_keepalive);
    set(io, fd, tcp, linux.TCP.KEEPCNT, options.tcp_keepalive_count);
    set(io, fd, tcp, linux.TCP.KEEPIDLE, options.tcp_keepalive_idle_s);
    set(io, fd, tcp, linux.TCP.KEEPINTVL, options.tcp_keepalive_interval_s);
    set_positive(io, fd, tcp, linux.TCP.USER_TIMEOUT, options.tcp_max_retransmit_ms);
    set_network(io, fd, family, options);
}

fn set_buffers(io: anytype, fd: io_module.Descriptor, options: *const SocketOptions) void {
    set(io, fd, linux.SOL.SOCKET, linux.SO.SNDBUF, options.send_buffer_bytes);
    set(io, fd, linux.SOL.SOCKET, linux.SO.RCVBUF, options.receive_buffer_bytes);
}

fn set_network(
    io: anytype,
    fd: io_module.Descriptor,
    family: address_module.Family,
    options: *const SocketOptions,
) void {
    set_positive(io, fd, linux.IPPROTO.IP, ip_tos, options.type_of_service);
    if (family == .ipv6) {
        set_positive(io, fd, linux.IPPROTO.IPV6, ipv6_tclass, options.type_of_service);
    }
    // After the type of service, which sets a priority of its own.
    set_positive(io, fd, linux.SOL.SOCKET, linux.SO.PRIORITY, options.priority);
    set_positive(io, fd, linux.SOL.SOCKET, linux.SO.BUSY_POLL, options.busy_poll_us);
}

/// linux/in.h and linux/in6.h.
const ip_tos = 1;
const ip_bind_address_no_port = 24;
const ipv6_tclass = 67;

/// -1 leaves the kernel's value.
fn set(io: anytype, fd: io_module.Descriptor, level: i32, name: u32, value: i32) void {
    if (value < 0) return;
    _ = io.set_option(fd, level, name, value);
}

/// 0 leaves the kernel's value.
fn set_positive(io: anytype, fd: io_module.Descriptor, level: i32, name: u32, value: u32) void {
    if (value == 0) return;
    set(io, fd, level, name, std.math.cast(i32, value) orelse std.math.maxInt(i32));
}
