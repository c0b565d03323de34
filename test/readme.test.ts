// Everything that README.md, the documents in docs/ and the examples in them say can be run is run,
// with the packed file installed in an empty directory. The convention: test/support/snippets.ts.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Installation, root } from "./support/package.ts";
import { blocks, isolated, snippets, textOf } from "./support/snippets.ts";

const scripts: Record<string, string> = JSON.parse(
  readFileSync(join(root, "package.json"), "utf8"),
).scripts;

/** Those with code that is shown to be copied. */
const documents = ["README.md", "docs/observability.md", "docs/security.md"];
const all = documents.flatMap((document) => snippets(document));

/** What each command of the README is covered by. */
const commands: Record<string, string> = {
  "bun add monocoque": "this file and package.test.ts install the packed file",
  "npm start": "script start",
  "npm test": "script test",
  "npm run bench": "script bench",
  "npm run build": "script build",
};

describe("what the documents show", () => {
  let installation: Installation;
  beforeAll(async () => {
    installation = await Installation.create();
    for (const { file, code } of all) await installation.write(file, isolated(code));
  }, 300_000);
  afterAll(() => installation?.[Symbol.dispose]());

  test("compiles under strict settings", async () => {
    const { stdout, stderr } = await installation.compile(all.map(({ file }) => file));
    expect(stdout + stderr).toBe("");
  });

  for (const { document, title, file, prints } of all) {
    test(`${document}, "${title}" (${file}) ends by itself and prints what it says`, async () => {
      expect(prints.length).toBeGreaterThan(0);
      const { code, stdout, stderr } = await installation.run(file, 20);
      expect({ stderr, code, printed: stdout.trimEnd().split("\n") }).toEqual({
        stderr: "",
        code: 0,
        printed: prints,
      });
    });
  }

  test.each(documents)("in %s is of kinds that are tested", (document) => {
    const kinds = [...textOf(document).matchAll(/^```(\w*)$/gm)].map((match) => match[1]);
    expect(kinds.filter((kind) => kind !== "ts" && kind !== "sh" && kind !== "")).toEqual([]);
  });

  test.each(documents)("in %s: its links lead somewhere", async (document) => {
    const links = [...textOf(document).matchAll(/\]\(([^)#][^)]*)\)/g)].map((match) => match[1]!);
    for (const link of links.filter((link) => !link.startsWith("https:"))) {
      const file = Bun.file(join(root, dirname(document), link));
      expect((await file.exists()) ? link : `${link} is missing`).toBe(link);
    }
  });
});

describe("README.md", () => {
  test("has a snippet for each way of using a socket", () => {
    const own = snippets("README.md");
    expect(own.length).toBeGreaterThanOrEqual(7);
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
      expect(own.some(({ code }) => code.includes(use)) ? use : `${use} is missing`).toBe(use);
    }
  });

  test("every command is known, and is a script of package.json where it runs one", () => {
    const shown = blocks("README.md", "sh").flatMap(({ code }) => code.trim().split("\n"));
    expect(shown.toSorted()).toEqual(Object.keys(commands).toSorted());
    for (const command of shown) {
      const script = /^npm (?:run )?(\w+)$/.exec(command)?.[1];
      if (script !== undefined) expect(scripts).toHaveProperty(script);
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
