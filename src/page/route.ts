import { computed, signal } from "@preact/signals";

// Where in the page somebody is, kept in the URL's hash: `#/runs/01K…?tab=items&status=failed`. The hash never reaches a server.

/** What is shown: the parts of the path, and what it is shown by. */
export interface Route {
  path: string[];
  query: URLSearchParams;
}

const hash = signal(location.hash);
addEventListener("hashchange", () => {
  hash.value = location.hash;
});

export const route = computed(() => readRoute(hash.value));

/** Throws for nothing: a part that is no escaped text is taken as it is. */
export function readRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { path: path.split("/").filter(Boolean).map(unescaped), query: new URLSearchParams(query) };
}

/** The address of a place in the page; what is empty or missing of the query is left out. */
export function linkTo(path: string[], query: { [name: string]: string | null | undefined } = {}): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const text = new URLSearchParams(given).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text && `?${text}`}`;
}

/** Goes to a place; `replace` leaves no trace in the history. */
export function go(link: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, "", link);
  else history.pushState(null, "", link);
  hash.value = location.hash;
}

/** Changes what the current place is shown by, and keeps the rest. Nothing is left in the history. */
export function setQuery(changes: { [name: string]: string | null }): void {
  const { path, query } = route.peek();
  go(linkTo(path, { ...Object.fromEntries(query), ...changes }), { replace: true });
}

function unescaped(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
