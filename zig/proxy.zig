//! A proxy on a thread of its own: two sockets that were made by another thread, which gives them
//! up to it, and a third one for copies. The thread has a context like any other; what it does
//! with its sockets is the pump's.
//!
//!     owner's thread                        proxy's thread
//!     create ───────────────────────────▶   context
//!     give (front, back, capture) ───────▶  unpack, then pump until told to end
//!     command: run, pause, end ──────────▶
//!     addresses of names ◀── asks ──────    (the owner's resolver looks them up)
//!     verdicts about peers ◀── asks ────    (who may come in is the owner's to decide)
//!                     ◀── ended ────────    sockets closed, linger over
//!
//! The two meet under one lock; whoever waits is woken through an eventfd.

const std = @import("std");
const assert = std.debug.assert;
const linux = std.os.linux;

const Address = @import("io/address.zig").Address;
const constants = @import("constants.zig");
const contexts = @import("context.zig");
const Kind = @import("io/io.zig").Kind;
const Lock = @import("stdx/lock.zig").Lock;
const pumps = @import("pump.zig");
const Question = contexts.Question;
const relocation = @import("relocation.zig");
const Luggage = relocation.Luggage;
const sockets = @import("socket/socket.zig");
const Verdict = @import("core/secure_session.zig").Verdict;
const shared_blocks = @import("stdx/shared_blocks.zig");

pub const Statistics = pumps.Statistics;

pub const Command = enum(u32) { run = 0, pause = 1, end = 2, end_now = 3 };

/// What a session of the proxy needs the addresses of; by the endpoint's handle at its owner.
pub const addresses_max = 8;

const stack_bytes = 1024 * 1024;
/// Peers that wait for the owner to look at them.
const questions_max = 4096;
const chunk_bytes = 4 * constants.arena_bytes_default;

pub fn ProxyType(comptime IO: type) type {
    return struct {
        const Proxy = @This();
        const Context = contexts.ContextType(IO);
        const Pump = pumps.PumpType(Context);

        allocator: std.mem.Allocator,
        /// As its owner was told.
        backend: Kind,
        memory_bytes_max: u64,
        thread: std.Thread = undefined,
        /// Calls the owner's event loop; a duplicate of its own.
        owner_wake: i32,
        /// The proxy's, while it runs.
        wake: i32 = -1,
        lock: Lock = .{},

        // Guarded by the lock.
        phase: enum { starting, waiting, running, failed, ended } = .starting,
        command: Command = .run,
        cargo: ?[3]?Luggage = null,
        asks: std.ArrayList(u32) = .empty,
        answers: std.ArrayList(Answer) = .empty,
        /// Never moved: there would be passwords where it was.
        questions: std.ArrayList(Question) = .empty,
        /// So many of them have been taken.
        questions_read: usize = 0,
        decisions: std.ArrayList(Decision) = .empty,
        statistics: Statistics = .{},
        /// Of its sockets: the thread adds to them meanwhile. Null: `last_records` has the last
        /// numbers, if there are any.
        records: [3]?*const sockets.Record = @splat(null),
        last_records: [3]?sockets.Record = @splat(null),
        endpoints: std.ArrayList(Endpoint) = .empty,

        const Answer = struct {
            endpoint: u32,
            count: u32,
            addresses: [addresses_max]Address,
            source: Address,
        };

        const Endpoint = struct { before: u32, now: u32 };

        pub const Decision = struct { session: u32, request: u32, verdict: Verdict };

        // -- the owner's side -------------------------------------------------------------------

        /// Starts the thread; its context is there when this returns.
        pub fn create(
            allocator: std.mem.Allocator,
            backend: Kind,
            owner_wake: i32,
            memory_bytes_max: u64,
        ) error{ OutOfMemory, SystemResources }!*Proxy {
            const proxy = try allocator.create(Proxy);
            errdefer allocator.destroy(proxy);
            proxy.* = .{
                .allocator = allocator,
                .backend = backend,
                .memory_bytes_max = memory_bytes_max,
                .owner_wake = owner_wake,
            };
            proxy.thread = std.Thread.spawn(
                .{ .stack_size = stack_bytes },
                main,
                .{proxy},
            ) catch return error.SystemResources;
            if (proxy.await_phase_after(.starting) == .failed) {
                proxy.thread.join();
                return error.SystemResources;
            }
            return proxy;
        }

        /// Gives up to three sockets of the owner's context; their handles are gone, and on failure
        /// the sockets are closed.
        pub fn give(
            proxy: *Proxy,
            context: *Context,
            handles: [3]u32,
        ) error{ OutOfMemory, SystemResources }!void {
            var cargo: [3]?Luggage = @splat(null);
            for (handles, &cargo, 0..) |handle, *luggage, index| {
                // One socket may be both sides.
                if (handle == 0 or (index == 1 and handle == handles[0])) continue;
                luggage.* = relocation.take(context, proxy.allocator, handle) catch |failure| {
                    for (&cargo) |*taken| if (taken.*) |*it| it.deinit(context.io);
                    for (handles) |left| context.close(left, 0);
                    return failure;
                };
            }
            // The kernel wakes one accept only, and a cancelled one is in its list until then.
            _ = context.tick();
            proxy.lock.acquire();
            proxy.cargo = cargo;
            proxy.lock.release();
            proxy.wake_up();
            if (proxy.await_phase_after(.waiting) == .failed) return error.SystemResources;
        }

        pub fn set_command(proxy: *Proxy, command: Command) void {
            proxy.lock.acquire();
            if (@intFromEnum(command) > @intFromEnum(Command.pause) or
                @intFromEnum(proxy.command) <= @intFromEnum(Command.pause))
            {
                proxy.command = command;
            }
            proxy.lock.release();
            proxy.wake_up();
        }

        pub fn read_statistics(proxy: *Proxy) Statistics {
            proxy.lock.acquire();
            defer proxy.lock.release();
            return proxy.statistics;
        }

        /// The counters of one of its sockets; null: the proxy has not got it.
        pub fn read_record(proxy: *Proxy, index: u32) ?sockets.Record {
            proxy.lock.acquire();
            defer proxy.lock.release();
            const source = proxy.records[index] orelse return proxy.last_records[index];
            return copy_record(source);
        }

        /// Each counter as it is at that moment, none of them in half.
        fn copy_record(source: *const sockets.Record) sockets.Record {
            const count = @sizeOf(sockets.Record) / @sizeOf(u64);
            comptime assert(@alignOf(sockets.Record) == @alignOf(u64));
            comptime assert(@sizeOf(sockets.Record) == count * @sizeOf(u64));
            const words: *const [count]u64 = @ptrCast(source);
            var copied: [count]u64 = undefined;
            for (words, &copied) |*word, *to| to.* = @atomicLoad(u64, word, .monotonic);
            var record: sockets.Record = @bitCast(copied);
            // Of a ring that only the thread knows.
            record.cursor = .{};
            return record;
        }

        /// The endpoint, by its handle at the owner, whose addresses are wanted; null: none.
        pub fn next_ask(proxy: *Proxy) ?u32 {
            proxy.lock.acquire();
            defer proxy.lock.release();
            const now = proxy.asks.pop() orelse return null;
            for (proxy.endpoints.items) |it| if (it.now == now) return it.before;
            return null;
        }

        pub fn answer(
            proxy: *Proxy,
            endpoint_before: u32,
            addresses: []const Address,
            source: *const Address,
        ) error{OutOfMemory}!void {
            proxy.lock.acquire();
            defer proxy.wake_up();
            defer proxy.lock.release();
            for (proxy.endpoints.items) |it| {
                if (it.before != endpoint_before) continue;
                const count = @min(addresses.len, addresses_max);
                var reply: Answer = .{
                    .endpoint = it.now,
                    .count = @intCast(count),
                    .addresses = undefined,
                    .source = source.*,
                };
                @memcpy(reply.addresses[0..count], addresses[0..count]);
                try proxy.answers.append(proxy.allocator, reply);
            }
        }

        /// A peer of its sockets that waits to be let in. False: there is none.
        pub fn next_question(proxy: *Proxy, target: *Question) bool {
            proxy.lock.acquire();
            defer proxy.lock.release();
            const waiting = proxy.questions.items[proxy.questions_read..];
            if (waiting.len == 0) return false;
            // In order: each of them has a deadline.
            target.* = waiting[0];
            // Credentials are not left lying about.
            std.crypto.secureZero(Question, waiting[0..1]);
            proxy.questions_read += 1;
            if (waiting.len > 1) return true;
            proxy.questions.clearRetainingCapacity();
            proxy.questions_read = 0;
            return true;
        }

        pub fn decide(proxy: *Proxy, decision: Decision) error{OutOfMemory}!void {
            proxy.lock.acquire();
            defer proxy.wake_up();
            defer proxy.lock.release();
            try proxy.decisions.append(proxy.allocator, decision);
        }

        pub fn has_ended(proxy: *Proxy) bool {
            proxy.lock.acquire();
            defer proxy.lock.release();
            return proxy.phase == .ended or proxy.phase == .failed;
        }

        /// Waits for the end of the thread; `set_command` has told it to.
        pub fn destroy(proxy: *Proxy) void {
            proxy.thread.join();
            proxy.asks.deinit(proxy.allocator);
            proxy.answers.deinit(proxy.allocator);
            std.crypto.secureZero(Question, proxy.questions.items);
            proxy.questions.deinit(proxy.allocator);
            proxy.decisions.deinit(proxy.allocator);
            proxy.endpoints.deinit(proxy.allocator);
            _ = linux.close(proxy.owner_wake);
            proxy.allocator.destroy(proxy);
        }

        fn wake_up(proxy: *Proxy) void {
            proxy.lock.acquire();
            defer proxy.lock.release();
            if (proxy.wake >= 0) signal(proxy.wake);
        }

        // -- both sides -------------------------------------------------------------------------

        const Phase = @FieldType(Proxy, "phase");

        fn await_phase_after(proxy: *Proxy, phase: Phase) Phase {
            while (true) {
                proxy.lock.acquire();
                const now = proxy.phase;
                proxy.lock.release();
                if (now != phase) return now;
                // A few tens of microseconds, twice in the life of a proxy.
                const pause: linux.timespec = .{ .sec = 0, .nsec = 20_000 };
                _ = linux.nanosleep(&pause, null);
            }
        }

        fn set_phase(proxy: *Proxy, phase: Phase) void {
            proxy.lock.acquire();
            proxy.phase = phase;
            proxy.lock.release();
            signal(proxy.owner_wake);
        }

        fn signal(descriptor: i32) void {
            const one: u64 = 1;
            // EAGAIN: the counter is full, so the wake is pending anyway.
            _ = linux.write(descriptor, std.mem.asBytes(&one), 8);
        }

        // -- the thread -------------------------------------------------------------------------

        const Thread = struct {
            proxy: *Proxy,
            io: IO = undefined,
            context: Context = undefined,
            chunk: []align(16) u8 = &.{},
            lent: std.AutoHashMapUnmanaged(u32, []align(16) u8) = .empty,
            next_id: u32 = 1,
            /// Of its sockets; 0: there is none.
            handles: [3]u32 = @splat(0),
            /// What the pump was given to move first.
            pending: std.ArrayList([]const u8) = .empty,

            /// An endpoint of the owner has another handle here.
            pub fn note(thread: *Thread, before: u32, now: u32) error{OutOfMemory}!void {
                const proxy = thread.proxy;
                proxy.lock.acquire();
                defer proxy.lock.release();
                try proxy.endpoints.append(proxy.allocator, .{ .before = before, .now = now });
            }
        };

        fn main(proxy: *Proxy) void {
            // Signals are the runtime's.
            var all = std.os.linux.sigfillset();
            _ = linux.sigprocmask(linux.SIG.BLOCK, &all, null);
            var thread: Thread = .{ .proxy = proxy };
            thread.io.init(proxy.allocator, proxy.backend) catch return proxy.set_phase(.failed);
            defer thread.io.deinit();
            const seed = thread.io.now_ns() ^ @intFromPtr(proxy);
            const context = &thread.context;
            context.init(proxy.allocator, &thread.io, proxy.memory_bytes_max, seed);
            context.signalled = true;
            thread.chunk = shared_blocks.allocate(chunk_bytes) catch {
                context.deinit();
                return proxy.set_phase(.failed);
            };
            context.lend_arena(thread.chunk) catch unreachable; // There is nothing to spill yet.
            proxy.lock.acquire();
            proxy.wake = thread.io.wake_fd();
            proxy.lock.release();
            proxy.set_phase(.waiting);
            const phase = serve(&thread);
            proxy.lock.acquire();
            proxy.wake = -1;
            proxy.lock.release();
            for (0..proxy.records.len) |index| keep_record(proxy, index);
            context.deinit();
            release_all(&thread);
            proxy.set_phase(phase);
        }

        fn serve(thread: *Thread) Phase {
            const cargo = receive_cargo(thread) orelse return .ended;
            var pump = unpack(thread, cargo) orelse return .failed;
            show_records(thread, &pump);
            thread.proxy.set_phase(.running);
            var command: Command = .run;
            while (command == .run or command == .pause) {
                const moved = command == .run and pump.run();
                const context = &thread.context;
                const status = if (moved) context.tick() else context.wait(null);
                if (status.events) take_events(thread);
                command = exchange(thread, &pump);
            }
            end(thread, &pump, command);
            return .ended;
        }

        fn show_records(thread: *Thread, pump: *const Pump) void {
            const proxy = thread.proxy;
            proxy.lock.acquire();
            defer proxy.lock.release();
            for ([_]u32{ pump.front, pump.back, pump.capture }, &proxy.records) |handle, *record| {
                const slot = thread.context.get(handle) orelse continue;
                record.* = slot.socket.record;
            }
        }

        /// The record is about to be freed.
        fn keep_record(proxy: *Proxy, index: usize) void {
            proxy.lock.acquire();
            defer proxy.lock.release();
            const record = proxy.records[index] orelse return;
            proxy.last_records[index] = copy_record(record);
            proxy.records[index] = null;
        }

        /// A socket has ended after its linger.
        fn forget(thread: *Thread, handle: u32) void {
            const slot = thread.context.slots.get(handle).?;
            for (thread.proxy.records, 0..) |record, index| {
                if (record == slot.socket.record) keep_record(thread.proxy, index);
            }
            assert(thread.context.forget(handle));
        }

        /// Null: told to end before anything came.
        fn receive_cargo(thread: *Thread) ?[3]?Luggage {
            const proxy = thread.proxy;
            while (true) {
                proxy.lock.acquire();
                const cargo = proxy.cargo;
                const command = proxy.command;
                proxy.cargo = null;
                proxy.lock.release();
                if (cargo) |it| return it;
                if (command == .end or command == .end_now) return null;
                _ = thread.context.wait(null);
            }
        }

        /// Null: no memory; what could not be taken over is closed.
        fn unpack(thread: *Thread, cargo_given: [3]?Luggage) ?Pump {
            var cargo = cargo_given;
            var handles: [3]u32 = @splat(0);
            var failed = false;
            for (&cargo, &handles) |*luggage, *handle| {
                const it = &(luggage.* orelse continue);
                if (!failed) {
                    if (relocation.unpack(&thread.context, it, thread)) |opened| {
                        handle.* = opened;
                    } else |_| failed = true;
                }
            }
            thread.handles = handles;
            var pump: Pump = .{
                .context = &thread.context,
                .front = handles[0],
                .back = if (cargo[1] == null) handles[0] else handles[1],
                .capture = handles[2],
                .release = release,
                .owner = thread,
            };
            pump.front_pending = keep_pending(thread, cargo[0]) catch blk: {
                failed = true;
                break :blk "";
            };
            pump.back_pending = keep_pending(thread, cargo[1]) catch blk: {
                failed = true;
                break :blk "";
            };
            for (&cargo) |*luggage| if (luggage.*) |*it| it.deinit(&thread.io);
            return if (failed) null else pump;
        }

        fn keep_pending(thread: *Thread, luggage: ?Luggage) error{OutOfMemory}![]const u8 {
            const it = luggage orelse return "";
            const kept = try thread.proxy.allocator.dupe(u8, it.pending);
            errdefer thread.proxy.allocator.free(kept);
            try thread.pending.append(thread.proxy.allocator, kept);
            return kept;
        }

        /// A lent buffer's part has been moved.
        fn release(owner: *anyopaque, id: u32) void {
            const thread: *Thread = @ptrCast(@alignCast(owner));
            const entry = thread.lent.fetchRemove(id) orelse return;
            shared_blocks.free(entry.value);
        }

        fn release_all(thread: *Thread) void {
            const allocator = thread.proxy.allocator;
            var lent = thread.lent.valueIterator();
            while (lent.next()) |buffer| shared_blocks.free(buffer.*);
            thread.lent.deinit(allocator);
            for (thread.pending.items) |bytes| allocator.free(bytes);
            thread.pending.deinit(allocator);
            shared_blocks.free(thread.chunk);
        }

        fn take_events(thread: *Thread) void {
            const context = &thread.context;
            while (context.next_event()) |event| switch (event.kind) {
                .buffer => lend(thread, event) catch {
                    _ = context.lend_buffer(event.handle, &.{}, 0);
                },
                .abandoned => release(thread, event.a),
                // As if the name was not known: it is asked for again.
                .resolve => thread.proxy.ask(event.handle) catch {
                    _ = context.resolved(event.handle, &.{}, &.{});
                },
                .closed => forget(thread, event.handle),
                // Without memory it is as if there was nobody to decide.
                .authenticate => question(thread, event) catch {
                    _ = context.authenticated(event.handle, event.b, .unavailable);
                },
                else => {},
            };
        }

        fn lend(thread: *Thread, event: contexts.Event) error{OutOfMemory}!void {
            const buffer = try shared_blocks.allocate(event.a);
            errdefer shared_blocks.free(buffer);
            const id = thread.next_id;
            try thread.lent.put(thread.proxy.allocator, id, buffer);
            thread.next_id = if (id == std.math.maxInt(u32) >> 4) 1 else id + 1;
            if (thread.lent.get(event.b)) |held| {
                const size = @min(held.len, event.a);
                @memcpy(buffer[0..size], held[0..size]);
                release(thread, event.b);
            }
            const taken = thread.context.lend_buffer(event.handle, buffer[0..event.a], id);
            if (!taken) release(thread, id);
        }

        fn ask(proxy: *Proxy, endpoint: u32) error{OutOfMemory}!void {
            proxy.lock.acquire();
            defer proxy.lock.release();
            // The answer must not fail.
            try proxy.answers.ensureTotalCapacity(proxy.allocator, proxy.endpoints.items.len);
            try proxy.asks.append(proxy.allocator, endpoint);
            signal(proxy.owner_wake);
        }

        fn question(thread: *Thread, event: contexts.Event) error{OutOfMemory}!void {
            const proxy = thread.proxy;
            var asked = thread.context.authentication(event.handle, event.b) orelse return;
            asked.socket = for (thread.handles, 0..) |handle, index| {
                if (handle == event.a) break @intCast(index);
            } else 0;
            defer std.crypto.secureZero(Question, @as(*[1]Question, &asked));
            proxy.lock.acquire();
            defer proxy.lock.release();
            const questions = &proxy.questions;
            try questions.ensureTotalCapacityPrecise(proxy.allocator, questions_max);
            // Their owner is busy: who comes now fails to get in, and comes again.
            if (questions.items.len == questions_max) return error.OutOfMemory;
            questions.appendAssumeCapacity(asked);
            signal(proxy.owner_wake);
        }

        /// Tells the owner how far things are; takes what it wants.
        fn exchange(thread: *Thread, pump: *const Pump) Command {
            const proxy = thread.proxy;
            proxy.lock.acquire();
            defer proxy.lock.release();
            proxy.statistics = pump.statistics;
            while (proxy.answers.pop()) |reply| {
                const addresses = reply.addresses[0..reply.count];
                _ = thread.context.resolved(reply.endpoint, addresses, &reply.source);
            }
            while (proxy.decisions.pop()) |it| {
                _ = thread.context.authenticated(it.session, it.request, it.verdict);
            }
            return proxy.command;
        }

        /// Closes the sockets; what is queued has linger to leave, unless there is no time.
        fn end(thread: *Thread, pump: *Pump, first_command: Command) void {
            const context = &thread.context;
            for ([_]u32{ pump.front, pump.back, pump.capture }) |handle| {
                const slot = context.get(handle) orelse continue;
                const linger_ms = slot.socket.options.linger_ms;
                const ms = if (first_command == .end_now) 0 else linger_ms;
                if (context.close_asking(slot, ms) != null) forget(thread, handle);
            }
            var command = first_command;
            while (context.slots.count() > 0 and command != .end_now) {
                const status = context.wait(null);
                if (status.events) take_events(thread);
                command = exchange(thread, pump);
            }
        }
    };
}
