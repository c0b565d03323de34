//! The root of the shared library: every function of abi.zig under its public name, nothing else.

const std = @import("std");

const abi = @import("abi.zig");
const exports = @import("abi_exports.zig");

comptime {
    for (@typeInfo(@TypeOf(abi.functions)).@"struct".fields) |field| {
        const function = &@field(exports, field.name);
        const Declared = @field(abi.functions, field.name);
        // The description and the code must not drift apart.
        std.debug.assert(@TypeOf(function.*) == Declared);
        @export(function, .{ .name = "monocoque_" ++ field.name });
    }
}
