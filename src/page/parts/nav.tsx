import type { Queue } from "../../http/api.ts";
import { linkTo, route } from "../route.ts";
import { number } from "./format.ts";
import { usePoll } from "./poll.tsx";
import { ThemeSwitch } from "./theme.tsx";
import { TokenButton } from "./token.tsx";
import "./nav.css";

const QUEUE_MS = 15_000;

/** The places that the page has, by their first part. */
export const ROOMS: { [room: string]: string } = {
  runs: "Runs",
  flows: "Flows",
  limits: "Limits",
  crons: "Crons",
  webhooks: "Webhooks",
};

export function Header() {
  const [here = "runs"] = route.value.path;
  return (
    <header class="head">
      <a class="brand" href={linkTo(["runs"])}>
        <svg viewBox="0 0 16 16" width="18" height="18" aria-hidden="true">
          <path d="M2 9h5l-1 6 8-9H9l1-5z" fill="#e8590c" />
        </svg>
        Pocketflare
      </a>
      <nav aria-label="Places">
        {Object.entries(ROOMS).map(([room, name]) => (
          <a key={room} href={linkTo([room])} aria-current={room === here ? "page" : undefined}>
            {name}
          </a>
        ))}
      </nav>
      <div class="tools">
        <QueueState />
        <Version />
        <TokenButton />
        <ThemeSwitch />
      </div>
    </header>
  );
}

/** What waits on the queue of executors, where there is one; its dead letters stand out. */
function QueueState() {
  const { value } = usePoll<Queue>("/queue", QUEUE_MS);
  const { backlog = null, dead = null } = value ?? {};
  return (
    <>
      {backlog && <span class="soft">Queue: {number(backlog.count)}</span>}
      {dead !== null && dead.count > 0 && <span class="wrong">⚠ {number(dead.count)} dead</span>}
    </>
  );
}

function Version() {
  const { value } = usePoll<{ version: string }>("/health");
  return value ? <span class="soft">v{value.version}</span> : null;
}
