import { Cron as Schedule } from "croner";
import { describeType } from "../core/errors.ts";

/** What a cron starts, as `serve` is told it. */
export interface CronEntry {
  /** The flow that is started. */
  flow: string;
  /** The run's input; `scheduledTime` is in ms since 1970. Default: `{ scheduledTime: <ISO 8601 string> }`. */
  input?: (scheduledTime: number) => unknown;
  /** What happens while the run that the last one started goes on: `"skip"` starts none. Default `"allow"`. */
  overlap?: "skip" | "allow";
  /** Default: the flow's name. */
  name?: string;
}

/** The crons of a Worker, by expression: minutes, hours, days of the month, months, weekdays, in UTC. */
export type Crons = { [expression: string]: CronEntry | readonly CronEntry[] };

/** One flow that one expression starts. */
export interface Cron {
  readonly name: string;
  /** With one space between two fields, and else as it was written. */
  readonly expression: string;
  readonly flow: string;
  readonly overlap: "skip" | "allow";
  /** The run's input; `scheduledTime` is in ms since 1970. */
  input(scheduledTime: number): unknown;
}

/** One of the five parts of an expression: what may stand in it alone, and the longest step. */
interface Field {
  name: string;
  value: string;
  /** What may stand in it instead of a list. */
  special?: string;
  longestStep: number;
  examples: string;
}

const WEEKDAY = "(?:SUN|MON|TUE|WED|THU|FRI|SAT)";
const MONTH = "(?:\\d+|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)";

/**
 * What Cloudflare and croner both know, and understand alike. Cloudflare's is written down in
 * https://developers.cloudflare.com/workers/configuration/cron-triggers/ and in its parser, https://github.com/cloudflare/saffron:
 * letters such as `L` must be upper-case, `*` may not be in a list, `L`, `W` and `#` neither, and a range from a greater to a lesser
 * value begins one too early. Croner knows no `5/10` and no `L-3`.
 */
const FIELDS: readonly Field[] = [
  { name: "minutes", value: "\\d+", longestStep: 59, examples: "`*`, `0`, `0,30`, `10-20` or `*/15`" },
  { name: "hours", value: "\\d+", longestStep: 23, examples: "`*`, `6`, `6,18`, `9-17` or `*/4`" },
  {
    name: "days of the month",
    value: "\\d+",
    special: "LW?|\\d+W",
    longestStep: 30,
    examples: "`*`, `1`, `1,15`, `1-7`, `*/2`, `L`, `LW` or `15W`",
  },
  { name: "months", value: MONTH, longestStep: 11, examples: "`*`, `6`, `JAN,JUL`, `MAR-OCT` or `*/3`" },
  {
    name: "weekdays",
    value: WEEKDAY,
    special: `${WEEKDAY}L|${WEEKDAY}#\\d`,
    longestStep: 6,
    examples: "`*`, `SUN`, `MON,THU`, `MON-FRI`, `FRIL` or `MON#1`",
  },
];
const PATTERNS = FIELDS.map(({ value, special }) => {
  const part = `(?:(?:\\*|${value}-${value})/\\d+|${value}(?:-${value})?)`;
  return new RegExp(`^(?:\\*|${part}(?:,${part})*${special ? `|${special}` : ""})$`);
});

const OPTIONS: readonly string[] = ["flow", "input", "overlap", "name"] satisfies (keyof CronEntry)[];
const NAME = /^[\w.-]{1,64}$/;

/** The crons of a Worker. Checks each when it is made, so that a mistake shows at start-up. */
export class CronTable {
  readonly all: readonly Cron[];
  /** What differs between the table and wrangler.toml, a sentence each; empty where the triggers are not known. */
  readonly mismatches: readonly string[];
  readonly #schedules = new Map<string, Schedule>();

  /**
   * Throws for a cron that cannot be meant. `flows` are the names that are registered, `triggers` the expressions in wrangler.toml's
   * `[triggers]`, where the Worker knows them.
   *
   * @example new CronTable({ "0 6 * * MON-FRI": { flow: "digest", overlap: "skip" } }, ["digest"]);
   */
  constructor(crons: Crons, flows: readonly string[], triggers?: readonly string[]) {
    this.all = Object.entries(crons).flatMap(([written, entries]) => {
      const expression = normalized(written);
      this.#schedules.set(keyOf(expression), scheduleOf(expression));
      return listOf(expression, entries).map((entry) => cronOf(expression, entry, flows));
    });
    checkNames(this.all);
    this.mismatches = triggers === undefined ? [] : mismatchesOf(this.all, triggers);
  }

  /** What an expression starts. It may be written with other white space, or with other letters in names. */
  of(expression: string): Cron[] {
    const key = keyOf(expression);
    return this.all.filter((cron) => keyOf(cron.expression) === key);
  }

  named(name: string): Cron | undefined {
    return this.all.find((cron) => cron.name === name);
  }

  /** When a cron fires next, after `nowMs`, in ms since 1970. `null` stands for never, which is after the year 3000. */
  nextMs(cron: Cron, nowMs: number): number | null {
    return this.#scheduleOf(cron).nextRun(new Date(nowMs))?.getTime() ?? null;
  }

  #scheduleOf({ name, expression }: Cron): Schedule {
    const schedule = this.#schedules.get(keyOf(expression));
    if (schedule !== undefined) return schedule;
    throw new RangeError(`Expected a cron of this table, got \`${name}\` with the expression \`${expression}\``);
  }
}

function normalized(expression: string): string {
  return expression.trim().split(/\s+/).join(" ");
}

/** Of names of months and weekdays the case does not matter. */
function keyOf(expression: string): string {
  return normalized(expression).toUpperCase();
}

function scheduleOf(expression: string): Schedule {
  const fields = expression.split(" ");
  if (fields.length !== FIELDS.length) {
    throw new RangeError(
      `Expected a cron to be five fields, \`minutes hours days-of-month months weekdays\`, got \`${expression}\`. Cloudflare knows ` +
        "no seconds and no names such as `@daily`: write `0 0 * * *`",
    );
  }
  FIELDS.forEach((field, at) => {
    checkField(expression, field, PATTERNS[at] as RegExp, fields[at] as string);
  });
  const schedule = read(expression);
  if (schedule.nextRun(new Date(0)) !== null) return schedule;
  throw new RangeError(`Expected cron \`${expression}\` to fire some day, got a date that no year has`);
}

function checkField(expression: string, field: Field, pattern: RegExp, text: string): void {
  const { name, longestStep, examples } = field;
  if (name === "weekdays" && hasNumberOfWeekday(text)) {
    throw new RangeError(
      `Expected the weekdays of cron \`${expression}\` by name, got \`${text}\`: Cloudflare counts them from 1 for Sunday, others ` +
        "from 0. Write SUN-SAT",
    );
  }
  if (!pattern.test(withNames(text))) {
    throw new RangeError(
      `Expected the ${name} of cron \`${expression}\` to be as in ${examples}, got \`${text}\`, which Cloudflare does not know or ` +
        "which cannot be read here",
    );
  }
  if (stepsOf(text).every((step) => step >= 1 && step <= longestStep)) return;
  throw new RangeError(
    `Expected each step of the ${name} of cron \`${expression}\` to be a number from 1 to ${longestStep}, got \`${text}\``,
  );
}

/** Names may be lower-case, other letters not: to Cloudflare `friL` is the last Friday, and `fril` nothing. */
function withNames(text: string): string {
  return text.replace(/[a-z]{3}/gi, (name) => name.toUpperCase());
}

/** Numbers behind `/` and `#` count days, and not from one. */
function hasNumberOfWeekday(text: string): boolean {
  return /\d/.test(text.replace(/[/#]\d+/g, ""));
}

function stepsOf(text: string): number[] {
  return Array.from(text.matchAll(/\/(\d+)/g), ([, step]) => Number(step));
}

/** Croner calls Sunday 1 with `alternativeWeekdays`, as Cloudflare does, so that `SAT-SUN` is a range from 7 to 1 to it too. */
function read(expression: string): Schedule {
  try {
    return new Schedule(expression, { mode: "5-part", utcOffset: 0, alternativeWeekdays: true });
  } catch (error) {
    throw new RangeError(
      `Expected cron \`${expression}\` to have values within each field's bounds, and ranges from a lesser to a greater one, where ` +
        `SUN is the least weekday. ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function listOf(expression: string, entries: CronEntry | readonly CronEntry[]): readonly CronEntry[] {
  const list: readonly CronEntry[] = Array.isArray(entries) ? entries : [entries as CronEntry];
  if (list.length > 0) return list;
  throw new TypeError(`Expected cron \`${expression}\` to start a flow, got an empty array: remove the expression`);
}

function cronOf(expression: string, entry: CronEntry, flows: readonly string[]): Cron {
  checkOptions(expression, entry);
  const { flow, input = timeOf, overlap = "allow", name = flow } = entry;
  if (!flows.includes(flow)) {
    const known = flows.map((known) => `\`${known}\``).join(", ") || "none";
    throw new RangeError(
      `Expected cron \`${expression}\` to start a flow that serve knows, got \`${flow}\`; it knows: ${known}`,
    );
  }
  if (typeof name !== "string" || !NAME.test(name)) {
    throw new RangeError(
      `Expected the name of cron \`${expression}\` of flow \`${flow}\` to be up to 64 letters, digits, dots, dashes or ` +
        `underscores, got \`${name}\`: give it a \`name\``,
    );
  }
  if (overlap !== "skip" && overlap !== "allow") {
    throw new RangeError(
      `Expected \`overlap\` of cron \`${name}\` to be "skip" or "allow", got \`${String(overlap)}\``,
    );
  }
  if (typeof input !== "function") {
    throw new TypeError(
      `Expected \`input\` of cron \`${name}\` to be a function of the scheduled time, got ${describeType(input)}: write ` +
        "`() => input`",
    );
  }
  return { name, expression, flow, overlap, input };
}

/** A misspelt option would be one that does nothing. */
function checkOptions(expression: string, entry: CronEntry): void {
  if (typeof entry !== "object" || entry === null || typeof entry.flow !== "string") {
    const got =
      typeof entry === "object" && entry !== null ? `a flow that is ${describeType(entry.flow)}` : describeType(entry);
    throw new TypeError(`Expected cron \`${expression}\` to be an object such as \`{ flow: "digest" }\`, got ${got}`);
  }
  const unknown = Object.keys(entry).find((key) => !OPTIONS.includes(key));
  if (unknown === undefined) return;
  throw new TypeError(
    `Expected cron \`${expression}\` to have only the options ${OPTIONS.join(", ")}, got \`${unknown}\``,
  );
}

function timeOf(scheduledTime: number): { scheduledTime: string } {
  return { scheduledTime: new Date(scheduledTime).toISOString() };
}

function checkNames(crons: readonly Cron[]): void {
  const seen = new Map<string, Cron>();
  for (const cron of crons) {
    const other = seen.get(cron.name);
    if (other !== undefined) {
      throw new RangeError(
        `Expected each cron to have a name of its own, got \`${cron.name}\` for \`${other.expression}\` and ` +
          `\`${cron.expression}\`: give one a \`name\``,
      );
    }
    seen.set(cron.name, cron);
  }
}

function mismatchesOf(crons: readonly Cron[], triggers: readonly string[]): string[] {
  const byKey = Map.groupBy(crons, ({ expression }) => keyOf(expression));
  const known = new Map(triggers.map((trigger) => [keyOf(trigger), normalized(trigger)]));
  const silent = [...byKey]
    .filter(([key]) => !known.has(key))
    .map(([, [first, ...rest]]) => silentSentence(first as Cron, rest));
  const unanswered = [...known].filter(([key]) => !byKey.has(key)).map(([, trigger]) => unansweredSentence(trigger));
  return [...silent, ...unanswered];
}

function silentSentence(first: Cron, rest: readonly Cron[]): string {
  const flows = [...new Set([first, ...rest].map(({ flow }) => `\`${flow}\``))].join(" and ");
  return `\`${first.expression}\` starts ${flows}, but is not among the crons of wrangler.toml, so it never fires: add it there`;
}

function unansweredSentence(trigger: string): string {
  return `wrangler.toml has the cron \`${trigger}\`, which nothing in serve's \`crons\` answers: a \`scheduled\` handler of your own must`;
}
