import type { FlowEntry } from "../../../src/cloudflare.ts";
import { encode } from "../../../src/core/codec.ts";
import { written } from "../../durable/programs/index.ts";

/** The programs of the conformance suite. Their output is text that keeps what JSON would lose. */
export const programFlows: { [name: string]: FlowEntry } = Object.fromEntries(
  written.map(({ name, make }) => [name, { flow: make, output: (shared) => encode(shared, "shared") }]),
);
