//! The ZMTP engine of one connection: bytes from the peer become runs of whole frames, commands
//! and, for a frame too large for the arena, a request for a buffer. It knows no descriptor.
//!
//!     handshaking ──▶ traffic
//!
//! Nothing here trusts a length: sizes are compared in 64 bits before they are narrowed, and
//! nothing is allocated because a peer declared it.

const std = @import("std");
const assert = std.debug.assert;

const command = @import("../zmtp/command.zig");
const constants = @import("../constants.zig");
const frame = @import("../zmtp/frame.zig");
const handshakes = @import("../zmtp/handshake.zig");
const Handshake = handshakes.Handshake;
const metadata_bytes_max = @import("../options.zig").metadata_bytes_max;
const Reason = @import("monitor.zig").Reason;
const Secure = @import("secure.zig").Secure;
const slab = @import("../stdx/slab.zig");
const Slabs = slab.Slabs;

comptime {
    assert(metadata_bytes_max == handshakes.extra_metadata_size_max);
}

pub const Large = struct {
    header_bytes: u32,
    body_bytes: u32,
    more: bool,
    /// A subscription to a long topic.
    command: bool = false,
};

/// What `scan` made of the bytes it was given.
pub const Scan = struct {
    /// Whole frames at the beginning, bytes.
    frames_bytes: u32 = 0,
    /// Messages that end in them, and where the last one does.
    messages: u32 = 0,
    boundary_end: u32 = 0,
    /// Frames of messages with others behind them: with `messages` that is all there are.
    parts_begun: u32 = 0,
    /// What comes right behind them.
    then: union(enum) {
        /// Nothing, or the beginning of a frame.
        rest,
        /// A whole command frame.
        command: struct { frame_bytes: u32, body: []const u8 },
        /// A frame that gets a buffer of its own.
        large: Large,
        /// The peer broke the protocol.
        failure: Reason,
    } = .rest,
};

pub const Engine = struct {
    state: union(enum) {
        /// No connection.
        idle,
        /// Greeting and mechanism; memory of its own, gone when it is done.
        handshaking: *Handshake,
        /// Messages and commands; with CURVE they come encrypted.
        traffic: ?*Secure,
    } = .idle,
    /// Largest frame we take, bytes.
    frame_bytes_max: u64 = constants.frame_bytes_max,
    /// Frames longer than this get a buffer of their own when they are incomplete.
    arena_frame_bytes_max: u32 = constants.arena_frame_bytes_max,
    /// Commands up to this may be longer than the arena's frames: publishers take long topics.
    command_bytes_max: u32 = 0,
    /// Of one message, in all its parts.
    message_bytes_max: u64 = constants.frame_bytes_max,
    parts_max: u32 = constants.message_parts_max_default,
    /// Parts received of the message that is not complete yet, and their bytes.
    parts: u32 = 0,
    message_bytes: u64 = 0,
    /// Size of the last whole frame with its header: a guess at the next ones.
    frame_bytes_last: u32 = 0,

    pub fn start(
        engine: *Engine,
        slabs: *Slabs,
        config: handshakes.Config,
        secured: ?*handshakes.Secured,
        output: *handshakes.Output,
    ) error{OutOfMemory}!void {
        assert(engine.state == .idle);
        errdefer if (secured) |it| it.destroy();
        const handshake = try slabs.create(Handshake);
        errdefer slabs.destroy(handshake);
        handshake.* = .init(config);
        handshake.config.extra_metadata = try keep_metadata(slabs, config.extra_metadata);
        handshake.secured = secured;
        handshake.start(output);
        engine.state = .{ .handshaking = handshake };
        engine.begin_message();
    }

    pub fn handshake_done(engine: *Engine, slabs: *Slabs) error{OutOfMemory}!void {
        var secure: ?*Secure = null;
        if (engine.state.handshaking.secured) |secured| {
            var cipher = secured.take_cipher();
            if (cipher) |*it| {
                defer it.wipe();
                secure = try Secure.create(slabs, it);
            }
        }
        engine.end_handshake(slabs);
        engine.state = .{ .traffic = secure };
    }

    /// What encrypts and decrypts; null: nothing does.
    pub fn security(engine: *const Engine) ?*Secure {
        return if (engine.state == .traffic) engine.state.traffic else null;
    }

    fn end_handshake(engine: *Engine, slabs: *Slabs) void {
        const handshake = engine.state.handshaking;
        const metadata = handshake.config.extra_metadata;
        if (metadata.len > 0) slabs.free_bytes(metadata);
        if (handshake.secured) |secured| secured.destroy();
        slabs.destroy(handshake);
    }

    /// What a handshake tells the peer beyond the usual: the owner may change it before it is sent.
    pub fn keep_metadata(slabs: *Slabs, metadata: []const u8) error{OutOfMemory}![]const u8 {
        if (metadata.len == 0) return "";
        const block = try slabs.allocate(metadata.len);
        @memcpy(block[0..metadata.len], metadata);
        return block[0..metadata.len];
    }

    pub fn stop(engine: *Engine, slabs: *Slabs) void {
        if (engine.state == .handshaking) engine.end_handshake(slabs);
        if (engine.security()) |secure| secure.destroy(slabs);
        engine.state = .idle;
        engine.begin_message();
    }

    /// What comes was taken before, or comes from this process.
    pub fn trust(engine: *Engine) void {
        engine.frame_bytes_max = constants.frame_bytes_max;
        engine.message_bytes_max = std.math.maxInt(u64);
        engine.parts_max = std.math.maxInt(u32);
    }

    fn begin_message(engine: *Engine) void {
        engine.parts = 0;
        engine.message_bytes = 0;
    }

    /// The largest next frame of the message that is not complete yet.
    fn body_bytes_max(engine: *const Engine) u64 {
        const left = engine.message_bytes_max -| engine.message_bytes;
        return @min(engine.frame_bytes_max, left);
    }

    /// Before it is known what a frame is: a short command is no part of a message.
    pub fn any_frame_bytes_max(engine: *const Engine) u64 {
        const commands = @max(engine.command_bytes_max, engine.arena_frame_bytes_max);
        return @min(engine.frame_bytes_max, @max(engine.message_bytes_max, commands));
    }

    pub fn too_large(engine: *const Engine, body_bytes: u64) Reason {
        return if (body_bytes > engine.frame_bytes_max) .frame_too_large else .message_too_large;
    }

    /// Walks over whole frames. Stops at a command, a large frame, a violation, or the end.
    pub fn scan(engine: *Engine, bytes: []const u8) Scan {
        assert(engine.state == .traffic);
        assert(bytes.len <= std.math.maxInt(u32));
        var result: Scan = .{};
        var position: u32 = 0;
        var parts = engine.parts;
        var bytes_max = engine.body_bytes_max();
        const end: u32 = @intCast(bytes.len);
        while (frame.decode(bytes[position..])) |header| {
            const header_bytes: u32 = header.header_size;
            // A command is no part of the message that it comes in the middle of.
            if (header.body_size > bytes_max and
                (!header.command() or header.body_size > engine.frame_bytes_max))
            {
                result.then = .{ .failure = engine.too_large(header.body_size) };
                break;
            }
            const body_bytes: u32 = @intCast(header.body_size);
            const available = end - position - header_bytes;
            // One test for the two rare cases.
            if (bytes[position] & (frame.flag_command | frame.flags_reserved) != 0) {
                if (bytes[position] & frame.flags_reserved != 0) {
                    result.then = .{ .failure = .reserved_flags };
                    break;
                }
                result.then = engine.scan_command(bytes[position..], header, available);
                break;
            }
            if (body_bytes > available) {
                if (body_bytes > engine.arena_frame_bytes_max) result.then = .{ .large = .{
                    .header_bytes = header_bytes,
                    .body_bytes = body_bytes,
                    .more = header.more(),
                } };
                break;
            }
            position += header_bytes + body_bytes;
            engine.frame_bytes_last = header_bytes + body_bytes;
            if (header.more()) {
                parts += 1;
                result.parts_begun += 1;
                if (parts >= engine.parts_max) {
                    result.then = .{ .failure = .message_too_many_parts };
                    break;
                }
                engine.message_bytes += body_bytes;
                bytes_max = engine.body_bytes_max();
            } else {
                if (parts > 0) {
                    engine.message_bytes = 0;
                    bytes_max = engine.body_bytes_max();
                }
                parts = 0;
                result.messages += 1;
                result.boundary_end = position;
            }
        }
        result.frames_bytes = position;
        engine.parts = parts;
        return result;
    }

    /// At a command frame, of which so much of the body is there.
    fn scan_command(
        engine: *const Engine,
        bytes: []const u8,
        header: frame.Header,
        available: u32,
    ) @FieldType(Scan, "then") {
        const header_bytes: u32 = header.header_size;
        const body_bytes: u32 = @intCast(header.body_size);
        const is_large = header_bytes + body_bytes > engine.arena_frame_bytes_max;
        // Also when all of it is here: where the bytes were cut must not decide.
        if (is_large and body_bytes > engine.command_bytes_max) {
            return .{ .failure = .malformed_command };
        }
        if (body_bytes <= available) return .{ .command = .{
            .frame_bytes = header_bytes + body_bytes,
            .body = bytes[header_bytes..][0..body_bytes],
        } };
        if (!is_large) return .rest;
        return .{ .large = .{
            .header_bytes = header_bytes,
            .body_bytes = body_bytes,
            .more = false,
            .command = true,
        } };
    }

    /// What an encrypted large frame turned out to hold. `scan` has seen those that are not
    /// encrypted.
    pub fn check_large(engine: *const Engine, body_bytes: usize, is_command: bool) ?Reason {
        if (is_command) {
            return if (body_bytes > engine.command_bytes_max) .malformed_command else null;
        }
        return if (body_bytes > engine.body_bytes_max()) engine.too_large(body_bytes) else null;
    }

    /// A large frame is complete.
    pub fn large_done(engine: *Engine, body_bytes: u32, more: bool) error{TooManyParts}!void {
        if (!more) return engine.begin_message();
        engine.parts += 1;
        engine.message_bytes += body_bytes;
        if (engine.parts >= engine.parts_max) return error.TooManyParts;
    }
};

/// What a command after the handshake asks for. Unknown ones, and a late READY or ERROR, are
/// ignored as libzmq ignores them.
pub const Request = union(enum) {
    nothing,
    /// Answer with this frame; without a sign of life the peer wants to be dead after its TTL, in
    /// tenths of a second, 0: never.
    ping: struct { answer: []const u8, ttl: u16 },
    /// The answer to one of our PINGs, with its context.
    pong: []const u8,
    /// A topic or a group is subscribed to (1) or cancelled (0).
    subscription: struct { first: u8, topic: []const u8 },
    failure: Reason,
};

pub fn act_on_command(body: []const u8, buffer: *[command.pong_frame_size_max]u8) Request {
    // Not even a name: what follows is not what the peer meant to send either.
    const parsed = command.parse(body) catch return .{ .failure = .malformed_command };
    switch (parsed.name) {
        .ping => {
            const ping = command.parse_ping(parsed.data) catch {
                return .{ .failure = .malformed_command };
            };
            const answer = command.encode_pong(buffer, ping.context);
            return .{ .ping = .{ .answer = answer, .ttl = ping.ttl } };
        },
        .pong => return .{ .pong = parsed.data },
        .subscribe, .join => return .{ .subscription = .{ .first = 1, .topic = parsed.data } },
        .cancel, .leave => return .{ .subscription = .{ .first = 0, .topic = parsed.data } },
        else => return .nothing,
    }
}
