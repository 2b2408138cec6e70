/** Rows of words in columns, the first row being the heading. */
export function table(rows: string[][]): string {
  const widths = (rows[0] as string[]).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const lines = rows.map((row) => row.map((word, column) => word.padEnd(widths[column] ?? 0)).join("  "));
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  return [lines[0], rule, ...lines.slice(1)].map((line) => `${line?.trimEnd()}\n`).join("");
}
