/** The latest time that all that tells of "ago" or "in" is told by: it moves once a second. */
import { signal } from "@preact/signals";

export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1_000);

/** `850 ms`, `12.3 s`, `4 min 10 s`, `3 h 20 min`, `2 d 4 h`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const [big, small, unit, less] =
    ms < 3_600_000
      ? [60_000, 1_000, "min", "s"]
      : ms < 86_400_000
        ? [3_600_000, 60_000, "h", "min"]
        : [86_400_000, 3_600_000, "d", "h"];
  const rest = Math.floor((ms % Number(big)) / Number(small));
  return `${Math.floor(ms / Number(big))} ${unit}${rest > 0 ? ` ${rest} ${less}` : ""}`;
}

/** `12 s ago`, `in 4 min`, as seen from `nowMs`. */
export function fromNow(time: string, nowMs = now.value): string {
  const ms = Date.parse(time) - nowMs;
  if (Math.abs(ms) < 1_000) return "now";
  const [first, second] = duration(Math.abs(ms)).replace(/\.\d+/, "").split(" ");
  return ms > 0 ? `in ${first} ${second}` : `${first} ${second} ago`;
}

/** `1,234`. */
export function number(value: number): string {
  return value.toLocaleString("en");
}
