//! The plain system calls on stream sockets, shared by every kernel back end: each errno mapped,
//! each interrupted call made again. MSG_DONTWAIT instead of O_NONBLOCK, so that the same
//! descriptor can be given to a blocking io_uring connect.

const std = @import("std");
const linux = std.os.linux;
const assert = std.debug.assert;

const io = @import("io.zig");
const address_module = @import("address.zig");
const Address = address_module.Address;
const Descriptor = io.Descriptor;

/// UIO_MAXIOV is 1024; 64 vectors of 64 KiB are more than any socket buffer takes at once.
pub const vectors_max = 64;

pub fn receive(fd: Descriptor, buffer: []u8) io.ReceiveError!usize {
    assert(buffer.len > 0);
    while (true) {
        const result = linux.recvfrom(fd, buffer.ptr, buffer.len, linux.MSG.DONTWAIT, null, null);
        switch (linux.errno(result)) {
            .SUCCESS => return result,
            .INTR => continue,
            else => |errno| return receive_error(errno),
        }
    }
}

pub fn receive_vector(fd: Descriptor, vectors: []std.posix.iovec) io.ReceiveError!usize {
    assert(vectors.len > 0 and vectors.len <= vectors_max);
    var header: linux.msghdr = .{
        .name = null,
        .namelen = 0,
        .iov = vectors.ptr,
        .iovlen = vectors.len,
        .control = null,
        .controllen = 0,
        .flags = 0,
    };
    while (true) {
        const result = linux.recvmsg(fd, &header, linux.MSG.DONTWAIT);
        switch (linux.errno(result)) {
            .SUCCESS => return result,
            .INTR => continue,
            else => |errno| return receive_error(errno),
        }
    }
}

fn receive_error(errno: linux.E) io.ReceiveError {
    return switch (errno) {
        .AGAIN => error.WouldBlock,
        .CONNRESET, .PIPE, .NOTCONN => error.ConnectionReset,
        .TIMEDOUT, .HOSTUNREACH, .NETUNREACH => error.TimedOut,
        .NOMEM, .NOBUFS => error.SystemResources,
        else => error.Unexpected,
    };
}

pub fn send_vector(fd: Descriptor, vectors: []const std.posix.iovec_const) io.SendError!usize {
    assert(vectors.len > 0 and vectors.len <= vectors_max);
    const header: linux.msghdr_const = .{
        .name = null,
        .namelen = 0,
        .iov = vectors.ptr,
        .iovlen = vectors.len,
        .control = null,
        .controllen = 0,
        .flags = 0,
    };
    while (true) {
        const flags = linux.MSG.DONTWAIT | linux.MSG.NOSIGNAL;
        const result = linux.sendmsg(fd, &header, flags);
        switch (linux.errno(result)) {
            .SUCCESS => return result,
            .INTR => continue,
            .AGAIN => return error.WouldBlock,
            .PIPE, .NOTCONN => return error.BrokenPipe,
            .CONNRESET => return error.ConnectionReset,
            .TIMEDOUT, .HOSTUNREACH, .NETUNREACH => return error.TimedOut,
            .NOMEM, .NOBUFS => return error.SystemResources,
            else => return error.Unexpected,
        }
    }
}

pub const OpenError = error{ DescriptorsExhausted, SystemResources, AddressFamilyNotSupported };

pub fn open(family: address_module.Family) OpenError!Descriptor {
    const domain: u32 = @intFromEnum(family);
    const result = linux.socket(domain, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0);
    return switch (linux.errno(result)) {
        .SUCCESS => @intCast(result),
        .MFILE, .NFILE => error.DescriptorsExhausted,
        .AFNOSUPPORT, .PROTONOSUPPORT => error.AddressFamilyNotSupported,
        else => error.SystemResources,
    };
}

pub fn bind(fd: Descriptor, address: *const Address) io.BindError!void {
    const result = linux.bind(fd, address.sockaddr(), address.len);
    return switch (linux.errno(result)) {
        .SUCCESS => {},
        else => |errno| bind_error(errno),
    };
}

pub fn listen(fd: Descriptor, backlog: u32) io.BindError!void {
    return switch (linux.errno(linux.listen(fd, backlog))) {
        .SUCCESS => {},
        else => |errno| bind_error(errno),
    };
}

fn bind_error(errno: linux.E) io.BindError {
    return switch (errno) {
        .ADDRINUSE => error.AddressInUse,
        .ADDRNOTAVAIL => error.AddressNotAvailable,
        .AFNOSUPPORT => error.AddressFamilyNotSupported,
        .ACCES, .PERM, .ROFS => error.PermissionDenied,
        .NOENT => error.NoSuchPath,
        .NOTDIR => error.NotADirectory,
        .NAMETOOLONG => error.NameTooLong,
        .MFILE, .NFILE => error.DescriptorsExhausted,
        .NOMEM, .NOBUFS => error.SystemResources,
        .INVAL => error.InvalidArgument,
        else => error.Unexpected,
    };
}

pub fn local_address(fd: Descriptor) Address {
    var address: Address = .{};
    var len: linux.socklen_t = address.bytes.len;
    const result = linux.getsockname(fd, @ptrCast(&address.bytes), &len);
    if (linux.errno(result) == .SUCCESS) address.len = @min(len, address.bytes.len);
    return address;
}

pub fn peer_address(fd: Descriptor) Address {
    var address: Address = .{};
    var len: linux.socklen_t = address.bytes.len;
    const result = linux.getpeername(fd, @ptrCast(&address.bytes), &len);
    if (linux.errno(result) == .SUCCESS) address.len = @min(len, address.bytes.len);
    return address;
}

/// Returns the errno, 0 for success: the caller decides what a refused option means.
pub fn set_option(fd: Descriptor, level: i32, name: u32, value: i32) u16 {
    const bytes = std.mem.asBytes(&value);
    return @intFromEnum(linux.errno(linux.setsockopt(fd, level, name, bytes, bytes.len)));
}

/// As `set_option`, for a value that is text.
pub fn set_option_bytes(fd: Descriptor, level: i32, name: u32, value: []const u8) u16 {
    const result = linux.setsockopt(fd, level, name, value.ptr, @intCast(value.len));
    return @intFromEnum(linux.errno(result));
}

/// Makes a descriptor that somebody else opened ours: a stream socket of this kind, bound; it
/// listens afterwards.
pub fn adopt(fd: Descriptor, unix: bool, backlog: u32) io.BindError!void {
    const domain = get_option(fd, linux.SO.DOMAIN) orelse return error.InvalidArgument;
    const kind = get_option(fd, linux.SO.TYPE) orelse return error.InvalidArgument;
    const network = domain == linux.AF.INET or domain == linux.AF.INET6;
    const same = if (unix) domain == linux.AF.UNIX else network;
    if (!same or kind != linux.SOCK.STREAM) return error.InvalidArgument;
    if (get_option(fd, linux.SO.ACCEPTCONN) != 1) {
        const address = local_address(fd);
        // The kernel would choose an address that nobody asked for.
        const bound = if (unix) address.len > 2 else address.port() != 0;
        if (!bound) return error.InvalidArgument;
        listen(fd, backlog) catch return error.InvalidArgument;
    }
    // As ours are. With O_NONBLOCK older kernels end an accept of the ring that finds nobody.
    const flags = linux.fcntl(fd, linux.F.GETFL, 0);
    if (linux.errno(flags) != .SUCCESS) return error.InvalidArgument;
    const nonblocking: usize = @as(u32, @bitCast(linux.O{ .NONBLOCK = true }));
    _ = linux.fcntl(fd, linux.F.SETFL, flags & ~nonblocking);
    _ = linux.fcntl(fd, linux.F.SETFD, linux.FD_CLOEXEC);
}

pub fn get_option(fd: Descriptor, name: u32) ?i32 {
    var value: i32 = 0;
    var len: linux.socklen_t = @sizeOf(i32);
    const result = linux.getsockopt(fd, linux.SOL.SOCKET, name, std.mem.asBytes(&value), &len);
    return if (linux.errno(result) == .SUCCESS) value else null;
}

/// Of a unix socket: who connected, or who had it listen.
pub fn peer_credentials(fd: Descriptor) io.Credentials {
    var ucred: extern struct { pid: u32 = 0, uid: u32 = 0, gid: u32 = 0 } = .{};
    const bytes = std.mem.asBytes(&ucred);
    var len: linux.socklen_t = bytes.len;
    const result = linux.getsockopt(fd, linux.SOL.SOCKET, linux.SO.PEERCRED, bytes, &len);
    if (linux.errno(result) != .SUCCESS) return .{};
    return .{ .process_id = ucred.pid, .user_id = ucred.uid };
}

/// For calls that have no flag like MSG_DONTWAIT.
pub fn set_nonblocking(fd: Descriptor) void {
    const flags = linux.fcntl(fd, linux.F.GETFL, 0);
    if (linux.errno(flags) != .SUCCESS) return;
    const nonblocking: usize = @as(u32, @bitCast(linux.O{ .NONBLOCK = true }));
    _ = linux.fcntl(fd, linux.F.SETFL, flags | nonblocking);
}

/// EINTR leaves the descriptor closed on Linux, so the result says nothing we could act on.
pub fn close(fd: Descriptor) void {
    assert(fd >= 0);
    _ = linux.close(fd);
}

/// An already closed peer (ENOTCONN) is as good as a shutdown.
pub fn shutdown(fd: Descriptor, how: enum { read, write, both }) void {
    _ = linux.shutdown(fd, switch (how) {
        .read => linux.SHUT.RD,
        .write => linux.SHUT.WR,
        .both => linux.SHUT.RDWR,
    });
}

/// Whether the peer's kernel answers: nothing is being sent again, and no probe of a closed window
/// is unanswered but perhaps the last one. The peer of a unix socket is on this machine.
pub fn peer_answers(fd: Descriptor) bool {
    // The beginning of linux/tcp.h's tcp_info: state, ca_state, retransmits, probes.
    var info: [4]u8 = @splat(0);
    var size: u32 = info.len;
    const result = linux.getsockopt(fd, linux.IPPROTO.TCP, linux.TCP.INFO, &info, &size);
    if (linux.errno(result) != .SUCCESS) return true;
    return info[2] == 0 and info[3] <= 1;
}

pub const PathState = enum { absent, live, stale, other };

/// Tells whether a unix path can be bound: a stale socket file (nobody listens) may be removed.
pub fn probe_path(address: *const Address) PathState {
    assert(address.family() == .unix);
    const fd = open(.unix) catch return .other;
    defer close(fd);
    const result = linux.connect(fd, address.sockaddr(), address.len);
    return switch (linux.errno(result)) {
        .SUCCESS, .AGAIN => .live,
        .NOENT => .absent,
        // Whatever else lies there, a file or a directory, is not ours to remove.
        .CONNREFUSED => if (is_socket(address)) .stale else .other,
        else => .other,
    };
}

fn is_socket(address: *const Address) bool {
    const path: [*:0]const u8 = @ptrCast(address.unix_name().ptr);
    const not_followed = linux.AT.SYMLINK_NOFOLLOW;
    var found: linux.Statx = undefined;
    const result = linux.statx(linux.AT.FDCWD, path, not_followed, .{ .TYPE = true }, &found);
    return linux.errno(result) == .SUCCESS and linux.S.ISSOCK(found.mode);
}

/// Returns the errno, 0 for success.
pub fn unlink_path(address: *const Address) u16 {
    assert(address.family() == .unix);
    const name = address.unix_name();
    if (name.len == 0 or name[0] == 0) return 0;
    // unix_name is NUL-terminated inside `bytes`: sun_path holds 108 bytes, a path at most 107.
    return @intFromEnum(linux.errno(linux.unlink(@ptrCast(name.ptr))));
}

test "bytes sent on one end are received on the other, and an empty socket does not block" {
    var pair: [2]i32 = undefined;
    const result = linux.socketpair(linux.AF.UNIX, linux.SOCK.STREAM, 0, &pair);
    try std.testing.expectEqual(.SUCCESS, linux.errno(result));
    defer close(pair[1]);
    var buffer: [16]u8 = undefined;
    try std.testing.expectError(error.WouldBlock, receive(pair[1], &buffer));
    const vectors = [_]std.posix.iovec_const{
        .{ .base = "mono", .len = 4 },
        .{ .base = "coque", .len = 5 },
    };
    try std.testing.expectEqual(9, try send_vector(pair[0], &vectors));
    try std.testing.expectEqual(9, try receive(pair[1], &buffer));
    try std.testing.expectEqualStrings("monocoque", buffer[0..9]);
    close(pair[0]);
    try std.testing.expectEqual(0, try receive(pair[1], &buffer));
    try std.testing.expectError(error.BrokenPipe, send_vector(pair[1], &vectors));
}
