import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Cron, type CronEntry, type Crons, CronTable } from "../../src/triggers/cron-table.ts";

const RUNS = { numRuns: 300 };
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const FLOWS = ["digest", "report"];

const tableOf = (crons: unknown, triggers?: string[]) => new CronTable(crons as Crons, FLOWS, triggers);
const only = (expression: string) => tableOf({ [expression]: { flow: "digest" } });
const first = (table: CronTable) => table.all[0] as Cron;
const at = (text: string) => Date.parse(`${text}Z`);

function nextOf(expression: string, nowMs: number): number {
  const table = only(expression);
  return table.nextMs(first(table), nowMs) as number;
}

describe("a table of crons", () => {
  it("tells what each expression starts", () => {
    const table = tableOf({
      "0 6 * * MON-FRI": { flow: "digest", overlap: "skip" },
      "0 0 1 * *": [{ flow: "report" }, { flow: "report", name: "report-2.b_c", input: () => "all" }],
    });
    expect(table.all).toEqual([
      { name: "digest", expression: "0 6 * * MON-FRI", flow: "digest", overlap: "skip", input: expect.any(Function) },
      { name: "report", expression: "0 0 1 * *", flow: "report", overlap: "allow", input: expect.any(Function) },
      { name: "report-2.b_c", expression: "0 0 1 * *", flow: "report", overlap: "allow", input: expect.any(Function) },
    ]);
    expect(table.of("0 6 * * MON-FRI")).toEqual([table.all[0]]);
    expect(table.of("0 0 1 * *")).toEqual([table.all[1], table.all[2]]);
    expect(table.of("0 0 2 * *")).toEqual([]);
    expect(table.named("report")).toBe(table.all[1]);
    expect(table.named("toString")).toBeUndefined();
  });

  it("may be empty", () => {
    const table = tableOf({}, []);
    expect([table.all, table.mismatches, table.of("* * * * *"), table.named("digest")]).toEqual([
      [],
      [],
      [],
      undefined,
    ]);
  });

  it("makes a run's input from the time, by default as text", () => {
    const table = tableOf({
      "0 6 * * *": { flow: "digest" },
      "0 7 * * *": { flow: "report", input: (ms: number) => ({ ms }) },
    });
    expect(table.named("digest")?.input(at("2026-11-20T06:00"))).toEqual({ scheduledTime: "2026-11-20T06:00:00.000Z" });
    expect(table.named("report")?.input(5)).toEqual({ ms: 5 });
  });

  it("takes undefined for what is not told", () => {
    const table = tableOf({ "0 6 * * *": { flow: "digest", input: undefined, overlap: undefined, name: undefined } });
    expect(first(table)).toMatchObject({ name: "digest", overlap: "allow" });
    expect(first(table).input(0)).toEqual({ scheduledTime: "1970-01-01T00:00:00.000Z" });
  });

  it("takes expressions for the same that differ in white space, or in the letters of names", () => {
    const table = tableOf({
      "  0 6\t*  * Mon-Fri ": { flow: "digest" },
      "0 6 * * MON-FRI": { flow: "report" },
    });
    expect(table.all.map(({ expression }) => expression)).toEqual(["0 6 * * Mon-Fri", "0 6 * * MON-FRI"]);
    for (const expression of ["0 6 * * MON-FRI", " 0  6 * *\tmon-fri\n"]) {
      expect(table.of(expression).map(({ name }) => name)).toEqual(["digest", "report"]);
    }
    expect(table.nextMs(first(table), at("2026-11-20T06:00"))).toBe(at("2026-11-23T06:00"));
  });
});

describe("what is refused", () => {
  it.each([
    [
      "an unknown flow",
      { flow: "digst" },
      RangeError,
      "to start a flow that serve knows, got `digst`; it knows: `digest`, `report`",
    ],
    [
      "a flow's name of an object",
      { flow: "toString" },
      RangeError,
      "to start a flow that serve knows, got `toString`; it knows: `digest`, `report`",
    ],
    ["no flow", {}, TypeError, 'to be an object such as `{ flow: "digest" }`, got a flow that is undefined'],
    [
      "a flow that is no name",
      { flow: 5 },
      TypeError,
      'to be an object such as `{ flow: "digest" }`, got a flow that is a number',
    ],
    ["null", null, TypeError, 'to be an object such as `{ flow: "digest" }`, got null'],
    ["only a name", "digest", TypeError, 'to be an object such as `{ flow: "digest" }`, got a string'],
    ["a name in a list", ["digest"], TypeError, 'to be an object such as `{ flow: "digest" }`, got a string'],
    ["an empty list", [], TypeError, "to start a flow, got an empty array: remove the expression"],
    [
      "a misspelt option",
      { flow: "digest", overlaps: "skip" },
      TypeError,
      "to have only the options flow, input, overlap, name, got `overlaps`",
    ],
  ])("%s", (_, entry, type, message) => {
    expect(() => tableOf({ " 0 6  * * *": entry })).toThrow(new type(`Expected cron \`0 6 * * *\` ${message}`));
  });

  it("any flow where none is known", () => {
    expect(() => new CronTable({ "0 6 * * *": { flow: "digest" } }, [])).toThrow(
      new RangeError("Expected cron `0 6 * * *` to start a flow that serve knows, got `digest`; it knows: none"),
    );
  });

  it.each(["", "a b", "x".repeat(65), "ü", "a/b", "a\n", 5, null])("%o as a name", (name) => {
    expect(() => tableOf({ "0 6 * * *": { flow: "digest", name } })).toThrow(
      new RangeError(
        "Expected the name of cron `0 6 * * *` of flow `digest` to be up to 64 letters, digits, dots, dashes or underscores, got " +
          `\`${name}\`: give it a \`name\``,
      ),
    );
  });

  it.each(["a", "x".repeat(64), "a.b-c_D9"])("but not %s", (name) => {
    expect(tableOf({ "0 6 * * *": { flow: "digest", name } }).named(name)).toBeDefined();
  });

  it("a flow's name as the cron's that cannot be one, until it has another", () => {
    expect(() => new CronTable({ "0 6 * * *": { flow: "my flow" } }, ["my flow"])).toThrow("give it a `name`");
    expect(new CronTable({ "0 6 * * *": { flow: "my flow", name: "mine" } }, ["my flow"]).named("mine")?.flow).toBe(
      "my flow",
    );
  });

  it.each<[string, Crons]>([
    ["of two expressions", { "0 6 * * *": { flow: "digest" }, "0 7 * * *": { flow: "digest" } }],
    [
      "of a flow and another's name",
      { "0 6 * * *": { flow: "digest" }, "0 7 * * *": { flow: "report", name: "digest" } },
    ],
  ])("one name %s", (_, crons) => {
    expect(() => tableOf(crons)).toThrow(
      new RangeError(
        "Expected each cron to have a name of its own, got `digest` for `0 6 * * *` and `0 7 * * *`: give one a `name`",
      ),
    );
  });

  it("one name twice in an expression", () => {
    expect(() => tableOf({ "0 6 * * *": [{ flow: "digest" }, { flow: "digest" }] })).toThrow("give one a `name`");
  });

  it.each(["never", "Skip", "", true, null])("%o as overlap", (overlap) => {
    expect(() => tableOf({ "0 6 * * *": { flow: "digest", overlap } })).toThrow(
      new RangeError(`Expected \`overlap\` of cron \`digest\` to be "skip" or "allow", got \`${overlap}\``),
    );
  });

  it.each([
    [{}, "an object"],
    ["x", "a string"],
    [null, "null"],
  ])("%o as input", (input, got) => {
    expect(() => tableOf({ "0 6 * * *": { flow: "digest", input } })).toThrow(
      new TypeError(
        `Expected \`input\` of cron \`digest\` to be a function of the scheduled time, got ${got}: write \`() => input\``,
      ),
    );
  });
});

describe("an expression", () => {
  it.each(["", "   ", "* * * *", "0 * * * * *", "0 0 0 1 1 * 2030", "@daily", "@reboot", "2026-11-20T06:00:00"])(
    "must have five fields: %o",
    (expression) => {
      expect(() => only(expression)).toThrow(
        new RangeError(
          "Expected a cron to be five fields, `minutes hours days-of-month months weekdays`, got " +
            `\`${expression.trim()}\`. Cloudflare knows no seconds and no names such as \`@daily\`: write \`0 0 * * *\``,
        ),
      );
    },
  );

  it.each(["1", "0", "7", "1-5", "MON-5", "1-FRI", "MON,3", "5L", "6#3", "1/2", "1-5/2", "07"])(
    "must name the weekdays, not number them: %s",
    (weekdays) => {
      expect(() => only(`0 6 * * ${weekdays}`)).toThrow(
        new RangeError(
          `Expected the weekdays of cron \`0 6 * * ${weekdays}\` by name, got \`${weekdays}\`: Cloudflare counts them from 1 for ` +
            "Sunday, others from 0. Write SUN-SAT",
        ),
      );
    },
  );

  it.each([
    ["? * * * *", "minutes", "?"],
    ["a * * * *", "minutes", "a"],
    ["5/10 * * * *", "minutes", "5/10"],
    ["/5 * * * *", "minutes", "/5"],
    ["*/ * * * *", "minutes", "*/"],
    ["*,5 * * * *", "minutes", "*,5"],
    ["5,* * * * *", "minutes", "5,*"],
    ["1, * * * *", "minutes", "1,"],
    ["1,,2 * * * *", "minutes", "1,,2"],
    ["-1 * * * *", "minutes", "-1"],
    ["1-2-3 * * * *", "minutes", "1-2-3"],
    ["1.5 * * * *", "minutes", "1.5"],
    ["0x5 * * * *", "minutes", "0x5"],
    ["１ * * * *", "minutes", "１"],
    ["L * * * *", "minutes", "L"],
    ["0 12W * * *", "hours", "12W"],
    ["0 0 ? * *", "days of the month", "?"],
    ["0 0 l * *", "days of the month", "l"],
    ["0 0 lw * *", "days of the month", "lw"],
    ["0 0 15w * *", "days of the month", "15w"],
    ["0 0 L-3 * *", "days of the month", "L-3"],
    ["0 0 L,15 * *", "days of the month", "L,15"],
    ["0 0 15,L * *", "days of the month", "15,L"],
    ["0 0 1W,15W * *", "days of the month", "1W,15W"],
    ["0 0 WL * *", "days of the month", "WL"],
    ["0 0 MON * *", "days of the month", "MON"],
    ["0 0 * MON *", "months", "MON"],
    ["0 0 * JANUARY *", "months", "JANUARY"],
    ["0 0 * JAN/2 *", "months", "JAN/2"],
    ["0 0 * * ?", "weekdays", "?"],
    ["0 0 * * L", "weekdays", "L"],
    ["0 0 * * fril", "weekdays", "fril"],
    ["0 0 * * MONDAY", "weekdays", "MONDAY"],
    ["0 0 * * JAN", "weekdays", "JAN"],
    ["0 0 * * +MON", "weekdays", "+MON"],
    ["0 0 * * MON#", "weekdays", "MON#"],
    ["0 0 * * MON#1,FRI#1", "weekdays", "MON#1,FRI#1"],
    ["0 0 * * MON,FRIL", "weekdays", "MON,FRIL"],
    ["0 0 * * MON-FRI#1", "weekdays", "MON-FRI#1"],
    ["0 0 * * *#1", "weekdays", "*#1"],
    ["0 0 * * MON/2", "weekdays", "MON/2"],
  ])("%s is refused, naming the %s", (expression, field, text) => {
    expect(() => only(expression)).toThrow(RangeError);
    expect(() => only(expression)).toThrow(`Expected the ${field} of cron \`${expression}\` to be as in \`*\`, `);
    expect(() => only(expression)).toThrow(
      `, got \`${text}\`, which Cloudflare does not know or which cannot be read here`,
    );
  });

  it.each([
    ["*/60 * * * *", "minutes", 59, "*/60"],
    ["*/0 * * * *", "minutes", 59, "*/0"],
    ["0-30/5,*/99 * * * *", "minutes", 59, "0-30/5,*/99"],
    ["0 */24 * * *", "hours", 23, "*/24"],
    ["0 0 */31 * *", "days of the month", 30, "*/31"],
    ["0 0 * */12 *", "months", 11, "*/12"],
    ["0 0 * * */7", "weekdays", 6, "*/7"],
  ])("%s is refused for its step", (expression, field, longest, text) => {
    expect(() => only(expression)).toThrow(
      new RangeError(
        `Expected each step of the ${field} of cron \`${expression}\` to be a number from 1 to ${longest}, got \`${text}\``,
      ),
    );
  });

  it.each(["*/59 * * * *", "0 */23 * * *", "0 0 */30 * *", "0 0 * */11 *", "0 0 * * */6"])(
    "%s is allowed",
    (expression) => {
      expect(() => only(expression)).not.toThrow();
    },
  );

  it.each([
    "60 * * * *",
    "0-60 * * * *",
    "0 24 * * *",
    "0 0 0 * *",
    "0 0 32 * *",
    "0 0 32W * *",
    "0 0 0W * *",
    "0 0 * 0 *",
    "0 0 * 13 *",
    "30-10 * * * *",
    "0 22-2 * * *",
    "0 0 * OCT-FEB *",
    "0 0 * * FRI-SUN",
    "0 0 * * SAT-MON",
    "0 0 * * MON#0",
    "0 0 * * MON#6",
  ])("%s is refused for its values", (expression) => {
    expect(() => only(expression)).toThrow(RangeError);
    expect(() => only(expression)).toThrow(
      `Expected cron \`${expression}\` to have values within each field's bounds, and ranges from a lesser to a greater one, where ` +
        "SUN is the least weekday. CronPattern: ",
    );
  });

  it.each(["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 FEB *", "0 0 30-31 2 *", "0 0 31W 2 *"])(
    "%s is refused: it never fires",
    (expression) => {
      expect(() => only(expression)).toThrow(
        new RangeError(`Expected cron \`${expression}\` to fire some day, got a date that no year has`),
      );
    },
  );

  it.each([
    ["0 0 29 2 *", "2028-02-29T00:00"],
    ["0 0 30 2 MON", "2027-02-01T00:00"],
    ["0 0 * FEB MON#5", "2044-02-29T00:00"],
    ["* * * * *", "2026-11-20T12:01"],
    ["*/30 * * * *", "2026-11-20T12:30"],
    ["45 * * * *", "2026-11-20T12:45"],
    ["0 17 * * sun", "2026-11-22T17:00"],
    ["10 7 * * mon-fri", "2026-11-23T07:10"],
    ["0 15 1 * *", "2026-12-01T15:00"],
    ["0 18 * * friL", "2026-11-27T18:00"],
    ["59 23 LW * *", "2026-11-30T23:59"],
    ["0 0 L * *", "2026-11-30T00:00"],
    ["0 0 15W 11 *", "2027-11-15T00:00"],
    ["0 0 28W * *", "2026-11-27T00:00"],
    ["0 0 * * TUE#1", "2026-12-01T00:00"],
    ["0 0 * * SAT-SAT", "2026-11-21T00:00"],
    ["0 0 * * SUN-SUN", "2026-11-22T00:00"],
    ["0 0 * * SUN", "2026-11-22T00:00"],
    ["0 0 * * SAT", "2026-11-21T00:00"],
    ["0 0 * * MON-SAT/2", "2026-11-23T00:00"],
    ["0 0 13 * FRI", "2026-11-27T00:00"],
    ["0 0 */2 * MON", "2026-11-21T00:00"],
    ["05 06 01 01 *", "2027-01-01T06:05"],
    ["0 12 20 11 *", "2027-11-20T12:00"],
  ])("%s fires next at %s, in UTC", (expression, next) => {
    expect(new Date(nextOf(expression, at("2026-11-20T12:00"))).toISOString()).toBe(`${next}:00.000Z`);
  });
});

const MONTH_NAMES = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAY_NAMES = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/** What Cloudflare's parser makes of an expression (https://github.com/cloudflare/saffron), written once more to compare. */
function fires(expression: string, ms: number): boolean {
  const [minutes = "", hours = "", days = "", months = "", weekdays = ""] = expression.split(" ");
  const date = new Date(ms);
  if (!isIn(minutes, date.getUTCMinutes(), 0, 59) || !isIn(hours, date.getUTCHours(), 0, 23)) return false;
  if (!isIn(months, date.getUTCMonth() + 1, 1, 12)) return false;
  if (days === "*") return isWeekday(weekdays, date);
  return isDayOfMonth(days, date) || (weekdays !== "*" && isWeekday(weekdays, date));
}

function numberOf(text: string): number {
  const name = text.toUpperCase();
  if (MONTH_NAMES.includes(name)) return MONTH_NAMES.indexOf(name) + 1;
  return DAY_NAMES.includes(name) ? DAY_NAMES.indexOf(name) + 1 : Number(text);
}

function isIn(text: string, value: number, least: number, most: number): boolean {
  return text.split(",").some((part) => {
    const [range = "", step = "1"] = part.split("/");
    const [from = "", to = from] = range.split("-");
    const [start, end] = from === "*" ? [least, most] : [numberOf(from), numberOf(to)];
    return value >= start && value <= end && (value - start) % Number(step) === 0;
  });
}

function isDayOfMonth(text: string, date: Date): boolean {
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
  const last = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  if (text === "L") return day === last;
  if (!text.endsWith("W")) return isIn(text, day, 1, 31);
  const wanted = text === "LW" ? last : Number(text.slice(0, -1));
  if (wanted > last) return false;
  const weekday = new Date(Date.UTC(year, month, wanted)).getUTCDay();
  const saturday = text !== "LW" && wanted === 1 ? 3 : wanted - 1;
  const sunday = wanted === last ? wanted - 2 : wanted + 1;
  return day === (weekday === 6 ? saturday : weekday === 0 ? sunday : wanted);
}

function isWeekday(text: string, date: Date): boolean {
  const [weekday, day] = [date.getUTCDay() + 1, date.getUTCDate()];
  const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  const [name = "", nth] = text.split("#");
  if (nth !== undefined) return numberOf(name) === weekday && Math.ceil(day / 7) === Number(nth);
  if (text.endsWith("L")) return numberOf(text.slice(0, -1)) === weekday && day + 7 > last;
  return isIn(text, weekday, 1, 7);
}

function part(least: number, most: number, longestStep: number, write = String as (value: number) => string) {
  const value = fc.integer({ min: least, max: most });
  const step = fc.integer({ min: 1, max: longestStep });
  const range = fc.tuple(value, value).map(([a, b]) => `${write(Math.min(a, b))}-${write(Math.max(a, b))}`);
  return fc.oneof(
    value.map(write),
    range,
    step.map((step) => `*/${step}`),
    fc.tuple(range, step).map(([range, step]) => `${range}/${step}`),
  );
}

function list(parts: fc.Arbitrary<string>, ...more: fc.Arbitrary<string>[]) {
  const several = fc.array(parts, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(","));
  return fc.oneof({ weight: 2, arbitrary: fc.constant("*") }, { weight: 4, arbitrary: several }, ...more);
}

/** A name in one of three spellings. */
const spelt = (names: string[], at: number) => {
  const name = names[at] as string;
  return [name, name.toLowerCase(), `${name[0]}${name.slice(1).toLowerCase()}`][at % 3] as string;
};
const dayName = fc.integer({ min: 0, max: 6 }).map((day) => spelt(DAY_NAMES, day));
const minutes = list(part(0, 59, 59));
const hours = list(part(0, 23, 23));
const daysOfMonth = list(
  part(1, 31, 30),
  fc.constantFrom("L", "LW"),
  fc.integer({ min: 1, max: 31 }).map((day) => `${day}W`),
);
const months = list(
  fc.oneof(
    part(1, 12, 11),
    part(1, 12, 11, (month) => spelt(MONTH_NAMES, month - 1)),
  ),
);
const weekdays = list(
  part(0, 6, 6, (day) => spelt(DAY_NAMES, day)),
  dayName.map((name) => `${name}L`),
  fc.tuple(dayName, fc.integer({ min: 1, max: 5 })).map(([name, nth]) => `${name}#${nth}`),
);
const expressions = fc
  .tuple(minutes, hours, daysOfMonth, months, weekdays)
  .map((fields) => fields.join(" "))
  .filter((expression) => !neverFires(expression));
const times = fc.integer({ min: at("1999-06-01T00:00"), max: at("2101-06-01T00:00") });

function neverFires(expression: string): boolean {
  const [, , days = "", , weekdays] = expression.split(" ");
  if (weekdays !== "*" || days === "*" || days === "L" || days === "LW") return false;
  const midnight = ["0", "0", ...expression.split(" ").slice(2)].join(" ");
  // Four years from a leap year have every date there is.
  return !Array.from({ length: 1461 }, (_, day) => at("2000-01-01T00:00") + day * DAY_MS).some((ms) =>
    fires(midnight, ms),
  );
}

describe("the times of a cron", () => {
  test.prop([expressions, times], RUNS)("are the next after a time", (expression, nowMs) => {
    const table = only(expression);
    const cron = first(table);
    const next = table.nextMs(cron, nowMs) as number;
    expect(next).toBeGreaterThan(nowMs);
    expect(next % MINUTE_MS).toBe(0);
    expect(table.nextMs(cron, next - 1)).toBe(next);
    expect(table.of(expression)).toEqual([cron]);
  });

  test.prop([expressions, times], RUNS)("are those of Cloudflare's parser", (expression, nowMs) => {
    const table = only(expression);
    const cron = first(table);
    const next = table.nextMs(cron, nowMs) as number;
    expect(fires(expression, next)).toBe(true);
    // None is before that: no minute of the two days ahead, and no day at the cron's own minute.
    const start = nowMs - (nowMs % MINUTE_MS) + MINUTE_MS;
    const minutes = Array.from({ length: 2880 }, (_, minute) => start + minute * MINUTE_MS);
    const days = Array.from({ length: 1000 }, (_, day) => next - (day + 1) * DAY_MS);
    const skipped = [...minutes, ...days.map((ms) => ms - (ms % DAY_MS) + (next % DAY_MS))];
    expect(skipped.filter((ms) => ms > nowMs && ms < next && fires(expression, ms))).toEqual([]);
  });

  it("do not depend on the local time, nor on its summer", () => {
    expect(nextOf("30 2 * * *", at("2026-03-29T02:29:59.999"))).toBe(at("2026-03-29T02:30"));
    expect(nextOf("30 2 * * *", at("2026-03-29T02:30"))).toBe(at("2026-03-30T02:30"));
    expect(nextOf("30 2 * * *", at("2026-10-25T02:29:59.999"))).toBe(at("2026-10-25T02:30"));
  });

  it("come after now, and not at it", () => {
    expect(nextOf("0 6 * * *", at("2026-11-20T06:00") - 1)).toBe(at("2026-11-20T06:00"));
    expect(nextOf("0 6 * * *", at("2026-11-20T06:00"))).toBe(at("2026-11-21T06:00"));
  });

  it("end with the year 3000", () => {
    const table = only("0 0 1 1 *");
    expect(table.nextMs(first(table), at("2999-06-01T00:00"))).toBeNull();
  });

  it("are not known of a cron of another table", () => {
    const cron = first(only("0 7 * * *"));
    expect(() => only("0 6 * * *").nextMs(cron, 0)).toThrow(
      new RangeError("Expected a cron of this table, got `digest` with the expression `0 7 * * *`"),
    );
  });
});

describe("what differs from wrangler.toml", () => {
  const crons: { [expression: string]: CronEntry | CronEntry[] } = {
    "0 6 * * MON": { flow: "digest" },
    "0 7 * * *": [{ flow: "report" }, { flow: "digest", name: "late" }, { flow: "report", name: "again" }],
  };

  it("is not known without its triggers", () => {
    expect(tableOf(crons).mismatches).toEqual([]);
  });

  it("is nothing where they are the same", () => {
    expect(tableOf(crons, ["0 7 * * *", "0 6 * * MON"]).mismatches).toEqual([]);
    expect(tableOf(crons, [" 0  7 * * * ", "0 6 * * mon", "0 7 * * *"]).mismatches).toEqual([]);
  });

  it("is told, a sentence each", () => {
    expect(tableOf(crons, ["0 8  * * *", "0 8 * * *", "0 6 * * TUE"]).mismatches).toEqual([
      "`0 6 * * MON` starts `digest`, but is not among the crons of wrangler.toml, so it never fires: add it there",
      "`0 7 * * *` starts `report` and `digest`, but is not among the crons of wrangler.toml, so it never fires: add it there",
      "wrangler.toml has the cron `0 8 * * *`, which nothing in serve's `crons` answers: a `scheduled` handler of your own must",
      "wrangler.toml has the cron `0 6 * * TUE`, which nothing in serve's `crons` answers: a `scheduled` handler of your own must",
    ]);
  });

  it("is everything where wrangler.toml has none", () => {
    expect(tableOf(crons, []).mismatches).toHaveLength(2);
    expect(tableOf({}, ["0 8 * * *", "x"]).mismatches).toHaveLength(2);
  });
});
