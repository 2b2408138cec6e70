/** Something that was sent to a run. */
export interface Signal {
  /** The sender's: a signal that is sent again is the same. */
  id: string;
  name: string;
  atMs: number;
  /** JSON text. */
  body: string;
  /** Of the body, where the sender gave the id: what one that is sent again is compared with. */
  digest: string | null;
}

/** So many are kept that no node has taken: a run that nobody lets go on must not be filled without end. */
export const MOST_SIGNALS = 1_000;
/** Of so many that were taken it is known that they were, so that one which is sent again is taken once. */
const MOST_TAKEN = 1_000;

type Row<T> = T & Record<string, SqlStorageValue>;

/** The SQL of the signals that a run was sent. */
export class SignalStore {
  readonly #sql: SqlStorage;
  /** The names of those that no node has taken. Read when somebody first waits. */
  #untaken: Map<string, number> | undefined;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** How many no node has taken. */
  get count(): number {
    return this.#sql.exec<{ count: number }>("select count(*) as count from signal where taken is null").one().count;
  }

  /** The digest of a signal that was sent before; nothing where none was under this id. */
  sent(id: string): { digest: string | null } | undefined {
    return this.#sql.exec<Row<{ digest: string | null }>>("select digest from signal where id = ?", id).toArray()[0];
  }

  keep({ id, name, atMs, body, digest }: Signal): void {
    const sql = "insert into signal (id, name, at_ms, body, digest) values (?, ?, ?, ?, ?)";
    this.#sql.exec(sql, id, name, atMs, body, digest);
    this.#untaken?.set(name, (this.#untaken.get(name) ?? 0) + 1);
  }

  /** The names of those that no node has taken. */
  get names(): string[] {
    this.#untaken ??= this.#namesOfUntaken();
    return [...this.#untaken.keys()];
  }

  /** The first of a name that no node has taken, for a step. */
  take(name: string, step: number): Pick<Signal, "atMs" | "body"> | undefined {
    this.#untaken ??= this.#namesOfUntaken();
    const left = this.#untaken.get(name) ?? 0;
    if (left === 0) return undefined;
    const sql = `select seq, at_ms as "atMs", body from signal where name = ? and taken is null order by seq limit 1`;
    const { seq, atMs, body } = this.#sql.exec<Row<{ seq: number; atMs: number; body: string }>>(sql, name).one();
    // What was sent is the step's result from now on.
    this.#sql.exec("update signal set taken = ?, body = '' where seq = ?", step, seq);
    if (left > 1) this.#untaken.set(name, left - 1);
    else this.#untaken.delete(name);
    this.#forget();
    return { atMs, body };
  }

  /** Those that no node has taken, without their bodies, the earliest first. */
  list(): Pick<Signal, "id" | "name" | "atMs">[] {
    const sql = 'select id, name, at_ms as "atMs" from signal where taken is null order by seq';
    return this.#sql.exec<Row<Pick<Signal, "id" | "name" | "atMs">>>(sql).toArray();
  }

  #forget(): void {
    const sql = `delete from signal where taken is not null and seq <=
      (select seq from signal where taken is not null order by seq desc limit 1 offset ?)`;
    this.#sql.exec(sql, MOST_TAKEN);
  }

  #namesOfUntaken(): Map<string, number> {
    const sql = "select name, count(*) as count from signal where taken is null group by name";
    const rows = this.#sql.exec<{ name: string; count: number }>(sql).toArray();
    return new Map(rows.map(({ name, count }) => [name, count]));
  }
}
