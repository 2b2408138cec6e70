import * as v from "valibot";
import {
  AsyncFlow,
  AsyncNode,
  AsyncParallelBatchNode,
  type ExecContext,
  type NonIterableObject,
  type Outcome,
  RetryAfterError,
} from "../src/index.ts";
import { PUBLISHED } from "./approval.ts";
import { JOBS } from "./bulk.ts";
import { textOf } from "./files.ts";
import { expected, expectedEntry } from "./input.ts";
import { estimateTokens } from "./limits.ts";
import type { Model } from "./model.ts";
import { DEFAULT_CONCURRENCY, PATIENCE } from "./summarize.ts";

/** The flow's input, and what it adds to it. All times are as `Date.toISOString` writes them, so that they compare as strings. */
export interface DigestShared {
  /** Files that came later belong to the next digest. */
  until: string;
  /** Files that came until then were in the digest before. */
  since?: string;
  found?: NewFile[];
  entries?: Entry[];
  /** The document's key; nothing where no file is new. */
  digest?: string | null;
  /** How many files are new, and how many of them could not be summarized. */
  files?: number;
  failed?: number;
}

interface NewFile {
  key: string;
  size: number;
}

/** What the document says of one file. */
type Entry = { key: string; summary: string } | { key: string; error: string };

/** The part of a document that one run has written. */
interface Section {
  since: string;
  until: string;
  entries: Entry[];
}

const UNTIL = "`until` to be an ISO timestamp, such as `2026-11-23T06:00:00.000Z`";
const time = v.pipe(
  v.string(expected(UNTIL)),
  v.isoTimestamp(expected(UNTIL)),
  v.toDate(`Expected ${UNTIL}, got none that can be read`),
  v.transform((date) => date.toISOString()),
);

/** What a run of `digest` is started with: for a cron, the time it was to run at. */
export const digestInput = v.object({ until: time }, expectedEntry(UNTIL));

const FOLDER = "digests/";
/** What flows of this Worker write to the bucket: nothing that came. */
const OWN = [FOLDER, PUBLISHED, JOBS];
/** Before anything was in any bucket. */
const BEGINNING = new Date(0).toISOString();
const BYTES_PER_TOKEN = 4;

/**
 * The flow `digest`: summarizes the files that came into the bucket since the digest before, and writes the summaries to
 * `digests/<date>.md`. A file that fails is listed there as failed, and a redrive of the run replaces its part of the document.
 * Each digest takes on where the latest ended: one that comes late or out of order finds what no other has. R2 cannot list by
 * time, so each reads the whole bucket's list. `concurrency` is how many files of one run are with the model at once.
 *
 * @example
 * const shared: DigestShared = { until: new Date().toISOString() };
 * await digestFlow(createModel({}), env.FILES)().runAsync(shared);
 * shared.digest; // "digests/2026-11-23.md"
 */
export function digestFlow(
  model: Model,
  bucket: R2Bucket,
  concurrency = DEFAULT_CONCURRENCY,
): () => AsyncFlow<DigestShared> {
  type Found = Pick<Required<DigestShared>, "since" | "found">;

  class ListNew extends AsyncNode<DigestShared, NonIterableObject, string, Found> {
    override async prepAsync(shared: DigestShared) {
      return shared.until;
    }

    override async execAsync(until: string) {
      const earlyMs = Date.parse(until) - Date.now();
      // What is still to come would be lost: the next digest begins where this one ends.
      if (earlyMs > 0) throw new RetryAfterError(`The digest until ${until} is not due yet`, { retryAfterMs: earlyMs });
      const since = await latestUntil(bucket);
      return { since, found: await filesBetween(bucket, since, until) };
    }

    override async postAsync(shared: DigestShared, _until: string, { since, found }: Found) {
      Object.assign(shared, { since, found, digest: null, files: found.length, failed: 0 });
      return found.length === 0 ? "nothing" : "default";
    }
  }

  class SummarizeNew extends AsyncParallelBatchNode<DigestShared, NonIterableObject, NewFile, string> {
    override async prepAsync(shared: DigestShared) {
      return shared.found;
    }

    override async execAsync({ key }: NewFile, context: ExecContext) {
      return model(await textOf(bucket, key), context);
    }

    override async postAsync(shared: DigestShared, found: NewFile[], outcomes: Outcome<string>[]) {
      shared.entries = found.map(({ key }, index) => entryOf(key, outcomes[index] as Outcome<string>));
      shared.failed = outcomes.filter(({ ok }) => !ok).length;
    }
  }

  class WriteDigest extends AsyncNode<DigestShared, NonIterableObject, Section, string> {
    override async prepAsync({ since, until, entries }: DigestShared) {
      return { since, until, entries } as Section;
    }

    override async execAsync(section: Section) {
      return write(bucket, section);
    }

    override async postAsync(shared: DigestShared, _section: Section, digest: string) {
      shared.digest = digest;
    }
  }

  return () => {
    const list = new ListNew(PATIENCE);
    const tokens = ({ size }: NewFile) => estimateTokens("") + Math.ceil(size / BYTES_PER_TOKEN);
    const limit = { name: "llm", tokens };
    list
      .end("nothing")
      .next(new SummarizeNew({ ...PATIENCE, concurrency, limit, onItemError: "collect" }))
      .next(new WriteDigest(PATIENCE));
    return new AsyncFlow(list);
  };
}

/** Where the latest digest ended. */
async function latestUntil(bucket: R2Bucket): Promise<string> {
  let latest = BEGINNING;
  for await (const { customMetadata } of listAll(bucket, { prefix: FOLDER, include: ["customMetadata"] })) {
    const until = customMetadata?.["until"] ?? "";
    if (until > latest && v.is(time, until)) latest = until;
  }
  return latest;
}

async function filesBetween(bucket: R2Bucket, since: string, until: string): Promise<NewFile[]> {
  const found: NewFile[] = [];
  for await (const { key, size, uploaded } of listAll(bucket, {})) {
    const time = uploaded.toISOString();
    if (!OWN.some((folder) => key.startsWith(folder)) && time > since && time <= until) found.push({ key, size });
  }
  return found;
}

/** All objects, page by page. A page may hold fewer than were asked for: only `truncated` tells whether it is the last. */
async function* listAll(bucket: R2Bucket, options: R2ListOptions): AsyncGenerator<R2Object> {
  let page = await bucket.list(options);
  yield* page.objects;
  while (page.truncated) {
    page = await bucket.list({ ...options, cursor: page.cursor });
    yield* page.objects;
  }
}

function entryOf(key: string, outcome: Outcome<string>): Entry {
  return outcome.ok ? { key, summary: outcome.value } : { key, error: outcome.error.message };
}

/**
 * Puts a section into its day's document, in place of what an earlier execution has written there. Of two runs that write at
 * once one fails, and is repeated.
 */
async function write(bucket: R2Bucket, { since, until, entries }: Section): Promise<string> {
  const date = until.slice(0, "2026-11-23".length);
  const key = `${FOLDER}${date}.md`;
  const old = await bucket.get(key);
  const sections = sectionsOf(old === null ? "" : await old.text());
  sections.set(until, render({ since, until, entries }));
  const times = [...sections.keys()].sort();
  const text = [`# Digest of ${date}`, ...times.map((time) => sections.get(time))].join("\n\n");
  const written = await bucket.put(key, `${text}\n`, {
    onlyIf: old === null ? { etagDoesNotMatch: "*" } : { etagMatches: old.etag },
    httpMetadata: { contentType: "text/markdown; charset=utf-8" },
    customMetadata: { since: earlier(since, old?.customMetadata?.["since"]), until: times.at(-1) as string },
  });
  if (written === null) throw new Error(`Expected ${key} to stay as it was read, got another version`);
  return key;
}

function earlier(since: string, other = since): string {
  return other < since ? other : since;
}

// A section begins with such a heading. Nothing that comes from outside begins a line of the document.
const HEADING = /^## Until (\S+)$/m;

/** The text of each section by its `until`, in a document that was written here. */
function sectionsOf(document: string): Map<string, string> {
  const sections = new Map<string, string>();
  for (const text of document.split(/^(?=## Until )/m)) {
    const until = HEADING.exec(text)?.[1];
    if (until !== undefined) sections.set(until, text.trimEnd());
  }
  return sections;
}

function render({ since, until, entries }: Section): string {
  const count = `${entries.length} ${entries.length === 1 ? "file" : "files"} since ${since}`;
  return [`## Until ${until}`, count, ...entries.map(renderEntry)].join("\n\n");
}

function renderEntry(entry: Entry): string {
  const body = "error" in entry ? `Failed:\n\n${quoted(entry.error)}` : quoted(entry.summary);
  return `### ${code(entry.key)}\n\n${body}`;
}

/** On one line whatever the text is, and within more backticks than any it has. */
function code(text: string): string {
  const line = text.replace(/[\p{Cc}\u2028\u2029]/gu, "\ufffd");
  const longest = Math.max(0, ...(line.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  // Markdown takes one space away from both ends.
  const room = /^[` ]|[` ]$/.test(line) ? " " : "";
  return `${fence}${room}${line}${room}${fence}`;
}

/** A summary may be Markdown, but ends where the quote does. HTML would not: an open tag takes in all that follows. */
function quoted(text: string): string {
  const lines = text
    .trim()
    .replaceAll("<", "&lt;")
    .split(/\r\n|[\r\n\u2028\u2029]/);
  return lines.map((line) => `> ${line}`.trimEnd()).join("\n");
}
