//! The eventfd that Bun sleeps on: the kernel signals it, and so do other threads.

const std = @import("std");
const linux = std.os.linux;

const Descriptor = @import("io.zig").Descriptor;
const transfer = @import("transfer.zig");

pub fn open(flags: u32) error{ DescriptorsExhausted, SystemResources }!Descriptor {
    const result = linux.eventfd(0, linux.EFD.CLOEXEC | flags);
    return switch (linux.errno(result)) {
        .SUCCESS => @intCast(result),
        .MFILE, .NFILE => error.DescriptorsExhausted,
        else => error.SystemResources,
    };
}

/// From any thread: write(2) is atomic.
pub fn signal(fd: Descriptor) void {
    const one: u64 = 1;
    // EAGAIN: the counter is full, so the wake is pending anyway.
    _ = linux.write(fd, std.mem.asBytes(&one), 8);
}

/// Takes the pending signal off; waits for one where the descriptor blocks.
pub fn drain(fd: Descriptor) void {
    var value: u64 = 0;
    // EAGAIN: nothing was pending.
    _ = linux.read(fd, std.mem.asBytes(&value), 8);
}

pub fn duplicate(fd: Descriptor) error{DescriptorsExhausted}!Descriptor {
    const duplicate_cloexec = 1030;
    const result = linux.fcntl(fd, duplicate_cloexec, 0);
    if (linux.errno(result) != .SUCCESS) return error.DescriptorsExhausted;
    return @intCast(result);
}

/// Sleeps until one of the descriptors can be read, or the time is over. An interrupted call is an
/// answer like any other: the caller looks at what came in.
pub fn sleep(polled: []linux.pollfd, timeout_ns: ?u64) void {
    var spec: linux.timespec = undefined;
    if (timeout_ns) |ns| spec = .{
        .sec = @intCast(ns / std.time.ns_per_s),
        .nsec = @intCast(ns % std.time.ns_per_s),
    };
    const limit: ?*linux.timespec = if (timeout_ns == null) null else &spec;
    const result = linux.ppoll(polled.ptr, polled.len, limit, null);
    if (linux.errno(result) != .SUCCESS) for (polled) |*it| {
        it.revents = 0;
    };
}

pub fn readable(fd: Descriptor) linux.pollfd {
    return .{ .fd = fd, .events = linux.POLL.IN, .revents = 0 };
}

test "a signal wakes whoever sleeps, once: a wake-up would be lost or never end" {
    const fd = try open(linux.EFD.NONBLOCK);
    defer transfer.close(fd);
    var polled = [1]linux.pollfd{readable(fd)};
    sleep(&polled, 0);
    try std.testing.expectEqual(0, polled[0].revents);
    const other = try duplicate(fd);
    defer transfer.close(other);
    signal(other);
    signal(other);
    sleep(&polled, null);
    try std.testing.expectEqual(linux.POLL.IN, polled[0].revents);
    drain(fd);
    sleep(&polled, 0);
    try std.testing.expectEqual(0, polled[0].revents);
}
