/** Numbers that are the same again for the same seed. */
export interface Chance {
  readonly seed: number;
  /** At least `from`, below `to`. */
  between(from: number, to: number): number;
  /** Whole numbers in order, at least `from`, below `to`, and no two closer than `apart`. */
  moments(count: number, from: number, to: number, apart: number): number[];
}

/** Takes the seed from the variable SEED, to repeat a run; else a new one. */
export function chance(seed = Number(process.env["SEED"] || Math.floor(Math.random() * 2 ** 32))): Chance {
  let state = seed >>> 0;
  // mulberry32, by Tommy Ettinger, in the public domain.
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (from: number, to: number) => from + Math.floor(next() * (to - from));
  return {
    seed,
    between,
    moments(count, from, to, apart) {
      const spare = to - from - (count - 1) * apart;
      const gaps = Array.from({ length: count }, () => between(0, spare)).sort((a, b) => a - b);
      return gaps.map((gap, index) => from + gap + index * apart);
    },
  };
}
