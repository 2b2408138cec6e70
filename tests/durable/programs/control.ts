import { type Programs, type Shared, step } from "./program.ts";

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
            await scheduler.wait(1);
            shared.log.push("prep");
            return 20;
          },
          async exec(number: number) {
            await scheduler.wait(1);
            return number + 1;
          },
          async post(shared: Shared, prepRes: number, execRes: number) {
            await scheduler.wait(1);
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
