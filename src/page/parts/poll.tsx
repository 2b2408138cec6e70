import { useEffect, useRef, useState } from "preact/hooks";
import { get, token } from "../api.ts";
import { now } from "./format.ts";

const LONGEST_WAIT_MS = 30_000;

/** What the API last answered, and why it does not answer now. */
export interface Polled<T> {
  value: T | undefined;
  problem: { message: string; againAtMs: number } | undefined;
  /** Takes what another call has answered, until it is asked again. */
  take(value: T): void;
  refresh(): void;
}

/**
 * Asks the API again and again while the tab is seen: less and less often while it does not answer. Without `everyMs` it is asked
 * until it has answered once.
 */
export function usePoll<T>(where: string, everyMs?: number): Polled<T> {
  const [value, take] = useState<T>();
  const [problem, setProblem] = useState<Polled<T>["problem"]>();
  const refresh = useRef(() => {});
  const bearer = token.value;
  // With another token it is asked at once.
  useEffect(() => {
    let asked = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let failures = 0;
    const stop = () => {
      clearTimeout(timer);
      asked.abort();
    };
    const askAgain = async () => {
      stop();
      asked = new AbortController();
      const { signal } = asked;
      try {
        const answer = await get<T>(where, signal);
        if (signal.aborted) return;
        failures = 0;
        take(() => answer);
        setProblem(undefined);
        if (everyMs !== undefined) timer = setTimeout(askAgain, everyMs);
      } catch (error) {
        if (signal.aborted) return;
        const waitMs = Math.min(LONGEST_WAIT_MS, 1_000 * 2 ** ++failures);
        setProblem({ message: (error as Error).message, againAtMs: Date.now() + waitMs });
        timer = setTimeout(askAgain, waitMs);
      }
    };
    const look = () => (document.hidden ? stop() : askAgain());
    refresh.current = askAgain;
    document.addEventListener("visibilitychange", look);
    look();
    return () => {
      document.removeEventListener("visibilitychange", look);
      stop();
    };
  }, [where, everyMs, bearer]);
  return { value, problem, take: (given) => take(() => given), refresh: () => refresh.current() };
}

/** Says that what is shown is what was, or that there is nothing to show yet. */
export function PollNote({ polled: { value, problem } }: { polled: Polled<unknown> }) {
  if (!problem) return value === undefined ? <p class="soft">Loading…</p> : null;
  const seconds = Math.max(0, Math.ceil((problem.againAtMs - now.value) / 1_000));
  return (
    <p class="warning" role="status">
      <span aria-hidden="true">⚠</span> <bdi>{problem.message}</bdi> Asking again{" "}
      <span aria-hidden="true">{seconds === 0 ? "now" : `in ${seconds} s`}</span>
      {value === undefined ? "." : "; what is shown is from before."}
    </p>
  );
}
