import { type Inks, type Laying, layCells, paintCell, sideOf } from "./cells.ts";
import { type ItemGrid, STATUSES } from "./grid.ts";

/** A grid higher than this scrolls. */
export const MOST_HEIGHT = 340;

/** A grid drawn on a canvas as wide as its room: of news only the cells that have changed. */
export class GridCanvas {
  readonly laying: Laying;
  readonly #grid: ItemGrid;
  readonly #canvas: HTMLCanvasElement;
  readonly #inks: Inks;
  readonly #image: ImageData;
  readonly #pixels: Uint32Array;

  /** Draws it in the width that there is now and the colours of now. */
  constructor(canvas: HTMLCanvasElement, room: HTMLElement, grid: ItemGrid) {
    this.#grid = grid;
    this.#canvas = canvas;
    this.#inks = readInks(room);
    this.laying = layCells(grid.size, room.clientWidth, MOST_HEIGHT);
    const { columns, rows, size } = this.laying;
    const side = sideOf(this.laying);
    canvas.width = columns * side;
    canvas.height = rows * side;
    canvas.style.width = `${columns * size}px`;
    canvas.style.height = `${rows * size}px`;
    this.#image = new ImageData(canvas.width, canvas.height);
    this.#pixels = new Uint32Array(this.#image.data.buffer);
    this.paint(grid.cells.keys());
  }

  paint(cells: Iterable<number>): void {
    for (const cell of cells) {
      paintCell(this.#pixels, cell, this.laying, this.#inks[this.#grid.cells[cell] as number] as Inks[number]);
    }
    this.#canvas.getContext("2d")?.putImageData(this.#image, 0, 0);
  }
}

/** The colours of the theme as they are now, asked of an element that has each status's class in turn. Failed cells get a mark. */
function readInks(around: HTMLElement): Inks {
  const probe = around.appendChild(document.createElement("i"));
  const inks = STATUSES.map((status) => {
    probe.className = `ink ${status}`;
    const fill = pixelOf(probe);
    return { fill, mark: status === "failed" ? pixelOf(around) : fill };
  });
  probe.remove();
  return inks;
}

/** The background of an element as a pixel, in the order in which a canvas keeps its bytes. */
function pixelOf(element: HTMLElement): number {
  const [red = 0, green = 0, blue = 0] = getComputedStyle(element).backgroundColor.match(/\d+/g)?.map(Number) ?? [];
  return new Uint32Array(Uint8Array.of(red, green, blue, 255).buffer)[0] as number;
}
