/** Something that was sent to a run, and that no node has taken yet. */
export interface Signal {
  /** The sender's: a signal that is sent again is the same. */
  id: string;
  name: string;
  atMs: number;
  /** JSON text. */
  body: string;
}

/** So many are kept: a run that nobody lets go on must not be filled without end. */
export const MOST_SIGNALS = 1_000;

/** The SQL of the signals that a run was sent. */
export class SignalStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  get count(): number {
    return this.#sql.exec<{ count: number }>("select count(*) as count from signal").one().count;
  }

  has(id: string): boolean {
    return this.#sql.exec("select 1 from signal where id = ?", id).toArray().length > 0;
  }

  keep({ id, name, atMs, body }: Signal): void {
    this.#sql.exec("insert into signal (id, name, at_ms, body) values (?, ?, ?, ?)", id, name, atMs, body);
  }

  /** Without their bodies, the earliest first. */
  list(): Omit<Signal, "body">[] {
    const sql = 'select id, name, at_ms as "atMs" from signal order by seq';
    return this.#sql.exec<Omit<Signal, "body"> & Record<string, SqlStorageValue>>(sql).toArray();
  }
}
