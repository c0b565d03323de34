//! A growable first-in-first-out queue of values in one power-of-two allocation. The allocator
//! is passed to the calls that may need it; what takes items out never fails and never
//! allocates. Limits belong to the owner: a high-water mark is not a property of memory.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;

/// Items of the first allocation: a queue that is used at all is used a few times.
const capacity_first = 8;

pub fn RingBuffer(comptime T: type) type {
    comptime assert(@sizeOf(T) > 0);
    return struct {
        const Self = @This();

        pub const empty: Self = .{};

        /// Length 0 or a power of two.
        items: []T = &.{},
        /// Index of the oldest item; 0 while nothing is allocated.
        head: usize = 0,
        count: usize = 0,

        pub fn deinit(ring: *Self, allocator: Allocator) void {
            ring.invariants();
            allocator.free(ring.items);
            ring.* = undefined;
        }

        pub fn len(ring: *const Self) usize {
            assert(ring.count <= ring.items.len);
            return ring.count;
        }

        pub fn is_empty(ring: *const Self) bool {
            return ring.len() == 0;
        }

        pub fn capacity(ring: *const Self) usize {
            return ring.items.len;
        }

        /// On an error nothing has changed.
        pub fn push_back(ring: *Self, allocator: Allocator, item: T) error{OutOfMemory}!void {
            try ring.reserve(allocator, 1);
            ring.push_back_assume_capacity(item);
        }

        pub fn push_back_assume_capacity(ring: *Self, item: T) void {
            assert(ring.count < ring.items.len);
            ring.items[ring.index_of(ring.count)] = item;
            ring.count += 1;
            assert(ring.head < ring.items.len);
        }

        /// Puts back what was taken too early.
        pub fn push_front(ring: *Self, allocator: Allocator, item: T) error{OutOfMemory}!void {
            try ring.reserve(allocator, 1);
            assert(ring.count < ring.items.len);
            ring.head = (ring.head -% 1) & (ring.items.len - 1);
            ring.items[ring.head] = item;
            ring.count += 1;
            ring.invariants();
        }

        pub fn pop_front(ring: *Self) ?T {
            assert(ring.count <= ring.items.len);
            if (ring.count == 0) return null;
            const item = ring.items[ring.head];
            ring.items[ring.head] = undefined;
            ring.head = ring.index_of(1);
            ring.count -= 1;
            assert(ring.head < ring.items.len);
            return item;
        }

        /// The oldest item, until the next call that changes the queue.
        pub fn peek(ring: *const Self) ?*T {
            return if (ring.count == 0) null else ring.at(0);
        }

        /// The item `index` places behind the oldest.
        pub fn at(ring: *const Self, index: usize) *T {
            assert(index < ring.count);
            return &ring.items[ring.index_of(index)];
        }

        /// Room for `more` items without another allocation.
        pub fn reserve(ring: *Self, allocator: Allocator, more: usize) error{OutOfMemory}!void {
            assert(ring.count <= ring.items.len);
            if (ring.items.len - ring.count >= more) return;
            const wanted = std.math.add(usize, ring.count, more) catch return error.OutOfMemory;
            try ring.resize(allocator, std.math.ceilPowerOfTwo(
                usize,
                @max(wanted, capacity_first),
            ) catch return error.OutOfMemory);
        }

        /// Forgets all items and keeps the memory.
        pub fn clear(ring: *Self) void {
            ring.invariants();
            ring.head = 0;
            ring.count = 0;
            @memset(ring.items, undefined);
        }

        /// Gives back what the present items do not need, everything when there are none. If the
        /// allocator has no smaller piece the larger one stays: that is no error.
        pub fn shrink(ring: *Self, allocator: Allocator) void {
            ring.invariants();
            if (ring.count == 0) {
                allocator.free(ring.items);
                ring.* = .empty;
                return;
            }
            const needed = @max(ring.count, capacity_first);
            const capacity_new = std.math.ceilPowerOfTwoAssert(usize, needed);
            if (capacity_new >= ring.items.len) return;
            ring.resize(allocator, capacity_new) catch return;
            assert(ring.items.len == capacity_new);
        }

        pub fn invariants(ring: *const Self) void {
            assert(ring.items.len == 0 or std.math.isPowerOfTwo(ring.items.len));
            assert(ring.count <= ring.items.len);
            assert(ring.head < ring.items.len or ring.head == 0);
        }

        fn index_of(ring: *const Self, offset: usize) usize {
            assert(ring.items.len > 0);
            assert(offset <= ring.items.len);
            return (ring.head + offset) & (ring.items.len - 1);
        }

        fn resize(ring: *Self, allocator: Allocator, capacity_new: usize) error{OutOfMemory}!void {
            assert(capacity_new >= ring.count);
            assert(std.math.isPowerOfTwo(capacity_new));
            const items = try allocator.alloc(T, capacity_new);
            const first = @min(ring.count, ring.items.len - ring.head);
            @memcpy(items[0..first], ring.items[ring.head..][0..first]);
            @memcpy(items[first..ring.count], ring.items[0 .. ring.count - first]);
            allocator.free(ring.items);
            ring.items = items;
            ring.head = 0;
            ring.invariants();
        }
    };
}

const testing = std.testing;

test "an unused queue costs nothing" {
    var ring: RingBuffer(u32) = .empty;
    try testing.expectEqual(@as(?u32, null), ring.pop_front());
    try testing.expectEqual(@as(?*u32, null), ring.peek());
    ring.clear();
    ring.shrink(testing.failing_allocator);
    try testing.expectError(error.OutOfMemory, ring.push_back(testing.failing_allocator, 1));
    try testing.expect(ring.is_empty());
    ring.deinit(testing.failing_allocator);
}

test "a queue that shrinks keeps its items, and when empty gives everything back" {
    var ring: RingBuffer(u64) = .empty;
    defer ring.deinit(testing.allocator);
    for (0..1000) |index| try ring.push_back(testing.allocator, index);
    for (0..990) |index| try testing.expectEqual(@as(?u64, index), ring.pop_front());
    // Without memory for a smaller piece, the larger one stays.
    var failing = testing.FailingAllocator.init(testing.allocator, .{ .fail_index = 0 });
    ring.shrink(failing.allocator());
    try testing.expectEqual(@as(usize, 1024), ring.capacity());
    ring.shrink(testing.allocator);
    try testing.expectEqual(@as(usize, 16), ring.capacity());
    for (990..1000) |index| try testing.expectEqual(@as(?u64, index), ring.pop_front());
    ring.shrink(testing.allocator);
    try testing.expectEqual(@as(usize, 0), ring.capacity());
}

test "a message that does not fit in memory is refused, and those before it are kept" {
    var failing = testing.FailingAllocator.init(testing.allocator, .{ .fail_index = 1 });
    var ring: RingBuffer(u32) = .empty;
    defer ring.deinit(failing.allocator());
    for (0..capacity_first) |index| try ring.push_back(failing.allocator(), @intCast(index));
    try testing.expectError(error.OutOfMemory, ring.push_back(failing.allocator(), 99));
    try testing.expectError(error.OutOfMemory, ring.push_front(failing.allocator(), 99));
    const huge = std.math.maxInt(usize);
    try testing.expectError(error.OutOfMemory, ring.reserve(failing.allocator(), huge));
    ring.invariants();
    for (0..capacity_first) |index| {
        try testing.expectEqual(@as(?u32, @intCast(index)), ring.pop_front());
    }
}

test "random use agrees with a plain array, so messages keep their order across growth" {
    for (0..8) |seed| {
        var random_state = std.Random.DefaultPrng.init(seed);
        const random = random_state.random();
        var ring: RingBuffer(u32) = .empty;
        defer ring.deinit(testing.allocator);
        var model: [256]u32 = undefined;
        var count: usize = 0;
        for (0..5000) |step| {
            const value = random.int(u32);
            const growing = step / 400 % 2 == 0;
            switch (random.uintLessThan(u8, 20)) {
                0 => ring.shrink(testing.allocator),
                1 => if (random.uintLessThan(u8, 20) == 0) {
                    ring.clear();
                    count = 0;
                },
                2 => if (count < model.len) {
                    std.mem.copyBackwards(u32, model[1..], model[0..count]);
                    model[0] = value;
                    count += 1;
                    try ring.push_front(testing.allocator, value);
                },
                else => |draw| if (draw < @as(u8, if (growing) 14 else 7)) {
                    if (count == model.len) continue;
                    model[count] = value;
                    count += 1;
                    try ring.push_back(testing.allocator, value);
                } else if (count > 0) {
                    try testing.expectEqual(model[0], ring.peek().?.*);
                    try testing.expectEqual(@as(?u32, model[0]), ring.pop_front());
                    count -= 1;
                    std.mem.copyForwards(u32, model[0..count], model[1 .. count + 1]);
                } else try testing.expectEqual(@as(?u32, null), ring.pop_front()),
            }
            ring.invariants();
            try testing.expectEqual(count, ring.len());
            for (model[0..count], 0..) |expected, index| {
                try testing.expectEqual(expected, ring.at(index).*);
            }
        }
    }
}
