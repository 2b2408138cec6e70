import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { createModel, type Model } from "../../worker/model.ts";
import { type SummarizeShared, summarizeFlow, summarizeInput, webhookInput } from "../../worker/summarize.ts";

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
});

describe("the input of summarize", () => {
  test("is texts, of which none is fine", () => {
    expect(v.parse(summarizeInput, { texts: ["one"], summaries: [] })).toEqual({ texts: ["one"] });
    expect(v.parse(summarizeInput, { texts: [] })).toEqual({ texts: [] });
  });

  describe.each([
    ["a run", summarizeInput],
    ["a webhook", webhookInput],
  ])("of %s", (_, schema) => {
    test.each([
      [{}, "Expected `texts` to be an array of strings, got undefined"],
      [{ texts: null }, "Expected `texts` to be an array of strings, got null"],
      [{ texts: "one" }, "Expected `texts` to be an array of strings, got `one`"],
      [{ texts: "x".repeat(41) }, "Expected `texts` to be an array of strings, got a string of 41 characters"],
      [{ texts: ["one", 2] }, "Expected each of `texts` to be a string, got a number"],
      [{ texts: ["one", null] }, "Expected each of `texts` to be a string, got null"],
      [null, "Expected the input to be an object, got null"],
      ["one", "Expected the input to be an object, got `one`"],
    ])("is not %j", (input, message) => {
      expect(messagesOf(schema, input)).toEqual([message]);
    });
  });

  test("of a webhook may name a URL, which the flow never sees", () => {
    const texts = ["one"];
    expect(v.parse(webhookInput, { texts, callback: "https://example.com/done" })).toEqual({ texts });
    expect(v.parse(webhookInput, { texts })).toEqual({ texts });
  });

  test.each([
    ["done", "got `done`"],
    [null, "got null"],
    [1, "got a number"],
  ])("of a webhook has no callback like %j", (callback, got) => {
    expect(messagesOf(webhookInput, { texts: [], callback })).toEqual([`Expected \`callback\` to be a URL, ${got}`]);
  });
});

function messagesOf(schema: typeof summarizeInput | typeof webhookInput, input: unknown) {
  return v.safeParse(schema, input).issues?.map((issue) => issue.message);
}
