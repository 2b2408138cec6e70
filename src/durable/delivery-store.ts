/** An end of a run that its callback is told of. */
export interface DeliveryRow {
  /** The same for every try, so that the receiver knows one that came twice. */
  id: string;
  type: string;
  status: "pending" | "delivered" | "failed" | "dropped";
  createdMs: number;
  tries: number;
  dueMs: number | null;
  triedMs: number | null;
  /** The status of the latest answer; nothing where there was none. */
  httpStatus: number | null;
  error: string | null;
}

const COLUMNS = `id, type, status, created_ms as "createdMs", tries, due_ms as "dueMs", tried_ms as "triedMs",
  http_status as "httpStatus", error`;

/** The SQL of what a run's callback is told. */
export class DeliveryStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** A row for each end, the earliest first. */
  all(): DeliveryRow[] {
    const sql = `select ${COLUMNS} from delivery order by created_ms, id`;
    return this.#sql.exec<{ [column: string]: SqlStorageValue }>(sql).toArray() as unknown as DeliveryRow[];
  }

  save(row: DeliveryRow): void {
    this.#sql.exec(
      `insert or replace into delivery (id, type, status, created_ms, tries, due_ms, tried_ms, http_status, error)
       values (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[row.id, row.type, row.status, row.createdMs, row.tries, row.dueMs, row.triedMs, row.httpStatus, row.error],
    );
  }
}
