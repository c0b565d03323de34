// The code in our documents. What is shown is run: `// prints: x` behind or below a console.log is
// what it prints; a comma separates what it prints time after time. All of them together, in order,
// are the whole output of the snippet.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./package.ts";

export interface Block {
  /** The heading it stands under. */
  title: string;
  code: string;
}

export interface Snippet extends Block {
  document: string;
  file: string;
  prints: string[];
}

export function textOf(document: string): string {
  return readFileSync(join(root, document), "utf8");
}

export function blocks(document: string, language: string): Block[] {
  const found: Block[] = [];
  let title = "";
  let code: string[] | undefined;
  for (const line of textOf(document).split("\n")) {
    if (code === undefined && line.startsWith("#")) title = line.replace(/^#+ /, "");
    else if (line === `\`\`\`${language}`) code = [];
    else if (line === "```" && code !== undefined) {
      found.push({ title, code: `${code.join("\n")}\n` });
      code = undefined;
    } else code?.push(line);
  }
  return found;
}

export function snippets(document: string): Snippet[] {
  const name = document.replace(/\W+/g, "-");
  return blocks(document, "ts").map(({ title, code }, index) => ({
    document,
    title,
    file: `${name}-${index + 1}.ts`,
    code,
    prints: [...code.matchAll(/\/\/ prints: (.*)$/gm)].flatMap((match) => match[1]!.split(", ")),
  }));
}

/** Two runs on one machine must not meet: the port and the names are made their own. */
export function isolated(code: string): string {
  return code
    .replaceAll("127.0.0.1:5555", `127.0.0.1:${freePort()}`)
    .replaceAll("ipc://@", `ipc://@readme-${process.pid}-`);
}

function freePort(): number {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = server;
  server.stop();
  return port;
}
