import type { FlowFactory } from "../../../src/cloudflare.ts";
import { spellings } from "../../core/spelling.ts";
import { batchwork, lists } from "./batches.ts";
import { control } from "./control.ts";
import { failures } from "./failures.ts";
import type { Programs } from "./program.ts";
import { valuables } from "./values.ts";

export const programs: Programs = { ...control, ...lists, ...batchwork, ...failures, ...valuables };

/** Every program in every spelling, under the name it has as a flow. */
export const written = spellings.flatMap((spelling) =>
  Object.entries(programs).map(([sentence, program]) => ({
    name: `${sentence}, ${spelling.spelling}`,
    make: () => program.flow(spelling),
    input: { log: [], ...program.input },
    fails: program.fails,
  })),
);

export const programFlows: { [name: string]: FlowFactory } = Object.fromEntries(
  written.map(({ name, make }) => [name, make]),
);
