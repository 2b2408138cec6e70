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

/** As it is kept: numbered in the order in which it was committed. */
export interface KeptEmit extends Emit {
  id: number;
  at: string;
}

/** Progress is of interest while it goes on: so many are kept of a run. */
const MOST_KEPT = 1_000;
/** In characters. */
const LONGEST_DATA = 16_000;
/** So many are read at once: they pass through a call between objects, and through the memory of both. */
const MOST_READ = 100;

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

/** The SQL of what the nodes of a run emitted. */
export class EmitStore {
  readonly #sql: SqlStorage;
  #isNews = false;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  add(emits: readonly Emit[], nowMs: number): void {
    const at = new Date(nowMs).toISOString();
    const sql = "insert into emit (body) select value from json_each(?)";
    const bodies = emits.slice(-MOST_KEPT).map((emit) => JSON.stringify({ ...emit, at }));
    for (const some of inStatements(bodies, ({ length }) => length)) this.#sql.exec(sql, JSON.stringify(some));
    this.#sql.exec("delete from emit where id <= (select max(id) from emit) - ?", MOST_KEPT);
    this.#isNews = true;
  }

  /** Whether any were added since this was last asked. */
  takeNews(): boolean {
    const isNews = this.#isNews;
    this.#isNews = false;
    return isNews;
  }

  /** The first of those that came later than the one with number `id`, in order. */
  after(id: number): KeptEmit[] {
    const sql = "select id, body from emit where id > ? order by id limit ?";
    const rows = this.#sql.exec<{ id: number; body: string }>(sql, id, MOST_READ);
    return rows.toArray().map((row) => ({ ...(JSON.parse(row.body) as KeptEmit), id: row.id }));
  }
}
