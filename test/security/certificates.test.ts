// Key files, as pyzmq's zmq.auth writes and reads them.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  curveKeyPair,
  curvePublicKey,
  readCurveCertificate,
  writeCurveCertificate,
  ZmqError,
} from "../../src/index.ts";
import { failure } from "../support/sockets.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "certificates-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const file = (name: string, text: string, mode = 0o600): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
};

/** As zmq.auth.create_certificates of pyzmq 24 writes it. */
const theirs = `#   ****  Generated on 2026-01-02 03:04:05.678 by pyzmq  ****
#   ZeroMQ CURVE **Secret** Certificate
#   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.

metadata
    name = "orders"
    email = "a@b.example"
curve
    public-key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
    secret-key = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
`;

describe("a certificate", () => {
  test("is two files: one to give away, one that its owner alone can read", () => {
    const before = process.umask(0o077);
    try {
      const { publicFile, secretFile } = writeCurveCertificate(directory, "server", { name: "orders" });
      expect(statSync(publicFile).mode & 0o777).toBe(0o644);
      process.umask(0);
      const open = writeCurveCertificate(directory, "other").secretFile;
      expect(statSync(open).mode & 0o777).toBe(0o600);
      expect(publicFile).toBe(join(directory, "server.key"));
      expect(secretFile).toBe(join(directory, "server.key_secret"));
      expect(statSync(secretFile).mode & 0o777).toBe(0o600);
      const both = readCurveCertificate(secretFile);
      const one = readCurveCertificate(publicFile);
      expect(both).toEqual({ ...one, secretKey: both.secretKey! });
      expect(one).toEqual({ publicKey: both.publicKey, metadata: { name: "orders" } });
      expect(curvePublicKey(both.secretKey!)).toBe(both.publicKey);
      expect(readFileSync(publicFile, "utf8")).not.toContain(both.secretKey!);
    } finally {
      process.umask(before);
    }
  });

  test("takes keys that are there", () => {
    const pair = curveKeyPair();
    const { secretFile } = writeCurveCertificate(join(directory, "new", "one"), "a", {}, pair);
    expect(readCurveCertificate(secretFile)).toEqual({ ...pair, metadata: {} });
  });

  test("never replaces one: a key that is lost stays lost", () => {
    const { secretFile } = writeCurveCertificate(directory, "server");
    const text = readFileSync(secretFile, "utf8");
    expect(() => writeCurveCertificate(directory, "server")).toThrow("EEXIST");
    expect(readFileSync(secretFile, "utf8")).toBe(text);
    // Nor leaves half a new one behind.
    rmSync(secretFile);
    expect(() => writeCurveCertificate(directory, "server")).toThrow("EEXIST");
    expect(existsSync(secretFile)).toBe(false);
  });

  test.each([
    ["a line of its own", { name: 'x"\ncurve\n    public-key = "' }],
    ["a quote", { name: 'x"' }],
    ["a name of two words", { "two words": "x" }],
  ])("does not take metadata with %s, which would be read as something else", (_, metadata) => {
    expect(failure(() => writeCurveCertificate(directory, "bad", metadata))).toMatchObject({ code: "EINVAL" });
    expect(() => statSync(join(directory, "bad.key"))).toThrow();
  });

  test.each(["../elsewhere", "a/b", "", ".."])("has a name, not a path: %j", (name) => {
    expect(failure(() => writeCurveCertificate(directory, name))).toMatchObject({ code: "EINVAL" });
  });

  test("of pyzmq is read", () => {
    expect(readCurveCertificate(file("theirs.key_secret", theirs))).toEqual({
      publicKey: "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
      secretKey: "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs",
      metadata: { name: "orders", email: "a@b.example" },
    });
  });

  test("is read with other line ends, quotes and comments", () => {
    const text = theirs.replaceAll("\n", "\r\n").replace(/"(Yne.*)"/, "'$1'   # mine");
    const { publicKey } = readCurveCertificate(file("a.key", text));
    expect(publicKey).toBe("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID");
  });

  test.each([0o640, 0o604, 0o660, 0o644, 0o666, 0o610])(
    "with a secret that others may read (mode %o) is not used as if nothing were",
    (mode) => {
      const error = failure(() => readCurveCertificate(file("a.key_secret", theirs, mode)));
      expect(error.code).toBe("EACCES");
      expect(error.message).toContain("chmod 600");
      expect(`${error.message}${error.stack}`).not.toContain("D:)Q[IlAW");
    },
  );

  test("behind a link has the mode of the file, not of the link", () => {
    symlinkSync(file("a.key_secret", theirs, 0o644), join(directory, "link"));
    expect(failure(() => readCurveCertificate(join(directory, "link"))).code).toBe("EACCES");
  });

  test.each([
    ["nothing", ""],
    ["no key", "metadata\n    name = \"x\"\n"],
    ["the key in another section", 'metadata\n    public-key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"\n'],
    ["half a key", 'curve\n    public-key = "Yne@$w-vo<fVvi]a<NY6"\n'],
    ["a key that is no Z85", `curve\n    public-key = "${"~".repeat(40)}"\n`],
    ["half a secret", theirs.replace("D:)Q[IlAW!ahhC2ac:9*", "")],
    ["something else altogether", "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n"],
    ["a key in an unclosed quote", 'curve\n    public-key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\n'],
  ])("with %s in it is an error that repeats none of it", (_, text) => {
    const error = failure(() => readCurveCertificate(file("a.key", text)));
    expect(error).toBeInstanceOf(ZmqError);
    expect(error.code).toBe("EINVAL");
    expect(error.message).toContain("a.key");
    expect(error.message).not.toMatch(/Yne@|A}h:p|MIIE/);
  });

  test("with a name like __proto__ in it has it as a name", () => {
    const text = theirs.replace("email", "__proto__");
    const { metadata } = readCurveCertificate(file("a.key", text));
    expect(Object.entries(metadata)).toContainEqual(["__proto__", "a@b.example"]);
    const section = `__proto__\n    public-key = "x"\n${theirs}`;
    expect(readCurveCertificate(file("b.key", section)).metadata).toMatchObject({ name: "orders" });
  });

  test("that is not there is the system's own error", () => {
    expect(() => readCurveCertificate(join(directory, "none"))).toThrow("ENOENT");
  });
});
