import { afterEach, beforeEach, type MockInstance, vi } from "vitest";

/** A promise and the means to settle it: how a test decides what happens when. */
export interface Gate<T = void> {
  promise: Promise<T>;
  open(value: T): void;
  fail(error: Error): void;
}

export function gate<T = void>(): Gate<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  return { promise, open: resolve, fail: reject };
}

export function gates<T = void>(count: number): Gate<T>[] {
  return Array.from({ length: count }, () => gate<T>());
}

/** Lets everything happen that waits for nothing but promises. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Whole numbers from 0. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** The sentences that `console.warn` gets in each test; they are not printed. */
export function catchWarnings(): () => string[] {
  let warn: MockInstance<typeof console.warn>;
  beforeEach(() => {
    warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  });
  afterEach(() => warn.mockRestore());
  return () => warn.mock.calls.map(([message]) => String(message));
}

/** Time stands still in each test until the test moves it. */
export function stopTime(): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });
}

/** Numbers in [0, 1) that are the same for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
