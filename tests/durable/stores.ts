import { runInDurableObject } from "cloudflare:test";
import { NEW_RUN } from "../../src/core/run.ts";
import type { ItemRow } from "../../src/durable/item-store.ts";
import type { StepRow } from "../../src/durable/step-store.ts";
import { Store } from "../../src/durable/store.ts";
import { newRunId } from "../../src/http/ids.ts";
import { runOf } from "./support.ts";

/** What the platform takes in one value. A local runtime takes more, so it is measured here. */
const VALUE_BYTES = 2_000_000;

/** The statements that stores were seen to make. */
export const statements: string[] = [];

/** Storage that refuses, as the platform does, a statement with a value that is too large. */
function strict(storage: DurableObjectStorage): DurableObjectStorage {
  const sql = new Proxy(storage.sql, {
    get: (target, key) => {
      if (key !== "exec") return Reflect.get(target, key, target);
      return (query: string, ...bindings: unknown[]) => {
        const bytes = bindings.map((value) => (typeof value === "string" ? new TextEncoder().encode(value).length : 0));
        if (Math.max(0, ...bytes) > VALUE_BYTES) throw new Error(`string or blob too big: ${query}`);
        if (bindings.length > 100) throw new Error(`too many SQL variables: ${query}`);
        statements.push(query);
        return target.exec(query, ...bindings);
      };
    },
  });
  return new Proxy(storage, {
    get: (target, key) => {
      if (key === "sql") return sql;
      const own = Reflect.get(target, key, target);
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
}

/** Gives `use` a store with its tables, in an object of its own. */
export function withStore<T>(use: (store: Store) => T | Promise<T>): Promise<T> {
  const id = newRunId();
  return runInDurableObject(runOf(id), (_, { storage }) => {
    const store = new Store(strict(storage), (error) => {
      throw error;
    });
    const shape = { root: "Flow", nodes: [], edges: [] };
    store.commit(() =>
      store.create({
        id,
        flow: "work",
        version: null,
        shape,
        inputDigest: null,
        lives: 1,
        createdMs: 1,
        state: NEW_RUN,
        startedBy: { type: "http", name: null },
        callback: null,
      }),
    );
    return use(store);
  });
}

export const itemRow = (index: number, body: string | null, more: Partial<ItemRow> = {}): ItemRow => ({
  step: 1,
  index,
  status: "succeeded",
  attempts: 1,
  crashes: 0,
  redrives: 0,
  dueMs: null,
  startedMs: 5,
  finishedMs: 6,
  body,
  ...more,
});

/** A plain node's step that has just begun. */
export const stepRow = (id: number, more: Partial<StepRow> = {}): StepRow => ({
  id,
  branch: "",
  node: "Work",
  parent: null,
  phase: "prep",
  lastAction: null,
  visit: 1,
  params: null,
  end: null,
  ...{ branches: 0, begun: 0, ended: 0, failedBranches: 0, waiting: [], stoppedIn: null, lateAction: null },
  ...{ total: 0, succeeded: 0, failed: 0 },
  fields: null,
  batchSize: null,
  wait: null,
  isSolo: false,
  ...more,
});
