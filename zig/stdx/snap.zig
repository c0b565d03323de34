//! Snapshots for tests: what came out, beside what was expected, written where the test is.
//! Frames are written as hex the way a specification draws them, and a mismatch prints both
//! sides. Test only: product code neither formats nor compares through this file.
//!
//!     try snap.hex(
//!         \\04 | 0A      # command, short, ten bytes follow
//!         \\04 "PING"    # text stands for its bytes
//!         \\00*5         # repeated five times
//!     , bytes);
//!
//! Spaces, line breaks and | separate; # and // begin a comment.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;
const Writer = std.Io.Writer;

/// Bytes in a line of a dump: two ZMTP words of a terminal's 80 columns.
const dump_line_bytes = 16;

pub const HexError = error{InvalidSnapshot};

/// Fails with `SnapshotMismatch` and a dump of both sides when `actual` is not `expected`.
pub fn hex(expected: []const u8, actual: []const u8) !void {
    const gpa = std.testing.allocator;
    const wanted = try parse_hex(gpa, expected);
    defer gpa.free(wanted);
    if (std.mem.eql(u8, wanted, actual)) return;
    var message: Writer.Allocating = .init(gpa);
    defer message.deinit();
    try write_hex_difference(&message.writer, wanted, actual);
    std.debug.print("{s}", .{message.written()});
    return error.SnapshotMismatch;
}

/// The same for text. One line break at the end of either side does not count.
pub fn text(expected: []const u8, comptime format: []const u8, args: anytype) !void {
    const gpa = std.testing.allocator;
    const actual = try std.fmt.allocPrint(gpa, format, args);
    defer gpa.free(actual);
    if (std.mem.eql(u8, trim_line_end(expected), trim_line_end(actual))) return;
    var message: Writer.Allocating = .init(gpa);
    defer message.deinit();
    try write_text_difference(&message.writer, trim_line_end(expected), trim_line_end(actual));
    std.debug.print("{s}", .{message.written()});
    return error.SnapshotMismatch;
}

/// The bytes a snapshot stands for, as a constant: the input of a test.
pub inline fn bytes(comptime source: []const u8) *const [bytes_count(source)]u8 {
    comptime {
        var result: [bytes_count(source)]u8 = undefined;
        const count = parse_hex_into(source, &result) catch @compileError("invalid snapshot");
        assert(count == result.len);
        const final = result;
        return &final;
    }
}

/// The bytes a snapshot stands for; the caller frees them.
pub fn parse_hex(gpa: Allocator, source: []const u8) (HexError || error{OutOfMemory})![]u8 {
    const count = try parse_hex_into(source, null);
    const result = try gpa.alloc(u8, count);
    errdefer comptime unreachable;
    const written = parse_hex_into(source, result) catch unreachable; // Parsed a moment ago.
    assert(written == count);
    return result;
}

fn bytes_count(comptime source: []const u8) usize {
    comptime {
        @setEvalBranchQuota(1000 + source.len * 100);
        return parse_hex_into(source, null) catch @compileError("invalid snapshot: " ++ source);
    }
}

/// Returns how many bytes `source` stands for, and writes them if there is somewhere to.
fn parse_hex_into(source: []const u8, target: ?[]u8) HexError!usize {
    var count: usize = 0;
    var at: usize = 0;
    // Comptime has a budget of branches; a dump of a few KiB should fit.
    if (@inComptime()) @setEvalBranchQuota(1000 + source.len * 200);
    while (at < source.len) {
        switch (source[at]) {
            ' ', '\t', '\r', '\n', '|' => at += 1,
            '#' => at = line_end(source, at),
            '/' => {
                if (at + 1 == source.len or source[at + 1] != '/') return error.InvalidSnapshot;
                at = line_end(source, at);
            },
            '"' => {
                const begin = at + 1;
                const length = std.mem.findScalar(u8, source[begin..], '"') orelse
                    return error.InvalidSnapshot;
                if (target) |to| @memcpy(to[count..][0..length], source[begin..][0..length]);
                count += length;
                at = begin + length + 1;
            },
            else => {
                if (at + 1 == source.len) return error.InvalidSnapshot;
                const high = std.fmt.charToDigit(source[at], 16) catch return error.InvalidSnapshot;
                const low = std.fmt.charToDigit(source[at + 1], 16) catch
                    return error.InvalidSnapshot;
                at += 2;
                var times: usize = 1;
                if (at < source.len and source[at] == '*') {
                    const begin = at + 1;
                    at = begin;
                    while (at < source.len and std.ascii.isDigit(source[at])) at += 1;
                    times = std.fmt.parseInt(usize, source[begin..at], 10) catch
                        return error.InvalidSnapshot;
                }
                if (target) |to| @memset(to[count..][0..times], high << 4 | low);
                count += times;
            },
        }
    }
    assert(at == source.len);
    return count;
}

fn line_end(source: []const u8, from: usize) usize {
    assert(from < source.len);
    return std.mem.findScalarPos(u8, source, from, '\n') orelse source.len;
}

fn trim_line_end(string: []const u8) []const u8 {
    return if (std.mem.endsWith(u8, string, "\n")) string[0 .. string.len - 1] else string;
}

/// Lines that agree once, the others as expected (-) and as they are (+).
fn write_hex_difference(writer: *Writer, expected: []const u8, actual: []const u8) !void {
    const differ_at = std.mem.findDiff(u8, expected, actual) orelse return;
    try writer.print(
        "\nsnapshot differs at byte {d} (0x{x}): expected {d} bytes (-), got {d} (+)\n",
        .{ differ_at, differ_at, expected.len, actual.len },
    );
    var offset: usize = 0;
    while (offset < @max(expected.len, actual.len)) : (offset += dump_line_bytes) {
        const want = dump_line(expected, offset);
        const have = dump_line(actual, offset);
        if (std.mem.eql(u8, want, have)) {
            try write_dump_line(writer, ' ', offset, have);
            continue;
        }
        if (want.len > 0) try write_dump_line(writer, '-', offset, want);
        if (have.len > 0) try write_dump_line(writer, '+', offset, have);
    }
    // Ready to be pasted into the test, once a person has decided that it is right.
    try writer.print("got: {x}\n", .{actual});
}

fn dump_line(all: []const u8, offset: usize) []const u8 {
    const begin = @min(offset, all.len);
    return all[begin..@min(begin + dump_line_bytes, all.len)];
}

fn write_dump_line(writer: *Writer, mark: u8, offset: usize, line: []const u8) !void {
    assert(line.len > 0 and line.len <= dump_line_bytes);
    try writer.print("{c} {x:0>4} ", .{ mark, offset });
    for (0..dump_line_bytes) |index| {
        if (index < line.len) try writer.print(" {x:0>2}", .{line[index]}) else {
            try writer.writeAll("   ");
        }
    }
    try writer.writeAll("  |");
    for (line) |byte| try writer.writeByte(if (std.ascii.isPrint(byte)) byte else '.');
    try writer.writeAll("|\n");
}

fn write_text_difference(writer: *Writer, expected: []const u8, actual: []const u8) !void {
    assert(!std.mem.eql(u8, expected, actual));
    try writer.writeAll("\nsnapshot differs: expected (-), got (+)\n");
    var want_lines = std.mem.splitScalar(u8, expected, '\n');
    var have_lines = std.mem.splitScalar(u8, actual, '\n');
    while (true) {
        const want = want_lines.next();
        const have = have_lines.next();
        if (want == null and have == null) return;
        if (want != null and have != null and std.mem.eql(u8, want.?, have.?)) {
            try writer.print("  {s}\n", .{have.?});
            continue;
        }
        if (want) |line| try writer.print("- {s}\n", .{line});
        if (have) |line| try writer.print("+ {s}\n", .{line});
    }
}

const testing = std.testing;

test "a frame may be written the way a specification draws it" {
    try hex("04 0A 04 | 50 49 4e 47", "\x04\x0a\x04PING");
    try hex(
        \\# a greeting's beginning
        \\ff 00*8 7f  // signature
        \\03 01 | "NULL" 00*16
    , "\xff" ++ "\x00" ** 8 ++ "\x7f\x03\x01NULL" ++ "\x00" ** 16);
    try hex("", "");
    try hex("# nothing at all", "");
    try hex("0a0b0c", "\x0a\x0b\x0c");
    try hex("\"a|b # c\"", "a|b # c");
    try testing.expectEqualStrings("\x05READY\x00\x00", bytes("05 \"READY\" 00*2"));
    try testing.expectEqual(@as(usize, 0), bytes("").len);
}

test "a snapshot with a typing error fails, instead of testing something else" {
    for ([_][]const u8{ "0", "0 4", "0g", "\"open", "/ 04", "04*", "04*x", "*3", "é" }) |wrong| {
        try testing.expectError(error.InvalidSnapshot, parse_hex(testing.allocator, wrong));
    }
}

test "a mismatch shows where and what, so nobody has to add prints" {
    var buffer: [2048]u8 = undefined;
    var writer: Writer = .fixed(&buffer);
    const common = "0123456789abcdef";
    try write_hex_difference(&writer, common ++ "\x04PING", common ++ "\x04PONG!");
    const dump = writer.buffered();
    try testing.expectEqualStrings(
        "\nsnapshot differs at byte 18 (0x12): expected 21 bytes (-), got 22 (+)\n" ++
            "  0000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  |0123456789abcdef|\n" ++
            "- 0010  04 50 49 4e 47" ++ "   " ** 11 ++ "  |.PING|\n" ++
            "+ 0010  04 50 4f 4e 47 21" ++ "   " ** 10 ++ "  |.PONG!|\n" ++
            "got: 3031323334353637383961626364656604504f4e4721\n",
        dump,
    );
    writer = .fixed(&buffer);
    try write_hex_difference(&writer, "", "\x01");
    try testing.expect(std.mem.find(u8, writer.buffered(), "- 0000") == null);
    try testing.expect(std.mem.find(u8, writer.buffered(), "+ 0000  01") != null);
}

test "text snapshots compare line by line and ignore the last line break" {
    try text(
        \\sent 3
        \\lost 0
    , "sent {d}\nlost {d}\n", .{ 3, 0 });
    var buffer: [256]u8 = undefined;
    var writer: Writer = .fixed(&buffer);
    try write_text_difference(&writer, "sent 3\nlost 0", "sent 3\nlost 1\nlate 2");
    try testing.expectEqualStrings(
        \\
        \\snapshot differs: expected (-), got (+)
        \\  sent 3
        \\- lost 0
        \\+ lost 1
        \\+ late 2
        \\
    , writer.buffered());
}
