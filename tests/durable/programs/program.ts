import type { BaseNode } from "../../../src/index.ts";
import type { Spelling } from "../../core/spelling.ts";

export type Shared = { log: string[]; [key: string]: unknown };

/** A small flow that must end the same in memory and in a durable run. */
export interface Program {
  flow(spelling: Spelling): BaseNode;
  /** The input beside an empty log. JSON, as it comes through the door. */
  input?: object;
  /** What the run's error says, where it is meant to fail. */
  fails?: string;
}

export interface Programs {
  [sentence: string]: Program;
}

/** A node that logs its hooks, and whose post returns `action`. */
export function step({ node }: Spelling, name: string, action?: string | ((shared: Shared) => string | undefined)) {
  return node(
    {
      prep(shared: Shared) {
        shared.log.push(`${name} prep`);
        return name;
      },
      exec: (word: string) => `${word} exec`,
      post(shared: Shared, _: string, word: string) {
        shared.log.push(`${word}, ${name} post`);
        return typeof action === "function" ? action(shared) : action;
      },
    },
    { name },
  );
}
