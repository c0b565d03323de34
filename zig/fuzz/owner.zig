//! An owner that writes anything into the memory it shares with its socket, at any time: its
//! options, and how far it has read. It may get nonsense for it, and no crash.

const std = @import("std");
const testing = std.testing;

const Address = @import("../io/address.zig").Address;
const bytes_module = @import("bytes.zig");
const Prng = @import("../stdx/prng.zig").Prng;
const SocketOptions = @import("../options.zig").SocketOptions;
const sockets = @import("../socket/socket.zig");
const worlds = @import("../sim/world.zig");

const Life = struct {
    prng: *Prng,
    world: worlds.World,
    owner: *worlds.Owner,
    handle: u32,
    mock: ?worlds.Mock = null,
    bound: ?Address = null,

    fn slot(life: *Life) *worlds.Slot {
        return life.owner.slot(life.handle);
    }

    fn step(life: *Life) !void {
        const prng = life.prng;
        switch (prng.below(12)) {
            0, 1 => scribble(prng, life.slot().socket.options),
            2 => life.slot().socket.record.cursor.taken = @truncate(prng.next()),
            3 => life.bound = life.owner.bind(life.handle) catch life.bound,
            4 => try life.connect(),
            5, 6 => try life.dial(),
            7 => if (life.mock) |*mock| {
                var bytes: bytes_module.Bytes = .empty;
                defer bytes.deinit(worlds.allocator);
                try bytes_module.append_traffic(prng, &bytes, bytes_module.size(prng, 8));
                if (mock.peer.endpoint.peer != null) mock.send(bytes.items);
            },
            8 => life.send(),
            9 => {
                _ = life.owner.context.fill(life.slot()) catch return;
                const cursor = &life.slot().socket.record.cursor;
                if (prng.boolean()) cursor.taken = cursor.filled;
            },
            10 => life.owner.context.limits_changed(life.slot()),
            else => try life.world.run(bytes_module.size(prng, 300)),
        }
        try life.world.run(1);
    }

    fn connect(life: *Life) !void {
        const port: u16 = @intCast(5000 + life.prng.below(2));
        const address: Address = .ipv4(.{ 127, 0, 0, 1 }, port);
        _ = life.owner.connect(life.handle, address) catch return;
    }

    fn dial(life: *Life) !void {
        const address = life.bound orelse return;
        if (life.mock) |*mock| {
            mock.peer.close();
            mock.deinit();
            life.mock = null;
        }
        life.mock = worlds.Mock.dial(&life.world, address) catch return;
        life.mock.?.send(&worlds.greeting);
        const ready = switch (life.slot().socket.type) {
            .pull => worlds.ready("PUSH"),
            .push => worlds.ready("PULL"),
            .@"pub", .xpub => worlds.ready("SUB"),
            .sub, .xsub => worlds.ready("PUB"),
            .req => worlds.ready("REP"),
            .rep => worlds.ready("REQ"),
            .dealer, .router => worlds.ready("DEALER"),
            .pair => worlds.ready("PAIR"),
            .server => worlds.ready("CLIENT"),
            .client => worlds.ready("SERVER"),
            .radio => worlds.ready("DISH"),
            .dish => worlds.ready("RADIO"),
            .gather => worlds.ready("SCATTER"),
            .scatter => worlds.ready("GATHER"),
            .peer => worlds.ready("PEER"),
            .channel => worlds.ready("CHANNEL"),
            .stream => "",
        };
        life.mock.?.send(ready);
    }

    fn send(life: *Life) void {
        var part: [3000]u8 = undefined;
        const len = bytes_module.size(life.prng, part.len);
        life.prng.fill(part[0..len]);
        for (0..1 + bytes_module.size(life.prng, 20)) |_| {
            // Refused for any of the reasons there are.
            life.owner.context.send(
                life.slot(),
                part[0..len],
                life.prng.chance(1, 3),
                false,
            ) catch return;
        }
    }
};

pub fn run(prng: *Prng) !void {
    var life: Life = .{ .prng = prng, .world = undefined, .owner = undefined, .handle = 0 };
    life.world.init(prng.next(), .{});
    defer life.world.deinit();
    life.owner = try life.world.add();
    life.handle = try life.owner.open(prng.enum_uniform(sockets.Type));
    defer if (life.mock) |*mock| mock.deinit();
    scribble(prng, life.slot().socket.options);
    for (0..4 + bytes_module.size(prng, 40)) |_| try life.step();
    scribble(prng, life.slot().socket.options);
    const lingers = [_]i32{ 0, 0, 0, 1, 100, -1 };
    life.owner.context.close(life.handle, prng.pick(i32, &lingers));
    if (life.mock) |*mock| mock.peer.close();
    try life.world.run(200);
}

/// Any number in some fields, one at which something changes in others.
fn scribble(prng: *Prng, options: *SocketOptions) void {
    const numbers = [_]u32{
        0,    1,    2,     4,     7,       10,            100,     255,           256,
        1000, 2048, 65535, 65536, 1 << 30, (1 << 31) - 1, 1 << 31, (1 << 32) - 2, (1 << 32) - 1,
    };
    inline for (@typeInfo(SocketOptions).@"struct".fields) |field| {
        if (prng.chance(1, 3)) switch (field.type) {
            i32, u32 => {
                const draw: u32 = @truncate(prng.next());
                const number = if (prng.chance(1, 8)) draw else prng.pick(u32, &numbers);
                @field(options, field.name) = @bitCast(number);
            },
            else => prng.fill(&@field(options, field.name)),
        };
    }
    // The kernel knows which descriptors there are, the network in memory believes us.
    options.use_fd = -1;
    // A frame of two gigabytes would be lent memory for, as it is to be.
    options.message_bytes_max = @min(options.message_bytes_max, 100_000);
    if (options.message_bytes_max < 0) options.message_bytes_max = 0;
}
