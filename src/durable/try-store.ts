import { inStatements } from "./text.ts";

/** A call of exec that failed, or was lost with its executor: of one item, or of a chunk of them. */
export interface Try {
  step: number;
  /** The first item, and up to before which one it went. */
  first: number;
  end: number;
  startedMs: number | null;
  finishedMs: number;
  /** Nothing where the executor was lost. */
  error: { name: string; message: string; stack?: string } | null;
}

/** So many rows are kept, each of the tries of one commit: they are looked at, and nothing depends on them. */
const MOST_KEPT = 20_000;
/** Of a message, and of a stack. */
const LONGEST_TEXT = 1_000;
/** Of one item. */
const MOST_SHOWN = 100;

/** The SQL of tries: what an item has behind it beside what came of it in the end. */
export class TryStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Keeps what one commit learned of tries: they share rows, since each row costs. */
  add(tries: readonly Try[]): void {
    for (const some of inStatements(tries.map(shortened), lengthOf)) {
      const steps = some.map(({ step }) => step);
      this.#sql.exec(
        "insert into try (first_step, last_step, body) values (?, ?, ?)",
        Math.min(...steps),
        Math.max(...steps),
        JSON.stringify(some),
      );
    }
    this.#sql.exec("delete from try where id <= (select max(id) from try) - ?", MOST_KEPT);
  }

  /** The latest tries of an item, in order. */
  of(step: number, index: number): Try[] {
    const rows = this.#sql
      .exec<{ body: string }>(
        `select one.value as body from try, json_each(try.body) as one
         where ?1 between first_step and last_step and one.value->>'$.step' = ?1
         and ?2 >= one.value->>'$.first' and ?2 < one.value->>'$.end'
         order by try.id desc, one.key desc limit ?3`,
        step,
        index,
        MOST_SHOWN,
      )
      .toArray();
    return rows.map(({ body }) => JSON.parse(body) as Try).reverse();
  }

  /** Forgets those of steps that were never stored, or are forgotten themselves. */
  forget(which: "=" | ">", step: number): void {
    this.#sql.exec(`delete from try where first_step ${which} ?`, step);
  }
}

function shortened({ error, ...rest }: Try): Try {
  if (error === null) return { ...rest, error };
  const { name, message, stack } = error;
  const short = { name: name.slice(0, LONGEST_TEXT), message: message.slice(0, LONGEST_TEXT) };
  return { ...rest, error: stack === undefined ? short : { ...short, stack: stack.slice(0, LONGEST_TEXT) } };
}

function lengthOf({ error }: Try): number {
  return 100 + (error === null ? 0 : error.name.length + error.message.length + (error.stack?.length ?? 0));
}
