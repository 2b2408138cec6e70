import { setTimeout as sleep } from "node:timers/promises";
import type { Run, RunOutline } from "../http/api.ts";
import { type Api, ApiError, path, Unreachable } from "./client.ts";
import { Failure } from "./errors.ts";
import { readEvents } from "./events.ts";

/** Who is told while a run is followed. */
export interface Follower {
  onChange(run: RunOutline): void;
  onLost(): void;
  onFound(): void;
}

/** The server writes at least every ten seconds, so this is a connection that is none any more. */
const SILENCE_MS = 30_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;
/** So often in a row a server that has answered before may not. With the pauses this is ten minutes. */
const MOST_TRIES = 120;

/**
 * Follows a run to its end, over lost connections and restarts of the server. Throws where it cannot be followed from the
 * beginning, and once it was deleted.
 */
export async function follow(api: Api, id: string, follower: Follower, signal: AbortSignal): Promise<Run> {
  const told = new Told(follower);
  for (let tries = 0; ; tries++) {
    try {
      const run = await told.hear(api, id, signal, () => {
        if (tries > 0) follower.onFound();
        tries = 0;
      });
      if (run) return run;
    } catch (error) {
      if (signal.aborted || !told.isBegun || !isPassing(error) || tries >= MOST_TRIES) throw error;
    }
    if (tries === 0) follower.onLost();
    await sleep(Math.min(FIRST_PAUSE_MS * 2 ** Math.min(tries, 10), LONGEST_PAUSE_MS), undefined, { signal });
  }
}

/** A server that is just being started may answer anything but a refusal of this very call. */
function isPassing(error: unknown): boolean {
  if (error instanceof ApiError) return error.status >= 500 || error.status === 429;
  return error instanceof Unreachable || !(error instanceof Failure);
}

/** What was told of a run so far. */
class Told {
  readonly #follower: Follower;
  #run: RunOutline | undefined;
  #lastId: string | null = null;

  constructor(follower: Follower) {
    this.#follower = follower;
  }

  get isBegun(): boolean {
    return this.#run !== undefined;
  }

  /** Hears one connection to its end. Gives the run if that is over. */
  async hear(api: Api, id: string, signal: AbortSignal, onHeard: () => void): Promise<Run | null> {
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const response = await api.ask(`${path("runs", id)}/events`, {
        headers: { accept: "text/event-stream", ...(this.#lastId === null ? {} : { "last-event-id": this.#lastId }) },
        signal: AbortSignal.any([signal, silence.signal]),
      });
      for await (const event of readEvents(response.body ?? [], () => timer.refresh())) {
        if (event.event === "done") return endOf(id, event.data);
        this.#take(event.event, event.data);
        this.#lastId = event.id ?? this.#lastId;
        onHeard();
      }
      return null;
    } finally {
      clearTimeout(timer);
    }
  }

  #take(event: string, data: string): void {
    if (event === "snapshot") this.#run = JSON.parse(data) as RunOutline;
    else if ((event === "progress" || event === "step") && this.#run) Object.assign(this.#run, JSON.parse(data));
    else return;
    if (this.#run) this.#follower.onChange(this.#run);
  }
}

function endOf(id: string, data: string): Run {
  const { run } = JSON.parse(data) as { run: Run | null };
  if (run) return run;
  throw new Failure(`The run ${id} was deleted`);
}
