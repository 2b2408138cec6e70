import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { curlOf, quoted } from "../../src/page/views/curl.ts";

test.each(["it's", "''", '$(id) `id` \\ " !', "a\nb", "", "--x", "</script>", "ä\u202e"])(
  "a shell reads %j as it was",
  (text) => {
    expect(execFileSync("/bin/sh", ["-c", `printf %s ${quoted(text)}`], { encoding: "utf8" })).toBe(text);
  },
);

test("a call is a command that never holds the token", () => {
  const body = JSON.stringify({ text: "it's" });
  const headers = { "idempotency-key": "k" };
  const command = curlOf({ method: "POST", url: "http://localhost/flows/a/runs", body, headers });
  expect(command).toBe(`curl -X POST 'http://localhost/flows/a/runs' \\
  -H "authorization: Bearer $API_TOKEN" \\
  -H 'content-type: application/json' \\
  -H 'idempotency-key: k' \\
  -d '{"text":"it'\\''s"}'`);
});

test("a long body is a file", () => {
  const command = curlOf({ method: "POST", url: "http://localhost/", body: `"${"x".repeat(2_000)}"` });
  expect(command.endsWith("-d @input.json")).toBe(true);
});

test("a call without a body has no type of it", () => {
  expect(curlOf({ method: "POST", url: "http://localhost/" })).not.toContain("content-type");
});
