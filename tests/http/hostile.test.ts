import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { newRunId } from "../../src/http/ids.ts";
import { tasks } from "../durable/flows.ts";
import { newStage } from "../durable/stage.ts";
import { call, inRun, start } from "../durable/support.ts";
import worker from "../durable/worker.ts";
import { expectNothingStarted } from "./client.ts";
import { type ProblemJson, problemOf } from "./problem.ts";

/** 600 characters, and a mark that there were more. */
const LONGEST_TEXT = 601;
const MOST_ERRORS = 100;
const LARGEST_ANSWER = 200_000;

/** A run that goes on, for calls that are wrong in something else than their id. */
let going: string;
beforeAll(async () => {
  const stage = newStage();
  ({ id: going } = await start("single", { tasks: tasks(1, { gate: "go" }) }));
  await stage.heard("start 0");
});

/** What is stored of it that a call could change. */
let stored: unknown;
const look = () =>
  inRun(going, ({ sql }) => ["run", "signal"].map((table) => sql.exec(`select * from ${table}`).toArray()));
beforeEach(async () => {
  stored = await look();
});

interface Hostile {
  method: string;
  path: string;
  /** Or what makes it, where it may be sent only once. */
  body?: BodyInit | (() => BodyInit);
  headers?: { [name: string]: string };
}

/** Sends it all, and expects a problem each time, of one of these statuses; nothing is started and nothing changed. */
async function refusals(calls: Hostile[], statuses: number[]): Promise<ProblemJson[]> {
  const problems = await expectNothingStarted(async () => {
    const problems: ProblemJson[] = [];
    for (const { method, path, body, headers = {} } of calls) {
      const type = body === undefined ? {} : { "content-type": "application/json" };
      const sent = typeof body === "function" ? body() : body;
      const response = await call(path, { method, headers: { ...type, ...headers }, ...(sent ? { body: sent } : {}) });
      const shown = `${method} ${path.slice(0, 80)} ${response.status}`;
      expect(statuses, shown).toContain(response.status);
      expect((await response.clone().text()).length, shown).toBeLessThan(LARGEST_ANSWER);
      const problem = await problemOf(response);
      const { title, detail, errors = [] } = problem;
      expect(title).not.toBe("");
      expect(detail.length, shown).toBeLessThanOrEqual(LONGEST_TEXT);
      expect(errors.length, shown).toBeLessThanOrEqual(MOST_ERRORS);
      for (const { pointer, detail } of errors) {
        expect(pointer === "" || pointer.startsWith("/"), shown).toBe(true);
        expect(Math.max(pointer.length, detail.length), shown).toBeLessThanOrEqual(LONGEST_TEXT);
      }
      problems.push(problem);
    }
    return problems;
  });
  expect(await look()).toEqual(stored);
  return problems;
}

async function expectRefused(calls: Hostile[], statuses: number[]): Promise<void> {
  await refusals(calls, statuses);
}

/** The calls that take a body, each at something that there is. */
const bodied = (): [method: string, path: string][] => [
  ["POST", "/flows/single/runs"],
  ["POST", "/flows/words%20by%20zod/runs"],
  ["POST", `/runs/${going}/signals/hello`],
  ["PATCH", "/limits/http-unused"],
  ["POST", "/webhooks/custom"],
];
const withBody = (body: Hostile["body"], headers: Hostile["headers"] = {}): Hostile[] =>
  bodied().map(([method, path]) => ({ method, path, headers, ...(body === undefined ? {} : { body }) }));

describe("a body", () => {
  it.each([
    "{",
    "}",
    "nul",
    "{'a':1}",
    '{"a":1,}',
    "\0",
    "\ufeff\ufeff{}",
    "[".repeat(100_000),
    `"${"x".repeat(100_000)}`,
    "NaN",
  ])("that is not JSON is 400: %#", (body) => expectRefused(withBody(body), [400]));

  it("that is no text is 400", () => expectRefused(withBody(new Uint8Array([0xff, 0xfe, 0x00, 0xc3, 0x28])), [400]));

  it("of 50 MB is 413, whether it says so or not", async () => {
    const chunk = new Uint8Array(1024 * 1024).fill(0x20);
    const chunks = () => Array.from({ length: 50 }, () => chunk);
    const all = new Blob(chunks());
    // The pipe is cut when the answer has come: nobody reads what is left of it.
    const unsaid = () => all.stream();
    await expectRefused([...withBody(all), ...withBody(unsaid)], [413]);
  });

  it.each([
    "text/plain",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
    "",
    "json",
    "application/json5",
  ])("of type `%s` is 415", (type) => {
    // What a webhook takes is for its verifier to say.
    const calls = withBody('{"a":1}', { "content-type": type }).filter(({ path }) => !path.startsWith("/webhooks"));
    return expectRefused(calls, [415]);
  });

  it.each([
    ["arrays", (levels: number) => "[".repeat(levels) + "]".repeat(levels)],
    ["objects", (levels: number) => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`],
    ["an object of arrays", (levels: number) => `{"words":${"[".repeat(levels)}${"]".repeat(levels)}}`],
  ])("that is nested 100,000 levels deep is 422: %s", (_, nested) => expectRefused(withBody(nested(100_000)), [422]));

  it.each(['{"__proto__":{"a":1}}', '{"requests":5,"__proto__":null}', '{"tasks":[{"a":{"__proto__":1}}],"words":[]}'])(
    "with the key __proto__ is 422: %s",
    (body) => expectRefused(withBody(body), [422]),
  );

  it.each(["[]", "5", "null", '"text"', "true", "[[]]"])("that is no object is 422, but as a signal: %s", (body) =>
    expectRefused(
      withBody(body).filter(({ path }) => !path.includes("/signals/")),
      [422],
    ),
  );

  it.each([
    '{"constructor":{"prototype":{"requests":1}}}',
    '{"requests":"5"}',
    '{"requests":-1}',
    '{"requests":1e999}',
    '{"requests":9007199254740993}',
    '{"requests":1.5}',
    '{"requests":null}',
    '{"requests":[]}',
    '{"periodMs":{}}',
    '{"key":"a"}',
    '{"key":5,"requests":5}',
    `{"key":"${"k".repeat(100_000)}","requests":5}`,
    '{"toString":1,"requests":5}',
    '{"requests":5,"more":1}',
    "{}",
  ])("that changes a limit to what it cannot be is 422: %#", async (body) => {
    const before = await (await call("/limits/http-unused")).json();
    await expectRefused([{ method: "PATCH", path: "/limits/http-unused", body }], [422]);
    expect(await (await call("/limits/http-unused")).json()).toEqual(before);
  });

  it.each([
    '{"words":"a"}',
    '{"words":[5]}',
    '{"words":{"length":1}}',
    '{"constructor":{"words":[]}}',
    '{"words":[],"most":"3"}',
  ])("that does not fit what its flow takes is 422: %s", (body) =>
    expectRefused([{ method: "POST", path: "/flows/words%20by%20zod/runs", body }], [422]),
  );
});

describe("an error repeats a part of what came, where that is long:", () => {
  const long = (length: number) => "x".repeat(length);
  const LIBRARIES = ["zod", "valibot", "arktype"] as const;
  const words = (library: string, body: object | string) => ({
    method: "POST",
    path: `/flows/words%20by%20${library}/runs`,
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const change = (body: string) => ({ method: "PATCH", path: "/limits/http-unused", body });

  it.each([
    ["text", `"${long(10_000)}"`],
    ["arrays in arrays", "[".repeat(100_000) + "]".repeat(100_000)],
    ["numbers", `[${"5,".repeat(100_000)}5]`],
  ])("what a limit cannot be, %s", async (_, value) => {
    const calls = ["requests", "periodMs", "key"].map((name) => change(`{"${name}":${value}}`));
    const problems = await refusals([...calls, change(`{"requests":5,"more":${value}}`)], [422]);
    for (const { errors } of problems) expect(errors?.length).toBeGreaterThan(0);
  });

  it("the name of what no limit has", async () => {
    const [problem] = await refusals([change(`{"requests":5,"${long(10_000)}":1}`)], [422]);
    expect(problem?.errors?.map(({ pointer }) => pointer)).toEqual([expect.stringMatching(/^\/x{500,}…$/)]);
  });

  it("a content-type", async () => {
    const calls = withBody('{"a":1}', { "content-type": `text/${long(5_000)}` });
    const problems = await refusals(
      calls.filter(({ path }) => !path.startsWith("/webhooks")),
      [415],
    );
    for (const { detail } of problems)
      expect(detail).toMatch(/^Expected a body of type application\/json, got `text\/x/);
  });

  it("a path that leads nowhere", async () => {
    const paths = [`/${long(5_000)}`, `/runs/${going}/${long(5_000)}`, `/${"%F0%9F%92%A9".repeat(1_000)}`];
    const calls = paths.flatMap((path) => ["GET", "POST", "DELETE"].map((method) => ({ method, path })));
    await expectRefused(calls, [404]);
  });

  it.each(LIBRARIES)("a key and a value that do not fit a schema of %s", async (library) => {
    const bodies = [
      { words: [], weights: { [long(10_000)]: long(10_000) } },
      { words: [], most: long(10_000) },
      { words: long(10_000) },
      { words: [], weights: { ["~/".repeat(10_000)]: true } },
    ];
    const problems = await refusals(
      bodies.map((body) => words(library, body)),
      [422],
    );
    const pointers = problems.map(({ errors }) => errors?.map(({ pointer }) => pointer));
    expect(pointers).toEqual([
      [expect.stringMatching(/^\/weights\/x{500,}…$/)],
      ["/most"],
      ["/words"],
      [expect.stringMatching(/^\/weights\/(~0~1){100,}/)],
    ]);
  });

  it("a key of which the schema's own message tells", async () => {
    const path = "/flows/words%2C%20and%20no%20others/runs";
    const body = `{"words":[],"${long(10_000)}":1}`;
    const [problem] = await refusals([{ method: "POST", path, body }], [422]);
    expect(problem?.errors).toEqual([{ pointer: "", detail: expect.stringMatching(/x{500,}…$/) }]);
  });

  it("the first hundred of 100,000 keys that no limit has", async () => {
    const keys = Array.from({ length: 100_000 }, (_, at) => `"unknown ${at}":1`);
    const [problem] = await refusals([change(`{${keys.join(",")}}`), change(`{"requests":5,${keys}}`)], [422]);
    expect(problem?.errors).toHaveLength(MOST_ERRORS);
  });

  it.each(LIBRARIES)("the first hundred of 1,000 items that are wrong, by %s", async (library) => {
    const weights = Array.from({ length: 1_000 }, (_, at) => [`${at} ${long(1_000)}`, long(1_000)]);
    const bodies = [{ words: Array(1_000).fill(5) }, { words: [], weights: Object.fromEntries(weights) }];
    const problems = await refusals(
      bodies.map((body) => words(library, body)),
      [422],
    );
    for (const { errors } of problems) expect(errors).toHaveLength(MOST_ERRORS);
  });

  it("what it says of 200,000 items that are wrong, which a library may not be able to list", async () => {
    const body = `{"words":[${"5,".repeat(199_999)}5]}`;
    const [problem] = await refusals([words("zod", body)], [422]);
    expect(problem?.detail).toMatch(/^The input is not what the flow takes/);
    expect(problem?.errors?.length).toBeGreaterThan(0);
  });
});

/** What no name or id is, as it stands in a path. */
const ODD_NAMES = [
  "x",
  "0",
  "-1",
  "null",
  "undefined",
  "__proto__",
  "constructor",
  "toString",
  "%00",
  "%0a",
  "%0d%0aset-cookie:%20a=b",
  "%2e%2e%2f",
  "..%2f..%2fetc%2fpasswd",
  "..%5c..%5c",
  "%252e%252e%252f",
  "%",
  "%zz",
  "%ff%fe",
  "%F0%9F%92%A9",
  "💩",
  "e\u0301",
  "日本",
  "%20",
  "a%20b",
  "'%20or%201=1%20--",
  "%3Cscript%3E",
  "$%7Bjndi:x%7D",
  "*",
  "{id}",
  "x".repeat(10_000),
  "%F0%9F%92%A9".repeat(1_000),
  "01ARZ3NDEKTSV4RRFFQ69G5FAV",
  "0".repeat(30),
];

/** The routes of the Worker as it is served: what is for all methods is a middleware. */
function routesWith(parameter: string): Hostile[] {
  const routes = worker.routes.routes.filter(({ method, path }) => method !== "ALL" && path.includes(parameter));
  return [...new Map(routes.map(({ method, path }) => [`${method} ${path}`, { method, path }])).values()];
}

const hasBody = ({ method, path }: Hostile) =>
  method === "PATCH" || (method === "POST" && !/(cancel|reset|run|retry)$/.test(path));

describe("a path", () => {
  it.each([":id", ":flow", ":name"])("with an odd name for %s is a 4xx wherever it is", async (parameter) => {
    const routes = routesWith(parameter);
    expect(routes.length).toBeGreaterThan(1);
    for (const route of routes) {
      const calls = ODD_NAMES.map((odd) => {
        const path = route.path.replace(parameter, odd).replace(":id", going).replace(":name", "hello");
        return { method: route.method, path, ...(hasBody(route) ? { body: '{"tasks":[],"requests":5}' } : {}) };
      });
      // Some odd names are good ones for signals.
      const isSignal = parameter === ":name" && route.path.includes("/signals/");
      const refused = isSignal ? calls.filter(({ path }) => !/\/signals\/[\w.-]{1,64}$/.test(path)) : calls;
      // Without a WebSocket, no such route is asked anything, whatever its run.
      await expectRefused(refused, route.path.endsWith("/live") ? [426, 404] : [400, 404]);
    }
  });

  it.each(["going", "unknown"])("after the id of a run leads nowhere: %s", async (known) => {
    const id = known === "going" ? going : newRunId();
    const paths = [
      "/nothing",
      "/items/0",
      "/..%2fcancel",
      "/%2e%2e%2f",
      "/cancel/",
      "//cancel",
      "/CANCEL",
      "/signals",
      "/signals/",
    ];
    const calls = paths.flatMap((path) =>
      ["GET", "POST", "DELETE"].map((method) => ({ method, path: `/runs/${id}${path}` })),
    );
    await expectRefused(calls, [404]);
  });

  it("is no way around what the run's id must be", async () => {
    const paths = [`/runs/${going}%00`, `/runs/%20${going}`, `/runs/${going.toLowerCase()}`, `/runs/${going}%2fitems`];
    await expectRefused(
      paths.flatMap((path) => ["GET", "DELETE"].map((method) => ({ method, path }))),
      [404],
    );
  });

  it.each(["PUT", "PATCH", "PROPFIND"])("is there for no other method: %s", async (method) => {
    const paths = ["/runs", `/runs/${going}`, "/flows", "/flows/single/runs", "/limits", "/crons"];
    await expectRefused(
      paths.map((path) => ({ method, path })),
      [404],
    );
  });
});

describe("a query", () => {
  const long = "x".repeat(10_000);

  it.each(["limit", "cursor", "status"])("with an odd %s is 400", async (name) => {
    const odd = [
      "",
      "x",
      "%00",
      "%",
      "-1",
      "1e9",
      "Infinity",
      "null",
      "[]",
      "{}",
      "1-2-3",
      "💩",
      "__proto__",
      "%27--",
      long,
    ];
    const calls = odd.flatMap((value) => [`/runs?${name}=${value}`, `/runs/${going}/items?${name}=${value}`]);
    await expectRefused(
      calls.map((path) => ({ method: "GET", path })),
      [400],
    );
  });

  it.each(["from", "to", "trigger"])("of runs with an odd %s is 400", async (name) => {
    const odd = ["", "x", "0", "-1", "2026", "2026-99-99", "%00", "💩", "constructor", long];
    await expectRefused(
      odd.map((value) => ({ method: "GET", path: `/runs?${name}=${value}` })),
      [400],
    );
  });

  it("with an odd wait is 400", async () => {
    const odd = ["", "x", "-1", "61", "Infinity", "NaN", "%00", "1,2", "[]", long];
    const body = '{"tasks":[]}';
    await expectRefused(
      odd.map((value) => ({ method: "POST", path: `/flows/single/runs?wait=${value}`, body })),
      [400],
    );
  });

  it("that nobody asked for is passed over, whatever it is", async () => {
    const odd = [
      "?__proto__=1",
      "?constructor=1&toString=2",
      "?limit[]=1",
      "?=",
      "?&&&",
      `?${long}`,
      "?%00=%00",
      "?%=%zz",
    ];
    for (const query of [...odd, `?flow=${long}`, "?flow=%00", "?flow=💩", "?name=__proto__"]) {
      const response = await call(`/runs${query}`);
      expect([query.slice(0, 80), response.status]).toEqual([query.slice(0, 80), 200]);
      await response.body?.cancel();
    }
  });

  it("of a cursor that no page ended with is answered, from its place on", async () => {
    for (const cursor of [`0-${"0".repeat(30)}`, `${"9".repeat(15)}-${"Z".repeat(30)}`]) {
      expect((await call(`/runs?cursor=${cursor}`)).status).toBe(200);
    }
    for (const cursor of ["999999999999999-999999999999999", "999999999999999-0"]) {
      const response = await call(`/runs/${going}/items?cursor=${cursor}`);
      expect([response.status, await response.json()]).toEqual([200, { items: [], cursor: null }]);
    }
  });
});

describe("a header", () => {
  const body = '{"tasks":[]}';
  const path = "/flows/single/runs";

  it.each<[name: string, value: string, statuses: number[]]>([
    ["idempotency-key", "", [400]],
    ["idempotency-key", "k".repeat(256), [400]],
    ["idempotency-key", "k".repeat(8_000), [400]],
    ["callback", "", [422]],
    ["callback", "x", [422]],
    ["callback", "javascript:alert(1)", [422]],
    ["callback", "file:///etc/passwd", [422]],
    ["callback", "http://127.0.0.1/", [422]],
    ["callback", "https://169.254.169.254/latest/meta-data", [422]],
    ["callback", "https://[::1]/", [422]],
    ["callback", "https://localhost/", [422]],
  ])("%s that is odd is refused: %#", (name, value, statuses) =>
    expectRefused([{ method: "POST", path, body, headers: { [name]: value } }], statuses),
  );

  it.each(["", "x", "-1", "1.5", "1e3", "9".repeat(16), "y".repeat(5_000), "1, 2", "0x1"])(
    "last-event-id that is odd is refused: %#",
    (value) =>
      expectRefused([{ method: "GET", path: `/runs/${going}/events`, headers: { "last-event-id": value } }], [400]),
  );
});
