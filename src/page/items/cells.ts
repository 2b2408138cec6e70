/** How a heat grid's cells are laid: `columns` in a row, each a square of `size` pixels. */
export interface Laying {
  size: number;
  columns: number;
  rows: number;
}

const SMALLEST = 2;
const LARGEST = 14;
/** From which size there is room for a gap and a mark. */
const GAP_FROM = 5;

/** The largest cells with which all are seen at once; the smallest where nothing does. */
export function layCells(count: number, width: number, height: number): Laying {
  for (let size = LARGEST; ; size--) {
    const columns = Math.max(1, Math.floor(width / size));
    const rows = Math.ceil(count / columns);
    if (rows * size <= height || size === SMALLEST) return { size, columns, rows };
  }
}

/** Of each status: its colour, and that of the mark on it, as the bytes of a pixel. */
export type Inks = readonly { fill: number; mark: number }[];

/** So many pixels wide a cell is painted: one is enough where it has neither gap nor mark, as the browser makes it larger. */
export function sideOf({ size }: Laying): number {
  return size < GAP_FROM ? 1 : size;
}

/** Paints a cell: a square with a gap at its right and below, and a cross where the mark has another colour. */
export function paintCell(pixels: Uint32Array, cell: number, laying: Laying, { fill, mark }: Inks[number]): void {
  const { columns } = laying;
  const side = sideOf(laying);
  const inner = Math.max(1, side - 1);
  const start = (Math.floor(cell / columns) * columns * side + (cell % columns)) * side;
  for (let y = 0; y < inner; y++) {
    for (let x = 0; x < inner; x++) {
      const isOnCross = inner > 1 && (x === y || x + y === inner - 1);
      pixels[start + y * columns * side + x] = isOnCross ? mark : fill;
    }
  }
}
