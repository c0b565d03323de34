//! DISH (RFC 48): messages of all connected RADIO sockets, of the groups that were joined. A
//! message has two parts, group and body; others are dropped. Each new connection is told all
//! groups, whatever the high-water mark.

const CountedTrie = @import("subscription_trie.zig").CountedTrie;
const FairQueue = @import("fair_queue.zig").FairQueue;
const Pipe = @import("../core/pipe.zig").Pipe;
const sockets = @import("socket.zig");
const Socket = sockets.Socket;
const valid_group = @import("radio.zig").valid_group;

pub const Dish = struct {
    queue: FairQueue = .{},
    groups: CountedTrie = undefined,

    pub fn init(dish: *Dish, socket: *Socket) error{OutOfMemory}!void {
        dish.groups = .init(socket.resources.allocator);
    }

    pub fn deinit(dish: *Dish, _: *Socket) void {
        dish.groups.deinit();
    }

    // -- peers ----------------------------------------------------------------------------------

    pub fn attach(dish: *Dish, _: *Socket, pipe: *Pipe) void {
        dish.queue.activate(pipe);
    }

    pub fn established(dish: *Dish, _: *Socket, pipe: *Pipe) void {
        var groups = dish.groups.iterator();
        while (groups.next()) |group| {
            // It would miss groups: the next connection is told all of them again.
            pipe.write_join(true, group) catch return pipe.doom(.out_of_memory);
        }
    }

    pub fn detach(dish: *Dish, socket: *Socket, pipe: *Pipe) void {
        if (dish.queue.detach(pipe)) socket.cut_message();
    }

    pub fn pipe_readable(dish: *Dish, _: *Socket, pipe: *Pipe) void {
        dish.queue.activate(pipe);
    }

    // -- the owner's calls ----------------------------------------------------------------------

    /// Joins or leaves. Twice is once too often, as in libzmq.
    pub fn subscribe(
        dish: *Dish,
        socket: *Socket,
        group: []const u8,
        joins: bool,
    ) sockets.SubscribeError!void {
        if (!valid_group(group) or dish.groups.has(group) == joins) return error.InvalidArgument;
        if (joins) {
            _ = try dish.groups.add(group);
        } else _ = dish.groups.remove(group);
        socket.record.topics = @intCast(dish.groups.total().topics);
        var next = socket.pipes.first();
        while (next) |pipe| : (next = socket.pipes.next(pipe)) {
            if (!pipe.connected or pipe.orphaned) continue;
            pipe.write_join(joins, group) catch pipe.doom(.out_of_memory);
        }
    }

    pub fn fill(dish: *Dish, socket: *Socket) sockets.ReceiveError!void {
        const ring = &socket.ring;
        const messages_max = socket.begin_fill() orelse return;
        var messages: u32 = 0;
        while (messages < messages_max and ring.free_entries() > 1 and !dish.queue.empty()) {
            if (dish.fill_message(socket)) messages += 1;
        }
        socket.record.messages_received += messages;
    }

    /// False: the message was dropped.
    fn fill_message(dish: *Dish, socket: *Socket) bool {
        const ring = &socket.ring;
        const arena = &socket.resources.arena;
        const queue = &dish.queue;
        const group = queue.next_part(arena).?;
        const bytes = group.part.bytes[0..group.part.len];
        const complete = group.part.more and valid_group(bytes);
        if (!complete or !dish.groups.has(bytes)) {
            socket.release_part(group.part);
            if (group.part.more) socket.drop_rest(queue);
            const record = socket.record;
            (if (complete) &record.dropped_filtered else &record.dropped_malformed).* += 1;
            return false;
        }
        ring.begin_message();
        ring.push(arena, group.part, group.pipe.session);
        const body = queue.next_part(arena).?;
        if (!body.part.more) {
            ring.push(arena, body.part, body.pipe.session);
            return true;
        }
        socket.release_part(body.part);
        socket.drop_rest(queue);
        ring.cut_message(socket.resources);
        socket.record.dropped_malformed += 1;
        return false;
    }

    pub fn readable(dish: *const Dish, socket: *const Socket) bool {
        return socket.ring.waiting() > 0 or !dish.queue.empty();
    }
};
