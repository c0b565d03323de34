//! Prints src/ffi/abi.generated.ts: what abi.zig declares, in TypeScript.

const std = @import("std");

const abi = @import("abi.zig");
const abi_fingerprint = @import("abi_fingerprint.zig");

pub fn main(init: std.process.Init) !void {
    var buffer: [4096]u8 = undefined;
    var file = std.Io.File.stdout().writer(init.io, &buffer);
    const writer = &file.interface;
    try writer.writeAll(
        \\// Written by `npm run abi` from zig/abi.zig. Do not edit: change that file instead.
        \\
        \\
    );
    try writer.print("export const FINGERPRINT = {d};\n\n", .{abi_fingerprint.value});
    try write_functions(writer);
    try write_records(writer);
    try write_enums(writer);
    inline for (@typeInfo(@TypeOf(abi.numbers)).@"struct".fields) |field| {
        try writer.print("export const {s} = {d};\n", .{
            field.name, @field(abi.numbers, field.name),
        });
    }
    try writer.flush();
}

fn write_functions(writer: *std.Io.Writer) !void {
    try writer.writeAll("/** For `dlopen`. */\nexport const functions = {\n");
    inline for (@typeInfo(@TypeOf(abi.functions)).@"struct".fields) |field| {
        const info = @typeInfo(@field(abi.functions, field.name)).@"fn";
        try writer.print("  monocoque_{s}: {{ args: [", .{field.name});
        inline for (info.params, 0..) |param, i| {
            if (i > 0) try writer.writeAll(", ");
            try writer.print("\"{s}\"", .{comptime abi_fingerprint.ffi_type(param.type.?)});
        }
        try writer.print("], returns: \"{s}\" }},\n", .{
            comptime abi_fingerprint.ffi_type(info.return_type.?),
        });
    }
    try writer.writeAll("} as const;\n\n");
}

/// Byte offsets of every field, and each record's size.
fn write_records(writer: *std.Io.Writer) !void {
    inline for (@typeInfo(@TypeOf(abi.records)).@"struct".fields) |entry| {
        const T = @field(abi.records, entry.name);
        try writer.print("export const {s}Record = {{\n  bytes: {d},\n", .{
            entry.name, @sizeOf(T),
        });
        inline for (@typeInfo(T).@"struct".fields) |field| {
            try writer.print("  {s}: {{ offset: {d}, bytes: {d}, type: \"{s}\" }},\n", .{
                field.name,          @offsetOf(T, field.name),
                @sizeOf(field.type), comptime field_type(field.type),
            });
        }
        try writer.writeAll("} as const;\n\n");
    }
    try writer.writeAll("/** In the order of the probes' record numbers. */\n");
    try writer.writeAll("export const records = [\n");
    inline for (@typeInfo(@TypeOf(abi.records)).@"struct".fields) |entry| {
        try writer.print("  {s}Record,\n", .{entry.name});
    }
    try writer.writeAll("] as const;\n\n");
}

fn field_type(comptime T: type) []const u8 {
    return switch (@typeInfo(T)) {
        .int => @typeName(T),
        .@"enum" => |info| @typeName(info.tag_type),
        .array => |array| if (array.child == u8) "bytes" else "records",
        .@"struct" => "record",
        else => unreachable,
    };
}

fn write_enums(writer: *std.Io.Writer) !void {
    inline for (@typeInfo(@TypeOf(abi.enums)).@"struct".fields) |entry| {
        try writer.print("export const {s} = {{\n", .{entry.name});
        inline for (@typeInfo(@field(abi.enums, entry.name)).@"enum".fields) |member| {
            try writer.print("  {s}: {d},\n", .{ member.name, member.value });
        }
        try writer.writeAll("} as const;\n\n");
    }
}
