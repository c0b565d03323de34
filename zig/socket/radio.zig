//! RADIO (RFC 48): a message of two parts, group and body, goes to all peers who joined exactly
//! that group. Joins count when they arrive. Nothing is received.

const std = @import("std");
const assert = std.debug.assert;

const constants = @import("../constants.zig");
const Distributor = @import("distributor.zig").Distributor;
const Pipe = @import("../core/pipe.zig").Pipe;
const sockets = @import("socket.zig");
const Socket = sockets.Socket;
const SubscriptionTrie = @import("subscription_trie.zig").SubscriptionTrie;

const none = std.math.maxInt(u32);

pub const Radio = struct {
    distributor: Distributor = .{},
    groups: SubscriptionTrie = undefined,
    /// By `Pipe.number`; null: that number is in `free`.
    peers: std.ArrayList(?*Pipe) = .empty,
    free: std.ArrayList(u32) = .empty,

    pub fn init(radio: *Radio, socket: *Socket) error{OutOfMemory}!void {
        radio.groups = .init(socket.resources.allocator);
    }

    pub fn deinit(radio: *Radio, socket: *Socket) void {
        assert(radio.free.items.len == radio.peers.items.len);
        radio.distributor.deinit(&socket.resources.slabs);
        radio.groups.deinit();
        radio.peers.deinit(socket.resources.allocator);
        radio.free.deinit(socket.resources.allocator);
    }

    // -- peers ----------------------------------------------------------------------------------

    pub fn attach(radio: *Radio, socket: *Socket, pipe: *Pipe) void {
        pipe.number = radio.place(socket, pipe) catch none;
        radio.examine(socket, pipe);
    }

    fn place(radio: *Radio, socket: *Socket, pipe: *Pipe) error{OutOfMemory}!u32 {
        const allocator = socket.resources.allocator;
        if (radio.free.items.len == 0) {
            // The place that it leaves some day needs no memory then.
            try radio.free.ensureTotalCapacity(allocator, radio.peers.items.len + 1);
            try radio.peers.append(allocator, null);
            radio.free.appendAssumeCapacity(@intCast(radio.peers.items.len - 1));
        }
        const number = radio.free.pop().?;
        radio.peers.items[number] = pipe;
        return number;
    }

    pub fn established(radio: *Radio, socket: *Socket, pipe: *Pipe) void {
        if (pipe.number != none) return;
        pipe.number = radio.place(socket, pipe) catch return pipe.doom(.out_of_memory);
    }

    pub fn detach(radio: *Radio, socket: *Socket, pipe: *Pipe) void {
        radio.orphan(socket, pipe);
        if (pipe.number == none) return;
        radio.peers.items[pipe.number] = null;
        radio.free.appendAssumeCapacity(pipe.number);
        pipe.number = none;
    }

    pub fn orphan(radio: *Radio, socket: *Socket, pipe: *Pipe) void {
        if (radio.distributor.detach(pipe)) socket.record.dropped_disconnect += 1;
        radio.forget(socket, pipe);
    }

    fn forget(radio: *Radio, socket: *Socket, pipe: *Pipe) void {
        if (pipe.number == none) return;
        radio.groups.remove_all(pipe.number, {}, ignore);
        radio.changed(socket, pipe);
        socket.notify();
    }

    fn ignore(_: void, _: []const u8, _: bool) void {}

    // -- what peers send ------------------------------------------------------------------------

    pub fn pipe_readable(radio: *Radio, socket: *Socket, pipe: *Pipe) void {
        radio.examine(socket, pipe);
    }

    /// A group to join (1) or to leave (0); whatever else a peer sends is no message for anyone.
    fn examine(radio: *Radio, socket: *Socket, pipe: *Pipe) void {
        const arena = &socket.resources.arena;
        while (pipe.receive.messages > 0) {
            if (pipe.doomed_link.linked()) {
                // Too many: none of the rest is wanted.
                const count = pipe.drop_received();
                socket.record.subscriptions_received += count;
                socket.record.subscriptions_refused += count;
                return pipe.taken();
            }
            var part = pipe.receive.next_part(arena);
            const bytes = part.bytes[0..part.len];
            const understood = !part.more and bytes.len > 0 and bytes[0] <= 1 and
                valid_group(bytes[1..]);
            if (understood) {
                socket.record.subscriptions_received += 1;
                radio.apply(socket, pipe, bytes[0] == 1, bytes[1..]);
            } else socket.record.dropped_malformed += 1;
            socket.release_part(part);
            while (part.more) {
                part = pipe.receive.next_part(arena);
                socket.release_part(part);
            }
            pipe.taken();
        }
    }

    fn apply(radio: *Radio, socket: *Socket, pipe: *Pipe, joins: bool, group: []const u8) void {
        // It has gone, and with it all that it had joined.
        if (pipe.orphaned or pipe.number == none) return;
        if (!joins) {
            _ = radio.groups.remove(group, pipe.number);
            return radio.changed(socket, pipe);
        }
        const added = radio.groups.add(group, pipe.number) catch return pipe.doom(.out_of_memory);
        if (added != .duplicate and radio.over_limit(socket, pipe)) {
            _ = radio.groups.remove(group, pipe.number);
            socket.record.subscriptions_refused += 1;
            return pipe.doom(.too_many_subscriptions);
        }
        radio.changed(socket, pipe);
    }

    fn over_limit(radio: *const Radio, socket: *const Socket, pipe: *const Pipe) bool {
        const groups_max = socket.options.subscriptions_max;
        const bytes_max = socket.options.subscription_bytes_max;
        const usage = radio.groups.usage(pipe.number);
        return (groups_max != 0 and usage.topics > groups_max) or
            (bytes_max != 0 and usage.bytes > bytes_max);
    }

    fn changed(radio: *Radio, socket: *Socket, pipe: *const Pipe) void {
        socket.record.topics = @intCast(radio.groups.total().topics);
        // It may want nothing any more of what it had no room for.
        if (radio.distributor.blocked == pipe) radio.distributor.blocked = null;
        socket.occurred(.{ .subscribed = true });
    }

    // -- the owner's calls ----------------------------------------------------------------------

    pub fn send(
        radio: *Radio,
        socket: *Socket,
        part: []const u8,
        more: bool,
        _: bool,
    ) sockets.SendError!void {
        const distributor = &radio.distributor;
        if (distributor.open) {
            if (!more) return distributor.write(socket, part, false);
            distributor.cancel();
            return error.InvalidMessage;
        }
        if (!more or !valid_group(part)) return error.InvalidMessage;
        radio.groups.match_exact(part, radio, select);
        try distributor.begin(socket, socket.options.publisher_no_drop == 0);
        try distributor.write(socket, part, true);
    }

    fn select(radio: *Radio, number: u32) void {
        radio.distributor.select(radio.peers.items[number].?);
    }

    pub fn writable(radio: *const Radio, socket: *const Socket) bool {
        const pipe = radio.distributor.blocked orelse return true;
        return !pipe.send_full or socket.options.publisher_no_drop == 0;
    }

    /// How many peers would get a message of this group.
    pub fn subscribed(radio: *Radio, group: []const u8) u32 {
        var count: u32 = 0;
        radio.groups.match_exact(group, &count, add_one);
        return count;
    }

    fn add_one(count: *u32, _: u32) void {
        count.* += 1;
    }
};

/// libzmq's: it was a C string once.
pub fn valid_group(group: []const u8) bool {
    return group.len <= constants.group_bytes_max and std.mem.indexOfScalar(u8, group, 0) == null;
}
