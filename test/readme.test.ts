// Everything that README.md and the examples in it say can be run is run, with the packed file
// installed in an empty directory.
//
// The convention: `// prints: x` behind a console.log is what it prints; a comma separates what it
// prints time after time. All of them together, in order, are the whole output of the snippet.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Installation, root } from "./support/package.ts";

const text = readFileSync(join(root, "README.md"), "utf8");
const scripts: Record<string, string> = JSON.parse(
  readFileSync(join(root, "package.json"), "utf8"),
).scripts;

interface Snippet {
  /** The heading it stands under. */
  title: string;
  file: string;
  code: string;
  prints: string[];
}

function blocks(language: string): { title: string; code: string }[] {
  const found: { title: string; code: string }[] = [];
  let title = "";
  let code: string[] | undefined;
  for (const line of text.split("\n")) {
    if (code === undefined && line.startsWith("#")) title = line.replace(/^#+ /, "");
    else if (line === `\`\`\`${language}`) code = [];
    else if (line === "```" && code !== undefined) {
      found.push({ title, code: `${code.join("\n")}\n` });
      code = undefined;
    } else code?.push(line);
  }
  return found;
}

/** Two runs on one machine must not meet: the port and the names are made their own. */
function isolated(code: string, port: number): string {
  return code
    .replaceAll("tcp://127.0.0.1:5555", `tcp://127.0.0.1:${port}`)
    .replaceAll("ipc://@", `ipc://@readme-${process.pid}-`);
}

function freePort(): number {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = server;
  server.stop();
  return port;
}

const snippets: Snippet[] = blocks("ts").map(({ title, code }, index) => ({
  title,
  file: `snippet-${index + 1}.ts`,
  code,
  prints: [...code.matchAll(/\/\/ prints: (.*)$/gm)].flatMap((match) => match[1]!.split(", ")),
}));

/** What each command of the README is covered by. */
const commands: Record<string, string> = {
  "bun add monocoque": "this file and package.test.ts install the packed file",
  "npm start": "script start",
  "npm test": "script test",
  "npm run bench": "script bench",
  "npm run build": "script build",
};

describe("README.md", () => {
  let installation: Installation;
  beforeAll(async () => {
    installation = await Installation.create();
    for (const { file, code } of snippets) await installation.write(file, isolated(code, freePort()));
  }, 300_000);
  afterAll(() => installation?.[Symbol.dispose]());

  test("has a snippet for each way of using a socket", () => {
    expect(snippets.length).toBeGreaterThanOrEqual(7);
    for (const use of [
      "new Push(",
      "new Pull(",
      "new Request(",
      "new Reply(",
      "for await",
      "await using",
      "AbortController",
      "timeout:",
      "sendMany(",
      "borrow: true",
      "receiveSync(",
    ]) {
      expect(snippets.some(({ code }) => code.includes(use)) ? use : `${use} is missing`).toBe(use);
    }
  });

  test("every snippet compiles under strict settings", async () => {
    const { stdout, stderr } = await installation.compile(snippets.map(({ file }) => file));
    expect(stdout + stderr).toBe("");
  });

  for (const { title, file, prints } of snippets) {
    test(`the snippet of "${title}" (${file}) ends by itself and prints what it says`, async () => {
      expect(prints.length).toBeGreaterThan(0);
      const { code, stdout, stderr } = await installation.run(file, 20);
      expect({ stderr, code, printed: stdout.trimEnd().split("\n") }).toEqual({
        stderr: "",
        code: 0,
        printed: prints,
      });
    });
  }

  test("every command is known, and is a script of package.json where it runs one", () => {
    const all = blocks("sh").flatMap(({ code }) => code.trim().split("\n"));
    expect(all.toSorted()).toEqual(Object.keys(commands).toSorted());
    for (const command of all) {
      const script = /^npm (?:run )?(\w+)$/.exec(command)?.[1];
      if (script !== undefined) expect(scripts).toHaveProperty(script);
    }
  });

  test("other code blocks than these two kinds would go untested", () => {
    const kinds = [...text.matchAll(/^```(\w*)$/gm)].map((match) => match[1]);
    expect(kinds.filter((kind) => kind !== "ts" && kind !== "sh" && kind !== "")).toEqual([]);
  });

  test("its links lead somewhere", async () => {
    const links = [...text.matchAll(/\]\(([^)#][^)]*)\)/g)].map((match) => match[1]!);
    for (const link of links.filter((link) => !link.startsWith("https:"))) {
      expect((await Bun.file(join(root, link)).exists()) ? link : `${link} is missing`).toBe(link);
    }
  });
});

describe("docs/architecture.md", () => {
  const architecture = readFileSync(join(root, "docs/architecture.md"), "utf8");

  test("has every source file in its picture of the tree", () => {
    const glob = new Bun.Glob("{zig,src}/**/*.{zig,ts}");
    const names = [...glob.scanSync(root)].map((path) => path.slice(path.lastIndexOf("/") + 1));
    expect(names.filter((name) => !architecture.includes(name)).toSorted()).toEqual([]);
  });

  test("names no source file that is not there", () => {
    const all = [...new Bun.Glob("{zig,src,test,bench,examples}/**/*").scanSync(root)];
    const tree = /```\nbuild\.zig[\s\S]*?```/.exec(architecture)?.[0] ?? "";
    const named = [...tree.matchAll(/[\w.]+\.(?:zig|ts)\b/g)].map((match) => match[0]);
    expect(named.length).toBeGreaterThan(50);
    const missing = named.filter(
      (name) => name !== "build.zig" && !all.some((path) => path.endsWith(`/${name}`)),
    );
    expect(missing).toEqual([]);
  });
});
