import { Graph } from "../../src/core/graph.ts";
import type { RunState } from "../../src/core/run.ts";
import { olderFlows } from "./older-flows.ts";

// Runs of the flow `older` as earlier versions of the code stored them: the rows are theirs, only ids and times are made up.

/** The tables of the version before this one: of the very first they were these without the columns that are marked. */
const SCHEMA = `
create table run (
  id text primary key,
  flow text not null,
  shape text not null,
  input_digest text,
  created_ms integer not null,
  lives integer not null, -- added
  state text not null
) without rowid;
create table step (
  id integer primary key,
  branch text not null,
  node text not null,
  parent integer,
  phase text not null,
  last_action text,
  total integer not null default 0,
  succeeded integer not null default 0,
  failed integer not null default 0,
  losses integer not null default 0,
  fields text
);
create table page (
  step integer not null,
  first integer not null,
  body text not null,
  needs text, -- added
  primary key (step, first)
) without rowid;
create table item (
  step integer not null,
  idx integer not null,
  status text not null,
  attempts integer not null,
  crashes integer not null,
  due_ms integer,
  started_ms integer,
  finished_ms integer,
  body text,
  primary key (step, idx)
) without rowid;
create index item_due on item (step, due_ms) where status = 'deferred';
create table slot (
  id integer primary key,
  home text not null,
  state text not null,
  wake integer not null,
  delivery integer not null,
  entry text not null,
  fence integer not null,
  given integer not null,
  woken_ms integer not null,
  claimed integer not null,
  held text not null
);
create table long_text (
  owner text not null,
  part integer not null,
  body text not null,
  primary key (owner, part)
) without rowid;
`;

export const SCHEMAS = {
  "the first version": SCHEMA.replaceAll(/.* -- added\n/g, ""),
  "the version before this one": SCHEMA,
};

type Row = (string | number | null)[];

interface Moment {
  status?: "queued" | "completed";
  /** Calls of exec that the whole run takes: what executors held is executed once more. */
  executions: number;
  steps: Row[];
  pages: Row[];
  items: Row[];
  slots: Row[];
  live: string;
  output?: string;
}

const FLOW = [1, "", "Flow", null, "exec", null, 0, 0, 0, 0, null];
const INNER = [2, "", "Inner", 1, "exec", null, 0, 0, 0, 0, null];
const INNER_DONE = [2, "", "Inner", 1, "done", "done", 0, 0, 0, 0, null];
const SINCE = 'd[{"since":1},["Date","1970-01-01T00:00:00.005Z"]]';
const GATHER = [3, "", "Gather", 2, "done", null, 1, 1, 0, 0, SINCE];
const EACH = [4, "", "Each", 2, "done", null, 4, 4, 0, 0, null];

const USERS = ["d", [{ all: 1, last: 4 }, [2, 4], { name: 3 }, "ada", { name: 5 }, "alan"]];
const PAGES: Row[] = [
  [3, 0, JSON.stringify([USERS[0] + JSON.stringify(USERS[1])])],
  [4, 0, '["j1","j2","j3","j4"]'],
  [5, 0, '["j1","j2","j3"]'],
];
const ITEMS: Row[] = [
  [3, 0, "succeeded", 1, 0, null, 62, 87, 'j["ada since 5","alan since 5"]'],
  [4, 0, "succeeded", 1, 0, null, 131, 143, "j10"],
  [4, 1, "succeeded", 1, 0, null, 131, 155, "j20"],
  [4, 2, "succeeded", 1, 0, null, 143, 155, "j30"],
  [4, 3, "succeeded", 1, 0, null, 155, 162, "j40"],
  [5, 0, "succeeded", 1, 0, null, 238, 244, "j1"],
];
const INLINE = [0, "inline", "idle", 1, 1, "9e6b4f86", 1, 1, 61, 1, "[]"];
const OBJECT = [1, "object", "idle", 1, 1, "688c1929", 1, 4, 95, 4, "[]"];
const OBJECT_LATER = [1, "object", "idle", 2, 1, "7878a830", 2, 2, 217, 6, "[]"];

/** The graph of shared and prep results once `gather` is done: what both have of it, and then the log and what is open. */
const gathered = (prep: number, log: number, list: string) =>
  `d[{"shared":1,"prep":${prep}},{"users":2,"list":7,"log":${log}},[3,5],{"name":4},"ada since 5",{"name":6},"alan since 5",${list}`;
const LIVE = {
  gather:
    'd[{"shared":1,"prep":13},{"users":2,"list":7,"log":12},[3,5],{"name":4},"ada",{"name":6},"alan",[8,9,10,11],1,2,3,4,[],' +
    '{"3":14},{"all":2,"last":5}]',
  each: `${gathered(18, 12, "[8,9,10,11],1,2,3,4,[13,17]")},{"isSame":14,"since":16},[15,15],true,["Date","1970-01-01T00:00:00.005Z"],"each prep",{"4":7}]`,
  inner: `${gathered(23, 16, "[8,9,10,11,12,13,14,15],1,2,3,4,10,20,30,40,[17,21,22]")},{"isSame":18,"since":20},[19,19],true,["Date","1970-01-01T00:00:00.005Z"],"each prep","each post",{}]`,
  last: `${gathered(24, 16, "[8,9,10,11,12,13,14,15],1,2,3,4,10,20,30,40,[17,21,22,23]")},{"isSame":18,"since":20},[19,19],true,["Date","1970-01-01T00:00:00.005Z"],"each prep","each post","inner done",{}]`,
};
const OUTPUT =
  'd[{"users":1,"list":6,"log":15},[2,4],{"name":3},"ada since 5",{"name":5},"alan since 5",[7,8,9,10,11,12,13,14],' +
  '1,2,3,4,10,20,30,40,[16,20,21,22,23],{"isSame":17,"since":19},[18,18],true,["Date","1970-01-01T00:00:00.005Z"],' +
  '"each prep","each post","inner done",[7,9,9]]';

/** One run at seven moments. */
export const moments: { [moment: string]: Moment } = {
  "it has not begun": {
    status: "queued",
    executions: 9,
    ...{ steps: [], pages: [], items: [], slots: [] },
    live: 'j{"shared":{"users":[{"name":"ada"},{"name":"alan"}],"list":[1,2,3,4],"log":[]},"prep":{}}',
  },
  "its plain node is in exec, in the run's own object": {
    executions: 10,
    steps: [FLOW, INNER, [3, "", "Gather", 2, "exec", null, 1, 0, 0, 0, SINCE]],
    pages: PAGES.slice(0, 1),
    items: [],
    slots: [[0, "inline", "live", 1, 1, "9e6b4f86", 1, 1, 61, 1, "[[3,0,1,0,62]]"]],
    live: LIVE.gather,
  },
  "its batch is in exec: one item is settled, two are held, one is pending": {
    executions: 11,
    steps: [FLOW, INNER, GATHER, [4, "", "Each", 2, "exec", null, 4, 0, 0, 0, null]],
    pages: PAGES.slice(0, 2),
    items: ITEMS.slice(0, 2),
    slots: [INLINE, [1, "object", "live", 1, 1, "688c1929", 1, 3, 95, 3, "[[4,1,1,0,131],[4,2,1,0,143]]"]],
    live: LIVE.each,
  },
  "its batch is in post, in which the object was lost before": {
    executions: 9,
    steps: [FLOW, INNER, GATHER, [4, "", "Each", 2, "post", null, 4, 4, 0, 3, null]],
    pages: PAGES.slice(0, 2),
    items: ITEMS.slice(0, 5),
    slots: [INLINE, OBJECT],
    live: LIVE.each,
  },
  "its inner flow is in post": {
    executions: 9,
    steps: [FLOW, [2, "", "Inner", 1, "post", "done", 0, 0, 0, 0, null], GATHER, EACH],
    pages: PAGES.slice(0, 2),
    items: ITEMS.slice(0, 5),
    slots: [INLINE, OBJECT],
    live: LIVE.inner,
  },
  "an item waits for its next attempt, which is due": {
    executions: 9,
    steps: [FLOW, INNER_DONE, GATHER, EACH, [5, "", "Last", 1, "exec", null, 3, 0, 0, 0, null]],
    pages: PAGES,
    items: [...ITEMS, [5, 1, "deferred", 1, 0, 1000, 244, null, null]],
    slots: [INLINE, OBJECT_LATER],
    live: LIVE.last,
  },
  "it has completed": {
    status: "completed",
    executions: 9,
    steps: [FLOW, INNER, GATHER, EACH, [5, "", "Last", 1, "done", null, 3, 3, 0, 0, 'j{"currentRetry":0}']].map(
      (step) => step.with(4, "done"),
    ),
    pages: PAGES,
    items: [...ITEMS, [5, 1, "succeeded", 2, 0, null, 342, 345, "j3"], [5, 2, "succeeded", 1, 0, null, 345, 346, "j3"]],
    slots: [INLINE, OBJECT_LATER.with(9, 8)],
    live: LIVE.last,
    output: OUTPUT,
  },
};

/** Puts a run into an object's storage as an earlier version did. */
export function writeOlder({ sql }: DurableObjectStorage, id: string, schema: string, moment: Moment): void {
  const shape = JSON.stringify(new Graph(olderFlows.older()).shape());
  const insert = (table: string, rows: Row[]) => {
    for (const row of rows) sql.exec(`insert into ${table} values (${row.map(() => "?")})`, ...row);
  };
  const isFirst = !schema.includes("lives");
  sql.exec(schema);
  insert("run", [[id, "older", shape, null, 21, ...(isFirst ? [] : [1]), JSON.stringify(stateOf(moment))]]);
  insert("step", moment.steps);
  insert("page", isFirst ? moment.pages : moment.pages.map((page) => [...page, null]));
  insert("item", moment.items);
  insert("slot", moment.slots);
  insert("long_text", [["live", 0, moment.live], ...(moment.output ? [["output", 0, moment.output]] : [])]);
}

/** What an earlier version knew of a run. */
type OlderState = Omit<RunState, "completionReason" | "isPauseAsked" | "redrives" | "redriveCount">;

function stateOf(moment: Moment): OlderState {
  const status: RunState["status"] = moment.status ?? "running";
  const startedMs = status === "queued" ? null : 46;
  const finishedMs = status === "completed" ? 400 : null;
  return { status, lastStep: moment.steps.length, action: null, error: null, warnings: [], startedMs, finishedMs };
}
