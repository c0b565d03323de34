//! What the layers above ask of the kernel, in words that no kernel interface owns.
//!
//! An I/O back end is a type with the declarations listed below; the core takes it as a comptime
//! parameter, so the same state machines run on the kernel (backend.zig) and on a simulation.
//!
//!     wake_fd                      the eventfd that Bun sleeps on
//!     begin, reap, finish          one turn (decision 5: the tick protocol, fence included)
//!     poll                         whether something has come, without waiting
//!     signals                      whether the eventfd is signalled when something comes
//!     wait                         sleep until something happens or a deadline passes
//!     sleep, wake                  the same between turns, until another thread wakes us
//!     watch_readable, watch_writable, unwatch, accept, connect, cancel, set_deadline
//!     open, bind, listen, local_address, close, ... plain calls on descriptors
//!     receive, receive_vector, send_vector   the bytes
//!     now_ns, wall_us              the clocks; virtual in a simulation
//!
//! Of these, backend.zig leaves to uring.zig or epoll.zig what has to do with waiting.
//!
//! What may not be here: any system call, any knowledge of ZMTP.

const std = @import("std");
const assert = std.debug.assert;

pub const Descriptor = i32;

/// Who is at the other end of a unix socket; 0: not known.
pub const Credentials = struct { process_id: u32 = 0, user_id: u32 = 0 };

/// Which request a completion answers.
pub const Operation = enum(u8) {
    /// The answer to a cancellation, or anything else nobody waits for.
    none = 0,
    /// A listener took a connection; the result is its descriptor.
    accept,
    /// A connection attempt ended.
    connect,
    /// Bytes, end of file or an error can be read.
    readable,
    /// The kernel takes bytes again.
    writable,
    /// The nearest deadline passed.
    deadline,
};

/// What is packed into a request's user_data: never a pointer, so that a late completion of a
/// recycled slot is recognised and dropped. `epoch` counts the incarnations of one owner (a
/// session reconnects under the same handle); the handle itself carries a generation.
pub const Token = packed struct(u64) {
    operation: Operation,
    epoch: u24 = 0,
    handle: u32 = 0,

    pub fn from_int(value: u64) Token {
        return @bitCast(value);
    }
    pub fn to_int(token: Token) u64 {
        return @bitCast(token);
    }
};

pub const Completion = struct {
    token: Token,
    /// Non-negative result, or a negated errno.
    result: i32,
    /// A multishot request goes on; false means it has to be made again.
    more: bool,
};

/// Bits in the result of `readable` that tell of an end behind the bytes (poll(2): ERR, HUP,
/// RDHUP). It is told once: whoever stops at a short read without having looked at this misses it.
pub const readable_end: i32 = 0x0008 | 0x0010 | 0x2000;

/// How many completions one call of `reap` hands over.
pub const completions_max = 64;

/// The kernel objects of one turn cannot be had; the caller ends one connection or one call.
pub const SubmitError = error{SystemResources};

pub const ReceiveError = error{
    /// Nothing there now; a `readable` completion follows.
    WouldBlock,
    ConnectionReset,
    TimedOut,
    SystemResources,
    Unexpected,
};

pub const SendError = error{
    /// The kernel takes nothing now.
    WouldBlock,
    BrokenPipe,
    ConnectionReset,
    TimedOut,
    SystemResources,
    Unexpected,
};

pub const BindError = error{
    AddressInUse,
    AddressNotAvailable,
    AddressFamilyNotSupported,
    PermissionDenied,
    NoSuchPath,
    NameTooLong,
    NotADirectory,
    /// The option `interface`.
    NotPermitted,
    NoSuchDevice,
    DescriptorsExhausted,
    SystemResources,
    InvalidArgument,
    Unexpected,
};

/// What follows a turn.
pub const Next = enum {
    /// The owner's event loop, which may sleep on the eventfd.
    event_loop,
    /// Another call of ours: to be signalled is not worth a system call.
    call,
    /// As `event_loop`, but before it may sleep its owner looks with `poll`.
    poll,
};

/// Which back end is wanted, and which there is.
pub const Kind = enum(u32) { automatic = 0, io_uring = 1, epoll = 2 };

/// What calls Bun's event loop.
pub const Wake = enum(u32) {
    /// The ring has the eventfd.
    eventfd = 0,
    aio = 1,
    thread = 2,
};

/// Why it is not io_uring.
pub const Refusal = struct {
    step: Step = .none,
    errno: u16 = 0,

    pub const Step = enum(u32) {
        none = 0,
        /// The other one was asked for.
        choice,
        set_up,
        /// The eventfd cannot be switched off during a turn.
        eventfd_flag,
        first_poll,
        eventfd,
    };
};

/// Counters that every back end keeps; the ABI shows them.
pub const Counters = struct {
    /// System calls made by the back end, byte transfers included.
    system_calls: u64 = 0,
    receives: u64 = 0,
    sends: u64 = 0,
    /// Turns in which the kernel had work for us.
    wakeups: u64 = 0,
};

test "a token survives its trip through the kernel: a late completion finds its owner" {
    const token: Token = .{ .operation = .readable, .epoch = 0xabcdef, .handle = 0xfedcba98 };
    const back = Token.from_int(token.to_int());
    try std.testing.expectEqual(token, back);
    try std.testing.expect(token.to_int() != 0);
    assert(@sizeOf(Token) == 8);
}
