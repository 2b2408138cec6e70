import { columnsOf, paint, print, styleOf } from "./terminal.ts";
import { clean, clip, widthOf } from "./text.ts";

const GAP = "  ";

/** Columns that stand under each other. On a terminal no row is wider than it is; elsewhere nothing is cut off. */
export class Table {
  readonly #heads: readonly string[];
  readonly #widths: number[];
  #isBegun = false;

  /** A head that begins with `>` has its column on the right. */
  constructor(...heads: string[]) {
    this.#heads = heads;
    this.#widths = heads.map((head) => widthOf(nameOf(head)));
  }

  /** Prints more rows. Columns may grow from one call to the next: what was printed stays as it is. */
  async print(rows: readonly (readonly string[])[]): Promise<void> {
    const cleaned = rows.map((row) => row.map(clean));
    for (const row of cleaned) {
      // Behind the last column stands nothing.
      for (let at = 0; at < this.#heads.length - 1; at++) {
        this.#widths[at] = Math.max(this.#widths[at] ?? 0, widthOf(row[at] ?? ""));
      }
    }
    if (!this.#isBegun) await print(paint("bold", clipped(this.#cells(this.#heads.map(nameOf)).join(GAP))));
    this.#isBegun = true;
    for (const row of cleaned) await print(this.#line(row));
  }

  #cells(row: readonly string[]): string[] {
    return this.#heads.map((head, at) => {
      const cell = row[at] ?? "";
      if (at === this.#heads.length - 1) return cell;
      const space = " ".repeat((this.#widths[at] ?? 0) - widthOf(cell));
      return head.startsWith(">") ? space + cell : cell + space;
    });
  }

  /** A row, its status in its colour. */
  #line(row: readonly string[]): string {
    const cells = this.#cells(row);
    const line = clipped(cells.join(GAP));
    const at = this.#heads.indexOf("STATUS");
    const [before, status] = [
      cells
        .slice(0, at)
        .map((cell) => cell + GAP)
        .join(""),
      row[at] ?? "",
    ];
    if (at < 0 || !line.startsWith(before + status)) return line;
    return before + paint(styleOf(status), status) + line.slice(before.length + status.length);
  }
}

function clipped(line: string): string {
  const columns = columnsOf();
  return columns === Number.POSITIVE_INFINITY ? line.trimEnd() : clip(line.trimEnd(), columns);
}

function nameOf(head: string): string {
  return head.replace(/^>/, "");
}
