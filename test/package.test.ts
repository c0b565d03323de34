// The packed file is all that users get: what is in it, and that it works where nothing else is.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Installation, root, run, succeed, tarball } from "./support/package.ts";

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const shared = "zig-out/lib/linux-x64/libmonocoque.so";

/** The library is 1.5 MiB at most, the rest is text. */
const PACKED_BYTES_MAX = 1024 * 1024;
const LIBRARY_BYTES_MAX = 1.5 * 1024 * 1024;

function filesBelow(directory: string): string[] {
  return readdirSync(join(root, directory), { recursive: true, encoding: "utf8" })
    .map((path) => `${directory}/${path}`)
    .filter((path) => statSync(join(root, path)).isFile());
}

const ROUND_TRIP = `
const endpoint = "ipc://@package-" + process.pid;
const pull = new Pull();
pull.bindSync(endpoint);
const push = new Push();
push.connect(endpoint);
await push.send(["works", Buffer.alloc(100_000, "x")]);
const [text, body] = await pull.receive({ timeout: 5000 });
console.log(text.toString(), body.length);
push.close();
pull.close();
`;

describe("the packed file", () => {
  let installation: Installation;
  let packed: string[];
  beforeAll(async () => {
    packed = (await succeed(["tar", "tzf", await tarball()], root)).trim().split("\n");
    installation = await Installation.create();
  }, 300_000);
  afterAll(() => installation?.[Symbol.dispose]());

  test("holds the sources, the library, the types, the documentation, and nothing else", () => {
    const sources = filesBelow("src");
    const types = sources
      .filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts"))
      .map((path) => path.replace(/^src/, "zig-out/types").replace(/\.ts$/, ".d.ts"));
    const expected = [
      "package.json",
      "README.md",
      "CHANGELOG.md",
      "LICENSE",
      shared,
      ...filesBelow("docs"),
      ...sources,
      ...types,
    ];
    const paths = packed.map((path) => path.replace(/^package\//, ""));
    expect(paths.toSorted()).toEqual(expected.toSorted());
  });

  test("is small", async () => {
    expect(statSync(await tarball()).size).toBeLessThan(PACKED_BYTES_MAX);
    expect(statSync(join(root, shared)).size).toBeLessThan(LIBRARY_BYTES_MAX);
  });

  test("brings no dependency, and runs no script when it is installed", () => {
    expect(manifest.dependencies ?? {}).toEqual({});
    for (const name of ["preinstall", "install", "postinstall", "prepare"]) {
      expect(manifest.scripts).not.toHaveProperty(name);
    }
    expect(readdirSync(installation.path("node_modules")).filter((name) => name[0] !== "."))
      .toEqual(["monocoque"]);
  });

  test("the version is told once in all places", () => {
    const installed = JSON.parse(
      readFileSync(installation.path("node_modules/monocoque/package.json"), "utf8"),
    );
    expect(installed.version).toBe(manifest.version);
    const changes = readFileSync(join(root, "CHANGELOG.md"), "utf8");
    expect(/^## (\S+)/m.exec(changes)?.[1]).toBe(manifest.version);
  });

  test("works with import", async () => {
    await installation.write("import.ts", `import { Pull, Push } from "monocoque";\n${ROUND_TRIP}`);
    const { code, stdout, stderr } = await installation.run("import.ts");
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "works 100000\n", stderr: "" });
  });

  test("works with require", async () => {
    const asynchronous = `(async () => {${ROUND_TRIP}})();\n`;
    await installation.write(
      "require.cjs",
      `const { Pull, Push } = require("monocoque");\n${asynchronous}`,
    );
    const { code, stdout, stderr } = await installation.run("require.cjs");
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "works 100000\n", stderr: "" });
  });

  test.each(["import * as draft from", "const draft = require"])(
    "brings the draft sockets under a name of their own: %s",
    async (form) => {
      const name = form.startsWith("import") ? "draft.ts" : "draft.cjs";
      const specifier = form.startsWith("import") ? '"monocoque/draft"' : '("monocoque/draft")';
      await installation.write(
        name,
        `${form} ${specifier};\nconsole.log(Object.keys(draft).sort().join(" "));\n`,
      );
      const { code, stdout, stderr } = await installation.run(name);
      const classes = "Channel Client Dish Gather Peer Radio Scatter Server\n";
      expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: classes, stderr: "" });
    },
  );

  test("its types compile under strict settings and say what a socket cannot do", async () => {
    await installation.write(
      "types.ts",
      `import {
  type BatchOptions, type Event, type Message, type MessageLike, Pull, type PullOptions, Push,
  type PushOptions, type Readable, Reply, Request, type Sendable, Socket, type SocketStats,
  type WaitOptions, type Writable, ZmqError,
} from "monocoque";
import {
  Client, Dish, type DishOptions, Radio, type RoutingOptions, Server,
} from "monocoque/draft";

const options: PullOptions = { receiveHighWaterMark: 10 };
const pull: Readable = new Pull(options);
const push: Writable = new Push({ linger: 0 } satisfies PushOptions);
const sockets: Socket[] = [new Reply({ routingId: "a" }), new Request({ relaxed: true })];
export async function use(wait: WaitOptions, batch: BatchOptions, part: MessageLike) {
  const message: Message = await pull.receive(wait);
  const body: Buffer | undefined = message[0];
  for await (const messages of pull.batches(batch)) for (const [first] of messages) first?.length;
  const sent: Sendable = [part, null, 1, "text"];
  await push.sendMany([sent, "one"]);
  const stats: SocketStats | undefined = sockets[0]?.stats();
  for await (const event of new Pull().events) ((e: Event) => e.type)(event);
  return [body, stats, new ZmqError("text", "EAGAIN", 11).code];
}
export async function useDrafts(server: Server, options: DishOptions) {
  const [question, from]: [Buffer, RoutingOptions] = await server.receive();
  await server.send(question, { ...from, timeout: 10 });
  for await (const batch of server.batches()) await server.sendMany(batch);
  for await (const [body, { group }] of new Dish(options)) await new Radio().send(body, { group });
  return new Client().receive() satisfies Promise<[Buffer]>;
}
// @ts-expect-error A Server has to say to whom.
new Server().send("");
// @ts-expect-error A message of a Client has one part.
new Client().send(["a", "b"]);
// @ts-expect-error A Push does not receive.
new Push().receive();
// @ts-expect-error A Pull does not send.
new Pull().send("");
// @ts-expect-error A misspelt option.
new Pull({ recieveTimeout: 1 });
// @ts-expect-error An option of another class.
new Push({ correlate: true });
// @ts-expect-error A part cannot be an object.
new Push().trySend({});
`,
    );
    const { stdout, stderr } = await installation.compile(["types.ts"]);
    expect(stdout + stderr).toBe("");
  });

  test("works as a bundle, started from anywhere", async () => {
    await installation.write("bundled.ts", `import { Pull, Push } from "monocoque";\n${ROUND_TRIP}`);
    await succeed(
      [process.execPath, "build", "--target", "bun", "bundled.ts", "--outdir", "bundle"],
      installation.directory,
      60,
    );
    const { code, stdout, stderr } = await run(
      [process.execPath, installation.path("bundle/bundled.js")],
      "/",
    );
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "works 100000\n", stderr: "" });
  });

  test("works in an executable of its own, from which the library is unpacked", async () => {
    await installation.write("program.ts", `import { Pull, Push } from "monocoque";\n${ROUND_TRIP}`);
    await succeed(
      [process.execPath, "build", "--compile", "program.ts", "--outfile", "program"],
      installation.directory,
      60,
    );
    using elsewhere = await Elsewhere.move(installation.path("program"));
    const { code, stdout, stderr } = await run([elsewhere.program], "/");
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "works 100000\n", stderr: "" });
  });
});

/** An executable in a directory without the package, which must not be found by accident. */
class Elsewhere implements Disposable {
  readonly program: string;
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.program = join(directory, "program");
  }

  static async move(program: string): Promise<Elsewhere> {
    const directory = (await Bun.$`mktemp -d`.text()).trim();
    const moved = new Elsewhere(directory);
    await Bun.$`mv ${program} ${moved.program}`.quiet();
    if (!existsSync(moved.program)) throw new Error(`${program} was not built`);
    return moved;
  }

  [Symbol.dispose](): void {
    Bun.spawnSync(["rm", "-rf", this.#directory]);
  }
}
