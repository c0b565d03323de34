//! Builds what Zig builds here:
//!
//!   zig build             the shared library, and src/ffi/abi.generated.ts when it is stale
//!   zig build lib         the shared library only: zig-out/lib/linux-x64/libmonocoque.so
//!   zig build test        unit tests, tests on the source tree (-Dtest-filter=… picks some)
//!   zig build sim         simulated lives of sockets: docs/simulation.md (-- SEED runs one)
//!   zig build abi         writes src/ffi/abi.generated.ts; with `-- --check` it only compares
//!   zig build fuzz        seeded nonsense for everything that reads bytes; see zig/fuzz.zig
//!   zig build bench       micro benchmarks: every zig/**/*_benchmark.zig
//!   zig build peers       the C programs of test/interop/peers and bench/peers: zig-out/bin/<name>

const std = @import("std");
const builtin = @import("builtin");

const zig_version_pinned = "0.16.0";
const archives = [_][]const u8{
    "/usr/lib/x86_64-linux-gnu/liburing.a",
    "/usr/lib/x86_64-linux-gnu/libsodium.a",
};
const abi_generated_path = "src/ffi/abi.generated.ts";

comptime {
    if (!std.mem.eql(u8, builtin.zig_version_string, zig_version_pinned)) {
        @compileError("This project is built with Zig " ++ zig_version_pinned ++
            ", but this is Zig " ++ builtin.zig_version_string ++
            ": use `npm run build`, which brings its own.");
    }
}

/// Everything exported by the C archives is hidden, and everything of ours that is not meant to be
/// called. It also lets the linker take Debian's libsodium.a, which is not position independent: a
/// symbol that cannot be replaced at run time needs no indirection.
const version_script =
    \\{
    \\  global: monocoque_*;
    \\  local: *;
    \\};
    \\
;

/// Debian compiled libsodium.a against a glibc of its own day. These two functions are all that it
/// takes from a glibc newer than 2.17; with them the library loads wherever Bun does.
const glibc_floor_source =
    \\#include <stddef.h>
    \\#include <string.h>
    \\#include <sys/syscall.h>
    \\#include <sys/types.h>
    \\#include <unistd.h>
    \\
    \\ssize_t getrandom(void *buffer, size_t length, unsigned flags) {
    \\    return syscall(SYS_getrandom, buffer, length, flags);
    \\}
    \\
    \\void __explicit_bzero_chk(void *memory, size_t length, size_t capacity) {
    \\    if (length > capacity) __builtin_trap();
    \\    memset(memory, 0, length);
    \\    /* The compiler may not drop a store that this could read. */
    \\    __asm__ __volatile__("" : : "r"(memory) : "memory");
    \\}
    \\
;

const Project = struct {
    b: *std.Build,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
    strip: bool,
    /// Source of the two functions above.
    glibc_floor: std.Build.LazyPath,

    /// A module with everything the library links against, so that tests and generators run on the
    /// same code as the product.
    fn module(p: Project, root: std.Build.LazyPath) *std.Build.Module {
        const result = p.b.createModule(.{
            .root_source_file = root,
            .target = p.target,
            .optimize = p.optimize,
            .strip = p.strip,
            .link_libc = true,
            .pic = true,
        });
        for (archives) |path| {
            result.addObjectFile(.{ .cwd_relative = path });
        }
        result.addCSourceFile(.{
            .file = p.glibc_floor,
            .flags = &.{ "-std=gnu11", "-fvisibility=hidden", "-fno-sanitize=all" },
        });
        return result;
    }

    fn exists(p: Project, path: []const u8) bool {
        p.b.build_root.handle.access(p.b.graph.io, path, .{}) catch return false;
        return true;
    }

    /// Files below a directory whose names end in `suffix`, sorted; none if there is no directory.
    fn find(p: Project, directory: []const u8, suffix: []const u8) []const []const u8 {
        const b = p.b;
        const io = b.graph.io;
        var found: std.ArrayList([]const u8) = .empty;
        const root = b.build_root.handle;
        var handle = root.openDir(io, directory, .{ .iterate = true }) catch return &.{};
        defer handle.close(io);
        var walker = handle.walk(b.allocator) catch @panic("out of memory");
        while (walker.next(io) catch |err| @panic(@errorName(err))) |entry| {
            if (entry.kind != .file or !std.mem.endsWith(u8, entry.basename, suffix)) continue;
            found.append(b.allocator, b.dupe(entry.path)) catch @panic("out of memory");
        }
        std.mem.sort([]const u8, found.items, {}, struct {
            fn lessThan(_: void, left: []const u8, right: []const u8) bool {
                return std.mem.lessThan(u8, left, right);
            }
        }.lessThan);
        return found.items;
    }
};

pub fn build(b: *std.Build) void {
    const optimize = b.option(
        std.builtin.OptimizeMode,
        "optimize",
        "ReleaseSafe unless told otherwise: bounds checks and assertions stay in what we ship",
    ) orelse .ReleaseSafe;
    const project: Project = .{
        .b = b,
        .target = b.standardTargetOptions(.{ .default_target = .{
            .cpu_arch = .x86_64,
            .os_tag = .linux,
            .abi = .gnu,
            .glibc_version = .{ .major = 2, .minor = 17, .patch = 0 },
        } }),
        .optimize = optimize,
        .strip = b.option(bool, "strip", "leave out symbols and debug information") orelse
            (optimize != .Debug),
        .glibc_floor = b.addWriteFiles().add("glibc_floor.c", glibc_floor_source),
    };

    const lib_step = b.step("lib", "Build the shared library");
    const test_step = b.step("test", "Run the unit tests and the tests on the source tree");
    const abi_step = b.step("abi", "Write " ++ abi_generated_path ++ " (-- --check: compare only)");
    const fuzz_step = b.step("fuzz", "Fuzz (-- [--target NAME] [--seconds N] [SEED])");
    const sim_step = b.step("sim", "Run simulated lives (-- SEED [--log], --seconds N, --seeds N)");
    const bench_step = b.step("bench", "Run the micro benchmarks");
    const peers_step = b.step("peers", "Compile the C programs that tests and benchmarks talk to");

    for (archives) |path| {
        if (project.exists(path)) continue;
        const fail = b.addFail(b.fmt("{s} is missing: `sh .ci/setup` installs it", .{path}));
        for ([_]*std.Build.Step{
            lib_step, test_step, abi_step, fuzz_step, sim_step, bench_step,
        }) |step| {
            step.dependOn(&fail.step);
        }
    }

    addLibrary(project, lib_step);
    addTests(project, test_step);
    const check_only = if (b.args) |args| hasArgument(args, "--check") else false;
    addAbi(project, abi_step, if (check_only) .check else .write);
    addFuzz(project, fuzz_step);
    addSimulation(project, sim_step);
    addBenchmarks(project, bench_step);
    addPeers(project, peers_step);

    b.default_step.dependOn(lib_step);
    b.default_step.dependOn(abi_step);
}

fn hasArgument(args: []const []const u8, name: []const u8) bool {
    for (args) |argument| {
        if (std.mem.eql(u8, argument, name)) return true;
    }
    return false;
}

fn addLibrary(project: Project, step: *std.Build.Step) void {
    const b = project.b;
    const library = b.addLibrary(.{
        .name = "monocoque",
        .linkage = .dynamic,
        .root_module = project.module(b.path("zig/lib.zig")),
        // Zig's own linker takes no version script yet.
        .use_llvm = true,
        .use_lld = true,
    });
    library.setVersionScript(b.addWriteFiles().add("exports.map", version_script));
    // A symbol that glibc 2.17 lacks must stop the build here, not the program of a user.
    library.link_z_defs = true;
    library.link_gc_sections = true;
    library.link_function_sections = true;
    const install = b.addInstallArtifact(library, .{
        .dest_dir = .{ .override = .{ .custom = "lib/linux-x64" } },
    });
    step.dependOn(&install.step);
}

fn addTests(project: Project, step: *std.Build.Step) void {
    const b = project.b;
    const filters = b.option(
        []const []const u8,
        "test-filter",
        "run only the tests with this in their names",
    ) orelse &.{};
    var with_symbols = project;
    with_symbols.strip = false;
    const unit_tests = b.addTest(.{
        .name = "unit_tests",
        .root_module = with_symbols.module(b.path("zig/unit_tests.zig")),
        .filters = filters,
        .use_llvm = true,
        .use_lld = true,
    });
    // A program of its own, so that it speaks even while the sources do not compile.
    const tidy = b.addTest(.{
        .name = "tidy",
        .root_module = b.createModule(.{
            .root_source_file = b.path("zig/tidy.zig"),
            .target = b.graph.host,
            .optimize = .Debug,
        }),
        .filters = filters,
    });
    for ([_]*std.Build.Step.Compile{ unit_tests, tidy }) |tests| {
        const run = b.addRunArtifact(tests);
        run.setCwd(b.path("."));
        // They look at the source tree, the kernel and the clock: never take yesterday's answer.
        run.has_side_effects = true;
        step.dependOn(&run.step);
    }
}

/// zig/abi_gen.zig prints the TypeScript side of zig/abi.zig.
fn addAbi(project: Project, step: *std.Build.Step, mode: enum { write, check }) void {
    const b = project.b;
    if (!project.exists("zig/abi_gen.zig")) {
        step.dependOn(&b.addFail("zig/abi_gen.zig is missing").step);
        return;
    }
    const generator = b.addExecutable(.{
        .name = "abi_gen",
        .root_module = project.module(b.path("zig/abi_gen.zig")),
        .use_llvm = true,
        .use_lld = true,
    });
    const generated = b.addRunArtifact(generator).captureStdOut(.{});
    switch (mode) {
        .write => {
            const update = b.addUpdateSourceFiles();
            update.addCopyFileToSource(generated, abi_generated_path);
            step.dependOn(&update.step);
        },
        .check => step.dependOn(AbiCheck.create(b, generated)),
    }
}

const AbiCheck = struct {
    step: std.Build.Step,
    generated: std.Build.LazyPath,

    fn create(b: *std.Build, generated: std.Build.LazyPath) *std.Build.Step {
        const check = b.allocator.create(AbiCheck) catch @panic("out of memory");
        check.* = .{
            .step = .init(.{
                .id = .custom,
                .name = "compare " ++ abi_generated_path,
                .owner = b,
                .makeFn = make,
            }),
            .generated = generated,
        };
        generated.addStepDependencies(&check.step);
        return &check.step;
    }

    fn make(step: *std.Build.Step, _: std.Build.Step.MakeOptions) !void {
        const b = step.owner;
        const io = b.graph.io;
        const check: *AbiCheck = @fieldParentPtr("step", step);
        const size_max: std.Io.Limit = .limited(4 << 20);
        const expected = try std.Io.Dir.cwd().readFileAlloc(
            io,
            check.generated.getPath2(b, step),
            b.allocator,
            size_max,
        );
        const actual = b.build_root.handle.readFileAlloc(
            io,
            abi_generated_path,
            b.allocator,
            size_max,
        ) catch |err|
            return step.fail(abi_generated_path ++ ": {t}; `npm run abi` writes it", .{err});
        if (!std.mem.eql(u8, expected, actual)) {
            return step.fail(
                abi_generated_path ++ " differs from zig/abi.zig: `npm run abi` mends it",
                .{},
            );
        }
    }
};

fn addFuzz(project: Project, step: *std.Build.Step) void {
    const b = project.b;
    var with_symbols = project;
    with_symbols.strip = false;
    const program = b.addExecutable(.{
        .name = "fuzz",
        .root_module = with_symbols.module(b.path("zig/fuzz.zig")),
        .use_llvm = true,
        .use_lld = true,
    });
    const run = b.addRunArtifact(program);
    run.has_side_effects = true;
    if (b.args) |args| run.addArgs(args);
    step.dependOn(&run.step);
}

/// zig/sim/swarm.zig, with a root above it: Zig lets a module import nothing above its root file.
fn addSimulation(project: Project, step: *std.Build.Step) void {
    const b = project.b;
    const sources = b.addWriteFiles();
    _ = sources.addCopyDirectory(b.path("zig"), ".", .{
        .include_extensions = &.{ ".zig", "seeds.txt" },
    });
    const root =
        \\const swarm = @import("sim/swarm.zig");
        \\pub const main = swarm.main;
        \\pub const panic = swarm.panic;
        \\
    ;
    var with_symbols = project;
    with_symbols.strip = false;
    const program = b.addExecutable(.{
        .name = "swarm",
        .root_module = with_symbols.module(sources.add("swarm_root.zig", root)),
        .use_llvm = true,
        .use_lld = true,
    });
    step.dependOn(&b.addInstallArtifact(program, .{}).step);
    const run = b.addRunArtifact(program);
    run.has_side_effects = true;
    if (b.args) |args| run.addArgs(args);
    step.dependOn(&run.step);
}

/// One program that calls `pub fn main() !void` of every benchmark file in turn. Zig lets a module
/// import nothing above its root file, so the sources are copied beside the generated one.
fn addBenchmarks(project: Project, step: *std.Build.Step) void {
    const b = project.b;
    const benchmarks = project.find("zig", "_benchmark.zig");
    if (benchmarks.len == 0) return;
    var root: std.ArrayList(u8) = .empty;
    const out_of_memory = "out of memory";
    root.appendSlice(b.allocator, "pub fn main() !void {\n") catch @panic(out_of_memory);
    for (benchmarks) |path| {
        const call = b.fmt("    try @import(\"{s}\").main();\n", .{path});
        root.appendSlice(b.allocator, call) catch @panic(out_of_memory);
    }
    root.appendSlice(b.allocator, "}\n") catch @panic(out_of_memory);
    const sources = b.addWriteFiles();
    _ = sources.addCopyDirectory(b.path("zig"), ".", .{ .include_extensions = &.{".zig"} });
    const program = b.addExecutable(.{
        .name = "zig_benchmarks",
        .root_module = project.module(sources.add("benchmarks.zig", root.items)),
        .use_llvm = true,
        .use_lld = true,
    });
    const run = b.addRunArtifact(program);
    run.has_side_effects = true;
    step.dependOn(&run.step);
}

/// The peers stand for other people's programs, so they are built for this machine and against the
/// libzmq that is installed on it.
fn addPeers(project: Project, step: *std.Build.Step) void {
    const b = project.b;
    if (!project.exists("/usr/include/zmq.h")) {
        step.dependOn(&b.addFail("libzmq is missing: run `sh .ci/setup`, which installs it").step);
        return;
    }
    for ([_][]const u8{ "test/interop/peers", "bench/peers" }) |directory| {
        for (project.find(directory, ".c")) |path| {
            const module = b.createModule(.{
                .target = b.graph.host,
                .optimize = .ReleaseFast,
                .link_libc = true,
            });
            module.addCSourceFile(.{
                .file = b.path(b.pathJoin(&.{ directory, path })),
                .flags = &.{ "-std=gnu11", "-Wall", "-Wextra", "-Werror" },
            });
            module.linkSystemLibrary("zmq", .{});
            module.linkSystemLibrary("pthread", .{});
            const program = b.addExecutable(.{
                .name = std.fs.path.stem(path),
                .root_module = module,
                .use_llvm = true,
                .use_lld = true,
            });
            step.dependOn(&b.addInstallArtifact(program, .{}).step);
        }
    }
}
