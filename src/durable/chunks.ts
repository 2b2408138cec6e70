import { middleOf } from "../core/chunks.ts";
import type { Failure } from "../core/errors.ts";

/** What is known of the job that a vendor was given for a chunk, or was to be given. */
export interface JobState {
  /** What `submit` returned, encoded; nothing before it has. */
  job: string | null;
  /** How often it was asked how far it is. */
  polls: number;
  /** It goes on no more: its results are to be collected. */
  isEnded: boolean;
  /** It has none, for this reason. */
  failure: Failure | null;
  /** How often in a row the vendor could not be reached, or had something else to say. */
  trouble: number;
}

/**
 * How the items of one step are cut into chunks, each of which is executed by one call; and which of them are settled. Chunks are
 * numbered; one that is split keeps its number for the first half.
 */
export class Chunks {
  readonly #firsts: number[] = [];
  readonly #ends: number[] = [];
  /** How many items of each chunk are not settled. */
  readonly #left: number[] = [];
  readonly #withFailures = new Set<number>();
  readonly #jobs = new Map<number, JobState>();
  readonly #numbers: Uint32Array;
  readonly #settled: Uint8Array;

  /** A chunk begins at each multiple of `batchSize`, at each of `begun`, and where `keyOf` an item is not that of the one before. */
  constructor(total: number, batchSize: number, begun: ReadonlySet<number>, keys: readonly string[] | null) {
    this.#numbers = new Uint32Array(total);
    this.#settled = new Uint8Array(total);
    for (let index = 0; index < total; index++) {
      const isFirst = index % batchSize === 0 || begun.has(index) || (keys !== null && keys[index] !== keys[index - 1]);
      if (isFirst) this.#add(index, index);
      const number = this.#firsts.length - 1;
      this.#ends[number] = index + 1;
      this.#left[number] = (this.#left[number] as number) + 1;
      this.#numbers[index] = number;
    }
  }

  get count(): number {
    return this.#firsts.length;
  }

  /** The chunk that has an item. */
  numberOf(index: number): number {
    return this.#numbers[index] as number;
  }

  /** A chunk is called by its first item, settled or not. */
  firstOf(number: number): number {
    return this.#firsts[number] as number;
  }

  endOf(number: number): number {
    return this.#ends[number] as number;
  }

  leftIn(number: number): number {
    return this.#left[number] as number;
  }

  /** The items of a chunk that are not settled. */
  openIn(number: number): number[] {
    const open: number[] = [];
    for (let index = this.firstOf(number); index < this.endOf(number); index++) {
      if (!this.isSettled(index)) open.push(index);
    }
    return open;
  }

  isSettled(index: number): boolean {
    return this.#settled[index] === 1;
  }

  settle(index: number): void {
    const number = this.numberOf(index);
    this.#settled[index] = 1;
    this.#left[number] = this.leftIn(number) - 1;
  }

  /** Cuts a chunk with more than one open item in two, with as many each. Returns the number of the second. */
  split(number: number): number {
    const middle = middleOf(this.openIn(number));
    const second = this.#add(middle, this.endOf(number));
    this.#ends[number] = middle;
    for (let index = middle; index < this.endOf(second); index++) this.#numbers[index] = second;
    const open = this.openIn(second).length;
    this.#left[second] = open;
    this.#left[number] = this.leftIn(number) - open;
    return second;
  }

  jobOf(number: number): JobState | null {
    return this.#jobs.get(number) ?? null;
  }

  /** Whether the vendor has the chunk. */
  hasJob(number: number): boolean {
    return typeof this.#jobs.get(number)?.job === "string";
  }

  /** An item of a chunk has failed for good. */
  countFailure(index: number): void {
    this.#withFailures.add(this.numberOf(index));
  }

  /** Whether any of its items has. */
  hasFailures(number: number): boolean {
    return this.#withFailures.has(number);
  }

  setJob(number: number, job: JobState | null): void {
    if (job) this.#jobs.set(number, job);
    else this.#jobs.delete(number);
  }

  #add(first: number, end: number): number {
    this.#left.push(0);
    this.#ends.push(end);
    return this.#firsts.push(first) - 1;
  }
}
