import type { BudgetChange } from "../core/budget.ts";
import { KEYS_SCHEMA } from "./limiter-schema.ts";

/** What a change says of one bound: a value, or back to what the Worker's code says. */
export type Changes = BudgetChange;

/** The keys of one limit that were ever used, and what was changed of the limit while the Worker ran. */
export class LimitKeys {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
  }

  exists(): boolean {
    return this.#sql.exec("select 1 from sqlite_master where type = 'table' and name = 'member'").toArray().length > 0;
  }

  /** Adds a key, if it is new. Returns what was changed for it. */
  join(limit: string, key: string): BudgetChange {
    return this.#write(limit, () => {
      this.#sql.exec("insert or ignore into member (key, change) values (?, '{}')", key);
      return this.changeOf(key);
    });
  }

  /** Changes the limit for one key, or for all of them. Every key must then be told. */
  change(limit: string, key: string | null, change: BudgetChange): void {
    this.#write(limit, () => {
      if (key !== null) this.#changeKey(key, change);
      else this.#saveAll({ ...this.#all, ...change });
      this.#sql.exec("update change set is_told = 0");
    });
  }

  /** Takes every change back. */
  reset(limit: string): void {
    this.#write(limit, () => {
      this.#saveAll({});
      this.#sql.exec("update member set change = '{}' where change <> '{}'");
      this.#sql.exec("update change set is_told = 0");
    });
  }

  told(): void {
    this.#sql.exec("update change set is_told = 1");
  }

  /** The limit whose keys are still to be told of a change, if any is. */
  get untold(): string | null {
    if (!this.exists()) return null;
    const [row] = this.#sql.exec<{ name: string }>("select name from change where is_told = 0").toArray();
    return row?.name ?? null;
  }

  get keys(): string[] {
    if (!this.exists()) return [];
    return this.#sql
      .exec<{ key: string }>("select key from member order by key")
      .toArray()
      .map(({ key }) => key);
  }

  /** What was changed for a key: what was changed for it alone goes before what was changed for all. */
  changeOf(key: string): BudgetChange {
    if (!this.exists()) return {};
    const [own] = this.#sql.exec<{ change: string }>("select change from member where key = ?", key).toArray();
    return { ...this.#all, ...(own ? JSON.parse(own.change) : {}) };
  }

  get #all(): BudgetChange {
    return JSON.parse(this.#sql.exec<{ change: string }>("select change from change").one().change);
  }

  #changeKey(key: string, change: BudgetChange): void {
    const [own] = this.#sql.exec<{ change: string }>("select change from member where key = ?", key).toArray();
    const merged = JSON.stringify({ ...(own ? JSON.parse(own.change) : {}), ...change });
    this.#sql.exec("insert or replace into member (key, change) values (?, ?)", key, merged);
  }

  #saveAll(change: BudgetChange): void {
    this.#sql.exec("update change set change = ?", JSON.stringify(change));
  }

  #write<T>(limit: string, write: () => T): T {
    return this.#storage.transactionSync(() => {
      if (!this.exists()) {
        this.#sql.exec(KEYS_SCHEMA);
        this.#sql.exec("insert into change (name, change, is_told) values (?, '{}', 1)", limit);
      }
      return write();
    });
  }
}
