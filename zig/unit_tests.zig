//! Every file with tests. zig/tidy.zig fails when one is missing here.

comptime {
    _ = @import("context_test.zig");
    _ = @import("core/arena.zig");
    _ = @import("core/envelope.zig");
    _ = @import("core/monitor.zig");
    _ = @import("core/receive_ring.zig");
    _ = @import("core/send_queue.zig");
    _ = @import("io/address.zig");
    _ = @import("io/io.zig");
    _ = @import("io/transfer.zig");
    _ = @import("io/uring.zig");
    _ = @import("net/backoff.zig");
    _ = @import("sim/attack_test.zig");
    _ = @import("sim/fault_test.zig");
    _ = @import("sim/memory_io.zig");
    _ = @import("sim/pattern_test.zig");
    _ = @import("sim/session_test.zig");
    _ = @import("sim/wire_test.zig");
    _ = @import("stdx/copy.zig");
    _ = @import("stdx/deadline_heap.zig");
    _ = @import("stdx/handle_table.zig");
    _ = @import("stdx/intrusive_list.zig");
    _ = @import("stdx/prng.zig");
    _ = @import("stdx/slab.zig");
    _ = @import("stdx/snap.zig");
    _ = @import("stdx/time.zig");
    _ = @import("zmtp/command.zig");
    _ = @import("zmtp/frame.zig");
    _ = @import("zmtp/greeting.zig");
    _ = @import("zmtp/handshake.zig");
    _ = @import("zmtp/hex.zig");
    _ = @import("zmtp/mechanism.zig");
    _ = @import("zmtp/metadata.zig");
    _ = @import("zmtp/null.zig");
    _ = @import("zmtp/socket_type.zig");
}
