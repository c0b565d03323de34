//! The I/O interface (io/io.zig) without a kernel: a network of byte streams in memory, a virtual
//! clock, and one seed that decides how bytes are cut, when completions come and what fails.
//!
//!     MemoryIO ─┐   what one context sees: descriptors, completions, its deadline
//!     MemoryIO ─┼─▶ Network: the clock, the streams, addresses, events in order of time
//!     Peer ─────┘   a stream's other end in the hands of a test
//!
//! A stream holds what was sent in two parts: bytes that have arrived and can be received, and
//! bytes under way. Every arrival fires the watches, once per arrival and not per level, as the
//! ring's multishot poll does. A watch keeps its stream alive like a poll request keeps a file:
//! closing a descriptor whose watch was forgotten does not tell the peer.

const std = @import("std");
const linux = std.os.linux;
const assert = std.debug.assert;

const io_module = @import("../io/io.zig");
const address_module = @import("../io/address.zig");
const transfer = @import("../io/transfer.zig");
const Address = address_module.Address;
const Completion = io_module.Completion;
const DeadlineHeap = @import("../stdx/deadline_heap.zig").DeadlineHeap;
const Descriptor = io_module.Descriptor;
const Node = @import("../stdx/deadline_heap.zig").Node;
const Prng = @import("../stdx/prng.zig").Prng;
const time = @import("../stdx/time.zig");
const Token = io_module.Token;

/// So many times out of a thousand.
pub const PerMille = u10;

pub const Options = struct {
    /// Bytes that one direction of a stream holds, under way and arrived.
    stream_bytes_max: u32 = 64 * 1024,
    /// Nanoseconds from sending to arrival, at most.
    latency_ns_max: u64 = 50 * time.ns_per_us,
    /// What was sent arrives in pieces of any size.
    split_arrival: PerMille = 0,
    /// The kernel takes less than there is room for.
    split_send: PerMille = 0,
    /// The kernel takes nothing although there is room.
    would_block: PerMille = 0,
    /// A turn's completions are not all handed over at once.
    split_reap: PerMille = 0,
    /// The completion of something cancelled takes its time.
    late_cancel: PerMille = 0,
    /// A connection is reset while it is received from.
    reset: PerMille = 0,
    /// While a stream is received from, its sender ends its direction.
    half_close: PerMille = 0,
    connect_refused: PerMille = 0,
    accept_fails: PerMille = 0,
    submit_fails: PerMille = 0,
    /// EMFILE of socket(2).
    open_fails: PerMille = 0,
    /// ENOBUFS of a transfer, with which a connection may go on or end.
    transfer_fails: PerMille = 0,
    /// A watch completes although nothing has happened.
    spurious: PerMille = 0,
    /// A multishot request ends with its completion and has to be made again.
    multishot_ends: PerMille = 0,
    /// Descriptors of one context.
    descriptors_max: u32 = 4096,

    /// Everything that is no failure, and much of it.
    pub const shaky: Options = .{
        .split_arrival = 500,
        .split_send = 300,
        .would_block = 100,
        .split_reap = 300,
        .late_cancel = 500,
    };
};

/// What can be done to a context. Counted as it happens: what never happened has proved nothing.
pub const Fault = enum {
    split_arrival,
    split_send,
    would_block,
    split_reap,
    late_cancel,
    reset,
    half_close,
    connect_refused,
    accept_fails,
    submit_fails,
    open_fails,
    transfer_fails,
    spurious,
    multishot_ends,
    // These have no chance of their own.
    descriptors_exhausted,
    backlog_full,
    /// Bytes, an end or a connection attempt that waited for a partition to heal.
    clogged,
};

pub const nodes_max = 8;

/// Where every clock begins.
pub const start_ns = 1000 * time.ns_per_s;

const Watch = struct { token: Token, kind: enum { readable, writable } };

const End = enum { none, closed, reset };

pub const Endpoint = struct {
    network: *Network,
    /// Null: a raw peer's.
    owner: ?*MemoryIO,
    /// The machine of its owner, also when that one has gone.
    node: u3 = 0,
    family: address_module.Family,
    local: Address = .{},
    remote: Address = .{},
    /// The other end of the stream; null: not connected.
    peer: ?*Endpoint = null,
    descriptor_open: bool = true,
    /// Nothing refers to it any more, and its peer was told.
    closed: bool = false,

    /// Sent to us: [.. received ..|head arrived |arrived under way |].
    inbox: std.ArrayList(u8) = .empty,
    head: usize = 0,
    arrived: usize = 0,
    inbox_max: u32,
    /// What follows the bytes under way, and what has arrived of it.
    end_coming: End = .none,
    end_arrived: End = .none,
    delivering: bool = false,
    /// What is under way waits for a partition to heal.
    held: bool = false,
    /// Our sending side: nothing more may be sent.
    sent_end: bool = false,

    watches: std.ArrayList(Watch) = .empty,
    connecting: ?Token = null,

    listening: bool = false,
    accepting: ?Token = null,
    backlog: std.ArrayList(*Endpoint) = .empty,
    backlog_max: u32 = 0,
    /// Shut down: what is sent to it is answered by a reset.
    deaf: bool = false,
    /// The peer's kernel answers nothing any more.
    cut: bool = false,
    /// A raw listener never answers in time, or a test takes the connections itself.
    raw: bool = false,

    pub fn room(endpoint: *const Endpoint) usize {
        const held = endpoint.inbox.items.len - endpoint.head;
        return endpoint.inbox_max - @min(held, endpoint.inbox_max);
    }

    fn compact(endpoint: *Endpoint) void {
        if (endpoint.head < 64 * 1024 and endpoint.head != endpoint.inbox.items.len) return;
        const rest = endpoint.inbox.items[endpoint.head..];
        std.mem.copyForwards(u8, endpoint.inbox.items[0..rest.len], rest);
        endpoint.inbox.items.len = rest.len;
        endpoint.arrived -= endpoint.head;
        endpoint.head = 0;
    }

    pub fn watch_count(endpoint: *const Endpoint) usize {
        return endpoint.watches.items.len;
    }

    fn readable(endpoint: *const Endpoint) bool {
        return endpoint.arrived > endpoint.head or endpoint.end_arrived != .none;
    }

    fn readable_mask(endpoint: *const Endpoint) i32 {
        return if (endpoint.end_arrived == .none) 1 else 1 | io_module.readable_end;
    }

    fn writable(endpoint: *const Endpoint) bool {
        const peer = endpoint.peer orelse return true;
        return peer.room() > 0 or endpoint.end_arrived == .reset;
    }
};

const Event = struct {
    node: Node = .{},
    action: union(enum) {
        deliver: *Endpoint,
        connect: *Endpoint,
        complete: struct { io: *MemoryIO, completion: Completion },
    },
};

pub const Network = struct {
    allocator: std.mem.Allocator,
    prng: Prng,
    options: Options,
    now_ns: u64 = start_ns,
    events: DeadlineHeap(Event, .node) = .{},
    endpoints: std.ArrayList(*Endpoint) = .empty,
    ios: std.ArrayList(*MemoryIO) = .empty,
    /// Files of unix sockets.
    paths: std.ArrayList(Address) = .empty,
    port_next: u16 = 40_000,
    /// This many more submissions succeed, the next one fails.
    submissions_left: ?u64 = null,
    submissions_failed: u64 = 0,
    faults: std.EnumArray(Fault, u64) = .initFill(0),
    /// Bytes that were taken from a sender and never given to a receiver.
    vanished_bytes: u64 = 0,
    /// Nodes that hear nothing of each other, in both directions.
    partitions: [nodes_max]u8 = @splat(0),

    pub fn init(allocator: std.mem.Allocator, seed: u64, options: Options) Network {
        return .{ .allocator = allocator, .prng = .init(seed), .options = options };
    }

    pub fn deinit(network: *Network) void {
        assert(network.ios.items.len == 0);
        while (network.events.peek()) |event| {
            network.events.remove(event);
            network.allocator.destroy(event);
        }
        for (network.endpoints.items) |endpoint| {
            endpoint.inbox.deinit(network.allocator);
            endpoint.watches.deinit(network.allocator);
            endpoint.backlog.deinit(network.allocator);
            network.allocator.destroy(endpoint);
        }
        network.endpoints.deinit(network.allocator);
        network.ios.deinit(network.allocator);
        network.paths.deinit(network.allocator);
    }

    /// Something other than a deadline is under way.
    pub fn busy(network: *const Network) bool {
        return !network.events.empty();
    }

    /// Moves the clock to the next event, not past `limit_ns`, and lets it happen. False: there is
    /// none, and the clock is at the limit.
    pub fn advance(network: *Network, limit_ns: ?u64) bool {
        var next_ns = network.events.nearest_ns();
        for (network.ios.items) |io| {
            const deadline = io.deadline_ns orelse continue;
            next_ns = if (next_ns) |next| @min(next, deadline) else deadline;
        }
        const limit = limit_ns orelse std.math.maxInt(u64);
        const next = next_ns orelse std.math.maxInt(u64);
        if (next_ns == null or next > limit) {
            if (limit_ns) |ns| network.now_ns = @max(network.now_ns, ns);
            return false;
        }
        network.now_ns = @max(network.now_ns, next);
        if (network.events.pop_due(network.now_ns)) |event| {
            defer network.allocator.destroy(event);
            switch (event.action) {
                .deliver => |endpoint| network.deliver(endpoint),
                .connect => |endpoint| network.connect_now(endpoint),
                .complete => |it| it.io.post(it.completion),
            }
        }
        for (network.ios.items) |io| {
            const deadline = io.deadline_ns orelse continue;
            if (deadline > network.now_ns) continue;
            io.deadline_ns = null;
            io.post(.{ .token = .{ .operation = .deadline }, .result = -62, .more = false });
        }
        return true;
    }

    fn later(network: *Network, action: @FieldType(Event, "action")) void {
        network.after(1 + network.prng.below(network.options.latency_ns_max), action);
    }

    fn after(network: *Network, ns: u64, action: @FieldType(Event, "action")) void {
        const event = network.allocator.create(Event) catch unreachable; // Tests have memory.
        event.* = .{ .action = action };
        network.events.insert(event, network.now_ns + ns);
    }

    fn happens(network: *Network, comptime fault: Fault) bool {
        const per_mille: PerMille = @field(network.options, @tagName(fault));
        if (per_mille == 0 or !network.prng.chance(@min(per_mille, 1000), 1000)) return false;
        network.tally(fault);
        return true;
    }

    fn tally(network: *Network, fault: Fault) void {
        network.faults.getPtr(fault).* += 1;
    }

    /// Two nodes hear nothing of each other until `heal`. A node may be cut off from itself.
    pub fn clog(network: *Network, a: u3, b: u3) void {
        network.partitions[a] |= @as(u8, 1) << b;
        network.partitions[b] |= @as(u8, 1) << a;
    }

    /// All partitions are over: what was under way arrives.
    pub fn heal(network: *Network) void {
        network.partitions = @splat(0);
        for (network.endpoints.items) |endpoint| {
            if (!endpoint.held) continue;
            endpoint.held = false;
            network.later(.{ .deliver = endpoint });
        }
    }

    fn clogged(network: *const Network, a: u3, b: u3) bool {
        return network.partitions[a] & (@as(u8, 1) << b) != 0;
    }

    fn endpoint_new(
        network: *Network,
        owner: ?*MemoryIO,
        family: address_module.Family,
    ) *Endpoint {
        const endpoint = network.allocator.create(Endpoint) catch unreachable; // See above.
        endpoint.* = .{
            .network = network,
            .owner = owner,
            .node = if (owner) |io| io.node else 0,
            .family = family,
            .inbox_max = network.options.stream_bytes_max,
        };
        network.endpoints.append(network.allocator, endpoint) catch unreachable; // See above.
        return endpoint;
    }

    fn listener_at(network: *Network, address: *const Address) ?*Endpoint {
        for (network.endpoints.items) |endpoint| {
            if (!endpoint.listening or endpoint.closed) continue;
            if (endpoint.local.equal(address)) return endpoint;
        }
        return null;
    }

    // -- streams ----------------------------------------------------------------------------

    fn schedule(network: *Network, endpoint: *Endpoint) void {
        if (endpoint.delivering) return;
        endpoint.delivering = true;
        network.later(.{ .deliver = endpoint });
    }

    /// Some of what is under way arrives.
    fn deliver(network: *Network, endpoint: *Endpoint) void {
        const peer = endpoint.peer;
        if (peer != null and network.clogged(endpoint.node, peer.?.node)) {
            endpoint.held = true;
            return network.tally(.clogged);
        }
        endpoint.delivering = false;
        const under_way = endpoint.inbox.items.len - endpoint.arrived;
        var step = under_way;
        if (under_way > 1 and network.happens(.split_arrival)) {
            // Small pieces as often as large ones.
            const bound = @as(u64, 1) << @intCast(network.prng.below(17));
            step = @intCast(1 + network.prng.below(@min(bound, under_way)));
        }
        endpoint.arrived += step;
        if (endpoint.arrived < endpoint.inbox.items.len) {
            network.schedule(endpoint);
        } else if (endpoint.end_arrived != endpoint.end_coming) {
            if (step == 0) {
                endpoint.end_arrived = endpoint.end_coming;
            } else network.schedule(endpoint);
        }
        network.fire(endpoint, .readable);
        if (endpoint.end_arrived == .reset) network.fire(endpoint, .writable);
    }

    fn fire(network: *Network, endpoint: *Endpoint, kind: @FieldType(Watch, "kind")) void {
        const io = endpoint.owner orelse return;
        var index: usize = 0;
        while (index < endpoint.watches.items.len) {
            const watch = endpoint.watches.items[index];
            if (watch.kind == kind) {
                const one_shot = kind == .writable or network.happens(.multishot_ends);
                const result = if (kind == .writable) 4 else endpoint.readable_mask();
                io.post(.{ .token = watch.token, .result = result, .more = !one_shot });
                if (one_shot) {
                    _ = endpoint.watches.orderedRemove(index);
                    continue;
                }
            }
            index += 1;
        }
        network.close_unused(endpoint);
    }

    /// Appends to what `endpoint` receives; `at_once`: it arrives now.
    fn put(network: *Network, endpoint: *Endpoint, bytes: []const u8, at_once: bool) void {
        endpoint.inbox.appendSlice(network.allocator, bytes) catch unreachable; // See above.
        if (at_once) {
            endpoint.arrived = endpoint.inbox.items.len;
            network.fire(endpoint, .readable);
        } else network.schedule(endpoint);
    }

    /// Takes up to `target.len` arrived bytes.
    fn get(network: *Network, endpoint: *Endpoint, target: []u8) usize {
        const count = @min(endpoint.arrived - endpoint.head, target.len);
        @memcpy(target[0..count], endpoint.inbox.items[endpoint.head..][0..count]);
        endpoint.head += count;
        endpoint.compact();
        if (count > 0) if (endpoint.peer) |peer| network.fire(peer, .writable);
        return count;
    }

    fn send_end(network: *Network, endpoint: *Endpoint, end: End) void {
        const peer = endpoint.peer orelse return;
        if (peer.closed or peer.end_coming == .reset) return;
        if (endpoint.sent_end and end == .closed) return;
        endpoint.sent_end = true;
        peer.end_coming = end;
        if (end == .reset) {
            // What was under way is lost, and sometimes what had arrived, too.
            network.vanished_bytes += peer.inbox.items.len - peer.arrived;
            peer.inbox.items.len = peer.arrived;
            if (network.prng.boolean()) network.lose_inbox(peer);
        }
        network.schedule(peer);
    }

    fn lose_inbox(network: *Network, endpoint: *Endpoint) void {
        network.vanished_bytes += endpoint.inbox.items.len - endpoint.head;
        endpoint.inbox.items.len = 0;
        endpoint.head = 0;
        endpoint.arrived = 0;
    }

    /// What the kernel does when the last reference to a file is gone.
    fn close_unused(network: *Network, endpoint: *Endpoint) void {
        if (endpoint.descriptor_open or endpoint.closed) return;
        if (endpoint.watches.items.len > 0 or endpoint.connecting != null) return;
        if (endpoint.accepting != null) return;
        endpoint.closed = true;
        for (endpoint.backlog.items) |waiting| {
            waiting.descriptor_open = false;
            network.close_unused(waiting);
        }
        endpoint.backlog.clearRetainingCapacity();
        // close(2) with unread bytes resets the connection.
        const unread = endpoint.inbox.items.len > endpoint.head;
        network.send_end(endpoint, if (unread) .reset else .closed);
        network.lose_inbox(endpoint);
        endpoint.inbox.clearAndFree(network.allocator);
    }

    // -- connections ------------------------------------------------------------------------

    fn connect_now(network: *Network, endpoint: *Endpoint) void {
        const token = endpoint.connecting orelse return;
        var result: i32 = 0;
        if (network.happens(.connect_refused)) {
            result = -@as(i32, @intFromEnum(linux.E.CONNREFUSED));
        } else if (network.listener_at(&endpoint.remote)) |listener| {
            const full = listener.backlog.items.len >= listener.backlog_max;
            if (full or network.clogged(endpoint.node, listener.node)) {
                network.tally(if (full) .backlog_full else .clogged);
                // As with a SYN that is dropped: tried again until the caller gives up.
                return network.after(5 * time.ns_per_ms, .{ .connect = endpoint });
            }
            network.join(endpoint, listener);
        } else {
            const errno: linux.E = if (endpoint.family == .unix) .NOENT else .CONNREFUSED;
            result = -@as(i32, @intFromEnum(errno));
        }
        endpoint.connecting = null;
        if (endpoint.owner) |io| io.post(.{ .token = token, .result = result, .more = false });
        network.close_unused(endpoint);
    }

    fn join(network: *Network, endpoint: *Endpoint, listener: *Endpoint) void {
        const other = network.endpoint_new(listener.owner, listener.family);
        other.local = listener.local;
        other.remote = endpoint.local;
        other.peer = endpoint;
        endpoint.peer = other;
        listener.backlog.append(network.allocator, other) catch unreachable; // See above.
        network.accept_waiting(listener);
    }

    fn accept_waiting(network: *Network, listener: *Endpoint) void {
        const io = listener.owner orelse return;
        while (listener.accepting) |token| {
            if (listener.backlog.items.len == 0) return;
            const fails = network.happens(.accept_fails);
            const fd = if (fails) null else io.descriptor_new(listener.backlog.items[0]);
            if (fd) |descriptor| {
                _ = listener.backlog.orderedRemove(0);
                const ends = network.happens(.multishot_ends);
                if (ends) listener.accepting = null;
                io.post(.{ .token = token, .result = descriptor, .more = !ends });
            } else {
                listener.accepting = null;
                const errno = -@as(i32, @intFromEnum(linux.E.MFILE));
                io.post(.{ .token = token, .result = errno, .more = false });
            }
        }
    }

    // -- raw peers ----------------------------------------------------------------------------

    /// A stream to whoever listens there; what the test sends arrives at once.
    pub fn dial(network: *Network, address: *const Address) error{ConnectionRefused}!Peer {
        const listener = network.listener_at(address) orelse return error.ConnectionRefused;
        const endpoint = network.endpoint_new(null, address.family());
        endpoint.remote = address.*;
        endpoint.local = .ipv4(.{ 127, 0, 0, 1 }, network.port_next);
        network.port_next +%= 1;
        endpoint.raw = true;
        network.join(endpoint, listener);
        return .{ .endpoint = endpoint };
    }

    /// Listens without a context; `accept` takes the connections.
    pub fn listen(network: *Network, address: *const Address) Peer {
        assert(network.listener_at(address) == null);
        const endpoint = network.endpoint_new(null, address.family());
        endpoint.local = address.*;
        endpoint.listening = true;
        endpoint.backlog_max = 1000;
        endpoint.raw = true;
        return .{ .endpoint = endpoint };
    }
};

/// One end of a stream, or a listener, in the hands of a test.
pub const Peer = struct {
    endpoint: *Endpoint,

    pub fn accept(peer: Peer) ?Peer {
        const backlog = &peer.endpoint.backlog;
        if (backlog.items.len == 0) return null;
        const endpoint = backlog.orderedRemove(0);
        endpoint.raw = true;
        return .{ .endpoint = endpoint };
    }

    /// One segment: it arrives at once and as a whole.
    pub fn send(peer: Peer, bytes: []const u8) void {
        const other = peer.endpoint.peer.?;
        if (other.closed) return;
        peer.endpoint.network.put(other, bytes, true);
    }

    /// Takes all that was sent to it, what is still under way too.
    pub fn take(peer: Peer, allocator: std.mem.Allocator, out: *std.ArrayList(u8)) !void {
        return peer.take_some(allocator, out, std.math.maxInt(usize));
    }

    pub fn take_some(
        peer: Peer,
        allocator: std.mem.Allocator,
        out: *std.ArrayList(u8),
        count_max: usize,
    ) !void {
        const endpoint = peer.endpoint;
        endpoint.arrived = endpoint.inbox.items.len;
        const count = @min(count_max, endpoint.arrived - endpoint.head);
        const target = try out.addManyAsSlice(allocator, count);
        assert(endpoint.network.get(endpoint, target) == count);
    }

    /// The context closed its end (or reset it).
    pub fn ended(peer: Peer) bool {
        return peer.endpoint.end_coming != .none or peer.endpoint.peer.?.closed;
    }

    /// The context reads no further into this stream than this many bytes ahead of us.
    pub fn limit_inbox(peer: Peer, bytes: u32) void {
        const endpoint = peer.endpoint;
        endpoint.inbox_max = bytes;
        if (endpoint.room() > 0) endpoint.network.fire(endpoint.peer.?, .writable);
    }

    /// No more bytes from us, but we go on reading.
    pub fn shutdown(peer: Peer) void {
        peer.endpoint.network.send_end(peer.endpoint, .closed);
    }

    pub fn close(peer: Peer) void {
        const endpoint = peer.endpoint;
        endpoint.descriptor_open = false;
        // The test has seen what it wanted to see.
        endpoint.head = endpoint.inbox.items.len;
        endpoint.network.close_unused(endpoint);
    }

    pub fn reset(peer: Peer) void {
        const endpoint = peer.endpoint;
        endpoint.network.send_end(endpoint, .reset);
        peer.close();
    }
};

pub const MemoryIO = struct {
    network: *Network,
    /// Which machine it runs on, as far as partitions go.
    node: u3 = 0,
    descriptors: std.ArrayList(?*Endpoint) = .empty,
    descriptors_open: u32 = 0,
    completions: std.ArrayList(Completion) = .empty,
    deadline_ns: ?u64 = null,
    in_turn: bool = false,
    woken: bool = false,
    counters: io_module.Counters = .{},
    options_set: u64 = 0,
    /// How often a descriptor's own end was asked for.
    local_addresses: u64 = 0,

    /// As low as a process's that has its three standard ones.
    const descriptor_first = 3;

    pub fn init(self: *MemoryIO, network: *Network) void {
        self.* = .{ .network = network };
        network.ios.append(network.allocator, self) catch unreachable; // Tests have memory.
    }

    /// Everything must have been closed and every watch ended, or its peer would not know.
    pub fn deinit(self: *MemoryIO) void {
        const network = self.network;
        for (self.completions.items) |completion| {
            if (completion.token.operation != .accept or completion.result < 0) continue;
            self.close(completion.result);
        }
        assert(self.descriptors_open == 0);
        if (network.submissions_failed == 0) {
            for (network.endpoints.items) |endpoint| {
                if (endpoint.owner == self) assert(endpoint.closed);
            }
        }
        self.forget_events();
        self.descriptors.deinit(network.allocator);
        self.completions.deinit(network.allocator);
        const index = std.mem.indexOfScalar(*MemoryIO, network.ios.items, self).?;
        _ = network.ios.swapRemove(index);
    }

    fn forget_events(self: *MemoryIO) void {
        const network = self.network;
        for (network.endpoints.items) |endpoint| {
            if (endpoint.owner == self) endpoint.owner = null;
        }
        var kept: std.ArrayList(*Event) = .empty;
        defer kept.deinit(network.allocator);
        while (network.events.peek()) |event| {
            const deadline = event.node.deadline_ns;
            network.events.remove(event);
            const ours = event.action == .complete and event.action.complete.io == self;
            if (ours) {
                network.allocator.destroy(event);
                continue;
            }
            event.node.deadline_ns = deadline;
            kept.append(network.allocator, event) catch unreachable; // Tests have memory.
        }
        for (kept.items) |event| {
            const deadline = event.node.deadline_ns;
            event.node = .{};
            network.events.insert(event, deadline);
        }
    }

    fn post(self: *MemoryIO, completion: Completion) void {
        const allocator = self.network.allocator;
        self.completions.append(allocator, completion) catch unreachable; // Tests have memory.
    }

    // -- the turn -----------------------------------------------------------------------------

    pub fn begin(self: *MemoryIO) void {
        assert(!self.in_turn);
        self.in_turn = true;
        if (self.network.happens(.spurious)) self.wake_for_nothing();
    }

    /// One of the watches completes. Who looks finds nothing new.
    fn wake_for_nothing(self: *MemoryIO) void {
        var count: u64 = 0;
        for (self.descriptors.items) |slot| {
            const endpoint = slot orelse continue;
            count += endpoint.watches.items.len;
        }
        if (count == 0) return;
        var chosen = self.network.prng.below(count);
        for (self.descriptors.items) |slot| {
            const endpoint = slot orelse continue;
            if (chosen >= endpoint.watches.items.len) {
                chosen -= endpoint.watches.items.len;
                continue;
            }
            const index: usize = @intCast(chosen);
            const it = endpoint.watches.items[index];
            const one_shot = it.kind == .writable;
            if (one_shot) _ = endpoint.watches.orderedRemove(index);
            const result: i32 = if (one_shot) 4 else 1;
            return self.post(.{ .token = it.token, .result = result, .more = !one_shot });
        }
    }

    pub fn reap(self: *MemoryIO, buffer: *[io_module.completions_max]Completion) []Completion {
        self.woken = false;
        var count = @min(self.completions.items.len, buffer.len);
        if (count == 0) return buffer[0..0];
        self.counters.wakeups += 1;
        if (self.network.happens(.split_reap)) {
            count = @intCast(self.network.prng.below(count + 1));
        }
        @memcpy(buffer[0..count], self.completions.items[0..count]);
        self.completions.replaceRangeAssumeCapacity(0, count, &.{});
        return buffer[0..count];
    }

    pub fn finish(self: *MemoryIO, _: io_module.Next) bool {
        assert(self.in_turn);
        self.in_turn = false;
        return !self.work_is_waiting();
    }

    pub fn signals(_: *const MemoryIO) bool {
        return true;
    }

    pub fn poll(self: *const MemoryIO) bool {
        return self.work_is_waiting();
    }

    pub fn work_is_waiting(self: *const MemoryIO) bool {
        return self.completions.items.len > 0 or self.woken;
    }

    /// Another context of this world has left something for this one.
    pub fn wake(self: *MemoryIO) void {
        self.woken = true;
    }

    pub fn sleep(self: *MemoryIO, timeout_ns: ?u64) void {
        self.begin();
        self.wait(timeout_ns);
        _ = self.finish(.call);
    }

    /// The clock goes on to the next event that concerns this context, at most to the timeout.
    pub fn wait(self: *MemoryIO, timeout_ns: ?u64) void {
        assert(self.in_turn);
        const limit = if (timeout_ns) |ns| self.network.now_ns + ns else null;
        while (!self.work_is_waiting()) {
            if (!self.network.advance(limit)) return;
        }
    }

    pub fn submit(_: *MemoryIO) void {}

    // -- requests -----------------------------------------------------------------------------

    fn prepare(self: *MemoryIO) io_module.SubmitError!void {
        const network = self.network;
        var fails = network.happens(.submit_fails);
        if (network.submissions_left) |left| {
            if (left == 0) fails = true;
            network.submissions_left = if (left == 0) null else left - 1;
        }
        if (!fails) return;
        network.submissions_failed += 1;
        return error.SystemResources;
    }

    pub fn watch_readable(
        self: *MemoryIO,
        fd: Descriptor,
        token: Token,
    ) io_module.SubmitError!void {
        assert(token.operation == .readable);
        try self.prepare();
        const endpoint = self.get(fd);
        self.watch(endpoint, .{ .token = token, .kind = .readable });
        if (!endpoint.readable()) return;
        self.post(.{ .token = token, .result = endpoint.readable_mask(), .more = true });
    }

    pub fn watch_writable(
        self: *MemoryIO,
        fd: Descriptor,
        token: Token,
    ) io_module.SubmitError!void {
        assert(token.operation == .writable);
        try self.prepare();
        const endpoint = self.get(fd);
        if (endpoint.writable()) {
            return self.post(.{ .token = token, .result = 4, .more = false });
        }
        self.watch(endpoint, .{ .token = token, .kind = .writable });
    }

    fn watch(self: *MemoryIO, endpoint: *Endpoint, it: Watch) void {
        endpoint.watches.append(self.network.allocator, it) catch unreachable; // See `init`.
    }

    pub fn unwatch(self: *MemoryIO, fd: Descriptor, token: Token) io_module.SubmitError!void {
        return self.cancel(fd, token);
    }

    pub fn accept(self: *MemoryIO, fd: Descriptor, token: Token) io_module.SubmitError!void {
        assert(token.operation == .accept);
        try self.prepare();
        const endpoint = self.get(fd);
        assert(endpoint.listening and endpoint.accepting == null);
        endpoint.accepting = token;
        self.network.accept_waiting(endpoint);
    }

    pub fn connect(
        self: *MemoryIO,
        fd: Descriptor,
        address: *const Address,
        token: Token,
    ) io_module.SubmitError!void {
        assert(token.operation == .connect);
        try self.prepare();
        const endpoint = self.get(fd);
        assert(endpoint.peer == null and endpoint.connecting == null);
        endpoint.remote = address.*;
        if (endpoint.local.len == 0) {
            endpoint.local = .ipv4(.{ 127, 0, 0, 1 }, self.network.port_next);
            self.network.port_next +%= 1;
        }
        endpoint.connecting = token;
        self.network.later(.{ .connect = endpoint });
    }

    /// Ends the first request with this token, if there is one.
    pub fn cancel(self: *MemoryIO, _: Descriptor, token: Token) io_module.SubmitError!void {
        try self.prepare();
        for (self.network.endpoints.items) |endpoint| {
            if (endpoint.owner != self) continue;
            const found = for (endpoint.watches.items, 0..) |it, index| {
                if (it.token.to_int() != token.to_int()) continue;
                _ = endpoint.watches.orderedRemove(index);
                break true;
            } else if (is(endpoint.connecting, token)) blk: {
                endpoint.connecting = null;
                break :blk true;
            } else if (is(endpoint.accepting, token)) blk: {
                endpoint.accepting = null;
                break :blk true;
            } else false;
            if (!found) continue;
            const errno = -@as(i32, @intFromEnum(linux.E.CANCELED));
            const completion: Completion = .{ .token = token, .result = errno, .more = false };
            if (self.network.happens(.late_cancel)) {
                self.network.later(.{ .complete = .{ .io = self, .completion = completion } });
            } else self.post(completion);
            return self.network.close_unused(endpoint);
        }
    }

    fn is(mine: ?Token, token: Token) bool {
        return if (mine) |it| it.to_int() == token.to_int() else false;
    }

    pub fn set_deadline(self: *MemoryIO, deadline_ns: ?u64) io_module.SubmitError!void {
        if (self.deadline_ns) |armed| if (deadline_ns) |deadline| {
            // As the ring does: one that is too early costs an empty turn.
            if (armed <= deadline) return;
        };
        self.deadline_ns = deadline_ns;
    }

    // -- plain calls --------------------------------------------------------------------------

    pub fn now_ns(self: *const MemoryIO) u64 {
        return self.network.now_ns;
    }

    pub fn wall_us(self: *const MemoryIO) u64 {
        return self.network.now_ns / std.time.ns_per_us;
    }

    pub fn get(self: *MemoryIO, fd: Descriptor) *Endpoint {
        return self.descriptors.items[@intCast(fd - descriptor_first)].?;
    }

    /// The lowest free number, as the kernel has it; null: EMFILE.
    fn descriptor_new(self: *MemoryIO, endpoint: *Endpoint) ?Descriptor {
        if (self.descriptors_open >= self.network.options.descriptors_max) {
            self.network.tally(.descriptors_exhausted);
            return null;
        }
        return self.descriptor_in_free_slot(endpoint);
    }

    fn descriptor_in_free_slot(self: *MemoryIO, endpoint: *Endpoint) Descriptor {
        self.descriptors_open += 1;
        for (self.descriptors.items, 0..) |*slot, index| {
            if (slot.* != null) continue;
            slot.* = endpoint;
            return @intCast(index + descriptor_first);
        }
        const allocator = self.network.allocator;
        self.descriptors.append(allocator, endpoint) catch unreachable; // Tests have memory.
        return @intCast(self.descriptors.items.len - 1 + descriptor_first);
    }

    pub fn open(
        self: *MemoryIO,
        family: address_module.Family,
    ) transfer.OpenError!Descriptor {
        if (self.descriptors_open >= self.network.options.descriptors_max) {
            self.network.tally(.descriptors_exhausted);
            return error.DescriptorsExhausted;
        }
        if (self.network.happens(.open_fails)) return error.DescriptorsExhausted;
        const endpoint = self.network.endpoint_new(self, family);
        return self.descriptor_new(endpoint) orelse error.DescriptorsExhausted;
    }

    pub fn close(self: *MemoryIO, fd: Descriptor) void {
        const endpoint = self.get(fd);
        self.descriptors.items[@intCast(fd - descriptor_first)] = null;
        self.descriptors_open -= 1;
        endpoint.descriptor_open = false;
        self.network.close_unused(endpoint);
    }

    pub fn shutdown(self: *MemoryIO, fd: Descriptor) void {
        const endpoint = self.get(fd);
        if (endpoint.listening) {
            endpoint.listening = false;
            endpoint.accepting = null;
            return;
        }
        self.network.send_end(endpoint, .closed);
        self.network.lose_inbox(endpoint);
        endpoint.deaf = true;
        endpoint.end_coming = .closed;
        endpoint.end_arrived = .closed;
        self.network.fire(endpoint, .readable);
    }

    pub fn end_receiving(self: *MemoryIO, fd: Descriptor) void {
        const endpoint = self.get(fd);
        endpoint.deaf = true;
        if (endpoint.end_coming != .none) return;
        endpoint.end_coming = .closed;
        endpoint.end_arrived = .closed;
        self.network.fire(endpoint, .readable);
    }

    pub fn end_sending(self: *MemoryIO, fd: Descriptor) void {
        self.network.send_end(self.get(fd), .closed);
    }

    pub fn receive(self: *MemoryIO, fd: Descriptor, buffer: []u8) io_module.ReceiveError!usize {
        var vectors = [1]std.posix.iovec{.{ .base = buffer.ptr, .len = buffer.len }};
        return self.receive_vector(fd, &vectors);
    }

    pub fn receive_vector(
        self: *MemoryIO,
        fd: Descriptor,
        vectors: []std.posix.iovec,
    ) io_module.ReceiveError!usize {
        self.counters.receives += 1;
        const endpoint = self.get(fd);
        const network = self.network;
        if (endpoint.peer != null and network.happens(.reset)) {
            network.send_end(endpoint, .reset);
            endpoint.end_coming = .reset;
            endpoint.end_arrived = .reset;
            network.lose_inbox(endpoint);
        }
        if (endpoint.peer) |peer| {
            if (network.happens(.half_close)) network.send_end(peer, .closed);
        }
        if (network.happens(.transfer_fails)) return error.SystemResources;
        var total: usize = 0;
        for (vectors) |vector| {
            assert(vector.len > 0);
            total += network.get(endpoint, vector.base[0..vector.len]);
        }
        if (total > 0) return total;
        return switch (endpoint.end_arrived) {
            .none => error.WouldBlock,
            .closed => 0,
            .reset => error.ConnectionReset,
        };
    }

    pub fn send_vector(
        self: *MemoryIO,
        fd: Descriptor,
        vectors: []const std.posix.iovec_const,
    ) io_module.SendError!usize {
        self.counters.sends += 1;
        const network = self.network;
        const endpoint = self.get(fd);
        const peer = endpoint.peer orelse return error.BrokenPipe;
        if (endpoint.end_arrived == .reset) return error.ConnectionReset;
        if (endpoint.sent_end) return error.BrokenPipe;
        var offered: usize = 0;
        for (vectors) |vector| offered += vector.len;
        assert(offered > 0);
        var left = @min(offered, peer.room());
        if (left == 0 or network.happens(.would_block)) return error.WouldBlock;
        if (network.happens(.transfer_fails)) return error.SystemResources;
        if (peer.closed or peer.deaf) {
            // The first bytes vanish; the reset they bring back is seen later.
            endpoint.sent_end = true;
            endpoint.end_coming = .reset;
            network.vanished_bytes += left;
            network.schedule(endpoint);
            return left;
        }
        if (network.happens(.split_send)) {
            left = @intCast(1 + network.prng.below(left));
        }
        const taken = left;
        for (vectors) |vector| {
            const step = @min(left, vector.len);
            network.put(peer, vector.base[0..step], false);
            left -= step;
        }
        return taken;
    }

    pub fn bind(
        self: *MemoryIO,
        fd: Descriptor,
        address: *const Address,
    ) io_module.BindError!void {
        const network = self.network;
        const endpoint = self.get(fd);
        endpoint.local = address.*;
        if (address.family() == .unix) {
            if (self.path_index(address) != null) return error.AddressInUse;
            const allocator = network.allocator;
            network.paths.append(allocator, address.*) catch unreachable; // Tests have memory.
        } else if (address.port() == 0) {
            std.mem.writeInt(u16, endpoint.local.bytes[2..4], network.port_next, .big);
            network.port_next +%= 1;
        } else if (network.listener_at(address) != null) return error.AddressInUse;
    }

    fn path_index(self: *MemoryIO, address: *const Address) ?usize {
        return for (self.network.paths.items, 0..) |*path, index| {
            if (path.equal(address)) break index;
        } else null;
    }

    pub fn listen(self: *MemoryIO, fd: Descriptor, backlog: u32) io_module.BindError!void {
        const endpoint = self.get(fd);
        endpoint.listening = true;
        endpoint.backlog_max = backlog;
    }

    pub fn local_address(self: *MemoryIO, fd: Descriptor) Address {
        self.local_addresses += 1;
        return self.get(fd).local;
    }

    pub fn peer_address(self: *MemoryIO, fd: Descriptor) Address {
        return self.get(fd).remote;
    }

    pub fn peer_credentials(self: *MemoryIO, fd: Descriptor) io_module.Credentials {
        _ = self.get(fd);
        return .{};
    }

    pub fn set_option(self: *MemoryIO, fd: Descriptor, _: i32, _: u32, _: i32) u16 {
        _ = self.get(fd);
        self.options_set += 1;
        return 0;
    }

    pub fn set_option_bytes(self: *MemoryIO, fd: Descriptor, _: i32, _: u32, _: []const u8) u16 {
        _ = self.get(fd);
        self.options_set += 1;
        return 0;
    }

    /// No test has descriptors of another program.
    /// A descriptor that was given to us and listens.
    pub fn adopt(self: *MemoryIO, fd: Descriptor, _: bool, _: u32) io_module.BindError!void {
        if (!self.get(fd).listening) return error.InvalidArgument;
    }

    /// The same stream as a descriptor of another context: what threads of one process do without
    /// a call. Watches stay behind, as they do in the ring of the thread that made them.
    pub fn give(self: *MemoryIO, fd: Descriptor, to: *MemoryIO) Descriptor {
        const endpoint = self.get(fd);
        self.descriptors.items[@intCast(fd - descriptor_first)] = null;
        self.descriptors_open -= 1;
        endpoint.watches.clearRetainingCapacity();
        endpoint.accepting = null;
        endpoint.owner = to;
        endpoint.node = to.node;
        for (endpoint.backlog.items) |waiting| {
            waiting.owner = to;
            waiting.node = to.node;
        }
        // They share one table: none is used up.
        return to.descriptor_in_free_slot(endpoint);
    }

    /// A silent network is one that a test has cut.
    pub fn peer_answers(self: *MemoryIO, fd: Descriptor) bool {
        const endpoint = self.get(fd);
        const peer = endpoint.peer orelse return !endpoint.cut;
        return !endpoint.cut and !self.network.clogged(endpoint.node, peer.node);
    }

    pub fn probe_path(self: *MemoryIO, address: *const Address) transfer.PathState {
        if (self.network.listener_at(address) != null) return .live;
        return if (self.path_index(address) == null) .absent else .stale;
    }

    pub fn unlink_path(self: *MemoryIO, address: *const Address) u16 {
        const index = self.path_index(address) orelse return @intFromEnum(std.os.linux.E.NOENT);
        _ = self.network.paths.swapRemove(index);
        return 0;
    }
};

const testing = std.testing;

fn expect_completion(io: *MemoryIO, operation: io_module.Operation) !Completion {
    io.begin();
    defer _ = io.finish(.event_loop);
    io.wait(time.ns_per_s);
    try testing.expect(io.completions.items.len > 0);
    const completion = io.completions.orderedRemove(0);
    try testing.expectEqual(operation, completion.token.operation);
    return completion;
}

test "the network in memory behaves as the ring does: else its tests would prove nothing" {
    var network: Network = .init(testing.allocator, 1, .{ .stream_bytes_max = 8 });
    defer network.deinit();
    var io: MemoryIO = undefined;
    io.init(&network);
    defer io.deinit();
    const listener = try io.open(.ipv4);
    defer io.close(listener);
    try io.bind(listener, &.ipv4(.{ 127, 0, 0, 1 }, 0));
    try io.listen(listener, 16);
    const accept_token: Token = .{ .operation = .accept, .handle = 1 };
    try io.accept(listener, accept_token);
    defer io.cancel(listener, accept_token) catch unreachable; // No failure was asked for.

    const client = try io.open(.ipv4);
    const address = io.local_address(listener);
    try io.connect(client, &address, .{ .operation = .connect, .handle = 2 });
    const server = (try expect_completion(&io, .accept)).result;
    defer io.close(server);
    try testing.expectEqual(0, (try expect_completion(&io, .connect)).result);

    // A watch fires once for each arrival, and says when nothing more will come.
    const watch: Token = .{ .operation = .readable, .handle = 3 };
    try io.watch_readable(server, watch);
    _ = try io.send_vector(client, &.{.{ .base = "abc", .len = 3 }});
    try testing.expect((try expect_completion(&io, .readable)).more);
    try testing.expect(!io.work_is_waiting());
    var buffer: [16]u8 = undefined;
    try testing.expectEqual(3, try io.receive(server, &buffer));
    try testing.expectError(error.WouldBlock, io.receive(server, &buffer));

    // A full stream refuses, and says when it has room again.
    try testing.expectEqual(8, try io.send_vector(client, &.{.{ .base = "12345678", .len = 8 }}));
    const failure = io.send_vector(client, &.{.{ .base = "9", .len = 1 }});
    try testing.expectError(error.WouldBlock, failure);
    try io.watch_writable(client, .{ .operation = .writable, .handle = 4 });
    _ = try expect_completion(&io, .readable);
    try testing.expectEqual(8, try io.receive(server, &buffer));
    _ = try expect_completion(&io, .writable);

    io.close(client);
    _ = try expect_completion(&io, .readable);
    try testing.expectEqual(0, try io.receive(server, &buffer));
    try io.unwatch(server, watch);
    try testing.expectEqual(false, (try expect_completion(&io, .readable)).more);
}

test "a watch that nobody ended keeps its connection open: a forgotten one must be noticed" {
    var network: Network = .init(testing.allocator, 1, .{});
    defer network.deinit();
    var io: MemoryIO = undefined;
    io.init(&network);
    defer io.deinit();
    const address: Address = .ipv4(.{ 127, 0, 0, 1 }, 5555);
    const listener = network.listen(&address);
    const fd = try io.open(.ipv4);
    try io.connect(fd, &address, .{ .operation = .connect, .handle = 2 });
    _ = try expect_completion(&io, .connect);
    const peer = listener.accept().?;
    const token: Token = .{ .operation = .readable, .handle = 3 };
    try io.watch_readable(fd, token);
    io.close(fd);
    try testing.expect(!peer.ended());
    try io.unwatch(fd, token);
    try testing.expect(peer.ended());
}
