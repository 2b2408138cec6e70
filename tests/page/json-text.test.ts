import { expect, test } from "vitest";
import { jsonFault } from "../../src/page/views/json-text.ts";

test.each(["{}", ' {"a": [1, -2.5e3, "x\\u00e9\\"", true, null, {}, []]}\n', '{"__proto__": {"": 1}}'])(
  "%j can be an input",
  (text) => {
    expect(jsonFault(text)).toBeNull();
  },
);

test.each(["", "{", '{"a": x}', '{"a": 1,}', "{} {}", '{"a": "\n"}'])(
  "%j is refused in the browser's words",
  (text) => {
    expect(jsonFault(text)).toMatch(/JSON/);
  },
);

test.each(["[]", "1", "null", '"x"'])("%s is JSON, but no input", (text) => {
  expect(jsonFault(text)).toContain("a JSON object");
});

test("a text that is deep breaks nothing", () => {
  const deep = `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
  expect(() => jsonFault(deep)).not.toThrow();
});
