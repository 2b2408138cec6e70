import type { FlowRunObject } from "../durable/run.ts";
import { callObject } from "./call.ts";
import { isRunId } from "./ids.ts";
import { Problem } from "./problem.ts";

export type RunStub = DurableObjectStub<FlowRunObject>;

/** Calls to runs by id. */
export class Runs {
  readonly #runOf: (id: string) => RunStub;

  constructor(runOf: (id: string) => RunStub) {
    this.#runOf = runOf;
  }

  /** What a call finds in a run; a problem where there is no such run. */
  async get<T>(id: string, call: (run: RunStub, tries: number) => Promise<T | null>): Promise<T> {
    // An id that cannot be one is refused here: an object is not even woken for it.
    const found = isRunId(id) ? await this.call(id, call) : null;
    if (found === null) throw new Problem(404, `There is no run ${id.slice(0, 64)}`);
    return found;
  }

  call<T>(id: string, call: (run: RunStub, tries: number) => Promise<T>): Promise<T> {
    return callObject(() => this.#runOf(id), call);
  }
}
