// Which shared library: an override from the environment, the packaged file, and for an error the
// list of what was tried.

/** Where the library has to be, and for an error what was tried. */
export interface Library {
  path: string | undefined;
  tried: string[];
}

/** The environment variable that names another build of the library (an absolute path). */
export const LIBRARY_VARIABLE = "MONOCOQUE_LIBRARY";

export function findLibrary(): Library {
  const tried: string[] = [];
  const override = process.env[LIBRARY_VARIABLE];
  if (override) {
    tried.push(`${override} (${LIBRARY_VARIABLE})`);
    // An override that is wrong must not be papered over with another build.
    return { path: override, tried };
  }
  const packaged = packagedLibrary();
  tried.push(packaged ?? "zig-out/lib/linux-x64/libmonocoque.so of the package");
  return { path: packaged, tried };
}

function packagedLibrary(): string | undefined {
  try {
    return (require("./embedded.ts") as { default: string }).default;
  } catch {
    // Not built, or left out of the package: the caller says so.
    return undefined;
  }
}
