import type { Context } from "hono";
import type { BudgetChange } from "../core/budget.ts";
import type { LimitView } from "../durable/limiter.ts";
import type { Limits } from "../durable/limits.ts";
import { callObject } from "./call.ts";
import { readJson } from "./input.ts";
import { Problem } from "./problem.ts";
import { limitChange } from "./schemas.ts";
import { checkBody } from "./valid.ts";

/** The calls that the limit's own object answers. */
export interface LimitPort {
  describe(limit: string): Promise<LimitView>;
  change(limit: string, key: string | null, change: BudgetChange): Promise<LimitView>;
  reset(limit: string): Promise<LimitView>;
}

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
    const { key, ...change } = checkBody(limitChange, await readJson(context));
    return context.json(await this.#call(name, (limit) => limit.change(name, key ?? null, change as BudgetChange)));
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
