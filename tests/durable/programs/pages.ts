import { inBothOrders, type Numbered, numbered, type Programs, pause } from "./program.ts";

// Lists that are stored in more than one page: one page holds 250,000 characters.

const LONG = 130_000;

interface Lengths {
  lengths: { [n: number]: unknown };
}

export const paged: Programs = {
  "pages: an item longer than a page, and a result that is as long": {
    flow: ({ parallel, flow }) => {
      const repeat = parallel({
        prep: () => ["a", "b".repeat(2 * LONG), "c"],
        exec: (text: string) => text.toUpperCase(),
        post(shared: Lengths, texts: string[], results: string[]) {
          shared.lengths = [texts, results].map((list) => list.map((text) => text[0] + String(text.length)));
        },
      });
      return flow(repeat);
    },
  },
  "pages: a list that is stored page by page while other branches go on": {
    flow: ({ node, batch, flow, parallelFlow }) => {
      const long = batch({
        async *prep() {
          for (const letter of "abcd") {
            yield letter.repeat(LONG);
            await pause(2);
          }
        },
        exec: (text: string) => text.length,
        post(shared: Lengths, _: unknown, results: number[]) {
          shared.lengths[this._params["n"] as number] = results;
        },
      });
      const short = node({
        exec: () => pause(),
        async post(shared: Lengths) {
          const n = this._params["n"] as number;
          shared.lengths[n] = Number(shared.lengths[n] ?? 0) + 1;
          await pause();
          return shared.lengths[n] === 4 ? "enough" : "again";
        },
      });
      short.on("again", short).end("enough");
      const choose = node({
        post() {
          return this._params["n"] === 1 ? "long" : "short";
        },
      });
      choose.on("long", long).on("short", short);
      return parallelFlow(flow(choose), { prep: () => numbered(3) });
    },
    input: { lengths: {} },
  },
  ...inBothOrders(
    "params that fill two pages",
    (branches, { node }) => {
      const measure = node({
        prep() {
          return (this._params["text"] as string).length;
        },
        exec(length: number) {
          return (this._params["text"] as string).length === length;
        },
        post(shared: Lengths, length: number, isSame: boolean) {
          shared.lengths[this._params["n"] as number] = [length, isSame];
        },
      });
      return branches(measure, {
        async *prep() {
          for (const { n } of numbered(3)) {
            yield { n, text: "x".repeat(LONG + n) };
            await pause();
          }
        },
        post(shared: Lengths & { list: unknown }, list: Numbered[]) {
          shared.list = list.map(({ n }) => n);
        },
      });
    },
    { input: { lengths: {} } },
  ),
};
