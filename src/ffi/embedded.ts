// In a module of its own, so that a missing file is an error we can catch and explain. The import
// is literal: `bun build --compile` puts the library into the executable because of it.
import path from "../../zig-out/lib/linux-x64/libmonocoque.so" with { type: "file" };

export default path;
