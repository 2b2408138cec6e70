import { signal } from "@preact/signals";

interface Note {
  id: number;
  text: string;
  isError: boolean;
}

const notes = signal<Note[]>([]);
let last = 0;

/** Says something at the edge of the page, and to screen readers. Errors stay until they are closed. */
export function say(text: string, { isError = false } = {}): void {
  const note = { id: ++last, text, isError };
  notes.value = [...notes.value.slice(-4), note];
  if (!isError) setTimeout(() => close(note.id), 5_000);
}

/** Does what a button asks for, and says why where that is refused. */
export async function attempt<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    say((error as Error).message, { isError: true });
    return undefined;
  }
}

function close(id: number): void {
  notes.value = notes.value.filter((note) => note.id !== id);
}

/** Shown once, at the root. */
export function Notes() {
  return (
    <div class="notes" role="status" aria-live="polite">
      {notes.value.map(({ id, text, isError }) => (
        <p key={id} class={isError ? "note error" : "note"}>
          {text}{" "}
          <button type="button" aria-label="Close this message" onClick={() => close(id)}>
            ✕
          </button>
        </p>
      ))}
    </div>
  );
}
