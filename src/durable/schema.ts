/**
 * The tables of one run. They are created by its start, so that asking for a run that does not exist writes nothing.
 *
 * Rows are what the platform charges for, so nothing has a row that need not have one: an item's row is written when it has
 * something to say, and an item without one is pending, or held by a slot.
 */
export const SCHEMA = `
-- One row: the run itself. Written by start and by every transition.
create table run (
  id text primary key,
  flow text not null,
  version text,             -- the flow's, where it had one
  shape text not null,      -- the flow's graph as it was at the start, JSON
  input_digest text,        -- of a run with an idempotency key: what a repeated start is compared with
  created_ms integer not null,
  lives integer not null,   -- how often the object was loaded while its flow had limits
  losses text not null default '{}', -- Losses, JSON. Written when the object is loaded and hooks are open
  state text not null,      -- RunState, JSON
  revision integer not null default 0, -- rises whenever the state is written
  started_by text not null default '{"type":"http","name":null}', -- Trigger, JSON
  callback text,            -- the URL that is told when the run has ended
  is_deleted integer not null default 0, -- all of it is about to be deleted
  tokens integer not null default 0 -- what calls have said that they used: written by reports that say so
) without rowid;

-- One visit of a node. Inserted by the commit in which prep began or ended; updated when it is done, and by a batch flow
-- whenever branches begin or end. The total is known after prep, the counts when the step is done.
create table step (
  id integer primary key,
  node text not null,
  phase text not null,
  total integer not null,
  succeeded integer not null,
  failed integer not null,
  started_ms integer,       -- when it was stored first
  finished_ms integer,      -- when it was done, or stopped
  body text not null        -- what is never looked for by itself, JSON; of a node that is no batch also its item
);

-- How a branch of a batch flow ended. Written by the commit in which it did, deleted by a redrive.
create table branch (
  step integer not null,    -- the batch flow's
  idx integer not null,
  action text,              -- nothing where the last post returned nothing
  end_step integer,         -- the step whose results it ended with
  error text,               -- RunError, JSON, where it failed
  primary key (step, idx)
) without rowid;

-- The items of a batch, many to a row: a JSON array of encoded items. Written by prep, never changed.
create table page (
  step integer not null,
  first integer not null,
  body text not null,       -- empty where it is in long_text
  needs text,               -- JSON, for each item: key and tokens of each limit of its node, where items differ in that
  primary key (step, first)
) without rowid;

-- An item that has something to say: settled, deferred, or pending once more. Written by reports, by crashes and by redrives.
create table item (
  step integer not null,
  idx integer not null,
  status text not null,
  attempts integer not null,
  crashes integer not null,
  redrives integer not null default 0, -- how often its attempts were made anew
  due_ms integer,           -- when deferred
  started_ms integer,
  finished_ms integer,
  body text,                -- the encoded result, or the failure as JSON; null where it is in long_text
  primary key (step, idx)
) without rowid;

-- Costs a row only for items that wait.
create index item_due on item (due_ms) where status = 'deferred';

-- Of a batch with a batchSize: the items that one call takes, from first up to where the next chunk begins, and where they have
-- something to say together: tried before, deferred, or given to a vendor as a job. Written by reports, by crashes and by redrives.
-- A settled item has a row of its own, as everywhere.
create table chunk (
  step integer not null,
  first integer not null,
  status text not null,
  attempts integer not null,
  crashes integer not null,
  redrives integer not null, -- how often its attempts were made anew
  due_ms integer,           -- when deferred
  started_ms integer,
  job text,                 -- JobState, JSON
  recall_ms integer,        -- when the vendor is told to cancel the job
  recalls integer not null default 0, -- how often it was told
  primary key (step, first)
) without rowid;

-- Costs a row only for chunks that wait.
create index chunk_due on chunk (due_ms) where status = 'deferred';

-- Calls that failed, or were lost with their executor: one row for each commit in which some were. Of very many the latest are kept.
create table try (
  id integer primary key,
  first_step integer not null,
  last_step integer not null,
  body text not null        -- Try[], JSON
);

-- An executor's place. Written when it is woken, entered, given items and left; never deleted, so that fences only grow.
create table slot (
  id integer primary key,
  home text not null,
  state text not null,      -- idle, woken, live
  wake integer not null,    -- the latest wake's number
  delivery integer not null,-- the delivery of that wake that entered
  entry text not null,      -- names the loop that entered, so that a repeated enter is known as such
  fence integer not null,
  given integer not null,   -- items handed out under this fence
  woken_ms integer not null,
  claimed integer not null, -- items ever handed to this slot
  held text not null        -- JSON: [step, first, count, attempts, claimed_ms, …permits] of the items it was given and has not settled
);

-- What hooks wrote to shared since the graph in long_text was: one row for each commit that wrote. Deleted when that is written anew.
create table journal (
  id integer primary key,
  body text not null        -- empty where it is in long_text
);

-- The latest events: what nodes told of their progress, and items that failed. Written with the hook, or by the report of the
-- executor. Named for what it held at first: while a new version is deployed the one before must find it.
create table emit (
  id integer primary key,
  body text not null        -- KeptEvent, JSON
);

-- What somebody sent to the run. Updated when a node takes it; of those that were taken only the latest are kept.
create table signal (
  seq integer primary key,  -- in the order in which they came
  id text not null unique,  -- the sender's, so that one that is sent again is known as such
  name text not null,
  at_ms integer not null,
  body text not null,       -- JSON; empty once it was taken
  digest text,              -- of a signal with an idempotency key: what a repeated one is compared with
  taken integer             -- the step that has taken it
);

-- An end of the run that its callback is told of. Written with the end, and after each try.
create table delivery (
  id text primary key,
  type text not null,       -- run.completed, run.failed, run.canceled
  status text not null,     -- pending, delivered, failed, dropped
  created_ms integer not null,
  tries integer not null,
  due_ms integer,           -- of a pending one: when it is tried
  tried_ms integer,
  http_status integer,      -- the latest answer's
  error text                -- why the latest try has failed
) without rowid;

-- Text too long for one row: the live graph of shared and prep results, the output, long items and results. And the checkpoint:
-- how all stood before the first post that saw a failed item. Written by the commit of that post, deleted by a redrive.
create table long_text (
  owner text not null,
  part integer not null,
  body text not null,
  primary key (owner, part)
) without rowid;
`;

const BRANCH_TABLE = tableOf("branch");
const JOURNAL_TABLE = tableOf("journal");
const EMIT_TABLE = tableOf("emit");
const SIGNAL_TABLE = tableOf("signal");
const CHUNK_TABLE = tableOf("chunk");
const TRY_TABLE = tableOf("try");
const DELIVERY_TABLE = tableOf("delivery");

/** How the tables of a run that an earlier version started are brought up to date: each where its column is not there yet. */
export const MIGRATIONS = [
  {
    table: "run",
    column: "lives",
    sql: `
alter table run add column lives integer not null default 1;
alter table page add column needs text;`,
  },
  {
    table: "step",
    column: "body",
    sql: `
alter table run add column losses text not null default '{}';
alter table step add column body text not null default '';
update step set body = json_object('branch', branch, 'parent', parent, 'lastAction', last_action, 'fields', fields);
alter table step drop column branch;
alter table step drop column parent;
alter table step drop column last_action;
alter table step drop column losses;
alter table step drop column fields;
drop index item_due;
create index item_due on item (due_ms) where status = 'deferred';
${BRANCH_TABLE}
${JOURNAL_TABLE}
${EMIT_TABLE}`,
  },
  { table: "run", column: "version", sql: "alter table run add column version text" },
  { table: "branch", column: "error", sql: "alter table branch add column error text" },
  {
    table: "item",
    column: "redrives",
    sql: "alter table item add column redrives integer not null default 0",
  },
  {
    table: "run",
    column: "revision",
    sql: `
alter table run add column revision integer not null default 0;
alter table run add column started_by text not null default '{"type":"http","name":null}';
alter table run add column callback text;
alter table run add column is_deleted integer not null default 0;
${SIGNAL_TABLE}
${DELIVERY_TABLE}`,
  },
  {
    table: "signal",
    column: "taken",
    sql: "alter table signal add column digest text; alter table signal add column taken integer",
  },
  {
    table: "chunk",
    column: "step",
    sql: `${CHUNK_TABLE}
create index chunk_due on chunk (due_ms) where status = 'deferred'`,
  },
  {
    table: "step",
    column: "started_ms",
    sql: `
alter table step add column started_ms integer;
alter table step add column finished_ms integer;
${TRY_TABLE}`,
  },
  { table: "run", column: "tokens", sql: "alter table run add column tokens integer not null default 0" },
] as const;

function tableOf(name: string): string {
  const from = SCHEMA.indexOf(`create table ${name} (`);
  return SCHEMA.slice(from, SCHEMA.indexOf(";\n", SCHEMA.indexOf("\n)", from)) + 1);
}
