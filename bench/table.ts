/** One line of the table. A cell that does not apply is left out. */
export interface Row {
  what: string;
  minimal?: number | undefined;
  pocketflare?: number | undefined;
  workflows?: number | undefined;
  ratio?: number;
  /** The most that `ratio` may be. */
  bound?: number;
}

const columns = ["what", "minimal", "pocketflare", "workflows", "ratio", "bound", ""] as const;

export function isWithinBound({ ratio, bound }: Row): boolean {
  return ratio === undefined || bound === undefined || ratio <= bound;
}

export function printTable(rows: readonly Row[]): void {
  const lines = [[...columns], ...rows.map(cellsOf)];
  const widths = columns.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  for (const cells of lines) console.log(padded(cells, widths).trimEnd());
}

function cellsOf(row: Row): string[] {
  const { what, minimal, pocketflare, workflows, ratio, bound } = row;
  const verdict = bound === undefined ? "" : isWithinBound(row) ? "ok" : "TOO MUCH";
  return [
    what,
    ...[minimal, pocketflare, workflows, ratio].map(format),
    bound === undefined ? "" : `≤ ${bound}`,
    verdict,
  ];
}

/** Three significant digits are what such measurements are worth. */
function format(value: number | undefined): string {
  if (value === undefined) return "";
  return value >= 100 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(3)));
}

function padded(cells: readonly string[], widths: readonly number[]): string {
  const [what = "", ...rest] = cells;
  return [what.padEnd(widths[0] ?? 0), ...rest.map((cell, index) => cell.padStart(widths[index + 1] ?? 0))].join("  ");
}
