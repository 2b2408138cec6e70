import * as v from "valibot";
import {
  type AsyncFlow,
  AsyncNode,
  AsyncParallelBatchFlow,
  type ExecContext,
  NonRetryableError,
} from "../src/index.ts";
import { expected, expectedEntry } from "./input.ts";
import { estimateTokens } from "./limits.ts";
import type { Model } from "./model.ts";
import { DEFAULT_CONCURRENCY, PATIENCE } from "./summarize.ts";

/** The flow's input, and what it adds to it. Maps, because a file may be called `__proto__`. */
export interface FilesShared {
  /** Keys in the bucket. */
  files: string[];
  /** Those that are loaded and not yet summarized. */
  texts?: Map<string, string>;
  /** By the file's key. */
  summaries?: Map<string, string>;
}

const KEYS = "`files` to be an array of keys";
const KEY = "each of `files` to be a key";
const key = v.pipe(v.string(expected(KEY)), v.nonEmpty(expected(KEY)));

/** What a run of `summarize-files` is started with. */
export const filesInput = v.object({ files: v.array(key, expected(KEYS)) }, expectedEntry(KEYS));

/** More than a model's context takes, and little enough for all branches to hold one at once in the 128 MB of a run's object. */
const MAX_BYTES = 1_000_000;
const MAX_BRANCHES = 32;

type Branch = { filename: string };
type Shared = Required<FilesShared>;

/**
 * The flow `summarize-files`, PocketFlow's SummarizeMultipleFiles: a branch for each file of the bucket, which loads and then
 * summarizes it. `concurrency` is how many texts of one run are with the model at once; no more than 32 files are under way.
 *
 * @example
 * const shared: FilesShared = { files: ["notes/monday.txt", "notes/tuesday.txt"] };
 * await summarizeFilesFlow(createModel({}), env.FILES)().runAsync(shared);
 * shared.summaries?.get("notes/monday.txt");
 */
export function summarizeFilesFlow(
  model: Model,
  bucket: R2Bucket,
  concurrency = DEFAULT_CONCURRENCY,
): () => AsyncFlow<FilesShared> {
  class SummarizeMultipleFiles extends AsyncParallelBatchFlow<FilesShared, Branch, Branch[]> {
    override async prepAsync(shared: FilesShared) {
      shared.texts = new Map();
      shared.summaries = new Map();
      return [...new Set(shared.files)].map((filename) => ({ filename }));
    }
  }

  class LoadFile extends AsyncNode<Shared, Branch, string, string> {
    override async prepAsync() {
      return this._params.filename;
    }

    override async execAsync(filename: string) {
      return textOf(bucket, filename);
    }

    override async postAsync(shared: Shared, filename: string, text: string) {
      shared.texts.set(filename, text);
    }
  }

  class SummarizeFile extends AsyncNode<Shared, Branch, string, string> {
    override async prepAsync(shared: Shared) {
      return shared.texts.get(this._params.filename) as string;
    }

    override async execAsync(text: string, context: ExecContext) {
      return model(text, context);
    }

    override async postAsync(shared: Shared, _text: string, summary: string) {
      shared.summaries.set(this._params.filename, summary);
      // What `shared` holds is held in memory for as long as the run goes on.
      shared.texts.delete(this._params.filename);
    }
  }

  return () => {
    const load = new LoadFile(PATIENCE);
    load.next(new SummarizeFile({ ...PATIENCE, concurrency, limit: { name: "llm", tokens: estimateTokens } }));
    return new SummarizeMultipleFiles(load, { concurrency: MAX_BRANCHES });
  };
}

/**
 * A file's text. A file that is missing, too large or no text stays so: that is a `NonRetryableError`.
 *
 * @example await textOf(env.FILES, "notes/monday.txt");
 */
export async function textOf(bucket: R2Bucket, key: string): Promise<string> {
  const file = await bucket.get(key);
  const name = `\`${key}\` in the bucket FILES`;
  if (file === null) throw new NonRetryableError(`Expected a file ${name}, got none`);
  if (file.size > MAX_BYTES) {
    await file.body.cancel();
    throw new NonRetryableError(`Expected ${name} to be at most ${MAX_BYTES} bytes, got ${file.size}`);
  }
  const bytes = await file.arrayBuffer();
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch (cause) {
    throw new NonRetryableError(`Expected ${name} to be text in UTF-8, got other bytes`, { cause });
  }
}
