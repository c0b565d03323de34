//! A doubly linked list whose links live inside the items: membership costs no allocation and
//! removal no search. The list owns nothing; whoever owns the items decides how long they live.
//! Nothing that allocates, copies items or knows what an item is may be added here.
//!
//! A link remembers its list, so that inserting twice, or removing from a list the item is not
//! in, is an assertion and not a corrupted ring of pointers three ticks later. For the same
//! reason a list that is not empty must not be moved.

const std = @import("std");
const assert = std.debug.assert;

pub const Link = struct {
    prev: ?*Link = null,
    next: ?*Link = null,
    /// The list this link is in; null while it is in none.
    owner: ?*const anyopaque = null,

    pub fn linked(link: *const Link) bool {
        if (link.owner == null) assert(link.prev == null and link.next == null);
        return link.owner != null;
    }
};

/// `field` names the `Link` inside `T`. It is a literal (`.link`) and not a `FieldEnum(T)`,
/// because an item that holds a list of its own kind would then depend on its own layout.
pub fn List(comptime T: type, comptime field: @EnumLiteral()) type {
    return struct {
        const Self = @This();

        head: ?*Link = null,
        tail: ?*Link = null,
        count: u64 = 0,

        pub fn push_back(list: *Self, item: *T) void {
            const link = claim(list, item);
            link.prev = list.tail;
            if (list.tail) |tail| tail.next = link else list.head = link;
            list.tail = link;
            list.count += 1;
            assert(list.contains(item));
        }

        pub fn push_front(list: *Self, item: *T) void {
            const link = claim(list, item);
            link.next = list.head;
            if (list.head) |head| head.prev = link else list.tail = link;
            list.head = link;
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
            if (link.prev) |ahead| ahead.next = link.next else list.head = link.next;
            if (link.next) |behind| behind.prev = link.prev else list.tail = link.prev;
            link.* = .{};
            list.count -= 1;
            assert((list.count == 0) == (list.head == null));
        }

        pub fn contains(list: *const Self, item: *const T) bool {
            const owner = @field(item, @tagName(field)).owner;
            return owner == @as(*const anyopaque, list);
        }

        pub fn empty(list: *const Self) bool {
            assert((list.head == null) == (list.tail == null));
            assert((list.head == null) == (list.count == 0));
            return list.head == null;
        }

        pub fn first(list: *const Self) ?*T {
            return item_of(list.head orelse return null);
        }

        pub fn last(list: *const Self) ?*T {
            return item_of(list.tail orelse return null);
        }

        /// The item behind `item`. Take it before removing `item`.
        pub fn next(list: *const Self, item: *const T) ?*T {
            assert(list.contains(item));
            return item_of(@field(item, @tagName(field)).next orelse return null);
        }

        pub fn prev(list: *const Self, item: *const T) ?*T {
            assert(list.contains(item));
            return item_of(@field(item, @tagName(field)).prev orelse return null);
        }

        /// O(n): for tests and for owners that check themselves in Debug.
        pub fn invariants(list: *const Self) void {
            var count: u64 = 0;
            var behind: ?*Link = null;
            var cursor = list.head;
            while (cursor) |link| : (cursor = link.next) {
                assert(link.owner == @as(*const anyopaque, list));
                assert(link.prev == behind);
                behind = link;
                count += 1;
                assert(count <= list.count);
            }
            assert(list.tail == behind);
            assert(list.count == count);
        }

        fn claim(list: *Self, item: *T) *Link {
            const link = link_of(item);
            assert(link.owner == null); // Inserted twice, or still in another list.
            assert(link.prev == null and link.next == null);
            link.owner = list;
            return link;
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
