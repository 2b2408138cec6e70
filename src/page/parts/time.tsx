import { fromNow } from "./format.ts";

/** A time as people say it, with the exact one on hover. */
export function Time({ at }: { at: string | null }) {
  if (at === null) return <span>–</span>;
  return (
    <time dateTime={at} title={at}>
      {fromNow(at)}
    </time>
  );
}
