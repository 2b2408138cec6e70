import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import * as v from "valibot";
import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { serve } from "../../src/cloudflare.ts";
import { Flow, Node } from "../../src/index.ts";
import { tasks, workFlows } from "../durable/flows.ts";
import { type frontFlows, type Words, wanted } from "../durable/front-flows.ts";
import { newStage } from "../durable/stage.ts";
import { call, getRun, post, type Run, storedOutput } from "../durable/support.ts";
import { SECRETS } from "../durable/triggering.ts";
import { expectNothingStarted } from "./client.ts";
import { problemOf } from "./problem.ts";
import { Logs } from "./triggered.ts";

beforeEach(() => {
  newStage();
});
afterEach(() => {
  wanted.are = true;
});

const LIBRARIES = ["zod", "valibot", "arktype"] as const;
type Flows = keyof typeof frontFlows;

function startWords(flow: Flows, input: unknown, headers: { [name: string]: string } = {}): Promise<Response> {
  return post(`/flows/${encodeURIComponent(flow)}/runs?wait=10`, input, headers);
}

async function inputSchemaOf(flow: Flows): Promise<unknown> {
  return (await (await call(`/flows/${encodeURIComponent(flow)}`)).json<{ input: unknown }>()).input;
}

describe.each(LIBRARIES)("a flow whose input is described by %s", (library) => {
  const flow = `words by ${library}` as const;

  it("begins with what the schema makes of its input: defaults, and what it transforms", async () => {
    const bare = await startWords(flow, { words: ["a", "bb"] });
    expect([bare.status, await bare.json()]).toMatchObject([
      200,
      { status: "completed", output: { words: ["a", "bb"], most: 3, tag: "NONE", lengths: [1, 2] } },
    ]);
    const full = { words: ["a", "bb", "ccc"], most: 1, tag: " red ", weights: { a: 1.5 } };
    const { output } = await (await startWords(flow, full)).json<Run>();
    expect(output).toEqual({ ...full, tag: "RED", lengths: [1] });
  });

  it("refuses another with a pointer to all that is wrong, and starts nothing", async () => {
    const wrong = { words: ["a", ""], most: 0, tag: 5, weights: { "a/b~c": "x" } };
    const { status, errors, detail } = await problemOf(await expectNothingStarted(() => startWords(flow, wrong)));
    expect(status).toBe(422);
    const pointers = errors?.map(({ pointer }) => pointer).sort();
    expect(pointers).toEqual(["/most", "/tag", "/weights/a~1b~0c", "/words/1"]);
    for (const error of errors ?? []) expect(error).toEqual({ pointer: error.pointer, detail: expect.any(String) });
    expect(detail).toBe(`The input is not what the flow takes at ${errors?.[0]?.pointer}: ${errors?.[0]?.detail}`);
  });

  it("refuses what is missing", async () => {
    const { status, errors } = await problemOf(await expectNothingStarted(() => startWords(flow, {})));
    expect([status, errors]).toMatchObject([422, [{ pointer: "/words" }]]);
  });

  it("refuses what only a check by itself can refuse", async () => {
    const taken = { words: ["free", "taken"] };
    const { status, errors } = await problemOf(await expectNothingStarted(() => startWords(flow, taken)));
    expect([status, errors]).toMatchObject([422, [{ pointer: "/words", detail: expect.stringContaining("free") }]]);
  });

  it("refuses what is no object, or holds what no input may, as any flow does", async () => {
    for (const input of ["[]", "5", '{"words":[],"__proto__":{"most":1}}']) {
      const problem = await problemOf(await expectNothingStarted(() => startWords(flow, input)));
      expect(problem).toMatchObject({ status: 422, detail: expect.stringContaining("Expected a JSON object") });
    }
  });

  it("knows a start again by what was sent, and not by what the schema made of it", async () => {
    const key = { "idempotency-key": "the same words" };
    const send = (input: object) => startWords(flow, input, key);
    const first = await (await send({ words: ["a"] })).json<Run>();
    const again = await send({ words: ["a"] });
    expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([200, "true"]);
    expect(await again.json()).toEqual(first);
    // What the default would make of the first is another body all the same.
    expect(await problemOf(await send({ words: ["a"], most: 3 }))).toMatchObject({
      status: 422,
      detail: expect.stringContaining(first.id),
    });
    expect(await getRun(first.id)).toEqual(first);
  });

  it("refuses what does not fit under a key, which is free then", async () => {
    const key = { "idempotency-key": "first wrong, then right" };
    expect((await startWords(flow, { words: 5 }, key)).status).toBe(422);
    const right = await startWords(flow, { words: ["a"] }, key);
    expect([right.status, right.headers.get("idempotent-replayed")]).toEqual([200, null]);
  });
});

describe("a flow whose schema makes something of its input that is no JSON", () => {
  it("begins with that: maps, dates and big integers", async () => {
    const { id } = await (await startWords("words, enriched", { words: ["a", "bb"] })).json<Run>();
    expect(await storedOutput(id)).toEqual({
      counts: new Map([
        ["a", 1],
        ["bb", 2],
      ]),
      at: new Date(0),
      total: 2n,
    });
  });
});

describe("a start that was accepted", () => {
  it("is found again by its key, though its input would not fit any more", async () => {
    const flow = "words, while wanted";
    const key = { "idempotency-key": "wanted once" };
    const first = await (await startWords(flow, { words: ["a"] }, key)).json<Run>();
    wanted.are = false;
    // So it is for whoever comes now, also with a key that nobody had.
    for (const late of [{}, { "idempotency-key": "too late" }]) {
      expect((await startWords(flow, { words: ["a"] }, late)).status).toBe(422);
    }
    for (const [query, status] of [
      ["", 202],
      ["?wait=10", 200],
    ] as const) {
      const again = await post(`/flows/${encodeURIComponent(flow)}/runs${query}`, { words: ["a"] }, key);
      expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([status, "true"]);
      expect(again.headers.get("location")).toBe(`/runs/${first.id}`);
      expect(await again.json()).toEqual(first);
    }
    const other = await problemOf(await startWords(flow, { words: ["b"] }, key));
    expect(other).toMatchObject({ status: 422, detail: expect.stringContaining(first.id) });
    expect(await getRun(first.id)).toEqual(first);
  });

  it("is found again by its key, though its callback would be refused now", async () => {
    // A Worker that takes such callbacks, which the one that the test calls does not.
    const before = serve({ flows: workFlows, callbacks: { secret: SECRETS.callbacks, allowPrivate: true } });
    const headers = { "content-type": "application/json", "idempotency-key": "local", callback: "http://127.0.0.1/" };
    // The run does not end: nobody is told.
    const input = { tasks: tasks(1, { gate: "never" }) };
    const request = new Request("http://flows.test/flows/single/runs", {
      ...{ method: "POST", headers, body: JSON.stringify(input) },
    });
    const first = await before.fetch(request, env, createExecutionContext());
    expect(first.status).toBe(202);
    const { id } = await first.json<Run>();
    const another = { ...headers, "idempotency-key": "local, too late" };
    expect((await post("/flows/single/runs", input, another)).status).toBe(422);
    const again = await post("/flows/single/runs", input, headers);
    expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([202, "true"]);
    expect((await again.json<Run>()).id).toBe(id);
    const other = await problemOf(await post("/flows/single/runs", { tasks: [] }, headers));
    expect(other).toMatchObject({ status: 422, detail: expect.stringContaining(id) });
  });
});

describe("a schema that fails, and not for what it is given", () => {
  it.each([{}, { "idempotency-key": "db" }])("is 500: what it says is logged and not answered, %j", async (headers) => {
    const logs = new Logs();
    try {
      const response = await startWords("words, by a database", { words: ["a"] }, headers);
      const text = await response.clone().text();
      expect((await problemOf(response)).status).toBe(500);
      expect(text).not.toMatch(/db down|secret/);
      expect(logs.text).toContain("db down: secret");
    } finally {
      logs.end();
    }
  });
});

describe("GET /flows/:flow", () => {
  const fields = {
    words: { type: "array", items: { type: "string", minLength: 1 } },
    most: { type: "integer", minimum: 1 },
    tag: { type: "string" },
    weights: { type: "object", additionalProperties: { type: "number" } },
  };

  it.each<Flows>(["words by zod", "words by valibot", "words by valibot, described", "words by arktype"])(
    "shows the JSON Schema of what is sent, and not of what becomes of it: %s",
    async (flow) => {
      expect(await inputSchemaOf(flow)).toMatchObject({ type: "object", required: ["words"], properties: fields });
    },
  );

  it("shows that of the newest version, which is the one that inputs must fit", async () => {
    const flow = "words, in versions";
    expect(await inputSchemaOf(flow)).toMatchObject({ required: ["words", "most", "tag"] });
    const older = await problemOf(await expectNothingStarted(() => startWords(flow, { words: [] })));
    expect(older.errors?.map(({ pointer }) => pointer)).toEqual(["/most", "/tag"]);
    const { version } = await (await startWords(flow, { words: [], most: 1, tag: "" })).json<Run>();
    expect(version).toBe("2");
  });

  it("shows none for a flow that takes any object", async () => {
    expect(await (await call("/flows/work")).json()).toMatchObject({ input: null });
  });
});

describe("the types of serve", () => {
  class Take extends Node<Words> {}
  const flow = () => new Flow<Words>(new Take());
  const more = v.object({ words: v.array(v.string()), most: v.number(), tag: v.string(), more: v.boolean() });
  /** These are for the compiler alone: two Workers in one isolate would do no harm, but nobody needs them. */
  const compiles = (_: () => unknown) => undefined;

  it("let a schema through that gives what the flow takes, before and after its transforms", () => {
    const words = z.object({
      words: z.array(z.string()),
      most: z.number().default(1),
      tag: z.number().transform(String),
    });
    expectTypeOf<z.output<typeof words>>().toExtend<Words>();
    compiles(() => serve({ flows: { a: { input: words, flow }, b: flow, c: { flow } } }));
    compiles(() =>
      serve({
        flows: {
          a: [
            { version: "2", input: words, flow },
            { version: "1", flow },
          ],
        },
      }),
    );
    compiles(() => serve({ flows: { a: { input: more, flow, output: () => 1, deadline: "1h" } } }));
  });

  it("refuse one that gives something else", () => {
    const other = z.object({ words: z.array(z.number()), most: z.number(), tag: z.string() });
    // @ts-expect-error: its words are numbers
    compiles(() => serve({ flows: { a: { input: other, flow } } }));
    const missing = z.object({ words: z.array(z.string()), most: z.number() });
    // @ts-expect-error: it has no tag
    compiles(() => serve({ flows: { a: { input: missing, flow } } }));
    const optional = v.object({ words: v.array(v.string()), most: v.optional(v.number()), tag: v.string() });
    // @ts-expect-error: it may have no most
    compiles(() => serve({ flows: { a: { input: optional, flow } } }));
    const five = v.pipe(
      more,
      v.transform(() => 5),
    );
    // @ts-expect-error: what goes in fits, what comes out does not
    compiles(() => serve({ flows: { a: { input: five, flow } } }));
    const older = { version: "1", input: missing, flow };
    // @ts-expect-error: the older version's does not fit
    compiles(() => serve({ flows: { a: [{ version: "2", flow }, older] } }));
    // @ts-expect-error: no schema at all
    compiles(() => serve({ flows: { a: { input: { words: "string[]" }, flow } } }));
  });
});
