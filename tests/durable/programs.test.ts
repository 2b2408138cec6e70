import { describe, expect, it } from "vitest";
import { plain } from "../core/spelling.ts";
import { comparable, type End, endInMemory } from "./programs/ends.ts";
import { written } from "./programs/index.ts";
import { ran, storedOutput } from "./support.ts";

// The conformance suite, program by program: quick to ask for one. All of them at once, in both spellings and under kills, are in
// tests/restart/conformance.test.ts; with a kill at every commit they are in tests/chaos.

async function endOfRun(name: string, input: object): Promise<End> {
  const { id, status, action, error } = await ran(name, input);
  if (status !== "completed") return { error: { name: error?.name ?? "", message: error?.message ?? "" } };
  return { shared: await storedOutput(id), action };
}

describe("a durable run ends as the flow in memory does", () => {
  const programs = written.filter(({ spelling }) => spelling === plain.spelling);

  it.each(programs.map((program) => [program.sentence, program] as const))("%s", async (_, program) => {
    const { name, input, fails } = program;
    const inMemory = await endInMemory(program);
    expect("error" in inMemory ? inMemory.error.message : undefined).toBe(fails);
    expect(comparable(program, await endOfRun(name, input))).toStrictEqual(comparable(program, inMemory));
  });
});
