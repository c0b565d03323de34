//! Topics, and a `Payload` for each: the radix tree under the tries of subscription_trie.zig.
//!
//!     node              end  text                   ● a topic ends here
//!     root ●              0                         ○ only branches: two children or more
//!      └─ n ○             1  "nova", borrowed
//!         ├─ ews. ●       5  "news."
//!         │       ├─ eu ● 7  "news.eu"
//!         │       └─ us ● 7  "news.us"
//!         └─ ova ●        4  "nova"
//!
//! Peers choose the topics, and nothing but `maxMessageSize` limits their length:
//!   - No function recurses, and an edge holds any number of bytes: a topic of 1 MiB adds one or
//!     two nodes, not a million.
//!   - A topic's bytes are stored once, whole, where it ends. A node on the way borrows them from
//!     any topic below it, and knows only where its part ends. So nothing has to be put together
//!     to hand a topic out, and removing never allocates, hence never fails.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;

const copy = @import("../stdx/copy.zig").copy;

const OutOfMemory = error{OutOfMemory};

pub const Usage = struct {
    topics: usize = 0,
    /// Their lengths together.
    bytes: usize = 0,
};

/// Stays where it is once something was added.
pub fn TopicTree(comptime Payload: type) type {
    return struct {
        const Self = @This();

        allocator: Allocator,
        root: Node = .{},
        usage: Usage = .{},

        pub const Topic = struct {
            /// Where it ends. Its bytes follow this struct.
            node: *Node,
            payload: Payload,

            pub fn text(topic: *const Topic) []const u8 {
                return topic.start()[0..topic.node.end];
            }

            fn start(topic: *const Topic) [*]const u8 {
                return @as([*]const u8, @ptrCast(topic)) + @sizeOf(Topic);
            }
        };

        const Children = ChildrenType(Node);

        const Node = struct {
            /// null: the root.
            parent: ?*Node = null,
            /// Of some topic at or below this node: its own if it has one. All topics below have
            /// the first `end` bytes in common, the edge to this node is what the parent has not.
            text: [*]const u8 = undefined,
            end: usize = 0,
            topic: ?*Topic = null,
            children: Children = .{},
            /// First byte of the edge, here so that siblings are found without the text.
            key: u8 = 0,

            /// The child whose edge `bytes` goes along, all of it.
            inline fn step(node: *const Node, bytes: []const u8) ?*Node {
                const at = node.end;
                if (at == bytes.len) return null;
                const child = node.children.find(bytes[at]) orelse return null;
                if (child.end > bytes.len) return null;
                return if (child.along(at + 1, bytes)) child else null;
            }

            /// Whether `bytes` go on like this node's edge; the first `known` are equal already. So
            /// a short edge may be compared with what is before it, as one word.
            inline fn along(node: *const Node, known: usize, bytes: []const u8) bool {
                const end = node.end;
                inline for (.{ u32, u64 }) |Word| {
                    const size = @sizeOf(Word);
                    if (end >= size and end - known <= size) {
                        const ours: Word = @bitCast(bytes[end - size ..][0..size].*);
                        return ours == @as(Word, @bitCast(node.text[end - size ..][0..size].*));
                    }
                }
                return std.mem.eql(u8, bytes[known..end], node.text[known..end]);
            }

            /// The next in the order of their topics: parents before children.
            fn following(node: *const Node) ?*const Node {
                if (node.children.first_from(0)) |child| return child;
                var at = node;
                while (at.parent) |parent| : (at = parent) {
                    if (parent.children.first_from(@as(usize, at.key) + 1)) |next| return next;
                }
                return null;
            }

            fn leftmost(node: *Node) *Node {
                var at = node;
                while (at.children.first_from(0)) |child| at = child;
                return at;
            }
        };

        pub fn init(allocator: Allocator) Self {
            return .{ .allocator = allocator };
        }

        /// The owner has taken down the payloads.
        pub fn deinit(self: *Self) void {
            var node = self.root.leftmost();
            while (true) {
                // Children before parents.
                const next = if (node.parent) |parent|
                    if (parent.children.first_from(@as(usize, node.key) + 1)) |sibling|
                        sibling.leftmost()
                    else
                        parent
                else
                    null;
                if (node.topic) |topic| self.topic_destroy(topic, node.end);
                node.children.deinit(self.allocator);
                if (node != &self.root) self.allocator.destroy(node);
                node = next orelse break;
            }
            self.* = undefined;
        }

        pub fn find(self: *const Self, bytes: []const u8) ?*Topic {
            var node = &self.root;
            while (node.step(bytes)) |child| node = child;
            return if (node.end == bytes.len) node.topic else null;
        }

        /// The topics that are prefixes of `bytes`, from the shortest to the longest.
        pub inline fn prefixes(self: *const Self, bytes: []const u8) Prefixes {
            return .{ .node = &self.root, .bytes = bytes };
        }

        pub const Prefixes = struct {
            node: ?*const Node,
            bytes: []const u8,

            pub inline fn next(it: *Prefixes) ?*const Topic {
                while (it.node) |node| {
                    it.node = node.step(it.bytes);
                    if (node.topic) |topic| return topic;
                }
                return null;
            }
        };

        pub fn iterator(self: *const Self) Iterator {
            return .{ .node = &self.root };
        }

        pub const Iterator = struct {
            node: ?*const Node,

            pub fn next(it: *Iterator) ?*Topic {
                while (it.node) |node| {
                    it.node = node.following();
                    if (node.topic) |topic| return topic;
                }
                return null;
            }
        };

        pub const Obtained = struct { topic: *Topic, is_new: bool };

        /// The topic, made if need be: then its payload is undefined.
        pub fn obtain(self: *Self, bytes: []const u8) OutOfMemory!Obtained {
            var near = &self.root;
            while (near.step(bytes)) |child| near = child;
            if (near.end == bytes.len) {
                if (near.topic) |topic| return .{ .topic = topic, .is_new = false };
            }
            const topic = try self.topic_create(bytes);
            errdefer self.topic_destroy(topic, bytes.len);
            const node = if (near.end == bytes.len)
                near
            else if (near.children.find(bytes[near.end])) |child|
                try self.fork(child, bytes)
            else
                try self.sprout(near, bytes);
            assert(node.end == bytes.len and node.topic == null);
            node.topic = topic;
            node.text = topic.start();
            topic.node = node;
            self.usage.topics += 1;
            self.usage.bytes += bytes.len;
            return .{ .topic = topic, .is_new = true };
        }

        pub fn erase(self: *Self, topic: *Topic) void {
            const node = topic.node;
            const gone = topic.text();
            assert(node.topic == topic);
            node.topic = null;
            self.usage.topics -= 1;
            self.usage.bytes -= gone.len;

            var at = node;
            if (node != &self.root and node.children.count == 0) {
                at = node.parent.?;
                at.children.remove(self.allocator, node.key);
                self.allocator.destroy(node);
            }
            if (at != &self.root and at.topic == null and at.children.count == 1) {
                at = self.collapse(at);
            }
            // From below, so that a child's text is good when its parent takes it over.
            while (at.parent) |parent| : (at = parent) {
                if (at.text == gone.ptr) at.text = at.children.first_from(0).?.text;
            }
            self.topic_destroy(topic, gone.len);
        }

        /// O(nodes times depth): for tests.
        pub fn invariants(self: *const Self) void {
            var nodes: usize = 0;
            var texts: usize = 0;
            var found: Usage = .{};
            assert(self.root.parent == null and self.root.end == 0);
            var cursor: ?*const Node = &self.root;
            while (cursor) |node| : (cursor = node.following()) {
                node.children.invariants();
                if (node.topic) |topic| {
                    assert(topic.node == node);
                    found.topics += 1;
                    found.bytes += node.end;
                    assert(node == &self.root or node.text == topic.start());
                    // A text belongs to a topic below, or it would outlive its memory.
                    var at = node;
                    while (at.parent) |parent| : (at = parent) {
                        if (at.text == topic.start()) texts += 1;
                    }
                }
                const parent = node.parent orelse continue;
                nodes += 1;
                assert(node.topic != null or node.children.count >= 2);
                assert(node.end > parent.end);
                assert(node.key == node.text[parent.end]);
                assert(parent.children.find(node.key) == node);
                if (parent == &self.root) continue;
                assert(std.mem.eql(u8, parent.text[0..parent.end], node.text[0..parent.end]));
            }
            assert(nodes == texts);
            assert(std.meta.eql(found, self.usage));
        }

        /// A leaf of `parent`, which has no child for this byte.
        fn sprout(self: *Self, parent: *Node, bytes: []const u8) OutOfMemory!*Node {
            assert(parent.end < bytes.len);
            const leaf = try self.allocator.create(Node);
            errdefer self.allocator.destroy(leaf);
            try parent.children.reserve(self.allocator);
            leaf.* = .{ .parent = parent, .end = bytes.len, .key = bytes[parent.end] };
            parent.children.insert(leaf);
            return leaf;
        }

        /// Cuts the edge to `child` where `bytes` leaves it, which it does. Returns the node where
        /// `bytes` end: that of the cut, or a leaf of it.
        fn fork(self: *Self, child: *Node, bytes: []const u8) OutOfMemory!*Node {
            const parent = child.parent.?;
            const from = parent.end;
            const length = @min(child.end, bytes.len) - from;
            const ours = bytes[from..][0..length];
            const theirs = child.text[from..][0..length];
            const cut = from + (std.mem.findDiff(u8, ours, theirs) orelse length);
            assert(cut > from and cut < child.end);

            const middle = try self.allocator.create(Node);
            errdefer self.allocator.destroy(middle);
            middle.* = .{ .parent = parent, .text = child.text, .end = cut, .key = child.key };
            try middle.children.reserve(self.allocator);
            errdefer middle.children.deinit(self.allocator);
            // With room for two at once, so that this cannot fail half way.
            assert(middle.children.capacity >= 2);
            const end = if (cut < bytes.len) try self.sprout(middle, bytes) else middle;

            parent.children.replace(middle);
            child.parent = middle;
            child.key = child.text[cut];
            middle.children.insert(child);
            return end;
        }

        /// A node that neither ends a topic nor branches gives its place to its only child.
        /// Returns the parent.
        fn collapse(self: *Self, node: *Node) *Node {
            const parent = node.parent.?;
            const child = node.children.first_from(0).?;
            assert(node.topic == null and node.children.count == 1);
            child.parent = parent;
            child.key = node.key;
            parent.children.replace(child);
            node.children.deinit(self.allocator);
            self.allocator.destroy(node);
            return parent;
        }

        fn topic_create(self: *Self, bytes: []const u8) OutOfMemory!*Topic {
            const size = @sizeOf(Topic) + bytes.len;
            const memory = try self.allocator.alignedAlloc(u8, .of(Topic), size);
            copy(memory[@sizeOf(Topic)..], bytes);
            return @ptrCast(memory.ptr);
        }

        fn topic_destroy(self: *Self, topic: *Topic, length: usize) void {
            const memory: [*]align(@alignOf(Topic)) u8 = @ptrCast(topic);
            self.allocator.free(memory[0 .. @sizeOf(Topic) + length]);
        }
    };
}

/// The children of a node by the first byte of their edges, sorted.
///
///     up to 16   | 16 keys | nodes |      all keys are compared at once
///     up to 32   | 32 keys | nodes |
///     above      | 256 nodes or null |    the key is the index
fn ChildrenType(comptime Node: type) type {
    return struct {
        const Children = @This();

        block: [*]align(block_align.toByteUnits()) u8 = undefined,
        count: u16 = 0,
        capacity: u16 = 0,

        const block_align: std.mem.Alignment = .@"16";
        const capacity_first = 2;
        const capacity_listed = 32;
        const capacity_table = 256;

        fn deinit(children: *Children, allocator: Allocator) void {
            if (children.capacity > 0) allocator.free(children.block[0..children.size()]);
            children.* = .{};
        }

        inline fn find(children: *const Children, key: u8) ?*Node {
            if (children.count == 0) return null;
            // What most programs have, at half the price.
            if (children.count == 1 and children.capacity < capacity_table) {
                return if (children.block[0] == key) children.slots()[0] else null;
            }
            if (children.capacity < capacity_listed) return children.find_listed(16, key);
            if (children.capacity == capacity_listed) return children.find_listed(32, key);
            return children.slots()[key];
        }

        inline fn find_listed(children: *const Children, comptime width: u8, key: u8) ?*Node {
            const all: @Vector(width, u8) = children.block[0..width].*;
            const equal = all == @as(@Vector(width, u8), @splat(key));
            const bits: u64 = @as(std.meta.Int(.unsigned, width), @bitCast(equal));
            // What is behind the last key is anything.
            const live = bits & ((@as(u64, 1) << @intCast(children.count)) - 1);
            return if (live == 0) null else children.slots()[@ctz(live)];
        }

        /// The first child with this key or a greater one.
        fn first_from(children: *const Children, key: usize) ?*Node {
            if (children.capacity == capacity_table) {
                for (children.slots()[key..capacity_table]) |slot| if (slot) |node| return node;
                return null;
            }
            const index = children.rank(key);
            return if (index < children.count) children.slots()[index] else null;
        }

        /// Makes room for one more.
        fn reserve(children: *Children, allocator: Allocator) OutOfMemory!void {
            if (children.count < children.capacity) return;
            try children.resize(allocator, switch (children.capacity) {
                0 => capacity_first,
                capacity_listed => capacity_table,
                else => children.capacity * 2,
            });
        }

        /// There is room, and no child with this key.
        fn insert(children: *Children, node: *Node) void {
            assert(children.count < children.capacity);
            assert(children.find(node.key) == null);
            const nodes = children.slots();
            if (children.capacity == capacity_table) {
                nodes[node.key] = node;
            } else {
                const index = children.rank(node.key);
                const tail = children.count - index;
                @memmove(children.block[index + 1 ..][0..tail], children.block[index..][0..tail]);
                @memmove(nodes[index + 1 ..][0..tail], nodes[index..][0..tail]);
                children.block[index] = node.key;
                nodes[index] = node;
            }
            children.count += 1;
        }

        /// The child with the key of `node` becomes `node`.
        fn replace(children: *Children, node: *Node) void {
            assert(children.find(node.key) != null);
            children.slots()[children.index_of(node.key)] = node;
        }

        fn remove(children: *Children, allocator: Allocator, key: u8) void {
            assert(children.find(key) != null);
            const nodes = children.slots();
            const index = children.index_of(key);
            children.count -= 1;
            if (children.capacity == capacity_table) {
                nodes[index] = null;
            } else {
                const tail = children.count - index;
                @memmove(children.block[index..][0..tail], children.block[index + 1 ..][0..tail]);
                @memmove(nodes[index..][0..tail], nodes[index + 1 ..][0..tail]);
            }
            if (children.count == 0) return children.deinit(allocator);
            const smaller = switch (children.capacity) {
                capacity_table => capacity_listed,
                else => children.capacity / 2,
            };
            if (smaller < capacity_first or children.count > smaller / 2) return;
            // Without memory for a smaller one the large one stays.
            children.resize(allocator, smaller) catch return;
        }

        fn resize(children: *Children, allocator: Allocator, capacity: u16) OutOfMemory!void {
            assert(capacity >= children.count);
            var next: Children = .{ .capacity = capacity };
            next.block = (try allocator.alignedAlloc(u8, block_align, next.size())).ptr;
            if (capacity == capacity_table) @memset(next.slots()[0..capacity_table], null);
            var cursor = children.first_from(0);
            while (cursor) |node| : (cursor = children.first_from(@as(usize, node.key) + 1)) {
                next.insert(node);
            }
            assert(next.count == children.count);
            children.deinit(allocator);
            children.* = next;
        }

        fn keys_size(children: *const Children) usize {
            return if (children.capacity == capacity_table) 0 else @max(16, children.capacity);
        }

        fn size(children: *const Children) usize {
            return children.keys_size() + @as(usize, children.capacity) * @sizeOf(*Node);
        }

        inline fn slots(children: *const Children) [*]?*Node {
            return @ptrCast(@alignCast(children.block + children.keys_size()));
        }

        /// Keys below this one, where they are listed.
        fn rank(children: *const Children, key: usize) usize {
            assert(children.capacity < capacity_table);
            for (0..children.count) |index| {
                if (children.block[index] >= key) return index;
            }
            return children.count;
        }

        fn index_of(children: *const Children, key: u8) usize {
            return if (children.capacity == capacity_table) key else children.rank(key);
        }

        fn invariants(children: *const Children) void {
            assert(children.count <= children.capacity);
            assert((children.count == 0) == (children.capacity == 0));
            var count: usize = 0;
            var cursor = children.first_from(0);
            while (cursor) |node| : (cursor = children.first_from(@as(usize, node.key) + 1)) {
                assert(children.find(node.key) == node);
                assert(children.slots()[children.index_of(node.key)].? == node);
                count += 1;
            }
            assert(count == children.count);
        }
    };
}

const testing = std.testing;
const FailingAllocator = std.testing.FailingAllocator;
const Prng = @import("../stdx/prng.zig").Prng;
const TestTree = TopicTree(usize);

fn test_add(tree: *TestTree, bytes: []const u8, payload: usize) !void {
    const obtained = try tree.obtain(bytes);
    try testing.expect(obtained.is_new);
    obtained.topic.payload = payload;
}

fn expect_prefixes(tree: *const TestTree, bytes: []const u8, expected: []const usize) !void {
    var prefixes = tree.prefixes(bytes);
    for (expected) |payload| try testing.expectEqual(payload, prefixes.next().?.payload);
    try testing.expectEqual(null, prefixes.next());
}

fn live_bytes(counting: *const FailingAllocator) usize {
    return counting.allocated_bytes - counting.freed_bytes;
}

test "a topic of 1 MiB costs 1 MiB, not a node per byte, and is compared to its end" {
    var counting = FailingAllocator.init(testing.allocator, .{});
    var tree = TestTree.init(counting.allocator());
    defer tree.deinit();
    const size = 1 << 20;
    const topic = try testing.allocator.alloc(u8, size);
    defer testing.allocator.free(topic);
    var prng = Prng.init(1);
    prng.fill(topic);
    try test_add(&tree, topic, 1);
    try testing.expectEqual(3, counting.allocations);
    try testing.expect(live_bytes(&counting) < size + 256);
    try expect_prefixes(&tree, topic, &.{1});
    try expect_prefixes(&tree, topic[0 .. size - 1], &.{});

    topic[size - 1] ^= 1;
    try expect_prefixes(&tree, topic, &.{});
    try test_add(&tree, topic, 2);
    try test_add(&tree, topic[0 .. size / 2], 3);
    tree.invariants();
    try expect_prefixes(&tree, topic, &.{ 3, 2 });
    topic[size - 1] ^= 1;
    try expect_prefixes(&tree, topic, &.{ 3, 1 });
    // The edge to the fork borrowed its bytes from the topic that goes.
    tree.erase(tree.find(topic).?);
    tree.invariants();
    topic[size - 1] ^= 1;
    try expect_prefixes(&tree, topic, &.{ 3, 2 });
}

test "topics nested thousands deep are matched, listed and freed without a deep stack" {
    var tree = TestTree.init(testing.allocator);
    defer tree.deinit();
    const depth = 3000;
    const bytes: [depth]u8 = @splat('a');
    var lengths: [depth]usize = undefined;
    for (&lengths, 0..) |*length, index| {
        length.* = index;
        try test_add(&tree, bytes[0..index], index);
    }
    try expect_prefixes(&tree, &bytes, &lengths);
    var cursor = tree.iterator();
    for (lengths) |length| try testing.expectEqual(length, cursor.next().?.text().len);
    try testing.expectEqual(null, cursor.next());
    for (0..depth / 2) |half| tree.erase(tree.find(bytes[0 .. half * 2]).?);
    tree.invariants();
    try expect_prefixes(&tree, bytes[0..5], &.{ 1, 3, 5 });
}

test "every number of branches works, growing and shrinking: no topic is lost, none stays" {
    var counting = FailingAllocator.init(testing.allocator, .{});
    var tree = TestTree.init(counting.allocator());
    defer tree.deinit();
    var prng = Prng.init(2);
    var order: [256]u8 = undefined;
    for (&order, 0..) |*key, index| key.* = @intCast(index);
    prng.shuffle(u8, &order);
    for (order, 1..) |key, count| {
        try test_add(&tree, &.{ 'x', key, 'y' }, key);
        tree.invariants();
        for (order, 0..) |other, index| {
            const expected: []const usize = if (index < count) &.{other} else &.{};
            try expect_prefixes(&tree, &.{ 'x', other, 'y', 'z' }, expected);
        }
    }
    var cursor = tree.iterator();
    for (0..256) |key| try testing.expectEqual(key, cursor.next().?.payload);
    prng.shuffle(u8, &order);
    for (order, 0..) |key, gone| {
        // What is left of a node with 256 branches is small again.
        if (gone == 254) try testing.expect(live_bytes(&counting) < 512);
        tree.erase(tree.find(&.{ 'x', key, 'y' }).?);
        tree.invariants();
        for (order, 0..) |other, index| {
            const there = tree.find(&.{ 'x', other, 'y' }) != null;
            try testing.expectEqual(index > gone, there);
        }
    }
    try testing.expectEqual(0, live_bytes(&counting));
}
