/**
 * The one of some names that may have been meant by a mistyped one.
 *
 * @example nearest("stauts", ["start", "status"]); // "status"
 */
export function nearest(typed: string, names: readonly string[]): string | undefined {
  const near = names
    .map((name) => ({ name, distance: distanceOf(typed.toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, distance }) => distance <= Math.ceil(Math.max(typed.length, name.length) / 3));
  return near.sort((a, b) => a.distance - b.distance)[0]?.name;
}

/** `Did you mean …?` where there is a name to ask about. */
export function didYouMean(typed: string, names: readonly string[]): string | null {
  const name = nearest(typed, names);
  return name === undefined ? null : `Did you mean \`${name}\`?`;
}

const LONGEST = 100;

/** Damerau-Levenshtein, by optimal string alignment: how many characters differ, two that are swapped counting as one. */
function distanceOf(a: string, b: string): number {
  if (Math.max(a.length, b.length) > LONGEST) return a === b ? 0 : Number.POSITIVE_INFINITY;
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSwapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const costs = [
        at(row, j - 1) + 1,
        at(last, j) + 1,
        at(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1),
        isSwapped ? at(before, j - 2) + 1 : Number.POSITIVE_INFINITY,
      ];
      row.push(Math.min(...costs));
    }
    [before, last] = [last, row];
  }
  return at(last, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}
