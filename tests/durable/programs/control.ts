import type { Hooks } from "../../core/spelling.ts";
import { type Programs, pause, type Shared, step } from "./program.ts";

/** Nodes, actions, loops, nesting. */
export const control: Programs = {
  "a chain of nodes": {
    flow: (spell) => {
      const first = step(spell, "a");
      first.next(step(spell, "b")).next(step(spell, "c"));
      return spell.flow(first);
    },
  },
  "a node without hooks": { flow: ({ node, flow }) => flow(node()) },
  "a node that is the whole flow": { flow: (spell) => step(spell, "alone", "done") },
  "a node that is the whole flow and has successors": {
    flow: (spell) => {
      const alone = step(spell, "alone");
      alone.next(step(spell, "never"));
      return alone;
    },
  },
  "a flow that has successors": {
    flow: (spell) => {
      const whole = spell.flow(step(spell, "alone"));
      whole.next(step(spell, "never"));
      return whole;
    },
  },
  "hooks that suspend": {
    flow: ({ node, flow }) =>
      flow(
        node({
          async prep(shared: Shared) {
            await pause(1);
            shared.log.push("prep");
            return 20;
          },
          async exec(number: number) {
            await pause(1);
            return number + 1;
          },
          async post(shared: Shared, prepRes: number, execRes: number) {
            await pause(1);
            shared.sum = prepRes + execRes;
            return "done";
          },
        }),
      ),
  },
  "an action that picks the branch": {
    flow: (spell) => {
      const review = step(spell, "review", (shared) => String(shared.verdict));
      review.on("approve", step(spell, "pay")).on("reject", step(spell, "refuse"));
      return spell.flow(review);
    },
    input: { verdict: "reject" },
  },
  "an empty action is the default one": {
    flow: (spell) => {
      const first = step(spell, "a", "");
      first.on("other", step(spell, "never")).next(step(spell, "b"));
      return spell.flow(first);
    },
  },
  "an action that nobody takes": {
    flow: (spell) => {
      const first = step(spell, "a", "typo");
      first.on("type", step(spell, "never"));
      return spell.flow(first);
    },
  },
  "a successor that is overwritten": {
    flow: (spell) => {
      const first = step(spell, "first");
      first.on("default", step(spell, "never"));
      first.next(step(spell, "second"));
      return spell.flow(first);
    },
  },
  "a loop": {
    flow: (spell) => {
      const count = step(spell, "count", (shared) => {
        shared.count = Number(shared.count) + 1;
        return Number(shared.count) < 5 ? "again" : "enough";
      });
      count.on("again", count).on("enough", step(spell, "after"));
      return spell.flow(count);
    },
    input: { count: 0 },
  },
  "a nested flow whose last action picks the outer branch": {
    flow: (spell) => {
      const first = step(spell, "a");
      first.next(step(spell, "b", "right"));
      const inner = spell.flow(first);
      inner.on("left", step(spell, "left")).on("right", step(spell, "right", "end"));
      return spell.flow(inner);
    },
  },
  "a nested flow with hooks of its own": {
    flow: (spell) => {
      const inner = spell.flow(step(spell, "a", "inner action"), {
        prep(shared: Shared) {
          shared.log.push("flow prep");
          return { from: "flow prep" };
        },
        post(shared: Shared, prepRes: unknown, lastAction: unknown) {
          shared.log.push(`flow post ${JSON.stringify([prepRes, lastAction])}`);
          return "outer action";
        },
      });
      inner.on("inner action", step(spell, "never")).on("outer action", step(spell, "b"));
      return spell.flow(inner);
    },
  },
  "flows in flows in flows, in a loop": {
    flow: (spell) => {
      const deepest = spell.flow(step(spell, "a", (shared) => (shared.log.length < 9 ? "again" : "out")));
      const middle = spell.flow(deepest);
      deepest.on("again", step(spell, "b", "again"));
      const outer = spell.flow(middle);
      middle.on("again", middle).on("out", step(spell, "c"));
      return outer;
    },
  },
  "params of a flow, which overwrite those of its nodes at every step": {
    flow: ({ node, flow }) => {
      const tell = (name: string) =>
        node(
          {
            prep(shared: Shared) {
              shared.log.push(`${name} prep ${JSON.stringify(this._params)}`);
            },
            exec() {
              return JSON.stringify(this._params);
            },
            post(shared: Shared, _: unknown, params: string) {
              shared.log.push(`${name} exec ${params}, post ${JSON.stringify(this._params)}`);
            },
          },
          { name },
        );
      const first = tell("first").setParams({ own: true });
      const nested = flow(tell("nested").setParams({ own: true })).setParams({ inner: true });
      first.next(nested).next(tell("last"));
      return flow(first).setParams({ outer: [1, { deep: true }] });
    },
  },
  "fields set in prep reach exec and post, and are gone the next time": {
    flow: ({ node, flow }) => {
      const remember = node({
        prep(shared: Shared) {
          shared.log.push(`prep ${String(this.language)}`);
          this.language = { name: `de${shared.log.length}`, since: new Date(0) };
        },
        exec() {
          const { name, since } = this.language as { name: string; since: Date };
          return `${name} ${since.getTime()}`;
        },
        post(shared: Shared, _: unknown, told: string) {
          const { name } = this.language as { name: string };
          shared.log.push(`${told} ${name}`);
          return shared.log.length < 4 ? "again" : "enough";
        },
      });
      remember.on("again", remember).end("enough");
      return flow(remember);
    },
  },
  "a field that exec sets is there in post, and in exec's next attempt": {
    flow: ({ node, flow }) =>
      flow(
        node(
          {
            prep() {
              this.calls = [];
            },
            exec() {
              this.last = { at: new Date(7), retry: this.currentRetry };
              if (this.currentRetry === 0) throw new Error("busy");
              this.twice = this.last;
              return this.last;
            },
            post(shared: Shared, _: unknown, result: unknown) {
              shared.seen = [this.last, this.twice, result, this.calls];
            },
          },
          2,
        ),
      ),
    copies: true,
  },
  "a field that exec adds to in place": {
    flow: ({ batch, flow }) =>
      flow(
        batch({
          prep() {
            this.seen = { letters: [] };
            return ["a", "b", "c"];
          },
          exec(letter: string) {
            const { letters } = this.seen as { letters: string[] };
            letters.push(letter);
            return letters.length;
          },
          post(shared: Shared, _: unknown, counts: number[]) {
            shared.seen = [this.seen, counts];
          },
        }),
      ),
  },
  "a count of its failures that exec keeps on the node": {
    flow: (spell) => {
      const counting = {
        prep: () => ["a"],
        exec() {
          this.failures = Number(this.failures ?? 0) + 1;
          if (Number(this.failures) < 3) throw new Error("busy");
          return this.failures;
        },
        post(shared: Shared, _: unknown, result: unknown) {
          shared.log.push(JSON.stringify([result, this.failures]));
        },
      } satisfies Hooks;
      const first = spell.node(counting, 3);
      first.next(spell.batch({ ...counting, prep: () => ["a", "b", "c"] }, 3));
      return spell.flow(first);
    },
  },
  "a count that a batch keeps on the node from item to item": {
    flow: ({ batch, flow }) =>
      flow(
        batch({
          prep() {
            this.count = 10;
            return ["a", "b", "c"];
          },
          exec(letter: string) {
            this.count = Number(this.count) + 1;
            return `${letter}${String(this.count)}`;
          },
          post(shared: Shared, _: unknown, results: string[]) {
            shared.seen = [results, this.count];
          },
        }),
      ),
  },
  "fields and params that exec finds changed by prep": {
    flow: ({ node, flow }) =>
      flow(
        node({
          prep() {
            this._params.style = "short";
            this.list = [1];
            (this.list as number[]).push(2);
          },
          exec() {
            return { style: this._params.style, list: this.list };
          },
          post(shared: Shared, _: unknown, seen: unknown) {
            shared.seen = seen;
          },
        }),
      ).setParams({ style: "long" }),
  },
};
