// Z85 (RFC 32), the text of keys; and the keys themselves.

import { describe, expect, test } from "bun:test";
import { curveKeyPair, curvePublicKey, z85Decode, z85Encode } from "../../src/index.ts";
import { failure, pattern } from "../support/sockets.ts";

/** RFC 32 §3.2, and the keys of zmq_curve_keypair(3)'s tests in RFC 26's vectors. */
const vectors = [
  ["86 4f d2 6f b5 59 f7 5b", "HelloWorld"],
  [
    "8e 0b dd 69 76 28 b9 1d 8f 24 55 87 ee 95 c5 b0 4d 48 96 3f 79 25 98 77 b4 9c d9 06 3a ea d3 b7",
    "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6",
  ],
  [
    "bb 88 47 1d 65 e2 65 9b 30 c5 5a 53 21 ce bb 5a ab 2b 70 a3 98 64 5c 26 dc a2 b2 fc b4 3f c5 18",
    "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
  ],
  ["00 00 00 00", "00000"],
  ["ff ff ff ff", "%nSc0"],
] as const;

const bytesOf = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex");

describe("Z85", () => {
  test.each(vectors)("of %s is what every other library reads and writes", (hex, text) => {
    expect(z85Encode(bytesOf(hex))).toBe(text);
    expect(z85Decode(text)).toEqual(bytesOf(hex));
  });

  test("comes back as it was, whatever the bytes, in any part of a buffer", () => {
    for (let seed = 1; seed <= 500; seed += 1) {
      const bytes = pattern(4 * (seed % 20), seed);
      expect(z85Decode(z85Encode(bytes))).toEqual(bytes);
    }
    const part = new Uint8Array(pattern(64).buffer, 7, 32);
    expect(z85Decode(z85Encode(part))).toEqual(Buffer.from(part));
  });

  test("of a wrong length is refused, not filled up", () => {
    expect(failure(() => z85Encode(new Uint8Array(31))).message).toContain("multiples of 4");
    expect(failure(() => z85Decode("JTKV"))).toMatchObject({ code: "EINVAL" });
  });

  test("has no other characters, and no five that stand for more than four bytes", () => {
    for (const text of ["JTK V", "JTK\"V", "JTKé0", "JTK~V", "JTK\0V", "%nSc1", "#####", "%nSd0"]) {
      expect(failure(() => z85Decode(text))).toMatchObject({ code: "EINVAL" });
    }
  });

  test("that is wrong may be most of a secret: the error does not repeat it", () => {
    const secret = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh~";
    const texts = [() => z85Decode(secret), () => curvePublicKey(secret), () => curvePublicKey(`${secret}0`)];
    for (const run of texts) {
      const { message, stack } = failure(run);
      expect(`${message}${stack}`).not.toContain("JTKV");
    }
  });
});

describe("keys", () => {
  test("come in pairs, each another one", () => {
    const pairs = Array.from({ length: 50 }, curveKeyPair);
    for (const { publicKey, secretKey } of pairs) {
      expect([publicKey.length, secretKey.length]).toEqual([40, 40]);
      expect(curvePublicKey(secretKey)).toBe(publicKey);
    }
    expect(new Set(pairs.flatMap(({ publicKey, secretKey }) => [publicKey, secretKey])).size).toBe(100);
  });

  test("the public one is what libzmq makes of the secret one", () => {
    // zmq_curve_public(3)
    const secret = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";
    const publicKey = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
    expect(curvePublicKey(secret)).toBe(publicKey);
    expect(curvePublicKey(z85Decode(secret))).toBe(publicKey);
  });

  test("are left as they were when they are bytes", () => {
    const bytes = z85Decode(curveKeyPair().secretKey);
    const copy = Buffer.from(bytes);
    curvePublicKey(bytes);
    expect(bytes).toEqual(copy);
  });

  test("of another length or type are refused", () => {
    expect(failure(() => curvePublicKey(new Uint8Array(31))).message).toContain("32 bytes, not 31");
    expect(failure(() => curvePublicKey("abc")).message).toContain("40 characters of Z85, not 3");
    expect(() => curvePublicKey(5 as never)).toThrow(TypeError);
  });
});
