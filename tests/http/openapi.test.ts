import { env } from "cloudflare:workers";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { HonoRequest } from "hono/request";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { newRunId } from "../../src/http/ids.ts";
import { tasks } from "../durable/flows.ts";
import { newStage } from "../durable/stage.ts";
import { call, getRun, ran, runOf, start } from "../durable/support.ts";
import worker from "../durable/worker.ts";

interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  schema: { [key: string]: unknown };
}

interface Operation {
  parameters?: Parameter[];
  requestBody?: { content: object };
  responses: { [status: string]: { content?: { [type: string]: unknown } } };
}

interface Document {
  paths: { [path: string]: { parameters?: Parameter[] } & { [method: string]: Operation } };
  components: { schemas: { [name: string]: unknown } };
}

/** One call of an operation, and what is to come of it. */
interface Sample {
  operation: string;
  /** What the path's parameters stand for. */
  path: { [parameter: string]: string };
  status: number;
  query?: string;
  init?: RequestInit;
}

let document: Document;
beforeAll(async () => {
  const response = await call("/openapi.json");
  expect(response.status).toBe(200);
  document = await response.json();
});
const wasOpen = env.POCKETFLARE_OPEN as string;
afterEach(() => {
  vi.restoreAllMocks();
  delete env.API_TOKEN;
  env.POCKETFLARE_OPEN = wasOpen;
});

/** Every operation of the document, such as `GET /runs/{id}`. */
function operations(): [operation: string, Operation, Parameter[]][] {
  return Object.entries(document.paths).flatMap(([path, { parameters: shared = [], ...methods }]) =>
    Object.entries(methods as { [method: string]: Operation }).map(
      ([method, operation]): [string, Operation, Parameter[]] => [
        `${method.toUpperCase()} ${path}`,
        operation,
        [...shared, ...(operation.parameters ?? [])],
      ],
    ),
  );
}

/** The routes of the Worker as it is served: what is for all methods is a middleware. The page has two ways to write its path. */
function liveRoutes(): string[] {
  const routes = worker.routes.routes.filter(({ method, path }) => method !== "ALL" && !path.includes("{$}"));
  return [...new Set(routes.map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`))];
}

const TOO_LONG = `{"text":"${"x".repeat(10 * 1024 * 1024)}"}`;

const json = (body: unknown, headers: { [name: string]: string } = {}): RequestInit => ({
  headers: { "content-type": "application/json", ...headers },
  body: typeof body === "string" ? body : JSON.stringify(body),
});
/** What opens a WebSocket. */
const socket = (headers: { [name: string]: string } = {}): RequestInit => ({
  headers: { upgrade: "websocket", "sec-websocket-protocol": "pocketflare", ...headers },
});
const text: RequestInit = { headers: { "content-type": "text/plain" }, body: "{}" };

/** A call for every status that the document has, of every operation. Those in which nobody may call are made of these. */
async function samples(): Promise<Sample[]> {
  const unknown = newRunId();
  const [gone, spare] = [await ran("work", { tasks: [] }), await ran("work", { tasks: [] })];
  const going = await start("single", { tasks: tasks(1, { gate: "go" }) });
  const paused = await start("single", { tasks: tasks(1, { gate: "go" }) });
  const canceled = await start("single", { tasks: tasks(1, { gate: "go" }) });
  const failed = await ran("retried", { tasks: [...tasks(2), { n: 9, failures: 9 }] });
  const talked = await ran("emitting alone", { speeches: [{ words: ["one", "two"] }] });
  const sampled: Sample[] = [];
  const sample = (operation: string, path: Sample["path"], status: number, more: Partial<Sample> = {}) =>
    sampled.push({ operation, path, status, ...more });
  const bodies = (operation: string, path: Sample["path"]) => {
    sample(operation, path, 400, { init: json("{") });
    sample(operation, path, 413, { init: json(TOO_LONG) });
    sample(operation, path, 415, { init: text });
  };

  sample("GET /", {}, 200);
  sample("GET /health", {}, 200);
  sample("GET /flows", {}, 200);
  for (const flow of ["stages", "metered", "words by zod", "collecting branches"]) {
    sample("GET /flows/{flow}", { flow }, 200);
  }
  sample("GET /flows/{flow}", { flow: "nothing" }, 404);

  const begin = "POST /flows/{flow}/runs";
  sample(begin, { flow: "work" }, 202, { init: json({ tasks: [] }, { "idempotency-key": "sampled" }) });
  sample(begin, { flow: "work" }, 202, { init: json({ tasks: [] }, { "idempotency-key": "sampled" }) });
  sample(begin, { flow: "stages" }, 200, { init: json({ tasks: tasks(2) }), query: "?wait=20" });
  sample(begin, { flow: "work" }, 200, { init: json({ tasks: tasks(1, { failures: 1 }) }, { prefer: "wait=20" }) });
  bodies(begin, { flow: "work" });
  sample(begin, { flow: "nothing" }, 404, { init: json({}) });
  sample(begin, { flow: "words by zod" }, 422, { init: json({ words: [1] }) });

  sample("GET /runs", {}, 200, { query: "?limit=2" });
  sample("GET /runs", {}, 200, { query: "?status=failed" });
  sample("GET /runs", {}, 400, { query: "?status=done" });
  for (const { id } of [going, paused, failed, spare, { id: await calledBack() }])
    sample("GET /runs/{id}", { id }, 200);
  sample("GET /runs/{id}", { id: unknown }, 404);
  for (const part of ["items", "nodes", "steps", "grid", "errors", "log", "input"]) {
    const [operation, query] = [`GET /runs/{id}/${part}`, part === "grid" ? "?node=AtOnce" : ""];
    for (const { id } of [going, failed, spare, talked]) sample(operation, { id }, 200, { query });
    sample(operation, { id: unknown }, 404, { query });
  }
  sample("GET /runs/{id}/items", { id: spare.id }, 400, { query: "?limit=0" });
  sample("GET /runs/{id}/steps", { id: spare.id }, 400, { query: "?cursor=1-2" });
  sample("GET /runs/{id}/grid", { id: spare.id }, 400);
  sample("GET /runs/{id}/log", { id: spare.id }, 400, { query: "?after=x" });
  const place = "GET /runs/{id}/items/{step}/{index}";
  for (const index of ["0", "1", "2"]) sample(place, { id: failed.id, step: "2", index }, 200);
  sample(place, { id: going.id, step: "2", index: "0" }, 200);
  sample(place, { id: failed.id, step: "2", index: "3" }, 404);
  for (const [operation, path] of [
    ["GET /runs/live", {}],
    ["GET /runs/{id}/live", { id: failed.id }],
  ] as const) {
    sample(operation, path, 101, { init: socket() });
    sample(operation, path, 400, { init: socket({ "sec-websocket-protocol": "mine" }) });
    sample(operation, path, 403, { init: socket({ origin: "https://evil.test" }) });
    sample(operation, path, 426);
  }
  sample("GET /runs/{id}/live", { id: unknown }, 404, { init: socket() });
  sample("GET /runs/{id}/results", { id: failed.id }, 200);
  sample("GET /runs/{id}/results", { id: failed.id }, 200, { query: "?format=csv" });
  sample("GET /runs/{id}/results", { id: failed.id }, 400, { query: "?format=xml" });
  sample("GET /runs/{id}/results", { id: unknown }, 404);
  sample("GET /runs/{id}/events", { id: spare.id }, 200);
  sample("GET /runs/{id}/events", { id: spare.id }, 400, { init: { headers: { "last-event-id": "x" } } });
  sample("GET /runs/{id}/events", { id: unknown }, 404);

  for (const turn of ["pause", "resume", "cancel", "retry"]) {
    const operation = `POST /runs/{id}/${turn}`;
    sample(operation, { id: turn === "retry" ? failed.id : turn === "cancel" ? canceled.id : paused.id }, 202);
    sample(operation, { id: spare.id }, 409);
    sample(operation, { id: unknown }, 404);
  }
  bodies("POST /runs/{id}/retry", { id: spare.id });
  sample("POST /runs/{id}/retry", { id: spare.id }, 422, { init: json({ items: [] }) });
  const signal = "POST /runs/{id}/signals/{name}";
  sample(signal, { id: going.id, name: "go-on" }, 202, { init: json(null) });
  bodies(signal, { id: going.id, name: "go-on" });
  sample(signal, { id: going.id, name: "go on" }, 400, { init: json({}) });
  sample(signal, { id: unknown, name: "go-on" }, 404, { init: json({}) });
  sample(signal, { id: spare.id, name: "go-on" }, 409, { init: json({}) });
  sample(signal, { id: going.id, name: "go-on" }, 422, { init: json('{"__proto__":1}') });
  sample("DELETE /runs/{id}", { id: gone.id }, 204);
  sample("DELETE /runs/{id}", { id: gone.id }, 404);
  sample("DELETE /runs/{id}", { id: going.id }, 409);

  sample("GET /limits", {}, 200);
  sample("GET /limits/{name}", { name: "http-unused" }, 200);
  sample("GET /limits/{name}", { name: "nothing" }, 404);
  const change = "PATCH /limits/{name}";
  sample(change, { name: "http-unused" }, 200, { init: json({ requests: 7, key: "sampled" }) });
  bodies(change, { name: "http-unused" });
  sample(change, { name: "nothing" }, 404, { init: json({ requests: 7 }) });
  sample(change, { name: "http-unused" }, 422, { init: json({ requests: 0, more: 1 }) });
  sample("POST /limits/{name}/reset", { name: "http-unused" }, 200);
  sample("POST /limits/{name}/reset", { name: "nothing" }, 404);

  const runCron = "POST /crons/{name}/run";
  sample(runCron, { name: "fit-of-two" }, 202, { init: { headers: { "idempotency-key": "sampled" } } });
  sample(runCron, { name: "fit-of-two" }, 400, { init: { headers: { "idempotency-key": "k".repeat(256) } } });
  sample(runCron, { name: "nothing" }, 404);
  sample(runCron, { name: "misfit" }, 422);
  sample("GET /crons", {}, 200);

  sample("GET /queue", {}, 200);
  sample("GET /webhooks", {}, 200);
  const deliver = "POST /webhooks/{name}";
  sample(deliver, { name: "custom" }, 202, { init: json({ name: "sampled" }) });
  sample(deliver, { name: "custom" }, 400, { init: json("{") });
  sample(deliver, { name: "orders" }, 401, { init: json({}) });
  sample(deliver, { name: "nothing" }, 404, { init: json({}) });
  sample(deliver, { name: "custom" }, 413, { init: json(TOO_LONG) });
  sample(deliver, { name: "custom" }, 422, { init: json([]) });
  sample(deliver, { name: "no-secret" }, 503, { init: json({}) });
  sample("GET /openapi.json", {}, 200);
  return sampled;
}

/** A run whose callback was tried: not on any network, as its address is one that nothing is sent to. */
async function calledBack(): Promise<string> {
  const id = newRunId();
  const trigger = { type: "webhook", name: "orders" } as const;
  const more = { inputDigest: null, trigger, callback: "http://127.0.0.1/told" };
  await runOf(id).start({ id, flow: "work", input: { tasks: [] }, ...more });
  await expect.poll(async () => (await getRun(id)).callback?.deliveries).toMatchObject([{ tries: 1 }]);
  return id;
}

function ask({ operation, path, query = "", init = {} }: Sample): Promise<Response> {
  const [method, template] = operation.split(" ") as [string, string];
  const filled = template.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(path[name] as string));
  return call(filled + query, { method, ...init });
}

/** What an answer holds; a WebSocket is closed again. */
function bodyOf(response: Response): Promise<string> {
  response.webSocket?.accept();
  response.webSocket?.close(1000);
  return response.text();
}

/** The document's schemas as they are, but that nothing may be there of which they do not know. */
function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, part]) => [key, closed(part)]);
  const isObject = "properties" in value && !("additionalProperties" in value);
  return { ...Object.fromEntries(entries), ...(isObject ? { additionalProperties: false } : {}) };
}

/** What is wrong with the body of an answer, by the document. */
function checker(): (operation: string, response: Response, body: string) => unknown {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats(ajv);
  ajv.addSchema(closed(document) as object, "api");
  return (operation, response, body) => {
    const [method, path] = operation.split(" ") as [string, string];
    const described = document.paths[path]?.[method.toLowerCase()]?.responses[response.status];
    const type = response.headers.get("content-type")?.split(";")[0] ?? null;
    const known = Object.keys(described?.content ?? {});
    expect(known.length > 0 ? known : [null], "the content types").toContain(type);
    if (type === null) return body === "" ? null : "Expected no body";
    if (!type.endsWith("/json") && !type.endsWith("+json")) return null;
    const place = ["paths", path, method.toLowerCase(), "responses", response.status, "content", type, "schema"];
    const pointer = place.map((key) => encodeURIComponent(String(key).replaceAll("~", "~0").replaceAll("/", "~1")));
    const validate = ajv.compile({ $ref: `api#/${pointer.join("/")}` });
    return validate(JSON.parse(body)) ? null : validate.errors;
  };
}

/** What is said elsewhere in the document, or by HTTP itself. */
const OF_HTTP = ["content-type", "authorization", "upgrade", "origin"].map((name) => `header ${name}`);

describe("GET /openapi.json", () => {
  it("describes every route that there is, and no other", () => {
    const described = operations().map(([operation]) => operation);
    expect(described.sort()).toEqual(liveRoutes().sort());
  });

  it("names the parameters of each path", () => {
    for (const [operation, , parameters] of operations()) {
      const inPath = parameters.filter((parameter) => parameter.in === "path").map(({ name }) => name);
      expect(inPath, operation).toEqual(Array.from(operation.matchAll(/\{(\w+)\}/g), ([, name]) => name));
    }
  });

  it("says which calls anybody may make", () => {
    const open = operations().filter(([, operation]) => "security" in operation);
    expect(open.map(([operation]) => operation)).toEqual(["GET /", "GET /health", "POST /webhooks/{name}"]);
  });

  it("says of every call what is answered, which then is: no status, field or type more or less", async () => {
    newStage();
    const faultsOf = checker();
    const answered = new Map<string, Set<string>>(operations().map(([operation]) => [operation, new Set()]));
    const check = async (sample: Sample) => {
      const { operation, status } = sample;
      const response = await ask(sample);
      const body = await bodyOf(response);
      expect([operation, response.status, body.slice(0, 300)]).toEqual([operation, status, expect.anything()]);
      expect([operation, status, faultsOf(operation, response, body)]).toEqual([operation, status, null]);
      answered.get(operation)?.add(String(status));
    };
    const all = await samples();
    for (const sample of all) await check(sample);
    // Nobody may call any more, and then only who knows the token. Webhooks have others who may.
    const guarded = new Map(all.filter(({ operation }) => !isOpen(operation)).map((one) => [one.operation, one]));
    delete env.POCKETFLARE_OPEN;
    for (const sample of guarded.values()) await check({ ...sample, status: 503 });
    env.API_TOKEN = "nobody knows";
    for (const sample of guarded.values()) await check({ ...sample, status: 401 });
    newStage();
    for (const [operation, { responses }] of operations()) {
      expect([operation, ...[...(answered.get(operation) ?? [])].sort()]).toEqual([
        operation,
        ...Object.keys(responses),
      ]);
    }
  }, 30_000);

  it("names every parameter and every header that a call reads, and no other", async () => {
    newStage();
    const read = new Set<string>();
    const { query, header } = HonoRequest.prototype;
    vi.spyOn(HonoRequest.prototype, "query").mockImplementation(function (this: HonoRequest, ...name: never[]) {
      const found = query.apply(this, name as never) as unknown as { [name: string]: string };
      const note = (key: string | symbol) => typeof key === "string" && read.add(`query ${key}`);
      return new Proxy(found, {
        get: (target, key) => [note(key), Reflect.get(target, key)][1],
        has: (target, key) => [note(key), Reflect.has(target, key)][1] as boolean,
      }) as never;
    } as typeof query);
    vi.spyOn(HonoRequest.prototype, "header").mockImplementation(function (this: HonoRequest, ...name: [string]) {
      read.add(`header ${name[0]}`);
      return header.apply(this, name as never);
    } as typeof header);
    const good = new Map((await samples()).reverse().map((sample) => [sample.operation, sample]));
    for (const [operation, , parameters] of operations()) {
      read.clear();
      const sample = good.get(operation) as Sample;
      await bodyOf(await ask(sample));
      const own = [...read].filter((name) => !OF_HTTP.includes(name));
      const described = parameters
        .filter((one) => one.in !== "path")
        .map((one) => `${one.in} ${one.name.toLowerCase()}`);
      expect([operation, ...own.sort()]).toEqual([operation, ...described.sort()]);
    }
    newStage();
  });

  it("says what each parameter may be: what it allows is taken, and what it does not is refused", async () => {
    const { id } = await ran("work", { tasks: [] });
    const ajv = new Ajv2020({ strict: false });
    const given: { [name: string]: string[] } = {
      wait: ["0", "0.01", "60", "-1", "61", "soon"],
      limit: ["1", "1000", "0", "1001", "x"],
      status: ["failed", "running", "canceled", "deferred", "queued", "done"],
      trigger: ["http", "cron", "webhook", "clock"],
      cursor: [`1-${"0".repeat(30)}`, "1-2", "7", "x", ""],
      format: ["ndjson", "csv", "xml", ""],
      after: ["0", "5", "-1", "x"],
      text: ["", "x"],
      error: ["", "x"],
      flow: ["", "work"],
      name: ["", "x"],
      node: ["", "x"],
    };
    // What a time is has no words in the document.
    const unsaid = ["from", "to"];
    for (const [operation, , parameters] of operations()) {
      const queries = parameters.filter((parameter) => parameter.in === "query");
      for (const { name, schema } of queries.filter((one) => !unsaid.includes(one.name))) {
        for (const value of given[name] as string[]) {
          const typed = schema["type"] === "number" && value.trim() !== "" ? Number(value) : value;
          const isAllowed = ajv.validate(schema, Number.isNaN(typed) ? value : typed);
          const sample = { operation, path: { flow: "work", id }, query: `?${name}=${encodeURIComponent(value)}` };
          const init = operation.startsWith("POST") ? json({ tasks: [] }) : {};
          const { status } = await ask({ ...sample, status: 0, init });
          expect([operation, name, value, status < 300]).toEqual([operation, name, value, isAllowed]);
        }
      }
    }
  });

  it("has the path under which the Worker is found", async () => {
    const { servers } = document as unknown as { servers: unknown };
    expect(servers).toEqual([{ url: "/" }]);
  });

  it("takes a body where the document says so, and nowhere else", async () => {
    const takes = operations().filter(([, { requestBody }]) => requestBody);
    const refusing = takes.map(([operation]) => operation).filter((operation) => !isOpen(operation));
    for (const operation of liveRoutes().filter((one) => !one.startsWith("GET") && !isOpen(one))) {
      const path = { flow: "work", id: newRunId(), name: "http-unused" };
      const { status } = await ask({ operation, path, status: 0, init: text });
      expect([operation, status === 415]).toEqual([operation, refusing.includes(operation)]);
    }
  });
});

function isOpen(operation: string): boolean {
  return operation === "GET /" || operation === "GET /health" || operation === "POST /webhooks/{name}";
}
