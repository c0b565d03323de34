//! The epoll back end, for where io_uring is forbidden or missing: one set with every descriptor, a
//! timer for the nearest deadline, and completions made up of what epoll_wait(2) tells. Its core is
//! the same as the ring's, so watches are edge-triggered: they tell of a wake-up, not of a level.

const std = @import("std");
const linux = std.os.linux;
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;

const eventfd = @import("eventfd.zig");
const io = @import("io.zig");
const transfer = @import("transfer.zig");
const Address = @import("address.zig").Address;
const Completion = io.Completion;
const Descriptor = io.Descriptor;
const Token = io.Token;
const Wake = @import("epoll_wake.zig").Wake;

const edge = linux.EPOLL.ET;
const readable = linux.EPOLL.IN | linux.EPOLL.RDHUP;
const writable = linux.EPOLL.OUT;
const ended = linux.EPOLL.ERR | linux.EPOLL.HUP;
const nobody: Token = .{ .operation = .none };

/// Connections taken from one listener per turn: as many as a ring's request brings.
const accepts_max = 32;

/// Deadlines are the timer's: whoever waits longer is woken in between.
const wait_ms_max = std.time.ms_per_day;

/// What is asked of the kernel for one descriptor.
const Watched = struct {
    /// `readable` or `accept`.
    reading: Token = nobody,
    /// `writable` or `connect`.
    writing: Token = nobody,
    /// What the set has; 0: it is not in it.
    events: u32 = 0,
    /// Why a connect failed at once; an errno.
    failure: u16 = 0,

    fn wanted(watched: *const Watched) u32 {
        const in: u32 = switch (watched.reading.operation) {
            .readable => readable | edge,
            // Level-triggered: what is not taken in this turn is told of in the next.
            .accept => linux.EPOLL.IN,
            else => 0,
        };
        return if (watched.writing.operation == .none) in else in | writable | edge;
    }
};

const Completions = struct {
    buffer: *[io.completions_max]Completion,
    count: usize = 0,

    fn full(out: *const Completions) bool {
        return out.count == out.buffer.len;
    }

    fn add(out: *Completions, token: Token, result: i32, more: bool) void {
        out.buffer[out.count] = .{ .token = token, .result = result, .more = more };
        out.count += 1;
    }
};

pub const Epoll = struct {
    allocator: Allocator,
    eventfd: Descriptor,
    counters: *io.Counters,
    set: Descriptor,
    /// Of the nearest deadline.
    timer: Descriptor,
    deadline_armed_ns: u64 = 0,
    wake: Wake,
    armed: bool = true,
    /// There may be events whatever the wake says.
    look: bool = false,
    in_turn: bool = false,
    /// What `wait` has fetched for the next `reap`.
    events: [io.completions_max]linux.epoll_event = undefined,
    fetched: u32 = 0,
    /// By descriptor.
    watched: std.ArrayList(Watched) = .empty,

    pub const InitError = error{ DescriptorsExhausted, SystemResources };

    pub fn init(
        self: *Epoll,
        allocator: Allocator,
        target: Descriptor,
        counters: *io.Counters,
    ) InitError!void {
        const set = try opened(linux.epoll_create1(linux.EPOLL.CLOEXEC));
        errdefer transfer.close(set);
        const flags: linux.TFD = .{ .CLOEXEC = true, .NONBLOCK = true };
        const timer = try opened(linux.timerfd_create(.MONOTONIC, flags));
        errdefer transfer.close(timer);
        // Edge-triggered it need not be read.
        const events = linux.EPOLL.IN | edge;
        var event: linux.epoll_event = .{ .events = events, .data = .{ .fd = timer } };
        const added = linux.epoll_ctl(set, linux.EPOLL.CTL_ADD, timer, &event);
        if (linux.errno(added) != .SUCCESS) return error.SystemResources;
        self.* = .{
            .allocator = allocator,
            .eventfd = target,
            .counters = counters,
            .set = set,
            .timer = timer,
            .wake = undefined,
        };
        try self.wake.init(set, target);
    }

    fn opened(result: usize) InitError!Descriptor {
        return switch (linux.errno(result)) {
            .SUCCESS => @intCast(result),
            .MFILE, .NFILE => error.DescriptorsExhausted,
            else => error.SystemResources,
        };
    }

    pub fn deinit(self: *Epoll) void {
        self.wake.deinit();
        transfer.close(self.timer);
        transfer.close(self.set);
        self.watched.deinit(self.allocator);
        self.* = undefined;
    }

    // -- the turn -----------------------------------------------------------------------------

    pub fn begin(self: *Epoll) void {
        assert(!self.in_turn);
        self.in_turn = true;
    }

    pub fn reap(self: *Epoll, buffer: *[io.completions_max]Completion) []Completion {
        const quiet = self.armed and !self.work_is_waiting();
        if (quiet) return buffer[0..0];
        if (self.armed and self.wake.fired()) {
            self.wake.spend();
            self.armed = false;
        }
        if (self.fetched == 0) self.fetch(0);
        const found = self.events[0..self.fetched];
        self.fetched = 0;
        if (found.len > 0) self.counters.wakeups += 1;
        var out: Completions = .{ .buffer = buffer };
        for (found) |*event| self.translate(event.data.fd, event.events, &out);
        return buffer[0..out.count];
    }

    fn translate(self: *Epoll, fd: Descriptor, events: u32, out: *Completions) void {
        if (fd == self.timer) {
            self.deadline_armed_ns = 0;
            if (!out.full()) out.add(.{ .operation = .deadline }, 0, false);
            return;
        }
        const it = self.find(fd) orelse return;
        if (events & (readable | ended) != 0) switch (it.reading.operation) {
            .accept => self.accept_waiting(fd, it, out),
            .readable => {
                if (out.full()) return self.tell_again(fd);
                out.add(it.reading, @intCast(events & 0xffff), true);
            },
            else => {},
        };
        if (events & (writable | ended) == 0) return;
        const token = it.writing;
        // One that has ended is left in the set until then: mostly another one follows.
        if (token.operation == .none) return self.forget(fd, it);
        if (out.full()) return self.tell_again(fd);
        it.writing = nobody;
        out.add(token, if (token.operation == .connect) connected(fd, it) else 0, false);
    }

    /// The buffer is full; to set what is wanted anew makes the kernel look again.
    fn tell_again(self: *Epoll, fd: Descriptor) void {
        self.look = true;
        self.update(fd) catch unreachable; // It is in the set: nothing is allocated.
    }

    fn forget(self: *Epoll, fd: Descriptor, it: *const Watched) void {
        if (it.events & ~it.wanted() == 0) return;
        self.update(fd) catch unreachable; // As above, or it is taken out.
    }

    fn connected(fd: Descriptor, it: *Watched) i32 {
        if (it.failure != 0) return -@as(i32, it.failure);
        return -(transfer.get_option(fd, linux.SO.ERROR) orelse 0);
    }

    fn accept_waiting(self: *Epoll, fd: Descriptor, it: *Watched, out: *Completions) void {
        for (0..accepts_max) |_| {
            if (out.full()) break;
            self.counters.system_calls += 1;
            const result = linux.accept4(fd, null, null, linux.SOCK.CLOEXEC);
            switch (linux.errno(result)) {
                .SUCCESS => out.add(it.reading, @intCast(result), true),
                .INTR => continue,
                .AGAIN => return,
                else => |errno| {
                    // It would say so again and again: whoever listens asks anew when it is time.
                    out.add(it.reading, -@as(i32, @intFromEnum(errno)), false);
                    it.reading = nobody;
                    return self.forget(fd, it);
                },
            }
        }
        self.look = true;
    }

    /// As the ring's. Armed, whatever comes signals the eventfd, and so does what has come already.
    pub fn finish(self: *Epoll, next: io.Next) bool {
        assert(self.in_turn);
        self.in_turn = false;
        if (self.look or self.fetched > 0) return false;
        if (self.armed or next != .event_loop) return true;
        self.counters.system_calls += 1;
        self.armed = self.wake.arm();
        return self.armed;
    }

    /// As far as can be told without a system call.
    pub fn work_is_waiting(self: *const Epoll) bool {
        return self.look or self.fetched > 0 or (self.armed and self.wake.fired());
    }

    pub fn poll(self: *Epoll) bool {
        // Armed and not fired: there is nothing.
        if (!self.armed and !self.work_is_waiting()) self.fetch(0);
        return self.work_is_waiting();
    }

    pub fn wait(self: *Epoll, timeout_ns: ?u64) void {
        assert(self.in_turn);
        if (self.work_is_waiting()) return;
        const ms: i32 = if (timeout_ns) |ns|
            @intCast(@min(std.math.divCeil(u64, ns, std.time.ns_per_ms) catch 0, wait_ms_max))
        else
            -1;
        self.fetch(ms);
    }

    fn fetch(self: *Epoll, ms: i32) void {
        self.counters.system_calls += 1;
        const result = linux.epoll_wait(self.set, &self.events, self.events.len, ms);
        self.fetched = if (linux.errno(result) == .SUCCESS) @intCast(result) else 0;
        self.look = self.fetched == self.events.len;
    }

    pub fn sleep(self: *Epoll, timeout_ns: ?u64) void {
        assert(!self.in_turn);
        var polled = [_]linux.pollfd{ eventfd.readable(self.eventfd), eventfd.readable(self.set) };
        self.counters.system_calls += 2;
        eventfd.sleep(&polled, timeout_ns);
        eventfd.drain(self.eventfd);
        if (polled[1].revents != 0) self.look = true;
    }

    // -- requests -----------------------------------------------------------------------------

    fn find(self: *Epoll, fd: Descriptor) ?*Watched {
        const index: usize = @intCast(fd);
        return if (index < self.watched.items.len) &self.watched.items[index] else null;
    }

    fn find_or_add(self: *Epoll, fd: Descriptor) io.SubmitError!*Watched {
        if (self.find(fd)) |it| return it;
        const count = @as(usize, @intCast(fd)) + 1 - self.watched.items.len;
        self.watched.appendNTimes(self.allocator, .{}, count) catch return error.SystemResources;
        return self.find(fd).?;
    }

    /// Makes the set have what is wanted.
    fn update(self: *Epoll, fd: Descriptor) io.SubmitError!void {
        const it = self.find(fd).?;
        const wanted = it.wanted();
        var event: linux.epoll_event = .{ .events = wanted, .data = .{ .fd = fd } };
        if (wanted == 0) {
            if (it.events != 0) _ = self.control(linux.EPOLL.CTL_DEL, fd, &event);
            it.events = 0;
            return;
        }
        const change: u32 = if (it.events == 0) linux.EPOLL.CTL_ADD else linux.EPOLL.CTL_MOD;
        var errno = self.control(change, fd, &event);
        // It was given away and closed there: the number is another file's now.
        if (errno == .NOENT) errno = self.control(linux.EPOLL.CTL_ADD, fd, &event);
        if (errno != .SUCCESS) return error.SystemResources;
        it.events = wanted;
    }

    fn control(self: *Epoll, change: u32, fd: Descriptor, event: *linux.epoll_event) linux.E {
        self.counters.system_calls += 1;
        return linux.errno(linux.epoll_ctl(self.set, change, fd, event));
    }

    fn watch(self: *Epoll, fd: Descriptor, token: Token) io.SubmitError!void {
        const it = try self.find_or_add(fd);
        const place = switch (token.operation) {
            .readable, .accept => &it.reading,
            .writable, .connect => &it.writing,
            .none, .deadline => unreachable,
        };
        assert(place.operation == .none);
        place.* = token;
        errdefer place.* = nobody;
        try self.update(fd);
    }

    /// All requests are made at once.
    pub fn submit(_: *Epoll) void {}

    pub fn watch_readable(self: *Epoll, fd: Descriptor, token: Token) io.SubmitError!void {
        assert(token.operation == .readable);
        return self.watch(fd, token);
    }

    pub fn watch_writable(self: *Epoll, fd: Descriptor, token: Token) io.SubmitError!void {
        assert(token.operation == .writable);
        return self.watch(fd, token);
    }

    /// No completion follows, unless it has been handed over already.
    pub fn unwatch(self: *Epoll, fd: Descriptor, token: Token) io.SubmitError!void {
        return self.cancel(fd, token);
    }

    pub fn accept(self: *Epoll, fd: Descriptor, token: Token) io.SubmitError!void {
        assert(token.operation == .accept);
        transfer.set_nonblocking(fd);
        return self.watch(fd, token);
    }

    /// A failure that is known at once waits for its turn, too: the kernel calls such a socket
    /// writable.
    pub fn connect(
        self: *Epoll,
        fd: Descriptor,
        address: *const Address,
        token: Token,
    ) io.SubmitError!void {
        assert(token.operation == .connect);
        const it = try self.find_or_add(fd);
        transfer.set_nonblocking(fd);
        self.counters.system_calls += 1;
        const errno = linux.errno(linux.connect(fd, address.sockaddr(), address.len));
        it.failure = switch (errno) {
            .SUCCESS, .INPROGRESS, .INTR => 0,
            else => @intFromEnum(errno),
        };
        return self.watch(fd, token);
    }

    pub fn cancel(self: *Epoll, fd: Descriptor, token: Token) io.SubmitError!void {
        const it = self.find(fd) orelse return;
        if (it.reading == token) it.reading = nobody;
        if (it.writing == token) it.writing = nobody;
        if (it.events & ~it.wanted() != 0) return self.update(fd);
    }

    pub fn before_close(self: *Epoll, fd: Descriptor) void {
        const it = self.find(fd) orelse return;
        it.reading = nobody;
        it.writing = nobody;
        self.update(fd) catch unreachable; // Nothing is wanted: it is taken out.
    }

    /// As the ring's: a deadline that is too early is left alone.
    pub fn set_deadline(self: *Epoll, deadline_ns: ?u64) io.SubmitError!void {
        const armed = self.deadline_armed_ns;
        if (deadline_ns) |deadline| {
            if (armed != 0 and armed <= deadline) return;
        } else if (armed == 0) return;
        // 0 would disarm it.
        const ns = if (deadline_ns) |deadline| @max(deadline, 1) else 0;
        const spec: linux.itimerspec = .{
            .it_interval = .{ .sec = 0, .nsec = 0 },
            .it_value = .{
                .sec = @intCast(ns / std.time.ns_per_s),
                .nsec = @intCast(ns % std.time.ns_per_s),
            },
        };
        self.counters.system_calls += 1;
        const result = linux.timerfd_settime(self.timer, .{ .ABSTIME = true }, &spec, null);
        assert(linux.errno(result) == .SUCCESS);
        self.deadline_armed_ns = ns;
    }
};
