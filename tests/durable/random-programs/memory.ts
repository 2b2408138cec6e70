import { toFailure } from "../../../src/core/errors.ts";
import { build, type Observer } from "./build.ts";
import { inputOf, type Program, type Shared } from "./program.ts";

/** How a program ended. */
export interface End {
  shared?: Shared;
  action?: string | null;
  error?: { name: string; message: string };
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Counts moments, and ends a program that has too many of them. */
export class Watch implements Observer {
  moments = 0;
  readonly #most: number;
  readonly #lengthOf: (ms: number) => number;

  /** `lengthOf` says how long a pause takes that was meant to take so many milliseconds. */
  constructor(most = Number.POSITIVE_INFINITY, lengthOf = (ms: number) => ms) {
    this.#most = most;
    this.#lengthOf = lengthOf;
  }

  get isTooLong(): boolean {
    return this.moments > this.#most;
  }

  hook(): void {
    this.moments++;
    if (this.isTooLong) throw new Error("This program is too long");
  }

  exec(): void {
    this.hook();
  }

  readonly pause = (ms: number): Promise<void> => {
    this.hook();
    return sleep(this.#lengthOf(ms));
  };
}

export async function endInMemory(program: Program, watch: Watch): Promise<End> {
  const shared = inputOf(program);
  try {
    const action = await build(program, watch).run(shared);
    return { shared, action: action || null };
  } catch (error) {
    const { name, message } = toFailure(error);
    return { error: { name, message } };
  }
}
