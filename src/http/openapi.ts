import * as v from "valibot";
import type { Registry } from "../durable/registry.ts";
import { VERSION } from "../version.ts";
import { inputSchema, outputSchema } from "./json-schema.ts";
import * as schemas from "./schemas.ts";

type Schema = v.GenericSchema<unknown, unknown>;
type Json = { [key: string]: unknown };

interface Operation {
  summary: string;
  description?: string;
  query?: Schema;
  headers?: { [name: string]: string };
  /** The name of a schema below. */
  body?: keyof typeof BODIES;
  /** By status: the name of a schema below, or what there is instead. */
  answers: { [status: number]: keyof typeof ANSWERS | "page" | "results" | "events" | "socket" | "none" | "document" };
  /** The statuses of problems. */
  problems: readonly number[];
  isOpen?: true;
}

const BODIES = {
  Input: schemas.input,
  LimitChange: schemas.limitChange,
  Redrive: schemas.redrive,
  Anything: null,
} as const;

const ANSWERS = {
  Health: schemas.health,
  FlowList: schemas.flowList,
  Flow: schemas.flow,
  Run: schemas.run,
  RunList: schemas.runList,
  ItemList: schemas.itemList,
  ItemDetail: schemas.itemDetail,
  NodeList: schemas.nodeList,
  Grid: schemas.grid,
  StepList: schemas.stepList,
  ErrorList: schemas.errorList,
  Log: schemas.log,
  RunInput: schemas.input,
  Limit: schemas.limit,
  LimitList: schemas.limitList,
  CronList: schemas.cronList,
  Queue: schemas.queue,
  WebhookList: schemas.webhookList,
  Received: schemas.received,
} as const;

/** What WebSockets tell. */
const NEWS = {
  LiveNews: schemas.liveNews,
  ListNews: v.object({ runs: schemas.runList.entries.runs, removed: v.optional(v.array(v.string())) }),
} as const;

const IDEMPOTENCY_KEY = "What is asked again with the same key is done once.";
const TURN: Pick<Operation, "answers" | "problems"> = { answers: { 202: "Run" }, problems: [404, 409] };

const SOCKET: Pick<Operation, "headers" | "answers"> = {
  headers: { "Sec-WebSocket-Protocol": "`pocketflare`, and with a token also `bearer.` and the token in base64url." },
  answers: { 101: "socket" },
};

/** What can be read in a run, beside itself. */
function reading(summary: string, answer: keyof typeof ANSWERS, query?: Schema): { readonly get: Operation } {
  return {
    get: { summary, answers: { 200: answer }, ...(query ? { query, problems: [400, 404] } : { problems: [404] }) },
  };
}

/** Every call of the API, by path and method. */
const OPERATIONS: { readonly [path: string]: { readonly [method: string]: Operation } } = {
  "/": { get: { summary: "The page, which shows all this", answers: { 200: "page" }, problems: [], isOpen: true } },
  "/health": { get: { summary: "Whether the Worker answers", answers: { 200: "Health" }, problems: [], isOpen: true } },
  "/flows": { get: { summary: "The registered flows", answers: { 200: "FlowList" }, problems: [] } },
  "/flows/{flow}": {
    get: { summary: "A flow: its graph, and the schema of its input", answers: { 200: "Flow" }, problems: [404] },
  },
  "/flows/{flow}/runs": {
    post: {
      summary: "Start a run",
      query: schemas.startQuery,
      headers: {
        "Idempotency-Key": IDEMPOTENCY_KEY,
        Prefer: "`wait=SECONDS`: as the parameter, which wins.",
        Callback: "A URL that is sent a signed Standard Webhooks message when the run has ended.",
      },
      body: "Input",
      answers: { 200: "Run", 202: "Run" },
      problems: [400, 404, 413, 415, 422],
    },
  },
  "/runs": {
    get: {
      summary: "All runs, the newest first",
      query: schemas.runQuery,
      answers: { 200: "RunList" },
      problems: [400],
    },
  },
  "/runs/live": {
    get: {
      summary: "A WebSocket that tells of runs that are new, have changed, or were deleted",
      description: "Each message is a `ListNews`, the first one of no runs. To the text `ping` it answers `pong`.",
      ...SOCKET,
      problems: [400, 403, 426],
    },
  },
  "/runs/{id}": {
    get: { summary: "A run", answers: { 200: "Run" }, problems: [404] },
    delete: { summary: "Forget a finished run", answers: { 204: "none" }, problems: [404, 409] },
  },
  "/runs/{id}/live": {
    get: {
      summary: "A WebSocket that tells what changes in it",
      description:
        "Each message is a `LiveNews`: at first the run and its nodes, then what has changed, every 250 ms at most. To the text " +
        "`ping` it answers `pong`.",
      ...SOCKET,
      problems: [400, 403, 404, 426],
    },
  },
  "/runs/{id}/input": reading("What it was started with", "RunInput"),
  "/runs/{id}/nodes": reading("How far each of its nodes is", "NodeList"),
  "/runs/{id}/steps": reading("Its visits of nodes, in order", "StepList", schemas.stepQuery),
  "/runs/{id}/grid": reading("The statuses of all items of a node", "Grid", schemas.gridQuery),
  "/runs/{id}/items": reading("Its items, in the order of steps and indexes", "ItemList", schemas.itemQuery),
  "/runs/{id}/items/{step}/{index}": reading("An item: what it was given, and how it failed", "ItemDetail"),
  "/runs/{id}/errors": reading("The errors of its failed items, by kind", "ErrorList"),
  "/runs/{id}/log": reading("Its kept events, later than one", "Log", schemas.logQuery),
  "/runs/{id}/results": {
    get: {
      summary: "The results of a batch, in input order",
      query: schemas.resultQuery,
      answers: { 200: "results" },
      problems: [400, 404],
    },
  },
  "/runs/{id}/events": {
    get: {
      summary: "What happens in it, as server-sent events: snapshot, progress, step, item-failed, emit, done",
      headers: { "Last-Event-ID": "The last event that the client had." },
      answers: { 200: "events" },
      problems: [400, 404],
    },
  },
  "/runs/{id}/cancel": { post: { summary: "Start nothing more of it", ...TURN } },
  "/runs/{id}/pause": { post: { summary: "Begin nothing more of it until it is resumed", ...TURN } },
  "/runs/{id}/resume": { post: { summary: "Go on", ...TURN } },
  "/runs/{id}/retry": {
    post: {
      summary: "Execute once more what has failed, or some of its failed items",
      description:
        "Items alone are refused where more have failed beside them than their node tolerates: it would fail again.",
      body: "Redrive",
      answers: { 202: "Run" },
      problems: [400, 404, 409, 413, 415, 422],
    },
  },
  "/runs/{id}/signals/{name}": {
    post: {
      summary: "Send it something that a node waits for, or will",
      headers: { "Idempotency-Key": IDEMPOTENCY_KEY },
      body: "Anything",
      answers: { 202: "Run" },
      problems: [400, 404, 409, 413, 415, 422],
    },
  },
  "/limits": { get: { summary: "All limits and their use", answers: { 200: "LimitList" }, problems: [] } },
  "/limits/{name}": {
    get: { summary: "A limit, by key", answers: { 200: "Limit" }, problems: [404] },
    patch: {
      summary: "Change a limit while runs go on",
      body: "LimitChange",
      answers: { 200: "Limit" },
      problems: [400, 404, 413, 415, 422],
    },
  },
  "/limits/{name}/reset": {
    post: { summary: "Go back to what the code says", answers: { 200: "Limit" }, problems: [404] },
  },
  "/crons": { get: { summary: "The cron table", answers: { 200: "CronList" }, problems: [] } },
  "/crons/{name}/run": {
    post: {
      summary: "Start a cron's run now",
      headers: { "Idempotency-Key": IDEMPOTENCY_KEY },
      answers: { 202: "Run" },
      problems: [400, 404, 422],
    },
  },
  "/queue": {
    get: {
      summary: "What waits on the queue of executors, and what was given up",
      answers: { 200: "Queue" },
      problems: [],
    },
  },
  "/webhooks": { get: { summary: "The webhooks", answers: { 200: "WebhookList" }, problems: [] } },
  "/webhooks/{name}": {
    post: {
      summary: "Take a delivery, which is verified as the webhook says",
      body: "Anything",
      answers: { 202: "Received" },
      problems: [400, 401, 404, 413, 422, 503],
      isOpen: true,
    },
  },
  "/openapi.json": { get: { summary: "This document", answers: { 200: "document" }, problems: [] } },
};

const PROBLEMS: { readonly [status: number]: string } = {
  400: "What was sent cannot be read",
  401: "Not authorized",
  403: "A page of another origin asks",
  404: "There is no such thing",
  409: "Not possible in this status",
  413: "The body is too large",
  415: "The body is of another type",
  422: "What was sent is not valid",
  426: "Not a WebSocket",
  503: "Something is not configured yet",
};

/**
 * The API as an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1), made from the schemas that requests are checked by.
 * `base` is the path under which the routes are mounted.
 */
export function openApi(base: string, registry: Registry): Json {
  const named = { ...BODIES, ...ANSWERS, ...NEWS, Problem: schemas.problem };
  const components = Object.entries(named).map(([name, schema]) => [name, schema ? outputSchema(schema) : {}] as const);
  const inputs = inputSchemas(registry);
  return {
    openapi: "3.1.1",
    info: {
      title: "Pocketflare",
      version: VERSION,
      description: "Flows that survive restarts and keep to rate limits.",
    },
    servers: [{ url: base === "" ? "/" : base }],
    security: [{ token: [] }],
    paths: Object.fromEntries(Object.entries(OPERATIONS).map(([path, methods]) => [path, pathItem(path, methods)])),
    components: {
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
      schemas: { ...Object.fromEntries(components), ...inputs, Input: anyInput(Object.keys(inputs), registry) },
    },
  };
}

/** The schemas that flows have of what they take, each under a name of its own. Names of flows may hold what such names may not. */
function inputSchemas(registry: Registry): { [name: string]: Json } {
  const own = registry.names.map((flow) => inputSchema(registry.inputOf(flow)));
  const named = own.flatMap((schema, at) => {
    if (schema === null) return [];
    const { $schema: _, ...rest } = schema;
    const name = `Input${at + 1}`;
    return [[name, moved(rest, name) as Json] as const];
  });
  return Object.fromEntries(named);
}

/** A schema that is a part of the document now: what it refers to in itself is elsewhere. */
function moved(schema: unknown, name: string): unknown {
  if (Array.isArray(schema)) return schema.map((part) => moved(part, name));
  if (typeof schema !== "object" || schema === null) return schema;
  const entries = Object.entries(schema).map(([key, value]) => {
    const isOwn = key === "$ref" && typeof value === "string" && value.startsWith("#");
    return [key, isOwn ? `#/components/schemas/${name}${value.slice(1)}` : moved(value, name)];
  });
  return Object.fromEntries(entries);
}

/** What flows take: any of their schemas, or any object where one has none. */
function anyInput(names: readonly string[], registry: Registry): Json {
  const isKnown = names.length > 0 && names.length === registry.names.length;
  return isKnown ? { anyOf: names.map(reference) } : outputSchema(schemas.input);
}

function pathItem(path: string, methods: { readonly [method: string]: Operation }): Json {
  const parameters = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => ({
    ...{ name, in: "path", required: true },
    schema: { type: "string" },
  }));
  const operations = Object.entries(methods).map(([method, operation]) => [
    method,
    operationObject(path, method, operation),
  ]);
  return { ...(parameters.length > 0 ? { parameters } : {}), ...Object.fromEntries(operations) };
}

function operationObject(path: string, method: string, operation: Operation): Json {
  const { summary, description, query, headers = {}, body, answers, problems, isOpen } = operation;
  const parameters = [
    ...(query ? queryParameters(query) : []),
    ...Object.entries(headers).map(([name, description]) => ({
      ...{ name, in: "header", description },
      schema: { type: "string" },
    })),
  ];
  const statuses = [...problems, ...(isOpen ? [] : [401, 503])].sort((a, b) => a - b);
  return {
    operationId: operationId(path, method),
    summary,
    ...(description === undefined ? {} : { description }),
    ...(isOpen ? { security: [] } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: { content: { "application/json": { schema: reference(body) } } } } : {}),
    responses: {
      ...Object.fromEntries(Object.entries(answers).map(([status, answer]) => [status, responseObject(answer)])),
      ...Object.fromEntries(statuses.map((status) => [status, problemObject(status)])),
    },
  };
}

function operationId(path: string, method: string): string {
  const words = (path === "/" ? "page" : path).split(/[/{}.]+/).filter(Boolean);
  return [method, ...words.map((word) => word.charAt(0).toUpperCase() + word.slice(1))].join("");
}

function queryParameters(query: Schema): Json[] {
  const { properties = {} } = outputSchema(query) as { properties?: { [name: string]: Json } };
  const { required = [] } = inputSchema(query) as { required?: string[] };
  return Object.entries(properties).map(([name, schema]) => ({
    ...{ name, in: "query" },
    ...(required.includes(name) ? { required: true } : {}),
    schema,
  }));
}

function responseObject(answer: Operation["answers"][number]): Json {
  switch (answer) {
    case "none":
      return { description: "Done" };
    case "page":
      return { description: "HTML", content: { "text/html": { schema: { type: "string" } } } };
    case "socket":
      return { description: "The WebSocket, which speaks the protocol `pocketflare`" };
    case "results":
      return {
        description: "A line for each item",
        content: { "application/x-ndjson": { schema: { type: "string" } }, "text/csv": { schema: { type: "string" } } },
      };
    case "events":
      return {
        description: "Events until the run has ended",
        content: { "text/event-stream": { schema: { type: "string" } } },
      };
    case "document":
      return { description: "An OpenAPI document", content: { "application/json": { schema: { type: "object" } } } };
    default:
      return { description: answer, content: { "application/json": { schema: reference(answer) } } };
  }
}

function problemObject(status: number): Json {
  return {
    description: PROBLEMS[status],
    content: { "application/problem+json": { schema: reference("Problem") } },
  };
}

function reference(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}
