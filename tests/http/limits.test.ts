import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { BudgetChange } from "../../src/core/budget.ts";
import { type KeyView, type LimitView, RateLimiterObject } from "../../src/durable/limiter.ts";
import { Clock } from "../durable/executor.ts";
import { meteredLimits } from "../durable/limit-flows.ts";
import { Cast, Desk, limiterOf } from "../durable/limiters.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { call, finished, getRun, start } from "../durable/support.ts";
import { problemOf } from "./problem.ts";

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** A limit as it is configured for the tests here, unused. */
const PLAIN = { requests: 500, tokens: 200_000, periodMs: 60_000, concurrency: 50 };
const IDLE = { used: { requests: 0, tokens: 0 }, inFlight: 0, waiting: 0, cooldownUntil: null };

async function getLimit(name: string): Promise<LimitView> {
  const response = await call(`/limits/${name}`);
  expect(response.status).toBe(200);
  return response.json();
}

async function getKey(name: string, key = ""): Promise<KeyView> {
  const found = (await getLimit(name)).keys.find((view) => view.key === key);
  if (!found) throw new Error(`The limit ${name} has no key \`${key}\``);
  return found;
}

function patch(name: string, body: unknown, type = "application/json"): Promise<Response> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return call(`/limits/${name}`, { method: "PATCH", headers: { "content-type": type }, body: text });
}

async function patched(name: string, body: BudgetChange & { key?: string }): Promise<LimitView> {
  const response = await patch(name, body);
  expect(response.status).toBe(200);
  return response.json();
}

async function reset(name: string): Promise<LimitView> {
  const response = await call(`/limits/${name}/reset`, { method: "POST" });
  expect(response.status).toBe(200);
  return response.json();
}

/** Uses keys of a limit for the first time. */
async function use(name: string, ...keys: string[]): Promise<void> {
  for (const key of keys) await new Desk(name, key).permits("a run that only asks");
}

describe("GET /limits/:name", () => {
  it("shows a limit that nobody uses as it is configured, under the key of all", async () => {
    expect(await getLimit("http-unused")).toEqual({ name: "http-unused", keys: [{ key: "", ...PLAIN, ...IDLE }] });
  });

  it("shows `null` for what has no bound", async () => {
    const unbound = { requests: null, tokens: null, periodMs: 60_000, concurrency: null };
    expect(await getLimit("http-bare")).toEqual({ name: "http-bare", keys: [{ key: "", ...unbound, ...IDLE }] });
  });

  it("is 404 for a limit that there is not, and says what there is", async () => {
    const problem = await problemOf(await call("/limits/http-used"));
    expect(problem).toMatchObject({
      status: 404,
      detail: expect.stringContaining("There is no limit `http-used`; there are: "),
    });
    for (const name of Object.keys(meteredLimits)) expect(problem.detail).toContain(name);
  });

  it.each(["PATCH", "POST"])("so is a %s", async (method) => {
    const path = method === "POST" ? "/limits/nothing/reset" : "/limits/nothing";
    expect(await problemOf(await call(path, { method }))).toMatchObject({
      status: 404,
      detail: expect.stringContaining("There is no limit `nothing`; there are: "),
    });
  });

  it("shows the keys that were used, each in its place, whichever was used first", async () => {
    const jobs = ["globex", "acme", "initech", "acme"].map((tenant) => ({ tenant }));
    await finished((await start("by tenant", { jobs })).id);
    await expect
      .poll(async () => (await getLimit("tenants")).keys)
      .toMatchObject([
        { key: "acme", requests: 20, used: { requests: 2 }, inFlight: 0 },
        { key: "globex", requests: 20, used: { requests: 1 }, inFlight: 0 },
        { key: "initech", requests: 20, used: { requests: 1 }, inFlight: 0 },
      ]);
  });
});

describe("GET /limits", () => {
  it("lists all limits as each is shown alone", async () => {
    const response = await call("/limits");
    expect(response.status).toBe(200);
    const { limits } = await response.json<{ limits: LimitView[] }>();
    for (const name of Object.keys(meteredLimits)) expect(limits.map((limit) => limit.name)).toContain(name);
    for (const name of ["http-unused", "http-bare"]) expect(limits).toContainEqual(await getLimit(name));
  });
});

describe("a limit that is used shows", () => {
  it("its calls while they are under way, those that wait, and what they used", async () => {
    const { id } = await start("metered", { jobs: Array(5).fill({ gate: "go", used: 30 }) });
    await stage.heard("start", 3);
    const shown = { requests: 20, tokens: 10_000, periodMs: 86_400_000, concurrency: 3, cooldownUntil: null };
    await expect
      .poll(() => getKey("metered"))
      .toEqual({ key: "", ...shown, used: { requests: 3, tokens: 300 }, inFlight: 3, waiting: 2 });
    expect(stage.count("start")).toBe(3);
    stage.open("go");
    expect(await finished(id)).toMatchObject({ status: "completed", items: { succeeded: 5 } });
    await expect
      .poll(() => getKey("metered"))
      .toEqual({ key: "", ...shown, used: { requests: 5, tokens: 150 }, inFlight: 0, waiting: 0 });
  });

  it("until when it cools down, and no more after that", async () => {
    const clock = new Clock();
    const HOUR_MS = 3_600_000;
    const fromMs = Date.now() + HOUR_MS;
    const { id } = await start("cooling", { jobs: [{ refusedForMs: HOUR_MS }, {}] });
    await expect.poll(() => getKey("cooling")).toMatchObject({ inFlight: 0, waiting: 2, used: { requests: 1 } });
    const { cooldownUntil } = await getKey("cooling");
    expect(cooldownUntil).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(Date.parse(cooldownUntil ?? "")).toBeGreaterThanOrEqual(fromMs);
    expect(Date.parse(cooldownUntil ?? "")).toBeLessThanOrEqual(Date.now() + HOUR_MS);
    await expect.poll(() => getRun(id)).toMatchObject({ status: "waiting", items: { deferred: 2 } });
    expect(stage.count("start")).toBe(1);
    await call(`/runs/${id}/cancel`, { method: "POST" });
    await expect.poll(() => getKey("cooling")).toMatchObject({ waiting: 0, cooldownUntil });
    clock.forward(HOUR_MS);
    expect(await getKey("cooling")).toMatchObject({ cooldownUntil: null });
  });
});

describe("PATCH /limits/:name", () => {
  it("changes what it names, for every key, at once and for good", async () => {
    await use("http-all", "acme", "globex");
    const changed = { ...PLAIN, requests: 1200, periodMs: 30_000 };
    const expected = { name: "http-all", keys: ["acme", "globex"].map((key) => ({ key, ...changed, ...IDLE })) };
    expect(await patched("http-all", { requests: 1200, periodMs: 30_000 })).toEqual(expected);
    expect(await getLimit("http-all")).toEqual(expected);
    await abortAllDurableObjects();
    expect(await getLimit("http-all")).toEqual(expected);
  });

  it("changes a limit that nobody has used yet", async () => {
    await patched("http-new", { tokens: 7 });
    const changed = { ...PLAIN, tokens: 7, ...IDLE };
    expect(await getLimit("http-new")).toEqual({ name: "http-new", keys: [{ key: "", ...changed }] });
    await abortAllDurableObjects();
    await use("http-new", "acme");
    expect(await getLimit("http-new")).toEqual({ name: "http-new", keys: [{ key: "acme", ...changed }] });
    await abortAllDurableObjects();
    expect(await getLimit("http-new")).toEqual({ name: "http-new", keys: [{ key: "acme", ...changed }] });
  });

  it("changes one key alone where it names one, used or not", async () => {
    await use("http-one", "acme", "globex");
    await patched("http-one", { key: "acme", concurrency: 2 });
    await patched("http-one", { key: "zeno", concurrency: 3 });
    const expected = [
      { key: "acme", ...PLAIN, concurrency: 2, ...IDLE },
      { key: "globex", ...PLAIN, ...IDLE },
      { key: "zeno", ...PLAIN, concurrency: 3, ...IDLE },
    ];
    expect((await getLimit("http-one")).keys).toEqual(expected);
    await abortAllDurableObjects();
    await use("http-one", "zeno");
    expect((await getLimit("http-one")).keys).toEqual(expected);
  });

  it.each(["before", "after"])("puts what was said of one key before what was said of all, be it %s", async (when) => {
    await reset("http-both");
    await use("http-both", "acme", "globex");
    if (when === "before") await patched("http-both", { key: "acme", requests: 7 });
    await patched("http-both", { requests: 9, tokens: 90 });
    if (when === "after") await patched("http-both", { key: "acme", requests: 7 });
    await use("http-both", "initech");
    const shown = (await getLimit("http-both")).keys.map(({ key, requests, tokens }) => ({ key, requests, tokens }));
    expect(shown).toEqual([
      { key: "acme", requests: 7, tokens: 90 },
      { key: "globex", requests: 9, tokens: 90 },
      { key: "initech", requests: 9, tokens: 90 },
    ]);
  });

  it("adds to what was changed before", async () => {
    await use("http-merged", "acme");
    await patched("http-merged", { requests: 1 });
    await patched("http-merged", { key: "acme", tokens: 2 });
    await abortAllDurableObjects();
    await patched("http-merged", { concurrency: 3 });
    await patched("http-merged", { key: "acme", periodMs: 4 });
    expect(await getKey("http-merged", "acme")).toMatchObject({ requests: 1, tokens: 2, periodMs: 4, concurrency: 3 });
    await patched("http-merged", { requests: 11 });
    await patched("http-merged", { key: "acme", tokens: 22 });
    expect(await getKey("http-merged", "acme")).toMatchObject({
      requests: 11,
      tokens: 22,
      periodMs: 4,
      concurrency: 3,
    });
  });

  it("bounds what had no bound", async () => {
    await patched("http-bare", { requests: 5 });
    expect(await getKey("http-bare")).toMatchObject({ requests: 5, tokens: null });
    await reset("http-bare");
    expect(await getKey("http-bare")).toMatchObject({ requests: null });
  });

  it("lets go on who was held back by it, and holds back who is too many now", async () => {
    new Cast(() => true);
    const desk = new Desk("http-kept", "acme");
    await patched("http-kept", { concurrency: 2 });
    expect(await desk.permits("one", { wants: [[0, 3]] })).toEqual([1, 2]);
    await patched("http-kept", { concurrency: 3 });
    expect(await desk.permits("one", { heard: 2, holds: [[1, 2]], wants: [[0, 1]] })).toEqual([3]);
    await patched("http-kept", { key: "acme", concurrency: 1 });
    expect(await getKey("http-kept", "acme")).toMatchObject({ concurrency: 1, inFlight: 3 });
    expect(await desk.permits("two", { wants: [[0, 1]] })).toEqual([]);
  });

  it("is undone by POST /limits/:name/reset, for all keys and for each", async () => {
    await use("http-reset", "acme", "globex");
    await patched("http-reset", { requests: 1, periodMs: 2 });
    await patched("http-reset", { key: "acme", tokens: 3, concurrency: 4 });
    const expected = { name: "http-reset", keys: ["acme", "globex"].map((key) => ({ key, ...PLAIN, ...IDLE })) };
    expect(await reset("http-reset")).toEqual(expected);
    await abortAllDurableObjects();
    expect(await getLimit("http-reset")).toEqual(expected);
    // Nothing of what was undone comes back with the next change, or with the next key.
    await patched("http-reset", { tokens: 5 });
    await use("http-reset", "initech");
    expect((await getLimit("http-reset")).keys).toEqual(
      ["acme", "globex", "initech"].map((key) => ({ key, ...PLAIN, tokens: 5, ...IDLE })),
    );
  });
});

describe("a change whose keys were not told of it", () => {
  /** Lets no key be told for now. Resolves once one would have been. */
  function untold() {
    const { configure } = RateLimiterObject.prototype;
    const told = vi.spyOn(RateLimiterObject.prototype, "configure");
    const held = (gate: string) =>
      told.mockImplementationOnce(async function (this: RateLimiterObject, ...change) {
        stage.say(`telling ${gate}`);
        await stage.pass(gate);
        await configure.apply(this, change);
      });
    return { told, held };
  }

  /** Past the front door, which may try again where an object was lost. */
  async function change(limit: string, change: BudgetChange): Promise<LimitView> {
    return limiterOf(limit).change(limit, null, change);
  }

  /** What a limit's own object has stored for all keys. */
  function storedChange(limit: string): Promise<BudgetChange> {
    return runInDurableObject(limiterOf(limit), (_, { storage }) =>
      JSON.parse(storage.sql.exec<{ bounds: string }>("select bounds from change").one().bounds),
    );
  }

  it("since everything was lost in between is told to them by the alarm", async () => {
    await use("http-killed", "acme");
    const { told, held } = untold();
    held("never");
    const changing = change("http-killed", { requests: 1 }).catch(() => undefined);
    await stage.heard("telling never");
    await abortAllDurableObjects();
    await changing;
    told.mockRestore();
    expect(await getKey("http-killed", "acme")).toMatchObject({ requests: 500 });
    expect(await runDurableObjectAlarm(limiterOf("http-killed"))).toBe(true);
    expect(await getKey("http-killed", "acme")).toMatchObject({ requests: 1 });
  });

  it("is told to them although an earlier one was told meanwhile", async () => {
    await use("http-crossed", "acme");
    const { told, held } = untold();
    held("first");
    held("never");
    const first = change("http-crossed", { requests: 1 });
    await stage.heard("telling first");
    const second = change("http-crossed", { tokens: 2 }).catch(() => undefined);
    await expect.poll(() => storedChange("http-crossed")).toEqual({ requests: 1, tokens: 2 });
    stage.open("first");
    await first;
    await stage.heard("telling never");
    await abortAllDurableObjects();
    await second;
    told.mockRestore();
    expect(await runDurableObjectAlarm(limiterOf("http-crossed"))).toBe(true);
    expect(await getKey("http-crossed", "acme")).toMatchObject({ requests: 1, tokens: 2 });
  });
});

describe("a change is refused, and nothing is changed, for", () => {
  afterEach(async () => {
    expect(await getLimit("http-refused")).toEqual({ name: "http-refused", keys: [{ key: "", ...PLAIN, ...IDLE }] });
  });

  it.each(["{", "{a:1}", "undefined"])("a body that is not JSON: 400, `%s`", async (body) => {
    expect(await problemOf(await patch("http-refused", body))).toMatchObject({
      status: 400,
      detail: expect.stringContaining("Expected a JSON body: "),
    });
  });

  it.each(["text/plain", "application/x-www-form-urlencoded"])("a body of type %s: 415", async (type) => {
    expect(await problemOf(await patch("http-refused", { requests: 5 }, type))).toMatchObject({ status: 415 });
  });

  it("a body of more than 10 MiB: 413", async () => {
    const body = { key: "x".repeat(10 * 1024 * 1024), requests: 5 };
    expect(await problemOf(await patch("http-refused", body))).toMatchObject({ status: 413 });
  });

  it.each<[unknown]>([[[{ requests: 5 }]], ["null"], ["5"], ['"requests"'], ["true"]])(
    "a body that is no object: 422, %j",
    async (body) => {
      const detail = 'Expected a JSON object such as { "requests": 500 }';
      expect(await problemOf(await patch("http-refused", body))).toMatchObject({
        status: 422,
        detail,
        errors: [{ pointer: "", detail }],
      });
    },
  );

  it.each<[string, object | string]>([
    ["an empty object", {}],
    ["no body", ""],
    ["a key alone", { key: "acme" }],
  ])("%s: 422, since it names no bound", async (_, body) => {
    const detail = "Expected at least one of requests, tokens, periodMs, concurrency, got none";
    expect(await problemOf(await patch("http-refused", body))).toMatchObject({
      status: 422,
      detail,
      errors: [{ pointer: "", detail }],
    });
  });

  const values = [0, -1, 0.5, "5", null, true, [5], { a: 5 }, 2 ** 53, 1e300];
  const bounds = ["requests", "tokens", "periodMs", "concurrency"];
  it.each(bounds.flatMap((bound) => values.map((value) => [bound, JSON.stringify(value)])))(
    "%s of %s: 422",
    async (bound, value) => {
      const { status, detail, errors } = await problemOf(await patch("http-refused", `{"${bound}":${value}}`));
      expect(status).toBe(422);
      expect(errors).toEqual([{ pointer: `/${bound}`, detail }]);
      expect(detail).toMatch(new RegExp(`^Expected \`${bound}\` to be a whole number of at least 1`));
      expect(detail).toContain(`got ${JSON.stringify(JSON.parse(value as string))}`);
    },
  );

  it("a period of more than a month: 422", async () => {
    const { status, detail } = await problemOf(await patch("http-refused", { periodMs: 31 * 86_400_000 + 1 }));
    expect({ status, detail }).toMatchObject({ status: 422, detail: expect.stringContaining("at most 2678400000") });
  });

  it.each([5, null, ["acme"], {}, "x".repeat(201)])("a key that no node may give: 422, %j", async (key) => {
    const { status, errors } = await problemOf(await patch("http-refused", { key, requests: 5 }));
    expect({ status, errors }).toEqual({
      status: 422,
      errors: [{ pointer: "/key", detail: "Expected `key` to be a string of up to 200 characters" }],
    });
  });

  it.each([
    ["burst", "/burst"],
    ["algorithm", "/algorithm"],
    ["per", "/per"],
    ["a/b~c", "/a~1b~0c"],
    ["__proto__", "/__proto__"],
    ["toString", "/toString"],
  ])("a field that a change does not have: 422, `%s`", async (field, pointer) => {
    const { status, errors } = await problemOf(await patch("http-refused", `{"requests":5,"${field}":5}`));
    const detail = `Expected only requests, tokens, periodMs, concurrency, key, got \`${field}\``;
    expect({ status, errors }).toEqual({ status: 422, errors: [{ pointer, detail }] });
  });

  it("several reasons at once, and it lists them all", async () => {
    const body = { requests: 0, tokens: 5, concurrency: "many", key: 7, model: "mine" };
    const { status, detail, errors } = await problemOf(await patch("http-refused", body));
    expect(status).toBe(422);
    expect(errors?.map(({ pointer }) => pointer)).toEqual(["/requests", "/concurrency", "/key", "/model"]);
    expect(detail).toBe(errors?.[0]?.detail);
  });
});
