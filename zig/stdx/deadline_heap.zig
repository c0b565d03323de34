//! Deadlines in order, inside the items that wait for them: a pairing heap whose nodes are
//! embedded, so that a timer never allocates and therefore never fails. Equal deadlines come out
//! in the order they were set, which makes a simulation repeatable. There is no clock in here.
//!
//! insert, update to an earlier time and peek are O(1); remove and pop are O(log n), amortised.

const std = @import("std");
const builtin = @import("builtin");
const assert = std.debug.assert;

const debug = builtin.mode == .Debug;

pub const Node = struct {
    /// Meaningful while the node is in a heap.
    deadline_ns: u64 = 0,
    /// Breaks ties: the order of insertions. 0 while the node is in no heap.
    sequence: u64 = 0,
    /// First child; further children are its siblings.
    child: ?*Node = null,
    next: ?*Node = null,
    /// The sibling before, or the parent of a first child; null for the root.
    prev: ?*Node = null,
    /// The heap this node is in; null while it is in none.
    owner: if (debug) ?*const anyopaque else void = if (debug) null else {},

    pub fn armed(node: *const Node) bool {
        if (node.sequence == 0) assert(node.child == null and node.next == null);
        return node.sequence != 0;
    }

    fn before(a: *const Node, b: *const Node) bool {
        if (debug) assert(a.owner == b.owner);
        if (a.deadline_ns != b.deadline_ns) return a.deadline_ns < b.deadline_ns;
        assert(a == b or a.sequence != b.sequence);
        return a.sequence < b.sequence;
    }
};

/// `field` names the `Node` inside `T` (`.timer`). A heap that is not empty must not be moved.
pub fn DeadlineHeap(comptime T: type, comptime field: @EnumLiteral()) type {
    return struct {
        const Self = @This();

        root: ?*Node = null,
        count: u64 = 0,
        sequence: u64 = 0,

        pub fn insert(heap: *Self, item: *T, deadline_ns: u64) void {
            const node = node_of(item);
            assert(!node.armed()); // Armed twice, or in another heap.
            assert(node.child == null and node.next == null and node.prev == null);
            heap.sequence += 1;
            node.* = .{ .deadline_ns = deadline_ns, .sequence = heap.sequence };
            if (debug) node.owner = heap;
            heap.root = if (heap.root) |root| meld(root, node) else node;
            heap.count += 1;
            assert(heap.root.?.prev == null and heap.root.?.next == null);
        }

        pub fn remove(heap: *Self, item: *T) void {
            assert(heap.contains(item));
            assert(heap.count > 0);
            const node = node_of(item);
            heap.detach(node);
            node.* = .{};
            heap.count -= 1;
            assert((heap.count == 0) == (heap.root == null));
        }

        /// The item waits for another moment; among equal deadlines it becomes the last, as if it
        /// had been inserted now. Arms an item that was not armed.
        pub fn update(heap: *Self, item: *T, deadline_ns: u64) void {
            if (heap.contains(item)) heap.remove(item);
            heap.insert(item, deadline_ns);
            assert(heap.deadline(item) == deadline_ns);
        }

        /// The item that is due first, which stays.
        pub fn peek(heap: *const Self) ?*T {
            return item_of(heap.root orelse return null);
        }

        /// The nearest deadline: what the kernel's timer is set to.
        pub fn nearest_ns(heap: *const Self) ?u64 {
            return (heap.root orelse return null).deadline_ns;
        }

        /// Takes the first item whose deadline has come.
        pub fn pop_due(heap: *Self, now_ns: u64) ?*T {
            const item = heap.peek() orelse return null;
            if (heap.deadline(item) > now_ns) return null;
            heap.remove(item);
            assert(!heap.contains(item));
            return item;
        }

        /// Outside Debug: whether the item is in some heap.
        pub fn contains(heap: *const Self, item: *const T) bool {
            const node = &@field(item, @tagName(field));
            if (debug) return node.owner == @as(*const anyopaque, heap);
            return node.armed();
        }

        pub fn deadline(heap: *const Self, item: *const T) u64 {
            assert(heap.contains(item));
            return @field(item, @tagName(field)).deadline_ns;
        }

        pub fn empty(heap: *const Self) bool {
            assert((heap.count == 0) == (heap.root == null));
            return heap.root == null;
        }

        /// O(n): for tests.
        pub fn invariants(heap: *const Self) void {
            var count: u64 = 0;
            var cursor = heap.root;
            if (cursor) |root| assert(root.prev == null and root.next == null);
            // Depth first, by the back pointers instead of a stack.
            while (cursor) |node| {
                if (debug) assert(node.owner == @as(*const anyopaque, heap));
                assert(node.sequence <= heap.sequence);
                count += 1;
                assert(count <= heap.count);
                if (node.next) |sibling| assert(sibling.prev == node);
                var child = node.child;
                if (child) |first| assert(first.prev == node);
                while (child) |below| : (child = below.next) assert(node.before(below));
                cursor = node.child orelse following(node);
            }
            assert(count == heap.count);
        }

        /// Takes `node` out of the tree; its children take its place.
        fn detach(heap: *Self, node: *Node) void {
            const orphans = merge_pairs(node.child);
            if (node.prev) |prev| {
                assert(heap.root != node);
                if (prev.child == node) prev.child = node.next else prev.next = node.next;
                if (node.next) |next| next.prev = prev;
                if (orphans) |tree| heap.root = meld(heap.root.?, tree);
            } else {
                assert(heap.root == node);
                heap.root = orphans;
            }
        }

        fn node_of(item: *T) *Node {
            return &@field(item, @tagName(field));
        }

        fn item_of(node: *Node) *T {
            return @alignCast(@fieldParentPtr(@tagName(field), node));
        }
    };
}

/// Two trees become one: the later root becomes the first child of the earlier.
fn meld(a: *Node, b: *Node) *Node {
    assert(a != b);
    assert(a.prev == null and a.next == null and b.prev == null and b.next == null);
    const winner, const loser = if (a.before(b)) .{ a, b } else .{ b, a };
    loser.prev = winner;
    loser.next = winner.child;
    if (winner.child) |child| child.prev = loser;
    winner.child = loser;
    return winner;
}

/// Siblings become one tree: in pairs from the left, then all pairs from the right. Doing both
/// passes is what makes removal logarithmic.
fn merge_pairs(first: ?*Node) ?*Node {
    var left = first;
    var pairs: ?*Node = null; // A stack through `next`.
    while (left) |a| {
        const maybe_b = a.next;
        left = if (maybe_b) |b| b.next else null;
        isolate(a);
        if (maybe_b) |b| isolate(b);
        const tree = if (maybe_b) |b| meld(a, b) else a;
        tree.next = pairs;
        pairs = tree;
    }
    var merged: ?*Node = null;
    while (pairs) |tree| {
        pairs = tree.next;
        tree.next = null;
        merged = if (merged) |others| meld(others, tree) else tree;
    }
    if (merged) |tree| assert(tree.prev == null and tree.next == null);
    return merged;
}

fn isolate(node: *Node) void {
    node.prev = null;
    node.next = null;
}

/// The node after `node` and everything under it, in depth-first order.
fn following(node: *Node) ?*Node {
    var at = node;
    while (true) {
        if (at.next) |sibling| return sibling;
        while (at.prev) |prev| {
            if (prev.child == at) break;
            at = prev;
        }
        at = at.prev orelse return null;
    }
}

const testing = std.testing;
const TestTimer = struct { id: u32, timer: Node = .{} };
const TestHeap = DeadlineHeap(TestTimer, .timer);

test "timers fire in order of their deadlines, equal ones in the order they were set" {
    var timers: [6]TestTimer = undefined;
    for (&timers, 0..) |*timer, index| timer.* = .{ .id = @intCast(index) };
    var heap: TestHeap = .{};
    try testing.expect(heap.empty());
    for (&timers, [_]u64{ 30, 10, 20, 10, 30, 10 }) |*timer, deadline| {
        heap.insert(timer, deadline);
        heap.invariants();
    }
    try testing.expectEqual(@as(?u64, 10), heap.nearest_ns());
    try testing.expectEqual(@as(?*TestTimer, null), heap.pop_due(9));
    heap.update(&timers[1], 10); // Now the last of the equal ones.
    for ([_]u32{ 3, 5, 1, 2 }) |id| {
        try testing.expectEqual(id, heap.pop_due(20).?.id);
        heap.invariants();
    }
    try testing.expectEqual(@as(?*TestTimer, null), heap.pop_due(29));
    try testing.expectEqual(@as(u32, 0), heap.pop_due(std.math.maxInt(u64)).?.id);
    try testing.expect(!timers[0].timer.armed() and timers[4].timer.armed());
    heap.remove(&timers[4]);
    try testing.expect(heap.empty() and heap.peek() == null and heap.nearest_ns() == null);
}

test "random timers agree with a linear search, so none is late, lost or fired twice" {
    for (0..8) |seed| {
        var random_state = std.Random.DefaultPrng.init(seed);
        const random = random_state.random();
        const Model = struct { armed: bool = false, deadline: u64 = 0, order: u64 = 0 };
        var timers: [64]TestTimer = undefined;
        var model: [64]Model = @splat(.{});
        for (&timers, 0..) |*timer, index| timer.* = .{ .id = @intCast(index) };
        var heap: TestHeap = .{};
        var order: u64 = 0;
        for (0..5000) |_| {
            const id = random.uintLessThan(usize, timers.len);
            const deadline = random.uintLessThan(u64, 40);
            switch (random.uintLessThan(u8, 4)) {
                0, 1 => {
                    order += 1;
                    if (model[id].armed or random.boolean()) {
                        heap.update(&timers[id], deadline);
                    } else heap.insert(&timers[id], deadline);
                    model[id] = .{ .armed = true, .deadline = deadline, .order = order };
                },
                2 => if (model[id].armed) {
                    heap.remove(&timers[id]);
                    model[id].armed = false;
                },
                else => if (heap.pop_due(deadline)) |due| {
                    try testing.expect(model[due.id].armed);
                    try testing.expect(model[due.id].deadline <= deadline);
                    for (model) |other| if (other.armed) {
                        const mine = model[due.id];
                        try testing.expect(mine.deadline < other.deadline or
                            mine.deadline == other.deadline and mine.order <= other.order);
                    };
                    model[due.id].armed = false;
                },
            }
            heap.invariants();
            var nearest: ?Model = null;
            for (model, &timers) |one, *timer| {
                try testing.expectEqual(one.armed, heap.contains(timer));
                if (!one.armed) continue;
                try testing.expectEqual(one.deadline, heap.deadline(timer));
                if (nearest == null or one.deadline < nearest.?.deadline or
                    one.deadline == nearest.?.deadline and one.order < nearest.?.order)
                {
                    nearest = one;
                }
            }
            try testing.expectEqual(nearest == null, heap.empty());
            if (nearest) |first| {
                try testing.expectEqual(first.deadline, heap.nearest_ns().?);
                try testing.expectEqual(first.order, model[heap.peek().?.id].order);
            }
        }
    }
}

test "a hundred thousand timers drain without recursion and in order" {
    const count = 100_000;
    const timers = try testing.allocator.alloc(TestTimer, count);
    defer testing.allocator.free(timers);
    var random_state = std.Random.DefaultPrng.init(99);
    var heap: TestHeap = .{};
    for (timers, 0..) |*timer, index| {
        timer.* = .{ .id = @intCast(index) };
        heap.insert(timer, random_state.random().uintLessThan(u64, 1 << 40));
    }
    heap.invariants();
    for (timers[0 .. count / 2]) |*timer| heap.remove(timer);
    heap.invariants();
    var last: u64 = 0;
    var fired: u32 = 0;
    while (heap.peek()) |timer| : (fired += 1) {
        try testing.expect(heap.deadline(timer) >= last);
        last = heap.deadline(timer);
        heap.remove(timer);
    }
    try testing.expectEqual(@as(u32, count / 2), fired);
}
