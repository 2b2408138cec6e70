import { type LongText, ROW_LIMIT } from "./text.ts";

/** The stored graph of a run's shared and prep results: as it once was, and what was written since. */
export interface StoredGraph {
  snapshot: string;
  entries: string[];
}

/** The SQL of what hooks wrote. */
export class JournalStore {
  readonly #sql: SqlStorage;
  readonly #longText: LongText;

  constructor(sql: SqlStorage, longText: LongText) {
    this.#sql = sql;
    this.#longText = longText;
  }

  read(): StoredGraph {
    const rows = this.#sql.exec<{ id: number; body: string }>("select id, body from journal order by id").toArray();
    const entries = rows.map(({ id, body }) => body || this.#longText.get(`journal/${id}`));
    return { snapshot: this.#longText.get("live"), entries };
  }

  append(entry: string): void {
    const isLong = entry.length > ROW_LIMIT;
    const { id } = this.#sql
      .exec<{ id: number }>("insert into journal (body) values (?) returning id", isLong ? "" : entry)
      .one();
    if (isLong) this.#longText.put(`journal/${id}`, entry);
  }

  /** The graph as it once was. */
  restore({ snapshot, entries }: StoredGraph): void {
    this.begin(snapshot);
    for (const entry of entries) this.append(entry);
  }

  /** The whole graph as it is now: what was written before is not needed any more. */
  begin(snapshot: string): void {
    this.#longText.put("live", snapshot);
    this.#sql.exec("delete from journal");
    this.#sql.exec("delete from long_text where owner glob 'journal/*'");
  }
}
