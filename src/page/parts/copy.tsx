import type { ComponentChildren } from "preact";
import { say } from "./notes.tsx";

interface Props {
  text(): string;
  label: ComponentChildren;
  /** What screen readers say where the label is a sign. */
  name?: string;
  what?: string;
}

/** A button that copies a text, which is made when it is asked for. */
export function Copy({ text, label, name, what = "Copied" }: Props) {
  const copy = () =>
    navigator.clipboard.writeText(text()).then(
      () => say(what),
      () => say("The browser did not let the page copy that.", { isError: true }),
    );
  return (
    <button type="button" aria-label={name} title={name} onClick={copy}>
      {label}
    </button>
  );
}
