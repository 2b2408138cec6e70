import { encode, toJson } from "../core/codec.ts";
import { toFailure } from "../core/errors.ts";
import { inStatements } from "./text.ts";

/** What a node told of its progress. */
export interface Emit {
  step: number;
  node: string;
  branch: string;
  /** The item's, where exec told it. */
  index: number | null;
  /** JSON text. */
  data: string;
}

/** An item has failed, and has no attempts left. */
export interface ItemFailed {
  step: number;
  node: string;
  branch: string;
  index: number;
  attempts: number;
  error: { name: string; message: string };
}

/** What is kept of a run's events: numbered in the order in which they were committed. */
export type KeptEvent = { id: number; at: string } & (
  | ({ type: "emit" } & Emit)
  | ({ type: "item-failed" } & ItemFailed)
);

/** Events are of interest while a run goes on: so many are kept of it. */
const MOST_KEPT = 1_000;
/** In characters. */
const LONGEST_DATA = 16_000;
/** Of an error. */
const LONGEST_TEXT = 1_000;
/** So many are read at once: they pass through a call between objects, and through the memory of both. */
export const MOST_READ = 100;

/** What a node emits, as JSON; nothing where that cannot be kept, which is printed: progress is no reason to fail. */
export function writeEmit(node: string, data: unknown): string | undefined {
  try {
    const text = toJson(encode(data, "data"));
    if (text.length <= LONGEST_DATA) return text;
    throw new RangeError(`Expected at most ${LONGEST_DATA} characters of JSON, got ${text.length}`);
  } catch (error) {
    // Not printed as it is: data may have a getter, which may throw what cannot be printed.
    console.error({ message: "What a node emitted is left out", node, error: toFailure(error).message });
    return undefined;
  }
}

/** The SQL of what happened in a run and is told to those that follow it. */
export class EventStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  emitted(emits: readonly Emit[], nowMs: number): void {
    this.#add(emits, nowMs);
  }

  failed(items: readonly ItemFailed[], nowMs: number): void {
    const events = items.map(({ error: { name, message }, ...item }) => ({
      ...{ type: "item-failed", ...item },
      error: { name: name.slice(0, LONGEST_TEXT), message: message.slice(0, LONGEST_TEXT) },
    }));
    this.#add(events, nowMs);
  }

  #add(events: readonly object[], nowMs: number): void {
    const at = new Date(nowMs).toISOString();
    const sql = "insert into emit (body) select value from json_each(?)";
    const bodies = events.slice(-MOST_KEPT).map((event) => JSON.stringify({ ...event, at }));
    for (const some of inStatements(bodies, ({ length }) => length)) this.#sql.exec(sql, JSON.stringify(some));
    this.#sql.exec("delete from emit where id <= (select max(id) from emit) - ?", MOST_KEPT);
  }

  /** The number of the latest; 0 where there is none. */
  get last(): number {
    return this.#sql.exec<{ last: number }>("select coalesce(max(id), 0) as last from emit").one().last;
  }

  /** The first of those that came later than the one with number `id`, in order. */
  after(id: number): KeptEvent[] {
    const sql = "select id, body from emit where id > ? order by id limit ?";
    const rows = this.#sql.exec<{ id: number; body: string }>(sql, id, MOST_READ);
    // What nodes emit needs no word for that in its row.
    return rows.toArray().map((row) => ({ type: "emit", ...JSON.parse(row.body), id: row.id }) as KeptEvent);
  }
}
