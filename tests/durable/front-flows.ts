import { toStandardJsonSchema } from "@valibot/to-json-schema";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import type { FlowEntries } from "../../src/cloudflare.ts";
import { Flow, Node, type NonIterableObject, ParallelBatchNode } from "../../src/index.ts";

/** What the flows below take, whichever library says so. */
export interface Words {
  words: string[];
  /** Where it is not said: 3. */
  most: number;
  /** Trimmed and in capitals, however it was sent. */
  tag: string;
  weights?: { [word: string]: number } | undefined;
  lengths?: number[];
}

class Lengths extends ParallelBatchNode<Words, NonIterableObject, string, number> {
  override prep({ words, most }: Words) {
    return words.slice(0, most);
  }
  override exec(word: string) {
    return word.length;
  }
  override post(shared: Words, _: Iterable<string>, lengths: number[]) {
    shared.lengths = lengths;
  }
}

const lengths = () => new Flow<Words>(new Lengths());

/** Somebody has to ask elsewhere, which takes a moment. */
async function isFree(words: readonly string[]): Promise<boolean> {
  await scheduler.wait(1);
  return !words.includes("taken");
}

const inCapitals = (text: string) => text.trim().toUpperCase();

const byZod = z
  .object({
    words: z.array(z.string().min(1)),
    most: z.int().min(1).default(3),
    tag: z.string().default("none").transform(inCapitals),
    weights: z.record(z.string(), z.number()).optional(),
  })
  .refine(({ words }) => isFree(words), { message: "Expected words that are free", path: ["words"] });

const valibotEntries = {
  words: v.array(v.pipe(v.string(), v.minLength(1))),
  most: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 3),
  tag: v.pipe(v.optional(v.string(), "none"), v.transform(inCapitals)),
  weights: v.optional(v.record(v.string(), v.number())),
};

const byValibot = v.pipeAsync(
  v.object(valibotEntries),
  v.forwardAsync(
    v.checkAsync(({ words }) => isFree(words), "Expected words that are free"),
    ["words"],
  ),
);

const byArktype = type({
  words: "(string > 0)[]",
  most: "number.integer >= 1 = 3",
  tag: type("string").pipe(inCapitals).default("none"),
  "weights?": { "[string]": "number" },
}).narrow(({ words }, context) => !words.includes("taken") || context.reject({ expected: "free", path: ["words"] }));

/** Nothing that is not named may be there: what is wrong then names it. */
const noOthers = z.strictObject({ words: z.array(z.string()) }).transform(toOldWords);

/** Whether the flow `words, while wanted` takes any: the test says so. */
export const wanted = { are: true };

const whileWanted = z
  .object({ words: z.array(z.string()) })
  .refine(() => wanted.are, "Expected no more words")
  .transform(toOldWords);

/** What says what is valid is not there. */
const byDatabase = z.object({ words: z.array(z.string()) }).transform((): Words => {
  throw new Error("db down: secret");
});

/** Flows that say what they take. */
export const frontFlows = {
  "words by zod": { input: byZod, flow: lengths },
  "words by valibot": { input: byValibot, flow: lengths },
  "words by valibot, described": { input: toStandardJsonSchema(v.object(valibotEntries)), flow: lengths },
  "words by arktype": { input: byArktype, flow: lengths },
  "words, in versions": [
    { version: "2", input: z.object({ words: z.array(z.string()), most: z.number(), tag: z.string() }), flow: lengths },
    { version: "1", input: z.object({ words: z.array(z.never()) }).transform(toOldWords), flow: lengths },
  ],
  "words, enriched": {
    input: z.object({ words: z.array(z.string()) }).transform(({ words }) => ({
      counts: new Map(words.map((word) => [word, word.length])),
      at: new Date(0),
      total: BigInt(words.length),
    })),
    flow: () => new Flow(new Node()),
  },
  "words, and no others": { input: noOthers, flow: lengths },
  "words, while wanted": { input: whileWanted, flow: lengths },
  "words, by a database": { input: byDatabase, flow: lengths },
} satisfies { [name: string]: FlowEntries };

function toOldWords({ words }: { words: string[] }): Words {
  return { words, most: 1, tag: "old" };
}
