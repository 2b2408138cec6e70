import { setTimeout as sleep } from "node:timers/promises";
import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { NonRetryableError } from "../../src/index.ts";
import { type FilesShared, filesInput, summarizeFilesFlow } from "../../worker/files.ts";
import { createModel, type Model } from "../../worker/model.ts";
import { summarize } from "../../worker/summarizer.ts";
import { useBucket } from "./bucket.ts";

const LIMIT = 1_000_000;
const files = useBucket();

/** A model that says which texts it was asked about. */
function listener() {
  const asked: string[] = [];
  const model: Model = async (text) => {
    asked.push(text);
    return text.toUpperCase();
  };
  return { asked, model };
}

async function run(keys: string[], model: Model = createModel({})): Promise<Required<FilesShared>> {
  const shared: FilesShared = { files: keys };
  await summarizeFilesFlow(model, files.bucket)().runAsync(shared);
  return shared as Required<FilesShared>;
}

describe("the flow summarize-files", () => {
  test("gives each file's summary by its key", async () => {
    const text = "Rain fell on the hills all day. The river rose. By night it had left its bed. Nobody slept.";
    await files.bucket.put("notes/rain.txt", text);
    await files.bucket.put("sun.txt", "The sun shone.");
    const { summaries } = await run(["notes/rain.txt", "sun.txt"]);
    expect(Object.fromEntries(summaries)).toEqual({ "notes/rain.txt": summarize(text), "sun.txt": "The sun shone." });
  });

  test("asks the model once about each file, also about one that is named twice", async () => {
    await files.bucket.put("a", "one");
    await files.bucket.put("b", "two");
    const { asked, model } = listener();
    const { summaries } = await run(["a", "b", "a"], model);
    expect(asked.sort()).toEqual(["one", "two"]);
    expect(summaries).toEqual(
      new Map([
        ["a", "ONE"],
        ["b", "TWO"],
      ]),
    );
  });

  test("has all files under way at once, and gives each its own summary", async () => {
    await files.bucket.put("slow", "slow");
    await files.bucket.put("fast", "fast");
    const { promise: fastIsDone, resolve } = Promise.withResolvers<void>();
    const { summaries } = await run(["slow", "fast"], async (text) => {
      if (text === "fast") resolve();
      else await fastIsDone;
      return text;
    });
    expect(summaries.get("slow")).toBe("slow");
    expect(summaries.get("fast")).toBe("fast");
  });

  test("has no more than 32 texts in memory", async () => {
    const keys = Array.from({ length: 40 }, (_, index) => `many/${index}`);
    await files.seed(keys.map((key) => ({ key })));
    const { promise: opened, resolve: open } = Promise.withResolvers<void>();
    let calls = 0;
    const running = run(keys, async () => {
      calls++;
      await opened;
      return "";
    });
    await expect.poll(() => calls, { timeout: 4_000 }).toBe(32);
    await sleep(50);
    expect(calls).toBe(32);
    open();
    expect((await running).summaries.size).toBe(40);
  });

  test("keeps no text of a file once it is summarized", async () => {
    await files.bucket.put("a", "one");
    await files.bucket.put("b", "two");
    expect((await run(["a", "b"])).texts).toEqual(new Map());
  });

  test("takes no files for an answer", async () => {
    expect((await run([])).summaries).toEqual(new Map());
  });

  test.each(["__proto__", "constructor", "../../etc/passwd", "line\nbreak", "100 % / ?#&+.txt", "näme 文.txt", " "])(
    "takes a key as it is: %j",
    async (key) => {
      await files.bucket.put(key, "text");
      expect([...(await run([key])).summaries]).toEqual([[key, "text"]]);
    },
  );

  test("hands the model a signal and a key of the file's own", async () => {
    await files.seed([{ key: "a" }, { key: "b" }]);
    const keys = new Set<string>();
    await run(["a", "b"], async (_, { signal, idempotencyKey }) => {
      expect(signal.aborted).toBe(false);
      keys.add(idempotencyKey);
      return "";
    });
    expect(keys.size).toBe(2);
  });

  test("has as many texts with the model at once as it is told", () => {
    const load = summarizeFilesFlow(createModel({}), files.bucket, 7)().start;
    expect(load.getNextNode()?.["_options"].concurrency).toBe(7);
  });

  test("keeps the limit `llm` by an estimate of each text, and only where the model is asked", async () => {
    const load = summarizeFilesFlow(createModel({}), files.bucket)().start;
    const limitOf = (node = load) => node["_options"].limit as { name: string; tokens(text: string): number };
    expect(limitOf()).toBeUndefined();
    const { name, tokens } = limitOf(load.getNextNode());
    expect(name).toBe("llm");
    expect(tokens("x".repeat(400)) - tokens("")).toBe(100);
  });
});

test("every node is tried again", () => {
  const load = summarizeFilesFlow(createModel({}), files.bucket)().start;
  expect([load, load.getNextNode()].map((node) => node?.["_options"].maxRetries)).toEqual([5, 5]);
});

describe("a file that cannot be summarized", () => {
  /** The error of a run with such a file, which is final. */
  async function errorOf(key: string): Promise<Error> {
    const { asked, model } = listener();
    const error = await run([key], model).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(NonRetryableError);
    expect(asked).toEqual([]);
    return error as Error;
  }

  test("for it is missing is an error that names it and the bucket", async () => {
    expect((await errorOf("a.txt")).message).toBe("Expected a file `a.txt` in the bucket FILES, got none");
  });

  test("for its size is refused with that", async () => {
    await files.bucket.put("large", "x".repeat(LIMIT + 1));
    const message = "Expected `large` in the bucket FILES to be at most 1000000 bytes, got 1000001";
    expect((await errorOf("large")).message).toBe(message);
  });

  test("for it is no text is refused", async () => {
    await files.bucket.put("image", new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0xff]));
    const message = "Expected `image` in the bucket FILES to be text in UTF-8, got other bytes";
    expect((await errorOf("image")).message).toBe(message);
  });

  test("is not one of just the greatest size", async () => {
    await files.bucket.put("large", "x".repeat(LIMIT));
    const { asked, model } = listener();
    await run(["large"], model);
    expect(asked[0]).toHaveLength(LIMIT);
  });
});

test("a model that fails is asked again", async () => {
  await files.bucket.put("a", "one");
  let calls = 0;
  const { summaries } = await run(["a"], async () => {
    if (++calls === 1) throw new Error("busy");
    return "done";
  });
  expect(summaries.get("a")).toBe("done");
  expect(calls).toBe(2);
});

describe("the input of summarize-files", () => {
  test("is a list of keys", () => {
    expect(v.parse(filesInput, { files: ["a", "b"], texts: {} })).toEqual({ files: ["a", "b"] });
    expect(v.parse(filesInput, { files: [] })).toEqual({ files: [] });
  });

  test.each([
    [{}, "Expected `files` to be an array of keys, got undefined"],
    [{ files: "a" }, "Expected `files` to be an array of keys, got `a`"],
    [{ files: [1] }, "Expected each of `files` to be a key, got a number"],
    [{ files: ["a", ""] }, "Expected each of `files` to be a key, got ``"],
    [null, "Expected the input to be an object, got null"],
  ])("is not %j", (input, message) => {
    expect(v.safeParse(filesInput, input).issues?.map((issue) => issue.message)).toEqual([message]);
  });
});
