//! How a session comes up, as far as the handshake: addresses are tried in turn, through a proxy
//! where there is one. Part of session.zig, in a file of its own for its length.

const std = @import("std");
const assert = std.debug.assert;

const Address = @import("../io/address.zig").Address;
const connection_options = @import("../net/connection_options.zig");
const Name = @import("inproc.zig").Name;
const Outcome = @import("session.zig").Outcome;
const Reason = @import("monitor.zig").Reason;
const Resources = @import("pipe.zig").Resources;
const Slabs = @import("../stdx/slab.zig").Slabs;
const socks = @import("../net/socks.zig");

/// Where a session connects to. Apart from it, since those that were accepted have none.
pub const Route = struct {
    /// Inside the process.
    name: Name = .{},
    /// The endpoint is a name of the network: ask the owner for its addresses at each attempt.
    named: bool = false,
    /// Addresses still to be tried in this attempt, and the one being tried.
    addresses: [addresses_max]Address = undefined,
    addresses_count: u8 = 0,
    address_index: u8 = 0,
    /// The local end that connections are to have; unspecified: the kernel chooses.
    source: Address = .{},
    /// What is asked of the SOCKS proxy whose addresses these are; null: there is none.
    proxy: ?*socks.Client = null,

    pub const addresses_max = 8;

    pub fn create(slabs: *Slabs) error{OutOfMemory}!*Route {
        const route = try slabs.create(Route);
        route.* = .{};
        return route;
    }

    pub fn destroy(route: *Route, resources: *Resources) void {
        route.name.free(&resources.slabs);
        if (route.proxy) |proxy| resources.allocator.destroy(proxy);
        resources.slabs.destroy(route);
    }

    /// The one that is being tried, or was last; unspecified: none was.
    pub fn address(route: *const Route) Address {
        if (route.addresses_count == 0) return .{};
        return route.addresses[route.address_index];
    }

    pub fn set_addresses(route: *Route, addresses: []const Address) void {
        const count = @min(addresses.len, addresses_max);
        route.addresses_count = @intCast(count);
        route.address_index = 0;
        @memcpy(route.addresses[0..count], addresses[0..count]);
    }
};

/// What a connecting session has to know before its first attempt.
pub fn set_route(
    session: anytype,
    source: *const Address,
    proxy: ?*const socks.Client,
) error{OutOfMemory}!void {
    const route = session.route.?;
    assert(route.proxy == null);
    route.source = source.*;
    const wanted = proxy orelse return;
    route.proxy = try session.resources.allocator.create(socks.Client);
    route.proxy.?.* = wanted.*;
}

/// Milliseconds for an attempt, until the handshake begins; 0 leaves it to the kernel.
pub fn attempt_ms(session: anytype) u32 {
    const limit_ms = session.options.connect_timeout_ms;
    // The kernel's limit does not count for a proxy's silence.
    if (limit_ms > 0 or session.route.?.proxy == null) return limit_ms;
    return session.options.handshake_interval_ms;
}

/// The time for what it was doing is over. The next address gets as much of it again.
pub fn timed_out(session: anytype) Outcome {
    return session.disconnect(switch (session.state) {
        .connecting => {
            return connect_failed(session, reason_or_proxy(session, .connection_timed_out));
        },
        .proxying => .proxy_timed_out,
        .handshaking => .handshake_timeout,
        else => unreachable,
    });
}

/// The name has no address.
pub fn not_found(session: anytype) Outcome {
    assert(session.state == .resolving);
    return session.disconnect(reason_or_proxy(session, .name_not_found));
}

/// With a proxy it is the proxy that cannot be reached: nothing is known of the peer.
fn reason_or_proxy(session: anytype, reason: Reason) Reason {
    return if (session.route.?.proxy == null) reason else .proxy_unreachable;
}

/// Begins an attempt on the addresses in hand.
pub fn start_connect(session: anytype, addresses: []const Address) Outcome {
    assert(session.kind == .connecting and session.fd < 0);
    assert(addresses.len > 0);
    session.route.?.set_addresses(addresses);
    return session.restart_connect();
}

/// An attempt on the addresses of last time (literals).
pub fn restart_connect(session: anytype) Outcome {
    const route = session.route.?;
    assert(route.addresses_count > 0);
    route.address_index = 0;
    return connect_next(session);
}

fn connect_next(session: anytype) Outcome {
    const reason = connect_to(session, session.route.?);
    return connect_failed(session, reason orelse return .{});
}

/// Tries the next address, if there is one.
fn connect_failed(session: anytype, reason: Reason) Outcome {
    const route = session.route.?;
    if (route.address_index + 1 == route.addresses_count) return session.disconnect(reason);
    session.close_descriptor();
    route.address_index += 1;
    return connect_next(session);
}

fn connect_to(session: anytype, route: *const Route) ?Reason {
    const io = session.io;
    const address = &route.addresses[route.address_index];
    session.peer = .of(address);
    session.state = .connecting;
    session.fd = io.open(address.family()) catch |failure| return switch (failure) {
        error.DescriptorsExhausted => .descriptors_exhausted,
        error.SystemResources => .out_of_memory,
        error.AddressFamilyNotSupported => .unreachable_address,
    };
    connection_options.before_connect(
        io,
        session.fd,
        address,
        session.options,
    ) catch |failure| return switch (failure) {
        error.NotPermitted => .interface_not_permitted,
        error.NoSuchDevice => .interface_missing,
    };
    if (route.source.family() != .unspecified) {
        connection_options.before_source(io, session.fd, &route.source);
        io.bind(session.fd, &route.source) catch |failure| return switch (failure) {
            error.AddressInUse => .source_in_use,
            else => .source_unavailable,
        };
    }
    io.connect(session.fd, address, session.token(.connect)) catch return .out_of_memory;
    return null;
}

pub fn on_connect(session: anytype, result: i32) Outcome {
    assert(session.state == .connecting);
    if (result != 0) {
        return connect_failed(session, reason_or_proxy(session, Reason.of_connect(result)));
    }
    if (session.route.?.proxy != null) return start_proxy(session);
    return session.start_handshake();
}

// -- through a proxy ------------------------------------------------------------------

fn start_proxy(session: anytype) Outcome {
    session.state = .proxying;
    var output: [socks.output_bytes_max]u8 = undefined;
    session.watch_readable() catch return session.disconnect(.out_of_memory);
    const greeting = session.route.?.proxy.?.start(&output);
    if (session.send_control(greeting)) |reason| return session.disconnect(reason);
    session.readable = true;
    return .{};
}

/// Reads no byte more than the proxy's: what follows is the peer's.
pub fn receive_proxy(session: anytype) Outcome {
    const proxy = session.route.?.proxy.?;
    const room = proxy.room();
    const count = session.io.receive(session.fd, room) catch |failure| switch (failure) {
        error.WouldBlock, error.SystemResources => return session.receive_failed(failure),
        else => return session.disconnect(.proxy_closed),
    };
    if (count == 0) return session.disconnect(.proxy_closed);
    session.readable = count == room.len or session.end_behind;
    var output: [socks.output_bytes_max]u8 = undefined;
    const question = proxy.advance(count, &output) catch |failure| {
        return session.disconnect(Reason.of_proxy(failure));
    };
    if (session.send_control(question)) |reason| return session.disconnect(reason);
    return if (proxy.state == .done) session.start_handshake() else .{};
}
