import { abortAllDurableObjects, evictDurableObject } from "cloudflare:test";
import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { IndexEntry, IndexPage, IndexPlace, IndexQuery } from "../../src/durable/index-entry.ts";
import {
  anyChange,
  anyEntry,
  anyPut,
  anyQuery,
  anyWake,
  byPlace,
  cron,
  entry,
  idsIn,
  indexOf,
  inIndex,
  Model,
  metered,
  newName,
  placeIn,
  query,
  tell,
  walk,
} from "./indexing.ts";

describe("a run's entry", () => {
  it("is the newest that came, in whatever order and however often", async () => {
    const told = [1, 2, 3].map((revision) => entry("a", { revision, note: `said ${revision}` }));
    const shown = await inIndex((index) =>
      [0, 2, 1, 2, 0].map((at) => {
        index.put(told[at] as IndexEntry);
        return index.list(query()).runs;
      }),
    );
    expect(shown).toEqual([0, 2, 2, 2, 2].map((at) => [told[at]?.body]));
  });

  it("is overwritten by one that is as new", async () => {
    const [one, other] = ["one", "other"].map((note) => entry("a", { note, status: note })) as [IndexEntry, IndexEntry];
    const shown = await inIndex((index) => {
      index.put(one);
      index.put(other);
      return index.list(query({ status: "other" })).runs;
    });
    expect(shown).toEqual([other.body]);
  });

  it("is of the later run where an id was used again, whatever the earlier one still says", async () => {
    const earlier = entry("a", { createdMs: 1000, revision: 9, flow: "before" });
    const later = entry("a", { createdMs: 2000, revision: 1 });
    const shown = await inIndex((index) => {
      index.put(earlier);
      index.put(later);
      index.put({ ...earlier, revision: 10 });
      return [index.list(query()), index.list(query({ flow: "before" }))].map(({ runs }) => runs);
    });
    expect(shown).toEqual([[later.body], []]);
  });

  it("goes with its run, and with what is known of runs before it, but not with them", async () => {
    const shown = await inIndex((index) => {
      const left = (id: string, createdMs: number) => {
        index.put(entry(id, { createdMs: 2000 }));
        index.remove(id, createdMs);
        return idsIn(index.list(query()));
      };
      index.put(entry("z"));
      return [left("same", 2000), left("later", 2001), left("earlier", 1999)];
    });
    expect(shown).toEqual([["z"], ["z"], ["earlier", "z"]]);
  });

  it("that comes after its run was removed is found as one that is overdue, and can be removed again", async () => {
    const found = await inIndex((index) => {
      index.put(entry("a", { wakeMs: 5000 }));
      index.remove("a", 1000);
      index.put(entry("a", { wakeMs: 5000, revision: 2 }));
      const ghosts = index.overdue(60_000, 10);
      for (const { id, createdMs } of ghosts) index.remove(id, createdMs);
      return [ghosts, index.list(query()).runs, index.overdue(60_000, 10)];
    });
    expect(found).toEqual([[{ id: "a", createdMs: 1000 }], [], []]);
  });
});

describe("a list", () => {
  test.prop([fc.array(anyChange, { maxLength: 40, size: "max" }), fc.array(anyQuery, { minLength: 8, maxLength: 8 })], {
    numRuns: 60,
  })("shows on its pages what a plain search finds, after any changes", async (changes, queries) => {
    const model = new Model();
    const pages = await inIndex((index) => {
      tell(changes, index, model);
      return queries.map((asked) => walk((page) => index.list(page), asked));
    });
    for (const [at, asked] of queries.entries()) {
      const wanted = model.all(asked).map(({ body }) => body);
      expect(pages[at]).toEqual(inPages(wanted, asked.limit));
    }
  });

  /** By what never changes of a run. */
  const anyFixed = fc
    .record({ flow: fc.option(fc.constant("work")), limit: fc.integer({ min: 1, max: 3 }) })
    .map((fixed) => query(fixed));
  const anyMeanwhile = fc.array(fc.array(anyEntry, { maxLength: 4 }), { maxLength: 9, size: "max" });
  test.prop([fc.array(anyPut, { minLength: 3, maxLength: 12, size: "max" }), anyMeanwhile, anyFixed], {
    numRuns: 60,
  })(
    "misses and doubles no run that was there when its first page was read, while runs come and go on",
    async (first, [...meanwhile], asked) => {
      const { before, seen } = await inIndex((index) => {
        const model = new Model();
        tell(first, index, model);
        const before = model.all(asked);
        // A run that is known goes on; others come, before and behind the page that was read.
        const between = () => {
          for (const told of meanwhile.shift() ?? []) {
            const known = model.entries.get(told.id);
            const { flow, createdMs } = known ?? told;
            index.put(entry(known ? told.id : `${told.id}+`, { ...told, flow, createdMs }));
          }
        };
        return { before, seen: walk((page) => index.list(page), asked, between).flatMap(idsIn) };
      });
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen.filter((id) => !id.endsWith("+"))).toEqual(before.map(({ id }) => id));
    },
  );

  it("has no next page where nothing is left for it", async () => {
    const found = await inIndex((index) => {
      for (const id of ["a", "b", "c", "d"]) index.put(entry(id));
      return [2, 4, 5].map((limit) => walk((page) => index.list(page), query({ limit })).map(idsIn));
    });
    expect(found).toEqual([
      [
        ["d", "c"],
        ["b", "a"],
      ],
      [["d", "c", "b", "a"]],
      [["d", "c", "b", "a"]],
    ]);
  });

  it("answers as well from afar, and after the object was lost", async () => {
    const name = newName();
    const runs = ["a", "b", "c"].map((id, at) => entry(id, { createdMs: at, wakeMs: at }));
    for (const run of runs) await indexOf(name).put(run);
    await indexOf(name).fired("nightly", 5, "a");
    const look = async () => [
      await indexOf(name).list(query({ limit: 2 })),
      await indexOf(name).list(query({ limit: 2, after: { createdMs: 1, id: "b" } })),
      await indexOf(name).overdue(2, 9),
      await indexOf(name).crons(),
    ];
    const found = await look();
    expect(found).toEqual([
      { runs: [runs[2]?.body, runs[1]?.body], next: { createdMs: 1, id: "b" } },
      { runs: [runs[0]?.body], next: null },
      [
        { createdMs: 0, id: "a" },
        { createdMs: 1, id: "b" },
      ],
      { nightly: cron(5, "a") },
    ]);
    await evictDurableObject(indexOf(name));
    expect(await look()).toEqual(found);
    await abortAllDurableObjects();
    expect(await look()).toEqual(found);
    await indexOf(name).remove("c", 2);
    await indexOf(name).put(entry("b", { createdMs: 0, revision: 9 }));
    await indexOf(name).skipped("nightly", 6);
    await abortAllDurableObjects();
    expect((await indexOf(name).list(query())).runs).toEqual([runs[1]?.body, runs[0]?.body]);
    expect(await indexOf(name).crons()).toEqual({ nightly: cron(5, "a", 6) });
  });
});

describe("runs that are overdue", () => {
  const changes = fc.array(anyChange, { maxLength: 30, size: "max" });
  test.prop([changes, fc.array(anyWake, { minLength: 4, maxLength: 4 }), fc.integer({ min: 1, max: 5 })], {
    numRuns: 60,
  })("are those that wanted to be awake before, the longest overdue first", async (changes, times, limit) => {
    const model = new Model();
    const found = await inIndex((index) => {
      tell(changes, index, model);
      return times.map((beforeMs) => index.overdue(beforeMs, limit));
    });
    expect(found).toEqual(times.map((beforeMs) => model.overdue(beforeMs).slice(0, limit)));
  });

  it("are no longer when they were heard of, or want nothing any more", async () => {
    const found = await inIndex((index) => {
      const overdueAfter = (revision: number, wakeMs: number | null) => {
        index.put(entry("a", { revision, wakeMs }));
        return index.overdue(400_000, 9).length;
      };
      return [
        overdueAfter(1, 399_999),
        overdueAfter(2, 400_000),
        overdueAfter(3, 10),
        overdueAfter(4, null),
        overdueAfter(5, 20),
        overdueAfter(6, 9_000_000),
      ];
    });
    expect(found).toEqual([1, 0, 1, 0, 1, 0]);
  });
});

describe("a cron", () => {
  it("is remembered by the last time it started a run, and the last time it did not", async () => {
    const found = await inIndex((index) => {
      index.fired("nightly", 100, "a");
      index.skipped("nightly", 200);
      index.fired("toString", 1, "b");
      index.skipped("hourly", 300);
      const first = index.crons();
      index.fired("nightly", 300, "c");
      return [first, index.crons()];
    });
    expect(found).toEqual([
      { nightly: cron(100, "a", 200), toString: cron(1, "b") },
      { nightly: cron(300, "c", 200), toString: cron(1, "b") },
    ]);
  });

  it("is remembered by one alone of those that found the same last run", async () => {
    const found = await inIndex((index) => [
      index.fired("nightly", 100, "a", "nobody"),
      index.fired("nightly", 100, "a", null),
      index.fired("nightly", 100, "b", null),
      index.fired("nightly", 200, "c", "a"),
      index.fired("nightly", 200, "d", "a"),
      index.crons()["nightly"],
      index.started("nightly", "a"),
      index.crons()["nightly"],
      index.started("nightly", "c"),
      index.crons()["nightly"],
    ]);
    const claimed = { ...cron(200, "c"), claimedMs: expect.any(Number) };
    const started = [claimed, undefined, claimed, undefined, cron(200, "c")];
    expect(found).toEqual([false, true, false, true, false, ...started]);
  });

  it("is known by the run it started last, whatever time that was for, and by the last time it skipped", async () => {
    const found = await inIndex((index) => {
      const states: unknown[] = [];
      const keep = () => states.push(index.crons()["nightly"]);
      for (const [ms, run] of [
        [100, "a"],
        [99, "b"],
        [100, "c"],
        [101, "d"],
      ] as const) {
        index.fired("nightly", ms, run);
        keep();
      }
      for (const ms of [50, 49, 51]) {
        index.skipped("nightly", ms);
        keep();
      }
      return states;
    });
    expect(found).toEqual([
      cron(100, "a"),
      cron(99, "b"),
      cron(100, "c"),
      cron(101, "d"),
      cron(101, "d", 50),
      cron(101, "d", 50),
      cron(101, "d", 51),
    ]);
  });
});

describe("what is written", () => {
  it("is nothing where nothing is to be stored, not even tables", async () => {
    const name = newName();
    const index = indexOf(name);
    expect(await index.list(query({ flow: "work", after: { createdMs: 1, id: "a" } }))).toEqual({
      runs: [],
      next: null,
    });
    expect([await index.overdue(9, 9), await index.crons()]).toEqual([[], {}]);
    await index.remove("a", 1);
    await index.skipped("nightly", 1);
    const tables = await inIndex((_, { sql }) => sql.exec("select name from sqlite_master").toArray(), name);
    expect(tables.filter(({ name }) => !String(name).startsWith("_cf_"))).toEqual([]);
  });

  it("is nothing for a look, for what comes late and for what was said before", async () => {
    const found = await inIndex((_, storage) => {
      const { store, rows } = metered(storage);
      const told = entry("a", { revision: 2, wakeMs: 5 });
      store.put(told);
      store.fired("nightly", 5, "a");
      store.skipped("nightly", 5);
      const first = rows().written;
      store.list(query({ flow: "work", fromMs: 1 }));
      store.overdue(9, 9);
      store.crons();
      store.put(told);
      store.put({ ...told, revision: 1, status: "other" });
      store.put({ ...told, createdMs: 1, revision: 9 });
      store.remove("a", 1);
      store.remove("b", 9);
      store.fired("nightly", 5, "a");
      store.skipped("nightly", 5);
      store.skipped("hourly", 5);
      return [first > 0, rows().written];
    });
    expect(found).toEqual([true, 0]);
  });

  it("is a row for each word of a run, one more for a state, and two more at its beginning", async () => {
    const nowMs = 1_000_000_000;
    const life = [
      entry("a", { status: "queued", revision: 1, wakeMs: nowMs }),
      ...[2, 3, 4, 5].map((revision) => entry("a", { revision, wakeMs: nowMs + revision * 4000 })),
      // Until it is deleted.
      entry("a", { status: "completed", revision: 6, wakeMs: nowMs + 30 * 24 * 60 * 60 * 1000 }),
    ];
    const written = await inIndex((_, storage) => {
      const { store, rows } = metered(storage);
      store.put(entry("first"));
      rows();
      const words = life.map((told) => {
        store.put(told);
        return rows().written;
      });
      store.remove("a", 1000);
      return [...words, rows().written];
    });
    // The end is a word, a state, and a new time far away.
    expect(written).toEqual([3, 2, 1, 1, 1, 3, 1]);
  });
});

describe("a hundred thousand runs", () => {
  const RUNS = 100_000;
  const LIMIT = 100;
  const FIRST_MS = 1_700_000_000_000;
  /** Two to a millisecond in places, ids in no order. One flow, state and name is of most runs, one of one in a thousand. */
  const FILL = `
    with recursive n (i) as (select 0 union all select i + 1 from n where i < ${RUNS - 1}),
    run as (
      select
        printf('%05d', i * 7919 % 100003) id,
        ${FIRST_MS} + i - i % 7 % 2 created_ms,
        iif(i % 1009 = 0, 'seldom', 'work' || i % 3) flow,
        iif(i % 997 = 0, 'failed', iif(i % 4 = 0, 'running', 'completed')) status,
        iif(i % 3 = 0, 'http', iif(i % 3 = 1, 'cron', 'webhook')) trigger,
        iif(i % 3 = 0, null, iif(i % 991 = 0, 'seldom', 'often')) trigger_name,
        ${FIRST_MS} + i * 20000 wake_ms
      from n
    )
    insert into entry (id, created_ms, revision, flow, status, trigger, trigger_name, wake_ms, wake_slot, body)
    select id, created_ms, 1, flow, status, trigger, trigger_name, wake_ms, wake_ms / 300000,
      json_object('id', id, 'createdMs', created_ms, 'flow', flow, 'status', status, 'trigger', trigger, 'name', trigger_name,
        'text', '${"x".repeat(200)}')
    from run`;

  const middle = { fromMs: FIRST_MS + 40_000, toMs: FIRST_MS + 60_000 };
  const queries: IndexQuery[] = [{}, { flow: "work1" }, { flow: "seldom" }].flatMap((flow) =>
    [{}, { status: "completed" }, { status: "failed" }].flatMap((status) =>
      [
        {},
        { trigger: "cron" as const },
        { triggerName: "seldom" },
        { trigger: "cron" as const, triggerName: "often" },
      ].flatMap((trigger) =>
        [{}, middle].flatMap((times) =>
          [null, { createdMs: FIRST_MS + 50_000, id: "5" }].map((after) =>
            query({ ...flow, ...status, ...trigger, ...times, after, limit: LIMIT }),
          ),
        ),
      ),
    ),
  );

  it("are walked over in their index alone, from the page before to the last run of the page", async () => {
    await inIndex(async (index, storage) => {
      index.put(entry("first"));
      index.remove("first", 1000);
      storage.sql.exec(FILL);
      const { store, rows } = metered(storage);
      const places = storage.sql
        .exec<{ createdMs: number; id: string }>("select created_ms createdMs, id from entry")
        .toArray();
      const slowest = { ms: 0, read: 0, asked: {} };
      let totalMs = 0;
      for (const asked of queries) {
        rows();
        const fromMs = await now();
        const { next } = store.list(asked);
        const ms = (await now()) - fromMs;
        const { read } = rows();
        const [stop] = next ? store.list({ ...asked, after: next, limit: 1 }).runs.map(placeIn) : [];
        const passed = places.filter((place) => isBetween(place, asked, stop)).length;
        // Each run on the way is one row of the index, and each of the page one of the table. The rest is to see whether there are tables.
        if (read > passed + LIMIT + 10)
          expect.fail(`${read} rows were read on the way past ${passed}: ${JSON.stringify(asked)}`);
        totalMs += ms;
        if (ms > slowest.ms) Object.assign(slowest, { ms, read, asked });
      }
      console.log(`${queries.length} filters of ${RUNS} runs: ${totalMs / queries.length} ms a page, at most`, slowest);
      rows();
      // Half of all runs are: no more of them are read than are asked for, and those of a slot.
      expect(store.overdue(FIRST_MS + RUNS * 10_000, LIMIT)).toHaveLength(LIMIT);
      expect(rows().read).toBeLessThan(3 * LIMIT);
      // None is. What is read is of the slot that has begun.
      expect(store.overdue(FIRST_MS, LIMIT)).toEqual([]);
      expect(rows().read).toBeLessThan(50);
    });
  });
});

/** A clock stands still until something is awaited. */
async function now(): Promise<number> {
  await scheduler.wait(0);
  return performance.now();
}

/** Whether a run stands where a page looks: below the page before it, and down to the first run that is not on it. */
function isBetween(place: IndexPlace, { fromMs, toMs, after }: IndexQuery, stop: IndexPlace | undefined): boolean {
  if (place.createdMs < (fromMs ?? 0) || place.createdMs >= (toMs ?? Number.POSITIVE_INFINITY)) return false;
  return (!after || byPlace(after, place) < 0) && (!stop || byPlace(place, stop) <= 0);
}

function inPages(bodies: string[], limit: number): IndexPage[] {
  const count = Math.max(1, Math.ceil(bodies.length / limit));
  return Array.from({ length: count }, (_, at) => {
    const runs = bodies.slice(at * limit, (at + 1) * limit);
    return { runs, next: at < count - 1 ? placeIn(runs.at(-1) as string) : null };
  });
}
