//! What subscriptions cost: `zig build bench`. Prints figures, fails nothing.

const std = @import("std");
const Prng = @import("../stdx/prng.zig").Prng;
const SubscriptionTrie = @import("subscription_trie.zig").SubscriptionTrie;
const now_ns = @import("../stdx/time.zig").now_ns;

const rounds = 5;
const lookups = 1_000_000;
const topic_bytes = 20;
const Topic = [topic_bytes]u8;
const allocator = std.heap.c_allocator;

fn count(sum: *u64, subscriber: u32) void {
    sum.* += subscriber;
}

/// Median of several rounds over `messages`, per match.
fn measure(trie: *const SubscriptionTrie, name: []const u8, messages: []const Topic) void {
    var results: [rounds]u64 = undefined;
    var sum: u64 = 0;
    for (&results) |*result| {
        const start = now_ns();
        var index: usize = 0;
        for (0..lookups) |_| {
            trie.match(&messages[index], &sum, count);
            index += 1;
            if (index == messages.len) index = 0;
        }
        result.* = now_ns() - start;
        std.mem.doNotOptimizeAway(sum);
    }
    std.mem.sort(u64, &results, {}, std.sort.asc(u64));
    const ns = @as(f64, @floatFromInt(results[rounds / 2])) / lookups;
    std.debug.print("{s:<58} {d:>8.2} ns\n", .{ name, ns });
}

fn report(name: []const u8, elapsed_ns: u64, operations: usize) void {
    const ns = @as(f64, @floatFromInt(elapsed_ns)) / @as(f64, @floatFromInt(operations));
    std.debug.print("{s:<58} {d:>8.2} ns\n", .{ name, ns });
}

/// One subscriber, one topic: what nearly every program has.
fn single() !void {
    const hit = [1]Topic{"topic and a message.".*};
    const miss = [1]Topic{"other and a message.".*};
    const near = [1]Topic{"topi_ and a message.".*};
    {
        var trie = SubscriptionTrie.init(allocator);
        defer trie.deinit();
        measure(&trie, "match, no topic", &hit);
        _ = try trie.add("", 1);
        measure(&trie, "match, one subscriber of \"\"", &hit);
    }
    var trie = SubscriptionTrie.init(allocator);
    defer trie.deinit();
    _ = try trie.add("topic", 1);
    measure(&trie, "match, one topic of 5 B: hit", &hit);
    measure(&trie, "match, one topic of 5 B: other first byte", &miss);
    measure(&trie, "match, one topic of 5 B: other last byte", &near);
    for (2..1001) |subscriber| _ = try trie.add("topic", @intCast(subscriber));
    measure(&trie, "match, 1,000 subscribers of one topic", &hit);
}

fn many_topics(prng: *Prng) !void {
    const topics = try allocator.alloc(Topic, 10_000);
    defer allocator.free(topics);
    var trie = SubscriptionTrie.init(allocator);
    defer trie.deinit();
    for (topics) |*topic| prng.fill(topic);
    const start = now_ns();
    for (topics) |*topic| _ = try trie.add(topic, 1);
    report("add, 10,000 topics of 20 random bytes", now_ns() - start, topics.len);
    prng.shuffle(Topic, topics);
    measure(&trie, "match among them: hit", topics);
    for (topics) |*topic| topic[topic_bytes - 1] ^= 1;
    measure(&trie, "match among them: other last byte", topics);
    for (topics) |*topic| prng.fill(topic);
    measure(&trie, "match among them: random bytes", topics);
}

fn ignore(sum: *u64, topic: []const u8, last: bool) void {
    sum.* += topic.len + @intFromBool(last);
}

/// 1,000 peers with 100 topics each, out of `pool` different ones.
fn many_subscribers(prng: *Prng, name: []const u8, pool: usize) !void {
    const subscribers = 1000;
    const topics_each = 100;
    const topics = try allocator.alloc(Topic, pool);
    defer allocator.free(topics);
    for (topics) |*topic| prng.fill(topic);
    var trie = SubscriptionTrie.init(allocator);
    defer trie.deinit();
    std.debug.print("1,000 subscribers with 100 topics each, {s}\n", .{name});

    var start = now_ns();
    for (0..subscribers) |subscriber| for (0..topics_each) |index| {
        // Steps through the pool, so that a subscriber has each topic once.
        const topic = &topics[(subscriber * topics_each + index * 7919) % pool];
        _ = try trie.add(topic, @intCast(subscriber));
    };
    report("  add", now_ns() - start, subscribers * topics_each);
    const messages = try allocator.dupe(Topic, topics);
    defer allocator.free(messages);
    prng.shuffle(Topic, messages);
    measure(&trie, "  match, one message", messages[0..@min(pool, 10_000)]);
    start = now_ns();
    for (0..subscribers) |subscriber| for (0..topics_each) |index| {
        if (index % 2 == 0) continue;
        const topic = &topics[(subscriber * topics_each + index * 7919) % pool];
        std.mem.doNotOptimizeAway(trie.remove(topic, @intCast(subscriber)));
    };
    report("  remove, every second topic", now_ns() - start, subscribers * topics_each / 2);

    var order: [subscribers]u32 = undefined;
    for (&order, 0..) |*subscriber, index| subscriber.* = @intCast(index);
    prng.shuffle(u32, &order);
    var left: usize = 0;
    for (order) |subscriber| left += trie.usage(subscriber).topics;
    var sum: u64 = 0;
    start = now_ns();
    for (order) |subscriber| trie.remove_all(subscriber, &sum, ignore);
    report("  remove_all, per topic", now_ns() - start, left);
    std.mem.doNotOptimizeAway(sum);
}

pub fn main() !void {
    var prng = Prng.init(1);
    try single();
    try many_topics(&prng);
    try many_subscribers(&prng, "all different", 100_000);
    try many_subscribers(&prng, "of 1,000", 1000);
}
