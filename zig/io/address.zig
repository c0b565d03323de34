//! A network address as the kernel takes it: sockaddr bytes with their length, for IPv4, IPv6 and
//! unix sockets (paths and Linux abstract names), and its text form for `lastEndpoint` and events.
//! Names are resolved above (by Bun); this file never looks anything up.

const std = @import("std");
const linux = std.os.linux;
const assert = std.debug.assert;

/// sun_path holds 108 bytes; a path needs its terminating NUL, an abstract name does not.
pub const unix_path_size_max = 107;

pub const Family = enum(u16) {
    unspecified = 0,
    unix = linux.AF.UNIX,
    ipv4 = linux.AF.INET,
    ipv6 = linux.AF.INET6,
};

/// The address of a peer, kept for each of many thousand connections: of a unix socket it is known
/// that it is one and not its path, since peers that connect have none.
pub const PeerAddress = struct {
    bytes: [@sizeOf(linux.sockaddr.in6)]u8 = @splat(0),
    len: u8 = 0,

    pub fn of(whole: *const Address) PeerAddress {
        var peer: PeerAddress = .{};
        const known: u32 = if (whole.family() == .unix) 2 else whole.len;
        peer.len = @intCast(@min(known, peer.bytes.len));
        @memcpy(peer.bytes[0..peer.len], whole.bytes[0..peer.len]);
        return peer;
    }

    pub fn address(peer: *const PeerAddress) Address {
        var whole: Address = .{ .len = peer.len };
        @memcpy(whole.bytes[0..peer.len], peer.bytes[0..peer.len]);
        return whole;
    }
};

pub const Address = extern struct {
    /// sockaddr_in, sockaddr_in6 or sockaddr_un, as `family` says.
    bytes: [112]u8 align(8) = @splat(0),
    len: u32 = 0,

    pub fn ipv4(octets: [4]u8, port_number: u16) Address {
        var address: Address = .{ .len = @sizeOf(linux.sockaddr.in) };
        const in: *linux.sockaddr.in = @ptrCast(&address.bytes);
        in.* = .{ .port = std.mem.nativeToBig(u16, port_number), .addr = @bitCast(octets) };
        return address;
    }

    pub fn ipv6(octets: [16]u8, port_number: u16, scope: u32) Address {
        var address: Address = .{ .len = @sizeOf(linux.sockaddr.in6) };
        const in: *linux.sockaddr.in6 = @ptrCast(&address.bytes);
        in.* = .{
            .port = std.mem.nativeToBig(u16, port_number),
            .flowinfo = 0,
            .addr = octets,
            .scope_id = scope,
        };
        return address;
    }

    /// `name` is a file path, or an abstract name with a leading NUL (Linux, unix(7)): its length
    /// then covers exactly those bytes, as libzmq has it.
    pub fn unix(name: []const u8) error{ NameTooLong, InvalidArgument }!Address {
        if (name.len == 0) return error.InvalidArgument;
        const abstract = name[0] == 0;
        if (abstract and name.len == 1) return error.InvalidArgument;
        const room: usize = if (abstract) unix_path_size_max + 1 else unix_path_size_max;
        if (name.len > room) return error.NameTooLong;
        if (!abstract and std.mem.indexOfScalar(u8, name, 0) != null) return error.InvalidArgument;
        var address: Address = .{};
        const un: *linux.sockaddr.un = @ptrCast(&address.bytes);
        un.family = linux.AF.UNIX;
        @memcpy(un.path[0..name.len], name);
        const terminator: usize = if (abstract) 0 else 1;
        address.len = @intCast(@offsetOf(linux.sockaddr.un, "path") + name.len + terminator);
        return address;
    }

    pub fn family(address: *const Address) Family {
        if (address.len < 2) return .unspecified;
        const number = std.mem.readInt(u16, address.bytes[0..2], .little);
        return switch (number) {
            linux.AF.UNIX => .unix,
            linux.AF.INET => .ipv4,
            linux.AF.INET6 => .ipv6,
            else => .unspecified,
        };
    }

    pub fn sockaddr(address: *const Address) *const linux.sockaddr {
        return @ptrCast(&address.bytes);
    }

    pub fn port(address: *const Address) u16 {
        return switch (address.family()) {
            .ipv4, .ipv6 => std.mem.readInt(u16, address.bytes[2..4], .big),
            else => 0,
        };
    }

    /// The path or the abstract name (with its leading NUL) of a unix address.
    pub fn unix_name(address: *const Address) []const u8 {
        assert(address.family() == .unix);
        const start = @offsetOf(linux.sockaddr.un, "path");
        if (address.len <= start) return "";
        const name = address.bytes[start..address.len];
        if (name[0] == 0) return name;
        return name[0 .. std.mem.indexOfScalar(u8, name, 0) orelse name.len];
    }

    pub fn equal(a: *const Address, b: *const Address) bool {
        return a.len == b.len and std.mem.eql(u8, a.bytes[0..a.len], b.bytes[0..b.len]);
    }

    /// Longest text: "tcp://[" + 45 + "%4294967295" + "]:65535", or "ipc://@" + 107.
    pub const text_size_max = 128;

    /// Writes the endpoint string, e.g. `tcp://127.0.0.1:5555`, `ipc:///tmp/x`, `ipc://@name`.
    pub fn format_endpoint(address: *const Address, buffer: *[text_size_max]u8) []const u8 {
        var writer: std.Io.Writer = .fixed(buffer);
        address.write_endpoint(&writer) catch return "";
        return writer.buffered();
    }

    fn write_endpoint(address: *const Address, writer: *std.Io.Writer) std.Io.Writer.Error!void {
        switch (address.family()) {
            .unspecified => {},
            .ipv4 => {
                const octets = address.bytes[4..8];
                try writer.print("tcp://{d}.{d}.{d}.{d}:{d}", .{
                    octets[0], octets[1], octets[2], octets[3], address.port(),
                });
            },
            .ipv6 => {
                try writer.writeAll("tcp://[");
                try write_ipv6(writer, address.bytes[8..24].*);
                const scope = std.mem.readInt(u32, address.bytes[24..28], .little);
                if (scope != 0) try writer.print("%{d}", .{scope});
                try writer.print("]:{d}", .{address.port()});
            },
            .unix => {
                const name = address.unix_name();
                try writer.writeAll("ipc://");
                if (name.len > 0 and name[0] == 0) {
                    try writer.print("@{s}", .{name[1..]});
                } else try writer.writeAll(name);
            },
        }
    }
};

/// RFC 5952: the longest run of zero groups becomes "::", v4-mapped addresses keep their dots.
fn write_ipv6(writer: *std.Io.Writer, octets: [16]u8) std.Io.Writer.Error!void {
    if (std.mem.allEqual(u8, octets[0..10], 0) and octets[10] == 0xff and octets[11] == 0xff) {
        return writer.print("::ffff:{d}.{d}.{d}.{d}", .{
            octets[12], octets[13], octets[14], octets[15],
        });
    }
    var groups: [8]u16 = undefined;
    for (&groups, 0..) |*group, i| group.* = std.mem.readInt(u16, octets[i * 2 ..][0..2], .big);
    var best_start: usize = 8;
    var best_len: usize = 1;
    var i: usize = 0;
    while (i < 8) {
        var end = i;
        while (end < 8 and groups[end] == 0) end += 1;
        if (end - i > best_len) {
            best_start = i;
            best_len = end - i;
        }
        i = @max(end, i + 1);
    }
    i = 0;
    while (i < 8) {
        if (i == best_start) {
            try writer.writeAll("::");
            i += best_len;
            continue;
        }
        if (i > 0 and i != best_start + best_len) try writer.writeAll(":");
        try writer.print("{x}", .{groups[i]});
        i += 1;
    }
}

fn expect_text(expected: []const u8, address: Address) !void {
    var buffer: [Address.text_size_max]u8 = undefined;
    try std.testing.expectEqualStrings(expected, address.format_endpoint(&buffer));
}

test "lastEndpoint tells the address that a peer can connect to" {
    try expect_text("tcp://127.0.0.1:5555", .ipv4(.{ 127, 0, 0, 1 }, 5555));
    var octets: [16]u8 = @splat(0);
    try expect_text("tcp://[::]:1", .ipv6(octets, 1, 0));
    octets[15] = 1;
    try expect_text("tcp://[::1]:65535", .ipv6(octets, 65535, 0));
    octets[0] = 0xfe;
    octets[1] = 0x80;
    try expect_text("tcp://[fe80::1%3]:80", .ipv6(octets, 80, 3));
    octets = @splat(0x11);
    try expect_text("tcp://[1111:1111:1111:1111:1111:1111:1111:1111]:9", .ipv6(octets, 9, 0));
    octets = @splat(0);
    octets[10] = 0xff;
    octets[11] = 0xff;
    octets[12] = 127;
    octets[15] = 1;
    try expect_text("tcp://[::ffff:127.0.0.1]:7", .ipv6(octets, 7, 0));
    try expect_text("ipc:///tmp/socket", try .unix("/tmp/socket"));
    try expect_text("ipc://@name", try .unix("\x00name"));
}

test "a path that does not fit a unix address is refused, not cut off" {
    const long: [108]u8 = @splat('x');
    try std.testing.expectError(error.NameTooLong, Address.unix(&long));
    _ = try Address.unix(long[0..107]);
    try std.testing.expectError(error.InvalidArgument, Address.unix(""));
    try std.testing.expectError(error.InvalidArgument, Address.unix("\x00"));
    var abstract: [109]u8 = @splat('y');
    abstract[0] = 0;
    _ = try Address.unix(abstract[0..108]);
    try std.testing.expectError(error.NameTooLong, Address.unix(&abstract));
}
