//! The io_uring back end, and the only file that uses liburing: readiness, accept, connect, the
//! nearest deadline and the wake of Bun's event loop. The bytes move with plain system calls
//! (transfer.zig): measured equal or better than ring transfers in every scenario, decision 2.
//!
//! Needs Linux 6.1 (DEFER_TASKRUN). Whatever `init` says against it, epoll.zig is used instead.

const std = @import("std");
const linux = std.os.linux;
const assert = std.debug.assert;

const eventfd = @import("eventfd.zig");
const io = @import("io.zig");
const transfer = @import("transfer.zig");
const Address = @import("address.zig").Address;
const Completion = io.Completion;
const Descriptor = io.Descriptor;
const Token = io.Token;

/// liburing 2.3's `struct io_uring`, field by field: its functions fill it in.
const Ring = extern struct {
    sq: extern struct {
        khead: *u32,
        ktail: *u32,
        kring_mask: *u32,
        kring_entries: *u32,
        kflags: *u32,
        kdropped: *u32,
        array: [*]u32,
        sqes: [*]linux.io_uring_sqe,
        sqe_head: u32,
        sqe_tail: u32,
        ring_sz: usize,
        ring_ptr: ?*anyopaque,
        ring_mask: u32,
        ring_entries: u32,
        pad: [2]u32,
    },
    cq: extern struct {
        khead: *u32,
        ktail: *u32,
        kring_mask: *u32,
        kring_entries: *u32,
        /// Null on kernels that cannot switch the eventfd off.
        kflags: ?*u32,
        koverflow: *u32,
        cqes: [*]linux.io_uring_cqe,
        ring_sz: usize,
        ring_ptr: ?*anyopaque,
        ring_mask: u32,
        ring_entries: u32,
        pad: [2]u32,
    },
    flags: u32,
    ring_fd: i32,
    features: u32,
    enter_ring_fd: i32,
    int_flags: u8,
    pad: [3]u8,
    pad2: u32,
};

extern fn io_uring_queue_init_params(u32, *Ring, *linux.io_uring_params) c_int;
extern fn io_uring_queue_exit(*Ring) void;
extern fn io_uring_get_sqe(*Ring) ?*linux.io_uring_sqe;
extern fn io_uring_submit(*Ring) c_int;
extern fn io_uring_submit_and_get_events(*Ring) c_int;
extern fn io_uring_submit_and_wait_timeout(
    *Ring,
    *?*linux.io_uring_cqe,
    u32,
    ?*linux.kernel_timespec,
    ?*anyopaque,
) c_int;
extern fn io_uring_register_eventfd(*Ring, c_int) c_int;
extern fn io_uring_register_ring_fd(*Ring) c_int;

/// POLLRDHUP (0x2000) is not in the standard library: the peer closed its sending side.
const poll_in = linux.POLL.IN | 0x2000;
const poll_out = linux.POLL.OUT;

/// Submissions are flushed every turn, so 64 is a long queue; 1024 completions are 16 KiB and
/// a thousand connections that become readable at once. RLIMIT_MEMLOCK is charged for the rings
/// themselves: where that is 64 KiB the small size still fits.
const sizes = [_]struct { sq: u32, cq: u32 }{ .{ .sq = 64, .cq = 1024 }, .{ .sq = 8, .cq = 16 } };

pub const Uring = struct {
    ring: Ring,
    eventfd: Descriptor,
    counters: *io.Counters,
    /// The deadline that the kernel's timeout request has, 0 for none.
    deadline_armed_ns: u64 = 0,
    deadline_epoch: u24 = 0,
    deadline_spec: linux.kernel_timespec = .{ .sec = 0, .nsec = 0 },
    /// The one connect whose address the kernel has not read yet: it reads it at submission.
    connect_address: Address = .{},
    in_turn: bool = false,
    /// Completions do not signal the eventfd after this turn, either: `poll` looks for them.
    silent: bool = false,

    /// `refusal` says why, where it is refused.
    pub fn init(
        self: *Uring,
        target: Descriptor,
        counters: *io.Counters,
        refusal: *io.Refusal,
    ) error{Refused}!void {
        self.* = .{ .ring = undefined, .eventfd = target, .counters = counters };
        refusal.* = .{ .step = .set_up, .errno = self.init_ring() };
        if (refusal.errno != 0) return error.Refused;
        errdefer io_uring_queue_exit(&self.ring);
        // Without these flags every send would wake us (decision 5).
        refusal.* = .{ .step = .eventfd_flag, .errno = @intFromEnum(linux.E.OPNOTSUPP) };
        if (self.ring.cq.kflags == null) return error.Refused;
        refusal.* = .{ .step = .first_poll, .errno = self.try_poll() };
        if (refusal.errno != 0) return error.Refused;
        const registered = io_uring_register_eventfd(&self.ring, target);
        refusal.* = .{ .step = .eventfd, .errno = errno_of(registered) };
        if (refusal.errno != 0) return error.Refused;
        refusal.* = .{};
        // Saves a descriptor look-up per enter; an optimisation only, so its refusal is fine.
        _ = io_uring_register_ring_fd(&self.ring);
    }

    fn init_ring(self: *Uring) u16 {
        for (sizes) |size| {
            var parameters = std.mem.zeroes(linux.io_uring_params);
            parameters.flags = linux.IORING_SETUP_SINGLE_ISSUER |
                linux.IORING_SETUP_DEFER_TASKRUN | linux.IORING_SETUP_TASKRUN_FLAG |
                linux.IORING_SETUP_CQSIZE;
            parameters.cq_entries = size.cq;
            const errno = errno_of(io_uring_queue_init_params(size.sq, &self.ring, &parameters));
            if (errno != @intFromEnum(linux.E.NOMEM)) return errno;
        }
        return @intFromEnum(linux.E.NOMEM);
    }

    /// A ring that can be made may yet refuse what it is made for. No descriptor has the number -1,
    /// which is what a poll that is allowed and understood says.
    fn try_poll(self: *Uring) u16 {
        const sqe = io_uring_get_sqe(&self.ring).?;
        sqe.prep_poll_add(-1, poll_in);
        sqe.len = linux.IORING_POLL_ADD_MULTI;
        sqe.user_data = 0;
        const errno = errno_of(io_uring_submit_and_get_events(&self.ring));
        if (errno != 0) return errno;
        const head = self.ring.cq.khead.*;
        const tail = @atomicLoad(u32, self.ring.cq.ktail, .acquire);
        const found = errno_of(self.ring.cq.cqes[head & self.ring.cq.ring_mask].res);
        @atomicStore(u32, self.ring.cq.khead, tail, .release);
        if (tail -% head == 1 and found == @intFromEnum(linux.E.BADF)) return 0;
        return if (found == 0) @intFromEnum(linux.E.OPNOTSUPP) else found;
    }

    fn errno_of(result: i32) u16 {
        return if (result < 0) @intCast(-result) else 0;
    }

    pub fn deinit(self: *Uring) void {
        self.close_accepted();
        io_uring_queue_exit(&self.ring);
        self.* = undefined;
    }

    /// Connections that the kernel has accepted and nobody has looked at are closed by us or never.
    fn close_accepted(self: *Uring) void {
        var buffer: [io.completions_max]Completion = undefined;
        while (true) {
            const completions = self.reap(&buffer);
            for (completions) |completion| {
                if (completion.token.operation != .accept) continue;
                if (completion.result >= 0) transfer.close(completion.result);
            }
            if (completions.len == 0) return;
        }
    }

    // -- the turn -----------------------------------------------------------------------------

    /// While a turn runs completions do not signal the eventfd: 1 wake per message instead of 2.
    pub fn begin(self: *Uring) void {
        assert(!self.in_turn);
        self.in_turn = true;
        if (self.silent) {
            self.silent = false;
            return;
        }
        const disabled = linux.IORING_CQ_EVENTFD_DISABLED;
        _ = @atomicRmw(u32, self.ring.cq.kflags.?, .Xchg, disabled, .seq_cst);
    }

    /// Hands over what has completed. Fewer than `buffer.len` does not mean that nothing is left.
    pub fn reap(self: *Uring, buffer: *[io.completions_max]Completion) []Completion {
        if (self.enter_needed()) {
            self.counters.system_calls += 1;
            if (self.work_is_waiting()) self.counters.wakeups += 1;
            // A refused enter (EBUSY, EINTR) leaves the flag set: `finish` sends us round again.
            _ = io_uring_submit_and_get_events(&self.ring);
        }
        return self.harvest(buffer);
    }

    fn harvest(self: *Uring, buffer: *[io.completions_max]Completion) []Completion {
        const tail = @atomicLoad(u32, self.ring.cq.ktail, .acquire);
        var head = self.ring.cq.khead.*;
        var count: usize = 0;
        while (head != tail and count < buffer.len) : (head +%= 1) {
            const cqe = &self.ring.cq.cqes[head & self.ring.cq.ring_mask];
            const token: Token = .from_int(cqe.user_data);
            if (token.operation == .none) continue;
            if (token.operation == .deadline) {
                // A replaced timeout is cancelled; only the present one counts.
                if (token.epoch != self.deadline_epoch) continue;
                self.deadline_armed_ns = 0;
            }
            buffer[count] = .{
                .token = token,
                .result = cqe.res,
                .more = cqe.flags & linux.IORING_CQE_F_MORE != 0,
            };
            count += 1;
        }
        @atomicStore(u32, self.ring.cq.khead, head, .release);
        return buffer[0..count];
    }

    /// Ends the turn. False: something came in meanwhile, go round again (after another `begin`).
    /// The order is the protocol: submit, enable the eventfd, fence, look again. Without the
    /// fence 3 to 412 wake-ups were lost in 10 s.
    pub fn finish(self: *Uring, next: io.Next) bool {
        assert(self.in_turn);
        self.submit();
        self.in_turn = false;
        self.silent = next == .poll;
        // An exchange is a full barrier on every architecture we build for.
        if (!self.silent) _ = @atomicRmw(u32, self.ring.cq.kflags.?, .Xchg, 0, .seq_cst);
        return !self.work_is_waiting() and self.submissions() == 0;
    }

    pub fn poll(self: *const Uring) bool {
        return self.work_is_waiting();
    }

    /// One word of shared memory: no system call.
    pub fn work_is_waiting(self: *const Uring) bool {
        const flags = @atomicLoad(u32, self.ring.sq.kflags, .acquire);
        if (flags & (linux.IORING_SQ_TASKRUN | linux.IORING_SQ_CQ_OVERFLOW) != 0) return true;
        return @atomicLoad(u32, self.ring.cq.ktail, .acquire) != self.ring.cq.khead.*;
    }

    /// Completions that are in the queue already need no system call.
    fn enter_needed(self: *const Uring) bool {
        const flags = @atomicLoad(u32, self.ring.sq.kflags, .acquire);
        const pending = linux.IORING_SQ_TASKRUN | linux.IORING_SQ_CQ_OVERFLOW;
        return flags & pending != 0 or self.submissions() > 0;
    }

    fn submissions(self: *const Uring) u32 {
        return self.ring.sq.sqe_tail -% self.ring.sq.sqe_head;
    }

    /// Sleeps inside the ring, for the synchronous calls. `timeout_ns` null waits for ever.
    pub fn wait(self: *Uring, timeout_ns: ?u64) void {
        assert(self.in_turn);
        var spec: linux.kernel_timespec = undefined;
        if (timeout_ns) |ns| spec = timespec(ns);
        var cqe: ?*linux.io_uring_cqe = null;
        self.counters.system_calls += 1;
        const spec_pointer: ?*linux.kernel_timespec = if (timeout_ns == null) null else &spec;
        // ETIME and EINTR are answers like any other: the caller looks at what came in.
        _ = io_uring_submit_and_wait_timeout(&self.ring, &cqe, 1, spec_pointer, null);
    }

    /// Sleeps until the eventfd is signalled, by a completion or by another thread, or the time is
    /// over. Between turns; the ring itself polls no eventfd.
    pub fn sleep(self: *Uring, timeout_ns: ?u64) void {
        assert(!self.in_turn);
        var polled = [1]linux.pollfd{eventfd.readable(self.eventfd)};
        self.counters.system_calls += 2;
        eventfd.sleep(&polled, timeout_ns);
        eventfd.drain(self.eventfd);
    }

    // -- requests -----------------------------------------------------------------------------

    fn prepare(self: *Uring, token: Token) io.SubmitError!*linux.io_uring_sqe {
        // Bounded: a submission fails only while the kernel is out of memory.
        for (0..3) |_| {
            if (io_uring_get_sqe(&self.ring)) |sqe| {
                sqe.user_data = token.to_int();
                return sqe;
            }
            self.counters.system_calls += 1;
            _ = io_uring_submit(&self.ring);
        }
        return error.SystemResources;
    }

    /// Hands over what was requested outside a turn. Also before a descriptor is closed: a request
    /// submitted later would act on whichever file got the number next.
    pub fn submit(self: *Uring) void {
        if (self.submissions() == 0) return;
        self.counters.system_calls += 1;
        _ = io_uring_submit(&self.ring);
    }

    /// Multishot; completes per wake-up, not per level: read until nothing is left.
    pub fn watch_readable(self: *Uring, fd: Descriptor, token: Token) io.SubmitError!void {
        assert(token.operation == .readable);
        const sqe = try self.prepare(token);
        sqe.prep_poll_add(fd, poll_in);
        sqe.len = linux.IORING_POLL_ADD_MULTI;
        sqe.user_data = token.to_int();
    }

    /// One shot.
    pub fn watch_writable(self: *Uring, fd: Descriptor, token: Token) io.SubmitError!void {
        assert(token.operation == .writable);
        const sqe = try self.prepare(token);
        sqe.prep_poll_add(fd, poll_out);
        sqe.user_data = token.to_int();
    }

    /// Ends a watch. A completion may still be under way. Not with POLL_REMOVE: that fails for a
    /// poll that is just being completed (EALREADY) and leaves it armed, with its file open.
    pub fn unwatch(self: *Uring, fd: Descriptor, token: Token) io.SubmitError!void {
        return self.cancel(fd, token);
    }

    /// Multishot; each completion brings a new descriptor (close-on-exec).
    pub fn accept(self: *Uring, fd: Descriptor, token: Token) io.SubmitError!void {
        assert(token.operation == .accept);
        const sqe = try self.prepare(token);
        sqe.prep_multishot_accept(fd, null, null, linux.SOCK.CLOEXEC);
        sqe.user_data = token.to_int();
    }

    pub fn connect(
        self: *Uring,
        fd: Descriptor,
        address: *const Address,
        token: Token,
    ) io.SubmitError!void {
        assert(token.operation == .connect);
        const sqe = try self.prepare(token);
        self.connect_address = address.*;
        sqe.prep_connect(fd, self.connect_address.sockaddr(), self.connect_address.len);
        sqe.user_data = token.to_int();
        // The kernel copies the address at submission; the next connect uses the same memory.
        self.submit();
    }

    pub fn cancel(self: *Uring, _: Descriptor, token: Token) io.SubmitError!void {
        const sqe = try self.prepare(.{ .operation = .none });
        sqe.prep_cancel(token.to_int(), 0);
        sqe.user_data = 0;
    }

    /// Arms the kernel's one timeout for the nearest deadline. A timeout that is armed too early
    /// is left alone, it costs one empty turn; without any deadline it is removed, so that an
    /// idle process is never woken.
    pub fn set_deadline(self: *Uring, deadline_ns: ?u64) io.SubmitError!void {
        const armed = self.deadline_armed_ns;
        if (deadline_ns) |deadline| {
            if (armed != 0 and armed <= deadline) return;
        } else if (armed == 0) return;
        if (armed != 0) {
            const sqe = try self.prepare(.{ .operation = .none });
            sqe.prep_timeout_remove(self.deadline_token().to_int(), 0);
            sqe.user_data = 0;
            self.deadline_armed_ns = 0;
        }
        self.deadline_epoch +%= 1;
        const deadline = deadline_ns orelse return;
        const sqe = try self.prepare(self.deadline_token());
        self.deadline_spec = timespec(deadline);
        sqe.prep_timeout(&self.deadline_spec, 0, linux.IORING_TIMEOUT_ABS);
        sqe.user_data = self.deadline_token().to_int();
        self.deadline_armed_ns = @max(deadline, 1);
    }

    fn deadline_token(self: *const Uring) Token {
        return .{ .operation = .deadline, .epoch = self.deadline_epoch };
    }

    /// What is cancelled gives its file back in this very call: a port is free at once.
    pub fn before_close(self: *Uring, _: Descriptor) void {
        if (self.submissions() == 0) return;
        self.counters.system_calls += 1;
        _ = io_uring_submit_and_get_events(&self.ring);
    }
};

fn timespec(ns: u64) linux.kernel_timespec {
    return .{
        .sec = @intCast(ns / std.time.ns_per_s),
        .nsec = @intCast(ns % std.time.ns_per_s),
    };
}
