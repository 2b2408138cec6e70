import { signal } from "@preact/signals";

const KEY = "pocketflare-theme";
/** What each is for the browser. */
const SCHEMES = { system: "light dark", light: "light", dark: "dark" };
type Theme = keyof typeof SCHEMES;

const theme = signal(read());
show(theme.peek());

function read(): Theme {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : "system";
}

function show(chosen: Theme): void {
  document.documentElement.style.colorScheme = SCHEMES[chosen];
}

function choose(chosen: Theme): void {
  localStorage.setItem(KEY, chosen);
  theme.value = chosen;
  show(chosen);
}

export function ThemeSwitch() {
  return (
    <select aria-label="Theme" value={theme.value} onChange={(event) => choose(event.currentTarget.value as Theme)}>
      <option value="system">◐ System</option>
      <option value="light">☀ Light</option>
      <option value="dark">☾ Dark</option>
    </select>
  );
}
