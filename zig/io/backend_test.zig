//! What the core relies on, on every back end. Also that none of them signals for nothing: an idle
//! process must not be woken.

const std = @import("std");
const linux = std.os.linux;
const testing = std.testing;

const Address = @import("address.zig").Address;
const Backend = @import("backend.zig").Backend;
const io = @import("io.zig");
const Completion = io.Completion;
const Descriptor = io.Descriptor;
const transfer = @import("transfer.zig");
const variants = @import("variants.zig");
const Variant = variants.Variant;

const cancelled = -@as(i32, @intFromEnum(linux.E.CANCELED));

/// Runs turns until `out` is full of completions, or a second passed. What was ended is left out.
fn collect(backend: *Backend, out: []Completion) !void {
    var count: usize = 0;
    const start_ns = backend.now_ns();
    while (count < out.len) {
        if (backend.now_ns() - start_ns > std.time.ns_per_s) return error.NothingHappened;
        backend.begin();
        var buffer: [io.completions_max]Completion = undefined;
        var reaped = backend.reap(&buffer);
        if (reaped.len == 0) {
            backend.wait(10 * std.time.ns_per_ms);
            reaped = backend.reap(&buffer);
        }
        for (reaped) |completion| {
            if (completion.result == cancelled) continue;
            out[count] = completion;
            count += 1;
        }
        _ = backend.finish(.event_loop);
    }
}

/// Turns until it may sleep, and takes the signal off: from here on only news wake it.
fn settle(backend: *Backend) !void {
    var buffer: [io.completions_max]Completion = undefined;
    for (0..100) |_| {
        backend.begin();
        const reaped = backend.reap(&buffer);
        const safe = backend.finish(.event_loop);
        if (reaped.len == 0 and safe and !signalled(backend, 20)) return;
        backend.wake_drain();
    }
    return error.NeverQuiet;
}

fn signalled(backend: *const Backend, ms: i32) bool {
    var polled = [1]linux.pollfd{
        .{ .fd = backend.wake_fd(), .events = linux.POLL.IN, .revents = 0 },
    };
    return linux.poll(&polled, 1, ms) == 1;
}

fn socket_pair() ![2]Descriptor {
    var pair: [2]i32 = undefined;
    const result = linux.socketpair(linux.AF.UNIX, linux.SOCK.STREAM, 0, &pair);
    try testing.expectEqual(.SUCCESS, linux.errno(result));
    return pair;
}

fn listen(backend: *Backend) !Descriptor {
    const listener = try backend.open(.ipv4);
    try backend.bind(listener, &.ipv4(.{ 127, 0, 0, 1 }, 0));
    try backend.listen(listener, 128);
    try backend.accept(listener, .{ .operation = .accept, .handle = 1 });
    return listener;
}

test "accept, connect, readable, writable and deadline complete: nothing above would ever move" {
    try variants.each(everything);
}

fn everything(variant: Variant) anyerror!void {
    var backend: Backend = undefined;
    try variant.init(&backend, testing.allocator);
    defer backend.deinit();
    const listener = try listen(&backend);
    defer backend.close(listener);

    const client = try backend.open(.ipv4);
    const address = backend.local_address(listener);
    try testing.expect(address.port() != 0);
    try backend.connect(client, &address, .{ .operation = .connect, .handle = 2 });
    var done: [2]Completion = undefined;
    try collect(&backend, &done);
    const accepted = if (done[0].token.operation == .accept) done[0] else done[1];
    const connected = if (done[0].token.operation == .connect) done[0] else done[1];
    try testing.expectEqual(0, connected.result);
    try testing.expect(accepted.result >= 0 and accepted.more);
    const server = accepted.result;
    defer backend.close(server);

    try backend.watch_readable(server, .{ .operation = .readable, .handle = 3 });
    try backend.watch_writable(client, .{ .operation = .writable, .handle = 4 });
    try collect(&backend, done[0..1]);
    try testing.expectEqual(.writable, done[0].token.operation);
    _ = try backend.send_vector(client, &.{.{ .base = "x", .len = 1 }});
    try collect(&backend, done[0..1]);
    try testing.expectEqual(.readable, done[0].token.operation);
    try testing.expect(done[0].more and done[0].result & io.readable_end == 0);

    try backend.set_deadline(backend.now_ns() + std.time.ns_per_ms * 500);
    try backend.set_deadline(backend.now_ns() + std.time.ns_per_ms * 5);
    try collect(&backend, done[0..1]);
    try testing.expectEqual(.deadline, done[0].token.operation);

    backend.close(client);
    try collect(&backend, done[0..1]);
    try testing.expectEqual(3, done[0].token.handle);
    try testing.expect(done[0].result & io.readable_end != 0);
}

test "a completion outside a turn signals the eventfd: Bun would sleep for ever" {
    try variants.each(signal_outside);
}

fn signal_outside(variant: Variant) anyerror!void {
    var backend: Backend = undefined;
    try variant.init(&backend, testing.allocator);
    defer backend.deinit();
    const pair = try socket_pair();
    defer for (pair) |fd| backend.close(fd);
    try backend.watch_readable(pair[1], .{ .operation = .readable, .handle = 7 });
    try settle(&backend);
    // Again and again: what calls Bun may not work only once.
    for (0..100) |_| {
        _ = try transfer.send_vector(pair[0], &.{.{ .base = "x", .len = 1 }});
        try testing.expect(signalled(&backend, 1000));
        backend.wake_drain();
        try testing.expect(backend.work_is_waiting());
        var done: [1]Completion = undefined;
        try collect(&backend, &done);
        try testing.expectEqual(7, done[0].token.handle);
        var byte: [1]u8 = undefined;
        try testing.expectEqual(1, try backend.receive(pair[1], &byte));
    }
}

test "who polls is told without a signal and again with one afterwards: a message is missed" {
    try variants.each(told_by_polling);
}

fn told_by_polling(variant: Variant) anyerror!void {
    var backend: Backend = undefined;
    try variant.init(&backend, testing.allocator);
    defer backend.deinit();
    const pair = try socket_pair();
    defer for (pair) |fd| transfer.close(fd);
    try backend.watch_readable(pair[0], .{ .operation = .readable, .handle = 1 });
    try settle(&backend);
    var completions: [io.completions_max]Completion = undefined;
    // The first byte finds it armed, and is what leads to polling.
    for ([_]bool{ false, true, true }) |polls| {
        try testing.expect(!backend.poll());
        _ = try backend.send_vector(pair[1], &.{.{ .base = "x", .len = 1 }});
        // The thread may need a moment.
        if (!polls) try testing.expect(signalled(&backend, 1000));
        try testing.expect(backend.poll());
        if (polls) try testing.expect(!signalled(&backend, 20));
        backend.wake_drain();
        backend.begin();
        try testing.expectEqual(1, backend.reap(&completions).len);
        var byte: [1]u8 = undefined;
        try testing.expectEqual(1, try backend.receive(pair[0], &byte));
        while (!backend.finish(.poll)) {
            backend.begin();
            try testing.expectEqual(0, backend.reap(&completions).len);
        }
        try testing.expect(!backend.signals());
    }
    try settle(&backend);
    try testing.expect(backend.signals());
    _ = try backend.send_vector(pair[1], &.{.{ .base = "x", .len = 1 }});
    try testing.expect(signalled(&backend, 1000));
}

test "what is not read signals once: a paused peer would keep the processor busy" {
    try variants.each(signal_once);
}

fn signal_once(variant: Variant) anyerror!void {
    var backend: Backend = undefined;
    try variant.init(&backend, testing.allocator);
    defer backend.deinit();
    const pair = try socket_pair();
    defer for (pair) |fd| backend.close(fd);
    try backend.watch_readable(pair[1], .{ .operation = .readable, .handle = 7 });
    _ = try transfer.send_vector(pair[0], &.{.{ .base = "x", .len = 1 }});
    // Its byte stays where it is, and the deadline goes on and off.
    try settle(&backend);
    try backend.set_deadline(backend.now_ns() + std.time.ns_per_s);
    try backend.set_deadline(null);
    try settle(&backend);
    const turns_before = backend.counters.wakeups;
    try testing.expect(!signalled(&backend, 50));
    try testing.expectEqual(turns_before, backend.counters.wakeups);
}

test "a watch that was ended tells nothing more, and the number of its file can be used again" {
    try variants.each(unwatched);
}

fn unwatched(variant: Variant) anyerror!void {
    var backend: Backend = undefined;
    try variant.init(&backend, testing.allocator);
    defer backend.deinit();
    for (0..3) |round| {
        const pair = try socket_pair();
        defer transfer.close(pair[0]);
        defer backend.close(pair[1]);
        const epoch: u24 = @intCast(round);
        const token: io.Token = .{ .operation = .readable, .handle = 7, .epoch = epoch };
        try backend.watch_readable(pair[1], token);
        try backend.unwatch(pair[1], token);
        // Says so at most; see `Session.watch_epoch`.
        try settle(&backend);
        _ = try transfer.send_vector(pair[0], &.{.{ .base = "x", .len = 1 }});
        try testing.expect(!signalled(&backend, 20));
        var again = token;
        again.epoch +%= 100;
        // What is there already is told of, too.
        try backend.watch_readable(pair[1], again);
        var done: [1]Completion = undefined;
        try collect(&backend, &done);
        try testing.expectEqual(again, done[0].token);
        try backend.unwatch(pair[1], again);
        try settle(&backend);
    }
}

test "both directions of one connection are watched at a time: a full one would not be read" {
    try variants.each(both_directions);
}

fn both_directions(variant: Variant) anyerror!void {
    var backend: Backend = undefined;
    try variant.init(&backend, testing.allocator);
    defer backend.deinit();
    const pair = try socket_pair();
    defer for (pair) |fd| backend.close(fd);
    try backend.watch_readable(pair[0], .{ .operation = .readable, .handle = 1 });
    const block: [64 * 1024]u8 = @splat(7);
    const vectors = [1]std.posix.iovec_const{.{ .base = &block, .len = block.len }};
    var taken: [64 * 1024]u8 = undefined;
    for (0..20) |_| {
        while (backend.send_vector(pair[0], &vectors)) |_| {} else |failure| {
            try testing.expectEqual(error.WouldBlock, failure);
        }
        try backend.watch_writable(pair[0], .{ .operation = .writable, .handle = 2 });
        try settle(&backend);
        _ = try transfer.send_vector(pair[1], &.{.{ .base = "x", .len = 1 }});
        var done: [1]Completion = undefined;
        try collect(&backend, &done);
        try testing.expectEqual(.readable, done[0].token.operation);
        try testing.expectEqual(1, try backend.receive(pair[0], &taken));
        while (backend.receive(pair[1], &taken)) |_| {} else |failure| {
            try testing.expectEqual(error.WouldBlock, failure);
        }
        try collect(&backend, &done);
        try testing.expectEqual(.writable, done[0].token.operation);
        try testing.expect(!done[0].more);
    }
}

test "a failed attempt says why, at once or later: events would give the wrong reason" {
    try variants.each(refused);
}

fn refused(variant: Variant) anyerror!void {
    var backend: Backend = undefined;
    try variant.init(&backend, testing.allocator);
    defer backend.deinit();
    // A port that was free a moment ago.
    const free = try backend.open(.ipv4);
    try backend.bind(free, &.ipv4(.{ 127, 0, 0, 1 }, 0));
    const closed_port = backend.local_address(free);
    backend.close(free);
    const cases = [_]struct { address: Address, errno: linux.E }{
        .{ .address = closed_port, .errno = .CONNREFUSED },
        .{ .address = try .unix("\x00monocoque-nobody-is-here"), .errno = .CONNREFUSED },
        .{ .address = try .unix("/nonexistent/monocoque.sock"), .errno = .NOENT },
    };
    for (cases) |case| {
        const fd = try backend.open(case.address.family());
        defer backend.close(fd);
        try backend.connect(fd, &case.address, .{ .operation = .connect, .handle = 9 });
        var done: [1]Completion = undefined;
        try collect(&backend, &done);
        try testing.expectEqual(.connect, done[0].token.operation);
        try testing.expectEqual(-@as(i32, @intFromEnum(case.errno)), done[0].result);
    }
}

test "two hundred connections at once are accepted and all heard: a crowd would lose members" {
    try variants.each(crowd);
}

fn crowd(variant: Variant) anyerror!void {
    var backend: Backend = undefined;
    try variant.init(&backend, testing.allocator);
    defer backend.deinit();
    const listener = try listen(&backend);
    defer backend.close(listener);
    const address = backend.local_address(listener);
    var clients: [100]Descriptor = undefined;
    var servers: [100]Descriptor = undefined;
    for (0..2) |_| {
        for (&clients) |*client| {
            client.* = try backend.open(.ipv4);
            const result = linux.connect(client.*, address.sockaddr(), address.len);
            try testing.expectEqual(.SUCCESS, linux.errno(result));
        }
        defer for (clients) |client| transfer.close(client);
        var done: [100]Completion = undefined;
        try collect(&backend, &done);
        for (&servers, done, 0..) |*server, completion, index| {
            server.* = completion.result;
            const handle: u32 = @intCast(index);
            try backend.watch_readable(server.*, .{ .operation = .readable, .handle = handle });
        }
        defer for (servers, 0..) |server, index| {
            const handle: u32 = @intCast(index);
            backend.unwatch(server, .{ .operation = .readable, .handle = handle }) catch
                unreachable; // Nothing is short here.
            backend.close(server);
        };
        for (clients) |client| {
            _ = try transfer.send_vector(client, &.{.{ .base = "x", .len = 1 }});
        }
        // Both tell at once: more than one hand-over has room for.
        for (servers, 0..) |server, index| {
            const handle: u32 = @intCast(1000 + index);
            try backend.watch_writable(server, .{ .operation = .writable, .handle = handle });
        }
        try hear_all(&backend);
    }
}

fn hear_all(backend: *Backend) !void {
    var heard: [1100]bool = @splat(false);
    var count: usize = 0;
    while (count < 200) {
        var buffer: [io.completions_max]Completion = undefined;
        backend.begin();
        for (backend.reap(&buffer)) |completion| {
            if (completion.result < 0) continue;
            const handle = completion.token.handle;
            if (!heard[handle]) count += 1;
            heard[handle] = true;
        }
        if (!backend.finish(.event_loop) or count == 200) continue;
        if (backend.work_is_waiting()) continue;
        if (!signalled(backend, 1000)) return error.SomeAreMissing;
        backend.wake_drain();
    }
}

test "no descriptors left: accept says so once, and takes the waiting connection when asked anew" {
    try variants.each(exhausted);
}

fn exhausted(variant: Variant) anyerror!void {
    var backend: Backend = undefined;
    try variant.init(&backend, testing.allocator);
    defer backend.deinit();
    const listener = try backend.open(.ipv4);
    defer backend.close(listener);
    try backend.bind(listener, &.ipv4(.{ 127, 0, 0, 1 }, 0));
    try backend.listen(listener, 16);
    const address = backend.local_address(listener);
    const client = try backend.open(.ipv4);
    defer transfer.close(client);

    var before: linux.rlimit = undefined;
    try testing.expectEqual(.SUCCESS, linux.errno(linux.getrlimit(.NOFILE, &before)));
    const lowest = try transfer.open(.ipv4);
    transfer.close(lowest);
    var none = before;
    none.cur = @intCast(lowest);
    try testing.expectEqual(.SUCCESS, linux.errno(linux.setrlimit(.NOFILE, &none)));
    const asked = backend.accept(listener, .{ .operation = .accept, .handle = 1 });
    const result = linux.connect(client, address.sockaddr(), address.len);
    var done: [1]Completion = undefined;
    const found = collect(&backend, &done);
    try testing.expectEqual(.SUCCESS, linux.errno(linux.setrlimit(.NOFILE, &before)));
    try testing.expectEqual(.SUCCESS, linux.errno(result));
    try asked;
    try found;
    try testing.expectEqual(-@as(i32, @intFromEnum(linux.E.MFILE)), done[0].result);
    try testing.expect(!done[0].more);
    try settle(&backend);
    try backend.accept(listener, done[0].token);
    try collect(&backend, &done);
    try testing.expect(done[0].result >= 0);
    backend.close(done[0].result);
}

test "a connection that goes to another back end is heard there, and here no more" {
    try variants.each(moved);
}

fn moved(variant: Variant) anyerror!void {
    var from: Backend = undefined;
    try variant.init(&from, testing.allocator);
    defer from.deinit();
    const listener = try listen(&from);
    const address = from.local_address(listener);
    const token: io.Token = .{ .operation = .accept, .handle = 1 };
    try from.cancel(listener, token);
    try settle(&from);
    // Its mode goes along: the other one may be a ring.
    for (std.enums.values(Variant)) |other| {
        var to: Backend = undefined;
        try other.init(&to, testing.allocator);
        defer to.deinit();
        try to.accept(listener, token);
        defer to.cancel(listener, token) catch unreachable; // Nothing is short here.
        try settle(&to);
        const client = try to.open(.ipv4);
        defer transfer.close(client);
        const result = linux.connect(client, address.sockaddr(), address.len);
        try testing.expectEqual(.SUCCESS, linux.errno(result));
        var done: [1]Completion = undefined;
        try collect(&to, &done);
        try testing.expect(done[0].result >= 0 and done[0].more);
        to.close(done[0].result);
        try testing.expect(!signalled(&from, 10));
    }
    from.close(listener);
}

test "nothing is left of a back end: threads and descriptors would add up with each Worker" {
    try variants.each(leaves_nothing);
}

fn leaves_nothing(variant: Variant) anyerror!void {
    const before = try transfer.open(.ipv4);
    transfer.close(before);
    for (0..20) |_| {
        var backend: Backend = undefined;
        try variant.init(&backend, testing.allocator);
        backend.deinit();
    }
    const after = try transfer.open(.ipv4);
    defer transfer.close(after);
    // The lowest free number is the same.
    try testing.expectEqual(before, after);
}
