import { describe, expect, test } from "vitest";
import { createModel, type Model } from "../../worker/model.ts";
import { type SummarizeShared, summarizeFlow } from "../../worker/summarize.ts";

describe("the flow summarize", () => {
  test("gives one summary for each text, in the texts' order, and all of them joined", async () => {
    const shared: SummarizeShared = { texts: ["slow", "fast"] };
    const model: Model = async (text) => {
      await new Promise((resolve) => setTimeout(resolve, text === "slow" ? 20 : 0));
      return text.toUpperCase();
    };
    await summarizeFlow(model)().runAsync(shared);
    expect(shared).toEqual({ texts: ["slow", "fast"], summaries: ["SLOW", "FAST"], summary: "SLOW\n\nFAST" });
  });

  test("takes no texts for an answer", async () => {
    const shared: SummarizeShared = { texts: [] };
    await summarizeFlow(createModel({}))().runAsync(shared);
    expect(shared).toEqual({ texts: [], summaries: [], summary: "" });
  });

  test("hands the model a signal and a key of the item's own", async () => {
    const keys = new Set<string>();
    const model: Model = async (_, { signal, idempotencyKey }) => {
      expect(signal.aborted).toBe(false);
      keys.add(idempotencyKey);
      return "";
    };
    await summarizeFlow(model)().runAsync({ texts: ["one", "two", "three"] });
    expect(keys.size).toBe(3);
  });

  test.each([
    [{}, "Expected `texts` to be an array of strings, got undefined"],
    [{ texts: "one" }, "Expected `texts` to be an array of strings, got string"],
    [{ texts: ["one", 2] }, "Expected `texts[1]` to be a string, got number"],
    [{ texts: ["one", null] }, "Expected `texts[1]` to be a string, got null"],
    [null, "Expected `texts` to be an array of strings, got undefined"],
  ])("refuses %j", async (shared, message) => {
    const run = summarizeFlow(createModel({}))().runAsync(shared as SummarizeShared);
    await expect(run).rejects.toThrow(new TypeError(message));
  });
});
