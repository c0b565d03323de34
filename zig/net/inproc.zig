//! Connections inside the process, between sockets of one thread or of two: memory changes hands,
//! nothing is copied on the way and no descriptor is there.
//!
//!     names: "jobs" ─▶ Binding                waiting: Link "other", Link ...
//!
//!     context of a thread                        context of another one
//!     Mailbox ◀── post ───────┐      ┌─── post ──▶ Mailbox ──▶ wake
//!     session ── End ◀═══════ Link ═══════▶ End ── session
//!                inbox: parcel ▶ parcel     inbox: parcel ▶ ...
//!
//! A parcel is a stretch of framed messages in a block that belongs to no context: the sender's
//! segment, as it is. Threads meet in three locks: the registry's for bind, connect and close, a
//! link's for one hand-over or one collection, a mailbox's for putting an end into it. They are
//! taken in this order, once per flush or turn and never per message.
//!
//! An end belongs to the thread of its session; the other side touches only what the link's lock
//! guards. A mailbox, part of its context, is there for as long as one of its ends is open or a
//! name is bound with it: whoever posts does so under the lock under which those are closed.

const std = @import("std");
const assert = std.debug.assert;

const copy = @import("../stdx/copy.zig").copy;
const List = @import("../stdx/intrusive_list.zig").List;
const ListLink = @import("../stdx/intrusive_list.zig").Link;
const Lock = @import("../stdx/lock.zig").Lock;
const shared_blocks = @import("../stdx/shared_blocks.zig");
const Block = @import("../stdx/slab.zig").Block;
const SocketType = @import("../zmtp/socket_type.zig").SocketType;

/// Links and names outlive the context that made them.
const system = std.heap.c_allocator;

/// 256 that users write, and what tells the names of one group of sockets from those of others.
pub const name_bytes_max = 256 + 64;
const routing_id_bytes_max = 255;

/// Whole frames on their way; begins the block that holds them.
pub const Parcel = struct {
    next: ?*Parcel = null,
    bytes: [*]const u8,
    len: u32,
    block: Block,

    pub fn free(parcel: *Parcel) void {
        shared_blocks.free(parcel.block);
    }
};

pub const Chain = struct {
    first: ?*Parcel = null,
    last: ?*Parcel = null,

    pub fn push(chain: *Chain, parcel: *Parcel) void {
        assert(parcel.next == null and parcel.len > 0);
        if (chain.last) |last| last.next = parcel else chain.first = parcel;
        chain.last = parcel;
    }

    fn append(chain: *Chain, other: Chain) void {
        const first = other.first orelse return;
        if (chain.last) |last| last.next = first else chain.first = first;
        chain.last = other.last;
    }

    pub fn free(chain: *Chain) void {
        while (chain.first) |parcel| {
            chain.first = parcel.next;
            parcel.free();
        }
        chain.last = null;
    }
};

/// What a socket tells its peer: the place of a handshake.
pub const About = struct {
    socket_type: SocketType,
    /// Messages that it queues, and that it has received and not read; 0 for no limit.
    send_high_water_mark: u32,
    receive_high_water_mark: u32,
    /// Bytes that it queues, those in the link included; 0 for no limit.
    send_high_water_mark_bytes: u32 = 0,
    /// What it could not drop any more it does not hand over: the receiver's own mark is the most.
    holds_back: bool = false,
    routing_id_bytes: u8 = 0,
    routing_id_buffer: [routing_id_bytes_max]u8 = undefined,

    pub fn routing_id(about: *const About) []const u8 {
        return about.routing_id_buffer[0..about.routing_id_bytes];
    }

    pub fn set_routing_id(about: *About, id: []const u8) void {
        assert(id.len <= routing_id_bytes_max);
        @memcpy(about.routing_id_buffer[0..id.len], id);
        about.routing_id_bytes = @intCast(id.len);
    }

    /// What may be between `sender` and `receiver`: their marks add up, and no limit on one side is
    /// none at all.
    pub fn limit(sender: *const About, receiver: *const About) u32 {
        if (sender.send_high_water_mark == 0 or receiver.receive_high_water_mark == 0) return 0;
        return sender.send_high_water_mark +| receiver.receive_high_water_mark;
    }

    /// What the receiver may have of a sender that holds back.
    fn hold(sender: *const About, receiver: *const About) u32 {
        if (!sender.holds_back) return 0;
        const mark = receiver.receive_high_water_mark;
        return if (mark == 0) std.math.maxInt(u32) else mark;
    }

    fn same_marks(a: *const About, b: *const About) bool {
        return a.send_high_water_mark == b.send_high_water_mark and
            a.receive_high_water_mark == b.receive_high_water_mark and
            a.send_high_water_mark_bytes == b.send_high_water_mark_bytes and
            a.holds_back == b.holds_back;
    }
};

/// What has become of what was handed over: messages that the peer has read, and bytes that it has
/// taken out of the link.
pub const Credits = struct {
    messages: u32 = 0,
    bytes: u64 = 0,

    fn any(credits: *const Credits) bool {
        return credits.messages > 0 or credits.bytes > 0;
    }

    fn enough(credits: *const Credits, wanted: *const Credits) bool {
        return credits.messages >= wanted.messages and credits.bytes >= wanted.bytes;
    }
};

/// Calls the thread of a mailbox; safe from any thread.
pub const Waker = struct {
    target: *const anyopaque,
    call: *const fn (target: *const anyopaque) void,
};

/// The ends of one context that something has happened to.
pub const Mailbox = struct {
    waker: Waker,
    lock: Lock = .{},
    news: List(End, .mail_link) = .{},
    /// As in `news`, for a look without the lock.
    count: std.atomic.Value(u32) = .init(0),
    /// Open ends and bound names: while there are any, other threads may wake this one.
    members: std.atomic.Value(u32) = .init(0),

    /// What a thread has posted to itself is seen; what others post wakes us.
    pub fn waiting(mailbox: *const Mailbox) u32 {
        return mailbox.count.load(.monotonic);
    }

    pub fn used(mailbox: *const Mailbox) bool {
        return mailbox.members.load(.monotonic) > 0;
    }

    fn join(mailbox: *Mailbox) void {
        _ = mailbox.members.fetchAdd(1, .monotonic);
    }

    fn leave(mailbox: *Mailbox) void {
        const before = mailbox.members.fetchSub(1, .monotonic);
        assert(before > 0);
    }

    /// The next end that has news; `collect` tells them.
    pub fn next(mailbox: *Mailbox) ?*End {
        mailbox.lock.acquire();
        defer mailbox.lock.release();
        const end = mailbox.news.pop_front();
        mailbox.update();
        return end;
    }

    /// The thread that posts to itself as part of a turn looks by itself: `from` is its mailbox.
    fn post(mailbox: *Mailbox, end: *End, from: ?*const Mailbox) void {
        mailbox.lock.acquire();
        const first = mailbox.news.empty();
        if (!end.mail_link.linked()) mailbox.news.push_back(end);
        mailbox.update();
        mailbox.lock.release();
        if (first and mailbox != from) mailbox.waker.call(mailbox.waker.target);
    }

    fn forget(mailbox: *Mailbox, end: *End) void {
        mailbox.lock.acquire();
        defer mailbox.lock.release();
        if (end.mail_link.linked()) mailbox.news.remove(end);
        mailbox.update();
    }

    fn update(mailbox: *Mailbox) void {
        mailbox.count.store(@intCast(mailbox.news.count), .monotonic);
    }
};

/// For ends that no context has at the moment: their socket moves to another thread.
pub var transit: Mailbox = .{ .waker = .{ .target = &transit, .call = nobody } };

fn nobody(_: *const anyopaque) void {}

/// One side of a link, held by a session.
pub const End = struct {
    link: *Link,
    mailbox: *Mailbox,
    about: About,
    /// The session that holds it; null: the listener has not taken it yet.
    session: ?u32 = null,
    listener: u32 = 0,
    mail_link: ListLink = .{},

    /// The link's lock guards these.
    open: bool = false,
    inbox: Chain = .{},
    credits: Credits = .{},
    /// With so many we can go on and want to be told; none: they are looked at when there is an
    /// occasion.
    credits_wanted: Credits = .{},

    /// The owner's own: what it has collected and not received.
    collected: Chain = .{},
    /// Bytes received that the peer has not been told of, and with how many it is.
    taken_bytes: u64 = 0,
    tell_bytes: u64 = tell_bytes_max,
    position: u32 = 0,
    joined: bool = false,
    peer_gone: bool = false,

    /// What the peer said of itself. Its type and its id stay, its marks may change.
    pub fn peer(end: *End) *const About {
        assert(end.joined);
        return &end.opposite().about;
    }

    fn opposite(end: *End) *End {
        const ends = &end.link.ends;
        return if (end == &ends[0]) &ends[1] else &ends[0];
    }

    /// Hands over parcels of whole messages; returns what has become of those before.
    pub fn send(end: *End, chain: Chain) error{Closed}!Credits {
        assert(chain.first != null);
        const to = end.opposite();
        end.link.lock.acquire();
        defer end.link.lock.release();
        if (!to.open) return error.Closed;
        to.inbox.append(chain);
        to.mailbox.post(to, end.mailbox);
        return end.take_credits();
    }

    /// Takes so many credits or more if they are there. Otherwise none, and they will be news.
    pub fn want(end: *End, wanted: Credits) Credits {
        assert(wanted.any());
        end.link.lock.acquire();
        defer end.link.lock.release();
        if (end.credits.enough(&wanted)) return end.take_credits();
        end.credits_wanted = wanted;
        return .{};
    }

    fn take_credits(end: *End) Credits {
        defer end.credits = .{};
        end.credits_wanted = .{};
        return end.credits;
    }

    /// Tells the peer that `count` of its messages have been read.
    pub fn acknowledge(end: *End, count: u32) void {
        end.give(.{ .messages = count });
    }

    fn give(end: *End, credits: Credits) void {
        const to = end.opposite();
        end.link.lock.acquire();
        defer end.link.lock.release();
        if (!to.open) return;
        to.credits.messages +|= credits.messages;
        to.credits.bytes +|= credits.bytes;
        const wanted = &to.credits_wanted;
        if (wanted.any() and to.credits.enough(wanted)) to.mailbox.post(to, end.mailbox);
    }

    /// Other high-water marks of this side.
    pub fn set_marks(end: *End, marks: *const About) void {
        const own = &end.about;
        if (own.same_marks(marks)) return;
        const to = end.opposite();
        end.link.lock.acquire();
        defer end.link.lock.release();
        own.send_high_water_mark = marks.send_high_water_mark;
        own.receive_high_water_mark = marks.receive_high_water_mark;
        own.send_high_water_mark_bytes = marks.send_high_water_mark_bytes;
        own.holds_back = marks.holds_back;
        end.mailbox.post(end, null);
        if (to.open) to.mailbox.post(to, null);
    }

    /// What `collect` found besides parcels.
    pub const News = struct {
        credits: Credits = .{},
        /// How many of ours, and of the peer's, may be under way; 0 for no limit.
        send_limit: u32 = 0,
        receive_limit: u32 = 0,
        /// How many of ours the peer may have, when the others are to wait here; and how many of
        /// the peer's we may have, when it does so. 0: it is no matter.
        send_hold: u32 = 0,
        receive_hold: u32 = 0,
    };

    /// Takes what the other side has left here. Null: there is no other side yet.
    pub fn collect(end: *End) ?News {
        end.link.lock.acquire();
        defer end.link.lock.release();
        assert(end.open);
        if (!end.link.joined) return null;
        const from = end.opposite();
        end.collected.append(end.inbox);
        end.inbox = .{};
        end.joined = true;
        end.peer_gone = !from.open;
        end.tell_bytes = tell_step(from.about.send_high_water_mark_bytes);
        return .{
            .credits = end.take_credits(),
            .send_limit = About.limit(&end.about, &from.about),
            .receive_limit = About.limit(&from.about, &end.about),
            .send_hold = About.hold(&end.about, &from.about),
            .receive_hold = About.hold(&from.about, &end.about),
        };
    }

    /// Always, since the sender counts from the beginning and may set a mark at any time.
    const tell_bytes_max = 1 << 20;

    /// Half of a full queue has to be known to have gone.
    fn tell_step(mark: u64) u64 {
        return if (mark == 0) tell_bytes_max else std.math.clamp(mark / 4, 1, tell_bytes_max);
    }

    /// As recv(2) on what was collected: 0 when the peer has gone and all of it is read.
    pub fn receive(end: *End, buffers: []const []u8) error{WouldBlock}!usize {
        var received: usize = 0;
        for (buffers) |buffer| received += end.receive_into(buffer);
        end.taken_bytes += received;
        if (end.taken_bytes >= end.tell_bytes) {
            end.give(.{ .bytes = end.taken_bytes });
            end.taken_bytes = 0;
        }
        if (received > 0 or end.peer_gone) return received;
        return error.WouldBlock;
    }

    fn receive_into(end: *End, buffer: []u8) usize {
        var filled: usize = 0;
        while (end.collected.first) |parcel| {
            const rest = parcel.bytes[end.position..parcel.len];
            const step = @min(rest.len, buffer.len - filled);
            copy(buffer[filled..][0..step], rest[0..step]);
            filled += step;
            end.position += @intCast(step);
            if (end.position < parcel.len) break;
            end.position = 0;
            end.collected.first = parcel.next;
            if (parcel.next == null) end.collected.last = null;
            parcel.free();
        }
        return filled;
    }

    /// There is something to receive, be it the end.
    pub fn readable(end: *const End) bool {
        return end.collected.first != null or end.peer_gone;
    }

    /// Goes to a session of another context. Until that has taken it, to `transit`.
    pub fn move(end: *End, to: *Mailbox, session: u32) void {
        end.link.lock.acquire();
        defer end.link.lock.release();
        assert(end.open and end.joined);
        end.mailbox.forget(end);
        end.mailbox.leave();
        end.mailbox = to;
        end.session = session;
        to.join();
        to.post(end, null);
    }

    /// Leaves the link: the peer receives what was sent and then its end. The end is gone.
    pub fn close(end: *End) void {
        const link = end.link;
        registry.withdraw(link);
        link.lock.acquire();
        assert(end.open);
        end.open = false;
        end.mailbox.forget(end);
        end.mailbox.leave();
        const to = end.opposite();
        const last = !to.open;
        if (!last) to.mailbox.post(to, null);
        var inbox = end.inbox;
        var collected = end.collected;
        end.inbox = .{};
        end.collected = .{};
        link.lock.release();
        inbox.free();
        collected.free();
        if (last) link.destroy();
    }
};

/// A connection, or a connect that waits for its bind.
const Link = struct {
    lock: Lock = .{},
    /// The one that connected, the one that is bound.
    ends: [2]End,
    joined: bool = false,
    /// In the registry, with its lock: the name is not bound.
    waiting_link: ListLink = .{},
    name_bytes: u16,
    name_buffer: [name_bytes_max]u8 = undefined,

    fn name(link: *const Link) []const u8 {
        return link.name_buffer[0..link.name_bytes];
    }

    fn join(link: *Link, binding: *const Binding) void {
        link.lock.acquire();
        defer link.lock.release();
        link.ends[1] = .{
            .link = link,
            .mailbox = binding.mailbox,
            .about = binding.about,
            .listener = binding.listener,
            .open = true,
        };
        link.joined = true;
        binding.mailbox.join();
        binding.mailbox.post(&link.ends[1], null);
    }

    fn destroy(link: *Link) void {
        for (&link.ends) |*end| assert(end.inbox.first == null and end.collected.first == null);
        system.destroy(link);
        _ = live_links.fetchSub(1, .monotonic);
    }
};

var live_links: std.atomic.Value(u32) = .init(0);

/// Links of the whole process, connected or waiting.
pub fn live() u32 {
    return live_links.load(.monotonic);
}

/// A bound name.
pub const Binding = struct {
    mailbox: *Mailbox,
    listener: u32,
    about: About,
    name_bytes: u16,
    name_buffer: [name_bytes_max]u8 = undefined,

    pub fn name(binding: *const Binding) []const u8 {
        return binding.name_buffer[0..binding.name_bytes];
    }

    /// Frees the name; its links stay. Links that the listener has not taken are in its mailbox.
    pub fn unbind(binding: *Binding) void {
        registry.lock.acquire();
        assert(registry.bound.remove(binding.name()));
        registry.lock.release();
        binding.mailbox.leave();
        system.destroy(binding);
    }
};

const Registry = struct {
    lock: Lock = .{},
    bound: std.StringHashMapUnmanaged(*Binding) = .empty,
    waiting: List(Link, .waiting_link) = .{},

    fn withdraw(names: *Registry, link: *Link) void {
        names.lock.acquire();
        defer names.lock.release();
        if (link.waiting_link.linked()) names.waiting.remove(link);
    }
};

var registry: Registry = .{};

/// Binds a name and joins all who wait for it; `listener` takes them, and those who come later, out
/// of `mailbox`.
pub fn bind(
    name: []const u8,
    mailbox: *Mailbox,
    listener: u32,
    about: *const About,
) error{ AddressInUse, OutOfMemory }!*Binding {
    assert(name.len > 0 and name.len <= name_bytes_max);
    const binding = try system.create(Binding);
    errdefer system.destroy(binding);
    binding.* = .{
        .mailbox = mailbox,
        .listener = listener,
        .about = about.*,
        .name_bytes = @intCast(name.len),
    };
    @memcpy(binding.name_buffer[0..name.len], name);
    registry.lock.acquire();
    defer registry.lock.release();
    const entry = try registry.bound.getOrPut(system, binding.name());
    if (entry.found_existing) return error.AddressInUse;
    entry.value_ptr.* = binding;
    mailbox.join();
    var next = registry.waiting.first();
    while (next) |link| {
        next = registry.waiting.next(link);
        if (!std.mem.eql(u8, link.name(), name)) continue;
        registry.waiting.remove(link);
        link.join(binding);
        // Its end may close at once, not before it has the registry's lock, or move.
        link.lock.acquire();
        link.ends[0].mailbox.post(&link.ends[0], null);
        link.lock.release();
    }
    return binding;
}

/// Connects to a name, or waits for it: then the end is news in `mailbox` when it has a peer.
pub fn connect(
    name: []const u8,
    mailbox: *Mailbox,
    session: u32,
    about: *const About,
) error{OutOfMemory}!*End {
    assert(name.len > 0 and name.len <= name_bytes_max);
    const link = try system.create(Link);
    _ = live_links.fetchAdd(1, .monotonic);
    const end: End = .{
        .link = link,
        .mailbox = mailbox,
        .about = about.*,
        .session = session,
        .open = true,
    };
    link.* = .{ .ends = .{ end, end }, .name_bytes = @intCast(name.len) };
    link.ends[1].open = false;
    mailbox.join();
    @memcpy(link.name_buffer[0..name.len], name);
    registry.lock.acquire();
    defer registry.lock.release();
    if (registry.bound.get(name)) |binding| {
        link.join(binding);
    } else registry.waiting.push_back(link);
    return &link.ends[0];
}

const testing = std.testing;
const linux = std.os.linux;

/// A thread's side in tests: a mailbox whose wake is an eventfd, as in a context.
const Party = struct {
    mailbox: Mailbox = undefined,
    eventfd: i32 = -1,
    wakes: std.atomic.Value(u32) = .init(0),

    fn init(party: *Party) void {
        party.* = .{ .eventfd = @intCast(linux.eventfd(0, linux.EFD.CLOEXEC)) };
        party.mailbox = .{ .waker = .{ .target = party, .call = wake } };
    }

    fn deinit(party: *Party) void {
        assert(party.mailbox.waiting() == 0);
        _ = linux.close(party.eventfd);
    }

    fn wake(target: *const anyopaque) void {
        const party: *Party = @ptrCast(@alignCast(@constCast(target)));
        _ = party.wakes.fetchAdd(1, .monotonic);
        const one: u64 = 1;
        _ = linux.write(party.eventfd, std.mem.asBytes(&one), 8);
    }

    fn sleep(party: *Party) void {
        var value: u64 = 0;
        _ = linux.read(party.eventfd, std.mem.asBytes(&value), 8);
    }

    /// The next end with news, whenever it comes.
    fn await_news(party: *Party) *End {
        while (true) {
            if (party.mailbox.next()) |end| return end;
            party.sleep();
        }
    }
};

const about_test: About = .{
    .socket_type = .push,
    .send_high_water_mark = 2,
    .receive_high_water_mark = 3,
};

fn parcel_of(bytes: []const u8) !Chain {
    const block = try shared_blocks.allocate(@sizeOf(Parcel) + bytes.len);
    const parcel: *Parcel = @ptrCast(block.ptr);
    const data = block[@sizeOf(Parcel)..][0..bytes.len];
    @memcpy(data, bytes);
    parcel.* = .{ .bytes = data.ptr, .len = @intCast(bytes.len), .block = block };
    var chain: Chain = .{};
    chain.push(parcel);
    return chain;
}

test "a name is bound once, free after unbind, and found by whoever connected before" {
    const links = live();
    var here: Party = .{};
    here.init();
    defer here.deinit();
    const early = try connect("inproc test: early", &here.mailbox, 7, &about_test);
    try testing.expectEqual(null, early.collect());
    try testing.expectEqual(0, here.mailbox.waiting());

    var other = about_test;
    other.set_routing_id("binder");
    const binding = try bind("inproc test: early", &here.mailbox, 9, &other);
    const again = bind("inproc test: early", &here.mailbox, 9, &about_test);
    try testing.expectError(error.AddressInUse, again);
    try testing.expectEqual(2, here.mailbox.waiting());
    const taken = here.mailbox.next().?;
    try testing.expectEqual(early, here.mailbox.next().?);
    try testing.expectEqual(null, taken.session);
    try testing.expectEqual(9, taken.listener);
    try testing.expectEqual(5, early.collect().?.send_limit);
    try testing.expectEqual(5, taken.collect().?.receive_limit);
    try testing.expectEqualStrings("binder", early.peer().routing_id());
    // No limit on one side is none at all.
    var changed = other;
    changed.send_high_water_mark = 2;
    changed.receive_high_water_mark = 0;
    taken.set_marks(&changed);
    try testing.expectEqual(0, early.collect().?.send_limit);
    try testing.expectEqual(5, early.collect().?.receive_limit);

    binding.unbind();
    const free_again = try bind("inproc test: early", &here.mailbox, 9, &about_test);
    free_again.unbind();
    // The link does not depend on the name.
    _ = try early.send(try parcel_of("hello"));
    _ = taken.collect();
    var buffer: [16]u8 = undefined;
    try testing.expectEqual(5, try taken.receive(&.{&buffer}));
    early.close();
    taken.close();
    try testing.expectEqual(links, live());
    try testing.expect(!here.mailbox.used());
}

test "what a peer sent before it left is read, and then its end: a terminated Worker's results" {
    const blocks = shared_blocks.live();
    var here: Party = .{};
    here.init();
    defer here.deinit();
    const binding = try bind("inproc test: left", &here.mailbox, 1, &about_test);
    const sender = try connect("inproc test: left", &here.mailbox, 2, &about_test);
    defer binding.unbind();
    while (here.mailbox.next()) |end| _ = end.collect();
    const receiver = &sender.link.ends[1];
    var buffer: [4]u8 = undefined;
    try testing.expectError(error.WouldBlock, receiver.receive(&.{&buffer}));
    _ = try sender.send(try parcel_of("one two"));
    _ = try sender.send(try parcel_of(" three"));
    sender.close();
    try testing.expectEqual(receiver, here.mailbox.next().?);
    _ = receiver.collect();
    var text: [16]u8 = undefined;
    // Two buffers as with a large frame, and then small ones across parcels.
    try testing.expectEqual(3, try receiver.receive(&.{ text[0..1], text[1..3] }));
    var length: usize = 3;
    while (true) {
        const count = try receiver.receive(&.{&buffer});
        if (count == 0) break;
        @memcpy(text[length..][0..count], buffer[0..count]);
        length += count;
    }
    try testing.expectEqualStrings("one two three", text[0..length]);
    var refused = try parcel_of("late");
    try testing.expectError(error.Closed, receiver.send(refused));
    refused.free();
    receiver.close();
    try testing.expectEqual(blocks, shared_blocks.live());
}

test "a thread is woken for the first news only, and not by itself: a system call each" {
    var here: Party = .{};
    here.init();
    defer here.deinit();
    var there: Party = .{};
    there.init();
    defer there.deinit();
    const binding = try bind("inproc test: wake", &there.mailbox, 1, &about_test);
    defer binding.unbind();
    const far = try connect("inproc test: wake", &here.mailbox, 2, &about_test);
    const near = try connect("inproc test: wake", &there.mailbox, 3, &about_test);
    while (here.mailbox.next()) |end| _ = end.collect();
    while (there.mailbox.next()) |end| _ = end.collect();
    const wakes = there.wakes.load(.monotonic);
    for (0..3) |_| _ = try far.send(try parcel_of("x"));
    try testing.expectEqual(wakes + 1, there.wakes.load(.monotonic));
    while (there.mailbox.next()) |end| _ = end.collect();
    for (0..3) |_| _ = try near.send(try parcel_of("x"));
    try testing.expectEqual(wakes + 1, there.wakes.load(.monotonic));
    try testing.expectEqual(1, there.mailbox.waiting());
    // What was read is told when the sender waits for it, and enough has come together.
    far.opposite().acknowledge(1);
    try testing.expectEqual(0, here.mailbox.waiting());
    try testing.expectEqual(Credits{}, far.want(.{ .messages = 3 }));
    far.opposite().acknowledge(1);
    try testing.expectEqual(0, here.mailbox.waiting());
    far.opposite().acknowledge(1);
    try testing.expectEqual(1, here.mailbox.waiting());
    try testing.expectEqual(Credits{ .messages = 3 }, far.collect().?.credits);
    for ([_]*End{ far, near }) |end| {
        const taken = end.opposite();
        end.close();
        taken.close();
    }
    // The ones that waited to be taken went with their ends.
    try testing.expectEqual(0, there.mailbox.waiting());
}

const stream_bytes = 4 * 1024 * 1024;

fn stream(party: *Party) !void {
    const end = try connect("inproc test: stream", &party.mailbox, 1, &about_test);
    defer end.close();
    while (end.collect() == null) assert(party.await_news() == end);
    var sent: usize = 0;
    var bytes: [5000]u8 = undefined;
    var credits: u32 = 4;
    while (sent < stream_bytes) {
        while (credits == 0) {
            credits += end.want(.{ .messages = 2 }).messages;
            if (credits > 0) break;
            assert(party.await_news() == end);
            credits += end.collect().?.credits.messages;
        }
        const step = @min(1 + sent % bytes.len, stream_bytes - sent);
        for (bytes[0..step], sent..) |*byte, i| byte.* = @truncate(i *% 7);
        credits += (try end.send(try parcel_of(bytes[0..step]))).messages;
        credits -= 1;
        sent += step;
    }
}

test "a stream between threads arrives whole and in order, with the sender held back" {
    const blocks = shared_blocks.live();
    var here: Party = .{};
    here.init();
    defer here.deinit();
    var there: Party = .{};
    there.init();
    defer there.deinit();
    const sender = try std.Thread.spawn(.{}, stream, .{&there});
    const binding = try bind("inproc test: stream", &here.mailbox, 1, &about_test);
    defer binding.unbind();
    var received: usize = 0;
    var buffer: [3000]u8 = undefined;
    var end: *End = undefined;
    while (received <= stream_bytes) {
        end = here.await_news();
        _ = end.collect();
        const before = received;
        while (end.receive(&.{&buffer})) |count| {
            if (count == 0) break;
            for (buffer[0..count], received..) |byte, i| {
                try testing.expectEqual(@as(u8, @truncate(i *% 7)), byte);
            }
            received += count;
        } else |_| {}
        if (received == before and end.peer_gone) break;
        // As many as may have been on their way.
        end.acknowledge(4);
        if (end.peer_gone) break;
    }
    sender.join();
    try testing.expectEqual(stream_bytes, received);
    end.close();
    try testing.expectEqual(blocks, shared_blocks.live());
}

const races = 5000;

fn race(party: *Party, over: *const std.atomic.Value(bool)) !void {
    var i: u32 = 0;
    while (!over.load(.monotonic)) : (i += 1) {
        const end = try connect("inproc test: race", &party.mailbox, 1, &about_test);
        if (i % 3 == 0) {
            var chain = try parcel_of("unread");
            if (end.send(chain)) |_| {} else |_| chain.free();
        }
        if (i % 5 == 0) _ = end.collect();
        end.close();
    }
}

test "bind, connect and close from two threads at once leave nothing behind" {
    const links = live();
    const blocks = shared_blocks.live();
    var here: Party = .{};
    here.init();
    defer here.deinit();
    var there: Party = .{};
    there.init();
    defer there.deinit();
    var over: std.atomic.Value(bool) = .init(false);
    const other = try std.Thread.spawn(.{}, race, .{ &there, &over });
    var joined: u32 = 0;
    while (joined < races) {
        const binding = try bind("inproc test: race", &here.mailbox, 1, &about_test);
        if (here.mailbox.next()) |end| {
            _ = end.collect();
            end.acknowledge(1);
            end.close();
            joined += 1;
        }
        binding.unbind();
    }
    over.store(true, .monotonic);
    other.join();
    while (here.mailbox.next()) |end| end.close();
    try testing.expectEqual(links, live());
    try testing.expectEqual(blocks, shared_blocks.live());
}
