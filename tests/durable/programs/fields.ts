import { numbered, type Programs, pause } from "./program.ts";

// Fields that hooks set on their node.

interface Seen {
  seen: unknown[];
}

export const fields: Programs = {
  "fields: of every kind, from prep to exec and post": {
    flow: ({ node, flow }) => {
      const remember = node({
        prep() {
          this["map"] = new Map([["a", new Date(5)]]);
          this["list"] = [1, { two: 2 }];
          this["nothing"] = undefined;
          this["big"] = 10n;
        },
        exec() {
          return [this["map"], this["list"], "nothing" in this, this["big"]];
        },
        post(shared: Seen, _: unknown, found: unknown) {
          shared.seen.push(found, this["map"], this["list"], "nothing" in this, this["big"]);
        },
      });
      return flow(remember);
    },
    input: { seen: [] },
    copies: true,
  },
  "fields: set after a pause of prep": {
    flow: ({ node, flow }) => {
      const remember = node({
        async prep() {
          this["before"] = 1;
          await pause();
          this["after"] = 2;
        },
        async exec() {
          await pause();
          return [this["before"], this["after"]];
        },
        post(shared: Seen, _: unknown, found: unknown) {
          shared.seen.push(found, this["before"], this["after"]);
        },
      });
      return flow(remember);
    },
    input: { seen: [] },
  },
  "fields: of the node as it was made, and changed from visit to visit": {
    flow: ({ node, flow }) => {
      const remember = node({
        prep() {
          this["visits"] = Number(this["visits"]) + 1;
          (this["own"] as { list: number[] }).list = [1, 2];
        },
        exec() {
          return [this["visits"], (this["own"] as { list: number[] }).list];
        },
        post(shared: Seen, _: unknown, found: unknown) {
          shared.seen.push(found, this["visits"]);
          return shared.seen.length < 6 ? "again" : "enough";
        },
      });
      Object.assign(remember, { visits: 0, own: { list: [] } });
      remember.on("again", remember).end("enough");
      return flow(remember);
    },
    input: { seen: [] },
  },
  "fields: gone at the next visit, whoever set them": {
    flow: ({ node, flow }) => {
      const remember = node({
        prep(shared: Seen) {
          shared.seen.push([this["ofPrep"], this["ofExec"], this["ofPost"]]);
          this["ofPrep"] = 1;
        },
        exec() {
          this["ofExec"] = 2;
        },
        post(shared: Seen) {
          this["ofPost"] = 3;
          shared.seen.push([this["ofPrep"], this["ofExec"], this["ofPost"]]);
          return shared.seen.length < 6 ? "again" : "enough";
        },
      });
      remember.on("again", remember).end("enough");
      return flow(remember);
    },
    input: { seen: [] },
  },
  "fields: a flow's own, from its prep to its post": {
    flow: ({ node, flow }) =>
      flow(node({ exec: () => pause() }), {
        prep() {
          this["since"] = new Date(9);
          return "prepared";
        },
        post(shared: Seen, prepRes: unknown) {
          shared.seen.push(prepRes, this["since"]);
        },
      }),
    input: { seen: [] },
  },
  "fields: a batch flow's own, from its prep to its post": {
    flow: ({ node, parallelFlow }) =>
      parallelFlow(node({ exec: () => pause() }), {
        prep() {
          this["count"] = 3;
          return [{}, {}, {}];
        },
        post(shared: Seen, list: unknown[]) {
          shared.seen.push(list.length === this["count"], this["count"]);
        },
      }),
    input: { seen: [] },
  },
  "fields: each branch has its own, of one node": {
    flow: ({ node, flow, parallelFlow }) => {
      const remember = node({
        async prep(shared: Seen) {
          shared.seen[this._params["n"] as number] = [this["mine"]];
          this["mine"] = this._params["n"];
          await pause();
        },
        async exec() {
          await pause();
          return `exec of ${String(this["mine"])}`;
        },
        post(shared: Seen, _: unknown, word: string) {
          (shared.seen[this._params["n"] as number] as unknown[]).push(word, this["mine"]);
        },
      });
      return parallelFlow(flow(remember), { prep: () => numbered(4) });
    },
    input: { seen: [0, 0, 0, 0] },
  },
  "fields: changed by exec of a batch in order, in branches at once": {
    flow: ({ batch, flow, parallelFlow }) => {
      const sum = batch({
        prep() {
          this["sum"] = 100 * (this._params["n"] as number);
          this["seen"] = [];
          return [1, 2, 3];
        },
        exec(item: number) {
          this["sum"] = (this["sum"] as number) + item;
          (this["seen"] as number[]).push(item);
          return this["sum"];
        },
        post(shared: Seen, _: unknown, sums: number[]) {
          shared.seen[this._params["n"] as number] = [sums, this["sum"], this["seen"]];
        },
      });
      return parallelFlow(flow(sum), { prep: () => numbered(3) });
    },
    input: { seen: [0, 0, 0] },
  },
  "fields: read by the items of a parallel batch": {
    flow: ({ parallel, flow }) => {
      const translate = parallel({
        prep() {
          this["language"] = { name: "Deutsch" };
          return ["a", "b", "c"];
        },
        exec(word: string) {
          return `${word} auf ${(this["language"] as { name: string }).name}`;
        },
        post(shared: Seen, _: unknown, words: string[]) {
          shared.seen.push(words, this["language"]);
        },
      });
      return flow(translate);
    },
    input: { seen: [] },
  },
  "fields: the fallback finds what exec's attempts left": {
    flow: ({ node, flow }) => {
      const tries = node(
        {
          exec() {
            this["tries"] = [...((this["tries"] as number[]) ?? []), this.currentRetry];
            throw new Error("busy");
          },
          execFallback() {
            return this["tries"];
          },
          post(shared: Seen, _: unknown, result: unknown) {
            shared.seen.push(result, this["tries"]);
          },
        },
        3,
      );
      return flow(tries);
    },
    input: { seen: [] },
    copies: true,
  },
};
