//! How an epoll set calls Bun's event loop, which sleeps on an eventfd and on nothing else of ours:
//! Linux AIO polls the set and signals that eventfd (IOCB_CMD_POLL with IOCB_FLAG_RESFD), once for
//! each time it is armed. Where AIO is missing, too, a thread does the same.
//!
//!     arm ─▶ something comes: fired, the eventfd is signalled ─▶ spend ─▶ events are fetched
//!      ▲                                                                          │
//!      └──────────────────────────────────────────────────────────────────────────┘
//!
//! Arming looks at what is there already, so nothing is lost between fetching and arming. What is
//! armed and has not fired says that there is nothing to fetch: a look at memory, no system call.

const std = @import("std");
const linux = std.os.linux;
const assert = std.debug.assert;

const eventfd = @import("eventfd.zig");
const io = @import("io.zig");
const transfer = @import("transfer.zig");
const Descriptor = io.Descriptor;

pub const Wake = union(enum) {
    aio: Aio,
    thread: Waiter,

    pub fn init(wake: *Wake, set: Descriptor, target: Descriptor) error{SystemResources}!void {
        wake.* = .{ .aio = undefined };
        wake.aio.init(set, target) catch {
            wake.* = .{ .thread = undefined };
            return wake.thread.init(set, target);
        };
    }

    pub fn deinit(wake: *Wake) void {
        switch (wake.*) {
            inline else => |*it| it.deinit(),
        }
    }

    pub fn fired(wake: *const Wake) bool {
        return switch (wake.*) {
            inline else => |*it| it.fired(),
        };
    }

    pub fn spend(wake: *Wake) void {
        switch (wake.*) {
            inline else => |*it| it.spend(),
        }
    }

    /// False: refused for want of memory.
    pub fn arm(wake: *Wake) bool {
        return switch (wake.*) {
            inline else => |*it| it.arm(),
        };
    }
};

/// linux/aio_abi.h
const Iocb = extern struct {
    data: u64 = 0,
    key: u32 = 0,
    rw_flags: u32 = 0,
    opcode: u16,
    priority: i16 = 0,
    fd: u32,
    /// Of a poll: the events.
    buffer: u64,
    bytes: u64 = 0,
    offset: i64 = 0,
    reserved: u64 = 0,
    flags: u32,
    signalled: u32,
};

const Event = extern struct { data: u64, iocb: u64, result: i64, result2: i64 };

/// The completion queue, which the kernel maps into our memory: what it calls the context.
const Completed = extern struct {
    id: u32,
    entries: u32,
    head: u32,
    tail: u32,
    magic: u32,
    compatible: u32,
    incompatible: u32,
    header_bytes: u32,

    const magic_known = 0xa10a10a1;
};

const Aio = struct {
    completed: *Completed,
    request: Iocb,

    const poll = 5;
    const signals_eventfd = 1;

    fn init(aio: *Aio, set: Descriptor, target: Descriptor) error{Unsupported}!void {
        var context: usize = 0;
        const result = linux.syscall2(.io_setup, 1, @intFromPtr(&context));
        if (linux.errno(result) != .SUCCESS) return error.Unsupported;
        errdefer _ = linux.syscall1(.io_destroy, context);
        aio.* = .{
            .completed = @ptrFromInt(context),
            .request = .{
                .opcode = poll,
                .fd = @intCast(set),
                .buffer = linux.POLL.IN,
                .flags = signals_eventfd,
                .signalled = @intCast(target),
            },
        };
        const known = aio.completed.magic == Completed.magic_known;
        if (!known or aio.completed.incompatible != 0) return error.Unsupported;
        if (!aio.arm()) return error.Unsupported;
    }

    /// Ends the poll that is armed, too.
    fn deinit(aio: *Aio) void {
        _ = linux.syscall1(.io_destroy, @intFromPtr(aio.completed));
    }

    fn fired(aio: *const Aio) bool {
        return @atomicLoad(u32, &aio.completed.tail, .acquire) != aio.completed.head;
    }

    fn spend(aio: *Aio) void {
        const tail = @atomicLoad(u32, &aio.completed.tail, .acquire);
        @atomicStore(u32, &aio.completed.head, tail, .release);
    }

    fn arm(aio: *Aio) bool {
        assert(!aio.fired());
        const context = @intFromPtr(aio.completed);
        const requests = [1]*Iocb{&aio.request};
        const result = linux.syscall3(.io_submit, context, 1, @intFromPtr(&requests));
        return linux.errno(result) == .SUCCESS and result == 1;
    }
};

/// Waits on the set in place of AIO. It must not look again before the events are fetched, or it
/// would signal all the time: that is what it waits for on `control`.
const Waiter = struct {
    set: Descriptor,
    target: Descriptor,
    control: Descriptor,
    thread: std.Thread,
    has_fired: std.atomic.Value(bool) = .init(false),
    stopped: std.atomic.Value(bool) = .init(false),

    /// glibc puts into it what the whole program has for each of its threads.
    const stack_bytes = 1024 * 1024;

    pub fn init(waiter: *Waiter, set: Descriptor, target: Descriptor) error{SystemResources}!void {
        // This one blocks.
        const control = eventfd.open(0) catch return error.SystemResources;
        errdefer transfer.close(control);
        waiter.* = .{ .set = set, .target = target, .control = control, .thread = undefined };
        const how: std.Thread.SpawnConfig = .{ .stack_size = stack_bytes };
        waiter.thread = std.Thread.spawn(how, main, .{waiter}) catch return error.SystemResources;
    }

    fn deinit(waiter: *Waiter) void {
        waiter.stopped.store(true, .release);
        eventfd.signal(waiter.control);
        waiter.thread.join();
        transfer.close(waiter.control);
    }

    fn main(waiter: *Waiter) void {
        // Signals are the runtime's.
        var all = linux.sigfillset();
        _ = linux.sigprocmask(linux.SIG.BLOCK, &all, null);
        while (!waiter.stopped.load(.acquire)) {
            var polled = [_]linux.pollfd{
                eventfd.readable(waiter.set), eventfd.readable(waiter.control),
            };
            eventfd.sleep(&polled, null);
            if (polled[0].revents == 0) continue;
            waiter.has_fired.store(true, .release);
            eventfd.signal(waiter.target);
            eventfd.drain(waiter.control);
        }
    }

    fn fired(waiter: *const Waiter) bool {
        return waiter.has_fired.load(.acquire);
    }

    fn spend(_: *Waiter) void {}

    fn arm(waiter: *Waiter) bool {
        // The first time it runs already.
        if (waiter.has_fired.swap(false, .acq_rel)) eventfd.signal(waiter.control);
        return true;
    }
};
