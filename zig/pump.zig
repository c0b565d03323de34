//! Moves whole messages between two sockets of one context, as a proxy does: what comes in at one
//! goes out at the other, and a copy of everything to a third one, if it is there.
//!
//!     front ══ forward ══▶ back        capture ◀── both
//!     front ◀═ backward ══ back
//!
//! A message is taken only when the other side has room for it: a full receiver stops the reading
//! of the sender, nothing is dropped here. What sockets drop by their nature (a publisher, a router
//! without the peer) they count themselves.

const std = @import("std");
const assert = std.debug.assert;

const frame = @import("zmtp/frame.zig");
const receive_ring = @import("core/receive_ring.zig");

/// What went through, by side; messages and the bytes of their parts.
pub const Statistics = extern struct {
    front: Side = .{},
    back: Side = .{},

    pub const Side = extern struct {
        messages_in: u64 = 0,
        bytes_in: u64 = 0,
        messages_out: u64 = 0,
        bytes_out: u64 = 0,
    };
};

/// Messages that one direction moves before the other gets its turn; libzmq's number.
const burst_messages_max = 1000;

pub fn PumpType(comptime Context: type) type {
    return struct {
        const Pump = @This();
        const Slot = Context.Slot;

        context: *Context,
        front: u32,
        back: u32,
        /// 0: none.
        capture: u32 = 0,
        statistics: Statistics = .{},
        /// Messages that were taken from a socket before it came here, as frames: they go first.
        front_pending: []const u8 = "",
        back_pending: []const u8 = "",
        /// Takes back a lent buffer.
        release: *const fn (owner: *anyopaque, id: u32) void,
        owner: *anyopaque,

        /// One burst in each direction. False: nothing could be moved.
        pub fn run(pump: *Pump) bool {
            const front = pump.context.get(pump.front).?;
            const back = pump.context.get(pump.back).?;
            const statistics = &pump.statistics;
            var moved = pump.burst(.{
                .from = front,
                .to = back,
                .in = &statistics.front,
                .out = &statistics.back,
                .pending = &pump.front_pending,
            });
            if (pump.front == pump.back) return moved;
            moved = pump.burst(.{
                .from = back,
                .to = front,
                .in = &statistics.back,
                .out = &statistics.front,
                .pending = &pump.back_pending,
            }) or moved;
            return moved;
        }

        const Direction = struct {
            from: *Slot,
            to: *Slot,
            in: *Statistics.Side,
            out: *Statistics.Side,
            pending: *[]const u8,
        };

        fn burst(pump: *Pump, direction: Direction) bool {
            var count: u32 = 0;
            while (count < burst_messages_max) : (count += 1) {
                if (!direction.to.socket.writable()) break;
                if (pump.capture != 0) {
                    // As with libzmq a capture that takes nothing stops everything.
                    if (!pump.context.get(pump.capture).?.socket.writable()) break;
                }
                const moved = if (direction.pending.len > 0)
                    pump.move_pending(direction)
                else
                    pump.move(direction);
                if (!moved) break;
            }
            return count > 0;
        }

        /// Moves one message. False: there is none, or the other side did not take it.
        fn move(pump: *Pump, direction: Direction) bool {
            const ring = &direction.from.socket.ring;
            if (ring.waiting() == 0 and !pump.fill(direction.from)) return false;
            var dropping = false;
            var first = true;
            while (true) {
                // More parts than the ring holds.
                if (ring.waiting() == 0) assert(pump.fill(direction.from));
                const part = ring.peek(ring.cursor.taken);
                // Nothing here ends a connection between two parts of its message.
                assert(part.flags & receive_ring.flag_cut == 0);
                const more = part.flags & receive_ring.flag_more != 0;
                if (!dropping) {
                    const result = pump.send(direction, part.bytes, more);
                    if (result == .full and first) return false;
                    dropping = result != .sent;
                }
                first = false;
                pump.take(ring);
                if (!more) return true;
            }
        }

        fn fill(pump: *Pump, slot: *Slot) bool {
            pump.context.fill(slot) catch return false;
            return slot.socket.ring.waiting() > 0;
        }

        fn take(pump: *Pump, ring: *receive_ring.ReceiveRing) void {
            const entry = ring.entry_at(ring.cursor.taken);
            if (entry.flags & receive_ring.flag_lent != 0) pump.release(pump.owner, entry.place);
            ring.cursor.taken +%= 1;
        }

        fn move_pending(pump: *Pump, direction: Direction) bool {
            var rest = direction.pending.*;
            var dropping = false;
            var first = true;
            while (frame.decode(rest)) |header| {
                const size: usize = @intCast(header.body_size);
                const body = rest[header.header_size..][0..size];
                rest = rest[header.header_size + size ..];
                if (!dropping) {
                    const result = pump.send(direction, body, header.more());
                    if (result == .full and first) return false;
                    dropping = result != .sent;
                }
                first = false;
                if (!header.more()) break;
            }
            direction.pending.* = rest;
            return true;
        }

        /// `gone`: nobody is there for it, or there is no memory; the rest of it is skipped.
        fn send(
            pump: *Pump,
            direction: Direction,
            part: []const u8,
            more: bool,
        ) enum { sent, full, gone } {
            const context = pump.context;
            context.send(direction.to, part, more, false) catch |failure| switch (failure) {
                error.WouldBlock => return .full,
                error.Unroutable => {
                    direction.to.socket.record.dropped_unroutable += 1;
                    return .gone;
                },
                else => {
                    direction.to.socket.record.dropped_no_peer += 1;
                    return .gone;
                },
            };
            direction.in.bytes_in += part.len;
            direction.out.bytes_out += part.len;
            if (!more) {
                direction.in.messages_in += 1;
                direction.out.messages_out += 1;
            }
            if (pump.capture != 0) pump.copy(part, more);
            return .sent;
        }

        fn copy(pump: *Pump, part: []const u8, more: bool) void {
            const capture = pump.context.get(pump.capture).?;
            pump.context.send(capture, part, more, false) catch {
                capture.socket.record.dropped_no_peer += 1;
            };
        }
    };
}
