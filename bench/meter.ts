/**
 * Counts what the platform would bill, inside the Worker under measurement: locally all objects of a Worker share one isolate,
 * so one module-level count sees them all. Off while runs are timed, because counting costs time too.
 */
const count = { on: false, calls: 0, limiterCalls: 0, rowsWritten: 0, bytes: 0 };

/** A cursor knows what it wrote only once it is drained, so each is counted when the next one opens. */
let lastCursor: { readonly rowsWritten: number } | undefined;

/** `GET /meter?on=1` counts from zero on, `?on=0` stops; the answer is the count so far, and the size of the largest database. */
export function answerMeter(url: URL): Response {
  countLastCursor();
  const answer = Response.json(count);
  const on = url.searchParams.get("on");
  if (on !== null) Object.assign(count, { on: on === "1", calls: 0, limiterCalls: 0, rowsWritten: 0, bytes: 0 });
  return answer;
}

/** Counts calls of these methods. They must be on the prototype, since that is where an RPC looks for them. */
export function countCalls(
  prototype: object,
  names: readonly string[],
  what: "calls" | "limiterCalls" = "calls",
): void {
  for (const name of names) {
    const value = countedMethod(methodOf(prototype, name), what);
    Reflect.defineProperty(prototype, name, { value, configurable: true });
  }
}

/** Counts every row an object writes, its alarm included; to be called first in the object's constructor. */
export function countRows(storage: DurableObjectStorage): void {
  if (!count.on) return;
  const exec = storage.sql.exec.bind(storage.sql);
  storage.sql.exec = (query, ...bindings) => {
    countLastCursor();
    const cursor = exec(query, ...bindings);
    lastCursor = cursor;
    // Of the largest object, which is the run's.
    count.bytes = Math.max(count.bytes, storage.sql.databaseSize);
    return cursor as never;
  };
  const put = storage.kv.put.bind(storage.kv);
  storage.kv.put = (key, value) => countRow(put(key, value));
  const setAlarm = storage.setAlarm.bind(storage);
  storage.setAlarm = (time, options) => countRow(setAlarm(time, options));
}

type Method = (this: unknown, ...parameters: unknown[]) => unknown;

function methodOf(prototype: object, name: string): Method {
  const method: unknown = Reflect.get(prototype, name);
  if (typeof method === "function") return method as Method;
  throw new TypeError(`Expected \`${name}\` to be a method, got \`${typeof method}\``);
}

function countedMethod(method: Method, what: "calls" | "limiterCalls"): Method {
  return function (...parameters) {
    if (count.on) count[what]++;
    return method.apply(this, parameters);
  };
}

function countLastCursor(): void {
  count.rowsWritten += lastCursor?.rowsWritten ?? 0;
  lastCursor = undefined;
}

function countRow<T>(outcome: T): T {
  count.rowsWritten++;
  return outcome;
}
