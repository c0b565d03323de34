//! What a real libzmq has said, in every two pieces: nothing may depend on where the kernel cuts.

const std = @import("std");
const testing = std.testing;

const naive = @import("naive.zig");
const replays = @import("replay.zig");
const sockets = @import("../socket/socket.zig");
const transcripts = @import("transcripts.zig");
const Transcript = transcripts.Transcript;

fn case_of(it: *const Transcript) replays.Case {
    return .{
        .ours = @enumFromInt(@intFromEnum(it.listener)),
        .bound = it.connected,
        .bytes = it.bytes,
    };
}

/// Inside a long run of the same byte one place is like the next one.
fn worth(bytes: []const u8, place: usize) bool {
    if (place < 16 or place + 16 > bytes.len) return true;
    const around = bytes[place - 16 .. place + 16];
    return !std.mem.allEqual(u8, around, around[0]) or place % 101 == 0;
}

const Split = struct {
    stage: replays.Stage,
    whole: replays.Outcome,

    fn expect_same(
        split: *Split,
        case: *const replays.Case,
        cuts: replays.Cuts,
        reader: replays.Reader,
    ) !void {
        var outcome = try replays.run(&split.stage, case, cuts, reader);
        defer outcome.deinit();
        try split.whole.expect_equal(&outcome);
    }
};

test "libzmq's bytes come in every two pieces: a message would be lost by where the kernel cuts" {
    var all: transcripts.Transcripts = .{};
    try all.load();
    defer all.deinit();
    try testing.expectEqual(48, all.count);
    var split: Split = undefined;
    try split.stage.init();
    defer split.stage.deinit();
    var messages: usize = 0;
    var topics: usize = 0;
    for (all.all()) |*it| {
        errdefer std.debug.print("{t} to {t}, connected: {}\n", .{
            it.speaker, it.listener, it.connected,
        });
        const case = case_of(it);
        split.whole = try replays.run(&split.stage, &case, .none, .takes_at_the_end);
        const whole = &split.whole;
        defer whole.deinit();
        // It was an honest peer until it left.
        try testing.expect(!whole.ended);
        try testing.expectEqual(.peer_closed, whole.reason());
        messages += whole.messages_count;
        topics += whole.topics;
        for (1..it.bytes.len) |place| {
            if (!worth(it.bytes, place)) continue;
            errdefer std.debug.print("cut at {d}\n", .{place});
            const between = place % 4 == 0;
            const reader: replays.Reader = if (between) .takes_between else .takes_at_the_end;
            try split.expect_same(&case, .{ .at = place }, reader);
        }
        try split.expect_same(&case, .every_byte, .takes_at_the_end);
        try split.expect_same(&case, .every_byte, .takes_between);
    }
    // They did say something.
    try testing.expect(messages > 150);
    try testing.expect(topics > 0);
}

test "what libzmq says is what a plain reading of the RFC finds in it: parts would be mixed up" {
    var all: transcripts.Transcripts = .{};
    try all.load();
    defer all.deinit();
    var stage: replays.Stage = undefined;
    try stage.init();
    defer stage.deinit();
    var compared: usize = 0;
    for (all.all()) |*it| {
        switch (it.listener) {
            // The others take something away or put something in front.
            .pull, .pair, .dealer, .sub, .xsub => {},
            else => continue,
        }
        const ready = it.bytes[65];
        var traffic = try naive.read(it.bytes[66 + @as(usize, ready) ..], .{});
        defer traffic.deinit();
        const case = case_of(it);
        var outcome = try replays.run(&stage, &case, .none, .takes_at_the_end);
        defer outcome.deinit();
        try testing.expectEqualSlices(u8, traffic.messages.items, outcome.messages.items);
        try testing.expect(!traffic.broken);
        try testing.expect(traffic.pings > 0);
        compared += traffic.count;
    }
    try testing.expect(compared > 60);
}
