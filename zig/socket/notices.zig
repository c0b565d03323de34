//! What the reader of an XPUB has not read: subscriptions, cancels, messages of its peers, in the
//! order in which they came. Subscriptions count as soon as they arrive, so they do not wait in
//! their pipes; here they are kept for a reader who may never come, within a limit.
//!
//!     note: run ─▶ block [ origin | 01topic ]
//!           run ─▶ block [ origin ], bytes in a lent buffer

const std = @import("std");
const assert = std.debug.assert;

const constants = @import("../constants.zig");
const copy = @import("../stdx/copy.zig").copy;
const Part = @import("../core/receive_queue.zig").Part;
const Resources = @import("../core/pipe.zig").Resources;
const Run = @import("../core/receive_queue.zig").Run;
const slab = @import("../stdx/slab.zig");
const Slabs = slab.Slabs;

/// Whose it is; the peer may have gone since.
pub const Origin = extern struct {
    /// The session, for the reader.
    source: u32,
    peer: u32,
    generation: u32,
    kind: Kind,

    pub const Kind = enum(u32) {
        /// A subscription or a cancel.
        subscription,
        /// A part of a message.
        message,
        /// A part that is a subscription as well.
        both,
    };
};

/// Parts of one message, or notes of any kind.
pub const Notices = struct {
    head: ?*Run = null,
    last: ?*Run = null,
    bytes: u64 = 0,

    pub fn empty(notices: *const Notices) bool {
        return notices.head == null;
    }

    /// Adds a copy of a part, which comes in two pieces.
    pub fn push(
        notices: *Notices,
        slabs: *Slabs,
        origin: Origin,
        first: []const u8,
        rest: []const u8,
        more: bool,
    ) error{OutOfMemory}!void {
        const run = try slabs.create(Run);
        errdefer slabs.destroy(run);
        const len = first.len + rest.len;
        const block = try slabs.allocate(@sizeOf(Origin) + len);
        const bytes = block[@sizeOf(Origin)..];
        copy(bytes[0..first.len], first);
        copy(bytes[first.len..][0..rest.len], rest);
        run.* = .{
            .bytes = bytes.ptr,
            .len = @intCast(len),
            .storage = .slab,
            .more = more,
            .block = block,
        };
        notices.append(run, origin);
    }

    /// Adds a part that lies in a lent buffer, as it is.
    pub fn push_lent(
        notices: *Notices,
        slabs: *Slabs,
        origin: Origin,
        run: *Run,
    ) error{OutOfMemory}!void {
        assert(run.storage == .lent and run.next == null and run.block.len == 0);
        run.block = try slabs.allocate(@sizeOf(Origin));
        notices.append(run, origin);
    }

    fn append(notices: *Notices, run: *Run, origin: Origin) void {
        origin_of(run).* = origin;
        if (notices.last) |last| last.next = run else notices.head = run;
        notices.last = run;
        notices.bytes += cost(run);
    }

    fn origin_of(run: *Run) *Origin {
        return @ptrCast(@alignCast(run.block.ptr));
    }

    fn cost(run: *const Run) u64 {
        const lent = if (run.storage == .lent) run.len else 0;
        return @sizeOf(Run) + run.block.len + lent;
    }

    /// Takes over what is in the other one.
    pub fn push_all(notices: *Notices, other: *Notices) void {
        const head = other.head orelse return;
        if (notices.last) |last| last.next = head else notices.head = head;
        notices.last = other.last;
        notices.bytes += other.bytes;
        other.* = .{};
    }

    /// No part behind the last one after all.
    pub fn end_message(notices: *Notices) void {
        if (notices.last) |last| last.more = false;
    }

    pub const Taken = struct { part: Part, origin: Origin };

    /// The next part. Its memory goes with its run.
    pub fn pop(notices: *Notices) ?Taken {
        const run = notices.head orelse return null;
        notices.head = run.next;
        if (notices.head == null) notices.last = null;
        run.next = null;
        notices.bytes -= cost(run);
        return .{
            .part = .{
                .bytes = run.bytes,
                .len = run.len,
                .more = run.more,
                .run = run,
                .exhausted = true,
            },
            .origin = origin_of(run).*,
        };
    }

    pub fn clear(notices: *Notices, resources: *Resources) void {
        while (notices.pop()) |taken| resources.gone(taken.part.run);
    }
};

comptime {
    assert(slab.block_align >= @alignOf(Origin));
    assert(constants.notices_bytes_max > 0);
}

test "parts come out as they went in, and all memory comes back: an XPUB's reader would be misled" {
    const testing = std.testing;
    var resources: Resources = .{ .slabs = .init(1 << 20), .allocator = testing.allocator };
    defer resources.slabs.deinit();
    const slabs = &resources.slabs;
    const origin: Origin = .{ .source = 7, .peer = 1, .generation = 3, .kind = .subscription };
    var notices: Notices = .{};
    try notices.push(slabs, origin, "\x01", "topic", false);
    var message: Notices = .{};
    try message.push(slabs, origin, "", "one", true);
    try message.push(slabs, origin, "", "two", true);
    message.end_message();
    notices.push_all(&message);
    try testing.expect(message.empty() and message.bytes == 0);
    const Case = struct { []const u8, bool };
    for ([_]Case{ .{ "\x01topic", false }, .{ "one", true }, .{ "two", false } }) |case| {
        const taken = notices.pop().?;
        try testing.expectEqualStrings(case[0], taken.part.bytes[0..taken.part.len]);
        try testing.expectEqual(case[1], taken.part.more);
        try testing.expectEqual(origin, taken.origin);
        resources.gone(taken.part.run);
    }
    try testing.expectEqual(null, notices.pop());
    try testing.expectEqual(0, notices.bytes);
    slabs.fail_after = 1;
    try testing.expectError(error.OutOfMemory, notices.push(slabs, origin, "", "x", false));
    slabs.fail_after = null;
    try notices.push(slabs, origin, "", "x", false);
    notices.clear(&resources);
    try testing.expectEqual(0, slabs.live_bytes);
}
