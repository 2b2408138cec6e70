import type { BaseNode, BatchFlow } from "../../../src/index.ts";
import type { Hooks, Spelling } from "../../core/spelling.ts";

export type Shared = { log: string[]; [key: string]: unknown };

/** A small flow that must end the same in memory and in a durable run. */
export interface Program {
  flow(spelling: Spelling): BaseNode;
  /** The input beside an empty log. JSON, as it comes through the door. */
  input?: object;
  /** What the run's error says, where it is meant to fail. */
  fails?: string;
  /** Exec hands on an object that others have too: they have a copy of it in a durable run. Else what is one object stays one. */
  copies?: true;
}

export interface Programs {
  [sentence: string]: Program;
}

/** Lets others go on for a moment. */
export function pause(ms = 1): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export interface Numbered {
  n: number;
}

/** Params for so many branches. Each keeps what it found by its number: so nothing depends on which of them ends first. */
export function numbered(count: number): Numbered[] {
  return Array.from({ length: count }, (_, n) => ({ n }));
}

/** Makes a batch flow of one kind. */
type Branches = (start: BaseNode, hooks?: Hooks) => BatchFlow;

/** One program with its branches in order, and one with its branches at once. */
export function inBothOrders(
  sentence: string,
  flow: (branches: Branches, spell: Spelling) => BaseNode,
  more: Omit<Program, "flow"> = {},
): Programs {
  const over = (kind: "batchFlow" | "parallelFlow"): Program => ({
    ...more,
    flow: (spell) => flow((start, hooks) => spell[kind](start, hooks), spell),
  });
  return {
    [`branches in order: ${sentence}`]: over("batchFlow"),
    [`branches at once: ${sentence}`]: over("parallelFlow"),
  };
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
