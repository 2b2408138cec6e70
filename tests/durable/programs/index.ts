import type { BaseNode } from "../../../src/index.ts";
import { spellings } from "../../core/spelling.ts";
import { polling } from "./agents.ts";
import { aliases } from "./aliases.ts";
import { batchwork, lists } from "./batches.ts";
import { branchLists, branchParams } from "./branches.ts";
import { brokenBranches } from "./broken-branches.ts";
import { chunks } from "./chunks.ts";
import { collecting } from "./collecting.ts";
import { control } from "./control.ts";
import { overLists } from "./cookbook.ts";
import { failures } from "./failures.ts";
import { fields } from "./fields.ts";
import { agentLoops } from "./loops.ts";
import { natives } from "./natives.ts";
import { nested, withinBranches } from "./nested.ts";
import { paged } from "./pages.ts";
import { pipelines } from "./pipelines.ts";
import type { Programs } from "./program.ts";
import { richWrites } from "./rich-writes.ts";
import { bounded } from "./steps.ts";
import { tornWrites } from "./torn-writes.ts";
import { valuables } from "./values.ts";
import { waits } from "./waits.ts";
import { crowds, turns, ways } from "./ways.ts";
import { plainWrites } from "./writes.ts";

const collections: Programs[] = [
  control,
  lists,
  batchwork,
  failures,
  valuables,
  fields,
  plainWrites,
  richWrites,
  aliases,
  tornWrites,
  natives,
  branchLists,
  branchParams,
  ways,
  crowds,
  turns,
  nested,
  withinBranches,
  brokenBranches,
  polling,
  overLists,
  pipelines,
  agentLoops,
  bounded,
  paged,
  collecting,
  chunks,
  waits,
];

export const programs: Programs = Object.assign({}, ...collections);

/** Every program in every spelling, under the name it has as a flow. */
export const written = spellings.flatMap((spelling) =>
  Object.entries(programs).map(([sentence, program]) => ({
    name: `${sentence}, ${spelling.spelling}`,
    sentence,
    spelling: spelling.spelling,
    make: () => program.flow(spelling),
    input: { log: [], ...program.input },
    fails: program.fails,
    copies: program.copies ?? false,
  })),
);

export const programFlows: { [name: string]: () => BaseNode } = Object.fromEntries(
  written.map(({ name, make }) => [name, make]),
);
