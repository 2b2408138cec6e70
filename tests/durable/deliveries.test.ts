import { describe, expect, it } from "vitest";
import { NEW_RUN, type RunState } from "../../src/core/run.ts";
import { afterTry, announced } from "../../src/durable/deliveries.ts";
import type { DeliveryRow } from "../../src/durable/delivery-store.ts";

const END_MS = Date.UTC(2026, 10, 23, 12);
const MINUTE_MS = 60_000;
/** Its id may have been another run's, which was created at another time. */
const RUN = { id: "01RUN", createdMs: END_MS - MINUTE_MS };
const HOUR_MS = 60 * MINUTE_MS;

const ended = (more: Partial<RunState> = {}): RunState => ({
  ...NEW_RUN,
  status: "completed",
  finishedMs: END_MS,
  ...more,
});

/** An end that nobody has been told of yet. */
const fresh = announced(RUN, ended());

/** What comes of a message that was tried so often, and each time the receiver was away. */
function tried(times: number): DeliveryRow {
  let row = fresh;
  for (let time = 0; time < times; time++) row = afterTry(row, { httpStatus: 503, error: null }, END_MS);
  return row;
}

describe("an end that is announced", () => {
  it.each(["completed", "failed", "canceled"] as const)("is due at once, and says that the run has %s", (status) => {
    expect(announced(RUN, ended({ status }))).toEqual({
      ...{
        id: expect.stringMatching(/^msg_01RUN_\w+_0$/),
        type: `run.${status}`,
        status: "pending",
        createdMs: END_MS,
        dueMs: END_MS,
      },
      ...{ tries: 0, triedMs: null, httpStatus: null, error: null },
    });
  });

  it("has an id of its own, of its run, of that one's life and of its redrive, that is the same whenever it is announced", () => {
    const ids = [RUN, { ...RUN, id: "01OTHER" }, { ...RUN, createdMs: END_MS }].flatMap((run) =>
      [0, 1, 2, 11].map((redriveCount) => announced(run, ended({ redriveCount })).id),
    );
    expect(new Set(ids).size).toBe(12);
    expect(announced(RUN, ended({ redriveCount: 1 })).id).toBe(ids[1]);
    // What is signed is `id.timestamp.body`: an id with a dot could be read as another.
    for (const id of ids) expect(id).toMatch(/^[\w-]+$/);
  });
});

describe("a try", () => {
  it.each([200, 201, 202, 204, 299])("that was answered with %i has delivered it", (httpStatus) => {
    const row = afterTry(tried(2), { httpStatus, error: null }, END_MS + 5);
    expect(row).toEqual({
      ...tried(2),
      ...{ status: "delivered", tries: 3, dueMs: null, triedMs: END_MS + 5, httpStatus, error: null },
    });
  });

  it.each([100, 199, 300, 301, 302, 304, 307, 308, 400, 401, 404, 409, 411, 422, 429, 500, 502, 503, 599])(
    "that was answered with %i is repeated",
    (httpStatus) => {
      expect(afterTry(fresh, { httpStatus, error: null }, END_MS + 5)).toEqual({
        ...fresh,
        ...{ status: "pending", tries: 1, dueMs: END_MS + 5 + 5_000, triedMs: END_MS + 5, httpStatus },
        error: `The receiver answered with status ${httpStatus}`,
      });
    },
  );

  it("that was not answered is repeated, and says why", () => {
    const row = afterTry(tried(1), { httpStatus: null, error: "Network connection lost." }, END_MS);
    expect(row).toMatchObject({ status: "pending", tries: 2, httpStatus: null, error: "Network connection lost." });
    expect(row.dueMs).toBe(END_MS + 5 * MINUTE_MS);
  });

  it("that was answered with 410 is the last, whichever it is", () => {
    for (const times of [0, 3, 7]) {
      const row = afterTry(tried(times), { httpStatus: 410, error: null }, END_MS);
      expect(row).toMatchObject({ status: "failed", tries: times + 1, dueMs: null, httpStatus: 410 });
      expect(row.error).toBe("The receiver answered with status 410");
    }
  });

  it("is followed by the next after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 14 h, and the eighth is the last", () => {
    const waits = [1, 2, 3, 4, 5, 6, 7].map((times) => {
      expect(tried(times)).toMatchObject({ status: "pending", tries: times });
      return (tried(times).dueMs as number) - END_MS;
    });
    const [soon, ...hours] = [5_000, 2, 5, 10, 14];
    expect(waits).toEqual([soon, 5 * MINUTE_MS, 30 * MINUTE_MS, ...hours.map((hour) => hour * HOUR_MS)]);
    expect(tried(8)).toMatchObject({ status: "failed", tries: 8, dueMs: null, httpStatus: 503 });
  });

  it("leaves the message what it was", () => {
    const { id, type, createdMs } = tried(8);
    expect({ id, type, createdMs }).toEqual({ id: fresh.id, type: fresh.type, createdMs: fresh.createdMs });
  });

  it("keeps no more than a line of what went wrong", () => {
    const { error } = afterTry(fresh, { httpStatus: null, error: "x".repeat(10_000) }, END_MS);
    expect(error).toBe("x".repeat(300));
  });

  it("that delivers forgets why the one before it failed", () => {
    expect(afterTry(tried(1), { httpStatus: 200, error: null }, END_MS).error).toBeNull();
  });
});
