// The package as its users get it: packed once per test run, installed in empty directories.

import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export const root = join(import.meta.dir, "../..");
const modules = join(root, "node_modules");
const bun = process.execPath;
const tsc = join(modules, "@typescript/typescript-linux-x64/lib/tsc");

export interface Output {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end, or kills it after `seconds`: a `for await` may wait for ever. */
export async function run(command: string[], cwd: string, seconds = 30): Promise<Output> {
  const child = Bun.spawn(command, {
    cwd,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, NO_COLOR: "1" },
    timeout: seconds * 1000,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  return { code: child.exitCode, stdout, stderr };
}

/** The standard output of a program that has to succeed. */
export async function succeed(command: string[], cwd: string, seconds?: number): Promise<string> {
  const { code, stdout, stderr } = await run(command, cwd, seconds);
  if (code !== 0) throw new Error(`${command.join(" ")}: exit code ${code}\n${stdout}${stderr}`);
  return stdout;
}

const slot = Symbol.for("monocoque.test.tarball");
const shared = globalThis as unknown as Record<symbol, Promise<string> | undefined>;

/** The path of the packed file; `prepack` builds what goes into it. */
export function tarball(): Promise<string> {
  return (shared[slot] ??= pack());
}

async function pack(): Promise<string> {
  // In the build directory, where the next run replaces it.
  const directory = join(root, "zig-out/package");
  rmSync(directory, { recursive: true, force: true });
  await succeed([bun, "pm", "pack", "--destination", directory], root, 300);
  const [file] = [...new Bun.Glob("*.tgz").scanSync(directory)];
  if (file === undefined) throw new Error(`nothing was packed in ${directory}`);
  return join(directory, file);
}

/** A directory with the packed file installed and nothing else; `remove` it. */
export class Installation implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "monocoque-install-"));

  static async create(): Promise<Installation> {
    const installation = new Installation();
    const { directory } = installation;
    await Bun.write(join(directory, "package.json"), '{ "name": "empty", "private": true }\n');
    await succeed([bun, "add", await tarball()], directory);
    return installation;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  write(name: string, text: string): Promise<number> {
    return Bun.write(this.path(name), text);
  }

  /** Runs one of its files. */
  run(name: string, seconds?: number): Promise<Output> {
    return run([bun, name], this.directory, seconds);
  }

  /** Compiles files under the strictest settings, declarations of dependencies included. */
  async compile(files: string[], seconds?: number): Promise<Output> {
    for (const name of ["@types/bun", "@types/node", "bun-types", "undici-types"]) {
      const target = this.path(`node_modules/${name}`);
      await Bun.$`mkdir -p ${dirname(target)}`.quiet();
      if (!(await Bun.file(join(modules, name, "package.json")).exists())) continue;
      if (await Bun.file(join(target, "package.json")).exists()) continue;
      symlinkSync(join(modules, name), target);
    }
    const compilerOptions = {
      target: "esnext",
      lib: ["esnext"],
      module: "preserve",
      moduleResolution: "bundler",
      moduleDetection: "force",
      types: ["bun"],
      strict: true,
      exactOptionalPropertyTypes: true,
      noImplicitOverride: true,
      noPropertyAccessFromIndexSignature: true,
      noUnusedLocals: true,
      isolatedModules: true,
      verbatimModuleSyntax: true,
      noEmit: true,
    };
    await this.write("tsconfig.json", JSON.stringify({ compilerOptions, files }));
    return run([tsc, "--pretty", "false", "--project", "."], this.directory, seconds);
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
