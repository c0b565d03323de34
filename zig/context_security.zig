//! Who may come in: what the owner is asked about a peer, and its verdict. Part of context.zig, in
//! a file of its own for its length.

const Verdict = @import("core/secure_session.zig").Verdict;

/// A peer that waits to be let in.
pub const Question = extern struct {
    session: u32 = 0,
    /// To be given with the answer.
    request: u32 = 0,
    /// In a proxy: 0 front, 1 back, 2 capture.
    socket: u32 = 0,
    /// 1: we have connected to it.
    connecting: u32 = 0,
    /// A Mechanism.
    mechanism: u32 = 0,
    /// The listener or the connecting session that it belongs to.
    endpoint: u32 = 0,
    /// PLAIN: what it says of itself, not proved.
    username_bytes: u32 = 0,
    password_bytes: u32 = 0,
    username: [256]u8 = @splat(0),
    password: [256]u8 = @splat(0),
    /// CURVE: its long-term key, which it has proved to have.
    public_key: [32]u8 = @splat(0),
    /// Of ipc, when it connected; 0: not known.
    process_id: u32 = 0,
    user_id: u32 = 0,
    /// Its address as an endpoint string.
    text_bytes: u32 = 0,
    text: [128]u8 = @splat(0),
};

/// Null: it does not wait any more.
pub fn authentication(context: anytype, handle: u32, request: u32) ?Question {
    const session = asking(context, handle, request) orelse return null;
    const waiting = session.engine.state.handshaking.waiting().?;
    const credentials = &waiting.credentials;
    var question: Question = .{
        .session = handle,
        .request = request,
        .mechanism = @intFromEnum(waiting.mechanism),
        .endpoint = session.endpoint,
        .connecting = @intFromBool(session.kind == .connecting),
        .username_bytes = @intCast(credentials.user.len),
        .password_bytes = @intCast(credentials.password.len),
        .public_key = waiting.public_key,
    };
    @memcpy(question.username[0..credentials.user.len], credentials.user);
    @memcpy(question.password[0..credentials.password.len], credentials.password);
    const address = session.peer_address();
    question.text_bytes = @intCast(address.format_endpoint(&question.text).len);
    if (address.family() != .unix) return question;
    const peer = session.io.peer_credentials(session.fd);
    question.process_id = peer.process_id;
    question.user_id = peer.user_id;
    return question;
}

/// False: it has left, or was answered.
pub fn authenticated(context: anytype, handle: u32, request: u32, verdict: Verdict) bool {
    const session = asking(context, handle, request) orelse return false;
    context.apply(session, session.answer(verdict));
    // Its handle is there for as long as it is: what it had sent is looked at in the next turn.
    context.io.submit();
    return true;
}

fn asking(context: anytype, handle: u32, request: u32) ?*@TypeOf(context.*).Session {
    const session = context.session_table.get(handle) orelse return null;
    return if (session.asking and session.epoch == request) session else null;
}
