import { Validator } from "@seriousme/openapi-schema-validator";
import { toStandardJsonSchema } from "@valibot/to-json-schema";
import { type } from "arktype";
import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { StandardSchema } from "../../src/core/schema.ts";
import { Registry } from "../../src/durable/registry.ts";
import { openApi } from "../../src/http/openapi.ts";
import { Flow, Node } from "../../src/index.ts";

const SCHEMAS = {
  zod: z.object({ a: z.string().default("x"), b: z.array(z.int()).optional() }),
  valibot: toStandardJsonSchema(v.object({ a: v.optional(v.string(), "x"), c: v.nullable(v.boolean()) })),
  arktype: type({ a: "string = 'x'", "d?": "number | string" }),
};

/** A Worker's flows, each with the input that it takes, or with any. */
function registryOf(inputs: { [flow: string]: StandardSchema | null }): Registry {
  const flow = () => new Flow(new Node());
  const entries = Object.entries(inputs).map(([name, input]) => [name, input ? { flow, input } : flow]);
  return new Registry(Object.fromEntries(entries), { home: "object", limits: [] });
}

/** What flows take, with the schemas that it refers to in their place. */
function inputIn(document: { [key: string]: unknown }): object {
  const { schemas } = (document as { components: { schemas: { [name: string]: object } } }).components;
  const { anyOf, ...rest } = schemas["Input"] as { anyOf?: { $ref: string }[] };
  const named = anyOf?.map(({ $ref }) => schemas[$ref.slice("#/components/schemas/".length)]);
  return named ? { ...rest, anyOf: named } : rest;
}

const Named = z.object({ name: z.string() }).meta({ id: "Named" });
interface Tree {
  leaves: Tree[];
}
const Trees: z.ZodType<Tree> = z.object({ leaves: z.array(z.lazy(() => Trees)) });

describe("the OpenAPI document", () => {
  it("has the references of a flow's schema lead to where that is in it", async () => {
    const inputs = { named: z.object({ first: Named, others: z.array(Named) }), "a tree": Trees };
    const document = openApi("", registryOf(inputs as unknown as typeof SCHEMAS));
    const validator = new Validator();
    expect(await validator.validate(structuredClone(document))).toEqual({ valid: true });
    expect(() => validator.resolveRefs()).not.toThrow();
    const text = JSON.stringify(document);
    expect(text).toContain('"$ref":"#/components/schemas/Input1/$defs/Named"');
    expect(text).toContain('"$ref":"#/components/schemas/Input2"');
    expect(text).not.toMatch(/"\$ref":"#(?!\/components)/);
  });

  it.each<[string, string, Registry]>([
    ["whose flows take anything", "", registryOf({ any: null })],
    ["whose flows say what they take", "/jobs", registryOf(SCHEMAS)],
    ["of which one says what it takes", "/a/b", registryOf({ any: null, ...SCHEMAS })],
    ["that has no flow", "", registryOf({})],
  ])("of a Worker %s is valid, and all its references lead somewhere", async (_, base, registry) => {
    const document = openApi(base, registry);
    expect(document["openapi"]).toBe("3.1.1");
    const validator = new Validator();
    expect(await validator.validate(structuredClone(document))).toEqual({ valid: true });
    expect(() => validator.resolveRefs()).not.toThrow();
    // Nothing in it is lost on its way.
    expect(JSON.parse(JSON.stringify(document))).toEqual(document);
    expect(document["servers"]).toEqual([{ url: base === "" ? "/" : base }]);
  });

  it("names every operation once, and says what each is for", () => {
    const { paths } = openApi("", registryOf({ any: null })) as {
      paths: { [path: string]: { [method: string]: { operationId?: string; summary?: string } } };
    };
    const operations = Object.values(paths).flatMap((item) =>
      Object.entries(item).flatMap(([method, operation]) => (method === "parameters" ? [] : [operation])),
    );
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    for (const { summary, operationId } of operations) {
      expect(summary).toMatch(/\w/);
      expect(operationId).toMatch(/^[a-z]\w*$/);
    }
  });

  it("says what flows take: one of their schemas, or any object where one of them takes any", () => {
    expect(inputIn(openApi("", registryOf(SCHEMAS)))).toMatchObject({
      anyOf: [
        { type: "object", properties: { a: { type: "string" }, b: { items: { type: "integer" } } } },
        { type: "object", properties: { a: { type: "string" }, c: {} }, required: ["c"] },
        { type: "object", properties: { a: { type: "string" }, d: {} } },
      ],
    });
    const any = { type: "object", additionalProperties: {} };
    expect(inputIn(openApi("", registryOf({ ...SCHEMAS, any: null })))).toMatchObject(any);
    expect(inputIn(openApi("", registryOf({})))).toMatchObject(any);
    // A library that has no JSON Schema to give says nothing: then any object may be what it takes.
    const silent: StandardSchema = { "~standard": { version: 1, vendor: "mine", validate: (value) => ({ value }) } };
    expect(inputIn(openApi("", registryOf({ ...SCHEMAS, silent })))).toMatchObject(any);
    const unsayable = z.object({ a: z.custom<Date>(), b: z.bigint() });
    expect(inputIn(openApi("", registryOf({ ...SCHEMAS, unsayable })))).toMatchObject(any);
  });
});
