//! Test only: every back end, with every way in which it calls the event loop. What holds for one
//! of them has to hold for all.

const std = @import("std");
const assert = std.debug.assert;

const Backend = @import("backend.zig").Backend;
const io = @import("io.zig");

pub const Variant = enum {
    io_uring,
    epoll_aio,
    epoll_thread,

    pub fn init(variant: Variant, backend: *Backend, allocator: std.mem.Allocator) !void {
        const wanted: io.Kind = if (variant == .io_uring) .io_uring else .epoll;
        try backend.init(allocator, wanted);
        if (variant == .epoll_thread) {
            const epoll = &backend.poller.epoll;
            epoll.wake.deinit();
            epoll.wake = .{ .thread = undefined };
            try epoll.wake.thread.init(epoll.set, epoll.eventfd);
        }
        const wake: io.Wake = switch (variant) {
            .io_uring => .eventfd,
            .epoll_aio => .aio,
            .epoll_thread => .thread,
        };
        // Without AIO two of them would be the same.
        assert(backend.kind() == wanted and backend.wake_kind() == wake);
    }
};

pub fn each(comptime body: fn (Variant) anyerror!void) !void {
    for (std.enums.values(Variant)) |variant| {
        errdefer std.debug.print("on {t}\n", .{variant});
        try body(variant);
    }
}
