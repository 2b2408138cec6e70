import type { Context } from "hono";
import { type BudgetChange, faultOf } from "../core/budget.ts";
import type { LimitView } from "../durable/limiter.ts";
import type { Limits } from "../durable/limits.ts";
import { isKey, LONGEST_KEY } from "../durable/needs.ts";
import { callObject } from "./call.ts";
import { readJson } from "./input.ts";
import { type BodyError, Problem } from "./problem.ts";

/** The calls that the limit's own object answers. */
export interface LimitPort {
  describe(limit: string): Promise<LimitView>;
  change(limit: string, key: string | null, change: BudgetChange): Promise<LimitView>;
  reset(limit: string): Promise<LimitView>;
}

const BOUNDS = ["requests", "tokens", "periodMs", "concurrency"] as const;
const FIELDS: readonly string[] = ["key", ...BOUNDS];

/** The limits of a Worker over HTTP. */
export class LimitRoutes {
  readonly #limits: Limits;
  readonly #limitOf: (name: string) => LimitPort;

  constructor(limits: Limits, limitOf: (name: string) => LimitPort) {
    this.#limits = limits;
    this.#limitOf = limitOf;
  }

  async list(context: Context): Promise<Response> {
    const limits = await Promise.all(
      this.#limits.names.map((name) => this.#call(name, (limit) => limit.describe(name))),
    );
    return context.json({ limits });
  }

  async show(context: Context): Promise<Response> {
    const name = this.#name(context);
    return context.json(await this.#call(name, (limit) => limit.describe(name)));
  }

  async change(context: Context): Promise<Response> {
    const name = this.#name(context);
    const { key, ...change } = checkChange(await readJson(context));
    return context.json(await this.#call(name, (limit) => limit.change(name, key ?? null, change)));
  }

  async reset(context: Context): Promise<Response> {
    const name = this.#name(context);
    return context.json(await this.#call(name, (limit) => limit.reset(name)));
  }

  #call(name: string, call: (limit: LimitPort) => Promise<LimitView>): Promise<LimitView> {
    return callObject(() => this.#limitOf(name), call);
  }

  #name(context: Context): string {
    const name = context.req.param("name") as string;
    if (this.#limits.get(name)) return name;
    const known = this.#limits.names.join(", ") || "none";
    throw new Problem(404, `There is no limit \`${name.slice(0, 64)}\`; there are: ${known}`);
  }
}

function checkChange(body: unknown): BudgetChange & { key?: string } {
  const errors = typeof body === "object" && body !== null && !Array.isArray(body) ? faultsOf(body) : [notAnObject()];
  const [first] = errors;
  if (first) throw new Problem(422, first.detail, errors);
  return body as BudgetChange & { key?: string };
}

function faultsOf(body: object): BodyError[] {
  const faults = Object.entries(body).flatMap(([field, value]) => {
    const detail = faultOfField(field, value);
    return detail === undefined ? [] : [{ pointer: `/${field.replaceAll("~", "~0").replaceAll("/", "~1")}`, detail }];
  });
  const isEmpty = BOUNDS.every((bound) => !(bound in body));
  return faults.length === 0 && isEmpty
    ? [{ pointer: "", detail: `Expected at least one of ${BOUNDS.join(", ")}, got none` }]
    : faults;
}

function faultOfField(field: string, value: unknown): string | undefined {
  if (field === "key")
    return isKey(value) ? undefined : `Expected \`key\` to be a string of up to ${LONGEST_KEY} characters`;
  if (BOUNDS.some((bound) => bound === field)) return faultOf(field as keyof BudgetChange, value);
  return `Expected only ${FIELDS.join(", ")}, got \`${field.slice(0, 64)}\``;
}

function notAnObject(): BodyError {
  return { pointer: "", detail: 'Expected a JSON object such as { "requests": 500 }' };
}
