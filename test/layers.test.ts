import { describe, expect, test } from "bun:test"
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"

const src = join(import.meta.dir, "..", "src")
const linesMax = 500
const linesMaxPattern = 120

/**
 * The arrows of docs/architecture.md. A file may import its own row and every row above it; a name
 * that ends in "/" stands for the files below it. Leaves import leaves only.
 */
const leaves = [
  "errors.ts",
  "option_groups.ts",
  "options.ts",
  "option_table.ts",
  "option_check.ts",
  "option_unsupported.ts",
  "socket_context.ts",
  "endpoint.ts",
  "route.ts",
  "verdict.ts",
  "z85.ts",
  "zap.ts",
  "version.ts",
  "node.ts",
]
const rows = [
  ["ffi/abi.generated.ts", "ffi/embedded.ts", "ffi/shared_object.d.ts"],
  ["ffi/records.ts", "ffi/library.ts"],
  ["ffi/native.ts"],
  ["curve.ts", "address_ranges.ts"],
  ["key_directory.ts"],
  ["authenticator.ts"],
  ["backend.ts", "closing.ts", "recycled.ts", "thread_stats.ts", "wake.ts", "wait.ts", "steps.ts"],
  ["context.ts"],
  ["peer_waits.ts", "option_values.ts", "ledger.ts", "socket_stats.ts", "events.ts", "type_numbers.ts"],
  ["security.ts", "endpoint_book.ts", "zap_handler.ts"],
  ["kept_messages.ts", "origins.ts"],
  // The queues and the core of a socket know each other by type only.
  ["send_queue.ts", "receive_queue.ts", "observer.ts", "authentication.ts", "socket_core.ts"],
  ["socket.ts"],
  ["sockets/"],
  ["proxy.ts"],
  ["public.ts", "draft.ts", "metrics.ts"],
  ["index.ts"],
]

interface Source {
  path: string
  text: string
  lines: string[]
  imports: string[]
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[^:"'`])\/\/.*$/gm, "$1")
}

const sources: Source[] = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .sort()
  .map((path) => {
    const text = readFileSync(join(src, path), "utf8")
    const code = withoutComments(text)
    const imports = [
      ...code.matchAll(/\b(?:from\s*|import\s*\(?\s*)["']([^"']+)["']/g),
    ].map((match) => {
      const name = match[1] ?? ""
      return name.startsWith(".") ? join(dirname(path), name) : name
    })
    return { path, text: code, lines: text.trimEnd().split("\n"), imports }
  })

function rowOf(path: string): number {
  return rows.findIndex((row) =>
    row.some((name) => (name.endsWith("/") ? path.startsWith(name) : path === name)),
  )
}

/** What a test prints when it fails: "file: what is wrong", one per line. */
function violations(check: (source: Source) => (string | false)[]): string[] {
  return sources.flatMap((source) =>
    check(source)
      .filter((found) => found !== false)
      .map((found) => `src/${source.path}: ${found}`),
  )
}

describe("the TypeScript sources", () => {
  test("are there at all", () => {
    expect(sources.map((source) => source.path)).toContain("index.ts")
  })

  test("have a place in the picture of the layers", () => {
    expect(
      violations(({ path }) => [
        rowOf(path) < 0 && !leaves.includes(path) && "belongs to no layer",
      ]),
    ).toEqual([])
  })

  test("import only what is below them", () => {
    expect(
      violations(({ path, imports }) =>
        imports
          .filter((name) => name.endsWith(".ts"))
          .map((name) => {
            if (leaves.includes(name)) return false
            if (leaves.includes(path)) return `a leaf imports ${name}`
            return rowOf(name) > rowOf(path) && `imports ${name}, which is above it`
          }),
      ),
    ).toEqual([])
  })

  test("name their files in full, so that Bun and the compiler find the same one", () => {
    expect(
      violations(({ imports }) =>
        imports.map(
          (name) =>
            !/^(bun$|bun:|node:)/.test(name) &&
            !/\.(ts|so|json)$/.test(name) &&
            !/^@monocoque\//.test(name) &&
            `imports ${name}`,
        ),
      ),
    ).toEqual([])
  })

  test("load Node's modules when they are needed: an import would take five times as long", () => {
    expect(
      violations(({ path, text }) => [
        path !== "node.ts" && /^import (?!type )[^;]*"node:/m.test(text) && "imports one at once",
      ]),
    ).toEqual([])
  })

  test("load native code in one place", () => {
    expect(
      violations(({ path, imports }) => [
        path !== "ffi/native.ts" && imports.includes("bun:ffi") && "imports bun:ffi",
      ]),
    ).toEqual([])
  })

  test("know no pointer outside ffi/", () => {
    const pointer = /\b(ptr\(|toArrayBuffer|JSCallback|CString|FFIType)/
    expect(
      violations(({ path, text }) => [
        !path.startsWith("ffi/") && pointer.test(text) && `says ${pointer.exec(text)?.[1]}`,
      ]),
    ).toEqual([])
  })

  test("never close the library and never call back from native code", () => {
    expect(
      violations(({ text }) => [
        /\bJSCallback\b/.test(text) && "uses JSCallback",
        /\b(lib|library|native)\.close\(/.test(text) && "closes the library",
      ]),
    ).toEqual([])
  })

  test("swallow no error", () => {
    expect(
      violations(({ lines }) => [
        // With its comments: one inside the braces is a reason.
        /catch\s*(\([^)]*\))?\s*\{\s*\}/.test(lines.join("\n")) && "has an empty catch",
      ]),
    ).toEqual([])
  })

  test("stay short enough to read in one sitting", () => {
    expect(
      violations(({ path, lines }) => {
        if (path === "ffi/abi.generated.ts") return []
        const max = path.startsWith("sockets/") ? linesMaxPattern : linesMax
        return [lines.length > max && `${lines.length} lines, at most ${max}`]
      }),
    ).toEqual([])
  })

  test("have a table of contents: index.ts only exports", () => {
    const text = (path: string) => sources.find((source) => source.path === path)?.text ?? ""
    const defaultExport = /^import \* as everything from "\.\/public\.ts";|^export default everything;/gm
    const statements = (withoutComments(text("index.ts")).replace(defaultExport, "") + withoutComments(text("public.ts")))
      .replace(/export\s+(type\s+)?(\{[^}]*\}|\*(\s+as\s+\w+)?)\s+from\s+["'][^"']+["'];?/g, "")
      .trim()
    expect(statements).toBe("")
  })
})
