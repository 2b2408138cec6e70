import { encode } from "../../../src/core/codec.ts";
import { halfWritten, NO_PAUSES, wordOf } from "../../durable/half-written.ts";

/** A prep and a post that wait long between their writes. */
export const SLOW = { prep: wordOf("prep", "First", 3), post: wordOf("post", "Many", 5) };
const SLOW_MS = 2_000;

/** Half-way through each hook the vendor is asked about it, so that it knows how far the run is. */
export function halfWrittenFlows(vendorUrl: string) {
  const inHook = async (word: string) => {
    const ms = Object.values(SLOW).includes(word) ? SLOW_MS : word.length % 4;
    const response = await fetch(vendorUrl, { method: "POST", body: JSON.stringify({ item: word, ms }) });
    await response.body?.cancel();
  };
  const flow = () => halfWritten({ ...NO_PAUSES, inHook });
  return { "half-written": { flow, output: (shared: unknown) => encode(shared, "shared") } };
}
