//! A whole socket, of every type, that is told transcripts of libzmq with changes, or traffic made
//! up for it: however the bytes are cut, the same comes of it; it is what a plain reading finds;
//! the connection goes on or ends with a reason; and nothing is left behind.

const std = @import("std");
const testing = std.testing;

const allocator = @import("../sim/memory.zig").allocator;
const bytes_module = @import("bytes.zig");
const handshakes = @import("../zmtp/handshake.zig");
const greetings = @import("../zmtp/greeting.zig");
const naive = @import("../sim/naive.zig");
const null_mechanism = @import("../zmtp/null.zig");
const Prng = @import("../stdx/prng.zig").Prng;
const replays = @import("../sim/replay.zig");
const sockets = @import("../socket/socket.zig");
const compatible = @import("../zmtp/socket_type.zig").compatible;
const SocketType = handshakes.SocketType;
const transcripts = @import("../sim/transcripts.zig");

pub fn run(prng: *Prng) !void {
    var bytes: bytes_module.Bytes = .empty;
    defer bytes.deinit(allocator);
    var case: replays.Case = .{ .ours = undefined, .bytes = "" };
    // Where the handshake ends, if it was left alone.
    const traffic_at = try speak(prng, &bytes, &case);
    case.bytes = bytes.items;
    if (prng.chance(1, 50)) case.ours = .stream;
    case.options.message_bytes_max = @intCast(prng.range(10, 200_000));
    if (prng.chance(1, 4)) case.options.whole_message_bytes_max = @intCast(prng.below(200_000));
    // Who asks or answers finds its peer gone or not, by how much of it was read before; what a
    // peer said to a publisher may be read after the cancels that its end brought.
    const paced = switch (case.ours) {
        .req, .rep, .@"pub", .xpub => false,
        else => true,
    };
    if (paced and prng.chance(1, 4)) {
        case.options.receive_high_water_mark = @intCast(prng.range(1, 4));
    }
    case.options.publisher_verbosity = @intCast(prng.below(3));
    case.options.router_notify = @intCast(prng.below(4));
    case.options.only_first_subscribe = @intCast(prng.below(2));
    case.options.request_correlate = @intCast(prng.below(8) / 7);
    // A peer that wants too much and breaks the protocol in one turn ends for either reason.
    const wants_too_much = prng.chance(1, 8);
    if (wants_too_much) case.options.subscriptions_max = @intCast(prng.range(0, 20));

    errdefer std.debug.print("{t}, bound: {}, handshake honest: {}, notify {d}, mark {d}\n{x}\n", .{
        case.ours,                            case.bound,
        traffic_at != null,                   case.options.router_notify,
        case.options.receive_high_water_mark, case.bytes,
    });

    var stage: replays.Stage = undefined;
    try stage.init();
    defer stage.deinit();
    var whole = try replays.run(&stage, &case, .none, .takes_at_the_end);
    defer whole.deinit();
    try check(&case, &whole);
    if (traffic_at) |at| try compare(&case, &whole, case.bytes[@min(at, case.bytes.len)..]);
    // Raw bytes are handed out as they come.
    if (case.ours == .stream or wants_too_much) return;
    var buffer: [8]usize = undefined;
    const cuts = bytes_module.cuts(prng, case.bytes.len, &buffer);
    try expect_same(&stage, &case, .{ .places = cuts }, &whole);
    if (case.bytes.len < 3000) try expect_same(&stage, &case, .every_byte, &whole);
}

/// What the peer says; where its traffic begins, if its handshake is an honest one.
fn speak(prng: *Prng, bytes: *bytes_module.Bytes, case: *replays.Case) !?usize {
    var kept: usize = 0;
    if (prng.boolean()) {
        kept = try speak_like_libzmq(prng, bytes, case);
    } else kept = try make_up(prng, bytes, case);
    if (prng.chance(1, 4)) {
        try bytes_module.mutate(prng, bytes, 0);
        return null;
    }
    if (prng.chance(2, 3) and bytes.items.len > kept) try bytes_module.mutate(prng, bytes, kept);
    return kept;
}

fn speak_like_libzmq(prng: *Prng, bytes: *bytes_module.Bytes, case: *replays.Case) !usize {
    var all: transcripts.Transcripts = .{};
    try all.load();
    defer all.deinit();
    const it = prng.pick(transcripts.Transcript, all.all());
    try bytes.appendSlice(allocator, it.bytes);
    case.ours = @enumFromInt(@intFromEnum(it.listener));
    case.bound = it.connected;
    // The rest of another conversation, sometimes.
    if (prng.chance(1, 8)) {
        const other = prng.pick(transcripts.Transcript, all.all()).bytes;
        try bytes.appendSlice(allocator, other[@intCast(prng.below(other.len))..]);
    }
    return greetings.size + 2 + @as(usize, it.bytes[greetings.size + 1]);
}

fn make_up(prng: *Prng, bytes: *bytes_module.Bytes, case: *replays.Case) !usize {
    const ours, const theirs = draw: while (true) {
        const a = prng.enum_uniform(SocketType);
        const b = prng.enum_uniform(SocketType);
        if (compatible(a, b)) break :draw .{ a, b };
    };
    case.ours = @enumFromInt(@intFromEnum(ours));
    case.bound = prng.boolean();
    var greeting = greetings.encode(.null);
    // A minor version without subscriptions as commands.
    if (prng.chance(1, 4)) greeting[11] = 0;
    try bytes.appendSlice(allocator, &greeting);
    var buffer: [null_mechanism.ready_frame_size_max]u8 = undefined;
    const id: []const u8 = if (prng.boolean()) "peer" else "";
    try bytes.appendSlice(allocator, try null_mechanism.encode_ready(&buffer, theirs, id, ""));
    const kept = bytes.items.len;
    try bytes_module.append_traffic(prng, bytes, bytes_module.size(prng, 30));
    return kept;
}

fn expect_same(
    stage: *replays.Stage,
    case: *const replays.Case,
    cuts: replays.Cuts,
    whole: *const replays.Outcome,
) !void {
    var cut = try replays.run(stage, case, cuts, .takes_at_the_end);
    defer cut.deinit();
    try check(case, &cut);
    try whole.expect_equal(&cut);
    var between = try replays.run(stage, case, cuts, .takes_between);
    defer between.deinit();
    try check(case, &between);
    // What is answered while the peer is still there counts otherwise; what it said is the same.
    try testing.expectEqualSlices(u8, whole.messages.items, between.messages.items);
    try testing.expectEqual(whole.reason(), between.reason());
}

fn check(case: *const replays.Case, outcome: *const replays.Outcome) !void {
    if (outcome.ended) try testing.expect(outcome.reason() != .none);
    // A subscription of a few bytes costs more than it says: still no more than it may.
    try testing.expect(outcome.live_bytes_max <= (1 << 20) + 64 * case.bytes.len);
    try testing.expect(outcome.lent_bytes_max <= 2 * 1024 * 1024);
}

/// Where a pattern hands out what comes as it is.
fn compare(
    case: *const replays.Case,
    outcome: *const replays.Outcome,
    traffic: []const u8,
) !void {
    switch (case.ours) {
        .pull, .dealer, .pair, .xsub => {},
        else => return,
    }
    var expected = try naive.read(traffic, .{
        .frame_bytes_max = @intCast(case.options.message_bytes_max),
        .message_bytes_max = switch (case.options.whole_message_bytes_max) {
            0 => std.math.maxInt(u128),
            else => |bytes| bytes,
        },
    });
    defer expected.deinit();
    try testing.expectEqualSlices(u8, expected.messages.items, outcome.messages.items);
    try testing.expectEqual(expected.broken, outcome.ended);
}
