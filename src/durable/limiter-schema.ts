/** The tables of one limit and key. They are created by its first call, so that looking at a limit writes nothing. */
export const LIMITER_SCHEMA = `
-- One row: the limit itself. Written by every call.
create table limiter (
  name text primary key,
  key text not null,
  change text not null,     -- Change, JSON: what was changed while the Worker ran
  usage text not null       -- Usage without its counts, JSON
) without rowid;

-- What the vendor has counted in the window. Deleted as it leaves the window.
create table counted (
  at_ms integer primary key,
  requests integer not null,
  tokens real not null
) without rowid;

-- A run that has permits or waits for some. Deleted when it has none and wants none.
create table holder (
  run text primary key,
  life integer not null,
  latest integer not null,  -- the number of the latest request of that life
  heard integer not null,   -- the last permit that the run is known to have heard of
  last integer not null,    -- the last permit that it was granted
  turn integer not null,
  wants text not null,      -- JSON: [tokens, count] of the calls that wait, in order
  open text not null        -- JSON: [first, count, tokens, counted_ms] of the permits whose calls have not ended
) without rowid;
`;

/** The tables of a limit's own object, which knows its keys. Created when the first key is used or a change is made. */
export const KEYS_SCHEMA = `
-- One row: what was changed for all keys, how often anything was, and up to which of these every key was told.
create table change (
  name text primary key,
  bounds text not null,     -- BudgetChange, JSON
  version integer not null,
  told integer not null
) without rowid;

-- A key that was used, or changed.
create table member (
  key text primary key,
  bounds text not null      -- BudgetChange, JSON: what was changed for this key alone
) without rowid;
`;
