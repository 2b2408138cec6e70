import { BROKEN, golden, type World } from "../golden/flow.ts";

/** The world of the golden flow as tests see it: nothing is held, and what is called is noted. */
export class GoldenWorld implements World {
  readonly calls: string[] = [];
  readonly #broken: ReadonlySet<string>;
  readonly wait = 0.01;

  constructor(broken: readonly string[]) {
    this.#broken = new Set(broken);
  }

  async call(place: string, attempt: number): Promise<void> {
    this.calls.push(`${place}, attempt ${attempt}`);
  }

  isBroken(place: string): boolean {
    return this.#broken.has(place);
  }
}

/** The world that the Worker's golden flow is in now. */
let current = new GoldenWorld(BROKEN);

export function newGoldenWorld(broken: readonly string[]): GoldenWorld {
  current = new GoldenWorld(broken);
  return current;
}

const world: World = {
  call: (place, attempt) => current.call(place, attempt),
  isBroken: (place) => current.isBroken(place),
  wait: current.wait,
};

export const goldenFlows = { golden: () => golden(world) };
