//! The whole stack on real sockets, without JavaScript: what every Bun program rests on.

const std = @import("std");
const testing = std.testing;

const Address = @import("io/address.zig").Address;
const contexts = @import("context.zig");
const Backend = @import("io/backend.zig").Backend;
const Context = contexts.ContextType(Backend);
const receive_ring = @import("core/receive_ring.zig");
const sockets = @import("socket/socket.zig");
const variants = @import("io/variants.zig");
const Variant = variants.Variant;

const Harness = struct {
    backend: Backend,
    context: Context,
    arena: []u8,
    buffers: std.ArrayList([]u8) = .empty,

    fn init(self: *Harness, variant: Variant) !void {
        try variant.init(&self.backend, testing.allocator);
        self.context.init(testing.allocator, &self.backend, 1 << 30, 42);
        self.arena = try testing.allocator.alloc(u8, 64 * 1024);
        try self.context.lend_arena(self.arena);
        self.buffers = .empty;
    }

    fn deinit(self: *Harness) void {
        self.context.deinit();
        self.backend.deinit();
        testing.allocator.free(self.arena);
        for (self.buffers.items) |buffer| testing.allocator.free(buffer);
        self.buffers.deinit(testing.allocator);
    }

    fn turn(self: *Harness) !void {
        _ = self.context.wait(5 * std.time.ns_per_ms);
        while (self.context.next_event()) |event| switch (event.kind) {
            .buffer => {
                const buffer = try testing.allocator.alloc(u8, event.a);
                if (event.b > 0) {
                    const held = self.buffers.items[event.b - 1];
                    @memcpy(buffer[0..held.len], held);
                }
                try self.buffers.append(testing.allocator, buffer);
                const id: u32 = @intCast(self.buffers.items.len);
                try testing.expect(self.context.lend_buffer(event.handle, buffer, id));
            },
            else => {},
        };
    }

    fn send(self: *Harness, handle: u32, parts: []const []const u8) !void {
        const slot = self.context.get(handle).?;
        for (parts, 1..) |part, i| while (true) {
            self.context.send(slot, part, i < parts.len, false) catch |failure| {
                if (failure != error.WouldBlock) return failure;
                try self.turn();
                continue;
            };
            break;
        };
    }

    /// Takes one message, as JavaScript does.
    fn receive(self: *Harness, handle: u32, out: *std.ArrayList(u8)) !usize {
        const slot = self.context.get(handle).?;
        const ring = &slot.socket.ring;
        var parts: usize = 0;
        out.clearRetainingCapacity();
        for (0..2000) |_| {
            if (ring.waiting() == 0) try self.context.fill(slot);
            if (ring.waiting() == 0) {
                try self.turn();
                continue;
            }
            const position = ring.cursor.taken;
            const entry = ring.shared[position & (receive_ring.entries - 1)];
            const target = try out.addManyAsSlice(testing.allocator, entry.length);
            try testing.expect(ring.copy(position, target));
            ring.cursor.taken +%= 1;
            parts += 1;
            if (entry.flags & receive_ring.flag_more == 0) return parts;
        }
        return error.NothingCame;
    }
};

test "a pipeline carries messages of all sizes in order: PUSH would lose jobs" {
    try variants.each(pipeline);
}

fn pipeline(variant: Variant) anyerror!void {
    var harness: Harness = undefined;
    try harness.init(variant);
    defer harness.deinit();
    const context = &harness.context;
    const pull = try context.open(.pull);
    const push = try context.open(.push);
    const listener = try context.bind(pull, &.ipv4(.{ 127, 0, 0, 1 }, 0));
    _ = try context.connect(push, context.bound_address(listener).?, .{});

    var out: std.ArrayList(u8) = .empty;
    defer out.deinit(testing.allocator);
    const payload = try testing.allocator.alloc(u8, 3 << 20);
    defer testing.allocator.free(payload);
    for (payload, 0..) |*byte, i| byte.* = @truncate(i *% 31);
    const sizes = [_]usize{
        0, 1, 64, 255, 256, 1024, 4096, 16384, 32767, 32768, 65535, 65536, 65537, 1 << 20, 3 << 20,
        7,
    };
    for (0..3) |_| for (sizes) |size| {
        try harness.send(push, &.{payload[0..size]});
        context.flush();
        try testing.expectEqual(1, try harness.receive(pull, &out));
        try testing.expectEqualSlices(u8, payload[0..size], out.items);
    };
    for (sizes) |size| try harness.send(push, &.{ payload[0..size], "", payload[0..3] });
    context.flush();
    for (sizes) |size| {
        try testing.expectEqual(3, try harness.receive(pull, &out));
        try testing.expectEqual(size + 3, out.items.len);
    }
}

test "ten thousand queued messages arrive once each: none lost, none twice" {
    try variants.each(ten_thousand);
}

fn ten_thousand(variant: Variant) anyerror!void {
    var harness: Harness = undefined;
    try harness.init(variant);
    defer harness.deinit();
    const context = &harness.context;
    const pull = try context.open(.pull);
    const push = try context.open(.push);
    const listener = try context.bind(pull, &try .unix("\x00monocoque-context-test"));
    _ = try context.connect(push, context.bound_address(listener).?, .{});
    var out: std.ArrayList(u8) = .empty;
    defer out.deinit(testing.allocator);
    var buffer: [8]u8 = undefined;
    var received: u64 = 0;
    for (0..10_000) |i| {
        std.mem.writeInt(u64, &buffer, i, .little);
        const slot = context.get(push).?;
        while (true) {
            context.send(slot, &buffer, false, false) catch {
                _ = try harness.receive(pull, &out);
                try testing.expectEqual(received, std.mem.readInt(u64, out.items[0..8], .little));
                received += 1;
                continue;
            };
            break;
        }
    }
    context.flush();
    while (received < 10_000) : (received += 1) {
        _ = try harness.receive(pull, &out);
        try testing.expectEqual(received, std.mem.readInt(u64, out.items[0..8], .little));
    }
}

test "a request gets its reply: REQ and REP would talk past each other" {
    try variants.each(request_reply);
}

fn request_reply(variant: Variant) anyerror!void {
    var harness: Harness = undefined;
    try harness.init(variant);
    defer harness.deinit();
    const context = &harness.context;
    const rep = try context.open(.rep);
    const req = try context.open(.req);
    const listener = try context.bind(rep, &.ipv4(.{ 127, 0, 0, 1 }, 0));
    _ = try context.connect(req, context.bound_address(listener).?, .{});
    var out: std.ArrayList(u8) = .empty;
    defer out.deinit(testing.allocator);
    for (0..50) |_| {
        try harness.send(req, &.{ "question", "two" });
        try testing.expectError(error.WrongState, context.send(
            context.get(req).?,
            "again",
            false,
            false,
        ));
        context.flush();
        try testing.expectEqual(2, try harness.receive(rep, &out));
        try testing.expectEqualStrings("questiontwo", out.items);
        try harness.send(rep, &.{"answer"});
        context.flush();
        try testing.expectEqual(1, try harness.receive(req, &out));
        try testing.expectEqualStrings("answer", out.items);
    }
}

test "connect before bind, and a peer that comes back: queued messages are kept" {
    try variants.each(coming_back);
}

fn coming_back(variant: Variant) anyerror!void {
    var harness: Harness = undefined;
    try harness.init(variant);
    defer harness.deinit();
    const context = &harness.context;
    const address: Address = try .unix("\x00monocoque-context-reconnect");
    const push = try context.open(.push);
    _ = try context.connect(push, &address, .{});
    context.get(push).?.socket.options.reconnect_interval_ms = 1;
    try harness.send(push, &.{"first"});
    var out: std.ArrayList(u8) = .empty;
    defer out.deinit(testing.allocator);
    for (0..5) |_| {
        try harness.turn();
        const pull = try context.open(.pull);
        _ = try context.bind(pull, &address);
        try testing.expectEqual(1, try harness.receive(pull, &out));
        try testing.expectEqualStrings("first", out.items);
        context.close(pull, 0);
        for (0..3) |_| try harness.turn();
        try harness.send(push, &.{"first"});
        context.flush();
    }
}
