import { useEffect } from "preact/hooks";

/** What a ref holds once it is on the page. */
interface Found {
  readonly current: HTMLElement | null;
}

/** "/" goes to the search; J and K, and in the table the arrows, from one row's link to the next. Enter opens it as any link. */
export function useRowKeys(body: Found, input: Found): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const at = event.target as HTMLElement;
      const isElsewhere = at.closest("input:not([type=checkbox]), select, textarea, dialog") !== null;
      if (event.ctrlKey || event.metaKey || event.altKey || isElsewhere) return;
      if (event.key === "/") input.current?.focus();
      else if (!move(event.key, body.current, at)) return;
      event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

const STEPS: { [key: string]: number } = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 };

function move(key: string, body: HTMLElement | null, at: HTMLElement): boolean {
  const step = STEPS[key];
  const row = at.closest("tr");
  const isInside = row?.parentElement === body;
  if (step === undefined || body === null || (key.startsWith("Arrow") && !isInside)) return false;
  const next = isInside ? (step > 0 ? row?.nextElementSibling : row?.previousElementSibling) : body.firstElementChild;
  next?.querySelector("a")?.focus();
  return true;
}
