import type { Answer, Request } from "../core/limiter.ts";
import type { Fault } from "../core/run.ts";
import { Calls, type ExecutorPorts } from "./calls.ts";
import { Desk } from "./desk.ts";
import { graphChanged } from "./faults.ts";
import { Hooks } from "./hooks.ts";
import type { Place } from "./limiter-store.ts";
import { Pages } from "./pages.ts";
import { type Hopeless, Permits } from "./permits.ts";
import type { RunPort } from "./protocol.ts";
import type { Registered, Registry } from "./registry.ts";
import type { Store } from "./store.ts";
import { Turns } from "./turns.ts";
import { Walk } from "./walk.ts";

/** The calls that leave a run's object. */
export interface RunPorts extends ExecutorPorts {
  exchange(place: Place, request: Request): Promise<Answer | null>;
}

/** What the parts of a run in memory need of the object around them. */
export interface RunningPorts extends RunPorts {
  /** The run, as its own inline executor reaches it. */
  self: RunPort;
  waitUntil(promise: Promise<unknown>): void;
  /** Permits have come, or some never will. */
  onChange(hopeless: Hopeless[]): void;
  /** A hook has ended the run. */
  onBroke(fault: Fault): void;
  /** Hooks have ended, and what they did may be stored. */
  flush(): void;
}

/** A run that was started, as it is in memory: its parts, built from its rows. */
export class Running {
  readonly flow: Registered;
  readonly walk: Walk;
  readonly turns: Turns;
  readonly permits: Permits;
  readonly desk: Desk;
  readonly calls: Calls;
  /** It was built from rows that say of hooks to be run, and these were not begun. */
  isFresh = false;
  readonly #store: Store;

  constructor(store: Store, registry: Registry, ports: RunningPorts) {
    const row = store.run();
    const pages = new Pages(store);
    this.#store = store;
    const open = store.steps.open();
    this.flow = registry.makeAgain({ ...row, steps: [...open, ...store.steps.waiting(open)] });
    this.walk = new Walk(store, this.flow, pages, () => Date.now());
    this.permits = new Permits(this.walk.row, this.walk.ledger, ports);
    this.desk = new Desk(this.walk, pages, this.permits, store.events);
    const { self: port, waitUntil } = ports;
    this.calls = new Calls({ run: row.id, flow: this.flow, flowName: row.flow, port, waitUntil }, ports);
    this.turns = new Turns(this.walk, new Hooks(this.walk, store, pages, ports.onBroke), ports);
  }

  /** Finds what the run is at. `isNew`: the object was away, and with it all that was under way in it. Called in a transaction. */
  recover(isNew: boolean): void {
    const { walk } = this;
    const { changes } = this.flow;
    if (walk.hasLimits && !walk.isFinished) this.#store.saveLives(++walk.row.lives);
    if (changes.length > 0) walk.turn({ type: "graph-changed", error: graphChanged(walk.row.flow, this.flow) });
    else if (walk.state.error !== null) walk.turn({ type: "graph-restored" });
    if (!walk.isFinished && changes.length === 0) walk.recover(isNew);
  }

  /** Tells limiters what became of permits, and asks for those that items could use now. */
  lookAfterPermits(nowMs: number): void {
    const { walk, permits } = this;
    if (!walk.hasLimits) return;
    permits.tell(walk.ledger.takeNews());
    if (walk.state.status === "running") permits.ask();
    else permits.finish();
    permits.renew(nowMs);
  }

  /** Tells executors of an end that they need not find out when they next report. */
  nudge(): void {
    for (const slot of this.walk.ledger.slots.all()) if (slot.state === "live") this.calls.nudge(slot);
  }
}
