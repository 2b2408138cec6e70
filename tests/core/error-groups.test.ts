import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type FailedItem, groupErrors, kindOf } from "../../src/core/error-groups.ts";

const kind = (message: string, name = "Error") => kindOf({ name, message });
const failed = (index: number, message: string, node = "Call"): FailedItem => ({
  ...{ node, step: 2, index },
  error: { name: "Error", message },
});

describe("the kind of an error", () => {
  it.each<[string, string[]]>([
    ["numbers", ["No answer for item 17", "No answer for item 3", "No answer for item 1.5"]],
    ["ids", ["Request 01KB5Q3ZV0 was refused", "Request req_9f8e7d was refused", "Request 7 was refused"]],
    ["addresses", ["Cannot reach https://a.test/v1/x", "Cannot reach https://b.test:8080/v2", "Cannot reach 10.0.0.1"]],
    ["double quotes", ['Expected "a" here', 'Expected "b c" here', 'Expected "" here']],
    ["single quotes", ["Expected 'a' here", "Expected 'b c' here"]],
    ["backticks", ["Expected `a` here", "Expected `b c` here"]],
    ["times", ["Late at 2026-11-23T06:00:00Z", "Late at 2026-11-24T07:30:10.123Z"]],
  ])("is the same where messages differ in %s", (_, messages) => {
    expect(new Set(messages.map((message) => kind(message))).size).toBe(1);
  });

  it("is another for another name, and for other words", () => {
    const kinds = [kind("busy"), kind("busy", "TypeError"), kind("busy now"), kind("busy 1"), kind("")];
    expect(new Set(kinds).size).toBe(kinds.length);
    expect(kind("No answer for item 17")).toBe("Error: No answer for item #");
  });

  it("is short, however long the message is, and found at once", () => {
    const long = 1_000_000;
    const hostile = ["x", "1", "'", '"', "`", "a1 ", "'\"`", "./:-", "https://", "💩", "\n", " "];
    const startedMs = Date.now();
    for (const unit of hostile) {
      const found = kind(unit.repeat(long / unit.length));
      expect(found.length).toBeLessThanOrEqual("Error: ".length + 300);
    }
    for (const end of ["!", "1", "'"]) kind(`${"a.".repeat(long / 2)}${end}`);
    // Each of them takes well under a millisecond.
    expect(Date.now() - startedMs).toBeLessThan(2_000);
  });

  it("can be sent in a URL, and comes back as it was, whatever the message is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 700 }), fc.nat(400), (message, length) => {
        const id = kind(`${"x".repeat(length)}${message}`);
        expect(new URLSearchParams(`error=${encodeURIComponent(id)}`).get("error")).toBe(id);
      }),
    );
    const cut = kind(`${"x".repeat(299)}💩`);
    expect(new URLSearchParams(`error=${encodeURIComponent(cut)}`).get("error")).toBe(cut);
  });
});

describe("groups of errors", () => {
  it("count all items that failed so, and name the first of them and their nodes", () => {
    const items = [failed(0, "item 0"), failed(1, "busy"), failed(2, "item 2", "Save"), failed(5, "item 5")];
    expect(groupErrors(items)).toEqual({
      more: 0,
      errors: [
        {
          ...{ id: "Error: item #", name: "Error", message: "item 0", count: 3, nodes: ["Call", "Save"] },
          first: { step: 2, index: 0 },
        },
        {
          ...{ id: "Error: busy", name: "Error", message: "busy", count: 1, nodes: ["Call"] },
          first: { step: 2, index: 1 },
        },
      ],
    });
    expect(groupErrors([])).toEqual({ errors: [], more: 0 });
  });

  it("have each item once, and the largest come first", () => {
    const message = fc.constantFrom("item 1", "item 2", "busy", "'a' is bad", "'b' is bad", "late");
    fc.assert(
      fc.property(fc.array(message), (messages) => {
        const { errors: groups, more } = groupErrors(messages.map((message, index) => failed(index, message)));
        expect(more).toBe(0);
        expect(groups.reduce((sum, { count }) => sum + count, 0)).toBe(messages.length);
        for (const { id, count, first, message } of groups) {
          expect(messages.filter((each) => kind(each) === id)).toHaveLength(count);
          expect(messages.findIndex((each) => kind(each) === id)).toBe(first.index);
          expect(message).toBe(messages[first.index]);
        }
        expect(groups.map(({ count }) => count)).toEqual(groups.map(({ count }) => count).sort((a, b) => b - a));
      }),
    );
  });

  it("are as many, and as long, as can be looked at: of very many the largest", () => {
    const letters = (index: number) => String(index).replace(/\d/g, (digit) => "abcdefghij"[Number(digit)] as string);
    const items = Array.from({ length: 1_000 }, (_, index) => failed(index, `${letters(index)} ${"x".repeat(5_000)}`));
    const { errors, more } = groupErrors([...items, failed(1_000, items[700]?.error.message as string)]);
    expect(errors.length + more).toBe(1_000);
    expect(errors.length).toBeLessThanOrEqual(200);
    expect(errors[0]).toMatchObject({ count: 2, first: { index: 700 } });
    expect(JSON.stringify(errors).length).toBeLessThan(500_000);
    const [long] = groupErrors([{ ...failed(0, "x"), error: { name: "N".repeat(100_000), message: "x" } }]).errors;
    expect(JSON.stringify(long).length).toBeLessThan(1_000);
  });
});
