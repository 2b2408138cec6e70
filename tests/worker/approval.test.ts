import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from "vitest";
import { type BaseNode, type ExecContext, NonRetryableError } from "../../src/index.ts";
import { type ApprovalShared, summarizeApprovedFlow } from "../../worker/approval.ts";
import { createModel, type Model } from "../../worker/model.ts";
import { useBucket } from "./bucket.ts";

const DAY_MS = 86_400_000;
const TEXTS = ["The sun rose. It was red.", "Rain fell all day."];
const SUMMARY = "The sun rose. It was red.\n\nRain fell all day.";
const ADA = { approved: true, by: "Ada" };
const files = useBucket();

let warn: MockInstance;
beforeEach(() => {
  warn = vi.spyOn(console, "warn");
});
afterEach(() => {
  vi.useRealTimers();
  // Each way to end is one that the flow declares.
  expect(warn).not.toHaveBeenCalled();
  warn.mockRestore();
});

function flow(model: Model = createModel({})) {
  return summarizeApprovedFlow(model, files.bucket)();
}

/** Runs the flow; each signal that is waited for brings the next of these. */
async function run(payloads: unknown[], texts = TEXTS) {
  const shared: ApprovalShared = { texts };
  const asked: string[] = [];
  const onWait = (name: string) => {
    if (asked.push(name) > payloads.length) throw new Error("Asked once more than there are answers");
    return payloads[asked.length - 1];
  };
  const action = await flow().run(shared, { onWait });
  return { action, shared, asked };
}

async function published(): Promise<{ [key: string]: string }> {
  const { objects } = await files.bucket.list();
  const texts = objects.map(async ({ key }) => [key, await (await files.bucket.get(key))?.text()]);
  return Object.fromEntries(await Promise.all(texts));
}

/** The flow's nodes, to call exec as a crash would have it called again. */
function nodes() {
  const summarize = flow().start;
  const approval = summarize.getNextNode() as BaseNode;
  return { approval, publish: approval.getNextNode("approved") as BaseNode };
}

describe("an approval", () => {
  test("publishes the summary, and says who has given it and when", async () => {
    const at = new Date("2026-11-23T12:00:00Z");
    vi.useFakeTimers({ toFake: ["Date"], now: at });
    const { action, shared, asked } = await run([ADA]);
    expect(action).toBe("approved");
    expect(asked).toEqual(["approval"]);
    expect(shared).toMatchObject({ summary: SUMMARY, decision: { ...ADA, at } });
    expect(shared.published).toMatch(/^published\/[^/]+\.md$/);
    expect(await published()).toEqual({ [shared.published as string]: SUMMARY });
    const head = await files.bucket.head(shared.published as string);
    expect(head?.httpMetadata?.contentType).toBe("text/markdown; charset=utf-8");
  });

  test("is of the time when it came, not of that when the run went on", async () => {
    const shared: ApprovalShared = { texts: TEXTS };
    const at = new Date("2026-11-23T12:00:00Z");
    expect(await nodes().approval.post(shared, "approval", { name: "approval", payload: ADA, at })).toBe("approved");
    expect(shared.decision).toEqual({ ...ADA, at });
  });

  test("of each run is a file of its own", async () => {
    const [one, other] = [await run([ADA]), await run([ADA], ["Snow fell."])];
    expect(await published()).toEqual({
      [one.shared.published as string]: SUMMARY,
      [other.shared.published as string]: "Snow fell.",
    });
  });

  test.each([undefined, null, 5, "", ["Ada"], { name: "Ada" }])("by %j is by nobody that it names", async (by) => {
    const { shared } = await run([{ approved: true, by }]);
    expect(shared.decision?.by).toBe(typeof by === "string" ? by : null);
  });

  test("is asked for where there was nothing to summarize, too", async () => {
    const { shared } = await run([ADA], []);
    expect(await published()).toEqual({ [shared.published as string]: "" });
  });

  test("is asked for once the summary is there, and never where there is none", async () => {
    const asked: (string | undefined)[] = [];
    const shared: ApprovalShared = { texts: TEXTS };
    const onWait = () => {
      asked.push(shared.summary);
      return ADA;
    };
    await flow().run(shared, { onWait });
    const refuse = () => Promise.reject(new NonRetryableError("No model"));
    await expect(flow(refuse).run({ texts: TEXTS }, { onWait })).rejects.toThrow("No model");
    expect(asked).toEqual([SUMMARY]);
  });
});

describe("a rejection", () => {
  test("ends the run with who it was, and publishes nothing", async () => {
    const { action, shared } = await run([{ approved: false, by: "Grace" }]);
    expect(action).toBe("rejected");
    expect(shared.decision).toEqual({ approved: false, by: "Grace", at: expect.any(Date) });
    expect(shared).not.toHaveProperty("published");
    expect(await published()).toEqual({});
  });
});

describe("what is no decision", () => {
  test.each([
    null,
    undefined,
    "yes",
    true,
    1,
    [],
    [true],
    {},
    { approved: "yes" },
    { approved: 1 },
    { approved: null },
    { by: "Ada" },
  ])("%j is asked for again", async (payload) => {
    const { action, shared, asked } = await run([payload, payload, { approved: false }]);
    expect(asked).toEqual(["approval", "approval", "approval"]);
    expect(action).toBe("rejected");
    expect(shared.decision).toEqual({ approved: false, by: null, at: expect.any(Date) });
  });

  test("leaves no decision behind", async () => {
    const shared: ApprovalShared = { texts: TEXTS };
    const found: unknown[] = [];
    const onWait = () => {
      found.push(shared.decision, shared.published);
      return found.length > 2 ? ADA : { approved: "yes", by: "Grace" };
    };
    await flow().run(shared, { onWait });
    expect(found).toEqual([undefined, undefined, undefined, undefined]);
  });
});

describe("nobody's decision", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  });

  /** Runs the flow, and gives how many days it took until it ended. */
  async function days(onWait: () => unknown) {
    const shared: ApprovalShared = { texts: TEXTS };
    const fromMs = Date.now();
    const end = flow()
      .run(shared, { onWait })
      .then((action) => ({ action, shared, days: (Date.now() - fromMs) / DAY_MS }));
    await vi.runAllTimersAsync();
    return end;
  }

  test("ends the run after a week, and publishes nothing", async () => {
    const never = new Promise(() => {});
    const ended = await days(() => never);
    expect(ended).toMatchObject({ action: "timeout", days: 7, shared: { summary: SUMMARY } });
    expect(ended.shared).not.toHaveProperty("decision");
    expect(ended.shared).not.toHaveProperty("published");
    vi.useRealTimers();
    expect(await published()).toEqual({});
  });

  test("is waited for another week after what was none", async () => {
    const payloads = [new Promise((resolve) => setTimeout(resolve, 6 * DAY_MS, "soon")), new Promise(() => {})];
    expect(await days(() => payloads.shift())).toMatchObject({ action: "timeout", days: 13 });
  });
});

describe("a publication", () => {
  const attempt = (idempotencyKey: string) => ({ idempotencyKey }) as ExecContext;

  test("that a crash or a failure repeats is the same file", async () => {
    const { publish } = nodes();
    for (const key of ["01J/6/0/1", "01J/6/0/1", "01J/6/0/2", "01J/6/0/r1/1"]) {
      expect(await publish.exec("text", attempt(key))).toBe("published/01J.md");
    }
    expect(await published()).toEqual({ "published/01J.md": "text" });
  });

  test("is tried again", () => {
    expect(nodes().publish["_options"]).toMatchObject({ maxRetries: 3, wait: 1, backoff: 2 });
  });
});
