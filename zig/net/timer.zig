//! A deadline of a session, a socket or a listener, in the context's one heap.

const Node = @import("../stdx/deadline_heap.zig").Node;

pub const Timer = struct {
    node: Node = .{},
    kind: Kind,
    /// The session's, the socket's or the listener's.
    handle: u32,

    pub const Kind = enum(u8) {
        /// End of a connect attempt, of a handshake or of a pause between attempts; later the
        /// nearest moment of the connection's heartbeat.
        session,
        /// End of a closed socket's linger time.
        linger,
        /// End of a disconnected endpoint's linger time.
        session_linger,
        /// Time to accept again after descriptors ran out.
        listener,
        /// Memory that was not needed for a while goes back to the system.
        trim,
        /// Time to look again whether there is memory for what is to be encrypted.
        flush,
    };
};
