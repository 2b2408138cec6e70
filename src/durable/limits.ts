import { type Budget, budgetOf, type LimitOptions } from "../core/budget.ts";

/** The limits of a Worker, by name. */
export class Limits {
  readonly #budgets: Map<string, Budget>;

  /** Throws for a limit that cannot be meant, so that a mistake shows at start-up. */
  constructor(options: { [name: string]: LimitOptions }) {
    this.#budgets = new Map(Object.entries(options).map(([name, limit]) => [name, budgetOf(name, limit)]));
  }

  get names(): string[] {
    return [...this.#budgets.keys()];
  }

  get(name: string): Budget | undefined {
    return this.#budgets.get(name);
  }
}

/** The name of the object that counts for one key of a limit. The limit's own object, which knows its keys, has the limit's name. */
export function objectNameOf(limit: string, key: string): string {
  return `${limit}/${key}`;
}
