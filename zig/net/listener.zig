//! A bound endpoint: its descriptor, and what was asked of the kernel for it.

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
            .stale => io.unlink_path(address),
            .absent, .other => {},
        };
        listener.fd = try io.open(address.family());
        errdefer {
            io.close(listener.fd);
            listener.fd = -1;
        }
        try connection_options.before_bind(io, listener.fd, address, options);
        try io.bind(listener.fd, address);
        errdefer if (address.family() == .unix) io.unlink_path(address);
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

    pub fn token(listener: *const Listener) io_module.Token {
        return .{ .operation = .accept, .handle = listener.handle };
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

    pub fn close(listener: *Listener, io: anytype) void {
        if (listener.binding) |binding| binding.unbind();
        listener.binding = null;
        const fd = listener.fd;
        if (fd < 0) return;
        if (listener.accepting) io.cancel(fd, listener.token()) catch io.shutdown(fd);
        io.close(fd);
        // Nobody else can have bound this path while we listened there.
        const made = !listener.adopted and listener.address.family() == .unix;
        if (made) io.unlink_path(&listener.address);
        listener.fd = -1;
        listener.accepting = false;
    }
};
