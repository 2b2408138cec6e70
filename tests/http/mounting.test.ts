import { createExecutionContext, createMessageBatch, createScheduledController, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { Hono, type MiddlewareHandler } from "hono";
import { basicAuth } from "hono/basic-auth";
import { hc } from "hono/client";
import { HTTPException } from "hono/http-exception";
import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from "vitest";
import { type Routes, type Served, serve } from "../../src/cloudflare.ts";
import { newRunId } from "../../src/http/ids.ts";
import { tasks, workFlows } from "../durable/flows.ts";
import { newStage, type Stage } from "../durable/stage.ts";
import { call, finished, post, ran, start } from "../durable/support.ts";
import worker from "../durable/worker.ts";
import { expectNothingStarted } from "./client.ts";
import { problemOf } from "./problem.ts";

const wasOpen = env.POCKETFLARE_OPEN as string;
const TOKEN = "s3cret-token";

/** From now on only who knows the token may call; or, where there is none, nobody. */
function close(token?: string): void {
  delete env.POCKETFLARE_OPEN;
  if (token !== undefined) env.API_TOKEN = token;
}

let stage: Stage;
beforeEach(() => {
  stage = newStage();
});
afterEach(() => {
  delete env.API_TOKEN;
  env.POCKETFLARE_OPEN = wasOpen;
});

/** A Worker's own app, of which the API is a part. */
const app = new Hono()
  .get("/", (context) => context.text("mine"))
  .get("/jobs/mine", (context) => context.text("mine, before"))
  .route("/jobs", worker.routes)
  .get("/later", (context) => context.text("mine, after"))
  .get("/jobs/later", (context) => context.text("mine, after, below"))
  .get("/jobs/runs-of-mine", (context) => context.text("mine, alike"))
  .get("/throws", () => {
    throw new Error("mine");
  })
  .notFound((context) => context.text("mine, nowhere", 404))
  .onError(({ message }, context) => context.text(`mine, ${message}`, 500));

const JSON_TYPE = { "content-type": "application/json" };
const asked = async (path: string, init: RequestInit = {}) => app.request(path, init);
const textOf = async (path: string) => (await asked(path)).text();
const client = hc<typeof app>("http://mine.test", {
  fetch: (input: RequestInfo | URL, init?: RequestInit) => asked(String(input), init),
}).jobs;

describe("the API mounted in an app", () => {
  it("is found under its path, which its answers name", async () => {
    const body = JSON.stringify({ tasks: tasks(2) });
    const started = await asked("/jobs/flows/work/runs?wait=10", { method: "POST", headers: JSON_TYPE, body });
    const { id } = await started.json<{ id: string }>();
    expect([started.status, started.headers.get("location")]).toEqual([200, `/jobs/runs/${id}`]);
    expect((await asked(started.headers.get("location") as string)).status).toBe(200);
    const cron = await asked("/jobs/crons/fit-of-two/run", { method: "POST" });
    expect(cron.headers.get("location")).toBe(`/jobs/runs/${(await cron.json<{ id: string }>()).id}`);
    expect(await (await asked("/jobs/openapi.json")).json()).toMatchObject({ servers: [{ url: "/jobs" }] });
  });

  it("is found under any path, as deep as it may be", async () => {
    const deep = new Hono().route("/a/flows/b/runs", new Hono().route("/runs", worker.routes));
    const response = await deep.request("/a/flows/b/runs/runs/flows/work/runs", { method: "POST" });
    const { id } = await response.json<{ id: string }>();
    expect(response.headers.get("location")).toBe(`/a/flows/b/runs/runs/runs/${id}`);
    expect((await deep.request(response.headers.get("location") as string)).status).toBe(200);
    const document = await deep.request("/a/flows/b/runs/runs/openapi.json");
    expect(await document.json()).toMatchObject({ servers: [{ url: "/a/flows/b/runs/runs" }] });
  });

  it.each([
    ["/a b", "/a%20b"],
    ["/日本", "/%E6%97%A5%E6%9C%AC"],
    ["/a b/日本", "/a%20b/%E6%97%A5%E6%9C%AC"],
  ])("is found under a path that is written encoded, and its answers are: %s", async (path, base) => {
    const odd = new Hono().route(path, worker.routes);
    const locations = [
      await odd.request(`${base}/flows/work/runs`, { method: "POST" }),
      await odd.request(`${base}/crons/fit-of-two/run`, { method: "POST" }),
    ].map(({ headers }) => headers.get("location") ?? "");
    for (const location of locations) {
      const id = location.slice(`${base}/runs/`.length);
      expect(location).toBe(`${base}/runs/${id}`);
      const found = await odd.request(location);
      expect([found.status, (await found.json<{ id: string }>()).id]).toEqual([200, id]);
    }
    const document = await odd.request(`${base}/openapi.json`);
    expect(await document.json()).toMatchObject({ servers: [{ url: base }] });
  });

  it("answers every route that it has alone, with its own problems", async () => {
    const { id } = await ran("work", { tasks: [] });
    for (const { method, path } of liveRoutes()) {
      if (method === "DELETE") continue;
      const filled = fill(path, { flow: "work", id });
      const [alone, mounted] = [await call(filled, { method }), await asked(`/jobs${filled}`, { method })];
      expect([method, path, mounted.status]).toEqual([method, path, alone.status]);
      expect(mounted.headers.get("content-type")).toBe(alone.headers.get("content-type"));
      await Promise.all([alone.body?.cancel(), mounted.body?.cancel()]);
    }
    const problem = await problemOf(await asked("/jobs/flows/nothing"));
    expect(problem).toMatchObject({ status: 404, detail: expect.stringContaining("There is no flow `nothing`") });
  });

  it("leaves what else there is in the app as it is, whoever may call the API", async () => {
    for (const token of [undefined, TOKEN]) {
      close(token);
      expect((await asked("/jobs/flows")).status).toBe(token === undefined ? 503 : 401);
      expect(await textOf("/")).toBe("mine");
      expect(await textOf("/jobs/mine")).toBe("mine, before");
      expect(await textOf("/later")).toBe("mine, after");
      expect(await textOf("/jobs/later")).toBe("mine, after, below");
      expect(await textOf("/jobs/runs-of-mine")).toBe("mine, alike");
      expect(await textOf("/throws")).toBe("mine, mine");
    }
  });

  it.each(["/jobs", "/jobs/", "/jobs?x=1", "/jobs/?x=1"])("has the page at its path: %s", async (path) => {
    close(TOKEN);
    const [mounted, alone] = [await asked(path), await call("/")];
    expect([mounted.status, mounted.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    expect(mounted.headers.get("content-security-policy")).toMatch(/default-src 'none'/);
    expect(await mounted.text()).toBe(await alone.text());
  });

  it("leaves what there is not to the app", async () => {
    for (const path of ["/jobs/nothing", "/jobs/flows/work/nothing", "/nothing", "/flows", "/jobs/jobs/flows"]) {
      const response = await asked(path);
      expect([path, response.status, await response.text()]).toEqual([path, 404, "mine, nowhere"]);
    }
    const wrongMethod = await asked("/jobs/flows", { method: "PUT" });
    expect([wrongMethod.status, await wrongMethod.text()]).toEqual([404, "mine, nowhere"]);
  });
});

describe("the typed client", () => {
  it("starts, gets, lists, cancels and changes what the API has", async () => {
    const started = await client.flows[":flow"].runs.$post(
      { param: { flow: "narrow" }, query: {}, json: { tasks: tasks(3, { gate: "go" }) } },
      { headers: { "idempotency-key": "typed" } },
    );
    expect(started.status).toBe(202);
    const { id, status } = await started.json();
    expect(status).toBe("queued");
    await stage.heard("start", 2);
    const run = await (await client.runs[":id"].$get({ param: { id } })).json();
    expect(run).toMatchObject({ id, status: "running", items: { total: 3, running: 2 } });
    const query = { limit: "2", status: "running" } as const;
    const items = await (await client.runs[":id"].items.$get({ param: { id }, query })).json();
    expect(items).toMatchObject({ items: [{ index: 0, status: "running" }, { index: 1 }], cursor: null });
    await expect
      .poll(async () => (await (await client.runs.$get({ query: { flow: "narrow", limit: "1" } })).json()).runs)
      .toMatchObject([{ id }]);
    const canceled = await client.runs[":id"].cancel.$post({ param: { id } });
    expect([canceled.status, (await canceled.json()).status]).toEqual([202, "canceled"]);
    const signal = await client.runs[":id"].signals[":name"].$post({ param: { id, name: "late" }, json: [1] });
    expect(signal.status).toBe(409);
    const patched = await client.limits[":name"].$patch({ param: { name: "http-unused" }, json: { requests: 9 } });
    expect(await patched.json()).toMatchObject({ keys: [{ requests: 9 }] });
    await client.limits[":name"].reset.$post({ param: { name: "http-unused" } });
    expect((await client.runs[":id"].$delete({ param: { id } })).status).toBe(204);
    stage.open("go");
  });

  it("knows what is sent and what is answered", () => {
    /** For the compiler alone. */
    const compiles = (_: () => unknown) => undefined;
    const api = hc<Routes>("http://mine.test");
    type Answer<F extends (...options: never[]) => Promise<{ json(): Promise<unknown> }>> = Awaited<
      ReturnType<Awaited<ReturnType<F>>["json"]>
    >;
    type ListedRun = Answer<typeof api.runs.$get>["runs"][number];
    expectTypeOf<ListedRun["finishedAt"]>().toEqualTypeOf<string | null>();
    expectTypeOf<ListedRun>().not.toHaveProperty("output");
    expectTypeOf<Answer<(typeof api.runs)[":id"]["$get"]>["items"]["failed"]>().toEqualTypeOf<number>();
    compiles(() => api.runs.$get({ query: { status: "failed", trigger: "cron", from: "2026-11-23" } }));
    // @ts-expect-error: no run has this status
    compiles(() => api.runs.$get({ query: { status: "done" } }));
    // @ts-expect-error: nothing is started by it
    compiles(() => api.runs.$get({ query: { trigger: "clock" } }));
    // @ts-expect-error: of which run?
    compiles(() => api.runs[":id"].$get({ param: {} }));
    // @ts-expect-error: what a limit is changed to is a number
    compiles(() => api.limits[":name"].$patch({ param: { name: "a" }, json: { requests: "9" } }));
    // @ts-expect-error: there is no such route
    compiles(() => api.nothing.$get());
  });
});

describe("handlers beside the API", () => {
  let served: Served;
  beforeEach(() => {
    served = serve({ flows: { work: workFlows.work }, crons: { "0 6 * * *": { flow: "work" } } });
  });

  it("have their queues to themselves: a batch of others is neither acknowledged nor sent again", async () => {
    const bodies = [{ kind: "mail" }, "text", null, 5, { run: "r", flow: "work", slot: 0 }, [{ run: "r" }]];
    const messages = bodies.map((body, index) => ({ id: String(index), timestamp: new Date(), attempts: 1, body }));
    const batch = createMessageBatch("mails", messages);
    await expectNothingStarted(() => served.queue(batch));
    const result = await getQueueResult(batch, createExecutionContext());
    expect(result).toMatchObject({ ackAll: false, retryBatch: { retry: false }, explicitAcks: [], retryMessages: [] });
  });

  it("have their crons to themselves: nothing is started", async () => {
    for (const cron of ["7 7 7 7 *", "* * * * *", "0 6 * * MON", "", "nonsense"]) {
      const controller = createScheduledController({ cron, scheduledTime: new Date(60_000) });
      await expectNothingStarted(() => served.scheduled(controller));
    }
  });
});

/** The routes of the Worker as it is served; what is for all methods is a middleware. The page has two ways to write its path. */
function liveRoutes(): { method: string; path: string }[] {
  const routes = worker.routes.routes.filter(({ method, path }) => method !== "ALL" && !path.includes("{$}"));
  return [...new Map(routes.map(({ method, path }) => [`${method} ${path}`, { method, path }])).values()];
}

function fill(path: string, known: { [parameter: string]: string } = {}): string {
  return path.replace(/:(\w+)/g, (_, name) => known[name] ?? "unknown");
}

const isOpen = (path: string) => ["/", "/health"].includes(path) || path.startsWith("/webhooks/");
/** Ways to write a path that a router and a middleware may read differently. */
const SPELLINGS: { [name: string]: (path: string) => string } = {
  "as it is": (path) => path,
  "with a slash at its end": (path) => `${path}/`,
  "with two slashes": (path) => `/${path}`,
  "with two slashes inside": (path) => path.replaceAll("/", "//"),
  "in capitals": (path) => path.toUpperCase(),
  "with a letter encoded": (path) => `/%${path.charCodeAt(1).toString(16)}${path.slice(2)}`,
  "with its slashes encoded": (path) => `/${path.slice(1).replaceAll("/", "%2f")}`,
  "encoded twice": (path) => `/%25${path.charCodeAt(1).toString(16)}${path.slice(2)}`,
  "with a line break": (path) => `${path}%0a`,
  "with a line break before": (path) => `/%0a${path}`,
  "with a null": (path) => `${path}%00`,
  "with a semicolon": (path) => `${path};.json`,
  "with a backslash": (path) => `/\\${path}`,
  "below an open one": (path) => `/health/%2e%2e%2f${path.slice(1)}`,
  "below a webhook": (path) => `/webhooks/..%2f${path.slice(1)}`,
  "with a question": (path) => `${path}?token=${TOKEN}&access_token=${TOKEN}`,
};

describe("without the token", () => {
  it.each(Object.entries(SPELLINGS))("no route gives anything, its path written %s", async (_, spell) => {
    const { id } = await start("work", { tasks: [] });
    await finished(id);
    const guarded = liveRoutes().filter(({ path }) => !isOpen(path));
    expect(guarded.length).toBeGreaterThan(20);
    for (const token of [undefined, TOKEN]) {
      close(token);
      for (const { method, path } of guarded) {
        const url = spell(fill(path, { flow: "work", id }));
        await expectForbidden("OPTIONS", url);
        for (const each of method === "GET" ? ["GET", "HEAD"] : [method]) await expectForbidden(each, url);
      }
    }
    env.POCKETFLARE_OPEN = wasOpen;
    delete env.API_TOKEN;
    expect((await call(`/runs/${id}`)).status).toBe(200);
  });

  /** Nobody is told anything, but that a path is none or a delivery is not verified: no data, and no other origin let in. */
  async function expectForbidden(method: string, url: string): Promise<void> {
    const headers = { origin: "https://evil.test", "access-control-request-method": "POST" };
    const response = await call(url, { method, headers, redirect: "manual" });
    const text = await response.text();
    expect([method, url, [401, 503, 404].includes(response.status)]).toEqual([method, url, true]);
    expect(text).not.toMatch(/"(runs|flows|limits|crons|output|paths)":/);
    expect([...response.headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([]);
  }

  it.each([
    [503, undefined],
    [401, TOKEN],
  ] as const)("each route is %i, but what is there for anybody", async (status, token) => {
    close(token);
    for (const { method, path } of liveRoutes()) {
      const response = await call(fill(path, { flow: "work" }), { method });
      const isForbidden = [401, 503].includes(response.status);
      if (isOpen(path)) expect([path, isForbidden]).toEqual([path, false]);
      else expect([path, (await problemOf(response)).status]).toEqual([path, status]);
      const asOwner = await call(fill(path), { method, headers: { authorization: `Bearer ${token ?? ""}` } });
      if (token !== undefined) expect([path, asOwner.status === 401]).toEqual([path, false]);
      await asOwner.body?.cancel();
    }
  });

  it("nobody learns which paths there are, where the API is all that is served", async () => {
    close(TOKEN);
    for (const [method, path] of [
      ["GET", "/nothing"],
      ["POST", "/"],
      ["PUT", "/health"],
      ["GET", "/webhooks"],
      ["GET", "/webhooks/orders"],
      ["OPTIONS", "/health"],
    ] as const) {
      expect([method, path, (await call(path, { method })).status]).toEqual([method, path, 401]);
    }
  });

  it("no other origin is let in, also with it", async () => {
    for (const path of ["/health", "/flows", "/runs"]) {
      const headers = { origin: "https://evil.test" };
      for (const method of ["GET", "OPTIONS", "HEAD"]) {
        const response = await call(path, { method, headers });
        expect(response.headers.get("access-control-allow-origin")).toBeNull();
        await response.body?.cancel();
      }
    }
  });
});

describe("auth of one's own", () => {
  function serving(auth: MiddlewareHandler): (path: string, init?: RequestInit) => Promise<Response> {
    const served = serve({ flows: { work: workFlows.work }, auth });
    return async (path, init) =>
      served.fetch(new Request(`http://mine.test${path}`, init), env, createExecutionContext());
  }

  it("takes the place of the token: who it lets in may call, and no other", async () => {
    close(TOKEN);
    const request = serving((context, next) => {
      if (context.req.header("x-user") === "ada") return next();
      return Promise.resolve(context.json({ who: "are you?" }, 403));
    });
    const refused = await request("/flows");
    expect([refused.status, await refused.json()]).toEqual([403, { who: "are you?" }]);
    expect((await request("/flows", { headers: { authorization: `Bearer ${TOKEN}` } })).status).toBe(403);
    expect((await request("/nothing")).status).toBe(403);
    expect((await request("/flows", { headers: { "x-user": "ada" } })).status).toBe(200);
    expect((await problemOf(await request("/nothing", { headers: { "x-user": "ada" } }))).status).toBe(404);
    expect((await request("/health")).status).toBe(200);
  });

  it("guards every route but those that are for anybody", async () => {
    const request = serving((context) => Promise.resolve(context.text("no", 418)));
    for (const { method, path } of liveRoutes()) {
      const response = await request(fill(path, { flow: "work", id: newRunId() }), { method });
      await response.body?.cancel();
      expect([path, response.status === 418]).toEqual([path, !isOpen(path)]);
    }
  });

  it("may be any of Hono's, whose answer is its own", async () => {
    const request = serving(basicAuth({ username: "ada", password: "lovelace" }));
    const refused = await request("/runs");
    expect([refused.status, refused.headers.get("www-authenticate")]).toEqual([401, 'Basic realm="Secure Area"']);
    expect((await request("/runs", { headers: { authorization: `Basic ${btoa("ada:lovelace")}` } })).status).toBe(200);
  });

  it("is answered as a problem where it throws, and lets nobody in", async () => {
    const refusing = serving(() => {
      throw new HTTPException(402, { message: "pay first" });
    });
    expect(await problemOf(await refusing("/runs"))).toMatchObject({ status: 402, detail: "pay first" });
    const broken = serving(() => Promise.reject(new Error("no such table")));
    expect((await problemOf(await broken("/runs"))).status).toBe(500);
  });

  it("is refused at start-up where it is none", () => {
    for (const auth of [null, "token", true, {}]) {
      expect(() => serve({ flows: {}, auth: auth as never })).toThrow("Expected `auth` to be a Hono middleware");
    }
  });

  it("is the token where nothing else is said", async () => {
    close(TOKEN);
    for (const options of [{}, { auth: undefined as never }]) {
      const served = serve({ flows: { work: workFlows.work }, ...options });
      const response = await served.fetch(new Request("http://mine.test/flows"), env, createExecutionContext());
      expect(response.status).toBe(401);
    }
    expect((await post("/flows/work/runs", { tasks: [] })).status).toBe(401);
  });
});
