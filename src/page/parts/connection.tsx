import { now } from "./format.ts";
import type { Line, LiveSocket } from "./socket.ts";
import "./connection.css";

const SAID: { [kind in Line["kind"]]: string } = {
  connecting: "Connecting…",
  live: "Live",
  waiting: "Reconnecting",
  fallback: "Polling",
  gone: "Gone",
};

/** Whether what is shown is kept up to date, and when it will be again. */
export function Connection({ socket }: { socket: Pick<LiveSocket, "state" | "retryNow"> }) {
  const line = socket.state.value;
  return (
    <span class={`connection ${line.kind}`}>
      <span role="status">{SAID[line.kind]}</span>
      {line.kind === "waiting" && (
        <>
          {/* Not for screen readers: it would be said each second. */}
          <span aria-hidden="true">in {Math.max(0, Math.ceil((line.untilMs - now.value) / 1_000))} s</span>
          <button type="button" onClick={() => socket.retryNow()}>
            Try now
          </button>
        </>
      )}
    </span>
  );
}
