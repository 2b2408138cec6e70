import { number } from "../parts/format.ts";
import "./gauge.css";

/** How much of a bound is used; without a bound, how much there is. */
export function Gauge({ label, used, bound }: { label: string; used: number; bound: number | null }) {
  const value = Math.round(used);
  const text = bound === null ? `${number(value)}, no bound` : `${number(value)} of ${number(bound)}`;
  return (
    <div class="gauge">
      <span class="soft">{label}</span>
      <span>
        <b>{number(value)}</b>
        <span class="soft">{bound === null ? " · no bound" : ` / ${number(bound)}`}</span>
      </span>
      {bound !== null && (
        <>
          <meter class="hidden" aria-label={label} aria-valuetext={text} max={bound} value={Math.min(value, bound)} />
          {/* Each browser draws its meters in another way, and lets them be drawn in none. */}
          <div class={value >= bound ? "meter full" : "meter"} aria-hidden="true">
            <div style={{ width: `${Math.min(100, (100 * value) / bound)}%` }} />
          </div>
        </>
      )}
    </div>
  );
}
