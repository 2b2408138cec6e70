import { describeType } from "./errors.ts";

/** How many items of a batch may fail. A batch that says neither tolerates any number. */
export interface Tolerate {
  /** So many. */
  count?: number;
  /** So much of all items, 0 to 100. */
  percentage?: number;
}

/** What a batch does when an item has failed for good. */
export interface FailurePolicy {
  /**
   * `"fail"`, the default: the first failure is the batch's own, as in PocketFlow. `"collect"`: the others go on, and `post` gets an
   * `Outcome` for each.
   */
  onItemError?: "fail" | "collect";
  /**
   * The batch collects failures, and fails once more items have failed than this allows; where both are said, than either allows. As
   * `ToleratedFailureCount` and `ToleratedFailurePercentage` of a Distributed Map do
   * (https://docs.aws.amazon.com/step-functions/latest/dg/maprun-fail-threshold.html). Default: any number may fail.
   */
  tolerate?: Tolerate;
}

/** What became of one item of a batch that collects failures. */
export type Outcome<T = unknown> = { ok: true; value: T } | { ok: false; error: Error };

/** How many may fail, with nothing left to be said. */
export type Tolerance = Required<Tolerate>;

/** What a batch tolerates; `null` where its first failure is its own. */
export function toleranceOf({ onItemError, tolerate }: FailurePolicy): Tolerance | null {
  if (onItemError !== "collect" && tolerate === undefined) return null;
  return { count: tolerate?.count ?? Number.POSITIVE_INFINITY, percentage: tolerate?.percentage ?? 100 };
}

/** How many may fail of so many. */
function mostOf({ count, percentage }: Tolerance, total: number): number {
  // 18.4 % of 375 are 69, and not what floating point makes of them, which is a little less.
  return Math.min(count, Math.floor((percentage * total * (1 + 4 * Number.EPSILON)) / 100));
}

/** Whether more have failed than are tolerated. As many as are tolerated is not more. */
export function isExceeded(tolerance: Tolerance, failed: number, total: number): boolean {
  return failed > mostOf(tolerance, total);
}

/**
 * The error of a batch of which more have failed than it tolerates. `parts` are its "items" or "branches". It names the first that
 * was too many, however many have failed by then.
 */
export function toleranceExceeded(name: string, parts: string, tolerance: Tolerance, total: number): Error {
  const { count, percentage } = tolerance;
  const bounds = [
    ...(Number.isFinite(count) ? [String(count)] : []),
    ...(percentage < 100 ? [`${percentage} %`] : []),
  ].join(" or ");
  const got = mostOf(tolerance, total) + 1;
  const error = new Error(`Expected at most ${bounds} of the ${total} ${parts} of ${name} to fail, got ${got}`);
  error.name = "ToleranceExceededError";
  return error;
}

/** Throws for a policy that cannot be meant, naming the node, the option and what came. */
export function checkFailurePolicy(owner: string, policy: FailurePolicy, isBatch: boolean): void {
  const { onItemError, tolerate } = policy;
  if (onItemError === undefined && tolerate === undefined) return;
  if (!isBatch) {
    throw new TypeError(
      `Expected \`${onItemError === undefined ? "tolerate" : "onItemError"}\` of a batch node or a batch flow, got it of ${owner}, ` +
        "which has no items (a plain node's `execFallback` may give its result)",
    );
  }
  if (onItemError !== undefined && onItemError !== "fail" && onItemError !== "collect") {
    throw new RangeError(
      `Expected \`onItemError\` of ${owner} to be "fail" or "collect", got \`${String(onItemError)}\``,
    );
  }
  if (tolerate !== undefined) checkTolerate(owner, tolerate, onItemError);
}

function checkTolerate(owner: string, tolerate: Tolerate, onItemError: unknown): void {
  if (onItemError === "fail") {
    throw new TypeError(`Expected \`tolerate\` of ${owner} without \`onItemError: "fail"\`, which tolerates nothing`);
  }
  const isObject = typeof tolerate === "object" && tolerate !== null && !Array.isArray(tolerate);
  const unknown = isObject ? Object.keys(tolerate).find((key) => key !== "count" && key !== "percentage") : "";
  if (!isObject || unknown !== undefined) {
    const got = isObject ? `\`${unknown}\`` : describeType(tolerate);
    throw new TypeError(`Expected \`tolerate\` of ${owner} to be \`{ count?, percentage? }\`, got ${got}`);
  }
  const { count, percentage } = tolerate;
  if (count !== undefined && !(Number.isInteger(count) && count >= 0)) {
    throw new RangeError(
      `Expected \`tolerate.count\` of ${owner} to be a whole number, 0 or more, got \`${String(count)}\``,
    );
  }
  if (percentage !== undefined && !(typeof percentage === "number" && percentage >= 0 && percentage <= 100)) {
    throw new RangeError(`Expected \`tolerate.percentage\` of ${owner} to be 0 to 100, got \`${String(percentage)}\``);
  }
}
