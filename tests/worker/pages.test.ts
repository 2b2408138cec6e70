import { expect, test } from "vitest";
import { digestFlow } from "../../worker/digest.ts";
import { createModel } from "../../worker/model.ts";
import { useBucket } from "./bucket.ts";

const files = useBucket();

// In a file of its own, to run beside the others: so many objects take seconds to put.
test("a digest of a bucket whose lists have several pages begins where the latest ended, and misses no file", async () => {
  const keys = Array.from({ length: 1_001 }, (_, index) => `many/${index}`);
  // With metadata the local bucket has 100 to a page.
  const untils = Array.from({ length: 101 }, (_, day) => new Date(Date.UTC(2020, 0, day + 1, 6)).toISOString());
  const digests = untils.map((until) => ({ key: `digests/${until.slice(0, 10)}.md`, customMetadata: { until } }));
  await files.seed([...keys.map((key) => ({ key })), ...digests]);
  const list = digestFlow(createModel({}), files.bucket)().start;
  const { since, found } = (await list.exec(new Date().toISOString())) as { since: string; found: { key: string }[] };
  expect(since).toBe(untils.at(-1));
  expect(found.map(({ key }) => key).sort()).toEqual(keys.sort());
}, 60_000);
