import manifest from "../package.json";

/** The version of this package, such as "0.1.0". */
// Typed by hand: the package's declarations lie elsewhere, where that import leads nowhere.
export const version: string = manifest.version;
