import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { describe } from "../core/describe.ts";
import type { Registry } from "../durable/registry.ts";
import type { ItemView, ResultPage, RunView } from "../durable/view.ts";
import { VERSION } from "../version.ts";
import { bearer } from "./auth.ts";
import { events } from "./events.ts";
import { digest, keyedRunId, newRunId } from "./ids.ts";
import { readIdempotencyKey, readInput, readItemQuery, readWaitMs, writeCursor } from "./input.ts";
import type { LimitRoutes } from "./limits.ts";
import { Problem, problemResponse } from "./problem.ts";
import { type RunStub, Runs } from "./runs.ts";

const LARGEST_BODY = 10 * 1024 * 1024;

/** The HTTP API over the flows of a registry. `checkDeclared` throws where the Worker lacks what it must declare. */
export function routes(
  registry: Registry,
  runOf: (id: string) => RunStub,
  limits: LimitRoutes,
  checkDeclared: () => void,
) {
  const runs = new Runs(runOf);
  const limit = bodyLimit({
    maxSize: LARGEST_BODY,
    onError: () => problemResponse(new Problem(413, `Expected a body of at most ${LARGEST_BODY} bytes`)),
  });
  return new Hono()
    .onError((error) => problemResponse(error))
    .notFound((context) => problemResponse(new Problem(404, `There is no ${context.req.method} ${context.req.path}`)))
    .get("/health", (context) => context.json({ ok: true, version: VERSION }))
    .use("*", bearer)
    .use("*", (_, next) => {
      checkDeclared();
      return next();
    })
    .get("/flows", (context) => context.json({ flows: registry.names.map((name) => ({ name })) }))
    .get("/flows/:flow", (context) => {
      const name = flowOf(context, registry);
      const { graph } = registry.make(name);
      return context.json({ ...describe(graph.node(graph.root)), name });
    })
    .post("/flows/:flow/runs", limit, (context) => start(context, registry, runs))
    .get("/runs/:id", async (context) => json(writeRun(await runs.get(context.req.param("id"), (run) => run.view()))))
    .get("/runs/:id/items", async (context) => {
      const query = readItemQuery(context);
      const page = await runs.get(context.req.param("id"), (run) => run.items(query));
      const cursor = JSON.stringify(writeCursor(page.next));
      return json(`{"items":[${page.items.map(writeItem).join(",")}],"cursor":${cursor}}`);
    })
    .get("/runs/:id/results", (context) => results(context, runs))
    .get("/runs/:id/events", (context) => events(context, runs))
    .post("/runs/:id/cancel", (context) => turn(context, runs, "cancel"))
    .post("/runs/:id/pause", (context) => turn(context, runs, "pause"))
    .post("/runs/:id/resume", (context) => turn(context, runs, "resume"))
    .post("/runs/:id/retry", (context) => turn(context, runs, "retry"))
    .delete("/runs/:id", (context) => forget(context, runs))
    .get("/limits", (context) => limits.list(context))
    .get("/limits/:name", (context) => limits.show(context))
    .patch("/limits/:name", limit, (context) => limits.change(context))
    .post("/limits/:name/reset", (context) => limits.reset(context));
}

type Turn = "cancel" | "pause" | "resume" | "retry";

/** Asks something of a run that is not possible in every status. */
async function turn(context: Context, runs: Runs, what: Turn): Promise<Response> {
  const id = context.req.param("id") as string;
  const { view, isDone } = await runs.get(id, async (run, tries) => {
    const turned = await run[what]();
    // Where the answer to an earlier try was lost, that one may have done it.
    return turned && { view: turned.view, isDone: turned.isDone || (tries > 1 && wasDone(what, turned.view)) };
  });
  if (!isDone) throw new Problem(409, refusalOf(what, view));
  return json(writeRun(view), 202);
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
async function forget(context: Context, runs: Runs): Promise<Response> {
  const id = context.req.param("id") as string;
  const { view, isDone } = await runs.get(id, async (run, tries) => {
    const deleted = await run.delete();
    return deleted ? { view: deleted.view, isDone: deleted.isDone } : tries > 1 ? GONE : null;
  });
  if (!isDone)
    throw new Problem(409, `Expected a run that has finished, got one that is ${view?.status}: cancel it first`);
  return new Response(null, { status: 204 });
}

/** What a repeated delete finds whose first answer was lost. */
const GONE = { view: null, isDone: true };

/** The flow that a path names; a problem where there is no such flow. */
function flowOf(context: Context, registry: Registry): string {
  const flow = context.req.param("flow") as string;
  if (registry.has(flow)) return flow;
  throw new Problem(404, `There is no flow \`${flow}\`; there are: ${registry.names.join(", ")}`);
}

async function start(context: Context, registry: Registry, runs: Runs): Promise<Response> {
  const flow = flowOf(context, registry);
  const waitMs = readWaitMs(context);
  const key = readIdempotencyKey(context);
  const input = await readInput(context);
  const id = key === undefined ? newRunId() : await keyedRunId(flow, key);
  const inputDigest = key === undefined ? null : await digest(input);
  const { view, isNew, isSame } = await runs.call(id, (run) => run.start({ id, flow, input, inputDigest }));
  if (!isSame) {
    throw new Problem(
      422,
      `Expected the same body as the first start with this Idempotency-Key, got another; its run is ${id}`,
    );
  }
  const untilMs = Date.now() + waitMs;
  const latest = waitMs > 0 ? ((await runs.call(id, (run) => run.wait(untilMs - Date.now()))) ?? view) : view;
  const response = json(writeRun(latest), waitMs > 0 && latest.finishedAt !== null ? 200 : 202);
  response.headers.set("location", `${context.req.path.replace(/\/flows\/[^/]+\/runs\/?$/, "")}/runs/${id}`);
  if (key !== undefined && !isNew) response.headers.set("idempotent-replayed", "true");
  return response;
}

/** Streams results page by page: neither this Worker nor the run ever holds all of them. */
async function results(context: Context, runs: Runs): Promise<Response> {
  const id = context.req.param("id") as string;
  const node = context.req.query("node") ?? null;
  let page: ResultPage | null = await runs.get(id, (run) => run.results(node, null, 0));
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { step, lines, next } = page as ResultPage;
      page = next === null ? null : await runs.get(id, (run) => run.results(null, step, next));
      if (lines !== "") controller.enqueue(new TextEncoder().encode(lines));
      if (page === null) controller.close();
    },
  });
  return new Response(body, { headers: { "content-type": "application/x-ndjson" } });
}

// Results and outputs are JSON text already, so they are put in as they are.

function writeRun({ output, ...view }: RunView): string {
  return `${JSON.stringify(view).slice(0, -1)},"output":${output ?? "null"}}`;
}

function writeItem({ result, ...item }: ItemView): string {
  return result === undefined ? JSON.stringify(item) : `${JSON.stringify(item).slice(0, -1)},"result":${result}}`;
}

function json(text: string, status = 200): Response {
  return new Response(text, { status, headers: { "content-type": "application/json" } });
}
