import { type Programs, pause } from "./program.ts";

// Shapes of PocketFlow's cookbook that go round: agents, chats, supervisors.

interface Asked {
  question: string;
  context: string[];
  answer?: string;
  log: string[];
}

/** Decides, searches and decides again, until it can answer. */
export const agentLoops: Programs = {
  "cookbook: an agent that decides, searches and answers": {
    flow: ({ node, flow }) => {
      const decide = node({
        prep: ({ question, context }: Asked) => ({ question, context }),
        async exec({ question, context }: Pick<Asked, "question" | "context">) {
          await pause();
          return context.length < 3
            ? { action: "search", query: `${question} ${context.length}` }
            : { action: "answer" };
        },
        post(shared: Asked & { query?: string }, _: unknown, { action, query }: { action: string; query?: string }) {
          if (query !== undefined) shared.query = query;
          return action;
        },
      });
      const search = node({
        prep: (shared: { query: string }) => shared.query,
        exec: (query: string) => pause().then(() => `found ${query}`),
        post(shared: Asked, _: unknown, found: string) {
          shared.context.push(found);
          return "decide";
        },
      });
      const answer = node({
        prep: ({ context }: Asked) => context,
        exec: (context: string[]) => context.join("; "),
        post(shared: Asked, _: unknown, words: string) {
          shared.answer = words;
          return "done";
        },
      });
      decide.on("search", search).on("answer", answer);
      search.on("decide", decide);
      return flow(decide);
    },
    input: { question: "why?", context: [] },
  },
  "cookbook: a supervisor who rejects an agent's answers": {
    flow: ({ node, flow }) => {
      const agent = node({
        prep: (shared: { tries: number }) => shared.tries,
        exec: (tries: number) => pause().then(() => (tries < 2 ? "nonsense" : "an answer")),
        post(shared: Asked & { tries: number }, _: unknown, words: string) {
          shared.answer = words;
          shared.tries++;
          return "answered";
        },
      });
      const inner = flow(agent);
      const supervise = node({
        prep: ({ answer }: Asked) => answer,
        exec: (words: string) => !words.includes("nonsense"),
        post(shared: Asked, words: string, isGood: boolean) {
          shared.log.push(`${words}: ${isGood ? "accepted" : "rejected"}`);
          if (isGood) return "accept";
          delete shared.answer;
          return "retry";
        },
      });
      inner.on("answered", supervise);
      supervise.on("retry", inner).end("accept");
      return flow(inner);
    },
    input: { tries: 0 },
  },
  "cookbook: a chat until somebody says goodbye": {
    flow: ({ node, flow }) => {
      interface Chat {
        inputs: string[];
        messages: { role: string; content: string }[];
      }
      const chat = node({
        prep(shared: Chat) {
          const content = shared.inputs.shift();
          if (content === undefined || content === "exit") return null;
          shared.messages.push({ role: "user", content });
          return shared.messages;
        },
        async exec(messages: Chat["messages"] | null) {
          await pause();
          return messages && `${messages.length}: ${messages.at(-1)?.content}`;
        },
        post(shared: Chat, prepRes: unknown, content: string | null) {
          if (prepRes === null || content === null) return "goodbye";
          shared.messages.push({ role: "assistant", content });
          return "continue";
        },
      });
      chat.on("continue", chat).end("goodbye");
      return flow(chat);
    },
    input: { inputs: ["hello", "how are you?", "exit", "never read"], messages: [] },
  },
  "cookbook: text to SQL, mended until it works": {
    flow: ({ node, flow }) => {
      interface Query {
        question: string;
        sql: string;
        error?: string;
        rows: unknown;
        tries: number;
      }
      const schema = node({
        exec: () => "users(id, name)",
        post(shared: { schema: string }, _: unknown, text: string) {
          shared.schema = text;
        },
      });
      const generate = node(
        {
          prep: ({ question }: Query) => question,
          exec() {
            if (this.currentRetry === 0) throw new Error("no SQL in the answer");
            return "select nam from users";
          },
          post(shared: Query, _: unknown, sql: string) {
            shared.sql = sql;
            shared.tries = 0;
          },
        },
        3,
        0.002,
      );
      const execute = node({
        prep: ({ sql }: Query) => sql,
        exec: (sql: string) =>
          pause().then(() => (sql.includes("name ") ? { rows: [["ada"]] } : { error: "no such column" })),
        post(shared: Query, _: unknown, { rows, error }: { rows?: unknown; error?: string }) {
          if (error === undefined) {
            shared.rows = rows;
            return "done";
          }
          shared.error = error;
          return ++shared.tries < 3 ? "mend" : "give up";
        },
      });
      const mend = node({
        prep: ({ sql, error }: Query) => ({ sql, error }),
        exec: ({ sql, error }: { sql: string; error: string }) => `${sql.replace("nam ", "nama ")} -- ${error}`,
        post(shared: Query, _: unknown, sql: string) {
          shared.sql = shared.tries === 2 ? "select name from users" : sql;
          delete shared.error;
        },
      });
      schema.next(generate).next(execute);
      execute.on("mend", mend).end("done", "give up");
      mend.next(execute);
      return flow(schema);
    },
    input: { question: "who?" },
  },
  "cookbook: a chain of thought, step by step": {
    flow: ({ node, flow }) => {
      interface Thoughts {
        problem: string;
        thoughts: { number: number; text: string; plan: string[] }[];
        solution?: string;
      }
      const think = node(
        {
          prep: ({ problem, thoughts }: Thoughts) => ({ problem, last: thoughts.at(-1), number: thoughts.length + 1 }),
          async exec({ problem, last, number }: { problem: string; last?: Thoughts["thoughts"][0]; number: number }) {
            await pause();
            if (number === 2 && this.currentRetry === 0) throw new Error("no plan in the answer");
            return {
              number,
              text: `${problem} ${last?.text.length ?? 0}`,
              plan: [...(last?.plan ?? []), `step ${number}`],
            };
          },
          post(shared: Thoughts, _: unknown, thought: Thoughts["thoughts"][0]) {
            shared.thoughts.push(thought);
            if (thought.number < 4) return "continue";
            shared.solution = thought.text;
            return "end";
          },
        },
        3,
        0.002,
      );
      think.on("continue", think).end("end");
      return flow(think);
    },
    input: { problem: "7 * 6", thoughts: [] },
  },
  "cookbook: a debate with a judge, three rounds": {
    flow: ({ node, parallel, flow }) => {
      interface Debate {
        rounds: { [side: string]: string }[];
        verdict: string;
      }
      const argue = parallel({
        prep: ({ rounds }: Debate) => ["for", "against"].map((side) => ({ side, round: rounds.length })),
        exec: ({ side, round }: { side: string; round: number }) => pause(round).then(() => `${side}, ${round}`),
        post(shared: Debate, sides: { side: string }[], words: string[]) {
          shared.rounds.push(Object.fromEntries(sides.map(({ side }, index) => [side, words[index] as string])));
          return shared.rounds.length < 3 ? "again" : "judge";
        },
      });
      const judge = node({
        prep: ({ rounds }: Debate) => rounds,
        exec: (rounds: Debate["rounds"]) => `for, after ${rounds.length} rounds`,
        post(shared: Debate, _: unknown, verdict: string) {
          shared.verdict = verdict;
          return "judged";
        },
      });
      argue.on("again", argue).on("judge", judge);
      return flow(argue);
    },
    input: { rounds: [] },
  },
};
