import type { ComponentChildren, Ref } from "preact";

interface Props {
  caption: string;
  class?: string;
  /** What stands over each column, by the column's class. */
  heads: { [column: string]: ComponentChildren };
  body?: Ref<HTMLTableSectionElement>;
  children: ComponentChildren;
}

/** A table, of which screen readers say what it is. */
export function Table({ caption, class: name = "", heads, body = null, children }: Props) {
  return (
    <table class={name}>
      <caption class="hidden">{caption}</caption>
      <thead>
        <tr>
          {Object.entries(heads).map(([column, head]) => (
            <th key={column} class={column}>
              {head}
            </th>
          ))}
        </tr>
      </thead>
      <tbody ref={body}>{children}</tbody>
    </table>
  );
}
