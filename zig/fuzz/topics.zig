//! The subscription tries against lists of what each peer has.

const std = @import("std");
const testing = std.testing;

const allocator = @import("../sim/memory.zig").allocator;
const bytes_module = @import("bytes.zig");
const Prng = @import("../stdx/prng.zig").Prng;
const tries = @import("../socket/subscription_trie.zig");

const subscribers = 5;
const topics_max = 300;

/// Few letters and long common beginnings: that is where tries go wrong.
const Model = struct {
    topics: [topics_max]struct { bytes: []u8, wanted: [subscribers]bool, references: usize } =
        undefined,
    count: usize = 0,

    fn deinit(model: *Model) void {
        for (model.topics[0..model.count]) |topic| allocator.free(topic.bytes);
    }

    fn index_of(model: *Model, bytes: []const u8) !usize {
        for (model.topics[0..model.count], 0..) |topic, index| {
            if (std.mem.eql(u8, topic.bytes, bytes)) return index;
        }
        model.topics[model.count] = .{
            .bytes = try allocator.dupe(u8, bytes),
            .wanted = @splat(false),
            .references = 0,
        };
        model.count += 1;
        return model.count - 1;
    }

    fn wanted_by_any(model: *const Model, index: usize) bool {
        return std.mem.indexOfScalar(bool, &model.topics[index].wanted, true) != null;
    }
};

const Hits = struct {
    counts: [subscribers]u32 = @splat(0),

    fn add(hits: *Hits, subscriber: u32) void {
        hits.counts[subscriber] += 1;
    }
};

const Gone = struct {
    model: *Model,
    subscriber: u32,
    wrong: bool = false,

    fn take(gone: *Gone, bytes: []const u8, last: bool) void {
        const index = gone.model.index_of(bytes) catch unreachable; // It is there.
        const topic = &gone.model.topics[index];
        if (!topic.wanted[gone.subscriber]) gone.wrong = true;
        topic.wanted[gone.subscriber] = false;
        if (last == gone.model.wanted_by_any(index)) gone.wrong = true;
    }
};

pub fn run(prng: *Prng) !void {
    var trie: tries.SubscriptionTrie = .init(allocator);
    defer trie.deinit();
    var counted: tries.CountedTrie = .init(allocator);
    defer counted.deinit();
    var model: Model = .{};
    defer model.deinit();
    const steps = 1 + bytes_module.size(prng, topics_max - 1);
    for (0..steps) |_| {
        var buffer: [64]u8 = undefined;
        const topic = draw(prng, &model, &buffer);
        const index = try model.index_of(topic);
        const subscriber: u32 = @intCast(prng.below(subscribers));
        switch (prng.below(12)) {
            0...5 => try add(&trie, &counted, &model, index, subscriber),
            6...8 => try remove(&trie, &counted, &model, index, subscriber),
            9 => {
                var gone: Gone = .{ .model = &model, .subscriber = subscriber };
                if (prng.chance(1, 4)) trie.remove_all(subscriber, &gone, Gone.take);
                try testing.expect(!gone.wrong);
            },
            else => try matches(&trie, &counted, &model, topic),
        }
    }
    trie.invariants();
    counted.invariants();
    var expected: usize = 0;
    for (0..model.count) |index| expected += @intFromBool(model.wanted_by_any(index));
    try testing.expectEqual(expected, trie.total().topics);
    var previous: ?[]const u8 = null;
    var it = trie.iterator();
    while (it.next()) |topic| {
        if (previous) |before| try testing.expect(std.mem.lessThan(u8, before, topic));
        previous = topic;
        expected -= 1;
    }
    try testing.expectEqual(0, expected);
}

fn draw(prng: *Prng, model: *const Model, buffer: *[64]u8) []const u8 {
    var len: usize = 0;
    if (model.count > 0 and prng.chance(3, 4)) {
        const base = model.topics[@intCast(prng.below(model.count))].bytes;
        len = @min(base.len, @as(usize, @intCast(prng.below(base.len + 1))) + 4, base.len);
        @memcpy(buffer[0..len], base[0..len]);
    }
    const more = @min(bytes_module.size(prng, 6), buffer.len - len);
    for (buffer[len..][0..more]) |*byte| byte.* = prng.pick(u8, "aab\x00\xff");
    return buffer[0 .. len + more];
}

fn add(
    trie: *tries.SubscriptionTrie,
    counted: *tries.CountedTrie,
    model: *Model,
    index: usize,
    subscriber: u32,
) !void {
    const topic = &model.topics[index];
    const had = topic.wanted[subscriber];
    const others = model.wanted_by_any(index);
    const added = try trie.add(topic.bytes, subscriber);
    const expected: @TypeOf(added) = if (had) .duplicate else if (others) .another else .first;
    try testing.expectEqual(expected, added);
    topic.wanted[subscriber] = true;
    try testing.expectEqual(topic.references == 0, try counted.add(topic.bytes));
    topic.references += 1;
}

fn remove(
    trie: *tries.SubscriptionTrie,
    counted: *tries.CountedTrie,
    model: *Model,
    index: usize,
    subscriber: u32,
) !void {
    const topic = &model.topics[index];
    const had = topic.wanted[subscriber];
    topic.wanted[subscriber] = false;
    const removed = trie.remove(topic.bytes, subscriber);
    const others = model.wanted_by_any(index);
    const expected: @TypeOf(removed) = if (!had) .absent else if (others) .another else .last;
    try testing.expectEqual(expected, removed);
    const left = counted.remove(topic.bytes);
    switch (topic.references) {
        0 => try testing.expectEqual(.absent, left),
        1 => try testing.expectEqual(.last, left),
        else => try testing.expectEqual(.still_there, left),
    }
    topic.references -|= 1;
}

fn matches(
    trie: *const tries.SubscriptionTrie,
    counted: *const tries.CountedTrie,
    model: *Model,
    bytes: []const u8,
) !void {
    var expected: Hits = .{};
    var any = false;
    var any_counted = false;
    for (model.topics[0..model.count], 0..) |topic, index| {
        if (!std.mem.startsWith(u8, bytes, topic.bytes)) continue;
        for (topic.wanted, &expected.counts) |wanted, *count| count.* += @intFromBool(wanted);
        any = any or model.wanted_by_any(index);
        any_counted = any_counted or topic.references > 0;
    }
    var hits: Hits = .{};
    trie.match(bytes, &hits, Hits.add);
    try testing.expectEqual(expected, hits);
    try testing.expectEqual(any, trie.matches_any(bytes));
    const index = try model.index_of(bytes);
    try testing.expectEqual(model.wanted_by_any(index), trie.has(bytes));
    try testing.expectEqual(model.topics[index].references, counted.references(bytes));
}
