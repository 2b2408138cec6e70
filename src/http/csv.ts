/** What a line of results holds. */
interface Line {
  index: number;
  status: string;
  result?: unknown;
  error?: { name: string; message: string };
}

export const CSV_HEAD = "index,status,result,error\r\n";

/**
 * Lines of results as rows of CSV (RFC 4180), for a spreadsheet: text as it is, all else as JSON. As a spreadsheet would calculate a
 * text that begins like a formula, such a text has an apostrophe before it, as OWASP advises ("CSV Injection"); NDJSON is exact.
 */
export function csvOf(lines: string): string {
  let rows = "";
  for (const line of lines.split("\n")) if (line !== "") rows += rowOf(JSON.parse(line));
  return rows;
}

function rowOf({ index, status, result, error }: Line): string {
  const cells = [textOf(result), error ? guarded(`${error.name}: ${error.message}`) : ""];
  return `${index},${status},${cells.map(quoted).join(",")}\r\n`;
}

function textOf(result: unknown): string {
  if (result === undefined) return "";
  return typeof result === "string" ? guarded(result) : JSON.stringify(result);
}

function guarded(text: string): string {
  return /^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text;
}

function quoted(cell: string): string {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
