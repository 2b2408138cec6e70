/** What was added to the tables of runs since the first version: runs that were started before go on after a deploy. */
export const ADDED = `
alter table run add column lives integer not null default 1;
alter table page add column needs text;
`;

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
  shape text not null,      -- the flow's graph as it was at the start, JSON
  input_digest text,        -- of a run with an idempotency key: what a repeated start is compared with
  created_ms integer not null,
  lives integer not null,   -- how often the object was loaded while its flow had limits
  state text not null       -- RunState, JSON
) without rowid;

-- One visit of a node. Inserted when it begins; total is known after prep, the counts when all its items are settled.
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
  losses integer not null default 0, -- how often the object was lost during a hook of this step
  fields text                        -- what prep left on the node for exec, encoded
);

-- A step's items, many to a row: a JSON array of encoded items. Written by prep, never changed.
create table page (
  step integer not null,
  first integer not null,
  body text not null,       -- empty where it is in long_text
  needs text,               -- JSON, for each item: key and tokens of each limit of its node, where items differ in that
  primary key (step, first)
) without rowid;

-- An item that has something to say: settled, deferred, or pending once more. Written by reports and by crashes.
create table item (
  step integer not null,
  idx integer not null,
  status text not null,
  attempts integer not null,
  crashes integer not null,
  due_ms integer,           -- when deferred
  started_ms integer,
  finished_ms integer,
  body text,                -- the encoded result, or the failure as JSON; null where it is in long_text
  primary key (step, idx)
) without rowid;

-- Costs a row only for items that wait.
create index item_due on item (step, due_ms) where status = 'deferred';

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

-- Text too long for one row: the live graph of shared and prep results, the output, long items and results.
create table long_text (
  owner text not null,
  part integer not null,
  body text not null,
  primary key (owner, part)
) without rowid;
`;
