import { Store } from "../../src/durable/store.ts";

/** Where a run's object is to be lost, and whether it was. */
export class Kill {
  readonly when: "before" | "after" | "never";
  readonly commit: number;
  commits = 0;
  isDone = false;

  /** `before` the commit of this number: all it wrote is undone. `after`: once what it wrote is safe. */
  constructor(when: Kill["when"], commit: number) {
    this.when = when;
    this.commit = commit;
  }

  /** Whether the object is to be lost at the commit that was counted last. No run's is lost twice. */
  isDue(when: Kill["when"]): boolean {
    if (this.isDone || this.when !== when || this.commits !== this.commit) return false;
    this.isDone = true;
    return true;
  }
}

/** The kills that are planned, by run. Tests and objects meet here: they are in one isolate. */
export const kills = new Map<string, Kill>();

const KILLED = new Error("killed");

/** A store whose object is lost at one of its commits. */
export class KillingStore extends Store {
  readonly #state: DurableObjectState;
  readonly #kill: Kill;

  constructor(state: DurableObjectState, onFailure: (error: unknown) => void, kill: Kill) {
    super(state.storage, (error) => (error === KILLED ? crash(state) : onFailure(error)));
    this.#state = state;
    this.#kill = kill;
  }

  override commit<T>(write: () => T): T {
    this.#kill.commits++;
    const result = super.commit(() => {
      const written = write();
      if (this.#kill.isDue("before")) throw KILLED;
      return written;
    });
    // What a turn wrote is stored only once the turn is over.
    if (this.#kill.isDue("after")) void this.#state.storage.sync().then(() => crash(this.#state));
    return result;
  }
}

/** Nothing more of the object runs. The runner does not report this reason. */
function crash(state: DurableObjectState): void {
  state.abort("Instance disposed by a test");
}
