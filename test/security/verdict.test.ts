// What counts as a verdict: true, false and plain objects. Whatever else an authenticator answers may
// well have meant no, and must not be taken for yes.

import { describe, expect, test } from "bun:test";
import { checkVerdict } from "../../src/verdict.ts";

class Refusal {
  constructor(readonly why: string) {}
  get reject(): string {
    return this.why;
  }
}

class Empty {}

/** An object with a property that is no plain value in sight. */
const defined = (name: string, property: PropertyDescriptor): object =>
  Object.defineProperty({}, name, property);

describe("no verdict, so nobody comes in:", () => {
  test.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["1", 1],
    ["a string", "yes"],
    ["a bigint", 1n],
    ["a symbol", Symbol("yes")],
    ["a function", () => true],
    ["an array", []],
    ["true in an object", Object(true)],
    ["an Error", new Error("no database")],
    ["a Map", new Map([["reject", "unknown"]])],
    ["a Set", new Set()],
    ["a Date", new Date()],
    ["a RegExp", /joe/],
    ["a Response", new Response("no", { status: 403 })],
    ["bytes", new Uint8Array(1)],
    ["an instance of a class", new Empty()],
    ["one whose reject is a getter of its class", new Refusal("unknown")],
    ["an inherited reject", Object.create({ reject: "unknown" })],
    ["an inherited userId", Object.create({ userId: "joe" })],
    ["a userId by a getter", { get userId() { return "joe"; } }],
    ["a reject by a hidden getter", defined("reject", { get: () => "unknown" })],
    ["a word behind a symbol", { [Symbol("reject")]: "unknown" }],
    ["a hidden word", defined("allowed", { value: false })],
    ["a word of another kind", { userId: "joe", allowed: false }],
    ["yes and no", { userId: "joe", reject: "unknown" }],
    ["a hidden no beside a yes", Object.assign(defined("reject", { value: "unknown" }), { userId: "joe" })],
    ["a status that there is not", { reject: "no", status: 200 }],
    ["a status that is null", { reject: "no", status: null }],
    ["a user that is no string", { userId: 5 }],
    ["metadata that are an array", { metadata: [] }],
    ["metadata that are a Map", { metadata: new Map([["role", "admin"]]) }],
    ["metadata that are an instance of a class", { metadata: new Empty() }],
    ["metadata that are no strings", { metadata: { age: 5 } }],
    ["metadata by a getter", { metadata: { get role() { return "admin"; } } }],
  ])("%s", (_, verdict) => {
    expect(() => checkVerdict(verdict)).toThrow(TypeError);
  });
});

describe("a verdict is", () => {
  const joe = { userId: "joe", metadata: { role: "admin" } };
  const bare = (values: object): object => Object.assign(Object.create(null) as object, values);

  test.each<[string, unknown, object]>([
    ["true", true, { userId: undefined, metadata: {} }],
    ["an empty object", {}, { userId: undefined, metadata: {} }],
    ["an acceptance", joe, joe],
    ["a frozen one", Object.freeze({ ...joe }), joe],
    ["one without a prototype", bare({ userId: "joe", metadata: bare({ role: "admin" }) }), joe],
    ["one that comes from JSON", JSON.parse(JSON.stringify(joe)), joe],
  ])("%s: yes", (_, verdict, known) => {
    expect(checkVerdict(verdict)).toEqual({ status: 200, ...known } as never);
  });

  test.each<[string, unknown, number, string]>([
    ["false", false, 400, "refused"],
    ["a rejection", { reject: "unknown" }, 400, "unknown"],
    ["one with a status", { reject: "later", status: 300 }, 300, "later"],
    ["one that leaves its status open", { reject: "unknown", status: undefined }, 400, "unknown"],
    ["one without a reason", { reject: undefined }, 400, "refused"],
    ["one that is hidden", defined("reject", { value: "unknown" }), 400, "unknown"],
    ["one without a prototype", bare({ reject: "unknown" }), 400, "unknown"],
  ])("%s: no", (_, verdict, status, reason) => {
    expect(checkVerdict(verdict)).toEqual({ status, reason } as never);
  });
});

test("what a verdict says does not change with it afterwards", () => {
  const metadata = { role: "guest" };
  const checked = checkVerdict({ userId: "joe", metadata });
  metadata.role = "admin";
  expect(checked).toMatchObject({ metadata: { role: "guest" } });
  expect(Object.isFrozen((checked as { metadata: object }).metadata)).toBe(true);
});
