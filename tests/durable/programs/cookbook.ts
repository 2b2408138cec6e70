import { type Programs, pause } from "./program.ts";

// Shapes of PocketFlow's cookbook, with models that are functions.

export interface Texts {
  [name: string]: string;
}

const LANGUAGES = ["Chinese", "Spanish", "Japanese", "German", "Russian", "Portuguese", "French", "Korean"];

/** What a model says to a prompt, after a while. */
export async function model(prompt: string): Promise<string> {
  await pause(1 + (prompt.length % 3));
  return `<${prompt}>`;
}

/** The seed's two programs, and the workloads over lists. */
export const overLists: Programs = {
  "cookbook: the seed's parallel summaries": {
    flow: ({ parallel, flow }) => {
      const summaries = parallel({
        prep: (shared: { texts: string[] }) => shared.texts,
        exec: (text: string) => model(`Summarize: ${text}`),
        post(shared: { summary: string }, _: unknown, results: string[]) {
          shared.summary = results.join("\n\n");
          return "default";
        },
      });
      return flow(summaries);
    },
    input: { texts: ["one", "two", "three"] },
  },
  "cookbook: the seed's summaries of several files": {
    flow: ({ node, flow, parallelFlow }) => {
      interface Files {
        files: string[];
        disk: Texts;
        summaries: Texts;
      }
      const loadAndSummarize = node({
        prep(shared: Files) {
          return shared.disk[this._params["filename"] as string];
        },
        exec: (text: string) => model(`Summarize: ${text}`),
        post(shared: Files, _: string, summary: string) {
          shared.summaries[this._params["filename"] as string] = summary;
        },
      });
      return parallelFlow(flow(loadAndSummarize), {
        prep: (shared: Files) => shared.files.map((filename) => ({ filename })),
      });
    },
    input: {
      files: ["a.txt", "b.txt", "c.txt"],
      disk: { "a.txt": "first", "b.txt": "the second", "c.txt": "third" },
      summaries: { "a.txt": "", "b.txt": "", "c.txt": "" },
    },
  },
  "cookbook: one text into eight languages": {
    flow: ({ parallel, flow }) => {
      const translate = parallel(
        {
          prep: ({ text }: { text: string }) => LANGUAGES.map((language) => ({ text, language })),
          async exec({ text, language }: { text: string; language: string }) {
            const translation = await model(`${text} in ${language}`);
            if (this.currentRetry === 0 && language.length === 7) throw new Error("overloaded");
            return { language, translation };
          },
          post(shared: { files: Texts }, _: unknown, results: { language: string; translation: string }[]) {
            for (const { language, translation } of results) shared.files[`README_${language}.md`] = translation;
          },
        },
        { maxRetries: 3, wait: 0.002 },
      );
      return flow(translate);
    },
    input: { text: "Hello", files: {} },
  },
  "cookbook: three images, three filters, nine branches": {
    flow: ({ node, flow, parallelFlow }) => {
      interface Images {
        images: Texts;
        results: { [key: string]: unknown };
      }
      interface Params {
        image: string;
        filter: string;
      }
      const load = node({
        prep({ images }: Images) {
          return images[this._params["image"] as string];
        },
        exec: (image: string) => pause().then(() => ({ pixels: new Uint8Array([image.length, 2, 3]) })),
        post(shared: Images, _: unknown, image: unknown) {
          shared.results[keyOf(this._params)] = image;
        },
      });
      const apply = node({
        prep(shared: Images) {
          return { image: shared.results[keyOf(this._params)], filter: this._params["filter"] };
        },
        async exec({ image, filter }: { image: { pixels: Uint8Array }; filter: string }) {
          await pause(filter.length % 4);
          return { filter, pixels: image.pixels.map((pixel) => pixel + filter.length) };
        },
        post(shared: Images, _: unknown, filtered: unknown) {
          shared.results[keyOf(this._params)] = filtered;
        },
      });
      const save = node({
        post(shared: Images) {
          const { filter, pixels } = shared.results[keyOf(this._params)] as { filter: string; pixels: Uint8Array };
          shared.results[keyOf(this._params)] = `${filter}: ${pixels.join("-")}`;
          return "saved";
        },
      });
      const keyOf = (params: object) => `${(params as Params).image}_${(params as Params).filter}`;
      load.next(apply).next(save);
      return parallelFlow(flow(load), {
        prep(shared: Images) {
          const pairs = Object.keys(shared.images).flatMap((image) =>
            ["grayscale", "blur", "sepia"].map((filter) => ({ image, filter })),
          );
          for (const pair of pairs) shared.results[keyOf(pair)] = null;
          return pairs;
        },
      });
    },
    input: { images: { cat: "c", dog: "dd", bird: "bbb" }, results: {} },
  },
  "cookbook: a majority vote, in which some votes are lost": {
    flow: ({ parallel, flow }) => {
      const vote = parallel(
        {
          prep: ({ question, tries }: { question: string; tries: number }) =>
            Array.from({ length: tries }, (_, voter) => ({ question, voter })),
          async exec({ voter }: { voter: number }) {
            await pause(voter % 3);
            if (voter % 4 === 3) throw new Error("no answer");
            return voter % 3 === 0 ? "5" : "7";
          },
          execFallback: () => null,
          post(shared: { answer?: string; votes: unknown }, _: unknown, votes: (string | null)[]) {
            const counts = Object.groupBy(
              votes.filter((vote) => vote !== null),
              (vote) => vote,
            );
            const sorted = Object.entries(counts).sort(([, a], [, b]) => (b?.length ?? 0) - (a?.length ?? 0));
            shared.votes = votes;
            shared.answer = sorted[0]?.[0] as string;
            return "end";
          },
        },
        { maxRetries: 2 },
      );
      return flow(vote);
    },
    input: { question: "Which?", tries: 9 },
  },
  "cookbook: grades of pupils of classes, two levels deep": {
    flow: ({ node, flow, batchFlow }) => {
      interface School {
        school: { [name: string]: { [pupil: string]: number[] } };
        averages: { [name: string]: { [pupil: string]: number } };
        classes: { [name: string]: number };
        average: number;
        log: string[];
      }
      const load = node({
        prep(shared: School) {
          const { of, pupil } = this._params as { of: string; pupil: string };
          return shared.school[of]?.[pupil];
        },
        exec: (grades: number[]) => pause().then(() => grades.toSorted()),
        post(shared: School & { grades: number[] }, _: unknown, grades: number[]) {
          shared.grades = grades;
        },
      });
      const average = node({
        prep: (shared: { grades: number[] }) => shared.grades,
        exec: (grades: number[]) => grades.reduce((sum, grade) => sum + grade, 0) / grades.length,
        post(shared: School, _: unknown, mean: number) {
          const { of, pupil } = this._params as { of: string; pupil: string };
          shared.averages[of] = { ...shared.averages[of], [pupil]: mean };
        },
      });
      const mean = (numbers: number[]) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
      load.next(average);
      const pupils = batchFlow(flow(load), {
        prep(shared: School) {
          return Object.keys(shared.school[this._params["of"] as string] as object).map((pupil) => ({ pupil }));
        },
        post(shared: School) {
          const of = this._params["of"] as string;
          shared.classes[of] = mean(Object.values(shared.averages[of] as object));
          shared.log.push(`${of} done`);
        },
      });
      return batchFlow(flow(pupils), {
        prep: (shared: School) => Object.keys(shared.school).map((of) => ({ of })),
        post(shared: School) {
          shared.average = mean(Object.values(shared.classes));
        },
      });
    },
    input: {
      school: { a: { ada: [7, 8], bob: [6, 5, 10] }, b: { cyd: [9], dan: [4, 6], eve: [8] } },
      averages: {},
      classes: {},
    },
  },
  "cookbook: a table in chunks, read by a generator": {
    flow: ({ node, batch, flow }) => {
      interface Table {
        rows: number[];
        statistics: unknown;
      }
      const chunks = batch({
        *prep({ rows }: Table) {
          for (let first = 0; first < rows.length; first += 3) yield rows.slice(first, first + 3);
        },
        exec: (chunk: number[]) => ({ sum: chunk.reduce((a, b) => a + b), count: chunk.length }),
        post(shared: Table, _: unknown, parts: { sum: number; count: number }[]) {
          const sum = parts.reduce((all, part) => all + part.sum, 0);
          const count = parts.reduce((all, part) => all + part.count, 0);
          shared.statistics = { sum, count, mean: sum / count };
          return "show";
        },
      });
      chunks.on("show", node({ post: (shared: { log: string[] }) => void shared.log.push("shown") }));
      return flow(chunks);
    },
    input: { rows: [1, 2, 3, 4, 5, 6, 7, 8] },
  },
};
