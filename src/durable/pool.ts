import type { Items } from "./items.ts";
import type { Plan } from "./plan.ts";

/**
 * What all open items of one node share, whichever steps they are of: how many of them may be in exec. Says which of its groups
 * of items have something to do, so that nobody has to look through all of them.
 */
export class Pool {
  readonly plan: Plan;
  held = 0;
  permitted = 0;
  /** Items for which permits are asked, and those of them that have been told to wait. */
  asked = 0;
  waiting = 0;
  /** Chunks that a vendor has as jobs, or may have, and nobody asks about now: they take part of what may be in exec. */
  jobs = 0;
  /** How many items could begin if there were no bound on how many are in exec. */
  #ready = 0;
  /** How many jobs can be asked for: they are part of what is in exec already. */
  #due = 0;
  readonly #groups = new Set<Items>();
  readonly #active = new Map<Items, { ready: number; due: number }>();
  readonly #permitted = new Set<Items>();
  readonly #suspicious = new Set<Items>();
  /** Groups that have changed since they were last looked at. */
  #stale: Items[] = [];

  constructor(plan: Plan) {
    this.plan = plan;
  }

  get isLimited(): boolean {
    return this.plan.limits.length > 0;
  }

  /** How many more items may be in exec. */
  get free(): number {
    return this.plan.concurrency - this.held - this.permitted - this.jobs;
  }

  /** How many items could begin at once, were there executors for them. Suspects do not count. */
  get startable(): number {
    if (this.isLimited) return this.permitted;
    this.#refresh();
    return Math.max(0, Math.min(this.free, this.#ready)) + this.#due;
  }

  /** The groups with items in line. */
  get active(): Iterable<Items> {
    this.#refresh();
    return this.#active.keys();
  }

  /** The groups of which items may be taken: where these need permits, those that have theirs. */
  get offering(): Iterable<Items> {
    this.#refresh();
    return this.isLimited ? this.#permitted : this.#active.keys();
  }

  /** The groups with a suspect that could begin, were it alone. */
  get suspicious(): ReadonlySet<Items> {
    this.#refresh();
    return this.#suspicious;
  }

  get groups(): ReadonlySet<Items> {
    return this.#groups;
  }

  add(group: Items): void {
    this.#groups.add(group);
    this.touch(group);
  }

  drop(group: Items): void {
    this.#groups.delete(group);
    this.touch(group);
  }

  /** A group has changed. */
  touch(group: Items): void {
    if (group.isStale) return;
    group.isStale = true;
    this.#stale.push(group);
  }

  #refresh(): void {
    if (this.#stale.length === 0) return;
    const stale = this.#stale;
    this.#stale = [];
    for (const group of stale) this.#note(group);
  }

  #note(group: Items): void {
    group.isStale = false;
    const isOpen = this.#groups.has(group);
    const before = this.#active.get(group) ?? NONE;
    const ready = isOpen ? group.ready : 0;
    const due = isOpen ? group.due : 0;
    this.#ready += ready - before.ready;
    this.#due += due - before.due;
    if (ready + due > 0) this.#active.set(group, { ready, due });
    else this.#active.delete(group);
    put(this.#permitted, group, isOpen && group.isPermitted);
    put(this.#suspicious, group, isOpen && group.hasSuspect);
  }
}

const NONE = { ready: 0, due: 0 };

function put(groups: Set<Items>, group: Items, isIn: boolean): void {
  if (isIn) groups.add(group);
  else groups.delete(group);
}
