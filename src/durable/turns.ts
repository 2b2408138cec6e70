import type { Effect } from "../core/run.ts";
import { drive, isThenable } from "../core/turn.ts";
import type { Hooks } from "./hooks.ts";
import type { Walk } from "./walk.ts";

/** So many turns are taken at a stretch, each of so many hooks: a walk without exec may never end, and must hear of a cancel. */
const MOST_TURNS = 1_000;

export interface TurnPorts {
  waitUntil(promise: Promise<unknown>): void;
  /** Stores what hooks did, unless one that has written is under way. */
  flush(): void;
}

/**
 * The turns of a run's branches: performs effects one after the other, and those that suspend beside whatever else the run does.
 * Not at once: a hook that ends the object takes its whole turn with it, and what led to it must be kept.
 */
export class Turns {
  readonly #walk: Walk;
  readonly #hooks: Hooks;
  readonly #ports: TurnPorts;
  #ahead: Effect[] = [];
  /** So many more turns are taken before others are heard. */
  #left = 0;

  constructor(walk: Walk, hooks: Hooks, ports: TurnPorts) {
    this.#walk = walk;
    this.#hooks = hooks;
    this.#ports = ports;
  }

  /** Whether there are effects that nobody has begun to perform. */
  get areAhead(): boolean {
    return this.#ahead.length > 0;
  }

  /** Performs effects in a turn of the object's own. */
  perform(effects: Effect[]): void {
    if (effects.length > 0 && this.#ahead.length === 0) setTimeout(() => this.#takeTurns(), 0);
    this.#ahead.push(...effects);
  }

  #takeTurns(): void {
    const ahead = this.#ahead;
    this.#ahead = [];
    this.#left = this.#walk.isWary ? 1 : MOST_TURNS;
    const untaken = ahead.findIndex((effect) => !this.#take(effect));
    if (untaken >= 0) this.perform(ahead.slice(untaken));
    this.#ports.flush();
  }

  /** `false`: the run must hear others first. */
  #take(effect: Effect): boolean {
    if (this.#left <= 0) return false;
    this.#left--;
    const turn = drive(this.#turn(effect));
    if (isThenable(turn)) this.#ports.waitUntil(turn.then(() => this.#ports.flush()));
    return true;
  }

  /** One turn of a branch: a hook, the transition, the next hook, without a pause where none of them suspends. */
  *#turn(first: Effect): Generator<unknown, void, unknown> {
    let own: Effect | undefined = first;
    for (let hops = 0; own; hops++) {
      const effects = (yield* this.#hooks.perform(own)) as Effect[];
      const [next, ...others] = effects;
      const goesOn = others.length === 0 && next?.type === "hook" && hops < MOST_TURNS && !this.#walk.isWary;
      own = goesOn ? next : undefined;
      if (!goesOn) this.#part(effects);
    }
  }

  /** Where branches part, each has a turn of its own. The run hears others before more of them begin. */
  #part(effects: Effect[]): void {
    this.perform(effects.filter((effect) => effect.type === "branch" || !this.#take(effect)));
  }
}
