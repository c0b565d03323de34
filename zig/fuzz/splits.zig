//! Transcripts of libzmq as they are, in any pieces.

const std = @import("std");
const testing = std.testing;

const bytes_module = @import("bytes.zig");
const Prng = @import("../stdx/prng.zig").Prng;
const replays = @import("../sim/replay.zig");
const transcripts = @import("../sim/transcripts.zig");

pub fn run(prng: *Prng) !void {
    var all: transcripts.Transcripts = .{};
    try all.load();
    defer all.deinit();
    const it = prng.pick(transcripts.Transcript, all.all());
    const case: replays.Case = .{
        .ours = @enumFromInt(@intFromEnum(it.listener)),
        .bound = it.connected,
        .bytes = it.bytes,
    };
    var stage: replays.Stage = undefined;
    try stage.init();
    defer stage.deinit();
    var whole = try replays.run(&stage, &case, .none, .takes_at_the_end);
    defer whole.deinit();
    try testing.expect(!whole.ended);
    for ([_]replays.Reader{ .takes_at_the_end, .takes_between }) |reader| {
        var buffer: [200]usize = undefined;
        const cuts = bytes_module.cuts(prng, it.bytes.len, &buffer);
        var cut = try replays.run(&stage, &case, .{ .places = cuts }, reader);
        defer cut.deinit();
        try whole.expect_equal(&cut);
    }
}
