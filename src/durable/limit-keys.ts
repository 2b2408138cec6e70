import type { BudgetChange } from "../core/budget.ts";
import { KEYS_SCHEMA } from "./limiter-schema.ts";

/** What was changed of a key's budget while the Worker ran. A change of a later version replaces one of an earlier. */
export interface Change {
  bounds: BudgetChange;
  version: number;
}

/** The keys of one limit that were ever used, and what was changed of the limit while the Worker ran. */
export class LimitKeys {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
  }

  /** Adds a key, if it is new. Returns what was changed for it. */
  join(limit: string, key: string): Change {
    return this.#write(limit, () => {
      this.#sql.exec("insert or ignore into member (key, bounds) values (?, '{}')", key);
      return this.changeOf(key);
    });
  }

  /** Changes the limit for one key, or for all of them. Every key must then be told. */
  change(limit: string, key: string | null, bounds: BudgetChange): void {
    this.#write(limit, () => {
      if (key === null) this.#changeAll(bounds);
      else this.#changeKey(key, bounds);
      this.#sql.exec("update change set version = version + 1");
    });
  }

  /** Takes every change back. */
  reset(limit: string): void {
    this.#write(limit, () => {
      this.#sql.exec("update change set bounds = '{}', version = version + 1");
      this.#sql.exec("update member set bounds = '{}' where bounds <> '{}'");
    });
  }

  /** Every key knows of the changes up to this version. */
  told(version: number): void {
    this.#sql.exec("update change set told = max(told, ?)", version);
  }

  get version(): number {
    return this.#row?.version ?? 0;
  }

  /** The limit whose keys are still to be told of a change, if any is. */
  get untold(): string | null {
    const row = this.#row;
    return row && row.told < row.version ? row.name : null;
  }

  get keys(): string[] {
    if (!this.#exists) return [];
    return this.#sql
      .exec<{ key: string }>("select key from member order by key")
      .toArray()
      .map(({ key }) => key);
  }

  /** What was changed for a key: what was changed for it alone goes before what was changed for all. */
  changeOf(key: string): Change {
    const row = this.#row;
    if (!row) return { bounds: {}, version: 0 };
    return { bounds: { ...row.bounds, ...this.#boundsOf(key) }, version: row.version };
  }

  #changeAll(bounds: BudgetChange): void {
    this.#sql.exec("update change set bounds = ?", JSON.stringify({ ...this.#row?.bounds, ...bounds }));
  }

  #changeKey(key: string, bounds: BudgetChange): void {
    const merged = JSON.stringify({ ...this.#boundsOf(key), ...bounds });
    this.#sql.exec("insert or replace into member (key, bounds) values (?, ?)", key, merged);
  }

  #boundsOf(key: string): BudgetChange {
    const [own] = this.#sql.exec<{ bounds: string }>("select bounds from member where key = ?", key).toArray();
    return own ? JSON.parse(own.bounds) : {};
  }

  get #row(): { name: string; bounds: BudgetChange; version: number; told: number } | null {
    if (!this.#exists) return null;
    const { bounds, ...row } = this.#sql
      .exec<{ name: string; bounds: string; version: number; told: number }>("select * from change")
      .one();
    return { ...row, bounds: JSON.parse(bounds) };
  }

  get #exists(): boolean {
    return this.#sql.exec("select 1 from sqlite_master where type = 'table' and name = 'member'").toArray().length > 0;
  }

  #write<T>(limit: string, write: () => T): T {
    return this.#storage.transactionSync(() => {
      if (!this.#exists) {
        this.#sql.exec(KEYS_SCHEMA);
        this.#sql.exec("insert into change (name, bounds, version, told) values (?, '{}', 0, 0)", limit);
      }
      return write();
    });
  }
}
