//! Every limit of the library with its unit and its reason; relations are asserted at comptime.

const std = @import("std");
const assert = std.debug.assert;

/// What the owner lends for receiving, bytes. 64 KiB is what one recv(2) of a busy loopback
/// connection returns, and it stays in the L2 cache.
pub const arena_bytes_default = 64 * 1024;
/// A chunk larger than this gains nothing and evicts the L2 cache.
pub const arena_bytes_max = 1024 * 1024;
/// Free space below which no further recv(2) goes into the chunk: a small one costs as much as a
/// large one.
pub const arena_free_bytes_min = 8 * 1024;
/// With less free space than this a turn does not begin to receive: a tail and one small read.
pub const arena_turn_bytes_min = arena_frame_bytes_max + 9 + arena_free_bytes_min;
/// An incomplete frame up to this size waits in the connection's tail and is received again into
/// the arena; a larger one gets a buffer of its own.
pub const arena_frame_bytes_max = 32 * 1024;
/// Room behind a large frame's own buffer for the header of the next frame, so that one recvmsg
/// ends a frame and tells what follows. Small, since what lands there of a body is copied.
pub const large_trailer_bytes = 256;
/// A frame is never given more than this in one step before its bytes have arrived.
pub const large_step_bytes = 16 * 1024 * 1024;
/// Largest frame we can represent in a descriptor and in a JavaScript buffer.
pub const frame_bytes_max: u64 = (1 << 31) - 1;
/// Parts of one message from the network. A million tiny frames would otherwise take memory
/// without ever completing a message.
pub const message_parts_max = 64 * 1024;

/// Framed bytes that are flushed at once rather than at the end of the turn: from 32 KiB on a
/// system call costs under 9 ns per small message.
pub const flush_bytes = 56 * 1024;
/// Data of a small connection's first send segment, and of a busy one's segments.
pub const segment_bytes_small = 1024;
pub const segment_bytes = 64 * 1024;
/// A payload of at least this size is gathered by the kernel instead of copied, when it stays
/// valid until the flush. Equal cost at 1.5 KiB, measured.
pub const gather_bytes_min = 1536;
/// A single send of at least this size is not worth waiting for more: it is gathered and flushed
/// at once. Below, copying (about 10 ns per KiB) is cheaper than a system call of its own.
pub const send_now_bytes_min = 24 * 1024;

/// Entries of a socket's ring of received parts, shared with JavaScript.
pub const receive_ring_entries = 512;

/// Connections, listeners, sockets of one context.
pub const sockets_max = 64 * 1024;
pub const sessions_max = 1024 * 1024 - 1;

/// Bytes of the records shared with the owner for one turn's events.
pub const events_max = 256;

/// Socket events kept for a reader that is slow; older ones are dropped and counted.
pub const monitor_events_max = 256;

comptime {
    assert(arena_frame_bytes_max * 2 <= arena_bytes_default);
    assert(arena_turn_bytes_min < arena_bytes_default);
    assert(flush_bytes < segment_bytes);
    assert(gather_bytes_min < send_now_bytes_min);
    assert(send_now_bytes_min < segment_bytes);
    assert(std.math.isPowerOfTwo(receive_ring_entries));
    assert(large_step_bytes > arena_frame_bytes_max);
    assert(large_trailer_bytes >= 9);
}
