//! Test only: bytes written as hex, the way a packet dump shows them. Spaces and line breaks
//! between the bytes are free, and text in single quotes stands for itself:
//!
//!     hex("04 29 05 'READY'")  ==  { 0x04, 0x29, 0x05, 'R', 'E', 'A', 'D', 'Y' }

const std = @import("std");

pub fn hex(comptime text: []const u8) *const [size(text)]u8 {
    const bytes = comptime parse: {
        @setEvalBranchQuota(1000 + 100 * text.len);
        var result: [size(text)]u8 = undefined;
        var filled: usize = 0;
        var index: usize = 0;
        while (index < text.len) switch (text[index]) {
            ' ', '\n' => index += 1,
            '\'' => {
                index += 1;
                while (text[index] != '\'') : (index += 1) {
                    result[filled] = text[index];
                    filled += 1;
                }
                index += 1;
            },
            else => {
                result[filled] = std.fmt.parseInt(u8, text[index..][0..2], 16) catch unreachable;
                filled += 1;
                index += 2;
            },
        };
        if (filled != result.len) unreachable;
        break :parse result;
    };
    return &bytes;
}

fn size(comptime text: []const u8) usize {
    @setEvalBranchQuota(1000 + 100 * text.len);
    var digits: usize = 0;
    var quoted: usize = 0;
    var inside = false;
    for (text) |char| {
        if (char == '\'') {
            inside = !inside;
        } else if (inside) {
            quoted += 1;
        } else if (char != ' ' and char != '\n') {
            digits += 1;
        }
    }
    return quoted + @divExact(digits, 2);
}

test "hex: a dump that is misread would prove the wrong bytes" {
    const expected = [_]u8{ 0x04, 0x0a, 'P', ' ', 'G', 0xff };
    try std.testing.expectEqualSlices(u8, &expected, hex("04 0A 'P G' ff"));
    try std.testing.expectEqualSlices(u8, &.{ 0, 1, 2 }, hex("000102"));
    try std.testing.expectEqualSlices(u8, &.{}, hex(""));
}
