import { existsSync, globSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Where `wrangler dev` keeps the runs of the Worker in this repository. */
const FOLDER = "v3/do/pocketflare-FlowRun";

/**
 * Lets a run's wait begin earlier by so many milliseconds, and the alarm with it: in what a dead server has left on disk, and with
 * the runtime's own books, which are in nanoseconds.
 */
export function waitedSince(state: string, run: string, ms: number): void {
  const alarms = join(state, FOLDER, "metadata.sqlite");
  const earlier = "set scheduled_time = scheduled_time - ? where actor_name = ?";
  if (change(alarms, `update _cf_ALARM ${earlier}`, BigInt(ms) * 1_000_000n, run) !== 1) {
    throw new Error(`Expected an alarm of run ${run} in ${alarms}, found none`);
  }
  const file = globSync(join(state, FOLDER, "*.sqlite")).find((each) => each !== alarms && isOf(each, run));
  if (file === undefined) throw new Error(`Expected run ${run} in ${FOLDER}, found none`);
  const isWaiting = "where body ->> '$.wait[1]' is not null and phase != 'done'";
  const until = `json_set(body, '$.wait[1]', (body ->> '$.wait[1]') - ?)`;
  if (change(file, `update step set body = ${until} ${isWaiting}`, ms) !== 1) {
    throw new Error(`Expected that run ${run} waits for one thing`);
  }
  change(file, "update _cf_METADATA set value = value - ? where key = 1", BigInt(ms) * 1_000_000n);
}

function isOf(file: string, run: string): boolean {
  return existsSync(file) && change(file, "update run set id = id where id = ?", run) === 1;
}

function change(file: string, statement: string, ...values: (string | number | bigint)[]): number {
  const database = new DatabaseSync(file);
  try {
    return Number(database.prepare(statement).run(...values).changes);
  } finally {
    database.close();
  }
}
