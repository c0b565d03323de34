// The line under every table: figures without a machine and versions mean nothing.
import { readFileSync } from "node:fs"
import { cpus, release, totalmem } from "node:os"
import { join } from "node:path"
import { commandOf, outputOf, ROOT } from "./peers.ts"

export function describeMachine(): string {
  const processors = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  const hardware = `${processors[0]?.model.trim() ?? "unknown CPU"}, ${processors.length} cores, ${memory} GiB, Linux ${release()}`
  const versions = [
    `Bun ${Bun.version}`,
    `Node ${outputOf(["node", "-p", "process.versions.node"]) || "missing"}`,
    `libzmq ${outputOf([...commandOf("libzmq"), "version"]) || "missing"}`,
    `zeromq.js ${zeromqJsVersion()}`,
    `monocoque ${packageVersion(ROOT)}`,
  ]
  return `${hardware}. ${versions.join(", ")}.`
}

/** zeromq.js brings a libzmq of its own. */
function zeromqJsVersion(): string {
  const own = packageVersion(join(ROOT, "node_modules/zeromq"))
  const libzmq = outputOf(["node", "-p", 'require("zeromq").version'])
  return libzmq === "" ? own : `${own} (libzmq ${libzmq})`
}

function packageVersion(directory: string): string {
  try {
    return (JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as { version: string }).version
  } catch {
    return "missing"
  }
}
