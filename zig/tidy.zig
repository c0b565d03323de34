//! Tests on the source tree itself: what the compiler does not look at and a reviewer forgets.
//! Runs as a program of its own, so it speaks even while the sources do not compile.
//!
//! Everything from the first `test` at the beginning of a line to the end of a file is test code,
//! and so is every file of `is_test_file`. Rules for product code do not hold there.

const std = @import("std");
const mem = std.mem;

const columns_max = 100;
const product_lines_max = 900;
const function_lines_max = 70;
const function_lines_limit = 120;

/// Functions between the two lengths above. An entry that is no longer needed fails the test too:
/// the list only gets shorter, unless a reviewer agrees that a function reads best in one piece.
const long_functions = [_]struct { path: []const u8, name: []const u8 }{};

/// Product code may not contain these outside the listed files. A name that ends in "/" stands for
/// all files below it.
const banned = [_]struct {
    text: []const u8,
    why: []const u8,
    allowed: []const []const u8 = &.{},
    in_tests: bool = false,
    /// A comment on the same line is an answer to `why`.
    comment_excuses: bool = false,
}{
    .{ .text = "std.debug.print", .why = "a library does not write to its user's terminal" },
    .{ .text = "catch {}", .why = "map the error, count it or say why not", .in_tests = true },
    .{
        .text = "catch unreachable",
        .why = "handle the error, or say on the same line why it cannot come",
        .comment_excuses = true,
    },
    .{ .text = "orelse unreachable", .why = "use `.?`, which says the same" },
    .{
        .text = "@panic(",
        .why = "return an error, or assert what is ours",
        .allowed = &.{"lib.zig"},
    },
    .{
        .text = "page_allocator",
        .why = "memory comes from the context's budget",
        .allowed = &.{ "stdx/", "context.zig", "abi_exports.zig", "abi_gen.zig" },
    },
    .{
        .text = "c_allocator",
        .why = "memory comes from the context's budget",
        // net/inproc.zig: links and names outlive the context that made them.
        .allowed = &.{ "stdx/", "net/inproc.zig", "context.zig", "abi_exports.zig", "abi_gen.zig" },
    },
    .{ .text = "@cImport", .why = "declare what is used: one wrapper file per C library" },
    .{ .text = "IoUring", .why = "liburing does all ring work", .in_tests = true },
    .{
        .text = "extern fn io_uring_",
        .why = "zig/io/uring.zig is the only file that uses liburing",
        .allowed = &.{"io/uring.zig"},
        .in_tests = true,
    },
    .{
        .text = "extern fn sodium_",
        .why = "zig/crypto/sodium.zig is the only file that declares libsodium",
        .allowed = &.{"crypto/sodium.zig"},
        .in_tests = true,
    },
    .{
        .text = "extern fn crypto_",
        .why = "zig/crypto/sodium.zig is the only file that declares libsodium",
        .allowed = &.{"crypto/sodium.zig"},
        .in_tests = true,
    },
    .{
        .text = "extern fn randombytes",
        .why = "zig/crypto/sodium.zig is the only file that declares libsodium",
        .allowed = &.{"crypto/sodium.zig"},
        .in_tests = true,
    },
};

/// The arrows of docs/architecture.md: a layer, and whose files its product code may import (its
/// own always). The files directly in zig/ are layers of one file. `constants` and `abi` are words
/// that several layers share; they import nothing that does anything.
const layers = [_]struct { name: []const u8, imports: []const []const u8 }{
    .{ .name = "stdx", .imports = &.{} },
    .{ .name = "constants", .imports = &.{"stdx"} },
    .{ .name = "options", .imports = &.{ "stdx", "constants" } },
    .{ .name = "crypto", .imports = &.{ "stdx", "constants" } },
    .{ .name = "io", .imports = &.{ "stdx", "constants" } },
    .{ .name = "zmtp", .imports = &.{ "stdx", "constants", "crypto" } },
    .{ .name = "net", .imports = &.{ "stdx", "constants", "options", "crypto", "io", "zmtp" } },
    .{ .name = "core", .imports = &.{
        "stdx", "constants", "options", "crypto", "io", "zmtp", "net",
    } },
    .{ .name = "socket", .imports = &.{ "stdx", "constants", "options", "core" } },
    .{ .name = "context_inproc", .imports = &.{ "stdx", "io", "net", "core" } },
    .{ .name = "context_endpoints", .imports = &.{
        "stdx", "io", "net", "core", "context_inproc",
    } },
    .{ .name = "context_closing", .imports = &.{"context_inproc"} },
    .{ .name = "context_limits", .imports = &.{ "io", "net", "core" } },
    .{ .name = "context_stats", .imports = &.{ "stdx", "io", "net", "core" } },
    .{ .name = "context_events", .imports = &.{"context_closing"} },
    .{ .name = "context_security", .imports = &.{ "io", "zmtp", "core" } },
    .{ .name = "context_monitor", .imports = &.{"core"} },
    .{ .name = "context_poll", .imports = &.{ "stdx", "io" } },
    .{ .name = "context", .imports = &.{
        "stdx",            "constants",        "options",           "crypto",
        "io",              "zmtp",             "net",               "core",
        "socket",          "context_inproc",   "context_endpoints", "context_monitor",
        "context_closing", "context_limits",   "context_poll",      "context_stats",
        "context_events",  "context_security",
    } },
    .{ .name = "pump", .imports = &.{ "stdx", "zmtp", "core" } },
    .{ .name = "relocation", .imports = &.{
        "stdx", "constants", "options", "io", "zmtp", "net", "core", "socket",
    } },
    .{ .name = "proxy", .imports = &.{
        "stdx", "constants", "io", "core", "socket", "context", "pump", "relocation",
    } },
    .{ .name = "abi", .imports = &.{
        "stdx", "constants", "options", "io", "core", "socket", "context", "proxy",
    } },
    .{ .name = "abi_fingerprint", .imports = &.{"abi"} },
    .{ .name = "abi_exports", .imports = &.{
        "stdx",   "constants", "options", "abi", "abi_fingerprint", "crypto", "io", "net", "core",
        "socket", "context",   "proxy",
    } },
    .{ .name = "abi_gen", .imports = &.{ "abi", "abi_fingerprint" } },
    .{ .name = "lib", .imports = &.{ "abi", "abi_exports" } },
};

/// Helpers that only tests import: test code from their first line.
const test_helpers = [_][]const u8{ "io/variants.zig", "stdx/snap.zig", "zmtp/hex.zig" };

/// Files that nothing has to import: where programs begin.
const roots = [_][]const u8{
    "lib.zig", "abi_gen.zig", "fuzz.zig", "sim/swarm.zig", "unit_tests.zig", "tidy.zig",
};

const File = struct {
    /// Relative to zig/.
    path: []const u8,
    text: []const u8,
    /// The first line of test code, counted from 1; one past the last line where there is none.
    test_line: usize,
    lines: []const []const u8,

    fn product(file: File) []const []const u8 {
        return file.lines[0 .. file.test_line - 1];
    }

    fn hasTests(file: File) bool {
        return file.test_line <= file.lines.len and !is_test_file(file.path);
    }

    /// `stdx` for stdx/slab.zig, `context` for context.zig.
    fn layer(file: File) []const u8 {
        return layer_of(file.path);
    }
};

fn layer_of(path: []const u8) []const u8 {
    if (mem.findScalar(u8, path, '/')) |slash| return path[0..slash];
    return path[0 .. path.len - ".zig".len];
}

fn is_test_file(path: []const u8) bool {
    return mem.startsWith(u8, path, "sim/") or
        mem.startsWith(u8, path, "fuzz/") or
        mem.eql(u8, path, "fuzz.zig") or
        mem.endsWith(u8, path, "_fuzz.zig") or
        mem.endsWith(u8, path, "_benchmark.zig") or
        mem.endsWith(u8, path, "_test.zig") or
        mem.eql(u8, path, "unit_tests.zig") or
        mem.eql(u8, path, "tidy.zig") or
        is_allowed(path, &test_helpers);
}

/// All sources, and what the tests found wrong with them.
const Tree = struct {
    arena: std.heap.ArenaAllocator,
    files: []const File,
    violations: usize = 0,

    fn load() !Tree {
        const io = std.testing.io;
        var arena = std.heap.ArenaAllocator.init(std.testing.allocator);
        errdefer arena.deinit();
        const allocator = arena.allocator();

        var directory = try std.Io.Dir.cwd().openDir(io, "zig", .{ .iterate = true });
        defer directory.close(io);
        var walker = try directory.walk(allocator);
        var files: std.ArrayList(File) = .empty;
        while (try walker.next(io)) |entry| {
            if (entry.kind != .file or !mem.endsWith(u8, entry.basename, ".zig")) continue;
            const path = try allocator.dupe(u8, entry.path);
            const text = try directory.readFileAlloc(io, path, allocator, .limited(4 << 20));
            try files.append(allocator, try parse(allocator, path, text));
        }
        // An empty list would make every test below pass.
        try std.testing.expect(files.items.len > 2);
        return .{ .arena = arena, .files = files.items };
    }

    fn parse(allocator: mem.Allocator, path: []const u8, text: []const u8) !File {
        var lines: std.ArrayList([]const u8) = .empty;
        var iterator = mem.splitScalar(u8, mem.trimEnd(u8, text, "\n"), '\n');
        while (iterator.next()) |line| try lines.append(allocator, line);
        const test_line = if (is_test_file(path)) 1 else for (lines.items, 1..) |line, number| {
            if (mem.startsWith(u8, line, "test \"") or mem.startsWith(u8, line, "test {")) {
                break number;
            }
        } else lines.items.len + 1;
        return .{ .path = path, .text = text, .test_line = test_line, .lines = lines.items };
    }

    fn deinit(tree: *Tree) void {
        tree.arena.deinit();
    }

    fn find(tree: *const Tree, path: []const u8) ?File {
        for (tree.files) |file| {
            if (mem.eql(u8, file.path, path)) return file;
        }
        return null;
    }

    fn violation(
        tree: *Tree,
        path: []const u8,
        line: usize,
        comptime format: []const u8,
        args: anytype,
    ) void {
        tree.violations += 1;
        std.debug.print("zig/{s}:{d}: " ++ format ++ "\n", .{ path, line } ++ args);
    }

    fn finish(tree: *Tree) !void {
        if (tree.violations > 0) return error.SourceTreeIsNotTidy;
    }
};

/// The line without its comment, empty for a line of a multi-line string.
fn code_of(line: []const u8) []const u8 {
    const trimmed = mem.trimStart(u8, line, " ");
    if (mem.startsWith(u8, trimmed, "\\\\")) return "";
    if (mem.startsWith(u8, trimmed, "//")) return "";
    const comment = mem.find(u8, line, " // ") orelse return line;
    return line[0..comment];
}

fn is_allowed(path: []const u8, allowed: []const []const u8) bool {
    for (allowed) |name| {
        if (mem.eql(u8, path, name)) return true;
        if (mem.endsWith(u8, name, "/") and mem.startsWith(u8, path, name)) return true;
    }
    return false;
}

const Import = struct { path: []const u8, line: usize };

/// Files of ours that the lines import, as paths relative to zig/.
fn imports_of(allocator: mem.Allocator, path: []const u8, lines: []const []const u8) ![]Import {
    const opening = "@import(\"";
    var result: std.ArrayList(Import) = .empty;
    const directory = std.fs.path.dirnamePosix(path) orelse "";
    for (lines, 1..) |line, number| {
        var rest = code_of(line);
        while (mem.find(u8, rest, opening)) |start| {
            rest = rest[start + opening.len ..];
            const name = rest[0 .. mem.findScalar(u8, rest, '"') orelse break];
            if (!mem.endsWith(u8, name, ".zig")) continue;
            // Resolving against "/" gives a clean absolute path; ours are relative.
            const absolute = try std.fs.path.resolvePosix(allocator, &.{ "/", directory, name });
            try result.append(allocator, .{ .path = absolute[1..], .line = number });
        }
    }
    return result.items;
}

const Function = struct { name: []const u8, line: usize, lines: usize };

/// `zig fmt` puts a function's closing brace under its first word, so indentation is enough. A
/// function that returns a type is a container: only the functions inside are measured.
fn functions_of(allocator: mem.Allocator, lines: []const []const u8) ![]Function {
    var result: std.ArrayList(Function) = .empty;
    for (lines, 0..) |line, start| {
        const trimmed = mem.trimStart(u8, line, " ");
        const indent = line.len - trimmed.len;
        const name = function_name(trimmed) orelse continue;
        if (mem.endsWith(u8, trimmed, ";") or mem.endsWith(u8, trimmed, "{}")) continue;
        var is_type = mem.endsWith(u8, trimmed, " type {");
        for (lines[start + 1 ..], start + 1..) |candidate, end| {
            if (candidate.len <= indent) continue;
            if (!mem.startsWith(u8, candidate, line[0..indent])) continue;
            const closing = candidate[indent..];
            if (mem.startsWith(u8, closing, ") type {")) is_type = true;
            if (mem.startsWith(u8, closing, ")") and mem.endsWith(u8, closing, ";")) break;
            if (!mem.eql(u8, closing, "}")) continue;
            if (is_type) break;
            try result.append(allocator, .{
                .name = name,
                .line = start + 1,
                .lines = end - start + 1,
            });
            break;
        }
    }
    return result.items;
}

fn function_name(trimmed: []const u8) ?[]const u8 {
    var rest = trimmed;
    for ([_][]const u8{ "pub ", "export ", "inline ", "noinline " }) |word| {
        if (mem.startsWith(u8, rest, word)) rest = rest[word.len..];
    }
    if (!mem.startsWith(u8, rest, "fn ")) return null;
    rest = rest["fn ".len..];
    return rest[0 .. mem.findScalar(u8, rest, '(') orelse return null];
}

test "every line fits in 100 columns and has no tab and no space at its end" {
    var tree = try Tree.load();
    defer tree.deinit();
    for (tree.files) |file| {
        for (file.lines, 1..) |line, number| {
            const columns = std.unicode.utf8CountCodepoints(line) catch line.len;
            if (columns > columns_max and mem.find(u8, line, "https://") == null) {
                tree.violation(file.path, number, "{d} columns, at most {d}", .{
                    columns, columns_max,
                });
            }
            if (mem.findScalar(u8, line, '\t') != null) {
                tree.violation(file.path, number, "a tab", .{});
            }
            if (mem.endsWith(u8, line, " ") or mem.endsWith(u8, line, "\r")) {
                tree.violation(file.path, number, "white space at the end", .{});
            }
        }
        if (!mem.endsWith(u8, file.text, "\n") or mem.endsWith(u8, file.text, "\n\n")) {
            tree.violation(file.path, file.lines.len, "ends without one line feed", .{});
        }
    }
    try tree.finish();
}

test "product files stay short enough to read in one sitting" {
    var tree = try Tree.load();
    defer tree.deinit();
    for (tree.files) |file| {
        const count = file.product().len;
        if (count > product_lines_max) {
            tree.violation(file.path, count, "{d} lines of product code, at most {d}", .{
                count, product_lines_max,
            });
        }
    }
    try tree.finish();
}

test "functions fit on a screen, and the list of exceptions only gets shorter" {
    var tree = try Tree.load();
    defer tree.deinit();
    var used: [long_functions.len]bool = @splat(false);
    for (tree.files) |file| {
        for (try functions_of(tree.arena.allocator(), file.product())) |function| {
            if (function.lines <= function_lines_max) continue;
            const listed = for (long_functions, &used) |entry, *is_used| {
                if (!mem.eql(u8, entry.path, file.path)) continue;
                if (!mem.eql(u8, entry.name, function.name)) continue;
                is_used.* = true;
                break true;
            } else false;
            if (listed and function.lines <= function_lines_limit) continue;
            tree.violation(file.path, function.line, "{s} has {d} lines, at most {d}", .{
                function.name, function.lines, function_lines_max,
            });
        }
    }
    for (long_functions, used) |entry, is_used| {
        if (is_used) continue;
        tree.violation("tidy.zig", 1, "long_functions need not list {s} of {s} any more", .{
            entry.name, entry.path,
        });
    }
    try tree.finish();
}

test "product code contains no call that hides a failure or goes around a wrapper" {
    var tree = try Tree.load();
    defer tree.deinit();
    for (tree.files) |file| {
        // This file has to name what it looks for.
        if (mem.eql(u8, file.path, "tidy.zig")) continue;
        for (file.lines, 1..) |line, number| {
            const code = code_of(line);
            for (banned) |rule| {
                if (mem.find(u8, code, rule.text) == null) continue;
                if (number >= file.test_line and !rule.in_tests) continue;
                if (is_allowed(file.path, rule.allowed)) continue;
                if (rule.comment_excuses and code.len < line.len) continue;
                tree.violation(file.path, number, "{s}: {s}", .{ rule.text, rule.why });
            }
        }
    }
    try tree.finish();
}

test "layers import only what is below them" {
    var tree = try Tree.load();
    defer tree.deinit();
    const allocator = tree.arena.allocator();
    for (tree.files) |file| {
        if (is_test_file(file.path)) continue;
        const from = file.layer();
        const allowed = for (layers) |layer| {
            if (mem.eql(u8, layer.name, from)) break layer.imports;
        } else {
            tree.violation(file.path, 1, "{s} is no layer of docs/architecture.md", .{from});
            continue;
        };
        for (try imports_of(allocator, file.path, file.product())) |import| {
            const to = layer_of(import.path);
            if (mem.eql(u8, from, to)) continue;
            const fine = for (allowed) |name| {
                if (mem.eql(u8, name, to)) break true;
            } else false;
            if (!fine) tree.violation(file.path, import.line, "{s} may not import {s} ({s})", .{
                from, to, import.path,
            });
        }
    }
    try tree.finish();
}

test "no file is dead: something other than the list of tests imports it" {
    var tree = try Tree.load();
    defer tree.deinit();
    const allocator = tree.arena.allocator();
    var imported: std.StringHashMapUnmanaged(void) = .empty;
    for (tree.files) |file| {
        if (mem.eql(u8, file.path, "unit_tests.zig")) continue;
        for (try imports_of(allocator, file.path, file.lines)) |import| {
            if (mem.eql(u8, import.path, file.path)) continue;
            try imported.put(allocator, import.path, {});
        }
    }
    for (tree.files) |file| {
        if (is_allowed(file.path, &roots)) continue;
        if (is_test_file(file.path)) continue;
        if (imported.contains(file.path)) continue;
        tree.violation(file.path, 1, "nothing imports this file", .{});
    }
    try tree.finish();
}

test "unit_tests.zig lists every file with tests, so that none is silently left out" {
    var tree = try Tree.load();
    defer tree.deinit();
    const allocator = tree.arena.allocator();
    const list = tree.find("unit_tests.zig").?;
    const listed = try imports_of(allocator, list.path, list.lines);
    for (tree.files) |file| {
        const has_tests = file.hasTests() or (mem.find(u8, file.text, "\ntest \"") != null and
            !mem.eql(u8, file.path, "tidy.zig"));
        const is_listed = for (listed) |import| {
            if (mem.eql(u8, import.path, file.path)) break true;
        } else false;
        if (has_tests == is_listed) continue;
        if (has_tests) {
            const line = "add `_ = @import(\"{s}\");` to zig/unit_tests.zig";
            tree.violation(file.path, file.test_line, line, .{file.path});
        } else {
            tree.violation(list.path, 1, "{s} has no tests", .{file.path});
        }
    }
    try tree.finish();
}

test "the tests above see what they look for" {
    var arena = std.heap.ArenaAllocator.init(std.testing.allocator);
    defer arena.deinit();
    const allocator = arena.allocator();
    const text =
        \\const std = @import("std");
        \\const frame = @import("../zmtp/frame.zig"); // @import("no.zig")
        \\pub fn Generic(comptime T: type) type {
        \\    return struct {
        \\        fn inner(
        \\            a: T,
        \\        ) void {
        \\            _ = a;
        \\        }
        \\    };
        \\}
        \\extern fn foreign(a: u8) void;
        \\
        \\test "x" {
        \\    _ = @import("../sim/world.zig");
        \\}
        \\
    ;
    const file = try Tree.parse(allocator, "core/pipe.zig", text);
    try std.testing.expectEqual(14, file.test_line);
    try std.testing.expect(file.hasTests());
    try std.testing.expectEqualStrings("core", file.layer());
    try std.testing.expectEqualStrings("context", layer_of("context.zig"));

    const product = try imports_of(allocator, file.path, file.product());
    try std.testing.expectEqual(1, product.len);
    try std.testing.expectEqualStrings("zmtp/frame.zig", product[0].path);
    const all = try imports_of(allocator, file.path, file.lines);
    try std.testing.expectEqual(2, all.len);
    try std.testing.expectEqualStrings("sim/world.zig", all[1].path);

    const functions = try functions_of(allocator, file.product());
    try std.testing.expectEqual(1, functions.len);
    try std.testing.expectEqualStrings("inner", functions[0].name);
    try std.testing.expectEqual(5, functions[0].lines);
}
