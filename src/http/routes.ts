import { type Context, Hono, type MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { InferInput, InferOutput } from "valibot";
import { describe } from "../core/describe.ts";
import type { Started, Turned } from "../durable/answers.ts";
import type { IndexPage, IndexQuery } from "../durable/index-entry.ts";
import type { Registry } from "../durable/registry.ts";
import type { RunIndexObject } from "../durable/run-index.ts";
import type { ResultPage, RunView } from "../durable/view.ts";
import { VERSION } from "../version.ts";
import { CSV_HEAD, csvOf } from "./csv.ts";
import { events } from "./events.ts";
import {
  readIdempotencyKey,
  readJson,
  readPlace,
  readPreferredWait,
  readRunPlace,
  writePlace,
  writeRunPlace,
} from "./input.ts";
import { inputSchema } from "./json-schema.ts";
import type { LimitRoutes } from "./limits.ts";
import { bearerOfSocket, live } from "./live.ts";
import { openApi } from "./openapi.ts";
import { page } from "./page.ts";
import { Problem, problemResponse } from "./problem.ts";
import type { QueueView } from "./queue.ts";
import type { RunStub, Runs } from "./runs.ts";
import * as schemas from "./schemas.ts";
import { signal } from "./signals.ts";
import type { Starter } from "./starter.ts";
import { checkBody, query, takes } from "./valid.ts";
import { json, writeItem, writeItemDetail, writeLog, writeRun } from "./write.ts";

const LARGEST_BODY = 10 * 1024 * 1024;

export type CronView = InferOutput<typeof schemas.cron>;

export interface CronDoor {
  readonly names: readonly string[];
  /** What differs from wrangler.toml, a sentence each. */
  readonly mismatches: readonly string[];
  list(): Promise<CronView[]>;
  /** Nothing is returned where there is no such cron. */
  runNow(name: string, key: string | null): Promise<Started | null>;
}

export interface WebhookDoor {
  has(name: string): boolean;
  list(): { name: string; flow: string }[];
  receive(name: string, body: Uint8Array, headers: Headers): Promise<RunView>;
}

/** What the routes lead to. */
export interface Doors {
  registry: Registry;
  runs: Runs;
  limits: LimitRoutes;
  starter: Starter;
  crons: CronDoor;
  webhooks: WebhookDoor;
  queue(): Promise<QueueView>;
  /** The list of all runs. */
  list(query: IndexQuery): Promise<IndexPage>;
  /** Calls the object that has the list. */
  watch<T>(call: (index: DurableObjectStub<RunIndexObject>) => Promise<T>): Promise<T>;
  /** Who may call. */
  auth: MiddlewareHandler;
  /** Throws where the Worker lacks what it must declare. */
  checkDeclared(): void;
}

type Run = InferOutput<typeof schemas.run>;
type RunList = InferOutput<typeof schemas.runList>;
type ItemList = InferOutput<typeof schemas.itemList>;
type ItemDetail = InferOutput<typeof schemas.itemDetail>;
type Log = InferOutput<typeof schemas.log>;
type ResultQuery = InferOutput<typeof schemas.resultQuery>;

/** The HTTP API, to be mounted under any path. Only what is there before `auth` may be called by anybody. */
export function routes(doors: Doors) {
  const { registry, runs, limits, crons } = doors;
  const limit = bodyLimit({
    maxSize: LARGEST_BODY,
    onError: () => problemResponse(new Problem(413, `Expected a body of at most ${LARGEST_BODY} bytes`)),
  });
  const declared: MiddlewareHandler = (_, next) => {
    doors.checkDeclared();
    return next();
  };
  return (
    new Hono()
      .onError((error) => problemResponse(error))
      // Mounted under a path it is there with a slash at its end as well.
      .on("GET", ["/", "/:slash{$}"], page)
      .get("/health", (context) => context.json({ ok: true as const, version: VERSION }))
      .post("/webhooks/:name", declared, limit, (context) => receive(context, doors))
      .use("/runs/*", bearerOfSocket)
      .use("/flows/*", doors.auth, declared)
      .use("/runs/*", doors.auth, declared)
      .use("/limits/*", doors.auth, declared)
      .use("/crons/*", doors.auth, declared)
      .use("/openapi.json", doors.auth)
      .get("/flows", (context) => context.json({ flows: registry.names.map((name) => ({ name })) }))
      .get("/flows/:flow", (context) => {
        const name = flowOf(context, registry);
        const { graph } = registry.make(name);
        return context.json({ ...describe(graph.node(graph.root)), name, input: inputSchema(registry.inputOf(name)) });
      })
      .post("/flows/:flow/runs", limit, query(schemas.startQuery), takes<Record<string, unknown>>(), (context) =>
        start(context, doors, context.req.valid("query").wait),
      )
      .get("/runs", query(schemas.runQuery), async (context) => {
        const {
          flow = null,
          status = null,
          trigger = null,
          name = null,
          from,
          to,
          limit,
          cursor,
        } = context.req.valid("query");
        const { runs, next } = await doors.list({
          ...{ flow, status, trigger, triggerName: name, limit: Math.floor(limit), after: readRunPlace(cursor) },
          fromMs: from === undefined ? null : Date.parse(from),
          toMs: to === undefined ? null : Date.parse(to),
        });
        return json<RunList>(`{"runs":[${runs.join(",")}],"cursor":${JSON.stringify(writeRunPlace(next))}}`);
      })
      .get("/runs/live", (context) => live(context, doors.watch))
      .get("/runs/:id", async (context) =>
        json<Run>(writeRun(await runs.get(context.req.param("id"), (run) => run.view()))),
      )
      .get("/runs/:id/items", query(schemas.itemQuery), async (context) => {
        const { status = null, node = null, error = null, text = null, limit, cursor } = context.req.valid("query");
        const wanted = { status, node, error, text, limit: Math.floor(limit), from: readPlace(cursor) };
        const { items, next } = await runs.get(context.req.param("id"), (run) => run.items(wanted));
        return json<ItemList>(
          `{"items":[${items.map(writeItem).join(",")}],"cursor":${JSON.stringify(writePlace(next))}}`,
        );
      })
      .get("/runs/:id/items/:step/:index", (context) => item(context, runs))
      .get("/runs/:id/nodes", async (context) =>
        context.json({ nodes: await runs.get(context.req.param("id"), (run) => run.nodes()) }),
      )
      .get("/runs/:id/grid", query(schemas.gridQuery), async (context) => {
        const { node } = context.req.valid("query");
        return context.json(await runs.get(context.req.param("id"), (run) => run.grid(node)));
      })
      .get("/runs/:id/steps", query(schemas.stepQuery), async (context) => {
        const { limit, cursor = "0" } = context.req.valid("query");
        const id = context.req.param("id");
        const { steps, next } = await runs.get(id, (run) => run.steps(Number(cursor), Math.floor(limit)));
        return context.json({ steps, cursor: next === null ? null : String(next) });
      })
      .get("/runs/:id/errors", async (context) =>
        context.json(await runs.get(context.req.param("id"), (run) => run.errors())),
      )
      .get("/runs/:id/log", query(schemas.logQuery), async (context) => {
        const { after } = context.req.valid("query");
        const events = await runs.get(context.req.param("id"), (run) => run.log(Math.floor(after)));
        return json<Log>(writeLog(events, Math.floor(after)));
      })
      .get("/runs/:id/input", (context) => input(context, runs))
      .get("/runs/:id/live", (context) => live(context, (open) => runs.get(context.req.param("id"), open)))
      .get("/runs/:id/results", query(schemas.resultQuery), (context) =>
        results(context.req.param("id"), context.req.valid("query"), runs),
      )
      .get("/runs/:id/events", (context) => events(context, runs))
      .post("/runs/:id/cancel", (context) => turn(context, runs, "cancel"))
      .post("/runs/:id/pause", (context) => turn(context, runs, "pause"))
      .post("/runs/:id/resume", (context) => turn(context, runs, "resume"))
      .post("/runs/:id/retry", limit, takes<InferInput<typeof schemas.redrive>>(), (context) => retry(context, runs))
      .post("/runs/:id/signals/:name", limit, takes<unknown>(), (context) => signal(context, runs))
      .delete("/runs/:id", (context) => forget(context, runs))
      .get("/limits", (context) => limits.list(context))
      .get("/limits/:name", (context) => limits.show(context))
      .patch("/limits/:name", limit, takes<InferOutput<typeof schemas.limitChange>>(), (context) =>
        limits.change(context),
      )
      .post("/limits/:name/reset", (context) => limits.reset(context))
      .get("/queue", doors.auth, declared, async (context) => context.json(await doors.queue()))
      .get("/webhooks", doors.auth, declared, (context) => context.json({ webhooks: doors.webhooks.list() }))
      .get("/crons", async (context) => context.json({ crons: await crons.list(), mismatches: [...crons.mismatches] }))
      .post("/crons/:name/run", (context) => runCron(context, crons))
      .get("/openapi.json", (context) => context.json(openApi(baseOf(context, "/openapi.json"), registry)))
  );
}

/** One item, with what it was given and what it has behind it. */
async function item(context: Context, runs: Runs) {
  const { id, step, index } = context.req.param() as { id: string; step: string; index: string };
  const isPlace = [step, index].every((each) => /^\d{1,15}$/.test(each));
  const { item } = isPlace ? await runs.get(id, (run) => run.item(Number(step), Number(index))) : NO_ITEM;
  if (item) return json<ItemDetail>(writeItemDetail(item));
  throw new Problem(
    404,
    `There is no item ${index.slice(0, 20)} in a step ${step.slice(0, 20)} of run ${id.slice(0, 64)}`,
  );
}

const NO_ITEM = { item: null };

/** What a run was started with. */
async function input(context: Context, runs: Runs) {
  const id = context.req.param("id") as string;
  const { text } = await runs.get(id, (run) => run.input());
  if (text !== null) return json<Record<string, unknown>>(text);
  throw new Problem(404, `The input of run ${id} was not kept: a version before 0.1 has started it`);
}

type Turn = "cancel" | "pause" | "resume" | "retry";

/** Asks something of a run that is not possible in every status. */
async function turn(
  context: Context,
  runs: Runs,
  what: Turn,
  ask: (run: RunStub) => Promise<Turned | null> = (run) => run[what](),
) {
  const id = context.req.param("id") as string;
  const { view, isDone, refusal } = await runs.get(id, async (run, tries) => {
    const turned = await ask(run);
    // Where the answer to an earlier try was lost, that one may have done it.
    return turned && { ...turned, isDone: turned.isDone || (tries > 1 && wasDone(what, turned.view)) };
  });
  if (!isDone) throw new Problem(409, refusal ?? refusalOf(what, view));
  return json<Run, 202>(writeRun(view), 202);
}

/** Takes a finished run up again, with all that has failed or some of its items. */
async function retry(context: Context, runs: Runs) {
  const { items = null } = checkBody(schemas.redrive, await readJson(context));
  return turn(context, runs, "retry", (run) => run.retry(items));
}

function wasDone(what: Turn, { status, redriveCount, finishedAt }: RunView): boolean {
  if (what === "cancel") return status === "canceled";
  return what === "retry" && redriveCount > 0 && finishedAt === null;
}

function refusalOf(what: Turn, { status, error }: RunView): string {
  if (what === "resume" && error !== null && status === "paused") return error.message;
  if (what !== "retry") return `Expected a run that goes on, got one that is ${status}`;
  const got = status === "completed" ? "completed, and nothing in it has failed" : status;
  return `Expected a run that has failed, was canceled, or has failed items, got one that is ${got}`;
}

/** Deletes a finished run. */
async function forget(context: Context, runs: Runs) {
  const id = context.req.param("id") as string;
  const { view, isDone } = await runs.get(id, async (run, tries) => {
    const deleted = await run.delete();
    return deleted ? { view: deleted.view, isDone: deleted.isDone } : tries > 1 ? GONE : null;
  });
  if (!isDone)
    throw new Problem(409, `Expected a run that has finished, got one that is ${view?.status}: cancel it first`);
  return context.body(null, 204);
}

/** What a repeated delete finds whose first answer was lost. */
const GONE = { view: null, isDone: true };

/** The flow that a path names; a problem where there is no such flow. */
function flowOf(context: Context, registry: Registry): string {
  const flow = context.req.param("flow") as string;
  if (registry.has(flow)) return flow;
  throw new Problem(404, `There is no flow \`${flow.slice(0, 64)}\`; there are: ${registry.names.join(", ")}`);
}

/** The path under which the routes are mounted. */
function baseOf(context: Context, route: string | RegExp): string {
  // As it was written: the path that Hono tells is decoded.
  return new URL(context.req.url).pathname.replace(route, "");
}

async function start(context: Context, { registry, runs, starter }: Doors, wait: number | undefined) {
  const flow = flowOf(context, registry);
  const waitMs = (wait ?? readPreferredWait(context)) * 1000;
  const key = readIdempotencyKey(context) ?? null;
  const callback = context.req.header("callback") ?? null;
  const input = await readJson(context);
  const { view, isNew, isSame } = await starter.start({
    ...{ flow, input, key, callback },
    trigger: { type: "http", name: null },
  });
  const { id } = view;
  if (!isSame) {
    throw new Problem(
      422,
      `Expected the same body as the first start with this Idempotency-Key, got another; its run is ${id}`,
    );
  }
  const untilMs = Date.now() + waitMs;
  const latest = waitMs > 0 ? ((await runs.call(id, (run) => run.wait(untilMs - Date.now()))) ?? view) : view;
  const response = json<Run, 200 | 202>(writeRun(latest), waitMs > 0 && latest.finishedAt !== null ? 200 : 202);
  response.headers.set("location", `${baseOf(context, /\/flows\/[^/]+\/runs\/?$/)}/runs/${id}`);
  if (key !== null && !isNew) response.headers.set("idempotent-replayed", "true");
  return response;
}

async function receive(context: Context, { webhooks }: Doors) {
  const name = context.req.param("name") as string;
  if (!webhooks.has(name)) throw new Problem(404, `There is no webhook \`${name.slice(0, 64)}\``);
  const body = new Uint8Array(await context.req.arrayBuffer());
  const view = await webhooks.receive(name, body, context.req.raw.headers);
  return json<{ run: Run }, 202>(`{"run":${writeRun(view)}}`, 202);
}

async function runCron(context: Context, crons: CronDoor) {
  const name = context.req.param("name") as string;
  const key = readIdempotencyKey(context) ?? null;
  const started = await crons.runNow(name, key);
  if (!started) {
    const known = crons.names.join(", ") || "none";
    throw new Problem(404, `There is no cron \`${name.slice(0, 64)}\`; there are: ${known}`);
  }
  const { view, isNew } = started;
  const response = json<Run, 202>(writeRun(view), 202);
  response.headers.set("location", `${baseOf(context, /\/crons\/[^/]+\/run\/?$/)}/runs/${view.id}`);
  if (key !== null && !isNew) response.headers.set("idempotent-replayed", "true");
  return response;
}

/** Streams results page by page: neither this Worker nor the run ever holds all of them. */
async function results(id: string, { node, format }: ResultQuery, runs: Runs): Promise<Response> {
  let page: ResultPage | null = await runs.get(id, (run: RunStub) => run.results(node ?? null, null, 0));
  const isCsv = format === "csv";
  let head = isCsv ? CSV_HEAD : "";
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { step, lines, next } = page as ResultPage;
      page = next === null ? null : await runs.get(id, (run) => run.results(null, step, next));
      const text = head + (isCsv ? csvOf(lines) : lines);
      head = "";
      if (text !== "") controller.enqueue(new TextEncoder().encode(text));
      if (page === null) controller.close();
    },
  });
  return new Response(body, {
    headers: { "content-type": isCsv ? "text/csv; charset=utf-8" : "application/x-ndjson" },
  });
}
