//! What the real libzmq has said: transcripts/libzmq.txt, one entry for each direction of a
//! conversation. test/interop/peers/libzmq_capture.c writes it and tells its format.

const std = @import("std");
const allocator = @import("memory.zig").allocator;
const SocketType = @import("../zmtp/socket_type.zig").SocketType;

pub const Transcript = struct {
    /// Who speaks, and whom it takes us for.
    speaker: SocketType,
    listener: SocketType,
    /// The speaker had connected, so we are bound.
    connected: bool,
    bytes: []const u8,
};

pub const count_max = 64;

pub const Transcripts = struct {
    items: [count_max]Transcript = undefined,
    count: usize = 0,

    pub fn load(transcripts: *Transcripts) !void {
        transcripts.count = 0;
        errdefer transcripts.deinit();
        var lines = std.mem.splitScalar(u8, @embedFile("transcripts/libzmq.txt"), '\n');
        // What wrote it, and an empty line.
        _ = lines.next();
        _ = lines.next();
        while (lines.next()) |title| {
            if (title.len == 0) continue;
            var words = std.mem.splitScalar(u8, title, ' ');
            const speaker = SocketType.from_wire_name(words.next().?).?;
            const connected = std.mem.eql(u8, words.next().?, "connect");
            if (!std.mem.eql(u8, words.next().?, "to")) return error.BadTranscript;
            const listener = SocketType.from_wire_name(words.next().?).?;
            var bytes: std.ArrayList(u8) = .empty;
            errdefer bytes.deinit(allocator);
            while (lines.next()) |line| {
                if (line.len == 0) break;
                try append(&bytes, line);
            }
            transcripts.items[transcripts.count] = .{
                .speaker = speaker,
                .listener = listener,
                .connected = connected,
                .bytes = try bytes.toOwnedSlice(allocator),
            };
            transcripts.count += 1;
        }
    }

    pub fn deinit(transcripts: *Transcripts) void {
        for (transcripts.all()) |it| allocator.free(it.bytes);
        transcripts.count = 0;
    }

    pub fn all(transcripts: *const Transcripts) []const Transcript {
        return transcripts.items[0..transcripts.count];
    }
};

/// Hex; "61*40 " is a byte that comes 40 times.
fn append(bytes: *std.ArrayList(u8), line: []const u8) !void {
    var rest = line;
    while (rest.len > 0) {
        const byte = try std.fmt.parseInt(u8, rest[0..2], 16);
        rest = rest[2..];
        var times: usize = 1;
        if (rest.len > 0 and rest[0] == '*') {
            const end = std.mem.indexOfScalar(u8, rest, ' ') orelse rest.len;
            times = try std.fmt.parseInt(usize, rest[1..end], 10);
            rest = rest[@min(end + 1, rest.len)..];
        }
        try bytes.appendNTimes(allocator, byte, times);
    }
}
