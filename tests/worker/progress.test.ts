import { describe, expect, test } from "vitest";
import { Progress } from "../../demo/progress.ts";

/** A screen that remembers, and a clock that is told the time. */
function setUp(screen: { isTTY?: boolean; columns?: number }) {
  const written: string[] = [];
  const clock = { ms: 0 };
  const write = (words: string) => written.push(words);
  return { written, clock, progress: new Progress({ ...screen, write }, () => clock.ms) };
}

describe("a terminal", () => {
  test("gets one line, redrawn, with bar, rate and time left", () => {
    const { written, clock, progress } = setUp({ isTTY: true, columns: 80 });
    progress.show({ done: 0, total: 100 });
    clock.ms = 1_000;
    progress.show({ done: 25, total: 100 });
    progress.end();
    expect(written[0]).toBe(`\r\x1b[2K${"░".repeat(40)} 0/100 · 0/s · …`);
    expect(written[1]).toBe(`\r\x1b[2K${"█".repeat(10)}${"░".repeat(30)} 25/100 · 25/s · 3 s left`);
    expect(written[2]).toBe("\n");
  });

  test("gets a shorter bar, or none, where it is narrow", () => {
    for (const [columns, bar] of [
      [28, "█████░░░░░ "],
      [20, ""],
    ] as const) {
      const { written, progress } = setUp({ isTTY: true, columns });
      progress.show({ done: 50, total: 100 });
      expect(written).toEqual([`\r\x1b[2K${bar}50/100 · 0/s · …`]);
    }
  });

  test("is not asked for a line break when nothing was shown", () => {
    const { written, progress } = setUp({ isTTY: true });
    progress.end();
    expect(written).toEqual([]);
  });
});

describe("a file or a pipe", () => {
  test("gets a plain line a second", () => {
    const { written, clock, progress } = setUp({});
    for (clock.ms = 0; clock.ms <= 2_000; clock.ms += 200) progress.show({ done: clock.ms / 200, total: 10 });
    progress.end();
    expect(written).toEqual(["0/10 · 0/s · …\n", "5/10 · 5/s · 1 s left\n", "10/10 · 5/s · done\n"]);
  });
});

test("the rate is that of the last seconds, not of the whole time", () => {
  const { written, clock, progress } = setUp({});
  progress.show({ done: 0, total: 1_000 });
  clock.ms = 60_000;
  progress.show({ done: 100, total: 1_000 });
  clock.ms = 62_000;
  progress.show({ done: 200, total: 1_000 });
  expect(written.at(-1)).toBe("200/1000 · 50/s · 16 s left\n");
});
