//! A mutex for what threads share, which is little: names and hand-overs of inproc. Zig's own needs
//! an `Io` since 0.16; this is glibc's, 10 ns where nobody else wants it.

const std = @import("std");
const assert = std.debug.assert;

pub const Lock = struct {
    mutex: std.c.pthread_mutex_t = .{},

    /// Fails only for a mutex that is not one.
    pub fn acquire(lock: *Lock) void {
        assert(std.c.pthread_mutex_lock(&lock.mutex) == .SUCCESS);
    }

    pub fn release(lock: *Lock) void {
        assert(std.c.pthread_mutex_unlock(&lock.mutex) == .SUCCESS);
    }
};

test "two threads never hold the lock at once: a name could be bound twice" {
    const Shared = struct {
        lock: Lock = .{},
        count: u32 = 0,

        fn run(shared: *@This()) void {
            for (0..10_000) |_| {
                shared.lock.acquire();
                defer shared.lock.release();
                const count: *volatile u32 = &shared.count;
                count.* = count.* + 1;
            }
        }
    };
    var shared: Shared = .{};
    const other = try std.Thread.spawn(.{}, Shared.run, .{&shared});
    shared.run();
    other.join();
    try std.testing.expectEqual(20_000, shared.count);
}
