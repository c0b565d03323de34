//! A doubly linked list whose links live inside the items: membership costs no allocation and
//! removal no search. The list owns nothing; whoever owns the items decides how long they live.
//! Nothing that allocates, copies items or knows what an item is may be added here.
//!
//! The list is a ring through its own two ends, so that a link that is in it always has neighbours:
//! that is how it is told from one that is in none, and inserting twice is an assertion. In Debug a
//! link remembers its list, too, so that removing from a list the item is not in is one as well and
//! not a corrupted ring three ticks later. A list that is not empty must not be moved.

const std = @import("std");
const builtin = @import("builtin");
const assert = std.debug.assert;

const debug = builtin.mode == .Debug;

/// Twelve of these are in every connection: in a release they are two pointers.
pub const Link = struct {
    prev: ?*Link = null,
    next: ?*Link = null,
    /// The list this link is in; null while it is in none.
    owner: if (debug) ?*const anyopaque else void = if (debug) null else {},

    pub fn linked(link: *const Link) bool {
        assert((link.prev == null) == (link.next == null));
        if (debug) assert((link.owner == null) == (link.next == null));
        return link.next != null;
    }
};

comptime {
    assert(debug or @sizeOf(Link) == 2 * @sizeOf(usize));
}

/// `field` names the `Link` inside `T`. It is a literal (`.link`) and not a `FieldEnum(T)`,
/// because an item that holds a list of its own kind would then depend on its own layout.
pub fn List(comptime T: type, comptime field: @EnumLiteral()) type {
    return struct {
        const Self = @This();

        /// Behind the last item and before the first; no neighbours while there are no items.
        ends: Link = .{},
        count: u64 = 0,

        pub fn push_back(list: *Self, item: *T) void {
            const after = list.ends.prev orelse &list.ends;
            insert(list, item, after, &list.ends);
        }

        pub fn push_front(list: *Self, item: *T) void {
            const before = list.ends.next orelse &list.ends;
            insert(list, item, &list.ends, before);
        }

        fn insert(list: *Self, item: *T, prev_link: *Link, next_link: *Link) void {
            const link = link_of(item);
            assert(!link.linked()); // Inserted twice, or still in another list.
            link.* = .{ .prev = prev_link, .next = next_link };
            if (debug) link.owner = list;
            prev_link.next = link;
            next_link.prev = link;
            list.count += 1;
            assert(list.contains(item));
        }

        pub fn pop_front(list: *Self) ?*T {
            const item = list.first() orelse return null;
            list.remove(item);
            return item;
        }

        pub fn remove(list: *Self, item: *T) void {
            assert(list.contains(item));
            assert(list.count > 0);
            const link = link_of(item);
            link.prev.?.next = link.next;
            link.next.?.prev = link.prev;
            link.* = .{};
            list.count -= 1;
            if (list.count > 0) return;
            assert(list.ends.next == &list.ends and list.ends.prev == &list.ends);
            list.ends = .{};
        }

        /// Outside Debug: whether the item is in some list.
        pub fn contains(list: *const Self, item: *const T) bool {
            const link = &@field(item, @tagName(field));
            if (debug) return link.owner == @as(*const anyopaque, list);
            return link.linked();
        }

        pub fn empty(list: *const Self) bool {
            assert((list.ends.next == null) == (list.count == 0));
            return list.count == 0;
        }

        pub fn first(list: *const Self) ?*T {
            return item_of(list.ends.next orelse return null);
        }

        pub fn last(list: *const Self) ?*T {
            return item_of(list.ends.prev orelse return null);
        }

        /// The item behind `item`. Take it before removing `item`.
        pub fn next(list: *const Self, item: *const T) ?*T {
            assert(list.contains(item));
            return list.unless_end(@field(item, @tagName(field)).next.?);
        }

        pub fn prev(list: *const Self, item: *const T) ?*T {
            assert(list.contains(item));
            return list.unless_end(@field(item, @tagName(field)).prev.?);
        }

        fn unless_end(list: *const Self, link: *Link) ?*T {
            return if (link == &list.ends) null else item_of(link);
        }

        /// O(n): for tests and for owners that check themselves in Debug.
        pub fn invariants(list: *const Self) void {
            var count: u64 = 0;
            var behind: *const Link = &list.ends;
            var cursor = list.ends.next;
            while (cursor) |link| : (cursor = link.next) {
                if (link == &list.ends) break;
                if (debug) assert(link.owner == @as(*const anyopaque, list));
                assert(link.prev == behind);
                behind = link;
                count += 1;
                assert(count <= list.count);
            }
            assert(count == 0 or list.ends.prev == behind);
            assert(list.count == count);
        }

        fn link_of(item: *T) *Link {
            return &@field(item, @tagName(field));
        }

        fn item_of(link: *Link) *T {
            return @alignCast(@fieldParentPtr(@tagName(field), link));
        }
    };
}

const TestItem = struct {
    id: u32,
    link: Link = .{},
    other: Link = .{},
    /// Compiles only because the field is named by a literal.
    children: List(TestItem, .other) = .{},
};

test "items leave in the order they were queued, so no peer overtakes another" {
    var items: [4]TestItem = undefined;
    for (&items, 0..) |*item, index| item.* = .{ .id = @intCast(index) };
    var list: List(TestItem, .link) = .{};
    try std.testing.expect(list.empty());
    list.push_back(&items[1]);
    list.push_back(&items[2]);
    list.push_front(&items[0]);
    list.push_back(&items[3]);
    list.invariants();
    try std.testing.expectEqual(@as(?*TestItem, &items[2]), list.next(&items[1]));
    try std.testing.expectEqual(@as(?*TestItem, &items[0]), list.prev(&items[1]));
    try std.testing.expectEqual(@as(?*TestItem, null), list.next(&items[3]));
    for (0..4) |expected| {
        try std.testing.expectEqual(@as(u32, @intCast(expected)), list.pop_front().?.id);
        list.invariants();
    }
    try std.testing.expectEqual(@as(?*TestItem, null), list.pop_front());
}

test "an item in two lists by two links stays in the second when it leaves the first" {
    var parent: TestItem = .{ .id = 0 };
    var child: TestItem = .{ .id = 1 };
    var list: List(TestItem, .link) = .{};
    list.push_back(&child);
    parent.children.push_back(&child);
    list.remove(&child);
    try std.testing.expect(!list.contains(&child));
    try std.testing.expect(!child.link.linked());
    try std.testing.expect(parent.children.contains(&child));
    try std.testing.expect(child.other.linked());
    parent.children.remove(&child);
    try std.testing.expect(parent.children.empty());
}

test "membership is per list: a connection in the wrong queue is noticed" {
    if (!debug) return error.SkipZigTest;
    var item: TestItem = .{ .id = 7 };
    var a: List(TestItem, .link) = .{};
    var b: List(TestItem, .link) = .{};
    a.push_back(&item);
    try std.testing.expect(a.contains(&item));
    try std.testing.expect(!b.contains(&item));
    a.remove(&item);
    b.push_front(&item);
    try std.testing.expect(b.contains(&item) and !a.contains(&item));
    b.invariants();
}

test "random insertions and removals agree with an array, so no item is lost or seen twice" {
    var random_state = std.Random.DefaultPrng.init(0x11f7);
    const random = random_state.random();
    var items: [32]TestItem = undefined;
    for (&items, 0..) |*item, index| item.* = .{ .id = @intCast(index) };
    var list: List(TestItem, .link) = .{};
    var model: [32]u32 = undefined;
    var model_count: usize = 0;
    for (0..20_000) |_| {
        const item = &items[random.uintLessThan(usize, items.len)];
        const position = std.mem.findScalar(u32, model[0..model_count], item.id);
        try std.testing.expectEqual(position != null, list.contains(item));
        if (position) |at| {
            std.mem.copyForwards(u32, model[at..], model[at + 1 .. model_count]);
            model_count -= 1;
            list.remove(item);
        } else if (random.boolean()) {
            model[model_count] = item.id;
            model_count += 1;
            list.push_back(item);
        } else {
            std.mem.copyBackwards(u32, model[1..], model[0..model_count]);
            model[0] = item.id;
            model_count += 1;
            list.push_front(item);
        }
        list.invariants();
        var cursor = list.first();
        for (model[0..model_count]) |id| {
            try std.testing.expectEqual(id, cursor.?.id);
            cursor = list.next(cursor.?);
        }
        try std.testing.expectEqual(@as(?*TestItem, null), cursor);
    }
}
