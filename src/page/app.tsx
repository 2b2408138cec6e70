import { useEffect, useRef } from "preact/hooks";
import { session } from "./api.ts";
import { Questions } from "./parts/dialog.tsx";
import { Header, ROOMS } from "./parts/nav.tsx";
import { Notes } from "./parts/notes.tsx";
import { TokenDialog } from "./parts/token.tsx";
import { linkTo, route } from "./route.ts";
import { RunPage } from "./run/run-page.tsx";
import { CronsPage } from "./views/crons.tsx";
import { FlowsPage } from "./views/flows.tsx";
import { LimitsPage } from "./views/limits.tsx";
import { RunsPage } from "./views/runs.tsx";
import { StartPage } from "./views/start.tsx";
import { WebhooksPage } from "./views/webhooks.tsx";

export function App() {
  const { path } = route.value;
  const main = useRef<HTMLElement>(null);
  const place = path.join("/");
  const before = useRef(place);
  useEffect(() => {
    document.title = titleOf(path);
    if (before.current === place) return;
    before.current = place;
    enter(main.current);
  }, [place]);
  return (
    <>
      <button type="button" class="skip" onClick={() => enter(main.current)}>
        Skip to the content
      </button>
      <Header />
      <main ref={main} tabIndex={-1} key={session.value}>
        <Place path={path} />
      </main>
      <Questions />
      <TokenDialog />
      <Notes />
    </>
  );
}

function Place({ path }: { path: string[] }) {
  const [room = "runs", name, ...more] = path;
  if (more.length > 0) return <Nothing />;
  if (name !== undefined) {
    if (room === "runs") return <RunPage key={name} id={name} />;
    return room === "flows" ? <StartPage key={name} flow={name} /> : <Nothing />;
  }
  switch (room) {
    case "runs":
      return <RunsPage />;
    case "flows":
      return <FlowsPage />;
    case "limits":
      return <LimitsPage />;
    case "crons":
      return <CronsPage />;
    case "webhooks":
      return <WebhooksPage />;
    default:
      return <Nothing />;
  }
}

function Nothing() {
  return (
    <>
      <h1>There is nothing here</h1>
      <p>
        The address may be mistyped, or of another version of this page. <a href={linkTo(["runs"])}>All runs</a>
      </p>
    </>
  );
}

function titleOf([room = "runs", name]: string[]): string {
  const said = name === undefined ? ROOMS[room] : `${room === "runs" ? "Run" : "Flow"} ${name}`;
  return `${said ?? "Nothing here"} · Pocketflare`;
}

/** Takes the focus to the headline of a place, so that a screen reader says it and Tab goes on from there. */
function enter(main: HTMLElement | null): void {
  const headline = main?.querySelector("h1");
  if (headline) headline.tabIndex = -1;
  (headline ?? main)?.focus();
}
