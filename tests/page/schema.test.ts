import { describe, expect, test } from "vitest";
import { faultAt } from "../../src/page/parts/faults.ts";
import { draftOf, emptyDraft, holds, pointerIn, readDraft } from "../../src/page/views/schema-drafts.ts";
import { type Field, fieldOf } from "../../src/page/views/schema-fields.ts";

const object = (properties: object, required: string[] = []) => fieldOf({ type: "object", properties, required });
const kindsOf = (field: Field) =>
  field.kind === "object" ? Object.fromEntries(field.parts.map((part) => [part.name, part.field.kind])) : field.kind;

describe("the fields of a schema", () => {
  test("each type has its own", () => {
    const field = object({
      text: { type: "string" },
      count: { type: "integer", minimum: 1 },
      isFast: { type: "boolean" },
      mode: { enum: ["a", "b"] },
      version: { const: 2 },
      texts: { type: "array", items: { type: "string" } },
      inner: { type: "object", properties: { a: { type: "number" } } },
    });
    expect(kindsOf(field)).toEqual({
      ...{ text: "text", count: "number", isFast: "choice", mode: "choice", version: "choice" },
      ...{ texts: "lines", inner: "object" },
    });
  });

  test("what no form can draw is JSON", () => {
    const field = object({
      either: { anyOf: [{ type: "string" }, { type: "number" }] },
      record: { type: "object", additionalProperties: { type: "string" } },
      rows: { type: "array", items: { type: "object", properties: { a: { type: "string" } } } },
      numbers: { type: "array", items: { type: "number" } },
      elsewhere: { $ref: "#/$defs/a" },
      pair: { type: "array", prefixItems: [{ type: "string" }], items: { type: "string" } },
      several: { type: ["string", "null"] },
      any: true,
      none: null,
    });
    expect(new Set(Object.values(kindsOf(field)))).toEqual(new Set(["json"]));
    expect(fieldOf(null).kind).toBe("json");
    expect(fieldOf({}).kind).toBe("json");
  });

  test("what is nested deeper than three levels is JSON", () => {
    const nested = (depth: number): object => ({
      type: "object",
      properties: { again: depth ? nested(depth - 1) : {} },
    });
    const text = JSON.stringify(fieldOf(nested(5)));
    expect(text.match(/"object"/g)).toHaveLength(3);
    expect(text).toContain('"kind":"json"');
  });

  test("names of what every object inherits are names like others", () => {
    const properties = JSON.parse('{ "__proto__": { "type": "string" }, "constructor": { "type": "string" }, "": {} }');
    const field = object(properties, ["__proto__"]);
    if (field.kind !== "object") throw new Error("Expected an object");
    expect(field.parts.map(({ name, isRequired }) => [name, isRequired])).toEqual([
      ["__proto__", true],
      ["constructor", false],
      ["", false],
    ]);
    expect(emptyDraft(field)).toEqual(["", "", ""]);
    const { value } = readDraft(field, ["a", "", "1"]);
    expect(JSON.stringify(value)).toBe('{"__proto__":"a","":1}');
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });

  test("a hint says what else is asked", () => {
    expect(fieldOf({ type: "string", description: "Whose", minLength: 1, format: "email" }).about).toBe(
      "Whose · minLength 1 · format email",
    );
  });
});

describe("what stands in a form", () => {
  const field = object(
    {
      texts: { type: "array", items: { type: "string" } },
      count: { type: "integer", minimum: 1, maximum: 9 },
      isFast: { type: "boolean" },
      mode: { enum: ["a", null, 3], default: 3 },
      inner: { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
      rest: {},
    },
    ["texts"],
  );

  test("is empty at first, but for defaults, and sends nothing that may be missing", () => {
    expect(emptyDraft(field)).toEqual(["", "", "", "2", [""], ""]);
    expect(readDraft(field, emptyDraft(field))).toEqual({ value: { texts: [], mode: 3 }, faults: [] });
  });

  test("becomes a value, and a value becomes it", () => {
    const value = {
      texts: ["a", "", "b"],
      count: 3,
      isFast: false,
      mode: null,
      inner: { name: "x" },
      rest: [1, { a: null }],
    };
    expect(readDraft(field, draftOf(field, value))).toEqual({ value, faults: [] });
    expect(holds(field, value)).toBe(true);
    expect(holds(field, { rest: 1, texts: [] })).toBe(true);
  });

  test.each([
    { texts: "a" },
    { texts: [1] },
    { texts: ["a\nb"] },
    { texts: [""] },
    { texts: [], more: 1 },
    { texts: [], mode: "c" },
    { texts: [], count: "3" },
    { texts: [], inner: { name: "x", more: 1 } },
    [],
    null,
    "text",
  ])("does not hold %j, of which something would be lost", (value) => {
    expect(holds(field, value)).toBe(false);
  });

  test("does not hold what is too deep, and says so without an error", () => {
    const deep = JSON.parse(`${"[".repeat(20_000)}${"]".repeat(20_000)}`);
    expect(typeof holds(field, { texts: [], rest: deep })).toBe("boolean");
  });

  test("a count is a number", () => {
    const { faults } = readDraft(field, ["", "x", "", "", [""], ""]);
    expect(faults).toEqual([{ pointer: "/count", detail: "Expected a number, got x" }]);
  });

  test("JSON that is none is a fault at its field", () => {
    const { faults } = readDraft(field, ["", "", "", "", [""], "{"]);
    expect(faults).toEqual([{ pointer: "/rest", detail: expect.stringMatching(/JSON/) }]);
  });

  test("what is required and empty is a fault, and an empty text is a text", () => {
    const required = object({ a: { type: "number" }, b: { type: "string" }, c: {} }, ["a", "b", "c"]);
    const { value, faults } = readDraft(required, emptyDraft(required));
    expect(value).toEqual({ b: "" });
    expect(faults.map(({ pointer }) => pointer)).toEqual(["/a", "/c"]);
  });

  test("a required boolean has to be chosen, and a constant too", () => {
    const required = object({ a: { type: "boolean" }, b: { const: "x" } }, ["a", "b"]);
    expect(readDraft(required, emptyDraft(required)).faults).toHaveLength(2);
    expect(readDraft(required, ["1", "0"]).value).toEqual({ a: false, b: "x" });
  });

  test("a pointer of the server finds the field that it is in", () => {
    const faults = [{ pointer: "/texts/3", detail: "no text" }];
    expect(faultAt(faults, "/texts")).toBe("no text");
    expect(faultAt(faults, "/texts/3")).toBe("no text");
    expect(faultAt(faults, "/text")).toBeUndefined();
    expect(faultAt(faults, "/texts/30")).toBeUndefined();
    expect(pointerIn("", "a/b~c")).toBe("/a~1b~0c");
  });
});
