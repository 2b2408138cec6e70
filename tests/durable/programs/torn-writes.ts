import { numbered, type Programs, pause } from "./program.ts";

interface Count {
  before: number;
  after: number;
  log: string[];
}

/** Branches whose hooks write, suspend, and write again. */
export const tornWrites: Programs = {
  "torn writes: counters before and after the pause of a post": {
    flow: ({ node, flow, parallelFlow }) => {
      const count = node({
        async post(shared: Count) {
          shared.before++;
          await pause(1 + (this._params["n"] as number));
          shared.after++;
        },
      });
      count.next(node({ exec: () => pause() })).next(
        node({
          async prep(shared: Count) {
            shared.before += 100;
            await pause();
            shared.after += 100;
          },
        }),
      );
      return parallelFlow(flow(count), { prep: () => numbered(5) });
    },
    input: { before: 0, after: 0 },
  },
  "torn writes: one list that all branches push to twice": {
    flow: ({ node, flow, parallelFlow }) => {
      const push = node({
        exec: () => pause(),
        async post({ log }: Count) {
          const n = this._params["n"] as number;
          log.push(`${n} began`);
          await pause(3 - n);
          log.push(`${n} ended`);
          return log.filter((line) => line.startsWith(`${n} ended`)).length < 3 ? "again" : "enough";
        },
      });
      push.on("again", push).end("enough");
      return parallelFlow(flow(push), {
        prep: () => numbered(3),
        post: (shared: Count) => void shared.log.sort(),
      });
    },
  },
  "torn writes: beside branches that do not suspend": {
    flow: ({ node, flow, parallelFlow }) => {
      const slow = node({
        async post(shared: Count) {
          shared.before++;
          await pause(3);
          await pause(2);
          shared.after++;
        },
      });
      const quick = node({
        post(shared: Count) {
          shared.before++;
          shared.after++;
        },
      });
      const choose = node({
        post() {
          return (this._params["n"] as number) % 2 === 0 ? "slow" : "quick";
        },
      });
      choose.on("slow", slow).on("quick", quick);
      slow.next(quick).next(node({ exec: () => pause() }));
      return parallelFlow(flow(choose), { prep: () => numbered(6) });
    },
    input: { before: 0, after: 0 },
  },
  "torn writes: through raw references, after a pause in which other branches are stored": {
    flow: ({ node, flow, parallelFlow }) => {
      interface Boxes {
        box: object;
        map: Map<string, number>;
        list: string[];
        steps: number;
      }
      const keep = node({
        async post(shared: Boxes) {
          const [box, map, list] = [{ n: 0, deep: { n: 0 } }, new Map<string, number>(), ["before"]];
          Object.assign(shared, { box, map, list });
          await pause(4);
          box.n = 1;
          box.deep.n = 2;
          map.set("after", 3);
          list.push("after");
          await pause(2);
          delete (box as { n?: number }).n;
        },
      });
      const step = node({
        exec: () => pause(),
        post(shared: Boxes) {
          shared.steps++;
        },
      });
      step.next(node({ exec: () => pause() })).next(node({ post: (shared: Boxes) => void shared.steps++ }));
      const choose = node({
        post() {
          return this._params["n"] === 0 ? "keep" : "step";
        },
      });
      choose.on("keep", keep).on("step", step);
      keep.next(node({ exec: () => pause(2) }));
      return parallelFlow(flow(choose), { prep: () => numbered(4) });
    },
    input: { box: {}, map: {}, list: [], steps: 0 },
  },
};
