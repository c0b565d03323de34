//! The kernel as the layers above see it: io_uring, or epoll where that cannot be had. Which of the
//! two is decided once, in `init`; only what has to do with waiting differs.

const std = @import("std");
const linux = std.os.linux;
const Allocator = std.mem.Allocator;

const address_module = @import("address.zig");
const Address = address_module.Address;
const Epoll = @import("epoll.zig").Epoll;
const eventfd = @import("eventfd.zig");
const io = @import("io.zig");
const Completion = io.Completion;
const Descriptor = io.Descriptor;
const Token = io.Token;
const transfer = @import("transfer.zig");
const Uring = @import("uring.zig").Uring;

pub const Backend = struct {
    /// What Bun sleeps on.
    eventfd: Descriptor,
    counters: io.Counters = .{},
    /// Why it is not io_uring.
    refusal: io.Refusal = .{},
    poller: union(enum) { io_uring: Uring, epoll: Epoll },

    pub const InitError = Epoll.InitError || error{Unsupported};

    /// It may not move afterwards. `error.Unsupported`: io_uring was asked for, `refusal` tells why
    /// there is none.
    pub fn init(self: *Backend, allocator: Allocator, wanted: io.Kind) InitError!void {
        const target = try eventfd.open(linux.EFD.NONBLOCK);
        errdefer transfer.close(target);
        self.* = .{ .eventfd = target, .poller = undefined };
        if (wanted == .epoll) {
            self.refusal = .{ .step = .choice };
        } else {
            self.poller = .{ .io_uring = undefined };
            const uring = &self.poller.io_uring;
            if (uring.init(target, &self.counters, &self.refusal)) return else |_| {}
            if (wanted == .io_uring) return error.Unsupported;
        }
        self.poller = .{ .epoll = undefined };
        return self.poller.epoll.init(allocator, target, &self.counters);
    }

    pub fn deinit(self: *Backend) void {
        switch (self.poller) {
            inline else => |*it| it.deinit(),
        }
        transfer.close(self.eventfd);
        self.* = undefined;
    }

    pub fn kind(self: *const Backend) io.Kind {
        return switch (self.poller) {
            .io_uring => .io_uring,
            .epoll => .epoll,
        };
    }

    pub fn wake_kind(self: *const Backend) io.Wake {
        return switch (self.poller) {
            .io_uring => .eventfd,
            .epoll => |*epoll| switch (epoll.wake) {
                .aio => .aio,
                .thread => .thread,
            },
        };
    }

    // -- waking -------------------------------------------------------------------------------

    pub fn wake_fd(self: *const Backend) Descriptor {
        return self.eventfd;
    }

    /// Makes Bun's event loop call us; also from another thread.
    pub fn wake(self: *const Backend) void {
        eventfd.signal(self.eventfd);
    }

    /// For a watcher that closes the descriptor it is given.
    pub fn wake_duplicate(self: *const Backend) error{DescriptorsExhausted}!Descriptor {
        return eventfd.duplicate(self.eventfd);
    }

    pub fn wake_drain(self: *const Backend) void {
        eventfd.drain(self.eventfd);
    }

    // -- the turn -----------------------------------------------------------------------------

    pub fn begin(self: *Backend) void {
        switch (self.poller) {
            inline else => |*it| it.begin(),
        }
    }

    pub fn reap(self: *Backend, buffer: *[io.completions_max]Completion) []Completion {
        return switch (self.poller) {
            inline else => |*it| it.reap(buffer),
        };
    }

    pub fn finish(self: *Backend, next: io.Next) bool {
        return switch (self.poller) {
            inline else => |*it| it.finish(next),
        };
    }

    /// Whether what comes from here on signals the eventfd; if not, a turn for the event loop has
    /// to be taken before it sleeps.
    pub fn signals(self: *const Backend) bool {
        return switch (self.poller) {
            .io_uring => |*uring| !uring.silent,
            .epoll => |*epoll| epoll.armed,
        };
    }

    pub fn work_is_waiting(self: *const Backend) bool {
        return switch (self.poller) {
            inline else => |*it| it.work_is_waiting(),
        };
    }

    /// Between turns or in one; costs a look at memory, or a system call that does not wait.
    pub fn poll(self: *Backend) bool {
        return switch (self.poller) {
            inline else => |*it| it.poll(),
        };
    }

    pub fn wait(self: *Backend, timeout_ns: ?u64) void {
        switch (self.poller) {
            inline else => |*it| it.wait(timeout_ns),
        }
    }

    pub fn sleep(self: *Backend, timeout_ns: ?u64) void {
        switch (self.poller) {
            inline else => |*it| it.sleep(timeout_ns),
        }
    }

    // -- requests -----------------------------------------------------------------------------

    pub fn submit(self: *Backend) void {
        switch (self.poller) {
            inline else => |*it| it.submit(),
        }
    }

    pub fn watch_readable(self: *Backend, fd: Descriptor, token: Token) io.SubmitError!void {
        return switch (self.poller) {
            inline else => |*it| it.watch_readable(fd, token),
        };
    }

    pub fn watch_writable(self: *Backend, fd: Descriptor, token: Token) io.SubmitError!void {
        return switch (self.poller) {
            inline else => |*it| it.watch_writable(fd, token),
        };
    }

    pub fn unwatch(self: *Backend, fd: Descriptor, token: Token) io.SubmitError!void {
        return switch (self.poller) {
            inline else => |*it| it.unwatch(fd, token),
        };
    }

    pub fn accept(self: *Backend, fd: Descriptor, token: Token) io.SubmitError!void {
        return switch (self.poller) {
            inline else => |*it| it.accept(fd, token),
        };
    }

    pub fn connect(
        self: *Backend,
        fd: Descriptor,
        address: *const Address,
        token: Token,
    ) io.SubmitError!void {
        return switch (self.poller) {
            inline else => |*it| it.connect(fd, address, token),
        };
    }

    pub fn cancel(self: *Backend, fd: Descriptor, token: Token) io.SubmitError!void {
        return switch (self.poller) {
            inline else => |*it| it.cancel(fd, token),
        };
    }

    pub fn set_deadline(self: *Backend, deadline_ns: ?u64) io.SubmitError!void {
        return switch (self.poller) {
            inline else => |*it| it.set_deadline(deadline_ns),
        };
    }

    // -- plain calls --------------------------------------------------------------------------

    pub fn now_ns(_: *const Backend) u64 {
        var spec: linux.timespec = undefined;
        _ = linux.clock_gettime(.MONOTONIC, &spec);
        const sec: u64 = @intCast(spec.sec);
        return sec * std.time.ns_per_s + @as(u64, @intCast(spec.nsec));
    }

    /// Microseconds since 1970.
    pub fn wall_us(_: *const Backend) u64 {
        var spec: linux.timespec = undefined;
        _ = linux.clock_gettime(.REALTIME, &spec);
        const sec: u64 = @intCast(spec.sec);
        return sec * std.time.us_per_s + @as(u64, @intCast(spec.nsec)) / std.time.ns_per_us;
    }

    pub fn receive(self: *Backend, fd: Descriptor, buffer: []u8) io.ReceiveError!usize {
        self.counters.system_calls += 1;
        self.counters.receives += 1;
        return transfer.receive(fd, buffer);
    }

    pub fn receive_vector(
        self: *Backend,
        fd: Descriptor,
        vectors: []std.posix.iovec,
    ) io.ReceiveError!usize {
        self.counters.system_calls += 1;
        self.counters.receives += 1;
        return transfer.receive_vector(fd, vectors);
    }

    pub fn send_vector(
        self: *Backend,
        fd: Descriptor,
        vectors: []const std.posix.iovec_const,
    ) io.SendError!usize {
        self.counters.system_calls += 1;
        self.counters.sends += 1;
        return transfer.send_vector(fd, vectors);
    }

    pub fn close(self: *Backend, fd: Descriptor) void {
        switch (self.poller) {
            inline else => |*it| it.before_close(fd),
        }
        self.counters.system_calls += 1;
        transfer.close(fd);
    }

    pub fn shutdown(self: *Backend, fd: Descriptor) void {
        self.counters.system_calls += 1;
        transfer.shutdown(fd, .both);
    }

    /// Nothing follows; we go on reading.
    pub fn end_sending(self: *Backend, fd: Descriptor) void {
        self.counters.system_calls += 1;
        transfer.shutdown(fd, .write);
    }

    /// What has come can be read, and then its end; nothing more comes.
    pub fn end_receiving(self: *Backend, fd: Descriptor) void {
        self.counters.system_calls += 1;
        transfer.shutdown(fd, .read);
    }

    pub fn open(_: *Backend, family: address_module.Family) transfer.OpenError!Descriptor {
        return transfer.open(family);
    }

    pub fn bind(_: *Backend, fd: Descriptor, address: *const Address) io.BindError!void {
        return transfer.bind(fd, address);
    }

    pub fn listen(_: *Backend, fd: Descriptor, backlog: u32) io.BindError!void {
        return transfer.listen(fd, backlog);
    }

    pub fn local_address(_: *Backend, fd: Descriptor) Address {
        return transfer.local_address(fd);
    }

    pub fn peer_address(_: *Backend, fd: Descriptor) Address {
        return transfer.peer_address(fd);
    }

    pub fn peer_credentials(_: *Backend, fd: Descriptor) io.Credentials {
        return transfer.peer_credentials(fd);
    }

    /// Returns the errno, 0 for success.
    pub fn set_option(_: *Backend, fd: Descriptor, level: i32, name: u32, value: i32) u16 {
        return transfer.set_option(fd, level, name, value);
    }

    pub fn set_option_bytes(
        _: *Backend,
        fd: Descriptor,
        level: i32,
        name: u32,
        value: []const u8,
    ) u16 {
        return transfer.set_option_bytes(fd, level, name, value);
    }

    pub fn adopt(_: *Backend, fd: Descriptor, unix: bool, backlog: u32) io.BindError!void {
        return transfer.adopt(fd, unix, backlog);
    }

    pub fn peer_answers(self: *Backend, fd: Descriptor) bool {
        self.counters.system_calls += 1;
        return transfer.peer_answers(fd);
    }

    pub fn probe_path(_: *Backend, address: *const Address) transfer.PathState {
        return transfer.probe_path(address);
    }

    pub fn unlink_path(_: *Backend, address: *const Address) u16 {
        return transfer.unlink_path(address);
    }
};
