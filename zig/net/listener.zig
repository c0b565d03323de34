//! A bound endpoint: its descriptor, and what was asked of the kernel for it.

const assert = @import("std").debug.assert;

const address_module = @import("../io/address.zig");
const Address = address_module.Address;
const connection_options = @import("connection_options.zig");
const inproc = @import("inproc.zig");
const io_module = @import("../io/io.zig");
const Link = @import("../stdx/intrusive_list.zig").Link;
const SocketOptions = @import("../options.zig").SocketOptions;
const Timer = @import("timer.zig").Timer;

pub const Listener = struct {
    handle: u32,
    socket: u32,
    fd: io_module.Descriptor = -1,
    /// Where it really listens: the port the kernel chose, the path.
    address: Address = .{},
    /// Opened by somebody else, who made its path, too.
    adopted: bool = false,
    /// A name in this process, which has no descriptor.
    binding: ?*inproc.Binding = null,
    accepting: bool = false,
    /// Which accept: the last completion of one that was ended must not end its successor.
    epoch: u24 = 0,
    /// Connections that it has accepted and that have not ended.
    connections: u32 = 0,
    /// As many as it takes; 0 for no limit.
    connections_max: u32,
    /// There are so many: nothing is accepted until one ends.
    paused: bool = false,
    /// Accepting failed, and has not succeeded since.
    failing: bool = false,
    /// Until accept is tried again.
    timer: Timer,
    socket_link: Link = .{},

    pub fn open(
        listener: *Listener,
        io: anytype,
        address: *const Address,
        options: *const SocketOptions,
    ) io_module.BindError!void {
        if (options.use_fd >= 0) return listener.adopt(io, address, options);
        if (address.family() == .unix) switch (io.probe_path(address)) {
            .live => return error.AddressInUse,
            // Left by a process that did not close it; libzmq removes it too.
            // Where it cannot be removed, bind fails.
            .stale => _ = io.unlink_path(address),
            .absent, .other => {},
        };
        listener.fd = try io.open(address.family());
        errdefer {
            io.close(listener.fd);
            listener.fd = -1;
        }
        try connection_options.before_bind(io, listener.fd, address, options);
        try io.bind(listener.fd, address);
        errdefer if (address.family() == .unix) {
            _ = io.unlink_path(address);
        };
        try io.listen(listener.fd, options.backlog);
        listener.address = io.local_address(listener.fd);
        if (address.family() == .unix) listener.address = address.*;
        try listener.accept(io);
    }

    /// Refused, the descriptor stays with whoever opened it.
    fn adopt(
        listener: *Listener,
        io: anytype,
        address: *const Address,
        options: *const SocketOptions,
    ) io_module.BindError!void {
        try io.adopt(options.use_fd, address.family() == .unix, options.backlog);
        listener.fd = options.use_fd;
        errdefer listener.fd = -1;
        listener.adopted = true;
        listener.address = io.local_address(listener.fd);
        try listener.accept(io);
    }

    pub fn accept(listener: *Listener, io: anytype) io_module.SubmitError!void {
        try io.accept(listener.fd, listener.token());
        listener.accepting = true;
    }

    pub fn full(listener: *const Listener) bool {
        return listener.connections_max != 0 and listener.connections >= listener.connections_max;
    }

    /// Connections wait in the backlog from now on.
    pub fn pause(listener: *Listener, io: anytype) void {
        assert(!listener.paused);
        listener.paused = true;
        if (!listener.accepting) return;
        // Refused for want of memory: those that still come are closed.
        io.cancel(listener.fd, listener.token()) catch return;
        listener.accepting = false;
        listener.epoch +%= 1;
    }

    pub fn token(listener: *const Listener) io_module.Token {
        return .{ .operation = .accept, .epoch = listener.epoch, .handle = listener.handle };
    }

    /// Leaves the descriptor to whoever copied it.
    pub fn surrender(listener: *Listener, io: anytype) void {
        const fd = listener.fd;
        if (listener.accepting) io.cancel(fd, listener.token()) catch |failure| switch (failure) {
            // It may take a connection more, which is closed then: the peer tries again.
            error.SystemResources => {},
        };
        listener.fd = -1;
        listener.accepting = false;
    }

    /// Returns the errno of removing its path, 0 for success.
    pub fn close(listener: *Listener, io: anytype) u16 {
        if (listener.binding) |binding| binding.unbind();
        listener.binding = null;
        const fd = listener.fd;
        if (fd < 0) return 0;
        if (listener.accepting) io.cancel(fd, listener.token()) catch io.shutdown(fd);
        io.close(fd);
        // Nobody else can have bound this path while we listened there.
        const made = !listener.adopted and listener.address.family() == .unix;
        listener.fd = -1;
        listener.accepting = false;
        return if (made) io.unlink_path(&listener.address) else 0;
    }
};
