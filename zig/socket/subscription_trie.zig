//! Who subscribed to what. PUB and XPUB keep the topics of all their peers in one tree
//! (`SubscriptionTrie`), SUB and XSUB count what their user asked for (`CountedTrie`). A message
//! is matched against all topics at once: it follows its own first bytes down the tree, whatever
//! else was subscribed to.
//!
//!     subscriptions               tree
//!     ""         7                root ● 7                 ● a topic ends here: its subscribers
//!     "news."    2                 └─ n ○                  ○ only branches: two children or more
//!     "news.eu"  1, 7                 ├─ ews. ● 2
//!     "news.us"  7                    │       ├─ eu ● 1, 7
//!     "nova"     3                    │       └─ us ● 7
//!                                     └─ ova ● 3           "news.eu!" reaches 7, 2, 1 and 7
//!
//!     subscriber 7: "", "news.eu", "news.us"               what leaves with this peer
//!
//! An error leaves the subscriptions as they were, and memory follows them down again, too. How
//! topics are stored, and what a hostile peer gets out of that: topic_tree.zig.
//! How many subscriptions a peer may have is decided above, with the numbers of `usage`.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;

const TopicTree = @import("topic_tree.zig").TopicTree;
/// Beside these bytes a topic takes 120 to 150, and each of its subscribers 16.
pub const Usage = @import("topic_tree.zig").Usage;

const OutOfMemory = error{OutOfMemory};

/// Subscribers are small dense numbers that the owner gives to its pipes. The trie stays where it
/// is once something was added.
pub const SubscriptionTrie = struct {
    tree: TopicTree(Audience),
    /// By subscriber.
    records: std.ArrayList(Record) = .empty,

    const Topic = TopicTree(Audience).Topic;

    const Record = struct {
        topics: std.ArrayList(*Topic) = .empty,
        bytes: usize = 0,
    };

    pub const Added = enum {
        /// Nobody had this topic.
        first,
        /// Others have it.
        another,
        /// This subscriber has it already. It counts once.
        duplicate,
    };

    pub const Removed = enum {
        /// Nobody has this topic any more.
        last,
        /// Others still have it.
        another,
        /// This subscriber did not have it.
        absent,
    };

    pub fn init(allocator: Allocator) SubscriptionTrie {
        return .{ .tree = .init(allocator) };
    }

    pub fn deinit(trie: *SubscriptionTrie) void {
        const allocator = trie.tree.allocator;
        var cursor = trie.tree.iterator();
        while (cursor.next()) |topic| topic.payload.deinit(allocator);
        trie.tree.deinit();
        for (trie.records.items) |*record| record.topics.deinit(allocator);
        trie.records.deinit(allocator);
        trie.* = undefined;
    }

    pub fn add(trie: *SubscriptionTrie, bytes: []const u8, subscriber: u32) OutOfMemory!Added {
        const allocator = trie.tree.allocator;
        const obtained = try trie.tree.obtain(bytes);
        const topic = obtained.topic;
        if (obtained.is_new) topic.payload = .{};
        errdefer if (obtained.is_new) trie.tree.erase(topic);

        const audience = &topic.payload;
        const position = audience.rank(subscriber);
        if (audience.is_at(position, subscriber)) return .duplicate;
        const record = try trie.record_of(subscriber);
        try record.topics.ensureUnusedCapacity(allocator, 1);
        try audience.reserve(allocator);

        audience.insert(position, subscriber, @intCast(record.topics.items.len));
        record.topics.appendAssumeCapacity(topic);
        record.bytes += bytes.len;
        return if (obtained.is_new) .first else .another;
    }

    pub fn remove(trie: *SubscriptionTrie, bytes: []const u8, subscriber: u32) Removed {
        const topic = trie.tree.find(bytes) orelse return .absent;
        const position = topic.payload.rank(subscriber);
        if (!topic.payload.is_at(position, subscriber)) return .absent;
        trie.unlist(subscriber, topic.payload.places()[position], bytes.len);
        return if (trie.leave(topic, position)) .last else .another;
    }

    /// The peer goes. `callback(context, topic, last)` is told each of its topics, and whether
    /// nobody has it any more; the bytes are there for the length of the call, which must not
    /// change the trie. Costs what this subscriber has, not what all have.
    pub fn remove_all(
        trie: *SubscriptionTrie,
        subscriber: u32,
        context: anytype,
        comptime callback: fn (@TypeOf(context), []const u8, bool) void,
    ) void {
        if (subscriber >= trie.records.items.len) return;
        const record = &trie.records.items[subscriber];
        while (record.topics.pop()) |topic| {
            const bytes = topic.text();
            const position = topic.payload.rank(subscriber);
            assert(topic.payload.is_at(position, subscriber));
            record.bytes -= bytes.len;
            callback(context, bytes, topic.payload.count == 1);
            _ = trie.leave(topic, position);
        }
        assert(record.bytes == 0);
        record.topics.clearAndFree(trie.tree.allocator);
    }

    /// Calls `callback(context, subscriber)` for each subscriber of each prefix of `bytes`, the
    /// empty one included: a subscriber comes up once for every one of its topics that matches.
    /// The callback must not change the trie.
    pub inline fn match(
        trie: *const SubscriptionTrie,
        bytes: []const u8,
        context: anytype,
        comptime callback: fn (@TypeOf(context), u32) void,
    ) void {
        var prefixes = trie.tree.prefixes(bytes);
        while (prefixes.next()) |topic| {
            for (topic.payload.subscribers()) |subscriber| {
                @call(.always_inline, callback, .{ context, subscriber });
            }
        }
    }

    /// The same for the subscribers of exactly this topic.
    pub fn match_exact(
        trie: *const SubscriptionTrie,
        bytes: []const u8,
        context: anytype,
        comptime callback: fn (@TypeOf(context), u32) void,
    ) void {
        const topic = trie.tree.find(bytes) orelse return;
        for (topic.payload.subscribers()) |subscriber| callback(context, subscriber);
    }

    /// Whether anybody would get a message that begins with `bytes`.
    pub fn matches_any(trie: *const SubscriptionTrie, bytes: []const u8) bool {
        var prefixes = trie.tree.prefixes(bytes);
        return prefixes.next() != null;
    }

    /// Whether somebody subscribed to exactly this topic.
    pub fn has(trie: *const SubscriptionTrie, bytes: []const u8) bool {
        return trie.tree.find(bytes) != null;
    }

    /// Each topic once, however many have it.
    pub fn total(trie: *const SubscriptionTrie) Usage {
        return trie.tree.usage;
    }

    /// What one subscriber has.
    pub fn usage(trie: *const SubscriptionTrie, subscriber: u32) Usage {
        if (subscriber >= trie.records.items.len) return .{};
        const record = &trie.records.items[subscriber];
        return .{ .topics = record.topics.items.len, .bytes = record.bytes };
    }

    /// All topics, in the order of their bytes. The trie must not change meanwhile.
    pub fn iterator(trie: *const SubscriptionTrie) Iterator {
        return .{ .inner = trie.tree.iterator() };
    }

    pub const Iterator = struct {
        inner: TopicTree(Audience).Iterator,

        pub fn next(it: *Iterator) ?[]const u8 {
            const topic = it.inner.next() orelse return null;
            return topic.text();
        }
    };

    /// O(everything): for tests.
    pub fn invariants(trie: *const SubscriptionTrie) void {
        trie.tree.invariants();
        var subscriptions: usize = 0;
        var cursor = trie.tree.iterator();
        while (cursor.next()) |topic| {
            const audience = &topic.payload;
            audience.invariants();
            subscriptions += audience.count;
            for (audience.subscribers(), audience.places()) |subscriber, place| {
                assert(trie.records.items[subscriber].topics.items[place] == topic);
            }
        }
        for (trie.records.items) |*record| {
            var bytes: usize = 0;
            for (record.topics.items) |topic| bytes += topic.text().len;
            assert(record.bytes == bytes);
            subscriptions -= record.topics.items.len;
        }
        assert(subscriptions == 0);
    }

    fn record_of(trie: *SubscriptionTrie, subscriber: u32) OutOfMemory!*Record {
        const known = trie.records.items.len;
        if (subscriber >= known) {
            try trie.records.appendNTimes(trie.tree.allocator, .{}, subscriber + 1 - known);
        }
        return &trie.records.items[subscriber];
    }

    /// Takes a topic off the subscriber's list; the last of the list moves to its place.
    fn unlist(trie: *SubscriptionTrie, subscriber: u32, place: u32, bytes: usize) void {
        const record = &trie.records.items[subscriber];
        const topics = &record.topics;
        _ = topics.swapRemove(place);
        record.bytes -= bytes;
        if (place < topics.items.len) {
            const audience = &topics.items[place].payload;
            const position = audience.rank(subscriber);
            assert(audience.places()[position] == topics.items.len);
            audience.places()[position] = place;
        }
        if (topics.items.len * 4 > topics.capacity) return;
        topics.shrinkAndFree(trie.tree.allocator, topics.items.len);
    }

    /// True when it was the last.
    fn leave(trie: *SubscriptionTrie, topic: *Topic, position: u32) bool {
        const audience = &topic.payload;
        audience.remove(trie.tree.allocator, position);
        if (audience.count > 0) return false;
        audience.deinit(trie.tree.allocator);
        trie.tree.erase(topic);
        return true;
    }
};

/// Topics with a count of references each. The trie stays where it is once something was added.
pub const CountedTrie = struct {
    tree: TopicTree(usize),

    pub const Removed = enum { last, still_there, absent };

    pub fn init(allocator: Allocator) CountedTrie {
        return .{ .tree = .init(allocator) };
    }

    pub fn deinit(trie: *CountedTrie) void {
        trie.tree.deinit();
        trie.* = undefined;
    }

    /// True for the first reference of a topic.
    pub fn add(trie: *CountedTrie, bytes: []const u8) OutOfMemory!bool {
        const obtained = try trie.tree.obtain(bytes);
        if (obtained.is_new) obtained.topic.payload = 0;
        obtained.topic.payload += 1;
        return obtained.is_new;
    }

    pub fn remove(trie: *CountedTrie, bytes: []const u8) Removed {
        const topic = trie.tree.find(bytes) orelse return .absent;
        topic.payload -= 1;
        if (topic.payload > 0) return .still_there;
        trie.tree.erase(topic);
        return .last;
    }

    /// Whether a message that begins with `bytes` was asked for.
    pub inline fn matches_any(trie: *const CountedTrie, bytes: []const u8) bool {
        var prefixes = trie.tree.prefixes(bytes);
        return prefixes.next() != null;
    }

    pub fn has(trie: *const CountedTrie, bytes: []const u8) bool {
        return trie.tree.find(bytes) != null;
    }

    /// References to exactly this topic.
    pub fn references(trie: *const CountedTrie, bytes: []const u8) usize {
        const topic = trie.tree.find(bytes) orelse return 0;
        return topic.payload;
    }

    pub fn total(trie: *const CountedTrie) Usage {
        return trie.tree.usage;
    }

    /// All topics, in the order of their bytes. The trie must not change meanwhile.
    pub fn iterator(trie: *const CountedTrie) Iterator {
        return .{ .inner = trie.tree.iterator() };
    }

    pub const Iterator = struct {
        inner: TopicTree(usize).Iterator,

        pub fn next(it: *Iterator) ?[]const u8 {
            const topic = it.inner.next() orelse return null;
            return topic.text();
        }
    };

    /// O(everything): for tests.
    pub fn invariants(trie: *const CountedTrie) void {
        trie.tree.invariants();
        var cursor = trie.tree.iterator();
        while (cursor.next()) |topic| assert(topic.payload > 0);
    }
};

/// The subscribers of one topic, sorted: found by binary search, handed out as one piece of
/// memory. The usual one subscriber needs no memory of its own.
const Audience = struct {
    /// `capacity` subscribers and behind them, in the same order, the place of this topic in each
    /// one's list. `one`: while the capacity is 1.
    store: extern union { one: [2]u32, many: [*]u32 } = undefined,
    count: u32 = 0,
    capacity: u32 = 1,

    const capacity_first = 4;

    fn deinit(audience: *Audience, allocator: Allocator) void {
        if (audience.capacity > 1) {
            allocator.free(audience.store.many[0 .. @as(usize, audience.capacity) * 2]);
        }
        audience.* = undefined;
    }

    inline fn subscribers(audience: *const Audience) []const u32 {
        const single = audience.capacity == 1;
        const start: [*]const u32 = if (single) &audience.store.one else audience.store.many;
        return start[0..audience.count];
    }

    fn places(audience: *Audience) []u32 {
        return audience.memory()[audience.capacity..][0..audience.count];
    }

    fn memory(audience: *Audience) [*]u32 {
        return if (audience.capacity == 1) &audience.store.one else audience.store.many;
    }

    /// How many are below `subscriber`: where it is, or where it would be.
    fn rank(audience: *const Audience, subscriber: u32) u32 {
        const ids = audience.subscribers();
        // Numbers are given in rising order, so a new one mostly belongs at the end.
        if (ids.len == 0 or ids[ids.len - 1] < subscriber) return audience.count;
        return @intCast(std.sort.lowerBound(u32, ids, subscriber, struct {
            fn order(wanted: u32, id: u32) std.math.Order {
                return std.math.order(wanted, id);
            }
        }.order));
    }

    fn is_at(audience: *const Audience, position: u32, subscriber: u32) bool {
        return position < audience.count and audience.subscribers()[position] == subscriber;
    }

    fn reserve(audience: *Audience, allocator: Allocator) OutOfMemory!void {
        if (audience.count < audience.capacity) return;
        try audience.resize(allocator, @max(audience.capacity * 2, capacity_first));
    }

    fn resize(audience: *Audience, allocator: Allocator, capacity: u32) OutOfMemory!void {
        assert(capacity >= audience.count);
        var next: Audience = .{ .count = audience.count, .capacity = capacity };
        if (capacity > 1) {
            next.store = .{ .many = (try allocator.alloc(u32, @as(usize, capacity) * 2)).ptr };
        }
        @memcpy(next.memory()[0..audience.count], audience.subscribers());
        @memcpy(next.places(), audience.places());
        audience.deinit(allocator);
        audience.* = next;
    }

    /// There is room.
    fn insert(audience: *Audience, position: u32, subscriber: u32, place: u32) void {
        assert(audience.count < audience.capacity);
        assert(position <= audience.count);
        const ids = audience.memory();
        const all_places = ids + audience.capacity;
        for ([_][*]u32{ ids, all_places }, [_]u32{ subscriber, place }) |column, value| {
            const tail = column[position..audience.count];
            @memmove(column[position + 1 ..][0..tail.len], tail);
            column[position] = value;
        }
        audience.count += 1;
    }

    fn remove(audience: *Audience, allocator: Allocator, position: u32) void {
        assert(position < audience.count);
        const ids = audience.memory();
        const all_places = ids + audience.capacity;
        for ([_][*]u32{ ids, all_places }) |column| {
            const tail = column[position + 1 .. audience.count];
            @memmove(column[position..][0..tail.len], tail);
        }
        audience.count -= 1;
        if (audience.count == 0 or audience.count * 4 > audience.capacity) return;
        const capacity = if (audience.count == 1) 1 else audience.capacity / 2;
        // Without memory for a smaller one the large one stays.
        audience.resize(allocator, capacity) catch return;
    }

    fn invariants(audience: *const Audience) void {
        const ids = audience.subscribers();
        assert(ids.len > 0 and ids.len <= audience.capacity);
        for (ids[1..], ids[0 .. ids.len - 1]) |id, before| assert(before < id);
    }
};

const testing = std.testing;
const FailingAllocator = std.testing.FailingAllocator;
const Prng = @import("../stdx/prng.zig").Prng;

/// The subscribers a match came up with, in its order.
const Matched = struct {
    ids: [64]u32 = undefined,
    count: usize = 0,

    fn take(matched: *Matched, subscriber: u32) void {
        matched.ids[matched.count] = subscriber;
        matched.count += 1;
    }
};

fn expect_match(trie: *const SubscriptionTrie, bytes: []const u8, expected: []const u32) !void {
    var matched: Matched = .{};
    trie.match(bytes, &matched, Matched.take);
    try testing.expectEqualSlices(u32, expected, matched.ids[0..matched.count]);
    try testing.expectEqual(expected.len > 0, trie.matches_any(bytes));
}

fn live_bytes(counting: *const FailingAllocator) usize {
    return counting.allocated_bytes - counting.freed_bytes;
}

test "a message reaches whoever subscribed to a prefix of it, and nobody else" {
    var trie = SubscriptionTrie.init(testing.allocator);
    defer trie.deinit();
    try expect_match(&trie, "", &.{});
    try expect_match(&trie, "news.eu", &.{});
    const Subscription = struct { []const u8, u32 };
    for ([_]Subscription{
        .{ "news.us", 7 }, .{ "news.eu", 7 }, .{ "", 7 },
        .{ "nova", 3 },    .{ "news.eu", 1 }, .{ "news.", 2 },
    }) |subscription| {
        const topic, const subscriber = subscription;
        try testing.expect(try trie.add(topic, subscriber) != .duplicate);
        trie.invariants();
    }
    try expect_match(&trie, "news.eu!", &.{ 7, 2, 1, 7 });
    try expect_match(&trie, "news.eu", &.{ 7, 2, 1, 7 });
    try expect_match(&trie, "news.e", &.{ 7, 2 });
    try expect_match(&trie, "news", &.{7});
    try expect_match(&trie, "nova", &.{ 7, 3 });
    try expect_match(&trie, "n", &.{7});
    try expect_match(&trie, "x", &.{7});
    try expect_match(&trie, "", &.{7});
    try testing.expect(trie.has("") and trie.has("news.") and !trie.has("n") and !trie.has("new"));
    try testing.expectEqual(Usage{ .topics = 5, .bytes = 5 + 7 + 7 + 4 }, trie.total());
    try testing.expectEqual(Usage{ .topics = 3, .bytes = 14 }, trie.usage(7));
    try testing.expectEqual(Usage{}, trie.usage(99));

    try testing.expectEqual(.last, trie.remove("", 7));
    trie.invariants();
    try expect_match(&trie, "x", &.{});
    try expect_match(&trie, "", &.{});
    try expect_match(&trie, "news.us", &.{ 2, 7 });
}

test "a peer that subscribes twice counts once, and its one cancel ends it" {
    var trie = SubscriptionTrie.init(testing.allocator);
    defer trie.deinit();
    try testing.expectEqual(.absent, trie.remove("a", 1));
    try testing.expectEqual(.first, try trie.add("a", 1));
    try testing.expectEqual(.duplicate, try trie.add("a", 1));
    try testing.expectEqual(.another, try trie.add("a", 0));
    try testing.expectEqual(.another, try trie.add("a", 2));
    try testing.expectEqual(.duplicate, try trie.add("a", 1));
    try testing.expectEqual(Usage{ .topics = 1, .bytes = 1 }, trie.usage(1));
    try expect_match(&trie, "ab", &.{ 0, 1, 2 });
    try testing.expectEqual(.absent, trie.remove("a", 3));
    try testing.expectEqual(.absent, trie.remove("", 1));
    try testing.expectEqual(.absent, trie.remove("ab", 1));
    try testing.expectEqual(.another, trie.remove("a", 1));
    try testing.expectEqual(.absent, trie.remove("a", 1));
    try testing.expectEqual(.another, trie.remove("a", 0));
    trie.invariants();
    try testing.expectEqual(.last, trie.remove("a", 2));
    try testing.expectEqual(Usage{}, trie.total());
    trie.invariants();
}

const Farewell = struct {
    ended: usize = 0,
    kept: usize = 0,
    bytes: usize = 0,

    fn take(farewell: *Farewell, topic: []const u8, last: bool) void {
        if (last) farewell.ended += 1 else farewell.kept += 1;
        farewell.bytes += topic.len;
    }
};

test "a peer that goes takes its own topics along: the others keep theirs" {
    var trie = SubscriptionTrie.init(testing.allocator);
    defer trie.deinit();
    for ([_][]const u8{ "", "a", "ab", "abc", "b" }) |topic| _ = try trie.add(topic, 5);
    for ([_][]const u8{ "", "ab", "c" }) |topic| _ = try trie.add(topic, 9);
    var farewell: Farewell = .{};
    trie.remove_all(5, &farewell, Farewell.take);
    trie.invariants();
    try testing.expectEqual(Farewell{ .ended = 3, .kept = 2, .bytes = 7 }, farewell);
    try testing.expectEqual(Usage{}, trie.usage(5));
    try expect_match(&trie, "abc", &.{ 9, 9 });
    farewell = .{};
    trie.remove_all(5, &farewell, Farewell.take);
    trie.remove_all(1000, &farewell, Farewell.take);
    try testing.expectEqual(Farewell{}, farewell);
    trie.remove_all(9, &farewell, Farewell.take);
    try testing.expectEqual(Farewell{ .ended = 3, .bytes = 3 }, farewell);
    try testing.expectEqual(Usage{}, trie.total());
    // The number goes to the next peer.
    try testing.expectEqual(.first, try trie.add("abc", 5));
    trie.invariants();
}

test "a topic that was popular once does not keep the memory of its subscribers" {
    var counting = FailingAllocator.init(testing.allocator, .{});
    var trie = SubscriptionTrie.init(counting.allocator());
    defer trie.deinit();
    for (0..1000) |subscriber| _ = try trie.add("a", @intCast(subscriber));
    for (0..1000) |subscriber| {
        if (subscriber == 500) continue;
        try testing.expectEqual(.another, trie.remove("a", @intCast(subscriber)));
    }
    trie.invariants();
    try expect_match(&trie, "a", &.{500});
    const records = trie.records.capacity * @sizeOf(SubscriptionTrie.Record);
    try testing.expect(live_bytes(&counting) - records < 512);
}

test "memory follows the subscriptions: a crowd that came and went leaves nothing behind" {
    var counting = FailingAllocator.init(testing.allocator, .{});
    var trie = SubscriptionTrie.init(counting.allocator());
    defer trie.deinit();
    var prng = Prng.init(3);
    const topics = 10_000;
    for (0..topics) |_| {
        var topic: [20]u8 = undefined;
        prng.fill(&topic);
        _ = try trie.add(&topic, 0);
        _ = try trie.add("all", @intCast(prng.below(topics)));
    }
    const overhead = live_bytes(&counting) -
        trie.records.capacity * @sizeOf(SubscriptionTrie.Record) - trie.total().bytes;
    try testing.expect(overhead < topics * 230);
    for (0..topics) |subscriber| {
        var farewell: Farewell = .{};
        trie.remove_all(@intCast(subscriber), &farewell, Farewell.take);
    }
    trie.invariants();
    try testing.expectEqual(Usage{}, trie.total());
    try testing.expectEqual(
        trie.records.capacity * @sizeOf(SubscriptionTrie.Record),
        live_bytes(&counting),
    );
}

test "without memory a subscription is refused as a whole, and succeeds later" {
    const script = [_][]const u8{ "abcd", "abxy", "ab", "", "b", "c", "d", "abcd", "abce" };
    for (0..script.len) |target| {
        var fail_index: usize = 0;
        while (true) : (fail_index += 1) {
            var failing = FailingAllocator.init(testing.allocator, .{});
            var trie = SubscriptionTrie.init(failing.allocator());
            defer trie.deinit();
            for (script[0..target], 0..) |topic, index| _ = try trie.add(topic, @intCast(index));
            const before = trie.total();
            const had = trie.has(script[target]);
            failing.fail_index = failing.alloc_index + fail_index;
            const result = trie.add(script[target], 40);
            failing.fail_index = std.math.maxInt(usize);
            trie.invariants();
            if (result) |added| {
                try testing.expectEqual(had, added == .another);
                try testing.expectEqual(!had, added == .first);
                break;
            } else |failure| try testing.expectEqual(error.OutOfMemory, failure);
            try testing.expectEqual(before, trie.total());
            try testing.expectEqual(Usage{}, trie.usage(40));
            try testing.expectEqual(had, trie.has(script[target]));
            _ = try trie.add(script[target], 40);
            trie.invariants();
        }
        try testing.expect(fail_index > 0);
    }
}

test "a subscriber counts its own topics: only the last of equal unsubscribes cancels" {
    var trie = CountedTrie.init(testing.allocator);
    defer trie.deinit();
    try testing.expectEqual(.absent, trie.remove("a"));
    try testing.expect(try trie.add("a"));
    try testing.expect(!try trie.add("a"));
    try testing.expect(try trie.add("b"));
    try testing.expect(try trie.add(""));
    try testing.expectEqual(2, trie.references("a"));
    try testing.expectEqual(Usage{ .topics = 3, .bytes = 2 }, trie.total());
    try testing.expectEqual(.last, trie.remove(""));
    try testing.expect(trie.matches_any("abc") and !trie.matches_any("") and trie.has("b"));
    try testing.expectEqual(.still_there, trie.remove("a"));
    try testing.expect(trie.matches_any("abc"));
    try testing.expectEqual(.last, trie.remove("a"));
    try testing.expect(!trie.matches_any("abc"));
    trie.invariants();
    var cursor = trie.iterator();
    try testing.expectEqualStrings("b", cursor.next().?);
    try testing.expectEqual(null, cursor.next());
}

/// What the trie must agree with: a table of who has which topic, searched from end to end.
const Model = struct {
    topics: [topics_max][]const u8 = undefined,
    has: [topics_max][subscribers_max]bool = @splat(@splat(false)),
    count: usize = 0,

    const topics_max = 48;
    const subscribers_max = 12;

    fn init(prng: *Prng, bytes: []u8) Model {
        var model: Model = .{};
        // Bytes of both signs and both ends; few of them, so that topics share beginnings.
        const alphabets = [_][]const u8{ "ab", "\x00\x7f\x80\xff", "a" };
        const alphabet = prng.pick([]const u8, &alphabets);
        for (bytes) |*byte| byte.* = prng.pick(u8, alphabet);
        while (model.count < topics_max) {
            const length: usize = @intCast(prng.below(if (prng.chance(1, 4)) 40 else 7));
            const start: usize = @intCast(prng.below(bytes.len - length));
            const topic = bytes[start..][0..length];
            const known = for (model.topics[0..model.count]) |other| {
                if (std.mem.eql(u8, topic, other)) break true;
            } else false;
            // Equal ones are given up now and then, or "a" repeated could not fill the table.
            if (known and !prng.chance(1, 50)) continue;
            if (known) break;
            model.topics[model.count] = topic;
            model.count += 1;
        }
        return model;
    }

    fn audience(model: *const Model, topic: usize) usize {
        return std.mem.countScalar(bool, &model.has[topic], true);
    }

    fn check(model: *const Model, trie: *const SubscriptionTrie, bytes: []const u8) !void {
        trie.invariants();
        var expected: [subscribers_max]usize = @splat(0);
        var usage: [subscribers_max]Usage = @splat(.{});
        var total: Usage = .{};
        for (model.topics[0..model.count], 0..) |topic, index| {
            const there = model.audience(index) > 0;
            try testing.expectEqual(there, trie.has(topic));
            if (there) total = .{ .topics = total.topics + 1, .bytes = total.bytes + topic.len };
            for (model.has[index], 0..) |has, subscriber| {
                if (!has) continue;
                usage[subscriber].topics += 1;
                usage[subscriber].bytes += topic.len;
                if (std.mem.startsWith(u8, bytes, topic)) expected[subscriber] += 1;
            }
        }
        try testing.expectEqual(total, trie.total());
        for (usage, 0..) |one, subscriber| {
            try testing.expectEqual(one, trie.usage(@intCast(subscriber)));
        }
        const Tally = struct {
            fn take(counts: *[subscribers_max]usize, subscriber: u32) void {
                counts[subscriber] += 1;
            }
        };
        var actual: [subscribers_max]usize = @splat(0);
        trie.match(bytes, &actual, Tally.take);
        try testing.expectEqualSlices(usize, &expected, &actual);
        const any = std.mem.findNone(usize, &expected, &.{0}) != null;
        try testing.expectEqual(any, trie.matches_any(bytes));

        var seen: usize = 0;
        var before: ?[]const u8 = null;
        var cursor = trie.iterator();
        while (cursor.next()) |topic| : (seen += 1) {
            if (before) |last| try testing.expect(std.mem.lessThan(u8, last, topic));
            before = topic;
        }
        try testing.expectEqual(total.topics, seen);
    }
};

/// Compares what leaves with a peer with the model, and takes it from the model.
const Leaving = struct {
    model: *Model,
    subscriber: usize,
    wrong: usize = 0,

    fn take(leaving: *Leaving, bytes: []const u8, last: bool) void {
        const model = leaving.model;
        const index = for (model.topics[0..model.count], 0..) |topic, index| {
            if (std.mem.eql(u8, topic, bytes)) break index;
        } else {
            leaving.wrong += 1;
            return;
        };
        if (!model.has[index][leaving.subscriber]) leaving.wrong += 1;
        if (last != (model.audience(index) == 1)) leaving.wrong += 1;
        model.has[index][leaving.subscriber] = false;
    }
};

test "random subscriptions agree with a search through all, out of memory now and then" {
    const Action = enum { add, remove, remove_all };
    for (0..60) |seed| {
        errdefer std.debug.print("seed {d}\n", .{seed});
        var prng = Prng.init(seed);
        var failing = FailingAllocator.init(testing.allocator, .{});
        var trie = SubscriptionTrie.init(failing.allocator());
        defer trie.deinit();
        var bytes: [256]u8 = undefined;
        var model = Model.init(&prng, &bytes);
        // Phases of growth and of decline.
        for (0..8) |phase| for (0..60) |_| {
            const subscriber: u32 = @intCast(prng.below(Model.subscribers_max));
            const index: usize = @intCast(prng.below(model.count));
            const topic = model.topics[index];
            const has = &model.has[index][subscriber];
            const audience = model.audience(index);
            if (prng.chance(1, 4)) failing.fail_index = failing.alloc_index + prng.below(6);
            const grows = phase % 2 == 0;
            switch (prng.weighted(Action, if (grows)
                .{ .add = 20, .remove = 6, .remove_all = 1 }
            else
                .{ .add = 5, .remove = 30, .remove_all = 1 })) {
                .add => if (trie.add(topic, subscriber)) |added| {
                    try testing.expectEqual(@as(SubscriptionTrie.Added, if (has.*)
                        .duplicate
                    else if (audience > 0) .another else .first), added);
                    has.* = true;
                } else |_| try testing.expect(failing.has_induced_failure and !has.*),
                .remove => {
                    const removed = trie.remove(topic, subscriber);
                    try testing.expectEqual(@as(SubscriptionTrie.Removed, if (!has.*)
                        .absent
                    else if (audience > 1) .another else .last), removed);
                    has.* = false;
                },
                .remove_all => {
                    var leaving: Leaving = .{ .model = &model, .subscriber = subscriber };
                    trie.remove_all(subscriber, &leaving, Leaving.take);
                    try testing.expectEqual(0, leaving.wrong);
                },
            }
            failing.fail_index = std.math.maxInt(usize);
            const start: usize = @intCast(prng.below(bytes.len));
            try model.check(&trie, bytes[start..@min(start + 50, bytes.len)]);
        };
    }
}

test "random counted topics agree with a table of counts" {
    for (0..20) |seed| {
        errdefer std.debug.print("seed {d}\n", .{seed});
        var prng = Prng.init(seed);
        var trie = CountedTrie.init(testing.allocator);
        defer trie.deinit();
        var bytes: [256]u8 = undefined;
        const model = Model.init(&prng, &bytes);
        var counts: [Model.topics_max]usize = @splat(0);
        for (0..600) |_| {
            const index: usize = @intCast(prng.below(model.count));
            const topic = model.topics[index];
            const count = &counts[index];
            if (prng.boolean()) {
                try testing.expectEqual(count.* == 0, try trie.add(topic));
                count.* += 1;
            } else {
                try testing.expectEqual(@as(CountedTrie.Removed, switch (count.*) {
                    0 => .absent,
                    1 => .last,
                    else => .still_there,
                }), trie.remove(topic));
                count.* -|= 1;
            }
            trie.invariants();
            try testing.expectEqual(count.*, trie.references(topic));
            const start: usize = @intCast(prng.below(bytes.len));
            const message = bytes[start..];
            const expected = for (model.topics[0..model.count], counts[0..model.count]) |one, n| {
                if (n > 0 and std.mem.startsWith(u8, message, one)) break true;
            } else false;
            try testing.expectEqual(expected, trie.matches_any(message));
        }
    }
}
