//! Copies of payloads, by the C library. Zig brings a memcpy of its own that hides glibc's, also
//! under its fortified name, and is built for the baseline processor; glibc picks one for the
//! processor at hand, up to 1.6 times as fast from a few hundred bytes on. It is reached by a name
//! that Zig does not define, through a pointer, or the compiler would make a memcpy of it.

const std = @import("std");
const builtin = @import("builtin");
const assert = std.debug.assert;

extern fn mempcpy(target: [*]u8, source: [*]const u8, bytes: usize) [*]u8;

/// Below this the call costs more than it saves, bytes.
const call_bytes_min = 256;

/// Like @memcpy: same length, no overlap.
pub inline fn copy(target: []u8, source: []const u8) void {
    if (!builtin.link_libc or source.len < call_bytes_min) {
        @memcpy(target, source);
    } else {
        copy_large(target, source);
    }
}

fn copy_large(target: []u8, source: []const u8) void {
    assert(target.len == source.len);
    const start = @intFromPtr(target.ptr);
    const from = @intFromPtr(source.ptr);
    assert(start + target.len <= from or from + source.len <= start);
    const call = asm ("" // The same value, of which the compiler knows nothing.
        : [call] "=r" (-> *const @TypeOf(mempcpy)),
        : [function] "0" (&mempcpy),
    );
    _ = call(target.ptr, source.ptr, source.len);
}

/// Moves bytes to where they overlap with themselves, towards lower addresses. Each piece is read
/// before it is written, so what a write covers has been read.
pub fn move_down(target: []u8, source: []const u8) void {
    assert(target.len == source.len);
    assert(@intFromPtr(target.ptr) <= @intFromPtr(source.ptr));
    const Piece = @Vector(32, u8);
    var at: usize = 0;
    while (at + 32 <= source.len) : (at += 32) {
        const piece: Piece = source[at..][0..32].*;
        target[at..][0..32].* = piece;
    }
    while (at < source.len) : (at += 1) target[at] = source[at];
}

test "bytes that overlap with where they go change on their way" {
    var buffer: [1100]u8 = undefined;
    for ([_]usize{ 0, 1, 31, 32, 33, 64, 95, 1000 }) |size| {
        for ([_]usize{ 0, 1, 7, 31, 32, 33, 90 }) |distance| {
            for (&buffer, 0..) |*byte, i| byte.* = @truncate(i *% 31);
            move_down(buffer[0..size], buffer[distance..][0..size]);
            for (buffer[0..size], distance..) |byte, i| {
                try std.testing.expectEqual(@as(u8, @truncate(i *% 31)), byte);
            }
            for (buffer[size..], size..) |byte, i| {
                try std.testing.expectEqual(@as(u8, @truncate(i *% 31)), byte);
            }
        }
    }
}

test "a payload arrives unchanged, whatever its size: silent corruption" {
    var source: [4096]u8 = undefined;
    for (&source, 0..) |*byte, i| byte.* = @truncate(i *% 7);
    var target: [4096]u8 = undefined;
    for ([_]usize{ 0, 1, 15, 255, 256, 257, 1000, 4095, 4096 }) |size| {
        @memset(&target, 0);
        copy(target[0..size], source[0..size]);
        try std.testing.expectEqualSlices(u8, source[0..size], target[0..size]);
        for (target[size..]) |byte| try std.testing.expectEqual(0, byte);
    }
}
