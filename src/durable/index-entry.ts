// What the index of runs is told, asked, and says.

/** What started a run. */
export interface Trigger {
  type: "http" | "cron" | "webhook";
  /** The cron's or the webhook's name. */
  name: string | null;
}

/** What a run tells the index of itself. */
export interface IndexEntry {
  id: string;
  flow: string;
  status: string;
  trigger: Trigger;
  createdMs: number;
  /** Rises with each change of the run's state: what comes late must not overwrite what is newer. */
  revision: number;
  /** When the run wants to be awake next; long after that it must have been forgotten by the platform. */
  wakeMs: number | null;
  /** The run as a list shows it: JSON text. */
  body: string;
}

/** The place of a run in the list. */
export interface IndexPlace {
  createdMs: number;
  id: string;
}

export interface IndexQuery {
  flow: string | null;
  status: string | null;
  trigger: Trigger["type"] | null;
  triggerName: string | null;
  /** Created at or after, and before. */
  fromMs: number | null;
  toMs: number | null;
  limit: number;
  /** The last run of the page before. */
  after: IndexPlace | null;
}

export interface IndexPage {
  /** The bodies, newest first. */
  runs: string[];
  /** Where the next page begins; nothing where no run was left. */
  next: IndexPlace | null;
}

/** What is remembered of a cron. */
export interface CronState {
  lastMs: number;
  lastRun: string;
  /** Since when it is about to be started; nothing where it has been. */
  claimedMs: number | null;
  skippedMs: number | null;
}
