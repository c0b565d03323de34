//! A hash of everything in abi.zig: two builds with the same number understand each other.

const std = @import("std");

const abi = @import("abi.zig");

pub const value: u32 = compute: {
    @setEvalBranchQuota(1_000_000);
    var text: []const u8 = "";
    for (@typeInfo(@TypeOf(abi.functions)).@"struct".fields) |field| {
        text = text ++ field.name ++ signature(@field(abi.functions, field.name)) ++ "\n";
    }
    for (@typeInfo(@TypeOf(abi.records)).@"struct".fields) |field| {
        text = text ++ field.name ++ layout(@field(abi.records, field.name)) ++ "\n";
    }
    for (@typeInfo(@TypeOf(abi.enums)).@"struct".fields) |field| {
        for (@typeInfo(@field(abi.enums, field.name)).@"enum".fields) |member| {
            text = text ++ std.fmt.comptimePrint("{s}={d},", .{ member.name, member.value });
        }
    }
    for (@typeInfo(@TypeOf(abi.numbers)).@"struct".fields) |field| {
        const number = @field(abi.numbers, field.name);
        text = text ++ std.fmt.comptimePrint("{s}={d},", .{ field.name, number });
    }
    break :compute std.hash.Fnv1a_32.hash(text);
};

fn signature(comptime F: type) []const u8 {
    const info = @typeInfo(F).@"fn";
    var text: []const u8 = ffi_type(info.return_type.?) ++ "(";
    for (info.params) |param| text = text ++ ffi_type(param.type.?) ++ ",";
    return text ++ ")";
}

/// Bun's name of a type in a signature.
pub fn ffi_type(comptime T: type) []const u8 {
    return switch (T) {
        void => "void",
        u32 => "u32",
        i32 => "i32",
        else => switch (@typeInfo(T)) {
            .optional => "ptr",
            else => @compileError("may not be in a signature: " ++ @typeName(T)),
        },
    };
}

fn layout(comptime T: type) []const u8 {
    var text: []const u8 = "{";
    for (@typeInfo(T).@"struct".fields) |field| {
        text = text ++ std.fmt.comptimePrint("{s}@{d}:{d},", .{
            field.name,
            @offsetOf(T, field.name),
            @sizeOf(field.type),
        });
    }
    return text ++ "}";
}
