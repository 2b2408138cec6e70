/** `850 ms`, `12.3 s`, `4 min 10 s`, `3 h 20 min`, `2 d 4 h`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const [big, small, unit, less] =
    ms < 3_600_000
      ? ([60_000, 1_000, "min", "s"] as const)
      : ms < 86_400_000
        ? ([3_600_000, 60_000, "h", "min"] as const)
        : ([86_400_000, 3_600_000, "d", "h"] as const);
  const rest = Math.floor((ms % big) / small);
  return `${Math.floor(ms / big)} ${unit}${rest > 0 ? ` ${rest} ${less}` : ""}`;
}

/** The same in whole seconds. */
export function seconds(ms: number): string {
  return ms < 60_000 ? `${Math.max(0, Math.ceil(ms / 1_000))} s` : duration(ms);
}

/** `12 s ago`, `in 4 min`. */
export function fromNow(time: string): string {
  const ms = Date.parse(time) - Date.now();
  return ms > 0 ? `in ${seconds(ms)}` : `${seconds(-ms)} ago`;
}

/** How long it was, or has been, from one time to another; `-` where it has not begun. */
export function between(from: string | null, to: string | null): string {
  return from === null ? "-" : duration((to === null ? Date.now() : Date.parse(to)) - Date.parse(from));
}

/** `1,234`. */
export function number(value: number): string {
  return value.toLocaleString("en");
}

/** `1 item`, `1,234 items`. */
export function count(value: number, noun: string): string {
  return `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
}
