//! The memory of what is simulated with a world. In a test it is the test's own, which finds leaks;
//! `zig build fuzz` makes a million worlds, so there it is only counted.

const builtin = @import("builtin");
const std = @import("std");

const Memory = @import("swarm_memory.zig").Memory;

pub const allocator = if (builtin.is_test) std.testing.allocator else counted.allocator();

pub var counted: Memory = .{};
