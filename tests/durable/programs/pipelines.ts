import { RetryAfterError } from "../../../src/index.ts";
import { model, type Texts } from "./cookbook.ts";
import { type Programs, pause, step } from "./program.ts";

// Shapes of PocketFlow's cookbook in which one node follows another.

/** From one stage to the next. */
export const pipelines: Programs = {
  "cookbook: résumés, mapped and reduced": {
    flow: ({ node, batch, flow }) => {
      interface Resumes {
        files: Texts;
        resumes: Texts;
        evaluations: { [file: string]: { name: string; isQualified: boolean } };
        summary: unknown;
      }
      const read = node({
        exec: () => pause(),
        post(shared: Resumes) {
          shared.resumes = { ...shared.files };
        },
      });
      const evaluate = batch({
        prep: (shared: Resumes) => Object.entries(shared.resumes),
        async exec([file, text]: [string, string]) {
          await pause();
          return [file, { name: text.split(" ")[0], isQualified: text.includes("years") }];
        },
        post(shared: Resumes, _: unknown, results: [string, never][]) {
          shared.evaluations = Object.fromEntries(results);
        },
      });
      const reduce = node({
        prep: (shared: Resumes) => shared.evaluations,
        exec(evaluations: Resumes["evaluations"]) {
          const qualified = Object.values(evaluations).filter(({ isQualified }) => isQualified);
          return { total: Object.keys(evaluations).length, qualified: qualified.map(({ name }) => name) };
        },
        post(shared: Resumes, _: unknown, summary: unknown) {
          shared.summary = summary;
        },
      });
      read.next(evaluate).next(reduce);
      return flow(read);
    },
    input: { files: { "1.txt": "Ada 5 years", "2.txt": "Bob none", "3.txt": "Cyd 2 years" } },
  },
  "cookbook: texts are cut, embedded and found again": {
    flow: ({ node, parallel, flow }) => {
      interface Index {
        texts: string[];
        chunks: string[];
        vectors: Float32Array[];
        store: Map<string, Float32Array>;
        query: string;
        found: unknown;
      }
      const embed = (text: string) => Float32Array.from("aeiou", (letter) => text.split(letter).length - 1);
      const chunk = parallel({
        prep: (shared: Index) => shared.texts,
        exec: (text: string) => text.match(/.{1,8}/g)?.map((part) => part.trim()),
        post(shared: Index, _: unknown, chunks: string[][]) {
          shared.chunks = chunks.flat();
        },
      });
      const embedAll = parallel(
        {
          prep: (shared: Index) => shared.chunks,
          exec: (part: string) => pause().then(() => embed(part)),
          post(shared: Index, _: unknown, vectors: Float32Array[]) {
            shared.vectors = vectors;
          },
        },
        { concurrency: 3 },
      );
      const store = node({
        post(shared: Index) {
          shared.store = new Map(shared.chunks.map((part, index) => [part, shared.vectors[index] as Float32Array]));
          shared.vectors.length = 0;
        },
      });
      const retrieve = node({
        prep: ({ query, store }: Index) => ({ query, store }),
        exec({ query, store }: Pick<Index, "query" | "store">) {
          const wanted = embed(query);
          const score = (vector: Float32Array) => vector.reduce((sum, value, at) => sum + value * (wanted[at] ?? 0), 0);
          return [...store]
            .map(([part, vector]) => ({ part, score: score(vector) }))
            .sort((a, b) => b.score - a.score)[0];
        },
        post(shared: Index, _: unknown, found: unknown) {
          shared.found = found;
        },
      });
      chunk.next(embedAll).next(store).next(retrieve);
      return flow(chunk);
    },
    input: { texts: ["an owl is out at noon", "the eel sees trees"], query: "ee" },
  },
  "cookbook: a tutorial of a codebase, whose model asks to be left alone for a while": {
    flow: ({ node, batch, flow }) => {
      interface Tutorial {
        files: Texts;
        abstractions: string[];
        order: number[];
        chapters: string[];
        tutorial: string;
      }
      const identify = node(
        {
          prep: ({ files }: Tutorial) => Object.values(files).join(" "),
          async exec(code: string) {
            if (this.currentRetry === 0) throw new RetryAfterError("quota", { retryAfterMs: 5 });
            return [...new Set(code.match(/class \w+/g))].map((found) => found.slice(6));
          },
          post(shared: Tutorial, _: unknown, abstractions: string[]) {
            shared.abstractions = abstractions;
          },
        },
        { maxRetries: 5, wait: 0.005 },
      );
      const order = node({
        prep: ({ abstractions }: Tutorial) => abstractions,
        exec: (names: string[]) =>
          names.map((_, index) => index).sort((a, b) => ((names[a] as string) < (names[b] as string) ? -1 : 1)),
        post(shared: Tutorial, _: unknown, found: number[]) {
          shared.order = found;
        },
      });
      const write = batch(
        {
          prep(shared: Tutorial) {
            this["written"] = [];
            return shared.order.map((index) => shared.abstractions[index]);
          },
          async exec(name: string) {
            if (this.currentRetry === 0 && name === "Flow") throw new Error("overloaded");
            const chapter = await model(`${name} after ${(this["written"] as string[]).join()}`);
            (this["written"] as string[]).push(name);
            return chapter;
          },
          post(shared: Tutorial, _: unknown, chapters: string[]) {
            shared.chapters = chapters;
          },
        },
        { maxRetries: 3, wait: 0.005 },
      );
      const combine = node({
        prep: ({ chapters }: Tutorial) => chapters,
        exec: (chapters: string[]) => chapters.join("\n"),
        post(shared: Tutorial, _: unknown, tutorial: string) {
          shared.tutorial = tutorial;
        },
      });
      identify.next(order).next(write).next(combine);
      return flow(identify);
    },
    input: { files: { "a.py": "class Node: pass", "b.py": "class Flow: pass class Batch: pass" } },
  },
  "cookbook: an article is planned, written in parts, and given a style": {
    flow: ({ node, batch, flow }) => {
      interface Article {
        topic: string;
        sections: string[];
        drafts: string[];
        final: string;
      }
      const outline = node({
        prep: ({ topic }: Article) => topic,
        exec: (topic: string) => ["Introduction to", "More of", "The end of"].map((start) => `${start} ${topic}`),
        post(shared: Article, _: unknown, sections: string[]) {
          shared.sections = sections;
        },
      });
      const write = batch({
        prep: ({ sections }: Article) => sections,
        exec: (section: string) => pause().then(() => `${section}: ...`),
        post(shared: Article, sections: string[], drafts: string[]) {
          shared.drafts = drafts;
          sections.length = 0;
        },
      });
      const style = node({
        prep: ({ drafts }: Article) => drafts.join(" "),
        exec: (draft: string) => draft.toUpperCase(),
        post(shared: Article, _: unknown, final: string) {
          shared.final = final;
        },
      });
      outline.next(write).next(style);
      return flow(outline);
    },
    input: { topic: "flows" },
  },
  "cookbook: an order through payment, stock and shipping, each a flow": {
    flow: (spell) => {
      const line = (...names: string[]) => {
        const nodes = names.map((name) => step(spell, name));
        for (const [index, at] of nodes.slice(0, -1).entries()) at.next(nodes[index + 1] as (typeof nodes)[number]);
        return spell.flow(nodes[0] as (typeof nodes)[number]);
      };
      const payment = line("check the card", "charge it");
      payment.next(line("check the stock", "reserve it")).next(line("make the label", "tell the carrier"));
      return spell.flow(payment);
    },
  },
  "cookbook: a flow that runs another within exec": {
    flow: ({ node, flow }) => {
      const ask = node({
        prep: (shared: { numbers: number[] }) => shared.numbers,
        async exec(numbers: number[]) {
          const own = { numbers: [...numbers], sum: 0 };
          const add = node({
            post(shared: typeof own) {
              shared.sum += shared.numbers.shift() ?? 0;
              return shared.numbers.length > 0 ? "again" : "over";
            },
          });
          add.on("again", add).end("over");
          await flow(add).run(own);
          return own.sum;
        },
        post(shared: { sum: number }, _: unknown, sum: number) {
          shared.sum = sum;
        },
      });
      return flow(ask);
    },
    input: { numbers: [1, 2, 3] },
  },
};
