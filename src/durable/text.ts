/**
 * The platform refuses a row above 2 MB, and a local runtime does not: this bound is ours. In UTF-16 units, each of which takes
 * at most three bytes in a database.
 */
export const ROW_LIMIT = 600_000;

/** The longest text of one value, so that it passes through a call between objects (32 MiB, two bytes a unit). */
export const VALUE_LIMIT = 12_000_000;

/** So much text goes into one statement: escaped, which may make it six times as long, it must fit what a row may hold. */
export const STATEMENT_TEXT = ROW_LIMIT / 6;

/** Cuts what is to be written into what one statement takes each. */
export function* inStatements<T>(values: readonly T[], lengthOf: (value: T) => number): Generator<T[]> {
  let some: T[] = [];
  let text = 0;
  for (const value of values) {
    const length = lengthOf(value);
    if (some.length > 0 && text + length > STATEMENT_TEXT) {
      yield some;
      some = [];
      text = 0;
    }
    some.push(value);
    text += length;
  }
  if (some.length > 0) yield some;
}

/** Cuts a text into parts that fit a row, never between the halves of a surrogate pair, which would be lost. */
export function* parts(text: string): Generator<string> {
  for (let from = 0; from < text.length; ) {
    let to = Math.min(from + ROW_LIMIT, text.length);
    if (to < text.length && isHighSurrogate(text.charCodeAt(to - 1))) to--;
    yield text.slice(from, to);
    from = to;
  }
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

/** Throws if a value's text is longer than a run keeps. `what` names it. */
export function checkLength(text: string, what: string | (() => string), limit = VALUE_LIMIT): string {
  if (text.length <= limit) return text;
  const [most, got] = [limit, text.length].map((length) => `${(length / 1e6).toFixed(1)} million characters`);
  throw new RangeError(
    `Expected ${typeof what === "string" ? what : what()} to be at most ${most} when stored, got ${got}: ` +
      "keep large data in a bucket and its key here",
  );
}

/** Texts too long for one row, by the name of what they belong to. */
export class LongText {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  get(owner: string): string {
    const sql = "select body from long_text where owner = ? order by part";
    return this.#sql
      .exec<{ body: string }>(sql, owner)
      .toArray()
      .map((row) => row.body)
      .join("");
  }

  has(owner: string): boolean {
    return this.#sql.exec("select 1 from long_text where owner = ? limit 1", owner).toArray().length > 0;
  }

  delete(owner: string): void {
    this.#sql.exec("delete from long_text where owner = ?", owner);
  }

  /** Forgets what belongs to steps: to those with a later number, or to one. Owners are named by kind and step. */
  deleteOf(kinds: readonly string[], which: "=" | ">", step: number): void {
    for (const kind of kinds) {
      const number = `cast(substr(owner, ${kind.length + 2}) as integer)`;
      this.#sql.exec(`delete from long_text where owner glob '${kind}/*' and ${number} ${which} ?`, step);
    }
  }

  /** Stores a text in rows of bounded size, writing only the parts that changed. */
  put(owner: string, text: string): void {
    let part = 0;
    for (const body of parts(text)) {
      const same = "select 1 from long_text where owner = ? and part = ? and body = ?";
      if (this.#sql.exec(same, owner, part, body).toArray().length === 0) {
        this.#sql.exec("insert or replace into long_text (owner, part, body) values (?, ?, ?)", owner, part, body);
      }
      part++;
    }
    this.#sql.exec("delete from long_text where owner = ? and part >= ?", owner, part);
  }
}
