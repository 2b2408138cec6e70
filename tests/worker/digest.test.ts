import { setTimeout as sleep } from "node:timers/promises";
import * as v from "valibot";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { type BaseNode, NonRetryableError } from "../../src/index.ts";
import { summarizeApprovedFlow } from "../../worker/approval.ts";
import { summarizeBulkFlow } from "../../worker/bulk.ts";
import { type DigestShared, digestFlow, digestInput } from "../../worker/digest.ts";
import { createModel, type Model } from "../../worker/model.ts";
import { useBucket } from "./bucket.ts";

const DAY_MS = 86_400_000;
const BEGINNING = "1970-01-01T00:00:00.000Z";
const files = useBucket();

// Files come in now, and two digests on one day must not find midnight between them.
beforeEach(async () => {
  const leftMs = DAY_MS - (Date.now() % DAY_MS);
  if (leftMs < 5_000) await sleep(leftMs);
}, 10_000);

/** Puts a file, and says when it came. No two come at the same time. */
async function put(key: string, text: string | Uint8Array = "text"): Promise<string> {
  const { uploaded } = (await files.bucket.put(key, text)) as R2Object;
  await sleep(2);
  return uploaded.toISOString();
}

async function run(until = new Date().toISOString(), model: Model = createModel({})): Promise<DigestShared> {
  const shared: DigestShared = { until };
  await digestFlow(model, files.bucket)().runAsync(shared);
  return shared;
}

/** The flow's nodes, to call exec as a crash would have it called again. */
function nodes() {
  const list = digestFlow(createModel({}), files.bucket)().start;
  const summarize = list.getNextNode() as BaseNode;
  return { list, summarize, write: summarize.getNextNode() as BaseNode };
}

/** What WriteDigest is given. */
function section(until: string, text: string, since = BEGINNING) {
  return { since, until, entries: [{ key: `${text}.txt`, summary: text }] };
}

async function documentOf(key: string) {
  const document = await files.bucket.get(key);
  return { text: await document?.text(), metadata: document?.customMetadata };
}

async function digests(): Promise<string[]> {
  return (await files.bucket.list({ prefix: "digests/" })).objects.map(({ key }) => key);
}

describe("a digest", () => {
  test("is a document of the day with each file's summary, and says which time it is of", async () => {
    await put("notes/monday.txt", "The sun shone.");
    const until = await put("notes/tuesday.txt", "Rain fell.");
    const digest = `digests/${until.slice(0, 10)}.md`;
    expect(await run(until)).toMatchObject({ digest, files: 2, failed: 0 });
    expect(await documentOf(digest)).toEqual({
      text: `# Digest of ${until.slice(0, 10)}

## Until ${until}

2 files since ${BEGINNING}

### \`notes/monday.txt\`

> The sun shone.

### \`notes/tuesday.txt\`

> Rain fell.
`,
      metadata: { since: BEGINNING, until },
    });
    expect((await files.bucket.head(digest))?.httpMetadata?.contentType).toBe("text/markdown; charset=utf-8");
  });

  test("asks the model once about each file", async () => {
    await put("a", "one");
    await put("b", "two");
    const asked: string[] = [];
    await run(undefined, async (text, { signal, idempotencyKey }) => {
      expect(signal.aborted).toBe(false);
      expect(idempotencyKey).toMatch(/./);
      asked.push(text);
      return text;
    });
    expect(asked.sort()).toEqual(["one", "two"]);
  });

  test("is tried again at each node", () => {
    expect(Object.values(nodes()).map((node) => node["_options"].maxRetries)).toEqual([5, 5, 5]);
  });

  test("has as many files with the model at once as it is told", () => {
    const list = digestFlow(createModel({}), files.bucket, 7)().start;
    expect(list.getNextNode()?.["_options"].concurrency).toBe(7);
  });

  test("keeps the limit `llm` by an estimate of each file's size, and only where the model is asked", () => {
    const { list, summarize, write } = nodes();
    expect([list, write].map((node) => node["_options"].limit)).toEqual([undefined, undefined]);
    const { name, tokens } = summarize["_options"].limit as { name: string; tokens(file: object): number };
    expect(name).toBe("llm");
    expect(tokens({ key: "a", size: 400 }) - tokens({ key: "a", size: 0 })).toBe(100);
    expect(tokens({ key: "a", size: 0 })).toBeGreaterThan(0);
  });
});

describe("what belongs to a digest", () => {
  test("came after the one before, and until this one's time", async () => {
    const first = await put("a");
    const second = await put("b");
    await put("c");
    expect(await run(first)).toMatchObject({ since: BEGINNING, files: 1, found: [{ key: "a", size: 4 }] });
    expect(await run(second)).toMatchObject({ since: first, files: 1, found: [{ key: "b", size: 4 }] });
    expect(await run()).toMatchObject({ since: second, files: 1, found: [{ key: "c", size: 4 }] });
  });

  test("is a file once more that came once more", async () => {
    const first = await put("a", "one");
    await run(first);
    await put("a", "three");
    expect((await run()).found).toEqual([{ key: "a", size: 5 }]);
  });

  test.each(["digests", "jobs", "published"])("is nothing of the folder %s, but of folders beside it", async (own) => {
    await put(`${own}/by-hand.txt`);
    await put(`${own}-of-others.txt`);
    await put(`old/${own}/a.txt`);
    const beside = [`${own}-of-others.txt`, `old/${own}/a.txt`];
    expect((await run()).found?.map(({ key }) => key)).toEqual(beside.sort());
  });

  test("is nothing that the other flows have written", async () => {
    const model = createModel({});
    await put("notes/monday.txt", "The sun shone.");
    await summarizeBulkFlow({}, files.bucket)().run({ texts: ["Rain fell."] });
    await summarizeApprovedFlow(model, files.bucket)().run(
      { texts: ["Snow fell."] },
      { onWait: () => ({ approved: true }) },
    );
    expect((await files.bucket.list()).objects).toHaveLength(3);
    expect((await run()).found?.map(({ key }) => key)).toEqual(["notes/monday.txt"]);
  });

  test("takes no other object of the folder for a digest", async () => {
    await files.seed([
      { key: "digests/a", customMetadata: { until: "soon" } },
      { key: "digests/b", customMetadata: { until: "" } },
      { key: "digests/c" },
    ]);
    expect((await run()).since).toBe(BEGINNING);
  });

  test("begins where the latest one ended, in whichever order they are listed", async () => {
    const [early, late] = ["2020-01-01T06:00:00.000Z", "2020-01-02T06:00:00.000Z"];
    await files.seed([
      { key: "digests/2020-01-02.md", customMetadata: { until: late } },
      { key: "digests/copy-of-2020-01-01.md", customMetadata: { until: early } },
    ]);
    expect((await run()).since).toBe(late);
  });

  test("is nothing new where a later digest was first", async () => {
    const early = await put("a");
    const late = await put("b");
    const { digest } = await run(late);
    const before = await documentOf(digest as string);
    expect(await run(early)).toMatchObject({ digest: null, files: 0 });
    expect(await run(late)).toMatchObject({ digest: null, files: 0 });
    expect(await documentOf(digest as string)).toEqual(before);
  });

  test("is not looked for before its time", async () => {
    await put("a");
    const until = new Date(Date.now() + 500).toISOString();
    expect((await run(until)).files).toBe(1);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(until));
  });
});

describe("without anything new", () => {
  test("no document is written, and the flow ends as it is meant to", async () => {
    const warn = vi.spyOn(console, "warn");
    onTestFinished(() => warn.mockRestore());
    expect(await run()).toMatchObject({ digest: null, files: 0, failed: 0 });
    expect(await digests()).toEqual([]);
    expect(warn).not.toHaveBeenCalled();
  });
});

describe("a second digest on one day", () => {
  test("comes after the first in the same document", async () => {
    const first = await put("a", "One.");
    const { digest } = await run(first);
    const before = await documentOf(digest as string);
    const second = await put("b", "Two.");
    expect((await run(second)).digest).toBe(digest);
    expect(await documentOf(digest as string)).toEqual({
      text: `${before.text}\n## Until ${second}\n\n1 file since ${first}\n\n### \`b\`\n\n> Two.\n`,
      metadata: { since: BEGINNING, until: second },
    });
  });

  test("comes before the first where it is of an earlier time", async () => {
    const { write } = nodes();
    await write.exec(section("2026-11-23T18:00:00.000Z", "evening", "2026-11-23T12:00:00.000Z"));
    await write.exec(section("2026-11-23T12:00:00.000Z", "noon", "2026-11-23T06:00:00.000Z"));
    const { text, metadata } = await documentOf("digests/2026-11-23.md");
    expect(text?.match(/^> .*$/gm)).toEqual(["> noon", "> evening"]);
    expect(metadata).toEqual({ since: "2026-11-23T06:00:00.000Z", until: "2026-11-23T18:00:00.000Z" });
  });

  test.each([
    ["no document yet", []],
    ["a document", [section("2026-11-23T05:00:00.000Z", "hour 5")]],
  ])("loses nothing of the first where both are written at once, and there is %s", async (_, before) => {
    const { write } = nodes();
    for (const each of before) await write.exec(each);
    const sections = [6, 7, 8, 9].map((hour) => section(`2026-11-23T0${hour}:00:00.000Z`, `hour ${hour}`));
    const written = await Promise.allSettled(sections.map((each) => write.exec(each)));
    const { text } = await documentOf("digests/2026-11-23.md");
    const kept = sections.filter((_, index) => written[index]?.status === "fulfilled");
    expect(kept).not.toEqual([]);
    expect(text?.match(/^## .*$/gm)).toEqual([...before, ...kept].map(({ until }) => `## Until ${until}`));
    for (const { status, ...rest } of written) {
      if (status === "fulfilled") continue;
      expect(rest).toMatchObject({
        reason: { message: "Expected digests/2026-11-23.md to stay as it was read, got another version" },
      });
    }
    for (const each of sections) await write.exec(each);
    expect((await documentOf("digests/2026-11-23.md")).text?.match(/^## /gm)).toHaveLength(before.length + 4);
  });

  test("has a document of its own where midnight (UTC) is between them", async () => {
    const { write } = nodes();
    expect(await write.exec(section("2026-11-23T23:59:59.999Z", "a"))).toBe("digests/2026-11-23.md");
    expect(await write.exec(section("2026-11-24T00:00:00.000Z", "b"))).toBe("digests/2026-11-24.md");
    expect(await digests()).toEqual(["digests/2026-11-23.md", "digests/2026-11-24.md"]);
  });
});

describe("exec that a crash repeats", () => {
  test("lists the same", async () => {
    const until = await put("a");
    const { list } = nodes();
    expect(await list.exec(until)).toEqual(await list.exec(until));
  });

  test("writes the same document", async () => {
    const { write } = nodes();
    const morning = section("2026-11-23T06:00:00.000Z", "morning");
    const noon = section("2026-11-23T12:00:00.000Z", "noon", morning.until);
    expect(await write.exec(morning)).toBe("digests/2026-11-23.md");
    const first = await documentOf("digests/2026-11-23.md");
    expect(await write.exec(morning)).toBe("digests/2026-11-23.md");
    expect(await documentOf("digests/2026-11-23.md")).toEqual(first);
    await write.exec(noon);
    const second = await documentOf("digests/2026-11-23.md");
    for (const each of [noon, morning, noon]) await write.exec(each);
    expect(await documentOf("digests/2026-11-23.md")).toEqual(second);
    expect(second.text?.match(/^> .*$/gm)).toEqual(["> morning", "> noon"]);
  });

  test("after a redrive writes what has become of the failed files", async () => {
    const { write } = nodes();
    const morning = section("2026-11-23T06:00:00.000Z", "morning");
    const noon = section("2026-11-23T12:00:00.000Z", "noon", morning.until);
    await write.exec({ ...morning, entries: [{ key: "a", error: "busy" }] });
    await write.exec(noon);
    await write.exec(morning);
    const { text } = await documentOf("digests/2026-11-23.md");
    expect(text?.match(/^> .*$/gm)).toEqual(["> morning", "> noon"]);
    expect(text).not.toContain("Failed");
  });
});

describe("a file that fails", () => {
  test("is listed as failed, and costs no other its summary", async () => {
    await put("a.txt", "Fine.");
    await put("b.png", new Uint8Array([0xff]));
    await put("c.txt", "refuse me");
    const model: Model = async (text) => {
      if (text === "refuse me") throw new NonRetryableError("The vendor\nrefused");
      return text;
    };
    const { digest, ...counts } = await run(undefined, model);
    expect(counts).toMatchObject({ files: 3, failed: 2 });
    expect((await documentOf(digest as string)).text?.split("\n\n").slice(3)).toEqual([
      "### `a.txt`",
      "> Fine.",
      "### `b.png`",
      "Failed:",
      "> Expected `b.png` in the bucket FILES to be text in UTF-8, got other bytes",
      "### `c.txt`",
      "Failed:",
      "> The vendor\n> refused\n",
    ]);
  });

  test("may have gone since it was listed", async () => {
    const { summarize } = nodes();
    const gone = summarize.exec({ key: "gone", size: 1 });
    await expect(gone).rejects.toThrow(new NonRetryableError("Expected a file `gone` in the bucket FILES, got none"));
  });
});

describe("a document stays whole", () => {
  const FORGED = "## Until 2026-11-23T06:00:00.000Z";
  const UNTIL = "2026-11-23T12:00:00.000Z";

  test.each([
    ["a.txt", "### `a.txt`"],
    ["my_file*[x](y)<b>&amp;#", "### `my_file*[x](y)<b>&amp;#`"],
    ["a`b", "### ``a`b``"],
    ["`a``", "### ``` `a`` ```"],
    [" a ", "### `  a  `"],
    ["a\n# Title", "### `a\ufffd# Title`"],
    ["a\r\n\u2028\u2029\u0000b", "### `a\ufffd\ufffd\ufffd\ufffd\ufffdb`"],
  ])("with the key %j", async (key, heading) => {
    await nodes().write.exec({ since: BEGINNING, until: UNTIL, entries: [{ key, summary: "text" }] });
    const { text } = await documentOf("digests/2026-11-23.md");
    expect(text?.split("\n").slice(6)).toEqual([heading, "", "> text", ""]);
  });

  test.each(["\n", "\r\n", "\r", "\u2028", "\u2029"])("with a heading after %j in a summary", async (end) => {
    const { write } = nodes();
    const hostile = ["text", FORGED, "", "~~~"].join(end);
    const entries = [
      { key: `a${end}${FORGED}`, summary: hostile },
      { key: "b", error: hostile },
    ];
    const forged = { since: BEGINNING, until: UNTIL, entries };
    await write.exec(forged);
    const once = await documentOf("digests/2026-11-23.md");
    const quote = ["> text", `> ${FORGED}`, ">", "> ~~~"];
    expect(once.text?.match(/^>.*/gm)).toEqual([...quote, ...quote]);
    await write.exec(forged);
    expect(await documentOf("digests/2026-11-23.md")).toEqual(once);
    await write.exec(section("2026-11-23T06:00:00.000Z", "morning"));
    const { text } = await documentOf("digests/2026-11-23.md");
    expect(text?.match(/^## .*$/gm)).toEqual([FORGED, `## Until ${UNTIL}`]);
  });

  test("with HTML in a summary, and with space around it", async () => {
    const entries = [{ key: "a", summary: "\n <script> <!-- 1 < 2\n\n" }];
    await nodes().write.exec({ since: BEGINNING, until: UNTIL, entries });
    expect((await documentOf("digests/2026-11-23.md")).text).toMatch(/### `a`\n\n> &lt;script> &lt;!-- 1 &lt; 2\n$/);
  });
});

describe("the input of digest", () => {
  test.each([
    ["2026-11-23T06:00:00.000Z", "2026-11-23T06:00:00.000Z"],
    ["2026-11-23T06:00:00Z", "2026-11-23T06:00:00.000Z"],
    ["2026-11-23T06:00:00+02:00", "2026-11-23T04:00:00.000Z"],
  ])("is a time: %s", (until, normal) => {
    expect(v.parse(digestInput, { until, since: "now" })).toEqual({ until: normal });
  });

  test.each([
    [{}, "undefined"],
    [{ until: 1_795_413_600_000 }, "a number"],
    [{ until: "2026-11-23" }, "`2026-11-23`"],
    [{ until: "2026-11-23T06:00:00+05" }, "none that can be read"],
    [{ until: "tomorrow" }, "`tomorrow`"],
  ])("is not %j", (input, got) => {
    const message = `Expected \`until\` to be an ISO timestamp, such as \`2026-11-23T06:00:00.000Z\`, got ${got}`;
    expect(v.safeParse(digestInput, input).issues?.map((issue) => issue.message)).toEqual([message]);
  });
});
