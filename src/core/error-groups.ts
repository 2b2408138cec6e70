/** Failed items with the same kind of error: their messages differ in numbers and names alone. */
export interface ErrorGroup {
  /** Names the group: the same for the same kind of error. */
  id: string;
  name: string;
  /** Of the first item; what differs between items is in it as it was there. */
  message: string;
  count: number;
  nodes: string[];
  first: { step: number; index: number };
}

/** An item that has failed. */
export interface FailedItem {
  node: string;
  step: number;
  index: number;
  error: { name: string; message: string };
}

/** Of a message, to tell kinds apart. */
const LONGEST_KIND = 300;

/** Of a name, and of a message, as a group shows them. */
const LONGEST_NAME = 200;
const LONGEST_MESSAGE = 1_000;
/** So many groups are listed. */
const MOST_GROUPS = 200;

/** Groups failed items by the kind of their error: the largest groups, and how many more there are. */
export function groupErrors(items: Iterable<FailedItem>): { errors: ErrorGroup[]; more: number } {
  const groups = new Map<string, ErrorGroup>();
  for (const { node, step, index, error } of items) {
    const id = kindOf(error);
    const group = groups.get(id);
    if (!group) groups.set(id, { id, ...shortened(error), count: 1, nodes: [node], first: { step, index } });
    else {
      group.count++;
      if (!group.nodes.includes(node)) group.nodes.push(node);
    }
  }
  const errors = [...groups.values()].sort((a, b) => b.count - a.count).slice(0, MOST_GROUPS);
  return { errors, more: groups.size - errors.length };
}

function shortened({ name, message }: FailedItem["error"]): FailedItem["error"] {
  return { name: name.slice(0, LONGEST_NAME), message: message.slice(0, LONGEST_MESSAGE) };
}

/**
 * The kind of an error: its name and message without what is likely to be another for each item, which is numbers, what has
 * digits in it (ids, hashes, addresses) and what stands in quotes.
 *
 * @example kindOf({ name: "Error", message: "No answer for item 17" }) // "Error: No answer for item #"
 */
export function kindOf({ name, message }: { name: string; message: string }): string {
  const kind = message
    .slice(0, 2 * LONGEST_KIND)
    .replace(/`[^`]*`|"[^"]*"|'[^']*'/g, "…")
    .replace(/[\w.:/-]*\d[\w.:/-]*/g, "#");
  // It is put into URLs, which half an emoji cannot be.
  return `${name.slice(0, LONGEST_NAME)}: ${kind.slice(0, LONGEST_KIND)}`.toWellFormed();
}
