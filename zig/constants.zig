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
pub const message_parts_max_default = 64 * 1024;
/// Bytes of one message from the network in all its parts: as much as one frame may have.
pub const whole_message_bytes_max_default = 2_147_483_647;
/// Connections of one listener: as many as have descriptors on most machines.
pub const connections_max_default = 64 * 1024;
/// Accepted connections whose handshake is not done. An honest one takes a round trip, so these are
/// ten thousand new peers a second over 100 ms; silent ones take 1 MiB and no more.
pub const handshakes_max_default = 1000;
/// First words of CURVE that are looked at in one turn; each costs a tenth of a millisecond or two.
/// A flood of them waits for its turn then, and whoever has come further does not.
pub const strangers_per_turn = 16;
/// Who is refused for his keys or credentials waits up to so many reconnect intervals: nothing has
/// changed after one, and each attempt costs the server as much as an honest one.
pub const refused_interval_growth = 64;

/// Framed bytes of one queue that are flushed at once rather than at the end of the turn: from
/// 32 KiB on a system call costs under 9 ns per small message.
pub const flush_bytes = 56 * 1024;
/// The same for all queues together: a hundred peers get their messages in a few system calls
/// each, and what waits still fits the caches.
pub const flush_total_bytes = 16 * flush_bytes;
/// What a message within the process counts for at least towards `flush_bytes`: 512 of them are
/// handed over at once, so that the receiver begins long before the high-water marks are reached.
pub const hand_over_bytes_min = flush_bytes / 512;
/// So often what has been read of a peer in this process is told to it at least, messages. Without
/// a wake-up: a sender that is not held back learns of it with what it hands over next.
pub const acknowledge_every_max = 256;
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

/// What one peer may subscribe to: topics, and the bytes of all of them. A million topics cost a
/// publisher 100 MiB; a real subscriber has a few thousand.
pub const subscriptions_max_default = 100_000;
pub const subscription_bytes_max_default = 16 * 1024 * 1024;

/// Subscriptions, cancels and messages that an XPUB keeps for its reader, bytes: 400,000 of them.
/// Messages stop coming at half of it, so that the other half is left for what cannot wait.
pub const notices_bytes_max = 64 * 1024 * 1024;

/// A published message of at least this size is never copied for a peer: it takes a quarter of the
/// block that it keeps from being used again.
pub const share_bytes_min = 16 * 1024;
/// Smaller ones are, in a queue that is behind, until so many bytes of them came in a row.
pub const share_row_bytes_min = 4 * 1024;

/// The largest block of a publisher that is used again: larger ones go with their message.
pub const shared_bytes_kept = 1024 * 1024;

/// A SUBSCRIBE with a topic of 1 MiB: the longest that we take.
pub const topic_bytes_max = 1024 * 1024;
pub const command_bytes_max = topic_bytes_max + 16;

/// A group of RADIO and DISH; libzmq's limit.
pub const group_bytes_max = 255;

/// Routing ids of the messages in a ring: of 256 messages of 32 bytes each, of 32 with the longest.
pub const receive_scratch_bytes = 8 * 1024;

/// Connections, listeners, sockets of one context.
pub const sockets_max = 64 * 1024;
pub const sessions_max = handle_slots - listeners_max;
pub const listeners_max = 64 * 1024;
/// What 20 bits of a handle tell apart. Sessions and listeners share them: both are endpoints, and
/// one must not be taken for the other.
pub const handle_slots = 1024 * 1024;

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
    assert(whole_message_bytes_max_default == frame_bytes_max);
    assert(share_row_bytes_min < share_bytes_min and share_bytes_min < segment_bytes);
}
