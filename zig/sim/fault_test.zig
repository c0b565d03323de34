//! Memory, kernel objects and connections that fail at every possible point: one connection or one
//! call ends, everything else goes on, and nothing is leaked.

const std = @import("std");
const testing = std.testing;

const Address = @import("../io/address.zig").Address;
const worlds = @import("world.zig");
const Owner = worlds.Owner;
const World = worlds.World;

const allocator = testing.allocator;
const address: Address = .ipv4(.{ 127, 0, 0, 1 }, 5555);
const address_rep: Address = .ipv4(.{ 127, 0, 0, 1 }, 5556);

/// Two contexts, a pipeline and a dialogue between them.
const Scenario = struct {
    world: World,
    server: *Owner,
    client: *Owner,
    pull: u32 = 0,
    push: u32 = 0,
    rep: u32 = 0,
    req: u32 = 0,
    payload: []u8,
    sent: u64 = 0,
    /// Which have come: each at most once. Those of an old connection that are still unread and
    /// those of the next one are taken in turn, so a storm may change their order.
    seen: std.DynamicBitSetUnmanaged = .{},
    last: ?u64 = null,
    answers: u32 = 0,

    fn init(scenario: *Scenario, seed: u64, options: worlds.Options) !void {
        scenario.* = .{
            .world = undefined,
            .server = undefined,
            .client = undefined,
            .payload = try allocator.alloc(u8, 150_000),
        };
        errdefer allocator.free(scenario.payload);
        scenario.world.init(seed, options);
        errdefer scenario.world.deinit();
        scenario.server = try scenario.world.add();
        scenario.client = try scenario.world.add();
        scenario.pull = try scenario.server.open(.pull);
        scenario.rep = try scenario.server.open(.rep);
        scenario.push = try scenario.client.open(.push);
        scenario.req = try scenario.client.open(.req);
        for ([_]u32{ scenario.push, scenario.req }) |socket| {
            scenario.client.slot(socket).socket.options.reconnect_interval_ms = 1;
        }
        const it = &scenario.client.slot(scenario.req).socket.options.*;
        it.request_relaxed = 1;
        it.request_correlate = 1;
    }

    fn deinit(scenario: *Scenario) void {
        scenario.world.deinit();
        allocator.free(scenario.payload);
        scenario.seen.deinit(allocator);
    }

    fn start(scenario: *Scenario) !void {
        for (0..100) |_| {
            _ = scenario.server.context.bind(scenario.pull, &address) catch continue;
            break;
        } else return error.CannotBind;
        for (0..100) |_| {
            _ = scenario.server.context.bind(scenario.rep, &address_rep) catch continue;
            break;
        } else return error.CannotBind;
        try scenario.connect(scenario.push, address);
        try scenario.connect(scenario.req, address_rep);
    }

    /// A call that finds no memory fails, and may be made again.
    fn connect(scenario: *Scenario, socket: u32, to: Address) !void {
        _ = scenario.client.connect(socket, to) catch |failure| {
            if (failure != error.OutOfMemory) return failure;
            _ = try scenario.client.connect(socket, to);
        };
    }

    /// One message; a refused one is taken back as a whole.
    fn send(scenario: *Scenario, size: usize, borrow: bool) !void {
        const number = scenario.sent;
        var head: [8]u8 = undefined;
        std.mem.writeInt(u64, &head, number, .little);
        @memset(scenario.payload[0..size], @truncate(number));
        const parts: []const []const u8 = &.{ &head, scenario.payload[0..size], "end" };
        const result = if (borrow)
            scenario.client.send_borrowed(scenario.push, parts)
        else
            scenario.client.send(scenario.push, parts);
        @memset(scenario.payload[0..size], 0xdd);
        result catch |failure| switch (failure) {
            error.WouldBlock, error.OutOfMemory => return,
            else => return failure,
        };
        scenario.sent += 1;
    }

    /// Takes all that is there and answers all that is asked.
    fn serve(scenario: *Scenario) !void {
        while (try scenario.server.take(scenario.pull)) |taken| {
            var message = taken;
            defer message.deinit();
            const parts = message.parts.items;
            try testing.expectEqual(3, parts.len);
            const number = std.mem.readInt(u64, parts[0][0..8], .little);
            if (number >= scenario.seen.bit_length) try scenario.seen.resize(
                allocator,
                @intCast(number + 1),
                false,
            );
            try testing.expect(!scenario.seen.isSet(@intCast(number)));
            scenario.seen.set(@intCast(number));
            scenario.last = number;
            try testing.expect(std.mem.allEqual(u8, parts[1], @truncate(number)));
            try testing.expectEqualStrings("end", parts[2]);
        }
        const answer = scenario.server.take(scenario.rep) catch |failure| switch (failure) {
            error.WrongState => null,
            else => return failure,
        };
        if (answer) |taken| {
            var message = taken;
            defer message.deinit();
            const reply: []const []const u8 = &.{ "re:", message.parts.items[0] };
            scenario.server.send(scenario.rep, reply) catch |failure| {
                if (failure != error.OutOfMemory) return failure;
                try scenario.server.send(scenario.rep, reply);
            };
            scenario.server.context.flush();
        }
    }

    fn ask(scenario: *Scenario, question: []const u8) !void {
        scenario.client.send(scenario.req, &.{question}) catch |failure| switch (failure) {
            error.WouldBlock, error.OutOfMemory => return,
            else => return failure,
        };
        scenario.client.context.flush();
        for (0..3) |_| {
            try scenario.world.settle();
            try scenario.serve();
        }
        const answer = scenario.client.take(scenario.req) catch |failure| switch (failure) {
            error.WrongState => return,
            else => return failure,
        };
        if (answer) |taken| {
            var message = taken;
            defer message.deinit();
            try testing.expectEqual(2, message.parts.items.len);
            try testing.expectEqualStrings("re:", message.parts.items[0]);
            try testing.expectEqualStrings(question, message.parts.items[1]);
            scenario.answers += 1;
        }
    }

    fn round(scenario: *Scenario) !void {
        for ([_]usize{ 0, 10, 300, 2000, 20_000, 40_000, 150_000 }, 0..) |size, i| {
            try scenario.send(size, i % 2 == 0);
            try scenario.send(10, false);
            if (i % 3 == 0) try scenario.world.settle();
        }
        scenario.client.context.flush();
        try scenario.world.settle();
        try scenario.ask("question");
        // The arena is used again with something unread in it.
        try scenario.send(1000, false);
        try scenario.world.settle();
        try scenario.server.context.fill(scenario.server.slot(scenario.pull));
        for (0..30) |_| try scenario.send(3000, false);
        try scenario.world.settle();
        try scenario.serve();
        try scenario.world.run(5);
    }

    /// With no fault any more everything works as ever.
    fn expect_works(scenario: *Scenario) !void {
        for (0..3) |_| {
            try scenario.world.run(300);
            try scenario.serve();
        }
        for (0..5) |_| {
            const number = scenario.sent;
            try scenario.send(5000, false);
            try testing.expectEqual(number + 1, scenario.sent);
            scenario.client.context.flush();
            try scenario.world.settle();
            try scenario.serve();
            try testing.expectEqual(number, scenario.last);
        }
        const answers = scenario.answers;
        try scenario.ask("still there?");
        try testing.expectEqual(answers + 1, scenario.answers);
    }
};

/// False: the failure was never reached.
fn check_out_of_memory(after: u64, of_server: bool) !bool {
    var scenario: Scenario = undefined;
    try scenario.init(after, .{ .stream_bytes_max = 20_000 });
    defer scenario.deinit();
    const owner = if (of_server) scenario.server else scenario.client;
    const slabs = &owner.context.resources.slabs;
    slabs.fail_after = after;
    try scenario.start();
    try scenario.round();
    const reached = slabs.fail_after == null;
    slabs.fail_after = null;
    try scenario.expect_works();
    return reached;
}

test "memory that runs out anywhere ends one connection or one call: a full machine kills all" {
    for ([_]bool{ true, false }) |of_server| {
        var after: u64 = 0;
        errdefer std.debug.print("after {d}, server {}\n", .{ after, of_server });
        while (try check_out_of_memory(after, of_server)) after += 1;
        try testing.expect(after > 15);
    }
}

fn check_submission(after: u64) !bool {
    var scenario: Scenario = undefined;
    try scenario.init(after, .{ .stream_bytes_max = 20_000 });
    defer scenario.deinit();
    scenario.world.network.submissions_left = after;
    try scenario.start();
    try scenario.round();
    scenario.world.network.submissions_left = null;
    const reached = scenario.world.network.submissions_failed > 0;
    try scenario.expect_works();
    return reached;
}

test "a kernel request that is refused anywhere ends one connection: a server would hang" {
    var after: u64 = 0;
    errdefer std.debug.print("after {d}\n", .{after});
    while (try check_submission(after)) after += 1;
    try testing.expect(after > 10);
}

test "a storm of faults loses messages at most, and passes: none comes twice, none in part" {
    for (0..40) |seed| {
        errdefer std.debug.print("seed {d}\n", .{seed});
        var options: worlds.Options = .shaky;
        options.stream_bytes_max = 5000;
        options.reset = 10;
        options.connect_refused = 200;
        options.accept_fails = 100;
        options.submit_fails = if (seed % 2 == 0) 5 else 0;
        var scenario: Scenario = undefined;
        try scenario.init(seed, options);
        defer scenario.deinit();
        try scenario.start();
        const prng = &scenario.world.network.prng;
        for (0..8) |_| {
            for ([_]*Owner{ scenario.server, scenario.client }) |owner| {
                if (!prng.chance(1, 3)) continue;
                owner.context.resources.slabs.fail_after = prng.below(200);
            }
            try scenario.round();
        }
        for ([_]*Owner{ scenario.server, scenario.client }) |owner| {
            owner.context.resources.slabs.fail_after = null;
        }
        scenario.world.network.options = .{};
        try scenario.expect_works();
    }
}

test "a borrowed send that fails twice at once is one lost connection: it would be counted twice" {
    for (0..6) |after| {
        var scenario: Scenario = undefined;
        // So little that the beginning of the message is still there afterwards.
        try scenario.init(after, .{ .stream_bytes_max = 5 });
        defer scenario.deinit();
        try scenario.start();
        try scenario.world.run(10);
        const record = scenario.client.record(scenario.push);
        try testing.expectEqual(1, record.connections);
        // The kernel takes a part, then refuses the watch, and there is no memory for the rest.
        scenario.world.network.submissions_left = 0;
        scenario.client.context.resources.slabs.fail_after = after;
        try scenario.send(100_000, true);
        scenario.world.network.submissions_left = null;
        scenario.client.context.resources.slabs.fail_after = null;
        try scenario.expect_works();
        try testing.expectEqual(1, record.connections);
    }
}

test "a transfer that finds no memory in the kernel is made again: its message would never leave" {
    var world: World = undefined;
    world.init(1, .{});
    defer world.deinit();
    const here = try world.add();
    const there = try world.add();
    const push = try here.open(.push);
    const pull = try there.open(.pull);
    _ = try here.connect(push, try there.bind(pull));
    try world.settle();
    world.network.options.transfer_fails = 1000;
    try here.send(push, &.{"small"});
    here.context.flush();
    try here.send_borrowed(push, &.{"x" ** 50_000});
    world.network.options.transfer_fails = 0;
    try world.settle();
    try there.expect(pull, &.{"small"});
    try there.expect(pull, &.{"x" ** 50_000});
    try testing.expectEqual(1, here.record(push).connections);
}
