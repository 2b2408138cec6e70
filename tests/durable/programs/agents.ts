import { type Programs, pause } from "./program.ts";

// Agents: branches that wait for what others write, by looking at shared again and again.

interface Agent {
  _params: { name: string; rank: number };
}

interface Talk {
  log: string[];
  messages: { from: string; to: string; text: string }[];
  done: string[];
  turn: number;
}

const agents = (...names: string[]) => names.map((name, rank) => ({ name, rank }));

async function until(holds: () => unknown): Promise<void> {
  while (!holds()) await pause();
}

export const polling: Programs = {
  "agents: two branches that take turns": {
    flow: ({ node, flow, parallelFlow }) => {
      const speak = node({
        async prep(shared: Talk) {
          const { rank } = this._params as Agent["_params"];
          await until(() => shared.turn % 2 === rank);
          return shared.turn;
        },
        exec(turn: number) {
          return `${this._params["name"]} says ${turn}`;
        },
        post(shared: Talk, _: number, words: string) {
          shared.log.push(words);
          return ++shared.turn < 7 - (this._params["rank"] as number) ? "again" : "over";
        },
      });
      speak.on("again", speak).end("over");
      return parallelFlow(flow(speak), { prep: () => agents("ada", "bob") });
    },
    input: { turn: 0 },
  },
  "agents: a guesser and one who gives hints, through two queues": {
    flow: ({ node, flow, parallelFlow }) => {
      interface Game {
        log: string[];
        word: string;
        hints: string[];
        guesses: string[];
      }
      const hint = node({
        async prep(shared: Game) {
          await until(() => shared.guesses.length > 0);
          return { guess: shared.guesses.shift() as string, word: shared.word };
        },
        exec: ({ guess, word }: { guess: string; word: string }) =>
          guess === word ? "right" : `${word.slice(0, guess.length + 1)}`,
        post(shared: Game, { guess }: { guess: string }, answer: string) {
          shared.log.push(`${guess}? ${answer}`);
          shared.hints.push(answer);
          return answer === "right" ? "over" : "again";
        },
      });
      const guess = node({
        async prep(shared: Game) {
          await until(() => shared.hints.length > 0);
          return shared.hints.shift();
        },
        exec: (hint: string) => pause().then(() => hint),
        post(shared: Game, _: unknown, hint: string) {
          if (hint === "right") return "over";
          shared.guesses.push(hint);
          return "again";
        },
      });
      hint.on("again", hint).end("over");
      guess.on("again", guess).end("over");
      const choose = node({ post: pickByName });
      choose.on("hinter", hint).on("guesser", guess);
      return parallelFlow(flow(choose), { prep: () => agents("hinter", "guesser") });
    },
    input: { word: "nose", hints: [""], guesses: [] },
  },
  "agents: three over one list of messages": {
    flow: ({ node, flow, parallelFlow }) => {
      const next: { [name: string]: string } = { ada: "bob", bob: "cyd", cyd: "ada" };
      const answer = node({
        async prep(shared: Talk) {
          const { name } = this._params;
          await until(() => shared.messages.some(({ to }) => to === name) || shared.done.length > 0);
          const found = shared.messages.findIndex(({ to }) => to === name);
          return found < 0 ? null : shared.messages.splice(found, 1)[0];
        },
        async exec(message: Talk["messages"][number] | null) {
          await pause();
          return message && `${message.text}.`;
        },
        post(shared: Talk, _: unknown, text: string | null) {
          const name = this._params["name"] as string;
          if (text === null) return "over";
          shared.log.push(`${name}: ${text}`);
          if (text.length > 8) return shared.done.push(name) && "over";
          shared.messages.push({ from: name, to: next[name] as string, text });
          return "again";
        },
      });
      answer.on("again", answer).end("over");
      return parallelFlow(flow(answer), { prep: () => agents("ada", "bob", "cyd") });
    },
    input: { messages: [{ from: "user", to: "ada", text: "hi" }], done: [] },
  },
  "agents: one waits for others, whose posts write, pause and write, and who go on from there": {
    flow: ({ node, batch, flow, parallelFlow }) => {
      interface Work {
        begun: number;
        ended: number;
        done: number;
        found?: unknown;
      }
      const work = node({
        exec: () => pause(),
        async post(shared: Work) {
          shared.begun++;
          await pause(2);
          shared.ended++;
        },
      });
      work.next(batch({ prep: () => [1, 2], exec: () => pause() })).next(
        node({
          exec: () => pause(),
          async post(shared: Work) {
            shared.begun++;
            await pause();
            shared.ended++;
            shared.done++;
          },
        }),
      );
      const wait = node({
        async prep(shared: Work) {
          await until(() => shared.done === 4);
          return [shared.begun, shared.ended];
        },
        exec: (counts: number[]) => counts.join(),
        post(shared: Work, counts: number[], text: string) {
          shared.found = { counts, text };
        },
      });
      const choose = node({ post: pickByName });
      choose.on("waiter", wait).on("worker", work);
      return parallelFlow(flow(choose), {
        prep: () => agents("worker", "waiter", "worker", "worker", "worker"),
      });
    },
    input: { begun: 0, ended: 0, done: 0 },
  },
  "agents: all meet before any goes on": {
    flow: ({ node, flow, parallelFlow }) => {
      const arrive = node({
        exec() {
          return pause(this._params["rank"] as number);
        },
        post(shared: Talk) {
          shared.done.push(this._params["name"] as string);
        },
      });
      const meet = node({
        async prep(shared: Talk) {
          await until(() => shared.done.length === 4);
          return shared.done.toSorted();
        },
        exec: (names: string[]) => names.join("+"),
        post(shared: Talk, _: unknown, met: string) {
          shared.log[this._params["rank"] as number] = met;
        },
      });
      arrive.next(meet);
      return parallelFlow(flow(arrive), {
        prep: () => agents("ada", "bob", "cyd", "dan"),
        post: (shared: Talk) => void shared.done.sort(),
      });
    },
    input: { done: [] },
  },
  "agents: one makes parts while another takes them": {
    flow: ({ node, flow, parallelFlow }) => {
      interface Line {
        log: string[];
        parts: number[];
        isClosed: boolean;
      }
      const make = node({
        prep: ({ log }: Line) => log.filter((line) => line.startsWith("made")).length,
        exec: (made: number) => pause().then(() => made * 10),
        post(shared: Line, made: number, part: number) {
          shared.parts.push(part);
          shared.log.push(`made ${part}`);
          shared.isClosed = made === 4;
          return shared.isClosed ? "over" : "again";
        },
      });
      const take = node({
        async prep(shared: Line) {
          await until(() => shared.parts.length > 0 || shared.isClosed);
          return shared.parts.shift();
        },
        exec: (part?: number) => part,
        post(shared: Line, _: unknown, part?: number) {
          if (part === undefined) return "over";
          shared.log.push(`took ${part}`);
          return "again";
        },
      });
      make.on("again", make).end("over");
      take.on("again", take).end("over");
      const choose = node({ post: pickByName });
      choose.on("maker", make).on("taker", take);
      return parallelFlow(flow(choose), {
        prep: () => agents("maker", "taker"),
        post: (shared: Line) => void shared.log.sort(),
      });
    },
    input: { parts: [], isClosed: false },
  },
  "agents: a branch reads what the one before it wrote": {
    flow: ({ node, flow, batchFlow }) => {
      const chain = node({
        prep: (shared: Talk) => shared.log.at(-1) ?? "nobody",
        exec(before: string) {
          return `${this._params["name"]} after ${before.split(" ")[0]}`;
        },
        post(shared: Talk, _: unknown, words: string) {
          shared.log.push(words);
        },
      });
      return batchFlow(flow(chain), { prep: () => agents("ada", "bob", "cyd") });
    },
  },
  "agents: branches that end once one of them has found it": {
    flow: ({ node, flow, parallelFlow }) => {
      interface Search {
        found: string | null;
        rounds: { [rank: number]: string };
      }
      const search = node({
        exec: () => pause(),
        post(shared: Search) {
          const { rank, name } = this._params as Agent["_params"];
          if (rank === 1) shared.found ??= name;
          return shared.found === null ? "again" : "over";
        },
      });
      const last = node({
        post(shared: Search) {
          shared.rounds[this._params["rank"] as number] = `ended, found ${shared.found}`;
        },
      });
      search.on("again", search).on("over", last);
      return parallelFlow(flow(search), { prep: () => agents("ada", "bob", "cyd") });
    },
    input: { found: null, rounds: {} },
  },
};

/** The branch's name is the action. */
function pickByName(this: { _params: { [key: string]: unknown } }) {
  return this._params["name"];
}
