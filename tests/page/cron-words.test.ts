import { expect, test } from "vitest";
import { cronWords } from "../../src/page/views/cron-words.ts";

test.each([
  ["* * * * *", "every minute"],
  ["*/15 * * * *", "every 15 minutes"],
  ["0 * * * *", "every hour at :00"],
  ["30 */6 * * *", "every 6 hours at :30"],
  ["0 6 * * *", "at 06:00 UTC"],
  ["0  6 * * mon-fri", "at 06:00 UTC, MON-FRI"],
  ["5 19 * * MON,WED,FRI", "at 19:05 UTC, MON,WED,FRI"],
])("%s is said as %s", (expression, words) => {
  expect(cronWords(expression)).toBe(words);
});

test.each([
  "*/7 * * * *",
  "0 */5 * * *",
  "10-20 * * * *",
  "0 9-17 * * *",
  "*/5 6 * * *",
  "0 0 1 * MON",
  "0 0 1 * *",
  "0 0 * JAN *",
  "0 0 15W * *",
  "0 0 * * FRIL",
  "0 0 * * MON#1",
  "0 0 0 * *",
  "60 * * * *",
  "0 24 * * *",
  "0 6 * * constructor",
  "* * * *",
  "0 0 6 * * *",
  "",
])("of %j nothing is said", (expression) => {
  expect(cronWords(expression)).toBeNull();
});
