// In a module of its own, so that a missing file is an error we can catch and explain. The import
// is literal: `bun build --compile` puts the library into the executable because of it.
import path from "../../zig-out/lib/linux-x64/libmonocoque.so" with { type: "file" };

// In a bundle it is a path beside the bundle.
export default path.startsWith("/") ? path : `${import.meta.dir}/${path}`;
