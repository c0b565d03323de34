//! What a context does instead of sleeping at once: it looks for a while whether something comes.
//! Part of context.zig, in a file of its own for its length.
//!
//! - Where the owner wants it (`spin`), before each sleep, as long as it pays.
//! - While heartbeats of many connections come in. They beat together, so more are on their way,
//!   and a sleep between any two of them would be hundreds of wake-ups per second.

const std = @import("std");

const io_module = @import("io/io.zig");
const Spin = @import("stdx/spin.zig").Spin;
const time = @import("stdx/time.zig");

/// Looks at memory, or one system call that does not wait, between two looks at the clock.
const looks = 16;

pub const Polling = struct {
    spin: Spin = .{},
    burst: Burst = .{},
    /// The kernel told something in this turn.
    news: bool = false,
    /// What the owner is to do with `poll` before its next turn; nothing signals it meanwhile.
    due: enum { nothing, spin, burst } = .nothing,
};

/// Heartbeats that follow one another.
const Burst = struct {
    /// Without a gap, and when the last ones came.
    count: u32 = 0,
    last_ns: u64 = 0,
    /// Polled in vain since a moment.
    vain_ns: u64 = 0,
    since_ns: u64 = 0,

    const count_min = 3;
    /// Its sender may be reading a thousand of ours before it answers.
    const gap_ns = 10 * time.ns_per_ms;
    /// The next one is a few µs of its sender's time away, or its sender is in a long turn.
    const limit_ns = 500 * time.ns_per_us;
    /// A hundredth of the time at most, where they come one by one over a network.
    const vain_ns_max = 5 * time.ns_per_ms;
    const period_ns = 500 * time.ns_per_ms;

    fn came(burst: *Burst, count: u32, now_ns: u64) void {
        if (now_ns - burst.last_ns > gap_ns) burst.count = 0;
        burst.count +|= count;
        burst.last_ns = now_ns;
    }

    fn worth(burst: *Burst, now_ns: u64) bool {
        if (now_ns - burst.since_ns > period_ns) {
            burst.since_ns = now_ns;
            burst.vain_ns = 0;
        }
        return burst.count >= count_min and burst.vain_ns < vain_ns_max;
    }
};

/// How a turn ends that its owner's event loop follows.
pub fn next(context: anytype) io_module.Next {
    const polling = &context.polling;
    // Nothing has come: what was decided when something came still holds, and the clock costs more.
    if (!polling.news and !context.mailbox.used()) {
        return if (polling.due == .nothing) .event_loop else .poll;
    }
    polling.due = .nothing;
    const beats = context.resources.beats;
    if (beats == 0 and polling.spin.limit_ns == 0) return .event_loop;
    const now_ns = context.io.now_ns();
    if (beats > 0) polling.burst.came(beats, now_ns);
    if (polling.spin.worth(now_ns)) {
        polling.due = .spin;
    } else if (beats > 0 and polling.burst.worth(now_ns)) {
        polling.due = .burst;
    } else return .event_loop;
    return .poll;
}

/// Before the turn that `Status.soon` asks for.
pub fn poll(context: anytype) void {
    const polling = &context.polling;
    const due = polling.due;
    polling.due = .nothing;
    // Left by a turn after the one that decided this.
    if (!context.readable.empty() or !context.resources.resumed.empty()) return;
    switch (due) {
        .nothing => {},
        .spin => _ = spin_for(context, polling.spin.limit_ns),
        .burst => if (!look(context, Burst.limit_ns)) {
            polling.burst.vain_ns += Burst.limit_ns;
        },
    }
}

/// Before a call that blocks sleeps. True: there is something to do.
pub fn poll_blocking(context: anytype, timeout_ns: ?u64) bool {
    const spin = &context.polling.spin;
    if (spin.limit_ns == 0 or !spin.worth(context.io.now_ns())) return false;
    // What is requested only now may be what is waited for.
    context.io.submit();
    return spin_for(context, @min(spin.limit_ns, timeout_ns orelse spin.limit_ns));
}

fn spin_for(context: anytype, limit_ns: u64) bool {
    // What is there already tells nothing of what will come.
    if (context.io.poll() or context.has_mail()) return true;
    const found = look(context, limit_ns);
    const spin = &context.polling.spin;
    if (found) spin.hit() else spin.missed(context.io.now_ns());
    return found;
}

fn look(context: anytype, limit_ns: u64) bool {
    const end_ns = context.io.now_ns() + limit_ns;
    while (true) {
        for (0..looks) |_| {
            if (context.io.poll() or context.has_mail()) return true;
            std.atomic.spinLoopHint();
        }
        if (context.io.now_ns() >= end_ns) return false;
    }
}
