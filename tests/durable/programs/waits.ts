import { sleep } from "../../../src/index.ts";
import { inBothOrders, numbered, type Programs, step } from "./program.ts";

// Nodes that wait for a clock.

export const waits: Programs = {
  "a sleep between two steps": {
    flow: (spell) => {
      const first = step(spell, "first");
      first.next(sleep(0.02)).next(step(spell, "second"));
      return spell.flow(first);
    },
  },
  "a sleep that is the whole flow": { flow: ({ flow }) => flow(sleep("5ms")) },
  "a sleep until a time that is over": {
    flow: (spell) => {
      const past = sleep(new Date(0));
      past.next(step(spell, "after"));
      return spell.flow(past);
    },
  },
  "a sleep of nothing in a nested flow": {
    flow: (spell) => {
      const nested = spell.flow(sleep(0));
      nested.next(step(spell, "after"));
      return spell.flow(nested);
    },
  },
  ...inBothOrders(
    "each sleeps for as long as it likes",
    (branches, { node }) => {
      const nap = sleep(0.01, { name: "nap" });
      nap.next(
        node({
          post(this: { _params: { n?: number } }, shared: { [key: string]: unknown }) {
            shared[`${this._params.n}`] = "slept";
          },
        } as never),
      );
      return branches(nap, { prep: () => numbered(3) });
    },
    { input: { "0": "", "1": "", "2": "" } },
  ),
};
